//! The cgroup trees of this host: where each hierarchy is mounted and where the calling process is in it. Which limit goes
//! into which file is not decided here.

mod dir;

pub use dir::{Group, processes, read_file, write_file};

use crate::file;
use rustix::process::Pid;
use std::cell::OnceCell;
use std::io;
use std::path::{Path, PathBuf};

const MOUNT: &str = "/sys/fs/cgroup";
const OWN: &str = "/proc/self/cgroup";
const CGROUP2_SUPER_MAGIC: i64 = 0x6367_7270;
const CGROUP_SUPER_MAGIC: i64 = 0x0027_e0eb;

/// What `/sys/fs/cgroup` is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Layout {
    /// One tree with every controller.
    V2(Hierarchy),
    /// A tree per controller (or group of controllers), with or without a v2 tree beside them ("hybrid").
    V1(Vec<Hierarchy>),
}

/// One mounted tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hierarchy {
    /// Controllers (`["cpu", "cpuacct"]`), `["name=systemd"]` for a named tree, empty for v2.
    pub controllers: Vec<String>,
    pub mount: PathBuf,
    /// Of a v2 tree only once it was asked for.
    own: OnceCell<PathBuf>,
}

impl Hierarchy {
    pub fn has(&self, controller: &str) -> bool {
        self.controllers.iter().any(|c| c == controller)
    }

    /// The calling process's group, absolute within the tree.
    pub fn own(&self) -> io::Result<&Path> {
        if let Some(own) = self.own.get() {
            return Ok(own);
        }
        let lines = parse(&file::read_text(Path::new(OWN))?);
        let own = lines.into_iter().find(|(controllers, _)| *controllers == self.controllers).map(|(_, own)| own);
        Ok(self.own.get_or_init(|| own.unwrap_or_else(|| PathBuf::from("/"))))
    }

    /// The folder of `group` (absolute within the tree).
    pub fn folder(&self, group: &Path) -> PathBuf {
        self.mount.join(group.strip_prefix("/").unwrap_or(group))
    }
}

/// Looks at `/sys/fs/cgroup` and `/proc/self/cgroup`. v1 trees that are not mounted are left out.
pub fn detect() -> io::Result<Layout> {
    if magic(Path::new(MOUNT)) == Some(CGROUP2_SUPER_MAGIC) {
        return Ok(Layout::V2(Hierarchy { controllers: Vec::new(), mount: MOUNT.into(), own: OnceCell::new() }));
    }
    let trees = parse(&file::read_text(Path::new(OWN))?).into_iter().filter(|(controllers, _)| !controllers.is_empty());
    Ok(Layout::V1(trees.filter_map(|(controllers, own)| mounted(controllers, own)).collect()))
}

/// The folders of another process's groups with the controllers of each, joined by commas: one without any on v2, one a
/// hierarchy on v1.
pub fn folders_of(pid: Pid) -> io::Result<Vec<(String, PathBuf)>> {
    let groups = parse(&file::read_text(Path::new(&format!("/proc/{}/cgroup", pid.as_raw_nonzero())))?);
    let trees = match detect()? {
        Layout::V2(tree) => vec![tree],
        Layout::V1(trees) => trees,
    };
    let folder = |tree: &Hierarchy| {
        let (_, group) = groups.iter().find(|(controllers, _)| *controllers == tree.controllers)?;
        Some((tree.controllers.join(","), tree.folder(group)))
    };
    Ok(trees.iter().filter_map(folder).collect())
}

/// The group of another process in the v2 tree, absolute within it.
pub fn v2_group_of(pid: Pid) -> io::Result<PathBuf> {
    let text = file::read_text(Path::new(&format!("/proc/{}/cgroup", pid.as_raw_nonzero())))?;
    let found = parse(&text).into_iter().find(|(controllers, _)| controllers.is_empty());
    found.map(|(_, own)| own).ok_or_else(|| io::ErrorKind::NotFound.into())
}

fn mounted(controllers: Vec<String>, own: PathBuf) -> Option<Hierarchy> {
    let joined = controllers.join(",");
    let bare = joined.strip_prefix("name=").unwrap_or(&joined);
    let candidates = [bare, controllers.first()?.as_str()];
    let mount =
        candidates.iter().map(|name| Path::new(MOUNT).join(name)).find(|p| magic(p) == Some(CGROUP_SUPER_MAGIC))?;
    Some(Hierarchy { controllers, mount, own: own.into() })
}

fn magic(path: &Path) -> Option<i64> {
    rustix::fs::statfs(path).ok().map(|stat| stat.f_type)
}

/// `/proc/<pid>/cgroup`: controllers and path of each line.
fn parse(text: &str) -> Vec<(Vec<String>, PathBuf)> {
    let line = |line: &str| {
        let mut parts = line.splitn(3, ':');
        let (_, controllers, own) = (parts.next()?, parts.next()?, parts.next()?);
        let controllers = controllers.split(',').filter(|c| !c.is_empty()).map(str::to_owned).collect();
        Some((controllers, PathBuf::from(own)))
    };
    text.lines().filter_map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_a_hybrid_host() {
        let got = parse("9:name=systemd:/\n4:cpu,cpuacct:/a:b\n0::/\n");
        assert_eq!(got[0], (vec!["name=systemd".into()], PathBuf::from("/")));
        assert_eq!(got[1], (vec!["cpu".into(), "cpuacct".into()], PathBuf::from("/a:b")));
        assert!(got[2].0.is_empty());
    }
}
