//! Compiled floating point and saturating arithmetic against the exact library: results and flags, per
//! guest's rules, operation, type, rounding and mode, with "inexact" clear and set before.

#![expect(unsafe_code, reason = "runs generated code")]
#![expect(clippy::print_stdout, reason = "a failing test shows its seed")]

use base::cpu::JumpCacheEntry;
use base::rng::Rng;
use base::{CpuFrame, GuestVirt, HostPtr, RegSlot};
use ferry_backend::{CodeMemory, CompileOptions, Compiler, Region, entry};
use ir::ops::flag;
use ir::testing::{ARM_GUEST, GUEST, X86_GUEST};
use ir::types::FpRound;
use ir::{Block, BlockKey, FpMode, FpOp, Guest, Inst, Opcode, Operand, Type, lanes};

const OPERANDS: [RegSlot; 3] = [RegSlot(32), RegSlot(33), RegSlot(34)];
const RESULT: RegSlot = RegSlot(1);
const WIDE_OPERANDS: [RegSlot; 3] = [RegSlot(40), RegSlot(42), RegSlot(44)];
const WIDE_RESULT: RegSlot = RegSlot(46);

/// Operand triples for each operation.
const CASES: usize = 2000;

/// Numbers that repeat.
struct Random(Rng);

impl Random {
    fn next(&mut self) -> u64 {
        self.0.bits()
    }

    /// Numbers that meet: small integers, halves, corner values, neighbours in magnitude.
    fn operand(&mut self, ty: Type) -> u64 {
        let random = self.next();
        let small = (random >> 8) as i16;
        match (ty, random % 8) {
            (Type::F32, 0 | 1) => u64::from(f32::from(small).to_bits()),
            (Type::F32, 2) => u64::from((f32::from(small) * 0.125).to_bits()),
            (Type::F32, 3) => {
                const CORNERS: [u32; 8] = [
                    0,
                    1,
                    0x80_0000,
                    0x7f_ffff,
                    0x7f80_0000,
                    0x7fc0_0000,
                    0x7f80_0001,
                    0x7f7f_ffff,
                ];
                u64::from(CORNERS[(random >> 8) as usize % 8] | (random >> 32) as u32 & 1 << 31)
            }
            (Type::F32, 4) => random >> 32,
            (Type::F32, _) => u64::from(0x3e80_0000 + (random >> 40) as u32 * 4),
            (Type::F64, 0 | 1) => f64::from(small).to_bits(),
            (Type::F64, 2) => (f64::from(small) * 0.125).to_bits(),
            (Type::F64, 3) => {
                const CORNERS: [u64; 8] = [
                    0,
                    1,
                    1 << 52,
                    (1 << 52) - 1,
                    0x7ff << 52,
                    0xfff << 51,
                    (0x7ff << 52) + 1,
                    (0x7ff << 52) - 1,
                ];
                CORNERS[(random >> 8) as usize % 8] | random & 1 << 63
            }
            (Type::F64, 4) => random,
            (Type::F64, _) => 0x3fe0_0000_0000_0000 + (random >> 10),
            (_, 0..=3) => i64::from(small) as u64,
            _ => random >> (random % 60),
        }
    }
}

struct Machine {
    guest: &'static Guest,
    frame: Box<CpuFrame>,
    memory: CodeMemory,
    compiler: Compiler,
    _jumps: Vec<JumpCacheEntry>,
}

impl Machine {
    fn new(guest: &'static Guest) -> Self {
        let empty = JumpCacheEntry { key: JumpCacheEntry::EMPTY_KEY, code: std::ptr::null() };
        let mut jumps = vec![empty; JumpCacheEntry::COUNT];
        let mut frame = CpuFrame::new();
        frame.jump_cache = jumps.as_mut_ptr();
        frame.fp_slow = Some(ferry_backend::fp_slow::call);
        Self {
            guest,
            frame,
            memory: CodeMemory::new(32 << 20).expect("code memory"),
            compiler: Compiler::new(guest, CompileOptions::for_host()).expect("a compiler"),
            _jumps: jumps,
        }
    }

    /// A region of one operation from the operand slots to a result slot.
    fn compile(&mut self, op: FpOp) -> HostPtr {
        let mut block = Block::new(BlockKey::new(GuestVirt(0x1000), 0));
        let none = Operand::NONE;
        let mark =
            Inst { op: Opcode::Mark, ty: Type::I64, aux: 4, imm: 0, dst: none, args: [none; 4] };
        let mut inst = instruction(op);
        let slots = if op.ty.is_vector() { WIDE_OPERANDS } else { OPERANDS };
        for (arg, slot) in inst.args.iter_mut().zip(slots).take(op.op.info().shape.operands()) {
            *arg = Operand::slot(slot);
        }
        inst.dst = Operand::temp(0);
        let (op, ty, slot) = match inst.result_type().bits() {
            128 => (Opcode::Mov, Type::WIDE, WIDE_RESULT),
            64 => (Opcode::Mov, Type::I64, RESULT),
            _ => (Opcode::Zext, Type::I32, RESULT),
        };
        let args = [Operand::temp(0), none, none, none];
        let extend = Inst { op, ty, aux: 0, dst: Operand::slot(slot), args, ..mark };
        block.insts = vec![mark, inst, extend];
        (block.temps, block.guest_bytes, block.guest_insns) = (2, 4, 1);
        ir::verify(&block, self.guest).expect("a valid block");
        let compiled = self.compiler.compile(&Region::new(vec![block], vec![0])).expect("a region");
        self.memory.place(&compiled, 0).expect("a place").entry(0).expect("an entry")
    }

    /// A region of operations on numbers, which are the operand slots' and the results of those before. The results go to slots.
    fn compile_chain(&mut self, chain: &[(FpOp, [usize; 3])]) -> HostPtr {
        let mut block = Block::new(BlockKey::new(GuestVirt(0x1000), 0));
        let none = Operand::NONE;
        let mark =
            Inst { op: Opcode::Mark, ty: Type::I64, aux: 4, imm: 0, dst: none, args: [none; 4] };
        let number = |n: usize| match n.checked_sub(OPERANDS.len()) {
            None => Operand::slot(OPERANDS[n]),
            Some(temp) => Operand::temp(temp as u16),
        };
        block.insts.push(mark);
        for (n, &(op, numbers)) in chain.iter().enumerate() {
            let mut inst = instruction(op);
            for (arg, of) in inst.args.iter_mut().zip(numbers).take(op.op.info().shape.operands()) {
                *arg = number(of);
            }
            inst.dst = Operand::temp(n as u16);
            block.insts.push(inst);
        }
        for (n, (op, _)) in chain.iter().enumerate() {
            let args = [Operand::temp(n as u16), none, none, none];
            let (op, ty) = match op.ty {
                Type::F32 => (Opcode::Zext, Type::I32),
                _ => (Opcode::Mov, Type::I64),
            };
            let dst = Operand::slot(chain_result(n));
            block.insts.push(Inst { op, ty, aux: 0, dst, args, ..mark });
        }
        block.temps = chain.len() as u16;
        (block.guest_bytes, block.guest_insns) = (4, 1);
        ir::verify(&block, self.guest).expect("a valid block");
        let compiled = self.compiler.compile(&Region::new(vec![block], vec![0])).expect("a region");
        self.memory.place(&compiled, 0).expect("a place").entry(0).expect("an entry")
    }

    fn run(&mut self, code: HostPtr, op: FpOp, operands: [u128; 3], flags: u64) -> (u128, u64) {
        for (n, value) in operands.into_iter().enumerate() {
            self.frame.set(OPERANDS[n], value as u64);
            self.frame.set_wide(WIDE_OPERANDS[n], value);
        }
        self.frame.set(GUEST.fp_flags, flags);
        // SAFETY: the region was placed in this machine's memory, and the frame is its own.
        unsafe { entry::enter(&mut *self.frame, code.0 as *const u8) };
        let result = match instruction(op).result_type().is_vector() {
            true => self.frame.get_wide(WIDE_RESULT),
            false => self.frame.get(RESULT).into(),
        };
        (result, self.frame.get(GUEST.fp_flags))
    }
}

/// Where the result of an operation of a chain goes.
fn chain_result(n: usize) -> RegSlot {
    RegSlot(1 + n as u16)
}

fn instruction(op: FpOp) -> Inst {
    let aux = Inst::fp_aux(op.round, op.other) | Inst::mode_aux(op.mode);
    let aux = if op.op.info().has(flag::ROUNDS) { aux } else { aux & !7 };
    let aux = if op.op.other_types(op.ty).is_empty() { aux & 0xff } else { aux };
    let none = Operand::NONE;
    Inst { op: op.op, ty: op.ty, aux, imm: 0, dst: none, args: [none; 4] }
}

fn check(machine: &mut Machine, random: &mut Random, op: FpOp, cases: usize) {
    let code = machine.compile(op);
    let ty = instruction(op).operand_type(0);
    for case in 0..cases {
        let operands = [0; 3].map(|_| {
            (0..ty.lanes())
                .fold(0, |vector, lane| lanes::set(ty, vector, lane, random.operand(ty.lane())))
        });
        let before = [0, 1, 33, 32][case % 4];
        let mut flags = before;
        let wanted = op.compute(machine.guest.fp, operands, &mut flags);
        let found = machine.run(code, op, operands, before);
        assert_eq!(found, (wanted, flags), "{op:?} of {operands:x?}, flags {before} before");
    }
}

fn check_all(guest: &'static Guest, modes: &[FpMode], random: &mut Random) {
    let mut machine = Machine::new(guest);
    for &op in Opcode::ALL.iter().filter(|op| op.info().has(flag::FP_FLAGS)) {
        let rounds =
            if op.info().has(flag::ROUNDS) { &FpRound::ALL[..] } else { &FpRound::ALL[..1] };
        for &ty in op.types() {
            let others = op.other_types(ty);
            let others = if others.is_empty() { &[Type::I64][..] } else { others };
            for &round in rounds {
                for &other in others {
                    for &mode in modes {
                        let cases = if mode == FpMode::NONE { CASES } else { CASES / 10 };
                        check(&mut machine, random, FpOp { op, ty, round, mode, other }, cases);
                    }
                }
            }
        }
    }
}

#[test]
fn compiled_operations_are_exact() {
    let seed = std::env::var("FERRY_FLOAT_SEED").ok().and_then(|s| s.parse().ok());
    let seed = seed.unwrap_or_else(|| u64::from(std::process::id()) << 20 | 1);
    println!("FERRY_FLOAT_SEED={seed}");
    let mut random = Random(Rng::new(seed));
    check_all(&GUEST, &[FpMode::NONE], &mut random);
    check_all(&ARM_GUEST, &[0, 1, 2, 3].map(FpMode), &mut random);
    check_all(&X86_GUEST, &[0, 1, 4, 5].map(FpMode), &mut random);
}

/// What compiled code knows of a number from one operation it believes in the next.
fn check_chain(machine: &mut Machine, random: &mut Random, ty: Type, mode: FpMode) {
    const ARITHMETIC: [Opcode; 7] = [
        Opcode::FAdd,
        Opcode::FSub,
        Opcode::FMul,
        Opcode::FDiv,
        Opcode::FSqrt,
        Opcode::FMulAdd,
        Opcode::FMin,
    ];
    let chain: Vec<(FpOp, [usize; 3])> = (0..6)
        .map(|n| {
            let op = ARITHMETIC[random.next() as usize % ARITHMETIC.len()];
            let round = FpRound::NearestEven;
            let op = FpOp { op, ty, round, mode, other: Type::I64 };
            (op, [0; 3].map(|_| random.next() as usize % (OPERANDS.len() + n)))
        })
        .collect();
    let code = machine.compile_chain(&chain);
    for case in 0..60 {
        let operands = [0; 3].map(|_| random.operand(ty));
        let before = [1, 33, 0, 32][case % 4];
        let mut flags = before;
        let mut numbers = operands.to_vec();
        for (op, of) in &chain {
            let args = of.map(|n| u128::from(numbers[n]));
            numbers.push(op.compute(machine.guest.fp, args, &mut flags) as u64);
        }
        for (slot, value) in OPERANDS.into_iter().zip(operands) {
            machine.frame.set(slot, value);
        }
        machine.frame.set(GUEST.fp_flags, before);
        // SAFETY: the region was placed in this machine's memory, and the frame is its own.
        unsafe { entry::enter(&mut *machine.frame, code.0 as *const u8) };
        let found: Vec<u64> =
            (0..chain.len()).map(|n| machine.frame.get(chain_result(n))).collect();
        assert_eq!(found, numbers[OPERANDS.len()..], "{chain:?} of {operands:x?}, {before} before");
        let found = machine.frame.get(GUEST.fp_flags);
        assert_eq!(found, flags, "flags of {chain:?} of {operands:x?}, {before} before");
    }
}

#[test]
fn chains_of_operations_are_exact() {
    let seed = std::env::var("FERRY_FLOAT_SEED").ok().and_then(|s| s.parse().ok());
    let seed = seed.unwrap_or_else(|| u64::from(std::process::id()) << 20 | 1);
    println!("FERRY_FLOAT_SEED={seed}");
    let mut random = Random(Rng::new(seed));
    for guest in [&X86_GUEST, &GUEST] {
        let mut machine = Machine::new(guest);
        for n in 0..400 {
            let ty = [Type::F64, Type::F32][n % 2];
            let mode = match guest.fp {
                ir::FpRules::X86 => [FpMode::NONE, FpMode::ZERO_INPUTS, FpMode::FLUSH][n % 3],
                _ => FpMode::NONE,
            };
            check_chain(&mut machine, &mut random, ty, mode);
        }
    }
}
