//! The Sandbox service: namespaces made, set up, pinned and taken away again.

use crate::harness::{Pod, start, until};
use plimsoll_core::shim::SandboxRequest;
use plimsoll_fault::Kind;
use plimsoll_testkit::run;
use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

fn inode(path: &str) -> u64 {
    std::fs::metadata(path).unwrap_or_else(|e| panic!("{path}: {e}")).ino()
}

async fn make(pod: &Pod, kinds: &[&str], sysctls: &BTreeMap<String, String>) -> plimsoll_fault::Result<u32> {
    let ns = pod.scratch.dir("ns");
    let bundle = pod.scratch.dir("pod");
    let request = SandboxRequest {
        id: "pod",
        bundle: &bundle,
        ns_dir: &ns,
        netns: None,
        hostname: "web-0",
        sysctls,
        namespaces: kinds,
    };
    pod.shim.create_sandbox(request).await?;
    pod.shim.start_sandbox("pod").await.map(|(pid, _)| pid)
}

#[tokio::test]
async fn namespaces_are_pinned_set_up_and_unpinned() {
    let pod = Pod::new().await;
    let sysctls = BTreeMap::from([("kernel.shm_rmid_forced".to_owned(), "1".to_owned())]);
    make(&pod, &["ipc", "uts"], &sysctls).await.expect("sandbox");
    let ns = pod.scratch.dir("ns");
    for kind in ["ipc", "uts"] {
        assert_ne!(inode(&ns.join(kind).to_string_lossy()), inode(&format!("/proc/self/ns/{kind}")), "{kind}");
    }
    let enter = |program: &[&str]| {
        let mut command = Command::new("nsenter");
        command.arg(format!("--uts={}/uts", ns.display())).arg(format!("--ipc={}/ipc", ns.display())).args(program);
        run(&mut command).ok()
    };
    assert_eq!(enter(&["hostname"]).trim(), "web-0");
    assert_eq!(enter(&["cat", "/proc/sys/kernel/shm_rmid_forced"]).trim(), "1");
    assert!(pod.shim.sandbox_status("pod", false).await.expect("status").ready);
    pod.shim.ping_sandbox("pod").await.expect("ping");
    pod.shim.stop_sandbox("pod", Duration::ZERO).await.expect("stop");
    assert!(!pod.shim.sandbox_status("pod", false).await.expect("status").ready);
    assert!(!ns.join("ipc").exists() && !ns.join("uts").exists());
    pod.shim.stop_sandbox("pod", Duration::ZERO).await.expect("stopping again is no error");
    pod.shim.shutdown_sandbox("pod").await.expect("shutdown");
    pod.shim.closed().await;
    assert_eq!(pod.scratch.lasting(), Vec::<String>::new());
}

#[tokio::test]
async fn a_shared_pid_namespace_has_an_init_that_goes_with_the_sandbox() {
    let pod = Pod::new().await;
    let pid = make(&pod, &["ipc", "uts", "pid"], &BTreeMap::new()).await.expect("sandbox");
    let pinned = pod.scratch.dir("ns").join("pid");
    assert_eq!(inode(&pinned.to_string_lossy()), inode(&format!("/proc/{pid}/ns/pid")));
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("status");
    let nested = status.lines().find(|line| line.starts_with("NSpid:")).expect("NSpid");
    assert!(nested.ends_with("\t1"), "{nested}");
    // The reply does not wait for the init to let go of what it was forked with.
    let descriptors = || std::fs::read_dir(format!("/proc/{pid}/fd")).expect("fds").count();
    until("that only three descriptors are open", || descriptors() == 3).await;
    pod.shim.shutdown_sandbox("pod").await.expect("shutdown");
    pod.shim.closed().await;
    assert!(!pinned.exists());
    assert!(!Path::new(&format!("/proc/{pid}")).exists());
    assert_eq!(pod.scratch.lasting(), Vec::<String>::new());
}

#[tokio::test]
async fn what_would_change_the_host_is_refused_and_nothing_is_made() {
    let pod = Pod::new().await;
    let sysctls = BTreeMap::from([("kernel.core_pattern".to_owned(), "|/x".to_owned())]);
    let fault = make(&pod, &["ipc", "uts"], &sysctls).await.expect_err("refused");
    assert_eq!(fault.class(), Kind::InvalidArgument, "{fault}");
    assert!(fault.what().contains("kernel.core_pattern"), "{fault}");
    let fault = make(&pod, &["user", "uts"], &BTreeMap::new()).await.expect_err("refused");
    assert!(fault.what().contains("user"), "{fault}");
    assert!(!pod.scratch.dir("ns").join("uts").exists());
    pod.end().await;
}

#[tokio::test]
async fn a_pod_has_one_shim_and_its_containers_find_it() {
    let pod = Pod::new().await;
    let bundle = pod.scratch.dir("second");
    let config = r#"{"ociVersion":"1.0.2","annotations":{"io.kubernetes.cri.sandbox-id":"pod"}}"#;
    std::fs::write(bundle.join("config.json"), config).expect("config");
    let first = pod.shim.address().to_owned();
    assert_eq!(start(&pod.scratch, "second", &bundle), first);
    assert_eq!(start(&pod.scratch, "pod", &pod.scratch.dir("pod")), first);
    assert_ne!(start(&pod.scratch, "alone", &pod.scratch.dir("alone")), first);
}
