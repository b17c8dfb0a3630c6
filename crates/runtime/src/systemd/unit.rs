//! One container's scope: named, started around its init, given new limits, stopped.

use super::bus::{Bus, BusError, PATIENCE};
use super::properties::{Property, limits};
use super::text;
use super::wire::Value;
use crate::fault::{At, bad_config};
use plimsoll_fault::{Fault, Kind, Layer};
use plimsoll_spec::runtime::Resources;
use plimsoll_sys::cgroup::v2_group_of;
use rustix::process::Pid;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// What of a scope is kept with the container.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Unit {
    pub name: String,
    /// A user's own systemd, not the machine's.
    #[serde(default)]
    pub user: bool,
}

/// A scope that is to be.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct UnitPlan {
    pub unit: Unit,
    slice: String,
    /// From annotations; they win over our own of the same name.
    properties: Vec<Property>,
}

/// Annotations `org.systemd.property.NAME`: whoever may write a config may set them.
pub const PROPERTY: &str = "org.systemd.property.";
/// systemd's bound (UNIT_NAME_MAX).
const NAME: usize = 255;
const POINTER: &str = "/linux/cgroupsPath";

impl UnitPlan {
    /// `path` is `slice:prefix:name`; an empty slice, or no path at all, means the default one.
    pub(crate) fn new(path: Option<&str>, id: &str, annotations: &BTreeMap<String, String>) -> Result<Self, Fault> {
        let user = owner() != 0;
        let (slice, prefix, name) = match path {
            None => ("", "plimrun", id),
            Some(path) => match path.split(':').collect::<Vec<_>>()[..] {
                [slice, prefix, name] => (slice, prefix, name),
                _ => {
                    let what = "expected cgroupsPath to be of format \"slice:prefix:name\" for systemd cgroups, got";
                    return Err(bad_config(POINTER, format!("{what} {path:?} instead")));
                }
            },
        };
        let slice = match slice {
            "" if user => "user.slice",
            "" => "system.slice",
            given => given,
        };
        check_slice(slice)?;
        if name.ends_with(".slice") {
            return Err(bad_config(POINTER, "a container's unit is a scope, not a slice"));
        }
        let name = if prefix.is_empty() { format!("{name}.scope") } else { format!("{prefix}-{name}.scope") };
        let legal = |b: u8| b.is_ascii_alphanumeric() || b":-_.\\@".contains(&b);
        if name.len() > NAME || name.len() == ".scope".len() || !name.bytes().all(legal) {
            return Err(bad_config(POINTER, format!("{name:?} is no unit name")));
        }
        let properties = annotated(annotations)?;
        Ok(Self { unit: Unit { name, user }, slice: slice.to_owned(), properties })
    }

    /// Starts the scope with `pid` in it and its limits on it, and gives the group's folder below `mount`.
    pub(crate) fn start(&self, pid: Pid, resources: &Resources, mount: &Path) -> Result<PathBuf, Fault> {
        let name = &self.unit.name;
        let mut bus = connect(self.unit.user)?;
        let properties = self.properties(&mut bus, pid, resources)?;
        let body = [
            Value::str(name),
            Value::str("replace"),
            as_array(properties),
            Value::Array("(sa(sv))".into(), Vec::new()),
        ];
        let mut started = bus.manager("StartTransientUnit", &body);
        if started.as_ref().is_err_and(|error| error.is("org.freedesktop.systemd1.UnitExists")) {
            // A failed one of the same name may be all that is left of an earlier container.
            reset(&mut bus, name);
            started = bus.manager("StartTransientUnit", &body);
        }
        let job = started.map_err(|error| refused("start", name, &error))?;
        match finished(&mut bus, &job).map_err(|error| refused("start", name, &error))?.as_str() {
            "done" => {}
            other => {
                reset(&mut bus, name);
                let what = format!("systemd: cannot start {name}: the job ended as {other:?}");
                return Err(Fault::new(Layer::OciRuntime, "cgroup", what));
            }
        }
        let group = v2_group_of(pid).at("cgroup", "read", "/proc/<pid>/cgroup", || format!("cannot find {name}"))?;
        if group.file_name().is_none_or(|last| last != name.as_str()) {
            let what = format!("systemd: the container's process is in {}, not in {name}", group.display());
            let fault = Fault::new(Layer::OciRuntime, "cgroup", what);
            return Err(if self.unit.user {
                fault.hint("a user's systemd can move only what runs below it: start from a session of the user")
            } else {
                fault
            });
        }
        Ok(mount.join(group.strip_prefix("/").unwrap_or(&group)))
    }

    fn properties(&self, bus: &mut Bus, pid: Pid, resources: &Resources) -> Result<Vec<Property>, Fault> {
        let version = version_for(bus, resources);
        let pids = Value::Array("u".into(), vec![Value::U32(pid.as_raw_nonzero().get().cast_unsigned())]);
        let own = [
            ("Description", Value::str(format!("plimrun container {}", self.unit.name))),
            ("Slice", Value::str(&self.slice)),
            ("Delegate", Value::Bool(true)),
            ("PIDs", pids),
            ("MemoryAccounting", Value::Bool(true)),
            ("CPUAccounting", Value::Bool(true)),
            ("IOAccounting", Value::Bool(true)),
            ("TasksAccounting", Value::Bool(true)),
            ("DefaultDependencies", Value::Bool(false)),
            ("DevicePolicy", Value::str("auto")),
            ("CollectMode", Value::str("inactive-or-failed")),
        ];
        let mut out: Vec<Property> = own.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        out.extend(limits(resources, version)?);
        // Can be set at the start only. The property exists for scopes since systemd 253.
        let group = resources.unified.get("memory.oom.group").map(|v| v.trim());
        if let (Some(policy), 253..) =
            (group.and_then(|g| [("0", "continue"), ("1", "kill")].into_iter().find(|p| p.0 == g)), version)
        {
            out.push(("OOMPolicy".to_owned(), Value::str(policy.1)));
        }
        out.retain(|(name, _)| self.properties.iter().all(|(given, _)| given != name));
        out.extend(self.properties.iter().cloned());
        Ok(out)
    }
}

impl Unit {
    /// Refused before anything is made: this machine was not booted with systemd (sd_booted(3)).
    pub(crate) fn check_host(&self) -> Result<(), Fault> {
        if Path::new("/run/systemd/system").is_dir() {
            return Ok(());
        }
        let what = "systemd not running on this host, cannot use systemd cgroups manager";
        Err(Fault::new(Layer::Caller, "cgroup", what).kind(Kind::FailedPrecondition))
    }

    /// New limits: as properties, so that they outlive a daemon-reload. The files are the caller's to write.
    pub(crate) fn update(&self, resources: &Resources) -> Result<(), Fault> {
        let mut bus = connect(self.user)?;
        let version = version_for(&mut bus, resources);
        let properties = limits(resources, version)?;
        if properties.is_empty() {
            return Ok(());
        }
        let body = [Value::str(&self.name), Value::Bool(true), as_array(properties)];
        let done = bus.manager("SetUnitProperties", &body);
        done.map(drop).map_err(|error| refused("update", &self.name, &error))
    }

    /// Takes the scope away. One that ended by itself is no error: that is what scopes without processes do.
    pub(crate) fn stop(&self) -> Result<(), Fault> {
        let mut bus = connect(self.user)?;
        let gone = |error: &BusError| {
            error.is("org.freedesktop.systemd1.NoSuchUnit") || error.is("org.freedesktop.systemd1.UnitNotLoaded")
        };
        match bus.manager("StopUnit", &[Value::str(&self.name), Value::str("replace")]) {
            Ok(job) => {
                finished(&mut bus, &job).map_err(|error| refused("stop", &self.name, &error))?;
                reset(&mut bus, &self.name);
                Ok(())
            }
            Err(error) if gone(&error) => Ok(()),
            Err(error) => Err(refused("stop", &self.name, &error)),
        }
    }
}

/// Forgets that a unit failed. It may not be there any more: then that is what was wanted.
fn reset(bus: &mut Bus, name: &str) {
    drop(bus.manager("ResetFailedUnit", &[Value::str(name)]));
}

/// Waits until systemd has done the job whose path it gave, and says how it ended.
fn finished(bus: &mut Bus, job: &[Value]) -> Result<String, BusError> {
    let job = job.first().and_then(Value::text).ok_or(BusError::Malformed)?;
    let deadline = Instant::now() + PATIENCE;
    loop {
        let signal = bus.signal(deadline)?;
        if signal.member != "JobRemoved" {
            continue;
        }
        if let [_, path, _, result] = signal.body.as_slice()
            && path.text() == Some(job)
        {
            return Ok(result.text().unwrap_or_default().to_owned());
        }
    }
}

/// systemd's version, asked for only where it matters. 0: not known.
fn version_for(bus: &mut Bus, resources: &Resources) -> u32 {
    let idle = resources.cpu.as_ref().is_some_and(|cpu| cpu.idle == Some(1));
    if !idle && !resources.unified.contains_key("cpu.idle") && !resources.unified.contains_key("memory.oom.group") {
        return 0;
    }
    // `252.39-1~deb12u1`, `v245-1.fc32`.
    let text = bus.property("Version").ok().and_then(|v| v.text().map(str::to_owned)).unwrap_or_default();
    let digits =
        text.trim_start_matches('v').split(|c: char| !c.is_ascii_digit()).next().unwrap_or_default().to_owned();
    digits.parse().unwrap_or(0)
}

fn as_array(properties: Vec<Property>) -> Value {
    let one = |(name, value): Property| Value::Struct(vec![Value::Str(name), value.variant()]);
    Value::Array("(sv)".into(), properties.into_iter().map(one).collect())
}

fn refused(verb: &str, name: &str, error: &BusError) -> Fault {
    Fault::new(Layer::OciRuntime, "cgroup", format!("systemd: cannot {verb} {name}")).why(error.to_string())
}

/// systemd's private socket first: no bus in between, no greeting. It is root's alone; a container that was given only the bus
/// has only that.
fn connect(user: bool) -> Result<Bus, Fault> {
    let owner = owner();
    let (direct, routed) = if user {
        (format!("/run/user/{owner}/systemd/private"), format!("/run/user/{owner}/bus"))
    } else {
        ("/run/systemd/private".to_owned(), "/run/dbus/system_bus_socket".to_owned())
    };
    Bus::direct(&direct, owner).or_else(|first| {
        Bus::routed(&routed, owner).map_err(|second| {
            let fault = Fault::new(Layer::OciRuntime, "cgroup", "cannot speak with systemd");
            fault.why(format!("{routed}: {second}")).why(format!("{direct}: {first}")).kind(Kind::FailedPrecondition)
        })
    })
}

/// Who runs this, as the machine knows him: inside a user namespace the effective id is another.
fn owner() -> u32 {
    let own = rustix::process::geteuid().as_raw();
    let map = std::fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
    let outer = |line: &str| {
        let numbers: Vec<u32> = line.split_whitespace().filter_map(|n| n.parse().ok()).collect();
        let [inside, outside, count] = numbers[..] else { return None };
        let offset = own.checked_sub(inside).filter(|offset| *offset < count)?;
        outside.checked_add(offset)
    };
    map.lines().find_map(outer).unwrap_or(own)
}

/// systemd's rule: `a-b.slice` lies in `a.slice`, so no part may be empty; `-.slice` is the root.
fn check_slice(slice: &str) -> Result<(), Fault> {
    let bad = || bad_config(POINTER, format!("invalid slice name: {slice:?}"));
    let bare = slice.strip_suffix(".slice").ok_or_else(bad)?;
    let legal = |b: u8| b.is_ascii_alphanumeric() || b":-_.\\@".contains(&b);
    if bare != "-" && (bare.split('-').any(str::is_empty) || !slice.bytes().all(legal) || slice.len() > NAME) {
        return Err(bad());
    }
    Ok(())
}

fn annotated(annotations: &BTreeMap<String, String>) -> Result<Vec<Property>, Fault> {
    let mut out = Vec::new();
    for (key, value) in annotations {
        let Some(name) = key.strip_prefix(PROPERTY) else { continue };
        let refuse = |why: String| bad_config(&format!("/annotations/{key}"), why);
        if name.len() < 3 || !name.bytes().all(|b| b.is_ascii_alphabetic()) {
            return Err(refuse(format!("{name:?} is no property name")));
        }
        let value = text::parse(value).map_err(|why| refuse(format!("cannot read {value:?}: {why}")))?;
        // Documented with a unit of seconds, but on the bus in microseconds (`TimeoutStopSec` is `TimeoutStopUSec`).
        out.push(match name.strip_suffix("Sec").filter(|bare| !bare.ends_with('U')) {
            Some(bare) => {
                (format!("{bare}USec"), microseconds(&value).ok_or_else(|| refuse("no number of seconds".into()))?)
            }
            None => (name.to_owned(), value),
        });
    }
    Ok(out)
}

fn microseconds(value: &Value) -> Option<Value> {
    const PER_SECOND: u64 = 1_000_000;
    let whole = |seconds: i64| u64::try_from(seconds).ok()?.checked_mul(PER_SECOND);
    Some(Value::U64(match value {
        Value::Byte(v) => u64::from(*v) * PER_SECOND,
        Value::I16(v) => whole(i64::from(*v))?,
        Value::U16(v) => u64::from(*v) * PER_SECOND,
        Value::I32(v) => whole(i64::from(*v))?,
        Value::U32(v) => u64::from(*v) * PER_SECOND,
        Value::I64(v) => whole(*v)?,
        Value::U64(v) => v.checked_mul(PER_SECOND)?,
        Value::Double(v) if *v >= 0.0 && *v < 1e12 => (v * 1e6) as u64,
        _ => return None,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(path: Option<&str>) -> Result<UnitPlan, Fault> {
        UnitPlan::new(path, "id", &BTreeMap::new())
    }

    #[test]
    fn names() {
        let of = |path| plan(path).map(|p| (p.slice, p.unit.name)).expect("a plan");
        assert_eq!(of(Some("a-b.slice:cri:1")), ("a-b.slice".into(), "cri-1.scope".into()));
        assert_eq!(of(Some("-.slice::x")).1, "x.scope");
        assert_eq!(of(None).1, "plimrun-id.scope");
        for bad in [
            "/a/b",
            "a:b",
            "a:b:c",
            "a--b.slice:p:n",
            "a/b.slice:p:n",
            "a.slice:p:n/m",
            "a.slice:p:x.slice",
            "a.slice::",
        ] {
            assert!(plan(Some(bad)).is_err(), "{bad}");
        }
    }

    #[test]
    fn annotations_are_properties() {
        let one = |key: &str, value: &str| {
            UnitPlan::new(None, "id", &BTreeMap::from([(key.to_owned(), value.to_owned())])).map(|p| p.properties)
        };
        let got = one("org.systemd.property.TimeoutStopSec", "uint64 3").expect("a property");
        assert_eq!(got, [("TimeoutStopUSec".to_owned(), Value::U64(3_000_000))]);
        let got = one("org.systemd.property.RuntimeMaxUSec", "uint64 3").expect("a property");
        assert_eq!(got, [("RuntimeMaxUSec".to_owned(), Value::U64(3))]);
        assert_eq!(one("org.example", "x").expect("nothing"), []);
        for (key, value) in [("Exec;Start", "'a'"), ("X", "'a'"), ("After", "[oops"), ("TimeoutStopSec", "'x'")] {
            assert!(one(&format!("org.systemd.property.{key}"), value).is_err(), "{key}");
        }
    }
}
