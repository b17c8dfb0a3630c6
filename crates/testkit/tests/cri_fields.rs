//! The fields of a container's configuration, each seen from inside the container.
#![cfg(feature = "privileged")]

use plimsoll_testkit::{Node, until};
use serde_json::{Value, json};

/// Runs `script` to its end in a new container of the pod; its log.
#[track_caller]
fn output(node: &Node, pod: &(String, String), name: &str, script: &str, more: Value) -> String {
    let id = node.ok(&["create", &pod.0, &node.container_file(name, script, more), &pod.1]);
    node.ok(&["start", &id]);
    node.wait_exit(&id);
    let logs = node.crictl(&["logs", &id]);
    node.ok(&["rm", &id]);
    format!("{}{}", logs.stdout, logs.stderr).trim_end().to_owned()
}

/// A pod as kubelet asks for one: each container has its own pid namespace.
fn pod(node: &Node, name: &str, more: Value) -> (String, String) {
    let file = node.pod_file(name, more);
    (node.ok(&["runp", &file]), file)
}

fn security(context: Value) -> Value {
    json!({ "linux": { "security_context": context } })
}

#[test]
fn who_it_is_and_what_it_may() {
    let node = Node::start();
    node.pull();
    let pod = pod(&node, "p", json!({ "linux": { "security_context": { "privileged": true } } }));
    let user = json!({
        "run_as_user": { "value": 1234 }, "run_as_group": { "value": 55 }, "supplemental_groups": [7, 9],
        "no_new_privs": true
    });
    let who =
        output(&node, &pod, "user", "id -u; id -g; grep -E 'Groups|NoNew|CapEff' /proc/self/status", security(user));
    let words: Vec<&str> = who.split_whitespace().collect();
    assert_eq!(&words[..2], ["1234", "55"], "{who}");
    assert!(
        who.contains("7 9") && who.contains("NoNewPrivs:\t1") && who.contains("CapEff:\t0000000000000000"),
        "{who}"
    );

    let name = json!({ "run_as_username": "nobody" });
    assert_eq!(output(&node, &pod, "name", "id -u", security(name)), "65534");
    let caps = json!({ "capabilities": { "drop_capabilities": ["ALL"], "add_capabilities": ["NET_BIND_SERVICE"] } });
    let bits = output(&node, &pod, "caps", "grep CapBnd /proc/self/status", security(caps));
    assert_eq!(bits, "CapBnd:\t0000000000000400");
    let read_only = json!({ "readonly_rootfs": true });
    let touched = output(&node, &pod, "ro", "touch /x; echo $?", security(read_only));
    assert!(touched.contains("Read-only file system") && touched.contains('1'), "{touched}");

    let masked = json!({ "masked_paths": ["/proc/kcore", "/sys/firmware"], "readonly_paths": ["/proc/sys"] });
    let script = "cat /proc/kcore | wc -c; ls /sys/firmware | wc -l; echo x > /proc/sys/kernel/domainname";
    let seen = output(&node, &pod, "masked", script, security(masked));
    assert!(seen.starts_with("0\n0\n") && seen.contains("Read-only file system"), "{seen}");
    let script = "grep -cE ' (/sys/firmware|/proc/sys) ' /proc/self/mountinfo";
    let unsaid = output(&node, &pod, "unsaid", script, security(json!({})));
    assert_eq!(unsaid, "2", "a client that names no paths gets the default ones");
    let default = json!({ "seccomp": { "profile_type": 0 } });
    assert_eq!(output(&node, &pod, "seccomp", "grep Seccomp: /proc/self/status", security(default)), "Seccomp:\t2");
    let all = output(
        &node,
        &pod,
        "all",
        "ls -d /dev/kmsg; mount -t tmpfs t /tmp && echo mounted",
        security(json!({ "privileged": true })),
    );
    assert!(all.contains("/dev/kmsg") && all.contains("mounted"), "{all}");
}

#[test]
fn what_it_sees_and_gets() {
    let node = Node::start();
    node.pull();
    let dns = json!({ "servers": ["10.9.8.7"], "searches": ["a.test", "b.test"], "options": ["ndots:3"] });
    let sysctls = json!({ "sysctls": { "net.ipv4.ip_unprivileged_port_start": "80" } });
    let pod = pod(&node, "seen", json!({ "dns_config": dns, "linux": sysctls }));
    let script = "cat /etc/resolv.conf /etc/hostname /proc/sys/net/ipv4/ip_unprivileged_port_start; hostname";
    let seen = output(&node, &pod, "files", script, json!({}));
    for part in ["nameserver 10.9.8.7", "search a.test b.test", "options ndots:3", "\nseen\n", "\n80\n"] {
        assert!(seen.contains(part), "{part:?} in {seen}");
    }
    let env = json!({ "envs": [{ "key": "GREETING", "value": "aGkgdGhlcmU=" }], "working_dir": "/etc" });
    let seen = output(&node, &pod, "env", "echo $GREETING $FROM_IMAGE; pwd", env);
    assert!(seen.ends_with("/etc") && seen.contains("yes"), "{seen}");

    let (shared, inner) = (node.scratch.dir("shared"), node.scratch.dir("shared/inner"));
    std::fs::write(inner.join("deep"), "deep water").expect("written");
    let mount =
        |path: &str, readonly: bool| json!({ "container_path": path, "host_path": shared, "readonly": readonly });
    let mounts = json!({ "mounts": [mount("/rw", false), mount("/ro", true)] });
    let seen =
        output(&node, &pod, "mounts", "echo new > /rw/file; echo no > /ro/file; cat /ro/file /ro/inner/deep", mounts);
    assert!(seen.contains("Read-only file system") && seen.contains("new\ndeep water"), "{seen}");
    assert_eq!(std::fs::read_to_string(shared.join("file")).expect("made"), "new\n");

    let resources = json!({
        "memory_limit_in_bytes": 67_108_864, "cpu_shares": 512, "cpu_quota": 20000, "cpu_period": 100_000,
        "oom_score_adj": 777
    });
    let script = "cat /proc/self/oom_score_adj; cat /proc/self/cgroup";
    let id = node.ok(&[
        "create",
        &pod.0,
        &node.container_file("limits", &format!("{script}; sleep 100"), json!({ "linux": { "resources": resources } })),
        &pod.1,
    ]);
    node.ok(&["start", &id]);
    until("what it says of itself", || node.ok(&["logs", &id]).contains('/'));
    let seen = node.ok(&["logs", &id]);
    assert!(seen.starts_with("777\n"), "{seen}");
    let cgroup = node.json(&["inspect", &id])["info"]["cgroup"].as_str().expect("a cgroup").to_owned();
    let limit = |controller: &str, file: &str| {
        std::fs::read_to_string(format!("/sys/fs/cgroup/{controller}{cgroup}/{file}"))
            .map(|text| text.trim().to_owned())
    };
    if std::path::Path::new("/sys/fs/cgroup/memory").is_dir() {
        assert_eq!(limit("memory", "memory.limit_in_bytes").expect("v1"), "67108864");
        assert_eq!(limit("cpu", "cpu.shares").expect("v1"), "512");
        assert_eq!(limit("cpu", "cpu.cfs_quota_us").expect("v1"), "20000");
    }
    node.ok(&["rmp", "-f", &pod.0]);
    assert_eq!(node.left_behind(&[&pod.0]), Vec::<String>::new());
}

#[test]
fn the_hosts_namespaces_and_the_pods() {
    let node = Node::start();
    node.pull();
    let host = json!({ "network": 2, "pid": 2, "ipc": 2 });
    let of_host = pod(&node, "host", security_pod(&host));
    let links =
        |kind: &str| std::fs::read_link(format!("/proc/self/ns/{kind}")).expect("a namespace").display().to_string();
    let script = "for n in net pid ipc; do readlink /proc/self/ns/$n; done";
    let more = security(json!({ "namespace_options": host }));
    let seen = output(&node, &of_host, "host", script, more);
    assert_eq!(seen, format!("{}\n{}\n{}", links("net"), links("pid"), links("ipc")));

    let own = pod(&node, "own", security_pod(&json!({ "pid": 0 })));
    let together = json!({ "namespace_options": { "pid": 0 } });
    let apart = json!({ "namespace_options": { "pid": 1 } });
    let first = output(&node, &own, "a", script, security(together.clone()));
    assert_eq!(first, output(&node, &own, "b", script, security(together)));
    let alone = output(&node, &own, "c", &format!("{script}; echo pid $$"), security(apart));
    assert!(alone.ends_with("pid 1") && alone.lines().next() == first.lines().next(), "{alone}");
    assert_ne!(alone.lines().nth(1), first.lines().nth(1));
    let lonely = pod(&node, "lonely", security_pod(&json!({ "pid": 1 })));
    let sharing = node.container_file("sharing", "true", security(json!({ "namespace_options": { "pid": 0 } })));
    let refused = node.fails(&["create", &lonely.0, &sharing, &lonely.1]);
    assert!(refused.contains("caller: ") && refused.contains("namespaces.pid"), "{refused}");
    let greedy = node.container_file("greedy", "true", security(json!({ "namespace_options": { "network": 2 } })));
    let refused = node.fails(&["create", &own.0, &greedy, &own.1]);
    assert!(refused.contains("caller: ") && refused.contains("namespaces.network"), "{refused}");
    for (id, _) in [&of_host, &own, &lonely] {
        node.ok(&["rmp", "-f", id]);
    }
    assert_eq!(node.left_behind(&[&of_host.0, &own.0, &lonely.0]), Vec::<String>::new());
}

fn security_pod(namespaces: &Value) -> Value {
    json!({ "linux": { "security_context": { "namespace_options": namespaces } } })
}

#[test]
fn logs_are_rotated_and_split_and_terminals_have_one() {
    let node = Node::start();
    node.pull();
    let pod = pod(&node, "p", json!({}));
    let count = "i=0; while true; do i=$((i+1)); echo $i; usleep 2000; done";
    let id = node.start_container(&pod.0, &pod.1, "count", count);
    let path = node.status(&id)["logPath"].as_str().expect("a path").to_owned();
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    until("some lines", || read(&path).lines().count() > 20);
    let old = format!("{path}.1");
    std::fs::rename(&path, &old).expect("renamed");
    node.ok(&["logs", "--reopen", &id]);
    until("lines in the new log", || read(&path).contains('\n'));
    node.ok(&["stop", "--timeout", "0", &id]);
    let all = format!("{}{}", read(&old), read(&path));
    let numbers: Vec<u64> = all.lines().filter_map(|line| line.rsplit(' ').next()?.parse().ok()).collect();
    assert!(numbers.len() > 20 && numbers.iter().zip(1..).all(|(number, at)| *number == at), "{all}");

    let long = output(&node, &pod, "long", "head -c 40000 /dev/zero | tr '\\0' x; echo; echo -n end", json!({}));
    assert_eq!((long.len(), &long[40000..]), (40004, "\nend"));
    let tty = output(&node, &pod, "tty", "tty; echo $TERM", json!({ "tty": true }));
    assert!(tty.starts_with("/dev/pts/") || tty.starts_with("/dev/console"), "{tty}");
}

#[test]
fn execs_end_in_time_and_are_many() {
    let node = Node::start();
    node.pull();
    let pod = pod(&node, "p", json!({}));
    let id = node.start_container(&pod.0, &pod.1, "c", "sleep 1000");
    let begun = std::time::Instant::now();
    let late = node.crictl(&["exec", "-s", "--timeout", "1", &id, "sleep", "100"]);
    assert!(late.code != 0 && late.stderr.contains("DeadlineExceeded"), "{late:?}");
    assert!(begun.elapsed() < std::time::Duration::from_secs(30), "{:?}", begun.elapsed());
    let left = node.ok(&["exec", "-s", &id, "sh", "-c", "ps | grep -c 'sleep [1]00$' || true"]);
    assert_eq!(left, "0", "the timed-out command still runs");
    std::thread::scope(|scope| {
        for number in 0..8 {
            let (node, id) = (&node, &id);
            scope.spawn(move || {
                let said = node.ok(&["exec", "-s", id, "sh", "-c", &format!("sleep 0.1; echo {number}")]);
                assert_eq!(said, number.to_string());
            });
        }
    });
    let much = node.ok(&["exec", "-s", &id, "sh", "-c", "head -c 3000000 /dev/zero | tr '\\0' y"]);
    assert_eq!(much.len(), 3_000_000);
}
