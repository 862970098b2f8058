//! A subject that executes whole blocks, held against as many instructions of the reference: at each block's end both have the same registers.

#![expect(clippy::vec_box, reason = "events move to the history without being copied")]

use std::collections::BTreeMap;

use trace::{Access, AccessKind, Architecture, Event, Insn, RegClass, RegWrite};

use crate::compare::{Comparison, Error, traps_agree, writes_to};
use crate::divergence::{Difference, Divergence};
use crate::guest::{self, Outside};

/// Where the reference leaves the way of a block.
enum Way {
    /// It does not.
    Whole,
    /// With the event that was taken last, which is elsewhere, or of other code, or traps.
    Left(Difference),
    /// It has ended.
    Ended,
}

/// What several events did together to registers.
fn merged(events: &[Box<Event>]) -> Vec<RegWrite> {
    let mut all: Vec<RegWrite> = Vec::new();
    for write in events.iter().flat_map(|event| &event.writes) {
        match all.iter_mut().find(|known| known.register == write.register) {
            Some(known) => known.value = write.value,
            None => all.push(*write),
        }
    }
    all
}

/// Adds a byte to stores, to the last one if it follows it.
fn add_byte(stores: &mut Vec<Access>, addr: u64, byte: u8) {
    match stores.last_mut() {
        Some(Access { addr: start, size: Some(size), value: Some(value), .. })
            if *size < 16 && start.wrapping_add((*size).into()) == addr =>
        {
            *value |= u128::from(byte) << (8 * *size);
            *size += 1;
        }
        _ => {
            let (kind, value) = (AccessKind::Store, Some(byte.into()));
            stores.push(Access { kind, addr, phys: None, size: Some(1), value });
        }
    }
}

/// Whether an instruction that calls the system writes a register by itself, with what is no difference.
fn is_of_call(architecture: Architecture, write: &RegWrite) -> bool {
    architecture == Architecture::X86_64
        && write.register.class == RegClass::Int
        && matches!(write.register.number, 1 | 11)
}

impl Comparison<'_> {
    /// Compares a block of the subject's, of which it has executed these instructions.
    pub(crate) fn step_block(
        &mut self,
        hart: u32,
        subject: Box<Event>,
        insns: &[Insn],
    ) -> Result<Option<Box<Divergence>>, Error> {
        // An instruction that traps has no event on a side that shows only what retires.
        let unseen = usize::from(subject.trap.is_some() && !self.reference_shows_traps());
        let insns = &insns[..insns.len() - unseen.min(insns.len())];
        let (mut block, way) = self.take_block(hart, &subject, insns)?;
        self.begin_instruction(hart);
        match way {
            Way::Ended if block.is_empty() => Ok(self.at_end(hart, None, Some(subject))),
            Way::Ended if self.may_go_on() => Ok(None),
            Way::Ended => {
                let ends = Difference::End(None, Some(subject.pc));
                Ok(Some(self.block_differs(hart, block, subject, vec![ends])))
            }
            Way::Left(difference) => {
                let last = if block.len() > 1 { block.pop() } else { None };
                let writes = merged(&block);
                if last.is_some() {
                    self.registers_differ(hart, &writes, &subject.writes, &mut Vec::new());
                }
                block.extend(last);
                Ok(Some(self.block_differs(hart, block, subject, vec![difference])))
            }
            Way::Whole => {
                let differences = self.compare_block(hart, &block, &subject)?;
                if !differences.is_empty() {
                    return Ok(Some(self.block_differs(hart, block, subject, differences)));
                }
                self.remember_block(hart, block, subject);
                Ok(None)
            }
        }
    }

    /// Takes the reference's events of a block.
    fn take_block(
        &mut self,
        hart: u32,
        subject: &Event,
        insns: &[Insn],
    ) -> Result<(Vec<Box<Event>>, Way), Error> {
        let (mut block, mut pc) = (Vec::new(), subject.pc);
        for (at, insn) in insns.iter().enumerate() {
            let Some(event) = self.reference.take(hart)? else { return Ok((block, Way::Ended)) };
            if event.delivered().is_some() {
                return Err(Error::SignalInBlock(pc));
            }
            let trap = if at + 1 == insns.len() { subject.trap } else { None };
            let difference = match event.insn {
                _ if event.pc != pc => Some(Difference::Pc(event.pc, pc)),
                Some(own) if !own.agrees_with(insn) => Some(Difference::Insn(own, *insn)),
                _ if !traps_agree(event.trap, trap) && self.both_show_traps() => {
                    Some(Difference::Trap(event.trap, trap))
                }
                _ => None,
            };
            block.push(event);
            if let Some(difference) = difference {
                return Ok((block, Way::Left(difference)));
            }
            pc = pc.wrapping_add(insn.bytes().len() as u64);
        }
        Ok((block, Way::Whole))
    }

    /// In what registers differ after a block. What its last instruction got from outside, the subject takes over.
    fn compare_block(
        &mut self,
        hart: u32,
        block: &[Box<Event>],
        subject: &Event,
    ) -> Result<Vec<Difference>, Error> {
        let mut found = Vec::new();
        block.iter().for_each(|event| self.leave_flags_open(hart, event));
        let Some((last, before)) = block.split_last() else { return Ok(found) };
        let Some(outside) = guest::outside(self.architecture, last) else {
            self.registers_differ(hart, &merged(block), &subject.writes, &mut found);
            self.memory_differs(block, &mut found);
            return Ok(found);
        };
        let is_call = outside == Outside::Kernel;
        self.counts.calls += u64::from(is_call);
        let architecture = self.architecture;
        let counts = |write: &RegWrite| {
            let is_own = is_call && is_of_call(architecture, write);
            !is_own && !writes_to(&last.writes, write.register)
        };
        let [a, b] = [merged(before), subject.writes.clone()]
            .map(|writes| writes.into_iter().filter(counts).collect::<Vec<_>>());
        self.registers_differ(hart, &a, &b, &mut found);
        self.memory_differs(before, &mut found);
        if found.is_empty() {
            let own = subject.writes.iter().filter(|write| writes_to(&last.writes, write.register));
            let own =
                Event { trap: subject.trap, writes: own.copied().collect(), ..Event::default() };
            self.take_over(hart, last, &own)?;
        }
        Ok(found)
    }

    /// Whether memory is what the reference has stored, as far as it tells and the subject can be asked.
    fn memory_differs(&mut self, block: &[Box<Event>], found: &mut Vec<Difference>) {
        let mut expected = BTreeMap::new();
        let accesses = block.iter().flat_map(|event| &event.accesses);
        for access in accesses.filter(|access| access.kind == AccessKind::Store) {
            expected.extend(access.bytes());
        }
        let (mut theirs, mut own) = (Vec::new(), Vec::new());
        for (addr, byte) in expected {
            let mut there = [0];
            if self.subject.execution.memory(addr, &mut there) && there[0] != byte {
                add_byte(&mut theirs, addr, byte);
                add_byte(&mut own, addr, there[0]);
            }
        }
        if !own.is_empty() {
            found.push(Difference::Memory(theirs, own));
        }
    }

    fn block_differs(
        &mut self,
        hart: u32,
        block: Vec<Box<Event>>,
        subject: Box<Event>,
        differences: Vec<Difference>,
    ) -> Box<Divergence> {
        let together = block.first().map(|first| {
            let mut together = first.clone();
            together.writes = merged(&block);
            together.accesses = block.iter().flat_map(|event| event.accesses.clone()).collect();
            together.trap = block.last().and_then(|last| last.trap);
            together
        });
        let mut divergence = self.diverge(hart, together, Some(subject), differences);
        divergence.block = block.into_iter().map(|event| *event).collect();
        divergence
    }

    /// Notes that a block is the same.
    fn remember_block(&mut self, hart: u32, block: Vec<Box<Event>>, subject: Box<Event>) {
        self.counts.blocks += 1;
        self.harts[hart as usize].last_block =
            block.iter().map(|event| (**event).clone()).collect();
        let last = block.len().saturating_sub(1);
        let mut subject = Some(subject);
        for (at, event) in block.into_iter().enumerate() {
            let own = if at == last { subject.take() } else { None };
            let own = own.unwrap_or_else(|| {
                let mut blank = self.subject.blank();
                (blank.hart, blank.pc, blank.insn) = (hart, event.pc, event.insn);
                blank
            });
            self.remember(hart, event, own);
        }
    }
}
