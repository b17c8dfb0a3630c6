//! The command line as callers of runc know it: flags of `exec`, pidfd sockets, sub-cgroups, `list`, `state`, `ps`,
//! `--version`; what it prints beside what runc (and crun, where it has the flag) prints.
#![cfg(feature = "privileged")]

use plimsoll_testkit::runtimes::{Runtime, runtimes};
use plimsoll_testkit::{Bundle, Output, Scratch, bundle, run};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixListener;
use std::path::Path;

const OURS: Runtime = Runtime("plimrun");
const RUNC: Runtime = Runtime("runc");

/// A running container of one runtime.
struct Running {
    scratch: Scratch,
    made: Bundle,
    runtime: Runtime,
    id: String,
}

impl Running {
    fn new(runtime: Runtime, prepare: impl Fn(&mut Bundle)) -> Running {
        let scratch = Scratch::new();
        let mut made = bundle(&scratch);
        made.args(&["sleep", "120"]);
        prepare(&mut made);
        let id = scratch.id("c");
        let running = Running { scratch, made, runtime, id };
        let bundle = running.made.path.to_string_lossy().into_owned();
        running.verb(&["run", "--detach", "--bundle", &bundle, &running.id]).ok();
        running
    }

    fn verb(&self, args: &[&str]) -> Output {
        run(self.runtime.command(&self.scratch).args(args))
    }

    fn exec(&self, flags: &[&str], command: &[&str]) -> Output {
        let mut args = vec!["exec"];
        args.extend(flags);
        args.push(&self.id);
        args.extend(command);
        self.verb(&args)
    }

    fn pid(&self) -> i64 {
        let state: Value = serde_json::from_str(&self.verb(&["state", &self.id]).ok()).expect("JSON");
        state["pid"].as_i64().expect("a pid")
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.verb(&["delete", "--force", &self.id]);
    }
}

#[test]
fn what_exec_changes_about_the_process() {
    let status = "id -u; id -g; id -G; pwd; echo $A-$B; grep -E '^(Cap...|NoNewPrivs)' /proc/self/status";
    for flags in [
        &[][..],
        &["--user", "1000:1000", "-g", "2000", "-g", "3000"],
        &["-u", "1000", "--cwd", "/tmp", "--env", "A=1", "--env", "B=2", "--env", "A=3"],
        &["--cap", "CAP_NET_RAW", "--cap", "CAP_CHOWN"],
        &["--user", "1000:1000", "-c", "CAP_NET_RAW"],
        &["--no-new-privs"],
        &["--no-new-privs=false"],
    ] {
        for inheritable in [false, true] {
            let seen: Vec<(&str, Output)> = [OURS, RUNC]
                .into_iter()
                .map(|runtime| {
                    let running = Running::new(runtime, |made| {
                        made.set("/process/noNewPrivileges", json!(flags == ["--no-new-privs=false"]));
                        if inheritable {
                            made.set("/process/capabilities/inheritable", json!(["CAP_KILL", "CAP_CHOWN"]));
                            let bounding = json!(["CAP_KILL", "CAP_NET_RAW", "CAP_CHOWN"]);
                            made.set("/process/capabilities/bounding", bounding);
                        }
                    });
                    (runtime.0, running.exec(flags, &["/bin/sh", "-c", status]))
                })
                .collect();
            let [(_, ours), (_, theirs)] = &seen[..] else { panic!("two runtimes") };
            assert_eq!(
                (ours.code, &ours.stdout),
                (theirs.code, &theirs.stdout),
                "{flags:?} {}\n{}",
                ours.stderr,
                theirs.stderr
            );
        }
    }
}

#[test]
fn a_capability_that_the_kernel_has_not_is_warned_of() {
    for runtime in [OURS, RUNC] {
        let running = Running::new(runtime, |_| {});
        let output = running.exec(&["--cap", "CAP_FROM_THE_FUTURE"], &["/bin/echo", "there"]);
        assert_eq!(output.stdout, "there\n", "{}: {}", runtime.0, output.stderr);
        assert!(output.stderr.contains("CAP_FROM_THE_FUTURE"), "{}: {}", runtime.0, output.stderr);
    }
}

#[test]
fn a_sub_cgroup_of_some_controllers() {
    if !Path::new("/sys/fs/cgroup/pids").is_dir() {
        return; // cgroup v2 has one hierarchy: `runtime_lifecycle` covers a single path.
    }
    for runtime in [OURS, RUNC] {
        let running = Running::new(runtime, |_| {});
        let path = running.made.config["linux"]["cgroupsPath"].as_str().expect("a path").to_owned();
        for controller in ["pids", "memory"] {
            std::fs::create_dir(format!("/sys/fs/cgroup/{controller}{path}/below")).expect("a group");
        }
        let show = ["/bin/sh", "-c", "grep -E ':(pids|memory|freezer):' /proc/self/cgroup | cut -d: -f2,3 | sort"];
        let output = running.exec(&["--cgroup", "pids,memory:below"], &show);
        let want = format!("freezer:{path}\nmemory:{path}/below\npids:{path}/below\n");
        assert_eq!(output.stdout, want, "{}: {}", runtime.0, output.stderr);
        for bad in ["nonsense:below", "pids:../..", "pids:absent"] {
            assert_eq!(running.exec(&["--cgroup", bad], &["true"]).code, 255, "{}: {bad}", runtime.0);
        }
        for controller in ["pids", "memory"] {
            std::fs::remove_dir(format!("/sys/fs/cgroup/{controller}{path}/below")).expect("nobody is in it");
        }
    }
}

/// The pid of a pidfd, its payload.
fn received(listener: &UnixListener) -> (i64, String) {
    let (connection, _) = listener.accept().expect("a connection");
    let mut payload = [0; 64];
    let (length, fd) = plimsoll_sys::message::receive_fd(&connection, &mut payload).expect("a message");
    let fd = fd.expect("a pidfd");
    let info = std::fs::read_to_string(format!("/proc/self/fdinfo/{}", fd.as_raw_fd())).expect("fdinfo");
    let pid =
        info.lines().find_map(|line| line.strip_prefix("Pid:")).expect("a pidfd").trim().parse().expect("a number");
    (pid, String::from_utf8_lossy(&payload[..length]).into_owned())
}

#[test]
fn pidfd_sockets() {
    for runtime in [OURS, RUNC] {
        let scratch = Scratch::new();
        let mut made = bundle(&scratch);
        made.args(&["sleep", "120"]);
        let (id, path) = (scratch.id("c"), scratch.join("pidfd.sock"));
        let listener = UnixListener::bind(&path).expect("a socket");
        let verb = |args: &[&str]| run(runtime.command(&scratch).args(args));
        let (bundle, socket) = (made.path.to_string_lossy(), path.to_string_lossy());
        verb(&["create", "--pidfd-socket", &socket, "--bundle", &bundle, &id]).ok();
        let state: Value = serde_json::from_str(&verb(&["state", &id]).ok()).expect("JSON");
        assert_eq!(
            received(&listener),
            (state["pid"].as_i64().expect("a pid"), "standard".to_owned()),
            "{}",
            runtime.0
        );
        verb(&["start", &id]).ok();
        let pid_file = scratch.join("pid");
        let pid_path = pid_file.to_string_lossy();
        verb(&["exec", "-d", "--pidfd-socket", &socket, "--pid-file", &pid_path, &id, "sleep", "60"]).ok();
        let pid: i64 = std::fs::read_to_string(&pid_file).expect("a pid").parse().expect("a number");
        assert_eq!(received(&listener), (pid, "setns".to_owned()), "{}", runtime.0);
        verb(&["delete", "--force", &id]).ok();
        let absent = verb(&["run", "-d", "--pidfd-socket", "/no/such/socket", "--bundle", &bundle, &id]);
        assert_ne!(absent.code, 0, "{}", runtime.0);
        assert_ne!(verb(&["state", &id]).code, 0, "{} left a container", runtime.0);
    }
}

#[test]
fn list_and_state_have_runcs_fields() {
    let mut seen: Vec<(Value, Value, String, String)> = Vec::new();
    for runtime in [OURS, RUNC] {
        let running = Running::new(runtime, |made| {
            made.set("/annotations", json!({ "org.example": "value" }));
        });
        let list: Value = serde_json::from_str(&running.verb(&["list", "--format", "json"]).ok()).expect("JSON");
        let state: Value = serde_json::from_str(&running.verb(&["state", &running.id]).ok()).expect("JSON");
        let table = running.verb(&["list"]).ok();
        assert_eq!(running.verb(&["list", "-q"]).ok(), format!("{}\n", running.id));
        assert_eq!(list[0]["id"], json!(running.id));
        assert_eq!(list[0]["status"], "running");
        assert_eq!(list[0]["bundle"], json!(running.made.path));
        assert!(table.contains(&running.id) && table.contains("running"));
        assert_ne!(running.verb(&["list", "--format", "nonsense"]).code, 0);
        let head: Vec<&str> = table.lines().next().expect("a head").split_whitespace().collect();
        seen.push((list, state, head.join(" "), runtime.0.to_owned()));
    }
    let keys = |value: &Value| value.as_object().expect("an object").keys().cloned().collect::<BTreeSet<_>>();
    let [ours, theirs] = &seen[..] else { panic!("two runtimes") };
    assert_eq!(keys(&ours.0[0]), keys(&theirs.0[0]));
    assert_eq!(keys(&ours.1), keys(&theirs.1));
    assert_eq!(ours.2, theirs.2);
    assert_eq!(ours.0[0]["owner"], theirs.0[0]["owner"]);
    assert_eq!(ours.1["annotations"], theirs.1["annotations"]);
}

#[test]
fn ps() {
    for runtime in runtimes() {
        let running = Running::new(runtime, |_| {});
        running.exec(&["--detach"], &["sleep", "77"]).ok();
        let pids: Vec<i64> =
            serde_json::from_str(&running.verb(&["ps", "--format", "json", &running.id]).ok()).expect("JSON");
        assert!(pids.len() == 2 && pids.contains(&running.pid()), "{}: {pids:?}", runtime.0);
        // crun 1.28 prints the pids alone and takes no options of ps.
        if runtime.0 == "crun" {
            continue;
        }
        let table = running.verb(&["ps", &running.id]).ok();
        let lines = table.lines().count();
        assert!(table.starts_with("UID") && table.contains("sleep 77") && lines == 3, "{}: {table}", runtime.0);
        let table = running.verb(&["ps", &running.id, "-e", "-o", "pid,comm"]).ok();
        assert_eq!(table.lines().count(), 3, "{}: {table}", runtime.0);
        assert_ne!(running.verb(&["ps", &running.id, "--no-such-option"]).code, 0);
        assert_ne!(running.verb(&["ps", &running.id, "-e", "-o", "comm"]).code, 0, "without a PID column");
    }
}

#[test]
fn version_is_as_callers_take_it_apart() {
    let scratch = Scratch::new();
    for flag in ["--version", "-v"] {
        let text = run(OURS.command(&scratch).arg(flag)).ok();
        let mut lines = text.lines();
        let version = lines.next().and_then(|line| line.strip_prefix("plimrun version ")).expect("the first line");
        assert!(version.split('.').count() == 3, "{version}");
        assert!(lines.any(|line| line == "spec: 1.3.0"), "{text}");
    }
}

#[test]
fn every_command_has_a_page() {
    let scratch = Scratch::new();
    let whole = run(OURS.command(&scratch).arg("--help")).ok();
    let names: Vec<&str> = whole
        .lines()
        .skip_while(|line| *line != "commands:")
        .skip(1)
        .take_while(|line| !line.is_empty())
        .filter_map(|line| line.split_whitespace().next())
        .collect();
    assert!(names.len() >= 14, "{whole}");
    for name in names {
        let page = run(OURS.command(&scratch).args([name, "--help"])).ok();
        assert!(page.starts_with(&format!("plimrun {name}: ")), "{page}");
    }
    for words in [
        &["nonsense"][..],
        &["nonsense", "--help"],
        &["create", "--nonsense", "x"],
        &["checkpoint", "x"],
        &["restore", "x"],
    ] {
        assert_eq!(run(OURS.command(&scratch).args(words)).code, 1, "{words:?}");
    }
}

#[test]
fn spec_writes_what_run_takes() {
    let scratch = Scratch::new();
    let folder = scratch.dir("new");
    run(OURS.command(&scratch).args(["spec", "-b"]).arg(&folder)).ok();
    let read =
        |path: &Path| -> Value { serde_json::from_slice(&std::fs::read(path).expect("config.json")).expect("JSON") };
    let mut ours = read(&folder.join("config.json"));
    assert_eq!(run(OURS.command(&scratch).args(["spec", "--bundle"]).arg(&folder)).code, 1, "it is there already");
    let other = scratch.dir("other");
    run(RUNC.command(&scratch).args(["spec", "-b"]).arg(&other)).ok();
    let mut theirs = read(&other.join("config.json"));
    // Ours masks more, and has a cgroup namespace on v1 too.
    let taken = |config: &mut Value, field: &str| -> Vec<Value> {
        let value = config["linux"].as_object_mut().and_then(|linux| linux.remove(field)).expect(field);
        value.as_array().expect("a list").clone()
    };
    for field in ["maskedPaths", "namespaces"] {
        let (own, other) = (taken(&mut ours, field), taken(&mut theirs, field));
        assert!(other.iter().all(|entry| own.contains(entry)), "{field}: {own:?} {other:?}");
    }
    theirs["hostname"] = ours["hostname"].clone();
    assert_eq!(ours, theirs);
}

/// This machine has neither: the refusal says so, as the kernel's failure, and nothing is run. Where one is, the profile is not
/// there, which is a failure too.
#[test]
fn profiles_and_labels_of_modules_that_are_not_there() {
    let running = Running::new(OURS, |_| {});
    for flag in ["--apparmor", "--process-label"] {
        let output = running.exec(&[flag, "plimsoll-no-such-profile"], &["true"]);
        assert_eq!(output.code, 255, "{flag}");
        assert!(output.stderr.contains("plimsoll-no-such-profile"), "{}", output.stderr);
    }
    for (pointer, value) in [
        ("/process/apparmorProfile", "plimsoll-no-such-profile"),
        ("/process/selinuxLabel", "system_u:system_r:no_such_t:s0"),
        ("/linux/mountLabel", "system_u:object_r:no_such_t:s0"),
    ] {
        let scratch = Scratch::new();
        let mut made = bundle(&scratch);
        made.set(pointer, json!(value));
        let log = scratch.join("log");
        let mut command = OURS.command(&scratch);
        command.arg("--log").arg(&log).args(["--log-format", "json", "run", "--bundle"]);
        assert_eq!(run(command.arg(&made.path).arg(scratch.id("c"))).code, 1, "{pointer}");
        let text = std::fs::read_to_string(&log).expect("a log");
        let line: Value = serde_json::from_str(text.lines().last().expect("a line")).expect("JSON");
        assert_eq!(line["fault"]["layer"], "kernel", "{text}");
        assert_eq!(line["fault"]["detail"]["pointer"], json!(pointer), "{text}");
    }
}
