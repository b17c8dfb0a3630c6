//! Network namespaces as files in the usual netns folder, where CNI meta-plugins look. The caller records the path
//! before it asks for the namespace, so that a crash in between leaves nothing unowned.

use plimsoll_fault::{Fault, Layer, Result};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

const FOLDER: &str = "/run/netns";

/// Where the namespace of a sandbox lies: `/run/netns/plim-<first 16 characters of the id>`.
pub fn path(sandbox: &str) -> PathBuf {
    let short: String = sandbox.chars().take(16).collect();
    Path::new(FOLDER).join(format!("plim-{short}"))
}

/// Makes a network namespace at `path` with the loopback up.
pub async fn create(path: PathBuf) -> Result<()> {
    blocking(move || {
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o755)
            .create(FOLDER)
            .map_err(|e| Fault::new(Layer::Network, "netns", format!("cannot make the folder {FOLDER}")).because(&e))?;
        plimsoll_sys::netns::create(&path).map_err(|e| fault(&path, &e))
    })
    .await
}

/// Unpins a network namespace. One that is not there is not an error.
pub async fn remove(path: PathBuf) -> Result<()> {
    blocking(move || plimsoll_sys::netns::remove(&path).map_err(|e| fault(&path, &e))).await
}

fn fault(path: &Path, error: &plimsoll_sys::netns::NetnsError) -> Fault {
    let what = format!("network namespace {}: {error}", path.display());
    let fault = Fault::new(Layer::Network, "netns", what).because(&error.source);
    fault.syscall(error.step, &path.to_string_lossy(), error.source.raw_os_error().unwrap_or_default())
}

async fn blocking(work: impl FnOnce() -> Result<()> + Send + 'static) -> Result<()> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(e) => Err(Fault::new(Layer::Daemon, "netns", "the worker thread died").because(&e)),
    }
}
