//! `-d int,mmu`: what a hart's traps and its TLB do, a line each.

use arch::riscv64::privileged::Privilege;
use arch::riscv64::privileged::mmu::{Fault, Resolved};
use arch::riscv64::privileged::trap::Cause;
use base::GuestVirt;
use runtime::{Engine, LogItem, Vcpu};
use softmmu::{AccessKind, Flush};

/// A trap that was taken.
#[derive(Clone, Copy, Debug)]
pub(super) struct Taken {
    pub(super) cause: Cause,
    pub(super) tval: u64,
    pub(super) pc: u64,
    pub(super) from: Privilege,
    pub(super) to: Privilege,
}

fn is_on(engine: &Engine, item: LogItem) -> bool {
    engine.config().log.has(item)
}

pub(super) fn trap(vcpu: &Vcpu, hart: usize, taken: Taken) {
    let engine = vcpu.engine();
    if !is_on(engine, LogItem::Int) {
        return;
    }
    let Taken { cause, tval, pc, from, to } = taken;
    let (kind, name, number) = match cause {
        Cause::Exception(exception) => ("exception", format!("{exception:?}"), exception as u64),
        Cause::Interrupt(interrupt) => ("interrupt", format!("{interrupt:?}"), interrupt as u64),
    };
    engine.config().sink.write(format_args!(
        "INT: hart {hart}: {kind} {number} {name}, epc {pc:#x}, tval {tval:#x}, {from:?} to {to:?}\n"
    ));
}

/// A call that the built-in SBI answers: no trap is taken.
pub(super) fn sbi_call(vcpu: &Vcpu, hart: usize) {
    let (engine, frame) = (vcpu.engine(), vcpu.frame());
    if is_on(engine, LogItem::Int) {
        let a = |n: u8| frame.get(arch::riscv64::slot::x(10 + n));
        engine.config().sink.write(format_args!(
            "INT: hart {hart}: SBI call, extension {:#x}, function {:#x}, pc {:#x}\n",
            a(7),
            a(6),
            frame.pc
        ));
    }
}

pub(super) fn flush(vcpu: &Vcpu, hart: usize, Flush { addr, asid }: Flush) {
    let engine = vcpu.engine();
    if is_on(engine, LogItem::Mmu) {
        let addr = addr.map_or("all addresses".to_owned(), |addr| format!("{:#x}", addr.0));
        let asid = asid.map_or("all spaces".to_owned(), |asid| format!("space {asid:#x}"));
        engine.config().sink.write(format_args!("MMU: hart {hart}: flush of {addr}, {asid}\n"));
    }
}

/// A walk, which has been asked for the log.
pub(super) fn walk(
    engine: &Engine,
    hart: u64,
    (addr, kind): (GuestVirt, AccessKind),
    resolved: &Result<Resolved, Fault>,
) {
    let sink = &engine.config().sink;
    match resolved {
        Ok(Resolved { mapping, .. }) => {
            let right = |has, letter| if has { letter } else { '-' };
            sink.write(format_args!(
                "MMU: hart {hart}: {kind:?} of {:#x} is at {:#x}, page of {:#x}, {}{}{}{}\n",
                addr.0,
                mapping.phys.0,
                mapping.size,
                right(mapping.readable, 'r'),
                right(mapping.writable, 'w'),
                right(mapping.executable, 'x'),
                right(mapping.user, 'u'),
            ));
        }
        Err(fault) => {
            sink.write(format_args!(
                "MMU: hart {hart}: {kind:?} of {:#x}: {fault:?} fault\n",
                addr.0
            ));
        }
    }
}
