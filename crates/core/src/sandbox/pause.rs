//! The program of a sandbox container, written here instruction by instruction: it takes part in no other build, needs no C
//! library, and is an image of a few hundred bytes. It sleeps for ever; what is left to it as PID 1, the kernel reaps.
//!
//! The code for aarch64 has run nowhere yet.

/// Where the file is mapped, whole.
const BASE: u64 = 0x40_0000;
/// Sizes of `Elf64_Ehdr` and `Elf64_Phdr` (elf(5)).
const HEADER: u16 = 64;
const PROGRAM_HEADER: u16 = 56;

/// The machine's number in ELF, and its code. At the code's end lies what the kernel takes as `struct sigaction`: SIG_IGN, and
/// zeros for flags, restorer and mask.
struct Machine {
    number: u16,
    code: &'static [u8],
}

const SIGACTION: [u8; 32] = {
    let mut action = [0; 32];
    action[0] = 1;
    action
};

#[rustfmt::skip]
const X86_64: Machine = Machine {
    number: 62,
    code: &[
        0xb8, 13, 0, 0, 0,                // mov eax, 13 (rt_sigaction)
        0xbf, 17, 0, 0, 0,                // mov edi, 17 (SIGCHLD)
        0x48, 0x8d, 0x35, 19, 0, 0, 0,    // lea rsi, [rip + 19], the end of the code
        0x31, 0xd2,                       // xor edx, edx
        0x41, 0xba, 8, 0, 0, 0,           // mov r10d, 8, the size of a signal set
        0x0f, 0x05,                       // syscall
        0xb8, 34, 0, 0, 0,                // again: mov eax, 34 (pause)
        0x0f, 0x05,                       // syscall
        0xeb, 0xf7,                       // jmp again
    ],
};

#[rustfmt::skip]
const AARCH64: Machine = Machine {
    number: 183,
    code: &[
        0xc8, 0x10, 0x80, 0xd2,           // mov x8, 134 (rt_sigaction)
        0x20, 0x02, 0x80, 0xd2,           // mov x0, 17 (SIGCHLD)
        0x81, 0x01, 0x00, 0x10,           // adr x1, . + 48, the end of the code
        0x02, 0x00, 0x80, 0xd2,           // mov x2, 0
        0x03, 0x01, 0x80, 0xd2,           // mov x3, 8, the size of a signal set
        0x01, 0x00, 0x00, 0xd4,           // svc 0
        0x28, 0x09, 0x80, 0xd2,           // again: mov x8, 73 (ppoll)
        0x00, 0x00, 0x80, 0xd2,           // mov x0, 0
        0x01, 0x00, 0x80, 0xd2,           // mov x1, 0
        0x02, 0x00, 0x80, 0xd2,           // mov x2, 0
        0x03, 0x00, 0x80, 0xd2,           // mov x3, 0
        0x04, 0x00, 0x80, 0xd2,           // mov x4, 0
        0x01, 0x00, 0x00, 0xd4,           // svc 0
        0xf9, 0xff, 0xff, 0x17,           // b again
    ],
};

/// The program for this machine. `None`: it is of another kind.
pub(super) fn program() -> Option<Vec<u8>> {
    match std::env::consts::ARCH {
        "x86_64" => Some(X86_64.file()),
        "aarch64" => Some(AARCH64.file()),
        _ => None,
    }
}

impl Machine {
    /// An ELF file of one segment.
    fn file(&self) -> Vec<u8> {
        let begin = u64::from(HEADER + PROGRAM_HEADER);
        let size = begin + (self.code.len() + SIGACTION.len()) as u64;
        let mut file = Vec::with_capacity(512);
        // 64 bits, little endian, version 1, System V; then padding.
        file.extend_from_slice(b"\x7fELF\x02\x01\x01");
        file.resize(16, 0);
        // An executable of this machine, version 1.
        let halves =
            |file: &mut Vec<u8>, all: &[u16]| all.iter().for_each(|n| file.extend_from_slice(&n.to_le_bytes()));
        let words = |file: &mut Vec<u8>, all: &[u32]| all.iter().for_each(|n| file.extend_from_slice(&n.to_le_bytes()));
        let longs = |file: &mut Vec<u8>, all: &[u64]| all.iter().for_each(|n| file.extend_from_slice(&n.to_le_bytes()));
        halves(&mut file, &[2, self.number]);
        words(&mut file, &[1]);
        // Entry, program headers, no section headers; no flags; sizes and numbers.
        longs(&mut file, &[BASE + begin, u64::from(HEADER), 0]);
        words(&mut file, &[0]);
        halves(&mut file, &[HEADER, PROGRAM_HEADER, 1, 0, 0, 0]);
        // PT_LOAD, readable and executable: offset, addresses, sizes, alignment.
        words(&mut file, &[1, 5]);
        longs(&mut file, &[0, BASE, BASE, size, size, 0x1000]);
        file.extend_from_slice(self.code);
        file.extend_from_slice(&SIGACTION);
        file
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;
    use std::process::Command;

    #[test]
    fn it_sleeps_with_its_children_ignored() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("pause");
        std::fs::write(&path, program().expect("a known machine")).expect("written");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).expect("chmod");
        let mut child = Command::new(&path).spawn().expect("it runs");
        let status = || std::fs::read_to_string(format!("/proc/{}/status", child.id())).expect("it is there");
        let end = std::time::Instant::now() + std::time::Duration::from_secs(20);
        // Bit 16: signal 17.
        let ignored = |status: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix("SigIgn:")).expect("a line");
            u64::from_str_radix(line.trim(), 16).expect("hexadecimal") & 1 << 16 != 0
        };
        while !(ignored(&status()) && status().contains("State:\tS")) {
            assert!(std::time::Instant::now() < end, "{}", status());
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        assert_eq!(child.try_wait().expect("asked"), None);
        child.kill().expect("killed");
        child.wait().expect("reaped");
    }
}
