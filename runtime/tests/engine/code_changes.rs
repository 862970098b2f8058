//! Code that is written while it is translated.

use std::sync::atomic::Ordering;

use base::addr::PAGE_SIZE;
use ferry_runtime::{EngineConfig, Exit};

use crate::guest::*;

#[test]
fn a_block_that_rewrites_itself_goes_on_with_what_it_wrote() {
    // The second instruction overwrites the third.
    let code = [addi(5, 0, 1), sw(6, 1, 8), addi(5, 0, 2), ECALL];
    let mut guest = Guest::new(&code);
    let base = guest.memory.base.0;
    guest.set_x(1, base);
    guest.set_x(6, addi(5, 0, 3).into());
    assert_eq!((guest.cpu.run(), guest.x(5), guest.pc()), (Exit::Syscall, 3, 16));
    // And again, from the start: the old translation of the first block is gone, too.
    guest.set_x(6, addi(5, 0, 4).into());
    guest.set_pc(0);
    assert_eq!((guest.cpu.run(), guest.x(5)), (Exit::Syscall, 4));
    let stats = guest.engine.stats();
    assert!(stats.code_writes == 2 && stats.invalidated_blocks >= 2, "{stats:?}");
    assert_eq!(stats.interpreted_insns, 8);
}

#[test]
fn a_linked_block_that_changes_is_not_entered_again() {
    // Calls 64 in a loop; the caller rewrites it half-way through.
    let store = sw(6, 5, 0);
    let code = [jalr(7, 5, 0), addi(1, 1, -1), bne(1, 8, 8), store, bne(1, 0, -16), ECALL];
    let mut guest = Guest::new(&code);
    guest.memory.put(PAGE_SIZE, &[addi(2, 2, 1), jalr(0, 7, 0)]);
    let function = guest.memory.at(PAGE_SIZE).0;
    for (register, value) in [(1, 100), (5, function), (6, addi(2, 2, 10).into()), (8, 40)] {
        guest.set_x(register, value);
    }
    assert_eq!((guest.cpu.run(), guest.x(2)), (Exit::Syscall, 60 + 40 * 10));
    assert_eq!(guest.engine.stats().code_writes, 1);
}

/// Rewrites an instruction before each of its executions.
fn rewriter(rounds: u64, thrash_limit: u32) -> Guest {
    // x6 alternates between two encodings by adding x9 and -x9.
    let code = [sw(6, 5, 0), jalr(7, 5, 0), add(6, 6, 9), addi(1, 1, -1), bne(1, 0, -16), ECALL];
    let mut guest = Guest::with(EngineConfig { thrash_limit, ..interpreted() }, &code);
    guest.memory.put(PAGE_SIZE, &[addi(2, 2, 0), jalr(0, 7, 0)]);
    let function = guest.memory.at(PAGE_SIZE).0;
    // Each round's instruction adds one more than the last one's.
    for (register, value) in [(1, rounds), (5, function), (6, addi(2, 2, 1).into()), (9, 1 << 20)] {
        guest.set_x(register, value);
    }
    assert_eq!(guest.cpu.run(), Exit::Syscall);
    guest
}

#[test]
fn code_that_is_rewritten_each_time_is_executed_as_written() {
    let guest = rewriter(20, 1000);
    assert_eq!(guest.x(2), (1..=20).sum::<u64>());
    assert!(guest.engine.stats().code_writes >= 19);
}

#[test]
fn a_page_that_thrashes_is_validated_instead_of_protected() {
    let guest = rewriter(500, 8);
    assert_eq!(guest.x(2), (1..=500).sum::<u64>());
    let stats = guest.engine.stats();
    assert_eq!(stats.code_writes, 8, "the page is not protected any more");
    assert!(stats.validations > 450, "{stats:?}");
    assert_eq!(guest.memory.protections.load(Ordering::Relaxed), 1 + 8);
}

/// A block that overwrites its own next instruction, over and over.
fn self_writer(memory_is_shared: bool) -> Guest {
    let code = [sw(6, 5, 4), addi(2, 2, 0), add(6, 6, 9), addi(1, 1, -1), bne(1, 0, -16), ECALL];
    let mut guest = Guest::coherent(EngineConfig { thrash_limit: 4, ..interpreted() }, &code);
    guest.memory.shared.store(memory_is_shared, Ordering::Relaxed);
    let base = guest.memory.base.0;
    for (register, value) in [(1, 300), (5, base), (6, addi(2, 2, 1).into()), (9, 1 << 20)] {
        guest.set_x(register, value);
    }
    assert_eq!(guest.cpu.run(), Exit::Syscall);
    assert_eq!(guest.x(2), (1..=300).sum::<u64>());
    guest
}

#[test]
fn a_block_sees_its_own_stores_though_its_page_is_not_protected() {
    let thrashing = self_writer(false);
    assert_eq!(thrashing.engine.stats().code_writes, 4);
    let shared = self_writer(true);
    assert_eq!(shared.engine.stats().code_writes, 0);
    assert_eq!(shared.memory.protections.load(Ordering::Relaxed), 0);
}

#[test]
fn coherent_fetches_see_writes_through_other_mappings() {
    let mut guest = Guest::coherent(interpreted(), &[addi(5, 0, 1), ECALL]);
    guest.memory.shared.store(true, Ordering::Relaxed);
    for value in 1..20 {
        // Nobody notices.
        guest.memory.put(0, &[addi(5, 0, value)]);
        guest.set_pc(0);
        assert_eq!((guest.cpu.run(), guest.x(5)), (Exit::Syscall, value as u64));
    }
}

#[test]
fn changed_mappings_are_translated_anew() {
    let mut guest = Guest::new(&[addi(5, 0, 1), ECALL]);
    assert_eq!((guest.cpu.run(), guest.x(5)), (Exit::Syscall, 1));
    guest.memory.put(0, &[addi(5, 0, 2)]);
    let page = |n: u64| guest.memory.at(n * PAGE_SIZE);
    guest.engine.mapping_changed(page(1)..page(2));
    guest.set_pc(0);
    assert_eq!((guest.cpu.run(), guest.x(5)), (Exit::Syscall, 1), "another page changed");
    guest.engine.mapping_changed(guest.memory.at(0)..guest.memory.at(1));
    guest.set_pc(0);
    assert_eq!((guest.cpu.run(), guest.x(5)), (Exit::Syscall, 2));
}

#[test]
fn shared_memory_is_compared_when_the_guest_asks() {
    let mut guest = Guest::new(&[addi(5, 0, 1), ECALL]);
    guest.memory.put(64, &[FENCE_I, ECALL]);
    guest.memory.shared.store(true, Ordering::Relaxed);
    let mut result = |offset| {
        guest.set_pc(offset);
        assert_eq!(guest.cpu.run(), Exit::Syscall);
        guest.x(5)
    };
    assert_eq!(result(0), 1);
    result(64);
    assert_eq!(result(0), 1);
    // Through another mapping: nobody notices.
    guest.memory.put(0, &[addi(5, 0, 2)]);
    let mut result = |offset| {
        guest.set_pc(offset);
        assert_eq!(guest.cpu.run(), Exit::Syscall);
        guest.x(5)
    };
    assert_eq!(result(0), 1);
    result(64);
    assert_eq!(result(0), 2);
    guest.memory.put(0, &[addi(5, 0, 3)]);
    guest.engine.instruction_sync(guest.memory.base..guest.memory.at(8));
    guest.set_pc(0);
    assert_eq!((guest.cpu.run(), guest.x(5)), (Exit::Syscall, 3));
}

#[test]
fn a_replay_makes_no_store_twice() {
    // Two stores, a load, a store.
    let code = [sd(5, 1, 0), sd(6, 1, 8), ld(7, 1, 0), sd(5, 1, 16), ECALL];
    let mut guest = Guest::new(&code);
    let data = guest.memory.at(8 * PAGE_SIZE);
    for (register, value) in [(1, data.0), (5, 50), (6, 60)] {
        guest.set_x(register, value);
    }
    // As if compiled code had stored, another thread changed the first word, and the load faulted.
    guest.memory.set_word(8 * PAGE_SIZE, 99);
    let (start, load) = (guest.memory.at(0), guest.memory.at(8));
    let replayed = guest.cpu.replay(start, load, data);
    assert_eq!(replayed, ferry_runtime::Replayed::Exit(Exit::Syscall));
    assert_eq!(guest.x(7), 99);
    let words = [0, 8, 16].map(|offset| guest.memory.word(8 * PAGE_SIZE + offset));
    assert_eq!(words, [99, 0, 50]);
    // The second store faulted: it happens, and all after it.
    let replayed = guest.cpu.replay(start, guest.memory.at(4), data.wrapping_add(8));
    assert_eq!(replayed, ferry_runtime::Replayed::Exit(Exit::Syscall));
    assert_eq!((guest.x(7), guest.memory.word(8 * PAGE_SIZE + 8)), (99, 60));
}
