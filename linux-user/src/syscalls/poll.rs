//! Waiting for readiness.

use base::GuestVirt;
use syscalls::{Errno, Sysno};

use super::row::rows;
use super::{Args, SyscallResult};
use crate::host::{self, Arg, args};
use crate::memory;
use crate::signal::{SigSet, read_mask, with_mask};
use crate::task::Task;
use crate::user::{UserPtr, UserSlice};

rows! {
    ppoll(Ptr, Size, Timespec, Ptr, Size) => ppoll;
    pselect6(Int, Ptr, Ptr, Ptr, Timespec, Ptr) => pselect6;
    epoll_create1(OpenFlags) => pass;
    epoll_ctl(Fd, EpollOp, Fd, Ptr) => epoll_ctl;
    epoll_pwait(Fd, Ptr, Size, Int, Ptr, Size) => epoll_pwait;
    epoll_pwait2(Fd, Ptr, Size, Timespec, Ptr, Size) => epoll_pwait2;
    eventfd2(Int, OpenFlags) => pass;
    io_uring_setup(Int, Ptr) => enosys, "its rings would let the guest name any address to the kernel";
    io_uring_enter(Fd, Int, Int, Hex, Ptr, Size) => enosys, "its rings would let the guest name any address to the kernel";
    io_uring_register(Fd, Int, Ptr, Int) => enosys, "its rings would let the guest name any address to the kernel";
}

/// ppoll(2)
fn ppoll(task: &mut Task, args: &Args) -> SyscallResult {
    let mask = read_mask(args.ptr(3), args.long(4))?;
    poll(task, args, Arg::from(args.addr(2)), mask)
}

/// Waits for descriptors, the first two arguments, for some seconds and nanoseconds at most.
pub(super) fn poll_until(task: &mut Task, args: &Args, time: Option<[i64; 2]>) -> SyscallResult {
    let mut time = time;
    let timeout = time.as_mut().map_or(Arg::from(0), Arg::writes);
    poll(task, args, timeout, None)
}

fn poll(task: &mut Task, args: &Args, timeout: Arg, mask: Option<SigSet>) -> SyscallResult {
    let (fds, count) = (args.addr(0), args.long(1));
    const POLLFD_BYTES: u64 = 8;
    let len = count.checked_mul(POLLFD_BYTES).ok_or(Errno::EINVAL)?;
    memory::prepare_write(UserSlice::new(fds, len)?);
    with_mask(task, mask, Sysno::ppoll, |mask| {
        args![fds, count, timeout, mask.pointer(), mask.size()]
    })
}

/// pselect6(2): its last argument points to the address and the size of a signal set.
fn pselect6(task: &mut Task, args: &Args) -> SyscallResult {
    let mask = match args.ptr::<[u64; 2]>(5).read_opt()? {
        Some([addr, size]) => read_mask(UserPtr::new(GuestVirt(addr)), size)?,
        None => None,
    };
    select(task, args, Arg::from(args.addr(4)), mask)
}

/// Waits for sets of descriptors, the first four arguments, for some seconds and nanoseconds at most. Leaves there what
/// was left of them.
pub(super) fn select_until(
    task: &mut Task,
    args: &Args,
    time: Option<&mut [i64; 2]>,
) -> SyscallResult {
    select(task, args, time.map_or(Arg::from(0), Arg::writes), None)
}

fn select(task: &mut Task, args: &Args, timeout: Arg, mask: Option<SigSet>) -> SyscallResult {
    // One bit for each descriptor; the kernel stops at the highest that may be open.
    let bytes = args.long(0).min(1 << 20) / 8 + 8;
    for set in 1..=3 {
        memory::prepare_write(UserSlice { addr: args.addr(set), len: bytes });
    }
    with_mask(task, mask, Sysno::pselect6, |mask| {
        let [read, write, except] = [1, 2, 3].map(|n| args.addr(n));
        args![args.int(0), read, write, except, timeout, mask.pair()]
    })
}

/// epoll_ctl(2)
fn epoll_ctl(task: &mut Task, args: &Args) -> SyscallResult {
    let (epoll, operation, fd) = (args.int(0), args.int(1), args.int(2));
    let mut event = libc::epoll_event { events: 0, u64: 0 };
    if operation != libc::EPOLL_CTL_DEL {
        let abi = task.process.abi;
        let bytes = UserSlice::new(args.addr(3), abi.epoll_event_size())?.read()?;
        let (events, data) = abi.parse_epoll_event(&bytes);
        event = libc::epoll_event { events, u64: data };
    }
    Ok(host::call(Sysno::epoll_ctl, args![epoll, operation, fd, Arg::reads(&event)])?)
}

/// epoll_pwait(2)
pub(super) fn epoll_pwait(task: &mut Task, args: &Args) -> SyscallResult {
    let timeout = Arg::from(args.int(3));
    epoll_wait(task, args, Sysno::epoll_pwait, timeout)
}

/// epoll_pwait2(2)
fn epoll_pwait2(task: &mut Task, args: &Args) -> SyscallResult {
    let timeout = Arg::from(args.addr(3));
    epoll_wait(task, args, Sysno::epoll_pwait2, timeout)
}

fn epoll_wait(task: &mut Task, args: &Args, number: Sysno, timeout: Arg) -> SyscallResult {
    /// Events taken at once at most; the others come with the next call.
    const AT_ONCE: i32 = 512;
    let (fd, to, room) = (args.int(0), args.addr(1), args.int(2));
    if room <= 0 {
        return Err(Errno::EINVAL.into());
    }
    let room = room.min(AT_ONCE);
    let mask = read_mask(args.ptr(4), args.long(5))?;
    let mut events = vec![libc::epoll_event { events: 0, u64: 0 }; room as usize];
    let list = Arg::writes(&mut events[..]);
    let count = with_mask(task, mask, number, |mask| {
        args![fd, list, room, timeout, mask.pointer(), mask.size()]
    })?;
    let abi = task.process.abi;
    let bytes: Vec<u8> = events[..count as usize]
        .iter()
        .flat_map(|event| abi.epoll_event(event.events, event.u64))
        .collect();
    UserSlice::new(to, bytes.len() as u64)?.write(&bytes)?;
    Ok(count)
}
