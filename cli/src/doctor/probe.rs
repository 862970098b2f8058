//! Checks that try it out, as kernels, containers and security modules may refuse anything.

#![expect(unsafe_code, reason = "asks the kernel for what Ferry will ask it for")]

use std::fs::File;
use std::io;
use std::os::fd::FromRawFd;
use std::ptr::null_mut;

use super::Check;

const PAGE: usize = 4096;

/// The checks.
pub(super) fn checks() -> Vec<Check> {
    vec![page_size(), low_mapping(), code_memory(), openat2(), address_space(), perf_map()]
}

fn text(result: &io::Result<()>, otherwise: &str) -> String {
    match result {
        Ok(()) => otherwise.to_owned(),
        Err(error) => format!("{otherwise}: {error}"),
    }
}

fn page_size() -> Check {
    // SAFETY: asks for a number.
    let size = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    Check::needed(
        "page size",
        size == PAGE as i64,
        format!("{size} bytes; guest and host protect memory by the same pages"),
        "run a kernel with pages of 4 KiB",
    )
}

/// Where programs lie that are not position-independent.
fn low_mapping() -> Check {
    const AT: usize = 0x1_0000;
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED_NOREPLACE;
    let result = try_map(AT as *mut libc::c_void, libc::PROT_NONE, flags, -1);
    Check::needed(
        "low memory",
        result.is_ok(),
        text(&result, "a mapping at 64 KiB, for programs that are linked there"),
        "sysctl -w vm.mmap_min_addr=65536; under SELinux allow mmap_low_allowed",
    )
}

/// Compiled code lies in shared memory that is mapped twice: to write, and to execute.
fn code_memory() -> Check {
    let access = libc::PROT_READ | libc::PROT_EXEC;
    let flags = libc::MAP_SHARED | libc::MAP_ANONYMOUS;
    let result = try_map(null_mut(), access, flags, -1);
    Check::needed(
        "code memory",
        result.is_ok(),
        text(&result, "shared memory, mapped to be executed"),
        "allow execmem under SELinux; or: ferry run --tier interp",
    )
}

/// Maps a page and unmaps it again. `flags` must not include `MAP_FIXED`.
fn try_map(at: *mut libc::c_void, access: i32, flags: i32, fd: i32) -> io::Result<()> {
    // SAFETY: replaces no mapping, as the caller does not say MAP_FIXED.
    let mapped = unsafe { libc::mmap(at, PAGE, access, flags, fd, 0) };
    if mapped == libc::MAP_FAILED {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the mapping that was just made, which nothing refers to.
    unsafe { libc::munmap(mapped, PAGE) };
    Ok(())
}

fn openat2() -> Check {
    // struct open_how: flags, mode, resolve.
    let how = [libc::O_PATH as u64 | libc::O_CLOEXEC as u64, 0, 0_u64];
    // SAFETY: name and structure are valid for the call.
    let fd = unsafe {
        libc::syscall(
            libc::SYS_openat2,
            libc::AT_FDCWD,
            c"/".as_ptr(),
            how.as_ptr(),
            size_of_val(&how),
        )
    };
    let error = io::Error::last_os_error();
    let result = if fd < 0 { Err(error) } else { Ok(()) };
    if let Ok(fd) = i32::try_from(fd)
        && fd >= 0
    {
        // SAFETY: the kernel has just made this descriptor for us.
        drop(unsafe { File::from_raw_fd(fd) });
    }
    Check::wanted(
        "openat2",
        result.is_ok(),
        text(&result, "paths below --root in one step"),
        "paths are walked step by step: use a kernel of 5.6 or later, or allow it (seccomp)",
    )
}

fn address_space() -> Check {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: `limit` is valid for the call.
    let status = unsafe { libc::getrlimit(libc::RLIMIT_AS, &mut limit) };
    let unlimited = status != 0 || limit.rlim_cur == libc::RLIM_INFINITY;
    Check::wanted(
        "address space",
        unlimited,
        match unlimited {
            true => "not limited".to_owned(),
            false => {
                format!("limited to {} MiB, which guest and ferry share", limit.rlim_cur >> 20)
            }
        },
        "ulimit -v unlimited",
    )
}

/// `perf` looks for the names of compiled code in /tmp.
fn perf_map() -> Check {
    // SAFETY: the name is a C string.
    let writable = unsafe { libc::access(c"/tmp".as_ptr(), libc::W_OK) } == 0;
    Check::wanted(
        "perf maps",
        writable,
        "/tmp can be written to, for ferry run --perf-map".to_owned(),
        "make /tmp writable; nothing else needs it",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_kernel_refuses_is_an_error() {
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED_NOREPLACE;
        let here = (&raw const flags as usize & !(PAGE - 1)) as *mut libc::c_void;
        assert!(try_map(here, libc::PROT_NONE, flags, -1).is_err());
        assert!(text(&Err(io::Error::other("no")), "thing").contains("thing: no"));
    }
}
