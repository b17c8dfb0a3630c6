//! The pod: pulled, run, looked at through crictl and plim, removed.

use super::lines::Lines;
use super::node::DemoNode;
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

/// The pod with the server in it.
#[derive(Debug)]
pub(super) struct Web {
    pub(super) pod: String,
    pub(super) container: String,
    ip: String,
}

pub(super) fn pull(node: &DemoNode, lines: &mut Lines) {
    if node.has_crictl {
        node.crictl(&["pull", &node.web]);
    } else {
        node.plim(&["pull", &node.web]);
    }
    lines.say("image", "demo/web:1 pulled: 3 gzip layers verified, unpacked as overlay lowers");
    node.plim(&["pull", &node.busybox]);
    lines.say("image", "demo/busybox:1 pulled with plim");
    lines.quote("plim images", &node.plim(&["images"]));
}

/// Runs the pod with nginx in it and fetches its page.
pub(super) fn serve(node: &DemoNode, lines: &mut Lines) -> Web {
    let (pod, container) = if node.has_crictl { by_crictl(node, lines) } else { by_plim(node, lines) };
    let inspected = inspect(node, &pod);
    let ip = inspected["status"]["network"]["ip"].as_str().unwrap_or_default().to_owned();
    assert!(!ip.is_empty(), "the pod has no address: {inspected}");
    let web = Web { pod, container, ip };
    let page = web.fetch();
    lines.say("process", format!("nginx answers on http://{}/: {}", web.ip, page.lines().last().unwrap_or_default()));
    web
}

fn by_crictl(node: &DemoNode, lines: &mut Lines) -> (String, String) {
    let logs = node.scratch.dir("logs");
    let pod = json!({
        "metadata": { "name": "web", "namespace": "demo", "uid": "demo-web", "attempt": 0 },
        "hostname": "web", "log_directory": logs, "linux": {}
    });
    let pod_file = node.scratch.file("pod.json", pod.to_string()).display().to_string();
    let pod = node.crictl(&["runp", &pod_file]);
    lines.say("network, shim", "RunPodSandbox: netns, CNI bridge, one shim for the pod, no pause image");
    let id = container(node, &pod, "nginx", &json!({ "image": { "image": node.web } }));
    lines.say(
        "oci-runtime",
        "CreateContainer + StartContainer: spec with provenance, container made by the shim itself",
    );
    (pod, id)
}

/// Creates and starts a container in the demo's pod through crictl; its id.
pub(super) fn container(node: &DemoNode, pod: &str, name: &str, more: &Value) -> String {
    let mut config =
        json!({ "metadata": { "name": name, "attempt": 0 }, "log_path": format!("{name}.log"), "linux": {} });
    for (key, value) in more.as_object().into_iter().flatten() {
        config[key] = value.clone();
    }
    let file = node.scratch.file(&format!("{name}.json"), config.to_string()).display().to_string();
    let pod_file = node.scratch.join("pod.json").display().to_string();
    let id = node.crictl(&["create", pod, &file, &pod_file]);
    node.crictl(&["start", &id]);
    id
}

fn by_plim(node: &DemoNode, lines: &mut Lines) -> (String, String) {
    let id = node.plim(&["run", "-d", "--name", "web", &node.web]);
    lines.say("pod", "plim run: netns, CNI bridge, shim, container");
    (node.plim(&["pods", "-q"]), id)
}

fn inspect(node: &DemoNode, pod: &str) -> Value {
    let text = if node.has_crictl { node.crictl(&["inspectp", pod]) } else { node.plim(&["inspect", pod]) };
    serde_json::from_str(&text).unwrap_or_else(|e| panic!("inspect: {e}\n{text}"))
}

impl Web {
    /// The page, asked for until the server listens (5 s).
    pub(super) fn fetch(&self) -> String {
        let until = Instant::now() + Duration::from_secs(5);
        loop {
            match self.try_fetch() {
                Ok(answer) if answer.starts_with("HTTP/1.1 200") => return answer,
                other => assert!(Instant::now() < until, "no page from {}: {other:?}", self.ip),
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    fn try_fetch(&self) -> std::io::Result<String> {
        let mut stream = TcpStream::connect((self.ip.as_str(), 80))?;
        stream.set_read_timeout(Some(Duration::from_secs(2)))?;
        stream.write_all(b"GET / HTTP/1.1\r\nHost: demo\r\nConnection: close\r\n\r\n")?;
        let mut answer = String::new();
        stream.take(64 * 1024).read_to_string(&mut answer)?;
        Ok(answer)
    }
}

/// Logs, exec, and where a field of config.json came from.
pub(super) fn look(node: &DemoNode, web: &Web, lines: &mut Lines) {
    let id = web.container.as_str();
    if node.has_crictl {
        lines.quote("crictl logs --tail 1 nginx", &node.crictl(&["logs", "--tail", "1", id]));
        lines.quote("crictl exec -s nginx id -un", &node.crictl(&["exec", "-s", id, "id", "-un"]));
    }
    lines.quote("plim logs -n 1 nginx", &node.plim(&["logs", "-n", "1", id]));
    lines.quote("plim exec nginx cat /etc/hostname", &node.plim(&["exec", id, "cat", "/etc/hostname"]));
    let origins = node.plim(&["inspect", "--origin", id]);
    let wanted = ["SERVED_BY", "/process/cwd", "/hostname", "/linux/seccomp/defaultAction", "/process/noNewPrivileges"];
    let some: Vec<&str> = origins.lines().filter(|line| wanted.iter().any(|w| line.contains(w))).take(5).collect();
    lines.quote("plim inspect --origin nginx | grep …", &some.join("\n"));
    lines.say("logs, exec", "the same container through crictl and plim");
    let missing = node.registry.reference("demo/absent:1");
    let failed = crate::run(&mut node.daemon.plim(&["pull", &missing]));
    assert!(failed.code != 0 && failed.stderr.contains("registry"), "pulling what is absent: {failed:?}");
    lines.quote("plim pull …/demo/absent:1", failed.stderr.trim_end());
    lines.say("fault", "a failure names the layer that owns it");
}

/// Removes everything through the API and checks that the daemon has nothing left.
pub(super) fn remove(node: &DemoNode, web: &Web, lines: &mut Lines) {
    if node.has_crictl {
        node.crictl(&["stop", &web.container]);
        node.crictl(&["rm", &web.container]);
        node.crictl(&["stopp", &web.pod]);
        node.crictl(&["rmp", &web.pod]);
        node.crictl(&["rmi", &node.web]);
        node.crictl(&["rmi", &node.busybox]);
    } else {
        node.plim(&["rm", "-f", &web.container]);
        node.plim(&["rmi", &node.web, &node.busybox]);
    }
    // The garbage collector runs by itself, after the answer.
    let until = Instant::now() + Duration::from_secs(10);
    let left = loop {
        let left = left_behind(node);
        if left.is_empty() || Instant::now() > until {
            break left;
        }
        std::thread::sleep(Duration::from_millis(50));
    };
    assert!(
        left.is_empty(),
        "left behind while the daemon runs ({}):\n{}",
        left.len(),
        left[..left.len().min(12)].join("\n")
    );
    lines.say("removed", "stop rm stopp rmp rmi: no task, pod folder, snapshot or blob is left");
}

fn left_behind(node: &DemoNode) -> Vec<String> {
    let mut left = node.scratch.leftovers();
    let own_cgroup = format!("/{}", node.scratch.cgroup_prefix());
    left.retain(|line| {
        !line.contains("plimsolld") && !line.contains("docker-registry") && !line.ends_with(&own_cgroup)
    });
    for folder in ["state/tasks", "state/sandboxes", "root/content/blobs", "root/content/ingest", "root/snapshots"] {
        files_below(&node.scratch.join(folder), &mut left);
    }
    left
}

fn files_below(dir: &std::path::Path, found: &mut Vec<String>) {
    for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|t| t.is_dir()) {
            files_below(&entry.path(), found);
        } else {
            found.push(format!("file {}", entry.path().display()));
        }
    }
}
