//! plimrun's verbs as engines and shims use them: states, exit codes, hooks, and nothing left behind.
#![cfg(feature = "privileged")]

use plimsoll_testkit::runtimes::Runtime;
use plimsoll_testkit::{Case, until};
use serde_json::{Value, json};
use std::path::Path;

const OURS: Runtime = Runtime("plimrun");

#[test]
fn from_create_to_delete() {
    let case = Case::new(&["sleep", "1000"]);
    let pid_file = case.scratch.join("pid");
    case.create_with(&["--pid-file", &pid_file.to_string_lossy()]).ok();
    assert_eq!(case.status(), "created");
    let pid = std::fs::read_to_string(&pid_file).expect("a pid file");
    assert!(Path::new(&format!("/proc/{pid}")).exists(), "{pid:?}");
    case.verb(&["start", &case.id]).ok();
    assert_eq!(case.status(), "running");
    assert!(case.verb(&["start", &case.id]).stderr.contains("cannot start an already running container"));
    let refused = case.verb(&["delete", &case.id]);
    assert_eq!(refused.code, 1);
    assert!(refused.stderr.contains("that is not stopped: running"), "{}", refused.stderr);
    case.verb(&["kill", &case.id, "KILL"]).ok();
    case.wait_for("stopped");
    assert!(case.verb(&["kill", &case.id, "KILL"]).stderr.contains("container not running"));
    case.verb(&["delete", &case.id]).ok();
    assert!(case.verb(&["state", &case.id]).stderr.contains("does not exist"));
    case.verb(&["delete", "--force", &case.id]).ok();
    case.nothing_is_left();
}

#[test]
fn a_created_container_is_deleted_without_force() {
    let case = Case::new(&["true"]);
    case.create().ok();
    case.verb(&["delete", &case.id]).ok();
    case.nothing_is_left();
}

#[test]
fn a_second_container_of_the_same_id_is_refused_and_the_first_lives_on() {
    let case = Case::new(&["sleep", "1000"]);
    case.create().ok();
    let second = case.create();
    assert_eq!(second.code, 1);
    assert!(second.stderr.contains("already exists"), "{}", second.stderr);
    assert_eq!(case.status(), "created");
    case.verb(&["delete", "--force", &case.id]).ok();
    case.nothing_is_left();
}

#[test]
fn a_failed_exec_of_the_program_is_reported_by_start() {
    let case = Case::new(&["/bad"]);
    let bad = case.made.path.join("rootfs/bad");
    std::fs::write(&bad, "no program at all").expect("a file");
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(&bad, mode).expect("executable");
    case.create().ok();
    let started = case.verb(&["start", &case.id]);
    assert_eq!(started.code, 1);
    assert!(started.stderr.contains("exec format error"), "{}", started.stderr);
    case.wait_for("stopped");
    case.verb(&["delete", &case.id]).ok();
    case.nothing_is_left();
}

#[test]
fn the_log_ends_with_the_fault() {
    let case = Case::new(&["/nope"]);
    let log = case.scratch.join("log.json");
    let bundle = case.made.path.to_string_lossy().into_owned();
    let log_text = log.to_string_lossy().into_owned();
    let got = case.verb(&["--log", &log_text, "--log-format", "json", "create", "--bundle", &bundle, &case.id]);
    assert_eq!(got.code, 1);
    let text = std::fs::read_to_string(&log).expect("a log");
    let last: Value = serde_json::from_str(text.lines().last().unwrap_or_default()).expect("JSON");
    assert_eq!(last["level"], "error");
    assert!(last["msg"].as_str().is_some_and(|m| m.contains("no such file or directory")), "{last}");
    assert_eq!(last["fault"]["layer"], "oci-runtime");
    assert_eq!(last["fault"]["kind"], "not-found");
    assert_eq!(last["fault"]["detail"]["syscall"], "execve");
    case.nothing_is_left();
}

#[test]
fn bad_configs_name_the_pointer_and_leave_nothing() {
    let cases: [(&str, Value, &str); 11] = [
        ("/process/user/uid", json!("root"), "/process/user/uid"),
        ("/linux/namespaces/0/type", json!("bogus"), "/linux/namespaces/0/type"),
        ("/root/path", json!("nowhere"), "/root/path"),
        ("/process/args", json!([]), "/process/args"),
        ("/process/rlimits/0/type", json!("RLIMIT_X"), "/process/rlimits/0/type"),
        ("/mounts/0/destination", json!(""), "/mounts/0/destination"),
        ("/linux/resources/devices/0/access", json!("x"), "/linux/resources/devices/0/access"),
        ("/linux/rootfsPropagation", json!("sideways"), "/linux/rootfsPropagation"),
        ("/linux/sysctl", json!({ "kernel.core_pattern": "x" }), "/linux/sysctl"),
        ("/linux/seccomp", json!({ "defaultAction": "SCMP_ACT_BOGUS" }), "/linux/seccomp"),
        ("/linux/resources/memory", json!({ "limit": 4096, "swap": 1 }), "/linux/resources/memory/swap"),
    ];
    for (pointer, value, named) in cases {
        let mut case = Case::new(&["true"]);
        case.made.set(pointer, value);
        let got = case.run();
        assert_eq!(got.code, 1, "{pointer}");
        assert!(got.stderr.contains(named), "{pointer}: {}", got.stderr);
        case.nothing_is_left();
    }
}

#[test]
fn a_cgroup_with_other_processes_is_not_taken() {
    let first = Case::new(&["sleep", "1000"]);
    first.create().ok();
    let mut second = Case::new(&["true"]);
    let path = first.made.config["linux"]["cgroupsPath"].clone();
    second.made.set("/linux/cgroupsPath", path);
    let got = second.run();
    assert_eq!(got.code, 1);
    assert!(got.stderr.contains("has processes of somebody else"), "{}", got.stderr);
    assert_eq!(first.status(), "created", "the first is untouched");
    first.verb(&["delete", &first.id]).ok();
    first.nothing_is_left();
    second.nothing_is_left();
}

#[test]
fn hooks_run_in_order_with_the_state_on_their_input() {
    let mut case = Case::new(&["true"]);
    let out = case.scratch.join("out");
    std::fs::write(&out, "").expect("a file");
    for list in ["prestart", "createRuntime", "createContainer", "poststart", "poststop"] {
        let script = format!("echo {list} $(sed 's/.*\"status\":\"\\([a-z]*\\)\".*/\\1/') >> {}", out.display());
        case.hook(list, &script, json!({}));
    }
    case.run().ok();
    let text = std::fs::read_to_string(&out).expect("hooks wrote");
    let expected =
        "prestart creating\ncreateRuntime creating\ncreateContainer creating\npoststart running\npoststop stopped\n";
    assert_eq!(text, expected);
    case.nothing_is_left();
}

#[test]
fn a_failing_or_slow_hook_ends_creation() {
    let mut case = Case::new(&["true"]);
    case.hook("createRuntime", "echo because >&2; exit 3", json!({}));
    let got = case.run();
    assert_eq!(got.code, 1);
    assert!(got.stderr.contains("/hooks/createRuntime/0") && got.stderr.contains("because"), "{}", got.stderr);
    case.nothing_is_left();

    let mut case = Case::new(&["true"]);
    case.hook("createContainer", "sleep 60", json!({ "timeout": 1 }));
    let got = case.run();
    assert!(got.stderr.contains("did not end within 1 s"), "{}", got.stderr);
    case.nothing_is_left();
}

#[test]
fn list_shows_what_is_there() {
    let case = Case::new(&["sleep", "1000"]);
    case.create().ok();
    assert_eq!(case.verb(&["list", "-q"]).ok().trim(), case.id);
    let list: Value = serde_json::from_str(&case.verb(&["list", "--format", "json"]).ok()).expect("JSON");
    assert_eq!(list[0]["id"], case.id.as_str());
    assert_eq!(list[0]["status"], "created");
    assert!(case.verb(&["list"]).ok().starts_with("ID "));
    case.verb(&["delete", &case.id]).ok();
}

#[test]
fn a_paused_container_stands_still_and_still_dies() {
    let case = Case::new(&["sleep", "1000"]);
    case.create().ok();
    case.verb(&["start", &case.id]).ok();
    let pids: Value = serde_json::from_str(&case.verb(&["ps", "--format", "json", &case.id]).ok()).expect("JSON");
    assert_eq!(pids.as_array().map(Vec::len), Some(1));
    case.verb(&["pause", &case.id]).ok();
    assert_eq!(case.status(), "paused");
    assert!(case.verb(&["exec", &case.id, "true"]).stderr.contains("paused"));
    case.verb(&["resume", &case.id]).ok();
    assert_eq!(case.status(), "running");
    case.verb(&["exec", &case.id, "true"]).ok();
    case.verb(&["pause", &case.id]).ok();
    case.verb(&["delete", "--force", &case.id]).ok();
    case.nothing_is_left();
}

#[test]
fn what_a_killed_create_left_is_removed_by_force() {
    let mut case = Case::new(&["true"]);
    let flag = case.scratch.join("hook-runs");
    case.hook("createRuntime", &format!("touch {}; sleep 60", flag.display()), json!({}));
    let mut command = OURS.command(&case.scratch);
    let mut child = command.args(["create", "--bundle"]).arg(&case.made.path).arg(&case.id).spawn().expect("starts");
    until("the hook", || flag.exists());
    child.kill().expect("killed");
    child.wait().expect("reaped");
    assert!(case.verb(&["state", &case.id]).stderr.contains("does not exist"));
    case.verb(&["delete", "--force", &case.id]).ok();
    let states = std::fs::read_dir(case.scratch.dir("root-plimrun")).expect("the root").count();
    assert_eq!(states, 0);
    // Only the orphaned hook itself may still be there: it is the host's.
    let left: Vec<String> = case.scratch.leftovers().into_iter().filter(|l| !l.starts_with("process")).collect();
    assert_eq!(left, Vec::<String>::new());
}

#[test]
fn every_process_dies_with_a_container_that_has_no_pid_namespace() {
    let mut case = Case::new(&["sh", "-c", "sleep 1000 & sleep 1000"]);
    case.made.set("/linux/namespaces", json!([{ "type": "mount" }]));
    case.made.config.as_object_mut().expect("an object").remove("hostname");
    // Without a network namespace of its own sysfs cannot be mounted afresh everywhere, and is not needed here.
    case.made.config["mounts"]
        .as_array_mut()
        .expect("mounts")
        .retain(|m| m["type"] != "sysfs" && m["type"] != "cgroup");
    case.made.write();
    case.create().ok();
    case.verb(&["start", &case.id]).ok();
    case.verb(&["delete", "--force", &case.id]).ok();
    case.nothing_is_left();
}
