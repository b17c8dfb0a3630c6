//! OCI runtimes that fail in ways of their own, and a shim that dies while one works.

use crate::harness::{Pod, runs, until};
use plimsoll_core::shim::Stdio;
use plimsoll_fault::Kind;
use plimsoll_testkit::none_left;
use plimsoll_testkit::runtimes::Runtime;
use rustix::process::{Pid, Signal, kill_process};
use std::path::PathBuf;

/// A pod whose runtime is this shell script, in which `$RUNTIME` is plimrun and `$verb` what is asked of it.
async fn pod_of(script: &str) -> (Pod, PathBuf) {
    let mut pod = Pod::new().await;
    let plimrun = Runtime("plimrun").as_program(&pod.scratch);
    let verb = "for word; do case $word in create|exec|start|state|kill|delete) verb=$word; break;; esac; done";
    let program = pod.scratch.script("runtime.sh", &format!("RUNTIME={}\n{verb}\n{script}", plimrun.display()));
    pod.options.binary_name = program.to_string_lossy().into_owned();
    (pod, program)
}

#[tokio::test]
async fn a_runtime_that_works_when_its_shim_is_killed_is_killed_too() {
    let (pod, program) = pod_of("[ $verb = create ] && while :; do sleep 0.1; done\nexec $RUNTIME \"$@\"").await;
    let shim = Pid::from_raw(pod.shim.pid("").await.expect("connect").cast_signed()).expect("a pid");
    let (bundle, stdio) = (pod.script("true"), Stdio::default());
    let killed = async {
        until("the runtime works", || runs(&program)).await;
        kill_process(shim, Signal::KILL).expect("kill the shim");
        until("the end of the runtime", || !runs(&program)).await;
    };
    let (created, ()) = tokio::join!(pod.try_create("c", &bundle, &stdio), killed);
    created.expect_err("its shim was killed");
}

#[tokio::test]
async fn a_container_whose_pid_is_not_told_is_not_kept() {
    let lose = "$RUNTIME \"$@\" || exit 1\n[ $verb = create ] || exit 0\n\
                while [ $# -gt 0 ]; do [ $1 = --pid-file ] && rm $2; shift; done";
    let (pod, _) = pod_of(lose).await;
    let bundle = pod.script("sleep 1000");
    let fault = pod.try_create("c", &bundle, &Stdio::default()).await.expect_err("without a pid");
    assert!(fault.to_string().contains("left no pid"), "{fault}");
    let kept =
        || std::fs::read_dir(pod.scratch.dir("runtime")).expect("the runtime's state").flatten().map(|e| e.path());
    assert_eq!(none_left(|| kept().filter(|path| path.is_dir()).collect()), Vec::<PathBuf>::new());
    pod.end().await;
}

/// As a runtime does that keeps several containers in one kernel.
#[tokio::test]
async fn the_process_of_another_container_is_refused() {
    let same = "[ $verb = create ] || exec $RUNTIME \"$@\"\n$RUNTIME \"$@\" || exit 1\n\
                while [ $# -gt 0 ]; do [ $1 = --pid-file ] && file=$2; shift; done\n\
                first=${0%/*}/first\nif [ -e $first ]; then cp $first $file; else cp $file $first; fi";
    let (pod, _) = pod_of(same).await;
    pod.launch("one", "sleep 1000", &Stdio::default()).await;
    let bundle = pod.script("sleep 1000");
    let fault = pod.try_create("two", &bundle, &Stdio::default()).await.expect_err("a pid twice");
    assert_eq!(fault.class(), Kind::FailedPrecondition, "{fault}");
    assert_eq!(pod.exec("one", "e", "exit 5", &Stdio::default()).await.code, 5, "the first lives");
    pod.shim.kill("one", "", 9, false).await.expect("kill");
    assert_eq!(pod.wait("one", "").await.code, 137);
    pod.shim.delete("one", "").await.expect("delete");
    pod.end().await;
}
