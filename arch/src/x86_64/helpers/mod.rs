//! What x86-64 instructions need and IR has no operation for. [`HELPERS`] is the table that IR's helper ids index; the
//! constants are those ids.
//!
//! Helpers of vectors have their operands in the SDM's order. What else they need to know is a number, `arg`.

#![expect(unsafe_code, reason = "the engines pass the frame as a raw pointer")]

pub mod crypto;
pub mod gather;
pub mod integer;
pub mod memory;
pub mod packed;
pub mod sse_float;
pub mod string;
pub mod string_compare;
pub mod system;
pub mod x87;
pub mod xsave;

use base::float::{Env, Flags};

use super::{mxcsr, slot};
pub use crate::frame::FrameRef;
use crate::helper_table::helpers;

/// Runs `op` in the guest's SSE environment.
fn with_fp<R>(frame: &mut FrameRef, op: impl FnOnce(&mut Env) -> R) -> R {
    let mut env = mxcsr::env(frame.get(slot::MXCSR) as u32);
    let result = op(&mut env);
    frame.accrue(slot::FP_FLAGS, env.flags.without(Flags(frame.get(slot::FP_FLAGS) as u8)));
    result
}

helpers! {
    // Flags and control registers.
    EFLAGS "eflags" Frame () system::eflags;
    SET_EFLAGS "set_eflags" Frame (value, mask) system::set_eflags;
    MXCSR "mxcsr" Frame () system::mxcsr;
    SET_MXCSR "set_mxcsr" Frame (value) system::set_mxcsr;
    XGETBV "xgetbv" Frame (xcr0) system::xgetbv;
    // What the CPU is: the model as `CpuModel::to_words` gives it.
    CPUID "cpuid" Frame (features, more, signature) system::cpuid;
    // x87. `what` is the opcode of 11 bits, and above it bits 79:64 of an operand.
    X87 "x87" Frame (what, pc, operand, address) x87::execute;
    X87_STORE "x87_store" Memory (what, pc, address) x87::store;
    FLDCW "fldcw" Frame (value) x87::fldcw;
    FNCLEX "fnclex" Frame () x87::fnclex;
    FNINIT "fninit" Frame () x87::fninit;
    FLDENV "fldenv" Memory (address, bits) x87::fldenv;
    FNSTENV "fnstenv" Memory (address, bits) x87::fnstenv;
    FRSTOR "frstor" Memory (address, bits) x87::frstor;
    FNSAVE "fnsave" Memory (address, bits) x87::fnsave;
    // MMX.
    MASKMOVQ "maskmovq" Memory (value, mask, address) memory::maskmovq;
    // FXSAVE, XSAVE. `bits` is 64 or 32, for the width of pointers; a mask is EDX:EAX.
    FXSAVE "fxsave" Memory (address, bits) xsave::fxsave;
    FXRSTOR "fxrstor" Memory (address, bits) xsave::fxrstor;
    XSAVE "xsave" Memory (address, bits, mask, xcr0) xsave::xsave;
    XSAVEOPT "xsaveopt" Memory (address, bits, mask, xcr0) xsave::xsaveopt;
    XSAVEC "xsavec" Memory (address, bits, mask, xcr0) xsave::xsavec;
    XRSTOR "xrstor" Memory (address, bits, mask, xcr0) xsave::xrstor;
    // Time and waiting.
    PAUSE "pause" Frame () system::pause;
    TSC "tsc" Frame () system::tsc;
    TSC_AUX "tsc_aux" Frame () system::tsc_aux;
    RANDOM "random" Frame () system::random;
    BAD_SELECTOR "bad_selector" Pure (selector, place) system::bad_selector;
    ACCESS_RIGHTS "access_rights" Pure (selector) system::access_rights;
    SEGMENT_LIMIT "segment_limit" Frame (selector) system::segment_limit;
    SYNC_CODE "sync_code" Frame () system::sync_code;
    // Integers.
    DIV128 "div128" Pure (low, high, divisor) integer::div128;
    IDIV128 "idiv128" Pure (low, high, divisor) integer::idiv128;
    IDIV128_OVERFLOWS "idiv128_overflows" Pure (low, high, divisor) integer::idiv128_overflows;
    PDEP "pdep" Pure (value, mask) integer::pdep;
    PEXT "pext" Pure (value, mask) integer::pext;
    CRC32 "crc32" Pure (accumulator, value, bytes) integer::crc32;
    LOCK_NEG "lock_neg" Memory (addr, bytes) integer::lock_neg;
    CMPXCHG16B "cmpxchg16b" Memory (addr) integer::cmpxchg16b;
    // String instructions.
    REP_MOVS "rep_movs" Memory (repeat) string::movs;
    REP_STOS "rep_stos" Memory (repeat) string::stos;
    REP_LODS "rep_lods" Memory (repeat) string::lods;
    REP_CMPS "rep_cmps" Memory (repeat) string::cmps;
    REP_SCAS "rep_scas" Memory (repeat) string::scas;
    // Packed integers.
    PMOVMSKB "pmovmskb" Bits (a) packed::pmovmskb, ByteSigns;
    MOVMSKPS "movmskps" Bits (a) packed::movmskps, WordSigns;
    MOVMSKPD "movmskpd" Bits (a) packed::movmskpd, DoublewordSigns;
    MPSADBW "mpsadbw" Lanes (a, b) packed::mpsadbw;
    PADDSB "paddsb" Bits (a, b) packed::paddsb, Packed(Paddsb);
    PADDSW "paddsw" Bits (a, b) packed::paddsw, Packed(Paddsw);
    PADDUSB "paddusb" Bits (a, b) packed::paddusb, Packed(Paddusb);
    PADDUSW "paddusw" Bits (a, b) packed::paddusw, Packed(Paddusw);
    PSUBSB "psubsb" Bits (a, b) packed::psubsb, Packed(Psubsb);
    PSUBSW "psubsw" Bits (a, b) packed::psubsw, Packed(Psubsw);
    PSUBUSB "psubusb" Bits (a, b) packed::psubusb, Packed(Psubusb);
    PSUBUSW "psubusw" Bits (a, b) packed::psubusw, Packed(Psubusw);
    PACKSSWB "packsswb" Bits (a, b) packed::packsswb, Packed(Packsswb);
    PACKSSDW "packssdw" Bits (a, b) packed::packssdw, Packed(Packssdw);
    PACKUSWB "packuswb" Bits (a, b) packed::packuswb, Packed(Packuswb);
    PACKUSDW "packusdw" Bits (a, b) packed::packusdw, Packed(Packusdw);
    PMULHW "pmulhw" Bits (a, b) packed::pmulhw, Packed(Pmulhw);
    PMULHUW "pmulhuw" Bits (a, b) packed::pmulhuw, Packed(Pmulhuw);
    PMULHRSW "pmulhrsw" Bits (a, b) packed::pmulhrsw, Packed(Pmulhrsw);
    PMADDWD "pmaddwd" Bits (a, b) packed::pmaddwd, Packed(Pmaddwd);
    PMADDUBSW "pmaddubsw" Bits (a, b) packed::pmaddubsw, Packed(Pmaddubsw);
    PMULUDQ "pmuludq" Bits (a, b) packed::pmuludq, Packed(Pmuludq);
    PMULDQ "pmuldq" Bits (a, b) packed::pmuldq, Packed(Pmuldq);
    PSADBW "psadbw" Bits (a, b) packed::psadbw, Packed(Psadbw);
    PSLLW "psllw" Bits (a, b) packed::psllw, Packed(Psllw);
    PSLLD "pslld" Bits (a, b) packed::pslld, Packed(Pslld);
    PSLLQ "psllq" Bits (a, b) packed::psllq, Packed(Psllq);
    PSRLW "psrlw" Bits (a, b) packed::psrlw, Packed(Psrlw);
    PSRLD "psrld" Bits (a, b) packed::psrld, Packed(Psrld);
    PSRLQ "psrlq" Bits (a, b) packed::psrlq, Packed(Psrlq);
    PSRAW "psraw" Bits (a, b) packed::psraw, Packed(Psraw);
    PSRAD "psrad" Bits (a, b) packed::psrad, Packed(Psrad);
    PSHUFB "pshufb" Bits (a, b) packed::pshufb, Packed(Pshufb);
    PHADDW "phaddw" Bits (a, b) packed::phaddw, Packed(Phaddw);
    PHADDD "phaddd" Bits (a, b) packed::phaddd, Packed(Phaddd);
    PHADDSW "phaddsw" Bits (a, b) packed::phaddsw, Packed(Phaddsw);
    PHSUBW "phsubw" Bits (a, b) packed::phsubw, Packed(Phsubw);
    PHSUBD "phsubd" Bits (a, b) packed::phsubd, Packed(Phsubd);
    PHSUBSW "phsubsw" Bits (a, b) packed::phsubsw, Packed(Phsubsw);
    PSIGNB "psignb" Bits (a, b) packed::psignb, Packed(Psignb);
    PSIGNW "psignw" Bits (a, b) packed::psignw, Packed(Psignw);
    PSIGND "psignd" Bits (a, b) packed::psignd, Packed(Psignd);
    PHMINPOSUW "phminposuw" Bits (a, b) packed::phminposuw, Packed(Phminposuw);
    AESENC "aesenc" Bits (a, b) crypto::aesenc, Packed(Aesenc);
    AESENCLAST "aesenclast" Bits (a, b) crypto::aesenclast, Packed(Aesenclast);
    AESDEC "aesdec" Bits (a, b) crypto::aesdec, Packed(Aesdec);
    AESDECLAST "aesdeclast" Bits (a, b) crypto::aesdeclast, Packed(Aesdeclast);
    AESIMC "aesimc" Bits (a, b) crypto::aesimc, Packed(Aesimc);
    SHA1NEXTE "sha1nexte" Bits (a, b) crypto::sha1nexte, Packed(Sha1nexte);
    SHA1MSG1 "sha1msg1" Bits (a, b) crypto::sha1msg1, Packed(Sha1msg1);
    SHA1MSG2 "sha1msg2" Bits (a, b) crypto::sha1msg2, Packed(Sha1msg2);
    SHA256MSG1 "sha256msg1" Bits (a, b) crypto::sha256msg1, Packed(Sha256msg1);
    SHA256MSG2 "sha256msg2" Bits (a, b) crypto::sha256msg2, Packed(Sha256msg2);
    GF2P8MULB "gf2p8mulb" Bits (a, b) crypto::gf2p8mulb, Packed(Gf2p8mulb);
    VPSLLVD "vpsllvd" Bits (a, b) packed::vpsllvd, Packed(Vpsllvd);
    VPSLLVQ "vpsllvq" Bits (a, b) packed::vpsllvq, Packed(Vpsllvq);
    VPSRLVD "vpsrlvd" Bits (a, b) packed::vpsrlvd, Packed(Vpsrlvd);
    VPSRLVQ "vpsrlvq" Bits (a, b) packed::vpsrlvq, Packed(Vpsrlvq);
    VPSRAVD "vpsravd" Bits (a, b) packed::vpsravd, Packed(Vpsravd);
    VPERMILPS "vpermilps" Bits (a, b) packed::vpermilps, Packed(Vpermilps);
    VPERMILPD "vpermilpd" Bits (a, b) packed::vpermilpd, Packed(Vpermilpd);
    PCLMULLQLQDQ "pclmullqlqdq" Bits (a, b) crypto::pclmullqlqdq, PolynomialProductLow;
    AESKEYGENASSIST "aeskeygenassist" Lanes (a) crypto::aeskeygenassist;
    SHA1RNDS4 "sha1rnds4" Lanes (a, b) crypto::sha1rnds4;
    SHA256RNDS2 "sha256rnds2" Bits (cdgh, abef, words) crypto::sha256rnds2, Sha256Rounds2;
    GF2P8AFFINEQB "gf2p8affineqb" Lanes (a, b) crypto::gf2p8affineqb;
    GF2P8AFFINEINVQB "gf2p8affineinvqb" Lanes (a, b) crypto::gf2p8affineinvqb;
    // SSE4.2 strings.
    PCMPSTR_RESULT "pcmpstr_result" Lanes (a, b) string_compare::result;
    PCMPSTR_MASK "pcmpstr_mask" Lanes (a, b) string_compare::mask;
    PCMPESTR_LENGTHS "pcmpestr_lengths" Pure (a, b) string_compare::lengths;
    // Floating point.
    CMP_LANES "cmp_lanes" Float (a, b) sse_float::compare;
    ARITHMETIC "arithmetic" Float (a, b, c) sse_float::arithmetic;
    NARROW "narrow" Float (a) sse_float::narrow;
    DP "dp" Float (a, b) sse_float::dot_product;
    VCVTPH2PS "vcvtph2ps" Float (a) sse_float::vcvtph2ps;
    VCVTPS2PH "vcvtps2ph" Float (a) sse_float::vcvtps2ph;
    RCP "rcp" Bits (a) sse_float::rcp;
    RSQRT "rsqrt" Bits (a) sse_float::rsqrt;
    XM_BEGIN "xm_begin" Frame () sse_float::begin_unmasked;
    XM_END "xm_end" Frame (before) sse_float::end_unmasked;
    // Memory under masks.
    GATHER "gather" Memory (what, base, segment) gather::gather;
    MASK_LOAD "mask_load" Memory (what, base) gather::mask_load;
    MASK_STORE "mask_store" Memory (what, base) gather::mask_store;
    MASKMOVDQU "maskmovdqu" Memory (what, base) gather::maskmovdqu;
}

#[cfg(all(test, target_arch = "x86_64"))]
mod native_tests;

#[cfg(test)]
mod tests {
    use base::CpuFrame;

    use super::*;
    use crate::x86_64::{flags, key};

    #[test]
    fn registers_that_are_packed_come_and_go_by_helpers() {
        let mut frame = CpuFrame::new();
        super::super::reset(&mut frame);
        let _ = call(&mut frame, SET_EFLAGS, [u64::MAX, flags::POPF, 0, 0]);
        let expected = flags::POPF | flags::IF | flags::FIXED;
        assert_eq!(call(&mut frame, EFLAGS, [0; 4]), Some(expected));
        assert_eq!(flags::eflags(&frame), expected);
        let _ = call(&mut frame, SET_MXCSR, [0x7fbf, 0, 0, 0]);
        assert_eq!(call(&mut frame, MXCSR, [0; 4]), Some(0x7fbf));
        assert_eq!(frame.key_flags, key::RC | key::TRACED);
        assert_eq!(call_wide(&mut frame, MXCSR, 0_u64, [0; 3]), None);
    }

    #[test]
    fn helpers_have_names_of_their_own() {
        let names: std::collections::BTreeSet<_> =
            HELPERS.iter().map(|helper| helper.name).collect();
        assert_eq!(names.len(), HELPERS.len());
    }
}
