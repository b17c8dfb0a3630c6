//! `plim version`: this program and the runtime behind the socket.

use crate::Outcome;
use crate::client::{Client, call};
use crate::output::{Format, json, line, print_json, table};
use plimsoll_proto::cri;
use std::process::ExitCode;

/// Show the versions of plim and of the runtime
#[derive(clap::Args)]
pub(crate) struct Args {}

pub(crate) async fn run(client: &Client, _: Args, format: Format) -> Outcome {
    let answer = call!(client.runtime(), version, "Version", cri::VersionRequest { version: "v1".to_owned() })?;
    if format == Format::Json {
        let mut value = json("VersionResponse", &answer)?;
        value["plimVersion"] = env!("CARGO_PKG_VERSION").into();
        print_json(&value)?;
    } else {
        let row = |name: &str, value: &str| vec![name.to_owned(), value.to_owned()];
        let rows = [
            row("plim", env!("CARGO_PKG_VERSION")),
            row("runtime", &answer.runtime_name),
            row("runtime version", &answer.runtime_version),
            row("CRI", &answer.runtime_api_version),
            row("socket", &client.socket.display().to_string()),
        ];
        line(&table(&["WHAT", "VALUE"], rows))?;
    }
    Ok(ExitCode::SUCCESS)
}
