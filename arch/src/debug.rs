//! Registers as debuggers see them: names, numbers and types, in the form of gdb's target descriptions
//! ("Debugging with GDB", appendix "Target Descriptions").

use std::fmt::Write as _;
use std::ops::Range;

/// A register's value, however wide the register is: the rest is zero.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct DebugValue([u64; Self::BYTES / 8]);

impl DebugValue {
    /// Bytes of the widest register of any guest.
    pub const BYTES: usize = 32;

    /// From as many bytes as the register has, the least significant first; `None` if no register has so many.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let mut whole = [0; Self::BYTES];
        whole.get_mut(..bytes.len())?.copy_from_slice(bytes);
        let (words, _) = whole.as_chunks::<8>();
        Some(Self(std::array::from_fn(|n| u64::from_le_bytes(words[n]))))
    }

    /// All its bytes, the least significant first.
    #[must_use]
    pub fn to_bytes(self) -> [u8; Self::BYTES] {
        let mut bytes = [0; Self::BYTES];
        bytes.as_chunks_mut::<8>().0.iter_mut().zip(self.0).for_each(|(to, word)| {
            *to = word.to_le_bytes();
        });
        bytes
    }

    /// Bits 63:0.
    #[must_use]
    pub fn low(self) -> u64 {
        self.0[0]
    }

    /// Bits 127:64.
    #[must_use]
    pub fn high(self) -> u64 {
        self.0[1]
    }
}

impl From<u64> for DebugValue {
    fn from(value: u64) -> Self {
        Self([value, 0, 0, 0])
    }
}

impl From<[u64; 2]> for DebugValue {
    /// Of 128 bits, the lower half first.
    fn from([low, high]: [u64; 2]) -> Self {
        Self([low, high, 0, 0])
    }
}

/// A register.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DebugRegister {
    /// gdb's number.
    pub number: u32,
    /// Its name.
    pub name: String,
    /// Its width.
    pub bits: u32,
    /// gdb's name of its type.
    pub kind: &'static str,
    /// The feature of the description that it belongs to.
    pub feature: &'static str,
    /// The group of `info registers` in which it is shown, if not by its type.
    pub group: Option<&'static str>,
}

/// A CPU's registers.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DebugRegisters {
    /// gdb's name of the architecture.
    pub architecture: &'static str,
    /// Ascending by number; those of a feature stand together.
    pub registers: Vec<DebugRegister>,
    /// Those that are read and written all at once: 64 bits each, the pc among them.
    pub general: Range<u32>,
    /// The pc's number.
    pub pc: u32,
    /// Types of its own that registers name: a feature, and their definition as XML.
    pub types: &'static [(&'static str, &'static str)],
}

impl DebugRegisters {
    /// The register of a number.
    #[must_use]
    pub fn find(&self, number: u32) -> Option<&DebugRegister> {
        let at = self.registers.binary_search_by_key(&number, |register| register.number);
        at.ok().map(|at| &self.registers[at])
    }

    /// The target description.
    #[must_use]
    pub fn xml(&self) -> String {
        let mut text =
            String::from("<?xml version=\"1.0\"?>\n<!DOCTYPE target SYSTEM \"gdb-target.dtd\">\n");
        // Writing to a string cannot fail.
        let _ = write!(text, "<target>\n<architecture>{}</architecture>\n", self.architecture);
        for registers in self.registers.chunk_by(|a, b| a.feature == b.feature) {
            let feature = registers[0].feature;
            let _ = writeln!(text, "<feature name=\"{feature}\">");
            let own = self.types.iter().filter(|(other, _)| *other == feature);
            own.for_each(|(_, definition)| text.push_str(definition));
            for DebugRegister { number, name, bits, kind, group, .. } in registers {
                let group = group.map_or(String::new(), |group| format!(" group=\"{group}\""));
                let _ = writeln!(
                    text,
                    "<reg name=\"{name}\" bitsize=\"{bits}\" type=\"{kind}\" regnum=\"{number}\"{group}/>"
                );
            }
            text.push_str("</feature>\n");
        }
        text.push_str("</target>\n");
        text
    }
}

/// Types that a description names without defining them, but for gdb's own: those, and integers, pointers and IEEE's formats.
#[cfg(test)]
pub(crate) fn undefined_types<'x>(xml: &'x str, gdbs: &[&str]) -> Vec<&'x str> {
    let values = |attribute| xml.split(attribute).skip(1).filter_map(|rest| rest.split('"').next());
    let ids: Vec<&str> = values(" id=\"").collect();
    let is_gdbs = |name: &&str| {
        ["int", "ptr", "ieee"].iter().any(|part| name.contains(part)) || gdbs.contains(name)
    };
    values(" type=\"").filter(|name| !is_gdbs(name) && !ids.contains(name)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_the_bytes_that_gdb_sends() {
        let bytes: Vec<u8> = (1..=16).collect();
        let value = DebugValue::from_bytes(&bytes).unwrap();
        assert_eq!(value.low(), 0x0807_0605_0403_0201);
        assert_eq!(value, DebugValue::from([value.low(), value.high()]));
        assert_eq!(value.to_bytes()[..16], bytes);
        assert_eq!(value.to_bytes()[16..], [0; 16]);
        assert_eq!(DebugValue::from_bytes(&[7; 4]), Some(DebugValue::from(0x0707_0707)));
        assert_eq!(DebugValue::from_bytes(&[0; 33]), None);
    }
}
