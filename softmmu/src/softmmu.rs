//! A CPU's memory in a whole machine: the TLB, and what happens to accesses that it does not know.

#![expect(unsafe_code, reason = "reaches RAM at addresses that the map has checked")]

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU16, AtomicU32, AtomicU64, Ordering};

use base::addr::PAGE_SIZE;
use base::{CpuFrame, GuestPhys, GuestVirt, TlbEntry};

use crate::cost::{MissCosts, Outcome, Sampler};
use crate::map::{MemoryMap, MmioId, Place};
use crate::ram::Ram;
use crate::tlb::{Filled, Flush, Rights, Space, Tlb, TlbStats};
use crate::walks::Walk;
use crate::watch::Watches;

/// What an access is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum AccessKind {
    /// A load.
    Load,
    /// A store, or an atomic read-modify-write.
    Store,
    /// An instruction fetch.
    Fetch,
}

/// An access that cannot be made, as the guest will see it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct GuestFault {
    /// The exception, as the guest's architecture numbers it.
    pub cause: u64,
    /// The address of the first byte that could not be accessed.
    pub addr: GuestVirt,
}

/// A guest architecture's half of the softmmu: page tables and protection, and what lies behind
/// the RAM. One for each CPU, called by its thread.
pub trait GuestMmu: Send {
    /// The address space that the frame's registers call for.
    fn space(&self, frame: &CpuFrame) -> Space;

    /// Translates the address of an access of some bytes in one page, for the privilege that the frame is
    /// at.
    ///
    /// # Errors
    /// The fault that the guest is to see.
    fn walk(
        &mut self,
        frame: &mut CpuFrame,
        map: &MemoryMap,
        addr: GuestVirt,
        bytes: u64,
        kind: AccessKind,
    ) -> Result<Walk, GuestFault>;

    /// The fault of an access whose physical address nothing answers.
    fn access_fault(&self, addr: GuestVirt, kind: AccessKind) -> GuestFault;

    /// Reads a device's registers: 1, 2, 4 or 8 bytes. `None` if it does not answer.
    fn read_device(&mut self, frame: &mut CpuFrame, at: Register) -> Option<u64>;

    /// Writes a device's registers. `None` if it does not answer.
    fn write_device(&mut self, frame: &mut CpuFrame, at: Register, value: u64) -> Option<()>;

    /// Bytes of RAM on a page with translated code were written by this CPU just now.
    fn code_written(&mut self, at: GuestPhys, len: u64);
}

/// Bytes of a device's window.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Register {
    /// Whose.
    pub window: MmioId,
    /// Where in it.
    pub offset: u64,
    /// How many.
    pub bytes: u64,
}

/// Counts of what the softmmu did.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug, serde::Serialize)]
pub struct SoftmmuStats {
    /// Probes of the TLB by loads, stores and atomics, if they are counted. An atomic of tier 0 probes
    /// several times, and what compiled code leaves to tier 0, such as a device's register, once more.
    pub probes: Option<u64>,
    /// Of these, the ones that found no entry.
    pub misses: u64,
    /// What these cost, if probes are counted.
    pub costs: Option<MissCosts>,
    /// The TLB's.
    pub tlb: TlbStats,
    /// Walks of page tables.
    pub walks: u64,
    /// Accesses to devices.
    pub device_accesses: u64,
    /// Accesses that cross into another page.
    pub crossings: u64,
    /// Writes to pages with translated code.
    pub code_writes: u64,
    /// Misses that compiled code left to tier 0, and those that ended in a fault.
    pub refused: u64,
}

impl std::fmt::Display for SoftmmuStats {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let tlb = self.tlb;
        if let Some(probes) = self.probes {
            writeln!(f, "{probes:>16}  TLB probes by loads, stores and atomics")?;
            let rate = 100.0 * self.misses as f64 / probes.max(1) as f64;
            writeln!(f, "{:>16}  TLB misses, {rate:.4} %", self.misses)?;
        } else {
            writeln!(f, "{:>16}  TLB misses", self.misses)?;
        }
        for (count, what) in [
            (tlb.look_ups, "translations looked up, with those of fetches"),
            (tlb.walks_saved, "of these without a walk of page tables"),
            (self.walks, "walks of page tables"),
            (tlb.switches, "switches of address spaces"),
            (tlb.flushes, "TLB flushes"),
            (tlb.page_flushes, "TLB flushes of one page"),
            (tlb.grown, "TLB tables doubled"),
            (self.device_accesses, "accesses to devices"),
            (self.crossings, "accesses across pages"),
            (self.code_writes, "writes to pages with translated code"),
            (self.refused, "accesses left to tier 0, or faulting"),
        ] {
            writeln!(f, "{count:>16}  {what}")?;
        }
        self.costs.map_or(Ok(()), |costs| costs.fmt(f))
    }
}

/// A CPU's memory.
pub struct Softmmu {
    /// The TLB.
    pub tlb: Tlb,
    map: Arc<MemoryMap>,
    guest: Box<dyn GuestMmu>,
    fault: GuestFault,
    /// What a debugger watches. After a change, flush everything.
    pub watches: Watches,
    stats: SoftmmuStats,
    /// Times misses, where probes are counted.
    sampler: Option<Box<Sampler>>,
}

impl std::fmt::Debug for Softmmu {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Softmmu").field("space", &self.tlb.space()).finish_non_exhaustive()
    }
}

/// Where an access that reads and writes at once finds its bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct AtomicPlace {
    /// The host's address.
    pub host: usize,
    /// If translated code lies on the page: what [`Softmmu::code_write`] must be told after the access.
    pub code: Option<GuestPhys>,
}

/// A page that an access may use.
enum Page<'a> {
    Ram { ram: &'a Ram, offset: u64, writable: bool },
    Device(MmioId, u64),
}

impl Softmmu {
    /// Memory behind an empty TLB.
    #[must_use]
    pub fn new(map: Arc<MemoryMap>, guest: Box<dyn GuestMmu>) -> Self {
        let (tlb, stats) = (Tlb::new(), SoftmmuStats::default());
        let (fault, watches) = (GuestFault::default(), Watches::default());
        Self { tlb, map, guest, fault, watches, stats, sampler: None }
    }

    /// What it did so far, for the CPU of this frame.
    #[must_use]
    pub fn stats(&self, frame: &CpuFrame) -> SoftmmuStats {
        let costs = self.sampler.as_ref().map(|sampler| sampler.costs);
        let probes = self.counts_probes().then_some(frame.tlb_probes);
        SoftmmuStats { probes, costs, tlb: self.tlb.stats(), ..self.stats }
    }

    /// From now on, misses are timed, and probes are counted by those who make them.
    pub fn count_probes(&mut self) {
        self.sampler = Some(Box::new(Sampler::new()));
    }

    /// Whether [`CpuFrame::tlb_probes`] is to be counted.
    #[must_use]
    pub fn counts_probes(&self) -> bool {
        self.sampler.is_some()
    }

    /// Sees to an access that has missed the TLB.
    fn miss<T>(&mut self, see_to: impl FnOnce(&mut Self) -> T) -> T {
        self.stats.misses += 1;
        let Some(start) = self.sampler.as_mut().and_then(|sampler| sampler.begin()) else {
            return see_to(self);
        };
        let before = self.stats;
        let answer = see_to(self);
        let now = self.stats;
        let special = |stats: SoftmmuStats| {
            stats.device_accesses + stats.crossings + stats.code_writes + stats.refused
        };
        let outcome = match (now.walks - before.walks, special(now) - special(before)) {
            (0, 0) => Outcome::Known,
            (1, 0) => Outcome::Walked,
            _ => Outcome::Other,
        };
        if let Some(sampler) = &mut self.sampler {
            sampler.end(start, outcome);
        }
        answer
    }

    /// Why the last access failed.
    #[must_use]
    pub fn last_fault(&self) -> GuestFault {
        self.fault
    }

    /// The physical memory.
    #[must_use]
    pub fn map(&self) -> &Arc<MemoryMap> {
        &self.map
    }

    /// The guest's half.
    pub fn guest(&mut self) -> &mut dyn GuestMmu {
        &mut *self.guest
    }

    /// Uses an address space from now on.
    pub fn switch(&mut self, frame: &mut CpuFrame, space: Space) {
        self.tlb.switch(frame, space);
    }

    /// Uses the address space that the frame's registers call for from now on.
    pub fn follow(&mut self, frame: &mut CpuFrame) {
        let space = self.guest.space(frame);
        self.switch(frame, space);
    }

    /// Forgets translations.
    pub fn flush(&mut self, frame: &mut CpuFrame, flush: Flush) {
        self.tlb.flush(frame, flush);
    }

    /// Where the code at an address lies.
    ///
    /// # Errors
    /// It may not be executed.
    #[inline]
    pub fn fetch(
        &mut self,
        frame: &mut CpuFrame,
        addr: GuestVirt,
    ) -> Result<GuestPhys, GuestFault> {
        match self.tlb.fetched_from(addr) {
            Some(phys) => Ok(phys),
            None => self.fetch_slow(frame, addr),
        }
    }

    #[cold]
    fn fetch_slow(
        &mut self,
        frame: &mut CpuFrame,
        addr: GuestVirt,
    ) -> Result<GuestPhys, GuestFault> {
        let walk = self.walk(frame, addr, 2, AccessKind::Fetch)?;
        let phys = walk.phys.wrapping_add(addr.page_offset());
        let is_memory =
            matches!(self.map.resolve(phys, 1), Ok(Place::Ram { .. } | Place::Rom { .. }));
        if !is_memory {
            return Err(self.guest.access_fault(addr, AccessKind::Fetch));
        }
        if walk.whole {
            self.tlb.fill_fetch(frame, addr, &walk);
        }
        Ok(phys)
    }

    /// The translation of the page that holds an access.
    fn walk(
        &mut self,
        frame: &mut CpuFrame,
        addr: GuestVirt,
        bytes: u64,
        kind: AccessKind,
    ) -> Result<Walk, GuestFault> {
        let allowed = |walk: &Walk| match kind {
            AccessKind::Load => walk.readable,
            AccessKind::Store => walk.writable,
            AccessKind::Fetch => walk.executable,
        };
        if let Some(walk) = self.tlb.walked(addr).filter(allowed) {
            return Ok(walk);
        }
        self.stats.walks += 1;
        let walk = self.guest.walk(frame, &self.map, addr, bytes, kind)?;
        if walk.whole {
            self.tlb.remember(frame, addr, walk);
        }
        Ok(walk)
    }

    /// Where an access would go, that lies in one page and is not made.
    ///
    /// # Errors
    /// It may not be made, or nothing is there.
    pub fn locate(
        &mut self,
        frame: &mut CpuFrame,
        addr: GuestVirt,
        bytes: u64,
        kind: AccessKind,
    ) -> Result<GuestPhys, GuestFault> {
        let walk = self.walk(frame, addr, bytes, kind)?;
        let phys = walk.phys.wrapping_add(addr.page_offset());
        let place = self.map.resolve(phys, bytes);
        place.map(|_| phys).map_err(|_| self.guest.access_fault(addr, kind))
    }

    /// The page of an access that lies in one, with the TLB filled for the next one.
    fn page(
        &mut self,
        frame: &mut CpuFrame,
        addr: GuestVirt,
        bytes: u64,
        kind: AccessKind,
    ) -> Result<Page<'_>, GuestFault> {
        let walk = self.walk(frame, addr, bytes, kind)?;
        if self.watches.sees(addr, bytes, kind) {
            // Nobody sees this fault: whoever runs the CPU asks for the hit first.
            return Err(GuestFault::default());
        }
        let whole = walk.whole && !self.watches.covers_page(addr);
        let phys = walk.phys.wrapping_add(addr.page_offset());
        let (ram, offset, is_rom) = match self.map.resolve(phys, bytes) {
            Ok(Place::Ram { ram, offset }) => (ram, offset, false),
            Ok(Place::Rom { ram, offset }) => (ram, offset, true),
            Ok(Place::Mmio { id, offset }) => return Ok(Page::Device(id, offset)),
            Err(_) => return Err(self.guest.access_fault(addr, kind)),
        };
        if is_rom && kind == AccessKind::Store {
            return Err(self.guest.access_fault(addr, kind));
        }
        let tracker = ram.tracker();
        let page = offset / PAGE_SIZE;
        let writable = kind == AccessKind::Store && !tracker.has_code(page);
        if writable {
            // Before the entry is filled, so that no write goes unmarked.
            tracker.mark(offset, 1);
        }
        let may_write =
            !is_rom && walk.writable && tracker.is_dirty(page) && !tracker.has_code(page);
        let rights = match (walk.readable, may_write) {
            (true, true) => Rights::Both,
            (_, true) => Rights::Write,
            _ => Rights::Read,
        };
        if whole && (walk.readable || may_write) {
            let host = ram.host().0 + (offset - offset % PAGE_SIZE) as usize;
            self.tlb.fill(frame, addr, Filled { phys: walk.phys, host, rights });
        }
        Ok(Page::Ram { ram, offset, writable })
    }

    /// The host address for an access of compiled code that its TLB probe did not find. `None` if tier
    /// 0 must make it.
    pub fn host_address(
        &mut self,
        frame: &mut CpuFrame,
        addr: GuestVirt,
        bytes: u64,
        kind: AccessKind,
    ) -> Option<usize> {
        self.miss(|softmmu| {
            let address = softmmu.try_host_address(frame, addr, bytes, kind);
            softmmu.stats.refused += u64::from(address.is_none());
            address
        })
    }

    fn try_host_address(
        &mut self,
        frame: &mut CpuFrame,
        addr: GuestVirt,
        bytes: u64,
        kind: AccessKind,
    ) -> Option<usize> {
        if crosses(addr, bytes) {
            return None;
        }
        // Tier 0 comes to a watched access again.
        self.watches.take_hit();
        match self.page(frame, addr, bytes, kind).ok()? {
            Page::Ram { ram, offset, writable } if writable || kind == AccessKind::Load => {
                Some(ram.host().0 + offset as usize)
            }
            _ => None,
        }
    }

    /// Remembers a fault.
    fn noted<T>(&mut self, result: Result<T, GuestFault>) -> Option<T> {
        result
            .map_err(|fault| {
                self.stats.refused += 1;
                self.fault = fault;
            })
            .ok()
    }

    /// A load of 1, 2, 4 or 8 bytes that the TLB does not know. `None` leaves the reason in
    /// [`Softmmu::last_fault`].
    #[cold]
    pub fn load(&mut self, frame: &mut CpuFrame, addr: GuestVirt, bytes: u64) -> Option<u64> {
        self.miss(|softmmu| {
            let result = softmmu.try_load(frame, addr, bytes);
            softmmu.noted(result)
        })
    }

    fn try_load(
        &mut self,
        frame: &mut CpuFrame,
        addr: GuestVirt,
        bytes: u64,
    ) -> Result<u64, GuestFault> {
        if crosses(addr, bytes) {
            self.stats.crossings += 1;
            return (0..bytes).try_fold(0, |value, n| {
                let byte = self.try_load(frame, addr.wrapping_add(n), 1)?;
                Ok(value | byte << (8 * n))
            });
        }
        match self.page(frame, addr, bytes, AccessKind::Load)? {
            Page::Ram { ram, offset, .. } => Ok(read_ram(ram, offset, bytes)),
            Page::Device(window, offset) => {
                self.stats.device_accesses += 1;
                let at = Register { window, offset, bytes };
                let fault = self.guest.access_fault(addr, AccessKind::Load);
                self.guest.read_device(frame, at).ok_or(fault)
            }
        }
    }

    /// A store of 1, 2, 4 or 8 bytes that the TLB does not know. `None` leaves the reason in
    /// [`Softmmu::last_fault`]; nothing was stored then.
    #[cold]
    pub fn store(
        &mut self,
        frame: &mut CpuFrame,
        addr: GuestVirt,
        bytes: u64,
        value: u64,
    ) -> Option<()> {
        self.miss(|softmmu| {
            let result = softmmu.try_store(frame, addr, bytes, value);
            softmmu.noted(result)
        })
    }

    fn try_store(
        &mut self,
        frame: &mut CpuFrame,
        addr: GuestVirt,
        bytes: u64,
        value: u64,
    ) -> Result<(), GuestFault> {
        if crosses(addr, bytes) {
            self.stats.crossings += 1;
            // Both pages must be there before anything is stored.
            self.walk(frame, addr, 1, AccessKind::Store)?;
            self.walk(frame, addr.wrapping_add(bytes - 1).page(), 1, AccessKind::Store)?;
            return (0..bytes).try_for_each(|n| {
                self.try_store(frame, addr.wrapping_add(n), 1, value >> (8 * n) & 0xff)
            });
        }
        match self.page(frame, addr, bytes, AccessKind::Store)? {
            Page::Ram { ram, offset, writable } => {
                let (host, phys) =
                    (ram.host().0 + offset as usize, ram.base().wrapping_add(offset));
                // SAFETY: the map has checked that these bytes lie in RAM.
                unsafe { write_host(host, bytes, value) };
                if !writable {
                    self.code_write(phys, bytes);
                }
                Ok(())
            }
            Page::Device(window, offset) => {
                self.stats.device_accesses += 1;
                let at = Register { window, offset, bytes };
                let fault = self.guest.access_fault(addr, AccessKind::Store);
                self.guest.write_device(frame, at, value).ok_or(fault)
            }
        }
    }

    /// As [`Softmmu::load`], 16 bytes: two halves, of which each is read at once where it can be.
    pub fn load_pair(&mut self, frame: &mut CpuFrame, addr: GuestVirt) -> Option<u128> {
        let low = self.load(frame, addr, 8)?;
        let high = self.load(frame, addr.wrapping_add(8), 8)?;
        Some(u128::from(high) << 64 | u128::from(low))
    }

    /// As [`Softmmu::store`], 16 bytes: two halves. Nothing is stored unless both may be.
    pub fn store_pair(&mut self, frame: &mut CpuFrame, addr: GuestVirt, value: u128) -> Option<()> {
        let result = [0, 15].into_iter().try_for_each(|n| {
            self.walk(frame, addr.wrapping_add(n), 1, AccessKind::Store).map(|_| ())
        });
        result.map_err(|fault| self.fault = fault).ok()?;
        self.store(frame, addr, 8, value as u64)?;
        self.store(frame, addr.wrapping_add(8), 8, (value >> 64) as u64)
    }

    /// Bytes on a page with translated code were written to: lets their translations be dropped, and marks
    /// them. Afterwards, so that whoever translates meanwhile either sees the write or is told of it.
    pub fn code_write(&mut self, phys: GuestPhys, bytes: u64) {
        self.stats.code_writes += 1;
        self.guest.code_written(phys, bytes);
        if let Ok(Place::Ram { ram, offset }) = self.map.resolve(phys, bytes) {
            ram.tracker().mark(offset, bytes);
        }
    }

    /// Where the host has an aligned access to RAM that reads and writes at once. `None` leaves the reason
    /// in [`Softmmu::last_fault`]: atomics reach no device.
    #[cold]
    pub fn atomic(
        &mut self,
        frame: &mut CpuFrame,
        addr: GuestVirt,
        bytes: u64,
    ) -> Option<AtomicPlace> {
        self.miss(|softmmu| {
            let result = softmmu.try_atomic(frame, addr, bytes);
            softmmu.noted(result)
        })
    }

    fn try_atomic(
        &mut self,
        frame: &mut CpuFrame,
        addr: GuestVirt,
        bytes: u64,
    ) -> Result<AtomicPlace, GuestFault> {
        let fault = self.guest.access_fault(addr, AccessKind::Store);
        if crosses(addr, bytes) {
            return Err(fault);
        }
        if self.watches.sees(addr, bytes, AccessKind::Load) {
            return Err(fault);
        }
        match self.page(frame, addr, bytes, AccessKind::Store)? {
            Page::Ram { ram, offset, writable } => {
                let (host, phys) =
                    (ram.host().0 + offset as usize, ram.base().wrapping_add(offset));
                Ok(AtomicPlace { host, code: (!writable).then_some(phys) })
            }
            Page::Device(..) => Err(fault),
        }
    }
}

/// Whether an access lies on two pages.
fn crosses(addr: GuestVirt, bytes: u64) -> bool {
    addr.page_offset() + bytes > PAGE_SIZE
}

fn read_ram(ram: &Ram, offset: u64, bytes: u64) -> u64 {
    // SAFETY: the map has checked that these bytes lie in RAM.
    unsafe { read_host(ram.host().0 + offset as usize, bytes) }
}

/// Reads bytes that others may write at once; aligned ones in one piece.
///
/// # Safety
/// They lie in a piece of RAM.
unsafe fn read_host(at: usize, bytes: u64) -> u64 {
    // SAFETY: by the caller's promise; RAM is accessed atomically or by guarded host instructions.
    unsafe {
        match bytes {
            1 => AtomicU8::from_ptr(at as *mut u8).load(Ordering::Relaxed).into(),
            2 if at.is_multiple_of(2) => {
                AtomicU16::from_ptr(at as *mut u16).load(Ordering::Relaxed).into()
            }
            4 if at.is_multiple_of(4) => {
                AtomicU32::from_ptr(at as *mut u32).load(Ordering::Relaxed).into()
            }
            8 if at.is_multiple_of(8) => {
                AtomicU64::from_ptr(at as *mut u64).load(Ordering::Relaxed)
            }
            _ => (0..bytes as usize)
                .map(|n| read_host(at + n, 1) << (8 * n))
                .fold(0, |value, byte| value | byte),
        }
    }
}

/// Writes bytes that others may access at once; aligned ones in one piece.
///
/// # Safety
/// They lie in a piece of RAM.
unsafe fn write_host(at: usize, bytes: u64, value: u64) {
    // SAFETY: as in `read_host`.
    unsafe {
        match bytes {
            1 => AtomicU8::from_ptr(at as *mut u8).store(value as u8, Ordering::Relaxed),
            2 if at.is_multiple_of(2) => {
                AtomicU16::from_ptr(at as *mut u16).store(value as u16, Ordering::Relaxed);
            }
            4 if at.is_multiple_of(4) => {
                AtomicU32::from_ptr(at as *mut u32).store(value as u32, Ordering::Relaxed);
            }
            8 if at.is_multiple_of(8) => {
                AtomicU64::from_ptr(at as *mut u64).store(value, Ordering::Relaxed);
            }
            _ => (0..bytes as usize).for_each(|n| write_host(at + n, 1, value >> (8 * n))),
        }
    }
}

/// Probes a CPU's TLB: the host address of an access that it knows.
///
/// # Safety
/// The frame's TLB fields are those that [`Tlb::switch`] has set.
#[inline(always)]
#[must_use]
pub unsafe fn probe(
    frame: *const CpuFrame,
    addr: GuestVirt,
    bytes: u64,
    kind: AccessKind,
) -> Option<u64> {
    // SAFETY: by the caller's promise: the masked offset lies in the table.
    let (entry, context) = unsafe {
        let at = TlbEntry::offset(addr.0, (*frame).tlb_mask) as usize;
        (&*(*frame).tlb.byte_add(at), (*frame).tlb_context)
    };
    let tag = match kind {
        AccessKind::Store => entry.write,
        _ => entry.read,
    };
    (tag == TlbEntry::wanted(addr.0, bytes, context)).then(|| addr.0.wrapping_add(entry.addend))
}
