//! CRI log files: `TIME stdout|stderr P|F[:TAG…] TEXT`, read from the start and then as they grow, over rotations.

use plimsoll_fault::{Fault, Layer, Result};
use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// A writer of these files cuts lines at 16 KiB; a line far over that is not a log line and is passed on as it is.
const LINE_LIMIT: usize = 1 << 20;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) time: String,
    pub(crate) stderr: bool,
    /// The line goes on in the next record of its stream.
    pub(crate) partial: bool,
    pub(crate) text: Vec<u8>,
}

/// `None` for a line that is not of the form.
fn parse(line: &[u8]) -> Option<Record> {
    let mut parts = line.splitn(4, |b| *b == b' ');
    let time = std::str::from_utf8(parts.next()?).ok()?;
    let stderr = match parts.next()? {
        b"stdout" => false,
        b"stderr" => true,
        _ => return None,
    };
    let tags = parts.next()?;
    let partial = match tags.split(|b| *b == b':').next()? {
        b"P" => true,
        b"F" => false,
        _ => return None,
    };
    Some(Record { time: time.to_owned(), stderr, partial, text: parts.next().unwrap_or_default().to_vec() })
}

/// A log file that may not be there yet, may grow, and may be rotated away.
pub(crate) struct Reader {
    path: PathBuf,
    file: Option<File>,
    rest: Vec<u8>,
}

impl Reader {
    pub(crate) fn new(path: &Path) -> Self {
        Self { path: path.to_owned(), file: None, rest: Vec::new() }
    }

    /// The records that have been completed since the last call, up to a bound; an empty answer means there are no more for now.
    pub(crate) fn next_records(&mut self) -> Result<Vec<Record>> {
        self.read().map_err(|error| {
            Fault::new(Layer::Store, "read log", format!("cannot read {}", self.path.display())).because(&error)
        })
    }

    fn read(&mut self) -> io::Result<Vec<Record>> {
        let mut chunk = vec![0; 64 << 10];
        loop {
            let Some(file) = self.opened()? else { return Ok(Vec::new()) };
            let count = file.read(&mut chunk)?;
            if count == 0 {
                if self.rotated()? {
                    self.file = None;
                    continue;
                }
                return Ok(Vec::new());
            }
            self.rest.extend_from_slice(&chunk[..count]);
            let records = self.take_lines();
            if !records.is_empty() {
                return Ok(records);
            }
        }
    }

    fn opened(&mut self) -> io::Result<Option<&mut File>> {
        if self.file.is_none() {
            match File::open(&self.path) {
                Ok(file) => self.file = Some(file),
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
                Err(error) => return Err(error),
            }
        }
        Ok(self.file.as_mut())
    }

    /// True when the path now names another file than the one that was read to its end.
    fn rotated(&self) -> io::Result<bool> {
        let Some(file) = &self.file else { return Ok(false) };
        let now = match std::fs::metadata(&self.path) {
            Ok(now) => now,
            // Moved away, and the new one is not there yet.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(error),
        };
        let ours = file.metadata()?;
        Ok((now.dev(), now.ino()) != (ours.dev(), ours.ino()))
    }

    fn take_lines(&mut self) -> Vec<Record> {
        let mut records = Vec::new();
        let mut start = 0;
        while let Some(length) = self.rest[start..].iter().position(|b| *b == b'\n') {
            let line = &self.rest[start..start + length];
            records.push(parse(line).unwrap_or_else(|| foreign(line)));
            start += length + 1;
        }
        self.rest.drain(..start);
        if self.rest.len() > LINE_LIMIT {
            records.push(foreign(&self.rest));
            self.rest.clear();
        }
        records
    }
}

fn foreign(line: &[u8]) -> Record {
    Record { time: String::new(), stderr: false, partial: false, text: line.to_vec() }
}

/// The last `count` lines (not records) of what is given.
pub(crate) struct Tail {
    records: VecDeque<Record>,
    ends: usize,
    count: usize,
}

impl Tail {
    pub(crate) fn new(count: usize) -> Self {
        Self { records: VecDeque::new(), ends: 0, count }
    }

    pub(crate) fn push(&mut self, record: Record) {
        self.ends += usize::from(!record.partial);
        self.records.push_back(record);
        while self.ends > self.count {
            self.ends -= usize::from(self.records.pop_front().is_some_and(|first| !first.partial));
        }
    }

    pub(crate) fn into_records(self) -> impl Iterator<Item = Record> {
        self.records.into_iter()
    }
}

/// Writes records to the two streams they came from.
pub(crate) struct Printer<O, E> {
    pub(crate) out: O,
    pub(crate) err: E,
    pub(crate) timestamps: bool,
    /// Per stream: the last record ended its line.
    fresh: [bool; 2],
}

impl<O: Write, E: Write> Printer<O, E> {
    pub(crate) fn new(out: O, err: E, timestamps: bool) -> Self {
        Self { out, err, timestamps, fresh: [true, true] }
    }

    pub(crate) fn print(&mut self, record: &Record) -> io::Result<()> {
        let fresh = std::mem::replace(&mut self.fresh[usize::from(record.stderr)], !record.partial);
        let mut bytes = Vec::with_capacity(record.text.len() + 40);
        if self.timestamps && fresh {
            bytes.extend_from_slice(record.time.as_bytes());
            bytes.push(b' ');
        }
        bytes.extend_from_slice(&record.text);
        if !record.partial {
            bytes.push(b'\n');
        }
        let writer: &mut dyn Write = if record.stderr { &mut self.err } else { &mut self.out };
        writer.write_all(&bytes)
    }

    pub(crate) fn flush(&mut self) -> io::Result<()> {
        self.out.flush()?;
        self.err.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const T: &str = "2026-11-22T12:00:00.000000000Z";

    fn line(stream: &str, tag: &str, text: &str) -> String {
        format!("{T} {stream} {tag} {text}\n")
    }

    #[test]
    fn streams_tags_and_texts_with_blanks() {
        let record = parse(format!("{T} stderr P:x  a b ").as_bytes()).expect("parses");
        assert_eq!((record.stderr, record.partial, record.text.as_slice()), (true, true, &b" a b "[..]));
        assert_eq!(parse(format!("{T} stdout F ").as_bytes()).expect("empty line").text, b"");
        for bad in ["", "x", "t stdin F x", "t stdout Q x"] {
            assert!(parse(bad.as_bytes()).is_none(), "{bad}");
        }
    }

    #[test]
    fn partial_lines_join_and_streams_stay_apart() {
        let mut printer = Printer::new(Vec::new(), Vec::new(), true);
        for (stream, tag, text) in [("stdout", "P", "a"), ("stderr", "F", "x"), ("stdout", "F", "b")] {
            let text = line(stream, tag, text);
            printer.print(&parse(text.trim_end().as_bytes()).expect("parses")).expect("writes");
        }
        assert_eq!(String::from_utf8(printer.out).expect("utf8"), format!("{T} ab\n"));
        assert_eq!(String::from_utf8(printer.err).expect("utf8"), format!("{T} x\n"));
    }

    #[test]
    fn tail_counts_lines_not_records() {
        let mut tail = Tail::new(2);
        for (tag, text) in [("F", "1"), ("P", "2"), ("F", "2"), ("F", "3"), ("P", "4")] {
            tail.push(parse(line("stdout", tag, text).trim_end().as_bytes()).expect("parses"));
        }
        let texts: Vec<_> = tail.into_records().map(|r| String::from_utf8_lossy(&r.text).into_owned()).collect();
        assert_eq!(texts, ["2", "2", "3", "4"]);
    }

    #[test]
    fn a_rotated_file_is_read_to_its_end_and_the_new_one_from_its_start() {
        let folder = tempfile::tempdir().expect("folder");
        let path = folder.path().join("0.log");
        let mut reader = Reader::new(&path);
        assert!(reader.next_records().expect("not there yet").is_empty());
        std::fs::write(&path, line("stdout", "F", "one") + "half").expect("write");
        assert_eq!(reader.next_records().expect("first").len(), 1);
        std::fs::rename(&path, folder.path().join("1.log")).expect("rotate");
        assert!(reader.next_records().expect("gone").is_empty());
        let mut old = std::fs::OpenOptions::new().append(true).open(folder.path().join("1.log")).expect("open");
        old.write_all(b"\n").expect("append");
        std::fs::write(&path, line("stdout", "F", "two")).expect("write");
        let mut texts = Vec::new();
        while let Some(batch) = Some(reader.next_records().expect("rest")).filter(|b| !b.is_empty()) {
            texts.extend(batch.into_iter().map(|r| r.text));
        }
        assert_eq!(texts, [b"half".to_vec(), b"two".to_vec()]);
    }
}
