//! Development only: the privileged harness. Tests drive our binaries as processes; nothing here enters a namespace.
//!
//! `Scratch` owns a place (folder, cgroup prefix, environment marker) and puts everything in it away; `Registry` and `Daemon`
//! are real servers in it; `contract` is the suite that every OCI runtime is held to; `peers` finds the other side's software; `bundle` and `images` make what containers are made of;
//! `leak` says what a run left behind on the machine.

pub mod bench;
pub mod bin;
pub mod bundle;
pub mod case;
pub mod compare;
pub mod contract;
pub mod daemon;
pub mod demo;
pub mod descriptors;
pub mod errors;
pub mod fake_registry;
pub mod images;
pub mod leak;
pub mod lint;
pub mod node;
pub mod peers;
pub mod registry;
pub mod run;
pub mod runtimes;
pub mod scratch;
pub mod seccomp_agent;
pub mod seccomp_profiles;
pub mod tar;
pub mod wait;

pub use bin::bin;
pub use bundle::{Bundle, bundle};
pub use case::Case;
pub use daemon::Daemon;
pub use fake_registry::FakeRegistry;
pub use node::Node;
pub use registry::Registry;
pub use run::{Output, run};
pub use scratch::Scratch;
pub use wait::{Frozen, none_left, says, until};
