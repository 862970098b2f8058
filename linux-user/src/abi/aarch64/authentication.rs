//! Pointers that fail their authentication where that is an exception (FEAT_FPAC). Translations leave before the
//! instruction, as for a misaligned access at address 1; what it really is, the instruction says.

use base::{CpuFrame, GuestVirt};
use runtime::Exit;

use crate::user::UserPtr;

/// In the exception's syndrome: a key B.
const KEY_B: u64 = 1;
/// In the exception's syndrome: a key for data.
const DATA: u64 = 2;

/// Whether an exit of the CPU is a failed authentication.
pub(super) fn has_failed(frame: &CpuFrame, exit: &Exit) -> bool {
    const LEFT: Exit = Exit::Misaligned(GuestVirt(1));
    *exit == LEFT && frame.pc != 1 && syndrome_at(GuestVirt(frame.pc)).is_some()
}

/// The ISS of the exception by the instruction at `pc` (DDI 0487, ESR_EL1); `None` if it authenticates nothing.
pub(super) fn syndrome_at(pc: GuestVirt) -> Option<u64> {
    syndrome(UserPtr::<u32>::new(pc).read().ok()?)
}

fn syndrome(word: u32) -> Option<u64> {
    let bit = |at: u32, meaning: u64| if word >> at & 1 != 0 { meaning } else { 0 };
    // AUTIA1716 and its like, in the space of hints.
    if word & 0xffff_fd9f == 0xd503_219f {
        return Some(bit(6, KEY_B));
    }
    // AUTIA, AUTIZA and their like.
    if word & 0xffff_d000 == 0xdac1_1000 {
        return Some(bit(10, KEY_B) | bit(11, DATA));
    }
    // RETAA; BRAA, BLRAA and their like.
    if word & 0xffff_fbff == 0xd65f_0bff || word & 0xfedf_f800 == 0xd61f_0800 {
        return Some(bit(10, KEY_B));
    }
    // LDRAA.
    let is_load = word & 0xff20_0400 == 0xf820_0400;
    is_load.then_some(DATA | bit(23, KEY_B))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_syndrome_names_the_key() {
        let words = [
            (0xd503_23bf, Some(0)),
            (0xd503_23ff, Some(1)),
            (0xd503_219f, Some(0)),
            (0xd503_21df, Some(1)),
            (0xdac1_1041, Some(0)),
            (0xdac1_1441, Some(1)),
            (0xdac1_1841, Some(2)),
            (0xdac1_3fe1, Some(3)),
            (0xd65f_0bff, Some(0)),
            (0xd65f_0fff, Some(1)),
            (0xd71f_0822, Some(0)),
            (0xd63f_0c5f, Some(1)),
            (0xf820_0420, Some(2)),
            (0xf8a0_0c20, Some(3)),
            // paciasp, pacia, xpaci, ret, ldr (register), ldraa with a bit that it does not have.
            (0xd503_233f, None),
            (0xdac1_0041, None),
            (0xdac1_43e1, None),
            (0xd65f_03c0, None),
            (0xf862_6820, None),
            (0xb820_0420, None),
        ];
        for (word, expected) in words {
            assert_eq!(syndrome(word), expected, "{word:#x}");
        }
    }
}
