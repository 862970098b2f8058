//! What A64 instructions need and IR has no operation for. [`HELPERS`] is the table that IR's helper ids
//! index; the constants are those ids.
//!
//! Helpers of vectors are named as their instructions. Their operands are in the manual's order, the destination last
//! where it is read: `n, m, d`. What else they need to know is an [`Arg`].

#![expect(unsafe_code, reason = "the engines pass the frame as a raw pointer")]

mod arg;
pub mod cipher;
pub mod convert;
pub mod crc;
mod env;
pub mod float;
pub mod hash;
pub mod integer;
pub mod memory;
pub mod pauth;
pub mod saturate;
pub mod shift;
pub mod system;
pub mod widening;

use base::float::Flags;

use super::{fpcr, slot};
pub use crate::frame::FrameRef;
use crate::helper_table::helpers;
use crate::lane;
pub use arg::Arg;
pub use env::{FpEnv, Saturation};

/// Runs `op` in the guest's floating-point environment.
fn with_fp<R>(frame: &mut FrameRef, op: impl FnOnce(&mut FpEnv) -> R) -> R {
    let flags = Flags(frame.get(slot::FP_FLAGS) as u8);
    let mut fp = FpEnv::new(frame.get(slot::FPCR), flags);
    let result = op(&mut fp);
    frame.accrue(slot::FP_FLAGS, fp.flags().without(flags));
    result
}

/// Runs `op`, which may saturate.
fn with_qc<R>(frame: &mut FrameRef, op: impl FnOnce(&mut Saturation) -> R) -> R {
    let mut saturation = Saturation::default();
    let result = op(&mut saturation);
    if saturation.0 {
        frame.set(slot::FP_FLAGS, frame.get(slot::FP_FLAGS) | fpcr::SATURATED);
    }
    result
}

helpers! {
    // System registers and instructions.
    SET_FPCR "set_fpcr" Frame (value) system::set_fpcr;
    COUNTER "counter" Frame () system::counter;
    RNDR "rndr" Frame () system::rndr;
    SYNC_CODE "sync_code" Frame () system::sync_code;
    PAUSE "pause" Frame () system::pause;
    YIELD "yield" Frame () system::yield_now;
    // FEAT_CRC32.
    CRC32 "crc32" Pure (acc, value, size) crc::crc32;
    CRC32C "crc32c" Pure (acc, value, size) crc::crc32c;
    // FEAT_PAuth.
    PAC "pac" Pure (pointer, modifier, lo, hi) pauth::sign;
    AUT "aut" Pure (pointer, modifier, lo, hi) pauth::authenticate;
    AUT_OR_FAIL "aut_or_fail" Pure (pointer, modifier, lo, hi) pauth::authenticate_or_fail;
    PAC_FIRST "pac_first" Pure (pointer, modifier, lo, hi) pauth::sign_first;
    AUT_FIRST_A "aut_first_a" Pure (pointer, modifier, lo, hi) pauth::authenticate_a;
    AUT_FIRST_B "aut_first_b" Pure (pointer, modifier, lo, hi) pauth::authenticate_b;
    XPAC "xpac" Pure (pointer) pauth::strip;
    PACGA "pacga" Pure (value, modifier, lo, hi) pauth::generic;
    // Pairs of doublewords, FEAT_MOPS.
    CASP "casp" Memory (addr, s, t) memory::casp;
    STXP "stxp" Memory (addr, t, t2) memory::stxp;
    SETP "setp" Frame (registers) memory::setp;
    SET "set" Memory (registers) memory::set;
    CPYFP "cpyfp" Frame (registers) memory::cpyfp;
    CPYP "cpyp" Frame (registers) memory::cpyp;
    CPY "cpy" Memory (registers) memory::cpy;
    // Scalar floating point that reaches other registers.
    FCMP "fcmp" FpFlags (arg, n, m) float::fcmp;
    FCVT_H_D "fcvt_h_d" FpFlags (n) convert::fcvt_h_d;
    FCVT_D_H "fcvt_d_h" FpFlags (n) convert::fcvt_d_h;
    FCVT_TO_X "fcvt_to_x" FpFlags (arg, n) convert::fcvt_to_x;
    CVTF_FROM_X "cvtf_from_x" FpFlags (arg, n) convert::cvtf_from_x;
    FJCVTZS "fjcvtzs" FpFlags (n) convert::fjcvtzs;
    // Floating point, scalar and vector.
    FADD "fadd" Float (n, m) float::fadd;
    FSUB "fsub" Float (n, m) float::fsub;
    FMUL "fmul" Float (n, m) float::fmul;
    FDIV "fdiv" Float (n, m) float::fdiv;
    FSQRT "fsqrt" Float (n) float::fsqrt;
    FMULX "fmulx" Float (n, m) float::fmulx;
    FMLA "fmla" Float (n, m, d) float::fmla;
    FABD "fabd" Float (n, m) float::fabd;
    FMAX "fmax" Float (n, m) float::fmax;
    FMIN "fmin" Float (n, m) float::fmin;
    FMAXNM "fmaxnm" Float (n, m) float::fmaxnm;
    FMINNM "fminnm" Float (n, m) float::fminnm;
    FADDP "faddp" Float (n, m) float::faddp;
    FMAXP "fmaxp" Float (n, m) float::fmaxp;
    FMINP "fminp" Float (n, m) float::fminp;
    FMAXNMP "fmaxnmp" Float (n, m) float::fmaxnmp;
    FMINNMP "fminnmp" Float (n, m) float::fminnmp;
    FADDV "faddv" Float (n) float::faddv;
    FMAXV "fmaxv" Float (n) float::fmaxv;
    FMINV "fminv" Float (n) float::fminv;
    FMAXNMV "fmaxnmv" Float (n) float::fmaxnmv;
    FMINNMV "fminnmv" Float (n) float::fminnmv;
    FCMEQ "fcmeq" Float (n, m) float::fcmeq;
    FCMGE "fcmge" Float (n, m) float::fcmge;
    FCMGT "fcmgt" Float (n, m) float::fcmgt;
    FACGE "facge" Float (n, m) float::facge;
    FACGT "facgt" Float (n, m) float::facgt;
    FRECPE "frecpe" Float (n) float::frecpe;
    FRSQRTE "frsqrte" Float (n) float::frsqrte;
    FRECPX "frecpx" Float (n) float::frecpx;
    FRECPS "frecps" Float (n, m) float::frecps;
    FRSQRTS "frsqrts" Float (n, m) float::frsqrts;
    URECPE "urecpe" Lanes (n) float::urecpe;
    URSQRTE "ursqrte" Lanes (n) float::ursqrte;
    FRINT "frint" Float (n) float::frint;
    FRINTTS "frintts" Float (n) float::frintts;
    FCVTN "fcvtn" Float (n) convert::fcvtn;
    FCVTL "fcvtl" Float (n) convert::fcvtl;
    FCVTXN "fcvtxn" Float (n) convert::fcvtxn;
    BFCVTN "bfcvtn" Float (n) convert::bfcvtn;
    FCVTS "fcvts" Float (n) convert::fcvts;
    FCVTU "fcvtu" Float (n) convert::fcvtu;
    SCVTF "scvtf" Float (n) convert::scvtf;
    UCVTF "ucvtf" Float (n) convert::ucvtf;
    FCADD "fcadd" Float (n, m) float::fcadd;
    FCMLA "fcmla" Float (n, m, d) float::fcmla;
    FMLAL "fmlal" Float (n, m, d) widening::fmlal;
    BFMLAL "bfmlal" Float (n, m, d) widening::bfmlal;
    BFDOT "bfdot" Lanes (n, m, d) widening::bfdot;
    BFMMLA "bfmmla" Lanes (n, m, d) widening::bfmmla;
    // Saturating arithmetic.
    SUQADD "suqadd" Saturating (n, d) saturate::suqadd;
    USQADD "usqadd" Saturating (n, d) saturate::usqadd;
    SQDMULH "sqdmulh" Saturating (n, m) saturate::sqdmulh;
    SQRDMULH "sqrdmulh" Saturating (n, m) saturate::sqrdmulh;
    SQRDMLAH "sqrdmlah" Saturating (n, m, d) saturate::sqrdmlah;
    SQRDMLSH "sqrdmlsh" Saturating (n, m, d) saturate::sqrdmlsh;
    SQDMULL "sqdmull" Saturating (n, m) saturate::sqdmull;
    SQDMLAL "sqdmlal" Saturating (n, m, d) saturate::sqdmlal;
    SQDMLSL "sqdmlsl" Saturating (n, m, d) saturate::sqdmlsl;
    // Shifts.
    SSHL "sshl" Lanes (n, m) shift::sshl;
    USHL "ushl" Lanes (n, m) shift::ushl;
    SRSHL "srshl" Lanes (n, m) shift::srshl;
    URSHL "urshl" Lanes (n, m) shift::urshl;
    SQSHL "sqshl" Saturating (n, m) shift::sqshl;
    UQSHL "uqshl" Saturating (n, m) shift::uqshl;
    SQRSHL "sqrshl" Saturating (n, m) shift::sqrshl;
    UQRSHL "uqrshl" Saturating (n, m) shift::uqrshl;
    SQSHLU "sqshlu" Saturating (n) shift::sqshlu;
    // Integers.
    CLS "cls" Lanes (n) integer::cls;
    CLZ "clz" Lanes (n) integer::clz;
    RBIT "rbit" Lanes (n) integer::rbit;
    SDOT "sdot" Lanes (n, m, d) integer::sdot;
    UDOT "udot" Lanes (n, m, d) integer::udot;
    USDOT "usdot" Lanes (n, m, d) integer::usdot;
    SMMLA "smmla" Lanes (n, m, d) integer::smmla;
    UMMLA "ummla" Lanes (n, m, d) integer::ummla;
    USMMLA "usmmla" Lanes (n, m, d) integer::usmmla;
    PMUL "pmul" Lanes (n, m) integer::pmul;
    PMULL "pmull" Bits (n, m) integer::pmull;
    PMULL2 "pmull2" Bits (n, m) integer::pmull2;
    PMULL_D "pmull_d" Bits (n, m) integer::pmull_d, PolynomialProductLow;
    PMULL2_D "pmull2_d" Bits (n, m) integer::pmull2_d, PolynomialProductHigh;
    // Cryptography.
    AESE "aese" Bits (d, n) cipher::aese, AesEncryptLast;
    AESD "aesd" Bits (d, n) cipher::aesd, AesDecryptLast;
    AESMC "aesmc" Bits (n) cipher::aesmc, AesMixColumns;
    AESIMC "aesimc" Bits (n) cipher::aesimc, AesInvMixColumns;
    SHA1C "sha1c" Bits (n, m, d) hash::sha1c, Sha1Choose;
    SHA1P "sha1p" Bits (n, m, d) hash::sha1p, Sha1Parity;
    SHA1M "sha1m" Bits (n, m, d) hash::sha1m, Sha1Majority;
    SHA1SU0 "sha1su0" Bits (n, m, d) hash::sha1su0;
    SHA256H "sha256h" Bits (n, m, d) hash::sha256h, Sha256Hash;
    SHA256H2 "sha256h2" Bits (n, m, d) hash::sha256h2, Sha256Hash2;
    SHA256SU1 "sha256su1" Bits (n, m, d) hash::sha256su1, Sha256Schedule1;
    SHA512H "sha512h" Bits (n, m, d) hash::sha512h;
    SHA512H2 "sha512h2" Bits (n, m, d) hash::sha512h2;
    SHA512SU1 "sha512su1" Bits (n, m, d) hash::sha512su1;
    SHA1H "sha1h" Bits (n) hash::sha1h;
    SHA1SU1 "sha1su1" Bits (n, d) hash::sha1su1;
    SHA256SU0 "sha256su0" Bits (n, d) hash::sha256su0, Sha256Schedule0;
    SHA512SU0 "sha512su0" Bits (n, d) hash::sha512su0;
    SM3SS1 "sm3ss1" Bits (n, m, a) hash::sm3ss1;
    SM3TT1A "sm3tt1a" Lanes (n, m, d) hash::sm3tt1a;
    SM3TT1B "sm3tt1b" Lanes (n, m, d) hash::sm3tt1b;
    SM3TT2A "sm3tt2a" Lanes (n, m, d) hash::sm3tt2a;
    SM3TT2B "sm3tt2b" Lanes (n, m, d) hash::sm3tt2b;
    SM3PARTW1 "sm3partw1" Bits (n, m, d) hash::sm3partw1;
    SM3PARTW2 "sm3partw2" Bits (n, m, d) hash::sm3partw2;
    SM4E "sm4e" Bits (d, n) cipher::sm4e;
    SM4EKEY "sm4ekey" Bits (n, m) cipher::sm4ekey;
}
