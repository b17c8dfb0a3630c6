//! Workers that are lost, reports that come late, descriptors that run out: what the shim does when its own parts fail.

use crate::harness::{Pod, cri_log, runs};
use plimsoll_core::shim::{CreateTask, ExecTask, Shim, Stdio};
use plimsoll_fault::{Fault, Kind};
use plimsoll_spec::mount::MountDescription;
use plimsoll_testkit::bundle::{self, Bundle};
use plimsoll_testkit::leak;
use plimsoll_testkit::wait::LIMIT;
use rustix::process::{Pid, Resource, Rlimit, Signal};
use serde_json::json;
use std::collections::BTreeSet;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

/// A field of `/proc/<pid>/stat`, counted as in proc_pid_stat(5).
fn stat(pid: i32, field: usize) -> Option<u64> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, rest) = text.rsplit_once(") ")?;
    rest.split(' ').nth(field - 3)?.parse().ok()
}

async fn shim_pid(pod: &Pod) -> i32 {
    pod.shim.pid("").await.expect("connect").cast_signed()
}

/// The shim's children; in a pod that runs nothing they are workers.
fn children(shim: i32) -> Vec<i32> {
    leak::children(shim.into())
}

fn kill(pid: i32) -> bool {
    Pid::from_raw(pid).is_some_and(|pid| rustix::process::kill_process(pid, Signal::KILL).is_ok())
}

/// Waits for what `look` finds.
async fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + LIMIT;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < end, "{what}");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

/// Creates as soon as what an earlier attempt left has been removed.
async fn create_again(pod: &Pod, id: &str, bundle: &Bundle, rootfs: &[MountDescription]) {
    let end = Instant::now() + LIMIT;
    while let Err(fault) = create(pod, id, bundle, rootfs).await {
        assert!(fault.class() == Kind::Unavailable && Instant::now() < end, "{id}: {}", fault.to_json());
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

async fn create(pod: &Pod, id: &str, bundle: &Bundle, rootfs: &[MountDescription]) -> Result<u32, Fault> {
    let stdio = Stdio::default();
    pod.shim.create_task(CreateTask { id, bundle: &bundle.path, rootfs, stdio: &stdio, options: &pod.options }).await
}

#[tokio::test]
async fn a_create_whose_worker_is_killed_in_a_hook_leaves_nothing() {
    let pod = Pod::new().await;
    let shim = shim_pid(&pod).await;
    for kind in ["createRuntime", "createContainer"] {
        let mut bundle = pod.script("true");
        let hook = pod.scratch.script(kind, "while :; do sleep 0.1; done");
        bundle.set("/hooks", json!({ kind: [{ "path": hook }] }));
        // A creator that is killed cannot tell whether it was the one that made a parent cgroup: here there is none.
        bundle.set("/linux/cgroupsPath", json!(format!("/{}-{kind}", pod.scratch.cgroup_prefix())));
        let killed = async {
            until("the hook runs", || runs(&hook).then_some(())).await;
            assert_eq!(children(shim).into_iter().filter(|pid| kill(*pid)).count(), 1, "the worker");
        };
        let (created, ()) = tokio::join!(create(&pod, kind, &bundle, &[]), killed);
        let fault = created.expect_err("its worker was killed");
        assert!(fault.to_string().contains("in stage create the container"), "{fault}");
        until("the hook ends", || (!runs(&hook)).then_some(())).await;
        bundle.set("/hooks", json!({}));
        create_again(&pod, kind, &bundle, &[]).await;
        pod.shim.delete(kind, "").await.expect("delete");
    }
    pod.end().await;
}

/// A folder as the lower one of an overlay that `pod` may write to.
fn overlay(pod: &Pod, lower: &[&Path]) -> [MountDescription; 1] {
    let (upper, work) = (pod.scratch.dir("upper"), pod.scratch.dir("work"));
    let lower: Vec<String> = lower.iter().map(|path| path.display().to_string()).collect();
    let options = vec![
        format!("workdir={}", work.display()),
        format!("upperdir={}", upper.display()),
        format!("lowerdir={}", lower.join(":")),
    ];
    [MountDescription { kind: "overlay".into(), source: "overlay".into(), target: String::new(), options }]
}

#[tokio::test]
async fn a_create_whose_worker_is_killed_at_any_moment_leaves_nothing() {
    const MOMENTS: u32 = 40;
    let pod = Pod::new().await;
    let shim = shim_pid(&pod).await;
    let mut bundle = pod.script("true");
    let lower = bundle.path.join("lower");
    std::fs::rename(bundle.path.join("rootfs"), &lower).expect("rename");
    let rootfs = overlay(&pod, &[&lower]);
    bundle.set("/linux/cgroupsPath", json!(format!("/{}-any", pod.scratch.cgroup_prefix())));
    // They make it last long enough to be met in the middle.
    let hook = pod.scratch.script("hook", "sleep 0.02");
    bundle.set("/hooks", json!({ "createRuntime": [{ "path": hook }], "createContainer": [{ "path": hook }] }));
    // The shortest of several: what held up one of them would have the kills come too late.
    let mut whole = Duration::MAX;
    for _ in 0..5 {
        let begun = Instant::now();
        create_again(&pod, "c", &bundle, &rootfs).await;
        whole = whole.min(begun.elapsed());
        pod.shim.delete("c", "").await.expect("delete");
    }
    let (mut lost, mut stages) = (0, BTreeSet::new());
    for moment in 0..MOMENTS {
        until("the shim has no worker", || children(shim).is_empty().then_some(())).await;
        let killed = async {
            let worker = until("the worker", || children(shim).first().copied()).await;
            std::thread::sleep(whole * moment / MOMENTS);
            kill(worker);
        };
        let (created, ()) = tokio::join!(create(&pod, "c", &bundle, &rootfs), killed);
        match created {
            Ok(_) => drop(pod.shim.delete("c", "").await.expect("delete")),
            Err(fault) => {
                let text = fault.to_string();
                let stage = text.split_once("in stage ").unwrap_or_else(|| panic!("{text}")).1;
                stages.insert(stage.split(" (").next().unwrap_or_default().to_owned());
                lost += 1;
            }
        }
        create_again(&pod, "c", &bundle, &rootfs).await;
        pod.shim.delete("c", "").await.expect("delete");
        until("nothing is left", || pod.scratch.leftovers().iter().all(|left| left.contains("shim")).then_some(()))
            .await;
    }
    assert!(lost > MOMENTS / 4, "{lost} of {MOMENTS} were killed, in {stages:?}");
    pod.end().await;
}

#[tokio::test]
async fn an_overlay_of_many_layers_is_mounted_as_kernels_before_6_8_can() {
    const LAYERS: usize = 130;
    let pod = Pod::new().await;
    let mut bundle = pod.script("ls /layers | wc -l > /count; cat /which >> /count");
    bundle.set("/root/readonly", json!(false));
    let base = pod.scratch.dir("layers-in-a-folder-with-a-long-name/0");
    bundle::busybox_rootfs(&base.join("fs"));
    let mut lower = vec![base.join("fs")];
    for number in 1..LAYERS {
        let folder = pod.scratch.dir(&format!("layers-in-a-folder-with-a-long-name/{number}/fs"));
        std::fs::create_dir(folder.join("layers")).expect("mkdir");
        std::fs::write(folder.join("layers").join(number.to_string()), "").expect("write");
        std::fs::write(folder.join("which"), format!("{number}\n")).expect("write");
        lower.insert(0, folder);
    }
    let lower: Vec<&Path> = lower.iter().map(AsRef::as_ref).collect();
    create(&pod, "c", &bundle, &overlay(&pod, &lower)).await.unwrap_or_else(|fault| panic!("{}", fault.to_json()));
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").expect("readable");
    let target = format!(" {} ", bundle.path.join("rootfs").display());
    let mount = mounts.lines().find(|line| line.contains(&target)).expect("it is mounted");
    // The kernel tells how it was asked: `lowerdir+` came with 6.8.
    assert!(mount.contains(",lowerdir=129/fs:128/fs:") && !mount.contains("lowerdir+"), "{mount}");
    pod.shim.start("c", "").await.expect("start");
    assert_eq!(pod.wait("c", "").await.code, 0);
    pod.shim.delete("c", "").await.expect("delete");
    let count = std::fs::read_to_string(pod.scratch.join("upper/count")).expect("written");
    assert_eq!(count, format!("{}\n{}\n", LAYERS - 1, LAYERS - 1));
    pod.end().await;
}

/// Clock ticks (a hundredth of a second) that a process has used.
fn cpu(pid: i32) -> u64 {
    stat(pid, 14).zip(stat(pid, 15)).map(|(user, system)| user + system).expect("it runs")
}

#[tokio::test]
async fn without_descriptors_clients_wait_and_the_loop_does_not_turn() {
    let pod = Pod::new().await;
    let shim = shim_pid(&pod).await;
    let used = std::fs::read_dir(format!("/proc/{shim}/fd")).expect("fds").count() as u64;
    let limit = |soft| {
        let maximum = rustix::process::getrlimit(Resource::Nofile).maximum;
        let limits = Rlimit { current: Some(soft), maximum };
        rustix::process::prlimit(Pid::from_raw(shim), Resource::Nofile, limits).expect("prlimit");
    };
    limit(used);
    let socket = pod.shim.address().strip_prefix("unix://").expect("an address").to_owned();
    let waiting: Vec<UnixStream> = (0..20).map(|_| UnixStream::connect(&socket).expect("connect")).collect();
    tokio::time::sleep(Duration::from_millis(300)).await;
    let before = cpu(shim);
    tokio::time::sleep(Duration::from_secs(1)).await;
    let spent = cpu(shim) - before;
    assert!(spent < 15, "{spent} hundredths of a second of CPU in one second of waiting");
    pod.shim.list().await.expect("who is connected is served");
    drop(waiting);
    limit(1024);
    let again =
        tokio::time::timeout(LIMIT, async { Shim::connect(pod.shim.address()).await.expect("connect").list().await });
    again.await.expect("clients are accepted again").expect("list");
    pod.end().await;
}

/// Runs one exec after another, each of which ends at once, until `end`; how many.
async fn quick_execs(shim: Shim, name: usize, end: Instant) -> usize {
    let process = json!({
        "user": { "uid": 0, "gid": 0 }, "args": ["sh", "-c", "exit 3"], "env": ["PATH=/bin"], "cwd": "/",
    });
    let (process, stdio) = (process.to_string(), Stdio::default());
    let mut count = 0;
    while Instant::now() < end {
        let exec_id = format!("quick{name}-{count}");
        let request = ExecTask { id: "c", exec_id: &exec_id, process: process.as_bytes(), stdio: &stdio };
        shim.exec(request).await.unwrap_or_else(|fault| panic!("exec {exec_id}: {fault}"));
        shim.start("c", &exec_id).await.unwrap_or_else(|fault| panic!("start {exec_id}: {fault}"));
        let ended = tokio::time::timeout(LIMIT, shim.wait("c", &exec_id)).await;
        assert_eq!(ended.unwrap_or_else(|_| panic!("the end of {exec_id} was lost")).expect("wait").code, 3);
        shim.delete("c", &exec_id).await.expect("delete");
        count += 1;
    }
    count
}

/// While the shim takes over the last output of one process, others report and end: their ends are seen before their
/// reports are read.
#[tokio::test]
async fn no_end_is_lost_that_is_seen_before_the_report_of_its_start() {
    let pod = Pod::new().await;
    pod.launch("c", "sleep 1000", &Stdio::default()).await;
    let lines = "head -c 600000 /dev/zero | tr '\\0' '\\n' > /dev/shm/lines";
    assert_eq!(pod.exec("c", "prepare", lines, &Stdio::default()).await.code, 0);
    let end = Instant::now() + Duration::from_secs(5);
    let quick: Vec<_> = (0..6).map(|name| tokio::spawn(quick_execs(pod.shim.clone(), name, end))).collect();
    let log = cri_log(&pod.scratch.join("busy.log"));
    while Instant::now() < end {
        // What is left in its pipe, and what comes after (many very short lines), holds the shim up for a moment.
        assert_eq!(pod.exec("c", "busy", "cat /dev/shm/lines & sleep 0.01", &log).await.code, 0);
    }
    for task in quick {
        assert!(task.await.expect("no exec is lost") > 0);
    }
    pod.shim.kill("c", "", 9, true).await.expect("kill");
    pod.wait("c", "").await;
    pod.shim.delete("c", "").await.expect("delete");
    pod.end().await;
}

/// Its `delete` finds the container that was being made, wherever its state is, and no worker goes on making it.
#[tokio::test]
async fn a_shim_that_dies_in_the_middle_of_a_create_is_cleaned_up_by_delete() {
    let pod = Pod::new().await;
    let shim = shim_pid(&pod).await;
    let mut bundle = pod.script("sleep 1000");
    let go = pod.scratch.join("go");
    let hook = pod.scratch.script("hook", &format!("until test -e {}; do sleep 0.02; done", go.display()));
    bundle.set("/hooks", json!({ "createRuntime": [{ "path": hook }] }));
    let killed = async {
        until("the hook runs", || runs(&hook).then_some(())).await;
        let workers = children(shim);
        assert!(kill(shim) && workers.len() == 1, "{workers:?}");
        workers
    };
    let (created, workers) = tokio::join!(create(&pod, "c", &bundle, &[]), killed);
    assert_eq!(created.expect_err("its shim was killed").class(), Kind::Unavailable);
    let gone = |pid: &i32| stat(*pid, 22).is_none() || state(*pid) == Some('Z');
    until("the worker ends with its shim", || workers.iter().all(gone).then_some(())).await;
    assert!(runs(&hook), "the worker has gone on to its own end");
    let launcher = plimsoll_core::shim::Launcher {
        binary: plimsoll_testkit::bin("containerd-shim-plimsoll-v1"),
        socket_dir: Some(pod.scratch.dir("s")),
        daemon_socket: "/nowhere".into(),
        events: None,
        parameters: false,
        debug: false,
        deadline: Duration::from_secs(10),
    };
    let launch = plimsoll_core::shim::Launch { namespace: crate::harness::NAMESPACE, id: "c", bundle: &bundle.path };
    launcher.cleanup(launch, None).await.expect("delete");
    assert!(!pod.scratch.join("runtime/c").exists());
    std::fs::write(go, "").expect("the hook may end");
    until("the hook ends", || (!runs(&hook)).then_some(())).await;
    assert_eq!(pod.scratch.lasting(), Vec::<String>::new());
}

/// The letter of `/proc/<pid>/stat`.
fn state(pid: i32) -> Option<char> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    text.rsplit_once(") ")?.1.chars().next()
}

/// Workers end with their shim, so one that removes something, with nobody waiting for it, is waited for.
#[tokio::test]
async fn a_shim_ends_after_what_a_lost_create_left_has_been_removed() {
    let pod = Pod::new().await;
    let shim = shim_pid(&pod).await;
    let mut bundle = pod.script("true");
    let hook = pod.scratch.script("hook", "while :; do sleep 0.1; done");
    bundle.set("/hooks", json!({ "createRuntime": [{ "path": hook }] }));
    bundle.set("/linux/cgroupsPath", json!(format!("/{}-lost", pod.scratch.cgroup_prefix())));
    let killed = async {
        until("the hook runs", || runs(&hook).then_some(())).await;
        assert_eq!(children(shim).into_iter().filter(|pid| kill(*pid)).count(), 1, "the worker");
    };
    let (created, ()) = tokio::join!(create(&pod, "c", &bundle, &[]), killed);
    created.expect_err("its worker was killed");
    pod.shim.shutdown("pod", true).await.expect("shutdown");
    // The connection ends before.
    until("the shim ends", || state(shim).is_none().then_some(())).await;
    assert!(!pod.scratch.join("runtime/c").exists());
    assert_eq!(pod.scratch.lasting(), Vec::<String>::new());
}
