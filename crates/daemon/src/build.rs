//! The composition root: the one place where parts are made and joined.

use crate::admin::Admin;
use crate::config::{self, Config};
use crate::journal_log;
use plimsoll_core::config::{Controller, Handler, NetworkConfig, Timeouts};
use plimsoll_core::{Core, Features};
use plimsoll_cri::Cri;
use plimsoll_fault::{Fault, Layer};
use plimsoll_image::{Db, RegistryConfig, Store};
use plimsoll_spec::platform::Platform;
use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;
use tonic::transport::Server;
use tonic::transport::server::Router;

/// Opens what the root and state folders hold, recovers what ran before, and joins the services.
pub(crate) async fn build(config: &Config, db: Db) -> Result<Router, Fault> {
    let store = Store::open(image_config(config, db.clone())).await?;
    let core = Core::open(core_config(config).await?, &db, store.clone())?;
    tokio::spawn(journal_log::follow(core.journal().subscribe()));
    core.recover().await?;
    let shown = serde_json::to_value(config)
        .map_err(|error| Fault::new(Layer::Daemon, "build", "the configuration has no JSON form").because(&error))?;
    let admin = Admin::new(core.clone(), store.clone());
    let cri = Cri::new(core, store, shown);
    let router = Server::builder().add_service(cri.runtime_service()).add_service(cri.image_service());
    Ok(router.add_service(admin.service()))
}

fn image_config(config: &Config, db: Db) -> plimsoll_image::Config {
    let text = |endpoints: &[config::Endpoint]| endpoints.iter().map(|url| url.as_str().to_owned()).collect();
    let registry = RegistryConfig {
        insecure: config.registry.insecure.iter().map(|host| host.as_str().to_owned()).collect(),
        mirrors: config.registry.mirrors.iter().map(|(host, urls)| (host.as_str().to_owned(), text(urls))).collect(),
    };
    plimsoll_image::Config { db, registry, platform: Platform::host(), rights: plimsoll_image::Rights::ROOT }
}

/// A runtime that does not say what it can do is used for what all can.
async fn core_handler(name: &config::Name, handler: &config::Handler) -> Result<Handler, Fault> {
    let config::Programs { shim, foreign, runtime } = config::Programs::of(name, handler)?;
    let features = match &runtime {
        None if foreign => Features::unknown(),
        None => Features::linked(),
        Some(program) => Features::ask(program).await.unwrap_or_else(|fault| {
            tracing::warn!(handler = name.as_str(), %fault, "the runtime does not say what it can do");
            Features::unknown()
        }),
    };
    Ok(Handler {
        parameters: foreign && reads_parameters(name, &shim).await,
        shim,
        foreign,
        controller: match handler.sandboxer {
            Some(config::Sandboxer::Container) => Controller::Container,
            None if foreign => Controller::Container,
            Some(config::Sandboxer::Shim) | None => Controller::Shim,
        },
        runtime,
        features,
        seccomp: handler.seccomp.as_ref().map(|path| path.as_path().to_owned()),
        annotations: handler.annotations.clone(),
        privileged_without_host_devices: handler.privileged_without_host_devices,
    })
}

/// A shim that does not answer is its own handler's trouble, and not the node's.
async fn reads_parameters(name: &config::Name, shim: &Path) -> bool {
    plimsoll_core::shim::reads_parameters(shim).await.unwrap_or_else(|fault| {
        tracing::warn!(handler = name.as_str(), %fault, "the shim does not say of which version it is");
        false
    })
}

async fn core_config(config: &Config) -> Result<plimsoll_core::Config, Fault> {
    let mut handlers = BTreeMap::new();
    for (name, handler) in &config.handlers {
        handlers.insert(name.as_str().to_owned(), core_handler(name, handler).await?);
    }
    let folder = |path: &config::AbsolutePath| path.as_path().to_owned();
    let core = plimsoll_core::Config::new(folder(&config.root), folder(&config.state), config.socket_path());
    Ok(plimsoll_core::Config {
        own_shim: config::own_shim().unwrap_or(core.own_shim),
        handlers,
        default_handler: config.runtime.default_handler.as_str().to_owned(),
        cgroup_root: config.runtime.cgroup_root.as_str().to_owned(),
        network: NetworkConfig {
            conf_dir: folder(&config.network.conf_dir),
            bin_dirs: config.network.bin_dirs.iter().map(folder).collect(),
        },
        timeouts: Timeouts {
            cni: Duration::from_secs(config.network.plugin_timeout.into()),
            shim_work: Duration::from_secs(config.runtime.shim_timeout.into()),
            ..Timeouts::default()
        },
        ..core
    })
}
