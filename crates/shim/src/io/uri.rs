//! What a stdio string of the task contract names.

use super::line_log::Format;
use plimsoll_fault::{Fault, Kind, Layer};
use std::path::{Path, PathBuf};

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Target {
    Null,
    /// A FIFO, or (as containerd's own shim takes it) a plain file when it is one.
    Path(PathBuf),
    /// A file that is appended to.
    File(PathBuf),
    /// A log file of lines.
    Log(PathBuf, Format),
    /// A program that reads it.
    Binary(Program),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Program {
    pub(super) path: PathBuf,
    pub(super) args: Vec<String>,
}

/// Reads one of `stdin`, `stdout`, `stderr`. Paths must be absolute: the shim's working directory is nobody's business.
pub(super) fn parse(text: &str) -> Result<Target, Fault> {
    if text.is_empty() {
        return Ok(Target::Null);
    }
    let (scheme, path) = text.split_once("://").unwrap_or(("fifo", text));
    let (path, query) = if scheme == "binary" { path.split_once('?').unwrap_or((path, "")) } else { (path, "") };
    let path = Path::new(path);
    if !path.is_absolute() {
        return Err(Fault::invalid("stdio", format!("stdio {text:?} is not an absolute path")));
    }
    match scheme {
        "fifo" => Ok(Target::Path(path.to_owned())),
        "file" => Ok(Target::File(path.to_owned())),
        "cri-log" => Ok(Target::Log(path.to_owned(), Format::Cri)),
        "json-file" => Ok(Target::Log(path.to_owned(), Format::Json)),
        "binary" => Ok(Target::Binary(Program { path: path.to_owned(), args: arguments(query) })),
        _ => Err(Fault::new(Layer::Shim, "stdio", format!("stdio scheme {scheme:?} is not implemented"))
            .kind(Kind::Unimplemented)
            .hint("fifo, file, cri-log, json-file and binary are")),
    }
}

/// Of `KEY=VALUE&KEY2` each key, with its value after it unless that is empty; in the order in which they are written.
fn arguments(query: &str) -> Vec<String> {
    let pairs = query.split('&').filter(|pair| !pair.is_empty());
    let words = pairs.flat_map(|pair| {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        [key, value].into_iter().enumerate().filter(|(at, word)| *at == 0 || !word.is_empty()).map(|(_, word)| word)
    });
    words.map(decoded).collect()
}

/// `%XX` and `+` of a query (RFC 3986, and the form encoding of HTML).
fn decoded(word: &str) -> String {
    let mut bytes = Vec::with_capacity(word.len());
    let mut rest = word.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        let escaped = after.get(..2).filter(|_| byte == b'%').and_then(|hex| std::str::from_utf8(hex).ok());
        let escaped = escaped.and_then(|hex| u8::from_str_radix(hex, 16).ok());
        rest = if escaped.is_some() { &after[2..] } else { after };
        bytes.push(escaped.unwrap_or(if byte == b'+' { b' ' } else { byte }));
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bare_path_is_a_fifo_and_what_is_unknown_is_refused_by_name() {
        assert_eq!(parse("").expect("ok"), Target::Null);
        assert_eq!(parse("/a").expect("ok"), Target::Path("/a".into()));
        assert_eq!(parse("cri-log:///a/b.log").expect("ok"), Target::Log("/a/b.log".into(), Format::Cri));
        assert_eq!(parse("ftp:///bin/x").expect_err("refused").class(), Kind::Unimplemented);
        assert_eq!(parse("a/b").expect_err("refused").class(), Kind::InvalidArgument);
    }

    #[test]
    fn a_loggers_arguments_are_those_of_the_query() {
        let of = |text: &str| match parse(text).expect("ok") {
            Target::Binary(program) => (program.path, program.args),
            other => panic!("{other:?}"),
        };
        assert_eq!(of("binary:///bin/x"), ("/bin/x".into(), vec![]));
        let (path, args) = of("binary:///bin/x?--to=%2Fa%20b+c&flag&empty=&bad=%zz");
        assert_eq!(
            (path.to_str(), args),
            (Some("/bin/x"), ["--to", "/a b c", "flag", "empty", "bad", "%zz"].map(str::to_owned).to_vec())
        );
        assert_eq!(parse("binary://x?a").expect_err("refused").class(), Kind::InvalidArgument);
    }
}
