//! Who is measured: each runtime that is here, started as directly as it can be.

use crate::{Scratch, peers};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A runtime's name in the tables and the words that start it.
#[derive(Clone, Debug)]
pub struct Contender {
    pub name: String,
    words: Vec<OsString>,
}

impl Contender {
    /// Ours first; a peer that is not here is left out and said.
    pub fn all() -> Vec<Contender> {
        let mut found = vec![Contender { name: "plimrun".to_owned(), words: vec![crate::bin("plimrun").into()] }];
        for name in ["crun", "runc"] {
            match peers::find(name) {
                Ok(program) => found.push(Contender { name: name.to_owned(), words: direct(&program) }),
                Err(why) => complain(&why),
            }
        }
        let packaged = Path::new("/usr/bin/crun");
        if packaged.is_file() {
            let words = vec![packaged.into()];
            found.insert(2.min(found.len()), Contender { name: "crun (distribution)".to_owned(), words });
        }
        found
    }

    /// A command of this runtime, with a state root of its own below `state`; arguments can follow.
    pub fn command(&self, scratch: &Scratch, state: &Path) -> Command {
        let (program, rest) = self.words.split_first().expect("a program");
        let mut command = scratch.command(PathBuf::from(program));
        command.args(rest).arg("--root").arg(state.join(self.slug()));
        command.stdin(Stdio::null()).stdout(Stdio::null());
        command
    }

    /// The name as a part of ids and paths.
    pub fn slug(&self) -> String {
        self.name.chars().filter(char::is_ascii_alphanumeric).collect()
    }

    /// Name and version line.
    pub fn version(&self) -> String {
        let (program, rest) = self.words.split_first().expect("a program");
        let output = Command::new(program).args(rest).arg("--version").output();
        let text = output.map(|o| String::from_utf8_lossy(&o.stdout).into_owned()).unwrap_or_default();
        format!("{}: {}", self.name, text.lines().next().unwrap_or_default())
    }
}

/// A peer from another release is started through a script that calls its own loader (`exec LOADER … PROGRAM "$@"`): the loader
/// is called here, so that the peer does not pay for a shell.
fn direct(program: &Path) -> Vec<OsString> {
    let script = std::fs::read_to_string(program).unwrap_or_default();
    let line = script.lines().find_map(|line| line.strip_prefix("exec "));
    match line.and_then(|line| line.strip_suffix(" \"$@\"")) {
        Some(words) => words.split(' ').map(OsString::from).collect(),
        None => vec![program.into()],
    }
}

pub(super) fn complain(why: &str) {
    use std::io::Write;
    drop(writeln!(std::io::stderr(), "bench: left out: {why}"));
}
