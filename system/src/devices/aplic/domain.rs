//! An interrupt domain: its sources, and how their interrupts leave it.

use super::regs::{IdcRegister, domaincfg, sourcecfg, target};
use crate::devices::source_bits::{SourceBits, sources_of};

/// How a source is used (section 4.5.2).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Mode {
    /// Or delegated.
    Inactive,
    Detached,
    Edge,
    Level,
}

/// Interrupt delivery control of a hart (section 4.8.1).
#[derive(Clone, Copy, Debug, Default)]
struct Idc {
    idelivery: bool,
    iforce: bool,
    ithreshold: u32,
}

#[derive(Clone, Debug)]
pub(super) struct Domain {
    /// What `sourcecfg` may set: [`sourcecfg::D`] if there is a child domain.
    delegation: u32,
    /// What `domaincfg` may set.
    configurable: u32,
    /// Guest indices that `target` holds.
    guest: u32,
    domaincfg: u32,
    implemented: SourceBits,
    wires: SourceBits,
    pending: SourceBits,
    enabled: SourceBits,
    sourcecfg: Vec<u32>,
    target: Vec<u32>,
    genmsi: u32,
    idc: Vec<Idc>,
    /// Messages to send: `target`s in MSI delivery mode.
    outgoing: Vec<u32>,
}

/// What a domain is built for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shape {
    pub(super) harts: usize,
    pub(super) sources: usize,
    pub(super) has_child: bool,
    pub(super) sends_messages: bool,
    pub(super) has_guests: bool,
}

impl Domain {
    /// A root domain has all sources.
    pub(super) fn new(shape: Shape) -> Self {
        let flag = |has, bits| if has { bits } else { 0 };
        let sources = if shape.has_child { shape.sources } else { 0 };
        Self {
            delegation: flag(shape.has_child, sourcecfg::D),
            configurable: domaincfg::IE | flag(shape.sends_messages, domaincfg::DM),
            guest: flag(shape.has_guests, target::GUEST),
            domaincfg: 0,
            implemented: SourceBits::up_to(sources),
            wires: SourceBits::NONE,
            pending: SourceBits::NONE,
            enabled: SourceBits::NONE,
            sourcecfg: vec![0; shape.sources + 1],
            target: vec![0; shape.sources + 1],
            genmsi: 0,
            idc: vec![Idc::default(); shape.harts],
            outgoing: Vec::new(),
        }
    }

    /// As after power-on, but for the wires, which are the sources' own.
    pub(super) fn reset(&mut self, shape: Shape) {
        *self = Self { wires: self.wires, ..Self::new(shape) };
    }

    pub(super) fn sends_messages(&self) -> bool {
        self.domaincfg & domaincfg::DM != 0
    }

    fn is_on(&self) -> bool {
        self.domaincfg & domaincfg::IE != 0
    }

    fn mode(&self, source: usize) -> Mode {
        match self.sourcecfg(source) {
            1 => Mode::Detached,
            4 | 5 => Mode::Edge,
            6 | 7 => Mode::Level,
            _ => Mode::Inactive,
        }
    }

    fn is_active(&self, source: usize) -> bool {
        self.mode(source) != Mode::Inactive
    }

    /// The rectified input value.
    fn rectified(&self, source: usize) -> bool {
        match self.mode(source) {
            Mode::Inactive | Mode::Detached => false,
            // Odd modes are inverted.
            Mode::Edge | Mode::Level => self.wires.get(source) != (self.sourcecfg(source) & 1 != 0),
        }
    }

    /// A source's wire has a value now (section 4.7).
    pub(super) fn set_wire(&mut self, source: usize, value: bool) {
        let before = self.rectified(source);
        self.wires.set(source, value);
        let after = self.rectified(source);
        match self.mode(source) {
            Mode::Inactive | Mode::Detached => {}
            Mode::Edge if !before && after => self.pending.set(source, true),
            Mode::Edge => {}
            Mode::Level if self.sends_messages() && before && after => {}
            Mode::Level => self.pending.set(source, after),
        }
        self.forward();
    }

    pub(super) fn domaincfg(&self) -> u32 {
        domaincfg::FIXED | self.domaincfg
    }

    /// In another delivery mode, targets mean something else: their values are unspecified then.
    pub(super) fn write_domaincfg(&mut self, value: u32) {
        let changed = (value ^ self.domaincfg) & self.configurable;
        self.domaincfg = value & self.configurable;
        if changed & domaincfg::DM != 0 {
            for source in 1..self.target.len() {
                self.write_target(source, self.target(source));
                self.follow_level(source);
            }
        }
        self.forward();
    }

    pub(super) fn sourcecfg(&self, source: usize) -> u32 {
        self.sourcecfg.get(source).copied().unwrap_or(0)
    }

    /// Gives whether the source is delegated now.
    pub(super) fn write_sourcecfg(&mut self, source: usize, value: u32) -> bool {
        if !self.implemented.get(source) {
            return false;
        }
        let was_active = self.is_active(source);
        self.sourcecfg[source] = match value & sourcecfg::SM {
            _ if value & sourcecfg::D != 0 => self.delegation,
            2 | 3 => 0,
            mode => mode,
        };
        if !self.is_active(source) {
            self.pending.set(source, false);
            self.enabled.set(source, false);
            self.target[source] = 0;
        } else if !was_active {
            self.write_target(source, 0);
        }
        self.follow_level(source);
        self.forward();
        self.sourcecfg[source] & sourcecfg::D != 0
    }

    /// A level-sensitive source is pending as its wire says: always in direct delivery mode, after changes of
    /// configuration in MSI delivery mode.
    fn follow_level(&mut self, source: usize) {
        if self.mode(source) == Mode::Level {
            self.pending.set(source, self.rectified(source));
        }
    }

    /// A parent gives the domain a source, or takes it back.
    pub(super) fn set_implemented(&mut self, source: usize, to: bool) {
        if !to {
            self.write_sourcecfg(source, 0);
        }
        self.implemented.set(source, to);
    }

    pub(super) fn setip(&self, word: usize) -> u32 {
        self.pending.word(word)
    }

    pub(super) fn write_setip(&mut self, word: usize, value: u32) {
        sources_of(word, value).for_each(|source| self.set_pending(source));
        self.forward();
    }

    pub(super) fn write_setipnum(&mut self, source: u32) {
        self.set_pending(source as usize);
        self.forward();
    }

    fn set_pending(&mut self, source: usize) {
        let possible = match self.mode(source) {
            Mode::Inactive => false,
            Mode::Detached | Mode::Edge => true,
            Mode::Level => self.sends_messages() && self.rectified(source),
        };
        if possible {
            self.pending.set(source, true);
        }
    }

    pub(super) fn in_clrip(&self, word: usize) -> u32 {
        let rectified = sources_of(word, u32::MAX).filter(|&source| self.rectified(source));
        rectified.fold(0, |bits, source| bits | 1 << (source % 32))
    }

    pub(super) fn write_in_clrip(&mut self, word: usize, value: u32) {
        sources_of(word, value).for_each(|source| self.clear_pending(source));
    }

    /// `clripnum`, and what a claim does.
    pub(super) fn clear_pending(&mut self, source: usize) {
        if self.mode(source) != Mode::Level || self.sends_messages() {
            self.pending.set(source, false);
        }
    }

    pub(super) fn setie(&self, word: usize) -> u32 {
        self.enabled.word(word)
    }

    pub(super) fn write_setie(&mut self, word: usize, value: u32) {
        let active = sources_of(word, value).filter(|&source| self.is_active(source));
        let bits = active.fold(0, |bits, source| bits | 1 << (source % 32));
        self.enabled.set_word(word, self.enabled.word(word) | bits);
        self.forward();
    }

    pub(super) fn write_clrie(&mut self, word: usize, value: u32) {
        self.enabled.set_word(word, self.enabled.word(word) & !value);
    }

    pub(super) fn target(&self, source: usize) -> u32 {
        self.target.get(source).copied().unwrap_or(0)
    }

    pub(super) fn write_target(&mut self, source: usize, value: u32) {
        if self.is_active(source) {
            self.target[source] = match self.sends_messages() {
                true => value & (target::HART | self.guest | target::EIID),
                false => value & target::HART | (value & target::IPRIO).max(1),
            };
        }
    }

    /// In direct delivery mode it is read-only zero.
    pub(super) fn genmsi(&self) -> u32 {
        if self.sends_messages() { self.genmsi } else { 0 }
    }

    /// An extempore MSI leaves at once, so it is never busy.
    pub(super) fn write_genmsi(&mut self, value: u32) {
        if self.sends_messages() {
            self.genmsi = value & (target::HART | target::EIID);
            self.outgoing.push(self.genmsi);
        }
    }

    /// Sends a message for each source that is pending and enabled (section 4.9).
    fn forward(&mut self) {
        if self.is_on() && self.sends_messages() {
            let ready: Vec<usize> = self.pending.both(&self.enabled).collect();
            for source in ready {
                self.pending.set(source, false);
                self.outgoing.push(self.target(source));
            }
        }
    }

    pub(super) fn take_outgoing(&mut self) -> Vec<u32> {
        std::mem::take(&mut self.outgoing)
    }

    /// The interrupt with the smallest priority number below the threshold, which has the smallest
    /// source number: 0 in MSI delivery mode, in which there are no priorities.
    fn topi(&self, hart: usize) -> u32 {
        if self.sends_messages() {
            return 0;
        }
        let threshold = self.idc.get(hart).map_or(0, |idc| idc.ithreshold);
        let here = |source: &usize| (self.target(*source) >> target::HART_SHIFT) as usize == hart;
        let ranked = self.pending.both(&self.enabled).filter(here);
        let top = ranked.map(|source| (self.target(source) & target::IPRIO, source as u32)).min();
        let signaled = top.filter(|&(priority, _)| threshold == 0 || priority < threshold);
        signaled.map_or(0, |(priority, source)| source << 16 | priority)
    }

    pub(super) fn read_idc(&mut self, hart: usize, register: IdcRegister) -> u32 {
        let topi = self.topi(hart);
        let Some(idc) = self.idc.get_mut(hart) else { return 0 };
        match register {
            IdcRegister::Idelivery => idc.idelivery.into(),
            IdcRegister::Iforce => idc.iforce.into(),
            IdcRegister::Ithreshold => idc.ithreshold,
            IdcRegister::Topi => topi,
            IdcRegister::Claimi => {
                idc.iforce &= topi != 0;
                self.clear_pending((topi >> 16) as usize);
                topi
            }
        }
    }

    pub(super) fn write_idc(&mut self, hart: usize, register: IdcRegister, value: u32) {
        let Some(idc) = self.idc.get_mut(hart) else { return };
        match register {
            IdcRegister::Idelivery => idc.idelivery = value & 1 != 0,
            IdcRegister::Iforce => idc.iforce = value & 1 != 0,
            IdcRegister::Ithreshold => idc.ithreshold = value & target::IPRIO,
            IdcRegister::Topi | IdcRegister::Claimi => {}
        }
    }

    /// Whether the hart's external interrupt is signaled directly (section 4.8.2).
    pub(super) fn signals(&self, hart: usize) -> bool {
        let on = self.is_on() && !self.sends_messages();
        let idc = self.idc.get(hart).filter(|idc| on && idc.idelivery);
        idc.is_some_and(|idc| idc.iforce || self.topi(hart) != 0)
    }
}
