//! sstatus by its helper.

#![expect(unsafe_code, reason = "calls helpers as the engines do")]

use base::HelperId;
use base::cpu::HelperCode;

use super::Hart;
use crate::riscv64::helpers::system::StatusFunction;
use crate::riscv64::helpers::{HELPERS, MACHINE_TIME, SSTATUS};
use crate::riscv64::privileged::access::{self, Modify};
use crate::riscv64::privileged::{Privilege, counter, interrupt, slot, status};

const SSTATUS_NUMBER: u16 = 0x100;

/// What the helper returned; `None` if it left the instruction to the machine.
fn call(hart: &mut Hart, helper: HelperId, args: [u64; 2]) -> Option<u64> {
    hart.frame.context = (&raw mut hart.ctx).cast();
    let HelperCode::Scalar(function) = HELPERS[usize::from(helper.0)].code else {
        panic!("a vector helper");
    };
    // SAFETY: the frame is this test's own, and its context a `SystemContext`.
    let result = unsafe { function(&raw mut *hart.frame, args[0], args[1], 0, 0) };
    let left = std::mem::take(&mut hart.frame.left_to_machine) != 0;
    assert_eq!(std::mem::take(&mut hart.frame.fault) != 0, left);
    (!left).then_some(result)
}

fn harts(level: Privilege, mstatus: u64, lines: u64) -> [Hart; 2] {
    [(); 2].map(|()| {
        let mut hart = Hart::at(level);
        hart.set(slot::MSTATUS, mstatus | status::RESET);
        hart.set(slot::MIE, interrupt::ALL);
        hart.set(slot::MIDELEG, interrupt::DELEGABLE);
        hart.ctx.raise(lines);
        hart
    })
}

/// What the helper does is what the machine does; what it does not do, it leaves alone.
#[test]
fn bits_are_set_and_cleared_as_by_the_machine() {
    use status::{FS, FS_DIRTY, MIE, MPP, MXR, SIE, SPIE, SPP, SUM};
    let before = [0, SIE, SUM, MXR | SPIE, FS_DIRTY | status::SD, SIE | SUM | SPP];
    let operands = [0, SIE, SUM, MXR, SIE | SUM, SPIE | SPP, FS, MIE | MPP, u64::MAX];
    let mut kinds = [0; 2];
    for (mstatus, operand, lines) in before.into_iter().flat_map(|mstatus| {
        let with = move |operand| [0, interrupt::SEIP].map(|lines| (mstatus, operand, lines));
        operands.into_iter().flat_map(with)
    }) {
        for (function, how) in [
            (StatusFunction::Set, Modify::Set(operand)),
            (StatusFunction::Clear, Modify::Clear(operand)),
        ] {
            let [mut ours, mut machine] = harts(Privilege::Supervisor, mstatus, lines);
            let (old, flags) = (ours.mstatus(), ours.frame.key_flags);
            let result = call(&mut ours, SSTATUS, [function as u64, operand]);
            let (expected, _) =
                access::modify(&mut machine.frame, &machine.ctx, SSTATUS_NUMBER, how).unwrap();
            let enabled = !old & machine.mstatus() & SIE != 0;
            let must_leave = machine.frame.key_flags != flags
                || enabled && interrupt::pending(&machine.frame, &machine.ctx).is_some();
            kinds[usize::from(result.is_some())] += 1;
            assert!(!must_leave || result.is_none(), "{mstatus:#x} {how:x?} {lines:#x}");
            match result {
                Some(result) => {
                    assert_eq!(result, expected, "{mstatus:#x} {how:x?}");
                    assert_eq!(ours.mstatus(), machine.mstatus(), "{mstatus:#x} {how:x?}");
                }
                None => assert_eq!(ours.mstatus(), old, "{mstatus:#x} {how:x?}"),
            }
        }
    }
    assert!(kinds.iter().all(|&count| count > 20), "{kinds:?}");
}

#[test]
fn time_is_read_where_it_is_open() {
    for (level, mcounteren, scounteren, open) in [
        (Privilege::Machine, 0, 0, true),
        (Privilege::Supervisor, 0, 0, false),
        (Privilege::Supervisor, counter::TM, 0, true),
        (Privilege::User, counter::TM, 0, false),
        (Privilege::User, counter::TM, counter::TM, true),
    ] {
        let mut hart = Hart::at(level);
        hart.clock.0.store(77, std::sync::atomic::Ordering::Relaxed);
        hart.set(slot::MCOUNTEREN, mcounteren);
        hart.set(slot::SCOUNTEREN, scounteren);
        let time = call(&mut hart, MACHINE_TIME, [0; 2]);
        assert_eq!(time, open.then_some(77), "{level:?} {mcounteren} {scounteren}");
    }
}
