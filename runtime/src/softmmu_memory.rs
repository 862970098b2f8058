//! The memory of a whole machine as tier 0 and helpers reach it: an inline probe of the TLB, and the
//! softmmu for what that does not know.

#![expect(unsafe_code, reason = "reaches RAM at addresses that the TLB holds")]

use std::marker::PhantomData;

use base::sys::access::{self, Faulted};
use base::{CpuFrame, GuestVirt};
use ir::interp::{Memory, Site};
use softmmu::{AccessKind, AtomicPlace, Softmmu, probe};

/// What is done beside each probe.
pub(crate) trait Counting {
    /// The CPU of this frame probes its TLB.
    ///
    /// # Safety
    /// The frame is that of the CPU that this thread runs.
    unsafe fn count(frame: *mut CpuFrame);
}

/// Nothing.
#[derive(Debug)]
pub(crate) struct Uncounted;

/// It is counted.
#[derive(Debug)]
pub(crate) struct Counted;

impl Counting for Uncounted {
    #[inline(always)]
    unsafe fn count(_: *mut CpuFrame) {}
}

impl Counting for Counted {
    #[inline(always)]
    unsafe fn count(frame: *mut CpuFrame) {
        // SAFETY: by the caller's promise.
        unsafe { (*frame).tlb_probes += 1 };
    }
}

/// A CPU's memory, for as long as its thread runs it.
#[derive(Debug)]
pub(crate) struct SoftMemory<C = Uncounted> {
    frame: *mut CpuFrame,
    softmmu: *mut Softmmu,
    counting: PhantomData<C>,
}

impl SoftMemory {
    /// # Safety
    /// Both belong to the CPU that this thread runs, and outlive what is returned. The frame's TLB is the
    /// softmmu's.
    pub(crate) unsafe fn new(frame: *mut CpuFrame, softmmu: *mut Softmmu) -> Self {
        Self { frame, softmmu, counting: PhantomData }
    }

    /// The same, with its probes counted.
    pub(crate) fn counted(self) -> SoftMemory<Counted> {
        let Self { frame, softmmu, .. } = self;
        SoftMemory { frame, softmmu, counting: PhantomData }
    }
}

impl<C: Counting> SoftMemory<C> {
    #[inline(always)]
    fn probe(&self, addr: GuestVirt, bytes: u64, kind: AccessKind) -> Option<GuestVirt> {
        // SAFETY: by the promise to `new`.
        unsafe {
            C::count(self.frame);
            probe(self.frame, addr, bytes, kind).map(GuestVirt)
        }
    }

    #[cold]
    #[inline(never)]
    fn load(&mut self, addr: GuestVirt, bytes: u64) -> Result<u64, Faulted> {
        // SAFETY: by the promise to `new`; the interpreter holds no reference to the frame meanwhile.
        unsafe { (*self.softmmu).load(&mut *self.frame, addr, bytes) }.ok_or(Faulted)
    }

    #[cold]
    #[inline(never)]
    fn store(&mut self, addr: GuestVirt, bytes: u64, value: u64) -> Result<(), Faulted> {
        // SAFETY: as in `load`.
        unsafe { (*self.softmmu).store(&mut *self.frame, addr, bytes, value) }.ok_or(Faulted)
    }

    #[cold]
    #[inline(never)]
    fn load_pair(&mut self, addr: GuestVirt) -> Result<u128, Faulted> {
        // SAFETY: as in `load`.
        unsafe { (*self.softmmu).load_pair(&mut *self.frame, addr) }.ok_or(Faulted)
    }

    #[cold]
    #[inline(never)]
    fn store_pair(&mut self, addr: GuestVirt, value: u128) -> Result<(), Faulted> {
        // SAFETY: as in `load`.
        unsafe { (*self.softmmu).store_pair(&mut *self.frame, addr, value) }.ok_or(Faulted)
    }

    #[cold]
    #[inline(never)]
    fn atomic(&mut self, addr: GuestVirt, bytes: u64) -> Result<AtomicPlace, Faulted> {
        // SAFETY: as in `load`.
        unsafe { (*self.softmmu).atomic(&mut *self.frame, addr, bytes) }.ok_or(Faulted)
    }

    #[cold]
    #[inline(never)]
    fn atomic_done(&mut self, place: AtomicPlace, bytes: u64) {
        if let Some(phys) = place.code {
            // SAFETY: by the promise to `new`.
            unsafe { (*self.softmmu).code_write(phys, bytes) };
        }
    }
}

macro_rules! accesses {
    ($($bytes:literal $type:ty, $load:ident, $store:ident, $cas:ident;)*) => {
        impl<C: Counting> Memory for SoftMemory<C> {
            const ADDRESS_BITS: u32 = 64;
            $(
                #[inline(always)]
                fn $load(&mut self, _: Site, addr: GuestVirt) -> Result<$type, Faulted> {
                    match self.probe(addr, $bytes, AccessKind::Load) {
                        Some(host) => access::$load(host),
                        None => self.load(addr, $bytes).map(|value| value as $type),
                    }
                }
                #[inline(always)]
                fn $store(&mut self, _: Site, addr: GuestVirt, value: $type)
                -> Result<(), Faulted> {
                    match self.probe(addr, $bytes, AccessKind::Store) {
                        Some(host) => access::$store(host, value),
                        None => self.store(addr, $bytes, value.into()),
                    }
                }
                #[inline]
                fn $cas(&mut self, _: Site, addr: GuestVirt, expected: $type, new: $type)
                -> Result<$type, Faulted> {
                    if let Some(host) = self.probe(addr, $bytes, AccessKind::Store) {
                        return access::$cas(host, expected, new);
                    }
                    let place = self.atomic(addr, $bytes)?;
                    let old = access::$cas(GuestVirt(place.host as u64), expected, new)?;
                    self.atomic_done(place, $bytes);
                    Ok(old)
                }
            )*
            #[inline(always)]
            fn load128(&mut self, _: Site, addr: GuestVirt) -> Result<u128, Faulted> {
                match self.probe(addr, 16, AccessKind::Load) {
                    Some(host) => access::load128(host),
                    None => self.load_pair(addr),
                }
            }
            #[inline(always)]
            fn store128(&mut self, _: Site, addr: GuestVirt, value: u128)
            -> Result<(), Faulted> {
                match self.probe(addr, 16, AccessKind::Store) {
                    Some(host) => access::store128(host, value),
                    None => self.store_pair(addr, value),
                }
            }
            #[inline]
            fn prepare_atomic(&mut self, addr: GuestVirt, bytes: u64) -> Result<(), Faulted> {
                match self.probe(addr, bytes, AccessKind::Store) {
                    Some(_) => Ok(()),
                    None => self.atomic(addr, bytes).map(|_| ()),
                }
            }
        }
    };
}

accesses! {
    1 u8, load8, store8, compare_exchange8;
    2 u16, load16, store16, compare_exchange16;
    4 u32, load32, store32, compare_exchange32;
    8 u64, load64, store64, compare_exchange64;
}

/// [`CpuFrame::memory_slow`] of a whole machine's CPUs.
///
/// # Safety
/// The frame is that of the CPU that runs on this thread, and [`CpuFrame::softmmu`] its [`Softmmu`].
pub(crate) unsafe extern "C" fn memory_slow(frame: *mut CpuFrame, addr: u64, what: u64) -> u64 {
    if what == CpuFrame::SLOW_SWITCH {
        // SAFETY: by the caller's promise.
        unsafe { (*(*frame).softmmu.cast::<Softmmu>()).follow(&mut *frame) };
        return 0;
    }
    let bytes = what & (CpuFrame::SLOW_WRITE - 1);
    if what & (CpuFrame::SLOW_ATOMIC | CpuFrame::SLOW_ATOMIC_DONE) != 0 {
        // SAFETY: by the caller's promise.
        return unsafe { atomic_of_helper(frame, GuestVirt(addr), bytes, what) };
    }
    let kind = if what & CpuFrame::SLOW_WRITE == 0 { AccessKind::Load } else { AccessKind::Store };
    // SAFETY: by the caller's promise.
    let host = unsafe {
        let softmmu = (*frame).softmmu.cast::<Softmmu>();
        (*softmmu).host_address(&mut *frame, GuestVirt(addr), bytes, kind)
    };
    host.map_or(0, |host| host as u64)
}

/// The host address for a helper's atomic, or 0; afterwards, what follows from it.
///
/// # Safety
/// As for [`memory_slow`].
unsafe fn atomic_of_helper(frame: *mut CpuFrame, addr: GuestVirt, bytes: u64, what: u64) -> u64 {
    // SAFETY: by the caller's promise.
    let (softmmu, known) = unsafe {
        let softmmu = &mut *(*frame).softmmu.cast::<Softmmu>();
        let known = probe(frame, addr, bytes, AccessKind::Store);
        // What is asked again afterwards is the same access, unless it misses again.
        let counts = known.is_none() || what & CpuFrame::SLOW_ATOMIC != 0;
        (*frame).tlb_probes += u64::from(counts);
        (softmmu, known)
    };
    if let Some(host) = known {
        // No page with translated code is known.
        return host;
    }
    // SAFETY: by the caller's promise.
    let place = softmmu.atomic(unsafe { &mut *frame }, addr, bytes);
    if let (Some(AtomicPlace { code: Some(phys), .. }), true) =
        (place, what & CpuFrame::SLOW_ATOMIC_DONE != 0)
    {
        softmmu.code_write(phys, bytes);
    }
    place.map_or(0, |place| place.host as u64)
}
