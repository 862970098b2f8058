//! Values in cases: numbers, addresses relative to the code or the data, floating-point literals.

use base::float::{Env, F16, F32, F64, Flags, Format, Round, Rules, soft};

use super::machine::{CODE, DATA};

/// `0x12`, `-1`, `data+8`, `code-4`, `s:1.5`, `d:-inf`, `h:nan`, `s:snan`, a sum of them by `+`
/// after a name.
pub(super) fn parse(text: &str) -> Result<u64, String> {
    for (name, base) in [("data", DATA.0), ("code", CODE.0)] {
        if let Some(rest) = text.strip_prefix(name) {
            let offset = if rest.is_empty() { 0 } else { number(rest)? };
            return Ok(base.wrapping_add(offset));
        }
    }
    match text.split_once(':') {
        Some(("h", literal)) => Ok(float::<F16>(literal)? | !0xffff),
        Some(("s", literal)) => Ok(float::<F32>(literal)? | !0xffff_ffff),
        Some(("d", literal)) => float::<F64>(literal),
        _ => number(text),
    }
}

fn number(text: &str) -> Result<u64, String> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let magnitude = match digits.strip_prefix("0x") {
        Some(hex) => u64::from_str_radix(hex, 16),
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
        hex if hex.starts_with("0x") => number(hex)?,
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
    use super::parse;

    #[test]
    fn values_are_read_as_they_are_written() {
        assert_eq!(parse("-1"), Ok(u64::MAX));
        assert_eq!(parse("data+0x10"), Ok(0x2000_0010));
        assert_eq!(parse("code-4"), Ok(0x0fff_fffc));
        assert_eq!(parse("s:1.5"), Ok(0xffff_ffff_3fc0_0000));
        assert_eq!(parse("d:-inf"), Ok(0xfff0_0000_0000_0000));
        assert_eq!(parse("h:-0.5"), Ok(0xffff_ffff_ffff_b800));
        assert_eq!(parse("h:snan"), Ok(0xffff_ffff_ffff_7c01));
        assert!(parse("s:0.1").is_err() && parse("x").is_err());
    }
}
