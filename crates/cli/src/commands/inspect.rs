//! `plim inspect`: everything the runtime tells about one container, pod or image; with `--origin`, where each leaf of a
//! container's `config.json` came from.

use crate::Outcome;
use crate::client::Client;
use crate::output::{Format, json, line, origin, print_json, table};
use crate::subject::{Subject, find, unknown};
use plimsoll_fault::{Fault, Kind, Layer, Result};
use serde_json::{Value, json as literal};
use std::collections::HashMap;
use std::process::ExitCode;

/// Show all there is about a container, pod or image, as JSON
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  plim inspect web\n  plim inspect --origin web\n  plim inspect localhost:5000/nginx:1"
)]
pub(crate) struct Args {
    /// Draw the container's config.json leaf by leaf, each with where it came from
    #[arg(long)]
    origin: bool,
    #[arg(value_name = "CONTAINER|POD|IMAGE")]
    subject: String,
}

pub(crate) async fn run(client: &Client, args: Args, format: Format) -> Outcome {
    if args.origin {
        let container = crate::subject::container(client, &args.subject).await?;
        let info = client.container_status(&container.id, true).await?.info;
        show_origins(&info, format)?;
    } else {
        print_json(&everything(client, &args.subject).await?)?;
    }
    Ok(ExitCode::SUCCESS)
}

async fn everything(client: &Client, word: &str) -> Result<Value> {
    match find(client, word).await {
        Ok(Subject::Container(container)) => {
            let answer = client.container_status(&container.id, true).await?;
            verbose("ContainerStatusResponse", &answer, &answer.info)
        }
        Ok(Subject::Pod(pod)) => {
            let answer = client.pod_status(&pod.id, true).await?;
            verbose("PodSandboxStatusResponse", &answer, &answer.info)
        }
        Err(fault) if fault.class() == Kind::NotFound => {
            let answer = client.image_status(word, true).await?;
            if answer.image.is_none() {
                return Err(unknown("container, pod or image", word));
            }
            verbose("ImageStatusResponse", &answer, &answer.info)
        }
        Err(fault) => Err(fault),
    }
}

/// The answer as JSON. The documents of its `info` map stand beside the status, as JSON and not as strings: so crictl
/// does it, and the usual map has one key, which is `info` again.
fn verbose(name: &str, answer: &impl prost::Message, info: &HashMap<String, String>) -> Result<Value> {
    let mut value = json(name, answer)?;
    if let Some(object) = value.as_object_mut() {
        object.remove("info");
        object.extend(info.iter().map(|(key, text)| (key.clone(), parsed(text))));
    }
    Ok(value)
}

fn parsed(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|_| Value::String(text.to_owned()))
}

/// A document of the verbose info under any of `keys`: at the top, or inside the one `info` document that some runtimes send.
pub(crate) fn document(info: &HashMap<String, String>, keys: &[&str]) -> Option<Value> {
    let inner = info.get("info").map(|text| parsed(text));
    keys.iter().find_map(|key| {
        let top = info.get(*key).map(|text| parsed(text));
        top.or_else(|| inner.as_ref()?.get(*key).cloned()).filter(|value| !value.is_null())
    })
}

fn show_origins(info: &HashMap<String, String>, format: Format) -> Result<()> {
    let lacks = |what: &str| {
        Fault::new(Layer::Daemon, "inspect", format!("this runtime tells no {what}: only Plimsoll's daemon does"))
            .kind(Kind::Unimplemented)
    };
    let spec = document(info, &["runtimeSpec", "spec"]).ok_or_else(|| lacks("config.json"))?;
    let provenance = document(info, &["provenance"]).ok_or_else(|| lacks("provenance"))?;
    let rows = origin::rows(&spec, &provenance);
    match format {
        Format::Json => print_json(&Value::Array(
            rows.iter()
                .map(|row| literal!({"pointer": row.pointer, "value": row.value, "origin": row.origin}))
                .collect(),
        )),
        Format::Table => {
            let rows = origin::folded(rows);
            let cells = rows.iter().map(|row| vec![row.pointer.clone(), row.short_value(), row.origin_text()]);
            line(&table(&["LEAF", "VALUE", "ORIGIN"], cells))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_are_found_at_the_top_and_one_level_down() {
        let top = HashMap::from([("provenance".to_owned(), "{\"a\":1}".to_owned())]);
        assert_eq!(document(&top, &["provenance"]), Some(literal!({"a": 1})));
        let inner = HashMap::from([("info".to_owned(), "{\"runtimeSpec\":{}}".to_owned())]);
        assert_eq!(document(&inner, &["spec", "runtimeSpec"]), Some(literal!({})));
        assert_eq!(document(&inner, &["provenance"]), None);
    }
}
