//! The table of RPCs, and the one edge where a call is run, logged and turned into a status.

use crate::stubs::image_service_server::ImageService;
use crate::stubs::runtime_service_server::RuntimeService;
use crate::{Cri, image, runtime, status};
use plimsoll_fault::{Fault, Kind, Layer};
use plimsoll_proto::cri::*;
use std::pin::Pin;
use std::time::Instant;
use tokio_stream::Stream;
use tonic::{Request, Response, Status};

type Items<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

/// Runs one call to its end even when the caller leaves: half a RunPodSandbox helps nobody, and a retry joins it.
async fn edge<A: Send + 'static>(
    rpc: &'static str,
    call: impl Future<Output = Result<A, Fault>> + Send + 'static,
) -> Result<Response<A>, Status> {
    attended(rpc, async move {
        tokio::spawn(call).await.unwrap_or_else(|error| {
            Err(Fault::new(Layer::Daemon, "call", format!("{rpc} ended before its answer")).because(&error))
        })
    })
    .await
}

/// Runs one call for as long as its caller stays: the server drops it when the caller hangs up or its deadline passes.
async fn attended<A>(
    rpc: &'static str,
    call: impl Future<Output = Result<A, Fault>> + Send,
) -> Result<Response<A>, Status> {
    let begun = Instant::now();
    let answer = call.await;
    let ms = begun.elapsed().as_millis();
    match answer {
        Ok(message) => {
            tracing::debug!(rpc, %ms, "answered");
            Ok(Response::new(message))
        }
        Err(fault) => {
            let of = fault.subject();
            tracing::warn!(rpc, %ms, phase = fault.phase(), pod = of.pod, container = of.container, image = of.image, "{fault}");
            Err(status::status(&fault))
        }
    }
}

fn not_implemented(rpc: &str) -> Status {
    let what = format!("{rpc} is not implemented");
    status::status(&Fault::new(Layer::Daemon, "call", what).kind(Kind::Unimplemented))
}

/// Implements a service from a table: what is served and by which function, what of that ends with its caller, then what
/// is not served.
macro_rules! service {
    ($service:ident
        served { $($rpc:ident($request:ty) -> $answer:ty = $handler:path;)* }
        attended { $($own:ident($own_request:ty) -> $own_answer:ty = $own_handler:path;)* }
        missing { $($no:ident($no_request:ty) -> $no_answer:ty;)* }
        missing_streams { $($stream:ident($stream_request:ty) -> $items:ident<$item:ty>;)* }
    ) => {
        #[tonic::async_trait]
        impl $service for Cri {
            $(async fn $rpc(&self, request: Request<$request>) -> Result<Response<$answer>, Status> {
                edge(stringify!($rpc), $handler(self.clone(), request.into_inner())).await
            })*
            $(async fn $own(&self, request: Request<$own_request>) -> Result<Response<$own_answer>, Status> {
                attended(stringify!($own), $own_handler(self.clone(), request.into_inner())).await
            })*
            $(async fn $no(&self, _: Request<$no_request>) -> Result<Response<$no_answer>, Status> {
                Err(not_implemented(stringify!($no)))
            })*
            $(type $items = Items<$item>;
            async fn $stream(&self, _: Request<$stream_request>) -> Result<Response<Self::$items>, Status> {
                Err(not_implemented(stringify!($stream)))
            })*
        }
    };
}

service! { RuntimeService served {
    version(VersionRequest) -> VersionResponse = runtime::version;
    status(StatusRequest) -> StatusResponse = runtime::status;
    runtime_config(RuntimeConfigRequest) -> RuntimeConfigResponse = runtime::runtime_config;
    update_runtime_config(UpdateRuntimeConfigRequest) -> UpdateRuntimeConfigResponse = runtime::update_runtime_config;
    run_pod_sandbox(RunPodSandboxRequest) -> RunPodSandboxResponse = runtime::run_pod_sandbox;
    stop_pod_sandbox(StopPodSandboxRequest) -> StopPodSandboxResponse = runtime::stop_pod_sandbox;
    remove_pod_sandbox(RemovePodSandboxRequest) -> RemovePodSandboxResponse = runtime::remove_pod_sandbox;
    pod_sandbox_status(PodSandboxStatusRequest) -> PodSandboxStatusResponse = runtime::pod_sandbox_status;
    list_pod_sandbox(ListPodSandboxRequest) -> ListPodSandboxResponse = runtime::list_pod_sandbox;
    create_container(CreateContainerRequest) -> CreateContainerResponse = runtime::create_container;
    start_container(StartContainerRequest) -> StartContainerResponse = runtime::start_container;
    stop_container(StopContainerRequest) -> StopContainerResponse = runtime::stop_container;
    remove_container(RemoveContainerRequest) -> RemoveContainerResponse = runtime::remove_container;
    list_containers(ListContainersRequest) -> ListContainersResponse = runtime::list_containers;
    container_status(ContainerStatusRequest) -> ContainerStatusResponse = runtime::container_status;
    reopen_container_log(ReopenContainerLogRequest) -> ReopenContainerLogResponse = runtime::reopen_container_log;
    container_stats(ContainerStatsRequest) -> ContainerStatsResponse = runtime::container_stats;
    list_container_stats(ListContainerStatsRequest) -> ListContainerStatsResponse = runtime::list_container_stats;
} attended {
    exec_sync(ExecSyncRequest) -> ExecSyncResponse = runtime::exec_sync;
} missing {
    update_container_resources(UpdateContainerResourcesRequest) -> UpdateContainerResourcesResponse;
    update_pod_sandbox_resources(UpdatePodSandboxResourcesRequest) -> UpdatePodSandboxResourcesResponse;
    exec(ExecRequest) -> ExecResponse;
    attach(AttachRequest) -> AttachResponse;
    port_forward(PortForwardRequest) -> PortForwardResponse;
    pod_sandbox_stats(PodSandboxStatsRequest) -> PodSandboxStatsResponse;
    list_pod_sandbox_stats(ListPodSandboxStatsRequest) -> ListPodSandboxStatsResponse;
    list_metric_descriptors(ListMetricDescriptorsRequest) -> ListMetricDescriptorsResponse;
    list_pod_sandbox_metrics(ListPodSandboxMetricsRequest) -> ListPodSandboxMetricsResponse;
    checkpoint_container(CheckpointContainerRequest) -> CheckpointContainerResponse;
    checkpoint_pod(CheckpointPodRequest) -> CheckpointPodResponse;
    restore_pod(RestorePodRequest) -> RestorePodResponse;
} missing_streams {
    get_container_events(GetEventsRequest) -> GetContainerEventsStream<ContainerEventResponse>;
    stream_pod_sandboxes(StreamPodSandboxesRequest) -> StreamPodSandboxesStream<StreamPodSandboxesResponse>;
    stream_containers(StreamContainersRequest) -> StreamContainersStream<StreamContainersResponse>;
    stream_container_stats(StreamContainerStatsRequest) -> StreamContainerStatsStream<StreamContainerStatsResponse>;
    stream_pod_sandbox_stats(StreamPodSandboxStatsRequest) -> StreamPodSandboxStatsStream<StreamPodSandboxStatsResponse>;
    stream_pod_sandbox_metrics(StreamPodSandboxMetricsRequest) -> StreamPodSandboxMetricsStream<StreamPodSandboxMetricsResponse>;
}}

service! { ImageService served {
    list_images(ListImagesRequest) -> ListImagesResponse = image::list_images;
    image_status(ImageStatusRequest) -> ImageStatusResponse = image::image_status;
    pull_image(PullImageRequest) -> PullImageResponse = image::pull_image;
    remove_image(RemoveImageRequest) -> RemoveImageResponse = image::remove_image;
    image_fs_info(ImageFsInfoRequest) -> ImageFsInfoResponse = image::image_fs_info;
} attended {
} missing {
} missing_streams {
    stream_images(StreamImagesRequest) -> StreamImagesStream<StreamImagesResponse>;
}}
