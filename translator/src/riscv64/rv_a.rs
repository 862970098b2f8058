//! A: Zalrsc and Zaamo, version 2.1; Zawrs, Zacas, Zabha, version 1.0.
//!
//! All accesses must be naturally aligned; a misaligned one traps. `aq` and `rl` of what writes
//! need nothing: such an operation is sequentially consistent in IR.

use arch::riscv64::{helpers, slot};
use base::defect::{Defect, is_seeded};
use decoders::riscv64::{Atomic, Reserve, RvA};
use ir::{MemOrder, Opcode, Type, Val};

use super::system::Level;
use super::{Flow, Insn};

impl<'b> Insn<'b> {
    /// The reservation is the address and what was read there. SC then succeeds if the value is
    /// still there, even if it changed and changed back, or was stored again by another hart. There the
    /// manual demands that SC fail ("Load-Reserved/Store-Conditional Instructions"): this deviates
    /// from it, as other emulators do, for the sake of plain stores, which would have to look for
    /// reservations. A program notices only if it takes SC's success to mean that no store has come.
    ///
    /// The address is a virtual one, so SC by another address fails though it mean the same bytes, which it
    /// may. In a whole machine the reservation is given up by whatever may change where it leads.
    fn load_reserved(&self, ty: Type, Reserve { rd, rs1, aq, rl }: Reserve) -> Flow {
        let order = match (aq, rl) {
            (false, false) => MemOrder::Plain,
            (true, false) => MemOrder::Acquire,
            (_, true) => MemOrder::SeqCst,
        };
        let addr = self.x(rs1);
        self.b.align_check(ty, addr);
        let value = self.b.load_s(ty, addr, 0, order);
        self.b.set_slot(slot::RESERVATION_ADDR, self.reservation(ty, addr));
        self.b.set_slot(slot::RESERVATION_VALUE, value);
        self.set_x(rd, value)
    }

    /// An aligned address with the size of what is reserved there: an SC of another size fails, for of the
    /// bytes beyond LR's nothing is known.
    fn reservation(&self, ty: Type, addr: Val<'b>) -> Val<'b> {
        if ty == Type::I64 { addr } else { addr | self.konst(1) }
    }

    /// Without a branch: a compare-and-swap of the reserved value in any case, which stores that
    /// same value again unless the address is the reserved one. So a failing SC still faults where
    /// a store would.
    fn store_conditional(&self, ty: Type, Atomic { rd, rs1, rs2, .. }: Atomic) -> Flow {
        let addr = self.x(rs1);
        self.b.align_check(ty, addr);
        let expected = self.b.slot(slot::RESERVATION_VALUE);
        let reserved = self.reservation(ty, addr).eq(self.b.slot(slot::RESERVATION_ADDR));
        let new = reserved.select(self.x(rs2), expected);
        let old = self.b.atomic_cas(ty, addr, expected.at(ty), new.at(ty));
        let success = reserved & old.eq(expected.at(ty));
        self.b.set_slot(slot::RESERVATION_ADDR, self.konst(slot::NO_RESERVATION));
        self.set_x(rd, success ^ self.konst(1))
    }

    fn amo(&self, ty: Type, op: Opcode, Atomic { rd, rs1, rs2, .. }: Atomic) -> Flow {
        let op = match op {
            Opcode::AtomicMaxS if is_seeded(Defect::AmomaxIsUnsigned) => Opcode::AtomicMaxU,
            op => op,
        };
        if ty != Type::I8 {
            self.b.align_check(ty, self.x(rs1));
        }
        let old = self.b.atomic(op, ty, self.x(rs1), self.x(rs2).at(ty));
        self.set_x(rd, old.sext())
    }

    fn amocas(&self, ty: Type, Atomic { rd, rs1, rs2, .. }: Atomic) -> Flow {
        if ty != Type::I8 {
            self.b.align_check(ty, self.x(rs1));
        }
        let (expected, new) = (self.x(rd).at(ty), self.x(rs2).at(ty));
        let old = self.b.atomic_cas(ty, self.x(rs1), expected, new);
        self.set_x(rd, old.sext())
    }
}

/// A method for each AMO: its name, the access's type, IR's operation.
macro_rules! amos {
    ($($(#[$doc:meta])* $name:ident = $ty:ident $op:ident;)*) => {
        $($(#[$doc])*
        fn $name(&self, args: Atomic) -> Flow {
            self.amo(Type::$ty, Opcode::$op, args)
        })*
    };
}

impl RvA for Insn<'_> {
    /// LR.W (Zalrsc): x[rd] = sext(M[x[rs1]][31:0]); registers a reservation
    fn lr_w(&self, args: Reserve) -> Flow {
        self.load_reserved(Type::I32, args)
    }

    /// SC.W (Zalrsc): if the reservation stands M[x[rs1]] = x[rs2][31:0], x[rd] = 0 else x[rd] = 1
    fn sc_w(&self, args: Atomic) -> Flow {
        self.store_conditional(Type::I32, args)
    }

    /// LR.D (Zalrsc): x[rd] = M[x[rs1]]; registers a reservation
    fn lr_d(&self, args: Reserve) -> Flow {
        self.load_reserved(Type::I64, args)
    }

    /// SC.D (Zalrsc): if the reservation stands M[x[rs1]] = x[rs2], x[rd] = 0 else x[rd] = 1
    fn sc_d(&self, args: Atomic) -> Flow {
        self.store_conditional(Type::I64, args)
    }

    amos! {
        /// AMOSWAP.W (Zaamo): t = M[x[rs1]]; M[x[rs1]] = x[rs2]; x[rd] = sext(t)
        amoswap_w = I32 AtomicSwap;
        /// AMOADD.W (Zaamo): M = M + x[rs2]
        amoadd_w = I32 AtomicAdd;
        /// AMOXOR.W (Zaamo): M = M ^ x[rs2]
        amoxor_w = I32 AtomicXor;
        /// AMOAND.W (Zaamo): M = M & x[rs2]
        amoand_w = I32 AtomicAnd;
        /// AMOOR.W (Zaamo): M = M | x[rs2]
        amoor_w = I32 AtomicOr;
        /// AMOMIN.W (Zaamo): M = min_s(M, x[rs2])
        amomin_w = I32 AtomicMinS;
        /// AMOMAX.W (Zaamo): M = max_s(M, x[rs2])
        amomax_w = I32 AtomicMaxS;
        /// AMOMINU.W (Zaamo): M = min_u(M, x[rs2])
        amominu_w = I32 AtomicMinU;
        /// AMOMAXU.W (Zaamo): M = max_u(M, x[rs2])
        amomaxu_w = I32 AtomicMaxU;
        /// AMOSWAP.D (Zaamo, RV64)
        amoswap_d = I64 AtomicSwap;
        /// AMOADD.D (Zaamo, RV64)
        amoadd_d = I64 AtomicAdd;
        /// AMOXOR.D (Zaamo, RV64)
        amoxor_d = I64 AtomicXor;
        /// AMOAND.D (Zaamo, RV64)
        amoand_d = I64 AtomicAnd;
        /// AMOOR.D (Zaamo, RV64)
        amoor_d = I64 AtomicOr;
        /// AMOMIN.D (Zaamo, RV64)
        amomin_d = I64 AtomicMinS;
        /// AMOMAX.D (Zaamo, RV64)
        amomax_d = I64 AtomicMaxS;
        /// AMOMINU.D (Zaamo, RV64)
        amominu_d = I64 AtomicMinU;
        /// AMOMAXU.D (Zaamo, RV64)
        amomaxu_d = I64 AtomicMaxU;
    }

    /// WRS.NTO (Zawrs): stalls while the reservation stands; may end for any reason
    fn wrs_nto(&self) -> Flow {
        if self.level != Level::Program {
            // mstatus.TW may forbid it.
            return Flow::System;
        }
        self.b.call_void(helpers::YIELD, &[]);
        Flow::Next
    }

    /// WRS.STO (Zawrs): the same for a short time
    fn wrs_sto(&self) -> Flow {
        self.b.call_void(helpers::YIELD, &[]);
        Flow::Next
    }

    /// AMOCAS.W (Zacas): t = M[x[rs1]]; if t == x[rd][31:0] then M = x[rs2][31:0]; x[rd] = sext(t)
    fn amocas_w(&self, args: Atomic) -> Flow {
        self.amocas(Type::I32, args)
    }

    /// AMOCAS.D (Zacas, RV64): t = M[x[rs1]]; if t == x[rd] then M = x[rs2]; x[rd] = t
    fn amocas_d(&self, args: Atomic) -> Flow {
        self.amocas(Type::I64, args)
    }

    /// AMOCAS.Q (Zacas, RV64): as AMOCAS.D with the pairs x[rd+1]:x[rd] and x[rs2+1]:x[rs2]; the
    /// pair of x0 is 0
    fn amocas_q(&self, Atomic { rd, rs1, rs2, .. }: Atomic) -> Flow {
        let addr = self.x(rs1);
        // Bit 3 joins the bits that the check of a doubleword looks at.
        self.b.align_check(Type::I64, addr | addr.shr_u(self.konst(3)) & self.konst(1));
        let (rd, rs2) = (self.konst(rd.into()), self.konst(rs2.into()));
        self.b.call_void(helpers::AMOCAS_Q, &[addr, rd, rs2]);
        Flow::Next
    }

    amos! {
        /// AMOSWAP.B (Zabha): t = M[x[rs1]]; M[x[rs1]] = x[rs2]; x[rd] = sext(t)
        amoswap_b = I8 AtomicSwap;
        /// AMOADD.B (Zabha)
        amoadd_b = I8 AtomicAdd;
        /// AMOXOR.B (Zabha)
        amoxor_b = I8 AtomicXor;
        /// AMOAND.B (Zabha)
        amoand_b = I8 AtomicAnd;
        /// AMOOR.B (Zabha)
        amoor_b = I8 AtomicOr;
        /// AMOMIN.B (Zabha)
        amomin_b = I8 AtomicMinS;
        /// AMOMAX.B (Zabha)
        amomax_b = I8 AtomicMaxS;
        /// AMOMINU.B (Zabha)
        amominu_b = I8 AtomicMinU;
        /// AMOMAXU.B (Zabha)
        amomaxu_b = I8 AtomicMaxU;
        /// AMOSWAP.H (Zabha)
        amoswap_h = I16 AtomicSwap;
        /// AMOADD.H (Zabha)
        amoadd_h = I16 AtomicAdd;
        /// AMOXOR.H (Zabha)
        amoxor_h = I16 AtomicXor;
        /// AMOAND.H (Zabha)
        amoand_h = I16 AtomicAnd;
        /// AMOOR.H (Zabha)
        amoor_h = I16 AtomicOr;
        /// AMOMIN.H (Zabha)
        amomin_h = I16 AtomicMinS;
        /// AMOMAX.H (Zabha)
        amomax_h = I16 AtomicMaxS;
        /// AMOMINU.H (Zabha)
        amominu_h = I16 AtomicMinU;
        /// AMOMAXU.H (Zabha)
        amomaxu_h = I16 AtomicMaxU;
    }

    /// AMOCAS.B (Zabha and Zacas)
    fn amocas_b(&self, args: Atomic) -> Flow {
        self.amocas(Type::I8, args)
    }

    /// AMOCAS.H (Zabha and Zacas)
    fn amocas_h(&self, args: Atomic) -> Flow {
        self.amocas(Type::I16, args)
    }
}
