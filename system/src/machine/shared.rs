//! What a machine's threads share: the bus under its lock, the clock, the CPUs as others see them,
//! and what the machine is asked to do.
//!
//! Locks are taken in this order: the bus; then, since a device's DMA may hit translated code, what the
//! engine has inside; then those that nobody holds for long, such as a CPU's thread. So nothing that the
//! engine calls with a lock held may touch the bus, and it calls nothing of a machine with one held.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering, fence};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::Thread;
use std::time::Duration;

use runtime::Interrupter;
use softmmu::Register;

use crate::bus::{Bus, BusError, OutputChange};
use crate::device::{Effect, Time, Width};
use crate::devices::virtio::input::{Button, ButtonError};
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

/// Whether CPUs run, and how many have seen that they do not.
#[derive(Debug)]
struct State {
    running: Running,
    /// CPUs that wait to go on.
    parked: usize,
    /// What was asked for while the machine was about to start again.
    pause_at_restart: bool,
}

/// What happens to a machine as a whole.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Happening {
    /// Its CPUs were stopped.
    Stopped,
    /// They go on.
    Resumed,
    /// It starts again.
    Reset,
    /// It has ended.
    Ended(Ending),
}

/// Gets to know what happens. It must not block, nor ask the machine anything.
pub type Watcher = Box<dyn Fn(Happening) + Send>;

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
    /// It does not run even if the others do.
    held: AtomicBool,
    /// Its thread is to do something for another while it does not run.
    errand: AtomicBool,
}

/// No timer.
pub(crate) const NEVER: u64 = u64::MAX;

impl CpuHandle {
    /// Of a CPU that this makes come back from translated code.
    #[must_use]
    pub fn new(interrupter: Interrupter) -> Self {
        let (thread, waiting) = (Mutex::new(None), AtomicBool::new(false));
        let (held, errand) = (AtomicBool::new(false), AtomicBool::new(false));
        Self { interrupter, thread, waiting, timer: AtomicU64::new(NEVER), held, errand }
    }

    /// Makes it look at its interrupts, soon.
    pub fn kick(&self) {
        self.interrupter.interrupt();
        // What the caller raised comes before the look at whether it waits; see `Shared::wait`.
        fence(Ordering::SeqCst);
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
    state: Mutex<State>,
    changed: Condvar,
    /// CPUs must look at `running`.
    attention: AtomicBool,
    events: Arc<Events>,
    after_devices: OnceLock<Box<dyn Fn() + Send + Sync>>,
    watchers: Mutex<Vec<Watcher>>,
    power_button: OnceLock<Arc<Button>>,
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
            state: Mutex::new(State { running: Running::Yes, parked: 0, pause_at_restart: false }),
            changed: Condvar::new(),
            attention: AtomicBool::new(false),
            events,
            after_devices: OnceLock::new(),
            watchers: Mutex::default(),
            power_button: OnceLock::new(),
        })
    }

    /// Says what is to be done whenever devices have been woken. Once; later calls change nothing.
    pub fn set_after_devices(&self, action: Box<dyn Fn() + Send + Sync>) {
        let _ = self.after_devices.set(action);
    }

    /// Says which button asks the system to switch the machine off. Once; later calls change nothing.
    pub fn set_power_button(&self, button: Arc<Button>) {
        let _ = self.power_button.set(button);
    }

    /// Asks the system to switch the machine off.
    ///
    /// # Errors
    /// It would not notice.
    pub fn press_power_button(&self) -> Result<(), ButtonError> {
        self.power_button.get().ok_or(ButtonError::NobodyListens)?.press()
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
        // Either this finds what was raised, or who raised it finds that it waits.
        fence(Ordering::SeqCst);
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
            if self.is_paused() {
                // Devices and timers stand still, too.
                self.events.wait(None);
                continue;
            }
            let next = self.serve_once(&ring);
            self.events.until.store(next, Ordering::SeqCst);
            // A deadline that came up in between found 0 there, and told nobody.
            let next = next.min(self.next_deadline());
            let now = self.clock.now().0;
            if next > now {
                let timeout = (next != NEVER).then(|| Duration::from_nanos(next - now));
                self.events.wait(timeout);
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

    /// Waits until something happens outside.
    pub(crate) fn wait_for_event(&self) {
        self.events.wait(None);
    }

    /// When a device or a CPU's timer is due next; [`NEVER`] if none is.
    pub(crate) fn next_deadline(&self) -> u64 {
        let devices = self.bus().deadline().map_or(NEVER, |time| time.0);
        let timer = |cpu: &Arc<CpuHandle>| cpu.timer.load(Ordering::SeqCst);
        self.lock_cpus().iter().map(timer).min().unwrap_or(NEVER).min(devices)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets somebody know from now on what happens.
    pub fn watch(&self, watcher: Watcher) {
        self.watchers.lock().unwrap_or_else(PoisonError::into_inner).push(watcher);
    }

    fn tell_watchers(&self, happening: Happening) {
        let watchers = self.watchers.lock().unwrap_or_else(PoisonError::into_inner);
        watchers.iter().for_each(|watcher| watcher(happening));
    }

    /// Ends the machine, or starts it again. The first of several wins.
    pub fn end(&self, ending: Ending) {
        let mut state = self.state();
        if !matches!(state.running, Running::Ending(_)) {
            state.running = Running::Ending(ending);
        }
        drop(state);
        self.tell_all();
    }

    /// Stops the CPUs and the time until [`Shared::resume`]. [`Shared::wait_until_stopped`] says when
    /// they have.
    pub fn pause(&self) {
        let mut state = self.state();
        let was = state.running;
        match was {
            Running::Yes => state.running = Running::Paused,
            Running::Ending(_) => state.pause_at_restart = true,
            Running::Paused => {}
        }
        if was == Running::Yes {
            self.clock.stop();
            self.tell_watchers(Happening::Stopped);
        }
        drop(state);
        self.tell_all();
    }

    /// Lets the CPUs go on.
    pub fn resume(&self) {
        let mut state = self.state();
        let was = state.running;
        state.pause_at_restart = false;
        if was == Running::Paused {
            state.running = Running::Yes;
            self.clock.start();
            self.tell_watchers(Happening::Resumed);
        }
        drop(state);
        self.tell_all();
    }

    /// Waits until all CPUs have stopped. Whether they have: if not, they go on already, or the
    /// machine has ended.
    pub fn wait_until_stopped(&self) -> bool {
        let cpus = self.lock_cpus().len();
        let mut state = self.state();
        loop {
            match state.running {
                Running::Yes => return false,
                Running::Paused if state.parked >= cpus => return true,
                Running::Ending(Ending::PowerOff(_) | Ending::Quit) => return false,
                Running::Ending(Ending::Reset) if !state.pause_at_restart => return false,
                _ => state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner),
            }
        }
    }

    /// Keeps a CPU from running while others do, or does so no longer. To be called while all are stopped.
    pub fn hold(&self, cpu: &CpuHandle, hold: Hold) {
        cpu.held.store(hold == Hold::Held, Ordering::SeqCst);
    }

    /// What each CPU does.
    #[must_use]
    pub fn cpu_states(&self) -> Vec<CpuState> {
        let is_paused = self.is_paused();
        let state = |cpu: &Arc<CpuHandle>| match cpu.waiting.load(Ordering::SeqCst) {
            _ if is_paused || cpu.held.load(Ordering::SeqCst) => CpuState::Stopped,
            true => CpuState::Waiting,
            false => CpuState::Running,
        };
        self.lock_cpus().iter().map(state).collect()
    }

    /// Makes a CPU's thread call what it gave to [`Shared::may_run`], if it waits there.
    pub fn send_on_errand(&self, cpu: &CpuHandle) {
        cpu.errand.store(true, Ordering::SeqCst);
        // Who is about to wait holds the lock until it does.
        drop(self.state());
        self.changed.notify_all();
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
        self.state().running == Running::Paused
    }

    /// Whether the CPUs that nobody holds run.
    #[must_use]
    pub fn is_running(&self) -> bool {
        self.state().running == Running::Yes
    }

    /// How the machine ends, if it does.
    #[must_use]
    pub fn ending(&self) -> Option<Ending> {
        match self.state().running {
            Running::Ending(ending) => Some(ending),
            _ => None,
        }
    }

    /// Whether a CPU that waits must look at what is asked of it.
    #[must_use]
    pub fn wants_attention(&self) -> bool {
        self.attention.load(Ordering::SeqCst)
    }

    /// On a CPU's thread: waits while it is stopped, and runs errands meanwhile. Whether it goes on.
    #[must_use]
    pub fn may_run(&self, cpu: &Arc<CpuHandle>, mut errands: impl FnMut()) -> bool {
        !self.wants_attention() || self.stand_still(std::slice::from_ref(cpu), |_| errands())
    }

    /// On the thread of a machine whose CPUs take turns: waits while all are stopped, and runs errands
    /// meanwhile, with the number of the CPU. Whether they go on.
    #[must_use]
    pub fn may_take_turns(&self, errands: impl FnMut(usize)) -> bool {
        if !self.wants_attention() {
            return true;
        }
        let cpus = self.lock_cpus().clone();
        self.stand_still(&cpus, errands)
    }

    /// Whether a CPU's turn may begin, or go on.
    #[must_use]
    pub fn has_turn(&self, cpu: &CpuHandle) -> bool {
        !self.wants_attention() || self.is_running() && !cpu.held.load(Ordering::SeqCst)
    }

    /// On the thread that runs these CPUs: waits as long as none of them may run.
    fn stand_still(&self, cpus: &[Arc<CpuHandle>], mut errands: impl FnMut(usize)) -> bool {
        let is_held = |cpu: &Arc<CpuHandle>| cpu.held.load(Ordering::SeqCst);
        let mut state = self.state();
        let mut is_parked = false;
        let goes_on = loop {
            match state.running {
                Running::Ending(_) => break false,
                Running::Yes if !cpus.iter().all(is_held) => break true,
                _ => {}
            }
            if !is_parked {
                (is_parked, state.parked) = (true, state.parked + cpus.len());
                self.changed.notify_all();
            }
            if let Some(cpu) = cpus.iter().position(|cpu| cpu.errand.swap(false, Ordering::SeqCst))
            {
                drop(state);
                errands(cpu);
                state = self.state();
            } else {
                state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
            }
        };
        if is_parked {
            state.parked -= cpus.len();
        }
        if goes_on && !self.lock_cpus().iter().any(is_held) {
            self.attention.store(false, Ordering::SeqCst);
        }
        goes_on
    }

    /// After a reset: runs again, unless it is to stand still.
    pub fn restart(&self) {
        let mut state = self.state();
        let stands = std::mem::take(&mut state.pause_at_restart);
        state.running = if stands { Running::Paused } else { Running::Yes };
        self.attention.store(stands, Ordering::SeqCst);
        self.tell_watchers(Happening::Reset);
        if stands {
            self.clock.stop();
            self.tell_watchers(Happening::Stopped);
        } else {
            self.clock.start();
        }
        drop(state);
        self.tell_all();
    }

    /// It has ended and does not start again: lets everybody know.
    pub fn finish(&self, ending: Ending) {
        self.state().running = Running::Ending(match ending {
            Ending::Reset => Ending::Quit,
            other => other,
        });
        self.tell_watchers(Happening::Ended(ending));
        self.tell_all();
    }
}

/// What a CPU does.
#[derive(Clone, Copy, PartialEq, Eq, Debug, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum CpuState {
    /// It executes code.
    Running,
    /// It waits for an interrupt, or to be started.
    Waiting,
    /// It was stopped from outside.
    Stopped,
}

/// Whether a CPU stays where it is while others run.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Hold {
    /// It does.
    Held,
    /// It runs when the others do.
    Free,
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
