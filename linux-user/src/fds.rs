//! Ferry's own file descriptors: at the top of the descriptor space, and not there for the guest.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::sync::atomic::{AtomicI32, Ordering};

use syscalls::{Errno, Sysno};

use crate::host::{self, Arg, args};

/// How many descriptors Ferry keeps for itself at most.
const CAPACITY: usize = 16;

/// The end of the descriptor space in which Ferry's lie.
const RESERVED: i32 = 64;

/// The descriptors that Ferry keeps open beside the guest's.
#[derive(Debug)]
pub(crate) struct OwnFds {
    /// -1 where free. Atomics, because every system call with a descriptor looks here.
    slots: [AtomicI32; CAPACITY],
}

impl OwnFds {
    pub(crate) const fn new() -> Self {
        Self { slots: [const { AtomicI32::new(-1) }; CAPACITY] }
    }

    /// The same descriptors, for a process whose table is a copy of this one's.
    pub(crate) fn copy(&self) -> Self {
        let copy = |slot: &AtomicI32| AtomicI32::new(slot.load(Ordering::Relaxed));
        Self { slots: self.slots.each_ref().map(copy) }
    }

    /// Moves a descriptor of Ferry's to the top of the space, hidden from the guest.
    ///
    /// # Errors
    /// `EMFILE` if there is no room.
    pub(crate) fn adopt(&self, fd: OwnedFd) -> Result<OwnedFd, Errno> {
        let moved = duplicate_at_least(fd.as_fd(), highest_possible() - RESERVED)?;
        let raw = moved.as_raw_fd();
        let free = |slot: &&AtomicI32| {
            slot.compare_exchange(-1, raw, Ordering::AcqRel, Ordering::Relaxed).is_ok()
        };
        self.slots.iter().find(free).ok_or(Errno::EMFILE)?;
        Ok(moved)
    }

    /// A descriptor of Ferry's has been closed.
    pub(crate) fn disown(&self, fd: i32) {
        for slot in &self.slots {
            let _ = slot.compare_exchange(fd, -1, Ordering::AcqRel, Ordering::Relaxed);
        }
    }

    /// Whether a descriptor is Ferry's, and so not there for the guest.
    pub(crate) fn is_own(&self, fd: i32) -> bool {
        fd >= 0 && self.slots.iter().any(|slot| slot.load(Ordering::Relaxed) == fd)
    }

    /// Ferry's descriptors in ascending order.
    pub(crate) fn list(&self) -> Vec<i32> {
        let mut fds: Vec<i32> =
            self.slots.iter().map(|slot| slot.load(Ordering::Relaxed)).collect();
        fds.retain(|&fd| fd >= 0);
        fds.sort_unstable();
        fds
    }
}

/// A descriptor that the Ferry before this one left open for us.
#[expect(unsafe_code, reason = "takes ownership of an inherited descriptor")]
pub(crate) fn inherited(fd: RawFd) -> OwnedFd {
    // SAFETY: it was opened for this purpose, and nothing else here knows it.
    unsafe { OwnedFd::from_raw_fd(fd) }
}

/// One past the highest descriptor that this process may open, but not above the usual limit of
/// 1024: the kernel's table is as long as the highest descriptor demands, and every fork copies it.
fn highest_possible() -> i32 {
    let mut limit = [0_u64; 2];
    let got = host::call(
        Sysno::prlimit64,
        [Arg::from(0), Arg::from(libc::RLIMIT_NOFILE), Arg::from(0), Arg::writes(&mut limit)],
    );
    got.map_or(1024, |_| limit[0].clamp(64, 1024) as i32)
}

#[expect(unsafe_code, reason = "takes ownership of a new descriptor")]
fn duplicate_at_least(fd: BorrowedFd<'_>, floor: i32) -> Result<OwnedFd, Errno> {
    let raw = host::call(Sysno::fcntl, args![fd, libc::F_DUPFD_CLOEXEC, floor])?;
    // SAFETY: the kernel has just made this descriptor for us.
    Ok(unsafe { OwnedFd::from_raw_fd(raw as i32) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn adopted_descriptors_are_high_and_known() {
        let fds = OwnFds::new();
        let fd = fds.adopt(std::fs::File::open("/dev/null").unwrap().into()).unwrap();
        let raw = fd.as_raw_fd();
        assert!(raw >= highest_possible() - RESERVED, "{raw}");
        assert!(fds.is_own(raw) && !fds.is_own(0) && !fds.is_own(-1));
        assert_eq!(fds.list(), [raw]);
    }
}
