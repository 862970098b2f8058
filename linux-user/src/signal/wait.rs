//! System calls that wait under a signal mask of their own: `ppoll`, `pselect6`, `epoll_pwait`,
//! `rt_sigsuspend`.

use syscalls::{Errno, Sysno};

use super::set::SigSet;
use super::{host, read_set};
use crate::host::Arg;
use crate::safe_syscall::{self, Blocked};
use crate::syscalls::{NotDone, Restart, SyscallResult};
use crate::task::Task;
use crate::user::UserPtr;

/// The mask of one call, as the host's system calls take it.
pub(crate) struct TemporaryMask<'a> {
    mask: Option<&'a u64>,
    pair: &'a [u64; 2],
}

const SIZE: u64 = size_of::<u64>() as u64;

impl TemporaryMask<'_> {
    /// Pointer to the set, or null for none.
    pub(crate) fn pointer(&self) -> Arg {
        self.mask.map_or(Arg::from(0), Arg::reads)
    }

    /// Bytes of the set.
    pub(crate) fn size(&self) -> Arg {
        Arg::from(SIZE)
    }

    /// Pointer to both, as the last argument of `pselect6`.
    pub(crate) fn pair(&self) -> Arg {
        Arg::reads(self.pair)
    }
}

/// The mask argument of a call; a null pointer says "none".
///
/// # Errors
/// `EINVAL` for another size than the kernel's, `EFAULT`
pub(crate) fn read_mask(at: UserPtr<u64>, size: u64) -> Result<Option<SigSet>, Errno> {
    at.non_null().map(|at| read_set(at, size)).transpose()
}

/// Makes a host call that waits, with `mask` in force while it does; the mask is dropped when the
/// call returns without a signal, or with the handler's frame. An interrupted call is not made
/// again once a handler ran (`ERESTARTNOHAND`).
pub(crate) fn with_mask<const N: usize>(
    task: &mut Task,
    mask: Option<SigSet>,
    number: Sysno,
    args: impl FnOnce(&TemporaryMask<'_>) -> [Arg; N],
) -> SyscallResult {
    if let Some(mask) = mask {
        task.signals.deliver_first(mask)?;
        task.signals.set_temporary_mask(mask);
    }
    let word = mask.map(|mask| host::mask_for(mask).0);
    let pair = [word.as_ref().map_or(0, |word| Arg::reads(word).raw()), SIZE];
    let args = args(&TemporaryMask { mask: word.as_ref(), pair: &pair });
    match safe_syscall::call(task.signals.pending(), number, args) {
        Blocked::Finished(Err(Errno::EINTR)) => Err(NotDone::Restart(Restart::UnlessHandled)),
        Blocked::Finished(result) => {
            task.signals.drop_temporary_mask();
            Ok(result?)
        }
        Blocked::Unbegun if mask.is_none() => Err(NotDone::Restart(Restart::Always)),
        Blocked::Unbegun | Blocked::Interrupted => {
            // If it came before the mask was in force, it is not the call's to be interrupted by.
            if let Some(Err(not_done)) = mask.map(|mask| task.signals.deliver_first(mask)) {
                task.signals.drop_temporary_mask();
                return Err(not_done);
            }
            Err(NotDone::Restart(Restart::UnlessHandled))
        }
    }
}
