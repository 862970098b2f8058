//! Values in cases: numbers, addresses relative to the code or the data, floating-point literals.

use base::float::{Env, F16, F32, F64, Flags, Format, Round, Rules, soft};

use crate::guest::Narrow;
use crate::machine::{CODE, DATA};

/// `0x12`, `-1`, `data+8`, `code-4`, `s:1.5`, `d:-inf`, `h:nan`, `s:snan`: in two's complement of
/// 128 bits.
pub(crate) fn parse(text: &str, narrow: Narrow) -> Result<u128, String> {
    for (name, base) in [("data", DATA.0), ("code", CODE.0)] {
        if let Some(rest) = text.strip_prefix(name) {
            let offset = if rest.is_empty() { 0 } else { number(rest)? };
            return Ok(u128::from(base).wrapping_add(offset));
        }
    }
    let widened = |value: u64, bits: u32| match narrow {
        Narrow::Boxed => value | u64::MAX << bits,
        Narrow::ZeroExtended => value,
    };
    let encoding = match text.split_once(':') {
        Some(("h", literal)) => widened(float::<F16>(literal)?, 16),
        Some(("s", literal)) => widened(float::<F32>(literal)?, 32),
        Some(("d", literal)) => float::<F64>(literal)?,
        _ => return number(text),
    };
    Ok(u128::from(encoding))
}

/// A value that fits into so many bits, signed or unsigned.
pub(crate) fn parse_bits(text: &str, bits: u32, narrow: Narrow) -> Result<u128, String> {
    let value = parse(text, narrow)?;
    let above = if bits < 128 { (value as i128) >> bits } else { 0 };
    let mask = u128::MAX >> (128 - bits);
    match above {
        0 | -1 => Ok(value & mask),
        _ => Err(format!("'{text}' has more than {bits} bits")),
    }
}

fn number(text: &str) -> Result<u128, String> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let magnitude = match digits.strip_prefix("0x") {
        Some(hex) => u128::from_str_radix(hex, 16),
        None => digits.parse(),
    };
    let magnitude = magnitude.map_err(|_| format!("'{text}' is no number"))?;
    Ok(if negative { magnitude.wrapping_neg() } else { magnitude })
}

/// The encoding of a literal, which must be exact in the format. Hexadecimal is the encoding itself.
fn float<F: Format>(literal: &str) -> Result<u64, String> {
    use base::float::RawBits;
    let (sign, magnitude) = match literal.strip_prefix('-') {
        Some(rest) => (F::SIGN, rest),
        None => (0, literal),
    };
    let magnitude = match magnitude {
        "nan" => F::QUIET_NAN,
        "snan" => F::INFINITY | 1,
        "inf" => F::INFINITY,
        "min" => 1,
        "normal" => F::MIN_NORMAL,
        "max" => F::MAX_FINITE,
        hex if hex.starts_with("0x") => number(hex)? as u64,
        decimal => {
            let value: f64 = decimal.parse().map_err(|_| format!("'{literal}' is no number"))?;
            let mut env = Env { round: Round::TowardZero, ..Env::new(Rules::RISCV) };
            let bits = soft::convert::<F64, F>(value.to_bits(), &mut env);
            if env.flags != Flags::NONE {
                return Err(format!("'{literal}' is not exact"));
            }
            bits.to_u64()
        }
    };
    Ok(sign | magnitude)
}

#[cfg(test)]
mod tests {
    use super::{Narrow, parse, parse_bits};

    #[test]
    fn values_are_read_as_they_are_written() {
        let boxed = |text| parse_bits(text, 64, Narrow::Boxed);
        assert_eq!(boxed("-1"), Ok(u128::from(u64::MAX)));
        assert_eq!(boxed("data+0x10"), Ok(0x2000_0010));
        assert_eq!(boxed("code-4"), Ok(0x0fff_fffc));
        assert_eq!(boxed("s:1.5"), Ok(0xffff_ffff_3fc0_0000));
        assert_eq!(boxed("d:-inf"), Ok(0xfff0_0000_0000_0000));
        assert_eq!(boxed("h:-0.5"), Ok(0xffff_ffff_ffff_b800));
        assert_eq!(boxed("h:snan"), Ok(0xffff_ffff_ffff_7c01));
        assert!(boxed("s:0.1").is_err() && boxed("x").is_err());
    }

    #[test]
    fn wide_values_and_unboxed_ones() {
        assert_eq!(parse("s:1.5", Narrow::ZeroExtended), Ok(0x3fc0_0000));
        assert_eq!(parse_bits("-1", 128, Narrow::ZeroExtended), Ok(u128::MAX));
        let wide = 0x0123_4567_89ab_cdef_0123_4567_89ab_cdef;
        let text = "0x0123456789abcdef0123456789abcdef";
        assert_eq!(parse_bits(text, 128, Narrow::ZeroExtended), Ok(wide));
        assert!(parse_bits("0x100", 8, Narrow::ZeroExtended).is_err());
        assert_eq!(parse_bits("-128", 8, Narrow::ZeroExtended), Ok(0x80));
    }
}
