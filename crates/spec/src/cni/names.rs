//! Which strings may become a program name, a file name or a CNI environment value.

/// A plugin's `type` becomes a program's file name: no separators, no leading dot (CVE-2021-20206).
pub fn is_plugin_type(name: &str) -> bool {
    is_identifier(name)
}

/// CNI 1.1 section 1: an alphanumeric, then alphanumerics, `_`, `.` and `-`.
pub fn is_network_name(name: &str) -> bool {
    is_identifier(name)
}

/// CNI 1.1 section 2: same alphabet as a network's name.
pub fn is_container_id(id: &str) -> bool {
    is_identifier(id)
}

/// What Linux takes as an interface name: at most 15 bytes, no separators, colons or white space.
pub fn is_interface_name(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= 15
        && name != "."
        && name != ".."
        && !name.contains(|c: char| c == '/' || c == ':' || c.is_whitespace() || c.is_control())
}

fn is_identifier(name: &str) -> bool {
    let bytes = name.as_bytes();
    name.len() <= 255
        && bytes.first().is_some_and(u8::is_ascii_alphanumeric)
        && bytes.iter().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plugin_type_is_never_a_path() {
        for bad in ["", ".", "..", "../../bin/sh", "/bin/sh", "a/b", "a\0b", ".hidden", "a b", "-x"] {
            assert!(!is_plugin_type(bad), "{bad:?}");
        }
        for good in ["bridge", "host-local", "cilium-cni", "p4.x_y"] {
            assert!(is_plugin_type(good), "{good:?}");
        }
    }

    #[test]
    fn interface_names_fit_the_kernel() {
        assert!(is_interface_name("eth0"));
        for bad in ["", ".", "..", "a/b", "a:b", "a b", "sixteen-bytes-xx"] {
            assert!(!is_interface_name(bad), "{bad:?}");
        }
    }
}
