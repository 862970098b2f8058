//! Interrupts: mip, mie, sip, sie ("Machine Interrupt Registers", "Supervisor Interrupt
//! Registers"), stimecmp (Sstc), and when WFI goes on.

use std::sync::atomic::Ordering;

use base::CpuFrame;

use super::access::WriteEffect;
use super::context::SystemContext;
use super::{Privilege, envcfg, slot, status};

/// Supervisor software interrupt, pending or enabled.
pub const SSIP: u64 = 1 << 1;
/// Machine software interrupt.
pub const MSIP: u64 = 1 << 3;
/// Supervisor timer interrupt.
pub const STIP: u64 = 1 << 5;
/// Machine timer interrupt.
pub const MTIP: u64 = 1 << 7;
/// Supervisor external interrupt.
pub const SEIP: u64 = 1 << 9;
/// Machine external interrupt.
pub const MEIP: u64 = 1 << 11;

/// The interrupts that there are.
pub const ALL: u64 = SSIP | MSIP | STIP | MTIP | SEIP | MEIP;
/// Those that machine level can delegate.
pub const DELEGABLE: u64 = SSIP | STIP | SEIP;
/// Those that come from outside.
const LINES: u64 = MSIP | STIP | MTIP | SEIP | MEIP;

/// An interrupt, numbered as in mcause and mip.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[repr(u8)]
pub enum Interrupt {
    /// Supervisor software interrupt.
    SupervisorSoftware = 1,
    /// Machine software interrupt.
    MachineSoftware = 3,
    /// Supervisor timer interrupt.
    SupervisorTimer = 5,
    /// Machine timer interrupt.
    MachineTimer = 7,
    /// Supervisor external interrupt.
    SupervisorExternal = 9,
    /// Machine external interrupt.
    MachineExternal = 11,
}

impl Interrupt {
    /// All, the first to be taken first: MEI, MSI, MTI, SEI, SSI, STI.
    pub const BY_PRIORITY: [Self; 6] = [
        Self::MachineExternal,
        Self::MachineSoftware,
        Self::MachineTimer,
        Self::SupervisorExternal,
        Self::SupervisorSoftware,
        Self::SupervisorTimer,
    ];

    /// Its bit in mip, mie and mideleg.
    #[must_use]
    pub const fn bit(self) -> u64 {
        1 << self as u8
    }
}

/// Whether stimecmp drives STIP.
fn has_timer(frame: &CpuFrame) -> bool {
    frame.get(slot::MENVCFG) & envcfg::STCE != 0
}

/// The bits of mip that machine level can write.
fn writable(frame: &CpuFrame) -> u64 {
    if has_timer(frame) { SSIP | SEIP } else { SSIP | STIP | SEIP }
}

/// mip without the lines: what an instruction that sets or clears bits of it starts from, so that
/// a raised line does not stick ("Machine Interrupt Registers", on SEIP).
#[must_use]
pub fn mip_software(frame: &CpuFrame) -> u64 {
    frame.get(slot::MIP_SW) & writable(frame)
}

/// mip.
#[must_use]
pub fn mip(frame: &CpuFrame, ctx: &SystemContext) -> u64 {
    let driven = if has_timer(frame) { LINES } else { LINES & !STIP };
    ctx.lines.load(Ordering::Acquire) & driven | mip_software(frame)
}

/// Writes mip.
pub fn set_mip(frame: &mut CpuFrame, value: u64) -> WriteEffect {
    let mask = writable(frame);
    let kept = frame.get(slot::MIP_SW) & !mask;
    frame.set(slot::MIP_SW, kept | value & mask);
    WriteEffect::INTERRUPTS
}

/// sip: what of mip is delegated.
#[must_use]
pub fn sip(frame: &CpuFrame, ctx: &SystemContext) -> u64 {
    mip(frame, ctx) & frame.get(slot::MIDELEG)
}

/// Writes sip: SSIP is its only writable bit, if it is delegated.
pub fn set_sip(frame: &mut CpuFrame, value: u64) -> WriteEffect {
    let mask = SSIP & frame.get(slot::MIDELEG);
    let kept = frame.get(slot::MIP_SW) & !mask;
    frame.set(slot::MIP_SW, kept | value & mask);
    WriteEffect::INTERRUPTS
}

/// sie: what of mie is delegated.
#[must_use]
pub fn sie(frame: &CpuFrame) -> u64 {
    frame.get(slot::MIE) & frame.get(slot::MIDELEG)
}

/// Writes sie.
pub fn set_sie(frame: &mut CpuFrame, value: u64) -> WriteEffect {
    let mask = frame.get(slot::MIDELEG) & ALL;
    let kept = frame.get(slot::MIE) & !mask;
    frame.set(slot::MIE, kept | value & mask);
    WriteEffect::INTERRUPTS
}

/// Writes stimecmp. That STIP may have fallen is told before anybody can look.
pub fn set_stimecmp(frame: &mut CpuFrame, ctx: &SystemContext, value: u64) -> WriteEffect {
    frame.set(slot::STIMECMP, value);
    announce_timer(frame, ctx);
    WriteEffect::INTERRUPTS
}

/// Sets the STIP line as `time >= stimecmp` says now, and tells the machine of the next change.
pub(super) fn announce_timer(frame: &CpuFrame, ctx: &SystemContext) {
    let stimecmp = has_timer(frame).then(|| frame.get(slot::STIMECMP));
    let (due, next) = match stimecmp {
        Some(at) if ctx.time.ticks() >= at => (true, None),
        later => (false, later),
    };
    if due {
        ctx.raise(STIP);
    } else {
        ctx.lower(STIP);
    }
    // What is due already needs no alarm: it would ring until the guest has time for it.
    ctx.hooks.timer_changed(ctx.hart, next);
}

/// The interrupt that the hart must take before its next instruction.
#[must_use]
pub fn pending(frame: &CpuFrame, ctx: &SystemContext) -> Option<Interrupt> {
    let ready = mip(frame, ctx) & frame.get(slot::MIE);
    if ready == 0 {
        return None;
    }
    let (level, mstatus) = (Privilege::of(frame), frame.get(slot::MSTATUS));
    let delegated = frame.get(slot::MIDELEG);
    let to_machine = level < Privilege::Machine || mstatus & status::MIE != 0;
    let to_supervisor = level < Privilege::Supervisor
        || level == Privilege::Supervisor && mstatus & status::SIE != 0;
    // Those of a higher level come first, whatever their own rank.
    let first = |set: u64| Interrupt::BY_PRIORITY.into_iter().find(|i| set & i.bit() != 0);
    let machine = to_machine.then(|| first(ready & !delegated)).flatten();
    machine.or_else(|| to_supervisor.then(|| first(ready & delegated)).flatten())
}

/// Whether a hart that waits after WFI goes on: something is pending and enabled in mie, whatever
/// mstatus and mideleg say ("Wait for Interrupt").
#[must_use]
pub fn wakes(frame: &CpuFrame, ctx: &SystemContext) -> bool {
    mip(frame, ctx) & frame.get(slot::MIE) != 0
}
