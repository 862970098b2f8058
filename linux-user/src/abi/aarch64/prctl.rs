//! prctl(2) options of arm64 (Documentation/arch/arm64, `pointer-authentication.rst`).

use arch::aarch64::CpuModel;
use arch::aarch64::feature::Feature;
use arch::aarch64::slot::{APDAKEY_LO, APDBKEY_LO, APGAKEY_LO, APIAKEY_LO, APIBKEY_LO};
use base::{CpuFrame, RegSlot};
use syscalls::{Errno, Sysno};

use crate::host::{self, args};
use crate::syscalls::Args;

const PR_PAC_RESET_KEYS: i32 = 54;
const PR_PAC_SET_ENABLED_KEYS: i32 = 60;
const PR_PAC_GET_ENABLED_KEYS: i32 = 61;

/// The keys by their bits: instruction A and B, data A and B, generic.
const KEYS: [RegSlot; 5] = [APIAKEY_LO, APIBKEY_LO, APDAKEY_LO, APDBKEY_LO, APGAKEY_LO];
/// Every key's bit.
pub(super) const ALL_KEYS: u64 = 0x1f;
/// Those that addresses are signed with.
const ADDRESS_KEYS: u64 = 0xf;

/// Options of this architecture alone. Without SVE and SME theirs are as unknown as any other.
pub(super) fn prctl(
    cpu: &CpuModel,
    frame: &mut CpuFrame,
    args: &Args,
) -> Option<Result<u64, Errno>> {
    let option = args.int(0);
    if !matches!(option, PR_PAC_RESET_KEYS | PR_PAC_SET_ENABLED_KEYS | PR_PAC_GET_ENABLED_KEYS) {
        return None;
    }
    let rest = |from: usize| args.0[from..5].iter().all(|&arg| arg == 0);
    let (first, second) = (args.long(1), args.long(2));
    Some(match option {
        _ if !cpu.has(Feature::PAuth) => Err(Errno::EINVAL),
        PR_PAC_RESET_KEYS if rest(2) && first & !ALL_KEYS == 0 => {
            reset_keys(frame, if first == 0 { ALL_KEYS } else { first });
            Ok(0)
        }
        // No key can be switched off.
        PR_PAC_SET_ENABLED_KEYS if rest(3) && first & !ADDRESS_KEYS == 0 && second == first => {
            Ok(0)
        }
        PR_PAC_GET_ENABLED_KEYS if rest(1) => Ok(ADDRESS_KEYS),
        _ => Err(Errno::EINVAL),
    })
}

/// Gives keys new random values.
pub(super) fn reset_keys(frame: &mut CpuFrame, which: u64) {
    let chosen = KEYS.iter().enumerate().filter(|(n, _)| which >> n & 1 != 0);
    for (_, &RegSlot(low)) in chosen {
        let mut random = [0_u64; 2];
        // It does not fail for so few bytes; a host without it leaves the key as it is.
        let filled = args![host::Arg::writes(&mut random), size_of_val(&random), 0];
        if host::call(Sysno::getrandom, filled).is_ok() {
            frame.set(RegSlot(low), random[0]);
            frame.set(RegSlot(low + 1), random[1]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(frame: &mut CpuFrame, cpu: &str, args: [u64; 5]) -> Option<Result<u64, Errno>> {
        let [a, b, c, d, e] = args;
        prctl(&cpu.parse().unwrap(), frame, &Args([a, b, c, d, e, 0]))
    }

    #[test]
    fn keys_are_reset_as_asked() {
        let mut frame = CpuFrame::new();
        let key =
            |frame: &CpuFrame, slot: RegSlot| [frame.get(slot), frame.get(RegSlot(slot.0 + 1))];
        assert_eq!(call(&mut frame, "max", [54, 0b10010, 0, 0, 0]), Some(Ok(0)));
        assert_eq!(key(&frame, APIAKEY_LO), [0, 0]);
        assert_ne!(key(&frame, APIBKEY_LO), [0, 0]);
        assert_ne!(key(&frame, APGAKEY_LO), [0, 0]);
        assert_eq!(call(&mut frame, "max", [54, 0, 0, 0, 0]), Some(Ok(0)));
        assert_ne!(key(&frame, APIAKEY_LO), [0, 0]);
    }

    #[test]
    fn what_cannot_be_is_refused() {
        let mut frame = CpuFrame::new();
        let mut refused =
            |cpu, args| assert_eq!(call(&mut frame, cpu, args), Some(Err(Errno::EINVAL)));
        refused("max", [54, 0x20, 0, 0, 0]);
        refused("max", [54, 1, 1, 0, 0]);
        refused("cortex-a72", [54, 0, 0, 0, 0]);
        refused("max", [60, 1, 0, 0, 0]);
        refused("max", [61, 1, 0, 0, 0]);
        assert_eq!(call(&mut frame, "max", [60, 3, 3, 0, 0]), Some(Ok(0)));
        assert_eq!(call(&mut frame, "max", [61, 0, 0, 0, 0]), Some(Ok(15)));
        assert_eq!(call(&mut frame, "max", [51, 0, 0, 0, 0]), None, "no SVE");
    }
}
