//! Explain: the journal's faults about one pod, container or image.

use super::Parts;
use plimsoll_core::events::Journal;
use plimsoll_cri::NAMESPACE;
use plimsoll_fault::{Fault, Result};
use plimsoll_proto::admin::{ExplainRequest, ExplainResponse};
use plimsoll_spec::reference::Reference;
use std::collections::BTreeSet;

pub(super) async fn explain(parts: &Parts, request: ExplainRequest) -> Result<ExplainResponse> {
    if request.subject.is_empty() {
        return Err(Fault::invalid("explain", "the subject is empty"));
    }
    let journal = parts.core.journal();
    let image = parts.store.image(NAMESPACE, &request.subject).await?;
    let mut faults = Vec::new();
    let ids = ids_of(journal, &request.subject);
    for name in names(&request.subject).into_iter().chain(ids) {
        for fault in journal.faults_about(&name) {
            if !faults.contains(&fault) {
                faults.push(fault);
            }
        }
    }
    Ok(ExplainResponse {
        kind: if image.is_some() { "image".to_owned() } else { String::new() },
        id: image.map(|image| image.id.to_string()).unwrap_or_default(),
        faults: faults.iter().map(Fault::to_json).collect(),
    })
}

/// The subject as given and, if it is an image's name, in full: pulls enter the journal under both forms.
fn names(subject: &str) -> Vec<String> {
    let full = subject.parse::<Reference>().ok().map(|reference| reference.or_latest().to_string());
    let mut names = vec![subject.to_owned()];
    names.extend(full.filter(|full| full != subject));
    names
}

/// Shorter beginnings of an id would mean too many.
const SHORTEST: usize = 6;

/// The ids of pods and containers in the journal, removed ones too, that begin with `word`.
fn ids_of(journal: &Journal, word: &str) -> BTreeSet<String> {
    if word.len() < SHORTEST || !word.bytes().all(|b| b.is_ascii_hexdigit()) {
        return BTreeSet::new();
    }
    let events = journal.since(0).into_iter();
    let ids = events.flat_map(|event| [event.sandbox, event.container]).flatten();
    ids.filter(|id| id.starts_with(word) && id != word).collect()
}
