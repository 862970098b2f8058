//! An execution that is stepped through gdb's remote protocol.

use diff::{Execution, Mapping, State, guest};
use linux_user::Replica;
use linux_user::kernel::{self, Call};
use trace::{
    Architecture, Carries, Error, Event, Header, RegWrite, Register, Source, Trap, Writes,
};

use super::connection::{Connection, from_hex, to_hex};
use super::description::{self, Described, What};
use super::stub::Stub;
use super::{files, interest};
use crate::fetched::Fetched;
use crate::{failed, maps};

/// Bytes of memory in a packet: as digits, they fit into any stub's.
const MEMORY_MAX: usize = 0x700;

/// A single-threaded program, or the first CPU of a machine, behind a stub.
pub struct Remote {
    connection: Connection,
    header: Header,
    registers: Vec<Described>,
    /// How many of them one packet shows.
    general: usize,
    /// As they were last, by their place in `registers`.
    values: Vec<u128>,
    pc: u64,
    has_ended: bool,
    fetched: Fetched,
    asked: Vec<Register>,
    /// A signal that the program gets with the next step.
    signal: Option<u8>,
    /// The system call that was executed last, as it was before.
    call: Option<Call>,
    stub: Option<Stub>,
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
        connection.ask(b"qSupported:xmlRegisters=i386;vContSupported+")?;
        if connection.ask(b"QStartNoAckMode")? == b"OK" {
            connection.stop_acknowledging()?;
        }
        choose_thread(&mut connection)?;
        let files = descriptions(&mut connection)?;
        let (architecture, registers) = description::parse(&files)
            .ok_or_else(|| failed("the stub does not describe a CPU that Ferry knows"))?;
        let carries = Carries {
            insn: true,
            int: Writes::Changes,
            float: Writes::Changes,
            control: Writes::Changes,
            traps: true,
            ..Carries::default()
        };
        let mut remote = Self {
            connection,
            header: Header { architecture, carries, program: None },
            values: vec![0; registers.len()],
            registers,
            general: 0,
            pc: 0,
            has_ended: false,
            fetched: Fetched::default(),
            asked: Vec::new(),
            signal: None,
            call: None,
            stub,
        };
        remote.read_all()?;
        Ok(remote)
    }

    fn read_all(&mut self) -> Result<(), Error> {
        self.read_general(None)?;
        (self.general..self.registers.len()).try_for_each(|at| self.read_one(at, None))
    }

    /// Reads what one packet shows, and tells what has changed.
    fn read_general(&mut self, mut changes: Option<&mut Vec<RegWrite>>) -> Result<(), Error> {
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
    fn read_one(&mut self, at: usize, changes: Option<&mut Vec<RegWrite>>) -> Result<(), Error> {
        let What::Register(register) = self.registers[at].what else { return Ok(()) };
        let answer = self.connection.ask(format!("p{:x}", self.registers[at].number).as_bytes())?;
        // `E..` is what the stub does not have in the end, though it described it.
        let Some(bytes) = from_hex(answer) else { return Ok(()) };
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
        let kind = if self.header.architecture == Architecture::X86_64 { 1 } else { 4 };
        if self.connection.ask(format!("Z0,{pc:x},{kind}").as_bytes())? != b"OK" {
            return Err(failed("the stub has no breakpoints"));
        }
        let packet = match self.signal.take() {
            Some(signal) => format!("C{signal:02x}"),
            None => "c".to_owned(),
        };
        let stopped = self.resume(&packet)?;
        self.fetched.forget();
        match stopped {
            Stopped::Ended => self.has_ended = true,
            Stopped::Stepped | Stopped::Signal(_) => {
                self.connection.ask(format!("z0,{pc:x},{kind}").as_bytes())?;
                self.read_all()?;
            }
        }
        if let Stopped::Signal(signal) = stopped {
            self.signal = Some(signal);
        }
        Ok(!self.has_ended && self.pc == pc)
    }

    /// Whether its memory can be read at any speed.
    #[must_use]
    pub fn has_memory(&self) -> bool {
        self.stub.as_ref().is_some_and(Stub::has_memory)
    }

    /// Executes a system call. Stubs that step over one step over the instruction behind it, too; so a breakpoint
    /// stands there. But where a handler returns from a signal, it goes on elsewhere.
    fn step_call(&mut self, len: usize) -> Result<Stopped, Error> {
        let architecture = self.header.architecture;
        let name = self.call.and_then(|call| kernel::name(architecture, call.number));
        let back = format!("{:x},{len}", self.pc.wrapping_add(len as u64));
        let is_left = matches!(name, Some("rt_sigreturn" | "execve" | "execveat"));
        if is_left || self.connection.ask(format!("Z0,{back}").as_bytes())? != b"OK" {
            return self.resume("s");
        }
        let stopped = self.resume("c")?;
        if !matches!(stopped, Stopped::Ended) {
            self.connection.ask(format!("z0,{back}").as_bytes())?;
        }
        Ok(stopped)
    }

    /// Executes one instruction.
    fn step(&mut self) -> Result<Stopped, Error> {
        match self.signal.take() {
            Some(signal) => self.resume(&format!("S{signal:02x}")),
            None => self.resume("s"),
        }
    }

    /// Lets the program go on, and says how it stopped.
    fn resume(&mut self, packet: &str) -> Result<Stopped, Error> {
        let answer = self.connection.ask(packet.as_bytes())?;
        let code = || {
            let digits = answer.get(1..3)?;
            u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
        };
        match (answer.first(), code()) {
            (Some(b'T' | b'S'), Some(5)) => Ok(Stopped::Stepped),
            (Some(b'T' | b'S'), Some(signal)) => Ok(Stopped::Signal(signal)),
            (Some(b'W' | b'X'), _) => Ok(Stopped::Ended),
            _ => Err(failed(format!("the stub does not step: {}", answer.escape_ascii()))),
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

    fn value(&self, register: Register) -> u64 {
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

/// Has the first thread looked at and stepped.
fn choose_thread(connection: &mut Connection) -> Result<(), Error> {
    connection.ask(b"?")?;
    let answer = connection.ask(b"qfThreadInfo")?;
    let Some(threads) = answer.strip_prefix(b"m") else { return Ok(()) };
    let first = threads.split(|&byte| byte == b',').next().unwrap_or_default();
    let first = String::from_utf8_lossy(first).into_owned();
    for operation in ["Hg", "Hc"] {
        connection.ask(format!("{operation}{first}").as_bytes())?;
    }
    Ok(())
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Stopped {
    Stepped,
    Signal(u8),
    Ended,
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
fn number(bytes: &[u8]) -> u128 {
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
        let (pc, architecture) = (self.pc, self.header.architecture);
        let mut fetched = std::mem::take(&mut self.fetched);
        event.pc = pc;
        event.insn =
            fetched.insn(architecture, pc, |addr, bytes| self.read_memory(addr, bytes).is_ok());
        self.fetched = fetched;
        let word = event.insn.map_or(0, |insn| insn.word());
        let is_call = guest::outside(architecture, event) == Some(guest::Outside::Kernel);
        self.call = kernel::convention(architecture)
            .filter(|_| is_call)
            .map(|convention| convention.call(|register| self.value(register)));
        let len = event.insn.map_or(4, |insn| insn.bytes().len());
        let stopped =
            if is_call && self.signal.is_none() { self.step_call(len)? } else { self.step()? };
        match stopped {
            Stopped::Stepped => {
                self.changes(word, &mut event.writes)?;
                self.finish_exclusive(word as u32, event)?;
            }
            Stopped::Signal(signal) => {
                self.changes(word, &mut event.writes)?;
                event.trap = Some(Trap::default());
                self.signal = Some(signal);
            }
            Stopped::Ended => self.has_ended = true,
        }
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

    fn mappings(&mut self) -> Result<Option<Vec<Mapping>>, Error> {
        if let Some(text) = files::read(&mut self.connection, "/proc/self/maps")? {
            return Ok(Some(maps::parse(&String::from_utf8_lossy(&text))));
        }
        // Ferry's guests see their own addresses; what may be executed there, the host does not know.
        let Some(stub) = self.stub.as_ref().filter(|stub| stub.has_memory()) else {
            return Ok(None);
        };
        let text = std::fs::read_to_string(format!("/proc/{}/maps", stub.pid()))?;
        let mut found = maps::parse(&text);
        found.retain(|mapping| mapping.range.end <= Replica::MEMORY_END);
        found.iter_mut().for_each(|mapping| {
            (mapping.write, mapping.execute) = (mapping.read, mapping.read);
        });
        Ok(Some(found))
    }
}

impl std::fmt::Debug for Remote {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Remote").field("pc", &self.pc).finish_non_exhaustive()
    }
}
