//! Waiting for readiness.

use base::GuestVirt;
use syscalls::{Errno, Sysno};

use super::row::rows;
use super::{Args, SyscallResult, block_unless_handled};
use crate::host::{self, Arg, args};
use crate::memory;
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
    io_setup(Int, Ptr) => enosys, "kernel asynchronous I/O is not implemented";
    io_destroy(Hex) => enosys, "kernel asynchronous I/O is not implemented";
    io_submit(Hex, Int, Ptr) => enosys, "kernel asynchronous I/O is not implemented";
    io_cancel(Hex, Ptr, Ptr) => enosys, "kernel asynchronous I/O is not implemented";
    io_getevents(Hex, Int, Int, Ptr, Timespec) => enosys, "kernel asynchronous I/O is not implemented";
    io_pgetevents(Hex, Int, Int, Ptr, Timespec, Ptr) => enosys, "kernel asynchronous I/O is not implemented";
    io_uring_setup(Int, Ptr) => enosys, "its rings would let the guest name any address to the kernel";
    io_uring_enter(Fd, Int, Int, Hex, Ptr, Size) => enosys, "its rings would let the guest name any address to the kernel";
    io_uring_register(Fd, Int, Ptr, Int) => enosys, "its rings would let the guest name any address to the kernel";
}

/// Bytes of a signal set in the kernel's interface.
const SIGSET_BYTES: u64 = 8;
/// Signals that the host must never block: the faults that Ferry's own accesses take.
const NEVER_BLOCKED: u64 = 1 << (libc::SIGSEGV - 1) | 1 << (libc::SIGBUS - 1);

/// The signals to be blocked while waiting, as the host is told; `None` for no change.
fn read_mask(mask: UserPtr<u64>, size: u64) -> Result<Option<u64>, Errno> {
    if mask.is_null() {
        return Ok(None);
    }
    if size != SIGSET_BYTES {
        return Err(Errno::EINVAL);
    }
    Ok(Some(mask.read()? & !NEVER_BLOCKED))
}

/// The mask as an argument.
fn mask_arg(mask: Option<&u64>) -> Arg {
    mask.map_or(Arg::from(0), Arg::reads)
}

/// ppoll(2)
fn ppoll(task: &mut Task, args: &Args) -> SyscallResult {
    let (fds, count) = (args.addr(0), args.long(1));
    const POLLFD_BYTES: u64 = 8;
    let len = count.checked_mul(POLLFD_BYTES).ok_or(Errno::EINVAL)?;
    memory::prepare_write(UserSlice::new(fds, len)?);
    let mask = read_mask(args.ptr(3), args.long(4))?;
    let pass = args![fds, count, args.addr(2), mask_arg(mask.as_ref()), SIGSET_BYTES];
    block_unless_handled(task, Sysno::ppoll, pass)
}

/// pselect6(2): its last argument points to the address and the size of a signal set.
fn pselect6(task: &mut Task, args: &Args) -> SyscallResult {
    let mask = match args.ptr::<[u64; 2]>(5).read_opt()? {
        Some([addr, size]) => read_mask(UserPtr::new(GuestVirt(addr)), size)?,
        None => None,
    };
    // One bit for each descriptor; the kernel stops at the highest that may be open.
    let bytes = args.long(0).min(1 << 20) / 8 + 8;
    for set in 1..=3 {
        memory::prepare_write(UserSlice { addr: args.addr(set), len: bytes });
    }
    let last = [mask_arg(mask.as_ref()).raw(), SIGSET_BYTES];
    let pass = args![
        args.int(0),
        args.addr(1),
        args.addr(2),
        args.addr(3),
        args.addr(4),
        Arg::reads(&last)
    ];
    block_unless_handled(task, Sysno::pselect6, pass)
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
fn epoll_pwait(task: &mut Task, args: &Args) -> SyscallResult {
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
    let pass = args![fd, list, room, timeout, mask_arg(mask.as_ref()), SIGSET_BYTES];
    let count = block_unless_handled(task, number, pass)?;
    let abi = task.process.abi;
    let bytes: Vec<u8> = events[..count as usize]
        .iter()
        .flat_map(|event| abi.epoll_event(event.events, event.u64))
        .collect();
    UserSlice::new(to, bytes.len() as u64)?.write(&bytes)?;
    Ok(count)
}
