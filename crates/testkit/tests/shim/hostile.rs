//! Bytes that no client of good will sends: the shim goes on serving, and does not grow.

use crate::harness::Pod;
use plimsoll_core::shim::Stdio;
use plimsoll_proto::shim::service;
use plimsoll_proto::ttrpc::{self, Kind, Request};
use prost_reflect::prost::{Message, encoding};
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::time::Duration;

/// Every call but those that end the shim.
const TASK: [&str; 17] = [
    "State",
    "Create",
    "Start",
    "Delete",
    "Pids",
    "Pause",
    "Resume",
    "Checkpoint",
    "Kill",
    "Exec",
    "ResizePty",
    "CloseIO",
    "Update",
    "Wait",
    "Stats",
    "Connect",
    "NoSuchCall",
];
const SANDBOX: [&str; 6] = ["CreateSandbox", "StartSandbox", "Platform", "WaitSandbox", "SandboxStatus", "PingSandbox"];
const OURS: [&str; 3] = ["ReopenLog", "Exit", "List"];

/// Numbers that are the same in every run (xorshift64).
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % end as u64).expect("small")
    }

    fn bytes(&mut self, most: usize) -> Vec<u8> {
        (0..self.below(most)).map(|_| self.next().to_le_bytes()[0]).collect()
    }

    fn one<'a>(&mut self, of: &[&'a str]) -> &'a str {
        of[self.below(of.len())]
    }
}

/// A protobuf message that may mean something: some fields of small numbers, of every wire type.
fn message(numbers: &mut Numbers) -> Vec<u8> {
    let mut out = Vec::new();
    for _ in 0..numbers.below(8) {
        let field = (1 + numbers.below(15)) as u64;
        let wire = [0, 1, 2, 5][numbers.below(4)];
        encoding::encode_varint(field << 3 | wire, &mut out);
        match wire {
            0 => encoding::encode_varint(numbers.next() >> numbers.below(64), &mut out),
            1 => out.extend_from_slice(&numbers.next().to_le_bytes()),
            5 => out.extend_from_slice(&numbers.next().to_le_bytes()[..4]),
            _ => {
                let words = ["c", "", "../../x", "/proc/self/fd/0", "é\u{0}", "/"];
                let inner = if numbers.below(3) == 0 { numbers.bytes(64) } else { numbers.one(&words).into() };
                encoding::encode_varint(inner.len() as u64, &mut out);
                out.extend(inner);
            }
        }
    }
    out
}

fn request(numbers: &mut Numbers) -> Vec<u8> {
    let (service, methods): (&str, &[&str]) = match numbers.below(5) {
        0 => (service::SANDBOX, &SANDBOX),
        1 => (service::EXTENSION, &OURS),
        2 => (service::TASK_V2, &TASK),
        _ => (service::TASK_V3, &TASK),
    };
    let method = numbers.one(methods).to_owned();
    // Never zero, which would be no limit: a Wait would be kept.
    let timeout_nano = 1 + i64::try_from(numbers.next() % 1_000_000).expect("small");
    let payload = if numbers.below(4) == 0 { numbers.bytes(200) } else { message(numbers) };
    Request { service: service.to_owned(), method, payload, timeout_nano, ..Request::default() }.encode_to_vec()
}

/// One connection's bytes: whole frames, frames that lie about their length or kind, and plain noise.
fn wire(numbers: &mut Numbers) -> Vec<u8> {
    let mut out = Vec::new();
    for _ in 0..1 + numbers.below(20) {
        let stream = u32::try_from(numbers.next() % 1000).expect("small");
        match numbers.below(10) {
            0 => out.extend(numbers.bytes(300)),
            1 => {
                // A length that may be anything, and less data than it says.
                out.extend_from_slice(&u32::try_from(numbers.next() >> 32).expect("32 bits").to_be_bytes());
                out.extend_from_slice(&stream.to_be_bytes());
                out.extend_from_slice(&[1, 0]);
                out.extend(numbers.bytes(100));
            }
            _ => assert!(ttrpc::encode(&mut out, stream, Kind::Request, &request(numbers))),
        }
    }
    out
}

fn rss(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("the shim is there");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("a line");
    line.trim().trim_end_matches(" kB").parse().expect("a number")
}

#[tokio::test]
async fn noise_and_senseless_calls_neither_end_nor_bloat_the_shim() {
    let pod = Pod::new().await;
    pod.launch("c", "sleep 1000", &Stdio::default()).await;
    let shim = pod.shim.pid("c").await.expect("pid");
    let path = pod.shim.address().trim_start_matches("unix://").to_owned();
    let mut numbers = Numbers(0x9e37_79b9_7f4a_7c15);
    let mut sizes = Vec::new();
    for round in 0..10_000 {
        let mut client = UnixStream::connect(&path).expect("it takes connections");
        client.set_read_timeout(Some(Duration::from_millis(1))).expect("a limit");
        // It may hang up on us in the middle.
        drop(client.write_all(&wire(&mut numbers)));
        drop(client.read(&mut [0; 4096]));
        if round % 2000 == 1999 {
            sizes.push(rss(shim));
        }
    }
    let state = pod.shim.state("c", "").await.expect("it still serves");
    assert_eq!(pod.shim.pid("c").await.expect("pid"), shim, "the same one");
    assert!(state.pid > 0);
    let (first, last) = (sizes[0], *sizes.last().expect("sizes"));
    assert!(last < first + 1024 && last < 16 * 1024, "{sizes:?} kB");
    pod.shim.kill("c", "", 9, true).await.ok();
    pod.wait("c", "").await;
    pod.shim.delete("c", "").await.expect("delete");
    pod.end().await;
}
