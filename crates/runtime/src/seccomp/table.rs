//! System call names and numbers. The text of `syscalls.tbl` is indexed while compiling, so that the binary carries no
//! pointers to relocate and a look-up reads a few cache lines.

use super::arch::{Arch, X32_BIT};
use std::cmp::Ordering;

const TEXT: &str = include_str!("syscalls.tbl");
const COLUMNS: usize = 5;
const ABSENT: u32 = u32::MAX;

struct Row {
    /// Where the name lies in [`TEXT`].
    start: u16,
    len: u8,
    numbers: [u32; COLUMNS],
}

const ROWS: usize = count(TEXT.as_bytes());
static TABLE: [Row; ROWS] = parse(TEXT.as_bytes());

/// The numbers of one system call on each architecture.
#[derive(Clone, Copy, Debug)]
pub(super) struct Numbers(&'static [u32; COLUMNS]);

impl Numbers {
    /// `None` when the architecture has no such call.
    pub(super) fn on(self, arch: Arch) -> Option<u32> {
        let number = self.0[arch as usize];
        (number != ABSENT).then(|| if arch == Arch::X32 { number | X32_BIT } else { number })
    }
}

/// `None` when no architecture has a call of this name.
pub(super) fn find(name: &str) -> Option<Numbers> {
    Finder::default().find(name)
}

/// Looks names up one after the other. Profiles list them in order, so that each is most often just behind the one before.
#[derive(Default)]
pub(super) struct Finder {
    next: usize,
}

impl Finder {
    pub(super) fn find(&mut self, name: &str) -> Option<Numbers> {
        let at = search(&TABLE, &mut self.next, name, |row| row.name())?;
        Some(Numbers(&TABLE[at].numbers))
    }
}

/// Where the row called `name` is in `rows`, which are sorted. `next` is where the search before this one ended.
pub(super) fn search<T>(rows: &[T], next: &mut usize, name: &str, named: impl Fn(&T) -> &str) -> Option<usize> {
    const NEAR: usize = 4;
    let near = rows.iter().enumerate().skip(*next).take(NEAR);
    let found = near.map(|(at, row)| (at, named(row).cmp(name))).find(|(_, order)| order.is_ge());
    let at = match found {
        Some((at, Ordering::Equal)) => Ok(at),
        // Behind the row before, before this one: in no row.
        Some((at, _)) if at > *next || at == 0 || named(&rows[at - 1]) < name => Err(at),
        _ => rows.binary_search_by(|row| named(row).cmp(name)),
    };
    *next = at.map_or_else(|at| at, |at| at + 1);
    at.ok()
}

impl Row {
    fn name(&self) -> &'static str {
        let start = usize::from(self.start);
        &TEXT[start..start + usize::from(self.len)]
    }
}

const fn count(text: &[u8]) -> usize {
    let (mut at, mut rows, mut begins) = (0, 0, true);
    while at < text.len() {
        if begins && text[at] != b'#' {
            rows += 1;
        }
        begins = text[at] == b'\n';
        at += 1;
    }
    rows
}

const fn parse(text: &[u8]) -> [Row; ROWS] {
    let mut rows = [const { Row { start: 0, len: 0, numbers: [ABSENT; COLUMNS] } }; ROWS];
    let (mut at, mut row) = (0, 0);
    while at < text.len() {
        if text[at] == b'#' {
            at = skip_line(text, at);
            continue;
        }
        let start = at;
        while text[at] != b' ' {
            at += 1;
        }
        assert!(start <= u16::MAX as usize && at - start <= u8::MAX as usize);
        rows[row].start = start as u16;
        rows[row].len = (at - start) as u8;
        let mut column = 0;
        while column < COLUMNS {
            at += 1;
            if text[at] == b'-' {
                at += 1;
            } else {
                let mut number = 0;
                while text[at] != b' ' && text[at] != b'\n' {
                    assert!(text[at].is_ascii_digit());
                    number = number * 10 + (text[at] - b'0') as u32;
                    at += 1;
                }
                rows[row].numbers[column] = number;
            }
            column += 1;
        }
        assert!(text[at] == b'\n');
        at += 1;
        row += 1;
    }
    rows
}

const fn skip_line(text: &[u8], mut at: usize) -> usize {
    while text[at] != b'\n' {
        at += 1;
    }
    at + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_sorted_without_repeats() {
        assert!(TABLE.windows(2).all(|pair| pair[0].name() < pair[1].name()));
    }

    #[test]
    fn known_numbers() {
        let on = |name, arch| find(name).and_then(|numbers| numbers.on(arch));
        assert_eq!(on("read", Arch::X86_64), Some(0));
        assert_eq!(on("read", Arch::X32), Some(X32_BIT));
        assert_eq!(on("execve", Arch::X32), Some(X32_BIT | 520));
        assert_eq!(on("openat2", Arch::Aarch64), Some(437));
        assert_eq!(on("set_tls", Arch::Arm), Some(0xf0005));
        assert_eq!(on("open", Arch::Aarch64), None);
        assert_eq!(on("socketcall", Arch::X86), Some(102));
        assert!(find("no_such_call").is_none());
    }

    /// The numbers with which this program itself is built agree with the table.
    #[test]
    fn agrees_with_libc() {
        let Some(native) = Arch::native() else { return };
        for (name, number) in [
            ("clone3", libc::SYS_clone3),
            ("mount_setattr", libc::SYS_mount_setattr),
            ("openat2", libc::SYS_openat2),
            ("pidfd_open", libc::SYS_pidfd_open),
            ("seccomp", libc::SYS_seccomp),
            ("setns", libc::SYS_setns),
        ] {
            assert_eq!(find(name).and_then(|n| n.on(native)).map(i64::from), Some(number), "{name}");
        }
    }
}
