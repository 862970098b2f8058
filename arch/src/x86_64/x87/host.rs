//! x87 instructions executed by the host, so that their results are exact to the last bit of the last flag.
//!
//! Nobody else uses the host's FPU: compilers keep it empty between functions, and what stands here leaves it as FNINIT
//! does, but for flags of exceptions: FNCLEX takes longer than most instructions.

use std::cell::Cell;

use super::{EXCEPTIONS, Format, State};

thread_local! {
    /// The flags that may be raised in this thread's FPU. A new thread has what its parent had.
    static RAISED: Cell<u16> = const { Cell::new(EXCEPTIONS) };
}

/// An instruction's operand in memory, or what else it reads or writes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[repr(C, align(16))]
pub(super) struct Memory(pub(super) [u8; 16]);

impl Memory {
    /// From bits 63:0 and 79:64.
    #[inline(always)]
    pub(super) fn new(low: u64, high: u16) -> Self {
        Self((u128::from(high) << 64 | u128::from(low)).to_le_bytes())
    }
}

/// The control word that nearly all programs have: rounding to nearest even, to 64 bits, and all exceptions masked.
pub(super) const USUAL: u16 = 0x37f;

/// A physical register, as the frame has it.
pub(super) type Register = [Cell<u64>; 2];

/// What instructions work on that use no more than two registers.
pub(super) struct Few<'a> {
    /// The guest's control word.
    pub(super) control: &'a Cell<u64>,
    /// The guest's status word.
    pub(super) status: u16,
    /// ST(0), also if it is only pushed.
    pub(super) st0: &'a Register,
    /// The register beside it.
    pub(super) other: &'a Register,
    /// The operand in memory: bits 63:0.
    pub(super) low: u64,
    /// Those above.
    pub(super) high: u16,
}

/// What has become of them, beside registers.
pub(super) struct Done {
    /// Of the status word, at least the exceptions, and the condition codes that are written.
    pub(super) status: u16,
    /// What is to be stored.
    pub(super) memory: u128,
}

impl Done {
    /// Nothing is to be stored.
    #[inline(always)]
    pub(super) const fn of(status: u16) -> Self {
        Self { status, memory: 0 }
    }
}

/// All of the FPU as FNSAVE has it, and the operand in memory.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(16))]
pub(super) struct All {
    pub(super) image: [u8; Format::Bits32.state_bytes()],
    pub(super) memory: Memory,
}

/// Executes an instruction on [`All`].
pub(super) type AllFn = fn(&mut All);

/// A function that executes an instruction on [`Few`]: loads what `$before` says, executes, and stores what `$after` says; `rsi`
/// is where ST(0) is, `rdx` where the other register is. Of the flags in the status word that it returns, all are the guest's or
/// its own. Exceptions are masked. The control word is changed only if the guest's is not the usual one, which is slow.
macro_rules! few {
    ([$($before:literal)*] $insn:literal [$($after:literal)*]) => {{
        #[expect(unsafe_code, reason = "the instruction itself")]
        #[inline(always)]
        fn on_host(few: Few<'_>) -> Done {
            let mut memory = host::Memory::new(few.low, few.high);
            let status: u64;
            host::begin(few.status);
            // SAFETY: the operands are valid, the FPU is left empty, with its usual control word.
            unsafe {
                std::arch::asm!(
                    "cmp word ptr [rcx], {usual}",
                    "je 2f",
                    "fldcw word ptr [rcx]",
                    "2:",
                    $($before,)*
                    $insn,
                    "fnstsw ax",
                    $($after,)*
                    "cmp word ptr [rcx], {usual}",
                    "je 4f",
                    "fldcw word ptr [r8]",
                    "4:",
                    in("rdi") (&raw mut memory).cast::<u8>().wrapping_sub(host::MEMORY_AT),
                    in("rsi") few.st0,
                    in("rdx") few.other,
                    in("rcx") few.control,
                    in("r8") &host::USUAL,
                    usual = const host::USUAL,
                    out("rax") status,
                    out("st(0)") _, out("st(1)") _, out("st(2)") _, out("st(3)") _,
                    out("st(4)") _, out("st(5)") _, out("st(6)") _, out("st(7)") _,
                );
            }
            host::end(status as u16);
            Done { status: status as u16, memory: u128::from_le_bytes(memory.0) }
        }
        on_host
    }};
}

macro_rules! all {
    ($insn:literal) => {{
        #[expect(unsafe_code, reason = "the instruction itself")]
        fn run(all: &mut host::All) {
            // SAFETY: the image is as long as it must be, the operand in memory as long as any; FNSAVE leaves the FPU as
            // FNINIT does, and looks at no exceptions.
            unsafe {
                std::arch::asm!(
                    "frstor [rdx]",
                    $insn,
                    "fnsave [rdx]",
                    in("rdi") std::ptr::from_mut(&mut all.memory).cast::<u8>().wrapping_sub(host::MEMORY_AT),
                    in("rdx") all,
                    out("rax") _,
                    out("st(0)") _, out("st(1)") _, out("st(2)") _, out("st(3)") _,
                    out("st(4)") _, out("st(5)") _, out("st(6)") _, out("st(7)") _,
                );
            }
        }
        run as host::AllFn
    }};
}

pub(super) use {all, few};

/// Sees to it that no flags are raised but these.
#[inline(always)]
pub(super) fn begin(raised: u16) {
    if RAISED.get() & !raised != 0 {
        clear_flags();
    }
}

/// Remembers which flags are raised now, by the status word.
#[inline(always)]
pub(super) fn end(status: u16) {
    RAISED.set(status & EXCEPTIONS);
}

#[cold]
fn clear_flags() {
    #[expect(unsafe_code, reason = "one instruction")]
    // SAFETY: no flag is anything to anybody else, and registers stay.
    unsafe {
        std::arch::asm!("fnclex", options(nomem, nostack, preserves_flags));
    }
}

/// Executes an instruction with the whole state.
pub(super) fn run_all(insn: AllFn, all: &mut All) {
    insn(all);
    // FNSAVE clears them.
    RAISED.set(0);
}

impl All {
    /// A state, ready to be loaded.
    pub(super) fn new(state: &State, memory: Memory) -> Self {
        let mut image = [0; Format::Bits32.state_bytes()];
        image.copy_from_slice(&state.image(Format::Bits32));
        Self { image, memory }
    }

    /// The state.
    pub(super) fn state(&self) -> State {
        let mut state = State::default();
        state.set_image(Format::Bits32, &self.image);
        state
    }
}

/// How far from where `rdi` points the operand in memory is: a displacement of 8 bits.
pub(super) const MEMORY_AT: usize = 32;
