//! A program on the host's own processor, stepped by ptrace(2): x86-64.

#![expect(unsafe_code, reason = "ptrace(2) has no safe form")]

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::mem::MaybeUninit;
use std::os::unix::fs::FileExt;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};

use diff::{Execution, Mapping, State, guest};
use libc::{c_int, pid_t, user_fpregs_struct, user_regs_struct};
use linux_user::kernel::{self, Call};
use trace::{
    Architecture, Carries, Error, Event, Header, RegWrite, Register, Source, Trap, Writes,
};

use crate::fetched::Fetched;
use crate::{failed, maps};

/// `mxcsr`
const MXCSR: Register = Register::control(0);
/// The trap flag, by which the processor is stepped, is no flag of the program's.
const TRAP_FLAG: u64 = 1 << 8;

/// A single-threaded program that the host executes.
pub struct Native {
    child: Child,
    memory: File,
    header: Header,
    general: user_regs_struct,
    float: user_fpregs_struct,
    known: Vec<RegWrite>,
    fetched: Fetched,
    signal: c_int,
    call: Option<Call>,
    has_ended: bool,
}

impl Native {
    /// Starts a program, up to its first instruction; its addresses are the same each time.
    ///
    /// # Errors
    /// It cannot be started or stepped, or the host is no x86-64.
    pub fn start(program: &OsStr, args: &[OsString]) -> Result<Self, Error> {
        if !cfg!(target_arch = "x86_64") {
            return Err(failed("the host is no x86-64"));
        }
        let mut command = Command::new(program);
        command.args(args).stdout(Stdio::null());
        // SAFETY: only system calls, which may be made between fork and exec.
        unsafe {
            command.pre_exec(|| {
                libc::personality(libc::ADDR_NO_RANDOMIZE as libc::c_ulong);
                match libc::ptrace(libc::PTRACE_TRACEME, 0, 0, 0) {
                    0 => Ok(()),
                    _ => Err(io::Error::last_os_error()),
                }
            });
        }
        let run = |error| failed(format!("cannot run {}: {error}", program.display()));
        let child = command.spawn().map_err(run)?;
        let carries = Carries {
            insn: true,
            int: Writes::Changes,
            float: Writes::Changes,
            control: Writes::Changes,
            traps: true,
            ..Carries::default()
        };
        let header = Header { architecture: Architecture::X86_64, carries, program: None };
        let pid = child.id();
        // SAFETY: plain numbers, for which zero is a value.
        let (general, float) =
            unsafe { (MaybeUninit::zeroed().assume_init(), MaybeUninit::zeroed().assume_init()) };
        let memory = File::options().read(true).write(true).open(format!("/proc/{pid}/mem"))?;
        let mut native = Self {
            child,
            memory,
            header,
            general,
            float,
            known: Vec::new(),
            fetched: Fetched::default(),
            signal: 0,
            call: None,
            has_ended: false,
        };
        match native.wait()? {
            Stopped::Signal(libc::SIGTRAP) => {}
            _ => return Err(failed("the program does not stop at its start")),
        }
        // The file of its memory was that of ours, before it became the program.
        native.memory = File::options().read(true).write(true).open(format!("/proc/{pid}/mem"))?;
        native.read_registers()?;
        native.known = native.shown();
        Ok(native)
    }

    fn pid(&self) -> pid_t {
        self.child.id() as pid_t
    }

    fn wait(&mut self) -> Result<Stopped, Error> {
        let mut status = 0;
        // SAFETY: `status` is ours.
        if unsafe { libc::waitpid(self.pid(), &raw mut status, 0) } < 0 {
            return Err(io::Error::last_os_error().into());
        }
        if libc::WIFSTOPPED(status) {
            return Ok(Stopped::Signal(libc::WSTOPSIG(status)));
        }
        Ok(Stopped::Ended)
    }

    fn request(&self, request: libc::c_uint, data: *mut libc::c_void) -> Result<(), Error> {
        let none = std::ptr::null_mut::<libc::c_void>();
        // SAFETY: callers give a structure of the request's, or a signal's number.
        match unsafe { libc::ptrace(request, self.pid(), none, data) } {
            -1 => Err(io::Error::last_os_error().into()),
            _ => Ok(()),
        }
    }

    fn read_registers(&mut self) -> Result<(), Error> {
        let (mut general, mut float) = (self.general, self.float);
        self.request(libc::PTRACE_GETREGS, (&raw mut general).cast())?;
        self.request(libc::PTRACE_GETFPREGS, (&raw mut float).cast())?;
        (self.general, self.float) = (general, float);
        Ok(())
    }

    /// In the order of the encodings: rax, rcx, rdx, rbx, rsp, rbp, rsi, rdi, r8 to r15.
    fn integers(general: &mut user_regs_struct) -> [&mut u64; 16] {
        let user_regs_struct { rax, rcx, rdx, rbx, rsp, rbp, rsi, rdi, .. } = general;
        let user_regs_struct { r8, r9, r10, r11, r12, r13, r14, r15, .. } = general;
        [rax, rcx, rdx, rbx, rsp, rbp, rsi, rdi, r8, r9, r10, r11, r12, r13, r14, r15]
    }

    /// All registers, as traces show them.
    fn shown(&self) -> Vec<RegWrite> {
        let mut general = self.general;
        let integers = Self::integers(&mut general).map(|value| u128::from(*value));
        let integers = (0..).zip(integers).map(|(n, value)| (Register::int(n), value));
        let vectors = self.float.xmm_space.as_chunks::<4>().0.iter().take(16);
        let vectors = vectors
            .map(|words| (0..4).fold(0, |value, n| value | u128::from(words[n]) << (32 * n)));
        let vectors = (0..).zip(vectors).map(|(n, value)| (Register::vector(n), value));
        let flags = (Register::FLAGS, u128::from(self.general.eflags & !TRAP_FLAG));
        let others = [flags, (MXCSR, self.float.mxcsr.into())];
        let all = integers.chain(vectors).chain(others);
        all.map(|(register, value)| RegWrite { register, value }).collect()
    }

    /// Executes one instruction.
    fn step(&mut self) -> Result<Stopped, Error> {
        let signal = std::mem::take(&mut self.signal);
        self.request(libc::PTRACE_SINGLESTEP, std::ptr::without_provenance_mut(signal as usize))?;
        self.wait()
    }

    /// Takes a register over. Whether it is one that can be written.
    fn set(&mut self, write: RegWrite) -> bool {
        let at = usize::from(write.register.number);
        match write.register.class {
            trace::RegClass::Int if at < 16 => {
                *Self::integers(&mut self.general)[at] = write.value as u64;
            }
            trace::RegClass::Flags => self.general.eflags = write.value as u64,
            _ => return false,
        }
        true
    }
}

enum Stopped {
    Signal(c_int),
    Ended,
}

impl Drop for Native {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Source for Native {
    fn header(&self) -> &Header {
        &self.header
    }

    fn next(&mut self, event: &mut Event) -> Result<bool, Error> {
        if self.has_ended {
            return Ok(false);
        }
        event.clear();
        event.pc = self.general.rip;
        let memory = &self.memory;
        event.insn = self.fetched.insn(Architecture::X86_64, event.pc, |addr, into| {
            memory.read_exact_at(into, addr).is_ok()
        });
        let outside = guest::outside(Architecture::X86_64, event);
        let shown = self.shown();
        self.call = kernel::convention(Architecture::X86_64)
            .filter(|_| outside == Some(guest::Outside::Kernel))
            .map(|convention| {
                convention.call(|register| {
                    let found = shown.iter().find(|write| write.register == register);
                    found.map_or(0, |write| write.value as u64)
                })
            });
        match self.step()? {
            Stopped::Ended => {
                self.has_ended = true;
                return Ok(true);
            }
            Stopped::Signal(libc::SIGTRAP) => {}
            Stopped::Signal(signal) => {
                self.signal = signal;
                event.trap = Some(Trap::default());
            }
        }
        self.read_registers()?;
        let shown = self.shown();
        let changed = shown.iter().zip(&self.known).filter(|(now, before)| now != before);
        event.writes.extend(changed.map(|(now, _)| *now));
        self.known = shown;
        if self.call.is_some() {
            self.fetched.forget();
        }
        Ok(true)
    }
}

impl Execution for Native {
    fn adopt(&mut self, event: &Event, reference: &mut dyn Execution) -> Result<bool, Error> {
        let mut all = true;
        for write in &event.writes {
            all &= self.set(*write);
        }
        let mut general = self.general;
        self.request(libc::PTRACE_SETREGS, (&raw mut general).cast())?;
        self.known = self.shown();
        let (Some(call), Some(state)) = (self.call.take(), reference.state()) else {
            return Ok(all);
        };
        let call = Call { result: self.general.rax, ..call };
        let memory = &self.memory;
        let ranges = kernel::written(Architecture::X86_64, &call, &mut |addr, into| {
            memory.read_exact_at(into, addr).is_ok()
        });
        for range in ranges {
            let mut bytes = vec![0; (range.end - range.start) as usize];
            if state.read(range.start, &mut bytes).is_ok() {
                self.memory.write_all_at(&bytes, range.start)?;
            }
        }
        Ok(all)
    }

    fn state(&mut self) -> Option<&mut dyn State> {
        Some(self)
    }
}

impl State for Native {
    fn pc(&self) -> Option<u64> {
        (!self.has_ended).then_some(self.general.rip)
    }

    fn registers(&self) -> Vec<RegWrite> {
        self.known.clone()
    }

    fn read(&mut self, addr: u64, into: &mut [u8]) -> Result<(), Error> {
        Ok(self.memory.read_exact_at(into, addr)?)
    }

    fn mappings(&mut self) -> Result<Option<Vec<Mapping>>, Error> {
        let text = std::fs::read_to_string(format!("/proc/{}/maps", self.child.id()))?;
        Ok(Some(maps::parse(&text)))
    }
}

impl std::fmt::Debug for Native {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Native").field("child", &self.child).finish_non_exhaustive()
    }
}
