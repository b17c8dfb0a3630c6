//! The admin contract `plimsoll.admin.v1`: what `plim` needs and CRI cannot say. A file per RPC; this one owns the table.

mod events;
mod explain;
mod info;
mod pull;
mod stubs;

use plimsoll_core::Core;
use plimsoll_cri::NAMESPACE;
use plimsoll_image::Store;
use plimsoll_proto::admin::{
    Event, EventsRequest, ExplainRequest, ExplainResponse, InfoRequest, InfoResponse, PullProgress, PullRequest,
};
use std::sync::Arc;
use std::time::SystemTime;
use stubs::admin_server::{Admin as Contract, AdminServer};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status};

/// Messages that may wait for a slow client before the sender waits too.
const BUFFER: usize = 64;

/// What the service answers from. Clones are one.
#[derive(Clone)]
pub(crate) struct Admin(Arc<Parts>);

struct Parts {
    core: Core,
    store: Store,
    started_at: SystemTime,
}

impl Admin {
    pub(crate) fn new(core: Core, store: Store) -> Self {
        Self(Arc::new(Parts { core, store, started_at: SystemTime::now() }))
    }

    pub(crate) fn service(&self) -> AdminServer<Self> {
        AdminServer::new(self.clone())
    }
}

/// The namespace asked for, else CRI's.
fn namespace(asked: String) -> String {
    if asked.is_empty() { NAMESPACE.to_owned() } else { asked }
}

type Stream<T> = ReceiverStream<Result<T, Status>>;

#[tonic::async_trait]
impl Contract for Admin {
    type PullStream = Stream<PullProgress>;
    type EventsStream = Stream<Event>;

    async fn info(&self, _: Request<InfoRequest>) -> Result<Response<InfoResponse>, Status> {
        Ok(Response::new(info::info(&self.0)))
    }

    async fn pull(&self, request: Request<PullRequest>) -> Result<Response<Self::PullStream>, Status> {
        pull::pull(&self.0, request.into_inner()).map(Response::new).map_err(|fault| plimsoll_cri::status(&fault))
    }

    async fn events(&self, request: Request<EventsRequest>) -> Result<Response<Self::EventsStream>, Status> {
        Ok(Response::new(events::events(&self.0, request.into_inner())))
    }

    async fn explain(&self, request: Request<ExplainRequest>) -> Result<Response<ExplainResponse>, Status> {
        explain::explain(&self.0, request.into_inner()).await.map(Response::new).map_err(|f| plimsoll_cri::status(&f))
    }
}
