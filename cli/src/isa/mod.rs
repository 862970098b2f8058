//! `ferry isa`: the guest architectures, their extensions and their instructions.

mod aarch64;
mod coverage;
mod riscv64;
mod x86_64;

use std::fmt::Write as _;

use clap::Args;

use crate::{OWN_ERROR, complain, print};

/// Arguments of `ferry isa`.
#[derive(Args)]
pub(crate) struct IsaArgs {
    /// The guest architecture; without one, all of them are named
    arch: Option<String>,
    /// List every instruction with its extension and encoding
    #[arg(long)]
    coverage: bool,
    /// CPU model with switches, such as `rv64gc,+zba`
    #[arg(long, value_name = "MODEL", requires = "arch")]
    cpu: Option<String>,
}

/// A guest architecture.
struct Guest {
    name: &'static str,
    description: &'static str,
    /// Its extensions on a CPU model, or on the default one.
    extensions: List,
    /// Its instructions.
    coverage: List,
}

/// Lists something for a CPU model's text, or says what is wrong with that.
type List = fn(&str) -> Result<String, String>;

const GUESTS: &[Guest] = &[
    Guest {
        name: "riscv64",
        description: "RISC-V, 64-bit, little-endian: Linux programs",
        extensions: riscv64::extensions,
        coverage: riscv64::coverage,
    },
    Guest {
        name: "aarch64",
        description: "Arm, 64-bit (A64), little-endian: Linux programs",
        extensions: aarch64::extensions,
        coverage: aarch64::coverage,
    },
    Guest {
        name: "x86_64",
        description: "x86-64 (64-bit mode): Linux programs",
        extensions: x86_64::extensions,
        coverage: x86_64::coverage,
    },
];

/// Prints what was asked for.
pub(crate) fn main(args: &IsaArgs) -> u8 {
    match list(args) {
        Ok(text) => {
            print(&text);
            0
        }
        Err(message) => {
            complain(&message);
            OWN_ERROR
        }
    }
}

fn list(args: &IsaArgs) -> Result<String, String> {
    let Some(name) = &args.arch else {
        return match args.coverage {
            true => Err(format!("--coverage of which architecture? There are: {}", names())),
            false => Ok(guests()),
        };
    };
    let guest = GUESTS.iter().find(|guest| guest.name == name);
    let guest = guest
        .ok_or_else(|| format!("{name}: no such guest architecture; ferry knows {}", names()))?;
    let what = if args.coverage { guest.coverage } else { guest.extensions };
    what(args.cpu.as_deref().unwrap_or_default())
}

fn names() -> String {
    GUESTS.iter().map(|guest| guest.name).collect::<Vec<_>>().join(", ")
}

fn guests() -> String {
    let mut text = String::new();
    for guest in GUESTS {
        let _ = writeln!(text, "{:<8}  {}", guest.name, guest.description);
    }
    text + "More of one: `ferry isa ARCH`, `ferry isa ARCH --coverage`\n"
}
