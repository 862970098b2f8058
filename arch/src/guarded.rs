//! Guest memory as helpers access it, byte by byte if need be: by guarded accesses, whose faults are noted in the frame.

use base::GuestVirt;
use base::sys::access as guest;

use crate::access::{Kind, tell_bytes};
use crate::frame::FrameRef;

/// The access was not possible, which is noted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Noted;

/// Reads bytes.
pub(crate) fn read(frame: &mut FrameRef, bytes: &mut [u8], from: GuestVirt) -> Result<(), Noted> {
    while let Err(left) = guest::copy_from_guest(bytes, from) {
        let first = from.wrapping_add((bytes.len() - left) as u64);
        // Once more, as an access of which is known what it was; it may be possible by now.
        if guest::load8(first).is_err() {
            frame.set_fault(first.0);
            return Err(Noted);
        }
    }
    tell_bytes(Kind::Load, from, bytes);
    Ok(())
}

/// Writes bytes. If some of them cannot be written, those before may have been.
pub(crate) fn write(frame: &mut FrameRef, to: GuestVirt, bytes: &[u8]) -> Result<(), Noted> {
    while let Err(left) = guest::copy_to_guest(to, bytes) {
        let done = bytes.len() - left;
        let first = to.wrapping_add(done as u64);
        if guest::store8(first, bytes[done]).is_err() {
            frame.set_fault(first.0);
            return Err(Noted);
        }
    }
    tell_bytes(Kind::Store, to, bytes);
    Ok(())
}
