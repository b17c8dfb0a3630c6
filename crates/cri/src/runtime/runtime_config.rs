//! RuntimeConfig: what kubelet must know to agree with the runtime. It asks once.

use crate::Cri;
use plimsoll_fault::Fault;
use plimsoll_proto::cri::{CgroupDriver, LinuxRuntimeConfiguration, RuntimeConfigRequest, RuntimeConfigResponse};

pub(crate) async fn runtime_config(cri: Cri, _: RuntimeConfigRequest) -> Result<RuntimeConfigResponse, Fault> {
    let driver = if cri.core().config().systemd_cgroup { CgroupDriver::Systemd } else { CgroupDriver::Cgroupfs };
    Ok(RuntimeConfigResponse { linux: Some(LinuxRuntimeConfiguration { cgroup_driver: driver.into() }) })
}
