//! What a RunPodSandbox request may not ask for. Each refusal names its field.

use super::{NamespaceMode, RunRequest};
use crate::paths;
use plimsoll_fault::{Fault, Kind, Result};

pub(super) fn check(request: &RunRequest) -> Result<()> {
    let config = &request.config;
    paths::check_namespace(&request.namespace)?;
    let meta = &config.metadata;
    if meta.name.is_empty() {
        return Err(invalid("metadata.name", "is empty"));
    }
    if !is_hostname(&config.hostname) {
        return Err(invalid("hostname", format!("{:?} is no host name", config.hostname)));
    }
    if !config.log_directory.is_empty() && !plain_absolute(&config.log_directory) {
        return Err(invalid("log_directory", format!("{:?} is not a plain absolute path", config.log_directory)));
    }
    let parent = &config.cgroup_parent;
    if !parent.is_empty() && (parent.split('/').any(|part| part == "..") || parent.contains('\0')) {
        return Err(invalid("cgroup_parent", format!("{parent:?} is no plain path")));
    }
    namespaces(request)?;
    config.sysctls.iter().try_for_each(|(key, value)| sysctl(request, key, value))
}

fn namespaces(request: &RunRequest) -> Result<()> {
    let modes = &request.config.security.namespaces;
    for (name, mode) in [("network", modes.network), ("ipc", modes.ipc)] {
        if !matches!(mode, NamespaceMode::Pod | NamespaceMode::Node) {
            return Err(invalid(&format!("namespaces.{name}"), "is neither POD nor NODE"));
        }
    }
    if modes.pid == NamespaceMode::Target {
        return Err(invalid("namespaces.pid", "TARGET has no meaning for a sandbox"));
    }
    match &modes.user {
        Some(user) if user.mode == NamespaceMode::Pod => {
            let fault = Fault::invalid("check", "sandbox field namespaces.user: user namespaces are not there yet");
            Err(fault.kind(Kind::Unimplemented))
        }
        Some(user) if user.mode != NamespaceMode::Node => Err(invalid("namespaces.user", "is neither POD nor NODE")),
        _ => Ok(()),
    }
}

/// Only sysctls that a namespace of the pod holds: others would change the host (CVE-2022-0532, GHSA-w2j5), and no
/// characters that another parser could take for a separator (CVE-2022-0811).
fn sysctl(request: &RunRequest, key: &str, value: &str) -> Result<()> {
    let field = format!("sysctls[{key}]");
    let good = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-' | b'/');
    if key.is_empty() || key.contains("..") || key.starts_with('/') || !key.bytes().all(good) {
        return Err(invalid(&field, "is no name of a sysctl"));
    }
    if value.contains(|c: char| c.is_control()) {
        return Err(invalid(&field, "has control characters in its value"));
    }
    let name = key.replace('/', ".");
    let modes = &request.config.security.namespaces;
    let ipc = ["kernel.shm", "kernel.msg", "fs.mqueue."].iter().any(|prefix| name.starts_with(prefix))
        || name == "kernel.sem";
    let (kind, mode) = match () {
        () if ipc => ("ipc", modes.ipc),
        () if name.starts_with("net.") => ("network", modes.network),
        () => return Err(invalid(&field, "belongs to the host, not to the pod")),
    };
    if mode == NamespaceMode::Node {
        return Err(invalid(&field, format!("would change the host: the pod uses the host's {kind} namespace")));
    }
    Ok(())
}

fn is_hostname(name: &str) -> bool {
    name.len() <= 64 && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_'))
}

fn plain_absolute(path: &str) -> bool {
    path.starts_with('/') && !path.contains('\0') && path.split('/').all(|part| part != "..")
}

fn invalid(field: &str, what: impl std::fmt::Display) -> Fault {
    Fault::invalid("check", format!("sandbox field {field}: {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sandbox::SandboxConfig;

    fn request(change: impl FnOnce(&mut SandboxConfig)) -> RunRequest {
        let mut config = SandboxConfig::default();
        config.metadata.name = "pod".into();
        change(&mut config);
        RunRequest { namespace: "k8s.io".into(), config, handler: String::new() }
    }

    #[test]
    fn host_sysctls_are_refused() {
        let with = |key: &str, value: &str| {
            let (key, value) = (key.to_owned(), value.to_owned());
            check(&request(|config| drop(config.sysctls.insert(key, value))))
        };
        with("net.ipv4.ip_unprivileged_port_start", "0").expect("the pod's own");
        with("kernel.shm_rmid_forced", "1").expect("the pod's own");
        for (key, value) in
            [("kernel.core_pattern", "x"), ("net.ipv4.../x", "1"), ("net.a", "1\n2"), ("vm.x", "1"), ("/net.a", "1")]
        {
            with(key, value).expect_err(key);
        }
        let host = request(|config| {
            config.security.namespaces.network = NamespaceMode::Node;
            config.sysctls.insert("net.ipv4.ip_forward".into(), "1".into());
        });
        check(&host).expect_err("host network");
    }

    #[test]
    fn fields_are_named() {
        let fault = check(&request(|config| config.log_directory = "/var/log/../../etc".into())).expect_err("refused");
        assert!(fault.to_string().contains("log_directory"), "{fault}");
        check(&request(|config| config.hostname = "a\nb".into())).expect_err("refused");
        check(&request(|config| config.cgroup_parent = "/a/../b".into())).expect_err("refused");
        check(&request(|config| config.metadata.name.clear())).expect_err("refused");
    }
}
