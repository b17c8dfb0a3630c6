//! Mounts as runc makes them: idmapped, recursive attributes, remounts, propagation, joined mount namespaces.
#![cfg(feature = "privileged")]

use plimsoll_testkit::runtimes::{Runtime, lost_sight};
use plimsoll_testkit::{Bundle, Scratch, bundle, run};
use rustix::mount::{MountFlags, MountPropagationFlags, mount_bind, mount_change, mount_remount};
use serde_json::{Value, json};
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::Stdio;

const OURS: Runtime = Runtime("plimrun");
const RUNC: Runtime = Runtime("runc");

/// What `/proc/self/mountinfo` says of the mounts on and below `/mnt` and of `/`: place, attributes, propagation. Numbers of
/// peer groups are the host's and never the same.
const SHOW: &str = "cut -d' ' -f5- /proc/self/mountinfo | sed 's/ - .*//; s/:[0-9]*//g' | grep -E '^/(mnt|mnt/.*)? '";

/// A folder tree of the host, with owners, for bind mounts: `tree` is a mount with attributes, `tree/sub` one without. No tmpfs:
/// that can be idmapped since Linux 6.3 only.
struct Host {
    scratch: Scratch,
    tree: PathBuf,
}

impl Host {
    fn new() -> Host {
        let scratch = Scratch::new();
        open_to_all(scratch.path());
        let tree = scratch.dir("tree");
        let flags = MountFlags::BIND | MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOATIME;
        mount_bind(&tree, &tree).expect("a mount");
        mount_remount(&tree, flags, "").expect("attributes");
        let sub = scratch.dir("tree/sub");
        mount_bind(&sub, &sub).expect("a mount");
        mount_remount(&sub, MountFlags::BIND | MountFlags::RELATIME, "").expect("attributes");
        open_to_all(&tree);
        open_to_all(&sub);
        for (file, owner) in [("file", 1), ("sub/file", 2)] {
            std::fs::write(tree.join(file), "content").expect("a file");
            chown(tree.join(file), Some(owner), Some(owner)).expect("chown");
        }
        Host { scratch, tree }
    }

    fn bundle(&self) -> Bundle {
        let mut made = bundle(&self.scratch);
        open_to_all(&made.path);
        std::fs::create_dir(made.path.join("rootfs/mnt")).expect("a folder");
        made.set("/root/readonly", json!(false));
        made
    }

    fn bind(&self, options: &[&str]) -> Value {
        json!({ "destination": "/mnt", "type": "bind", "source": self.tree, "options": options })
    }

    /// Exit code and output of the container that `prepare` makes, which must be the same under runc.
    #[track_caller]
    fn same(&self, prepare: impl Fn(&mut Bundle)) -> (i32, String) {
        let [(ours, said), (theirs, they_said)] = [OURS, RUNC].map(|runtime| {
            let mut made = self.bundle();
            prepare(&mut made);
            let output = runtime.run(&self.scratch, &made);
            ((output.code, output.stdout), output.stderr)
        });
        assert_eq!(ours, theirs, "plimrun (left): {said}\nrunc: {they_said}");
        ours
    }

    #[track_caller]
    fn same_mounts(&self, mounts: &[Value]) -> String {
        let (code, stdout) = self.same(|made| {
            made.config["mounts"].as_array_mut().expect("a list").extend(mounts.iter().cloned());
            made.args(&["/bin/sh", "-c", SHOW]);
        });
        assert_eq!(code, 0, "{mounts:?}");
        stdout
    }
}

fn open_to_all(path: &Path) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).expect("chmod");
}

fn map(host: u32, size: u32) -> Value {
    json!([{ "containerID": 0, "hostID": host, "size": size }])
}

fn in_user_namespace(made: &mut Bundle) {
    made.config["linux"]["namespaces"].as_array_mut().expect("a list").push(json!({ "type": "user" }));
    made.set("/linux/uidMappings", map(100_000, 65_536)).set("/linux/gidMappings", map(100_000, 65_536));
}

const OWNERS: &str = "stat -c '%n %u %g' /mnt/file /mnt/sub/file";

fn idmapped(host: &Host, options: &[&str], maps: Option<Value>, users: bool) -> String {
    let (code, stdout) = host.same(|made| {
        let mut bind = host.bind(options);
        if let Some(maps) = &maps {
            (bind["uidMappings"], bind["gidMappings"]) = (maps.clone(), maps.clone());
        }
        if users {
            in_user_namespace(made);
        }
        made.config["mounts"].as_array_mut().expect("a list").push(bind);
        made.args(&["/bin/sh", "-c", OWNERS]);
    });
    assert_eq!(code, 0);
    stdout
}

#[test]
fn idmapped_mounts() {
    let host = Host::new();
    let seen = |first: u32, second: u32| format!("/mnt/file {first} {first}\n/mnt/sub/file {second} {second}\n");
    assert_eq!(idmapped(&host, &["rbind", "ridmap"], Some(map(100_000, 65_536)), false), seen(100_001, 100_002));
    assert_eq!(idmapped(&host, &["rbind", "idmap"], Some(map(100_000, 65_536)), false), seen(100_001, 2));
    assert_eq!(idmapped(&host, &["rbind"], Some(map(100_000, 65_536)), false), seen(100_001, 2));
    assert_eq!(idmapped(&host, &["rbind", "ridmap"], None, true), seen(1, 2));
    assert_eq!(idmapped(&host, &["rbind", "idmap"], None, true), seen(1, 65_534));
    assert_eq!(idmapped(&host, &["rbind", "ridmap"], Some(map(100_007, 3)), true), seen(8, 9));
    assert_eq!(idmapped(&host, &["rbind"], None, true), seen(65_534, 65_534));
}

/// The mappings of a user namespace that is there already.
#[test]
fn idmapped_by_a_joined_user_namespace() {
    let host = Host::new();
    let mut holder = host.scratch.command("unshare");
    holder.args(["-U", "sleep", "60"]);
    let mut scratch = Scratch::new();
    let pid = scratch.spawn(&mut holder).id();
    let own = std::fs::read_link("/proc/self/ns/user").expect("a link");
    let path = format!("/proc/{pid}/ns/user");
    while std::fs::read_link(&path).expect("a link") == own {
        std::thread::yield_now();
    }
    for file in ["uid_map", "gid_map"] {
        std::fs::write(format!("/proc/{pid}/{file}"), "0 100000 65536").expect("mappings");
    }
    let (code, seen) = host.same(|made| {
        let list = made.config["linux"]["namespaces"].as_array_mut().expect("a list");
        list.push(json!({ "type": "user", "path": path }));
        made.config["mounts"].as_array_mut().expect("a list").push(host.bind(&["rbind", "ridmap"]));
        made.args(&["/bin/sh", "-c", OWNERS]);
    });
    assert_eq!((code, &*seen), (0, "/mnt/file 1 1\n/mnt/sub/file 2 2\n"));
}

#[test]
fn idmaps_that_cannot_be() {
    let host = Host::new();
    let both = |mount: &mut Value| (mount["uidMappings"], mount["gidMappings"]) = (map(1, 1), map(1, 1));
    type Spoil<'a> = &'a dyn Fn(&mut Value);
    let cases: [(&str, Spoil<'_>); 4] = [
        ("/mounts/7/uidMappings", &|mount| mount["options"] = json!(["bind", "idmap"])),
        ("/mounts/7/gidMappings", &|mount| mount["uidMappings"] = map(1, 1)),
        ("/mounts/7", &|mount| {
            both(mount);
            (mount["type"], mount["options"]) = (json!("tmpfs"), json!([]));
        }),
        // procfs cannot be idmapped by any kernel.
        ("/mounts/7", &|mount| {
            both(mount);
            mount["source"] = json!("/proc/self");
        }),
    ];
    for (pointer, spoil) in cases {
        let mut made = host.bundle();
        let mut mount = host.bind(&["bind"]);
        spoil(&mut mount);
        made.config["mounts"].as_array_mut().expect("a list").push(mount);
        made.write();
        for runtime in [OURS, RUNC] {
            let output = runtime.run(&host.scratch, &made);
            assert_eq!(output.code, 1, "{}: {pointer}: {output:?}", runtime.0);
            assert!(runtime != OURS || output.stderr.contains(pointer), "{pointer}: {}", output.stderr);
        }
    }
}

#[test]
fn attributes_of_one_mount_and_of_a_tree() {
    let host = Host::new();
    let cases: [&[&str]; 20] = [
        &["rbind"],
        &["rbind", "ro"],
        &["rbind", "rw"],
        &["rbind", "suid"],
        &["rbind", "dev", "noexec"],
        &["rbind", "noatime"],
        &["rbind", "relatime"],
        &["rbind", "strictatime", "ro"],
        &["rbind", "nosymfollow"],
        &["rbind", "rro"],
        &["rbind", "rro", "rw"],
        &["rbind", "ro", "rrw"],
        &["rbind", "rnosuid", "rrelatime"],
        &["rbind", "rnoatime"],
        &["rbind", "rstrictatime"],
        &["rbind", "rnoexec", "exec"],
        &["rbind", "rnosymfollow", "rnodiratime"],
        &["bind", "rro"],
        &["rbind", "rsuid", "rdev", "rexec"],
        &["rbind", "ratime"],
    ];
    for options in cases {
        let seen = host.same_mounts(&[host.bind(options)]);
        assert!(seen.contains("/mnt "), "{options:?}: {seen}");
    }
}

#[test]
fn propagation_of_binds_and_of_the_root() {
    let host = Host::new();
    for word in ["private", "rprivate", "slave", "rslave", "shared", "rshared", "unbindable"] {
        host.same_mounts(&[host.bind(&["rbind", word])]);
        let (code, _) = host.same(|made| {
            made.config["mounts"].as_array_mut().expect("a list").push(host.bind(&["rbind"]));
            // Of the root only: with `private` and `slave` runc leaves binds of shared mounts peers of the host's.
            made.set("/linux/rootfsPropagation", json!(word)).args(&["/bin/sh", "-c", &format!("{SHOW} | grep '^/ '")]);
        });
        assert_eq!(code, 0, "{word}");
    }
}

/// What the host mounts in the bundle while the container runs stays outside, whatever the bundle is on.
#[test]
fn later_mounts_of_the_host_in_the_rootfs_stay_outside() {
    let mut host = Host::new();
    for runtime in [OURS, RUNC] {
        let (mut success, mut stdout, mut stderr) = with_a_later_mount(&mut host, runtime);
        if runtime == RUNC && lost_sight(&stderr) {
            (success, stdout, stderr) = with_a_later_mount(&mut host, runtime);
        }
        assert!(success, "{}: {stderr}", runtime.0);
        let said = stdout;
        assert_eq!(said, "", "{}", runtime.0);
    }
}

/// Whether the container succeeded, and what it and the runtime said.
fn with_a_later_mount(host: &mut Host, runtime: Runtime) -> (bool, String, String) {
    let mut made = host.bundle();
    let rootfs = made.path.join("rootfs");
    mount_bind(&made.path, &made.path).expect("a mount");
    mount_change(&made.path, MountPropagationFlags::SHARED).expect("shared");
    made.args(&["/bin/sh", "-c", "touch /started; while [ ! -e /mounted ]; do sleep 0.01; done; ls /mnt"]);
    let [out, err] = ["out", "err"].map(|name| host.scratch.file(name, ""));
    let to = |path: &Path| std::fs::File::create(path).expect("a file");
    let mut command = runtime.command(&host.scratch);
    command.args(["run", "--bundle"]).arg(&made.path).arg(host.scratch.id(runtime.0)).stdin(Stdio::null());
    command.stdout(to(&out)).stderr(to(&err));
    let child = host.scratch.spawn(&mut command);
    while !rootfs.join("started").exists() && child.try_wait().expect("waits").is_none() {
        std::thread::yield_now();
    }
    mount_bind(&host.tree, rootfs.join("mnt")).expect("a mount");
    std::fs::write(rootfs.join("mounted"), "").expect("a file");
    let success = host.scratch.last_child().wait().expect("waits").success();
    let said = |path: &Path| std::fs::read_to_string(path).expect("what was said");
    (success, said(&out), said(&err))
}

/// What the host's mount had is locked in a user namespace: it stays, whatever the config or the container's root want.
#[test]
fn a_user_namespace_clears_nothing() {
    let host = Host::new();
    let inside = |options: &[&str], script: &str| {
        host.same(|made| {
            in_user_namespace(made);
            for set in ["bounding", "effective", "permitted"] {
                made.config["process"]["capabilities"][set] = json!(["CAP_SYS_ADMIN"]);
            }
            made.config["mounts"].as_array_mut().expect("a list").push(host.bind(options));
            made.args(&["/bin/sh", "-c", script]);
        })
    };
    let (code, seen) = inside(&["rbind", "ro"], SHOW);
    assert_eq!(code, 0);
    assert!(seen.contains("/mnt ro,nosuid,nodev,noatime"), "{seen}");
    assert_eq!(inside(&["rbind", "suid"], SHOW).0, 1, "refused by name");
    let (_, seen) =
        inside(&["rbind"], &format!("mount -o remount,bind,suid,dev /mnt; umount /mnt/sub; ls /mnt/sub; {SHOW}"));
    assert!(seen.starts_with("file\n") && seen.contains("/mnt rw,nosuid,nodev,noatime"), "{seen}");
}

#[test]
fn remounts() {
    let host = Host::new();
    let again =
        |options: &[&str]| json!({ "destination": "/mnt", "type": "tmpfs", "source": "tmpfs", "options": options });
    let seen = host.same_mounts(&[host.bind(&["rbind"]), host.bind(&["bind", "remount", "ro", "nosuid"])]);
    assert!(seen.contains("/mnt ro,nosuid,noatime"), "{seen}");
    host.same_mounts(&[again(&["size=1m", "mode=700"]), again(&["remount", "size=2m", "nosuid"])]);
    let seen = host.same_mounts(&[again(&["size=1m"]), again(&["remount", "ro"])]);
    assert!(seen.contains("/mnt ro,relatime"), "{seen}");
    for runtime in [OURS, RUNC] {
        let mut made = host.bundle();
        made.config["mounts"].as_array_mut().expect("a list").push(again(&["remount", "ro"]));
        made.write();
        assert_eq!(runtime.run(&host.scratch, &made).code, 1, "{}: nothing is mounted there", runtime.0);
    }
}

#[test]
fn the_mode_of_a_tmpfs() {
    let host = Host::new();
    let tmpfs = |path: &str, options: &[&str]| json!({ "destination": path, "type": "tmpfs", "source": "tmpfs", "options": options });
    let (_, seen) = host.same(|made| {
        let covered = made.path.join("rootfs/mnt");
        std::fs::set_permissions(covered, std::fs::Permissions::from_mode(0o1711)).expect("chmod");
        let mounts = [tmpfs("/mnt", &[]), tmpfs("/made/new", &[]), tmpfs("/tmp", &["mode=0750"])];
        made.config["mounts"].as_array_mut().expect("a list").extend(mounts);
        made.args(&["stat", "-c", "%a", "/mnt", "/made/new", "/tmp"]);
    });
    assert_eq!(seen, "1711\n1777\n750\n");
}

#[test]
fn options_that_the_kernel_would_cut_are_refused() {
    let host = Host::new();
    let mut made = host.bundle();
    // All of it would be mounted but the last folder, which the kernel never saw.
    let lower = format!("lowerdir={}:/", vec!["/tmp/../tmp"; 400].join(":"));
    let mount = json!({ "destination": "/mnt", "type": "overlay", "source": "overlay", "options": [lower] });
    made.config["mounts"].as_array_mut().expect("a list").push(mount);
    made.write();
    let output = OURS.run(&host.scratch, &made);
    assert_eq!(output.code, 1, "{output:?}");
    assert!(output.stderr.contains("/mounts/7") && output.stderr.contains("4095"), "{}", output.stderr);
}

#[test]
fn the_root_itself_is_no_mount_point() {
    let host = Host::new();
    for destination in ["/", "/mnt/..", "//"] {
        let mut made = host.bundle();
        let mount = json!({ "destination": destination, "type": "tmpfs", "source": "tmpfs" });
        made.config["mounts"].as_array_mut().expect("a list").push(mount);
        made.write();
        for runtime in [OURS, RUNC] {
            assert_eq!(runtime.run(&host.scratch, &made).code, 1, "{}: {destination}", runtime.0);
        }
    }
}

#[test]
fn without_pivot_root() {
    let host = Host::new();
    for runtime in [OURS, RUNC] {
        let mut made = host.bundle();
        made.args(&["/bin/sh", "-c", "ls -d /bin /victim 2>/dev/null; cat /proc/1/mountinfo | wc -l"]);
        let mut command = runtime.command(&host.scratch);
        command.args(["run", "--no-pivot", "--bundle"]).arg(&made.path).arg(host.scratch.id(runtime.0));
        assert!(run(&mut command).ok().starts_with("/bin\n"), "{}", runtime.0);
    }
}

/// A mount namespace that somebody prepared: the container's root is built in it.
#[test]
fn joining_a_mount_namespace() {
    for runtime in [OURS, RUNC] {
        let host = Host::new();
        let mut scratch = Scratch::new();
        let mut holder = scratch.command("unshare");
        let pid = scratch.spawn(holder.args(["-m", "sleep", "60"])).id();
        let (own, path) = (Path::new("/proc/self/ns/mnt"), format!("/proc/{pid}/ns/mnt"));
        while std::fs::read_link(&path).expect("a link") == std::fs::read_link(own).expect("a link") {
            std::thread::yield_now();
        }
        let wanted = std::fs::read_link(&path).expect("a link");
        let mut made = host.bundle();
        for namespace in made.config["linux"]["namespaces"].as_array_mut().expect("a list") {
            if namespace["type"] == "mount" {
                namespace["path"] = json!(path);
            }
        }
        made.args(&["/bin/sh", "-c", "readlink /proc/self/ns/mnt; ls -d /bin /tree 2>/dev/null; true"]);
        let seen = runtime.run(&host.scratch, &made).ok();
        assert_eq!(seen, format!("{}\n/bin\n", wanted.display()), "{}", runtime.0);
    }
}
