//! A program on the host's own processor, stepped by ptrace(2): x86-64.
//!
//! It is told that the processor is one of Ferry's models, and its memory lies where Ferry's guests have theirs ([`place`]).

#![expect(unsafe_code, reason = "ptrace(2) has no safe form")]

mod place;

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::mem::MaybeUninit;
use std::os::unix::fs::FileExt;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};

use arch::x86_64::{CpuModel, cpuid};
use base::GuestVirt;
use decoders::x86_64::{Decoded, Options, decode};
use diff::{Execution, Mapping, State, guest};
use libc::{c_int, pid_t, user_regs_struct};
use linux_user::kernel::{self, Call};
use trace::{
    Architecture, Carries, Error, Event, Header, Insn, RegClass, RegWrite, Register, Source, Writes,
};

use crate::fetched::Fetched;
use crate::signals::{Info, SIGTRAP};
use crate::{failed, maps, signals};

const MXCSR: Register = Register::control(0);
const FS_BASE: Register = Register::control(1);
const GS_BASE: Register = Register::control(2);

/// What PTRACE_GETREGSET calls the XSAVE area, and the bytes of it that are looked at.
const NT_X86_XSTATE: usize = 0x202;
const XSTATE_WORDS: usize = 832 / 8;
/// Offsets in it, and the bit of XSTATE_BV that says that the last part is there.
const FX_MXCSR: usize = 24;
const XMM: usize = 160;
const XSTATE_BV: usize = 512;
const YMM_HIGH: usize = 576;
const AVX: u64 = 4;

/// `SI_KERNEL`
const KERNEL: Option<i32> = Some(0x80);
/// What ptrace(2) shows of calls that are made again after a signal: `ERESTARTSYS` to `ERESTART_RESTARTBLOCK`.
const RESTARTS: std::ops::RangeInclusive<i64> = -516..=-512;

/// The trap flag, by which the processor is stepped, is no flag of the program's.
const TRAP_FLAG: u64 = 1 << 8;

const CPUID: &[u8] = &[0x0f, 0xa2];
const XGETBV: &[u8] = &[0x0f, 0x01, 0xd0];
const SYSCALL_BYTES: u64 = 2;

/// A single-threaded program that the host executes.
pub struct Native {
    child: Child,
    memory: File,
    header: Header,
    general: user_regs_struct,
    /// As XSAVE lays it out (SDM volume 1, "XSAVE Area"), up to the upper halves of the vector registers.
    float: [u64; XSTATE_WORDS],
    known: Vec<RegWrite>,
    fetched: Fetched,
    /// A signal that the program gets with the next step.
    signal: Option<Info>,
    call: Option<Call>,
    has_ended: bool,
    /// What it is told of the processor.
    model: CpuModel,
    /// Its heap, if the kernel's idea of it is wrong.
    heap: Option<place::Heap>,
}

impl Native {
    /// Starts a program, up to its first instruction; its addresses are the same each time. CPUID tells it of this model, by
    /// default what `ferry run` has.
    ///
    /// # Errors
    /// It cannot be started or stepped, there is no such model, or the host is no x86-64.
    pub fn start(program: &OsStr, args: &[OsString], model: Option<&str>) -> Result<Self, Error> {
        if !cfg!(target_arch = "x86_64") {
            return Err(failed("the host is no x86-64"));
        }
        let model =
            model.map(str::parse).transpose().map_err(|error| failed(format!("{error}")))?;
        let mut command = Command::new(program);
        command.args(args).stdout(Stdio::null());
        // SAFETY: only system calls, which may be made between fork and exec.
        unsafe {
            command.pre_exec(|| {
                let layout = libc::ADDR_NO_RANDOMIZE | libc::ADDR_COMPAT_LAYOUT;
                libc::personality(layout as libc::c_ulong);
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
        let general = unsafe { MaybeUninit::zeroed().assume_init() };
        let memory = Self::memory_of(pid)?;
        let mut native = Self {
            child,
            memory,
            header,
            general,
            float: [0; XSTATE_WORDS],
            known: Vec::new(),
            fetched: Fetched::default(),
            signal: None,
            call: None,
            has_ended: false,
            model: model.unwrap_or_default(),
            heap: None,
        };
        match native.wait()? {
            Stopped::Signal(SIGTRAP) => {}
            _ => return Err(failed("the program does not stop at its start")),
        }
        // The file of its memory was that of ours, before it became the program.
        native.memory = Self::memory_of(pid)?;
        native.read_registers()?;
        native.place()?;
        native.known = native.shown();
        Ok(native)
    }

    fn memory_of(process: u32) -> Result<File, Error> {
        Ok(File::options().read(true).write(true).open(format!("/proc/{process}/mem"))?)
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
            return Ok(Stopped::Signal(number(libc::WSTOPSIG(status))));
        }
        let by = libc::WIFSIGNALED(status).then(|| number(libc::WTERMSIG(status)));
        Ok(Stopped::Ended(by))
    }

    fn request(&self, request: libc::c_uint, data: *mut libc::c_void) -> Result<(), Error> {
        self.request_at(request, 0, data)
    }

    fn request_at(
        &self,
        request: libc::c_uint,
        at: usize,
        data: *mut libc::c_void,
    ) -> Result<(), Error> {
        let at = std::ptr::without_provenance_mut::<libc::c_void>(at);
        // SAFETY: callers give a structure of the request's, or a signal's number.
        match unsafe { libc::ptrace(request, self.pid(), at, data) } {
            -1 => Err(io::Error::last_os_error().into()),
            _ => Ok(()),
        }
    }

    fn write_general(&mut self) -> Result<(), Error> {
        let mut general = self.general;
        self.request(libc::PTRACE_SETREGS, (&raw mut general).cast())
    }

    fn read_registers(&mut self) -> Result<(), Error> {
        let (mut general, mut float) = (self.general, [0_u64; XSTATE_WORDS]);
        self.request(libc::PTRACE_GETREGS, (&raw mut general).cast())?;
        let mut vector =
            libc::iovec { iov_base: (&raw mut float).cast(), iov_len: size_of_val(&float) };
        self.request_at(libc::PTRACE_GETREGSET, NT_X86_XSTATE, (&raw mut vector).cast())?;
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
        let wide =
            |at: usize| u128::from(self.float[at / 8 + 1]) << 64 | u128::from(self.float[at / 8]);
        let vectors = (0..16_u16).map(|n| (Register::vector(n), wide(XMM + 16 * usize::from(n))));
        // What is in its initial state is zero, and not written.
        let has_upper = self.float[XSTATE_BV / 8] & AVX != 0;
        let upper = |n| if has_upper { wide(YMM_HIGH + 16 * usize::from(n)) } else { 0 };
        let upper = move |n| (Register::new(RegClass::VectorUpper, n), upper(n));
        let flags = (Register::FLAGS, u128::from(self.general.eflags & !TRAP_FLAG));
        let mxcsr = (MXCSR, u128::from(self.float[FX_MXCSR / 8] as u32));
        let bases =
            [(FS_BASE, self.general.fs_base.into()), (GS_BASE, self.general.gs_base.into())];
        let others = [flags, mxcsr].into_iter().chain(bases);
        let all = integers.chain(vectors).chain((0..16).map(upper)).chain(others);
        all.map(|(register, value)| RegWrite { register, value }).collect()
    }

    /// Executes one instruction.
    fn step(&mut self) -> Result<Stopped, Error> {
        let signal = self.signal.take().map_or(0, |info| info.number.into());
        self.request(libc::PTRACE_SINGLESTEP, std::ptr::without_provenance_mut(signal))?;
        self.wait()
    }

    /// Executes a repetition whole: the processor stops after each of its steps.
    fn repeat(&mut self, event: &Event) -> Result<Stopped, Error> {
        /// So many steps are quicker than a breakpoint.
        const FEW: u64 = 16;
        let next = event.pc + event.insn.as_ref().map_or(0, |insn| insn.bytes().len() as u64);
        loop {
            let stopped = self.step()?;
            if !matches!(stopped, Stopped::Signal(SIGTRAP)) {
                return Ok(stopped);
            }
            self.read_registers()?;
            if self.general.rip != event.pc {
                return Ok(stopped);
            }
            if self.general.rcx > FEW {
                let stopped = self.run_to(next)?;
                if !matches!(stopped, Stopped::Signal(SIGTRAP)) || self.general.rip != event.pc {
                    return Ok(stopped);
                }
            }
        }
    }

    /// Lets it run until it comes to an address, or a signal does.
    fn run_to(&mut self, addr: u64) -> Result<Stopped, Error> {
        const BREAKPOINT: [u8; 1] = [0xcc];
        let mut before = [0];
        self.memory.read_exact_at(&mut before, addr)?;
        self.memory.write_all_at(&BREAKPOINT, addr)?;
        self.request(libc::PTRACE_CONT, std::ptr::null_mut())?;
        let stopped = self.wait()?;
        if let Stopped::Signal(_) = stopped {
            self.memory.write_all_at(&before, addr)?;
            self.read_registers()?;
            if self.general.rip == addr + 1 {
                self.general.rip = addr;
                self.write_general()?;
            }
        }
        Ok(stopped)
    }

    /// The signal by which the program has stopped; `None` for the end of a step.
    fn stop_info(&self, number: u8, event: &Event) -> Result<Option<Info>, Error> {
        let mut bytes = [0_u8; size_of::<libc::siginfo_t>()];
        self.request(libc::PTRACE_GETSIGINFO, bytes.as_mut_ptr().cast())?;
        let info = Info::new(number, Some(&bytes));
        let is_sent = info.code.is_some_and(|code| code <= 0);
        if number == SIGTRAP && self.executes() {
            return Ok(None);
        }
        let is_breakpoint = signals::is_breakpoint(Architecture::X86_64, event.insn);
        let is_end = number == SIGTRAP && !is_sent && !(is_breakpoint && info.code == KERNEL);
        Ok(Some(info).filter(|_| !is_end))
    }

    /// Whether the call is one after which there may be another program.
    fn executes(&self) -> bool {
        let name = self.call.and_then(|call| kernel::name(Architecture::X86_64, call.number));
        name.is_some_and(kernel::executes)
    }

    /// Whether the program has a handler for a signal, as proc_pid_status(5) says it.
    fn handles(&self, number: u8) -> Result<bool, Error> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:"));
        let caught = caught.and_then(|digits| u64::from_str_radix(digits.trim(), 16).ok());
        let bit = u32::from(number).wrapping_sub(1);
        Ok(caught.is_some_and(|caught| caught.checked_shr(bit).unwrap_or(0) & 1 != 0))
    }

    /// Enters the handler of the signal by which the program has stopped.
    fn enter_handler(&mut self, number: u8, event: &mut Event) -> Result<(), Error> {
        event.trap = Some(signals::delivered(number));
        self.call = None;
        match self.step()? {
            Stopped::Ended(_) => self.has_ended = true,
            Stopped::Signal(SIGTRAP) => {}
            Stopped::Signal(number) => self.signal = self.stop_info(number, event)?,
        }
        self.fetched.forget();
        self.see(event)
    }

    /// The signal whose handler is entered before the next instruction.
    fn pending_handler(&self) -> Result<Option<u8>, Error> {
        let Some(info) = self.signal else { return Ok(None) };
        Ok(Some(info.number).filter(|_| self.handles(info.number).unwrap_or(false)))
    }

    /// Executes one instruction, which is filled in already, or the signal that comes before it.
    fn execute(&mut self, event: &mut Event) -> Result<(), Error> {
        let pending = self.signal.map(|info| info.number);
        let stopped = if repeats(event) { self.repeat(event)? } else { self.step()? };
        let signal = match stopped {
            Stopped::Ended(by) => {
                self.has_ended = true;
                if self.call.is_none() {
                    let number = pending.or(by).unwrap_or(signals::SIGKILL);
                    event.trap = Some(signals::delivered(number));
                }
                return Ok(());
            }
            Stopped::Signal(number) => self.stop_info(number, event)?,
        };
        self.signal = signal;
        self.follow_exec(event)?;
        self.see(event)?;
        let result = self.general.rax as i64;
        match signal {
            // The call was interrupted, and is made again.
            None if self.call.is_some() && RESTARTS.contains(&result) => self.execute(event)?,
            Some(info) if info.is_raised() => event.trap = Some(info.trap()),
            Some(_) if self.general.rip == event.pc => match self.pending_handler()? {
                Some(number) => self.enter_handler(number, event)?,
                None => self.execute(event)?,
            },
            _ => {}
        }
        Ok(())
    }

    /// Behind execve(2), moves the new program.
    fn follow_exec(&mut self, event: &Event) -> Result<(), Error> {
        if !self.executes() {
            return Ok(());
        }
        self.read_registers()?;
        if self.general.rip == event.pc + SYSCALL_BYTES {
            return Ok(());
        }
        // The file of its memory was that of the program before.
        self.memory = Self::memory_of(self.child.id())?;
        self.place()
    }

    /// Does what the processor and the kernel would do otherwise than for a program of Ferry's; `false` if that is nothing.
    fn emulate(&mut self, event: &mut Event) -> Result<bool, Error> {
        let name = self.call.and_then(|call| kernel::name(Architecture::X86_64, call.number));
        let general = &mut self.general;
        match (name, event.insn.as_ref().map_or(&[][..], Insn::bytes)) {
            (Some("brk"), _) if self.heap.is_some() => {
                let end = self.set_break(self.general.rdi)?;
                self.return_from_call(event.pc, end);
            }
            // The kernel would write to the program's memory at any time.
            (Some("rseq"), _) => self.return_from_call(event.pc, (-i64::from(libc::ENOSYS)) as u64),
            (_, CPUID) => {
                let leaf = cpuid::cpuid(&self.model, general.rax as u32, general.rcx as u32, 0);
                let registers = leaf.registers().map(u64::from);
                [general.rax, general.rbx, general.rcx, general.rdx] = registers;
                general.rip += CPUID.len() as u64;
            }
            (_, XGETBV) if general.rcx as u32 == 0 => {
                let components = self.model.xcr0();
                (general.rax, general.rdx) = (components & 0xffff_ffff, components >> 32);
                general.rip += XGETBV.len() as u64;
            }
            _ => return Ok(false),
        }
        self.write_general()?;
        self.see(event)?;
        Ok(true)
    }

    /// What SYSCALL and SYSRET leave.
    fn return_from_call(&mut self, pc: u64, result: u64) {
        let next = pc + SYSCALL_BYTES;
        self.general.rip = next;
        (self.general.rax, self.general.rcx) = (result, next);
        self.general.r11 = self.general.eflags & !TRAP_FLAG;
    }

    /// Tells what has changed.
    fn see(&mut self, event: &mut Event) -> Result<(), Error> {
        if self.has_ended {
            return Ok(());
        }
        self.read_registers()?;
        let shown = self.shown();
        for (now, before) in shown.iter().zip(&self.known).filter(|(now, before)| now != before) {
            event.writes.retain(|write| write.register != before.register);
            event.writes.push(*now);
        }
        self.known = shown;
        Ok(())
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

/// Whether it is a string instruction that is repeated.
fn repeats(event: &Event) -> bool {
    let bytes = event.insn.as_ref().map_or(&[][..], Insn::bytes);
    match decode(GuestVirt(event.pc), bytes, Options::default()) {
        Decoded::Instruction(insn) => {
            insn.is_string_instruction() && (insn.has_rep_prefix() || insn.has_repne_prefix())
        }
        _ => false,
    }
}

enum Stopped {
    Signal(u8),
    /// By itself, or by a signal.
    Ended(Option<u8>),
}

/// Of signals, none exceeds 64.
fn number(signal: c_int) -> u8 {
    u8::try_from(signal).unwrap_or(0)
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
        if let Some(number) = self.pending_handler()? {
            self.enter_handler(number, event)?;
            return Ok(true);
        }
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
        if !self.emulate(event)? {
            self.execute(event)?;
        }
        if self.call.is_some() {
            self.fetched.forget();
        }
        Ok(true)
    }
}

impl Execution for Native {
    /// Takes over what the kernel has put on the stack, if both have it at the same place: arguments, environment, random bytes.
    fn begin(&mut self, reference: &mut dyn Execution) -> Result<bool, Error> {
        let Some(state) = reference.state() else { return Ok(false) };
        let sp = kernel::stack_pointer(Architecture::X86_64);
        let theirs = state.registers().into_iter().find(|write| write.register == sp);
        if theirs.map(|write| write.value as u64) != Some(self.general.rsp)
            || state.pc() != Some(self.general.rip)
        {
            return Ok(false);
        }
        let maps = self.mappings()?.unwrap_or_default();
        let Some(stack) = maps::at(&maps, self.general.rsp) else { return Ok(false) };
        let mut bytes = vec![0; (stack.range.end - self.general.rsp) as usize];
        if state.read(self.general.rsp, &mut bytes).is_err() {
            return Ok(false);
        }
        self.memory.write_all_at(&bytes, self.general.rsp)?;
        Ok(true)
    }

    fn adopt(&mut self, event: &Event, reference: &mut dyn Execution) -> Result<bool, Error> {
        let mut all = true;
        for write in &event.writes {
            all &= self.set(*write);
        }
        self.write_general()?;
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
        Ok(Some(maps::parse(&text, Some(self.child.id()))))
    }
}

impl std::fmt::Debug for Native {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Native").field("child", &self.child).finish_non_exhaustive()
    }
}
