//! `socketcall` and `ipc` of 32-bit x86: one call number whose first argument selects the real call. A rule for the real call
//! must hold there too.

use super::intervals::Case;
use super::policy::{Condition, Rule, Test};
use super::table::search;

const SOCKETCALL: u32 = 102;
const IPC: u32 = 117;

/// The way to a call through a multiplexer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Multiplexed {
    /// The multiplexer's call number.
    pub(super) number: u32,
    /// Its first argument.
    pub(super) selector: u32,
}

/// Sorted by name. Selectors are those of linux/net.h (`SYS_*`) and linux/ipc.h.
const CALLS: [(&str, u32, u32); 32] = [
    ("accept", SOCKETCALL, 5),
    ("accept4", SOCKETCALL, 18),
    ("bind", SOCKETCALL, 2),
    ("connect", SOCKETCALL, 3),
    ("getpeername", SOCKETCALL, 7),
    ("getsockname", SOCKETCALL, 6),
    ("getsockopt", SOCKETCALL, 15),
    ("listen", SOCKETCALL, 4),
    ("msgctl", IPC, 14),
    ("msgget", IPC, 13),
    ("msgrcv", IPC, 12),
    ("msgsnd", IPC, 11),
    ("recv", SOCKETCALL, 10),
    ("recvfrom", SOCKETCALL, 12),
    ("recvmmsg", SOCKETCALL, 19),
    ("recvmsg", SOCKETCALL, 17),
    ("semctl", IPC, 3),
    ("semget", IPC, 2),
    ("semop", IPC, 1),
    ("semtimedop", IPC, 4),
    ("send", SOCKETCALL, 9),
    ("sendmmsg", SOCKETCALL, 20),
    ("sendmsg", SOCKETCALL, 16),
    ("sendto", SOCKETCALL, 11),
    ("setsockopt", SOCKETCALL, 14),
    ("shmat", IPC, 21),
    ("shmctl", IPC, 24),
    ("shmdt", IPC, 22),
    ("shmget", IPC, 23),
    ("shutdown", SOCKETCALL, 13),
    ("socket", SOCKETCALL, 1),
    ("socketpair", SOCKETCALL, 8),
];

/// Looks names up one after the other, best in order.
#[derive(Default)]
pub(super) struct Finder {
    next: usize,
}

impl Finder {
    pub(super) fn find(&mut self, name: &str) -> Option<Multiplexed> {
        let (_, number, selector) = CALLS[search(&CALLS, &mut self.next, name, |(call, _, _)| call)?];
        Some(Multiplexed { number, selector })
    }
}

/// The rule's cases as the multiplexer sees them: the selector takes the place of a test of the first argument. The other
/// tests stay, as in libseccomp.
pub(super) fn cases(rule: &Rule, selector: u32) -> Vec<Case<'static>> {
    let chosen = Condition { index: 0, test: Test::Equal(selector.into()) };
    let case = |all: &[Condition]| {
        let rest = all.iter().copied().filter(|condition| condition.index != 0);
        Case { conditions: std::iter::once(chosen).chain(rest).collect::<Vec<_>>().into(), action: rule.action }
    };
    if rule.any.is_empty() { vec![case(&[])] } else { rule.any.iter().map(|all| case(all)).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_calls_are_sorted() {
        assert!(CALLS.is_sorted_by(|a, b| a.0 < b.0));
    }
}
