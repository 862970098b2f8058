//! A translation block as the runtime keeps it: tier 0 code, where it came from, whether it is
//! compiled, and which blocks are linked to it.

#![expect(unsafe_code, reason = "blocks point at each other")]

use std::cell::UnsafeCell;
use std::ops::Range;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicPtr, Ordering};

use base::GuestVirt;
use base::addr::PAGE_SIZE;
use base::cpu::Admission;
use ir::BlockKey;
use ir::interp::{Code, Entry, Side};

use crate::pages::{bytes_at, overlap};

/// A translation block. It lives in the cache, and after it was dropped in the graveyard until no
/// CPU can be executing it: so a reference that a CPU got while it runs holds until it leaves.
///
/// What is looked at whenever control comes here through the runtime stands together at its beginning: of most blocks,
/// none of it is in the host's caches.
#[derive(Debug)]
#[repr(C)]
pub(crate) struct Tb {
    key: BlockKey,
    /// Where its compiled form is entered; null if it has none.
    compiled: AtomicPtr<u8>,
    pub(crate) code: Code,
    /// The page that its only instruction goes on on, if where it lies does not tell.
    pub(crate) second_page: Option<GuestVirt>,
    /// Bytes of guest code from the key's pc on.
    pub(crate) guest_bytes: u32,
    admits: Admission,
    /// Whether the source must be compared with memory before each execution.
    pub(crate) validate: bool,
    /// Whether it was dropped.
    pub(crate) dead: AtomicBool,
    /// The guest code itself, if writes to it may go unnoticed.
    pub(crate) source: Option<Box<[u8]>>,
    links: UnsafeCell<Links>,
}

/// Links between blocks. Guarded by the lock of the translations, whose guard's contents stand
/// proxy for it ([`Tb::links`]).
#[derive(Debug, Default)]
pub(crate) struct Links {
    /// Where each exit is linked to, and the next exit in the list of those linked there.
    pub(crate) out: [OutLink; 2],
    /// The first exit that is linked to this block.
    pub(crate) incoming: Option<ExitRef>,
}

#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct OutLink {
    pub(crate) to: Option<TbRef>,
    pub(crate) next: Option<ExitRef>,
}

/// A pointer to a block.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct TbRef(NonNull<Tb>);

/// A block's direct exit: a pointer to the block, whose lowest bit is the side, as each block has room for three of them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct ExitRef(NonNull<Tb>);

// SAFETY: `links` is only touched under the lock; everything else is immutable or atomic.
unsafe impl Sync for Tb {}
// SAFETY: as above.
unsafe impl Send for Tb {}
// SAFETY: it is a pointer to a `Sync` value; who dereferences it answers for its life.
unsafe impl Send for TbRef {}

impl Tb {
    pub(crate) fn new(code: Code, guest_bytes: u32, source: Option<Box<[u8]>>) -> Box<Self> {
        let tb = Box::new(Self {
            key: code.head().key(),
            compiled: AtomicPtr::default(),
            admits: code.head().admits(),
            code,
            second_page: None,
            guest_bytes,
            validate: false,
            dead: AtomicBool::new(false),
            source,
            links: UnsafeCell::default(),
        });
        let owner = (&raw const *tb).cast_mut().cast();
        tb.code.head().owner.store(owner, Ordering::Relaxed);
        tb
    }

    pub(crate) fn key(&self) -> BlockKey {
        self.key
    }

    /// How jumps may come to it.
    pub(crate) fn admits(&self) -> Admission {
        self.admits
    }

    pub(crate) fn entry(&self) -> Entry {
        self.code.entry()
    }

    pub(crate) fn budget(&self) -> &AtomicI32 {
        &self.code.head().budget
    }

    /// The pages that its guest code lies on: one, or two.
    pub(crate) fn pages(&self) -> impl Iterator<Item = GuestVirt> + use<> {
        let (mut pages, second) = (pages_of(self.key().pc(), self.guest_bytes), self.second_page);
        let first = pages.next();
        first.into_iter().chain(second.or_else(|| pages.next()))
    }

    /// Whether it must be looked at before each execution.
    pub(crate) fn is_watched(&self) -> bool {
        self.validate || self.second_page.is_some()
    }

    /// Whether it was made from some of these bytes.
    pub(crate) fn overlaps(&self, bytes: &Range<GuestVirt>) -> bool {
        self.guest_code().any(|code| overlap(&code, bytes))
    }

    /// Where its guest code lies: in one piece or two.
    pub(crate) fn guest_code(&self) -> impl Iterator<Item = Range<GuestVirt>> + use<> {
        let (pc, bytes) = (self.key().pc(), u64::from(self.guest_bytes));
        let first = match self.second_page {
            Some(_) => bytes.min(PAGE_SIZE - pc.page_offset()),
            None => bytes,
        };
        let second = self.second_page.map(|page| bytes_at(page, bytes - first));
        std::iter::once(bytes_at(pc, first)).chain(second)
    }

    pub(crate) fn compiled(&self) -> Option<NonNull<u8>> {
        NonNull::new(self.compiled.load(Ordering::Acquire))
    }

    /// Sets the compiled entry, and sees to it that CPUs notice.
    pub(crate) fn set_compiled(&self, entry: NonNull<u8>) {
        self.compiled.store(entry.as_ptr(), Ordering::Release);
        self.budget().store(0, Ordering::Release);
    }

    /// It is compiled no more. From now on it may be executed so often before it is reported as hot, if it is of
    /// weight 1.
    pub(crate) fn forget_compiled(&self, budget: i32) {
        self.compiled.store(std::ptr::null_mut(), Ordering::Release);
        if !self.is_watched() {
            self.budget().store(budget / self.code.head().weight(), Ordering::Release);
        }
    }

    pub(crate) fn is_dead(&self) -> bool {
        self.dead.load(Ordering::Acquire)
    }

    /// Bytes of host memory that it takes.
    pub(crate) fn host_bytes(&self) -> usize {
        size_of::<Self>() + self.code.bytes() + self.source.as_ref().map_or(0, |s| s.len())
    }

    /// Its links.
    ///
    /// # Safety
    /// The caller holds the lock of the translations, and no other reference from this method.
    #[expect(clippy::mut_from_ref, reason = "the lock makes it exclusive")]
    pub(crate) unsafe fn links(&self) -> &mut Links {
        // SAFETY: by the caller's promise.
        unsafe { &mut *self.links.get() }
    }
}

impl TbRef {
    pub(crate) fn from_box(tb: Box<Tb>) -> Self {
        Self(NonNull::from(Box::leak(tb)))
    }

    /// The block that a piece of tier 0 code belongs to; `None` if the code is in no cache.
    ///
    /// # Safety
    /// The code must exist.
    pub(crate) unsafe fn of(entry: Entry) -> Option<Self> {
        // SAFETY: by the caller's promise.
        let owner = unsafe { entry.head() }.owner.load(Ordering::Relaxed);
        NonNull::new(owner.cast()).map(Self)
    }

    pub(crate) fn from_ptr(tb: *mut Tb) -> Option<Self> {
        NonNull::new(tb).map(Self)
    }

    pub(crate) fn as_ptr(self) -> *mut Tb {
        self.0.as_ptr()
    }

    /// The block.
    ///
    /// # Safety
    /// It must live as long as the reference is used: see [`Tb`].
    pub(crate) unsafe fn get<'a>(self) -> &'a Tb {
        // SAFETY: by the caller's promise.
        unsafe { self.0.as_ref() }
    }

    /// Frees the block.
    ///
    /// # Safety
    /// It came from [`TbRef::from_box`], and nobody has a reference to it.
    pub(crate) unsafe fn free(self) {
        // SAFETY: by the caller's promise.
        drop(unsafe { Box::from_raw(self.0.as_ptr()) });
    }
}

impl ExitRef {
    pub(crate) fn new(from: TbRef, side: Side) -> Self {
        Self(from.0.map_addr(|address| address | side as usize))
    }

    pub(crate) fn from(self) -> TbRef {
        let block = self.0.as_ptr().map_addr(|address| address & !1);
        TbRef(NonNull::new(block).unwrap_or(self.0))
    }

    pub(crate) fn side(self) -> Side {
        match self.0.addr().get() & 1 {
            0 => Side::Taken,
            _ => Side::Fallthrough,
        }
    }
}

/// The pages that a piece of guest code lies on, two at most.
pub(crate) fn pages_of(pc: GuestVirt, bytes: u32) -> impl Iterator<Item = GuestVirt> + use<> {
    let first = pc.page();
    let last = pc.wrapping_add(u64::from(bytes.max(1)) - 1).page();
    std::iter::once(first).chain((last != first).then_some(last))
}
