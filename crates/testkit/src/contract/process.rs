//! `process`: the program, its identity, its limits.

use super::{Case, as_it_is, capabilities, remove, writable};
use serde_json::json;

const PROCESS: &str = "config.md#process";
const POSIX: &str = "config.md#posix-process";
const USER: &str = "config.md#posix-platform-user";
const LINUX: &str = "config.md#linux-process";

const STATUS: &str = "grep -E '^Cap(Inh|Prm|Eff|Bnd|Amb)' /proc/self/status | sed 's/.*\t0*//'";

#[rustfmt::skip]
pub(super) fn cases() -> Vec<Case> {
    [program(), environment(), directory(), user(), powers(), limits()].into_iter().flatten().collect()
}

#[rustfmt::skip]
fn program() -> Vec<Case> {
    vec![
        Case::run("args-exact", PROCESS, |b| { b.args(&["sh", "-c", "printf '<%s>' \"$@\"", "name", "a b", "", "c\nd", "é"]); }, "", "<a b><><c\nd><é>"),
        Case::run("args-from-path", PROCESS, |b| { b.set("/process/env", json!(["PATH=/nowhere:/bin"])).args(&["echo", "found"]); }, "", "found\n"),
        Case::run("args-absolute", PROCESS, |b| { b.set("/process/env", json!([])).args(&["/bin/echo", "found"]); }, "", "found\n"),
        Case::run("args-relative-to-cwd", PROCESS, |b| { b.set("/process/cwd", json!("/bin")).args(&["./echo", "found"]); }, "", "found\n"),
        Case::run("args-of-100-kilobytes", PROCESS, |b| { let long = "x".repeat(100_000); b.args(&["sh", "-c", "echo ${#1}", "sh", &long]); }, "", "100000\n"),
        Case::refused("args-empty", PROCESS, |b| { b.set("/process/args", json!([])); }),
        Case::refused("args-absent", PROCESS, |b| remove(b, "/process/args")),
        Case::refused("args-no-such-program", PROCESS, |b| { b.args(&["no-such-program"]); }),
        Case::refused("args-not-executable", PROCESS, |b| { b.args(&["/etc/passwd"]); }),
        Case::refused("args-a-folder", PROCESS, |b| { b.args(&["/etc"]); }),
        Case::refused("args-of-a-list-of-numbers", PROCESS, |b| { b.set("/process/args", json!([1])); }),
        Case::refused("process-absent", PROCESS, |b| remove(b, "/process")),
        Case::run("pid-1-and-session-leader", PROCESS, as_it_is, "echo $$; cut -d' ' -f5,6 /proc/self/stat", "1\n1 1\n"),
        Case::run("exit-code", "runtime.md#lifecycle", as_it_is, "exit 42", "exit 42\n"),
        Case::run("exit-code-255", "runtime.md#lifecycle", as_it_is, "exit 255", "exit 255\n"),
        Case::run("killed-by-a-signal", "runtime.md#lifecycle", as_it_is, "sh -c 'kill -9 $$'; echo $?", "137\n"),
        Case::run("signals-not-blocked", PROCESS, as_it_is, "grep SigBlk /proc/self/status", "SigBlk:\t0000000000000000\n"),
        Case::run("signals-not-ignored", PROCESS, as_it_is, "grep SigIgn /proc/self/status | tail -c 8", "0000000\n").argued("None of the first 28 signals; the highest are the caller's C library's own."),
        Case::run("no-parent-death-signal", PROCESS, as_it_is, "sleep 0.1; echo alive", "alive\n"),
        Case::run("personality-32-bit", "config-linux.md#personality", |b| { b.set("/linux/personality", json!({ "domain": "LINUX32" })); }, "uname -m", "i686\n"),
        Case::refused("personality-unknown", "config-linux.md#personality", |b| { b.set("/linux/personality", json!({ "domain": "LINUX16" })); }),
    ]
}

#[rustfmt::skip]
fn environment() -> Vec<Case> {
    vec![
        Case::run("args-without-path-are-not-of-the-working-folder", PROCESS, |b| { b.set("/process/env", json!([])).set("/process/cwd", json!("/bin")).args(&["echo", "found"]); }, "", "exit 1\n"),
        Case::run("env-exact", PROCESS, |b| { b.set("/process/env", json!(["PATH=/bin", "A=b c", "EMPTY=", "EQUALS=a=b", "HOME=/nowhere"])).args(&["env"]); }, "",
            "PATH=/bin\nA=b c\nEMPTY=\nEQUALS=a=b\nHOME=/nowhere\n"),
        Case::run("env-last-of-two", PROCESS, |b| { b.set("/process/env", json!(["PATH=/bin", "A=1", "A=2", "HOME=/"])).args(&["env"]); }, "", "PATH=/bin\nA=2\nHOME=/\n"),
        Case::run("env-home-from-passwd", PROCESS, |b| { b.set("/process/env", json!(["PATH=/bin"])).set("/process/user", json!({ "uid": 1000, "gid": 1000 })); }, "echo $HOME", "/home/user\n"),
        Case::run("env-home-empty", PROCESS, |b| { b.set("/process/env", json!(["PATH=/bin", "HOME="])).set("/process/user", json!({ "uid": 1000, "gid": 1000 })); }, "echo $HOME", "/home/user\n"),
        Case::run("env-home-of-an-unknown-user", PROCESS, |b| { b.set("/process/env", json!(["PATH=/bin"])).set("/process/user", json!({ "uid": 4711, "gid": 4711 })); }, "echo $HOME", "/\n"),
        Case::run("env-newline-in-a-value", PROCESS, |b| { b.set("/process/env", json!(["PATH=/bin", "A=b\nc:d"])); }, "echo \"$A\"; wc -l < /etc/passwd", "b\nc:d\n2\n"),
        Case::run("env-of-the-caller-stays-out", PROCESS, as_it_is, "env | grep -c -E 'CARGO|PLIMSOLL|SSH' || true", "0\n"),
        Case::run("env-not-ascii", PROCESS, |b| { b.set("/process/env", json!(["PATH=/bin", "A=grüße"])); }, "echo $A", "grüße\n"),
    ]
}

#[rustfmt::skip]
fn directory() -> Vec<Case> {
    vec![
        Case::run("cwd", PROCESS, |b| { b.set("/process/cwd", json!("/var/tmp")); }, "pwd", "/var/tmp\n"),
        Case::run("cwd-missing-is-made", PROCESS, |b| { writable(b); b.set("/process/cwd", json!("/made/for/me")); }, "pwd; stat -c '%a %u' /made/for/me", "/made/for/me\n755 0\n"),
        Case::run("cwd-missing-is-roots", PROCESS, |b| { writable(b); b.set("/process/cwd", json!("/made")).set("/process/user", json!({ "uid": 1000, "gid": 1000 })); }, "stat -c %u /made", "0\n"),
        Case::refused("cwd-relative", PROCESS, |b| { b.set("/process/cwd", json!("tmp")); }),
        Case::refused("cwd-a-file", PROCESS, |b| { b.set("/process/cwd", json!("/etc/passwd")); }),
        Case::refused("cwd-absent", PROCESS, |b| remove(b, "/process/cwd")),
        Case::run("cwd-through-a-symlink", PROCESS, |b| { std::os::unix::fs::symlink("/var/tmp", b.path.join("rootfs/link")).expect("a link"); b.set("/process/cwd", json!("/link")); }, "/bin/pwd -P", "/var/tmp\n"),
        Case::run("cwd-that-only-the-user-may-enter", PROCESS, |b| {
            std::fs::set_permissions(b.path.join("rootfs/home/user"), std::os::unix::fs::PermissionsExt::from_mode(0o700)).expect("a mode");
            std::os::unix::fs::chown(b.path.join("rootfs/home/user"), Some(1000), Some(1000)).expect("an owner");
            b.set("/process/user", json!({ "uid": 1000, "gid": 1000 })).set("/process/cwd", json!("/home/user"));
        }, "pwd", "/home/user\n"),
    ]
}

#[rustfmt::skip]
fn user() -> Vec<Case> {
    vec![
        Case::run("user-ids", USER, |b| { b.set("/process/user", json!({ "uid": 1000, "gid": 1001 })); }, "id -u; id -g; id -G", "1000\n1001\n1001\n"),
        Case::run("user-additional-groups", USER, |b| { b.set("/process/user", json!({ "uid": 1, "gid": 2, "additionalGids": [7, 5, 7000] })); }, "grep Groups /proc/self/status", "Groups:\t5 7 7000 \n"),
        Case::run("user-no-groups-of-the-caller", USER, as_it_is, "grep Groups /proc/self/status", "Groups:\t \n"),
        Case::run("user-all-four-ids", USER, |b| { b.set("/process/user", json!({ "uid": 7, "gid": 8 })); }, "grep -E '^[UG]id' /proc/self/status", "Uid:\t7\t7\t7\t7\nGid:\t8\t8\t8\t8\n"),
        Case::run("user-of-the-largest-id", USER, |b| { b.set("/process/user", json!({ "uid": 2_147_483_647_u32, "gid": 2_147_483_647_u32 })); }, "id -u", "2147483647\n"),
        Case::run("user-umask", USER, |b| { b.set("/process/user", json!({ "uid": 0, "gid": 0, "umask": 0o77 })); }, "umask", "0077\n"),
        Case::run("user-umask-by-default", USER, as_it_is, "umask", "0022\n"),
        Case::refused("user-id-a-string", USER, |b| { b.set("/process/user/uid", json!("root")); }),
        Case::refused("user-id-negative", USER, |b| { b.set("/process/user/uid", json!(-1)); }),
        Case::refused("user-id-beyond-32-bits", USER, |b| { b.set("/process/user/uid", json!(4_294_967_296_u64)); }),
        Case::run("user-owns-its-stdio", USER, |b| { b.set("/process/user", json!({ "uid": 1000, "gid": 1000 })); }, "echo out > /proc/self/fd/1", "out\n"),
    ]
}

#[rustfmt::skip]
fn powers() -> Vec<Case> {
    vec![
        Case::run("capabilities-sets", LINUX, |b| capabilities(b, &["CAP_KILL", "CAP_CHOWN"]), STATUS, "\n21\n21\n21\n\n"),
        Case::run("capabilities-none", LINUX, |b| remove(b, "/process/capabilities"), STATUS, "\n\n\n\n\n").argued("What was not given is not had. runc leaves the caller's."),
        Case::run("capabilities-ambient", LINUX, |b| {
            for set in ["bounding", "effective", "permitted", "inheritable", "ambient"] { b.set(&format!("/process/capabilities/{set}"), json!(["CAP_NET_BIND_SERVICE"])); }
            b.set("/process/user", json!({ "uid": 1000, "gid": 1000 }));
        }, STATUS, "400\n400\n400\n400\n400\n"),
        Case::run("capabilities-of-a-plain-user", LINUX, |b| { b.set("/process/user", json!({ "uid": 1000, "gid": 1000 })); }, STATUS, "\n\n\n20000420\n\n"),
        Case::run("capabilities-unknown-name", LINUX, |b| capabilities(b, &["CAP_KILL", "CAP_NONSENSE"]), STATUS, "\n20\n20\n20\n\n"),
        Case::run("capabilities-of-chown", LINUX, |b| { writable(b); capabilities(b, &[]); }, "chown 1 /tmp 2>&1 | sed 's/.*: //'", "Operation not permitted\n"),
        Case::run("no-new-privileges", LINUX, as_it_is, "grep NoNewPrivs /proc/self/status", "NoNewPrivs:\t1\n"),
        Case::run("new-privileges", LINUX, |b| { b.set("/process/noNewPrivileges", json!(false)); }, "grep NoNewPrivs /proc/self/status", "NoNewPrivs:\t0\n"),
        Case::run("no-new-privileges-holds-setuid", LINUX, |b| {
            // A file of its own: the applets are one file by many names.
            std::fs::remove_file(b.path.join("rootfs/bin/su")).expect("removes");
            std::fs::copy(b.path.join("rootfs/bin/busybox"), b.path.join("rootfs/bin/su")).expect("a copy");
            std::fs::set_permissions(b.path.join("rootfs/bin/su"), std::os::unix::fs::PermissionsExt::from_mode(0o4755)).expect("a mode");
            b.set("/process/user", json!({ "uid": 1000, "gid": 1000 }));
        }, "su root -c id 2>&1 | head -1", "su: must be suid to work properly\n"),
        Case::refused("apparmor-on-a-host-without", LINUX, |b| { b.set("/process/apparmorProfile", json!("a-profile")); })
            .argued("A profile that cannot be applied must not be left out: the program would run unconfined. runc says so too."),
        Case::refused("selinux-on-a-host-without", LINUX, |b| { b.set("/process/selinuxLabel", json!("system_u:system_r:svirt_lxc_net_t:s0")); })
            .argued("As for AppArmor: a label that cannot be applied is refused rather than left out."),
    ]
}

#[rustfmt::skip]
fn limits() -> Vec<Case> {
    vec![
        Case::run("rlimits", POSIX, |b| { b.set("/process/rlimits", json!([{ "type": "RLIMIT_NOFILE", "soft": 100, "hard": 200 }, { "type": "RLIMIT_CORE", "soft": 0, "hard": 0 }])); }, "ulimit -Sn; ulimit -Hn; ulimit -c", "100\n200\n0\n"),
        Case::run("rlimits-many", POSIX, |b| { b.set("/process/rlimits", json!([{ "type": "RLIMIT_STACK", "soft": 1_048_576, "hard": 1_048_576 }, { "type": "RLIMIT_FSIZE", "soft": 4096, "hard": 4096 }, { "type": "RLIMIT_NPROC", "soft": 50, "hard": 60 }])); }, "ulimit -s; grep -E 'Max (file size|processes)' /proc/self/limits | tr -s ' '", "1024\nMax file size 4096 4096 bytes \nMax processes 50 60 processes \n"),
        Case::refused("rlimits-unknown", POSIX, |b| { b.set("/process/rlimits", json!([{ "type": "RLIMIT_NONSENSE", "soft": 1, "hard": 1 }])); }),
        Case::refused("rlimits-soft-above-hard", POSIX, |b| { b.set("/process/rlimits", json!([{ "type": "RLIMIT_NOFILE", "soft": 200, "hard": 100 }])); }),
        Case::refused("rlimits-given-twice", POSIX, |b| { b.set("/process/rlimits", json!([{ "type": "RLIMIT_NOFILE", "soft": 100, "hard": 100 }, { "type": "RLIMIT_NOFILE", "soft": 200, "hard": 200 }])); })
            .argued("The specification: duplicates of a type MUST generate an error."),
        Case::run("oom-score", LINUX, |b| { b.set("/process/oomScoreAdj", json!(500)); }, "cat /proc/self/oom_score_adj", "500\n"),
        Case::refused("oom-score-beyond-1000", LINUX, |b| { b.set("/process/oomScoreAdj", json!(2000)); }),
        Case::run("scheduler-batch", LINUX, |b| { b.set("/ociVersion", json!("1.1.0")).set("/process/scheduler", json!({ "policy": "SCHED_BATCH", "nice": 5 })); }, "cut -d' ' -f19,41 /proc/self/stat", "5 3\n"),
        Case::refused("scheduler-unknown", LINUX, |b| { b.set("/ociVersion", json!("1.1.0")).set("/process/scheduler", json!({ "policy": "SCHED_NONSENSE" })); }),
        Case::run("io-priority", LINUX, |b| { b.set("/ociVersion", json!("1.1.0")).set("/process/ioPriority", json!({ "class": "IOPRIO_CLASS_BE", "priority": 6 })); }, "ionice -p 1", "best-effort: prio 6\n"),
        Case::refused("io-priority-unknown", LINUX, |b| { b.set("/ociVersion", json!("1.1.0")).set("/process/ioPriority", json!({ "class": "IOPRIO_CLASS_NONSENSE", "priority": 6 })); }),
        Case::run("affinity-is-the-cpusets", LINUX, |b| { b.set("/linux/resources/cpu", json!({ "cpus": "0" })); }, "grep Cpus_allowed_list /proc/self/status", "Cpus_allowed_list:\t0\n"),
    ]
}
