//! Where a repository is asked for: mirrors in their order, then the registry that the reference names.

use plimsoll_fault::{Fault, Result};
use plimsoll_spec::reference::Reference;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::net::IpAddr;

/// How registries are reached.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RegistryConfig {
    /// Registry hosts (with port) spoken to over plain HTTP. Loopback hosts always are.
    pub insecure: Vec<String>,
    /// Host as in the reference (or `*`) to endpoint URLs (`http://mirror:5000`) tried in order before the host itself.
    /// The repository's name is kept.
    pub mirrors: BTreeMap<String, Vec<String>>,
}

/// One place to ask.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Endpoint {
    /// Scheme, host, port and an optional prefix, without a slash at the end.
    pub(super) base: String,
    /// Host and port, for messages.
    pub(super) host: String,
    /// The registry's own host: only it gets the caller's credentials.
    pub(super) own: bool,
    /// What a mirror is asked for, as containerd names it (`?ns=`).
    pub(super) namespace: Option<String>,
}

impl RegistryConfig {
    /// Refuses malformed mirror URLs, naming them.
    pub fn check(&self) -> Result<()> {
        for url in self.mirrors.values().flatten() {
            mirror(url, "")?;
        }
        Ok(())
    }

    pub(super) fn endpoints(&self, reference: &Reference) -> Result<Vec<Endpoint>> {
        let domain = reference.domain();
        let urls = self.mirrors.get(domain).or_else(|| self.mirrors.get("*"));
        let mut endpoints: Vec<Endpoint> =
            urls.into_iter().flatten().map(|url| mirror(url, domain)).collect::<Result<_>>()?;
        let host = if domain == "docker.io" { "registry-1.docker.io" } else { domain };
        let plain = is_loopback(host) || self.insecure.iter().any(|known| known == domain);
        let scheme = if plain { "http" } else { "https" };
        endpoints.push(Endpoint { base: format!("{scheme}://{host}"), host: host.into(), own: true, namespace: None });
        Ok(endpoints)
    }
}

fn mirror(url: &str, domain: &str) -> Result<Endpoint> {
    let base = url.trim_end_matches('/');
    let rest = base.strip_prefix("https://").or_else(|| base.strip_prefix("http://"));
    let host = rest.map(|rest| rest.split('/').next().unwrap_or(rest));
    let host = host.filter(|host| !host.is_empty() && !host.contains(['@', '?', '#', ' ']));
    let host =
        host.ok_or_else(|| Fault::invalid("configure", format!("mirror {url:?} is not a URL like https://host:port")))?;
    Ok(Endpoint { base: base.into(), host: host.into(), own: false, namespace: Some(domain.into()) })
}

/// `localhost`, 127.0.0.0/8 and ::1, with or without a port.
fn is_loopback(host: &str) -> bool {
    let name = match host.strip_prefix('[') {
        Some(v6) => v6.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    };
    name == "localhost" || name.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bases(config: &RegistryConfig, reference: &str) -> Vec<String> {
        let endpoints = config.endpoints(&reference.parse().unwrap()).unwrap();
        endpoints.into_iter().map(|endpoint| endpoint.base).collect()
    }

    #[test]
    fn loopback_and_listed_hosts_are_plain() {
        let config = RegistryConfig { insecure: vec!["reg.lan:5000".into()], ..RegistryConfig::default() };
        assert_eq!(bases(&config, "nginx"), ["https://registry-1.docker.io"]);
        assert_eq!(bases(&config, "127.0.0.1:5000/a"), ["http://127.0.0.1:5000"]);
        assert_eq!(bases(&config, "[::1]:5000/a"), ["http://[::1]:5000"]);
        assert_eq!(bases(&config, "localhost/a"), ["http://localhost"]);
        assert_eq!(bases(&config, "reg.lan:5000/a"), ["http://reg.lan:5000"]);
        assert_eq!(bases(&config, "reg.lan/a"), ["https://reg.lan"]);
        assert_eq!(bases(&config, "127.0.0.1.evil.com/a"), ["https://127.0.0.1.evil.com"]);
    }

    #[test]
    fn mirrors_come_first_and_bad_ones_are_named() {
        let mut config = RegistryConfig::default();
        config.mirrors.insert("gcr.io".into(), vec!["http://m:5000/".into()]);
        assert_eq!(bases(&config, "gcr.io/a"), ["http://m:5000", "https://gcr.io"]);
        config.mirrors.insert("*".into(), vec!["ftp://x".into()]);
        assert!(config.check().unwrap_err().to_string().contains("ftp://x"));
    }
}
