//! A network for the private daemon: when the machine has CNI plugins but no configuration, pods get a bridge of their own.

use plimsoll_fault::{Fault, Layer, Result};
use serde_json::{Value, json};
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// Where a node's configuration lies: one there is taken as it is.
const NODE_CONF: &str = "/etc/cni/net.d";
/// As the daemon's own default.
const BIN_DIRS: [&str; 2] = ["/opt/cni/bin", "/usr/lib/cni"];

/// Writes a configuration for the daemon below `root` and returns it; `None` when the daemon's defaults will do, or nothing can
/// be done without plugins.
pub(super) fn configuration(root: &Path) -> Result<Option<PathBuf>> {
    if has_configuration(Path::new(NODE_CONF)) || !has_plugins() {
        return Ok(None);
    }
    let folder = root.join("cni-conf");
    let file = root.join("plimsolld.toml");
    make(&folder)?;
    write(&folder.join("10-plim.conflist"), &format!("{:#}\n", conflist(root, has_iptables())))?;
    // TOML's basic strings are JSON's for the paths that can come here.
    write(&file, &format!("# Written by plim for its private daemon.\n[network]\nconf_dir = {}\n", json!(folder)))?;
    Ok(Some(file))
}

fn has_configuration(folder: &Path) -> bool {
    let suffix = |path: &Path| path.extension().is_some_and(|e| e == "conflist" || e == "conf" || e == "json");
    fs::read_dir(folder).is_ok_and(|entries| entries.flatten().any(|entry| suffix(&entry.path())))
}

fn has_plugins() -> bool {
    BIN_DIRS
        .iter()
        .any(|folder| ["bridge", "host-local", "portmap"].iter().all(|p| Path::new(folder).join(p).is_file()))
}

/// Masquerading and published ports need it.
fn has_iptables() -> bool {
    ["/usr/sbin/iptables", "/sbin/iptables"].iter().any(|path| Path::new(path).exists())
}

/// Daemons with different roots must not share a bridge or addresses, so both come from the root's path.
fn conflist(root: &Path, iptables: bool) -> Value {
    let hash = fnv1a(root.as_os_str().as_encoded_bytes());
    let subnet = format!("10.{}.{}.0/24", 100 + hash % 100, hash / 100 % 256);
    let mut plugins = vec![json!({
        "type": "bridge", "bridge": format!("plim{:x}", hash & 0xfff_ffff), "isGateway": true,
        "ipMasq": iptables, "hairpinMode": true,
        "ipam": {
            "type": "host-local", "dataDir": root.join("cni-addresses"),
            "ranges": [[{ "subnet": subnet }]], "routes": [{ "dst": "0.0.0.0/0" }]
        }
    })];
    plugins.extend(iptables.then(|| json!({ "type": "portmap", "capabilities": { "portMappings": true } })));
    json!({ "cniVersion": "1.0.0", "name": "plim", "plugins": plugins })
}

/// 32 bits of FNV-1a: enough to tell a handful of roots apart, and the same in every build.
fn fnv1a(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193))
}

fn make(folder: &Path) -> Result<()> {
    match fs::create_dir(folder) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => Err(cannot("make", folder, &error)),
        Ok(()) | Err(_) => Ok(()),
    }
}

fn write(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text).map_err(|error| cannot("write", path, &error))
}

fn cannot(act: &str, path: &Path, error: &std::io::Error) -> Fault {
    Fault::new(Layer::Network, "start private daemon", format!("cannot {act} {}", path.display())).because(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_roots_have_two_bridges_and_link_names_are_short_enough() {
        let bridge = |root: &str| conflist(Path::new(root), true)["plugins"][0]["bridge"].as_str().map(str::to_owned);
        assert_ne!(bridge("/var/lib/plim"), bridge("/tmp/x"));
        assert!(bridge("/var/lib/plim").is_some_and(|name| name.len() <= 15));
    }
}
