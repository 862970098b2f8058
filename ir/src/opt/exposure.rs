//! Where the guest, or a replay, can find out what slots hold.

use base::defect::{Defect, is_seeded};

use crate::block::{Block, Inst};
use crate::guest::Guest;
use crate::ops::{Opcode, flag};
use crate::precision::Precision;

/// Finds the places of a block that read all slots.
#[derive(Debug, Default)]
pub(super) struct Exposure {
    /// Indices of the marks at which all slots are read.
    marks: Vec<usize>,
}

impl Exposure {
    /// Looks at another block.
    pub(super) fn of(&mut self, block: &Block, guest: &Guest, precision: Precision) {
        self.marks.clear();
        if precision == Precision::EveryAccess {
            return;
        }
        let mut insn = Insn { mark: 0, ..Insn::default() };
        let mut after_unrepeatable = true;
        for (index, inst) in block.insts.iter().enumerate() {
            if inst.op == Opcode::Mark {
                self.close(&insn, &mut after_unrepeatable);
                insn = Insn { mark: index, ..Insn::default() };
            } else {
                insn.add(inst, guest);
            }
        }
        self.close(&insn, &mut after_unrepeatable);
    }

    fn close(&mut self, insn: &Insn, after_unrepeatable: &mut bool) {
        let exposed = insn.writes || insn.unrepeatable || insn.leaves;
        if exposed || (insn.accesses && *after_unrepeatable) {
            self.marks.push(insn.mark);
        }
        *after_unrepeatable = insn.unrepeatable || (*after_unrepeatable && !insn.accesses);
    }

    /// Whether the mark at this index reads all slots. Asked from the block's end to its start.
    pub(super) fn pop(&mut self, mark: usize) -> bool {
        self.marks.pop_if(|last| *last == mark).is_some()
    }
}

/// What one guest instruction does to memory.
#[derive(Default)]
struct Insn {
    mark: usize,
    accesses: bool,
    loads: bool,
    writes: bool,
    /// It must not be done again in part.
    unrepeatable: bool,
    /// It may leave with the slots as of its start.
    leaves: bool,
}

impl Insn {
    fn add(&mut self, inst: &Inst, guest: &Guest) {
        let info = inst.op.info();
        self.leaves |= inst.op == Opcode::AlignCheck;
        self.unrepeatable |= guest.uses_frame(inst) || inst.names_slot(guest.fp_flags);
        if info.has(flag::FAULTS) {
            let (reads, writes) = (info.has(flag::READS), info.has(flag::WRITES));
            self.accesses = true;
            self.unrepeatable |= writes && (reads || self.loads);
            self.loads |= !writes;
            self.writes |= writes;
        }
    }
}

/// Whether an operation itself, wherever it stands, reads all slots.
pub(super) fn reads_all_slots(inst: &Inst, guest: &Guest, precision: Precision) -> bool {
    let exact = !is_seeded(Defect::DropsWritesBeforeFaults);
    let faults = exact && precision == Precision::EveryAccess && inst.op.info().has(flag::FAULTS);
    faults || guest.uses_frame(inst)
}
