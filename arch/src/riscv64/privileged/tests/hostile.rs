//! Nothing that a guest writes makes anything panic, or leaves a state that cannot be.

use base::{GuestPhys, GuestVirt};
use proptest::prelude::*;

use super::Hart;
use crate::riscv64::privileged::access::{self, Modify};
use crate::riscv64::privileged::mmu::{PageTableMemory, resolve};
use crate::riscv64::privileged::pmp::{self, Access, Page};
use crate::riscv64::privileged::trap::{enter, mret, sret};
use crate::riscv64::privileged::{
    Cause, Exception, Privilege, csr, interrupt, key_flags, slot, status,
};

/// Memory whose every word is made from its address.
struct Noise(u64);

impl PageTableMemory for Noise {
    type Error = ();

    fn load(&mut self, phys: GuestPhys) -> Result<u64, ()> {
        let mixed = (phys.0 ^ self.0).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        // Mostly valid entries, so that walks go deep.
        Ok((mixed ^ mixed >> 29) & !(0x7f << 54 | 0xf << 60) | 1)
    }

    fn compare_exchange(&mut self, _: GuestPhys, old: u64, _: u64) -> Result<bool, ()> {
        Ok(old & 1 << 20 != 0)
    }
}

fn level() -> impl Strategy<Value = Privilege> {
    prop::sample::select(vec![Privilege::User, Privilege::Supervisor, Privilege::Machine])
}

/// Registers that exist, and any number now and then.
fn number() -> impl Strategy<Value = u16> {
    let known: Vec<u16> = csr::ALL.iter().flat_map(csr::Row::all_numbers).collect();
    prop_oneof![9 => prop::sample::select(known), 1 => any::<u16>()]
}

fn modify() -> impl Strategy<Value = Modify> {
    prop_oneof![
        any::<u64>().prop_map(Modify::Write),
        any::<u64>().prop_map(Modify::Set),
        any::<u64>().prop_map(Modify::Clear),
        Just(Modify::Nothing),
    ]
}

/// What must hold after anything.
fn check(hart: &Hart) {
    let mstatus = hart.mstatus();
    assert_eq!(mstatus & status::RESET, status::RESET);
    assert_ne!(mstatus & status::MPP, 2 << status::MPP_SHIFT);
    assert_eq!(mstatus & status::SD != 0, mstatus & status::FS == status::FS_DIRTY);
    assert_eq!(hart.frame.key_flags, key_flags(&hart.frame));
    assert_eq!(hart.frame.get(slot::MIE) & !interrupt::ALL, 0);
    assert_eq!(hart.frame.slots[0], 0);
    let _ = interrupt::pending(&hart.frame, &hart.ctx);
}

proptest! {
    #[test]
    fn any_sequence_of_accesses_and_traps(
        start in level(),
        lines: u64,
        steps in prop::collection::vec((number(), modify(), 0..20_u8), 0..60),
    ) {
        let mut hart = Hart::at(start);
        hart.ctx.raise(lines);
        for (number, how, trap) in steps {
            let _ = access::modify(&mut hart.frame, &hart.ctx, number, how);
            check(&hart);
            match trap {
                0 => { enter(&mut hart.frame, Cause::Exception(Exception::StorePage), 1); }
                1 => { let _ = mret(&mut hart.frame); }
                2 => { let _ = sret(&mut hart.frame); }
                3 => if let Some(i) = interrupt::pending(&hart.frame, &hart.ctx) {
                    enter(&mut hart.frame, Cause::Interrupt(i), 0);
                },
                _ => {}
            }
            check(&hart);
        }
    }

    #[test]
    fn any_walk(
        level in level(),
        satp: u64,
        mode in 8_u64..11,
        mstatus: u64,
        menvcfg: u64,
        addr: u64,
        canonical: bool,
        seed: u64,
        size in 1_u64..4096,
    ) {
        let mut hart = Hart::at(Privilege::Machine);
        for (number, value) in [
            (0x3b0, u64::MAX), (0x3a0, 0x1f), (0x300, mstatus), (0x30a, menvcfg),
            (0x180, satp & !(0xf << 60) | mode << 60),
        ] {
            let _ = access::write(&mut hart.frame, &hart.ctx, number, value).unwrap();
        }
        hart.set_level(level);
        let addr = GuestVirt(if canonical { (addr << 25) as i64 as u64 >> 26 } else { addr });
        for access in [Access::Fetch, Access::Load, Access::Store] {
            let found = resolve(&hart.frame, &hart.ctx, &mut Noise(seed), addr, size, access);
            if let Ok(found) = found {
                let mapping = found.mapping;
                prop_assert!(mapping.size.is_power_of_two());
                prop_assert_eq!(mapping.phys.page_offset(), addr.page_offset());
                let may = match access {
                    Access::Fetch => mapping.executable,
                    Access::Load => mapping.readable,
                    Access::Store => mapping.writable,
                };
                prop_assert!(may);
            }
        }
    }

    /// What holds for a page holds for each access within it.
    #[test]
    fn pages_and_accesses_agree(
        configs: [u8; 16],
        addresses in prop::array::uniform16(prop_oneof![0..0x800_u64, any::<u64>()]),
        at in 0..0x2000_u64,
        size in prop::sample::select(vec![1_u64, 2, 4, 8]),
        level in level(),
    ) {
        let mut hart = Hart::at(Privilege::Machine);
        let (low, high) = configs.split_at(8);
        for (n, &address) in addresses.iter().enumerate() {
            let _ = access::write(&mut hart.frame, &hart.ctx, 0x3b0 + n as u16, address).unwrap();
        }
        for (number, half) in [(0x3a0, low), (0x3a2, high)] {
            let value = u64::from_le_bytes(half.try_into().unwrap());
            let _ = access::write(&mut hart.frame, &hart.ctx, number, value).unwrap();
        }
        let at = GuestPhys(at & !(size - 1));
        if let Page::Whole(allowed) = pmp::check_page(&hart.frame, at.page(), 4096, level) {
            for access in [Access::Fetch, Access::Load, Access::Store] {
                let single = pmp::check(&hart.frame, at, size, level, access);
                prop_assert_eq!(single, allowed.allow(access));
            }
        }
    }
}
