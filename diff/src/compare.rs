//! The comparison itself: lockstep by instruction, in each hart.

use std::collections::VecDeque;

use arch::riscv64::privileged::INTERRUPT;
use trace::{Architecture, Carries, Event, RegClass, RegWrite, Register, Signal, Trap, Writes};

use crate::divergence::{Difference, Divergence, Pair};
use crate::guest;
use crate::memory::{self, Told};
use crate::side::{Execution, Side};
use crate::state::Registers;

/// Why two executions could not be compared.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A side cannot be read.
    #[error("{side}: {source}")]
    Source {
        /// Which one.
        side: &'static str,
        /// Why.
        source: trace::Error,
    },
    /// The sides are of different architectures.
    #[error("the reference is of {}, the subject of {}", .0.name(), .1.name())]
    Architectures(Architecture, Architecture),
    /// The sides run their harts in orders that are too different.
    #[error(
        "{0} events of one hart lie before the next of another: the sides' harts are too far apart"
    )]
    HartsApart(usize),
    /// The reference enters the handler of a signal where the subject has gone on.
    #[error(
        "the reference gets a signal within a block, before {0:#x}, that the subject has executed whole: compare by instruction"
    )]
    SignalInBlock(u64),
    /// No machine has so many.
    #[error("there is no hart {0}: that many no machine has")]
    Hart(u32),
}

/// How to compare.
#[derive(Clone, Debug)]
pub struct Options {
    /// Instructions that a divergence remembers.
    pub history: usize,
    /// How many instructions one side may have that the other leaves out (trap handlers that a simulator hides,
    /// interrupts taken elsewhere) before the executions count as different. 0: none.
    pub resync: usize,
    /// Whether the subject may go on where the reference ends.
    pub may_go_on: bool,
    /// Compare no more instructions than this.
    pub count: Option<u64>,
    /// Compare no further than to the end of so many system calls.
    pub calls: Option<u64>,
    /// Registers that are not compared.
    pub ignored: Vec<Register>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            history: 16,
            resync: 0,
            may_go_on: false,
            count: None,
            calls: None,
            ignored: Vec::new(),
        }
    }
}

/// What was compared, and what was not.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, serde::Serialize)]
pub struct Counts {
    /// Instructions that both sides executed.
    pub instructions: u64,
    /// Values of registers that both sides knew.
    pub registers: u64,
    /// Instructions whose results came from outside, and that the subject took over.
    pub adopted: u64,
    /// As before, but the subject could not: the registers are unknown from there on.
    pub unknown: u64,
    /// Instructions that only one side had, and that were passed over.
    pub passed_over: u64,
    /// System calls.
    pub calls: u64,
    /// Signals whose handlers were entered.
    pub signals: u64,
    /// Interrupts of machines that both sides took.
    pub interrupts: u64,
    /// Instructions that agree because parts of traces have equal hashes.
    pub by_hash: u64,
    /// Blocks, of which the subject has executed each as a whole.
    pub blocks: u64,
}

/// How a comparison ended.
#[derive(Debug)]
pub enum Verdict {
    /// No difference was found.
    Same(Counts),
    /// The first difference.
    Different(Counts, Box<Divergence>),
}

/// Two executions, and how far they were compared.
pub struct Comparison<'a> {
    options: Options,
    pub(crate) architecture: Architecture,
    pub(crate) reference: Side<'a>,
    pub(crate) subject: Side<'a>,
    told: Told,
    /// What either side's events carry.
    carries: [Carries; 2],
    /// Whether the subject waits to be told what the reference does.
    is_led: bool,
    pub(crate) harts: Vec<Hart>,
    pub(crate) counts: Counts,
}

#[derive(Default)]
pub(crate) struct Hart {
    compared: u64,
    pub(crate) reference: Registers,
    pub(crate) subject: Registers,
    /// Flags that the last instruction to change them left undefined.
    pub(crate) open_flags: u128,
    /// The newest last.
    history: VecDeque<(u64, Box<Event>, Box<Event>)>,
    /// What the reference's registers were before the instruction.
    undo: Undo,
    /// And before the one before it.
    undo_last: Undo,
    /// What the reference did in the block that was compared last, if it was one.
    pub(crate) last_block: Vec<Event>,
}

impl Hart {
    /// Learns what both sides wrote.
    #[inline]
    fn learn(&mut self, writes: &[RegWrite]) {
        for &RegWrite { register, value } in writes {
            self.undo.push((register, self.reference.replace(register, value)));
            self.subject.set(register, value);
        }
    }
}

/// Registers with what they were.
type Undo = Vec<(Register, Option<u128>)>;

/// The registers as they were.
fn undone(mut registers: Registers, undo: Undo) -> Registers {
    for (register, value) in undo.into_iter().rev() {
        match value {
            Some(value) => registers.set(register, value),
            None => registers.forget(register),
        }
    }
    registers
}

/// Which side an instruction is passed over on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Only {
    Reference,
    Subject,
}

impl<'a> Comparison<'a> {
    /// Two executions, from where they are now.
    ///
    /// # Errors
    /// They are of different architectures.
    pub fn new(
        reference: &'a mut dyn Execution,
        subject: &'a mut dyn Execution,
        options: Options,
    ) -> Result<Self, Error> {
        let (a, b) = (reference.header(), subject.header());
        if a.architecture != b.architecture {
            return Err(Error::Architectures(a.architecture, b.architecture));
        }
        Ok(Self {
            options,
            architecture: a.architecture,
            told: Told::by_both(&a.carries, &b.carries),
            carries: [a.carries, b.carries],
            is_led: subject.is_led(),
            reference: Side::new(reference, "reference"),
            subject: Side::new(subject, "subject"),
            harts: Vec::new(),
            counts: Counts::default(),
        })
    }

    /// Says that both sides agree on so many instructions of the first hart, by the hashes of their traces' parts, and begin after
    /// them with these registers.
    pub fn agree_before(&mut self, instructions: u64, registers: &[RegWrite]) {
        self.harts.resize_with(1, Hart::default);
        let hart = &mut self.harts[0];
        hart.compared = instructions;
        hart.reference.apply(registers);
        hart.subject.apply(registers);
        self.counts.instructions = instructions;
        self.counts.by_hash = instructions;
    }

    /// Compares to the first difference or the end.
    ///
    /// # Errors
    /// A side cannot be read.
    pub fn run(mut self) -> Result<Verdict, Error> {
        let begun = self.subject.execution.begin(self.reference.execution);
        let begun = begun.map_err(|source| Error::Source { side: self.subject.name, source })?;
        self.know_beginning();
        if begun {
            self.harts[0].subject = self.harts[0].reference.clone();
        }
        while self.options.count.is_none_or(|count| self.counts.instructions < count)
            && self.options.calls.is_none_or(|calls| self.counts.calls < calls)
        {
            let Some(hart) = self.next_hart()? else { break };
            self.pass_over_unreported_traps(hart)?;
            if let Some(divergence) = self.step(hart)? {
                return Ok(Verdict::Different(self.counts, divergence));
            }
        }
        Ok(Verdict::Same(self.counts))
    }

    /// Learns in which state executions begin that can be looked at.
    fn know_beginning(&mut self) {
        self.harts.resize_with(1, Hart::default);
        let known = &mut self.harts[0];
        let sides =
            [(&mut self.reference, &mut known.reference), (&mut self.subject, &mut known.subject)];
        for (side, known) in sides {
            if let Some(state) = side.execution.state() {
                known.apply(&state.registers());
            }
        }
    }

    /// The hart whose instruction comes next; `None` if nothing is left to compare.
    fn next_hart(&mut self) -> Result<Option<u32>, Error> {
        let hart = match self.reference.next_hart()? {
            None if self.options.may_go_on => None,
            None => self.subject.next_hart()?,
            hart => hart,
        };
        if let Some(hart) = hart
            && hart as usize >= self.harts.len()
        {
            self.harts.resize_with(hart as usize + 1, Hart::default);
        }
        Ok(hart)
    }

    /// An instruction that traps has no event on a side that shows only what retires.
    fn pass_over_unreported_traps(&mut self, hart: u32) -> Result<(), Error> {
        let [reference_shows, subject_shows] = self.carries.each_ref().map(|carries| carries.traps);
        if !subject_shows {
            while self.reference.peek(hart, 0)?.is_some_and(|event| event.trap.is_some()) {
                self.pass_over(hart, Only::Reference)?;
            }
        }
        if !reference_shows {
            while self.subject.peek(hart, 0)?.is_some_and(|event| event.trap.is_some()) {
                self.pass_over(hart, Only::Subject)?;
            }
        }
        Ok(())
    }

    fn pass_over(&mut self, hart: u32, only: Only) -> Result<(), Error> {
        let known = &mut self.harts[hart as usize];
        let (side, own, other) = match only {
            Only::Reference => (&mut self.reference, &mut known.reference, &mut known.subject),
            Only::Subject => (&mut self.subject, &mut known.subject, &mut known.reference),
        };
        if let Some(event) = side.take(hart)? {
            own.apply(&event.writes);
            // The other side has not said what became of these.
            event.writes.iter().for_each(|write| other.forget(write.register));
            self.counts.passed_over += 1;
            side.recycle(event);
        }
        Ok(())
    }

    /// Compares one instruction of a hart.
    fn step(&mut self, hart: u32) -> Result<Option<Box<Divergence>>, Error> {
        self.resynchronise(hart)?;
        if self.is_led {
            if self.follow_signal(hart)? {
                return Ok(None);
            }
            self.lead(hart)?;
        }
        let subject = match (self.subject.take(hart)?, self.subject.taken_block()) {
            (Some(subject), Some(insns)) => return self.step_block(hart, subject, &insns),
            (subject, _) => subject,
        };
        let (reference, subject) = (self.reference.take(hart)?, subject);
        let (reference, subject) = match (reference, subject) {
            (Some(reference), Some(subject)) => (reference, subject),
            (reference, subject) => return Ok(self.at_end(hart, reference, subject)),
        };
        if !self.agree_plainly(hart, &reference, &subject) {
            let differences = self.differences(hart, &reference, &subject)?;
            if !differences.is_empty() {
                return Ok(Some(self.diverge(hart, Some(reference), Some(subject), differences)));
            }
        }
        self.remember(hart, reference, subject);
        Ok(None)
    }

    /// Whether both events say the same of an instruction that neither traps nor depends on anything outside, as almost all do. Then
    /// [`Self::differences`] would find none, after more questions, and what it learns of registers is learned here.
    fn agree_plainly(&mut self, hart: u32, a: &Event, b: &Event) -> bool {
        let is_plain = a.pc == b.pc
            && a.insn == b.insn
            && a.trap.is_none()
            && b.trap.is_none()
            && (a.privilege == b.privilege || a.privilege.is_none() || b.privilege.is_none())
            && a.writes == b.writes
            && memory::agree(&a.accesses, &b.accesses, self.told)
            && guest::outside(self.architecture, a).is_none()
            && !self.subject.execution.is_from_outside();
        if is_plain {
            self.begin_instruction(hart);
            self.leave_flags_open(hart, a);
            self.harts[hart as usize].learn(&a.writes);
            self.counts.registers += a.writes.len() as u64;
        }
        is_plain
    }

    /// Tells a subject that waits for it what the reference does.
    fn lead(&mut self, hart: u32) -> Result<(), Error> {
        if let Some(event) = self.reference.peek(hart, 0)? {
            let led = self.subject.execution.lead(event);
            led.map_err(|source| Error::Source { side: self.subject.name, source })?;
        }
        Ok(())
    }

    /// Has a subject without a kernel enter the handler of a signal that the reference gets. Whether there was one.
    fn follow_signal(&mut self, hart: u32) -> Result<bool, Error> {
        let is_signal = |event: &Event| event.delivered().is_some();
        if !self.reference.peek(hart, 0)?.is_some_and(is_signal) {
            return Ok(false);
        }
        let Some(event) = self.reference.take(hart)? else { return Ok(false) };
        let known = &mut self.harts[hart as usize];
        known.reference.apply(&event.writes);
        let adopted = self.subject.execution.adopt(&event, self.reference.execution);
        if adopted.map_err(|source| Error::Source { side: self.subject.name, source })? {
            known.subject.apply(&event.writes);
        } else {
            event.writes.iter().for_each(|write| known.subject.forget(write.register));
        }
        (known.undo, known.undo_last) = Default::default();
        self.counts.signals += 1;
        let copy = event.clone();
        known.history.push_back((known.compared, event, copy));
        self.shorten_history(hart);
        Ok(true)
    }

    /// Passes over what only one side has, if the sides meet again soon.
    fn resynchronise(&mut self, hart: u32) -> Result<(), Error> {
        if self.options.resync == 0 || self.meet(hart, 0, 0)? {
            return Ok(());
        }
        for distance in 1..=self.options.resync {
            for ahead in 0..=distance {
                if self.meet(hart, ahead, distance - ahead)? {
                    for _ in 0..ahead {
                        self.pass_over(hart, Only::Reference)?;
                    }
                    for _ in ahead..distance {
                        self.pass_over(hart, Only::Subject)?;
                    }
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    /// Whether both sides are at the same place after so many instructions each.
    fn meet(&mut self, hart: u32, reference: usize, subject: usize) -> Result<bool, Error> {
        let place = |event: Option<&Event>| event.map(|event| event.pc);
        let a = place(self.reference.peek(hart, reference)?);
        Ok(a == place(self.subject.peek(hart, subject)?))
    }

    pub(crate) fn at_end(
        &mut self,
        hart: u32,
        reference: Option<Box<Event>>,
        subject: Option<Box<Event>>,
    ) -> Option<Box<Divergence>> {
        if reference.is_none() && (subject.is_none() || self.options.may_go_on) {
            return None;
        }
        let place = |event: &Option<Box<Event>>| event.as_ref().map(|event| event.pc);
        let ends = Difference::End(place(&reference), place(&subject));
        Some(self.diverge(hart, reference, subject, vec![ends]))
    }

    /// In what two events of the same place in the execution differ. Registers become known by it. Out of the loop, which rarely
    /// comes here.
    #[inline(never)]
    fn differences(&mut self, hart: u32, a: &Event, b: &Event) -> Result<Vec<Difference>, Error> {
        self.begin_instruction(hart);
        if a.pc != b.pc {
            return Ok(vec![Difference::Pc(a.pc, b.pc)]);
        }
        let mut found = Vec::new();
        self.places_differ(a, b, &mut found);
        let traps = a.trap.is_some() || b.trap.is_some();
        let is_entry = traps && self.traps_differ(a, b, &mut found);
        let shown = if a.insn.is_some() { a } else { b };
        let outside = match self.subject.execution.is_from_outside() {
            true => Some(guest::Outside::World),
            false => guest::outside(self.architecture, shown),
        };
        match outside {
            Some(outside) if !is_entry => {
                self.counts.calls += u64::from(outside == guest::Outside::Kernel);
                self.take_over(hart, a, b)?;
            }
            _ => {
                self.leave_flags_open(hart, shown);
                self.registers_differ(hart, &a.writes, &b.writes, &mut found);
                if !memory::agree(&a.accesses, &b.accesses, self.told) {
                    found.push(Difference::Memory(a.accesses.clone(), b.accesses.clone()));
                }
            }
        }
        Ok(found)
    }

    /// Other instructions at the same address, and other levels of privilege.
    #[inline]
    fn places_differ(&self, a: &Event, b: &Event, found: &mut Vec<Difference>) {
        if let (Some(x), Some(y)) = (&a.insn, &b.insn)
            && !x.agrees_with(y)
        {
            found.push(Difference::Insn(*x, *y));
        }
        if let (Some(x), Some(y)) = (a.privilege, b.privilege)
            && x != y
        {
            found.push(Difference::Privilege(x, y));
        }
    }

    /// Compares events of which one traps at least. Whether a handler is entered in which all is known: of a signal, or of a trap that
    /// both have taken.
    fn traps_differ(&mut self, a: &Event, b: &Event, found: &mut Vec<Difference>) -> bool {
        if !traps_agree(a.trap, b.trap) && self.both_show_traps() {
            found.push(Difference::Trap(a.trap, b.trap));
        }
        let is_signal = a.delivered().or(b.delivered()).is_some();
        self.counts.signals += u64::from(is_signal);
        let is_trap = is_taken(a) && is_taken(b);
        self.counts.interrupts += u64::from(is_trap && is_interrupt(a));
        is_signal || is_trap
    }

    /// What registers were before is known of this instruction, or block, and of the last one.
    pub(crate) fn begin_instruction(&mut self, hart: u32) {
        let known = &mut self.harts[hart as usize];
        std::mem::swap(&mut known.undo, &mut known.undo_last);
        known.undo.clear();
    }

    /// Notes which flags an instruction leaves undefined.
    pub(crate) fn leave_flags_open(&mut self, hart: u32, event: &Event) {
        let known = &mut self.harts[hart as usize];
        known.open_flags = guest::open_flags(self.architecture, event, known.open_flags);
    }

    pub(crate) fn both_show_traps(&self) -> bool {
        self.carries.iter().all(|carries| carries.traps)
    }

    /// Whether the reference has events of instructions that trap.
    pub(crate) fn reference_shows_traps(&self) -> bool {
        self.carries[0].traps
    }

    pub(crate) fn may_go_on(&self) -> bool {
        self.options.may_go_on
    }

    /// Lets the subject go on with what the reference got from outside.
    pub(crate) fn take_over(&mut self, hart: u32, a: &Event, b: &Event) -> Result<(), Error> {
        let known = &mut self.harts[hart as usize];
        let agree = a.writes == b.writes;
        known.reference.apply(&a.writes);
        known.subject.apply(&b.writes);
        let subject = &mut *self.subject.execution;
        if (agree && !self.is_led) || a.trap.is_some() || b.trap.is_some() {
            return Ok(());
        }
        // What only the subject has written, the reference has as it was before.
        let kept = b.writes.iter().filter(|write| !writes_to(&a.writes, write.register));
        let kept: Vec<RegWrite> = kept
            .filter_map(|&RegWrite { register, .. }| {
                Some(RegWrite { register, value: known.reference.get(register)? })
            })
            .collect();
        let all = match kept.is_empty() {
            true => None,
            false => Some(Event { writes: [&a.writes[..], &kept].concat(), ..a.clone() }),
        };
        let a = all.as_ref().unwrap_or(a);
        let adopted = subject.adopt(a, self.reference.execution);
        if adopted.map_err(|source| Error::Source { side: self.subject.name, source })? {
            known.subject.apply(&a.writes);
            self.counts.adopted += u64::from(!agree);
            return Ok(());
        }
        self.counts.unknown += 1;
        for write in a.writes.iter().chain(&b.writes) {
            known.reference.forget(write.register);
            known.subject.forget(write.register);
        }
        Ok(())
    }

    pub(crate) fn registers_differ(
        &mut self,
        hart: u32,
        a: &[RegWrite],
        b: &[RegWrite],
        found: &mut Vec<Difference>,
    ) {
        let known = &mut self.harts[hart as usize];
        if a == b {
            self.counts.registers += a.len() as u64;
            return known.learn(a);
        }
        let open_flags = known.open_flags;
        let open = |register| if register == Register::FLAGS { open_flags } else { 0 };
        let [carries_a, carries_b] = &self.carries;
        for write in a.iter().chain(b) {
            known.undo.push((write.register, known.reference.get(write.register)));
        }
        settle(&mut known.reference, carries_a, a, b);
        settle(&mut known.subject, carries_b, b, a);
        let others = b.iter().filter(|write| !writes_to(a, write.register));
        for &RegWrite { register, .. } in a.iter().chain(others) {
            let values = (known.reference.get(register), known.subject.get(register));
            let (Some(x), Some(y)) = values else { continue };
            self.counts.registers += 1;
            if x != y
                && (x ^ y) & guest::defined(self.architecture, register) & !open(register) != 0
                && !self.options.ignored.contains(&register)
            {
                found.push(Difference::Register(register, x, y));
            }
        }
    }

    pub(crate) fn diverge(
        &mut self,
        hart: u32,
        reference: Option<Box<Event>>,
        subject: Option<Box<Event>>,
        differences: Vec<Difference>,
    ) -> Box<Divergence> {
        let known = std::mem::take(&mut self.harts[hart as usize]);
        let pair = |index, reference: Option<Box<Event>>, subject: Option<Box<Event>>| Pair {
            index,
            reference: reference.map(|event| *event),
            subject: subject.map(|event| *event),
        };
        let before = undone(known.reference.clone(), known.undo);
        let before_last = undone(before.clone(), known.undo_last);
        let history = known.history.into_iter();
        Box::new(Divergence {
            hart,
            pair: pair(known.compared, reference, subject),
            differences,
            history: history.map(|(at, a, b)| pair(at, Some(a), Some(b))).collect(),
            reference: known.reference,
            subject: known.subject,
            before,
            before_last,
            block: Vec::new(),
            block_last: known.last_block,
        })
    }

    #[inline]
    pub(crate) fn remember(&mut self, hart: u32, reference: Box<Event>, subject: Box<Event>) {
        let known = &mut self.harts[hart as usize];
        known.history.push_back((known.compared, reference, subject));
        known.compared += 1;
        self.counts.instructions += 1;
        self.shorten_history(hart);
    }

    #[inline]
    fn shorten_history(&mut self, hart: u32) {
        let known = &mut self.harts[hart as usize];
        if known.history.len() > self.options.history
            && let Some((_, reference, subject)) = known.history.pop_front()
        {
            self.reference.recycle(reference);
            self.subject.recycle(subject);
        }
    }
}

/// Whether a machine's CPU has taken a trap there.
fn is_taken(event: &Event) -> bool {
    event.trap.is_some_and(|trap| trap.cause.is_some())
}

/// Whether that trap is a RISC-V hart's interrupt.
fn is_interrupt(event: &Event) -> bool {
    event.trap.and_then(|trap| trap.cause).is_some_and(|cause| cause & INTERRUPT != 0)
}

pub(crate) fn writes_to(writes: &[RegWrite], register: Register) -> bool {
    writes.iter().any(|write| write.register == register)
}

/// Learns what a side wrote. What only the other side wrote is unknown here if writes of its kind are not shown.
fn settle(known: &mut Registers, carries: &Carries, own: &[RegWrite], others: &[RegWrite]) {
    for other in others.iter().filter(|other| !writes_to(own, other.register)) {
        let shown = match other.register.class {
            RegClass::Int => carries.int,
            RegClass::Float | RegClass::Vector | RegClass::VectorUpper => carries.float,
            RegClass::Flags | RegClass::Control => carries.control,
        };
        if shown == Writes::Unknown {
            known.forget(other.register);
        }
    }
    known.apply(own);
}

/// Whether both trap, or neither does, for the same reason as far as it is known.
pub(crate) fn traps_agree(a: Option<Trap>, b: Option<Trap>) -> bool {
    let same = |a: Option<u64>, b: Option<u64>| a.is_none() || b.is_none() || a == b;
    match (a, b) {
        (Some(a), Some(b)) => {
            let is_other = a.signal.zip(b.signal).is_some_and(|(a, b)| a != b);
            // Where one side does not say what signal it was, it says of none that it was delivered.
            let delivered = |trap: Trap| matches!(trap.signal, Some(Signal::Delivered(_)));
            same(a.cause, b.cause)
                && same(a.value, b.value)
                && !is_other
                && delivered(a) == delivered(b)
        }
        (a, b) => a.is_none() == b.is_none(),
    }
}
