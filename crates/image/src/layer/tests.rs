//! Layers built here, byte by byte, and applied without privileges: what well-formed ones become, and what hostile ones
//! cannot do.

use super::*;
use plimsoll_fault::Fault;
use plimsoll_spec::digest::Digest;
use std::fs;
use std::io::Write;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

#[derive(Clone, Default)]
struct Tar(Vec<u8>);

impl Tar {
    fn entry(mut self, kind: u8, name: &str, link: &str, content: &[u8]) -> Self {
        self.0.extend_from_slice(&header(kind, name, link, content.len() as u64, 0o644));
        self.0.extend_from_slice(content);
        self.pad()
    }

    fn pad(mut self) -> Self {
        self.0.resize(self.0.len().next_multiple_of(512), 0);
        self
    }

    fn dir(self, name: &str) -> Self {
        self.mode(b'5', name, 0o755)
    }

    fn mode(mut self, kind: u8, name: &str, mode: u32) -> Self {
        self.0.extend_from_slice(&header(kind, name, "", 0, mode));
        self
    }

    fn file(self, name: &str, content: &str) -> Self {
        self.entry(b'0', name, "", content.as_bytes())
    }

    fn symlink(self, name: &str, to: &str) -> Self {
        self.entry(b'2', name, to, b"")
    }

    fn link(self, name: &str, to: &str) -> Self {
        self.entry(b'1', name, to, b"")
    }

    fn pax(self, records: &[(&str, &str)]) -> Self {
        let mut body = String::new();
        for (key, value) in records {
            // The length counts its own digits.
            let rest = key.len() + value.len() + 3;
            let mut length = rest + 1;
            while length != rest + length.to_string().len() {
                length = rest + length.to_string().len();
            }
            body.push_str(&format!("{length} {key}={value}\n"));
        }
        self.entry(b'x', "pax", "", body.as_bytes())
    }

    fn end(mut self) -> Vec<u8> {
        self.0.resize(self.0.len() + 1024, 0);
        self.0
    }
}

fn header(kind: u8, name: &str, link: &str, size: u64, mode: u32) -> [u8; 512] {
    let mut header = [0_u8; 512];
    let mut put = |at: usize, text: &[u8]| header[at..at + text.len()].copy_from_slice(text);
    put(0, &name.as_bytes()[..name.len().min(100)]);
    put(100, format!("{mode:07o}").as_bytes());
    put(108, b"0000000");
    put(116, b"0000000");
    put(124, format!("{size:011o}").as_bytes());
    put(136, format!("{:011o}", 1_600_000_000).as_bytes());
    put(148, b"        ");
    put(157, &link.as_bytes()[..link.len().min(100)]);
    put(257, b"ustar\x0000");
    put(329, b"0000001");
    put(337, b"0000003");
    header[156] = kind;
    let sum: u32 = header.iter().copied().map(u32::from).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    header
}

/// A layer's folder beside a folder that nothing may touch.
struct Place {
    dir: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("layer")).unwrap();
        fs::create_dir(dir.path().join("outside")).unwrap();
        fs::write(dir.path().join("outside/secret"), "secret").unwrap();
        Self { dir }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join("layer").join(name)
    }

    fn apply(&self, tar: Tar) -> Result<Applied, Fault> {
        self.apply_bytes(&tar.end())
    }

    fn apply_bytes(&self, bytes: &[u8]) -> Result<Applied, Fault> {
        let result = apply(bytes, &self.dir.path().join("layer"), Rights::NONE);
        self.outside_is_untouched();
        result
    }

    fn outside_is_untouched(&self) {
        let outside = self.dir.path().join("outside");
        let names: Vec<_> = fs::read_dir(&outside).unwrap().map(|e| e.unwrap().file_name()).collect();
        assert_eq!(names, ["secret"], "something was made outside");
        let secret = outside.join("secret");
        assert_eq!(fs::read_to_string(&secret).unwrap(), "secret");
        assert_eq!(fs::metadata(&secret).unwrap().nlink(), 1);
        let top: Vec<_> = fs::read_dir(self.dir.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
        assert_eq!(top.len(), 2, "something was made beside the layer: {top:?}");
    }
}

fn mode(path: &Path) -> u32 {
    fs::symlink_metadata(path).unwrap().permissions().mode() & 0o7777
}

#[test]
fn files_folders_links_and_their_metadata() {
    let place = Place::new();
    let tar = Tar::default()
        .dir("./")
        .dir("./bin/")
        .file("bin/a", "alpha")
        .link("bin/b", "bin/a")
        .symlink("bin/c", "/absolute/is/fine")
        .mode(b'0', "bin/setuid", 0o4755)
        .mode(b'6', "fifo", 0o600)
        .mode(b'5', "sticky", 0o1777)
        .file("deep/down/here", "x");
    let applied = place.apply(tar).unwrap();
    assert_eq!(fs::read_to_string(place.path("bin/b")).unwrap(), "alpha");
    assert_eq!(fs::metadata(place.path("bin/a")).unwrap().nlink(), 2);
    assert_eq!(fs::read_link(place.path("bin/c")).unwrap(), Path::new("/absolute/is/fine"));
    assert_eq!((mode(&place.path("bin/setuid")), mode(&place.path("sticky"))), (0o4755, 0o1777));
    assert_eq!(fs::metadata(place.path("bin")).unwrap().mtime(), 1_600_000_000, "folders keep their time");
    assert_eq!(fs::symlink_metadata(place.path("bin/c")).unwrap().mtime(), 1_600_000_000);
    assert_eq!(applied.implied, [b"deep".to_vec(), b"deep/down".to_vec()]);
}

#[test]
fn whiteouts_become_overlayfs_marks() {
    let place = Place::new();
    let tar = Tar::default()
        .dir("a/")
        .file("a/.wh.gone", "")
        .file("a/.wh..wh..opq", "")
        .file(".wh..wh.plnk", "")
        .file(".wh.back", "")
        .dir("back/")
        .dir("kept/")
        .file("kept/f", "1")
        .file(".wh.kept", "");
    place.apply(tar).unwrap();
    let gone = fs::symlink_metadata(place.path("a/gone")).unwrap();
    assert_eq!((gone.mode() & 0o170_000, gone.rdev()), (0o020_000, 0));
    let opaque = |name: &str| {
        let mut value = [0_u8; 4];
        rustix::fs::getxattr(place.path(name), "user.overlay.opaque", &mut value).map(|size| value[..size].to_vec())
    };
    assert_eq!(opaque("a").unwrap(), b"y");
    assert_eq!(opaque("back").unwrap(), b"y", "a folder after its own whiteout shows nothing of below");
    assert_eq!(opaque("kept").unwrap(), b"y", "a whiteout after its folder hides only what is below");
    assert_eq!(fs::read_to_string(place.path("kept/f")).unwrap(), "1");
    assert!(!place.path(".wh..wh.plnk").exists());
}

#[test]
fn hostile_entries_are_refused_by_name_and_nothing_outside_changes() {
    let outside = |place: &Place| place.dir.path().join("outside").display().to_string();
    type Build = fn(&str) -> Tar;
    let cases: &[(&str, Build)] = &[
        ("../evil", |_| Tar::default().file("../evil", "x")),
        ("a/../../evil", |_| Tar::default().file("a/../../evil", "x")),
        ("/etc/evil", |_| Tar::default().file("/etc/evil", "x")),
        ("dotdot folder", |_| Tar::default().dir("../")),
        ("file through absolute symlink", |out| Tar::default().symlink("l", out).file("l/evil", "x")),
        ("file through relative symlink", |_| Tar::default().symlink("l", "../outside").file("l/evil", "x")),
        ("folder through symlink", |out| Tar::default().symlink("l", out).dir("l/evil/")),
        ("symlink through symlink", |out| Tar::default().symlink("l", out).symlink("l/evil", "x")),
        ("whiteout through symlink", |out| Tar::default().symlink("l", out).file("l/.wh.secret", "")),
        ("opaque through symlink", |out| Tar::default().symlink("l", out).file("l/.wh..wh..opq", "")),
        ("two symlinks", |_| Tar::default().symlink("a", "b").symlink("b", "../outside").file("a/evil", "x")),
        ("symlink loop", |_| Tar::default().symlink("a", "b").symlink("b", "a").file("a/x", "x")),
        ("hard link by dotdot", |_| Tar::default().link("h", "../outside/secret")),
        ("hard link by absolute path", |out| Tar::default().link("h", &format!("{out}/secret"))),
        ("hard link through symlink", |out| Tar::default().symlink("l", out).link("h", "l/secret")),
        ("hard link to nothing", |_| Tar::default().link("h", "missing")),
        ("hard link to itself", |_| Tar::default().file("h", "x").link("h", "h")),
        ("hard link to a folder", |_| Tar::default().dir("d/").link("h", "d")),
        ("hard link as folder", |_| Tar::default().link("./", "x")),
        ("whiteout of nothing", |_| Tar::default().file(".wh.", "")),
        ("whiteout of the folder itself", |_| Tar::default().file("a/.wh..", "")),
        ("whiteout of the folder above", |_| Tar::default().file("a/.wh...", "")),
        ("file as root", |_| Tar::default().file("./", "x")),
        ("file as folder", |_| Tar::default().file("f", "x").file("f/x", "y")),
        ("empty symlink", |_| Tar::default().symlink("s", "")),
        ("unknown type", |_| Tar::default().entry(b'Z', "z", "", b"")),
        ("long component", |_| Tar::default().pax(&[("path", &"x".repeat(300))]).file("p", "x")),
        ("long path", |_| Tar::default().pax(&[("path", &"x/".repeat(3000))]).file("p", "x")),
        ("path with zero", |_| Tar::default().pax(&[("path", "a\0b")]).file("p", "x")),
        ("dotdot by PAX", |_| Tar::default().pax(&[("path", "../evil")]).file("p", "x")),
        ("link by PAX", |_| Tar::default().pax(&[("linkpath", "../outside/secret")]).link("h", "x")),
        ("owner out of range", |_| Tar::default().pax(&[("uid", "4294967295")]).file("p", "x")),
        ("owner not a number", |_| Tar::default().pax(&[("uid", "root")]).file("p", "x")),
        ("endless size", |_| Tar::default().pax(&[("size", "18446744073709551615")]).file("p", "x")),
        ("PAX header too large", |_| Tar::default().pax(&[("comment", &"x".repeat(2 << 20))]).file("p", "x")),
        ("two PAX headers", |_| Tar::default().pax(&[("path", "a")]).pax(&[("path", "b")]).file("p", "x")),
        ("sparse map that overlaps", |_| {
            let sparse = [("GNU.sparse.map", "0,4,2,4"), ("GNU.sparse.size", "100"), ("GNU.sparse.name", "s")];
            Tar::default().pax(&sparse).file("p", "xxxxyyyy")
        }),
        ("sparse map past the end", |_| {
            let sparse = [("GNU.sparse.map", "1000,4"), ("GNU.sparse.size", "100"), ("GNU.sparse.name", "s")];
            Tar::default().pax(&sparse).file("p", "xxxx")
        }),
    ];
    for (name, build) in cases {
        let place = Place::new();
        let fault = match place.apply(build(&outside(&place))) {
            Ok(applied) => panic!("{name} was taken: {applied:?}"),
            Err(fault) => fault,
        };
        assert_eq!(fault.layer().name(), "image", "{name}: {fault}");
    }
}

#[test]
fn later_entries_replace_earlier_ones_without_following_them() {
    let place = Place::new();
    let out = place.dir.path().join("outside").display().to_string();
    let secret = format!("{out}/secret");
    let tar = Tar::default()
        // CVE-2021-32760: the folder must replace the link, not change what it leads to.
        .symlink("d", &out)
        .mode(b'5', "d", 0o777)
        .symlink("f", &secret)
        .file("f", "mine")
        .symlink("x", &secret)
        .mode(b'6', "x", 0o777)
        .dir("tree/")
        .dir("tree/sub/")
        .file("tree/sub/f", "1")
        .file("tree", "now a file")
        .file("g", "1")
        .file("g", "2")
        .symlink("s", "a")
        .symlink("s", "b");
    place.apply(tar).unwrap();
    assert!(fs::symlink_metadata(place.path("d")).unwrap().is_dir());
    assert_eq!(fs::read_to_string(place.path("f")).unwrap(), "mine");
    assert_eq!(fs::read_to_string(place.path("tree")).unwrap(), "now a file");
    assert_eq!(fs::read_to_string(place.path("g")).unwrap(), "2");
    assert_eq!(fs::read_link(place.path("s")).unwrap(), Path::new("b"));
    assert_eq!(mode(&place.dir.path().join("outside")) & 0o777, 0o755);
}

#[test]
fn symlinks_that_stay_inside_are_followed() {
    let place = Place::new();
    place.apply(Tar::default().dir("usr/lib/").symlink("lib", "usr/lib").file("lib/x", "1")).unwrap();
    assert_eq!(fs::read_to_string(place.path("usr/lib/x")).unwrap(), "1");
}

#[test]
fn pax_names_times_attributes_and_sparse_files() {
    let place = Place::new();
    let long = format!("{}/file", "d".repeat(200));
    let sparse = [("GNU.sparse.map", "4096,4,1048572,4"), ("GNU.sparse.size", "1048576"), ("GNU.sparse.name", "s")];
    let records = [
        ("path", long.as_str()),
        ("mtime", "1700000000.25"),
        ("SCHILY.xattr.user.k", "v"),
        ("SCHILY.xattr.user.overlay.redirect", "/etc"),
    ];
    place.apply(Tar::default().pax(&records).file("short", "x").pax(&sparse).file("p", "headtail")).unwrap();
    let path = place.path(&long);
    let meta = fs::metadata(&path).unwrap();
    assert_eq!((meta.mtime(), meta.mtime_nsec()), (1_700_000_000, 250_000_000));
    let mut value = [0_u8; 8];
    let size = rustix::fs::getxattr(&path, "user.k", &mut value).unwrap();
    assert_eq!(&value[..size], b"v");
    assert!(rustix::fs::getxattr(&path, "user.overlay.redirect", &mut value).is_err(), "overlayfs's own are left out");
    let bytes = fs::read(place.path("s")).unwrap();
    assert_eq!((bytes.len(), &bytes[4096..4100], &bytes[1_048_572..]), (1 << 20, &b"head"[..], &b"tail"[..]));
    assert!(fs::metadata(place.path("s")).unwrap().blocks() * 512 < 64 << 10, "holes stay holes");
}

#[test]
fn cut_or_damaged_archives_are_refused() {
    let whole = Tar::default().dir("d/").file("d/f", &"x".repeat(5000)).end();
    for cut in [100, 512, 700, 1100, 3000, 5900] {
        let result = Place::new().apply_bytes(&whole[..cut]);
        // Between entries there is nothing to tell an early end by: the digest does.
        assert_eq!(result.is_ok(), cut == 512, "cut at {cut}: {result:?}");
    }
    let mut damaged = whole.clone();
    damaged[512] ^= 1;
    assert!(Place::new().apply_bytes(&damaged).is_err());
    assert!(Place::new().apply_bytes(b"").is_ok(), "an empty layer is a layer");
    assert!(Place::new().apply_bytes(&[0; 1024]).is_ok());
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packer.write_all(bytes).unwrap();
    packer.finish().unwrap()
}

#[test]
fn every_compression_and_only_the_right_diff_id() {
    let tar = Tar::default().file("f", &"data".repeat(100_000)).end();
    let diff_id = Digest::sha256(&tar);
    let (front, back) = tar.split_at(1000);
    let members = [gzip(front), gzip(back)].concat();
    let zstd = zstd::stream::encode_all(tar.as_slice(), 1).unwrap();
    let frames = [zstd::stream::encode_all(front, 1).unwrap(), zstd::stream::encode_all(back, 1).unwrap()].concat();
    for packed in [&tar, &gzip(&tar), &members, &zstd, &frames] {
        let place = Place::new();
        unpack(packed.as_slice(), &diff_id, &place.path(""), Rights::NONE).unwrap();
        assert_eq!(fs::metadata(place.path("f")).unwrap().len(), 400_000);
        let fault =
            unpack(packed.as_slice(), &Digest::sha256(b"other"), &Place::new().path(""), Rights::NONE).unwrap_err();
        assert!(fault.what().contains("uncompressed digest"), "{fault}");
    }
    let cut = &gzip(&tar)[..100];
    let fault = unpack(cut, &diff_id, &Place::new().path(""), Rights::NONE).unwrap_err();
    assert!(fault.what().contains("decompressed"), "{fault}");
    let garbage = [gzip(&tar), b"garbage".to_vec()].concat();
    assert!(unpack(garbage.as_slice(), &diff_id, &Place::new().path(""), Rights::NONE).is_err());
}

#[test]
fn folders_a_layer_does_not_name_look_like_those_below() {
    let (below, above) = (Place::new(), Place::new());
    below.apply(Tar::default().mode(b'5', "./", 0o711).mode(b'5', "etc", 0o750).dir("etc/sub/")).unwrap();
    let applied = above.apply(Tar::default().file("etc/sub/f", "x").file("new/f", "x")).unwrap();
    symlink("etc", below.path("new")).unwrap();
    inherit(&above.path(""), &applied.implied, &[below.path("")], false).unwrap();
    assert_eq!(mode(&above.path("")), 0o711);
    assert_eq!((mode(&above.path("etc")), mode(&above.path("new"))), (0o750, 0o755));
    assert_eq!(fs::metadata(above.path("etc")).unwrap().mtime(), 1_600_000_000);
}
