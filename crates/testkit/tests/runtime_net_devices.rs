//! `linux.netDevices`: interfaces that the container takes from the runtime's network namespace, under runc and crun alike. Each
//! runtime runs in a network namespace made for it.
#![cfg(feature = "privileged")]

use plimsoll_testkit::runtimes::{Runtime, runtimes};
use plimsoll_testkit::{Bundle, Output, Scratch, bundle, run};
use serde_json::json;

const OURS: Runtime = Runtime("plimrun");

/// Runs the bundle from a new network namespace in which `setup` was done; `after` is done there afterwards.
fn run_in(runtime: Runtime, scratch: &Scratch, made: &Bundle, setup: &str, after: &str) -> Output {
    let script = format!("set -e; {setup}; \"$@\" && code=0 || code=$?; {after}; exit $code");
    let inner = runtime.command(scratch);
    let mut command = scratch.command("unshare");
    command.args(["-n", "sh", "-c", &script, "sh"]).arg(inner.get_program()).args(inner.get_args());
    run(command.arg("run").arg("--bundle").arg(&made.path).arg(scratch.id(runtime.0)))
}

const PAIR: &str = "ip link add t0 type veth peer name p0; ip link set t0 mtu 1300; ip addr add 10.1.2.3/24 brd + dev t0; \
    ip addr add 10.9.9.1 peer 10.9.9.2/32 dev t0; ip addr add fd00:1::7/64 dev t0; ip link set t0 up; ip link set p0 up";

#[test]
fn a_device_moves_with_its_name_and_addresses() {
    for (device, name) in [(json!({}), "t0"), (json!({ "name": "" }), "t0"), (json!({ "name": "ctr0" }), "ctr0")] {
        let seen: Vec<(&str, String)> = runtimes()
            .into_iter()
            // crun 1.28 takes an empty name for a name.
            .filter(|runtime| runtime.0 != "crun" || device["name"] != "")
            .map(|runtime| {
                let scratch = Scratch::new();
                let mut made = bundle(&scratch);
                made.set("/linux/netDevices", json!({ "t0": device }));
                let show = format!(
                    "ip -o addr show dev {name} | awk '$4 !~ /^fe80/ {{ print $2, $3, $4 }}' | sort; cat /sys/class/net/{name}/mtu; \
                     ip link show {name} | grep -o '[<,]UP[,>]'"
                );
                made.args(&["/bin/sh", "-c", &show]);
                let output = run_in(runtime, &scratch, &made, PAIR, "true");
                assert_eq!(output.code, 0, "{}: {}", runtime.0, output.stderr);
                (runtime.0, output.stdout)
            })
            .collect();
        for (runtime, output) in &seen {
            assert!(output.contains(&format!("{name} inet 10.1.2.3/24\n")), "{runtime}: {output}");
            // runc takes the device down before it looks, and with that the kernel takes the IPv6 addresses away.
            let six = format!("{name} inet6 fd00:1::7/64\n");
            assert!(output.contains(&six) || *runtime != OURS.0, "{runtime}: {output}");
            assert!(output.ends_with("1300\n,UP,\n"), "{runtime}: {output}");
        }
    }
}

#[test]
fn several_devices_and_the_host_has_them_no_more() {
    let scratch = Scratch::new();
    let mut made = bundle(&scratch);
    made.set("/linux/netDevices", json!({ "a0": { "name": "b0" }, "b0": { "name": "a0" } }));
    made.args(&["/bin/sh", "-c", "ls /sys/class/net | sort | xargs echo; cat /sys/class/net/a0/mtu"]);
    let setup = "ip link add a0 mtu 1100 type veth peer name pa; ip link add b0 mtu 1200 type veth peer name pb";
    let output = run_in(OURS, &scratch, &made, setup, "ip -o link | grep -cE ' (a0|b0)[@:]' || true");
    assert_eq!(output.stdout, "a0 b0 lo\n1200\n0\n", "{}", output.stderr);
}

/// A hook of the runtime sees the device inside, configured.
#[test]
fn hooks_come_after_the_devices() {
    let scratch = Scratch::new();
    let mut made = bundle(&scratch);
    made.set("/linux/netDevices", json!({ "t0": {} }));
    let file = scratch.join("seen");
    let script = format!(
        "pid=$(sed 's/.*\"pid\":\\([0-9]*\\).*/\\1/'); nsenter -t $pid -n ip -o -4 addr show dev t0 > {} 2>&1",
        file.display()
    );
    made.set("/hooks", json!({ "createRuntime": [{ "path": "/bin/sh", "args": ["sh", "-c", script] }] }));
    assert_eq!(run_in(OURS, &scratch, &made, PAIR, "true").code, 0);
    assert!(std::fs::read_to_string(&file).expect("seen").contains("10.1.2.3/24"));
}

/// A namespace that was made before, as by CNI, and one that a user namespace owns.
#[test]
fn into_joined_and_owned_namespaces() {
    for runtime in [OURS, Runtime("runc")] {
        let scratch = Scratch::new();
        let mut made = bundle(&scratch);
        made.set("/linux/netDevices", json!({ "t0": { "name": "ctr0" } }));
        made.args(&["/bin/sh", "-c", "ip -o -4 addr show dev ctr0 | awk '{ print $2, $4 }' | head -1"]);
        let file = scratch.file("net", "");
        made.set("/linux/namespaces/1", json!({ "type": "network", "path": file }));
        let setup = format!("unshare --net={} true; {PAIR}", file.display());
        let after = format!("nsenter --net={0} ip -o link show ctr0 | cut -d: -f2; umount {0}", file.display());
        let output = run_in(runtime, &scratch, &made, &setup, &after);
        assert_eq!(output.stdout, "ctr0 10.1.2.3/24\n ctr0@if2\n", "{}: {}", runtime.0, output.stderr);
        made.set("/linux/namespaces/1", json!({ "type": "network" }));
        let namespaces = made.config["linux"]["namespaces"].as_array_mut().expect("namespaces");
        namespaces.push(json!({ "type": "user" }));
        let map = json!([{ "containerID": 0, "hostID": 0, "size": 65536 }]);
        made.set("/linux/uidMappings", map.clone()).set("/linux/gidMappings", map);
        let output = run_in(runtime, &scratch, &made, PAIR, "true");
        assert_eq!(output.stdout, "ctr0 10.1.2.3/24\n", "{}: {}", runtime.0, output.stderr);
    }
}

#[test]
fn refusals() {
    for (pointer, value, named) in [
        ("/linux/netDevices", json!({ "absent0": {} }), "/linux/netDevices/absent0"),
        ("/linux/netDevices", json!({ "t0": { "name": "lo" } }), "/linux/netDevices/t0"),
        ("/linux/netDevices", json!({ "t0": { "name": "a/b" } }), "/linux/netDevices/t0/name"),
        ("/linux/netDevices", json!({ "t0": { "name": "sixteen-letters-" } }), "/linux/netDevices/t0/name"),
        ("/linux/netDevices", json!({ "lo": { "name": "x0" } }), "/linux/netDevices/lo"),
        ("/linux/namespaces", json!([{ "type": "mount" }, { "type": "pid" }]), "/linux/netDevices"),
    ] {
        for runtime in [OURS, Runtime("runc")] {
            let scratch = Scratch::new();
            let mut made = bundle(&scratch);
            made.set("/hostname", json!(null))
                .set("/linux/netDevices", json!({ "t0": {} }))
                .set(pointer, value.clone());
            let output = run_in(runtime, &scratch, &made, PAIR, "true");
            assert_eq!(output.code, 1, "{} took {value}: {}", runtime.0, output.stdout);
            assert!(runtime != OURS || output.stderr.contains(named), "{}", output.stderr);
        }
    }
}
