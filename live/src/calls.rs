//! A comparison at system calls: what lies between runs at full speed on both sides.

use std::time::{Duration, Instant};

use diff::{Execution, State, guest};
use trace::{Architecture, Error, Event, RegClass, RegWrite, Source};

use crate::{Remote, Replayed};

/// Comparing memory takes no more than this part of the time.
const MEMORY_PART: u32 = 4;

/// Both sides, at a system call that both have executed, or at the beginning.
#[derive(Debug)]
pub struct Calls {
    reference: Remote,
    subject: Replayed,
    spent: Duration,
    begun: Instant,
}

/// How the sides part.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Parted {
    /// They do not: the program has ended.
    No,
    /// Between the last call and where one of them is now; in a few words, how.
    Before(String),
}

/// Bytes of the instruction that calls the system.
#[must_use]
pub const fn call_bytes(architecture: Architecture) -> u64 {
    match architecture {
        Architecture::X86_64 => 2,
        Architecture::Riscv64 | Architecture::Aarch64 => 4,
    }
}

/// Takes the reference past system calls at these addresses.
///
/// # Errors
/// It does not come there.
pub fn pass(reference: &mut Remote, calls: &[u64]) -> Result<(), Error> {
    let mut event = Event::default();
    for &pc in calls {
        if !reference.run_to(pc)? || !reference.next(&mut event)? {
            return Err(crate::failed(format!(
                "the program does not come to its system call at {pc:#x} again: it does not repeat itself"
            )));
        }
    }
    Ok(())
}

impl Calls {
    /// Takes the reference past calls on which the sides agree; there the subject begins.
    ///
    /// # Errors
    /// It does not come there, or the subject cannot take over its state.
    pub fn new(
        mut reference: Remote,
        mut subject: Replayed,
        agreed: &[u64],
    ) -> Result<Self, Error> {
        pass(&mut reference, agreed)?;
        subject.begin(&mut reference)?;
        Ok(Self { reference, subject, spent: Duration::ZERO, begun: Instant::now() })
    }

    /// How many instructions the subject has executed.
    #[must_use]
    pub fn executed(&self) -> u64 {
        self.subject.executed()
    }

    /// Runs to the end, or until the sides part. Each call on which they agree is told, by its address.
    ///
    /// # Errors
    /// A side fails.
    pub fn run(&mut self, mut agreed: impl FnMut(u64)) -> Result<Parted, Error> {
        let architecture = self.reference.header().architecture;
        let mut event = Event::default();
        loop {
            if !self.subject.run_to_call() {
                let pc = self.subject.pc();
                return Ok(Parted::Before(format!("the subject raises a signal at {pc:#x}")));
            }
            let call = self.subject.pc().wrapping_sub(call_bytes(architecture));
            if !self.reference.run_to(call)? {
                return Ok(Parted::Before(format!(
                    "the subject calls the system at {call:#x}, and the reference does not come there"
                )));
            }
            if let Some(difference) = self.difference(architecture)? {
                return Ok(Parted::Before(format!("at the system call at {call:#x} {difference}")));
            }
            self.reference.next(&mut event)?;
            self.subject.adopt(&event, &mut self.reference)?;
            agreed(call);
            // Handlers that are entered behind the call.
            while self.reference.has_handler_to_enter()? {
                self.reference.next(&mut event)?;
                self.subject.adopt(&event, &mut self.reference)?;
            }
            if self.reference.pc().is_none() {
                return Ok(Parted::No);
            }
        }
    }

    fn difference(&mut self, architecture: Architecture) -> Result<Option<String>, Error> {
        let theirs = State::registers(&self.reference);
        let own = self.subject.registers();
        let value = |write: &RegWrite| {
            own.iter().find(|other| other.register == write.register).map(|other| other.value)
        };
        for write in theirs.iter().filter(|write| counts(architecture, write)) {
            let defined = guest::defined(architecture, write.register);
            if let Some(own) = value(write).filter(|own| (own ^ write.value) & defined != 0) {
                let name = write.register.shown(architecture);
                let theirs = write.value;
                return Ok(Some(format!("{name} is {theirs:#x}, in the subject {own:#x}")));
            }
        }
        if !self.reference.has_memory() || self.spent * MEMORY_PART > self.begun.elapsed() {
            return Ok(None);
        }
        let start = Instant::now();
        let place = self.subject.memory_differs(&mut self.reference)?;
        self.spent += start.elapsed();
        Ok(place.map(|place| format!("memory differs at {place:#x}")))
    }
}

/// Whether a register is the same at a system call on both sides: on x86-64, SYSCALL itself writes rcx and r11, and some flags may
/// be undefined.
fn counts(architecture: Architecture, write: &RegWrite) -> bool {
    architecture != Architecture::X86_64
        || match write.register.class {
            RegClass::Int => !matches!(write.register.number, 1 | 11),
            RegClass::Flags => false,
            _ => true,
        }
}
