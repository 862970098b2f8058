//! What compiles hot blocks, played by a test.

#![expect(unsafe_code, reason = "stands in for compiled code")]

use std::ops::Range;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use base::{CpuFrame, GuestPhys, GuestVirt};
use ferry_runtime::{
    CompiledStop, Engine, EngineConfig, Exit, ExitId, ForkError, Held, Promoter, RegionId,
    RegionSpan, Surroundings, Tier,
};
use ir::interp::Code;
use ir::{BlockKey, Builder, Trap};

use crate::guest::*;

/// "Compiles" the countdown loop: runs it to its end at once, adding 3000 instead of 3 a round.
#[derive(Default)]
struct Player {
    promoted: Mutex<Vec<BlockKey>>,
    entered: AtomicU64,
    discarded: Mutex<Vec<RegionId>>,
    links: Mutex<Vec<ExitId>>,
    /// What the code says when it comes back.
    stop: Mutex<Option<CompiledStop>>,
}

const CODE: NonNull<u8> = NonNull::without_provenance(std::num::NonZero::new(0x1234).unwrap());

impl Promoter for Player {
    fn promote(&self, engine: &Arc<Engine>, key: BlockKey, _: Surroundings) {
        self.promoted.lock().unwrap().push(key);
        let stamp = engine.stamp();
        let block = engine.translate_ir(&Builder::new(), key, key.pc()).unwrap();
        assert_eq!(block.key, key);
        let code = key.pc()..key.pc().wrapping_add(block.guest_bytes.into());
        if block.guest_insns == 3 {
            engine.publish(RegionId(7), &[code], &[(key, CODE)], stamp).unwrap();
        }
    }

    fn compile_quickly(&self, _: &Engine, _: &Code, _: &[Range<GuestVirt>]) {
        unreachable!("there is no baseline compiler here");
    }

    unsafe fn enter(&self, frame: *mut CpuFrame, code: NonNull<u8>) -> CompiledStop {
        assert_eq!(code, CODE);
        self.entered.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller's promise.
        let frame = unsafe { &mut *frame };
        if let Some(stop) = self.stop.lock().unwrap().take() {
            return stop;
        }
        let [x1, x2] = [1, 2].map(arch::riscv64::slot::x);
        frame.set(x2, frame.get(x2) + 3000 * frame.get(x1));
        frame.retired = 3 * frame.get(x1);
        frame.set(x1, 0);
        let target = GuestVirt(frame.pc & !0xfff).wrapping_add(12);
        CompiledStop::Unlinked { exit: ExitId(5), target }
    }

    fn link(&self, exit: ExitId, _: NonNull<u8>) {
        self.links.lock().unwrap().push(exit);
    }

    fn span(&self, _: RegionSpan) -> Vec<(GuestVirt, GuestPhys)> {
        Vec::new()
    }

    fn unlink(&self, _: &[RegionId]) {}

    fn discard(&self, regions: &[RegionId], _: u64) {
        self.discarded.lock().unwrap().extend(regions);
    }

    fn prepare(&self, frame: &mut CpuFrame) {
        frame.fp_result = 42;
    }

    fn before_sharing(&self, _: &Arc<Engine>) {}

    fn before_fork(&self) -> Result<Box<dyn Held + '_>, ForkError> {
        Ok(Box::new(NoLocks))
    }
}

/// This promoter's locks over a fork.
struct NoLocks;

impl Held for NoLocks {
    fn child(self: Box<Self>) {}
}

fn guest(config: EngineConfig, code: &[u32]) -> (Guest, Arc<Player>) {
    let player = Arc::new(Player::default());
    let guest =
        Guest::prepared(config, code, |engine| engine.set_promoter(Arc::clone(&player) as _));
    (guest, player)
}

#[test]
fn a_hot_block_is_promoted_and_entered() {
    let config =
        EngineConfig { hot_threshold: 50, baseline_threshold: None, ..EngineConfig::default() };
    let (mut guest, player) = guest(config, &countdown());
    assert_eq!(guest.cpu.frame().fp_result, 42);
    guest.set_x(1, 100);
    assert_eq!(guest.cpu.run(), Exit::Syscall);
    // The round after the fiftieth promotes the block.
    assert_eq!(guest.x(2), 51 * 3 + 49 * 3000);
    assert_eq!(*player.promoted.lock().unwrap(), [BlockKey::new(guest.memory.base, 0)]);
    let stats = guest.engine.stats();
    assert_eq!((stats.compiled_entries, stats.compiled_insns), (1, 147));
    assert_eq!(stats.interpreted_insns, 51 * 3 + 1);
}

#[test]
fn nothing_is_promoted_when_only_interpreting() {
    let (mut guest, player) = guest(
        EngineConfig { hot_threshold: 5, baseline_threshold: None, ..interpreted() },
        &countdown(),
    );
    guest.set_x(1, 10_000);
    assert_eq!((guest.cpu.run(), guest.x(2)), (Exit::Syscall, 30_000));
    assert!(player.promoted.lock().unwrap().is_empty());
}

#[test]
fn everything_is_promoted_at_once_when_compiling() {
    let config = EngineConfig { tier: Tier::Jit, ..EngineConfig::default() };
    let (mut guest, player) = guest(config, &countdown());
    guest.set_x(1, 10);
    assert_eq!((guest.cpu.run(), guest.x(2)), (Exit::Syscall, 3 + 9 * 3000));
    assert_eq!(player.promoted.lock().unwrap().len(), 2, "the loop and what follows it");
}

#[test]
fn a_region_whose_code_changes_is_discarded() {
    let config =
        EngineConfig { hot_threshold: 5, baseline_threshold: None, ..EngineConfig::default() };
    let (mut guest, player) = guest(config, &countdown());
    guest.set_x(1, 10);
    assert_eq!(guest.cpu.run(), Exit::Syscall);
    assert_eq!(player.entered.load(Ordering::Relaxed), 1);
    let stamp = guest.engine.stamp();
    guest.engine.mapping_changed(guest.memory.at(0)..guest.memory.at(4));
    assert_eq!(*player.discarded.lock().unwrap(), [RegionId(7)]);
    let code = guest.memory.at(0)..guest.memory.at(4);
    assert!(guest.engine.publish(RegionId(8), &[code], &[], stamp).is_err(), "too late");
    guest.set_pc(0);
    guest.set_x(1, 2);
    guest.set_x(2, 0);
    assert_eq!((guest.cpu.run(), guest.x(2)), (Exit::Syscall, 6), "interpreted again");
}

#[test]
fn a_withdrawn_region_is_not_entered() {
    let config =
        EngineConfig { hot_threshold: 5, baseline_threshold: None, ..EngineConfig::default() };
    let (mut guest, player) = guest(config, &countdown());
    guest.set_x(1, 10);
    assert_eq!(guest.cpu.run(), Exit::Syscall);
    let epoch = guest.engine.withdraw(&[RegionId(7)]);
    assert!(guest.engine.is_forgotten(epoch), "the CPU is idle");
    guest.set_pc(0);
    guest.set_x(1, 1);
    guest.set_x(2, 0);
    *player.stop.lock().unwrap() = None;
    let before = player.promoted.lock().unwrap().len();
    assert_eq!(guest.cpu.run(), Exit::Syscall);
    assert_eq!(guest.x(2), 3);
    assert_eq!(player.promoted.lock().unwrap().len(), before + 1, "it is hot all the same");
}

/// Runs the loop hot, then has compiled code come back with `stop`.
fn stopped_with(stop: impl FnOnce(&Guest) -> CompiledStop) -> (Exit, Guest) {
    let config =
        EngineConfig { hot_threshold: 5, baseline_threshold: None, ..EngineConfig::default() };
    let (mut guest, player) = guest(config, &countdown());
    guest.set_x(1, 10);
    assert_eq!(guest.cpu.run(), Exit::Syscall);
    *player.stop.lock().unwrap() = Some(stop(&guest));
    guest.set_pc(0);
    guest.set_x(1, 1);
    guest.set_x(2, 0);
    (guest.cpu.run(), guest)
}

#[test]
fn compiled_code_comes_back_in_every_way() {
    let (exit, guest) = stopped_with(|g| CompiledStop::Trap(Trap::Breakpoint, g.memory.at(40)));
    assert_eq!((exit, guest.pc()), (Exit::Breakpoint, 40));
    let (exit, guest) = stopped_with(|g| CompiledStop::Indirect(g.memory.at(12)));
    assert_eq!((exit, guest.pc(), guest.x(1)), (Exit::Syscall, 16, 1));
    let (exit, guest) = stopped_with(|g| CompiledStop::Lookup(g.memory.at(12)));
    assert_eq!((exit, guest.pc(), guest.x(1)), (Exit::Syscall, 16, 1));
    let (exit, guest) = stopped_with(|g| CompiledStop::Interpret(g.memory.at(0)));
    assert_eq!((exit, guest.x(1), guest.x(2)), (Exit::Syscall, 0, 3));
    let (exit, guest) = stopped_with(|g| CompiledStop::Replay {
        sync_pc: g.memory.at(4),
        fault_pc: g.memory.at(8),
        fault_addr: GuestVirt(0),
    });
    assert_eq!((exit, guest.x(1), guest.x(2)), (Exit::Syscall, 0, 0));
    assert_eq!(guest.engine.stats().replays, 1);
}

#[test]
fn a_region_is_not_entered_once_code_on_another_of_its_pages_has_changed() {
    let config =
        EngineConfig { hot_threshold: 5, baseline_threshold: None, ..EngineConfig::default() };
    let (mut guest, player) = guest(config, &countdown());
    guest.memory.put(0x1000, &[ECALL]);
    guest.set_pc(0x1000);
    assert_eq!(guest.cpu.run(), Exit::Syscall);
    guest.set_pc(0);
    guest.set_x(1, 10);
    assert_eq!(guest.cpu.run(), Exit::Syscall);
    // The same, with what lies on the other page.
    let (engine, at) = (&guest.engine, |offset| guest.memory.at(offset));
    engine.withdraw(&[RegionId(7)]);
    let code = [at(0)..at(12), at(0x1000)..at(0x1004)];
    let entries = [(BlockKey::new(at(0), 0), CODE)];
    engine.publish(RegionId(8), &code, &entries, engine.stamp()).unwrap();
    engine.mapping_changed(at(0x1000)..at(0x1001));
    assert_eq!(*player.discarded.lock().unwrap(), [RegionId(8)]);
    let entered = player.entered.load(Ordering::Relaxed);
    guest.set_pc(0);
    guest.set_x(1, 2);
    guest.set_x(2, 0);
    assert_eq!((guest.cpu.run(), guest.x(2)), (Exit::Syscall, 6));
    assert_eq!(player.entered.load(Ordering::Relaxed), entered);
}
