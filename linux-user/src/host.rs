//! The host's system calls, made directly: no `errno` variable, and arguments that say what they
//! are.

#![expect(unsafe_code, reason = "system calls")]

use std::ffi::CStr;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};

use syscalls::{Errno, Sysno};

use crate::user::{UserPtr, UserSlice};

/// `O_LARGEFILE` as the kernel has it: in the C library of a 64-bit host it is nothing.
#[cfg(target_arch = "aarch64")]
pub(crate) const O_LARGEFILE: i32 = 0o40_0000;
/// `O_LARGEFILE` as the kernel has it: in the C library of a 64-bit host it is nothing.
#[cfg(not(target_arch = "aarch64"))]
pub(crate) const O_LARGEFILE: i32 = 0o10_0000;

/// An argument of a host system call: a number, a guest pointer, or something of Ferry's that is
/// borrowed for the call. Ferry's own addresses come only from the borrows below.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Arg(u64);

impl Arg {
    /// Something that the kernel reads. Its size is what this system call expects.
    pub(crate) fn reads<T: ?Sized>(value: &T) -> Self {
        Self((&raw const *value).cast::<u8>() as u64)
    }

    /// Something that the kernel writes. Its size is what this system call expects.
    pub(crate) fn writes<T: ?Sized>(value: &mut T) -> Self {
        Self((&raw mut *value).cast::<u8>() as u64)
    }

    /// As the kernel gets it.
    pub(crate) fn raw(self) -> u64 {
        self.0
    }
}

macro_rules! from_numbers {
    ($($type:ty)*) => {$(
        impl From<$type> for Arg {
            fn from(value: $type) -> Self {
                Self(value as u64)
            }
        }
    )*};
}
// Signed ones are sign-extended, as C does for a `long` parameter.
from_numbers!(i32 i64 u32 u64 usize);

impl<T> From<UserPtr<T>> for Arg {
    fn from(pointer: UserPtr<T>) -> Self {
        Self(pointer.addr().0)
    }
}

impl From<base::GuestVirt> for Arg {
    fn from(addr: base::GuestVirt) -> Self {
        Self(addr.0)
    }
}

impl From<UserSlice> for Arg {
    fn from(slice: UserSlice) -> Self {
        Self(slice.addr.0)
    }
}

impl From<&CStr> for Arg {
    fn from(string: &CStr) -> Self {
        Self(string.as_ptr() as u64)
    }
}

impl From<BorrowedFd<'_>> for Arg {
    fn from(fd: BorrowedFd<'_>) -> Self {
        fd.as_raw_fd().into()
    }
}

impl From<&OwnedFd> for Arg {
    fn from(fd: &OwnedFd) -> Self {
        fd.as_raw_fd().into()
    }
}

/// Converts each argument of a host system call: `args![fd, buffer, 4096_u64]`.
macro_rules! args {
    ($($arg:expr),* $(,)?) => { [$($crate::host::Arg::from($arg)),*] };
}
pub(crate) use args;

/// Makes a host system call that does not block for long.
///
/// # Errors
/// What the kernel says.
pub(crate) fn call<const N: usize>(number: Sysno, args: [Arg; N]) -> Result<u64, Errno> {
    call_raw(number as u64, widen(args))
}

/// As [`call`], with the number and all six arguments as the kernel gets them.
///
/// # Errors
/// What the kernel says.
pub(crate) fn call_raw(number: u64, args: [u64; 6]) -> Result<u64, Errno> {
    let [a, b, c, d, e, f] = args.map(|arg| arg as usize);
    // SAFETY: arguments are numbers, guest addresses below the end of the window (where the kernel
    // can touch guest memory only), or borrowed from live values of the size that the call expects.
    let result = unsafe { syscalls::raw::syscall6(number as usize, a, b, c, d, e, f) };
    Errno::from_ret(result).map(|value| value as u64)
}

/// Six argument registers, zero where there are fewer arguments.
pub(crate) fn widen<const N: usize>(args: [Arg; N]) -> [u64; 6] {
    let mut wide = [0; 6];
    for (register, arg) in wide.iter_mut().zip(args) {
        *register = arg.raw();
    }
    wide
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_and_errors_come_back() {
        assert_eq!(call(Sysno::getpid, []), Ok(u64::from(std::process::id())));
        assert_eq!(call(Sysno::close, args![-1_i32]), Err(Errno::EBADF));
        let mut pipe = [0_i32; 2];
        call(Sysno::pipe2, [Arg::writes(&mut pipe), Arg::from(libc::O_CLOEXEC)]).unwrap();
        call(Sysno::close, args![pipe[0]]).unwrap();
        call(Sysno::close, args![pipe[1]]).unwrap();
    }
}
