//! Vectored input and output: readv(2) and its like.

use base::GuestVirt;
use syscalls::Errno;

use super::row::rows;
use super::{Args, SyscallResult, block_raw};
use crate::host::Arg;
use crate::memory;
use crate::task::Task;
use crate::user::{UserPtr, UserSlice};

rows! {
    readv(Fd, Ptr, Size) => reading;
    writev(Fd, Ptr, Size) => writing;
    preadv(Fd, Ptr, Size, Long, Long) => reading;
    pwritev(Fd, Ptr, Size, Long, Long) => writing;
    preadv2(Fd, Ptr, Size, Long, Long, Hex) => reading;
    pwritev2(Fd, Ptr, Size, Long, Long, Hex) => writing;
    vmsplice(Fd, Ptr, Size, Hex) => vmsplice;
}

/// Buffers of one call at most (`UIO_MAXIOV`).
pub(super) const IOV_MAX: u64 = 1024;

/// `struct iovec`: address and length.
pub(super) type IoVec = [u64; 2];

/// Reads the list of a call's buffers, which all lie in the window.
///
/// # Errors
/// `EINVAL`: too many; `EFAULT`.
pub(super) fn read_iovecs(list: UserPtr<IoVec>, count: u64) -> Result<Vec<IoVec>, Errno> {
    if count > IOV_MAX {
        return Err(Errno::EINVAL);
    }
    let vectors = list.read_array(count as usize)?;
    let checked = |[addr, len]: [u64; 2]| Ok([UserSlice::new(GuestVirt(addr), len)?.addr.0, len]);
    vectors.into_iter().map(checked).collect()
}

/// Prepares buffers for the host kernel to write to.
pub(super) fn prepare_writes(vectors: &[IoVec]) {
    for &[addr, len] in vectors {
        memory::prepare_write(UserSlice { addr: GuestVirt(addr), len });
    }
}

/// Calls that fill the buffers.
fn reading(task: &mut Task, args: &Args) -> SyscallResult {
    let vectors = read_iovecs(args.ptr(1), args.long(2))?;
    prepare_writes(&vectors);
    with_vectors(task, args, &vectors)
}

/// Calls that only read the buffers.
fn writing(task: &mut Task, args: &Args) -> SyscallResult {
    let vectors = read_iovecs(args.ptr(1), args.long(2))?;
    with_vectors(task, args, &vectors)
}

/// vmsplice(2), which goes either way.
fn vmsplice(task: &mut Task, args: &Args) -> SyscallResult {
    reading(task, args)
}

/// The host's call with a list that cannot change any more.
fn with_vectors(task: &mut Task, args: &Args, vectors: &[IoVec]) -> SyscallResult {
    let mut pass = args.0;
    pass[1] = Arg::reads(vectors).raw();
    let number = task.current_host_number()?;
    block_raw(task, number, pass)
}
