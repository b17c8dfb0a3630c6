//! Times, mounts and options between the daemon's types and the messages.

use plimsoll_proto::shim::{runc, type_url, types};
use plimsoll_spec::mount::MountDescription;
use prost::Message;
use prost_types::{Any, Timestamp};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::TaskOptions;

/// `None` for the zero time, with which Go programs say "not yet".
pub(super) fn time(stamp: Option<Timestamp>) -> Option<SystemTime> {
    let stamp = stamp?;
    let seconds = u64::try_from(stamp.seconds).ok()?;
    let nanos = u32::try_from(stamp.nanos).ok()?;
    (seconds > 0).then(|| UNIX_EPOCH + Duration::new(seconds, nanos))
}

pub(super) fn mounts(mounts: &[MountDescription]) -> Vec<types::Mount> {
    let convert = |m: &MountDescription| types::Mount {
        r#type: m.kind.clone(),
        source: m.source.clone(),
        target: m.target.clone(),
        options: m.options.clone(),
    };
    mounts.iter().map(convert).collect()
}

pub(super) fn options(options: &TaskOptions) -> Any {
    let message = runc::Options {
        root: options.root.clone(),
        binary_name: options.binary_name.clone(),
        systemd_cgroup: options.systemd_cgroup,
        no_pivot_root: options.no_pivot_root,
        ..Default::default()
    };
    Any { type_url: type_url::RUNC_OPTIONS.to_owned(), value: message.encode_to_vec() }
}
