//! RISC-V: the calling convention's names ("RISC-V ABIs Specification", Register Convention), and the privileged
//! manual's "CSR Listing".

use arch::riscv64::slot::{F_NAMES, X_NAMES};

use super::{listed, numbered};
use crate::{RegClass, Register};

/// A register, or a row of them that differ by an index: the first one's number and index, how many, and the name.
struct Csr {
    number: u16,
    first: u16,
    count: u16,
    name: &'static str,
}

macro_rules! csrs {
    ($($number:literal $name:literal $([$first:literal; $count:literal])?,)*) => {
        &[$(csrs!(@row $number $name $($first $count)?)),*]
    };
    (@row $number:literal $name:literal) => {
        Csr { number: $number, first: 0, count: 0, name: $name }
    };
    (@row $number:literal $name:literal $first:literal $count:literal) => {
        Csr { number: $number, first: $first, count: $count, name: $name }
    };
}

const CSRS: &[Csr] = csrs![
    0x001 "fflags", 0x002 "frm", 0x003 "fcsr", 0x008 "vstart", 0x009 "vxsat", 0x00a "vxrm",
    0x00f "vcsr", 0x011 "ssp", 0x015 "seed", 0x017 "jvt", 0xc00 "cycle", 0xc01 "time", 0xc02 "instret",
    0xc03 "hpmcounter" [3; 29], 0xc20 "vl", 0xc21 "vtype", 0xc22 "vlenb",
    0x100 "sstatus", 0x104 "sie", 0x105 "stvec", 0x106 "scounteren", 0x10a "senvcfg",
    0x10c "sstateen" [0; 4], 0x120 "scountinhibit", 0x140 "sscratch", 0x141 "sepc", 0x142 "scause",
    0x143 "stval", 0x144 "sip", 0x14d "stimecmp", 0x150 "siselect", 0x151 "sireg", 0x152 "sireg2",
    0x153 "sireg3", 0x155 "sireg4", 0x156 "sireg5", 0x157 "sireg6", 0x15c "stopei", 0x180 "satp",
    0x5a8 "scontext", 0xda0 "scountovf", 0xdb0 "stopi",
    0x600 "hstatus", 0x602 "hedeleg", 0x603 "hideleg", 0x604 "hie", 0x605 "htimedelta",
    0x606 "hcounteren", 0x607 "hgeie", 0x608 "hvien", 0x609 "hvictl", 0x60a "henvcfg",
    0x60c "hstateen" [0; 4], 0x643 "htval", 0x644 "hip", 0x645 "hvip", 0x646 "hviprio1",
    0x647 "hviprio2", 0x64a "htinst", 0x680 "hgatp", 0x6a8 "hcontext", 0xe12 "hgeip",
    0x200 "vsstatus", 0x204 "vsie", 0x205 "vstvec", 0x240 "vsscratch", 0x241 "vsepc",
    0x242 "vscause", 0x243 "vstval", 0x244 "vsip", 0x24d "vstimecmp", 0x250 "vsiselect",
    0x251 "vsireg", 0x25c "vstopei", 0x280 "vsatp", 0xeb0 "vstopi",
    0xf11 "mvendorid", 0xf12 "marchid", 0xf13 "mimpid", 0xf14 "mhartid", 0xf15 "mconfigptr",
    0x300 "mstatus", 0x301 "misa", 0x302 "medeleg", 0x303 "mideleg", 0x304 "mie", 0x305 "mtvec",
    0x306 "mcounteren", 0x308 "mvien", 0x309 "mvip", 0x30a "menvcfg", 0x30c "mstateen" [0; 4],
    0x340 "mscratch", 0x341 "mepc", 0x342 "mcause", 0x343 "mtval", 0x344 "mip", 0x34a "mtinst",
    0x34b "mtval2", 0x350 "miselect", 0x351 "mireg", 0x352 "mireg2", 0x353 "mireg3",
    0x355 "mireg4", 0x356 "mireg5", 0x357 "mireg6", 0x35c "mtopei", 0xfb0 "mtopi",
    0x3a0 "pmpcfg" [0; 16], 0x3b0 "pmpaddr" [0; 64], 0x747 "mseccfg",
    0x740 "mnscratch", 0x741 "mnepc", 0x742 "mncause", 0x744 "mnstatus",
    0xb00 "mcycle", 0xb02 "minstret", 0xb03 "mhpmcounter" [3; 29],
    0x320 "mcountinhibit", 0x321 "mcyclecfg", 0x322 "minstretcfg", 0x323 "mhpmevent" [3; 29],
    0x7a0 "tselect", 0x7a1 "tdata1", 0x7a2 "tdata2", 0x7a3 "tdata3", 0x7a4 "tinfo",
    0x7a5 "tcontrol", 0x7a8 "mcontext", 0x7b0 "dcsr", 0x7b1 "dpc", 0x7b2 "dscratch0", 0x7b3 "dscratch1",
];

/// As QEMU's gdb calls one without a name: `csr7c0`.
fn unnamed(name: &str) -> Option<u16> {
    let digits = name.strip_prefix("csr").filter(|digits| digits.len() == 3)?;
    u16::from_str_radix(digits, 16).ok().filter(|number| *number <= 0xfff)
}

/// The manual's name of the control and status register of that number.
#[must_use]
pub fn csr_name(number: u16) -> Option<String> {
    CSRS.iter().find_map(|csr| {
        let index = number.checked_sub(csr.number)?;
        match csr.count {
            0 => (index == 0).then(|| csr.name.to_owned()),
            count => (index < count).then(|| format!("{}{}", csr.name, csr.first + index)),
        }
    })
}

fn csr_number(name: &str) -> Option<u16> {
    CSRS.iter().find_map(|csr| match csr.count {
        0 => (csr.name == name).then_some(csr.number),
        count => {
            let index = numbered(name, csr.name, csr.first + count)?;
            index.checked_sub(csr.first).map(|index| csr.number + index)
        }
    })
}

pub(super) fn by_name(name: &str) -> Option<Register> {
    let int = || numbered(name, "x", 32).or_else(|| listed(&X_NAMES, name)).map(Register::int);
    let float = || numbered(name, "f", 32).or_else(|| listed(&F_NAMES, name)).map(Register::float);
    let vector = || numbered(name, "v", 32).map(Register::vector);
    let fp = || (name == "fp").then(|| Register::int(8));
    let csr = || csr_number(name).or_else(|| unnamed(name)).map(Register::control);
    int().or_else(float).or_else(vector).or_else(fp).or_else(csr)
}

pub(super) fn gdb_name(register: Register) -> Option<String> {
    let n = usize::from(register.number);
    match register.class {
        RegClass::Int => X_NAMES.get(n).map(|&name| name.to_owned()),
        RegClass::Float => F_NAMES.get(n).map(|&name| name.to_owned()),
        RegClass::Vector => (n < 32).then(|| format!("v{n}")),
        RegClass::Control if register.number > 0xfff => None,
        RegClass::Control => {
            csr_name(register.number).or_else(|| Some(format!("csr{:03x}", register.number)))
        }
        RegClass::VectorUpper | RegClass::Flags => None,
    }
}
