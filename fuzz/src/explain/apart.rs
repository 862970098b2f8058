//! Instructions evaluated by themselves: on a frame, and memory of which there is what was seen.
#![expect(unsafe_code, reason = "the evaluator calls helpers by address")]

use std::collections::{BTreeMap, BTreeSet};

use base::cpu::PC_DELTA;
use base::{CpuFrame, GuestVirt, RegSlot};
use ir::eval::{self, Denied};

use super::{ExplainError, Known, Seen, Value, by_name, listing};
use crate::guest::{Ferry, Guest};
use crate::machine::{State, WORDS};

/// A store.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Store {
    pub(super) addr: u64,
    pub(super) bytes: u32,
    pub(super) value: u128,
}

/// What an evaluation came to.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Done {
    pub(super) words: [u64; WORDS],
    pub(super) loads: Vec<(u64, u32)>,
    pub(super) stores: Vec<Store>,
    pub(super) exit: eval::Exit,
}

/// Instructions that were looked at while memory could be asked for.
#[derive(Clone, Debug)]
pub struct Apart {
    /// Registers before, with what cases have where nothing is known.
    pub(super) before: State,
    /// The registers that are known.
    pub(super) known: BTreeSet<String>,
    /// Memory before, as far as it was read.
    pub(super) memory: BTreeMap<u64, u8>,
    /// Memory after, of what was read or written, as far as the reference says.
    pub(super) after: BTreeMap<u64, u8>,
    pub(super) done: Done,
}

/// Memory for the evaluator.
struct Made<'a> {
    bytes: &'a mut dyn FnMut(u64) -> u8,
    written: BTreeMap<u64, u8>,
    loads: Vec<(u64, u32)>,
    stores: Vec<Store>,
}

impl eval::Memory for Made<'_> {
    fn load(&mut self, addr: GuestVirt, bytes: u32) -> Result<u128, Denied> {
        self.loads.push((addr.0, bytes));
        let byte = |memory: &mut Self, n: u32| {
            let at = addr.0.wrapping_add(n.into());
            let written = memory.written.get(&at).copied();
            written.unwrap_or_else(|| (memory.bytes)(at))
        };
        Ok((0..bytes).fold(0, |value, n| value | u128::from(byte(self, n)) << (8 * n)))
    }

    fn store(&mut self, addr: GuestVirt, bytes: u32, value: u128) -> Result<(), Denied> {
        for n in 0..bytes {
            self.written.insert(addr.0.wrapping_add(n.into()), (value >> (8 * n)) as u8);
        }
        let value = if bytes < 16 { value & ((1 << (8 * bytes)) - 1) } else { value };
        self.stores.push(Store { addr: addr.0, bytes, value });
        Ok(())
    }
}

/// Evaluates code at `pc` from registers, with a slot changed if need be. `None` if it is no block.
pub(super) fn evaluate(
    guest: &'static Guest,
    (pc, code): (GuestVirt, &[Vec<u8>]),
    words: &[u64; WORDS],
    bytes: &mut dyn FnMut(u64) -> u8,
    change: impl FnOnce(&mut CpuFrame),
) -> Option<Done> {
    let ferry = guest.ferry.as_ref()?;
    let helpers: Vec<_> = ferry.ir.helpers.iter().map(|helper| helper.code.address()).collect();
    let mut frame = CpuFrame::new();
    frame.helpers = helpers.as_ptr();
    (ferry.load)(words, &mut frame);
    change(&mut frame);
    let key = listing::key(pc, &frame);
    let block = listing::block(guest, key, &code.concat(), code.len() as u32)?;
    let mut memory =
        Made { bytes, written: BTreeMap::new(), loads: Vec::new(), stores: Vec::new() };
    // SAFETY: the frame is this function's own, with what the guest's helpers expect; it is used here only.
    let exit = unsafe { eval::run(&block, ferry.ir, &mut frame, &mut memory, 0) };
    let (loads, stores) = (memory.loads, memory.stores);
    let mut words = *words;
    (ferry.save)(&frame, &mut words);
    Some(Done { words, loads, stores, exit })
}

/// Which slots of the frame a state does not have, but [`PC_DELTA`].
fn slots_beside(ferry: &Ferry, words: &[u64; WORDS]) -> Vec<RegSlot> {
    let mut frame = CpuFrame::new();
    (ferry.load)(words, &mut frame);
    let mut saved = *words;
    (ferry.save)(&frame, &mut saved);
    let all = (0..PC_DELTA.0).map(RegSlot).filter(|&slot| (ferry.ir.slot_name)(slot).is_some());
    all.filter(|&slot| {
        let value = frame.get(slot);
        frame.set(slot, value ^ 0x0101_0101_0101_0101);
        let mut changed = *words;
        (ferry.save)(&frame, &mut changed);
        frame.set(slot, value);
        changed == saved
    })
    .collect()
}

impl Apart {
    pub(super) fn examine(seen: &Seen, memory: &mut dyn Known) -> Result<Self, ExplainError> {
        let guest = seen.guest;
        let ferry = guest.ferry.as_ref().ok_or(ExplainError::Guest(guest.name))?;
        let mut before = State::new(guest);
        let known = set_all(&mut before, &seen.before);
        let mut unknown = None;
        let mut read = BTreeMap::new();
        let done = evaluate(
            guest,
            (seen.pc, &seen.code),
            &before.words,
            &mut |addr| {
                let byte = *read.entry(addr).or_insert_with(|| memory.before(addr));
                if byte.is_none() {
                    unknown.get_or_insert(addr);
                }
                byte.unwrap_or_default()
            },
            |_| {},
        );
        let done = done.ok_or(ExplainError::Code)?;
        if let Some(addr) = unknown {
            return Err(ExplainError::Memory(addr));
        }
        let read: BTreeMap<u64, u8> =
            read.into_iter().filter_map(|(addr, byte)| Some((addr, byte?))).collect();
        let stored = done.stores.iter();
        let stored = stored.flat_map(|s| (0..s.bytes).map(|n| s.addr.wrapping_add(n.into())));
        let touched: BTreeSet<u64> = stored.chain(read.keys().copied()).collect();
        let after = touched.iter().filter_map(|&addr| Some((addr, memory.after(addr)?))).collect();
        let apart = Self { before, known, memory: read, after, done };
        apart.depends_on_known_things(seen, ferry)?;
        Ok(apart)
    }

    /// Whether they write this byte.
    #[must_use]
    pub fn writes(&self, addr: u64) -> bool {
        let mut stores = self.done.stores.iter();
        stores.any(|store| addr.wrapping_sub(store.addr) < store.bytes.into())
    }

    /// The bytes that they read, but for those that they have written before.
    pub fn read(&self) -> impl Iterator<Item = u64> {
        self.memory.keys().copied()
    }

    /// Evaluates again, from other registers.
    pub(super) fn again(
        &self,
        seen: &Seen,
        words: &[u64; WORDS],
        change: impl FnOnce(&mut CpuFrame),
    ) -> Option<Done> {
        let memory = &self.memory;
        let mut bytes = |addr| memory.get(&addr).copied().unwrap_or_default();
        evaluate(seen.guest, (seen.pc, &seen.code), words, &mut bytes, change)
    }

    /// Whether the result is another one if this register is.
    pub(super) fn depends_on(&self, seen: &Seen, register: &crate::guest::Register) -> bool {
        let mut words = self.before.words;
        let value = register.get(&words);
        let other = if register.values.is_empty() { !value } else { value ^ 1 };
        register.set(&mut words, other);
        let Some(mut done) = self.again(seen, &words, |_| {}) else { return true };
        // That it is still another one itself is no result; nor that flags are added to others.
        let is_kept = register.get(&done.words) == register.get(&words)
            && register.get(&self.done.words) == value;
        if is_kept || !register.values.is_empty() {
            register.set(&mut done.words, register.get(&self.done.words));
        }
        done != self.done
    }

    fn depends_on_known_things(&self, seen: &Seen, ferry: &Ferry) -> Result<(), ExplainError> {
        for (name, register) in by_name(seen.guest) {
            if register.reported && !self.known.contains(&name) && self.depends_on(seen, &register)
            {
                return Err(ExplainError::Unknown(name));
            }
        }
        for slot in slots_beside(ferry, &self.before.words) {
            let change = |frame: &mut CpuFrame| {
                let value = frame.get(slot);
                frame.set(slot, value ^ 0x0101_0101_0101_0101);
            };
            if self.again(seen, &self.before.words, change).as_ref() != Some(&self.done) {
                let name = (ferry.ir.slot_name)(slot).map(str::to_owned);
                return Err(ExplainError::NoPart(name.unwrap_or_else(|| format!("{slot:?}"))));
            }
        }
        Ok(())
    }
}

/// Sets registers; returns the names of those that there are.
pub(super) fn set_all(state: &mut State, values: &[Value]) -> BTreeSet<String> {
    let named = by_name(state.guest);
    let mut known = BTreeSet::new();
    for Value { register, value, mask } in values {
        let Some(place) = named.get(register) else { continue };
        let other = place.get(&state.words) & !mask;
        place.set(&mut state.words, value & mask | other);
        known.insert(register.clone());
    }
    known
}
