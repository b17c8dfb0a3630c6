//! A seccomp agent for tests: `oracle/seccomp_agent.c`, which answers every notified call with ENOSPC.

use crate::{Scratch, until};
use serde_json::Value;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// A running agent: its socket, and the file with what it was told.
#[derive(Debug)]
pub struct Agent {
    pub socket: PathBuf,
    said: PathBuf,
}

impl Agent {
    /// Built and started; everybody may connect to it.
    ///
    /// # Panics
    /// When it cannot be.
    pub fn start(scratch: &mut Scratch) -> Agent {
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/oracle/seccomp_agent.c");
        let program = scratch.join("agent");
        let built = Command::new("cc").args(["-O1", "-o"]).arg(&program).arg(source).output().expect("a C compiler");
        assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
        let (socket, said) = (scratch.join("agent.sock"), scratch.join("said"));
        let out = std::fs::File::create(&said).expect("a file");
        let mut command = scratch.command(&program);
        scratch.spawn(command.arg(&socket).stdin(Stdio::null()).stdout(out));
        until("the agent's socket", || socket.exists());
        std::fs::set_permissions(&socket, std::fs::Permissions::from_mode(0o666)).expect("a mode");
        Agent { socket, said }
    }

    /// The container process states that it was told, in order.
    ///
    /// # Panics
    /// When one is no JSON.
    pub fn states(&self) -> Vec<Value> {
        let text = std::fs::read_to_string(&self.said).expect("what the agent was told");
        text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
    }
}
