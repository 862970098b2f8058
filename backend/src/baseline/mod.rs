//! The baseline compiler: tier 1. Each micro-operation of tier 0 becomes the few host instructions that do the same to the
//! frame, one block after the other, in a microsecond or two: several times as fast as interpreting them, and some
//! hundred times as quick to make as a region. What has no such instructions, the interpreter does, called from within
//! ([`ir::interp::Fragment`]).
//!
//! The frame is complete before and after each guest instruction, so that a fault needs no more than the instruction
//! that it came from. A block counts its executions down; when it has run hot, or once a region is entered in its
//! place, it leaves through its exit [`UPGRADE`].
//!
//! Guest memory lies where the guest says ([`crate::MemoryModel::Direct`]): whole machines do without this tier.

mod asm;
mod control;
mod flags;
mod ops;
mod status;

use base::GuestVirt;
use ir::interp::{Code, Fragment, MicroOp, Raw, Reg};

use crate::compiler::{CompiledRegion, ExitSite, PcMap, PcRange, SlotRelocation};
use asm::{Assembler, Patch};

/// The exit of a block of this tier to what shall be entered instead of it. While it is not linked, coming back
/// by it means that the block is hot.
pub const UPGRADE: u32 = 0;

/// In how many words a block that ends with an indirect jump leaves where that went lately: a power of two. Which one, a hash
/// of the target says.
pub const TARGETS: u8 = 16;

/// How blocks are compiled.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BaselineOptions {
    /// Executions until a block says that it is hot.
    pub executions: u32,
    /// Count guest instructions in the frame.
    pub count_instructions: bool,
}

/// Compiles a block.
#[must_use]
pub fn compile(code: &Code, options: BaselineOptions) -> CompiledRegion {
    compile_instructions(code, options).finish(options)
}

/// The host's instructions that a block becomes, without the data that follows them: to be read, not executed.
#[must_use]
pub fn instructions(code: &Code, options: BaselineOptions) -> Vec<u8> {
    compile_instructions(code, options).asm.code
}

fn compile_instructions(code: &Code, options: BaselineOptions) -> Baseline<'_> {
    let pc = code.head().key().pc();
    let mut baseline = Baseline {
        asm: Assembler::default(),
        code,
        exits: vec![ExitSite { target: pc }],
        relocations: Vec::new(),
        targets: None,
        held: Held::default(),
        pc,
        pcs: Vec::new(),
        bails: Vec::new(),
        pending: Vec::new(),
        words: Vec::new(),
    };
    let beginning = baseline.begin(options);
    for step in code.steps() {
        baseline.at(step.pc);
        baseline.step(step.op, step.data);
    }
    baseline.end_instruction();
    baseline.finish_beginning(beginning);
    baseline.leave_bails();
    baseline
}

/// Guest registers whose value RAX has, too.
#[derive(Clone, Copy, Default, Debug)]
struct Held {
    registers: [Option<Reg>; 4],
}

impl Held {
    fn has(&self, reg: Reg) -> bool {
        self.registers.contains(&Some(reg))
    }

    /// It may be left out if there are many.
    fn add(&mut self, reg: Reg) {
        if !self.has(reg)
            && let Some(free) = self.registers.iter_mut().find(|held| held.is_none())
        {
            *free = Some(reg);
        }
    }

    fn remove(&mut self, reg: Reg) {
        self.registers.iter_mut().filter(|held| **held == Some(reg)).for_each(|held| *held = None);
    }

    fn clear(&mut self) {
        *self = Self::default();
    }
}

/// A block in the making.
struct Baseline<'a> {
    asm: Assembler,
    code: &'a Code,
    exits: Vec<ExitSite>,
    relocations: Vec<SlotRelocation>,
    /// The relocation of the words of targets, if there are any.
    targets: Option<usize>,
    held: Held,
    /// The current guest instruction.
    pc: GuestVirt,
    pcs: Vec<PcRange>,
    /// Jumps to where an instruction is left to the interpreter.
    bails: Vec<(Patch, GuestVirt)>,
    /// Micro-operations that the interpreter shall do.
    pending: Vec<Raw>,
    /// What the functions that are called get the addresses of.
    words: Vec<(Patch, Vec<u8>)>,
}

impl Baseline<'_> {
    /// What follows belongs to the guest instruction at `pc`.
    fn at(&mut self, pc: GuestVirt) {
        if pc == self.pc {
            return;
        }
        // An instruction that cannot be finished is done again from its start, and no other is.
        self.flush();
        self.end_instruction();
        self.pc = pc;
    }

    fn end_instruction(&mut self) {
        let start = self.pcs.last().map_or(0, |range| range.end);
        self.pcs.push(PcRange { start, end: self.asm.offset() as u32, pc: self.pc });
    }

    fn step(&mut self, op: MicroOp, data: &[Raw]) {
        if op.kind.is_terminator() {
            self.flush();
            self.terminator(op, data);
        } else if let Some(function) = op.kind.operation() {
            self.flush();
            let words: Vec<Raw> =
                std::iter::once(op.to_raw()).chain(data.iter().copied()).collect();
            self.call_with(function as usize, &words);
        } else if ops::is_native(op.kind) {
            self.flush();
            self.operation(op, data);
        } else {
            self.pending.push(op.to_raw());
            self.pending.extend_from_slice(data);
        }
    }

    /// Has the interpreter do what is pending.
    fn flush(&mut self) {
        if self.pending.is_empty() {
            return;
        }
        let fragment = Fragment::new(self.code.head(), std::mem::take(&mut self.pending));
        self.call_with(Fragment::RUN as usize, fragment.words());
        self.asm.bytes(&[0x85, 0xc0]); // test eax, eax
        let failed = self.asm.jump_if(asm::Cc::NotEqual);
        self.bails.push((failed, self.pc));
    }

    /// Calls a function with the frame and the address of some words.
    fn call_with(&mut self, function: usize, words: &[Raw]) {
        let at = self.asm.address_of(asm::Host::Rsi);
        let bytes = words.iter().flatten().flat_map(|half| half.to_le_bytes());
        self.words.push((at, bytes.collect()));
        self.asm.call(function);
        self.held.clear();
    }

    fn finish(mut self, options: BaselineOptions) -> CompiledRegion {
        self.place_words();
        let head = self.code.head();
        CompiledRegion {
            code: self.asm.code,
            entries: vec![head.key().pc()],
            exits: self.exits,
            executions: Some(options.executions),
            targets: if self.targets.is_some() { TARGETS } else { 0 },
            sync_points: Vec::new(),
            pcs: PcMap::new(self.pcs),
            guest_insns: head.insns(),
            listing: None,
            relocations: self.relocations,
        }
    }

    fn leave_bails(&mut self) {
        let mut bails = std::mem::take(&mut self.bails);
        bails.sort_by_key(|&(_, pc)| pc);
        for same in bails.chunk_by(|a, b| a.1 == b.1) {
            same.iter().for_each(|&(patch, _)| self.asm.land(patch));
            self.asm.set_pc(same[0].1.0);
            self.asm.leave(crate::ExitCode::Interpret);
        }
    }

    /// Bodies of regions are aligned no worse than the interpreter's code has to be.
    fn place_words(&mut self) {
        for (patch, bytes) in std::mem::take(&mut self.words) {
            let padding = self.asm.offset().next_multiple_of(Fragment::ALIGN) - self.asm.offset();
            self.asm.code.resize(self.asm.offset() + padding, 0xcc);
            self.asm.land(patch);
            self.asm.bytes(&bytes);
        }
    }
}
