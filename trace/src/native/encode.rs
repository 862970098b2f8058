//! Events → the bytes of a chunk.

use std::collections::HashMap;

use super::bytes::{put_difference, put_number, sub, zigzag};
use super::hart::{AccessShape, Hart, Part, Says, Site, WriteShape, put_count, put_register};
use super::learn::{Learner, chosen};
use super::shape::{key, matches};
use super::slot::{Around, Role, Slot};
use super::{
    LONGEST_RUN, MAX_HARTS, MAX_PARTS, MAX_REGISTERS, PART_LIMIT, RAW_LIMIT, REBASED, SLOT_LIMIT,
};
use super::{control, parts, unsayable};
use crate::{Error, Event};

/// Writes one chunk after the other.
#[derive(Debug, Default)]
pub(super) struct Encoder {
    harts: Vec<HartEncoder>,
    current: usize,
    by_number: HashMap<u32, usize>,
    sections: Sections,
    /// Expected events that are not written yet.
    run: u8,
    registers: usize,
    slots: usize,
    /// Of the chunk's events.
    parts: usize,
    /// The bytes with which the chunk begins, for the registers.
    snapshot: usize,
}

/// The sections of a chunk.
#[derive(Debug, Default)]
struct Sections {
    controls: Vec<u8>,
    values: Vec<u8>,
    definitions: Vec<u8>,
}

#[derive(Debug, Default)]
struct HartEncoder {
    hart: Hart,
    /// Sites by the key of their shapes.
    known: HashMap<u64, u32>,
    /// One for each slot.
    learners: Vec<Learner>,
    /// Which slots were not as expected, a bit each.
    misses: Vec<u8>,
}

/// Where an event's site was found.
#[derive(Clone, Copy)]
enum Found {
    Expected(u32),
    Alternative(u32),
    Known(u32),
    New(u64),
}

impl Encoder {
    /// Begins a chunk, with what is known of all harts.
    pub(super) fn begin_chunk(&mut self) {
        let Sections { controls, values, definitions } = &mut self.sections;
        controls.clear();
        values.clear();
        definitions.clear();
        (self.current, self.run, self.slots, self.parts) = (0, 0, 0, 0);
        self.harts.sort_by_key(|encoder| encoder.hart.number);
        self.by_number = self.harts.iter().map(|encoder| encoder.hart.number).zip(0..).collect();
        put_count(definitions, self.harts.len());
        for (index, encoder) in self.harts.iter_mut().enumerate() {
            encoder.begin_chunk();
            encoder.hart.successor = index;
            encoder.hart.put(definitions);
        }
        self.snapshot = definitions.len();
    }

    /// Whether the chunk should end here.
    pub(super) fn is_full(&self) -> bool {
        let Sections { controls, values, definitions } = &self.sections;
        let len = controls.len() + values.len() + definitions.len() - self.snapshot;
        len >= RAW_LIMIT || self.slots >= SLOT_LIMIT || self.parts >= PART_LIMIT
    }

    /// How many harts there were so far.
    pub(super) fn harts(&self) -> usize {
        self.harts.len()
    }

    /// Puts the chunk together.
    pub(super) fn end_chunk(&mut self, raw: &mut Vec<u8>) {
        self.end_run();
        let Sections { controls, values, definitions } = &self.sections;
        raw.clear();
        for section in [controls, values] {
            raw.extend_from_slice(&u32::try_from(section.len()).unwrap_or(u32::MAX).to_le_bytes());
        }
        for section in [controls, values, definitions] {
            raw.extend_from_slice(section);
        }
    }

    fn end_run(&mut self) {
        if let Some(more) = self.run.checked_sub(1) {
            self.sections.controls.push(more);
        }
        self.run = 0;
    }

    /// Appends an event. If it cannot be said, nothing changes.
    #[inline]
    pub(super) fn write(&mut self, event: &Event) -> Result<(), Error> {
        check(event)?;
        if self.registers + event.writes.len() > MAX_REGISTERS {
            return Err(unsayable("registers of so many harts"));
        }
        let moved = self.hart(event.hart)?;
        self.parts += parts(event);
        let Some(encoder) = self.harts.get_mut(self.current) else { return Ok(()) };
        let order = encoder.order(event);
        let found = encoder.find(event);
        let (names, slots) = (encoder.hart.names.len(), encoder.hart.slots.len());
        let missed = encoder.put_values(event, found, &mut self.sections);
        self.registers += encoder.hart.names.len() - names;
        self.slots += encoder.hart.slots.len() - slots;
        let is_expected = matches!(found, Found::Expected(_));
        if is_expected && !missed && order == 0 && !moved {
            if self.run == LONGEST_RUN {
                self.end_run();
            }
            self.run += 1;
        } else {
            self.put_control(found, moved, order);
        }
        Ok(())
    }

    /// Makes the hart of that number the current one. Whether another was expected.
    #[inline]
    fn hart(&mut self, number: u32) -> Result<bool, Error> {
        let expected = self.harts.get(self.current).map_or(0, |encoder| encoder.hart.successor);
        if self.harts.get(expected).is_some_and(|encoder| encoder.hart.number == number) {
            self.current = expected;
            return Ok(false);
        }
        let index = match self.by_number.get(&number) {
            Some(&index) => index,
            None => self.add_hart(number)?,
        };
        if let Some(encoder) = self.harts.get_mut(self.current) {
            encoder.hart.successor = index;
        }
        self.current = index;
        Ok(true)
    }

    fn add_hart(&mut self, number: u32) -> Result<usize, Error> {
        let index = self.harts.len();
        if index >= MAX_HARTS {
            return Err(unsayable("more than 65536 harts"));
        }
        self.by_number.insert(number, index);
        let mut hart = Hart::new(number);
        hart.successor = index;
        self.harts.push(HartEncoder { hart, ..HartEncoder::default() });
        Ok(index)
    }

    fn put_control(&mut self, found: Found, moved: bool, order: u64) {
        self.end_run();
        let Some(encoder) = self.harts.get(self.current) else { return };
        let controls = &mut self.sections.controls;
        let (first, more) = encoder.mask();
        let jump = if matches!(found, Found::Expected(_)) { 0 } else { control::JUMP };
        let has_extra = moved || order != 0;
        let extra = if has_extra { control::EXTRA } else { 0 };
        let has_more = if more.is_empty() { 0 } else { control::MORE };
        controls.push(control::EVENT | first | jump | extra | has_more);
        if has_extra {
            let hart = if moved { control::HART } else { 0 };
            controls.push(hart | if order == 0 { 0 } else { control::ORDER });
        }
        if moved {
            put_number(controls, encoder.hart.number.into());
        }
        if order != 0 {
            put_number(controls, zigzag(order));
        }
        match found {
            Found::Expected(_) => {}
            Found::New(_) => controls.push(control::NEW),
            Found::Alternative(_) => controls.push(control::ALTERNATIVE),
            Found::Known(site) => put_number(controls, control::FIRST_SITE + u64::from(site)),
        }
        if !more.is_empty() {
            controls.extend_from_slice(more);
        }
    }
}

/// Whether the format has words for it.
#[inline]
fn check(event: &Event) -> Result<(), Error> {
    let is_sized = |size: Option<u8>| size.is_none_or(|size| (1..=16).contains(&size));
    if event.writes.len() + event.accesses.len() > MAX_PARTS {
        return Err(unsayable("more than 16384 accesses and writes of one instruction"));
    }
    if !event.accesses.iter().all(|access| is_sized(access.size)) {
        return Err(unsayable("an access of none or more than 16 bytes"));
    }
    Ok(())
}

impl HartEncoder {
    fn begin_chunk(&mut self) {
        self.hart.begin_chunk();
        self.known.clear();
        self.learners.clear();
    }

    /// How far the order is from the expected one.
    #[inline]
    fn order(&mut self, event: &Event) -> u64 {
        let Some(order) = event.order else { return 0 };
        let expected = self.hart.next_order();
        self.hart.order = Some(order);
        order.wrapping_sub(expected)
    }

    #[inline]
    fn find(&self, event: &Event) -> Found {
        let [expected, alternative] = self.hart.expected();
        if matches(&self.hart, expected, event) {
            return Found::Expected(expected);
        }
        if matches(&self.hart, alternative, event) {
            return Found::Alternative(alternative);
        }
        let key = key(event);
        let known = self.known.get(&key).copied();
        known
            .filter(|&known| matches(&self.hart, known, event))
            .map_or(Found::New(key), Found::Known)
    }

    /// Which slots were missed: the first ones, and the others as far as there are any.
    fn mask(&self) -> (u8, &[u8]) {
        let first = self.misses.first().copied().unwrap_or(0);
        let more = self.misses.get(1..).unwrap_or(&[]);
        let more = if more.iter().all(|&byte| byte == 0) { &[] } else { more };
        (first, more)
    }

    /// Writes the values that are not as expected, and the site if it is new. Whether there were such values.
    #[inline]
    fn put_values(&mut self, event: &Event, found: Found, out: &mut Sections) -> bool {
        let (site, missed) = match found {
            Found::Expected(site) | Found::Alternative(site) | Found::Known(site) => {
                (site, self.put_missed(event, site, &mut out.values))
            }
            Found::New(key) => (self.define(event, key, &mut out.definitions), false),
        };
        self.hart.perform(site, event);
        missed
    }

    #[inline]
    fn put_missed(&mut self, event: &Event, site: u32, out: &mut Vec<u8>) -> bool {
        let Self { hart, learners, misses, .. } = self;
        let Hart { sites, slots, values, writes, addr, .. } = hart;
        let (registers, addr) = (&values[..], *addr);
        let site = usize::try_from(site).ok().and_then(|site| sites.get(site));
        let Some(site) = site else { return false };
        let learners = site.slots.of_mut(learners);
        let slots = site.slots.of_mut(slots);
        misses.clear();
        let mut missed = false;
        let mut at = 0;
        each_value(event, site.writes.of(writes), |role, value| {
            let around = Around { registers, accesses: &event.accesses, mask: role.mask(), addr };
            if let Some((slot, learner)) = slots.get_mut(at).zip(learners.get_mut(at)) {
                let (base, expected) = slot.predicted(&around);
                if expected == value {
                    slot.hit(value);
                } else {
                    missed = true;
                    note(misses, at);
                    put_missed(slot, learner, (role, value), (base, expected), &around, out);
                }
            }
            at += 1;
        });
        // The reader expects a bit for each slot beyond the first ones, if for any.
        if misses.len() > 1 {
            misses.resize(1 + control::further_bytes(at), 0);
        }
        missed
    }

    /// Introduces a site.
    fn define(&mut self, event: &Event, key: u64, out: &mut Vec<u8>) -> u32 {
        let Self { hart, learners, known, misses } = self;
        misses.clear();
        let id = u32::try_from(hart.sites.len()).unwrap_or(u32::MAX);
        known.insert(key, id);
        put_number(out, zigzag(event.pc.wrapping_sub(hart.fall_through())));
        let (says, accesses, writes) = put_shape(hart, event, out);
        let Hart { slots, sites, values: registers, writes: shapes, addr, .. } = hart;
        let start = slots.len();
        each_value(event, writes.of(shapes), |role, value| {
            let around =
                Around { registers, accesses: &event.accesses, mask: role.mask(), addr: *addr };
            let base = chosen(role, value, &around);
            let step = sub(value, around.base(base, role.initial(&around)));
            base.put(out);
            put_difference(out, step);
            slots.push(Slot::first(base, step, value));
            learners.push(Learner::default());
        });
        let slots = Part::since(start, slots);
        sites.push(Site::new(
            event.pc,
            (event.insn, event.privilege, says),
            slots,
            accesses,
            writes,
        ));
        id
    }
}

/// Notes that the slot was missed.
fn note(misses: &mut Vec<u8>, slot: usize) {
    let (byte, bit) = control::bit_of(slot);
    if misses.len() <= byte {
        misses.resize(byte + 1, 0);
    }
    if let Some(misses) = misses.get_mut(byte) {
        *misses |= bit;
    }
}

/// Writes down a value that was not expected, and perhaps from what it is predicted from now on.
#[inline(never)]
fn put_missed(
    slot: &mut Slot,
    learner: &mut Learner,
    (role, value): (Role<'_>, u128),
    (base, expected): (u128, u128),
    around: &Around<'_>,
    out: &mut Vec<u8>,
) {
    if let Some(better) = learner.missed(slot, role, value, around) {
        let step = sub(value, around.base(better, slot.last()));
        out.push(REBASED);
        better.put(out);
        put_difference(out, step);
        *slot = Slot::rebased(better, step, value);
    } else {
        put_difference(out, sub(value, expected));
        slot.missed(base, value);
    }
}

/// Calls `found` with each value of an event, in the order of slots.
#[inline]
fn each_value(event: &Event, writes: &[WriteShape], mut found: impl FnMut(Role<'_>, u128)) {
    for (index, access) in (0..).zip(&event.accesses) {
        found(Role::Address(index), access.addr.into());
        if let Some(phys) = access.phys {
            found(Role::Physical(index), phys.into());
        }
        if let Some(value) = access.value {
            found(Role::Accessed(access), value);
        }
    }
    for (write, shape) in event.writes.iter().zip(writes) {
        found(Role::Written(shape.index), write.value);
    }
    if let Some(trap) = event.trap {
        let signal = trap.signal.map(|signal| signal.code().into());
        for value in [trap.cause, trap.value, signal].into_iter().flatten() {
            found(Role::Trap, value.into());
        }
    }
}

/// Writes down what is the same each time that the instruction is executed.
fn put_shape(hart: &mut Hart, event: &Event, out: &mut Vec<u8>) -> (Says, Part, Part) {
    let says = Says::of(event);
    out.push(says.0);
    if let Some(insn) = event.insn {
        out.push(u8::try_from(insn.bytes().len()).unwrap_or(0));
        out.extend_from_slice(insn.bytes());
    }
    if let Some(privilege) = event.privilege {
        out.push(privilege.0);
    }
    put_count(out, event.accesses.len());
    put_count(out, event.writes.len());
    let accesses = hart.accesses.len();
    for access in &event.accesses {
        let shape = AccessShape::of(access);
        out.push(shape.byte());
        hart.accesses.push(shape);
    }
    let writes = hart.writes.len();
    for write in &event.writes {
        let index = put_written(hart, write.register, out);
        hart.writes.push(WriteShape { register: write.register, index });
    }
    (says, Part::since(accesses, &hart.accesses), Part::since(writes, &hart.writes))
}

/// Names a register, by its index or, the first time, as what it is.
fn put_written(hart: &mut Hart, register: crate::Register, out: &mut Vec<u8>) -> u32 {
    if let Some(index) = hart.register(register) {
        put_number(out, 1 + u64::from(index));
        return index;
    }
    out.push(0);
    put_register(out, register);
    // There are at most MAX_REGISTERS, and this one is new.
    hart.add(register, 0).unwrap_or(u32::MAX)
}
