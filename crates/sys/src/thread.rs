//! Proof that a process has one thread.

use std::io;
use std::marker::PhantomData;

/// Held by whoever may clone without exec, setns and change credentials: made once in `main`, before any thread. It stays
/// true in a child cloned by the holder. Not `Send`: it never leaves the thread that made it.
#[derive(Debug)]
pub struct SingleThread(PhantomData<*const ()>);

impl SingleThread {
    /// Fails with `ErrorKind::Other` when the process has more than one thread.
    pub fn prove() -> io::Result<Self> {
        // A folder has as many links as it has folders in it, and two.
        let threads = rustix::fs::stat("/proc/self/task")?.st_nlink.saturating_sub(2);
        if threads == 1 {
            Ok(Self(PhantomData))
        } else {
            Err(io::Error::other(format!("the process has {threads} threads where one is required")))
        }
    }
}
