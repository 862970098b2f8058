//! Registers: which bits can be written, who may access them.

use super::{Hart, Told};
use crate::riscv64::privileged::access::{self, Illegal, Modify, WriteEffect};
use crate::riscv64::privileged::{Privilege, csr, envcfg, key, key_flags, slot, status};

use Privilege::{Machine, Supervisor, User};

/// What reads back after all ones were written, and after all zeros.
const MASKS: &[(u16, u64, u64)] = &[
    (0x001, 0x1f, 0),
    (0x002, 7, 0),
    (0x003, 0xff, 0),
    (0x100, 0x8000_0002_000c_6122, 0x2_0000_0000),
    (0x106, 0xffff_ffff, 0),
    (0x10a, 0xf1, 0),
    (0x10c, 0, 0),
    (0x140, u64::MAX, 0),
    (0x150, 0xfff, 0),
    (0x141, !1, 0),
    (0x142, u64::MAX, 0),
    (0x143, u64::MAX, 0),
    (0x14d, u64::MAX, 0),
    (0x300, 0x8000_000a_007e_79aa, 0xa_0000_0000),
    (0x302, 0xb3ff, 0),
    (0x303, 0x222, 0),
    (0x304, 0xaaa, 0),
    (0x306, 0xffff_ffff, 0),
    (0x308, 0, 0),
    (0x309, 0x202, 0),
    (0x30a, 0xe000_0000_0000_00f1, 0),
    (0x30c, 0xdc00_0000_0000_0000, 0),
    (0x30d, 0x8000_0000_0000_0000, 0),
    (0x30f, 0x8000_0000_0000_0000, 0),
    (0x320, 5, 0),
    (0x323, 0, 0),
    (0x33f, 0, 0),
    (0x340, u64::MAX, 0),
    (0x341, !1, 0),
    (0x342, u64::MAX, 0),
    (0x343, u64::MAX, 0),
    (0x344, 0x202, 0),
    (0x350, 0xfff, 0),
    (0x3b0, (1 << 54) - 1, 0),
    (0x3bf, (1 << 54) - 1, 0),
    (0x3c0, 0, 0),
    (0xb03, 0, 0),
    (0xb1f, 0, 0),
];

#[test]
fn writable_bits_are_the_manual_s() {
    for &(number, ones, zeros) in MASKS {
        let mut hart = Hart::at(Machine);
        // Else FS off hides the floating-point registers, and MPP has no level to keep.
        hart.or(slot::MSTATUS, status::FS);
        hart.or(slot::MENVCFG, envcfg::STCE);
        let Hart { frame, ctx, .. } = &mut hart;
        for (value, expected) in [(u64::MAX, ones), (0, zeros)] {
            let _ = access::write(frame, ctx, number, value).unwrap();
            let read = access::read(frame, ctx, number).unwrap();
            assert_eq!(read, expected, "{number:#x} = {value:#x}");
        }
    }
}

#[test]
fn rows_are_distinct_and_named() {
    let mut seen = std::collections::BTreeSet::new();
    for row in csr::ALL {
        for number in row.all_numbers() {
            assert!(seen.insert(number), "{number:#x} twice");
            assert!(std::ptr::eq(csr::row(number).unwrap(), row));
        }
    }
    assert_eq!(csr::row(0x3a2).unwrap().name_of(0x3a2), "pmpcfg2");
    assert_eq!(csr::row(0xc1f).unwrap().name_of(0xc1f), "hpmcounter31");
    assert_eq!(csr::row(0x30d).unwrap().name_of(0x30d), "mstateen1");
    assert_eq!(csr::row(0x300).unwrap().name_of(0x300), "mstatus");
    // Those of RV32, of the hypervisor and of debug mode.
    for absent in [0x3a1, 0x310, 0x31a, 0xc80, 0x600, 0x280, 0x7a0, 0x7b0, 0x747, 0x015, 0xfff] {
        assert!(csr::row(absent).is_none(), "{absent:#x}");
    }
}

#[test]
fn a_register_needs_the_level_in_its_number() {
    for row in csr::ALL {
        for number in row.all_numbers() {
            let lowest = number >> 8 & 3;
            for level in [User, Supervisor] {
                let hart = Hart::at(level);
                let denied = access::read(&hart.frame, &hart.ctx, number).is_err();
                assert!(denied || level as u16 >= lowest, "{number:#x} at {level:?}");
            }
        }
    }
}

/// Level, what is set up before, the register, whether it can be read.
#[test]
fn what_else_an_access_needs() {
    type SetUp = fn(&mut Hart);
    let cases: &[(Privilege, SetUp, u16, bool)] = &[
        (Machine, |_| (), 0x003, false),
        (Machine, |h| h.or(slot::MSTATUS, 1 << 13), 0x003, true),
        (User, |h| h.or(slot::MSTATUS, 1 << 13), 0x001, true),
        (Machine, |_| (), 0xc01, true),
        (Supervisor, |_| (), 0xc01, false),
        (Supervisor, |h| h.set(slot::MCOUNTEREN, 2), 0xc01, true),
        (Supervisor, |h| h.set(slot::MCOUNTEREN, 2), 0xc00, false),
        (User, |h| h.set(slot::MCOUNTEREN, 2), 0xc01, false),
        (User, |h| h.set(slot::SCOUNTEREN, 2), 0xc01, false),
        (Supervisor, |h| h.set(slot::MCOUNTEREN, 1 << 31), 0xc1f, true),
        (Supervisor, |_| (), 0x180, true),
        (Supervisor, |h| h.or(slot::MSTATUS, status::TVM), 0x180, false),
        (Machine, |h| h.or(slot::MSTATUS, status::TVM), 0x180, true),
        (Machine, |_| (), 0x14d, true),
        (Supervisor, |_| (), 0x14d, false),
        (Supervisor, |h| h.set(slot::MENVCFG, envcfg::STCE), 0x14d, false),
        (Supervisor, |h| h.set(slot::MCOUNTEREN, 2), 0x14d, false),
        (Supervisor, |_| (), 0x10a, false),
        (Supervisor, |h| h.set(slot::MSTATEEN0, envcfg::STATEEN_ENVCFG), 0x10a, true),
        (Machine, |_| (), 0x10a, true),
        (Supervisor, |h| h.set(slot::MSTATEEN0, envcfg::STATEEN_SE), 0x10c, true),
        (Supervisor, |h| h.set(slot::MSTATEEN0, envcfg::STATEEN_SE), 0x10d, false),
        (Machine, |_| (), 0x10d, true),
    ];
    for (index, &(level, set_up, number, open)) in cases.iter().enumerate() {
        let mut hart = Hart::at(level);
        set_up(&mut hart);
        let read = access::read(&hart.frame, &hart.ctx, number);
        assert_eq!(read.is_ok(), open, "case {index}: {number:#x}");
    }
    let mut hart = Hart::at(Supervisor);
    hart.set(slot::MENVCFG, envcfg::STCE);
    hart.set(slot::MCOUNTEREN, 2);
    assert!(access::read(&hart.frame, &hart.ctx, 0x14d).is_ok());
    let mut hart = Hart::at(User);
    hart.set(slot::MCOUNTEREN, 2);
    hart.set(slot::SCOUNTEREN, 2);
    assert!(access::read(&hart.frame, &hart.ctx, 0xc01).is_ok());
}

#[test]
fn a_cpu_has_the_registers_of_its_extensions() {
    let hart = |cpu: &str| Hart::new(cpu);
    for (cpu, number) in [
        ("rv64,-sstc", 0x14d),
        ("rv64,-smstateen", 0x30c),
        ("rv64,-zicntr", 0xc00),
        ("rv64,-zihpm", 0xc03),
        ("rv64,-f", 0x001),
        ("rv64,-s", 0x100),
    ] {
        let hart = hart(cpu);
        assert_eq!(access::read(&hart.frame, &hart.ctx, number), Err(Illegal), "{cpu}");
    }
    // Without Smstateen nothing closes senvcfg.
    let mut open = hart("rv64,-smstateen");
    open.set_level(Supervisor);
    assert!(access::read(&open.frame, &open.ctx, 0x10a).is_ok());
    let plain = hart("rv64gc,+s");
    assert_eq!(access::read(&plain.frame, &plain.ctx, 0x301), Ok(0x8000_0000_0014_112d));
    let all = hart("max");
    assert_eq!(access::read(&all.frame, &all.ctx, 0x301), Ok(0x8000_0000_0014_112f));
    assert_eq!(access::read(&all.frame, &all.ctx, 0xf14), Ok(5));
}

#[test]
fn read_only_registers_take_no_write() {
    let Hart { mut frame, ctx, .. } = Hart::at(Machine);
    for number in [0xf11, 0xf14, 0xc00, 0xc01, 0xc1f] {
        assert_eq!(access::write(&mut frame, &ctx, number, 0), Err(Illegal));
        assert_eq!(access::modify(&mut frame, &ctx, number, Modify::Set(0)), Err(Illegal));
        assert!(access::modify(&mut frame, &ctx, number, Modify::Nothing).is_ok());
    }
    // misa has a number that can be written, and ignores it.
    assert!(access::write(&mut frame, &ctx, 0x301, 0).is_ok());
    assert_ne!(access::read(&frame, &ctx, 0x301), Ok(0));
}

#[test]
fn reserved_values_leave_a_field_as_it_was() {
    let Hart { mut frame, ctx, .. } = Hart::at(Machine);
    let mut written = |number, value| {
        let _ = access::write(&mut frame, &ctx, number, value).unwrap();
        access::read(&frame, &ctx, number).unwrap()
    };
    assert_eq!(written(0x300, 1 << 11) & status::MPP, 1 << 11);
    assert_eq!(written(0x300, 2 << 11) & status::MPP, 1 << 11);
    assert_eq!(written(0x300, 3 << 11) & status::MPP, 3 << 11);
    assert_eq!(written(0x305, 0x1001), 0x1001);
    assert_eq!(written(0x305, 0x2002), 0x2001);
    assert_eq!(written(0x105, 0x2003), 0x2000);
    assert_eq!(written(0x30a, 3 << 4), 3 << 4);
    assert_eq!(written(0x30a, 2 << 4), 3 << 4);
    let sv48 = 9 << 60 | 0xffff << 44 | 0x1234;
    assert_eq!(written(0x180, sv48), sv48);
    assert_eq!(written(0x180, 11 << 60 | 1), sv48);
    assert_eq!(written(0x180, 1 << 60), sv48);
    assert_eq!(written(0x180, 0), 0);
}

#[test]
fn satp_knows_the_modes_of_the_cpu() {
    for (cpu, highest) in [("rv64,-sv39", 0), ("rv64,-sv48", 8), ("rv64,-sv57", 9), ("rv64", 10)] {
        let Hart { mut frame, ctx, .. } = Hart::new(cpu);
        for mode in [8, 9, 10] {
            let _ = access::write(&mut frame, &ctx, 0x180, mode << 60).unwrap();
        }
        assert_eq!(access::read(&frame, &ctx, 0x180), Ok(highest << 60), "{cpu}");
    }
}

#[test]
fn supervisor_views_show_what_is_delegated() {
    let Hart { mut frame, ctx, .. } = Hart::at(Machine);
    let mut write = |number, value| access::write(&mut frame, &ctx, number, value).unwrap();
    let _ = (write(0x304, 0xaaa), write(0x344, 0x222));
    let read = |frame: &_, number| access::read(frame, &ctx, number).unwrap();
    assert_eq!((read(&frame, 0x104), read(&frame, 0x144)), (0, 0));
    let _ = access::write(&mut frame, &ctx, 0x303, 0x202).unwrap();
    assert_eq!((read(&frame, 0x104), read(&frame, 0x144)), (0x202, 0x202));
    // Through sip only SSIP can be cleared, through sie what is delegated.
    let _ = access::write(&mut frame, &ctx, 0x144, 0).unwrap();
    assert_eq!(read(&frame, 0x344), 0x220);
    let _ = access::write(&mut frame, &ctx, 0x104, 0).unwrap();
    assert_eq!(read(&frame, 0x304), 0x8a8);
}

#[test]
fn a_raised_line_does_not_stick_in_mip() {
    let Hart { mut frame, ctx, .. } = Hart::at(Machine);
    ctx.raise(1 << 9 | 1 << 7);
    let (old, _) = access::modify(&mut frame, &ctx, 0x344, Modify::Set(2)).unwrap();
    assert_eq!(old, 0x280);
    assert_eq!(access::read(&frame, &ctx, 0x344), Ok(0x282));
    ctx.lower(1 << 9);
    assert_eq!(access::read(&frame, &ctx, 0x344), Ok(0x82));
    // The software bit and the line are one to a reader.
    let _ = access::write(&mut frame, &ctx, 0x344, 1 << 9).unwrap();
    assert_eq!(access::read(&frame, &ctx, 0x344), Ok(0x280));
    ctx.raise(1 << 9);
    let _ = access::modify(&mut frame, &ctx, 0x344, Modify::Clear(1 << 9)).unwrap();
    assert_eq!(access::read(&frame, &ctx, 0x344), Ok(0x280));
    ctx.lower(1 << 9);
    assert_eq!(access::read(&frame, &ctx, 0x344), Ok(0x80));
}

#[test]
fn writes_say_what_they_change() {
    let mut hart = Hart::at(Machine);
    let mut write = |number, value| access::write(&mut hart.frame, &hart.ctx, number, value);
    assert_eq!(write(0x340, 1), Ok(WriteEffect::NONE));
    assert_eq!(write(0x300, status::SUM), Ok(WriteEffect::TRANSLATION));
    assert_eq!(write(0x300, status::SUM | 3 << 11), Ok(WriteEffect::NONE));
    let both = WriteEffect::INTERRUPTS | WriteEffect::TRANSLATION;
    assert_eq!(write(0x300, status::MIE), Ok(both));
    // Disabling makes nothing ready.
    assert_eq!(write(0x300, 0), Ok(WriteEffect::NONE));
    assert_eq!(write(0x300, status::FS), Ok(WriteEffect::KEY));
    assert_eq!(write(0x304, 2), Ok(WriteEffect::INTERRUPTS));
    assert_eq!(write(0x180, 8 << 60), Ok(WriteEffect::TRANSLATION));
    assert_eq!(write(0x180, 12 << 60), Ok(WriteEffect::NONE));
    assert_eq!(hart.told(), [Told::Translation; 3]);
}

#[test]
fn floating_point_writes_make_the_unit_dirty() {
    let mut hart = Hart::at(Machine);
    hart.or(slot::MSTATUS, 1 << 13);
    assert_ne!(hart.frame.key_flags & key::FS_NOT_DIRTY, 0);
    let _ = access::write(&mut hart.frame, &hart.ctx, 0x003, 2 << 5 | 3).unwrap();
    assert_eq!(hart.mstatus() & (status::FS | status::SD), status::FS | status::SD);
    assert_eq!(hart.frame.key_flags & (key::FS_NOT_DIRTY | key::FS_OFF), 0);
    assert_eq!(hart.frame.key_flags, key_flags(&hart.frame));
    assert_eq!(hart.frame.key_flags >> 48 & 7, 2);
}

#[test]
fn keys_say_level_unit_and_cache_blocks() {
    let mut hart = Hart::at(Machine);
    let all = key::CBO_ZERO | key::CBO_CLEAN | key::CBO_INVAL;
    assert_eq!(key::privilege(hart.frame.key_flags), Machine);
    assert_eq!(hart.frame.key_flags & all, all);
    assert_ne!(hart.frame.key_flags & key::FS_OFF, 0);
    hart.set_level(Supervisor);
    assert_eq!(hart.frame.key_flags & all, 0);
    hart.set(slot::MENVCFG, envcfg::CBZE | envcfg::CBIE);
    assert_eq!(hart.frame.key_flags & all, key::CBO_ZERO | key::CBO_INVAL);
    hart.set_level(User);
    assert_eq!(hart.frame.key_flags & all, 0);
    hart.set(slot::SENVCFG, envcfg::CBZE | envcfg::CBCFE);
    assert_eq!(hart.frame.key_flags & all, key::CBO_ZERO);
    assert_eq!(key::privilege(hart.frame.key_flags), User);
}

#[test]
fn counters_run_unless_they_are_inhibited() {
    let hart = Hart::at(Machine);
    let Hart { mut frame, ctx, clock, .. } = hart;
    let set = |ticks| clock.0.store(ticks, std::sync::atomic::Ordering::Relaxed);
    let read = |frame: &_, number| access::read(frame, &ctx, number).unwrap();
    set(7);
    assert_eq!((read(&frame, 0xc01), read(&frame, 0xb00)), (7, 700));
    let _ = access::write(&mut frame, &ctx, 0xb00, u64::MAX).unwrap();
    set(8);
    assert_eq!((read(&frame, 0xc00), read(&frame, 0xc02)), (99, 800));
    let _ = access::write(&mut frame, &ctx, 0x320, u64::MAX).unwrap();
    set(9);
    assert_eq!((read(&frame, 0xc00), read(&frame, 0xb02)), (99, 800));
    let _ = access::write(&mut frame, &ctx, 0xb02, 1).unwrap();
    let _ = access::write(&mut frame, &ctx, 0x320, 1).unwrap();
    set(10);
    assert_eq!((read(&frame, 0xc00), read(&frame, 0xb02)), (99, 101));
}
