//! The micro-operations that do not end a block.

use base::CpuFrame;
use base::defect::{Defect, is_seeded};
use ir::interp::{Micro, MicroOp, Raw, Reg, SINK, ZERO};

use super::Baseline;
use super::asm::{Alu, Cc, Host, Shift, Width, slot};

/// The upper half of a NaN-boxed binary32.
const BOX: u64 = 0xffff_ffff << 32;

const W: Width = Width::Bits64;
const D: Width = Width::Bits32;

/// Whether this tier has host instructions for a micro-operation; the interpreter does the others.
pub(super) fn is_native(kind: Micro) -> bool {
    match kind {
        Micro::Clz | Micro::ClzW => is_x86_feature_detected!("lzcnt"),
        Micro::Ctz | Micro::CtzW => is_x86_feature_detected!("bmi1"),
        Micro::Popcnt | Micro::PopcntW => is_x86_feature_detected!("popcnt"),
        Micro::MulHiSUR
        | Micro::DivUR
        | Micro::DivSR
        | Micro::RemUR
        | Micro::RemSR
        | Micro::DivUWR
        | Micro::DivSWR
        | Micro::RemUWR
        | Micro::RemSWR
        | Micro::Rmw8
        | Micro::Rmw16
        | Micro::Rmw32
        | Micro::Rmw64
        | Micro::NanUnbox => false,
        kind => !kind.is_float(),
    }
}

/// Whether a result is of 32 bits, to be sign-extended.
fn is_word(kind: Micro) -> bool {
    matches!(
        kind,
        Micro::AddWR
            | Micro::AddWI
            | Micro::SubWR
            | Micro::MulWR
            | Micro::ShlWR
            | Micro::ShlWI
            | Micro::ShrUWR
            | Micro::ShrUWI
            | Micro::ShrSWR
            | Micro::ShrSWI
            | Micro::RotrWR
            | Micro::RotrWI
    )
}

impl Baseline<'_> {
    pub(super) fn operation(&mut self, op: MicroOp, data: &[Raw]) {
        let MicroOp { kind, dst, a, b, imm } = op;
        match kind {
            Micro::Mov => self.load(a),
            Micro::Const => return self.set_constant(dst, imm),
            Micro::AddR
            | Micro::AddRLoadU8
            | Micro::AddRLoadS32
            | Micro::AddRLoad64
            | Micro::AddRStore8 => {
                self.alu(W, Alu::Add, a, b);
            }
            Micro::AddI => {
                self.load(a);
                self.add_immediate(imm);
            }
            Micro::SubR => self.alu(W, Alu::Sub, a, b),
            Micro::AndR => self.alu(W, Alu::And, a, b),
            Micro::AndI => self.alu_immediate(Alu::And, a, imm),
            Micro::OrR => self.alu(W, Alu::Or, a, b),
            Micro::OrI => self.alu_immediate(Alu::Or, a, imm),
            Micro::XorR => self.alu(W, Alu::Xor, a, b),
            Micro::XorI => self.alu_immediate(Alu::Xor, a, imm),
            Micro::AndNotR => {
                self.load_to(Host::Rcx, b);
                self.load(a);
                self.asm.with_digit(W, 0xf7, 2, Host::Rcx); // not
                self.asm.alu(W, Alu::And, Host::Rax, Host::Rcx);
            }
            Micro::ShlR => self.shift(W, Shift::Shl, a, b),
            Micro::ShrUR => self.shift(W, Shift::Shr, a, b),
            Micro::ShrSR => self.shift(W, Shift::Sar, a, b),
            Micro::RotrR => self.shift(W, Shift::Ror, a, b),
            Micro::ShlWR => self.shift(D, Shift::Shl, a, b),
            Micro::ShrUWR => self.shift(D, Shift::Shr, a, b),
            Micro::ShrSWR => self.shift(D, Shift::Sar, a, b),
            Micro::RotrWR => self.shift(D, Shift::Ror, a, b),
            Micro::ShlI => self.shift_immediate(W, Shift::Shl, a, imm),
            Micro::ShrUI => self.shift_immediate(W, Shift::Shr, a, imm),
            Micro::ShrSI if is_seeded(Defect::QuickShiftLogical) => {
                self.shift_immediate(W, Shift::Shr, a, imm);
            }
            Micro::ShrSI => self.shift_immediate(W, Shift::Sar, a, imm),
            Micro::RotrI => self.shift_immediate(W, Shift::Ror, a, imm),
            Micro::ShlWI => self.shift_immediate(D, Shift::Shl, a, imm),
            Micro::ShrUWI => self.shift_immediate(D, Shift::Shr, a, imm),
            Micro::ShrSWI => self.shift_immediate(D, Shift::Sar, a, imm),
            Micro::RotrWI => self.shift_immediate(D, Shift::Ror, a, imm),
            Micro::MulR => self.multiply(W, a, b),
            Micro::MulWR => self.multiply(D, a, b),
            Micro::MulHiUR => self.multiply_high(4, a, b),
            Micro::MulHiSR => self.multiply_high(5, a, b),
            Micro::MinUR => self.choose(Cc::Above, a, b),
            Micro::MinSR => self.choose(Cc::Greater, a, b),
            Micro::MaxUR => self.choose(Cc::Below, a, b),
            Micro::MaxSR => self.choose(Cc::Less, a, b),
            Micro::EqR => self.compare_to(W, Cc::Equal, a, b),
            Micro::NeR => self.compare_to(W, Cc::NotEqual, a, b),
            Micro::LtUR => self.compare_to(W, Cc::Below, a, b),
            Micro::LtSR => self.compare_to(W, Cc::Less, a, b),
            Micro::EqWR => self.compare_to(D, Cc::Equal, a, b),
            Micro::NeWR => self.compare_to(D, Cc::NotEqual, a, b),
            Micro::LtUWR => self.compare_to(D, Cc::Below, a, b),
            Micro::LtSWR => self.compare_to(D, Cc::Less, a, b),
            Micro::EqI => self.compare_to_immediate(W, Cc::Equal, a, imm),
            Micro::NeI => self.compare_to_immediate(W, Cc::NotEqual, a, imm),
            Micro::LtUI => self.compare_to_immediate(W, Cc::Below, a, imm),
            Micro::LtSI => self.compare_to_immediate(W, Cc::Less, a, imm),
            Micro::EqWI => self.compare_to_immediate(D, Cc::Equal, a, imm),
            Micro::NeWI => self.compare_to_immediate(D, Cc::NotEqual, a, imm),
            Micro::LtUWI => self.compare_to_immediate(D, Cc::Below, a, imm),
            Micro::LtSWI => self.compare_to_immediate(D, Cc::Less, a, imm),
            Micro::AddWR => self.alu(D, Alu::Add, a, b),
            Micro::SubWR => self.alu(D, Alu::Sub, a, b),
            Micro::AddWI => {
                self.load(a);
                self.asm.alu_imm(D, Alu::Add, Host::Rax, imm as i32);
            }
            Micro::SextB => self.extend(W, &[0x0f, 0xbe], a),
            Micro::SextH => self.extend(W, &[0x0f, 0xbf], a),
            Micro::SextW => self.extend(W, &[0x63], a),
            Micro::ZextW => self.extend(D, &[0x8b], a),
            Micro::Clz => self.count(W, 0xbd, a),
            Micro::ClzW => self.count(D, 0xbd, a),
            Micro::Ctz => self.count(W, 0xbc, a),
            Micro::CtzW => self.count(D, 0xbc, a),
            Micro::Popcnt => self.count(W, 0xb8, a),
            Micro::PopcntW => self.count(D, 0xb8, a),
            Micro::Bswap => {
                self.load(a);
                self.asm.bytes(&[0x48, 0x0f, 0xc8]); // bswap rax
            }
            Micro::Select => {
                self.held.clear();
                self.asm.load_frame(W, Host::Rax, slot(imm as Reg).1);
                self.asm.compare_frame_with_zero(W, slot(a).1);
                self.asm.with_memory(W, &[0x0f, 0x45], Host::Rax, slot(b)); // cmovne
            }
            Micro::NanBox => self.alu_immediate(Alu::Or, a, BOX),
            Micro::ShlShrU => {
                self.shift_immediate(W, Shift::Shl, a, imm);
                self.asm.shift_imm(W, Shift::Shr, Host::Rax, (imm >> 8) as u8 & 63);
            }
            Micro::ShlAdd => {
                self.shift_immediate(W, Shift::Shl, a, imm);
                self.asm.alu_reg(W, Alu::Add, Host::Rax, b);
            }
            Micro::Pure => self.call_pure(op),
            Micro::LoadU8 | Micro::LoadU8LoadU8 => self.load_memory(D, &[0x0f, 0xb6], op),
            Micro::LoadU16 => self.load_memory(D, &[0x0f, 0xb7], op),
            Micro::LoadU32 => self.load_memory(D, &[0x8b], op),
            Micro::LoadS8 => self.load_memory(W, &[0x0f, 0xbe], op),
            Micro::LoadS16 => self.load_memory(W, &[0x0f, 0xbf], op),
            Micro::LoadS32 => self.load_memory(W, &[0x63], op),
            Micro::Load64 | Micro::Load64Load64 => self.load_memory(W, &[0x8b], op),
            Micro::LoadBoxed => {
                self.load_memory(D, &[0x8b], op);
                self.asm.mov_imm(Host::Rcx, BOX);
                self.asm.alu(W, Alu::Or, Host::Rax, Host::Rcx);
            }
            Micro::Cas8 | Micro::Cas16 | Micro::Cas32 | Micro::Cas64 => self.compare_and_swap(op),
            Micro::Call | Micro::CallMemory => self.call(op, data),
            Micro::Cond => return self.condition(op),
            Micro::FlagsAdd
            | Micro::FlagsSub
            | Micro::FlagsAddW
            | Micro::FlagsSubW
            | Micro::FlagsCmpR
            | Micro::FlagsCmpI
            | Micro::FlagsCmpWR
            | Micro::FlagsCmpWI
            | Micro::FlagsNz
            | Micro::FlagsNzW => return self.packed_flags(op),
            Micro::StatusAddR
            | Micro::StatusAddI
            | Micro::StatusSubR
            | Micro::StatusSubI
            | Micro::StatusAndR
            | Micro::StatusAndI
            | Micro::StatusOrR
            | Micro::StatusOrI
            | Micro::StatusXorR
            | Micro::StatusXorI => return self.status(op),
            _ => return self.without_result(op, data),
        }
        if kind != Micro::Mov && !(kind == Micro::AddI && is_seeded(Defect::StaleAccumulator)) {
            self.held.clear();
        }
        if is_word(kind) {
            self.asm.with_register(W, &[0x63], Host::Rax, Host::Rax); // movsxd
        }
        self.set(dst);
    }

    /// Operations that have none, or one of 128 bits.
    fn without_result(&mut self, op: MicroOp, data: &[Raw]) {
        let MicroOp { kind, dst, a, b, imm } = op;
        match kind {
            Micro::Store8 => self.store_memory(D, &[0x88], op),
            Micro::Store16 => self.store_memory(D, &[0x66, 0x89], op),
            Micro::Store32 => self.store_memory(D, &[0x89], op),
            Micro::Store64 | Micro::Store64Store64 => self.store_memory(W, &[0x89], op),
            Micro::AlignCheck => {
                self.load(a);
                self.held.clear();
                self.add_immediate(imm);
                self.asm.bytes(&[0xa9]); // test eax, imm32
                self.asm.bytes(&u32::from(b).to_le_bytes());
                let misaligned = self.asm.jump_if(Cc::NotEqual);
                self.bails.push((misaligned, self.pc));
            }
            Micro::Fence => self.asm.bytes(&[0x0f, 0xae, 0xf0]), // mfence
            // The host keeps these orders.
            Micro::LightFence => {}
            Micro::ZextWide => {
                self.alu_immediate(Alu::And, a, imm);
                self.store_from(Host::Rax, dst);
                self.asm.store_frame_imm(0, slot(dst + 1).1);
                self.held.clear();
            }
            Micro::MovWide => {
                self.load_vector(0, slot(a));
                self.store_vector(slot(dst));
            }
            Micro::LoadWide => {
                let disp = self.address(a, imm);
                self.load_vector(0, (Host::Rax, disp));
                self.store_vector(slot(dst));
            }
            Micro::StoreWide => {
                let disp = self.address(a, imm);
                self.load_vector(0, slot(b));
                self.store_vector((Host::Rax, disp));
            }
            Micro::CallWide | Micro::CallWideMemory => self.call_wide(op, data),
            _ => unreachable!("no micro-operation of this tier: {kind:?}"),
        }
    }

    /// RAX = a guest register.
    pub(super) fn load(&mut self, reg: Reg) {
        if !self.held.has(reg) {
            self.load_to(Host::Rax, reg);
            self.held.clear();
            self.held.add(reg);
        }
    }

    pub(super) fn load_to(&mut self, host: Host, reg: Reg) {
        match (self.held.has(reg), reg) {
            (true, _) => self.asm.with_register(W, &[0x8b], host, Host::Rax),
            (_, ZERO) => self.asm.mov_imm(host, 0),
            _ => self.asm.load_frame(W, host, slot(reg).1),
        }
    }

    /// A guest register = RAX.
    pub(super) fn set(&mut self, dst: Reg) {
        if dst != SINK {
            self.asm.store_frame(Host::Rax, slot(dst).1);
            self.held.add(dst);
        }
    }

    /// A guest register = a host register other than RAX, or RAX to be forgotten.
    pub(super) fn store_from(&mut self, host: Host, dst: Reg) {
        if dst != SINK {
            self.asm.store_frame(host, slot(dst).1);
            self.held.remove(dst);
        }
    }

    pub(super) fn set_constant(&mut self, dst: Reg, value: u64) {
        match i32::try_from(value as i64) {
            _ if dst == SINK => {}
            Ok(small) => {
                self.asm.store_frame_imm(small, slot(dst).1);
                self.held.remove(dst);
            }
            Err(_) => {
                self.asm.mov_imm(Host::Rax, value);
                self.held.clear();
                self.set(dst);
            }
        }
    }

    /// RAX = a op b; nothing is held.
    fn alu(&mut self, width: Width, op: Alu, a: Reg, b: Reg) {
        if self.held.has(b) && a != b {
            self.asm.with_register(W, &[0x8b], Host::Rcx, Host::Rax);
            self.load(a);
            self.asm.alu(width, op, Host::Rax, Host::Rcx);
        } else {
            self.load(a);
            self.asm.alu_reg(width, op, Host::Rax, b);
        }
        self.held.clear();
    }

    /// RAX += imm
    pub(super) fn add_immediate(&mut self, imm: u64) {
        if imm == 0 {
            return;
        }
        if !is_seeded(Defect::StaleAccumulator) {
            self.held.clear();
        }
        self.with_immediate(Alu::Add, imm);
    }

    fn alu_immediate(&mut self, op: Alu, a: Reg, imm: u64) {
        self.load(a);
        self.held.clear();
        self.with_immediate(op, imm);
    }

    /// RAX op= imm. RCX, which may have the other operand of a store, is left alone.
    fn with_immediate(&mut self, op: Alu, imm: u64) {
        match (op, i32::try_from(imm as i64), u32::try_from(imm)) {
            // The upper half is cleared by the operation itself.
            (Alu::And, _, Ok(small)) => self.asm.alu_imm(D, op, Host::Rax, small as i32),
            (_, Ok(small), _) => self.asm.alu_imm(W, op, Host::Rax, small),
            _ => {
                self.asm.mov_imm(Host::R8, imm);
                self.asm.alu(W, op, Host::Rax, Host::R8);
            }
        }
    }

    pub(super) fn compare(&mut self, width: Width, a: Reg, b: Reg) {
        if self.held.has(b) && a != b {
            self.asm.with_memory(width, &[0x39], Host::Rax, slot(a)); // cmp [a], rax
            return;
        }
        self.load(a);
        self.asm.alu_reg(width, Alu::Cmp, Host::Rax, b);
    }

    pub(super) fn compare_immediate(&mut self, width: Width, a: Reg, imm: u64) {
        self.load(a);
        match width {
            D => self.asm.alu_imm(D, Alu::Cmp, Host::Rax, imm as i32),
            W => self.with_immediate(Alu::Cmp, imm),
        }
    }

    fn compare_to(&mut self, width: Width, cc: Cc, a: Reg, b: Reg) {
        self.compare(width, a, b);
        self.held.clear();
        self.asm.set(cc, Host::Rax);
    }

    fn compare_to_immediate(&mut self, width: Width, cc: Cc, a: Reg, imm: u64) {
        self.compare_immediate(width, a, imm);
        self.held.clear();
        self.asm.set(cc, Host::Rax);
    }

    fn shift(&mut self, width: Width, shift: Shift, a: Reg, b: Reg) {
        self.load_to(Host::Rcx, b);
        self.load(a);
        self.held.clear();
        self.asm.shift_cl(width, shift, Host::Rax);
    }

    fn shift_immediate(&mut self, width: Width, shift: Shift, a: Reg, imm: u64) {
        let mask = if width == W { 63 } else { 31 };
        self.load(a);
        self.held.clear();
        self.asm.shift_imm(width, shift, Host::Rax, imm as u8 & mask);
    }

    fn multiply(&mut self, width: Width, a: Reg, b: Reg) {
        self.load(a);
        self.held.clear();
        self.asm.with_memory(width, &[0x0f, 0xaf], Host::Rax, slot(b)); // imul
    }

    /// RDX:RAX = RAX times a register; the upper half is what is wanted. The digit says whether the operands are signed.
    fn multiply_high(&mut self, digit: u8, a: Reg, b: Reg) {
        self.load_to(Host::Rcx, b);
        self.load(a);
        self.held.clear();
        self.asm.with_digit(W, 0xf7, digit, Host::Rcx);
        self.asm.with_register(W, &[0x8b], Host::Rax, Host::Rdx);
    }

    /// RAX = b if that is so of a and b, else a.
    fn choose(&mut self, cc: Cc, a: Reg, b: Reg) {
        self.load(a);
        self.asm.alu_reg(W, Alu::Cmp, Host::Rax, b);
        self.held.clear();
        self.asm.with_memory(W, &[0x0f, 0x40 | cc as u8], Host::Rax, slot(b)); // cmovcc
    }

    fn extend(&mut self, width: Width, opcode: &[u8], a: Reg) {
        match self.held.has(a) {
            // `movsx eax, al` has no other meaning in other registers.
            true => self.asm.with_register(width, opcode, Host::Rax, Host::Rax),
            false => self.asm.with_memory(width, opcode, Host::Rax, slot(a)),
        }
        self.held.clear();
    }

    /// LZCNT, TZCNT and POPCNT.
    fn count(&mut self, width: Width, opcode: u8, a: Reg) {
        self.held.clear();
        self.asm.bytes(&[0xf3]);
        self.asm.with_memory(width, &[0x0f, opcode], Host::Rax, slot(a));
    }

    /// RAX = a, and the displacement to add to it.
    fn address(&mut self, a: Reg, imm: u64) -> i32 {
        self.load(a);
        match i32::try_from(imm as i64) {
            Ok(disp) => disp,
            Err(_) => {
                self.add_immediate(imm);
                0
            }
        }
    }

    fn load_memory(&mut self, width: Width, opcode: &[u8], MicroOp { a, imm, .. }: MicroOp) {
        let disp = self.address(a, imm);
        self.held.clear();
        self.asm.with_memory(width, opcode, Host::Rax, (Host::Rax, disp));
    }

    fn store_memory(&mut self, width: Width, opcode: &[u8], MicroOp { a, b, imm, .. }: MicroOp) {
        self.load_to(Host::Rcx, b);
        let disp = self.address(a, imm);
        // A prefix comes before REX, which 16 bits do without.
        self.asm.with_memory(width, opcode, Host::Rcx, (Host::Rax, disp));
    }

    fn load_vector(&mut self, number: u8, from: (Host, i32)) {
        self.vector(0x6f, number, from);
    }

    /// From XMM0. A guest register that is written may be one that is held.
    fn store_vector(&mut self, to: (Host, i32)) {
        self.vector(0x7f, 0, to);
        self.held.clear();
    }

    /// MOVDQU
    fn vector(&mut self, opcode: u8, number: u8, place: (Host, i32)) {
        self.asm.bytes(&[0xf3]);
        let host = [Host::Rax, Host::Rcx, Host::Rdx][usize::from(number) % 3];
        self.asm.with_memory(D, &[0x0f, opcode], host, place);
    }

    fn call_pure(&mut self, MicroOp { a, b, imm, .. }: MicroOp) {
        self.load_to(Host::Rsi, a);
        self.load_to(Host::Rdx, b);
        self.held.clear();
        self.asm.mov_imm(Host::Rcx, imm);
        self.asm.call(ir::interp::CALL_PURE as usize);
    }

    /// RAX = what was there, in the width of the operation.
    fn compare_and_swap(&mut self, MicroOp { kind, a, b, imm, .. }: MicroOp) {
        self.load_to(Host::Rdx, a);
        self.load(b);
        self.held.clear();
        self.asm.load_frame(W, Host::Rcx, slot(imm as Reg).1);
        let (width, prefix, opcode, extended): (_, &[u8], _, &[u8]) = match kind {
            Micro::Cas8 => (D, &[0xf0], 0xb0, &[0x0f, 0xbe]),
            Micro::Cas16 => (D, &[0xf0, 0x66], 0xb1, &[0x0f, 0xbf]),
            Micro::Cas32 => (D, &[0xf0], 0xb1, &[0x63]),
            _ => (W, &[0xf0], 0xb1, &[0x8b]),
        };
        self.asm.bytes(prefix);
        self.asm.with_memory(width, &[0x0f, opcode], Host::Rcx, (Host::Rdx, 0)); // lock cmpxchg
        self.asm.with_register(W, extended, Host::Rax, Host::Rax);
    }

    /// RAX = what a helper returns. Nothing else is left of an instruction whose helper faulted.
    fn call(&mut self, MicroOp { kind, a, b, imm, .. }: MicroOp, data: &[Raw]) {
        let address = data.first().map_or(0, |data| data[0]);
        self.load_to(Host::Rsi, a);
        self.load_to(Host::Rdx, b);
        self.load_to(Host::Rcx, imm as Reg);
        self.load_to(Host::R8, (imm >> 16) as Reg);
        self.held.clear();
        self.asm.call(address as usize);
        if kind == Micro::CallMemory {
            self.check_fault();
        }
    }

    fn call_wide(&mut self, MicroOp { kind, dst, a, b, imm }: MicroOp, data: &[Raw]) {
        let address = data.first().map_or(0, |data| data[0]);
        self.load_to(Host::Rsi, (imm >> 16) as Reg);
        for (number, reg) in [a, b, imm as Reg].into_iter().enumerate() {
            self.load_vector(number as u8, slot(reg));
        }
        self.held.clear();
        self.asm.call(address as usize);
        if kind == Micro::CallWideMemory {
            self.check_fault();
        }
        self.store_vector(slot(dst));
    }

    fn check_fault(&mut self) {
        self.asm.compare_frame_with_zero(W, CpuFrame::FAULT);
        let faulted = self.asm.jump_if(Cc::NotEqual);
        self.bails.push((faulted, self.pc));
    }
}
