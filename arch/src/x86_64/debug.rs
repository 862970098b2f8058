//! A logical processor's registers under a debugger, numbered as gdb does ("Debugging with GDB", "i386 Features"): the general
//! ones, rip, eflags and selectors, then the x87 FPU's, xmm0 to xmm15 and mxcsr, what Linux adds, the bases of segments,
//! and the upper halves of ymm0 to ymm15.

use std::ops::RangeInclusive;

use base::{CpuFrame, RegSlot};

use super::x87::{F80, State};
use super::{flags, mxcsr, slot};
use crate::debug::{DebugRegister, DebugRegisters, DebugValue};

/// The general-purpose registers in gdb's order, by their numbers in encodings.
const GPRS: [u8; 16] = [0, 3, 1, 2, 6, 7, 5, 4, 8, 9, 10, 11, 12, 13, 14, 15];
const SELECTORS: [(&str, RegSlot); 6] = [
    ("cs", slot::CS),
    ("ss", slot::SS),
    ("ds", slot::DS),
    ("es", slot::ES),
    ("fs", slot::FS),
    ("gs", slot::GS),
];
/// The x87 FPU's registers of control. The selectors are always 0.
const CONTROL: [&str; 8] = ["fctrl", "fstat", "ftag", "fiseg", "fioff", "foseg", "fooff", "fop"];

const LAST_GPR: u32 = 15;
const RIP: u32 = 16;
const EFLAGS: u32 = 17;
const CS: u32 = 18;
const GS: u32 = CS + 5;
const ST0: u32 = 24;
const ST7: u32 = ST0 + 7;
const FCTRL: u32 = 32;
const FSTAT: u32 = 33;
const FTAG: u32 = 34;
const FISEG: u32 = 35;
const FIOFF: u32 = 36;
const FOSEG: u32 = 37;
const FOOFF: u32 = 38;
const FOP: u32 = 39;
const XMM0: u32 = 40;
const XMM15: u32 = XMM0 + 15;
const MXCSR: u32 = 56;
const ORIG_RAX: u32 = 57;
const FS_BASE: u32 = 58;
const GS_BASE: u32 = 59;
const YMM0H: u32 = 60;
const YMM15H: u32 = YMM0H + 15;

const CORE: &str = "org.gnu.gdb.i386.core";
const SSE: &str = "org.gnu.gdb.i386.sse";
const LINUX: &str = "org.gnu.gdb.i386.linux";
const SEGMENTS: &str = "org.gnu.gdb.i386.segments";
const AVX: &str = "org.gnu.gdb.i386.avx";

/// What gdb calls the parts of eflags, mxcsr and a vector register.
const TYPES: &[(&str, &str)] = &[(CORE, EFLAGS_TYPE), (SSE, SSE_TYPES)];

macro_rules! flags_type {
    ($id:literal [$($name:literal $bit:literal)*]) => {
        concat!(
            "<flags id=\"", $id, "\" size=\"4\">",
            $("<field name=\"", $name, "\" start=\"", $bit, "\" end=\"", $bit, "\"/>",)*
            "</flags>\n"
        )
    };
}

const EFLAGS_TYPE: &str = flags_type!("i386_eflags" [
    "CF" 0 "" 1 "PF" 2 "AF" 4 "ZF" 6 "SF" 7 "TF" 8 "IF" 9 "DF" 10 "OF" 11 "NT" 14 "RF" 16 "VM" 17 "AC" 18 "VIF" 19
    "VIP" 20 "ID" 21
]);

const SSE_TYPES: &str = concat!(
    "<vector id=\"v8bf16\" type=\"bfloat16\" count=\"8\"/>\n",
    "<vector id=\"v8h\" type=\"ieee_half\" count=\"8\"/>\n",
    "<vector id=\"v4f\" type=\"ieee_single\" count=\"4\"/>\n",
    "<vector id=\"v2d\" type=\"ieee_double\" count=\"2\"/>\n",
    "<vector id=\"v16i8\" type=\"int8\" count=\"16\"/>\n",
    "<vector id=\"v8i16\" type=\"int16\" count=\"8\"/>\n",
    "<vector id=\"v4i32\" type=\"int32\" count=\"4\"/>\n",
    "<vector id=\"v2i64\" type=\"int64\" count=\"2\"/>\n",
    "<union id=\"vec128\">",
    "<field name=\"v8_bfloat16\" type=\"v8bf16\"/>",
    "<field name=\"v8_half\" type=\"v8h\"/>",
    "<field name=\"v4_float\" type=\"v4f\"/>",
    "<field name=\"v2_double\" type=\"v2d\"/>",
    "<field name=\"v16_int8\" type=\"v16i8\"/>",
    "<field name=\"v8_int16\" type=\"v8i16\"/>",
    "<field name=\"v4_int32\" type=\"v4i32\"/>",
    "<field name=\"v2_int64\" type=\"v2i64\"/>",
    "<field name=\"uint128\" type=\"uint128\"/>",
    "</union>\n",
    flags_type!("i386_mxcsr" [
        "IE" 0 "DE" 1 "ZE" 2 "OE" 3 "UE" 4 "PE" 5 "DAZ" 6 "IM" 7 "DM" 8 "ZM" 9 "OM" 10 "UM" 11 "PM" 12 "FZ" 15
    ])
);

fn register(
    number: u32,
    name: &str,
    bits: u32,
    kind: &'static str,
    feature: &'static str,
) -> DebugRegister {
    DebugRegister { number, name: name.to_owned(), bits, kind, feature, group: None }
}

fn numbered<'a>(
    numbers: RangeInclusive<u32>,
    names: impl IntoIterator<Item = &'a str>,
    bits: u32,
    kind: &'static str,
    feature: &'static str,
) -> impl Iterator<Item = DebugRegister> {
    numbers.zip(names).map(move |(number, name)| register(number, name, bits, kind, feature))
}

/// The registers of a program.
#[must_use]
pub fn user_registers() -> DebugRegisters {
    let gpr = |(number, n): (u32, u8)| {
        let name = slot::GPR_NAMES[usize::from(n)];
        register(number, name, 64, if matches!(n, 4 | 5) { "data_ptr" } else { "int64" }, CORE)
    };
    let stack: Vec<String> = (0..8).map(|n| format!("st{n}")).collect();
    let upper: Vec<String> = (0..16).map(|n| format!("ymm{n}h")).collect();
    let mut registers: Vec<DebugRegister> = (0..).zip(GPRS).map(gpr).collect();
    registers.push(register(RIP, "rip", 64, "code_ptr", CORE));
    registers.push(register(EFLAGS, "eflags", 32, "i386_eflags", CORE));
    registers.extend(numbered(CS..=GS, SELECTORS.map(|(name, _)| name), 32, "int32", CORE));
    registers.extend(numbered(ST0..=ST7, stack.iter().map(|name| &**name), 80, "i387_ext", CORE));
    let control = numbered(FCTRL..=FOP, CONTROL, 32, "int", CORE);
    registers.extend(control.map(|register| DebugRegister { group: Some("float"), ..register }));
    registers.extend(numbered(XMM0..=XMM15, slot::XMM_NAMES.iter().copied(), 128, "vec128", SSE));
    let group = Some("vector");
    registers.push(DebugRegister { group, ..register(MXCSR, "mxcsr", 32, "i386_mxcsr", SSE) });
    registers.push(register(ORIG_RAX, "orig_rax", 64, "int", LINUX));
    registers.push(register(FS_BASE, "fs_base", 64, "int", SEGMENTS));
    registers.push(register(GS_BASE, "gs_base", 64, "int", SEGMENTS));
    registers.extend(numbered(
        YMM0H..=YMM15H,
        upper.iter().map(|name| &**name),
        128,
        "uint128",
        AVX,
    ));
    DebugRegisters {
        architecture: "i386:x86-64",
        registers,
        general: 0..RIP + 1,
        pc: RIP,
        types: TYPES,
    }
}

fn halves(value: u128) -> DebugValue {
    [value as u64, (value >> 64) as u64].into()
}

fn whole(value: DebugValue) -> u128 {
    u128::from(value.high()) << 64 | u128::from(value.low())
}

/// A register of a program; `None` if there is none of that number.
#[must_use]
pub fn read_user(frame: &CpuFrame, number: u32) -> Option<DebugValue> {
    let value = match number {
        0..=LAST_GPR => frame.get(slot::gpr(GPRS[number as usize])),
        RIP => frame.pc,
        EFLAGS => flags::eflags(frame),
        CS..=GS => frame.get(SELECTORS[(number - CS) as usize].1),
        ST0..=ST7 => return Some(halves(State::of(frame).st((number - ST0) as u8).bits())),
        FCTRL => frame.get(slot::FCW),
        FSTAT => frame.get(slot::FSW),
        FTAG => State::of(frame).tags().into(),
        FISEG | FOSEG => 0,
        FIOFF => frame.get(slot::FIP) & 0xffff_ffff,
        FOOFF => frame.get(slot::FDP) & 0xffff_ffff,
        FOP => frame.get(slot::FOP),
        XMM0..=XMM15 => return Some(halves(frame.get_wide(slot::xmm((number - XMM0) as u8)))),
        MXCSR => mxcsr::get(frame).into(),
        // Between instructions there is no system call that could be done again.
        ORIG_RAX => u64::MAX,
        FS_BASE => frame.get(slot::FS_BASE),
        GS_BASE => frame.get(slot::GS_BASE),
        YMM0H..=YMM15H => {
            return Some(halves(frame.get_wide(slot::ymm_high((number - YMM0H) as u8))));
        }
        _ => return None,
    };
    Some(value.into())
}

/// Writes a register of a program. Whether there is one of that number that can be written. The translation flags follow
/// it.
pub fn write_user(frame: &mut CpuFrame, number: u32, value: DebugValue) -> bool {
    let low = value.low();
    match number {
        0..=LAST_GPR => frame.set(slot::gpr(GPRS[number as usize]), low),
        RIP => frame.pc = low,
        EFLAGS => flags::set_eflags_masked(frame, low, flags::POPF | flags::RF),
        FS_BASE => frame.set(slot::FS_BASE, low),
        GS_BASE => frame.set(slot::GS_BASE, low),
        ST0..=FOP => return write_x87(frame, number, value),
        XMM0..=XMM15 => frame.set_wide(slot::xmm((number - XMM0) as u8), whole(value)),
        MXCSR => mxcsr::set(frame, low as u32),
        YMM0H..=YMM15H => frame.set_wide(slot::ymm_high((number - YMM0H) as u8), whole(value)),
        // Selectors are the kernel's.
        _ => return false,
    }
    true
}

fn write_x87(frame: &mut CpuFrame, number: u32, value: DebugValue) -> bool {
    let mut state = State::of(frame);
    let low = value.low();
    match number {
        ST0..=ST7 => {
            let physical = state.physical((number - ST0) as u8);
            state.registers[physical] = F80::from_bits(whole(value));
        }
        FCTRL => state.control = low as u16 & super::x87::CONTROL | super::x87::CONTROL_FIXED,
        FSTAT => state.status = low as u16,
        FTAG => state.set_tags(low as u16),
        FIOFF => state.instruction = low,
        FOOFF => state.operand = low,
        FOP => state.opcode = low as u16 & super::x87::OPCODE,
        _ => return false,
    }
    state.summarise();
    state.store(frame);
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::debug::undefined_types;

    #[test]
    fn descriptions_are_sorted_and_complete() {
        let registers = user_registers();
        assert!(registers.registers.is_sorted_by_key(|register| register.number));
        assert_eq!(registers.registers.len() as u32, YMM15H + 1);
        let name = |number| registers.find(number).map(|register| &*register.name);
        assert_eq!((name(1), name(7), name(RIP)), (Some("rbx"), Some("rsp"), Some("rip")));
        assert_eq!(
            (name(FOP), name(MXCSR), name(YMM15H)),
            (Some("fop"), Some("mxcsr"), Some("ymm15h"))
        );
        let frame = CpuFrame::new();
        for register in &registers.registers {
            assert!(read_user(&frame, register.number).is_some(), "{}", register.name);
        }
        assert_eq!(read_user(&frame, YMM15H + 1), None);
    }

    #[test]
    fn the_description_defines_the_types_that_it_names() {
        let xml = user_registers().xml();
        assert_eq!(xml.matches("<feature").count(), 5);
        assert_eq!(undefined_types(&xml, &["bfloat16", "i387_ext"]), Vec::<&str>::new());
    }

    #[test]
    fn registers_are_written_where_they_are_read() {
        let mut frame = CpuFrame::new();
        super::super::reset(&mut frame);
        for register in user_registers().registers {
            let bits = match register.number {
                EFLAGS => 0xa47,
                FCTRL => 0x27f,
                FSTAT => 0x0100,
                FTAG => 0xffff,
                MXCSR => 0x7f80,
                number => u64::from(number) + 8,
            };
            let high = match register.bits {
                128 => !bits,
                80 => 0x4001,
                _ => 0,
            };
            let value = DebugValue::from([bits, high]);
            let old = read_user(&frame, register.number);
            let written = write_user(&mut frame, register.number, value);
            let is_fixed = matches!(register.number, CS..=GS | FISEG | FOSEG | ORIG_RAX);
            assert_eq!(written, !is_fixed, "{}", register.name);
            let expected = if written { Some(value) } else { old };
            assert_eq!(read_user(&frame, register.number), expected, "{}", register.name);
        }
        assert_ne!(frame.key_flags, 0, "translations depend on the rounding mode");
        assert!(!write_user(&mut frame, YMM15H + 1, 0.into()));
    }
}
