//! What the next daemon finds after a crash in the middle of things.
#![cfg(feature = "privileged")]

use plimsoll_testkit::{Node, bin, bundle, run, until};
use serde_json::json;
use std::os::unix::fs::PermissionsExt;
use std::process::Stdio;
use std::time::{Duration, Instant};

#[test]
fn a_pod_that_was_being_made_is_undone() {
    let mut node = Node::start();
    let conf = node.scratch.join("cni-conf/10-plim.conflist");
    let good = std::fs::read_to_string(&conf).expect("readable");
    // The second plugin hangs in ADD, when the first has given an address, and lets DEL pass.
    let bins = node.scratch.dir("slow-bin");
    let mark = node.scratch.join("hangs");
    let script =
        format!("#!/bin/sh\n[ $CNI_COMMAND = ADD ] || exit 0\necho $$ > {}\nexec sleep 1000\n", mark.display());
    std::fs::write(bins.join("slow"), script).expect("written");
    std::fs::set_permissions(bins.join("slow"), std::fs::Permissions::from_mode(0o755)).expect("chmod");
    let config = std::fs::read_to_string(&node.daemon.config).expect("readable");
    let config = config.replace("bin_dirs = [", &format!("bin_dirs = [{bins:?}, "));
    std::fs::write(&node.daemon.config, config).expect("written");
    node.daemon.stop();
    node.daemon.start_again();
    let mut list: serde_json::Value = serde_json::from_str(&good).expect("json");
    list["plugins"].as_array_mut().expect("a list").push(json!({ "type": "slow" }));
    std::fs::write(&conf, list.to_string()).expect("written");

    let pod_file = node.pod_file("p", json!({}));
    let mut call = node.daemon.crictl(&["runp", &pod_file]);
    let mut call = call.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("crictl starts");
    until("the plugin's ADD", || std::fs::read_to_string(&mark).is_ok_and(|pid| pid.ends_with('\n')));
    assert_eq!(node.ok(&["pods", "-q"]), "", "a pod that is being made is not listed");
    node.daemon.kill_9();
    call.wait().expect("crictl ends");
    // It is nobody's child now, and not ours to leave.
    let plugin = std::fs::read_to_string(&mark).expect("its pid");
    run(std::process::Command::new("kill").args(["-9", plugin.trim()])).ok();
    node.daemon.start_again();
    // The socket is there before the recovery; the first answer comes after it.
    node.ok(&["version"]);
    assert_eq!(node.left_behind(&[]), Vec::<String>::new());
    let data = node.scratch.join("cni-data").join(node.bridge());
    let leases = std::fs::read_dir(data).into_iter().flatten().flatten().map(|entry| entry.file_name());
    let leases: Vec<_> = leases.filter(|name| name.to_string_lossy().starts_with("10.")).collect();
    assert!(leases.is_empty(), "an address leaks: {leases:?}");
    std::fs::write(&conf, good).expect("written");
    let pod = node.ok(&["runp", &pod_file]);
    node.ok(&["rmp", "-f", &pod]);
    assert_eq!(node.left_behind(&[&pod]), Vec::<String>::new());
}

#[test]
fn exits_and_deaths_meanwhile_are_found() {
    let mut node = Node::start();
    node.pull();
    let (one, two) = (node.pod_file("one", json!({})), node.pod_file("two", json!({})));
    let (keeps, dies) = (node.ok(&["runp", &one]), node.ok(&["runp", &two]));
    let exits = node.start_container(&keeps, &one, "exits", "sleep 1; exit 7");
    let created = node.ok(&["create", &keeps, &node.container_file("created", "exit 9", json!({})), &one]);
    let lost = node.start_container(&dies, &two, "lost", "sleep 1000");
    let shim = node.json(&["inspectp", &dies])["info"]["pid"].as_i64().expect("a pid");
    let before = node.json(&["pods", "-o", "json"])["items"].as_array().map(Vec::len);
    node.daemon.kill_9();
    run(std::process::Command::new("kill").args(["-9", &shim.to_string()])).ok();
    node.wait_recorded(&exits);
    node.daemon.start_again();

    assert_eq!(node.json(&["pods", "-o", "json"])["items"].as_array().map(Vec::len), before);
    let status = node.wait_exit(&exits);
    assert_eq!((&status["exitCode"], &status["reason"]), (&json!(7), &json!("Error")), "{status}");
    assert_eq!(node.status(&lost)["state"], "CONTAINER_UNKNOWN");
    assert_eq!(node.json(&["inspectp", &dies])["status"]["state"], "SANDBOX_NOTREADY");
    node.ok(&["start", &created]);
    assert_eq!(node.wait_exit(&created)["exitCode"], 9);
    for pod in [&keeps, &dies] {
        node.ok(&["rmp", "-f", pod]);
    }
    assert_eq!(node.left_behind(&[&keeps, &dies]), Vec::<String>::new());
}

/// However many objects a silent shim has, the daemon waits for all of them together.
#[test]
fn a_silent_shim_holds_the_start_of_the_daemon_up_once() {
    let mut node = Node::start();
    node.pull();
    let pod_file = node.pod_file("p", json!({}));
    let pod = node.ok(&["runp", &pod_file]);
    for number in 0..8 {
        let id = node.start_container(&pod, &pod_file, &format!("c{number}"), "exit 0");
        node.wait_exit(&id);
    }
    let shim = node.json(&["inspectp", &pod])["info"]["pid"].to_string();
    node.daemon.kill_9();
    run(std::process::Command::new("kill").args(["-STOP", &shim])).ok();
    node.daemon.start_again();
    let begun = Instant::now();
    // The socket is there before the recovery; the first answer comes after it.
    while node.crictl(&["version"]).code != 0 && begun.elapsed() < Duration::from_secs(60) {}
    let took = begun.elapsed();
    run(std::process::Command::new("kill").args(["-CONT", &shim])).ok();
    // Five seconds once: for each of its containers it would be forty.
    assert!(took < Duration::from_secs(30), "{took:?}");
    node.ok(&["rmp", "-f", &pod]);
    assert_eq!(node.left_behind(&[&pod]), Vec::<String>::new());
}

#[test]
fn folders_and_mounts_that_no_record_owns_are_removed() {
    let mut node = Node::start();
    node.daemon.stop();
    let bundle = node.daemon.state.join("tasks/k8s.io/0123");
    let shm = node.daemon.state.join("sandboxes/k8s.io/4567/shm");
    for folder in [&bundle.join("rootfs"), &shm] {
        std::fs::create_dir_all(folder).expect("mkdir");
        run(std::process::Command::new("mount").args(["-t", "tmpfs", "none"]).arg(folder)).ok();
    }
    node.daemon.start_again();
    // The socket is there before the recovery; the first answer comes after it.
    node.ok(&["version"]);
    assert_eq!(node.left_behind(&[]), Vec::<String>::new());
}

#[test]
fn containers_that_no_record_owns_are_ended() {
    let mut node = Node::start();
    node.daemon.stop();
    let root = node.daemon.state.join("runtime/k8s.io");
    let mut bundle = bundle(&node.scratch);
    bundle.args(&["sleep", "1000"]);
    let mut create = node.scratch.command(bin("plimrun"));
    create.arg("--root").arg(&root).args(["create", "--bundle"]).arg(&bundle.path).arg("0123");
    run(&mut create).ok();
    assert!(!node.left_behind(&[]).is_empty());
    node.daemon.start_again();
    // The socket is there before the recovery; the first answer comes after it.
    node.ok(&["version"]);
    assert_eq!(node.left_behind(&[]), Vec::<String>::new());
}

/// The PID 1 of a pod is known by boot, pid and start time: whoever has its pid by now is spared.
#[test]
fn the_init_of_a_pod_that_no_record_owns_is_ended_and_nobody_else() {
    let mut node = Node::start();
    node.daemon.stop();
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").expect("readable");
    let mut sleeper = |name: &str, boot: &str, later: u64| {
        let mut command = node.scratch.command("/bin/sleep");
        let pid = node.scratch.spawn(command.arg("1000")).id();
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).expect("it runs");
        let field = stat.rsplit_once(") ").and_then(|(_, rest)| rest.split(' ').nth(19)).expect("field 22");
        let start_time = field.parse::<u64>().expect("ticks") + later;
        let folder = node.daemon.state.join("sandboxes/k8s.io").join(name);
        std::fs::create_dir_all(&folder).expect("mkdir");
        let kept = json!({ "boot": boot.trim(), "pid": pid, "start_time": start_time });
        std::fs::write(folder.join("plimsoll-sandbox.json"), kept.to_string()).expect("written");
        pid
    };
    let pids = [sleeper("01", &boot, 0), sleeper("02", &boot, 1), sleeper("03", "another", 0)];
    node.daemon.start_again();
    // The socket is there before the recovery; the first answer comes after it.
    node.ok(&["version"]);
    let lives = |pid: &u32| {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"));
        stat.is_ok_and(|stat| !stat.contains(") Z "))
    };
    assert_eq!(pids.iter().map(lives).collect::<Vec<_>>(), [false, true, true]);
    assert!(!node.daemon.state.join("sandboxes/k8s.io/01").exists(), "its folder is swept");
}
