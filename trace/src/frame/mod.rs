//! The registers of Ferry's own CPUs as traces show them.

mod aarch64;
mod riscv64;
mod x86_64;

use base::{CpuFrame, RegSlot};

use crate::{Architecture, RegWrite, Register};

/// Where a register lies in the frame.
#[derive(Clone, Copy, Debug)]
struct Place {
    register: Register,
    held: Held,
}

#[derive(Clone, Copy, Debug)]
enum Held {
    /// In one slot.
    Slot(RegSlot),
    /// In two: bits 127:64 in the next one.
    Wide(RegSlot),
    /// In one slot, in another form: how the architecture shows it.
    Encoded(RegSlot, fn(u64) -> u64),
    /// It follows from slots, which all lie from one to another.
    Computed([RegSlot; 2], fn(&CpuFrame) -> u128),
}

impl Held {
    fn raw(self, frame: &CpuFrame) -> u128 {
        match self {
            Self::Slot(slot) | Self::Encoded(slot, _) => frame.get(slot).into(),
            Self::Wide(RegSlot(low)) => {
                let high = frame.get(RegSlot(low + 1));
                u128::from(high) << 64 | u128::from(frame.get(RegSlot(low)))
            }
            Self::Computed(_, value) => value(frame),
        }
    }

    /// The first and the last slot.
    fn slots(self) -> (usize, usize) {
        match self {
            Self::Slot(RegSlot(slot)) | Self::Encoded(RegSlot(slot), _) => {
                (slot.into(), slot.into())
            }
            Self::Wide(RegSlot(low)) => (low.into(), usize::from(low) + 1),
            Self::Computed([RegSlot(first), RegSlot(last)], _) => (first.into(), last.into()),
        }
    }

    fn shown(self, raw: u128) -> u128 {
        match self {
            Self::Slot(_) | Self::Wide(_) | Self::Computed(..) => raw,
            Self::Encoded(_, show) => show(raw as u64).into(),
        }
    }
}

/// Slots that are compared at once.
const GROUP: usize = 8;

/// The registers of one CPU as they were when they were last looked at.
#[derive(Clone, Debug)]
pub struct Watched {
    places: Box<[Place]>,
    /// As the frame holds them.
    seen: Box<[u128]>,
    groups: Box<[Group]>,
}

/// Slots side by side in which registers lie.
#[derive(Clone, Debug)]
struct Group {
    first: usize,
    seen: [u64; GROUP],
    /// Which of the places lie there, if only in part.
    places: Box<[usize]>,
}

impl Group {
    /// The groups in which any place lies.
    fn of(places: &[Place]) -> Box<[Self]> {
        let mut members = std::collections::BTreeMap::<usize, Vec<usize>>::new();
        for (index, place) in places.iter().enumerate() {
            let (low, high) = place.held.slots();
            for at in low / GROUP..=high / GROUP {
                members.entry(at).or_default().push(index);
            }
        }
        let group = |(at, places): (usize, Vec<usize>)| Self {
            first: at * GROUP,
            seen: [0; GROUP],
            places: places.into(),
        };
        members.into_iter().map(group).collect()
    }
}

impl Watched {
    /// The registers of a program, all zero so far.
    #[must_use]
    pub fn new(architecture: Architecture) -> Self {
        let places: Box<[Place]> = match architecture {
            Architecture::Riscv64 => riscv64::places().collect(),
            Architecture::Aarch64 => aarch64::places().collect(),
            Architecture::X86_64 => x86_64::places().collect(),
        };
        Self::of(places)
    }

    /// The registers of a machine's CPU, all zero so far: those of programs, and control registers that its frame holds.
    #[must_use]
    pub fn of_machine(architecture: Architecture) -> Self {
        match architecture {
            Architecture::Riscv64 => Self::of(riscv64::all_places().collect()),
            Architecture::Aarch64 | Architecture::X86_64 => Self::new(architecture),
        }
    }

    fn of(places: Box<[Place]>) -> Self {
        Self { seen: vec![0; places.len()].into(), groups: Group::of(&places), places }
    }

    /// Appends those whose values are others than last time. Most are not: so they are compared in groups.
    pub fn changes(&mut self, frame: &CpuFrame, into: &mut Vec<RegWrite>) {
        for group in &mut self.groups {
            let now = &frame.slots[group.first..group.first + GROUP];
            if *now == group.seen {
                continue;
            }
            group.seen.copy_from_slice(now);
            for &index in &group.places {
                let (Place { register, held }, seen) = (self.places[index], &mut self.seen[index]);
                let raw = held.raw(frame);
                if raw != *seen {
                    *seen = raw;
                    into.push(RegWrite { register, value: held.shown(raw) });
                }
            }
        }
    }

    /// All values as they are now.
    pub fn all(&mut self, frame: &CpuFrame, into: &mut Vec<RegWrite>) {
        for group in &mut self.groups {
            group.seen.copy_from_slice(&frame.slots[group.first..group.first + GROUP]);
        }
        for (place, seen) in self.places.iter().zip(&mut self.seen) {
            *seen = place.held.raw(frame);
            into.push(RegWrite { register: place.register, value: place.held.shown(*seen) });
        }
    }

    /// A register's value as it is now; `None` if it is not among them.
    #[must_use]
    pub fn get(&self, frame: &CpuFrame, register: Register) -> Option<u128> {
        let place = self.places.iter().find(|place| place.register == register)?;
        Some(place.held.shown(place.held.raw(frame)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_changed_is_shown() {
        let mut watched = Watched::new(Architecture::Aarch64);
        let mut frame = CpuFrame::new();
        let mut writes = Vec::new();
        frame.set(arch::aarch64::slot::x(3), 7);
        frame.set(arch::aarch64::slot::v(2), 1);
        frame.set(RegSlot(arch::aarch64::slot::v(2).0 + 1), 2);
        watched.changes(&frame, &mut writes);
        let expected = [
            RegWrite { register: Register::int(3), value: 7 },
            RegWrite { register: Register::vector(2), value: 2 << 64 | 1 },
        ];
        assert_eq!(writes, expected);
        writes.clear();
        watched.changes(&frame, &mut writes);
        assert_eq!(writes, []);
        watched.all(&frame, &mut writes);
        assert!(writes.len() > 60 && expected.iter().all(|write| writes.contains(write)));
    }

    #[test]
    fn machines_have_control_registers() {
        let mut watched = Watched::of_machine(Architecture::Riscv64);
        let mut frame = CpuFrame::new();
        let mut writes = Vec::new();
        frame.set(arch::riscv64::slot::MEPC, 8);
        frame.set(arch::riscv64::slot::pmpaddr(15), 9);
        watched.changes(&frame, &mut writes);
        writes.sort_by_key(|write| write.register);
        let expected = [(0x341, 8), (0x3bf, 9)];
        let expected =
            expected.map(|(number, value)| RegWrite { register: Register::control(number), value });
        assert_eq!(writes, expected);
        let mut registers: Vec<_> = watched.places.iter().map(|place| place.register).collect();
        let count = registers.len();
        registers.sort_unstable();
        registers.dedup();
        assert_eq!((registers.len(), count > 100), (count, true));
    }

    #[test]
    fn what_follows_from_several_slots_is_shown_as_one() {
        let mut watched = Watched::new(Architecture::X86_64);
        let mut frame = CpuFrame::new();
        arch::x86_64::reset(&mut frame);
        let mut writes = Vec::new();
        watched.all(&frame, &mut writes);
        assert!(writes.contains(&RegWrite { register: Register::FLAGS, value: 0x202 }));
        assert!(writes.contains(&RegWrite { register: Register::control(5), value: 0xffff }));
        writes.clear();
        frame.set(arch::x86_64::slot::CARRY, 1);
        watched.changes(&frame, &mut writes);
        assert_eq!(writes, [RegWrite { register: Register::FLAGS, value: 0x203 }]);
    }

    #[test]
    fn each_register_is_seen_to_change() {
        for architecture in [Architecture::Riscv64, Architecture::Aarch64] {
            let mut watched = Watched::new(architecture);
            let mut frame = CpuFrame::new();
            for Place { register, held } in watched.places.clone() {
                let mut writes = Vec::new();
                frame.set(RegSlot(held.slots().1 as u16), 1);
                watched.changes(&frame, &mut writes);
                assert_eq!(writes.len(), 1, "{register:?}");
                assert_eq!(Some(writes[0].value), watched.get(&frame, register));
                watched.changes(&frame, &mut writes);
                assert_eq!(writes.len(), 1, "{register:?}");
            }
        }
    }

    #[test]
    fn no_register_has_two_places() {
        for architecture in [Architecture::Riscv64, Architecture::Aarch64, Architecture::X86_64] {
            let watched = Watched::new(architecture);
            let mut registers: Vec<_> = watched.places.iter().map(|place| place.register).collect();
            let count = registers.len();
            registers.sort_unstable();
            registers.dedup();
            assert_eq!(registers.len(), count);
        }
    }
}
