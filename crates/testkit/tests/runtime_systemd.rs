//! `--systemd-cgroup`: scopes made by systemd over D-Bus, compared with runc's and crun's. Needs cgroup v2 and systemd as the
//! first process: `./dev guest-test` has both.
#![cfg(feature = "privileged")]

use plimsoll_testkit::runtimes::{Runtime, runtimes};
use plimsoll_testkit::{Bundle, Output, Scratch, bundle, run};
use serde_json::json;
use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Whether the machine is such a one; says so when it is not.
fn has_systemd() -> bool {
    let has = Path::new("/run/systemd/system").is_dir() && Path::new("/sys/fs/cgroup/cgroup.controllers").exists();
    if !has {
        // Past the capture of test output.
        drop(writeln!(std::io::stderr(), "NOT RUN: runtime_systemd needs systemd and cgroup v2 (./dev guest-test)"));
    }
    has
}

struct Case {
    scratch: Scratch,
    made: Bundle,
    runtime: Runtime,
}

impl Case {
    fn new(runtime: Runtime) -> Case {
        let scratch = Scratch::new();
        let mut made = bundle(&scratch);
        made.set("/ociVersion", json!("1.0.2"));
        let path = format!("system.slice:{}:{}", scratch.cgroup_prefix(), runtime.0);
        made.set("/linux/cgroupsPath", json!(path));
        made.args(&["sleep", "100"]);
        Case { scratch, made, runtime }
    }

    fn unit(&self) -> String {
        format!("{}-{}.scope", self.scratch.cgroup_prefix(), self.runtime.0)
    }

    fn folder(&self) -> PathBuf {
        Path::new("/sys/fs/cgroup/system.slice").join(self.unit())
    }

    fn file(&self, name: &str) -> String {
        let path = self.folder().join(name);
        std::fs::read_to_string(&path).unwrap_or_else(|e| format!("{}: {e}", path.display())).trim_end().to_owned()
    }

    fn verb(&self, args: &[&str]) -> Output {
        run(self.runtime.command(&self.scratch).arg("--systemd-cgroup").args(args))
    }

    fn id(&self) -> String {
        self.scratch.id(self.runtime.0)
    }

    fn start(&self) {
        let bundle = self.made.path.to_string_lossy().into_owned();
        self.verb(&["run", "--detach", "--bundle", &bundle, &self.id()]).ok();
    }

    fn delete(&self) {
        self.verb(&["delete", "--force", &self.id()]).ok();
    }

    fn properties(&self, names: &[&str]) -> BTreeMap<String, String> {
        let output = run(Command::new("systemctl").arg("show").arg(self.unit()).arg("-p").arg(names.join(",")));
        let pair = |line: &str| line.split_once('=').map(|(name, value)| (name.to_owned(), value.to_owned()));
        output.ok().lines().filter_map(pair).collect()
    }
}

fn reload() {
    run(Command::new("systemctl").arg("daemon-reload")).ok();
}

/// The same limits as runc: as files of the kernel and as properties of the unit, before and after a daemon-reload. crun has
/// the same properties, but its container one group below the scope, and swap counted with the memory.
#[test]
fn limits_are_files_and_properties_that_outlive_a_reload() {
    if !has_systemd() {
        return;
    }
    const FILES: [&str; 6] = ["memory.max", "memory.low", "pids.max", "cpu.max", "cpuset.cpus", "memory.swap.max"];
    const PROPERTIES: [&str; 7] =
        ["MemoryMax", "MemoryLow", "TasksMax", "CPUQuotaPerSecUSec", "AllowedCPUs", "Delegate", "Slice"];
    let mut seen = Vec::new();
    for runtime in runtimes() {
        let mut case = Case::new(runtime);
        case.made.set(
            "/linux/resources/memory",
            json!({ "limit": 67_108_864, "swap": 134_217_728, "reservation": 33_554_432 }),
        );
        case.made.set("/linux/resources/pids", json!({ "limit": 50 }));
        case.made
            .set("/linux/resources/cpu", json!({ "quota": 30_000, "period": 100_000, "shares": 512, "cpus": "0-1" }));
        case.start();
        let compared = if runtime.0 == "crun" { 4 } else { 6 };
        let files = || FILES[..compared].iter().map(|name| case.file(name)).collect::<Vec<_>>();
        let before = files();
        let wanted = ["67108864", "33554432", "50", "30000 100000", "0-1", "67108864"];
        assert_eq!(before, wanted[..compared], "{}", runtime.0);
        let properties = case.properties(&PROPERTIES);
        reload();
        assert_eq!(files(), before, "{} after daemon-reload", runtime.0);
        seen.push((runtime.0, properties));
        case.delete();
        assert!(!case.folder().exists(), "{}: the scope is still there", runtime.0);
    }
    for (peer, theirs) in &seen[1..] {
        assert_eq!(&seen[0].1, theirs, "{} (left) and {peer}", seen[0].0);
    }
}

/// What may be opened stays what may be opened, whatever systemd does meanwhile.
#[test]
fn a_reload_keeps_device_limits() {
    if !has_systemd() {
        return;
    }
    for runtime in runtimes() {
        let mut case = Case::new(runtime);
        let caps = json!(["CAP_MKNOD"]);
        case.made.set("/process/capabilities", json!({ "bounding": caps, "effective": caps, "permitted": caps }));
        case.made.set("/root/readonly", json!(false));
        case.made.set(
            "/linux/resources/devices",
            json!([
                { "allow": false, "access": "rwm" },
                { "allow": true, "type": "c", "major": 10, "minor": 229, "access": "rw" },
            ]),
        );
        let look = "rm -f /tmp/m /tmp/f; mknod /tmp/m c 1 1; mknod /tmp/f c 10 229; head -c1 /tmp/m >/dev/null 2>&1; echo $?; \
                    : 2>/dev/null </tmp/f; echo $?; head -c1 /dev/zero | wc -c";
        case.start();
        let before = case.verb(&["exec", &case.id(), "sh", "-c", look]).stdout;
        assert_eq!(before, "1\n0\n1\n", "{}: /dev/mem refused, the allowed one and zero open", runtime.0);
        reload();
        let after = case.verb(&["exec", &case.id(), "sh", "-c", look]).stdout;
        assert_eq!(after, before, "{} after daemon-reload", runtime.0);
        case.delete();
    }
}

/// On a machine without systemd, under plimrun as under runc, and nothing is left.
#[test]
fn without_systemd_it_is_refused() {
    if Path::new("/run/systemd/system").is_dir() {
        return;
    }
    for runtime in runtimes().into_iter().filter(|r| r.0 != "crun") {
        let case = Case::new(runtime);
        let bundle = case.made.path.to_string_lossy().into_owned();
        let output = case.verb(&["run", "--detach", "--bundle", &bundle, &case.id()]);
        assert!(output.code == 1 && output.stderr.contains("systemd"), "{}: {}", runtime.0, output.stderr);
        assert_eq!(case.scratch.lasting(), Vec::<String>::new());
    }
}

#[test]
fn update_reaches_files_and_properties() {
    if !has_systemd() {
        return;
    }
    let mut seen = Vec::new();
    // crun 1.28 looks for a group below the scope and fails.
    for runtime in runtimes().into_iter().filter(|r| r.0 != "crun") {
        let mut case = Case::new(runtime);
        case.made.set("/linux/resources/memory", json!({ "limit": 67_108_864 }));
        case.made.set("/linux/resources/cpu", json!({ "quota": 30_000, "period": 100_000 }));
        case.start();
        case.verb(&["update", "--memory", "32M", "--pids-limit", "20", "--cpu-quota", "70000", &case.id()]).ok();
        let look = || ["memory.max", "pids.max", "cpu.max"].map(|name| case.file(name));
        let files = look();
        assert_eq!(files, ["33554432", "20", "70000 100000"], "{}", runtime.0);
        reload();
        assert_eq!(look(), files, "{} after daemon-reload", runtime.0);
        seen.push((runtime.0, case.properties(&["MemoryMax", "TasksMax", "CPUQuotaPerSecUSec"])));
        case.delete();
    }
    for (peer, theirs) in &seen[1..] {
        assert_eq!(&seen[0].1, theirs, "{} (left) and {peer}", seen[0].0);
    }
}

#[test]
fn annotations_are_properties() {
    if !has_systemd() {
        return;
    }
    for runtime in runtimes() {
        let mut case = Case::new(runtime);
        case.made.set("/annotations", json!({ "org.systemd.property.TimeoutStopSec": "uint64 7" }));
        case.start();
        assert_eq!(case.properties(&["TimeoutStopUSec"])["TimeoutStopUSec"], "7s", "{}", runtime.0);
        case.delete();
    }
}

#[test]
fn bad_names_and_values_change_nothing() {
    if !has_systemd() {
        return;
    }
    let id = |case: &Case| case.id();
    for (path, annotation, says) in [
        ("/absolute/path", None, "slice:prefix:name"),
        ("a/b.slice:x:y", None, "invalid slice name"),
        ("system.slice:x:y.slice", None, "not a slice"),
        ("", Some(("org.systemd.property.After", "[broken")), "cannot read"),
        ("", Some(("org.systemd.property.NoSuchProperty", "true")), "NoSuchProperty"),
    ] {
        let mut case = Case::new(Runtime("plimrun"));
        if !path.is_empty() {
            case.made.set("/linux/cgroupsPath", json!(path));
        }
        if let Some((key, value)) = annotation {
            case.made.set("/annotations", json!({ key: value }));
        }
        let bundle = case.made.path.to_string_lossy().into_owned();
        let output = case.verb(&["run", "--detach", "--bundle", &bundle, &id(&case)]);
        assert!(output.code == 1 && output.stderr.contains(says), "{path}: {}", output.stderr);
        assert_eq!(case.scratch.lasting(), Vec::<String>::new());
        assert!(!case.folder().exists());
    }
}

/// A scope ends with its last process; what it leaves is forgotten when the container is deleted, and its name is free again.
#[test]
fn a_killed_container_leaves_no_unit() {
    if !has_systemd() {
        return;
    }
    for runtime in runtimes() {
        let mut case = Case::new(runtime);
        case.made.set("/linux/resources/memory", json!({ "limit": 20_971_520, "swap": 20_971_520 }));
        case.made.args(&["sh", "-c", "tail /dev/zero; exit 3"]);
        for _ in 0..2 {
            let bundle = case.made.path.to_string_lossy().into_owned();
            let output = case.verb(&["run", "--bundle", &bundle, &case.id()]);
            assert!(matches!(output.code, 3 | 137), "{}: {} {}", runtime.0, output.code, output.stderr);
        }
        let units =
            run(Command::new("systemctl").args(["list-units", "--all", "--no-legend", "--plain"]).arg(case.unit()))
                .stdout;
        assert_eq!(units.trim(), "", "{}", runtime.0);
    }
}

/// An ordinary user's own systemd: the scope is below his manager, with limits, and goes with the container. uid 1000 has a
/// lasting session in the guest.
#[test]
fn a_users_own_systemd() {
    const UID: u32 = 1000;
    let session = PathBuf::from(format!("/run/user/{UID}"));
    if !has_systemd() || !session.join("systemd/private").exists() {
        drop(writeln!(
            std::io::stderr(),
            "NOT RUN: a_users_own_systemd needs a session of uid {UID} (./dev guest-test)"
        ));
        return;
    }
    for runtime in runtimes().into_iter().filter(|r| r.0 != "crun") {
        let scratch = Scratch::new();
        std::fs::set_permissions(scratch.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).expect("chmod");
        let made = bundle(&scratch);
        let bundle = made.path.to_string_lossy().into_owned();
        run(Command::new("chown").arg("-R").arg(format!("{UID}:{UID}")).arg(&made.path)).ok();
        let program = scratch.join("runtime");
        std::fs::copy(runtime.program(), &program).expect("a copy");
        let id = scratch.id(runtime.0);
        let state = scratch.dir("state");
        run(Command::new("chown").arg(format!("{UID}:{UID}")).arg(&state)).ok();
        let manager = format!("/sys/fs/cgroup/user.slice/user-{UID}.slice/user@{UID}.service");
        let user = |args: &[&str]| {
            // From a group below the user's manager: out of another one it may not move anything.
            let mut command = scratch.command("sh");
            let script = "mkdir -p $0 && echo $$ >$0/cgroup.procs && exec \"$@\"";
            command.args(["-c", script, &format!("{manager}/app.slice/{}", scratch.cgroup_prefix()), "setpriv"]);
            command.args([
                &format!("--reuid={UID}"),
                &format!("--regid={UID}"),
                "--clear-groups",
                "--inh-caps=-all",
                "env",
            ]);
            command.arg(format!("XDG_RUNTIME_DIR={}", session.display()));
            command.arg(format!("DBUS_SESSION_BUS_ADDRESS=unix:path={}/bus", session.display()));
            run(command.arg(&program).arg("--root").arg(&state).arg("--systemd-cgroup").args(args))
        };
        std::fs::remove_file(made.path.join("config.json")).expect("the config");
        user(&["spec", "--rootless", "--bundle", &bundle]).ok();
        let text = std::fs::read(made.path.join("config.json")).expect("a config");
        let mut config: serde_json::Value = serde_json::from_slice(&text).expect("JSON");
        config["process"]["terminal"] = json!(false);
        config["process"]["args"] = json!(["sleep", "100"]);
        config["linux"]["cgroupsPath"] = json!(format!("user.slice:{}:{}", scratch.cgroup_prefix(), runtime.0));
        config["linux"]["resources"] = json!({ "memory": { "limit": 67_108_864 }, "pids": { "limit": 40 } });
        std::fs::write(made.path.join("config.json"), config.to_string()).expect("written");
        user(&["run", "--detach", "--bundle", &bundle, &id]).ok();
        let unit = format!("{}-{}.scope", scratch.cgroup_prefix(), runtime.0);
        let folder = Path::new(&manager).join("user.slice").join(&unit);
        let file = |name: &str| std::fs::read_to_string(folder.join(name)).unwrap_or_default().trim_end().to_owned();
        assert_eq!((file("memory.max").as_str(), file("pids.max").as_str()), ("67108864", "40"), "{}", runtime.0);
        assert_eq!(user(&["exec", &id, "true"]).code, 0, "{}", runtime.0);
        user(&["update", "--pids-limit", "30", &id]).ok();
        assert_eq!(file("pids.max"), "30", "{}", runtime.0);
        user(&["delete", "--force", &id]).ok();
        assert!(!folder.exists(), "{}: the scope is still there", runtime.0);
    }
}
