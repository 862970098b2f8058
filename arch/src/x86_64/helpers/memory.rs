//! Guest memory as x86-64's helpers access it: see [`guarded`].

use base::GuestVirt;
use base::sys::{access as unobserved, fault};

use super::FrameRef;
use super::gather::can_store;
use crate::access;
use crate::guarded::{self, Noted};

/// An address that is not canonical: an access there is a general-protection fault.
const NOT_CANONICAL: GuestVirt = GuestVirt(1 << 63);

/// Notes a general-protection fault.
pub(super) fn general_protection(frame: &mut FrameRef) -> Noted {
    // By the access that has it, so that all is known of the fault that there is to know.
    let _ = access::load8(NOT_CANONICAL);
    frame.set_fault(NOT_CANONICAL.0);
    Noted
}

/// Writes bytes, at once where an access has so many. If some of them cannot be written, those before may have been.
#[inline]
pub(in crate::x86_64) fn write(frame: &mut FrameRef, to: u64, bytes: &[u8]) -> Result<(), Noted> {
    let to = GuestVirt(to);
    let written = match *bytes {
        [] => Ok(()),
        [a, b] => access::store16(to, u16::from_le_bytes([a, b])),
        [a, b, c, d] => access::store32(to, u32::from_le_bytes([a, b, c, d])),
        [a, b, c, d, e, f, g, h] => {
            access::store64(to, u64::from_le_bytes([a, b, c, d, e, f, g, h]))
        }
        _ => return guarded::write(frame, to, bytes),
    };
    written.map_err(|access::Faulted| {
        frame.set_fault(base::sys::fault::last_fault().addr.0);
        Noted
    })
}

/// Looks whether bytes at these distances can be written, in this order, and writes nothing: what processors do before they
/// store more than one access does.
pub(super) fn demand_writable(
    frame: &mut FrameRef,
    to: u64,
    distances: &[u32],
) -> Result<(), Noted> {
    // What is exchanged is what is there already, if it is that at all.
    demand(frame, to, distances, |place| unobserved::compare_exchange8(place, 0, 0).is_ok())
}

/// Looks whether bytes at these distances can be read, in this order.
pub(super) fn demand_readable(
    frame: &mut FrameRef,
    from: u64,
    distances: &[u32],
) -> Result<(), Noted> {
    demand(frame, from, distances, |place| unobserved::load8(place).is_ok())
}

/// Nobody is told: the accesses themselves come later.
fn demand(
    frame: &mut FrameRef,
    base: u64,
    distances: &[u32],
    is_there: impl Fn(GuestVirt) -> bool,
) -> Result<(), Noted> {
    let place = |&distance: &u32| GuestVirt(base.wrapping_add(distance.into()));
    if distances.iter().map(place).all(is_there) {
        return Ok(());
    }
    frame.set_fault(fault::last_fault().addr.0);
    Err(Noted)
}

/// MASKMOVQ: writes the bytes of a number for which bit 7 of the mask's byte is set.
pub(super) fn maskmovq(mut frame: FrameRef, value: u64, mask: u64, address: u64) -> u64 {
    let bytes = || (0..8).filter(|n| mask >> (8 * n + 7) & 1 != 0);
    let stored = can_store(address, 1, bytes()).and_then(|()| {
        bytes().try_for_each(|n| {
            let place = GuestVirt(address.wrapping_add(n as u64));
            access::store8(place, (value >> (8 * n)) as u8)
        })
    });
    if stored.is_err() {
        frame.set_fault(fault::last_fault().addr.0);
    }
    0
}
