//! Code memory that is too small: the oldest regions make room, and nothing else is noticed.

use ferry_runtime::{EngineConfig, Exit, RegionCompiler, RegionConfig, Stats, Tier};

use crate::guest::*;

/// Bytes of the smallest code memory there is.
const LEAST_CODE_MEMORY: u64 = 256 << 10;

/// Enough for the code memory of the least size to be filled more than once.
const ROUNDS: i32 = 1500;

fn tiny(workers: usize, baseline_threshold: Option<u32>) -> Guest {
    let tier = if workers == 0 { Tier::Jit } else { Tier::Auto };
    let defaults = EngineConfig::default();
    let config = EngineConfig { tier, hot_threshold: 64, baseline_threshold, ..defaults };
    Guest::prepared(config, &[ECALL], |engine| {
        let regions = RegionConfig { workers, code_bytes: 1, ..RegionConfig::default() };
        engine.set_promoter(RegionCompiler::new(regions).unwrap());
    })
}

/// Counts x5 down to zero, adding another constant to x6 each time, by way of many registers.
fn program(constant: i32) -> Vec<u32> {
    let mut code: Vec<u32> = (8..31).map(|rd| addi(rd, rd - 1, 1)).collect();
    code.push(addi(6, 6, constant));
    code.push(addi(5, 5, -1));
    code.push(bne(5, 0, -4 * code.len() as i32));
    code.push(ECALL);
    code
}

fn run_rounds(mut guest: Guest, times: u64) -> Stats {
    for round in 0..ROUNDS {
        let constant = round % 2000;
        guest.memory.put(0, &program(constant));
        guest.engine.mapping_changed(guest.memory.at(0)..guest.memory.at(4096));
        guest.set_pc(0);
        guest.set_x(5, times);
        guest.set_x(6, 0);
        assert_eq!(guest.cpu.run(), Exit::Syscall);
        assert_eq!(guest.x(6), times * constant as u64, "round {round}");
    }
    guest.engine.stats()
}

#[test]
fn a_cpu_that_compiles_for_itself_goes_round_its_code_memory() {
    let stats = run_rounds(tiny(0, None), 20);
    assert!(stats.region_bytes > LEAST_CODE_MEMORY, "{stats}");
}

#[test]
fn a_worker_goes_round_the_code_memory_behind_a_running_cpu() {
    let stats = run_rounds(tiny(1, None), 20_000);
    assert!(stats.region_bytes > LEAST_CODE_MEMORY, "{stats}");
}

#[test]
fn a_cpu_and_a_worker_go_round_it_together() {
    let stats = run_rounds(tiny(1, Some(8)), 5000);
    assert!(stats.baseline_bytes > LEAST_CODE_MEMORY, "{stats}");
}

/// So many blocks, each of which jumps to the next, executed x5 times in a circle: nearly all are reached by links.
fn chain(blocks: i32) -> Vec<u32> {
    let mut code = Vec::new();
    for n in 0..blocks {
        code.extend((8..16).map(|rd| addi(rd, rd - 1, n % 2000)));
        code.extend([addi(6, 6, 1), jal(0, 8), 0]);
    }
    code.extend([addi(5, 5, -1), bne(5, 0, 8), ECALL]);
    code.push(jal(0, -4 * code.len() as i32));
    code
}

#[test]
fn no_link_leads_to_code_that_has_made_room() {
    const BLOCKS: i32 = 1400;
    const TIMES: u64 = 40_000;
    let mut guest = tiny(1, None);
    guest.memory.put(0, &chain(BLOCKS));
    guest.engine.mapping_changed(guest.memory.at(0)..guest.memory.at(16 * 4096));
    guest.set_pc(0);
    guest.set_x(5, TIMES);
    guest.set_x(6, 0);
    assert_eq!(guest.cpu.run(), Exit::Syscall);
    assert_eq!(guest.x(6), TIMES * BLOCKS as u64);
    let stats = guest.engine.stats();
    assert!(stats.evicted_regions > 0, "{stats}");
}
