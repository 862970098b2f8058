//! Guarded accesses to guest memory that lies in the host's address space: each returns
//! [`Faulted`] where the host's MMU refuses, and the details are in [`super::fault::last_fault`].
//!
//! Any address may be passed: a wrong one faults, it does not corrupt, because guest memory and
//! Ferry's own never overlap and callers keep guest addresses within the guest's window.

#![expect(unsafe_code, reason = "the guarded instructions themselves")]

use std::arch::asm;

use crate::GuestVirt;
use crate::wide::{HostVector, bits_of, vector_of};

/// The access faulted; [`super::fault::last_fault`] says where and why.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Faulted;

#[cold]
fn faulted(addr: GuestVirt, write: bool) -> Faulted {
    super::fault::complete(addr, write);
    Faulted
}

/// The guarded instruction at label 2, its fixup at 4, which sets the error register and goes on
/// at 3. What stands before and after it runs in either case.
macro_rules! guarded {
    ($err:literal, $before:literal, $insn:literal, $after:literal, $($operands:tt)*) => {
        asm!(
            concat!("xor ", $err, ", ", $err),
            $before,
            concat!("2: ", $insn),
            concat!("3: ", $after),
            ".pushsection .text.ferry_fixup,\"ax\",@progbits",
            concat!("4: mov ", $err, ", 1"),
            "jmp 3b",
            ".popsection",
            ".pushsection ferry_extable,\"aR\",@progbits",
            ".balign 4",
            ".long 2b - .",
            ".long 4b - .",
            ".popsection",
            $($operands)*
        )
    };
    ($insn:literal, $($operands:tt)*) => { guarded!("{err:e}", "", $insn, "", $($operands)*) };
}

macro_rules! load {
    ($(#[$doc:meta])* $name:ident, $type:ty, $insn:literal) => {
        $(#[$doc])*
        #[inline(always)]
        pub fn $name(addr: GuestVirt) -> Result<$type, Faulted> {
            let (err, value): (u32, u64);
            // SAFETY: reads memory at most; a fault is taken by the fixup.
            unsafe {
                guarded!($insn, err = out(reg) err, value = lateout(reg) value,
                    addr = in(reg) addr.0, options(nostack, readonly));
            }
            if err == 0 { Ok(value as $type) } else { Err(faulted(addr, false)) }
        }
    };
}

macro_rules! store {
    ($(#[$doc:meta])* $name:ident, $type:ty, $class:ident, $insn:literal) => {
        $(#[$doc])*
        #[inline(always)]
        pub fn $name(addr: GuestVirt, value: $type) -> Result<(), Faulted> {
            let err: u32;
            // SAFETY: writes guest memory, which no Rust reference covers; a fault is taken by the
            // fixup.
            unsafe {
                guarded!($insn, err = out(reg) err, value = in($class) value,
                    addr = in(reg) addr.0, options(nostack));
            }
            if err == 0 { Ok(()) } else { Err(faulted(addr, true)) }
        }
    };
}

load!(/// Reads one byte.
    load8, u8, "movzx {value:e}, byte ptr [{addr}]");
load!(/// Reads two bytes, little-endian, at any alignment.
    load16, u16, "movzx {value:e}, word ptr [{addr}]");
load!(/// Reads four bytes, little-endian, at any alignment.
    load32, u32, "mov {value:e}, dword ptr [{addr}]");
load!(/// Reads eight bytes, little-endian, at any alignment.
    load64, u64, "mov {value}, qword ptr [{addr}]");
store!(/// Writes one byte.
    store8, u8, reg_byte, "mov byte ptr [{addr}], {value}");
store!(/// Writes two bytes, little-endian, at any alignment.
    store16, u16, reg, "mov word ptr [{addr}], {value:x}");
store!(/// Writes four bytes, little-endian, at any alignment.
    store32, u32, reg, "mov dword ptr [{addr}], {value:e}");
store!(/// Writes eight bytes, little-endian, at any alignment.
    store64, u64, reg, "mov qword ptr [{addr}], {value}");

/// Reads 16 bytes, little-endian, at any alignment; at once if they are aligned, on hosts with AVX.
#[inline(always)]
pub fn load128(addr: GuestVirt) -> Result<u128, Faulted> {
    let err: u32;
    let value: HostVector;
    // SAFETY: reads memory at most; a fault is taken by the fixup.
    unsafe {
        guarded!("movups {value}, xmmword ptr [{addr}]", err = out(reg) err,
            value = out(xmm_reg) value, addr = in(reg) addr.0, options(nostack, readonly));
    }
    if err == 0 { Ok(bits_of(value)) } else { Err(faulted(addr, false)) }
}

/// Writes 16 bytes, little-endian, at any alignment; at once if they are aligned, on hosts with AVX.
#[inline(always)]
pub fn store128(addr: GuestVirt, value: u128) -> Result<(), Faulted> {
    let err: u32;
    // SAFETY: as `store64`.
    unsafe {
        guarded!("movups xmmword ptr [{addr}], {value}", err = out(reg) err,
            value = in(xmm_reg) vector_of(value), addr = in(reg) addr.0, options(nostack));
    }
    if err == 0 { Ok(()) } else { Err(faulted(addr, true)) }
}

macro_rules! compare_exchange {
    ($(#[$doc:meta])* $name:ident, $type:ty, $class:ident, $insn:literal) => {
        $(#[$doc])*
        #[inline]
        pub fn $name(addr: GuestVirt, expected: $type, new: $type) -> Result<$type, Faulted> {
            let err: u32;
            let mut old = u64::from(expected);
            // SAFETY: writes guest memory, which no Rust reference covers; a fault is taken by the
            // fixup.
            unsafe {
                guarded!($insn, err = out(reg) err, addr = in(reg) addr.0, new = in($class) new,
                    inout("rax") old, options(nostack));
            }
            if err == 0 { Ok(old as $type) } else { Err(faulted(addr, true)) }
        }
    };
}

compare_exchange!(/// Atomic compare-and-swap, sequentially consistent; returns what was there.
    compare_exchange8, u8, reg_byte, "lock cmpxchg byte ptr [{addr}], {new}");
compare_exchange!(/// Atomic compare-and-swap, sequentially consistent; returns what was there.
    compare_exchange16, u16, reg, "lock cmpxchg word ptr [{addr}], {new:x}");
compare_exchange!(/// Atomic compare-and-swap, sequentially consistent; returns what was there.
    compare_exchange32, u32, reg, "lock cmpxchg dword ptr [{addr}], {new:e}");
compare_exchange!(/// Atomic compare-and-swap, sequentially consistent; returns what was there.
    compare_exchange64, u64, reg, "lock cmpxchg qword ptr [{addr}], {new}");

/// Atomic compare-and-swap of 16 bytes, sequentially consistent; returns what was there. The
/// address must be a multiple of 16: the host faults otherwise, and so the caller checks first.
#[inline]
pub fn compare_exchange128(addr: GuestVirt, expected: u128, new: u128) -> Result<u128, Faulted> {
    let err: u64;
    let (mut low, mut high) = (expected as u64, (expected >> 64) as u64);
    let (new_low, new_high) = (new as u64, (new >> 64) as u64);
    // SAFETY: as `compare_exchange64`. rbx is LLVM's own and may not be named, so it is swapped in
    // and restored; every operand has a named register because a chosen one could be rbx.
    unsafe {
        guarded!("r8d", "xchg rbx, rsi", "lock cmpxchg16b xmmword ptr [rdi]", "mov rbx, rsi",
            out("r8") err, in("rdi") addr.0, inout("rsi") new_low => _,
            in("rcx") new_high, inout("rax") low, inout("rdx") high, options(nostack));
    }
    if err == 0 { Ok(u128::from(high) << 64 | u128::from(low)) } else { Err(faulted(addr, true)) }
}

/// Copies from guest memory; on a fault, says how many bytes at the end were not copied.
pub fn copy_from_guest(to: &mut [u8], from: GuestVirt) -> Result<(), usize> {
    // SAFETY: `to` is valid for its length; the source is guarded.
    unsafe { copy(to.as_mut_ptr(), from.0 as *const u8, to.len()) }
}

/// Copies to guest memory; on a fault, says how many bytes at the end were not copied.
pub fn copy_to_guest(to: GuestVirt, from: &[u8]) -> Result<(), usize> {
    // SAFETY: `from` is valid for its length; the destination is guest memory, which no Rust
    // reference covers, and guarded.
    unsafe { copy(to.0 as *mut u8, from.as_ptr(), from.len()) }
}

/// # Safety
/// Whichever side is Ferry's own memory must be valid for `len` bytes; the other may fault.
unsafe fn copy(to: *mut u8, from: *const u8, len: usize) -> Result<(), usize> {
    let err: u32;
    let mut left = len;
    // SAFETY: by this function's contract; a fault leaves the rest in rcx and goes on at the fixup.
    unsafe {
        guarded!("rep movsb", err = out(reg) err, inout("rcx") left,
            inout("rdi") to => _, inout("rsi") from => _, options(nostack));
    }
    if err == 0 { Ok(()) } else { Err(left) }
}

/// In which direction a repeated access goes through memory.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Direction {
    /// To higher addresses.
    Up,
    /// To lower ones.
    Down,
}

macro_rules! repeated {
    ($direction:expr, $err:ident, $left:ident, $insn:literal, $($operands:tt)*) => {
        // SAFETY: accesses guest memory, which no Rust reference covers; a fault leaves the rest in rcx and goes on at
        // the fixup. The direction flag is clear afterwards in any case.
        unsafe {
            match $direction {
                Direction::Up => guarded!($insn, err = out(reg) $err, inout("rcx") $left,
                    $($operands)* options(nostack)),
                Direction::Down => guarded!("{err:e}", "std", $insn, "cld", err = out(reg) $err,
                    inout("rcx") $left, $($operands)* options(nostack)),
            }
        }
    };
}

/// Copies elements of 1, 2, 4 or 8 bytes within guest memory, one after the other, so that what overlaps is copied
/// more than once. On a fault, says how many were not copied.
pub fn repeat_move(
    direction: Direction,
    bytes: u32,
    to: GuestVirt,
    from: GuestVirt,
    count: u64,
) -> Result<(), u64> {
    let err: u32;
    let mut left = count;
    let (to, from) = (to.0, from.0);
    match bytes {
        1 => {
            repeated!(direction, err, left, "rep movsb", inout("rdi") to => _, inout("rsi") from => _,)
        }
        2 => {
            repeated!(direction, err, left, "rep movsw", inout("rdi") to => _, inout("rsi") from => _,)
        }
        4 => {
            repeated!(direction, err, left, "rep movsd", inout("rdi") to => _, inout("rsi") from => _,)
        }
        _ => {
            repeated!(direction, err, left, "rep movsq", inout("rdi") to => _, inout("rsi") from => _,)
        }
    }
    if err == 0 { Ok(()) } else { Err(left) }
}

/// Fills guest memory with an element of 1, 2, 4 or 8 bytes. On a fault, says how many are missing.
pub fn repeat_store(
    direction: Direction,
    bytes: u32,
    to: GuestVirt,
    value: u64,
    count: u64,
) -> Result<(), u64> {
    let err: u32;
    let mut left = count;
    let to = to.0;
    match bytes {
        1 => repeated!(direction, err, left, "rep stosb", inout("rdi") to => _, in("rax") value,),
        2 => repeated!(direction, err, left, "rep stosw", inout("rdi") to => _, in("rax") value,),
        4 => repeated!(direction, err, left, "rep stosd", inout("rdi") to => _, in("rax") value,),
        _ => repeated!(direction, err, left, "rep stosq", inout("rdi") to => _, in("rax") value,),
    }
    if err == 0 { Ok(()) } else { Err(left) }
}

#[cfg(test)]
mod tests {
    use super::super::fault;
    use super::*;

    fn at<T>(x: &T) -> GuestVirt {
        GuestVirt(std::ptr::from_ref(x) as u64)
    }

    #[test]
    fn good_addresses_work_and_bad_ones_fault() {
        fault::install();
        let word = 0x8899_aabb_ccdd_eeff_u64;
        assert_eq!(load8(at(&word)), Ok(0xff));
        assert_eq!(load16(at(&word)), Ok(0xeeff));
        assert_eq!(load32(at(&word)), Ok(0xccdd_eeff));
        assert_eq!(load64(at(&word)), Ok(word));
        let pair = [word, !word];
        assert_eq!(load128(at(&pair)), Ok(u128::from(!word) << 64 | u128::from(word)));
        assert_eq!(load128(GuestVirt(0x18)), Err(Faulted));
        assert_eq!(store128(GuestVirt(0x18), 1), Err(Faulted));
        let bad = GuestVirt(0x18);
        assert_eq!(load64(bad), Err(Faulted));
        let last = fault::last_fault();
        assert_eq!((last.addr, last.signal, last.write), (bad, libc::SIGSEGV, false));
        assert_eq!(store8(bad, 1), Err(Faulted));
        assert!(fault::last_fault().write);
        assert_eq!(compare_exchange32(bad, 0, 1), Err(Faulted));
        assert_eq!(copy_from_guest(&mut [0; 8], bad), Err(8));
        let beyond = GuestVirt(0x1234_5678_9abc_def0);
        assert_eq!(store64(beyond, 1), Err(Faulted));
        let last = fault::last_fault();
        assert_eq!((last.addr, last.code, last.write), (beyond, 1, true));
    }

    #[test]
    fn stores_and_swaps_reach_memory() {
        let mut word = Box::new(0_u64);
        let addr = GuestVirt(&raw mut *word as u64);
        store16(addr, 0x1234).unwrap();
        store8(addr.wrapping_add(7), 0x56).unwrap();
        assert_eq!(load64(addr), Ok(0x5600_0000_0000_1234));
        assert_eq!(compare_exchange64(addr, 1, 2), Ok(0x5600_0000_0000_1234));
        assert_eq!(compare_exchange16(addr, 0x1234, 0x4321), Ok(0x1234));
        assert_eq!(load16(addr), Ok(0x4321));
    }

    #[test]
    fn sixteen_bytes_reach_memory() {
        let mut words = Box::new([0_u64; 3]);
        let addr = GuestVirt(&raw mut words[0] as u64);
        store128(addr.wrapping_add(4), 1 << 127 | 2).unwrap();
        assert_eq!(load128(addr.wrapping_add(4)), Ok(1 << 127 | 2));
        assert_eq!(load64(addr), Ok(2 << 32));
    }

    #[test]
    fn sixteen_bytes_swap_and_fault_without_losing_rbx() {
        #[repr(align(16))]
        struct Pair(u128);
        fault::install();
        let mut pair = Box::new(Pair(7));
        let addr = GuestVirt(&raw mut pair.0 as u64);
        assert_eq!(compare_exchange128(addr, 7, 1 << 100), Ok(7));
        assert_eq!(compare_exchange128(addr, 7, 3), Ok(1 << 100));
        assert_eq!(compare_exchange128(GuestVirt(16), 0, 0), Err(Faulted));
    }

    #[test]
    fn repeated_accesses_go_one_after_the_other() {
        fault::install();
        let mut bytes = Box::new([1_u8, 2, 3, 4, 5, 6, 7, 8, 0, 0]);
        let addr = GuestVirt(bytes.as_mut_ptr() as u64);
        repeat_move(Direction::Up, 1, addr.wrapping_add(1), addr, 3).unwrap();
        assert_eq!(bytes[..5], [1, 1, 1, 1, 5]);
        repeat_move(Direction::Down, 2, addr.wrapping_add(8), addr.wrapping_add(6), 2).unwrap();
        assert_eq!(bytes[4..], [5, 6, 5, 6, 7, 8]);
        repeat_store(Direction::Down, 4, addr.wrapping_add(4), 0x0909_0a0a, 2).unwrap();
        assert_eq!(bytes[..8], [10, 10, 9, 9, 10, 10, 9, 9]);
        assert_eq!(repeat_move(Direction::Up, 8, GuestVirt(8), addr, 5), Err(5));
        assert_eq!(repeat_store(Direction::Up, 1, GuestVirt(8), 0, 7), Err(7));
    }

    #[test]
    fn a_copy_stops_at_the_first_bad_byte() {
        fault::install();
        let mut out = [0_u8; 4];
        copy_from_guest(&mut out, at(&0x0403_0201_u32)).unwrap();
        assert_eq!(out, [1, 2, 3, 4]);
        assert_eq!(copy_to_guest(GuestVirt(0), &out), Err(4));
    }
}
