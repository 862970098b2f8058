//! What processors do in their own ways where the manuals leave it open or do not say: Ferry does as Intel's cores, to which
//! the cases hold, and hosts of others differ.

use iced_x86::{Code, CpuidFeature, Instruction, Mnemonic, OpKind};

use crate::guest::Holds;
use crate::guest::x86_64::{host_lacks, instructions};

/// What of the cases' results for some code holds on this host, too.
pub(crate) fn holds_here(code: &[u8]) -> Holds {
    if base::host::is_intel() {
        return Holds { by_host: host_lacks(code).is_none(), ..Holds::EVERYWHERE };
    }
    let any = |is: fn(&Instruction) -> bool| instructions(code).any(|insn| is(&insn));
    let by_tiers = !any(is_computed_by_host);
    let by_host = by_tiers && !any(is_choice) && host_lacks(code).is_none();
    Holds { by_tiers, by_host, flags: false }
}

/// Whether Ferry has the host compute it: estimates, of which the manual gives the error only, and transcendental functions.
fn is_computed_by_host(insn: &Instruction) -> bool {
    use Mnemonic as M;
    matches!(
        insn.mnemonic(),
        M::Rcpps
            | M::Rcpss
            | M::Rsqrtps
            | M::Rsqrtss
            | M::Vrcpps
            | M::Vrcpss
            | M::Vrsqrtps
            | M::Vrsqrtss
            | M::F2xm1
            | M::Fyl2x
            | M::Fyl2xp1
            | M::Fsin
            | M::Fcos
            | M::Fsincos
            | M::Fptan
            | M::Fpatan
    )
}

/// Whether its outcome may be another on a host that is not one of Intel's, be it only where it faults.
pub(super) fn is_choice(insn: &Instruction) -> bool {
    use Mnemonic as M;
    let stores = insn.op0_kind() == OpKind::Memory;
    let repeats = insn.has_rep_prefix() || insn.has_repne_prefix();
    match insn.mnemonic() {
        // Which NaN a sum of several is.
        M::Dpps | M::Dppd | M::Vdpps | M::Vdppd => true,
        // Which exceptions a tiny number raises.
        M::Vcvtps2ph => true,
        // Whether memory is looked at before the operand.
        M::Fst | M::Fstp | M::Fist | M::Fistp | M::Fisttp | M::Fbstp => stores,
        // Whether the return address is stored before the target is looked at.
        M::Call => insn.is_call_near_indirect(),
        // AMD's processors have MXCSR.MM, in a bit that is reserved in others.
        M::Ldmxcsr | M::Vldmxcsr => true,
        M::Fxrstor | M::Fxrstor64 | M::Xrstor | M::Xrstor64 => true,
        // OF after a rotation by the width and 1.
        M::Rcl | M::Rcr => true,
        M::Shld | M::Shrd => may_shift_too_far(insn),
        // AMD's processors do not mind where these operands lie.
        _ if insn.cpuid_features().contains(&CpuidFeature::SHA) => true,
        // Whether 16 bits are read from memory or, as AMD's processors do, 32.
        M::Movsxd => insn.op0_register().size() == 2,
        // Whether memory is looked at where the mask chooses no byte.
        M::Maskmovq | M::Maskmovdqu | M::Vmaskmovdqu => true,
        // Whether elements that were not loaded are told in the mask.
        _ if insn.is_vsib() => true,
        // Flags, and the upper halves of registers, where a repetition stops at a fault.
        _ if insn.is_string_instruction() => repeats,
        // A form of PREFETCH to AMD's processors, and not one for registers.
        _ => matches!(
            insn.code(),
            Code::Reservednop_rm16_r16_0F0D
                | Code::Reservednop_rm32_r32_0F0D
                | Code::Reservednop_rm64_r64_0F0D
        ),
    }
}

/// SDM vol. 2, SHLD, SHRD: by more than the 16 bits of an operand, all is undefined. How much is in CL is not known.
fn may_shift_too_far(insn: &Instruction) -> bool {
    let count = match insn.op2_kind() {
        OpKind::Immediate8 => insn.immediate8() & 31,
        _ => 31,
    };
    insn.op1_register().size() == 2 && count > 16
}
