//! A look into a root filesystem that nobody has mounted: the lower folders of its overlay are merged by this module as
//! overlayfs merges them (Documentation/filesystems/overlayfs.rst: whiteouts, opaque folders, folders of one name). So it
//! needs no right to mount, no mount option that only newer kernels know, and leaves nothing behind. Names and links below
//! the folders are the image's, so hostile.

use plimsoll_fault::{Fault, Layer};
use plimsoll_spec::mount::MountDescription;
use rustix::fd::{AsRawFd, OwnedFd};
use rustix::fs::{CWD, FileType, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;
use std::fs::File;
use std::io::{self, Read};
use std::path::PathBuf;

/// Symbolic links on the way to one file, as in the kernel (MAXSYMLINKS).
const LINKS: usize = 40;
/// Components looked up on the way to one file, those of links included: each asks every layer.
const STEPS: usize = 1024;

/// What the mounts of a snapshot would show, without their writable part.
#[derive(Debug)]
pub struct Look {
    /// Topmost first.
    layers: Vec<PathBuf>,
    opaque: &'static str,
}

/// A folder of the merged tree: its path without links, and the layers that it shows, topmost first.
#[derive(Clone, Debug)]
struct Folder {
    path: Vec<u8>,
    layers: Vec<usize>,
}

enum Found {
    Nothing,
    Folder(Vec<usize>),
    Link(Vec<u8>),
    /// Anything else, as an `O_PATH` descriptor, and the layer that has it.
    File(OwnedFd, usize),
}

impl Look {
    /// `mounts` as a [`super::Snapshotter`] describes them: one overlay, or one folder.
    pub fn new(mounts: &[MountDescription]) -> Result<Self, Fault> {
        let fault = |what: String| Fault::new(Layer::Store, "rootfs", what);
        let [mount] = mounts else {
            return Err(fault(format!("a root filesystem of {} mounts cannot be looked into", mounts.len())));
        };
        if mount.kind != "overlay" {
            return Ok(Self::of(vec![PathBuf::from(&mount.source)], false));
        }
        let lower = mount.options.iter().find_map(|option| option.strip_prefix("lowerdir="));
        let layers: Vec<PathBuf> = lower.into_iter().flat_map(|text| text.split(':')).map(PathBuf::from).collect();
        if layers.is_empty() {
            return Err(fault("the overlay of the root filesystem has no lower folder".into()));
        }
        Ok(Self::of(layers, mount.options.iter().any(|option| option == "userxattr")))
    }

    fn of(layers: Vec<PathBuf>, userxattr: bool) -> Self {
        Self { layers, opaque: if userxattr { "user.overlay.opaque" } else { "trusted.overlay.opaque" } }
    }

    /// The content of a regular file, at most `limit` bytes. `None` when it is not there. A file that is larger, or that is
    /// no regular file (a FIFO would block, a device could never end; CVE-2026-47262), is an error.
    pub fn read_file(&self, path: &str, limit: u64) -> io::Result<Option<Vec<u8>>> {
        let Some(file) = self.open(path.as_bytes())? else { return Ok(None) };
        let mut content = Vec::new();
        file.take(limit + 1).read_to_end(&mut content)?;
        if content.len() as u64 > limit {
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, format!("it is larger than {limit} bytes")));
        }
        Ok(Some(content))
    }

    fn open(&self, path: &[u8]) -> io::Result<Option<File>> {
        let Some((path, found, layer)) = self.find(path)? else { return Ok(None) };
        let stat = rustix::fs::fstat(&found)?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "it is no regular file"));
        }
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY;
        Ok(Some(below(&self.root(layer)?, &path, flags)?.into()))
    }

    /// Walks the merged tree. A path through what is no folder leads nowhere.
    fn find(&self, path: &[u8]) -> Result<Option<(Vec<u8>, OwnedFd, usize)>, Errno> {
        // A layer's own root is never opaque to overlayfs.
        let mut way = vec![Folder { path: Vec::new(), layers: (0..self.layers.len()).collect() }];
        let mut rest = components(path);
        let (mut steps, mut links) = (0, 0);
        while let Some(name) = rest.pop() {
            steps += 1;
            if steps > STEPS {
                return Err(Errno::LOOP);
            }
            if name == b".." {
                // `/..` is `/`.
                way.truncate((way.len() - 1).max(1));
                continue;
            }
            let Some(at) = way.last() else { return Ok(None) };
            let path = joined(&at.path, &name);
            match self.child(at, &path)? {
                Found::Nothing => return Ok(None),
                Found::Folder(layers) => way.push(Folder { path, layers }),
                Found::Link(target) => {
                    links += 1;
                    if links > LINKS {
                        return Err(Errno::LOOP);
                    }
                    if target.starts_with(b"/") {
                        way.truncate(1);
                    }
                    rest.extend(components(&target));
                }
                Found::File(file, layer) if rest.is_empty() => return Ok(Some((path, file, layer))),
                Found::File(..) => return Ok(None),
            }
        }
        Err(Errno::ISDIR)
    }

    /// What `path`, a child of the merged folder `at`, is.
    fn child(&self, at: &Folder, path: &[u8]) -> Result<Found, Errno> {
        let mut folders = Vec::new();
        for (place, &layer) in at.layers.iter().enumerate() {
            let found = match below(&self.root(layer)?, path, OFlags::PATH | OFlags::NOFOLLOW) {
                Ok(found) => found,
                Err(Errno::NOENT) => continue,
                Err(errno) => return Err(errno),
            };
            let stat = rustix::fs::fstat(&found)?;
            match FileType::from_raw_mode(stat.st_mode) {
                FileType::CharacterDevice if stat.st_rdev == 0 => break,
                FileType::Directory => {
                    folders.push(layer);
                    // Below the last layer there is nothing to hide.
                    if place + 1 < at.layers.len() && self.is_opaque(&found)? {
                        break;
                    }
                }
                // A file below a folder of the same name is hidden, with all that is below it.
                _ if !folders.is_empty() => break,
                FileType::Symlink => {
                    let target = rustix::fs::readlinkat(&found, "", Vec::new())?;
                    return Ok(Found::Link(target.into_bytes()));
                }
                _ => return Ok(Found::File(found, layer)),
            }
        }
        Ok(if folders.is_empty() { Found::Nothing } else { Found::Folder(folders) })
    }

    /// Opened for each look-up: an image may have more layers than a busy daemon has descriptors to spare.
    fn root(&self, layer: usize) -> Result<OwnedFd, Errno> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        rustix::fs::openat(CWD, &self.layers[layer], flags, Mode::empty())
    }

    /// The attribute is read through our own descriptor's link: an `O_PATH` descriptor itself has none to give.
    fn is_opaque(&self, folder: &OwnedFd) -> Result<bool, Errno> {
        let path = format!("/proc/self/fd/{}", folder.as_raw_fd());
        let mut value = [0; 8];
        match rustix::fs::getxattr(path, self.opaque, &mut value) {
            Ok(size) => Ok(value[..size] == *b"y"),
            // Too long a value for any that overlayfs knows, none, or a filesystem without attributes.
            Err(Errno::RANGE | Errno::NODATA | Errno::OPNOTSUPP) => Ok(false),
            Err(errno) => Err(errno),
        }
    }
}

/// Opens what is at `path` in a layer; `path` has no link in it but perhaps the last component.
fn below(layer: &OwnedFd, path: &[u8], flags: OFlags) -> Result<OwnedFd, Errno> {
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
    rustix::fs::openat2(layer, path, flags | OFlags::CLOEXEC, Mode::empty(), resolve)
}

/// The components of `path`, last first; `.` and empty ones left out.
fn components(path: &[u8]) -> Vec<Vec<u8>> {
    let parts = path.split(|byte| *byte == b'/').rev();
    parts.filter(|part| !part.is_empty() && *part != b".").map(<[u8]>::to_vec).collect()
}

fn joined(path: &[u8], name: &[u8]) -> Vec<u8> {
    if path.is_empty() { name.to_vec() } else { [path, b"/", name].concat() }
}

#[cfg(test)]
mod tests;
