//! x86-64 in 64-bit mode, by `iced-x86`: its [`Instruction`] is the decoded form, its [`Code`] names an encoding, its
//! [`CpuidFeature`] what a CPU must have for it. What is ours is telling apart why bytes are no instruction.

pub use iced_x86::{
    Code, CodeSize, ConditionCode, CpuidFeature, EncodingKind, FlowControl, Instruction,
    MemorySize, Mnemonic, OpAccess, OpKind, Register, RflagsBits,
};

use base::GuestVirt;
use iced_x86::{Decoder, DecoderError, DecoderOptions, Formatter as _, IntelFormatter};

/// The longest instruction, in bytes (SDM vol. 2, 2.3.11).
pub const MAX_BYTES: usize = 15;

/// What bytes are.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Decoded {
    /// This instruction; the CPU may not have it.
    Instruction(Instruction),
    /// No instruction: #UD. Its length in bytes as far as it was looked at, at least 1.
    Undefined(usize),
    /// One longer than [`MAX_BYTES`], by redundant prefixes: #GP.
    TooLong,
    /// The beginning of an instruction.
    Incomplete,
}

/// Encodings that mean something else on CPUs without a feature.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Options(u32);

impl Options {
    /// For a CPU that has the features which the function says it has.
    #[must_use]
    pub fn for_cpu(has: impl Fn(CpuidFeature) -> bool) -> Self {
        let without = [
            // TZCNT and LZCNT are BSF and BSR with a prefix that is ignored.
            (CpuidFeature::BMI1, DecoderOptions::NO_MPFX_0FBC),
            (CpuidFeature::LZCNT, DecoderOptions::NO_MPFX_0FBD),
        ];
        let lacking = without.into_iter().filter(|(feature, _)| !has(*feature));
        Self(lacking.map(|(_, option)| option).sum())
    }
}

/// The instruction that `code` begins with, which lies at `pc`.
#[must_use]
pub fn decode(pc: GuestVirt, code: &[u8], Options(options): Options) -> Decoded {
    let code = &code[..code.len().min(MAX_BYTES)];
    let mut decoder = Decoder::with_ip(64, code, pc.0, options);
    let instruction = decoder.decode();
    match decoder.last_error() {
        DecoderError::None => Decoded::Instruction(instruction),
        DecoderError::NoMoreBytes if code.len() == MAX_BYTES => Decoded::TooLong,
        DecoderError::NoMoreBytes => Decoded::Incomplete,
        // As it tells of what goes on after so many bytes, too.
        _ if decoder.position() == MAX_BYTES => Decoded::TooLong,
        _ => Decoded::Undefined(decoder.position().max(1)),
    }
}

/// An instruction in Intel's syntax.
#[must_use]
pub fn text(instruction: &Instruction) -> String {
    let mut formatter = IntelFormatter::new();
    let options = formatter.options_mut();
    options.set_uppercase_hex(false);
    options.set_hex_prefix("0x");
    options.set_hex_suffix("");
    options.set_space_after_operand_separator(false);
    options.set_branch_leading_zeros(false);
    options.set_small_hex_numbers_in_decimal(true);
    let mut text = String::new();
    formatter.format(instruction, &mut text);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const PC: GuestVirt = GuestVirt(0x40_1000);

    fn decoded(code: &[u8]) -> Decoded {
        decode(PC, code, Options::default())
    }

    fn mnemonic(code: &[u8], options: Options) -> Mnemonic {
        match decode(PC, code, options) {
            Decoded::Instruction(instruction) => instruction.mnemonic(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn bytes_are_told_apart() {
        assert!(matches!(decoded(&[0x90, 0x90]), Decoded::Instruction(i) if i.len() == 1));
        assert_eq!(decoded(&[]), Decoded::Incomplete);
        assert_eq!(decoded(&[0x48, 0x89]), Decoded::Incomplete);
        assert_eq!(decoded(&[0x66; 20]), Decoded::TooLong);
        assert!(matches!(decoded(&[0x06, 0x90]), Decoded::Undefined(_)));
        // lock mov [rax],eax
        assert!(matches!(decoded(&[0xf0, 0x89, 0x00]), Decoded::Undefined(_)));
    }

    #[test]
    fn counting_bits_is_scanning_without_the_feature() {
        let (tzcnt, lzcnt) = ([0xf3, 0x0f, 0xbc, 0xc1], [0xf3, 0x0f, 0xbd, 0xc1]);
        let (old, new) = (Options::for_cpu(|_| false), Options::for_cpu(|_| true));
        assert_eq!(
            (mnemonic(&tzcnt, new), mnemonic(&lzcnt, new)),
            (Mnemonic::Tzcnt, Mnemonic::Lzcnt)
        );
        assert_eq!((mnemonic(&tzcnt, old), mnemonic(&lzcnt, old)), (Mnemonic::Bsf, Mnemonic::Bsr));
    }

    #[test]
    fn text_is_intel_s() {
        let text_of = |code: &[u8]| match decoded(code) {
            Decoded::Instruction(instruction) => text(&instruction),
            other => panic!("{other:?}"),
        };
        assert_eq!(text_of(&[0x48, 0x89, 0x44, 0x24, 0x10]), "mov [rsp+0x10],rax");
        assert_eq!(text_of(&[0xe8, 0xfb, 0x0f, 0, 0]), "call 0x402000");
    }
}
