//! `update` and `events` under plimrun and runc (crun has no `events`): what the kernel's files say afterwards, and what is printed.
#![cfg(feature = "privileged")]

use plimsoll_testkit::runtimes::{Runtime, runtimes};
use plimsoll_testkit::{Bundle, Output, Scratch, bundle, run, until};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Stdio;

const OURS: Runtime = Runtime("plimrun");

fn v2() -> bool {
    Path::new("/sys/fs/cgroup/cgroup.controllers").exists()
}

struct Case {
    scratch: Scratch,
    made: Bundle,
    runtime: Runtime,
}

impl Case {
    fn new(runtime: Runtime) -> Case {
        let scratch = Scratch::new();
        let mut made = bundle(&scratch);
        made.set("/ociVersion", json!("1.0.2"));
        made.set("/linux/resources/memory", json!({ "limit": 67_108_864 }));
        made.set("/linux/resources/cpu", json!({ "quota": 30_000, "period": 100_000 }));
        made.args(&["sleep", "100"]);
        Case { scratch, made, runtime }
    }

    fn started(runtime: Runtime) -> Case {
        let case = Case::new(runtime);
        case.start();
        case
    }

    fn id(&self) -> String {
        self.scratch.id(self.runtime.0)
    }

    fn start(&self) {
        let bundle = self.made.path.to_string_lossy().into_owned();
        self.verb(&["run", "--detach", "--bundle", &bundle, &self.id()]).ok();
    }

    fn verb(&self, args: &[&str]) -> Output {
        run(self.runtime.command(&self.scratch).args(args))
    }

    fn update(&self, args: &[&str]) -> Output {
        let id = self.id();
        let mut all = vec!["update"];
        all.extend(args);
        all.push(&id);
        self.verb(&all)
    }

    /// A control file of the container's group: its name on v1 with the tree, and on v2.
    fn file(&self, tree: &str, v1: &str, v2_name: &str) -> String {
        let group =
            self.made.config["linux"]["cgroupsPath"].as_str().expect("a path").trim_start_matches('/').to_owned();
        let root = PathBuf::from("/sys/fs/cgroup");
        let path = if v2() { root.join(group).join(v2_name) } else { root.join(tree).join(group).join(v1) };
        std::fs::read_to_string(&path).unwrap_or_else(|e| format!("{}: {e}", path.display())).trim_end().to_owned()
    }

    fn limits(&self) -> BTreeMap<&'static str, String> {
        BTreeMap::from([
            ("memory", self.file("memory", "memory.limit_in_bytes", "memory.max")),
            ("swap", self.file("memory", "memory.memsw.limit_in_bytes", "memory.swap.max")),
            ("low", self.file("memory", "memory.soft_limit_in_bytes", "memory.low")),
            ("pids", self.file("pids", "pids.max", "pids.max")),
            ("quota", self.file("cpu", "cpu.cfs_quota_us", "cpu.max")),
            ("period", self.file("cpu", "cpu.cfs_period_us", "cpu.max")),
            ("burst", self.file("cpu", "cpu.cfs_burst_us", "cpu.max.burst")),
            ("shares", self.file("cpu", "cpu.shares", "cpu.weight")),
            ("idle", self.file("cpu", "cpu.idle", "cpu.idle")),
            ("cpus", self.file("cpuset", "cpuset.cpus", "cpuset.cpus")),
        ])
    }

    fn delete(&self) {
        self.verb(&["delete", "--force", &self.id()]).ok();
    }
}

/// Runs the same updates under plimrun and runc, and asserts that the kernel's files agree after each. (crun 1.28 writes the two
/// memory limits of v1 in one order only, and has no flags for burst and idle.)
#[track_caller]
fn same(updates: &[&[&str]]) -> Vec<BTreeMap<&'static str, String>> {
    let mut seen = Vec::new();
    for runtime in runtimes().into_iter().filter(|r| r.0 != "crun") {
        let case = Case::started(runtime);
        let mut after = vec![case.limits()];
        for args in updates {
            let output = case.update(args);
            assert_eq!(output.code, 0, "{} {args:?}: {}", runtime.0, output.stderr);
            after.push(case.limits());
        }
        case.delete();
        seen.push((runtime.0, after));
    }
    let (first, ours) = seen.remove(0);
    for (peer, theirs) in seen {
        assert_eq!(ours, theirs, "{first} (left) and {peer}");
    }
    ours
}

#[test]
fn memory() {
    let seen = same(&[
        &["--memory", "32M", "--memory-swap", "48M"],
        &["--memory", "96m", "--memory-swap", "128m"],
        &["--memory-reservation", "16M"],
        &["--memory", "40M"],
    ]);
    assert_eq!(seen[1]["memory"], "33554432");
    assert_eq!(seen[4]["memory"], "41943040");
}

#[test]
fn without_limit() {
    let seen = same(&[&["--memory", "-1", "--memory-swap", "-1"], &["--memory", "32M", "--memory-swap", "32M"]]);
    assert!(seen[1]["memory"] == "max" || seen[1]["memory"].len() > 15, "{seen:?}");
}

#[test]
fn cpu() {
    let seen = same(&[
        &["--cpu-quota", "50000"],
        &["--cpu-period", "200000", "--cpu-quota", "100000"],
        &["--cpu-share", "512"],
        &["--cpu-burst", "20000"],
        &["--cpuset-cpus", "0"],
    ]);
    assert!(seen[2]["quota"].starts_with("100000") && seen[2]["period"].ends_with("200000"), "{seen:?}");
    assert_eq!(seen[5]["cpus"], "0");
}

/// A quota alone keeps the period that was set before, an own one too: only plimrun and runc keep the state.
#[test]
fn a_quota_keeps_its_period() {
    let mut seen = Vec::new();
    for runtime in runtimes().into_iter().filter(|r| r.0 != "crun") {
        let case = Case::started(runtime);
        case.update(&["--cpu-period", "50000", "--cpu-quota", "20000"]).ok();
        case.update(&["--cpu-quota", "10000"]).ok();
        seen.push((case.limits()["quota"].clone(), case.limits()["period"].clone()));
        case.delete();
    }
    assert!(seen.iter().all(|one| *one == seen[0]), "{seen:?}");
    assert!(seen[0].0.starts_with("10000") && seen[0].1.ends_with("50000"), "{seen:?}");
}

#[test]
fn pids_and_idle() {
    let seen = same(&[&["--pids-limit", "25"], &["--pids-limit", "0"], &["--pids-limit", "-1"], &["--cpu-idle", "1"]]);
    assert_eq!([&seen[1]["pids"], &seen[2]["pids"], &seen[3]["pids"]], ["25", "1", "max"]);
    assert_eq!(seen[4]["idle"], "1");
}

#[test]
fn resources_come_from_a_file_or_standard_input() {
    let resources =
        json!({ "memory": { "limit": 50_331_648 }, "pids": { "limit": 30 }, "cpu": { "shares": 256 } }).to_string();
    for runtime in runtimes() {
        let case = Case::started(runtime);
        let file = case.scratch.file("resources.json", &resources);
        case.update(&["-r", &file.to_string_lossy()]).ok();
        assert_eq!(
            (case.limits()["memory"].as_str(), case.limits()["pids"].as_str()),
            ("50331648", "30"),
            "{}",
            runtime.0
        );
        let other = case.scratch.file("other.json", json!({ "pids": { "limit": 31 } }).to_string());
        let mut command = runtime.command(&case.scratch);
        command.args(["update", "-r", "-", &case.id()]).stdin(std::fs::File::open(other).expect("the file"));
        let output = command.stdout(Stdio::piped()).stderr(Stdio::piped()).output().expect("runs");
        assert!(output.status.success(), "{}: {}", runtime.0, String::from_utf8_lossy(&output.stderr));
        assert_eq!(
            (case.limits()["memory"].as_str(), case.limits()["pids"].as_str()),
            ("50331648", "31"),
            "{}",
            runtime.0
        );
        case.delete();
    }
}

/// Named field and value, the limits as before.
#[test]
fn bad_updates_change_nothing() {
    let case = Case::started(OURS);
    let before = case.limits();
    let bad_json = case.scratch.file("bad.json", r#"{ "memory": { "limit": "much" } }"#);
    let bad_json = bad_json.to_string_lossy().into_owned();
    let cases: [(&[&str], &str); 8] = [
        (&["--memory", "lots"], "memory"),
        (&["--cpu-quota", "1x"], "cpu-quota"),
        (&["--cpuset-cpus", "4096"], "/linux/resources/cpu/cpus"),
        (&["--pids-limit", "12", "--cpuset-cpus", "9999"], "/linux/resources/cpu/cpus"),
        (&["--memory", "32M", "--memory-swap", "16M"], "swap"),
        (&["-r", &bad_json], "/memory/limit"),
        (&["-r", "/no/such/file"], "/no/such/file"),
        (&["--l3-cache-schema", "L3:0=f"], "Intel RDT"),
    ];
    for (args, says) in cases {
        let output = case.update(args);
        assert!(output.code == 1 && output.stderr.contains(says), "{args:?}: {}", output.stderr);
        assert_eq!(case.limits(), before, "{args:?}");
    }
    case.delete();
    assert!(case.update(&["--pids-limit", "5"]).stderr.contains("does not exist"));
}

/// Each reads the state and writes it again: none may undo what another did, or leave half of it.
#[test]
fn updates_at_the_same_time_all_count() {
    let case = Case::started(OURS);
    let limits = [["--pids-limit", "77"], ["--memory", "33554432"], ["--cpu-share", "512"], ["--cpu-quota", "20000"]];
    for _ in 0..5 {
        std::thread::scope(|scope| {
            for limit in &limits {
                scope.spawn(|| case.update(limit).ok());
            }
        });
    }
    let path = case.scratch.dir("root-plimrun").join(case.id()).join("state.json");
    let state: Value = serde_json::from_slice(&std::fs::read(path).expect("a state")).expect("whole");
    let kept = &state["resources"];
    let kept = ["/pids/limit", "/memory/limit", "/cpu/shares", "/cpu/quota"].map(|pointer| kept.pointer(pointer));
    assert_eq!(kept.map(|value| value.and_then(Value::as_i64)), [Some(77), Some(33_554_432), Some(512), Some(20_000)]);
}

#[test]
fn a_limit_below_the_usage_can_be_refused_before() {
    for runtime in runtimes().into_iter().filter(|r| r.0 != "crun") {
        let mut case = Case::new(runtime);
        case.made.args(&["sh", "-c", "dd if=/dev/zero of=/dev/shm/x bs=1M count=16 2>/dev/null; sleep 100"]);
        case.start();
        let id = case.id();
        let used =
            |case: &Case| case.verb(&["exec", &id, "sh", "-c", "stat -c %s /dev/shm/x"]).stdout.trim() == "16777216";
        until("the use of memory", || used(&case));
        let file = case
            .scratch
            .file("r.json", json!({ "memory": { "limit": 8_388_608, "checkBeforeUpdate": true } }).to_string());
        let output = case.update(&["-r", &file.to_string_lossy()]);
        assert_ne!(output.code, 0, "{}: accepted", runtime.0);
        assert_eq!(case.limits()["memory"], "67108864", "{}: {}", runtime.0, output.stderr);
        let state: Value = serde_json::from_str(&case.verb(&["state", &id]).ok()).expect("state");
        assert_eq!(state["status"], "running", "{}", runtime.0);
        case.delete();
    }
}

fn keys(value: &Value, prefix: &str, out: &mut Vec<String>) {
    if let Value::Object(map) = value {
        for (key, inner) in map {
            // Counters of memory.stat differ by kernel, not by runtime; blkio depends on what has been read so far.
            let path = format!("{prefix}/{key}");
            if !path.starts_with("/data/blkio/io") && !path.starts_with("/data/memory/raw/") {
                keys(inner, &path, out);
                out.push(path);
            }
        }
    }
}

/// The same shape as runc's, and figures that are alive.
#[test]
fn stats_are_runcs() {
    let mut shapes = Vec::new();
    for runtime in runtimes().into_iter().filter(|r| r.0 != "crun") {
        let mut case = Case::new(runtime);
        case.made.set("/linux/resources/pids", json!({ "limit": 77 }));
        case.made.args(&[
            "sh",
            "-c",
            "i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done; echo > /dev/shm/done; sleep 100",
        ]);
        case.start();
        let done = "until test -e /dev/shm/done; do sleep 0.05; done";
        case.verb(&["exec", &case.id(), "sh", "-c", done]).ok();
        let output = case.verb(&["events", "--stats", &case.id()]).ok();
        assert_eq!(output.lines().count(), 1, "{output}");
        let stats: Value = serde_json::from_str(&output).expect("JSON");
        assert_eq!((&stats["type"], stats["id"].as_str()), (&json!("stats"), Some(case.id().as_str())));
        let data = &stats["data"];
        assert_eq!(
            (&data["pids"]["limit"], &data["memory"]["usage"]["limit"]),
            (&json!(77), &json!(67_108_864)),
            "{}",
            runtime.0
        );
        assert!(data["cpu"]["usage"]["total"].as_u64().is_some_and(|n| n > 1_000_000), "{}: {output}", runtime.0);
        assert!(data["memory"]["raw"].as_object().is_some_and(|raw| raw.len() > 10), "{output}");
        if v2() {
            assert!(data["cpu"]["psi"]["some"]["total"].is_u64() && data["memory"]["psi"].is_object(), "{output}");
        }
        let mut shape = Vec::new();
        keys(&stats, "", &mut shape);
        shapes.push((runtime.0, shape));
        case.delete();
    }
    let (_, ours) = &shapes[0];
    for (peer, theirs) in &shapes[1..] {
        // Left out when zero: throttling and the cache depend on the moment.
        let stable = |list: &[String]| -> Vec<String> {
            let of_the_moment = |k: &str| {
                k.contains("throttl") || k.ends_with("/cache") || k.contains("/psi/") || k.contains("kernel/")
            };
            list.iter().filter(|k| !of_the_moment(k)).cloned().collect()
        };
        assert_eq!(stable(ours), stable(theirs), "ours (left) and {peer}");
    }
}

/// `events` says oom when the kernel kills, prints figures at each interval, and ends with the container.
#[test]
fn oom_is_an_event() {
    for runtime in runtimes().into_iter().filter(|r| r.0 != "crun") {
        let mut case = Case::new(runtime);
        case.made.set("/linux/resources/memory", json!({ "limit": 20_971_520, "swap": 20_971_520 }));
        case.made.args(&["sh", "-c", "until [ -e /dev/shm/go ]; do sleep 0.1; done; tail /dev/zero; sleep 1"]);
        case.start();
        let out = case.scratch.join("events");
        let mut command = runtime.command(&case.scratch);
        command
            .args(["events", "--interval", "300ms", &case.id()])
            .stdout(std::fs::File::create(&out).expect("a file"));
        let mut child = command.spawn().expect("starts");
        let until = std::time::Instant::now() + std::time::Duration::from_secs(30);
        // A first figure: it watches.
        while std::fs::read_to_string(&out).unwrap_or_default().is_empty() && std::time::Instant::now() < until {
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        case.verb(&["exec", &case.id(), "touch", "/dev/shm/go"]).ok();
        loop {
            if let Some(status) = child.try_wait().expect("a child") {
                assert!(status.success(), "{}", runtime.0);
                break;
            }
            let lines = std::fs::read_to_string(&out).unwrap_or_default();
            if std::time::Instant::now() > until {
                child.kill().and_then(|()| child.wait().map(drop)).expect("ended");
                // runc on v1 waits until somebody deletes the group.
                assert_eq!(runtime.0, "runc", "does not end: {lines}");
                break;
            }
            if lines.contains("oom") && runtime.0 == "runc" && !v2() {
                case.delete();
            }
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
        let lines = std::fs::read_to_string(&out).expect("lines");
        let events: Vec<Value> = lines.lines().map(|l| serde_json::from_str(l).expect("JSON")).collect();
        let of = |kind: &str| events.iter().filter(|e| e["type"] == kind).count();
        assert!(of("oom") >= 1 && of("stats") >= 1, "{}: {lines}", runtime.0);
        case.delete();
    }
}
