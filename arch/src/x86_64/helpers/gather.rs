//! Memory under masks (SDM vol. 2: VGATHER…, VPGATHER…, VMASKMOV, VPMASKMOV, MASKMOVDQU): elements whose mask is clear do not fault.

use base::sys::fault;
use base::{GuestVirt, RegSlot};

use super::FrameRef;
use crate::access::{self, Faulted};
use crate::x86_64::slot;

/// What such a helper is told, packed.
#[derive(Clone, Copy, Debug, Default)]
pub struct What {
    /// The register that is loaded or stored.
    pub data: u8,
    /// The register with the masks: the signs of elements.
    pub mask: u8,
    /// The register with the indices of a gather.
    pub index: u8,
    /// Binary logarithm of their scale.
    pub scale: u8,
    /// Whether elements are doublewords, not words.
    pub long_data: bool,
    /// Whether indices are.
    pub long_index: bool,
    /// Whether vectors have 256 bits.
    pub long_vector: bool,
    /// Whether offsets in the segment wrap at 32 bits.
    pub short_address: bool,
}

impl What {
    /// As it is passed to a helper.
    #[must_use]
    pub const fn raw(self) -> u64 {
        self.data as u64
            | (self.mask as u64) << 4
            | (self.index as u64) << 8
            | (self.scale as u64 & 3) << 12
            | (self.long_data as u64) << 14
            | (self.long_index as u64) << 15
            | (self.long_vector as u64) << 16
            | (self.short_address as u64) << 17
    }

    const fn from_raw(raw: u64) -> Self {
        Self {
            data: raw as u8 & 15,
            mask: (raw >> 4) as u8 & 15,
            index: (raw >> 8) as u8 & 15,
            scale: (raw >> 12) as u8 & 3,
            long_data: raw >> 14 & 1 != 0,
            long_index: raw >> 15 & 1 != 0,
            long_vector: raw >> 16 & 1 != 0,
            short_address: raw >> 17 & 1 != 0,
        }
    }

    const fn bytes(self) -> usize {
        if self.long_vector { 32 } else { 16 }
    }
}

/// A vector register's 32 bytes.
#[derive(Clone, Copy)]
struct Ymm([u8; 32]);

impl Ymm {
    fn slots(n: u8) -> [RegSlot; 4] {
        let (low, high) = (slot::xmm(n), slot::ymm_high(n));
        [low, RegSlot(low.0 + 1), high, RegSlot(high.0 + 1)]
    }

    fn read(frame: &FrameRef, n: u8) -> Self {
        let words = Self::slots(n).map(|slot| frame.get(slot).to_le_bytes());
        Self(std::array::from_fn(|i| words[i / 8][i % 8]))
    }

    fn write(&self, frame: &mut FrameRef, n: u8) {
        for (i, slot) in Self::slots(n).into_iter().enumerate() {
            let word = std::array::from_fn(|k| self.0[8 * i + k]);
            frame.set(slot, u64::from_le_bytes(word));
        }
    }

    /// Element `n`, sign-extended.
    fn element(&self, n: usize, long: bool) -> i64 {
        if long {
            return i64::from_le_bytes(std::array::from_fn(|k| self.0[8 * n + k]));
        }
        i32::from_le_bytes(std::array::from_fn(|k| self.0[4 * n + k])).into()
    }

    /// So many elements that are all ones or zeros, by their signs.
    fn signs(&self, count: usize, long: bool) -> Self {
        let mut signs = Self([0; 32]);
        for n in 0..count {
            signs.set_element(n, long, (self.element(n, long) >> 63) as u64);
        }
        signs
    }

    fn set_element(&mut self, n: usize, long: bool, value: u64) {
        let size = if long { 8 } else { 4 };
        self.0[size * n..size * (n + 1)].copy_from_slice(&value.to_le_bytes()[..size]);
    }
}

fn load(addr: u64, long: bool) -> Result<u64, Faulted> {
    let place = GuestVirt(addr);
    if long { access::load64(place) } else { access::load32(place).map(u64::from) }
}

/// A gather, from what is at an offset in a segment. An element that faults leaves those before it done, and their masks clear; the other masks are all ones or
/// zeros by then.
pub(super) fn gather(mut frame: FrameRef, what: u64, base: u64, segment: u64) -> u64 {
    let what = What::from_raw(what);
    let [mut data, mask, index] = [what.data, what.mask, what.index].map(|n| Ymm::read(&frame, n));
    let size = if what.long_data || what.long_index { 8 } else { 4 };
    let count = what.bytes() / size;
    // Of masks there may be more than of elements.
    let masks = what.bytes() / if what.long_data { 8 } else { 4 };
    let mut left = mask.signs(masks, what.long_data);
    let mut is_partly_done = false;
    for n in 0..count {
        if left.element(n, what.long_data) == 0 {
            continue;
        }
        let offset = (index.element(n, what.long_index) as u64) << what.scale;
        let offset = base.wrapping_add(offset);
        let offset = if what.short_address { offset & 0xffff_ffff } else { offset };
        let addr = segment.wrapping_add(offset);
        match load(addr, what.long_data) {
            Ok(value) => data.set_element(n, what.long_data, value),
            Err(Faulted) => {
                // The first element has cleared what is above a vector of 128 bits.
                if is_partly_done && !what.long_vector {
                    data.0[16..].fill(0);
                }
                data.write(&mut frame, what.data);
                left.write(&mut frame, what.mask);
                frame.set_fault(fault::last_fault().addr.0);
                return 0;
            }
        }
        left.set_element(n, what.long_data, 0);
        is_partly_done = true;
    }
    let written = count * if what.long_data { 8 } else { 4 };
    data.0[written..].fill(0);
    data.write(&mut frame, what.data);
    Ymm([0; 32]).write(&mut frame, what.mask);
    0
}

/// VMASKMOVPS, VMASKMOVPD, VPMASKMOVD, VPMASKMOVQ from memory: elements whose mask is clear are zero.
pub(super) fn mask_load(mut frame: FrameRef, what: u64, base: u64) -> u64 {
    let what = What::from_raw(what);
    let mask = Ymm::read(&frame, what.mask);
    let size = if what.long_data { 8 } else { 4 };
    let mut data = Ymm([0; 32]);
    for n in 0..what.bytes() / size {
        if mask.element(n, what.long_data) >= 0 {
            continue;
        }
        match load(base.wrapping_add((n * size) as u64), what.long_data) {
            Ok(value) => data.set_element(n, what.long_data, value),
            Err(Faulted) => {
                frame.set_fault(fault::last_fault().addr.0);
                return 0;
            }
        }
    }
    data.write(&mut frame, what.data);
    0
}

/// The same to memory.
pub(super) fn mask_store(mut frame: FrameRef, what: u64, base: u64) -> u64 {
    let what = What::from_raw(what);
    let [data, mask] = [what.data, what.mask].map(|n| Ymm::read(&frame, n));
    let size = if what.long_data { 8 } else { 4 };
    let chosen = |n: &usize| mask.element(*n, what.long_data) < 0;
    let elements = || (0..what.bytes() / size).filter(chosen);
    let stored = can_store(base, size, elements().map(|n| n * size)).and_then(|()| {
        elements().try_for_each(|n| {
            let place = GuestVirt(base.wrapping_add((n * size) as u64));
            let value = data.element(n, what.long_data) as u64;
            match what.long_data {
                true => access::store64(place, value),
                false => access::store32(place, value as u32),
            }
        })
    });
    if stored.is_err() {
        frame.set_fault(fault::last_fault().addr.0);
    }
    0
}

/// MASKMOVDQU: bytes of which the mask's sign is set.
pub(super) fn maskmovdqu(mut frame: FrameRef, what: u64, base: u64) -> u64 {
    let what = What::from_raw(what);
    let [data, mask] = [what.data, what.mask].map(|n| Ymm::read(&frame, n));
    let bytes = || (0..16).filter(|&n| mask.0[n] & 0x80 != 0);
    let stored = can_store(base, 1, bytes()).and_then(|()| {
        bytes().try_for_each(|n| access::store8(GuestVirt(base.wrapping_add(n as u64)), data.0[n]))
    });
    if stored.is_err() {
        frame.set_fault(fault::last_fault().addr.0);
    }
    0
}

/// Where elements of this size at these offsets lie on two pages, whether both may be written: nothing is stored unless
/// all is. A fault is at the first byte of those that cannot be.
pub(super) fn can_store(
    base: u64,
    size: usize,
    offsets: impl Iterator<Item = usize>,
) -> Result<(), Faulted> {
    let mut probed = None;
    for offset in offsets {
        let first = GuestVirt(base.wrapping_add(offset as u64));
        let last_page = first.wrapping_add(size as u64 - 1).page();
        for place in [first, GuestVirt(first.0.max(last_page.0))] {
            if probed.replace(place.page()) != Some(place.page()) {
                // What is exchanged is what is there already, if it is that at all.
                base::sys::access::compare_exchange8(place, 0, 0)?;
            }
        }
    }
    Ok(())
}
