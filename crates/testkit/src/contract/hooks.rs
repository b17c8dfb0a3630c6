//! `hooks`: when each runs, with what, and what its failure means.

use super::{Case, Subject};
use serde_json::{Value, json};

const HOOKS: &str = "config.md#posix-platform-hooks";
const LIFECYCLE: &str = "runtime.md#lifecycle";

/// Every list of hooks in the order of the specification.
const LISTS: [&str; 6] = ["prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"];

/// A hook that runs a shell script; `more` replaces its fields. In the container's root there is a shell at the same place.
fn hook(subject: &mut Subject, list: &str, script: &str, more: &Value) {
    let mut hook = json!({ "path": "/bin/sh", "args": ["sh", "-c", script] });
    for (key, value) in more.as_object().into_iter().flatten() {
        hook[key] = value.clone();
    }
    if subject.bundle.config.get("hooks").is_none() {
        subject.bundle.set("/hooks", json!({}));
    }
    if subject.bundle.config["hooks"].get(list).is_none() {
        subject.bundle.set(&format!("/hooks/{list}"), json!([]));
    }
    super::push(&mut subject.bundle, &format!("/hooks/{list}"), hook);
}

/// A folder that is at the same path on the host and in the container.
fn shared(subject: &mut Subject) -> String {
    let out = subject.scratch.dir("shared").to_string_lossy().into_owned();
    super::writable(&mut subject.bundle);
    super::mount(&mut subject.bundle, &out, "bind", &out, &["bind", "rw"]);
    out
}

fn written(subject: &Subject) -> String {
    std::fs::read_to_string(subject.scratch.join("shared/out")).unwrap_or_default()
}

/// What one hook of `list` finds by `script`, which writes to `$OUT`.
fn finds(subject: &mut Subject, list: &str, script: &str, more: &Value) -> String {
    let out = shared(subject);
    hook(subject, list, &format!("OUT={out}/out; {script}"), more);
    let got = subject.run();
    if list == "poststop" {
        drop(subject.of(&["delete", "--force"]));
    }
    if got.code == 0 { written(subject) } else { format!("exit {}: {}", got.code, got.stderr) }
}

#[rustfmt::skip]
pub(super) fn cases() -> Vec<Case> {
    [running(), failing()].into_iter().flatten().collect()
}

#[rustfmt::skip]
fn running() -> Vec<Case> {
    const STATE: &str = "tr ',{}' '\\n\\n\\n' | tr -d ' \\t\\n' | grep -o '\"status\":\"[a-z]*\"' >> $OUT";
    vec![
        Case::life("order", LIFECYCLE, |s| {
            let out = shared(s);
            for list in LISTS { hook(s, list, &format!("echo {list} >> {out}/out"), &json!({})); }
            s.script(&format!("echo program >> {out}/out; sleep 0.3"));
            let got = s.run();
            drop(s.of(&["delete", "--force"]));
            let lines: Vec<String> = written(s).lines().map(str::to_owned).collect();
            let order: Vec<&str> = lines.iter().map(String::as_str).filter(|line| *line != "program").collect();
            format!("{} {} {}", got.code, order.join(" "), order.len() < lines.len())
        }, "0 prestart createRuntime createContainer startContainer poststart poststop true"),
        Case::life("two-of-one-list-in-order", HOOKS, |s| { let out = shared(s); for n in 1..=3 { hook(s, "createRuntime", &format!("echo {n} >> {out}/out"), &json!({})); } s.run().ok(); written(s) }, "1\n2\n3\n"),
        Case::life("prestart-state", HOOKS, |s| finds(s, "prestart", STATE, &json!({})), "\"status\":\"creating\"\n"),
        Case::life("create-runtime-state", HOOKS, |s| finds(s, "createRuntime", STATE, &json!({})), "\"status\":\"creating\"\n"),
        Case::life("create-container-state", HOOKS, |s| finds(s, "createContainer", STATE, &json!({})), "\"status\":\"creating\"\n"),
        Case::life("start-container-state", HOOKS, |s| finds(s, "startContainer", STATE, &json!({})), "\"status\":\"created\"\n").argued("The specification: the state of the container, which is created until its program runs. crun says starting."),
        Case::life("poststop-state", HOOKS, |s| finds(s, "poststop", STATE, &json!({})), "\"status\":\"stopped\"\n"),
        Case::life("state-names-the-container", HOOKS, |s| { let id = s.id.clone(); let text = finds(s, "createRuntime", "cat > $OUT", &json!({})); let state: Value = serde_json::from_str(&text).unwrap_or_default(); format!("{} {} {}", state["id"] == json!(id), state["bundle"] == json!(s.bundle_path()), state["pid"].as_u64().is_some_and(|pid| pid > 1)) }, "true true true"),
        Case::life("state-has-the-annotations", HOOKS, |s| { s.bundle.set("/annotations", json!({ "a.key": "a value" })); let text = finds(s, "createRuntime", "cat > $OUT", &json!({})); serde_json::from_str::<Value>(&text).unwrap_or_default()["annotations"]["a.key"].to_string() }, "\"a value\""),
        Case::life("environment-is-the-configs", HOOKS, |s| finds(s, "createRuntime", "echo $A $HOME $PLIMSOLL_TEST $CARGO >> $OUT", &json!({ "env": ["A=b", "PATH=/usr/bin:/bin"] })), "b\n"),
        Case::life("arguments", HOOKS, |s| { let out = shared(s); hook(s, "createRuntime", "", &json!({ "args": ["zero", "-c", format!("echo $0 $1 >> {out}/out"), "one", "two"] })); s.run().ok(); written(s) }, "one two\n"),
        Case::life("create-runtime-is-on-the-host", HOOKS, |s| { let out = shared(s); hook(s, "createRuntime", &format!("readlink /proc/self/ns/net >> {out}/out"), &json!({ "env": ["PATH=/usr/bin:/bin"] })); s.run().ok(); let host = std::fs::read_link("/proc/self/ns/net").map(|link| link.display().to_string()).unwrap_or_default(); (written(s).trim() == host).to_string() }, "true"),
        Case::life("create-container-is-in-its-namespaces", HOOKS, |s| finds(s, "createContainer", "ls /sys/class/net >> $OUT; readlink /proc/self/ns/net | cut -c1-4 >> $OUT", &json!({ "env": ["PATH=/usr/bin:/bin"] })).lines().last().unwrap_or_default().to_owned(), "net:"),
        Case::life("start-container-is-in-its-root", HOOKS, |s| finds(s, "startContainer", "cat /etc/passwd | wc -l >> $OUT; hostname >> $OUT", &json!({ "env": ["PATH=/bin"] })), "2\nplimrun\n"),
        Case::life("poststop-runs-after-the-container-is-gone", HOOKS, |s| { let path = s.bundle.config["linux"]["cgroupsPath"].as_str().unwrap_or_default().to_owned(); finds(s, "poststop", &format!("[ -d /sys/fs/cgroup/pids{path} ] && echo there >> $OUT || echo gone >> $OUT"), &json!({})) }, "gone\n"),
        Case::life("poststart-runs-after-the-program-began", HOOKS, |s| { let out = shared(s); s.script(&format!("echo began >> {out}/out; sleep 1")); hook(s, "poststart", &format!("sleep 0.3; cat {out}/out >> {out}/hook"), &json!({ "env": ["PATH=/usr/bin:/bin"] })); s.run().ok(); std::fs::read_to_string(s.scratch.join("shared/hook")).unwrap_or_default() }, "began\n"),
    ]
}

/// `run` with one hook that fails: whether the runtime failed, whether the program ran, and whether poststop ran.
fn fails(subject: &mut Subject, list: &str, script: &str, more: &Value) -> String {
    let out = shared(subject);
    subject.script(&format!("echo program >> {out}/out; sleep 0.5"));
    hook(subject, list, script, more);
    let got = subject.run();
    let ran = written(subject).contains("program");
    format!("{} {}", if got.code == 0 { "ran" } else { "failed" }, if ran { "program" } else { "nothing" })
}

#[rustfmt::skip]
fn failing() -> Vec<Case> {
    vec![
        Case::life("prestart-fails", LIFECYCLE, |s| fails(s, "prestart", "exit 3", &json!({})), "failed nothing"),
        Case::life("create-runtime-fails", LIFECYCLE, |s| fails(s, "createRuntime", "exit 3", &json!({})), "failed nothing"),
        Case::life("create-container-fails", LIFECYCLE, |s| fails(s, "createContainer", "exit 3", &json!({})), "failed nothing"),
        Case::life("start-container-fails", LIFECYCLE, |s| fails(s, "startContainer", "exit 3", &json!({})), "failed nothing"),
        Case::life("poststop-fails", LIFECYCLE, |s| { hook(s, "poststop", "exit 3", &json!({})); s.sleeping(); let code = s.of(&["delete", "--force"]).code; format!("{code} {}", s.status()) }, "0 none"),
        Case::life("timeout", HOOKS, |s| fails(s, "createRuntime", "exec sleep 20", &json!({ "timeout": 1 })), "failed nothing"),
        Case::life("path-missing", HOOKS, |s| fails(s, "createRuntime", "", &json!({ "path": "/no/such/hook" })), "failed nothing"),
        Case::life("path-relative", HOOKS, |s| fails(s, "createRuntime", "true", &json!({ "path": "bin/sh" })), "failed nothing").argued("The specification: an absolute path."),
        Case::life("killed-by-a-signal", HOOKS, |s| fails(s, "createRuntime", "kill -9 $$", &json!({})), "failed nothing"),
        Case::life("error-says-what-the-hook-said", HOOKS, |s| { hook(s, "createRuntime", "echo because of this >&2; exit 3", &json!({})); let got = s.run(); got.stderr.contains("because of this").to_string() }, "true").argued("A failure without the hook's own words cannot be understood. crun passes the hook's stderr through."),
    ]
}
