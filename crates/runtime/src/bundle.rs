//! A bundle: the folder with a `config.json`, read and parsed once, whoever has to look at it.

use crate::fault::At;
use plimsoll_fault::Fault;
use plimsoll_spec::runtime::{ParseError, Spec};
use rustix::fs::{Mode, OFlags};
use std::io::Read;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};

/// A `config.json` larger than this is no config.
const CONFIG_LIMIT: u64 = 16 << 20;

/// A bundle whose config has been read.
#[derive(Debug)]
pub struct Bundle {
    /// Without links; relative paths of the config are relative to it.
    pub(crate) path: PathBuf,
    /// `config.json` as it was read: what later verbs see.
    pub(crate) config: Vec<u8>,
    pub(crate) spec: Spec,
}

impl Bundle {
    /// Reads `config.json` in `folder`. Faults of phase `load` name the JSON pointer.
    pub fn load(folder: &Path) -> Result<Self, Fault> {
        let path = without_links(folder)
            .at("load", "open", folder, || format!("cannot find the bundle {}", folder.display()))?;
        let config = read(&path.join("config.json"))?;
        let spec = parse(&config)?;
        Ok(Self { path, config, spec })
    }

    pub fn spec(&self) -> &Spec {
        &self.spec
    }
}

/// As the kernel resolved it: two calls, where realpath(3) asks about every component.
fn without_links(folder: &Path) -> std::io::Result<PathBuf> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let open = rustix::fs::open(folder, flags, Mode::empty())?;
    std::fs::read_link(format!("/proc/self/fd/{}", open.as_raw_fd()))
}

fn read(path: &Path) -> Result<Vec<u8>, Fault> {
    let what = || format!("cannot read {}", path.display());
    let file = std::fs::File::open(path).at("load", "open", path, what)?;
    let mut text = Vec::with_capacity(16 << 10);
    file.take(CONFIG_LIMIT + 1).read_to_end(&mut text).at("load", "read", path, what)?;
    if text.len() as u64 > CONFIG_LIMIT {
        return Err(Fault::invalid("load", format!("{} is larger than {CONFIG_LIMIT} bytes", path.display())));
    }
    Ok(text)
}

pub(crate) fn parse(text: &[u8]) -> Result<Spec, Fault> {
    Spec::parse(text).map_err(refused)
}

pub(crate) fn refused(error: ParseError) -> Fault {
    Fault::invalid("load", format!("config.json: {error}"))
        .detail(|d| d.pointer = (!error.pointer.is_empty()).then_some(error.pointer))
}
