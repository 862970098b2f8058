//! The map against a list that is searched from end to end.

use proptest::prelude::*;

use super::*;

fn ram(pages: u64) -> Ram {
    Ram::new(GuestPhys(0), pages * PAGE_SIZE).unwrap()
}

fn mmio(map: &mut MemoryMap, start: u64, len: u64, id: u32) -> Result<(), MapError> {
    map.insert(GuestPhys(start), len, Backing::Mmio(MmioId(id)))
}

#[test]
fn regions_do_not_overlap_and_say_what_is_in_their_way() {
    let mut map = MemoryMap::new();
    mmio(&mut map, 0x1000, 0x1000, 0).unwrap();
    for (start, len) in [(0x1000, 1), (0x1fff, 1), (0, 0x1001), (0, 0x8000), (0x1800, 0x8000)] {
        let error = mmio(&mut map, start, len, 1).unwrap_err();
        assert!(matches!(error, MapError::Overlap { .. }), "{start:#x}");
        assert!(error.to_string().ends_with("overlaps 0x1000..=0x1fff"));
    }
    let before = map.generation();
    mmio(&mut map, 0, 0x1000, 1).unwrap();
    mmio(&mut map, 0x2000, u64::MAX - 0x1fff, 2).unwrap();
    assert_ne!(map.generation(), before);
    assert!(map.lookup(GuestPhys(u64::MAX)).is_some());
}

#[test]
fn ranges_that_wrap_or_are_empty_are_refused() {
    let mut map = MemoryMap::new();
    assert!(matches!(mmio(&mut map, u64::MAX, 2, 0), Err(MapError::Range(_))));
    assert!(matches!(mmio(&mut map, 0, 0, 0), Err(MapError::Range(_))));
    mmio(&mut map, u64::MAX, 1, 0).unwrap();
    assert!(map.resolve(GuestPhys(u64::MAX), 1).is_ok());
    assert!(matches!(map.resolve(GuestPhys(u64::MAX), 2), Err(ResolveError::Range(_))));
    assert_eq!(map.generation(), 1);
}

#[test]
fn memory_lies_on_pages_and_inside_what_backs_it() {
    let mut map = MemoryMap::new();
    let insert = |map: &mut MemoryMap, start, len, offset| {
        map.insert(GuestPhys(start), len, Backing::Ram { ram: ram(4), offset })
    };
    assert!(matches!(insert(&mut map, 8, PAGE_SIZE, 0), Err(MapError::Unaligned(_))));
    assert!(matches!(insert(&mut map, 0, 8, 0), Err(MapError::Unaligned(_))));
    assert!(matches!(insert(&mut map, 0, PAGE_SIZE, 8), Err(MapError::Unaligned(_))));
    assert!(matches!(insert(&mut map, 0, 5 * PAGE_SIZE, 0), Err(MapError::Beyond(_))));
    assert!(matches!(insert(&mut map, 0, 4 * PAGE_SIZE, PAGE_SIZE), Err(MapError::Beyond(_))));
    insert(&mut map, 0, 3 * PAGE_SIZE, PAGE_SIZE).unwrap();
    let Ok(Place::Ram { offset, .. }) = map.resolve(GuestPhys(PAGE_SIZE + 4), 8) else { panic!() };
    assert_eq!(offset, 2 * PAGE_SIZE + 4);
}

#[test]
fn aliases_are_the_same_bytes_and_copies_go_piece_by_piece() {
    let (mut map, memory) = (MemoryMap::new(), ram(2));
    for (page, offset) in [(0, PAGE_SIZE), (1, 0), (2, PAGE_SIZE)] {
        let backing = Backing::Ram { ram: memory.clone(), offset };
        map.insert(GuestPhys(page * PAGE_SIZE), PAGE_SIZE, backing).unwrap();
    }
    let across = PhysRange::new(GuestPhys(PAGE_SIZE - 4), PAGE_SIZE + 8).unwrap();
    assert_eq!(
        map.resolve(across.start(), 8).unwrap_err().to_string(),
        "0xffc..=0x1003 lies across the end of a region"
    );
    let offsets: Vec<u64> = map
        .pieces(across)
        .map(|(_, place)| match place {
            Place::Ram { offset, .. } => offset,
            place => panic!("{place:?}"),
        })
        .collect();
    assert_eq!(offsets, [2 * PAGE_SIZE - 4, 0, PAGE_SIZE]);
    map.remove(GuestPhys(PAGE_SIZE)).unwrap();
    assert_eq!(map.pieces(across).count(), 1);
}

/// Addresses near each other, and near the ends of the address space.
fn address() -> impl Strategy<Value = u64> {
    prop_oneof![0_u64..64, (0_u64..64).prop_map(|n| u64::MAX - n)]
}

#[derive(Clone, Debug)]
enum Step {
    Insert(u64, u64),
    Remove(u64),
    Look(u64, u64),
}

fn step() -> impl Strategy<Value = Step> {
    let len = prop_oneof![0_u64..20, (0_u64..80).prop_map(|n| u64::MAX - n)];
    prop_oneof![
        (address(), len.clone()).prop_map(|(start, len)| Step::Insert(start, len)),
        address().prop_map(Step::Remove),
        (address(), len).prop_map(|(start, len)| Step::Look(start, len)),
    ]
}

/// First and last address as numbers that cannot overflow.
type Model = Vec<(u128, u128, u32)>;

fn bounds(start: u64, len: u64) -> Option<(u128, u128)> {
    let (first, end) = (u128::from(start), u128::from(start) + u128::from(len));
    (len != 0 && end <= 1 << 64).then(|| (first, end - 1))
}

fn look(map: &MemoryMap, model: &Model, start: u64, len: u64) -> Result<(), TestCaseError> {
    let at = u128::from(start);
    let holder = model.iter().find(|&&(first, last, _)| first <= at && at <= last);
    let found = map.lookup(GuestPhys(start)).map(|region| u128::from(region.range.start().0));
    prop_assert_eq!(found, holder.map(|&(first, _, _)| first));
    let resolved = map.resolve(GuestPhys(start), len);
    match (bounds(start, len), holder) {
        (None, _) => prop_assert!(matches!(resolved, Err(ResolveError::Range(_)))),
        (_, None) => prop_assert!(matches!(resolved, Err(ResolveError::Unmapped(_)))),
        (Some((_, end)), Some(&(_, last, _))) if end > last => {
            prop_assert!(matches!(resolved, Err(ResolveError::Straddles(_))));
        }
        (_, Some(&(first, _, number))) => {
            let Ok(Place::Mmio { id, offset }) = resolved else { panic!("{resolved:?}") };
            prop_assert_eq!((id.0, u128::from(offset)), (number, at - first));
        }
    }
    let Ok(range) = PhysRange::new(GuestPhys(start), len) else { return Ok(()) };
    let covered: u128 =
        map.pieces(range).map(|(part, _)| u128::from(part.bytes_after_first()) + 1).sum();
    let mut expected = at;
    while let Some(&(_, last, _)) = model.iter().find(|m| m.0 <= expected && expected <= m.1) {
        expected = (last + 1).min(u128::from(range.last().0) + 1);
        if expected > u128::from(range.last().0) {
            break;
        }
    }
    prop_assert_eq!(covered, expected - at);
    Ok(())
}

proptest! {
    #[test]
    fn the_map_is_a_list_of_ranges(steps in prop::collection::vec(step(), 1..60)) {
        let (mut map, mut model) = (MemoryMap::new(), Model::new());
        for (number, step) in (0_u32..).zip(steps) {
            match step {
                Step::Insert(start, len) => {
                    let free = bounds(start, len).filter(|&(first, last)| {
                        model.iter().all(|&(from, to, _)| last < from || to < first)
                    });
                    prop_assert_eq!(mmio(&mut map, start, len, number).is_ok(), free.is_some());
                    model.extend(free.map(|(first, last)| (first, last, number)));
                }
                Step::Remove(start) => {
                    let before = model.len();
                    model.retain(|&(first, _, _)| first != u128::from(start));
                    let removed = map.remove(GuestPhys(start)).is_some();
                    prop_assert_eq!(removed, model.len() < before);
                }
                Step::Look(start, len) => look(&map, &model, start, len)?,
            }
            prop_assert_eq!(map.regions().count(), model.len());
        }
    }
}
