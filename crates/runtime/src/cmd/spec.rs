//! `plimrun spec [--bundle DIR] [--rootless]`: a `config.json` to start from.

use crate::args::{Flag, parse, usage};
use plimsoll_fault::Fault;
use plimsoll_spec::runtime::{IdMapping, Namespace, Spec};
use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;

pub(super) fn run(words: Vec<OsString>) -> Result<ExitCode, Fault> {
    let parsed = parse(&[Flag::Short("bundle", "b"), Flag::Switch("rootless")], words, usize::MAX)?;
    parsed.at_most(0)?;
    let text = if parsed.has("rootless") { rootless()? } else { TEMPLATE.to_owned() };
    let path = Path::new(parsed.value("bundle").unwrap_or(".")).join("config.json");
    let file = std::fs::OpenOptions::new().write(true).create_new(true).open(&path);
    let mut file = file.map_err(|e| usage(format!("cannot make {}", path.display())).because(&e))?;
    std::io::Write::write_all(&mut file, text.as_bytes())
        .map_err(|e| usage(format!("cannot write {}", path.display())).because(&e))?;
    Ok(ExitCode::SUCCESS)
}

const TEMPLATE: &str = include_str!("spec.json");

/// What needs no rights: the caller alone in a user namespace, the host's network and `/sys`, no limits.
fn rootless() -> Result<String, Fault> {
    let mut spec = Spec::parse(TEMPLATE.as_bytes()).map_err(|e| usage("the template is damaged").because(&e))?;
    let linux = spec.linux.get_or_insert_default();
    linux.resources = None;
    linux.namespaces.retain(|namespace| namespace.kind != "network");
    linux.namespaces.push(Namespace { kind: "user".to_owned(), path: None });
    let own = |host_id| vec![IdMapping { container_id: 0, host_id, size: 1 }];
    linux.uid_mappings = own(rustix::process::geteuid().as_raw());
    linux.gid_mappings = own(rustix::process::getegid().as_raw());
    for mount in &mut spec.mounts {
        mount.options.retain(|option| !option.starts_with("uid=") && !option.starts_with("gid="));
        if mount.destination == "/sys" {
            (mount.kind, mount.source) = (Some("none".to_owned()), Some("/sys".to_owned()));
            mount.options.insert(0, "rbind".to_owned());
        }
    }
    let text = serde_json::to_string_pretty(&spec).map_err(|e| usage("the config cannot be written").because(&e))?;
    Ok(text + "\n")
}
