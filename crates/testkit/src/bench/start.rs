//! `run` of `/bin/true` from start to end, per runtime, with and without seccomp.

use super::gate::Gate;
use crate::runtimes::Runtime;
use crate::{Bundle, Scratch, bundle};
use plimsoll_sys::usage;
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// One line of the table: what ran, and how long each time, in milliseconds.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Series {
    pub runtime: String,
    pub case: String,
    pub millis: Vec<f64>,
    /// Processor time of the runtime and its container, in milliseconds.
    pub cpu: Vec<f64>,
}

/// The cgroup layout that the runtimes see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// What the machine has, without its unified part, which crun refuses.
    V1,
    /// A cgroup2 mount alone, with the few controllers that v1 leaves it.
    V2,
}

impl Layout {
    pub fn name(self) -> &'static str {
        match self {
            Layout::V1 => "v1",
            Layout::V2 => "v2",
        }
    }

    /// Shell commands that make the layout in a private mount namespace.
    fn script(self, scratch: &Scratch) -> String {
        let change = match self {
            Layout::V1 => format!("mount --bind {} /sys/fs/cgroup/unified", scratch.dir("empty").display()),
            Layout::V2 => "mount -t cgroup2 cgroup2 /sys/fs/cgroup".to_owned(),
        };
        format!("mount --make-rprivate / && {change} && exec \"$@\"")
    }
}

/// Measures in another process, which has the layout to itself.
///
/// # Errors
/// What the other process said.
pub fn in_layout(layout: Layout, rounds: u32) -> Result<(Vec<Series>, Gate), String> {
    let scratch = Scratch::new();
    let own = std::env::current_exe().map_err(|error| error.to_string())?;
    let mut command = scratch.command("unshare");
    command.args(["-m", "sh", "-c", &layout.script(&scratch), "sh"]).arg(own);
    command.args(["--measure", layout.name(), &rounds.to_string()]).stderr(Stdio::inherit());
    let output = command.output().map_err(|error| error.to_string())?;
    let (series, [checks, waited, noisy]): (Vec<Series>, [u32; 3]) =
        serde_json::from_slice(&output.stdout).map_err(|error| format!("layout {}: {error}", layout.name()))?;
    Ok((series, Gate { checks, waited, noisy }))
}

/// Measures here: every runtime once a round, in turn.
///
/// # Panics
/// When a runtime that worked before the first round fails in one.
pub fn measure(layout: &str, rounds: u32) -> (Vec<Series>, Gate) {
    let scratch = Scratch::new();
    let plain = prepared(&scratch, layout, false);
    let filtered = prepared(&scratch, layout, true);
    let mut lines = Vec::new();
    for name in ["plimrun", "crun", "runc"] {
        for (case, made) in [("plain", &plain), ("seccomp", &filtered)] {
            let Some(line) = Line::new(&scratch, name, case, made) else { continue };
            lines.push(line);
        }
    }
    let mut gate = Gate::default();
    for _ in 0..rounds {
        for line in &mut lines {
            gate.wait();
            let before = usage::children();
            let took = line.once().unwrap_or_else(|why| panic!("{}: {why}", line.series.runtime));
            line.series.millis.push(took.as_secs_f64() * 1000.0);
            line.series.cpu.push((usage::children() - before).as_secs_f64() * 1000.0);
        }
    }
    (lines.into_iter().map(|line| line.series).collect(), gate)
}

struct Line {
    series: Series,
    command: Command,
}

impl Line {
    /// `None`, having said why, when the runtime is not here or cannot run this bundle on this machine.
    fn new(scratch: &Scratch, name: &'static str, case: &str, made: &Bundle) -> Option<Line> {
        let program: PathBuf = if name == "plimrun" {
            crate::bin(name)
        } else {
            crate::peers::find(name).map_err(|why| complain(name, &why)).ok()?
        };
        let mut command = scratch.command(program);
        command.arg("--root").arg(scratch.dir(&format!("root-{name}")));
        command.args(["run", "--bundle"]).arg(&made.path).arg(format!("{}-{case}", scratch.id(name)));
        command.stdin(Stdio::null()).stdout(Stdio::null());
        let series = Series { runtime: name.to_owned(), case: case.to_owned(), millis: Vec::new(), cpu: Vec::new() };
        let mut line = Line { series, command };
        line.once().map_err(|why| complain(name, &why)).ok()?;
        Some(line)
    }

    fn once(&mut self) -> Result<Duration, String> {
        let began = Instant::now();
        let status = self.command.status().map_err(|error| error.to_string())?;
        let took = began.elapsed();
        if status.success() { Ok(took) } else { Err(format!("{status}")) }
    }
}

fn complain(name: &str, why: &str) {
    use std::io::Write;
    drop(writeln!(std::io::stderr(), "bench: {name} is left out: {why}"));
}

/// The bundle of `runc spec` that runs `/bin/true`. On the v2 layout device rules are left out: attaching a program to the root
/// needs a right that this machine may not give (RLIMIT_MEMLOCK in older peers).
fn prepared(scratch: &Scratch, layout: &str, filtered: bool) -> Bundle {
    let mut made = bundle(scratch);
    made.set("/ociVersion", json!("1.0.2"));
    made.args(&["/bin/true"]);
    if layout == "v2" {
        made.set("/linux/resources", json!({}));
    }
    if filtered {
        let caps: Vec<&str> = Vec::new();
        made.set("/linux/seccomp", plimsoll_core::oci_spec::default_profile(std::env::consts::ARCH, &caps));
    }
    made
}

/// The runtimes' versions, for the table's heading.
pub fn versions() -> Vec<(String, String)> {
    ["plimrun", "crun", "runc"]
        .into_iter()
        .filter_map(|name| {
            let program = if name == "plimrun" { Some(crate::bin(name)) } else { crate::peers::find(name).ok() };
            let output = Command::new(program?).arg("--version").output().ok()?;
            let text = String::from_utf8_lossy(&output.stdout).into_owned();
            Some((Runtime(name).0.to_owned(), text.lines().next().unwrap_or_default().to_owned()))
        })
        .collect()
}
