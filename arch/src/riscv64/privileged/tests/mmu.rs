//! Page walks.

use std::collections::BTreeMap;

use base::{GuestPhys, GuestVirt};

use super::Hart;
use crate::riscv64::privileged::mmu::{
    A, D, Fault, G, Mapping, N, PAGE, PBMT, PageTableMemory, R, Regime, Resolved, U, V, W, X,
    resolve, translate,
};
use crate::riscv64::privileged::pmp::{self, Access};
use crate::riscv64::privileged::satp::Mode;
use crate::riscv64::privileged::{Exception, Privilege, envcfg, slot, status};

use Access::{Fetch, Load, Store};
use Privilege::{Machine, Supervisor, User};

/// RAM below 4 GiB, zero but for what was written.
#[derive(Default)]
struct Memory {
    words: BTreeMap<u64, u64>,
    /// How often a compare-and-swap loses to another hart.
    races: u32,
}

impl PageTableMemory for Memory {
    type Error = ();

    fn load(&mut self, phys: GuestPhys) -> Result<u64, ()> {
        assert_eq!(phys.0 % 8, 0);
        if phys.0 >= 1 << 32 { Err(()) } else { Ok(*self.words.get(&phys.0).unwrap_or(&0)) }
    }

    fn compare_exchange(&mut self, phys: GuestPhys, old: u64, new: u64) -> Result<bool, ()> {
        if self.races > 0 {
            self.races -= 1;
            return Ok(false);
        }
        assert_eq!(self.load(phys), Ok(old));
        self.words.insert(phys.0, new);
        Ok(true)
    }
}

const ROOT: u64 = 0x1000;

/// An entry that points to this physical address.
fn pte(phys: u64, flags: u64) -> u64 {
    phys >> 12 << 10 | flags
}

/// A hart at supervisor level under Sv39, PMP open, and memory with one page: 0x40_2123 of the page
/// at 0x40_2000 through three tables, whose last entry has these flags.
fn walker(flags: u64) -> (Hart, Memory) {
    let mut hart = Hart::at(Supervisor);
    hart.set(slot::pmpaddr(0), u64::MAX >> 10);
    hart.set(slot::PMPCFG0, (pmp::NAPOT | pmp::R | pmp::W | pmp::X).into());
    hart.set(slot::SATP, 8 << 60 | 7 << 44 | ROOT >> 12);
    let mut memory = Memory::default();
    memory.words.insert(ROOT, pte(0x2000, V));
    memory.words.insert(0x2000 + 8 * 2, pte(0x3000, V));
    memory.words.insert(LEAF, pte(0x8_0000, flags));
    (hart, memory)
}

const LEAF: u64 = 0x3000 + 8 * 2;
const ADDR: GuestVirt = GuestVirt(0x40_2123);

fn walk(
    hart: &Hart,
    memory: &mut Memory,
    addr: GuestVirt,
    access: Access,
) -> Result<Mapping, Fault> {
    let regime = Regime::of(&hart.frame, &hart.ctx, access);
    translate(&hart.frame, &regime, memory, addr, access)
}

const RWX: u64 = R | W | X;
const AD: u64 = A | D;

/// Level, mstatus, flags of the leaf, access, whether it passes.
#[test]
fn permissions() {
    let cases = [
        (Supervisor, 0, V | R | AD, Load, true),
        (Supervisor, 0, V | R | AD, Store, false),
        (Supervisor, 0, V | R | AD, Fetch, false),
        (Supervisor, 0, V | R | W | AD, Store, true),
        (Supervisor, 0, V | X | AD, Fetch, true),
        (Supervisor, 0, V | X | AD, Load, false),
        (Supervisor, status::MXR, V | X | AD, Load, true),
        (Supervisor, status::MXR, V | X | AD, Store, false),
        // Reserved or invalid.
        (Supervisor, 0, V | W | AD, Load, false),
        (Supervisor, 0, V | W | X | AD, Fetch, false),
        (Supervisor, 0, RWX | AD, Load, false),
        // A pointer in the last table.
        (Supervisor, 0, V, Load, false),
        // User pages.
        (User, 0, V | RWX | AD, Load, false),
        (User, 0, V | RWX | AD, Fetch, false),
        (User, 0, V | RWX | U | AD, Load, true),
        (User, 0, V | RWX | U | AD, Store, true),
        (User, 0, V | RWX | U | AD, Fetch, true),
        (User, status::MXR, V | X | U | AD, Load, true),
        (Supervisor, 0, V | RWX | U | AD, Load, false),
        (Supervisor, 0, V | RWX | U | AD, Fetch, false),
        (Supervisor, status::SUM, V | RWX | U | AD, Load, true),
        (Supervisor, status::SUM, V | RWX | U | AD, Store, true),
        (Supervisor, status::SUM, V | RWX | U | AD, Fetch, false),
        // Accessed and dirty (Svade).
        (Supervisor, 0, V | RWX | D, Load, false),
        (Supervisor, 0, V | RWX | D, Fetch, false),
        (Supervisor, 0, V | RWX | A, Load, true),
        (Supervisor, 0, V | RWX | A, Fetch, true),
        (Supervisor, 0, V | RWX | A, Store, false),
    ];
    for (index, (level, mstatus, flags, access, passes)) in cases.into_iter().enumerate() {
        let (mut hart, mut memory) = walker(flags);
        hart.set_level(level);
        hart.or(slot::MSTATUS, mstatus);
        let before = memory.words.clone();
        let found = walk(&hart, &mut memory, ADDR, access);
        match passes {
            true => assert_eq!(found.unwrap().phys, GuestPhys(0x8_0123), "case {index}"),
            false => assert_eq!(found, Err(Fault::Page), "case {index}"),
        }
        assert_eq!(memory.words, before, "Svade writes nothing");
    }
}

#[test]
fn machine_level_and_mprv() {
    let (mut hart, mut memory) = walker(V | R | U | AD);
    hart.set_level(Machine);
    let bare = |hart: &Hart, memory: &mut Memory, access| {
        walk(hart, memory, ADDR, access).map(|mapping| mapping.phys == GuestPhys(ADDR.0))
    };
    assert_eq!(bare(&hart, &mut memory, Load), Ok(true));
    hart.or(slot::MSTATUS, status::MPRV);
    assert_eq!(bare(&hart, &mut memory, Load), Ok(false), "as user level");
    assert_eq!(bare(&hart, &mut memory, Fetch), Ok(true), "fetches are not lent");
    hart.or(slot::MSTATUS, 1 << status::MPP_SHIFT);
    assert_eq!(bare(&hart, &mut memory, Load), Err(Fault::Page), "a user page");
    hart.or(slot::MSTATUS, 3 << status::MPP_SHIFT);
    assert_eq!(bare(&hart, &mut memory, Load), Ok(true));
}

#[test]
fn a_and_d_are_set_under_svadu() {
    for (flags, access, expected, writable) in [
        (V | RWX, Load, A, false),
        (V | RWX, Fetch, A, false),
        (V | RWX, Store, AD, true),
        (V | RWX | A, Store, AD, true),
        (V | RWX | A, Load, A, false),
        (V | RWX | AD, Load, AD, true),
        (V | R | AD, Load, AD, false),
    ] {
        let (mut hart, mut memory) = walker(flags);
        hart.set(slot::MENVCFG, envcfg::ADUE);
        memory.races = 3;
        let mapping = walk(&hart, &mut memory, ADDR, access).unwrap();
        assert_eq!(memory.words[&LEAF] & AD, expected);
        assert_eq!(mapping.writable, writable);
    }
    // What is forbidden leaves no trace.
    let (mut hart, mut memory) = walker(V | R);
    hart.set(slot::MENVCFG, envcfg::ADUE);
    assert_eq!(walk(&hart, &mut memory, ADDR, Store), Err(Fault::Page));
    assert_eq!(memory.words[&LEAF] & AD, 0);
    // Somebody who never lets go hangs nobody.
    let (mut hart, mut memory) = walker(V | RWX);
    hart.set(slot::MENVCFG, envcfg::ADUE);
    memory.races = u32::MAX;
    assert_eq!(walk(&hart, &mut memory, ADDR, Load), Err(Fault::Page));
}

#[test]
fn reserved_bits_fault() {
    let leaf = V | RWX | AD;
    for bad in (54..61).map(|bit| leaf | 1 << bit).chain([leaf | 1 << 61, leaf | PBMT]) {
        let (hart, mut memory) = walker(bad);
        assert_eq!(walk(&hart, &mut memory, ADDR, Load), Err(Fault::Page), "{bad:#x}");
    }
    for (memory_type, passes) in [(1, true), (2, true), (3, false)] {
        let (mut hart, mut memory) = walker(leaf | memory_type << 61);
        hart.set(slot::MENVCFG, envcfg::PBMTE);
        assert_eq!(walk(&hart, &mut memory, ADDR, Load).is_ok(), passes);
    }
    // In a pointer, D, A, U, the memory type and N are reserved; G is not.
    for (bits, passes) in
        [(D, false), (A, false), (U, false), (N, false), (1 << 61, false), (G, true)]
    {
        let (mut hart, mut memory) = walker(leaf);
        hart.set(slot::MENVCFG, envcfg::PBMTE);
        memory.words.insert(ROOT, pte(0x2000, V | bits));
        let found = walk(&hart, &mut memory, ADDR, Load);
        assert_eq!(found.is_ok(), passes, "{bits:#x}");
        assert!(found.is_err() || found.unwrap().global);
    }
}

#[test]
fn superpages_must_be_aligned() {
    for (table, phys, size) in
        [(ROOT, 0x4000_0000, 1 << 30), (0x2000 + 8 * 2, 0x40_0000, 1 << 21), (LEAF, 0x8_0000, PAGE)]
    {
        let (hart, mut memory) = walker(0);
        memory.words.insert(table, pte(phys, V | RWX | AD));
        let mapping = walk(&hart, &mut memory, ADDR, Load).unwrap();
        assert_eq!(mapping.size, size);
        assert_eq!(mapping.phys, GuestPhys(phys | ADDR.0 & (size - 1)));
        if size > PAGE {
            memory.words.insert(table, pte(phys | size >> 1, V | RWX | AD));
            assert_eq!(walk(&hart, &mut memory, ADDR, Load), Err(Fault::Page));
        }
    }
}

#[test]
fn napot_pages_are_64_kib() {
    let (hart, mut memory) = walker(0);
    memory.words.insert(LEAF, pte(0x8_8000, V | RWX | AD | N));
    let mapping = walk(&hart, &mut memory, ADDR, Load).unwrap();
    assert_eq!((mapping.phys, mapping.size), (GuestPhys(0x8_2123), 1 << 16));
    for phys in [0x8_0000, 0x8_4000, 0x8_9000, 0x8_c000] {
        memory.words.insert(LEAF, pte(phys, V | RWX | AD | N));
        assert_eq!(walk(&hart, &mut memory, ADDR, Load), Err(Fault::Page), "{phys:#x}");
    }
    // Not in superpages, and not on other CPUs.
    memory.words.insert(0x2000 + 8 * 2, pte(0x100_8000, V | RWX | AD | N));
    assert_eq!(walk(&hart, &mut memory, ADDR, Load), Err(Fault::Page));
    let (mut hart, mut memory) = walker(V | RWX | AD | N);
    memory.words.insert(LEAF, pte(0x8_8000, V | RWX | AD | N));
    let other = Hart::new("rv64,-svnapot");
    hart.ctx = other.ctx;
    assert_eq!(walk(&hart, &mut memory, ADDR, Load), Err(Fault::Page));
}

#[test]
fn addresses_must_be_canonical() {
    for (mode, bits) in [(8, 39), (9, 48), (10, 57)] {
        let (mut hart, mut memory) = walker(0);
        hart.set(slot::SATP, mode << 60 | ROOT >> 12);
        for index in [0, 255, 256, 511] {
            memory.words.insert(ROOT + 8 * index, pte(0, V | RWX | AD));
        }
        let half = 1_u64 << (bits - 1);
        for (addr, passes) in [
            (0, true),
            (half - 1, true),
            (half, false),
            (2 * half - 1, false),
            (2 * half, false),
            (half.wrapping_neg() - 1, false),
            (half.wrapping_neg(), true),
            (u64::MAX, true),
        ] {
            let found = walk(&hart, &mut memory, GuestVirt(addr), Load);
            assert_eq!(found.is_ok(), passes, "Sv{bits} {addr:#x}");
            let size = 1_u64 << (bits - 9);
            assert!(found.is_err() || found.unwrap().size == size);
        }
    }
}

#[test]
fn tables_that_cannot_be_read_are_access_faults() {
    let (hart, mut memory) = walker(V | RWX | AD);
    memory.words.insert(ROOT, pte(1 << 40, V));
    for (access, exception) in [
        (Fetch, Exception::FetchAccess),
        (Load, Exception::LoadAccess),
        (Store, Exception::StoreAccess),
    ] {
        let fault = walk(&hart, &mut memory, ADDR, access).unwrap_err();
        assert_eq!(fault.exception(access), exception);
    }
    // PMP hides the last table: entry 0 covers it, with no permission.
    let (mut hart, mut memory) = walker(V | RWX | AD);
    hart.set(slot::pmpaddr(1), u64::MAX >> 10);
    hart.set(slot::pmpaddr(0), 0x3000 >> 2 | 0x1ff);
    let open = u64::from(pmp::NAPOT | pmp::R | pmp::W | pmp::X);
    hart.set(slot::PMPCFG0, open << 8 | u64::from(pmp::NAPOT));
    assert_eq!(walk(&hart, &mut memory, ADDR, Load), Err(Fault::Access));
    // Readable but not writable: only the update of A fails.
    hart.set(slot::PMPCFG0, open << 8 | u64::from(pmp::NAPOT | pmp::R));
    assert!(walk(&hart, &mut memory, ADDR, Load).is_ok());
    memory.words.insert(LEAF, pte(0x8_0000, V | RWX));
    hart.set(slot::MENVCFG, envcfg::ADUE);
    assert_eq!(walk(&hart, &mut memory, ADDR, Load), Err(Fault::Access));
    assert_eq!(Fault::Page.exception(Store), Exception::StorePage);
}

#[test]
fn regimes_differ_where_translations_do() {
    let (mut hart, _) = walker(0);
    let data = |hart: &Hart| Regime::of_data(&hart.frame, &hart.ctx);
    let before = data(&hart);
    assert_eq!((before.mode, before.asid, before.root), (Mode::Sv39, 7, GuestPhys(ROOT)));
    hart.or(slot::MSTATUS, status::TVM | status::SPP);
    assert_eq!(data(&hart), before);
    hart.or(slot::MSTATUS, status::SUM);
    assert_ne!(data(&hart), before);
    hart.set_level(Machine);
    assert_eq!(data(&hart).mode, Mode::Bare);
}

#[test]
fn resolving_asks_pmp_about_the_page_too() {
    let ask = |hart: &Hart, memory: &mut Memory, access| {
        resolve(&hart.frame, &hart.ctx, memory, ADDR, 8, access)
    };
    // All of a superpage.
    let (hart, mut memory) = walker(0);
    memory.words.insert(0x2000 + 8 * 2, pte(0x40_0000, V | RWX | AD));
    let Resolved { mapping, is_whole } = ask(&hart, &mut memory, Load).unwrap();
    assert!(is_whole && mapping.size == 1 << 21 && mapping.writable);
    // A page of it is read-only: 4 KiB elsewhere, narrowed within.
    let open = u64::from(pmp::NAPOT | pmp::R | pmp::W | pmp::X);
    let mut hart = hart;
    hart.set(slot::pmpaddr(1), u64::MAX >> 10);
    hart.set(slot::PMPCFG0, open << 8 | u64::from(pmp::NAPOT | pmp::R));
    hart.set(slot::pmpaddr(0), 0x40_3000 >> 2 | 0x1ff);
    let found = ask(&hart, &mut memory, Load).unwrap();
    assert!(found.is_whole && found.mapping.size == PAGE && found.mapping.writable);
    hart.set(slot::pmpaddr(0), 0x40_2000 >> 2 | 0x1ff);
    let found = ask(&hart, &mut memory, Load).unwrap();
    assert!(found.is_whole && found.mapping.size == PAGE && !found.mapping.writable);
    assert_eq!(ask(&hart, &mut memory, Store), Err(Fault::Access));
    // A part of the page: nothing to remember.
    hart.set(slot::pmpaddr(0), 0x40_2800 >> 2);
    let found = ask(&hart, &mut memory, Store).unwrap();
    assert!(!found.is_whole);
}
