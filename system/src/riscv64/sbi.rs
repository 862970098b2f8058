//! The built-in supervisor binary interface (RISC-V SBI Specification 2.0), for machines without
//! firmware: BASE, TIME, IPI, RFENCE, HSM, SRST, DBCN, and the legacy calls. Machine level has no code then; what
//! would trap to it ends here.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arch::riscv64::privileged::{FenceScope, Privilege, SystemContext, envcfg, interrupt, trap};
use arch::riscv64::slot;
use base::{CpuFrame, GuestPhys, GuestVirt};
use vm_memory::{Bytes, GuestAddress};

use crate::device::Width;
use crate::machine::{CpuHandle, Ending, Shared};
use crate::riscv64::hart::Hart;
use crate::riscv64::mailbox::{Mailbox, Request};

/// What we are, in [`base_call`]: version 2.0 of the specification, an implementation without a
/// number of its own.
const SPECIFICATION: u64 = 2 << 24;
const IMPLEMENTATION: u64 = 0x4652_5259;

/// Extension IDs.
mod eid {
    pub(super) const SET_TIMER: u64 = 0;
    pub(super) const CONSOLE_PUTCHAR: u64 = 1;
    pub(super) const CONSOLE_GETCHAR: u64 = 2;
    pub(super) const SHUTDOWN: u64 = 8;
    pub(super) const BASE: u64 = 0x10;
    pub(super) const TIME: u64 = 0x5449_4d45;
    pub(super) const IPI: u64 = 0x0073_5049;
    pub(super) const RFENCE: u64 = 0x5246_4e43;
    pub(super) const HSM: u64 = 0x0048_534d;
    pub(super) const SRST: u64 = 0x5352_5354;
    pub(super) const DBCN: u64 = 0x4442_434e;

    pub(super) const ALL: [u64; 11] = [
        SET_TIMER,
        CONSOLE_PUTCHAR,
        CONSOLE_GETCHAR,
        SHUTDOWN,
        BASE,
        TIME,
        IPI,
        RFENCE,
        HSM,
        SRST,
        DBCN,
    ];
}

/// Error codes ("Binary Encoding").
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(i64)]
enum Error {
    Failed = -1,
    NotSupported = -2,
    InvalidParam = -3,
    InvalidAddress = -5,
    AlreadyAvailable = -6,
}

type Answer = Result<u64, Error>;

/// Where a hart is to start.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Start {
    pub(super) pc: GuestVirt,
    /// What it finds in a1.
    pub(super) argument: u64,
}

/// Hart states (HSM).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    Started,
    Stopped,
    StartPending(Start),
}

impl State {
    fn number(self) -> u64 {
        match self {
            Self::Started => 0,
            Self::Stopped => 1,
            Self::StartPending(_) => 2,
        }
    }
}

/// A hart as the others see it.
pub(super) struct Peer {
    pub(super) context: Arc<SystemContext>,
    pub(super) handle: Arc<CpuHandle>,
    pub(super) mailbox: Arc<Mailbox>,
}

/// What all harts share.
pub(super) struct Sbi {
    shared: Arc<Shared>,
    console: GuestPhys,
    states: Mutex<Vec<State>>,
    peers: Mutex<Vec<Arc<Peer>>>,
}

impl Sbi {
    /// For so many harts, with a 16550 UART at `console`.
    pub(super) fn new(shared: &Arc<Shared>, harts: usize, console: GuestPhys) -> Arc<Self> {
        let states = Mutex::new(vec![State::Stopped; harts]);
        Arc::new(Self { shared: Arc::clone(shared), console, states, peers: Mutex::default() })
    }

    pub(super) fn add(&self, peer: Peer) {
        self.peers.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::new(peer));
    }

    fn peer(&self, hart: usize) -> Option<Arc<Peer>> {
        self.peers.lock().unwrap_or_else(PoisonError::into_inner).get(hart).map(Arc::clone)
    }

    fn states(&self) -> MutexGuard<'_, Vec<State>> {
        self.states.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn is_started(&self, hart: usize) -> bool {
        self.states().get(hart) == Some(&State::Started)
    }

    pub(super) fn has_start(&self, hart: usize) -> bool {
        matches!(self.states().get(hart), Some(State::StartPending(_)))
    }

    pub(super) fn take_start(&self, hart: usize) -> Option<Start> {
        match self.states().get_mut(hart) {
            Some(state @ &mut State::StartPending(start)) => {
                *state = State::Started;
                Some(start)
            }
            _ => None,
        }
    }

    /// After a reset: all harts are stopped, but the first, which will start there.
    pub(super) fn restart(&self, start: Start) {
        let mut states = self.states();
        states.fill(State::Stopped);
        if let Some(first) = states.first_mut() {
            *first = State::StartPending(start);
        }
    }
}

/// What firmware would have set up before it starts an operating system at supervisor level.
pub(super) fn prepare(frame: &mut CpuFrame, context: &SystemContext) {
    frame.set(slot::MEDELEG, trap::DELEGABLE & !(1 << 9));
    frame.set(slot::MIDELEG, interrupt::DELEGABLE);
    // All that there is: page tables are updated by hardware where it can do so.
    let _ = envcfg::set_menvcfg(frame, context, u64::MAX);
    for enable in [slot::MSTATEEN0, slot::MSTATEEN1, slot::MSTATEEN2, slot::MSTATEEN3] {
        frame.set(enable, u64::MAX);
    }
    for counters in [slot::MCOUNTEREN, slot::SCOUNTEREN] {
        frame.set(counters, 7);
    }
    // All memory, for all levels: one NAPOT entry.
    frame.set(slot::pmpaddr(0), u64::MAX >> 10);
    frame.set(slot::PMPCFG0, 0b1_1111);
    Privilege::Supervisor.enter(frame);
}

/// ECALL from supervisor level; pc is past it.
pub(super) fn call(sbi: &Arc<Sbi>, hart: &mut Hart) {
    let frame = hart.frame();
    let args: [u64; 6] = std::array::from_fn(|n| frame.get(slot::x(10 + n as u8)));
    let (function, extension) = (frame.get(slot::x(16)), frame.get(slot::x(17)));
    if extension <= eid::SHUTDOWN {
        let value = legacy(sbi, hart, extension, args[0]);
        return hart.frame().set(slot::x(10), value);
    }
    let answer = match extension {
        eid::BASE => base_call(hart, function, args[0]),
        eid::TIME if function == 0 => set_timer(hart, args[0]),
        eid::IPI if function == 0 => send_ipi(sbi, args[0], args[1]),
        eid::RFENCE => remote_fence(sbi, hart, function, args),
        eid::HSM => hart_state(sbi, hart, function, args),
        eid::SRST if function == 0 => reset(sbi, args[0], args[1]),
        eid::DBCN => console(sbi, function, args),
        _ => Err(Error::NotSupported),
    };
    let (error, value) = match answer {
        Ok(value) => (0, value),
        Err(error) => (error as i64 as u64, 0),
    };
    let frame = hart.frame();
    frame.set(slot::x(10), error);
    frame.set(slot::x(11), value);
}

/// Legacy extensions: one value, no error.
fn legacy(sbi: &Arc<Sbi>, hart: &mut Hart, extension: u64, arg: u64) -> u64 {
    match extension {
        eid::SET_TIMER => {
            let _ = set_timer(hart, arg);
            0
        }
        eid::CONSOLE_PUTCHAR => {
            put(sbi, arg as u8);
            0
        }
        eid::CONSOLE_GETCHAR => get(sbi).map_or(u64::MAX, u64::from),
        eid::SHUTDOWN => {
            sbi.shared.end(Ending::PowerOff(0));
            0
        }
        _ => Error::NotSupported as i64 as u64,
    }
}

fn base_call(hart: &mut Hart, function: u64, arg: u64) -> Answer {
    let frame = hart.frame();
    Ok(match function {
        0 => SPECIFICATION,
        1 => IMPLEMENTATION,
        2 => 1,
        3 => eid::ALL.contains(&arg).into(),
        4 => frame.get(slot::MVENDORID),
        5 => frame.get(slot::MARCHID),
        6 => frame.get(slot::MIMPID),
        _ => return Err(Error::NotSupported),
    })
}

/// TIME: the hart's own compare register does it, whether or not the guest may write that itself.
fn set_timer(hart: &mut Hart, stime: u64) -> Answer {
    let context = Arc::clone(&hart.context);
    let _ = interrupt::set_stimecmp(hart.frame(), &context, stime);
    Ok(0)
}

/// The harts of a mask: all if its base is -1.
fn harts(sbi: &Sbi, mask: u64, base: u64) -> Result<Vec<Arc<Peer>>, Error> {
    let count = sbi.states().len();
    let numbers: Vec<usize> = if base == u64::MAX {
        (0..count).collect()
    } else {
        let chosen = (0..64_u64).filter(|bit| mask >> bit & 1 != 0);
        let harts: Option<Vec<u64>> = chosen.map(|bit| base.checked_add(bit)).collect();
        harts.ok_or(Error::InvalidParam)?.into_iter().map(|hart| hart as usize).collect()
    };
    let peers: Option<Vec<_>> = numbers.into_iter().map(|hart| sbi.peer(hart)).collect();
    peers.ok_or(Error::InvalidParam)
}

fn send_ipi(sbi: &Sbi, mask: u64, base: u64) -> Answer {
    for peer in harts(sbi, mask, base)? {
        peer.context.raise(interrupt::SSIP);
        peer.handle.kick();
    }
    Ok(0)
}

fn remote_fence(sbi: &Sbi, hart: &mut Hart, function: u64, args: [u64; 6]) -> Answer {
    let [mask, base, start, size, asid, _] = args;
    let asid = match function {
        0 | 1 => None,
        2 => Some(asid as u16),
        _ => return Err(Error::NotSupported),
    };
    let requests = match function {
        0 => vec![Request::FenceI],
        _ => fences(start, size, asid),
    };
    let own = hart.number();
    let mut waiting = Vec::new();
    for peer in harts(sbi, mask, base)? {
        let mut number = 0;
        requests.iter().for_each(|&request| number = peer.mailbox.post(request));
        if peer.context.hart as usize != own {
            peer.handle.kick();
            waiting.push((peer, number));
        }
    }
    hart.serve_mailbox();
    for (peer, number) in waiting {
        // At the machine's end nobody may be left to do it.
        while !peer.mailbox.is_done(number) && sbi.shared.ending().is_none() {
            // It may be waiting for us in turn.
            hart.serve_mailbox();
            std::thread::yield_now();
        }
    }
    Ok(0)
}

/// Pages after which everything is flushed instead.
const MANY_PAGES: u64 = 32;

fn fences(start: u64, size: u64, asid: Option<u16>) -> Vec<Request> {
    let pages = size.div_ceil(4096);
    let everything = start == 0 && size == 0 || size == u64::MAX || pages > MANY_PAGES;
    if everything {
        return vec![Request::Fence(FenceScope { address: None, asid })];
    }
    let page = |n: u64| FenceScope { address: Some(GuestVirt(start).wrapping_add(n * 4096)), asid };
    (0..pages).map(|n| Request::Fence(page(n))).collect()
}

fn hart_state(sbi: &Sbi, hart: &mut Hart, function: u64, args: [u64; 6]) -> Answer {
    let [first, second, third, ..] = args;
    match function {
        0 => start(sbi, first, Start { pc: GuestVirt(second), argument: third }),
        1 => {
            let own = hart.number();
            sbi.states()[own] = State::Stopped;
            Ok(0)
        }
        2 => {
            let states = sbi.states();
            let state = usize::try_from(first).ok().and_then(|hart| states.get(hart));
            state.map(|state| state.number()).ok_or(Error::InvalidParam)
        }
        // Suspension that retains everything is a WFI.
        3 if first == 0 => {
            hart.wait_for_interrupt();
            Ok(0)
        }
        3 => Err(Error::NotSupported),
        _ => Err(Error::NotSupported),
    }
}

fn start(sbi: &Sbi, hart: u64, start: Start) -> Answer {
    let number = usize::try_from(hart).map_err(|_| Error::InvalidParam)?;
    let peer = sbi.peer(number).ok_or(Error::InvalidParam)?;
    if sbi.shared.bus().map().resolve(GuestPhys(start.pc.0), 2).is_err() {
        return Err(Error::InvalidAddress);
    }
    match sbi.states().get_mut(number).ok_or(Error::InvalidParam)? {
        state @ State::Stopped => *state = State::StartPending(start),
        _ => return Err(Error::AlreadyAvailable),
    }
    peer.handle.kick();
    Ok(0)
}

/// SRST: shutdown, cold and warm reboot.
fn reset(sbi: &Sbi, kind: u64, reason: u64) -> Answer {
    if reason > 1 && reason < 0xe000_0000 || reason > 0xffff_ffff {
        return Err(Error::InvalidParam);
    }
    match kind {
        0 => sbi.shared.end(Ending::PowerOff(u8::from(reason == 1))),
        1 | 2 => sbi.shared.end(Ending::Reset),
        _ => return Err(Error::InvalidParam),
    }
    Ok(0)
}

/// Bytes that one DBCN call moves at most.
const CONSOLE_BYTES: u64 = 1 << 16;

fn console(sbi: &Sbi, function: u64, [first, low, high, ..]: [u64; 6]) -> Answer {
    let memory = || sbi.shared.bus().memory().clone();
    if function == 2 {
        put(sbi, first as u8);
        return Ok(0);
    }
    if high != 0 {
        return Err(Error::InvalidParam);
    }
    let bytes = first.min(CONSOLE_BYTES) as usize;
    match function {
        0 => {
            let mut buffer = vec![0; bytes];
            let read = memory().read_slice(&mut buffer, GuestAddress(low));
            read.map_err(|_| Error::InvalidParam)?;
            buffer.into_iter().for_each(|byte| put(sbi, byte));
            Ok(bytes as u64)
        }
        1 => {
            let buffer: Vec<u8> = std::iter::from_fn(|| get(sbi)).take(bytes).collect();
            let written = memory().write_slice(&buffer, GuestAddress(low));
            written.map_err(|_| Error::Failed)?;
            Ok(buffer.len() as u64)
        }
        _ => Err(Error::NotSupported),
    }
}

/// The UART's line status: data ready.
const DATA_READY: u64 = 1;
/// The UART's line status register.
const LSR: u64 = 5;

fn put(sbi: &Sbi, byte: u8) {
    let now = sbi.shared.clock().now();
    let mut bus = sbi.shared.bus();
    // A console that takes no more loses the byte, as a serial line would.
    let _ = bus.write(sbi.console, Width::B1, byte.into(), now);
    sbi.shared.settle(&mut bus);
}

fn get(sbi: &Sbi) -> Option<u8> {
    let now = sbi.shared.clock().now();
    let mut bus = sbi.shared.bus();
    let status = bus.read(sbi.console.wrapping_add(LSR), Width::B1, now).ok()?;
    let byte = (status & DATA_READY != 0).then(|| bus.read(sbi.console, Width::B1, now));
    sbi.shared.settle(&mut bus);
    byte.and_then(Result::ok).map(|byte| byte as u8)
}

/// The bit of SSIP that an IPI raised moves into the register that software clears.
pub(super) fn latch_ipi(frame: &mut CpuFrame, context: &SystemContext) {
    if context.lines.load(Ordering::Relaxed) & interrupt::SSIP != 0 {
        context.lower(interrupt::SSIP);
        frame.set(slot::MIP_SW, frame.get(slot::MIP_SW) | interrupt::SSIP);
    }
}
