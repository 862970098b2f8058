//! Names of flags and constants. All Linux guests share these values, except where noted.

use crate::host;
use crate::syscalls::{ArgKind, ioctl};

/// Constants by value.
type Names = &'static [(u64, &'static str)];

/// How a kind's value is made of its names.
enum Shape {
    /// Exactly one of them.
    One(Names),
    /// Any number of bits.
    Bits(Names),
    /// One of the first within a mask, and bits of the second.
    Mixed(u64, Names, Names),
}

macro_rules! names {
    ($($name:ident = $value:expr),* $(,)?) => { &[$(($value as u64, stringify!($name))),*] };
}

/// The value as its names, joined by `|`; what has no name in hexadecimal.
pub(super) fn format(kind: ArgKind, value: u64) -> String {
    let value = value & 0xffff_ffff;
    if kind == ArgKind::IoctlRequest {
        return ioctl::name(value as u32).map_or_else(|| format!("{value:#x}"), str::to_owned);
    }
    match shape(kind) {
        Shape::One(names) => match find(names, value) {
            Some(name) => name.to_owned(),
            None => format!("{value:#x}"),
        },
        Shape::Bits(names) => join(Vec::new(), value, names),
        Shape::Mixed(mask, one, bits) => {
            let first = find(one, value & mask)
                .map_or_else(|| format!("{:#x}", value & mask), str::to_owned);
            if kind == ArgKind::CloneFlags {
                let text = join(Vec::new(), value & !mask, bits);
                return if value & mask == 0 { text } else { format!("{text}|{first}") };
            }
            join(vec![first], value & !mask, bits)
        }
    }
}

fn find(names: Names, value: u64) -> Option<&'static str> {
    names.iter().find(|(v, _)| *v == value).map(|(_, name)| *name)
}

fn join(mut parts: Vec<String>, value: u64, names: Names) -> String {
    let mut rest = value;
    if value == 0 && parts.is_empty() {
        return find(names, 0).unwrap_or("0").to_owned();
    }
    for &(bits, name) in names {
        if bits != 0 && rest & bits == bits {
            parts.push(name.to_owned());
            rest &= !bits;
        }
    }
    if rest != 0 {
        parts.push(format!("{rest:#x}"));
    }
    parts.join("|")
}

fn shape(kind: ArgKind) -> Shape {
    match kind {
        ArgKind::OpenFlags => Shape::Mixed(3, ACCESS, OPEN),
        ArgKind::AccessMode => Shape::Bits(names![F_OK = 0, R_OK = 4, W_OK = 2, X_OK = 1]),
        ArgKind::AtFlags => Shape::Bits(AT),
        ArgKind::Whence => Shape::One(WHENCE),
        ArgKind::FcntlCmd => Shape::One(FCNTL),
        ArgKind::Prot => Shape::Bits(PROT),
        ArgKind::MmapFlags => Shape::Mixed(3, MAP_TYPE, MAP),
        ArgKind::MremapFlags => Shape::Bits(MREMAP),
        ArgKind::Advice => Shape::One(ADVICE),
        ArgKind::Signal => Shape::One(SIGNAL),
        ArgKind::SigHow => Shape::One(names![SIG_BLOCK = 0, SIG_UNBLOCK = 1, SIG_SETMASK = 2]),
        ArgKind::Clock => Shape::One(CLOCK),
        ArgKind::CloneFlags => Shape::Mixed(0xff, SIGNAL, CLONE),
        ArgKind::FutexOp => Shape::Mixed(0x7f, FUTEX, FUTEX_BITS),
        ArgKind::SocketDomain => Shape::One(DOMAIN),
        ArgKind::SocketType => Shape::Mixed(0xf, SOCK, SOCK_BITS),
        ArgKind::WaitOptions => Shape::Bits(WAIT),
        ArgKind::Resource => Shape::One(RLIMIT),
        ArgKind::PrctlOption => Shape::One(PRCTL),
        ArgKind::RandomFlags => Shape::Bits(names![GRND_NONBLOCK = 1, GRND_RANDOM = 2]),
        ArgKind::EpollOp => {
            Shape::One(names![EPOLL_CTL_ADD = 1, EPOLL_CTL_DEL = 2, EPOLL_CTL_MOD = 3])
        }
        _ => Shape::One(&[]),
    }
}

const ACCESS: Names = names![O_RDONLY = 0, O_WRONLY = 1, O_RDWR = 2];
// The host's values, which the guest's were translated to.
const OPEN: Names = names![
    O_CREAT = 0o100,
    O_EXCL = 0o200,
    O_NOCTTY = 0o400,
    O_TRUNC = 0o1000,
    O_APPEND = 0o2000,
    O_NONBLOCK = 0o4000,
    O_SYNC = 0o4010000,
    O_DSYNC = 0o10000,
    O_ASYNC = 0o20000,
    O_DIRECT = libc::O_DIRECT,
    O_LARGEFILE = host::O_LARGEFILE,
    O_TMPFILE = libc::O_TMPFILE,
    O_DIRECTORY = libc::O_DIRECTORY,
    O_NOFOLLOW = libc::O_NOFOLLOW,
    O_NOATIME = 0o1000000,
    O_CLOEXEC = 0o2000000,
    O_PATH = 0o10000000,
];
const AT: Names = names![
    AT_SYMLINK_NOFOLLOW = 0x100,
    AT_REMOVEDIR = 0x200,
    AT_SYMLINK_FOLLOW = 0x400,
    AT_NO_AUTOMOUNT = 0x800,
    AT_EMPTY_PATH = 0x1000,
    AT_STATX_FORCE_SYNC = 0x2000,
    AT_STATX_DONT_SYNC = 0x4000,
];
const WHENCE: Names =
    names![SEEK_SET = 0, SEEK_CUR = 1, SEEK_END = 2, SEEK_DATA = 3, SEEK_HOLE = 4];
const FCNTL: Names = names![
    F_DUPFD = 0,
    F_GETFD = 1,
    F_SETFD = 2,
    F_GETFL = 3,
    F_SETFL = 4,
    F_GETLK = 5,
    F_SETLK = 6,
    F_SETLKW = 7,
    F_SETOWN = 8,
    F_GETOWN = 9,
    F_SETSIG = 10,
    F_GETSIG = 11,
    F_SETOWN_EX = 15,
    F_GETOWN_EX = 16,
    F_OFD_GETLK = 36,
    F_OFD_SETLK = 37,
    F_OFD_SETLKW = 38,
    F_SETLEASE = 1024,
    F_GETLEASE = 1025,
    F_NOTIFY = 1026,
    F_DUPFD_QUERY = 1027,
    F_DUPFD_CLOEXEC = 1030,
    F_SETPIPE_SZ = 1031,
    F_GETPIPE_SZ = 1032,
    F_ADD_SEALS = 1033,
    F_GET_SEALS = 1034,
];
const PROT: Names = names![
    PROT_NONE = 0,
    PROT_READ = 1,
    PROT_WRITE = 2,
    PROT_EXEC = 4,
    PROT_BTI = 0x10,
    PROT_GROWSDOWN = 0x0100_0000,
    PROT_GROWSUP = 0x0200_0000,
];
const MAP_TYPE: Names =
    names![MAP_FILE = 0, MAP_SHARED = 1, MAP_PRIVATE = 2, MAP_SHARED_VALIDATE = 3];
const MAP: Names = names![
    MAP_FIXED = 0x10,
    MAP_ANONYMOUS = 0x20,
    MAP_GROWSDOWN = 0x100,
    MAP_DENYWRITE = 0x800,
    MAP_EXECUTABLE = 0x1000,
    MAP_LOCKED = 0x2000,
    MAP_NORESERVE = 0x4000,
    MAP_POPULATE = 0x8000,
    MAP_NONBLOCK = 0x1_0000,
    MAP_STACK = 0x2_0000,
    MAP_HUGETLB = 0x4_0000,
    MAP_SYNC = 0x8_0000,
    MAP_FIXED_NOREPLACE = 0x10_0000,
];
const MREMAP: Names = names![MREMAP_MAYMOVE = 1, MREMAP_FIXED = 2, MREMAP_DONTUNMAP = 4];
const ADVICE: Names = names![
    MADV_NORMAL = 0,
    MADV_RANDOM = 1,
    MADV_SEQUENTIAL = 2,
    MADV_WILLNEED = 3,
    MADV_DONTNEED = 4,
    MADV_FREE = 8,
    MADV_REMOVE = 9,
    MADV_DONTFORK = 10,
    MADV_DOFORK = 11,
    MADV_MERGEABLE = 12,
    MADV_UNMERGEABLE = 13,
    MADV_HUGEPAGE = 14,
    MADV_NOHUGEPAGE = 15,
    MADV_DONTDUMP = 16,
    MADV_DODUMP = 17,
    MADV_WIPEONFORK = 18,
    MADV_KEEPONFORK = 19,
    MADV_COLD = 20,
    MADV_PAGEOUT = 21,
    MADV_POPULATE_READ = 22,
    MADV_POPULATE_WRITE = 23,
    MADV_COLLAPSE = 25,
];
const SIGNAL: Names = names![
    SIGHUP = 1,
    SIGINT = 2,
    SIGQUIT = 3,
    SIGILL = 4,
    SIGTRAP = 5,
    SIGABRT = 6,
    SIGBUS = 7,
    SIGFPE = 8,
    SIGKILL = 9,
    SIGUSR1 = 10,
    SIGSEGV = 11,
    SIGUSR2 = 12,
    SIGPIPE = 13,
    SIGALRM = 14,
    SIGTERM = 15,
    SIGSTKFLT = 16,
    SIGCHLD = 17,
    SIGCONT = 18,
    SIGSTOP = 19,
    SIGTSTP = 20,
    SIGTTIN = 21,
    SIGTTOU = 22,
    SIGURG = 23,
    SIGXCPU = 24,
    SIGXFSZ = 25,
    SIGVTALRM = 26,
    SIGPROF = 27,
    SIGWINCH = 28,
    SIGIO = 29,
    SIGPWR = 30,
    SIGSYS = 31,
    SIGRTMIN = 32,
];
const CLOCK: Names = names![
    CLOCK_REALTIME = 0,
    CLOCK_MONOTONIC = 1,
    CLOCK_PROCESS_CPUTIME_ID = 2,
    CLOCK_THREAD_CPUTIME_ID = 3,
    CLOCK_MONOTONIC_RAW = 4,
    CLOCK_REALTIME_COARSE = 5,
    CLOCK_MONOTONIC_COARSE = 6,
    CLOCK_BOOTTIME = 7,
    CLOCK_REALTIME_ALARM = 8,
    CLOCK_BOOTTIME_ALARM = 9,
    CLOCK_TAI = 11,
];
const CLONE: Names = names![
    CLONE_VM = 0x100,
    CLONE_FS = 0x200,
    CLONE_FILES = 0x400,
    CLONE_SIGHAND = 0x800,
    CLONE_PIDFD = 0x1000,
    CLONE_PTRACE = 0x2000,
    CLONE_VFORK = 0x4000,
    CLONE_PARENT = 0x8000,
    CLONE_THREAD = 0x1_0000,
    CLONE_NEWNS = 0x2_0000,
    CLONE_SYSVSEM = 0x4_0000,
    CLONE_SETTLS = 0x8_0000,
    CLONE_PARENT_SETTID = 0x10_0000,
    CLONE_CHILD_CLEARTID = 0x20_0000,
    CLONE_DETACHED = 0x40_0000,
    CLONE_UNTRACED = 0x80_0000,
    CLONE_CHILD_SETTID = 0x100_0000,
    CLONE_NEWCGROUP = 0x200_0000,
    CLONE_NEWUTS = 0x400_0000,
    CLONE_NEWIPC = 0x800_0000,
    CLONE_NEWUSER = 0x1000_0000,
    CLONE_NEWPID = 0x2000_0000,
    CLONE_NEWNET = 0x4000_0000,
    CLONE_IO = 0x8000_0000,
];
const FUTEX: Names = names![
    FUTEX_WAIT = 0,
    FUTEX_WAKE = 1,
    FUTEX_FD = 2,
    FUTEX_REQUEUE = 3,
    FUTEX_CMP_REQUEUE = 4,
    FUTEX_WAKE_OP = 5,
    FUTEX_LOCK_PI = 6,
    FUTEX_UNLOCK_PI = 7,
    FUTEX_TRYLOCK_PI = 8,
    FUTEX_WAIT_BITSET = 9,
    FUTEX_WAKE_BITSET = 10,
    FUTEX_WAIT_REQUEUE_PI = 11,
    FUTEX_CMP_REQUEUE_PI = 12,
    FUTEX_LOCK_PI2 = 13,
];
const FUTEX_BITS: Names = names![FUTEX_PRIVATE_FLAG = 0x80, FUTEX_CLOCK_REALTIME = 0x100];
const DOMAIN: Names = names![
    AF_UNSPEC = 0,
    AF_UNIX = 1,
    AF_INET = 2,
    AF_INET6 = 10,
    AF_NETLINK = 16,
    AF_PACKET = 17,
    AF_ALG = 38,
    AF_VSOCK = 40,
];
const SOCK: Names = names![
    SOCK_STREAM = 1,
    SOCK_DGRAM = 2,
    SOCK_RAW = 3,
    SOCK_RDM = 4,
    SOCK_SEQPACKET = 5,
    SOCK_PACKET = 10,
];
const SOCK_BITS: Names = names![SOCK_NONBLOCK = 0o4000, SOCK_CLOEXEC = 0o2000000];
const WAIT: Names = names![
    WNOHANG = 1,
    WUNTRACED = 2,
    WEXITED = 4,
    WCONTINUED = 8,
    WNOWAIT = 0x100_0000,
    __WNOTHREAD = 0x2000_0000,
    __WALL = 0x4000_0000,
    __WCLONE = 0x8000_0000,
];
const RLIMIT: Names = names![
    RLIMIT_CPU = 0,
    RLIMIT_FSIZE = 1,
    RLIMIT_DATA = 2,
    RLIMIT_STACK = 3,
    RLIMIT_CORE = 4,
    RLIMIT_RSS = 5,
    RLIMIT_NPROC = 6,
    RLIMIT_NOFILE = 7,
    RLIMIT_MEMLOCK = 8,
    RLIMIT_AS = 9,
    RLIMIT_LOCKS = 10,
    RLIMIT_SIGPENDING = 11,
    RLIMIT_MSGQUEUE = 12,
    RLIMIT_NICE = 13,
    RLIMIT_RTPRIO = 14,
    RLIMIT_RTTIME = 15,
];
const PRCTL: Names = names![
    PR_SET_PDEATHSIG = 1,
    PR_GET_PDEATHSIG = 2,
    PR_GET_DUMPABLE = 3,
    PR_SET_DUMPABLE = 4,
    PR_GET_KEEPCAPS = 7,
    PR_SET_KEEPCAPS = 8,
    PR_SET_NAME = 15,
    PR_GET_NAME = 16,
    PR_GET_SECCOMP = 21,
    PR_SET_SECCOMP = 22,
    PR_CAPBSET_READ = 23,
    PR_CAPBSET_DROP = 24,
    PR_GET_SECUREBITS = 27,
    PR_SET_SECUREBITS = 28,
    PR_SET_TIMERSLACK = 29,
    PR_GET_TIMERSLACK = 30,
    PR_SET_MM = 35,
    PR_SET_CHILD_SUBREAPER = 36,
    PR_GET_CHILD_SUBREAPER = 37,
    PR_SET_NO_NEW_PRIVS = 38,
    PR_GET_NO_NEW_PRIVS = 39,
    PR_GET_TID_ADDRESS = 40,
    PR_SET_THP_DISABLE = 41,
    PR_GET_THP_DISABLE = 42,
    PR_CAP_AMBIENT = 47,
    PR_SVE_SET_VL = 50,
    PR_SVE_GET_VL = 51,
    PR_PAC_RESET_KEYS = 54,
    PR_SET_TAGGED_ADDR_CTRL = 55,
    PR_GET_TAGGED_ADDR_CTRL = 56,
    PR_PAC_SET_ENABLED_KEYS = 60,
    PR_PAC_GET_ENABLED_KEYS = 61,
    PR_SME_SET_VL = 63,
    PR_SME_GET_VL = 64,
    PR_SET_VMA = 0x53564d41,
    PR_SET_PTRACER = 0x5961_6d61,
    PR_RISCV_V_SET_CONTROL = 69,
    PR_RISCV_V_GET_CONTROL = 70,
    PR_RISCV_SET_ICACHE_FLUSH_CTX = 71,
];
