//! containerd's shim v2 contract (Task v2 and v3, Sandbox, events, runc options) and our extension `plimsoll.shim.v1`.

#[allow(clippy::all, clippy::pedantic, unreachable_pub)]
mod generated {
    include!(concat!(env!("OUT_DIR"), "/shim/packages.rs"));
}

pub use generated::containerd::events;
pub use generated::containerd::runc::v1 as runc;
pub use generated::containerd::runtime::bootstrap::v1 as bootstrap;
pub use generated::containerd::runtime::sandbox::v1 as sandbox;
pub use generated::containerd::services::events::ttrpc::v1 as forward;
pub use generated::containerd::task::v2 as task_v2;
pub use generated::containerd::task::v3 as task;
pub use generated::containerd::types;
pub use generated::containerd::v1::types as task_types;
pub use generated::io::containerd::cgroups::v1 as cgroups_v1;
pub use generated::io::containerd::cgroups::v2 as cgroups_v2;
pub use generated::plimsoll::shim::v1 as extension;

/// ttrpc service names, as they stand in `ttrpc.Request.service`.
pub mod service {
    pub const TASK_V2: &str = "containerd.task.v2.Task";
    pub const TASK_V3: &str = "containerd.task.v3.Task";
    pub const SANDBOX: &str = "containerd.runtime.sandbox.v1.Sandbox";
    pub const EVENTS: &str = "containerd.services.events.ttrpc.v1.Events";
    pub const EXTENSION: &str = "plimsoll.shim.v1.Shim";
}

/// Type URLs of what travels in `google.protobuf.Any`; containerd writes them without a host part.
pub mod type_url {
    pub const RUNC_OPTIONS: &str = "containerd.runc.v1.Options";
    pub const SANDBOX_OPTIONS: &str = "plimsoll.shim.v1.SandboxOptions";
    /// The sandbox options of containerd's CRI.
    pub const POD_SANDBOX_CONFIG: &str = "runtime.v1.PodSandboxConfig";
    /// The answer to Stats.
    pub const METRICS_V1: &str = "io.containerd.cgroups.v1.Metrics";
    pub const METRICS_V2: &str = "io.containerd.cgroups.v2.Metrics";
    /// An OCI `Process` as JSON, in `ExecProcessRequest.spec`.
    pub const OCI_PROCESS: &str = "types.containerd.io/opencontainers/runtime-spec/1/Process";
    /// `linux.resources` of an OCI spec as JSON, in `UpdateTaskRequest.resources`.
    pub const OCI_RESOURCES: &str = "types.containerd.io/opencontainers/runtime-spec/1/LinuxResources";
    /// A `plimsoll_fault::Fault` as JSON, in the details of a ttrpc status.
    pub const FAULT: &str = "plimsoll.dev/fault.v1";
}

/// The encoded `FileDescriptorSet`, for comparison with the published one.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/shim/descriptors.bin"));
