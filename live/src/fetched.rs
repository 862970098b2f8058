//! Bytes of instructions that were read once: memory is asked for a piece at a time.

use std::collections::HashMap;

use base::GuestVirt;
use decoders::x86_64::{Decoded, Options, decode};
use trace::{Architecture, Insn};

/// Bytes of a piece.
const PIECE: u64 = 256;

/// What was read of the program's code.
#[derive(Debug, Default)]
pub(crate) struct Fetched {
    pieces: HashMap<u64, Option<Box<[u8]>>>,
}

impl Fetched {
    /// Code may be other code from now on.
    pub(crate) fn forget(&mut self) {
        self.pieces.clear();
    }

    /// The instruction at an address, read by `read` if it is not known; `None` if it cannot be read.
    pub(crate) fn insn(
        &mut self,
        architecture: Architecture,
        pc: u64,
        mut read: impl FnMut(u64, &mut [u8]) -> bool,
    ) -> Option<Insn> {
        let mut byte = |addr: u64| {
            let at = addr & !(PIECE - 1);
            let piece = self.pieces.entry(at).or_insert_with(|| {
                let mut bytes = vec![0; PIECE as usize];
                read(at, &mut bytes).then(|| bytes.into())
            });
            piece.as_ref().map(|bytes| bytes[(addr - at) as usize])
        };
        let first = byte(pc)?;
        let len = match architecture {
            Architecture::Riscv64 if first & 3 != 3 => 2,
            Architecture::Riscv64 | Architecture::Aarch64 => 4,
            Architecture::X86_64 => 15,
        };
        let bytes: Vec<u8> = (0..len).map_while(|n| byte(pc.wrapping_add(n))).collect();
        match architecture {
            Architecture::X86_64 => match decode(GuestVirt(pc), &bytes, Options::default()) {
                Decoded::Instruction(insn) => Insn::new(&bytes[..insn.len()]),
                _ => Insn::beginning(&bytes),
            },
            _ => (bytes.len() as u64 == len).then(|| Insn::new(&bytes)).flatten(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_is_read_once() {
        let mut fetched = Fetched::default();
        let mut reads = 0;
        let mut insn = |pc| {
            fetched.insn(Architecture::Riscv64, pc, |addr, bytes| {
                reads += 1;
                bytes.fill(0x13);
                bytes[0] = 0x01;
                addr < 0x2000
            })
        };
        assert_eq!(insn(0x1000).unwrap().bytes(), [0x01, 0x13]);
        assert_eq!(insn(0x1004).unwrap().bytes(), [0x13; 4]);
        assert_eq!(insn(0x1ffe), None, "it goes on where nothing is");
        assert_eq!(reads, 3);
    }
}
