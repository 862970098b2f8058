//! System V and POSIX interprocess communication.

use syscalls::{Errno, Sysno};

use super::row::rows;
use super::{Args, SyscallResult, block_unless_handled};
use crate::host::{self, Arg, args};
use crate::memory;
use crate::task::Task;
use crate::user::UserSlice;
use crate::window;

rows! {
    mq_open(Str, OpenFlags, Mode, Ptr) => mq_open;
    mq_unlink(Str) => pass;
    mq_timedsend(Fd, InBuf, Size, Int, Timespec) => pass_blocking;
    mq_timedreceive(Fd, OutBuf, Size, Ptr, Timespec) => pass_blocking;
    mq_notify(Fd, Ptr) => pass;
    mq_getsetattr(Fd, Ptr, Ptr) => pass;
    msgget(Hex, Hex) => pass;
    msgctl(Int, Int, Ptr) => pass;
    msgrcv(Int, Ptr, Size, Long, Hex) => msgrcv;
    msgsnd(Int, Ptr, Size, Hex) => msgsnd;
    semget(Hex, Int, Hex) => pass;
    semctl(Int, Int, Int, Hex) => semctl;
    semop(Int, Ptr, Size) => semop;
    semtimedop(Int, Ptr, Size, Timespec) => semtimedop;
    shmget(Hex, Size, Hex) => pass;
    shmctl(Int, Int, Ptr) => pass;
    shmat(Int, Addr, Hex) => shmat;
    shmdt(Addr) => shmdt;
}

/// mq_open(2)
fn mq_open(task: &mut Task, args: &Args) -> SyscallResult {
    let flags = task.process.abi.open_flags_to_host(args.int(1));
    let pass = args![args.addr(0), flags, args.uint(2), args.addr(3)];
    Ok(host::call(Sysno::mq_open, pass)?)
}

/// A message with its type before it.
fn message(args: &Args) -> Result<UserSlice, Errno> {
    const TYPE_BYTES: u64 = 8;
    let len = args.long(2).checked_add(TYPE_BYTES).ok_or(Errno::EINVAL)?;
    UserSlice::new(args.addr(1), len)
}

/// msgrcv(2)
fn msgrcv(task: &mut Task, args: &Args) -> SyscallResult {
    memory::prepare_write(message(args)?);
    let pass = args![args.int(0), args.addr(1), args.long(2), args.long(3), args.int(4)];
    block_unless_handled(task, Sysno::msgrcv, pass)
}

/// msgsnd(2)
fn msgsnd(task: &mut Task, args: &Args) -> SyscallResult {
    message(args)?;
    let pass = args![args.int(0), args.addr(1), args.long(2), args.int(3)];
    block_unless_handled(task, Sysno::msgsnd, pass)
}

/// semop(2)
fn semop(task: &mut Task, args: &Args) -> SyscallResult {
    let pass = args![args.int(0), args.addr(1), args.long(2)];
    block_unless_handled(task, Sysno::semop, pass)
}

/// semtimedop(2)
fn semtimedop(task: &mut Task, args: &Args) -> SyscallResult {
    let pass = args![args.int(0), args.addr(1), args.long(2), args.addr(3)];
    block_unless_handled(task, Sysno::semtimedop, pass)
}

/// semctl(2): the last argument is what the command makes of it.
fn semctl(task: &mut Task, args: &Args) -> SyscallResult {
    const SEM_STAT_ANY: i32 = 20;
    const SEM_INFO: i32 = 19;
    /// `SEMMSL`: semaphores of a set at most, each of 16 bits here.
    const VALUES_BYTES: u64 = 32_000 * 2;
    let (id, number, command) = (args.int(0), args.int(1), args.int(2));
    let call = |last: Arg| host::call(Sysno::semctl, args![id, number, command, last]);
    match command {
        libc::IPC_STAT | libc::SEM_STAT | SEM_STAT_ANY => {
            let mut status = zeroed_semid();
            let result = call(Arg::writes(&mut status))?;
            let bytes = task.process.abi.semid_ds(&status);
            UserSlice::new(args.addr(3), bytes.len() as u64)?.write(&bytes)?;
            Ok(result)
        }
        libc::IPC_SET => {
            // Of all that is there the kernel takes owner and mode only, from `struct ipc64_perm`,
            // which comes first and is the same everywhere.
            const PERM_BYTES: u64 = 48;
            let mut status = [0; size_of::<libc::semid_ds>()];
            let perm = UserSlice::new(args.addr(3), PERM_BYTES)?.read()?;
            status[..perm.len()].copy_from_slice(&perm);
            Ok(call(Arg::reads(&status))?)
        }
        libc::GETALL | libc::SETALL | libc::IPC_INFO | SEM_INFO => {
            let addr = window::followed(args.addr(3))?;
            memory::prepare_write(UserSlice { addr, len: VALUES_BYTES });
            Ok(call(Arg::from(addr))?)
        }
        _ => Ok(call(Arg::from(args.long(3)))?),
    }
}

fn zeroed_semid() -> libc::semid_ds {
    #[expect(unsafe_code, reason = "a C structure of zeros")]
    // SAFETY: all zeros is a valid `semid_ds`.
    unsafe {
        std::mem::zeroed()
    }
}

/// shmat(2)
fn shmat(task: &mut Task, args: &Args) -> SyscallResult {
    let (id, addr, flags) = (args.int(0), args.addr(1), args.int(2));
    // struct shmid64_ds: ipc64_perm of 48 bytes, then the size.
    let mut status = [0_u64; 14];
    host::call(
        Sysno::shmctl,
        [Arg::from(id), Arg::from(libc::IPC_STAT), Arg::writes(&mut status)],
    )?;
    Ok(task.process.memory.attach(id, status[6], addr, flags)?.0)
}

/// shmdt(2)
fn shmdt(task: &mut Task, args: &Args) -> SyscallResult {
    if args.addr(0).page_offset() != 0 {
        return Err(Errno::EINVAL.into());
    }
    task.process.memory.detach(args.addr(0))?;
    Ok(0)
}
