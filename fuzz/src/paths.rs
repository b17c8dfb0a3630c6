//! Mount points and files made below a root of hostile links: what is made is where the kernel's own `openat2` finds it, and
//! nothing is made outside.

use crate::mutate::Source;
use plimsoll_sys::root::RootDir;
use rustix::fs::{Mode, OFlags, ResolveFlags, openat2};
use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::{Path, PathBuf};

const NAMES: [&str; 7] = ["a", "b", "c", "..", ".", "../..", "/"];

fn path(source: &mut Source) -> PathBuf {
    let count = 1 + source.below(5);
    let text: Vec<&str> = (0..count).map(|_| source.of(&NAMES)).collect();
    let joined = text.join("/");
    PathBuf::from(if source.byte() % 2 == 0 { joined } else { format!("/{joined}") })
}

pub fn body(data: &[u8]) {
    let mut source = Source::new(data);
    let top = std::env::temp_dir().join(format!("plimsoll-fuzz-{}", std::process::id()));
    drop(fs::remove_dir_all(&top));
    let root = top.join("in/root");
    fs::create_dir_all(&root).expect("a folder");
    for _ in 0..source.below(8) {
        let place = root.join(source.of(&["a", "b", "c", "a/b", "b/c", "a/b/c"]));
        let (kind, target) = (source.byte() % 3, path(&mut source));
        // These calls follow links as the host does: no link may be on the way, nor at its end.
        if !plain_below(&root, &place) {
            continue;
        }
        match kind {
            0 => drop(fs::create_dir(&place)),
            1 => drop(symlink(target, &place)),
            _ => drop(fs::write(&place, "file")),
        }
    }
    let before = outside(&top, &root);
    let wanted = path(&mut source);
    let opened = RootDir::open(&root).expect("the root");
    let made = if source.byte() % 2 == 0 { opened.make_dirs(&wanted) } else { opened.make_file(&wanted) };
    if let Ok(made) = made {
        let ours = fs::File::from(made).metadata().expect("metadata");
        let top = rustix::fs::open(&root, OFlags::PATH | OFlags::DIRECTORY, Mode::empty()).expect("the root");
        let flags = OFlags::PATH | OFlags::CLOEXEC;
        // A file may be asked for as `a/.`: the name is `a`, of which the kernel says the same.
        let plain: PathBuf = wanted.components().collect();
        let look = |more| {
            openat2(&top, &plain, flags | more, Mode::empty(), ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS)
        };
        // A file is mounted over a link that leads nowhere, which the kernel then does not follow.
        let theirs = look(OFlags::empty()).or_else(|_| look(OFlags::NOFOLLOW));
        let theirs = fs::File::from(theirs.expect("what was made is found")).metadata().expect("metadata");
        assert_eq!((ours.dev(), ours.ino()), (theirs.dev(), theirs.ino()), "{}", wanted.display());
    }
    assert_eq!(before, outside(&top, &root), "{} made something outside", wanted.display());
    drop(fs::remove_dir_all(&top));
}

/// Everything below `top` that is not below `root`.
fn outside(top: &Path, root: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut queue = vec![top.to_owned()];
    while let Some(folder) = queue.pop() {
        for entry in fs::read_dir(&folder).into_iter().flatten().flatten().map(|entry| entry.path()) {
            if entry != root {
                found.push(entry.clone());
                queue.push(entry);
            }
        }
    }
    found.sort();
    found
}

/// Whether every folder from `root` to `place` is a real one, and nothing is at `place` yet.
fn plain_below(root: &Path, place: &Path) -> bool {
    let above = place.ancestors().skip(1).take_while(|folder| *folder != root);
    let mut real = above.map(|folder| fs::symlink_metadata(folder).is_ok_and(|found| found.is_dir()));
    real.all(|is| is) && fs::symlink_metadata(place).is_err()
}
