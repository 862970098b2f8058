//! Zifencei, Zicsr and Zicntr, Zimop and Zcmop, Zicond.

use arch::riscv64::{csr, helpers, slot};
use base::defect::{Defect, is_seeded};
use decoders::riscv64::{
    Csr, CsrImm, Extension, MopN, MopR, MopRr, R, RvZicond, RvZicsr, RvZifencei, RvZimop,
};
use ir::Val;

use super::system::Level;
use super::{Flow, Insn};

impl RvZifencei for Insn<'_> {
    /// FENCE.I (Zifencei 2.0): see [`base::CpuFrame::INTERRUPT_SYNC_CODE`].
    fn fence_i(&self) -> Flow {
        if is_seeded(Defect::FenceIKeepsCode) {
            return Flow::Next;
        }
        self.b.call_void(helpers::SYNC_CODE, &[]);
        self.look_up_next()
    }
}

/// What a CSR instruction writes.
#[derive(Clone, Copy)]
pub(super) enum Write<'b> {
    /// Nothing: CSRRS and CSRRC with x0 or 0.
    None,
    /// CSRRW
    All(Val<'b>),
    /// CSRRS
    Set(Val<'b>),
    /// CSRRC
    Clear(Val<'b>),
}

impl<'b> Write<'b> {
    pub(super) fn is_none(self) -> bool {
        matches!(self, Write::None)
    }

    pub(super) fn of(self, old: Val<'b>) -> Val<'b> {
        match self {
            Write::None => old,
            Write::All(new) => new,
            Write::Set(bits) => old | bits,
            Write::Clear(bits) => old.and_not(bits),
        }
    }
}

impl<'b> Insn<'b> {
    /// x[rd] = CSR; CSR = what `write` says. Registers that user mode has not are illegal in it.
    fn csr(&self, rd: u8, number: u16, write: Write<'b>) -> Flow {
        let has = |extension| self.extensions.contains(extension);
        match number {
            csr::FFLAGS | csr::FRM | csr::FCSR if has(Extension::F) => {
                self.floating_point_csr(rd, number, write)
            }
            _ if self.level != Level::Program => self.system_csr(rd, number, write),
            // All counters are read-only.
            0xc00..=0xcff if !write.is_none() => Flow::Undefined,
            csr::CYCLE if has(Extension::Zicntr) => self.counter(rd, helpers::READ_CYCLE),
            csr::TIME if has(Extension::Zicntr) => self.counter(rd, helpers::READ_TIME),
            csr::INSTRET if has(Extension::Zicntr) => self.counter(rd, helpers::READ_INSTRET),
            // Counters that count nothing: "may be hardwired to zero" (Zihpm).
            _ if csr::HPMCOUNTERS.contains(&number) && has(Extension::Zihpm) => {
                self.set_x(rd, self.konst(0))
            }
            _ => Flow::Undefined,
        }
    }

    fn counter(&self, rd: u8, helper: base::HelperId) -> Flow {
        self.set_x(rd, self.call(helper, &[]))
    }

    /// Chapter F, "Floating-Point Control and Status Register". A new rounding mode makes another
    /// translation of what follows.
    fn floating_point_csr(&self, rd: u8, number: u16, write: Write<'b>) -> Flow {
        if write.is_none() {
            self.unit.read()
        } else {
            self.unit.write()
        }
        let flags = self.b.slot(slot::FFLAGS);
        // An operation of its own: the helper below changes the slot.
        let frm = self.b.slot(slot::FRM) & self.konst(csr::FRM_MASK);
        let shift = self.konst(csr::FRM_SHIFT.into());
        let old = match number {
            csr::FFLAGS => flags,
            csr::FRM => frm,
            _ => frm.shl(shift) | flags,
        };
        self.set_x(rd, old);
        if write.is_none() {
            return Flow::Next;
        }
        let new = write.of(old);
        if number != csr::FRM {
            self.b.set_slot(slot::FFLAGS, new & self.konst(csr::FFLAGS_MASK));
        }
        match number {
            csr::FFLAGS => return Flow::Next,
            csr::FRM => self.b.call_void(helpers::SET_FRM, &[new]),
            _ => self.b.call_void(helpers::SET_FRM, &[new.shr_u(shift)]),
        }
        self.look_up_next()
    }
}

impl RvZicsr for Insn<'_> {
    /// CSRRW: t = CSR; CSR = x[rs1]; x[rd] = t
    fn csrrw(&self, Csr { rd, rs1, csr }: Csr) -> Flow {
        self.csr(rd, csr, Write::All(self.x(rs1)))
    }

    /// CSRRS: t = CSR; CSR = t | x[rs1]; x[rd] = t. No write if rs1 is x0.
    fn csrrs(&self, Csr { rd, rs1, csr }: Csr) -> Flow {
        self.csr(rd, csr, if rs1 == 0 { Write::None } else { Write::Set(self.x(rs1)) })
    }

    /// CSRRC: t = CSR; CSR = t & ~x[rs1]; x[rd] = t. No write if rs1 is x0.
    fn csrrc(&self, Csr { rd, rs1, csr }: Csr) -> Flow {
        self.csr(rd, csr, if rs1 == 0 { Write::None } else { Write::Clear(self.x(rs1)) })
    }

    /// CSRRWI: x[rd] = CSR; CSR = uimm
    fn csrrwi(&self, CsrImm { rd, uimm, csr }: CsrImm) -> Flow {
        self.csr(rd, csr, Write::All(self.konst(uimm.into())))
    }

    /// CSRRSI: t = CSR; CSR = t | uimm; x[rd] = t. No write if uimm is 0.
    fn csrrsi(&self, CsrImm { rd, uimm, csr }: CsrImm) -> Flow {
        let bits = self.konst(uimm.into());
        self.csr(rd, csr, if uimm == 0 { Write::None } else { Write::Set(bits) })
    }

    /// CSRRCI: t = CSR; CSR = t & ~uimm; x[rd] = t. No write if uimm is 0.
    fn csrrci(&self, CsrImm { rd, uimm, csr }: CsrImm) -> Flow {
        let bits = self.konst(uimm.into());
        self.csr(rd, csr, if uimm == 0 { Write::None } else { Write::Clear(bits) })
    }
}

impl RvZimop for Insn<'_> {
    /// MOP.R.n (Zimop 1.0): x[rd] = 0
    fn mop_r(&self, MopR { rd, .. }: MopR) -> Flow {
        self.set_x(rd, self.konst(0))
    }

    /// MOP.RR.n (Zimop 1.0): x[rd] = 0
    fn mop_rr(&self, MopRr { rd, .. }: MopRr) -> Flow {
        self.set_x(rd, self.konst(0))
    }

    /// C.MOP.n (Zcmop 1.0): writes no register.
    fn c_mop(&self, _: MopN) -> Flow {
        Flow::Next
    }
}

impl RvZicond for Insn<'_> {
    /// CZERO.EQZ (Zicond 1.0): x[rd] = x[rs2] == 0 ? 0 : x[rs1]
    fn czero_eqz(&self, R { rd, rs1, rs2 }: R) -> Flow {
        self.set_x(rd, self.x(rs2).select(self.x(rs1), self.konst(0)))
    }

    /// CZERO.NEZ (Zicond 1.0): x[rd] = x[rs2] != 0 ? 0 : x[rs1]
    fn czero_nez(&self, R { rd, rs1, rs2 }: R) -> Flow {
        self.set_x(rd, self.x(rs2).select(self.konst(0), self.x(rs1)))
    }
}
