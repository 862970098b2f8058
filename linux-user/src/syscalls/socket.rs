//! Sockets.

use syscalls::{Errno, Sysno};

use super::row::rows;
use super::{Args, SyscallResult, address, block_raw, pass};
use crate::host::{self, Arg, args};
use crate::memory;
use crate::task::Task;
use crate::user::{UserPtr, UserSlice};

rows! {
    socket(SocketDomain, SocketType, Int) => pass;
    socketpair(SocketDomain, SocketType, Int, OutFds) => pass;
    bind(Fd, Ptr, Size) => bind, "with --root, a path that is too long on the host has another name afterwards";
    listen(Fd, Int) => pass;
    accept(Fd, Ptr, Ptr) => accept;
    accept4(Fd, Ptr, Ptr, SocketType) => accept;
    connect(Fd, Ptr, Size) => connect;
    getsockname(Fd, Ptr, Ptr) => name;
    getpeername(Fd, Ptr, Ptr) => name;
    sendto(Fd, InBuf, Size, Hex, Ptr, Size) => sendto;
    recvfrom(Fd, OutBuf, Size, Hex, Ptr, Ptr) => recvfrom;
    setsockopt(Fd, Int, Int, Ptr, Size) => setsockopt, "no options of netfilter";
    getsockopt(Fd, Int, Int, Ptr, Ptr) => getsockopt, "no TCP_ZEROCOPY_RECEIVE, no options of netfilter";
    shutdown(Fd, Int) => pass;
}

/// bind(2)
fn bind(task: &mut Task, args: &Args) -> SyscallResult {
    let address = address::read(&task.process, args.addr(1), args.uint(2), address::Use::Bind)?;
    Ok(host::call(Sysno::bind, args![args.int(0), address.arg(), address.len()])?)
}

/// connect(2)
fn connect(task: &mut Task, args: &Args) -> SyscallResult {
    let address = address::read(&task.process, args.addr(1), args.uint(2), address::Use::Reach)?;
    super::block(task, Sysno::connect, args![args.int(0), address.arg(), address.len()])
}

/// accept(2) and accept4(2)
fn accept(task: &mut Task, args: &Args) -> SyscallResult {
    with_name(task, args, 1)
}

/// getsockname(2) and getpeername(2)
fn name(task: &mut Task, args: &Args) -> SyscallResult {
    with_name(task, args, 1)
}

/// recvfrom(2)
fn recvfrom(task: &mut Task, args: &Args) -> SyscallResult {
    with_name(task, args, 4)
}

/// Calls that write an address to argument `n` and its length to argument `n + 1`. Where paths
/// have other names for the guest, so have addresses.
fn with_name(task: &mut Task, args: &Args, n: usize) -> SyscallResult {
    let number = task.current_host_number()?;
    let (to, len): (_, UserPtr<u32>) = (args.addr(n), args.ptr(n + 1));
    if to.0 == 0 || len.is_null() || task.process.fs.namespace().is_none() {
        return block_raw(task, number, args.0);
    }
    let room = len.read()?;
    let mut buffer = address::Buffer::new();
    let mut all = args.0;
    all[n] = buffer.bytes_arg().raw();
    all[n + 1] = buffer.len_arg().raw();
    let result = block_raw(task, number, all)?;
    let shown = buffer.shown_to(&task.process);
    UserSlice::new(to, u64::from(room))?.write(&shown)?;
    len.write(shown.len() as u32)?;
    Ok(result)
}

/// sendto(2)
fn sendto(task: &mut Task, args: &Args) -> SyscallResult {
    let number = task.current_host_number()?;
    let mut all = args.0;
    if all[4] == 0 {
        return block_raw(task, number, all);
    }
    let address = address::read(&task.process, args.addr(4), args.uint(5), address::Use::Reach)?;
    all[4] = address.arg().raw();
    all[5] = u64::from(address.len());
    block_raw(task, number, all)
}

/// The levels of netfilter's options, whose structures hold pointers.
fn is_netfilter(level: i32, option: i32) -> bool {
    const FIRST: i32 = 64;
    const LAST: i32 = 128;
    matches!(level, libc::SOL_IP | libc::SOL_IPV6) && (FIRST..LAST).contains(&option) && {
        // IPv6 has ordinary options among these numbers.
        level == libc::SOL_IP || option == FIRST || option == FIRST + 1
    }
}

/// setsockopt(2)
fn setsockopt(task: &mut Task, args: &Args) -> SyscallResult {
    let (level, option) = (args.int(1), args.int(2));
    if is_netfilter(level, option) {
        return Err(Errno::ENOPROTOOPT.into());
    }
    const FILTERS: [i32; 2] = [libc::SO_ATTACH_FILTER, libc::SO_ATTACH_REUSEPORT_CBPF];
    if level == libc::SOL_SOCKET && FILTERS.contains(&option) {
        return attach_filter(task, args);
    }
    UserSlice::new(args.addr(3), u64::from(args.uint(4)))?;
    pass(task, args)
}

/// `SO_ATTACH_FILTER`: `struct sock_fprog`, a count and a pointer to so many instructions.
fn attach_filter(_: &mut Task, args: &Args) -> SyscallResult {
    const INSTRUCTION_BYTES: u64 = 8;
    const PROGRAM_BYTES: u64 = 16;
    if u64::from(args.uint(4)) != PROGRAM_BYTES {
        return Err(Errno::EINVAL.into());
    }
    let [count, list] = args.ptr::<[u64; 2]>(3).read()?;
    let bytes = (count & 0xffff) * INSTRUCTION_BYTES;
    let filter = UserSlice::new(base::GuestVirt(list), bytes)?.read()?;
    let program = [count & 0xffff, Arg::reads(&filter[..]).raw()];
    let (fd, level, option) = (args.int(0), args.int(1), args.int(2));
    let all = args![fd, level, option, Arg::reads(&program), PROGRAM_BYTES];
    Ok(host::call(Sysno::setsockopt, all)?)
}

/// getsockopt(2)
fn getsockopt(task: &mut Task, args: &Args) -> SyscallResult {
    /// Receives into memory that the option's structure names.
    const TCP_ZEROCOPY_RECEIVE: i32 = 35;
    let (level, option) = (args.int(1), args.int(2));
    if is_netfilter(level, option) || (level, option) == (libc::SOL_TCP, TCP_ZEROCOPY_RECEIVE) {
        return Err(Errno::ENOPROTOOPT.into());
    }
    let len = args.ptr::<u32>(4).read()?;
    memory::prepare_write(UserSlice::new(args.addr(3), u64::from(len))?);
    pass(task, args)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ordinary_options_are_not_taken_for_netfilters() {
        assert!(is_netfilter(libc::SOL_IP, 64) && is_netfilter(libc::SOL_IPV6, 64));
        assert!(!is_netfilter(libc::SOL_IP, libc::IP_TTL));
        assert!(!is_netfilter(libc::SOL_IPV6, libc::IPV6_TCLASS));
        assert!(!is_netfilter(libc::SOL_SOCKET, 64));
    }
}
