//! The system and what a process may ask of it: identity, limits, scheduling, randomness.

use syscalls::{Errno, Sysno};

use super::row::rows;
use super::{Args, SyscallResult, pass};
use crate::host::{self, Arg};
use crate::task::Task;
use crate::user::{UserPtr, UserSlice};
use crate::window;

rows! {
    uname(Ptr) => uname;
    sysinfo(Ptr) => pass;
    getrandom(OutBuf, Size, RandomFlags) => pass_blocking;
    getcpu(Ptr, Ptr, Ptr) => pass;
    getuid() => pass;
    geteuid() => pass;
    getgid() => pass;
    getegid() => pass;
    setuid(Int) => pass;
    setgid(Int) => pass;
    setreuid(Int, Int) => pass;
    setregid(Int, Int) => pass;
    setresuid(Int, Int, Int) => pass;
    setresgid(Int, Int, Int) => pass;
    getresuid(Ptr, Ptr, Ptr) => pass;
    getresgid(Ptr, Ptr, Ptr) => pass;
    setfsuid(Int) => pass;
    setfsgid(Int) => pass;
    getgroups(Int, Ptr) => pass;
    setgroups(Int, Ptr) => pass;
    capget(Ptr, Ptr) => pass;
    capset(Ptr, Ptr) => pass;
    prctl(PrctlOption, Hex, Hex, Hex, Hex) => prctl, "not PR_SET_MM and seccomp; pointer authentication cannot be switched off";
    personality(Hex) => personality, "only flags that concern the guest alone; READ_IMPLIES_EXEC is the whole process's";
    getrlimit(Resource, Ptr) => getrlimit;
    setrlimit(Resource, Ptr) => setrlimit, "a smaller stack counts after the next execve";
    prlimit64(Int, Resource, Ptr, Ptr) => prlimit64, "a smaller stack counts after the next execve";
    getrusage(Int, Ptr) => pass;
    sched_yield() => pass;
    sched_getaffinity(Int, Size, Ptr) => pass;
    sched_setaffinity(Int, Size, Ptr) => pass;
    sched_getparam(Int, Ptr) => pass;
    sched_setparam(Int, Ptr) => pass;
    sched_getscheduler(Int) => pass;
    sched_setscheduler(Int, Int, Ptr) => pass;
    sched_getattr(Int, Ptr, Size, Hex) => pass;
    sched_setattr(Int, Ptr, Hex) => pass;
    sched_get_priority_max(Int) => pass;
    sched_get_priority_min(Int) => pass;
    sched_rr_get_interval(Int, Ptr) => pass;
    sethostname(Str, Size) => pass;
    setdomainname(Str, Size) => pass;
    syslog(Int, Ptr, Int) => pass;
    membarrier(Int, Hex, Int) => pass;
    riscv_hwprobe(Ptr, Size, Size, Ptr, Hex) => riscv_hwprobe;
    riscv_flush_icache(Addr, Addr, Hex) => riscv_flush_icache;
    seccomp(Int, Hex, Ptr) => enosys, "its filters would see the host's calls, not the guest's";
    bpf(Int, Ptr, Size) => enosys, "kernel programs are left to the host";
    perf_event_open(Ptr, Int, Int, Int, Hex) => enosys, "it would count the host's events";
    reboot(Hex, Hex, Hex, Ptr) => enosys, "left to the host";
    kexec_load(Hex, Size, Ptr, Hex) => enosys, "left to the host";
    kexec_file_load(Fd, Fd, Size, Str, Hex) => enosys, "left to the host";
    init_module(Ptr, Size, Str) => enosys, "modules are for the host's architecture";
    finit_module(Fd, Str, Hex) => enosys, "modules are for the host's architecture";
    delete_module(Str, Hex) => enosys, "modules are for the host's architecture";
    landlock_create_ruleset(Ptr, Size, Hex) => enosys, "it would restrict Ferry itself";
    landlock_add_rule(Fd, Int, Ptr, Hex) => enosys, "it would restrict Ferry itself";
    landlock_restrict_self(Fd, Hex) => enosys, "it would restrict Ferry itself";
    lsm_get_self_attr(Int, Ptr, Ptr, Hex) => pass;
    lsm_set_self_attr(Int, Ptr, Size, Hex) => pass;
    lsm_list_modules(Ptr, Ptr, Hex) => pass;
}

/// Bytes of one field of `struct utsname`.
const UTS_FIELD: usize = 65;

/// uname(2): the host's, but for the machine.
fn uname(task: &mut Task, args: &Args) -> SyscallResult {
    let mut fields = [[0_u8; UTS_FIELD]; 6];
    host::call(Sysno::uname, [Arg::writes(&mut fields)])?;
    let machine = task.process.abi.architecture().name.as_bytes();
    fields[4] = [0; UTS_FIELD];
    fields[4][..machine.len()].copy_from_slice(machine);
    args.ptr::<[[u8; UTS_FIELD]; 6]>(0).write(fields)?;
    Ok(0)
}

/// personality(2): a domain or flag that would move Ferry's own memory is refused. `READ_IMPLIES_EXEC` is kept here: to the
/// host, guest code is data. A new program begins without it.
fn personality(task: &mut Task, args: &Args) -> SyscallResult {
    const ASK: u32 = u32::MAX;
    const READ_IMPLIES_EXEC: u32 = 0x040_0000;
    const ADDR_NO_RANDOMIZE: u32 = 0x004_0000;
    const UNAME26: u32 = 0x002_0000;
    const SHORT_INODE: u32 = 0x100_0000;
    const WHOLE_SECONDS: u32 = 0x200_0000;
    const STICKY_TIMEOUTS: u32 = 0x400_0000;
    let allowed = ADDR_NO_RANDOMIZE | UNAME26 | SHORT_INODE | WHOLE_SECONDS | STICKY_TIMEOUTS;
    let wanted = args.uint(0);
    let memory = &task.process.memory;
    if wanted != ASK && wanted & !(allowed | READ_IMPLIES_EXEC) != 0 {
        return Err(Errno::EINVAL.into());
    }
    let hosts = if wanted == ASK { ASK } else { wanted & allowed };
    let old = host::call(Sysno::personality, [Arg::from(hosts)])?;
    let had = match wanted {
        ASK => memory.read_implies_exec(),
        _ => memory.set_read_implies_exec(wanted & READ_IMPLIES_EXEC != 0),
    };
    Ok(old | if had { u64::from(READ_IMPLIES_EXEC) } else { 0 })
}

/// prctl(2)
fn prctl(task: &mut Task, args: &Args) -> SyscallResult {
    const PR_SET_VMA: i32 = 0x5356_4d41;
    const PR_GET_AUXV: i32 = 0x4155_5856;
    let abi = task.process.abi;
    if let Some(result) = abi.prctl(task.cpu.frame_mut(), args) {
        return Ok(result?);
    }
    match args.int(0) {
        libc::PR_SET_NAME => {
            let mut name = [0_u8; 16];
            let text = args.ptr::<u8>(1).read_string(16, Errno::ERANGE);
            let bytes = match &text {
                Ok(text) => text.as_bytes().to_vec(),
                // Longer names are cut.
                Err(Errno::ERANGE) => UserSlice::new(args.addr(1), 15)?.read()?,
                Err(errno) => return Err((*errno).into()),
            };
            name[..bytes.len()].copy_from_slice(&bytes);
            Ok(host::call(Sysno::prctl, [Arg::from(libc::PR_SET_NAME), Arg::reads(&name)])?)
        }
        // These write through their second argument.
        libc::PR_GET_NAME
        | libc::PR_GET_PDEATHSIG
        | libc::PR_GET_CHILD_SUBREAPER
        | libc::PR_GET_UNALIGN
        | libc::PR_GET_FPEMU
        | libc::PR_GET_FPEXC
        | libc::PR_GET_ENDIAN
        | libc::PR_GET_TSC => {
            let buffer = UserSlice::new(args.addr(1), 16)?;
            crate::memory::prepare_write(buffer);
            let mut passed = *args;
            passed.0[1] = buffer.addr.0;
            pass(task, &passed)
        }
        PR_SET_VMA => {
            window::check_range(args.addr(2), args.long(3)).map_err(|_| Errno::EINVAL)?;
            let mut passed = *args;
            passed.0[4] = window::followed(args.addr(4))?.0;
            pass(task, &passed)
        }
        libc::PR_GET_TID_ADDRESS => {
            args.ptr::<u64>(1).write(task.clear_child_tid.addr().0)?;
            Ok(0)
        }
        PR_GET_AUXV => {
            let auxv = &task.process.program.auxv;
            UserSlice::new(args.addr(1), args.long(2))?.write(auxv)?;
            Ok(auxv.len() as u64)
        }
        PR_SET_TAGGED_ADDR_CTRL | PR_GET_TAGGED_ADDR_CTRL if abi.ignored_address_bits() != 0 => {
            Ok(tagged_address_control(task, args)?)
        }
        option if takes_numbers(option) => pass(task, args),
        _ => Err(Errno::EINVAL.into()),
    }
}

const PR_SET_TAGGED_ADDR_CTRL: i32 = 55;
const PR_GET_TAGGED_ADDR_CTRL: i32 = 56;

/// Whether system calls take addresses with tags (Documentation/arch/arm64, `tagged-address-abi.rst`). Memory has
/// no tags, so that there is nothing else to choose.
fn tagged_address_control(task: &mut Task, args: &Args) -> Result<u64, Errno> {
    const PR_TAGGED_ADDR_ENABLE: u64 = 1;
    let is_asking = args.int(0) == PR_GET_TAGGED_ADDR_CTRL;
    let control = args.long(1);
    let unused = if is_asking { &args.0[1..5] } else { &args.0[2..5] };
    if unused.iter().any(|&arg| arg != 0) || control & !PR_TAGGED_ADDR_ENABLE != 0 {
        return Err(Errno::EINVAL);
    }
    if is_asking {
        return Ok(u64::from(task.has_tagged_addresses));
    }
    task.has_tagged_addresses = control != 0;
    Ok(0)
}

/// Options whose arguments are numbers that mean the same to every Linux.
fn takes_numbers(option: i32) -> bool {
    const PR_SET_IO_FLUSHER: i32 = 57;
    const PR_GET_IO_FLUSHER: i32 = 58;
    matches!(
        option,
        libc::PR_SET_PDEATHSIG
            | libc::PR_GET_DUMPABLE
            | libc::PR_SET_DUMPABLE
            | libc::PR_GET_KEEPCAPS
            | libc::PR_SET_KEEPCAPS
            | libc::PR_GET_TIMING
            | libc::PR_SET_TIMING
            | libc::PR_GET_SECCOMP
            | libc::PR_CAPBSET_READ
            | libc::PR_CAPBSET_DROP
            | libc::PR_GET_SECUREBITS
            | libc::PR_SET_SECUREBITS
            | libc::PR_GET_TIMERSLACK
            | libc::PR_SET_TIMERSLACK
            | libc::PR_SET_CHILD_SUBREAPER
            | libc::PR_SET_NO_NEW_PRIVS
            | libc::PR_GET_NO_NEW_PRIVS
            | libc::PR_SET_THP_DISABLE
            | libc::PR_GET_THP_DISABLE
            | libc::PR_CAP_AMBIENT
            | libc::PR_SET_PTRACER
            | libc::PR_MCE_KILL
            | libc::PR_MCE_KILL_GET
            | PR_SET_IO_FLUSHER
            | PR_GET_IO_FLUSHER
    )
}

/// Limits that would bind Ferry itself and not only the guest: remembered, not set.
fn binds_ferry(resource: u32, soft: u64) -> bool {
    /// Ferry's own main thread needs this much stack.
    const STACK_NEEDED: u64 = 1 << 20;
    resource == libc::RLIMIT_AS
        || resource == libc::RLIMIT_DATA
        || (resource == libc::RLIMIT_STACK && soft < STACK_NEEDED)
}

fn get_limit(task: &Task, resource: u32) -> Result<[u64; 2], Errno> {
    if let Some(limit) = task.process.limits.lock().get(&resource) {
        return Ok(*limit);
    }
    let mut limit = [0_u64; 2];
    let asked = [Arg::from(0), Arg::from(resource), Arg::from(0), Arg::writes(&mut limit)];
    host::call(Sysno::prlimit64, asked)?;
    Ok(limit)
}

fn set_limit(task: &Task, resource: u32, limit: [u64; 2]) -> Result<(), Errno> {
    let [soft, hard] = limit;
    let [_, old_hard] = get_limit(task, resource)?;
    if soft > hard {
        return Err(Errno::EINVAL);
    }
    if binds_ferry(resource, soft) {
        let may_raise = host::call(Sysno::geteuid, []) == Ok(0);
        if hard > old_hard && !may_raise {
            return Err(Errno::EPERM);
        }
        task.process.limits.lock().insert(resource, limit);
        return Ok(());
    }
    let asked = [Arg::from(0), Arg::from(resource), Arg::reads(&limit), Arg::from(0)];
    host::call(Sysno::prlimit64, asked)?;
    task.process.limits.lock().remove(&resource);
    Ok(())
}

/// getrlimit(2)
fn getrlimit(task: &mut Task, args: &Args) -> SyscallResult {
    args.ptr(1).write(get_limit(task, args.uint(0))?)?;
    Ok(0)
}

/// setrlimit(2)
fn setrlimit(task: &mut Task, args: &Args) -> SyscallResult {
    set_limit(task, args.uint(0), args.ptr(1).read()?)?;
    Ok(0)
}

/// prlimit(2)
fn prlimit64(task: &mut Task, args: &Args) -> SyscallResult {
    let (pid, resource) = (args.int(0), args.uint(1));
    if pid != 0 && pid as u32 != std::process::id() {
        return pass(task, args);
    }
    let new = args.ptr::<[u64; 2]>(2).read_opt()?;
    let old = get_limit(task, resource)?;
    if let Some(new) = new {
        set_limit(task, resource, new)?;
    }
    args.ptr(3).write_opt(old)?;
    Ok(0)
}

/// riscv_hwprobe(2), Documentation/arch/riscv/hwprobe.rst
fn riscv_hwprobe(task: &mut Task, args: &Args) -> SyscallResult {
    const WHICH_CPUS: u32 = 1;
    let (pairs, set) = (args.ptr::<[u64; 2]>(0), args.ptr::<u8>(3));
    let count = usize::try_from(args.long(1)).map_err(|_| Errno::EFAULT)?;
    let (set_size, has_set) = (args.long(2), !set.is_null());
    match args.uint(4) {
        0 if (set_size != 0) == has_set => {
            for n in 0..count {
                let [key, _] = pairs.at(n).read()?;
                let value = task.process.abi.hardware_probe(key as i64);
                pairs.at(n).write(value.map_or([u64::MAX, 0], |value| [key, value]))?;
            }
        }
        WHICH_CPUS if set_size != 0 && has_set => {
            let set = UserSlice { addr: set.addr(), len: set_size.min(CPUS_MAX as u64 / 8) };
            let matches = matches_pairs(task, pairs, count)?;
            let answer = which_cpus(&set.read()?, &usable_cpus()?, matches);
            set.write(&answer)?;
        }
        _ => return Err(Errno::EINVAL.into()),
    }
    Ok(0)
}

/// Whether the processors, which are all alike, have these values. Keys that are not known are
/// marked.
fn matches_pairs(task: &Task, pairs: UserPtr<[u64; 2]>, count: usize) -> Result<bool, Errno> {
    /// Base behaviour and extensions are sets of bits, of which some may be asked for.
    const BITS: std::ops::RangeInclusive<u64> = 3..=5;
    let mut matches = true;
    for n in 0..count {
        let [key, wanted] = pairs.at(n).read()?;
        match task.process.abi.hardware_probe(key as i64) {
            Some(value) if BITS.contains(&key) => matches &= value & wanted == wanted,
            Some(value) => matches &= value == wanted,
            None => {
                pairs.at(n).write([u64::MAX, 0])?;
                matches = false;
            }
        }
    }
    Ok(matches)
}

/// Of the processors in a set, those that may be used and match. An empty set means all.
fn which_cpus(asked: &[u8], usable: &[u8], matches: bool) -> Vec<u8> {
    let all = asked.iter().all(|&byte| byte == 0);
    let usable = usable.iter().copied().chain(std::iter::repeat(0));
    let chosen = asked.iter().zip(usable);
    let pick = |(&asked, usable): (&u8, u8)| match (matches, all) {
        (false, _) => 0,
        (true, true) => usable,
        (true, false) => usable & asked,
    };
    chosen.map(pick).collect()
}

/// Processors that any Linux knows.
const CPUS_MAX: usize = 8192;

/// The processors on which the guest may run.
fn usable_cpus() -> Result<[u8; CPUS_MAX / 8], Errno> {
    let mut mask = [0; CPUS_MAX / 8];
    let size = size_of_val(&mask);
    host::call(Sysno::sched_getaffinity, [Arg::from(0), Arg::from(size), Arg::writes(&mut mask)])?;
    Ok(mask)
}

/// riscv_flush_icache(2)
fn riscv_flush_icache(task: &mut Task, args: &Args) -> SyscallResult {
    const LOCAL: u64 = 1;
    if args.long(2) & !LOCAL != 0 {
        return Err(Errno::EINVAL.into());
    }
    task.process.engine.instruction_sync(args.addr(0)..args.addr(1));
    Ok(0)
}

#[cfg(test)]
mod tests {
    use super::which_cpus;

    #[test]
    fn processors_are_chosen_among_those_asked_for() {
        assert_eq!(which_cpus(&[0, 0], &[0b111, 0, 9], true), [0b111, 0]);
        assert_eq!(which_cpus(&[0b110, 1], &[0b011], true), [0b010, 0]);
        assert_eq!(which_cpus(&[0b110], &[0b111], false), [0]);
        assert_eq!(which_cpus(&[0, 0], &[0b111], false), [0, 0]);
    }
}
