//! Alignment checks: an address that an earlier one has found aligned need not be checked again,
//! since that one would have left the block.

use std::collections::HashMap;

use super::values::Known;
use super::walk::Walk;
use crate::block::Inst;

/// For each base, the strictest check that passed: bytes, and the offset at which they are aligned.
pub(super) type Checked = HashMap<Known, (u32, i32)>;

/// Whether a check can fail; if so, what follows it knows that it passed.
pub(super) fn needed(walk: &mut Walk<'_>, check: &Inst, base: Known) -> bool {
    let (bytes, offset) = (check.ty.bytes(), check.imm);
    let passed = match (base, walk.checked.get(&base)) {
        (Known::Const(base), _) => {
            base.wrapping_add_signed(offset.into()).is_multiple_of(bytes.into())
        }
        (_, Some(&(aligned, at))) => {
            aligned >= bytes && offset.wrapping_sub(at).cast_unsigned().is_multiple_of(bytes)
        }
        _ => bytes == 1,
    };
    if passed {
        walk.stats.checks += 1;
    } else if walk.checked.get(&base).is_none_or(|&(aligned, _)| aligned <= bytes) {
        walk.checked.insert(base, (bytes, offset));
    }
    !passed
}
