//! DEL and CHECK: gives back what ADD took, by the configuration that ADD used.

use crate::exec::run;
use crate::network::Network;
use crate::{Entry, Stage, cache, input};
use plimsoll_fault::{Fault, Layer, Result};
use plimsoll_spec::cni::{NetworkList, Plugin};
use serde_json::{Value, json};

impl Network {
    /// Calls DEL of each plugin in reverse order and forgets the attachment. A sandbox without one is not an error.
    /// After a failure the entry stays, so that a later call tries again; the other plugins are called nevertheless.
    pub async fn teardown(&self, sandbox: &str) -> Result<()> {
        let Some(entry) = self.ledger.find(sandbox)? else { return Ok(()) };
        let mut failed: Option<Fault> = None;
        for plugin in plugins(&entry)?.iter().rev() {
            let stdin = input::stdin(&entry, plugin, entry.result.as_ref());
            if let Err(fault) = run(self.call("DEL", &entry, plugin, stdin)).await {
                failed = Some(match failed {
                    None => fault,
                    Some(first) => first.why(fault.to_string()),
                });
            }
        }
        if let Some(fault) = failed {
            return Err(fault);
        }
        cache::remove(&self.options.cache_dir, &entry)?;
        self.ledger.forget(sandbox)
    }

    /// Calls CHECK of each plugin. Networks that disable it, and versions before 0.4.0 that lack it, pass.
    pub async fn check(&self, sandbox: &str) -> Result<()> {
        let Some(entry) = self.ledger.find(sandbox)? else {
            return Err(Fault::new(Layer::Network, "cni-check", "the sandbox has no attachment").in_pod(sandbox));
        };
        if entry.disable_check || entry.version.starts_with("0.3.") || entry.stage != Stage::Added {
            return Ok(());
        }
        for plugin in &plugins(&entry)? {
            let stdin = input::stdin(&entry, plugin, entry.result.as_ref());
            run(self.call("CHECK", &entry, plugin, stdin)).await?;
        }
        Ok(())
    }
}

/// The plugins as they were recorded, through the same checks as those of a file.
fn plugins(entry: &Entry) -> Result<Vec<Plugin>> {
    let list: Value = json!({"cniVersion": entry.version, "name": entry.network, "plugins": entry.plugins});
    let parsed = NetworkList::parse(list.to_string().as_bytes());
    parsed.map(|list| list.plugins).map_err(|e| {
        Fault::new(Layer::Network, "cni-del", "the recorded configuration is not usable")
            .because(&e)
            .in_pod(&entry.sandbox)
    })
}
