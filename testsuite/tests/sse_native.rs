//! Vector instructions of x86-64 against the host: for every encoding that its CPU and the translator both know, with random and
//! corner operands in registers and memory, in several states of MXCSR. The same bytes are executed by the host, by the
//! evaluator and as compiled code.

#![cfg(target_arch = "x86_64")]
#![expect(unsafe_code, reason = "executes code that was made here")]
#![expect(clippy::print_stdout, reason = "a failing test shows its seed")]

use std::arch::{global_asm, is_x86_feature_detected};
use std::collections::BTreeMap;
use std::mem::offset_of;

use arch::x86_64::{flags, mxcsr, slot};
use backend::{CodeMemory, CompileOptions, Compiler, Region, entry};
use base::cpu::JumpCacheEntry;
use base::{CpuFrame, GuestVirt};
use decoders::x86_64::{
    CpuidFeature, Decoded, EncodingKind, Instruction, OpKind, Options, decode, text,
};
use ir::eval::{self, Denied, Exit, Memory};
use ir::{Block, BlockKey, Builder};
use translator::x86_64::{Frontend, GUEST, is_implemented};
use translator::{Frontend as _, Limits, Translation};

/// The registers that an instruction may touch, and memory that RDI points into.
#[derive(Clone, PartialEq, Debug)]
#[repr(C, align(64))]
struct State {
    ymm: [[u128; 2]; 16],
    memory: [u8; 128],
    /// In the encoding's order. RSP and R8 to R15 are not used.
    gprs: [u64; 8],
    eflags: u64,
    mxcsr: u32,
    default_mxcsr: u32,
}

unsafe extern "C" {
    /// Loads a state, calls code, and saves it.
    fn ferry_test_run_native(state: *mut State, code: *const u8);
}

global_asm!(
    ".globl ferry_test_run_native",
    "ferry_test_run_native:",
    "push rbx", "push rbp", "push r12", "push r13", "push r14", "push r15", "push rdi",
    "mov r11, rsi",
    "mov r10, rdi",
    "ldmxcsr [r10 + {mxcsr}]",
    ".irp n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15",
    "vmovdqa ymm\\n, [r10 + 32 * \\n]",
    ".endr",
    "push qword ptr [r10 + {eflags}]",
    "popfq",
    "mov rax, [r10 + {gprs}]",
    "mov rcx, [r10 + {gprs} + 8]",
    "mov rdx, [r10 + {gprs} + 16]",
    "mov rbx, [r10 + {gprs} + 24]",
    "mov rbp, [r10 + {gprs} + 40]",
    "mov rsi, [r10 + {gprs} + 48]",
    "mov rdi, [r10 + {gprs} + 56]",
    "call r11",
    "pushfq",
    "pop r11",
    "mov r10, [rsp]",
    "mov [r10 + {eflags}], r11",
    "stmxcsr [r10 + {mxcsr}]",
    "ldmxcsr [r10 + {default}]",
    "mov [r10 + {gprs}], rax",
    "mov [r10 + {gprs} + 8], rcx",
    "mov [r10 + {gprs} + 16], rdx",
    "mov [r10 + {gprs} + 24], rbx",
    "mov [r10 + {gprs} + 40], rbp",
    "mov [r10 + {gprs} + 48], rsi",
    "mov [r10 + {gprs} + 56], rdi",
    ".irp n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15",
    "vmovdqa [r10 + 32 * \\n], ymm\\n",
    ".endr",
    "vzeroupper",
    "pop rdi", "pop r15", "pop r14", "pop r13", "pop r12", "pop rbp", "pop rbx",
    "ret",
    mxcsr = const offset_of!(State, mxcsr),
    default = const offset_of!(State, default_mxcsr),
    eflags = const offset_of!(State, eflags),
    gprs = const offset_of!(State, gprs),
);

/// CF, PF, AF, ZF, SF, OF.
const STATUS: u64 = 0x8d5;
const RSP: usize = 4;
const RDI: usize = 7;
const CASES: usize = 60;

/// xorshift64*
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn below(&mut self, count: usize) -> usize {
        (self.next() >> 32) as usize % count
    }

    fn doubleword(&mut self, kind: usize) -> u64 {
        const WORDS: [u32; 20] = [
            0,
            0x8000_0000,
            1,
            0x8000_0001,
            0x7fff_ffff,
            0xffff_ffff,
            0x3f80_0000,
            0xbf80_0000,
            0x7f80_0000,
            0xff80_0000,
            0x7fc0_0001,
            0xffc0_0002,
            0x7f80_0001,
            0x007f_ffff,
            0x0080_0000,
            0x7f7f_ffff,
            0x4f00_0000,
            0xcf00_0000,
            0x3f00_0000,
            0x4020_0000,
        ];
        const DOUBLEWORDS: [u64; 16] = [
            0,
            1 << 63,
            1,
            0x3ff0_0000_0000_0000,
            0xbff0_0000_0000_0000,
            0x7ff0_0000_0000_0000,
            0xfff0_0000_0000_0000,
            0x7ff8_0000_0000_0001,
            0xfff0_0000_0000_0001,
            0x0010_0000_0000_0000,
            0x000f_ffff_ffff_ffff,
            0x7fef_ffff_ffff_ffff,
            0x41e0_0000_0000_0000,
            0xc1e0_0000_0000_0000,
            0x43e0_0000_0000_0000,
            0x3fe0_0000_0000_0000,
        ];
        match kind {
            0 => {
                let [a, b] = [(); 2].map(|()| u64::from(WORDS[self.below(WORDS.len())]));
                a << 32 | b
            }
            1 => DOUBLEWORDS[self.below(DOUBLEWORDS.len())],
            2 => {
                let [a, b] =
                    [(); 2].map(|()| u64::from((self.next() as i8 as f32 / 4.0).to_bits()));
                a << 32 | b
            }
            3 => (self.next() as i8 as f64 / 4.0).to_bits(),
            4 => self.next() & 0x0707_0707_0707_0707,
            5 => 0x3f80_0000_3f80_0000 + (self.next() & 0x00ff_ffff_00ff_ffff),
            6 => 0x3ff0_0000_0000_0000 + (self.next() >> 11),
            _ => self.next(),
        }
    }

    fn state(&mut self, mxcsr: u32) -> State {
        let kind = self.below(9);
        let mut vector = || {
            let [low, high] = [(); 2].map(|()| {
                let kind = if kind == 8 { self.below(8) } else { kind };
                self.doubleword(kind)
            });
            u128::from(high) << 64 | u128::from(low)
        };
        let ymm = [(); 16].map(|()| [vector(), vector()]);
        let memory: Vec<u8> = (0..8).flat_map(|_| vector().to_le_bytes()).collect();
        let gprs = [(); 8].map(|()| self.next());
        let eflags = 0x202 | self.next() & STATUS;
        let memory = memory.try_into().expect("128 bytes");
        State { ymm, memory, gprs, eflags, mxcsr, default_mxcsr: 0x1f80 }
    }
}

/// Memory of the test itself.
struct Own;

impl Memory for Own {
    fn load(&mut self, addr: GuestVirt, bytes: u32) -> Result<u128, Denied> {
        let mut value = [0; 16];
        // SAFETY: the instructions of this test access the state's memory alone.
        unsafe {
            std::ptr::copy_nonoverlapping(addr.0 as *const u8, value.as_mut_ptr(), bytes as usize)
        };
        Ok(u128::from_le_bytes(value))
    }

    fn store(&mut self, addr: GuestVirt, bytes: u32, value: u128) -> Result<(), Denied> {
        let value = value.to_le_bytes();
        // SAFETY: as above.
        unsafe { std::ptr::copy_nonoverlapping(value.as_ptr(), addr.0 as *mut u8, bytes as usize) };
        Ok(())
    }
}

/// An encoding of the test: its bytes, and what they are.
struct Case {
    bytes: Vec<u8>,
    insn: Instruction,
}

fn host_has(feature: CpuidFeature) -> bool {
    use CpuidFeature as C;
    match feature {
        C::SSE | C::SSE2 | C::X64 => true,
        C::SSE3 => is_x86_feature_detected!("sse3"),
        C::SSSE3 => is_x86_feature_detected!("ssse3"),
        C::SSE4_1 => is_x86_feature_detected!("sse4.1"),
        C::SSE4_2 => is_x86_feature_detected!("sse4.2"),
        C::AVX => is_x86_feature_detected!("avx"),
        C::AVX2 => is_x86_feature_detected!("avx2"),
        C::FMA => is_x86_feature_detected!("fma"),
        C::F16C => is_x86_feature_detected!("f16c"),
        C::AES => is_x86_feature_detected!("aes"),
        C::PCLMULQDQ => is_x86_feature_detected!("pclmulqdq"),
        C::SHA => is_x86_feature_detected!("sha"),
        C::GFNI => is_x86_feature_detected!("gfni"),
        C::VAES => is_x86_feature_detected!("vaes"),
        C::VPCLMULQDQ => is_x86_feature_detected!("vpclmulqdq"),
        _ => false,
    }
}

/// Whether it is a matter of vectors, and touches nothing that the state has not.
fn is_suitable(insn: &Instruction) -> bool {
    let features = insn.cpuid_features();
    let vector = features.iter().any(|&f| f != CpuidFeature::X64);
    let registers = insn.op_kinds().zip(0..).all(|(kind, n)| match kind {
        OpKind::Register => {
            let register = insn.op_register(n);
            let general = register.is_gpr32() || register.is_gpr64();
            let kept = general && register.number() < 8 && register.number() != RSP;
            register.is_xmm() || register.is_ymm() || kept
        }
        OpKind::Memory => true,
        OpKind::MemorySegRDI => true,
        _ => !format!("{kind:?}").starts_with("Memory"),
    });
    // State and cache lines are no vectors; gathers address memory by vectors.
    use decoders::x86_64::Mnemonic as M;
    let plain = !matches!(
        insn.mnemonic(),
        M::Ldmxcsr
            | M::Stmxcsr
            | M::Vldmxcsr
            | M::Vstmxcsr
            | M::Clflush
            | M::Lfence
            | M::Mfence
            | M::Sfence
            | M::Pause
            | M::Movnti
            | M::Crc32
            | M::Popcnt
            | M::Vzeroall
            | M::Prefetchnta
            | M::Prefetcht0
            | M::Prefetcht1
            | M::Prefetcht2
    );
    let gathers = insn.op_kinds().any(|kind| kind == OpKind::Memory)
        && insn.memory_index().is_vector_register();
    vector && registers && plain && !gathers && features.iter().all(|&f| host_has(f))
}

/// Encodings of every opcode, legacy and VEX, with registers and with memory at RDI.
fn cases(random: &mut Random) -> Vec<Case> {
    let mut found: BTreeMap<(u16, bool), Vec<Case>> = BTreeMap::new();
    let maps: [&[u8]; 3] = [&[0x0f], &[0x0f, 0x38], &[0x0f, 0x3a]];
    let prefixes: [&[u8]; 4] = [&[], &[0x66], &[0xf3], &[0xf2]];
    for opcode in 0..=255_u8 {
        for (map, escape) in maps.iter().enumerate() {
            for (pp, prefix) in prefixes.iter().enumerate() {
                let mut heads = vec![prefix.to_vec(), [prefix, &[0x48][..]].concat()];
                heads.iter_mut().for_each(|head| head.extend_from_slice(escape));
                for w in [0, 0x80] {
                    for l in [0, 4] {
                        // vvvv is register 3.
                        heads.push(vec![0xc4, 0xe1 + map as u8, w | 0x60 | l | pp as u8]);
                        heads.push(vec![0xc4, 0xe1 + map as u8, w | 0x78 | l | pp as u8]);
                    }
                }
                for head in heads {
                    for _ in 0..6 {
                        let reg = random.below(8) as u8;
                        let rm = random.below(8) as u8;
                        for modrm in [0xc0 | reg << 3 | rm, reg << 3 | 7] {
                            let mut bytes = [&head[..], &[opcode, modrm]].concat();
                            bytes.push(random.next() as u8);
                            let Decoded::Instruction(insn) =
                                decode(GuestVirt(0), &bytes, Options::for_cpu(|_| true))
                            else {
                                continue;
                            };
                            let has_memory = insn.op_kinds().any(|kind| kind == OpKind::Memory);
                            let encoding = matches!(
                                insn.code().encoding(),
                                EncodingKind::Legacy | EncodingKind::VEX
                            );
                            if !encoding || !is_implemented(insn.code()) || !is_suitable(&insn) {
                                continue;
                            }
                            bytes.truncate(insn.len());
                            let key = (insn.code() as u16, has_memory);
                            found.entry(key).or_default().push(Case { bytes, insn });
                        }
                    }
                }
            }
        }
    }
    found
        .into_values()
        .flat_map(|mut all| {
            all.truncate(8);
            all
        })
        .collect()
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
        let helpers: Vec<usize> = GUEST.helpers.iter().map(|h| h.code.address()).collect();
        let mut frame = CpuFrame::new();
        frame.jump_cache = jumps.as_mut_ptr();
        frame.fp_slow = Some(backend::fp_slow::call);
        frame.helpers = Box::leak(helpers.into_boxed_slice()).as_ptr().cast();
        Self {
            frame,
            memory: CodeMemory::new(512 << 20).expect("code memory"),
            compiler: Compiler::new(&GUEST, CompileOptions::for_host()).expect("a compiler"),
            _jumps: jumps,
        }
    }

    fn load(&mut self, state: &State) {
        for n in 0..16_u8 {
            self.frame.set_wide(slot::xmm(n), state.ymm[usize::from(n)][0]);
            self.frame.set_wide(slot::ymm_high(n), state.ymm[usize::from(n)][1]);
        }
        for (n, &value) in state.gprs.iter().enumerate() {
            self.frame.set(slot::gpr(n as u8), value);
        }
        flags::set_eflags(&mut self.frame, state.eflags);
        mxcsr::set(&mut self.frame, state.mxcsr);
    }

    fn save(&self, state: &mut State) {
        for n in 0..16_u8 {
            state.ymm[usize::from(n)] =
                [self.frame.get_wide(slot::xmm(n)), self.frame.get_wide(slot::ymm_high(n))];
        }
        for (n, value) in state.gprs.iter_mut().enumerate() {
            *value = self.frame.get(slot::gpr(n as u8));
        }
        state.eflags = flags::eflags(&self.frame);
        state.mxcsr = mxcsr::get(&self.frame);
    }

    fn translate(&self, bytes: &[u8]) -> Block {
        let builder = Builder::new();
        let frontend = Frontend::new("max".parse().expect("a model"));
        let pc = GuestVirt(0x1000);
        let key = BlockKey(pc.0 | self.frame.key_flags);
        match frontend.translate(&builder, key, bytes, Limits::STEP) {
            Translation::Done { next } => builder.finish(next),
            Translation::Unfetchable(addr) => panic!("{addr:?} is not there"),
        }
    }
}

/// The host's code: the bytes, and a return.
struct NativeCode(*mut u8);

impl NativeCode {
    fn new() -> Self {
        // SAFETY: a fresh mapping.
        let page = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                4096,
                libc::PROT_READ | libc::PROT_WRITE | libc::PROT_EXEC,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
                -1,
                0,
            )
        };
        assert_ne!(page, libc::MAP_FAILED, "a page for code");
        Self(page.cast())
    }

    fn run(&self, bytes: &[u8], state: &mut State) {
        // SAFETY: the page is ours, and the code touches the state's registers and memory alone.
        unsafe {
            std::ptr::copy_nonoverlapping(bytes.as_ptr(), self.0, bytes.len());
            self.0.add(bytes.len()).write(0xc3);
            ferry_test_run_native(state, self.0);
        }
    }
}

/// To nearest with nothing raised, with everything raised; the other modes; flushing.
const MXCSRS: [u32; 10] =
    [0x1f80, 0x1fa0, 0x1f80, 0x3f80, 0x5fa0, 0x7f80, 0x9fa0, 0x1fc0, 0x9fe0, 0xbfc0];

fn describe(case: &Case, before: &State, found: &State, wanted: &State) -> String {
    let mut lines = vec![format!("{} ({:02x?})", text(&case.insn), case.bytes)];
    for n in 0..16 {
        lines.push(match found.ymm[n] == wanted.ymm[n] {
            true => format!("  ymm{n} {:032x?}", before.ymm[n]),
            false => format!(
                "  ymm{n} {:032x?} found {:032x?} wanted {:032x?}",
                before.ymm[n], found.ymm[n], wanted.ymm[n]
            ),
        });
    }
    lines.push(format!(
        "  mxcsr {:x} found {:x} wanted {:x}",
        before.mxcsr, found.mxcsr, wanted.mxcsr
    ));
    lines.push(format!(
        "  eflags {:x} found {:x} wanted {:x}",
        before.eflags, found.eflags, wanted.eflags
    ));
    lines.push(format!(
        "  gprs {:x?} found {:x?} wanted {:x?}",
        before.gprs, found.gprs, wanted.gprs
    ));
    lines.push(format!(
        "  memory {:02x?}\n  found {:02x?}\n  wanted {:02x?}",
        before.memory, found.memory, wanted.memory
    ));
    lines.join("\n")
}

#[test]
fn vector_instructions_do_what_the_host_does() {
    let seed = ferry_testsuite::seed::of_this_run() | 1;
    println!("seed {seed}");
    let mut random = Random(seed);
    if !is_x86_feature_detected!("avx2") {
        return;
    }
    let (native, mut machine) = (NativeCode::new(), Machine::new());
    let all = cases(&mut random);
    let codes: std::collections::BTreeSet<_> =
        all.iter().map(|case| case.insn.code() as u16).collect();
    println!("{} encodings, {} codes", all.len(), codes.len());
    let mut wrong: BTreeMap<String, String> = BTreeMap::new();
    for case in &all {
        let mut compiled: BTreeMap<u64, (Block, base::HostPtr)> = BTreeMap::new();
        for n in 0..CASES {
            let mut state = random.state(MXCSRS[n % MXCSRS.len()]);
            let mut place = Box::new(state.clone());
            state.gprs[RDI] = (&raw mut place.memory) as u64 + 32;
            if n % 2 == 0 {
                // Small enough for PCMPESTRI's lengths.
                state.gprs[0] = random.next() % 20;
                state.gprs[2] = (random.next() % 20).wrapping_neg();
            }
            let mut run = |run: &mut dyn FnMut(&mut State)| {
                *place = state.clone();
                run(&mut place);
                State::clone(&place)
            };
            let wanted = run(&mut |place| native.run(&case.bytes, place));
            machine.load(&state);
            let key = machine.frame.key_flags;
            let compile = || {
                let block = machine.translate(&case.bytes);
                ir::verify(&block, &GUEST).expect("a valid block");
                let region = Region::new(vec![block.clone()], vec![0]);
                let code = machine.compiler.compile(&region).expect("a region");
                (block, machine.memory.place(&code, 0).expect("a place").entries[0])
            };
            let (block, entry) = compiled.entry(key).or_insert_with(compile).clone();
            let evaluated = run(&mut |place| {
                machine.load(&state);
                // SAFETY: the frame is this guest's.
                let exit = unsafe { eval::run(&block, &GUEST, &mut machine.frame, &mut Own, 0x55) };
                assert!(matches!(exit, Exit::Goto(_)), "{} {exit:?}", text(&case.insn));
                machine.save(place);
            });
            let executed = run(&mut |place| {
                machine.load(&state);
                // SAFETY: the region was placed in this machine's memory, and the frame is its own.
                unsafe { entry::enter(&mut *machine.frame, entry.0 as *const u8) };
                machine.save(place);
            });
            for (how, found) in [("evaluated", evaluated), ("compiled", executed)] {
                let same = State { eflags: 0, ..found.clone() }
                    == State { eflags: 0, ..wanted.clone() }
                    && (found.eflags ^ wanted.eflags) & STATUS == 0;
                if !same {
                    wrong
                        .entry(format!("{how} {:?}", case.insn.code()))
                        .or_insert_with(|| describe(case, &state, &found, &wanted));
                }
            }
        }
    }
    for (what, how) in &wrong {
        println!("{what}: {how}");
    }
    assert!(wrong.is_empty(), "{} encodings differ", wrong.len());
}
