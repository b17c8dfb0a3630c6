//! What pods share with the host and with each other: namespaces, files, ports, logs, resources.
#![cfg(feature = "privileged")]

use plimsoll_testkit::fake_registry::busybox_layer;
use plimsoll_testkit::tar::Tar;
use plimsoll_testkit::{Node, run, until};
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::process::{Child, Command};

fn modes(options: Value) -> Value {
    json!({ "linux": { "security_context": { "namespace_options": options } } })
}

/// A pod and a container with these namespace modes, running `sleep`; their ids.
#[track_caller]
fn start(node: &Node, name: &str, options: &Value) -> (String, String) {
    let pod_file = node.pod_file(name, modes(options.clone()));
    let pod = node.ok(&["runp", &pod_file]);
    let file = node.container_file(name, "sleep 1000", modes(options.clone()));
    let id = node.ok(&["create", &pod, &file, &pod_file]);
    node.ok(&["start", &id]);
    (pod, id)
}

fn host(kind: &str) -> String {
    std::fs::read_link(format!("/proc/self/ns/{kind}")).expect("link").display().to_string()
}

#[test]
fn namespaces_are_the_pods_the_hosts_or_the_containers() {
    let node = Node::start();
    node.pull();
    let inside = |id: &str, kind: &str| node.ok(&["exec", "-s", id, "readlink", &format!("/proc/self/ns/{kind}")]);
    let (own_pod, own) = start(&node, "own", &json!({ "pid": 1 }));
    let (host_pod, shared) = start(&node, "host", &json!({ "network": 2, "pid": 2, "ipc": 2 }));
    let (pod_pod, pod) = start(&node, "podpid", &json!({ "pid": 0 }));
    for kind in ["net", "ipc", "uts", "pid", "mnt"] {
        assert_ne!(inside(&own, kind), host(kind), "{kind}");
    }
    for kind in ["net", "ipc", "uts", "pid"] {
        assert_eq!(inside(&shared, kind), host(kind), "{kind}");
    }
    assert_eq!(node.ok(&["exec", "-s", &own, "hostname"]), "own");
    assert_eq!(node.ok(&["exec", "-s", &own, "cat", "/etc/hostname"]), "own");
    let own_name = std::fs::read_to_string("/proc/sys/kernel/hostname").expect("readable");
    assert_eq!(node.ok(&["exec", "-s", &shared, "cat", "/etc/hostname"]), own_name.trim());
    let hosts = node.ok(&["exec", "-s", &own, "cat", "/etc/hosts"]);
    let ip = node.json(&["inspectp", &own_pod])["status"]["network"]["ip"].as_str().expect("an address").to_owned();
    assert!(hosts.contains(&format!("{ip}\town")), "{hosts}");

    // A second container of the pod shares its PID, IPC and UTS namespaces and /dev/shm.
    let pod_file = node.pod_file("podpid", modes(json!({ "pid": 0 })));
    let file = node.container_file("second", "echo x > /dev/shm/x; sleep 1000", modes(json!({ "pid": 0 })));
    let second = node.ok(&["create", &pod_pod, &file, &pod_file]);
    node.ok(&["start", &second]);
    for kind in ["net", "ipc", "uts", "pid"] {
        assert_eq!(inside(&pod, kind), inside(&second, kind), "{kind}");
    }
    assert_eq!(node.ok(&["exec", "-s", &pod, "cat", "/dev/shm/x"]), "x");
    // A third one joins the PID namespace of the first alone.
    let target = modes(json!({ "pid": 3, "target_id": &own }));
    let pod_file = node.pod_file("own", modes(json!({ "pid": 1 })));
    let third = node.ok(&["create", &own_pod, &node.container_file("third", "sleep 1000", target), &pod_file]);
    node.ok(&["start", &third]);
    assert_eq!(inside(&own, "pid"), inside(&third, "pid"));
    for pod in [&own_pod, &host_pod, &pod_pod] {
        node.ok(&["rmp", "-f", pod]);
    }
    assert_eq!(node.left_behind(&[&own_pod, &host_pod, &pod_pod]), Vec::<String>::new());
}

/// Has a process of the host take over `pid`, which must be free; ended when dropped.
fn take_pid(pid: i64) -> Child {
    for _ in 0..200 {
        std::fs::write("/proc/sys/kernel/ns_last_pid", (pid - 1).to_string()).expect("ns_last_pid is writable");
        let mut child = Command::new("sleep").arg("1000").spawn().expect("sleep starts");
        if i64::from(child.id()) == pid {
            return child;
        }
        child.kill().expect("kill");
        child.wait().expect("wait");
    }
    panic!("pid {pid} could not be had");
}

#[test]
fn a_target_that_has_ended_is_not_mistaken_for_who_has_its_pid_now() {
    let node = Node::start();
    node.pull();
    let (pod, target) = start(&node, "own", &json!({ "pid": 1 }));
    let pod_file = node.pod_file("own", modes(json!({ "pid": 1 })));
    let joins = modes(json!({ "pid": 3, "target_id": &target }));
    let file = node.container_file("joins", "readlink /proc/self/ns/pid; sleep 1000", joins.clone());
    let joining = node.ok(&["create", &pod, &file, &pod_file]);
    let pid = node.json(&["inspect", &target])["info"]["pid"].as_i64().expect("a pid");
    node.ok(&["stop", "--timeout", "0", &target]);
    let mut foreign = take_pid(pid);
    let complaint = node.fails(&["start", &joining]);
    foreign.kill().expect("kill");
    foreign.wait().expect("wait");
    assert!(complaint.contains("caller: ") && complaint.contains(&target), "{complaint}");
    assert!(complaint.contains("does not run"), "{complaint}");
    let late = node.container_file("late", "sleep 1000", joins);
    let complaint = node.fails(&["create", &pod, &late, &pod_file]);
    assert!(complaint.contains("target"), "{complaint}");
    // The host's is refused to a container of a pod that has its own, and nothing is made.
    let host = node.container_file("host", "sleep 1000", modes(json!({ "pid": 2 })));
    let complaint = node.fails(&["create", &pod, &host, &pod_file]);
    assert!(complaint.contains("caller: ") && complaint.contains("namespaces.pid"), "{complaint}");
    assert_eq!(node.ok(&["ps", "-a", "-q"]).lines().count(), 2);
    node.ok(&["rmp", "-f", &pod]);
    assert_eq!(node.left_behind(&[&pod]), Vec::<String>::new());
}

#[test]
fn dns_sysctls_and_resources_arrive() {
    let node = Node::start();
    node.pull();
    let pod_file = node.pod_file(
        "p",
        json!({
            "dns_config": { "servers": ["10.96.0.10"], "searches": ["a.b"], "options": ["ndots:5"] },
            "linux": { "sysctls": { "net.ipv4.ip_unprivileged_port_start": "80", "kernel.shm_rmid_forced": "1" } }
        }),
    );
    let pod = node.ok(&["runp", &pod_file]);
    let more = json!({ "linux": {
        "resources": { "memory_limit_in_bytes": 64 << 20, "cpu_shares": 512, "cpu_quota": 50000, "cpu_period": 100000 },
        "security_context": { "namespace_options": { "pid": 1 }, "readonly_rootfs": true, "no_new_privs": true,
            "run_as_user": { "value": 1000 }, "run_as_group": { "value": 1001 }, "supplemental_groups": [7, 8],
            "capabilities": { "drop_capabilities": ["ALL"], "add_capabilities": ["NET_ADMIN"] },
            "masked_paths": ["/proc/keys"], "readonly_paths": ["/proc/sys"] }
    } });
    let id = node.ok(&["create", &pod, &node.container_file("c", "sleep 1000", more), &pod_file]);
    node.ok(&["start", &id]);
    let sh = |script: &str| node.ok(&["exec", "-s", &id, "sh", "-c", script]);
    assert_eq!(sh("cat /etc/resolv.conf"), "search a.b\nnameserver 10.96.0.10\noptions ndots:5");
    assert_eq!(sh("cat /proc/sys/net/ipv4/ip_unprivileged_port_start /proc/sys/kernel/shm_rmid_forced"), "80\n1");
    assert_eq!(sh("id -u; id -g; id -G"), "1000\n1001\n1001 7 8");
    assert_eq!(sh("touch /x 2>/dev/null || echo read-only"), "read-only");
    assert_eq!(sh("grep -E 'NoNewPrivs|CapBnd' /proc/1/status"), "CapBnd:\t0000000000001000\nNoNewPrivs:\t1");
    let config = &node.json(&["inspect", &id])["info"];
    let cgroup = config["cgroup"].as_str().expect("a path").trim_start_matches('/').to_owned();
    let read = |controller: &str, file: &str| {
        let path = format!("/sys/fs/cgroup/{controller}/{cgroup}/{file}");
        std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{path}: {e}")).trim().to_owned()
    };
    if std::path::Path::new("/sys/fs/cgroup/memory").exists() {
        assert_eq!(read("memory", "memory.limit_in_bytes"), (64 << 20).to_string());
        assert_eq!((read("cpu", "cpu.shares"), read("cpu", "cpu.cfs_quota_us")), ("512".into(), "50000".into()));
    }
    assert_eq!(config["provenance"]["/linux/resources/memory/limit"]["kind"], "request");
    node.ok(&["rmp", "-f", &pod]);
    assert_eq!(node.left_behind(&[&pod]), Vec::<String>::new());
}

#[test]
fn a_published_port_leads_into_the_pod() {
    let node = Node::start();
    node.pull();
    let conf = node.scratch.join("cni-conf/10-plim.conflist");
    let mut list: Value = serde_json::from_str(&std::fs::read_to_string(&conf).expect("readable")).expect("json");
    let portmap = json!({ "type": "portmap", "capabilities": { "portMappings": true }, "snat": true });
    list["plugins"].as_array_mut().expect("a list").push(portmap);
    std::fs::write(&conf, list.to_string()).expect("written");
    let port = 20000 + std::process::id() % 10000;
    let ports = json!([{ "protocol": 0, "container_port": 8080, "host_port": port }]);
    let pod_file = node.pod_file("p", json!({ "port_mappings": ports }));
    let pod = node.ok(&["runp", &pod_file]);
    node.start_container(&pod, &pod_file, "web", "while true; do echo hello | nc -l -p 8080; done");
    let ip = node.json(&["inspectp", &pod])["status"]["network"]["ip"].as_str().expect("an address").to_owned();
    let fetch = |address: String| {
        let mut text = String::new();
        until("an answer", || {
            if let Ok(mut stream) = std::net::TcpStream::connect(&address) {
                stream.set_read_timeout(Some(std::time::Duration::from_secs(10))).expect("timeout");
                stream.write_all(b"\n").ok();
                stream.read_to_string(&mut text).ok();
            }
            !text.is_empty()
        });
        text
    };
    assert_eq!(fetch(format!("{ip}:8080")), "hello\n", "by the pod's address");
    assert_eq!(fetch(format!("127.0.0.1:{port}")), "hello\n", "by the host's port");
    node.ok(&["rmp", "-f", &pod]);
    let rules = run(Command::new("iptables-save").args(["-t", "nat"])).stdout;
    assert!(!rules.contains(&pod[..20]), "{rules}");
    assert_eq!(node.left_behind(&[&pod]), Vec::<String>::new());
}

#[test]
fn a_rotated_log_loses_nothing() {
    let node = Node::start();
    node.pull();
    let pod_file = node.pod_file("p", json!({}));
    let pod = node.ok(&["runp", &pod_file]);
    let script = "i=0; while [ $i -lt 20000 ]; do i=$((i+1)); echo $i; done; sleep 1000";
    let id = node.start_container(&pod, &pod_file, "c", script);
    let log = node.scratch.join("logs/c.log");
    let mut parts = Vec::new();
    for number in 0..4 {
        std::thread::sleep(std::time::Duration::from_millis(30));
        let old = node.scratch.join(format!("logs/c.log.{number}"));
        std::fs::rename(&log, &old).expect("rotated");
        node.ok(&["logs", "-r", &id]);
        parts.push(old);
    }
    parts.push(log);
    let lines = || -> Vec<u64> {
        let text: String = parts.iter().map(|part| std::fs::read_to_string(part).unwrap_or_default()).collect();
        text.lines().filter_map(|line| line.rsplit(' ').next()?.parse().ok()).collect()
    };
    until("the last line", || lines().last() == Some(&20000));
    let lines = lines();
    assert!(lines.len() == 20000 && lines.iter().zip(1..).all(|(line, n)| *line == n), "{} lines", lines.len());
    node.ok(&["rmp", "-f", &pod]);
    assert_eq!(node.left_behind(&[&pod]), Vec::<String>::new());
}

#[test]
fn an_image_of_many_layers_runs_as_the_user_that_its_topmost_accounts_name() {
    const LAYERS: usize = 130;
    let node = Node::start();
    let mut layers = vec![busybox_layer().file("gone", 0o644, "")];
    layers.extend((1..LAYERS - 2).map(|n| Tar::new().file(&format!("layers/{n}"), 0o644, "")));
    layers.push(Tar::new().file("etc/accounts", 0o644, "app:x:4242:4243::/:/bin/sh\n").file(".wh.gone", 0o644, ""));
    layers.push(Tar::new().symlink("etc/passwd", "accounts"));
    let image = node.registry.image("many", "1", &layers, json!({ "Env": ["PATH=/bin"], "User": "app" }));
    node.ok(&["pull", &image.reference]);
    let pod_file = node.pod_file("p", json!({}));
    let pod = node.ok(&["runp", &pod_file]);
    let script = "id -u; id -g; ls /layers | wc -l; test -e /gone || echo gone";
    let more = json!({ "image": { "image": image.reference } });
    let id = node.ok(&["create", &pod, &node.container_file("c", script, more), &pod_file]);
    node.ok(&["start", &id]);
    assert_eq!(node.wait_exit(&id)["exitCode"], 0);
    assert_eq!(node.ok(&["logs", &id]), format!("4242\n4243\n{}\ngone", LAYERS - 3));
    node.ok(&["rmp", "-f", &pod]);
    assert_eq!(node.left_behind(&[&pod]), Vec::<String>::new());
}
