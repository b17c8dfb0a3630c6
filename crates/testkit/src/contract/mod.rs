//! The contract of an OCI runtime as a table of cases, each the same for every runtime: what is changed in a config or called
//! on the command line, and what is then seen. A file per area; `verdict` runs them, `table` writes what came of it.

mod cgroups;
mod errors;
mod hooks;
mod io;
mod lifecycle;
mod mounts;
mod namespaces;
mod process;
mod seccomp;
pub mod subject;
pub mod table;
pub mod verdict;

use crate::Bundle;
use serde_json::{Value, json};
pub use subject::Subject;

/// One case: what a runtime must do, and where that is written.
#[derive(Debug)]
pub struct Case {
    /// Unique within its area.
    pub name: &'static str,
    /// The section of the runtime specification (`config.md#…`, `runtime.md#…`), or `runc(8)` for the command line.
    pub section: &'static str,
    pub act: Act,
    /// What is seen: see [`Act`].
    pub expected: &'static str,
    /// Why ours is as it is, where the peers do not agree with it; else empty.
    pub argued: &'static str,
}

/// How a case is carried out.
#[derive(Clone, Copy, Debug)]
pub enum Act {
    /// `run` of the changed bundle with a shell script as its command. Seen: standard output, and `exit <code>` when that is
    /// not 0.
    Run(fn(&mut Bundle), &'static str),
    /// As `Run` with a script that says so. Seen: `ran`, or `refused` when the runtime failed and nothing was started.
    Refused(fn(&mut Bundle)),
    /// Verbs called one after the other. Seen: what it returns.
    Life(fn(&mut Subject) -> String),
}

impl Case {
    const fn run(
        name: &'static str,
        section: &'static str,
        change: fn(&mut Bundle),
        script: &'static str,
        expected: &'static str,
    ) -> Case {
        Case { name, section, act: Act::Run(change, script), expected, argued: "" }
    }

    const fn refused(name: &'static str, section: &'static str, change: fn(&mut Bundle)) -> Case {
        Case { name, section, act: Act::Refused(change), expected: "refused", argued: "" }
    }

    const fn life(
        name: &'static str,
        section: &'static str,
        life: fn(&mut Subject) -> String,
        expected: &'static str,
    ) -> Case {
        Case { name, section, act: Act::Life(life), expected, argued: "" }
    }

    const fn argued(mut self, why: &'static str) -> Case {
        self.argued = why;
        self
    }
}

/// The areas by name, in the order of the table.
pub fn areas() -> [(&'static str, Vec<Case>); 9] {
    [
        ("lifecycle", lifecycle::cases()),
        ("process", process::cases()),
        ("mounts", mounts::cases()),
        ("namespaces", namespaces::cases()),
        ("cgroups", cgroups::cases()),
        ("seccomp", seccomp::cases()),
        ("hooks", hooks::cases()),
        ("io", io::cases()),
        ("errors", errors::cases()),
    ]
}

/// The cases of one area.
///
/// # Panics
/// When there is no such area.
pub fn area(name: &str) -> Vec<Case> {
    let found = areas().into_iter().find(|(area, _)| *area == name);
    found.unwrap_or_else(|| panic!("no area {name}")).1
}

/// Nothing is changed.
const fn as_it_is(_: &mut Bundle) {}

fn writable(bundle: &mut Bundle) {
    bundle.set("/root/readonly", json!(false));
}

/// Takes an object's key away, and writes.
fn remove(bundle: &mut Bundle, pointer: &str) {
    let (parent, key) = pointer.rsplit_once('/').expect("a JSON pointer");
    bundle.config.pointer_mut(parent).and_then(Value::as_object_mut).expect("an object").remove(key);
    bundle.write();
}

/// Appends to the mounts, and writes.
fn mount(bundle: &mut Bundle, destination: &str, kind: &str, source: &str, options: &[&str]) {
    push(bundle, "/mounts", json!({ "destination": destination, "type": kind, "source": source, "options": options }));
}

/// Appends to a list, and writes.
fn push(bundle: &mut Bundle, pointer: &str, value: Value) {
    bundle.config.pointer_mut(pointer).and_then(Value::as_array_mut).expect("a list").push(value);
    bundle.write();
}

/// A folder `source` in the bundle with the file `file`, its absolute path.
fn source(bundle: &Bundle) -> String {
    let path = bundle.path.join("source");
    std::fs::create_dir_all(path.join("sub")).expect("a folder");
    std::fs::write(path.join("file"), "text\n").expect("a file");
    path.to_string_lossy().into_owned()
}

/// Takes a namespace away, with what needs it.
fn without_namespace(bundle: &mut Bundle, kind: &str) {
    let list = bundle.config.pointer_mut("/linux/namespaces").and_then(Value::as_array_mut).expect("a list");
    list.retain(|namespace| namespace["type"] != kind);
    bundle.write();
}

/// The capabilities of all five sets.
fn capabilities(bundle: &mut Bundle, names: &[&str]) {
    for set in ["bounding", "effective", "permitted"] {
        bundle.set(&format!("/process/capabilities/{set}"), json!(names));
    }
}
