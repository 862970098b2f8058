//! Cryptography and checksums.

use ferry_arch::aarch64::helpers as h;
use ferry_arch::aarch64::helpers::Arg;

use super::operands::Kind;
use super::reference::Rows;

const NONE: Arg = Arg::lanes(0, 16);

#[test]
fn rounds() {
    let mut rows = Rows::default();
    for (text, id) in [
        ("sha1c q0, s1, v2.4s", h::SHA1C),
        ("sha1p q0, s1, v2.4s", h::SHA1P),
        ("sha1m q0, s1, v2.4s", h::SHA1M),
        ("sha1su0 v0.4s, v1.4s, v2.4s", h::SHA1SU0),
        ("sha256h q0, q1, v2.4s", h::SHA256H),
        ("sha256h2 q0, q1, v2.4s", h::SHA256H2),
        ("sha256su1 v0.4s, v1.4s, v2.4s", h::SHA256SU1),
        ("sha512h q0, q1, v2.2d", h::SHA512H),
        ("sha512h2 q0, q1, v2.2d", h::SHA512H2),
        ("sha512su1 v0.2d, v1.2d, v2.2d", h::SHA512SU1),
        ("sm3partw1 v0.4s, v1.4s, v2.4s", h::SM3PARTW1),
        ("sm3partw2 v0.4s, v1.4s, v2.4s", h::SM3PARTW2),
        ("sm4ekey v0.4s, v1.4s, v2.4s", h::SM4EKEY),
    ] {
        rows.add(text, Kind::Integer, move |cpu| {
            cpu.v[0] = cpu.wide(id, NONE, [cpu.v[1], cpu.v[2], cpu.v[0]]);
        });
    }
    for (text, id) in [
        ("sha1h s0, s1", h::SHA1H),
        ("sha1su1 v0.4s, v1.4s", h::SHA1SU1),
        ("sha256su0 v0.4s, v1.4s", h::SHA256SU0),
        ("sha512su0 v0.2d, v1.2d", h::SHA512SU0),
        ("aesmc v0.16b, v1.16b", h::AESMC),
        ("aesimc v0.16b, v1.16b", h::AESIMC),
    ] {
        rows.add(text, Kind::Integer, move |cpu| {
            cpu.v[0] = cpu.wide(id, NONE, [cpu.v[1], cpu.v[0], 0]);
        });
    }
    for (text, id) in [
        ("aese v0.16b, v1.16b", h::AESE),
        ("aesd v0.16b, v1.16b", h::AESD),
        ("sm4e v0.4s, v1.4s", h::SM4E),
    ] {
        rows.add(text, Kind::Integer, move |cpu| {
            cpu.v[0] = cpu.wide(id, NONE, [cpu.v[0], cpu.v[1], 0]);
        });
    }
    rows.add("sm3ss1 v0.4s, v1.4s, v2.4s, v3.4s", Kind::Integer, |cpu| {
        cpu.v[0] = cpu.wide(h::SM3SS1, NONE, [cpu.v[1], cpu.v[2], cpu.v[3]]);
    });
    for (op, id) in [
        ("sm3tt1a", h::SM3TT1A),
        ("sm3tt1b", h::SM3TT1B),
        ("sm3tt2a", h::SM3TT2A),
        ("sm3tt2b", h::SM3TT2B),
    ] {
        for index in 0..4 {
            let text = format!("{op} v0.4s, v1.4s, v2.s[{index}]");
            rows.add(text, Kind::Integer, move |cpu| {
                cpu.v[0] = cpu.wide(id, NONE.with(index), [cpu.v[1], cpu.v[2], cpu.v[0]]);
            });
        }
    }
    rows.check("rounds");
}

#[test]
fn checksums() {
    let mut rows = Rows::default();
    for (name, size) in [("b", 0), ("h", 1), ("w", 2), ("x", 3)] {
        for (op, id) in [("crc32", h::CRC32), ("crc32c", h::CRC32C)] {
            let value = if size == 3 { "x2" } else { "w2" };
            rows.add(format!("{op}{name} w0, w1, {value}"), Kind::Integer, move |cpu| {
                cpu.x[0] = cpu.call(id, [cpu.x[1], cpu.x[2], size, 0]);
            });
        }
    }
    rows.check("checksums");
}
