//! What an exception of the CPU is to Linux (`arch/x86/kernel/traps.c`, `arch/x86/mm/fault.c`): its signal, and what the
//! signal frame tells of it. Translations leave in few ways; which exception it was, the instruction says.

use arch::x86_64::{mxcsr, slot};
use base::sys::access;
use base::sys::fault::HostFault;
use base::{CpuFrame, GuestVirt};
use decoders::x86_64::{
    Code, CpuidFeature, Decoded, Instruction, MAX_BYTES, Mnemonic, OpKind, Options, Register,
    alignment, decode,
};
use runtime::{Exit, FetchFaultCause};

use crate::signal::{
    CpuException, ILL_ILLOPN, SEGV_ACCERR, SEGV_MAPERR, SI_KERNEL, SigInfo, TRAP_BRKPT, TRAP_TRACE,
    Trap,
};

/// The exceptions' vectors (SDM vol. 3, table 6-1).
mod vector {
    pub(super) const DE: u64 = 0;
    pub(super) const DB: u64 = 1;
    pub(super) const BP: u64 = 3;
    pub(super) const OF: u64 = 4;
    pub(super) const UD: u64 = 6;
    pub(super) const SS: u64 = 12;
    pub(super) const GP: u64 = 13;
    pub(super) const PF: u64 = 14;
    pub(super) const MF: u64 = 16;
    pub(super) const XM: u64 = 19;
}

/// Page faults' error codes: the page is there.
const PF_PRESENT: u64 = 1;
/// A write.
const PF_WRITE: u64 = 2;
/// By a program.
const PF_USER: u64 = 4;
/// A fetch.
const PF_FETCH: u64 = 16;

const FPE_INTDIV: i32 = 1;
const BUS_ADRERR: i32 = 2;

/// The end of a program's half of the address space; what lies beyond counts as there.
const TASK_SIZE_MAX: u64 = (1 << 47) - 0x1000;

/// The exception that made the CPU stop; `None` if nothing of the guest's did. A trap leaves the pc after its
/// instruction.
pub(super) fn of(frame: &mut CpuFrame, exit: &Exit, last: Trap) -> Option<CpuException> {
    let pc = GuestVirt(frame.pc);
    let plain = Plain { pc, last };
    Some(match exit {
        Exit::Syscall | Exit::Interrupted | Exit::Debug(_) | Exit::GuestFault(_) => return None,
        Exit::DataFault(fault) => data_fault(frame, fault, plain),
        Exit::FetchFault(fault) if !is_canonical(fault.addr) => plain.general_protection(0),
        Exit::FetchFault(fault) => {
            let (code, error) = match fault.cause {
                FetchFaultCause::NotExecutable => (SEGV_ACCERR, PF_PRESENT),
                _ => (SEGV_MAPERR, 0),
            };
            let signal = match fault.cause {
                FetchFaultCause::BeyondFile => (libc::SIGBUS, BUS_ADRERR),
                _ => (libc::SIGSEGV, code),
            };
            plain.page_fault(signal, fault.addr, error | PF_FETCH)
        }
        Exit::IllegalInstruction | Exit::Refused => {
            plain.at_pc(vector::UD, libc::SIGILL, ILL_ILLOPN)
        }
        Exit::Breakpoint => {
            frame.pc = frame.pc.wrapping_add(1);
            plain.bare(vector::BP, 0, libc::SIGTRAP)
        }
        Exit::Traced => plain.at_pc(vector::DB, libc::SIGTRAP, TRAP_TRACE),
        Exit::System => left(frame, plain),
        Exit::Misaligned(_) => raised(frame, plain),
    })
}

/// Makes descriptions of an exception at a pc.
#[derive(Clone, Copy)]
struct Plain {
    pc: GuestVirt,
    last: Trap,
}

impl Plain {
    fn trap(self, number: u64, error: u64) -> Trap {
        Trap { number, error, ..self.last }
    }

    /// One of which nothing is told but the signal.
    fn bare(self, number: u64, error: u64, signal: i32) -> CpuException {
        CpuException { info: SigInfo::bare(signal, SI_KERNEL), trap: self.trap(number, error) }
    }

    /// One that tells where the instruction is.
    fn at_pc(self, number: u64, signal: i32, code: i32) -> CpuException {
        CpuException { info: SigInfo::fault(signal, code, self.pc), trap: self.trap(number, 0) }
    }

    fn general_protection(self, error: u64) -> CpuException {
        self.bare(vector::GP, error, libc::SIGSEGV)
    }

    fn page_fault(self, (signal, code): (i32, i32), addr: GuestVirt, error: u64) -> CpuException {
        let present = if addr.0 >= TASK_SIZE_MAX { PF_PRESENT } else { 0 };
        let error = error | present | PF_USER;
        let trap = Trap { number: vector::PF, error, address: addr };
        CpuException { info: SigInfo::fault(signal, code, addr), trap }
    }
}

/// An access that the host would not make.
fn data_fault(frame: &CpuFrame, fault: &HostFault, plain: Plain) -> CpuException {
    let is_paging = fault.code == SEGV_MAPERR || fault.code == SEGV_ACCERR;
    let is_translated = is_paging && !leaves_canonical(frame, fault.addr);
    if fault.signal == libc::SIGSEGV && !is_translated {
        let is_stack = instruction(frame).is_some_and(|insn| uses_stack_segment(&insn));
        return match is_stack {
            true => plain.bare(vector::SS, 0, libc::SIGBUS),
            false => plain.general_protection(0),
        };
    }
    let is_there = fault.signal == libc::SIGSEGV && fault.code == SEGV_ACCERR;
    let present = if is_there { PF_PRESENT } else { 0 };
    let write = if fault.write { PF_WRITE } else { 0 };
    plain.page_fault((fault.signal, fault.code), fault.addr, present | write)
}

/// Whether paging looks at an address at all: bits 63 to 48 are as bit 47 (SDM vol. 1, 3.3.7.1).
fn is_canonical(addr: GuestVirt) -> bool {
    let above = 64 - 48;
    ((addr.0 << above) as i64 >> above) as u64 == addr.0
}

/// Whether a byte of the access at this address is at one that is not canonical: the first, or one beyond the page before the
/// end of the lower half, of which a program has nothing.
fn leaves_canonical(frame: &CpuFrame, addr: GuestVirt) -> bool {
    if !(TASK_SIZE_MAX..1 << 47).contains(&addr.0) {
        return !is_canonical(addr);
    }
    let bytes = instruction(frame).map_or(0, |insn| match insn.memory_size().size() {
        0 => insn.stack_pointer_increment().unsigned_abs() as usize,
        bytes => bytes,
    });
    (1 << 47) - addr.0 < bytes as u64
}

/// The instruction at pc.
fn instruction(frame: &CpuFrame) -> Option<Instruction> {
    let mut bytes = [0; MAX_BYTES];
    let left = access::copy_from_guest(&mut bytes, GuestVirt(frame.pc)).err().unwrap_or(0);
    let code = &bytes[..MAX_BYTES - left];
    match decode(GuestVirt(frame.pc), code, Options::default()) {
        Decoded::Instruction(insn) => Some(insn),
        _ => None,
    }
}

/// Whether an instruction accesses memory by way of SS.
fn uses_stack_segment(insn: &Instruction) -> bool {
    let has_memory = insn.op_kinds().any(|kind| kind == OpKind::Memory);
    let by_operand = has_memory && insn.memory_segment() == Register::SS;
    by_operand || (insn.is_stack_instruction() && !has_memory)
}

/// An instruction that only the kernel answers.
fn left(frame: &mut CpuFrame, plain: Plain) -> CpuException {
    let Some(insn) = instruction(frame) else {
        return plain.general_protection(0);
    };
    match insn.code() {
        Code::Int_imm8 => match insn.immediate8() {
            3 => {
                frame.pc = insn.next_ip();
                plain.bare(vector::BP, 0, libc::SIGTRAP)
            }
            4 => {
                frame.pc = insn.next_ip();
                plain.bare(vector::OF, 0, libc::SIGSEGV)
            }
            // An entry of the IDT that is not a program's to use. That of 32-bit programs' system calls, 0x80, is none either, as in a
            // kernel that runs no such programs (`ia32_emulation=0`).
            vector => plain.general_protection(u64::from(vector) << 3 | 2),
        },
        Code::Int1 => {
            frame.pc = insn.next_ip();
            let plain = Plain { pc: GuestVirt(frame.pc), ..plain };
            plain.at_pc(vector::DB, libc::SIGTRAP, TRAP_BRKPT)
        }
        _ => plain.general_protection(0),
    }
}

/// An instruction that raised an exception by itself.
fn raised(frame: &CpuFrame, plain: Plain) -> CpuException {
    let Some(insn) = instruction(frame) else {
        return plain.general_protection(0);
    };
    if matches!(insn.mnemonic(), Mnemonic::Div | Mnemonic::Idiv) {
        return plain.at_pc(vector::DE, libc::SIGFPE, FPE_INTDIV);
    }
    if waits_for_x87(&insn) && unmasked_x87(frame) != 0 {
        return plain.at_pc(vector::MF, libc::SIGFPE, fpe_code(unmasked_x87(frame)));
    }
    if unmasked_sse(frame) != 0 && !is_misaligned(frame, &insn) {
        return plain.at_pc(vector::XM, libc::SIGFPE, fpe_code(unmasked_sse(frame)));
    }
    plain.general_protection(0)
}

/// Whether it is of those that raise pending x87 exceptions.
fn waits_for_x87(insn: &Instruction) -> bool {
    use CpuidFeature::{FPU, FPU287, FPU387};
    let is_x87 = |feature: &CpuidFeature| matches!(feature, FPU | FPU287 | FPU387);
    let is_mmx = (0..insn.op_count()).any(|n| insn.op_register(n).is_mm());
    is_mmx
        || insn.cpuid_features().iter().any(is_x87)
        || matches!(insn.code(), Code::Wait | Code::Emms)
}

/// Exceptions that have occurred and are not masked.
fn unmasked_x87(frame: &CpuFrame) -> u32 {
    let (fsw, fcw) = (frame.get(slot::FSW) as u32, frame.get(slot::FCW) as u32);
    fsw & !fcw & mxcsr::STICKY
}

/// Exceptions that have occurred and are not masked.
fn unmasked_sse(frame: &CpuFrame) -> u32 {
    let mxcsr = mxcsr::get(frame);
    mxcsr & !(mxcsr >> mxcsr::MASKS_SHIFT) & mxcsr::STICKY
}

/// Whether the instruction's memory operand is not aligned as it must be.
fn is_misaligned(frame: &CpuFrame, insn: &Instruction) -> bool {
    let Some(op) = (0..insn.op_count()).find(|&op| insn.op_kind(op) == OpKind::Memory) else {
        return false;
    };
    let value = |register, _: usize, _: usize| register_value(frame, register);
    let addr = insn.virtual_address(op, 0, value);
    addr.is_some_and(|addr| !addr.is_multiple_of(alignment(insn)))
}

fn register_value(frame: &CpuFrame, register: Register) -> Option<u64> {
    Some(match register {
        Register::FS => frame.get(slot::FS_BASE),
        Register::GS => frame.get(slot::GS_BASE),
        register if register.is_segment_register() => 0,
        register if register.is_gpr64() => frame.get(slot::gpr(register.number() as u8)),
        register if register.is_gpr32() => {
            frame.get(slot::gpr(register.number() as u8)) & 0xffff_ffff
        }
        _ => return None,
    })
}

/// What Linux says of floating-point exceptions, the most serious first (`fpu__exception_code`).
fn fpe_code(exceptions: u32) -> i32 {
    const CODES: [(u32, i32); 5] = [(0x01, 7), (0x04, 3), (0x08, 4), (0x12, 5), (0x20, 6)];
    CODES.iter().find(|(bits, _)| exceptions & bits != 0).map_or(0, |(_, code)| *code)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PC: u64 = 0x40_1000;

    fn check(exit: &Exit, expected: (i32, i32, u64), trap: (u64, u64, u64), pc: u64) {
        base::sys::fault::install();
        let mut frame = CpuFrame::new();
        frame.pc = PC;
        let last = Trap { address: GuestVirt(0x77), ..Trap::default() };
        let CpuException { info, trap: found } = of(&mut frame, exit, last).unwrap();
        assert_eq!((info.signal(), info.code(), info.addr().0), expected, "{exit:?}");
        assert_eq!((found.number, found.error, found.address.0), trap, "{exit:?}");
        assert_eq!(frame.pc, pc, "{exit:?}");
    }

    #[test]
    fn faults_are_described_as_the_kernel_does() {
        let data = |signal, code, write| {
            Exit::DataFault(HostFault { addr: GuestVirt(0x1238), signal, code, write })
        };
        let segv = libc::SIGSEGV;
        check(&data(segv, 1, false), (segv, 1, 0x1238), (14, 4, 0x1238), PC);
        check(&data(segv, 2, true), (segv, 2, 0x1238), (14, 7, 0x1238), PC);
        check(&data(libc::SIGBUS, 2, true), (libc::SIGBUS, 2, 0x1238), (14, 6, 0x1238), PC);
        check(&data(segv, SI_KERNEL, false), (segv, SI_KERNEL, 0), (13, 0, 0x77), PC);
        check(&Exit::IllegalInstruction, (libc::SIGILL, 2, PC), (6, 0, 0x77), PC);
        check(&Exit::Breakpoint, (libc::SIGTRAP, SI_KERNEL, 0), (3, 0, 0x77), PC + 1);
        let fetch = |addr, cause| {
            let addr = GuestVirt(addr);
            Exit::FetchFault(runtime::FetchFault { addr, cause })
        };
        use FetchFaultCause::{NotExecutable, Unmapped};
        check(&fetch(8, Unmapped), (segv, 1, 8), (14, 20, 8), PC);
        check(&fetch(8, NotExecutable), (segv, 2, 8), (14, 21, 8), PC);
        let kernel = 0xffff_8000_0000_0000;
        check(&fetch(kernel, Unmapped), (segv, 1, kernel), (14, 21, kernel), PC);
    }

    #[test]
    fn accesses_that_leave_the_lower_half_are_general_protection_faults() {
        base::sys::fault::install();
        let mut frame = CpuFrame::new();
        let mut at_end = |code: &[u8], left: u64| {
            frame.pc = code.as_ptr() as u64;
            let addr = GuestVirt((1 << 47) - left);
            let (signal, code) = (libc::SIGSEGV, SEGV_MAPERR);
            let fault = Exit::DataFault(HostFault { addr, signal, code, write: false });
            of(&mut frame, &fault, Trap::default()).unwrap().trap.number
        };
        // mov rax,[rdx]; movups xmm0,[rdx]; push rax, each with more behind it
        let codes = [&[0x48, 0x8b, 0x02, 0xcc][..], &[0x0f, 0x10, 0x02, 0xcc], &[0x50, 0xcc]];
        for (code, bytes, crosses) in
            [(codes[0], 8, vector::GP), (codes[1], 16, vector::GP), (codes[2], 8, vector::SS)]
        {
            assert_eq!((at_end(code, bytes), at_end(code, bytes - 1)), (vector::PF, crosses));
        }
    }

    #[test]
    fn stack_accesses_are_told_from_others() {
        let decode = |bytes: &[u8]| match decode(GuestVirt(0), bytes, Options::default()) {
            Decoded::Instruction(insn) => insn,
            other => panic!("{other:?}"),
        };
        for (bytes, expected) in [
            (&[0x50][..], true),
            (&[0xc3], true),
            (&[0x48, 0x8b, 0x45, 0], true),
            (&[0x48, 0x8b, 0x04, 0x24], true),
            (&[0x3e, 0x48, 0x8b, 0x45, 0], false),
            (&[0x48, 0x8b, 0], false),
        ] {
            assert_eq!(uses_stack_segment(&decode(bytes)), expected, "{bytes:x?}");
        }
    }

    #[test]
    fn the_most_serious_exception_is_told() {
        assert_eq!([0x21, 0x24, 0x28, 0x30, 0x20].map(fpe_code), [7, 3, 4, 5, 6]);
    }
}
