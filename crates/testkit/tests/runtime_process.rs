//! How processes are scheduled and what they run as: `process.scheduler`, `ioPriority`, `execCPUAffinity`, `linux.memoryPolicy`,
//! `personality`, seen from inside and under runc and crun alike.
#![cfg(feature = "privileged")]

use plimsoll_testkit::compare::{same, sh};
use plimsoll_testkit::runtimes::{Runtime, runtimes};
use plimsoll_testkit::{Bundle, Output, Scratch, bundle, run};
use serde_json::{Value, json};

const OURS: Runtime = Runtime("plimrun");
const RUNC: Runtime = Runtime("runc");

/// Policy, static priority and nice value as the kernel shows them: fields 41, 40 and 19 of stat.
const SCHEDULING: &str = "awk '{ print $41, $40, $19 }' /proc/self/stat";

#[test]
fn scheduling_policies() {
    for (scheduler, seen) in [
        (json!({ "policy": "SCHED_OTHER", "nice": 7 }), "0 0 7\n"),
        (json!({ "policy": "SCHED_OTHER", "nice": -5 }), "0 0 -5\n"),
        (json!({ "policy": "SCHED_BATCH", "nice": 3 }), "3 0 3\n"),
        (json!({ "policy": "SCHED_IDLE" }), "5 0 0\n"),
    ] {
        let got = same(|made| {
            made.set("/process/scheduler", scheduler.clone());
            sh(made, SCHEDULING);
        });
        assert_eq!(got.stdout, seen, "{scheduler}");
    }
}

/// Under cgroup v1 a group has no real-time budget until it is given one, so each container gets a group that has.
fn real_time(scheduler: &Value, script: &str, seen: &str) {
    let scratch = Scratch::new();
    let mut made = bundle(&scratch);
    made.set("/process/scheduler", scheduler.clone());
    sh(&mut made, script);
    let path = made.config["linux"]["cgroupsPath"].as_str().expect("a path").trim_start_matches('/').to_owned();
    let cpu = std::path::Path::new("/sys/fs/cgroup/cpu");
    for runtime in runtimes() {
        if cpu.join("cpu.rt_runtime_us").exists() {
            let own = cpu.join(&path);
            std::fs::create_dir_all(&own).expect("a group");
            // A group that was removed a moment ago still counts against its parent.
            for (group, budget) in [(own.parent().expect("a parent"), "100000"), (own.as_path(), "5000")] {
                std::fs::write(group.join("cpu.rt_runtime_us"), budget).expect("a real-time budget");
            }
        }
        assert_eq!(runtime.run(&scratch, &made).ok(), seen, "{}: {scheduler}", runtime.0);
    }
}

#[test]
fn real_time_policies() {
    real_time(&json!({ "policy": "SCHED_FIFO", "priority": 42 }), SCHEDULING, "1 42 0\n");
    real_time(&json!({ "policy": "SCHED_RR", "priority": 1 }), SCHEDULING, "2 1 0\n");
}

/// The flag that resets a policy on fork: the shell has it, its child has not.
#[test]
fn reset_on_fork() {
    let scheduler = json!({ "policy": "SCHED_RR", "priority": 5, "flags": ["SCHED_FLAG_RESET_ON_FORK"] });
    real_time(&scheduler, "awk '{ print $41 }' /proc/1/stat; awk '{ print $41 }' /proc/self/stat; true", "2\n0\n");
}

#[test]
fn a_deadline() {
    let got = same(|made| {
        let scheduler = json!({
            "policy": "SCHED_DEADLINE", "runtime": 2_000_000, "deadline": 20_000_000, "period": 40_000_000,
            "flags": ["SCHED_FLAG_RESET_ON_FORK"],
        });
        made.set("/process/scheduler", scheduler);
        sh(made, "read line < /proc/1/stat; set -- $line; echo ${41}");
    });
    assert_eq!(got.stdout, "6\n");
}

/// What the kernel refuses, or the fields together make no sense: runc refuses it too.
#[test]
fn refused_schedulers() {
    for scheduler in [
        json!({ "policy": "SCHED_NONSENSE" }),
        json!({ "policy": "SCHED_OTHER", "nice": 20 }),
        json!({ "policy": "SCHED_OTHER", "priority": 3 }),
        json!({ "policy": "SCHED_BATCH", "runtime": 1000 }),
        json!({ "policy": "SCHED_DEADLINE", "runtime": 5, "deadline": 4, "period": 3 }),
        json!({ "policy": "SCHED_FIFO", "priority": 100 }),
    ] {
        let scratch = Scratch::new();
        let mut made = bundle(&scratch);
        made.set("/process/scheduler", scheduler.clone());
        for runtime in [OURS, RUNC] {
            assert_ne!(runtime.run(&scratch, &made).code, 0, "{} took {scheduler}", runtime.0);
        }
    }
}

#[test]
fn io_priorities() {
    for (class, priority, seen) in [
        ("IOPRIO_CLASS_BE", 6, "best-effort: prio 6\n"),
        ("IOPRIO_CLASS_RT", 1, "realtime: prio 1\n"),
        ("IOPRIO_CLASS_IDLE", 0, "idle\n"),
    ] {
        let got = same(|made| {
            made.set("/process/ioPriority", json!({ "class": class, "priority": priority }));
            made.args(&["ionice"]);
        });
        assert_eq!(got.stdout, seen, "{class}");
    }
}

/// Whoever starts the runtime on one CPU does not confine the container to it (runc issue 4041). runc and ours reset it; crun is
/// asked elsewhere: it keeps what it inherits.
#[test]
fn inherited_cpu_affinity_is_reset() {
    let scratch = Scratch::new();
    let mut made = bundle(&scratch);
    sh(&mut made, "grep Cpus_allowed_list /proc/self/status");
    let whole = std::fs::read_to_string("/sys/fs/cgroup/cpuset/cpuset.cpus")
        .or_else(|_| std::fs::read_to_string("/sys/fs/cgroup/cpuset.cpus.effective"));
    let whole = whole.expect("a cpuset").trim().to_owned();
    for runtime in [OURS, RUNC] {
        let inner = runtime.command(&scratch);
        let mut command = scratch.command("taskset");
        command.args(["-c", "0"]).arg(inner.get_program()).args(inner.get_args());
        command.arg("run").arg("--bundle").arg(&made.path).arg(scratch.id(runtime.0));
        assert_eq!(run(&mut command).ok(), format!("Cpus_allowed_list:\t{whole}\n"), "{}", runtime.0);
    }
}

#[test]
fn personality() {
    for (domain, machine) in [("LINUX32", "i686\n"), ("LINUX", "x86_64\n")] {
        if cfg!(not(target_arch = "x86_64")) {
            return;
        }
        let got = same(|made| {
            made.set("/linux/personality", json!({ "domain": domain }));
            made.args(&["uname", "-m"]);
        });
        assert_eq!(got.stdout, machine);
    }
}

/// The specification has no flags: passed over with a warning, as by runc.
#[test]
fn personality_flags() {
    for runtime in [OURS, RUNC] {
        let scratch = Scratch::new();
        let mut made = bundle(&scratch);
        made.set("/linux/personality", json!({ "domain": "LINUX", "flags": ["ADDR_NO_RANDOMIZE"] }));
        let output = runtime.run(&scratch, &made);
        assert_eq!(output.code, 0, "{}: {}", runtime.0, output.stderr);
        assert!(output.stderr.contains("personality"), "{}: {}", runtime.0, output.stderr);
    }
}

#[test]
fn memory_policies() {
    for (policy, seen) in [
        (json!({ "mode": "MPOL_INTERLEAVE", "nodes": "0" }), "interleave:0"),
        (json!({ "mode": "MPOL_BIND", "nodes": "0", "flags": ["MPOL_F_STATIC_NODES"] }), "bind=static:0"),
        (json!({ "mode": "MPOL_PREFERRED", "nodes": "0" }), "prefer:0"),
        (json!({ "mode": "MPOL_LOCAL" }), "local"),
        (json!({ "mode": "MPOL_DEFAULT" }), "default"),
    ] {
        let got = same(|made| {
            made.set("/linux/memoryPolicy", policy.clone());
            sh(made, "awk 'NR == 1 { print $2 }' /proc/self/numa_maps");
        });
        assert_eq!(got.stdout, format!("{seen}\n"), "{policy}");
    }
}

/// The terminal that comes over the console socket has the size that the config says.
#[test]
fn console_size() {
    for runtime in runtimes() {
        let scratch = Scratch::new();
        let mut made = bundle(&scratch);
        made.set("/process/terminal", json!(true));
        made.set("/process/consoleSize", json!({ "height": 11, "width": 22 }));
        made.args(&["stty", "size"]);
        let path = scratch.join("console.sock");
        let listener = std::os::unix::net::UnixListener::bind(&path).expect("a socket");
        let id = scratch.id("c");
        let mut command = runtime.command(&scratch);
        command.arg("create").arg("--console-socket").arg(&path).arg("--bundle").arg(&made.path).arg(&id);
        run(&mut command).ok();
        let (connection, _) = listener.accept().expect("a connection");
        let mut payload = [0; 256];
        let (_, master) = plimsoll_sys::message::receive_fd(&connection, &mut payload).expect("a message");
        run(runtime.command(&scratch).args(["start", &id])).ok();
        let (master, mut text) = (master.expect("a terminal"), Vec::new());
        // A program may write its line in pieces; once it has ended, reading gives EIO.
        let mut piece = [0; 64];
        while let Ok(length) = rustix::io::read(&master, &mut piece) {
            text.extend(&piece[..length]);
        }
        assert_eq!(String::from_utf8_lossy(&text), "11 22\r\n", "{}", runtime.0);
        run(runtime.command(&scratch).args(["delete", "--force", &id])).ok();
    }
}

/// In the foreground the terminal has the size of the one it is shown on before the program can ask. With runc it gets it later.
#[test]
fn a_terminal_is_never_without_its_size() {
    let scratch = Scratch::new();
    let mut made = bundle(&scratch);
    made.set("/process/terminal", json!(true));
    made.args(&["stty", "size"]);
    let plimrun = Runtime("plimrun");
    let root = scratch.dir("root-plimrun");
    let line = format!(
        "stty rows 33 cols 77; exec {} --root {} run --bundle {} {}",
        plimrun.program().display(),
        root.display(),
        made.path.display(),
        scratch.id("sized")
    );
    for _ in 0..20 {
        let seen = run(scratch.command("script").args(["-qec", &line, "/dev/null"])).ok();
        assert_eq!(seen.replace('\r', "").replace("^@", ""), "33 77\n");
    }
}

/// What a systemd in a container does on cgroup v2: it moves into a group below and gives controllers on, after which no process may
/// be in the container's own group. Where the host is not v2: in a private mount namespace with cgroup v2 at its usual place.
#[test]
fn exec_goes_where_the_init_is() {
    let scratch = Scratch::new();
    let mut made = bundle(&scratch);
    made.args(&["sleep", "60"]);
    let enter = "mount --make-rprivate / && { [ -e /sys/fs/cgroup/cgroup.controllers ] || mount -t cgroup2 none /sys/fs/cgroup; } && exec \"$@\"";
    let plimrun = |args: &[&str]| {
        let mut command = scratch.command("unshare");
        command.args(["-m", "sh", "-c", enter, "sh"]).arg(OURS.program());
        run(command.arg("--root").arg(scratch.dir("root")).args(args))
    };
    let id = scratch.id("c");
    plimrun(&["run", "-d", "--bundle", &made.path.to_string_lossy(), &id]).ok();
    let unified = ["/sys/fs/cgroup/unified", "/sys/fs/cgroup"]
        .into_iter()
        .find(|path| std::path::Path::new(path).join("cgroup.controllers").exists());
    let path = made.config["linux"]["cgroupsPath"].as_str().expect("a path");
    let own = std::path::PathBuf::from(unified.expect("a v2 tree")).join(path.trim_start_matches('/'));
    let write =
        |file: &str, text: &str| std::fs::write(own.join(file), text).unwrap_or_else(|error| panic!("{file}: {error}"));
    let state: Value = serde_json::from_str(&plimrun(&["state", &id]).ok()).expect("JSON");
    std::fs::create_dir(own.join("below")).expect("a group");
    write("below/cgroup.procs", &state["pid"].to_string());
    let controllers = std::fs::read_to_string(own.join("cgroup.controllers")).expect("controllers");
    let first = controllers.split_whitespace().next().expect("a controller").to_owned();
    write("cgroup.subtree_control", &format!("+{first}"));
    let output = plimrun(&["exec", &id, "grep", "^0:", "/proc/self/cgroup"]);
    assert_eq!(output.stdout, format!("0::{path}/below\n"), "{}", output.stderr);
    plimrun(&["delete", "--force", &id]).ok();
    assert!(!own.exists());
}

#[test]
fn domain_name() {
    // crun 1.28 sets it by sysctl too; all are seen by the same file.
    let got = same(|made| {
        made.set("/domainname", json!("example.org"));
        sh(made, "cat /proc/sys/kernel/domainname");
    });
    assert_eq!(got.stdout, "example.org\n");
}

/// A running container of each runtime and what `exec` of it says.
#[track_caller]
fn exec_under(runtimes: &[Runtime], prepare: impl Fn(&mut Bundle), process: &Value) -> String {
    let mut all: Vec<(&str, Output)> = Vec::new();
    for runtime in runtimes {
        let scratch = Scratch::new();
        let mut made = bundle(&scratch);
        made.args(&["sleep", "60"]);
        prepare(&mut made);
        let id = scratch.id("c");
        run(runtime.command(&scratch).args(["run", "-d", "--bundle"]).arg(&made.path).arg(&id)).ok();
        let mut whole = made.config["process"].clone();
        let (whole_fields, fields) = (whole.as_object_mut(), process.as_object());
        whole_fields.expect("an object").extend(fields.expect("an object").clone());
        let file = scratch.file("process.json", whole.to_string());
        all.push((runtime.0, run(runtime.command(&scratch).arg("exec").arg("--process").arg(file).arg(&id))));
        run(runtime.command(&scratch).args(["delete", "--force", &id])).ok();
    }
    let first = all[0].1.clone().ok();
    for (name, output) in &all {
        assert_eq!((output.code, &output.stdout), (0, &first), "{name}: {}", output.stderr);
    }
    first
}

/// Without `final`, all of the container's cpuset, as config.md has it; with it, those. runc 1.5.2 without `final` leaves a
/// process on its initial CPUs.
#[test]
fn exec_cpu_affinity() {
    let script = json!(["/bin/sh", "-c", "grep Cpus_allowed_list /proc/self/status"]);
    for (affinity, seen, under) in [
        (json!({ "initial": "0", "final": "1" }), "1", &[OURS, RUNC][..]),
        (json!({ "final": "0" }), "0", &[OURS, RUNC]),
        (json!({ "initial": "1" }), "0-1", &[OURS]),
    ] {
        let process = json!({ "args": script, "execCPUAffinity": affinity });
        let cpus = |made: &mut Bundle| {
            made.set("/linux/resources/cpu", json!({ "cpus": "0-1" }));
        };
        assert_eq!(exec_under(under, cpus, &process), format!("Cpus_allowed_list:\t{seen}\n"), "{affinity}");
    }
}

#[test]
fn exec_has_the_scheduler_of_its_process_and_the_domain_of_its_container() {
    let process = json!({
        "args": ["/bin/sh", "-c", format!("{SCHEDULING}; ionice; uname -m; awk 'NR == 1 {{ print $2 }}' /proc/self/numa_maps")],
        "scheduler": { "policy": "SCHED_BATCH", "nice": 9 },
        "ioPriority": { "class": "IOPRIO_CLASS_BE", "priority": 2 },
    });
    let got = exec_under(
        &[OURS, RUNC],
        |made| {
            made.set("/linux/personality", json!({ "domain": "LINUX32" }));
            made.set("/linux/memoryPolicy", json!({ "mode": "MPOL_INTERLEAVE", "nodes": "0" }));
        },
        &process,
    );
    assert!(got.starts_with("3 0 9\nbest-effort: prio 2\n") && got.ends_with("interleave:0\n"), "{got}");
}

/// Every refusal names its field and leaves nothing.
#[test]
fn refusals_name_the_field() {
    for (pointer, value, named) in [
        ("/process/scheduler", json!({ "policy": "X" }), "/process/scheduler/policy"),
        (
            "/process/scheduler",
            json!({ "policy": "SCHED_DEADLINE", "runtime": 5, "deadline": 4 }),
            "/process/scheduler",
        ),
        ("/process/ioPriority", json!({ "class": "X" }), "/process/ioPriority/class"),
        ("/process/execCPUAffinity", json!({ "final": "x" }), "/process/execCPUAffinity/final"),
        // Where resctrl is mounted, the machine has no such cache.
        ("/linux/intelRdt", json!({ "l3CacheSchema": "L3:9999=f" }), "/linux/intelRdt"),
        ("/linux/intelRdt", json!({ "closID": "a/b" }), "/linux/intelRdt/closID"),
        ("/linux/personality", json!({ "domain": "X" }), "/linux/personality/domain"),
        ("/linux/memoryPolicy", json!({ "mode": "MPOL_X" }), "/linux/memoryPolicy/mode"),
        ("/linux/memoryPolicy", json!({ "mode": "MPOL_BIND", "nodes": "900" }), "/linux/memoryPolicy"),
        ("/linux/memoryPolicy", json!({ "mode": "MPOL_BIND", "nodes": "0-" }), "/linux/memoryPolicy/nodes"),
    ] {
        let scratch = Scratch::new();
        let mut made = bundle(&scratch);
        made.set(pointer, value.clone());
        let log = scratch.join("log");
        let mut command = OURS.command(&scratch);
        command.arg("--log").arg(&log).args(["--log-format", "json", "run", "--bundle"]);
        assert_eq!(run(command.arg(&made.path).arg(scratch.id("c"))).code, 1, "{value}");
        let text = std::fs::read_to_string(&log).expect("a log");
        let line: Value = serde_json::from_str(text.lines().last().expect("a line")).expect("JSON");
        assert_eq!(line["fault"]["detail"]["pointer"], json!(named), "{text}");
        assert!(scratch.leftovers().iter().all(|what| what.contains("cgroup")), "{:?}", scratch.leftovers());
    }
}
