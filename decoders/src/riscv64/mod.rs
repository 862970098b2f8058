//! RISC-V, 64-bit: from instruction words to visitor methods, names and assembly text.
//!
//! The tables are `decoders/riscv64/*.decode`, one a chapter of the manual. Compressed
//! instructions call the method of the instruction that they expand to; their own names show in
//! [`Op`] and in the disassembly. What a processor has is an [`ExtensionSet`]: instructions of
//! other extensions do not decode. Values of `rm` that are reserved are passed on as they are.
//!
//! # Translating
//!
//! A translator implements [`Visit`] and each chapter's trait ([`RvI`], [`RvM`], …), which makes
//! it a [`Visitor`], and calls [`decode`].
//!
//! # Naming
//!
//! ```
//! use base::GuestVirt;
//! use ferry_decoders::riscv64::{Disassembly, Extension, ExtensionSet, Op, identify};
//!
//! let cpu = ExtensionSet::of(&[Extension::G, Extension::C]);
//! let word = 0x00c5_8533;
//! assert_eq!(identify(word, cpu), Some(Op::Add));
//! assert_eq!(Op::Add.extension(), Extension::I);
//! assert_eq!(Disassembly::new(word, GuestVirt(0x1000), cpu).to_string(), "add a0,a1,a2");
//!
//! // sh1add needs Zba.
//! let word = 0x20c5_a533;
//! assert_eq!(identify(word, cpu), None);
//! assert_eq!(identify(word, cpu.with(Extension::Zba)), Some(Op::Sh1add));
//! ```

mod csr;
mod operand;

use std::fmt;

use base::GuestVirt as Pc;

include!(concat!(env!("OUT_DIR"), "/riscv64.rs"));

/// The length in bytes of the instruction that begins with this halfword. No instruction longer
/// than 4 bytes is defined, so that every encoding of one is illegal; 4 is given for it.
#[inline]
#[must_use]
pub const fn length(first: u16) -> u64 {
    if first & 3 == 3 { 4 } else { 2 }
}

/// The instruction that `word` begins with, if a processor with these extensions has it.
#[inline]
#[must_use]
pub fn identify(word: u32, extensions: ExtensionSet) -> Option<Op> {
    if word & 3 == 3 { identify32(word, extensions) } else { identify16(word as u16, extensions) }
}

/// Decodes the instruction that `word` begins with and calls its method on `v`. `None` if it is
/// illegal for a processor with the visitor's extensions. The upper half of `word` does not
/// matter if the lower one is a compressed instruction.
///
/// # Example
///
/// The visitors of one chapter:
///
/// ```
/// use ferry_decoders::riscv64::{ExtensionSet, R, RvZicond, Visit};
///
/// struct Text;
///
/// impl Visit for Text {
///     type Output = String;
///
///     fn extensions(&self) -> ExtensionSet {
///         ExtensionSet::ALL
///     }
/// }
///
/// impl RvZicond for Text {
///     fn czero_eqz(&self, R { rd, rs1, rs2 }: R) -> String {
///         format!("x{rd} = x{rs2} != 0 ? x{rs1} : 0")
///     }
///
///     fn czero_nez(&self, R { rd, rs1, rs2 }: R) -> String {
///         format!("x{rd} = x{rs2} == 0 ? x{rs1} : 0")
///     }
/// }
/// ```
#[inline]
pub fn decode<V: Visitor>(word: u32, v: &V) -> Option<V::Output> {
    if word & 3 == 3 { decode32(word, v) } else { decode16(word as u16, v) }
}

/// An instruction in assembly syntax, as GNU objdump prints it without aliases: for `{}`.
#[derive(Clone, Copy, Debug)]
pub struct Disassembly {
    word: u32,
    pc: Pc,
    op: Option<Op>,
}

impl Disassembly {
    /// The instruction that `word` begins with, at address `pc`.
    #[must_use]
    pub fn new(word: u32, pc: Pc, extensions: ExtensionSet) -> Self {
        Disassembly { word, pc, op: identify(word, extensions) }
    }
}

impl fmt::Display for Disassembly {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.op {
            Some(op) => write_assembly(op, self.word, self.pc, f),
            None if self.word & 3 == 3 => write!(f, ".4byte {:#x}", self.word),
            None => write!(f, ".2byte {:#x}", self.word & 0xffff),
        }
    }
}

/// The instruction that `word` begins with at address `pc`, in assembly syntax, whatever its
/// extension. See [`Disassembly`].
#[must_use]
pub fn disassemble(word: u32, pc: Pc) -> String {
    Disassembly::new(word, pc, ExtensionSet::ALL).to_string()
}
