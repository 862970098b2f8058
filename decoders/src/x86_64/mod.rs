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
        DecoderError::None if is_exchange(&instruction, code) => {
            decode(pc, code, Options(options | DecoderOptions::NO_PAUSE))
        }
        DecoderError::None => Decoded::Instruction(instruction),
        DecoderError::NoMoreBytes if code.len() == MAX_BYTES => Decoded::TooLong,
        DecoderError::NoMoreBytes => match undefined_by_itself(code) {
            Some(bytes) => Decoded::Undefined(bytes),
            None => Decoded::Incomplete,
        },
        // As it tells of what goes on after so many bytes, too.
        _ if decoder.position() == MAX_BYTES => Decoded::TooLong,
        _ => Decoded::Undefined(decoder.position().max(1)),
    }
}

/// Whether what was decoded as PAUSE exchanges R8 and RAX: REX.B comes right before the opcode (SDM vol. 2, XCHG).
fn is_exchange(instruction: &Instruction, code: &[u8]) -> bool {
    let rex = || code[..instruction.len() - 1].last();
    instruction.code() == Code::Pause && rex().is_some_and(|rex| rex & 0xf1 == 0x41)
}

/// The length of code that ends with an opcode which is undefined whatever comes after it, where the decoder would look at that:
/// opcodes that 64-bit mode does not have, those of the second map that nothing has been made of, and those of VEX and EVEX that have no ModR/M elsewhere.
fn undefined_by_itself(code: &[u8]) -> Option<usize> {
    const LEGACY: &[u8] = &[0x66, 0x67, 0xf0, 0xf2, 0xf3, 0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65];
    let is_prefix = |byte: &&u8| LEGACY.contains(byte) || **byte & 0xf0 == 0x40;
    let prefixes = code.iter().take_while(is_prefix).count();
    let undefined = match code[prefixes..] {
        [opcode] => is_undefined_in_first_map(opcode),
        [0x0f, opcode] => is_undefined_in_second_map(opcode),
        [0xc5, _, opcode] => is_undefined_by_vex(opcode),
        [0xc4, map, _, opcode] => map & 0x1f == 1 && is_undefined_by_vex(opcode),
        [0x62, map, _, _, opcode] => map & 7 == 1 && is_undefined_by_vex(opcode),
        _ => false,
    };
    undefined.then_some(code.len())
}

fn is_undefined_in_first_map(opcode: u8) -> bool {
    matches!(opcode, 0x06 | 0x07 | 0x0e | 0x16 | 0x17 | 0x1e | 0x1f | 0x27 | 0x2f | 0x37 | 0x3f)
        || matches!(opcode, 0x60 | 0x61 | 0xce | 0xd6)
}

fn is_undefined_in_second_map(opcode: u8) -> bool {
    matches!(opcode, 0x04 | 0x0a | 0x0c | 0x0e | 0x0f | 0x24..=0x27 | 0x36 | 0x37)
}

fn is_undefined_by_vex(opcode: u8) -> bool {
    matches!(opcode, 0x04..=0x0c | 0x0e | 0x0f | 0x24..=0x27 | 0x30..=0x3f)
        || matches!(opcode, 0xa0..=0xa2 | 0xa8..=0xaa | 0xc8..=0xcf)
}

/// The alignment that an instruction demands of its memory operand, in bytes, where another one is a general-protection fault
/// (SDM vol. 1, 4.1.1 and 14.9; vol. 2, FXSAVE, XSAVE); 1 of most.
#[must_use]
pub fn alignment(instruction: &Instruction) -> u64 {
    use Mnemonic as M;
    let size = instruction.memory_size().size() as u64;
    let is_free = matches!(
        instruction.mnemonic(),
        M::Movups
            | M::Movupd
            | M::Movdqu
            | M::Lddqu
            | M::Pcmpestri
            | M::Pcmpestrm
            | M::Pcmpistri
            | M::Pcmpistrm
            | M::Pcmpestri64
            | M::Pcmpestrm64
    );
    match instruction.mnemonic() {
        M::Fxsave | M::Fxsave64 | M::Fxrstor | M::Fxrstor64 => 16,
        M::Xsave | M::Xsave64 | M::Xsaveopt | M::Xsaveopt64 | M::Xsavec | M::Xsavec64 => 64,
        M::Xrstor | M::Xrstor64 => 64,
        M::Vmovaps | M::Vmovapd | M::Vmovdqa | M::Vmovntps | M::Vmovntpd | M::Vmovntdq => size,
        M::Vmovntdqa => size,
        _ if instruction.code().encoding() == EncodingKind::Legacy && size == 16 && !is_free => 16,
        _ => 1,
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

    /// What the processor says of code at the end of the last page that can be fetched: these opcodes are undefined
    /// whatever comes after them.
    #[test]
    fn pausing_is_of_no_extended_register() {
        let none = Options::default();
        assert_eq!(mnemonic(&[0xf3, 0x90], none), Mnemonic::Pause);
        // REX without REX.B, or with a prefix behind it, which makes it nothing.
        assert_eq!(mnemonic(&[0xf3, 0x4e, 0x90], none), Mnemonic::Pause);
        assert_eq!(mnemonic(&[0x49, 0xf3, 0x90], none), Mnemonic::Pause);
        for code in [&[0xf3, 0x41, 0x90][..], &[0xf3, 0x49, 0x90], &[0x66, 0xf3, 0x41, 0x90]] {
            assert_eq!(mnemonic(code, none), Mnemonic::Xchg, "{code:x?}");
        }
    }

    #[test]
    fn some_opcodes_are_undefined_by_themselves() {
        const PREFIXES: [&[u8]; 5] = [&[], &[0x66], &[0xf3], &[0xf2], &[0x48]];
        const ONE_BYTE: [u8; 15] = [
            0x06, 0x07, 0x0e, 0x16, 0x17, 0x1e, 0x1f, 0x27, 0x2f, 0x37, 0x3f, 0x60, 0x61, 0xce,
            0xd6,
        ];
        const TWO_BYTES: [u8; 9] = [0x04, 0x0a, 0x0c, 0x0f, 0x24, 0x25, 0x26, 0x27, 0x36];
        let is = |code: &[&[u8]]| matches!(decoded(&code.concat()), Decoded::Undefined(_));
        for prefix in PREFIXES {
            for opcode in 0..=u8::MAX {
                assert_eq!(is(&[prefix, &[opcode]]), ONE_BYTE.contains(&opcode), "{opcode:#x}");
                // GETSEC and EMMS know no prefixes.
                let undefined = TWO_BYTES.contains(&opcode)
                    || (matches!(opcode, 0x37 | 0x77) && matches!(prefix, [0x66 | 0xf2 | 0xf3]));
                assert_eq!(is(&[prefix, &[0x0f, opcode]]), undefined, "0f {opcode:#x}");
            }
        }
    }

    /// So are they behind a prefix of VEX or EVEX, where there are fewer that have no ModR/M.
    #[test]
    fn some_opcodes_are_undefined_with_vex() {
        const NONE: &[&[u8]] = &[&[0xc4, 0xe2, 0x79], &[0xc4, 0xe3, 0x79], &[0xc5], &[0xc4, 0xe1]];
        const SOME: &[&[u8]] =
            &[&[0xc5, 0xf8], &[0xc5, 0xf9], &[0xc4, 0xe1, 0x7a], &[0x62, 0xf1, 0x7c, 0x48]];
        let is = |code: &[&[u8]]| matches!(decoded(&code.concat()), Decoded::Undefined(_));
        for opcode in 0..=u8::MAX {
            for prefix in NONE {
                assert!(!is(&[prefix, &[opcode]]), "{prefix:x?} {opcode:#x}");
            }
            for prefix in SOME.iter().filter(|_| opcode != 0x77) {
                let undefined = is_undefined_by_vex(opcode);
                assert_eq!(is(&[prefix, &[opcode]]), undefined, "{prefix:x?} {opcode:#x}");
            }
        }
        assert!(is(&[&[0xc5, 0xf9, 0x77]]) && !is(&[&[0xc5, 0xf8, 0x77]]));
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
    fn some_operands_must_be_aligned() {
        let alignment_of = |code: &[u8]| match decoded(code) {
            Decoded::Instruction(instruction) => alignment(&instruction),
            other => panic!("{other:?}"),
        };
        // addps, movups, vaddps, vmovaps ymm, xsave, fld m80, mov
        assert_eq!(alignment_of(&[0x0f, 0x58, 0x03]), 16);
        assert_eq!(alignment_of(&[0x0f, 0x10, 0x03]), 1);
        assert_eq!(alignment_of(&[0xc5, 0xf0, 0x58, 0x03]), 1);
        assert_eq!(alignment_of(&[0xc5, 0xfc, 0x28, 0x03]), 32);
        assert_eq!(alignment_of(&[0x0f, 0xae, 0x23]), 64);
        assert_eq!(alignment_of(&[0xdb, 0x2b]), 1);
        assert_eq!(alignment_of(&[0x8b, 0x03]), 1);
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
