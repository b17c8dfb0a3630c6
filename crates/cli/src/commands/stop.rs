//! `plim stop`: stop signal, then SIGKILL after a time.

use crate::Outcome;
use crate::client::Client;
use crate::output::line;
use crate::subject::{Subject, find, own_pod};
use std::process::ExitCode;

/// Stop containers or pods
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  plim stop web\n  plim stop -t 0 web\n  plim stop $(plim ps -q)")]
pub(crate) struct Args {
    /// Seconds between the stop signal and SIGKILL
    #[arg(short, long, value_name = "SECONDS", default_value_t = 10)]
    timeout: u32,
    #[arg(required = true, value_name = "CONTAINER|POD")]
    subjects: Vec<String>,
}

pub(crate) async fn run(client: &Client, args: Args) -> Outcome {
    for word in &args.subjects {
        match find(client, word).await? {
            Subject::Container(container) => {
                client.stop_container(&container.id, args.timeout.into()).await?;
                // A pod made for this container alone has no reason to keep its addresses and ports.
                if let Some(pod) = own_pod(client, &container).await? {
                    client.stop_pod(&pod.id).await?;
                }
            }
            Subject::Pod(pod) => client.stop_pod(&pod.id).await?,
        }
        line(word)?;
    }
    Ok(ExitCode::SUCCESS)
}
