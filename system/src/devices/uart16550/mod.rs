//! The serial port NS16550A (National Semiconductor PC16550D data sheet), with registers one byte apart.
//!
//! What differs: words have eight bits whatever LCR says, and parity is neither sent nor checked; sending
//! takes no time, but waits while whoever is behind the port has no room, which the guest sees in THRE.
//! The modem's inputs are those of a peer that is always there. Breaks are received, but sent in
//! loopback only. Wider accesses are to the register at their offset.

mod receiver;
pub mod regs;

use std::collections::VecDeque;

use receiver::{FIFO, Receiver};
use regs::{fcr, ier, iir, lcr, lsr, mcr, msr, reg};

use crate::device::{Access, Device, Effect, Lines, Notifier, Refusal, Time, World};
use crate::host::chars::CharBackend;

/// Bytes of its window.
const WINDOW: u64 = 8;
/// The clock of the `virt` machine's port, in Hz.
pub const CLOCK: u32 = 3_686_400;

/// The modem's inputs while nothing is looped back.
const PEER: u8 = msr::CTS | msr::DSR | msr::DCD;

/// The device.
pub struct Uart16550 {
    backend: Box<dyn CharBackend>,
    clock: u32,
    receiver: Receiver,
    /// The transmitter's FIFO or holding register.
    transmitter: VecDeque<u8>,
    /// The transmitter ran empty, and nobody has looked.
    thr_empty: bool,
    divisor: u16,
    ier: u8,
    fcr: u8,
    lcr: u8,
    mcr: u8,
    scr: u8,
    /// The delta bits of MSR.
    deltas: u8,
}

impl Uart16550 {
    /// Before a backend, with a clock in Hz.
    #[must_use]
    pub fn new(backend: Box<dyn CharBackend>, clock: u32) -> Self {
        Self {
            backend,
            clock: clock.max(1),
            receiver: Receiver::new(1),
            transmitter: VecDeque::with_capacity(FIFO),
            thr_empty: false,
            divisor: 0,
            ier: 0,
            fcr: 0,
            lcr: 0,
            mcr: 0,
            scr: 0,
            deltas: 0,
        }
    }

    fn has_fifos(&self) -> bool {
        self.fcr & fcr::ENABLE != 0
    }

    fn capacity(&self) -> usize {
        if self.has_fifos() { FIFO } else { 1 }
    }

    fn loops(&self) -> bool {
        self.mcr & mcr::LOOP != 0
    }

    /// Nanoseconds that four characters take on the line.
    fn patience(&self) -> u64 {
        let bit = |flag| u64::from(self.lcr & flag != 0);
        let bits = 1 + 5 + u64::from(self.lcr & lcr::WLS) + bit(lcr::PEN) + 1 + bit(lcr::STB);
        4 * bits * 16 * u64::from(self.divisor.max(1)) * 1_000_000_000 / u64::from(self.clock)
    }

    /// What has come in goes to the receiver, as far as it has room.
    fn receive(&mut self, now: Time) {
        if self.loops() || self.receiver.room() == 0 {
            return;
        }
        let patience = self.patience();
        let mut bytes = [0; FIFO];
        let room = self.receiver.room();
        let given = self.backend.read(&mut bytes[..room]).min(room);
        bytes[..given].iter().for_each(|&byte| self.receiver.push(byte, 0, now, patience));
        if self.receiver.room() > 0 && self.backend.take_break() {
            self.receiver.push(0, lsr::BI, now, patience);
        }
    }

    /// What the transmitter holds goes out, as far as the backend takes it.
    fn send(&mut self) {
        if !self.transmitter.is_empty() {
            let taken = self.backend.write(self.transmitter.make_contiguous());
            self.transmitter.drain(..taken.min(self.transmitter.len()));
            self.thr_empty |= self.transmitter.is_empty();
        }
    }

    /// The source that IIR names: the enabled one with the highest priority (table IV).
    fn interrupt(&self) -> u8 {
        let trigger = match self.has_fifos() {
            true => fcr::TRIGGERS[usize::from(self.fcr >> fcr::TRIGGER_SHIFT)],
            false => 1,
        };
        let sources = [
            (ier::ELSI, iir::LINE_STATUS, self.receiver.status() & lsr::ERRORS != 0),
            (ier::ERBFI, iir::DATA_AVAILABLE, self.receiver.len() >= trigger),
            (ier::ERBFI, iir::CHARACTER_TIMEOUT, self.receiver.timed_out()),
            (ier::ETBEI, iir::THR_EMPTY, self.thr_empty),
            (ier::EDSSI, iir::MODEM_STATUS, self.deltas != 0),
        ];
        let pending = |(enable, _, pending): &(u8, u8, bool)| *pending && self.ier & enable != 0;
        sources.iter().find(|source| pending(source)).map_or(iir::NONE, |&(_, source, _)| source)
    }

    /// Line status.
    fn lsr(&self) -> u8 {
        let empty = self.transmitter.is_empty();
        self.receiver.status() | if empty { lsr::THRE | lsr::TEMT } else { 0 }
    }

    /// The modem's inputs; in loopback, its outputs.
    fn modem(&self) -> u8 {
        if !self.loops() {
            return PEER;
        }
        let wires = [
            (mcr::DTR, msr::DSR),
            (mcr::RTS, msr::CTS),
            (mcr::OUT1, msr::RI),
            (mcr::OUT2, msr::DCD),
        ];
        let driven = wires.iter().filter(|(output, _)| self.mcr & output != 0);
        driven.fold(0, |inputs, (_, input)| inputs | input)
    }

    /// Receiver buffer.
    fn read_rbr(&mut self, now: Time) -> u8 {
        let byte = self.receiver.pop(now, self.patience());
        self.receive(now);
        byte
    }

    /// Interrupt identification. Naming the transmitter ends its interrupt.
    fn read_iir(&mut self) -> u8 {
        let source = self.interrupt();
        if source == iir::THR_EMPTY {
            self.thr_empty = false;
        }
        source | if self.has_fifos() { iir::FIFOS } else { 0 }
    }

    /// Transmitter holding. Without room, a FIFO loses the new byte and a holding register the old one.
    fn write_thr(&mut self, byte: u8, now: Time) {
        if self.loops() {
            self.receiver.push(byte, 0, now, self.patience());
            self.thr_empty = true;
            return;
        }
        self.thr_empty = false;
        if self.transmitter.len() >= self.capacity() && !self.has_fifos() {
            self.transmitter.clear();
        }
        if self.transmitter.len() < self.capacity() {
            self.transmitter.push_back(byte);
        }
        self.send();
    }

    /// Interrupt enable. An empty transmitter asks at once.
    fn write_ier(&mut self, value: u8) {
        let enabled = value & !self.ier;
        self.ier = value & ier::ALL;
        self.thr_empty |= enabled & ier::ETBEI != 0 && self.transmitter.is_empty();
    }

    /// FIFO control. Other bits count only with the enable bit, a change of which clears both FIFOs.
    fn write_fcr(&mut self, value: u8, now: Time) {
        let changed = (value ^ self.fcr) & fcr::ENABLE != 0;
        let enabled = value & fcr::ENABLE != 0;
        self.fcr = if enabled { value } else { 0 };
        if changed || enabled && value & fcr::RCVR_RESET != 0 {
            self.receiver.clear(self.capacity());
        }
        if (changed || enabled && value & fcr::XMIT_RESET != 0) && !self.transmitter.is_empty() {
            self.transmitter.clear();
            self.thr_empty = true;
        }
        self.receive(now);
    }

    /// Line control.
    fn write_lcr(&mut self, value: u8, now: Time) {
        let breaks = value & !self.lcr & lcr::BREAK != 0;
        self.lcr = value;
        if breaks && self.loops() {
            self.receiver.push(0, lsr::BI, now, self.patience());
        }
    }

    /// Modem control.
    fn write_mcr(&mut self, value: u8, now: Time) {
        let before = self.modem();
        self.mcr = value & mcr::ALL;
        let after = self.modem();
        let changed = (before ^ after) >> 4 & (msr::DCTS | msr::DDSR | msr::DDCD);
        let rung = (before & !after) >> 4 & msr::TERI;
        self.deltas |= changed | rung;
        self.receive(now);
    }

    fn divides(&self) -> bool {
        self.lcr & lcr::DLAB != 0
    }
}

impl Device for Uart16550 {
    fn name(&self) -> &'static str {
        "ns16550a"
    }

    fn windows(&self) -> Vec<u64> {
        vec![WINDOW]
    }

    fn read(&mut self, access: Access, world: &World<'_>) -> Result<u64, Refusal> {
        self.receiver.look(world.now);
        let value = match access.offset {
            reg::RBR_THR_DLL if self.divides() => self.divisor as u8,
            reg::IER_DLM if self.divides() => (self.divisor >> 8) as u8,
            reg::RBR_THR_DLL => self.read_rbr(world.now),
            reg::IER_DLM => self.ier,
            reg::IIR_FCR => self.read_iir(),
            reg::LCR => self.lcr,
            reg::MCR => self.mcr,
            reg::LSR => {
                let value = self.lsr();
                self.receiver.clear_errors();
                value
            }
            reg::MSR => self.modem() | std::mem::take(&mut self.deltas),
            reg::SCR => self.scr,
            _ => return Err(Refusal::NoRegister),
        };
        Ok(value.into())
    }

    fn write(&mut self, access: Access, value: u64, world: &World<'_>) -> Result<Effect, Refusal> {
        self.receiver.look(world.now);
        let value = value as u8;
        match access.offset {
            reg::RBR_THR_DLL if self.divides() => {
                self.divisor = self.divisor & 0xff00 | u16::from(value);
            }
            reg::IER_DLM if self.divides() => {
                self.divisor = self.divisor & 0xff | u16::from(value) << 8;
            }
            reg::RBR_THR_DLL => self.write_thr(value, world.now),
            reg::IER_DLM => self.write_ier(value),
            reg::IIR_FCR => self.write_fcr(value, world.now),
            reg::LCR => self.write_lcr(value, world.now),
            reg::MCR => self.write_mcr(value, world.now),
            // The data sheet reserves writing to LSR and MSR for factory tests.
            reg::LSR | reg::MSR => {}
            reg::SCR => self.scr = value,
            _ => return Err(Refusal::NoRegister),
        }
        Ok(Effect::None)
    }

    fn lines(&self) -> Lines {
        Lines::single(self.interrupt() != iir::NONE)
    }

    fn connect(&mut self, notifier: Notifier) {
        self.backend.connect(notifier);
    }

    fn deadline(&self) -> Option<Time> {
        self.receiver.deadline()
    }

    fn wake(&mut self, world: &World<'_>) {
        self.send();
        self.receive(world.now);
        self.receiver.look(world.now);
    }

    /// What was not sent yet is lost; what has come in and is not in the receiver yet, is not.
    fn reset(&mut self) {
        let nobody: Box<dyn CharBackend> = Box::new(crate::host::chars::Null);
        let backend = std::mem::replace(&mut self.backend, nobody);
        *self = Self::new(backend, self.clock);
    }
}

#[cfg(test)]
mod tests;
