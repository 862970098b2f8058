//! qemu-user, where it serves as a judge.

use std::env;
use std::process::Command;

/// The first major version that knows all instructions, answers as the manual says (but for what
/// the cases name), and has `-cpu max`.
const OLDEST: u32 = 10;

/// Why qemu-user cannot be asked.
#[derive(Debug, thiserror::Error)]
pub enum QemuError {
    /// There is none.
    #[error("{0} is not installed (Debian package qemu-user)")]
    Absent(String),
    /// It does not know enough.
    #[error(
        "{program} {version} is too old to judge by: it must be {OLDEST}.0 or later \
         ({variable} names another)"
    )]
    Old {
        /// What was asked.
        program: String,
        /// What it says of itself.
        version: String,
        /// What names another.
        variable: String,
    },
}

/// The environment variable that names the qemu-user of a guest: `FERRY_TEST_QEMU`, which stands for
/// RISC-V's, and for the others `FERRY_TEST_QEMU_AARCH64` and the like.
#[must_use]
pub fn variable(guest: &str) -> String {
    match guest {
        "riscv64" => "FERRY_TEST_QEMU".to_owned(),
        other => format!("FERRY_TEST_QEMU_{}", other.to_uppercase()),
    }
}

/// The qemu-user command of a guest, whatever its version: the one that its variable names, or
/// `qemu-riscv64` and the like.
#[must_use]
pub fn command(guest: &str) -> String {
    env::var(variable(guest)).unwrap_or_else(|_| format!("qemu-{guest}"))
}

/// The qemu-user of a guest, if it can judge.
///
/// # Errors
/// See [`QemuError`].
pub fn user(guest: &str) -> Result<String, QemuError> {
    let program = command(guest);
    let output = Command::new(&program).arg("--version").output();
    let output = output.map_err(|_| QemuError::Absent(program.clone()))?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    match version(&text) {
        Some((major, _)) if major >= OLDEST => Ok(program),
        Some((_, version)) => {
            Err(QemuError::Old { program, version: version.to_owned(), variable: variable(guest) })
        }
        None => Err(QemuError::Absent(program)),
    }
}

/// The major version and all of it, from `qemu-riscv64 version 10.0.2 (…)`.
fn version(text: &str) -> Option<(u32, &str)> {
    let version = text.split_once("version ")?.1.split_whitespace().next()?;
    Some((version.split('.').next()?.parse().ok()?, version))
}

#[cfg(test)]
mod tests {
    use super::version;

    #[test]
    fn versions_are_found() {
        let text = "qemu-riscv64 version 7.2.22 (Debian 1:7.2+dfsg-7+deb12u18)\nCopyright";
        assert_eq!(version(text), Some((7, "7.2.22")));
        assert_eq!(version("qemu-riscv64 version 10.0.2\n"), Some((10, "10.0.2")));
        assert_eq!(version("something else"), None);
    }
}
