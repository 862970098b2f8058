//! Bytes of code as instructions.

use base::GuestVirt;
use decoders::x86_64::{Decoded, Options, decode};
use trace::{Architecture, Insn};

/// How long the instruction is that these bytes begin with, which are some; 0 if they are none on x86-64.
fn length(architecture: Architecture, pc: u64, bytes: &[u8]) -> usize {
    match architecture {
        Architecture::Riscv64 if bytes[0] & 3 != 3 => 2,
        Architecture::Riscv64 | Architecture::Aarch64 => 4,
        Architecture::X86_64 => match decode(GuestVirt(pc), bytes, Options::default()) {
            Decoded::Instruction(insn) => insn.len(),
            _ => 0,
        },
    }
}

/// The first `count` instructions of code at `pc`, or fewer if there are no more. One that cannot be decoded is the last.
pub(crate) fn split(
    architecture: Architecture,
    pc: u64,
    code: &[u8],
    count: usize,
    into: &mut Vec<Insn>,
) {
    let mut at = 0;
    while into.len() < count && at < code.len() {
        let rest = &code[at..];
        let insn = match length(architecture, pc.wrapping_add(at as u64), rest) {
            0 => Insn::beginning(&rest[..rest.len().min(15)]),
            length => Insn::new(&rest[..length.min(rest.len())]),
        };
        let Some(insn) = insn else { return };
        at += insn.bytes().len();
        into.push(insn);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_is_split_where_instructions_end() {
        let lengths = |architecture, code: &[u8], count| {
            let mut insns = Vec::new();
            split(architecture, 0x1000, code, count, &mut insns);
            insns.iter().map(|insn| insn.bytes().len()).collect::<Vec<_>>()
        };
        // c.nop, nop, c.nop
        let code = [0x01, 0, 0x13, 0, 0, 0, 0x01, 0];
        assert_eq!(lengths(Architecture::Riscv64, &code, 9), [2, 4, 2]);
        assert_eq!(lengths(Architecture::Riscv64, &code, 2), [2, 4]);
        assert_eq!(lengths(Architecture::Aarch64, &code, 9), [4, 4]);
        // mov rax,[rip+0x1000]; nop; and what is none
        let code = [0x48, 0x8b, 0x05, 0x00, 0x10, 0x00, 0x00, 0x90, 0x06, 0x06];
        assert_eq!(lengths(Architecture::X86_64, &code, 9), [7, 1, 2]);
        assert_eq!(lengths(Architecture::X86_64, &code, 0), [0_usize; 0]);
    }
}
