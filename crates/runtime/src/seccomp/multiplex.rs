//! `socketcall` and `ipc` of 32-bit x86: one call number whose first argument selects the real call. A rule for the real call
//! must hold there too.

use super::intervals::Case;
use super::policy::{Condition, Rule, Test};

const SOCKETCALL: u32 = 102;
const IPC: u32 = 117;

/// `SYS_*` of linux/net.h, in order from 1.
const SOCKET: [&str; 20] = [
    "socket",
    "bind",
    "connect",
    "listen",
    "accept",
    "getsockname",
    "getpeername",
    "socketpair",
    "send",
    "recv",
    "sendto",
    "recvfrom",
    "shutdown",
    "setsockopt",
    "getsockopt",
    "sendmsg",
    "recvmsg",
    "accept4",
    "recvmmsg",
    "sendmmsg",
];

/// The first argument of linux/ipc.h.
const SYSV: [(&str, u32); 12] = [
    ("semop", 1),
    ("semget", 2),
    ("semctl", 3),
    ("semtimedop", 4),
    ("msgsnd", 11),
    ("msgrcv", 12),
    ("msgget", 13),
    ("msgctl", 14),
    ("shmat", 21),
    ("shmdt", 22),
    ("shmget", 23),
    ("shmctl", 24),
];

/// The multiplexer's call number and the selector of `name`, if it has one.
pub(super) fn of(name: &str) -> Option<(u32, u32)> {
    if let Some(at) = SOCKET.iter().position(|socket| *socket == name) {
        // At most 20.
        return Some((SOCKETCALL, at as u32 + 1));
    }
    SYSV.iter().find(|(sysv, _)| *sysv == name).map(|(_, selector)| (IPC, *selector))
}

/// The rule's cases as the multiplexer sees them: the selector takes the place of a test of the first argument. The other
/// tests stay, as in libseccomp.
pub(super) fn cases(rule: &Rule<'_>, selector: u32) -> Vec<Case<'static>> {
    let chosen = Condition { index: 0, test: Test::Equal(selector.into()) };
    let case = |all: &[Condition]| {
        let rest = all.iter().copied().filter(|condition| condition.index != 0);
        Case { conditions: std::iter::once(chosen).chain(rest).collect::<Vec<_>>().into(), action: rule.action }
    };
    if rule.any.is_empty() { vec![case(&[])] } else { rule.any.iter().map(|all| case(all)).collect() }
}
