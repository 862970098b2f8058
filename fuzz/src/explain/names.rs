//! What cases call the registers that traces show.

use arch::riscv64::slot;
use trace::{RegClass, Register};

use crate::guest::x86_64::GPR_NAMES;
use crate::guest::{AARCH64, Guest, RISCV64, X86_64};

/// FPCR, FPSR: op0, op1, CRn, CRm, op2.
const FPCR: u16 = 0xda20;
const FPSR: u16 = 0xda21;

/// The name, if cases have the register.
#[must_use]
pub fn name_of(guest: &Guest, register: Register) -> Option<String> {
    let Register { class, number, .. } = register;
    match guest {
        _ if *guest == RISCV64 => riscv64(class, number),
        _ if *guest == AARCH64 => aarch64(class, number),
        _ if *guest == X86_64 => x86_64(class, number),
        _ => None,
    }
}

fn riscv64(class: RegClass, number: u16) -> Option<String> {
    let n = u8::try_from(number).ok().filter(|n| *n < 32);
    let slot = match (class, number) {
        (RegClass::Int, 1..) => slot::x(n?),
        (RegClass::Float, _) => slot::f(n?),
        (RegClass::Control, 1) => return Some("fflags".to_owned()),
        (RegClass::Control, 2) => return Some("frm".to_owned()),
        _ => return None,
    };
    slot::name(slot).map(str::to_owned)
}

fn aarch64(class: RegClass, number: u16) -> Option<String> {
    Some(match (class, number) {
        (RegClass::Int, 31) => "sp".to_owned(),
        (RegClass::Int, n @ ..31) => format!("x{n}"),
        (RegClass::Vector, n @ ..32) => format!("v{n}"),
        (RegClass::Flags, _) => "nzcv".to_owned(),
        (RegClass::Control, FPCR) => "fpcr".to_owned(),
        (RegClass::Control, FPSR) => "fpsr".to_owned(),
        _ => return None,
    })
}

fn x86_64(class: RegClass, number: u16) -> Option<String> {
    const SPECIAL: [&str; 5] = ["mxcsr", "fs_base", "gs_base", "fcw", "fsw"];
    Some(match (class, number) {
        (RegClass::Int, n) => (*GPR_NAMES.get(usize::from(n))?).to_owned(),
        (RegClass::Vector, n @ ..16) => format!("xmm{n}"),
        (RegClass::VectorUpper, n @ ..16) => format!("ymmh{n}"),
        (RegClass::Flags, _) => "rflags".to_owned(),
        (RegClass::Control, n) => (*SPECIAL.get(usize::from(n))?).to_owned(),
        // ST(n): which of the registers that is, another one decides.
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_name_is_one_of_a_register() {
        for guest in crate::guest::ALL {
            let classes = [RegClass::Int, RegClass::Float, RegClass::Vector, RegClass::VectorUpper];
            let classes = classes.into_iter().chain([RegClass::Flags]);
            let all = classes.flat_map(|class| (0..40).map(move |n| Register::new(class, n)));
            let control = [0, 1, 2, 3, 4, 5, 0xda20, 0xda21, 0xde82].map(Register::control);
            let named = all.chain(control).filter_map(|register| name_of(guest, register));
            let named: Vec<String> = named.collect();
            assert!(named.len() > 50, "{guest:?}");
            for name in named {
                assert!(guest.register(&name).is_some(), "{guest:?} {name}");
            }
        }
    }
}
