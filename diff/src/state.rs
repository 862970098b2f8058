//! What is known of a hart's registers.

use std::collections::BTreeMap;

use trace::{RegClass, RegWrite, Register};

/// Registers of a file that have a place of their own.
const PER_FILE: usize = 32;
/// Integer, floating-point, vector registers and their upper halves, then the flags.
const PLACES: usize = 4 * PER_FILE + 1;

/// Values of registers, as far as they are known.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Registers {
    values: Box<[u128; PLACES]>,
    /// A bit for each place.
    known: [u64; PLACES.div_ceil(64)],
    /// Control registers, and whatever has no place.
    others: BTreeMap<Register, u128>,
}

impl Default for Registers {
    fn default() -> Self {
        Self { values: Box::new([0; PLACES]), known: Default::default(), others: BTreeMap::new() }
    }
}

/// The files with places are the first classes, in their order; of [`RegClass::Flags`], only the first register has one.
#[inline]
fn place(register: Register) -> Option<usize> {
    let number = usize::from(register.number);
    let at = register.class as usize * PER_FILE + number;
    (number < PER_FILE && at < PLACES).then_some(at)
}

fn register_at(place: usize) -> Register {
    let number = (place % PER_FILE) as u16;
    match place / PER_FILE {
        0 => Register::int(number),
        1 => Register::float(number),
        2 => Register::vector(number),
        3 => Register::new(RegClass::VectorUpper, number),
        _ => Register::FLAGS,
    }
}

impl Registers {
    /// A register's value, if it is known.
    #[must_use]
    pub fn get(&self, register: Register) -> Option<u128> {
        match place(register) {
            Some(at) if self.known[at / 64] >> (at % 64) & 1 != 0 => Some(self.values[at]),
            Some(_) => None,
            None => self.others.get(&register).copied(),
        }
    }

    /// Learns a register's value. What it was before, if that was known.
    #[inline]
    pub(crate) fn replace(&mut self, register: Register, value: u128) -> Option<u128> {
        let Some(at) = place(register) else { return self.others.insert(register, value) };
        let (known, bit) = (&mut self.known[at / 64], 1 << (at % 64));
        let before = (*known & bit != 0).then_some(self.values[at]);
        self.values[at] = value;
        *known |= bit;
        before
    }

    /// Learns a register's value.
    #[inline]
    pub fn set(&mut self, register: Register, value: u128) {
        match place(register) {
            Some(at) => {
                self.values[at] = value;
                self.known[at / 64] |= 1 << (at % 64);
            }
            None => _ = self.others.insert(register, value),
        }
    }

    /// From now on, the register may have any value.
    pub fn forget(&mut self, register: Register) {
        match place(register) {
            Some(at) => self.known[at / 64] &= !(1 << (at % 64)),
            None => _ = self.others.remove(&register),
        }
    }

    /// Learns what an event wrote.
    pub fn apply(&mut self, writes: &[RegWrite]) {
        writes.iter().for_each(|write| self.set(write.register, write.value));
    }

    /// What is known, in the order of classes and numbers.
    pub fn iter(&self) -> impl Iterator<Item = (Register, u128)> {
        let placed = (0..PLACES).map(register_at);
        let placed = placed.filter_map(|register| Some((register, self.get(register)?)));
        placed.chain(self.others.iter().map(|(register, value)| (*register, *value)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_register_has_its_own_place_or_none() {
        for (class, places) in RegClass::ALL.into_iter().zip([32, 32, 32, 32, 1, 0]) {
            let registers = (0..0xfff).map(|number| Register::new(class, number));
            let placed = registers.filter(|register| match place(*register) {
                Some(at) => register_at(at) == *register && at < PLACES,
                None => false,
            });
            assert_eq!(placed.count(), places, "{class:?}");
        }
    }

    #[test]
    fn what_was_learned_is_known_until_it_is_forgotten() {
        let mut registers = Registers::default();
        let all = [
            Register::int(31),
            Register::vector(0),
            Register::new(RegClass::VectorUpper, 31),
            Register::FLAGS,
            Register::control(0x300),
        ];
        for (value, register) in (1_u128..).zip(all) {
            assert_eq!(registers.get(register), None);
            registers.set(register, 100);
            assert_eq!(registers.replace(register, value), Some(100));
            assert_eq!(registers.get(register), Some(value));
        }
        assert_eq!(registers.iter().map(|(register, _)| register).collect::<Vec<_>>(), all);
        all.iter().for_each(|register| registers.forget(*register));
        assert_eq!(registers.iter().count(), 0);
        assert_eq!(all.map(|register| registers.replace(register, 1)), [None; 5]);
    }
}
