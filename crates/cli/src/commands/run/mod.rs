//! `plim run`: a pod with one container, in front or in the background. This file owns the flags and the straight path;
//! `config` turns flags into CRI messages, `follow` waits in front.

mod config;
mod follow;
mod name;

pub(crate) use follow::END_OF_LOG;

use super::exec::{code, refuse_streaming};
use super::{info, pull, rm};
use crate::client::{Client, call};
use crate::output::{Format, line};
use crate::parse::{env, memory, port, user, volume};
use crate::{Outcome, subject};
use clap::builder::{OsStringValueParser, TypedValueParser};
use plimsoll_fault::{Fault, Kind, Layer, Result};
use plimsoll_proto::cri;
use std::ffi::OsString;
use std::process::ExitCode;

const EXAMPLES: &str = "\
Examples:
  plim run --rm localhost:5000/busybox:1 echo hello
  plim run -d --name web -p 8080:80 localhost:5000/nginx:1
  plim run --rm -m 64m -e MODE=test -v ./data:/data:ro -w /data localhost:5000/busybox:1 ls
  plim run --rm --network host --entrypoint /bin/sh localhost:5000/busybox:1 -c 'ip addr'

In front, plim returns the container's exit code (125: plim itself or the runtime failed;
127 and 126: the program is not there, or cannot be run).
Ctrl-C stops the container, a second one kills it.";

/// Run an image: a pod with one container
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// Name of pod and container [default: made from the image's name]
    #[arg(long)]
    name: Option<String>,
    /// Remove the pod, its container and its log at the end
    #[arg(long, conflicts_with = "detach")]
    rm: bool,
    /// Start it, print the container's id, and leave it running
    #[arg(short, long)]
    detach: bool,
    /// NAME=VALUE, or NAME to pass plim's own on
    #[arg(short, long, value_name = "VARIABLE", value_parser = variable_parser())]
    env: Vec<env::Variable>,
    /// SOURCE:TARGET[:ro|rro|rslave|rshared|z,…]: a file or folder of the host
    #[arg(short, long, value_name = "MOUNT", value_parser = volume::parse)]
    volume: Vec<cri::Mount>,
    /// [IP:]HOSTPORT:PORT[/tcp|udp|sctp]
    #[arg(short, long, value_name = "PORT", value_parser = port::parse)]
    publish: Vec<cri::PortMapping>,
    /// Memory limit, such as 64m or 1.5g; no swap beyond it
    #[arg(short, long, value_name = "SIZE", value_parser = memory::parse)]
    memory: Option<i64>,
    /// Processors, such as 0.5 or 2
    #[arg(long, value_name = "NUMBER", value_parser = memory::parse_cpus)]
    cpus: Option<i64>,
    /// USER[:GROUP] instead of the image's; a group by number only
    #[arg(short, long, value_parser = user::parse)]
    user: Option<user::User>,
    /// Working folder inside the container
    #[arg(short, long, value_name = "FOLDER")]
    workdir: Option<String>,
    /// Program instead of the image's entrypoint; empty for none
    #[arg(long, value_name = "PROGRAM")]
    entrypoint: Option<String>,
    /// `cni`: an address of its own; `host`: the host's network
    #[arg(long, value_enum, default_value_t = Network::Cni)]
    network: Network,
    /// RuntimeClass handler [default: the runtime's]
    #[arg(long, value_name = "HANDLER")]
    runtime: Option<String>,
    /// [default: the pod's name]
    #[arg(long)]
    hostname: Option<String>,
    /// KEY=VALUE on pod and container
    #[arg(short, long, value_name = "LABEL", value_parser = env::parse_label)]
    label: Vec<(String, String)>,
    /// Add a capability, such as NET_ADMIN, or ALL
    #[arg(long, value_name = "CAPABILITY")]
    cap_add: Vec<String>,
    /// Take a capability away, or ALL
    #[arg(long, value_name = "CAPABILITY")]
    cap_drop: Vec<String>,
    /// Make the root filesystem read-only
    #[arg(long)]
    read_only: bool,
    /// All capabilities and devices, no seccomp filter
    #[arg(long)]
    privileged: bool,
    /// Cgroup under which the pod's is made [default: the runtime's]
    #[arg(long, value_name = "CGROUP")]
    cgroup_parent: Option<String>,
    /// When to pull
    #[arg(long, value_enum, default_value_t = Pull::Missing)]
    pull: Pull,
    /// Not there yet
    #[arg(short, long, hide = true)]
    interactive: bool,
    /// Not there yet
    #[arg(short, long, hide = true)]
    tty: bool,
    image: String,
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    command: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Network {
    Cni,
    Host,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Pull {
    Missing,
    Always,
    Never,
}

/// Bytes, since a value need not be UTF-8.
fn variable_parser() -> impl TypedValueParser<Value = env::Variable> {
    OsStringValueParser::new().try_map(|text: OsString| env::parse(&text))
}

impl Args {
    /// What the flags say wrongly together.
    pub(crate) fn check(&self) -> Result<()> {
        refuse_streaming(self.interactive, self.tty)?;
        if self.network == Network::Host && !self.publish.is_empty() {
            return Err(Fault::invalid("read flags", "-p with --network host: its ports are the host's already"));
        }
        if self.image.is_empty() {
            return Err(Fault::invalid("read flags", "the image's name is empty"));
        }
        self.name.as_deref().map_or(Ok(()), name::check)
    }
}

/// What was made, for the steps after it and for taking it back.
struct Made {
    pod: cri::PodSandbox,
    container: String,
    log: std::path::PathBuf,
}

pub(crate) async fn run(client: &Client, args: Args) -> Outcome {
    let name = name::choose(client, args.name.as_deref(), &args.image).await?;
    ensure_image(client, &args).await?;
    let plan = config::plan(&args, &name, info::root_folder(client).await?)?;
    let made = make(client, plan).await?;
    if args.detach {
        line(&made.container)?;
        return Ok(ExitCode::SUCCESS);
    }
    let exit = follow::follow(client, &made.container, &made.log).await;
    // The pod goes also when following failed, and its failure does not hide that one.
    let ended = if args.rm { rm::remove_pod(client, &made.pod).await } else { client.stop_pod(&made.pod.id).await };
    let exit = exit?;
    ended?;
    Ok(code(exit))
}

async fn ensure_image(client: &Client, args: &Args) -> Result<()> {
    let there = match args.pull {
        Pull::Always => false,
        Pull::Missing | Pull::Never => client.image_status(&args.image, false).await?.image.is_some(),
    };
    match (there, args.pull) {
        (true, _) => Ok(()),
        (false, Pull::Never) => Err(subject::unknown("image", &args.image).hint("--pull never was given")),
        (false, _) => pull::pull(client, &args.image, None, Format::Table).await.map(drop),
    }
}

/// Pod, container, start. What was made before a failure is taken back; a failure of that is told as well.
async fn make(client: &Client, plan: config::Plan) -> Result<Made> {
    let request = cri::RunPodSandboxRequest { config: Some(plan.pod.clone()), runtime_handler: plan.handler.clone() };
    let id = call!(client.runtime(), run_pod_sandbox, "RunPodSandbox", request)?.pod_sandbox_id;
    let pod = cri::PodSandbox {
        id,
        metadata: plan.pod.metadata.clone(),
        annotations: plan.pod.annotations.clone(),
        ..Default::default()
    };
    match start(client, &pod.id, &plan).await {
        Ok(container) => Ok(Made { pod, container, log: plan.log }),
        Err(fault) => Err(match rm::remove_pod(client, &pod).await {
            Ok(()) => fault,
            Err(second) => fault.why(format!("and the pod {} could not be removed: {second}", pod.id)),
        }),
    }
}

async fn start(client: &Client, pod: &str, plan: &config::Plan) -> Result<String> {
    let request = cri::CreateContainerRequest {
        pod_sandbox_id: pod.to_owned(),
        config: Some(plan.container.clone()),
        sandbox_config: Some(plan.pod.clone()),
    };
    let id = call!(client.runtime(), create_container, "CreateContainer", request)?.container_id;
    if id.is_empty() {
        return Err(Fault::new(Layer::Daemon, "create", "the runtime gave the container no id").kind(Kind::Internal));
    }
    let request = cri::StartContainerRequest { container_id: id.clone() };
    call!(client.runtime(), start_container, "StartContainer", request)?;
    Ok(id)
}
