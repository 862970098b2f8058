//! What is read and written through file descriptors.

use base::GuestVirt;
use syscalls::Sysno;

use super::fs::{host_stat, write_stat};
use super::row::rows;
use super::{Args, SyscallResult};
use crate::fs::proc::Listing;
use crate::fs::{path_of_fd, proc};
use crate::host::{self, Arg, args};
use crate::process::Process;
use crate::task::Task;
use crate::user::UserSlice;

rows! {
    read(Fd, OutBuf, Size) => pass_blocking;
    write(Fd, InBuf, Size) => pass_blocking;
    pread64(Fd, OutBuf, Size, Long) => pass_blocking;
    pwrite64(Fd, InBuf, Size, Long) => pass_blocking;
    lseek(Fd, Long, Whence) => pass;
    fsync(Fd) => pass_blocking;
    fdatasync(Fd) => pass_blocking;
    sync() => pass;
    syncfs(Fd) => pass;
    sync_file_range(Fd, Long, Long, Hex) => pass;
    ftruncate(Fd, Long) => pass;
    fallocate(Fd, Hex, Long, Long) => pass_blocking;
    fadvise64(Fd, Long, Long, Int) => pass;
    readahead(Fd, Long, Size) => pass;
    sendfile(Fd, Fd, Ptr, Size) => pass_blocking;
    splice(Fd, Ptr, Fd, Ptr, Size, Hex) => pass_blocking;
    tee(Fd, Fd, Size, Hex) => pass_blocking;
    copy_file_range(Fd, Ptr, Fd, Ptr, Size, Hex) => pass_blocking;
    memfd_create(Str, Hex) => pass;
    memfd_secret(Hex) => enosys, "secret memory cannot be read by Ferry either";
    fstat(Fd, Ptr) => fstat;
    fstatfs(Fd, Ptr) => pass;
    getdents64(Fd, Ptr, Size) => getdents64;
    fchmod(Fd, Mode) => pass;
    fchown(Fd, Int, Int) => pass;
    cachestat(Fd, Ptr, Ptr, Hex) => cachestat;
    vhangup() => pass;
}

/// fstat(2)
fn fstat(task: &mut Task, args: &Args) -> SyscallResult {
    let stat = host_stat(Arg::from(args.int(0)), Arg::from(c""), libc::AT_EMPTY_PATH)?;
    write_stat(task, args.addr(1), &stat)
}

/// cachestat(2), which has the same number on every architecture.
fn cachestat(_: &mut Task, args: &Args) -> SyscallResult {
    const CACHESTAT: u64 = 451;
    Ok(host::call_raw(CACHESTAT, args.0)?)
}

/// getdents64(2), without Ferry's descriptors and threads where they are listed.
pub(super) fn getdents64(task: &mut Task, args: &Args) -> SyscallResult {
    let (fd, addr, size) = (args.int(0), args.addr(1), args.long(2));
    let buffer = UserSlice::new(addr, size)?;
    crate::memory::prepare_write(buffer);
    loop {
        let len = host::call(Sysno::getdents64, args![fd, addr, size])?;
        if len == 0 {
            return Ok(len);
        }
        let entries = UserSlice::new(addr, len)?.read()?;
        let kept = shown_to(&task.process, fd, &entries);
        if kept.len() == entries.len() {
            return Ok(len);
        }
        if !kept.is_empty() {
            return write_entries(addr, &kept);
        }
    }
}

/// What the guest sees of the entries of a directory that is open as `fd`.
fn shown_to(process: &Process, fd: i32, entries: &[u8]) -> Vec<u8> {
    // Descriptors and threads have numbers for names.
    let mut numbers = false;
    let all = select(entries, |name| {
        numbers |= name.first().is_some_and(u8::is_ascii_digit);
        true
    });
    let listing = || path_of_fd(process, fd).and_then(|path| proc::listing(&path));
    match if numbers { listing() } else { None } {
        None => all,
        Some(Listing::Descriptors) => {
            let own = as_names(process.fds.list());
            select(entries, |name| !own.iter().any(|own| own == name))
        }
        Some(Listing::Threads) => {
            let threads = as_names(process.thread_ids());
            let is_number = |name: &[u8]| name.iter().all(u8::is_ascii_digit);
            select(entries, |name| !is_number(name) || threads.iter().any(|own| own == name))
        }
    }
}

fn as_names(numbers: Vec<i32>) -> Vec<Vec<u8>> {
    numbers.iter().map(|number| number.to_string().into_bytes()).collect()
}

fn write_entries(addr: GuestVirt, entries: &[u8]) -> SyscallResult {
    Ok(UserSlice::new(addr, entries.len() as u64)?.write(entries)? as u64)
}

/// The directory entries whose names pass.
fn select(entries: &[u8], mut passes: impl FnMut(&[u8]) -> bool) -> Vec<u8> {
    // struct linux_dirent64: inode, offset, length of the entry, type, name.
    const LENGTH: usize = 16;
    const NAME: usize = 19;
    let mut kept = Vec::with_capacity(entries.len());
    let mut rest = entries;
    while rest.len() > NAME {
        let len = usize::from(u16::from_ne_bytes([rest[LENGTH], rest[LENGTH + 1]]));
        let len = len.clamp(NAME + 1, rest.len());
        let (entry, after) = rest.split_at(len);
        let name = entry[NAME..].split(|&byte| byte == 0).next().unwrap_or_default();
        if passes(name) {
            kept.extend_from_slice(entry);
        }
        rest = after;
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(name: &str) -> Vec<u8> {
        let len = (19 + name.len() + 1).next_multiple_of(8);
        let mut bytes = vec![0; len];
        bytes[16..18].copy_from_slice(&(len as u16).to_ne_bytes());
        bytes[19..19 + name.len()].copy_from_slice(name.as_bytes());
        bytes
    }

    #[test]
    fn entries_are_selected_by_name() {
        let all = [entry("."), entry("0"), entry("1023"), entry("10234")].concat();
        let kept = select(&all, |name| name != b"1023");
        assert_eq!(kept, [entry("."), entry("0"), entry("10234")].concat());
        assert_eq!(select(&all, |_| true), all);
        assert_eq!(select(&[0; 64], |_| true).len(), 64 / 20 * 20, "entries without a length end");
    }
}
