//! x86-64's encodings: what iced's tables say of their operands.

use base::rng::Rng;
use iced_x86::{Code, OpCodeOperandKind as Kind, OpKind, Register};

use super::{Class, Encodings, Possible, translate};
use crate::guest::{Ferry, Guest};
use crate::program::Pattern;
use crate::program::x86_64::{Form, code_of, decode, example, name_of};

/// Those that iced numbers.
pub const ENCODINGS: Encodings = Encodings { name: |_, code| name_of(code), possible, shown };

fn possible(_: &'static Guest, ferry: &'static Ferry, pattern: &Pattern) -> Possible {
    let mut possible = Possible::default();
    possible.classes.insert(Class::Executed);
    let Some(code) = code_of(pattern) else { return possible };
    let info = code.op_code();
    let kinds: Vec<Kind> = (0..info.op_count()).map(|n| info.op_kind(n)).collect();
    let files: Vec<char> = kinds.iter().filter_map(|&kind| file_of(kind)).collect();
    if (1..files.len()).any(|index| files[..index].contains(&files[index])) {
        possible.classes.insert(Class::SameRegister);
    }
    if kinds.iter().any(|&kind| is_memory_or_register(kind)) {
        possible.classes.insert(Class::Memory);
    }
    if info.can_use_lock_prefix() {
        possible.classes.insert(Class::Locked);
    }
    if info.can_use_rep_prefix() || info.can_use_repne_prefix() {
        possible.classes.insert(Class::Repeated);
    }
    possible.range = kinds.iter().find_map(|&kind| range(code, kind));
    if let Some((least, _)) = possible.range {
        possible.classes.extend([Class::ImmediateLeast, Class::ImmediateGreatest]);
        if least < 0 {
            possible.classes.insert(Class::ImmediateZero);
        }
    }
    for form in [Form::Register, Form::Memory] {
        let bytes = example(code, form, &mut Rng::new(1));
        if let Some(block) = bytes.and_then(|bytes| translate(ferry, &bytes)) {
            possible.add_outcomes(ferry, pattern, &block);
        }
    }
    possible
}

fn shown(_: &'static Guest, possible: &Possible, code: &[u8]) -> Vec<Class> {
    let Some(insn) = decode(code) else { return Vec::new() };
    let mut classes = Vec::new();
    let registers = (0..insn.op_count()).map(|n| insn.op_register(n));
    let registers: Vec<Register> =
        registers.filter(|&r| r != Register::None).map(Register::full_register).collect();
    if (1..registers.len()).any(|index| registers[..index].contains(&registers[index])) {
        classes.push(Class::SameRegister);
    }
    if (0..insn.op_count()).any(|n| insn.op_kind(n) == OpKind::Memory) {
        classes.push(Class::Memory);
    }
    if insn.has_lock_prefix() {
        classes.push(Class::Locked);
    }
    if insn.has_rep_prefix() || insn.has_repne_prefix() {
        classes.push(Class::Repeated);
    }
    let immediate = (0..insn.op_count()).find_map(|n| match insn.op_kind(n) {
        OpKind::Immediate8 => Some(i64::from(insn.immediate8())),
        OpKind::Immediate16 => Some(i64::from(insn.immediate16())),
        OpKind::Immediate32 => Some(i64::from(insn.immediate32())),
        OpKind::Immediate64 => Some(insn.immediate64() as i64),
        OpKind::Immediate8to16 => Some(i64::from(insn.immediate8to16())),
        OpKind::Immediate8to32 => Some(i64::from(insn.immediate8to32())),
        OpKind::Immediate8to64 => Some(insn.immediate8to64()),
        OpKind::Immediate32to64 => Some(insn.immediate32to64()),
        _ => None,
    });
    classes.extend(immediate.into_iter().flat_map(|number| possible.corners(number)));
    classes
}

/// Which registers such an operand chooses from: two of one file can be the same.
fn file_of(kind: Kind) -> Option<char> {
    Some(match kind {
        Kind::r8_or_mem | Kind::r8_reg | Kind::r8_opcode => 'b',
        Kind::r16_or_mem | Kind::r16_reg | Kind::r16_rm | Kind::r16_opcode => 'r',
        Kind::r32_or_mem | Kind::r32_reg | Kind::r32_rm | Kind::r32_opcode | Kind::r32_vvvv => 'r',
        Kind::r64_or_mem | Kind::r64_reg | Kind::r64_rm | Kind::r64_opcode | Kind::r64_vvvv => 'r',
        Kind::mm_or_mem | Kind::mm_reg | Kind::mm_rm => 'm',
        Kind::xmm_or_mem | Kind::xmm_reg | Kind::xmm_rm | Kind::xmm_vvvv | Kind::xmm_is4 => 'v',
        Kind::ymm_or_mem | Kind::ymm_reg | Kind::ymm_rm | Kind::ymm_vvvv | Kind::ymm_is4 => 'v',
        Kind::sti_opcode | Kind::st0 => 's',
        _ => return None,
    })
}

/// Whether such an operand is in memory or a register.
fn is_memory_or_register(kind: Kind) -> bool {
    use Kind::{mm_or_mem, r8_or_mem, r16_or_mem, r32_or_mem, r64_or_mem, xmm_or_mem, ymm_or_mem};
    matches!(
        kind,
        r8_or_mem | r16_or_mem | r32_or_mem | r64_or_mem | mm_or_mem | xmm_or_mem | ymm_or_mem
    )
}

/// The least and the greatest immediate of such an operand.
fn range(code: Code, kind: Kind) -> Option<(i64, i64)> {
    match kind {
        // ENTER takes time and stack by its first one.
        Kind::imm16 if code.mnemonic() == iced_x86::Mnemonic::Enter => None,
        Kind::imm8 => Some((0, 0xff)),
        Kind::imm16 => Some((0, 0xffff)),
        Kind::imm32 => Some((0, 0xffff_ffff)),
        Kind::imm64 => Some((i64::MIN, i64::MAX)),
        Kind::imm8sex16 | Kind::imm8sex32 | Kind::imm8sex64 => Some((-0x80, 0x7f)),
        Kind::imm32sex64 => Some((i32::MIN.into(), i32::MAX.into())),
        _ => None,
    }
}
