//! Device nodes: the specification's default ones, then `linux.devices`.

use crate::fault::bad_config;
use plimsoll_fault::Fault;
use plimsoll_spec::runtime::Device;
use rustix::fs::FileType;
use std::path::PathBuf;

/// One node. `mode` holds the permission bits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct DevicePlan {
    pub path: PathBuf,
    pub kind: FileType,
    pub major: u32,
    pub minor: u32,
    pub mode: u32,
    pub uid: u32,
    pub gid: u32,
}

/// config-linux.md, "Default Devices", without `/dev/console` and `/dev/ptmx`, which are no nodes.
const DEFAULT: [(&str, u32, u32); 6] = [
    ("/dev/null", 1, 3),
    ("/dev/zero", 1, 5),
    ("/dev/full", 1, 7),
    ("/dev/random", 1, 8),
    ("/dev/urandom", 1, 9),
    ("/dev/tty", 5, 0),
];

pub(super) fn plan(list: &[Device]) -> Result<Vec<DevicePlan>, Fault> {
    let default = |(path, major, minor): &(&str, u32, u32)| DevicePlan {
        path: PathBuf::from(path),
        kind: FileType::CharacterDevice,
        major: *major,
        minor: *minor,
        mode: 0o666,
        uid: 0,
        gid: 0,
    };
    let mut out: Vec<DevicePlan> = DEFAULT.iter().map(default).collect();
    for (index, device) in list.iter().enumerate() {
        let device = one(device, &format!("/linux/devices/{index}"))?;
        // The config's own node replaces a default one of the same path.
        out.retain(|other| other.path != device.path);
        out.push(device);
    }
    Ok(out)
}

fn one(device: &Device, pointer: &str) -> Result<DevicePlan, Fault> {
    let kind = match device.kind.as_str() {
        "c" | "u" => FileType::CharacterDevice,
        "b" => FileType::BlockDevice,
        "p" => FileType::Fifo,
        other => return Err(bad_config(&format!("{pointer}/type"), format!("unknown device type {other:?}"))),
    };
    if !device.path.starts_with('/') {
        return Err(bad_config(&format!("{pointer}/path"), format!("{:?} is not absolute", device.path)));
    }
    let number = |value: i64, field: &str| {
        u32::try_from(value).map_err(|_| bad_config(&format!("{pointer}/{field}"), format!("{value} is out of range")))
    };
    let (major, minor) =
        if kind == FileType::Fifo { (0, 0) } else { (number(device.major, "major")?, number(device.minor, "minor")?) };
    Ok(DevicePlan {
        path: PathBuf::from(&device.path),
        kind,
        major,
        minor,
        mode: device.file_mode.unwrap_or(0o666) & 0o7777,
        uid: device.uid.unwrap_or(0),
        gid: device.gid.unwrap_or(0),
    })
}
