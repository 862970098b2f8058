//! A64: the meaning of each instruction as IR, one file a class of the manual's chapter C4, a method an
//! instruction ("Arm Architecture Reference Manual for A-profile architecture", C6 and C7).
//!
//! Everything is as EL0 sees it under Linux: what that keeps from programs is UNDEFINED. Left to the decoder:
//! which instructions the CPU has. Left to the runtime: what a trap does.
//!
//! # Deviations
//!
//! Memory has no tags.
//!
//! # Tagged addresses
//!
//! Programs may use addresses with anything in the top byte (TCR_EL1.TBI0). Hardly any does, and removing it from
//! each address costs. So translations come in two kinds, by [`key::TAGGED`]: one uses addresses as they
//! are and faults where they have a tag, for the host cannot translate those; it is for whoever takes
//! the fault to choose the other kind, which removes them, from then on.
//!
//! # The stack pointer
//!
//! An access whose base is SP faults where SP is no multiple of 16 (SCTLR_EL1.SA0). Nearly all accesses to the stack
//! come after writes to SP that change it by multiples of 16. So translations come in two kinds here,
//! too, by [`key::STACK_CHECKED`]: one takes SP to be aligned, and leaves with [`Trap::Misaligned`] before an
//! instruction that makes it anything else; it is for whoever takes that trap to choose the other kind, which
//! checks SP at each access.

mod branch;
mod branch_target;
mod crypto;
mod dp_imm;
mod dp_reg;
mod fp;
mod ldst;
mod pauth;
mod register;
mod scalar;
mod simd_different;
mod simd_element;
mod simd_permute;
mod simd_scalar;
mod simd_shift;
#[cfg(test)]
mod simd_tests;
mod simd_three_same;
mod simd_two_reg;
mod system;
#[cfg(test)]
mod tests;
mod vector;

use arch::aarch64::feature::Feature;
use arch::aarch64::helpers::HELPERS;
use arch::aarch64::{CpuModel, fpcr, key, slot};
use base::cpu::Admission;
use base::{GuestVirt, RegSlot};
use decoders::aarch64::{self as decoder, Extension, ExtensionSet, Visit};
use ir::{
    BadJumps, BlockKey, Builder, FpMode, FpRound, FpRules, Guest, SlotClass, Terminator, Trap,
};

use crate::{Disassembled, Limits, Translation};

/// AArch64 in user mode to the layers that know no guest.
pub static GUEST: Guest = Guest {
    name: "aarch64",
    slot_name: slot::name,
    slot_class,
    helpers: HELPERS,
    fp_flags: slot::FP_FLAGS,
    fp: FpRules::Arm,
    stack_pointer: slot::SP,
    bad_jumps: BadJumps::Target,
};

fn slot_class(slot: RegSlot) -> SlotClass {
    if slot::is_vector(slot) { SlotClass::Vector } else { SlotClass::Integer }
}

/// What comes after an instruction.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Flow {
    /// The next instruction.
    Next,
    /// Nothing: the block ends as the instruction said.
    EndBlock,
    /// A trap: it is UNDEFINED, and has no effect.
    Undefined,
}

/// How addresses are used.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Tags {
    /// As they are.
    Fault,
    /// Without their top byte.
    Ignored,
}

/// Where the alignment of SP is checked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Stack {
    /// Where SP is written.
    Aligned,
    /// Where an access has it as its base.
    Checked,
}

/// What page code lies on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Page {
    Plain,
    /// Branch targets are checked (GP in its translation table entry).
    Guarded,
}

/// The instruction being translated. Its fields say where it stands; the methods in [`register`]
/// how it reaches the registers.
#[derive(Clone, Copy)]
struct Insn<'b> {
    b: &'b Builder,
    frontend: &'b Frontend,
    pc: GuestVirt,
    /// The pc after it.
    next: GuestVirt,
    tags: Tags,
    stack: Stack,
    page: Page,
    /// FPCR, as far as translations depend on it.
    fpcr: u64,
}

impl Visit for Insn<'_> {
    type Output = Flow;

    fn extensions(&self) -> ExtensionSet {
        self.frontend.extensions
    }
}

/// The translator of A64.
#[derive(Clone, Debug)]
pub struct Frontend {
    cpu: CpuModel,
    extensions: ExtensionSet,
}

impl Frontend {
    /// A translator for this CPU in user mode.
    #[must_use]
    pub fn new(cpu: CpuModel) -> Self {
        Self { extensions: extensions(cpu.features()), cpu }
    }
}

/// What the decoder is to let through. The two tables name a feature alike.
fn extensions(features: impl Iterator<Item = Feature>) -> ExtensionSet {
    let named = |feature: Feature| Extension::from_name(feature.row().name);
    features.filter_map(named).collect::<ExtensionSet>().with(Extension::A64)
}

impl crate::Frontend for Frontend {
    fn guest(&self) -> &'static Guest {
        &GUEST
    }

    fn max_insn_bytes(&self) -> usize {
        4
    }

    fn translate(
        &self,
        builder: &Builder,
        key: BlockKey,
        code: &[u8],
        limits: Limits,
    ) -> Translation {
        self.translate_on(Page::Plain, builder, key, (code, limits))
    }

    fn knows_guards(&self) -> bool {
        self.extensions.contains(Extension::BTI)
    }

    fn translate_guarded(
        &self,
        builder: &Builder,
        key: BlockKey,
        code: &[u8],
        limits: Limits,
    ) -> Translation {
        self.translate_on(Page::Guarded, builder, key, (code, limits))
    }

    fn disassemble(&self, pc: GuestVirt, code: &[u8]) -> Disassembled {
        let Some((word, _)) = fetch(code) else {
            let digits: String = code.iter().rev().map(|byte| format!("{byte:02x}")).collect();
            return Disassembled { text: format!(".byte 0x{digits}"), bytes: code.len().max(1) };
        };
        let text = decoder::Disassembly::new(word, pc, self.extensions).to_string();
        Disassembled { text, bytes: 4 }
    }
}

impl Frontend {
    fn translate_on(
        &self,
        page: Page,
        builder: &Builder,
        key: BlockKey,
        (code, limits): (&[u8], Limits),
    ) -> Translation {
        builder.begin(key);
        let fpcr = fpcr::from_key(key.flags());
        builder.set_fp_mode(fp_mode(fpcr));
        let tags = if key.flags() & key::TAGGED == 0 { Tags::Fault } else { Tags::Ignored };
        let is_checked = key.flags() & key::STACK_CHECKED != 0;
        let stack = if is_checked { Stack::Checked } else { Stack::Aligned };
        let (mut pc, mut rest) = (key.pc(), code);
        if pc.0 & 3 != 0 {
            return misaligned(builder, pc);
        }
        if let Some((first, _)) = fetch(code) {
            builder.admit(self.admission(page, first));
        }
        loop {
            let Some((word, after)) = fetch(rest) else {
                return match builder.guest_insns() {
                    0 => Translation::Unfetchable(pc.wrapping_add(rest.len() as u64)),
                    _ => Translation::Done { next: pc },
                };
            };
            let next = pc.wrapping_add(4);
            let insn = Insn { b: builder, frontend: self, pc, next, tags, stack, page, fpcr };
            let flow = insn.translate(word);
            (pc, rest) = (next, after);
            let full = builder.is_full() || builder.guest_insns() >= limits.max_insns;
            if flow != Flow::Next || full || pc.page() != key.pc().page() {
                return Translation::Done { next: pc };
            }
        }
    }
}

/// The first instruction of `code`, and what follows it; `None` if it is incomplete.
#[inline]
fn fetch(code: &[u8]) -> Option<(u32, &[u8])> {
    let (word, after) = code.split_first_chunk()?;
    Some((u32::from_le_bytes(*word), after))
}

/// A block for a pc that is no multiple of 4: a PC alignment fault.
fn misaligned(builder: &Builder, pc: GuestVirt) -> Translation {
    builder.admit(Admission::REPORTED);
    builder.begin_insn(pc, 1);
    builder.terminate(Terminator::Trap { trap: Trap::Misaligned, pc });
    builder.end_insn();
    Translation::Done { next: pc }
}

/// How operations depart from the usual rules with this FPCR.
fn fp_mode(fpcr: u64) -> FpMode {
    let flush = if fpcr & fpcr::FZ == 0 { FpMode::NONE } else { FpMode::FLUSH };
    let default_nan = if fpcr & fpcr::DN == 0 { FpMode::NONE } else { FpMode::DEFAULT_NAN };
    FpMode(flush.0 | default_nan.0)
}

impl Insn<'_> {
    #[inline]
    fn translate(&self, word: u32) -> Flow {
        self.b.begin_insn(self.pc, 4);
        let flow = decoder::decode(word, self).unwrap_or(Flow::Undefined);
        if flow == Flow::Undefined {
            self.b.abandon_insn();
            self.trap(Trap::Illegal, self.pc);
        }
        self.b.end_insn();
        flow
    }

    fn trap(&self, trap: Trap, pc: GuestVirt) -> Flow {
        self.b.terminate(Terminator::Trap { trap, pc });
        Flow::EndBlock
    }

    /// Goes on at the next instruction, but by a fresh look-up of its translation.
    fn look_up_next(&self) -> Flow {
        self.b.terminate(Terminator::Lookup { target: self.next });
        Flow::EndBlock
    }

    /// The rounding mode of FPCR.
    fn round(&self) -> FpRound {
        match self.fpcr >> fpcr::RMODE_SHIFT & fpcr::RMODE_MASK {
            0 => FpRound::NearestEven,
            1 => FpRound::Up,
            2 => FpRound::Down,
            _ => FpRound::TowardZero,
        }
    }
}
