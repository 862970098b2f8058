//! The slow path of floating point: called by compiled code where the host's result may not stand,
//! through [`CpuFrame::fp_slow`].

use base::CpuFrame;
use ir::types::FpRound;
use ir::{FpOp, FpRules, Opcode, Type};

/// Packs an operation and its guest's rules into the argument of [`evaluate`].
pub(crate) fn pack(op: FpOp, rules: FpRules) -> u64 {
    let FpRules::RiscV = rules;
    op.op as u64 | (op.ty as u64) << 8 | (op.round as u64) << 16 | (op.other as u64) << 24
}

fn unpack(packed: u64) -> (FpOp, FpRules) {
    let byte = |n: u32| (packed >> (8 * n)) as u8 as usize;
    let op = FpOp {
        op: Opcode::ALL[byte(0)],
        ty: Type::ALL[byte(1)],
        round: FpRound::ALL[byte(2)],
        other: Type::ALL[byte(3)],
    };
    (op, FpRules::RiscV)
}

/// Computes a packed operation exactly. The flags accumulated so far come in and go out through
/// [`CpuFrame::fp_scratch`].
///
/// # Safety
/// `frame` is the frame of the calling CPU.
#[expect(unsafe_code, reason = "compiled code passes its frame as a pointer")]
pub unsafe extern "C" fn evaluate(
    frame: *mut CpuFrame,
    packed: u64,
    a: u64,
    b: u64,
    c: u64,
) -> u64 {
    let (op, rules) = unpack(packed);
    // SAFETY: by this function's contract; nobody else uses the frame while its CPU runs.
    let flags = unsafe { &mut (*frame).fp_scratch };
    op.evaluate(rules, [a, b, c], flags)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operations_survive_packing() {
        for &op in Opcode::ALL {
            for round in FpRound::ALL {
                let op = FpOp { op, ty: Type::F32, round, other: Type::I64 };
                assert_eq!(unpack(pack(op, FpRules::RiscV)).0, op);
            }
        }
    }
}
