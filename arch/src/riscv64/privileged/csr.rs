//! Every control and status register ("CSR Listing"), in the manual's order: a row says what it
//! needs, how it is read and how it is written. A register without a row is illegal.

use std::ops::RangeInclusive;
use std::sync::LazyLock;

use base::{CpuFrame, RegSlot};

use super::access::WriteEffect;
use super::aia::{self, FileRegister, InterruptFile as File};
use super::context::SystemContext;
use super::counter::{self, Counter};
use super::interrupt::{self, set_mip, set_sie, set_sip, set_stimecmp};
use super::{envcfg, pmp, satp, status, trap};
use crate::riscv64::feature::Feature;
use crate::riscv64::{csr, slot};

/// How a register is read.
#[derive(Clone, Copy, Debug)]
pub enum Read {
    /// Read-only zero.
    Zero,
    /// The slot's value.
    Slot(RegSlot),
    /// From the hart's registers.
    Frame(fn(&CpuFrame) -> u64),
    /// From the hart's registers and its machine.
    Hart(fn(&CpuFrame, &SystemContext) -> u64),
    /// One of a numbered row.
    Indexed(fn(&CpuFrame, u16) -> u64),
    /// From an interrupt file, which may have no such register.
    InterruptFile(FileRegister),
}

/// How a register is written.
#[derive(Clone, Copy, Debug)]
pub enum Write {
    /// Not at all: read-only by its number, or every field is read-only.
    Ignored,
    /// The slot's bits in this mask; the others are read-only zero.
    Masked(RegSlot, u64),
    /// Likewise, and an interrupt may become ready.
    Interrupts(RegSlot, u64),
    /// By the hart's registers.
    Frame(fn(&mut CpuFrame, u64) -> WriteEffect),
    /// By the hart's registers and its machine.
    Hart(fn(&mut CpuFrame, &SystemContext, u64) -> WriteEffect),
    /// One of a numbered row.
    Indexed(fn(&mut CpuFrame, u16, u64) -> WriteEffect),
}

/// What an access needs besides the level that the number names. Machine level is held back by
/// none but the first two.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Guard {
    /// Nothing.
    None,
    /// mstatus.FS is not off.
    Float,
    /// mcounteren, and from user level scounteren.
    Counter,
    /// mstatus.TVM is clear.
    Translation,
    /// menvcfg.STCE and mcounteren.TM.
    Timer,
    /// mstateen0.ENVCFG.
    Senvcfg,
    /// mstateen0 to 3, SE.
    Sstateen,
    /// mstateen0.CSRIND.
    Indirect,
    /// mstateen0.AIA.
    Aia,
    /// mstateen0.IMSIC.
    Imsic,
}

/// A register, or a numbered row of them.
#[derive(Clone, Debug)]
pub struct Row {
    /// Its number; of a numbered row, the first and the last.
    pub numbers: RangeInclusive<u16>,
    /// From one number of the row to the next.
    pub step: u16,
    /// The manual's name; of a numbered row, without the index.
    pub name: &'static str,
    /// Index of the first of a numbered row.
    pub first_index: u16,
    /// The extension that it belongs to.
    pub needs: Feature,
    /// What an access needs.
    pub guard: Guard,
    /// How it is read.
    pub read: Read,
    /// How it is written.
    pub write: Write,
}

impl Row {
    /// Whether the CPU has it.
    #[must_use]
    pub fn is_present(&self, ctx: &SystemContext) -> bool {
        ctx.features.has(self.needs)
    }

    /// How many registers it stands for.
    #[must_use]
    pub fn count(&self) -> u16 {
        (self.numbers.end() - self.numbers.start()) / self.step + 1
    }

    /// The register's place in its row: 0 for the first number.
    #[must_use]
    pub fn index(&self, number: u16) -> u16 {
        number.saturating_sub(*self.numbers.start())
    }

    /// The register's name.
    #[must_use]
    pub fn name_of(&self, number: u16) -> String {
        match self.count() {
            1 => self.name.to_owned(),
            _ => format!("{}{}", self.name, self.first_index + self.index(number)),
        }
    }

    /// Its numbers.
    pub fn all_numbers(&self) -> impl Iterator<Item = u16> + use<> {
        self.numbers.clone().step_by(self.step.into())
    }
}

macro_rules! rows {
    ($($number:literal $(..= $last:literal)? $(by $step:literal)? $(from $first:literal)?,
        $name:literal, $needs:ident, $guard:ident, $read:expr, $write:expr;)*) => {
        &[$(Row {
            numbers: rows!(@range $number $($last)?),
            step: rows!(@or 1 $($step)?),
            name: $name,
            first_index: rows!(@or 0 $($first)?),
            needs: Feature::$needs,
            guard: Guard::$guard,
            read: $read,
            write: $write,
        },)*]
    };
    (@range $first:literal) => { $first..=$first };
    (@range $first:literal $last:literal) => { $first..=$last };
    (@or $default:literal) => { $default };
    (@or $default:literal $given:literal) => { $given };
}

use Read::{Frame as By, Hart as With, Slot, Zero};
use Write::{Ignored, Interrupts, Masked};

/// mip's number.
pub const MIP: u16 = 0x344;

const ANY: u64 = u64::MAX;

/// All registers.
#[rustfmt::skip]
pub static ALL: &[Row] = rows! {
    // Unprivileged: floating point.
    0x001, "fflags",        F,         Float,       Slot(slot::FFLAGS),        Write::Frame(set_fflags);
    0x002, "frm",           F,         Float,       Slot(slot::FRM),           Write::Frame(set_frm);
    0x003, "fcsr",          F,         Float,       By(csr::fcsr),             Write::Frame(set_fcsr);
    // Unprivileged: counters and timers.
    0xc00, "cycle",         Zicntr,    Counter,     With(cycle),               Ignored;
    0xc01, "time",          Zicntr,    Counter,     With(|_, ctx| ctx.time.ticks()), Ignored;
    0xc02, "instret",       Zicntr,    Counter,     With(instret),             Ignored;
    0xc03..=0xc1f from 3, "hpmcounter", Zihpm, Counter, Zero,                  Ignored;
    // Supervisor trap setup.
    0x100, "sstatus",       S,         None,        By(status::sstatus),       Write::Hart(status::set_sstatus);
    0x104, "sie",           S,         None,        By(interrupt::sie),        Write::Frame(set_sie);
    0x105, "stvec",         S,         None,        Slot(slot::STVEC),         Write::Frame(set_stvec);
    0x106, "scounteren",    S,         None,        Slot(slot::SCOUNTEREN),    Masked(slot::SCOUNTEREN, counter::ENABLES);
    // Supervisor configuration.
    0x10a, "senvcfg",       S,         Senvcfg,     Slot(slot::SENVCFG),       Write::Hart(envcfg::set_senvcfg);
    // Supervisor state enable.
    0x10c..=0x10f, "sstateen", Ssstateen, Sstateen, Zero,                      Ignored;
    // Supervisor trap handling.
    0x140, "sscratch",      S,         None,        Slot(slot::SSCRATCH),      Masked(slot::SSCRATCH, ANY);
    0x141, "sepc",          S,         None,        Slot(slot::SEPC),          Write::Hart(|f, c, v| set_epc(f, c, slot::SEPC, v));
    0x142, "scause",        S,         None,        Slot(slot::SCAUSE),        Masked(slot::SCAUSE, ANY);
    0x143, "stval",         S,         None,        Slot(slot::STVAL),         Masked(slot::STVAL, ANY);
    0x144, "sip",           S,         None,        With(interrupt::sip),      Write::Frame(set_sip);
    0x14d, "stimecmp",      Sstc,      Timer,       Slot(slot::STIMECMP),      Write::Hart(set_stimecmp);
    // Supervisor indirect access, and interrupts (AIA).
    0x150, "siselect",      Ssaia,     Indirect,    Slot(slot::SISELECT),      Masked(slot::SISELECT, aia::ISELECT);
    0x151, "sireg",         Ssaia,     Indirect,    Read::InterruptFile(FileRegister::Ireg(File::Supervisor)), Ignored;
    0x15c, "stopei",        Ssaia,     Imsic,       Read::InterruptFile(FileRegister::Topei(File::Supervisor)), Ignored;
    0xdb0, "stopi",         Ssaia,     Aia,         With(aia::stopi),          Ignored;
    // Supervisor protection and translation.
    0x180, "satp",          S,         Translation, Slot(slot::SATP),          Write::Hart(satp::set_satp);
    // Machine information registers.
    0xf11, "mvendorid",     Sm,        None,        Slot(slot::MVENDORID),     Ignored;
    0xf12, "marchid",       Sm,        None,        Slot(slot::MARCHID),       Ignored;
    0xf13, "mimpid",        Sm,        None,        Slot(slot::MIMPID),        Ignored;
    0xf14, "mhartid",       Sm,        None,        Slot(slot::MHARTID),       Ignored;
    0xf15, "mconfigptr",    Sm,        None,        Zero,                      Ignored;
    // Machine trap setup.
    0x300, "mstatus",       Sm,        None,        Slot(slot::MSTATUS),       Write::Hart(status::set_mstatus);
    0x301, "misa",          Sm,        None,        Slot(slot::MISA),          Ignored;
    0x302, "medeleg",       S,         None,        Slot(slot::MEDELEG),       Masked(slot::MEDELEG, trap::DELEGABLE);
    0x303, "mideleg",       S,         None,        Slot(slot::MIDELEG),       Interrupts(slot::MIDELEG, interrupt::DELEGABLE);
    0x304, "mie",           Sm,        None,        Slot(slot::MIE),           Interrupts(slot::MIE, interrupt::ALL);
    0x305, "mtvec",         Sm,        None,        Slot(slot::MTVEC),         Write::Frame(set_mtvec);
    0x306, "mcounteren",    Sm,        None,        Slot(slot::MCOUNTEREN),    Masked(slot::MCOUNTEREN, counter::ENABLES);
    // Machine virtual interrupts (AIA): none can be enabled, so that mvip is mip's bits.
    0x308, "mvien",         Smaia,     None,        Zero,                      Ignored;
    0x309, "mvip",          Smaia,     None,        By(interrupt::mip_software), Write::Frame(set_mip);
    // Machine trap handling.
    0x340, "mscratch",      Sm,        None,        Slot(slot::MSCRATCH),      Masked(slot::MSCRATCH, ANY);
    0x341, "mepc",          Sm,        None,        Slot(slot::MEPC),          Write::Hart(|f, c, v| set_epc(f, c, slot::MEPC, v));
    0x342, "mcause",        Sm,        None,        Slot(slot::MCAUSE),        Masked(slot::MCAUSE, ANY);
    0x343, "mtval",         Sm,        None,        Slot(slot::MTVAL),         Masked(slot::MTVAL, ANY);
    0x344, "mip",           Sm,        None,        With(interrupt::mip),      Write::Frame(set_mip);
    // Machine indirect access, and interrupts (AIA).
    0x350, "miselect",      Smaia,     None,        Slot(slot::MISELECT),      Masked(slot::MISELECT, aia::ISELECT);
    0x351, "mireg",         Smaia,     None,        Read::InterruptFile(FileRegister::Ireg(File::Machine)), Ignored;
    0x35c, "mtopei",        Smaia,     None,        Read::InterruptFile(FileRegister::Topei(File::Machine)), Ignored;
    0xfb0, "mtopi",         Smaia,     None,        With(aia::mtopi),          Ignored;
    // Machine configuration.
    0x30a, "menvcfg",       Sm,        None,        Slot(slot::MENVCFG),       Write::Hart(envcfg::set_menvcfg);
    // Machine memory protection.
    0x3a0..=0x3ae by 2, "pmpcfg", Sm,  None,        Read::Indexed(pmp::config), Write::Indexed(pmp::set_config);
    0x3b0..=0x3ef, "pmpaddr", Sm,      None,        Read::Indexed(pmp::address), Write::Indexed(pmp::set_address);
    // Machine state enable.
    0x30c, "mstateen0",     Smstateen, None,        Slot(slot::MSTATEEN0),     Write::Hart(envcfg::set_mstateen0);
    0x30d..=0x30f from 1, "mstateen", Smstateen, None, Read::Indexed(|f, n| envcfg::mstateen(f, n + 1)), Write::Indexed(|f, n, v| envcfg::set_mstateen(f, n + 1, v));
    // Machine counters.
    0xb00, "mcycle",        Sm,        None,        With(cycle),               Write::Hart(|f, c, v| Counter::Cycle.write(f, c, v));
    0xb02, "minstret",      Sm,        None,        With(instret),             Write::Hart(|f, c, v| Counter::Instret.write(f, c, v));
    0xb03..=0xb1f from 3, "mhpmcounter", Sm, None,  Zero,                      Ignored;
    // Machine counter setup.
    0x320, "mcountinhibit", Sm,        None,        Slot(slot::MCOUNTINHIBIT), Write::Hart(counter::set_mcountinhibit);
    0x323..=0x33f from 3, "mhpmevent", Sm, None,    Zero,                      Ignored;
};

/// Numbers to rows.
static INDEX: LazyLock<Box<[Option<&'static Row>]>> = LazyLock::new(|| {
    let mut index = vec![None; 1 << 12].into_boxed_slice();
    for row in ALL {
        row.all_numbers().for_each(|number| index[usize::from(number)] = Some(row));
    }
    index
});

/// The row of a register.
#[must_use]
pub fn row(number: u16) -> Option<&'static Row> {
    INDEX.get(usize::from(number)).copied().flatten()
}

fn set_fflags(frame: &mut CpuFrame, value: u64) -> WriteEffect {
    frame.set(slot::FFLAGS, value & csr::FFLAGS_MASK);
    fp_written(frame)
}

fn set_frm(frame: &mut CpuFrame, value: u64) -> WriteEffect {
    frame.set(slot::FRM, value & csr::FRM_MASK);
    fp_written(frame)
}

fn set_fcsr(frame: &mut CpuFrame, value: u64) -> WriteEffect {
    csr::set_fcsr(frame, value);
    fp_written(frame)
}

fn fp_written(frame: &mut CpuFrame) -> WriteEffect {
    status::set_fp_dirty(frame);
    WriteEffect::KEY
}

fn cycle(frame: &CpuFrame, ctx: &SystemContext) -> u64 {
    Counter::Cycle.read(frame, ctx)
}

fn instret(frame: &CpuFrame, ctx: &SystemContext) -> u64 {
    Counter::Instret.read(frame, ctx)
}

/// xepc never holds an address at which no instruction can begin.
fn set_epc(frame: &mut CpuFrame, ctx: &SystemContext, slot: RegSlot, value: u64) -> WriteEffect {
    let align = if ctx.features.has(Feature::Zca) { 2 } else { 4 };
    frame.set(slot, value & !(align - 1));
    WriteEffect::NONE
}

fn set_stvec(frame: &mut CpuFrame, value: u64) -> WriteEffect {
    set_tvec(frame, slot::STVEC, value)
}

fn set_mtvec(frame: &mut CpuFrame, value: u64) -> WriteEffect {
    set_tvec(frame, slot::MTVEC, value)
}

/// xtvec: modes 2 and 3 are reserved and leave the mode as it was.
fn set_tvec(frame: &mut CpuFrame, slot: RegSlot, value: u64) -> WriteEffect {
    let mode = if value & 3 > 1 { frame.get(slot) & 3 } else { value & 3 };
    frame.set(slot, value & !3 | mode);
    WriteEffect::NONE
}
