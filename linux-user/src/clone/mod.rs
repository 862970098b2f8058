//! New tasks: threads ([`thread`]), processes with a copy of memory ([`fork`]) and processes that
//! share it ([`shared`]).
//!
//! The kernel does what clone(2) promises, since a guest thread is a host thread and a guest process
//! a host process. What is left to do is to give the new one a CPU and to keep Ferry's own state
//! whole on both sides.

mod fork;
mod robust;
mod shared;
mod thread;

use base::{CpuFrame, GuestVirt, RegSlot};
use syscalls::Errno;

use crate::engine::Vcpu;
use crate::syscalls::SyscallResult;
use crate::task::Task;
use crate::user::{UserPtr, UserSlice};
use crate::window::untagged;
use crate::{memory, window};

pub(crate) use robust::HEAD_BYTES as ROBUST_LIST_BYTES;
pub(crate) use thread::end as end_thread;

/// `CLONE_…` as the kernel's 64-bit flags.
pub(crate) mod flags {
    /// Memory is shared.
    pub(crate) const VM: u64 = libc::CLONE_VM as u64;
    /// Root, current directory and umask are shared.
    pub(crate) const FS: u64 = libc::CLONE_FS as u64;
    /// The descriptor table is shared.
    pub(crate) const FILES: u64 = libc::CLONE_FILES as u64;
    /// Dispositions are shared.
    pub(crate) const SIGHAND: u64 = libc::CLONE_SIGHAND as u64;
    /// The parent gets a pidfd.
    pub(crate) const PIDFD: u64 = libc::CLONE_PIDFD as u64;
    /// The parent waits until the child executes or ends.
    pub(crate) const VFORK: u64 = libc::CLONE_VFORK as u64;
    /// The child is a sibling.
    pub(crate) const PARENT: u64 = libc::CLONE_PARENT as u64;
    /// The child is a thread.
    pub(crate) const THREAD: u64 = libc::CLONE_THREAD as u64;
    /// The child gets a thread pointer.
    pub(crate) const SETTLS: u64 = libc::CLONE_SETTLS as u64;
    /// The child's id is written for the parent.
    pub(crate) const PARENT_SETTID: u64 = libc::CLONE_PARENT_SETTID as u64;
    /// The child's id is cleared when it ends.
    pub(crate) const CHILD_CLEARTID: u64 = libc::CLONE_CHILD_CLEARTID as u64;
    /// Obsolete.
    pub(crate) const DETACHED: u64 = libc::CLONE_DETACHED as u64;
    /// The child's id is written for the child.
    pub(crate) const CHILD_SETTID: u64 = libc::CLONE_CHILD_SETTID as u64;
    /// Handlers are forgotten in the child.
    pub(crate) const CLEAR_SIGHAND: u64 = 1 << 32;
}

/// What clone(2) or clone3(2) asks for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CloneRequest {
    /// Of [`flags`], without the signal.
    pub(crate) flags: u64,
    /// What the parent gets when the child ends, or zero.
    pub(crate) exit_signal: u64,
    /// The child's stack pointer, if it is not the parent's.
    pub(crate) stack: Option<GuestVirt>,
    /// The child's thread pointer, if it is not the parent's.
    pub(crate) tls: Option<u64>,
    pidfd: UserPtr<i32>,
    parent_tid: UserPtr<i32>,
    child_tid: UserPtr<i32>,
    set_tid: UserPtr<i32>,
    set_tid_count: u64,
    cgroup: u64,
}

/// `struct clone_args` (its third version), for guest and host alike.
type CloneArgs = [u64; 11];

impl CloneRequest {
    /// From clone(2), in this order.
    pub(crate) fn legacy(
        flags: u64,
        stack: GuestVirt,
        parent_tid: GuestVirt,
        tls: u64,
        child_tid: GuestVirt,
    ) -> Self {
        const SIGNAL: u64 = 0xff;
        // Only the lower half is looked at, and this flag means nothing any more.
        let flags = flags & 0xffff_ffff & !flags::DETACHED;
        let at = |place, flag| GuestVirt(if flags & flag != 0 { untagged(place).0 } else { 0 });
        Self {
            flags: flags & !SIGNAL,
            exit_signal: flags & SIGNAL,
            stack: (stack.0 != 0).then_some(stack),
            tls: (flags & flags::SETTLS != 0).then_some(tls),
            // One pointer for two purposes, which exclude each other.
            pidfd: UserPtr::new(at(parent_tid, flags::PIDFD)),
            parent_tid: UserPtr::new(at(parent_tid, flags::PARENT_SETTID)),
            child_tid: UserPtr::new(at(child_tid, flags::CHILD_SETTID | flags::CHILD_CLEARTID)),
            set_tid: UserPtr::NULL,
            set_tid_count: 0,
            cgroup: 0,
        }
    }

    /// From the structure of clone3(2).
    ///
    /// # Errors
    /// `EINVAL`, `E2BIG`, `EFAULT`
    pub(crate) fn read(at: UserPtr<u64>, size: u64) -> Result<Self, Errno> {
        /// Bytes of the structure's first version.
        const LEAST: u64 = 64;
        const PAGE: u64 = 4096;
        if size > PAGE {
            return Err(Errno::E2BIG);
        }
        if size < LEAST || !size.is_multiple_of(8) {
            return Err(Errno::EINVAL);
        }
        let words = at.read_array(size as usize / 8)?;
        let mut args: CloneArgs = [0; 11];
        for (n, &word) in words.iter().enumerate() {
            match args.get_mut(n) {
                Some(arg) => *arg = word,
                None if word == 0 => {}
                None => return Err(Errno::E2BIG),
            }
        }
        Self::from_args(args)
    }

    fn from_args(args: CloneArgs) -> Result<Self, Errno> {
        let [flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_size, ..] = args;
        let [.., tls, set_tid, set_tid_count, cgroup] = args;
        let has = |flag| flags & flag != 0;
        if has(flags::DETACHED | 0xff)
            || exit_signal > 64
            || (has(flags::THREAD | flags::PARENT) && exit_signal != 0)
            || (stack == 0) != (stack_size == 0)
        {
            return Err(Errno::EINVAL);
        }
        let untagged = |place| untagged(GuestVirt(place)).0;
        let at = |place, flag| GuestVirt(if has(flag) { untagged(place) } else { 0 });
        Ok(Self {
            flags,
            exit_signal,
            stack: (stack != 0).then(|| GuestVirt(stack.wrapping_add(stack_size))),
            tls: has(flags::SETTLS).then_some(tls),
            pidfd: UserPtr::new(at(pidfd, flags::PIDFD)),
            parent_tid: UserPtr::new(at(parent_tid, flags::PARENT_SETTID)),
            child_tid: UserPtr::new(at(child_tid, flags::CHILD_SETTID | flags::CHILD_CLEARTID)),
            set_tid: UserPtr::new(GuestVirt(set_tid)),
            set_tid_count,
            cgroup,
        })
    }

    /// Whether any of these flags is set.
    pub(crate) fn has(&self, flags: u64) -> bool {
        self.flags & flags != 0
    }

    /// Where the child's id is written in the child.
    fn child_tid_to_set(&self) -> UserPtr<i32> {
        if self.has(flags::CHILD_SETTID) { self.child_tid } else { UserPtr::NULL }
    }

    /// Where the child's id is cleared at its end.
    fn child_tid_to_clear(&self) -> UserPtr<u32> {
        if self.has(flags::CHILD_CLEARTID) { self.child_tid.cast() } else { UserPtr::NULL }
    }

    /// For the host's clone(2), where clone3 is not allowed: flags, stack, parent_tid, child_tid,
    /// thread pointer.
    ///
    /// # Errors
    /// `ENOSYS` if it cannot express the request.
    fn host_legacy_args(&self) -> Result<[u64; 6], Errno> {
        let [flags, pidfd, child_tid, parent_tid, signal, ..] = self.host_args();
        if flags >> 32 != 0 || self.set_tid_count != 0 || (pidfd != 0 && parent_tid != 0) {
            return Err(Errno::ENOSYS);
        }
        Ok([flags | signal, 0, pidfd | parent_tid, child_tid, 0, 0])
    }

    /// For the host's clone3: on the caller's own stack and with its own thread pointer.
    fn host_args(&self) -> CloneArgs {
        // clone(2) lets a signal stand beside this flag, and takes no notice of it.
        let signal = if self.has(flags::PARENT) { 0 } else { self.exit_signal };
        [
            self.flags & !flags::SETTLS,
            self.pidfd.addr().0,
            self.child_tid.addr().0,
            self.parent_tid.addr().0,
            signal,
            0,
            0,
            0,
            self.set_tid.addr().0,
            self.set_tid_count,
            self.cgroup,
        ]
    }
}

/// Answers clone(2) and clone3(2).
pub(crate) fn clone(task: &mut Task, request: &CloneRequest) -> SyscallResult {
    let has = |flag| request.has(flag);
    if (has(flags::THREAD) && !has(flags::SIGHAND)) || (has(flags::SIGHAND) && !has(flags::VM)) {
        return Err(Errno::EINVAL.into());
    }
    for place in [request.pidfd, request.parent_tid, request.child_tid, request.set_tid] {
        window::check(place.addr())?;
        memory::prepare_write(UserSlice { addr: place.addr(), len: size_of::<i32>() as u64 });
    }
    if has(flags::THREAD) {
        thread::start(task, request)
    } else if has(flags::VM) {
        shared::start(task, request)
    } else {
        fork::start(task, request)
    }
}

/// The guest registers of a task that is to be continued on another CPU.
struct Registers {
    slots: Box<[u64]>,
    pc: u64,
    key_flags: u64,
}

impl Registers {
    fn of(frame: &CpuFrame) -> Self {
        Self { slots: frame.slots.into(), pc: frame.pc, key_flags: frame.key_flags }
    }

    fn load(&self, cpu: &mut Vcpu) {
        let frame = cpu.frame_mut();
        for (n, &value) in self.slots.iter().enumerate() {
            frame.set(RegSlot(n as u16), value);
        }
        (frame.pc, frame.key_flags) = (self.pc, self.key_flags);
    }
}

/// A CPU for a new task that returns from the same call as `task`.
fn new_cpu(task: &Task, request: &CloneRequest) -> Vcpu {
    let process = &task.process;
    let mut cpu = process.engine.new_vcpu();
    Registers::of(task.cpu.frame()).load(&mut cpu);
    process.abi.start_clone(cpu.frame_mut(), request);
    cpu
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_signal_stands_in_the_lowest_byte_of_legacy_flags() {
        let tid = GuestVirt(0x5000);
        let flags = flags::VM | flags::PARENT_SETTID | libc::SIGCHLD as u64;
        let request = CloneRequest::legacy(flags, GuestVirt(0), tid, 7, tid);
        assert_eq!((request.exit_signal, request.has(flags::VM)), (libc::SIGCHLD as u64, true));
        assert_eq!((request.parent_tid.addr(), request.child_tid.addr()), (tid, GuestVirt(0)));
        assert_eq!((request.stack, request.tls), (None, None));
        assert_eq!(request.host_args()[..5], [request.flags, 0, 0, 0x5000, libc::SIGCHLD as u64]);
    }

    #[test]
    fn bad_clone_args_are_refused() {
        let args = |flags, signal, stack, size| {
            CloneRequest::from_args([flags, 0, 0, 0, signal, stack, size, 0, 0, 0, 0])
        };
        assert_eq!(args(0, 65, 0, 0).unwrap_err(), Errno::EINVAL);
        assert_eq!(args(libc::SIGCHLD as u64, 0, 0, 0).unwrap_err(), Errno::EINVAL);
        assert_eq!(args(0, 17, 0x1000, 0).unwrap_err(), Errno::EINVAL);
        assert_eq!(args(flags::THREAD, 17, 0, 0).unwrap_err(), Errno::EINVAL);
        let good = args(flags::SETTLS, 17, 0x1000, 0x1000).unwrap();
        assert_eq!((good.stack, good.tls), (Some(GuestVirt(0x2000)), Some(0)));
        assert_eq!(good.host_args()[0], 0, "the host's thread pointer is Ferry's");
        assert!(CloneRequest::read(UserPtr::NULL, 63).is_err());
    }
}
