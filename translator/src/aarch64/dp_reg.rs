//! Data processing - register (Arm ARM, C4.1.95).

use arch::aarch64::helpers;
use base::defect::{Defect, is_seeded};
use decoders::aarch64::{
    ArithExt, ArithReg, AuthZero, CondImm, CondReg, CondSelect, Crc32, DpReg, LogicReg, MulAdd,
    MulAddLong, RdRn, RdRnX, RotateFlags, Rrr, RrrX, SetFlags,
};
use ir::{Condition, Type, Val};

use super::pauth::Key;
use super::register::width;
use super::{Flow, Insn};

/// Bits of NZCV.
const N: u64 = 1 << 31;
const Z: u64 = 1 << 30;
const C: u64 = 1 << 29;
const V: u64 = 1 << 28;

impl<'b> Insn<'b> {
    /// R[d] = n + m, and the flags of it.
    pub(super) fn adds(&self, rd: u8, n: Val<'b>, m: Val<'b>) -> Flow {
        self.set_nzcv(self.b.flags_add(n, m, self.konst(0)));
        if rd == 31 { Flow::Next } else { self.set_r(rd, n + m) }
    }

    /// R[d] = n - m, and the flags of it.
    pub(super) fn subs(&self, rd: u8, n: Val<'b>, m: Val<'b>) -> Flow {
        self.set_nzcv(self.b.flags_sub(n, m, self.konst(1)));
        if rd == 31 { Flow::Next } else { self.set_r(rd, n - m) }
    }

    /// The flags of a logical instruction's result: C and V are 0.
    pub(super) fn set_logic_flags(&self, result: Val<'b>) -> Flow {
        let zero = self.b.konst_of(result.ty(), 0);
        self.set_nzcv(self.b.flags_add(result, zero, self.konst(0)))
    }

    /// PSTATE.C: 1 or 0.
    fn carry(&self) -> Val<'b> {
        self.nzcv().cond(Condition::Cs)
    }

    /// Its complement.
    fn borrow(&self) -> Val<'b> {
        self.nzcv().cond(Condition::Cc)
    }

    /// ShiftReg: LSL, LSR, ASR or ROR of R[m].
    fn shifted(&self, sf: bool, rm: u8, shift: u8, amount: u8) -> Val<'b> {
        let m = self.r(sf, rm);
        if amount == 0 || rm == 31 {
            return m;
        }
        let by = self.konst_r(sf, amount.into());
        match shift {
            0 => m.shl(by),
            1 => m.shr_u(by),
            2 => m.shr_s(by),
            _ => m.rotr(by),
        }
    }

    /// ExtendReg: the low bits of X[m], extended as `option` says to 64 bits, and shifted left.
    pub(super) fn extended(&self, rm: u8, option: u8, amount: u8) -> Val<'b> {
        let m = self.x(rm);
        let value = match option {
            0 => m & self.konst(0xff),
            1 => m & self.konst(0xffff),
            2 => m.low32().zext(),
            4 => m.low8().sext(),
            5 => m.low16().sext(),
            6 => m.low32().sext(),
            _ => m,
        };
        if amount == 0 { value } else { value.shl(self.konst(amount.into())) }
    }

    fn arith_reg(
        &self,
        ArithReg { sf, rn, rm, shift, amount, .. }: ArithReg,
    ) -> (Val<'b>, Val<'b>) {
        (self.r(sf, rn), self.shifted(sf, rm, shift, amount))
    }

    fn arith_ext(
        &self,
        ArithExt { sf, rn, rm, option, amount, .. }: ArithExt,
    ) -> (Val<'b>, Val<'b>) {
        // What lies above a W register is of no matter to it.
        let option = if !sf && option & 3 == 2 { 3 } else { option };
        (self.r_or_sp(sf, rn), self.extended(rm, option, amount).at(width(sf)))
    }

    fn logic_reg(
        &self,
        LogicReg { sf, rn, rm, shift, amount, .. }: LogicReg,
    ) -> (Val<'b>, Val<'b>) {
        (self.r(sf, rn), self.shifted(sf, rm, shift, amount))
    }

    fn operands(&self, Rrr { sf, rn, rm, .. }: Rrr) -> (Val<'b>, Val<'b>) {
        (self.r(sf, rn), self.r(sf, rm))
    }

    /// R[d] = result, and the flags of it.
    fn logic_and_flags(&self, rd: u8, result: Val<'b>) -> Flow {
        self.set_logic_flags(result);
        self.set_r(rd, result)
    }

    /// The flags of a comparison if the condition holds, else those of the instruction.
    fn compare_if(&self, cond: u8, flags: Val<'b>, nzcv: u8) -> Flow {
        self.set_nzcv(self.choose(cond, flags, self.konst(u64::from(nzcv) << 28)))
    }

    /// A quotient; 0 if the divisor is 0, unlike IR's.
    fn quotient(&self, divisor: Val<'b>, quotient: Val<'b>) -> Val<'b> {
        let zero = self.b.konst_of(divisor.ty(), 0);
        divisor.ne(zero).select(quotient, zero)
    }

    /// The bits in reverse order.
    fn reversed(&self, value: Val<'b>) -> Val<'b> {
        let ty = value.ty();
        let swap = |value: Val<'b>, by: u64, low: u64| {
            let low = self.konst_r(ty == Type::I64, low);
            let by = self.b.konst_of(ty, by);
            (value & low).shl(by) | value.shr_u(by) & low
        };
        let bytes = value.bswap();
        let nibbles = swap(bytes, 4, 0x0f0f_0f0f_0f0f_0f0f);
        let pairs = swap(nibbles, 2, 0x3333_3333_3333_3333);
        swap(pairs, 1, 0x5555_5555_5555_5555)
    }

    /// An address without its tag, sign-extended from bit 55.
    fn signed_address(&self, n: u8) -> Val<'b> {
        let eight = self.konst(8);
        self.x_or_sp(n).shl(eight).shr_s(eight)
    }

    /// Evaluates into N, Z and V what a result of `bits` bits says; C stays.
    fn set_flags_of(&self, rn: u8, bits: u64) -> Flow {
        let value = self.x(rn);
        let n = value.shl(self.konst(32 - bits)) & self.konst(N);
        let z = (value & self.konst((1 << bits) - 1)).eq(self.konst(0)).shl(self.konst(30));
        let differs = value ^ value.shr_u(self.konst(1));
        let v = differs.shl(self.konst(29 - bits)) & self.konst(V);
        self.set_nzcv(self.nzcv() & self.konst(C) | n | z | v)
    }
}

impl DpReg for Insn<'_> {
    /// UDIV: R[d] = R[n] /u R[m], 0 if R[m] is 0
    fn udiv(&self, args: Rrr) -> Flow {
        let (n, m) = self.operands(args);
        self.set_r(args.rd, self.quotient(m, n.div_u(m)))
    }

    /// SDIV: R[d] = R[n] /s R[m] toward zero, 0 if R[m] is 0
    fn sdiv(&self, args: Rrr) -> Flow {
        let (n, m) = self.operands(args);
        self.set_r(args.rd, self.quotient(m, n.div_s(m)))
    }

    /// LSLV: R[d] = R[n] << R[m] modulo the width
    fn lslv(&self, args: Rrr) -> Flow {
        let (n, m) = self.operands(args);
        self.set_r(args.rd, n.shl(m))
    }

    /// LSRV: R[d] = R[n] >>u R[m] modulo the width
    fn lsrv(&self, args: Rrr) -> Flow {
        let (n, m) = self.operands(args);
        self.set_r(args.rd, n.shr_u(m))
    }

    /// ASRV: R[d] = R[n] >>s R[m] modulo the width
    fn asrv(&self, args: Rrr) -> Flow {
        let (n, m) = self.operands(args);
        self.set_r(args.rd, n.shr_s(m))
    }

    /// RORV: R[d] = R[n] rotated right by R[m] modulo the width
    fn rorv(&self, args: Rrr) -> Flow {
        let (n, m) = self.operands(args);
        self.set_r(args.rd, n.rotr(m))
    }

    /// SUBP: X[d] = SignExtend(X[n]<55:0>) - SignExtend(X[m]<55:0>)
    fn subp(&self, RrrX { rd, rn, rm }: RrrX) -> Flow {
        self.set_x(rd, self.signed_address(rn) - self.signed_address(rm))
    }

    /// SUBPS: as SUBP, and the flags of it
    fn subps(&self, RrrX { rd, rn, rm }: RrrX) -> Flow {
        self.subs(rd, self.signed_address(rn), self.signed_address(rm))
    }

    /// IRG: X[d] = X[n] with a random tag: 0, since memory has none
    fn irg(&self, RrrX { rd, rn, .. }: RrrX) -> Flow {
        self.set_x_or_sp(rd, self.x_or_sp(rn) & self.konst(!(15 << 56)))
    }

    /// GMI: X[d] = X[m] with the bit set that the tag of X[n] numbers
    fn gmi(&self, RrrX { rd, rn, rm }: RrrX) -> Flow {
        let tag = self.x_or_sp(rn).shr_u(self.konst(56)) & self.konst(15);
        self.set_x(rd, self.x(rm) | self.konst(1).shl(tag))
    }

    /// PACGA: X[d]<63:32> = the code of X[n], by X[m] or SP and the generic key
    fn pacga(&self, RrrX { rd, rn, rm }: RrrX) -> Flow {
        let (low, high) = self.key(Key::Ga);
        let code = self.call(helpers::PACGA, &[self.x(rn), self.x_or_sp(rm), low, high]);
        self.set_x(rd, code)
    }

    /// CRC32B, CRC32H, CRC32W, CRC32X: W[d] = the checksum W[n] with 2^size bytes of R[m] added
    fn crc32(&self, Crc32 { size, rd, rn, rm }: Crc32) -> Flow {
        let args = [self.x(rn), self.x(rm), self.konst(size.into())];
        self.set_x(rd, self.call(helpers::CRC32, &args))
    }

    /// CRC32CB, CRC32CH, CRC32CW, CRC32CX: the same by Castagnoli's polynomial
    fn crc32c(&self, Crc32 { size, rd, rn, rm }: Crc32) -> Flow {
        let args = [self.x(rn), self.x(rm), self.konst(size.into())];
        self.set_x(rd, self.call(helpers::CRC32C, &args))
    }

    /// SMAX (register): R[d] = max_s(R[n], R[m])
    fn smax_reg(&self, args: Rrr) -> Flow {
        let (n, m) = self.operands(args);
        self.set_r(args.rd, n.max_s(m))
    }

    /// UMAX (register): R[d] = max_u(R[n], R[m])
    fn umax_reg(&self, args: Rrr) -> Flow {
        let (n, m) = self.operands(args);
        self.set_r(args.rd, n.max_u(m))
    }

    /// SMIN (register): R[d] = min_s(R[n], R[m])
    fn smin_reg(&self, args: Rrr) -> Flow {
        let (n, m) = self.operands(args);
        self.set_r(args.rd, n.min_s(m))
    }

    /// UMIN (register): R[d] = min_u(R[n], R[m])
    fn umin_reg(&self, args: Rrr) -> Flow {
        let (n, m) = self.operands(args);
        self.set_r(args.rd, n.min_u(m))
    }

    /// RBIT: the bits in reverse order
    fn rbit(&self, RdRn { sf, rd, rn }: RdRn) -> Flow {
        self.set_r(rd, self.reversed(self.r(sf, rn)))
    }

    /// REV16: the bytes of each halfword in reverse order
    fn rev16(&self, RdRn { sf, rd, rn }: RdRn) -> Flow {
        let (n, by) = (self.r(sf, rn), self.konst_r(sf, 8));
        let low = self.konst_r(sf, 0x00ff_00ff_00ff_00ff);
        self.set_r(rd, (n & low).shl(by) | n.shr_u(by) & low)
    }

    /// REV: the bytes in reverse order
    fn rev(&self, RdRn { sf, rd, rn }: RdRn) -> Flow {
        self.set_r(rd, self.r(sf, rn).bswap())
    }

    /// REV32: the bytes of each word in reverse order
    fn rev32(&self, RdRnX { rd, rn }: RdRnX) -> Flow {
        self.set_x(rd, self.x(rn).bswap().rotr(self.konst(32)))
    }

    /// CLZ: leading zeros
    fn clz(&self, RdRn { sf, rd, rn }: RdRn) -> Flow {
        self.set_r(rd, self.r(sf, rn).clz())
    }

    /// CLS: leading bits that are as the sign, without it
    fn cls(&self, RdRn { sf, rd, rn }: RdRn) -> Flow {
        let (n, one) = (self.r(sf, rn), self.konst_r(sf, 1));
        self.set_r(rd, (n ^ n.shl(one) | one).clz())
    }

    /// CTZ: trailing zeros
    fn ctz(&self, RdRn { sf, rd, rn }: RdRn) -> Flow {
        self.set_r(rd, self.r(sf, rn).ctz())
    }

    /// CNT: set bits
    fn cnt(&self, RdRn { sf, rd, rn }: RdRn) -> Flow {
        self.set_r(rd, self.r(sf, rn).popcnt())
    }

    /// ABS: the magnitude; that of the least number is itself
    fn abs(&self, RdRn { sf, rd, rn }: RdRn) -> Flow {
        let n = self.r(sf, rn);
        self.set_r(rd, n.max_s(n.negate()))
    }

    /// PACIA: X[d] signed with X[n] or SP as modifier
    fn pacia(&self, RdRnX { rd, rn }: RdRnX) -> Flow {
        self.set_x(rd, self.sign(Key::Ia, self.x(rd), self.x_or_sp(rn)))
    }

    /// PACIB: X[d] signed with X[n] or SP as modifier
    fn pacib(&self, RdRnX { rd, rn }: RdRnX) -> Flow {
        self.set_x(rd, self.sign(Key::Ib, self.x(rd), self.x_or_sp(rn)))
    }

    /// PACDA: X[d] signed with X[n] or SP as modifier
    fn pacda(&self, RdRnX { rd, rn }: RdRnX) -> Flow {
        self.set_x(rd, self.sign(Key::Da, self.x(rd), self.x_or_sp(rn)))
    }

    /// PACDB: X[d] signed with X[n] or SP as modifier
    fn pacdb(&self, RdRnX { rd, rn }: RdRnX) -> Flow {
        self.set_x(rd, self.sign(Key::Db, self.x(rd), self.x_or_sp(rn)))
    }

    /// AUTIA: X[d] authenticated with X[n] or SP as modifier
    fn autia(&self, RdRnX { rd, rn }: RdRnX) -> Flow {
        self.set_x(rd, self.authenticate(Key::Ia, self.x(rd), self.x_or_sp(rn)))
    }

    /// AUTIB: X[d] authenticated with X[n] or SP as modifier
    fn autib(&self, RdRnX { rd, rn }: RdRnX) -> Flow {
        self.set_x(rd, self.authenticate(Key::Ib, self.x(rd), self.x_or_sp(rn)))
    }

    /// AUTDA: X[d] authenticated with X[n] or SP as modifier
    fn autda(&self, RdRnX { rd, rn }: RdRnX) -> Flow {
        self.set_x(rd, self.authenticate(Key::Da, self.x(rd), self.x_or_sp(rn)))
    }

    /// AUTDB: X[d] authenticated with X[n] or SP as modifier
    fn autdb(&self, RdRnX { rd, rn }: RdRnX) -> Flow {
        self.set_x(rd, self.authenticate(Key::Db, self.x(rd), self.x_or_sp(rn)))
    }

    /// PACIZA: the same with 0
    fn paciza(&self, AuthZero { rd }: AuthZero) -> Flow {
        self.set_x(rd, self.sign(Key::Ia, self.x(rd), self.konst(0)))
    }

    /// PACIZB: the same with 0
    fn pacizb(&self, AuthZero { rd }: AuthZero) -> Flow {
        self.set_x(rd, self.sign(Key::Ib, self.x(rd), self.konst(0)))
    }

    /// PACDZA: the same with 0
    fn pacdza(&self, AuthZero { rd }: AuthZero) -> Flow {
        self.set_x(rd, self.sign(Key::Da, self.x(rd), self.konst(0)))
    }

    /// PACDZB: the same with 0
    fn pacdzb(&self, AuthZero { rd }: AuthZero) -> Flow {
        self.set_x(rd, self.sign(Key::Db, self.x(rd), self.konst(0)))
    }

    /// AUTIZA: the same with 0
    fn autiza(&self, AuthZero { rd }: AuthZero) -> Flow {
        self.set_x(rd, self.authenticate(Key::Ia, self.x(rd), self.konst(0)))
    }

    /// AUTIZB: the same with 0
    fn autizb(&self, AuthZero { rd }: AuthZero) -> Flow {
        self.set_x(rd, self.authenticate(Key::Ib, self.x(rd), self.konst(0)))
    }

    /// AUTDZA: the same with 0
    fn autdza(&self, AuthZero { rd }: AuthZero) -> Flow {
        self.set_x(rd, self.authenticate(Key::Da, self.x(rd), self.konst(0)))
    }

    /// AUTDZB: the same with 0
    fn autdzb(&self, AuthZero { rd }: AuthZero) -> Flow {
        self.set_x(rd, self.authenticate(Key::Db, self.x(rd), self.konst(0)))
    }

    /// XPACI: X[d] without its code
    fn xpaci(&self, AuthZero { rd }: AuthZero) -> Flow {
        self.set_x(rd, self.call(helpers::XPAC, &[self.x(rd)]))
    }

    /// XPACD: X[d] without its code
    fn xpacd(&self, AuthZero { rd }: AuthZero) -> Flow {
        self.set_x(rd, self.call(helpers::XPAC, &[self.x(rd)]))
    }

    /// AND (shifted register): R[d] = R[n] AND shift(R[m])
    fn and_reg(&self, args: LogicReg) -> Flow {
        let (n, m) = self.logic_reg(args);
        self.set_r(args.rd, n & m)
    }

    /// BIC (shifted register): R[d] = R[n] AND NOT shift(R[m])
    fn bic_reg(&self, args: LogicReg) -> Flow {
        let (n, m) = self.logic_reg(args);
        self.set_r(args.rd, n.and_not(m))
    }

    /// ORR (shifted register): R[d] = R[n] OR shift(R[m])
    fn orr_reg(&self, args: LogicReg) -> Flow {
        let (n, m) = self.logic_reg(args);
        self.set_r(args.rd, if args.rn == 31 { m } else { n | m })
    }

    /// ORN (shifted register): R[d] = R[n] OR NOT shift(R[m])
    fn orn_reg(&self, args: LogicReg) -> Flow {
        let (n, m) = self.logic_reg(args);
        self.set_r(args.rd, if args.rn == 31 { !m } else { n | !m })
    }

    /// EOR (shifted register): R[d] = R[n] EOR shift(R[m])
    fn eor_reg(&self, args: LogicReg) -> Flow {
        let (n, m) = self.logic_reg(args);
        self.set_r(args.rd, n ^ m)
    }

    /// EON (shifted register): R[d] = R[n] EOR NOT shift(R[m])
    fn eon_reg(&self, args: LogicReg) -> Flow {
        let (n, m) = self.logic_reg(args);
        self.set_r(args.rd, n ^ !m)
    }

    /// ANDS (shifted register): as AND, and the flags of it
    fn ands_reg(&self, args: LogicReg) -> Flow {
        let (n, m) = self.logic_reg(args);
        let itself = args.rn == args.rm && args.shift == 0 && args.amount == 0;
        self.logic_and_flags(args.rd, if itself { n } else { n & m })
    }

    /// BICS (shifted register): as BIC, and the flags of it
    fn bics_reg(&self, args: LogicReg) -> Flow {
        let (n, m) = self.logic_reg(args);
        self.logic_and_flags(args.rd, n.and_not(m))
    }

    /// ADD (shifted register): R[d] = R[n] + shift(R[m])
    fn add_reg(&self, args: ArithReg) -> Flow {
        let (n, m) = self.arith_reg(args);
        self.set_r(args.rd, n + m)
    }

    /// ADDS (shifted register): as ADD, and the flags of it
    fn adds_reg(&self, args: ArithReg) -> Flow {
        let (n, m) = self.arith_reg(args);
        self.adds(args.rd, n, m)
    }

    /// SUB (shifted register): R[d] = R[n] - shift(R[m])
    fn sub_reg(&self, args: ArithReg) -> Flow {
        let (n, m) = self.arith_reg(args);
        self.set_r(args.rd, if args.rn == 31 { m.negate() } else { n - m })
    }

    /// SUBS (shifted register): as SUB, and the flags of it
    fn subs_reg(&self, args: ArithReg) -> Flow {
        let (n, m) = self.arith_reg(args);
        self.subs(args.rd, n, m)
    }

    /// ADD (extended register): R[d] or SP = R[n] or SP + extend(R[m]) << amount
    fn add_ext(&self, args: ArithExt) -> Flow {
        let (n, m) = self.arith_ext(args);
        self.set_r_or_sp(args.rd, n + m)
    }

    /// ADDS (extended register): R[d] = R[n] or SP + extend(R[m]) << amount, and the flags of it
    fn adds_ext(&self, args: ArithExt) -> Flow {
        let (n, m) = self.arith_ext(args);
        self.adds(args.rd, n, m)
    }

    /// SUB (extended register): R[d] or SP = R[n] or SP - extend(R[m]) << amount
    fn sub_ext(&self, args: ArithExt) -> Flow {
        let (n, m) = self.arith_ext(args);
        self.set_r_or_sp(args.rd, n - m)
    }

    /// SUBS (extended register): R[d] = R[n] or SP - extend(R[m]) << amount, and the flags of it
    fn subs_ext(&self, args: ArithExt) -> Flow {
        let (n, m) = self.arith_ext(args);
        self.subs(args.rd, n, m)
    }

    /// ADC: R[d] = R[n] + R[m] + C
    fn adc(&self, args: Rrr) -> Flow {
        let (n, m) = self.operands(args);
        self.set_r(args.rd, n + m + self.carry().at(width(args.sf)))
    }

    /// ADCS: as ADC, and the flags of it
    fn adcs(&self, args: Rrr) -> Flow {
        if is_seeded(Defect::AdcsForgetsCarry) {
            return {
                let (n, m) = self.operands(args);
                let carry = self.carry();
                self.set_nzcv(self.b.flags_add(n, m, self.konst(0)));
                self.set_r(args.rd, n + m + carry.at(width(args.sf)))
            };
        }
        let (n, m) = self.operands(args);
        let carry = self.carry();
        self.set_nzcv(self.b.flags_add(n, m, carry));
        self.set_r(args.rd, n + m + carry.at(width(args.sf)))
    }

    /// SBC: R[d] = R[n] + NOT R[m] + C
    fn sbc(&self, args: Rrr) -> Flow {
        let (n, m) = self.operands(args);
        self.set_r(args.rd, n - m - self.borrow().at(width(args.sf)))
    }

    /// SBCS: as SBC, and the flags of it
    fn sbcs(&self, args: Rrr) -> Flow {
        let (n, m) = self.operands(args);
        self.set_nzcv(self.b.flags_sub(n, m, self.carry()));
        self.set_r(args.rd, n - m - self.borrow().at(width(args.sf)))
    }

    /// RMIF: those of N, Z, C and V that the mask names = bits 3 to 0 of X[n] rotated right
    fn rmif(&self, RotateFlags { rn, amount, mask }: RotateFlags) -> Flow {
        let mask = u64::from(mask) << 28;
        let rotated = self.x(rn).rotr(self.konst(amount.into())).shl(self.konst(28));
        let kept = self.nzcv() & self.konst(!mask & (N | Z | C | V));
        self.set_nzcv(rotated & self.konst(mask) | kept)
    }

    /// SETF8: N = W[n]<7>, Z = W[n]<7:0> == 0, V = W[n]<8> EOR W[n]<7>
    fn setf8(&self, SetFlags { rn }: SetFlags) -> Flow {
        self.set_flags_of(rn, 8)
    }

    /// SETF16: N = W[n]<15>, Z = W[n]<15:0> == 0, V = W[n]<16> EOR W[n]<15>
    fn setf16(&self, SetFlags { rn }: SetFlags) -> Flow {
        self.set_flags_of(rn, 16)
    }

    /// CCMN (register): the flags of R[n] + R[m] if the condition holds, else nzcv
    fn ccmn_reg(&self, CondReg { sf, rn, rm, cond, nzcv }: CondReg) -> Flow {
        let flags = self.b.flags_add(self.r(sf, rn), self.r(sf, rm), self.konst(0));
        self.compare_if(cond, flags, nzcv)
    }

    /// CCMP (register): the flags of R[n] - R[m] if the condition holds, else nzcv
    fn ccmp_reg(&self, CondReg { sf, rn, rm, cond, nzcv }: CondReg) -> Flow {
        let flags = self.b.flags_sub(self.r(sf, rn), self.r(sf, rm), self.konst(1));
        let nzcv = if is_seeded(Defect::CcmpWrongFlag) { nzcv ^ 2 } else { nzcv };
        self.compare_if(cond, flags, nzcv)
    }

    /// CCMN (immediate): the flags of R[n] + imm if the condition holds, else nzcv
    fn ccmn_imm(&self, CondImm { sf, rn, imm, cond, nzcv }: CondImm) -> Flow {
        let imm = self.konst_r(sf, imm.into());
        let flags = self.b.flags_add(self.r(sf, rn), imm, self.konst(0));
        self.compare_if(cond, flags, nzcv)
    }

    /// CCMP (immediate): the flags of R[n] - imm if the condition holds, else nzcv
    fn ccmp_imm(&self, CondImm { sf, rn, imm, cond, nzcv }: CondImm) -> Flow {
        let imm = self.konst_r(sf, imm.into());
        let flags = self.b.flags_sub(self.r(sf, rn), imm, self.konst(1));
        self.compare_if(cond, flags, nzcv)
    }

    /// CSEL: R[d] = R[n] if the condition holds, else R[m]
    fn csel(&self, CondSelect { sf, rd, rn, rm, cond }: CondSelect) -> Flow {
        if is_seeded(Defect::CselInverted) {
            return self.set_r(rd, self.choose(cond ^ 1, self.r(sf, rn), self.r(sf, rm)));
        }
        self.set_r(rd, self.choose(cond, self.r(sf, rn), self.r(sf, rm)))
    }

    /// CSINC: R[d] = R[n] if the condition holds, else R[m] + 1
    fn csinc(&self, CondSelect { sf, rd, rn, rm, cond }: CondSelect) -> Flow {
        if let (31, 31, Some(otherwise)) = (rn, rm, self.condition(cond ^ 1)) {
            // CSET
            return self.set_x(rd, otherwise);
        }
        let other = self.r(sf, rm) + self.konst_r(sf, 1);
        self.set_r(rd, self.choose(cond, self.r(sf, rn), other))
    }

    /// CSINV: R[d] = R[n] if the condition holds, else NOT R[m]
    fn csinv(&self, CondSelect { sf, rd, rn, rm, cond }: CondSelect) -> Flow {
        self.set_r(rd, self.choose(cond, self.r(sf, rn), !self.r(sf, rm)))
    }

    /// CSNEG: R[d] = R[n] if the condition holds, else -R[m]
    fn csneg(&self, CondSelect { sf, rd, rn, rm, cond }: CondSelect) -> Flow {
        self.set_r(rd, self.choose(cond, self.r(sf, rn), self.r(sf, rm).negate()))
    }

    /// MADD: R[d] = R[a] + R[n] * R[m]
    fn madd(&self, MulAdd { sf, rd, rn, rm, ra }: MulAdd) -> Flow {
        let product = self.r(sf, rn) * self.r(sf, rm);
        self.set_r(rd, if ra == 31 { product } else { self.r(sf, ra) + product })
    }

    /// MSUB: R[d] = R[a] - R[n] * R[m]
    fn msub(&self, MulAdd { sf, rd, rn, rm, ra }: MulAdd) -> Flow {
        let product = self.r(sf, rn) * self.r(sf, rm);
        self.set_r(rd, if ra == 31 { product.negate() } else { self.r(sf, ra) - product })
    }

    /// SMADDL: X[d] = X[a] + sext(W[n]) * sext(W[m])
    fn smaddl(&self, MulAddLong { rd, rn, rm, ra }: MulAddLong) -> Flow {
        let product = self.x(rn).low32().sext() * self.x(rm).low32().sext();
        self.set_x(rd, if ra == 31 { product } else { self.x(ra) + product })
    }

    /// SMSUBL: X[d] = X[a] - sext(W[n]) * sext(W[m])
    fn smsubl(&self, MulAddLong { rd, rn, rm, ra }: MulAddLong) -> Flow {
        let product = self.x(rn).low32().sext() * self.x(rm).low32().sext();
        self.set_x(rd, self.x(ra) - product)
    }

    /// SMULH: X[d] = the upper half of X[n] *s X[m]
    fn smulh(&self, RrrX { rd, rn, rm }: RrrX) -> Flow {
        self.set_x(rd, self.x(rn).mulhi_s(self.x(rm)))
    }

    /// UMADDL: X[d] = X[a] + zext(W[n]) * zext(W[m])
    fn umaddl(&self, MulAddLong { rd, rn, rm, ra }: MulAddLong) -> Flow {
        let product = self.x(rn).low32().zext() * self.x(rm).low32().zext();
        self.set_x(rd, if ra == 31 { product } else { self.x(ra) + product })
    }

    /// UMSUBL: X[d] = X[a] - zext(W[n]) * zext(W[m])
    fn umsubl(&self, MulAddLong { rd, rn, rm, ra }: MulAddLong) -> Flow {
        let product = self.x(rn).low32().zext() * self.x(rm).low32().zext();
        self.set_x(rd, self.x(ra) - product)
    }

    /// UMULH: X[d] = the upper half of X[n] *u X[m]
    fn umulh(&self, RrrX { rd, rn, rm }: RrrX) -> Flow {
        self.set_x(rd, self.x(rn).mulhi_u(self.x(rm)))
    }
}
