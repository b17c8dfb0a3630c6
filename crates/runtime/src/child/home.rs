//! The environment as executed: `HOME` from the container's passwd when the config has none.

use crate::plan::ProcessPlan;
use plimsoll_sys::root::RootDir;
use rustix::fs::{FileType, Mode, OFlags};
use std::ffi::CString;
use std::path::Path;

/// A passwd larger than this is read no further (CVE-2025-4437, CVE-2026-47262).
const LIMIT: usize = 1 << 20;

pub(super) fn environment(process: &ProcessPlan) -> Vec<CString> {
    let mut env = process.env.clone();
    // An empty one is as good as none.
    env.retain(|entry| entry.as_bytes() != b"HOME=");
    if !env.iter().any(|entry| entry.as_bytes().starts_with(b"HOME=")) {
        let home = passwd().and_then(|text| find(&text, process.uid)).unwrap_or_else(|| "/".to_owned());
        if let Ok(entry) = CString::new(format!("HOME={home}")) {
            env.push(entry);
        }
    }
    env
}

/// The text of `/etc/passwd`: a regular file inside the root, or nothing. Non-blocking, so that a FIFO cannot hold us.
fn passwd() -> Option<String> {
    let root = RootDir::open(Path::new("/")).ok()?;
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY;
    let file = root.open_in(Path::new("/etc/passwd"), flags, Mode::empty()).ok()?;
    let stat = rustix::fs::fstat(&file).ok()?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
        return None;
    }
    let mut text = vec![0; LIMIT.min(usize::try_from(stat.st_size).ok()?)];
    let mut filled = 0;
    while filled < text.len() {
        match rustix::io::read(&file, text.get_mut(filled..)?).ok()? {
            0 => break,
            n => filled += n,
        }
    }
    text.truncate(filled);
    Some(String::from_utf8_lossy(&text).into_owned())
}

fn find(passwd: &str, uid: u32) -> Option<String> {
    passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        let id = fields.nth(2)?;
        (id.parse() == Ok(uid)).then_some(())?;
        fields.nth(2).filter(|home| !home.is_empty()).map(str::to_owned)
    })
}

#[cfg(test)]
mod tests {
    use super::find;

    #[test]
    fn the_sixth_field_of_the_users_line() {
        let text = "root:x:0:0:root:/root:/bin/sh\nbroken\nweb:x:33:33::/srv:/bin/sh\nempty:x:7:7:::\n";
        assert_eq!(find(text, 33).as_deref(), Some("/srv"));
        assert_eq!(find(text, 0).as_deref(), Some("/root"));
        assert_eq!(find(text, 7), None);
        assert_eq!(find(text, 1), None);
    }
}
