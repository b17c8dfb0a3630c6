//! `flip ONE OTHER COUNT`: exchanges two names as fast as it can until it is killed, and keeps the number of swaps in a file.

use rustix::fs::{CWD, RenameFlags, renameat_with};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args_os().skip(1).map(PathBuf::from);
    let mut next = || args.next().ok_or("usage: flip ONE OTHER COUNT");
    let (one, other, count) = (next()?, next()?, next()?);
    // Overwritten in place: whenever it is read, a number is there.
    let file = std::fs::File::create(count)?;
    for swaps in 1_u64.. {
        renameat_with(CWD, &one, CWD, &other, RenameFlags::EXCHANGE)?;
        if swaps % 256 == 0 {
            file.write_all_at(format!("{swaps:020}").as_bytes(), 0)?;
        }
    }
    Ok(())
}
