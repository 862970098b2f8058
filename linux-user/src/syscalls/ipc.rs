//! System V and POSIX interprocess communication.

use syscalls::{Errno, Sysno};

use super::row::rows;
use super::{Args, SyscallResult, pass};
use crate::host::{self, Arg};
use crate::memory;
use crate::task::Task;
use crate::user::UserSlice;
use crate::{plain, window};

rows! {
    mq_open(Str, OpenFlags, Mode, Ptr) => pass;
    mq_unlink(Str) => pass;
    mq_timedsend(Fd, InBuf, Size, Int, Timespec) => pass_blocking;
    mq_timedreceive(Fd, Ptr, Size, Ptr, Timespec) => pass_blocking;
    mq_notify(Fd, Ptr) => pass;
    mq_getsetattr(Fd, Ptr, Ptr) => pass;
    msgget(Hex, Hex) => pass;
    msgctl(Int, Int, Ptr) => pass;
    msgrcv(Int, Ptr, Size, Long, Hex) => pass_blocking;
    msgsnd(Int, Ptr, Size, Hex) => pass_blocking;
    semget(Hex, Int, Hex) => pass;
    semctl(Int, Int, Int, Hex) => semctl;
    semop(Int, Ptr, Size) => pass_blocking;
    semtimedop(Int, Ptr, Size, Timespec) => pass_blocking;
    shmget(Hex, Size, Hex) => pass;
    shmctl(Int, Int, Ptr) => pass;
    shmat(Int, Addr, Hex) => shmat;
    shmdt(Addr) => shmdt;
    add_key(Str, Str, Ptr, Size, Int) => pass;
    request_key(Str, Str, Str, Int) => pass;
    keyctl(Int, Hex, Hex, Hex, Hex) => enosys, "its arguments depend on the command";
}

const IPC_SET: i32 = 1;
const IPC_STAT: i32 = 2;
const IPC_INFO: i32 = 3;
const GETALL: i32 = 13;
const SETALL: i32 = 17;
const SEM_STAT: i32 = 18;
const SEM_INFO: i32 = 19;
const SEM_STAT_ANY: i32 = 20;
/// Semaphores of a set at most, as Linux is built (`SEMMSL`), in bytes of their values.
const SEMAPHORES_MAX: u64 = 32000 * 2;

plain! {
    /// `struct semid64_ds` of asm-generic, which every guest but x86-64 has.
    struct GenericSemid {
        perm: [u64; 6],
        otime: i64,
        ctime: i64,
        nsems: u64,
        unused: [u64; 2],
    }

    /// `struct semid64_ds` of x86-64.
    struct X86Semid {
        perm: [u64; 6],
        otime: i64,
        unused1: u64,
        ctime: i64,
        unused2: u64,
        nsems: u64,
        unused3: [u64; 2],
    }
}

/// semctl(2): what the fourth argument is depends on the command.
fn semctl(task: &mut Task, args: &Args) -> SyscallResult {
    match args.int(2) {
        IPC_STAT | SEM_STAT | SEM_STAT_ANY => sem_stat(args),
        IPC_SET => {
            let new = args.ptr::<GenericSemid>(3).read()?;
            let host = X86Semid {
                perm: new.perm,
                otime: new.otime,
                unused1: 0,
                ctime: new.ctime,
                unused2: 0,
                nsems: new.nsems,
                unused3: [0; 2],
            };
            let asked = [args.int(0), args.int(1), args.int(2)].map(Arg::from);
            Ok(host::call(Sysno::semctl, [asked[0], asked[1], asked[2], Arg::reads(&host)])?)
        }
        GETALL | SETALL | IPC_INFO | SEM_INFO => {
            window::check(args.addr(3))?;
            memory::prepare_write(UserSlice { addr: args.addr(3), len: SEMAPHORES_MAX });
            pass(task, args)
        }
        // The others take a number, or nothing.
        _ => pass(task, args),
    }
}

fn sem_stat(args: &Args) -> SyscallResult {
    let mut host = [0_u64; size_of::<X86Semid>() / 8];
    let asked = [args.int(0), args.int(1), args.int(2)].map(Arg::from);
    let done = host::call(Sysno::semctl, [asked[0], asked[1], asked[2], Arg::writes(&mut host)])?;
    let [p0, p1, p2, p3, p4, p5, otime, _, ctime, _, nsems, ..] = host;
    args.ptr(3).write(GenericSemid {
        perm: [p0, p1, p2, p3, p4, p5],
        otime: otime as i64,
        ctime: ctime as i64,
        nsems,
        unused: [0; 2],
    })?;
    Ok(done)
}

/// shmat(2)
fn shmat(task: &mut Task, args: &Args) -> SyscallResult {
    let (id, addr, flags) = (args.int(0), args.addr(1), args.int(2));
    // struct shmid64_ds: ipc64_perm of 48 bytes, then the size.
    let mut status = [0_u64; 14];
    host::call(Sysno::shmctl, [Arg::from(id), Arg::from(IPC_STAT), Arg::writes(&mut status)])?;
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
