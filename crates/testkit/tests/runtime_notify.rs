//! `SCMP_ACT_NOTIFY`: the listener reaches the agent that the config names, with the container process state, for `run`, `create`
//! and `exec`, with and without `noNewPrivileges`; under runc and crun alike. The agent is `oracle/seccomp_agent.c`, built here.
#![cfg(feature = "privileged")]

use plimsoll_testkit::runtimes::{Runtime, runtimes};
use plimsoll_testkit::seccomp_agent::Agent;
use plimsoll_testkit::{Bundle, Scratch, bundle, run};
use serde_json::{Value, json};
use std::path::Path;

const OURS: Runtime = Runtime("plimrun");

fn profile(socket: &Path) -> Value {
    json!({
        "defaultAction": "SCMP_ACT_ALLOW",
        "architectures": ["SCMP_ARCH_X86_64", "SCMP_ARCH_AARCH64"],
        "listenerPath": socket,
        "listenerMetadata": "for the agent",
        "syscalls": [{ "names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_NOTIFY" }],
    })
}

const REFUSED: &str = "mkdir: can't create directory '/tmp/x': No space left on device\n";

fn notified(made: &mut Bundle, socket: &Path, no_new_privileges: bool) {
    made.set("/root/readonly", json!(false));
    made.set("/process/noNewPrivileges", json!(no_new_privileges));
    made.set("/linux/seccomp", profile(socket));
    made.set("/annotations", json!({ "org.example": "value" }));
}

#[test]
fn the_agent_answers_for_the_kernel() {
    for no_new_privileges in [true, false] {
        for runtime in runtimes() {
            let mut scratch = Scratch::new();
            let agent = Agent::start(&mut scratch);
            let mut made = bundle(&scratch);
            notified(&mut made, &agent.socket, no_new_privileges);
            made.args(&["/bin/sh", "-c", "mkdir /tmp/x 2>&1"]);
            let output = runtime.run(&scratch, &made);
            assert_eq!((output.code, output.stdout.as_str()), (1, REFUSED), "{}: {}", runtime.0, output.stderr);
            let [state] = &agent.states()[..] else { panic!("{:?}", agent.states()) };
            let name = runtime.0;
            assert_eq!(state["fds"], json!(["seccompFd"]), "{name}");
            assert_eq!(state["metadata"], "for the agent", "{name}");
            assert_eq!(state["state"]["id"], json!(scratch.id(name)), "{name}");
            assert_eq!(state["state"]["bundle"], json!(made.path), "{name}");
            assert_eq!(state["pid"], state["state"]["pid"], "{name}");
            if name != "crun" {
                assert_eq!(state["state"]["status"], "creating", "{name}");
                assert_eq!(state["state"]["annotations"]["org.example"], "value", "{name}");
                assert_eq!(state["ociVersion"], "1.3.0", "{name}");
            }
        }
    }
}

#[test]
fn an_exec_has_a_listener_of_its_own() {
    for no_new_privileges in [true, false] {
        for runtime in runtimes() {
            let mut scratch = Scratch::new();
            let agent = Agent::start(&mut scratch);
            let mut made = bundle(&scratch);
            notified(&mut made, &agent.socket, no_new_privileges);
            made.args(&["sleep", "60"]);
            let id = scratch.id("c");
            let name = runtime.0;
            run(runtime.command(&scratch).args(["create", "--bundle"]).arg(&made.path).arg(&id)).ok();
            run(runtime.command(&scratch).args(["start", &id])).ok();
            let pid_file = scratch.join("pid");
            let mut exec = runtime.command(&scratch);
            exec.arg("exec").arg("--pid-file").arg(&pid_file);
            let output = run(exec.args([&id, "/bin/sh", "-c", "mkdir /tmp/x 2>&1"]));
            assert_eq!((output.code, output.stdout.as_str()), (1, REFUSED), "{name}: {}", output.stderr);
            let [first, second] = &agent.states()[..] else { panic!("{name}: {:?}", agent.states()) };
            let pid: i64 = std::fs::read_to_string(&pid_file).expect("a pid").parse().expect("a number");
            // crun 1.28 says 0 and no state for an exec.
            if name != "crun" {
                assert_eq!(second["pid"], pid, "{name}");
                assert_eq!(second["state"]["pid"], first["pid"], "{name}");
                assert_eq!(second["state"]["status"], "running", "{name}");
            }
            run(runtime.command(&scratch).args(["delete", "--force", &id])).ok();
        }
    }
}

/// The flag that keeps a notified call from being broken off by signals (Linux 5.19) goes to the kernel.
#[test]
fn waiting_can_be_killable_only() {
    let mut scratch = Scratch::new();
    let agent = Agent::start(&mut scratch);
    let mut made = bundle(&scratch);
    notified(&mut made, &agent.socket, true);
    made.set("/linux/seccomp/flags", json!(["SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV", "SECCOMP_FILTER_FLAG_LOG"]));
    made.args(&["/bin/sh", "-c", "mkdir /tmp/x 2>&1"]);
    assert_eq!(OURS.run(&scratch, &made).stdout, REFUSED);
}

/// Each names its place, and nothing is left of the container.
#[test]
fn what_cannot_be_notified() {
    let rule = |names: &[&str]| json!([{ "names": names, "action": "SCMP_ACT_NOTIFY" }]);
    for (pointer, value, named) in [
        ("/linux/seccomp/listenerPath", json!("/no/such/agent"), "/linux/seccomp/listenerPath"),
        ("/linux/seccomp/listenerPath", json!(""), "/linux/seccomp/listenerPath"),
        ("/linux/seccomp/syscalls", rule(&["write"]), "/linux/seccomp/syscalls/0/names/0"),
        ("/linux/seccomp/defaultAction", json!("SCMP_ACT_NOTIFY"), "/linux/seccomp/defaultAction"),
    ] {
        for no_new_privileges in [true, false] {
            let scratch = Scratch::new();
            let mut made = bundle(&scratch);
            notified(&mut made, Path::new("/no/such/agent"), no_new_privileges);
            made.set(pointer, value.clone());
            for runtime in [OURS, Runtime("runc")] {
                let output = runtime.run(&scratch, &made);
                assert_eq!(output.code, 1, "{}: {value}", runtime.0);
                assert!(runtime != OURS || output.stderr.contains(named), "{}", output.stderr);
                assert_ne!(run(runtime.command(&scratch).args(["state", &scratch.id(runtime.0)])).code, 0);
            }
        }
    }
}
