//! The verbs: states, what each refuses, what each prints.

use super::{Case, Subject};
use serde_json::{Value, json};

const STATE: &str = "runtime.md#state";
const CREATE: &str = "runtime.md#create";
const START: &str = "runtime.md#start";
const KILL: &str = "runtime.md#kill";
const DELETE: &str = "runtime.md#delete";
const EXEC: &str = "runc(8) exec";

#[rustfmt::skip]
pub(super) fn cases() -> Vec<Case> {
    [states(), kills(), deletes(), runs(), execs(), processes(), lists()].into_iter().flatten().collect()
}

/// The exit code, which for a refusal is 1, and the status.
fn code_and_status(subject: &Subject, code: i32) -> String {
    format!("{code} {}", subject.status())
}

#[rustfmt::skip]
fn states() -> Vec<Case> {
    vec![
        Case::life("created", CREATE, |s| { s.bundle.args(&["sleep", "1000"]); let code = s.create().code; code_and_status(s, code) }, "0 created"),
        Case::life("created-runs-nothing", CREATE, |s| { s.script("touch /dev/shm/x; sleep 1000"); s.create().ok(); let pid = s.state()["pid"].to_string(); let line = std::fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default(); (!line.contains("sleep")).to_string() }, "true"),
        Case::life("running", START, |s| { s.sleeping(); s.status() }, "running"),
        Case::life("stopped", START, |s| { s.bundle.args(&["true"]); s.create().ok(); s.of(&["start"]).ok(); s.becomes("stopped") }, "stopped"),
        Case::life("state-fields", STATE, |s| { s.bundle.set("/annotations", json!({ "k": "v" })); s.sleeping(); let state = s.state(); format!("{} {} {} {} {}", state["ociVersion"].is_string(), state["id"] == json!(s.id), state["pid"].as_i64().is_some_and(|pid| std::path::Path::new(&format!("/proc/{pid}")).exists()), state["bundle"] == json!(s.bundle_path()), state["annotations"]["k"]) }, "true true true true \"v\""),
        Case::life("state-of-stopped-has-no-pid", STATE, |s| { s.bundle.args(&["true"]); s.create().ok(); s.of(&["start"]).ok(); s.becomes("stopped"); s.state()["pid"].as_i64().unwrap_or_default().to_string() }, "0"),
        Case::life("state-of-nobody", STATE, |s| { let got = s.of(&["state"]); format!("{} {}", got.code, got.stderr.contains("does not exist")) }, "1 true"),
        Case::life("create-twice", CREATE, |s| { s.bundle.args(&["sleep", "1000"]); s.create().ok(); let got = s.create(); format!("{} {}", got.code, s.status()) }, "1 created"),
        Case::life("start-twice", START, |s| { s.sleeping(); let code = s.of(&["start"]).code; code_and_status(s, code) }, "1 running"),
        Case::life("start-of-stopped", START, |s| { s.bundle.args(&["true"]); s.create().ok(); s.of(&["start"]).ok(); s.becomes("stopped"); s.of(&["start"]).code.to_string() }, "1"),
        Case::life("start-of-nobody", START, |s| s.of(&["start"]).code.to_string(), "1"),
        Case::life("config-changed-after-create", CREATE, |s| { s.script("echo first > /dev/shm/x; sleep 1000"); s.create().ok(); s.script("echo second > /dev/shm/x; sleep 1000"); s.of(&["start"]).ok(); std::thread::sleep(std::time::Duration::from_millis(200)); s.exec(&[], "cat /dev/shm/x").stdout }, "first\n"),
        Case::life("bundle-by-the-working-folder", CREATE, |s| { s.bundle.args(&["true"]); let mut command = s.runtime.command(&s.scratch); let got = crate::run(command.args(["run", &s.id]).current_dir(&s.bundle.path)); got.code.to_string() }, "0"),
        Case::life("bundle-relative", CREATE, |s| { s.bundle.args(&["true"]); let name = s.bundle.path.file_name().unwrap_or_default().to_owned(); let mut command = s.runtime.command(&s.scratch); let got = crate::run(command.args(["run", "--bundle"]).arg(name).arg(&s.id).current_dir(s.scratch.path())); got.code.to_string() }, "0"),
        Case::life("pause-and-resume", "runc(8) pause", |s| { s.sleeping(); s.of(&["pause"]).ok(); let paused = s.status(); s.of(&["resume"]).ok(); format!("{paused} {}", s.status()) }, "paused running"),
        Case::life("pause-twice", "runc(8) pause", |s| { s.sleeping(); s.of(&["pause"]).ok(); let got = s.of(&["pause"]).code; drop(s.of(&["resume"])); got.to_string() }, "1").argued("As runc: a container that is not running cannot be paused. crun's freezer does not mind."),
        Case::life("resume-of-running", "runc(8) resume", |s| { s.sleeping(); s.of(&["resume"]).code.to_string() }, "1").argued("As runc; crun thaws what is not frozen."),
        Case::life("pause-of-stopped", "runc(8) pause", |s| { s.bundle.args(&["true"]); s.create().ok(); s.of(&["start"]).ok(); s.becomes("stopped"); s.of(&["pause"]).code.to_string() }, "1"),
    ]
}

#[rustfmt::skip]
fn kills() -> Vec<Case> {
    const TRAP: &str = "trap 'echo TERM > /dev/shm/x' TERM; trap 'echo USR1 > /dev/shm/x' USR1; touch /dev/shm/ready; while :; do sleep 0.05; done";
    fn trapped(s: &mut Subject, arguments: &[&str]) -> String {
        s.script(TRAP);
        s.create().ok();
        s.of(&["start"]).ok();
        let there = |s: &Subject, file: &str| {
            for _ in 0..200 {
                let got = s.exec(&[], &format!("cat /dev/shm/{file}"));
                if got.code == 0 { return got.stdout; }
                std::thread::sleep(std::time::Duration::from_millis(20));
            }
            "never".to_owned()
        };
        there(s, "ready");
        s.verb(&[&["kill", &s.id], arguments].concat()).ok();
        there(s, "x")
    }
    vec![
        Case::life("kill-by-default-term", KILL, |s| trapped(s, &[]), "TERM\n"),
        Case::life("kill-by-name", KILL, |s| trapped(s, &["USR1"]), "USR1\n"),
        Case::life("kill-by-long-name", KILL, |s| trapped(s, &["SIGUSR1"]), "USR1\n"),
        Case::life("kill-by-number", KILL, |s| trapped(s, &["10"]), "USR1\n"),
        Case::life("kill-kill", KILL, |s| { s.sleeping(); s.of(&["kill"]).code.to_string(); s.verb(&["kill", &s.id, "KILL"]).ok(); s.becomes("stopped") }, "stopped"),
        Case::life("kill-of-created", KILL, |s| { s.bundle.args(&["sleep", "1000"]); s.create().ok(); s.verb(&["kill", &s.id, "KILL"]).ok(); s.becomes("stopped") }, "stopped"),
        Case::life("kill-of-stopped", KILL, |s| { s.bundle.args(&["true"]); s.create().ok(); s.of(&["start"]).ok(); s.becomes("stopped"); s.verb(&["kill", &s.id, "KILL"]).code.to_string() }, "1"),
        Case::life("kill-of-nobody", KILL, |s| s.verb(&["kill", &s.id, "KILL"]).code.to_string(), "1"),
        Case::life("kill-zero-asks-only", KILL, |s| { s.sleeping(); let code = s.verb(&["kill", &s.id, "0"]).code; code_and_status(s, code) }, "0 running"),
        Case::life("kill-by-nonsense", KILL, |s| { s.sleeping(); let code = s.verb(&["kill", &s.id, "NONSENSE"]).code; code_and_status(s, code) }, "1 running"),
        Case::life("kill-all", "runc(8) kill --all", |s| { super::without_namespace(&mut s.bundle, "pid"); s.script("sleep 1000 & sleep 1000 & wait"); s.create().ok(); s.of(&["start"]).ok(); std::thread::sleep(std::time::Duration::from_millis(200)); s.verb(&["kill", "--all", &s.id, "KILL"]).ok(); s.becomes("stopped"); s.cgroup("pids", "cgroup.procs") }, ""),
    ]
}

#[rustfmt::skip]
fn deletes() -> Vec<Case> {
    vec![
        Case::life("delete-of-stopped", DELETE, |s| { s.bundle.args(&["true"]); s.create().ok(); s.of(&["start"]).ok(); s.becomes("stopped"); let code = s.of(&["delete"]).code; code_and_status(s, code) }, "0 none"),
        Case::life("an-argument-too-many", DELETE, |s| { s.sleeping(); let id = s.id.clone(); let code = s.verb(&["delete", "--force", &id, "x"]).code; code_and_status(s, code) }, "1 running"),
        Case::life("delete-of-running", DELETE, |s| { s.sleeping(); let code = s.of(&["delete"]).code; code_and_status(s, code) }, "1 running"),
        Case::life("delete-of-created", DELETE, |s| { s.bundle.args(&["sleep", "1000"]); s.create().ok(); let code = s.of(&["delete"]).code; code_and_status(s, code) }, "0 none").argued("The program has not run: nothing is lost. runc kills it and deletes; crun refuses."),
        Case::life("delete-by-force-of-running", "runc(8) delete --force", |s| { s.sleeping(); let code = s.of(&["delete", "--force"]).code; code_and_status(s, code) }, "0 none"),
        Case::life("delete-by-force-of-paused", "runc(8) delete --force", |s| { s.sleeping(); s.of(&["pause"]).ok(); let code = s.of(&["delete", "--force"]).code; code_and_status(s, code) }, "0 none"),
        Case::life("delete-by-force-of-nobody", "runc(8) delete --force", |s| s.of(&["delete", "--force"]).code.to_string(), "0"),
        Case::life("delete-of-nobody", DELETE, |s| { let got = s.of(&["delete"]); format!("{} {}", got.code, got.stderr.contains("does not exist")) }, "1 true"),
        Case::life("the-id-is-free-again", DELETE, |s| { s.sleeping(); s.of(&["delete", "--force"]).ok(); s.create().ok(); s.status() }, "created"),
        Case::life("delete-leaves-the-bundle", DELETE, |s| { s.sleeping(); s.of(&["delete", "--force"]).ok(); (s.bundle.path.join("config.json").exists() && s.bundle.path.join("rootfs/bin/sh").exists()).to_string() }, "true"),
    ]
}

#[rustfmt::skip]
fn runs() -> Vec<Case> {
    vec![
        Case::life("run-deletes-at-the-end", "runc(8) run", |s| { s.bundle.args(&["true"]); s.run().ok(); s.status() }, "none"),
        Case::life("run-keep", "runc(8) run --keep", |s| { s.bundle.args(&["true"]); s.with_bundle("run", &["--keep"]).ok(); s.status() }, "stopped"),
        Case::life("run-detach", "runc(8) run --detach", |s| { s.bundle.args(&["sleep", "1000"]); s.with_bundle("run", &["--detach"]).ok(); s.status() }, "running"),
        Case::life("run-detach-of-a-missing-program", "runc(8) run --detach", |s| { s.bundle.args(&["no-such-program"]); let code = s.with_bundle("run", &["--detach"]).code; code_and_status(s, code) }, "1 none"),
        Case::life("run-no-pivot", "runc(8) run --no-pivot", |s| { s.script("ls / | grep -c boot"); s.with_bundle("run", &["--no-pivot"]).stdout }, "0\n"),
        Case::life("run-no-new-keyring", "runc(8) run --no-new-keyring", |s| { s.bundle.args(&["true"]); s.with_bundle("run", &["--no-new-keyring"]).code.to_string() }, "0"),
        Case::life("run-twice-at-once", "runc(8) run", |s| { s.sleeping(); s.run().code.to_string() }, "1"),
    ]
}

#[rustfmt::skip]
fn execs() -> Vec<Case> {
    vec![
        Case::life("exec-code", EXEC, |s| { s.sleeping(); s.exec(&[], "exit 42").code.to_string() }, "42"),
        Case::life("exec-killed", EXEC, |s| { s.sleeping(); s.exec(&[], "kill -9 $$").code.to_string() }, "137"),
        Case::life("exec-is-inside", EXEC, |s| { s.sleeping(); s.exec(&[], "hostname; head -c 5 /proc/1/cmdline; ls /sys/class/net").stdout }, "plimrun\nsleeplo\n"),
        Case::life("exec-in-the-cgroup", EXEC, |s| { s.sleeping(); let prefix = s.scratch.cgroup_prefix(); s.exec(&[], "grep pids: /proc/self/cgroup").stdout.contains(&prefix).to_string() }, "true"),
        Case::life("exec-environment", EXEC, |s| { s.bundle.set("/process/env", json!(["PATH=/bin", "FROM=config", "HOME=/x"])); s.sleeping(); s.exec(&["--env", "A=b", "--env", "C=d e"], "echo $FROM $A $C").stdout }, "config b d e\n"),
        Case::life("exec-cwd", EXEC, |s| { s.sleeping(); s.exec(&["--cwd", "/tmp"], "pwd").stdout }, "/tmp\n"),
        Case::life("exec-cwd-of-the-config", EXEC, |s| { s.bundle.set("/process/cwd", json!("/var/tmp")); s.sleeping(); s.exec(&[], "pwd").stdout }, "/var/tmp\n"),
        Case::life("exec-user", EXEC, |s| { s.sleeping(); s.exec(&["--user", "1000:1001"], "id -u; id -g").stdout }, "1000\n1001\n"),
        Case::life("exec-user-of-the-config", EXEC, |s| { s.bundle.set("/process/user", json!({ "uid": 7, "gid": 8, "additionalGids": [9] })); s.sleeping(); s.exec(&[], "id -u; id -G").stdout }, "7\n8 9\n"),
        Case::life("exec-additional-groups", "runc(8) exec --additional-gids", |s| { s.sleeping(); s.exec(&["--user", "1000:1000", "--additional-gids", "2000", "--additional-gids", "3000"], "grep Groups /proc/self/status").stdout }, "Groups:\t2000 3000 \n"),
        Case::life("exec-capabilities", "runc(8) exec --cap", |s| { s.sleeping(); s.exec(&["--cap", "CAP_CHOWN"], "grep -E 'Cap(Eff|Inh)' /proc/self/status").stdout }, "CapInh:\t0000000000000000\nCapEff:\t0000000020000421\n"),
        Case::life("exec-no-new-privileges", "runc(8) exec --no-new-privs", |s| { s.bundle.set("/process/noNewPrivileges", json!(false)); s.sleeping(); s.exec(&["--no-new-privs"], "grep NoNewPrivs /proc/self/status").stdout }, "NoNewPrivs:\t1\n"),
        Case::life("exec-limits-of-the-config", EXEC, |s| { s.bundle.set("/process/rlimits", json!([{ "type": "RLIMIT_NOFILE", "soft": 99, "hard": 99 }])); s.sleeping(); s.exec(&[], "ulimit -n").stdout }, "99\n"),
        Case::life("exec-umask-of-the-config", EXEC, |s| { s.bundle.set("/process/user/umask", json!(0o77)); s.sleeping(); s.exec(&[], "umask").stdout }, "0077\n"),
        Case::life("exec-oom-score-of-the-config", EXEC, |s| { s.bundle.set("/process/oomScoreAdj", json!(300)); s.sleeping(); s.exec(&[], "cat /proc/self/oom_score_adj").stdout }, "300\n"),
        Case::life("exec-process-file", "runc(8) exec --process", |s| {
            s.sleeping();
            let mut process = s.bundle.config["process"].clone();
            process["args"] = json!(["sh", "-c", "echo $A $PWD; exit 6"]);
            process["env"] = json!(["PATH=/bin", "A=b"]);
            process["cwd"] = json!("/tmp");
            let file = s.scratch.file("process.json", process.to_string()).to_string_lossy().into_owned();
            let got = s.verb(&["exec", "--process", &file, &s.id]);
            format!("{} {}", got.code, got.stdout)
        }, "6 b /tmp\n"),
        Case::life("exec-detach", "runc(8) exec --detach", |s| { s.sleeping(); s.verb(&["exec", "--detach", &s.id, "sleep", "55"]).ok(); s.exec(&[], "ps | grep -c '[s]leep 55'").stdout }, "1\n"),
        Case::life("exec-missing-program", EXEC, |s| { s.sleeping(); let got = s.verb(&["exec", &s.id, "no-such-program"]); format!("{} {}", got.code, got.stderr.contains("not found")) }, "255 true").argued("runc says 255, so that the code is not taken for the program's; crun 1."),
        Case::life("exec-of-nobody", EXEC, |s| (s.exec(&[], "true").code != 0).to_string(), "true"),
        Case::life("exec-of-created", EXEC, |s| { s.bundle.args(&["sleep", "1000"]); s.create().ok(); s.exec(&[], "echo in").stdout }, "in\n").argued("runc takes it: the namespaces are there. Kubernetes does not need it."),
        Case::life("exec-of-stopped", EXEC, |s| { s.bundle.args(&["true"]); s.create().ok(); s.of(&["start"]).ok(); s.becomes("stopped"); (s.exec(&[], "true").code != 0).to_string() }, "true"),
        Case::life("exec-of-paused", EXEC, |s| { s.sleeping(); s.of(&["pause"]).ok(); let code = s.exec(&[], "true").code; drop(s.of(&["resume"])); (code != 0).to_string() }, "true"),
        Case::life("exec-no-command", EXEC, |s| { s.sleeping(); (s.of(&["exec"]).code != 0).to_string() }, "true"),
        Case::life("exec-does-not-end-with-the-shell", EXEC, |s| { s.sleeping(); s.exec(&[], "sleep 66 > /dev/null 2>&1 & echo started").stdout }, "started\n"),
    ]
}

#[rustfmt::skip]
fn processes() -> Vec<Case> {
    vec![
        Case::life("ps-json", "runc(8) ps", |s| { s.sleeping(); let pids: Value = serde_json::from_str(&s.verb(&["ps", "--format", "json", &s.id]).stdout).unwrap_or_default(); (pids == json!([s.state()["pid"]])).to_string() }, "true"),
        Case::life("ps-table", "runc(8) ps", |s| { s.sleeping(); let text = s.of(&["ps"]).stdout; format!("{} {}", text.lines().next().unwrap_or_default().contains("PID"), text.contains("sleep 1000")) }, "true true").argued("As runc, ps(1)'s own table. crun prints pids alone."),
        Case::life("ps-of-nobody", "runc(8) ps", |s| (s.of(&["ps"]).code != 0).to_string(), "true"),
    ]
}

#[rustfmt::skip]
fn lists() -> Vec<Case> {
    vec![
        Case::life("list-of-none", "runc(8) list", |s| s.verb(&["list", "-q"]).stdout, ""),
        Case::life("list-json-of-none", "runc(8) list --format", |s| s.verb(&["list", "--format", "json"]).stdout.trim().to_owned(), "[]").argued("A list of none is a list. runc prints null, as Go writes a slice that was never made."),
        Case::life("list-quiet", "runc(8) list --quiet", |s| { s.sleeping(); (s.verb(&["list", "--quiet"]).stdout.trim() == s.id).to_string() }, "true"),
        Case::life("list-beside-what-is-no-container", "runc(8) list", |s| {
            s.sleeping();
            let root = s.scratch.dir(&format!("root-{}", s.runtime.0));
            std::fs::write(root.join("stray"), "").expect("a file");
            let got = s.verb(&["list", "--quiet"]);
            std::fs::remove_file(root.join("stray")).expect("removed");
            format!("{} {}", got.code, got.stdout.trim() == s.id)
        }, "0 true"),
        Case::life("list-json", "runc(8) list --format", |s| { s.sleeping(); let list: Value = serde_json::from_str(&s.verb(&["list", "--format", "json"]).stdout).unwrap_or_default(); format!("{} {} {} {}", list[0]["id"] == json!(s.id), list[0]["status"], list[0]["pid"] == s.state()["pid"], list[0]["bundle"] == json!(s.bundle_path())) }, "true \"running\" true true"),
        Case::life("list-table", "runc(8) list", |s| { s.sleeping(); let text = s.verb(&["list"]).stdout; let head: Vec<&str> = text.lines().next().unwrap_or_default().split_whitespace().take(4).collect(); head.join(" ") }, "ID PID STATUS BUNDLE").argued("As runc; crun's first column is NAME."),
        Case::life("features-names-versions", "features.md", |s| { let got: Value = serde_json::from_str(&s.verb(&["features"]).stdout).unwrap_or_default(); format!("{} {}", got["ociVersionMin"].is_string(), got["ociVersionMax"].is_string()) }, "true true"),
        Case::life("features-hooks", "features.md", |s| { let got: Value = serde_json::from_str(&s.verb(&["features"]).stdout).unwrap_or_default(); got["hooks"].as_array().map_or(0, Vec::len).to_string() }, "6"),
        Case::life("version", "runc(8) --version", |s| { let got = s.verb(&["--version"]); format!("{} {}", got.code, got.stdout.contains("version")) }, "0 true"),
        Case::life("spec-runs", "runc(8) spec", |s| {
            std::fs::remove_file(s.bundle.path.join("config.json")).expect("removes");
            let path = s.bundle_path();
            s.verb(&["spec", "--bundle", &path]).ok();
            let text = std::fs::read_to_string(s.bundle.path.join("config.json")).unwrap_or_default();
            let mut config: Value = serde_json::from_str(&text).unwrap_or_default();
            config["process"]["terminal"] = json!(false);
            config["process"]["args"] = json!(["sh", "-c", "exit 42"]);
            config["linux"]["cgroupsPath"] = s.bundle.config["linux"]["cgroupsPath"].clone();
            s.bundle.config = config;
            s.bundle.write();
            s.run().code.to_string()
        }, "42"),
        Case::life("spec-does-not-overwrite", "runc(8) spec", |s| { let path = s.bundle_path(); (s.verb(&["spec", "--bundle", &path]).code != 0).to_string() }, "true"),
    ]
}
