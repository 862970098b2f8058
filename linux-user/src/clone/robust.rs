//! Robust futexes: what a thread holds when it ends is marked, and somebody who waits is woken
//! (`Documentation/locking/robust-futexes.rst` and `robust-futex-ABI.rst`).

use base::GuestVirt;
use base::sys::access;
use syscalls::Sysno;

use crate::host::{self, args};
use crate::memory;
use crate::user::{UserPtr, UserSlice};
use crate::window;

/// Bytes of `struct robust_list_head`: first entry, offset from an entry to its futex, and the
/// entry that is being locked or unlocked.
pub(crate) const HEAD_BYTES: u64 = 24;
/// Entries that the kernel follows.
const LIMIT: usize = 2048;
/// In an entry's address: a futex with priority inheritance, whose waiters the kernel wakes itself.
const PI: u64 = 1;

const WAITERS: u32 = libc::FUTEX_WAITERS;
const OWNER_DIED: u32 = libc::FUTEX_OWNER_DIED;
const TID: u32 = libc::FUTEX_TID_MASK;

/// Marks every futex of the list whose owner is `tid`.
pub(crate) fn release_all(head: UserPtr<u64>, tid: u32) {
    let Some(Ok([first, offset, pending])) =
        head.non_null().map(|head| head.cast::<[u64; 3]>().read())
    else {
        return;
    };
    let release = |entry: u64, state| {
        let at = GuestVirt((entry & !PI).wrapping_add(offset));
        release_one(at, entry & PI != 0, state, tid);
    };
    let mut entry = first;
    for _ in 0..LIMIT {
        if entry & !PI == head.addr().0 {
            break;
        }
        // Before it is released: then it may be gone.
        let next = UserPtr::<u64>::new(GuestVirt(entry & !PI)).read();
        if entry != pending {
            release(entry, State::Listed);
        }
        match next {
            Ok(next) => entry = next,
            Err(_) => return,
        }
    }
    if pending != 0 {
        release(pending, State::Pending);
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Listed,
    /// The thread ended between changing the word and the list.
    Pending,
}

fn release_one(at: GuestVirt, is_pi: bool, state: State, tid: u32) {
    let word = UserPtr::<u32>::new(at);
    if !at.0.is_multiple_of(4) || window::check_range(at, 4).is_err() {
        return;
    }
    let Ok(mut value) = word.read() else { return };
    if state == State::Pending && !is_pi && value & TID == 0 {
        // Unlocked, but nobody was woken yet.
        return wake_one(word);
    }
    // Code may be beside it.
    memory::prepare_write(UserSlice { addr: at, len: 4 });
    while value & TID == tid {
        match access::compare_exchange32(at, value, value & WAITERS | OWNER_DIED) {
            Ok(found) if found == value => {
                if !is_pi && value & WAITERS != 0 {
                    wake_one(word);
                }
                return;
            }
            Ok(found) => value = found,
            Err(_) => return,
        }
    }
}

fn wake_one(word: UserPtr<u32>) {
    let _ = host::call(Sysno::futex, args![word, libc::FUTEX_WAKE, 1]);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::{AddressSpace, MapRequest};

    #[test]
    fn only_what_the_thread_holds_is_marked() {
        base::sys::fault::install();
        let at = AddressSpace::current().map(&MapRequest::anonymous(GuestVirt(0), 4096)).unwrap();
        let word = |n: u64| UserPtr::<u64>::new(GuestVirt(at.0 + n * 8));
        let futex = |n: u64| UserPtr::<u32>::new(GuestVirt(at.0 + n * 8));
        // Head at 0; entries at 4 and 6, each with its futex 8 bytes after; 8 is pending.
        for (n, value) in [(0, at.0 + 32), (1, 8), (2, at.0 + 64), (4, at.0 + 48), (6, at.0)] {
            word(n).write(value).unwrap();
        }
        futex(5).write(7 | WAITERS).unwrap();
        futex(7).write(8).unwrap();
        futex(9).write(7).unwrap();
        release_all(word(0), 7);
        assert_eq!(futex(5).read(), Ok(OWNER_DIED | WAITERS));
        assert_eq!(futex(7).read(), Ok(8), "another thread's");
        assert_eq!(futex(9).read(), Ok(OWNER_DIED), "the pending one");
    }

    #[test]
    fn a_list_that_is_a_circle_or_nowhere_ends() {
        base::sys::fault::install();
        let at = AddressSpace::current().map(&MapRequest::anonymous(GuestVirt(0), 4096)).unwrap();
        let word = |n: u64| UserPtr::<u64>::new(GuestVirt(at.0 + n * 8));
        word(0).write(at.0 + 32).unwrap();
        word(4).write(at.0 + 32).unwrap();
        release_all(word(0), 7);
        word(4).write(8).unwrap();
        release_all(word(0), 7);
        release_all(UserPtr::NULL, 7);
    }
}
