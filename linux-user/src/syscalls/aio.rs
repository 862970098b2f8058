//! Asynchronous input and output by the kernel: io_submit(2) and its like.
//!
//! The host does it. It writes to the guest's buffers where they are; and a context is called by the address of its ring,
//! which programs may read without a system call, so the ring is moved to where the guest's memory is.

use base::sys::access;
use base::{GuestVirt, addr::PAGE_SIZE};
use syscalls::{Errno, Sysno};

use super::iovec::{prepare_writes, read_iovecs};
use super::row::rows;
use super::{Args, SyscallResult, block_unless_handled};
use crate::host::{self, args};
use crate::memory;
use crate::plain;
use crate::signal::{read_mask, with_mask};
use crate::task::Task;
use crate::user::{UserPtr, UserSlice};
use crate::window;

rows! {
    io_setup(Int, Ptr) => io_setup;
    io_destroy(Hex) => io_destroy;
    io_submit(Hex, Long, Ptr) => io_submit;
    io_cancel(Hex, Ptr, Ptr) => pass;
    io_getevents(Hex, Long, Long, Ptr, Timespec) => io_getevents;
    io_pgetevents(Hex, Long, Long, Ptr, Timespec, Ptr) => io_pgetevents;
}

plain! {
    /// The head of `struct aio_ring`.
    struct RingHead {
        id: u32,
        nr: u32,
        head: u32,
        tail: u32,
        magic: u32,
        compat_features: u32,
        incompat_features: u32,
        header_length: u32,
    }
    /// `struct iocb`
    struct Iocb {
        data: u64,
        key: u32,
        rw_flags: u32,
        opcode: u16,
        reqprio: u16,
        fildes: i32,
        buf: u64,
        nbytes: u64,
        offset: u64,
        reserved: u64,
        flags: u32,
        resfd: i32,
    }
}

/// Bytes of a `struct io_event`.
const EVENT_BYTES: u64 = 32;

/// io_setup(2)
fn io_setup(task: &mut Task, args: &Args) -> SyscallResult {
    let to: UserPtr<u64> = args.ptr(1);
    let mut context = to.read()?;
    host::call(Sysno::io_setup, args![args.uint(0), host::Arg::writes(&mut context)])?;
    let space = &task.process.memory;
    let taken =
        ring_bytes(context).and_then(|len| space.take_ring(context, len, task.process.bounds()));
    let ring = taken.inspect_err(|_| destroy(context))?;
    if let Err(errno) = to.write(ring.0) {
        let _ = io_destroy(task, &Args([ring.0, 0, 0, 0, 0, 0]));
        return Err(errno.into());
    }
    Ok(0)
}

fn destroy(context: u64) {
    let _ = host::call(Sysno::io_destroy, args![context]);
}

/// How much memory the ring takes that the kernel has mapped there.
fn ring_bytes(ring: u64) -> Result<u64, Errno> {
    let mut head = [0; size_of::<RingHead>()];
    access::copy_from_guest(&mut head, GuestVirt(ring)).map_err(|_| Errno::ENOMEM)?;
    let [_, _, _, _, a, b, c, d, ..] = head;
    let events = u64::from(u32::from_le_bytes([a, b, c, d]));
    Ok((head.len() as u64 + events * EVENT_BYTES).next_multiple_of(PAGE_SIZE))
}

/// io_destroy(2), which takes the ring away and then waits for what is under way.
fn io_destroy(task: &mut Task, args: &Args) -> SyscallResult {
    let ring = args.addr(0);
    let end = task.process.memory.end_of_mapping(ring);
    host::call(Sysno::io_destroy, args![ring])?;
    if let Some(end) = end {
        task.process.memory.forget_ring(ring.0..end);
    }
    Ok(0)
}

/// io_submit(2)
fn io_submit(task: &mut Task, args: &Args) -> SyscallResult {
    /// The system has no room for more (`/proc/sys/fs/aio-max-nr`), or seldom.
    const AT_ONCE: i64 = 1 << 16;
    let wanted = args.long(1) as i64;
    let list: UserPtr<u64> = args.ptr(2);
    let mut good = 0;
    while good < wanted.min(AT_ONCE) {
        match check(task, list.at(good as usize)) {
            Ok(()) => good += 1,
            // What comes before the first bad one is done.
            Err(_) if good > 0 => break,
            Err(errno) => return Err(errno.into()),
        }
    }
    let count = if wanted < 0 { wanted } else { good };
    Ok(host::call(Sysno::io_submit, args![args.long(0), count, list])?)
}

/// Checks an operation as dispatch checks the arguments of the call that it stands for.
fn check(task: &Task, element: UserPtr<u64>) -> Result<(), Errno> {
    const IOCB_CMD_PREAD: u16 = 0;
    const IOCB_CMD_PWRITE: u16 = 1;
    const IOCB_CMD_PREADV: u16 = 7;
    const IOCB_CMD_PWRITEV: u16 = 8;
    const IOCB_FLAG_RESFD: u32 = 1;
    let at = UserPtr::<Iocb>::new(GuestVirt(element.read()?));
    let operation = at.read()?;
    // The kernel leaves a key there.
    memory::prepare_write(UserSlice { addr: at.addr(), len: size_of::<Iocb>() as u64 });
    let tells = operation.flags & IOCB_FLAG_RESFD != 0;
    let fds = &task.process.fds;
    if fds.is_own(operation.fildes) || (tells && fds.is_own(operation.resfd)) {
        return Err(Errno::EBADF);
    }
    let (addr, len) = (GuestVirt(operation.buf), operation.nbytes);
    match operation.opcode {
        IOCB_CMD_PREAD => {
            window::check(addr)?;
            memory::prepare_write(UserSlice { addr, len });
        }
        IOCB_CMD_PWRITE => window::check(addr)?,
        IOCB_CMD_PREADV => prepare_writes(&read_iovecs(UserPtr::new(addr), len)?),
        IOCB_CMD_PWRITEV => drop(read_iovecs(UserPtr::new(addr), len)?),
        _ => {}
    }
    Ok(())
}

/// The events that a call writes.
fn prepare_events(args: &Args) {
    let len = args.long(2).saturating_mul(EVENT_BYTES);
    memory::prepare_write(UserSlice { addr: args.addr(3), len });
}

/// io_getevents(2)
fn io_getevents(task: &mut Task, args: &Args) -> SyscallResult {
    prepare_events(args);
    let [context, least, most] = [0, 1, 2].map(|n| args.long(n));
    let pass = args![context, least, most, args.addr(3), args.addr(4)];
    block_unless_handled(task, Sysno::io_getevents, pass)
}

/// io_pgetevents(2): its last argument points to the address and the size of a signal set.
fn io_pgetevents(task: &mut Task, args: &Args) -> SyscallResult {
    prepare_events(args);
    let mask = match args.ptr::<[u64; 2]>(5).read_opt()? {
        Some([addr, size]) => read_mask(UserPtr::new(GuestVirt(addr)), size)?,
        None => None,
    };
    let [context, least, most] = [0, 1, 2].map(|n| args.long(n));
    with_mask(task, mask, Sysno::io_pgetevents, |mask| {
        args![context, least, most, args.addr(3), args.addr(4), mask.pair()]
    })
}
