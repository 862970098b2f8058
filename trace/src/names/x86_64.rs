//! x86-64: Intel's names, and gdb's where these differ.

use super::{listed, numbered};
use crate::register::{X86_CONTROL as CONTROL, X86_INT as INT};
use crate::{RegClass, Register};

pub(super) fn by_name(name: &str) -> Option<Register> {
    let int = || listed(&INT, name).map(Register::int);
    let vector = || numbered(name, "xmm", 32).map(Register::vector);
    let upper = || numbered(name.strip_suffix('h')?, "ymm", 32);
    let upper = || upper().map(|n| Register::new(RegClass::VectorUpper, n));
    let float = || {
        let inner = name.strip_prefix("st(").and_then(|rest| rest.strip_suffix(')'));
        inner.map_or_else(|| numbered(name, "st", 8), |n| numbered(n, "", 8)).map(Register::float)
    };
    let flags = || matches!(name, "rflags" | "eflags").then_some(Register::FLAGS);
    let control = || listed(&CONTROL, name).map(Register::control);
    int().or_else(vector).or_else(flags).or_else(control).or_else(float).or_else(upper)
}

pub(super) fn gdb_name(register: Register) -> Option<String> {
    let n = register.number;
    match register.class {
        RegClass::Int => INT.get(usize::from(n)).map(|&name| name.to_owned()),
        RegClass::Control => CONTROL.get(usize::from(n)).map(|&name| name.to_owned()),
        RegClass::Float => (n < 8).then(|| format!("st{n}")),
        RegClass::Vector => (n < 32).then(|| format!("xmm{n}")),
        RegClass::VectorUpper => (n < 32).then(|| format!("ymm{n}h")),
        RegClass::Flags => (n == 0).then(|| "eflags".to_owned()),
    }
}
