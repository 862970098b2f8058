//! System registers that EL0 may use under Linux (Arm ARM, C5.2; D24).

use arch::aarch64::id::SysReg;
use arch::aarch64::{helpers, slot};
use base::RegSlot;
use decoders::aarch64::Extension;
use ir::Val;
use ir::ops::SATURATED;

use super::{Flow, Insn};

const RNDR: SysReg = SysReg::new(3, 3, 2, 4, 0);
const RNDRRS: SysReg = SysReg::new(3, 3, 2, 4, 1);
const NZCV: SysReg = SysReg::new(3, 3, 4, 2, 0);
const DIT: SysReg = SysReg::new(3, 3, 4, 2, 5);
const SSBS: SysReg = SysReg::new(3, 3, 4, 2, 6);
const TCO: SysReg = SysReg::new(3, 3, 4, 2, 7);
const FPCR: SysReg = SysReg::new(3, 3, 4, 4, 0);
const FPSR: SysReg = SysReg::new(3, 3, 4, 4, 1);
const TPIDR_EL0: SysReg = SysReg::new(3, 3, 13, 0, 2);
const TPIDRRO_EL0: SysReg = SysReg::new(3, 3, 13, 0, 3);
const CNTVCT_EL0: SysReg = SysReg::new(3, 3, 14, 0, 2);
const CNTVCTSS_EL0: SysReg = SysReg::new(3, 3, 14, 0, 6);

/// The registers that show one bit of PSTATE: the feature, its slot, and where the bit stands.
const BITS: [(SysReg, Extension, RegSlot, u64); 3] = [
    (DIT, Extension::DIT, slot::DIT, 24),
    (SSBS, Extension::SSBS2, slot::SSBS, 12),
    (TCO, Extension::MTE, slot::TCO, 25),
];

/// Bits of [`base::float::Flags`] and of FPSR that mean the same.
const FPSR_FLAGS: [(u64, u64); 6] = [(0, 4), (1, 3), (2, 2), (3, 1), (4, 0), (5, 7)];
/// FPSR.QC, and that of the flags' slot.
const QC: u64 = 27;
const SATURATED_BIT: u64 = SATURATED.trailing_zeros() as u64;

impl<'b> Insn<'b> {
    /// A bit of a value, at another place.
    fn moved_bit(&self, value: Val<'b>, from: u64, to: u64) -> Val<'b> {
        let bit = value & self.konst(1 << from);
        match from.cmp(&to) {
            std::cmp::Ordering::Less => bit.shl(self.konst(to - from)),
            std::cmp::Ordering::Equal => bit,
            std::cmp::Ordering::Greater => bit.shr_u(self.konst(from - to)),
        }
    }

    fn fpsr(&self) -> Val<'b> {
        let flags = self.b.slot(slot::FP_FLAGS);
        let saturated = self.moved_bit(flags, SATURATED_BIT, QC);
        FPSR_FLAGS
            .into_iter()
            .fold(saturated, |all, (from, to)| all | self.moved_bit(flags, from, to))
    }

    fn set_fpsr(&self, value: Val<'b>) -> Flow {
        let flags = FPSR_FLAGS
            .into_iter()
            .fold(self.moved_bit(value, QC, SATURATED_BIT), |all, (to, from)| {
                all | self.moved_bit(value, from, to)
            });
        self.b.set_slot(slot::FP_FLAGS, flags);
        Flow::Next
    }

    /// MRS: X[t] = the register
    pub(super) fn read_system_register(&self, register: u16, rt: u8) -> Flow {
        let register = SysReg(register);
        let has = |extension| self.frontend.extensions.contains(extension);
        if let Some((.., place, bit)) = bit_of(register, has) {
            return self.set_x(rt, self.b.slot(place).shl(self.konst(bit)));
        }
        let value = match register {
            NZCV => self.nzcv(),
            FPCR if has(Extension::FP) => self.b.slot(slot::FPCR),
            FPSR if has(Extension::FP) => self.fpsr(),
            TPIDR_EL0 => self.b.slot(slot::TPIDR_EL0),
            TPIDRRO_EL0 => self.b.slot(slot::TPIDRRO_EL0),
            CNTVCT_EL0 => self.call(helpers::COUNTER, &[]),
            CNTVCTSS_EL0 if has(Extension::ECV) => self.call(helpers::COUNTER, &[]),
            RNDR | RNDRRS if has(Extension::RNG) => self.call(helpers::RNDR, &[]),
            _ => match self.frontend.cpu.system_register(register) {
                Some(value) => self.konst(value),
                None => return Flow::Undefined,
            },
        };
        self.set_x(rt, value)
    }

    /// MSR (register): the register = X[t]
    pub(super) fn write_system_register(&self, register: u16, rt: u8) -> Flow {
        let (register, value) = (SysReg(register), self.x(rt));
        let has = |extension| self.frontend.extensions.contains(extension);
        if let Some((.., place, bit)) = bit_of(register, has) {
            self.b.set_slot(place, self.moved_bit(value, bit, 0));
            return Flow::Next;
        }
        match register {
            NZCV => self.set_nzcv(value & self.konst(0xf000_0000)),
            FPSR if has(Extension::FP) => self.set_fpsr(value),
            TPIDR_EL0 => {
                self.b.set_slot(slot::TPIDR_EL0, value);
                Flow::Next
            }
            // It makes another translation of what follows.
            FPCR if has(Extension::FP) => {
                self.b.call_void(helpers::SET_FPCR, &[value]);
                self.look_up_next()
            }
            _ => Flow::Undefined,
        }
    }
}

/// The row of [`BITS`], if the CPU has the register.
fn bit_of(
    register: SysReg,
    has: impl Fn(Extension) -> bool,
) -> Option<(SysReg, Extension, RegSlot, u64)> {
    BITS.into_iter().find(|&(known, extension, ..)| known == register && has(extension))
}
