//! Plugins as the contract has them: programs. Each is a shell script that writes down how it was called.

use plimsoll_fault::{Kind, Layer, Result};
use plimsoll_net::{Entry, Ledger, Network, Options, Pod, PortMapping, Stage};
use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

#[derive(Default)]
struct Memory(Mutex<BTreeMap<String, Entry>>);

impl Ledger for Memory {
    fn record(&self, entry: &Entry) -> Result<()> {
        self.0.lock().expect("not poisoned").insert(entry.sandbox.clone(), entry.clone());
        Ok(())
    }
    fn forget(&self, sandbox: &str) -> Result<()> {
        self.0.lock().expect("not poisoned").remove(sandbox);
        Ok(())
    }
    fn find(&self, sandbox: &str) -> Result<Option<Entry>> {
        Ok(self.0.lock().expect("not poisoned").get(sandbox).cloned())
    }
    fn entries(&self) -> Result<Vec<Entry>> {
        Ok(self.0.lock().expect("not poisoned").values().cloned().collect())
    }
}

struct Node {
    dir: tempfile::TempDir,
    network: Network,
    ledger: Arc<Memory>,
}

impl Node {
    /// A node whose network runs the plugins `a` and `b`, each the given script.
    fn new(a: &str, b: &str) -> Self {
        let dir = tempfile::tempdir().expect("temp dir");
        let path = |name: &str| dir.path().join(name);
        std::fs::create_dir(path("conf")).expect("mkdir");
        std::fs::create_dir(path("bin")).expect("mkdir");
        let list = r#"{"cniVersion":"1.0.0","name":"pods","plugins":[{"type":"a","x":1},{"type":"b","capabilities":{"portMappings":true}}]}"#;
        std::fs::write(path("conf/10.conflist"), list).expect("write");
        script(&path("bin/a"), a);
        script(&path("bin/b"), b);
        let ledger = Arc::new(Memory::default());
        let options = Options {
            conf_dir: path("conf"),
            bin_dirs: vec![path("bin")],
            cache_dir: path("cache"),
            deadline: Duration::from_secs(5),
        };
        let network = Network::open(options, ledger.clone());
        Self { dir, network, ledger }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).expect("readable")
    }
}

fn script(path: &Path, body: &str) {
    // Written under another name first: a script that is still open for writing gives ETXTBSY in parallel tests.
    std::fs::write(path, format!("#!/bin/sh\nlog=${{CNI_PATH}}/..\n{body}\n")).expect("write");
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).expect("chmod");
}

fn pod() -> Pod {
    Pod {
        sandbox: "abc123".into(),
        netns: "/run/netns/none".into(),
        name: "web".into(),
        namespace: "default".into(),
        uid: "u1".into(),
        port_mappings: vec![PortMapping {
            host_port: 80,
            container_port: 8080,
            protocol: "tcp".into(),
            ..Default::default()
        }],
        ..Pod::default()
    }
}

const GOOD: &str = r#"cat > "$log/in.$CNI_COMMAND.${0##*/}"; env | grep CNI_ | sort > "$log/env.${0##*/}"
echo "$CNI_COMMAND ${0##*/}" >> "$log/calls"
echo '{"cniVersion":"1.0.0","ips":[{"address":"10.9.0.2/24"}]}'"#;

#[tokio::test]
async fn add_chains_results_and_del_goes_back() {
    let node = Node::new(GOOD, GOOD);
    let attachment = node.network.setup(&pod()).await.expect("set up");
    assert_eq!(attachment.ips[0].to_string(), "10.9.0.2");
    let second = node.read("in.ADD.b");
    assert!(second.contains(r#""prevResult""#) && second.contains(r#""hostPort":80"#), "{second}");
    let first = node.read("in.ADD.a");
    assert!(!first.contains("prevResult") && !first.contains("hostPort") && first.contains(r#""x":1"#), "{first}");
    let env = node.read("env.a");
    assert!(env.contains("CNI_CONTAINERID=abc123") && env.contains("K8S_POD_NAME=web"), "{env}");
    assert!(node.path("cache/results/pods-abc123-eth0").exists());
    node.network.check("abc123").await.expect("checks");
    std::fs::remove_file(node.path("conf/10.conflist")).expect("the configuration may go meanwhile");
    node.network.teardown("abc123").await.expect("torn down");
    node.network.teardown("abc123").await.expect("a second time is no error");
    assert_eq!(node.read("calls"), "ADD a\nADD b\nCHECK a\nCHECK b\nDEL b\nDEL a\n");
    assert!(node.network.attached().expect("lists").is_empty());
    assert!(!node.path("cache/results/pods-abc123-eth0").exists());
}

#[tokio::test]
async fn a_refusal_names_plugin_network_and_its_own_message() {
    let refuse = r#"[ $CNI_COMMAND = DEL ] && exit 0; echo '{"cniVersion":"1.0.0","code":7,"msg":"no bridge","details":"b0"}'; exit 1"#;
    let node = Node::new(GOOD, refuse);
    let fault = node.network.setup(&pod()).await.expect_err("refused");
    assert_eq!(fault.layer(), &Layer::Network);
    let text = fault.to_string();
    assert!(text.contains("\"b\"") && text.contains("\"pods\"") && text.contains("no bridge: b0"), "{text}");
    assert_eq!(node.ledger.find("abc123").expect("found").expect("kept").stage, Stage::Adding);
    node.network.teardown("abc123").await.expect("undone");
    assert!(node.network.attached().expect("lists").is_empty());
}

#[tokio::test]
async fn garbage_and_silence_are_failures() {
    let fault = Node::new("echo hello", GOOD).network.setup(&pod()).await.expect_err("garbage");
    assert!(fault.to_string().contains("not JSON"), "{fault}");
    let fault = Node::new("echo broken >&2; exit 3", GOOD).network.setup(&pod()).await.expect_err("silence");
    assert!(fault.to_string().contains("broken"), "{fault}");
    let nothing = r#"echo '{"cniVersion":"1.0.0"}'"#;
    let fault = Node::new(nothing, nothing).network.setup(&pod()).await.expect_err("no address");
    assert!(fault.to_string().contains("no address"), "{fault}");
}

#[tokio::test]
async fn a_plugin_that_hangs_is_killed_and_named() {
    let node = Node::new("exec sleep 60", GOOD);
    let options = Options {
        conf_dir: node.path("conf"),
        bin_dirs: vec![node.path("bin")],
        cache_dir: node.path("cache"),
        deadline: Duration::from_millis(300),
    };
    let fault = Network::open(options, node.ledger.clone()).setup(&pod()).await.expect_err("too slow");
    assert_eq!(fault.class(), Kind::DeadlineExceeded);
    assert!(fault.to_string().contains("\"a\""), "{fault}");
}

#[tokio::test]
async fn a_missing_plugin_and_a_forged_name_are_refused() {
    let node = Node::new(GOOD, GOOD);
    std::fs::remove_file(node.path("bin/b")).expect("unlink");
    let fault = node.network.setup(&pod()).await.expect_err("missing");
    assert!(fault.to_string().contains("\"b\" is not in"), "{fault}");
    assert!(node.network.attached().expect("lists").is_empty(), "nothing was called, so nothing is owed");
    let forged = Pod { name: "x;IgnoreUnknown=0".into(), ..pod() };
    let fault = node.network.setup(&forged).await.expect_err("forged");
    assert_eq!(fault.class(), Kind::InvalidArgument);
}
