//! What a filter answers, computed without loading it: for tests, and to say which rule of a profile stopped a program. Knows
//! the instructions that the kernel lets a seccomp filter have.

use plimsoll_sys::seccomp::Instruction;

/// `struct seccomp_data`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Data {
    pub number: u32,
    pub arch: u32,
    pub instruction_pointer: u64,
    pub args: [u64; 6],
}

/// The program is not one that the kernel would have taken; the number is the instruction's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed(pub usize);

/// The return value of `program` for `data`.
pub fn evaluate(program: &[Instruction], data: &Data) -> Result<u32, Malformed> {
    let (mut at, mut a, mut x) = (0_usize, 0_u32, 0_u32);
    let mut scratch = [0_u32; 16];
    // Every jump goes forward, so this ends.
    while let Some(Instruction { code, jt, jf, k }) = program.get(at).copied() {
        let skip = |holds: bool| usize::from(if holds { jt } else { jf });
        let slot = k as usize;
        match code {
            0x20 => a = data.word(k).ok_or(Malformed(at))?,
            0x80 => a = 64,
            0x81 => x = 64,
            0x00 => a = k,
            0x01 => x = k,
            0x60 => a = *scratch.get(slot).ok_or(Malformed(at))?,
            0x61 => x = *scratch.get(slot).ok_or(Malformed(at))?,
            0x02 => *scratch.get_mut(slot).ok_or(Malformed(at))? = a,
            0x03 => *scratch.get_mut(slot).ok_or(Malformed(at))? = x,
            0x07 => x = a,
            0x87 => a = x,
            0x06 => return Ok(k),
            0x16 => return Ok(a),
            0x05 => at += slot,
            0x15 => at += skip(a == k),
            0x1d => at += skip(a == x),
            0x25 => at += skip(a > k),
            0x2d => at += skip(a > x),
            0x35 => at += skip(a >= k),
            0x3d => at += skip(a >= x),
            0x45 => at += skip(a & k != 0),
            0x4d => at += skip(a & x != 0),
            _ => a = arithmetic(code, a, k, x).ok_or(Malformed(at))?,
        }
        at += 1;
    }
    Err(Malformed(at))
}

fn arithmetic(code: u16, a: u32, k: u32, x: u32) -> Option<u32> {
    let operand = if code & 0x08 == 0 { k } else { x };
    Some(match code & !0x08 {
        0x04 => a.wrapping_add(operand),
        0x14 => a.wrapping_sub(operand),
        0x24 => a.wrapping_mul(operand),
        0x34 => a.checked_div(operand)?,
        0x44 => a | operand,
        0x54 => a & operand,
        0x64 => a.checked_shl(operand)?,
        0x74 => a.checked_shr(operand)?,
        0x84 => a.wrapping_neg(),
        0xa4 => a ^ operand,
        _ => return None,
    })
}

impl Data {
    /// The aligned word at `offset` in this machine's byte order.
    fn word(&self, offset: u32) -> Option<u32> {
        let half = |value: u64, second: bool| {
            // Truncation takes the low half.
            if second == cfg!(target_endian = "little") { (value >> 32) as u32 } else { value as u32 }
        };
        let second = offset & 4 != 0;
        match offset {
            0 => Some(self.number),
            4 => Some(self.arch),
            8 | 12 => Some(half(self.instruction_pointer, second)),
            16..64 if offset.is_multiple_of(4) => Some(half(self.args[(offset as usize - 16) / 8], second)),
            _ => None,
        }
    }
}
