//! `--user` of `exec`.

/// `UID[:GID]`: decimal digits and nothing else (CVE-2026-30892). 4294967295 is the kernel's "leave as it is", so not an id.
pub fn parse_user(text: &str) -> Option<(u32, Option<u32>)> {
    match text.split_once(':') {
        None => Some((id(text)?, None)),
        Some((user, group)) => Some((id(user)?, Some(id(group)?))),
    }
}

fn id(text: &str) -> Option<u32> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|id| digits && *id != u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::parse_user;

    #[test]
    fn users_are_numbers_and_nothing_else() {
        assert_eq!(parse_user("1"), Some((1, None)));
        assert_eq!(parse_user("1:2"), Some((1, Some(2))));
        for bad in ["1:", ":1", "1a", "", "-1", "4294967296", "4294967295", "+1", " 1", "1:2:3"] {
            assert_eq!(parse_user(bad), None, "{bad}");
        }
    }
}
