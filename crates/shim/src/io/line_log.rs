//! Log files of lines: the CRI's, `<RFC 3339 nanoseconds> <stdout|stderr> <F|P> <line>`, and Docker's json-file. Both streams of a
//! container share one writer, so that no line is torn; a line is held until it is whole or 16 KiB long. What the disk does not take is kept, and the
//! stream that brought it is not read on, until the disk takes it.

use super::timestamp::{rfc3339_nanos, since_epoch};
use serde::Serialize;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// Longest content of one log line; longer lines are split with tag P (the limit of kubelet's log readers).
const LINE_LIMIT: usize = 16 * 1024;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    Stdout,
    Stderr,
}

impl Source {
    fn name(self) -> &'static str {
        match self {
            Self::Stdout => "stdout",
            Self::Stderr => "stderr",
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    Cri,
    /// `{"log":"<line>\n","stream":"stdout","time":"<RFC 3339 nanoseconds>"}`; a piece of a line has no newline. What is no UTF-8 is
    /// replaced.
    Json,
}

/// A line of a json-file log.
#[derive(Serialize)]
struct Entry<'a> {
    log: &'a str,
    stream: &'static str,
    time: &'a str,
}

#[derive(Debug)]
pub(crate) struct LineLog {
    path: PathBuf,
    format: Format,
    file: File,
    /// The begun line of each stream, below [`LINE_LIMIT`].
    begun: [Vec<u8>; 2],
    /// Formatted lines of which the file has not taken the last byte yet.
    backlog: Vec<u8>,
    torn: Option<Torn>,
}

/// The first line of the backlog is in the file in part.
#[derive(Clone, Copy, Debug)]
struct Torn {
    bytes: usize,
    /// The file's size since then.
    size: u64,
}

impl LineLog {
    pub(crate) fn open(path: &Path, format: Format) -> io::Result<Self> {
        let file = open_append(path)?;
        Ok(Self {
            path: path.to_owned(),
            format,
            file,
            begun: [Vec::new(), Vec::new()],
            backlog: Vec::new(),
            torn: None,
        })
    }

    /// Takes all of `bytes` and writes every line that they complete. After an error the lines are kept: call
    /// [`LineLog::flush`] before the next `append`.
    pub(crate) fn append(&mut self, source: Source, bytes: &[u8]) -> io::Result<()> {
        let stamp = rfc3339_nanos(since_epoch(SystemTime::now()));
        let mut rest = bytes;
        while !rest.is_empty() {
            let room = LINE_LIMIT - self.begun[source as usize].len();
            let window = &rest[..rest.len().min(room)];
            if let Some(end) = window.iter().position(|&byte| byte == b'\n') {
                self.line(&stamp, source, b'F', &window[..end]);
                rest = &rest[end + 1..];
            } else if window.len() < room {
                self.begun[source as usize].extend_from_slice(window);
                rest = &[];
            } else if rest.get(room) == Some(&b'\n') {
                // Exactly as long as the limit: whole all the same.
                self.line(&stamp, source, b'F', window);
                rest = &rest[room + 1..];
            } else {
                self.line(&stamp, source, b'P', window);
                rest = &rest[room..];
            }
        }
        self.flush()
    }

    /// Ends a stream: a line without its newline is written as a partial one.
    pub(crate) fn finish(&mut self, source: Source) -> io::Result<()> {
        if !self.begun[source as usize].is_empty() {
            let stamp = rfc3339_nanos(since_epoch(SystemTime::now()));
            self.line(&stamp, source, b'P', &[]);
            self.begun[source as usize].shrink_to_fit();
        }
        self.flush()
    }

    /// Writes what the file has not taken yet.
    pub(crate) fn flush(&mut self) -> io::Result<()> {
        if self.backlog.is_empty() {
            return Ok(());
        }
        let mut written = self.torn.take().map_or(0, |torn| torn.bytes);
        let outcome = loop {
            if written == self.backlog.len() {
                break Ok(());
            }
            match self.file.write(&self.backlog[written..]) {
                Ok(count) => written += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => break Err(error),
            }
        };
        let whole = self.backlog[..written].iter().rposition(|&byte| byte == b'\n').map_or(0, |end| end + 1);
        if outcome.is_err() && written > whole {
            let size = self.file.metadata().map_or(0, |file| file.len());
            self.torn = Some(Torn { bytes: written - whole, size });
        }
        self.backlog.drain(..whole);
        // One long burst should not stay in memory for the life of the container.
        self.backlog.shrink_to(LINE_LIMIT);
        outcome
    }

    /// Opens the file again by its name, between two lines. On an error the old file stays in use and nothing is lost. What
    /// the old file does not take (its disk is full) goes to the new one, from the begin of a line on.
    pub(crate) fn reopen(&mut self) -> io::Result<()> {
        let file = open_append(&self.path)?;
        if self.flush().is_err() {
            self.mend();
        }
        self.file = file;
        Ok(())
    }

    /// Opens the file again when another one, or none, has its name now.
    pub(crate) fn follow(&mut self) -> io::Result<()> {
        let identity = |file: &std::fs::Metadata| (file.dev(), file.ino());
        let ours = identity(&self.file.metadata()?);
        match std::fs::metadata(&self.path) {
            Ok(named) if identity(&named) == ours => Ok(()),
            _ => self.reopen(),
        }
    }

    /// Takes the begin of a line that will be written to another file off the end of this one, so that it is in one file
    /// only.
    fn mend(&mut self) {
        let Some(torn) = self.torn.take() else { return };
        let ours = self.file.metadata().is_ok_and(|file| file.is_file() && file.len() == torn.size);
        if ours {
            // On a disk that fails altogether its begin stays here; the line is whole in the next file all the same.
            self.file.set_len(torn.size.saturating_sub(torn.bytes as u64)).ok();
        }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The begun line of `source` and `tail` become one line of the log.
    fn line(&mut self, stamp: &str, source: Source, tag: u8, tail: &[u8]) {
        let begun = &mut self.begun[source as usize];
        match self.format {
            Format::Cri => {
                self.backlog.reserve(stamp.len() + 11 + begun.len() + tail.len());
                for part in [stamp, " ", source.name(), " "] {
                    self.backlog.extend_from_slice(part.as_bytes());
                }
                self.backlog.extend_from_slice(&[tag, b' ']);
                self.backlog.append(begun);
                self.backlog.extend_from_slice(tail);
            }
            Format::Json => {
                begun.extend_from_slice(tail);
                begun.extend_from_slice(if tag == b'F' { b"\n" } else { b"" });
                let log = String::from_utf8_lossy(begun);
                let entry = Entry { log: &log, stream: source.name(), time: stamp };
                // Text always has a JSON form, and a vector takes everything.
                serde_json::to_writer(&mut self.backlog, &entry).ok();
                begun.clear();
            }
        }
        self.backlog.push(b'\n');
    }
}

/// 0640 as kubelet's own log files; O_APPEND so that a rotated file is never written at a stale offset.
pub(super) fn open_append(path: &Path) -> io::Result<File> {
    OpenOptions::new().append(true).create(true).mode(0o640).open(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scratch(name: &str) -> PathBuf {
        let folder = std::env::temp_dir().join(format!("plimsoll-cri-log-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("mkdir");
        folder.join("0.log")
    }

    /// (stream, tag, content) of each line.
    fn lines(path: &Path) -> Vec<(String, String, String)> {
        let text = std::fs::read_to_string(path).expect("log");
        let part = |line: &str| {
            let mut words = line.splitn(4, ' ').map(str::to_owned);
            let stamp = words.next().expect("stamp");
            assert!(stamp.len() == 30 && stamp.ends_with('Z'), "{stamp}");
            (words.next().expect("stream"), words.next().expect("tag"), words.next().expect("content"))
        };
        let parsed = text.lines().map(part).collect();
        std::fs::remove_dir_all(path.parent().expect("folder")).expect("clean");
        parsed
    }

    #[test]
    fn streams_interleave_by_line_and_never_within_one() {
        let path = scratch("interleave");
        let mut log = LineLog::open(&path, Format::Cri).expect("open");
        log.append(Source::Stdout, b"o1\no2 begun").expect("write");
        log.append(Source::Stderr, b"e1\n").expect("write");
        log.append(Source::Stdout, b" and done\n\n").expect("write");
        log.append(Source::Stderr, b"no newline").expect("write");
        log.finish(Source::Stderr).expect("write");
        let seen = lines(&path);
        let expected = [
            ("stdout", "F", "o1"),
            ("stderr", "F", "e1"),
            ("stdout", "F", "o2 begun and done"),
            ("stdout", "F", ""),
            ("stderr", "P", "no newline"),
        ];
        assert_eq!(seen.len(), expected.len());
        for (line, (stream, tag, content)) in seen.iter().zip(expected) {
            assert_eq!((line.0.as_str(), line.1.as_str(), line.2.as_str()), (stream, tag, content));
        }
    }

    #[test]
    fn lines_over_the_limit_are_split_and_none_at_the_limit_is() {
        let path = scratch("split");
        let mut log = LineLog::open(&path, Format::Cri).expect("open");
        let long = [vec![b'a'; LINE_LIMIT * 2 + 1], vec![b'\n'], vec![b'b'; LINE_LIMIT], vec![b'\n']].concat();
        for part in long.chunks(1000) {
            log.append(Source::Stdout, part).expect("write");
        }
        let seen: Vec<(String, usize)> = lines(&path).into_iter().map(|(_, tag, text)| (tag, text.len())).collect();
        let whole = |tag: &str, length| (tag.to_owned(), length);
        assert_eq!(seen, [whole("P", LINE_LIMIT), whole("P", LINE_LIMIT), whole("F", 1), whole("F", LINE_LIMIT)]);
    }

    #[test]
    fn reopening_follows_the_name_and_keeps_the_begun_line() {
        let path = scratch("reopen");
        let mut log = LineLog::open(&path, Format::Cri).expect("open");
        log.append(Source::Stdout, b"one\ntw").expect("write");
        let old = path.with_extension("old");
        std::fs::rename(&path, &old).expect("rotate");
        log.reopen().expect("reopen");
        log.append(Source::Stdout, b"o\n").expect("write");
        assert!(std::fs::read_to_string(&old).expect("old").ends_with("one\n"));
        assert_eq!(lines(&path)[0].2, "two");
    }

    #[test]
    fn reopening_succeeds_though_the_old_file_takes_nothing_and_no_line_is_lost_or_torn() {
        let path = scratch("full");
        let mut log = LineLog::open(&path, Format::Cri).expect("open");
        let flags = rustix::pipe::PipeFlags::NONBLOCK | rustix::pipe::PipeFlags::CLOEXEC;
        let (mut old, full) =
            rustix::pipe::pipe_with(flags).map(|(o, f)| (File::from(o), File::from(f))).expect("pipe");
        log.file = full;
        let numbers = |range: std::ops::Range<u32>| range.map(|n| format!("{n}\n")).collect::<String>();
        log.append(Source::Stdout, numbers(0..5000).as_bytes()).expect_err("a pipe holds less");
        log.flush().expect_err("still full");
        log.reopen().expect("reopen");
        log.append(Source::Stdout, numbers(5000..5010).as_bytes()).expect("write");
        let mut before = String::new();
        io::Read::read_to_string(&mut old, &mut before).expect("what the pipe took");
        let whole = before.matches('\n').count();
        let seen: Vec<String> = lines(&path).into_iter().map(|line| line.2).collect();
        let expected: Vec<String> = (whole..5010).map(|n| n.to_string()).collect();
        assert!(whole > 100 && seen == expected, "{whole} lines before, {:?} after", seen.first());
    }

    #[test]
    fn json_lines_are_dockers() {
        let path = scratch("json");
        let mut log = LineLog::open(&path, Format::Json).expect("open");
        log.append(Source::Stdout, b"say \"x\"\n\xff\n").expect("write");
        log.append(Source::Stderr, &[b'a'; LINE_LIMIT + 1]).expect("write");
        log.finish(Source::Stderr).expect("write");
        let text = std::fs::read_to_string(&path).expect("log");
        std::fs::remove_dir_all(path.parent().expect("folder")).expect("clean");
        let lines: Vec<serde_json::Value> =
            text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
        let seen: Vec<_> = lines.iter().map(|line| (line["stream"].as_str(), line["log"].as_str())).collect();
        let (long, rest) = ("a".repeat(LINE_LIMIT), "a");
        assert_eq!(seen[..2], [(Some("stdout"), Some("say \"x\"\n")), (Some("stdout"), Some("\u{fffd}\n"))]);
        assert_eq!(seen[2..], [(Some("stderr"), Some(long.as_str())), (Some("stderr"), Some(rest))]);
        assert!(lines.iter().all(|line| line["time"].as_str().is_some_and(|time| time.ends_with('Z'))));
    }
}
