//! The guest's mappings as the guest sees them, without the host: which addresses are taken, with
//! which protection, by what.

use std::collections::BTreeMap;
use std::ops::Range;

/// What the guest may do with a mapping: `PROT_…` bits.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Prot(pub(crate) u32);

impl Prot {
    pub(crate) const READ: u32 = 1;
    pub(crate) const WRITE: u32 = 2;
    pub(crate) const EXEC: u32 = 4;
    /// `PROT_BTI` of arm64: branch targets are checked.
    pub(crate) const GUARDED: u32 = 0x10;

    pub(crate) fn may_read(self) -> bool {
        self.0 & Self::READ != 0
    }

    pub(crate) fn may_write(self) -> bool {
        self.0 & Self::WRITE != 0
    }

    pub(crate) fn may_execute(self) -> bool {
        self.0 & Self::EXEC != 0
    }

    pub(crate) fn is_guarded(self) -> bool {
        self.0 & Self::GUARDED != 0
    }

    /// The host's protection for it. Guest code is read by Ferry, never executed by the host.
    pub(crate) fn host(self) -> i32 {
        let mut host = self.0 & (Self::READ | Self::WRITE);
        if self.may_execute() {
            host |= Self::READ;
        }
        host as i32
    }
}

/// What lies behind a mapping.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Backing {
    /// Zeros.
    Anonymous,
    /// A file from this offset on, in bytes.
    File {
        /// Where in the file the mapping starts.
        offset: u64,
    },
    /// Something of the loader's that /proc names: `[heap]`, `[stack]`, `[vdso]`.
    Special(&'static str),
    /// Something of the host's inside the window, which the guest cannot have.
    Foreign,
}

/// Whether writes are seen by others.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Sharing {
    /// `MAP_PRIVATE`
    Private,
    /// `MAP_SHARED`
    Shared,
}

/// Whether `mseal` has frozen a mapping.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Seal {
    /// It may be changed.
    Open,
    /// It may not.
    Sealed,
}

/// One mapping. Its start is its key in the [`VmaTree`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Vma {
    /// One past its last byte.
    pub(crate) end: u64,
    /// What the guest may do with it.
    pub(crate) prot: Prot,
    /// Whether writes are seen by others.
    pub(crate) sharing: Sharing,
    /// What lies behind it.
    pub(crate) backing: Backing,
    /// Whether it is sealed.
    pub(crate) seal: Seal,
}

impl Vma {
    /// The part that starts `skipped` bytes further on.
    fn tail(self, skipped: u64) -> Self {
        match self.backing {
            Backing::File { offset } => {
                Self { backing: Backing::File { offset: offset.wrapping_add(skipped) }, ..self }
            }
            _ => self,
        }
    }

    /// Whether `next`, which starts where this ends, only continues it.
    fn continues_into(&self, start: u64, next: &Self) -> bool {
        let expected = self.tail(self.end - start);
        Self { end: next.end, ..expected } == *next
    }
}

/// All mappings, disjoint, in page units.
#[derive(Clone, Debug, Default)]
pub(crate) struct VmaTree {
    map: BTreeMap<u64, Vma>,
    full_above: Option<FullAbove>,
}

/// What the last search for room learned, so that a program with very many mappings does not make
/// each new one search them all: from `at` to the end of the limits nothing of `len` bytes is free.
#[derive(Clone, Copy, Debug)]
struct FullAbove {
    at: u64,
    len: u64,
    limit: u64,
}

impl VmaTree {
    /// How many mappings there are.
    pub(crate) fn len(&self) -> usize {
        self.map.len()
    }

    /// The mapping that holds this address, with its start.
    pub(crate) fn find(&self, addr: u64) -> Option<(u64, Vma)> {
        let (&start, &vma) = self.map.range(..=addr).next_back()?;
        (addr < vma.end).then_some((start, vma))
    }

    /// Every mapping in order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (Range<u64>, Vma)> {
        self.map.iter().map(|(&start, &vma)| (start..vma.end, vma))
    }

    /// The parts of mappings that lie in a range, in order, each cut to it.
    pub(crate) fn parts(&self, range: Range<u64>) -> Vec<(Range<u64>, Vma)> {
        let first = self.find(range.start).map_or(range.start, |(start, _)| start);
        self.map
            .range(first..range.end.max(first))
            .filter(|(_, vma)| vma.end > range.start)
            .map(|(&start, &vma)| {
                let cut = start.max(range.start)..vma.end.min(range.end);
                let part = vma.tail(cut.start - start);
                (cut.clone(), Vma { end: cut.end, ..part })
            })
            .collect()
    }

    /// The parts of a range where nothing is mapped.
    pub(crate) fn holes(&self, range: Range<u64>) -> Vec<Range<u64>> {
        let mut holes = Vec::new();
        let mut at = range.start;
        for (part, _) in self.parts(range.clone()) {
            if at < part.start {
                holes.push(at..part.start);
            }
            at = part.end;
        }
        if at < range.end {
            holes.push(at..range.end);
        }
        holes
    }

    /// Whether nothing is mapped in a range.
    pub(crate) fn is_free(&self, range: Range<u64>) -> bool {
        let before = self.map.range(..range.end).next_back();
        before.is_none_or(|(_, vma)| vma.end <= range.start)
    }

    /// Takes away whatever lies in a range.
    pub(crate) fn remove(&mut self, range: Range<u64>) {
        if self.full_above.is_some_and(|full| range.end > full.at) {
            self.full_above = None;
        }
        self.cut_out(range);
    }

    fn cut_out(&mut self, range: Range<u64>) {
        self.split_at(range.start);
        self.split_at(range.end);
        let starts: Vec<u64> = self.map.range(range).map(|(&start, _)| start).collect();
        for start in starts {
            self.map.remove(&start);
        }
    }

    /// Maps something at `start`, in place of whatever was there.
    pub(crate) fn insert(&mut self, start: u64, vma: Vma) {
        self.cut_out(start..vma.end);
        self.map.insert(start, vma);
        self.merge_around(start..vma.end);
    }

    /// Changes the parts of mappings that lie in a range.
    pub(crate) fn update(&mut self, range: Range<u64>, change: impl Fn(&mut Vma)) {
        self.split_at(range.start);
        self.split_at(range.end);
        self.map.range_mut(range.clone()).for_each(|(_, vma)| change(vma));
        self.merge_around(range);
    }

    /// A high free range of `len` bytes within `limits` whose start is a multiple of `align` (a
    /// power of two): the highest, unless room was made just below where an earlier search ended.
    pub(crate) fn find_free(&mut self, len: u64, align: u64, limits: Range<u64>) -> Option<u64> {
        let known = self.full_above.filter(|full| full.limit == limits.end && full.len <= len);
        let top = known.map_or(limits.end, |full| full.at.min(limits.end));
        let found = self.search(len, align, limits.start..top)?;
        // A gap that was only not aligned may do for the next.
        if align == base::addr::PAGE_SIZE {
            self.full_above = Some(FullAbove { at: found + len, len, limit: limits.end });
        }
        Some(found)
    }

    fn search(&self, len: u64, align: u64, limits: Range<u64>) -> Option<u64> {
        let mut top = limits.end;
        let fits = |gap: Range<u64>| {
            let start = gap.end.checked_sub(len)? & !(align - 1);
            (start >= gap.start).then_some(start)
        };
        for (&start, vma) in self.map.range(..limits.end).rev() {
            if vma.end < top
                && let Some(found) = fits(vma.end.max(limits.start)..top)
            {
                return Some(found);
            }
            top = top.min(start);
            if top <= limits.start {
                return None;
            }
        }
        fits(limits.start..top)
    }

    fn split_at(&mut self, addr: u64) {
        if let Some((start, vma)) = self.find(addr)
            && start < addr
        {
            self.map.insert(start, Vma { end: addr, ..vma });
            self.map.insert(addr, vma.tail(addr - start));
        }
    }

    fn merge_around(&mut self, range: Range<u64>) {
        let from = self.map.range(..range.start).next_back().map_or(range.start, |(&s, _)| s);
        let mut starts: Vec<u64> = self.map.range(from..=range.end).map(|(&s, _)| s).collect();
        starts.reverse();
        // From the back, so that a merged mapping is itself merged into the one before.
        for pair in starts.windows(2) {
            let (next, start) = (pair[0], pair[1]);
            let (Some(&vma), Some(&next_vma)) = (self.map.get(&start), self.map.get(&next)) else {
                continue;
            };
            if vma.end == next && vma.continues_into(start, &next_vma) {
                self.map.remove(&next);
                self.map.insert(start, Vma { end: next_vma.end, ..vma });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    const PAGE: u64 = 4096;
    const PAGES: u64 = 40;

    /// Every page with the attributes that it should have.
    type Naive = BTreeMap<u64, Vma>;

    #[derive(Clone, Debug)]
    enum Step {
        Insert(Range<u64>, Prot, Backing),
        Remove(Range<u64>),
        Protect(Range<u64>, Prot),
    }

    fn range() -> impl Strategy<Value = Range<u64>> {
        (0..PAGES, 1..PAGES).prop_map(|(start, len)| start * PAGE..(start + len).min(PAGES) * PAGE)
    }

    fn step() -> impl Strategy<Value = Step> {
        let prot = || (0..8_u32).prop_map(Prot);
        let backing = prop_oneof![
            Just(Backing::Anonymous),
            (0..4_u64).prop_map(|n| Backing::File { offset: n * PAGE })
        ];
        prop_oneof![
            (range(), prot(), backing).prop_map(|(r, p, b)| Step::Insert(r, p, b)),
            range().prop_map(Step::Remove),
            (range(), prot()).prop_map(|(r, p)| Step::Protect(r, p)),
        ]
    }

    fn vma(end: u64, prot: Prot, backing: Backing) -> Vma {
        Vma { end, prot, sharing: Sharing::Private, backing, seal: Seal::Open }
    }

    fn apply(step: &Step, tree: &mut VmaTree, naive: &mut Naive) {
        let pages = |range: &Range<u64>| (range.start..range.end).step_by(PAGE as usize);
        match step {
            Step::Insert(range, prot, backing) => {
                let whole = vma(range.end, *prot, *backing);
                tree.insert(range.start, whole);
                for page in pages(range) {
                    naive.insert(page, Vma { end: page + PAGE, ..whole.tail(page - range.start) });
                }
            }
            Step::Remove(range) => {
                tree.remove(range.clone());
                pages(range).for_each(|page| _ = naive.remove(&page));
            }
            Step::Protect(range, prot) => {
                tree.update(range.clone(), |vma| vma.prot = *prot);
                naive.range_mut(range.clone()).for_each(|(_, vma)| vma.prot = *prot);
            }
        }
    }

    fn naive_free(naive: &Naive, len: u64) -> Option<u64> {
        let starts = (0..PAGES).rev().map(|page| page * PAGE);
        starts
            .filter(|start| start + len <= PAGES * PAGE)
            .find(|&start| naive.range(start..start + len).next().is_none())
    }

    proptest! {
        #[test]
        fn behaves_as_a_map_of_pages(steps in prop::collection::vec(step(), 1..40)) {
            let (mut tree, mut naive) = (VmaTree::default(), Naive::new());
            for step in &steps {
                apply(step, &mut tree, &mut naive);
            }
            for page in (0..PAGES * PAGE).step_by(PAGE as usize) {
                let parts = tree.parts(page..page + PAGE);
                prop_assert_eq!(parts.first().map(|(_, vma)| *vma), naive.get(&page).copied());
                prop_assert_eq!(tree.find(page + 1).is_some(), naive.contains_key(&page));
                prop_assert_eq!(tree.is_free(page..page + PAGE), !naive.contains_key(&page));
            }
            let holes: u64 = tree.holes(0..PAGES * PAGE).iter().map(|r| r.end - r.start).sum();
            prop_assert_eq!(holes, PAGES * PAGE - naive.len() as u64 * PAGE);
            for len in [1, 2, 5, PAGES] {
                let found = tree.find_free(len * PAGE, PAGE, 0..PAGES * PAGE);
                prop_assert_eq!(found, naive_free(&naive, len * PAGE));
            }
            let all: Vec<_> = tree.iter().collect();
            for pair in all.windows(2) {
                prop_assert!(pair[0].0.end <= pair[1].0.start);
                let mergeable = pair[0].0.end == pair[1].0.start
                    && pair[0].1.continues_into(pair[0].0.start, &pair[1].1);
                prop_assert!(!mergeable, "neighbours of one kind are merged");
            }
        }
    }

    #[test]
    fn room_is_used_again() {
        let mut tree = VmaTree::default();
        let all = 0..PAGES * PAGE;
        let take = |tree: &mut VmaTree, pages: u64| {
            let start = tree.find_free(pages * PAGE, PAGE, all.clone())?;
            assert!(tree.is_free(start..start + pages * PAGE));
            tree.insert(start, vma(start + pages * PAGE, Prot(3), Backing::Anonymous));
            Some(start / PAGE)
        };
        assert_eq!(take(&mut tree, 2), Some(38));
        assert_eq!(take(&mut tree, 3), Some(35));
        tree.remove(38 * PAGE..39 * PAGE);
        assert_eq!(take(&mut tree, 2), Some(33), "one page is not enough");
        assert_eq!(take(&mut tree, 1), Some(38));
        assert_eq!(take(&mut tree, 1), Some(32));
        tree.remove(36 * PAGE..38 * PAGE);
        assert_eq!(take(&mut tree, 2), Some(36));
        assert_eq!(take(&mut tree, 33), None);
        assert_eq!(take(&mut tree, 32), Some(0));
    }

    #[test]
    fn alignment_and_limits_are_kept() {
        let mut tree = VmaTree::default();
        tree.insert(0x9000, vma(0xa000, Prot(3), Backing::Anonymous));
        assert_eq!(tree.find_free(0x1000, 0x4000, 0x1000..0x1_0000), Some(0xc000));
        assert_eq!(tree.find_free(0x6000, 0x1000, 0x1000..0x1_0000), Some(0xa000));
        assert_eq!(tree.find_free(0x7000, 0x1000, 0x1000..0x1_0000), Some(0x2000));
        assert_eq!(tree.find_free(0x9000, 0x1000, 0x1000..0x1_0000), None);
    }
}
