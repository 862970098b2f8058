//! AIA: indirect access, interrupt files, the top interrupts.

use super::{Hart, Told};
use crate::riscv64::privileged::access::{self, Illegal, Modify};
use crate::riscv64::privileged::aia::{FileOp, InterruptFile};
use crate::riscv64::privileged::{Privilege, envcfg, interrupt, slot};

use Privilege::{Machine, Supervisor};

const SISELECT: u16 = 0x150;
const SIREG: u16 = 0x151;
const STOPEI: u16 = 0x15c;
const MISELECT: u16 = 0x350;
const MIREG: u16 = 0x351;
const MTOPEI: u16 = 0x35c;
const MTOPI: u16 = 0xfb0;
const STOPI: u16 = 0xdb0;

fn modify(hart: &mut Hart, number: u16, how: Modify) -> Result<u64, Illegal> {
    access::modify(&mut hart.frame, &hart.ctx, number, how).map(|(old, _)| old)
}

/// At supervisor level with all of AIA's state open.
fn open() -> Hart {
    let mut hart = Hart::at(Supervisor);
    hart.set(slot::MSTATEEN0, u64::MAX);
    hart
}

#[test]
fn accesses_reach_the_file_in_one_piece() {
    let mut hart = open();
    modify(&mut hart, SISELECT, Modify::Write(0xc0)).unwrap();
    assert_eq!(modify(&mut hart, SIREG, Modify::Set(6)), Ok(0xc0));
    assert_eq!(modify(&mut hart, STOPEI, Modify::Nothing), Ok(1));
    assert_eq!(modify(&mut hart, STOPEI, Modify::Write(0)), Ok(2));
    let file = InterruptFile::Supervisor;
    let register = FileOp::Register { select: 0xc0, how: Modify::Set(6) };
    let told = [register, FileOp::Top, FileOp::Claim].map(|op| Told::File(file, op));
    assert_eq!(hart.told(), told);
    hart.set_level(Machine);
    modify(&mut hart, MISELECT, Modify::Write(0x70)).unwrap();
    assert_eq!(modify(&mut hart, MIREG, Modify::Nothing), Ok(0x70));
    assert_eq!(modify(&mut hart, MTOPEI, Modify::Nothing), Ok(1));
    assert!(matches!(hart.told()[..], [Told::File(InterruptFile::Machine, _), _]));
}

#[test]
fn what_is_selected_decides() {
    // Selected, whether sireg can be read.
    let cases = [
        (0, false),
        (0x2f, false),
        (0x30, true),
        (0x31, false),
        (0x3e, true),
        (0x40, false),
        (0x100, false),
    ];
    for (select, legal) in cases {
        let mut hart = open();
        modify(&mut hart, SISELECT, Modify::Write(select)).unwrap();
        let expected = if legal { Ok(0) } else { Err(Illegal) };
        assert_eq!(modify(&mut hart, SIREG, Modify::Write(u64::MAX)), expected, "{select:#x}");
        assert!(hart.told().is_empty());
    }
}

#[test]
fn machine_level_keeps_state_to_itself() {
    for (bit, number) in [
        (envcfg::STATEEN_CSRIND, SISELECT),
        (envcfg::STATEEN_AIA, STOPI),
        (envcfg::STATEEN_IMSIC, STOPEI),
    ] {
        let mut hart = Hart::at(Supervisor);
        assert_eq!(modify(&mut hart, number, Modify::Nothing), Err(Illegal));
        hart.set(slot::MSTATEEN0, bit);
        assert!(modify(&mut hart, number, Modify::Nothing).is_ok());
    }
    // The way round by sireg is closed with the file.
    let mut hart = Hart::at(Supervisor);
    hart.set(slot::MSTATEEN0, envcfg::STATEEN_CSRIND);
    modify(&mut hart, SISELECT, Modify::Write(0x70)).unwrap();
    assert_eq!(modify(&mut hart, SIREG, Modify::Nothing), Err(Illegal));
}

#[test]
fn the_top_interrupt_is_the_first_by_rank() {
    let mut hart = Hart::at(Machine);
    hart.ctx.raise(interrupt::MTIP | interrupt::MEIP | interrupt::SEIP);
    hart.set(slot::MIP_SW, interrupt::SSIP);
    hart.set(slot::MIDELEG, interrupt::DELEGABLE);
    assert_eq!(modify(&mut hart, MTOPI, Modify::Nothing), Ok(0));
    hart.set(slot::MIE, interrupt::ALL);
    assert_eq!(modify(&mut hart, MTOPI, Modify::Nothing), Ok(11 << 16 | 1));
    assert_eq!(modify(&mut hart, STOPI, Modify::Nothing), Ok(9 << 16 | 1));
    hart.ctx.lower(interrupt::MEIP | interrupt::SEIP);
    assert_eq!(modify(&mut hart, MTOPI, Modify::Nothing), Ok(7 << 16 | 1));
    assert_eq!(modify(&mut hart, STOPI, Modify::Nothing), Ok(1 << 16 | 1));
}

#[test]
fn without_it_there_is_nothing() {
    let mut hart = Hart::new("max,-ssaia");
    for number in [SISELECT, SIREG, STOPEI, STOPI, MISELECT, MIREG, MTOPEI, MTOPI, 0x308, 0x309] {
        assert_eq!(modify(&mut hart, number, Modify::Nothing), Err(Illegal), "{number:#x}");
    }
    modify(&mut hart, 0x30c, Modify::Write(u64::MAX)).unwrap();
    assert_eq!(hart.frame.get(slot::MSTATEEN0), envcfg::STATEEN_SE | envcfg::STATEEN_ENVCFG);
}
