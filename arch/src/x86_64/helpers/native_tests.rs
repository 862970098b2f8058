//! Helpers of vectors against the host's own instructions: results, and all flags of MXCSR, for random and corner operands.

use std::arch::asm;

use base::rng::Rng;
use base::wide::{bits_of, vector_of};
use base::{CpuFrame, HelperId};

use super::*;
use crate::lane::Lane;

/// Numbers that repeat.
struct Random(Rng);

impl Random {
    fn next(&mut self) -> u64 {
        self.0.bits()
    }

    /// Integers, floats and strings that meet: corner values in lanes, small numbers, anything.
    fn vector(&mut self) -> u128 {
        const WORDS: [u32; 16] = [
            0,
            1,
            0x8000_0000,
            0x7fff_ffff,
            0xffff_ffff,
            0x3f80_0000,
            0xbf80_0000,
            0x7f80_0000,
            0xff80_0000,
            0x7fc0_0001,
            0x7f80_0001,
            0x0000_0fff,
            0x007f_ffff,
            0x8080_0000,
            0x7f7f_ffff,
            0x477f_ffff,
        ];
        const DOUBLEWORDS: [u64; 8] = [
            0,
            1 << 63,
            0x3ff0_0000_0000_0000,
            0x7ff0_0000_0000_0000,
            0x7ff8_0000_0000_0001,
            0xfff0_0000_0000_0001,
            1,
            0x7fef_ffff_ffff_ffff,
        ];
        let kind = self.next() % 8;
        let low = match kind {
            0 => 0,
            1 => self.next() & 0x0303_0303_0303_0303,
            2 => self.next() & 0x0001_0001_0001_0001,
            3 | 4 => {
                let random = self.next() as usize;
                u64::from(WORDS[random % 16]) << 32 | u64::from(WORDS[random >> 8 & 15])
            }
            5 => DOUBLEWORDS[self.next() as usize % 8],
            6 => self.next() % 80,
            _ => self.next(),
        };
        let high = match kind {
            3 | 4 => {
                let random = self.next() as usize;
                u64::from(WORDS[random % 16]) << 32 | u64::from(WORDS[random >> 8 & 15])
            }
            5 => DOUBLEWORDS[self.next() as usize % 8],
            6 => 0,
            _ => self.next(),
        };
        u128::from(high) << 64 | u128::from(low)
    }
}

const CASES: usize = 20_000;

/// `xmm0 = instruction(xmm0, xmm1)` and MXCSR after it, which was `$mxcsr`; xmm2 is a third operand.
macro_rules! native {
    ($insn:literal, $mxcsr:expr, $a:expr, $b:expr, $c:expr) => {{
        let (mut a, b, c) = (vector_of($a), vector_of($b), vector_of($c));
        let (mut mxcsr, default): (u32, u32) = ($mxcsr, 0x1f80);
        // SAFETY: MXCSR is put back to what Rust assumes; only the named registers change.
        unsafe {
            asm!(
                "ldmxcsr [{csr}]", $insn, "stmxcsr [{csr}]", "ldmxcsr [{default}]",
                csr = in(reg) &raw mut mxcsr, default = in(reg) &raw const default,
                inout("xmm0") a, in("xmm1") b, in("xmm2") c, options(nostack)
            );
        }
        (bits_of(a), mxcsr)
    }};
}

fn helper(id: HelperId, arg: u64, mxcsr: u32, [a, b]: [u128; 2]) -> (u128, u32) {
    let mut frame = CpuFrame::new();
    mxcsr::set(&mut frame, mxcsr);
    let result = call_wide(&mut frame, id, arg, [a, b, 0]).expect("a helper of vectors");
    (result, mxcsr::get(&frame))
}

macro_rules! pure {
    ($($feature:tt { $($insn:literal $id:ident),* })*) => {
        #[test]
        fn packed_helpers_compute_what_the_host_does() {
            let mut random = Random(Rng::new(0x1234_5678_9abc_def1));
            $(if std::is_x86_feature_detected!($feature) {
                $(for _ in 0..CASES {
                    let (a, b) = (random.vector(), random.vector());
                    let wanted = native!($insn, 0x1f80, a, b, 0);
                    assert_eq!(helper($id, 0, 0x1f80, [a, b]), wanted, "{} {a:#x} {b:#x}", $insn);
                })*
            })*
        }
    };
}

pure! {
    "sse4.2" {
        "paddsb xmm0, xmm1" PADDSB, "paddsw xmm0, xmm1" PADDSW, "paddusb xmm0, xmm1" PADDUSB,
        "paddusw xmm0, xmm1" PADDUSW, "psubsb xmm0, xmm1" PSUBSB, "psubsw xmm0, xmm1" PSUBSW,
        "psubusb xmm0, xmm1" PSUBUSB, "psubusw xmm0, xmm1" PSUBUSW,
        "packsswb xmm0, xmm1" PACKSSWB, "packssdw xmm0, xmm1" PACKSSDW,
        "packuswb xmm0, xmm1" PACKUSWB, "packusdw xmm0, xmm1" PACKUSDW,
        "pmulhw xmm0, xmm1" PMULHW, "pmulhuw xmm0, xmm1" PMULHUW, "pmulhrsw xmm0, xmm1" PMULHRSW,
        "pmaddwd xmm0, xmm1" PMADDWD, "pmaddubsw xmm0, xmm1" PMADDUBSW,
        "pmuludq xmm0, xmm1" PMULUDQ, "pmuldq xmm0, xmm1" PMULDQ, "psadbw xmm0, xmm1" PSADBW,
        "psllw xmm0, xmm1" PSLLW, "pslld xmm0, xmm1" PSLLD, "psllq xmm0, xmm1" PSLLQ,
        "psrlw xmm0, xmm1" PSRLW, "psrld xmm0, xmm1" PSRLD, "psrlq xmm0, xmm1" PSRLQ,
        "psraw xmm0, xmm1" PSRAW, "psrad xmm0, xmm1" PSRAD, "pshufb xmm0, xmm1" PSHUFB,
        "phaddw xmm0, xmm1" PHADDW, "phaddd xmm0, xmm1" PHADDD, "phaddsw xmm0, xmm1" PHADDSW,
        "phsubw xmm0, xmm1" PHSUBW, "phsubd xmm0, xmm1" PHSUBD, "phsubsw xmm0, xmm1" PHSUBSW,
        "psignb xmm0, xmm1" PSIGNB, "psignw xmm0, xmm1" PSIGNW, "psignd xmm0, xmm1" PSIGND,
        "phminposuw xmm0, xmm1" PHMINPOSUW
    }
    "sse2" {
        "pmovmskb eax, xmm0\nmovd xmm0, eax" PMOVMSKB, "movmskps eax, xmm0\nmovd xmm0, eax" MOVMSKPS,
        "movmskpd eax, xmm0\nmovd xmm0, eax" MOVMSKPD, "rcpps xmm0, xmm0" RCP, "rsqrtps xmm0, xmm0" RSQRT
    }
    "pclmulqdq" { "pclmullqlqdq xmm0, xmm1" PCLMULLQLQDQ }
    "aes" {
        "aesenc xmm0, xmm1" AESENC, "aesenclast xmm0, xmm1" AESENCLAST, "aesdec xmm0, xmm1" AESDEC,
        "aesdeclast xmm0, xmm1" AESDECLAST, "aesimc xmm0, xmm1" AESIMC
    }
    "sha" {
        "sha1nexte xmm0, xmm1" SHA1NEXTE, "sha1msg1 xmm0, xmm1" SHA1MSG1, "sha1msg2 xmm0, xmm1" SHA1MSG2,
        "sha256msg1 xmm0, xmm1" SHA256MSG1, "sha256msg2 xmm0, xmm1" SHA256MSG2
    }
    "gfni" { "gf2p8mulb xmm0, xmm1" GF2P8MULB }
    "avx2" {
        "vpsllvd xmm0, xmm0, xmm1" VPSLLVD, "vpsllvq xmm0, xmm0, xmm1" VPSLLVQ,
        "vpsrlvd xmm0, xmm0, xmm1" VPSRLVD, "vpsrlvq xmm0, xmm0, xmm1" VPSRLVQ,
        "vpsravd xmm0, xmm0, xmm1" VPSRAVD, "vpermilps xmm0, xmm0, xmm1" VPERMILPS,
        "vpermilpd xmm0, xmm0, xmm1" VPERMILPD
    }
}

#[test]
fn sha256_does_two_rounds_as_the_host_does() {
    let mut random = Random(Rng::new(0x9999));
    for _ in 0..if std::is_x86_feature_detected!("sha") { CASES } else { 0 } {
        let [cdgh, abef, words] = [0; 3].map(|_| random.vector());
        let (wanted, _) =
            native!("sha256rnds2 xmm2, xmm1, xmm0\nmovaps xmm0, xmm2", 0x1f80, words, abef, cdgh);
        let mut frame = CpuFrame::new();
        assert_eq!(call_wide(&mut frame, SHA256RNDS2, 0_u64, [cdgh, abef, words]), Some(wanted));
    }
}

/// Which of several NaNs becomes the sum of products is the processor's choice: on others than Intel's, one counts as any.
fn settled(id: HelperId, arg: u64, bits: u128) -> u128 {
    if id != DP || base::host::is_intel() {
        return bits;
    }
    match arg >> 8 & 1 {
        0 => u32::join(|n| match u32::split(bits)[n] {
            word if f32::from_bits(word).is_nan() => f32::NAN.to_bits(),
            word => word,
        }),
        _ => u64::join(|n| match u64::split(bits)[n] {
            word if f64::from_bits(word).is_nan() => f64::NAN.to_bits(),
            word => word,
        }),
    }
}

/// With a number of immediates each, all MXCSRs of a list.
macro_rules! with_immediates {
    ($test:ident, $mxcsrs:expr, $cases:expr, $random:ident, $($feature:tt $arg:expr => { $($insn:literal $id:ident $imm:literal),* })*) => {
        #[test]
        fn $test() {
            let mut $random = Random(Rng::new(0x5555_1111));
            $(if std::is_x86_feature_detected!($feature) {
                $(for n in 0..$cases {
                    let (a, b) = ($random.vector(), $random.vector());
                    let mxcsr = $mxcsrs[n % $mxcsrs.len()];
                    let wanted = native!($insn, mxcsr, a, b, 0);
                    let arg: fn(u8) -> u64 = $arg;
                    let found = helper($id, arg($imm), mxcsr, [a, b]);
                    let [found, wanted] = [found, wanted].map(|(bits, flags)| (settled($id, arg($imm), bits), flags));
                    assert_eq!(found, wanted, "{} {a:#x} {b:#x} {mxcsr:#x}", $insn);
                })*
            })*
        }
    };
}

with_immediates! { immediates_choose_as_in_the_host, [0x1f80], 3000, random,
    "sse4.1" |imm| imm.into() => {
        "mpsadbw xmm0, xmm1, 0" MPSADBW 0, "mpsadbw xmm0, xmm1, 5" MPSADBW 5,
        "mpsadbw xmm0, xmm1, 7" MPSADBW 7, "mpsadbw xmm0, xmm1, 2" MPSADBW 2
    }
    "aes" |imm| imm.into() => {
        "aeskeygenassist xmm0, xmm0, 0" AESKEYGENASSIST 0, "aeskeygenassist xmm0, xmm0, 0x36" AESKEYGENASSIST 0x36
    }
    "sha" |imm| imm.into() => {
        "sha1rnds4 xmm0, xmm1, 0" SHA1RNDS4 0, "sha1rnds4 xmm0, xmm1, 1" SHA1RNDS4 1,
        "sha1rnds4 xmm0, xmm1, 2" SHA1RNDS4 2, "sha1rnds4 xmm0, xmm1, 3" SHA1RNDS4 3
    }
    "gfni" |imm| imm.into() => {
        "gf2p8affineqb xmm0, xmm1, 0x63" GF2P8AFFINEQB 0x63, "gf2p8affineinvqb xmm0, xmm1, 0x5a" GF2P8AFFINEINVQB 0x5a
    }
}

/// Rounding in all directions, with and without DAZ and FTZ.
const MXCSRS: [u32; 8] = [0x1f80, 0x3f80, 0x5f80, 0x7f80, 0x1fc0, 0x9f80, 0x9fc0, 0x1fa0];

with_immediates! { products_are_the_host_s, MXCSRS, 20_000, random,
    "sse4.1" |imm| sse_float::arg(imm, false, 4) => {
        "dpps xmm0, xmm1, 0xff" DP 0xff, "dpps xmm0, xmm1, 0x71" DP 0x71, "dpps xmm0, xmm1, 0x5a" DP 0x5a
    }
    "sse4.1" |imm| sse_float::arg(imm, true, 2) => {
        "dppd xmm0, xmm1, 0x33" DP 0x33, "dppd xmm0, xmm1, 0x12" DP 0x12
    }
    "f16c" |imm| sse_float::arg(imm, false, 4) => {
        "vcvtph2ps xmm0, xmm0" VCVTPH2PS 0, "vcvtps2ph xmm0, xmm0, 0" VCVTPS2PH 0, "vcvtps2ph xmm0, xmm0, 1" VCVTPS2PH 1,
        "vcvtps2ph xmm0, xmm0, 2" VCVTPS2PH 2, "vcvtps2ph xmm0, xmm0, 3" VCVTPS2PH 3, "vcvtps2ph xmm0, xmm0, 4" VCVTPS2PH 4
    }
}

with_immediates! { predicates_are_the_host_s, MXCSRS, 2000, random,
    "avx" |imm| sse_float::arg(imm, false, 4) => {
        "vcmpps xmm0, xmm0, xmm1, 0" CMP_LANES 0,
        "vcmpps xmm0, xmm0, xmm1, 1" CMP_LANES 1,
        "vcmpps xmm0, xmm0, xmm1, 2" CMP_LANES 2,
        "vcmpps xmm0, xmm0, xmm1, 3" CMP_LANES 3,
        "vcmpps xmm0, xmm0, xmm1, 4" CMP_LANES 4,
        "vcmpps xmm0, xmm0, xmm1, 5" CMP_LANES 5,
        "vcmpps xmm0, xmm0, xmm1, 6" CMP_LANES 6,
        "vcmpps xmm0, xmm0, xmm1, 7" CMP_LANES 7,
        "vcmpps xmm0, xmm0, xmm1, 8" CMP_LANES 8,
        "vcmpps xmm0, xmm0, xmm1, 9" CMP_LANES 9,
        "vcmpps xmm0, xmm0, xmm1, 10" CMP_LANES 10,
        "vcmpps xmm0, xmm0, xmm1, 11" CMP_LANES 11,
        "vcmpps xmm0, xmm0, xmm1, 12" CMP_LANES 12,
        "vcmpps xmm0, xmm0, xmm1, 13" CMP_LANES 13,
        "vcmpps xmm0, xmm0, xmm1, 14" CMP_LANES 14,
        "vcmpps xmm0, xmm0, xmm1, 15" CMP_LANES 15,
        "vcmpps xmm0, xmm0, xmm1, 16" CMP_LANES 16,
        "vcmpps xmm0, xmm0, xmm1, 17" CMP_LANES 17,
        "vcmpps xmm0, xmm0, xmm1, 18" CMP_LANES 18,
        "vcmpps xmm0, xmm0, xmm1, 19" CMP_LANES 19,
        "vcmpps xmm0, xmm0, xmm1, 20" CMP_LANES 20,
        "vcmpps xmm0, xmm0, xmm1, 21" CMP_LANES 21,
        "vcmpps xmm0, xmm0, xmm1, 22" CMP_LANES 22,
        "vcmpps xmm0, xmm0, xmm1, 23" CMP_LANES 23,
        "vcmpps xmm0, xmm0, xmm1, 24" CMP_LANES 24,
        "vcmpps xmm0, xmm0, xmm1, 25" CMP_LANES 25,
        "vcmpps xmm0, xmm0, xmm1, 26" CMP_LANES 26,
        "vcmpps xmm0, xmm0, xmm1, 27" CMP_LANES 27,
        "vcmpps xmm0, xmm0, xmm1, 28" CMP_LANES 28,
        "vcmpps xmm0, xmm0, xmm1, 29" CMP_LANES 29,
        "vcmpps xmm0, xmm0, xmm1, 30" CMP_LANES 30,
        "vcmpps xmm0, xmm0, xmm1, 31" CMP_LANES 31
    }
    "avx" |imm| sse_float::arg(imm, true, 2) => {
        "vcmppd xmm0, xmm0, xmm1, 0" CMP_LANES 0,
        "vcmppd xmm0, xmm0, xmm1, 1" CMP_LANES 1,
        "vcmppd xmm0, xmm0, xmm1, 2" CMP_LANES 2,
        "vcmppd xmm0, xmm0, xmm1, 3" CMP_LANES 3,
        "vcmppd xmm0, xmm0, xmm1, 4" CMP_LANES 4,
        "vcmppd xmm0, xmm0, xmm1, 5" CMP_LANES 5,
        "vcmppd xmm0, xmm0, xmm1, 6" CMP_LANES 6,
        "vcmppd xmm0, xmm0, xmm1, 7" CMP_LANES 7,
        "vcmppd xmm0, xmm0, xmm1, 8" CMP_LANES 8,
        "vcmppd xmm0, xmm0, xmm1, 9" CMP_LANES 9,
        "vcmppd xmm0, xmm0, xmm1, 10" CMP_LANES 10,
        "vcmppd xmm0, xmm0, xmm1, 11" CMP_LANES 11,
        "vcmppd xmm0, xmm0, xmm1, 12" CMP_LANES 12,
        "vcmppd xmm0, xmm0, xmm1, 13" CMP_LANES 13,
        "vcmppd xmm0, xmm0, xmm1, 14" CMP_LANES 14,
        "vcmppd xmm0, xmm0, xmm1, 15" CMP_LANES 15,
        "vcmppd xmm0, xmm0, xmm1, 16" CMP_LANES 16,
        "vcmppd xmm0, xmm0, xmm1, 17" CMP_LANES 17,
        "vcmppd xmm0, xmm0, xmm1, 18" CMP_LANES 18,
        "vcmppd xmm0, xmm0, xmm1, 19" CMP_LANES 19,
        "vcmppd xmm0, xmm0, xmm1, 20" CMP_LANES 20,
        "vcmppd xmm0, xmm0, xmm1, 21" CMP_LANES 21,
        "vcmppd xmm0, xmm0, xmm1, 22" CMP_LANES 22,
        "vcmppd xmm0, xmm0, xmm1, 23" CMP_LANES 23,
        "vcmppd xmm0, xmm0, xmm1, 24" CMP_LANES 24,
        "vcmppd xmm0, xmm0, xmm1, 25" CMP_LANES 25,
        "vcmppd xmm0, xmm0, xmm1, 26" CMP_LANES 26,
        "vcmppd xmm0, xmm0, xmm1, 27" CMP_LANES 27,
        "vcmppd xmm0, xmm0, xmm1, 28" CMP_LANES 28,
        "vcmppd xmm0, xmm0, xmm1, 29" CMP_LANES 29,
        "vcmppd xmm0, xmm0, xmm1, 30" CMP_LANES 30,
        "vcmppd xmm0, xmm0, xmm1, 31" CMP_LANES 31
    }
}

/// An immediate of a PCMPxSTRx: the index and flags of the host by explicit and implicit lengths, and the mask.
macro_rules! strings {
    ($($imm:literal)*) => {
        #[test]
        fn strings_compare_as_in_the_host() {
            let mut random = Random(Rng::new(0x7777_3333));
            if !std::is_x86_feature_detected!("sse4.2") {
                return;
            }
            $(for _ in 0..2000 {
                let (a, b) = (random.vector(), random.vector());
                let (length_a, length_b) = (random.next() as i32 % 20, random.next() as i32 % 20);
                let (index, flags): (u32, u64);
                let mask;
                // SAFETY: only the named registers change, and the stack is as it was.
                unsafe {
                    asm!(
                        concat!("pcmpestrm xmm1, xmm2, ", $imm), "movaps xmm3, xmm0",
                        concat!("pcmpestri xmm1, xmm2, ", $imm), "pushfq", "pop {flags}",
                        flags = out(reg) flags, in("eax") length_a, in("edx") length_b, out("ecx") index,
                        out("xmm0") _, in("xmm1") vector_of(a), in("xmm2") vector_of(b), out("xmm3") mask
                    );
                }
                let lengths = string_compare::lengths(i64::from(length_a) as u64, i64::from(length_b) as u64);
                check_string($imm | lengths, [a, b], index, flags, bits_of(mask));
                let (index, flags): (u32, u64);
                let mask;
                // SAFETY: as above.
                unsafe {
                    asm!(
                        concat!("pcmpistrm xmm1, xmm2, ", $imm), "movaps xmm3, xmm0",
                        concat!("pcmpistri xmm1, xmm2, ", $imm), "pushfq", "pop {flags}",
                        flags = out(reg) flags, out("ecx") index,
                        out("xmm0") _, in("xmm1") vector_of(a), in("xmm2") vector_of(b), out("xmm3") mask
                    );
                }
                check_string($imm, [a, b], index, flags, bits_of(mask));
            })*
        }
    };
}

fn check_string(arg: u64, [a, b]: [u128; 2], index: u32, eflags: u64, mask: u128) {
    let result = string_compare::result(arg, a, b) as u32;
    let (found, count) = (result & 0xffff, if arg & 1 == 0 { 16 } else { 8 });
    let first = match (found, arg & 0x40) {
        (0, _) => count,
        (_, 0) => found.trailing_zeros(),
        _ => 31 - found.leading_zeros(),
    };
    assert_eq!(first, index, "{arg:#x} {a:#x} {b:#x}");
    assert_eq!(string_compare::mask(arg, a, b), mask, "{arg:#x} {a:#x} {b:#x}");
    let wanted =
        eflags & 1 | (eflags >> 6 & 1) << 1 | (eflags >> 7 & 1) << 2 | (eflags >> 11 & 1) << 3;
    let (second, first) = (string_compare::ENDS_SECOND, string_compare::ENDS_FIRST);
    let ends = (result >> second & 1) << 1 | (result >> first & 1) << 2;
    let flags = u32::from(found != 0) | ends | (found & 1) << 3;
    assert_eq!(u64::from(flags), wanted, "{arg:#x} {a:#x} {b:#x}");
}

strings! {
    0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30 31 32 33 34 35 36 37 38 39 40 41 42 43 44 45 46 47 48 49 50 51 52 53 54 55 56 57 58 59 60 61 62 63 64 65 66 67 68 69 70 71 72 73 74 75 76 77 78 79 80 81 82 83 84 85 86 87 88 89 90 91 92 93 94 95 96 97 98 99 100 101 102 103 104 105 106 107 108 109 110 111 112 113 114 115 116 117 118 119 120 121 122 123 124 125 126 127
}
