//! The x87 FPU's state (SDM vol. 1, §8.1): as the frame has it, and as FNSAVE and FNSTENV write it.

mod arithmetic;
mod host;
mod integers;
mod moves;
mod ops;
mod quick;
mod whole;

use base::CpuFrame;

use super::slot;
use crate::frame::Registers;

pub use ops::Op;
pub(crate) use ops::execute;

/// In the status word: the exceptions IE, DE, ZE, OE, UE and PE.
pub const EXCEPTIONS: u16 = 0x3f;
/// In the status word: an invalid operation was that of the stack.
pub const SF: u16 = 1 << 6;
/// In the status word: there is an exception that is not masked.
pub const ES: u16 = 1 << 7;
/// In the status word: a condition code.
pub const C0: u16 = 1 << 8;
/// In the status word: a condition code.
pub const C1: u16 = 1 << 9;
/// In the status word: a condition code.
pub const C2: u16 = 1 << 10;
/// Where TOP stands in the status word.
pub const TOP_SHIFT: u32 = 11;
/// In the status word: a condition code.
pub const C3: u16 = 1 << 14;
/// In the status word: the same as [`ES`].
pub const BUSY: u16 = 1 << 15;

/// A number of 80 bits.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[repr(C, align(16))]
pub struct F80 {
    /// The significand, with its integer bit.
    pub significand: u64,
    /// The sign in bit 15, and the exponent.
    pub sign_exponent: u16,
}

impl F80 {
    /// As the frame has it.
    #[must_use]
    pub const fn from_bits(bits: u128) -> Self {
        Self { significand: bits as u64, sign_exponent: (bits >> 64) as u16 }
    }

    /// As the frame has it.
    #[must_use]
    pub const fn bits(self) -> u128 {
        (self.sign_exponent as u128) << 64 | self.significand as u128
    }

    /// As memory has it.
    #[must_use]
    pub fn to_bytes(self) -> [u8; 10] {
        let mut bytes = [0; 10];
        bytes.copy_from_slice(&self.bits().to_le_bytes()[..10]);
        bytes
    }

    /// As memory has it; what is missing is zero.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Self {
        let mut whole = [0; 16];
        whole.iter_mut().zip(bytes.iter().take(10)).for_each(|(to, from)| *to = *from);
        Self::from_bits(u128::from_le_bytes(whole))
    }

    /// Its tag (SDM vol. 1, §8.1.7): 0 valid, 1 zero, 2 special.
    const fn tag(self) -> u16 {
        match (self.sign_exponent & 0x7fff, self.significand) {
            (0, 0) => 1,
            (0 | 0x7fff, _) => 2,
            (_, significand) if significand >> 63 == 0 => 2,
            _ => 0,
        }
    }
}

/// All of the FPU's registers.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct State {
    /// Control word.
    pub control: u16,
    /// Status word.
    pub status: u16,
    /// A bit for each physical register that is not empty.
    pub valid: u8,
    /// Opcode of the last instruction that had an exception which was not masked.
    pub opcode: u16,
    /// Address of the last instruction that is none of control.
    pub instruction: u64,
    /// Address of the operand of the last instruction that had an exception which was not masked.
    pub operand: u64,
    /// Physical registers.
    pub registers: [F80; 8],
}

/// The shape in which FNSTENV and FNSAVE write.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Format {
    /// With an operand size of 16 bits.
    Bits16,
    /// With any other.
    Bits32,
}

impl Format {
    /// Bytes of the environment.
    #[must_use]
    pub const fn environment_bytes(self) -> usize {
        match self {
            Self::Bits16 => 14,
            Self::Bits32 => 28,
        }
    }

    /// Bytes of the environment and the registers.
    #[must_use]
    pub const fn state_bytes(self) -> usize {
        self.environment_bytes() + 80
    }

    /// Bytes of a field.
    const fn field(self) -> usize {
        self.environment_bytes() / 7
    }
}

impl State {
    /// As FNINIT leaves it, with registers of zeros.
    #[must_use]
    pub fn initial() -> Self {
        Self { control: slot::FCW_INIT as u16, ..Self::default() }
    }

    /// A CPU's.
    #[must_use]
    pub fn of(frame: &CpuFrame) -> Self {
        Self::read(frame)
    }

    /// Writes it to a CPU.
    pub fn store(&self, frame: &mut CpuFrame) {
        self.write(frame);
    }

    /// [`State::of`], also while the CPU runs.
    pub(crate) fn read(from: &impl Registers) -> Self {
        Self {
            control: from.slot(slot::FCW) as u16,
            status: from.slot(slot::FSW) as u16,
            valid: from.slot(slot::FTW) as u8,
            opcode: from.slot(slot::FOP) as u16,
            instruction: from.slot(slot::FIP),
            operand: from.slot(slot::FDP),
            registers: std::array::from_fn(|n| F80::from_bits(from.wide(slot::fpr(n as u8)))),
        }
    }

    /// [`State::store`], also while the CPU runs.
    pub(crate) fn write(&self, to: &mut impl Registers) {
        to.set_slot(slot::FCW, self.control.into());
        to.set_slot(slot::FSW, self.status.into());
        to.set_slot(slot::FTW, self.valid.into());
        to.set_slot(slot::FOP, self.opcode.into());
        to.set_slot(slot::FIP, self.instruction);
        to.set_slot(slot::FDP, self.operand);
        for (n, register) in self.registers.iter().enumerate() {
            to.set_wide_slot(slot::fpr(n as u8), register.bits());
        }
    }

    /// The physical register that is the stack's top.
    #[must_use]
    pub const fn top(&self) -> u8 {
        (self.status >> TOP_SHIFT & 7) as u8
    }

    /// The physical register that is ST(i).
    #[must_use]
    pub const fn physical(&self, i: u8) -> usize {
        (self.top() as usize + i as usize) % 8
    }

    /// ST(i), whether or not it is empty.
    #[must_use]
    pub const fn st(&self, i: u8) -> F80 {
        self.registers[self.physical(i)]
    }

    /// The tag word in full: two bits for each physical register.
    #[must_use]
    pub fn tags(&self) -> u16 {
        const EMPTY: u16 = 3;
        let tag = |n: usize| match self.valid >> n & 1 {
            0 => EMPTY,
            _ => self.registers[n].tag(),
        };
        (0..8).map(|n| tag(n) << (2 * n)).sum()
    }

    /// Takes which registers are empty from a tag word.
    pub fn set_tags(&mut self, tags: u16) {
        self.valid = (0..8).filter(|n| tags >> (2 * n) & 3 != 3).map(|n| 1 << n).sum();
    }

    /// The status with whether there is an exception that is not masked.
    pub fn summarise(&mut self) {
        let pending = self.status & !self.control & EXCEPTIONS != 0;
        self.status &= !(ES | BUSY);
        if pending {
            self.status |= ES | BUSY;
        }
    }

    /// The environment as FNSTENV writes it. Reserved bits are ones; the selectors are zero.
    #[must_use]
    pub fn environment(&self, format: Format) -> Vec<u8> {
        let (control, status, tags) =
            (u32::from(self.control), u32::from(self.status), u32::from(self.tags()));
        let (instruction, operand) = (self.instruction as u32, self.operand as u32);
        const RESERVED: u32 = 0xffff << 16;
        match format {
            Format::Bits16 => {
                let words = [control, status, tags, instruction, 0, operand, 0];
                words.iter().flat_map(|word| (*word as u16).to_le_bytes()).collect()
            }
            Format::Bits32 => {
                let opcode = u32::from(self.opcode) << 16;
                let words = [
                    RESERVED | control,
                    RESERVED | status,
                    RESERVED | tags,
                    instruction,
                    opcode,
                    operand,
                    RESERVED,
                ];
                words.iter().flat_map(|word| word.to_le_bytes()).collect()
            }
        }
    }

    /// The environment and the registers as FNSAVE writes them.
    #[must_use]
    pub fn image(&self, format: Format) -> Vec<u8> {
        let mut bytes = self.environment(format);
        (0..8).for_each(|i| bytes.extend(self.st(i).to_bytes()));
        bytes
    }

    /// Takes the environment from as many bytes as it has in that format; those that are missing count as zero.
    pub fn set_environment(&mut self, format: Format, bytes: &[u8]) {
        let field = |n: usize| {
            let mut word = [0; 4];
            let field = bytes.iter().skip(n * format.field()).take(format.field());
            word.iter_mut().zip(field).for_each(|(to, from)| *to = *from);
            u32::from_le_bytes(word)
        };
        self.control = field(0) as u16 & CONTROL | CONTROL_FIXED;
        self.status = field(1) as u16;
        self.set_tags(field(2) as u16);
        self.instruction = field(3).into();
        self.opcode = match format {
            Format::Bits16 => 0,
            Format::Bits32 => (field(4) >> 16) as u16 & OPCODE,
        };
        self.operand = field(5).into();
        self.summarise();
    }

    /// Takes environment and registers from as many bytes as FNSAVE writes.
    pub fn set_image(&mut self, format: Format, bytes: &[u8]) {
        self.set_environment(format, bytes);
        let registers = bytes.get(format.environment_bytes()..).unwrap_or_default();
        for (i, bytes) in (0..8).zip(registers.chunks(10)) {
            self.registers[self.physical(i)] = F80::from_bytes(bytes);
        }
    }
}

/// The bits of the control word that can be written.
pub const CONTROL: u16 = 0x1f3f;
/// The bit of it that is always set.
pub const CONTROL_FIXED: u16 = 0x40;
/// The bits of an opcode.
pub const OPCODE: u16 = 0x7ff;
