//! `plim pods`: pod sandboxes.

use super::ps::now_nanoseconds;
use crate::Outcome;
use crate::client::Client;
use crate::output::{Format, ago, json, line, print_json, short_id, table};
use plimsoll_fault::{Kind, Result};
use plimsoll_proto::cri::{self, PodSandbox, PodSandboxState};
use std::process::ExitCode;

/// List pods
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  plim pods\n  plim pods -q\n  plim pods -o json")]
pub(crate) struct Args {
    /// Only ids
    #[arg(short, long)]
    quiet: bool,
    /// Only pods that are ready
    #[arg(long)]
    ready: bool,
}

pub(crate) async fn run(client: &Client, args: Args, format: Format) -> Outcome {
    let state = cri::PodSandboxStateValue { state: PodSandboxState::SandboxReady.into() };
    let filter = args.ready.then(|| cri::PodSandboxFilter { state: Some(state), ..Default::default() });
    let mut pods = client.pods(filter).await?;
    pods.sort_by_key(|pod| std::cmp::Reverse(pod.created_at));
    if args.quiet {
        pods.iter().try_for_each(|pod| line(&pod.id))?;
    } else if format == Format::Json {
        print_json(&json("ListPodSandboxResponse", &cri::ListPodSandboxResponse { items: pods })?)?;
    } else {
        let mut rows = Vec::with_capacity(pods.len());
        for pod in &pods {
            rows.push(row(client, pod).await?);
        }
        line(&table(&["POD", "NAME", "NAMESPACE", "CREATED", "STATE", "IP", "RUNTIME"], rows))?;
    }
    Ok(ExitCode::SUCCESS)
}

async fn row(client: &Client, pod: &PodSandbox) -> Result<Vec<String>> {
    let metadata = pod.metadata.clone().unwrap_or_default();
    let state = match pod.state() {
        PodSandboxState::SandboxReady => "ready",
        PodSandboxState::SandboxNotready => "not ready",
    };
    let handler = if pod.runtime_handler.is_empty() { "default" } else { &pod.runtime_handler };
    Ok(vec![
        short_id(&pod.id),
        metadata.name,
        metadata.namespace,
        ago(pod.created_at, now_nanoseconds()),
        state.to_owned(),
        address(client, pod).await?,
        handler.to_owned(),
    ])
}

/// The pod's addresses, which only its status has; "host" when it uses the host's network.
async fn address(client: &Client, pod: &PodSandbox) -> Result<String> {
    if pod.state() == PodSandboxState::SandboxNotready {
        return Ok("-".to_owned());
    }
    let status = match client.pod_status(&pod.id, false).await {
        Ok(answer) => answer.status.unwrap_or_default(),
        Err(fault) if fault.class() == Kind::NotFound => return Ok("-".to_owned()),
        Err(fault) => return Err(fault),
    };
    let options = status.linux.and_then(|linux| linux.namespaces).and_then(|namespaces| namespaces.options);
    if options.is_some_and(|options| options.network() == cri::NamespaceMode::Node) {
        return Ok("host".to_owned());
    }
    let network = status.network.unwrap_or_default();
    let all: Vec<String> = std::iter::once(network.ip)
        .chain(network.additional_ips.into_iter().map(|more| more.ip))
        .filter(|ip| !ip.is_empty())
        .collect();
    Ok(if all.is_empty() { "-".to_owned() } else { all.join(",") })
}
