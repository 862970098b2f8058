//! The corners of the encoding space, one a line: what the call is, or that there is none.

use ferry_decoders::riscv64::{Extension, ExtensionSet, identify};

use crate::recorder::{decoded, decoded_by};

fn check(word: u32, call: &str) {
    let found = decoded(word).unwrap_or_else(|| "illegal".into());
    assert_eq!(found, call, "{word:#x}");
}

#[test]
fn words_that_are_illegal_for_ever() {
    check(0x0000_0000, "illegal");
    check(0xffff_ffff, "illegal");
}

#[test]
fn longer_encodings_are_illegal() {
    for low in [0x1f, 0x3f, 0x5f, 0x7f] {
        for high in 0..=0x1f_ffff {
            assert_eq!(identify(high << 11 | low, ExtensionSet::ALL), None);
        }
    }
}

/// C, "Instruction set listings": RES means reserved, HINT a hint. All on RV64.
#[test]
fn compressed_corners() {
    check(0x0004, "illegal"); // c.addi4spn with imm = 0
    check(0x0020, "addi I { rd: 8, rs1: 2, imm: 8 }");
    check(0x0001, "addi I { rd: 0, rs1: 0, imm: 0 }"); // c.nop
    check(0x0005, "addi I { rd: 0, rs1: 0, imm: 1 }"); // HINT
    check(0x0501, "addi I { rd: 10, rs1: 10, imm: 0 }"); // HINT
    check(0x157d, "addi I { rd: 10, rs1: 10, imm: -1 }");
    check(0x2001, "illegal"); // c.addiw with rd = 0
    check(0x2501, "addiw I { rd: 10, rs1: 10, imm: 0 }"); // sext.w
    check(0x4001, "addi I { rd: 0, rs1: 0, imm: 0 }"); // HINT c.li with rd = 0
    check(0x6101, "illegal"); // c.addi16sp with imm = 0
    check(0x6105, "addi I { rd: 2, rs1: 2, imm: 32 }");
    check(0x7101, "addi I { rd: 2, rs1: 2, imm: -512 }");
    check(0x6005, "lui U { rd: 0, imm: 4096 }"); // HINT c.lui with rd = 0
    check(0x6001, "illegal"); // c.lui with imm = 0, rd = 0
    check(0x6501, "illegal"); // c.lui with imm = 0, rd = 10
    check(0x757d, "lui U { rd: 10, imm: -4096 }");
    check(0x8101, "srli Shift { rd: 10, rs1: 10, shamt: 0 }"); // HINT
    check(0x917d, "srli Shift { rd: 10, rs1: 10, shamt: 63 }");
    check(0x0002, "slli Shift { rd: 0, rs1: 0, shamt: 0 }"); // HINT
    check(0x4002, "illegal"); // c.lwsp with rd = 0
    check(0x6002, "illegal"); // c.ldsp with rd = 0
    check(0x2002, "fld I { rd: 0, rs1: 2, imm: 0 }");
    check(0x8002, "illegal"); // c.jr with rs1 = 0
    check(0x8082, "jalr I { rd: 0, rs1: 1, imm: 0 }");
    check(0x9002, "ebreak");
    check(0x9082, "jalr I { rd: 1, rs1: 1, imm: 0 }");
    check(0x8006, "add R { rd: 0, rs1: 0, rs2: 1 }"); // HINT c.mv with rd = 0
    check(0x9006, "add R { rd: 0, rs1: 0, rs2: 1 }"); // HINT c.add with rd = 0
    check(0x900a, "ntl Locality { level: 1 }");
    check(0x9016, "ntl Locality { level: 4 }");
    check(0x901a, "add R { rd: 0, rs1: 0, rs2: 6 }");
    check(0x9c61, "andi I { rd: 8, rs1: 8, imm: 255 }"); // c.zext.b
    check(0x9c75, "xori I { rd: 8, rs1: 8, imm: -1 }"); // c.not
    check(0x9c71, "add_uw R { rd: 8, rs1: 8, rs2: 0 }"); // c.zext.w
    check(0x9c79, "illegal");
    check(0x9c7d, "illegal");
}

/// Zcmop: c.lui with imm = 0 and odd rd below 16.
#[test]
fn compressed_may_be_operations() {
    check(0x6081, "c_mop MopN { n: 0 }");
    check(0x6281, "c_mop MopN { n: 2 }");
    check(0x6781, "c_mop MopN { n: 7 }");
    check(0x6201, "illegal");
    check(0x6881, "illegal");
    let without = ExtensionSet::ALL.without(Extension::Zcmop);
    assert_eq!(decoded_by(0x6081, without), None);
}

#[test]
fn hints_need_no_extension_to_be_harmless() {
    let base = ExtensionSet::of(&[Extension::I, Extension::C]);
    let call = |word| decoded_by(word, base).unwrap_or_else(|| "illegal".into());
    check(0x0100_000f, "pause");
    assert_eq!(call(0x0100_000f), "fence Fence { fm: 0, pred: 1, succ: 0 }");
    check(0x0020_0033, "ntl Locality { level: 1 }");
    assert_eq!(call(0x0020_0033), "add R { rd: 0, rs1: 0, rs2: 2 }");
    check(0x0005_6013, "prefetch_i Prefetch { rs1: 10, imm: 0 }");
    assert_eq!(call(0x0005_6013), "ori I { rd: 0, rs1: 10, imm: 0 }");
    check(0x0025_6013, "ori I { rd: 0, rs1: 10, imm: 2 }");
    assert_eq!(call(0x900a), "add R { rd: 0, rs1: 0, rs2: 2 }");
}

#[test]
fn fences() {
    check(0x8330_000f, "fence_tso");
    check(0x8320_000f, "fence Fence { fm: 8, pred: 3, succ: 2 }");
    check(0x0ff0_000f, "fence Fence { fm: 0, pred: 15, succ: 15 }");
    check(0x0ff5_050f, "fence Fence { fm: 0, pred: 15, succ: 15 }"); // rd and rs1 are ignored
    check(0x0000_100f, "fence_i");
    check(0x1235_150f, "fence_i"); // rd, rs1 and imm are ignored
}

#[test]
fn shift_amounts() {
    check(0x03f5_1513, "slli Shift { rd: 10, rs1: 10, shamt: 63 }");
    check(0x0405_1513, "illegal");
    check(0x01f5_151b, "slliw Shift { rd: 10, rs1: 10, shamt: 31 }");
    check(0x0205_151b, "illegal");
    check(0x4205_551b, "illegal"); // sraiw by 32
    check(0x0bf5_151b, "slli_uw Shift { rd: 10, rs1: 10, shamt: 63 }");
    check(0x6205_551b, "illegal"); // roriw by 32
}

#[test]
fn atomics() {
    check(0x1005_252f, "lr_w Reserve { rd: 10, rs1: 10, aq: false, rl: false }");
    check(0x1015_252f, "illegal"); // lr.w with rs2
    check(0x1005_052f, "illegal"); // lr.b
    check(0x06b5_352f, "amoadd_d Atomic { rd: 10, rs1: 10, rs2: 11, aq: true, rl: true }");
    check(0x00b5_452f, "illegal"); // amoadd.q
    check(0x00b5_552f, "illegal");
    check(0x00b5_052f, "amoadd_b Atomic { rd: 10, rs1: 10, rs2: 11, aq: false, rl: false }");
    check(0x28c5_452f, "amocas_q Atomic { rd: 10, rs1: 10, rs2: 12, aq: false, rl: false }");
    check(0x28c5_45af, "illegal"); // odd rd
    check(0x28d5_452f, "illegal"); // odd rs2
    check(0x28d5_35af, "amocas_d Atomic { rd: 11, rs1: 10, rs2: 13, aq: false, rl: false }");
    let no_zabha = ExtensionSet::ALL.without(Extension::Zabha);
    assert_eq!(decoded_by(0x00b5_052f, no_zabha), None);
    assert_eq!(decoded_by(0x28b5_052f, ExtensionSet::ALL.without(Extension::Zacas)), None);
}

#[test]
fn immediates() {
    check(0x8000_0537, "lui U { rd: 10, imm: -2147483648 }");
    check(0x7fff_f517, "auipc U { rd: 10, imm: 2147479552 }");
    check(0x8000_00ef, "jal J { rd: 1, imm: -1048576 }");
    check(0x7fff_f0ef, "jal J { rd: 1, imm: 1048574 }");
    check(0x8005_0063, "beq B { rs1: 10, rs2: 0, imm: -4096 }");
    check(0x7eb5_0fe3, "beq B { rs1: 10, rs2: 11, imm: 4094 }");
    check(0xfeb5_3fa3, "sd S { rs1: 10, rs2: 11, imm: -1 }");
    check(0x7ff5_0503, "lb I { rd: 10, rs1: 10, imm: 2047 }");
    check(0xfff5_f573, "csrrci CsrImm { rd: 10, uimm: 11, csr: 4095 }");
}

#[test]
fn floating_point() {
    check(0x00b5_7553, "fadd_s RRm { rd: 10, rs1: 10, rs2: 11, rm: 7 }");
    check(0x00b5_5553, "fadd_s RRm { rd: 10, rs1: 10, rs2: 11, rm: 5 }"); // reserved rm: passed on
    check(0x06b5_7553, "illegal"); // fmt = q
    check(0x5805_7553, "fsqrt_s R2Rm { rd: 10, rs1: 10, rm: 7 }");
    check(0x5815_7553, "illegal"); // fsqrt.s with rs2
    check(0x4005_0553, "illegal"); // fcvt.s.s
    check(0x4035_0553, "illegal"); // fcvt.s.q
    check(0x2a35_3553, "fmaxm_d R { rd: 10, rs1: 10, rs2: 3 }");
    check(0xf01f_8553, "fli_s Fli { rd: 10, index: 31 }");
    check(0xc285_1553, "fcvtmod_w_d R2 { rd: 10, rs1: 10 }");
    check(0xc285_0553, "illegal"); // fcvtmod.w.d with a rounding mode other than rtz
    let f_only = ExtensionSet::of(&[Extension::I, Extension::F, Extension::C, Extension::Zfa]);
    assert_eq!(decoded_by(0x2002, f_only), None); // c.fldsp
    assert_eq!(decoded_by(0xf21f_8553, f_only), None); // fli.d
    assert!(decoded_by(0xf01f_8553, f_only).is_some()); // fli.s
}

#[test]
fn cryptography() {
    check(0x3005_1513, "aes64im R2 { rd: 10, rs1: 10 }");
    check(0x30a5_1513, "illegal"); // aes64im with rs2
    check(0x31a5_1513, "aes64ks1i AesKey { rd: 10, rs1: 10, rnum: 10 }");
    check(0x31b5_1513, "illegal"); // rnum = 11
    let with = |extension| ExtensionSet::of(&[Extension::I, extension]);
    assert!(decoded_by(0x31a5_1513, with(Extension::Zkne)).is_some());
    assert!(decoded_by(0x31a5_1513, with(Extension::Zknd)).is_some());
    assert!(decoded_by(0x31a5_1513, with(Extension::Zknh)).is_none());
}

/// zext.h of Zbb is packw of Zbkb with x0.
#[test]
fn zero_extension_of_a_halfword() {
    check(0x0805_453b, "zext_h R2 { rd: 10, rs1: 10 }");
    check(0x08b5_453b, "packw R { rd: 10, rs1: 10, rs2: 11 }");
    let without_zbb = ExtensionSet::ALL.without(Extension::Zbb);
    let call = decoded_by(0x0805_453b, without_zbb);
    assert_eq!(call.as_deref(), Some("packw R { rd: 10, rs1: 10, rs2: 0 }"));
    assert_eq!(decoded_by(0x08b5_453b, ExtensionSet::ALL.without(Extension::Zbkb)), None);
}

#[test]
fn privileged() {
    check(0x0000_0073, "ecall");
    check(0x0010_0073, "ebreak");
    check(0x0020_0073, "illegal"); // uret
    check(0x0000_00f3, "illegal"); // ecall with rd
    check(0x3020_0073, "mret");
    check(0x1020_0073, "sret");
    check(0x1050_0073, "wfi");
    check(0x12b5_0073, "sfence_vma Sfence { rs1: 10, rs2: 11 }");
    check(0x12b5_00f3, "illegal"); // sfence.vma with rd
    check(0x2200_0073, "illegal"); // hfence.vvma is deferred
}

#[test]
fn deferred_vectors_are_illegal() {
    check(0x02b5_0557, "illegal"); // vadd.vv
    check(0x0205_0007, "illegal"); // vle8.v
    check(0x0d05_7557, "illegal"); // vsetvli
}
