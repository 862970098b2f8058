//! Harts under a debugger: each is a thread to it. Their registers belong to the threads that run them, so
//! what a debugger wants of one is an errand that its thread runs while it stands still.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use arch::debug::{DebugRegisters, DebugValue};
use arch::riscv64::debug;
use arch::riscv64::privileged::mmu::{self, PageTableMemory, Regime};
use arch::riscv64::privileged::pmp::Access;
use arch::riscv64::privileged::{Privilege, SystemContext};
use base::addr::PAGE_SIZE;
use base::{GuestPhys, GuestVirt};
use runtime::debug::gdb::{Debuggee, End, Event, Memory, Resume, Signal, StopReason, Thread};
use runtime::{DebugStop, Engine};
use softmmu::{MemoryMap, Place};
use vm_memory::{Bytes, GuestAddress};

use crate::machine::{CpuHandle, Ending, Happening, Hold, Shared};
use crate::riscv64::hart::Hart;

type Errand = Box<dyn FnOnce(&mut Hart) + Send>;

/// How debuggers reach a hart.
pub(super) struct HartPort {
    context: Arc<SystemContext>,
    handle: Arc<CpuHandle>,
    errands: Mutex<VecDeque<Errand>>,
    is_stepping: AtomicBool,
    events: Mutex<Option<Sender<Event>>>,
}

impl HartPort {
    pub(super) fn new(context: &Arc<SystemContext>, handle: &Arc<CpuHandle>) -> Arc<Self> {
        Arc::new(Self {
            context: Arc::clone(context),
            handle: Arc::clone(handle),
            errands: Mutex::default(),
            is_stepping: AtomicBool::new(false),
            events: Mutex::default(),
        })
    }

    fn thread(&self) -> Thread {
        // Harts are counted from 0, threads from 1.
        Thread::MIN.saturating_add(self.context.hart as usize)
    }

    /// Whether the hart is to execute one instruction only.
    pub(super) fn is_stepping(&self) -> bool {
        self.is_stepping.load(Ordering::Acquire)
    }

    /// The hart executes one instruction at a time for good.
    pub(super) fn begin_stepping(&self) {
        self.is_stepping.store(true, Ordering::Release);
    }

    /// On the hart's thread: does what was asked for.
    pub(super) fn run_errands(&self, hart: &mut Hart) {
        let next = || self.errands.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
        while let Some(errand) = next() {
            errand(hart);
        }
    }

    /// On the hart's thread, when it has stopped.
    pub(super) fn report(&self, stop: DebugStop) {
        self.is_stepping.store(false, Ordering::Release);
        let events = self.events.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(events) = &*events {
            // A debugger that has gone does not mind.
            let _ = events.send(Event::Stopped(self.thread(), StopReason::Debug(stop)));
        }
    }
}

/// A machine under a debugger.
pub struct MachineDebuggee {
    /// Who debugs a machine does not keep it.
    shared: Weak<Shared>,
    engine: Arc<Engine>,
    map: Arc<MemoryMap>,
    ports: Vec<Arc<HartPort>>,
    registers: DebugRegisters,
    /// The hart that stopped last, or was asked about.
    current: Thread,
}

/// How long an errand waits before it looks whether there is a hart to run it.
const LOOK: Duration = Duration::from_millis(100);

impl MachineDebuggee {
    pub(super) fn new(
        shared: &Arc<Shared>,
        engine: &Arc<Engine>,
        ports: &[Arc<HartPort>],
        events: &Sender<Event>,
    ) -> Self {
        for port in ports {
            *port.events.lock().unwrap_or_else(PoisonError::into_inner) = Some(events.clone());
        }
        let ended = events.clone();
        shared.watch(Box::new(move |happening| {
            let status = match happening {
                Happening::Ended(Ending::PowerOff(status)) => status,
                Happening::Ended(Ending::Reset | Ending::Quit) => 0,
                Happening::Stopped | Happening::Resumed | Happening::Reset => return,
            };
            let _ = ended.send(Event::Ended(End::Exited(status)));
        }));
        let registers = debug::system_registers(&ports[0].context);
        let (engine, ports) = (Arc::clone(engine), ports.to_vec());
        let map = Arc::new(shared.bus().map().clone());
        let shared = Arc::downgrade(shared);
        Self { shared, engine, map, ports, registers, current: Thread::MIN }
    }

    fn port(&self, thread: Thread) -> Option<&Arc<HartPort>> {
        self.ports.get(thread.get() - 1)
    }

    /// Has something done by a hart's thread; `None` if there is no such hart any more.
    fn ask<T: Send + 'static>(
        &mut self,
        thread: Thread,
        errand: impl FnOnce(&mut Hart) -> T + Send + 'static,
    ) -> Option<T> {
        let port = Arc::clone(self.port(thread)?);
        self.current = thread;
        let (answer, result) = channel();
        let errand: Errand = Box::new(move |hart| _ = answer.send(errand(hart)));
        port.errands.lock().unwrap_or_else(PoisonError::into_inner).push_back(errand);
        loop {
            let shared = self.shared.upgrade()?;
            shared.send_on_errand(&port.handle);
            match result.recv_timeout(LOOK) {
                Ok(value) => return Some(value),
                Err(RecvTimeoutError::Timeout) if shared.is_paused() => {}
                Err(_) => return None,
            }
        }
    }

    /// Where a piece of memory lies, from its start to the end of its page at most.
    fn locate(&mut self, thread: Thread, at: Memory) -> Option<GuestPhys> {
        match at {
            Memory::Physical(phys) => Some(phys),
            Memory::Virtual(addr) => {
                let map = Arc::clone(&self.map);
                self.ask(thread, move |hart| translate(hart, &map, addr)).flatten()
            }
        }
    }

    fn read_piece(&self, phys: GuestPhys, buffer: &mut [u8]) -> Option<()> {
        match self.map.resolve(phys, buffer.len() as u64).ok()? {
            Place::Ram { ram, offset } | Place::Rom { ram, offset } => {
                ram.read(offset, buffer).ok()
            }
            // Reading a device may change it.
            Place::Mmio { .. } => None,
        }
    }
}

/// Where an address of the hart's level lies, whatever the page's permissions; nothing is changed by asking.
fn translate(hart: &mut Hart, map: &MemoryMap, addr: GuestVirt) -> Option<GuestPhys> {
    let context = Arc::clone(&hart.context);
    let frame = hart.frame();
    let regime = Regime::of_fetch(frame, &context);
    let level = Privilege::Supervisor;
    let regime = Regime { level, sum: true, mxr: true, update: true, ..regime };
    let mapping = mmu::translate(frame, &regime, &mut Glance(map), addr, Access::Load);
    mapping.ok().map(|mapping| mapping.phys)
}

/// Page tables that are only looked at.
pub(super) struct Glance<'a>(pub(super) &'a MemoryMap);

impl PageTableMemory for Glance<'_> {
    type Error = ();

    fn load(&mut self, phys: GuestPhys) -> Result<u64, ()> {
        let Ok(Place::Ram { ram, offset }) = self.0.resolve(phys, 8) else { return Err(()) };
        ram.load(offset).map_err(drop)
    }

    /// The walk wants to mark the page as accessed.
    fn compare_exchange(&mut self, _: GuestPhys, _: u64, _: u64) -> Result<bool, ()> {
        Ok(true)
    }
}

/// The place that many bytes on.
fn advanced(at: Memory, bytes: u64) -> Memory {
    match at {
        Memory::Virtual(addr) => Memory::Virtual(addr.wrapping_add(bytes)),
        Memory::Physical(phys) => Memory::Physical(phys.wrapping_add(bytes)),
    }
}

/// Bytes from a place to the end of its page.
fn room(at: Memory) -> usize {
    let (Memory::Virtual(GuestVirt(addr)) | Memory::Physical(GuestPhys(addr))) = at;
    (PAGE_SIZE - addr % PAGE_SIZE) as usize
}

impl Debuggee for MachineDebuggee {
    fn engine(&self) -> &Arc<Engine> {
        &self.engine
    }

    fn registers(&self) -> &DebugRegisters {
        &self.registers
    }

    fn has_physical_memory(&self) -> bool {
        true
    }

    fn threads(&self) -> Vec<Thread> {
        let all = self.ports.iter().map(|port| port.thread());
        let others = all.filter(|&thread| thread != self.current);
        std::iter::once(self.current).chain(others).collect()
    }

    fn describe(&self, thread: Thread) -> String {
        format!("hart {}", thread.get() - 1)
    }

    fn read_registers(&mut self, thread: Thread, numbers: &[u32]) -> Vec<Option<DebugValue>> {
        let (numbers, nothing) = (numbers.to_vec(), vec![None; numbers.len()]);
        let values = self.ask(thread, move |hart| {
            let context = Arc::clone(&hart.context);
            let read = |&number: &u32| debug::read_system(hart.vcpu.frame(), &context, number);
            numbers.iter().map(|number| read(number).map(DebugValue::from)).collect()
        });
        values.unwrap_or(nothing)
    }

    fn write_registers(&mut self, thread: Thread, values: &[(u32, DebugValue)]) -> bool {
        let values = values.to_vec();
        let written = self.ask(thread, move |hart| {
            let context = Arc::clone(&hart.context);
            let mut write = |&(n, value): &(u32, DebugValue)| {
                debug::write_system(hart.frame(), &context, n, value.low())
            };
            let written = values.iter().map(&mut write).filter(|written| !written).count() == 0;
            hart.follow_state();
            written
        });
        written == Some(true)
    }

    fn read_memory(&mut self, thread: Thread, at: Memory, buffer: &mut [u8]) -> usize {
        let mut done = 0;
        while done < buffer.len() {
            let at = advanced(at, done as u64);
            let end = buffer.len().min(done + room(at));
            let Some(phys) = self.locate(thread, at) else { break };
            if self.read_piece(phys, &mut buffer[done..end]).is_none() {
                break;
            }
            done = end;
        }
        done
    }

    fn write_memory(&mut self, thread: Thread, at: Memory, bytes: &[u8]) -> bool {
        let mut done = 0;
        while done < bytes.len() {
            let at = advanced(at, done as u64);
            let end = bytes.len().min(done + room(at));
            let Some(phys) = self.locate(thread, at) else { return false };
            // As a device's write: translations of what was there are dropped.
            let Some(shared) = self.shared.upgrade() else { return false };
            let memory = shared.bus().memory().clone();
            if memory.write_slice(&bytes[done..end], GuestAddress(phys.0)).is_err() {
                return false;
            }
            done = end;
        }
        true
    }

    fn stop(&mut self) {
        let Some(shared) = self.shared.upgrade() else { return };
        loop {
            shared.pause();
            let is_final = !matches!(shared.ending(), None | Some(Ending::Reset));
            if shared.wait_until_stopped() || is_final {
                break;
            }
        }
        for port in &self.ports {
            port.is_stepping.store(false, Ordering::Release);
            shared.hold(&port.handle, Hold::Free);
        }
    }

    /// A machine has no signals: those that it is given are lost.
    fn resume(&mut self, how: &dyn Fn(Thread) -> (Resume, Option<Signal>)) {
        let Some(shared) = self.shared.upgrade() else { return };
        for port in &self.ports {
            let (how, _) = how(port.thread());
            let hold = if how == Resume::Stay { Hold::Held } else { Hold::Free };
            shared.hold(&port.handle, hold);
            port.is_stepping.store(how == Resume::Step, Ordering::Release);
        }
        shared.resume();
    }

    fn release(&mut self) {
        self.resume(&|_| (Resume::Run, None));
    }

    fn kill(&mut self) {
        if let Some(shared) = self.shared.upgrade() {
            shared.end(Ending::Quit);
        }
    }
}
