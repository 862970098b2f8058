//! Making a fault in compiled code precise: the interpreter does again what compiled code did since
//! its last sync point.

#![expect(unsafe_code, reason = "runs tier 0 code on the frame")]

use base::GuestVirt;
use base::cpu::PC_DELTA;
use ir::interp::{Alone, Direct, Memory, Replay};

use crate::exit::Exit;
use crate::vcpu::{Vcpu, interpret};

/// How a replay ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Replayed {
    /// The guest can go on at the frame's pc: the access did not fault this time.
    GoesOn,
    /// The access faulted again, or something else happened on the way.
    Exit(Exit),
}

impl Vcpu {
    /// Goes on from `sync_pc`, where the frame's registers are exact, as compiled code did until
    /// the instruction at `fault_pc` faulted on `fault_addr`. Stores that it made before its first
    /// load have happened and are not made again; see [`ir::interp::Replay`].
    pub fn replay(
        &mut self,
        sync_pc: GuestVirt,
        fault_pc: GuestVirt,
        fault_addr: GuestVirt,
    ) -> Replayed {
        self.enter_epoch();
        self.write_protect();
        let replayed = self.replay_here(sync_pc, fault_pc, fault_addr);
        self.leave_epoch();
        replayed.map_or(Replayed::GoesOn, Replayed::Exit)
    }

    /// As [`Vcpu::replay`], by a CPU that is running.
    pub(crate) fn replay_here(
        &mut self,
        sync_pc: GuestVirt,
        fault_pc: GuestVirt,
        fault_addr: GuestVirt,
    ) -> Option<Exit> {
        self.counters().replays.add(1);
        // What translations of other pages know that pc by depends on where these lie.
        let fault_pc = fault_pc.wrapping_add(self.frame().get(PC_DELTA));
        self.set_pc(sync_pc);
        match self.soft_memory() {
            None => self.replay_on(Replay::new(&mut Direct, fault_addr), fault_pc),
            Some(memory) => {
                self.replay_on(Replay::new(&mut memory.counted(), fault_addr), fault_pc)
            }
        }
    }

    fn replay_on<M: Memory>(
        &mut self,
        mut memory: Replay<'_, M>,
        fault_pc: GuestVirt,
    ) -> Option<Exit> {
        // Interrupts wait: between here and the fault no state is one to stop in.
        loop {
            let tb = match self.find_here() {
                Ok(tb) => tb,
                Err(exit) => return Some(exit),
            };
            // SAFETY: the block was found in this epoch.
            let entry = unsafe { tb.get() }.entry();
            let here = GuestVirt(fault_pc.0.wrapping_sub(self.frame().get(PC_DELTA)));
            // SAFETY: as above.
            unsafe { memory.enter(entry, here) };
            // SAFETY: as above, and this CPU is running.
            let stop = unsafe { interpret(&self.shared, &mut memory, &Alone, entry) };
            let exit = self.after_interpreter(stop);
            if exit.is_some() || !memory.is_suppressing() {
                return exit;
            }
        }
    }
}
