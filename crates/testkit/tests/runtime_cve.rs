//! What broke other OCI runtimes must not break ours: one test for each class of published vulnerability.
#![cfg(feature = "privileged")]

use plimsoll_testkit::runtimes::Runtime;
use plimsoll_testkit::{Bundle, Output, Scratch, bundle, run};
use rustix::fs::{CWD, RenameFlags, renameat_with};
use serde_json::{Value, json};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// `PLIMSOLL_RUNTIME` names another runtime, to see a test fail where it should.
fn runtime() -> Runtime {
    match std::env::var("PLIMSOLL_RUNTIME").as_deref() {
        Ok("runc") => Runtime("runc"),
        Ok("crun") => Runtime("crun"),
        _ => Runtime("plimrun"),
    }
}

/// A bundle with a writable root, and a folder outside of it that nothing may touch.
struct Case {
    scratch: Scratch,
    made: Bundle,
    victim: PathBuf,
}

impl Case {
    fn new() -> Case {
        let scratch = Scratch::new();
        let mut made = bundle(&scratch);
        made.set("/ociVersion", json!("1.0.2")).set("/root/readonly", json!(false));
        let victim = scratch.dir("victim");
        std::fs::write(victim.join("file"), "untouched").expect("a file");
        Case { scratch, made, victim }
    }

    fn sh(&mut self, script: &str) -> &mut Case {
        self.made.args(&["/bin/sh", "-c", script]);
        self
    }

    fn run(&self) -> Output {
        runtime().run(&self.scratch, &self.made)
    }

    fn rootfs(&self, path: &str) -> PathBuf {
        self.made.path.join("rootfs").join(path)
    }

    fn replace_by_link(&self, path: &str, target: impl AsRef<Path>) {
        let place = self.rootfs(path);
        match std::fs::symlink_metadata(&place) {
            Ok(found) if found.is_dir() => std::fs::remove_dir_all(&place).expect("removes"),
            Ok(_) => std::fs::remove_file(&place).expect("removes"),
            Err(_) => {}
        }
        symlink(target, place).expect("a symlink");
    }

    fn mounts(&mut self) -> &mut Vec<Value> {
        self.made.config.pointer_mut("/mounts").and_then(Value::as_array_mut).expect("mounts")
    }

    fn without_mounts_below(&mut self, path: &str) {
        self.mounts().retain(|mount| !mount["destination"].as_str().is_some_and(|d| d.starts_with(path)));
        self.made.write();
    }

    fn add_mount(&mut self, mount: Value) {
        self.mounts().push(mount);
        self.made.write();
    }

    #[track_caller]
    fn host_is_untouched(&self) {
        let names: Vec<_> = std::fs::read_dir(&self.victim)
            .expect("the folder")
            .map(|entry| entry.expect("an entry").file_name())
            .collect();
        assert_eq!(names, ["file"], "something was made on the host");
        assert_eq!(std::fs::read_to_string(self.victim.join("file")).expect("the file"), "untouched");
        let mounts = std::fs::read_to_string("/proc/self/mountinfo").expect("mountinfo");
        assert!(!mounts.contains(&*self.victim.to_string_lossy()), "something was mounted on the host");
    }

    /// Starts the container in the background and waits until it wrote "ready".
    fn start(&mut self) -> PathBuf {
        let log = self.scratch.join("log");
        let file = std::fs::File::create(&log).expect("a file");
        let mut command = runtime().command(&self.scratch);
        command.arg("run").arg("--bundle").arg(&self.made.path).arg(self.scratch.id("it"));
        command.stdin(std::process::Stdio::null()).stdout(file);
        self.scratch.spawn(&mut command);
        let until = Instant::now() + Duration::from_secs(20);
        while !std::fs::read_to_string(&log).is_ok_and(|text| text.contains("ready\n")) {
            assert!(Instant::now() < until, "the container did not start");
            std::thread::sleep(Duration::from_millis(5));
        }
        log
    }

    fn exec(&self, args: &[&str]) -> Output {
        let mut command = runtime().command(&self.scratch);
        command.arg("exec").arg(self.scratch.id("it")).args(args);
        run(&mut command)
    }
}

/// CVE-2019-5736: a container catches the runtime through `/proc/<pid>/exe` and writes to it once it has ended.
#[test]
fn the_runtime_cannot_be_overwritten_from_inside() {
    let mut case = Case::new();
    let program = case.scratch.join("runtime");
    std::fs::copy(runtime().program(), &program).expect("a copy of the runtime");
    let before = std::fs::read(&program).expect("the copy");
    case.sh(
        "echo ready; n=0; while [ $n -lt 3000 ]; do for p in /proc/[0-9]*; do case \"$(readlink $p/exe)\" in \
         *busybox|*/sh|*/sleep|'') ;; *) exec 9<$p/exe && while [ $n -lt 3000 ]; do n=$((n+1)); \
         (echo overwritten > /proc/self/fd/9) 2>/dev/null && echo WROTE; done;; esac; done; n=$((n+1)); done; echo ended; sleep 60",
    );
    let root = case.scratch.dir("root");
    let log = case.scratch.join("log");
    let id = case.scratch.id("it");
    let command = |verb: &str, case: &Case| {
        let mut command = case.scratch.command(&program);
        command.arg("--root").arg(&root).arg(verb);
        command
    };
    let mut start = command("run", &case);
    start.arg("--bundle").arg(&case.made.path).arg(&id).stdout(std::fs::File::create(&log).expect("a file"));
    case.scratch.spawn(&mut start);
    let until = Instant::now() + Duration::from_secs(20);
    while Instant::now() < until {
        let text = std::fs::read_to_string(&log).expect("the log");
        if text.contains("ended") {
            break;
        }
        if text.contains("ready") {
            // The entry point is the runtime itself. Whether it then likes its arguments is its business.
            drop(run(command("exec", &case).arg(&id).args(["/proc/self/exe", "--help"])));
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    assert!(!std::fs::read_to_string(&log).expect("the log").contains("WROTE"));
    assert!(std::fs::read(&program).expect("the copy") == before, "the runtime was overwritten");
}

/// CVE-2019-16884, CVE-2025-52881: what lies over `/proc` swallows what the runtime writes there.
#[test]
fn nothing_may_be_mounted_over_proc() {
    for (destination, kind) in
        [("/proc", "tmpfs"), ("/proc/sys", "tmpfs"), ("/proc/self/attr", "tmpfs"), ("/proc/sys", "bind")]
    {
        let mut case = Case::new();
        case.made.set("/linux/sysctl", json!({ "net.ipv4.ip_forward": "1" }));
        let (source, options) = match kind {
            "bind" => (json!(case.victim), json!(["rbind"])),
            _ => (json!("tmpfs"), json!([])),
        };
        case.add_mount(json!({ "destination": destination, "type": kind, "source": source, "options": options }));
        case.sh("echo started");
        let output = case.run();
        assert!(output.code != 0 && output.stdout.is_empty(), "{kind} over {destination}: {output:?}");
        case.host_is_untouched();
    }
}

/// CVE-2019-19921, CVE-2023-27561, CVE-2023-28642: `/proc` or `/sys` of the image is a symlink.
#[test]
fn proc_and_sys_must_be_real_folders() {
    for (path, target) in [("proc", "tmp"), ("proc", "/tmp"), ("sys", "tmp"), ("proc", "/../../../../victim")] {
        let mut case = Case::new();
        case.replace_by_link(path, target);
        case.sh("echo started");
        let output = case.run();
        assert!(output.code != 0 && output.stdout.is_empty(), "/{path} -> {target}: {output:?}");
        case.host_is_untouched();
    }
}

/// CVE-2022-29162, CVE-2025-27612 and their kin: no inheritable capability that nobody asked for, in `run` and in `exec`.
#[test]
fn no_capability_is_inheritable() {
    let mut case = Case::new();
    case.sh("grep CapInh /proc/self/status; echo ready; sleep 30");
    let log = case.start();
    assert!(std::fs::read_to_string(log).expect("the log").contains("CapInh:\t0000000000000000\n"));
    for extra in [&[][..], &["--cap", "CAP_KILL"][..]] {
        let mut command = runtime().command(&case.scratch);
        command.arg("exec").args(extra).arg(case.scratch.id("it")).args(["grep", "CapInh", "/proc/self/status"]);
        assert_eq!(run(&mut command).ok(), "CapInh:\t0000000000000000\n");
    }
}

/// CVE-2024-21626: a working directory that names a descriptor which the runtime forgot to close.
#[test]
fn the_working_directory_is_never_outside() {
    for number in 3..24 {
        let mut case = Case::new();
        case.made.set("/process/cwd", json!(format!("/proc/self/fd/{number}")));
        case.sh("pwd; ls -a ../../../../..; echo started");
        let output = case.run();
        assert!(output.code != 0 && !output.stdout.contains("started"), "fd {number}: {output:?}");
    }
}

#[test]
fn no_descriptor_leaks_into_exec() {
    let mut case = Case::new();
    case.sh("echo ready; sleep 30");
    case.start();
    // The last one is the folder that ls reads.
    assert_eq!(case.exec(&["ls", "/proc/self/fd"]).ok(), "0\n1\n2\n3\n");
    assert_eq!(case.exec(&["sh", "-c", "echo $(ls /proc/1/fd)"]).ok(), "0 1 2\n");
    for number in 3..12 {
        let cwd = format!("/proc/self/fd/{number}");
        let mut command = runtime().command(&case.scratch);
        command.args(["exec", "--cwd", &cwd]).arg(case.scratch.id("it")).args(["pwd"]);
        assert_ne!(run(&mut command).code, 0, "{cwd}");
    }
}

/// A `/dev` whose entries the image chose, bound over the container's.
fn foreign_dev(case: &mut Case) -> PathBuf {
    let dev = case.scratch.dir("dev");
    std::fs::create_dir_all(dev.join("pts")).expect("a folder");
    std::fs::create_dir_all(dev.join("shm")).expect("a folder");
    std::fs::create_dir_all(dev.join("mqueue")).expect("a folder");
    for mount in case.mounts() {
        if mount["destination"] == "/dev" {
            *mount = json!({ "destination": "/dev", "type": "bind", "source": dev, "options": ["rbind", "rw"] });
        }
    }
    case.made.write();
    dev
}

/// CVE-2025-31133: the `/dev/null` that masks a path is a symlink, and its target shows up there, writable.
#[test]
fn a_false_dev_null_masks_nothing_else() {
    let mut case = Case::new();
    std::fs::write(case.rootfs("etc/secret"), "secret").expect("a file");
    let dev = foreign_dev(&mut case);
    symlink("/etc/secret", dev.join("null")).expect("a symlink");
    case.made.set("/linux/maskedPaths", json!(["/proc/keys", "/proc/timer_list"]));
    case.sh("cat /proc/keys /proc/timer_list; echo started");
    let output = case.run();
    assert!(output.code != 0 || output.stdout == "started\n", "{output:?}");
    assert_eq!(std::fs::read_to_string(case.rootfs("etc/secret")).expect("the file"), "secret");
}

/// CVE-2025-52565: `/dev/console` or the pts behind it is something else when it is bound.
#[test]
fn a_false_console_is_not_followed() {
    let mut case = Case::new();
    std::fs::write(case.rootfs("etc/secret"), "secret").expect("a file");
    let dev = foreign_dev(&mut case);
    symlink("/etc/secret", dev.join("console")).expect("a symlink");
    case.made.set("/process/terminal", json!(true));
    case.sh("test -c /etc/secret && echo bound; echo started");
    let mut inner = runtime().command(&case.scratch);
    inner.arg("run").arg("--bundle").arg(&case.made.path).arg(case.scratch.id("it"));
    let words = std::iter::once(inner.get_program()).chain(inner.get_args());
    let line: Vec<String> = words.map(|word| format!("'{}'", word.to_string_lossy())).collect();
    let output = run(case.scratch.command("script").args(["-qec", &line.join(" "), "/dev/null"]));
    assert!(!output.stdout.contains("bound"), "{output:?}");
    assert_eq!(std::fs::read_to_string(case.rootfs("etc/secret")).expect("the file"), "secret");
}

/// CVE-2026-41579, CVE-2026-47766: `/dev` of the image leads out, and the runtime makes its devices there.
#[test]
fn a_dev_that_leads_out() {
    for with_mounts in [false, true] {
        let mut case = Case::new();
        let victim = case.victim.clone();
        for target in [Path::new("../../victim"), &victim] {
            case.replace_by_link("dev", target);
            if !with_mounts {
                case.without_mounts_below("/dev");
            }
            case.sh("true");
            drop(case.run());
            case.host_is_untouched();
        }
    }
}

/// CVE-2019-18837, CVE-2024-45310 and the plain form of CVE-2021-30465: mount points that lead out.
#[test]
fn a_mount_point_that_leads_out() {
    let mut case = Case::new();
    let victim = case.victim.clone();
    let source = case.scratch.dir("source");
    for target in [Path::new("../../../victim"), &victim, Path::new("/../../../victim")] {
        for (kind, options) in [("tmpfs", json!([])), ("bind", json!(["rbind"]))] {
            std::fs::create_dir_all(case.rootfs("data")).expect("a folder");
            case.replace_by_link("data/out", target);
            let mount = json!({ "destination": "/data/out/made", "type": kind, "source": source, "options": options });
            case.add_mount(mount);
            case.sh("true");
            drop(case.run());
            case.host_is_untouched();
            case.mounts().pop();
        }
    }
}

/// Swaps two names as fast as it can until dropped.
struct Flip<'a> {
    stop: &'a AtomicBool,
}

impl Drop for Flip<'_> {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

/// CVE-2021-30465, CVE-2024-45310: the mount point is swapped for a symlink while the runtime works.
#[test]
fn a_mount_point_that_changes_under_the_runtime() {
    let mut case = Case::new();
    let shared = case.scratch.dir("shared");
    std::fs::create_dir_all(shared.join("real")).expect("a folder");
    symlink(&case.victim, shared.join("link")).expect("a symlink");
    case.add_mount(json!({ "destination": "/shared", "type": "bind", "source": shared, "options": ["rbind"] }));
    for name in ["real/a", "real/b/c"] {
        let destination = format!("/shared/{name}");
        case.add_mount(json!({ "destination": destination, "type": "tmpfs", "source": "tmpfs", "options": [] }));
    }
    case.sh("true");
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let flip = Flip { stop: &stop };
        let (real, link) = (shared.join("real"), shared.join("link"));
        let stop = &stop;
        scope.spawn(move || {
            while !stop.load(Ordering::Relaxed) {
                renameat_with(CWD, &real, CWD, &link, RenameFlags::EXCHANGE).expect("swaps");
            }
        });
        for _ in 0..40 {
            drop(case.run());
            case.host_is_untouched();
        }
        drop(flip);
    });
}

/// CVE-2021-43784: lengths in the config beyond what the runtime's own protocol can say.
#[test]
fn oversized_values_are_refused() {
    let long = format!("/{}", "a".repeat(70_000));
    for (pointer, value) in [
        ("/linux/maskedPaths", json!([long])),
        ("/process/cwd", json!(long)),
        ("/hostname", json!("h".repeat(70_000))),
        ("/linux/namespaces/0/path", json!(long)),
        ("/linux/cgroupsPath", json!(long)),
    ] {
        let mut case = Case::new();
        case.made.set(pointer, value);
        case.sh("echo started");
        let output = case.run();
        let masked = pointer == "/linux/maskedPaths" && output.code == 0;
        assert!(
            masked || (output.code == 1 && output.stdout.is_empty()),
            "{pointer}: {} {}",
            output.code,
            output.stderr
        );
    }
}

/// CVE-2023-25173, CVE-2022-36109: the groups are those of the spec, all of them and no other.
#[test]
fn groups_are_those_of_the_spec() {
    let mut case = Case::new();
    case.made.set("/process/user", json!({ "uid": 1000, "gid": 1000 }));
    case.sh("id -G");
    assert_eq!(case.run().ok(), "1000\n");
}

/// CVE-2026-30892: `exec --user` takes numbers, not what begins like one.
#[test]
fn exec_users_are_parsed_strictly() {
    let mut case = Case::new();
    case.sh("echo ready; sleep 30");
    case.start();
    let exec = |user: &str| {
        let mut command = runtime().command(&case.scratch);
        command.args(["exec", "--user", user]).arg(case.scratch.id("it")).args(["sh", "-c", "echo $(id -u):$(id -g)"]);
        run(&mut command)
    };
    assert_eq!(exec("1000:2000").ok(), "1000:2000\n");
    assert!(exec("1000").ok().starts_with("1000:"));
    for user in ["1a", "1000:1b", "-1", "4294967296", "1:4294967296", "99999999999999999999", "1:2:3"] {
        assert_ne!(exec(user).code, 0, "{user:?}");
    }
}
