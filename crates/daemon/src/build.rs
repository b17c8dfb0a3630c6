//! The composition root: the one place where parts are made and joined.

use crate::config::Config;
use plimsoll_fault::Fault;
use tonic::transport::Server;
use tonic::transport::server::Router;
