//! `linux.devices` and the device rules. Runtimes add the few devices every container has.

use super::{Builder, Inputs, Origin};
use crate::container::Device;
use plimsoll_fault::{Fault, Kind, Layer, Result};
use serde_json::json;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;

const LIST: &str = "/linux/devices";
const RULES: &str = "/linux/resources/devices";
/// A bound on what is listed from a /dev that somebody filled.
const MOST: usize = 4096;

pub(super) fn set(spec: &mut Builder, inputs: &Inputs<'_>) -> Result<()> {
    let security = &inputs.config.security;
    if security.privileged && !inputs.handler.privileged_without_host_devices {
        let origin = Origin::request("container.security.privileged");
        spec.put(RULES, "all", json!({"allow": true, "access": "rwm"}), origin.clone())?;
        let mut found = Vec::new();
        walk(Path::new("/dev"), &mut found);
        for (path, node) in found {
            spec.put(LIST, &path, device(&path, &node), origin.clone())?;
        }
    } else {
        spec.put(RULES, "all", json!({"allow": false, "access": "rwm"}), Origin::default("devices"))?;
    }
    inputs.config.devices.iter().try_for_each(|device| one(spec, device))
}

struct Node {
    kind: char,
    major: u32,
    minor: u32,
    mode: u32,
    uid: u32,
    gid: u32,
}

fn one(spec: &mut Builder, asked: &Device) -> Result<()> {
    let origin = Origin::request(format!("container.devices[{}]", asked.container_path));
    let fault = |what: String| {
        Fault::new(Layer::Spec, "assemble", what).kind(Kind::InvalidArgument).detail(|d| d.pointer = Some(LIST.into()))
    };
    if asked.permissions.is_empty() || asked.permissions.chars().any(|c| !"rwm".contains(c)) {
        return Err(fault(format!("device permissions {:?} are not some of r, w, m", asked.permissions)));
    }
    let meta = std::fs::metadata(&asked.host_path)
        .map_err(|e| fault(format!("cannot look at device {}", asked.host_path)).because(&e))?;
    let mut found = Vec::new();
    if meta.is_dir() {
        walk(Path::new(&asked.host_path), &mut found);
    } else {
        let node = node(&meta).ok_or_else(|| fault(format!("{} is no device", asked.host_path)))?;
        found.push((asked.host_path.clone(), node));
    }
    for (path, node) in found {
        let target = path.replacen(&asked.host_path, &asked.container_path, 1);
        let rule = json!({"allow": true, "type": node.kind.to_string(), "major": node.major, "minor": node.minor,
            "access": asked.permissions});
        spec.put(LIST, &target, device(&target, &node), origin.clone())?;
        spec.put(RULES, &target, rule, origin.clone())?;
    }
    Ok(())
}

fn device(path: &str, node: &Node) -> serde_json::Value {
    json!({"path": path, "type": node.kind.to_string(), "major": node.major, "minor": node.minor,
        "fileMode": node.mode, "uid": node.uid, "gid": node.gid})
}

fn node(meta: &std::fs::Metadata) -> Option<Node> {
    let kind = match meta.file_type() {
        t if t.is_char_device() => 'c',
        t if t.is_block_device() => 'b',
        _ => return None,
    };
    let (major, minor) = plimsoll_sys::host::device_numbers(meta.rdev());
    Some(Node { kind, major, minor, mode: meta.mode() & 0o7777, uid: meta.uid(), gid: meta.gid() })
}

/// Device nodes below a folder; not those of terminals, which each container has its own of. What cannot be read is left out.
fn walk(folder: &Path, found: &mut Vec<(String, Node)>) {
    const SKIPPED: [&str; 6] = ["pts", "shm", "fd", "mqueue", ".lxc", "console"];
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    for entry in entries.flatten().filter(|e| !SKIPPED.iter().any(|s| e.file_name() == *s)) {
        let path = entry.path();
        let Ok(meta) = path.symlink_metadata() else { continue };
        if meta.is_dir() {
            walk(&path, found);
        } else if let (Some(node), Some(text)) = (node(&meta), path.to_str())
            && found.len() < MOST
        {
            found.push((text.to_owned(), node));
        }
    }
}
