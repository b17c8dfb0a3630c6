//! What a stdio string of the task contract names.

use plimsoll_fault::{Fault, Kind, Layer};
use std::path::{Path, PathBuf};

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Target {
    Null,
    /// A FIFO, or (as containerd's own shim takes it) a plain file when it is one.
    Path(PathBuf),
    /// A file that is appended to.
    File(PathBuf),
    /// A CRI log file.
    CriLog(PathBuf),
}

/// Reads one of `stdin`, `stdout`, `stderr`. Paths must be absolute: the shim's working directory is nobody's business.
pub(super) fn parse(text: &str) -> Result<Target, Fault> {
    if text.is_empty() {
        return Ok(Target::Null);
    }
    let (scheme, path) = text.split_once("://").unwrap_or(("fifo", text));
    let path = Path::new(path);
    if !path.is_absolute() {
        return Err(Fault::invalid("stdio", format!("stdio {text:?} is not an absolute path")));
    }
    match scheme {
        "fifo" => Ok(Target::Path(path.to_owned())),
        "file" => Ok(Target::File(path.to_owned())),
        "cri-log" => Ok(Target::CriLog(path.to_owned())),
        _ => Err(Fault::new(Layer::Shim, "stdio", format!("stdio scheme {scheme:?} is not implemented"))
            .kind(Kind::Unimplemented)
            .hint("fifo, file and cri-log are")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bare_path_is_a_fifo_and_what_is_unknown_is_refused_by_name() {
        assert_eq!(parse("").expect("ok"), Target::Null);
        assert_eq!(parse("/a").expect("ok"), Target::Path("/a".into()));
        assert_eq!(parse("cri-log:///a/b.log").expect("ok"), Target::CriLog("/a/b.log".into()));
        assert_eq!(parse("binary:///bin/x").expect_err("refused").class(), Kind::Unimplemented);
        assert_eq!(parse("a/b").expect_err("refused").class(), Kind::InvalidArgument);
    }
}
