//! Several CPUs on one engine.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Barrier};
use std::time::{Duration, Instant};

use base::addr::PAGE_SIZE;
use ferry_runtime::{Engine, Exit, Vcpu};

use crate::guest::*;

#[test]
fn another_thread_interrupts_an_endless_loop() {
    let mut guest = Guest::new(&[jal(0, 0)]);
    let interrupter = guest.cpu.interrupter();
    let thread = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(20));
        interrupter.interrupt();
    });
    assert_eq!((guest.cpu.run(), guest.pc()), (Exit::Interrupted, 0));
    thread.join().unwrap();
}

fn cpu_at(engine: &Arc<Engine>, pc: u64) -> Vcpu {
    let mut cpu = engine.new_vcpu();
    cpu.frame_mut().pc = pc;
    cpu
}

/// Three CPUs loop through two pages while a fourth thread keeps changing their mappings.
#[test]
fn blocks_are_dropped_under_running_cpus() {
    // Countdown, with a call to the other page.
    let code = [jalr(7, 5, 0), addi(1, 1, -1), bne(1, 0, -8), ECALL];
    let guest = Guest::new(&code);
    guest.memory.put(PAGE_SIZE, &[addi(2, 2, 1), jalr(0, 7, 0)]);
    let (base, function) = (guest.memory.base.0, guest.memory.at(PAGE_SIZE).0);
    let done = Arc::new(AtomicBool::new(false));
    let runners: Vec<_> = (0..3)
        .map(|_| {
            let (engine, done) = (Arc::clone(&guest.engine), Arc::clone(&done));
            std::thread::spawn(move || {
                let mut rounds = 0;
                while !done.load(Ordering::Relaxed) {
                    let mut cpu = cpu_at(&engine, base);
                    cpu.frame_mut().set(arch::riscv64::slot::x(1), 20_000);
                    cpu.frame_mut().set(arch::riscv64::slot::x(5), function);
                    assert_eq!(cpu.run(), Exit::Syscall);
                    assert_eq!(cpu.frame().get(arch::riscv64::slot::x(2)), 20_000);
                    rounds += 1;
                }
                rounds
            })
        })
        .collect();
    let end = Instant::now() + Duration::from_millis(400);
    while Instant::now() < end {
        guest.engine.mapping_changed(guest.memory.at(PAGE_SIZE)..guest.memory.at(PAGE_SIZE + 1));
        guest.engine.mapping_changed(guest.memory.at(0)..guest.memory.at(2 * PAGE_SIZE));
    }
    done.store(true, Ordering::Relaxed);
    let rounds: u64 = runners.into_iter().map(|runner| runner.join().unwrap()).sum();
    let stats = guest.engine.stats();
    assert!(rounds >= 3 && stats.invalidated_blocks > 10, "{rounds} rounds, {stats:?}");
}

/// One CPU rewrites the function that two others call: each call sees one version or the other.
#[test]
fn a_writer_and_its_readers_agree() {
    let guest = Guest::new(&[jalr(7, 5, 0), addi(1, 1, -1), bne(1, 0, -8), ECALL]);
    // The writer: stores x6 and x8 to the function in turn.
    guest
        .memory
        .put(2 * PAGE_SIZE, &[sw(6, 5, 0), sw(8, 5, 0), addi(1, 1, -1), bne(1, 0, -12), ECALL]);
    guest.memory.put(PAGE_SIZE, &[addi(2, 0, 1), jalr(0, 7, 0)]);
    let function = guest.memory.at(PAGE_SIZE).0;
    let barrier = Arc::new(Barrier::new(3));
    let spawn = |pc: u64, rounds: u64| {
        let (engine, barrier) = (Arc::clone(&guest.engine), Arc::clone(&barrier));
        std::thread::spawn(move || {
            let mut cpu = cpu_at(&engine, pc);
            let (two, one) = (addi(2, 0, 2).into(), addi(2, 0, 1).into());
            let values: [(u8, u64); 4] = [(1, rounds), (5, function), (6, two), (8, one)];
            for (register, value) in values {
                cpu.frame_mut().set(arch::riscv64::slot::x(register), value);
            }
            barrier.wait();
            assert_eq!(cpu.run(), Exit::Syscall);
            cpu.frame().get(arch::riscv64::slot::x(2))
        })
    };
    let base = guest.memory.base.0;
    let readers = [spawn(base, 300_000), spawn(base, 300_000)];
    let writer = spawn(base + 2 * PAGE_SIZE, 50);
    writer.join().unwrap();
    for reader in readers {
        assert!([1, 2].contains(&reader.join().unwrap()));
    }
    // After all that, everybody sees the last version.
    let mut cpu = cpu_at(&guest.engine, base);
    cpu.frame_mut().set(arch::riscv64::slot::x(1), 1);
    cpu.frame_mut().set(arch::riscv64::slot::x(5), function);
    assert_eq!(cpu.run(), Exit::Syscall);
    assert_eq!(cpu.frame().get(arch::riscv64::slot::x(2)), 1);
}
