//! A verdict in words: for people, and for machines.

mod explanation;
mod json;
mod junit;
mod text;

pub use explanation::{Explanation, Section, Tier};
pub use json::json;
pub use junit::junit;
pub use text::{event_line, text};

use trace::{Architecture, Insn};

/// What a report says beside the verdict.
#[derive(Clone, Debug)]
pub struct Context<'a> {
    /// Whose instructions they are.
    pub architecture: Architecture,
    /// What the user called the sides.
    pub names: [&'a str; 2],
    /// The name of the function around an address, and how far in it is.
    pub symbol: &'a dyn Symbols,
    /// Where the difference comes from, if anybody has looked.
    pub explanation: Option<&'a Explanation>,
}

/// Names of places in a program.
pub trait Symbols: std::fmt::Debug {
    /// The symbol at or before an address, and the distance from it in bytes.
    fn find(&self, addr: u64) -> Option<(String, u64)>;
}

/// No names are known.
#[derive(Clone, Copy, Debug)]
pub struct NoSymbols;

impl Symbols for NoSymbols {
    fn find(&self, _: u64) -> Option<(String, u64)> {
        None
    }
}

impl Context<'_> {
    /// An address, with the symbol around it if there is one.
    fn place(&self, addr: u64) -> String {
        match self.symbol.find(addr) {
            Some((name, 0)) => format!("{addr:#x} <{name}>"),
            Some((name, offset)) => format!("{addr:#x} <{name}+{offset:#x}>"),
            None => format!("{addr:#x}"),
        }
    }

    /// An instruction as its disassembler prints it; its bytes where there is none.
    fn disassembly(&self, pc: u64, insn: Option<Insn>) -> String {
        let Some(insn) = insn else { return "?".to_owned() };
        let pc = base::GuestVirt(pc);
        match self.architecture {
            Architecture::Riscv64 => decoders::riscv64::disassemble(insn.word() as u32, pc),
            Architecture::Aarch64 => decoders::aarch64::disassemble(insn.word() as u32, pc),
            Architecture::X86_64 => format!("{insn:?}"),
        }
    }
}
