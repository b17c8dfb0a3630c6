//! `linux.seccomp`: read, understood and compiled in one go, while the container's process is already at work.

use super::bad_config;
use crate::bundle;
use crate::seccomp::{Arch, Filter, Refusal, compile};
use plimsoll_fault::Fault;
use plimsoll_spec::runtime::Seccomp;
use plimsoll_spec::runtime::seccomp::Unread;

/// What a profile comes to.
#[derive(Debug)]
pub(crate) struct FilterPlan {
    pub filter: Filter,
    pub agent: Option<Agent>,
}

/// Who answers what the filter notifies: `listenerPath` and `listenerMetadata`.
#[derive(Clone, Debug)]
pub(crate) struct Agent {
    pub path: String,
    pub metadata: String,
}

impl FilterPlan {
    /// `config` is the text that the profile was found in.
    pub(crate) fn new(profile: &Unread, config: &[u8]) -> Result<Self, Fault> {
        let profile = profile.read(config).map_err(bundle::refused)?;
        let native = Arch::native().ok_or_else(|| bad_config("/linux/seccomp", "no filter for this architecture"))?;
        let filter = compile(&profile, native).map_err(refused)?;
        Ok(Self { filter, agent: Agent::of(&profile) })
    }
}

impl Agent {
    /// None when the profile names nobody.
    pub(crate) fn of(profile: &Seccomp) -> Option<Self> {
        let (path, metadata) = (profile.listener_path.clone(), profile.listener_metadata.clone());
        (!path.is_empty()).then_some(Self { path, metadata })
    }
}

fn refused(refusal: Refusal) -> Fault {
    let pointer = format!("/linux/seccomp{}", refusal.pointer);
    Fault::invalid("plan", format!("config.json: {refusal}")).detail(|d| d.pointer = Some(pointer))
}
