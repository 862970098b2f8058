//! Executions that are observed instruction by instruction.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use base::addr::PAGE_SIZE;
use base::{CpuFrame, GuestVirt};
use ferry_runtime::{
    BlockEnds, EngineConfig, Exit, Observation, ObservedAccess, Observer, RegionCompiler,
    RegionConfig, Tier,
};
use softmmu::AccessKind;

use crate::guest::*;

#[derive(Clone, PartialEq, Eq, Debug)]
enum Seen {
    Before(u64, u32),
    Access(AccessKind, u64, u8, u128),
    Again,
    Executed(u32),
    After(u64, Option<Exit>),
}

#[derive(Clone, Debug, Default)]
struct List {
    seen: Arc<Mutex<Vec<Seen>>>,
    /// Blocks are observed.
    counts: bool,
}

impl List {
    fn add(&self, seen: Seen) {
        self.seen.lock().unwrap().push(seen);
    }

    fn take(&self) -> Vec<Seen> {
        std::mem::take(&mut self.seen.lock().unwrap())
    }
}

impl Observer for List {
    fn before(&mut self, frame: &CpuFrame, code: &[u8]) {
        let first = code.first_chunk().copied().unwrap();
        assert!(self.counts || code.len() == 4);
        self.add(Seen::Before(frame.pc, u32::from_le_bytes(first)));
    }

    fn access(&mut self, ObservedAccess { kind, addr, size, value }: ObservedAccess) {
        self.add(Seen::Access(kind, addr.0, size, value));
    }

    fn again(&mut self) {
        self.add(Seen::Again);
    }

    fn executed(&mut self, insns: u32) {
        if self.counts {
            self.add(Seen::Executed(insns));
        }
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

/// Blocks of code, by a tier, that end after instructions of which `ends` says so.
fn by_block(tier: Tier, code: &[u32], ends: Option<u32>) -> (Guest, List) {
    let ends = ends.map(|ends| BlockEnds::after(move |insn| insn == ends.to_le_bytes()));
    let config =
        EngineConfig { tier, ends, observation: Observation::Blocks, ..EngineConfig::default() };
    let mut guest = Guest::with(config, code);
    let regions = RegionConfig { workers: 0, ..RegionConfig::default() };
    guest.engine.set_promoter(RegionCompiler::new(regions).unwrap());
    let list = List { counts: true, ..List::default() };
    guest.cpu.set_observer(Box::new(list.clone()));
    (guest, list)
}

/// How many instructions each part had, from where.
fn parts(seen: &[Seen]) -> Vec<(u64, u32)> {
    let mut at = 0;
    let parts = seen.iter().filter_map(|seen| match *seen {
        Seen::Before(pc, _) => {
            at = pc;
            None
        }
        Seen::Executed(insns) if insns > 0 => Some((at, insns)),
        _ => None,
    });
    parts.collect()
}

const BLOCK_TIERS: [Tier; 3] = [Tier::Interp, Tier::Baseline, Tier::Jit];

#[test]
fn a_loop_is_seen_block_by_block_in_every_tier() {
    for tier in BLOCK_TIERS {
        let (mut guest, list) = by_block(tier, &countdown(), None);
        let base = guest.memory.base.0;
        guest.set_x(1, 100);
        assert_eq!(guest.cpu.run(), Exit::Syscall, "{tier:?}");
        let parts = parts(&list.take());
        let total: u32 = parts.iter().map(|(_, insns)| insns).sum();
        assert_eq!((parts.len(), total), (101, 301), "{tier:?}: {parts:?}");
        assert_eq!(parts[99], (base, 3), "{tier:?}");
    }
}

#[test]
fn blocks_end_where_they_are_told_to() {
    let code = [addi(5, 0, 1), addi(6, 0, 2), addi(7, 0, 3), ECALL];
    for tier in BLOCK_TIERS {
        let (mut guest, list) = by_block(tier, &code, Some(code[1]));
        let base = guest.memory.base.0;
        assert_eq!(guest.cpu.run(), Exit::Syscall);
        assert_eq!(parts(&list.take()), [(base, 2), (base + 8, 2)], "{tier:?}");
    }
}

#[test]
fn a_block_that_faults_says_how_far_it_came() {
    // Two stores before it, so that compiled code has sync points to go back to.
    let code = [addi(5, 0, 7), sd(5, 1, 8), ld(7, 1, 8), sd(7, 1, 16), ld(6, 2, 8), ECALL];
    for tier in BLOCK_TIERS {
        let (mut guest, list) = by_block(tier, &code, None);
        let (base, data) = (guest.memory.base.0, guest.memory.at(PAGE_SIZE).0);
        guest.set_x(1, data);
        guest.set_x(2, 0x18);
        let exit = guest.cpu.run();
        assert!(matches!(exit, Exit::DataFault(fault) if fault.addr == GuestVirt(0x20)));
        let seen = list.take();
        assert_eq!(seen.last(), Some(&Seen::After(base + 16, Some(exit))), "{tier:?}");
        let parts = parts(&seen);
        assert_eq!(parts.iter().map(|(_, insns)| insns).sum::<u32>(), 5, "{tier:?}: {parts:?}");
        // Each begins where the one before has ended.
        let ends = parts.windows(2).all(|two| two[0].0 + u64::from(4 * two[0].1) == two[1].0);
        assert!(ends, "{tier:?}: {parts:?}");
    }
}

#[test]
fn a_block_that_changes_itself_is_seen_in_parts() {
    let code = [addi(5, 0, 1), sw(6, 1, 8), addi(5, 0, 2), ECALL];
    for tier in BLOCK_TIERS {
        let (mut guest, list) = by_block(tier, &code, None);
        let base = guest.memory.base.0;
        guest.set_x(1, base);
        guest.set_x(6, addi(5, 0, 3).into());
        assert_eq!((guest.cpu.run(), guest.x(5)), (Exit::Syscall, 3), "{tier:?}");
        let seen = list.take();
        assert_eq!(parts(&seen), [(base, 1), (base + 4, 1), (base + 8, 2)], "{tier:?}");
        assert!(seen.contains(&Seen::Before(base + 8, addi(5, 0, 3))), "{tier:?}");
    }
}

/// Instructions are seen one by one whatever compiles them, and what wants the CPU between them is no instruction.
#[test]
fn compiled_instructions_are_seen_though_somebody_interrupts() {
    for tier in [Tier::Baseline, Tier::Jit] {
        let config =
            EngineConfig { tier, observation: Observation::Compiled, ..EngineConfig::default() };
        let mut guest = Guest::with(config, &countdown());
        let regions = RegionConfig { workers: 0, ..RegionConfig::default() };
        guest.engine.set_promoter(RegionCompiler::new(regions).unwrap());
        let list = List::default();
        guest.cpu.set_observer(Box::new(list.clone()));
        let (interrupter, done) = (guest.cpu.interrupter(), Arc::new(AtomicBool::new(false)));
        let stop = Arc::clone(&done);
        let busy = std::thread::spawn(move || {
            while !stop.load(Ordering::Relaxed) {
                interrupter.interrupt();
                std::thread::yield_now();
            }
        });
        guest.set_x(1, 2000);
        while guest.cpu.run() == Exit::Interrupted {}
        done.store(true, Ordering::Relaxed);
        busy.join().unwrap();
        let rounds = list.take().iter().filter(|seen| matches!(seen, Seen::Before(..))).count();
        assert_eq!(rounds, 6001, "{tier:?}");
        assert!(guest.engine.stats().regions + guest.engine.stats().baseline_blocks >= 3);
    }
}
