//! The guest's memory map.

use syscalls::{Errno, Sysno};

use super::row::rows;
use super::{Args, SyscallResult};
use crate::host;
use crate::memory::vma::Prot;
use crate::memory::{MapRequest, RemapRequest};
use crate::task::Task;
use crate::user::{UserPtr, UserSlice};
use crate::window;

rows! {
    brk(Addr) => brk;
    mmap(Addr, Size, Prot, MmapFlags, Fd, Hex) => mmap, "MAP_GROWSDOWN does not grow; X-only pages can be read";
    munmap(Mapped, Size) => munmap;
    mremap(Mapped, Size, Size, MremapFlags, Addr) => mremap, "not over several mappings";
    mprotect(Mapped, Size, Prot) => mprotect, "X-only pages can be read";
    madvise(Mapped, Size, Advice) => madvise;
    msync(Mapped, Size, Hex) => windowed;
    mincore(Mapped, Size, Ptr) => windowed;
    mlock(Mapped, Size) => windowed;
    mlock2(Mapped, Size, Hex) => windowed;
    munlock(Mapped, Size) => windowed;
    mlockall(Hex) => mlockall;
    munlockall() => munlockall;
    mseal(Mapped, Size, Hex) => mseal;
    remap_file_pages(Mapped, Size, Prot, Hex, Hex) => remap_file_pages;
    process_madvise(Fd, Ptr, Size, Advice, Hex) => process_madvise, "as far as the host allows";
    process_mrelease(Fd, Hex) => pass;
    process_vm_readv(Int, Ptr, Size, Ptr, Size, Hex) => process_vm_readv;
    process_vm_writev(Int, Ptr, Size, Ptr, Size, Hex) => process_vm_writev, "not to pages of another process that it executes";
    pkey_mprotect(Mapped, Size, Prot, Int) => pkey_mprotect, "only without a key: the CPU has none";
    pkey_alloc(Hex, Hex) => pkey_alloc, "the CPU has no protection keys";
    pkey_free(Int) => pkey_free, "the CPU has no protection keys";
    map_shadow_stack(Addr, Size, Hex) => enosys, "shadow stacks are not part of this CPU";
    userfaultfd(Hex) => enosys, "its faults would be Ferry's";
    mbind(Addr, Size, Int, Ptr, Size, Hex) => enosys, "memory policy is left to the host";
    get_mempolicy(Ptr, Ptr, Size, Addr, Hex) => enosys, "memory policy is left to the host";
    set_mempolicy(Int, Ptr, Size) => enosys, "memory policy is left to the host";
    set_mempolicy_home_node(Addr, Size, Int, Hex) => enosys, "memory policy is left to the host";
    migrate_pages(Int, Size, Ptr, Ptr) => enosys, "memory policy is left to the host";
    move_pages(Int, Size, Ptr, Ptr, Ptr, Hex) => enosys, "memory policy is left to the host";
}

/// brk(2)
fn brk(task: &mut Task, args: &Args) -> SyscallResult {
    Ok(task.process.memory.set_brk(args.addr(0), task.process.bounds()).0)
}

/// The `PROT_…` bits that a mapping can have.
fn protections(task: &Task) -> u32 {
    Prot::READ | Prot::WRITE | Prot::EXEC | task.process.abi.more_protections()
}

/// mmap(2)
fn mmap(task: &mut Task, args: &Args) -> SyscallResult {
    let low = if task.process.abi.has_low_mappings() { 0 } else { libc::MAP_32BIT };
    let flags = args.int(3) & !low;
    let fd = if flags & libc::MAP_ANONYMOUS == 0 { args.int(4) } else { -1 };
    let request = MapRequest {
        addr: args.addr(0),
        len: args.long(1),
        prot: task.process.memory.implied(Prot(args.uint(2) & protections(task))),
        flags,
        fd,
        offset: args.long(5),
        name: None,
        bounds: task.process.bounds(),
    };
    Ok(task.process.memory.map(&request)?.0)
}

/// munmap(2)
fn munmap(task: &mut Task, args: &Args) -> SyscallResult {
    task.process.memory.unmap(args.addr(0), args.long(1))?;
    Ok(0)
}

/// mremap(2)
fn mremap(task: &mut Task, args: &Args) -> SyscallResult {
    let request = RemapRequest {
        old: args.addr(0),
        old_len: args.long(1),
        new_len: args.long(2),
        flags: args.int(3),
        to: args.addr(4),
        bounds: task.process.bounds(),
    };
    Ok(task.process.memory.remap(&request)?.0)
}

/// remap_file_pages(2)
fn remap_file_pages(task: &mut Task, args: &Args) -> SyscallResult {
    if args.long(2) != 0 {
        return Err(Errno::EINVAL.into());
    }
    let (addr, len, page, flags) = (args.addr(0), args.long(1), args.long(3), args.long(4));
    task.process.memory.remap_file_pages(addr, len, page, flags)?;
    Ok(0)
}

/// mprotect(2)
fn mprotect(task: &mut Task, args: &Args) -> SyscallResult {
    const GROWSDOWN: u32 = 0x0100_0000;
    let known = protections(task);
    if args.uint(2) & !(known | GROWSDOWN) != 0 {
        return Err(Errno::EINVAL.into());
    }
    let prot = task.process.memory.implied(Prot(args.uint(2) & known));
    if args.uint(2) & GROWSDOWN != 0 {
        task.process.memory.protect_stack(args.addr(0), args.long(1), prot)?;
        return Ok(0);
    }
    task.process.memory.protect_range(args.addr(0), args.long(1), prot)?;
    Ok(0)
}

/// pkey_mprotect(2): as mprotect without a key.
fn pkey_mprotect(task: &mut Task, args: &Args) -> SyscallResult {
    if args.int(3) != -1 {
        return Err(Errno::EINVAL.into());
    }
    mprotect(task, args)
}

/// pkey_alloc(2) on a CPU without keys.
fn pkey_alloc(_: &mut Task, _: &Args) -> SyscallResult {
    Err(Errno::ENOSPC.into())
}

/// pkey_free(2) on a CPU without keys.
fn pkey_free(_: &mut Task, _: &Args) -> SyscallResult {
    Err(Errno::EINVAL.into())
}

/// madvise(2)
fn madvise(task: &mut Task, args: &Args) -> SyscallResult {
    window::check_range(args.addr(0), args.long(1)).map_err(|_| Errno::ENOMEM)?;
    let (addr, len, advice) = (args.addr(0), args.long(1), args.int(2));
    Ok(task.process.memory.advise(addr, len, advice)?)
}

/// Calls that take a range of memory first and change nothing of the map: checked, then passed.
fn windowed(task: &mut Task, args: &Args) -> SyscallResult {
    window::check_range(args.addr(0), args.long(1)).map_err(|_| Errno::ENOMEM)?;
    super::pass(task, args)
}

/// mlockall(2): locks the guest's memory, not Ferry's.
fn mlockall(task: &mut Task, args: &Args) -> SyscallResult {
    Ok(task.process.memory.lock_all(args.int(0))?)
}

/// munlockall(2)
fn munlockall(task: &mut Task, _: &Args) -> SyscallResult {
    Ok(task.process.memory.unlock_all()?)
}

/// mseal(2)
fn mseal(task: &mut Task, args: &Args) -> SyscallResult {
    if args.long(2) != 0 {
        return Err(Errno::EINVAL.into());
    }
    task.process.memory.seal(args.addr(0), args.long(1))?;
    Ok(0)
}

/// Elements of an `iovec` array at most (`UIO_MAXIOV`).
const IOV_MAX: u64 = 1024;

/// process_vm_readv(2)
fn process_vm_readv(task: &mut Task, args: &Args) -> SyscallResult {
    prepare_writes(&checked_iovecs(args.ptr(1), args.long(2))?);
    process_vm(task, args)
}

/// process_vm_writev(2)
fn process_vm_writev(task: &mut Task, args: &Args) -> SyscallResult {
    let remote = checked_iovecs(args.ptr(3), args.long(4))?;
    if args.uint(0) == std::process::id() {
        prepare_writes(&remote);
    }
    process_vm(task, args)
}

fn prepare_writes(buffers: &[[u64; 2]]) {
    for &[addr, len] in buffers {
        crate::memory::prepare_write(UserSlice { addr: base::GuestVirt(addr), len });
    }
}

/// Both of them: addresses in another guest are its host's, too.
fn process_vm(task: &mut Task, args: &Args) -> SyscallResult {
    let local = checked_iovecs(args.ptr(1), args.long(2))?;
    let remote = checked_iovecs(args.ptr(3), args.long(4))?;
    let number = task.current_host_number()?;
    let pass = [
        args.long(0),
        host::Arg::reads(&local[..]).raw(),
        args.long(2),
        host::Arg::reads(&remote[..]).raw(),
        args.long(4),
        args.long(5),
    ];
    Ok(host::call_raw(number, pass)?)
}

/// process_madvise(2)
fn process_madvise(_: &mut Task, args: &Args) -> SyscallResult {
    let ranges = checked_iovecs(args.ptr(1), args.long(2))?;
    let call = [
        host::Arg::from(args.int(0)),
        host::Arg::reads(&ranges[..]),
        host::Arg::from(args.long(2)),
        host::Arg::from(args.int(3)),
        host::Arg::from(args.uint(4)),
    ];
    Ok(host::call(Sysno::process_madvise, call)?)
}

/// An array of address and length pairs, all inside the window.
fn checked_iovecs(from: UserPtr<[u64; 2]>, count: u64) -> Result<Vec<[u64; 2]>, Errno> {
    if count > IOV_MAX {
        return Err(Errno::EINVAL);
    }
    let vectors = from.read_array(count as usize)?;
    for [addr, len] in &vectors {
        window::check_range(base::GuestVirt(*addr), *len)?;
    }
    Ok(vectors)
}
