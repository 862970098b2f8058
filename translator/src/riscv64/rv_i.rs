//! RV64I base integer instruction set, version 2.1, with the hints of Zihintpause, Zihintntl and
//! Zicbop.

use arch::riscv64::helpers;
use base::GuestVirt;
use base::cpu::Approach;
use base::defect::{Defect, is_seeded};
use decoders::riscv64::{B, Fence, I, J, Locality, Prefetch, R, RvI, S, Shift, U};
use ir::{Hint, MemOrder, Terminator, Trap, Type, Val};

use super::{Flow, Insn};

/// Bits of FENCE's operands.
mod set {
    pub(super) const WRITES: u8 = 1;
    pub(super) const READS: u8 = 2;
    pub(super) const OUTPUT: u8 = 4;
    pub(super) const INPUT: u8 = 8;
}

impl<'b> Insn<'b> {
    fn load_u(&self, ty: Type, I { rd, rs1, imm }: I) -> Flow {
        self.set_x(rd, self.b.load_u(ty, self.x(rs1), imm as i32, MemOrder::Plain))
    }

    fn load_s(&self, ty: Type, I { rd, rs1, imm }: I) -> Flow {
        self.set_x(rd, self.b.load_s(ty, self.x(rs1), imm as i32, MemOrder::Plain))
    }

    fn store(&self, ty: Type, S { rs1, rs2, imm }: S) -> Flow {
        self.b.store(ty, self.x(rs1), imm as i32, self.x(rs2), MemOrder::Plain);
        Flow::Next
    }

    fn branch(&self, imm: i64, cond: Val<'b>) -> Flow {
        let (cond, taken) = (cond.operand(), self.pc.wrapping_offset(imm));
        self.b.terminate(Terminator::Branch { cond, taken, fallthrough: self.next });
        Flow::EndBlock
    }

    fn w(&self, rs: u8) -> Val<'b> {
        self.x(rs).low32()
    }
}

/// Whether the register is one that the calling convention uses for return addresses.
fn is_link(register: u8) -> bool {
    matches!(register, 1 | 5)
}

/// Return-address prediction hints of JAL ("Unconditional Jumps").
fn jal_hint(rd: u8, next: GuestVirt) -> Hint {
    if is_link(rd) { Hint::Call(next) } else { Hint::Plain }
}

/// Return-address prediction hints of JALR, by the table in "Unconditional Jumps". "Pop, then push"
/// (a coroutine switch) counts as a call.
fn jalr_hint(rd: u8, rs1: u8, next: GuestVirt) -> Hint {
    match (is_link(rd), is_link(rs1)) {
        (false, false) => Hint::Plain,
        (false, true) => Hint::Return,
        (true, _) => Hint::Call(next),
    }
}

impl RvI for Insn<'_> {
    /// LUI: x[rd] = imm
    fn lui(&self, U { rd, imm }: U) -> Flow {
        self.set_x(rd, self.imm(imm))
    }

    /// AUIPC: x[rd] = pc + imm
    fn auipc(&self, U { rd, imm }: U) -> Flow {
        if is_seeded(Defect::AuipcFromNextPc) {
            return self.set_x(rd, self.address(self.next.wrapping_offset(imm)));
        }
        self.set_x(rd, self.address(self.pc.wrapping_offset(imm)))
    }

    /// JAL: x[rd] = pc + 4; pc += imm
    fn jal(&self, J { rd, imm }: J) -> Flow {
        let target = self.pc.wrapping_offset(imm);
        self.b.terminate(Terminator::Jump { target, hint: jal_hint(rd, self.next) });
        self.set_x(rd, self.address(self.next));
        Flow::EndBlock
    }

    /// JALR: t = pc + 4; pc = (x[rs1] + imm) & ~1; x[rd] = t
    fn jalr(&self, I { rd, rs1, imm }: I) -> Flow {
        let base = if imm == 0 { self.x(rs1) } else { self.x(rs1) + self.imm(imm) };
        let target = (base & self.imm(!1)).operand();
        let hint = jalr_hint(rd, rs1, self.next);
        let approach = Approach::PLAIN;
        self.b.terminate(Terminator::Indirect { target, hint, approach });
        self.set_x(rd, self.address(self.next));
        Flow::EndBlock
    }

    /// BEQ: if x[rs1] == x[rs2] then pc += imm
    fn beq(&self, B { rs1, rs2, imm }: B) -> Flow {
        self.branch(imm, self.x(rs1).eq(self.x(rs2)))
    }

    /// BNE: if x[rs1] != x[rs2] then pc += imm
    fn bne(&self, B { rs1, rs2, imm }: B) -> Flow {
        self.branch(imm, self.x(rs1).ne(self.x(rs2)))
    }

    /// BLT: if x[rs1] <s x[rs2] then pc += imm
    fn blt(&self, B { rs1, rs2, imm }: B) -> Flow {
        self.branch(imm, self.x(rs1).lt_s(self.x(rs2)))
    }

    /// BGE: if x[rs1] >=s x[rs2] then pc += imm
    fn bge(&self, B { rs1, rs2, imm }: B) -> Flow {
        self.branch(imm, self.x(rs2).le_s(self.x(rs1)))
    }

    /// BLTU: if x[rs1] <u x[rs2] then pc += imm
    fn bltu(&self, B { rs1, rs2, imm }: B) -> Flow {
        self.branch(imm, self.x(rs1).lt_u(self.x(rs2)))
    }

    /// BGEU: if x[rs1] >=u x[rs2] then pc += imm
    fn bgeu(&self, B { rs1, rs2, imm }: B) -> Flow {
        self.branch(imm, self.x(rs2).le_u(self.x(rs1)))
    }

    /// LB: x[rd] = sext(M[x[rs1] + imm][7:0])
    fn lb(&self, args: I) -> Flow {
        self.load_s(Type::I8, args)
    }

    /// LH: x[rd] = sext(M[x[rs1] + imm][15:0])
    fn lh(&self, args: I) -> Flow {
        self.load_s(Type::I16, args)
    }

    /// LW: x[rd] = sext(M[x[rs1] + imm][31:0])
    fn lw(&self, args: I) -> Flow {
        self.load_s(Type::I32, args)
    }

    /// LD (RV64I): x[rd] = M[x[rs1] + imm][63:0]
    fn ld(&self, args: I) -> Flow {
        self.load_u(Type::I64, args)
    }

    /// LBU: x[rd] = M[x[rs1] + imm][7:0]
    fn lbu(&self, args: I) -> Flow {
        if is_seeded(Defect::LbuExtendsSign) {
            return self.load_s(Type::I8, args);
        }
        self.load_u(Type::I8, args)
    }

    /// LHU: x[rd] = M[x[rs1] + imm][15:0]
    fn lhu(&self, args: I) -> Flow {
        self.load_u(Type::I16, args)
    }

    /// LWU (RV64I): x[rd] = M[x[rs1] + imm][31:0]
    fn lwu(&self, args: I) -> Flow {
        self.load_u(Type::I32, args)
    }

    /// SB: M[x[rs1] + imm] = x[rs2][7:0]
    fn sb(&self, args: S) -> Flow {
        self.store(Type::I8, args)
    }

    /// SH: M[x[rs1] + imm] = x[rs2][15:0]
    fn sh(&self, args: S) -> Flow {
        self.store(Type::I16, args)
    }

    /// SW: M[x[rs1] + imm] = x[rs2][31:0]
    fn sw(&self, args: S) -> Flow {
        self.store(Type::I32, args)
    }

    /// SD (RV64I): M[x[rs1] + imm] = x[rs2]
    fn sd(&self, args: S) -> Flow {
        self.store(Type::I64, args)
    }

    /// ADDI: x[rd] = x[rs1] + imm
    fn addi(&self, I { rd, rs1, imm }: I) -> Flow {
        match (rs1, imm) {
            // LI and MV by name, NOP by effect.
            _ if rd == 0 => Flow::Next,
            (0, _) => self.set_x(rd, self.imm(imm)),
            (_, 0) => self.set_x(rd, self.x(rs1)),
            _ => self.set_x(rd, self.x(rs1) + self.imm(imm)),
        }
    }

    /// SLTI: x[rd] = x[rs1] <s imm
    fn slti(&self, I { rd, rs1, imm }: I) -> Flow {
        self.set_x(rd, self.x(rs1).lt_s(self.imm(imm)))
    }

    /// SLTIU: x[rd] = x[rs1] <u sext(imm)
    fn sltiu(&self, I { rd, rs1, imm }: I) -> Flow {
        self.set_x(rd, self.x(rs1).lt_u(self.imm(imm)))
    }

    /// XORI: x[rd] = x[rs1] ^ imm
    fn xori(&self, I { rd, rs1, imm }: I) -> Flow {
        self.set_x(rd, self.x(rs1) ^ self.imm(imm))
    }

    /// PREFETCH.I (Zicbop): a hint, and never faults.
    fn prefetch_i(&self, _: Prefetch) -> Flow {
        Flow::Next
    }

    /// PREFETCH.R (Zicbop): a hint, and never faults.
    fn prefetch_r(&self, _: Prefetch) -> Flow {
        Flow::Next
    }

    /// PREFETCH.W (Zicbop): a hint, and never faults.
    fn prefetch_w(&self, _: Prefetch) -> Flow {
        Flow::Next
    }

    /// ORI: x[rd] = x[rs1] | imm
    fn ori(&self, I { rd, rs1, imm }: I) -> Flow {
        self.set_x(rd, self.x(rs1) | self.imm(imm))
    }

    /// ANDI: x[rd] = x[rs1] & imm
    fn andi(&self, I { rd, rs1, imm }: I) -> Flow {
        if is_seeded(Defect::AndiOffByOne) {
            return self.set_x(rd, self.x(rs1) & self.imm(imm + 1));
        }
        self.set_x(rd, self.x(rs1) & self.imm(imm))
    }

    /// SLLI: x[rd] = x[rs1] << shamt
    fn slli(&self, Shift { rd, rs1, shamt }: Shift) -> Flow {
        self.set_x(rd, self.x(rs1).shl(self.konst(shamt.into())))
    }

    /// SRLI: x[rd] = x[rs1] >>u shamt
    fn srli(&self, Shift { rd, rs1, shamt }: Shift) -> Flow {
        self.set_x(rd, self.x(rs1).shr_u(self.konst(shamt.into())))
    }

    /// SRAI: x[rd] = x[rs1] >>s shamt
    fn srai(&self, Shift { rd, rs1, shamt }: Shift) -> Flow {
        self.set_x(rd, self.x(rs1).shr_s(self.konst(shamt.into())))
    }

    /// NTL.* (Zihintntl): a hint about the next access.
    fn ntl(&self, _: Locality) -> Flow {
        Flow::Next
    }

    /// ADD: x[rd] = x[rs1] + x[rs2]
    fn add(&self, R { rd, rs1, rs2 }: R) -> Flow {
        match (rs1, rs2) {
            // C.MV expands to ADD rd, x0, rs2.
            (0, _) => self.set_x(rd, self.x(rs2)),
            _ => self.set_x(rd, self.x(rs1) + self.x(rs2)),
        }
    }

    /// SUB: x[rd] = x[rs1] - x[rs2]
    fn sub(&self, R { rd, rs1, rs2 }: R) -> Flow {
        if is_seeded(Defect::SubSwapsOperands) {
            return self.set_x(rd, self.x(rs2) - self.x(rs1));
        }
        self.set_x(rd, self.x(rs1) - self.x(rs2))
    }

    /// SLL: x[rd] = x[rs1] << x[rs2][5:0]
    fn sll(&self, R { rd, rs1, rs2 }: R) -> Flow {
        self.set_x(rd, self.x(rs1).shl(self.x(rs2)))
    }

    /// SLT: x[rd] = x[rs1] <s x[rs2]
    fn slt(&self, R { rd, rs1, rs2 }: R) -> Flow {
        self.set_x(rd, self.x(rs1).lt_s(self.x(rs2)))
    }

    /// SLTU: x[rd] = x[rs1] <u x[rs2]
    fn sltu(&self, R { rd, rs1, rs2 }: R) -> Flow {
        if is_seeded(Defect::SltuComparesSigned) {
            return self.set_x(rd, self.x(rs1).lt_s(self.x(rs2)));
        }
        self.set_x(rd, self.x(rs1).lt_u(self.x(rs2)))
    }

    /// XOR: x[rd] = x[rs1] ^ x[rs2]
    fn xor(&self, R { rd, rs1, rs2 }: R) -> Flow {
        self.set_x(rd, self.x(rs1) ^ self.x(rs2))
    }

    /// SRL: x[rd] = x[rs1] >>u x[rs2][5:0]
    fn srl(&self, R { rd, rs1, rs2 }: R) -> Flow {
        self.set_x(rd, self.x(rs1).shr_u(self.x(rs2)))
    }

    /// SRA: x[rd] = x[rs1] >>s x[rs2][5:0]
    fn sra(&self, R { rd, rs1, rs2 }: R) -> Flow {
        self.set_x(rd, self.x(rs1).shr_s(self.x(rs2)))
    }

    /// OR: x[rd] = x[rs1] | x[rs2]
    fn or(&self, R { rd, rs1, rs2 }: R) -> Flow {
        self.set_x(rd, self.x(rs1) | self.x(rs2))
    }

    /// AND: x[rd] = x[rs1] & x[rs2]
    fn and(&self, R { rd, rs1, rs2 }: R) -> Flow {
        self.set_x(rd, self.x(rs1) & self.x(rs2))
    }

    /// ADDIW (RV64I): x[rd] = sext((x[rs1] + imm)[31:0])
    fn addiw(&self, I { rd, rs1, imm }: I) -> Flow {
        // SEXT.W by name.
        let sum = if imm == 0 { self.w(rs1) } else { self.w(rs1) + self.konst_w(imm as u64) };
        if is_seeded(Defect::AddiwZeroExtends) {
            return self.set_x(rd, sum.zext());
        }
        self.set_x(rd, sum.sext())
    }

    /// SLLIW (RV64I): x[rd] = sext((x[rs1] << shamt)[31:0])
    fn slliw(&self, Shift { rd, rs1, shamt }: Shift) -> Flow {
        self.set_x(rd, self.w(rs1).shl(self.konst_w(shamt.into())).sext())
    }

    /// SRLIW (RV64I): x[rd] = sext(x[rs1][31:0] >>u shamt)
    fn srliw(&self, Shift { rd, rs1, shamt }: Shift) -> Flow {
        self.set_x(rd, self.w(rs1).shr_u(self.konst_w(shamt.into())).sext())
    }

    /// SRAIW (RV64I): x[rd] = sext(x[rs1][31:0] >>s shamt)
    fn sraiw(&self, Shift { rd, rs1, shamt }: Shift) -> Flow {
        self.set_x(rd, self.w(rs1).shr_s(self.konst_w(shamt.into())).sext())
    }

    /// ADDW (RV64I): x[rd] = sext((x[rs1] + x[rs2])[31:0])
    fn addw(&self, R { rd, rs1, rs2 }: R) -> Flow {
        self.set_x(rd, (self.w(rs1) + self.w(rs2)).sext())
    }

    /// SUBW (RV64I): x[rd] = sext((x[rs1] - x[rs2])[31:0])
    fn subw(&self, R { rd, rs1, rs2 }: R) -> Flow {
        self.set_x(rd, (self.w(rs1) - self.w(rs2)).sext())
    }

    /// SLLW (RV64I): x[rd] = sext((x[rs1] << x[rs2][4:0])[31:0])
    fn sllw(&self, R { rd, rs1, rs2 }: R) -> Flow {
        self.set_x(rd, self.w(rs1).shl(self.w(rs2)).sext())
    }

    /// SRLW (RV64I): x[rd] = sext(x[rs1][31:0] >>u x[rs2][4:0])
    fn srlw(&self, R { rd, rs1, rs2 }: R) -> Flow {
        self.set_x(rd, self.w(rs1).shr_u(self.w(rs2)).sext())
    }

    /// SRAW (RV64I): x[rd] = sext(x[rs1][31:0] >>s x[rs2][4:0])
    fn sraw(&self, R { rd, rs1, rs2 }: R) -> Flow {
        if is_seeded(Defect::SrawForgetsWidth) {
            return self.set_x(rd, self.x(rs1).shr_s(self.x(rs2)));
        }
        self.set_x(rd, self.w(rs1).shr_s(self.w(rs2)).sext())
    }

    /// PAUSE (Zihintpause)
    fn pause(&self) -> Flow {
        self.b.call_void(helpers::PAUSE, &[]);
        Flow::Next
    }

    /// FENCE.TSO: everything but stores before loads
    fn fence_tso(&self) -> Flow {
        self.b.fence(MemOrder::Acquire);
        self.b.fence(MemOrder::Release);
        Flow::Next
    }

    /// FENCE: only stores before loads need the strongest order. Devices count as memory.
    fn fence(&self, Fence { pred, succ, .. }: Fence) -> Flow {
        let stores = |operand| operand & (set::WRITES | set::OUTPUT) != 0;
        let loads = |operand| operand & (set::READS | set::INPUT) != 0;
        match (stores(pred), loads(pred), loads(succ)) {
            // A hint.
            _ if pred == 0 || succ == 0 => {}
            (true, _, true) => self.b.fence(MemOrder::SeqCst),
            (true, _, false) => self.b.fence(MemOrder::Release),
            (false, ..) => self.b.fence(MemOrder::Acquire),
        }
        Flow::Next
    }

    /// ECALL
    fn ecall(&self) -> Flow {
        self.trap(Trap::Syscall, self.next)
    }

    /// EBREAK
    fn ebreak(&self) -> Flow {
        self.trap(Trap::Breakpoint, self.pc)
    }
}
