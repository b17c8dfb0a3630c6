//! A seccomp profile: whatever compiles is a program that ends with an answer for every call.
#![no_main]

use libfuzzer_sys::fuzz_target;
use plimsoll_runtime::seccomp::{Arch, Data, compile, evaluate};
use plimsoll_spec::runtime::seccomp::Seccomp;

fuzz_target!(|data: &[u8]| {
    let Ok(profile) = serde_json::from_slice::<Seccomp>(data) else { return };
    for (native, arches) in
        [(Arch::X86_64, [Arch::X86_64, Arch::X86]), (Arch::Aarch64, [Arch::Aarch64, Arch::Arm])]
    {
        let Ok(filter) = compile(&profile, native) else { return };
        for arch in arches {
            for number in (0..520).chain([0x4000_0000, 0x4000_0208, 0xf0005, u32::MAX]) {
                let args = [u64::from(number), 0, 1, u64::MAX, 1 << 32, 0xffff_ffff];
                let data = Data { number, arch: arch.audit(), args, ..Data::default() };
                evaluate(&filter.program, &data).expect("a well-formed program");
            }
        }
    }
});
