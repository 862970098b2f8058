//! What an architecture leaves open: results that no two executions need have in common.

mod aarch64;
mod riscv64;
mod x86_64;

use trace::{Architecture, Event, Register};

/// Where the result of an instruction comes from, if not from the state before it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Outside {
    /// The time, a counter, a random number: whatever it writes to registers.
    World,
    /// Whether another hart came between: a store-conditional's result.
    Contention,
    /// The operating system: whatever has changed when it comes back.
    Kernel,
}

/// What of this instruction's result is decided outside; `None` for almost all.
#[inline]
#[must_use]
pub fn outside(architecture: Architecture, event: &Event) -> Option<Outside> {
    let insn = event.insn.as_ref()?;
    match architecture {
        Architecture::Riscv64 => riscv64::outside(insn.word()),
        Architecture::Aarch64 => aarch64::outside(insn.word() as u32),
        Architecture::X86_64 => x86_64::outside(insn.bytes()),
    }
}

/// Bits of a register that the manual gives a value.
#[must_use]
pub fn defined(architecture: Architecture, register: Register) -> u128 {
    match architecture {
        Architecture::Riscv64 => riscv64::defined(register),
        Architecture::Aarch64 => aarch64::defined(register),
        Architecture::X86_64 => x86_64::defined(register),
    }
}

/// Bits of [`Register::FLAGS`] to which no instruction has given a value yet after this one, if these were so before it.
#[inline]
#[must_use]
pub fn open_flags(architecture: Architecture, event: &Event, before: u128) -> u128 {
    match architecture {
        Architecture::Riscv64 | Architecture::Aarch64 => before,
        Architecture::X86_64 => {
            event.insn.map_or(before, |insn| x86_64::open_flags(event.pc, insn.bytes(), before))
        }
    }
}
