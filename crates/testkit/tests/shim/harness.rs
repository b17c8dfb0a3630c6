//! A shim of its own for one test, started as a daemon starts it.

use plimsoll_core::shim::{CreateTask, ExecTask, Exit, Shim, Stdio, TaskOptions};
use plimsoll_testkit::bundle::Bundle;
use plimsoll_testkit::runtimes::Runtime;
use plimsoll_testkit::wait::LIMIT;
use plimsoll_testkit::{Scratch, bin, bundle, leak, run};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

pub(crate) const NAMESPACE: &str = "test";

pub(crate) struct Pod {
    pub(crate) shim: Shim,
    pub(crate) scratch: Scratch,
    pub(crate) options: TaskOptions,
}

/// Runs `start` in `folder` and returns what it printed.
pub(crate) fn start(scratch: &Scratch, id: &str, folder: &Path) -> String {
    let mut command = scratch.command(bin("containerd-shim-plimsoll-v1"));
    command.current_dir(folder).args(["-namespace", NAMESPACE, "-id", id, "-address", "/nowhere"]);
    command.arg("-socket-dir").arg(scratch.dir("s")).arg("start");
    run(&mut command).ok()
}

/// Makes of `async fn NAME(runtime: &str)` one test for each OCI runtime that can keep the containers.
macro_rules! under_each_runtime {
    ($($name:ident)*) => { $(
        mod $name {
            #[tokio::test]
            async fn linked() { super::$name("").await }
            #[tokio::test]
            async fn plimrun() { super::$name("plimrun").await }
            #[tokio::test]
            async fn runc() { super::$name("runc").await }
            #[tokio::test]
            async fn crun() { super::$name("crun").await }
        }
    )* };
}
pub(crate) use under_each_runtime;

impl Pod {
    pub(crate) async fn new() -> Pod {
        Pod::under("").await
    }

    /// With containers of the program of that name; the empty one is linked into the shim.
    pub(crate) async fn under(runtime: &'static str) -> Pod {
        let mut pod = Pod::linked().await;
        if !runtime.is_empty() {
            let program = Runtime(runtime).as_program(&pod.scratch);
            pod.options.binary_name = program.to_string_lossy().into_owned();
        }
        pod
    }

    async fn linked() -> Pod {
        let scratch = Scratch::new();
        let address = start(&scratch, "pod", &scratch.dir("pod"));
        let shim = Shim::connect(&address).await.expect("connect");
        let root = scratch.dir("runtime").to_string_lossy().into_owned();
        Pod { shim, options: TaskOptions { root, ..TaskOptions::default() }, scratch }
    }

    /// A busybox bundle that runs `script` with sh.
    pub(crate) fn script(&self, script: &str) -> Bundle {
        let mut made = bundle(&self.scratch);
        made.args(&["sh", "-c", script]);
        made
    }

    pub(crate) async fn create(&self, id: &str, bundle: &Bundle, stdio: &Stdio) -> u32 {
        self.try_create(id, bundle, stdio).await.unwrap_or_else(|fault| panic!("create {id}: {}", fault.to_json()))
    }

    pub(crate) async fn try_create(&self, id: &str, bundle: &Bundle, stdio: &Stdio) -> plimsoll_fault::Result<u32> {
        let request = CreateTask { id, bundle: &bundle.path, rootfs: &[], stdio, options: &self.options };
        self.shim.create_task(request).await
    }

    /// Creates and starts.
    pub(crate) async fn launch(&self, id: &str, script: &str, stdio: &Stdio) -> Bundle {
        let bundle = self.script(script);
        self.create(id, &bundle, stdio).await;
        self.shim.start(id, "").await.unwrap_or_else(|fault| panic!("start {id}: {}", fault.to_json()));
        bundle
    }

    /// Waits until there is something in this file in the container.
    pub(crate) async fn until_written(&self, id: &str, path: &str) {
        let script = format!("until test -s {path}; do sleep 0.02; done");
        assert_eq!(self.exec(id, "until-written", &script, &Stdio::default()).await.code, 0);
    }

    /// Runs `script` as an exec to its end.
    pub(crate) async fn exec(&self, id: &str, exec_id: &str, script: &str, stdio: &Stdio) -> Exit {
        self.begin_exec(id, exec_id, script, stdio).await;
        let exit = self.wait(id, exec_id).await;
        self.shim.delete(id, exec_id).await.expect("delete the exec");
        exit
    }

    pub(crate) async fn begin_exec(&self, id: &str, exec_id: &str, script: &str, stdio: &Stdio) {
        let process = serde_json::json!({
            "terminal": stdio.terminal,
            "user": { "uid": 0, "gid": 0 },
            "args": ["sh", "-c", script],
            "env": ["PATH=/bin"],
            "cwd": "/",
        });
        let process = process.to_string();
        let request = ExecTask { id, exec_id, process: process.as_bytes(), stdio };
        self.shim.exec(request).await.unwrap_or_else(|fault| panic!("exec {exec_id}: {}", fault.to_json()));
        self.shim.start(id, exec_id).await.unwrap_or_else(|fault| panic!("start {exec_id}: {}", fault.to_json()));
    }

    pub(crate) async fn wait(&self, id: &str, exec_id: &str) -> Exit {
        let exit = tokio::time::timeout(LIMIT, self.shim.wait(id, exec_id)).await;
        exit.unwrap_or_else(|_| panic!("{id} {exec_id} did not end")).expect("wait")
    }

    pub(crate) async fn run(&self, id: &str, script: &str, stdio: &Stdio) -> Exit {
        self.launch(id, script, stdio).await;
        let exit = self.wait(id, "").await;
        self.shim.delete(id, "").await.unwrap_or_else(|fault| panic!("delete {id}: {}", fault.to_json()));
        exit
    }

    /// What lasts of the test. The parent of the containers' cgroups is nobody's; runc and crun leave it.
    pub(crate) fn left(&self) -> Vec<String> {
        let foreign = ["/runc", "/crun"].iter().any(|name| self.options.binary_name.ends_with(name));
        let parent = format!("/{}", self.scratch.cgroup_prefix());
        for what in self.scratch.leftovers().iter().filter(|what| foreign && what.ends_with(&parent)) {
            // One in which there still is something is found below.
            what.strip_prefix("cgroup ").and_then(|path| std::fs::remove_dir(path).ok());
        }
        self.scratch.lasting()
    }

    /// Ends the shim and says what is left of the test; nothing should be.
    pub(crate) async fn end(self) {
        self.shim.shutdown("pod", true).await.expect("shutdown");
        tokio::time::timeout(LIMIT, self.shim.closed()).await.expect("the shim ends");
        assert_eq!(self.left(), Vec::<String>::new());
        let sockets: Vec<PathBuf> =
            std::fs::read_dir(self.scratch.dir("s")).expect("sockets").flatten().map(|e| e.path()).collect();
        assert_eq!(sockets, Vec::<PathBuf>::new());
    }
}

/// Whether a process has this path in its command line.
pub(crate) fn runs(program: &Path) -> bool {
    let name = program.display().to_string();
    leak::all_processes().any(|(_, line)| line.contains(&name))
}

/// Waits until `done`.
pub(crate) async fn until(what: &str, done: impl Fn() -> bool) {
    let end = Instant::now() + LIMIT;
    while !done() {
        assert!(Instant::now() < end, "{what} did not happen");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Both output streams in the CRI log `path`.
pub(crate) fn cri_log(path: &Path) -> Stdio {
    let uri = format!("cri-log://{}", path.display());
    Stdio { stdout: uri.clone(), stderr: uri, ..Stdio::default() }
}

/// Standard output in the file `path`.
pub(crate) fn to_file(path: &Path) -> Stdio {
    Stdio { stdout: format!("file://{}", path.display()), ..Stdio::default() }
}
