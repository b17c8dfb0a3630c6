//! Device access rules: the config's in order, then those every container needs.

use crate::fault::bad_config;
use plimsoll_fault::Fault;
use plimsoll_spec::runtime::DeviceRule;
use std::fmt;

/// `kind` is `a`, `b` or `c`; absent numbers mean all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Rule {
    pub allow: bool,
    pub kind: char,
    pub major: Option<u32>,
    pub minor: Option<u32>,
    pub read: bool,
    pub write: bool,
    pub mknod: bool,
}

/// As in `devices.allow`: `c 1:3 rwm`.
impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let number = |n: Option<u32>| n.map_or("*".to_owned(), |n| n.to_string());
        write!(f, "{} {}:{} ", self.kind, number(self.major), number(self.minor))?;
        let access = [(self.read, 'r'), (self.write, 'w'), (self.mknod, 'm')];
        f.write_str(&access.iter().filter(|(is, _)| *is).map(|(_, c)| *c).collect::<String>())
    }
}

impl Rule {
    /// Everything: of v1's files it is the word `a` alone.
    pub(crate) fn is_everything(&self) -> bool {
        self.kind == 'a' && self.major.is_none() && self.minor.is_none() && self.read && self.write && self.mknod
    }
}

/// What a container may always use: making any node (using it needs more), and the default devices, consoles and ptys.
const ALWAYS: [(char, Option<u32>, Option<u32>, bool); 11] = [
    ('c', None, None, false),
    ('b', None, None, false),
    ('c', Some(1), Some(3), true),
    ('c', Some(1), Some(5), true),
    ('c', Some(1), Some(7), true),
    ('c', Some(1), Some(8), true),
    ('c', Some(1), Some(9), true),
    ('c', Some(5), Some(0), true),
    ('c', Some(5), Some(1), true),
    ('c', Some(5), Some(2), true),
    ('c', Some(136), None, true),
];

/// The whole list, beginning with "deny everything".
pub(crate) fn rules(list: &[DeviceRule]) -> Result<Vec<Rule>, Fault> {
    let mut out = vec![everything(false)];
    for (index, rule) in list.iter().enumerate() {
        out.push(one(rule, &format!("/linux/resources/devices/{index}"))?);
    }
    // Past an "allow everything" there is nothing to add.
    if !out.iter().rev().find(|r| r.is_everything()).is_some_and(|r| r.allow) {
        out.extend(ALWAYS.iter().map(|&(kind, major, minor, all)| Rule {
            allow: true,
            kind,
            major,
            minor,
            read: all,
            write: all,
            mknod: true,
        }));
    }
    Ok(out)
}

fn everything(allow: bool) -> Rule {
    Rule { allow, kind: 'a', major: None, minor: None, read: true, write: true, mknod: true }
}

fn one(rule: &DeviceRule, pointer: &str) -> Result<Rule, Fault> {
    let kind = match rule.kind.as_deref().unwrap_or("a") {
        "" | "a" => 'a',
        "b" => 'b',
        "c" | "u" => 'c',
        other => return Err(bad_config(&format!("{pointer}/type"), format!("unknown device type {other:?}"))),
    };
    let number = |value: Option<i64>, field: &str| match value {
        // Go programs write -1 for "all".
        None | Some(-1) => Ok(None),
        Some(value) => u32::try_from(value)
            .map(Some)
            .map_err(|_| bad_config(&format!("{pointer}/{field}"), format!("{value} is out of range"))),
    };
    let access = rule.access.as_deref().filter(|a| !a.is_empty()).unwrap_or("rwm");
    if let Some(letter) = access.chars().find(|c| !matches!(c, 'r' | 'w' | 'm')) {
        return Err(bad_config(&format!("{pointer}/access"), format!("unknown access {letter:?}")));
    }
    Ok(Rule {
        allow: rule.allow,
        kind,
        major: number(rule.major, "major")?,
        minor: number(rule.minor, "minor")?,
        read: access.contains('r'),
        write: access.contains('w'),
        mknod: access.contains('m'),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_words() {
        let list = rules(&[DeviceRule { access: Some("rwm".into()), ..DeviceRule::default() }]).expect("rules");
        assert!(list[1].is_everything() && !list[1].allow);
        assert!(list.iter().any(|r| r.to_string() == "c 1:3 rwm"));
        assert!(list.iter().any(|r| r.to_string() == "c *:* m"));
        assert!(!list.iter().any(|r| r.to_string() == "c 10:200 rwm"));
    }

    #[test]
    fn allowing_everything_needs_no_list() {
        let all = DeviceRule { allow: true, access: Some("rwm".into()), ..DeviceRule::default() };
        assert_eq!(rules(&[all]).expect("rules").len(), 2);
    }
}
