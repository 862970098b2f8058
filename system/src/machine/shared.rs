//! What a machine's threads share: the bus under its lock, the clock, the CPUs as others see them,
//! and what the machine is asked to do.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::Thread;
use std::time::Duration;

use runtime::Interrupter;
use softmmu::Register;

use crate::bus::{Bus, BusError, OutputChange};
use crate::device::{Effect, Time, Width};
use crate::machine::clock::Clock;

/// What becomes of a machine.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ending {
    /// It was switched off, by itself or by its user; Ferry's exit status.
    PowerOff(u8),
    /// It starts again.
    Reset,
    /// It ends as if its power were cut.
    Quit,
}

/// Whether CPUs run.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Running {
    Yes,
    Paused,
    Ending(Ending),
}

/// Takes changes of interrupt controllers' outputs to CPUs.
pub trait Router: Send + Sync {
    /// An output is asserted now, or no more. Called with the bus locked.
    fn route(&self, bus: &mut Bus, change: OutputChange);
}

/// A CPU as other threads see it.
pub struct CpuHandle {
    interrupter: Interrupter,
    thread: Mutex<Option<Thread>>,
    /// It waits, or is about to.
    waiting: AtomicBool,
    /// When it wants to be interrupted by its own timer, in nanoseconds of [`Time`].
    timer: AtomicU64,
}

/// No timer.
const NEVER: u64 = u64::MAX;

impl CpuHandle {
    /// Of a CPU that this makes come back from translated code.
    #[must_use]
    pub fn new(interrupter: Interrupter) -> Self {
        let (thread, waiting) = (Mutex::new(None), AtomicBool::new(false));
        Self { interrupter, thread, waiting, timer: AtomicU64::new(NEVER) }
    }

    /// Makes it look at its interrupts, soon.
    pub fn kick(&self) {
        self.interrupter.interrupt();
        if self.waiting.load(Ordering::SeqCst) {
            let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner);
            thread.iter().for_each(Thread::unpark);
        }
    }

    /// Says that this thread runs it from now on.
    pub fn claim(&self) {
        let mut thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner);
        *thread = Some(std::thread::current());
    }
}

/// See the module.
pub struct Shared {
    bus: Mutex<Bus>,
    clock: Arc<Clock>,
    router: Box<dyn Router>,
    cpus: Mutex<Vec<Arc<CpuHandle>>>,
    running: Mutex<Running>,
    changed: Condvar,
    /// CPUs must look at `running`.
    attention: AtomicBool,
    events: Arc<Events>,
    after_devices: OnceLock<Box<dyn Fn() + Send + Sync>>,
}

/// Wakes the thread that sees to devices and timers.
#[derive(Debug, Default)]
pub struct Events {
    due: Mutex<bool>,
    signal: Condvar,
    /// Until when it sleeps.
    until: AtomicU64,
}

impl Events {
    /// Something has happened.
    pub fn notify(&self) {
        *self.due.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.signal.notify_one();
    }

    /// A deadline; wakes the thread if it would sleep longer.
    fn notify_before(&self, deadline: u64) {
        if deadline < self.until.load(Ordering::SeqCst) {
            self.notify();
        }
    }

    /// Waits for a notification, or for so long.
    fn wait(&self, timeout: Option<Duration>) {
        let mut due = self.due.lock().unwrap_or_else(PoisonError::into_inner);
        while !*due {
            match timeout {
                None => due = self.signal.wait(due).unwrap_or_else(PoisonError::into_inner),
                Some(timeout) => {
                    let waited = self.signal.wait_timeout(due, timeout);
                    due = waited.unwrap_or_else(PoisonError::into_inner).0;
                    break;
                }
            }
        }
        *due = false;
    }
}

impl Shared {
    /// A machine with this bus, whose `wake` notifies `events`.
    #[must_use]
    pub fn new(
        bus: Bus,
        clock: Arc<Clock>,
        events: Arc<Events>,
        router: Box<dyn Router>,
    ) -> Arc<Self> {
        Arc::new(Self {
            bus: Mutex::new(bus),
            clock,
            router,
            cpus: Mutex::default(),
            running: Mutex::new(Running::Yes),
            changed: Condvar::new(),
            attention: AtomicBool::new(false),
            events,
            after_devices: OnceLock::new(),
        })
    }

    /// Says what is to be done whenever devices have been woken. Once; later calls change nothing.
    pub fn set_after_devices(&self, action: Box<dyn Fn() + Send + Sync>) {
        let _ = self.after_devices.set(action);
    }

    /// The bus. Whoever changed something behind a device's back calls [`Shared::settle`].
    pub fn bus(&self) -> MutexGuard<'_, Bus> {
        self.bus.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The clock.
    #[must_use]
    pub fn clock(&self) -> &Arc<Clock> {
        &self.clock
    }

    /// Adds a CPU.
    pub fn add_cpu(&self, cpu: &Arc<CpuHandle>) {
        self.lock_cpus().push(Arc::clone(cpu));
    }

    fn lock_cpus(&self) -> MutexGuard<'_, Vec<Arc<CpuHandle>>> {
        self.cpus.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A CPU by number, in the order in which they were added.
    #[must_use]
    pub fn cpu(&self, number: usize) -> Option<Arc<CpuHandle>> {
        self.lock_cpus().get(number).map(Arc::clone)
    }

    /// A CPU's load from a device.
    ///
    /// # Errors
    /// The device does not answer.
    pub fn read(&self, at: Register) -> Result<u64, BusError> {
        let mut bus = self.bus();
        let value = bus.read_device(at.window, at.offset, width(at.bytes), self.clock.now());
        self.settle(&mut bus);
        value
    }

    /// A CPU's store to a device.
    ///
    /// # Errors
    /// The device does not answer.
    pub fn write(&self, at: Register, value: u64) -> Result<(), BusError> {
        let mut bus = self.bus();
        let (width, now) = (width(at.bytes), self.clock.now());
        let effect = bus.write_device(at.window, at.offset, width, value, now);
        self.settle(&mut bus);
        drop(bus);
        self.act(effect?);
        Ok(())
    }

    /// What a device asked of the machine.
    pub fn act(&self, effect: Effect) {
        match effect {
            Effect::None => {}
            Effect::PowerOff(status) => self.end(Ending::PowerOff(status)),
            Effect::Reset => self.end(Ending::Reset),
        }
    }

    /// Passes on what has changed on the bus.
    pub fn settle(&self, bus: &mut Bus) {
        loop {
            let changes = bus.take_output_changes();
            if changes.is_empty() {
                break;
            }
            changes.into_iter().for_each(|change| self.router.route(bus, change));
        }
        if let Some(Time(deadline)) = bus.deadline() {
            self.events.notify_before(deadline);
        }
    }

    /// Sets when a CPU wants its timer interrupt; `None` for never.
    pub fn set_timer(&self, cpu: &CpuHandle, deadline: Option<Time>) {
        let deadline = deadline.map_or(NEVER, |time| time.0);
        cpu.timer.store(deadline, Ordering::SeqCst);
        self.events.notify_before(deadline);
    }

    /// Waits, on a CPU's own thread, until it is kicked and `is_ready`, or until its timer's time
    /// has come. Whether that was it: the timer is off then.
    pub fn wait(&self, cpu: &CpuHandle, is_ready: impl Fn() -> bool) -> bool {
        cpu.waiting.store(true, Ordering::SeqCst);
        // The thread that sees to timers need not wake up as well.
        let timer = cpu.timer.swap(NEVER, Ordering::SeqCst);
        let rang = loop {
            if is_ready() {
                break false;
            }
            let now = self.clock.now().0;
            match timer {
                NEVER => std::thread::park(),
                _ if timer <= now => break true,
                _ => std::thread::park_timeout(Duration::from_nanos(timer - now)),
            }
        };
        cpu.waiting.store(false, Ordering::SeqCst);
        if !rang && timer != NEVER {
            self.set_timer(cpu, Some(Time(timer)));
        }
        rang
    }

    /// Sees to devices and timers until the machine ends. `ring` is called with the number of each CPU
    /// whose timer's time has come.
    pub fn serve_events(&self, ring: impl Fn(usize)) {
        loop {
            // What happens from here on is noticed: it finds nobody asleep.
            self.events.until.store(0, Ordering::SeqCst);
            if self.ending().is_some() {
                return;
            }
            let next = self.serve_once(&ring);
            self.events.until.store(next, Ordering::SeqCst);
            // A deadline that came up in between found 0 there, and told nobody.
            let next = next.min(self.next_deadline());
            let now = self.clock.now().0;
            if next > now || self.clock.is_counted() {
                let host_time = next != NEVER && !self.clock.is_counted();
                self.events.wait(host_time.then(|| Duration::from_nanos(next - now)));
            }
        }
    }

    /// Wakes the devices and CPUs whose time has come, and says when to look again.
    pub fn serve_once(&self, ring: &impl Fn(usize)) -> u64 {
        let now = self.clock.now();
        {
            let mut bus = self.bus();
            bus.wake(now);
            self.settle(&mut bus);
        }
        self.after_devices.get().iter().for_each(|action| action());
        let cpus = self.lock_cpus().clone();
        for (number, cpu) in cpus.iter().enumerate() {
            let timer = cpu.timer.load(Ordering::SeqCst);
            if timer <= now.0 {
                // Set again meanwhile: it comes up at its own time.
                let _ =
                    cpu.timer.compare_exchange(timer, NEVER, Ordering::SeqCst, Ordering::SeqCst);
                ring(number);
                cpu.kick();
            }
        }
        self.next_deadline()
    }

    fn next_deadline(&self) -> u64 {
        let devices = self.bus().deadline().map_or(NEVER, |time| time.0);
        let timer = |cpu: &Arc<CpuHandle>| cpu.timer.load(Ordering::SeqCst);
        self.lock_cpus().iter().map(timer).min().unwrap_or(NEVER).min(devices)
    }

    fn running(&self) -> MutexGuard<'_, Running> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends the machine, or starts it again. The first of several wins.
    pub fn end(&self, ending: Ending) {
        let mut running = self.running();
        if !matches!(*running, Running::Ending(_)) {
            *running = Running::Ending(ending);
        }
        drop(running);
        self.tell_all();
    }

    /// Stops the CPUs until [`Shared::resume`].
    pub fn pause(&self) {
        let mut running = self.running();
        if *running == Running::Yes {
            *running = Running::Paused;
        }
        drop(running);
        self.tell_all();
    }

    /// Lets the CPUs go on.
    pub fn resume(&self) {
        let mut running = self.running();
        if *running == Running::Paused {
            *running = Running::Yes;
        }
        drop(running);
        self.tell_all();
    }

    fn tell_all(&self) {
        self.attention.store(true, Ordering::SeqCst);
        self.changed.notify_all();
        self.lock_cpus().iter().for_each(|cpu| cpu.kick());
        self.events.notify();
    }

    /// Whether the CPUs are stopped.
    #[must_use]
    pub fn is_paused(&self) -> bool {
        *self.running() == Running::Paused
    }

    /// How the machine ends, if it does.
    #[must_use]
    pub fn ending(&self) -> Option<Ending> {
        match *self.running() {
            Running::Ending(ending) => Some(ending),
            _ => None,
        }
    }

    /// Whether a CPU that waits must look at what is asked of it.
    #[must_use]
    pub fn wants_attention(&self) -> bool {
        self.attention.load(Ordering::SeqCst)
    }

    /// On a CPU's thread: waits while the CPUs are stopped. Whether it goes on.
    #[must_use]
    pub fn may_run(&self) -> bool {
        if !self.wants_attention() {
            return true;
        }
        let mut running = self.running();
        while *running == Running::Paused {
            running = self.changed.wait(running).unwrap_or_else(PoisonError::into_inner);
        }
        if *running == Running::Yes {
            self.attention.store(false, Ordering::SeqCst);
        }
        *running == Running::Yes
    }

    /// After a reset: runs again.
    pub fn restart(&self) {
        *self.running() = Running::Yes;
        self.attention.store(false, Ordering::SeqCst);
    }
}

/// The width of an access of 1, 2, 4 or 8 bytes.
fn width(bytes: u64) -> Width {
    match bytes {
        1 => Width::B1,
        2 => Width::B2,
        4 => Width::B4,
        _ => Width::B8,
    }
}
