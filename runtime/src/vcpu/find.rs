//! Finding the block at a CPU's pc, and having the way by which control came there lead to it at once from now on.

#![expect(unsafe_code, reason = "blocks are reached by pointers that hold for an epoch")]

use base::cpu::{Approach, PC_DELTA};
use base::{CpuFrame, GuestPhys, GuestVirt};
use ir::BlockKey;
use softmmu::Softmmu;

use super::{Arrival, CROWD_CHECK, Vcpu};
use crate::block::{Tb, TbRef};
use crate::exit::{Exit, FetchFault, FetchFaultCause};

impl Vcpu {
    /// The block at pc, translated if it is not in the cache. Valid in this epoch.
    pub(crate) fn find_here(&mut self) -> Result<TbRef, Exit> {
        if let Some(tb) = self.find_known() {
            return Ok(tb);
        }
        let Some((softmmu, frame)) = self.system_mut() else {
            return self.key_here().and_then(|key| self.find(key)).map_err(Exit::FetchFault);
        };
        let key = locate(softmmu, frame).map_err(Exit::GuestFault)?;
        match self.find(key) {
            Err(FetchFault { cause: FetchFaultCause::OtherPage, .. }) => {
                let second = self.second_page().map_err(Exit::GuestFault)?;
                self.translate(key, Some(second)).map_err(Exit::FetchFault)
            }
            found => found.map_err(Exit::FetchFault),
        }
    }

    /// What a whole machine's jump cache knows of the pc.
    fn find_known(&mut self) -> Option<TbRef> {
        // SAFETY: as in `frame`; the system CPU is no part of the frame.
        let frame = unsafe { &mut *self.shared.frame() };
        let (entry, delta) = self.system.as_ref()?.jumps.find(frame, frame.pc)?;
        // SAFETY: the jump cache remembers nothing from before this epoch.
        let tb = unsafe { TbRef::of(entry) }?;
        frame.set(PC_DELTA, delta);
        self.counters().jumps_known.add(1);
        Some(tb)
    }

    /// The page on which an instruction that begins on that of the pc goes on.
    pub(super) fn second_page(&mut self) -> Result<GuestVirt, softmmu::GuestFault> {
        let Some((softmmu, frame)) = self.system_mut() else { return Ok(GuestVirt(0)) };
        let next = GuestVirt(frame.pc).page().wrapping_add(base::addr::PAGE_SIZE);
        let GuestPhys(phys) = softmmu.fetch(frame, next)?;
        Ok(GuestVirt(phys))
    }

    /// The block of a key, translated if it is not in the cache. Valid in this epoch.
    fn find(&mut self, key: BlockKey) -> Result<TbRef, FetchFault> {
        if let Some(tb) = self.find_quickly(key) {
            self.counters().cache_hits.add(1);
            return Ok(tb);
        }
        self.translate(key, None)
    }

    fn translate(
        &mut self,
        key: BlockKey,
        second_page: Option<GuestVirt>,
    ) -> Result<TbRef, FetchFault> {
        // SAFETY: between `enter_epoch` and `leave_epoch`.
        let tb = unsafe { self.engine.translate(&mut self.translator, key, second_page) };
        self.write_protect();
        let tb = tb?;
        // SAFETY: as above.
        let block = unsafe { tb.get() };
        let counters = self.counters();
        counters.cache_misses.add(1);
        counters.translated_blocks.add(1);
        counters.translated_insns.add(u64::from(block.code.head().insns()));
        counters.translated_bytes.add(block.host_bytes() as u64);
        if counters.translated_blocks.get().is_multiple_of(CROWD_CHECK) && self.engine.is_crowded()
        {
            self.engine.flush();
        }
        Ok(tb)
    }

    fn find_quickly(&self, key: BlockKey) -> Option<TbRef> {
        let known = if self.system.is_none() { self.jumps.find(key) } else { None };
        if let Some(entry) = known {
            // SAFETY: the jump cache remembers nothing from before this epoch.
            return unsafe { TbRef::of(entry) };
        }
        // SAFETY: between `enter_epoch` and `leave_epoch`.
        let tb = unsafe { self.engine.cache.find(key) }?;
        // SAFETY: as above.
        self.know(unsafe { tb.get() }, Approach::PLAIN);
        Some(tb)
    }

    /// Lets jumps to pc find its block.
    fn know(&self, block: &Tb, approach: Approach) {
        if self.engine.points.is_cut(block.key().pc()) {
            return;
        }
        match &self.system {
            None => self.jumps.insert(block.key(), approach, block.entry()),
            Some(_) if approach != Approach::PLAIN => {}
            Some(system) => {
                let frame = self.frame();
                system.jumps.insert(frame, GuestVirt(frame.pc), block.entry());
            }
        }
    }

    /// Lets the way by which control came to this block lead there at once from now on.
    pub(super) fn remember(&mut self, tb: TbRef, block: &Tb) {
        match std::mem::replace(&mut self.arrival, Arrival::Anyhow) {
            Arrival::Anyhow => {}
            Arrival::Indirect => {
                self.know(block, self.approach());
                if let Some(code) = block.compiled() {
                    self.know_compiled(block, code.as_ptr());
                }
            }
            Arrival::Exit(from, side) => {
                // SAFETY: both were found in this epoch: a new one clears `arrival`.
                if unsafe { self.engine.link(from, side, tb) } {
                    self.counters().links.add(1);
                } else {
                    self.know(block, Approach::PLAIN);
                }
            }
            Arrival::CompiledExit(exit) => {
                if let Some((promoter, code)) = self.engine.compiled(block.compiled()) {
                    promoter.link(exit, code);
                }
            }
        }
    }

    /// Lets compiled code's jumps to pc find its region.
    fn know_compiled(&mut self, block: &Tb, code: *const u8) {
        // SAFETY: as in `frame`; the system CPU is no part of the frame.
        let frame = unsafe { &*self.shared.frame() };
        let approach = self.approach();
        match &mut self.system {
            None => self.compiled_jumps.insert(block.key(), approach, code),
            // It does not tell approaches apart.
            Some(_) if approach != Approach::PLAIN => {}
            Some(system) => system.know_compiled(frame, code),
        }
    }
}

/// The key of what lies at a whole machine's pc, and the delta there.
pub(super) fn locate(
    softmmu: &mut Softmmu,
    frame: &mut CpuFrame,
) -> Result<BlockKey, softmmu::GuestFault> {
    let pc = GuestVirt(frame.pc);
    let phys = softmmu.fetch(frame, pc)?;
    frame.set(PC_DELTA, pc.0.wrapping_sub(phys.0));
    Ok(BlockKey::new(GuestVirt(phys.0), frame.key_flags))
}
