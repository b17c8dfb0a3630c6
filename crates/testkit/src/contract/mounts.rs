//! `root`, `mounts`, devices, and the paths that are masked or read-only.

use super::{Case, as_it_is, capabilities, mount, push, remove, source, writable};
use serde_json::json;

const MOUNTS: &str = "config.md#mounts";
const ROOT: &str = "config.md#root";
const DEVICES: &str = "config-linux.md#devices";
const MASKED: &str = "config-linux.md#masked-paths";
const READ_ONLY: &str = "config-linux.md#readonly-paths";
const PROPAGATION: &str = "config-linux.md#rootfs-mount-propagation";

/// The options of the mount at `/m`.
const OPTIONS: &str = "awk '$5 == \"/m\" { print $6 }' /proc/self/mountinfo";

#[rustfmt::skip]
pub(super) fn cases() -> Vec<Case> {
    [root(), filesystems(), binds(), attributes(), places(), devices(), hidden(), propagation()].into_iter().flatten().collect()
}

#[rustfmt::skip]
fn root() -> Vec<Case> {
    vec![
        Case::run("root-read-only", ROOT, as_it_is, "touch /x 2>&1 | sed 's/.*: //'", "Read-only file system\n"),
        Case::run("root-writable", ROOT, writable, "echo yes > /x && cat /x", "yes\n"),
        Case::run("root-absolute", ROOT, |b| { let root = b.path.join("rootfs"); b.set("/root/path", json!(root)); }, "echo there", "there\n"),
        Case::refused("root-missing", ROOT, |b| { b.set("/root/path", json!("no-such-folder")); }),
        Case::refused("root-a-file", ROOT, |b| { b.set("/root/path", json!("config.json")); }),
        Case::refused("root-absent", ROOT, |b| remove(b, "/root")),
        Case::run("root-of-the-host-is-gone", ROOT, as_it_is, "ls / | grep -c -E '^(boot|lib64|opt)$' || true", "0\n"),
        Case::run("root-is-its-own-mount", ROOT, as_it_is, "awk '$5 == \"/\"' /proc/self/mountinfo | wc -l; [ /.. -ef / ] && echo same", "1\nsame\n"),
    ]
}

#[rustfmt::skip]
fn filesystems() -> Vec<Case> {
    vec![
        Case::run("proc", MOUNTS, as_it_is, "awk '$5 == \"/proc\" { print $6 }' /proc/self/mountinfo; head -c4 /proc/version", "rw,relatime\nLinu"),
        Case::run("sysfs-read-only", MOUNTS, as_it_is, "awk '$5 == \"/sys\" { print $6 }' /proc/self/mountinfo; ls /sys/class/net", "ro,nosuid,nodev,noexec,relatime\nlo\n"),
        Case::run("mqueue", MOUNTS, as_it_is, "awk '$5 == \"/dev/mqueue\" { print $6 }' /proc/self/mountinfo", "rw,nosuid,nodev,noexec,relatime\n"),
        Case::run("devpts", MOUNTS, as_it_is, "stat -c '%a' /dev/pts/ptmx; awk '$5 == \"/dev/pts\" { print $6 }' /proc/self/mountinfo", "666\nrw,nosuid,noexec,relatime\n"),
        Case::run("shm-size", MOUNTS, as_it_is, "df -k /dev/shm | awk 'NR == 2 { print $2 }'; stat -c %a /dev/shm", "65536\n1777\n"),
        Case::run("tmpfs-size-and-mode", MOUNTS, |b| { writable(b); mount(b, "/m", "tmpfs", "tmpfs", &["size=1m", "mode=700"]); }, "df -k /m | awk 'NR == 2 { print $2 }'; stat -c %a /m", "1024\n700\n"),
        Case::run("tmpfs-owner", MOUNTS, |b| { writable(b); mount(b, "/m", "tmpfs", "tmpfs", &["uid=1000", "gid=1001"]); }, "stat -c %u:%g /m", "1000:1001\n"),
        Case::run("tmpfs-copy-up", "runc(8)", |b| { std::fs::create_dir_all(b.path.join("rootfs/m/a")).expect("a folder"); std::fs::write(b.path.join("rootfs/m/a/f"), "copied\n").expect("a file"); mount(b, "/m", "tmpfs", "tmpfs", &["tmpcopyup"]); }, "cat /m/a/f; touch /m/x && echo written", "copied\nwritten\n"),
        Case::run("overlay", MOUNTS, |b| {
            writable(b);
            for name in ["lower", "upper", "work"] { std::fs::create_dir_all(b.path.join(name)).expect("a folder"); }
            std::fs::write(b.path.join("lower/f"), "below\n").expect("a file");
            let at = |name: &str| b.path.join(name).display().to_string();
            let options = [format!("lowerdir={}", at("lower")), format!("upperdir={}", at("upper")), format!("workdir={}", at("work"))];
            mount(b, "/m", "overlay", "overlay", &options.each_ref().map(String::as_str));
        }, "cat /m/f; touch /m/x && echo written", "below\nwritten\n"),
        Case::run("overlay-options-over-255-bytes", MOUNTS, |b| {
            writable(b);
            let deep = ["upper", "work"].map(|name| b.path.join(name).join(["0123456789"; 26].join("/")));
            for folder in deep.iter().chain([&b.path.join("lower")]) { std::fs::create_dir_all(folder).expect("a folder"); }
            std::fs::write(b.path.join("lower/f"), "below\n").expect("a file");
            let options = [format!("lowerdir={}", b.path.join("lower").display()), format!("upperdir={}", deep[0].display()), format!("workdir={}", deep[1].display()), "nosuid".to_owned()];
            mount(b, "/m", "overlay", "overlay", &options.each_ref().map(String::as_str));
        }, "cat /m/f; touch /m/x && echo written; awk '$5 == \"/m\" { print $6 }' /proc/self/mountinfo", "below\nwritten\nrw,nosuid,relatime\n"),
        Case::refused("unknown-filesystem", MOUNTS, |b| { writable(b); mount(b, "/m", "nonsensefs", "none", &[]); }),
        Case::refused("unknown-option", MOUNTS, |b| { writable(b); mount(b, "/m", "tmpfs", "tmpfs", &["nonsense=1"]); }),
        Case::run("cgroup-shows-the-containers-own", MOUNTS, as_it_is, "ls -d /sys/fs/cgroup/memory/memory.limit_in_bytes /sys/fs/cgroup/pids/pids.max; cat /sys/fs/cgroup/pids/cgroup.procs | head -1", "/sys/fs/cgroup/memory/memory.limit_in_bytes\n/sys/fs/cgroup/pids/pids.max\n1\n"),
        Case::run("cgroup-read-only", MOUNTS, as_it_is, "(echo 5 > /sys/fs/cgroup/pids/pids.max) 2>&1 | sed 's/.*: //'; mkdir /sys/fs/cgroup/pids/x 2>&1 | sed 's/.*: //'", "Read-only file system\nRead-only file system\n"),
    ]
}

#[rustfmt::skip]
fn binds() -> Vec<Case> {
    vec![
        Case::run("bind-read-only", MOUNTS, |b| { writable(b); let from = source(b); mount(b, "/m", "bind", &from, &["bind", "ro"]); }, "cat /m/file; touch /m/x 2>&1 | sed 's/.*: //'", "text\nRead-only file system\n"),
        Case::run("bind-writable", MOUNTS, |b| { writable(b); let from = source(b); mount(b, "/m", "bind", &from, &["rbind", "rw"]); }, "touch /m/x && echo written", "written\n"),
        Case::run("bind-a-file", MOUNTS, |b| { writable(b); let from = source(b) + "/file"; mount(b, "/new/file", "bind", &from, &["bind"]); }, "cat /new/file", "text\n"),
        Case::run("bind-over-a-file", MOUNTS, |b| { let from = source(b) + "/file"; mount(b, "/etc/group", "bind", &from, &["bind", "ro"]); }, "cat /etc/group", "text\n"),
        Case::run("bind-without-the-type", MOUNTS, |b| { writable(b); let from = source(b); push(b, "/mounts", json!({ "destination": "/m", "source": from, "options": ["bind"] })); }, "cat /m/file", "text\n"),
        Case::run("bind-relative-to-the-bundle", MOUNTS, |b| { writable(b); source(b); mount(b, "/m", "bind", "source", &["bind"]); }, "cat /m/file", "text\n"),
        Case::refused("bind-of-nothing", MOUNTS, |b| { writable(b); mount(b, "/m", "bind", "/no/such/source", &["bind"]); }),
        Case::refused("bind-a-folder-over-a-file", MOUNTS, |b| { let from = source(b); mount(b, "/etc/group", "bind", &from, &["bind"]); }),
        Case::refused("bind-a-file-over-a-folder", MOUNTS, |b| { let from = source(b) + "/file"; mount(b, "/etc", "bind", &from, &["bind"]); }),
        Case::run("bind-of-a-symlink", MOUNTS, |b| { writable(b); let from = source(b); std::os::unix::fs::symlink("file", format!("{from}/link")).expect("a link"); mount(b, "/m", "bind", &(from + "/link"), &["bind"]); }, "cat /m", "text\n"),
        Case::run("bind-makes-the-mount-point", MOUNTS, |b| { writable(b); let from = source(b); mount(b, "/a/b/c", "bind", &from, &["bind"]); }, "cat /a/b/c/file; stat -c %a /a/b", "text\n755\n"),
        Case::run("bind-of-a-socket", MOUNTS, |b| { writable(b); let from = source(b) + "/socket"; drop(std::os::unix::net::UnixListener::bind(&from).expect("a socket")); mount(b, "/m", "bind", &from, &["bind"]); }, "test -S /m && echo socket", "socket\n"),
    ]
}

#[rustfmt::skip]
fn attributes() -> Vec<Case> {
    vec![
        Case::run("option-nosuid-nodev-noexec", MOUNTS, |b| { writable(b); mount(b, "/m", "tmpfs", "t", &["nosuid", "nodev", "noexec"]); }, OPTIONS, "rw,nosuid,nodev,noexec,relatime\n"),
        Case::run("option-ro-on-tmpfs", MOUNTS, |b| { writable(b); mount(b, "/m", "tmpfs", "t", &["ro"]); }, "touch /m/x 2>&1 | sed 's/.*: //'", "Read-only file system\n"),
        Case::run("option-noatime", MOUNTS, |b| { writable(b); mount(b, "/m", "tmpfs", "t", &["noatime"]); }, OPTIONS, "rw,noatime\n"),
        Case::run("option-strictatime", MOUNTS, |b| { writable(b); mount(b, "/m", "tmpfs", "t", &["strictatime"]); }, OPTIONS, "rw\n"),
        Case::run("option-nodiratime", MOUNTS, |b| { writable(b); mount(b, "/m", "tmpfs", "t", &["nodiratime"]); }, OPTIONS, "rw,nodiratime,relatime\n"),
        Case::run("option-last-wins", MOUNTS, |b| { writable(b); mount(b, "/m", "tmpfs", "t", &["ro", "noexec", "rw", "exec"]); }, OPTIONS, "rw,relatime\n"),
        Case::run("option-defaults", MOUNTS, |b| { writable(b); mount(b, "/m", "tmpfs", "t", &["defaults"]); }, OPTIONS, "rw,relatime\n"),
        Case::run("option-nosuid-on-a-bind", MOUNTS, |b| { writable(b); let from = source(b); mount(b, "/m", "bind", &from, &["bind", "nosuid", "nodev", "noexec"]); }, "awk '$5 == \"/m\" { print $6 }' /proc/self/mountinfo | cut -d, -f1-4", "rw,nosuid,nodev,noexec\n"),
        Case::run("option-rro-reaches-below", MOUNTS, |b| { writable(b); b.set("/ociVersion", json!("1.1.0")); let from = source(b); mount(b, "/m", "bind", &from, &["rbind"]); mount(b, "/m/sub", "tmpfs", "t", &[]); mount(b, "/n", "bind", "/dev", &["rbind", "rro"]); }, "touch /n/shm/x 2>&1 | sed 's/.*: //'", "Read-only file system\n"),
        Case::run("option-rnoexec", MOUNTS, |b| { writable(b); b.set("/ociVersion", json!("1.1.0")); let from = source(b); mount(b, "/m", "bind", &from, &["rbind", "rnoexec"]); }, "awk '$5 == \"/m\" { print $6 }' /proc/self/mountinfo | grep -o noexec", "noexec\n"),
        Case::run("option-nosymfollow", MOUNTS, |b| { writable(b); b.set("/ociVersion", json!("1.1.0")); mount(b, "/m", "tmpfs", "t", &["nosymfollow"]); }, "ln -s /etc/passwd /m/l; cat /m/l 2>&1 | sed 's/.*: //'", "Too many levels of symbolic links\n"),
    ]
}

#[rustfmt::skip]
fn places() -> Vec<Case> {
    vec![
        Case::run("order-is-the-configs", MOUNTS, |b| { writable(b); mount(b, "/m", "tmpfs", "t", &["size=1m"]); mount(b, "/m/n", "tmpfs", "t", &["size=2m"]); }, "df -k /m/n | awk 'NR == 2 { print $2 }'", "2048\n"),
        Case::run("second-mount-hides-the-first", MOUNTS, |b| { writable(b); mount(b, "/m", "tmpfs", "t", &["size=1m"]); mount(b, "/m", "tmpfs", "t", &["size=2m"]); }, "df -k /m | awk 'NR == 2 { print $2 }'", "2048\n"),
        Case::run("destination-through-a-symlink", MOUNTS, |b| { writable(b); std::os::unix::fs::symlink("/var/tmp", b.path.join("rootfs/link")).expect("a link"); mount(b, "/link/m", "tmpfs", "t", &[]); }, "awk '$5 == \"/var/tmp/m\"' /proc/self/mountinfo | wc -l", "1\n"),
        Case::run("destination-with-dots", MOUNTS, |b| { writable(b); mount(b, "/../../m/../m", "tmpfs", "t", &[]); }, "awk '$5 == \"/m\"' /proc/self/mountinfo | wc -l", "1\n"),
        Case::run("destination-by-a-link-that-leads-out", MOUNTS, |b| { writable(b); std::os::unix::fs::symlink("../../../../../tmp", b.path.join("rootfs/link")).expect("a link"); mount(b, "/link/made-in-a-container", "tmpfs", "t", &[]); }, "awk '$5 == \"/tmp/made-in-a-container\"' /proc/self/mountinfo | wc -l", "1\n"),
        Case::refused("destination-empty", MOUNTS, |b| { mount(b, "", "tmpfs", "t", &[]); }).argued("The specification: an absolute path."),
        Case::refused("destination-in-proc", MOUNTS, |b| { mount(b, "/proc/sys", "tmpfs", "t", &[]); }),
        Case::refused("destination-proc-of-another-kind", MOUNTS, |b| { mount(b, "/proc", "tmpfs", "t", &[]); }),
        Case::run("destination-known-safe-in-proc", "runc(8)", |b| { let from = source(b) + "/file"; mount(b, "/proc/uptime", "bind", &from, &["bind", "ro"]); }, "cat /proc/uptime", "text\n"),
    ]
}

#[rustfmt::skip]
fn devices() -> Vec<Case> {
    vec![
        Case::run("default-devices", "config-linux.md#default-devices", as_it_is, "cd /dev; for d in null zero full random urandom tty; do stat -c '%n %t:%T %a %u:%g' $d; done", "null 1:3 666 0:0\nzero 1:5 666 0:0\nfull 1:7 666 0:0\nrandom 1:8 666 0:0\nurandom 1:9 666 0:0\ntty 5:0 666 0:0\n"),
        Case::run("default-links", "runtime-linux.md#dev-symbolic-links", as_it_is, "cd /dev; for l in fd stdin stdout stderr ptmx; do readlink $l; done", "/proc/self/fd\n/proc/self/fd/0\n/proc/self/fd/1\n/proc/self/fd/2\npts/ptmx\n"),
        Case::run("devices-work", DEVICES, as_it_is, "echo x > /dev/null && head -c 4 /dev/zero | wc -c; head -c 8 /dev/urandom | wc -c", "4\n8\n"),
        Case::run("device-character", DEVICES, |b| { b.set("/linux/devices", json!([{ "path": "/dev/mine", "type": "c", "major": 1, "minor": 5, "fileMode": 0o640, "uid": 7, "gid": 8 }])); }, "stat -c '%F %t:%T %a %u:%g' /dev/mine", "character special file 1:5 640 7:8\n"),
        Case::run("device-block", DEVICES, |b| { b.set("/linux/devices", json!([{ "path": "/dev/mine", "type": "b", "major": 7, "minor": 200, "fileMode": 0o600 }])); }, "stat -c '%F %t:%T %a' /dev/mine", "block special file 7:c8 600\n"),
        Case::run("device-fifo", DEVICES, |b| { b.set("/linux/devices", json!([{ "path": "/dev/pipe", "type": "p", "fileMode": 0o622 }])); }, "stat -c '%F %a' /dev/pipe", "fifo 622\n"),
        Case::run("device-in-a-folder", DEVICES, |b| { b.set("/linux/devices", json!([{ "path": "/dev/a/b", "type": "c", "major": 1, "minor": 5, "fileMode": 0o666 }])); }, "stat -c '%t:%T %a' /dev/a/b", "1:5 666\n"),
        Case::run("device-mode-despite-umask", DEVICES, |b| { b.set("/process/user/umask", json!(0o77)).set("/linux/devices", json!([{ "path": "/dev/mine", "type": "c", "major": 1, "minor": 5, "fileMode": 0o666 }])); }, "stat -c %a /dev/mine", "666\n"),
        Case::refused("device-of-unknown-type", DEVICES, |b| { b.set("/linux/devices", json!([{ "path": "/dev/mine", "type": "x", "major": 1, "minor": 5 }])); }),
        Case::run("device-outside-of-dev", DEVICES, |b| { writable(b); b.set("/linux/devices", json!([{ "path": "/var/zero", "type": "c", "major": 1, "minor": 5, "fileMode": 0o666 }])); }, "stat -c %t:%T /var/zero", "1:5\n"),
        Case::run("device-access-denied", "config-linux.md#allowed-device-list", |b| { writable(b); capabilities(b, &["CAP_MKNOD"]); }, "mknod /tmp/mem c 1 1 && head -c 1 /tmp/mem 2>&1 | sed 's/.*: //'", "Operation not permitted\n"),
        Case::run("console-absent-without-terminal", "config-linux.md#default-devices", as_it_is, "ls /dev/console 2>/dev/null | wc -l", "0\n"),
    ]
}

#[rustfmt::skip]
fn hidden() -> Vec<Case> {
    vec![
        Case::run("masked-file", MASKED, |b| { b.set("/linux/maskedPaths", json!(["/proc/keys", "/etc/passwd"])); }, "wc -c < /proc/keys; wc -c < /etc/passwd", "0\n0\n"),
        Case::run("masked-folder", MASKED, |b| { b.set("/linux/maskedPaths", json!(["/etc"])); }, "ls /etc | wc -l; touch /etc/x 2>&1 | sed 's/.*: //'", "0\nRead-only file system\n"),
        Case::run("masked-missing", MASKED, |b| { b.set("/linux/maskedPaths", json!(["/not/here"])); }, "echo fine", "fine\n"),
        Case::run("masked-none", MASKED, |b| { remove(b, "/linux/maskedPaths"); }, "head -c 1 /proc/keys > /dev/null && echo shown", "shown\n"),
        Case::run("read-only-path", READ_ONLY, |b| { b.set("/linux/readonlyPaths", json!(["/proc/sys", "/not/here"])); }, "(echo 1 > /proc/sys/kernel/msgmax) 2>&1 | sed 's/.*: //'", "Read-only file system\n"),
        Case::run("read-only-folder-of-the-root", READ_ONLY, |b| { writable(b); b.set("/linux/readonlyPaths", json!(["/var"])); }, "touch /var/x 2>&1 | sed 's/.*: //'; touch /x && echo written", "Read-only file system\nwritten\n"),
        Case::run("masked-through-a-symlink", MASKED, |b| { writable(b); std::os::unix::fs::symlink("/etc/passwd", b.path.join("rootfs/link")).expect("a link"); b.set("/linux/maskedPaths", json!(["/link"])); }, "wc -c < /etc/passwd", "0\n"),
    ]
}

#[rustfmt::skip]
fn propagation() -> Vec<Case> {
    const SHOW: &str = "awk '$5 == \"/m\" { for (i = 7; $i != \"-\"; i++) { sub(\":.*\", \"\", $i); print $i } }' /proc/self/mountinfo";
    vec![
        Case::run("propagation-of-a-bind-by-default", PROPAGATION, |b| { writable(b); let from = source(b); mount(b, "/m", "bind", &from, &["bind", "private"]); }, SHOW, ""),
        Case::run("propagation-slave", PROPAGATION, |b| { writable(b); mount(b, "/m", "tmpfs", "t", &["slave"]); }, SHOW, ""),
        Case::run("propagation-shared", PROPAGATION, |b| { writable(b); mount(b, "/m", "tmpfs", "t", &["shared"]); }, SHOW, "shared\n"),
        Case::run("propagation-unbindable", PROPAGATION, |b| { writable(b); mount(b, "/m", "tmpfs", "t", &["unbindable"]); }, SHOW, "unbindable\n"),
        Case::run("root-propagation-shared", PROPAGATION, |b| { b.set("/linux/rootfsPropagation", json!("shared")); }, "awk '$5 == \"/\" { print $7 }' /proc/self/mountinfo | cut -d: -f1", "shared\n"),
        Case::run("root-propagation-private", PROPAGATION, |b| { b.set("/linux/rootfsPropagation", json!("private")); }, "awk '$5 == \"/\" { print $7 }' /proc/self/mountinfo", "-\n"),
        Case::run("root-propagation-unbindable", PROPAGATION, |b| { b.set("/linux/rootfsPropagation", json!("unbindable")); }, "awk '$5 == \"/\" { print $7 }' /proc/self/mountinfo", "unbindable\n"),
        Case::refused("root-propagation-unknown", PROPAGATION, |b| { b.set("/linux/rootfsPropagation", json!("sideways")); }),
    ]
}
