//! Identity, descriptors and capabilities that a container must not have.

use super::harness::Case;
use plimsoll_testkit::run;
use plimsoll_testkit::runtimes::Runtime;
use serde_json::json;
use std::time::{Duration, Instant};

/// CVE-2019-5736: a container catches the runtime through `/proc/<pid>/exe` and writes to it once it has ended.
pub(super) fn cve_2019_5736(runtime: Runtime) {
    let mut case = Case::new(runtime);
    let program = case.scratch.join("runtime");
    std::fs::copy(case.runtime.program(), &program).expect("a copy of the runtime");
    let before = std::fs::read(&program).expect("the copy");
    case.sh(
        "echo ready; n=0; while [ $n -lt 3000 ]; do for p in /proc/[0-9]*; do case \"$(readlink $p/exe)\" in \
         *busybox|*/sh|*/sleep|'') ;; *) exec 9<$p/exe && while [ $n -lt 3000 ]; do n=$((n+1)); \
         (echo overwritten > /proc/self/fd/9) 2>/dev/null && echo WROTE; done;; esac; done; n=$((n+1)); done; echo ended; sleep 60",
    );
    let root = case.scratch.dir("root");
    let log = case.scratch.join("log");
    let id = case.scratch.id("it");
    let command = |verb: &str, case: &Case| {
        let mut command = case.scratch.command(&program);
        command.arg("--root").arg(&root).arg(verb);
        command
    };
    let mut start = command("run", &case);
    start.arg("--bundle").arg(&case.made.path).arg(&id).stdout(std::fs::File::create(&log).expect("a file"));
    case.scratch.spawn(&mut start);
    let until = Instant::now() + Duration::from_secs(20);
    while Instant::now() < until {
        let text = std::fs::read_to_string(&log).expect("the log");
        if text.contains("ended") {
            break;
        }
        if text.contains("ready") {
            // The entry point is the runtime itself. Whether it then likes its arguments is its business.
            drop(run(command("exec", &case).arg(&id).args(["/proc/self/exe", "--help"])));
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    assert!(!std::fs::read_to_string(&log).expect("the log").contains("WROTE"));
    assert!(std::fs::read(&program).expect("the copy") == before, "the runtime was overwritten");
}

/// CVE-2021-43784: lengths in the config beyond what the runtime's own protocol can say.
pub(super) fn cve_2021_43784(runtime: Runtime) {
    let long = format!("/{}", "a".repeat(70_000));
    for (pointer, value) in [
        ("/linux/maskedPaths", json!([long])),
        ("/process/cwd", json!(long)),
        ("/hostname", json!("h".repeat(70_000))),
        ("/linux/namespaces/0/path", json!(long)),
        ("/linux/cgroupsPath", json!(long)),
    ] {
        let mut case = Case::new(runtime);
        case.made.set(pointer, value);
        case.sh("echo started");
        let output = case.run();
        let masked = pointer == "/linux/maskedPaths" && output.code == 0;
        assert!(
            masked || (output.code == 1 && output.stdout.is_empty()),
            "{pointer}: {} {}",
            output.code,
            output.stderr
        );
    }
}

/// CVE-2022-29162, CVE-2025-27612 and their kin: no inheritable capability that nobody asked for, in `run` and in `exec`.
pub(super) fn cve_2022_29162(runtime: Runtime) {
    let mut case = Case::new(runtime);
    case.sh("grep CapInh /proc/self/status; echo ready; sleep 30");
    let log = case.start();
    assert!(std::fs::read_to_string(log).expect("the log").contains("CapInh:\t0000000000000000\n"));
    for extra in [&[][..], &["--cap", "CAP_KILL"][..]] {
        let mut command = case.runtime.command(&case.scratch);
        command.arg("exec").args(extra).arg(case.scratch.id("it")).args(["grep", "CapInh", "/proc/self/status"]);
        assert_eq!(run(&mut command).ok(), "CapInh:\t0000000000000000\n");
    }
}

/// CVE-2024-21626: a working directory that names a descriptor which the runtime forgot to close.
pub(super) fn cve_2024_21626(runtime: Runtime) {
    for number in 3..64 {
        let mut case = Case::new(runtime);
        case.made.set("/process/cwd", json!(format!("/proc/self/fd/{number}")));
        case.sh("pwd; ls -a ../../../../..; echo started");
        let output = case.run();
        assert!(output.code != 0 && !output.stdout.contains("started"), "fd {number}: {output:?}");
    }
}

/// CVE-2024-21626 by `exec`: no descriptor but the first three, and no working directory through one.
pub(super) fn cve_2024_21626_exec(runtime: Runtime) {
    let mut case = Case::new(runtime);
    case.sh("echo ready; sleep 30");
    case.start();
    // The last one is the folder that ls reads.
    assert_eq!(case.exec(&["ls", "/proc/self/fd"]).ok(), "0\n1\n2\n3\n");
    assert_eq!(case.exec(&["sh", "-c", "echo $(ls /proc/1/fd)"]).ok(), "0 1 2\n");
    for number in 3..12 {
        let cwd = format!("/proc/self/fd/{number}");
        let mut command = case.runtime.command(&case.scratch);
        command.args(["exec", "--cwd", &cwd]).arg(case.scratch.id("it")).args(["pwd"]);
        assert_ne!(run(&mut command).code, 0, "{cwd}");
    }
}

/// CVE-2023-25173, CVE-2022-36109: the groups are those of the spec, all of them and no other.
pub(super) fn cve_2023_25173(runtime: Runtime) {
    let mut case = Case::new(runtime);
    case.made.set("/process/user", json!({ "uid": 1000, "gid": 1000 }));
    case.sh("id -G");
    assert_eq!(case.run().ok(), "1000\n");
}

/// CVE-2026-30892: `exec --user` takes numbers, not what begins like one.
pub(super) fn cve_2026_30892(runtime: Runtime) {
    let mut case = Case::new(runtime);
    case.sh("echo ready; sleep 30");
    case.start();
    let exec = |user: &str| {
        let mut command = case.runtime.command(&case.scratch);
        command.args(["exec", "--user", user]).arg(case.scratch.id("it")).args(["sh", "-c", "echo $(id -u):$(id -g)"]);
        run(&mut command)
    };
    assert_eq!(exec("1000:2000").ok(), "1000:2000\n");
    assert!(exec("1000").ok().starts_with("1000:"));
    for user in ["1a", "1000:1b", "-1", "4294967296", "1:4294967296", "99999999999999999999", "1:2:3"] {
        assert_ne!(exec(user).code, 0, "{user:?}");
    }
}

/// CVE-2023-25809: in a user namespace and without a cgroup namespace, `/sys/fs/cgroup` must not be writable.
pub(super) fn cve_2023_25809(runtime: Runtime) {
    let mut case = Case::new(runtime);
    case.in_a_user_namespace();
    case.sh(
        "for c in /sys/fs/cgroup/*; do mkdir $c/made 2>/dev/null && echo MADE $c; \
         (echo 1 > $c/cgroup.procs) 2>/dev/null && echo WROTE $c; (echo 1 > $c/notify_on_release) 2>/dev/null && echo WROTE $c; done; echo ended",
    );
    assert_eq!(case.run().ok(), "ended\n");
}
