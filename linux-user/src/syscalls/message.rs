//! Messages with several buffers and with control data: sendmsg(2) and its like.

use std::time::{Duration, Instant};

use base::GuestVirt;
use syscalls::{Errno, Sysno};

use super::iovec::{IoVec, prepare_writes, read_iovecs};
use super::row::rows;
use super::{Args, NotDone, SyscallResult, address, block};
use crate::host::{Arg, args};
use crate::memory;
use crate::plain;
use crate::task::Task;
use crate::user::{UserPtr, UserSlice};

rows! {
    sendmsg(Fd, Ptr, Hex) => sendmsg;
    recvmsg(Fd, Ptr, Hex) => recvmsg;
    sendmmsg(Fd, Ptr, Size, Hex) => sendmmsg;
    recvmmsg(Fd, Ptr, Size, Hex, Timespec) => recvmmsg;
}

plain! {
    /// `struct msghdr` of the kernel (struct user_msghdr).
    struct MessageHeader {
        name: u64,
        name_len: u32,
        pad: u32,
        vectors: u64,
        vector_count: u64,
        control: u64,
        control_len: u64,
        flags: u32,
        pad_end: u32,
    }

    /// `struct mmsghdr`.
    struct CountedHeader {
        header: MessageHeader,
        len: u32,
        pad: u32,
    }
}

/// Messages of one sendmmsg(2) or recvmmsg(2) at most, as in the kernel (`UIO_MAXIOV`).
const MESSAGES_MAX: u64 = 1024;
/// Control data at most, in bytes: the kernel's own limit (`net.core.optmem_max`) is lower.
const CONTROL_MAX: u64 = 1 << 20;

/// sendmsg(2)
fn sendmsg(task: &mut Task, args: &Args) -> SyscallResult {
    let header = args.ptr::<MessageHeader>(1).read()?;
    send(task, args.int(0), header, args.uint(2))
}

fn send(task: &Task, fd: i32, header: MessageHeader, flags: u32) -> SyscallResult {
    let vectors = message_iovecs(&header)?;
    let name = match header.name {
        0 => None,
        addr => {
            let (addr, len) = (GuestVirt(addr), header.name_len);
            Some(address::read(&task.process, addr, len, address::Use::Reach)?)
        }
    };
    let control = read_control(task, &header)?;
    let host = MessageHeader {
        name: name.as_ref().map_or(0, |name| name.arg().raw()),
        name_len: name.as_ref().map_or(0, address::Address::len),
        vectors: Arg::reads(&vectors[..]).raw(),
        control: if control.is_empty() { 0 } else { Arg::reads(&control[..]).raw() },
        control_len: control.len() as u64,
        ..header
    };
    block(task, Sysno::sendmsg, args![fd, Arg::reads(&host), flags])
}

fn message_iovecs(header: &MessageHeader) -> Result<Vec<IoVec>, Errno> {
    read_iovecs(UserPtr::new(GuestVirt(header.vectors)), header.vector_count)
        .map_err(|errno| if errno == Errno::EINVAL { Errno::EMSGSIZE } else { errno })
}

/// Control data that is sent, in which Ferry's descriptors are not there.
fn read_control(task: &Task, header: &MessageHeader) -> Result<Vec<u8>, Errno> {
    if header.control_len > CONTROL_MAX {
        return Err(Errno::ENOBUFS);
    }
    let bytes = UserSlice::new(GuestVirt(header.control), header.control_len)?.read()?;
    let own = |fd: i32| task.process.fds.is_own(fd);
    if passed_descriptors(&bytes).into_iter().any(own) { Err(Errno::EBADF) } else { Ok(bytes) }
}

/// The descriptors in `SCM_RIGHTS` messages.
fn passed_descriptors(control: &[u8]) -> Vec<i32> {
    /// `struct cmsghdr`: length, level, type.
    const HEADER: usize = 16;
    let number = |bytes: &[u8]| i32::from_ne_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
    let mut found = Vec::new();
    let mut rest = control;
    while let Some((head, body)) = rest.split_first_chunk::<HEADER>() {
        let len = head.first_chunk::<8>().map_or(0, |len| u64::from_ne_bytes(*len));
        let Some(body_len) = usize::try_from(len).ok().and_then(|len| len.checked_sub(HEADER))
        else {
            break;
        };
        if (number(&head[8..]), number(&head[12..])) == (libc::SOL_SOCKET, libc::SCM_RIGHTS) {
            let body = &body[..body_len.min(body.len())];
            found.extend(body.chunks_exact(4).map(number));
        }
        let step = HEADER.saturating_add(body_len).saturating_add(7) & !7;
        rest = rest.get(step..).unwrap_or_default();
    }
    found
}

/// recvmsg(2)
fn recvmsg(task: &mut Task, args: &Args) -> SyscallResult {
    receive(task, args.int(0), args.ptr(1), args.uint(2))
}

fn receive(task: &Task, fd: i32, at: UserPtr<MessageHeader>, flags: u32) -> SyscallResult {
    let header = at.read()?;
    let vectors = message_iovecs(&header)?;
    prepare_writes(&vectors);
    let control = UserSlice::new(GuestVirt(header.control), header.control_len)?;
    memory::prepare_write(control);
    let mut name = address::Buffer::new();
    let name_arg = name.bytes_arg();
    let mut host = MessageHeader {
        name: if header.name == 0 { 0 } else { name_arg.raw() },
        name_len: if header.name == 0 { 0 } else { 128 },
        vectors: Arg::reads(&vectors[..]).raw(),
        control: control.addr.0,
        ..header
    };
    let received = block(task, Sysno::recvmsg, args![fd, Arg::writes(&mut host), flags])?;
    let mut name_len = host.name_len;
    if header.name != 0 {
        name.set_len(host.name_len);
        let shown = name.shown_to(&task.process);
        UserSlice::new(GuestVirt(header.name), u64::from(header.name_len))?.write(&shown)?;
        name_len = shown.len() as u32;
    }
    let answer =
        MessageHeader { name_len, control_len: host.control_len, flags: host.flags, ..header };
    at.write(answer)?;
    Ok(received)
}

/// The header in the `n`th element of a list of counted ones.
fn header_at(list: UserPtr<CountedHeader>, n: u64) -> UserPtr<MessageHeader> {
    // It comes first there.
    list.at(n as usize).cast()
}

/// Writes the length of the `n`th message.
fn set_len(list: UserPtr<CountedHeader>, n: u64, len: u64) -> Result<(), Errno> {
    let after = size_of::<MessageHeader>() as u64;
    UserPtr::<u32>::new(list.at(n as usize).addr().wrapping_add(after)).write(len as u32)
}

/// What a call for several messages says: how many were done, or why not even one.
fn several(done: u64, end: Option<NotDone>) -> SyscallResult {
    match end {
        Some(error) if done == 0 => Err(error),
        _ => Ok(done),
    }
}

/// sendmmsg(2)
fn sendmmsg(task: &mut Task, args: &Args) -> SyscallResult {
    let (fd, list, flags) = (args.int(0), args.ptr::<CountedHeader>(1), args.uint(3));
    let count = u64::from(args.uint(2)).min(MESSAGES_MAX);
    for n in 0..count {
        let sent = header_at(list, n).read().map_err(NotDone::from);
        let sent = sent.and_then(|header| send(task, fd, header, flags));
        match sent.and_then(|len| Ok(set_len(list, n, len)?)) {
            Ok(()) => {}
            Err(error) => return several(n, Some(error)),
        }
    }
    Ok(count)
}

/// recvmmsg(2): as in the kernel, the timeout is looked at after each message.
fn recvmmsg(task: &mut Task, args: &Args) -> SyscallResult {
    let (fd, list) = (args.int(0), args.ptr::<CountedHeader>(1));
    let count = u64::from(args.uint(2)).min(MESSAGES_MAX);
    let wait_for_one = libc::MSG_WAITFORONE as u32;
    let mut flags = args.uint(3) & !wait_for_one;
    let timeout = args.ptr::<[i64; 2]>(4);
    let deadline = timeout.read_opt()?.map(deadline).transpose()?;
    let mut done = 0;
    let mut end = None;
    while done < count {
        let received = receive(task, fd, header_at(list, done), flags);
        if let Err(error) = received.and_then(|len| Ok(set_len(list, done, len)?)) {
            end = Some(error);
            break;
        }
        done += 1;
        if args.uint(3) & wait_for_one != 0 {
            flags |= libc::MSG_DONTWAIT as u32;
        }
        if deadline.is_some_and(|deadline| Instant::now() >= deadline) {
            break;
        }
    }
    if let Some(deadline) = deadline {
        let left = deadline.saturating_duration_since(Instant::now());
        timeout.write([left.as_secs() as i64, i64::from(left.subsec_nanos())])?;
    }
    several(done, end)
}

/// When a timeout of seconds and nanoseconds is over.
fn deadline([seconds, nanoseconds]: [i64; 2]) -> Result<Instant, Errno> {
    /// Later than any message waits.
    const CENTURY: u64 = 100 * 366 * 86_400;
    let seconds = u64::try_from(seconds).map_err(|_| Errno::EINVAL)?;
    let nanoseconds = u32::try_from(nanoseconds).map_err(|_| Errno::EINVAL)?;
    if nanoseconds >= 1_000_000_000 {
        return Err(Errno::EINVAL);
    }
    Ok(Instant::now() + Duration::new(seconds.min(CENTURY), nanoseconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn control(len: u64, level: i32, kind: i32, fds: &[i32]) -> Vec<u8> {
        let mut bytes = len.to_ne_bytes().to_vec();
        bytes.extend(level.to_ne_bytes());
        bytes.extend(kind.to_ne_bytes());
        bytes.extend(fds.iter().flat_map(|fd| fd.to_ne_bytes()));
        bytes.resize(bytes.len().next_multiple_of(8), 0);
        bytes
    }

    #[test]
    fn descriptors_in_control_data_are_found() {
        let rights = |fds: &[i32]| {
            control(16 + 4 * fds.len() as u64, libc::SOL_SOCKET, libc::SCM_RIGHTS, fds)
        };
        let other = control(20, libc::SOL_IP, libc::IP_TTL, &[9]);
        let all = [rights(&[3]), other.clone(), rights(&[4, 5, 6])].concat();
        assert_eq!(passed_descriptors(&all), [3, 4, 5, 6]);
        assert_eq!(passed_descriptors(&other), [0; 0]);
    }

    #[test]
    fn nonsense_in_control_data_ends() {
        assert_eq!(passed_descriptors(&[0; 64]), [0; 0]);
        assert_eq!(passed_descriptors(&[0xff; 64]), [0; 0]);
        let cut = control(u64::MAX, libc::SOL_SOCKET, libc::SCM_RIGHTS, &[7]);
        assert_eq!(passed_descriptors(&cut), [7, 0], "as far as there are bytes");
    }

    #[test]
    fn timeouts_are_checked() {
        assert_eq!(deadline([-1, 0]), Err(Errno::EINVAL));
        assert_eq!(deadline([0, 1_000_000_000]), Err(Errno::EINVAL));
        assert!(deadline([i64::MAX, 0]).is_ok_and(|end| end > Instant::now()));
    }
}
