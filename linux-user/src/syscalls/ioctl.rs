//! ioctl(2): the requests that are known, and what their argument is.
//!
//! Request numbers and structures are equal on all architectures of `asm-generic`, and a guest
//! address is the host's, so a known request is passed on. An unknown one is refused: its structure
//! might hold pointers that nobody has checked.

use std::sync::atomic::{AtomicU32, Ordering};

use base::GuestVirt;
use syscalls::{Errno, Sysno};

use super::row::rows;
use super::{Args, SyscallResult, block};
use crate::host::args;
use crate::memory;
use crate::task::Task;
use crate::user::{UserPtr, UserSlice};
use crate::window;

rows! {
    ioctl(Fd, IoctlRequest, Hex) => ioctl, "requests of terminals, files, pipes, sockets, block devices and namespaces";
}

/// What the third argument of a request is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Argument {
    /// Nothing, or a number.
    Number,
    /// A descriptor.
    Descriptor,
    /// `O_…` flags.
    OpenFlags,
    /// A structure without pointers, of this many bytes.
    Structure(u64),
    /// `struct file_clone_range`, which starts with a descriptor.
    CloneRange,
    /// `struct ifconf`: a length and a pointer to that many bytes.
    InterfaceList,
}

use Argument::{CloneRange, Descriptor, InterfaceList, Number, OpenFlags, Structure};

/// The kernel's `struct termios`.
const TERMIOS: Argument = Structure(36);
/// `struct termios2`.
const TERMIOS2: Argument = Structure(44);
const WINSIZE: Argument = Structure(8);
const INT: Argument = Structure(4);
const LONG: Argument = Structure(8);
/// `struct ifreq`, whose union holds a pointer in requests that are not listed.
const IFREQ: Argument = Structure(40);

macro_rules! requests {
    ($($name:ident = $number:literal: $argument:expr;)*) => {
        &[$(($number, stringify!($name), $argument)),*]
    };
}

/// Requests by kind of file, then by number.
const REQUESTS: &[(u32, &str, Argument)] = requests! {
    // Terminals (asm-generic/ioctls.h).
    TCGETS = 0x5401: TERMIOS;
    TCSETS = 0x5402: TERMIOS;
    TCSETSW = 0x5403: TERMIOS;
    TCSETSF = 0x5404: TERMIOS;
    TCGETA = 0x5405: Structure(18);
    TCSETA = 0x5406: Structure(18);
    TCSETAW = 0x5407: Structure(18);
    TCSETAF = 0x5408: Structure(18);
    TCSBRK = 0x5409: Number;
    TCXONC = 0x540a: Number;
    TCFLSH = 0x540b: Number;
    TIOCEXCL = 0x540c: Number;
    TIOCNXCL = 0x540d: Number;
    TIOCSCTTY = 0x540e: Number;
    TIOCGPGRP = 0x540f: INT;
    TIOCSPGRP = 0x5410: INT;
    TIOCOUTQ = 0x5411: INT;
    TIOCSTI = 0x5412: Structure(1);
    TIOCGWINSZ = 0x5413: WINSIZE;
    TIOCSWINSZ = 0x5414: WINSIZE;
    TIOCMGET = 0x5415: INT;
    TIOCMBIS = 0x5416: INT;
    TIOCMBIC = 0x5417: INT;
    TIOCMSET = 0x5418: INT;
    TIOCGSOFTCAR = 0x5419: INT;
    TIOCSSOFTCAR = 0x541a: INT;
    FIONREAD = 0x541b: INT;
    TIOCCONS = 0x541d: Number;
    TIOCPKT = 0x5420: INT;
    FIONBIO = 0x5421: INT;
    TIOCNOTTY = 0x5422: Number;
    TIOCSETD = 0x5423: INT;
    TIOCGETD = 0x5424: INT;
    TCSBRKP = 0x5425: Number;
    TIOCSBRK = 0x5427: Number;
    TIOCCBRK = 0x5428: Number;
    TIOCGSID = 0x5429: INT;
    TCGETS2 = 0x802c_542a: TERMIOS2;
    TCSETS2 = 0x402c_542b: TERMIOS2;
    TCSETSW2 = 0x402c_542c: TERMIOS2;
    TCSETSF2 = 0x402c_542d: TERMIOS2;
    TIOCGPTN = 0x8004_5430: INT;
    TIOCSPTLCK = 0x4004_5431: INT;
    TIOCGDEV = 0x8004_5432: INT;
    TIOCVHANGUP = 0x5437: Number;
    TIOCGPKT = 0x8004_5438: INT;
    TIOCGPTLCK = 0x8004_5439: INT;
    TIOCGEXCL = 0x8004_5440: INT;
    TIOCGPTPEER = 0x5441: OpenFlags;
    TIOCGLCKTRMIOS = 0x5456: TERMIOS;
    TIOCSLCKTRMIOS = 0x5457: TERMIOS;
    TIOCSERGETLSR = 0x5459: INT;
    TIOCMIWAIT = 0x545c: Number;
    TIOCGICOUNT = 0x545d: Structure(80);
    // Consoles (linux/kd.h, linux/vt.h).
    KDGKBTYPE = 0x4b33: Structure(1);
    KDGETMODE = 0x4b3b: INT;
    KDSETMODE = 0x4b3a: Number;
    KDGKBMODE = 0x4b44: INT;
    KDSKBMODE = 0x4b45: Number;
    VT_GETSTATE = 0x5603: Structure(6);
    VT_ACTIVATE = 0x5606: Number;
    VT_WAITACTIVE = 0x5607: Number;
    // Every descriptor.
    FIONCLEX = 0x5450: Number;
    FIOCLEX = 0x5451: Number;
    FIOASYNC = 0x5452: INT;
    FIOQSIZE = 0x5460: LONG;
    // Files (linux/fs.h, linux/fiemap.h, linux/fsverity.h).
    FIBMAP = 0x1: INT;
    FIGETBSZ = 0x2: INT;
    FS_IOC_GETFLAGS = 0x8008_6601: LONG;
    FS_IOC_SETFLAGS = 0x4008_6602: LONG;
    FS_IOC_GETVERSION = 0x8008_7601: LONG;
    FS_IOC_SETVERSION = 0x4008_7602: LONG;
    FS_IOC_FIEMAP = 0xc020_660b: Structure(4096);
    FS_IOC_FSGETXATTR = 0x801c_581f: Structure(28);
    FS_IOC_FSSETXATTR = 0x401c_5820: Structure(28);
    FS_IOC_GETFSLABEL = 0x8100_9431: Structure(256);
    FS_IOC_SETFSLABEL = 0x4100_9432: Structure(256);
    FS_IOC_GETFSUUID = 0x8011_1500: Structure(17);
    FIFREEZE = 0xc004_5877: INT;
    FITHAW = 0xc004_5878: INT;
    FITRIM = 0xc018_5879: Structure(24);
    FICLONE = 0x4004_9409: Descriptor;
    FICLONERANGE = 0x4020_940d: CloneRange;
    // Block devices (linux/fs.h).
    BLKROSET = 0x125d: INT;
    BLKROGET = 0x125e: INT;
    BLKRRPART = 0x125f: Number;
    BLKGETSIZE = 0x1260: LONG;
    BLKFLSBUF = 0x1261: Number;
    BLKRASET = 0x1262: Number;
    BLKRAGET = 0x1263: LONG;
    BLKFRASET = 0x1264: Number;
    BLKFRAGET = 0x1265: LONG;
    BLKSECTGET = 0x1267: Structure(2);
    BLKSSZGET = 0x1268: INT;
    BLKBSZGET = 0x8008_1270: INT;
    BLKBSZSET = 0x4008_1271: INT;
    BLKGETSIZE64 = 0x8008_1272: LONG;
    BLKDISCARD = 0x1277: Structure(16);
    BLKIOMIN = 0x1278: INT;
    BLKIOOPT = 0x1279: INT;
    BLKALIGNOFF = 0x127a: INT;
    BLKPBSZGET = 0x127b: INT;
    BLKDISCARDZEROES = 0x127c: INT;
    BLKSECDISCARD = 0x127d: Structure(16);
    BLKROTATIONAL = 0x127e: Structure(2);
    BLKZEROOUT = 0x127f: Structure(16);
    BLKGETDISKSEQ = 0x8008_1280: LONG;
    // Random numbers (linux/random.h).
    RNDGETENTCNT = 0x8004_5200: INT;
    // Sockets (linux/sockios.h).
    FIOSETOWN = 0x8901: INT;
    SIOCSPGRP = 0x8902: INT;
    FIOGETOWN = 0x8903: INT;
    SIOCGPGRP = 0x8904: INT;
    SIOCATMARK = 0x8905: INT;
    SIOCGSTAMP = 0x8906: Structure(16);
    SIOCGSTAMPNS = 0x8907: Structure(16);
    SIOCGSTAMP_NEW = 0x8010_8906: Structure(16);
    SIOCGSTAMPNS_NEW = 0x8010_8907: Structure(16);
    SIOCGIFNAME = 0x8910: IFREQ;
    SIOCGIFCONF = 0x8912: InterfaceList;
    SIOCGIFFLAGS = 0x8913: IFREQ;
    SIOCSIFFLAGS = 0x8914: IFREQ;
    SIOCGIFADDR = 0x8915: IFREQ;
    SIOCSIFADDR = 0x8916: IFREQ;
    SIOCGIFDSTADDR = 0x8917: IFREQ;
    SIOCGIFBRDADDR = 0x8919: IFREQ;
    SIOCSIFBRDADDR = 0x891a: IFREQ;
    SIOCGIFNETMASK = 0x891b: IFREQ;
    SIOCSIFNETMASK = 0x891c: IFREQ;
    SIOCGIFMETRIC = 0x891d: IFREQ;
    SIOCGIFMTU = 0x8921: IFREQ;
    SIOCSIFMTU = 0x8922: IFREQ;
    SIOCSIFNAME = 0x8923: IFREQ;
    SIOCGIFHWADDR = 0x8927: IFREQ;
    SIOCADDMULTI = 0x8931: IFREQ;
    SIOCDELMULTI = 0x8932: IFREQ;
    SIOCGIFINDEX = 0x8933: IFREQ;
    SIOCGIFCOUNT = 0x8938: IFREQ;
    SIOCGIFTXQLEN = 0x8942: IFREQ;
    // Tunnels (linux/if_tun.h).
    TUNSETIFF = 0x4004_54ca: IFREQ;
    TUNSETPERSIST = 0x4004_54cb: Number;
    TUNSETOWNER = 0x4004_54cc: Number;
    TUNGETFEATURES = 0x8004_54cf: INT;
    TUNSETOFFLOAD = 0x4004_54d0: Number;
    TUNGETIFF = 0x8004_54d2: IFREQ;
    // Namespaces and processes (linux/nsfs.h, linux/pidfd.h).
    NS_GET_USERNS = 0xb701: Number;
    NS_GET_PARENT = 0xb702: Number;
    NS_GET_NSTYPE = 0xb703: Number;
    NS_GET_OWNER_UID = 0xb704: INT;
};

/// The name of a request, for `--strace`.
pub(crate) fn name(request: u32) -> Option<&'static str> {
    REQUESTS.iter().find(|(number, ..)| *number == request).map(|(_, name, _)| *name)
}

/// ioctl(2)
fn ioctl(task: &mut Task, args: &Args) -> SyscallResult {
    let (fd, request, value) = (args.int(0), args.uint(1), args.long(2));
    let found = REQUESTS.iter().find(|(number, ..)| *number == request);
    let Some(&(_, _, argument)) = found else {
        report_once(request);
        return Err(Errno::ENOTTY.into());
    };
    let value = checked(task, argument, value)?;
    block(task, Sysno::ioctl, args![fd, request, value])
}

/// The argument as the host may get it.
fn checked(task: &Task, argument: Argument, value: u64) -> Result<u64, Errno> {
    let addr = window::untagged(GuestVirt(value));
    let fd_is_own = |fd: i32| task.process.fds.is_own(fd);
    match argument {
        Number => return Ok(value),
        Descriptor if fd_is_own(value as i32) => return Err(Errno::EBADF),
        Descriptor => return Ok(value),
        OpenFlags => return Ok(task.process.abi.open_flags_to_host(value as i32) as u64),
        Structure(len) => {
            // Only where it starts: the kernel itself finds what runs past the window's end.
            window::check(addr)?;
            memory::prepare_write(UserSlice { addr, len });
        }
        CloneRange => {
            let source = UserPtr::<i64>::new(addr).read()?;
            if i32::try_from(source).is_ok_and(fd_is_own) {
                return Err(Errno::EBADF);
            }
        }
        InterfaceList => {
            let [len, list] = UserPtr::<[u64; 2]>::new(addr).read()?;
            memory::prepare_write(UserSlice { addr, len: 16 });
            memory::prepare_write(UserSlice::new(GuestVirt(list), len & 0xffff_ffff)?);
        }
    }
    Ok(addr.0)
}

/// Says once that a request is not known.
fn report_once(request: u32) {
    const REMEMBERED: usize = 32;
    static SEEN: [AtomicU32; REMEMBERED] = [const { AtomicU32::new(0) }; REMEMBERED];
    for seen in &SEEN {
        match seen.compare_exchange(0, request, Ordering::Relaxed, Ordering::Relaxed) {
            Ok(_) => {
                tracing::warn!("ioctl request {request:#x} is not known; the guest gets ENOTTY");
                return;
            }
            Err(known) if known == request => return,
            Err(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn numbers_that_say_a_size_say_the_right_one() {
        for (number, name, argument) in REQUESTS {
            let encoded = u64::from(number >> 16 & 0x3fff);
            // Encodings that are known to be wrong, or of what a pointer points to.
            let odd = ["FS_IOC_FIEMAP", "TUNSETIFF", "TUNGETIFF", "BLKBSZGET", "BLKBSZSET"];
            if let Structure(len) = argument
                && encoded != 0
                && !odd.contains(name)
            {
                assert_eq!(*len, encoded, "{name}");
            }
        }
    }

    #[test]
    fn every_request_is_there_once() {
        let mut seen = HashSet::new();
        for (number, name, _) in REQUESTS {
            assert!(seen.insert(number), "{name}");
        }
        assert_eq!(name(0x5413), Some("TIOCGWINSZ"));
        assert_eq!(name(0xdead), None);
    }
}
