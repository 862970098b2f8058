//! Registers whose value a CPU model fixes, as programs see them (DDI 0487, D23; Linux,
//! Documentation/arch/arm64/cpu-feature-registers.rst). EL0 cannot read ID registers: Linux emulates the
//! instruction, and shows of each register the fields that concern programs. All other fields say what a CPU
//! without the feature says.

use super::cpu::CpuModel;
use super::feature::{Feature, IdField};

/// The name of a system register as MRS and MSR encode it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct SysReg(pub u16);

impl SysReg {
    /// From the parts by which the manual names it: `S<op0>_<op1>_C<crn>_C<crm>_<op2>`.
    #[must_use]
    pub const fn new(op0: u16, op1: u16, crn: u16, crm: u16, op2: u16) -> Self {
        assert!(op0 < 4 && op1 < 8 && crn < 16 && crm < 16 && op2 < 8);
        Self(op0 << 14 | op1 << 11 | crn << 7 | crm << 3 | op2)
    }

    /// From bits 20:5 of MRS, MSR (register), SYS and their like, where it stands in this order.
    #[must_use]
    pub const fn from_instruction(word: u32) -> Self {
        Self((word >> 5) as u16)
    }

    const fn crm(self) -> u16 {
        self.0 >> 3 & 15
    }

    /// op0, op1 and CRn.
    const fn group(self) -> u16 {
        self.0 >> 7
    }
}

/// Main ID register.
pub const MIDR_EL1: SysReg = SysReg::new(3, 0, 0, 0, 0);
/// Multiprocessor affinity register.
pub const MPIDR_EL1: SysReg = SysReg::new(3, 0, 0, 0, 5);
/// Revision ID register.
pub const REVIDR_EL1: SysReg = SysReg::new(3, 0, 0, 0, 6);
/// Cache type register.
pub const CTR_EL0: SysReg = SysReg::new(3, 3, 0, 0, 1);
/// Data cache zero ID register.
pub const DCZID_EL0: SysReg = SysReg::new(3, 3, 0, 0, 7);
/// Counter-timer frequency register.
pub const CNTFRQ_EL0: SysReg = SysReg::new(3, 3, 14, 0, 0);

/// Ticks of the counter in a second: what Armv8.6 demands, and nanoseconds.
pub const COUNTER_HZ: u64 = 1_000_000_000;

/// Bytes of a cache line, of the block that DC ZVA zeroes, and of the exclusives reservation granule.
pub const CACHE_LINE: u64 = 64;

/// log2 of the words in a cache line, as CTR_EL0 and DCZID_EL0 give sizes.
const LINE_WORDS_LOG2: u64 = (CACHE_LINE / 4).ilog2() as u64;

/// CTR_EL0: lines of [`CACHE_LINE`] bytes; physically indexed and tagged instruction caches (L1Ip); data caches
/// need no cleaning for code that was written (IDC), but instruction caches need invalidation.
const CTR: u64 = 1 << 31 // RES1
    | 1 << 28 // IDC
    | LINE_WORDS_LOG2 << 24 // CWG
    | LINE_WORDS_LOG2 << 20 // ERG
    | LINE_WORDS_LOG2 << 16 // DminLine
    | 0b11 << 14 // L1Ip
    | LINE_WORDS_LOG2; // IminLine

/// MPIDR_EL1 as Linux shows it: RES1, and no affinity.
const MPIDR: u64 = 1 << 31;

/// An ID register that features show in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum IdRegister {
    /// ID_AA64PFR0_EL1
    Pfr0,
    /// ID_AA64PFR1_EL1
    Pfr1,
    /// ID_AA64DFR0_EL1
    Dfr0,
    /// ID_AA64ISAR0_EL1
    Isar0,
    /// ID_AA64ISAR1_EL1
    Isar1,
    /// ID_AA64ISAR2_EL1
    Isar2,
    /// ID_AA64MMFR0_EL1
    Mmfr0,
    /// ID_AA64MMFR2_EL1
    Mmfr2,
}

/// How an ID register is called, and what stands in it without any feature.
struct IdRow {
    register: IdRegister,
    name: &'static str,
    encoding: SysReg,
    /// The fields of which "not implemented" is not zero, or of which Linux shows that value.
    absent: u64,
}

const fn id_row(
    register: IdRegister,
    name: &'static str,
    crm: u16,
    op2: u16,
    absent: u64,
) -> IdRow {
    IdRow { register, name, encoding: SysReg::new(3, 0, 0, crm, op2), absent }
}

/// The ID registers that are not zero on every model; the others of their encoding space are.
static ID_ROWS: &[IdRow] = &[
    // No FP, no AdvSIMD; EL0 and EL1 are AArch64 only.
    id_row(IdRegister::Pfr0, "ID_AA64PFR0_EL1", 4, 0, 0x00ff_0011),
    id_row(IdRegister::Pfr1, "ID_AA64PFR1_EL1", 4, 1, 0),
    // Debug architecture of Armv8.0.
    id_row(IdRegister::Dfr0, "ID_AA64DFR0_EL1", 5, 0, 6),
    id_row(IdRegister::Isar0, "ID_AA64ISAR0_EL1", 6, 0, 0),
    id_row(IdRegister::Isar1, "ID_AA64ISAR1_EL1", 6, 1, 0),
    id_row(IdRegister::Isar2, "ID_AA64ISAR2_EL1", 6, 2, 0),
    // No page size is told: neither of stage 2 (three times 1) nor of stage 1 (twice 15).
    id_row(IdRegister::Mmfr0, "ID_AA64MMFR0_EL1", 7, 0, 0x0000_0111_ff00_0000),
    id_row(IdRegister::Mmfr2, "ID_AA64MMFR2_EL1", 7, 2, 0),
];

impl CpuModel {
    /// What EL0 reads from a register that the model fixes; `None` if there is no such register, or if it is none
    /// of those.
    #[must_use]
    pub fn system_register(&self, register: SysReg) -> Option<u64> {
        Some(match register {
            MIDR_EL1 => u64::from(self.midr()),
            MPIDR_EL1 => MPIDR,
            REVIDR_EL1 => 0,
            CTR_EL0 => CTR,
            // DC ZVA is allowed.
            DCZID_EL0 => LINE_WORDS_LOG2,
            CNTFRQ_EL0 => COUNTER_HZ,
            _ if is_id_space(register) => self.id_register(register),
            _ => return None,
        })
    }

    /// The ID registers that say anything, by the manual's names: what EL0 reads from them.
    pub fn id_registers(&self) -> impl Iterator<Item = (&'static str, u64)> {
        ID_ROWS.iter().map(|row| (row.name, self.id_register(row.encoding)))
    }

    fn id_register(&self, register: SysReg) -> u64 {
        let Some(row) = ID_ROWS.iter().find(|row| row.encoding == register) else { return 0 };
        let shown = self.features().flat_map(|feature: Feature| feature.row().fields);
        let shown = shown.filter(|field| field.register == row.register);
        shown.fold(row.absent, |value, field| raise(value, *field))
    }
}

/// Raises a field to a feature's value. What says "not implemented" is less than any value: 0, or 15 in a signed
/// field.
fn raise(register: u64, IdField { shift, value, .. }: IdField) -> u64 {
    let signed = |field: u64| ((field << 60) as i64) >> 60;
    let old = signed(register >> shift & 15);
    let new = old.max(i64::from(value)) as u64 & 15;
    register & !(15 << shift) | new << shift
}

/// Whether Linux emulates reading it: the ID registers of AArch64, and those of AArch32 from ID_ISAR0_EL1 on. An
/// encoding that no register has reads as zero there.
fn is_id_space(register: SysReg) -> bool {
    register.group() == MIDR_EL1.group() && (2..=7).contains(&register.crm())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::aarch64::feature::HwcapWord;

    fn model(text: &str) -> CpuModel {
        text.parse().unwrap()
    }

    fn id(cpu: CpuModel, crm: u16, op2: u16) -> u64 {
        cpu.system_register(SysReg::new(3, 0, 0, crm, op2)).unwrap()
    }

    #[test]
    fn encodings_are_the_instruction_s() {
        // mrs x0, midr_el1; mrs x0, ctr_el0; mrs x0, cntfrq_el0; mrs x0, id_aa64isar0_el1
        assert_eq!(SysReg::from_instruction(0xd538_0000), MIDR_EL1);
        assert_eq!(SysReg::from_instruction(0xd53b_0020), CTR_EL0);
        assert_eq!(SysReg::from_instruction(0xd53b_e000), CNTFRQ_EL0);
        assert_eq!(SysReg::from_instruction(0xd538_0600), SysReg::new(3, 0, 0, 6, 0));
    }

    #[test]
    fn a_plain_cpu_shows_what_linux_shows_of_one() {
        let cpu = model("cortex-a72");
        assert_eq!(cpu.system_register(MIDR_EL1), Some(0x410f_d083));
        assert_eq!(id(cpu, 4, 0), 0x11);
        assert_eq!(id(cpu, 6, 0), 0x0001_1120);
        assert_eq!((id(cpu, 6, 1), id(cpu, 7, 2)), (0, 0));
        assert_eq!(id(cpu, 5, 0), 6);
        assert_eq!(id(cpu, 7, 0), 0x0000_0111_ff00_0000);
        assert_eq!(id(model("armv8.0-a,-fp"), 4, 0), 0x00ff_0011);
        assert_eq!(id(model("neoverse-n1"), 4, 0), 0x0011_0011);
        assert_eq!(id(model("neoverse-n1"), 6, 0), 0x0000_1000_1021_1120);
        assert_eq!(id(model("neoverse-n1"), 6, 1), 0x0010_0001);
    }

    #[test]
    fn only_what_linux_emulates_can_be_read() {
        let cpu = CpuModel::default();
        let read = |crm, op2| cpu.system_register(SysReg::new(3, 0, 0, crm, op2));
        assert_eq!(read(0, 6), Some(0));
        assert_eq!(read(0, 5), Some(1 << 31));
        assert_eq!(read(0, 1), None);
        assert_eq!(read(1, 0), None, "ID_PFR0_EL1");
        assert_eq!(read(2, 0), Some(0), "ID_ISAR0_EL1");
        assert_eq!(read(7, 7), Some(0));
        assert_eq!(read(8, 0), None);
        assert_eq!(cpu.system_register(SysReg::new(3, 0, 1, 0, 0)), None, "SCTLR_EL1");
        assert_eq!(cpu.system_register(CTR_EL0), Some(0x9444_c004));
        assert_eq!(cpu.system_register(DCZID_EL0), Some(4));
    }

    /// Linux derives each capability from a field (`elf_hwcaps.rst`): the two never disagree.
    #[test]
    fn capabilities_and_registers_agree() {
        use HwcapWord::{Hwcap, Hwcap2};
        const ISAR0: (u16, u16) = (6, 0);
        const ISAR1: (u16, u16) = (6, 1);
        const ISAR2: (u16, u16) = (6, 2);
        const PFR0: (u16, u16) = (4, 0);
        const PFR1: (u16, u16) = (4, 1);
        const MMFR0: (u16, u16) = (7, 0);
        const MMFR2: (u16, u16) = (7, 2);
        let implied = [
            (Hwcap, 0, PFR0, 16, 0),
            (Hwcap, 1, PFR0, 20, 0),
            (Hwcap, 3, ISAR0, 4, 1),
            (Hwcap, 4, ISAR0, 4, 2),
            (Hwcap, 5, ISAR0, 8, 1),
            (Hwcap, 6, ISAR0, 12, 1),
            (Hwcap, 7, ISAR0, 16, 1),
            (Hwcap, 8, ISAR0, 20, 2),
            (Hwcap, 9, PFR0, 16, 1),
            (Hwcap, 10, PFR0, 20, 1),
            (Hwcap, 12, ISAR0, 28, 1),
            (Hwcap, 13, ISAR1, 12, 1),
            (Hwcap, 14, ISAR1, 16, 1),
            (Hwcap, 15, ISAR1, 20, 1),
            (Hwcap, 16, ISAR1, 0, 1),
            (Hwcap, 17, ISAR0, 32, 1),
            (Hwcap, 18, ISAR0, 36, 1),
            (Hwcap, 19, ISAR0, 40, 1),
            (Hwcap, 20, ISAR0, 44, 1),
            (Hwcap, 21, ISAR0, 12, 2),
            (Hwcap, 22, PFR0, 32, 1),
            (Hwcap, 23, ISAR0, 48, 1),
            (Hwcap, 24, PFR0, 48, 1),
            (Hwcap, 25, MMFR2, 32, 1),
            (Hwcap, 26, ISAR1, 20, 2),
            (Hwcap, 27, ISAR0, 52, 1),
            (Hwcap, 28, PFR1, 4, 2),
            (Hwcap, 29, ISAR1, 36, 1),
            (Hwcap, 30, ISAR1, 8, 1),
            (Hwcap, 31, ISAR1, 28, 1),
            (Hwcap2, 0, ISAR1, 0, 2),
            (Hwcap2, 7, ISAR0, 52, 2),
            (Hwcap2, 8, ISAR1, 32, 1),
            (Hwcap2, 13, ISAR1, 52, 1),
            (Hwcap2, 14, ISAR1, 44, 1),
            (Hwcap2, 15, ISAR1, 48, 1),
            (Hwcap2, 16, ISAR0, 60, 1),
            (Hwcap2, 17, PFR1, 0, 1),
            (Hwcap2, 18, PFR1, 8, 2),
            (Hwcap2, 19, MMFR0, 60, 1),
            (Hwcap2, 31, ISAR2, 0, 2),
            (Hwcap2, 34, ISAR2, 52, 1),
            (Hwcap2, 35, ISAR2, 48, 1),
            (Hwcap2, 43, ISAR2, 16, 1),
            (Hwcap2, 44, ISAR2, 20, 1),
        ];
        let models = crate::aarch64::cpu::MODELS.iter().map(|model| model.name.to_owned());
        let single =
            Feature::ALL.iter().map(|feature| format!("armv8.0-a,-fp,+{}", feature.row().name));
        for text in models.chain(single) {
            let cpu = model(&text);
            let mut listed = [1 << 2 | 1 << 11, 0];
            for (word, bit, (crm, op2), shift, least) in implied {
                let field = ((id(cpu, crm, op2) << (60 - shift)) as i64) >> 60;
                // Only FP and AdvSIMD are signed; no other field gets that high.
                let has = field >= least && field != -1;
                listed[word as usize] |= u64::from(has) << bit;
            }
            assert_eq!([cpu.hwcap(Hwcap), cpu.hwcap(Hwcap2)], listed, "{text}");
            assert_eq!(cpu.hwcap(HwcapWord::Hwcap3), 0);
        }
    }
}
