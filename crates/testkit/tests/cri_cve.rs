//! Attacks on container daemons that worked once, each by its CVE.
#![cfg(feature = "privileged")]

use plimsoll_testkit::fake_registry::busybox_layer;
use plimsoll_testkit::tar::Tar;
use plimsoll_testkit::{Node, run};
use serde_json::{Value, json};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;

/// A pod's id and the file it was made from.
struct Pod(String, String);

fn pod(node: &Node, more: Value) -> Pod {
    let file = node.pod_file("p", more);
    Pod(node.ok(&["runp", &file]), file)
}

fn end(node: &Node, pod: &Pod) {
    node.ok(&["rmp", "-f", &pod.0]);
    assert_eq!(node.left_behind(&[&pod.0]), Vec::<String>::new());
}

/// What `script` says in a new container of the pod, which it ends well.
#[track_caller]
fn output(node: &Node, pod: &Pod, name: &str, script: &str, more: Value) -> String {
    let id = node.ok(&["create", &pod.0, &node.container_file(name, script, more), &pod.1]);
    node.ok(&["start", &id]);
    let status = node.wait_exit(&id);
    let said = node.ok(&["logs", &id]);
    assert_eq!(status["exitCode"], 0, "{status} {said}");
    said
}

/// The inodes of a process's sockets.
fn sockets(pid: &Value) -> Vec<String> {
    let fds = std::fs::read_dir(format!("/proc/{pid}/fd")).expect("a process").flatten();
    let links = fds.filter_map(|fd| std::fs::read_link(fd.path()).ok()).map(|link| link.display().to_string());
    links.filter_map(|link| Some(link.strip_prefix("socket:[")?.strip_suffix(']')?.to_owned())).collect()
}

/// containerd's shims listened on abstract sockets, which belong to a network namespace: a pod on the host's network
/// could connect to them.
#[test]
fn cve_2020_15257_no_socket_of_ours_is_within_reach_of_the_hosts_network() {
    let node = Node::start();
    node.pull();
    let host = json!({ "linux": { "security_context": { "namespace_options": { "network": 2, "pid": 1 } } } });
    let pod = pod(&node, host.clone());
    let shim = node.json(&["inspectp", &pod.0])["info"]["pid"].clone();
    let ours = [sockets(&json!(node.daemon.pid())), sockets(&shim)].concat();
    let table = output(&node, &pod, "sees", "cat /proc/net/unix", host.clone());
    let rows = table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    let names: Vec<String> = rows
        .filter(|row| row.len() > 7 && ours.iter().any(|inode| inode == row[6]))
        .map(|row| row[7].to_owned())
        .collect();
    let listening = [node.daemon.socket.clone(), shim_socket(&node)];
    for path in &listening {
        assert!(names.contains(&path.display().to_string()), "{path:?} is not in the table: {names:?}");
    }
    assert!(names.iter().all(|name| name.starts_with('/')), "an abstract socket: {names:?}");
    let script = listening.iter().map(|path| format!("test ! -e {} && ", path.display())).collect::<String>();
    assert_eq!(output(&node, &pod, "reaches", &format!("{script} echo none"), host), "none");
    let mode = std::fs::metadata(&node.daemon.socket).expect("a socket").mode();
    assert_eq!(mode & 0o077, 0, "the daemon's socket has mode {mode:o}");
    end(&node, &pod);
}

fn shim_socket(node: &Node) -> PathBuf {
    let sockets = std::fs::read_dir(node.daemon.state.join("s")).expect("sockets").flatten();
    sockets.into_iter().map(|entry| entry.path()).next().expect("a shim")
}

/// Users of the host could walk through containerd's folders into root filesystems and run set-uid programs in them.
#[test]
fn cve_2021_41103_the_hosts_users_enter_no_folder_of_ours() {
    let node = Node::start();
    node.pull();
    let pod = pod(&node, json!({}));
    let id = node.start_container(&pod.0, &pod.1, "c", "sleep 1000");
    let (root, state) = (&node.daemon.root, &node.daemon.state);
    let (bundle, files) = (state.join("tasks/k8s.io").join(&id), state.join("sandboxes/k8s.io").join(&pod.0));
    let kept = state.join("runtime/k8s.io").join(&id);
    for folder in [root, state, &bundle, &files, &kept, &state.join("s")] {
        let mode = std::fs::metadata(folder).expect("a folder").mode();
        assert_eq!(mode & 0o077, 0, "{} has mode {mode:o}", folder.display());
    }
    // Also with the way there open.
    let way = [node.scratch.path(), state, &state.join("tasks"), &state.join("tasks/k8s.io")];
    let modes: Vec<u32> = way.iter().map(|folder| std::fs::metadata(folder).expect("a folder").mode()).collect();
    let chmod = |folder: &Path, mode: u32| {
        std::fs::set_permissions(folder, std::fs::Permissions::from_mode(mode & 0o7777)).expect("chmod");
    };
    way.iter().for_each(|folder| chmod(folder, 0o755));
    // Through a shell, for setpriv itself executes its program with the rights that it gives up by that.
    let stranger = |command: String| {
        let mut setpriv = Command::new("setpriv");
        run(setpriv.args(["--reuid=65534", "--regid=65534", "--clear-groups", "sh", "-c", &command]))
    };
    let reaches = stranger(format!("ls {}", state.join("tasks/k8s.io").display()));
    let program = bundle.join("rootfs/bin/busybox");
    assert!(program.exists(), "the rootfs is mounted");
    let enters = stranger(format!("{} true", program.display()));
    way.iter().zip(modes).for_each(|(folder, mode)| chmod(folder, mode));
    assert!(reaches.code == 0 && reaches.stdout.contains(&id), "the way is open: {}", reaches.stderr);
    assert_ne!(enters.code, 0, "a program of the container ran");
    end(&node, &pod);
}

/// CRI-O wrote the image's `HOME` into the container's `/etc/passwd` (also CVE-2026-15809).
#[test]
fn cve_2022_4318_no_variable_adds_a_line_to_the_accounts() {
    let node = Node::start();
    let evil = "evil::0:0::/:/bin/sh";
    let homes = [format!("/x\n{evil}"), format!("/x\\n{evil}"), format!("/x\u{85}{evil}")];
    let mut of_image = vec!["PATH=/bin".to_owned(), format!("HOME={}", homes[0])];
    of_image.extend(homes.iter().enumerate().map(|(number, home)| format!("H{number}={home}")));
    let config = json!({ "Env": of_image });
    let image = node.registry.image("homes", "1", &[busybox_layer()], config);
    node.ok(&["pull", &image.reference]);
    let pod = pod(&node, json!({}));
    let envs: Vec<Value> =
        homes.iter().map(|home| json!({ "key": "HOME", "value": base64(home.as_bytes()) })).collect();
    let user = json!({ "run_as_user": { "value": 4242 }, "namespace_options": { "pid": 1 } });
    let accounts = "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false";
    for (name, env) in
        [("image", vec![]), ("newline", vec![&envs[0]]), ("escape", vec![&envs[1]]), ("nel", vec![&envs[2]])]
    {
        let more = json!({
            "image": { "image": image.reference }, "envs": env, "linux": { "security_context": user }
        });
        assert_eq!(output(&node, &pod, name, "cat /etc/passwd", more), accounts, "{name}");
    }
    let as_evil = json!({
        "image": { "image": image.reference }, "envs": [envs[0]],
        "linux": { "security_context": { "run_as_username": "evil", "namespace_options": { "pid": 1 } } }
    });
    let refused = node.fails(&["create", &pod.0, &node.container_file("evil", "true", as_evil), &pod.1]);
    assert!(refused.contains("spec: ") && refused.contains("evil"), "{refused}");
    end(&node, &pod);
}

/// containerd copied what lay at an image's `VOLUME` on the host into the container.
#[test]
fn cve_2022_23648_a_volume_of_the_image_brings_no_file_of_the_host() {
    let node = Node::start();
    let outside = node.scratch.dir("outside");
    let secret = outside.join("secret");
    std::fs::write(&secret, "of the host").expect("written");
    let up = format!("/../../../../../../../..{}", outside.display());
    let links = Tar::new().symlink("door", &outside.display().to_string()).symlink("up", &up[1..]);
    let config = json!({ "Env": ["PATH=/bin"], "Volumes": { up: {}, "/door": {}, "/up": {} } });
    let image = node.registry.image("volumes", "1", &[busybox_layer(), links], config);
    node.ok(&["pull", &image.reference]);
    let pod = pod(&node, json!({}));
    let more = json!({ "image": { "image": image.reference } });
    let script = format!("cat {} /door/secret /up/secret; echo looked", secret.display());
    let said = output(&node, &pod, "c", &script, more);
    assert!(said.contains("looked") && !said.contains("of the host"), "{said}");
    end(&node, &pod);
}

/// CRI-O made `/etc/mtab` through the image's symbolic links, on the host.
#[test]
fn cve_2024_5154_links_of_the_image_lead_no_file_and_no_mount_to_the_host() {
    let node = Node::start();
    let outside = node.scratch.dir("outside");
    std::fs::write(outside.join("resolv"), "of the host").expect("written");
    let up = format!("../../../../../../../..{}", outside.display());
    let links = Tar::new()
        .symlink("etc/mtab", &format!("{up}/mtab"))
        .symlink("etc/resolv.conf", &outside.join("resolv").display().to_string())
        .symlink("etc/hosts", &format!("{up}/hosts"))
        .symlink("etc/hostname", &format!("{up}/hostname"))
        .dir(&outside.display().to_string()[1..], 0o755)
        .symlink("door", &outside.display().to_string());
    let image = node.registry.image("links", "1", &[busybox_layer(), links], json!({ "Env": ["PATH=/bin"] }));
    node.ok(&["pull", &image.reference]);
    let pod = pod(&node, json!({ "dns_config": { "servers": ["10.9.8.7"] } }));
    let shared = node.scratch.dir("shared");
    std::fs::write(shared.join("file"), "shared").expect("written");
    let more = json!({
        "image": { "image": image.reference }, "working_dir": "/door/work",
        "mounts": [{ "container_path": "/door/made", "host_path": shared }]
    });
    let said = output(&node, &pod, "c", "cat /etc/resolv.conf /door/made/file; pwd", more);
    assert!(said.contains("nameserver 10.9.8.7") && said.contains("shared"), "{said}");
    let names: Vec<_> =
        std::fs::read_dir(&outside).expect("a folder").flatten().map(|entry| entry.file_name()).collect();
    assert_eq!(names, ["resolv"], "made on the host");
    assert_eq!(std::fs::read_to_string(outside.join("resolv")).expect("readable"), "of the host");
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").expect("readable");
    assert!(!mounts.contains(&outside.display().to_string()), "a mount on the host");
    end(&node, &pod);
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let number = chunk.iter().fold(0_u32, |n, byte| (n << 8) | u32::from(*byte)) << (8 * (3 - chunk.len()));
        for place in 0..4 {
            let digit = DIGITS[(number >> (18 - 6 * place)) as usize & 63];
            text.push(if place > chunk.len() { '=' } else { char::from(digit) });
        }
    }
    text
}
