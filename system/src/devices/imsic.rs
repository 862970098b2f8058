//! The incoming MSI controllers of harts (RISC-V Advanced Interrupt Architecture 1.0, chapter 3).
//!
//! Windows: the pages of the machine-level interrupt files, one a hart; those of the supervisor-level ones,
//! each followed by its guest interrupt files and filled up to a power of two (section 3.6). Outputs: hart
//! `h` has `2 + guests` from `h * (2 + guests)` on: machine level, supervisor level, guest 1 and so on.
//!
//! CSRs reach an [`InterruptFile`] through [`Imsic::file`]. `eidelivery` does not support delivery from a
//! PLIC or APLIC.

use crate::device::{Access, Device, Effect, InterruptController, Refusal, Width, World};

/// Harts at most.
pub const MAX_HARTS: u32 = 64;
/// Guest interrupt files (GEILEN) of a hart at most.
pub const MAX_GUESTS: u32 = 63;

const PAGE: u64 = 0x1000;
/// Words of 64 bits in each of a file's arrays at most.
const WORDS: u32 = 32;

/// Registers in a file's page (section 3.5).
mod reg {
    pub(super) const SETEIPNUM_LE: u64 = 0;
    pub(super) const SETEIPNUM_BE: u64 = 4;
}

/// Values of `*iselect` (section 3.8).
pub mod select {
    /// Whether interrupts reach the hart.
    pub const EIDELIVERY: u64 = 0x70;
    /// Identities from here on do not, unless it is 0.
    pub const EITHRESHOLD: u64 = 0x72;
    /// Pending bits; only even numbers exist.
    pub const EIP: u64 = 0x80;
    /// Enable bits; only even numbers exist.
    pub const EIE: u64 = 0xc0;
    /// The last one.
    pub const LAST: u64 = 0xff;
}

/// `*ireg` with what is selected is an illegal instruction.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("no interrupt file has a register {0:#x}")]
pub struct NoRegister(pub u64);

/// Which of a hart's interrupt files.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Level {
    /// `miselect`, `mireg`, `mtopei`.
    Machine,
    /// `siselect`, `sireg`, `stopei`.
    Supervisor,
    /// `vsiselect`, `vsireg`, `vstopei` while `hstatus.VGEIN` is this, from 1.
    Guest(u32),
}

/// An interrupt file (section 3.1), as CSRs of 64 bits reach it.
#[derive(Clone, Debug)]
pub struct InterruptFile {
    eidelivery: bool,
    eithreshold: u32,
    eip: Vec<u64>,
    eie: Vec<u64>,
}

/// A register of a file.
enum Selected {
    Eidelivery,
    Eithreshold,
    Eip(usize),
    Eie(usize),
    /// Reads as zero, ignores writes.
    Reserved,
}

impl InterruptFile {
    fn new(words: u32) -> Self {
        let (eip, eie) = (vec![0; words as usize], vec![0; words as usize]);
        Self { eidelivery: false, eithreshold: 0, eip, eie }
    }

    fn identities(&self) -> u64 {
        64 * self.eip.len() as u64 - 1
    }

    fn select(&self, select: u64) -> Result<Selected, NoRegister> {
        let word = |first: u64| ((select - first) / 2) as usize;
        Ok(match select {
            select::EIP..=select::LAST if !select.is_multiple_of(2) => {
                return Err(NoRegister(select));
            }
            select::EIDELIVERY => Selected::Eidelivery,
            select::EITHRESHOLD => Selected::Eithreshold,
            select::EIP..select::EIE if word(select::EIP) < self.eip.len() => {
                Selected::Eip(word(select::EIP))
            }
            select::EIE..=select::LAST if word(select::EIE) < self.eie.len() => {
                Selected::Eie(word(select::EIE))
            }
            _ if (select::EIDELIVERY..=select::LAST).contains(&select) => Selected::Reserved,
            _ => return Err(NoRegister(select)),
        })
    }

    /// `*ireg` (section 3.9).
    ///
    /// # Errors
    /// There is no such register.
    pub fn read(&self, select: u64) -> Result<u64, NoRegister> {
        Ok(match self.select(select)? {
            Selected::Eidelivery => self.eidelivery.into(),
            Selected::Eithreshold => self.eithreshold.into(),
            Selected::Eip(word) => self.eip[word],
            Selected::Eie(word) => self.eie[word],
            Selected::Reserved => 0,
        })
    }

    /// `*ireg` (section 3.9).
    ///
    /// # Errors
    /// There is no such register.
    pub fn write(&mut self, select: u64, value: u64) -> Result<(), NoRegister> {
        // Identity 0 does not exist.
        let bits = |word| if word == 0 { value & !1 } else { value };
        match self.select(select)? {
            Selected::Eidelivery => self.eidelivery = value == 1,
            Selected::Eithreshold => self.eithreshold = (value & self.identities()) as u32,
            Selected::Eip(word) => self.eip[word] = bits(word),
            Selected::Eie(word) => self.eie[word] = bits(word),
            Selected::Reserved => {}
        }
        Ok(())
    }

    /// The lowest identity that is pending, enabled and below the threshold; 0 if none is.
    fn top(&self) -> u32 {
        let words = (0_u32..).zip(self.eip.iter().zip(&self.eie));
        let mut set = words.filter(|(_, (eip, eie))| *eip & *eie != 0);
        let top =
            set.next().map_or(0, |(word, (eip, eie))| 64 * word + (eip & eie).trailing_zeros());
        if self.eithreshold == 0 || top < self.eithreshold { top } else { 0 }
    }

    /// `*topei` (section 3.10).
    #[must_use]
    pub fn topei(&self) -> u64 {
        u64::from(self.top()) << 16 | u64::from(self.top())
    }

    /// A write of `*topei`: claims what it reads as, which is the result.
    pub fn claim(&mut self) -> u64 {
        let topei = self.topei();
        self.set_pending(self.top(), false);
        topei
    }

    /// Whether the hart's external interrupt is pending (section 3.11).
    #[must_use]
    pub fn delivers(&self) -> bool {
        self.eidelivery && self.top() != 0
    }

    fn set_pending(&mut self, identity: u32, to: bool) {
        let mask = 1 << (identity % 64);
        match self.eip.get_mut(identity as usize / 64) {
            Some(word) if identity != 0 => *word = if to { *word | mask } else { *word & !mask },
            _ => {}
        }
    }
}

/// The controllers of all harts.
#[derive(Clone, Debug)]
pub struct Imsic {
    harts: u32,
    guests: u32,
    /// By output.
    files: Vec<InterruptFile>,
}

impl Imsic {
    /// For this many harts, [`MAX_HARTS`] at most, with guest interrupt files, [`MAX_GUESTS`] at most, and
    /// as many identities in each file as fit in the fewest words of 64: 63 to 2047.
    #[must_use]
    pub fn new(harts: u32, guests: u32, identities: u32) -> Self {
        let (harts, guests) = (harts.min(MAX_HARTS), guests.min(MAX_GUESTS));
        let words = (identities / 64 + 1).min(WORDS);
        let files = vec![InterruptFile::new(words); (harts * (2 + guests)) as usize];
        Self { harts, guests, files }
    }

    /// Bytes from one hart's supervisor-level page to the next one's.
    #[must_use]
    pub fn supervisor_stride(&self) -> u64 {
        PAGE * u64::from(self.guests + 1).next_power_of_two()
    }

    /// A hart's interrupt file, if there is such a one.
    pub fn file(&mut self, hart: u32, level: Level) -> Option<&mut InterruptFile> {
        let index = match level {
            Level::Machine => 0,
            Level::Supervisor => 1,
            Level::Guest(guest) if (1..=self.guests).contains(&guest) => 1 + guest,
            Level::Guest(_) => return None,
        };
        let first = hart.checked_mul(2 + self.guests)?;
        self.files.get_mut(first.checked_add(index)? as usize)
    }

    /// The file in whose page an access is.
    fn paged(&mut self, access: Access) -> Option<&mut InterruptFile> {
        let page = access.offset / PAGE;
        if access.window == 0 {
            return self.file(u32::try_from(page).ok()?, Level::Machine);
        }
        let pages = self.supervisor_stride() / PAGE;
        let hart = u32::try_from(page / pages).ok()?;
        match u32::try_from(page % pages).ok()? {
            0 => self.file(hart, Level::Supervisor),
            guest => self.file(hart, Level::Guest(guest)),
        }
    }
}

fn check(access: Access) -> Result<(), Refusal> {
    match access.width {
        Width::B4 if access.offset.is_multiple_of(4) => Ok(()),
        Width::B4 => Err(Refusal::NoRegister),
        _ => Err(Refusal::Width),
    }
}

impl Device for Imsic {
    fn name(&self) -> &'static str {
        "riscv,imsics"
    }

    fn windows(&self) -> Vec<u64> {
        vec![PAGE * u64::from(self.harts), self.supervisor_stride() * u64::from(self.harts)]
    }

    fn read(&mut self, access: Access, _: &World<'_>) -> Result<u64, Refusal> {
        check(access).map(|()| 0)
    }

    fn write(&mut self, access: Access, value: u64, _: &World<'_>) -> Result<Effect, Refusal> {
        check(access)?;
        let value = value as u32;
        if let Some(file) = self.paged(access) {
            match access.offset % PAGE {
                reg::SETEIPNUM_LE => file.set_pending(value, true),
                reg::SETEIPNUM_BE => file.set_pending(value.swap_bytes(), true),
                _ => {}
            }
        }
        Ok(Effect::None)
    }

    fn reset(&mut self) {
        for file in &mut self.files {
            *file = InterruptFile::new(file.eip.len() as u32);
        }
    }

    fn interrupt_controller(&mut self) -> Option<&mut dyn InterruptController> {
        Some(self)
    }
}

impl InterruptController for Imsic {
    /// It has no inputs.
    fn set_input(&mut self, _input: u32, _asserted: bool) {}

    fn output(&self, output: u32) -> bool {
        self.files.get(output as usize).is_some_and(InterruptFile::delivers)
    }

    fn outputs(&self) -> u32 {
        self.files.len() as u32
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::devices::bench::{Bench, any_access};

    fn imsic() -> Bench<Imsic> {
        Bench::new(Imsic::new(2, 2, 255))
    }

    /// Delivery on, and these identities below 64 enabled.
    fn enable(imsic: &mut Bench<Imsic>, hart: u32, level: Level, bits: u64) {
        let file = imsic.device.file(hart, level).unwrap();
        file.write(select::EIDELIVERY, 1).unwrap();
        file.write(select::EIE, bits).unwrap();
    }

    fn send(imsic: &mut Bench<Imsic>, window: u32, offset: u64, value: u32) {
        imsic.try_write(Access { window, offset, width: Width::B4 }, value.into()).unwrap();
    }

    #[test]
    fn a_message_is_pending_until_it_is_claimed() {
        let mut imsic = imsic();
        enable(&mut imsic, 1, Level::Supervisor, !0);
        send(&mut imsic, 1, 0x4000, 9);
        send(&mut imsic, 1, 0x4000, 5);
        assert_eq!(imsic.outputs(), [5]);
        let file = imsic.device.file(1, Level::Supervisor).unwrap();
        assert_eq!((file.topei(), file.read(select::EIP)), (0x5_0005, Ok(1 << 9 | 1 << 5)));
        assert_eq!([file.claim(), file.claim(), file.claim()], [0x5_0005, 0x9_0009, 0]);
        assert!(imsic.outputs().is_empty());
    }

    #[test]
    fn every_file_has_its_page_and_its_output() {
        let mut imsic = imsic();
        assert_eq!(imsic.device.windows(), [0x2000, 0x8000]);
        let files = [
            (0, Level::Machine, 0, 0),
            (0, Level::Supervisor, 1, 0),
            (0, Level::Guest(1), 1, 0x1000),
            (0, Level::Guest(2), 1, 0x2000),
            (1, Level::Machine, 0, 0x1000),
            (1, Level::Supervisor, 1, 0x4000),
            (1, Level::Guest(1), 1, 0x5000),
            (1, Level::Guest(2), 1, 0x6000),
        ];
        for (output, (hart, level, window, offset)) in (0..).zip(files) {
            enable(&mut imsic, hart, level, 0b10);
            send(&mut imsic, window, offset, 1);
            assert_eq!(imsic.outputs(), [output]);
            imsic.device.file(hart, level).unwrap().claim();
        }
        // The pages that fill up the stride, and files that do not exist.
        send(&mut imsic, 1, 0x3000, 1);
        assert!(imsic.outputs().is_empty());
        assert!(imsic.device.file(2, Level::Machine).is_none());
        assert!(imsic.device.file(0, Level::Guest(0)).is_none());
        assert!(imsic.device.file(0, Level::Guest(3)).is_none());
        assert!(imsic.device.file(u32::MAX, Level::Machine).is_none());
    }

    #[test]
    fn thresholds_and_delivery_hold_interrupts_back() {
        let mut imsic = imsic();
        enable(&mut imsic, 0, Level::Machine, !0);
        send(&mut imsic, 0, 0, 7);
        for (register, value, outputs, topei) in [
            (select::EITHRESHOLD, 7, vec![], 0),
            (select::EITHRESHOLD, 8, vec![0], 0x7_0007),
            (select::EITHRESHOLD, 0, vec![0], 0x7_0007),
            (select::EIDELIVERY, 0, vec![], 0x7_0007),
            (select::EIDELIVERY, 0x4000_0000, vec![], 0x7_0007),
            (select::EIDELIVERY, 1, vec![0], 0x7_0007),
        ] {
            let file = imsic.device.file(0, Level::Machine).unwrap();
            file.write(register, value).unwrap();
            assert_eq!(file.topei(), topei);
            assert_eq!(imsic.outputs(), outputs, "{register:#x} {value:#x}");
        }
    }

    #[test]
    fn registers_are_as_wide_as_the_file() {
        let mut imsic = imsic();
        let file = imsic.device.file(0, Level::Machine).unwrap();
        for register in [select::EIP, select::EIE] {
            for word in 0..32 {
                file.write(register + 2 * word, !0).unwrap();
                let expected = if word == 0 {
                    !1
                } else if word < 4 {
                    !0
                } else {
                    0
                };
                assert_eq!(file.read(register + 2 * word), Ok(expected));
            }
        }
        file.write(select::EITHRESHOLD, 0x1ff).unwrap();
        assert_eq!(file.read(select::EITHRESHOLD), Ok(0xff));
        assert_eq!((file.read(0x71), file.read(0x7f)), (Ok(0), Ok(0)));
        for register in [0, 0x6f, 0x81, 0xff, 0x100] {
            assert_eq!(file.read(register), Err(NoRegister(register)));
            assert_eq!(file.write(register, 1), Err(NoRegister(register)));
        }
    }

    #[test]
    fn identities_that_do_not_exist_are_ignored() {
        let mut imsic = imsic();
        for identity in [0, 256, u32::MAX] {
            send(&mut imsic, 0, 0, identity);
        }
        send(&mut imsic, 0, 4, 3_u32.swap_bytes());
        send(&mut imsic, 0, 8, 4);
        let file = imsic.device.file(0, Level::Machine).unwrap();
        assert_eq!((0..4).map(|word| file.read(0x80 + 2 * word).unwrap()).sum::<u64>(), 1 << 3);
        let narrow = Access { window: 0, offset: 0, width: Width::B2 };
        assert_eq!(imsic.try_write(narrow, 1), Err(Refusal::Width));
    }

    proptest! {
        #[test]
        fn claims_come_in_order_of_identity(sent in prop::collection::vec(0_u32..300, 0..50), threshold in 0_u64..256) {
            let mut imsic = imsic();
            sent.iter().for_each(|&identity| send(&mut imsic, 0, 0, identity));
            let file = imsic.device.file(0, Level::Machine).unwrap();
            (0..4).for_each(|word| file.write(select::EIE + 2 * word, !0).unwrap());
            file.write(select::EITHRESHOLD, threshold).unwrap();
            let below = |identity: &u64| threshold == 0 || *identity < threshold;
            let exists = |identity: &u64| (1..256).contains(identity);
            let mut expected: Vec<u64> = sent.into_iter().map(u64::from).filter(exists).filter(below).collect();
            expected.sort_unstable();
            expected.dedup();
            let claimed = std::iter::from_fn(|| Some(file.claim()).filter(|&claimed| claimed != 0));
            prop_assert_eq!(claimed.map(|claimed| claimed >> 16).collect::<Vec<_>>(), expected);
        }

        #[test]
        fn no_access_panics(accesses in prop::collection::vec((any_access(1, 0x8000), 0_u64..0x110, any::<u64>()), 0..50)) {
            let mut imsic = imsic();
            for (access, register, value) in accesses {
                let _ = imsic.try_write(access, value % 512);
                let _ = imsic.try_read(access);
                let file = imsic.device.file(value as u32 % 2, Level::Supervisor).unwrap();
                let _ = file.write(register, value);
                let _ = file.read(register);
                let _ = imsic.outputs();
            }
        }
    }
}
