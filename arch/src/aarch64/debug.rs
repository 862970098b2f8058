//! A PE's registers under a debugger, numbered as gdb does ("Debugging with GDB", "AArch64 Features"): x0 to x30, sp,
//! pc and cpsr, then v0 to v31, fpsr and fpcr, then the thread register and what pointer authentication uses of
//! an address.

use base::{CpuFrame, RegSlot};

use super::fpcr::{fpcr, fpsr, set_fpcr, set_fpsr};
use super::key;
use super::pstate::{pstate, set_pstate};
use super::slot::{self, V_NAMES, X_NAMES, v, x};
use crate::debug::{DebugRegister, DebugRegisters, DebugValue};

const SP: u32 = 31;
const PC: u32 = 32;
const CPSR: u32 = 33;
const V0: u32 = 34;
const V31: u32 = V0 + 31;
const FPSR: u32 = 66;
const FPCR: u32 = 67;
const TPIDR: u32 = 68;
const PAUTH_DMASK: u32 = 69;
const PAUTH_CMASK: u32 = 70;

const CORE: &str = "org.gnu.gdb.aarch64.core";
const FPU: &str = "org.gnu.gdb.aarch64.fpu";
const TLS: &str = "org.gnu.gdb.aarch64.tls";
const PAUTH: &str = "org.gnu.gdb.aarch64.pauth_v2";

/// The bits of a user address that a pointer authentication code takes: above 48 bits of address, below bit 55,
/// which chooses the half of the address space; the top byte is the program's own.
pub const PAUTH_MASK: u64 = 0x007f_0000_0000_0000;

/// What gdb calls the parts of cpsr and of a vector register.
const TYPES: &[(&str, &str)] = &[
    (
        CORE,
        "<flags id=\"cpsr_flags\" size=\"4\">\
         <field name=\"BTYPE\" start=\"10\" end=\"11\"/>\
         <field name=\"SSBS\" start=\"12\" end=\"12\"/>\
         <field name=\"DIT\" start=\"24\" end=\"24\"/>\
         <field name=\"TCO\" start=\"25\" end=\"25\"/>\
         <field name=\"V\" start=\"28\" end=\"28\"/>\
         <field name=\"C\" start=\"29\" end=\"29\"/>\
         <field name=\"Z\" start=\"30\" end=\"30\"/>\
         <field name=\"N\" start=\"31\" end=\"31\"/>\
         </flags>\n",
    ),
    (FPU, VECTOR_TYPES),
];

macro_rules! vector_types {
    ($($id:literal [$(($field:literal $element:literal $count:literal))*])*) => {
        concat!(
            $($("<vector id=\"", $id, $field, "\" type=\"", $element, "\" count=\"", $count, "\"/>\n",)*)*
            $("<union id=\"", $id, "\">",
                $("<field name=\"", $field, "\" type=\"", $id, $field, "\"/>",)*
            "</union>\n",)*
            "<union id=\"aarch64v\">",
            $("<field name=\"", $id, "\" type=\"", $id, "\"/>",)*
            "</union>\n"
        )
    };
}

/// `$v0.s.f` is four floats, and so on.
const VECTOR_TYPES: &str = vector_types! {
    "d" [("f" "ieee_double" "2") ("u" "uint64" "2") ("s" "int64" "2")]
    "s" [("f" "ieee_single" "4") ("u" "uint32" "4") ("s" "int32" "4")]
    "h" [("bf" "bfloat16" "8") ("f" "ieee_half" "8") ("u" "uint16" "8") ("s" "int16" "8")]
    "b" [("u" "uint8" "16") ("s" "int8" "16")]
    "q" [("u" "uint128" "1") ("s" "int128" "1")]
};

fn register(
    number: u32,
    name: &str,
    bits: u32,
    kind: &'static str,
    feature: &'static str,
) -> DebugRegister {
    DebugRegister { number, name: name.to_owned(), bits, kind, feature, group: None }
}

/// The registers of a program.
#[must_use]
pub fn user_registers() -> DebugRegisters {
    let mut registers = Vec::new();
    registers.extend((0..).zip(X_NAMES).map(|(n, name)| register(n, name, 64, "int", CORE)));
    registers.push(register(SP, "sp", 64, "data_ptr", CORE));
    registers.push(register(PC, "pc", 64, "code_ptr", CORE));
    registers.push(register(CPSR, "cpsr", 32, "cpsr_flags", CORE));
    registers.extend((V0..).zip(V_NAMES).map(|(n, name)| register(n, name, 128, "aarch64v", FPU)));
    for (number, name) in [(FPSR, "fpsr"), (FPCR, "fpcr")] {
        let group = Some("float");
        registers.push(DebugRegister { group, ..register(number, name, 32, "int", FPU) });
    }
    registers.push(register(TPIDR, "tpidr", 64, "data_ptr", TLS));
    registers.push(register(PAUTH_DMASK, "pauth_dmask", 64, "int", PAUTH));
    registers.push(register(PAUTH_CMASK, "pauth_cmask", 64, "int", PAUTH));
    DebugRegisters { architecture: "aarch64", registers, general: 0..PC + 1, pc: PC, types: TYPES }
}

/// A register of a program; `None` if there is none of that number.
#[must_use]
pub fn read_user(frame: &CpuFrame, number: u32) -> Option<DebugValue> {
    let value = match number {
        0..SP => frame.get(x(number as u8)),
        SP => frame.get(slot::SP),
        PC => frame.pc,
        CPSR => pstate(frame),
        V0..=V31 => return Some(vector(frame, (number - V0) as u8).into()),
        FPSR => fpsr(frame),
        FPCR => fpcr(frame),
        TPIDR => frame.get(slot::TPIDR_EL0),
        PAUTH_DMASK | PAUTH_CMASK => PAUTH_MASK,
        _ => return None,
    };
    Some(value.into())
}

/// Writes a register of a program. Whether there is one of that number that can be written. The translation flags
/// follow it.
pub fn write_user(frame: &mut CpuFrame, number: u32, value: DebugValue) -> bool {
    let low = value.low();
    match number {
        0..SP => frame.set(x(number as u8), low),
        SP => key::set_sp(frame, low),
        // Instructions are aligned to 4 bytes, and a jump elsewhere is the program's fault, not the debugger's.
        PC => frame.pc = low,
        CPSR => set_pstate(frame, low),
        V0..=V31 => set_vector(frame, (number - V0) as u8, [low, value.high()]),
        FPSR => set_fpsr(frame, low),
        FPCR => set_fpcr(frame, low),
        TPIDR => frame.set(slot::TPIDR_EL0, low),
        _ => return false,
    }
    true
}

/// `V[n]`, the lower half first.
#[must_use]
pub fn vector(frame: &CpuFrame, n: u8) -> [u64; 2] {
    [frame.get(v(n)), frame.get(upper(n))]
}

/// Writes `V[n]`, the lower half first.
pub fn set_vector(frame: &mut CpuFrame, n: u8, [low, high]: [u64; 2]) {
    frame.set(v(n), low);
    frame.set(upper(n), high);
}

fn upper(n: u8) -> RegSlot {
    RegSlot(v(n).0 + 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::debug::undefined_types;

    #[test]
    fn descriptions_are_sorted_and_complete() {
        let registers = user_registers();
        assert!(registers.registers.is_sorted_by_key(|register| register.number));
        assert_eq!(registers.registers.len() as u32, PAUTH_CMASK + 1);
        assert_eq!(registers.find(PC).map(|register| &*register.name), Some("pc"));
        assert_eq!(registers.find(V31).map(|register| register.bits), Some(128));
        let frame = CpuFrame::new();
        for register in &registers.registers {
            assert!(read_user(&frame, register.number).is_some(), "{}", register.name);
        }
        assert_eq!(read_user(&frame, PAUTH_CMASK + 1), None);
    }

    #[test]
    fn the_description_defines_the_types_that_it_names() {
        let xml = user_registers().xml();
        assert_eq!(xml.matches("<feature").count(), 4);
        assert_eq!(undefined_types(&xml, &["bfloat16"]), Vec::<&str>::new());
        assert!(xml.contains("<vector id=\"sf\" type=\"ieee_single\" count=\"4\"/>"), "{xml}");
        let at = |text: &str| xml.find(text).unwrap();
        assert!(at("id=\"aarch64v\"") < at("type=\"aarch64v\""), "before it is used");
        assert!(at("id=\"cpsr_flags\"") < at("type=\"cpsr_flags\""));
    }

    #[test]
    fn registers_are_written_where_they_are_read() {
        let mut frame = CpuFrame::new();
        for register in user_registers().registers {
            let wide = register.bits == 128;
            let bits = match register.number {
                CPSR => 1 << 31 | 1 << 12,
                FPSR => 1 << 27 | 1,
                FPCR => 1 << 22,
                number => u64::from(number) + 8,
            };
            let value = DebugValue::from([bits, if wide { !bits } else { 0 }]);
            let written = write_user(&mut frame, register.number, value);
            assert_eq!(written, register.feature != PAUTH, "{}", register.name);
            let expected = if written { value } else { PAUTH_MASK.into() };
            assert_eq!(read_user(&frame, register.number), Some(expected), "{}", register.name);
        }
        assert_ne!(frame.key_flags, 0, "translations depend on the rounding mode");
        assert!(!write_user(&mut frame, PAUTH_CMASK + 1, 0.into()));
    }
}
