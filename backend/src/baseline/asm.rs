//! Host instructions as bytes (Intel SDM, volume 2): the few that the baseline compiler emits. The frame is in RDI
//! throughout, and a guest register is its slot there.

use base::CpuFrame;
use ir::interp::Reg;

/// A host register, by its number in encodings.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub(super) enum Host {
    Rax = 0,
    Rcx = 1,
    Rdx = 2,
    Rsi = 6,
    Rdi = 7,
    R8 = 8,
}

/// Operations of two operands, by the opcode of `op r, r/m`; that of `op r/m, imm32` is in the same order.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub(super) enum Alu {
    Add = 0,
    Or = 1,
    Adc = 2,
    Sbb = 3,
    And = 4,
    Sub = 5,
    Xor = 6,
    Cmp = 7,
}

/// Shifts and rotates, by the digit of their opcode.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub(super) enum Shift {
    Ror = 1,
    Shl = 4,
    Shr = 5,
    Sar = 7,
}

/// Conditions, by their number in opcodes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub(super) enum Cc {
    Below = 2,
    AboveOrEqual = 3,
    Equal = 4,
    NotEqual = 5,
    Above = 7,
    Sign = 8,
    Less = 12,
    GreaterOrEqual = 13,
    Greater = 15,
}

/// The width of an operation on general registers; operations of 32 bits clear the upper half of their result.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Width {
    Bits32,
    Bits64,
}

/// A place in the code to jump to, given by the place of the displacement to fill in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Patch(usize);

/// Code in the making.
#[derive(Default, Debug)]
pub(super) struct Assembler {
    pub(super) code: Vec<u8>,
}

impl Assembler {
    pub(super) fn offset(&self) -> usize {
        self.code.len()
    }

    pub(super) fn bytes(&mut self, bytes: &[u8]) {
        self.code.extend_from_slice(bytes);
    }

    fn dword(&mut self, value: u32) {
        self.bytes(&value.to_le_bytes());
    }

    fn rex(&mut self, width: Width, reg: Host, base: Host) {
        let wide = u8::from(width == Width::Bits64) << 3;
        let rex = wide | (reg as u8 >> 3) << 2 | base as u8 >> 3;
        if rex != 0 {
            self.bytes(&[0x40 | rex]);
        }
    }

    /// ModRM of a register (or digit) and `[base + disp]`.
    fn memory(&mut self, reg: u8, base: Host, disp: i32) {
        let low = (reg & 7) << 3 | base as u8 & 7;
        match i8::try_from(disp) {
            Ok(disp) => self.bytes(&[0x40 | low, disp as u8]),
            Err(_) => {
                self.bytes(&[0x80 | low]);
                self.dword(disp as u32);
            }
        }
    }

    fn registers(&mut self, reg: u8, rm: Host) {
        self.bytes(&[0xc0 | (reg & 7) << 3 | rm as u8 & 7]);
    }

    /// `opcode reg, [base + disp]`
    pub(super) fn with_memory(
        &mut self,
        width: Width,
        opcode: &[u8],
        reg: Host,
        (base, disp): (Host, i32),
    ) {
        self.rex(width, reg, base);
        self.bytes(opcode);
        self.memory(reg as u8, base, disp);
    }

    /// `opcode reg, rm`
    pub(super) fn with_register(&mut self, width: Width, opcode: &[u8], reg: Host, rm: Host) {
        self.rex(width, reg, rm);
        self.bytes(opcode);
        self.registers(reg as u8, rm);
    }

    /// An instruction whose first operand in encodings is a digit: `opcode /digit rm`.
    pub(super) fn with_digit(&mut self, width: Width, opcode: u8, digit: u8, rm: Host) {
        self.rex(width, Host::Rax, rm);
        self.bytes(&[opcode]);
        self.registers(digit, rm);
    }

    /// `mov reg, [frame + disp]`
    pub(super) fn load_frame(&mut self, width: Width, reg: Host, disp: i32) {
        self.with_memory(width, &[0x8b], reg, (Host::Rdi, disp));
    }

    /// `mov [frame + disp], reg`
    pub(super) fn store_frame(&mut self, reg: Host, disp: i32) {
        self.with_memory(Width::Bits64, &[0x89], reg, (Host::Rdi, disp));
    }

    /// `mov qword [frame + disp], imm32`, sign-extended.
    pub(super) fn store_frame_imm(&mut self, value: i32, disp: i32) {
        self.rex(Width::Bits64, Host::Rax, Host::Rdi);
        self.bytes(&[0xc7]);
        self.memory(0, Host::Rdi, disp);
        self.dword(value as u32);
    }

    /// `op reg, [guest register]`
    pub(super) fn alu_reg(&mut self, width: Width, op: Alu, reg: Host, with: Reg) {
        self.with_memory(width, &[(op as u8) << 3 | 3], reg, slot(with));
    }

    /// `op reg, with`
    pub(super) fn alu(&mut self, width: Width, op: Alu, reg: Host, with: Host) {
        self.with_register(width, &[(op as u8) << 3 | 3], reg, with);
    }

    /// `op reg, imm32`, sign-extended.
    pub(super) fn alu_imm(&mut self, width: Width, op: Alu, reg: Host, imm: i32) {
        self.rex(width, Host::Rax, reg);
        match i8::try_from(imm) {
            Ok(imm) => {
                self.bytes(&[0x83]);
                self.registers(op as u8, reg);
                self.bytes(&[imm as u8]);
            }
            Err(_) => {
                self.bytes(&[0x81]);
                self.registers(op as u8, reg);
                self.dword(imm as u32);
            }
        }
    }

    /// `cmp [frame + disp], 0`
    pub(super) fn compare_frame_with_zero(&mut self, width: Width, disp: i32) {
        self.rex(width, Host::Rax, Host::Rdi);
        self.bytes(&[0x83]);
        self.memory(Alu::Cmp as u8, Host::Rdi, disp);
        self.bytes(&[0]);
    }

    /// `add qword [frame + disp], imm32`
    pub(super) fn add_to_frame(&mut self, disp: i32, imm: u32) {
        self.rex(Width::Bits64, Host::Rax, Host::Rdi);
        self.bytes(&[0x81]);
        self.memory(Alu::Add as u8, Host::Rdi, disp);
        self.dword(imm);
    }

    /// `mov reg, imm`, the shortest that there is.
    pub(super) fn mov_imm(&mut self, reg: Host, imm: u64) {
        if imm == 0 {
            return self.alu(Width::Bits32, Alu::Xor, reg, reg);
        }
        if let Ok(imm) = u32::try_from(imm) {
            self.rex(Width::Bits32, Host::Rax, reg);
            self.bytes(&[0xb8 | reg as u8 & 7]);
            return self.dword(imm);
        }
        self.rex(Width::Bits64, Host::Rax, reg);
        match i32::try_from(imm as i64) {
            Ok(imm) => {
                self.bytes(&[0xc7]);
                self.registers(0, reg);
                self.dword(imm as u32);
            }
            Err(_) => {
                self.bytes(&[0xb8 | reg as u8 & 7]);
                self.bytes(&imm.to_le_bytes());
            }
        }
    }

    /// `shift reg, imm8`
    pub(super) fn shift_imm(&mut self, width: Width, shift: Shift, reg: Host, by: u8) {
        self.with_digit(width, 0xc1, shift as u8, reg);
        self.bytes(&[by]);
    }

    /// `shift reg, cl`
    pub(super) fn shift_cl(&mut self, width: Width, shift: Shift, reg: Host) {
        self.with_digit(width, 0xd3, shift as u8, reg);
    }

    /// `set<cc>` of the low byte of RAX, RCX or RDX, and `movzx` of that to the whole; flags stay.
    pub(super) fn set(&mut self, cc: Cc, reg: Host) {
        self.bytes(&[0x0f, 0x90 | cc as u8]);
        self.registers(0, reg);
        self.with_register(Width::Bits32, &[0x0f, 0xb6], reg, reg);
    }

    /// `jcc` to a place that is given later.
    pub(super) fn jump_if(&mut self, cc: Cc) -> Patch {
        self.bytes(&[0x0f, 0x80 | cc as u8]);
        self.displacement()
    }

    fn displacement(&mut self) -> Patch {
        self.dword(0);
        Patch(self.offset() - 4)
    }

    /// Has a jump go to here.
    pub(super) fn land(&mut self, patch: Patch) {
        let distance = (self.offset() - patch.0 - 4) as u32;
        self.code[patch.0..patch.0 + 4].copy_from_slice(&distance.to_le_bytes());
    }

    /// `call target`, with the frame kept and the stack aligned as functions want it.
    pub(super) fn call(&mut self, target: usize) {
        self.bytes(&[0x57]);
        self.mov_imm(Host::Rax, target as u64);
        self.bytes(&[0xff, 0xd0, 0x5f]);
    }

    /// `lea reg, [rip + disp]`, the place being given later.
    pub(super) fn address_of(&mut self, reg: Host) -> Patch {
        self.rex(Width::Bits64, reg, Host::Rax);
        self.bytes(&[0x8d, (reg as u8 & 7) << 3 | 5]);
        self.displacement()
    }

    /// `mov eax, code; ret`: back to the runtime.
    pub(super) fn leave(&mut self, code: crate::ExitCode) {
        self.mov_imm(Host::Rax, code as u64);
        self.bytes(&[0xc3]);
    }

    /// `mov [frame.pc], rax`
    pub(super) fn set_pc(&mut self, pc: u64) {
        self.mov_imm(Host::Rax, pc);
        self.store_frame(Host::Rax, CpuFrame::PC);
    }
}

/// Where in the frame a guest register is.
pub(super) fn slot(reg: Reg) -> (Host, i32) {
    (Host::Rdi, i32::from(reg) * 8)
}

#[cfg(test)]
mod tests {
    use iced_x86::{Decoder, DecoderOptions, Formatter as _, IntelFormatter};

    use super::*;

    const W: Width = Width::Bits64;
    const D: Width = Width::Bits32;

    /// What a decoder that is not ours reads.
    fn text(emit: impl FnOnce(&mut Assembler)) -> String {
        let mut asm = Assembler::default();
        emit(&mut asm);
        let mut formatter = IntelFormatter::new();
        formatter.options_mut().set_space_after_operand_separator(true);
        let decoder = Decoder::with_ip(64, &asm.code, 0x1000, DecoderOptions::NONE);
        let mut lines = Vec::new();
        for insn in decoder {
            let mut line = String::new();
            formatter.format(&insn, &mut line);
            lines.push(line);
        }
        lines.join("; ")
    }

    #[test]
    fn operands_are_where_they_are_meant_to_be() {
        let near = |asm: &mut Assembler| asm.load_frame(W, Host::Rax, 0x78);
        let far = |asm: &mut Assembler| asm.load_frame(W, Host::R8, 0x80);
        assert_eq!(text(near), "mov rax, [rdi+78h]");
        assert_eq!(text(far), "mov r8, [rdi+80h]");
        assert_eq!(text(|asm| asm.store_frame(Host::Rcx, 0x1008)), "mov [rdi+1008h], rcx");
        assert_eq!(
            text(|asm| asm.store_frame_imm(-1, 8)),
            "mov qword ptr [rdi+8], 0FFFFFFFFFFFFFFFFh"
        );
        assert_eq!(text(|asm| asm.alu_reg(D, Alu::Sbb, Host::Rax, 2)), "sbb eax, [rdi+10h]");
        assert_eq!(text(|asm| asm.alu(W, Alu::Cmp, Host::Rsi, Host::Rdx)), "cmp rsi, rdx");
        let byte = |asm: &mut Assembler| {
            asm.with_memory(D, &[0x88], Host::Rcx, (Host::Rax, -4));
        };
        assert_eq!(text(byte), "mov [rax-4], cl");
        let high = |asm: &mut Assembler| asm.with_register(W, &[0x8b], Host::Rax, Host::R8);
        assert_eq!(text(high), "mov rax, r8");
    }

    #[test]
    fn constants_take_the_shortest_form_that_holds_them() {
        let cases: [(u64, &str); 5] = [
            (0, "xor edx, edx"),
            (0xffff_ffff, "mov edx, 0FFFFFFFFh"),
            (1 << 32, "mov rdx, 100000000h"),
            (u64::MAX, "mov rdx, 0FFFFFFFFFFFFFFFFh"),
            (i32::MIN as i64 as u64, "mov rdx, 0FFFFFFFF80000000h"),
        ];
        for (value, expected) in cases {
            assert_eq!(text(|asm| asm.mov_imm(Host::Rdx, value)), expected);
        }
        assert_eq!(
            text(|asm| asm.alu_imm(W, Alu::Add, Host::Rax, -128)),
            "add rax, 0FFFFFFFFFFFFFF80h"
        );
        assert_eq!(text(|asm| asm.alu_imm(W, Alu::Xor, Host::Rcx, 128)), "xor rcx, 80h");
        assert_eq!(text(|asm| asm.alu_imm(D, Alu::And, Host::Rax, 0xf000)), "and eax, 0F000h");
    }

    #[test]
    fn shifts_conditions_and_calls_are_encoded() {
        assert_eq!(text(|asm| asm.shift_imm(W, Shift::Sar, Host::Rax, 63)), "sar rax, 3Fh");
        assert_eq!(text(|asm| asm.shift_cl(D, Shift::Ror, Host::Rax)), "ror eax, cl");
        assert_eq!(text(|asm| asm.set(Cc::Less, Host::Rax)), "setl al; movzx eax, al");
        assert_eq!(text(|asm| asm.set(Cc::Below, Host::Rdx)), "setb dl; movzx edx, dl");
        let call = |asm: &mut Assembler| asm.call(0x1234_5678_9abc);
        assert_eq!(text(call), "push rdi; mov rax, 123456789ABCh; call rax; pop rdi");
        let compare = |asm: &mut Assembler| asm.compare_frame_with_zero(D, 0x2010);
        assert_eq!(text(compare), "cmp dword ptr [rdi+2010h], 0");
        assert_eq!(text(|asm| asm.add_to_frame(0x2010, 300)), "add qword ptr [rdi+2010h], 12Ch");
        assert_eq!(text(|asm| asm.leave(crate::ExitCode::Lookup)), "mov eax, 2; ret");
    }

    #[test]
    fn jumps_land_where_they_are_told_to() {
        let emit = |asm: &mut Assembler| {
            let (over, address) = (asm.jump_if(Cc::NotEqual), asm.address_of(Host::Rsi));
            asm.bytes(&[0x90]);
            asm.land(over);
            asm.land(address);
        };
        assert_eq!(text(emit), "jne 000000000000100Eh; lea rsi, [100Eh]; nop");
    }
}
