//! A64: from instruction words to visitor methods, names and assembly text.
//!
//! The tables are `decoders/aarch64/*.decode`, one a class of the manual's chapter C4, "A64
//! instruction set encoding". What a processor has is an [`ExtensionSet`], by the manual's
//! `FEAT_` names: instructions of other features do not decode, and neither do words that the
//! manual calls unallocated or reserved. An encoding with the same mnemonic as another has a
//! name of its own in the table: `add_imm` is ADD (immediate).
//!
//! # Translating
//!
//! A translator implements [`Visit`] and each chapter's trait ([`DpImm`], [`BranchSystem`], …),
//! which makes it a [`Visitor`], and calls [`decode`].
//!
//! # Naming
//!
//! ```
//! use base::GuestVirt;
//! use ferry_decoders::aarch64::{Disassembly, Extension, ExtensionSet, Op, identify};
//!
//! let cpu = ExtensionSet::of(&[Extension::A64]);
//! let word = 0x9100_4020;
//! assert_eq!(identify(word, cpu), Some(Op::AddImm));
//! assert_eq!(Op::AddImm.mnemonic(), "add");
//! assert_eq!(Disassembly::new(word, GuestVirt(0x1000), cpu).to_string(), "add x0, x1, #0x10");
//!
//! // smax with an immediate needs FEAT_CSSC.
//! let word = 0x91c0_0420;
//! assert_eq!(identify(word, cpu), None);
//! assert_eq!(identify(word, cpu.with(Extension::CSSC)), Some(Op::SmaxImm));
//! ```

mod operand;
mod sys_reg;
mod transform;

use std::fmt;

pub use self::sys_reg::encode as sys_reg;

use base::GuestVirt as Pc;

include!(concat!(env!("OUT_DIR"), "/aarch64.rs"));

/// The instruction in `word`, if a processor with these extensions has it.
#[inline]
#[must_use]
pub fn identify(word: u32, extensions: ExtensionSet) -> Option<Op> {
    identify32(word, extensions)
}

/// Decodes the instruction in `word` and calls its method on `v`. `None` if it is UNDEFINED for a
/// processor with the visitor's extensions.
#[inline]
pub fn decode<V: Visitor>(word: u32, v: &V) -> Option<V::Output> {
    decode32(word, v)
}

/// An instruction in assembly syntax, as GNU objdump prints it without aliases: for `{}`.
#[derive(Clone, Copy, Debug)]
pub struct Disassembly {
    word: u32,
    pc: Pc,
    op: Option<Op>,
}

impl Disassembly {
    /// The instruction in `word`, at address `pc`.
    #[must_use]
    pub fn new(word: u32, pc: Pc, extensions: ExtensionSet) -> Self {
        Disassembly { word, pc, op: identify(word, extensions) }
    }
}

impl fmt::Display for Disassembly {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.op {
            Some(op) => write_assembly(op, self.word, self.pc, f),
            None => write!(f, ".inst {:#010x}", self.word),
        }
    }
}

/// The instruction in `word` at address `pc`, in assembly syntax, whatever its extension. See
/// [`Disassembly`].
#[must_use]
pub fn disassemble(word: u32, pc: Pc) -> String {
    Disassembly::new(word, pc, ExtensionSet::ALL).to_string()
}
