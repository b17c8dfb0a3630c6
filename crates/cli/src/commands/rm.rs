//! `plim rm`: remove containers or pods, and what `plim run` made for them.

use crate::Outcome;
use crate::client::Client;
use crate::output::line;
use crate::subject::{Subject, find, own_pod};
use plimsoll_fault::{Fault, Kind, Layer, Result};
use plimsoll_proto::cri::{Container, ContainerState, PodSandbox, PodSandboxState};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// On pods made by `plim run`: the log folder that is theirs alone.
pub(crate) const LOG_FOLDER_ANNOTATION: &str = "plimsoll.dev/log-folder";

/// Remove containers or pods
///
/// A container that `plim run` made goes with its pod and its log.
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  plim rm web\n  plim rm -f $(plim ps -aq)")]
pub(crate) struct Args {
    /// Also what still runs: it is killed
    #[arg(short, long)]
    force: bool,
    #[arg(required = true, value_name = "CONTAINER|POD")]
    subjects: Vec<String>,
}

pub(crate) async fn run(client: &Client, args: Args) -> Outcome {
    for word in &args.subjects {
        match find(client, word).await? {
            Subject::Container(container) => remove_container(client, word, &container, args.force).await?,
            Subject::Pod(pod) => {
                if pod.state() == PodSandboxState::SandboxReady && !args.force {
                    return Err(still_runs(word));
                }
                remove_pod(client, &pod).await?;
            }
        }
        line(word)?;
    }
    Ok(ExitCode::SUCCESS)
}

async fn remove_container(client: &Client, word: &str, container: &Container, force: bool) -> Result<()> {
    if container.state() == ContainerState::ContainerRunning {
        if !force {
            return Err(still_runs(word));
        }
        client.stop_container(&container.id, 0).await?;
    }
    match own_pod(client, container).await? {
        Some(pod) => remove_pod(client, &pod).await,
        None => client.remove_container(&container.id).await,
    }
}

fn still_runs(word: &str) -> Fault {
    Fault::new(Layer::Caller, "remove", format!("{word} still runs"))
        .kind(Kind::FailedPrecondition)
        .hint("stop it first, or give -f")
}

/// Stops and removes a pod with its containers, then the log folder that `plim run` made for it.
pub(crate) async fn remove_pod(client: &Client, pod: &PodSandbox) -> Result<()> {
    client.stop_pod(&pod.id).await?;
    client.remove_pod(&pod.id).await?;
    match pod.annotations.get(LOG_FOLDER_ANNOTATION) {
        Some(folder) => remove_logs(&PathBuf::from(folder), pod),
        None => Ok(()),
    }
}

/// Removes `folder` only if its last component is the one that `plim run` makes from this pod's uid: an annotation is
/// data that anybody with the socket can write, and must not choose what gets deleted.
fn remove_logs(folder: &Path, pod: &PodSandbox) -> Result<()> {
    let uid = pod.metadata.as_ref().map_or("", |metadata| &metadata.uid);
    let ours = folder.is_absolute() && !uid.is_empty() && folder.file_name().is_some_and(|name| name == uid);
    if !ours {
        return Ok(());
    }
    match std::fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            let what = format!("the pod is removed, but not its log folder {}", folder.display());
            Err(Fault::new(Layer::Store, "remove logs", what).because(&error))
        }
        Ok(()) | Err(_) => Ok(()),
    }
}
