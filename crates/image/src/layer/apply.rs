//! Writing a layer's tar into a folder. Every name is hostile: nothing outside the folder is touched, whatever the layer
//! says, and every refusal names the entry.

use super::block::Blocks;
use super::dirs::Dirs;
use super::file::{SparseWriter, create};
use super::meta::Meta;
use super::path::EntryPath;
use super::whiteout::{Meaning, hide, make_opaque, meaning};
use super::{Rights, node};
use crate::fault::{io_fault, shown};
use crate::limits::{ENTRY_METADATA, FILE_BYTES, LAYER_BYTES, LAYER_ENTRIES, PATH_MAX, SPARSE_REGIONS};
use crate::snapshot::SnapshotUsage;
use plimsoll_fault::{Fault, Kind, Layer, Result};
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{AtFlags, FileType, Mode, OFlags, Timestamps};
use rustix::io::Errno;
use std::fs::File;
use std::io::{Read, Write};
use std::path::Path;
use std::rc::Rc;
use tar_core::EntryType;
use tar_core::SparseEntry;
use tar_core::parse::{Limits, ParseEvent, ParsedEntry, Parser};

/// What a layer came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Applied {
    pub entries: u64,
    pub usage: SnapshotUsage,
    /// Folders that entries needed but the layer does not name (empty path: the root), parents before children.
    pub implied: Vec<Vec<u8>>,
}

/// Writes the uncompressed tar `stream` into the empty folder `target`, reading it to its very end.
pub fn apply(stream: impl Read, target: &Path, rights: Rights) -> Result<Applied> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let root = rustix::fs::open(target, flags, Mode::empty()).map_err(|errno| {
        let error = std::io::Error::from(errno);
        io_fault("unpack", &format!("cannot open {}", target.display()), &error)
    })?;
    let mut extractor =
        Extractor { dirs: Dirs::new(root, rights), rights, applied: Applied::default(), folder_times: Vec::new() };
    extractor.run(&mut Blocks::new(stream, LAYER_BYTES))?;
    Ok(extractor.applied)
}

struct Extractor {
    dirs: Dirs,
    rights: Rights,
    applied: Applied,
    /// Set when all is written: making entries in a folder changes its times.
    folder_times: Vec<(EntryPath, Timestamps)>,
}

/// What an entry is, once its header is no longer borrowed.
struct Item {
    path: EntryPath,
    kind: EntryType,
    meta: Meta,
    link: Vec<u8>,
    size: u64,
    device: (u32, u32),
    sparse: Option<(Vec<SparseEntry>, u64)>,
}

fn parser() -> Parser {
    Parser::new(Limits {
        max_metadata_size: ENTRY_METADATA,
        max_path_len: Some(PATH_MAX as u32),
        max_pending_entries: 16,
        max_sparse_entries: SPARSE_REGIONS,
    })
}

fn hostile(what: impl Into<String>) -> Fault {
    Fault::new(Layer::Image, "unpack", what).kind(Kind::InvalidArgument)
}

impl Extractor {
    fn run<R: Read>(&mut self, blocks: &mut Blocks<R>) -> Result<()> {
        let mut parser = parser();
        loop {
            let item =
                match parser.parse(blocks.window()).map_err(|e| hostile("layer's tar is malformed").because(&e))? {
                    ParseEvent::NeedData { min_bytes } => {
                        if blocks.fill(min_bytes).map_err(|e| broken(&e))? {
                            continue;
                        }
                        if blocks.window().iter().any(|byte| *byte != 0) {
                            return Err(hostile("layer's tar is truncated").kind(Kind::DataLoss));
                        }
                        break;
                    }
                    ParseEvent::End { .. } => break,
                    ParseEvent::GlobalExtensions { consumed, .. } => {
                        blocks.consume(consumed);
                        continue;
                    }
                    ParseEvent::Entry { consumed, entry } => (consumed, Item::of(&entry, None)?),
                    ParseEvent::SparseEntry { consumed, entry, sparse_map, real_size } => {
                        (consumed, Item::of(&entry, Some((sparse_map, real_size)))?)
                    }
                };
            blocks.consume(item.0);
            self.entry(&item.1, blocks)?;
        }
        blocks.drain().map_err(|e| broken(&e))?;
        self.finish()
    }

    fn entry<R: Read>(&mut self, item: &Item, blocks: &mut Blocks<R>) -> Result<()> {
        self.applied.entries += 1;
        if self.applied.entries > LAYER_ENTRIES {
            return Err(hostile(format!("layer has more than {LAYER_ENTRIES} entries")).kind(Kind::ResourceExhausted));
        }
        let size = if has_payload(item.kind) { item.size } else { 0 };
        if size > 0 && !matches!(item.kind, EntryType::Regular | EntryType::Continuous | EntryType::GnuSparse) {
            return Err(hostile(format!("layer entry {} has an unsupported type", shown(item.path.bytes()))));
        }
        if self.whiteout(item)? {
            blocks.skip(size).map_err(|e| broken(&e))?;
        } else {
            self.make(item, size, blocks)?;
        }
        blocks.skip(size.next_multiple_of(512) - size).map_err(|e| broken(&e))
    }

    /// Says whether the entry was a whiteout or bookkeeping, which is then done.
    fn whiteout(&mut self, item: &Item) -> Result<bool> {
        let fail = |act: &str, errno| failed(act, &item.path, errno);
        let (folder, name) = item.path.split();
        match meaning(name) {
            Meaning::Plain => return Ok(false),
            Meaning::Bookkeeping => {}
            Meaning::Malformed => return Err(hostile(format!("whiteout {} hides nothing", shown(item.path.bytes())))),
            Meaning::Opaque => {
                let folder = self.dirs.folder(folder).map_err(|e| fail("open the folder of", e))?;
                make_opaque(&*folder, self.rights).map_err(|e| fail("mark as opaque the folder of", e))?;
            }
            Meaning::Hides(hidden) => {
                let folder = self.dirs.folder(folder).map_err(|e| fail("open the folder of", e))?;
                hide(folder.as_fd(), hidden, self.rights).map_err(|e| fail("make the whiteout of", e))?;
                self.applied.usage.inodes += 1;
            }
        }
        Ok(true)
    }

    fn make<R: Read>(&mut self, item: &Item, size: u64, blocks: &mut Blocks<R>) -> Result<()> {
        let fail = |act: &str, errno| failed(act, &item.path, errno);
        if item.path.is_root() {
            return self.root(item);
        }
        let (parent, name) = self.dirs.parent(&item.path).map_err(|e| fail("open the folder of", e))?;
        match item.kind {
            EntryType::Regular | EntryType::Continuous | EntryType::GnuSparse => {
                self.file(item, &parent, name, size, blocks)?
            }
            EntryType::Directory => {
                let folder = node::folder(&mut self.dirs, &parent, name, self.rights).map_err(|e| fail("make", e))?;
                item.meta.apply(folder.as_fd(), self.rights, false).map_err(|e| fail("set owner and mode of", e))?;
                self.dirs.implied.remove(item.path.bytes());
                self.folder_times.push((item.path.clone(), item.meta.times()));
            }
            EntryType::Symlink => {
                if item.link.is_empty() || item.link.contains(&0) {
                    return Err(hostile(format!("symlink {} has no valid target", shown(item.path.bytes()))));
                }
                let make = || rustix::fs::symlinkat(item.link.as_slice(), &*parent, name);
                node::replacing(&mut self.dirs, &parent, name, make).map_err(|e| fail("make", e))?;
                let set = item.meta.apply_at(parent.as_fd(), name, true, self.rights);
                set.map_err(|e| fail("set the owner of", e))?;
            }
            EntryType::Link => return self.hard_link(item, &parent, name),
            EntryType::Char | EntryType::Block if !self.rights.mknod => return Ok(()),
            EntryType::Char => self.special(item, &parent, name, FileType::CharacterDevice)?,
            EntryType::Block => self.special(item, &parent, name, FileType::BlockDevice)?,
            EntryType::Fifo => self.special(item, &parent, name, FileType::Fifo)?,
            other => {
                let kind = char::from(other.to_byte());
                return Err(hostile(format!(
                    "layer entry {} has the unsupported type {kind:?}",
                    shown(item.path.bytes())
                )));
            }
        }
        self.applied.usage.inodes += 1;
        Ok(())
    }

    fn root(&mut self, item: &Item) -> Result<()> {
        if item.kind != EntryType::Directory {
            return Err(hostile("layer's root entry is not a folder"));
        }
        let root = self.dirs.folder(&[]).map_err(|e| failed("open", &item.path, e))?;
        item.meta
            .apply(root.as_fd(), self.rights, false)
            .map_err(|e| failed("set owner and mode of", &item.path, e))?;
        self.dirs.implied.remove(&b""[..]);
        self.folder_times.push((item.path.clone(), item.meta.times()));
        Ok(())
    }

    fn file<R: Read>(
        &mut self,
        item: &Item,
        parent: &Rc<OwnedFd>,
        name: &[u8],
        stored: u64,
        blocks: &mut Blocks<R>,
    ) -> Result<()> {
        let fail = |act: &str, errno| failed(act, &item.path, errno);
        let wrong_map = || hostile(format!("sparse file {} has a map that does not fit it", shown(item.path.bytes())));
        let made = node::replacing(&mut self.dirs, parent, name, || create(parent.as_fd(), name));
        let mut file = File::from(made.map_err(|e| fail("make", e))?);
        let written = if let Some((map, size)) = &item.sparse {
            let mut sparse = SparseWriter::new(map, stored, *size).ok_or_else(wrong_map)?;
            let sized = file.set_len(*size).map_err(|e| write_fault(&item.path, &e));
            sized?;
            blocks.payload(stored, |bytes| sparse.write(&file, bytes))
        } else {
            if stored > FILE_BYTES {
                return Err(hostile(format!("file {} is larger than {FILE_BYTES} bytes", shown(item.path.bytes()))));
            }
            blocks.payload(stored, |bytes| file.write_all(bytes))
        };
        written.map_err(|e| broken(&e))?.map_err(|e| write_fault(&item.path, &e))?;
        self.applied.usage.bytes += stored.next_multiple_of(4096);
        item.meta.apply(file.as_fd(), self.rights, true).map_err(|e| fail("set owner and mode of", e))
    }

    fn special(&mut self, item: &Item, parent: &Rc<OwnedFd>, name: &[u8], kind: FileType) -> Result<()> {
        let make = || node::special(parent, name, kind, item.device);
        node::replacing(&mut self.dirs, parent, name, make).map_err(|e| failed("make", &item.path, e))?;
        let set = item.meta.apply_at(parent.as_fd(), name, false, self.rights);
        set.map_err(|e| failed("set owner and mode of", &item.path, e))
    }

    fn hard_link(&mut self, item: &Item, parent: &Rc<OwnedFd>, name: &[u8]) -> Result<()> {
        let show = || format!("hard link {} to {}", shown(item.path.bytes()), shown(&item.link));
        let target = EntryPath::parse(&item.link).map_err(|why| hostile(format!("{}: {why}", show())))?;
        if target == item.path || target.is_root() {
            return Err(hostile(format!("{} links to itself or the root", show())));
        }
        let (folder, target_name) = target.split();
        let linked = self.dirs.folder(folder).and_then(|folder| {
            node::replacing(&mut self.dirs, parent, name, || {
                rustix::fs::linkat(&*folder, target_name, &**parent, name, AtFlags::empty())
            })
        });
        linked.map_err(|errno| match errno {
            Errno::NOENT => hostile(format!("{}: the layer has no such file", show())),
            Errno::PERM => hostile(format!("{}: it cannot be linked", show())),
            _ => failed("make", &item.path, errno),
        })
    }

    /// Times of folders, deepest last made first, then what is left to inherit.
    fn finish(&mut self) -> Result<()> {
        for (path, times) in std::mem::take(&mut self.folder_times).into_iter().rev() {
            let set = self.dirs.existing(path.bytes()).and_then(|folder| rustix::fs::futimens(&*folder, &times));
            match set {
                // A later entry replaced the folder.
                Ok(()) | Err(Errno::NOTDIR | Errno::NOENT) => {}
                Err(errno) => return Err(failed("set the times of", &path, errno)),
            }
        }
        self.applied.usage.inodes += self.dirs.implied.len() as u64;
        self.applied.implied = self.dirs.implied.iter().cloned().collect();
        Ok(())
    }
}

impl Item {
    fn of(entry: &ParsedEntry<'_>, sparse: Option<(Vec<SparseEntry>, u64)>) -> Result<Self> {
        let path = EntryPath::parse(&entry.path)
            .map_err(|why| hostile(format!("layer entry {} is refused: {why}", shown(&entry.path))))?;
        let meta = Meta::of(entry)
            .map_err(|_| hostile(format!("layer entry {} has an owner out of range", shown(&entry.path))))?;
        // Archives older than POSIX mark folders by a slash.
        let kind = match entry.entry_type {
            EntryType::Regular if entry.path.ends_with(b"/") => EntryType::Directory,
            other => other,
        };
        Ok(Self {
            path,
            kind,
            meta,
            link: entry.link_target.as_deref().unwrap_or_default().to_vec(),
            size: entry.size,
            device: (entry.dev_major.unwrap_or(0), entry.dev_minor.unwrap_or(0)),
            sparse,
        })
    }
}

/// Header-only types carry no bytes, whatever their size field says; all readers of layers agree on that.
fn has_payload(kind: EntryType) -> bool {
    use EntryType::{Block, Char, Directory, Fifo, Link, Symlink};
    !matches!(kind, Link | Symlink | Char | Block | Directory | Fifo)
}

/// A failed operation on an entry: the disk's fault if the disk says so, else the layer's.
fn failed(act: &str, path: &EntryPath, errno: Errno) -> Fault {
    let error = std::io::Error::from(errno);
    let what = format!("cannot {act} layer entry {}", shown(path.bytes()));
    match errno {
        Errno::XDEV => hostile(format!("layer entry {} leaves the layer through a symlink", shown(path.bytes()))),
        Errno::LOOP
        | Errno::NOTDIR
        | Errno::NAMETOOLONG
        | Errno::ISDIR
        | Errno::EXIST
        | Errno::INVAL
        | Errno::MLINK => hostile(what).because(&error),
        _ => io_fault("unpack", &what, &error),
    }
}

fn write_fault(path: &EntryPath, error: &std::io::Error) -> Fault {
    io_fault("unpack", &format!("cannot write layer entry {}", shown(path.bytes())), error)
}

/// The stream itself failed.
fn broken(error: &std::io::Error) -> Fault {
    let kind = if error.kind() == std::io::ErrorKind::FileTooLarge { Kind::ResourceExhausted } else { Kind::DataLoss };
    Fault::new(Layer::Image, "unpack", "cannot read the layer's tar").kind(kind).because(error)
}
