//! AArch64: the Arm ARM's names, and of system registers its encodings (D24.2, "General system control registers").

use super::numbered;
use crate::{RegClass, Register};

/// A system register by op0, op1, CRn, CRm, op2.
const fn sys(op0: u16, op1: u16, crn: u16, crm: u16, op2: u16) -> u16 {
    op0 << 14 | op1 << 11 | crn << 7 | crm << 3 | op2
}

const SYSTEM: &[(&str, u16)] = &[
    ("actlr_el1", sys(3, 0, 1, 0, 1)),
    ("afsr0_el1", sys(3, 0, 5, 1, 0)),
    ("afsr1_el1", sys(3, 0, 5, 1, 1)),
    ("amair_el1", sys(3, 0, 10, 3, 0)),
    ("cntfrq_el0", sys(3, 3, 14, 0, 0)),
    ("cnthctl_el2", sys(3, 4, 14, 1, 0)),
    ("cntkctl_el1", sys(3, 0, 14, 1, 0)),
    ("cntp_ctl_el0", sys(3, 3, 14, 2, 1)),
    ("cntp_cval_el0", sys(3, 3, 14, 2, 2)),
    ("cntp_tval_el0", sys(3, 3, 14, 2, 0)),
    ("cntpct_el0", sys(3, 3, 14, 0, 1)),
    ("cntv_ctl_el0", sys(3, 3, 14, 3, 1)),
    ("cntv_cval_el0", sys(3, 3, 14, 3, 2)),
    ("cntv_tval_el0", sys(3, 3, 14, 3, 0)),
    ("cntvct_el0", sys(3, 3, 14, 0, 2)),
    ("cntvoff_el2", sys(3, 4, 14, 0, 3)),
    ("contextidr_el1", sys(3, 0, 13, 0, 1)),
    ("cpacr_el1", sys(3, 0, 1, 0, 2)),
    ("cptr_el2", sys(3, 4, 1, 1, 2)),
    ("cptr_el3", sys(3, 6, 1, 1, 2)),
    ("csselr_el1", sys(3, 2, 0, 0, 0)),
    ("daif", sys(3, 3, 4, 2, 1)),
    ("elr_el1", sys(3, 0, 4, 0, 1)),
    ("elr_el2", sys(3, 4, 4, 0, 1)),
    ("elr_el3", sys(3, 6, 4, 0, 1)),
    ("esr_el1", sys(3, 0, 5, 2, 0)),
    ("esr_el2", sys(3, 4, 5, 2, 0)),
    ("esr_el3", sys(3, 6, 5, 2, 0)),
    ("far_el1", sys(3, 0, 6, 0, 0)),
    ("far_el2", sys(3, 4, 6, 0, 0)),
    ("far_el3", sys(3, 6, 6, 0, 0)),
    ("fpcr", sys(3, 3, 4, 4, 0)),
    ("fpsr", sys(3, 3, 4, 4, 1)),
    ("hcr_el2", sys(3, 4, 1, 1, 0)),
    ("hpfar_el2", sys(3, 4, 6, 0, 4)),
    ("icc_pmr_el1", sys(3, 0, 4, 6, 0)),
    ("mair_el1", sys(3, 0, 10, 2, 0)),
    ("mair_el2", sys(3, 4, 10, 2, 0)),
    ("mair_el3", sys(3, 6, 10, 2, 0)),
    ("mdcr_el2", sys(3, 4, 1, 1, 1)),
    ("mdscr_el1", sys(2, 0, 0, 2, 2)),
    ("midr_el1", sys(3, 0, 0, 0, 0)),
    ("mpidr_el1", sys(3, 0, 0, 0, 5)),
    ("par_el1", sys(3, 0, 7, 4, 0)),
    ("sctlr_el1", sys(3, 0, 1, 0, 0)),
    ("sctlr_el2", sys(3, 4, 1, 0, 0)),
    ("sctlr_el3", sys(3, 6, 1, 0, 0)),
    ("scr_el3", sys(3, 6, 1, 1, 0)),
    ("sp_el0", sys(3, 0, 4, 1, 0)),
    ("sp_el1", sys(3, 4, 4, 1, 0)),
    ("sp_el2", sys(3, 6, 4, 1, 0)),
    ("spsr_el1", sys(3, 0, 4, 0, 0)),
    ("spsr_el2", sys(3, 4, 4, 0, 0)),
    ("spsr_el3", sys(3, 6, 4, 0, 0)),
    ("tcr_el1", sys(3, 0, 2, 0, 2)),
    ("tcr_el2", sys(3, 4, 2, 0, 2)),
    ("tcr_el3", sys(3, 6, 2, 0, 2)),
    ("tpidr_el0", sys(3, 3, 13, 0, 2)),
    ("tpidr_el1", sys(3, 0, 13, 0, 4)),
    ("tpidr_el2", sys(3, 4, 13, 0, 2)),
    ("tpidr_el3", sys(3, 6, 13, 0, 2)),
    ("tpidrro_el0", sys(3, 3, 13, 0, 3)),
    ("ttbr0_el1", sys(3, 0, 2, 0, 0)),
    ("ttbr0_el2", sys(3, 4, 2, 0, 0)),
    ("ttbr0_el3", sys(3, 6, 2, 0, 0)),
    ("ttbr1_el1", sys(3, 0, 2, 0, 1)),
    ("vbar_el1", sys(3, 0, 12, 0, 0)),
    ("vbar_el2", sys(3, 4, 12, 0, 0)),
    ("vbar_el3", sys(3, 6, 12, 0, 0)),
    ("vmpidr_el2", sys(3, 4, 0, 0, 5)),
    ("vpidr_el2", sys(3, 4, 0, 0, 0)),
    ("vtcr_el2", sys(3, 4, 2, 1, 2)),
    ("vttbr_el2", sys(3, 4, 2, 1, 0)),
];

/// The Arm ARM's form of a register without a name: `S3_0_C5_C2_0`.
fn generic(name: &str) -> Option<u16> {
    let mut parts = name.strip_prefix('s')?.split('_');
    let mut part = |prefix: &str, count| numbered(parts.next()?, prefix, count);
    let number = sys(part("", 4)?, part("", 8)?, part("c", 16)?, part("c", 16)?, part("", 8)?);
    parts.next().is_none().then_some(number)
}

pub(super) fn by_name(name: &str) -> Option<Register> {
    let int = || numbered(name, "x", 31).map(Register::int);
    let sp = || matches!(name, "sp" | "wsp").then(|| Register::int(31));
    let w = || numbered(name, "w", 31).map(Register::int);
    let lr = || (name == "lr").then(|| Register::int(30));
    let vector =
        || ["v", "q", "z"].iter().find_map(|file| numbered(name, file, 32)).map(Register::vector);
    let flags = || matches!(name, "cpsr" | "pstate" | "nzcv").then_some(Register::FLAGS);
    let system = || SYSTEM.iter().find(|row| row.0 == name).map(|row| Register::control(row.1));
    let other = || generic(name).map(Register::control);
    int()
        .or_else(sp)
        .or_else(w)
        .or_else(lr)
        .or_else(vector)
        .or_else(flags)
        .or_else(system)
        .or_else(other)
}

pub(super) fn gdb_name(register: Register) -> Option<String> {
    let n = register.number;
    match register.class {
        RegClass::Int if n == 31 => Some("sp".to_owned()),
        RegClass::Int => (n < 31).then(|| format!("x{n}")),
        RegClass::Vector => (n < 32).then(|| format!("v{n}")),
        RegClass::Flags => (n == 0).then(|| "cpsr".to_owned()),
        RegClass::Control => {
            let named = SYSTEM.iter().find(|row| row.1 == n).map(|row| row.0.to_owned());
            let (op1, crn, crm) = (n >> 11 & 7, n >> 7 & 15, n >> 3 & 15);
            named.or_else(|| Some(format!("s{}_{op1}_c{crn}_c{crm}_{}", n >> 14, n & 7)))
        }
        RegClass::Float | RegClass::VectorUpper => None,
    }
}
