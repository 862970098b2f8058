//! Addresses with a tag in the top byte, which the CPU ignores (TCR_EL1.TBI0). Most programs have none; so
//! translations use addresses as they are until one faults that has.

use arch::aarch64::key::TAGGED;
use arch::aarch64::slot;
use base::{CpuFrame, GuestVirt};
use runtime::Exit;

use crate::signal::{SEGV_ACCERR, SEGV_MAPERR};
use crate::window::without_tag;

/// Bits of a tag.
pub(super) const BITS: u32 = 8;

/// Prepares a CPU to execute the instruction that faulted again, if a tag may be why it did.
pub(super) fn retry(frame: &mut CpuFrame, fault: &Exit) -> bool {
    match fault {
        // The host does not say where an address is that it cannot translate.
        Exit::DataFault(data) if frame.key_flags & TAGGED == 0 => {
            let is_paging = matches!(data.code, SEGV_MAPERR | SEGV_ACCERR);
            let is_tagged = !is_paging || without_tag(data.addr, BITS) != data.addr;
            if data.signal == libc::SIGSEGV && is_tagged {
                frame.key_flags |= TAGGED;
                return true;
            }
            false
        }
        // A branch leaves the tag behind.
        Exit::FetchFault(fetch) if fetch.addr.0 == frame.pc => {
            let target = without_tag(GuestVirt(frame.pc), BITS).0;
            std::mem::replace(&mut frame.pc, target) != target
        }
        _ => false,
    }
}

/// An exit without the tag of the address that is not aligned, for the kernel tells programs of none. The program
/// counter and the stack pointer are what they are.
pub(super) fn untold(frame: &CpuFrame, exit: Exit) -> Exit {
    match exit {
        Exit::Misaligned(addr) if addr.0 != frame.pc && addr.0 != frame.get(slot::SP) => {
            Exit::Misaligned(without_tag(addr, BITS))
        }
        exit => exit,
    }
}

#[cfg(test)]
mod tests {
    use base::sys::fault::HostFault;
    use runtime::{FetchFault, FetchFaultCause};

    use super::*;

    #[test]
    fn accesses_are_repeated_once_for_a_tag() {
        let data = |addr, code| {
            let addr = GuestVirt(addr);
            Exit::DataFault(HostFault { addr, signal: libc::SIGSEGV, code, write: false })
        };
        let mut frame = CpuFrame::new();
        assert!(!retry(&mut frame, &data(0x1238, SEGV_MAPERR)));
        assert!(retry(&mut frame, &data(0, 0x80)), "nobody knows where");
        assert_eq!(frame.key_flags, TAGGED);
        assert!(!retry(&mut frame, &data(0, 0x80)));
        frame.key_flags = 0;
        assert!(retry(&mut frame, &data(0xff00_0000_0000_1238, SEGV_MAPERR)));
        frame.key_flags = 0;
        assert!(!retry(&mut frame, &data(0xffff_0000_0000_1238, SEGV_MAPERR)), "no program's");
    }

    #[test]
    fn addresses_that_are_not_aligned_are_told_without_tags() {
        let mut frame = CpuFrame::new();
        let told = |frame: &CpuFrame, addr| match untold(frame, Exit::Misaligned(GuestVirt(addr))) {
            Exit::Misaligned(addr) => addr.0,
            _ => 0,
        };
        assert_eq!(told(&frame, 0x7f00_0000_0040_000c), 0x40_000c);
        assert_eq!(told(&frame, 0xffff_0000_0040_000c), 0xffff_0000_0040_000c, "no program's");
        frame.pc = 0x5a00_0000_0040_0002;
        assert_eq!(told(&frame, frame.pc), frame.pc);
    }

    #[test]
    fn branches_drop_tags() {
        let fetch = |addr| {
            let cause = FetchFaultCause::Unmapped;
            Exit::FetchFault(FetchFault { addr: GuestVirt(addr), cause })
        };
        let mut frame = CpuFrame::new();
        frame.pc = 0x4200_0000_0040_0000;
        assert!(retry(&mut frame, &fetch(0x4200_0000_0040_0000)));
        assert_eq!(frame.pc, 0x40_0000);
        assert!(!retry(&mut frame, &fetch(0x40_0000)));
    }
}
