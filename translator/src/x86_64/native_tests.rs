//! MMX and x87, each instruction translated and evaluated, against the host's own: states as FXSAVE64 writes them, byte for
//! byte.
#![expect(
    unsafe_code,
    reason = "machine code that the tests write, and the evaluator calls helpers"
)]

use arch::x86_64::{self as guest, mxcsr, slot, xsave};
use base::rng::Rng;
use base::{CpuFrame, GuestVirt};
use ir::eval::{self, Denied, Memory};
use ir::{BlockKey, Builder};

use super::{Frontend, GUEST};
use crate::{Frontend as _, Limits, Translation};

/// Numbers that repeat.
struct Random(Rng);

impl Random {
    fn next(&mut self) -> u64 {
        self.0.bits()
    }
}

/// Memory at its own addresses: what the instruction is given lies there.
struct Direct;

impl Memory for Direct {
    fn load(&mut self, addr: GuestVirt, bytes: u32) -> Result<u128, Denied> {
        let mut value = [0; 16];
        // SAFETY: instructions of these tests access their operand only.
        unsafe {
            std::ptr::copy_nonoverlapping(addr.0 as *const u8, value.as_mut_ptr(), bytes as usize);
        }
        Ok(u128::from_le_bytes(value))
    }

    fn store(&mut self, addr: GuestVirt, bytes: u32, value: u128) -> Result<(), Denied> {
        let value = value.to_le_bytes();
        // SAFETY: as for loads.
        unsafe { std::ptr::copy_nonoverlapping(value.as_ptr(), addr.0 as *mut u8, bytes as usize) };
        Ok(())
    }
}

const STATE: usize = 512;

/// What an instruction works on: the FPU's and vectors' state, RAX, and memory at RSI.
#[derive(Clone, PartialEq, Debug)]
#[repr(C, align(64))]
struct Machine {
    state: [u8; STATE],
    operand: [u8; 128],
    rax: u64,
    flags: u64,
}

impl Machine {
    fn random(random: &mut Random) -> Box<Self> {
        let mut machine = Box::new(Self {
            state: [0; STATE],
            operand: [0; 128],
            rax: random.next(),
            flags: random.next() & guest::flags::STATUS,
        });
        let mut fill =
            |bytes: &mut [u8]| bytes.iter_mut().for_each(|byte| *byte = random.next() as u8);
        fill(&mut machine.operand);
        fill(&mut machine.state[160..416]);
        fill(&mut machine.state[32..160]);
        let rest = random.next();
        let (masks, status) =
            if rest & 7 == 0 { (random.next() as u16 & 0x3f, 0) } else { (0x3f, rest as u16) };
        let control = random.next() as u16 & 0x1f00 | 0x40 | masks;
        machine.state[0..2].copy_from_slice(&control.to_le_bytes());
        machine.state[2..4].copy_from_slice(&(status & 0x7f7f & (masks | 0x7f40)).to_le_bytes());
        machine.state[4] = if rest >> 16 & 3 == 0 { random.next() as u8 } else { 0x7f };
        machine.state[6..8].copy_from_slice(&(random.next() as u16 & 0x7ff).to_le_bytes());
        for (at, bytes) in [(8, 4), (16, 4)] {
            machine.state[at..at + bytes].copy_from_slice(&random.next().to_le_bytes()[..bytes]);
        }
        machine.state[24..28].copy_from_slice(&mxcsr::INIT.to_le_bytes());
        machine.state[28..32].copy_from_slice(&mxcsr::WRITABLE.to_le_bytes());
        for n in 0..8 {
            // Some of its numbers are ordinary ones.
            let exponent = 0x3fff + random.next() as u16 % 80 - 8;
            let register = &mut machine.state[32 + 16 * n..48 + 16 * n];
            if random.next() & 3 != 0 {
                register[7] |= 0x80;
                register[8..10].copy_from_slice(&exponent.to_le_bytes());
            }
            register[10..].fill(0);
        }
        machine
    }
}

/// A page of the host that can be written and executed.
struct Code(*mut u8);

/// Where the instruction lies in it: after what loads the state.
const PROLOGUE: &[u8] = &[
    0x0f, 0xae, 0x19, // stmxcsr [rcx]
    0x48, 0x0f, 0xae, 0x0f, // fxrstor64 [rdi]
    0x41, 0xb8, 0, 0, 0, 0, // mov r8d, 0
    0xff, 0x72, 0x08, 0x9d, // push [rdx + 8]; popfq
    0x48, 0x8b, 0x02, // mov rax, [rdx]
];
const EPILOGUE: &[u8] = &[
    0x48, 0x89, 0x02, // mov [rdx], rax
    0x9c, 0x8f, 0x42, 0x08, // pushfq; pop [rdx + 8]
    0x48, 0x0f, 0xae, 0x07, // fxsave64 [rdi]
    0xdb, 0xe3, 0x0f, 0xae, 0x11, // fninit; ldmxcsr [rcx]
    0xfc, 0xc3, // cld; ret
];

impl Code {
    fn new() -> Self {
        // SAFETY: a mapping of its own.
        let page = unsafe {
            let all = libc::PROT_READ | libc::PROT_WRITE | libc::PROT_EXEC;
            let kind = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
            libc::mmap(std::ptr::null_mut(), 4096, all, kind, -1, 0)
        };
        assert_ne!(page, libc::MAP_FAILED);
        Self(page.cast())
    }

    fn pc(&self) -> GuestVirt {
        GuestVirt(self.0 as u64 + PROLOGUE.len() as u64)
    }

    /// Executes an instruction, whose operand in memory is at RSI.
    fn execute(&mut self, insn: &[u8], machine: &mut Machine) {
        let bytes = [PROLOGUE, insn, EPILOGUE].concat();
        let mut control = 0_u32;
        // SAFETY: the code leaves the FPU, MXCSR and the direction flag as the convention says, and writes to the machine
        // and its own stack only.
        unsafe {
            std::ptr::copy_nonoverlapping(bytes.as_ptr(), self.0, bytes.len());
            let code = std::mem::transmute::<
                *mut u8,
                extern "C" fn(*mut u8, *mut u8, *mut u64, *mut u32),
            >(self.0);
            let (state, operand) = (machine.state.as_mut_ptr(), machine.operand.as_mut_ptr());
            code(state, operand, &raw mut machine.rax, &raw mut control);
        }
        machine.flags &= guest::flags::STATUS;
    }
}

impl Drop for Code {
    fn drop(&mut self) {
        // SAFETY: it was mapped by `new`.
        unsafe { libc::munmap(self.0.cast(), 4096) };
    }
}

/// Translates an instruction at this pc and evaluates it.
fn evaluate(frontend: &Frontend, pc: GuestVirt, insn: &[u8], machine: &mut Machine) -> eval::Exit {
    let mut frame = CpuFrame::new();
    guest::reset(&mut frame);
    xsave::restore_area(&mut frame, &machine.state, 0).unwrap();
    guest::flags::set_eflags(&mut frame, machine.flags);
    frame.set(slot::gpr(0), machine.rax);
    frame.set(slot::gpr(6), machine.operand.as_mut_ptr() as u64);
    let builder = Builder::new();
    let key = BlockKey::new(pc, frame.key_flags);
    let Translation::Done { next } = frontend.translate(&builder, key, insn, Limits::STEP) else {
        panic!("{insn:x?} is cut");
    };
    let block = builder.finish(next);
    // SAFETY: helpers touch the frame, and memory that the instruction may touch.
    let exit = unsafe { eval::run(&block, &GUEST, &mut frame, &mut Direct, 0x1234_5678_9abc_def0) };
    machine.state[..416].copy_from_slice(&xsave::area_of(&frame, 0)[..416]);
    machine.rax = frame.get(slot::gpr(0));
    machine.flags = guest::flags::eflags(&frame) & guest::flags::STATUS;
    exit
}

/// Runs an instruction in so many states; what differed first.
fn compare(code: &mut Code, random: &mut Random, insn: &[u8], cases: usize) -> Option<String> {
    let frontend = Frontend::new("max".parse().unwrap());
    for _ in 0..cases {
        let mut before = Machine::random(random);
        let mut expected = before.clone();
        // Both at one address: the FPU may remember it.
        let saved = before.clone();
        code.execute(insn, &mut before);
        std::mem::swap(&mut *before, &mut *expected);
        // AMD's processors write the last instruction and operand where an exception is pending only, and have another
        // MXCSR_MASK.
        let is_intel = base::host::is_intel();
        let exit = evaluate(&frontend, code.pc(), insn, &mut before);
        for at in (6..24).chain(28..32).filter(|_| !is_intel) {
            expected.state[at] = before.state[at];
        }
        let is_done = matches!(exit, eval::Exit::Goto(_) | eval::Exit::Lookup(_));
        if !is_done || *before != *expected {
            let differing = |a: &[u8], b: &[u8]| -> Vec<(usize, u8, u8)> {
                (0..a.len()).filter(|&n| a[n] != b[n]).map(|n| (n, a[n], b[n])).collect()
            };
            return Some(format!(
                "{insn:02x?}: {exit:x?} (found, expected): state {:x?} operand {:x?} rax {:x} {:x} flags {:x} {:x}\n   before {:x?}",
                differing(&before.state, &expected.state),
                differing(&before.operand, &expected.operand),
                before.rax,
                expected.rax,
                before.flags,
                expected.flags,
                &saved.state[..160],
            ));
        }
    }
    None
}

fn all_equal(insns: impl IntoIterator<Item = Vec<u8>>, cases: usize) {
    let (mut code, mut random) = (Code::new(), Random(Rng::new(0x4d4d58)));
    let failed: Vec<_> = insns
        .into_iter()
        .filter_map(|insn| compare(&mut code, &mut random, &insn, cases))
        .collect();
    assert!(failed.is_empty(), "{} differ:\n{}", failed.len(), failed.join("\n"));
}

/// With registers 1 and 2, with the same one twice, and with memory.
const OPERANDS: [u8; 3] = [0xca, 0xdb, 0x0e];

#[test]
fn mmx_is_as_the_host_has_it() {
    const TWO: &[&[u8]] = &[
        &[0x60],
        &[0x61],
        &[0x62],
        &[0x63],
        &[0x64],
        &[0x65],
        &[0x66],
        &[0x67],
        &[0x68],
        &[0x69],
        &[0x6a],
        &[0x6b],
        &[0x6f],
        &[0x74],
        &[0x75],
        &[0x76],
        &[0x7f],
        &[0xd1],
        &[0xd2],
        &[0xd3],
        &[0xd4],
        &[0xd5],
        &[0xd8],
        &[0xd9],
        &[0xda],
        &[0xdb],
        &[0xdc],
        &[0xdd],
        &[0xde],
        &[0xdf],
        &[0xe0],
        &[0xe1],
        &[0xe2],
        &[0xe3],
        &[0xe4],
        &[0xe5],
        &[0xe8],
        &[0xe9],
        &[0xea],
        &[0xeb],
        &[0xec],
        &[0xed],
        &[0xee],
        &[0xef],
        &[0xf1],
        &[0xf2],
        &[0xf3],
        &[0xf4],
        &[0xf5],
        &[0xf6],
        &[0xf8],
        &[0xf9],
        &[0xfa],
        &[0xfb],
        &[0xfc],
        &[0xfd],
        &[0xfe],
        &[0x38, 0x00],
        &[0x38, 0x01],
        &[0x38, 0x02],
        &[0x38, 0x03],
        &[0x38, 0x04],
        &[0x38, 0x05],
        &[0x38, 0x06],
        &[0x38, 0x07],
        &[0x38, 0x08],
        &[0x38, 0x09],
        &[0x38, 0x0a],
        &[0x38, 0x0b],
        &[0x38, 0x1c],
        &[0x38, 0x1d],
        &[0x38, 0x1e],
    ];
    let two =
        TWO.iter().flat_map(|opcode| OPERANDS.map(|modrm| [&[0x0f], *opcode, &[modrm]].concat()));
    let mut insns: Vec<Vec<u8>> = two.collect();
    for imm in [0, 1, 3, 7, 8, 12, 15, 16, 31, 33, 63, 64, 0xe4, 0xff] {
        for shift in [0x71, 0x72, 0x73] {
            insns.extend([0xd2, 0xe2, 0xf2].map(|modrm| vec![0x0f, shift, modrm, imm]));
        }
        insns.extend(OPERANDS.map(|modrm| vec![0x0f, 0x70, modrm, imm]));
        insns.extend(OPERANDS.map(|modrm| vec![0x0f, 0x3a, 0x0f, modrm, imm]));
        // pinsrw mm1, eax and memory; pextrw eax, mm2
        insns.extend([0xc8, 0x0e].map(|modrm| vec![0x0f, 0xc4, modrm, imm]));
        insns.push(vec![0x0f, 0xc5, 0xc2, imm]);
    }
    // There is no arithmetic shift of 64 bits.
    insns.retain(|insn| insn[..3] != [0x0f, 0x73, 0xe2]);
    insns.extend([
        vec![0x0f, 0x6e, 0xc8],       // movd mm1, eax
        vec![0x0f, 0x6e, 0x0e],       // movd mm1, [rsi]
        vec![0x48, 0x0f, 0x6e, 0xc8], // movq mm1, rax
        vec![0x48, 0x0f, 0x6e, 0x0e], // movq mm1, [rsi]
        vec![0x0f, 0x7e, 0xc8],       // movd eax, mm1
        vec![0x0f, 0x7e, 0x0e],       // movd [rsi], mm1
        vec![0x48, 0x0f, 0x7e, 0xc8], // movq rax, mm1
        vec![0x0f, 0xd7, 0xc2],       // pmovmskb eax, mm2
        vec![0x0f, 0xe7, 0x16],       // movntq [rsi], mm2
        vec![0xf3, 0x0f, 0xd6, 0xca], // movq2dq xmm1, mm2
        vec![0xf2, 0x0f, 0xd6, 0xca], // movdq2q mm1, xmm2
        vec![0x0f, 0x77],             // emms
    ]);
    for escape in [0x2a, 0x2c, 0x2d] {
        for modrm in [0xca, 0x0e] {
            insns.push(vec![0x0f, escape, modrm]);
            insns.push(vec![0x66, 0x0f, escape, modrm]);
        }
    }
    // What the host does about pending exceptions is not for it to say here.
    all_equal(insns, 40);
}

#[test]
fn x87_is_as_the_host_has_it() {
    let memory =
        (0xd8..=0xdf_u8).flat_map(|escape| (0..8_u8).map(move |reg| vec![escape, reg << 3 | 6]));
    let is_memory = |insn: &Vec<u8>| {
        !matches!(
            (insn[0], insn[1] >> 3),
            // No instructions; and those that load or store more than this test compares.
            (0xd9, 1) | (0xdb, 4 | 6) | (0xdd, 5) | (0xd9 | 0xdd, 4) | (0xd9, 5)
        )
    };
    let registers = (0xd8..=0xdf_u8).flat_map(|escape| {
        [
            0xc0, 0xc1, 0xc7, 0xc8, 0xc9, 0xcf, 0xd0, 0xd1, 0xd8, 0xd9, 0xdf, 0xe0, 0xe1, 0xe2,
            0xe3, 0xe4, 0xe5, 0xe8, 0xe9, 0xea, 0xeb, 0xec, 0xed, 0xee, 0xef, 0xf0, 0xf1, 0xf2,
            0xf3, 0xf4, 0xf5, 0xf6, 0xf7, 0xf8, 0xf9, 0xfa, 0xfb, 0xfc, 0xfd, 0xfe, 0xff,
        ]
        .map(move |modrm| vec![escape, modrm])
    });
    let is_register = |insn: &Vec<u8>| match insn[0] {
        0xd9 => !matches!(insn[1], 0xd1..=0xd7 | 0xe2 | 0xe3 | 0xe6 | 0xe7 | 0xef),
        0xda => insn[1] < 0xe0 || insn[1] == 0xe9,
        0xdb => !matches!(insn[1], 0xe0 | 0xe1 | 0xe4..=0xe7 | 0xf8..),
        0xdd => insn[1] < 0xf0,
        0xde => insn[1] < 0xd8 || insn[1] == 0xd9 || insn[1] >= 0xe0,
        0xdf => !matches!(insn[1], 0xe1..=0xe7 | 0xf8..),
        _ => true,
    };
    // With displacements, an index and a RIP-less absolute address the FPU remembers other opcodes.
    let forms =
        [vec![0xd8, 0x46, 0x10], vec![0xdc, 0x86, 0x10, 0, 0, 0], vec![0x42, 0xd8, 0x04, 0x06]];
    let insns = memory.filter(is_memory).chain(registers.filter(is_register)).chain(forms);
    all_equal(insns.collect::<Vec<_>>(), 60);
}
