//! Containers in user and time namespaces, new or joined, under plimrun and its peers alike.
#![cfg(feature = "privileged")]

use plimsoll_testkit::runtimes::{Runtime, runtimes};
use plimsoll_testkit::{Bundle, Output, Scratch, bundle, run, until};
use serde_json::{Value, json};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Stdio;

const OURS: Runtime = Runtime("plimrun");

fn open_to_all(path: &Path) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).expect("chmod");
}

/// A bundle in a user namespace. Every folder on the way is open: the root of the container must reach its root filesystem
/// under runc and crun.
fn mapped(scratch: &Scratch) -> Bundle {
    let mut made = bundle(scratch);
    open_to_all(scratch.path());
    open_to_all(&made.path);
    made.set("/ociVersion", json!("1.0.2"));
    let map = json!([{ "containerID": 0, "hostID": 100_000, "size": 65_536 }]);
    made.set("/linux/uidMappings", map.clone()).set("/linux/gidMappings", map);
    add_namespace(&mut made, json!({ "type": "user" }));
    made
}

fn add_namespace(made: &mut Bundle, namespace: Value) {
    made.config["linux"]["namespaces"].as_array_mut().expect("a list").push(namespace);
    made.write();
}

fn sh(made: &mut Bundle, script: &str) {
    made.args(&["/bin/sh", "-c", script]);
}

/// The same bundle under each runtime: the same exit code and output, which is returned.
#[track_caller]
fn same(names: &[&str], prepare: impl Fn(&mut Bundle)) -> String {
    let mut first: Option<(i32, String)> = None;
    let mut said = String::new();
    for runtime in runtimes().into_iter().filter(|runtime| names.contains(&runtime.0)) {
        let scratch = Scratch::new();
        let mut made = mapped(&scratch);
        prepare(&mut made);
        let output = runtime.run(&scratch, &made);
        let seen = (output.code, output.stdout);
        said.push_str(&output.stderr);
        let wanted = first.get_or_insert_with(|| seen.clone());
        assert_eq!(&seen, wanted, "{} (left): {}", runtime.0, output.stderr);
    }
    let (code, stdout) = first.expect("a runtime");
    assert_eq!(code, 0, "{stdout}{said}");
    stdout
}

const ALL: [&str; 3] = ["plimrun", "runc", "crun"];

#[test]
fn ids_and_rights() {
    let seen = same(&ALL, |made| {
        sh(
            made,
            "id -u; id -g; cat /proc/self/uid_map /proc/self/gid_map /proc/self/setgroups; grep Cap /proc/self/status",
        )
    });
    assert!(seen.starts_with("0\n0\n         0     100000      65536\n"), "{seen}");
}

#[test]
fn another_user_with_groups() {
    let seen = same(&ALL, |made| {
        made.set("/process/user", json!({ "uid": 1000, "gid": 1000, "additionalGids": [2000, 3000] }));
        sh(made, "id -u; id -g; id -G");
    });
    assert_eq!(seen, "1000\n1000\n1000 2000 3000\n");
}

#[test]
fn an_id_that_is_nobody_is_refused() {
    for runtime in runtimes() {
        let scratch = Scratch::new();
        let mut made = mapped(&scratch);
        made.set("/process/user", json!({ "uid": 70_000, "gid": 0 }));
        let output = runtime.run(&scratch, &made);
        assert!(output.code == 1 && output.stdout.is_empty(), "{}: {output:?}", runtime.0);
    }
}

#[test]
fn devices_are_the_hosts() {
    let script = "for d in null zero full random urandom tty; do stat -c '%n %F %t:%T %a' /dev/$d; done; \
                  echo gone >/dev/null && head -c 3 /dev/zero | wc -c; ls -l /dev/ptmx | sed 's/.*-> //'";
    let seen = same(&ALL, |made| sh(made, script));
    assert!(seen.contains("/dev/null character special file 1:3 666\n") && seen.contains("\n3\n"), "{seen}");
}

#[test]
fn mounts_masks_and_names() {
    let script = "cut -d' ' -f2,3,4 /proc/mounts | grep -E '^/(proc|dev|sys) ' | sed 's/,size=.*//'; \
                  cat /proc/keys | wc -c; mkdir /proc/sys/x 2>/dev/null; touch /proc/sys/kernel/x 2>/dev/null || echo read-only; hostname; ls /sys/class/net";
    let seen = same(&["plimrun", "runc"], |made| sh(made, script));
    assert!(seen.ends_with("0\nread-only\nplimrun\nlo\n"), "{seen}");
}

#[test]
fn sysctls_of_the_namespaces() {
    let seen = same(&["plimrun", "runc"], |made| {
        made.set("/linux/sysctl", json!({ "net.ipv4.ip_forward": "1", "user.max_mnt_namespaces": "7" }));
        sh(made, "cat /proc/sys/net/ipv4/ip_forward /proc/sys/user/max_mnt_namespaces");
    });
    assert_eq!(seen, "1\n7\n");
}

/// What only the host's rights can do is done by the runtime before it gives them up.
#[test]
fn oom_score_and_limits() {
    let seen = same(&["plimrun", "runc"], |made| {
        made.set("/process/oomScoreAdj", json!(321));
        made.set("/process/rlimits", json!([{ "type": "RLIMIT_NOFILE", "hard": 1024, "soft": 512 }]));
        sh(made, "cat /proc/self/oom_score_adj; ulimit -n; ulimit -Hn");
    });
    assert_eq!(seen, "321\n512\n1024\n");
}

#[test]
fn several_mappings() {
    let seen = same(&ALL, |made| {
        let map = json!([{ "containerID": 0, "hostID": 300_000, "size": 10 }, { "containerID": 1000, "hostID": 200_000, "size": 5 }]);
        made.set("/linux/uidMappings", map.clone()).set("/linux/gidMappings", map);
        sh(made, "cat /proc/self/uid_map");
    });
    assert_eq!(seen.lines().count(), 2, "{seen}");
}

/// Ours reaches a root filesystem below folders that the container's root may not enter: the parent opens it.
#[test]
fn a_root_filesystem_below_private_folders() {
    let scratch = Scratch::new();
    let mut made = mapped(&scratch);
    std::fs::set_permissions(&made.path, std::fs::Permissions::from_mode(0o700)).expect("chmod");
    let source = scratch.dir("private/source");
    std::fs::write(source.join("file"), "reached\n").expect("a file");
    open_to_all(&source);
    let mounts = made.config["mounts"].as_array_mut().expect("a list");
    mounts.push(json!({ "destination": "/tmp", "type": "bind", "source": source, "options": ["rbind", "ro"] }));
    sh(&mut made, "cat /tmp/file; id -u; ls -d /proc/1/root/bin");
    assert_eq!(OURS.run(&scratch, &made).ok(), "reached\n0\n/proc/1/root/bin\n");
    assert!(scratch.lasting().iter().all(|left| left.ends_with(&format!("/{}", scratch.cgroup_prefix()))));
}

/// A container that runs in the background.
struct Running<'a> {
    scratch: &'a Scratch,
    runtime: Runtime,
    id: String,
}

impl<'a> Running<'a> {
    #[track_caller]
    fn start(scratch: &'a Scratch, runtime: Runtime, made: &mut Bundle, name: &str) -> Running<'a> {
        let id = scratch.id(name);
        sh(made, "exec sleep 120");
        let mut command = runtime.command(scratch);
        command.args(["run", "-d", "--bundle"]).arg(&made.path).arg(&id);
        let log = std::fs::File::create(scratch.join(format!("{id}.log"))).expect("a file");
        let status = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).status().expect("runs");
        let said = std::fs::read_to_string(scratch.join(format!("{id}.log"))).unwrap_or_default();
        assert!(status.success(), "{}: {said}", runtime.0);
        Running { scratch, runtime, id }
    }

    fn verb(&self, verb: &str, before: &[&str], after: &[&str]) -> Output {
        let mut command = self.runtime.command(self.scratch);
        run(command.arg(verb).args(before).arg(&self.id).args(after))
    }

    fn exec(&self, words: &[&str]) -> Output {
        self.verb("exec", &[], words)
    }

    fn state(&self) -> Value {
        serde_json::from_str(&self.verb("state", &[], &[]).ok()).expect("JSON")
    }

    fn namespace(&self, name: &str) -> String {
        format!("/proc/{}/ns/{name}", self.state()["pid"])
    }
}

#[test]
fn a_second_process_and_every_verb() {
    for runtime in runtimes() {
        let scratch = Scratch::new();
        let mut made = mapped(&scratch);
        let it = Running::start(&scratch, runtime, &mut made, runtime.0);
        let seen = it.exec(&[
            "sh",
            "-c",
            "id -u; cat /proc/self/uid_map; readlink /proc/self/ns/user; grep CapEff /proc/self/status",
        ]);
        let user = std::fs::read_link(it.namespace("user")).expect("the namespace");
        let seen = seen.ok();
        assert!(seen.contains(&*user.to_string_lossy()) && seen.contains("100000"), "{}: {seen}", runtime.0);
        assert!(seen.ends_with("CapEff:\t0000000020000420\n"), "{}: {seen}", runtime.0);
        assert_eq!(it.verb("exec", &["--user", "1000:1000"], &["id", "-u"]).ok(), "1000\n", "{}", runtime.0);
        assert_ne!(it.verb("exec", &["--user", "70000"], &["true"]).code, 0, "{}", runtime.0);
        it.verb("pause", &[], &[]).ok();
        assert_eq!(it.state()["status"], "paused");
        it.verb("resume", &[], &[]).ok();
        it.verb("kill", &[], &["KILL"]).ok();
        until("the end", || it.state()["status"] == "stopped");
        it.verb("delete", &[], &[]).ok();
    }
}

/// The namespaces of one container by path in another: the user namespace first of all, its own or a new network namespace.
#[test]
fn joining_a_user_namespace() {
    let scratch = Scratch::new();
    let holder = Running::start(&scratch, OURS, &mut mapped(&scratch), "holder");
    let script = "readlink /proc/self/ns/user; readlink /proc/self/ns/net; cat /proc/self/uid_map; id -u; ip link set lo up && echo up; \
                  readlink /proc/self/ns/user";
    let read = |name: &str| std::fs::read_link(holder.namespace(name)).expect("a link").to_string_lossy().into_owned();
    for net in [true, false] {
        for runtime in runtimes() {
            let mut made = mapped(&scratch);
            made.config["linux"]["uidMappings"].take();
            made.config["linux"]["gidMappings"].take();
            for namespace in made.config["linux"]["namespaces"].as_array_mut().expect("a list") {
                if namespace["type"] == "user" {
                    namespace["path"] = json!(holder.namespace("user"));
                } else if namespace["type"] == "network" && net {
                    namespace["path"] = json!(holder.namespace("net"));
                }
            }
            for set in ["bounding", "effective", "permitted"] {
                made.config["process"]["capabilities"][set] = json!(["CAP_NET_ADMIN"]);
            }
            sh(&mut made, script);
            let seen = runtime.run(&scratch, &made).ok();
            let lines: Vec<&str> = seen.lines().collect();
            assert_eq!(lines[0], read("user"), "{}", runtime.0);
            assert_eq!(lines[1] == read("net"), net, "{}", runtime.0);
            assert_eq!(lines[3..5], ["0", "up"], "{}: {seen}", runtime.0);
        }
    }
}

/// Exec into a container whose user namespace is another's.
#[test]
fn exec_into_a_joined_user_namespace() {
    let scratch = Scratch::new();
    let holder = Running::start(&scratch, OURS, &mut mapped(&scratch), "holder");
    let mut made = mapped(&scratch);
    for namespace in made.config["linux"]["namespaces"].as_array_mut().expect("a list") {
        if namespace["type"] == "user" {
            namespace["path"] = json!(holder.namespace("user"));
        }
    }
    made.write();
    // Both a path and the mappings that are there: engines do so.
    let it = Running::start(&scratch, OURS, &mut made, "second");
    let same = format!("{}\n", std::fs::read_link(holder.namespace("user")).expect("a link").display());
    assert_eq!(it.exec(&["readlink", "/proc/self/ns/user"]).ok(), same);
    let map = json!([{ "containerID": 0, "hostID": 100_000, "size": 65_000 }]);
    made.set("/linux/uidMappings", map).args(&["true"]);
    for runtime in [OURS, Runtime("runc")] {
        let output = runtime.run(&scratch, &made);
        assert!(output.code == 1, "{}: other mappings than it has: {output:?}", runtime.0);
    }
}

#[test]
fn configs_that_contradict_themselves() {
    type Spoil = fn(&mut Bundle);
    let cases: [(&str, Spoil); 5] = [
        ("/linux/uidMappings", |made| {
            made.set("/linux/uidMappings", Value::Null).set("/linux/gidMappings", Value::Null);
        }),
        ("/linux/gidMappings", |made| {
            made.set("/linux/gidMappings", Value::Null);
        }),
        // runc ignores the mappings then, and the container's root is the host's.
        ("/linux/namespaces", |made| {
            made.config["linux"]["namespaces"].as_array_mut().expect("a list").retain(|n| n["type"] != "user");
            made.write();
        }),
        ("/linux/uidMappings/0/size", |made| {
            made.set("/linux/uidMappings/0/size", json!(0));
        }),
        ("/mounts/2/options", |made| {
            made.set("/mounts/2/options", json!(["newinstance", "gid=70000"]));
        }),
    ];
    for (pointer, spoil) in cases {
        let scratch = Scratch::new();
        let mut made = mapped(&scratch);
        spoil(&mut made);
        for runtime in [OURS, Runtime("runc")] {
            let output = runtime.run(&scratch, &made);
            let lenient = runtime != OURS && pointer == "/linux/namespaces";
            assert!(lenient || (output.code == 1 && output.stdout.is_empty()), "{}: {pointer}: {output:?}", runtime.0);
            assert!(runtime != OURS || output.stderr.contains(pointer), "{pointer}: {}", output.stderr);
        }
    }
}

#[test]
fn clocks() {
    for users in [true, false] {
        // crun has no right left to set the clocks once it is in a user namespace.
        let seen = same(if users { &ALL[..2] } else { &ALL }, |made| {
            if !users {
                made.config["linux"]["namespaces"].as_array_mut().expect("a list").retain(|n| n["type"] != "user");
                made.config["linux"]["uidMappings"].take();
                made.config["linux"]["gidMappings"].take();
            }
            add_namespace(made, json!({ "type": "time" }));
            made.set(
                "/linux/timeOffsets",
                json!({ "boottime": { "secs": 5_000_000 }, "monotonic": { "secs": 7, "nanosecs": 5 } }),
            );
            sh(made, "cat /proc/self/timens_offsets; test $(cut -d. -f1 /proc/uptime) -ge 5000000 && echo later");
        });
        assert_eq!(seen, "monotonic           7         5\nboottime      5000000         0\nlater\n");
    }
}

#[test]
fn joining_a_time_namespace() {
    let scratch = Scratch::new();
    let mut first = mapped(&scratch);
    add_namespace(&mut first, json!({ "type": "time" }));
    first.set("/linux/timeOffsets", json!({ "boottime": { "secs": 5_000_000 } }));
    let holder = Running::start(&scratch, OURS, &mut first, "holder");
    let uptime = holder.exec(&["cut", "-d.", "-f1", "/proc/uptime"]).ok();
    assert!(uptime.trim().parse::<u64>().is_ok_and(|seconds| seconds >= 5_000_000), "exec is in it too: {uptime}");
    for runtime in [OURS, Runtime("runc")] {
        let mut made = bundle(&scratch);
        add_namespace(&mut made, json!({ "type": "time", "path": holder.namespace("time") }));
        sh(&mut made, "test $(cut -d. -f1 /proc/uptime) -ge 5000000 && echo later");
        assert_eq!(runtime.run(&scratch, &made).ok(), "later\n", "{}", runtime.0);
    }
}

/// A network namespace of the host's, in a container with a new user namespace: joined while the runtime still may.
#[test]
fn a_namespace_that_the_new_user_namespace_does_not_own() {
    let mut scratch = Scratch::new();
    let mut holder = scratch.command("unshare");
    let pid = scratch.spawn(holder.args(["-n", "sleep", "60"])).id();
    let link = || std::fs::read_link(format!("/proc/{pid}/ns/net")).expect("a link");
    while link() == std::fs::read_link("/proc/self/ns/net").expect("a link") {
        std::thread::yield_now();
    }
    for runtime in [OURS, Runtime("runc")] {
        let mut made = mapped(&scratch);
        for namespace in made.config["linux"]["namespaces"].as_array_mut().expect("a list") {
            if namespace["type"] == "network" {
                namespace["path"] = json!(format!("/proc/{pid}/ns/net"));
            }
        }
        sh(&mut made, "readlink /proc/self/ns/net; cat /proc/self/uid_map");
        let output = runtime.run(&scratch, &made);
        assert!(output.code == 1, "{}: sysfs is of the network namespace's owner: {output:?}", runtime.0);
        let mounts = made.config["mounts"].as_array_mut().expect("a list");
        mounts.retain(|mount| !mount["destination"].as_str().is_some_and(|path| path.starts_with("/sys")));
        mounts.push(json!({ "destination": "/sys", "type": "bind", "source": "/sys", "options": ["rbind", "ro"] }));
        made.write();
        let seen = runtime.run(&scratch, &made).ok();
        assert_eq!(seen, format!("{}\n         0     100000      65536\n", link().display()), "{}", runtime.0);
    }
}

/// A path is no way to the host's own network settings.
#[test]
fn sysctls_of_a_joined_namespace_that_is_the_hosts() {
    for runtime in [OURS, Runtime("runc")] {
        let scratch = Scratch::new();
        let mut made = bundle(&scratch);
        for namespace in made.config["linux"]["namespaces"].as_array_mut().expect("a list") {
            if namespace["type"] == "network" {
                namespace["path"] = json!("/proc/self/ns/net");
            }
        }
        made.args(&["true"]);
        runtime.run(&scratch, &made).ok();
        let now = std::fs::read_to_string("/proc/sys/net/ipv4/ip_default_ttl").expect("a sysctl");
        made.set("/linux/sysctl", json!({ "net.ipv4.ip_default_ttl": now.trim() }));
        let output = runtime.run(&scratch, &made);
        assert_eq!(output.code, 1, "{}: {output:?}", runtime.0);
        assert!(runtime != OURS || output.stderr.contains("/linux/sysctl/net.ipv4.ip_default_ttl"), "{output:?}");
    }
}
