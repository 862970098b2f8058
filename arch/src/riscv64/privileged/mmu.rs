//! Virtual addresses ("Supervisor Address Translation": Sv39, Sv48, Sv57; Svnapot, Svpbmt, Svade,
//! Svadu).

use base::{CpuFrame, GuestPhys, GuestVirt};

use super::pmp::{self, Access, Permissions};
use super::satp::{self, Mode};
use super::trap::Exception;
use super::{Privilege, SystemContext, envcfg, slot, status};
use crate::riscv64::feature::Feature;

/// Bytes of the smallest page.
pub const PAGE: u64 = 4096;

/// Page-table entry: valid.
pub const V: u64 = 1 << 0;
/// Page-table entry: readable.
pub const R: u64 = 1 << 1;
/// Page-table entry: writable.
pub const W: u64 = 1 << 2;
/// Page-table entry: executable.
pub const X: u64 = 1 << 3;
/// Page-table entry: open to user level.
pub const U: u64 = 1 << 4;
/// Page-table entry: the same in all address spaces.
pub const G: u64 = 1 << 5;
/// Page-table entry: accessed.
pub const A: u64 = 1 << 6;
/// Page-table entry: dirty.
pub const D: u64 = 1 << 7;
/// Page-table entry: physical page number.
pub const PPN: u64 = ((1 << 44) - 1) << PPN_SHIFT;
/// Where the page number stands.
pub const PPN_SHIFT: u32 = 10;
/// Page-table entry: reserved.
pub const RESERVED: u64 = 0x7f << 54;
/// Page-table entry: memory type (Svpbmt): 0 as the machine says, 1 and 2 not cached; 3 is reserved.
pub const PBMT: u64 = 3 << 61;
/// Page-table entry: one of 16 that make a 64 KiB page (Svnapot).
pub const N: u64 = 1 << 63;

/// Svnapot: what the low bits of the page number must be, and how many they are.
const NAPOT_64K: u64 = 0b1000;
const NAPOT_MASK: u64 = 0b1111;

/// How often an entry that changes under the walk is read again. Each time another hart got ahead,
/// so this ends anyhow; but nobody shall hang who shares memory with a hostile one.
const RETRIES: u32 = 1000;

/// The memory that page tables lie in.
pub trait PageTableMemory {
    /// What comes back where there is no RAM.
    type Error;

    /// Reads an aligned entry, atomically.
    ///
    /// # Errors
    /// If there is no RAM.
    fn load(&mut self, phys: GuestPhys) -> Result<u64, Self::Error>;

    /// Writes `new` if the entry is still `old`, atomically. Whether it was.
    ///
    /// # Errors
    /// If there is no RAM that can be written.
    fn compare_exchange(
        &mut self,
        phys: GuestPhys,
        old: u64,
        new: u64,
    ) -> Result<bool, Self::Error>;
}

/// Everything in a hart's registers that a translation depends on, PMP and the tables apart: two
/// equal regimes translate alike. A TLB can be keyed with it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Regime {
    /// How addresses are translated: [`Mode::Bare`] at machine level.
    pub mode: Mode,
    /// The root page table; 0 without one.
    pub root: GuestPhys,
    /// The address space; 0 without one.
    pub asid: u16,
    /// The level whose rules hold.
    pub level: Privilege,
    /// mstatus.SUM; clear where it does not matter.
    pub sum: bool,
    /// mstatus.MXR; clear where it does not matter.
    pub mxr: bool,
    /// Whether A and D are updated.
    pub update: bool,
    /// Whether memory types are available.
    pub types: bool,
    /// Whether NAPOT pages are available.
    pub napot: bool,
}

impl Regime {
    /// Of instruction fetches.
    #[must_use]
    pub fn of_fetch(frame: &CpuFrame, ctx: &SystemContext) -> Self {
        Self::at(frame, ctx, Privilege::of(frame))
    }

    /// Of loads and stores: MPRV lends them the level of MPP.
    #[must_use]
    pub fn of_data(frame: &CpuFrame, ctx: &SystemContext) -> Self {
        Self::at(frame, ctx, data_level(frame))
    }

    /// Of this kind of access.
    #[must_use]
    pub fn of(frame: &CpuFrame, ctx: &SystemContext, access: Access) -> Self {
        match access {
            Access::Fetch => Self::of_fetch(frame, ctx),
            Access::Load | Access::Store => Self::of_data(frame, ctx),
        }
    }

    fn at(frame: &CpuFrame, ctx: &SystemContext, level: Privilege) -> Self {
        let satp = if level == Privilege::Machine { 0 } else { frame.get(slot::SATP) };
        let mode = Mode::of(satp).unwrap_or(Mode::Bare);
        let (mstatus, menvcfg) = (frame.get(slot::MSTATUS), frame.get(slot::MENVCFG));
        let paged = mode != Mode::Bare;
        Self {
            mode,
            root: if paged { satp::root(satp) } else { GuestPhys(0) },
            asid: if paged { satp::asid(satp) } else { 0 },
            level,
            sum: paged && level == Privilege::Supervisor && mstatus & status::SUM != 0,
            mxr: paged && mstatus & status::MXR != 0,
            update: paged && menvcfg & envcfg::ADUE != 0,
            types: paged && menvcfg & envcfg::PBMTE != 0,
            napot: paged && ctx.features.has(Feature::Svnapot),
        }
    }
}

/// The level of loads and stores.
#[must_use]
pub fn data_level(frame: &CpuFrame) -> Privilege {
    let mstatus = frame.get(slot::MSTATUS);
    if mstatus & status::MPRV != 0 { status::mpp(mstatus) } else { Privilege::of(frame) }
}

/// What a walk found: good for every address of its page, under the same regime.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Mapping {
    /// Where the address lies.
    pub phys: GuestPhys,
    /// Bytes of the page, a power of two; virtual and physical addresses agree below it.
    pub size: u64,
    /// Loads are allowed.
    pub readable: bool,
    /// Stores are allowed, and D is set already: a store that finds it clear walks again.
    pub writable: bool,
    /// Fetches are allowed.
    pub executable: bool,
    /// A page of user level.
    pub user: bool,
    /// The same in all address spaces.
    pub global: bool,
}

/// Why a translation failed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fault {
    /// The tables forbid it.
    Page,
    /// PMP or the memory map forbids it.
    Access,
}

impl Fault {
    /// The exception that it is, by what was tried. Its trap value is the virtual address.
    #[must_use]
    pub const fn exception(self, access: Access) -> Exception {
        match (self, access) {
            (Self::Page, Access::Fetch) => Exception::FetchPage,
            (Self::Page, Access::Load) => Exception::LoadPage,
            (Self::Page, Access::Store) => Exception::StorePage,
            (Self::Access, Access::Fetch) => Exception::FetchAccess,
            (Self::Access, Access::Load) => Exception::LoadAccess,
            (Self::Access, Access::Store) => Exception::StoreAccess,
        }
    }
}

/// Translates an address. PMP guards the page tables here; what it says of the page itself is
/// another question: [`resolve`] asks both.
///
/// # Errors
/// The fault that the access raises.
pub fn translate(
    frame: &CpuFrame,
    regime: &Regime,
    memory: &mut impl PageTableMemory,
    addr: GuestVirt,
    access: Access,
) -> Result<Mapping, Fault> {
    if regime.mode == Mode::Bare {
        return Ok(Mapping {
            phys: GuestPhys(addr.0),
            size: PAGE,
            readable: true,
            writable: true,
            executable: true,
            user: false,
            global: false,
        });
    }
    if !is_canonical(regime.mode, addr) {
        return Err(Fault::Page);
    }
    let walk = Walk { frame, regime, addr, access };
    for _ in 0..RETRIES {
        if let Some(mapping) = walk.once(memory)? {
            return Ok(mapping);
        }
    }
    Err(Fault::Page)
}

/// What [`resolve`] found.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Resolved {
    /// The mapping, narrowed to what PMP allows.
    pub mapping: Mapping,
    /// Whether it holds for the whole page: if not, for the accessed bytes only, and nothing may be
    /// remembered.
    pub is_whole: bool,
}

/// Translates an access of `size` bytes within one page and asks PMP about it. The page in the
/// answer is the largest that PMP treats alike: that of the tables, else 4 KiB.
///
/// # Errors
/// The fault that the access raises.
pub fn resolve(
    frame: &CpuFrame,
    ctx: &SystemContext,
    memory: &mut impl PageTableMemory,
    addr: GuestVirt,
    size: u64,
    access: Access,
) -> Result<Resolved, Fault> {
    let regime = Regime::of(frame, ctx, access);
    let mut mapping = translate(frame, &regime, memory, addr, access)?;
    if !pmp::check(frame, mapping.phys, size, regime.level, access) {
        return Err(Fault::Access);
    }
    for page in [mapping.size, PAGE] {
        let start = GuestPhys(mapping.phys.0 & !(page - 1));
        if let pmp::Page::Whole(allowed) = pmp::check_page(frame, start, page, regime.level) {
            mapping.size = page;
            return Ok(Resolved { mapping: narrowed(mapping, allowed), is_whole: true });
        }
    }
    mapping.size = PAGE;
    Ok(Resolved { mapping, is_whole: false })
}

fn narrowed(mapping: Mapping, allowed: Permissions) -> Mapping {
    Mapping {
        readable: mapping.readable && allowed.read,
        writable: mapping.writable && allowed.write,
        executable: mapping.executable && allowed.execute,
        ..mapping
    }
}

/// The bits above the mode's must all equal its highest.
fn is_canonical(mode: Mode, addr: GuestVirt) -> bool {
    let unused = 64 - (12 + 9 * mode.levels());
    ((addr.0 << unused) as i64 >> unused) as u64 == addr.0
}

/// A walk through the tables: "Virtual Address Translation Process".
struct Walk<'a> {
    frame: &'a CpuFrame,
    regime: &'a Regime,
    addr: GuestVirt,
    access: Access,
}

impl Walk<'_> {
    /// Steps 1 to 10. `None` if an entry changed before A or D was set in it: again from step 2.
    fn once(&self, memory: &mut impl PageTableMemory) -> Result<Option<Mapping>, Fault> {
        let mut table = self.regime.root;
        let mut global = false;
        for level in (0..self.regime.mode.levels()).rev() {
            let index = self.addr.0 >> (12 + 9 * level) & 0x1ff;
            let place = table.wrapping_add(8 * index);
            let pte = self.load(memory, place)?;
            self.check_format(pte)?;
            global |= pte & G != 0;
            if pte & (R | X) == 0 {
                // A pointer to the next table: these bits are reserved in it.
                if pte & (D | A | U | PBMT | N) != 0 {
                    return Err(Fault::Page);
                }
                table = GuestPhys((pte & PPN) >> PPN_SHIFT << 12);
                continue;
            }
            return self.leaf(memory, place, pte, level, global);
        }
        Err(Fault::Page)
    }

    fn load(&self, memory: &mut impl PageTableMemory, place: GuestPhys) -> Result<u64, Fault> {
        if !pmp::check(self.frame, place, 8, Privilege::Supervisor, Access::Load) {
            return Err(Fault::Access);
        }
        memory.load(place).map_err(|_| Fault::Access)
    }

    /// Step 3: what makes an entry of either kind invalid.
    fn check_format(&self, pte: u64) -> Result<(), Fault> {
        let memory_type = pte & PBMT;
        let is_bad = pte & V == 0
            || pte & (R | W) == W
            || pte & RESERVED != 0
            || memory_type == PBMT
            || memory_type != 0 && !self.regime.types
            || pte & N != 0 && !self.regime.napot;
        if is_bad { Err(Fault::Page) } else { Ok(()) }
    }

    fn leaf(
        &self,
        memory: &mut impl PageTableMemory,
        place: GuestPhys,
        pte: u64,
        level: u32,
        global: bool,
    ) -> Result<Option<Mapping>, Fault> {
        let allowed = self.allowed(pte);
        if !allowed.allow(self.access) {
            return Err(Fault::Page);
        }
        let page = self.page(pte, level)?;
        let wanted = pte | A | if self.access == Access::Store { D } else { 0 };
        if wanted != pte && !self.update(memory, place, pte, wanted)? {
            return Ok(None);
        }
        let (base, size) = page;
        Ok(Some(Mapping {
            phys: GuestPhys(base | self.addr.0 & (size - 1)),
            size,
            readable: allowed.read,
            writable: allowed.write && wanted & D != 0,
            executable: allowed.execute,
            user: pte & U != 0,
            global,
        }))
    }

    /// Steps 5 to 8: what the entry allows at this level.
    fn allowed(&self, pte: u64) -> Permissions {
        let is_user_page = pte & U != 0;
        let (data, fetch) = match self.regime.level {
            Privilege::User => (is_user_page, is_user_page),
            _ => (!is_user_page || self.regime.sum, !is_user_page),
        };
        let readable = pte & R != 0 || self.regime.mxr && pte & X != 0;
        Permissions {
            read: data && readable,
            write: data && pte & W != 0,
            execute: fetch && pte & X != 0,
        }
    }

    /// Start and size of the physical page: superpages must be aligned, NAPOT pages well-formed.
    fn page(&self, pte: u64, level: u32) -> Result<(u64, u64), Fault> {
        let ppn = (pte & PPN) >> PPN_SHIFT;
        if pte & N != 0 {
            let is_64k = level == 0 && ppn & NAPOT_MASK == NAPOT_64K;
            return if is_64k {
                Ok(((ppn & !NAPOT_MASK) << 12, 16 * PAGE))
            } else {
                Err(Fault::Page)
            };
        }
        let pages = 1 << (9 * level);
        if ppn & (pages - 1) != 0 { Err(Fault::Page) } else { Ok((ppn << 12, pages * PAGE)) }
    }

    /// Step 9: sets A and D, or faults (Svade). Whether the entry was still the same.
    fn update(
        &self,
        memory: &mut impl PageTableMemory,
        place: GuestPhys,
        old: u64,
        new: u64,
    ) -> Result<bool, Fault> {
        if !self.regime.update {
            return Err(Fault::Page);
        }
        if !pmp::check(self.frame, place, 8, Privilege::Supervisor, Access::Store) {
            return Err(Fault::Access);
        }
        memory.compare_exchange(place, old, new).map_err(|_| Fault::Access)
    }
}
