//! Branches, exception generating and system instructions (Arm ARM, C4.1.93).

use arch::aarch64::{helpers, slot};
use base::cpu::Approach;
use base::defect::{Defect, is_seeded};
use decoders::aarch64::{
    Barrier, Branch, BranchAuth, BranchBit, BranchCond, BranchReg, BranchSystem, BranchZero, Bti,
    Exception, Hint as HintNumber, Pstate, Sys, SysReg, SysRt, Timeout,
};
use ir::{Hint, MemOrder, Terminator, Trap, Type, Val};

use super::pauth::Key;
use super::register::width;
use super::{Flow, Insn, Tags};

/// The link register.
const LR: u8 = 30;
/// The registers of PACIA1716 and its like: pointer and modifier.
const X17: u8 = 17;
const X16: u8 = 16;

/// Bits of NZCV.
const Z: u64 = 1 << 30;
const C: u64 = 1 << 29;

impl<'b> Insn<'b> {
    fn jump(&self, imm: i64, hint: Hint) -> Flow {
        self.b.terminate(Terminator::Jump { target: self.pc.wrapping_offset(imm), hint });
        Flow::EndBlock
    }

    fn branch_if(&self, cond: Val<'b>, imm: i64) -> Flow {
        self.b.terminate(Terminator::Branch {
            cond: cond.operand(),
            taken: self.pc.wrapping_offset(imm),
            fallthrough: self.next,
        });
        Flow::EndBlock
    }

    /// BranchTo: AArch64.BranchAddr replaces the tag by copies of bit 55.
    fn branch_to(&self, target: Val<'b>, hint: Hint, approach: Approach) -> Flow {
        let target = match self.tags {
            Tags::Fault => target,
            Tags::Ignored => target.shl(self.konst(8)).shr_s(self.konst(8)),
        };
        self.b.terminate(Terminator::Indirect { target: target.operand(), hint, approach });
        Flow::EndBlock
    }

    fn return_authenticated(&self, key: Key) -> Flow {
        let target = self.authenticate_to_use(key, self.x(LR), self.sp());
        self.branch_to(target, Hint::Return, Approach::PLAIN)
    }

    fn link(&self) -> Hint {
        self.set_x(LR, self.konst(self.next.0));
        Hint::Call(self.next)
    }

    /// What EL0 is not allowed under Linux, or at all.
    fn privileged(&self) -> Flow {
        Flow::Undefined
    }

    /// Waiting may end at any time. Whoever is waited for may need this CPU.
    fn wait(&self) -> Flow {
        self.b.call_void(helpers::YIELD, &[]);
        Flow::Next
    }

    fn sign_register(&self, key: Key, n: u8, modifier: Val<'b>) -> Flow {
        self.set_x(n, self.sign(key, self.x(n), modifier))
    }

    fn authenticate_register(&self, key: Key, n: u8, modifier: Val<'b>) -> Flow {
        self.set_x(n, self.authenticate(key, self.x(n), modifier))
    }

    fn sp(&self) -> Val<'b> {
        self.b.slot(slot::SP)
    }

    /// DMB and DSB: by the types of access in the option's low bits; what is reserved means all.
    fn barrier(&self, option: u8) -> Flow {
        self.b.fence(match option & 3 {
            1 => MemOrder::Acquire,
            2 => MemOrder::Release,
            _ => MemOrder::SeqCst,
        });
        Flow::Next
    }

    /// Caches are coherent, so that nothing is left of maintenance by address but its fault: that of a load.
    fn maintain(&self, SysRt { rt }: SysRt) -> Flow {
        let _ = self.b.load_u(Type::I8, self.untagged(self.x(rt)), 0, MemOrder::Plain);
        Flow::Next
    }

    fn set_flag(&self, place: base::RegSlot, Pstate { imm }: Pstate) -> Flow {
        self.b.set_slot(place, self.konst(u64::from(imm & 1)));
        Flow::Next
    }
}

impl BranchSystem for Insn<'_> {
    /// UDF
    fn udf(&self, _: Exception) -> Flow {
        Flow::Undefined
    }

    /// B.cond: if the condition holds then PC += imm
    fn b_cond(&self, BranchCond { cond, imm }: BranchCond) -> Flow {
        match self.condition(cond) {
            Some(holds) => self.branch_if(holds, imm),
            None => self.jump(imm, Hint::Plain),
        }
    }

    /// BC.cond: B.cond, with a hint that it behaves alike each time
    fn bc_cond(&self, args: BranchCond) -> Flow {
        self.b_cond(args)
    }

    /// SVC: Linux takes no note of imm
    fn svc(&self, _: Exception) -> Flow {
        self.trap(Trap::Syscall, self.next)
    }

    /// HVC: UNDEFINED at EL0
    fn hvc(&self, _: Exception) -> Flow {
        self.privileged()
    }

    /// SMC: UNDEFINED at EL0
    fn smc(&self, _: Exception) -> Flow {
        self.privileged()
    }

    /// BRK
    fn brk(&self, _: Exception) -> Flow {
        self.trap(Trap::Breakpoint, self.pc)
    }

    /// HLT: UNDEFINED while halting debug is not allowed
    fn hlt(&self, _: Exception) -> Flow {
        self.privileged()
    }

    /// DCPS1: UNDEFINED outside debug state
    fn dcps1(&self, _: Exception) -> Flow {
        self.privileged()
    }

    /// DCPS2: UNDEFINED outside debug state
    fn dcps2(&self, _: Exception) -> Flow {
        self.privileged()
    }

    /// DCPS3: UNDEFINED outside debug state
    fn dcps3(&self, _: Exception) -> Flow {
        self.privileged()
    }

    /// WFET: WFE, until CNTVCT_EL0 is X[t] at the latest
    fn wfet(&self, _: Timeout) -> Flow {
        self.wait()
    }

    /// WFIT: WFI, until CNTVCT_EL0 is X[t] at the latest
    fn wfit(&self, _: Timeout) -> Flow {
        self.wait()
    }

    /// NOP
    fn nop(&self) -> Flow {
        Flow::Next
    }

    /// YIELD: in a spin-wait loop
    fn yield_hint(&self) -> Flow {
        self.b.call_void(helpers::PAUSE, &[]);
        Flow::Next
    }

    /// WFE
    fn wfe(&self) -> Flow {
        self.wait()
    }

    /// WFI
    fn wfi(&self) -> Flow {
        self.wait()
    }

    /// SEV: nobody waits for long
    fn sev(&self) -> Flow {
        Flow::Next
    }

    /// SEVL
    fn sevl(&self) -> Flow {
        Flow::Next
    }

    /// XPACLRI: X[30] without its code
    fn xpaclri(&self) -> Flow {
        self.set_x(LR, self.call(helpers::XPAC, &[self.x(LR)]))
    }

    /// PACIA1716: X[17] signed with X[16] as modifier
    fn pacia1716(&self) -> Flow {
        self.sign_register(Key::Ia, X17, self.x(X16))
    }

    /// PACIB1716
    fn pacib1716(&self) -> Flow {
        self.sign_register(Key::Ib, X17, self.x(X16))
    }

    /// AUTIA1716: X[17] authenticated with X[16] as modifier
    fn autia1716(&self) -> Flow {
        self.authenticate_register(Key::Ia, X17, self.x(X16))
    }

    /// AUTIB1716
    fn autib1716(&self) -> Flow {
        self.authenticate_register(Key::Ib, X17, self.x(X16))
    }

    /// PACIAZ: X[30] signed with 0 as modifier
    fn paciaz(&self) -> Flow {
        self.sign_register(Key::Ia, LR, self.konst(0))
    }

    /// PACIASP: X[30] signed with SP as modifier
    fn paciasp(&self) -> Flow {
        self.sign_register(Key::Ia, LR, self.sp())
    }

    /// PACIBZ
    fn pacibz(&self) -> Flow {
        self.sign_register(Key::Ib, LR, self.konst(0))
    }

    /// PACIBSP
    fn pacibsp(&self) -> Flow {
        self.sign_register(Key::Ib, LR, self.sp())
    }

    /// AUTIAZ: X[30] authenticated with 0 as modifier
    fn autiaz(&self) -> Flow {
        self.authenticate_register(Key::Ia, LR, self.konst(0))
    }

    /// AUTIASP: X[30] authenticated with SP as modifier
    fn autiasp(&self) -> Flow {
        self.authenticate_register(Key::Ia, LR, self.sp())
    }

    /// AUTIBZ
    fn autibz(&self) -> Flow {
        self.authenticate_register(Key::Ib, LR, self.konst(0))
    }

    /// AUTIBSP
    fn autibsp(&self) -> Flow {
        self.authenticate_register(Key::Ib, LR, self.sp())
    }

    /// BTI: see [`super::branch_target`]
    fn bti(&self, _: Bti) -> Flow {
        Flow::Next
    }

    /// HINT: does nothing
    fn hint(&self, _: HintNumber) -> Flow {
        Flow::Next
    }

    /// CLREX: the local monitor is open
    fn clrex(&self, _: Barrier) -> Flow {
        self.b.set_slot(slot::EXCLUSIVE_ADDR, self.konst(slot::NO_EXCLUSIVE));
        Flow::Next
    }

    /// DSB: also waits for what is ordered to complete, which is nothing that a program sees
    fn dsb(&self, Barrier { option }: Barrier) -> Flow {
        self.barrier(option)
    }

    /// DMB
    fn dmb(&self, Barrier { option }: Barrier) -> Flow {
        self.barrier(option)
    }

    /// ISB: see [`base::CpuFrame::INTERRUPT_SYNC_CODE`]
    fn isb(&self, _: Barrier) -> Flow {
        if is_seeded(Defect::IsbKeepsCode) {
            return Flow::Next;
        }
        self.b.call_void(helpers::SYNC_CODE, &[]);
        self.look_up_next()
    }

    /// SB: about speculation alone
    fn sb(&self) -> Flow {
        Flow::Next
    }

    /// DSB nXS: of all accesses
    fn dsb_nxs(&self, _: Barrier) -> Flow {
        self.barrier(15)
    }

    /// CFINV: C = NOT C
    fn cfinv(&self) -> Flow {
        self.set_nzcv(self.nzcv() ^ self.konst(C))
    }

    /// XAFLAG: N = NOT C AND NOT Z, Z = Z AND C, C = C OR Z, V = NOT C AND Z
    fn xaflag(&self) -> Flow {
        // At the place of C: what is NOT, AND and OR there.
        let c = self.nzcv() & self.konst(C);
        let z = self.nzcv().shr_u(self.konst(1)) & self.konst(C);
        let (not_c, one) = (c ^ self.konst(C), self.konst(1));
        let n = not_c.and_not(z).shl(self.konst(2));
        let v = (not_c & z).shr_u(one);
        self.set_nzcv(n | (z & c).shl(one) | c | z | v)
    }

    /// AXFLAG: N = 0, Z = Z OR V, C = C AND NOT V, V = 0
    fn axflag(&self) -> Flow {
        let nzcv = self.nzcv();
        let v_at_z = nzcv.shl(self.konst(2)) & self.konst(Z);
        let v_at_c = nzcv.shl(self.konst(1)) & self.konst(C);
        let z = nzcv & self.konst(Z) | v_at_z;
        self.set_nzcv(z | (nzcv & self.konst(C)).and_not(v_at_c))
    }

    /// MSR UAO: UNDEFINED at EL0
    fn msr_uao(&self, _: Pstate) -> Flow {
        self.privileged()
    }

    /// MSR PAN: UNDEFINED at EL0
    fn msr_pan(&self, _: Pstate) -> Flow {
        self.privileged()
    }

    /// MSR SPSel: UNDEFINED at EL0
    fn msr_spsel(&self, _: Pstate) -> Flow {
        self.privileged()
    }

    /// MSR ALLINT: UNDEFINED at EL0
    fn msr_allint(&self, _: Pstate) -> Flow {
        self.privileged()
    }

    /// MSR SSBS (immediate): PSTATE.SSBS = imm<0>
    fn msr_ssbs(&self, args: Pstate) -> Flow {
        self.set_flag(slot::SSBS, args)
    }

    /// MSR DIT (immediate): PSTATE.DIT = imm<0>
    fn msr_dit(&self, args: Pstate) -> Flow {
        self.set_flag(slot::DIT, args)
    }

    /// MSR TCO (immediate): PSTATE.TCO = imm<0>
    fn msr_tco(&self, args: Pstate) -> Flow {
        self.set_flag(slot::TCO, args)
    }

    /// MSR DAIFSet: Linux keeps it from programs (SCTLR_EL1.UMA is 0)
    fn msr_daifset(&self, _: Pstate) -> Flow {
        self.privileged()
    }

    /// MSR DAIFClr: Linux keeps it from programs (SCTLR_EL1.UMA is 0)
    fn msr_daifclr(&self, _: Pstate) -> Flow {
        self.privileged()
    }

    /// IC IVAU: what was translated from the line is compared with it at the ISB that must follow
    fn ic_ivau(&self, args: SysRt) -> Flow {
        self.maintain(args)
    }

    /// DC ZVA: the block that holds address X[t] = 0
    fn dc_zva(&self, SysRt { rt }: SysRt) -> Flow {
        self.zero_block(self.x(rt))
    }

    /// DC CVAC
    fn dc_cvac(&self, args: SysRt) -> Flow {
        self.maintain(args)
    }

    /// DC CVAU
    fn dc_cvau(&self, args: SysRt) -> Flow {
        self.maintain(args)
    }

    /// DC CIVAC
    fn dc_civac(&self, args: SysRt) -> Flow {
        self.maintain(args)
    }

    /// DC CVAP
    fn dc_cvap(&self, args: SysRt) -> Flow {
        self.maintain(args)
    }

    /// DC CVADP
    fn dc_cvadp(&self, args: SysRt) -> Flow {
        self.maintain(args)
    }

    /// DC GVA: memory has no tags, so only the fault is left, which is that of a store
    fn dc_gva(&self, SysRt { rt }: SysRt) -> Flow {
        self.may_store(self.untagged(self.x(rt)))
    }

    /// DC GZVA: DC ZVA, since memory has no tags
    fn dc_gzva(&self, SysRt { rt }: SysRt) -> Flow {
        self.zero_block(self.x(rt))
    }

    /// DC CGVAC
    fn dc_cgvac(&self, args: SysRt) -> Flow {
        self.maintain(args)
    }

    /// DC CGDVAC
    fn dc_cgdvac(&self, args: SysRt) -> Flow {
        self.maintain(args)
    }

    /// DC CGVAP
    fn dc_cgvap(&self, args: SysRt) -> Flow {
        self.maintain(args)
    }

    /// DC CGDVAP
    fn dc_cgdvap(&self, args: SysRt) -> Flow {
        self.maintain(args)
    }

    /// DC CGVADP
    fn dc_cgvadp(&self, args: SysRt) -> Flow {
        self.maintain(args)
    }

    /// DC CGDVADP
    fn dc_cgdvadp(&self, args: SysRt) -> Flow {
        self.maintain(args)
    }

    /// DC CIGVAC
    fn dc_cigvac(&self, args: SysRt) -> Flow {
        self.maintain(args)
    }

    /// DC CIGDVAC
    fn dc_cigdvac(&self, args: SysRt) -> Flow {
        self.maintain(args)
    }

    /// CFP RCTX: Linux keeps it from programs (SCTLR_EL1.EnRCTX is 0)
    fn cfp_rctx(&self, _: SysRt) -> Flow {
        self.privileged()
    }

    /// DVP RCTX: Linux keeps it from programs (SCTLR_EL1.EnRCTX is 0)
    fn dvp_rctx(&self, _: SysRt) -> Flow {
        self.privileged()
    }

    /// CPP RCTX: Linux keeps it from programs (SCTLR_EL1.EnRCTX is 0)
    fn cpp_rctx(&self, _: SysRt) -> Flow {
        self.privileged()
    }

    /// COSP RCTX: Linux keeps it from programs (SCTLR_EL1.EnRCTX is 0)
    fn cosp_rctx(&self, _: SysRt) -> Flow {
        self.privileged()
    }

    /// SYS: all that EL0 may use have rows of their own
    fn sys(&self, _: Sys) -> Flow {
        self.privileged()
    }

    /// SYSL: there is none for EL0
    fn sysl(&self, _: Sys) -> Flow {
        self.privileged()
    }

    /// MSR (register): see [`super::system`]
    fn msr_reg(&self, SysReg { reg, rt }: SysReg) -> Flow {
        self.write_system_register(reg, rt)
    }

    /// MRS: see [`super::system`]
    fn mrs(&self, SysReg { reg, rt }: SysReg) -> Flow {
        self.read_system_register(reg, rt)
    }

    /// BR: PC = X[n]
    fn br(&self, BranchReg { rn }: BranchReg) -> Flow {
        self.branch_to(self.x(rn), Hint::Plain, self.jump_approach(rn))
    }

    /// BLR: X[30] = PC + 4; PC = X[n]
    fn blr(&self, BranchReg { rn }: BranchReg) -> Flow {
        let hint = self.link();
        self.branch_to(self.x(rn), hint, self.call_approach())
    }

    /// RET: PC = X[n]
    fn ret(&self, BranchReg { rn }: BranchReg) -> Flow {
        self.branch_to(self.x(rn), Hint::Return, Approach::PLAIN)
    }

    /// ERET: UNDEFINED at EL0
    fn eret(&self) -> Flow {
        self.privileged()
    }

    /// DRPS: UNDEFINED outside debug state
    fn drps(&self) -> Flow {
        self.privileged()
    }

    /// BRAAZ: PC = X[n], authenticated with 0 as modifier
    fn braaz(&self, BranchReg { rn }: BranchReg) -> Flow {
        let target = self.authenticate_to_use(Key::Ia, self.x(rn), self.konst(0));
        self.branch_to(target, Hint::Plain, self.jump_approach(rn))
    }

    /// BRABZ
    fn brabz(&self, BranchReg { rn }: BranchReg) -> Flow {
        let target = self.authenticate_to_use(Key::Ib, self.x(rn), self.konst(0));
        self.branch_to(target, Hint::Plain, self.jump_approach(rn))
    }

    /// BLRAAZ: X[30] = PC + 4; PC = X[n], authenticated with 0 as modifier
    fn blraaz(&self, BranchReg { rn }: BranchReg) -> Flow {
        let target = self.authenticate_to_use(Key::Ia, self.x(rn), self.konst(0));
        let hint = self.link();
        self.branch_to(target, hint, self.call_approach())
    }

    /// BLRABZ
    fn blrabz(&self, BranchReg { rn }: BranchReg) -> Flow {
        let target = self.authenticate_to_use(Key::Ib, self.x(rn), self.konst(0));
        let hint = self.link();
        self.branch_to(target, hint, self.call_approach())
    }

    /// RETAA: PC = X[30], authenticated with SP as modifier
    fn retaa(&self) -> Flow {
        self.return_authenticated(Key::Ia)
    }

    /// RETAB
    fn retab(&self) -> Flow {
        self.return_authenticated(Key::Ib)
    }

    /// ERETAA: UNDEFINED at EL0
    fn eretaa(&self) -> Flow {
        self.privileged()
    }

    /// ERETAB: UNDEFINED at EL0
    fn eretab(&self) -> Flow {
        self.privileged()
    }

    /// BRAA: PC = X[n], authenticated with X[m] or SP as modifier
    fn braa(&self, BranchAuth { rn, rm }: BranchAuth) -> Flow {
        let target = self.authenticate_to_use(Key::Ia, self.x(rn), self.x_or_sp(rm));
        self.branch_to(target, Hint::Plain, self.jump_approach(rn))
    }

    /// BRAB
    fn brab(&self, BranchAuth { rn, rm }: BranchAuth) -> Flow {
        let target = self.authenticate_to_use(Key::Ib, self.x(rn), self.x_or_sp(rm));
        self.branch_to(target, Hint::Plain, self.jump_approach(rn))
    }

    /// BLRAA: X[30] = PC + 4; PC = X[n], authenticated with X[m] or SP as modifier
    fn blraa(&self, BranchAuth { rn, rm }: BranchAuth) -> Flow {
        let target = self.authenticate_to_use(Key::Ia, self.x(rn), self.x_or_sp(rm));
        let hint = self.link();
        self.branch_to(target, hint, self.call_approach())
    }

    /// BLRAB
    fn blrab(&self, BranchAuth { rn, rm }: BranchAuth) -> Flow {
        let target = self.authenticate_to_use(Key::Ib, self.x(rn), self.x_or_sp(rm));
        let hint = self.link();
        self.branch_to(target, hint, self.call_approach())
    }

    /// B: PC += imm
    fn b(&self, Branch { imm }: Branch) -> Flow {
        self.jump(imm, Hint::Plain)
    }

    /// BL: X[30] = PC + 4; PC += imm
    fn bl(&self, Branch { imm }: Branch) -> Flow {
        let hint = self.link();
        self.jump(imm, hint)
    }

    /// CBZ: if R[t] == 0 then PC += imm
    fn cbz(&self, BranchZero { sf, rt, imm }: BranchZero) -> Flow {
        let zero = self.b.konst_of(width(sf), 0);
        self.branch_if(self.r(sf, rt).eq(zero), imm)
    }

    /// CBNZ: if R[t] != 0 then PC += imm
    fn cbnz(&self, BranchZero { sf, rt, imm }: BranchZero) -> Flow {
        let zero = self.b.konst_of(width(sf), 0);
        self.branch_if(self.r(sf, rt).ne(zero), imm)
    }

    /// TBZ: if X[t]<bit> == 0 then PC += imm
    fn tbz(&self, BranchBit { bit, rt, imm }: BranchBit) -> Flow {
        let tested = self.x(rt) & self.konst(1 << bit);
        self.branch_if(tested.eq(self.konst(0)), imm)
    }

    /// TBNZ: if X[t]<bit> != 0 then PC += imm
    fn tbnz(&self, BranchBit { bit, rt, imm }: BranchBit) -> Flow {
        let tested = self.x(rt) & self.konst(1 << bit);
        self.branch_if(tested.ne(self.konst(0)), imm)
    }
}
