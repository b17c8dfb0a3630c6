//! `exec true` into a running container, per runtime, and through the linked crate as the shim calls it.

use super::contender::{Contender, complain};
use super::gate::Gate;
use super::start::prepared;
use super::timed::Series;
use crate::Scratch;
use std::path::Path;
use std::process::Command;

/// Measures in this process's cgroup layout.
///
/// # Panics
/// When a runtime that worked before the first round fails in one.
pub fn measure(rounds: u32, state: &Path) -> (Vec<Series>, Gate) {
    let scratch = Scratch::new();
    let mut lines: Vec<(Series, Command)> = Vec::new();
    let mut ends = Vec::new();
    let mut linked = None;
    for contender in Contender::all() {
        let mut made = prepared(&scratch, false);
        made.set("/linux/resources", serde_json::json!({}));
        made.args(&["/bin/sleep", "1000"]);
        let id = scratch.id(&format!("exec-{}", contender.slug()));
        let mut create = contender.command(&scratch, state);
        create.args(["run", "--detach", "--bundle"]).arg(&made.path).arg(&id);
        // What runs on must not hold our pipes open.
        create.stderr(std::process::Stdio::null());
        if !create.status().is_ok_and(|status| status.success()) {
            complain(&format!("{} cannot start a container in the background", contender.name));
            continue;
        }
        let mut end = contender.command(&scratch, state);
        end.args(["delete", "--force", &id]);
        ends.push(end);
        let mut command = contender.command(&scratch, state);
        command.args(["exec", &id, "/bin/true"]);
        if contender.name == "plimrun" {
            linked = Some((state.join(contender.slug()), id));
        }
        lines.push((Series::new(&contender.name, "exec"), command));
    }
    let mut gate = Gate::default();
    for _ in 0..rounds {
        for (series, command) in &mut lines {
            gate.wait();
            series.once(command).unwrap_or_else(|why| panic!("{why}"));
        }
    }
    let mut series: Vec<Series> = lines.into_iter().map(|(series, _)| series).collect();
    if let Some((root, id)) = linked {
        series.extend(through_the_crate(&root, &id, rounds));
    }
    for mut end in ends {
        assert!(end.status().is_ok_and(|status| status.success()), "a container of the benchmark is left: {end:?}");
    }
    (series, gate)
}

/// The example program of the runtime crate, which `./dev bench` builds beside ours.
fn through_the_crate(root: &Path, id: &str, rounds: u32) -> Option<Series> {
    let program = crate::bin::bin_dir().join("linked-exec");
    let output = Command::new(&program).arg(root).args([id, &rounds.to_string(), "60"]).output();
    let output = output.map_err(|error| complain(&format!("{}: {error}", program.display()))).ok()?;
    if !output.status.success() {
        complain(&format!("linked-exec: {}", String::from_utf8_lossy(&output.stderr)));
        return None;
    }
    let text = String::from_utf8_lossy(&output.stdout);
    let mut series = Series::new("linked crate", "exec");
    series.millis = text.lines().filter_map(|line| line.parse().ok()).collect();
    Some(series)
}
