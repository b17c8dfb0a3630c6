//! Who the container's process is: the request's or the image's user, looked up in the image's own passwd and group.

use super::Origin;
use crate::container::{ContainerSecurity, SupplementalGroupsPolicy, User};
use plimsoll_fault::{Fault, Kind, Layer, Result};

/// Larger ids are refused: they have been taken for negative numbers or names elsewhere (CVE-2024-40635, CVE-2026-46680).
const LAST_ID: i64 = i32::MAX as i64;

/// The image's account files as text; empty when the image has none.
#[derive(Clone, Debug, Default)]
pub struct Accounts {
    pub passwd: String,
    pub group: String,
}

/// The user with the origins of its parts.
#[derive(Clone, Debug)]
pub struct Resolved {
    pub user: User,
    pub uid_origin: Origin,
    pub gid_origin: Origin,
    pub groups_origin: Origin,
}

struct Account<'a> {
    name: &'a str,
    uid: u32,
    gid: u32,
}

/// Decides uid, gid and groups. `image_user` is the image config's `User`: `user`, `uid`, `user:group`, `uid:gid`.
pub fn resolve(security: &ContainerSecurity, image_user: &str, accounts: &Accounts) -> Result<Resolved> {
    if security.run_as_group.is_some() && security.run_as_user.is_none() && security.run_as_username.is_empty() {
        return Err(Fault::invalid("user", "run_as_group is given without run_as_user or run_as_username"));
    }
    let (text, field) = match security.run_as_user {
        Some(uid) => (range(uid, "run_as_user")?.to_string(), Origin::request("container.security.run_as_user")),
        None if !security.run_as_username.is_empty() => {
            (security.run_as_username.clone(), Origin::request("container.security.run_as_username"))
        }
        None => (image_user.to_owned(), Origin::image("User")),
    };
    let (name, group) = text.split_once(':').map_or((text.as_str(), None), |(name, group)| (name, Some(group)));
    let default = || if text.is_empty() { Origin::default("user") } else { field.clone() };
    let account = account(name, accounts)?;
    let (gid, gid_origin) = match (security.run_as_group, group) {
        (Some(gid), _) => (range(gid, "run_as_group")?, Origin::request("container.security.run_as_group")),
        (None, Some(group)) if !group.is_empty() => (group_id(group, accounts)?, default()),
        _ => (account.gid, default()),
    };
    let mut groups = vec![gid];
    if security.supplemental_groups_policy == SupplementalGroupsPolicy::Merge && group.is_none() {
        groups.extend(memberships(account.name, accounts));
    }
    for id in &security.supplemental_groups {
        groups.push(range(*id, "supplemental_groups")?);
    }
    let mut seen = std::collections::BTreeSet::new();
    groups.retain(|id| seen.insert(*id));
    let groups_origin = match security.supplemental_groups.is_empty() {
        true => default(),
        false => Origin::request("container.security.supplemental_groups"),
    };
    let user = User { uid: account.uid, gid, groups };
    Ok(Resolved { user, uid_origin: default(), gid_origin, groups_origin })
}

/// An account by number or name. A number needs no entry; its entry, if there is one, gives the group.
fn account<'a>(name: &'a str, accounts: &'a Accounts) -> Result<Account<'a>> {
    if name.is_empty() || name == "0" || name == "root" {
        let root = passwd(accounts).find(|account| account.uid == 0);
        return Ok(root.unwrap_or(Account { name: "root", uid: 0, gid: 0 }));
    }
    if let Some(uid) = number(name, "user")? {
        let known = passwd(accounts).find(|account| account.uid == uid);
        return Ok(known.unwrap_or(Account { name: "", uid, gid: 0 }));
    }
    passwd(accounts).find(|account| account.name == name).ok_or_else(|| {
        Fault::new(Layer::Spec, "user", format!("user {name:?} is not in the image's /etc/passwd"))
            .kind(Kind::InvalidArgument)
    })
}

fn group_id(name: &str, accounts: &Accounts) -> Result<u32> {
    if let Some(gid) = number(name, "group")? {
        return Ok(gid);
    }
    groups(accounts).find(|(group, ..)| *group == name).map(|(_, gid, _)| gid).ok_or_else(|| {
        Fault::new(Layer::Spec, "user", format!("group {name:?} is not in the image's /etc/group"))
            .kind(Kind::InvalidArgument)
    })
}

/// A text of digits is a number, never a name, however large it is.
fn number(text: &str, what: &str) -> Result<Option<u32>> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return Ok(None);
    }
    let value: i64 = text.parse().map_err(|_| out_of_range(text, what))?;
    range(value, what).map(Some)
}

fn range(value: i64, what: &str) -> Result<u32> {
    match u32::try_from(value) {
        Ok(id) if value <= LAST_ID => Ok(id),
        _ => Err(out_of_range(&value.to_string(), what)),
    }
}

fn out_of_range(text: &str, what: &str) -> Fault {
    Fault::new(Layer::Spec, "user", format!("{what} {text} is not in 0..={LAST_ID}")).kind(Kind::InvalidArgument)
}

fn memberships<'a>(name: &'a str, accounts: &'a Accounts) -> impl Iterator<Item = u32> + 'a {
    let member = move |members: &str| !name.is_empty() && members.split(',').any(|member| member == name);
    groups(accounts).filter(move |(_, _, members)| member(members)).map(|(_, gid, _)| gid)
}

/// Lines that are not what they should be are passed over, as C libraries do; so are ids out of range.
fn passwd(accounts: &Accounts) -> impl Iterator<Item = Account<'_>> {
    accounts.passwd.lines().filter_map(|line| {
        let mut fields = line.split(':');
        let (name, _, uid, gid) = (fields.next()?, fields.next()?, fields.next()?, fields.next()?);
        Some(Account { name, uid: id(uid)?, gid: id(gid)? })
    })
}

fn groups(accounts: &Accounts) -> impl Iterator<Item = (&str, u32, &str)> {
    accounts.group.lines().filter_map(|line| {
        let mut fields = line.split(':');
        let (name, _, gid) = (fields.next()?, fields.next()?, fields.next()?);
        Some((name, id(gid)?, fields.next().unwrap_or_default()))
    })
}

fn id(text: &str) -> Option<u32> {
    text.parse().ok().filter(|id| i64::from(*id) <= LAST_ID)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accounts() -> Accounts {
        Accounts {
            passwd: "root:x:0:0::/:/bin/sh\nbroken\nweb:x:33:33::/:\nold:x:4294967295:1::/:\nme:x:1000:100::/:".into(),
            group: "root:x:0:\nwww:x:33:\nusers:x:100:\ndisk:x:6:web,me\naudio:x:7:me\n".into(),
        }
    }

    fn of_image(user: &str) -> Result<User> {
        resolve(&ContainerSecurity::default(), user, &accounts()).map(|r| r.user)
    }

    fn user(uid: u32, gid: u32, groups: &[u32]) -> User {
        User { uid, gid, groups: groups.to_vec() }
    }

    #[test]
    fn the_image_names_its_user_in_many_ways() {
        assert_eq!(of_image("").expect("root"), user(0, 0, &[0]));
        assert_eq!(of_image("web").expect("name"), user(33, 33, &[33, 6]));
        assert_eq!(of_image("1000").expect("uid"), user(1000, 100, &[100, 6, 7]));
        assert_eq!(of_image("me:www").expect("with group"), user(1000, 33, &[33]));
        assert_eq!(of_image("55:66").expect("numbers"), user(55, 66, &[66]));
        assert_eq!(of_image("web:").expect("empty group"), user(33, 33, &[33]));
    }

    #[test]
    fn ids_out_of_range_are_errors_not_root() {
        for bad in
            ["2147483648", "4294967295", "4294967296", "99999999999999999999", "-1", "nobody", "old", "1:4294967295"]
        {
            let fault = of_image(bad).expect_err(bad);
            assert_eq!(fault.class(), Kind::InvalidArgument, "{bad}");
        }
    }

    #[test]
    fn the_request_wins_over_the_image() {
        let mut security = ContainerSecurity { run_as_user: Some(1000), ..Default::default() };
        security.supplemental_groups = vec![1234, 6];
        let merged = resolve(&security, "web", &accounts()).expect("resolves");
        assert_eq!(merged.user, user(1000, 100, &[100, 6, 7, 1234]));
        security.supplemental_groups_policy = SupplementalGroupsPolicy::Strict;
        security.run_as_group = Some(5);
        let strict = resolve(&security, "web", &accounts()).expect("resolves");
        assert_eq!(strict.user, user(1000, 5, &[5, 1234, 6]));
        let lone = ContainerSecurity { run_as_group: Some(5), ..Default::default() };
        resolve(&lone, "web", &accounts()).expect_err("group without user");
    }
}
