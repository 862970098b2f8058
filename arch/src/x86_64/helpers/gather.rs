//! Memory under masks (SDM vol. 2: VGATHER…, VPGATHER…, VMASKMOV, VPMASKMOV, MASKMOVDQU): elements whose mask is clear do not fault.

use base::sys::access::{self, Faulted};
use base::{GuestVirt, RegSlot};

use super::FrameRef;
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

    fn set_element(&mut self, n: usize, long: bool, value: u64) {
        let size = if long { 8 } else { 4 };
        self.0[size * n..size * (n + 1)].copy_from_slice(&value.to_le_bytes()[..size]);
    }
}

fn load(addr: u64, long: bool) -> Result<u64, Faulted> {
    let place = GuestVirt(addr);
    if long { access::load64(place) } else { access::load32(place).map(u64::from) }
}

/// A gather. An element that faults leaves those before it done, and their masks clear.
pub(super) fn gather(mut frame: FrameRef, what: u64, base: u64) -> u64 {
    let what = What::from_raw(what);
    let [mut data, mut mask, index] =
        [what.data, what.mask, what.index].map(|n| Ymm::read(&frame, n));
    let size = if what.long_data || what.long_index { 8 } else { 4 };
    let count = what.bytes() / size;
    for n in 0..count {
        if mask.element(n, what.long_data) >= 0 {
            continue;
        }
        let offset = (index.element(n, what.long_index) as u64) << what.scale;
        let addr = base.wrapping_add(offset);
        match load(addr, what.long_data) {
            Ok(value) => data.set_element(n, what.long_data, value),
            Err(Faulted) => {
                data.write(&mut frame, what.data);
                mask.write(&mut frame, what.mask);
                frame.set_fault(addr);
                return 0;
            }
        }
        mask.set_element(n, what.long_data, 0);
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
        let addr = base.wrapping_add((n * size) as u64);
        match load(addr, what.long_data) {
            Ok(value) => data.set_element(n, what.long_data, value),
            Err(Faulted) => {
                frame.set_fault(addr);
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
    for n in 0..what.bytes() / size {
        if mask.element(n, what.long_data) >= 0 {
            continue;
        }
        let addr = base.wrapping_add((n * size) as u64);
        let (place, value) = (GuestVirt(addr), data.element(n, what.long_data) as u64);
        let stored = match what.long_data {
            true => access::store64(place, value),
            false => access::store32(place, value as u32),
        };
        if stored.is_err() {
            frame.set_fault(addr);
            return 0;
        }
    }
    0
}

/// MASKMOVDQU: bytes of which the mask's sign is set.
pub(super) fn maskmovdqu(mut frame: FrameRef, what: u64, base: u64) -> u64 {
    let what = What::from_raw(what);
    let [data, mask] = [what.data, what.mask].map(|n| Ymm::read(&frame, n));
    for n in (0..16).filter(|&n| mask.0[n] & 0x80 != 0) {
        let addr = base.wrapping_add(n as u64);
        if access::store8(GuestVirt(addr), data.0[n]).is_err() {
            frame.set_fault(addr);
            return 0;
        }
    }
    0
}
