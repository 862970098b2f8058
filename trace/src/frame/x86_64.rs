//! x86-64: rax to r15, rflags, st0 to st7, xmm0 to xmm15 and the upper halves of ymm0 to ymm15, MXCSR, the bases of FS and GS,
//! the x87 FPU's control, status and tag words.

use arch::x86_64::x87::State;
use arch::x86_64::{flags, mxcsr, slot};
use base::{CpuFrame, RegSlot};

use super::{Held, Place};
use crate::{RegClass, Register};

/// Where the state of the x87 FPU lies.
const X87: [RegSlot; 2] = [slot::FCW, RegSlot(slot::fpr(7).0 + 1)];

/// ST(n): which register that is depends on the status word.
const STACK: [fn(&CpuFrame) -> u128; 8] = [
    |frame| State::of(frame).st(0).bits(),
    |frame| State::of(frame).st(1).bits(),
    |frame| State::of(frame).st(2).bits(),
    |frame| State::of(frame).st(3).bits(),
    |frame| State::of(frame).st(4).bits(),
    |frame| State::of(frame).st(5).bits(),
    |frame| State::of(frame).st(6).bits(),
    |frame| State::of(frame).st(7).bits(),
];

pub(super) fn places() -> impl Iterator<Item = Place> {
    let int = (0..16).map(|n| (Register::int(n.into()), Held::Slot(slot::gpr(n))));
    let vector = (0..16).map(|n| (Register::vector(n.into()), Held::Wide(slot::xmm(n))));
    let upper = (0..16)
        .map(|n| (Register::new(RegClass::VectorUpper, n.into()), Held::Wide(slot::ymm_high(n))));
    let stack = (0..).zip(STACK).map(|(n, st)| (Register::float(n), Held::Computed(X87, st)));
    let others = [
        (
            Register::FLAGS,
            Held::Computed([slot::ZERO, slot::OTHER_FLAGS], |frame| flags::eflags(frame).into()),
        ),
        (
            Register::control(0),
            Held::Computed([slot::MXCSR, slot::FP_FLAGS], |frame| mxcsr::get(frame).into()),
        ),
        (Register::control(1), Held::Slot(slot::FS_BASE)),
        (Register::control(2), Held::Slot(slot::GS_BASE)),
        (Register::control(3), Held::Slot(slot::FCW)),
        (Register::control(4), Held::Slot(slot::FSW)),
        (Register::control(5), Held::Computed(X87, |frame| State::of(frame).tags().into())),
    ];
    let all = int.chain(others).chain(stack).chain(vector).chain(upper);
    all.map(|(register, held)| Place { register, held })
}
