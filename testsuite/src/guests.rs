//! The guest architectures that programs are tested on: what builds their programs, and which
//! Debian systems there are. A guest that Ferry does not have (yet) is left out.

use std::sync::LazyLock;

use crate::toolchain::Compiler;

/// A guest architecture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Guest {
    /// As Ferry, qemu-user and `uname -m` name it.
    pub name: &'static str,
    /// Builds its programs.
    pub compiler: Compiler,
    /// The stem of its Debian system in `testsuite/debian`.
    pub root: &'static str,
    /// A larger one, if there is one.
    pub large_root: Option<&'static str>,
    /// Other releases, in which the same programs run as in `root`.
    pub other_roots: &'static [&'static str],
    /// Debian's name for its GNU target.
    pub triplet: &'static str,
    /// What `readelf` calls its machine.
    pub elf_machine: &'static str,
}

/// Every guest.
pub static ALL: [Guest; 3] = [
    Guest {
        name: "riscv64",
        compiler: Compiler::Riscv64,
        root: "trixie-riscv64",
        large_root: None,
        other_roots: &[],
        triplet: "riscv64-linux-gnu",
        elf_machine: "RISC-V",
    },
    Guest {
        name: "aarch64",
        compiler: Compiler::Aarch64,
        root: "trixie-arm64",
        large_root: Some("trixie-arm64-large"),
        other_roots: &["bookworm-arm64"],
        triplet: "aarch64-linux-gnu",
        elf_machine: "AArch64",
    },
    Guest {
        name: "x86_64",
        compiler: Compiler::X86_64,
        root: "trixie-amd64",
        large_root: Some("trixie-amd64-large"),
        other_roots: &["bookworm-amd64"],
        triplet: "x86_64-linux-gnu",
        elf_machine: "Advanced Micro Devices X86-64",
    },
];

static IN_FERRY: LazyLock<Vec<Guest>> =
    LazyLock::new(|| ALL.into_iter().filter(Guest::is_in_ferry).collect());

/// The guests whose programs this workspace's Ferry runs.
#[must_use]
pub fn in_ferry() -> &'static [Guest] {
    &IN_FERRY
}

/// The guest of that name.
#[must_use]
pub fn by_name(name: &str) -> Option<&'static Guest> {
    ALL.iter().find(|guest| guest.name == name)
}

impl Guest {
    /// Whether this workspace's Ferry runs its programs: has its system calls, and all of its instructions.
    #[must_use]
    pub fn is_in_ferry(&self) -> bool {
        let translated = fuzz::guest::ALL
            .iter()
            .filter(|guest| guest.name == self.name)
            .any(|guest| guest.ferry.as_ref().is_some_and(|ferry| ferry.pending.is_empty()));
        translated && linux_user::matrix::lines(self.name).is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::debian::Manifest;

    #[test]
    fn riscv64_is_there_and_every_root_is_described() {
        assert!(in_ferry().iter().any(|guest| guest.name == "riscv64"));
        for guest in ALL {
            let main = [Some(guest.root), guest.large_root].into_iter().flatten();
            for stem in main.chain(guest.other_roots.iter().copied()) {
                let manifest = Manifest::read(stem).expect("a manifest");
                assert!(!manifest.lock.packages.is_empty(), "{stem} has no lock file");
            }
        }
    }
}
