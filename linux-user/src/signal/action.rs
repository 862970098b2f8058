//! What a process does about each signal: rt_sigaction(2).

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

    /// What the host does, so that the kernel itself ignores, stops, continues and kills.
    fn on_host(&self) -> HostAction {
        let flags = self.flags & (flags::NOCLDSTOP | flags::NOCLDWAIT);
        match self.handler {
            Handler::Default => HostAction::Default(flags),
            Handler::Ignore => HostAction::Ignore(flags),
            Handler::Function(_) => HostAction::Record(flags),
        }
    }
}

type Table = [Action; set::LAST as usize];

/// The dispositions of a process. Clones share them.
#[derive(Clone)]
pub(crate) struct ProcessSignals(Arc<Lock<Table>>);

impl ProcessSignals {
    /// Every signal's default, but ignored where the host ignores it.
    pub(crate) fn inherited() -> Self {
        let ignored = host::inherited_ignored();
        let table = std::array::from_fn(|index| {
            let is_ignored = ignored.has(index as i32 + 1);
            let handler = if is_ignored { Handler::Ignore } else { Handler::Default };
            Action { handler, ..Action::default() }
        });
        // What the Rust runtime has changed is the guest's again.
        if !ignored.has(libc::SIGPIPE) {
            host::set_action(libc::SIGPIPE, HostAction::Default(0));
        }
        Self::with(table)
    }

    fn with(table: Table) -> Self {
        Self(Arc::new(Lock::new(Rank::Signals, table)))
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
            forget_handlers(&mut table);
        }
        Self::with(table)
    }

    /// What is done about a signal.
    pub(crate) fn get(&self, signal: i32) -> Action {
        self.0.lock()[index(signal)]
    }

    /// The signals that have a handler.
    pub(crate) fn caught(&self) -> SigSet {
        let table = self.0.lock();
        let has_handler =
            |signal: &i32| matches!(table[index(*signal)].handler, Handler::Function(_));
        let caught = (1..=set::LAST).filter(has_handler);
        caught.fold(SigSet::NONE, |set, signal| set.and(SigSet::of(&[signal])))
    }

    /// Changes it, for the host too; returns what was.
    pub(crate) fn set(&self, signal: i32, mut new: Action) -> Action {
        new.flags &= flags::KNOWN;
        new.mask = new.mask.without(SigSet::UNBLOCKABLE);
        let mut table = self.0.lock();
        // Before the host's, so that a signal that comes meanwhile finds what it is meant for.
        let old = std::mem::replace(&mut table[index(signal)], new);
        if !SigSet::FAULTS.has(signal) && (old.on_host() != new.on_host() || ignores(signal, &new))
        {
            host::set_action(signal, new.on_host());
        }
        old
    }

    /// What is to be done now that a signal is being delivered: a handler with `RESETHAND` is
    /// forgotten by that.
    pub(crate) fn take(&self, signal: i32) -> Action {
        let mut table = self.0.lock();
        let action = table[index(signal)];
        if action.has(flags::RESETHAND) && matches!(action.handler, Handler::Function(_)) {
            table[index(signal)].handler = Handler::Default;
            if !SigSet::FAULTS.has(signal) {
                host::set_action(signal, table[index(signal)].on_host());
            }
        }
        action
    }

    /// Forgets every handler, as `CLONE_CLEAR_SIGHAND` wants; what is ignored stays so.
    pub(crate) fn clear_handlers(&self) {
        for signal in 1..=set::LAST {
            if matches!(self.get(signal).handler, Handler::Function(_)) {
                self.set(signal, Action::default());
            }
        }
    }
}

fn forget_handlers(table: &mut Table) {
    for action in table.iter_mut().filter(|it| matches!(it.handler, Handler::Function(_))) {
        *action = Action::default();
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
