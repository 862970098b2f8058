//! The slow path of floating point: called by compiled code where the host's result may not stand,
//! through [`CpuFrame::fp_slow`].

#![expect(unsafe_code, reason = "hand-made glue; compiled code passes its frame as a pointer")]

use base::{CpuFrame, RegSlot};
use ir::{FpOp, FpRules, Guest};

use crate::preserve::preserving_all_registers;

/// Packs an operation and its guest's rules, and the slot of its flags, into the second argument of
/// [`call`].
pub(crate) fn pack(op: FpOp, guest: &Guest) -> u64 {
    op.pack(guest.fp) | u64::from(guest.fp_flags.0) << FpOp::PACKED_BITS
}

fn unpack(packed: u64) -> (FpOp, FpRules, RegSlot) {
    let (op, rules) = FpOp::unpack(packed);
    (op, rules, RegSlot((packed >> FpOp::PACKED_BITS) as u16))
}

/// Computes a packed operation exactly, floating point or saturating: adds to the flags in the frame,
/// and leaves the result in [`CpuFrame::fp_result`]. Vectors are both taken from and left in
/// [`CpuFrame::fp_wide`]. Takes the frame, the packed operation and three operands as System V
/// does, but changes no register.
///
/// # Safety
/// The frame must be that of the CPU which runs on this thread, and the operation one that
/// `pack` made: only generated code calls this.
#[unsafe(naked)]
pub unsafe extern "C" fn call() {
    preserving_all_registers!(evaluate)
}

/// # Safety
/// `frame` is the frame of the calling CPU.
unsafe extern "C" fn evaluate(frame: *mut CpuFrame, packed: u64, a: u64, b: u64, c: u64) {
    let (op, rules, flags) = unpack(packed);
    // SAFETY: by this function's contract; nobody else uses the frame while its CPU runs.
    let frame = unsafe { &mut *frame };
    let flags = &mut frame.slots[flags.index()];
    if !op.ty.is_vector() {
        frame.fp_result = op.evaluate(rules, [a, b, c], flags);
        return;
    }
    let [x, y, z] = frame.fp_wide.map(|[low, high]| u128::from(high) << 64 | u128::from(low));
    let result = op.evaluate_wide(rules, [x, y, z], flags);
    frame.fp_wide[0] = [result as u64, (result >> 64) as u64];
}

#[cfg(test)]
mod tests {
    use ir::types::FpRound;
    use ir::{FpMode, Opcode, Type};

    use super::*;

    #[test]
    fn operations_survive_packing() {
        for &op in Opcode::ALL {
            for round in FpRound::ALL {
                let (mode, other) = (FpMode::FLUSH, Type::I64);
                let op = FpOp { op, ty: Type::F32, round, mode, other };
                let (unpacked, _, flags) = unpack(pack(op, &ir::testing::GUEST));
                assert_eq!((unpacked, flags), (op, ir::testing::GUEST.fp_flags));
            }
        }
    }
}
