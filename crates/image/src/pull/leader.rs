//! Who leads a flight that others joined, and whose failure it is when it fails.

use super::{Hub, Job};
use plimsoll_fault::{Fault, Kind, Layer};
use std::sync::Arc;

/// The pull whose credentials and patience a flight depends on.
#[derive(Clone)]
pub(crate) struct Leader {
    pull: Arc<Hub>,
    /// Registry and repository.
    source: String,
}

impl Leader {
    pub(super) fn of(job: &Job) -> Self {
        Self { pull: Arc::clone(&job.hub), source: job.reference.name() }
    }

    /// Whether `fault` is the leader's alone, so that `job`, which joined, has a try of its own. What is wrong with the
    /// bytes is so for everybody who asks the same repository for them.
    pub(super) fn failed_alone(&self, job: &Job, fault: &Fault) -> bool {
        !Arc::ptr_eq(&self.pull, &job.hub) && (self.source != job.reference.name() || !of_content(fault))
    }
}

/// Of the bytes, or of this node's disk; not of the way to them: credentials, registry, deadline, a caller that left.
fn of_content(fault: &Fault) -> bool {
    !matches!(fault.layer(), Layer::Registry | Layer::Network | Layer::Daemon | Layer::Caller)
        && !matches!(fault.class(), Kind::Cancelled | Kind::DeadlineExceeded | Kind::Unavailable)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shared_is_of_the_content() {
        let cases = [
            (Layer::Image, Kind::DataLoss, true),
            (Layer::Image, Kind::InvalidArgument, true),
            (Layer::Store, Kind::ResourceExhausted, true),
            (Layer::Registry, Kind::Unauthenticated, false),
            (Layer::Registry, Kind::NotFound, false),
            (Layer::Registry, Kind::ResourceExhausted, false),
            (Layer::Image, Kind::Cancelled, false),
            (Layer::Store, Kind::Cancelled, false),
        ];
        for (layer, kind, shared) in cases {
            let fault = Fault::new(layer, "pull", "x").kind(kind);
            assert_eq!(of_content(&fault), shared, "{fault} {kind:?}");
        }
    }
}
