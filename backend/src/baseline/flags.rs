//! Packed flags and conditions on them.

use base::defect::{Defect, is_seeded};
use ir::interp::{Micro, MicroOp, Reg};

use super::Baseline;
use super::asm::{Alu, Cc, Host, Patch, Shift, Width};

/// `cmc`
const COMPLEMENT_CARRY: u8 = 0xf5;

impl Baseline<'_> {
    /// N, Z, C and V in bits 31 to 28. The host's are SF, ZF, CF and OF, its carry of a difference being a borrow.
    pub(super) fn packed_flags(&mut self, MicroOp { kind, dst, a, b, imm }: MicroOp) {
        match kind {
            Micro::FlagsCmpR => self.compare(Width::Bits64, a, b),
            Micro::FlagsCmpI => self.compare_immediate(Width::Bits64, a, imm),
            Micro::FlagsCmpWR => self.compare(Width::Bits32, a, b),
            Micro::FlagsCmpWI => self.compare_immediate(Width::Bits32, a, imm),
            Micro::FlagsNz => self.test(Width::Bits64, a),
            Micro::FlagsNzW => self.test(Width::Bits32, a),
            _ => self.with_carry(kind, a, b, imm as Reg),
        }
        let is_difference = matches!(
            kind,
            Micro::FlagsCmpR
                | Micro::FlagsCmpI
                | Micro::FlagsCmpWR
                | Micro::FlagsCmpWI
                | Micro::FlagsSub
                | Micro::FlagsSubW
        );
        if is_difference && !is_seeded(Defect::BorrowIsCarry) {
            self.asm.bytes(&[COMPLEMENT_CARRY]);
        }
        self.pack();
        self.set(dst);
    }

    fn test(&mut self, width: Width, a: Reg) {
        self.load(a);
        self.asm.with_register(width, &[0x85], Host::Rax, Host::Rax);
    }

    /// `a + b + c` or `a - b - !c`, where `c` is 0 or 1.
    fn with_carry(&mut self, kind: Micro, a: Reg, b: Reg, c: Reg) {
        self.load(a);
        self.held.clear();
        self.asm.load_frame(Width::Bits64, Host::Rcx, i32::from(c) * 8);
        self.asm.shift_imm(Width::Bits64, Shift::Shr, Host::Rcx, 1);
        let (op, width) = match kind {
            Micro::FlagsAdd => (Alu::Adc, Width::Bits64),
            Micro::FlagsAddW => (Alu::Adc, Width::Bits32),
            Micro::FlagsSub => (Alu::Sbb, Width::Bits64),
            _ => (Alu::Sbb, Width::Bits32),
        };
        if op == Alu::Sbb {
            self.asm.bytes(&[COMPLEMENT_CARRY]);
        }
        self.asm.alu_reg(width, op, Host::Rax, b);
    }

    /// The host's flags, packed, in RAX. LAHF has SF, ZF and CF in bits 15, 14 and 8, and bit 0 gets OF; a multiplication
    /// brings CF to bit 13 and OF to bit 12.
    fn pack(&mut self) {
        self.held.clear();
        self.asm.bytes(&[0x9f]); // lahf
        self.asm.bytes(&[0x0f, 0x90, 0xc0]); // seto al
        self.asm.alu_imm(Width::Bits32, Alu::And, Host::Rax, 0xc101);
        self.asm.bytes(&[0x69, 0xc0, 0x21, 0x10, 0, 0]); // imul eax, eax, 0x1021
        self.asm.alu_imm(Width::Bits32, Alu::And, Host::Rax, 0xf000);
        self.asm.shift_imm(Width::Bits32, Shift::Shl, Host::Rax, 16);
    }

    /// The carry flag is whether packed flags in `a` are in `mask`.
    fn look_up(&mut self, a: Reg, mask: u64) {
        self.load(a);
        self.held.clear();
        self.asm.shift_imm(Width::Bits32, Shift::Shr, Host::Rax, 28);
        self.asm.mov_imm(Host::Rcx, mask & 0xffff);
        self.asm.bytes(&[0x0f, 0xa3, 0xc1]); // bt ecx, eax
    }

    pub(super) fn condition(&mut self, MicroOp { dst, a, imm, .. }: MicroOp) {
        self.look_up(a, imm);
        self.asm.set(Cc::Below, Host::Rax);
        self.set(dst);
    }

    pub(super) fn branch_on_flags(&mut self, a: Reg, mask: u64) -> Patch {
        self.look_up(a, mask);
        self.asm.jump_if(Cc::Below)
    }
}
