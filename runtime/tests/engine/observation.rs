//! Executions that are observed instruction by instruction.

use std::sync::{Arc, Mutex};

use base::addr::PAGE_SIZE;
use base::{CpuFrame, GuestVirt};
use ferry_runtime::{EngineConfig, Exit, Observation, ObservedAccess, Observer};
use softmmu::AccessKind;

use crate::guest::*;

#[derive(Clone, PartialEq, Eq, Debug)]
enum Seen {
    Before(u64, u32),
    Access(AccessKind, u64, u8, u128),
    Again,
    After(u64, Option<Exit>),
}

#[derive(Clone, Debug, Default)]
struct List(Arc<Mutex<Vec<Seen>>>);

impl List {
    fn add(&self, seen: Seen) {
        self.0.lock().unwrap().push(seen);
    }

    fn take(&self) -> Vec<Seen> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

impl Observer for List {
    fn before(&mut self, frame: &CpuFrame, code: &[u8]) {
        self.add(Seen::Before(frame.pc, u32::from_le_bytes(code.try_into().unwrap())));
    }

    fn access(&mut self, ObservedAccess { kind, addr, size, value }: ObservedAccess) {
        self.add(Seen::Access(kind, addr.0, size, value));
    }

    fn again(&mut self) {
        self.add(Seen::Again);
    }

    fn after(&mut self, frame: &CpuFrame, exit: Option<&Exit>) {
        self.add(Seen::After(frame.pc, exit.copied()));
    }

    fn ended(&mut self, _: &CpuFrame) {}
}

fn observed(code: &[u32]) -> (Guest, List) {
    let config = EngineConfig { observation: Observation::Instructions, ..EngineConfig::default() };
    let mut guest = Guest::with(config, code);
    let list = List::default();
    guest.cpu.set_observer(Box::new(list.clone()));
    (guest, list)
}

#[test]
fn every_instruction_and_access_is_seen() {
    let code = [addi(5, 0, 7), sd(5, 1, 8), ld(6, 1, 8), ECALL];
    let (mut guest, list) = observed(&code);
    let (base, data) = (guest.memory.base.0, guest.memory.at(PAGE_SIZE).0);
    guest.set_x(1, data);
    assert_eq!((guest.cpu.run(), guest.x(6)), (Exit::Syscall, 7));
    let expected = [
        Seen::Before(base, code[0]),
        Seen::After(base + 4, None),
        Seen::Before(base + 4, code[1]),
        Seen::Access(AccessKind::Store, data + 8, 8, 7),
        Seen::After(base + 8, None),
        Seen::Before(base + 8, code[2]),
        Seen::Access(AccessKind::Load, data + 8, 8, 7),
        Seen::After(base + 12, None),
        Seen::Before(base + 12, ECALL),
        Seen::After(base + 16, Some(Exit::Syscall)),
    ];
    assert_eq!(list.take(), expected);
    assert!(guest.cpu.take_observer().is_some());
    guest.set_pc(0);
    assert_eq!((guest.cpu.run(), list.take()), (Exit::Syscall, vec![]));
}

#[test]
fn a_loop_is_seen_in_every_round() {
    let (mut guest, list) = observed(&countdown());
    guest.set_x(1, 1000);
    assert_eq!(guest.cpu.run(), Exit::Syscall);
    let rounds = list.take().iter().filter(|seen| matches!(seen, Seen::Before(..))).count();
    assert_eq!(rounds, 3001);
}

#[test]
fn an_access_that_faults_is_not_seen() {
    let (mut guest, list) = observed(&[ld(6, 1, 8)]);
    let base = guest.memory.base.0;
    guest.set_x(1, 0x18);
    let exit = guest.cpu.run();
    assert!(matches!(exit, Exit::DataFault(fault) if fault.addr == GuestVirt(0x20)));
    assert_eq!(list.take(), [Seen::Before(base, ld(6, 1, 8)), Seen::After(base, Some(exit))]);
}

#[test]
fn a_store_to_code_is_seen_once() {
    // The second instruction overwrites the third: its page is protected when it comes to it.
    let (mut guest, list) = observed(&[addi(5, 0, 1), sw(6, 1, 8), addi(5, 0, 2), ECALL]);
    let base = guest.memory.base.0;
    guest.set_x(1, base);
    guest.set_x(6, addi(5, 0, 3).into());
    assert_eq!((guest.cpu.run(), guest.x(5)), (Exit::Syscall, 3));
    let seen = list.take();
    let again = seen.iter().position(|seen| *seen == Seen::Again).unwrap();
    let stores: Vec<_> = seen.iter().filter(|seen| matches!(seen, Seen::Access(..))).collect();
    assert_eq!(stores, [&Seen::Access(AccessKind::Store, base + 8, 4, addi(5, 0, 3).into())]);
    assert_eq!(seen[again - 1], Seen::Before(base + 4, sw(6, 1, 8)));
    assert!(seen.contains(&Seen::Before(base + 8, addi(5, 0, 3))));
}
