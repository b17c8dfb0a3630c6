//! Hooks: their order, where they run, what they read, what their failure does; against runc and crun where those follow the
//! specification 1.3 (runtime.md, "Lifecycle").
#![cfg(feature = "privileged")]

use plimsoll_testkit::runtimes::{Runtime, runtimes};
use plimsoll_testkit::{Bundle, Output, Scratch, bundle, run, until};
use serde_json::{Value, json};
use std::path::PathBuf;

const OURS: Runtime = Runtime("plimrun");
const RUNC: Runtime = Runtime("runc");
const LISTS: [&str; 6] = ["prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"];

/// A bundle whose hooks each append a line to one file, which the container sees as `/log/lines`.
struct Case {
    scratch: Scratch,
    made: Bundle,
    runtime: Runtime,
    id: String,
    log: PathBuf,
}

impl Case {
    /// `script` is what each hook does, with `$HOOK` its list and `$LOG` the file; `fails` is the list whose hook ends with 3.
    fn new(runtime: Runtime, script: &str, fails: &str) -> Case {
        let scratch = Scratch::new();
        let mut made = bundle(&scratch);
        let log = scratch.dir("log");
        let mounts = made.config["mounts"].as_array_mut().expect("mounts");
        mounts.push(json!({ "destination": "/log", "type": "bind", "source": log, "options": ["bind"] }));
        made.set("/root/readonly", json!(false));
        made.args(&["/bin/sh", "-c", "echo program >> /log/lines; exec sleep 60"]);
        let mut hooks = json!({});
        for list in LISTS {
            let file = if list == "startContainer" { PathBuf::from("/log/lines") } else { log.join("lines") };
            let end = if list == fails { "exit 3" } else { "exit 0" };
            let script = format!("HOOK={list} LOG={}; {script}\n{end}", file.display());
            hooks[list] = json!([{ "path": "/bin/sh", "args": ["sh", "-c", script] }]);
        }
        made.set("/hooks", hooks);
        let id = scratch.id("c");
        Case { scratch, made, runtime, id, log: log.join("lines") }
    }

    fn verb(&self, args: &[&str]) -> Output {
        run(self.runtime.command(&self.scratch).args(args))
    }

    fn create(&self) -> Output {
        let bundle = self.made.path.to_string_lossy().into_owned();
        self.verb(&["create", "--bundle", &bundle, &self.id])
    }

    /// Create, start, delete by force; the exit codes, and what the log holds.
    fn life(&self) -> ([i32; 3], Vec<String>) {
        let create = self.create();
        let start = self.verb(&["start", &self.id]);
        self.wait_for_program();
        let delete = self.verb(&["delete", "--force", &self.id]);
        ([create.code, start.code, delete.code], self.lines())
    }

    fn lines(&self) -> Vec<String> {
        std::fs::read_to_string(&self.log).unwrap_or_default().lines().map(str::to_owned).collect()
    }

    /// As long as the container runs and its program has not written yet.
    fn wait_for_program(&self) {
        until("the program, or its end", || {
            let state = self.verb(&["state", &self.id]);
            let ended = state.code != 0 || state.stdout.contains("stopped");
            ended || self.lines().iter().any(|line| line == "program")
        });
    }
}

#[test]
fn order_and_the_program_before_poststart() {
    // The last hook waits for the program, but not for ever: it would end all the same if the program came after it.
    let wait =
        "n=0; while [ $HOOK = poststart ] && [ $n -lt 500 ] && ! grep -q program $LOG; do n=$((n+1)); sleep 0.02; done";
    let (codes, lines) = Case::new(OURS, &format!("{wait}; echo $HOOK >> $LOG"), "").life();
    assert_eq!(codes, [0, 0, 0]);
    let want = ["prestart", "createRuntime", "createContainer", "startContainer", "program", "poststart", "poststop"];
    assert_eq!(lines, want);
}

/// crun writes "created" where the container is only being made, and runc runs poststart at `create`: so each is told what
/// the specification says, and the peers are compared where they say it too.
#[test]
fn the_state_that_each_hook_reads() {
    let case = Case::new(OURS, "echo \"$HOOK $(cat)\" >> $LOG", "");
    let mut annotated = case;
    annotated.made.set("/annotations", json!({ "org.example": "value" }));
    let (codes, lines) = annotated.life();
    assert_eq!(codes, [0, 0, 0]);
    let host_pid = |line: &str| line.contains("\"pid\":1,");
    for (list, status) in [
        ("prestart", "creating"),
        ("createRuntime", "creating"),
        ("createContainer", "creating"),
        ("startContainer", "created"),
        ("poststart", "running"),
        ("poststop", "stopped"),
    ] {
        let line = lines.iter().find(|line| line.starts_with(list)).unwrap_or_else(|| panic!("{list}: {lines:?}"));
        let state: Value = serde_json::from_str(&line[list.len()..]).expect("JSON");
        let inside = matches!(list, "createContainer" | "startContainer");
        assert_eq!(state["status"], status, "{line}");
        assert_eq!(state["id"], json!(annotated.id));
        assert_eq!(state["bundle"], json!(annotated.made.path));
        assert_eq!(state["annotations"], json!({ "org.example": "value" }));
        assert_eq!(state["ociVersion"], "1.3.0");
        match list {
            "poststop" => assert_eq!(state.get("pid"), None, "{line}"),
            _ => assert_eq!(host_pid(line), inside, "{line}: the pid is that of the hook's own namespace"),
        }
    }
}

/// Namespaces, working folder and root as both runc and ours have them. runc's delete runs poststop where it was started.
#[test]
fn where_hooks_run() {
    let script = "line=\"$HOOK $(pwd)\"; for n in pid net mnt; do line=\"$line $(readlink /proc/self/ns/$n)\"; done; \
        [ -e /log ] && line=\"$line inside\"; echo \"$line\" >> $LOG";
    let host: Vec<String> = ["pid", "net", "mnt"]
        .iter()
        .map(|kind| std::fs::read_link(format!("/proc/self/ns/{kind}")).expect("a link").display().to_string())
        .collect();
    for runtime in [OURS, RUNC] {
        let case = Case::new(runtime, script, "");
        let (_, lines) = case.life();
        for list in LISTS {
            let line = lines.iter().find(|line| line.starts_with(&format!("{list} "))).expect(list);
            let words: Vec<&str> = line.split(' ').collect();
            assert!(words.len() >= 5, "{}: {lines:?}", runtime.0);
            let in_container = matches!(list, "createContainer" | "startContainer");
            assert_eq!(words[2..5] == host, !in_container, "{}: {line}", runtime.0);
            assert_eq!(
                words.len() == 6,
                list == "startContainer",
                "{}: only startContainer is past the pivot: {line}",
                runtime.0
            );
            let bundle = case.made.path.display().to_string();
            match list {
                "createContainer" => assert_eq!(words[1], format!("{bundle}/rootfs"), "{}", runtime.0),
                "startContainer" => assert_eq!(words[1], "/", "{}", runtime.0),
                "poststop" if runtime == RUNC => {}
                _ => assert_eq!(words[1], bundle, "{}: {list}", runtime.0),
            }
        }
    }
}

/// prestart and createRuntime see the container's root, mounts and devices made, from the container's mount namespace: what a
/// hook mounts below the rootfs there, the container has (as the hooks of GPU vendors do).
#[test]
fn a_hook_mounts_into_the_container() {
    for (list, users) in [("prestart", false), ("createRuntime", false), ("createRuntime", true)] {
        for runtime in runtimes() {
            let mut case = Case::new(runtime, "true", "");
            if users {
                let namespaces = case.made.config["linux"]["namespaces"].as_array_mut().expect("namespaces");
                namespaces.push(json!({ "type": "user" }));
                let map = json!([{ "containerID": 0, "hostID": 0, "size": 65536 }]);
                case.made.set("/linux/uidMappings", map.clone()).set("/linux/gidMappings", map);
            }
            let rootfs = case.made.path.join("rootfs");
            std::fs::create_dir_all(rootfs.join("gift")).expect("a folder");
            let gift = case.scratch.dir("gift");
            std::fs::write(gift.join("file"), "from the hook\n").expect("a file");
            let script = format!(
                "pid=$(sed 's/.*\"pid\": *\\([0-9]*\\).*/\\1/' | tr -dc 0-9); nsenter -t $pid -m sh -c 'test -c {0}/dev/null && test -d {0}/proc/1 && mount --bind {1} {0}/gift'",
                rootfs.display(),
                gift.display()
            );
            // crun writes the state over several lines.
            let script = script.replace("$(sed", "$(tr -d '\\n' | sed");
            case.made.set("/hooks", json!({ list: [{ "path": "/bin/sh", "args": ["sh", "-c", script] }] }));
            case.made.args(&["cat", "/gift/file"]);
            let output = case.runtime.run(&case.scratch, &case.made);
            assert_eq!(
                (output.code, output.stdout.as_str()),
                (0, "from the hook\n"),
                "{} {list}: {}",
                runtime.0,
                output.stderr
            );
        }
    }
}

/// A hook with an environment has that and no more; one without has the runtime's, and in the container the program's.
#[test]
fn environments() {
    for runtime in [OURS, RUNC] {
        let mut case = Case::new(runtime, "echo $HOOK-$MINE-$OURS-$FROM_CALLER >> $LOG", "");
        case.made.set("/process/env", json!(["PATH=/bin", "OURS=program"]));
        let mut with = case.made.config["hooks"].clone();
        for list in LISTS {
            let mut second = with[list][0].clone();
            second["env"] = json!(["MINE=hook"]);
            with[list].as_array_mut().expect("a list").push(second);
        }
        case.made.set("/hooks", with);
        for verb in ["create", "start", "delete"] {
            let mut command = case.runtime.command(&case.scratch);
            command.env("FROM_CALLER", "caller").arg(verb);
            match verb {
                "create" => command.arg("--bundle").arg(&case.made.path),
                "delete" => command.arg("--force"),
                _ => &mut command,
            };
            let output = run(command.arg(&case.id));
            assert_eq!(output.code, 0, "{}: {verb}: {}", runtime.0, output.stderr);
            if verb == "start" {
                case.wait_for_program();
            }
        }
        let lines = case.lines();
        for list in LISTS {
            let got: Vec<&str> = lines.iter().filter(|line| line.starts_with(list)).map(String::as_str).collect();
            let bare = match list {
                "createContainer" => format!("{list}---"),
                "startContainer" => format!("{list}--program-"),
                _ => format!("{list}---caller"),
            };
            assert_eq!(got, [bare, format!("{list}-hook--")], "{}", runtime.0);
        }
    }
}

/// A container that cannot be made is gone, and its poststop hooks are run (runtime.md, "Lifecycle", 12 and 13), as by runc.
#[test]
fn a_failing_hook_before_the_start() {
    for (list, ran) in [
        ("prestart", &["prestart", "poststop"][..]),
        ("createRuntime", &["prestart", "createRuntime", "poststop"]),
        ("createContainer", &["prestart", "createRuntime", "createContainer", "poststop"]),
    ] {
        for runtime in [OURS, RUNC] {
            let case = Case::new(runtime, "echo $HOOK >> $LOG", list);
            let output = case.create();
            assert_eq!(
                (output.code, case.lines()),
                (1, ran.iter().map(ToString::to_string).collect()),
                "{} {list}",
                runtime.0
            );
            assert_ne!(case.verb(&["state", &case.id]).code, 0);
            if runtime == OURS {
                let pointer = format!("/hooks/{list}/0");
                assert!(
                    output.stderr.contains(&pointer) && output.stderr.contains("exit status: 3"),
                    "{}",
                    output.stderr
                );
            }
        }
    }
}

/// `start` says why: runc and crun let it succeed and the container end.
#[test]
fn a_failing_start_container_hook() {
    let case = Case::new(OURS, "echo $HOOK >> $LOG", "startContainer");
    let (codes, lines) = case.life();
    assert_eq!(codes, [0, 1, 0]);
    assert_eq!(lines, ["prestart", "createRuntime", "createContainer", "startContainer", "poststop"]);
}

#[test]
fn a_failing_poststart_hook_ends_the_container() {
    let case = Case::new(OURS, "echo $HOOK >> $LOG", "poststart");
    assert_eq!(case.create().code, 0);
    let start = case.verb(&["start", &case.id]);
    assert!(start.code == 1 && start.stderr.contains("/hooks/poststart/0"), "{}", start.stderr);
    until("the container's end", || case.verb(&["state", &case.id]).stdout.contains("stopped"));
    assert_eq!(case.verb(&["delete", &case.id]).code, 0);
}

/// The container is gone whatever its last hooks say: a warning, as with crun.
#[test]
fn a_failing_poststop_hook_is_a_warning() {
    let case = Case::new(OURS, "echo $HOOK >> $LOG", "poststop");
    let (codes, _) = case.life();
    assert_eq!(codes, [0, 0, 0]);
    assert_ne!(case.verb(&["state", &case.id]).code, 0);
}

#[test]
fn a_hook_that_hangs_is_ended() {
    for list in ["prestart", "createContainer"] {
        let mut case = Case::new(OURS, "true", "");
        let hook = json!({ "path": "/bin/sleep", "args": ["sleep", "60"], "timeout": 1 });
        case.made.set(&format!("/hooks/{list}"), json!([hook]));
        let output = case.create();
        assert_eq!(output.code, 1);
        assert!(output.stderr.contains("did not end within 1 s") && output.took.as_secs() < 40, "{}", output.stderr);
    }
}

/// What cannot be executed, and what is wrong before anything is made.
#[test]
fn hooks_that_cannot_be() {
    for (hook, said) in [
        (json!({ "path": "/no/such/hook" }), "/hooks/createRuntime/0"),
        (json!({ "path": "relative" }), "/hooks/createRuntime/0/path"),
        (json!({ "path": "/bin/true", "timeout": 0 }), "/hooks/createRuntime/0/timeout"),
        (json!({ "path": "/bin/true", "timeout": -1 }), "/hooks/createRuntime/0/timeout"),
    ] {
        let mut case = Case::new(OURS, "true", "");
        case.made.set("/hooks", json!({ "createRuntime": [hook] }));
        let output = case.create();
        assert!(output.code == 1 && output.stderr.contains(said), "{hook}: {}", output.stderr);
    }
}
