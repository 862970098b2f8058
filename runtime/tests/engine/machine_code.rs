//! Code of whole machines that is written to: which of its translations go, and which stay.

use std::sync::{Arc, Mutex};

use base::{GuestPhys, GuestVirt};
use ferry_runtime::{EngineConfig, RegionId, Stats, Tier};

use crate::guest::*;
use crate::machine::{Cpu, Machine, RAM};

/// On a page of its own: stores x6 where x7 points.
const STORE: u64 = 0x3000;
/// Likewise, a fence for instructions.
const SYNC: u64 = 0x4000;
/// Data on the page of the functions.
const DATA: u64 = 0x800;
const FUNCTIONS: [u64; 3] = [0x000, 0x100, 0x7c0];

/// Counts down from 20, adding a constant to x5 each time.
fn function(constant: i32) -> [u32; 6] {
    [addi(5, 0, 0), addi(1, 0, 20), addi(5, 5, constant), addi(1, 1, -1), bne(1, 0, -8), ECALL]
}

/// Has called all functions.
fn prepared(machine: &Machine) -> Cpu {
    for (&offset, constant) in FUNCTIONS.iter().zip(1..) {
        machine.put(offset, &function(constant));
    }
    machine.put(STORE, &[sw(6, 7, 0), ECALL]);
    machine.put(SYNC, &[FENCE_I, ECALL]);
    let mut cpu = machine.cpu();
    store(&mut cpu, DATA, 0);
    for (&offset, constant) in FUNCTIONS.iter().zip(1..) {
        assert_eq!(cpu.call(offset), 20 * constant);
    }
    cpu
}

fn store(cpu: &mut Cpu, offset: u64, word: u32) {
    cpu.set_x(7, RAM + offset);
    cpu.set_x(6, word.into());
    cpu.call(STORE);
}

/// What was made and dropped.
fn work(stats: &Stats) -> [u64; 4] {
    let Stats { translated_blocks, invalidated_blocks, regions, invalidated_regions, .. } = *stats;
    [translated_blocks, invalidated_blocks, regions, invalidated_regions]
}

fn check_data_beside_code(machine: &Machine) {
    let mut cpu = prepared(machine);
    let before = machine.engine.stats();
    for n in 0..200 {
        store(&mut cpu, DATA, n);
        // Right before a function, and right behind one.
        store(&mut cpu, FUNCTIONS[1] - 4, n);
        store(&mut cpu, FUNCTIONS[1] + 24, n);
    }
    for (offset, constant) in FUNCTIONS.into_iter().zip(1..) {
        assert_eq!(cpu.call(offset), 20 * constant);
    }
    let after = machine.engine.stats();
    assert_eq!(work(&after), work(&before), "{after}");
    assert_eq!(after.code_writes, before.code_writes);
}

#[test]
fn a_write_beside_code_drops_no_block() {
    check_data_beside_code(&Machine::new(interpreted(), |_| {}));
}

#[test]
fn a_write_beside_code_drops_no_region() {
    let machine = Machine::compiling(EngineConfig { tier: Tier::Jit, ..EngineConfig::default() });
    check_data_beside_code(&machine);
    assert!(machine.engine.stats().regions >= 3);
}

/// What was made since, and dropped, if the constant of one function is overwritten.
fn overwrite(machine: &Machine, cpu: &mut Cpu) -> ([u64; 4], [u64; 4]) {
    let before = machine.engine.stats();
    store(cpu, FUNCTIONS[1] + 8, addi(5, 5, 9));
    let dropped = machine.engine.stats();
    for (offset, constant) in FUNCTIONS.into_iter().zip([1, 9, 3]) {
        assert_eq!(cpu.call(offset), 20 * constant);
    }
    let after = machine.engine.stats();
    let difference = |later: &Stats, earlier: &Stats| {
        let (later, earlier) = (work(later), work(earlier));
        std::array::from_fn(|n| later[n] - earlier[n])
    };
    (difference(&dropped, &before), difference(&after, &dropped))
}

#[test]
fn a_write_to_code_drops_the_blocks_that_it_touches() {
    let machine = Machine::new(interpreted(), |_| {});
    let mut cpu = prepared(&machine);
    // The function's start with the first round, and the loop; what follows the loop stays.
    assert_eq!(overwrite(&machine, &mut cpu), ([0, 2, 0, 0], [2, 0, 0, 0]));
}

#[test]
fn a_write_to_code_drops_the_regions_that_it_touches() {
    let machine = Machine::compiling(EngineConfig { tier: Tier::Jit, ..EngineConfig::default() });
    let mut cpu = prepared(&machine);
    let (dropped, made) = overwrite(&machine, &mut cpu);
    assert!(dropped[3] >= 1 && dropped[3] == made[2], "{dropped:?} {made:?}");
    assert_eq!(overwrite(&machine, &mut cpu), (dropped, made), "as often as it happens");
}

#[test]
fn a_page_without_translations_is_written_to_freely() {
    let machine = Machine::new(interpreted(), |_| {});
    let mut cpu = prepared(&machine);
    for offset in FUNCTIONS {
        (0..6).for_each(|n| store(&mut cpu, offset + 4 * n, 0));
    }
    let code_writes = |cpu: &mut Cpu| {
        let (softmmu, frame) = cpu.0.system_mut().unwrap();
        softmmu.stats(frame).code_writes
    };
    let before = code_writes(&mut cpu);
    (0..100).for_each(|n| store(&mut cpu, DATA, n));
    assert_eq!(code_writes(&mut cpu), before);
}

#[test]
fn a_page_that_is_filled_with_something_else_is_written_to_freely_soon() {
    const PAGE: u64 = 0x5000;
    let machine = Machine::new(interpreted(), |_| {});
    let mut cpu = prepared(&machine);
    for n in 0..32 {
        machine.put(PAGE + 16 * n, &[addi(5, 0, 1), ECALL]);
        assert_eq!(cpu.call(PAGE + 16 * n), 1);
    }
    let before = machine.engine.stats();
    (0..8).for_each(|n| store(&mut cpu, PAGE + 16 * n, 0));
    let after = machine.engine.stats();
    assert_eq!(after.invalidated_blocks - before.invalidated_blocks, 32);
    (8..32).for_each(|n| store(&mut cpu, PAGE + 16 * n, 0));
    assert_eq!(machine.engine.stats().code_writes, after.code_writes);
}

#[test]
fn code_that_changes_all_the_time_is_validated_in_the_end() {
    let machine = Machine::new(EngineConfig { thrash_limit: 8, ..interpreted() }, |_| {});
    let mut cpu = prepared(&machine);
    for n in 0..100 {
        store(&mut cpu, FUNCTIONS[1] + 8, addi(5, 5, n));
        assert_eq!(cpu.call(FUNCTIONS[1]), 20 * n as u64);
        assert_eq!(cpu.call(FUNCTIONS[0]), 20);
    }
    let stats = machine.engine.stats();
    assert!(stats.validations > 90 && stats.code_writes < 20, "{stats}");
}

#[test]
fn a_region_is_published_though_data_beside_it_were_written() {
    let machine = Machine::new(interpreted(), |_| {});
    prepared(&machine);
    let code = [GuestVirt(RAM)..GuestVirt(RAM + 24)];
    let stamp = machine.engine.stamp();
    machine.engine.code_written(GuestPhys(RAM + DATA), 8);
    assert!(machine.engine.publish(RegionId(1), &code, &[], stamp).is_ok());
    machine.engine.code_written(GuestPhys(RAM + 20), 1);
    assert!(machine.engine.publish(RegionId(2), &code, &[], stamp).is_err());
    assert_eq!(machine.engine.stats().invalidated_regions, 1);
}

#[test]
fn what_is_translated_is_fetched_again_if_it_was_written_to_meanwhile() {
    let machine = Machine::new(interpreted(), |_| {});
    prepared(&machine);
    let mut cpu = machine.cpu();
    let mut fetches_if_written = |entry: u64, written: u64| {
        let (engine, before) = (Arc::clone(&machine.engine), machine.fetches());
        machine.on_fetch(move || engine.code_written(GuestPhys(RAM + written), 4));
        assert_eq!(cpu.call(entry), 0);
        machine.fetches() - before
    };
    machine.put(0x200, &[addi(5, 0, 0), ECALL, addi(5, 0, 0), ECALL]);
    assert_eq!(fetches_if_written(0x200, DATA), 1);
    assert_eq!(fetches_if_written(0x208, 0x208), 2);
}

#[test]
fn what_was_fetched_before_a_cpu_synchronised_is_not_found_after() {
    let machine = Machine::new(interpreted(), |_| {});
    machine.put(0, &[addi(5, 0, 1), ECALL]);
    machine.put(SYNC, &[FENCE_I, ECALL]);
    let (mut writer, mut first) = (machine.cpu(), machine.cpu());
    let second = Arc::new(Mutex::new(machine.cpu()));
    second.lock().unwrap().call(SYNC);
    // The first CPU has fetched; the writer, which looked at the page before, stores; the second, which
    // knows of that, synchronises.
    let (store, synchronising) = (machine.unnoticed_store(0, addi(5, 0, 2)), Arc::clone(&second));
    machine.on_fetch(move || {
        store();
        synchronising.lock().unwrap().call(SYNC);
    });
    writer.0.access(|_, _| {
        first.call(0);
        assert_eq!(second.lock().unwrap().call(0), 2);
        assert_eq!(first.call(0), 2);
    });
}

#[test]
fn an_unnoticed_store_is_found_by_the_next_synchronisation() {
    // Not protected yet.
    const PAGE: u64 = 0x5000;
    let machine = Machine::new(interpreted(), |_| {});
    let mut cpu = prepared(&machine);
    let mut writer = machine.cpu();
    writer.0.access(|_, _| {
        machine.put(PAGE, &[addi(5, 0, 1), ECALL, addi(5, 0, 7), ECALL]);
        assert_eq!((cpu.call(PAGE), cpu.call(PAGE + 8)), (1, 7));
        machine.unnoticed_store(PAGE, addi(5, 0, 2))();
        let before = machine.engine.stats();
        cpu.call(SYNC);
        assert_eq!((cpu.call(PAGE), cpu.call(PAGE + 8)), (2, 7));
        let after = machine.engine.stats();
        assert_eq!(after.invalidated_blocks - before.invalidated_blocks, 1);
    });
}
