//! Text to blocks. What it accepts need not be valid: that is the verifier's business.

use base::cpu::{Admission, Approach};
use base::{GuestVirt, HelperId, RegSlot};

use super::lex::{Kind, Lexer, Token};
use crate::block::{Block, BlockKey, Hint, Inst, Operand, Terminator, Trap};
use crate::guest::Guest;
use crate::ops::{Opcode, Shape, flag};
use crate::types::{Condition, FpMode, FpRound, MemOrder, Type};

/// Why a text is not a block. Lines and columns count from 1.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ParseError {
    /// Something else stands where the grammar wants this.
    #[error("{line}:{column}: expected {expected}, found {found}")]
    Expected {
        /// Line of what was found.
        line: u32,
        /// Column of what was found.
        column: u32,
        /// What could stand there.
        expected: &'static str,
        /// What does.
        found: String,
    },
    /// A number that its place has no room for.
    #[error("{line}:{column}: {number} does not fit {place}")]
    Range {
        /// Line of the number.
        line: u32,
        /// Column of the number.
        column: u32,
        /// The number as it was written.
        number: String,
        /// What it was to be.
        place: &'static str,
    },
}

/// Parses exactly one block.
///
/// # Errors
/// The first place at which the text departs from the form.
pub fn parse_block(text: &str, guest: &Guest) -> Result<Block, ParseError> {
    let mut parser = Parser { lexer: Lexer::new(text), guest };
    let block = parser.block()?;
    match parser.lexer.next() {
        Token { kind: Kind::End, .. } => Ok(block),
        token => Err(expected(token, "the end of the text")),
    }
}

/// Parses any number of blocks.
///
/// # Errors
/// The first place at which the text departs from the form.
pub fn parse_blocks(text: &str, guest: &Guest) -> Result<Vec<Block>, ParseError> {
    let mut parser = Parser { lexer: Lexer::new(text), guest };
    let mut blocks = Vec::new();
    while parser.lexer.peek().kind != Kind::End {
        blocks.push(parser.block()?);
    }
    Ok(blocks)
}

fn expected(token: Token<'_>, expected: &'static str) -> ParseError {
    let found = match token.kind {
        Kind::Word(text) | Kind::Number(text) => format!("`{text}`"),
        Kind::Symbol(symbol) => format!("`{symbol}`"),
        Kind::End => "the end of the text".to_owned(),
    };
    ParseError::Expected { line: token.line, column: token.column, expected, found }
}

struct Parser<'a> {
    lexer: Lexer<'a>,
    guest: &'a Guest,
}

type Parsed<T> = Result<T, ParseError>;

impl<'a> Parser<'a> {
    fn block(&mut self) -> Parsed<Block> {
        self.keyword("block", "`block`")?;
        let mut block = Block::new(self.key()?);
        let sizes = self.sizes()?;
        if let Some(admits) = sizes[3] {
            // Its range was checked when it was read.
            block.admits = Admission::from_bits(admits as u8);
        }
        self.symbol('{', "`{` or a size")?;
        while !self.terminator(&mut block)? {
            let inst = self.inst(&mut block)?;
            block.insts.push(inst);
        }
        self.symbol('}', "`}`")?;
        let (bytes, insns, temps) = block.derived_sizes();
        block.guest_bytes = sizes[0].unwrap_or(bytes);
        block.guest_insns = sizes[1].unwrap_or(insns);
        // Its range was checked when it was read.
        block.temps = sizes[2].map_or(temps, |temps| temps as u16);
        Ok(block)
    }

    fn key(&mut self) -> Parsed<BlockKey> {
        let place = "a pc of 48 bits, sign-extended";
        let pc = self.number(place, |pc| {
            let pc = GuestVirt(pc);
            (BlockKey::new(pc, 0).pc() == pc).then_some(pc)
        })?;
        let mut flags = 0;
        if self.accept('/') {
            flags = u64::from(self.number("16 bits of flags", |n| u16::try_from(n).ok())?);
        }
        Ok(BlockKey::new(pc, flags << BlockKey::PC_BITS))
    }

    /// Sizes that do not follow from the operations, and what it admits.
    fn sizes(&mut self) -> Parsed<[Option<u32>; 4]> {
        let mut sizes = [None; 4];
        while let Kind::Word(word) = self.lexer.peek().kind {
            let token = self.lexer.next();
            match word {
                "bytes" => sizes[0] = Some(self.number("32 bits", |n| u32::try_from(n).ok())?),
                "insns" => sizes[1] = Some(self.number("32 bits", |n| u32::try_from(n).ok())?),
                "temps" => {
                    sizes[2] = Some(self.number("16 bits", |n| u16::try_from(n).ok())?.into());
                }
                "admits" => {
                    let is_known = |n: &u8| Admission::from_bits(*n).bits() == *n;
                    let known = |n: u64| u8::try_from(n).ok().filter(is_known);
                    sizes[3] = Some(self.number("an odd number below 16, or 17", known)?.into());
                }
                _ => return Err(expected(token, "`bytes`, `insns`, `temps`, `admits` or `{`")),
            }
        }
        Ok(sizes)
    }

    /// Reads the block's last line if it stands here.
    fn terminator(&mut self, block: &mut Block) -> Parsed<bool> {
        let Kind::Word(word) = self.lexer.peek().kind else { return Ok(false) };
        let read = match word {
            "jump" => Self::jump,
            "branch" => Self::branch,
            "indirect" => Self::indirect,
            "trap" => Self::trap,
            "lookup" => Self::lookup,
            _ => return Ok(false),
        };
        self.lexer.next();
        block.terminator = read(self, block)?;
        Ok(true)
    }

    fn jump(&mut self, _: &mut Block) -> Parsed<Terminator> {
        Ok(Terminator::Jump { target: self.pc()?, hint: self.hint()? })
    }

    fn branch(&mut self, block: &mut Block) -> Parsed<Terminator> {
        let cond = self.operand(block)?;
        self.symbol(',', "`,`")?;
        let taken = self.pc()?;
        self.symbol(',', "`,`")?;
        Ok(Terminator::Branch { cond, taken, fallthrough: self.pc()? })
    }

    fn indirect(&mut self, block: &mut Block) -> Parsed<Terminator> {
        let (target, hint) = (self.operand(block)?, self.hint()?);
        let mut approach = Approach::PLAIN;
        if self.lexer.peek().kind == Kind::Word("by") {
            self.lexer.next();
            let known = |n: u64| (1..4).contains(&n).then_some(n);
            approach = Approach::new(self.number("1, 2 or 3", known)?);
        }
        Ok(Terminator::Indirect { target, hint, approach })
    }

    fn trap(&mut self, _: &mut Block) -> Parsed<Terminator> {
        let token = self.lexer.next();
        let trap = Trap::ALL.into_iter().find(|trap| token.kind == Kind::Word(trap.name()));
        let trap = trap.ok_or_else(|| {
            expected(token, "`illegal`, `breakpoint`, `syscall`, `misaligned` or `system`")
        })?;
        self.symbol(',', "`,`")?;
        Ok(Terminator::Trap { trap, pc: self.pc()? })
    }

    fn lookup(&mut self, _: &mut Block) -> Parsed<Terminator> {
        Ok(Terminator::Lookup { target: self.pc()? })
    }

    fn hint(&mut self) -> Parsed<Hint> {
        match self.lexer.peek().kind {
            Kind::Word("call") => {
                self.lexer.next();
                Ok(Hint::Call(self.pc()?))
            }
            Kind::Word("return") => {
                self.lexer.next();
                Ok(Hint::Return)
            }
            Kind::Word("far") => {
                self.lexer.next();
                Ok(Hint::Far)
            }
            _ => Ok(Hint::Plain),
        }
    }

    fn inst(&mut self, block: &mut Block) -> Parsed<Inst> {
        let mut dst = Operand::NONE;
        let mut ahead = self.lexer.clone();
        let starts_with_op = matches!(ahead.next().kind, Kind::Word(word) if Opcode::by_name(word).is_some())
            && ahead.next().kind != Kind::Symbol('=');
        if !starts_with_op {
            dst = self.operand_or(block, "an operation, a destination or a terminator")?;
            self.symbol('=', "`=`")?;
        }
        let op = self.opcode()?;
        let mut inst =
            Inst { op, ty: op.types()[0], aux: 0, imm: 0, dst, args: [Operand::NONE; 4] };
        match op.info().shape {
            Shape::Mark => self.mark(&mut inst)?,
            Shape::Call | Shape::CallWide => self.call(&mut inst, block)?,
            _ => {
                self.suffixes(&mut inst)?;
                self.arguments(&mut inst, block)?;
            }
        }
        Ok(inst)
    }

    fn opcode(&mut self) -> Parsed<Opcode> {
        let token = self.lexer.next();
        match token.kind {
            Kind::Word(word) => Opcode::by_name(word),
            _ => None,
        }
        .ok_or_else(|| expected(token, "an operation"))
    }

    fn mark(&mut self, inst: &mut Inst) -> Parsed<()> {
        inst.imm = self.number("an offset of 32 bits", |n| u32::try_from(n).ok())? as i32;
        inst.aux = self.number("a length of 16 bits", |n| u16::try_from(n).ok())?;
        Ok(())
    }

    fn call(&mut self, inst: &mut Inst, block: &mut Block) -> Parsed<()> {
        let token = self.lexer.next();
        let by_name = |name| self.guest.helpers.iter().position(|helper| helper.name == name);
        inst.imm = match token.kind {
            Kind::Word(name) => by_name(name).map(|index| index as i32),
            Kind::Symbol('#') => {
                Some(self.number("a helper's index", |n| u16::try_from(n).ok())?.into())
            }
            _ => None,
        }
        .ok_or_else(|| expected(token, "a helper of the guest"))?;
        debug_assert_eq!(inst.helper(), HelperId(inst.imm as u16));
        self.symbol('(', "`(`")?;
        if self.accept(')') {
            return Ok(());
        }
        for index in 0..inst.args.len() {
            inst.args[index] = self.operand(block)?;
            if self.accept(')') {
                return Ok(());
            }
            if index + 1 < inst.args.len() {
                self.symbol(',', "`,` or `)`")?;
            }
        }
        Err(expected(self.lexer.next(), "`)`: a helper takes four arguments at most"))
    }

    fn suffixes(&mut self, inst: &mut Inst) -> Parsed<()> {
        let info = inst.op.info();
        let (mut round, mut other) = (FpRound::NearestEven, None);
        if inst.op.types().len() > 1 {
            self.symbol('.', "`.` and a type")?;
            inst.ty = self.name("a type", &Type::ALL, Type::name)?;
        }
        if !inst.op.other_types(inst.ty).is_empty() {
            self.symbol('.', "`.` and a second type")?;
            other = Some(self.name("a type", &Type::ALL, Type::name)?);
        }
        if info.has(flag::ROUNDS) && self.accept('.') {
            round = self.name("a rounding mode", &FpRound::ALL, FpRound::name)?;
        }
        inst.aux = match other {
            Some(other) => Inst::fp_aux(round, other),
            None => round as u16,
        };
        while info.has(flag::FP_FLAGS) && self.accept('.') {
            let (mode, _) = self.name("a mode", &FpMode::NAMED, |(_, name)| name)?;
            inst.aux |= Inst::mode_aux(mode);
        }
        if info.shape == Shape::Condition {
            self.symbol('.', "`.` and a condition")?;
            inst.aux = self.name("a condition", &Condition::ALL, Condition::name)? as u16;
        }
        if info.shape.has_order() && self.accept('.') {
            inst.aux = self.name("a memory ordering", &MemOrder::ALL, MemOrder::name)? as u16;
        }
        Ok(())
    }

    fn name<T: Copy>(
        &mut self,
        what: &'static str,
        all: &[T],
        name: impl Fn(T) -> &'static str,
    ) -> Parsed<T> {
        let token = self.lexer.next();
        let found = all.iter().find(|&&item| token.kind == Kind::Word(name(item)));
        found.copied().ok_or_else(|| expected(token, what))
    }

    fn arguments(&mut self, inst: &mut Inst, block: &mut Block) -> Parsed<()> {
        let shape = inst.op.info().shape;
        for index in 0..shape.operands() {
            if index > 0 {
                self.symbol(',', "`,`")?;
            }
            if index == 0 && shape.has_address() {
                self.address(inst, block)?;
            } else {
                inst.args[index] = self.operand(block)?;
            }
        }
        if shape.has_lane_number() {
            self.symbol(',', "`,` and a number")?;
            inst.imm = self.signed("a number of 31 bits")?;
        }
        if shape == Shape::Status {
            self.symbol(',', "`,` and a slot")?;
            let token = self.lexer.peek();
            let slot = self.operand(block)?.as_slot();
            inst.imm = slot.ok_or_else(|| expected(token, "a slot"))?.0.into();
        }
        Ok(())
    }

    fn address(&mut self, inst: &mut Inst, block: &mut Block) -> Parsed<()> {
        const PLACE: &str = "an offset of 32 bits";
        self.symbol('[', "`[`")?;
        inst.args[0] = self.operand(block)?;
        if self.accept('+') {
            inst.imm = self.signed(PLACE)?;
        } else if self.accept('-') {
            let negated = |n: u64| i32::try_from(-i64::try_from(n).ok()?).ok();
            inst.imm = self.number(PLACE, negated)?;
        }
        self.symbol(']', "`+`, `-` or `]`")
    }

    fn operand(&mut self, block: &mut Block) -> Parsed<Operand> {
        self.operand_or(block, "an operand")
    }

    fn operand_or(&mut self, block: &mut Block, what: &'static str) -> Parsed<Operand> {
        let token = self.lexer.peek();
        match token.kind {
            Kind::Number(_) => {
                let value = self.number("64 bits", Some)?;
                return Ok(block.constant(value));
            }
            Kind::Word("_") => {
                self.lexer.next();
                return Ok(Operand::NONE);
            }
            _ => self.lexer.next(),
        };
        match token.kind {
            Kind::Symbol('%') => {
                Ok(Operand::temp(self.number("a temporary's index", |n| u16::try_from(n).ok())?))
            }
            Kind::Symbol('$') => {
                let index = self.number("a slot's index", |n| u16::try_from(n).ok())?;
                Ok(Operand::slot(RegSlot(index)))
            }
            Kind::Symbol('-') => {
                let negated = |n: u64| (n <= 1 << 63).then(|| n.wrapping_neg());
                let value = self.number("64 bits, signed", negated)?;
                Ok(block.constant(value))
            }
            Kind::Word(name) => match self.guest.slot_by_name(name) {
                Some(slot) => Ok(Operand::slot(slot)),
                None => Err(expected(token, what)),
            },
            _ => Err(expected(token, what)),
        }
    }

    fn pc(&mut self) -> Parsed<GuestVirt> {
        Ok(GuestVirt(self.number("a pc", Some)?))
    }

    fn signed(&mut self, place: &'static str) -> Parsed<i32> {
        self.number(place, |n| i32::try_from(n).ok())
    }

    /// A number without sign, decimal or after `0x`, as its place takes it.
    fn number<T>(
        &mut self,
        place: &'static str,
        accept: impl FnOnce(u64) -> Option<T>,
    ) -> Parsed<T> {
        let token = self.lexer.next();
        let Kind::Number(text) = token.kind else { return Err(expected(token, "a number")) };
        let (digits, radix) = text.strip_prefix("0x").map_or((text, 10), |hex| (hex, 16));
        if digits.is_empty() || !digits.chars().all(|c| c.is_digit(radix)) {
            return Err(expected(token, "a number"));
        }
        u64::from_str_radix(digits, radix).ok().and_then(accept).ok_or(ParseError::Range {
            line: token.line,
            column: token.column,
            number: text.to_owned(),
            place,
        })
    }

    fn keyword(&mut self, word: &str, what: &'static str) -> Parsed<()> {
        let token = self.lexer.next();
        if token.kind == Kind::Word(word) { Ok(()) } else { Err(expected(token, what)) }
    }

    fn symbol(&mut self, symbol: char, what: &'static str) -> Parsed<()> {
        let token = self.lexer.next();
        if token.kind == Kind::Symbol(symbol) { Ok(()) } else { Err(expected(token, what)) }
    }

    fn accept(&mut self, symbol: char) -> bool {
        let found = self.lexer.peek().kind == Kind::Symbol(symbol);
        if found {
            self.lexer.next();
        }
        found
    }
}
