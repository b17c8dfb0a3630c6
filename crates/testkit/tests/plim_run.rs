//! `plim run` against our daemon: in front, in the background, and what is left afterwards.
#![cfg(feature = "privileged")]

use plimsoll_testkit::{Node, Output, run, until};
use std::fs::File;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

fn read(path: &std::path::Path) -> String {
    std::fs::read_to_string(path).expect("readable")
}

fn plim(node: &Node, args: &[&str]) -> Output {
    run(&mut node.daemon.plim(args))
}

#[track_caller]
fn ok(node: &Node, args: &[&str]) -> String {
    let output = plim(node, args);
    assert_eq!(output.code, 0, "plim {args:?}\n{}{}\n{}", output.stdout, output.stderr, node.daemon.log_tail());
    output.stdout.trim_end().to_owned()
}

/// The ids of all pods, for the look at what they left.
fn pods(node: &Node) -> Vec<String> {
    ok(node, &["pods", "-q"]).lines().map(str::to_owned).collect()
}

#[track_caller]
fn nothing_left(node: &Node) {
    assert_eq!(pods(node), Vec::<String>::new());
    assert_eq!(ok(node, &["ps", "-aq"]), "");
    assert_eq!(node.left_behind(&[]), Vec::<String>::new());
    let logs = std::fs::read_dir(node.daemon.root.join("plim-logs")).into_iter().flatten().count();
    assert_eq!(logs, 0, "log folders are left");
}

#[test]
fn in_front_it_gives_both_streams_and_the_exit_code() {
    let node = Node::start();
    let image = &node.busybox.reference;
    let script = "echo out; echo err >&2; echo $A$FROM_IMAGE; exit 42";
    let output = plim(&node, &["run", "--rm", "--name", "one", "-e", "A=b", image, "sh", "-c", script]);
    assert_eq!((output.code, output.stdout.as_str()), (42, "out\nbyes\n"), "{output:?}\n{}", node.daemon.log_tail());
    assert!(output.stderr.ends_with("err\n"), "{}", output.stderr);
    let killed = plim(&node, &["run", "--rm", image, "sh", "-c", "sh -c 'kill -9 $$'; exit $?"]);
    assert_eq!(killed.code, 137, "{killed:?}");
    let much = ok(&node, &["run", "--rm", image, "seq", "1", "50000"]);
    assert_eq!((much.lines().count(), much.lines().last()), (50_000, Some("50000")));
    nothing_left(&node);
}

#[test]
fn flags_reach_the_container() {
    let node = Node::start();
    let image = &node.busybox.reference;
    let folder = node.scratch.dir("data");
    std::fs::write(folder.join("f"), "from the host\n").expect("written");
    std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o755)).expect("readable for user 7");
    let volume = format!("{}:/data:ro", folder.display());
    let script = "id -u; id -g; pwd; hostname; cat /data/f; touch /data/g 2>/dev/null || echo read-only";
    let args =
        ["run", "--rm", "-u", "7:8", "-w", "/tmp", "--hostname", "there", "-v", &volume, image, "sh", "-c", script];
    assert_eq!(ok(&node, &args), "7\n8\n/tmp\nthere\nfrom the host\nread-only");
    let entrypoint = ["run", "--rm", "--entrypoint", "/bin/echo", image, "a", "b"];
    assert_eq!(ok(&node, &entrypoint), "a b");
    let host = std::fs::read_link("/proc/self/ns/net").expect("link");
    let seen = ok(&node, &["run", "--rm", "--network", "host", image, "readlink", "/proc/self/ns/net"]);
    assert_eq!(seen, host.to_string_lossy());
    nothing_left(&node);
}

#[test]
fn in_the_background_it_is_listed_followed_stopped_and_removed() {
    let node = Node::start();
    let image = &node.busybox.reference;
    let script = "trap 'echo bye; exit 3' TERM; i=0; while :; do i=$((i+1)); echo line $i; sleep 0.1; done";
    let id = ok(&node, &["run", "-d", "--name", "web", image, "sh", "-c", script]);
    assert_eq!(id.len(), 64, "{id}");
    let row = ok(&node, &["ps"]);
    assert!(row.contains(&id[..12]) && row.contains("running") && row.contains("web"), "{row}");
    assert_eq!(ok(&node, &["ps", "-q", "--pod", "web"]), id);
    let ip = ok(&node, &["pods"]);
    assert!(ip.contains("10."), "{ip}");
    until("two lines", || ok(&node, &["logs", "web"]).starts_with("line 1\nline 2\n"));
    let stamped = ok(&node, &["logs", "--tail", "1", "-t", "web"]);
    assert!(stamped.lines().count() == 1 && stamped.starts_with("20") && stamped.contains("Z line "), "{stamped}");
    assert_eq!(ok(&node, &["logs", "--since", "2099-01-01T00:00:00Z", "web"]), "");
    let exec = plim(&node, &["exec", "web", "--", "sh", "-c", "echo in; echo er >&2; exit 7"]);
    assert_eq!((exec.code, exec.stdout.as_str(), exec.stderr.as_str()), (7, "in\n", "er\n"), "{exec:?}");
    let refused = plim(&node, &["rm", "web"]);
    assert!(refused.code == 1 && refused.stderr.contains("still runs"), "{refused:?}");
    let taken = plim(&node, &["run", "--name", "web", image, "true"]);
    assert!(taken.code == 125 && taken.stderr.contains("a pod called web exists already"), "{taken:?}");
    followed(&node);
    assert!(ok(&node, &["ps", "-a"]).contains("exited (3)"));
    assert_eq!(ok(&node, &["rm", "web"]), "web");
    nothing_left(&node);
}

/// `logs -f` ends when the container does, with its last words.
fn followed(node: &Node) {
    let out = node.scratch.join("followed");
    let mut follow = node.daemon.plim(&["logs", "-f", "--tail", "1", "web"]);
    let mut follow = follow.stdout(File::create(&out).expect("a file")).spawn().expect("plim logs");
    until("lines that come", || read(&out).lines().count() > 2);
    ok(node, &["stop", "web"]);
    let status = follow.wait().expect("ends");
    let text = read(&out);
    assert!(status.success() && text.ends_with("bye\n") && text.lines().count() > 2, "{text}");
}

#[test]
fn a_signal_stops_the_container_and_a_second_one_kills_it() {
    let node = Node::start();
    let image = &node.busybox.reference;
    let out = node.scratch.join("out");
    let start = |script: &str| {
        let mut command = node.daemon.plim(&["run", "--rm", image, "sh", "-c", script]);
        let child = command.stdout(File::create(&out).expect("a file")).stderr(Stdio::null()).spawn();
        until("what it says when it is ready", || read(&out) == "ready\n");
        child.expect("plim run")
    };
    let interrupt = |child: &std::process::Child| {
        run(Command::new("kill").args(["-INT", &child.id().to_string()])).ok();
    };
    let mut polite = start("trap 'echo bye; exit 5' TERM; echo ready; while :; do sleep 0.1; done");
    interrupt(&polite);
    let status = polite.wait().expect("ends");
    assert_eq!((status.code(), read(&out).as_str()), (Some(5), "ready\nbye\n"));
    let mut deaf = start("trap 'echo no' TERM; echo ready; while :; do sleep 0.1; done");
    interrupt(&deaf);
    until("the first signal", || read(&out).ends_with("no\n"));
    let began = Instant::now();
    interrupt(&deaf);
    let status = deaf.wait().expect("ends");
    assert!(status.code() == Some(137) && began.elapsed() < Duration::from_secs(8), "{status}");
    nothing_left(&node);
}

#[test]
fn in_front_it_outlives_a_killed_daemon() {
    let mut node = Node::start();
    let image = node.busybox.reference.clone();
    let script = "i=0; while [ $i -lt 300 ]; do i=$((i+1)); echo $i; usleep 10000; done; exit 9";
    let mut command = node.daemon.plim(&["run", "--rm", &image, "sh", "-c", script]);
    let (out, err) = (node.scratch.join("out"), node.scratch.join("err"));
    let file = |path| File::create(path).expect("a file");
    let mut child = command.stdout(file(&out)).stderr(file(&err)).spawn().expect("plim run");
    until("the first line", || !read(&out).is_empty());
    node.daemon.kill_9();
    until("that plim notices", || read(&err).contains("waiting for it"));
    node.daemon.start_again();
    let status = child.wait().expect("ends");
    let (stdout, stderr) = (read(&out), read(&err));
    assert_eq!(status.code(), Some(9), "{stderr}\n{}", node.daemon.log_tail());
    let numbers: Vec<u32> = stdout.lines().map(|line| line.parse().expect("a number")).collect();
    assert!(numbers.iter().copied().eq(1..=300), "a line is missing: {numbers:?}");
    nothing_left(&node);
}

#[test]
fn what_cannot_start_is_told_and_taken_back() {
    let node = Node::start();
    let image = &node.busybox.reference;
    let fails_with = |code: i32, args: &[&str], parts: &[&str]| {
        let output = plim(&node, &[&["run"], args].concat());
        assert_eq!(output.code, code, "{args:?} {output:?}");
        for part in parts {
            assert!(output.stderr.contains(part), "no {part:?} in {}", output.stderr);
        }
    };
    let fails = |args: &[&str], parts: &[&str]| fails_with(125, args, parts);
    fails_with(127, &[image, "/no/such/program"], &["oci-runtime: ", "/no/such/program"]);
    fails_with(126, &[image, "/etc/passwd"], &["oci-runtime: ", "/etc/passwd"]);
    fails(&["-w", "/etc/passwd", image, "true"], &["oci-runtime: ", "/process/cwd"]);
    fails(&["-u", "nosuch", image, "true"], &["spec: ", "nosuch"]);
    fails(&["127.0.0.1:1/nothing:1"], &["registry: ", "127.0.0.1:1"]);
    fails(&["Bad/Image"], &["caller: ", "Bad/Image"]);
    fails(&["--runtime", "nosuch", image], &["nosuch"]);
    fails(&["--pull", "never", "localhost/none:1"], &["localhost/none:1", "--pull never"]);
    fails(&["-it", image], &["-it is not there yet"]);
    fails(&["-v", "/no/such/folder:/x", image], &["/no/such/folder"]);
    nothing_left(&node);
}
