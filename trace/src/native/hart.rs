//! What reader and writer both know of a hart within a chunk: its registers, and the sites that it has executed.

use std::collections::HashMap;

use super::bytes::{Malformed, Section, put_difference, put_number};
use super::slot::Slot;
use super::{MAX_CHUNK_PARTS, MAX_REGISTERS, MAX_SLOTS};
use crate::{AccessKind, Event, Insn, Privilege, RegClass, Register};

/// No site.
pub(super) const NOWHERE: u32 = u32::MAX;

/// An instruction at an address with everything about it that is the same each time.
#[derive(Clone, Copy, Debug)]
pub(super) struct Site {
    pub(super) pc: u64,
    pub(super) insn: Option<Insn>,
    pub(super) privilege: Option<Privilege>,
    pub(super) says: Says,
    /// Its slots, accesses and writes within those of the hart.
    pub(super) slots: Part,
    pub(super) accesses: Part,
    pub(super) writes: Part,
    /// The sites that followed it: the last one, and the last other one.
    pub(super) next: [u32; 2],
}

/// Which optional fields an event has.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Says(pub(super) u8);

impl Says {
    pub(super) const ORDER: u8 = 1;
    pub(super) const INSN: u8 = 2;
    pub(super) const CUT: u8 = 4;
    pub(super) const PRIVILEGE: u8 = 8;
    pub(super) const TRAP: u8 = 16;
    pub(super) const CAUSE: u8 = 32;
    pub(super) const TRAP_VALUE: u8 = 64;
    pub(super) const SIGNAL: u8 = 128;

    #[inline]
    pub(super) const fn has(self, field: u8) -> bool {
        self.0 & field != 0
    }
}

/// Some consecutive entries of what its hart has: they are there as long as the site is.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Part {
    start: usize,
    len: usize,
}

impl Part {
    /// What was pushed since `start`.
    pub(super) fn since<T>(start: usize, all: &[T]) -> Self {
        Self { start, len: all.len().saturating_sub(start) }
    }

    pub(super) const fn len(self) -> usize {
        self.len
    }

    #[inline]
    pub(super) fn of<T>(self, all: &[T]) -> &[T] {
        &all[self.start..self.start + self.len]
    }

    #[inline]
    pub(super) fn of_mut<T>(self, all: &mut [T]) -> &mut [T] {
        &mut all[self.start..self.start + self.len]
    }
}

/// What is the same of an access each time.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct AccessShape {
    pub(super) kind: AccessKind,
    pub(super) size: Option<u8>,
    pub(super) has_phys: bool,
    pub(super) has_value: bool,
}

/// A write of a site.
#[derive(Clone, Copy, Debug)]
pub(super) struct WriteShape {
    pub(super) register: Register,
    /// Of the hart.
    pub(super) index: u32,
}

/// A hart within a chunk.
#[derive(Debug, Default)]
pub(super) struct Hart {
    pub(super) number: u32,
    /// The registers that have been written since the trace's beginning, and their values.
    pub(super) names: Vec<Register>,
    pub(super) values: Vec<u128>,
    indices: HashMap<Register, u32>,
    pub(super) order: Option<u64>,
    /// The hart whose event followed this one's last time, by its index.
    pub(super) successor: usize,
    /// The address of the last access.
    pub(super) addr: u64,
    /// The site that was executed last.
    pub(super) current: u32,
    pub(super) sites: Vec<Site>,
    pub(super) slots: Vec<Slot>,
    pub(super) accesses: Vec<AccessShape>,
    pub(super) writes: Vec<WriteShape>,
}

impl Hart {
    pub(super) fn new(number: u32) -> Self {
        Self { number, current: NOWHERE, ..Self::default() }
    }

    /// Forgets everything but registers and order, and sorts these.
    pub(super) fn begin_chunk(&mut self) {
        let mut known: Vec<_> =
            self.names.iter().copied().zip(self.values.iter().copied()).collect();
        known.sort_unstable_by_key(|&(register, _)| register);
        (self.names, self.values) = known.into_iter().unzip();
        self.indices = self.names.iter().copied().zip(0..).collect();
        (self.addr, self.current) = (0, NOWHERE);
        self.sites.clear();
        self.slots.clear();
        self.accesses.clear();
        self.writes.clear();
    }

    pub(super) fn register(&self, register: Register) -> Option<u32> {
        self.indices.get(&register).copied()
    }

    /// A register that is written for the first time.
    pub(super) fn add(&mut self, register: Register, value: u128) -> Result<u32, Malformed> {
        let index = u32::try_from(self.names.len()).map_err(|_| Malformed("too many registers"))?;
        if self.indices.insert(register, index).is_some() {
            return Err(Malformed("a register is introduced twice"));
        }
        self.names.push(register);
        self.values.push(value);
        Ok(index)
    }

    pub(super) fn site(&self, site: u32) -> Option<&Site> {
        self.sites.get(usize::try_from(site).ok()?)
    }

    /// What follows the current site, if it was executed before: the last one, and the last other one.
    #[inline]
    pub(super) fn expected(&self) -> [u32; 2] {
        self.site(self.current).map_or([NOWHERE; 2], |site| site.next)
    }

    /// The hart is at `site` now.
    #[inline]
    fn go_to(&mut self, site: u32) {
        let current = usize::try_from(self.current).ok();
        if let Some(current) = current.and_then(|current| self.sites.get_mut(current))
            && current.next[0] != site
        {
            current.next = [site, current.next[0]];
        }
        self.current = site;
    }

    /// What the order of the next event most probably is.
    #[inline]
    pub(super) fn next_order(&self) -> u64 {
        self.order.map_or(0, |order| order.wrapping_add(1))
    }

    /// The event was executed, at `site`.
    #[inline]
    pub(super) fn perform(&mut self, site: u32, event: &Event) {
        self.go_to(site);
        let at = usize::try_from(site).ok().and_then(|site| self.sites.get(site));
        let Some(at) = at else { return };
        for (write, shape) in event.writes.iter().zip(at.writes.of(&self.writes)) {
            let value = usize::try_from(shape.index).ok().and_then(|i| self.values.get_mut(i));
            if let Some(value) = value {
                *value = write.value;
            }
        }
        if let Some(access) = event.accesses.last() {
            self.addr = access.addr;
        }
    }

    /// Where a new site is expected to be: behind the current one.
    pub(super) fn fall_through(&self) -> u64 {
        self.site(self.current).map_or(0, |site| {
            let len = site.insn.map_or(4, |insn| insn.bytes().len());
            site.pc.wrapping_add(u64::try_from(len).unwrap_or(0))
        })
    }

    /// Writes down what is known at a chunk's beginning.
    pub(super) fn put(&self, out: &mut Vec<u8>) {
        put_number(out, self.number.into());
        put_order(out, self.order);
        put_count(out, self.names.len());
        for (register, &value) in self.names.iter().zip(&self.values) {
            put_register(out, *register);
            put_difference(out, value);
        }
    }

    /// Reads what [`Self::put`] wrote. `room` is how many more registers there may be.
    pub(super) fn take(
        section: &mut Section,
        raw: &[u8],
        room: &mut usize,
    ) -> Result<Self, Malformed> {
        let mut hart = Self::new(section.index(raw)?);
        hart.order = take_order(section, raw)?;
        for _ in 0..section.index(raw)? {
            *room = room.checked_sub(1).ok_or(Malformed("too many registers"))?;
            let register = take_register(section, raw)?;
            let value = section.difference(raw)?;
            hart.add(register, value)?;
        }
        Ok(hart)
    }
}

pub(super) fn put_count(out: &mut Vec<u8>, count: usize) {
    put_number(out, u64::try_from(count).unwrap_or(u64::MAX));
}

fn put_order(out: &mut Vec<u8>, order: Option<u64>) {
    out.push(order.is_some().into());
    if let Some(order) = order {
        put_number(out, order);
    }
}

fn take_order(section: &mut Section, raw: &[u8]) -> Result<Option<u64>, Malformed> {
    match section.byte(raw)? {
        0 => Ok(None),
        1 => section.number(raw).map(Some),
        _ => Err(Malformed("neither an order nor none")),
    }
}

pub(super) fn put_register(out: &mut Vec<u8>, register: Register) {
    out.push(register.class as u8);
    put_number(out, register.number.into());
}

pub(super) fn take_register(section: &mut Section, raw: &[u8]) -> Result<Register, Malformed> {
    let class = RegClass::ALL.get(usize::from(section.byte(raw)?)).copied();
    let number = u16::try_from(section.number(raw)?).ok();
    class
        .zip(number)
        .map(|(class, number)| Register::new(class, number))
        .ok_or(Malformed("no such register"))
}

/// How much more a chunk may make its reader keep.
#[derive(Clone, Copy, Debug)]
pub(super) struct Room {
    pub(super) registers: usize,
    pub(super) slots: usize,
    pub(super) parts: usize,
}

impl Room {
    pub(super) const ALL: Self =
        Self { registers: MAX_REGISTERS, slots: MAX_SLOTS, parts: MAX_CHUNK_PARTS };
}
