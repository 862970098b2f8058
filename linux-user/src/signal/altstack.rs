//! The alternate signal stack of a task: sigaltstack(2).

use base::GuestVirt;
use syscalls::Errno;

const SS_ONSTACK: i32 = libc::SS_ONSTACK;
const SS_DISABLE: i32 = libc::SS_DISABLE;
/// Forget the stack while a handler runs on it.
const SS_AUTODISARM: i32 = 1 << 31;

crate::plain! {
    /// `stack_t`
    pub(crate) struct UserStack {
        pub(crate) sp: u64,
        pub(crate) flags: i32,
        pub(crate) pad: i32,
        pub(crate) size: u64,
    }
}

/// An alternate signal stack, or none.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct AltStack {
    base: u64,
    /// Zero: there is none.
    size: u64,
    /// `SS_AUTODISARM` or zero.
    flags: i32,
}

impl AltStack {
    /// Whether a stack pointer lies on it. One that disarms itself never has anybody on it.
    pub(crate) fn is_on(&self, sp: GuestVirt) -> bool {
        self.flags & SS_AUTODISARM == 0 && sp.0 > self.base && sp.0 - self.base <= self.size
    }

    /// Where a handler that wants the alternate stack starts, for a task whose stack pointer is
    /// `sp`: `None` if there is no such stack or the task is on it already.
    pub(crate) fn top_for(&self, sp: GuestVirt) -> Option<GuestVirt> {
        let usable = self.size != 0 && !self.is_on(sp);
        usable.then(|| GuestVirt(self.base.wrapping_add(self.size)))
    }

    /// After a handler has been entered.
    pub(crate) fn disarm(&mut self) {
        if self.flags & SS_AUTODISARM != 0 {
            *self = Self::default();
        }
    }

    /// As the guest reads it while its stack pointer is `sp`.
    pub(crate) fn to_user(self, sp: GuestVirt) -> UserStack {
        let state = match self {
            Self { size: 0, .. } => SS_DISABLE,
            stack if stack.is_on(sp) => SS_ONSTACK,
            _ => 0,
        };
        UserStack { sp: self.base, flags: state | self.flags, pad: 0, size: self.size }
    }

    /// Sets what the guest wrote, for a task whose stack pointer is `sp`.
    ///
    /// # Errors
    /// `EPERM` while the task is on the stack, `EINVAL` for unknown flags, `ENOMEM` for fewer than
    /// `least` bytes.
    pub(crate) fn set(&mut self, new: UserStack, sp: GuestVirt, least: u64) -> Result<(), Errno> {
        if self.is_on(sp) {
            return Err(Errno::EPERM);
        }
        match new.flags & !SS_AUTODISARM {
            SS_DISABLE => *self = Self { flags: new.flags & SS_AUTODISARM, ..Self::default() },
            0 | SS_ONSTACK if new.size < least => return Err(Errno::ENOMEM),
            0 | SS_ONSTACK => {
                let flags = new.flags & SS_AUTODISARM;
                *self = Self { base: new.sp, size: new.size, flags };
            }
            _ => return Err(Errno::EINVAL),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OUTSIDE: GuestVirt = GuestVirt(0x9000);

    fn stack(flags: i32) -> UserStack {
        UserStack { sp: 0x1000, flags, pad: 0, size: 0x1000 }
    }

    #[test]
    fn a_stack_is_used_once_and_cannot_change_meanwhile() {
        let mut alt = AltStack::default();
        assert_eq!(alt.top_for(OUTSIDE), None);
        assert_eq!(alt.to_user(OUTSIDE).flags, SS_DISABLE);
        alt.set(stack(0), OUTSIDE, 0x800).unwrap();
        assert_eq!(alt.top_for(OUTSIDE), Some(GuestVirt(0x2000)));
        let inside = GuestVirt(0x2000);
        assert_eq!((alt.top_for(inside), alt.to_user(inside).flags), (None, SS_ONSTACK));
        assert_eq!(alt.set(stack(SS_DISABLE), inside, 0x800), Err(Errno::EPERM));
        assert!(!alt.is_on(GuestVirt(0x1000)), "the lowest address is not on it");
        alt.set(stack(SS_DISABLE), OUTSIDE, 0x800).unwrap();
        assert_eq!(alt, AltStack::default());
    }

    #[test]
    fn a_disarming_stack_is_gone_after_use() {
        let mut alt = AltStack::default();
        alt.set(stack(SS_AUTODISARM), OUTSIDE, 0x800).unwrap();
        assert_eq!(alt.to_user(GuestVirt(0x1800)).flags, SS_AUTODISARM);
        alt.disarm();
        assert_eq!(alt.top_for(OUTSIDE), None);
    }

    #[test]
    fn bad_stacks_are_refused() {
        let mut alt = AltStack::default();
        assert_eq!(alt.set(stack(8), OUTSIDE, 0x800), Err(Errno::EINVAL));
        assert_eq!(alt.set(stack(0), OUTSIDE, 0x1001), Err(Errno::ENOMEM));
    }
}
