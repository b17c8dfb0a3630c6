//! plimrun called by an ordinary user: beside runc, with subordinate ids and without. crun is left out: its copy for tests is
//! run by a loader below the root user's home.
#![cfg(feature = "privileged")]
#![allow(clippy::print_stderr, reason = "a test that cannot run must be heard")]

use plimsoll_testkit::runtimes::Runtime;
use plimsoll_testkit::{Output, Scratch, bundle, run};
use serde_json::{Value, json};
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Nobody else's on any machine that tests run on.
const USER: u32 = 424_242;

/// A user of its own, known only in private mount namespaces, with its own copies of the runtimes and a bundle.
struct User {
    scratch: Scratch,
    bundle: PathBuf,
    config: Value,
}

impl User {
    fn new() -> User {
        let scratch = Scratch::new();
        chmod(scratch.path(), 0o755);
        let made = bundle(&scratch);
        let (bundle, home) = (made.path.clone(), scratch.dir("xdg"));
        std::fs::remove_file(bundle.join("config.json")).expect("the config");
        give(&bundle);
        give(&home);
        for runtime in [Runtime("plimrun"), Runtime("runc")] {
            let copy = scratch.join(runtime.0);
            std::fs::copy(runtime.program(), &copy).expect("a copy of the runtime");
            chmod(&copy, 0o755);
        }
        for (file, line) in
            [("passwd", format!("plim-test:x:{USER}:{USER}::/:/bin/sh\n")), ("group", format!("plim-test:x:{USER}:\n"))]
        {
            let old = std::fs::read_to_string(Path::new("/etc").join(file)).expect("a table of users");
            chmod(&scratch.file(file, old + &line), 0o644);
        }
        for file in ["subuid", "subgid"] {
            chmod(&scratch.file(file, "plim-test:300000:65536\n"), 0o644);
        }
        let mut user = User { scratch, bundle, config: Value::Null };
        user.command("plimrun", &["spec", "--rootless", "--bundle"]).arg(&user.bundle).status().expect("runs");
        let text = std::fs::read(user.bundle.join("config.json")).expect("a config");
        user.config = serde_json::from_slice(&text).expect("JSON");
        user.config["process"]["terminal"] = json!(false);
        user.config["root"]["readonly"] = json!(false);
        user
    }

    /// A runtime as the user: no rights, no groups, no environment of root's.
    fn command(&self, runtime: &str, words: &[&str]) -> Command {
        let mut command = self.scratch.command("unshare");
        let script = "mount --make-rprivate / && for f in passwd group subuid subgid; do [ -e /etc/$f ] || continue; \
                      mount --bind \"$0/$f\" /etc/$f || exit; done; cd \"$0\" && \
                      exec setpriv --reuid=$1 --regid=$1 --clear-groups --inh-caps=-all --bounding-set=-sys_resource \
                      env HOME=/ XDG_RUNTIME_DIR=\"$0/xdg\" \"$0/$2\" \"${@:3}\"";
        command
            .args(["-m", "bash", "-c", script])
            .arg(self.scratch.path())
            .args([&USER.to_string(), runtime])
            .args(words);
        command
    }

    fn sh(&mut self, script: &str) -> &mut User {
        self.config["process"]["args"] = json!(["/bin/sh", "-c", script]);
        self.write()
    }

    fn write(&mut self) -> &mut User {
        std::fs::write(self.bundle.join("config.json"), self.config.to_string()).expect("written");
        self
    }

    fn verb(&self, runtime: &str, verb: &str, words: &[&str]) -> Output {
        let all: Vec<&str> = std::iter::once(verb).chain(words.iter().copied()).collect();
        run(&mut self.command(runtime, &all))
    }

    fn run(&self, runtime: &str) -> Output {
        self.verb(runtime, "run", &["--bundle", &self.bundle.to_string_lossy(), &self.scratch.id(runtime)])
    }

    #[track_caller]
    fn same(&self) -> String {
        let (ours, theirs) = (self.run("plimrun"), self.run("runc"));
        assert_eq!((ours.code, &ours.stdout), (theirs.code, &theirs.stdout), "{}\n{}", ours.stderr, theirs.stderr);
        ours.ok()
    }

    /// More ids than the user's own.
    fn map_subordinate_ids(&mut self) {
        let map = json!([{ "containerID": 0, "hostID": USER, "size": 1 }, { "containerID": 1, "hostID": 300_000, "size": 65_536 }]);
        self.config["linux"]["uidMappings"] = map.clone();
        self.config["linux"]["gidMappings"] = map;
    }
}

fn chmod(path: &Path, mode: u32) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).expect("chmod");
}

/// The folder and all that is in it becomes the user's.
fn give(path: &Path) {
    std::os::unix::fs::lchown(path, Some(USER), Some(USER)).expect("chown");
    if path.is_dir() && !path.is_symlink() {
        std::fs::read_dir(path).expect("a folder").for_each(|entry| give(&entry.expect("an entry").path()));
    }
}

#[test]
fn the_config_to_start_from() {
    let user = User::new();
    let text = std::fs::read(user.bundle.join("config.json")).expect("a config");
    let mut ours: Value = serde_json::from_slice(&text).expect("JSON");
    std::fs::remove_file(user.bundle.join("config.json")).expect("removed");
    user.verb("runc", "spec", &["--rootless", "--bundle", &user.bundle.to_string_lossy()]).ok();
    let text = std::fs::read(user.bundle.join("config.json")).expect("a config");
    let mut theirs: Value = serde_json::from_slice(&text).expect("JSON");
    for config in [&mut ours, &mut theirs] {
        // The name is the runtime's; ours hides more and has a cgroup namespace.
        config["hostname"].take();
        config["linux"]["maskedPaths"].take();
        config["linux"]["namespaces"].as_array_mut().expect("a list").retain(|n| n["type"] != "cgroup");
    }
    assert_eq!(ours, theirs);
}

#[test]
fn with_the_own_id_alone() {
    let mut user = User::new();
    user.sh("id -u; id -g; cat /proc/self/uid_map /proc/self/setgroups; echo x >/dev/null; touch /tmp/made; ls -ln /tmp | wc -l; \
             rm /tmp/made; grep CapEff /proc/self/status; ls -d /sys/class/net");
    assert!(user.same().starts_with("0\n0\n         0     424242          1\ndeny\n"));
}

#[test]
fn with_subordinate_ids() {
    let mut user = User::new();
    user.map_subordinate_ids();
    let caps = json!(["CAP_CHOWN", "CAP_SETUID", "CAP_SETGID", "CAP_FOWNER", "CAP_DAC_OVERRIDE"]);
    for set in ["bounding", "effective", "permitted"] {
        user.config["process"]["capabilities"][set] = caps.clone();
    }
    user.sh("cat /proc/self/uid_map /proc/self/gid_map /proc/self/setgroups; touch /tmp/x; chown 33:44 /tmp/x; stat -c '%u %g' /tmp/x; rm /tmp/x");
    let seen = user.same();
    assert!(seen.ends_with("allow\n33 44\n"), "{seen}");
    user.config["process"]["user"] = json!({ "uid": 1000, "gid": 1000 });
    user.sh("id -u; id -g; id -G");
    assert_eq!(user.same(), "1000\n1000\n1000\n");
}

#[test]
fn ids_of_somebody_else_are_refused() {
    let mut user = User::new();
    let map = json!([{ "containerID": 0, "hostID": 0, "size": 1 }]);
    user.config["linux"]["uidMappings"] = map;
    user.sh("id -u");
    for runtime in ["plimrun", "runc"] {
        let output = user.run(runtime);
        assert!(output.code == 1 && output.stdout.is_empty(), "{runtime}: {output:?}");
        assert!(runtime == "runc" || output.stderr.contains("/linux/uidMappings"), "{output:?}");
    }
}

#[test]
fn without_a_user_namespace_it_says_what_is_needed() {
    let mut user = User::new();
    user.config["linux"]["namespaces"].as_array_mut().expect("a list").retain(|n| n["type"] != "user");
    user.config["linux"]["uidMappings"].take();
    user.config["linux"]["gidMappings"].take();
    user.sh("id -u");
    let output = user.run("plimrun");
    assert!(output.code == 1 && output.stdout.is_empty(), "{output:?}");
    assert_eq!(user.run("runc").code, 1);
}

/// Limits that cannot be set are refused; without any the container goes without a cgroup and says so.
#[test]
fn without_rights_over_cgroups() {
    let mut user = User::new();
    user.sh("echo ran");
    let output = user.run("plimrun");
    assert!(output.stdout == "ran\n" && output.stderr.contains("no cgroup of its own"), "{output:?}");
    user.config["linux"]["resources"] = json!({ "pids": { "limit": 10 } });
    user.sh("echo ran");
    for runtime in ["plimrun", "runc"] {
        let output = user.run(runtime);
        assert!(output.code == 1 && output.stdout.is_empty(), "{runtime}: {output:?}");
    }
}

#[test]
fn every_verb() {
    for subordinate in [false, true] {
        let mut user = User::new();
        if subordinate {
            user.map_subordinate_ids();
        }
        user.sh("exec sleep 60");
        let id = user.scratch.id("it");
        let out = user.scratch.file("out", "");
        let log = || std::fs::File::create(&out).expect("a file");
        let mut start = user.command("plimrun", &["run", "-d", "--bundle"]);
        let started =
            start.arg(&user.bundle).arg(&id).stdin(std::process::Stdio::null()).stdout(log()).stderr(log()).status();
        assert!(started.expect("runs").success(), "{}", std::fs::read_to_string(&out).unwrap_or_default());
        let state: Value = serde_json::from_str(&user.verb("plimrun", "state", &[&id]).ok()).expect("JSON");
        assert_eq!((&state["status"], &state["owner"]), (&json!("running"), &json!("plim-test")));
        let seen = user
            .verb(
                "plimrun",
                "exec",
                &[&id, "sh", "-c", "id -u; for n in user mnt pid ipc uts; do readlink /proc/self/ns/$n; done"],
            )
            .ok();
        let links: Vec<String> = seen.lines().skip(1).map(str::to_owned).collect();
        let of = |name: &str| {
            std::fs::read_link(format!("/proc/{}/ns/{name}", state["pid"])).expect("a link").display().to_string()
        };
        assert_eq!(links, ["user", "mnt", "pid", "ipc", "uts"].map(of), "subordinate ids: {subordinate}");
        if subordinate {
            let words = ["--user", "7:8", "--additional-gids", "9", &id, "id", "-G"];
            assert_eq!(user.verb("plimrun", "exec", &words).ok(), "8 9\n");
        } else {
            assert_ne!(user.verb("plimrun", "exec", &["--additional-gids", "9", &id, "id"]).code, 0);
        }
        assert!(user.verb("plimrun", "exec", &["--cgroup", "x", &id, "true"]).stderr.contains("no cgroup"));
        assert!(user.verb("plimrun", "ps", &[&id]).stderr.contains("no cgroup"));
        assert!(user.verb("plimrun", "pause", &[&id]).stderr.contains("no cgroup"));
        assert!(user.verb("plimrun", "list", &["-q"]).ok().contains(&id));
        assert_ne!(user.verb("plimrun", "delete", &[&id]).code, 0, "it runs");
        user.verb("plimrun", "delete", &["--force", &id]).ok();
        let root = user.scratch.join("xdg/plimrun");
        assert_eq!(std::fs::metadata(&root).expect("the root").permissions().mode() & 0o7777, 0o1700);
        assert_eq!(std::fs::read_dir(&root).expect("the root").count(), 0, "nothing is left");
    }
}

/// The root of a user namespace that somebody else made, as engines of ordinary users are: devices are bound there too.
#[test]
fn the_root_of_a_user_namespace() {
    let mut user = User::new();
    user.config["linux"]["namespaces"].as_array_mut().expect("a list").retain(|n| n["type"] != "user");
    user.config["linux"]["uidMappings"].take();
    user.config["linux"]["gidMappings"].take();
    user.sh("id -u; echo gone >/dev/null; cat /proc/self/uid_map");
    chown(user.scratch.path(), Some(USER), Some(USER)).expect("chown");
    for runtime in ["plimrun", "runc"] {
        let script = "exec setpriv --reuid=$1 --regid=$1 --clear-groups --inh-caps=-all unshare -Urm \"$0/$2\" --root \"$0/xdg/$2\" run --bundle \"$3\" \"$4\"";
        let mut command = user.scratch.command("sh");
        command.args(["-c", script]).arg(user.scratch.path()).args([&USER.to_string(), runtime]).arg(&user.bundle);
        let seen = run(command.arg(user.scratch.id(runtime))).ok();
        assert_eq!(seen, "0\n         0     424242          1\n", "{runtime}");
    }
}

/// A terminal of the container's own devpts, which `gid=5` of nobody would not give.
#[test]
fn with_a_terminal() {
    let mut user = User::new();
    user.config["process"]["terminal"] = json!(true);
    user.sh("tty; test -c /dev/console && echo to-console >/dev/console");
    for runtime in ["plimrun", "runc"] {
        let inner =
            user.command(runtime, &["run", "--bundle", &user.bundle.to_string_lossy(), &user.scratch.id(runtime)]);
        let words = std::iter::once(inner.get_program()).chain(inner.get_args());
        let line: Vec<String> = words.map(|w| format!("'{}'", w.to_string_lossy().replace('\'', "'\\''"))).collect();
        let seen = run(user.scratch.command("script").args(["-qec", &line.join(" "), "/dev/null"])).ok();
        // script echoes the end of its own input in between, whenever it comes.
        assert!(seen.contains("/dev/pts/0\r\n") && seen.contains("to-console\r\n"), "{runtime}: {seen:?}");
    }
}

/// A folder of cgroup v2 that is the user's, with the user in it: limits work, and every verb that needs a cgroup.
#[test]
fn with_a_delegated_cgroup() {
    let top = Path::new("/sys/fs/cgroup");
    if !top.join("cgroup.controllers").exists() {
        eprintln!("NOT RUN: with_a_delegated_cgroup: cgroup v1 is not delegated to ordinary users");
        return;
    }
    let mut user = User::new();
    let group = top.join(user.scratch.cgroup_prefix());
    std::fs::create_dir_all(group.join("caller")).expect("a cgroup");
    for file in ["", "cgroup.procs", "cgroup.subtree_control", "cgroup.threads", "caller", "caller/cgroup.procs"] {
        chown(group.join(file), Some(USER), Some(USER)).expect("chown");
    }
    user.config["linux"]["cgroupsPath"] = json!("container");
    user.config["linux"]["resources"] = json!({ "pids": { "limit": 17 } });
    user.sh("cat /proc/self/cgroup; exec sleep 60");
    let (id, out) = (user.scratch.id("it"), user.scratch.file("out", ""));
    let inside = |words: &[&str]| {
        let inner = user.command("plimrun", words);
        let mut command = user.scratch.command("sh");
        command.args(["-c", "echo $$ >\"$0/caller/cgroup.procs\" && exec \"$@\""]).arg(&group);
        command.arg(inner.get_program()).args(inner.get_args());
        command
    };
    let log = || std::fs::File::create(&out).expect("a file");
    let mut start = inside(&["run", "-d", "--bundle", &user.bundle.to_string_lossy(), &id]);
    let started = start.stdin(std::process::Stdio::null()).stdout(log()).stderr(log()).status().expect("runs");
    let said = std::fs::read_to_string(&out).expect("the output");
    assert!(started.success() && !said.contains("no cgroup"), "{said}");
    let limit = std::fs::read_to_string(group.join("container/pids.max")).expect("the limit");
    assert_eq!(limit, "17\n");
    assert_eq!(run(&mut inside(&["exec", &id, "echo", "ran"])).ok(), "ran\n");
    run(&mut inside(&["pause", &id])).ok();
    run(&mut inside(&["resume", &id])).ok();
    assert!(run(&mut inside(&["ps", &id])).ok().contains("sleep"));
    run(&mut inside(&["delete", "--force", &id])).ok();
    assert!(!group.join("container").exists());
}

/// A runtime without rights over its child is given the listener in another way.
#[test]
fn seccomp_notify() {
    for no_new_privileges in [true, false] {
        let mut user = User::new();
        let agent = plimsoll_testkit::seccomp_agent::Agent::start(&mut user.scratch);
        user.config["process"]["noNewPrivileges"] = json!(no_new_privileges);
        user.config["linux"]["seccomp"] = json!({
            "defaultAction": "SCMP_ACT_ALLOW",
            "listenerPath": agent.socket,
            "syscalls": [{ "names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_NOTIFY" }],
        });
        user.sh("mkdir /tmp/x 2>&1; true");
        assert_eq!(user.same(), "mkdir: can't create directory '/tmp/x': No space left on device\n");
        assert_eq!(agent.states().len(), 2);
        // Then it cannot be given at all: said, not waited for.
        user.config["linux"]["seccomp"]["syscalls"][0]["names"] = json!(["sendmsg"]);
        let output = user.write().run("plimrun");
        assert!(output.code == 1 && output.stderr.contains("the filter holds up sendmsg"), "{}", output.stderr);
    }
}
