//! A process under a debugger (`--gdb`).
//!
//! A task that has stopped leaves a copy of its registers here, and takes it back when it goes on; one
//! that is in a system call leaves a copy for reading. So a debugger never touches a CPU that is another
//! thread's. A task in a system call counts as stopped: it comes by here before anything of the guest's
//! runs again.
//!
//! Debugging ends at fork (for the child) and at execve, unless the next program is to wait for a debugger, too. A signal that the guest leaves to its default is
//! the kernel's business from beginning to end, and is not seen.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};

use arch::debug::{DebugRegisters, DebugValue};
use base::sys::access;
use runtime::debug::gdb::{
    self, Address, Debuggee, End, Event, Listener, Memory, Resume, Signal, StopReason, Thread,
    Visits,
};
use runtime::{DebugStop, Exit, Interrupter};
use syscalls::Sysno;

use crate::engine::Engine;
use crate::host::{self, args};
use crate::memory::AddressSpace;
use crate::process::Process;
use crate::signal::SigInfo;
use crate::task::Task;
use crate::user::UserSlice;
use crate::window;

/// What a process and its debugger share.
pub(crate) struct Debugger {
    state: Mutex<State>,
    changed: Condvar,
    events: Mutex<Sender<Event>>,
    visits: Visits,
    /// This is a child that nobody debugs.
    is_gone: AtomicBool,
    registers: DebugRegisters,
    /// The sockets: the child's copies are closed.
    sockets: Mutex<Vec<i32>>,
}

#[derive(Default)]
struct State {
    is_stopped: bool,
    tasks: BTreeMap<i32, TaskState>,
    current: i32,
}

struct TaskState {
    interrupter: Interrupter,
    place: Place,
    how: Resume,
    /// What it gets instead of the signal by which it was stopped.
    signal: Answer,
    /// The signal by which it is stopped.
    info: Option<SigInfo>,
    registers: Vec<(u32, DebugValue)>,
}

/// What a task is doing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Place {
    /// Guest code, or on its way there.
    Running,
    /// A system call.
    Kernel,
    /// Waiting here.
    Here,
}

/// What becomes of a signal.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Answer {
    /// The debugger has said: this one, or none.
    Get(Option<Signal>),
    /// It has gone.
    Keep,
}

impl Debugger {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn send(&self, event: Event) {
        // It is there for as long as the process.
        let _ = self.events.lock().unwrap_or_else(PoisonError::into_inner).send(event);
    }

    /// In a forked child: nobody debugs it.
    pub(crate) fn forget(&self) {
        self.is_gone.store(true, Ordering::SeqCst);
        // A thread that has the lock is not here any more, and would be in the middle of that.
        if let Ok(sockets) = self.sockets.try_lock() {
            sockets.iter().for_each(|&fd| _ = host::call(Sysno::close, args![fd]));
        }
    }

    /// A task begins.
    pub(crate) fn enter(&self, tid: i32, interrupter: Interrupter) {
        let (how, signal) = (Resume::Run, Answer::Keep);
        let (place, registers, info) = (Place::Running, Vec::new(), None);
        let task = TaskState { interrupter, place, how, signal, info, registers };
        self.state().tasks.insert(tid, task);
    }

    /// A task ends.
    pub(crate) fn leave(&self, tid: i32) {
        if !self.is_gone.load(Ordering::SeqCst) {
            self.state().tasks.remove(&tid);
            self.changed.notify_all();
        }
    }

    /// The process ends: waits until the debugger knows.
    pub(crate) fn ended(&self, end: End) {
        if self.is_gone.load(Ordering::SeqCst) || !self.visits.is_there() {
            return;
        }
        let tid = host::call(Sysno::gettid, []).unwrap_or_default() as i32;
        let mut state = self.state();
        if let Some(own) = state.tasks.get_mut(&tid) {
            own.place = Place::Kernel;
        }
        self.changed.notify_all();
        while state.is_stopped {
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        drop(state);
        self.send(Event::Ended(end));
        self.visits.wait();
    }
}

/// What debugs a task's process, if somebody does.
pub(crate) fn debugger(task: &Task) -> Option<Arc<Debugger>> {
    let debugger = task.process.debugger.get()?;
    (!debugger.is_gone.load(Ordering::SeqCst)).then(|| Arc::clone(debugger))
}

fn snapshot(task: &Task, registers: &DebugRegisters) -> Vec<(u32, DebugValue)> {
    let abi = task.process.abi;
    let numbers = registers.registers.iter().map(|register| register.number);
    let read = |n| Some((n, abi.read_debug_register(task.cpu.frame(), n)?));
    numbers.filter_map(read).collect()
}

/// Runs guest code up to the next exit that somebody else must see to, if there is one.
pub(crate) fn run(task: &mut Task) -> Exit {
    let Some(debugger) = debugger(task) else {
        return match task.cpu.run() {
            Exit::Debug(_) => step_over(task),
            exit => exit,
        };
    };
    let tid = task.handle().tid;
    let how = park(task, &debugger, tid);
    let exit = if how == Resume::Step { task.cpu.run_step() } else { task.cpu.run() };
    if let Exit::Debug(stop) = exit {
        report(&debugger, tid, StopReason::Debug(stop));
        return Exit::Interrupted;
    }
    exit
}

/// A debug stop of a process that nobody debugs: what another process with the same memory is debugged
/// by. Goes on.
fn step_over(task: &mut Task) -> Exit {
    match task.cpu.run_step() {
        Exit::Debug(_) => Exit::Interrupted,
        exit => exit,
    }
}

fn report(debugger: &Debugger, tid: i32, reason: StopReason) {
    {
        let mut state = debugger.state();
        state.is_stopped = true;
        state.current = tid;
        if let Some(task) = state.tasks.get_mut(&tid) {
            task.how = Resume::Run;
        }
        state.tasks.values().for_each(|task| task.interrupter.interrupt());
    }
    debugger.send(Event::Stopped(thread(tid), reason));
}

/// Waits while the task is stopped; how it goes on.
fn park(task: &mut Task, debugger: &Debugger, tid: i32) -> Resume {
    let stays = |state: &State| {
        let how = state.tasks.get(&tid).map_or(Resume::Run, |task| task.how);
        state.is_stopped || how == Resume::Stay
    };
    let mut state = debugger.state();
    if stays(&state) {
        let registers = snapshot(task, &debugger.registers);
        if let Some(own) = state.tasks.get_mut(&tid) {
            (own.place, own.registers) = (Place::Here, registers);
        }
        debugger.changed.notify_all();
        while stays(&state) {
            state = debugger.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        let own = state.tasks.get_mut(&tid);
        let changed = own.map(|own| std::mem::take(&mut own.registers)).unwrap_or_default();
        let abi = task.process.abi;
        for (number, value) in changed {
            if abi.read_debug_register(task.cpu.frame(), number) != Some(value) {
                abi.write_debug_register(task.cpu.frame_mut(), number, value);
            }
        }
    }
    let Some(own) = state.tasks.get_mut(&tid) else { return Resume::Run };
    own.place = Place::Running;
    own.how
}

/// Before a system call.
pub(crate) fn enter_kernel(task: &Task) {
    let Some(debugger) = debugger(task) else { return };
    let (tid, registers) = (task.handle().tid, snapshot(task, &debugger.registers));
    if let Some(own) = debugger.state().tasks.get_mut(&tid) {
        (own.place, own.registers) = (Place::Kernel, registers);
    }
    debugger.changed.notify_all();
}

/// Between a system call that was interrupted and what becomes of it: waits if the debugger looks.
pub(crate) fn look_up(task: &mut Task) {
    let Some(debugger) = debugger(task) else { return };
    let tid = task.handle().tid;
    park(task, &debugger, tid);
}

/// After a system call; one that was made in a single step ends that.
pub(crate) fn leave_kernel(task: &mut Task) {
    let Some(debugger) = debugger(task) else { return };
    let tid = task.handle().tid;
    // What its registers were before the call is not looked at any more: whoever is told of the step waits until it is parked.
    if let Some(own) = debugger.state().tasks.get_mut(&tid) {
        own.place = Place::Running;
    }
    finish_step(&debugger, tid);
    // Nothing is delivered while the debugger looks.
    park(task, &debugger, tid);
}

fn finish_step(debugger: &Debugger, tid: i32) {
    let is_step = debugger.state().tasks.get(&tid).is_some_and(|own| own.how == Resume::Step);
    if is_step {
        report(debugger, tid, StopReason::Debug(DebugStop::Step));
    }
}

/// A handler was entered: a step ends before its first instruction, as under the kernel's own ptrace(2).
pub(crate) fn handler_entered(task: &mut Task) {
    leave_kernel(task);
}

/// A signal is about to be delivered: the debugger may want another, or none.
pub(crate) fn filter(task: &mut Task, info: SigInfo) -> Option<SigInfo> {
    let Some(debugger) = debugger(task).filter(|debugger| debugger.visits.is_there()) else {
        return Some(info);
    };
    let tid = task.handle().tid;
    if let Some(own) = debugger.state().tasks.get_mut(&tid) {
        (own.signal, own.info) = (Answer::Keep, Some(info));
    }
    report(&debugger, tid, StopReason::Signal(to_gdb(info.signal())));
    park(task, &debugger, tid);
    let mut state = debugger.state();
    if let Some(own) = state.tasks.get_mut(&tid) {
        own.info = None;
    }
    match state.tasks.get(&tid).map_or(Answer::Keep, |own| own.signal) {
        Answer::Keep => Some(info),
        Answer::Get(None) => None,
        Answer::Get(Some(signal)) if signal == to_gdb(info.signal()) => Some(info),
        Answer::Get(Some(signal)) => from_gdb(signal).map(|signal| SigInfo::bare(signal, SI_USER)),
    }
}

/// `si_code` of a signal that a process sent.
const SI_USER: i32 = 0;

/// Numbers of gdb's (`include/gdb/signals.def`) for the host's 1 to 32; 143 is one that it does not know.
const GDB_SIGNALS: [u8; 32] = [
    1, 2, 3, 4, 5, 6, 10, 8, 9, 30, 11, 31, 13, 14, 15, 143, 20, 19, 17, 18, 21, 22, 16, 24, 25,
    26, 27, 28, 23, 32, 12, 77,
];

/// gdb's number of a signal.
pub(crate) fn to_gdb(signal: i32) -> Signal {
    Signal(match signal {
        1..=32 => GDB_SIGNALS[signal as usize - 1],
        33..=63 => signal as u8 + 12,
        64 => 78,
        _ => 143,
    })
}

/// The signal of gdb's number.
pub(crate) fn from_gdb(signal: Signal) -> Option<i32> {
    (1..=64).find(|&number| to_gdb(number) == signal && signal.0 != 143)
}

fn thread(tid: i32) -> Thread {
    Thread::new(tid as usize).unwrap_or(Thread::MIN)
}

/// The process as gdb sees it.
struct ProcessDebuggee {
    debugger: Arc<Debugger>,
    engine: Arc<Engine>,
    auxv: Vec<u8>,
}

impl Debugger {
    /// Hides a socket from the guest. A connection's place is that of the one before.
    fn adopt(&self, process: &Weak<Process>, fd: OwnedFd) -> io::Result<OwnedFd> {
        let process = process.upgrade().ok_or(io::ErrorKind::NotConnected)?;
        let mut sockets = self.sockets.lock().unwrap_or_else(PoisonError::into_inner);
        while sockets.len() > 1 {
            sockets.pop().into_iter().for_each(|old| process.fds.disown(old));
        }
        let fd = process.fds.adopt(fd)?;
        sockets.push(fd.as_raw_fd());
        Ok(fd)
    }
}

/// Lets debuggers connect there. The process does not start before the first one says so.
///
/// # Errors
/// The host's.
pub(crate) fn start(address: &Address, process: &Arc<Process>) -> io::Result<()> {
    let (sender, events) = channel();
    let debugger = Arc::new(Debugger {
        state: Mutex::new(State { is_stopped: true, ..State::default() }),
        changed: Condvar::new(),
        events: Mutex::new(sender.clone()),
        visits: Visits::default(),
        is_gone: AtomicBool::new(false),
        registers: process.abi.debug_registers(),
        sockets: Mutex::default(),
    });
    let weak = Arc::downgrade(process);
    let listener = Listener::bind(address)?.moved(&|fd| debugger.adopt(&weak, fd))?;
    tracing::info!(address = %listener.address()?, "waiting for gdb");
    let shared = Arc::clone(&debugger);
    let mut debuggee = ProcessDebuggee {
        debugger: Arc::clone(&debugger),
        engine: Arc::clone(&process.engine),
        auxv: process.program.auxv.clone(),
    };
    let _ = process.debugger.set(debugger);
    std::thread::Builder::new().name("ferry-gdb".to_owned()).spawn(move || {
        let adopt = |fd| shared.adopt(&weak, fd);
        let visits = (&shared.visits, &adopt as gdb::Move<'_>);
        if let Err(error) = gdb::serve(&listener, &mut debuggee, (&sender, &events), visits) {
            tracing::warn!(%error, "no debugger can connect any more");
            debuggee.release();
        }
    })?;
    Ok(())
}

fn id(thread: Thread) -> i32 {
    i32::try_from(thread.get()).unwrap_or(0)
}

impl Debuggee for ProcessDebuggee {
    fn engine(&self) -> &Arc<Engine> {
        &self.engine
    }

    fn registers(&self) -> &DebugRegisters {
        &self.debugger.registers
    }

    fn has_physical_memory(&self) -> bool {
        false
    }

    fn auxiliary_vector(&self) -> Option<&[u8]> {
        Some(&self.auxv)
    }

    fn threads(&self) -> Vec<Thread> {
        let state = self.debugger.state();
        let current = state.tasks.keys().filter(|&&tid| tid == state.current);
        let others = state.tasks.keys().filter(|&&tid| tid != state.current);
        current.chain(others).map(|&tid| thread(tid)).collect()
    }

    fn describe(&self, thread: Thread) -> String {
        match self.debugger.state().tasks.get(&id(thread)).map(|task| task.place) {
            Some(Place::Kernel) => "in a system call".to_owned(),
            Some(_) => "stopped".to_owned(),
            None => "ended".to_owned(),
        }
    }

    fn memory_map(&self) -> Option<String> {
        Some(AddressSpace::current().proc_maps(str::to_owned))
    }

    fn signal_info(&self) -> Option<Vec<u8>> {
        let state = self.debugger.state();
        let info = state.tasks.get(&state.current)?.info?;
        Some(info.0.iter().flat_map(|word| word.to_le_bytes()).collect())
    }

    fn read_registers(&mut self, thread: Thread, numbers: &[u32]) -> Vec<Option<DebugValue>> {
        let mut state = self.debugger.state();
        state.current = id(thread);
        let task = state.tasks.get(&id(thread));
        let registers = task.map_or(&[][..], |task| &task.registers[..]);
        let value = |&number: &u32| {
            let found = registers.iter().find(|&&(known, _)| known == number);
            found.map(|&(_, value)| value)
        };
        numbers.iter().map(value).collect()
    }

    fn write_registers(&mut self, thread: Thread, values: &[(u32, DebugValue)]) -> bool {
        let mut state = self.debugger.state();
        let Some(task) = state.tasks.get_mut(&id(thread)) else { return false };
        // What is in a system call has given its registers away.
        task.place == Place::Here
            && values.iter().all(|&(number, value)| {
                let mut registers = task.registers.iter_mut();
                let known = registers.find(|(known, _)| *known == number);
                known.map(|register| register.1 = value).is_some()
            })
    }

    fn read_memory(&mut self, _: Thread, at: Memory, buffer: &mut [u8]) -> usize {
        let Memory::Virtual(addr) = at else { return 0 };
        if window::check_range(addr, buffer.len() as u64).is_err() {
            return 0;
        }
        match access::copy_from_guest(buffer, addr) {
            Ok(()) => buffer.len(),
            Err(left) => buffer.len() - left,
        }
    }

    fn write_memory(&mut self, _: Thread, at: Memory, bytes: &[u8]) -> bool {
        let Memory::Virtual(addr) = at else { return false };
        let slice = UserSlice::new(addr, bytes.len() as u64);
        slice.and_then(|slice| slice.write(bytes)).is_ok()
    }

    fn stop(&mut self) {
        let mut state = self.debugger.state();
        state.is_stopped = true;
        state.tasks.values().for_each(|task| task.interrupter.interrupt());
        while state.tasks.values().any(|task| task.place == Place::Running) {
            let woken = self.debugger.changed.wait(state);
            state = woken.unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn resume(&mut self, how: &dyn Fn(Thread) -> (Resume, Option<Signal>)) {
        let mut state = self.debugger.state();
        for (&tid, task) in &mut state.tasks {
            let (how, signal) = how(thread(tid));
            (task.how, task.signal) = (how, Answer::Get(signal));
        }
        state.is_stopped = false;
        self.debugger.changed.notify_all();
    }

    fn release(&mut self) {
        let mut state = self.debugger.state();
        for task in state.tasks.values_mut() {
            (task.how, task.signal) = (Resume::Run, Answer::Keep);
        }
        state.is_stopped = false;
        self.debugger.changed.notify_all();
    }

    fn kill(&mut self) {
        let _ = host::call(Sysno::kill, args![std::process::id(), libc::SIGKILL]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_have_gdbs_numbers() {
        assert_eq!(to_gdb(libc::SIGSEGV), Signal(11));
        assert_eq!(to_gdb(libc::SIGUSR1), Signal(30));
        assert_eq!((to_gdb(34), to_gdb(63), to_gdb(64)), (Signal(46), Signal(75), Signal(78)));
        for signal in (1..=64).filter(|&signal| signal != libc::SIGSTKFLT) {
            assert_eq!(from_gdb(to_gdb(signal)), Some(signal));
        }
        assert_eq!(from_gdb(Signal(143)), None);
    }
}
