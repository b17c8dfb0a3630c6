//! ExecSync.

use super::required;
use crate::{Cri, NAMESPACE};
use plimsoll_core::container;
use plimsoll_fault::Fault;
use plimsoll_proto::cri::{ExecSyncRequest, ExecSyncResponse};
use std::time::Duration;

pub(crate) async fn exec_sync(cri: Cri, request: ExecSyncRequest) -> Result<ExecSyncResponse, Fault> {
    let id = required("container_id", &request.container_id)?.to_owned();
    if request.cmd.is_empty() {
        return Err(Fault::invalid("request", "cmd is empty"));
    }
    let seconds = u64::try_from(request.timeout)
        .map_err(|_| Fault::invalid("request", format!("timeout is {}; 0 means none", request.timeout)))?;
    let output = container::exec_sync(
        cri.core(),
        container::ExecSyncRequest {
            namespace: NAMESPACE.to_owned(),
            id,
            command: request.cmd,
            timeout: (seconds > 0).then(|| Duration::from_secs(seconds)),
        },
    )
    .await?;
    Ok(ExecSyncResponse { stdout: output.stdout, stderr: output.stderr, exit_code: output.exit_code })
}
