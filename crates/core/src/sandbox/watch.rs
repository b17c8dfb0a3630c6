//! Notices when a pod's shim goes away unasked.

use crate::config::Controller;
use crate::events::{Event, Topic};
use crate::state::SandboxPhase;
use crate::{Core, shims};
use plimsoll_fault::{Fault, Kind, Layer};

/// Follows the connection to a ready sandbox's shim. When it ends and nobody stopped the sandbox, the sandbox is no
/// longer ready, and the fault says why.
pub(crate) fn watch(core: &Core, namespace: &str, id: &str) {
    let (core, namespace, id) = (core.clone(), namespace.to_owned(), id.to_owned());
    let controller = core.sandboxes().find(&namespace, &id).map(|record| record.controller).unwrap_or_default();
    tokio::spawn(async move {
        while let Some(shim) = shims::alive(&core, &namespace, &id).await {
            if controller == Controller::Container {
                // Its end is the pod's.
                tokio::select! {
                    () = shim.closed() => {}
                    ended = shim.wait(&id, "") => match ended {
                        Err(fault) if fault.class() != Kind::NotFound => {}
                        _ => break,
                    },
                }
            } else {
                shim.closed().await;
            }
            // One that takes connections only to close them is not asked without pause.
            tokio::time::sleep(shims::PAUSE).await;
        }
        core.shims().forget(&namespace, &id);
        let fault = Fault::new(Layer::Shim, "watch", "the pod's shim or its sandbox container has died")
            .kind(Kind::Unavailable)
            .in_pod(&id);
        let (ns, sid, why) = (namespace.clone(), id.clone(), fault.clone());
        let noticed = core.sandboxes().update(&namespace, &id, move |record| {
            if record.phase != SandboxPhase::Ready {
                return None;
            }
            record.phase = SandboxPhase::NotReady;
            record.fault = Some(why.clone());
            Some(Event::new(&ns, Topic::SandboxFailed).sandbox(&sid).fault(&why))
        });
        if let Err(fault) = noticed.await {
            tracing::error!(sandbox = id, %fault, "the death of a shim was not recorded");
        }
    });
}
