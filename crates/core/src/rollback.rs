//! Undo as data: each step that makes something pushes the step that takes it away.

use plimsoll_fault::{Fault, Result};
use std::future::Future;
use std::pin::Pin;

type Undo = Pin<Box<dyn Future<Output = Result<()>> + Send>>;

/// A stack of named undo steps. Dropping it keeps what was made.
#[derive(Default)]
pub(crate) struct Rollback(Vec<(&'static str, Undo)>);

impl Rollback {
    /// The future must not run before it is polled: an `async` block.
    pub(crate) fn push(&mut self, name: &'static str, undo: impl Future<Output = Result<()>> + Send + 'static) {
        self.0.push((name, Box::pin(undo)));
    }

    /// Undoes everything, last first. A failed undo is added to the fault's causes and the others are done nevertheless.
    pub(crate) async fn undo(self, mut fault: Fault) -> Fault {
        for (name, undo) in self.0.into_iter().rev() {
            if let Err(second) = undo.await {
                fault = fault.why(format!("and undoing {name} failed: {second}"));
            }
        }
        fault
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use plimsoll_fault::Layer;
    use std::sync::{Arc, Mutex};

    #[tokio::test]
    async fn undo_goes_on_after_a_failure_and_reports_both() {
        let done = Arc::new(Mutex::new(Vec::new()));
        let mut stack = Rollback::default();
        for name in ["first", "second", "third"] {
            let done = done.clone();
            stack.push(name, async move {
                done.lock().expect("not poisoned").push(name);
                if name == "second" { Err(Fault::new(Layer::Network, "undo", "it is stuck")) } else { Ok(()) }
            });
        }
        let fault = stack.undo(Fault::new(Layer::Shim, "start", "no shim")).await;
        assert_eq!(*done.lock().expect("not poisoned"), ["third", "second", "first"]);
        assert_eq!(fault.to_string(), "shim: no shim: and undoing second failed: network: it is stuck");
    }
}
