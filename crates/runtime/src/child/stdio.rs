//! Descriptors 0, 1 and 2 of the program.

use super::console::Console;
use crate::Stdio;
use crate::fault::At;
use plimsoll_fault::Fault;
use rustix::fs::{FileType, Uid, major, minor};
use rustix::io::Errno;

pub(super) fn install(stdio: Stdio, console: Option<Console>) -> Result<(), Fault> {
    let what = || "cannot set up standard input and output".to_owned();
    if let Some(console) = console {
        return console.install();
    }
    if let Stdio::Fds { stdin, stdout, stderr } = stdio {
        rustix::stdio::dup2_stdin(&stdin).at("stdio", "dup2", "0", what)?;
        rustix::stdio::dup2_stdout(&stdout).at("stdio", "dup2", "1", what)?;
        rustix::stdio::dup2_stderr(&stderr).at("stdio", "dup2", "2", what)?;
    }
    Ok(())
}

/// Gives pipes and files to the user, who may want to open `/dev/stdout` again. `/dev/null` stays everybody's.
pub(super) fn give_to(uid: u32) -> Result<(), Fault> {
    if uid == 0 {
        return Ok(());
    }
    let fds = [rustix::stdio::stdin(), rustix::stdio::stdout(), rustix::stdio::stderr()];
    for (number, fd) in fds.into_iter().enumerate() {
        // A closed descriptor has no owner to change.
        let Ok(stat) = rustix::fs::fstat(fd) else { continue };
        let device = (major(stat.st_rdev), minor(stat.st_rdev));
        let null = FileType::from_raw_mode(stat.st_mode) == FileType::CharacterDevice && device == (1, 3);
        if null || stat.st_uid == uid {
            continue;
        }
        match rustix::fs::fchown(fd, Some(Uid::from_raw(uid)), None) {
            // Sockets, read-only filesystems, foreign owners, and those that are nobody in a user namespace: what cannot be
            // given still works as open descriptor.
            Ok(()) | Err(Errno::INVAL | Errno::PERM | Errno::ROFS | Errno::OVERFLOW) => {}
            Err(error) => {
                return Err(error).at("stdio", "fchown", number.to_string(), || "cannot give stdio to the user".into());
            }
        }
    }
    Ok(())
}
