//! Standard streams: from a container's pipes or terminal to sinks named by URI, and from a FIFO to its standard input.
//! Owns the bytes on their way and nothing else; every buffer is bounded, and a sink that does not take bytes holds only
//! its own stream.

mod console;
mod line_log;
mod logger;
mod open;
mod stream;
mod timestamp;
mod uri;

pub(crate) use console::receive_master;
pub(crate) use line_log::{Format, LineLog, Source};
pub(crate) use logger::{Logger, is_child};
pub(crate) use open::{ChildIo, ProcessIo, StdioSpec, attach_console, open};
pub(crate) use stream::{CHUNK, Progress, Stream};
pub(crate) use timestamp::{rfc3339_nanos, since_epoch};

use std::cell::RefCell;
use std::rc::Rc;

/// Two streams of one container write to one log; the server is single-threaded.
pub(crate) type SharedLog = Rc<RefCell<LineLog>>;
