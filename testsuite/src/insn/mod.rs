//! Instruction cases: a few guest instructions, the state before and the state after, run by every
//! tier and by an independent oracle. What runs and compares them is the crate `fuzz`;
//! [`generate`] makes cases from assembly text and what the oracle says.

pub mod generate;

use fuzz::guest::{Guest, Judge};
use fuzz::oracle::{Oracle, OracleError};

use crate::cache;

/// The oracle of a guest, if this host has what it takes.
///
/// # Errors
/// See [`OracleError`].
pub fn oracle(guest: &'static Guest) -> Result<Oracle, OracleError> {
    let directory = cache::directory().join("built");
    match guest.judge {
        Judge::Host if std::env::consts::ARCH == guest.name => Oracle::native(guest, &directory),
        _ => Oracle::qemu(guest, &directory),
    }
}
