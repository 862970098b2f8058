//! What one instruction did.

use crate::Register;

/// One instruction that retired or trapped. `None` and absent entries mean "unknown" or "nothing", as the
/// [`crate::Header`] of its source says.
///
/// Sources fill the same event again and again, so that a long trace costs no allocation for each.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Event {
    /// Which CPU, counted from 0.
    pub hart: u32,
    /// Its place in the execution of that CPU, if the trace numbers its instructions.
    pub order: Option<u64>,
    /// Where the instruction is: its virtual address.
    pub pc: u64,
    /// Its bytes.
    pub insn: Option<Insn>,
    /// At which level it was executed.
    pub privilege: Option<Privilege>,
    /// What it wrote to registers, each at most once.
    pub writes: Vec<RegWrite>,
    /// What it read and wrote in memory, in order.
    pub accesses: Vec<Access>,
    /// The exception that it raised, or the interrupt that was taken in its place: then it did not retire.
    pub trap: Option<Trap>,
}

/// The bytes of an instruction, in the order of their addresses.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Insn {
    bytes: [u8; 15],
    len: u8,
    is_cut: bool,
}

/// A level of privilege, in the architecture's own number: RISC-V U 0, S 1, M 3; AArch64's exception level;
/// x86's current privilege level.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Privilege(pub u8);

/// A register's new value.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RegWrite {
    /// Which one.
    pub register: Register,
    /// The whole register after the instruction, zero-extended.
    pub value: u128,
}

/// An access to memory.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Access {
    /// Whether it reads or writes.
    pub kind: AccessKind,
    /// Virtual address.
    pub addr: u64,
    /// Physical address, if the trace tells it.
    pub phys: Option<u64>,
    /// Bytes: 1 to 16, or unknown.
    pub size: Option<u8>,
    /// What was read or written, zero-extended.
    pub value: Option<u128>,
}

/// The direction of an access.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum AccessKind {
    /// From memory.
    Load,
    /// To memory.
    Store,
}

/// An exception or interrupt.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Trap {
    /// RISC-V's `mcause` with its interrupt bit, the class of AArch64's `ESR_EL1`, x86's vector.
    pub cause: Option<u64>,
    /// RISC-V's `mtval`, AArch64's `FAR_EL1`, x86's `CR2`.
    pub value: Option<u64>,
}

impl Event {
    /// Nothing known, for the next one to be filled in.
    pub fn clear(&mut self) {
        let Self { hart, order, pc, insn, privilege, writes, accesses, trap } = self;
        (*hart, *order, *pc, *insn, *privilege, *trap) = (0, None, 0, None, None, None);
        writes.clear();
        accesses.clear();
    }
}

impl Insn {
    /// At most 15 bytes, as no architecture has longer instructions; `None` for none or more.
    #[must_use]
    pub fn new(bytes: &[u8]) -> Option<Self> {
        let len = u8::try_from(bytes.len()).ok().filter(|len| (1..=15).contains(len))?;
        let mut all = [0; 15];
        all[..bytes.len()].copy_from_slice(bytes);
        Some(Self { bytes: all, len, is_cut: false })
    }

    /// The first bytes of an instruction that the trace may not show whole.
    #[must_use]
    pub fn beginning(bytes: &[u8]) -> Option<Self> {
        Self::new(bytes).map(|insn| Self { is_cut: true, ..insn })
    }

    /// The low `len` bytes of a word, the least significant one first.
    #[must_use]
    pub fn from_word(word: u64, len: usize) -> Option<Self> {
        word.to_le_bytes().get(..len).and_then(Self::new)
    }

    /// Its bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }

    /// Whether there may be more bytes than the trace shows.
    #[must_use]
    pub const fn is_cut(&self) -> bool {
        self.is_cut
    }

    /// As a number, the first byte least significant; of up to 8 bytes.
    #[must_use]
    pub fn word(&self) -> u64 {
        let bytes = self.bytes().iter().take(8).enumerate();
        bytes.fold(0, |word, (n, &byte)| word | u64::from(byte) << (8 * n))
    }

    /// Whether both can be the same instruction, as far as they are known.
    #[must_use]
    pub fn agrees_with(&self, other: &Self) -> bool {
        let is_beginning =
            |whole: &Self, part: &Self| part.is_cut && whole.bytes().starts_with(part.bytes());
        self.bytes() == other.bytes() || is_beginning(self, other) || is_beginning(other, self)
    }
}

impl std::fmt::Debug for Insn {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.bytes().iter().try_for_each(|byte| write!(f, "{byte:02x}"))?;
        f.write_str(if self.is_cut { ".." } else { "" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instructions_agree_as_far_as_they_are_known() {
        let whole = Insn::new(&[0x66, 0x90, 0x01]).unwrap();
        let cut = Insn::beginning(&[0x66, 0x90]).unwrap();
        let short = Insn::new(&[0x66, 0x90]).unwrap();
        assert!(whole.agrees_with(&cut) && cut.agrees_with(&whole) && short.agrees_with(&cut));
        assert!(!whole.agrees_with(&short) && !short.agrees_with(&whole));
        assert_eq!((short.word(), format!("{cut:?}")), (0x9066, "6690..".to_owned()));
        assert!(Insn::new(&[]).is_none() && Insn::new(&[0; 16]).is_none());
    }
}
