//! Guest code to IR: what decoded instructions mean, one module a guest, one file a chapter of its
//! manual.
//!
//! It may know the guests and the IR. It must never know how IR is run, where guest memory lies,
//! or which operating system the guest program believes in.

pub mod aarch64;
#[cfg(test)]
mod price;
pub mod riscv64;
pub mod x86_64;

use base::{CpuFrame, GuestVirt};
use ir::{BlockKey, Builder, Guest};

/// A guest's translator for one CPU model. Translations of equal keys and bytes are equal, so any
/// number of threads may translate at once, each with its own builder.
pub trait Frontend: Send + Sync {
    /// The guest that it translates.
    fn guest(&self) -> &'static Guest;

    /// The longest instruction, in bytes.
    fn max_insn_bytes(&self) -> usize;

    /// Builds the block of `key` in `builder`, from `code`: the bytes at the key's pc, as many as
    /// could be fetched or [`Frontend::max_code_bytes`], whichever is less.
    ///
    /// A block ends with a control transfer, with anything that leaves or changes what
    /// translations depend on, at a limit, before an instruction that `code` holds only a part of,
    /// and at the end of the page that it starts on: only its last instruction may lie across into
    /// the next page. An undefined instruction ends it with [`ir::Trap::Illegal`].
    fn translate(
        &self,
        builder: &Builder,
        key: BlockKey,
        code: &[u8],
        limits: Limits,
    ) -> Translation;

    /// Whether fetches of instructions see every store at once, though the program says nothing (as on x86).
    fn is_coherent(&self) -> bool {
        false
    }

    /// Whether these flags of a block's key say that the guest sees an exception after each instruction (x86's trap flag).
    /// A translation with them is one instruction, or as many as such an exception comes after.
    fn traces(&self, _key_flags: u64) -> bool {
        false
    }

    /// Undoes the indirect jump of the instruction at `from`, which begins with these bytes, and which faults
    /// ([`ir::BadJumps::Jump`]): registers and pc become what they were before it. All that follows is its exception.
    fn take_jump_back(&self, _frame: &mut CpuFrame, _from: GuestVirt, _code: &[u8]) {}

    /// Whether [`Frontend::translate_guarded`] is another translation.
    fn knows_guards(&self) -> bool {
        false
    }

    /// As [`Frontend::translate`], for code on a page on which indirect jumps are guarded (Arm's FEAT_BTI): the block
    /// says which it admits.
    fn translate_guarded(
        &self,
        builder: &Builder,
        key: BlockKey,
        code: &[u8],
        limits: Limits,
    ) -> Translation {
        self.translate(builder, key, code, limits)
    }

    /// The instruction that `code` begins with, which lies at `pc`, in the manual's assembly
    /// syntax.
    fn disassemble(&self, pc: GuestVirt, code: &[u8]) -> Disassembled;

    /// How many bytes from `pc` on [`Frontend::translate`] can use at most.
    fn max_code_bytes(&self, pc: GuestVirt, limits: Limits) -> usize {
        let longest = self.max_insn_bytes();
        let to_page_end = (base::addr::PAGE_SIZE - pc.page_offset()) as usize;
        (limits.max_insns as usize).saturating_mul(longest).min(to_page_end + longest - 1)
    }
}

/// Where a block ends at the latest.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// Guest instructions in a block; at least 1.
    pub max_insns: u32,
}

impl Limits {
    /// One instruction a block: for single steps and for replay up to an exact instruction.
    pub const STEP: Self = Self { max_insns: 1 };
}

impl Default for Limits {
    fn default() -> Self {
        Self { max_insns: 64 }
    }
}

/// What [`Frontend::translate`] did.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[must_use]
pub enum Translation {
    /// The builder holds the block; finish it with this pc, that of the instruction after it.
    Done {
        /// Argument of [`Builder::finish`].
        next: GuestVirt,
    },
    /// `code` ends within the first instruction: the byte at this address could not be fetched.
    /// The builder holds nothing of use.
    Unfetchable(GuestVirt),
}

/// An instruction as text.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Disassembled {
    /// Mnemonic and operands, or a data directive for bytes that are no instruction.
    pub text: String,
    /// The bytes that it is made of: never 0, even for an incomplete one.
    pub bytes: usize,
}
