//! What a failure looks like: exit codes, the log's last line, the words that callers search for.

use super::{Case, Subject};
use serde_json::{Value, json};

#[rustfmt::skip]
pub(super) fn cases() -> Vec<Case> {
    vec![
        Case::life("log-json-ends-with-the-error", "runc(8) --log-format", |s| { let last = last_line(s, "no-such-program"); format!("{} {} {}", last["level"], last["msg"].is_string(), last["time"].is_string()) }, "\"error\" true true"),
        Case::life("log-json-names-the-missing-program", "runc(8) --log-format", |s| last_line(s, "no-such-program")["msg"].as_str().is_some_and(|text| text.contains("executable file") && text.contains("not found")).to_string(), "true"),
        Case::life("log-json-of-no-permission", "runc(8) --log-format", |s| last_line(s, "/etc/passwd")["msg"].as_str().is_some_and(|text| text.to_lowercase().contains("permission denied")).to_string(), "true"),
        Case::life("log-text", "runc(8) --log", |s| { let log = s.scratch.join("log"); let path = log.to_string_lossy().into_owned(); s.bundle.args(&["no-such-program"]); let bundle = s.bundle_path(); drop(s.verb(&["--log", &path, "run", "--bundle", &bundle, &s.id])); let text = std::fs::read_to_string(log).unwrap_or_default(); text.contains("no-such-program").to_string() }, "true"),
        Case::life("error-on-stderr-too", "runc(8)", |s| { s.bundle.args(&["no-such-program"]); s.run().stderr.contains("no-such-program").to_string() }, "true"),
        Case::life("config-missing", "runtime.md#create", |s| { std::fs::remove_file(s.bundle.path.join("config.json")).expect("removes"); failed(s) }, "1 none"),
        Case::life("config-not-json", "config.md", |s| { std::fs::write(s.bundle.path.join("config.json"), "{ not json").expect("writes"); failed(s) }, "1 none"),
        Case::life("config-empty", "config.md", |s| { std::fs::write(s.bundle.path.join("config.json"), "").expect("writes"); failed(s) }, "1 none"),
        Case::life("config-not-an-object", "config.md", |s| { std::fs::write(s.bundle.path.join("config.json"), "[]").expect("writes"); failed(s) }, "1 none"),
        Case::life("config-cut-off", "config.md", |s| { let text = s.bundle.config.to_string(); std::fs::write(s.bundle.path.join("config.json"), &text[..text.len() - 10]).expect("writes"); failed(s) }, "1 none"),
        Case::life("bundle-missing", "runtime.md#create", |s| { let got = s.of(&["create", "--bundle", "/no/such/bundle"]); format!("{} {}", got.code, s.status()) }, "1 none"),
        Case::refused("version-absent", "config.md#specification-version", |b| super::remove(b, "/ociVersion")).argued("The specification requires it. runc takes a config without, crun not."),
        Case::refused("version-no-version", "config.md#specification-version", |b| { b.set("/ociVersion", json!("new")); }).argued("As above."),
        Case::refused("version-of-another-age", "config.md#specification-version", |b| { b.set("/ociVersion", json!("2.0.0")); }).argued("A config of another major version may mean something else by the same names."),
        Case::run("unknown-properties-are-ignored", "config.md#extensibility", |b| { b.set("/aNewProperty", json!({ "a": 1 })).set("/linux/another", json!([])); }, "echo fine", "fine\n"),
        Case::run("annotations-are-anything", "config.md#annotations", |b| { b.set("/annotations", json!({ "com.example.key": "value", "empty": "" })); }, "echo fine", "fine\n"),
        Case::life("unknown-verb", "runc(8)", |s| (s.verb(&["no-such-verb"]).code != 0).to_string(), "true"),
        Case::life("unknown-flag", "runc(8)", |s| { let bundle = s.bundle_path(); (s.of(&["create", "--no-such-flag", "--bundle", &bundle]).code != 0).to_string() }, "true"),
        Case::life("no-id", "runc(8)", |s| (s.verb(&["state"]).code != 0).to_string(), "true"),
        Case::life("id-with-a-slash", "runc(8) create", |s| bad_id(s, "a/b"), "refused"),
        Case::life("id-that-climbs", "runc(8) create", |s| bad_id(s, ".."), "refused"),
        Case::life("id-empty", "runc(8) create", |s| bad_id(s, ""), "refused"),
        Case::life("id-of-a-thousand-letters", "runc(8) create", |s| bad_id(s, &"x".repeat(1025)), "refused"),
        Case::life("failed-create-leaves-no-state", "runtime.md#create", |s| { s.bundle.args(&["no-such-program"]); drop(s.create()); s.verb(&["list", "-q"]).stdout }, ""),
        Case::life("failed-create-leaves-no-cgroup", "runtime.md#create", |s| { s.bundle.args(&["no-such-program"]); drop(s.create()); s.cgroup("pids", "cgroup.procs") }, "entity not found"),
    ]
}

/// `create` of the bundle as it now is: its exit code, and what state says then.
fn failed(subject: &mut Subject) -> String {
    let code = subject.create().code;
    format!("{code} {}", subject.status())
}

fn bad_id(subject: &mut Subject, id: &str) -> String {
    let bundle = subject.bundle_path();
    let got = subject.verb(&["create", "--bundle", &bundle, id]);
    if got.code == 0 {
        drop(subject.verb(&["delete", "--force", id]));
    }
    if got.code == 0 { "taken".into() } else { "refused".into() }
}

fn last_line(subject: &mut Subject, program: &str) -> Value {
    let log = subject.scratch.join("log.json");
    let path = log.to_string_lossy().into_owned();
    subject.bundle.args(&[program]);
    let bundle = subject.bundle_path();
    drop(subject.verb(&["--log", &path, "--log-format", "json", "run", "--bundle", &bundle, &subject.id]));
    let text = std::fs::read_to_string(log).unwrap_or_default();
    serde_json::from_str(text.lines().last().unwrap_or_default()).unwrap_or_default()
}
