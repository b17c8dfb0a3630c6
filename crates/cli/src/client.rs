//! The connection to a runtime: CRI for what CRI can say, the admin contract where the runtime is ours.

use crate::endpoint::{self, Choice};
use crate::failure::from_status;
use crate::stubs::admin::admin_client::AdminClient;
use crate::stubs::cri::image_service_client::ImageServiceClient;
use crate::stubs::cri::runtime_service_client::RuntimeServiceClient;
use crate::{Global, private};
use plimsoll_fault::{Kind, Result};
use plimsoll_proto::{admin, cri};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use tonic::transport::Channel;

/// CRI lists and exec output may be 16 MiB of payload; the frame around it needs a little more.
const MAX_MESSAGE: usize = 17 << 20;

/// How long a runtime may be away, as in a restart after an upgrade.
const PATIENCE: Duration = Duration::from_secs(60);
const RETRY: Duration = Duration::from_millis(200);

#[derive(Clone)]
pub(crate) struct Client {
    pub(crate) socket: PathBuf,
    channel: Channel,
}

/// Calls one CRI method and names it in the fault.
macro_rules! call {
    ($service:expr, $method:ident, $rpc:literal, $request:expr) => {
        $service
            .$method($request)
            .await
            .map(tonic::Response::into_inner)
            .map_err(|status| $crate::failure::from_status($rpc, &status))
    };
}
pub(crate) use call;

impl Client {
    /// The runtime that the flags, the environment or the search order name. `start` allows a private daemon to be
    /// started when nothing listens.
    pub(crate) async fn open(global: &Global) -> Result<Self> {
        let variable = std::env::var(endpoint::VARIABLE).ok();
        match Choice::from(global.endpoint.as_deref(), variable.as_deref())? {
            Choice::Given(path) => Self::at(&path).await,
            Choice::Search => Self::at(&private::search_or_start().await?).await,
        }
    }

    async fn at(path: &Path) -> Result<Self> {
        Ok(Self { socket: path.to_owned(), channel: endpoint::connect(path).await? })
    }

    pub(crate) fn runtime(&self) -> RuntimeServiceClient<Channel> {
        RuntimeServiceClient::new(self.channel.clone())
            .max_decoding_message_size(MAX_MESSAGE)
            .max_encoding_message_size(MAX_MESSAGE)
    }

    pub(crate) fn images(&self) -> ImageServiceClient<Channel> {
        ImageServiceClient::new(self.channel.clone()).max_decoding_message_size(MAX_MESSAGE)
    }

    pub(crate) fn admin(&self) -> AdminClient<Channel> {
        AdminClient::new(self.channel.clone()).max_decoding_message_size(MAX_MESSAGE)
    }

    /// What the admin contract says of the daemon; `None` when the runtime does not serve it.
    pub(crate) async fn admin_info(&self) -> Result<Option<admin::InfoResponse>> {
        match self.admin().info(admin::InfoRequest {}).await {
            Ok(answer) => Ok(Some(answer.into_inner())),
            Err(status) if status.code() == tonic::Code::Unimplemented => Ok(None),
            Err(status) => Err(from_status("Info", &status)),
        }
    }

    pub(crate) async fn containers(&self, filter: Option<cri::ContainerFilter>) -> Result<Vec<cri::Container>> {
        let request = cri::ListContainersRequest { filter };
        Ok(call!(self.runtime(), list_containers, "ListContainers", request)?.containers)
    }

    pub(crate) async fn pods(&self, filter: Option<cri::PodSandboxFilter>) -> Result<Vec<cri::PodSandbox>> {
        let request = cri::ListPodSandboxRequest { filter };
        Ok(call!(self.runtime(), list_pod_sandbox, "ListPodSandbox", request)?.items)
    }

    pub(crate) async fn container_status(&self, id: &str, verbose: bool) -> Result<cri::ContainerStatusResponse> {
        let request = cri::ContainerStatusRequest { container_id: id.to_owned(), verbose };
        call!(self.runtime(), container_status, "ContainerStatus", request)
    }

    /// As [`Client::container_status`], for those who follow a container: one outlives its daemon, so a daemon that is away
    /// is waited for, with a word about it, before it counts as a failure.
    pub(crate) async fn patient_status(&self, id: &str) -> Result<cri::ContainerStatus> {
        let begun = Instant::now();
        let mut told = false;
        loop {
            match self.container_status(id, false).await {
                Ok(answer) => return Ok(answer.status.unwrap_or_default()),
                Err(fault) if fault.class() != Kind::Unavailable || begun.elapsed() > PATIENCE => return Err(fault),
                Err(_) if !told => {
                    told = true;
                    eprintln!("plim: no runtime answers on {}: waiting for it", self.socket.display());
                }
                Err(_) => tokio::time::sleep(RETRY).await,
            }
        }
    }

    pub(crate) async fn pod_status(&self, id: &str, verbose: bool) -> Result<cri::PodSandboxStatusResponse> {
        let request = cri::PodSandboxStatusRequest { pod_sandbox_id: id.to_owned(), verbose };
        call!(self.runtime(), pod_sandbox_status, "PodSandboxStatus", request)
    }

    pub(crate) async fn image_status(&self, name: &str, verbose: bool) -> Result<cri::ImageStatusResponse> {
        let image = Some(cri::ImageSpec { image: name.to_owned(), ..Default::default() });
        call!(self.images(), image_status, "ImageStatus", cri::ImageStatusRequest { image, verbose })
    }

    pub(crate) async fn stop_container(&self, id: &str, timeout: i64) -> Result<()> {
        let request = cri::StopContainerRequest { container_id: id.to_owned(), timeout };
        call!(self.runtime(), stop_container, "StopContainer", request).map(drop)
    }

    pub(crate) async fn remove_container(&self, id: &str) -> Result<()> {
        let request = cri::RemoveContainerRequest { container_id: id.to_owned() };
        call!(self.runtime(), remove_container, "RemoveContainer", request).map(drop)
    }

    pub(crate) async fn stop_pod(&self, id: &str) -> Result<()> {
        let request = cri::StopPodSandboxRequest { pod_sandbox_id: id.to_owned() };
        call!(self.runtime(), stop_pod_sandbox, "StopPodSandbox", request).map(drop)
    }

    pub(crate) async fn remove_pod(&self, id: &str) -> Result<()> {
        let request = cri::RemovePodSandboxRequest { pod_sandbox_id: id.to_owned() };
        call!(self.runtime(), remove_pod_sandbox, "RemovePodSandbox", request).map(drop)
    }
}
