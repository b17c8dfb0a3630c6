//! `-u USER[:GROUP]`.

/// As far as CRI can say it: a user by number or name, a group by number only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct User {
    pub(crate) user: Id,
    pub(crate) group: Option<i64>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Id {
    Number(i64),
    Name(String),
}

pub(crate) fn parse(text: &str) -> Result<User, String> {
    let (user, group) = match text.split_once(':') {
        Some((user, group)) => (user, Some(group)),
        None => (text, None),
    };
    if user.is_empty() {
        return Err("a user is needed before the colon".to_owned());
    }
    let group = group.map(|g| number(g).ok_or_else(|| format!("group {g:?}: only a number, CRI knows no group names")));
    let user = match user.bytes().all(|b| b.is_ascii_digit()) {
        true => Id::Number(number(user).ok_or_else(|| format!("user {user:?} is out of range"))?),
        false => Id::Name(user.to_owned()),
    };
    Ok(User { user, group: group.transpose()? })
}

/// Ids are 32 bit; the last one means "no change" to the kernel.
fn number(text: &str) -> Option<i64> {
    text.parse::<u32>().ok().filter(|id| *id != u32::MAX).map(i64::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_forms() {
        assert_eq!(parse("1000"), Ok(User { user: Id::Number(1000), group: None }));
        assert_eq!(parse("0:5"), Ok(User { user: Id::Number(0), group: Some(5) }));
        assert_eq!(parse("www-data:33"), Ok(User { user: Id::Name("www-data".into()), group: Some(33) }));
        for text in ["", ":1", "1:x", "4294967295", "99999999999", "1:-1"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
