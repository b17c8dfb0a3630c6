//! `linux.resources` and `linux.cgroupsPath` under plimrun, runc and crun: what the kernel's files say, on cgroup v1 here and on
//! v2 in the guest; signals that reach everybody.
#![cfg(feature = "privileged")]

use plimsoll_testkit::runtimes::{Runtime, runtimes};
use plimsoll_testkit::{Bundle, Output, Scratch, bundle, run, until};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

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
        made.args(&["sleep", "100"]);
        Case { scratch, made, runtime }
    }

    fn id(&self) -> String {
        self.scratch.id(self.runtime.0)
    }

    fn start(&self) -> Output {
        let bundle = self.made.path.to_string_lossy().into_owned();
        self.verb(&["run", "--detach", "--bundle", &bundle, &self.id()])
    }

    fn verb(&self, args: &[&str]) -> Output {
        run(self.runtime.command(&self.scratch).args(args))
    }

    fn group(&self, tree: &str) -> PathBuf {
        let group =
            self.made.config["linux"]["cgroupsPath"].as_str().expect("a path").trim_start_matches('/').to_owned();
        let root = PathBuf::from("/sys/fs/cgroup");
        if v2() { root.join(group) } else { root.join(tree).join(group) }
    }

    /// A control file: tree and name on v1, name on v2. None when the kernel has it not.
    fn file(&self, tree: &str, v1: &str, v2_name: &str) -> Option<String> {
        let path = self.group(tree).join(if v2() { v2_name } else { v1 });
        std::fs::read_to_string(path).ok().map(|text| text.trim_end().to_owned())
    }

    fn delete(&self) {
        self.verb(&["delete", "--force", &self.id()]).ok();
    }
}

/// Starts a bundle with this field of `linux.resources` under each runtime; `look` reads what is compared. Gives ours.
#[track_caller]
fn same<T: PartialEq + std::fmt::Debug>(field: &str, value: &Value, look: impl Fn(&Case) -> T) -> T {
    let mut seen = Vec::new();
    for runtime in runtimes() {
        let mut case = Case::new(runtime);
        case.made.set(&format!("/linux/resources/{field}"), value.clone());
        let output = case.start();
        assert_eq!(output.code, 0, "{}: {}", runtime.0, output.stderr);
        seen.push((runtime.0, look(&case)));
        case.delete();
        assert!(!case.group("memory").exists(), "{}: the cgroup is still there", runtime.0);
    }
    let (first, ours) = seen.remove(0);
    for (peer, theirs) in seen {
        assert_eq!(ours, theirs, "{first} (left) and {peer}");
    }
    ours
}

#[test]
fn memory() {
    let look = |case: &Case| {
        [
            ("memory.limit_in_bytes", "memory.max"),
            ("memory.memsw.limit_in_bytes", "memory.swap.max"),
            ("memory.soft_limit_in_bytes", "memory.low"),
        ]
        .map(|(v1, v2)| case.file("memory", v1, v2))
    };
    for memory in [
        json!({ "limit": 33_554_432, "swap": 67_108_864, "reservation": 16_777_216 }),
        json!({ "limit": 33_554_432, "swap": 33_554_432 }),
        json!({ "limit": 33_554_432, "swap": -1 }),
        json!({ "limit": -1 }),
        json!({ "limit": 33_554_432 }),
        json!({ "reservation": 16_777_216 }),
    ] {
        same("memory", &memory, look);
    }
}

#[test]
fn cpu() {
    let look = |case: &Case| {
        [
            ("cpu.shares", "cpu.weight"),
            ("cpu.cfs_quota_us", "cpu.max"),
            ("cpu.cfs_period_us", "cpu.max"),
            ("cpu.cfs_burst_us", "cpu.max.burst"),
            ("cpu.idle", "cpu.idle"),
        ]
        .map(|(v1, v2)| case.file("cpu", v1, v2))
    };
    for cpu in [
        json!({ "shares": 2 }),
        json!({ "shares": 100 }),
        json!({ "shares": 1024 }),
        json!({ "shares": 5000 }),
        json!({ "shares": 262_144 }),
        json!({ "quota": 25_000 }),
        json!({ "quota": 25_000, "period": 50_000, "burst": 10_000 }),
        json!({ "quota": -1, "period": 50_000 }),
        json!({ "idle": 1 }),
    ] {
        same("cpu", &cpu, look);
    }
}

#[test]
fn cpuset() {
    let look = |case: &Case| {
        [case.file("cpuset", "cpuset.cpus", "cpuset.cpus"), case.file("cpuset", "cpuset.mems", "cpuset.mems")]
    };
    let seen = same("cpu", &json!({ "cpus": "1", "mems": "0" }), look);
    assert_eq!(seen, [Some("1".into()), Some("0".into())]);
}

#[test]
fn pids() {
    let look = |case: &Case| case.file("pids", "pids.max", "pids.max");
    for (limit, file) in [(20, "20"), (-1, "max")] {
        assert_eq!(same("pids", &json!({ "limit": limit }), look).as_deref(), Some(file));
    }
    // crun leaves 0 out; runc, as we, means 1 by it.
    for runtime in runtimes().into_iter().filter(|r| r.0 != "crun") {
        let mut case = Case::new(runtime);
        case.made.set("/linux/resources/pids", json!({ "limit": 0 }));
        case.start();
        assert_eq!(look(&case).as_deref(), Some("1"), "{}", runtime.0);
        case.delete();
    }
}

/// A device of this machine with a queue, as `major:minor`.
fn disk() -> Option<(u64, u64)> {
    let entries = std::fs::read_dir("/sys/block").ok()?.flatten();
    let found = entries
        .filter(|e| e.path().join("device").exists())
        .find_map(|e| std::fs::read_to_string(e.path().join("dev")).ok())?;
    let (major, minor) = found.trim().split_once(':')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

#[test]
fn io() {
    let (major, minor) = disk().expect("a disk");
    let look = |case: &Case| {
        ["read_bps", "write_iops"].map(|name| case.file("blkio", &format!("blkio.throttle.{name}_device"), "io.max"))
    };
    let rate = |rate: u64| json!([{ "major": major, "minor": minor, "rate": rate }]);
    let seen = same(
        "blockIO",
        &json!({ "throttleReadBpsDevice": rate(1_048_576), "throttleWriteIOPSDevice": rate(500) }),
        look,
    );
    assert!(seen[0].as_deref().is_some_and(|text| text.contains("1048576")), "{seen:?}");
}

#[test]
fn io_weight() {
    if !v2() {
        // Without BFQ, v1 has no weights; with it the file is compared by the guest's v2 all the same.
        return;
    }
    let look = |case: &Case| [case.file("", "", "io.bfq.weight"), case.file("", "", "io.weight")];
    for weight in [10, 500, 1000] {
        same("blockIO", &json!({ "weight": weight }), look);
    }
}

#[test]
fn huge_pages() {
    if !v2() {
        return;
    }
    // Reservations are counted apart; crun leaves those without limit.
    let look = |case: &Case| {
        let reserved = case.file("", "", "hugetlb.2MB.rsvd.max").filter(|_| case.runtime.0 != "crun");
        (case.file("", "", "hugetlb.2MB.max"), reserved.unwrap_or_else(|| "4194304".into()))
    };
    let seen = same("hugepageLimits", &json!([{ "pageSize": "2MB", "limit": 4_194_304 }]), look);
    assert_eq!((seen.0.as_deref(), seen.1.as_str()), (Some("4194304"), "4194304"));
}

/// v2 files by name; what is no limit, or not there, is refused by key and leaves nothing.
#[test]
fn unified() {
    let key = |key: &str, value: &str| json!({ key: value });
    if v2() {
        let look = |case: &Case| ["memory.high", "pids.max", "io.max"].map(|name| case.file("", "", name));
        let unified = json!({ "memory.high": "16777216", "pids.max": "33" });
        let seen = same("unified", &unified, look);
        assert_eq!(seen[0].as_deref(), Some("16777216"));
    }
    for (bad, says) in [
        (key("cgroup.procs", "1"), "is not a limit"),
        (key("../memory.high", "1"), "no slashes"),
        (key("memory", "1"), "CONTROLLER.PARAMETER"),
        (key("no_such.max", "1"), if v2() { "not available" } else { "v1" }),
        (key("memory.high", "lots"), if v2() { "memory.high" } else { "v1" }),
    ] {
        let mut case = Case::new(OURS);
        case.made.set("/linux/resources/unified", bad.clone());
        let output = case.start();
        assert!(output.code == 1 && output.stderr.contains(says), "{bad}: {}", output.stderr);
        assert!(output.stderr.contains("/linux/resources/unified"), "{bad}: {}", output.stderr);
        assert_eq!(case.scratch.lasting(), Vec::<String>::new(), "{bad}");
    }
}

#[test]
fn what_the_version_has_not_is_refused() {
    let refused: &[(&str, Value, &str)] = if v2() {
        &[
            ("network", json!({ "classID": 1_048_577 }), "/linux/resources/network"),
            ("cpu", json!({ "realtimeRuntime": 1000 }), "/linux/resources/cpu"),
        ]
    } else {
        &[
            ("network", json!({ "classID": 1_048_577 }), "no net_cls controller"),
            ("rdma", json!({ "mlx": { "hcaHandles": 1 } }), "no rdma controller"),
            ("hugepageLimits", json!([{ "pageSize": "2MB", "limit": 0 }]), "no hugetlb controller"),
        ]
    };
    for (field, value, says) in refused {
        let mut case = Case::new(OURS);
        case.made.set(&format!("/linux/resources/{field}"), value.clone());
        let output = case.start();
        assert!(output.code == 1 && output.stderr.contains(says), "{field}: {}", output.stderr);
        assert_eq!(case.scratch.lasting(), Vec::<String>::new());
    }
}

/// The smallest limit that a container is asked for in practice, in pages of the program alone.
#[test]
fn half_a_mebibyte_of_memory() {
    for command in ["create", "run"] {
        let mut case = Case::new(OURS);
        case.made.set("/linux/resources/memory", json!({ "limit": 524_288, "swap": 524_288 }));
        case.made.args(&["/bin/true"]);
        let bundle = case.made.path.to_string_lossy().into_owned();
        let output = case.verb(&[command, "--bundle", &bundle, &case.id()]);
        assert_eq!(output.code, 0, "{command}: {}", output.stderr);
        if command == "create" {
            assert_eq!(case.verb(&["start", &case.id()]).code, 0);
        }
        case.delete();
    }
}

/// Relative: beside (v2) or below (v1) the caller's own group, as runc has it.
#[test]
fn a_relative_path() {
    for runtime in runtimes().into_iter().filter(|r| r.0 != "crun") {
        let mut case = Case::new(runtime);
        let name = format!("{}/rel", case.scratch.cgroup_prefix());
        case.made.set("/linux/cgroupsPath", json!(name));
        case.start().ok();
        let state: Value = serde_json::from_str(&case.verb(&["state", &case.id()]).ok()).expect("state");
        let groups = std::fs::read_to_string(format!("/proc/{}/cgroup", state["pid"])).expect("its groups");
        let line =
            groups.lines().find(|l| if v2() { l.starts_with("0::") } else { l.contains(":memory:") }).expect("a line");
        let own = std::fs::read_to_string("/proc/self/cgroup").expect("ours");
        let own =
            own.lines().find(|l| if v2() { l.starts_with("0::") } else { l.contains(":memory:") }).expect("a line");
        let own = Path::new(own.rsplit(':').next().expect("a path"));
        let base = if v2() { own.parent().unwrap_or(own) } else { own };
        assert_eq!(line.rsplit(':').next().map(PathBuf::from), Some(base.join(name)), "{}", runtime.0);
        case.delete();
    }
}

/// Forty chains of processes, each of which starts the next and ends: by the time a list of them is read, it is old.
const BOMB: &str = "f() { usleep 3000; f & }; for i in $(seq 40); do f & done; sleep 1000";

fn bomb() -> Case {
    let mut case = Case::new(OURS);
    // The container's processes are the host's: nothing dies with its init.
    let namespaces = json!([{ "type": "mount" }, { "type": "ipc" }, { "type": "uts" }]);
    case.made.set("/linux/namespaces", namespaces);
    case.made.set("/linux/resources/pids", json!({ "limit": 1000 }));
    case.made.args(&["sh", "-c", BOMB]);
    case.start().ok();
    until("the bomb", || processes(&case) >= 30);
    case
}

fn processes(case: &Case) -> usize {
    std::fs::read_to_string(case.group("pids").join("cgroup.procs")).map_or(0, |text| text.lines().count())
}

#[test]
fn kill_all_reaches_a_fork_bomb() {
    let case = bomb();
    case.verb(&["kill", "--all", &case.id(), "KILL"]).ok();
    until("the end of all processes", || processes(&case) == 0);
    case.delete();
}

#[test]
fn delete_ends_a_fork_bomb() {
    let case = bomb();
    case.delete();
    assert!(!case.group("pids").exists());
    assert_eq!(case.scratch.lasting(), Vec::<String>::new());
}

/// SIGKILL ends a paused container; other signals wait until it goes on.
#[test]
fn signals_and_the_freezer() {
    // crun 1.28 leaves a killed container frozen on v1.
    for runtime in runtimes().into_iter().filter(|r| r.0 != "crun" || v2()) {
        let case = Case::new(runtime);
        case.start().ok();
        let status = || -> String {
            let state: Value = serde_json::from_str(&case.verb(&["state", &case.id()]).ok()).expect("state");
            state["status"].as_str().unwrap_or_default().to_owned()
        };
        case.verb(&["pause", &case.id()]).ok();
        assert_eq!(status(), "paused", "{}", runtime.0);
        case.verb(&["resume", &case.id()]).ok();
        assert_eq!(status(), "running", "{}", runtime.0);
        case.verb(&["pause", &case.id()]).ok();
        case.verb(&["kill", &case.id(), "KILL"]).ok();
        until(runtime.0, || status() == "stopped");
        case.delete();
    }
}
