//! The vsyscall page (`arch/x86/entry/vsyscall/vsyscall_64.c`): three calls at fixed addresses, far beyond a program's
//! own. It can be called and not read.

use base::sys::clock;
use base::{CpuFrame, GuestVirt};
use runtime::{Exit, FetchFault};
use syscalls::{Errno, Sysno};

use super::{RAX, RDI, RSI, RSP};
use crate::host::{self, Arg, args};
use crate::user::UserPtr;

/// How /proc shows it.
pub(super) const MAPPING: &str =
    "ffffffffff600000-ffffffffff601000 --xp 00000000 00:00 0                  [vsyscall]\n";

const GETTIMEOFDAY: GuestVirt = GuestVirt(0xffff_ffff_ff60_0000);
const TIME: GuestVirt = GuestVirt(0xffff_ffff_ff60_0400);
const GETCPU: GuestVirt = GuestVirt(0xffff_ffff_ff60_0800);

/// Does what the page's code would and returns from it, if the CPU has come there. Whether it has.
pub(super) fn retry(frame: &mut CpuFrame, fault: &Exit) -> bool {
    let Exit::FetchFault(FetchFault { addr, .. }) = *fault else { return false };
    if addr.0 != frame.pc || !matches!(addr, GETTIMEOFDAY | TIME | GETCPU) {
        return false;
    }
    let Ok(caller) = UserPtr::<u64>::new(GuestVirt(frame.get(RSP))).read() else { return false };
    // A bad pointer faults as one that the page's own code followed.
    let Ok(result) = call(frame, addr) else { return false };
    frame.set(RAX, result);
    frame.set(RSP, frame.get(RSP).wrapping_add(8));
    frame.pc = caller;
    true
}

fn call(frame: &CpuFrame, function: GuestVirt) -> Result<u64, Errno> {
    let pointer = |slot| UserPtr::<u64>::new(GuestVirt(frame.get(slot)));
    let (first, second) = (pointer(RDI), pointer(RSI));
    match function {
        GETTIMEOFDAY => {
            let (seconds, nanoseconds) = now(libc::CLOCK_REALTIME)?;
            first.cast::<[i64; 2]>().write_opt([seconds, nanoseconds / 1000])?;
            second.cast::<[i32; 2]>().write_opt([0; 2])?;
            Ok(0)
        }
        TIME => {
            let (seconds, _) = now(libc::CLOCK_REALTIME_COARSE)?;
            first.cast().write_opt(seconds)?;
            Ok(seconds as u64)
        }
        _ => {
            let (mut cpu, mut node) = (0_u32, 0_u32);
            host::call(Sysno::getcpu, args![Arg::writes(&mut cpu), Arg::writes(&mut node), 0])?;
            first.cast().write_opt(cpu)?;
            second.cast().write_opt(node)?;
            Ok(0)
        }
    }
}

fn now(clock: i32) -> Result<(i64, i64), Errno> {
    clock::now(clock).ok_or(Errno::EINVAL)
}
