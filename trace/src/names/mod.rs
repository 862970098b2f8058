//! What manuals, debuggers and simulators call registers, both ways.

mod aarch64;
mod riscv64;
mod x86_64;

use crate::{Architecture, Register};

pub use riscv64::csr_name;

/// The register of that name, in any of the spellings that debuggers and simulators use: the manual's, the ABI's,
/// gdb's, in any case. `None` for others, and for the program counter.
#[must_use]
pub fn register_by_name(architecture: Architecture, name: &[u8]) -> Option<Register> {
    let mut lower = [0; 24];
    let lower = lower.get_mut(..name.len())?;
    lower.copy_from_slice(name);
    lower.make_ascii_lowercase();
    let name = std::str::from_utf8(lower).ok()?;
    match architecture {
        Architecture::Riscv64 => riscv64::by_name(name),
        Architecture::Aarch64 => aarch64::by_name(name),
        Architecture::X86_64 => x86_64::by_name(name),
    }
}

/// As gdb calls the register. `None` for one that gdb has no name for.
#[must_use]
pub fn gdb_name(architecture: Architecture, register: Register) -> Option<String> {
    match architecture {
        Architecture::Riscv64 => riscv64::gdb_name(register),
        Architecture::Aarch64 => aarch64::gdb_name(register),
        Architecture::X86_64 => x86_64::gdb_name(register),
    }
}

/// How many bits the register has.
#[must_use]
pub fn register_bits(architecture: Architecture, register: Register) -> u32 {
    use crate::RegClass::{Control, Flags, Float, Int, Vector, VectorUpper};
    match (architecture, register.class) {
        (_, Vector | VectorUpper) => 128,
        (Architecture::X86_64, Float) => 80,
        (Architecture::X86_64, Control) if !matches!(register.number, 1 | 2) => 32,
        (Architecture::X86_64 | Architecture::Aarch64, Flags) => 32,
        (_, Int | Float | Control | Flags) => 64,
    }
}

/// A name that is a prefix and a decimal number below `count`, without leading zeros: `x12`.
fn numbered(name: &str, prefix: &str, count: u16) -> Option<u16> {
    let digits = name.strip_prefix(prefix)?;
    let is_plain = digits == "0" || digits.as_bytes().first().is_some_and(|digit| *digit != b'0');
    let number = digits.parse().ok().filter(|_| is_plain && digits.len() <= 3)?;
    (number < count).then_some(number)
}

/// The place of a name in a list.
fn listed(names: &[&str], name: &str) -> Option<u16> {
    names.iter().position(|listed| *listed == name).and_then(|place| u16::try_from(place).ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::RegClass;

    #[test]
    fn names_lead_back_to_their_registers() {
        for architecture in Architecture::ALL {
            for class in RegClass::ALL {
                for number in 0..=u16::MAX {
                    let register = Register::new(class, number);
                    let Some(name) = gdb_name(architecture, register) else { continue };
                    let found = register_by_name(architecture, name.as_bytes());
                    assert_eq!(found, Some(register), "{name} of {architecture:?}");
                }
            }
        }
    }

    #[test]
    fn registers_are_known_by_the_names_of_the_manuals() {
        use Architecture::{Aarch64, Riscv64, X86_64};
        let cases = [
            (Riscv64, "a0", Register::int(10)),
            (Riscv64, "x31", Register::int(31)),
            (Riscv64, "fp", Register::int(8)),
            (Riscv64, "ft11", Register::float(31)),
            (Riscv64, "mstatus", Register::control(0x300)),
            (Riscv64, "pmpaddr63", Register::control(0x3ef)),
            (Riscv64, "hpmcounter31", Register::control(0xc1f)),
            (Aarch64, "X30", Register::int(30)),
            (Aarch64, "sp", Register::int(31)),
            (Aarch64, "q7", Register::vector(7)),
            (Aarch64, "CPSR", Register::FLAGS),
            (Aarch64, "ESR_EL1", Register::control(0xc290)),
            (Aarch64, "S3_0_C5_C2_0", Register::control(0xc290)),
            (X86_64, "RSI", Register::int(6)),
            (X86_64, "xmm15", Register::vector(15)),
            (X86_64, "eflags", Register::FLAGS),
            (X86_64, "st(3)", Register::float(3)),
        ];
        for (architecture, name, register) in cases {
            assert_eq!(register_by_name(architecture, name.as_bytes()), Some(register), "{name}");
        }
        for name in
            ["x32", "x05", "pc", "pmpaddr64", "hpmcounter2", "", "averyveryveryverylongname"]
        {
            assert_eq!(register_by_name(Riscv64, name.as_bytes()), None, "{name}");
        }
    }
}
