//! Physical memory protection.

use base::GuestPhys;

use super::Hart;
use crate::riscv64::privileged::pmp::{
    Access, L, NA4, NAPOT, Page, Permissions, R, TOR, W, X, check, check_page,
};
use crate::riscv64::privileged::{Privilege, access, slot};

use Privilege::{Machine, Supervisor};

/// Configurations and address registers, from entry 0 on.
type Entries<'a> = &'a [(u8, u64)];

/// A hart with these entries.
fn hart(entries: Entries<'_>) -> Hart {
    let mut hart = Hart::at(Machine);
    for (n, &(_, address)) in entries.iter().enumerate() {
        let number = 0x3b0 + n as u16;
        let _ = access::write(&mut hart.frame, &hart.ctx, number, address).unwrap();
    }
    for (half, number) in [(0..8, 0x3a0), (8..16, 0x3a2)] {
        let mut bytes = [0; 8];
        for n in half.clone().filter(|&n| n < entries.len()) {
            bytes[n - half.start] = entries[n].0;
        }
        let value = u64::from_le_bytes(bytes);
        let _ = access::write(&mut hart.frame, &hart.ctx, number, value).unwrap();
    }
    hart
}

/// First and last byte that supervisor level can read.
#[test]
fn address_matching() {
    let cases: &[(Entries, u64, u64)] = &[
        (&[(NA4 | R, 0x1000 >> 2)], 0x1000, 0x1003),
        (&[(NAPOT | R, 0x1000 >> 2)], 0x1000, 0x1007),
        (&[(NAPOT | R, 0x1000 >> 2 | 1)], 0x1000, 0x100f),
        (&[(NAPOT | R, 0x2000 >> 2 | 0x1ff)], 0x2000, 0x2fff),
        (&[(TOR | R, 0x1000 >> 2)], 0, 0xfff),
        (&[(0, 0x1000 >> 2), (TOR | R, 0x1800 >> 2)], 0x1000, 0x17ff),
        (&[(NAPOT | R, u64::MAX)], 0, 0x1ff_ffff_ffff_ffff),
        (&[(TOR | R, u64::MAX)], 0, 0xff_ffff_ffff_fffb),
    ];
    for (index, &(entries, first, last)) in cases.iter().enumerate() {
        let hart = hart(entries);
        let read = |at| check(&hart.frame, GuestPhys(at), 1, Supervisor, Access::Load);
        assert!(read(first) && read(last), "case {index}");
        assert!(first == 0 || !read(first - 1), "case {index}");
        assert!(!read(last + 1), "case {index}");
    }
}

#[test]
fn without_a_match_machine_level_alone_may_do_everything() {
    let hart = hart(&[]);
    for access in [Access::Fetch, Access::Load, Access::Store] {
        assert!(check(&hart.frame, GuestPhys(0), 8, Machine, access));
        assert!(!check(&hart.frame, GuestPhys(0), 8, Supervisor, access));
    }
    let page = |level| check_page(&hart.frame, GuestPhys(0), 4096, level);
    assert_eq!(page(Machine), Page::Whole(Permissions::ALL));
    assert_eq!(page(Supervisor), Page::Whole(Permissions::NONE));
}

#[test]
fn the_first_match_decides() {
    let hart = hart(&[(NAPOT | R, 0x1000 >> 2), (NAPOT | R | W | X, u64::MAX)]);
    let may = |at, size, access| check(&hart.frame, GuestPhys(at), size, Supervisor, access);
    assert!(may(0x1000, 8, Access::Load) && !may(0x1000, 8, Access::Store));
    assert!(may(0x1008, 8, Access::Store) && may(0x1008, 4, Access::Fetch));
    // In part: no access, though both entries allow reads; not even at machine level.
    assert!(!may(0x1004, 8, Access::Load));
    assert!(!check(&hart.frame, GuestPhys(0x1004), 8, Machine, Access::Load));
    let page = |at| check_page(&hart.frame, GuestPhys(at), 4096, Supervisor);
    assert_eq!((page(0x1000), page(0x2000)), (Page::Mixed, Page::Whole(Permissions::ALL)));
}

#[test]
fn locked_entries_bind_machine_level_and_stay() {
    let mut hart = hart(&[(NAPOT | R | L, 0x1000 >> 2 | 0x1ff), (NAPOT | R, 0x1ff)]);
    let may = |hart: &Hart, at, access| check(&hart.frame, GuestPhys(at), 8, Machine, access);
    assert!(may(&hart, 0x1000, Access::Load) && !may(&hart, 0x1000, Access::Store));
    assert!(may(&hart, 0, Access::Store), "not locked: not for machine level");
    for (number, value) in [(0x3a0, 0), (0x3b0, 0)] {
        let _ = access::write(&mut hart.frame, &hart.ctx, number, value).unwrap();
    }
    assert_eq!(hart.frame.get(slot::PMPCFG0), u64::from(NAPOT | R | L));
    assert!(!may(&hart, 0x1000, Access::Store));
}

#[test]
fn a_locked_range_locks_where_it_begins() {
    let mut hart = hart(&[(0, 0x400), (TOR | L, 0x800), (0, 0x900)]);
    for number in [0x3b0, 0x3b1, 0x3b2] {
        let _ = access::write(&mut hart.frame, &hart.ctx, number, 1).unwrap();
    }
    let addresses = [0, 1, 2].map(|n| hart.frame.get(slot::pmpaddr(n)));
    assert_eq!(addresses, [0x400, 0x800, 1]);
}

#[test]
fn configurations_are_legal_whatever_is_written() {
    let hart = hart(&[(W, 0), (W | X, 0), (0x60 | R, 0), (R | W | X | NAPOT, 0)]);
    let entries = hart.frame.get(slot::PMPCFG0).to_le_bytes();
    assert_eq!(entries[..4], [0, X, R, R | W | X | NAPOT]);
    // Entries that are not implemented.
    let mut hart = hart;
    let _ = access::write(&mut hart.frame, &hart.ctx, 0x3a4, u64::MAX).unwrap();
    assert_eq!(access::read(&hart.frame, &hart.ctx, 0x3a4), Ok(0));
}
