//! The verbs: a file each. This one owns the list and the dispatch.

mod events;
mod exec;
mod explain;
mod images;
mod info;
mod inspect;
mod logs;
mod pods;
mod ps;
mod pull;
mod rm;
mod rmi;
mod run;
mod stop;
mod version;

use crate::client::Client;
use crate::{Global, Outcome};

#[derive(clap::Subcommand)]
pub(crate) enum Verb {
    Run(Box<run::Args>),
    Ps(ps::Args),
    Pods(pods::Args),
    Images(images::Args),
    Pull(pull::Args),
    Logs(logs::Args),
    Exec(exec::Args),
    Stop(stop::Args),
    Rm(rm::Args),
    Rmi(rmi::Args),
    Inspect(inspect::Args),
    Explain(explain::Args),
    Events(events::Args),
    Info(info::Args),
    Version(version::Args),
}

impl Verb {
    /// `run` and `exec` return the container's exit code, so their own failures need one that stands out; the number is
    /// the one people know from other engines.
    pub(crate) fn failure_code(&self) -> u8 {
        match self {
            Self::Run(_) | Self::Exec(_) => 125,
            _ => 1,
        }
    }
}

pub(crate) async fn dispatch(verb: Verb, global: &Global) -> Outcome {
    // What the command line itself says wrongly is refused before anything is started or asked.
    if let Verb::Run(args) = &verb {
        args.check()?;
    }
    let client = Client::open(global).await?;
    let format = global.output;
    match verb {
        Verb::Run(args) => run::run(&client, *args).await,
        Verb::Ps(args) => ps::run(&client, args, format).await,
        Verb::Pods(args) => pods::run(&client, args, format).await,
        Verb::Images(args) => images::run(&client, args, format).await,
        Verb::Pull(args) => pull::run(&client, args, format).await,
        Verb::Logs(args) => logs::run(&client, args).await,
        Verb::Exec(args) => exec::run(&client, args).await,
        Verb::Stop(args) => stop::run(&client, args).await,
        Verb::Rm(args) => rm::run(&client, args).await,
        Verb::Rmi(args) => rmi::run(&client, args).await,
        Verb::Inspect(args) => inspect::run(&client, args, format).await,
        Verb::Explain(args) => explain::run(&client, args, format).await,
        Verb::Events(args) => events::run(&client, args, format).await,
        Verb::Info(args) => info::run(&client, args, format).await,
        Verb::Version(args) => version::run(&client, args, format).await,
    }
}
