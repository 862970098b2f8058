//! Both domains, with harts and with IMSICs.

use proptest::prelude::*;

use super::*;
use crate::device::Width;
use crate::devices::bench::{Bench, any_access};

const DELEGATED: u32 = 0x400;
const DETACHED: u32 = 1;
const EDGE1: u32 = 4;
const EDGE0: u32 = 5;
const LEVEL1: u32 = 6;
const LEVEL0: u32 = 7;

const DOMAINCFG: u64 = 0;
const SETIP: u64 = 0x1c00;
const SETIPNUM: u64 = 0x1cdc;
const IN_CLRIP: u64 = 0x1d00;
const CLRIPNUM: u64 = 0x1ddc;
const SETIE: u64 = 0x1e00;
const SETIENUM: u64 = 0x1edc;
const CLRIENUM: u64 = 0x1fdc;
const GENMSI: u64 = 0x3000;
const TARGET: u64 = 0x3000;
const IDC: u64 = 0x4000;
const IFORCE: u64 = 4;
const ITHRESHOLD: u64 = 8;
const TOPI: u64 = 0x18;
const CLAIMI: u64 = 0x1c;

/// A domain under test.
struct Board {
    bench: Bench<Aplic>,
    domain: u32,
}

impl Board {
    /// Direct delivery; hart 0 and 1 take interrupts of either domain.
    fn direct(domain: u32) -> Self {
        let bench = Bench::new(Aplic::new(2, 95, Delivery::Direct));
        let mut board = Self { bench, domain };
        board.write(DOMAINCFG, 0x100);
        (0..2).for_each(|hart| board.write(IDC + 0x20 * hart, 1));
        board
    }

    /// Messages, to IMSICs at 0x24000000 and 0x28000000 with one guest interrupt file.
    fn messages(domain: u32) -> Self {
        let delivery = Delivery::DirectOrMessages { guests: true };
        let mut board = Self { bench: Bench::new(Aplic::new(4, 95, delivery)), domain: 0 };
        board.write(0x1bc0, 0x24000);
        board.write(0x1bc4, 2 << 12);
        board.write(0x1bc8, 0x28000);
        board.write(0x1bcc, 1 << 20);
        board.domain = domain;
        board.write(DOMAINCFG, 0x104);
        board
    }

    fn access(&self, offset: u64) -> Access {
        Access { window: self.domain, offset, width: Width::B4 }
    }

    fn read(&mut self, offset: u64) -> u32 {
        let access = self.access(offset);
        self.bench.try_read(access).unwrap() as u32
    }

    fn write(&mut self, offset: u64, value: u32) {
        let access = self.access(offset);
        self.bench.try_write(access, value.into()).unwrap();
    }

    /// Gives the domain a source in this mode, enabled.
    fn source(&mut self, source: u64, mode: u32, target: u32) {
        if self.domain == 1 {
            self.domain = 0;
            self.write(4 * source, DELEGATED);
            self.domain = 1;
        }
        self.write(4 * source, mode);
        self.write(TARGET + 4 * source, target);
        self.write(SETIENUM, source as u32);
    }

    fn sent(&mut self) -> Vec<(u64, u32)> {
        let messages = std::mem::take(&mut self.bench.messages);
        messages.into_iter().map(|message| (message.address.0, message.data)).collect()
    }
}

#[test]
fn level_sources_follow_their_wires_in_direct_mode() {
    for (domain, output) in [(0, 2), (1, 3)] {
        let mut board = Board::direct(domain);
        board.source(10, LEVEL1, 1 << 18 | 3);
        board.bench.input(10, true);
        assert_eq!(board.bench.outputs(), [output]);
        assert_eq!(board.read(IDC + 0x20 + CLAIMI), 10 << 16 | 3);
        board.write(CLRIPNUM, 10);
        assert_eq!((board.bench.outputs(), board.read(SETIP)), (vec![output], 1 << 10));
        board.bench.input(10, false);
        board.write(SETIPNUM, 10);
        assert_eq!((board.bench.outputs(), board.read(IDC + 0x20 + TOPI)), (vec![], 0));
    }
}

#[test]
fn edges_are_latched_until_they_are_claimed() {
    let mut board = Board::direct(0);
    board.source(1, EDGE1, 2);
    board.source(2, EDGE0, 1);
    board.bench.input(1, true);
    board.bench.input(1, false);
    board.bench.input(2, true);
    assert_eq!(board.read(IDC + TOPI), 1 << 16 | 2);
    board.bench.input(2, false);
    assert_eq!([(); 3].map(|()| board.read(IDC + CLAIMI)), [2 << 16 | 1, 1 << 16 | 2, 0]);
    assert_eq!(board.read(IN_CLRIP), 1 << 2, "source 2 is inverted");
    board.write(SETIP, 0b110);
    board.write(CLRIPNUM, 1);
    assert_eq!(board.read(SETIP), 0b100);
}

#[test]
fn priorities_thresholds_and_force() {
    let mut board = Board::direct(0);
    (3..6).for_each(|source| board.source(source, DETACHED, 5));
    board.write(TARGET + 4 * 5, 4);
    board.write(SETIP, 0b11_1000);
    assert_eq!(board.read(IDC + TOPI), 5 << 16 | 4);
    board.write(CLRIENUM, 5);
    assert_eq!(board.read(IDC + TOPI), 3 << 16 | 5);
    board.write(IDC + ITHRESHOLD, 5);
    assert_eq!((board.read(IDC + TOPI), board.bench.outputs()), (0, vec![]));
    board.write(IDC + IFORCE, 1);
    assert_eq!(board.bench.outputs(), [0]);
    assert_eq!((board.read(IDC + CLAIMI), board.read(IDC + IFORCE)), (0, 0));
    board.write(IDC + ITHRESHOLD, 6);
    assert_eq!(board.bench.outputs(), [0]);
    board.write(DOMAINCFG, 0);
    assert!(board.bench.outputs().is_empty());
}

#[test]
fn registers_hold_what_the_specification_lets_them() {
    let mut board = Board::direct(0);
    board.write(DOMAINCFG, u32::MAX);
    assert_eq!(board.read(DOMAINCFG), 0x8000_0100, "no messages, little-endian");
    for (value, held) in [(2, 0), (3, 0), (0x3ff, 7), (0x7ff, 0x400), (u32::MAX, 0x400)] {
        board.write(4, value);
        assert_eq!(board.read(4), held, "{value:#x}");
    }
    board.write(TARGET + 4, u32::MAX);
    board.write(SETIE, u32::MAX);
    assert_eq!((board.read(TARGET + 4), board.read(SETIE)), (0, 0), "all are inactive");
    board.write(8, EDGE1);
    assert_eq!(board.read(TARGET + 8), 1, "priorities are not 0");
    board.write(TARGET + 8, u32::MAX);
    assert_eq!(board.read(TARGET + 8), 0xfffc_00ff);
    board.write(0x1bc0, 1);
    board.write(4 * 96, LEVEL1);
    assert_eq!((board.read(0x1bc0), board.read(4 * 96), board.read(GENMSI)), (0, 0, 0));
    let wide = Access { window: 0, offset: 0, width: Width::B8 };
    assert_eq!(board.bench.try_read(wide), Err(Refusal::Width));
}

#[test]
fn the_child_has_what_the_root_gives_it() {
    let mut board = Board::direct(1);
    board.write(4 * 7, LEVEL1);
    assert_eq!(board.read(4 * 7), 0, "not delegated");
    board.bench.input(7, true);
    board.source(7, LEVEL1, 1);
    assert_eq!(board.bench.outputs(), [1], "its wire is high already");
    board.write(4 * 7, DELEGATED);
    assert_eq!(board.read(4 * 7), 0, "it has no child");
    board.source(7, LEVEL1, 1);
    board.domain = 0;
    assert_eq!((board.read(SETIP), board.read(TARGET + 4 * 7)), (0, 0));
    board.write(4 * 7, 0);
    board.domain = 1;
    assert_eq!((board.read(4 * 7), board.read(SETIE), board.bench.outputs()), (0, 0, vec![]));
}

#[test]
fn messages_go_to_the_files_of_harts() {
    let mut board = Board::messages(0);
    board.source(1, EDGE1, 3 << 18 | 40);
    board.bench.input(1, true);
    assert_eq!(board.sent(), [(0x2400_3000, 40)]);
    assert_eq!((board.read(SETIP), board.bench.outputs()), (0, vec![]));
    let mut board = Board::messages(1);
    board.source(1, EDGE1, 2 << 18 | 1 << 12 | 41);
    board.bench.input(1, true);
    assert_eq!(board.sent(), [(0x2800_5000, 41)]);
    board.write(GENMSI, 1 << 18 | 1 << 12 | 9);
    assert_eq!((board.sent(), board.read(GENMSI)), (vec![(0x2800_2000, 9)], 1 << 18 | 9));
}

#[test]
fn a_level_sends_one_message_until_it_falls_or_is_asked_for() {
    let mut board = Board::messages(0);
    board.source(5, LEVEL0, 20);
    assert_eq!(board.sent(), [(0x2400_0000, 20)], "low is asserted");
    board.bench.input(5, false);
    assert_eq!(board.sent(), []);
    board.write(SETIPNUM, 5);
    assert_eq!(board.sent(), [(0x2400_0000, 20)]);
    board.bench.input(5, true);
    board.write(SETIPNUM, 5);
    assert_eq!(board.sent(), []);
    board.write(CLRIENUM, 5);
    board.bench.input(5, false);
    assert_eq!((board.sent(), board.read(SETIP)), (vec![], 1 << 5));
    board.write(SETIENUM, 5);
    assert_eq!(board.sent(), [(0x2400_0000, 20)]);
}

#[test]
fn locked_addresses_stay() {
    let mut board = Board::messages(0);
    board.write(0x1bc4, u32::MAX);
    assert_eq!(board.read(0x1bc4), 0x9f77_ffff);
    for offset in [0x1bc0, 0x1bc4, 0x1bc8, 0x1bcc] {
        let before = board.read(offset);
        board.write(offset, 0x123);
        assert_eq!(board.read(offset), before);
    }
    board.domain = 1;
    assert_eq!(board.read(0x1bc0), 0);
}

#[test]
fn groups_of_harts_lie_apart() {
    let addresses = MsiAddresses {
        mmsiaddrcfg: 0x24000,
        // HHXS 4, LHXS 1, HHXW 1, LHXW 2.
        mmsiaddrcfgh: 4 << 24 | 1 << 20 | 1 << 16 | 2 << 12,
        ..MsiAddresses::default()
    };
    let page = addresses.page(ROOT, 0b110 << target::HART_SHIFT);
    assert_eq!(page, GuestPhys((0x24000 | 1 << 16 | 0b10 << 1) << 12));
}

#[test]
fn wires_outlast_a_reset() {
    let mut board = Board::direct(0);
    board.bench.input(3, true);
    board.bench.device.reset();
    board.write(4 * 3, LEVEL1);
    assert_eq!((board.read(DOMAINCFG), board.read(IN_CLRIP)), (0x8000_0000, 1 << 3));
}

proptest! {
    /// Section 4.7: without messages, a level is pending exactly while its wire says so; with them, only
    /// while it does.
    #[test]
    fn levels_are_pending_only_while_asserted(direct in any::<bool>(), steps in prop::collection::vec((1_u32..8, 0_u8..6), 1..60)) {
        let mut board = if direct { Board::direct(0) } else { Board::messages(0) };
        (1..8).for_each(|source| board.write(4 * source, if source % 2 == 0 { LEVEL1 } else { LEVEL0 }));
        for (source, step) in steps {
            match step {
                0 | 1 => board.bench.input(source, step == 1),
                2 => board.write(SETIPNUM, source),
                3 => board.write(CLRIPNUM, source),
                4 => board.write(SETIENUM, source),
                _ => board.write(CLRIENUM, source),
            }
            let (pending, asserted) = (board.read(SETIP), board.read(IN_CLRIP));
            prop_assert_eq!(pending & !asserted, 0);
            prop_assert!(!direct || pending == asserted);
        }
    }

    #[test]
    fn no_access_panics(accesses in prop::collection::vec((any_access(0, WINDOW), any::<bool>(), any::<u64>()), 0..100)) {
        let delivery = Delivery::DirectOrMessages { guests: true };
        let mut bench = Bench::new(Aplic::new(MAX_HARTS, 1023, delivery));
        for (mut access, near, value) in accesses {
            access.window = value as u32 % 2;
            if near {
                access.offset &= 0x7c7c;
                access.width = Width::B4;
            }
            bench.input(value as u32 % 1030, value >> 40 & 1 != 0);
            let _ = bench.try_write(access, value >> (value % 32));
            let _ = bench.try_read(access);
        }
        let _ = bench.outputs();
    }
}
