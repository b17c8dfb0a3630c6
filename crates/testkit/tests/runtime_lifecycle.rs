//! plimrun's verbs as engines and shims use them: states, exit codes, hooks, consoles, joins, and nothing left behind.
#![cfg(feature = "privileged")]

use plimsoll_testkit::runtimes::Runtime;
use plimsoll_testkit::{Bundle, Output, Scratch, bundle, run};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

const OURS: Runtime = Runtime("plimrun");

struct Case {
    scratch: Scratch,
    made: Bundle,
    id: String,
}

impl Case {
    fn new(args: &[&str]) -> Case {
        let scratch = Scratch::new();
        let mut made = bundle(&scratch);
        made.args(args);
        let id = scratch.id("c");
        Case { scratch, made, id }
    }

    fn verb(&self, args: &[&str]) -> Output {
        run(OURS.command(&self.scratch).args(args))
    }

    /// `plimrun create`, with output to files: the init keeps them open.
    fn create(&self) -> Output {
        self.create_with(&[])
    }

    fn create_with(&self, more: &[&str]) -> Output {
        let bundle = self.made.path.to_string_lossy().into_owned();
        let mut args = vec!["create", "--bundle", &bundle];
        args.extend(more);
        args.push(&self.id);
        self.verb(&args)
    }

    fn run(&self) -> Output {
        OURS.run(&self.scratch, &self.made)
    }

    fn status(&self) -> String {
        let state: Value = serde_json::from_str(&self.verb(&["state", &self.id]).ok()).expect("state is JSON");
        state["status"].as_str().unwrap_or_default().to_owned()
    }

    fn wait_for(&self, status: &str) {
        let until = std::time::Instant::now() + std::time::Duration::from_secs(10);
        while self.status() != status {
            assert!(std::time::Instant::now() < until, "never {status}");
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
    }

    fn hook(&mut self, list: &str, script: &str, more: Value) {
        let mut hook = json!({ "path": "/bin/sh", "args": ["hook", "-c", script] });
        if let (Some(hook), Value::Object(more)) = (hook.as_object_mut(), more) {
            hook.extend(more);
        }
        if self.made.config.get("hooks").is_none() {
            self.made.set("/hooks", json!({}));
        }
        self.made.set(&format!("/hooks/{list}"), json!([hook]));
    }

    /// No state, cgroup, mount or process of this test.
    #[track_caller]
    fn nothing_is_left(&self) {
        let states: Vec<_> = std::fs::read_dir(self.scratch.dir("root-plimrun")).expect("the root").collect();
        assert!(states.is_empty(), "{states:?}");
        assert_eq!(self.scratch.leftovers(), Vec::<String>::new());
    }
}

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
fn exec_has_the_containers_world_and_gives_its_code() {
    let mut case = Case::new(&["sleep", "1000"]);
    case.made.set("/process/env", json!(["PATH=/bin", "FROM=config"]));
    case.create().ok();
    case.verb(&["start", &case.id]).ok();
    let got = case.verb(&["exec", "--env", "A=b", "--cwd", "/tmp", "--user", "1000:1000", &case.id, "sh", "-c",
        "echo $FROM $A $PWD $(id -u) $(id -g); grep CapInh /proc/self/status; cat /proc/1/cmdline; ls /proc/self/fd; exit 7"]);
    assert_eq!(got.code, 7, "{}", got.stderr);
    assert!(
        got.stdout.starts_with("config b /tmp 1000 1000\nCapInh:\t0000000000000000\nsleep\u{0}1000"),
        "{}",
        got.stdout
    );
    let missing = case.verb(&["exec", &case.id, "nope"]);
    assert_eq!(missing.code, 255);
    assert!(missing.stderr.contains("executable file not found in $PATH"), "{}", missing.stderr);
    let cgroup = case.verb(&["exec", &case.id, "cat", "/proc/self/cgroup"]).ok();
    assert!(
        cgroup.lines().filter(|l| !l.starts_with("0:")).all(|l| l.contains(&case.scratch.cgroup_prefix())),
        "{cgroup}"
    );
    case.verb(&["kill", "--all", &case.id, "KILL"]).ok();
    case.wait_for("stopped");
    assert!(case.verb(&["exec", &case.id, "true"]).stderr.contains("container not running"));
    case.verb(&["delete", &case.id]).ok();
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
fn a_mount_that_fails_leaves_nothing() {
    let mut case = Case::new(&["true"]);
    let mounts = case.made.config["mounts"].as_array_mut().expect("mounts");
    mounts.push(json!({ "destination": "/x", "type": "tmpfs", "source": "t", "options": ["bogus=1"] }));
    case.made.set("/root/readonly", json!(false));
    let got = case.run();
    assert_eq!(got.code, 1);
    assert!(got.stderr.contains("bogus=1"), "{}", got.stderr);
    case.nothing_is_left();
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
fn namespaces_are_joined_by_path() {
    let first = Case::new(&["sleep", "1000"]);
    let pid_file = first.scratch.join("pid");
    first.create_with(&["--pid-file", &pid_file.to_string_lossy()]).ok();
    first.verb(&["start", &first.id]).ok();
    let pid = std::fs::read_to_string(&pid_file).expect("a pid");

    let mut second = Case::new(&["sh", "-c", "for n in net ipc uts; do readlink /proc/self/ns/$n; done; ps"]);
    let path = |kind: &str| format!("/proc/{pid}/ns/{kind}");
    second.made.set("/linux/namespaces", json!([{ "type": "mount" }, { "type": "pid", "path": path("pid") },
        { "type": "network", "path": path("net") }, { "type": "ipc", "path": path("ipc") }, { "type": "uts", "path": path("uts") }]));
    let got = second.run().ok();
    for kind in ["net", "ipc", "uts"] {
        let link = std::fs::read_link(path(kind)).expect("a namespace");
        assert!(got.contains(&*link.to_string_lossy()), "{kind}: {got}");
    }
    assert!(got.contains("sleep 1000"), "the pid namespace is shared: {got}");
    first.verb(&["delete", "--force", &first.id]).ok();
    first.nothing_is_left();
    second.nothing_is_left();
}

#[test]
fn a_console_socket_receives_the_terminal() {
    let mut case = Case::new(&["sh", "-c", "tty; stty size; ls -l /dev/console | cut -c1"]);
    case.made.set("/process/terminal", json!(true));
    case.made.set("/process/consoleSize", json!({ "height": 33, "width": 77 }));
    let path = case.scratch.join("console");
    let listener = std::os::unix::net::UnixListener::bind(&path).expect("a socket");
    let receiver = std::thread::spawn(move || read_terminal(&listener));
    case.create_with(&["--console-socket", &path.to_string_lossy()]).ok();
    case.verb(&["start", &case.id]).ok();
    let got = receiver.join().expect("read the terminal");
    assert_eq!(got.replace('\r', ""), "/dev/pts/0\n33 77\nc\n");
    case.wait_for("stopped");
    case.verb(&["delete", &case.id]).ok();
    case.nothing_is_left();
}

fn read_terminal(listener: &std::os::unix::net::UnixListener) -> String {
    use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};
    use std::io::Read;
    let (socket, _) = listener.accept().expect("a connection");
    let mut space = [std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut name = [0; 64];
    let mut parts = [std::io::IoSliceMut::new(&mut name)];
    recvmsg(&socket, &mut parts, &mut control, RecvFlags::empty()).expect("a message");
    let master = control.drain().find_map(|m| match m {
        RecvAncillaryMessage::ScmRights(mut fds) => fds.next(),
        _ => None,
    });
    let mut master = std::fs::File::from(master.expect("a descriptor"));
    let mut text = Vec::new();
    let mut buffer = [0; 512];
    // The master answers EIO when the last slave is closed.
    while let Ok(got) = master.read(&mut buffer) {
        text.extend_from_slice(&buffer[..got]);
    }
    String::from_utf8_lossy(&text).into_owned()
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
fn tmpcopyup_begins_with_the_images_files() {
    let mut case =
        Case::new(&["sh", "-c", "cd /var/x; cat a/f; readlink l; stat -c '%a %u' a/f a; echo new > n && echo written"]);
    let folder = case.made.path.join("rootfs/var/x");
    std::fs::create_dir_all(folder.join("a")).expect("folders");
    std::fs::write(folder.join("a/f"), "copied\n").expect("a file");
    std::os::unix::fs::chown(folder.join("a/f"), Some(33), None).expect("chown");
    std::os::unix::fs::symlink("a/f", folder.join("l")).expect("a link");
    let mounts = case.made.config["mounts"].as_array_mut().expect("mounts");
    mounts.push(
        json!({ "destination": "/var/x", "type": "tmpfs", "source": "tmpfs", "options": ["tmpcopyup", "nosuid"] }),
    );
    case.made.write();
    assert_eq!(case.run().ok(), "copied\na/f\n644 33\n755 0\nwritten\n");
    assert!(!folder.join("n").exists());
    case.nothing_is_left();
}

#[test]
fn what_a_killed_create_left_is_removed_by_force() {
    let mut case = Case::new(&["true"]);
    let flag = case.scratch.join("hook-runs");
    case.hook("createRuntime", &format!("touch {}; sleep 60", flag.display()), json!({}));
    let mut command = OURS.command(&case.scratch);
    let mut child = command.args(["create", "--bundle"]).arg(&case.made.path).arg(&case.id).spawn().expect("starts");
    let until = std::time::Instant::now() + std::time::Duration::from_secs(10);
    while !flag.exists() {
        assert!(std::time::Instant::now() < until, "the hook never ran");
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
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
fn no_pivot_and_paths_longer_than_a_socket_address() {
    let case = Case::new(&["sh", "-c", "ls / | tr '\\n' ' '"]);
    let root = case.scratch.dir(&format!("{0}/{0}/{0}", "x".repeat(60)));
    let verb = |args: &[&str]| run(case.scratch.command(OURS.program()).arg("--root").arg(&root).args(args));
    let bundle = case.made.path.to_string_lossy().into_owned();
    let got = verb(&["run", "--no-pivot", "--bundle", &bundle, &case.id]).ok();
    assert!(got.contains("proc") && !got.contains("boot"), "{got}");
    verb(&["create", "--bundle", &bundle, &case.id]).ok();
    verb(&["start", &case.id]).ok();
    verb(&["delete", "--force", &case.id]).ok();
    case.nothing_is_left();
}

/// Where the host is not v2: a private mount namespace with cgroup v2 at its usual place (the host's own is not touched).
#[test]
fn on_cgroup_v2_a_program_limits_devices() {
    let script =
        "mknod /tmp/mem c 1 1 && head -c1 /tmp/mem; echo $?; mknod /tmp/null c 1 3 && echo x > /tmp/null; echo $?";
    let mut case = Case::new(&["sh", "-c", script]);
    let caps = json!(["CAP_MKNOD"]);
    case.made.set("/process/capabilities", json!({ "bounding": caps, "effective": caps, "permitted": caps }));
    case.made.set("/root/readonly", json!(false));
    let enter = "mount --make-rprivate / && { [ -e /sys/fs/cgroup/cgroup.controllers ] || mount -t cgroup2 none /sys/fs/cgroup; } && exec \"$@\"";
    let mut command = case.scratch.command("unshare");
    command
        .args(["-m", "sh", "-c", enter, "sh"])
        .arg(OURS.program())
        .arg("--root")
        .arg(case.scratch.dir("root-plimrun"));
    let got = run(command.args(["run", "--bundle"]).arg(&case.made.path).arg(&case.id));
    assert_eq!(got.stdout, "1\n0\n", "{}", got.stderr);
    assert!(got.stderr.contains("Operation not permitted"), "{}", got.stderr);
    case.nothing_is_left();
}

#[test]
fn spec_writes_a_config_that_runs() {
    let scratch = Scratch::new();
    let made = bundle(&scratch);
    std::fs::remove_file(made.path.join("config.json")).expect("removed");
    let bundle_path = made.path.to_string_lossy().into_owned();
    run(OURS.command(&scratch).args(["spec", "--bundle", &bundle_path])).ok();
    let text = std::fs::read_to_string(made.path.join("config.json")).expect("written");
    let mut config: Value = serde_json::from_str(&text).expect("JSON");
    config["process"]["terminal"] = json!(false);
    config["process"]["args"] = json!(["sh", "-c", "exit 42"]);
    config["linux"]["cgroupsPath"] = json!(format!("/{}/spec", scratch.cgroup_prefix()));
    Bundle { path: made.path.clone(), config }.write();
    assert_eq!(OURS.run(&scratch, &made).code, 42);
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

#[test]
fn binds_of_files_and_folders() {
    let mut case = Case::new(&["sh", "-c", "cat /f /d/x; touch /d/x 2>&1; touch /w/new && ls /w"]);
    let dir = case.scratch.dir("src");
    std::fs::write(dir.join("x"), "inside\n").expect("a file");
    let write = case.scratch.dir("write");
    let bind = |to: &str, from: PathBuf, options: &[&str]| json!({ "destination": to, "type": "bind", "source": from, "options": options });
    let mounts = case.made.config["mounts"].as_array_mut().expect("mounts");
    mounts.push(bind("/f", dir.join("x"), &["bind", "ro"]));
    mounts.push(bind("/d", dir.clone(), &["rbind", "rro", "rprivate"]));
    mounts.push(bind("/w", write, &["rbind", "rw"]));
    case.made.set("/root/readonly", json!(false));
    let got = case.run();
    assert_eq!(got.stdout, "inside\ninside\ntouch: /d/x: Read-only file system\nnew\n", "{}", got.stderr);
    case.nothing_is_left();
}

#[test]
fn features_is_json_with_the_version() {
    let scratch = Scratch::new();
    let got: Value = serde_json::from_str(&run(OURS.command(&scratch).arg("features")).ok()).expect("JSON");
    assert_eq!(got["ociVersionMax"], "1.3.0");
    assert!(got["mountOptions"].as_array().is_some_and(|o| o.contains(&json!("rro"))));
    let unknown = run(OURS.command(&scratch).arg("bogus"));
    assert_eq!(unknown.code, 1);
}
