//! The counters ("Hardware Performance Monitor", "Counter-Enable Register", "Counter-Inhibit
//! Register"; Zicntr, Zihpm): mcycle and minstret run with the machine's time source, the
//! hardware performance counters are read-only zero.

use base::{CpuFrame, RegSlot};

use super::access::WriteEffect;
use super::context::SystemContext;
use super::{Privilege, slot};

/// mcountinhibit: mcycle.
pub const CY: u64 = 1 << 0;
/// mcounteren: time.
pub const TM: u64 = 1 << 1;
/// mcountinhibit: minstret.
pub const IR: u64 = 1 << 2;

/// mcounteren and scounteren: one bit a counter.
pub const ENABLES: u64 = 0xffff_ffff;

/// A counter that runs: mcycle or minstret.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Counter {
    /// mcycle.
    Cycle,
    /// minstret. Nobody counts instructions, so one a cycle.
    Instret,
}

impl Counter {
    fn slot(self) -> RegSlot {
        match self {
            Self::Cycle => slot::MCYCLE,
            Self::Instret => slot::MINSTRET,
        }
    }

    fn is_inhibited(self, frame: &CpuFrame) -> bool {
        let bit = match self {
            Self::Cycle => CY,
            Self::Instret => IR,
        };
        frame.get(slot::MCOUNTINHIBIT) & bit != 0
    }

    /// Its value.
    #[must_use]
    pub fn read(self, frame: &CpuFrame, ctx: &SystemContext) -> u64 {
        frame.get(self.slot()).wrapping_add(self.running(frame, ctx))
    }

    /// Sets its value, as a write to its register does.
    pub fn write(self, frame: &mut CpuFrame, ctx: &SystemContext, value: u64) -> WriteEffect {
        self.set(frame, ctx, value);
        WriteEffect::NONE
    }

    fn set(self, frame: &mut CpuFrame, ctx: &SystemContext, value: u64) {
        frame.set(self.slot(), value.wrapping_sub(self.running(frame, ctx)));
    }

    /// What its value is besides the slot's.
    fn running(self, frame: &CpuFrame, ctx: &SystemContext) -> u64 {
        if self.is_inhibited(frame) { 0 } else { ctx.time.cycles() }
    }
}

/// Writes mcountinhibit: counters stop, and go on from where they stopped.
pub fn set_mcountinhibit(frame: &mut CpuFrame, ctx: &SystemContext, value: u64) -> WriteEffect {
    let values = [Counter::Cycle, Counter::Instret].map(|c| (c, c.read(frame, ctx)));
    frame.set(slot::MCOUNTINHIBIT, value & (CY | IR));
    for (counter, value) in values {
        counter.set(frame, ctx, value);
    }
    WriteEffect::NONE
}

/// Whether the hart's level may read the counter of this index: 0 cycle, 1 time, 2 instret, then
/// hpmcounter3 to 31.
#[must_use]
pub fn is_open(frame: &CpuFrame, index: u16) -> bool {
    let open = |enables| frame.get(enables) >> (index & 31) & 1 != 0;
    match Privilege::of(frame) {
        Privilege::Machine => true,
        Privilege::Supervisor => open(slot::MCOUNTEREN),
        Privilege::User => open(slot::MCOUNTEREN) && open(slot::SCOUNTEREN),
    }
}
