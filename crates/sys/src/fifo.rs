//! Named pipes.

use rustix::fs::{CWD, FileType, Mode};
use std::io;
use std::path::Path;

/// Makes a FIFO (0600) that must not exist.
pub fn create(path: &Path) -> io::Result<()> {
    Ok(rustix::fs::mknodat(CWD, path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0)?)
}
