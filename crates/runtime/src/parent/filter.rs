//! The seccomp filter is compiled after the container's process was made: it has enough to do until it needs it.

use crate::fault::At;
use crate::kept_filter;
use crate::plan::{Agent, FilterPlan, Plan};
use crate::sync::Channel;
use plimsoll_fault::Fault;
use plimsoll_sys::seccomp::Flags;
use std::path::Path;

/// A filter that the container's process has.
#[derive(Debug)]
pub(super) struct HandedOver {
    bytes: Vec<u8>,
    pub(super) listens: bool,
    pub(super) agent: Option<Agent>,
}

impl HandedOver {
    /// For the processes that `exec` will add: before anybody can call it.
    pub(super) fn keep(&self, folder: &Path) -> Result<(), Fault> {
        kept_filter::save(folder, &self.bytes)
    }
}

/// Two ends, if there will be a filter: to give it and to take it.
pub(super) fn channel(plan: &Plan) -> Result<(Option<Channel>, Option<Channel>), Fault> {
    let pair = plan.seccomp.as_ref().map(|_| Channel::pair()).transpose();
    Ok(pair.at("clone", "socketpair", "", || "cannot make a channel".into())?.unzip())
}

/// `config` is the text that the plan was made from, `give` an end of [`channel`].
pub(super) fn hand_over(plan: &Plan, config: &[u8], give: Option<Channel>) -> Result<Option<HandedOver>, Fault> {
    let (Some(profile), Some(give)) = (&plan.seccomp, give) else { return Ok(None) };
    let made = FilterPlan::new(profile, config)?;
    let bytes = kept_filter::encode(&made.filter);
    kept_filter::hand_over(&give, &bytes)?;
    Ok(Some(HandedOver { bytes, listens: made.filter.flags.has(Flags::NEW_LISTENER), agent: made.agent }))
}
