//! Lowered blocks in memory: a head, micro-operations, and marks that say which guest instruction
//! each came from. One piece of memory a block.

#![expect(unsafe_code, reason = "code is addressed by pointers that outlive no block")]

use std::mem::size_of;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicI32, AtomicPtr, Ordering};

use base::GuestVirt;
use base::cpu::Admission;

use super::micro::{MicroOp, Raw};
use super::store::Store;
use crate::block::BlockKey;

/// Words of a [`Head`].
pub(super) const HEAD_WORDS: usize = size_of::<Head>() / size_of::<Raw>();
/// Marks in a word.
const MARKS_PER_WORD: usize = size_of::<Raw>() / size_of::<Mark>();

/// What stands before a block's micro-operations.
#[derive(Debug)]
#[repr(C, align(16))]
pub struct Head {
    /// Executions until somebody is to look at the block ([`super::Stop::Attention`]). Counted
    /// without atomicity: threads may lose each other's steps.
    pub budget: AtomicI32,
    insns: u16,
    admits: Admission,
    weight: u8,
    /// Whatever the owner of the code wants to find again.
    pub owner: AtomicPtr<()>,
    key: BlockKey,
    /// Word index of the links; 0 if the block has none.
    links_at: u32,
    /// Word index of the first mark.
    marks_at: u16,
    marks: u16,
}

/// The first micro-operation of a guest instruction.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub(super) struct Mark {
    pub(super) word: u16,
    /// Bytes from the block's pc.
    pub(super) offset: u16,
}

/// Which of a block's two direct exits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[repr(u8)]
pub enum Side {
    /// A jump, or a branch that is taken.
    Taken = 0,
    /// A branch that is not taken.
    Fallthrough = 1,
}

/// A micro-operation of a block.
#[derive(Clone, Copy, Debug)]
pub struct Step<'a> {
    /// The operation.
    pub op: MicroOp,
    /// Its data.
    pub data: &'a [Raw],
    /// The guest instruction that it belongs to.
    pub pc: GuestVirt,
}

/// A lowered block.
#[derive(Debug)]
pub struct Code {
    words: Store,
}

// SAFETY: words are written only before the code is shared, but for the atomics in the head and
// the links, which are accessed as atomics.
unsafe impl Send for Code {}
// SAFETY: as above.
unsafe impl Sync for Code {}

/// Points at a block's head. Whoever dereferences it must know that the block still exists.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[repr(transparent)]
pub struct Entry(pub(super) NonNull<Head>);

// SAFETY: it is an address; what it points at may be shared between threads.
unsafe impl Send for Entry {}
// SAFETY: as above.
unsafe impl Sync for Entry {}

/// The parts of a block that a [`super::Lowerer`] has put together.
pub(super) struct Parts<'a> {
    pub(super) key: BlockKey,
    pub(super) insns: u32,
    pub(super) admits: Admission,
    /// Of one instruction, on average.
    pub(super) weight: u8,
    /// Executions, if it were of weight 1.
    pub(super) budget: i32,
    /// [`HEAD_WORDS`] words of nothing, then the micro-operations.
    pub(super) words: &'a mut Vec<Raw>,
    /// Where the links are, if the block has any.
    pub(super) links_at: Option<usize>,
    pub(super) marks: &'a [Mark],
}

impl Parts<'_> {
    /// The code, in an allocation of its exact size. `None` if the block is too long for its head.
    pub(super) fn assemble(self) -> Option<Code> {
        let marks_at = self.words.len();
        for marks in self.marks.chunks(MARKS_PER_WORD) {
            self.words.push(pack_marks(marks));
        }
        let head = Head {
            budget: AtomicI32::new(self.budget / i32::from(self.weight)),
            insns: u16::try_from(self.insns).ok()?,
            admits: self.admits,
            weight: self.weight,
            owner: AtomicPtr::default(),
            key: self.key,
            links_at: self.links_at.unwrap_or(0) as u32,
            marks_at: u16::try_from(marks_at).ok()?,
            marks: u16::try_from(self.marks.len()).ok()?,
        };
        let words = Store::new(self.words);
        // SAFETY: the lowerer begins with HEAD_WORDS words, which are as many bytes as a `Head`.
        unsafe { words.as_ptr().cast::<Head>().write_unaligned(head) };
        Some(Code { words })
    }
}

/// The head of code that no block owns: some micro-operations of the block with this key.
pub(super) fn head_of_fragment(key: BlockKey, words: usize) -> Head {
    Head {
        budget: AtomicI32::new(0),
        insns: 1,
        admits: Admission::PLAIN,
        weight: 1,
        owner: AtomicPtr::default(),
        key,
        links_at: 0,
        marks_at: words as u16,
        marks: 0,
    }
}

fn pack_marks(marks: &[Mark]) -> Raw {
    let mut halves = [0_u64; MARKS_PER_WORD];
    for (half, mark) in halves.iter_mut().zip(marks) {
        *half = u64::from(mark.word) | u64::from(mark.offset) << 16;
    }
    [halves[0] | halves[1] << 32, halves[2] | halves[3] << 32]
}

impl Code {
    /// Where other code and look-ups point.
    #[must_use]
    pub fn entry(&self) -> Entry {
        Entry(self.words.as_ptr().cast())
    }

    /// The head.
    #[must_use]
    pub fn head(&self) -> &Head {
        // SAFETY: the block exists as long as `self`.
        unsafe { self.entry().head() }
    }

    /// Its micro-operations, in order.
    pub fn steps(&self) -> impl Iterator<Item = Step<'_>> {
        let (head, start) = (self.head(), self.words.as_ptr().cast::<Raw>());
        let end = usize::from(head.marks_at);
        // SAFETY: the words up to the marks are there for as long as `self`; nobody writes to them, but to links.
        let word = move |at: usize| unsafe { start.as_ptr().add(at) };
        let mut at = HEAD_WORDS;
        std::iter::from_fn(move || {
            // SAFETY: as above.
            let op = (at < end).then(|| MicroOp::from_raw(unsafe { *word(at) })).flatten()?;
            let here = word(at);
            let data = op.kind.data_words();
            // SAFETY: as above; the lowerer puts that many words of data there.
            let data = unsafe { std::slice::from_raw_parts(word(at + 1), data) };
            at += 1 + data.len();
            // SAFETY: the pointer is into this block.
            let (pc, _) = unsafe { self.entry().locate(here) };
            Some(Step { op, data, pc })
        })
    }

    /// Words in it: the head, micro-operations and marks.
    #[cfg(test)]
    pub(super) fn word_count(&self) -> usize {
        self.words.len()
    }

    /// Bytes that it occupies.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.words.bytes()
    }

    /// Links a direct exit to another block, or cuts the link. Whoever may follow the link must be
    /// kept from doing so before the other block is freed.
    pub fn set_link(&self, side: Side, to: Option<Entry>) {
        if let Some(link) = self.link(side) {
            link.store(to.map_or(std::ptr::null_mut(), |e| e.0.as_ptr()), Ordering::Release);
        }
    }

    fn link(&self, side: Side) -> Option<&AtomicPtr<Head>> {
        let at = self.head().links_at as usize;
        if !(1..self.words.len()).contains(&at) {
            return None;
        }
        // SAFETY: the word holds two links, which are only ever accessed as atomics.
        Some(unsafe {
            let links = self.words.as_ptr().add(at).cast::<*mut Head>();
            AtomicPtr::from_ptr(links.as_ptr().add(side as usize))
        })
    }
}

impl Entry {
    /// The block's head.
    ///
    /// # Safety
    /// The block must exist for as long as the reference is used.
    #[must_use]
    pub unsafe fn head<'a>(self) -> &'a Head {
        // SAFETY: by the caller's promise.
        unsafe { self.0.as_ref() }
    }

    /// The guest instruction that the word at `op` came from: its pc, and how many of the block's
    /// instructions come after it.
    ///
    /// # Safety
    /// The block must exist, and `op` point into it.
    pub(super) unsafe fn locate(self, op: *const Raw) -> (GuestVirt, u32) {
        // SAFETY: by the caller's promise.
        let head = unsafe { self.head() };
        let start = self.0.as_ptr().cast_const().cast::<Raw>();
        // SAFETY: both point into the same block.
        let word = unsafe { op.offset_from(start) } as usize;
        // SAFETY: `assemble` put that many marks there.
        let marks = unsafe {
            let first = start.add(usize::from(head.marks_at)).cast::<Mark>();
            std::slice::from_raw_parts(first, usize::from(head.marks))
        };
        let after = marks.partition_point(|mark| usize::from(mark.word) <= word);
        let offset = after.checked_sub(1).map_or(0, |index| marks[index].offset);
        (head.key.pc().wrapping_add(u64::from(offset)), (marks.len() - after) as u32)
    }
}

impl Head {
    /// Which translation this is.
    #[must_use]
    pub fn key(&self) -> BlockKey {
        self.key
    }

    /// Guest instructions in the block.
    #[must_use]
    pub fn insns(&self) -> u32 {
        self.insns.into()
    }

    /// What a guest instruction of the block costs here on average, in plain micro-operations: at least 1.
    #[must_use]
    pub fn weight(&self) -> i32 {
        self.weight.into()
    }

    /// How jumps may come to the block.
    #[must_use]
    pub fn admits(&self) -> Admission {
        self.admits
    }
}
