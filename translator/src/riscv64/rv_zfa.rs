//! Zfa: additional floating-point instructions, version 1.0.

use arch::riscv64::helpers;
use decoders::riscv64::{Fli, R, R2, R2Rm, RvZfa};

use super::{Flow, Insn};

/// The constants of FLI ("Load-Immediate Instructions") but for index 1, the least normal number.
const FLI: [f64; 32] = [
    -1.0,
    0.0,
    0.0000152587890625,
    0.000030517578125,
    0.00390625,
    0.0078125,
    0.0625,
    0.125,
    0.25,
    0.3125,
    0.375,
    0.4375,
    0.5,
    0.625,
    0.75,
    0.875,
    1.0,
    1.25,
    1.5,
    1.75,
    2.0,
    2.5,
    3.0,
    4.0,
    8.0,
    16.0,
    128.0,
    256.0,
    32768.0,
    65536.0,
    f64::INFINITY,
    f64::NAN,
];

/// The index of the least normal number, which is another one in each format.
const LEAST_NORMAL: u8 = 1;

fn fli_d(index: u8) -> u64 {
    match index {
        LEAST_NORMAL => 1 << 52,
        31 => 0x7ff8_0000_0000_0000,
        _ => FLI[usize::from(index & 31)].to_bits(),
    }
}

fn fli_s(index: u8) -> u32 {
    match index {
        LEAST_NORMAL => 1 << 23,
        31 => 0x7fc0_0000,
        // Exact: every constant is a binary32.
        _ => (FLI[usize::from(index & 31)] as f32).to_bits(),
    }
}

/// In binary16 the constants of indices 2 and 3 are subnormal, and 65536 is infinity.
fn fli_h(index: u8) -> u16 {
    match index {
        LEAST_NORMAL => 1 << 10,
        2 => 0x0100,
        3 => 0x0200,
        29 | 30 => 0x7c00,
        31 => 0x7e00,
        _ => {
            // The rest are normal in both formats: rebias the exponent, keep 10 bits of fraction.
            let bits = FLI[usize::from(index & 31)].to_bits();
            let magnitude = (bits << 1 >> 43) - ((1023 - 15) << 10);
            magnitude as u16 | (bits >> 48) as u16 & 0x8000
        }
    }
}

impl RvZfa for Insn<'_> {
    /// FLI.S: f[rd] = the constant of this index
    fn fli_s(&self, Fli { rd, index }: Fli) -> Flow {
        self.set_f(rd, self.konst(u64::from(fli_s(index)) | !0xffff_ffff))
    }

    /// FMINM.S: f[rd] = the smaller of f[rs1] and f[rs2]; a NaN if one is (IEEE 754-2019 minimum)
    fn fminm_s(&self, args: R) -> Flow {
        self.binary_f(helpers::FMINM_S, args)
    }

    /// FMAXM.S: f[rd] = the greater of f[rs1] and f[rs2]; a NaN if one is (IEEE 754-2019 maximum)
    fn fmaxm_s(&self, args: R) -> Flow {
        self.binary_f(helpers::FMAXM_S, args)
    }

    /// FROUND.S: f[rd] = f[rs1] rounded to an integral value; never inexact
    fn fround_s(&self, args: R2Rm) -> Flow {
        self.unary_f(helpers::FROUND_S, args)
    }

    /// FROUNDNX.S: f[rd] = f[rs1] rounded to an integral value; inexact if changed
    fn froundnx_s(&self, args: R2Rm) -> Flow {
        self.unary_f(helpers::FROUNDNX_S, args)
    }

    /// FLEQ.S: x[rd] = f[rs1] <= f[rs2]; quiet
    fn fleq_s(&self, R { rd, rs1, rs2 }: R) -> Flow {
        self.set_x(rd, self.s(rs1).fle_q(self.s(rs2)))
    }

    /// FLTQ.S: x[rd] = f[rs1] < f[rs2]; quiet
    fn fltq_s(&self, R { rd, rs1, rs2 }: R) -> Flow {
        self.set_x(rd, self.s(rs1).flt_q(self.s(rs2)))
    }

    /// FLI.D: f[rd] = the constant of this index
    fn fli_d(&self, Fli { rd, index }: Fli) -> Flow {
        self.set_f(rd, self.konst(fli_d(index)))
    }

    /// FMINM.D: f[rd] = the smaller of f[rs1] and f[rs2]; a NaN if one is (IEEE 754-2019 minimum)
    fn fminm_d(&self, args: R) -> Flow {
        self.binary_f(helpers::FMINM_D, args)
    }

    /// FMAXM.D: f[rd] = the greater of f[rs1] and f[rs2]; a NaN if one is (IEEE 754-2019 maximum)
    fn fmaxm_d(&self, args: R) -> Flow {
        self.binary_f(helpers::FMAXM_D, args)
    }

    /// FROUND.D: f[rd] = f[rs1] rounded to an integral value; never inexact
    fn fround_d(&self, args: R2Rm) -> Flow {
        self.unary_f(helpers::FROUND_D, args)
    }

    /// FROUNDNX.D: f[rd] = f[rs1] rounded to an integral value; inexact if changed
    fn froundnx_d(&self, args: R2Rm) -> Flow {
        self.unary_f(helpers::FROUNDNX_D, args)
    }

    /// FCVTMOD.W.D: x[rd] = sext(f[rs1] toward zero, modulo 2^32); flags as FCVT.W.D
    fn fcvtmod_w_d(&self, R2 { rd, rs1 }: R2) -> Flow {
        self.set_x(rd, self.call(helpers::FCVTMOD_W_D, &[self.f(rs1)]))
    }

    /// FLEQ.D: x[rd] = f[rs1] <= f[rs2]; quiet
    fn fleq_d(&self, R { rd, rs1, rs2 }: R) -> Flow {
        self.set_x(rd, self.d(rs1).fle_q(self.d(rs2)))
    }

    /// FLTQ.D: x[rd] = f[rs1] < f[rs2]; quiet
    fn fltq_d(&self, R { rd, rs1, rs2 }: R) -> Flow {
        self.set_x(rd, self.d(rs1).flt_q(self.d(rs2)))
    }

    /// FLI.H: f[rd] = the constant of this index
    fn fli_h(&self, Fli { rd, index }: Fli) -> Flow {
        self.set_h(rd, self.konst(fli_h(index).into()))
    }

    /// FMINM.H: f[rd] = the smaller of f[rs1] and f[rs2]; a NaN if one is (IEEE 754-2019 minimum)
    fn fminm_h(&self, args: R) -> Flow {
        self.binary_f(helpers::FMINM_H, args)
    }

    /// FMAXM.H: f[rd] = the greater of f[rs1] and f[rs2]; a NaN if one is (IEEE 754-2019 maximum)
    fn fmaxm_h(&self, args: R) -> Flow {
        self.binary_f(helpers::FMAXM_H, args)
    }

    /// FROUND.H: f[rd] = f[rs1] rounded to an integral value; never inexact
    fn fround_h(&self, args: R2Rm) -> Flow {
        self.unary_f(helpers::FROUND_H, args)
    }

    /// FROUNDNX.H: f[rd] = f[rs1] rounded to an integral value; inexact if changed
    fn froundnx_h(&self, args: R2Rm) -> Flow {
        self.unary_f(helpers::FROUNDNX_H, args)
    }

    /// FLEQ.H: x[rd] = f[rs1] <= f[rs2]; quiet
    fn fleq_h(&self, args: R) -> Flow {
        self.comparison_f(helpers::FLEQ_H, args)
    }

    /// FLTQ.H: x[rd] = f[rs1] < f[rs2]; quiet
    fn fltq_h(&self, args: R) -> Flow {
        self.comparison_f(helpers::FLTQ_H, args)
    }
}
