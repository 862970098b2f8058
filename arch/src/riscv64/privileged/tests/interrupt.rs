//! Which interrupt is taken, and stimecmp.

use super::{Hart, Told};
use crate::riscv64::privileged::interrupt::{self, pending, wakes};
use crate::riscv64::privileged::{Interrupt, Privilege, access, envcfg, slot, status};

use Interrupt::{
    MachineExternal, MachineSoftware, MachineTimer, SupervisorExternal, SupervisorSoftware,
    SupervisorTimer,
};
use Privilege::{Machine, Supervisor, User};

const SIE: u64 = status::SIE;
const MIE: u64 = status::MIE;

/// Level, mstatus, mip = mie, mideleg, and what is taken.
const CASES: &[(Privilege, u64, u64, u64, Option<Interrupt>)] = &[
    // The order of the manual, with all of one destination.
    (Supervisor, 0, 0xaaa, 0, Some(MachineExternal)),
    (Supervisor, 0, 0x2aa, 0, Some(MachineSoftware)),
    (Supervisor, 0, 0x2a2, 0, Some(MachineTimer)),
    (Supervisor, 0, 0x222, 0, Some(SupervisorExternal)),
    (Supervisor, 0, 0x022, 0, Some(SupervisorSoftware)),
    (Supervisor, 0, 0x020, 0, Some(SupervisorTimer)),
    (Supervisor, 0, 0, 0, None),
    // To machine level: MIE counts there only.
    (Machine, 0, 0xaaa, 0, None),
    (Machine, SIE, 0xaaa, 0, None),
    (Machine, MIE, 0xaaa, 0, Some(MachineExternal)),
    (User, MIE, 0x080, 0, Some(MachineTimer)),
    // To supervisor level: never from machine level, SIE counts at supervisor level only.
    (Machine, MIE | SIE, 0x222, 0x222, None),
    (Supervisor, MIE, 0x222, 0x222, None),
    (Supervisor, SIE, 0x222, 0x222, Some(SupervisorExternal)),
    (User, 0, 0x022, 0x222, Some(SupervisorSoftware)),
    // A higher level's come first, whatever their rank.
    (User, 0, 0x220, 0x200, Some(SupervisorTimer)),
    (Supervisor, SIE, 0x280, 0x222, Some(MachineTimer)),
];

#[test]
fn the_first_ready_interrupt_is_taken() {
    for (index, &(level, mstatus, ready, mideleg, expected)) in CASES.iter().enumerate() {
        let mut hart = Hart::at(level);
        hart.or(slot::MSTATUS, mstatus);
        hart.set(slot::MIDELEG, mideleg);
        hart.set(slot::MIE, ready);
        assert_eq!(pending(&hart.frame, &hart.ctx), None);
        hart.ctx.raise(ready);
        hart.set(slot::MIP_SW, ready);
        assert_eq!(pending(&hart.frame, &hart.ctx), expected, "case {index}");
        // WFI looks at neither mstatus nor mideleg.
        assert_eq!(wakes(&hart.frame, &hart.ctx), ready != 0);
        hart.set(slot::MIE, 0);
        assert_eq!(pending(&hart.frame, &hart.ctx), None);
        assert!(!wakes(&hart.frame, &hart.ctx));
    }
}

#[test]
fn stimecmp_drives_stip_while_stce_is_set() {
    let mut hart = Hart::at(Machine);
    hart.clock.0.store(100, std::sync::atomic::Ordering::Relaxed);
    let stip = |hart: &Hart| interrupt::mip(&hart.frame, &hart.ctx) & interrupt::STIP != 0;
    let write = |hart: &mut Hart, number, value| {
        access::write(&mut hart.frame, &hart.ctx, number, value).unwrap()
    };
    // Without STCE, software writes STIP, and a line of a timer that is late does not show.
    hart.ctx.raise(interrupt::STIP);
    assert!(!stip(&hart));
    let _ = write(&mut hart, 0x344, interrupt::STIP);
    assert!(stip(&hart));
    let _ = write(&mut hart, 0x30a, envcfg::STCE);
    assert!(!stip(&hart), "stimecmp lies ahead");
    assert_eq!(hart.told(), [Told::Timer(Some(u64::MAX))]);
    let _ = write(&mut hart, 0x14d, 100);
    assert!(stip(&hart));
    let _ = write(&mut hart, 0x344, 0);
    assert!(stip(&hart), "read-only now");
    let _ = write(&mut hart, 0x14d, 101);
    assert!(!stip(&hart));
    assert_eq!(hart.told(), [Told::Timer(None), Told::Timer(Some(101))], "one is due already");
    let _ = write(&mut hart, 0x30a, 0);
    assert_eq!(hart.told(), [Told::Timer(None)]);
}
