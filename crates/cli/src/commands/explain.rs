//! `plim explain`: which layer owns a failure. Draws the stack and marks the row.

use super::inspect::document;
use crate::Outcome;
use crate::client::Client;
use crate::failure::from_status;
use crate::output::{Format, line, plain, print_json, short_id, stack};
use crate::subject::{Subject, find};
use plimsoll_fault::{Fault, Kind, Layer, Result};
use plimsoll_proto::{admin, cri};
use std::collections::HashMap;
use std::process::ExitCode;
use tonic::Code;

/// Show which layer of the stack owns a failure
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  plim explain web\n  plim explain registry.example.com/app:1\n  plim explain -o json web"
)]
pub(crate) struct Args {
    #[arg(value_name = "CONTAINER|POD|IMAGE")]
    subject: String,
}

/// What is known about the subject.
struct Case {
    title: String,
    /// Newest first.
    faults: Vec<Fault>,
    /// What can be said without a fault.
    note: Option<String>,
}

pub(crate) async fn run(client: &Client, args: Args, format: Format) -> Outcome {
    let case = case(client, &args.subject).await?;
    match format {
        Format::Table => {
            line(&format!("{}\n", plain(&case.title)))?;
            line(&stack::draw(case.faults.first()))?;
            if let Some(note) = case.note.filter(|_| case.faults.is_empty()) {
                line(&format!("\n{note}"))?;
            }
            for older in case.faults.iter().skip(1) {
                line(&format!("earlier: {}", plain(&older.to_string())))?;
            }
        }
        Format::Json => {
            let faults: Vec<_> =
                case.faults.iter().map(|fault| serde_json::to_value(fault).unwrap_or_default()).collect();
            print_json(&serde_json::json!({"subject": case.title, "faults": faults}))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

async fn case(client: &Client, word: &str) -> Result<Case> {
    match find(client, word).await {
        Ok(Subject::Container(container)) => container_case(client, &container.id).await,
        Ok(Subject::Pod(pod)) => pod_case(client, &pod.id).await,
        Err(fault) if fault.class() == Kind::NotFound => other_case(client, word, fault).await,
        Err(fault) => Err(fault),
    }
}

async fn container_case(client: &Client, id: &str) -> Result<Case> {
    let answer = client.container_status(id, true).await?;
    let status = answer.status.unwrap_or_default();
    let mut faults: Vec<Fault> = fault_in(&answer.info).into_iter().collect();
    for fault in journal(client, id).await?.unwrap_or_default() {
        if !faults.contains(&fault) {
            faults.push(fault);
        }
    }
    if !faults.iter().any(|fault| *fault.layer() == Layer::Kernel) {
        faults.extend(by_reason(&status));
    }
    let name = status.metadata.as_ref().map_or("", |metadata| &metadata.name);
    let state = match status.state() {
        cri::ContainerState::ContainerExited => format!("exited ({}) {}", status.exit_code, status.reason),
        state => state.as_str_name().trim_start_matches("CONTAINER_").to_ascii_lowercase(),
    };
    let note = exit_note(&status);
    Ok(Case { title: format!("container {name} ({}): {state}", short_id(id)), faults, note })
}

async fn pod_case(client: &Client, id: &str) -> Result<Case> {
    let answer = client.pod_status(id, true).await?;
    let status = answer.status.unwrap_or_default();
    let mut faults: Vec<Fault> = fault_in(&answer.info).into_iter().collect();
    faults.extend(journal(client, id).await?.unwrap_or_default());
    let name = status.metadata.as_ref().map_or("", |metadata| &metadata.name);
    let state = status.state().as_str_name().trim_start_matches("SANDBOX_").to_ascii_lowercase();
    Ok(Case { title: format!("pod {name} ({}): {state}", short_id(id)), faults, note: None })
}

/// An image, or something that is gone: only the journal can know.
async fn other_case(client: &Client, word: &str, not_found: Fault) -> Result<Case> {
    let there = client.image_status(word, false).await?.image;
    let faults = journal(client, word).await?.unwrap_or_default();
    let title = match there {
        Some(image) => format!("image {word} ({})", short_id(&image.id)),
        None if faults.is_empty() => return Err(not_found),
        None => format!("{word}: not here, or not any more"),
    };
    Ok(Case { title, faults, note: None })
}

/// An exit code in words: the program's own doing, or a signal's.
fn exit_note(status: &cri::ContainerStatus) -> Option<String> {
    if status.state() != cri::ContainerState::ContainerExited {
        return None;
    }
    Some(match status.exit_code {
        0 => "The program ended by itself, without an error.".to_owned(),
        code @ 129..=192 => {
            let signal = code - 128;
            format!(
                "The program was ended by signal {signal}. No layer reported a failure: somebody sent it, as `stop` does."
            )
        }
        code => format!("The program ended by itself with code {code}: what that means, its log may tell (plim logs)."),
    })
}

fn fault_in(info: &HashMap<String, String>) -> Option<Fault> {
    Fault::from_json(&document(info, &["fault"])?.to_string())
}

/// What the status alone tells, for runtimes that send no fault. Only what is certain.
fn by_reason(status: &cri::ContainerStatus) -> Option<Fault> {
    (status.reason == "OOMKilled").then(|| {
        Fault::new(Layer::Kernel, "run", "the kernel's OOM killer ended the container: a memory limit was hit")
            .kind(Kind::ResourceExhausted)
            .in_container(&status.id)
    })
}

/// The journal's faults about `subject`; `None` when the runtime keeps no journal that we could read.
async fn journal(client: &Client, subject: &str) -> Result<Option<Vec<Fault>>> {
    match client.admin().explain(admin::ExplainRequest { subject: subject.to_owned() }).await {
        Ok(answer) => Ok(Some(answer.into_inner().faults.iter().filter_map(|text| Fault::from_json(text)).collect())),
        Err(status) if status.code() == Code::Unimplemented => Ok(None),
        Err(status) if status.code() == Code::NotFound => Ok(Some(Vec::new())),
        Err(status) => Err(from_status("Explain", &status)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_in_verbose_info_is_found_and_oom_is_the_kernels() {
        let fault = Fault::new(Layer::OciRuntime, "exec", "no such file");
        let info = HashMap::from([("fault".to_owned(), fault.to_json())]);
        assert_eq!(fault_in(&info), Some(fault));
        let status = cri::ContainerStatus { reason: "OOMKilled".into(), ..Default::default() };
        assert_eq!(by_reason(&status).map(|f| f.layer().clone()), Some(Layer::Kernel));
        assert!(by_reason(&cri::ContainerStatus::default()).is_none());
    }
}
