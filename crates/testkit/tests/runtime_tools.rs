//! The validation programs of opencontainers/runtime-tools: all that runc or crun passes here, plimrun passes.
#![cfg(feature = "privileged")]

use plimsoll_testkit::run::with_deadline;
use plimsoll_testkit::runtimes::Runtime;
use plimsoll_testkit::{Scratch, peers};
use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// What a peer passes and ours does not, by program and beginning of the assertion, and why.
const ARGUED: [(&str, &str); 5] = [
    // Not stopped but created: nothing has run, so nothing is lost. runc deletes it too; crun refuses.
    ("delete", "attempting to `delete` a container that is not `stopped` MUST generate an error"),
    // The program holds it true when `start` succeeds. Such a config is refused by `create`, as by runc; crun takes it.
    ("start", "`start` operation MUST generate an error if `process` was not set"),
    // A label that this host cannot apply is refused, not left out.
    ("linux_mount_label", ""),
    ("linux_process_apparmor_profile", ""),
    // Mounts are attached in order; mountinfo lists them as they were made (Linux 6.8), and binds are made first.
    ("mounts", "mounts["),
];
/// How many programs at a time: each waits for seconds.
const WIDTH: usize = 4;

/// What one program said of one runtime: its assertions (TAP lines without their numbers).
#[derive(Clone, Debug, Default)]
struct Said {
    held: BTreeSet<String>,
    failed: BTreeSet<String>,
    /// As many assertions as the program had planned, all held: there is nothing that a peer could pass besides.
    whole: bool,
    stderr: String,
}

/// A folder for one runtime in which every program finds what it looks for in its working folder.
fn place(scratch: &Scratch, runtime: Runtime, tools: &Path) -> (PathBuf, PathBuf) {
    let folder = scratch.dir(&format!("in-{}", runtime.0));
    for entry in std::fs::read_dir(tools).expect("the tools").flatten() {
        let name = entry.file_name();
        let wanted = name == "runtimetest" || name.to_string_lossy().starts_with("rootfs-");
        if wanted {
            // Not a link: it would be copied into the bundle as one.
            std::fs::copy(entry.path(), folder.join(&name)).expect("a copy");
        }
    }
    // The programs call one file with the verb: a script that adds what this runtime needs.
    let inner = runtime.command(scratch);
    let words: Vec<String> = std::iter::once(inner.get_program())
        .chain(inner.get_args())
        .map(|word| format!("'{}'", word.to_string_lossy()))
        .collect();
    let script =
        scratch.file(&format!("runtime-{}", runtime.0), format!("#!/bin/sh\nexec {} \"$@\"\n", words.join(" ")));
    std::fs::set_permissions(&script, PermissionsExt::from_mode(0o755)).expect("a mode");
    (folder, script)
}

fn ask(scratch: &Scratch, runtime: Runtime, program: &Path, folder: &Path, script: &Path) -> Said {
    let mut command = scratch.command(program);
    command.current_dir(folder).env("RUNTIME", script).env("TMPDIR", scratch.dir(&format!("fast/{}", runtime.0)));
    let output = match with_deadline(&mut command, Duration::from_secs(60)) {
        Ok(output) => output,
        Err(why) => return Said { stderr: why, ..Said::default() },
    };
    let mut said = Said { stderr: output.stderr, ..Said::default() };
    let (mut planned, mut lines) = (0, 0);
    for line in output.stdout.lines().map(str::trim) {
        let text =
            |rest: &str| rest.trim_start_matches(|c: char| c.is_ascii_digit() || c == ' ' || c == '-').to_owned();
        if let Some(plan) = line.strip_prefix("1..") {
            planned = plan.parse().unwrap_or(0);
        } else if let Some(rest) = line.strip_prefix("not ok") {
            said.failed.insert(text(rest));
        } else if let Some(rest) = line.strip_prefix("ok") {
            lines += 1;
            said.held.insert(text(rest));
        }
    }
    said.whole = output.code == 0 && lines == planned && lines > 0 && said.failed.is_empty();
    said
}

/// The programs by name, but for those whose subject this host does not have.
fn programs(tools: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(tools).expect("the tools").flatten().map(|entry| entry.path());
    let program = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        // Its containers have no mount and no UTS namespace: runc mounts on the host then, and names it.
        name != "runtimetest" && name != "linux_ns_itype" && !name.ends_with(".gz")
    };
    let mut programs: Vec<PathBuf> = entries.filter(program).collect();
    programs.sort();
    programs
}

#[test]
#[ignore = "run by `./dev conformance`, which gets the programs"]
fn whatever_a_peer_passes_plimrun_passes() {
    let tools = peers::cache().join("peers/bin/runtime-tools").canonicalize();
    let tools = tools.expect("get the programs with `crates/testkit/peers/peers.sh runtime-tools`");
    let scratch = Scratch::new();
    // Each container gets a root filesystem of four hundred files: in memory that takes a fifth of the time.
    let fast = scratch.dir("fast");
    rustix::mount::mount("tmpfs", &fast, "tmpfs", rustix::mount::MountFlags::empty(), None).expect("a tmpfs");
    let runtimes = ["plimrun", "runc", "crun"].map(Runtime);
    let places = runtimes.map(|runtime| place(&scratch, runtime, &tools));
    let programs = programs(&tools);
    let (next, wrong, held) = (AtomicUsize::new(0), Mutex::new(Vec::new()), AtomicUsize::new(0));
    // These all name the same cgroup, and one with processes is nobody else's to use.
    let cgroup = Mutex::new(());
    std::thread::scope(|scope| {
        for _ in 0..WIDTH {
            scope.spawn(|| {
                while let Some(program) = programs.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let shares =
                        program.file_name().is_some_and(|name| name.to_string_lossy().starts_with("linux_cgroups"));
                    let _alone = shares.then(|| cgroup.lock().expect("no panic"));
                    let asked = |(runtime, (folder, script)): (&Runtime, &(PathBuf, PathBuf))| {
                        ask(&scratch, *runtime, program, folder, script)
                    };
                    let ours = asked((&runtimes[0], &places[0]));
                    held.fetch_add(ours.held.len(), Ordering::Relaxed);
                    if ours.whole {
                        continue;
                    }
                    let peers: Vec<Said> = runtimes.iter().zip(&places).skip(1).map(asked).collect();
                    let mut lacking = lacks(program, &ours, &peers);
                    // Some delete a container at once after they killed it: they are asked twice.
                    if !lacking.is_empty() {
                        lacking = lacks(program, &asked((&runtimes[0], &places[0])), &peers);
                    }
                    wrong.lock().expect("no panic").extend(lacking);
                }
            });
        }
    });
    for runtime in runtimes {
        let left = plimsoll_testkit::run(runtime.command(&scratch).args(["list", "-q"])).stdout;
        for id in left.lines() {
            drop(plimsoll_testkit::run(runtime.command(&scratch).args(["delete", "--force", id])));
        }
    }
    forget_cgroups();
    let wrong = wrong.into_inner().expect("no panic");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let held = held.into_inner();
    assert!(held > 300, "only {held} assertions held: the programs did not run");
}

/// The programs' own relative path, of which runc leaves the parents.
fn forget_cgroups() {
    for hierarchy in std::fs::read_dir("/sys/fs/cgroup").expect("cgroups").flatten() {
        for path in ["testdir/cgrouptest", "testdir"] {
            drop(std::fs::remove_dir(hierarchy.path().join(path)));
        }
    }
}

/// What a peer passed and ours did not.
fn lacks(program: &Path, ours: &Said, peers: &[Said]) -> Vec<String> {
    let name = program.file_name().unwrap_or_default().to_string_lossy();
    let passed: BTreeSet<&String> = peers.iter().flat_map(|peer| peer.held.difference(&peer.failed)).collect();
    let missing = passed.into_iter().filter(|what| !ours.held.contains(*what) || ours.failed.contains(*what));
    let argued = |what: &str| ARGUED.iter().any(|(program, begin)| *program == name && what.starts_with(begin));
    let missing = missing.filter(|what| !argued(what));
    missing.map(|what| format!("{name}: {what}; said {}", ours.stderr.trim())).collect()
}
