use super::*;
use rustix::fs::XattrFlags;
use std::os::unix::fs::symlink;

/// Layers, topmost first, that a test fills as an unprivileged store does.
struct Place(tempfile::TempDir, usize);

impl Place {
    fn new(layers: usize) -> Self {
        let place = Self(tempfile::tempdir().unwrap(), layers);
        (0..layers).for_each(|layer| std::fs::create_dir(place.0.path().join(layer.to_string())).unwrap());
        place
    }

    fn path(&self, layer: usize, path: &str) -> PathBuf {
        let path = self.0.path().join(layer.to_string()).join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        path
    }

    fn write(&self, layer: usize, path: &str, content: &str) {
        std::fs::write(self.path(layer, path), content).unwrap();
    }

    fn link(&self, layer: usize, path: &str, target: &str) {
        symlink(target, self.path(layer, path)).unwrap();
    }

    fn whiteout(&self, layer: usize, path: &str) {
        let path = self.path(layer, path);
        rustix::fs::mknodat(CWD, path, FileType::CharacterDevice, Mode::empty(), 0).unwrap();
    }

    fn opaque(&self, layer: usize, path: &str) {
        let path = self.path(layer, path);
        std::fs::create_dir_all(&path).unwrap();
        rustix::fs::setxattr(path, "user.overlay.opaque", b"y", XattrFlags::empty()).unwrap();
    }

    fn look(&self) -> Look {
        let lower: Vec<String> = (0..self.1).map(|n| self.0.path().join(n.to_string()).display().to_string()).collect();
        let options = vec!["upperdir=/u".into(), format!("lowerdir={}", lower.join(":")), "userxattr".into()];
        let kind = "overlay".to_owned();
        Look::new(&[MountDescription { kind, options, ..Default::default() }]).unwrap()
    }

    /// The text of a file, or the errno of what went wrong (none for a refusal of our own).
    fn read(&self, path: &str) -> Result<Option<String>, Option<i32>> {
        let bytes = self.look().read_file(path, 100).map_err(|error| error.raw_os_error())?;
        Ok(bytes.map(|bytes| String::from_utf8(bytes).unwrap()))
    }
}

fn some(text: &str) -> Result<Option<String>, Option<i32>> {
    Ok(Some(text.to_owned()))
}

fn failure(errno: Errno) -> Result<Option<String>, Option<i32>> {
    Err(Some(errno.raw_os_error()))
}

#[test]
fn the_topmost_wins_and_folders_are_merged() {
    let place = Place::new(3);
    place.write(2, "etc/passwd", "bottom");
    place.write(2, "etc/group", "bottom");
    place.write(1, "etc/passwd", "middle");
    place.write(0, "etc/other", "top");
    assert_eq!(place.read("etc/passwd"), some("middle"));
    assert_eq!(place.read("etc/group"), some("bottom"));
    assert_eq!(place.read("/etc/other"), some("top"));
    assert_eq!(place.read("etc/none"), Ok(None));
    assert_eq!(place.read("etc/passwd/x"), Ok(None));
    assert_eq!(place.read("etc"), failure(Errno::ISDIR));
}

#[test]
fn whiteouts_and_opaque_folders_hide_what_is_below_them() {
    let place = Place::new(3);
    for path in ["etc/passwd", "etc/group", "a/f", "b/f", "c/d/f", "file/f"] {
        place.write(2, path, "bottom");
    }
    place.whiteout(1, "etc/passwd");
    place.whiteout(1, "a");
    place.write(0, "a/new", "top");
    place.opaque(1, "b");
    place.opaque(0, "c");
    place.write(1, "file", "a file hides the folder below it");
    std::fs::create_dir(place.path(0, "file")).unwrap();
    assert_eq!(place.read("etc/passwd"), Ok(None));
    assert_eq!(place.read("etc/group"), some("bottom"));
    assert_eq!((place.read("a/f"), place.read("a/new")), (Ok(None), some("top")));
    assert_eq!(place.read("b/f"), Ok(None));
    assert_eq!(place.read("c/d/f"), Ok(None));
    assert_eq!(place.read("file/f"), Ok(None), "the folder on top is not merged across a file");
}

#[test]
fn links_are_followed_through_the_layers_and_stay_inside() {
    let place = Place::new(2);
    place.write(1, "etc/real", "inside");
    place.link(0, "etc/passwd", "/etc/real");
    place.link(0, "etc/group", "../../../../etc/./real");
    place.link(1, "usr", "/etc");
    place.link(0, "dangling", "/dev/null");
    place.link(0, "magic", "/proc/self/exe");
    place.link(0, "loop", "loop");
    place.link(0, "outside", &format!("{}/1/etc/real", place.0.path().display()));
    assert_eq!(place.read("etc/passwd"), some("inside"));
    assert_eq!(place.read("etc/group"), some("inside"));
    assert_eq!(place.read("usr/real"), some("inside"));
    assert_eq!(place.read("etc/../usr/../etc/real"), some("inside"));
    for path in ["dangling", "magic", "outside"] {
        assert_eq!(place.read(path), Ok(None), "{path}");
    }
    assert_eq!(place.read("loop"), failure(Errno::LOOP));
    // Each of a few links is thousands of components long.
    (0..10).for_each(|n| place.link(0, &format!("long{n}"), &format!("{}long{}", "etc/../".repeat(580), n + 1)));
    assert_eq!(place.read("long0"), failure(Errno::LOOP));
}

#[test]
fn odd_files_are_refused() {
    let place = Place::new(1);
    place.write(0, "large", &"x".repeat(101));
    rustix::fs::mknodat(CWD, place.path(0, "fifo"), FileType::Fifo, Mode::RUSR, 0).unwrap();
    assert_eq!(place.read("large"), Err(None));
    assert_eq!(place.read("fifo"), Err(None));
    let bind = MountDescription { kind: "bind".into(), source: "/nowhere".into(), ..Default::default() };
    assert!(Look::new(&[bind.clone(), bind.clone()]).is_err());
    assert_eq!(Look::new(&[bind]).unwrap().read_file("x", 1).unwrap_err().kind(), io::ErrorKind::NotFound);
}
