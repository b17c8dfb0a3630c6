//! `plim ps`: containers.

use crate::client::Client;
use crate::output::{Format, ago, json, line, print_json, short_id, table};
use crate::{Outcome, subject};
use jiff::Timestamp;
use plimsoll_fault::Result;
use plimsoll_proto::cri::{self, Container, ContainerState};
use std::process::ExitCode;

/// List containers: those that run, or all of them
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  plim ps\n  plim ps -a --pod web\n  plim ps -q | xargs plim stop\n  plim ps -a -o json"
)]
pub(crate) struct Args {
    /// Also those that were only created, and those that have ended
    #[arg(short, long)]
    all: bool,
    /// Only ids
    #[arg(short, long)]
    quiet: bool,
    /// Only those of this pod
    #[arg(long, value_name = "POD")]
    pod: Option<String>,
}

pub(crate) async fn run(client: &Client, args: Args, format: Format) -> Outcome {
    let mut containers = client.containers(filter(client, &args).await?).await?;
    containers.sort_by_key(|container| std::cmp::Reverse(container.created_at));
    if args.quiet {
        containers.iter().try_for_each(|container| line(&container.id))?;
    } else if format == Format::Json {
        print_json(&json("ListContainersResponse", &cri::ListContainersResponse { containers })?)?;
    } else {
        print_table(client, &containers).await?;
    }
    Ok(ExitCode::SUCCESS)
}

async fn filter(client: &Client, args: &Args) -> Result<Option<cri::ContainerFilter>> {
    let mut filter = cri::ContainerFilter::default();
    if !args.all {
        filter.state = Some(cri::ContainerStateValue { state: ContainerState::ContainerRunning.into() });
    }
    if let Some(word) = &args.pod {
        filter.pod_sandbox_id = match subject::find(client, word).await? {
            subject::Subject::Container(container) => container.pod_sandbox_id,
            subject::Subject::Pod(pod) => pod.id,
        };
    }
    Ok(Some(filter))
}

async fn print_table(client: &Client, containers: &[Container]) -> Result<()> {
    let now = now_nanoseconds();
    let mut rows = Vec::with_capacity(containers.len());
    for container in containers {
        let name = container.metadata.as_ref().map_or("", |metadata| &metadata.name);
        rows.push(vec![
            short_id(&container.id),
            name.to_owned(),
            image_name(container),
            ago(container.created_at, now),
            state(client, container, now).await?,
            short_id(&container.pod_sandbox_id),
        ]);
    }
    line(&table(&["CONTAINER", "NAME", "IMAGE", "CREATED", "STATE", "POD"], rows))
}

pub(crate) fn now_nanoseconds() -> i64 {
    i64::try_from(Timestamp::now().as_nanosecond()).unwrap_or(i64::MAX)
}

fn image_name(container: &Container) -> String {
    let spec = container.image.as_ref();
    let asked = spec.map(|s| if s.user_specified_image.is_empty() { &s.image } else { &s.user_specified_image });
    match asked {
        Some(name) if name.starts_with("sha256:") => short_id(name),
        Some(name) if !name.is_empty() => name.clone(),
        _ => short_id(&container.image_ref),
    }
}

/// The state in words; for an ended one with code, reason and time, which only its status has.
async fn state(client: &Client, container: &Container, now: i64) -> Result<String> {
    match container.state() {
        ContainerState::ContainerCreated => Ok("created".to_owned()),
        ContainerState::ContainerRunning => Ok("running".to_owned()),
        ContainerState::ContainerUnknown => Ok("unknown".to_owned()),
        ContainerState::ContainerExited => match client.container_status(&container.id, false).await {
            Ok(answer) => Ok(ended(&answer.status.unwrap_or_default(), now)),
            // Removed since it was listed.
            Err(fault) if fault.class() == plimsoll_fault::Kind::NotFound => Ok("exited".to_owned()),
            Err(fault) => Err(fault),
        },
    }
}

fn ended(status: &cri::ContainerStatus, now: i64) -> String {
    let reason = match status.reason.as_str() {
        "" | "Completed" | "Error" => String::new(),
        reason => format!(" {reason}"),
    };
    format!("exited ({}){reason} {}", status.exit_code, ago(status.finished_at, now))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_oom_kill_is_seen_and_an_ordinary_end_is_short() {
        let status = |code, reason: &str| cri::ContainerStatus {
            exit_code: code,
            reason: reason.into(),
            finished_at: 1_000_000_000,
            ..Default::default()
        };
        assert_eq!(ended(&status(137, "OOMKilled"), 4_000_000_000), "exited (137) OOMKilled 3 s ago");
        assert_eq!(ended(&status(0, "Completed"), 4_000_000_000), "exited (0) 3 s ago");
    }
}
