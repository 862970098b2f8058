//! How a block begins and ends.

use std::mem::offset_of;

use base::CpuFrame;
use base::cpu::{Approach, JumpCacheEntry};
use base::defect::{Defect, is_seeded};
use ir::Trap;
use ir::interp::{Micro, MicroOp, Raw, SINK};

use super::asm::{Alu, Cc, Host, Patch, Width};
use super::{Baseline, BaselineOptions, TARGETS, UPGRADE};
use crate::ExitCode;
use crate::compiler::{ExitSite, SlotRelocation};

/// The jumps out of a block's beginning, and the relocation of its counter.
#[derive(Clone, Copy, Debug)]
pub(super) struct Beginning {
    interrupted: Patch,
    counter: usize,
    spent: Patch,
}

const _: () = assert!(size_of::<JumpCacheEntry>() == 16 && offset_of!(JumpCacheEntry, key) == 0);

impl Baseline<'_> {
    /// The interrupt word, then the count of executions.
    pub(super) fn begin(&mut self, options: BaselineOptions) -> Beginning {
        self.asm.compare_frame_with_zero(Width::Bits32, CpuFrame::INTERRUPT);
        let interrupted = self.asm.jump_if(Cc::NotEqual);
        self.asm.bytes(&[0x48, 0x83, 0x2d]); // sub qword [rip + slot], 1
        let counter = self.relocate(0, 1);
        self.asm.bytes(&[1]);
        let spent = self.asm.jump_if(Cc::Sign);
        if options.count_instructions {
            self.asm.add_to_frame(CpuFrame::RETIRED, self.code.head().insns());
        }
        Beginning { interrupted, counter, spent }
    }

    /// What is rarely done at the beginning stands at the end.
    pub(super) fn finish_beginning(&mut self, beginning: Beginning) {
        let Beginning { interrupted, counter, spent } = beginning;
        // The counter's slot comes after those of the exits, which are known now.
        self.relocations[counter].addend += self.exits.len() as i64 * 8;
        // And those of targets behind it.
        if let Some(targets) = self.targets {
            self.relocations[targets].addend += (self.exits.len() as i64 + 1) * 8;
        }
        self.asm.land(interrupted);
        self.asm.set_pc(self.code.head().key().pc().0);
        self.asm.leave(ExitCode::Interrupted);
        self.asm.land(spent);
        self.jump_to_slot(UPGRADE as usize);
    }

    /// A displacement to a slot, after which so many bytes of the instruction follow; the number of its relocation.
    fn relocate(&mut self, slot: usize, more: i64) -> usize {
        let offset = self.asm.offset() as u32;
        self.relocations.push(SlotRelocation { offset, addend: slot as i64 * 8 - 4 - more });
        self.asm.bytes(&[0; 4]);
        self.relocations.len() - 1
    }

    /// `jmp [rip + slot]`
    fn jump_to_slot(&mut self, slot: usize) {
        self.asm.bytes(&[0xff, 0x25]);
        self.relocate(slot, 0);
    }

    fn exit(&mut self, target: u64) {
        let number = self.exits.len();
        self.exits.push(ExitSite { target: base::GuestVirt(target) });
        self.jump_to_slot(number);
    }

    pub(super) fn terminator(&mut self, op: MicroOp, data: &[Raw]) {
        let MicroOp { kind, dst, a, b, imm } = op;
        // The first word of data has the interpreter's links, the second the pcs.
        let targets = data.get(1).copied().unwrap_or_default();
        match kind {
            Micro::Jump => self.exit(imm),
            Micro::JumpLink => {
                self.set_constant(dst, imm);
                self.exit(targets[0]);
            }
            Micro::Indirect => {
                self.load(a);
                if dst != SINK {
                    self.note_target();
                }
                self.indirect(imm, Approach::new(b.into()));
            }
            Micro::IndirectEven => {
                self.load(a);
                self.add_immediate(imm);
                self.clear_low_bit();
                self.indirect(0, Approach::PLAIN);
            }
            Micro::IndirectLink => {
                self.load(a);
                self.clear_low_bit();
                self.asm.mov_imm(Host::Rcx, imm);
                self.store_from(Host::Rcx, dst);
                self.indirect(0, Approach::PLAIN);
            }
            Micro::IndirectFar => {
                self.load(a);
                self.leave_indirectly();
            }
            Micro::Lookup => {
                self.asm.set_pc(imm);
                self.asm.leave(ExitCode::Lookup);
            }
            Micro::Trap => {
                let trap = Trap::ALL[usize::from(a) % Trap::ALL.len()];
                self.asm.set_pc(imm);
                self.asm.leave(ExitCode::of_trap(trap));
            }
            _ => {
                let taken = self.branch(op);
                self.exit(targets[1]);
                self.asm.land(taken);
                self.exit(targets[0]);
            }
        }
    }

    /// Jumps if a branch is taken.
    fn branch(&mut self, MicroOp { kind, a, b, imm, .. }: MicroOp) -> Patch {
        let (cc, with_register) = match kind {
            Micro::BrEqR => (Cc::Equal, true),
            Micro::BrEqI => (Cc::Equal, false),
            Micro::BrNeR => (Cc::NotEqual, true),
            Micro::BrNeI => (Cc::NotEqual, false),
            Micro::BrLtUR => (Cc::Below, true),
            Micro::BrLtUI => (Cc::Below, false),
            Micro::BrGeUR => (Cc::AboveOrEqual, true),
            Micro::BrGeUI => (Cc::AboveOrEqual, false),
            Micro::BrLtSR if is_seeded(Defect::QuickBranchUnsigned) => (Cc::Below, true),
            Micro::BrLtSR => (Cc::Less, true),
            Micro::BrLtSI => (Cc::Less, false),
            Micro::BrGeSR => (Cc::GreaterOrEqual, true),
            Micro::BrGeSI => (Cc::GreaterOrEqual, false),
            // The only one left.
            _ => return self.branch_on_flags(a, imm),
        };
        match with_register {
            true => self.compare(Width::Bits64, a, b),
            false => self.compare_immediate(Width::Bits64, a, imm),
        }
        self.asm.jump_if(cc)
    }

    /// Leaves where RAX leads for whoever makes a region of this block.
    fn note_target(&mut self) {
        self.asm.bytes(&[0x69, 0xc8]); // imul ecx, eax, imm32
        self.asm.bytes(&0x9e37_79b1_u32.to_le_bytes());
        let bits = TARGETS.trailing_zeros() as u8;
        self.asm.shift_imm(Width::Bits32, super::asm::Shift::Shr, Host::Rcx, 32 - bits);
        self.asm.bytes(&[0x48, 0x8d, 0x15]); // lea rdx, [rip + slot]
        self.targets = Some(self.relocate(0, 0));
        self.asm.bytes(&[0x48, 0x89, 0x04, 0xca]); // mov [rdx + 8 * rcx], rax
    }

    fn clear_low_bit(&mut self) {
        self.asm.alu_imm(Width::Bits64, Alu::And, Host::Rax, -2);
        self.held.clear();
    }

    /// Goes on at the pc in RAX: by the jump cache, as regions do, or through the runtime.
    fn indirect(&mut self, salt: u64, approach: Approach) {
        let beside = self.code.head().key().flags().wrapping_add(salt);
        self.asm.with_register(Width::Bits64, &[0x8b], Host::Rcx, Host::Rax);
        if beside != 0 {
            self.asm.mov_imm(Host::Rdx, beside);
            self.asm.alu(Width::Bits64, Alu::Add, Host::Rcx, Host::Rdx);
        }
        // (key >> 1 & mask) times the 16 bytes of an entry.
        self.asm.with_register(Width::Bits64, &[0x8b], Host::Rsi, Host::Rcx);
        self.asm.shift_imm(Width::Bits64, super::asm::Shift::Shl, Host::Rsi, 3);
        let mask = (JumpCacheEntry::COUNT as i32 - 1) << 4;
        self.asm.alu_imm(Width::Bits32, Alu::And, Host::Rsi, mask);
        let cache = (Host::Rdi, CpuFrame::JUMP_CACHE);
        self.asm.with_memory(Width::Bits64, &[0x03], Host::Rsi, cache); // add
        self.asm.with_memory(Width::Bits64, &[0x3b], Host::Rcx, (Host::Rsi, 0)); // cmp
        let miss = self.asm.jump_if(Cc::NotEqual);
        let code = offset_of!(JumpCacheEntry, code) as u8;
        self.asm.bytes(&[0xff, 0x66, code]); // jmp [rsi + code]
        self.asm.land(miss);
        if approach != Approach::PLAIN {
            self.asm.store_frame_imm(approach.number().into(), CpuFrame::APPROACH);
        }
        self.leave_indirectly();
    }

    /// Leaves for the pc in RAX.
    fn leave_indirectly(&mut self) {
        self.asm.mov_imm(Host::Rcx, self.pc.0);
        self.asm.store_frame(Host::Rcx, CpuFrame::JUMPED_FROM);
        self.asm.store_frame(Host::Rax, CpuFrame::PC);
        self.asm.leave(ExitCode::Indirect);
    }
}
