//! `plim info`: whether the runtime is ready, and where it keeps things.

use crate::Outcome;
use crate::client::{Client, call};
use crate::output::{Format, exact_time, json, line, print_json, table};
use plimsoll_fault::Result;
use plimsoll_proto::{admin, cri};
use std::process::ExitCode;

/// Show the runtime's conditions, handlers and folders
#[derive(clap::Args)]
pub(crate) struct Args {}

pub(crate) async fn run(client: &Client, _: Args, format: Format) -> Outcome {
    let status = call!(client.runtime(), status, "Status", cri::StatusRequest { verbose: true })?;
    let admin = client.admin_info().await?;
    if format == Format::Json {
        let mut value = json("StatusResponse", &status)?;
        if let Some(info) = &admin {
            value["admin"] = admin_json(info);
        }
        print_json(&value)?;
    } else {
        line(&table(&["WHAT", "VALUE"], rows(client, &status, admin.as_ref())))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn admin_json(info: &admin::InfoResponse) -> serde_json::Value {
    serde_json::json!({
        "version": info.version, "root": info.root, "state": info.state, "pid": info.pid,
        "startedAt": info.started_at, "defaultHandler": info.default_handler, "handlers": info.handlers,
        "warnings": info.warnings,
    })
}

fn rows(client: &Client, status: &cri::StatusResponse, admin: Option<&admin::InfoResponse>) -> Vec<Vec<String>> {
    let mut rows = vec![vec!["socket".to_owned(), client.socket.display().to_string()]];
    let mut row = |name: &str, value: String| rows.push(vec![name.to_owned(), value]);
    for condition in status.status.iter().flat_map(|status| &status.conditions) {
        let why = [condition.reason.as_str(), &condition.message]
            .iter()
            .filter(|t| !t.is_empty())
            .copied()
            .collect::<Vec<_>>();
        let text = if condition.status { "yes".to_owned() } else { format!("no: {}", why.join(": ")) };
        row(&condition.r#type, text);
    }
    for handler in &status.runtime_handlers {
        row("handler", if handler.name.is_empty() { "(default)".to_owned() } else { handler.name.clone() });
    }
    match admin {
        Some(info) => admin_rows(info, &mut row),
        None => row("admin contract", "not served by this runtime: no pull progress, events or explain".to_owned()),
    }
    rows
}

fn admin_rows(info: &admin::InfoResponse, row: &mut impl FnMut(&str, String)) {
    row("version", info.version.clone());
    row("pid", info.pid.to_string());
    row("started", exact_time(info.started_at));
    row("root", info.root.clone());
    row("state", info.state.clone());
    row("default handler", info.default_handler.clone());
    for warning in &info.warnings {
        row("warning", warning.clone());
    }
}

/// Where a log folder can be made: below the daemon's root when it tells, so that its owner is known.
pub(crate) async fn root_folder(client: &Client) -> Result<Option<String>> {
    Ok(client.admin_info().await?.map(|info| info.root).filter(|root| root.starts_with('/')))
}
