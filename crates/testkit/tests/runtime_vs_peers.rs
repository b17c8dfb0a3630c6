//! The same bundle under plimrun, runc and crun: same output, same exit code.
#![cfg(feature = "privileged")]

use plimsoll_testkit::compare::{Seen, same, sh};
use plimsoll_testkit::runtimes::runtimes;
use plimsoll_testkit::{Scratch, bundle};
use serde_json::json;

#[track_caller]
fn same_sh(script: &str) -> Seen {
    same(|made| sh(made, script))
}

#[test]
fn exit_codes() {
    for code in [0, 1, 42, 137] {
        assert_eq!(same_sh(&format!("exit {code}")).code, code);
    }
}

#[test]
fn a_child_that_dies_of_a_signal() {
    assert_eq!(same_sh("sh -c 'kill -9 $$'; echo $?").stdout, "137\n");
}

#[test]
fn stdout_and_stderr_are_passed_on() {
    assert_eq!(same_sh("echo out; echo err >&2").stdout, "out\n");
}

#[test]
fn environment() {
    let seen = same(|made| {
        made.set("/process/env", json!(["PATH=/bin", "GREETING=hello world", "EMPTY=", "EQUALS=a=b", "HOME=/nowhere"]));
        sh(made, "env | grep -v SHLVL | sort");
    });
    assert!(seen.stdout.contains("GREETING=hello world\n") && seen.stdout.contains("EQUALS=a=b\n"));
}

#[test]
fn home_comes_from_passwd_when_not_given() {
    let seen = same(|made| {
        made.set("/process/env", json!(["PATH=/bin"]));
        made.set("/process/user", json!({ "uid": 1000, "gid": 1000 }));
        sh(made, "echo $HOME");
    });
    assert_eq!(seen.stdout, "/home/user\n");
}

#[test]
fn the_command_is_found_in_the_containers_path() {
    let seen = same(|made| {
        made.set("/process/env", json!(["PATH=/nowhere:/usr/local/x:/bin"]));
        made.args(&["echo", "found"]);
    });
    assert_eq!(seen.stdout, "found\n");
}

#[test]
fn working_directory() {
    let seen = same(|made| {
        made.set("/process/cwd", json!("/var/tmp"));
        sh(made, "pwd; echo $PWD");
    });
    assert_eq!(seen.stdout, "/var/tmp\n/var/tmp\n");
}

#[test]
fn a_missing_working_directory_is_made() {
    let seen = same(|made| {
        made.set("/root/readonly", json!(false));
        made.set("/process/cwd", json!("/made/for/me"));
        sh(made, "pwd");
    });
    assert_eq!(seen.stdout, "/made/for/me\n");
}

#[test]
fn user_groups_and_umask() {
    let seen = same(|made| {
        made.set("/process/user", json!({ "uid": 1000, "gid": 1000, "additionalGids": [2000, 3000], "umask": 63 }));
        sh(made, "id -u; id -g; id -G; umask; grep -E '^(Uid|Gid|Groups)' /proc/self/status");
    });
    assert!(seen.stdout.starts_with("1000\n1000\n1000 2000 3000\n0077\n"), "{}", seen.stdout);
}

#[test]
fn capabilities_and_no_new_privileges() {
    let seen = same_sh("grep -E '^(Cap|NoNewPrivs|Seccomp:)' /proc/self/status");
    assert!(seen.stdout.contains("CapInh:\t0000000000000000\n"), "{}", seen.stdout);
    let user = same(|made| {
        made.set("/process/user", json!({ "uid": 1000, "gid": 1000 }));
        sh(made, "grep -E '^(Cap|NoNewPrivs|Seccomp:)' /proc/self/status");
    });
    assert!(user.stdout.contains("CapEff:\t0000000000000000\n"), "{}", user.stdout);
}

#[test]
fn ambient_capabilities_reach_a_plain_user() {
    let caps = json!(["CAP_NET_BIND_SERVICE"]);
    let seen = same(|made| {
        made.set("/process/user", json!({ "uid": 1000, "gid": 1000 }));
        for set in ["bounding", "effective", "permitted", "inheritable", "ambient"] {
            made.set(&format!("/process/capabilities/{set}"), caps.clone());
        }
        sh(made, "grep -E '^Cap' /proc/self/status");
    });
    assert!(seen.stdout.contains("CapEff:\t0000000000000400\n"), "{}", seen.stdout);
}

#[test]
fn rlimits() {
    let seen = same(|made| {
        made.set(
            "/process/rlimits",
            json!([{ "type": "RLIMIT_NOFILE", "soft": 100, "hard": 200 }, { "type": "RLIMIT_CORE", "soft": 0, "hard": 0 }]),
        );
        sh(made, "ulimit -Sn; ulimit -Hn; ulimit -c");
    });
    assert_eq!(seen.stdout, "100\n200\n0\n");
}

#[test]
fn hostname_and_domain() {
    let seen = same(|made| {
        made.set("/hostname", json!("a-name"));
        sh(made, "hostname");
    });
    assert_eq!(seen.stdout, "a-name\n");
}

#[test]
fn sysctl() {
    let seen = same(|made| {
        made.set("/linux/sysctl", json!({ "net.ipv4.ip_forward": "1", "kernel.msgmax": "16384" }));
        sh(made, "cat /proc/sys/net/ipv4/ip_forward /proc/sys/kernel/msgmax");
    });
    assert_eq!(seen.stdout, "1\n16384\n");
}

#[test]
fn devices() {
    let seen = same_sh(
        "cd /dev; for d in null zero full random urandom tty; do stat -c '%n %F %t:%T %a %u:%g' $d; done; \
         for l in fd stdin stdout stderr ptmx; do readlink $l; done; echo x > null && head -c 4 zero | wc -c",
    );
    assert!(seen.stdout.contains("null character special file 1:3 666 0:0\n"), "{}", seen.stdout);
}

#[test]
fn an_extra_device() {
    let seen = same(|made| {
        made.set(
            "/linux/devices",
            json!([{ "path": "/dev/mine", "type": "c", "major": 1, "minor": 5, "fileMode": 416, "uid": 7, "gid": 8 }]),
        );
        sh(made, "stat -c '%F %t:%T %a %u:%g' /dev/mine");
    });
    assert_eq!(seen.stdout, "character special file 1:5 640 7:8\n");
}

#[test]
fn descriptors_do_not_leak() {
    assert_eq!(same_sh("ls /proc/1/fd; true").stdout, "0\n1\n2\n");
}

#[test]
fn mounts() {
    // Mount point, its options and the file system: the rest depends on the order of making. What masks a path is free, and
    // runc leaves the folder of the v1 cgroups writable though the config says `ro`;
    // crun adds `nosymfollow` there.
    let seen = same_sh(
        "awk '{ split($0, half, \" - \"); split(half[2], fs, \" \"); gsub(\",nosymfollow\", \"\", $6); if ($5 ~ \"^/proc/[akt]|^/sys/f.*(p|e)$\") print $5; \
         else print $5, $6, fs[1] }' /proc/self/mountinfo | sort",
    );
    assert!(seen.stdout.contains("/dev/pts rw,nosuid,noexec,relatime devpts\n"), "{}", seen.stdout);
}

#[test]
fn mount_options() {
    let seen = same(|made| {
        let source = made.path.join("shared");
        std::fs::create_dir_all(source.join("sub")).expect("a folder");
        std::fs::write(source.join("file"), "text").expect("a file");
        let mounts = made.config.pointer_mut("/mounts").and_then(|m| m.as_array_mut()).expect("mounts");
        mounts.push(json!({ "destination": "/mnt/ro", "type": "bind", "source": source, "options": ["rbind", "ro"] }));
        mounts.push(
            json!({ "destination": "/mnt/rw", "type": "bind", "source": source, "options": ["bind", "rw", "nodev"] }),
        );
        let file = source.join("file");
        mounts.push(json!({ "destination": "/mnt/one", "type": "bind", "source": file, "options": ["bind", "ro"] }));
        let tmp = json!(["size=1m", "mode=700", "noexec"]);
        mounts.push(json!({ "destination": "/mnt/tmp", "type": "tmpfs", "source": "tmpfs", "options": tmp }));
        made.set("/root/readonly", json!(false));
        sh(
            made,
            "cat /mnt/ro/file /mnt/one; touch /mnt/ro/x || echo refused; touch /mnt/rw/x && rm /mnt/rw/x && echo written; \
             awk '$5 ~ \"^/mnt\" { print $5, $6 }' /proc/self/mountinfo | sort",
        );
    });
    assert!(seen.stdout.starts_with("texttextrefused\nwritten\n"), "{}", seen.stdout);
}

#[test]
fn masked_and_read_only_paths() {
    let seen = same(|made| {
        made.set(
            "/linux/maskedPaths",
            json!(["/proc/keys", "/proc/scsi", "/proc/timer_list", "/sys/firmware", "/not/here"]),
        );
        made.set("/linux/readonlyPaths", json!(["/proc/sys", "/proc/irq", "/not/here"]));
        sh(
            made,
            "wc -c < /proc/keys; wc -c < /proc/timer_list; ls /sys/firmware | wc -l; \
             (echo 1 > /proc/sys/kernel/msgmax) 2>&1 | sed 's/.*: //'",
        );
    });
    assert_eq!(seen.stdout, "0\n0\n0\nRead-only file system\n");
}

#[test]
fn read_only_root() {
    let seen = same_sh("touch /x 2>&1");
    assert_eq!(seen, Seen { code: 1, stdout: "touch: /x: Read-only file system\n".into() });
    let writable = same(|made| {
        made.set("/root/readonly", json!(false));
        sh(made, "echo yes > /x && cat /x && rm /x");
    });
    assert_eq!(writable.stdout, "yes\n");
}

#[test]
fn a_missing_command() {
    let seen = same(|made| {
        made.args(&["no-such-command"]);
    });
    assert_ne!(seen.code, 0);
}

#[test]
fn a_command_that_cannot_be_executed() {
    let seen = same(|made| {
        made.args(&["/etc/passwd"]);
    });
    assert_ne!(seen.code, 0);
}

#[test]
fn memory_limit() {
    let seen = same(|made| {
        made.set("/linux/resources/memory", json!({ "limit": 20_971_520, "swap": 20_971_520 }));
        made.args(&["tail", "/dev/zero"]);
    });
    assert_eq!(seen.code, 137);
}

#[test]
fn pids_limit() {
    let seen = same(|made| {
        made.set("/linux/resources/pids", json!({ "limit": 3 }));
        sh(made, "for i in 1 2 3 4 5; do sleep 2 & done; echo not limited");
    });
    assert_eq!((seen.code, seen.stdout.as_str()), (2, ""), "the shell gives up when it cannot fork");
}

#[test]
fn device_access_is_limited() {
    let seen = same(|made| {
        made.set("/root/readonly", json!(false));
        made.set("/process/capabilities/bounding", json!(["CAP_MKNOD"]));
        made.set("/process/capabilities/effective", json!(["CAP_MKNOD"]));
        made.set("/process/capabilities/permitted", json!(["CAP_MKNOD"]));
        sh(
            made,
            "mknod /tmp/mem c 1 1 && echo made; head -c 1 /tmp/mem 2>&1 | sed 's/.*: //'; head -c 1 /dev/zero | wc -c; rm -f /tmp/mem",
        );
    });
    assert!(seen.stdout.contains("Operation not permitted"), "{}", seen.stdout);
}

#[test]
fn seccomp_errno_and_kill() {
    let profile = |action: &str, errno: Option<u32>| {
        json!({
            "defaultAction": "SCMP_ACT_ALLOW",
            "architectures": ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_AARCH64"],
            "syscalls": [{ "names": ["mkdir", "mkdirat"], "action": action, "errnoRet": errno }],
        })
    };
    let errno = same(|made| {
        made.set("/linux/seccomp", profile("SCMP_ACT_ERRNO", Some(28)));
        sh(made, "mkdir /tmp/x 2>&1; grep Seccomp: /proc/self/status");
    });
    assert_eq!(errno.stdout, "mkdir: can't create directory '/tmp/x': No space left on device\nSeccomp:\t2\n");
    let mut kill = profile("SCMP_ACT_KILL_PROCESS", None);
    kill["syscalls"][0].as_object_mut().expect("an object").remove("errnoRet");
    let killed = same(|made| {
        made.set("/linux/seccomp", kill.clone());
        made.args(&["mkdir", "/tmp/x"]);
    });
    assert_eq!(killed.code, 128 + 31);
}

#[test]
fn the_default_seccomp_profile_lets_ordinary_programs_run() {
    let seen = same(|made| {
        let profile = plimsoll_core::oci_spec::default_profile(std::env::consts::ARCH, &["CAP_KILL"]);
        made.set("/linux/seccomp", profile);
        made.set("/process/noNewPrivileges", json!(false));
        sh(
            made,
            "ls / > /dev/null && date > /dev/null && (unshare -m true 2>&1 || true) && mkdir /dev/shm/x && echo fine",
        );
    });
    assert!(seen.stdout.ends_with("fine\n") && seen.stdout.contains("not permitted"), "{}", seen.stdout);
}

#[test]
fn oom_score() {
    let seen = same(|made| {
        made.set("/process/oomScoreAdj", json!(500));
        sh(made, "cat /proc/self/oom_score_adj");
    });
    assert_eq!(seen.stdout, "500\n");
}

/// crun is not asked: it passes over some of these.
#[test]
fn invalid_configs_are_refused() {
    for (pointer, value) in [
        ("/root/path", json!("no-such-rootfs")),
        ("/process/args", json!([])),
        ("/process/cwd", json!("relative")),
        ("/process/user", json!("root")),
        ("/linux/namespaces", json!([{ "type": "nonsense" }])),
        ("/linux/seccomp", json!({ "defaultAction": "SCMP_ACT_NONSENSE" })),
    ] {
        let scratch = Scratch::new();
        let mut made = bundle(&scratch);
        made.set("/ociVersion", json!("1.0.2")).set(pointer, value.clone());
        for runtime in runtimes().into_iter().filter(|runtime| runtime.0 != "crun") {
            assert_ne!(runtime.run(&scratch, &made).code, 0, "{} took {value} at {pointer}", runtime.0);
        }
    }
}
