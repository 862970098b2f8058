//! Tells the host kernel where the guest's arguments, environment, auxiliary vector and stack are,
//! so that /proc shows them to every process: to the guest itself, to other guests' `ps`, and to
//! the host's.

use base::GuestVirt;
use syscalls::{Errno, Sysno};

use crate::host::{self, Arg, args};
use crate::process::Program;
use crate::user::UserPtr;

/// `struct prctl_mm_map` (linux/prctl.h).
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct MmMap {
    start_code: u64,
    end_code: u64,
    start_data: u64,
    end_data: u64,
    start_brk: u64,
    brk: u64,
    start_stack: u64,
    arg_start: u64,
    arg_end: u64,
    env_start: u64,
    env_end: u64,
    auxv: u64,
    auxv_size: u32,
    exe_fd: i32,
}

const PR_SET_MM: i32 = 35;
const PR_SET_MM_MAP: i32 = 14;

/// Tells the host about a program that lies in memory, about to start.
///
/// # Errors
/// `EINVAL` of hosts whose kernel is built without checkpoint and restore; others of hosts that do
/// not allow it.
pub(crate) fn announce(program: &Program) -> Result<(), Errno> {
    let stat = std::fs::read_to_string("/proc/self/stat").map_err(|_| Errno::EIO)?;
    let map = map_of(program, &stat)?;
    let call = args![PR_SET_MM, PR_SET_MM_MAP, Arg::reads(&map), size_of::<MmMap>(), 0];
    host::call(Sysno::prctl, call).map(drop)
}

/// The guest's strings, and of Ferry what the host needs for itself: its heap.
fn map_of(program: &Program, host_stat: &str) -> Result<MmMap, Errno> {
    let (_, fields) = host_stat.rsplit_once(") ").ok_or(Errno::EIO)?;
    const FIRST: usize = 3;
    let fields: Vec<u64> =
        fields.split_ascii_whitespace().map(|f| f.parse().unwrap_or(0)).collect();
    let field = |number: usize| fields.get(number - FIRST).copied().ok_or(Errno::EIO);
    // The stack starts with the number of arguments, and their strings follow each other.
    let first = UserPtr::<u64>::new(program.sp).at(1).read()?;
    let bytes = |strings: &[Vec<u8>]| strings.iter().map(|s| s.len() as u64 + 1).sum::<u64>();
    let arg_end = first + bytes(&program.argv);
    Ok(MmMap {
        start_code: field(26)?,
        end_code: field(27)?,
        start_data: field(45)?,
        end_data: field(46)?,
        start_brk: field(47)?,
        brk: host::call(Sysno::brk, args![0])?,
        start_stack: program.sp.0,
        arg_start: GuestVirt(first).0,
        arg_end,
        env_start: arg_end,
        env_end: arg_end + bytes(&program.environ),
        auxv: Arg::reads(&program.auxv[..]).raw(),
        auxv_size: program.auxv.len() as u32,
        exe_fd: -1,
    })
}
