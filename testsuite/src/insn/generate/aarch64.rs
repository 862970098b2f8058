//! What the generator knows of AArch64's assembly language.

use super::Syntax;
use super::operands::{Kind, Operand, Role};

/// All that the assembler of binutils 2.40 knows of what Ferry has, or will have.
const ARCHITECTURE: &str = "-march=armv9.3-a+aes+sha2+sha3+sm4+crypto+fp16+fp16fml+bf16+i8mm+dotprod\
    +rng+ssbs+sb+predres+flagm+memtag+mops+cssc+pauth+compnum+rdma+crc+lse+rcpc+simd+fp+sve2";

pub(super) static SYNTAX: Syntax = Syntax {
    assembler_flags: &[ARCHITECTURE],
    mode_register: "fpcr",
    modes: &["rp", "rm", "rz", "fz", "dn", "fz16"],
    operands_of,
};

/// The registers in one instruction's text, in its order.
fn operands_of(text: &str) -> Vec<Operand> {
    let (mnemonic, rest) = text.split_once(' ').unwrap_or((text, ""));
    let mut found: Vec<Operand> = Vec::new();
    let is_part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.');
    let mut at = 0;
    while at < rest.len() {
        let length = rest[at..].find(|c| !is_part(c)).unwrap_or(rest.len() - at);
        let role = match rest[..at].chars().next_back() {
            Some('[') => Role::Base,
            _ if found.is_empty() && !reads_first(mnemonic) => Role::Destination,
            _ => Role::Source,
        };
        if let Some(operand) = operand(mnemonic, &rest[at..at + length], role) {
            found.push(operand);
        }
        at += length.max(1);
    }
    found
}

/// Whether the first operand is a source.
fn reads_first(mnemonic: &str) -> bool {
    const STARTS: [&str; 22] = [
        "st", "cas", "swp", "ldadd", "ldclr", "ldeor", "ldset", "ldsm", "ldum", "cb", "tb", "ccm",
        "fcmp", "fccmp", "cmp", "cmn", "tst", "msr", "br", "blr", "ret", "set",
    ];
    STARTS.iter().any(|start| mnemonic.starts_with(start)) || mnemonic.starts_with("cpy")
}

/// `x1`, `w1`, `sp`, `v1.4s`, `v1.s`, `d1`; nothing else.
fn operand(mnemonic: &str, text: &str, role: Role) -> Option<Operand> {
    let (name, arrangement) = text.split_once('.').unwrap_or((text, ""));
    if matches!(name, "sp" | "wsp") {
        let register = "sp".to_owned();
        return Some(Operand { register, kind: Kind::Int, lane: 64, bits: 64, role });
    }
    let first = name.chars().next()?;
    let number = &name[first.len_utf8()..];
    let valid = number.len() <= 2 && number.parse().is_ok_and(|number: u32| number < 32);
    if !valid {
        return None;
    }
    let scalar = |lane: u32| (lane, lane);
    let (lane, bits) = match first {
        'x' => scalar(64),
        'w' => scalar(32),
        'b' => scalar(8),
        'h' => scalar(16),
        's' => scalar(32),
        'd' => scalar(64),
        'q' => scalar(128),
        'v' => {
            let (count, size) = arrangement.split_at_checked(arrangement.len().checked_sub(1)?)?;
            let lane = lane_bits(size)?;
            (lane, count.parse::<u32>().map_or(128, |count| count * lane))
        }
        _ => return None,
    };
    let kind = match (mnemonic.as_bytes(), first) {
        (_, 'x' | 'w') => Kind::Int,
        ([b'b', b'f', ..], _) if lane == 16 && !mnemonic.starts_with("bfm ") => Kind::Bf16,
        ([b'f', ..] | [b'b', b'f', ..], _) => Kind::Float,
        _ => Kind::Int,
    };
    let bank = if matches!(first, 'x' | 'w') { 'x' } else { 'v' };
    Some(Operand { register: format!("{bank}{number}"), kind, lane, bits, role })
}

fn lane_bits(size: &str) -> Option<u32> {
    match size {
        "b" => Some(8),
        "h" => Some(16),
        "s" => Some(32),
        "d" => Some(64),
        "q" => Some(128),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operands_are_found() {
        let summary = |text| {
            let operands = operands_of(text).into_iter();
            operands
                .map(|o| {
                    format!(
                        "{}/{}x{} {:?} {:?}",
                        o.register,
                        o.bits / o.lane,
                        o.lane,
                        o.kind,
                        o.role
                    )
                })
                .collect::<Vec<_>>()
        };
        assert_eq!(
            summary("fmla v0.4s, v1.4s, v2.s[1]"),
            ["v0/4x32 Float Destination", "v1/4x32 Float Source", "v2/4x32 Float Source"]
        );
        assert_eq!(summary("str w3, [sp, #0x10]"), ["x3/1x32 Int Source", "sp/1x64 Int Base"]);
        assert_eq!(summary("msr s3_3_c4_c4_0, x1"), ["x1/1x64 Int Source"]);
        assert_eq!(summary("add x0, x1, w2, uxtw #2").len(), 3);
    }
}
