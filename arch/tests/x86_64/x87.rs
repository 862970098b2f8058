//! Every x87 instruction, in random states with random operands.

#![expect(unsafe_code, reason = "the host's instructions")]
#![expect(clippy::print_stdout, reason = "says its seed")]

use std::time::{SystemTime, UNIX_EPOCH};

use base::CpuFrame;
use ferry_arch::x86_64::x87::{F80, Format, Op, State};
use ferry_arch::x86_64::{flags, helpers};

use crate::native::{Code, Random};

/// How many states an instruction is executed in.
fn cases() -> u64 {
    if std::env::var_os("FERRY_TEST_LONG").is_some() { 20_000 } else { 400 }
}

/// Exponents at which something happens.
const EXPONENTS: &[u16] = &[
    0, 1, 2, 60, 0x3c01, 0x3bcd, 0x3f6a, 0x3f81, 0x3fbe, 0x3ffe, 0x3fff, 0x4000, 0x400e, 0x401d,
    0x401e, 0x403d, 0x403e, 0x403f, 0x407e, 0x407f, 0x43fe, 0x43ff, 0x7ffd, 0x7ffe, 0x7fff,
];
const SIGNIFICANDS: &[u64] = &[
    0,
    1,
    1 << 63,
    1 << 63 | 1,
    3 << 62,
    3 << 62 | 1,
    u64::MAX,
    u64::MAX << 11,
    u64::MAX << 40,
    1 << 62,
    0x8000_0080_0000_0000,
    0x8000_0000_0000_0400,
    0xc90f_daa2_2168_c235,
];

fn number(random: &mut Random) -> F80 {
    let sign = (random.next() as u16 & 1) << 15;
    let exponent = match random.below(3) {
        0 => random.next() as u16 & 0x7fff,
        1 => 0x3fff_u16.wrapping_add(random.below(70) as u16).wrapping_sub(4),
        _ => random.pick(EXPONENTS),
    };
    let significand = match random.below(3) {
        0 => random.next() | 1 << 63,
        1 => random.next() << random.below(64) | 1 << 63,
        _ => random.pick(SIGNIFICANDS),
    };
    F80 { significand, sign_exponent: sign | exponent }
}

/// What an operand in memory may be: bits that are a number in several formats.
fn memory(random: &mut Random) -> [u8; 16] {
    let small = random.next() >> random.below(64);
    let single =
        random.pick(&[0_u32, 1, 0x7f80_0000, 0x7f80_0001, 0x7fc0_0000, 0x3f80_0000, 0x0080_0000]);
    let double = random.pick(&[
        0_u64,
        1,
        0x7ff0 << 48,
        0x7ff1 << 48,
        0x7ff8 << 48,
        0x3ff0 << 48,
        0x10 << 48,
    ]);
    let value = match random.below(6) {
        0 => number(random).bits(),
        1 => u128::from(random.next()) << 64 | u128::from(random.next()),
        2 => u128::from(single | (random.next() as u32) << 31),
        3 => u128::from(double | random.next() << 63),
        4 => u128::from(small),
        // Decimal digits.
        _ => {
            (0..18).fold(0, |bcd, _| bcd << 4 | u128::from(random.below(10)))
                | u128::from(random.next() & 1) << 79
        }
    };
    value.to_le_bytes()
}

fn state(random: &mut Random) -> State {
    let masks = if random.below(3) == 0 { random.next() as u16 & 0x3f } else { 0x3f };
    let control = random.next() as u16 & 0x1f00 | masks | 0x40;
    // Nothing is pending.
    let status = random.next() as u16 & 0x7f40 | random.next() as u16 & masks;
    let valid = random.next() as u8
        | if random.below(4) == 0 { 0 } else { 0x7f_u8.rotate_left(random.next() as u32) };
    State {
        control,
        status,
        valid,
        opcode: random.next() as u16 & 0x7ff,
        instruction: random.next() & 0xffff_ffff,
        operand: random.next() & 0xffff_ffff,
        registers: std::array::from_fn(|_| number(random)),
    }
}

/// What an instruction changes.
#[derive(Clone, PartialEq, Debug)]
struct Outcome {
    state: State,
    memory: [u8; 16],
    flags: u64,
}

/// By the host: loads state and flags, executes the instruction with its operand at rsi, and saves.
fn by_host(code: &mut Code, escape: u8, modrm: u8, before: &Outcome) -> Outcome {
    #[repr(C, align(16))]
    struct Image([u8; 108]);
    let mut image = Image([0; 108]);
    image.0.copy_from_slice(&before.state.image(Format::Bits32));
    let mut memory = Box::new(before.memory);
    let mut flags = before.flags;
    let bytes = [
        &[0xdd, 0x27, 0xff, 0x32, 0x9d][..],
        &[escape, modrm],
        &[0x9c, 0x8f, 0x02, 0xdd, 0x37, 0xfc, 0xc3],
    ]
    .concat();
    // SAFETY: FNSAVE leaves the FPU empty; the direction flag is clear.
    unsafe {
        let arguments = [
            image.0.as_mut_ptr(),
            memory.as_mut_ptr(),
            (&raw mut flags).cast(),
            std::ptr::null_mut(),
        ];
        code.call(&bytes, arguments);
    }
    let mut state = State::default();
    state.set_image(Format::Bits32, &image.0);
    let status = u16::from_le_bytes([image.0[4], image.0[5]]);
    assert_eq!(state.status, status, "{escape:#x} {modrm:#x}: whether anything is pending");
    Outcome { state, memory: *memory, flags: flags & flags::STATUS }
}

fn is_cmov(escape: u8, modrm: u8) -> bool {
    matches!(escape, 0xda | 0xdb) && (0xc0..0xe0).contains(&modrm)
}

/// Whether the condition of FCMOV holds.
fn moves(escape: u8, modrm: u8, eflags: u64) -> bool {
    let condition = match modrm >> 3 & 3 {
        0 => flags::CF,
        1 => flags::ZF,
        2 => flags::CF | flags::ZF,
        _ => flags::PF,
    };
    (eflags & condition != 0) == (escape == 0xda)
}

fn by_helper(pc: u64, address: u64, op: Op, escape: u8, modrm: u8, before: &Outcome) -> Outcome {
    let mut frame = CpuFrame::new();
    before.state.store(&mut frame);
    flags::set_eflags(&mut frame, before.flags);
    let mut memory = Box::new(before.memory);
    let word = |n: usize| u64::from_le_bytes(before.memory[n..n + 8].try_into().unwrap());
    let opcode = u64::from(op.opcode());
    let result = if op.stores().is_some() {
        // The FPU remembers the address that it is told; the bytes go to where they are looked for.
        let arguments = [opcode, pc, memory.as_mut_ptr() as u64, 0];
        helpers::call(&mut frame, helpers::X87_STORE, arguments)
    } else {
        let high = word(8) & 0xffff;
        let operand = if is_cmov(escape, modrm) {
            moves(escape, modrm, before.flags).into()
        } else {
            word(0)
        };
        helpers::call(&mut frame, helpers::X87, [opcode | high << 16, pc, operand, address])
    };
    assert_eq!((result, frame.fault), (Some(0), 0));
    let mut state = State::of(&frame);
    if op.stores().is_some() && state.operand == memory.as_ptr() as u64 {
        state.operand = address;
    }
    state.instruction &= 0xffff_ffff;
    Outcome { state, memory: *memory, flags: flags::eflags(&frame) & flags::STATUS }
}

/// What the host makes of an instruction, and what we do, if that is something else.
fn difference(code: &mut Code, escape: u8, modrm: u8, before: &Outcome) -> Option<String> {
    let op = Op::new(escape, modrm)?;
    let mut expected = by_host(code, escape, modrm, before);
    let pc = code.address() + 5;
    // Where the host's operand was nobody knows any more; that it was written down is enough.
    const ADDRESS: u64 = 0x1234_5678;
    if expected.state.operand != before.state.operand && modrm < 0xc0 {
        expected.state.operand = ADDRESS;
    }
    let found = by_helper(pc, ADDRESS, op, escape, modrm, before);
    if !base::host::remembers_only_exceptions() {
        expected.state.opcode = found.state.opcode;
        expected.state.operand = found.state.operand;
        // Where another task ran in between, the address is lost.
        if expected.state.instruction == 0 {
            expected.state.instruction = found.state.instruction;
        }
    }
    (found != expected).then(|| {
        format!(
            "{escape:02x} {modrm:02x}\nbefore   {before:x?}\nexpected {expected:x?}\nfound    {found:x?}"
        )
    })
}

/// Every instruction in as many states as there are to be.
fn check(random: &mut Random, state: impl Fn(&mut Random) -> (State, [u8; 16])) {
    let mut code = Code::new();
    let mut failed = Vec::new();
    for escape in 0xd8..=0xdf_u8 {
        for modrm in (0..8).map(|reg| reg << 3 | 6).chain(0xc0..=0xff) {
            failed.extend((0..cases()).find_map(|_| {
                let (state, memory) = state(random);
                let before = Outcome { state, memory, flags: random.next() & flags::STATUS };
                difference(&mut code, escape, modrm, &before)
            }));
        }
    }
    assert!(
        failed.is_empty(),
        "{} failed\n{}",
        failed.len(),
        failed[..failed.len().min(6)].join("\n\n")
    );
}

#[test]
fn every_instruction_does_what_the_host_s_does() {
    check(&mut Random::new(0x8087), |random| (state(random), memory(random)));
}

/// A number that has something to do with another: sums cancel out or need many more bits, and products lie at the ends of what
/// there is.
fn related(random: &mut Random, to: F80) -> F80 {
    let exponent = match random.below(8) {
        0 => return number(random),
        1 => 2 * 0x3fff - i64::from(to.sign_exponent & 0x7fff) + random.below(5) as i64 - 2,
        2 => i64::from(to.sign_exponent & 0x7fff),
        _ => i64::from(to.sign_exponent & 0x7fff) + random.below(140) as i64 - 70,
    };
    let bit = |random: &mut Random| 1 << random.below(64);
    let significand = match random.below(5) {
        0 => to.significand,
        1 => to.significand ^ bit(random),
        2 => to.significand.wrapping_neg() | 1 << 63,
        3 => bit(random) | bit(random) | 1 << 63,
        _ => random.next() | 1 << 63,
    };
    let sign_exponent = exponent.clamp(0, 0x7fff) as u16 | random.next() as u16 & 1 << 15;
    F80 { significand, sign_exponent }
}

/// A number in memory that has something to do with another: of 64 bits, or of 32, or of 80.
fn related_memory(random: &mut Random, to: F80) -> [u8; 16] {
    let number = related(random, to);
    let sign = u64::from(number.sign_exponent >> 15);
    let exponent = u64::from(number.sign_exponent & 0x7fff);
    let fraction = number.significand << 1;
    let value = match random.below(4) {
        0 => return memory(random),
        1 => number.bits(),
        2 => {
            u128::from(sign << 63 | (exponent.wrapping_sub(0x3c00) & 0x7ff) << 52 | fraction >> 12)
        }
        _ => u128::from(sign << 31 | (exponent.wrapping_sub(0x3f80) & 0xff) << 23 | fraction >> 41),
    };
    value.to_le_bytes()
}

/// A state in which most is as programs have it: the usual control word, and numbers of which each has something to do with
/// ST(0).
fn usual_state(random: &mut Random) -> (State, [u8; 16]) {
    let mut state = state(random);
    if random.below(8) != 0 {
        state.control = 0x37f;
        state.valid |= 0x7f_u8.rotate_left(random.next() as u32);
    }
    let top = match random.below(4) {
        // Zeros and what is no number are rare by themselves.
        0 => number(random),
        1 => F80 { significand: 0, sign_exponent: random.next() as u16 & 1 << 15 },
        // It may have a partner of 32 bits.
        _ => F80 {
            significand: random.next() | 1 << 63,
            sign_exponent: 0x3f70 + random.below(0x120) as u16,
        },
    };
    state.registers = std::array::from_fn(|_| related(random, top));
    state.registers[state.physical(0)] = top;
    (state, related_memory(random, top))
}

/// What nearly all programs do: for most of it, the host's FPU is not asked.
#[test]
fn usual_states_become_what_the_host_makes_of_them() {
    let seed = seed();
    println!("FERRY_FUZZ_SEED={seed:#x}");
    check(&mut Random::new(seed), usual_state);
}

/// `FERRY_FUZZ_SEED`, or a fresh seed.
fn seed() -> u64 {
    let Ok(text) = std::env::var("FERRY_FUZZ_SEED") else {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        return now.as_nanos() as u64;
    };
    let parsed = match text.strip_prefix("0x") {
        Some(hex) => u64::from_str_radix(hex, 16),
        None => text.parse(),
    };
    parsed.expect("FERRY_FUZZ_SEED is a number")
}

/// FNSTENV, FNSAVE, FLDENV, FRSTOR, FLDCW, FNCLEX and FNINIT, with the bytes that they write or read. The host is given the
/// prefix for an operand size of 16 bits or none.
#[test]
fn control_does_what_the_host_s_does() {
    let mut random = Random::new(0x387);
    let mut code = Code::new();
    for _ in 0..2000 {
        let calm = state(&mut random);
        let mut pending = calm;
        pending.status |= random.next() as u16 & 0x3f;
        pending.summarise();
        let bits = random.pick(&[16_u64, 32]);
        let bytes: [u8; 108] = std::array::from_fn(|_| random.next() as u8);
        for (insn, id) in [
            ([0xd9, 0x36], Some(helpers::FNSTENV)),
            ([0xdd, 0x36], Some(helpers::FNSAVE)),
            ([0xd9, 0x26], Some(helpers::FLDENV)),
            ([0xdd, 0x26], Some(helpers::FRSTOR)),
            ([0xd9, 0x2e], None),
            ([0xdb, 0xe2], Some(helpers::FNCLEX)),
            ([0xdb, 0xe3], Some(helpers::FNINIT)),
        ] {
            // The others wait for what is pending.
            let is_no_wait = matches!(insn, [0xd9 | 0xdd, 0x36] | [0xdb, 0xe2 | 0xe3]);
            let before = if is_no_wait { pending } else { calm };
            let mut image = before.image(Format::Bits32);
            let mut host_bytes = bytes;
            let prefix: &[u8] = if bits == 16 { &[0x66] } else { &[] };
            let text = [&[0xdd, 0x27], prefix, &insn, &[0xdd, 0x37, 0xc3]].concat();
            // SAFETY: FNSAVE leaves the FPU empty; both buffers are long enough.
            unsafe {
                let arguments = [
                    image.as_mut_ptr(),
                    host_bytes.as_mut_ptr(),
                    image.as_mut_ptr(),
                    image.as_mut_ptr(),
                ];
                code.call(&text, arguments);
            }
            let mut expected = State::default();
            expected.set_image(Format::Bits32, &image);
            assert_eq!(image[4..6], expected.status.to_le_bytes(), "whether anything is pending");
            let mut frame = CpuFrame::new();
            before.store(&mut frame);
            let mut our_bytes = Box::new(bytes);
            let address = our_bytes.as_mut_ptr() as u64;
            let value = u64::from(u16::from_le_bytes([bytes[0], bytes[1]]));
            let result = match id {
                Some(id) => helpers::call(&mut frame, id, [address, bits, 0, 0]),
                None => helpers::call(&mut frame, helpers::FLDCW, [value, 0, 0, 0]),
            };
            assert_eq!((result, frame.fault), (Some(0), 0));
            assert_eq!(*our_bytes, host_bytes, "{insn:x?} {bits} {before:x?}");
            assert_eq!(State::of(&frame), expected, "{insn:x?} {bits} {before:x?}");
        }
    }
}
