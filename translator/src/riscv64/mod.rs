//! RISC-V, 64-bit: the meaning of each instruction as IR, one file a chapter of the manual
//! (volume I), a method an instruction. Compressed instructions share the methods of what they
//! expand to.
//!
//! Left to the decoder: which instructions the CPU has. Left to the runtime: what a trap does.
//! A frontend for user mode has nothing above user level: privileged instructions and registers are
//! illegal. One for system mode leaves them to the machine ([`ir::Trap::System`]); see [`system`].

mod privileged;
mod register;
mod rv_a;
mod rv_b;
mod rv_d;
mod rv_f;
mod rv_i;
mod rv_k;
mod rv_m;
mod rv_zfa;
mod rv_zfh;
mod rv_zicbo;
mod rv_zicsr;
mod system;
#[cfg(test)]
mod tests;

use arch::riscv64::feature::{Feature, Shown};
use arch::riscv64::{CpuModel, csr, helpers::HELPERS, slot};
use base::{GuestVirt, RegSlot};
use decoders::riscv64::{self as decoder, Extension, ExtensionSet, Visit};
use ir::{BadJumps, BlockKey, Builder, FpRules, Guest, SlotClass, Terminator, Trap};

use self::system::{Level, Unit};
use crate::{Disassembled, Limits, Translation};

/// RISC-V 64 in user mode to the layers that know no guest.
pub static GUEST: Guest = guest(slot::user_name);

/// The same in system mode, with the privileged registers.
pub static SYSTEM_GUEST: Guest = guest(slot::name);

const fn guest(slot_name: fn(RegSlot) -> Option<&'static str>) -> Guest {
    Guest {
        name: "riscv64",
        slot_name,
        slot_class,
        helpers: HELPERS,
        fp_flags: slot::FFLAGS,
        fp: FpRules::RiscV,
        stack_pointer: slot::x(2),
        bad_jumps: BadJumps::Target,
    }
}

fn slot_class(slot: RegSlot) -> SlotClass {
    match slot.0 {
        32..=63 => SlotClass::Float,
        _ => SlotClass::Integer,
    }
}

/// What comes after an instruction.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Flow {
    /// The next instruction.
    Next,
    /// Nothing: the block ends as the instruction said.
    EndBlock,
    /// A trap: it is illegal, and has no effect.
    Undefined,
    /// A trap: whoever runs the block must execute it.
    System,
}

/// The instruction being translated. Its fields say where it stands; the methods in [`register`]
/// how it reaches the registers.
#[derive(Clone, Copy)]
struct Insn<'b> {
    b: &'b Builder,
    pc: GuestVirt,
    /// The pc after it.
    next: GuestVirt,
    /// The dynamic rounding mode, as `frm` numbers it.
    frm: u8,
    /// What it may do.
    level: Level,
    /// The floating-point unit.
    unit: &'b Unit,
    extensions: ExtensionSet,
}

impl Visit for Insn<'_> {
    type Output = Flow;

    fn extensions(&self) -> ExtensionSet {
        self.extensions
    }
}

/// The translator of RISC-V 64.
#[derive(Clone, Copy, Debug)]
pub struct Frontend {
    extensions: ExtensionSet,
    mode: Mode,
}

/// What a frontend is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Mode {
    /// Programs of an operating system that Ferry plays.
    User,
    /// Whole machines.
    System,
}

impl Frontend {
    /// A translator for this CPU in user mode.
    #[must_use]
    pub fn new(cpu: CpuModel) -> Self {
        let unprivileged = |feature: &Feature| feature.row().shown != Shown::Privileged;
        Self { extensions: extensions(cpu.features().filter(unprivileged)), mode: Mode::User }
    }

    /// A translator for this CPU in system mode. The flags of its block keys are those of
    /// [`arch::riscv64::privileged::key`].
    #[must_use]
    pub fn new_system(cpu: CpuModel) -> Self {
        Self { extensions: extensions(cpu.features()), mode: Mode::System }
    }
}

/// What the decoder is to let through. The two tables name an extension alike.
fn extensions(features: impl Iterator<Item = Feature>) -> ExtensionSet {
    features.filter_map(|feature| Extension::from_name(feature.row().name)).collect()
}

impl crate::Frontend for Frontend {
    fn guest(&self) -> &'static Guest {
        match self.mode {
            Mode::User => &GUEST,
            Mode::System => &SYSTEM_GUEST,
        }
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
        builder.begin(key);
        let frm = (key.flags() >> csr::KEY_FRM_SHIFT & csr::FRM_MASK) as u8;
        let level = match self.mode {
            Mode::User => Level::Program,
            Mode::System => Level::of_key(key.flags()),
        };
        let unit = Unit::new(level);
        let (mut pc, mut rest) = (key.pc(), code);
        loop {
            let Some((word, bytes)) = fetch(rest) else {
                return match builder.guest_insns() {
                    0 => Translation::Unfetchable(pc.wrapping_add(rest.len() as u64)),
                    _ => Translation::Done { next: pc },
                };
            };
            let next = pc.wrapping_add(bytes as u64);
            let extensions = self.extensions;
            let insn = Insn { b: builder, pc, next, frm, level, unit: &unit, extensions };
            let flow = insn.translate(word, bytes as u16);
            (pc, rest) = (next, &rest[bytes..]);
            let full = builder.is_full() || builder.guest_insns() >= limits.max_insns;
            if flow != Flow::Next || full || pc.page() != key.pc().page() {
                return Translation::Done { next: pc };
            }
        }
    }

    fn disassemble(&self, pc: GuestVirt, code: &[u8]) -> Disassembled {
        let Some((word, bytes)) = fetch(code) else {
            let digits: String = code.iter().rev().map(|byte| format!("{byte:02x}")).collect();
            return Disassembled { text: format!(".byte 0x{digits}"), bytes: code.len().max(1) };
        };
        let text = decoder::Disassembly::new(word, pc, self.extensions).to_string();
        Disassembled { text, bytes }
    }
}

/// The first instruction of `code` and its length in bytes; `None` if it is incomplete. The upper
/// half of the word means nothing if the length is 2.
#[inline]
fn fetch(code: &[u8]) -> Option<(u32, usize)> {
    match *code {
        [a, b, c, d, ..] => {
            let bytes = decoder::length(u16::from_le_bytes([a, b]));
            Some((u32::from_le_bytes([a, b, c, d]), bytes as usize))
        }
        [a, b, ..] if decoder::length(u16::from_le_bytes([a, b])) == 2 => {
            Some((u32::from(u16::from_le_bytes([a, b])), 2))
        }
        _ => None,
    }
}

impl Insn<'_> {
    #[inline]
    fn translate(&self, word: u32, bytes: u16) -> Flow {
        self.b.begin_insn(self.pc, bytes);
        let flow = self.settle_unit(decoder::decode(word, self).unwrap_or(Flow::Undefined));
        let trap = match flow {
            Flow::Next | Flow::EndBlock => None,
            Flow::Undefined => Some(Trap::Illegal),
            Flow::System => Some(Trap::System),
        };
        if let Some(trap) = trap {
            self.b.abandon_insn();
            self.trap(trap, self.pc);
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
}
