//! A hart's addresses: the privileged architecture's rules on this machine's memory.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};

use arch::riscv64::privileged::mmu::{self, PageTableMemory};
use arch::riscv64::privileged::pmp::Access;
use arch::riscv64::privileged::{Exception, Privilege, SystemContext, status};
use arch::riscv64::slot;
use base::addr::PAGE_SIZE;
use base::{CpuFrame, GuestPhys, GuestVirt};
use runtime::Engine;
use softmmu::{AccessKind, GuestFault, GuestMmu, MemoryMap, Place, Register, Space, Walk};

use crate::machine::Shared;
use crate::riscv64::hart::HartHooks;
use crate::riscv64::trace;

/// See [`GuestMmu`].
pub(super) struct HartMmu {
    pub(super) context: Arc<SystemContext>,
    pub(super) shared: Arc<Shared>,
    pub(super) engine: Weak<Engine>,
    pub(super) hooks: Arc<HartHooks>,
    /// Whether walks are logged.
    pub(super) log: WalkLog,
}

/// Whether something is logged.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum WalkLog {
    None,
    Written,
}

/// The views of an address space that a TLB keeps apart.
mod view {
    pub(super) const USER: u8 = 0;
    pub(super) const SUPERVISOR: u8 = 1;
    /// Added to [`SUPERVISOR`] while mstatus.SUM is set.
    pub(super) const SUM: u8 = 1;
    /// Added to [`SUPERVISOR`] while mstatus.MXR is set.
    pub(super) const MXR: u8 = 2;
    pub(super) const USER_MXR: u8 = 5;
    pub(super) const MACHINE: u8 = 6;
    /// Machine level with another level's loads and stores: nothing is remembered in it, since
    /// fetches see other addresses.
    pub(super) const LENT: u8 = 7;
}

/// Levels, as instructions are fetched.
mod code {
    pub(super) const USER: u8 = 0;
    pub(super) const SUPERVISOR: u8 = 1;
    pub(super) const MACHINE: u8 = 2;
    /// Without page tables, addresses mean something else than any page table's global pages.
    pub(super) const USER_BARE: u8 = 3;
    pub(super) const SUPERVISOR_BARE: u8 = 4;
}

/// Bits of satp that name an address space in the TLB: mode and ASID.
const SPACE_SHIFT: u32 = 44;
/// Where the mode stands in that name.
const MODE_SHIFT: u32 = 16;

/// The address space that the hart uses.
pub(super) fn space(frame: &CpuFrame) -> Space {
    let (level, mstatus) = (Privilege::of(frame), frame.get(slot::MSTATUS));
    let asid = asid(frame);
    let mxr = mstatus & status::MXR != 0;
    if level == Privilege::Machine {
        let lent = mstatus & status::MPRV != 0 && mmu::data_level(frame) != level;
        return match lent {
            true => Space { asid, view: view::LENT, code: code::MACHINE },
            false => Space { asid: 0, view: view::MACHINE, code: code::MACHINE },
        };
    }
    let view = match level {
        Privilege::User if mxr => view::USER_MXR,
        Privilege::User => view::USER,
        _ => {
            let sum = if mstatus & status::SUM != 0 { view::SUM } else { 0 };
            view::SUPERVISOR + sum + if mxr { view::MXR } else { 0 }
        }
    };
    let code = match (level, asid >> MODE_SHIFT) {
        (Privilege::User, 0) => code::USER_BARE,
        (Privilege::User, _) => code::USER,
        (_, 0) => code::SUPERVISOR_BARE,
        _ => code::SUPERVISOR,
    };
    Space { asid, view, code }
}

/// The TLB's number of the address space in satp.
pub(super) fn asid(frame: &CpuFrame) -> u32 {
    (frame.get(slot::SATP) >> SPACE_SHIFT) as u32
}

/// Page tables in RAM.
struct Tables<'a>(&'a MemoryMap);

impl Tables<'_> {
    fn entry(&self, phys: GuestPhys) -> Result<(&softmmu::Ram, u64), NoRam> {
        match self.0.resolve(phys, 8) {
            Ok(Place::Ram { ram, offset }) => Ok((ram, offset)),
            _ => Err(NoRam),
        }
    }
}

/// A page table lies where no RAM is.
struct NoRam;

impl PageTableMemory for Tables<'_> {
    type Error = NoRam;

    fn load(&mut self, phys: GuestPhys) -> Result<u64, NoRam> {
        let (ram, at) = self.entry(phys)?;
        ram.load(at).map_err(|_| NoRam)
    }

    fn compare_exchange(&mut self, phys: GuestPhys, old: u64, new: u64) -> Result<bool, NoRam> {
        let (ram, at) = self.entry(phys)?;
        ram.compare_exchange(at, old, new).map_err(|_| NoRam)
    }
}

fn access(kind: AccessKind) -> Access {
    match kind {
        AccessKind::Load => Access::Load,
        AccessKind::Store => Access::Store,
        AccessKind::Fetch => Access::Fetch,
    }
}

impl GuestMmu for HartMmu {
    fn space(&self, frame: &CpuFrame) -> Space {
        space(frame)
    }

    fn walk(
        &mut self,
        frame: &mut CpuFrame,
        map: &MemoryMap,
        addr: GuestVirt,
        bytes: u64,
        kind: AccessKind,
    ) -> Result<Walk, GuestFault> {
        let is_lent = space(frame).view == view::LENT;
        let mut tables = Tables(map);
        let resolved = mmu::resolve(frame, &self.context, &mut tables, addr, bytes, access(kind));
        if let (WalkLog::Written, Some(engine)) = (self.log, self.engine.upgrade()) {
            trace::walk(&engine, self.context.hart, (addr, kind), &resolved);
        }
        let resolved = resolved
            .map_err(|fault| GuestFault { cause: fault.exception(access(kind)) as u64, addr })?;
        let mapping = resolved.mapping;
        Ok(Walk {
            phys: mapping.phys.page(),
            size: mapping.size.max(PAGE_SIZE),
            readable: mapping.readable,
            writable: mapping.writable,
            executable: mapping.executable,
            global: mapping.global,
            whole: resolved.is_whole && !is_lent,
        })
    }

    fn access_fault(&self, addr: GuestVirt, kind: AccessKind) -> GuestFault {
        let exception = match kind {
            AccessKind::Load => Exception::LoadAccess,
            AccessKind::Store => Exception::StoreAccess,
            AccessKind::Fetch => Exception::FetchAccess,
        };
        GuestFault { cause: exception as u64, addr }
    }

    fn read_device(&mut self, _: &mut CpuFrame, at: Register) -> Option<u64> {
        self.hooks.note_device_read();
        self.shared.read(at).ok()
    }

    fn write_device(&mut self, frame: &mut CpuFrame, at: Register, value: u64) -> Option<()> {
        if self.shared.clock().is_counted() {
            // A timer may be due before the hart's turn ends.
            frame.interrupt.fetch_or(CpuFrame::INTERRUPT_REQUEST, Ordering::Relaxed);
        }
        self.shared.write(at, value).ok()
    }

    fn code_written(&mut self, at: GuestPhys, len: u64) {
        self.hooks.notice_store(at, len);
        if let Some(engine) = self.engine.upgrade() {
            engine.code_written(at, len);
        }
    }
}
