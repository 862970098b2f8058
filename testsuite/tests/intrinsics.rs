//! Intrinsics, computed by the host's instructions in compiled code, against their helpers: in random blocks, where
//! they meet as programs use them and otherwise.

#![expect(unsafe_code, reason = "runs generated code")]
#![expect(clippy::print_stdout, reason = "a failing test shows its seed")]

use backend::{CodeMemory, CompileOptions, Compiler, Region, entry};
use base::cpu::JumpCacheEntry;
use base::rng::Rng;
use base::{CpuFrame, GuestVirt, HelperId, Intrinsic, RegSlot};
use ir::{Block, BlockKey, Guest, Inst, Opcode, Operand, Type};
use translator::aarch64::GUEST;

/// Vector registers in use: more than the host has.
const REGISTERS: u8 = 20;
const ROUNDS: usize = 300;

/// Numbers that repeat.
struct Random(Rng);

impl Random {
    fn next(&mut self) -> u64 {
        self.0.bits()
    }

    fn below(&mut self, count: u64) -> u64 {
        (self.next() >> 32) % count
    }

    fn register(&mut self) -> RegSlot {
        arch::aarch64::slot::v(self.below(REGISTERS.into()) as u8)
    }
}

fn helper(intrinsic: Intrinsic) -> HelperId {
    let index = GUEST.helpers.iter().position(|helper| helper.intrinsic == Some(intrinsic));
    HelperId(index.unwrap_or_else(|| panic!("{intrinsic:?} has a helper")) as u16)
}

/// A block in the making.
struct Maker {
    random: Random,
    block: Block,
}

impl Maker {
    fn push(&mut self, op: Opcode, ty: Type, imm: i32, dst: Operand, args: [Operand; 4]) {
        self.block.insts.push(Inst { op, ty, aux: 0, imm, dst, args });
    }

    /// A wide temporary, which takes two numbers.
    fn temp(&mut self) -> Operand {
        self.block.temps += 2;
        Operand::temp(self.block.temps - 2)
    }

    fn call(&mut self, intrinsic: Intrinsic, dst: Operand, [a, b, c]: [Operand; 3]) {
        let number = self.block.constant(0);
        let id = i32::from(helper(intrinsic).0);
        self.push(Opcode::CallWide, Type::WIDE, id, dst, [a, b, c, number]);
    }

    fn mark(&mut self) {
        let (none, at) = (Operand::NONE, self.block.guest_bytes as i32);
        let mark =
            Inst { op: Opcode::Mark, ty: Type::I64, aux: 4, imm: at, dst: none, args: [none; 4] };
        self.block.insts.push(mark);
        self.block.guest_insns += 1;
        self.block.guest_bytes += 4;
    }

    /// Operations that belong together, or one.
    fn step(&mut self) {
        let [a, b, c, d] = [(); 4].map(|()| Operand::slot(self.random.register()));
        self.mark();
        match self.random.below(6) {
            // A round of AES, of which something may remain.
            0 | 1 => {
                let (round, mix) = match self.random.below(2) {
                    0 => (Intrinsic::AesEncryptLast, Intrinsic::AesMixColumns),
                    _ => (Intrinsic::AesDecryptLast, Intrinsic::AesInvMixColumns),
                };
                let between = self.temp();
                self.call(round, between, [a, b, b]);
                if self.random.below(4) == 0 {
                    self.push(Opcode::Mov, Type::WIDE, 0, d, only(between));
                }
                self.call(mix, c, [between, b, b]);
            }
            // Rounds of SHA-256, as they stand in programs.
            2 | 3 => {
                let (abcd, efgh) = (self.temp(), self.temp());
                self.call(Intrinsic::Sha256Hash, abcd, [b, c, a]);
                self.call(Intrinsic::Sha256Hash2, efgh, [a, c, b]);
                let (next_abcd, next_efgh) = (self.temp(), self.temp());
                self.call(Intrinsic::Sha256Hash, next_abcd, [efgh, d, abcd]);
                self.call(Intrinsic::Sha256Hash2, next_efgh, [abcd, d, efgh]);
                for (slot, value) in [(a, next_abcd), (b, next_efgh)] {
                    self.push(Opcode::Mov, Type::WIDE, 0, slot, only(value));
                }
            }
            _ => {
                // Some are those of another guest.
                let known = |intrinsic: &Intrinsic| {
                    GUEST.helpers.iter().any(|helper| helper.intrinsic == Some(*intrinsic))
                };
                let all: Vec<_> = Intrinsic::ALL.into_iter().filter(known).collect();
                let n = self.random.below(all.len() as u64) as usize;
                self.call(all[n], d, [a, b, c]);
            }
        }
    }
}

fn only(a: Operand) -> [Operand; 4] {
    [a, Operand::NONE, Operand::NONE, Operand::NONE]
}

struct Machine {
    frame: Box<CpuFrame>,
    memory: CodeMemory,
    _jumps: Vec<JumpCacheEntry>,
}

impl Machine {
    fn new() -> Self {
        let empty = JumpCacheEntry { key: JumpCacheEntry::EMPTY_KEY, code: std::ptr::null() };
        let mut jumps = vec![empty; JumpCacheEntry::COUNT];
        let helpers: Vec<usize> = GUEST.helpers.iter().map(|h| h.code.address()).collect();
        let mut frame = CpuFrame::new();
        frame.jump_cache = jumps.as_mut_ptr();
        frame.helpers = Box::leak(helpers.into_boxed_slice()).as_ptr().cast();
        Self { frame, memory: CodeMemory::new(32 << 20).expect("code memory"), _jumps: jumps }
    }

    /// What the registers hold after a block.
    fn run(&mut self, compiler: &mut Compiler, block: &Block, registers: &[u128]) -> Vec<u128> {
        let region = Region::new(vec![block.clone()], vec![0]);
        let compiled = compiler.compile(&region).expect("a region");
        let code = self.memory.place(&compiled, 0).expect("a place").entry(0).expect("an entry");
        let slots = || (0..REGISTERS).map(arch::aarch64::slot::v);
        slots().zip(registers).for_each(|(slot, &value)| self.frame.set_wide(slot, value));
        // SAFETY: the region was placed in this machine's memory, and the frame is its own.
        unsafe { entry::enter(&mut *self.frame, code.0 as *const u8) };
        slots().map(|slot| self.frame.get_wide(slot)).collect()
    }
}

#[test]
fn the_host_s_instructions_compute_what_helpers_do() {
    let seed = ferry_testsuite::seed::of_this_run() | 1;
    println!("seed {seed}");
    let guest: &'static Guest = &GUEST;
    let with = |intrinsics| CompileOptions { intrinsics, ..CompileOptions::for_host() };
    let compiler = |intrinsics| Compiler::new(guest, with(intrinsics)).expect("a compiler");
    let (mut host, mut helpers) = (compiler(true), compiler(false));
    let mut machine = Machine::new();
    let mut random = Random(Rng::new(seed));
    for round in 0..ROUNDS {
        let block = Block::new(BlockKey::new(GuestVirt(0x1000), 0));
        let mut maker = Maker { random, block };
        let steps = 1 + maker.random.below(24);
        (0..steps).for_each(|_| maker.step());
        let Maker { random: after, block } = maker;
        random = after;
        ir::verify(&block, guest).expect("a valid block");
        let registers: Vec<u128> = (0..REGISTERS)
            .map(|_| u128::from(random.next()) << 64 | u128::from(random.next()))
            .collect();
        let expected = machine.run(&mut helpers, &block, &registers);
        let found = machine.run(&mut host, &block, &registers);
        assert_eq!(found, expected, "round {round}: {block:?}");
    }
}
