//! What saves and restores the state of vectors and the FPU (SDM vol. 1, 5.4 and 5.14), and CPUID, which says what there is of
//! it.

use arch::x86_64::feature::Feature;
use arch::x86_64::{helpers, slot};
use base::HelperId;
use decoders::x86_64::{Code, Mnemonic};
use ir::Val;

use super::data::{RAX, RCX, RDX};
use super::table::Semantics;
use super::{Flow, Insn};

/// What an encoding means.
pub(super) fn table(code: Code) -> Option<Semantics> {
    use Mnemonic as M;
    Some(match code.mnemonic() {
        M::Cpuid => |i| i.cpuid(),
        M::Xgetbv => |i| i.xgetbv(),
        M::Fxsave => |i| i.fx(helpers::FXSAVE, 32),
        M::Fxsave64 => |i| i.fx(helpers::FXSAVE, 64),
        M::Fxrstor => |i| i.fxrstor(32),
        M::Fxrstor64 => |i| i.fxrstor(64),
        M::Xsave => |i| i.xsave(helpers::XSAVE, 32),
        M::Xsave64 => |i| i.xsave(helpers::XSAVE, 64),
        M::Xsaveopt => |i| i.xsave(helpers::XSAVEOPT, 32),
        M::Xsaveopt64 => |i| i.xsave(helpers::XSAVEOPT, 64),
        M::Xsavec => |i| i.xsave(helpers::XSAVEC, 32),
        M::Xsavec64 => |i| i.xsave(helpers::XSAVEC, 64),
        M::Xrstor => |i| i.xrstor(32),
        M::Xrstor64 => |i| i.xrstor(64),
        // XSAVES and XRSTORS are the kernel's.
        M::Xsaves | M::Xsaves64 | M::Xrstors | M::Xrstors64 => |_| Flow::Undefined,
        _ => return None,
    })
}

impl<'b> Insn<'b> {
    fn cpuid(&self) -> Flow {
        let model = self.frontend.cpu.to_words().map(|word| self.konst(word));
        self.b.call_void(helpers::CPUID, &model);
        Flow::Next
    }

    /// XGETBV: #GP if there is no such register.
    fn xgetbv(&self) -> Flow {
        let cpu = &self.frontend.cpu;
        let last = u64::from(cpu.has(Feature::XGETBV1));
        let register = self.gpr(RCX).low32().zext();
        self.raise_if(self.konst(last).lt_u(register));
        let value = self.call(helpers::XGETBV, &[self.konst(cpu.xcr0())]);
        self.b.set_slot(slot::gpr(RAX), value.low32().zext());
        self.b.set_slot(slot::gpr(RDX), value.shr_u(self.konst(32)));
        Flow::Next
    }

    /// The operand's address: #GP if it is not a multiple of so many bytes.
    fn area(&self, alignment: u64) -> Val<'b> {
        let address = self.linear(self.address());
        self.raise_if(address & self.konst(alignment - 1));
        address
    }

    fn fx(&self, helper: HelperId, bits: u64) -> Flow {
        self.b.call_void(helper, &[self.area(16), self.konst(bits)]);
        Flow::Next
    }

    /// EDX:EAX
    fn mask(&self) -> Val<'b> {
        let high = self.gpr(RDX).shl(self.konst(32));
        high | self.gpr(RAX).low32().zext()
    }

    fn xsave(&self, helper: HelperId, bits: u64) -> Flow {
        let xcr0 = self.konst(self.frontend.cpu.xcr0());
        let arguments = [self.area(64), self.konst(bits), self.mask(), xcr0];
        self.b.call_void(helper, &arguments);
        Flow::Next
    }

    /// FXRSTOR: arithmetic may change.
    fn fxrstor(&self, bits: u64) -> Flow {
        let _ = self.fx(helpers::FXRSTOR, bits);
        self.look_up_next()
    }

    /// XRSTOR: arithmetic may change.
    fn xrstor(&self, bits: u64) -> Flow {
        let cpu = &self.frontend.cpu;
        let knows_compacted = u64::from(cpu.has(Feature::XSAVEC)) << 63;
        let xcr0 = self.konst(cpu.xcr0() | knows_compacted);
        let arguments = [self.area(64), self.konst(bits), self.mask(), xcr0];
        self.b.call_void(helpers::XRSTOR, &arguments);
        self.look_up_next()
    }
}
