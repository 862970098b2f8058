//! The kernel's key rings.

use base::GuestVirt;
use syscalls::{Errno, Sysno};

use super::ArgKind::{Fd, Hex, Int, OutBuf, Ptr, Size, Str};
use super::iovec::read_iovecs;
use super::row::rows;
use super::{ArgKind, Args, SyscallResult, check_arguments, without_tags};
use crate::host::{self, Arg};
use crate::task::Task;
use crate::window;

rows! {
    add_key(Str, Str, Ptr, Size, Int) => pass;
    request_key(Str, Str, Str, Int) => pass;
    keyctl(Int, Hex, Hex, Hex, Hex) => keyctl;
}

const KEYCTL_INSTANTIATE_IOV: i32 = 20;
const KEYCTL_DH_COMPUTE: i32 = 23;

/// The arguments after the command, in the order of `<linux/keyctl.h>`.
const COMMANDS: [&[ArgKind]; 33] = [
    &[Int, Int],               // KEYCTL_GET_KEYRING_ID
    &[Str],                    // KEYCTL_JOIN_SESSION_KEYRING
    &[Int, Ptr, Size],         // KEYCTL_UPDATE
    &[Int],                    // KEYCTL_REVOKE
    &[Int, Int, Int],          // KEYCTL_CHOWN
    &[Int, Hex],               // KEYCTL_SETPERM
    &[Int, OutBuf, Size],      // KEYCTL_DESCRIBE
    &[Int],                    // KEYCTL_CLEAR
    &[Int, Int],               // KEYCTL_LINK
    &[Int, Int],               // KEYCTL_UNLINK
    &[Int, Str, Str, Int],     // KEYCTL_SEARCH
    &[Int, OutBuf, Size],      // KEYCTL_READ
    &[Int, Ptr, Size, Int],    // KEYCTL_INSTANTIATE
    &[Int, Int, Int],          // KEYCTL_NEGATE
    &[Int],                    // KEYCTL_SET_REQKEY_KEYRING
    &[Int, Int],               // KEYCTL_SET_TIMEOUT
    &[Int],                    // KEYCTL_ASSUME_AUTHORITY
    &[Int, OutBuf, Size],      // KEYCTL_GET_SECURITY
    &[],                       // KEYCTL_SESSION_TO_PARENT
    &[Int, Int, Int, Int],     // KEYCTL_REJECT
    &[Int, Ptr, Size, Int],    // KEYCTL_INSTANTIATE_IOV
    &[Int],                    // KEYCTL_INVALIDATE
    &[Int, Int],               // KEYCTL_GET_PERSISTENT
    &[Ptr, OutBuf, Size, Ptr], // KEYCTL_DH_COMPUTE
    &[Int, Int, Str, Ptr],     // KEYCTL_PKEY_QUERY
    &[Ptr, Str, Ptr, Ptr],     // KEYCTL_PKEY_ENCRYPT
    &[Ptr, Str, Ptr, Ptr],     // KEYCTL_PKEY_DECRYPT
    &[Ptr, Str, Ptr, Ptr],     // KEYCTL_PKEY_SIGN
    &[Ptr, Str, Ptr, Ptr],     // KEYCTL_PKEY_VERIFY
    &[Int, Str, Str],          // KEYCTL_RESTRICT_KEYRING
    &[Int, Int, Int, Hex],     // KEYCTL_MOVE
    &[OutBuf, Size],           // KEYCTL_CAPABILITIES
    &[Int, Fd, Int],           // KEYCTL_WATCH_KEY
];

/// keyctl(2): its structures are the same on every architecture.
fn keyctl(task: &mut Task, args: &Args) -> SyscallResult {
    let command = args.int(0);
    let kinds = usize::try_from(command).ok().and_then(|n| COMMANDS.get(n));
    let kinds = [&[Int], *kinds.ok_or(Errno::EOPNOTSUPP)?].concat();
    let mut args = without_tags(task, &kinds, *args);
    check_arguments(task, &kinds, &args)?;
    match command {
        KEYCTL_INSTANTIATE_IOV => {
            let vectors = read_iovecs(args.ptr(2), args.long(3))?;
            args.0[2] = Arg::reads(&vectors[..]).raw();
            Ok(host::call_raw(Sysno::keyctl as u64, args.0)?)
        }
        KEYCTL_DH_COMPUTE => {
            // `struct keyctl_kdf_params`, if there is one: a name and more, and how much more; then nothing but zeros.
            let Some(mut derivation) = args.ptr::<[u64; 7]>(4).read_opt()? else {
                return Ok(host::call_raw(Sysno::keyctl as u64, args.0)?);
            };
            for addr in &mut derivation[..2] {
                *addr = window::followed(GuestVirt(*addr))?.0;
            }
            args.0[4] = Arg::reads(&derivation).raw();
            Ok(host::call_raw(Sysno::keyctl as u64, args.0)?)
        }
        _ => Ok(host::call_raw(Sysno::keyctl as u64, args.0)?),
    }
}
