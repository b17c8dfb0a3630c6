//! The one store's records of sandboxes, containers, attachments and events, with memory indexes derived from them.

mod ledger;
mod records;
mod shelf;

pub(crate) use ledger::DurableLedger;
pub use records::{ContainerPhase, ContainerRecord, SandboxPhase, SandboxRecord};
pub(crate) use shelf::{Shelf, blocking};
