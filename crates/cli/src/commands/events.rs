//! `plim events`: the journal, one event a line.

use crate::Outcome;
use crate::client::Client;
use crate::failure::from_status;
use crate::output::{Format, exact_time, line, plain, short_id};
use plimsoll_proto::admin;
use std::process::ExitCode;

/// Show what happened on the node, from the daemon's journal
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  plim events\n  plim events -f -o json")]
pub(crate) struct Args {
    /// Go on with what happens from now
    #[arg(short, long)]
    follow: bool,
    /// First sequence number wanted
    #[arg(long, value_name = "NUMBER", default_value_t = 0, hide_default_value = true)]
    from: u64,
}

pub(crate) async fn run(client: &Client, args: Args, format: Format) -> Outcome {
    let request = admin::EventsRequest { from: args.from, follow: args.follow, namespace: String::new() };
    let answer = client.admin().events(request).await.map_err(|status| from_status("Events", &status))?;
    let mut stream = answer.into_inner();
    while let Some(event) = stream.message().await.map_err(|status| from_status("Events", &status))? {
        line(&match format {
            Format::Table => for_people(&event),
            Format::Json => for_programs(&event),
        })?;
    }
    Ok(ExitCode::SUCCESS)
}

fn for_people(event: &admin::Event) -> String {
    let fault = serde_json::from_str::<serde_json::Value>(&event.payload).ok();
    let fault = fault.and_then(|value| plimsoll_fault::Fault::from_json(&value.get("fault")?.to_string()));
    let tail = fault.map(|fault| format!("  {}", plain(&fault.to_string()))).unwrap_or_default();
    format!("{}  {}  {}{tail}", exact_time(event.at), event.topic, short_id(&event.subject))
}

fn for_programs(event: &admin::Event) -> String {
    let payload: serde_json::Value = serde_json::from_str(&event.payload).unwrap_or_default();
    serde_json::json!({
        "sequence": event.sequence, "at": event.at, "namespace": event.namespace,
        "topic": event.topic, "subject": event.subject, "payload": payload,
    })
    .to_string()
}
