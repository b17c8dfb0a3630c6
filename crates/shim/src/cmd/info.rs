//! `-info`, `-v`: what this shim is, as a `RuntimeInfo` message or as text.

use plimsoll_fault::{Fault, Layer};
use plimsoll_proto::shim::types::{RuntimeInfo, RuntimeVersion};
use prost::Message;
use std::io::Write;

const NAME: &str = "io.containerd.plimsoll.v1";
const VERSION: &str = env!("CARGO_PKG_VERSION");

pub(crate) fn info() -> Result<(), Fault> {
    let info = RuntimeInfo {
        name: NAME.to_owned(),
        version: Some(RuntimeVersion { version: VERSION.to_owned(), revision: String::new() }),
        ..Default::default()
    };
    print(&info.encode_to_vec())
}

pub(crate) fn version() -> Result<(), Fault> {
    print(format!("containerd-shim-plimsoll-v1:\n  Version: {VERSION}\n").as_bytes())
}

fn print(bytes: &[u8]) -> Result<(), Fault> {
    std::io::stdout()
        .write_all(bytes)
        .map_err(|e| Fault::new(Layer::Shim, "info", "cannot write the answer").because(&e))
}
