//! Valid blocks of the test guest out of arbitrary numbers, so that any source of randomness that
//! can shrink a list of numbers can shrink a block.

use base::cpu::{Approach, HelperCode};
use base::{GuestVirt, RegSlot};

use super::guest::GUEST;
use crate::block::{Block, BlockKey, Hint, Inst, Operand, Terminator, Trap};
use crate::ops::{Opcode, Shape, flag};
use crate::types::{Condition, FpMode, FpRound, MemOrder, Type};

/// A source of choices: a list of numbers, after its end zeros.
#[derive(Clone, Debug)]
pub struct Choices<'a> {
    rest: &'a [u32],
}

impl<'a> Choices<'a> {
    /// Choices that these numbers make.
    #[must_use]
    pub fn new(numbers: &'a [u32]) -> Self {
        Self { rest: numbers }
    }

    /// The next number.
    pub fn number(&mut self) -> u32 {
        let Some((&first, rest)) = self.rest.split_first() else { return 0 };
        self.rest = rest;
        first
    }

    /// A number below `limit`, which is not zero.
    pub fn below(&mut self, limit: u32) -> u32 {
        self.number() % limit
    }

    /// One of `items`, which are not none.
    pub fn one_of<T: Copy>(&mut self, items: &[T]) -> T {
        items[self.below(items.len() as u32) as usize]
    }

    /// A 64-bit value: mostly one of those at which operations turn.
    pub fn value(&mut self) -> u64 {
        const TURNS: [u64; 20] = [
            0,
            1,
            2,
            7,
            8,
            31,
            32,
            48,
            63,
            64,
            0x7f,
            0x80,
            0xff,
            0xffff,
            0x7fff_ffff,
            0x8000_0000,
            0xffff_ffff,
            1 << 63,
            u64::MAX,
            -2_i64 as u64,
        ];
        match self.below(8) {
            0 => u64::from(self.number()) << 32 | u64::from(self.number()),
            1 => self.one_of(&FLOATS),
            _ => self.one_of(&TURNS),
        }
    }
}

/// 1.0, 1.5, -0.0, infinity, a signalling NaN, the least subnormal and the greatest finite number,
/// as binary64 and as boxed binary32.
const FLOATS: [u64; 14] = [
    0x3ff0_0000_0000_0000,
    0x3ff8_0000_0000_0000,
    0x8000_0000_0000_0000,
    0x7ff0_0000_0000_0000,
    0x7ff0_0000_0000_0001,
    0x0000_0000_0000_0001,
    0x7fef_ffff_ffff_ffff,
    0xffff_ffff_3f80_0000,
    0xffff_ffff_3fc0_0000,
    0xffff_ffff_8000_0000,
    0xffff_ffff_7f80_0000,
    0xffff_ffff_7f80_0001,
    0xffff_ffff_0000_0001,
    0xffff_ffff_7f7f_ffff,
];

/// A valid block of [`GUEST`]. It mostly accesses the 64 bytes that [`Guest::stack_pointer`] points
/// to the start of, and never writes that register.
///
/// [`Guest::stack_pointer`]: crate::Guest::stack_pointer
#[must_use]
pub fn block(choices: &mut Choices<'_>) -> Block {
    let mut generator = Generator {
        block: Block::new(BlockKey::new(GuestVirt(0x1_0000), 0)),
        widths: Vec::new(),
        choices,
    };
    generator.mark();
    while !generator.choices.rest.is_empty() && generator.block.temps < 400 {
        generator.next();
    }
    generator.terminate();
    generator.block
}

struct Generator<'c, 'a> {
    block: Block,
    /// Bits of each temporary.
    widths: Vec<u32>,
    choices: &'c mut Choices<'a>,
}

impl Generator<'_, '_> {
    fn next(&mut self) {
        match self.choices.below(16) {
            0..=2 => self.mark(),
            3 => self.extension_by_shifts(),
            4 => self.narrow_arithmetic(),
            5 => self.address(),
            6 => self.flags_write(),
            7 => self.again(),
            8..=10 => self.chain(),
            _ => {
                let op = self.choices.one_of(Opcode::ALL);
                match op.info().shape {
                    Shape::Mark => self.mark(),
                    shape if shape.is_call() => self.call(),
                    _ => self.operation(op),
                }
            }
        }
    }

    fn mark(&mut self) {
        let (offset, len) = (self.block.guest_bytes, self.choices.one_of(&[4_u16, 2]));
        self.block.guest_bytes += u32::from(len);
        self.block.guest_insns += 1;
        self.push(Opcode::Mark, Type::I64, len, offset as i32, Operand::NONE, &[]);
    }

    fn push(&mut self, op: Opcode, ty: Type, aux: u16, imm: i32, dst: Operand, args: &[Operand]) {
        let mut operands = [Operand::NONE; 4];
        operands[..args.len()].copy_from_slice(args);
        self.block.insts.push(Inst { op, ty, aux, imm, dst, args: operands });
    }

    /// A new temporary; a wide one takes two numbers.
    fn temp(&mut self, bits: u32) -> Operand {
        let temp = Operand::temp(self.block.temps);
        self.widths.push(bits);
        if bits > 64 {
            self.widths.push(0);
        }
        self.block.temps = self.widths.len() as u16;
        temp
    }

    fn destination(&mut self, ty: Type) -> Operand {
        if ty.bits() >= 64 && self.choices.below(2) == 0 {
            Operand::slot(self.register(ty))
        } else {
            self.temp(ty.bits())
        }
    }

    fn register(&mut self, ty: Type) -> RegSlot {
        let number = self.choices.below(4) as u16;
        match ty {
            _ if ty.is_vector() => RegSlot(40 + 2 * number),
            Type::F32 | Type::F64 => RegSlot(32 + number),
            _ => RegSlot(1 + number),
        }
    }

    /// Two constants that name bytes of two vectors.
    fn bytes(&mut self) -> [Operand; 2] {
        let pattern = self.choices.below(8);
        let bytes: [u8; 16] = std::array::from_fn(|n| match pattern {
            0 => (15 - n) as u8,
            1 => (n / 2 + n % 2 * 16) as u8,
            2 => (n * 2) as u8,
            3 => (n + 5) as u8,
            4 => (n % 4) as u8,
            5 => (n ^ 3) as u8,
            _ => self.choices.below(32) as u8,
        });
        let bytes = u128::from_le_bytes(bytes);
        [bytes as u64, (bytes >> 64) as u64].map(|half| self.block.constant(half))
    }

    fn operand(&mut self, ty: Type) -> Operand {
        match self.choices.below(8) {
            0 | 1 | 5 if ty.is_vector() => Operand::slot(self.register(ty)),
            0 | 1 => {
                let value = self.choices.value();
                self.block.constant(value)
            }
            2..=4 => {
                let back = self.choices.below(8) as usize;
                let fits = |&(_, &bits): &(usize, &u32)| bits >= ty.bits();
                let wide_enough = self.widths.iter().enumerate().rev().filter(fits).nth(back);
                match wide_enough {
                    Some((index, _)) => Operand::temp(index as u16),
                    None => Operand::slot(self.register(ty)),
                }
            }
            5 => Operand::slot(GUEST.fp_flags),
            6 => Operand::slot(self.register(Type::WIDE)),
            _ => Operand::slot(self.register(ty)),
        }
    }

    fn operation(&mut self, op: Opcode) {
        let (info, ty) = (op.info(), self.choices.one_of(op.types()));
        let mut inst =
            Inst { op, ty, aux: 0, imm: 0, dst: Operand::NONE, args: [Operand::NONE; 4] };
        if info.has(flag::ROUNDS) {
            inst.aux = self.choices.one_of(&FpRound::ALL) as u16;
        }
        if let [_, ..] = op.other_types(ty) {
            inst.aux = Inst::fp_aux(inst.round(), self.choices.one_of(op.other_types(ty)));
        }
        if info.has(flag::FP_FLAGS) && self.choices.below(4) == 0 {
            inst.aux |= Inst::mode_aux(FpMode(self.choices.below(4) as u8));
        }
        if info.shape.has_order() {
            inst.aux = self.choices.one_of(&MemOrder::ALL) as u16;
        }
        match info.shape {
            Shape::Condition => inst.aux = self.choices.one_of(&Condition::ALL) as u16,
            Shape::GetLane | Shape::SetLane => {
                inst.imm = self.choices.below(ty.lanes()) as i32;
            }
            Shape::ShiftLanes => inst.imm = self.choices.below(ty.lane().bits() + 1) as i32,
            Shape::Status => inst.imm = 1 + self.choices.below(6) as i32,
            _ => {}
        }
        for index in 0..info.shape.operands() {
            inst.args[index] = self.operand(inst.operand_type(index));
        }
        if info.shape == Shape::Shuffle {
            [inst.args[2], inst.args[3]] = self.bytes();
        }
        if info.shape.has_address() {
            self.aim(&mut inst);
        }
        if info.shape.has_result() {
            inst.dst = self.destination(inst.result_type());
        }
        self.block.insts.push(inst);
    }

    /// Points an access into the sandbox, most of the time.
    fn aim(&mut self, inst: &mut Inst) {
        inst.imm = match self.choices.below(64) {
            0 => self.choices.number() as i32,
            1 | 2 => self.choices.below(64) as i32,
            _ => (self.choices.below(64 / inst.ty.bytes()) * inst.ty.bytes()) as i32,
        };
        if self.choices.below(64) != 0 {
            inst.args[0] = Operand::slot(GUEST.stack_pointer);
        }
    }

    fn call(&mut self) {
        let id = self.choices.below(GUEST.helpers.len() as u32);
        let helper = &GUEST.helpers[id as usize];
        let (op, ty) = match helper.code {
            HelperCode::Scalar(_) => (Opcode::Call, Type::I64),
            HelperCode::Wide(_) => (Opcode::CallWide, Type::WIDE),
        };
        let mut inst =
            Inst { op, ty, aux: 0, imm: id as i32, dst: Operand::NONE, args: [Operand::NONE; 4] };
        for index in 0..usize::from(helper.args) {
            inst.args[index] = self.operand(inst.operand_type(index));
        }
        if self.choices.below(3) != 0 {
            inst.dst = self.destination(ty);
        }
        self.block.insts.push(inst);
    }

    /// An operation from a little before, done again.
    fn again(&mut self) {
        let back = self.choices.below(6) as usize;
        let earlier = self.block.insts.iter().rev().nth(back).copied();
        let Some(mut inst) = earlier.filter(|inst| inst.op != Opcode::Mark) else { return };
        if !inst.dst.is_none() {
            inst.dst = self.destination(inst.result_type());
        }
        self.block.insts.push(inst);
    }

    /// Integer operations one on the other, mostly by constants.
    fn chain(&mut self) {
        const SHAPES: [Shape; 4] = [Shape::Unary, Shape::Binary, Shape::Compare, Shape::Extend];
        let fits = |op: &&Opcode| SHAPES.contains(&op.info().shape) && !op.types()[0].is_vector();
        let ops: Vec<_> = Opcode::ALL.iter().filter(fits).copied().collect();
        let (mut op, mut ty) = (self.choices.one_of(&ops), Type::I64);
        let mut value = self.operand(ty);
        for _ in 0..2 + self.choices.below(3) {
            if self.choices.below(2) == 0 {
                op = self.choices.one_of(&ops);
            }
            if self.choices.below(4) == 0 && op.types().len() > 1 {
                ty = self.choices.one_of(&Type::SCALARS[..4]);
            }
            let works_at = if op.types().contains(&ty) { ty } else { op.types()[0] };
            value = self.link(op, works_at, value);
        }
    }

    /// One operation of a chain; its result, or another value where that is too narrow to go on.
    fn link(&mut self, op: Opcode, ty: Type, value: Operand) -> Operand {
        let constant = self.choices.value();
        let other = match self.choices.below(4) {
            0 => self.operand(ty),
            _ => self.block.constant(constant),
        };
        let mut args = [value, other, Operand::NONE, Operand::NONE];
        if op.info().shape.operands() == 1 {
            args[1] = Operand::NONE;
        } else if self.choices.below(4) == 0 {
            args.swap(0, 1);
        }
        let mut inst = Inst { op, ty, aux: 0, imm: 0, dst: Operand::NONE, args };
        inst.dst = self.destination(inst.result_type());
        self.block.insts.push(inst);
        if inst.result_type().bits() == 64 {
            return inst.dst;
        }
        let dst = self.destination(Type::I64);
        let extend = self.choices.one_of(&[Opcode::Sext, Opcode::Zext]);
        let ty = if ty.is_float() { Type::I32 } else { ty };
        self.push(extend, ty, 0, 0, dst, &[inst.dst]);
        dst
    }

    /// As guests without extending instructions do it: left, then right by the same amount.
    fn extension_by_shifts(&mut self) {
        let value = self.operand(Type::I64);
        let amount = self.choices.one_of(&[32, 48, 56, 60]);
        let amount = self.block.constant(amount);
        let (shifted, right) = (self.temp(64), self.choices.one_of(&[Opcode::ShrU, Opcode::ShrS]));
        self.push(Opcode::Shl, Type::I64, 0, 0, shifted, &[value, amount]);
        let dst = self.destination(Type::I64);
        self.push(right, Type::I64, 0, 0, dst, &[shifted, amount]);
    }

    /// Arithmetic on words, extended.
    fn narrow_arithmetic(&mut self) {
        let op = self.choices.one_of(&[Opcode::Add, Opcode::Sub, Opcode::And, Opcode::ShrU]);
        let extend = self.choices.one_of(&[Opcode::Sext, Opcode::Zext]);
        let args = [self.operand(Type::I32), self.operand(Type::I32)];
        let word = self.temp(32);
        self.push(op, Type::I32, 0, 0, word, &args);
        let dst = self.destination(Type::I64);
        self.push(extend, Type::I32, 0, 0, dst, &[word]);
    }

    /// An access by a computed address.
    fn address(&mut self) {
        let offset = u64::from(self.choices.below(8)) * 8;
        let offset = self.block.constant(offset);
        let (addr, ty) = (self.temp(64), self.choices.one_of(Opcode::Store.types()));
        let sp = Operand::slot(GUEST.stack_pointer);
        self.push(Opcode::Add, Type::I64, 0, 0, addr, &[sp, offset]);
        if self.choices.below(2) == 0 {
            let value = self.operand(ty);
            self.push(Opcode::Store, ty, 0, 0, Operand::NONE, &[addr, value]);
        } else {
            let dst = self.temp(if ty.is_float() { ty.bits() } else { ty.bits().max(64) });
            self.push(Opcode::LoadU, ty, 0, 0, dst, &[addr]);
        }
    }

    /// The flags register takes only flags.
    fn flags_write(&mut self) {
        let value = self.operand(Type::I64);
        let flags = self.block.constant(31);
        let dst = Operand::slot(GUEST.fp_flags);
        self.push(Opcode::And, Type::I64, 0, 0, dst, &[value, flags]);
    }

    fn terminate(&mut self) {
        let next = GuestVirt(0x1_0000 + u64::from(self.block.guest_bytes));
        let hint = self.choices.one_of(&[Hint::Plain, Hint::Call(next), Hint::Return]);
        self.block.terminator = match self.choices.below(5) {
            0 => Terminator::Jump { target: GuestVirt(0x2_0000), hint },
            1 => Terminator::Branch {
                cond: self.operand(Type::I64),
                taken: GuestVirt(0x2_0000),
                fallthrough: next,
            },
            2 => Terminator::Indirect {
                target: self.operand(Type::I64),
                hint,
                approach: Approach::new(self.choices.below(4).into()),
            },
            3 => Terminator::Trap { trap: self.choices.one_of(&Trap::ALL), pc: next },
            _ => Terminator::Lookup { target: next },
        };
    }
}
