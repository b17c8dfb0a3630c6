//! `-p [IP:]HOSTPORT:PORT[/tcp|udp|sctp]`; an IPv6 address stands in brackets.

use plimsoll_proto::cri::{PortMapping, Protocol};
use std::net::IpAddr;

/// One published port. The error is a sentence for clap, which puts the flag and the value before it.
pub(crate) fn parse(text: &str) -> Result<PortMapping, String> {
    let (ports, protocol) = match text.rsplit_once('/') {
        Some((ports, name)) => (ports, protocol(name)?),
        None => (text, Protocol::Tcp),
    };
    let (rest, container) = ports.rsplit_once(':').ok_or("want [IP:]HOSTPORT:PORT: a random host port is not given")?;
    let (ip, host) = match rest.rsplit_once(':') {
        Some((ip, host)) => (address(ip)?, host),
        None => (String::new(), rest),
    };
    Ok(PortMapping {
        protocol: protocol.into(),
        container_port: number(container)?,
        host_port: number(host)?,
        host_ip: ip,
    })
}

fn protocol(name: &str) -> Result<Protocol, String> {
    match name {
        "tcp" => Ok(Protocol::Tcp),
        "udp" => Ok(Protocol::Udp),
        "sctp" => Ok(Protocol::Sctp),
        _ => Err(format!("protocol {name:?} is not tcp, udp or sctp")),
    }
}

fn number(text: &str) -> Result<i32, String> {
    match text.parse::<u16>() {
        Ok(port) if port > 0 => Ok(port.into()),
        _ => Err(format!("{text:?} is not a port (1 to 65535)")),
    }
}

fn address(text: &str) -> Result<String, String> {
    let bare = text.strip_prefix('[').and_then(|t| t.strip_suffix(']'));
    match bare.unwrap_or(text).parse::<IpAddr>() {
        Ok(IpAddr::V6(_)) if bare.is_none() => Err(format!("put the IPv6 address in brackets: [{text}]")),
        Ok(ip) => Ok(ip.to_string()),
        Err(_) => Err(format!("{text:?} is not an IP address")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_forms() {
        let port = |text: &str| {
            let m = parse(text).expect(text);
            (m.host_ip, m.host_port, m.container_port, m.protocol)
        };
        assert_eq!(port("8080:80"), (String::new(), 8080, 80, 0));
        assert_eq!(port("127.0.0.1:53:5353/udp"), ("127.0.0.1".into(), 53, 5353, 1));
        assert_eq!(port("[::1]:1:2/sctp"), ("::1".into(), 1, 2, 2));
    }

    #[test]
    fn bad_ones_name_the_bad_part() {
        for (text, part) in [
            ("80", "random host port"),
            ("0:80", "\"0\""),
            ("x:80", "\"x\""),
            ("80:70000", "70000"),
            ("80:80/icmp", "icmp"),
            ("1.2.3:80:80", "1.2.3"),
            ("::1:80:80", "brackets"),
        ] {
            let error = parse(text).expect_err(text);
            assert!(error.contains(part), "{text}: {error}");
        }
    }
}
