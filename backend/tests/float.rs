//! Compiled floating point against the exact library: results and flags, per operation, type and
//! rounding, with "inexact" clear and set before.

#![expect(unsafe_code, reason = "runs generated code")]
#![expect(clippy::print_stdout, reason = "a failing test shows its seed")]

use base::cpu::JumpCacheEntry;
use base::{CpuFrame, GuestVirt, HostPtr, RegSlot};
use ferry_backend::{CodeMemory, CompileOptions, Compiler, Region, entry};
use ir::ops::flag;
use ir::testing::GUEST;
use ir::types::FpRound;
use ir::{Block, BlockKey, FpOp, Inst, Opcode, Operand, Type};

const OPERANDS: [RegSlot; 3] = [RegSlot(32), RegSlot(33), RegSlot(34)];
const RESULT: RegSlot = RegSlot(1);

/// Operand triples for each operation.
const CASES: usize = 4000;

/// xorshift64*
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
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
    frame: Box<CpuFrame>,
    memory: CodeMemory,
    compiler: Compiler,
    _jumps: Vec<JumpCacheEntry>,
}

impl Machine {
    fn new() -> Self {
        let empty = JumpCacheEntry { key: JumpCacheEntry::EMPTY_KEY, code: std::ptr::null() };
        let mut jumps = vec![empty; JumpCacheEntry::COUNT];
        let mut frame = CpuFrame::new();
        frame.jump_cache = jumps.as_mut_ptr();
        frame.fp_slow = Some(ferry_backend::fp_slow::call);
        Self {
            frame,
            memory: CodeMemory::new(8 << 20).expect("code memory"),
            compiler: Compiler::new(&GUEST, CompileOptions::for_host()).expect("a compiler"),
            _jumps: jumps,
        }
    }

    /// A region of one operation from the operand slots to the result slot.
    fn compile(&mut self, op: FpOp) -> HostPtr {
        let mut block = Block::new(BlockKey::new(GuestVirt(0x1000), 0));
        let none = Operand::NONE;
        let mark =
            Inst { op: Opcode::Mark, ty: Type::I64, aux: 4, imm: 0, dst: none, args: [none; 4] };
        let mut inst = Inst { op: op.op, ty: op.ty, aux: Inst::fp_aux(op.round, op.other), ..mark };
        for (arg, slot) in inst.args.iter_mut().zip(OPERANDS).take(op.op.info().shape.operands()) {
            *arg = Operand::slot(slot);
        }
        inst.dst = Operand::temp(0);
        let result = inst.result_type();
        let extend = Inst {
            op: if result.bits() == 64 { Opcode::Mov } else { Opcode::Zext },
            ty: if result.bits() == 64 { Type::I64 } else { Type::I32 },
            aux: 0,
            dst: Operand::slot(RESULT),
            args: [Operand::temp(0), none, none, none],
            ..mark
        };
        block.insts = vec![mark, inst, extend];
        (block.temps, block.guest_bytes, block.guest_insns) = (1, 4, 1);
        let compiled = self.compiler.compile(&Region::new(vec![block], vec![0])).expect("a region");
        self.memory.place(&compiled, 0).expect("a place").entries[0]
    }

    fn run(&mut self, code: HostPtr, operands: [u64; 3], flags: u64) -> (u64, u64) {
        for (slot, value) in OPERANDS.into_iter().zip(operands) {
            self.frame.set(slot, value);
        }
        self.frame.set(GUEST.fp_flags, flags);
        // SAFETY: the region was placed in this machine's memory, and the frame is its own.
        unsafe { entry::enter(&mut *self.frame, code.0 as *const u8) };
        (self.frame.get(RESULT), self.frame.get(GUEST.fp_flags))
    }
}

fn operand_type(op: FpOp) -> Type {
    let aux = Inst::fp_aux(op.round, op.other);
    let none = Operand::NONE;
    Inst { op: op.op, ty: op.ty, aux, imm: 0, dst: none, args: [none; 4] }.operand_type(0)
}

fn check(machine: &mut Machine, random: &mut Random, op: FpOp, cases: usize) {
    let code = machine.compile(op);
    for case in 0..cases {
        let operands = [0; 3].map(|_| random.operand(operand_type(op)));
        let before = [0, 1][case % 2];
        let mut flags = before;
        let wanted = op.evaluate(GUEST.fp, operands, &mut flags);
        let found = machine.run(code, operands, before);
        assert_eq!(found, (wanted, flags), "{op:?} of {operands:x?}, flags {before} before");
    }
}

#[test]
fn compiled_operations_are_exact() {
    let seed = std::env::var("FERRY_FLOAT_SEED").ok().and_then(|s| s.parse().ok());
    let seed = seed.unwrap_or_else(|| u64::from(std::process::id()) << 20 | 1);
    println!("FERRY_FLOAT_SEED={seed}");
    let (mut machine, mut random) = (Machine::new(), Random(seed));
    for &op in Opcode::ALL.iter().filter(|op| op.info().has(flag::FP_FLAGS)) {
        for &ty in op.types() {
            for round in FpRound::ALL {
                let others =
                    if op.other_types().is_empty() { &[Type::I64][..] } else { op.other_types() };
                for &other in others {
                    check(&mut machine, &mut random, FpOp { op, ty, round, other }, CASES);
                }
            }
        }
    }
}
