//! Scalar cryptography, version 1.0: Zkne, Zknd, Zknh, Zksed, Zksh.

use arch::riscv64::helpers;
use base::HelperId;
use decoders::riscv64::{AesKey, R, R2, RvK, Sm4};
use ir::Val;

use super::{Flow, Insn};

impl<'b> Insn<'b> {
    fn cipher(&self, helper: HelperId, R { rd, rs1, rs2 }: R) -> Flow {
        self.set_x(rd, self.call(helper, &[self.x(rs1), self.x(rs2)]))
    }

    fn ror32(&self, rs: u8, amount: u64) -> Val<'b> {
        self.x(rs).low32().rotr(self.konst_w(amount))
    }

    fn shr32(&self, rs: u8, amount: u64) -> Val<'b> {
        self.x(rs).low32().shr_u(self.konst_w(amount))
    }

    fn rol32(&self, rs: u8, amount: u64) -> Val<'b> {
        self.x(rs).low32().rotl(self.konst_w(amount))
    }

    fn ror64(&self, rs: u8, amount: u64) -> Val<'b> {
        self.x(rs).rotr(self.konst(amount))
    }

    fn shr64(&self, rs: u8, amount: u64) -> Val<'b> {
        self.x(rs).shr_u(self.konst(amount))
    }
}

impl RvK for Insn<'_> {
    /// AES64ES (Zkne): last round of encryption
    fn aes64es(&self, args: R) -> Flow {
        self.cipher(helpers::AES64ES, args)
    }

    /// AES64ESM (Zkne): middle round of encryption
    fn aes64esm(&self, args: R) -> Flow {
        self.cipher(helpers::AES64ESM, args)
    }

    /// AES64KS1I (Zkne, Zknd): key schedule, with SubBytes and the round constant
    fn aes64ks1i(&self, AesKey { rd, rs1, rnum }: AesKey) -> Flow {
        let rnum = self.konst(rnum.into());
        self.set_x(rd, self.call(helpers::AES64KS1I, &[self.x(rs1), rnum]))
    }

    /// AES64KS2 (Zkne, Zknd): w0 = x[rs1][63:32] ^ x[rs2][31:0]; x[rd] = (w0 ^ x[rs2][63:32]) : w0
    fn aes64ks2(&self, R { rd, rs1, rs2 }: R) -> Flow {
        let half = self.konst(32);
        let w0 = (self.x(rs1).shr_u(half) ^ self.x(rs2)).low32().zext();
        let w1 = self.x(rs2).shr_u(half) ^ w0;
        self.set_x(rd, w1.shl(half) | w0)
    }

    /// AES64DS (Zknd): last round of decryption
    fn aes64ds(&self, args: R) -> Flow {
        self.cipher(helpers::AES64DS, args)
    }

    /// AES64DSM (Zknd): middle round of decryption
    fn aes64dsm(&self, args: R) -> Flow {
        self.cipher(helpers::AES64DSM, args)
    }

    /// AES64IM (Zknd): InvMixColumns of two columns
    fn aes64im(&self, R2 { rd, rs1 }: R2) -> Flow {
        self.set_x(rd, self.call(helpers::AES64IM, &[self.x(rs1)]))
    }

    /// SHA256SIG0 (Zknh): σ0 = ror 7 ^ ror 18 ^ shr 3
    fn sha256sig0(&self, R2 { rd, rs1 }: R2) -> Flow {
        let sum = self.ror32(rs1, 7) ^ self.ror32(rs1, 18) ^ self.shr32(rs1, 3);
        self.set_x(rd, sum.sext())
    }

    /// SHA256SIG1 (Zknh): σ1 = ror 17 ^ ror 19 ^ shr 10
    fn sha256sig1(&self, R2 { rd, rs1 }: R2) -> Flow {
        let sum = self.ror32(rs1, 17) ^ self.ror32(rs1, 19) ^ self.shr32(rs1, 10);
        self.set_x(rd, sum.sext())
    }

    /// SHA256SUM0 (Zknh): Σ0 = ror 2 ^ ror 13 ^ ror 22
    fn sha256sum0(&self, R2 { rd, rs1 }: R2) -> Flow {
        let sum = self.ror32(rs1, 2) ^ self.ror32(rs1, 13) ^ self.ror32(rs1, 22);
        self.set_x(rd, sum.sext())
    }

    /// SHA256SUM1 (Zknh): Σ1 = ror 6 ^ ror 11 ^ ror 25
    fn sha256sum1(&self, R2 { rd, rs1 }: R2) -> Flow {
        let sum = self.ror32(rs1, 6) ^ self.ror32(rs1, 11) ^ self.ror32(rs1, 25);
        self.set_x(rd, sum.sext())
    }

    /// SHA512SIG0 (Zknh): σ0 = ror 1 ^ ror 8 ^ shr 7
    fn sha512sig0(&self, R2 { rd, rs1 }: R2) -> Flow {
        self.set_x(rd, self.ror64(rs1, 1) ^ self.ror64(rs1, 8) ^ self.shr64(rs1, 7))
    }

    /// SHA512SIG1 (Zknh): σ1 = ror 19 ^ ror 61 ^ shr 6
    fn sha512sig1(&self, R2 { rd, rs1 }: R2) -> Flow {
        self.set_x(rd, self.ror64(rs1, 19) ^ self.ror64(rs1, 61) ^ self.shr64(rs1, 6))
    }

    /// SHA512SUM0 (Zknh): Σ0 = ror 28 ^ ror 34 ^ ror 39
    fn sha512sum0(&self, R2 { rd, rs1 }: R2) -> Flow {
        self.set_x(rd, self.ror64(rs1, 28) ^ self.ror64(rs1, 34) ^ self.ror64(rs1, 39))
    }

    /// SHA512SUM1 (Zknh): Σ1 = ror 14 ^ ror 18 ^ ror 41
    fn sha512sum1(&self, R2 { rd, rs1 }: R2) -> Flow {
        self.set_x(rd, self.ror64(rs1, 14) ^ self.ror64(rs1, 18) ^ self.ror64(rs1, 41))
    }

    /// SM4ED (Zksed): a quarter of a round
    fn sm4ed(&self, Sm4 { rd, rs1, rs2, bs }: Sm4) -> Flow {
        let args = [self.x(rs1), self.x(rs2), self.konst(bs.into())];
        self.set_x(rd, self.call(helpers::SM4ED, &args))
    }

    /// SM4KS (Zksed): a quarter of a step of the key schedule
    fn sm4ks(&self, Sm4 { rd, rs1, rs2, bs }: Sm4) -> Flow {
        let args = [self.x(rs1), self.x(rs2), self.konst(bs.into())];
        self.set_x(rd, self.call(helpers::SM4KS, &args))
    }

    /// SM3P0 (Zksh): P0 = x ^ rol 9 ^ rol 17
    fn sm3p0(&self, R2 { rd, rs1 }: R2) -> Flow {
        let sum = self.x(rs1).low32() ^ self.rol32(rs1, 9) ^ self.rol32(rs1, 17);
        self.set_x(rd, sum.sext())
    }

    /// SM3P1 (Zksh): P1 = x ^ rol 15 ^ rol 23
    fn sm3p1(&self, R2 { rd, rs1 }: R2) -> Flow {
        let sum = self.x(rs1).low32() ^ self.rol32(rs1, 15) ^ self.rol32(rs1, 23);
        self.set_x(rd, sum.sext())
    }
}
