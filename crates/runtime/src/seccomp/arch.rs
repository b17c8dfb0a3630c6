//! The architectures a filter can speak about: their names in the OCI spec, their AUDIT_ARCH numbers, and which of them one
//! kernel can run beside its own.

/// `AUDIT_ARCH_X86_64`, shared by x86_64 and x32, which differ in [`X32_BIT`] of the call number.
const AUDIT_X86_64: u32 = 0xc000_003e;
const AUDIT_I386: u32 = 0x4000_0003;
const AUDIT_AARCH64: u32 = 0xc000_00b7;
const AUDIT_ARM: u32 = 0x4000_0028;

/// Marks a system call number as an x32 one.
pub(super) const X32_BIT: u32 = 0x4000_0000;

/// An architecture for which this crate has a system call table. The number is its column there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arch {
    X86_64 = 0,
    X86 = 1,
    X32 = 2,
    Aarch64 = 3,
    Arm = 4,
}

/// Every name that the OCI runtime spec 1.3 knows. A profile may list what this machine can never run (profiles are shared
/// between machines); such an entry is known, but needs no code: the kernel never reports that architecture.
const FOREIGN: [&str; 17] = [
    "SCMP_ARCH_MIPS",
    "SCMP_ARCH_MIPS64",
    "SCMP_ARCH_MIPS64N32",
    "SCMP_ARCH_MIPSEL",
    "SCMP_ARCH_MIPSEL64",
    "SCMP_ARCH_MIPSEL64N32",
    "SCMP_ARCH_PPC",
    "SCMP_ARCH_PPC64",
    "SCMP_ARCH_PPC64LE",
    "SCMP_ARCH_S390",
    "SCMP_ARCH_S390X",
    "SCMP_ARCH_PARISC",
    "SCMP_ARCH_PARISC64",
    "SCMP_ARCH_RISCV64",
    "SCMP_ARCH_LOONGARCH64",
    "SCMP_ARCH_M68K",
    "SCMP_ARCH_SH",
];

/// What a name in `linux.seccomp.architectures` means.
pub(super) enum Named {
    Known(Arch),
    /// In the spec, but never reported by a kernel that we run on.
    Foreign,
    Unknown,
}

impl Arch {
    /// The architecture that this program was built for. `None` where we have no table.
    pub fn native() -> Option<Self> {
        if cfg!(target_arch = "x86_64") {
            Some(Self::X86_64)
        } else if cfg!(target_arch = "aarch64") {
            Some(Self::Aarch64)
        } else {
            None
        }
    }

    pub(super) fn named(name: &str) -> Named {
        Named::Known(match name {
            "SCMP_ARCH_X86_64" => Self::X86_64,
            "SCMP_ARCH_X86" => Self::X86,
            "SCMP_ARCH_X32" => Self::X32,
            "SCMP_ARCH_AARCH64" => Self::Aarch64,
            "SCMP_ARCH_ARM" => Self::Arm,
            other if FOREIGN.contains(&other) => return Named::Foreign,
            _ => return Named::Unknown,
        })
    }

    /// The names of all architectures of the OCI spec, for `features`.
    pub fn all_names() -> impl Iterator<Item = &'static str> {
        ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32", "SCMP_ARCH_AARCH64", "SCMP_ARCH_ARM"]
            .into_iter()
            .chain(FOREIGN)
    }

    /// The value of `seccomp_data.arch`.
    pub fn audit(self) -> u32 {
        match self {
            Self::X86_64 | Self::X32 => AUDIT_X86_64,
            Self::X86 => AUDIT_I386,
            Self::Aarch64 => AUDIT_AARCH64,
            Self::Arm => AUDIT_ARM,
        }
    }

    /// Whether a kernel of architecture `native` can run programs of this one.
    pub(super) fn runs_on(self, native: Self) -> bool {
        match native {
            Self::X86_64 | Self::X32 => matches!(self, Self::X86_64 | Self::X86 | Self::X32),
            Self::Aarch64 => matches!(self, Self::Aarch64 | Self::Arm),
            Self::X86 | Self::Arm => self == native,
        }
    }

    /// Whether arguments are compared as 64-bit values. For the others only the low half is meaningful, as in libseccomp.
    pub(super) fn wide(self) -> bool {
        matches!(self, Self::X86_64 | Self::Aarch64)
    }

    /// Whether socket and System V IPC calls can also arrive through `socketcall` and `ipc`.
    pub(super) fn multiplexes(self) -> bool {
        self == Self::X86
    }
}
