//! Runs a block one operation after the other, exactly as the table says and as slowly as that
//! takes: what the interpreter, the optimiser and the back end are compared with.
#![expect(unsafe_code, reason = "helpers are called by address")]

use base::cpu::{Effects, HelperCode};
use base::wide::{bits_of, vector_of};
use base::{CpuFrame, GuestVirt, Helper, RegSlot};

use crate::block::{Block, Inst, Operand, OperandKind, Terminator, Trap};
use crate::fold;
use crate::fp::FpOp;
use crate::guest::Guest;
use crate::lanes;
use crate::ops::{Opcode, Shape, flag};
use crate::status;

/// An access that memory does not allow, at this guest address.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Denied(pub GuestVirt);

/// Guest memory, little-endian, as the evaluator sees it.
pub trait Memory {
    /// Reads 1, 2, 4, 8 or 16 bytes.
    ///
    /// # Errors
    /// The access is not allowed.
    fn load(&mut self, addr: GuestVirt, bytes: u32) -> Result<u128, Denied>;

    /// Writes the low 1, 2, 4, 8 or 16 bytes of a value.
    ///
    /// # Errors
    /// The access is not allowed; nothing was written.
    fn store(&mut self, addr: GuestVirt, bytes: u32, value: u128) -> Result<(), Denied>;
}

/// How a block was left.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Exit {
    /// To another block.
    Goto(GuestVirt),
    /// To another block, by a look-up of its key.
    Lookup(GuestVirt),
    /// Its trap.
    Trap(Trap, GuestVirt),
    /// A misaligned address, by [`Opcode::AlignCheck`] in the instruction at `pc`.
    Misaligned {
        /// The instruction.
        pc: GuestVirt,
        /// The address.
        addr: GuestVirt,
    },
    /// An access that memory or a helper denied, in the instruction at `pc`.
    Fault {
        /// The instruction.
        pc: GuestVirt,
        /// The address.
        addr: GuestVirt,
    },
}

/// Runs a block to its exit on a frame's slots.
///
/// The bits of temporaries above their type, which nothing may read, are filled from `garbage`: two
/// runs of different garbage agree.
///
/// # Panics
/// If the block is not valid.
///
/// # Safety
/// The guest's helpers are called with `frame`: it must be as they expect it.
pub unsafe fn run(
    block: &Block,
    guest: &Guest,
    frame: &mut CpuFrame,
    memory: &mut dyn Memory,
    garbage: u64,
) -> Exit {
    let garbage = u128::from(garbage) << 64 | u128::from(garbage);
    let temps = vec![garbage; usize::from(block.temps)];
    let mut run = Run { block, guest, frame, memory, garbage, temps, pc: block.key.pc() };
    for inst in &block.insts {
        if let Err(exit) = run.step(inst) {
            return exit;
        }
    }
    run.terminator()
}

struct Run<'a> {
    block: &'a Block,
    guest: &'a Guest,
    frame: &'a mut CpuFrame,
    memory: &'a mut dyn Memory,
    garbage: u128,
    temps: Vec<u128>,
    pc: GuestVirt,
}

impl Run<'_> {
    fn read(&self, operand: Operand) -> u128 {
        match self.block.operand(operand) {
            OperandKind::None => 0,
            OperandKind::Temp(index) => self.temps[usize::from(index)],
            OperandKind::Slot(slot) if self.guest.is_wide(slot) => self.frame.get_wide(slot),
            OperandKind::Slot(slot) => self.frame.get(slot).into(),
            OperandKind::Const(value) => value.into(),
        }
    }

    fn write(&mut self, inst: &Inst, value: u128) {
        let unused = u128::MAX.checked_shl(inst.result_type().bits()).unwrap_or(0);
        let value = value & !unused | self.garbage & unused;
        if let Some(temp) = inst.dst.as_temp() {
            self.temps[usize::from(temp)] = value;
        } else if let Some(slot) = inst.dst.as_slot() {
            match self.guest.is_wide(slot) {
                true => self.frame.set_wide(slot, value),
                false => self.frame.set(slot, value as u64),
            }
        }
    }

    fn step(&mut self, inst: &Inst) -> Result<(), Exit> {
        let wide = inst.args.map(|arg| self.read(arg));
        let args = wide.map(|arg| arg as u64);
        let result = match inst.op.info().shape {
            Shape::Mark => {
                self.pc = self.block.key.pc().wrapping_offset(inst.imm.into());
                return Ok(());
            }
            Shape::Fence => return Ok(()),
            Shape::Call => self.call(inst, args)?.into(),
            Shape::CallWide => self.call_wide(inst, wide)?,
            Shape::AlignCheck => return self.align_check(inst, args[0]),
            Shape::Load => self.load(inst, args[0])?,
            Shape::Store => return self.store(inst, args[0], wide[1]),
            Shape::AtomicRmw | Shape::AtomicCas => self.atomic(inst, args)?.into(),
            Shape::Status => self.status(inst, args).into(),
            _ if inst.op.info().has(flag::FP_FLAGS) => self.float(inst, wide),
            _ => self.pure(inst, wide),
        };
        self.write(inst, result);
        Ok(())
    }

    fn pure(&self, inst: &Inst, [a, b, c, d]: [u128; 4]) -> u128 {
        let scalars = [a as u64, b as u64, c as u64];
        if let Some(result) = fold::evaluate_inst(inst, scalars) {
            return result.into();
        }
        // The two constants of a shuffle are one operand.
        let c = if inst.op == Opcode::Shuffle { c | d << 64 } else { c };
        let function = lanes::function(inst).expect("an operation without effects");
        function(a, b, c, inst.imm as u32)
    }

    fn address(inst: &Inst, base: u64) -> GuestVirt {
        GuestVirt(base).wrapping_offset(inst.imm.into())
    }

    fn denied(&self) -> impl FnOnce(Denied) -> Exit + use<> {
        let pc = self.pc;
        move |Denied(addr)| Exit::Fault { pc, addr }
    }

    fn align_check(&self, inst: &Inst, base: u64) -> Result<(), Exit> {
        let addr = Self::address(inst, base);
        let aligned = addr.0.is_multiple_of(inst.ty.bytes().into());
        if aligned { Ok(()) } else { Err(Exit::Misaligned { pc: self.pc, addr }) }
    }

    fn load(&mut self, inst: &Inst, base: u64) -> Result<u128, Exit> {
        let addr = Self::address(inst, base);
        let raw = self.memory.load(addr, inst.ty.bytes()).map_err(self.denied())?;
        Ok(match inst.op {
            Opcode::LoadS => (fold::sext(inst.ty, raw as u64) as u64).into(),
            _ => raw,
        })
    }

    fn store(&mut self, inst: &Inst, base: u64, value: u128) -> Result<(), Exit> {
        let addr = Self::address(inst, base);
        self.memory.store(addr, inst.ty.bytes(), value).map_err(self.denied())
    }

    fn atomic(&mut self, inst: &Inst, args: [u64; 4]) -> Result<u64, Exit> {
        let addr = Self::address(inst, args[0]);
        let bytes = inst.ty.bytes();
        let old = self.memory.load(addr, bytes).map_err(self.denied())? as u64;
        let combine = |op| fold::evaluate(op, inst.ty, [old, args[1], 0]).unwrap_or(0);
        let new = match inst.op {
            Opcode::AtomicSwap => args[1],
            Opcode::AtomicAdd => combine(Opcode::Add),
            Opcode::AtomicAnd => combine(Opcode::And),
            Opcode::AtomicOr => combine(Opcode::Or),
            Opcode::AtomicXor => combine(Opcode::Xor),
            Opcode::AtomicMinS => combine(Opcode::MinS),
            Opcode::AtomicMaxS => combine(Opcode::MaxS),
            Opcode::AtomicMinU => combine(Opcode::MinU),
            Opcode::AtomicMaxU => combine(Opcode::MaxU),
            Opcode::AtomicCas if fold::zext(inst.ty, args[1]) == old => args[2],
            // A failed compare-and-swap still needs a page that can be written.
            Opcode::AtomicCas => old,
            _ => unreachable!("not an atomic operation"),
        };
        self.memory.store(addr, bytes, new.into()).map_err(self.denied())?;
        Ok(old)
    }

    fn float(&mut self, inst: &Inst, [a, b, c, _]: [u128; 4]) -> u128 {
        let mut flags = self.frame.get(self.guest.fp_flags);
        let result = FpOp::from(inst).compute(self.guest.fp, [a, b, c], &mut flags);
        self.frame.set(self.guest.fp_flags, flags);
        result
    }

    fn status(&mut self, inst: &Inst, [a, b, ..]: [u64; 4]) -> u64 {
        let status = status::evaluate(inst.op, inst.ty, a, b);
        for (slot, value) in (inst.first_slot().0..).zip(status.slots) {
            value.into_iter().for_each(|value| self.frame.set(RegSlot(slot), value));
        }
        status.result
    }

    fn call(&mut self, inst: &Inst, [a, b, c, d]: [u64; 4]) -> Result<u64, Exit> {
        let helper = self.guest.helper(inst.helper()).expect("a helper of the guest");
        let HelperCode::Scalar(func) = helper.code else { panic!("a helper of scalars") };
        // SAFETY: the frame is live and borrowed for us alone; that it is as the guest's helpers
        // expect it is the contract of `run`.
        let result = unsafe { func(&raw mut *self.frame, a, b, c, d) };
        self.helper_fault(helper)?;
        Ok(result)
    }

    fn call_wide(&mut self, inst: &Inst, [a, b, c, d]: [u128; 4]) -> Result<u128, Exit> {
        let helper = self.guest.helper(inst.helper()).expect("a helper of the guest");
        let HelperCode::Wide(func) = helper.code else { panic!("a helper of vectors") };
        let [a, b, c] = [a, b, c].map(vector_of);
        // SAFETY: as for `call`.
        let result = unsafe { func(&raw mut *self.frame, d as u64, a, b, c) };
        self.helper_fault(helper)?;
        Ok(bits_of(result))
    }

    fn helper_fault(&mut self, helper: &Helper) -> Result<(), Exit> {
        if helper.effects == Effects::Memory && self.frame.fault != 0 {
            self.frame.fault = 0;
            return Err(Exit::Fault { pc: self.pc, addr: GuestVirt(self.frame.fault_addr) });
        }
        Ok(())
    }

    fn terminator(&self) -> Exit {
        match self.block.terminator {
            Terminator::Jump { target, .. } => Exit::Goto(target),
            Terminator::Branch { cond, taken, fallthrough } => {
                Exit::Goto(if self.read(cond) as u64 == 0 { fallthrough } else { taken })
            }
            Terminator::Indirect { target, .. } => Exit::Goto(GuestVirt(self.read(target) as u64)),
            Terminator::Trap { trap, pc } => Exit::Trap(trap, pc),
            Terminator::Lookup { target } => Exit::Lookup(target),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{GUEST, Sandbox};
    use crate::text::parse_block;

    /// Runs a body with `r0` to `r7` of 0x1000 (the sandbox), 1, 2, …; gives exit and `r0`.
    fn run_body(body: &str) -> (Exit, u64) {
        let text = format!("block 0x400 {{ insn 0 4 {body} }}");
        let block = parse_block(&text, &GUEST).unwrap();
        crate::verify(&block, &GUEST).unwrap();
        let mut frame = CpuFrame::new();
        frame.slots[1] = 0x1000;
        for n in 1..8 {
            frame.slots[1 + n as usize] = n;
        }
        let mut memory = Sandbox::new(GuestVirt(0x1000), 64);
        // SAFETY: the test guest's helpers touch nothing but the frame's slots.
        let exit = unsafe { run(&block, &GUEST, &mut frame, &mut memory, 0xdddd_dddd_dddd_dddd) };
        (exit, frame.slots[1])
    }

    #[track_caller]
    fn check(body: &str, r0: u64) {
        assert_eq!(run_body(&format!("{body} jump 0x404")), (Exit::Goto(GuestVirt(0x404)), r0));
    }

    #[test]
    fn values() {
        check("%0 = add.i32 r1, -2 r0 = sext.i32 %0", u64::MAX);
        check("%0 = sto_f.f64.i64.rne r3 %1 = fadd.f64.rne %0, %0 r0 = fto_s.f64.i64.rtz %1", 6);
        check(
            "%0 = uto_f.f64.i64.rne r1 %1 = uto_f.f64.i64.rne r3 %2 = fdiv.f64.rne %0, %1 r0 = mov.i64 fflags",
            1,
        );
        check("r0 = call raise(3) r0 = call raise(4)", 3);
        check("call rotate()", 1);
        check("call probe(8) r0 = mov.i64 r15", 8);
    }

    #[test]
    fn memory() {
        check("store.i32 [r0 + 4], -2 r0 = load_s.i64 [r0]", 0xffff_fffe_0000_0000);
        check("store.i16 [r0], -2 r0 = load_s.i16 [r0]", -2_i64 as u64);
        check("store.i16 [r0], -2 r0 = load_u.i16 [r0]", 0xfffe);
        check("%0 = atomic_add.i32.sc [r0], r3 r0 = load_u.i32 [r0]", 3);
        check("store.i8 [r0], 0x80 %0 = atomic_min_s.i8 [r0], r1 r0 = load_u.i8 [r0]", 0x80);
        check(
            "%0 = atomic_cas.i64 [r0], 0, r5 %1 = atomic_cas.i64 [r0], 0, r6 r0 = add.i64 %1, 0",
            5,
        );
    }

    #[test]
    fn exits() {
        let (pc, at) = (GuestVirt(0x400), GuestVirt);
        let fault = |addr| Exit::Fault { pc, addr: at(addr) };
        assert_eq!(run_body("r0 = load_u.i8 [r0 - 1] lookup 0"), (fault(0xfff), 0x1000));
        assert_eq!(run_body("insn 4 4 store.i64 [r0 + 57], 1 lookup 0").0, {
            Exit::Fault { pc: at(0x404), addr: at(0x1039) }
        });
        assert_eq!(run_body("call probe(7) lookup 0").0, fault(7));
        assert_eq!(run_body("align_check.i32 [r0 + 2] lookup 0").0, {
            Exit::Misaligned { pc, addr: at(0x1002) }
        });
        assert_eq!(run_body("branch r1, 8, 12").0, Exit::Goto(at(8)));
        assert_eq!(run_body("branch 0, 8, 12").0, Exit::Goto(at(12)));
        assert_eq!(run_body("indirect r5 return").0, Exit::Goto(at(5)));
        assert_eq!(run_body("trap syscall, 0x404").0, Exit::Trap(Trap::Syscall, at(0x404)));
        assert_eq!(run_body("lookup 0x404").0, Exit::Lookup(at(0x404)));
    }
}
