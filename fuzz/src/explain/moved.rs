//! Instructions where cases run: at the address of cases' code, on cases' data.
//!
//! Each stretch of memory that they touch goes to the data by adding a distance to a register that leads there (or to the displacement
//! from the pc, on x86-64). What the results have to be follows from two evaluations, in place and moved: a result that is the same in
//! both is as the reference says, and one that differs by such a distance is the reference's and that distance.

use std::collections::BTreeSet;
use std::ops::Range;

use base::GuestVirt;
use iced_x86::{Decoder, DecoderOptions, InstructionInfoFactory};
use ir::{Trap, eval};

use super::apart::{Apart, Done, evaluate};
use super::{Ended, ExplainError, Seen, by_name, end_text};
use crate::guest::{Ferry, Register};
use crate::machine::{CODE, DATA, EDGE, End, PAGE, State, WORDS};

/// Accesses closer than that move together. What is aligned to it, stays so.
const LINE: u64 = 64;
/// Where accesses can go.
const AREAS: [Range<u64>; 2] =
    [DATA.0 + LINE..DATA.0 + EDGE as u64, DATA.0 + (PAGE - EDGE) as u64..DATA.0 + PAGE as u64];

/// Instructions as a case.
#[derive(Clone)]
pub(super) struct Moved {
    pub(super) ferry: &'static Ferry,
    pub(super) code: Vec<Vec<u8>>,
    pub(super) before: State,
    /// What the reference says, and Ferry where it says nothing.
    pub(super) after: State,
    pub(super) end: End,
    pub(super) made_up: Vec<String>,
    /// Registers of which the reference says something, and which bits.
    told: Vec<(Register, u128)>,
    /// Places in the state's memory of which it does.
    told_memory: BTreeSet<usize>,
    tells_end: bool,
}

/// A stretch of memory that moves.
struct Stretch {
    range: Range<u64>,
    delta: u64,
}

/// All that moves.
struct Move {
    stretches: Vec<Stretch>,
    words: [u64; WORDS],
    code: Vec<Vec<u8>>,
    code_delta: u64,
}

impl Move {
    /// How far an address in memory goes.
    fn delta(&self, addr: u64) -> Option<u64> {
        let found = self.stretches.iter().find(|stretch| stretch.range.contains(&addr));
        found.map(|stretch| stretch.delta)
    }

    /// Whether a result may differ by this because of it.
    fn explains(&self, distance: u64) -> bool {
        distance == 0
            || distance == self.code_delta
            || self.stretches.iter().any(|stretch| stretch.delta == distance)
    }

    fn evaluate(&self, seen: &Seen, apart: &Apart, pc: GuestVirt) -> Option<Done> {
        let mut bytes = |addr: u64| {
            let home = self.stretches.iter().find_map(|stretch| {
                let from = addr.wrapping_sub(stretch.delta);
                stretch.range.contains(&from).then_some(from)
            });
            apart.memory.get(&home.unwrap_or(addr)).copied().unwrap_or_default()
        };
        evaluate(seen.guest, (pc, &self.code), &self.words, &mut bytes, |_| {})
    }

    /// Whether the moved instructions touch what the ones in place do, where it is now.
    fn leads(&self, done: &Done, apart: &Apart) -> bool {
        let old = apart.done.loads.iter().copied();
        let old = old.chain(apart.done.stores.iter().map(|store| (store.addr, store.bytes)));
        let new = done.loads.iter().copied();
        let new = new.chain(done.stores.iter().map(|store| (store.addr, store.bytes)));
        done.loads.len() == apart.done.loads.len()
            && done.stores.len() == apart.done.stores.len()
            && old.zip(new).all(|((old, size), (new, new_size))| {
                size == new_size && new == old.wrapping_add(self.delta(old).unwrap_or(0))
            })
    }
}

/// The stretches of memory that are touched, without where they go.
fn stretches(done: &Done) -> Vec<Range<u64>> {
    let loads = done.loads.iter().map(|&(addr, bytes)| addr..addr.wrapping_add(bytes.into()));
    let stores = done.stores.iter();
    let stores = stores.map(|store| store.addr..store.addr.wrapping_add(store.bytes.into()));
    let mut all: Vec<Range<u64>> = loads.chain(stores).collect();
    all.sort_by_key(|range| range.start);
    let mut found: Vec<Range<u64>> = Vec::new();
    for range in all {
        match found.last_mut() {
            Some(last) if range.start <= last.end.saturating_add(LINE) => {
                last.end = last.end.max(range.end);
            }
            _ => found.push(range),
        }
    }
    found
}

/// Finds what has to be added to which register so that all stretches move.
fn plan(seen: &Seen, apart: &Apart) -> Result<Move, ExplainError> {
    let ranges = stretches(&apart.done);
    if ranges.len() > AREAS.len() {
        return Err(ExplainError::Spread);
    }
    let mut plan = Move {
        stretches: Vec::new(),
        words: apart.before.words,
        code: seen.code.clone(),
        code_delta: CODE.0.wrapping_sub(seen.pc.0),
    };
    for (range, area) in ranges.into_iter().zip(AREAS) {
        let start = area.start + range.start % LINE;
        if range.end.wrapping_sub(range.start) > area.end - start {
            return Err(ExplainError::Spread);
        }
        let (delta, at) = (start.wrapping_sub(range.start), range.start);
        plan.stretches.push(Stretch { range, delta });
        if !shift_register(&mut plan, seen, apart, delta)
            && !shift_displacement(&mut plan, seen, apart, delta)
        {
            return Err(ExplainError::Address(at));
        }
    }
    Ok(plan)
}

/// Adds the distance to the register that leads to the last stretch, and if it can be to one that nothing else depends on. Whether
/// there is one.
fn shift_register(plan: &mut Move, seen: &Seen, apart: &Apart, delta: u64) -> bool {
    let words = plan.words;
    let mut leading = None;
    for register in (seen.guest.registers)() {
        if register.bits != 64 || !register.values.is_empty() {
            continue;
        }
        let value = (register.get(&words) as u64).wrapping_add(delta);
        register.set(&mut plan.words, value.into());
        let done = plan.evaluate(seen, apart, seen.pc);
        if let Some(done) = done.filter(|done| plan.leads(done, apart)) {
            // An index may be compared with others, too.
            if done.exit == apart.done.exit {
                return true;
            }
            leading.get_or_insert(plan.words);
        }
        plan.words = words;
    }
    leading.inspect(|leading| plan.words = *leading).is_some()
}

/// On x86-64, makes displacements from the pc such that they lead to the last stretch from where cases' code lies.
fn shift_displacement(plan: &mut Move, seen: &Seen, apart: &Apart, delta: u64) -> bool {
    if seen.guest.name != "x86_64" {
        return false;
    }
    let mut pc = seen.pc.0;
    let mut changed = false;
    for code in &mut plan.code {
        let mut decoder = Decoder::with_ip(64, code, pc, DecoderOptions::NONE);
        let insn = decoder.decode();
        let place = decoder.get_constant_offsets(&insn);
        let at = place.displacement_offset();
        if insn.is_ip_rel_memory_operand() && place.displacement_size() == 4 {
            let target = insn.ip_rel_memory_address().wrapping_add(delta);
            let new_pc = insn.next_ip().wrapping_add(plan.code_delta);
            let displacement = target.wrapping_sub(new_pc) as i32;
            if new_pc.wrapping_add_signed(displacement.into()) == target {
                code[at..at + 4].copy_from_slice(&displacement.to_le_bytes());
                changed = true;
            }
        }
        pc = insn.next_ip();
    }
    changed && plan.evaluate(seen, apart, CODE).is_some_and(|done| plan.leads(&done, apart))
}

impl Moved {
    pub(super) fn new(seen: &Seen, apart: &Apart) -> Result<Self, ExplainError> {
        let guest = seen.guest;
        let ferry = guest.ferry.as_ref().ok_or(ExplainError::Guest(guest.name))?;
        let plan = plan(seen, apart)?;
        let done = plan.evaluate(seen, apart, CODE).ok_or(ExplainError::Code)?;
        if !plan.leads(&done, apart) {
            return Err(ExplainError::Spread);
        }
        let mut before = State { words: plan.words, ..apart.before.clone() };
        for (&addr, &byte) in &apart.memory {
            if let Some(place) = place(&plan, addr) {
                before.memory[place] = byte;
            }
        }
        let (end, tells_end) = end(seen, &plan, &apart.done.exit, &done.exit)?;
        let after = State { words: done.words, ..before.clone() };
        let mut moved = Self {
            ferry,
            code: plan.code.clone(),
            before,
            after,
            end,
            made_up: Vec::new(),
            told: Vec::new(),
            told_memory: BTreeSet::new(),
            tells_end,
        };
        moved.expect_registers(seen, &plan, &apart.done)?;
        moved.expect_memory(&plan, apart, &done)?;
        Ok(moved)
    }

    /// Sets the registers after it to what they have to be.
    fn expect_registers(
        &mut self,
        seen: &Seen,
        plan: &Move,
        in_place: &Done,
    ) -> Result<(), ExplainError> {
        for (name, register) in by_name(seen.guest).into_iter().filter(|(_, r)| r.reported) {
            let (old, new) = (register.get(&in_place.words), register.get(&self.after.words));
            let Some(told) = seen.after.iter().find(|value| value.register == name) else {
                if new != register.get(&self.before.words) {
                    self.made_up.push(format!("{name} after it"));
                }
                continue;
            };
            let distance = (new as u64).wrapping_sub(old as u64);
            if old >> 64 != new >> 64 || !plan.explains(distance) {
                return Err(ExplainError::Result(name));
            }
            let low = (told.value as u64).wrapping_add(distance);
            let value = told.value >> 64 << 64 | u128::from(low);
            let value = value & told.mask | new & !told.mask;
            register.set(&mut self.after.words, value);
            self.told.push((register, told.mask));
        }
        Ok(())
    }

    /// Sets memory after it to what it has to be.
    fn expect_memory(
        &mut self,
        plan: &Move,
        apart: &Apart,
        moved: &Done,
    ) -> Result<(), ExplainError> {
        for (&addr, &byte) in &apart.after {
            if let Some(place) = place(plan, addr) {
                self.after.memory[place] = byte;
                self.told_memory.insert(place);
            }
        }
        for (old, new) in apart.done.stores.iter().zip(&moved.stores) {
            let addresses = (0..old.bytes).map(|n| old.addr.wrapping_add(n.into()));
            let told: Option<Vec<u8>> =
                addresses.map(|addr| apart.after.get(&addr).copied()).collect();
            let distance = (new.value as u64).wrapping_sub(old.value as u64);
            if old.value >> 64 != new.value >> 64 || !plan.explains(distance) {
                return Err(ExplainError::Result("what it stores".to_owned()));
            }
            let value = match told {
                Some(bytes) => {
                    let value = bytes.iter().rev().fold(0_u128, |v, &b| v << 8 | u128::from(b));
                    let low = (value as u64).wrapping_add(distance);
                    value >> 64 << 64 | u128::from(low)
                }
                None => {
                    self.made_up.push("what it stores".to_owned());
                    new.value
                }
            };
            for n in 0..old.bytes {
                if let Some(place) = place(plan, old.addr.wrapping_add(n.into())) {
                    self.after.memory[place] = (value >> (8 * n)) as u8;
                }
            }
        }
        self.made_up.dedup();
        Ok(())
    }

    /// In what a state after it differs from what is told; `None` if in nothing.
    pub(super) fn difference(&self, state: &State, end: End) -> Option<String> {
        let mut found = Vec::new();
        if self.tells_end && end != self.end {
            found.push(format!("{} not {}", end_text(end), end_text(self.end)));
        }
        for (register, mask) in &self.told {
            let [mine, theirs] = [state, &self.after].map(|state| register.get(&state.words));
            if (mine ^ theirs) & mask != 0 {
                found.push(format!("{} {mine:#x} not {theirs:#x}", register.name));
            }
        }
        for &place in &self.told_memory {
            let [mine, theirs] = [state, &self.after].map(|state| state.memory[place]);
            if mine != theirs {
                let offset = if place < EDGE { place } else { place + PAGE - 2 * EDGE };
                found.push(format!("[data+{offset:#x}] {mine:#x} not {theirs:#x}"));
            }
        }
        (!found.is_empty()).then(|| found.join(", "))
    }

    /// Without the registers that have no part in it.
    pub(super) fn reduced(&self, seen: &Seen, apart: &Apart) -> Self {
        let mut smaller = self.clone();
        let initial = State::new(self.before.guest);
        let named = self.named();
        for (name, register) in by_name(self.before.guest) {
            let [before, after] =
                [&self.before, &self.after].map(|state| register.get(&state.words));
            let usual = register.get(&initial.words);
            let stays = before == usual || before != after || named.contains(&name);
            if register.reported && !stays && !apart.depends_on(seen, &register) {
                register.set(&mut smaller.before.words, usual);
                register.set(&mut smaller.after.words, usual);
            }
        }
        smaller
    }

    /// The registers that the assembly text names, by the names that cases have for them.
    fn named(&self) -> BTreeSet<String> {
        let mut found = BTreeSet::new();
        let mut pc = CODE;
        for code in &self.code {
            let text = (self.ferry.disassemble)(pc, code).0;
            for word in text.split(|c: char| !c.is_ascii_alphanumeric()) {
                found.insert(word.to_owned());
                let (file, number) = word.split_at_checked(1).unwrap_or_default();
                match file {
                    "w" => _ = found.insert(format!("x{number}")),
                    "b" | "h" | "s" | "d" | "q" => _ = found.insert(format!("v{number}")),
                    _ => {}
                }
            }
            if self.before.guest.name == "x86_64" {
                found.extend(used_by_x86_64(code));
            }
            pc = pc.wrapping_add(code.len() as u64);
        }
        found
    }
}

fn used_by_x86_64(code: &[u8]) -> Vec<String> {
    let insn = Decoder::new(64, code, DecoderOptions::NONE).decode();
    let mut factory = InstructionInfoFactory::new();
    let used = factory.info(&insn).used_registers().iter();
    let names = used.flat_map(|used| {
        let full = used.register().full_register();
        match full.is_vector_register() {
            true => vec![format!("xmm{}", full.number()), format!("ymmh{}", full.number())],
            false => vec![format!("{full:?}").to_lowercase()],
        }
    });
    names.collect()
}

/// Where a byte is in the state's memory.
fn place(plan: &Move, addr: u64) -> Option<usize> {
    State::offset(GuestVirt(addr.wrapping_add(plan.delta(addr)?)))
}

/// How it has to end, and whether the reference says so.
fn end(
    seen: &Seen,
    plan: &Move,
    in_place: &eval::Exit,
    moved: &eval::Exit,
) -> Result<(End, bool), ExplainError> {
    let goes_on = |exit: &eval::Exit| match *exit {
        eval::Exit::Goto(pc) | eval::Exit::Lookup(pc) => Some(pc),
        _ => None,
    };
    match (seen.end, goes_on(in_place), goes_on(moved)) {
        (Ended::Unknown, _, Some(pc)) => Ok((End::Stopped(pc), false)),
        (Ended::At(pc), Some(old), Some(new)) => {
            let distance = new.0.wrapping_sub(old.0);
            if !plan.explains(distance) {
                return Err(ExplainError::Result("where it goes on".to_owned()));
            }
            Ok((End::Stopped(pc.wrapping_add(distance)), true))
        }
        // Ferry traps where the reference does not.
        (Ended::At(pc), ..) => Ok((End::Stopped(pc.wrapping_add(plan.code_delta)), true)),
        (Ended::Unknown | Ended::Trapped(_), ..) => match *moved {
            eval::Exit::Trap(Trap::Illegal, pc) => Ok((End::Illegal(pc), true)),
            eval::Exit::Trap(Trap::Breakpoint, pc) => Ok((End::Breakpoint(pc), true)),
            _ => Err(ExplainError::Trap),
        },
    }
}
