//! Everything that a worker has begun: a runtime's init has left its process group, and would outlive it.

use rustix::process::{Pid, Signal, kill_process};
use std::fs;

/// More generations, or more processes, than any runtime needs to make a container.
const DEPTH: usize = 16;
const MOST: usize = 1024;

/// Kills the descendants of `top` (`/proc/<pid>/task/<tid>/children`, proc(5); a kernel without it has the process group alone).
pub(super) fn kill(top: Pid) {
    let mut found = vec![top];
    let mut begin = 0;
    for _ in 0..DEPTH {
        let parents = begin..found.len();
        begin = parents.end;
        for index in parents {
            let room = MOST.saturating_sub(found.len());
            let more: Vec<Pid> = children(found[index]).into_iter().take(room).collect();
            found.extend(more);
        }
    }
    for pid in found.into_iter().skip(1) {
        // ESRCH: it has ended.
        kill_process(pid, Signal::KILL).ok();
    }
}

/// Of every thread: a runtime may have several.
pub(crate) fn children(parent: Pid) -> Vec<Pid> {
    let Ok(threads) = fs::read_dir(format!("/proc/{}/task", parent.as_raw_nonzero())) else { return Vec::new() };
    let texts = threads.flatten().filter_map(|thread| fs::read_to_string(thread.path().join("children")).ok());
    let pids =
        |text: String| text.split_whitespace().filter_map(|n| Pid::from_raw(n.parse().ok()?)).collect::<Vec<_>>();
    texts.flat_map(pids).collect()
}
