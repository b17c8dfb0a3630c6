//! Descriptors that the runtime's caller left open lead nowhere from inside of a container.
#![cfg(feature = "privileged")]

use plimsoll_testkit::runtimes::{Runtime, runtimes};
use plimsoll_testkit::{Bundle, Output, Scratch, bundle, peers, run};
use serde_json::json;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// A container, and a folder of the host with a shell in it that the caller holds open as descriptor 7.
struct Case {
    scratch: Scratch,
    made: Bundle,
    host: PathBuf,
}

impl Case {
    fn new() -> Case {
        let scratch = Scratch::new();
        let mut made = bundle(&scratch);
        made.set("/ociVersion", json!("1.0.2")).set("/root/readonly", json!(false));
        let host = scratch.dir("host");
        std::fs::create_dir(host.join("bin")).expect("a folder");
        std::fs::copy(peers::need("busybox"), host.join("bin/sh")).expect("a shell of the host");
        let script = made.path.join("rootfs/script");
        std::fs::write(&script, "#!/proc/self/fd/7/bin/sh\necho escaped\n").expect("a script");
        std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755)).expect("executable");
        Case { scratch, made, host }
    }

    /// The runtime's command line, called by a shell that has the host's folder open as descriptor 7.
    fn leaking(&self, inner: &Command) -> Command {
        let words = std::iter::once(inner.get_program()).chain(inner.get_args());
        let mut command = self.scratch.command("bash");
        command.args(["-c", "exec 7<\"$0\"; exec \"$@\""]).arg(&self.host).args(words);
        command
    }

    fn run(&self, runtime: Runtime) -> Output {
        let mut inner = runtime.command(&self.scratch);
        inner.arg("run").arg("--bundle").arg(&self.made.path).arg(self.scratch.id(runtime.0));
        run(&mut self.leaking(&inner))
    }

    fn exec(&self, runtime: Runtime, words: &[&str]) -> Output {
        let mut inner = runtime.command(&self.scratch);
        inner.arg("exec").args(words);
        run(&mut self.leaking(&inner))
    }

    fn start(&mut self, runtime: Runtime) -> String {
        let log = self.scratch.join(runtime.0);
        let id = self.scratch.id(runtime.0);
        let mut command = runtime.command(&self.scratch);
        command.arg("run").arg("--bundle").arg(&self.made.path).arg(&id);
        command.stdin(Stdio::null()).stdout(std::fs::File::create(&log).expect("a file"));
        self.scratch.spawn(&mut command);
        let until = Instant::now() + Duration::from_secs(20);
        while !std::fs::read_to_string(&log).is_ok_and(|text| text.contains("ready\n")) {
            assert!(Instant::now() < until, "the container did not start");
            std::thread::sleep(Duration::from_millis(5));
        }
        id
    }
}

const WAYS: [&[&str]; 3] =
    [&["/proc/self/fd/7/bin/sh", "-c", "echo escaped"], &["/script"], &["../bin/sh", "-c", "echo escaped"]];

/// CVE-2024-21626, by the program's path, by a script's interpreter and by the working directory.
#[test]
fn a_descriptor_of_the_caller_is_no_way_out() {
    for runtime in runtimes() {
        let mut case = Case::new();
        for way in WAYS {
            let cwd = if way[0].starts_with("..") { "/proc/self/fd/7" } else { "/" };
            case.made.set("/process/cwd", json!(cwd)).args(way);
            let output = case.run(runtime);
            assert!(output.code != 0 && output.stdout.is_empty(), "{}: {way:?}: {output:?}", runtime.0);
        }
    }
}

#[test]
fn a_descriptor_of_the_caller_is_no_way_out_of_exec() {
    for runtime in runtimes() {
        let mut case = Case::new();
        case.made.args(&["/bin/sh", "-c", "echo ready; exec sleep 60"]);
        let id = case.start(runtime);
        for way in WAYS {
            let cwd = if way[0].starts_with("..") { "/proc/self/fd/7" } else { "/" };
            let words: Vec<&str> = ["--cwd", cwd, &id].into_iter().chain(way.iter().copied()).collect();
            let output = case.exec(runtime, &words);
            assert!(output.code != 0 && output.stdout.is_empty(), "{}: {way:?}: {output:?}", runtime.0);
        }
    }
}

/// What is preserved is the container's, on purpose; what is not open cannot be preserved.
#[test]
fn preserved_descriptors() {
    for runtime in runtimes().into_iter().filter(|runtime| runtime.0 != "crun") {
        let mut case = Case::new();
        case.made.args(&["/bin/sh", "-c", "cat <&3"]);
        let mut inner = runtime.command(&case.scratch);
        inner.args(["run", "--preserve-fds", "1", "--bundle"]).arg(&case.made.path).arg(case.scratch.id(runtime.0));
        let words = std::iter::once(inner.get_program()).chain(inner.get_args());
        let mut command = case.scratch.command("bash");
        command.args(["-c", "exec 3<<<kept; exec \"$@\"", "bash"]).args(words);
        assert_eq!(run(&mut command).ok(), "kept\n", "{}", runtime.0);
        // runc takes one of its own descriptors for the caller's then.
        if runtime.0 == "plimrun" {
            let output = run(&mut inner);
            assert!(output.code == 1 && output.stderr.contains("descriptor 3 of 1"), "{output:?}");
        }
    }
}

/// Socket activation: the descriptors are the container's if they are meant for the runtime, and only then.
#[test]
fn descriptors_of_socket_activation() {
    for runtime in runtimes().into_iter().filter(|runtime| runtime.0 != "crun") {
        for (pid, seen) in [("$$", "kept\n1 1\n"), ("1", "none\n")] {
            let mut case = Case::new();
            case.made.args(&[
                "/bin/sh",
                "-c",
                "cat <&3 2>/dev/null && echo $LISTEN_FDS $LISTEN_PID || echo none$LISTEN_FDS",
            ]);
            let mut inner = runtime.command(&case.scratch);
            inner.args(["run", "--bundle"]).arg(&case.made.path).arg(case.scratch.id(runtime.0));
            let words = std::iter::once(inner.get_program()).chain(inner.get_args());
            let mut command = case.scratch.command("bash");
            let script = format!("exec 3<<<kept; export LISTEN_FDS=1 LISTEN_PID={pid}; exec \"$@\"");
            command.args(["-c", &script, "bash"]).args(words);
            assert_eq!(run(&mut command).ok(), seen, "{}: LISTEN_PID={pid}", runtime.0);
        }
    }
}
