//! Which ways a translator goes: for each encoding, the pairs of operations that follow each other in what it makes of it,
//! as far as a decision of the translator's may have made them so.
//!
//! What an operation is to this end is its name, its types and modes, the helper that it calls, and of its operands whether
//! they are registers, what was computed, or constants of a kind: not which. So two translations that differ in nothing but names of
//! registers are one way, and what a translator does for a constant 0, for one register named twice, or where nobody sees
//! a flag, are others. As with edges of control flow, pairs tell ways apart without there being as many as there are paths.

use std::collections::{BTreeMap, BTreeSet};

use ir::ops::Shape;
use ir::{Block, Inst, Opcode, Operand, OperandKind, Terminator};
use serde::{Deserialize, Serialize};

use crate::guest::Ferry;
use crate::machine::{CODE, State};
use crate::tier::Runner;

/// The pairs that were seen, by encoding.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Paths(BTreeMap<String, BTreeSet<u32>>);

impl Paths {
    /// Adds the ways of a block, which was made from these bytes. How many are new.
    pub fn see(&mut self, ferry: &Ferry, block: &Block, code: &[u8]) -> usize {
        let (mut new, mut last, mut name) = (0, 0, None);
        for inst in &block.insts {
            if inst.op == Opcode::Mark {
                new += self.add(name, pair(last, END));
                let at = usize::try_from(inst.imm).unwrap_or_default();
                let rest = code.get(at..).unwrap_or_default();
                (last, name) = (START, (ferry.random.coverage.name)(ferry, rest));
                continue;
            }
            let now = operation(block, inst);
            new += self.add(name, pair(last, now));
            last = now;
        }
        new + self.add(name, pair(last, terminator(block)))
    }

    /// Adds the ways of all blocks that control can reach in this code. How many are new.
    pub fn see_all(&mut self, runner: &mut Runner, code: &[u8], before: &State) -> usize {
        let ferry = runner.ferry();
        let see = |block: &Block| {
            let at = block.key.pc().0.wrapping_sub(CODE.0) as usize;
            self.see(ferry, block, code.get(at..).unwrap_or_default())
        };
        runner.blocks(code, before).iter().map(see).sum()
    }

    fn add(&mut self, name: Option<&str>, pair: u32) -> usize {
        let Some(name) = name else { return 0 };
        if let Some(known) = self.0.get_mut(name) {
            return usize::from(known.insert(pair));
        }
        self.0.insert(name.to_owned(), BTreeSet::from([pair]));
        1
    }

    /// Adds what was seen elsewhere.
    pub fn merge(&mut self, other: &Self) {
        for (name, pairs) in &other.0 {
            self.0.entry(name.clone()).or_default().extend(pairs);
        }
    }

    /// How many ways, of how many encodings.
    #[must_use]
    pub fn totals(&self) -> [usize; 2] {
        [self.0.values().map(BTreeSet::len).sum(), self.0.len()]
    }

    /// The totals in words.
    #[must_use]
    pub fn report(&self, guest: &str) -> String {
        let [ways, encodings] = self.totals();
        format!("{guest}: {ways} ways through the translator, of {encodings} encodings\n")
    }
}

/// Stands for the beginning of an instruction.
const START: u32 = 1;
/// Stands for its end, where the block goes on.
const END: u32 = 2;

/// FNV-1a, which is the same on every machine and in every build.
#[derive(Clone, Copy)]
struct Hash(u32);

impl Hash {
    const EMPTY: Self = Self(0x811c_9dc5);

    fn bytes(self, bytes: &[u8]) -> Self {
        Self(
            bytes
                .iter()
                .fold(self.0, |hash, &byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193)),
        )
    }

    fn number(self, number: u32) -> Self {
        self.bytes(&number.to_le_bytes())
    }
}

fn pair(from: u32, to: u32) -> u32 {
    Hash::EMPTY.number(from).number(to).0
}

fn operation(block: &Block, inst: &Inst) -> u32 {
    let info = inst.op.info();
    let hash = Hash::EMPTY.bytes(info.name.as_bytes()).number(inst.ty as u32);
    let hash = hash.number(inst.aux.into());
    let helper = if info.shape == Shape::Call { inst.imm as u32 } else { 0 };
    let hash = hash.number(helper).number(kind(block, inst.dst));
    inst.args.iter().fold(hash, |hash, &arg| hash.number(kind(block, arg))).0
}

/// Of constants, those that translators are likely to look at.
fn kind(block: &Block, operand: Operand) -> u32 {
    match block.operand(operand) {
        OperandKind::None => 0,
        OperandKind::Temp(_) => 1,
        OperandKind::Slot(_) => 2,
        OperandKind::Const(0) => 3,
        OperandKind::Const(1) => 4,
        OperandKind::Const(u64::MAX) => 5,
        OperandKind::Const(_) => 6,
    }
}

fn terminator(block: &Block) -> u32 {
    let text = match block.terminator {
        Terminator::Jump { hint, .. } => format!("jump {hint:?}"),
        Terminator::Branch { cond, .. } => format!("branch {}", kind(block, cond)),
        Terminator::Indirect { target, hint, .. } => {
            format!("indirect {} {hint:?}", kind(block, target))
        }
        Terminator::Trap { trap, .. } => format!("trap {trap:?}"),
        Terminator::Lookup { .. } => "lookup".to_owned(),
    };
    Hash::EMPTY.bytes(text.as_bytes()).0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::guest::{RISCV64, X86_64};

    fn of(guest: &'static crate::guest::Guest, code: &[u8], paths: &mut Paths) -> usize {
        let mut runner = Runner::new(guest).expect("a guest of Ferry's");
        paths.see_all(&mut runner, code, &State::new(guest))
    }

    #[test]
    fn names_of_registers_are_no_way_and_constants_are() {
        let mut paths = Paths::default();
        let addi =
            |rd: u32, rs: u32, imm: u32| (0x13 | rd << 7 | rs << 15 | imm << 20).to_le_bytes();
        assert!(of(&RISCV64, &addi(1, 2, 100), &mut paths) > 0);
        assert_eq!(of(&RISCV64, &addi(7, 9, 200), &mut paths), 0);
        // mv is no sum.
        assert!(of(&RISCV64, &addi(7, 9, 0), &mut paths) > 0);
    }

    #[test]
    fn flags_that_nobody_sees_are_a_way() {
        let mut paths = Paths::default();
        // add eax, ebx; then twice, so that the flags of the first are overwritten.
        assert!(of(&X86_64, &[0x01, 0xd8], &mut paths) > 0);
        assert!(of(&X86_64, &[0x01, 0xd8, 0x01, 0xd8], &mut paths) > 0);
        assert_eq!(of(&X86_64, &[0x01, 0xc8, 0x01, 0xc8], &mut paths), 0);
    }
}
