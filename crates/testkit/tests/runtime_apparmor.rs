//! AppArmor profiles, where the kernel enforces them: the guest of `./dev guest-test`. A machine without says so.
#![cfg(feature = "privileged")]
#![allow(clippy::print_stderr, reason = "a test that cannot test must be heard")]

use plimsoll_testkit::runtimes::Runtime;
use plimsoll_testkit::{Scratch, bundle, run};
use serde_json::{Value, json};
use std::path::PathBuf;
use std::process::Command;

const OURS: Runtime = Runtime("plimrun");
const RUNC: Runtime = Runtime("runc");

fn enabled() -> bool {
    let is = std::fs::read("/sys/module/apparmor/parameters/enabled").is_ok_and(|text| text.starts_with(b"Y"));
    if !is {
        eprintln!("NOT TESTED: AppArmor is not enabled on this machine (./dev guest-test runtime_apparmor)");
    }
    is
}

/// A loaded profile that lets everything be done but reading one file.
struct Profile {
    name: String,
    file: PathBuf,
}

impl Profile {
    fn load(scratch: &Scratch, name: &str, denied: &str) -> Profile {
        let name = format!("plimsoll-test-{}-{name}", std::process::id());
        let text = format!(
            "profile {name} flags=(attach_disconnected,mediate_deleted) {{\n  file,\n  capability,\n  network,\n  signal,\n  deny {denied} r,\n}}\n"
        );
        let profile = Profile { file: scratch.file(&name, text), name };
        profile.parser("--replace");
        profile
    }

    fn parser(&self, action: &str) {
        let output = Command::new("apparmor_parser").arg(action).arg(&self.file).output().expect("apparmor_parser");
        assert!(output.status.success(), "{action}: {}", String::from_utf8_lossy(&output.stderr));
    }
}

impl Drop for Profile {
    fn drop(&mut self) {
        self.parser("--remove");
    }
}

const LOOK: &str = "cat /proc/self/attr/current; cat /etc/group 2>&1 | head -1; cat /etc/passwd 2>&1 | head -1";

#[test]
fn a_profile_confines_the_program_and_what_is_executed_beside_it() {
    if !enabled() {
        return;
    }
    let scratch = Scratch::new();
    // Loaded once: the parser takes long on a slow machine.
    let no_group = Profile::load(&scratch, "group", "/etc/group");
    let no_passwd = Profile::load(&scratch, "passwd", "/etc/passwd");
    let denied = |file: &str| format!("cat: can't open '{file}': Permission denied\n");
    let group = format!("{} (enforce)\n{}root:x:0:0:root:/root:/bin/sh\n", no_group.name, denied("/etc/group"));
    let passwd = format!("{} (enforce)\nroot:x:0:\n{}", no_passwd.name, denied("/etc/passwd"));
    let mut made = bundle(&scratch);
    made.set("/process/apparmorProfile", json!(no_group.name));
    for (runtime, no_new_privileges) in [(OURS, true), (OURS, false), (RUNC, true)] {
        made.set("/process/noNewPrivileges", json!(no_new_privileges));
        made.args(&["/bin/sh", "-c", LOOK]);
        assert_eq!(runtime.run(&scratch, &made).ok(), group, "{}", runtime.0);
        made.args(&["sleep", "600"]);
        let id = scratch.id("c");
        let verb = |args: &[&str]| run(runtime.command(&scratch).args(args));
        verb(&["run", "--detach", "--bundle", &made.path.to_string_lossy(), &id]).ok();
        assert_eq!(verb(&["exec", &id, "/bin/sh", "-c", LOOK]).ok(), group, "{}", runtime.0);
        let other = verb(&["exec", "--apparmor", &no_passwd.name, &id, "/bin/sh", "-c", LOOK]);
        assert_eq!(other.stdout, passwd, "{}: {}", runtime.0, other.stderr);
        verb(&["delete", "--force", &id]).ok();
    }
}

#[test]
fn a_profile_that_is_not_loaded() {
    if !enabled() {
        return;
    }
    let scratch = Scratch::new();
    let mut made = bundle(&scratch);
    made.set("/process/apparmorProfile", json!("plimsoll-no-such-profile"));
    let log = scratch.join("log");
    let mut command = OURS.command(&scratch);
    command.arg("--log").arg(&log).args(["--log-format", "json", "run", "--bundle"]);
    assert_eq!(run(command.arg(&made.path).arg(scratch.id("c"))).code, 1);
    let text = std::fs::read_to_string(&log).expect("a log");
    let line: Value = serde_json::from_str(text.lines().last().expect("a line")).expect("JSON");
    assert_eq!(line["fault"]["layer"], "kernel", "{text}");
    assert_eq!(line["fault"]["detail"]["pointer"], "/process/apparmorProfile", "{text}");
    assert!(text.contains("no such profile is loaded"), "{text}");
    assert_ne!(RUNC.run(&scratch, &made).code, 0);
}
