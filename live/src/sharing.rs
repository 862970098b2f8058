//! With whom a program shares its memory after clone(2), vfork(2), clone3(2).

use linux_user::kernel::Call;

const CLONE_VM: u64 = 0x100;
const CLONE_VFORK: u64 = 0x4000;

/// With whom.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Sharing {
    Nobody,
    /// With a child, until that ends or executes another program; the program waits for it.
    Child,
    /// With a thread, or a process that runs beside it.
    Thread,
}

/// What a call by this name asks for.
pub(crate) fn of_call(
    name: &str,
    call: &Call,
    mut read: impl FnMut(u64, &mut [u8]) -> bool,
) -> Sharing {
    let flags = match name {
        "vfork" => CLONE_VM | CLONE_VFORK,
        "clone" => call.args[0],
        "clone3" => {
            let mut flags = [0; 8];
            if read(call.args[0], &mut flags) { u64::from_le_bytes(flags) } else { 0 }
        }
        _ => 0,
    };
    match flags & (CLONE_VM | CLONE_VFORK) {
        CLONE_VM => Sharing::Thread,
        flags if flags & CLONE_VM != 0 => Sharing::Child,
        _ => Sharing::Nobody,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_say_who_has_the_memory() {
        let of = |name, flags: u64| {
            let args = [flags, 0, 0, 0, 0, 0];
            of_call(name, &Call { number: 0, args, result: 1 }, |addr, into| {
                into.copy_from_slice(&addr.to_le_bytes());
                true
            })
        };
        assert_eq!(of("clone", 17), Sharing::Nobody);
        assert_eq!(of("clone", 0x4111), Sharing::Child);
        assert_eq!((of("vfork", 0), of("fork", 0)), (Sharing::Child, Sharing::Nobody));
        assert_eq!(
            (of("clone", 0x3d0f00), of("clone3", 0x3d0f00)),
            (Sharing::Thread, Sharing::Thread)
        );
        assert_eq!(of("read", CLONE_VM), Sharing::Nobody);
    }
}
