//! Sets of signals, as the kernel keeps them: bit 0 is signal 1.

/// The highest signal number.
pub(crate) const LAST: i32 = 64;

/// A set of signals.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct SigSet(pub(crate) u64);

impl SigSet {
    /// No signal.
    pub(crate) const NONE: Self = Self(0);
    /// Every signal.
    pub(crate) const ALL: Self = Self(u64::MAX);
    /// What nobody can block, ignore or handle.
    pub(crate) const UNBLOCKABLE: Self = Self::of(&[libc::SIGKILL, libc::SIGSTOP]);
    /// What the host must never block: the faults that Ferry's own accesses take.
    pub(crate) const FAULTS: Self = Self::of(&[libc::SIGSEGV, libc::SIGBUS]);
    /// What is ignored by default.
    pub(crate) const IGNORED_BY_DEFAULT: Self =
        Self::of(&[libc::SIGCHLD, libc::SIGCONT, libc::SIGURG, libc::SIGWINCH]);
    /// What stops a process by default.
    const STOPPING: Self = Self::of(&[libc::SIGSTOP, libc::SIGTSTP, libc::SIGTTIN, libc::SIGTTOU]);
    /// What ends a process by default, and may be handled.
    pub(crate) const ENDING: Self = Self::ALL
        .without(Self::IGNORED_BY_DEFAULT)
        .without(Self::STOPPING)
        .without(Self::of(&[libc::SIGKILL]));
    /// The set of these signals.
    pub(crate) const fn of(signals: &[i32]) -> Self {
        let (mut bits, mut n) = (0, 0);
        while n < signals.len() {
            bits |= 1 << (signals[n] - 1);
            n += 1;
        }
        Self(bits)
    }

    /// Whether a signal is in the set.
    pub(crate) const fn has(self, signal: i32) -> bool {
        signal > 0 && signal <= LAST && self.0 >> (signal - 1) & 1 != 0
    }

    /// The signals in the set, ascending.
    pub(crate) fn iter(self) -> impl Iterator<Item = i32> {
        (1..=LAST).filter(move |&signal| self.has(signal))
    }

    /// What is in either.
    pub(crate) const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// What is in this one only.
    pub(crate) const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }
}

/// Whether there is a signal of that number.
pub(crate) const fn is_valid(signal: i32) -> bool {
    signal > 0 && signal <= LAST
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_are_one_less_than_numbers() {
        let set = SigSet::of(&[1, 64]);
        assert_eq!(set.0, 1 << 63 | 1);
        assert!(set.has(1) && set.has(64) && !set.has(2) && !set.has(0) && !set.has(65));
        assert_eq!(SigSet::ALL.without(set).and(set), SigSet::ALL);
    }
}
