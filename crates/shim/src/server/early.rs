//! Ends that are seen before it is known whose they are. The program of an OCI runtime leaves the process that it made to the
//! shim when it ends itself, and that process may be over before the worker has said which one it was.

use super::Server;
use crate::task::Key;
use rustix::io::Errno;
use rustix::process::{Pid, WaitId, WaitIdOptions, waitid};
use std::collections::VecDeque;
use std::time::SystemTime;

/// Orphans of containers end here too: as many as are kept, the latest.
const MOST: usize = 1024;

#[derive(Debug, Default)]
pub(super) struct Early(VecDeque<(Pid, u32, SystemTime)>);

impl Early {
    pub(super) fn keep(&mut self, pid: Pid, code: u32, at: SystemTime) {
        if self.0.len() == MOST {
            self.0.pop_front();
        }
        self.0.push_back((pid, code, at));
    }

    /// No worker is left that could tell of one of them.
    pub(super) fn forget(&mut self) {
        self.0.clear();
    }
}

impl Server {
    /// A worker has made the process of `key`, which may have ended already.
    pub(crate) fn settle_early_end(&mut self, key: &Key) {
        let Some(pid) = self.process(key).ok().and_then(|process| process.pid) else { return };
        let Some(&(_, code, at)) = self.early.0.iter().rev().find(|(early, ..)| *early == pid) else { return };
        // One that is there is another, of the same number.
        let there = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        if waitid(WaitId::Pid(pid), there).is_err_and(|errno| errno == Errno::CHILD) {
            self.ended(key, code, at);
        }
    }
}
