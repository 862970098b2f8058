//! The guests whose traces are understood.

/// An instruction set architecture, as far as traces differ by it. All are little-endian, with 64-bit registers.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Architecture {
    /// RV64.
    Riscv64,
    /// AArch64.
    Aarch64,
    /// x86-64.
    X86_64,
}

impl Architecture {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Riscv64, Self::Aarch64, Self::X86_64];

    /// As Ferry's command line and `uname -m` name it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Riscv64 => "riscv64",
            Self::Aarch64 => "aarch64",
            Self::X86_64 => "x86_64",
        }
    }

    /// The architecture of that name.
    #[must_use]
    pub fn by_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|architecture| architecture.name() == name)
    }
}
