//! What a container of plimrun's finds in its world: namespaces joined, terminals, mounts, devices; and what plimrun says of itself.
#![cfg(feature = "privileged")]

use plimsoll_testkit::runtimes::Runtime;
use plimsoll_testkit::{Bundle, Case, Scratch, bundle, run};
use serde_json::{Value, json};
use std::path::PathBuf;

const OURS: Runtime = Runtime("plimrun");

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
