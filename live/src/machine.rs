//! A machine of Ferry's that is stepped beside another one.

use arch::riscv64::privileged::INTERRUPT;
use base::{GuestPhys, GuestVirt};
use diff::{Execution, State, guest};
use system::riscv64::{Config, Stepped, VirtError};
use trace::{Architecture, Carries, Error, Event, Header, RegClass, RegWrite, Source, Writes};

use crate::failed;

/// Bytes of memory that are copied at once.
const PIECE: u64 = 1 << 20;
/// Bytes of ROM in which harts start, and where their device tree lies, in any machine.
const START_CODE: u64 = 0x1000;

/// A machine, stepped, that takes from the reference what comes from outside: what devices and counters say, and when interrupts come.
/// It begins with its own images, and with the rest of the reference's memory.
#[derive(Debug)]
pub struct Machine {
    stepped: Stepped,
    header: Header,
    /// The interrupt that it takes next.
    interrupt: Option<u64>,
}

fn wrong(error: VirtError) -> Error {
    failed(error.to_string())
}

impl Machine {
    /// A machine of these settings.
    ///
    /// # Errors
    /// It cannot be put together, or not be stepped.
    pub fn new(config: Config) -> Result<Self, Error> {
        let stepped = Stepped::new(config).map_err(wrong)?;
        let carries = Carries {
            insn: true,
            privilege: true,
            int: Writes::Changes,
            float: Writes::Changes,
            control: Writes::Changes,
            traps: true,
            ..Carries::default()
        };
        let header = Header { architecture: Architecture::Riscv64, carries, program: None };
        Ok(Self { stepped, header, interrupt: None })
    }

    /// Copies what the reference has where nothing of the machine's own is.
    fn take_over_memory(&mut self, state: &mut dyn State) -> Result<(), Error> {
        let (rom, bytes) = self.stepped.rom();
        let mut code = vec![0; START_CODE.min(bytes) as usize];
        if state.read_physical(rom.0, &mut code).is_ok() {
            self.stepped.write_rom(&code).map_err(wrong)?;
        }
        for range in self.stepped.empty_ranges().map_err(wrong)? {
            for start in range.clone().step_by(PIECE as usize) {
                let mut bytes = vec![0; PIECE.min(range.end - start) as usize];
                state.read_physical(start, &mut bytes).map_err(|error| {
                    failed(format!("{error}: both machines must have as much memory"))
                })?;
                if bytes.iter().any(|byte| *byte != 0) {
                    self.stepped.write(GuestPhys(start), &bytes).map_err(wrong)?;
                }
            }
        }
        Ok(())
    }
}

/// Whether an instruction is SC, with its word.
fn store_conditional(event: &Event) -> Option<u32> {
    let is_it = guest::outside(Architecture::Riscv64, event) == Some(guest::Outside::Contention);
    event.insn.filter(|_| is_it).map(|insn| insn.word() as u32)
}

impl Source for Machine {
    fn header(&self) -> &Header {
        &self.header
    }

    fn next(&mut self, event: &mut Event) -> Result<bool, Error> {
        event.clear();
        match self.interrupt.take() {
            Some(cause) if self.stepped.interrupt(cause, event) => Ok(true),
            Some(cause) => {
                let number = cause & !INTERRUPT;
                Err(failed(format!("the reference takes interrupt {number}, which Ferry has not")))
            }
            None => Ok(self.stepped.step(event)),
        }
    }
}

impl Execution for Machine {
    fn begin(&mut self, reference: &mut dyn Execution) -> Result<bool, Error> {
        const NONE: &str =
            "a machine can only be stepped beside another one, of RISC-V, that is live: gdb:…";
        let state = reference.state().ok_or_else(|| failed(NONE))?;
        let level = state.privilege().ok_or_else(|| failed(NONE))?;
        let pc = state.pc().ok_or_else(|| failed("the reference has ended"))?;
        self.take_over_memory(state)?;
        let (controls, others): (Vec<RegWrite>, Vec<_>) =
            state.registers().iter().partition(|write| write.register.class == RegClass::Control);
        // Some are fixed, or have fewer bits: what comes of that is a difference where an instruction reads them.
        self.stepped.set_registers(&controls);
        if !self.stepped.set_registers(&others) {
            return Err(failed("the reference has other registers"));
        }
        self.stepped.set_place(GuestVirt(pc), level);
        // What they are now is no change.
        self.stepped.registers();
        Ok(true)
    }

    fn lead(&mut self, event: &Event) -> Result<(), Error> {
        let cause = event.trap.and_then(|trap| trap.cause);
        self.interrupt = cause.filter(|cause| cause & INTERRUPT != 0);
        if let Some(word) = store_conditional(event).filter(|_| event.trap.is_none()) {
            let rd = trace::Register::int((word >> 7 & 31) as u16);
            let known = |all: &[RegWrite]| {
                all.iter().find(|write| write.register == rd).map(|write| write.value)
            };
            let status = known(&event.writes).or_else(|| known(&self.stepped.registers()));
            if let Some(status) = status {
                self.stepped.decide_store_conditional(word, status == 0);
            }
        }
        Ok(())
    }

    fn is_from_outside(&self) -> bool {
        self.stepped.has_read_device()
    }

    fn adopt(&mut self, event: &Event, _: &mut dyn Execution) -> Result<bool, Error> {
        Ok(self.stepped.set_registers(&event.writes))
    }

    fn is_led(&self) -> bool {
        true
    }
}
