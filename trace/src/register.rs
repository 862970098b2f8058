//! Registers, by class and number, and what each architecture calls them.

use std::fmt;

use crate::Architecture;

/// A register of any architecture.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Register {
    /// Its file.
    pub class: RegClass,
    /// Its number in the encodings of the architecture.
    pub number: u16,
}

/// A register file.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[repr(u8)]
pub enum RegClass {
    /// RISC-V x0 to x31; AArch64 x0 to x30, and as 31 the current stack pointer; x86 rax, rcx, rdx, rbx, rsp, rbp, rsi,
    /// rdi, r8 to r15.
    Int,
    /// RISC-V f0 to f31; x87 st0 to st7.
    Float,
    /// RISC-V and AArch64 v0 to v31; x86 xmm0 to xmm31.
    Vector,
    /// x86: bits 128 to 255 of ymm0 to ymm31.
    VectorUpper,
    /// Condition flags. AArch64 (number 0): NZCV in bits 31 to 28, as in PSTATE. x86 (number 0): rflags.
    Flags,
    /// RISC-V: a CSR's number. AArch64: op0, op1, CRn, CRm, op2 from bit 15 down, as in MRS. x86: 0 mxcsr, 1 fs base,
    /// 2 gs base, 3 x87 control word, 4 x87 status word, 5 x87 tag word.
    Control,
}

impl RegClass {
    /// All of them, in the order of their numbers.
    pub const ALL: [Self; 6] =
        [Self::Int, Self::Float, Self::Vector, Self::VectorUpper, Self::Flags, Self::Control];
}

impl Register {
    /// A register.
    #[must_use]
    pub const fn new(class: RegClass, number: u16) -> Self {
        Self { class, number }
    }

    /// An integer register.
    #[must_use]
    pub const fn int(number: u16) -> Self {
        Self::new(RegClass::Int, number)
    }

    /// A floating-point register.
    #[must_use]
    pub const fn float(number: u16) -> Self {
        Self::new(RegClass::Float, number)
    }

    /// A vector register.
    #[must_use]
    pub const fn vector(number: u16) -> Self {
        Self::new(RegClass::Vector, number)
    }

    /// A control, status or system register.
    #[must_use]
    pub const fn control(number: u16) -> Self {
        Self::new(RegClass::Control, number)
    }

    /// The condition flags.
    pub const FLAGS: Self = Self::new(RegClass::Flags, 0);

    /// As the architecture's manual calls it, a control register by its number: `x5`, `sp`, `rflags`, `csr 0x300`.
    #[must_use]
    pub const fn shown(self, architecture: Architecture) -> Shown {
        Shown { register: self, architecture }
    }
}

impl fmt::Debug for Register {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}{}", self.class, self.number)
    }
}

/// A register, to be printed.
#[derive(Clone, Copy, Debug)]
pub struct Shown {
    register: Register,
    architecture: Architecture,
}

pub(crate) const X86_INT: [&str; 16] = [
    "rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi", "r8", "r9", "r10", "r11", "r12", "r13",
    "r14", "r15",
];
pub(crate) const X86_CONTROL: [&str; 6] = ["mxcsr", "fs_base", "gs_base", "fctrl", "fstat", "ftag"];

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use Architecture::{Aarch64, Riscv64, X86_64};
        use RegClass::{Control, Flags, Float, Int, Vector, VectorUpper};
        let n = self.register.number;
        let listed = |names: &[&'static str]| names.get(usize::from(n)).copied().unwrap_or("?");
        match (self.architecture, self.register.class) {
            (X86_64, Int) => f.write_str(listed(&X86_INT)),
            (X86_64, Control) => f.write_str(listed(&X86_CONTROL)),
            (X86_64, Float) => write!(f, "st{n}"),
            (X86_64, Vector) => write!(f, "xmm{n}"),
            (X86_64, Flags) => f.write_str("rflags"),
            (Aarch64, Int) if n == 31 => f.write_str("sp"),
            (Aarch64, Control) => write!(
                f,
                "S{}_{}_C{}_C{}_{}",
                n >> 14,
                n >> 11 & 7,
                n >> 7 & 15,
                n >> 3 & 15,
                n & 7
            ),
            (Riscv64, Control) => write!(f, "csr {n:#05x}"),
            (Riscv64 | Aarch64, Int) => write!(f, "x{n}"),
            (Riscv64 | Aarch64, Float) => write!(f, "f{n}"),
            (Riscv64 | Aarch64, Vector) => write!(f, "v{n}"),
            (Riscv64 | Aarch64, Flags) => f.write_str("nzcv"),
            (_, VectorUpper) => write!(f, "ymm{n}h"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn registers_have_the_names_of_the_manuals() {
        let shown = |register: Register, a| register.shown(a).to_string();
        assert_eq!(shown(Register::int(31), Architecture::Aarch64), "sp");
        assert_eq!(shown(Register::int(2), Architecture::X86_64), "rdx");
        assert_eq!(shown(Register::control(0xdf10), Architecture::Aarch64), "S3_3_C14_C2_0");
        assert_eq!(shown(Register::control(1), Architecture::Riscv64), "csr 0x001");
    }
}
