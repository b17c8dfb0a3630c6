//! Paths of the image that lead elsewhere.

use super::harness::Case;
use plimsoll_testkit::run;
use plimsoll_testkit::runtimes::Runtime;
use serde_json::json;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

/// CVE-2019-16884, CVE-2025-52881: what lies over `/proc` swallows what the runtime writes there.
pub(super) fn cve_2019_16884(runtime: Runtime) {
    for (destination, kind) in
        [("/proc", "tmpfs"), ("/proc/sys", "tmpfs"), ("/proc/self/attr", "tmpfs"), ("/proc/sys", "bind")]
    {
        let mut case = Case::new(runtime);
        case.made.set("/linux/sysctl", json!({ "net.ipv4.ip_forward": "1" }));
        let (source, options) = match kind {
            "bind" => (json!(case.victim), json!(["rbind"])),
            _ => (json!("tmpfs"), json!([])),
        };
        case.add_mount(json!({ "destination": destination, "type": kind, "source": source, "options": options }));
        case.sh("echo started");
        let output = case.run();
        assert!(output.code != 0 && output.stdout.is_empty(), "{kind} over {destination}: {output:?}");
        case.host_is_untouched();
    }
}

/// CVE-2019-19921, CVE-2023-27561, CVE-2023-28642: `/proc` or `/sys` of the image is a symlink.
pub(super) fn cve_2023_27561(runtime: Runtime) {
    for (path, target) in [("proc", "tmp"), ("proc", "/tmp"), ("sys", "tmp"), ("proc", "/../../../../victim")] {
        let mut case = Case::new(runtime);
        case.replace_by_link(path, target);
        case.sh("echo started");
        let output = case.run();
        assert!(output.code != 0 && output.stdout.is_empty(), "/{path} -> {target}: {output:?}");
        case.host_is_untouched();
    }
}

/// A `/dev` whose entries the image chose, bound over the container's.
pub(super) fn foreign_dev(case: &mut Case) -> PathBuf {
    let dev = case.scratch.dir("dev");
    std::fs::create_dir_all(dev.join("pts")).expect("a folder");
    std::fs::create_dir_all(dev.join("shm")).expect("a folder");
    std::fs::create_dir_all(dev.join("mqueue")).expect("a folder");
    for mount in case.mounts() {
        if mount["destination"] == "/dev" {
            *mount = json!({ "destination": "/dev", "type": "bind", "source": dev, "options": ["rbind", "rw"] });
        }
    }
    case.made.write();
    dev
}

/// CVE-2025-31133: the `/dev/null` that masks a path is a symlink, and its target shows up there, writable.
pub(super) fn cve_2025_31133(runtime: Runtime) {
    let mut case = Case::new(runtime);
    std::fs::write(case.rootfs("etc/secret"), "secret").expect("a file");
    let dev = foreign_dev(&mut case);
    symlink("/etc/secret", dev.join("null")).expect("a symlink");
    case.made.set("/linux/maskedPaths", json!(["/proc/keys", "/proc/timer_list"]));
    case.sh("cat /proc/keys /proc/timer_list; echo started");
    let output = case.run();
    assert!(output.code != 0 || !output.stdout.contains("secret"), "{output:?}");
    assert_eq!(std::fs::read_to_string(case.rootfs("etc/secret")).expect("the file"), "secret");
}

/// CVE-2025-52565: `/dev/console` or the pts behind it is something else when it is bound.
pub(super) fn cve_2025_52565(runtime: Runtime) {
    let mut case = Case::new(runtime);
    std::fs::write(case.rootfs("etc/secret"), "secret").expect("a file");
    let dev = foreign_dev(&mut case);
    symlink("/etc/secret", dev.join("console")).expect("a symlink");
    case.made.set("/process/terminal", json!(true));
    case.sh("test -c /etc/secret && echo bound; echo started");
    let mut inner = case.runtime.command(&case.scratch);
    inner.arg("run").arg("--bundle").arg(&case.made.path).arg(case.scratch.id("it"));
    let words = std::iter::once(inner.get_program()).chain(inner.get_args());
    let line: Vec<String> = words.map(|word| format!("'{}'", word.to_string_lossy())).collect();
    let output = run(case.scratch.command("script").args(["-qec", &line.join(" "), "/dev/null"]));
    assert!(!output.stdout.contains("bound"), "{output:?}");
    assert_eq!(std::fs::read_to_string(case.rootfs("etc/secret")).expect("the file"), "secret");
}

/// CVE-2026-41579, CVE-2026-47766: `/dev` of the image leads out, and the runtime makes its devices there.
pub(super) fn cve_2026_41579(runtime: Runtime) {
    for with_mounts in [false, true] {
        let mut case = Case::new(runtime);
        let victim = case.victim.clone();
        for target in [Path::new("../../victim"), &victim] {
            case.replace_by_link("dev", target);
            if !with_mounts {
                case.without_mounts_below("/dev");
            }
            case.sh("true");
            drop(case.run());
            case.host_is_untouched();
        }
    }
}

/// CVE-2019-18837, CVE-2024-45310 and the plain form of CVE-2021-30465: mount points that lead out.
pub(super) fn cve_2019_18837(runtime: Runtime) {
    let mut case = Case::new(runtime);
    let victim = case.victim.clone();
    let source = case.scratch.dir("source");
    for target in [Path::new("../../../victim"), &victim, Path::new("/../../../victim")] {
        for (kind, options) in [("tmpfs", json!([])), ("bind", json!(["rbind"]))] {
            std::fs::create_dir_all(case.rootfs("data")).expect("a folder");
            case.replace_by_link("data/out", target);
            let mount = json!({ "destination": "/data/out/made", "type": kind, "source": source, "options": options });
            case.add_mount(mount);
            case.sh("true");
            drop(case.run());
            case.host_is_untouched();
            case.mounts().pop();
        }
    }
}

/// CVE-2025-52881: a mount over `/proc/self/attr` or a sysctl's file swallows or redirects what the runtime writes there.
pub(super) fn cve_2025_52881(runtime: Runtime) {
    for destination in ["/proc/self/attr", "/proc/sys/net", "/proc/thread-self", "/proc/sys/net/ipv4/ip_forward"] {
        let mut case = Case::new(runtime);
        case.made.set("/linux/sysctl", json!({ "net.ipv4.ip_forward": "1" }));
        let file = case.victim.join("file");
        case.add_mount(json!({ "destination": destination, "type": "bind", "source": file, "options": ["bind"] }));
        case.sh("echo started");
        let output = case.run();
        assert!(output.code != 0 && output.stdout.is_empty(), "over {destination}: {output:?}");
        case.host_is_untouched();
    }
}

/// CVE-2025-24965: a file that the runtime writes for a handler into the root filesystem is a symlink that leads out.
pub(super) fn cve_2025_24965(runtime: Runtime) {
    let mut case = Case::new(runtime);
    case.made.set("/annotations", json!({ "run.oci.handler": "krun", "krun.cpus": "1" }));
    for target in [case.victim.join("file"), case.victim.join("new")] {
        case.replace_by_link(".krun_config.json", target);
        case.sh("true");
        // Whether a handler that is not there is an error is the runtime's to decide.
        drop(case.run());
        case.host_is_untouched();
    }
}
