//! The life of containers and execs: codes, signals, waits, faults, deadlines, and a client that goes away.

use crate::harness::{Pod, cri_log, to_file, under_each_runtime, until};
use plimsoll_core::shim::{CreateTask, ProcessStatus, Shim, Stdio};
use plimsoll_fault::{Kind, Layer};
use plimsoll_testkit::leak;
use plimsoll_testkit::wait::LIMIT;
use prost_reflect::{DescriptorPool, DynamicMessage};
use rustix::fs::{CWD, FileType, Mode};
use serde_json::json;
use std::time::{Duration, Instant};

under_each_runtime! {
    exit_codes_and_signals_come_back
    state_kill_and_wait_of_a_running_container
    execs_run_in_the_container_and_keep_their_codes
    what_cannot_be_run_is_a_fault_of_the_runtime_and_leaves_nothing
    hooks_that_hang_end_with_the_deadline_and_leave_nothing
    a_paused_container_stands_still_and_can_be_killed
    stats_are_containerds_metrics_of_the_containers_cgroups
    limits_are_updated_or_stay_as_they_were
    out_of_memory_is_recorded_before_wait_returns
    a_dead_shim_is_cleaned_up_by_delete
}

async fn exit_codes_and_signals_come_back(runtime: &'static str) {
    let pod = Pod::under(runtime).await;
    for (id, script, code) in
        [("zero", "exit 0", 0), ("one", "exit 1", 1), ("many", "exit 42", 42), ("killed", "kill -9 $$; sleep 9", 137)]
    {
        // PID 1 cannot kill itself with SIGKILL from inside its PID namespace; a child of it can be killed.
        let script = if id == "killed" { "sh -c 'kill -9 $$'; exit $?" } else { script };
        let exit = pod.run(id, script, &Stdio::default()).await;
        assert_eq!(exit.code, code, "{id}");
        assert!(exit.at.expect("a time").elapsed().expect("past") < Duration::from_secs(20));
    }
    pod.end().await;
}

async fn state_kill_and_wait_of_a_running_container(runtime: &'static str) {
    let pod = Pod::under(runtime).await;
    let bundle = pod.script("trap 'exit 7' TERM; echo > /dev/shm/ready; while :; do sleep 0.02; done");
    let pid = pod.create("c", &bundle, &Stdio::default()).await;
    let state = pod.shim.state("c", "").await.expect("state");
    assert_eq!((state.status, state.pid, state.bundle.as_path()), (ProcessStatus::Created, pid, bundle.path.as_path()));
    let waits = (pod.shim.clone(), pod.shim.clone());
    let first = tokio::spawn(async move { waits.0.wait("c", "").await });
    let second = tokio::spawn(async move { waits.1.wait("c", "").await });
    assert_eq!(pod.shim.start("c", "").await.expect("start"), pid);
    assert_eq!(pod.shim.state("c", "").await.expect("state").status, ProcessStatus::Running);
    let pids = pod.shim.pids("c").await.expect("pids");
    assert!(pids.contains(&pid), "{pids:?}");
    assert_eq!(pod.shim.delete("c", "").await.expect_err("it runs").class(), Kind::FailedPrecondition);
    pod.until_written("c", "/dev/shm/ready").await;
    pod.shim.kill("c", "", 15, false).await.expect("kill");
    let exits = (first.await.expect("task").expect("wait"), second.await.expect("task").expect("wait"));
    assert_eq!((exits.0.code, exits.0), (7, exits.1));
    assert_eq!(pod.shim.kill("c", "", 15, false).await.expect_err("gone").class(), Kind::NotFound);
    let record = pod.shim.exit("c", "").await.expect("exit").expect("ended");
    assert_eq!((record.code, record.reason.as_str(), record.oom_killed), (7, "Error", false));
    assert!(bundle.path.join("plimsoll-exit.json").is_file());
    assert_eq!(pod.shim.delete("c", "").await.expect("delete").code, 7);
    assert_eq!(pod.shim.state("c", "").await.expect_err("deleted").class(), Kind::NotFound);
    pod.end().await;
}

async fn execs_run_in_the_container_and_keep_their_codes(runtime: &'static str) {
    let pod = Pod::under(runtime).await;
    pod.launch("c", "hostname inside; echo here > /tmp/../dev/shm/mark; sleep 1000", &Stdio::default()).await;
    let out = pod.scratch.join("out");
    pod.until_written("c", "/dev/shm/mark").await;
    assert_eq!(pod.exec("c", "e1", "cat /dev/shm/mark; exit 3", &to_file(&out)).await.code, 3);
    assert_eq!(std::fs::read_to_string(&out).expect("output"), "here\n");
    pod.begin_exec("c", "e2", "sleep 1000", &Stdio::default()).await;
    pod.shim.kill("c", "e2", 9, false).await.expect("kill the exec");
    assert_eq!(pod.wait("c", "e2").await.code, 137);
    assert_eq!(pod.shim.state("c", "").await.expect("state").status, ProcessStatus::Running);
    pod.shim.kill("c", "", 9, true).await.expect("kill all");
    assert_eq!(pod.wait("c", "").await.code, 137);
    pod.shim.delete("c", "").await.expect("delete");
    pod.end().await;
}

async fn what_cannot_be_run_is_a_fault_of_the_runtime_and_leaves_nothing(runtime: &'static str) {
    let pod = Pod::under(runtime).await;
    let mut bundle = pod.script("true");
    bundle.args(&["/no/such/program"]);
    let created = pod.try_create("c", &bundle, &Stdio::default()).await;
    let fault = match created {
        Err(fault) => fault,
        Ok(_) => {
            let fault = pod.shim.start("c", "").await.expect_err("cannot start");
            pod.wait("c", "").await;
            pod.shim.delete("c", "").await.expect("delete");
            fault
        }
    };
    assert_eq!(fault.layer(), &Layer::OciRuntime, "{fault}");
    assert!(fault.to_string().contains("/no/such/program"), "{fault}");
    assert_eq!(fault.subject().container.as_deref(), Some("c"));
    bundle.set("/root/path", json!("missing"));
    let fault = pod.try_create("c", &bundle, &Stdio::default()).await.expect_err("no rootfs");
    assert!(fault.to_string().contains("missing"), "{fault}");
    bundle.set("/root/path", json!("rootfs")).args(&["true"]);
    pod.create("c", &bundle, &Stdio::default()).await;
    let twice = pod.try_create("c", &bundle, &Stdio::default()).await.expect_err("twice");
    assert_eq!(twice.class(), Kind::AlreadyExists);
    pod.shim.delete("c", "").await.expect("a created container can be deleted");
    pod.end().await;
}

#[tokio::test]
async fn a_create_that_hangs_ends_with_its_deadline_and_nothing_else_waits() {
    let pod = Pod::new().await;
    pod.launch("other", "sleep 1000", &Stdio::default()).await;
    let bundle = pod.script("true");
    // Opening it blocks for ever, as a dead network disk does.
    let config = bundle.path.join("config.json");
    std::fs::remove_file(&config).expect("remove");
    rustix::fs::mknodat(CWD, &config, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).expect("mkfifo");
    let shim = pod.shim.pid("other").await.expect("pid").into();
    let began = Instant::now();
    let slow = pod.shim.clone();
    let (path, options) = (bundle.path.clone(), pod.options.clone());
    let creation = tokio::spawn(async move {
        let stdio = Stdio::default();
        let request = CreateTask { id: "slow", bundle: &path, rootfs: &[], stdio: &stdio, options: &options };
        slow.with_deadline(Duration::from_secs(10)).create_task(request).await
    });
    until("the worker, beside the other container", || leak::children(shim).len() == 2).await;
    assert_eq!(pod.exec("other", "probe", "exit 5", &Stdio::default()).await.code, 5);
    assert!(!creation.is_finished(), "the exec waited for the create");
    let fault = creation.await.expect("task").expect_err("it hangs");
    assert_eq!(fault.class(), Kind::DeadlineExceeded, "{fault}");
    assert!(fault.to_string().contains("read the config"), "{fault}");
    assert!(began.elapsed() < LIMIT, "{:?}", began.elapsed());
    assert_eq!(pod.shim.state("slow", "").await.expect_err("gone").class(), Kind::NotFound);
    pod.shim.kill("other", "", 9, false).await.expect("kill");
    pod.wait("other", "").await;
    pod.shim.delete("other", "").await.expect("delete");
    pod.end().await;
}

async fn hooks_that_hang_end_with_the_deadline_and_leave_nothing(runtime: &'static str) {
    let pod = Pod::under(runtime).await;
    let hook = pod.scratch.script("hook", "sleep 1000");
    for kind in ["createRuntime", "createContainer"] {
        let mut bundle = pod.script("true");
        bundle.set("/hooks", json!({ kind: [{ "path": hook }] }));
        // A creator that is killed cannot tell whether it was the one that made a parent cgroup: here there is none.
        let cgroup = format!("/{}-{kind}", pod.scratch.cgroup_prefix());
        bundle.set("/linux/cgroupsPath", json!(cgroup));
        // The path of a createContainer hook is one of the container's.
        std::fs::copy(&hook, bundle.path.join("rootfs/hook")).expect("copy");
        let stdio = Stdio::default();
        let request = CreateTask { id: kind, bundle: &bundle.path, rootfs: &[], stdio: &stdio, options: &pod.options };
        let fault = pod.shim.with_deadline(Duration::from_secs(1)).create_task(request).await.expect_err(kind);
        assert_eq!(fault.class(), Kind::DeadlineExceeded, "{kind}: {fault}");
        // The same container can be made as soon as the hook behaves.
        bundle.set("/hooks", json!({}));
        let until = Instant::now() + LIMIT;
        while let Err(fault) = pod.try_create(kind, &bundle, &stdio).await {
            assert!(fault.class() == Kind::Unavailable && Instant::now() < until, "{kind}: {fault}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        pod.shim.delete(kind, "").await.expect("delete");
    }
    pod.end().await;
}

#[tokio::test]
async fn an_exit_waits_for_a_client_that_comes_later() {
    let pod = Pod::new().await;
    let log = pod.scratch.join("0.log");
    let address = pod.shim.address().to_owned();
    let first = Shim::connect(&address).await.expect("connect");
    let bundle = pod
        .launch(
            "c",
            "for i in 1 2 3 4 5; do echo $i; sleep 0.05; done; until test -e /dev/shm/go; do sleep 0.02; done; exit 9",
            &cri_log(&log),
        )
        .await;
    let lost = tokio::spawn(async move { first.wait("c", "").await });
    tokio::time::sleep(Duration::from_millis(50)).await;
    lost.abort();
    assert!(lost.await.expect_err("aborted").is_cancelled());
    assert_eq!(pod.exec("c", "go", "echo > /dev/shm/go", &Stdio::default()).await.code, 0);
    until("the record of the exit", || bundle.path.join("plimsoll-exit.json").exists()).await;
    let next = Shim::connect(&address).await.expect("a later daemon");
    let kept = next.list().await.expect("list");
    assert_eq!(kept.len(), 1);
    assert_eq!(kept[0].exit.as_ref().map(|exit| exit.code), Some(9));
    assert_eq!(next.wait("c", "").await.expect("wait").code, 9);
    assert_eq!(std::fs::read_to_string(&log).expect("log").lines().count(), 5);
    next.delete("c", "").await.expect("delete");
    pod.end().await;
}

async fn a_paused_container_stands_still_and_can_be_killed(runtime: &'static str) {
    let pod = Pod::under(runtime).await;
    let log = pod.scratch.join("0.log");
    pod.launch("c", "while :; do echo tick; sleep 0.01; done", &cri_log(&log)).await;
    let size = || std::fs::metadata(&log).expect("log").len();
    pod.shim.pause("c").await.expect("pause");
    assert_eq!(pod.shim.state("c", "").await.expect("state").status, ProcessStatus::Paused);
    // What it wrote before is on its way yet; of one that goes on there would always be more.
    let end = Instant::now() + LIMIT;
    let before = loop {
        let before = size();
        tokio::time::sleep(Duration::from_millis(500)).await;
        if size() == before {
            break before;
        }
        assert!(Instant::now() < end, "it goes on");
    };
    assert_eq!(pod.shim.pause("c").await.expect_err("twice").class(), Kind::FailedPrecondition);
    pod.shim.resume("c").await.expect("resume");
    assert_eq!(pod.shim.state("c", "").await.expect("state").status, ProcessStatus::Running);
    until("that it goes on", || size() > before).await;
    pod.shim.pause("c").await.expect("pause");
    pod.shim.kill("c", "", 9, false).await.expect("kill");
    assert_eq!(pod.wait("c", "").await.code, 137);
    pod.shim.delete("c", "").await.expect("delete");
    pod.end().await;
}

async fn stats_are_containerds_metrics_of_the_containers_cgroups(runtime: &'static str) {
    let pod = Pod::under(runtime).await;
    let mut bundle = pod.script("i=0; while [ $i -lt 50000 ]; do i=$((i+1)); done; echo > /dev/shm/done; sleep 1000");
    bundle.set("/linux/resources/memory", json!({ "limit": 64 << 20 }));
    bundle.set("/linux/resources/pids", json!({ "limit": 77 }));
    pod.create("c", &bundle, &Stdio::default()).await;
    pod.shim.start("c", "").await.expect("start");
    let done = "until test -e /dev/shm/done; do sleep 0.01; done";
    assert_eq!(pod.exec("c", "until", done, &Stdio::default()).await.code, 0);
    let (url, bytes) = pod.shim.stats("c").await.expect("stats").expect("an answer");
    let pool = DescriptorPool::decode(plimsoll_proto::shim::DESCRIPTORS).expect("our descriptors decode");
    let message = pool.get_message_by_name(&url).unwrap_or_else(|| panic!("{url}"));
    let seen = DynamicMessage::decode(message, bytes.as_slice()).expect("metrics");
    let seen = serde_json::to_value(&seen).expect("JSON");
    let of = |v1: &str, v2: &str| -> u64 {
        let pointer = if url == "io.containerd.cgroups.v1.Metrics" { v1 } else { v2 };
        let text = seen.pointer(pointer).and_then(|value| value.as_str());
        text.and_then(|text| text.parse().ok()).unwrap_or_else(|| panic!("{pointer} of {seen}"))
    };
    // The shell executes its last command itself.
    assert_eq!((of("/pids/current", "/pids/current"), of("/pids/limit", "/pids/limit")), (1, 77));
    assert_eq!(of("/memory/usage/limit", "/memory/usageLimit"), 64 << 20);
    assert!(of("/memory/usage/usage", "/memory/usage") > 0 && of("/memory/totalRss", "/memory/anon") > 0, "{seen}");
    // Nanoseconds and microseconds: some milliseconds in each case.
    assert!((1_000..20_000_000_000).contains(&of("/cpu/usage/total", "/cpu/usageUsec")), "{seen}");
    assert_eq!(pod.shim.stats("none").await.expect_err("no such task").class(), Kind::NotFound);
    pod.shim.kill("c", "", 9, true).await.expect("kill");
    pod.wait("c", "").await;
    pod.shim.delete("c", "").await.expect("delete");
    pod.end().await;
}

async fn limits_are_updated_or_stay_as_they_were(runtime: &'static str) {
    let pod = Pod::under(runtime).await;
    let mut bundle = pod.script("sleep 1000");
    bundle.set("/linux/resources/pids", json!({ "limit": 77 }));
    pod.create("c", &bundle, &Stdio::default()).await;
    let group = bundle.config["linux"]["cgroupsPath"].as_str().expect("a cgroup").to_owned();
    let limit = || {
        let trees = ["/sys/fs/cgroup/pids", "/sys/fs/cgroup"].map(|tree| format!("{tree}{group}/pids.max"));
        trees.iter().find_map(|path| std::fs::read_to_string(path).ok()).expect("a limit")
    };
    assert_eq!(limit(), "77\n");
    // Before the start and after it.
    pod.shim.update("c", br#"{"pids":{"limit":88}}"#.to_vec()).await.expect("update");
    assert_eq!(limit(), "88\n");
    pod.shim.start("c", "").await.expect("start");
    pod.shim.update("c", br#"{"pids":{"limit":99}}"#.to_vec()).await.expect("update");
    assert_eq!(limit(), "99\n");
    let refused = [r#"{"pids":{"limit":"x"}}"#, "no JSON"];
    // runc and crun find out while they write: some of it is written then.
    let foreign = ["runc", "crun"].contains(&runtime);
    let half = [r#"{"cpu":{"cpus":"4096"},"pids":{"limit":11}}"#].into_iter().filter(|_| !foreign);
    for bad in refused.into_iter().chain(half) {
        let fault = pod.shim.update("c", bad.as_bytes().to_vec()).await.expect_err(bad);
        assert!(fault.details().pointer.is_some() || bad == "no JSON", "{bad}: {}", fault.to_json());
        assert_eq!(limit(), "99\n", "{bad}");
    }
    assert_eq!(pod.shim.update("none", b"{}".to_vec()).await.expect_err("none").class(), Kind::NotFound);
    pod.shim.kill("c", "", 9, true).await.expect("kill");
    pod.wait("c", "").await;
    let fault = pod.shim.update("c", b"{}".to_vec()).await.expect_err("it has ended");
    assert_eq!(fault.class(), Kind::FailedPrecondition);
    pod.shim.delete("c", "").await.expect("delete");
    pod.end().await;
}

async fn out_of_memory_is_recorded_before_wait_returns(runtime: &'static str) {
    let pod = Pod::under(runtime).await;
    let mut bundle = pod.script("x=a; while :; do x=$x$x$x$x; done");
    bundle.set("/linux/resources/memory", json!({ "limit": 16 << 20, "swap": 16 << 20 }));
    pod.create("c", &bundle, &Stdio::default()).await;
    pod.shim.start("c", "").await.expect("start");
    assert_eq!(pod.wait("c", "").await.code, 137);
    let record = pod.shim.exit("c", "").await.expect("exit").expect("ended");
    assert!(record.oom_killed);
    assert_eq!(record.reason, "OOMKilled");
    pod.shim.delete("c", "").await.expect("delete");
    pod.end().await;
}

async fn a_dead_shim_is_cleaned_up_by_delete(runtime: &'static str) {
    let pod = Pod::under(runtime).await;
    let bundle = pod.launch("c", "sleep 1000", &Stdio::default()).await;
    let shim = pod.shim.pid("c").await.expect("pid");
    let pid = rustix::process::Pid::from_raw(i32::try_from(shim).expect("pid")).expect("pid");
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).expect("kill the shim");
    tokio::time::timeout(LIMIT, pod.shim.closed()).await.expect("the connection ends");
    let fault = pod.shim.state("c", "").await.expect_err("gone");
    assert_eq!((fault.layer(), fault.class()), (&Layer::Shim, Kind::Unavailable));
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
    assert_eq!(launcher.cleanup(launch, None).await.expect("delete").code, 137);
    assert_eq!(pod.left(), Vec::<String>::new());
}
