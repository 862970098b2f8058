//! The advanced platform-level interrupt controller (RISC-V Advanced Interrupt Architecture 1.0,
//! chapter 4), with a machine-level root domain and a supervisor-level child of it.
//!
//! Windows: the control regions of the root and of the child. Inputs are source numbers, from 1. Outputs
//! are for direct delivery: `2 * h` is hart `h`'s machine-level external interrupt, `2 * h + 1` its
//! supervisor-level one. Hart indices are hart numbers in both domains. Domains are little-endian, and
//! priorities have 8 bits.

mod domain;
mod regs;

use base::GuestPhys;
use domain::{Domain, Shape};
use regs::{LOCKED, MMSIADDRCFGH, Register, SMSIADDRCFGH, WINDOW, decode, target};

use super::source_bits::MAX_SOURCES;
use crate::device::{Access, Device, Effect, InterruptController, Message, Refusal, World};

/// Harts at most.
pub const MAX_HARTS: u32 = 64;

/// The windows.
const ROOT: usize = 0;
const CHILD: usize = 1;

/// How interrupts may reach harts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Delivery {
    /// By the outputs only.
    Direct,
    /// By the outputs, or by messages to IMSICs, as the guest chooses for each domain.
    DirectOrMessages {
        /// Whether harts have guest interrupt files.
        guests: bool,
    },
}

/// Where messages go (sections 4.5.3 and 4.5.4).
#[derive(Clone, Copy, Debug, Default)]
struct MsiAddresses {
    mmsiaddrcfg: u32,
    mmsiaddrcfgh: u32,
    smsiaddrcfg: u32,
    smsiaddrcfgh: u32,
}

impl MsiAddresses {
    /// The page of an interrupt file (section 4.9.1).
    fn page(&self, domain: usize, target: u32) -> GuestPhys {
        let field = |shift: u32, bits: u32| self.mmsiaddrcfgh >> shift & ((1 << bits) - 1);
        let (lhxw, hhxw, hhxs) = (field(12, 4), field(16, 3), field(24, 5));
        let (low, high) = match domain {
            ROOT => (self.mmsiaddrcfg, self.mmsiaddrcfgh),
            _ => (self.smsiaddrcfg, self.smsiaddrcfgh),
        };
        let lhxs = high >> 20 & 7;
        let hart = u64::from(target >> target::HART_SHIFT);
        let group = hart >> lhxw & ((1 << hhxw) - 1);
        let in_group = hart & ((1 << lhxw) - 1);
        let guest = u64::from((target & target::GUEST) >> target::GUEST_SHIFT);
        let base = u64::from(high & 0xfff) << 32 | u64::from(low);
        let page = base | group << (hhxs + 12) | in_group << lhxs | guest;
        GuestPhys((page & ((1 << 44) - 1)) << 12)
    }
}

/// The device.
#[derive(Clone, Debug)]
pub struct Aplic {
    harts: u32,
    shapes: [Shape; 2],
    domains: [Domain; 2],
    has_addresses: bool,
    addresses: MsiAddresses,
}

impl Aplic {
    /// For this many harts, [`MAX_HARTS`] at most, and sources, 1023 at most.
    #[must_use]
    pub fn new(harts: u32, sources: u32, delivery: Delivery) -> Self {
        let harts = harts.min(MAX_HARTS);
        let root = Shape {
            harts: harts as usize,
            sources: (sources as usize).min(MAX_SOURCES - 1),
            has_child: true,
            sends_messages: delivery != Delivery::Direct,
            has_guests: false,
        };
        let guests = delivery == Delivery::DirectOrMessages { guests: true };
        let shapes = [root, Shape { has_child: false, has_guests: guests, ..root }];
        let has_addresses = root.sends_messages;
        let (domains, addresses) = (shapes.map(Domain::new), MsiAddresses::default());
        Self { harts, shapes, domains, has_addresses, addresses }
    }

    /// One of the registers for addresses of messages; only the root has them.
    fn address(&mut self, domain: usize, register: Register) -> Option<(&mut u32, u32)> {
        let addresses =
            Some(&mut self.addresses).filter(|_| self.has_addresses && domain == ROOT)?;
        match register {
            Register::Mmsiaddrcfg => Some((&mut addresses.mmsiaddrcfg, u32::MAX)),
            Register::Mmsiaddrcfgh => Some((&mut addresses.mmsiaddrcfgh, MMSIADDRCFGH)),
            Register::Smsiaddrcfg => Some((&mut addresses.smsiaddrcfg, u32::MAX)),
            Register::Smsiaddrcfgh => Some((&mut addresses.smsiaddrcfgh, SMSIADDRCFGH)),
            _ => None,
        }
    }

    fn write_address(&mut self, domain: usize, register: Register, value: u32) {
        if self.addresses.mmsiaddrcfgh & LOCKED == 0
            && let Some((register, bits)) = self.address(domain, register)
        {
            *register = value & bits;
        }
    }

    fn write_sourcecfg(&mut self, domain: usize, source: usize, value: u32) {
        let delegated = self.domains[domain].write_sourcecfg(source, value);
        if domain == ROOT {
            self.domains[CHILD].set_implemented(source, delegated);
        }
    }

    fn read_register(&mut self, index: usize, register: Register) -> u32 {
        let domain = &mut self.domains[index];
        match register {
            Register::Domaincfg => domain.domaincfg(),
            Register::Sourcecfg(source) => domain.sourcecfg(source),
            Register::Setip(word) => domain.setip(word),
            Register::InClrip(word) => domain.in_clrip(word),
            Register::Setie(word) => domain.setie(word),
            Register::Genmsi => domain.genmsi(),
            Register::Target(source) => domain.target(source),
            Register::Idc(hart, register) => domain.read_idc(hart, register),
            _ => self.address(index, register).map_or(0, |(register, _)| *register),
        }
    }

    fn write_register(&mut self, index: usize, register: Register, value: u32) {
        let domain = &mut self.domains[index];
        let (word, bit) = (value as usize / 32, 1 << (value % 32));
        match register {
            Register::Domaincfg => domain.write_domaincfg(value),
            Register::Sourcecfg(source) => self.write_sourcecfg(index, source, value),
            Register::Setip(word) => domain.write_setip(word, value),
            Register::Setipnum => domain.write_setipnum(value),
            Register::InClrip(word) => domain.write_in_clrip(word, value),
            Register::Clripnum => domain.clear_pending(value as usize),
            Register::Setie(word) => domain.write_setie(word, value),
            Register::Setienum => domain.write_setie(word, bit),
            Register::Clrie(word) => domain.write_clrie(word, value),
            Register::Clrienum => domain.write_clrie(word, bit),
            Register::Genmsi => domain.write_genmsi(value),
            Register::Target(source) => domain.write_target(source, value),
            Register::Idc(hart, register) => domain.write_idc(hart, register, value),
            _ => self.write_address(index, register, value),
        }
    }
}

impl Device for Aplic {
    fn name(&self) -> &'static str {
        "riscv,aplic"
    }

    fn windows(&self) -> Vec<u64> {
        vec![WINDOW; 2]
    }

    fn read(&mut self, access: Access, _: &World<'_>) -> Result<u64, Refusal> {
        let register = decode(access)?;
        Ok(self.read_register(usize::from(access.window != 0), register).into())
    }

    fn write(&mut self, access: Access, value: u64, world: &World<'_>) -> Result<Effect, Refusal> {
        let register = decode(access)?;
        self.write_register(usize::from(access.window != 0), register, value as u32);
        self.take_messages().into_iter().for_each(|message| world.post(message));
        Ok(Effect::None)
    }

    fn reset(&mut self) {
        self.domains.iter_mut().zip(self.shapes).for_each(|(domain, shape)| domain.reset(shape));
        self.addresses = MsiAddresses::default();
    }

    fn interrupt_controller(&mut self) -> Option<&mut dyn InterruptController> {
        Some(self)
    }
}

impl InterruptController for Aplic {
    fn set_input(&mut self, input: u32, asserted: bool) {
        self.domains.iter_mut().for_each(|domain| domain.set_wire(input as usize, asserted));
    }

    fn output(&self, output: u32) -> bool {
        let domain = &self.domains[output as usize % 2];
        domain.signals(output as usize / 2)
    }

    fn outputs(&self) -> u32 {
        2 * self.harts
    }

    fn take_messages(&mut self) -> Vec<Message> {
        let mut messages = Vec::new();
        for (index, domain) in self.domains.iter_mut().enumerate() {
            messages.extend(domain.take_outgoing().into_iter().map(|sent| Message {
                address: self.addresses.page(index, sent),
                data: sent & target::EIID,
            }));
        }
        messages
    }
}

#[cfg(test)]
mod tests;
