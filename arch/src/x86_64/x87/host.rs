//! x87 instructions executed by the host, so that their results are exact to the last bit of the last flag.
//!
//! Nobody else uses the host's FPU: compilers keep it empty between functions, and what stands here leaves it as FNINIT
//! does, but for flags of exceptions: FNCLEX takes longer than most instructions.

use std::cell::Cell;

use super::{EXCEPTIONS, F80, Format, State};

thread_local! {
    /// The flags that may be raised in this thread's FPU. A new thread has what its parent had.
    static RAISED: Cell<u16> = const { Cell::new(EXCEPTIONS) };
}

/// An instruction's operand in memory, or what else it reads or writes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[repr(C, align(16))]
pub(super) struct Memory(pub(super) [u8; 16]);

/// ST(0), ST(1) and the operand in memory, for instructions that need no more.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub(super) struct Few {
    pub(super) st0: F80,
    pub(super) st1: F80,
    pub(super) memory: Memory,
    pub(super) control: u16,
}

/// All of the FPU as FNSAVE has it, and the operand in memory.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(16))]
pub(super) struct All {
    pub(super) image: [u8; Format::Bits32.state_bytes()],
    pub(super) memory: Memory,
}

/// Executes an instruction on [`Few`]; the host's status word, with flags that were raised before. Exceptions are masked.
pub(super) type FewFn = fn(&mut Few) -> u16;
/// Executes an instruction on [`All`].
pub(super) type AllFn = fn(&mut All);

/// Loads what `$before` says, executes, and stores what `$after` says. The control word is changed only if the guest's is
/// not the usual one, which is slow.
macro_rules! few {
    ([$($before:literal)*] $insn:literal [$($after:literal)*]) => {{
        #[expect(unsafe_code, reason = "the instruction itself")]
        fn run(few: &mut super::host::Few) -> u16 {
            const USUAL: u16 = 0x37f;
            let status: u64;
            // SAFETY: the operands are valid, the FPU is left empty, with its usual control word.
            unsafe {
                std::arch::asm!(
                    "cmp word ptr [rdi + 48], 0x37f",
                    "je 2f",
                    "fldcw word ptr [rdi + 48]",
                    "2:",
                    $($before,)*
                    $insn,
                    "fnstsw ax",
                    $($after,)*
                    "cmp word ptr [rdi + 48], 0x37f",
                    "je 4f",
                    "fldcw word ptr [rsi]",
                    "4:",
                    in("rdi") few,
                    in("rsi") &USUAL,
                    out("rax") status,
                    out("st(0)") _, out("st(1)") _, out("st(2)") _, out("st(3)") _,
                    out("st(4)") _, out("st(5)") _, out("st(6)") _, out("st(7)") _,
                );
            }
            status as u16
        }
        run as super::host::FewFn
    }};
}

macro_rules! all {
    ($insn:literal) => {{
        #[expect(unsafe_code, reason = "the instruction itself")]
        fn run(all: &mut super::host::All) {
            // SAFETY: the image is as long as it must be, the operand in memory as long as any; FNSAVE leaves the FPU as
            // FNINIT does, and looks at no exceptions.
            unsafe {
                std::arch::asm!(
                    "frstor [rdx]",
                    $insn,
                    "fnsave [rdx]",
                    in("rdi") std::ptr::from_mut(all).cast::<u8>().add(std::mem::offset_of!(
                        super::host::All,
                        memory
                    ) - 32),
                    in("rdx") all,
                    out("rax") _,
                    out("st(0)") _, out("st(1)") _, out("st(2)") _, out("st(3)") _,
                    out("st(4)") _, out("st(5)") _, out("st(6)") _, out("st(7)") _,
                );
            }
        }
        run as super::host::AllFn
    }};
}

pub(super) use {all, few};

/// Executes an instruction where the guest has these flags already; the status word, in which none are but those and its own.
#[inline]
pub(super) fn run_few(insn: FewFn, few: &mut Few, raised: u16) -> u16 {
    if RAISED.get() & !raised != 0 {
        clear_flags();
    }
    let status = insn(few);
    RAISED.set(status & EXCEPTIONS);
    status
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

const _: () =
    assert!(std::mem::offset_of!(Few, memory) == 32 && std::mem::offset_of!(Few, control) == 48);
