//! The declaration of one system call.

use base::GuestVirt;

use super::Handler;
use crate::user::UserPtr;

/// The six argument registers of a system call.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Args(pub(crate) [u64; 6]);

impl Args {
    /// Argument `n` as it is.
    pub(crate) fn long(&self, n: usize) -> u64 {
        self.0[n]
    }

    /// Argument `n` as an `int`.
    pub(crate) fn int(&self, n: usize) -> i32 {
        self.0[n] as i32
    }

    /// Argument `n` as an `unsigned int`, which flags are.
    pub(crate) fn uint(&self, n: usize) -> u32 {
        self.0[n] as u32
    }

    /// Argument `n` as an address.
    pub(crate) fn addr(&self, n: usize) -> GuestVirt {
        GuestVirt(self.0[n])
    }

    /// Argument `n` as a pointer.
    pub(crate) fn ptr<T>(&self, n: usize) -> UserPtr<T> {
        UserPtr::new(self.addr(n))
    }
}

/// What an argument is: how `--strace` prints it and what dispatch checks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum ArgKind {
    /// A number, printed signed.
    Int,
    /// A 64-bit number, printed signed (offsets).
    Long,
    /// A size or count, printed unsigned.
    Size,
    /// Printed in hexadecimal.
    Hex,
    /// An address that is not followed by the kernel (mmap hints): printed in hexadecimal.
    Addr,
    /// The address of mapped memory, which may always have a tag where the CPU ignores it: as `Addr`.
    Mapped,
    /// A pointer to something that is printed as an address.
    Ptr,
    /// A file descriptor.
    Fd,
    /// A file descriptor or `AT_FDCWD`.
    DirFd,
    /// A path.
    Path,
    /// A string that is not a path.
    Str,
    /// A null-terminated array of strings.
    StrArray,
    /// Bytes that the call reads; their number is the next argument.
    InBuf,
    /// Bytes that the call writes; their number is its result.
    OutBuf,
    /// A pair of file descriptors that the call writes.
    OutFds,
    /// File permissions, in octal.
    Mode,
    /// `open` flags.
    OpenFlags,
    /// `access` mode.
    AccessMode,
    /// `AT_…` flags.
    AtFlags,
    /// `SEEK_…`
    Whence,
    /// `F_…` command.
    FcntlCmd,
    /// `ioctl` request.
    IoctlRequest,
    /// `PROT_…`
    Prot,
    /// `MAP_…`
    MmapFlags,
    /// `MREMAP_…`
    MremapFlags,
    /// `MADV_…`
    Advice,
    /// A signal number.
    Signal,
    /// `SIG_BLOCK` and its like.
    SigHow,
    /// `CLOCK_…`
    Clock,
    /// A pointer to seconds and nanoseconds that the call reads.
    Timespec,
    /// `CLONE_…`
    CloneFlags,
    /// Futex operation.
    FutexOp,
    /// Address family.
    SocketDomain,
    /// Socket type.
    SocketType,
    /// `W…` options.
    WaitOptions,
    /// `RLIMIT_…`
    Resource,
    /// `PR_…`
    PrctlOption,
    /// `GRND_…`
    RandomFlags,
    /// `EPOLL_CTL_…`
    EpollOp,
}

impl ArgKind {
    /// Whether the kernel follows it as an address.
    pub(crate) fn is_pointer(self) -> bool {
        matches!(
            self,
            Self::Ptr
                | Self::Path
                | Self::Str
                | Self::StrArray
                | Self::InBuf
                | Self::OutBuf
                | Self::OutFds
                | Self::Timespec
        )
    }

    /// Whether it is a file descriptor.
    pub(crate) fn is_fd(self) -> bool {
        matches!(self, Self::Fd | Self::DirFd)
    }
}

/// How well a system call is supported.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Support {
    /// As the manual says.
    Full,
    /// With what is missing.
    Partial(&'static str),
    /// Answered with `ENOSYS`, and why.
    Enosys(&'static str),
}

/// What answers a system call.
#[derive(Clone, Copy)]
pub(crate) enum Action {
    /// A function of ours.
    Handle(Handler),
    /// The host's call of the same name, whose arguments are numbers and guest memory of the same
    /// layout everywhere.
    Pass,
    /// As [`Action::Pass`], and it may block.
    PassBlocking,
    /// `ENOSYS`.
    Enosys,
}

/// One system call.
pub(crate) struct Row {
    /// The kernel's name.
    pub(crate) name: &'static str,
    /// The kinds of its arguments, as many as it has.
    pub(crate) args: &'static [ArgKind],
    /// How well it is supported.
    pub(crate) support: Support,
    /// What answers it.
    pub(crate) action: Action,
}

/// Declares the rows of a family:
///
/// ```text
/// name(Kind, Kind, …) => handler;               all of it
/// name(Kind, Kind, …) => handler, "missing …";  partly
/// name(Kind, Kind, …) => pass;                  the host's call of that name
/// name(Kind, Kind, …) => pass_blocking;         as above, may block
/// name(Kind, Kind, …) => enosys, "why";         ENOSYS
/// ```
macro_rules! rows {
    ($($name:ident($($arg:ident),*) => $action:ident $(, $note:literal)?;)*) => {
        /// The rows of this family.
        pub(crate) static ROWS: &[crate::syscalls::Row] = &[$(crate::syscalls::Row {
            name: stringify!($name),
            args: &[$(crate::syscalls::ArgKind::$arg),*],
            support: crate::syscalls::row::rows!(@support $action $($note)?),
            action: crate::syscalls::row::rows!(@action $action),
        }),*];
    };
    (@support enosys $note:literal) => { crate::syscalls::Support::Enosys($note) };
    (@support $action:ident $note:literal) => { crate::syscalls::Support::Partial($note) };
    (@support $action:ident) => { crate::syscalls::Support::Full };
    (@action pass) => { crate::syscalls::Action::Pass };
    (@action pass_blocking) => { crate::syscalls::Action::PassBlocking };
    (@action enosys) => { crate::syscalls::Action::Enosys };
    (@action $handler:ident) => { crate::syscalls::Action::Handle($handler) };
}
pub(crate) use rows;
