//! x86-64 in 64-bit mode: the meaning of each instruction as IR, as user mode has it ("Intel 64 and IA-32 Architectures
//! Software Developer's Manual", below the SDM, vol. 2).
//!
//! [`table`] leads from an encoding to its semantics, a method of [`Insn`]; what has none is undefined, and is listed
//! as missing. [`operand`] is how instructions reach registers and memory, [`vector`] how vector instructions do,
//! [`flags`] how flags are written and read, [`live`] which of them anybody can see. The rest is a file a kind of
//! instruction.
//!
//! Left to the decoder: what bytes are. Left to the runtime: what a trap does, and code that changes. An instruction
//! that raises an exception by its operands (a divisor of zero, an address that is not aligned) leaves with
//! [`Trap::Misaligned`] and has had no effect; which exception it is follows from the instruction.
//!
//! # Memory
//!
//! Loads acquire and stores release, as TSO has it. What LOCK makes atomic is sequentially consistent.
//!
//! # Undefined flags
//!
//! They are as Intel's cores have them where that takes no effort: see [`flags`].

mod arithmetic;
mod avx;
mod bit;
mod control;
mod data;
mod feature;
mod flags;
#[cfg(all(test, target_arch = "x86_64"))]
mod host_tests;
mod live;
mod mmx;
#[cfg(all(test, target_arch = "x86_64"))]
mod native_tests;
mod operand;
mod shift;
mod sse;
mod sse_convert;
mod sse_crypto;
mod sse_float;
mod sse_integer;
mod sse_move;
mod state;
mod string;
mod system;
mod table;
#[cfg(test)]
mod tests;
mod vector;
mod x87;

use arch::x86_64::helpers::HELPERS;
use arch::x86_64::{CpuModel, key, slot};
use base::{CpuFrame, GuestVirt, HelperId, RegSlot};
use decoders::x86_64::{self as decoder, Decoded, Instruction};
use ir::{BadJumps, BlockKey, Builder, FpRound, FpRules, Guest, SlotClass, Terminator, Trap, Val};

use self::feature::Present;
use self::live::Live;
use crate::{Disassembled, Limits, Translation};

pub use table::is_implemented;

/// Whether a CPU has all that the decoder says an instruction needs.
#[must_use]
pub fn has_features(cpu: &CpuModel, features: &[decoder::CpuidFeature]) -> bool {
    Present::of(cpu).has_all(features)
}

/// x86-64 in user mode to the layers that know no guest.
pub static GUEST: Guest = Guest {
    name: "x86_64",
    slot_name: slot::name,
    slot_class,
    helpers: HELPERS,
    fp_flags: slot::FP_FLAGS,
    fp: FpRules::X86,
    stack_pointer: slot::gpr(4),
    bad_jumps: BadJumps::Jump,
};

fn slot_class(slot: RegSlot) -> SlotClass {
    if slot::is_wide(slot) { SlotClass::Vector } else { SlotClass::Integer }
}

/// What comes after an instruction.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Flow {
    /// The next instruction.
    Next,
    /// Nothing: the block ends as the instruction said.
    EndBlock,
    /// A trap: it is undefined (#UD), and has no effect.
    Undefined,
    /// A trap: it is the kernel's to answer, and has no effect.
    System,
}

/// The instruction being translated. Its fields say where it stands; [`operand`], [`vector`] and [`flags`] have the
/// methods by which it reaches its operands.
#[derive(Clone, Copy)]
struct Insn<'b> {
    b: &'b Builder,
    frontend: &'b Frontend,
    i: &'b Instruction,
    /// The one before it in its block, which is always executed before it.
    previous: Option<&'b Instruction>,
    /// Which flags anybody can see that it writes.
    live: Live,
    /// The key's flags: see [`arch::x86_64::key`].
    key: u64,
    pc: GuestVirt,
    /// The pc after it.
    next: GuestVirt,
}

/// The translator of x86-64.
#[derive(Clone, Debug)]
pub struct Frontend {
    cpu: CpuModel,
    present: Present,
    options: decoder::Options,
}

impl Frontend {
    /// A translator for this CPU in user mode.
    #[must_use]
    pub fn new(cpu: CpuModel) -> Self {
        let present = Present::of(&cpu);
        let options = decoder::Options::for_cpu(|feature| present.has(feature));
        Self { cpu, present, options }
    }
}

impl crate::Frontend for Frontend {
    fn guest(&self) -> &'static Guest {
        &GUEST
    }

    /// SDM vol. 3, 13.6: a store to code takes effect before the next instruction.
    fn is_coherent(&self) -> bool {
        true
    }

    fn traces(&self, key_flags: u64) -> bool {
        key_flags & key::TRACED != 0
    }

    fn take_jump_back(&self, frame: &mut CpuFrame, from: GuestVirt, code: &[u8]) {
        if let Decoded::Instruction(i) = decoder::decode(from, code, self.options) {
            control::take_back(frame, &i);
            frame.pc = from.0;
        }
    }

    fn max_insn_bytes(&self) -> usize {
        decoder::MAX_BYTES
    }

    fn translate(
        &self,
        builder: &Builder,
        key: BlockKey,
        code: &[u8],
        limits: Limits,
    ) -> Translation {
        let block = match self.traces(key.flags()) {
            true => self.decode_traced(key.pc(), code),
            false => self.decode_block(key.pc(), code, limits),
        };
        if let ([], End::Incomplete) = (&*block.insns, block.end) {
            return Translation::Unfetchable(key.pc().wrapping_add(code.len() as u64));
        }
        let translated = self.translate_insns(builder, key, &block.insns, block.end);
        if translated == block.insns.len() {
            return Translation::Done { next: block.next };
        }
        // There is no room for all. Which flags can be seen follows from where the block ends, so again for those
        // that had room.
        let insns = &block.insns[..translated];
        let _ = self.translate_insns(builder, key, insns, End::Limit);
        let next = insns.last().map_or(key.pc(), |last| GuestVirt(last.next_ip()));
        Translation::Done { next }
    }

    fn disassemble(&self, pc: GuestVirt, code: &[u8]) -> Disassembled {
        let bytes = match decoder::decode(pc, code, self.options) {
            Decoded::Instruction(i) => {
                return Disassembled { text: decoder::text(&i), bytes: i.len() };
            }
            Decoded::Undefined(bytes) => bytes,
            Decoded::TooLong => decoder::MAX_BYTES,
            Decoded::Incomplete => code.len().max(1),
        };
        let digits: Vec<_> = code.iter().take(bytes).map(|byte| format!("0x{byte:02x}")).collect();
        Disassembled { text: format!(".byte {}", digits.join(",")), bytes }
    }
}

/// The instructions of a block, decoded.
struct Decode {
    insns: Vec<Instruction>,
    /// The pc after the last.
    next: GuestVirt,
    end: End,
}

/// Why a block ends where it does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum End {
    /// A limit, the page's end, or an instruction that goes elsewhere.
    Limit,
    /// Before an instruction that could not be fetched whole.
    Incomplete,
    /// With bytes that are no instruction: where they lie, their length, and the trap.
    Trap(GuestVirt, u16, Trap),
}

impl Frontend {
    /// Decodes up to where the block ends at the latest.
    fn decode_block(&self, start: GuestVirt, code: &[u8], limits: Limits) -> Decode {
        let mut insns = Vec::with_capacity(16);
        let (mut next, mut rest) = (start, code);
        let end = loop {
            let i = match decoder::decode(next, rest, self.options) {
                Decoded::Instruction(i) => i,
                Decoded::Undefined(bytes) => break End::Trap(next, bytes as u16, Trap::Illegal),
                Decoded::TooLong => {
                    break End::Trap(next, decoder::MAX_BYTES as u16, Trap::System);
                }
                Decoded::Incomplete => break End::Incomplete,
            };
            (next, rest) = (GuestVirt(i.next_ip()), &rest[i.len()..]);
            insns.push(i);
            let goes_on = live::goes_on(&i) && self.present.has_all(i.cpuid_features());
            let full = insns.len() >= limits.max_insns as usize;
            if !goes_on || full || next.page() != start.page() {
                break End::Limit;
            }
        };
        if let End::Trap(pc, bytes, _) = end {
            next = pc.wrapping_add(bytes.into());
        }
        Decode { insns, next, end }
    }

    /// Decodes what is executed up to the next debug exception: an instruction, and another one if it writes SS
    /// (SDM vol. 3, 6.8.3).
    fn decode_traced(&self, start: GuestVirt, code: &[u8]) -> Decode {
        let first = self.decode_block(start, code, Limits::STEP);
        let holds_back = first.insns.first().is_some_and(control::holds_exceptions_back);
        match holds_back {
            true => self.decode_block(start, code, Limits { max_insns: 2 }),
            false => first,
        }
    }

    /// Builds a block; how many of the instructions had room.
    fn translate_insns(
        &self,
        builder: &Builder,
        key: BlockKey,
        insns: &[Instruction],
        end: End,
    ) -> usize {
        builder.begin(key);
        let live = live::flags_after(insns);
        let mut previous = None;
        for (index, (i, live)) in insns.iter().zip(live).enumerate() {
            let (pc, next) = (GuestVirt(i.ip()), GuestVirt(i.next_ip()));
            let frontend = self;
            let insn = Insn { b: builder, frontend, i, previous, live, key: key.flags(), pc, next };
            let flow = insn.translate();
            previous = Some(i);
            if flow != Flow::Next {
                return insns.len();
            }
            if builder.is_full() && index + 1 < insns.len() {
                return index + 1;
            }
        }
        if let End::Trap(pc, bytes, trap) = end {
            builder.begin_insn(pc, bytes);
            builder.terminate(Terminator::Trap { trap, pc });
            builder.end_insn();
        }
        insns.len()
    }
}

impl<'b> Insn<'b> {
    #[inline]
    fn translate(&self) -> Flow {
        self.b.begin_insn(self.pc, self.i.len() as u16);
        let flow = match table::semantics(self.i.code()) {
            Some(semantics) if self.frontend.present.has_all(self.i.cpuid_features()) => {
                semantics(self)
            }
            _ => Flow::Undefined,
        };
        let trap = match flow {
            Flow::Next | Flow::EndBlock => None,
            Flow::Undefined => Some(Trap::Illegal),
            Flow::System => Some(Trap::System),
        };
        if let Some(trap) = trap {
            self.b.abandon_insn();
            let _ = self.trap(trap, self.pc);
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

    fn konst(&self, value: u64) -> Val<'b> {
        self.b.konst(value)
    }

    fn call(&self, helper: HelperId, args: &[Val<'b>]) -> Val<'b> {
        self.b.call(helper, args)
    }

    /// Raises the instruction's exception where the value is not zero; it has 64 bits.
    fn raise_if(&self, condition: Val<'b>) {
        let odd = condition.ne(self.konst(0));
        self.b.align_check(ir::Type::I16, odd);
    }

    /// MXCSR.RC.
    fn round(&self) -> FpRound {
        match (self.key & key::RC) >> key::RC_SHIFT {
            0 => FpRound::NearestEven,
            1 => FpRound::Down,
            2 => FpRound::Up,
            _ => FpRound::TowardZero,
        }
    }
}
