//! What instruction cases know of a guest: the names of its registers and where they lie in a
//! state, how its oracle is built, and how a state gets into Ferry's CPU and back.
//!
//! A guest is a [`Guest`] in a file of its own, and a line in [`ALL`].

pub(crate) mod aarch64;
mod riscv64;
pub mod x86_64;

use std::fmt;

use base::{CpuFrame, GuestVirt};
use translator::Frontend;

use crate::machine::{End, State, WORDS};
use crate::program;
use crate::shape::{File, Zero};

pub use aarch64::AARCH64;
pub use riscv64::RISCV64;
pub use x86_64::X86_64;

/// Every guest that has cases.
pub static ALL: [&Guest; 3] = [&RISCV64, &AARCH64, &X86_64];

/// Where the results of cases hold.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Holds {
    /// In Ferry.
    pub by_tiers: bool,
    /// Where the host executes the code itself.
    pub by_host: bool,
    /// Flags that the manual leaves undefined, too.
    pub flags: bool,
}

impl Holds {
    /// Everywhere, in all.
    pub const EVERYWHERE: Self = Self { by_tiers: true, by_host: true, flags: true };
}

/// A guest, as far as instruction cases know it.
pub struct Guest {
    /// As Ferry calls it, and as its files are named.
    pub name: &'static str,
    /// How many words of registers its states have, in the order in which its oracle has them.
    pub words: usize,
    /// What cases call its registers.
    pub registers: fn() -> Vec<Register>,
    /// What assembly text means by a name: file, number, and whether it always is zero.
    pub register_named: fn(&str) -> Option<(File, u8, Zero)>,
    /// The registers that a case starts from.
    pub initial: fn(&mut [u64; WORDS]),
    /// Bytes of its shortest instruction.
    pub shortest: usize,
    /// The instruction that memory around code is filled with.
    pub breakpoint: &'static [u8],
    /// What a literal of a narrow floating-point format stands for in a wide register.
    pub narrow: Narrow,
    /// Clears what the manual leaves open after this code, in a state that it ended in.
    pub forget: fn(&[u8], &mut [u64; WORDS]),
    /// Sets words to zero of which processors differ in what they hold after an instruction that ended so.
    pub forget_interrupted: fn(&[u8], &End, &mut [u64; WORDS]),
    /// What of cases' results for some code holds on this host, too: they are of one processor.
    pub holds_here: fn(&[u8]) -> Holds,
    /// Who judges.
    pub judge: Judge,
    /// Builds programs for it.
    pub compiler: Compiler,
    /// The C source of its oracle, which includes `oracle.h`.
    pub oracle_source: &'static str,
    /// What its oracle must be compiled with, beside what every oracle is compiled with.
    pub oracle_flags: &'static [&'static str],
    /// Ferry's part; `None` for a guest that Ferry does not have yet, whose cases go through the
    /// oracle only.
    pub ferry: Option<Ferry>,
}

/// A C compiler for a guest.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Compiler {
    /// Its command.
    pub command: &'static str,
    /// The Debian package that has it.
    pub package: &'static str,
}

/// How Ferry runs a guest.
pub struct Ferry {
    /// To the IR.
    pub ir: &'static ir::Guest,
    /// A translator for a CPU with all extensions.
    pub frontend: fn() -> Box<dyn Frontend>,
    /// Puts the registers of a state into a frame.
    pub load: fn(&[u64; WORDS], &mut CpuFrame),
    /// Reads them back.
    pub save: fn(&CpuFrame, &mut [u64; WORDS]),
    /// Asked when an access to this address has faulted: whether translations are otherwise from now on,
    /// so that the instruction is to be executed again.
    pub translated_otherwise: fn(&mut CpuFrame, GuestVirt) -> bool,
    /// What it means that the instruction of this code was left as misaligned, with this address.
    pub misaligned: fn(&mut CpuFrame, &[u8], GuestVirt) -> Misaligned,
    /// What it means that an instruction at this pc was left to the system.
    pub system: fn(GuestVirt) -> End,
    /// Beginnings of the names of chapters that are not translated yet: their cases go through the oracle
    /// only.
    pub pending: &'static [&'static str],
    /// The text of the instruction that these bytes begin with at that address, whatever its
    /// extension, and its length.
    pub disassemble: fn(GuestVirt, &[u8]) -> (String, usize),
    /// The names of all instructions that are decoded.
    pub instructions: fn() -> Vec<&'static str>,
    /// The name of the instruction that these bytes begin with.
    pub identify: fn(&[u8]) -> Option<&'static str>,
    /// How random programs are made.
    pub random: &'static program::Guest,
}

/// Who says what is right.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Judge {
    /// qemu-user.
    Emulator,
    /// The processor of the host, if it is one of the guest's.
    Host,
}

/// What an instruction that was left as misaligned comes to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Misaligned {
    /// It is translated otherwise from now on, and to be executed again.
    Again,
    /// It is misaligned.
    Fault,
    /// It is illegal.
    Illegal,
    /// Something else; the pc in it is set to the instruction's.
    Other(End),
}

/// What becomes of the bits above a narrow floating-point value.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Narrow {
    /// They are ones (RISC-V's NaN boxing).
    Boxed,
    /// They are zeros.
    ZeroExtended,
}

/// A register, or a field of one, as cases name it.
#[derive(Clone, Debug)]
pub struct Register {
    /// The manual's name.
    pub name: String,
    /// The word of the state that holds its lowest bit.
    pub word: usize,
    /// Which bit of that word this is.
    pub shift: u32,
    /// How wide it is: more than 64 for one of two words.
    pub bits: u32,
    /// Names that may stand for values, joined by `+`.
    pub values: &'static [(&'static str, u64)],
    /// Whether differences between states are reported by this name.
    pub reported: bool,
}

impl Register {
    /// A register of one word.
    fn word(name: impl Into<String>, word: usize) -> Self {
        let name = name.into();
        Self { name, word, shift: 0, bits: 64, values: &[], reported: true }
    }

    /// Its value.
    #[must_use]
    pub fn get(&self, words: &[u64; WORDS]) -> u128 {
        if self.bits > 64 {
            let upper = words[self.word + 1] & self.upper_mask();
            return u128::from(words[self.word]) | u128::from(upper) << 64;
        }
        u128::from(words[self.word] >> self.shift & self.mask())
    }

    /// Sets it; bits beyond its width are dropped.
    pub fn set(&self, words: &mut [u64; WORDS], value: u128) {
        if self.bits > 64 {
            words[self.word] = value as u64;
            words[self.word + 1] = (value >> 64) as u64 & self.upper_mask();
            return;
        }
        let word = &mut words[self.word];
        *word = *word & !(self.mask() << self.shift) | (value as u64 & self.mask()) << self.shift;
    }

    fn upper_mask(&self) -> u64 {
        u64::MAX >> (128 - self.bits)
    }

    fn mask(&self) -> u64 {
        u64::MAX >> (64 - self.bits.min(64))
    }
}

impl Guest {
    /// The state that a case starts from.
    #[must_use]
    pub fn state(&'static self) -> State {
        State::new(self)
    }

    /// Clears the flags of a state after some code that the manual leaves undefined, if this host has others than the cases.
    pub fn forget_others(&self, code: &[u8], words: &mut [u64; WORDS]) {
        if !(self.holds_here)(code).flags {
            (self.forget)(code, words);
        }
    }

    /// The register of that name.
    #[must_use]
    pub fn register(&self, name: &str) -> Option<Register> {
        (self.registers)().into_iter().find(|register| register.name == name)
    }
}

impl PartialEq for Guest {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for Guest {}

impl fmt::Debug for Guest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}
