//! The engine on both sides of a fork.

#![expect(unsafe_code, reason = "forks")]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use base::addr::PAGE_SIZE;
use ferry_runtime::Exit;

use crate::guest::*;

/// Forks while two other threads translate and drop without pause; parent and child go on.
#[test]
fn a_child_of_a_busy_process_can_run_and_drop_code() {
    let code = [jalr(7, 5, 0), addi(1, 1, -1), bne(1, 0, -8), ECALL];
    let mut guest = Guest::new(&code);
    guest.memory.put(PAGE_SIZE, &[addi(2, 2, 1), jalr(0, 7, 0)]);
    let (base, function) = (guest.memory.base.0, guest.memory.at(PAGE_SIZE).0);
    let done = Arc::new(AtomicBool::new(false));
    let busy: Vec<_> = (0..2)
        .map(|_| {
            let (engine, done) = (Arc::clone(&guest.engine), Arc::clone(&done));
            let memory = Arc::clone(&guest.memory);
            std::thread::spawn(move || {
                while !done.load(Ordering::Relaxed) {
                    let mut cpu = engine.new_vcpu();
                    cpu.frame_mut().pc = base;
                    cpu.frame_mut().set(arch::riscv64::slot::x(1), 100);
                    cpu.frame_mut().set(arch::riscv64::slot::x(5), function);
                    assert_eq!(cpu.run(), Exit::Syscall);
                    engine.mapping_changed(memory.at(0)..memory.at(2 * PAGE_SIZE));
                }
            })
        })
        .collect();
    for round in 0..20 {
        assert_eq!(fork_and_run(&mut guest, function, round), 0, "round {round}");
    }
    done.store(true, Ordering::Relaxed);
    busy.into_iter().for_each(|thread| thread.join().unwrap());
}

/// The exit status of a child that runs code, changes it, and runs it again.
fn fork_and_run(guest: &mut Guest, function: u64, round: u64) -> i32 {
    let held = guest.memory.hold();
    let guard = guest.engine.before_fork().expect("memory for a child");
    // SAFETY: the child uses the engine, the C library's allocator, and leaves by `_exit`.
    let pid = unsafe { libc::fork() };
    if pid != 0 {
        guard.parent();
        drop(held);
        assert!(pid > 0);
        guest.set_pc(0);
        guest.set_x(1, 10);
        guest.set_x(5, function);
        assert_eq!(guest.cpu.run(), Exit::Syscall);
        let mut status = 0;
        // SAFETY: waits for the child made above.
        assert_eq!(unsafe { libc::waitpid(pid, &raw mut status, 0) }, pid);
        return status;
    }
    guard.child();
    drop(held);
    // SAFETY: ends a child that hangs, as a failure.
    unsafe { libc::alarm(10) };
    let mut run = |add: i32| {
        let before = guest.x(2);
        guest.memory.put(PAGE_SIZE, &[addi(2, 2, add)]);
        guest.engine.mapping_changed(guest.memory.at(PAGE_SIZE)..guest.memory.at(2 * PAGE_SIZE));
        guest.set_pc(0);
        guest.set_x(1, 10);
        guest.set_x(5, function);
        guest.cpu.run() == Exit::Syscall && guest.x(2) == before + 10 * add as u64
    };
    let good = run(2) && run(3) && run(round as i32);
    // SAFETY: leaves without running destructors of the parent's things.
    unsafe { libc::_exit(i32::from(!good)) }
}
