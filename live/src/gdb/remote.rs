//! An execution that is stepped through gdb's remote protocol.

use std::time::{Duration, Instant};

use diff::{Execution, Mapping, State, guest};
use linux_user::kernel::{self, Call};
use trace::{
    Architecture, Carries, Error, Event, Header, Insn, Privilege, RegWrite, Register, Signal,
    Source, Writes,
};

use super::connection::{Connection, from_hex, to_hex};
use super::description::{self, Described, What};
use super::machine::{self, Cpu};
use super::stub::Stub;
use super::{files, interest};
use crate::fetched::Fetched;
use crate::sharing::{self, Sharing};
use crate::signals::{Disposition, Handlers, Info, SIGKILL};
use crate::{failed, maps, signals};

/// gdb's number of what steps and breakpoints end with, SIGTRAP.
const TRAP: u8 = 5;

/// Bytes of memory in a packet: as digits, they fit into any stub's.
const MEMORY_MAX: usize = 0x700;

/// A single-threaded program, or the first CPU of a machine, behind a stub.
pub struct Remote {
    pub(super) connection: Connection,
    /// The first thread, as the stub calls it.
    thread: String,
    header: Header,
    pub(super) registers: Vec<Described>,
    /// How many of them one packet shows.
    pub(super) general: usize,
    /// As they were last, by their place in `registers`.
    values: Vec<u128>,
    pub(super) pc: u64,
    pub(super) has_ended: bool,
    fetched: Fetched,
    asked: Vec<Register>,
    /// A signal that the program gets with the next step, and gdb's number of it.
    signal: Option<(Info, u8)>,
    handlers: Handlers,
    /// The system call that was executed last, as it was before.
    call: Option<Call>,
    stub: Option<Stub>,
    /// It is a machine's.
    cpu: Option<Cpu>,
}

impl Remote {
    /// Connects to `HOST:PORT` or a socket's path.
    ///
    /// # Errors
    /// Nobody answers there, or is of an architecture that Ferry does not know.
    pub fn connect(address: &str) -> Result<Self, Error> {
        let connection = Connection::open(address)
            .map_err(|error| failed(format!("cannot connect to {address}: {error}")))?;
        Self::new(connection, None)
    }

    /// Connects to what was started for it.
    ///
    /// # Errors
    /// As [`Remote::connect`].
    pub fn start(mut stub: Stub) -> Result<Self, Error> {
        let connection = stub.connect()?;
        Self::new(connection, Some(stub))
    }

    fn new(mut connection: Connection, stub: Option<Stub>) -> Result<Self, Error> {
        let thread = greet(&mut connection)?;
        let files = descriptions(&mut connection)?;
        let (architecture, registers) = description::parse(&files)
            .ok_or_else(|| failed("the stub does not describe a CPU that Ferry knows"))?;
        let level = machine::level_of(&registers);
        let carries = Carries {
            insn: true,
            privilege: level.is_some(),
            int: Writes::Changes,
            float: Writes::Changes,
            control: Writes::Changes,
            traps: true,
            ..Carries::default()
        };
        let handlers = match stub {
            Some(_) => Handlers::of_new_program(),
            None => Handlers::unknown(),
        };
        let mut remote = Self {
            connection,
            thread,
            header: Header { architecture, carries, program: None },
            values: vec![0; registers.len()],
            registers,
            general: 0,
            pc: 0,
            has_ended: false,
            fetched: Fetched::default(),
            asked: Vec::new(),
            signal: None,
            handlers,
            call: None,
            stub,
            cpu: None,
        };
        remote.read_all()?;
        if let Some(level) = level {
            remote.cpu = Some(Cpu::new(&mut remote.connection, level)?);
        }
        Ok(remote)
    }

    fn read_all(&mut self) -> Result<(), Error> {
        self.read_general(None)?;
        (self.general..self.registers.len()).try_for_each(|at| self.read_one(at, None))
    }

    /// Reads all registers, and tells which have changed.
    fn all_changes(&mut self, writes: &mut Vec<RegWrite>) -> Result<(), Error> {
        self.read_general(Some(writes))?;
        (self.general..self.registers.len()).try_for_each(|at| self.read_one(at, Some(writes)))
    }

    /// Reads what one packet shows, and tells what has changed.
    pub(super) fn read_general(
        &mut self,
        mut changes: Option<&mut Vec<RegWrite>>,
    ) -> Result<(), Error> {
        let answer = self.connection.ask(b"g")?;
        let bytes = from_hex(answer).ok_or_else(|| failed("the stub shows no registers"))?;
        let mut rest = &bytes[..];
        self.general = 0;
        for (described, seen) in self.registers.iter().zip(&mut self.values) {
            let Some((own, others)) = rest.split_at_checked(described.bytes) else { break };
            rest = others;
            self.general += 1;
            let value = shown(self.header.architecture, described.what, number(own));
            if std::mem::replace(seen, value) != value
                && let (What::Register(register), Some(changes)) = (described.what, &mut changes)
            {
                changes.push(RegWrite { register, value });
            }
            if described.what == What::Pc {
                self.pc = value as u64;
            }
        }
        Ok(())
    }

    /// Reads a register that no packet shows with others.
    pub(super) fn read_one(
        &mut self,
        at: usize,
        changes: Option<&mut Vec<RegWrite>>,
    ) -> Result<(), Error> {
        let What::Register(register) = self.registers[at].what else { return Ok(()) };
        let answer = self.connection.ask(format!("p{:x}", self.registers[at].number).as_bytes())?;
        // `E..` is what the stub does not have in the end, though it described it.
        let Some(bytes) = from_hex(answer).filter(|bytes| !bytes.is_empty()) else {
            self.registers[at].what = What::Other;
            return Ok(());
        };
        let what = self.registers[at].what;
        let value = shown(self.header.architecture, what, number(&bytes));
        if std::mem::replace(&mut self.values[at], value) != value
            && let Some(changes) = changes
        {
            changes.push(RegWrite { register, value });
        }
        Ok(())
    }

    fn read_memory(&mut self, addr: u64, into: &mut [u8]) -> Result<(), Error> {
        if self.stub.as_ref().is_some_and(|stub| stub.read(addr, into)) {
            return Ok(());
        }
        let mut at = addr;
        for piece in into.chunks_mut(MEMORY_MAX) {
            let answer = self.connection.ask(format!("m{at:x},{:x}", piece.len()).as_bytes())?;
            let bytes = from_hex(answer).filter(|bytes| bytes.len() == piece.len());
            let bytes = bytes.ok_or_else(|| failed(format!("cannot read memory at {at:#x}")))?;
            piece.copy_from_slice(&bytes);
            at = at.wrapping_add(piece.len() as u64);
        }
        Ok(())
    }

    /// Runs at full speed up to the first instruction at an address. `false` if it ends before.
    ///
    /// # Errors
    /// The stub has no breakpoints, or the program is stopped elsewhere.
    pub fn run_to(&mut self, pc: u64) -> Result<bool, Error> {
        if self.has_ended || self.pc == pc {
            return Ok(!self.has_ended);
        }
        let len = self.breakpoint_len();
        let stopped = self.go_to(pc, len)?.ok_or_else(|| failed("the stub has no breakpoints"))?;
        self.fetched.forget();
        match stopped {
            Stopped::Ended(_) => self.has_ended = true,
            Stopped::Stepped | Stopped::Signal(_) => self.read_all()?,
        }
        if let Stopped::Signal(signal) = stopped {
            self.signal = Some((self.info(signal)?, signal));
        }
        Ok(!self.has_ended && self.pc == pc)
    }

    /// Whether its memory can be read at any speed.
    #[must_use]
    pub fn has_memory(&self) -> bool {
        self.stub.as_ref().is_some_and(Stub::has_memory)
    }

    /// Executes a system call. Stubs that step over one step over the instruction behind it, too; so a breakpoint
    /// stands there, or where a handler returns to.
    fn step_call(&mut self, len: usize) -> Result<Stopped, Error> {
        let architecture = self.header.architecture;
        let name = self.call_name().unwrap_or_default();
        let sharing = self.call.map(|call| {
            sharing::of_call(name, &call, |addr, into| self.read_memory(addr, into).is_ok())
        });
        if sharing == Some(Sharing::Thread) {
            // The new thread would come to the breakpoint, too.
            return self.resume(Go::Step);
        }
        let back = match name {
            "rt_sigreturn" => {
                let sp = self.value(kernel::stack_pointer(architecture));
                kernel::signal_return(architecture, sp, &mut |addr, into| {
                    self.read_memory(addr, into).is_ok()
                })
            }
            _ => self.pc.wrapping_add(len as u64),
        };
        self.run_with_breakpoint(back, len)
    }

    /// Executes another program. A stub that waits in there again is our own.
    fn step_exec(&mut self) -> Result<Stopped, Error> {
        match (self.resume(Go::Step), &mut self.stub) {
            (Err(_), Some(stub)) if stub.has_memory() => {
                let Ok(again) = Self::connect_again(stub) else { return Ok(Stopped::Ended(None)) };
                (self.connection, self.thread) = again;
                self.handlers = Handlers::of_new_program();
                Ok(Stopped::Stepped)
            }
            // Others are not asked again: what they run then may not even be a guest.
            (Err(_), _) => Ok(Stopped::Ended(None)),
            (stopped, _) => stopped,
        }
    }

    fn connect_again(stub: &mut Stub) -> Result<(Connection, String), Error> {
        let start = Instant::now();
        loop {
            // The socket of the program before may still take a connection, and drop it.
            let mut connection = stub.connect()?;
            match greet(&mut connection) {
                Ok(thread) => return Ok((connection, thread)),
                Err(error) if start.elapsed() > PATIENCE => return Err(error),
                Err(_) => std::thread::sleep(Duration::from_millis(5)),
            }
        }
    }

    /// Runs to a breakpoint, or steps if the stub has none.
    fn run_with_breakpoint(&mut self, at: u64, len: usize) -> Result<Stopped, Error> {
        match self.go_to(at, len)? {
            Some(stopped) => Ok(stopped),
            None => self.resume(Go::Step),
        }
    }

    /// The instruction at an address of a machine, whose memory may be elsewhere at any time.
    pub(super) fn fetch(&mut self, pc: u64) -> Option<Insn> {
        let architecture = self.header.architecture;
        let mut fetched = std::mem::take(&mut self.fetched);
        fetched.forget();
        let insn =
            fetched.insn(architecture, pc, |addr, bytes| self.read_memory(addr, bytes).is_ok());
        self.fetched = fetched;
        insn
    }

    /// Runs to a breakpoint for an instruction of so many bytes; `None` if the stub has none.
    fn go_to(&mut self, at: u64, len: usize) -> Result<Option<Stopped>, Error> {
        let place = format!("{at:x},{len}");
        if self.connection.ask(format!("Z0,{place}").as_bytes())? != b"OK" {
            return Ok(None);
        }
        let stopped = self.resume(Go::On)?;
        if !matches!(stopped, Stopped::Ended(_)) {
            self.connection.ask(format!("z0,{place}").as_bytes())?;
        }
        Ok(Some(stopped))
    }

    /// The length of breakpoints at instructions that were not looked at.
    fn breakpoint_len(&self) -> usize {
        if self.header.architecture == Architecture::X86_64 { 1 } else { 4 }
    }

    fn call_name(&self) -> Option<&'static str> {
        kernel::name(self.header.architecture, self.call?.number)
    }

    /// Lets the program go on, with the signal that it has stopped by, and says how it stopped.
    pub(super) fn resume(&mut self, how: Go) -> Result<Stopped, Error> {
        let packet = match (how, self.signal.take()) {
            (Go::Step, None) => "s".to_owned(),
            (Go::Step, Some((_, signal))) => format!("vCont;S{signal:02x}:{}", self.thread),
            (Go::On, None) => "c".to_owned(),
            (Go::On, Some((_, signal))) => format!("vCont;C{signal:02x}:{}", self.thread),
        };
        let answer = self.connection.ask(packet.as_bytes())?;
        let code = || {
            let digits = answer.get(1..3)?;
            u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
        };
        match (answer.first(), code()) {
            (Some(b'T' | b'S'), Some(TRAP)) => Ok(Stopped::Stepped),
            (Some(b'T' | b'S'), Some(signal)) => Ok(Stopped::Signal(signal)),
            (Some(b'W'), _) => Ok(Stopped::Ended(None)),
            (Some(b'X'), signal) => Ok(Stopped::Ended(signal)),
            _ => Err(failed(format!("the stub does not step: {}", answer.escape_ascii()))),
        }
    }

    /// What is known of the signal of gdb's number by which the program has stopped.
    fn info(&mut self, signal: u8) -> Result<Info, Error> {
        let number = kernel::signal_of_gdb(signal).ok_or_else(|| {
            failed(format!("the program gets a signal that gdb numbers {signal}"))
        })?;
        let answer = self.connection.ask(b"qXfer:siginfo:read::0,80")?;
        Ok(Info::new(number, answer.strip_prefix(b"l").or(answer.strip_prefix(b"m"))))
    }

    /// Whether the program has stopped by a signal and not by what we asked for, which stubs tell alike.
    fn is_trap(&mut self, event: &Event) -> Result<Option<Info>, Error> {
        let architecture = self.header.architecture;
        let is_breakpoint = signals::is_breakpoint(architecture, event.insn);
        if !is_breakpoint && !signals::may_send_trap(architecture, self.call.as_ref()) {
            return Ok(None);
        }
        let info = self.info(TRAP)?;
        let is_sent = info.code.is_some_and(|code| code <= 0);
        Ok(Some(info).filter(|_| is_breakpoint || is_sent))
    }

    /// Enters the handler of the signal by which the program has stopped.
    fn enter_handler(&mut self, number: u8, handler: u64, event: &mut Event) -> Result<(), Error> {
        event.trap = Some(signals::delivered(number));
        self.handlers.entered(number);
        let stopped = self.run_with_breakpoint(handler, self.breakpoint_len())?;
        self.fetched.forget();
        if matches!(stopped, Stopped::Ended(_)) {
            self.has_ended = true;
            return Ok(());
        }
        self.all_changes(&mut event.writes)?;
        match stopped {
            Stopped::Signal(signal) => self.signal = Some((self.info(signal)?, signal)),
            _ if self.pc != handler => {
                return Err(failed(format!(
                    "the handler of {} is not entered: the program is at {:#x}",
                    Signal::Delivered(number),
                    self.pc
                )));
            }
            _ => {}
        }
        Ok(())
    }

    /// The handler that is entered before the next instruction, with its signal.
    fn pending_handler(&self) -> Result<Option<(u8, u64)>, Error> {
        let Some((Info { number, .. }, _)) = self.signal else { return Ok(None) };
        match self.handlers.of(number) {
            Disposition::Handled(handler) => Ok(Some((number, handler))),
            Disposition::Left => Ok(None),
            Disposition::Unknown => Err(failed(format!(
                "the program gets {}, and has named its handler before it was looked at",
                Signal::Delivered(number)
            ))),
        }
    }

    /// Whether the program has a signal whose handler is entered next.
    pub(crate) fn has_handler_to_enter(&self) -> Result<bool, Error> {
        Ok(self.pending_handler()?.is_some())
    }

    /// Executes one instruction, which is filled in already, or the signal that comes before it.
    fn execute(&mut self, event: &mut Event) -> Result<(), Error> {
        let (word, len) = event.insn.map_or((0, 4), |insn| (insn.word(), insn.bytes().len()));
        let pending = self.signal.map(|(info, _)| info.number);
        let stopped = match self.call_name() {
            Some(name) if kernel::executes(name) => self.step_exec()?,
            Some(_) => self.step_call(len)?,
            None => self.resume(Go::Step)?,
        };
        let signal = match stopped {
            Stopped::Ended(by) => {
                self.has_ended = true;
                if self.call.is_none() {
                    let number = pending.or(by.and_then(kernel::signal_of_gdb)).unwrap_or(SIGKILL);
                    event.trap = Some(signals::delivered(number));
                }
                return Ok(());
            }
            Stopped::Signal(signal) => Some((self.info(signal)?, signal)),
            Stopped::Stepped => self.is_trap(event)?.map(|info| (info, TRAP)),
        };
        let shows_all =
            |name| matches!(name, "rt_sigreturn" | "arch_prctl") || kernel::executes(name);
        if self.call_name().is_some_and(shows_all) {
            self.all_changes(&mut event.writes)?;
        } else {
            self.changes(word, &mut event.writes)?;
        }
        self.signal = signal;
        match signal {
            Some((info, _)) if info.is_raised() => event.trap = Some(info.trap()),
            // It came before the instruction.
            Some(_) if self.pc == event.pc => match self.pending_handler()? {
                Some((number, handler)) => self.enter_handler(number, handler, event)?,
                None => return self.execute(event),
            },
            _ => self.finish_exclusive(word as u32, event)?,
        }
        Ok(())
    }

    /// Learns what a system call that has come back says of handlers.
    fn learn_handlers(&mut self) {
        let architecture = self.header.architecture;
        let Some(convention) = kernel::convention(architecture) else { return };
        if let Some(call) = self.call {
            let call = Call { result: self.value(convention.result), ..call };
            let mut handlers = std::mem::replace(&mut self.handlers, Handlers::unknown());
            handlers.learn(architecture, &call, |addr, into| self.read_memory(addr, into).is_ok());
            self.handlers = handlers;
        }
    }

    /// Tells which registers the instruction has changed.
    fn changes(&mut self, word: u64, writes: &mut Vec<RegWrite>) -> Result<(), Error> {
        self.read_general(Some(writes))?;
        let mut asked = std::mem::take(&mut self.asked);
        interest::written(self.header.architecture, word, &mut asked);
        // Some stubs show them with the general ones.
        asked.push(Register::FLAGS);
        asked.sort_unstable();
        asked.dedup();
        for register in &asked {
            let place = |known: &Described| known.what == What::Register(*register);
            if let Some(at) = self.registers.iter().position(place)
                && at >= self.general
            {
                self.read_one(at, Some(writes))?;
            }
        }
        self.asked = asked;
        Ok(())
    }

    pub(super) fn value(&self, register: Register) -> u64 {
        let place = |known: &Described| known.what == What::Register(register);
        self.registers.iter().position(place).map_or(0, |at| self.values[at] as u64)
    }

    /// A step ends in an exception, which takes the monitor of a load-exclusive away (Arm ARM, B2.17): no
    /// store-exclusive would ever succeed. As nothing else runs, it does here what it would have done.
    fn finish_exclusive(&mut self, word: u32, event: &mut Event) -> Result<(), Error> {
        let is_exclusive =
            guest::outside(self.header.architecture, event) == Some(guest::Outside::Contention);
        let field = |at: u32| (word >> at & 31) as u16;
        let status = Register::int(field(16));
        if self.header.architecture != Architecture::Aarch64
            || !is_exclusive
            || self.value(status) != 1
        {
            return Ok(());
        }
        let is_pair = word >> 21 & 1 == 1;
        let stored = [field(0), field(10)].map(|n| match n {
            31 => 0,
            n => self.value(Register::int(n)),
        });
        let size = 1 << (word >> 30);
        let mut bytes = stored[0].to_le_bytes()[..size].to_vec();
        if is_pair {
            bytes.extend_from_slice(&stored[1].to_le_bytes()[..size]);
        }
        if self.write_memory(self.value(Register::int(field(5))), &bytes)? {
            let write = RegWrite { register: status, value: 0 };
            self.write_register(write)?;
            event.writes.retain(|other| other.register != status);
            event.writes.push(write);
        }
        Ok(())
    }

    fn write_register(&mut self, write: RegWrite) -> Result<bool, Error> {
        let place = |known: &Described| known.what == What::Register(write.register);
        let Some(at) = self.registers.iter().position(place) else { return Ok(false) };
        let Described { number, bytes, .. } = self.registers[at];
        let digits = to_hex(&write.value.to_le_bytes()[..bytes.min(16)]);
        let packet = format!("P{number:x}={digits}");
        let done = self.connection.ask(packet.as_bytes())? == b"OK";
        if done {
            self.values[at] = write.value;
        }
        Ok(done)
    }

    fn write_memory(&mut self, addr: u64, bytes: &[u8]) -> Result<bool, Error> {
        let packet = format!("M{addr:x},{:x}:{}", bytes.len(), to_hex(bytes));
        Ok(self.connection.ask(packet.as_bytes())? == b"OK")
    }
}

/// How long a program may take until it can be looked at again.
const PATIENCE: Duration = Duration::from_secs(20);

/// Agrees with a stub on what both understand; returns the first thread's name.
fn greet(connection: &mut Connection) -> Result<String, Error> {
    connection.ask(b"qSupported:xmlRegisters=i386;vContSupported+")?;
    if connection.ask(b"QStartNoAckMode")? == b"OK" {
        connection.stop_acknowledging()?;
    }
    choose_thread(connection)
}

/// Has the first thread looked at and stepped, and says its name.
fn choose_thread(connection: &mut Connection) -> Result<String, Error> {
    connection.ask(b"?")?;
    let answer = connection.ask(b"qfThreadInfo")?;
    let Some(threads) = answer.strip_prefix(b"m") else { return Ok("0".to_owned()) };
    let first = threads.split(|&byte| byte == b',').next().unwrap_or_default();
    let first = String::from_utf8_lossy(first).into_owned();
    for operation in ["Hg", "Hc"] {
        connection.ask(format!("{operation}{first}").as_bytes())?;
    }
    Ok(first)
}

/// How far the program goes on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Go {
    Step,
    On,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Stopped {
    Stepped,
    Signal(u8),
    /// By itself, or by a signal of gdb's number.
    Ended(Option<u8>),
}

/// The target description and what it includes.
fn descriptions(connection: &mut Connection) -> Result<Vec<String>, Error> {
    let mut files = vec![feature(connection, "target.xml")?];
    for name in description::includes(&files[0]) {
        files.push(feature(connection, &name)?);
    }
    Ok(files)
}

fn feature(connection: &mut Connection, name: &str) -> Result<String, Error> {
    let mut text = Vec::new();
    loop {
        let packet = format!("qXfer:features:read:{name}:{:x},7f0", text.len());
        let answer = connection.ask(packet.as_bytes())?;
        match answer.split_first() {
            Some((b'm', part)) if !part.is_empty() => text.extend_from_slice(part),
            Some((b'l', part)) => {
                text.extend_from_slice(part);
                return Ok(String::from_utf8_lossy(&text).into_owned());
            }
            _ => return Err(failed(format!("the stub does not describe its registers ({name})"))),
        }
    }
}

/// What traces show of a register: of AArch64's PSTATE, which stubs call CPSR, the flags.
fn shown(architecture: Architecture, what: What, value: u128) -> u128 {
    const NZCV: u128 = 0xf000_0000;
    match (architecture, what) {
        (Architecture::Aarch64, What::Register(Register::FLAGS)) => value & NZCV,
        _ => value,
    }
}

/// The least significant byte first.
pub(super) fn number(bytes: &[u8]) -> u128 {
    let bytes = bytes.iter().take(16).enumerate();
    bytes.fold(0, |number, (n, &byte)| number | u128::from(byte) << (8 * n))
}

impl Source for Remote {
    fn header(&self) -> &Header {
        &self.header
    }

    fn next(&mut self, event: &mut Event) -> Result<bool, Error> {
        if self.has_ended {
            return Ok(false);
        }
        event.clear();
        if let Some(mut cpu) = self.cpu.take() {
            let next = self.next_of_machine(&mut cpu, event);
            self.cpu = Some(cpu);
            return next;
        }
        let (pc, architecture) = (self.pc, self.header.architecture);
        let mut fetched = std::mem::take(&mut self.fetched);
        event.pc = pc;
        event.insn =
            fetched.insn(architecture, pc, |addr, bytes| self.read_memory(addr, bytes).is_ok());
        self.fetched = fetched;
        if let Some((number, handler)) = self.pending_handler()? {
            self.call = None;
            self.enter_handler(number, handler, event)?;
            return Ok(true);
        }
        let is_call = guest::outside(architecture, event) == Some(guest::Outside::Kernel);
        self.call = kernel::convention(architecture)
            .filter(|_| is_call)
            .map(|convention| convention.call(|register| self.value(register)));
        self.execute(event)?;
        self.learn_handlers();
        if is_call {
            self.fetched.forget();
        }
        Ok(true)
    }
}

impl Execution for Remote {
    fn adopt(&mut self, event: &Event, reference: &mut dyn Execution) -> Result<bool, Error> {
        let architecture = self.header.architecture;
        let ranges = match (self.call.take(), kernel::convention(architecture)) {
            (Some(call), Some(convention)) => {
                let result = event.writes.iter().find(|write| write.register == convention.result);
                let result = result.map_or(call.args[0], |write| write.value as u64);
                kernel::written(architecture, &Call { result, ..call }, &mut |addr, into| {
                    self.read_memory(addr, into).is_ok()
                })
            }
            _ => Vec::new(),
        };
        let mut all = true;
        for write in &event.writes {
            all &= self.write_register(*write)?;
        }
        let Some(state) = reference.state() else { return Ok(all) };
        for range in ranges {
            let mut bytes = vec![0; (range.end - range.start) as usize];
            if state.read(range.start, &mut bytes).is_err() {
                continue;
            }
            for (n, piece) in bytes.chunks(MEMORY_MAX / 2).enumerate() {
                let addr = range.start + (n * (MEMORY_MAX / 2)) as u64;
                all &= self.write_memory(addr, piece)?;
            }
        }
        Ok(all)
    }

    fn state(&mut self) -> Option<&mut dyn State> {
        Some(self)
    }
}

impl State for Remote {
    fn pc(&self) -> Option<u64> {
        (!self.has_ended).then_some(self.pc)
    }

    fn registers(&self) -> Vec<RegWrite> {
        let known = self.registers.iter().zip(&self.values);
        let known = known.filter_map(|(described, value)| match described.what {
            What::Register(register) => Some(RegWrite { register, value: *value }),
            _ => None,
        });
        known.collect()
    }

    fn read(&mut self, addr: u64, into: &mut [u8]) -> Result<(), Error> {
        self.read_memory(addr, into)
    }

    fn privilege(&self) -> Option<Privilege> {
        self.cpu.as_ref().map(Cpu::level)
    }

    fn read_physical(&mut self, addr: u64, into: &mut [u8]) -> Result<(), Error> {
        match self.cpu.as_ref().map(|cpu| cpu.piece) {
            Some(piece) => self.read_machine_memory(piece, addr, into),
            None => self.read_memory(addr, into),
        }
    }

    fn mappings(&mut self) -> Result<Option<Vec<Mapping>>, Error> {
        if let Some(text) = files::read(&mut self.connection, "/proc/self/maps")? {
            let process = self.stub.as_ref().map(Stub::pid);
            return Ok(Some(maps::parse(&String::from_utf8_lossy(&text), process)));
        }
        Ok(None)
    }
}

impl std::fmt::Debug for Remote {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Remote").field("pc", &self.pc).finish_non_exhaustive()
    }
}
