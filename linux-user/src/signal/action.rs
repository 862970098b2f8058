//! What a process does about each signal: rt_sigaction(2).

use std::ops::{Index, IndexMut};
use std::sync::Arc;

use base::GuestVirt;

use super::host::{self, HostAction};
use super::set::{self, SigSet};
use crate::clone::{self, CloneRequest};
use crate::locks::{Lock, Rank};

/// The flags of an action.
pub(crate) mod flags {
    /// Children that stop say nothing.
    pub(crate) const NOCLDSTOP: u64 = 1;
    /// Children that end leave nothing.
    pub(crate) const NOCLDWAIT: u64 = 2;
    /// The handler wants more than the number.
    pub(crate) const SIGINFO: u64 = 4;
    /// Keep the tag bits of addresses.
    pub(crate) const EXPOSE_TAGBITS: u64 = 0x800;
    /// The action names its own code to return through.
    pub(crate) const RESTORER: u64 = 0x0400_0000;
    /// Use the alternate stack.
    pub(crate) const ONSTACK: u64 = 0x0800_0000;
    /// Interrupted calls are made again.
    pub(crate) const RESTART: u64 = 0x1000_0000;
    /// The signal itself is not blocked meanwhile.
    pub(crate) const NODEFER: u64 = 0x4000_0000;
    /// Only once.
    pub(crate) const RESETHAND: u64 = 0x8000_0000;
    /// What the kernel keeps of what it is given, so that programs can ask what it knows.
    pub(super) const KNOWN: u64 = NOCLDSTOP
        | NOCLDWAIT
        | SIGINFO
        | EXPOSE_TAGBITS
        | RESTORER
        | ONSTACK
        | RESTART
        | NODEFER
        | RESETHAND;
}

/// What is done about a signal.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Action {
    /// What runs.
    pub(crate) handler: Handler,
    /// Of [`flags`].
    pub(crate) flags: u64,
    /// Where the handler returns to, on guests that say so.
    pub(crate) restorer: GuestVirt,
    /// What is blocked meanwhile.
    pub(crate) mask: SigSet,
}

/// `sa_handler`
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) enum Handler {
    /// `SIG_DFL`
    #[default]
    Default,
    /// `SIG_IGN`
    Ignore,
    /// A function.
    Function(GuestVirt),
}

impl Handler {
    /// From the guest's word.
    pub(crate) fn from_word(word: u64) -> Self {
        match word {
            0 => Self::Default,
            1 => Self::Ignore,
            addr => Self::Function(GuestVirt(addr)),
        }
    }

    /// As the guest's word.
    pub(crate) fn to_word(self) -> u64 {
        match self {
            Self::Default => 0,
            Self::Ignore => 1,
            Self::Function(addr) => addr.0,
        }
    }
}

impl Action {
    /// Whether any of these flags is set.
    pub(crate) fn has(&self, flags: u64) -> bool {
        self.flags & flags != 0
    }

    fn is_function(&self) -> bool {
        matches!(self.handler, Handler::Function(_))
    }
}

/// What a process does about each signal.
#[derive(Clone, Copy)]
pub(crate) struct Table {
    actions: [Action; set::LAST as usize],
    /// Whether the process must end where it holds nothing of Ferry's: it shares Ferry's memory.
    ends_at_exact_points: bool,
}

impl Table {
    /// What the host does, so that the kernel itself ignores, stops, continues and kills.
    fn on_host(&self, signal: i32) -> HostAction {
        let action = self[signal];
        let flags = action.flags & (flags::NOCLDSTOP | flags::NOCLDWAIT);
        match action.handler {
            Handler::Default if self.ends_at_exact_points && SigSet::ENDING.has(signal) => {
                HostAction::Record(flags)
            }
            Handler::Default => HostAction::Default(flags),
            Handler::Ignore => HostAction::Ignore(flags),
            Handler::Function(_) => HostAction::Record(flags),
        }
    }

    fn set_on_host(&self, signal: i32) {
        if !SigSet::FAULTS.has(signal) {
            host::set_action(signal, self.on_host(signal));
        }
    }

    fn forget_handlers(&mut self) {
        for action in self.actions.iter_mut().filter(|it| it.is_function()) {
            *action = Action::default();
        }
    }
}

impl Index<i32> for Table {
    type Output = Action;

    fn index(&self, signal: i32) -> &Action {
        &self.actions[index(signal)]
    }
}

impl IndexMut<i32> for Table {
    fn index_mut(&mut self, signal: i32) -> &mut Action {
        &mut self.actions[index(signal)]
    }
}

/// The dispositions of a process. Clones share them.
#[derive(Clone)]
pub(crate) struct ProcessSignals(Arc<Lock<Table>>);

impl ProcessSignals {
    /// Every signal's default, but ignored where the host ignores it.
    pub(crate) fn inherited() -> Self {
        let ignored = host::inherited_ignored();
        let actions = std::array::from_fn(|index| {
            let is_ignored = ignored.has(index as i32 + 1);
            let handler = if is_ignored { Handler::Ignore } else { Handler::Default };
            Action { handler, ..Action::default() }
        });
        // What the Rust runtime has changed is the guest's again.
        if !ignored.has(libc::SIGPIPE) {
            host::set_action(libc::SIGPIPE, HostAction::Default(0));
        }
        Self::with(actions)
    }

    fn with(actions: [Action; set::LAST as usize]) -> Self {
        Self::of(Table { actions, ends_at_exact_points: false })
    }

    fn of(table: Table) -> Self {
        Self(Arc::new(Lock::new(Rank::Signals, table)))
    }

    /// In a process that shares Ferry's memory: from now on, signals whose default ends it do so
    /// where Ferry has delivered them, and not wherever its thread is.
    pub(crate) fn end_at_exact_points(&self) {
        let mut table = self.0.lock();
        table.ends_at_exact_points = true;
        for signal in
            SigSet::ENDING.iter().filter(|&signal| table[signal].handler == Handler::Default)
        {
            table.set_on_host(signal);
        }
    }

    /// Whether a signal that is left to its default ends the process, and Ferry sees to that.
    pub(crate) fn ends_process(&self, signal: i32) -> bool {
        SigSet::FAULTS.has(signal)
            || (self.0.lock().ends_at_exact_points && SigSet::ENDING.has(signal))
    }

    /// For `fork`: held, nobody changes them.
    pub(crate) fn hold(&self) -> crate::locks::Guard<'_, Table> {
        self.0.lock()
    }

    /// The dispositions of a child that shares memory: these themselves with `CLONE_SIGHAND`, else
    /// a copy, as the kernel makes one. The host's handlers of the child are the kernel's to reset.
    pub(crate) fn for_clone(&self, request: &CloneRequest) -> Self {
        if request.has(clone::flags::SIGHAND) {
            return self.clone();
        }
        let mut table = *self.0.lock();
        if request.has(clone::flags::CLEAR_SIGHAND) {
            table.forget_handlers();
        }
        Self::of(table)
    }

    /// What is done about a signal.
    pub(crate) fn get(&self, signal: i32) -> Action {
        self.0.lock()[signal]
    }

    /// The signals that have a handler.
    pub(crate) fn caught(&self) -> SigSet {
        let table = self.0.lock();
        let caught = (1..=set::LAST).filter(|&signal| table[signal].is_function());
        caught.fold(SigSet::NONE, |set, signal| set.and(SigSet::of(&[signal])))
    }

    /// Changes it, for the host too; returns what was.
    pub(crate) fn set(&self, signal: i32, mut new: Action) -> Action {
        new.flags &= flags::KNOWN;
        new.mask = new.mask.without(SigSet::UNBLOCKABLE);
        let mut table = self.0.lock();
        // Before the host's, so that a signal that comes meanwhile finds what it is meant for.
        let before = table.on_host(signal);
        let old = std::mem::replace(&mut table[signal], new);
        if before != table.on_host(signal) || ignores(signal, &new) {
            table.set_on_host(signal);
        }
        old
    }

    /// What is to be done now that a signal is being delivered: a handler with `RESETHAND` is
    /// forgotten by that.
    pub(crate) fn take(&self, signal: i32) -> Action {
        let mut table = self.0.lock();
        let action = table[signal];
        if action.has(flags::RESETHAND) && action.is_function() {
            table[signal].handler = Handler::Default;
            table.set_on_host(signal);
        }
        action
    }

    /// Forgets every handler, as `CLONE_CLEAR_SIGHAND` wants; what is ignored stays so.
    pub(crate) fn clear_handlers(&self) {
        for signal in 1..=set::LAST {
            if self.get(signal).is_function() {
                self.set(signal, Action::default());
            }
        }
    }
}

/// Whether setting this action must reach the kernel even if nothing changes: it drops what is
/// pending.
fn ignores(signal: i32, action: &Action) -> bool {
    match action.handler {
        Handler::Default => SigSet::IGNORED_BY_DEFAULT.has(signal),
        Handler::Ignore => true,
        Handler::Function(_) => false,
    }
}

fn index(signal: i32) -> usize {
    debug_assert!(set::is_valid(signal));
    signal as usize - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    fn handled(flags: u64) -> Action {
        Action {
            handler: Handler::Function(GuestVirt(0x1000)),
            flags,
            mask: SigSet::ALL,
            ..Action::default()
        }
    }

    #[test]
    fn unknown_flags_and_unblockable_signals_are_dropped() {
        let signals = ProcessSignals::with([Action::default(); 64]);
        // A fault's disposition stays Ferry's own on the host, so this changes no process state.
        let old = signals.set(libc::SIGSEGV, handled(flags::RESTART | 0x400));
        assert_eq!(old, Action::default());
        let new = signals.get(libc::SIGSEGV);
        assert_eq!(new.flags, flags::RESTART);
        assert!(!new.mask.has(libc::SIGKILL) && new.mask.has(libc::SIGINT));
    }

    #[test]
    fn a_handler_for_once_is_taken_once() {
        let signals = ProcessSignals::with([Action::default(); 64]);
        signals.set(libc::SIGBUS, handled(flags::RESETHAND));
        assert_eq!(signals.take(libc::SIGBUS).handler, Handler::Function(GuestVirt(0x1000)));
        assert_eq!(signals.take(libc::SIGBUS).handler, Handler::Default);
    }
}
