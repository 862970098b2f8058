//! A hart's registers under a debugger, numbered as gdb does ("Debugging with GDB", "RISC-V Features"): x0
//! to x31, the pc, f0 to f31, then CSRs by their numbers, then the privilege level.

use base::CpuFrame;

use super::csr::{FFLAGS_MASK, FRM_MASK, FRM_SHIFT, fcsr, set_fcsr};
use super::privileged::{Privilege, SystemContext, access, csr};
use super::slot;
use crate::debug::{DebugRegister, DebugRegisters};

const PC: u32 = 32;
const F0: u32 = 33;
const F31: u32 = F0 + 31;
const CSR0: u32 = 65;
const FFLAGS: u32 = CSR0 + 1;
const FRM: u32 = CSR0 + 2;
const FCSR: u32 = CSR0 + 3;
const PRIV: u32 = CSR0 + 4096;

const CPU: &str = "org.gnu.gdb.riscv.cpu";
const FPU: &str = "org.gnu.gdb.riscv.fpu";
const CSR: &str = "org.gnu.gdb.riscv.csr";
const VIRTUAL: &str = "org.gnu.gdb.riscv.virtual";

/// What gdb calls x0 to x31: by the calling convention, where x8 has two names.
fn x_names() -> impl Iterator<Item = &'static str> {
    slot::X_NAMES.into_iter().map(|name| if name == "s0" { "fp" } else { name })
}

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
    for (number, name) in (0..).zip(x_names()) {
        let kind = match name {
            "ra" => "code_ptr",
            "sp" | "gp" | "tp" | "fp" => "data_ptr",
            _ => "int",
        };
        registers.push(register(number, name, 64, kind, CPU));
    }
    registers.push(register(PC, "pc", 64, "code_ptr", CPU));
    for (number, name) in (F0..).zip(slot::F_NAMES) {
        registers.push(register(number, name, 64, "ieee_double", FPU));
    }
    for (number, name) in [(FFLAGS, "fflags"), (FRM, "frm"), (FCSR, "fcsr")] {
        let group = Some("float");
        registers.push(DebugRegister { group, ..register(number, name, 32, "int", FPU) });
    }
    let general = 0..PC + 1;
    DebugRegisters { architecture: "riscv:rv64", registers, general, pc: PC, types: &[] }
}

/// The registers of a hart of a whole machine.
#[must_use]
pub fn system_registers(context: &SystemContext) -> DebugRegisters {
    let mut all = user_registers();
    let present = csr::ALL.iter().filter(|row| row.is_present(context));
    let numbered = present.flat_map(|row| row.all_numbers().map(move |number| (number, row)));
    let mut csrs: Vec<DebugRegister> = numbered
        .filter(|&(number, _)| CSR0 + u32::from(number) > FCSR)
        .map(|(number, row)| {
            let number_of = CSR0 + u32::from(number);
            let name = row.name_of(number);
            DebugRegister { group: Some("csr"), ..register(number_of, &name, 64, "int", CSR) }
        })
        .collect();
    csrs.sort_by_key(|register| register.number);
    all.registers.append(&mut csrs);
    all.registers.push(register(PRIV, "priv", 64, "int", VIRTUAL));
    all
}

/// A register of a program; `None` if there is none of that number.
#[must_use]
pub fn read_user(frame: &CpuFrame, number: u32) -> Option<u64> {
    Some(match number {
        0 => 0,
        1..PC => frame.get(slot::x(number as u8)),
        PC => frame.pc,
        F0..=F31 => frame.get(slot::f((number - F0) as u8)),
        FFLAGS => frame.get(slot::FFLAGS),
        FRM => frame.get(slot::FRM),
        FCSR => fcsr(frame),
        _ => return None,
    })
}

/// Writes a register of a program. Whether there is one of that number. The translation flags follow it.
pub fn write_user(frame: &mut CpuFrame, number: u32, value: u64) -> bool {
    match number {
        0 => {}
        1..PC => frame.set(slot::x(number as u8), value),
        // Instructions are aligned to 2 bytes.
        PC => frame.pc = value & !1,
        F0..=F31 => frame.set(slot::f((number - F0) as u8), value),
        FFLAGS => frame.set(slot::FFLAGS, value & FFLAGS_MASK),
        FRM => set_fcsr(
            frame,
            fcsr(frame) & !(FRM_MASK << FRM_SHIFT) | (value & FRM_MASK) << FRM_SHIFT,
        ),
        FCSR => set_fcsr(frame, value),
        _ => return false,
    }
    true
}

/// A register of a hart; `None` if there is none of that number.
#[must_use]
pub fn read_system(frame: &CpuFrame, context: &SystemContext, number: u32) -> Option<u64> {
    match number {
        PRIV => Some(frame.get(slot::PRIV)),
        0..=FCSR => read_user(frame, number),
        _ => access::inspect(frame, context, u16::try_from(number - CSR0).ok()?),
    }
}

/// Writes a register of a hart, with all that machine level's write of it brings about. Whether there is one of
/// that number that can be written.
pub fn write_system(
    frame: &mut CpuFrame,
    context: &SystemContext,
    number: u32,
    value: u64,
) -> bool {
    match number {
        PRIV => Privilege::from_number(value).map(|level| level.enter(frame)).is_some(),
        0..=FCSR => {
            let written = write_user(frame, number, value);
            Privilege::of(frame).enter(frame);
            written
        }
        _ => {
            let Ok(number) = u16::try_from(number - CSR0) else { return false };
            let level = Privilege::of(frame);
            Privilege::Machine.enter(frame);
            let written = access::write(frame, context, number, value);
            level.enter(frame);
            written.is_ok()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn descriptions_are_sorted_and_complete() {
        let registers = user_registers();
        assert!(registers.registers.is_sorted_by_key(|register| register.number));
        assert_eq!(registers.find(PC).map(|register| &*register.name), Some("pc"));
        assert_eq!(registers.find(F0 + 31).map(|register| &*register.name), Some("ft11"));
        assert_eq!(registers.find(CSR0), None);
        let frame = CpuFrame::new();
        for register in &registers.registers {
            assert!(read_user(&frame, register.number).is_some(), "{}", register.name);
        }
        let xml = registers.xml();
        assert!(xml.contains("<architecture>riscv:rv64</architecture>"), "{xml}");
        assert_eq!(xml.matches("<feature").count(), 2);
        assert!(xml.contains(
            "<reg name=\"fcsr\" bitsize=\"32\" type=\"int\" regnum=\"68\" group=\"float\"/>"
        ));
    }

    #[test]
    fn registers_are_written_where_they_are_read() {
        let mut frame = CpuFrame::new();
        for register in user_registers().registers {
            let value = (u64::from(register.number) + 8) & 6;
            assert!(write_user(&mut frame, register.number, value));
            let expected = if register.number == 0 { 0 } else { value };
            assert_eq!(read_user(&frame, register.number), Some(expected), "{}", register.name);
        }
        assert!(!write_user(&mut frame, CSR0, 0) && read_user(&frame, u32::MAX).is_none());
    }
}
