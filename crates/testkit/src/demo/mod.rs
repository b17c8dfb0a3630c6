//! The demo: registry, images, a private daemon, a pod with a server, kill -9, and the proof that nothing is left.

mod lines;
mod node;
mod pod;
mod restart;

use crate::leak::Snapshot;
use lines::Lines;
use node::DemoNode;

/// Runs it; returns what was left behind (nothing, when all is well).
///
/// # Panics
/// When a step fails, with what the failing program said.
pub fn run() -> Vec<String> {
    let before = Snapshot::take();
    let mut lines = Lines::default();
    let mut node = DemoNode::start(&mut lines);
    pod::pull(&node, &mut lines);
    let web = pod::serve(&node, &mut lines);
    pod::look(&node, &web, &mut lines);
    restart::kill_9(&mut node, &web, &mut lines);
    pod::remove(&node, &web, &mut lines);
    node.end(&mut lines);
    let left = before.since();
    if left.is_empty() {
        lines.say("nothing left", "no mount, network namespace, link, cgroup, process or file");
    }
    lines.total();
    left
}
