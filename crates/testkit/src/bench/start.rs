//! `run` of `/bin/true` from start to end, per runtime, with and without seccomp, beside the floor program (`benches/floor.c`),
//! which does the same with bare system calls.

use super::contender::{Contender, complain};
use super::gate::Gate;
use super::layout::Layout;
use super::timed::Series;
use crate::{Bundle, Scratch, bundle};
use plimsoll_runtime::seccomp::{Arch, compile};
use plimsoll_sys::cgroup::Layout as Trees;
use serde_json::json;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Measures in this process's cgroup layout: everybody once a round, in turn. States are kept below `state`.
///
/// # Panics
/// When a runtime that worked before the first round fails in one.
pub fn measure(layout: Layout, rounds: u32, state: &Path) -> (Vec<Series>, Gate) {
    let scratch = Scratch::new();
    let cases = cases(&scratch, layout);
    let mut lines = Vec::new();
    lines.extend(cases.iter().filter_map(|(case, made)| floor(&scratch, layout, made, case)));
    for contender in Contender::all() {
        for (case, made) in &cases {
            let mut command = contender.command(&scratch, state);
            command.args(["run", "--bundle"]).arg(&made.path).arg(scratch.id(&format!("{}-{case}", contender.slug())));
            lines.extend(Line::new(Series::new(&contender.name, case), command));
        }
    }
    let mut gate = Gate::default();
    for _ in 0..rounds {
        for line in &mut lines {
            gate.wait();
            line.series.once(&mut line.command).unwrap_or_else(|why| panic!("{why}"));
        }
    }
    for line in &mut lines {
        line.series.measure_peak(&scratch, &line.command);
    }
    (lines.into_iter().map(|line| line.series).collect(), gate)
}

struct Line {
    series: Series,
    command: Command,
}

impl Line {
    /// `None`, having said why, when the program cannot run this bundle on this machine.
    fn new(series: Series, mut command: Command) -> Option<Line> {
        let mut first = series.clone();
        first.once(&mut command).map_err(|why| complain(&why)).ok()?;
        Some(Line { series, command })
    }
}

/// What is run. On v2 a device rule means a program for the kernel to check, which Debian 12's crun cannot load without the right
/// to raise its limit of locked memory: there the rule is a case of its own.
fn cases(scratch: &Scratch, layout: Layout) -> Vec<(&'static str, Bundle)> {
    let devices = |mut made: Bundle| {
        if layout == Layout::V2 {
            made.set("/linux/resources", json!({}));
        }
        made
    };
    let mut cases = vec![("plain", devices(prepared(scratch, false))), ("seccomp", devices(prepared(scratch, true)))];
    if layout == Layout::V2 {
        cases.push(("devices", prepared(scratch, false)));
    }
    cases
}

/// The floor program, which `./dev bench` builds beside ours.
fn floor(scratch: &Scratch, layout: Layout, made: &Bundle, case: &str) -> Option<Line> {
    let program = crate::bin::bin_dir().join("floor");
    if !program.is_file() {
        complain("the floor program is not built (./dev bench builds it)");
        return None;
    }
    let mut command = scratch.command(program);
    let group = format!("{}-floor-{case}", scratch.cgroup_prefix());
    let trees = match plimsoll_sys::cgroup::detect().expect("the machine's cgroups") {
        Trees::V2(tree) => vec![tree],
        Trees::V1(trees) => trees,
    };
    let groups: Vec<String> = trees.iter().map(|tree| format!("{}/{group}", tree.mount.display())).collect();
    command.arg(made.path.join("rootfs")).arg(groups.join(","));
    // On v1 the rule is in every case.
    if case == "devices" || layout == Layout::V1 {
        command.arg("devices");
    }
    if case == "seccomp" {
        command.arg(native_filter(scratch, made));
    }
    command.stdin(Stdio::null()).stdout(Stdio::null());
    Line::new(Series::new("floor", case), command)
}

/// The bundle that `runc spec` writes, running `/bin/true`.
pub fn prepared(scratch: &Scratch, filtered: bool) -> Bundle {
    let mut made = bundle(scratch);
    // The newest version that Debian 12's crun accepts.
    made.set("/ociVersion", json!("1.0.2"));
    made.args(&["/bin/true"]);
    if filtered {
        let caps: Vec<&str> = Vec::new();
        made.set("/linux/seccomp", plimsoll_core::oci_spec::default_profile(std::env::consts::ARCH, &caps));
    }
    made
}

/// The bundle's filter as the kernel takes it, for a program that compiles none.
fn native_filter(scratch: &Scratch, made: &Bundle) -> PathBuf {
    let profile = serde_json::from_value(made.config["linux"]["seccomp"].clone()).expect("a profile");
    let filter = compile(&profile, Arch::native().expect("an architecture with a table")).expect("a filter");
    let bytes = filter.program.iter().flat_map(|i| {
        let [c0, c1] = i.code.to_ne_bytes();
        let [k0, k1, k2, k3] = i.k.to_ne_bytes();
        [c0, c1, i.jt, i.jf, k0, k1, k2, k3]
    });
    scratch.file("filter", bytes.collect::<Vec<u8>>())
}
