//! Instructions of the host that Cranelift does not know.
//!
//! To Cranelift each is a call of a function that it finds nearby, takes vectors in registers, and changes none but
//! that of its result; so it costs what moving operands to these registers does. When the region is
//! compiled, the instruction takes the call's place, or a jump to it does if it is longer than a call.

use std::arch::is_x86_feature_detected;

use base::{GuestVirt, Packed};
use cranelift_codegen::ir::{AbiParam, Signature, types};
use cranelift_codegen::isa::CallConv;

use crate::compiler::CompileError;
use crate::packed;

/// The namespace of their names in Cranelift's IR; the index is the instruction's number.
pub(crate) const NAMESPACE: u32 = 1;

/// A `call` with a displacement of 32 bits.
const CALL: u8 = 0xe8;
const CALL_LENGTH: usize = 5;
/// A `jmp` of the same length.
const JUMP: u8 = 0xe9;

/// An instruction on vectors in xmm0, xmm1 and xmm2.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum HostInsn {
    /// AESENC xmm0, xmm1
    Aesenc,
    /// AESENCLAST xmm0, xmm1
    Aesenclast,
    /// AESDEC xmm0, xmm1
    Aesdec,
    /// AESDECLAST xmm0, xmm1
    Aesdeclast,
    /// AESIMC xmm0, xmm0
    Aesimc,
    /// PCLMULQDQ xmm0, xmm1, 0x00
    PclmulqdqLow,
    /// PCLMULQDQ xmm0, xmm1, 0x11
    PclmulqdqHigh,
    /// SHA256RNDS2 xmm1, xmm2, xmm0
    Sha256rnds2,
    /// SHA256MSG1 xmm0, xmm1
    Sha256msg1,
    /// SHA256MSG2 xmm0, xmm1
    Sha256msg2,
    /// SHA1RNDS4 xmm0, xmm1, 0: the function Ch
    Sha1rnds4Choose,
    /// SHA1RNDS4 xmm0, xmm1, 1: the function Parity
    Sha1rnds4Parity,
    /// SHA1RNDS4 xmm0, xmm1, 2: the function Maj
    Sha1rnds4Majority,
    /// On xmm0 and xmm1.
    Packed(Packed),
}

impl HostInsn {
    /// All but those of [`HostInsn::Packed`].
    const OWN: [Self; 13] = [
        Self::Aesenc,
        Self::Aesenclast,
        Self::Aesdec,
        Self::Aesdeclast,
        Self::Aesimc,
        Self::PclmulqdqLow,
        Self::PclmulqdqHigh,
        Self::Sha256rnds2,
        Self::Sha256msg1,
        Self::Sha256msg2,
        Self::Sha1rnds4Choose,
        Self::Sha1rnds4Parity,
        Self::Sha1rnds4Majority,
    ];

    /// How it is encoded (Intel SDM, volume 2).
    fn code(self) -> &'static [u8] {
        match self {
            Self::Aesenc => &[0x66, 0x0f, 0x38, 0xdc, 0xc1],
            Self::Aesenclast => &[0x66, 0x0f, 0x38, 0xdd, 0xc1],
            Self::Aesdec => &[0x66, 0x0f, 0x38, 0xde, 0xc1],
            Self::Aesdeclast => &[0x66, 0x0f, 0x38, 0xdf, 0xc1],
            Self::Aesimc => &[0x66, 0x0f, 0x38, 0xdb, 0xc0],
            Self::PclmulqdqLow => &[0x66, 0x0f, 0x3a, 0x44, 0xc1, 0x00],
            Self::PclmulqdqHigh => &[0x66, 0x0f, 0x3a, 0x44, 0xc1, 0x11],
            Self::Sha256rnds2 => &[0x0f, 0x38, 0xcb, 0xca],
            Self::Sha256msg1 => &[0x0f, 0x38, 0xcc, 0xc1],
            Self::Sha256msg2 => &[0x0f, 0x38, 0xcd, 0xc1],
            Self::Sha1rnds4Choose => &[0x0f, 0x3a, 0xcc, 0xc1, 0x00],
            Self::Sha1rnds4Parity => &[0x0f, 0x3a, 0xcc, 0xc1, 0x01],
            Self::Sha1rnds4Majority => &[0x0f, 0x3a, 0xcc, 0xc1, 0x02],
            Self::Packed(op) => packed::code(op),
        }
    }

    /// Whether this host has it.
    pub(crate) fn is_available(self) -> bool {
        match self {
            Self::Aesenc | Self::Aesenclast | Self::Aesdec | Self::Aesdeclast | Self::Aesimc => {
                is_x86_feature_detected!("aes")
            }
            Self::PclmulqdqLow | Self::PclmulqdqHigh => is_x86_feature_detected!("pclmulqdq"),
            Self::Packed(op) => packed::is_available(op),
            _ => is_x86_feature_detected!("sha"),
        }
    }

    /// Its number, as an index in [`NAMESPACE`].
    pub(crate) fn number(self) -> u32 {
        match self {
            Self::Packed(op) => Self::OWN.len() as u32 + op as u32,
            own => Self::OWN.iter().position(|&other| other == own).unwrap_or_default() as u32,
        }
    }

    pub(crate) fn by_number(number: u32) -> Option<Self> {
        let number = number as usize;
        let packed = || Packed::ALL.get(number.checked_sub(Self::OWN.len())?).copied();
        Self::OWN.get(number).copied().or_else(|| packed().map(Self::Packed))
    }

    /// How many vectors it reads, from xmm0 on.
    fn operands(self) -> usize {
        match self {
            Self::Aesimc => 1,
            Self::Sha256rnds2 => 3,
            _ => 2,
        }
    }

    /// Which of the call's results is the instruction's.
    pub(crate) fn result(self) -> usize {
        usize::from(self == Self::Sha256rnds2)
    }

    /// As a function. Cranelift's convention that changes no register has results in xmm0 and xmm1 all the same, and takes
    /// their registers for changed.
    pub(crate) fn signature(self) -> Signature {
        let mut sig = Signature::new(CallConv::PreserveAll);
        sig.params.extend(vec![AbiParam::new(types::I64X2); self.operands()]);
        sig.returns.extend(vec![AbiParam::new(types::I64X2); self.result() + 1]);
        sig
    }

    /// Puts it in place of the call whose displacement is at `offset` of `code`.
    ///
    /// # Errors
    /// There is no such call.
    pub(crate) fn replace_call(
        self,
        code: &mut Vec<u8>,
        offset: u32,
        pc: GuestVirt,
    ) -> Result<(), CompileError> {
        let end = code.len();
        let call = (offset as usize).checked_sub(1).map(|start| start..start + CALL_LENGTH);
        let place = call.clone().and_then(|call| code.get_mut(call));
        let (Some(call), Some(place)) = (call, place.filter(|bytes| bytes[0] == CALL)) else {
            return Err(CompileError::HostInsn { pc, offset });
        };
        if let Some(rest) = CALL_LENGTH.checked_sub(self.code().len()) {
            place.copy_from_slice(&[self.code(), NOPS[rest]].concat());
        } else {
            place.copy_from_slice(&jump(call.end, end));
            code.extend(self.code());
            code.extend(jump(code.len() + CALL_LENGTH, call.end));
        }
        Ok(())
    }
}

/// Instructions of so many bytes that do nothing.
const NOPS: [&[u8]; 2] = [&[], &[0x90]];

/// A `jmp` to `target` whose own end is `end`.
fn jump(end: usize, target: usize) -> [u8; CALL_LENGTH] {
    let distance = (target as i64 - end as i64) as i32;
    let [a, b, c, d] = distance.to_le_bytes();
    [JUMP, a, b, c, d]
}

#[cfg(test)]
mod tests {
    use super::*;

    const PC: GuestVirt = GuestVirt(0x1000);

    #[test]
    fn numbers_name_instructions() {
        let packed = Packed::ALL.into_iter().map(HostInsn::Packed);
        for (number, insn) in (0..).zip(HostInsn::OWN.into_iter().chain(packed)) {
            assert_eq!((insn.number(), HostInsn::by_number(number)), (number, Some(insn)));
            assert!(insn.code().len() + 1 >= CALL_LENGTH, "{insn:?}: there are nops for the rest");
        }
        assert_eq!(HostInsn::by_number(999), None);
    }

    #[test]
    fn short_instructions_take_the_call_s_place() {
        let mut code = vec![0xcc, CALL, 1, 2, 3, 4, 0xcc];
        HostInsn::Sha256msg1.replace_call(&mut code, 2, PC).unwrap();
        assert_eq!(code, [0xcc, 0x0f, 0x38, 0xcc, 0xc1, 0x90, 0xcc]);
    }

    #[test]
    fn long_instructions_stand_behind_the_code() {
        let mut code = vec![0xcc, CALL, 1, 2, 3, 4, 0xcc, 0xcc];
        HostInsn::PclmulqdqHigh.replace_call(&mut code, 2, PC).unwrap();
        assert_eq!(code[..8], [0xcc, JUMP, 2, 0, 0, 0, 0xcc, 0xcc]);
        assert_eq!(&code[8..14], HostInsn::PclmulqdqHigh.code());
        assert_eq!(code[14..], [JUMP, 0xf3, 0xff, 0xff, 0xff]);
    }

    #[test]
    fn nothing_but_a_call_is_replaced() {
        for (code, offset) in [(vec![0; 8], 2), (vec![CALL, 0, 0], 1), (vec![CALL; 8], 0)] {
            let replaced = HostInsn::Aesenc.replace_call(&mut code.clone(), offset, PC);
            assert!(matches!(replaced, Err(CompileError::HostInsn { .. })));
        }
    }
}
