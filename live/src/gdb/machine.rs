//! A machine's CPU behind a stub: its levels, its control registers, and the traps that a step may end in.
//!
//! Steps end where something has happened: an instruction was executed, or a trap was taken instead of one. Which it was, registers tell: after a
//! trap, the hart is at one of its vectors, and xepc says where it was.

use std::io::ErrorKind;

use arch::riscv64::privileged::INTERRUPT;
use trace::{Error, Event, Privilege, RegWrite, Register, Trap};

use super::connection::{Connection, from_hex};
use super::description::{Described, What};
use super::interest;
use super::remote::{Go, Remote, Stopped, number};
use crate::failed;

const MTVEC: Register = Register::control(0x305);
const STVEC: Register = Register::control(0x105);
/// Of each level that traps go to: xepc, xcause, xtval.
const OF_MACHINE: [Register; 3] =
    [Register::control(0x341), Register::control(0x342), Register::control(0x343)];
const OF_SUPERVISOR: [Register; 3] =
    [Register::control(0x141), Register::control(0x142), Register::control(0x143)];

const WFI: u32 = 0x1050_0073;
const MACHINE: u8 = 3;
/// Bytes of memory in a packet, where the stub takes long ones.
const LONG: usize = 0x4000;

/// What is known of a machine's CPU beside its registers.
#[derive(Debug)]
pub(super) struct Cpu {
    /// The stub's number of the level.
    level_number: u32,
    level: u8,
    waited: Option<Waited>,
    /// Whether the instruction that is asked for has been executed.
    has_stepped: bool,
    /// Bytes of memory that one packet asks for.
    pub(super) piece: usize,
}

/// An interrupt that was taken in the same step as the WFI before it.
#[derive(Debug)]
struct Waited {
    /// Where the hart is in the handler, and where it was before.
    pc: u64,
    level: u8,
    writes: Vec<RegWrite>,
}

/// The number of the pseudo-register that shows a machine's level, if it is one.
pub(super) fn level_of(registers: &[Described]) -> Option<u32> {
    let level = registers.iter().find(|register| register.what == What::Level)?;
    Some(level.number)
}

impl Cpu {
    /// Tells the stub that interrupts are to come while it steps, too.
    pub(super) fn new(connection: &mut Connection, level_number: u32) -> Result<Self, Error> {
        // qemu's: neither NOIRQ nor NOTIMER. Who does not know it has its own way.
        connection.ask(b"Qqemu.sstep=1")?;
        let answer = String::from_utf8_lossy(connection.ask(b"qSupported")?).into_owned();
        let size = answer.split(';').find_map(|word| word.strip_prefix("PacketSize="));
        let size = size.and_then(|digits| usize::from_str_radix(digits, 16).ok()).unwrap_or(0);
        let piece = (size / 2).saturating_sub(16).clamp(0x100, LONG);
        let (waited, has_stepped) = (None, false);
        let mut cpu = Self { level_number, level: MACHINE, waited, has_stepped, piece };
        cpu.read_level(connection)?;
        Ok(cpu)
    }

    pub(super) fn level(&self) -> Privilege {
        Privilege(self.level)
    }

    fn read_level(&mut self, connection: &mut Connection) -> Result<(), Error> {
        let answer = connection.ask(format!("p{:x}", self.level_number).as_bytes())?;
        let bytes = from_hex(answer).ok_or_else(|| failed("the stub does not say the level"))?;
        self.level = number(&bytes) as u8 & MACHINE;
        Ok(())
    }

    /// What its last trap has written, by the level that it has gone to.
    fn trap_registers(&self) -> [Register; 3] {
        if self.level == MACHINE { OF_MACHINE } else { OF_SUPERVISOR }
    }
}

/// Whether nobody is at the other end any more.
fn is_gone(error: &Error) -> bool {
    use ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, UnexpectedEof};
    let kinds = [BrokenPipe, ConnectionAborted, ConnectionReset, UnexpectedEof];
    matches!(error, Error::Io(error) if kinds.contains(&error.kind()))
}

impl Remote {
    /// Fills in the event of one of a machine's instructions, or of a trap. Whether there is one: a machine that is switched off goes away with
    /// its stub, and may not say what the last instruction did.
    pub(super) fn next_of_machine(
        &mut self,
        cpu: &mut Cpu,
        event: &mut Event,
    ) -> Result<bool, Error> {
        cpu.has_stepped = false;
        match self.execute_of_machine(cpu, event) {
            Ok(()) => Ok(true),
            Err(error) if is_gone(&error) => {
                self.has_ended = true;
                Ok(cpu.has_stepped)
            }
            Err(error) => Err(error),
        }
    }

    /// Executes one of a machine's instructions, or takes a trap.
    fn execute_of_machine(&mut self, cpu: &mut Cpu, event: &mut Event) -> Result<(), Error> {
        event.pc = self.pc;
        if let Some(Waited { pc, level, writes }) = cpu.waited.take() {
            event.privilege = Some(Privilege(level));
            event.writes = writes;
            event.trap = Some(self.trap_of(cpu));
            self.pc = pc;
            return Ok(());
        }
        event.privilege = Some(cpu.level());
        event.insn = self.fetch(event.pc);
        let word = event.insn.map_or(0, |insn| insn.word() as u32);
        let behind = event.pc.wrapping_add(event.insn.map_or(4, |insn| insn.bytes().len() as u64));
        let stopped =
            if word == WFI { self.wait_for_interrupt(behind)? } else { self.resume(Go::Step)? };
        cpu.has_stepped = true;
        if let Stopped::Ended(_) = stopped {
            self.has_ended = true;
            return Ok(());
        }
        self.read_general(Some(&mut event.writes))?;
        if self.is_at_vector() && self.take_trap(cpu, event, (word, behind))? {
            return Ok(());
        }
        let mut asked = Vec::new();
        interest::of_machine(word, &mut asked);
        self.read_some(&asked, &mut event.writes)?;
        if interest::returns_from_trap(word) {
            cpu.read_level(&mut self.connection)?;
        }
        Ok(())
    }

    /// Executes WFI. Stubs that step over it step over the instruction behind it, too; so breakpoints stand wherever it may go on.
    fn wait_for_interrupt(&mut self, behind: u64) -> Result<Stopped, Error> {
        /// By its number, of any interrupt that there is.
        const INTERRUPTS: std::ops::Range<u64> = 1..14;
        let mut places = vec![behind];
        for vector in [MTVEC, STVEC] {
            let tvec = self.value(vector);
            let base = tvec & !3;
            match tvec & 3 {
                1 => places.extend(INTERRUPTS.map(|number| base.wrapping_add(4 * number))),
                _ => places.push(base),
            }
        }
        places.sort_unstable();
        places.dedup();
        let mut set = Vec::new();
        for place in places {
            if self.connection.ask(format!("Z0,{place:x},4").as_bytes())? == b"OK" {
                set.push(place);
            }
        }
        let stopped = self.resume(if set.is_empty() { Go::Step } else { Go::On })?;
        if !matches!(stopped, Stopped::Ended(_)) {
            for place in set {
                self.connection.ask(format!("z0,{place:x},4").as_bytes())?;
            }
        }
        Ok(stopped)
    }

    /// Whether the hart is where a trap may have taken it.
    fn is_at_vector(&self) -> bool {
        /// Of interrupts, at most.
        const VECTORS: u64 = 64;
        [MTVEC, STVEC].into_iter().any(|vector| {
            let tvec = self.value(vector);
            let distance = self.pc.wrapping_sub(tvec & !3);
            let is_vectored = tvec & 3 == 1;
            distance == 0 || is_vectored && distance.is_multiple_of(4) && distance / 4 < VECTORS
        })
    }

    /// Finds out whether a trap was taken. Then the event has it.
    fn take_trap(
        &mut self,
        cpu: &mut Cpu,
        event: &mut Event,
        (word, behind): (u32, u64),
    ) -> Result<bool, Error> {
        let (level, plain) = (cpu.level, event.writes.len());
        cpu.read_level(&mut self.connection)?;
        self.read_some(&interest::of_traps(), &mut event.writes)?;
        let has_changed = cpu.level != level || event.writes.len() > plain;
        let epc = self.value(cpu.trap_registers()[0]);
        let trap = self.trap_of(cpu);
        let is_interrupt = trap.cause.is_some_and(|cause| cause & INTERRUPT != 0);
        if word == WFI && epc == behind && is_interrupt && has_changed {
            let (pc, writes) = (self.pc, std::mem::take(&mut event.writes));
            cpu.waited = Some(Waited { pc, level, writes });
            self.pc = behind;
            return Ok(true);
        }
        // Without a trap, only a jump leads to the vector, if that is not what comes next anyway.
        let may_be_plain = self.pc == behind || interest::may_jump(word);
        if epc != event.pc || may_be_plain && !has_changed {
            return Ok(false);
        }
        event.trap = Some(trap);
        Ok(true)
    }

    /// The trap that was taken last.
    fn trap_of(&self, cpu: &Cpu) -> Trap {
        let [_, cause, value] = cpu.trap_registers().map(|register| self.value(register));
        Trap { cause: Some(cause), value: Some(value), signal: None }
    }

    /// Reads some registers, and tells which have changed.
    fn read_some(&mut self, some: &[Register], writes: &mut Vec<RegWrite>) -> Result<(), Error> {
        for register in some {
            let place = |known: &Described| known.what == What::Register(*register);
            if let Some(at) = self.registers.iter().position(place)
                && at >= self.general
                && !writes.iter().any(|write| write.register == *register)
            {
                self.read_one(at, Some(writes))?;
            }
        }
        Ok(())
    }

    /// Reads physical memory, where the stub can; otherwise by virtual addresses, which are the same at the start.
    pub(super) fn read_machine_memory(
        &mut self,
        piece: usize,
        addr: u64,
        into: &mut [u8],
    ) -> Result<(), Error> {
        self.connection.ask(b"Qqemu.PhyMemMode:1")?;
        let mut at = addr;
        let mut read = Ok(());
        for part in into.chunks_mut(piece) {
            let answer = self.connection.ask(format!("m{at:x},{:x}", part.len()).as_bytes())?;
            match from_hex(answer).filter(|bytes| bytes.len() == part.len()) {
                Some(bytes) => part.copy_from_slice(&bytes),
                None => {
                    read = Err(failed(format!("cannot read physical memory at {at:#x}")));
                    break;
                }
            }
            at = at.wrapping_add(part.len() as u64);
        }
        self.connection.ask(b"Qqemu.PhyMemMode:0")?;
        read
    }
}
