//! Execution, exits, and what is counted and logged.

use base::GuestVirt;
use base::addr::PAGE_SIZE;
use ferry_runtime::{Exit, FetchFault, FetchFaultCause, LogItem, LogItems};

use crate::guest::*;

#[test]
fn a_loop_runs_and_is_counted() {
    let mut guest = Guest::new(&countdown());
    guest.set_x(1, 1000);
    assert_eq!(guest.cpu.run(), Exit::Syscall);
    assert_eq!((guest.x(1), guest.x(2), guest.pc()), (0, 3000, 16));
    let stats = guest.engine.stats();
    assert_eq!((stats.interpreted_insns, stats.translated_blocks), (3001, 2));
    assert!(stats.cache_hits < 5 && stats.links >= 2, "the loop was linked: {stats:?}");
    drop(guest.cpu);
    assert_eq!(guest.engine.stats(), stats, "a CPU's counts outlive it");
}

#[test]
fn traps_leave_pc_where_the_guest_expects_it() {
    for (word, exit, pc) in [
        (ECALL, Exit::Syscall, 8),
        (EBREAK, Exit::Breakpoint, 4),
        (ILLEGAL, Exit::IllegalInstruction, 4),
    ] {
        let mut guest = Guest::new(&[addi(1, 1, 1), word]);
        assert_eq!(guest.cpu.run(), exit);
        assert_eq!((guest.x(1), guest.pc()), (1, pc));
    }
}

#[test]
fn a_data_fault_is_exact() {
    let mut guest = Guest::new(&[addi(5, 0, 7), ld(6, 1, 8), addi(5, 0, 9)]);
    guest.set_x(1, 0x18);
    let Exit::DataFault(fault) = guest.cpu.run() else { panic!("no fault") };
    assert_eq!((fault.addr, fault.signal, fault.write), (GuestVirt(0x20), libc::SIGSEGV, false));
    assert_eq!((guest.pc(), guest.x(5), guest.x(6)), (4, 7, 0));
    // It can be taken up again.
    let data = guest.memory.at(PAGE_SIZE).0;
    guest.set_x(1, data);
    guest.memory.put(12, &[ECALL]);
    guest.engine.mapping_changed(guest.memory.base..guest.memory.at(PAGE_SIZE));
    assert_eq!((guest.cpu.run(), guest.x(5)), (Exit::Syscall, 9));
}

#[test]
fn a_fetch_fault_names_the_missing_byte() {
    let mut guest = Guest::new(&[jalr(0, 1, 0)]);
    guest.set_x(1, 0x1000);
    let unmapped = |addr| Exit::FetchFault(FetchFault { addr, cause: FetchFaultCause::Unmapped });
    assert_eq!(guest.cpu.run(), unmapped(GuestVirt(0x1000)));
    assert_eq!(guest.cpu.frame().pc, 0x1000);
    // An instruction of four bytes of which only two are there.
    let end = PAGES * PAGE_SIZE;
    guest.memory.put(end - 4, &[addi(3, 0, 1) << 16 | 1]);
    guest.set_pc(end - 4);
    assert_eq!(guest.cpu.run(), unmapped(guest.memory.at(end)));
    assert_eq!(guest.pc(), end - 2, "the first instruction was executed");
}

#[test]
fn code_is_not_found_by_the_low_bits_of_its_address() {
    let mut guest = Guest::new(&[jalr(0, 1, 0), ECALL]);
    let code = guest.memory.at(4).0;
    let far = |bit: u32| GuestVirt(code | 1 << bit);
    let unmapped = |addr| Exit::FetchFault(FetchFault { addr, cause: FetchFaultCause::Unmapped });
    for _ in 0..100 {
        guest.set_pc(0);
        guest.set_x(1, code);
        assert_eq!(guest.cpu.run(), Exit::Syscall);
        for bit in [47, 48, 54, 63] {
            guest.set_pc(0);
            guest.set_x(1, far(bit).0);
            assert_eq!(guest.cpu.run(), unmapped(far(bit)));
            assert_eq!(guest.cpu.frame().pc, far(bit).0);
        }
    }
}

#[test]
fn an_instruction_may_lie_across_two_pages() {
    let mut guest = Guest::new(&[]);
    let word = addi(3, 0, 77);
    guest.memory.put(PAGE_SIZE - 4, &[1 | word << 16]);
    guest.memory.put(PAGE_SIZE, &[word >> 16 | 1 << 16, ECALL]);
    guest.set_pc(PAGE_SIZE - 4);
    assert_eq!((guest.cpu.run(), guest.x(3)), (Exit::Syscall, 77));
    // Its second half changes.
    guest.memory.put(PAGE_SIZE, &[addi(3, 0, 78) >> 16 | 1 << 16]);
    guest.engine.mapping_changed(guest.memory.at(PAGE_SIZE)..guest.memory.at(PAGE_SIZE + 1));
    guest.set_pc(PAGE_SIZE - 4);
    assert_eq!((guest.cpu.run(), guest.x(3)), (Exit::Syscall, 78));
}

#[test]
fn an_interrupt_is_sticky_until_reported() {
    let mut guest = Guest::new(&countdown());
    guest.set_x(1, 5);
    guest.cpu.interrupter().interrupt();
    assert_eq!((guest.cpu.run(), guest.pc(), guest.x(1)), (Exit::Interrupted, 0, 5));
    assert_eq!((guest.cpu.run(), guest.x(1)), (Exit::Syscall, 0));
}

#[test]
fn indirect_calls_find_their_way_back() {
    // x5 = function at 64; calls it x1 times.
    let code = [jalr(6, 5, 0), addi(1, 1, -1), bne(1, 0, -8), ECALL];
    let mut guest = Guest::new(&code);
    guest.memory.put(64, &[addi(2, 2, 1), jalr(0, 6, 0)]);
    let function = guest.memory.at(64).0;
    guest.set_x(1, 500);
    guest.set_x(5, function | 1);
    assert_eq!((guest.cpu.run(), guest.x(2)), (Exit::Syscall, 500));
    let stats = guest.engine.stats();
    assert!(stats.cache_hits < 10, "the jump cache was used: {stats:?}");
}

#[test]
fn logs_show_code_ir_and_execution() {
    let path = std::env::temp_dir().join(format!("ferry-engine-log-{}", std::process::id()));
    let items = [LogItem::InAsm, LogItem::Ir, LogItem::Exec, LogItem::Cpu];
    let items = items.into_iter().fold(LogItems::NONE, LogItems::with);
    let mut guest = Guest::logging(items, &path, &countdown());
    guest.set_x(1, 3);
    assert_eq!(guest.cpu.run(), Exit::Syscall);
    let log = std::fs::read_to_string(&path).unwrap();
    std::fs::remove_file(&path).unwrap();
    assert_eq!(log.matches("EXEC ").count(), 4, "{log}");
    assert_eq!(log.matches("IN: ").count(), 2, "{log}");
    for text in ["addi", "ecall", "sp = add.i64 sp, 3", " sp=0000000000000006"] {
        assert!(log.contains(text), "{text} is not in\n{log}");
    }
}

#[test]
fn the_cache_is_bounded() {
    let config = ferry_runtime::EngineConfig { cache_bytes: 64 << 10, ..interpreted() };
    // A chain of blocks of one jump each, twice over.
    let mut guest = Guest::with(config, &[]);
    let jumps = (8 * PAGE_SIZE / 4) as usize;
    for page in 0..8 {
        guest.memory.put(page * PAGE_SIZE, &vec![jal(0, 4); 1024]);
    }
    guest.memory.put(8 * PAGE_SIZE, &[ECALL]);
    for _ in 0..2 {
        guest.set_pc(0);
        assert_eq!(guest.cpu.run(), Exit::Syscall);
    }
    let stats = guest.engine.stats();
    assert!(stats.flushes > 0 && stats.translated_blocks > jumps as u64, "{stats:?}");
    assert_eq!(stats.interpreted_insns, 2 * (jumps as u64 + 1));
}
