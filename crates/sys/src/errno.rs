//! The thread's errno after a raw call.

use rustix::io::Errno;

pub(crate) fn last() -> Errno {
    Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(Errno::INVAL)
}
