//! The broken configs: each a working bundle with one thing wrong.

use crate::{Bundle, Scratch};
use serde_json::{Value, json};
use std::os::unix::fs::PermissionsExt;

/// One broken config.
pub struct Case {
    pub name: &'static str,
    /// Where our fault points; empty where no field of the config is to blame.
    pub pointer: &'static str,
    /// The layer that our fault names.
    pub layer: &'static str,
    pub spoil: fn(&Scratch, &mut Bundle),
}

const fn case(
    name: &'static str,
    pointer: &'static str,
    layer: &'static str,
    spoil: fn(&Scratch, &mut Bundle),
) -> Case {
    Case { name, pointer, layer, spoil }
}

fn push(made: &mut Bundle, list: &str, value: Value) {
    made.config.pointer_mut(list).and_then(Value::as_array_mut).expect("a list").push(value);
    made.write();
}

fn mount(made: &mut Bundle, destination: &str, kind: &str, source: &str, options: &[&str]) {
    let mount = json!({ "destination": destination, "type": kind, "source": source, "options": options });
    push(made, "/mounts", mount);
}

fn hook(made: &mut Bundle, list: &str, hook: Value) {
    made.set("/hooks", json!({ list: [hook] }));
}

/// All of them, in the order of the page.
pub fn cases() -> Vec<Case> {
    [process(), files(), isolation()].into_iter().flatten().collect()
}

fn process() -> Vec<Case> {
    vec![
        case("`config.json` is cut off", "/process/args/1", "caller", |_, made| {
            let text = r#"{ "ociVersion": "1.0.2", "process": { "args": ["echo", "hel"#;
            std::fs::write(made.path.join("config.json"), text).expect("written");
        }),
        case("`config.json` is missing", "", "oci-runtime", |_, made| {
            std::fs::remove_file(made.path.join("config.json")).expect("removed");
        }),
        case("`ociVersion` is no version", "/ociVersion", "caller", |_, made| {
            made.set("/ociVersion", json!("banana"));
        }),
        case("`process.user.uid` is a name", "/process/user/uid", "caller", |_, made| {
            made.set("/process/user/uid", json!("root"));
        }),
        case("`process.args` is empty", "/process/args", "caller", |_, made| {
            made.args(&[]);
        }),
        case("the program is not in `PATH`", "", "oci-runtime", |_, made| {
            made.args(&["no-such-program"]);
        }),
        case("the program is not at its path", "", "oci-runtime", |_, made| {
            made.args(&["/bin/no-such-program"]);
        }),
        case("the program may not be executed", "", "oci-runtime", |_, made| {
            made.args(&["/etc/passwd"]);
        }),
        case("the program is a folder", "", "oci-runtime", |_, made| {
            made.args(&["/etc"]);
        }),
        case("the program is no program", "", "oci-runtime", |_, made| {
            let path = made.path.join("rootfs/bin/broken");
            std::fs::write(&path, "neither ELF nor #!").expect("written");
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).expect("executable");
            made.args(&["/bin/broken"]);
        }),
        case("`process.cwd` is relative", "/process/cwd", "caller", |_, made| {
            made.set("/process/cwd", json!("tmp"));
        }),
        case("`process.cwd` is a file", "/process/cwd", "oci-runtime", |_, made| {
            made.set("/process/cwd", json!("/etc/passwd"));
        }),
        case("a variable without `=`", "/process/env/0", "caller", |_, made| {
            made.set("/process/env", json!(["PATH"]));
        }),
        case("an unknown rlimit", "/process/rlimits/0/type", "caller", |_, made| {
            made.set("/process/rlimits", json!([{ "type": "RLIMIT_BANANAS", "soft": 1, "hard": 1 }]));
        }),
        case("an rlimit whose soft limit is above the hard one", "/process/rlimits/0", "caller", |_, made| {
            made.set("/process/rlimits", json!([{ "type": "RLIMIT_NOFILE", "soft": 64, "hard": 32 }]));
        }),
        case("`process.oomScoreAdj` is out of range", "/process/oomScoreAdj", "caller", |_, made| {
            made.set("/process/oomScoreAdj", json!(5000));
        }),
        case("a priority for a policy that has none", "/process/scheduler/priority", "caller", |_, made| {
            made.set("/process/scheduler", json!({ "policy": "SCHED_OTHER", "priority": 5 }));
        }),
        case("an unknown IO class", "/process/ioPriority/class", "caller", |_, made| {
            made.set("/process/ioPriority", json!({ "class": "IOPRIO_CLASS_BANANA", "priority": 1 }));
        }),
    ]
}

fn files() -> Vec<Case> {
    vec![
        case("`root` is missing", "/root", "caller", |_, made| {
            made.config.as_object_mut().expect("an object").remove("root");
            made.write();
        }),
        case("`root.path` is not there", "/root/path", "caller", |_, made| {
            made.set("/root/path", json!("no-such-rootfs"));
        }),
        case("the source of a bind mount is not there", "/mounts/7/source", "caller", |_, made| {
            mount(made, "/mnt", "bind", "/no/such/folder", &["bind"]);
        }),
        case("a filesystem that the kernel has not", "/mounts/7", "oci-runtime", |_, made| {
            mount(made, "/tmp", "bananafs", "none", &[]);
        }),
        case("an option that the filesystem has not", "/mounts/7/options", "oci-runtime", |_, made| {
            mount(made, "/tmp", "tmpfs", "tmpfs", &["size=banana"]);
        }),
        case("a mount inside `/proc`", "/mounts/7/destination", "caller", |_, made| {
            mount(made, "/proc/sys", "tmpfs", "tmpfs", &[]);
        }),
        case("`/proc` is a link in the image", "/mounts/0", "oci-runtime", |_, made| {
            let proc = made.path.join("rootfs/proc");
            std::fs::remove_dir(&proc).expect("removed");
            std::os::unix::fs::symlink("/tmp", &proc).expect("a link");
        }),
        case("an unknown type of device", "/linux/devices/0/type", "caller", |_, made| {
            made.set("/linux/devices", json!([{ "path": "/dev/x", "type": "banana", "major": 1, "minor": 1 }]));
        }),
        case("a relative masked path", "/linux/maskedPaths/0", "caller", |_, made| {
            made.set("/linux/maskedPaths", json!(["proc/kcore"]));
        }),
        case("an unknown propagation of the rootfs", "/linux/rootfsPropagation", "caller", |_, made| {
            made.set("/linux/rootfsPropagation", json!("sideways"));
        }),
    ]
}

fn isolation() -> Vec<Case> {
    vec![
        case("an unknown namespace", "/linux/namespaces/5/type", "caller", |_, made| {
            push(made, "/linux/namespaces", json!({ "type": "banana" }));
        }),
        case("a namespace twice", "/linux/namespaces/5", "caller", |_, made| {
            push(made, "/linux/namespaces", json!({ "type": "pid" }));
        }),
        case("the file of a namespace is not there", "/linux/namespaces", "oci-runtime", |_, made| {
            made.set("/linux/namespaces/1", json!({ "type": "network", "path": "/no/such/namespace" }));
        }),
        case("a hostname without a uts namespace", "/hostname", "caller", |_, made| {
            made.set("/linux/namespaces", json!([{ "type": "mount" }, { "type": "pid" }]));
        }),
        case("a user namespace without mappings", "/linux/uidMappings", "caller", |_, made| {
            push(made, "/linux/namespaces", json!({ "type": "user" }));
        }),
        case("a sysctl of the whole machine", "/linux/sysctl/kernel.panic", "caller", |_, made| {
            made.set("/linux/sysctl", json!({ "kernel.panic": "1" }));
        }),
        case("a sysctl that the kernel has not", "/linux/sysctl", "oci-runtime", |_, made| {
            made.set("/linux/sysctl", json!({ "net.ipv4.banana": "1" }));
        }),
        case("an unknown seccomp action", "/linux/seccomp/defaultAction", "caller", |_, made| {
            made.set("/linux/seccomp", json!({ "defaultAction": "SCMP_ACT_BANANA" }));
        }),
        case("an unknown seccomp operator", "/linux/seccomp/syscalls/0/args/0/op", "caller", |_, made| {
            let rule = json!({ "names": ["read"], "action": "SCMP_ACT_ERRNO", "args": [{ "index": 0, "value": 1, "op": "BANANA" }] });
            made.set("/linux/seccomp", json!({ "defaultAction": "SCMP_ACT_ALLOW", "syscalls": [rule] }));
        }),
        case("seccomp notify without a listener", "/linux/seccomp/listenerPath", "caller", |_, made| {
            let rule = json!({ "names": ["mkdir"], "action": "SCMP_ACT_NOTIFY" });
            made.set("/linux/seccomp", json!({ "defaultAction": "SCMP_ACT_ALLOW", "syscalls": [rule] }));
        }),
        case("CPUs that the machine has not", "/linux/resources/cpu/cpus", "oci-runtime", |_, made| {
            made.set("/linux/resources/cpu", json!({ "cpus": "4000" }));
        }),
        case("a network interface that is not there", "/linux/netDevices/banana0", "oci-runtime", |_, made| {
            made.set("/linux/netDevices", json!({ "banana0": {} }));
        }),
        case("an unknown memory policy", "/linux/memoryPolicy/mode", "caller", |_, made| {
            made.set("/linux/memoryPolicy", json!({ "mode": "MPOL_BANANA" }));
        }),
        case("a hook that is not there", "/hooks/createRuntime/0/path", "oci-runtime", |_, made| {
            hook(made, "createRuntime", json!({ "path": "/no/such/hook" }));
        }),
        case("a hook that fails", "/hooks/prestart/0", "oci-runtime", |_, made| {
            let script = "echo no licence for this >&2; exit 3";
            hook(made, "prestart", json!({ "path": "/bin/sh", "args": ["sh", "-c", script] }));
        }),
    ]
}
