//! Where the time of a start goes: the kernel's own trace of every system call of one `run`, cut into phases at the calls that
//! every runtime must make. The same cuts are made in the floor program's trace. x86-64 only: the cuts are call numbers.

use super::gate::Gate;
use super::start::prepared;
use super::timed::quantile;
use crate::Scratch;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

const EXECVE: u32 = 59;
const PIVOT_ROOT: u32 = 155;
const PRCTL: u32 = 157;
const UMOUNT: u32 = 166;
const CLONE3: u32 = 435;

/// In the order in which they happen; each ends where the next begins.
pub const PHASES: [&str; 9] = [
    "start, and once more sealed",
    "config, state, cgroup",
    "clone",
    "mounts, devices",
    "pivot, old root away",
    "names, masks, read-only",
    "credentials, release",
    "exec, program, its end",
    "wait, delete",
];

/// Milliseconds per phase.
pub type Phases = [f64; PHASES.len()];

/// One event of the trace.
#[derive(Clone, Debug, PartialEq)]
enum What {
    Enter(u32),
    Leave(u32),
    Exec,
    End,
}

#[derive(Clone, Debug)]
struct Event {
    pid: u32,
    millis: f64,
    what: What,
}

/// A tracing instance of our own, removed when dropped.
#[derive(Debug)]
pub struct Tracer {
    folder: PathBuf,
}

impl Tracer {
    /// # Errors
    /// When the kernel's tracing is not to be had here.
    pub fn new(scratch: &Scratch) -> Result<Tracer, String> {
        let mount = scratch.dir("tracing");
        let done = Command::new("mount").args(["-t", "tracefs", "tracefs"]).arg(&mount).status();
        if !done.is_ok_and(|status| status.success()) {
            return Err("tracefs cannot be mounted".to_owned());
        }
        let folder = mount.join("instances").join(scratch.cgroup_prefix());
        fs::create_dir(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
        let tracer = Tracer { folder };
        tracer.set("trace_clock", "mono")?;
        tracer.set("options/event-fork", "1")?;
        for event in
            ["raw_syscalls/sys_enter", "raw_syscalls/sys_exit", "sched/sched_process_exec", "sched/sched_process_exit"]
        {
            tracer.set(&format!("events/{event}/enable"), "1")?;
        }
        Ok(tracer)
    }

    fn set(&self, file: &str, value: &str) -> Result<(), String> {
        let path = self.folder.join(file);
        fs::write(&path, value).map_err(|error| format!("{}: {error}", path.display()))
    }

    /// The phases of one run of `command`.
    ///
    /// # Errors
    /// When it fails, or does not make the calls that a start must make.
    pub fn once(&self, command: &Command) -> Result<Phases, String> {
        self.set("trace", "")?;
        // Stopped before it begins, so that it can be named to the tracer.
        let mut held = Command::new("sh");
        held.args(["-c", "kill -STOP $$; exec \"$@\"", "sh"]).arg(command.get_program()).args(command.get_args());
        let mut child = held.stdin(Stdio::null()).stdout(Stdio::null()).spawn().map_err(|error| error.to_string())?;
        let pid = child.id();
        stopped(pid)?;
        self.set("set_event_pid", &pid.to_string())?;
        self.set("tracing_on", "1")?;
        let process = rustix::process::Pid::from_raw(pid.cast_signed()).ok_or("no pid")?;
        rustix::process::kill_process(process, rustix::process::Signal::CONT).map_err(|error| error.to_string())?;
        let status = child.wait().map_err(|error| error.to_string())?;
        self.set("tracing_on", "0")?;
        if !status.success() {
            return Err(status.to_string());
        }
        let text = fs::read_to_string(self.folder.join("trace")).map_err(|error| error.to_string())?;
        let events: Vec<Event> = text.lines().filter_map(parse).collect();
        cut(pid, &events).ok_or_else(|| "a call that every start makes is missing in the trace".to_owned())
    }
}

impl Drop for Tracer {
    fn drop(&mut self) {
        drop(fs::remove_dir(&self.folder));
    }
}

fn stopped(pid: u32) -> Result<(), String> {
    let until = Instant::now() + Duration::from_secs(5);
    while Instant::now() < until {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        if stat.contains(") T ") {
            return Ok(());
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    Err("the traced process does not stop".to_owned())
}

/// `   plimrun-4711    [001] .....   123.456789: sys_enter: NR 59 (…)`.
fn parse(line: &str) -> Option<Event> {
    if line.starts_with('#') {
        return None;
    }
    let (task, rest) = line.split_once(" [")?;
    let pid = task.trim_end().rsplit('-').next()?.parse().ok()?;
    let (head, event) = rest.split_once(": ")?;
    let seconds: f64 = head.split_whitespace().last()?.parse().ok()?;
    let (name, detail) = event.split_once(": ")?;
    let number = || detail.strip_prefix("NR ")?.split([' ', '=']).next()?.parse().ok();
    let what = match name {
        "sys_enter" => What::Enter(number()?),
        "sys_exit" => What::Leave(number()?),
        "sched_process_exec" => What::Exec,
        "sched_process_exit" => What::End,
        _ => return None,
    };
    Some(Event { pid, millis: seconds * 1000.0, what })
}

/// Where each phase begins and the last one ends.
fn cut(parent: u32, events: &[Event]) -> Option<Phases> {
    let at = |pid: u32, what: &What| {
        events.iter().filter(move |e| e.pid == pid && e.what == *what).map(|e| e.millis).collect()
    };
    let execs: Vec<f64> = at(parent, &What::Exec);
    let clone: Vec<f64> = at(parent, &What::Enter(CLONE3));
    let clone = *clone.last()?;
    let first = events.iter().find(|e| e.pid != parent && e.millis >= clone)?;
    let child = first.pid;
    let of_child = |what: What| -> Vec<f64> { at(child, &what) };
    let pivot = *of_child(What::Enter(PIVOT_ROOT)).first()?;
    let away = of_child(What::Leave(UMOUNT)).into_iter().find(|&t| t > pivot)?;
    let credentials = of_child(What::Enter(PRCTL)).into_iter().find(|&t| t > away)?;
    let exec = *of_child(What::Enter(EXECVE)).last()?;
    let end = *of_child(What::End).last()?;
    let last: Vec<f64> = at(parent, &What::End);
    let [begin, sealed] = [*execs.first()?, *execs.get(1)?];
    let edges = [begin, sealed, clone, first.millis, pivot, away, credentials, exec, end, *last.last()?];
    let mut phases = [0.0; PHASES.len()];
    for (phase, pair) in phases.iter_mut().zip(edges.windows(2)) {
        *phase = pair[1] - pair[0];
    }
    Some(phases)
}

/// Markdown: the medians of each phase of ours beside the floor's.
pub fn table(ours: &[Phases], floor: &[Phases]) -> String {
    let mut out = String::from("| phase | plimrun ms | floor ms |\n|---|---|---|\n");
    let median = |runs: &[Phases], phase: usize| quantile(&runs.iter().map(|run| run[phase]).collect::<Vec<_>>(), 0.5);
    for (phase, name) in PHASES.iter().enumerate() {
        writeln!(out, "| {name} | {:.3} | {:.3} |", median(ours, phase), median(floor, phase))
            .expect("writing to a string cannot fail");
    }
    out
}

/// Traces `run` of `/bin/true` by plimrun and by the floor program, in turn, in the cgroup v2 layout.
///
/// # Errors
/// When there is no tracing here, or a run fails.
pub fn measure(rounds: u32, state: &Path) -> Result<(Vec<Phases>, Vec<Phases>), String> {
    let scratch = Scratch::new();
    let tracer = Tracer::new(&scratch)?;
    let mut made = prepared(&scratch, false);
    made.set("/linux/resources", serde_json::json!({}));
    let mut ours = scratch.command(crate::bin("plimrun"));
    ours.arg("--root").arg(state.join("traced")).args(["run", "--bundle"]).arg(&made.path).arg(scratch.id("traced"));
    let mut floor = scratch.command(crate::bin("floor"));
    floor.arg(made.path.join("rootfs")).arg(format!("/sys/fs/cgroup/{}-floor", scratch.cgroup_prefix()));
    let mut gate = Gate::default();
    let mut found = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        gate.wait();
        found.0.push(tracer.once(&ours)?);
        gate.wait();
        found.1.push(tracer.once(&floor)?);
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_the_trace() {
        let event =
            parse("  plim-run-12-4711    [001] .....  123.456789: sys_enter: NR 435 (7f, 58)").expect("an event");
        assert_eq!((event.pid, event.what), (4711, What::Enter(CLONE3)));
        let event = parse("  true-4712    [001] .....  123.5: sys_exit: NR 166 = 0").expect("an event");
        assert_eq!(event.what, What::Leave(UMOUNT));
        assert!(parse("# tracer: nop").is_none());
    }

    #[test]
    fn phases_follow_each_other() {
        let event = |pid, millis, what| Event { pid, millis, what };
        let events = [
            event(1, 0.0, What::Exec),
            event(1, 1.0, What::Exec),
            event(1, 2.0, What::Enter(CLONE3)),
            event(2, 3.0, What::Leave(CLONE3)),
            event(2, 5.0, What::Enter(PIVOT_ROOT)),
            event(2, 6.0, What::Leave(UMOUNT)),
            event(2, 8.0, What::Enter(PRCTL)),
            event(2, 9.0, What::Enter(EXECVE)),
            event(2, 11.0, What::End),
            event(1, 12.0, What::End),
        ];
        assert_eq!(cut(1, &events), Some([1.0, 1.0, 1.0, 2.0, 1.0, 2.0, 1.0, 2.0, 1.0]));
        assert_eq!(cut(1, &events[..5]), None);
    }
}
