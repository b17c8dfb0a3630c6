//! The pod's files: hostname, hosts, resolv.conf and the shared memory that its containers share.

use super::{Dns, NamespaceMode, SandboxConfig};
use plimsoll_fault::{Fault, Layer, Result};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

/// As large as other runtimes make it.
const SHM: u64 = 64 << 20;

/// Makes the sandbox's folder with `ns/`.
pub(super) fn folder(dir: &Path) -> Result<()> {
    let make = || {
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(dir.join("ns"))
    };
    make().map_err(|e| fault("cannot make the folder", dir, &e))
}

/// Writes the files and mounts the shared memory. `ips` are the pod's addresses, empty with the host's network.
pub(super) fn write(dir: &Path, config: &SandboxConfig, hostname: &str, ips: &[String]) -> Result<()> {
    put(&dir.join("hostname"), &format!("{hostname}\n"))?;
    put(&dir.join("hosts"), &hosts(config, hostname, ips)?)?;
    let resolv = match &config.dns {
        Some(dns) => resolv_conf(dns)?,
        None => read("/etc/resolv.conf")?,
    };
    put(&dir.join("resolv.conf"), &resolv)?;
    if config.security.namespaces.ipc == NamespaceMode::Pod {
        let shm = dir.join("shm");
        std::fs::DirBuilder::new().mode(0o755).create(&shm).map_err(|e| fault("cannot make", &shm, &e))?;
        plimsoll_sys::hostmount::shared_memory(&shm, SHM).map_err(|e| fault("cannot mount a tmpfs on", &shm, &e))?;
    }
    Ok(())
}

/// Unmounts everything below and removes the folder. One that is not there is not an error.
pub(crate) fn remove(dir: &Path) -> Result<()> {
    for mounted in ["shm", "ns/ipc", "ns/uts", "ns/pid", "rootfs"] {
        let path = dir.join(mounted);
        plimsoll_sys::hostmount::detach_all(&path).map_err(|e| fault("cannot unmount", &path, &e))?;
    }
    match std::fs::remove_dir_all(dir) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(fault("cannot remove", dir, &e)),
        _ => Ok(()),
    }
}

fn hosts(config: &SandboxConfig, hostname: &str, ips: &[String]) -> Result<String> {
    if config.security.namespaces.network == NamespaceMode::Node {
        return read("/etc/hosts");
    }
    let mut text = "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n\
        fe00::0\tip6-localnet\nff00::0\tip6-mcastprefix\nff02::1\tip6-allnodes\nff02::2\tip6-allrouters\n"
        .to_owned();
    if !hostname.is_empty() {
        ips.iter().for_each(|ip| text.push_str(&format!("{ip}\t{hostname}\n")));
    }
    Ok(text)
}

/// Each entry is one word: a newline in one would be another directive.
fn resolv_conf(dns: &Dns) -> Result<String> {
    let all = dns.servers.iter().chain(&dns.searches).chain(&dns.options);
    if let Some(bad) = all.clone().find(|word| word.contains(|c: char| c.is_control() || c.is_whitespace())) {
        return Err(Fault::invalid("files", format!("sandbox field dns: {bad:?} is not one word")));
    }
    let mut text = String::new();
    if !dns.searches.is_empty() {
        text.push_str(&format!("search {}\n", dns.searches.join(" ")));
    }
    dns.servers.iter().for_each(|server| text.push_str(&format!("nameserver {server}\n")));
    if !dns.options.is_empty() {
        text.push_str(&format!("options {}\n", dns.options.join(" ")));
    }
    Ok(text)
}

fn read(path: &str) -> Result<String> {
    match std::fs::read_to_string(path) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(String::new()),
        other => other.map_err(|e| fault("cannot read", Path::new(path), &e)),
    }
}

fn put(path: &Path, text: &str) -> Result<()> {
    let write = || {
        let mut file = std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o644).open(path)?;
        std::io::Write::write_all(&mut file, text.as_bytes())
    };
    write().map_err(|e| fault("cannot write", path, &e))
}

fn fault(what: &str, path: &Path, error: &std::io::Error) -> Fault {
    let errno = error.raw_os_error().unwrap_or_default();
    let fault = Fault::new(Layer::Store, "files", format!("{what} {}", path.display()));
    fault.because(error).detail(|d| {
        d.path = Some(path.to_string_lossy().into_owned());
        d.errno = Some(errno);
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resolv_conf_has_what_was_asked_and_no_more() {
        let words = |list: &[&str]| list.iter().map(|w| (*w).to_owned()).collect::<Vec<_>>();
        let dns =
            Dns { servers: words(&["10.0.0.1", "::1"]), searches: words(&["a.b", "c"]), options: words(&["ndots:5"]) };
        let text = resolv_conf(&dns).expect("plain");
        assert_eq!(text, "search a.b c\nnameserver 10.0.0.1\nnameserver ::1\noptions ndots:5\n");
        let bad = Dns { servers: words(&["10.0.0.1\nsearch evil"]), ..Dns::default() };
        resolv_conf(&bad).expect_err("two directives");
    }
}
