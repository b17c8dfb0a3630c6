//! Names that another process swaps while the runtime works: at least 10,000 swaps over 200 containers of ours, a fifth of that
//! for a peer.

use super::harness::Case;
use super::places::foreign_dev;
use plimsoll_testkit::bin;
use plimsoll_testkit::runtimes::Runtime;
use serde_json::json;
use std::os::unix::fs::symlink;
use std::path::Path;

const CONTAINERS: u64 = 200;
const SWAPS: u64 = 10_000;

/// Runs the container again and again while another process exchanges two names, and looks at the host each time.
fn race(case: &mut Case, one: &Path, other: &Path, check: impl Fn(&Case, &plimsoll_testkit::Output)) {
    let count = case.scratch.join("swaps");
    let mut flip = case.scratch.command(bin("flip"));
    flip.arg(one).arg(other).arg(&count);
    case.scratch.spawn(&mut flip);
    let swaps = || std::fs::read_to_string(&count).ok().and_then(|text| text.trim().parse::<u64>().ok()).unwrap_or(0);
    let part = if case.runtime.0 == "plimrun" { 1 } else { 5 };
    for _ in 0..CONTAINERS / part {
        let output = case.run();
        case.host_is_untouched();
        check(case, &output);
    }
    case.scratch.last_child().kill().expect("ends");
    assert!(swaps() >= SWAPS / part, "only {} swaps", swaps());
}

/// CVE-2021-30465, CVE-2024-45310: the mount point is swapped for a symlink that leads out.
pub(super) fn cve_2021_30465(runtime: Runtime) {
    let mut case = Case::new(runtime);
    let shared = case.scratch.dir("shared");
    let (real, link) = (shared.join("real"), shared.join("link"));
    std::fs::create_dir_all(&real).expect("a folder");
    symlink(&case.victim, &link).expect("a symlink");
    case.add_mount(json!({ "destination": "/shared", "type": "bind", "source": shared, "options": ["rbind"] }));
    for name in ["real/a", "real/b/c"] {
        let destination = format!("/shared/{name}");
        case.add_mount(json!({ "destination": destination, "type": "tmpfs", "source": "tmpfs", "options": [] }));
    }
    case.sh("true");
    race(&mut case, &real, &link, |_, _| {});
}

/// CVE-2019-19921: `/proc` of the image is swapped for a symlink, so that what is written to it goes elsewhere.
pub(super) fn cve_2019_19921(runtime: Runtime) {
    let mut case = Case::new(runtime);
    let (real, link) = (case.rootfs("proc"), case.rootfs("link"));
    symlink("../../../victim", &link).expect("a symlink");
    case.made.set("/linux/sysctl", json!({ "net.ipv4.ip_forward": "1" }));
    case.sh("cat /proc/sys/net/ipv4/ip_forward");
    // Started at all: then with the real /proc, in which the setting is.
    race(&mut case, &real, &link, |_, output| assert!(output.code != 0 || output.stdout == "1\n", "{output:?}"));
}

/// CVE-2025-31133, the race: `/dev/null` is swapped for a symlink between two looks at it.
pub(super) fn cve_2025_31133_race(runtime: Runtime) {
    let mut case = Case::new(runtime);
    std::fs::write(case.rootfs("etc/secret"), "secret").expect("a file");
    let dev = foreign_dev(&mut case);
    let (null, link) = (dev.join("null"), dev.join("link"));
    plimsoll_testkit::run(case.scratch.command("mknod").arg(&null).args(["c", "1", "3"])).ok();
    symlink("/etc/secret", &link).expect("a symlink");
    case.made.set("/linux/maskedPaths", json!(["/proc/keys", "/proc/timer_list"]));
    case.sh("cat /proc/keys /proc/timer_list");
    race(&mut case, &null, &link, |case, output| {
        assert!(output.code != 0 || output.stdout.is_empty(), "{output:?}");
        assert_eq!(std::fs::read_to_string(case.rootfs("etc/secret")).expect("the file"), "secret");
    });
}
