//! x86-64 in 64-bit mode, the application level ("Intel 64 and IA-32 Architectures Software Developer's Manual", below
//! the SDM; "AMD64 Architecture Programmer's Manual"). What these leave undefined is as Intel's cores since Haswell have
//! it.

pub mod cpu;
pub mod cpuid;
pub mod debug;
pub mod feature;
pub mod flags;
pub mod helpers;
pub mod key;
pub mod mxcsr;
pub mod slot;
pub mod x87;
pub mod xsave;

pub use cpu::{CpuModel, CpuModelError};

use base::CpuFrame;

/// A logical processor's registers as Linux hands them to a new program (`start_thread`, `fpstate_init_user`): all zero but
/// for those that control floating point, the selectors of user mode and the interrupt flag.
pub fn reset(frame: &mut CpuFrame) {
    frame.slots.fill(0);
    frame.set(slot::CS, slot::USER_CS);
    frame.set(slot::SS, slot::USER_SS);
    frame.set(slot::FCW, slot::FCW_INIT);
    flags::set_eflags(frame, flags::IF);
    mxcsr::set(frame, mxcsr::INIT);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn new_programs_begin_with_linux_s_values() {
        let mut frame = CpuFrame::new();
        frame.slots.fill(0x5a);
        reset(&mut frame);
        assert_eq!(flags::eflags(&frame), 0x202);
        assert_eq!(mxcsr::get(&frame), 0x1f80);
        assert_eq!(
            (frame.get(slot::CS), frame.get(slot::SS), frame.get(slot::FCW)),
            (0x33, 0x2b, 0x37f)
        );
        assert_eq!((frame.get(slot::gpr(4)), frame.key_flags), (0, 0));
    }
}
