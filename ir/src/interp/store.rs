//! Memory for lowered blocks. Most code is executed rarely and from many places, so that fetching it from
//! memory is what it costs: blocks begin with a cache line, and lie together in large pages, which spares the
//! host's TLB. The first of them come from the heap, as programs that are short should begin at once.
//!
//! Nobody ever waits here, so that a process may be forked at any time: who finds the arena in use takes
//! from the heap, and what is given back is put on a list that the next one to find the arena free looks
//! through. In a child whose parent was at it, that is nobody.

#![expect(unsafe_code, reason = "hands out memory")]

use std::cell::UnsafeCell;
use std::ptr::{NonNull, null_mut};
use std::sync::atomic::{AtomicPtr, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError, TryLockError};

use base::sys::memory::{LARGE_PAGE, large_page};

use super::micro::Raw;

/// Bytes of a line, in which places are counted.
const LINE: usize = 64;
/// Lines of the largest place; larger ones are the heap's.
const MOST_LINES: usize = 64;
/// Large pages at most.
const MOST_PAGES: usize = 96;
/// Bytes that come from the heap before the first large page is asked for.
const FROM_HEAP: usize = 1 << 20;

/// A place's start while it is nobody's.
struct Free {
    next: *mut Free,
    lines: usize,
}

/// Places that are free, by their lines, and a page that is not used up.
struct Arena {
    free: [*mut Free; MOST_LINES + 1],
    rest: *mut u8,
    rest_lines: usize,
    pages: usize,
}

// SAFETY: what it points at is nobody else's.
unsafe impl Send for Arena {}

static ARENA: Mutex<Arena> = Mutex::new(Arena {
    free: [null_mut(); MOST_LINES + 1],
    rest: null_mut(),
    rest_lines: 0,
    pages: 0,
});
/// Places that were given back.
static RETURNED: AtomicPtr<Free> = AtomicPtr::new(null_mut());
/// Bytes that came from the heap so far.
static EARLY: AtomicUsize = AtomicUsize::new(0);

impl Arena {
    /// The arena, unless somebody is at it.
    fn get() -> Option<MutexGuard<'static, Self>> {
        match ARENA.try_lock() {
            Ok(arena) => Some(arena),
            Err(TryLockError::Poisoned(arena)) => Some(PoisonError::into_inner(arena)),
            Err(TryLockError::WouldBlock) => None,
        }
    }

    fn collect(&mut self) {
        let mut place = RETURNED.swap(null_mut(), Ordering::Acquire);
        while !place.is_null() {
            // SAFETY: the list was taken as a whole, and its places are nobody's.
            unsafe {
                let next = (*place).next;
                self.put(place, (*place).lines);
                place = next;
            }
        }
    }

    /// # Safety
    /// The place is nobody's.
    unsafe fn put(&mut self, place: *mut Free, lines: usize) {
        // SAFETY: by the caller's promise.
        unsafe { place.write(Free { next: self.free[lines], lines }) };
        self.free[lines] = place;
    }

    fn take(&mut self, lines: usize) -> Option<NonNull<u8>> {
        let place = self.free[lines];
        if !place.is_null() {
            // SAFETY: it is on the list, and so nobody's.
            self.free[lines] = unsafe { (*place).next };
            return NonNull::new(place.cast());
        }
        if self.rest_lines < lines {
            self.next_page()?;
        }
        let place = self.rest;
        self.rest = place.wrapping_add(lines * LINE);
        self.rest_lines -= lines;
        NonNull::new(place)
    }

    fn next_page(&mut self) -> Option<()> {
        if self.pages == MOST_PAGES {
            return None;
        }
        let page = large_page()?;
        self.pages += 1;
        if self.rest_lines > 0 {
            // SAFETY: what was left of the page before is nobody's.
            unsafe { self.put(self.rest.cast(), self.rest_lines) };
        }
        (self.rest, self.rest_lines) = (page.as_ptr(), LARGE_PAGE / LINE);
        Some(())
    }
}

/// The words of a block.
#[derive(Debug)]
pub(super) struct Store {
    words: NonNull<UnsafeCell<Raw>>,
    len: usize,
    home: Home,
}

// SAFETY: a store owns its words, wherever they lie; what is given back may come from any thread.
unsafe impl Send for Store {}

/// Where a store came from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Home {
    Heap,
    Arena,
}

impl Store {
    /// A copy of these words.
    pub(super) fn new(words: &[Raw]) -> Self {
        let bytes = size_of_val(words);
        let place =
            (EARLY.load(Ordering::Relaxed) >= FROM_HEAP).then(|| from_arena(bytes)).flatten();
        let Some(place) = place else {
            EARLY.fetch_add(bytes, Ordering::Relaxed);
            let words: Box<[Raw]> = words.into();
            let len = words.len();
            let words = NonNull::from(Box::leak(words)).cast();
            return Self { words, len, home: Home::Heap };
        };
        // SAFETY: the place has room for them, and is nobody else's.
        unsafe {
            place.cast::<Raw>().copy_from_nonoverlapping(NonNull::from(words).cast(), words.len())
        };
        Self { words: place.cast(), len: words.len(), home: Home::Arena }
    }

    /// The first word.
    pub(super) fn as_ptr(&self) -> NonNull<UnsafeCell<Raw>> {
        self.words
    }

    /// How many words.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Bytes of memory that it takes.
    pub(super) fn bytes(&self) -> usize {
        let bytes = self.len * size_of::<Raw>();
        match self.home {
            Home::Heap => bytes,
            Home::Arena => bytes.next_multiple_of(LINE),
        }
    }
}

fn from_arena(bytes: usize) -> Option<NonNull<u8>> {
    let lines = bytes.div_ceil(LINE);
    if !(1..=MOST_LINES).contains(&lines) {
        return None;
    }
    let mut arena = Arena::get()?;
    arena.collect();
    arena.take(lines)
}

impl Drop for Store {
    fn drop(&mut self) {
        match self.home {
            Home::Heap => {
                let words =
                    std::ptr::slice_from_raw_parts_mut(self.words.as_ptr().cast::<Raw>(), self.len);
                // SAFETY: `new` leaked a box of so many.
                drop(unsafe { Box::from_raw(words) });
            }
            Home::Arena => give_back(self.words.as_ptr().cast(), self.bytes() / LINE),
        }
    }
}

fn give_back(place: *mut Free, lines: usize) {
    let mut first = RETURNED.load(Ordering::Relaxed);
    loop {
        // SAFETY: the place is nobody's any more, and has room for what is free.
        unsafe { place.write(Free { next: first, lines }) };
        match RETURNED.compare_exchange_weak(first, place, Ordering::Release, Ordering::Relaxed) {
            Ok(_) => return,
            Err(other) => first = other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn contents(store: &Store) -> Vec<Raw> {
        // SAFETY: the words are the store's, and nobody writes them here.
        unsafe { std::slice::from_raw_parts(store.as_ptr().as_ptr().cast::<Raw>(), store.len()) }
            .to_vec()
    }

    #[test]
    fn places_are_taken_again_and_never_shared() {
        EARLY.store(FROM_HEAP, Ordering::Relaxed);
        let words = |n: u64| vec![[n, !n]; 1 + n as usize % 300];
        let mut stores: Vec<(u64, Store)> = (0..4000).map(|n| (n, Store::new(&words(n)))).collect();
        for round in 0..4 {
            stores.retain(|(n, _)| n % 4 != round);
            let new = (0..1000).map(|n| 4000 + 1000 * round + n);
            stores.extend(new.map(|n| (n, Store::new(&words(n)))));
            for (n, store) in &stores {
                assert_eq!(contents(store), words(*n), "{n}");
                let aligned = store.as_ptr().as_ptr().align_offset(LINE) == 0;
                assert!(aligned || store.home == Home::Heap);
            }
        }
        assert!(stores.iter().any(|(_, store)| store.home == Home::Arena));
        let large = Store::new(&vec![[7, 8]; MOST_LINES * LINE / size_of::<Raw>() + 1]);
        assert_eq!(large.home, Home::Heap);
    }

    #[test]
    fn threads_give_back_what_others_took() {
        EARLY.store(FROM_HEAP, Ordering::Relaxed);
        let taken: Vec<Store> = (0..500).map(|n| Store::new(&[[n, n]; 9])).collect();
        std::thread::scope(|scope| {
            scope.spawn(move || drop(taken));
            for n in 0..500 {
                let store = Store::new(&[[n, 1]; 9]);
                assert_eq!(contents(&store), [[n, 1]; 9]);
            }
        });
    }
}
