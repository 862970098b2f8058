//! Where and how two executions part.

use trace::{Access, Event, Insn, Privilege, Register, Trap};

use crate::Registers;

/// One thing in which two events differ: what the reference says, then the subject.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Difference {
    /// One goes on where the other has ended: the address at which it does, `None` for the end.
    End(Option<u64>, Option<u64>),
    /// Other instructions are executed.
    Pc(u64, u64),
    /// There are other bytes at the same place.
    Insn(Insn, Insn),
    /// At another level of privilege.
    Privilege(Privilege, Privilege),
    /// A register has another value.
    Register(Register, u128, u128),
    /// Other accesses to memory.
    Memory(Vec<Access>, Vec<Access>),
    /// One traps, or both do in different ways.
    Trap(Option<Trap>, Option<Trap>),
}

/// What both sides say of one instruction.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Pair {
    /// How many instructions of the hart were compared before.
    pub index: u64,
    /// The reference's event; `None` after its end.
    pub reference: Option<Event>,
    /// The subject's.
    pub subject: Option<Event>,
}

/// The first instruction at which the executions differ.
#[derive(Clone, Debug)]
pub struct Divergence {
    /// In which hart.
    pub hart: u32,
    /// The instruction.
    pub pair: Pair,
    /// All in which it differs.
    pub differences: Vec<Difference>,
    /// The instructions before, on which both agree, the oldest first.
    pub history: Vec<Pair>,
    /// The reference's registers after the instruction, as far as they are known.
    pub reference: Registers,
    /// The subject's.
    pub subject: Registers,
    /// The registers before it, as far as the reference knows them.
    pub before: Registers,
    /// The registers before the last instruction of the history, or before the last block.
    pub before_last: Registers,
    /// If the subject has executed a block as a whole, what the reference did in it, instruction by instruction. The pair's
    /// events have it together.
    pub block: Vec<Event>,
    /// The same of the block before.
    pub block_last: Vec<Event>,
}

/// The instruction that is to be blamed: the one that differs, or where it goes on elsewhere, the one before.
#[derive(Clone, Copy, Debug)]
pub struct Guilty<'a> {
    /// It.
    pub pair: &'a Pair,
    /// The reference's registers before it.
    pub before: &'a Registers,
    /// The reference's registers after it.
    pub after: &'a Registers,
    /// Where the reference goes on after it, if that has been seen.
    pub next: Option<u64>,
    /// If it is a block, its instructions as the reference has executed them.
    pub block: &'a [Event],
}

impl Divergence {
    /// The instruction after whose execution the sides differ.
    #[must_use]
    pub fn guilty(&self) -> Option<Guilty<'_>> {
        if let [Difference::Pc(next, _)] = self.differences[..] {
            if let [block @ .., elsewhere] = &self.block[..]
                && !block.is_empty()
            {
                let (pair, before, next) = (&self.pair, &self.before, Some(elsewhere.pc));
                return Some(Guilty { pair, before, after: &self.reference, next, block });
            }
            let (pair, before) = (self.history.last()?, &self.before_last);
            let (after, next, block) = (&self.before, Some(next), &self.block_last[..]);
            return Some(Guilty { pair, before, after, next, block });
        }
        let (pair, before) = (&self.pair, &self.before);
        let is_executed = pair.reference.is_some() && pair.subject.is_some();
        let (after, next, block) = (&self.reference, None, &self.block[..]);
        let guilty = Guilty { pair, before, after, next, block };
        is_executed.then_some(guilty)
    }
}
