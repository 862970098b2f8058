//! The bytes of a chunk → events.

use std::collections::HashMap;

use super::bytes::{Malformed, Section, add, low};
use super::hart::{AccessShape, Hart, Part, Room, Says, Site, WriteShape, take_register};
use super::slot::{Around, Base, Role, Slot};
use super::{MAX_HARTS, MAX_PARTS, REBASED, control, parts};
use crate::{Access, Event, Insn, Privilege, RegWrite, Signal, Trap};

/// Reads one chunk after the other.
#[derive(Debug)]
pub(super) struct Decoder {
    /// The chunk.
    raw: Vec<u8>,
    controls: Section,
    values: Section,
    definitions: Section,
    harts: Vec<Hart>,
    by_number: HashMap<u32, usize>,
    current: usize,
    /// Expected events that follow.
    run: u8,
    /// Events of the chunk that have not been read.
    left: u32,
    room: Room,
}

impl Default for Decoder {
    fn default() -> Self {
        let (raw, controls, values, definitions) = Default::default();
        let (harts, by_number) = Default::default();
        let (current, run, left, room) = (0, 0, 0, Room::ALL);
        Self { raw, controls, values, definitions, harts, by_number, current, run, left, room }
    }
}

impl Decoder {
    /// Where the next chunk is to be put.
    pub(super) fn raw(&mut self) -> &mut Vec<u8> {
        self.left = 0;
        &mut self.raw
    }

    /// Begins to read what was put into [`Self::raw`].
    pub(super) fn begin_chunk(&mut self, events: u32) -> Result<(), Malformed> {
        self.harts.clear();
        self.by_number.clear();
        (self.current, self.run, self.left, self.room) = (0, 0, 0, Room::ALL);
        let mut lengths = Section::new(0, self.raw.len());
        let controls = section_length(&mut lengths, &self.raw)?;
        let values = section_length(&mut lengths, &self.raw)?;
        let start = 8_usize;
        let controls_end = start.saturating_add(controls);
        let values_end = controls_end.saturating_add(values);
        if values_end > self.raw.len() {
            return Err(Malformed("its sections are longer than the chunk"));
        }
        self.controls = Section::new(start, controls_end);
        self.values = Section::new(controls_end, values_end);
        self.definitions = Section::new(values_end, self.raw.len());
        for _ in 0..self.definitions.index(&self.raw)? {
            let hart = Hart::take(&mut self.definitions, &self.raw, &mut self.room.registers)?;
            self.add_hart(hart)?;
        }
        self.left = events;
        Ok(())
    }

    /// Events of the chunk that have not been read.
    pub(super) const fn left(&self) -> u32 {
        self.left
    }

    /// The hart of that number.
    pub(super) fn hart(&self, number: u32) -> Option<&Hart> {
        self.by_number.get(&number).and_then(|&index| self.harts.get(index))
    }

    fn add_hart(&mut self, mut hart: Hart) -> Result<(), Malformed> {
        if self.harts.len() >= MAX_HARTS {
            return Err(Malformed("too many harts"));
        }
        if self.by_number.insert(hart.number, self.harts.len()).is_some() {
            return Err(Malformed("a hart is introduced twice"));
        }
        hart.successor = self.harts.len();
        self.harts.push(hart);
        Ok(())
    }

    /// Reads the next event; `false` after the last one.
    #[inline]
    pub(super) fn next(&mut self, event: &mut Event) -> Result<bool, Malformed> {
        let Some(left) = self.left.checked_sub(1) else { return Ok(false) };
        if let Some(run) = self.run.checked_sub(1) {
            self.run = run;
            self.expected(event)?;
        } else {
            let first = self.controls.byte(&self.raw)?;
            if first & control::EVENT == 0 {
                self.run = first;
                self.expected(event)?;
            } else {
                self.unexpected(first, event)?;
            }
        }
        self.left = left;
        let room = self.room.parts.checked_sub(parts(event));
        self.room.parts = room.ok_or(Malformed("too many accesses and writes"))?;
        if left == 0 { self.end_chunk().map(|()| true) } else { Ok(true) }
    }

    fn end_chunk(&self) -> Result<(), Malformed> {
        let sections = [self.controls, self.values, self.definitions];
        if self.run != 0 || !sections.into_iter().all(Section::is_empty) {
            return Err(Malformed("more events than the chunk's header says"));
        }
        Ok(())
    }

    #[inline]
    fn expected(&mut self, event: &mut Event) -> Result<(), Malformed> {
        self.current = self.harts.get(self.current).map_or(0, |hart| hart.successor);
        let hart = self.harts.get_mut(self.current).ok_or(Malformed("no hart"))?;
        let [site, _] = hart.expected();
        fill(hart, site, event, &mut Hits)?;
        finish(hart, site, event, 0);
        Ok(())
    }

    fn unexpected(&mut self, first: u8, event: &mut Event) -> Result<(), Malformed> {
        let extra = if first & control::EXTRA == 0 { 0 } else { self.controls.byte(&self.raw)? };
        self.follow(extra)?;
        let order = if extra & control::ORDER == 0 {
            0
        } else {
            low(self.controls.difference(&self.raw)?)
        };
        let Self { raw, controls, values, definitions, harts, current, room, .. } = self;
        let hart = harts.get_mut(*current).ok_or(Malformed("no hart"))?;
        let [expected, alternative] = hart.expected();
        let to = if first & control::JUMP == 0 { None } else { Some(controls.number(raw)?) };
        let site = match to {
            None => expected,
            Some(number) if number == control::NEW.into() => {
                let site = define(hart, definitions, raw, room)?;
                fill(hart, site, event, &mut Definition { raw, section: definitions })?;
                finish(hart, site, event, order);
                return Ok(());
            }
            Some(number) if number == control::ALTERNATIVE.into() => alternative,
            Some(number) => u32::try_from(number - control::FIRST_SITE)
                .map_err(|_| Malformed("no such site"))?,
        };
        let slots = hart.site(site).ok_or(Malformed("no such site"))?.slots.len();
        let len = if first & control::MORE == 0 { 0 } else { control::further_bytes(slots) };
        let further = controls.bytes(raw, len)?;
        let mut misses = Misses { raw, section: values, first, further, slot: 0 };
        fill(hart, site, event, &mut misses)?;
        finish(hart, site, event, order);
        Ok(())
    }

    /// Goes to the hart of the next event, which is either the expected one or named here.
    fn follow(&mut self, extra: u8) -> Result<(), Malformed> {
        if extra & !(control::HART | control::ORDER) != 0 {
            return Err(Malformed("an unknown flag"));
        }
        let successor = self.harts.get(self.current).map_or(0, |hart| hart.successor);
        if extra & control::HART == 0 {
            self.current = successor;
            return Ok(());
        }
        let number = self.controls.index(&self.raw)?;
        if !self.by_number.contains_key(&number) {
            self.add_hart(Hart::new(number))?;
        }
        let index = self.by_number.get(&number).copied().unwrap_or(0);
        if let Some(hart) = self.harts.get_mut(self.current) {
            hart.successor = index;
        }
        self.current = index;
        Ok(())
    }
}

fn section_length(lengths: &mut Section, raw: &[u8]) -> Result<usize, Malformed> {
    let bytes = lengths.bytes(raw, 4)?;
    let length = bytes.first_chunk().map(|&bytes| u32::from_le_bytes(bytes));
    length
        .and_then(|length| usize::try_from(length).ok())
        .ok_or(Malformed("no length of a section"))
}

/// Where the values of a site's slots come from.
trait Values {
    fn value(
        &mut self,
        slot: &mut Slot,
        role: Role<'_>,
        around: &Around<'_>,
    ) -> Result<u128, Malformed>;
}

/// All are as expected.
struct Hits;

impl Values for Hits {
    #[inline]
    fn value(
        &mut self,
        slot: &mut Slot,
        _: Role<'_>,
        around: &Around<'_>,
    ) -> Result<u128, Malformed> {
        let (_, value) = slot.predicted(around);
        slot.hit(value);
        Ok(value)
    }
}

/// Some are not as expected.
struct Misses<'a> {
    raw: &'a [u8],
    section: &'a mut Section,
    first: u8,
    further: &'a [u8],
    slot: usize,
}

impl Values for Misses<'_> {
    #[inline]
    fn value(
        &mut self,
        slot: &mut Slot,
        role: Role<'_>,
        around: &Around<'_>,
    ) -> Result<u128, Malformed> {
        let (byte, bit) = control::bit_of(self.slot);
        self.slot += 1;
        let byte = match byte.checked_sub(1) {
            None => self.first,
            Some(byte) => self.further.get(byte).copied().unwrap_or(0),
        };
        if byte & bit == 0 {
            return Hits.value(slot, role, around);
        }
        let first = self.section.byte(self.raw)?;
        if first == REBASED {
            let base = Base::take(self.section, self.raw)?;
            let step = self.section.difference(self.raw)?;
            let value = add(around.base(base, slot.last()), step);
            *slot = Slot::rebased(base, step, value);
            return Ok(value);
        }
        let difference = self.section.difference_after(self.raw, first)?;
        let (base, expected) = slot.predicted(around);
        let value = add(expected, difference);
        slot.missed(base, value);
        Ok(value)
    }
}

/// The site is new.
struct Definition<'a> {
    raw: &'a [u8],
    section: &'a mut Section,
}

impl Values for Definition<'_> {
    fn value(
        &mut self,
        slot: &mut Slot,
        role: Role<'_>,
        around: &Around<'_>,
    ) -> Result<u128, Malformed> {
        let base = Base::take(self.section, self.raw)?;
        let step = self.section.difference(self.raw)?;
        let value = add(around.base(base, role.initial(around)), step);
        *slot = Slot::first(base, step, value);
        Ok(value)
    }
}

/// The slots of a site, which are filled in one after the other.
struct Slots<'a, V> {
    slots: std::slice::IterMut<'a, Slot>,
    values: &'a mut V,
    registers: &'a [u128],
    /// The address of the hart's last access.
    addr: u64,
}

impl<V: Values> Slots<'_, V> {
    /// The value of the next slot.
    #[inline(always)]
    fn next(&mut self, role: Role<'_>, accesses: &[Access]) -> Result<u128, Malformed> {
        let Self { registers, addr, .. } = *self;
        let slot = self.slots.next().ok_or(Malformed("no such slot"))?;
        self.values.value(slot, role, &Around { registers, accesses, mask: role.mask(), addr })
    }
}

/// Fills in what happened at a site.
#[inline]
fn fill(
    hart: &mut Hart,
    site: u32,
    event: &mut Event,
    values: &mut impl Values,
) -> Result<(), Malformed> {
    let Hart { sites, slots, accesses, writes, values: registers, addr, .. } = hart;
    let site = usize::try_from(site).ok().and_then(|site| sites.get(site));
    let site = site.ok_or(Malformed("no such site"))?;
    event.clear();
    (event.hart, event.pc) = (hart.number, site.pc);
    (event.insn, event.privilege) = (site.insn, site.privilege);
    let slots = site.slots.of_mut(slots).iter_mut();
    let mut slots = Slots { slots, values, registers, addr: *addr };
    for (index, shape) in (0..).zip(site.accesses.of(accesses)) {
        let mut access =
            Access { kind: shape.kind, addr: 0, phys: None, size: shape.size, value: None };
        access.addr = low(slots.next(Role::Address(index), &event.accesses)?);
        event.accesses.push(access);
        if shape.has_phys {
            access.phys = Some(low(slots.next(Role::Physical(index), &event.accesses)?));
        }
        if shape.has_value {
            access.value = Some(slots.next(Role::Accessed(&access), &event.accesses)?);
        }
        if let Some(last) = event.accesses.last_mut() {
            *last = access;
        }
    }
    for shape in site.writes.of(writes) {
        let value = slots.next(Role::Written(shape.index), &event.accesses)?;
        event.writes.push(RegWrite { register: shape.register, value });
    }
    if site.says.has(Says::TRAP) {
        event.trap = Some(trap(site.says, slots, &event.accesses)?);
    }
    Ok(())
}

/// What a trap was of which an event says so much.
#[cold]
fn trap(
    says: Says,
    mut slots: Slots<'_, impl Values>,
    accesses: &[Access],
) -> Result<Trap, Malformed> {
    let mut field = |field| match says.has(field) {
        true => slots.next(Role::Trap, accesses).map(|value| Some(low(value))),
        false => Ok(None),
    };
    let (cause, value) = (field(Says::CAUSE)?, field(Says::TRAP_VALUE)?);
    let signal = field(Says::SIGNAL)?.map(|code| Signal::from_code(code as u8));
    Ok(Trap { cause, value, signal })
}

/// Gives the event its order, and performs it.
#[inline]
fn finish(hart: &mut Hart, site: u32, event: &mut Event, order: u64) {
    if hart.site(site).is_some_and(|site| site.says.has(Says::ORDER)) {
        event.order = Some(hart.next_order().wrapping_add(order));
        hart.order = event.order;
    }
    hart.perform(site, event);
}

/// Reads what is the same each time of a new site. Its slots are filled in by [`Definition`].
fn define(
    hart: &mut Hart,
    section: &mut Section,
    raw: &[u8],
    room: &mut Room,
) -> Result<u32, Malformed> {
    let from_expected = low(section.difference(raw)?);
    let pc = hart.fall_through().wrapping_add(from_expected);
    let says = Says(section.byte(raw)?);
    if says.has(Says::CUT) && !says.has(Says::INSN) {
        return Err(Malformed("unknown fields of an event"));
    }
    let insn = if says.has(Says::INSN) { Some(take_insn(section, raw, says)?) } else { None };
    let has_privilege = says.has(Says::PRIVILEGE);
    let privilege = if has_privilege { Some(Privilege(section.byte(raw)?)) } else { None };
    let (accesses, writes) = take_shapes(hart, section, raw, room)?;
    let parts = accesses.of(&hart.accesses);
    let of_access =
        |shape: &AccessShape| 1 + usize::from(shape.has_phys) + usize::from(shape.has_value);
    let of_trap = [Says::CAUSE, Says::TRAP_VALUE, Says::SIGNAL];
    let of_trap = of_trap.into_iter().filter(|field| says.has(*field)).count();
    let count = parts.iter().map(of_access).sum::<usize>() + writes.len() + of_trap;
    room.slots = room.slots.checked_sub(count).ok_or(Malformed("too many slots"))?;
    let start = hart.slots.len();
    hart.slots.resize(start + count, Slot::first(Base::Itself, 0, 0));
    let slots = Part::since(start, &hart.slots);
    let site = u32::try_from(hart.sites.len()).map_err(|_| Malformed("too many sites"))?;
    hart.sites.push(Site::new(pc, (insn, privilege, says), slots, accesses, writes));
    Ok(site)
}

fn take_insn(section: &mut Section, raw: &[u8], says: Says) -> Result<Insn, Malformed> {
    let len = section.byte(raw)?;
    let bytes = section.bytes(raw, len.into())?;
    let insn = if says.has(Says::CUT) { Insn::beginning(bytes) } else { Insn::new(bytes) };
    insn.ok_or(Malformed("an instruction of none or more than 15 bytes"))
}

/// Reads how a site's accesses and writes look.
fn take_shapes(
    hart: &mut Hart,
    section: &mut Section,
    raw: &[u8],
    room: &mut Room,
) -> Result<(Part, Part), Malformed> {
    let count = [section.number(raw)?, section.number(raw)?];
    let [access_count, write_count] =
        count.map(|count| usize::try_from(count).unwrap_or(usize::MAX));
    if access_count.saturating_add(write_count) > MAX_PARTS {
        return Err(Malformed("too many accesses and writes of an instruction"));
    }
    let accesses = hart.accesses.len();
    for _ in 0..access_count {
        hart.accesses.push(AccessShape::from_byte(section.byte(raw)?)?);
    }
    let writes = hart.writes.len();
    for _ in 0..write_count {
        let shape = take_written(hart, section, raw, room)?;
        hart.writes.push(shape);
    }
    Ok((Part::since(accesses, &hart.accesses), Part::since(writes, &hart.writes)))
}

/// Reads which register a site writes.
fn take_written(
    hart: &mut Hart,
    section: &mut Section,
    raw: &[u8],
    room: &mut Room,
) -> Result<WriteShape, Malformed> {
    let Some(index) = section.index(raw)?.checked_sub(1) else {
        let register = take_register(section, raw)?;
        room.registers = room.registers.checked_sub(1).ok_or(Malformed("too many registers"))?;
        return hart.add(register, 0).map(|index| WriteShape { register, index });
    };
    let register = usize::try_from(index).ok().and_then(|index| hart.names.get(index)).copied();
    register.map(|register| WriteShape { register, index }).ok_or(Malformed("no such register"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::encode::Encoder;
    use super::*;
    use crate::{AccessKind, Register};

    /// A chunk with everything that there is.
    fn chunk(events: u64) -> Vec<u8> {
        let mut encoder = Encoder::default();
        encoder.begin_chunk();
        for n in 0..events {
            let mut event =
                Event { hart: u32::from(n % 7 > 4), pc: 64 + n % 5, ..Event::default() };
            event.order = (n % 2 == 0).then_some(n * n / 32);
            event.insn = Insn::new(&[1, 2, 3]).filter(|_| n % 3 != 0);
            let size = u8::try_from(n % 9).ok().filter(|&size| size != 0);
            for (addr, kind) in [(n * 8, AccessKind::Load), (n * n, AccessKind::Store)] {
                let value = Some(u128::from(n) << 62);
                event.accesses.push(Access { kind, addr, phys: Some(addr + 4096), size, value });
            }
            let register = Register::int(u16::try_from(n % 4).unwrap());
            event.writes.push(RegWrite { register, value: u128::from(n) << 62 });
            event.trap = Some(Trap { cause: Some(n), ..Trap::default() }).filter(|_| n % 11 == 0);
            encoder.write(&event).unwrap();
        }
        let mut raw = Vec::new();
        encoder.end_chunk(&mut raw);
        raw
    }

    /// Reads as much as there is; how many events, and whether that was all.
    fn read(raw: &[u8], events: u32) -> (u32, Result<(), Malformed>) {
        let mut decoder = Decoder::default();
        decoder.raw().extend_from_slice(raw);
        let mut event = Event::default();
        let mut read = 0;
        let mut all = || {
            decoder.begin_chunk(events)?;
            while decoder.next(&mut event)? {
                read += 1;
            }
            Ok(())
        };
        let end = all();
        (read, end)
    }

    #[test]
    fn chunks_end_where_their_events_end() {
        let raw = chunk(100);
        assert_eq!(read(&raw, 100), (100, Ok(())));
        for events in [1, 50, 99, 101, 10_000] {
            assert!(read(&raw, events).1.is_err(), "{events}");
        }
        for len in 0..raw.len() {
            assert!(read(&raw[..len], 100).1.is_err(), "{len} bytes");
        }
    }

    #[test]
    fn a_few_bytes_do_not_keep_their_reader_busy() {
        // A hart, and a site of 16384 loads of one byte from address 0, which follows itself.
        let mut controls = vec![0x83, 1, 0, 0, 0x81, 2];
        controls.resize(100_000, 0x7f);
        let mut raw = u32::try_from(controls.len()).unwrap().to_le_bytes().to_vec();
        raw.extend([0; 4]);
        raw.extend(controls);
        raw.extend([0, 0, 0, 240, 0x00, 0x40, 0]);
        raw.resize(raw.len() + 16384, 1);
        raw.resize(raw.len() + 2 * 16384, 0);
        let (read, end) = read(&raw, 1 << 22);
        assert_eq!((read, end), (511, Err(Malformed("too many accesses and writes"))));
    }

    proptest! {
        #[test]
        fn damaged_chunks_give_events_or_an_error(
            changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        ) {
            let mut raw = chunk(60);
            for (at, byte) in changes {
                *at.get_mut(&mut raw) = byte;
            }
            prop_assert!(read(&raw, 60).0 <= 60);
        }

        #[test]
        fn arbitrary_sections_give_events_or_an_error(
            sections in prop::array::uniform3(prop::collection::vec(
                prop_oneof![0..8_u8, any::<u8>()], 0..60,
            )),
        ) {
            let [controls, values, definitions] = sections;
            let mut raw = Vec::new();
            for len in [controls.len(), values.len()] {
                raw.extend_from_slice(&u32::try_from(len).unwrap().to_le_bytes());
            }
            // No hart at first, and the controls introduce one.
            raw.extend([&[0x83, 1, 0, 0], &controls[..], &values, &[0], &definitions].concat());
            raw[0] += 4;
            prop_assert!(read(&raw, 1000).0 <= 1000);
        }
    }
}
