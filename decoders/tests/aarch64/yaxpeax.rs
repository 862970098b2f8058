//! Same operands as an independent decoder, yaxpeax-arm, has them, for all words that both decode. Which words are
//! instructions is left to objdump: this decoder takes many that are none.

#![expect(clippy::print_stderr, reason = "says how much was compared")]

use base::GuestVirt;
use base::rng::Rng;
use ferry_decoders::aarch64::{Extension, ExtensionSet, INSTRUCTIONS, Op, disassemble, identify};
use yaxpeax_arch::{Decoder, U8Reader};
use yaxpeax_arm::armv8::a64::{
    InstDecoder, Instruction, Operand, SIMDSizeCode, ShiftStyle, SizeCode,
};

use crate::Random;

/// Words for each instruction.
const EACH: usize = 300;

/// An operand, or a part of one.
#[derive(Clone, PartialEq, Debug)]
enum Token {
    /// A register, a condition, a shift.
    Word(String),
    /// A number, an offset, a target.
    Number(u64),
    /// A floating-point constant.
    Float(f64),
}

#[test]
fn operands_are_the_same() {
    let mut random = Random(Rng::new(7));
    let (mut compared, mut differences, mut unknown) = (0, Vec::new(), Vec::new());
    for info in INSTRUCTIONS.iter().filter(|info| !is_excused(info.op)) {
        let words = (0..EACH).map(|_| random.next() & !info.mask | info.value);
        let words = words.filter(|&word| identify(word, ExtensionSet::ALL) == Some(info.op));
        let both: Vec<_> = words.filter_map(|word| Some((word, decode(word)?))).collect();
        if both.is_empty() && !is_unknown(info.op) {
            unknown.push(info.name);
        }
        compared += both.len();
        differences.extend(both.iter().find_map(|(word, theirs)| difference(*word, theirs)));
    }
    eprintln!("yaxpeax: {compared} words compared");
    assert!(differences.is_empty(), "{}:\n{}", differences.len(), differences.join("\n"));
    assert!(unknown.is_empty(), "{unknown:?}");
}

/// What it knows nothing of.
fn is_unknown(op: Op) -> bool {
    use Extension::{BF16, CSSC, I8MM, MOPS};
    let names = ["addg", "subg", "frint32x_v", "frint64x_v"];
    [BF16, CSSC, I8MM, MOPS].contains(&op.extension()) || names.contains(&op.name())
}

/// What it gets wrong, or has in another form: system instructions without their numbers, STGP with the operands of a
/// pair of W registers, FMLAL and its like with vectors of twice the length.
fn is_excused(op: Op) -> bool {
    let of_system = op.info().value >> 22 == 0b11_0101_0100;
    let mnemonics = ["stgp", "fmlal", "fmlal2", "fmlsl", "fmlsl2"];
    of_system || mnemonics.contains(&op.mnemonic())
}

fn difference(word: u32, theirs: &Instruction) -> Option<String> {
    let (ours, theirs) = (our_tokens(word), their_tokens(theirs));
    let text = || format!("{word:08x} {}: {theirs:?}", disassemble(word, GuestVirt(0)));
    (ours != theirs).then(text)
}

fn decode(word: u32) -> Option<Instruction> {
    let bytes = word.to_le_bytes();
    InstDecoder::default().decode(&mut U8Reader::new(&bytes)).ok()
}

/// The tokens of a disassembly.
fn our_tokens(word: u32) -> Vec<Token> {
    let text = disassemble(word, GuestVirt(0)).to_lowercase();
    let (_, operands) = text.split_once(' ').unwrap_or((&text, ""));
    // It has the registers that may be left out.
    let operands = match text.split(' ').next() {
        Some("ret") if operands.is_empty() => "x30".into(),
        Some("irg") if operands.matches(',').count() == 1 => format!("{operands}, xzr"),
        Some("ldraa" | "ldrab") if !operands.contains('#') && text.ends_with('!') => {
            format!("{operands} 0")
        }
        _ => operands.to_owned(),
    };
    let separators = [' ', ',', '[', ']', '!', '{', '}', '#'];
    let parts = operands.split(separators).filter(|part| !part.is_empty());
    plain(parts.flat_map(our_token).collect())
}

fn our_token(part: &str) -> Vec<Token> {
    if let Some((first, last)) = part.split_once('-').filter(|_| part.starts_with('v')) {
        let number = |name: &str| name[1..].split('.').next().unwrap().parse::<u16>().unwrap();
        let arrangement = first.split_once('.').unwrap().1;
        let range = number(first)..=number(last);
        return range.map(|n| Token::Word(format!("v{n}.{arrangement}"))).collect();
    }
    let other = || prefetch(part).unwrap_or_else(|| Token::Word(part.into()));
    vec![number(part).unwrap_or_else(other)]
}

/// The number of `pldl1keep` and its like.
fn prefetch(name: &str) -> Option<Token> {
    let kind = ["pld", "pli", "pst"].iter().position(|kind| name.starts_with(kind))?;
    let level = name[4..5].parse::<u64>().ok()? - 1;
    let is_streaming = u64::from(name.ends_with("strm"));
    Some(Token::Number((kind as u64) << 3 | level << 1 | is_streaming))
}

fn number(text: &str) -> Option<Token> {
    if let Some(hex) = text.strip_prefix("0x") {
        return u64::from_str_radix(hex, 16).ok().map(Token::Number);
    }
    if let Ok(value) = text.parse::<i64>() {
        return Some(Token::Number(value as u64));
    }
    text.contains('.').then(|| text.parse().ok().map(Token::Float)).flatten()
}

/// What one of the two leaves out: shifts and extensions without effect.
fn plain(tokens: Vec<Token>) -> Vec<Token> {
    let is = |token: Option<&Token>, names: &[&str]| matches!(token, Some(Token::Word(word)) if names.contains(&word.as_str()));
    let mut kept = Vec::new();
    for (index, token) in tokens.iter().enumerate() {
        let before = index.checked_sub(1).map(|at| &tokens[at]);
        let extends = [
            "lsl", "lsr", "asr", "ror", "uxtx", "uxtw", "uxtb", "uxth", "sxtb", "sxth", "sxtw",
            "sxtx",
        ];
        let dropped = is(Some(token), &["lsl", "uxtx", "uxtw"])
            || *token == Token::Number(0) && is(before, &extends);
        if !dropped {
            kept.push(token.clone());
        }
    }
    kept
}

fn their_tokens(instruction: &Instruction) -> Vec<Token> {
    plain(instruction.operands.iter().flat_map(their_token).collect())
}

fn their_token(operand: &Operand) -> Vec<Token> {
    let word = |text: String| Token::Word(text);
    let signed = |value: i64| Token::Number(value as u64);
    match *operand {
        Operand::Nothing => vec![],
        Operand::Register(size, n) => vec![register(size, n, "zr")],
        Operand::RegisterOrSP(size, n) => vec![register(size, n, "sp")],
        Operand::RegisterPair(size, n) => {
            vec![register(size, n, "zr"), register(size, n + 1, "zr")]
        }
        Operand::SIMDRegister(size, n) => vec![word(format!("{}{n}", letter(size)))],
        Operand::SIMDRegisterElements(vector, n, lane) => vec![elements(vector, n, lane)],
        Operand::SIMDRegisterElementsLane(_, n, lane, index) => {
            vec![word(format!("v{n}.{}", letter(lane))), Token::Number(index.into())]
        }
        Operand::SIMDRegisterElementsMultipleLane(_, n, lane, index, count) => {
            vec![word(format!("v{n}.{count}{}", letter(lane))), Token::Number(index.into())]
        }
        Operand::SIMDRegisterGroup(vector, n, lane, count) => {
            (0..count).map(|i| elements(vector, (n + u16::from(i)) % 32, lane)).collect()
        }
        Operand::SIMDRegisterGroupLane(n, lane, count, index) => (0..count)
            .map(|i| word(format!("v{}.{}", (n + u16::from(i)) % 32, letter(lane))))
            .chain([Token::Number(index.into())])
            .collect(),
        Operand::ConditionCode(condition) => vec![word(CONDITIONS[usize::from(condition)].into())],
        Operand::PCOffset(offset) => vec![signed(offset)],
        Operand::Immediate(value) => vec![Token::Number(value.into())],
        Operand::Imm64(value) => vec![Token::Number(value)],
        Operand::Imm16(value) => vec![Token::Number(value.into())],
        Operand::ImmediateDouble(value) => vec![Token::Float(value)],
        Operand::ImmShift(value, shift) => shifted(Token::Number(value.into()), "lsl", shift),
        Operand::ImmShiftMSL(value, shift) => shifted(Token::Number(value.into()), "msl", shift),
        Operand::RegShift(style, amount, size, n) => {
            shifted(register(size, n, "zr"), shift(style), amount)
        }
        Operand::RegRegOffset(base, n, size, style, amount) => {
            let offset = shifted(register(size, n, "zr"), shift(style), amount);
            [vec![register(SizeCode::X, base, "sp")], offset].concat()
        }
        Operand::RegPreIndex(base, 0, false) => vec![register(SizeCode::X, base, "sp")],
        Operand::RegPreIndex(base, offset, _) | Operand::RegPostIndex(base, offset) => {
            vec![register(SizeCode::X, base, "sp"), signed(offset.into())]
        }
        Operand::RegPostIndexReg(base, n) => {
            vec![register(SizeCode::X, base, "sp"), register(SizeCode::X, n, "zr")]
        }
        Operand::PrefetchOp(operation) => vec![Token::Number(operation.into())],
        Operand::SystemReg(number) => vec![Token::Number(number.into())],
        Operand::ControlReg(number) => vec![word(format!("c{number}"))],
        Operand::PstateField(field) => vec![Token::Number(field.into())],
    }
}

const CONDITIONS: [&str; 16] = [
    "eq", "ne", "cs", "cc", "mi", "pl", "vs", "vc", "hi", "ls", "ge", "lt", "gt", "le", "al", "nv",
];

fn register(size: SizeCode, n: u16, last: &str) -> Token {
    let letter = if size == SizeCode::X { "x" } else { "w" };
    Token::Word(match (n, last) {
        (31, "sp") if size == SizeCode::X => "sp".into(),
        (31, last) => format!("{letter}{last}"),
        _ => format!("{letter}{n}"),
    })
}

fn letter(size: SIMDSizeCode) -> &'static str {
    match size {
        SIMDSizeCode::B => "b",
        SIMDSizeCode::H => "h",
        SIMDSizeCode::S => "s",
        SIMDSizeCode::D => "d",
        SIMDSizeCode::Q => "q",
    }
}

fn bytes(size: SIMDSizeCode) -> u16 {
    1 << (size as u16)
}

fn elements(vector: SIMDSizeCode, n: u16, lane: SIMDSizeCode) -> Token {
    Token::Word(format!("v{n}.{}{}", bytes(vector) / bytes(lane), letter(lane)))
}

fn shift(style: ShiftStyle) -> &'static str {
    match style {
        ShiftStyle::LSL => "lsl",
        ShiftStyle::LSR => "lsr",
        ShiftStyle::ASR => "asr",
        ShiftStyle::ROR => "ror",
        ShiftStyle::UXTB => "uxtb",
        ShiftStyle::UXTH => "uxth",
        ShiftStyle::UXTW => "uxtw",
        ShiftStyle::UXTX => "uxtx",
        ShiftStyle::SXTB => "sxtb",
        ShiftStyle::SXTH => "sxth",
        ShiftStyle::SXTW => "sxtw",
        ShiftStyle::SXTX => "sxtx",
    }
}

fn shifted(token: Token, style: &str, amount: u8) -> Vec<Token> {
    match (style, amount) {
        (_, 0) if style == "lsl" => vec![token],
        (_, 0) => vec![token, Token::Word(style.into())],
        _ => vec![token, Token::Word(style.into()), Token::Number(amount.into())],
    }
}
