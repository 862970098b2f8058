//! Cryptographic instructions (Arm ARM, C4.1.96): each is a helper on whole registers.

use arch::aarch64::helpers::{self, Arg};
use base::HelperId;
use decoders::aarch64::{Crypto, Q2, Q3, Q4, Sm3tt, Xar};
use ir::{Type, Val};

use super::{Flow, Insn};

impl<'b> Insn<'b> {
    /// Vd = helper(operands), with one small number.
    fn cipher<const N: usize>(
        &self,
        rd: u8,
        helper: HelperId,
        number: u8,
        operands: [u8; N],
    ) -> Flow {
        let arg = Arg::lanes(0, 16).with(number);
        self.set_v(rd, self.call_v(helper, arg, &operands.map(|n| self.v(n, Type::WIDE))))
    }

    fn bits3(&self, args: Q4, f: impl FnOnce(Val<'b>, Val<'b>, Val<'b>) -> Val<'b>) -> Flow {
        let Q4 { rd, rn, rm, ra } = args;
        let [n, m, a] = [rn, rm, ra].map(|n| self.v(n, Type::WIDE));
        self.set_v(rd, f(n, m, a))
    }
}

impl Crypto for Insn<'_> {
    /// AESE: a round of encryption, without its MixColumns
    fn aese(&self, Q2 { rd, rn }: Q2) -> Flow {
        self.cipher(rd, helpers::AESE, 0, [rd, rn])
    }

    /// AESD: a round of decryption, without its InvMixColumns
    fn aesd(&self, Q2 { rd, rn }: Q2) -> Flow {
        self.cipher(rd, helpers::AESD, 0, [rd, rn])
    }

    /// AESMC: MixColumns
    fn aesmc(&self, Q2 { rd, rn }: Q2) -> Flow {
        self.cipher(rd, helpers::AESMC, 0, [rn])
    }

    /// AESIMC: InvMixColumns
    fn aesimc(&self, Q2 { rd, rn }: Q2) -> Flow {
        self.cipher(rd, helpers::AESIMC, 0, [rn])
    }

    /// SHA1C: four rounds with "choose"
    fn sha1c(&self, Q3 { rd, rn, rm }: Q3) -> Flow {
        self.cipher(rd, helpers::SHA1C, 0, [rn, rm, rd])
    }

    /// SHA1P: four rounds with "parity"
    fn sha1p(&self, Q3 { rd, rn, rm }: Q3) -> Flow {
        self.cipher(rd, helpers::SHA1P, 0, [rn, rm, rd])
    }

    /// SHA1M: four rounds with "majority"
    fn sha1m(&self, Q3 { rd, rn, rm }: Q3) -> Flow {
        self.cipher(rd, helpers::SHA1M, 0, [rn, rm, rd])
    }

    /// SHA1SU0: schedule update, first part
    fn sha1su0(&self, Q3 { rd, rn, rm }: Q3) -> Flow {
        self.cipher(rd, helpers::SHA1SU0, 0, [rn, rm, rd])
    }

    /// SHA256H: four rounds, first part
    fn sha256h(&self, Q3 { rd, rn, rm }: Q3) -> Flow {
        self.cipher(rd, helpers::SHA256H, 0, [rn, rm, rd])
    }

    /// SHA256H2: four rounds, second part
    fn sha256h2(&self, Q3 { rd, rn, rm }: Q3) -> Flow {
        self.cipher(rd, helpers::SHA256H2, 0, [rn, rm, rd])
    }

    /// SHA256SU1: schedule update, second part
    fn sha256su1(&self, Q3 { rd, rn, rm }: Q3) -> Flow {
        self.cipher(rd, helpers::SHA256SU1, 0, [rn, rm, rd])
    }

    /// SHA1H: rotates by 30
    fn sha1h(&self, Q2 { rd, rn }: Q2) -> Flow {
        self.cipher(rd, helpers::SHA1H, 0, [rn])
    }

    /// SHA1SU1: schedule update, second part
    fn sha1su1(&self, Q2 { rd, rn }: Q2) -> Flow {
        self.cipher(rd, helpers::SHA1SU1, 0, [rn, rd])
    }

    /// SHA256SU0: schedule update, first part
    fn sha256su0(&self, Q2 { rd, rn }: Q2) -> Flow {
        self.cipher(rd, helpers::SHA256SU0, 0, [rn, rd])
    }

    /// SHA512H: two rounds, first part
    fn sha512h(&self, Q3 { rd, rn, rm }: Q3) -> Flow {
        self.cipher(rd, helpers::SHA512H, 0, [rn, rm, rd])
    }

    /// SHA512H2: two rounds, second part
    fn sha512h2(&self, Q3 { rd, rn, rm }: Q3) -> Flow {
        self.cipher(rd, helpers::SHA512H2, 0, [rn, rm, rd])
    }

    /// SHA512SU1: schedule update, second part
    fn sha512su1(&self, Q3 { rd, rn, rm }: Q3) -> Flow {
        self.cipher(rd, helpers::SHA512SU1, 0, [rn, rm, rd])
    }

    /// RAX1: Vd[i] = Vn[i] ^ rol(Vm[i], 1)
    fn rax1(&self, Q3 { rd, rn, rm }: Q3) -> Flow {
        let m = self.v(rm, Type::I64x2);
        self.set_v(rd, self.v(rn, Type::I64x2) ^ m.shl_lanes(1) ^ m.shr_lanes_u(63))
    }

    /// SM3PARTW1: message expansion, first part
    fn sm3partw1(&self, Q3 { rd, rn, rm }: Q3) -> Flow {
        self.cipher(rd, helpers::SM3PARTW1, 0, [rn, rm, rd])
    }

    /// SM3PARTW2: message expansion, second part
    fn sm3partw2(&self, Q3 { rd, rn, rm }: Q3) -> Flow {
        self.cipher(rd, helpers::SM3PARTW2, 0, [rn, rm, rd])
    }

    /// SM4EKEY: four round keys
    fn sm4ekey(&self, Q3 { rd, rn, rm }: Q3) -> Flow {
        self.cipher(rd, helpers::SM4EKEY, 0, [rn, rm])
    }

    /// EOR3: Vd = Vn ^ Vm ^ Va
    fn eor3(&self, args: Q4) -> Flow {
        self.bits3(args, |n, m, a| n ^ m ^ a)
    }

    /// BCAX: Vd = Vn ^ (Vm & ~Va)
    fn bcax(&self, args: Q4) -> Flow {
        self.bits3(args, |n, m, a| n ^ m.and_not(a))
    }

    /// SM3SS1: the word of a round
    fn sm3ss1(&self, Q4 { rd, rn, rm, ra }: Q4) -> Flow {
        self.cipher(rd, helpers::SM3SS1, 0, [rn, rm, ra])
    }

    /// XAR: Vd[i] = ror(Vn[i] ^ Vm[i], imm)
    fn xar(&self, Xar { rd, rn, rm, imm }: Xar) -> Flow {
        let value = self.v(rn, Type::I64x2) ^ self.v(rm, Type::I64x2);
        let (right, left) = (u32::from(imm), 64 - u32::from(imm));
        self.set_v(
            rd,
            match right {
                0 => value,
                _ => value.shr_lanes_u(right) | value.shl_lanes(left),
            },
        )
    }

    /// SM3TT1A: first half, rounds 0 to 15
    fn sm3tt1a(&self, Sm3tt { rd, rn, rm, index }: Sm3tt) -> Flow {
        self.cipher(rd, helpers::SM3TT1A, index, [rn, rm, rd])
    }

    /// SM3TT1B: first half, rounds 16 to 63
    fn sm3tt1b(&self, Sm3tt { rd, rn, rm, index }: Sm3tt) -> Flow {
        self.cipher(rd, helpers::SM3TT1B, index, [rn, rm, rd])
    }

    /// SM3TT2A: second half, rounds 0 to 15
    fn sm3tt2a(&self, Sm3tt { rd, rn, rm, index }: Sm3tt) -> Flow {
        self.cipher(rd, helpers::SM3TT2A, index, [rn, rm, rd])
    }

    /// SM3TT2B: second half, rounds 16 to 63
    fn sm3tt2b(&self, Sm3tt { rd, rn, rm, index }: Sm3tt) -> Flow {
        self.cipher(rd, helpers::SM3TT2B, index, [rn, rm, rd])
    }

    /// SHA512SU0: schedule update, first part
    fn sha512su0(&self, Q2 { rd, rn }: Q2) -> Flow {
        self.cipher(rd, helpers::SHA512SU0, 0, [rn, rd])
    }

    /// SM4E: four rounds
    fn sm4e(&self, Q2 { rd, rn }: Q2) -> Flow {
        self.cipher(rd, helpers::SM4E, 0, [rd, rn])
    }
}
