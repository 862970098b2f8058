//! Some of a block's micro-operations, to be done by the interpreter on behalf of code that does the others itself.

#![expect(unsafe_code, reason = "runs lowered code on a frame")]

use base::CpuFrame;

use super::code::{Entry, HEAD_WORDS, Head, head_of_fragment};
use super::eval::Pure;
use super::exec::{self, Alone, Context, SINK, Stop, run};
use super::memory::Direct;
use super::micro::{Micro, MicroOp, Raw};

/// Micro-operations without a terminator, of one guest instruction of a process ([`Direct`]). It is of no use where it lies, but
/// wherever [`Fragment::words`] are put.
#[derive(Debug)]
pub struct Fragment(Vec<Raw>);

impl Fragment {
    /// To what its bytes must be aligned.
    pub const ALIGN: usize = align_of::<Head>();

    /// Does what a fragment's bytes say to a frame: 0 once that is done, anything else if the instruction cannot be
    /// finished because an access faults, or is misaligned. It had no effects then that doing it again would not have.
    pub const RUN: unsafe extern "C" fn(*mut CpuFrame, *const Raw) -> u32 = run_fragment;

    /// Some operations, with their data, of the block with this head.
    #[must_use]
    pub fn new(head: &Head, operations: Vec<Raw>) -> Self {
        let mut words = vec![[0; 2]; HEAD_WORDS];
        words.extend(operations);
        words.push(MicroOp::new(Micro::Lookup, SINK, 0, 0, 0).to_raw());
        let head = head_of_fragment(head.key(), words.len());
        // SAFETY: there are HEAD_WORDS words, which are as many bytes as a `Head`.
        unsafe { words.as_mut_ptr().cast::<Head>().write_unaligned(head) };
        Self(words)
    }

    /// What [`Fragment::RUN`] takes.
    #[must_use]
    pub fn words(&self) -> &[Raw] {
        &self.0
    }
}

/// Does the micro-operation at an address to a frame, with the data after it.
pub type Operation = unsafe extern "C" fn(*mut CpuFrame, *const Raw);

macro_rules! operations {
    ($($kind:ident $function:ident;)*) => {
        impl Micro {
            /// What does micro-operations of this kind alone, quicker than a [`Fragment`] is; `None` if there is no such function. It
            /// has no other effects than to write a register.
            #[must_use]
            pub fn operation(self) -> Option<Operation> {
                match self {
                    $(Self::$kind => Some($function),)*
                    _ => None,
                }
            }
        }

        $(
            unsafe extern "C" fn $function(frame: *mut CpuFrame, op: *const Raw) {
                // SAFETY: the caller's frame, and an operation that was lowered for its guest.
                unsafe { exec::$function(frame.cast(), op) }
            }
        )*
    };
}

operations! {
    Float float;
    Wide wide;
    Lane lane;
    WideFloat wide_float;
}

/// Calls a function of two operands whose address is known, in the form of a helper.
pub const CALL_PURE: unsafe extern "C" fn(*mut CpuFrame, u64, u64, usize) -> u64 = call_pure;

unsafe extern "C" fn call_pure(_: *mut CpuFrame, a: u64, b: u64, function: usize) -> u64 {
    // SAFETY: the caller has it from a micro-operation, where the lowerer put the address of such a function.
    let function = unsafe { std::mem::transmute::<usize, Pure>(function) };
    function(a, b)
}

unsafe extern "C" fn run_fragment(frame: *mut CpuFrame, words: *const Raw) -> u32 {
    let Some(head) = std::ptr::NonNull::new(words.cast_mut().cast::<Head>()) else { return 1 };
    let mut cx = Context { frame, memory: &mut Direct, jumps: &Alone, retired: 0 };
    // SAFETY: the caller's frame, and a fragment's bytes, of operations that were lowered for its guest.
    let stop = unsafe { run(&mut cx, Entry(head)) };
    u32::from(!matches!(stop, Stop::Lookup(_)))
}
