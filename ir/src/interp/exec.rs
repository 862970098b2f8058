//! The interpreter's loop.

#![expect(unsafe_code, reason = "registers, code and links are reached by unchecked pointers")]

use std::sync::atomic::{AtomicPtr, Ordering, fence};

use base::cpu::WideHelperFn;
use base::float::fast::{self, HostFormat as _};
use base::float::{Env, F32, F64, Flags, Format as _, Round};
use base::sys::access::Faulted;
use base::wide::{bits_of, vector_of};
use base::{CpuFrame, GuestVirt, HelperFn};

use super::code::{Entry, HEAD_WORDS, Head, Side};
use super::eval::Pure;
use super::float::{Float, RULES_SHIFT, unpack_round, unpack_rules, with_flags};
use super::memory::{Memory, Site};
use super::micro::{Micro, MicroOp, Raw, Reg};
use super::status;
use crate::block::{BlockKey, Trap};
use crate::fp::FpOp;
use crate::lanes::WideFn;

/// Why the interpreter returned. The frame's registers are exact; its pc is the one named here, which is
/// relative to [`base::cpu::PC_DELTA`] except at [`Stop::Indirect`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Stop {
    /// A direct exit that is not linked.
    Unlinked {
        /// The block that ended.
        from: Entry,
        /// Its exit.
        side: Side,
        /// Where the guest goes on.
        target: GuestVirt,
    },
    /// An indirect exit whose target [`Jumps::probe`] did not know. [`CpuFrame::approach`] says how it came.
    Indirect(GuestVirt),
    /// An exit that demands a fresh look-up of the key.
    Lookup(GuestVirt),
    /// A trap.
    Trap(Trap, GuestVirt),
    /// The instruction at this pc made an access that faulted.
    Fault(GuestVirt),
    /// The helper called by the instruction at `pc` made an access that faulted at `addr`.
    HelperFault {
        /// The instruction.
        pc: GuestVirt,
        /// The access.
        addr: GuestVirt,
    },
    /// The instruction at `pc` made an access to `addr`, which is not aligned as it demands.
    Misaligned {
        /// The instruction.
        pc: GuestVirt,
        /// The access.
        addr: GuestVirt,
    },
    /// The block to go on at has no budget left ([`Head::budget`]); it has not begun.
    Attention(Entry),
    /// [`CpuFrame::interrupt`] was set as the block to go on at was about to begin, or
    /// [`Jumps::may_begin`] said no.
    Interrupted(Entry),
}

/// How blocks find each other.
pub trait Jumps {
    /// Whether to follow links and probes at all; otherwise each block's end is a [`Stop`].
    const FOLLOW: bool;

    /// The code at the target of an indirect jump, if it is known at once. Sets
    /// [`base::cpu::PC_DELTA`] to what holds there. The salt is that of the jump's approach: what is known for one
    /// is not known for another.
    ///
    /// Whoever implements it promises that what it returns exists for as long as the interpreter
    /// may run it.
    fn probe(&self, frame: &mut CpuFrame, target: GuestVirt, salt: u64) -> Option<Entry>;

    /// Whether a block of so many guest instructions may begin now; asked once for each block that is
    /// gone on to. If not, the interpreter stops there as if it were interrupted.
    #[inline(always)]
    fn may_begin(&self, _insns: u32) -> bool {
        true
    }

    /// As [`Jumps::probe`], for a direct exit of the block of this key that is not linked, because it cannot be.
    /// Its target is relative to [`base::cpu::PC_DELTA`], as the block's own pc is.
    #[inline(always)]
    fn probe_direct(&self, _: &mut CpuFrame, _: BlockKey, _: GuestVirt) -> Option<Entry> {
        None
    }
}

/// Runs one block, then stops.
#[derive(Clone, Copy, Debug)]
pub struct Alone;

impl Jumps for Alone {
    const FOLLOW: bool = false;

    fn probe(&self, _: &mut CpuFrame, _: GuestVirt, _: u64) -> Option<Entry> {
        None
    }
}

/// What the interpreter works on.
#[derive(Debug)]
pub struct Context<'a, M, J> {
    /// The CPU's registers.
    pub frame: *mut CpuFrame,
    /// Its memory.
    pub memory: &'a mut M,
    /// Its way from block to block.
    pub jumps: &'a J,
    /// Guest instructions that were completed, counted up.
    pub retired: u64,
}

/// Runs a block, and those that it leads to, until a [`Stop`]. The first block runs whatever its
/// budget, and whether or not an interrupt is wanted.
///
/// # Safety
/// The frame must be valid and nobody else's, except that its atomics may be shared. `start` and all
/// that is linked to it must exist until this returns, and have been lowered for the frame's guest,
/// whose helpers must be sound to call on it.
pub unsafe fn run<M: Memory, J: Jumps>(cx: &mut Context<'_, M, J>, start: Entry) -> Stop {
    let regs = cx.frame.cast::<u64>();
    // SAFETY: the frame is valid.
    let frame = cx.frame;
    let mut head: *const Head = start.0.as_ptr();
    let mut retired = cx.retired;
    // SAFETY: `regs` are the frame's slots and temporaries, which are contiguous, and the lowerer
    // has checked that every register index lies within. Code is valid and immutable but for
    // atomics; each block ends in a terminator, so `ip` stays within a block. Function addresses in
    // code were put there by the lowerer from functions of the type that they are called at.
    unsafe {
        (&raw mut (*frame).temps[ZERO_TEMP]).write(0);
        retired += u64::from((*head).insns());
        let mut ip = head.cast::<Raw>().add(HEAD_WORDS);

        macro_rules! reg {
            ($index:expr) => {
                *regs.add(usize::from($index))
            };
        }
        macro_rules! wide {
            ($index:expr) => {
                wide_register(regs, $index)
            };
        }
        macro_rules! stop {
            ($stop:expr) => {{
                cx.retired = retired;
                return $stop;
            }};
        }
        macro_rules! leave_at {
            (|$pc:ident| $stop:expr) => {{
                let ($pc, left) = here(head).locate(ip);
                cx.retired = retired - u64::from(left) - 1;
                return $stop;
            }};
        }
        // Begins the block at `next`, which is what all but one of a hundred block ends do.
        macro_rules! follow {
            ($next:expr) => {{
                let next: *const Head = $next;
                if (*frame).interrupt.load(Ordering::Relaxed) != 0 {
                    stop!(Stop::Interrupted(here(next)));
                }
                let budget = (*next).budget.load(Ordering::Relaxed);
                if budget <= 0 {
                    stop!(Stop::Attention(here(next)));
                }
                if !cx.jumps.may_begin((*next).insns()) {
                    stop!(Stop::Interrupted(here(next)));
                }
                (*next).budget.store(budget - 1, Ordering::Relaxed);
                head = next;
                retired += u64::from((*next).insns());
                ip = next.cast::<Raw>().add(HEAD_WORDS);
                continue;
            }};
        }
        macro_rules! direct {
            ($side:expr, $target:expr) => {{
                let links = ip.add(1).cast::<AtomicPtr<Head>>();
                let next = (*links.add($side as usize)).load(Ordering::Acquire);
                if J::FOLLOW && !next.is_null() {
                    follow!(next);
                }
                let target = GuestVirt($target);
                if J::FOLLOW
                    && let Some(next) = cx.jumps.probe_direct(&mut *frame, (*head).key(), target)
                {
                    follow!(next.0.as_ptr());
                }
                stop!(Stop::Unlinked { from: here(head), side: $side, target });
            }};
        }
        macro_rules! branch {
            ($cond:expr) => {{
                if $cond {
                    direct!(Side::Taken, (*ip.add(2))[0]);
                } else {
                    direct!(Side::Fallthrough, (*ip.add(2))[1]);
                }
            }};
        }
        macro_rules! indirect {
            ($target:expr, $salt:expr, $approach:expr) => {{
                let target = GuestVirt($target);
                if J::FOLLOW
                    && let Some(next) = cx.jumps.probe(&mut *frame, target, $salt)
                {
                    follow!(next.0.as_ptr());
                }
                (*frame).approach = $approach;
                (*frame).jumped_from = here(head).locate(ip).0.0;
                stop!(Stop::Indirect(target));
            }};
        }
        macro_rules! access {
            ($result:expr) => {
                match $result {
                    Ok(value) => value,
                    Err(Faulted) => leave_at!(|pc| Stop::Fault(pc)),
                }
            };
        }

        loop {
            let op = &*ip.cast::<MicroOp>();
            let &MicroOp { kind, dst, a, b, imm } = op;
            macro_rules! set {
                ($value:expr) => {
                    reg!(dst) = $value
                };
            }
            macro_rules! address {
                () => {
                    GuestVirt(reg!(a).wrapping_add(imm))
                };
            }
            macro_rules! load {
                ($load:ident, |$value:ident| $extended:expr) => {{
                    let $value = access!(cx.memory.$load(Site(ip), address!()));
                    set!($extended);
                }};
            }
            macro_rules! store {
                ($store:ident, $ty:ty) => {
                    access!(cx.memory.$store(Site(ip), address!(), reg!(b) as $ty))
                };
            }
            macro_rules! rmw {
                ($load:ident, $cas:ident, $u:ty, $s:ty) => {{
                    let new = std::mem::transmute::<usize, Pure>(imm as usize);
                    let addr = GuestVirt(reg!(a));
                    access!(cx.memory.prepare_atomic(addr, size_of::<$u>() as u64));
                    let mut old = access!(cx.memory.$load(Site(ip), addr));
                    loop {
                        let wanted = new(u64::from(old), reg!(b)) as $u;
                        let found = access!(cx.memory.$cas(Site(ip), addr, old, wanted));
                        if found == old {
                            break;
                        }
                        old = found;
                    }
                    set!(old as $s as i64 as u64);
                }};
            }
            macro_rules! cas {
                ($cas:ident, $u:ty, $s:ty) => {{
                    let (expected, new) = (reg!(b) as $u, reg!(imm as Reg) as $u);
                    let addr = GuestVirt(reg!(a));
                    access!(cx.memory.prepare_atomic(addr, size_of::<$u>() as u64));
                    let old = cx.memory.$cas(Site(ip), addr, expected, new);
                    set!(access!(old) as $s as i64 as u64);
                }};
            }
            macro_rules! word {
                ($value:expr) => {
                    set!($value as i32 as i64 as u64)
                };
            }
            macro_rules! float {
                ($format:ty, $stands:ident, $host:expr, $whole:expr) => {{
                    let flags = &mut reg!(imm as Reg);
                    // With "inexact" already raised, most results can raise nothing more.
                    let quick: Option<_> = if *flags & NX != 0 { $host } else { None };
                    match quick {
                        Some(r) if fast::$stands::<$format>(r) => u64::from(r),
                        _ => whole(flags, imm >> RULES_SHIFT, $whole),
                    }
                }};
            }
            macro_rules! double {
                ($host:ident, $stands:ident, $whole:ident) => {{
                    let (x, y) = (reg!(a), reg!(b));
                    set!(float!(F64, $stands, Some(F64::$host(x, y)), |env| {
                        fast::$whole::<F64>(x, y, env)
                    }));
                }};
            }
            macro_rules! single {
                ($read:ident, $host:ident, $stands:ident, $whole:ident) => {{
                    let (x, y) = ($read(reg!(a)), $read(reg!(b)));
                    set!(
                        BOX | float!(F32, $stands, Some(F32::$host(x, y)), |env| {
                            fast::$whole::<F32>(x, y, env).into()
                        })
                    );
                }};
            }
            macro_rules! fused {
                ($format:ty, $read:ident, $box:expr) => {{
                    let (x, y) = ($read(reg!(a)), $read(reg!(b)));
                    let z = $read(reg!((imm >> 16) as Reg));
                    set!(
                        $box | float!(
                            $format,
                            result_stands,
                            <$format>::host_fma(x, y, z),
                            |env| { u64::from(fast::fma::<$format>(x, y, z, env)) }
                        )
                    );
                }};
            }
            macro_rules! compare {
                ($format:ty, $read:ident, $compare:ident) => {{
                    let (x, y) = ($read(reg!(a)), $read(reg!(b)));
                    let flags = &mut reg!(imm as Reg);
                    let rules = unpack_rules(imm >> RULES_SHIFT);
                    let result = with_flags(flags, Round::NearestEven, rules, |env| {
                        fast::$compare::<$format>(x, y, env).into()
                    });
                    set!(result);
                }};
            }
            macro_rules! status {
                ($b:expr, $operation:expr) => {
                    status::execute(regs, dst, imm, [reg!(a), $b], $operation)
                };
            }
            // The second half of a pair, whose word is as if it stood alone: so are its faults.
            macro_rules! then_load {
                ($load:ident, $extended:ty) => {{
                    ip = ip.add(1);
                    let &MicroOp { dst, a, imm, .. } = &*ip.cast::<MicroOp>();
                    let addr = GuestVirt(reg!(a).wrapping_add(imm));
                    let value = access!(cx.memory.$load(Site(ip), addr));
                    reg!(dst) = value as $extended as i64 as u64;
                }};
            }
            macro_rules! then_store {
                ($store:ident, $ty:ty) => {{
                    ip = ip.add(1);
                    let &MicroOp { a, b, imm, .. } = &*ip.cast::<MicroOp>();
                    let addr = GuestVirt(reg!(a).wrapping_add(imm));
                    access!(cx.memory.$store(Site(ip), addr, reg!(b) as $ty));
                }};
            }
            match kind {
                Micro::Mov => set!(reg!(a)),
                Micro::Const => set!(imm),
                Micro::AddR => set!(reg!(a).wrapping_add(reg!(b))),
                Micro::AddI => set!(reg!(a).wrapping_add(imm)),
                Micro::SubR => set!(reg!(a).wrapping_sub(reg!(b))),
                Micro::AndR => set!(reg!(a) & reg!(b)),
                Micro::AndI => set!(reg!(a) & imm),
                Micro::OrR => set!(reg!(a) | reg!(b)),
                Micro::OrI => set!(reg!(a) | imm),
                Micro::XorR => set!(reg!(a) ^ reg!(b)),
                Micro::XorI => set!(reg!(a) ^ imm),
                Micro::AndNotR => set!(reg!(a) & !reg!(b)),
                Micro::ShlR => set!(reg!(a).wrapping_shl(reg!(b) as u32)),
                Micro::ShlI => set!(reg!(a).wrapping_shl(imm as u32)),
                Micro::ShrUR => set!(reg!(a).wrapping_shr(reg!(b) as u32)),
                Micro::ShrUI => set!(reg!(a).wrapping_shr(imm as u32)),
                Micro::ShrSR => set!((reg!(a) as i64).wrapping_shr(reg!(b) as u32) as u64),
                Micro::ShrSI => set!((reg!(a) as i64).wrapping_shr(imm as u32) as u64),
                Micro::RotrR => set!(reg!(a).rotate_right(reg!(b) as u32 & 63)),
                Micro::RotrI => set!(reg!(a).rotate_right(imm as u32 & 63)),
                Micro::MulR => set!(reg!(a).wrapping_mul(reg!(b))),
                Micro::MulHiUR => {
                    set!(((u128::from(reg!(a)) * u128::from(reg!(b))) >> 64) as u64)
                }
                Micro::MulHiSR => {
                    let (x, y) = (reg!(a) as i64, reg!(b) as i64);
                    set!(((i128::from(x) * i128::from(y)) >> 64) as u64)
                }
                Micro::MulHiSUR => {
                    let (x, y) = (i128::from(reg!(a) as i64), i128::from(reg!(b)));
                    set!((x.wrapping_mul(y) >> 64) as u64)
                }
                Micro::DivUR => set!(reg!(a).checked_div(reg!(b)).unwrap_or(u64::MAX)),
                Micro::DivSR => set!(div_s64(reg!(a) as i64, reg!(b) as i64)),
                Micro::RemUR => set!(reg!(a).checked_rem(reg!(b)).unwrap_or(reg!(a))),
                Micro::RemSR => set!(rem_s64(reg!(a) as i64, reg!(b) as i64)),
                Micro::MinUR => set!(reg!(a).min(reg!(b))),
                Micro::MinSR => set!((reg!(a) as i64).min(reg!(b) as i64) as u64),
                Micro::MaxUR => set!(reg!(a).max(reg!(b))),
                Micro::MaxSR => set!((reg!(a) as i64).max(reg!(b) as i64) as u64),
                Micro::EqR => set!(u64::from(reg!(a) == reg!(b))),
                Micro::EqI => set!(u64::from(reg!(a) == imm)),
                Micro::NeR => set!(u64::from(reg!(a) != reg!(b))),
                Micro::NeI => set!(u64::from(reg!(a) != imm)),
                Micro::LtUR => set!(u64::from(reg!(a) < reg!(b))),
                Micro::LtUI => set!(u64::from(reg!(a) < imm)),
                Micro::LtSR => set!(u64::from((reg!(a) as i64) < reg!(b) as i64)),
                Micro::LtSI => set!(u64::from((reg!(a) as i64) < imm as i64)),
                Micro::EqWR => set!(u64::from(reg!(a) as u32 == reg!(b) as u32)),
                Micro::EqWI => set!(u64::from(reg!(a) as u32 == imm as u32)),
                Micro::NeWR => set!(u64::from(reg!(a) as u32 != reg!(b) as u32)),
                Micro::NeWI => set!(u64::from(reg!(a) as u32 != imm as u32)),
                Micro::LtUWR => set!(u64::from((reg!(a) as u32) < reg!(b) as u32)),
                Micro::LtUWI => set!(u64::from((reg!(a) as u32) < imm as u32)),
                Micro::LtSWR => set!(u64::from((reg!(a) as i32) < reg!(b) as i32)),
                Micro::LtSWI => set!(u64::from((reg!(a) as i32) < imm as i32)),
                Micro::AddWR => word!(reg!(a).wrapping_add(reg!(b))),
                Micro::AddWI => word!(reg!(a).wrapping_add(imm)),
                Micro::SubWR => word!(reg!(a).wrapping_sub(reg!(b))),
                Micro::MulWR => word!(reg!(a).wrapping_mul(reg!(b))),
                Micro::ShlWR => word!((reg!(a) as u32).wrapping_shl(reg!(b) as u32)),
                Micro::ShlWI => word!((reg!(a) as u32).wrapping_shl(imm as u32)),
                Micro::ShrUWR => word!((reg!(a) as u32).wrapping_shr(reg!(b) as u32)),
                Micro::ShrUWI => word!((reg!(a) as u32).wrapping_shr(imm as u32)),
                Micro::ShrSWR => word!((reg!(a) as i32).wrapping_shr(reg!(b) as u32)),
                Micro::ShrSWI => word!((reg!(a) as i32).wrapping_shr(imm as u32)),
                Micro::RotrWR => word!((reg!(a) as u32).rotate_right(reg!(b) as u32 & 31)),
                Micro::RotrWI => word!((reg!(a) as u32).rotate_right(imm as u32 & 31)),
                Micro::DivUWR => {
                    word!((reg!(a) as u32).checked_div(reg!(b) as u32).unwrap_or(u32::MAX))
                }
                Micro::DivSWR => {
                    let (x, y) = (reg!(a) as i32, reg!(b) as i32);
                    word!(if y == 0 { -1 } else { x.wrapping_div(y) })
                }
                Micro::RemUWR => {
                    let x = reg!(a) as u32;
                    word!(x.checked_rem(reg!(b) as u32).unwrap_or(x))
                }
                Micro::RemSWR => {
                    let (x, y) = (reg!(a) as i32, reg!(b) as i32);
                    word!(if y == 0 { x } else { x.wrapping_rem(y) })
                }
                Micro::SextB => set!(reg!(a) as i8 as i64 as u64),
                Micro::SextH => set!(reg!(a) as i16 as i64 as u64),
                Micro::SextW => word!(reg!(a)),
                Micro::ZextW => set!(u64::from(reg!(a) as u32)),
                Micro::Clz => set!(u64::from(reg!(a).leading_zeros())),
                Micro::ClzW => set!(u64::from((reg!(a) as u32).leading_zeros())),
                Micro::Ctz => set!(u64::from(reg!(a).trailing_zeros())),
                Micro::CtzW => set!(u64::from((reg!(a) as u32).trailing_zeros())),
                Micro::Popcnt => set!(u64::from(reg!(a).count_ones())),
                Micro::PopcntW => set!(u64::from((reg!(a) as u32).count_ones())),
                Micro::Bswap => set!(reg!(a).swap_bytes()),
                Micro::Select => set!(if reg!(a) != 0 { reg!(b) } else { reg!(imm as Reg) }),
                Micro::Pure => {
                    let function = std::mem::transmute::<usize, Pure>(imm as usize);
                    set!(function(reg!(a), reg!(b)));
                }
                Micro::LoadU8 => load!(load8, |value| u64::from(value)),
                Micro::LoadU16 => load!(load16, |value| u64::from(value)),
                Micro::LoadU32 => load!(load32, |value| u64::from(value)),
                Micro::LoadS8 => load!(load8, |value| value as i8 as i64 as u64),
                Micro::LoadS16 => load!(load16, |value| value as i16 as i64 as u64),
                Micro::LoadS32 => load!(load32, |value| value as i32 as i64 as u64),
                Micro::Load64 => load!(load64, |value| value),
                Micro::Store8 => store!(store8, u8),
                Micro::Store16 => store!(store16, u16),
                Micro::Store32 => store!(store32, u32),
                Micro::Store64 => store!(store64, u64),
                Micro::Rmw8 => rmw!(load8, compare_exchange8, u8, i8),
                Micro::Rmw16 => rmw!(load16, compare_exchange16, u16, i16),
                Micro::Rmw32 => rmw!(load32, compare_exchange32, u32, i32),
                Micro::Rmw64 => rmw!(load64, compare_exchange64, u64, i64),
                Micro::Cas8 => cas!(compare_exchange8, u8, i8),
                Micro::Cas16 => cas!(compare_exchange16, u16, i16),
                Micro::Cas32 => cas!(compare_exchange32, u32, i32),
                Micro::Cas64 => cas!(compare_exchange64, u64, i64),
                Micro::AlignCheck => {
                    let addr = address!();
                    if addr.0 & u64::from(b) != 0 {
                        leave_at!(|pc| Stop::Misaligned { pc, addr });
                    }
                }
                Micro::Fence => fence(Ordering::SeqCst),
                Micro::LightFence => fence(Ordering::AcqRel),
                Micro::ShlShrU => {
                    set!(reg!(a).wrapping_shl(imm as u32).wrapping_shr((imm >> 8) as u32))
                }
                Micro::ShlAdd => set!(reg!(a).wrapping_shl(imm as u32).wrapping_add(reg!(b))),
                Micro::Load64Load64 => {
                    load!(load64, |value| value);
                    then_load!(load64, u64);
                }
                Micro::LoadU8LoadU8 => {
                    load!(load8, |value| u64::from(value));
                    then_load!(load8, u8);
                }
                Micro::Store64Store64 => {
                    store!(store64, u64);
                    then_store!(store64, u64);
                }
                Micro::AddRLoadU8 => {
                    set!(reg!(a).wrapping_add(reg!(b)));
                    then_load!(load8, u8);
                }
                Micro::AddRLoadS32 => {
                    set!(reg!(a).wrapping_add(reg!(b)));
                    then_load!(load32, i32);
                }
                Micro::AddRLoad64 => {
                    set!(reg!(a).wrapping_add(reg!(b)));
                    then_load!(load64, u64);
                }
                Micro::AddRStore8 => {
                    set!(reg!(a).wrapping_add(reg!(b)));
                    then_store!(store8, u8);
                }
                Micro::LoadBoxed => load!(load32, |value| BOX | u64::from(value)),
                Micro::FAddD => double!(host_add, exact_when_tiny_stands, add),
                Micro::FSubD => double!(host_sub, exact_when_tiny_stands, sub),
                Micro::FMulD => double!(host_mul, result_stands, mul),
                Micro::FDivD => double!(host_div, result_stands, div),
                Micro::FAddS => single!(low, host_add, exact_when_tiny_stands, add),
                Micro::FSubS => single!(low, host_sub, exact_when_tiny_stands, sub),
                Micro::FMulS => single!(low, host_mul, result_stands, mul),
                Micro::FDivS => single!(low, host_div, result_stands, div),
                Micro::FAddSBoxed => single!(unboxed, host_add, exact_when_tiny_stands, add),
                Micro::FSubSBoxed => single!(unboxed, host_sub, exact_when_tiny_stands, sub),
                Micro::FMulSBoxed => single!(unboxed, host_mul, result_stands, mul),
                Micro::FDivSBoxed => single!(unboxed, host_div, result_stands, div),
                Micro::FMulAddD => fused!(F64, whole_register, 0),
                Micro::FMulAddS => fused!(F32, low, BOX),
                Micro::FMulAddSBoxed => fused!(F32, unboxed, BOX),
                Micro::FEqD => compare!(F64, whole_register, eq),
                Micro::FLtD => compare!(F64, whole_register, lt),
                Micro::FLeD => compare!(F64, whole_register, le),
                Micro::FEqSBoxed => compare!(F32, unboxed, eq),
                Micro::FLtSBoxed => compare!(F32, unboxed, lt),
                Micro::FLeSBoxed => compare!(F32, unboxed, le),
                Micro::Float => {
                    float(regs, ip);
                    ip = ip.add(1);
                }
                Micro::NanBox => set!(reg!(a) | BOX),
                Micro::NanUnbox => set!(unboxed(reg!(a)).into()),
                Micro::Call => {
                    set!(call(frame, ip, [reg!(a), reg!(b)]));
                    ip = ip.add(1);
                }
                Micro::CallMemory => {
                    cx.memory.barrier();
                    let result = call(frame, ip, [reg!(a), reg!(b)]);
                    if (*frame).fault != 0 {
                        (*frame).fault = 0;
                        let addr = GuestVirt((*frame).fault_addr);
                        leave_at!(|pc| Stop::HelperFault { pc, addr });
                    }
                    set!(result);
                    ip = ip.add(1);
                }
                Micro::FlagsAdd => set!(flags64(reg!(a), reg!(b), reg!(imm as Reg))),
                Micro::FlagsSub => set!(flags64(reg!(a), !reg!(b), reg!(imm as Reg))),
                Micro::FlagsAddW => set!(flags32(reg!(a), reg!(b), reg!(imm as Reg))),
                Micro::FlagsSubW => set!(flags32(reg!(a), !reg!(b), reg!(imm as Reg))),
                Micro::FlagsCmpR => set!(flags64(reg!(a), !reg!(b), 1)),
                Micro::FlagsCmpI => set!(flags64(reg!(a), !imm, 1)),
                Micro::FlagsCmpWR => set!(flags32(reg!(a), !reg!(b), 1)),
                Micro::FlagsCmpWI => set!(flags32(reg!(a), !imm, 1)),
                Micro::FlagsNz => set!(flags64(reg!(a), 0, 0)),
                Micro::FlagsNzW => set!(flags32(reg!(a), 0, 0)),
                Micro::StatusAddR => status!(reg!(b), status::add),
                Micro::StatusAddI => status!(status::constant(imm), status::add),
                Micro::StatusSubR => status!(reg!(b), status::sub),
                Micro::StatusSubI => status!(status::constant(imm), status::sub),
                Micro::StatusAndR => status!(reg!(b), |a, b| status::logical(a & b)),
                Micro::StatusAndI => {
                    status!(status::constant(imm), |a, b| status::logical(a & b));
                }
                Micro::StatusOrR => status!(reg!(b), |a, b| status::logical(a | b)),
                Micro::StatusOrI => {
                    status!(status::constant(imm), |a, b| status::logical(a | b));
                }
                Micro::StatusXorR => status!(reg!(b), |a, b| status::logical(a ^ b)),
                Micro::StatusXorI => {
                    status!(status::constant(imm), |a, b| status::logical(a ^ b));
                }
                Micro::Cond => set!(imm >> (reg!(a) >> 28 & 15) & 1),
                Micro::ZextWide => {
                    let low = reg!(a) & imm;
                    set!(low);
                    reg!(dst + 1) = 0;
                }
                Micro::MovWide => wide!(dst).write_unaligned(wide!(a).read_unaligned()),
                Micro::LoadWide => {
                    let value = access!(cx.memory.load128(Site(ip), address!()));
                    wide!(dst).write_unaligned(value);
                }
                Micro::StoreWide => {
                    let value = wide!(b).read_unaligned();
                    access!(cx.memory.store128(Site(ip), address!(), value));
                }
                Micro::Wide => {
                    wide(regs, ip);
                    ip = ip.add(1);
                }
                Micro::Lane => {
                    lane(regs, ip);
                    ip = ip.add(1);
                }
                Micro::WideFloat => {
                    wide_float(regs, ip);
                    ip = ip.add(1);
                }
                Micro::CallWide => {
                    let result = call_wide(frame, ip);
                    wide!(dst).write_unaligned(result);
                    ip = ip.add(1);
                }
                Micro::CallWideMemory => {
                    cx.memory.barrier();
                    let result = call_wide(frame, ip);
                    if (*frame).fault != 0 {
                        (*frame).fault = 0;
                        let addr = GuestVirt((*frame).fault_addr);
                        leave_at!(|pc| Stop::HelperFault { pc, addr });
                    }
                    wide!(dst).write_unaligned(result);
                    ip = ip.add(1);
                }
                Micro::BrCond => branch!(imm >> (reg!(a) >> 28 & 15) & 1 != 0),
                Micro::Jump => direct!(Side::Taken, imm),
                Micro::JumpLink => {
                    set!(imm);
                    direct!(Side::Taken, (*ip.add(2))[0]);
                }
                Micro::BrEqR => branch!(reg!(a) == reg!(b)),
                Micro::BrEqI => branch!(reg!(a) == imm),
                Micro::BrNeR => branch!(reg!(a) != reg!(b)),
                Micro::BrNeI => branch!(reg!(a) != imm),
                Micro::BrLtUR => branch!(reg!(a) < reg!(b)),
                Micro::BrLtUI => branch!(reg!(a) < imm),
                Micro::BrGeUR => branch!(reg!(a) >= reg!(b)),
                Micro::BrGeUI => branch!(reg!(a) >= imm),
                Micro::BrLtSR => branch!((reg!(a) as i64) < reg!(b) as i64),
                Micro::BrLtSI => branch!((reg!(a) as i64) < imm as i64),
                Micro::BrGeSR => branch!(reg!(a) as i64 >= reg!(b) as i64),
                Micro::BrGeSI => branch!(reg!(a) as i64 >= imm as i64),
                Micro::Indirect => indirect!(reg!(a), imm, b.into()),
                Micro::IndirectEven => indirect!(reg!(a).wrapping_add(imm) & !1, 0, 0),
                Micro::IndirectLink => {
                    let target = reg!(a) & !1;
                    set!(imm);
                    indirect!(target, 0, 0);
                }
                Micro::IndirectFar => {
                    (*frame).jumped_from = here(head).locate(ip).0.0;
                    stop!(Stop::Indirect(GuestVirt(reg!(a))));
                }
                Micro::Lookup => stop!(Stop::Lookup(GuestVirt(imm))),
                Micro::Trap => {
                    // A trap other than a system call stops before its instruction is done.
                    let trap = unpack_trap(a);
                    cx.retired = retired - u64::from(trap != Trap::Syscall);
                    return Stop::Trap(trap, GuestVirt(imm));
                }
            }
            ip = ip.add(1);
        }
    }
}

/// Index among the temporaries of the one that is always zero.
const ZERO_TEMP: usize = base::cpu::TEMP_COUNT - 1;

/// The register that always reads as zero.
pub const ZERO: Reg = (base::cpu::SLOT_COUNT + ZERO_TEMP) as Reg;
/// Where results go that nobody wants.
pub const SINK: Reg = ZERO - 1;

/// The upper half of a NaN-boxed binary32.
const BOX: u64 = 0xffff_ffff << 32;

const NX: u64 = Flags::NX.0 as u64;

#[inline(always)]
fn whole_register(register: u64) -> u64 {
    register
}

#[inline(always)]
fn low(register: u64) -> u32 {
    register as u32
}

#[inline(always)]
fn unboxed(register: u64) -> u32 {
    if register >= BOX { register as u32 } else { F32::QUIET_NAN as u32 }
}

/// A floating-point operation with all its consequences.
#[cold]
#[inline(never)]
fn whole(flags: &mut u64, rules: u64, operation: impl FnOnce(&mut Env) -> u64) -> u64 {
    with_flags(flags, Round::NearestEven, unpack_rules(rules), operation)
}

fn unpack_trap(index: Reg) -> Trap {
    Trap::ALL[usize::from(index) % Trap::ALL.len()]
}

/// # Safety
/// `head` must point at a block's head.
unsafe fn here(head: *const Head) -> Entry {
    // SAFETY: by the caller's promise it is not null.
    Entry(unsafe { std::ptr::NonNull::new_unchecked(head.cast_mut()) })
}

#[inline(always)]
fn div_s64(a: i64, b: i64) -> u64 {
    if b == 0 { u64::MAX } else { a.wrapping_div(b) as u64 }
}

#[inline(always)]
fn rem_s64(a: i64, b: i64) -> u64 {
    if b == 0 { a as u64 } else { a.wrapping_rem(b) as u64 }
}

/// N, Z, C and V of a sum, in bits 31 to 28.
#[inline(always)]
fn flags64(a: u64, b: u64, carry: u64) -> u64 {
    let sum = a.wrapping_add(b).wrapping_add(carry & 1);
    let carries = a & b | (a | b) & !sum;
    let overflows = (a ^ sum) & (b ^ sum);
    sum >> 63 << 31 | u64::from(sum == 0) << 30 | carries >> 63 << 29 | overflows >> 63 << 28
}

/// The same of the low 32 bits.
#[inline(always)]
fn flags32(a: u64, b: u64, carry: u64) -> u64 {
    let (a, b) = (a as u32, b as u32);
    let sum = a.wrapping_add(b).wrapping_add(carry as u32 & 1);
    let carries = a & b | (a | b) & !sum;
    let overflows = (a ^ sum) & (b ^ sum);
    let flags =
        sum >> 31 << 31 | u32::from(sum == 0) << 30 | carries >> 31 << 29 | overflows >> 31 << 28;
    flags.into()
}

/// Does the two-word [`Micro::Float`] at `ip`.
///
/// # Safety
/// As for [`run`], whose frame and code these are; so for those that follow.
#[inline(always)]
pub(super) unsafe fn float(regs: *mut u64, ip: *const Raw) {
    // SAFETY: the lowerer put two words there, with register indexes and a function's address.
    unsafe {
        let &MicroOp { dst, a, b, .. } = &*ip.cast::<MicroOp>();
        let [function, rest] = *ip.add(1);
        let function = std::mem::transmute::<usize, Float>(function as usize);
        let [x, y, z] = [a, b, rest as Reg].map(|reg| *regs.add(usize::from(reg)));
        let flags = &mut *regs.add(usize::from((rest >> 16) as Reg));
        let rules = unpack_rules(rest >> RULES_SHIFT);
        let result = with_flags(flags, unpack_round(rest), rules, |env| function(env, x, y, z));
        *regs.add(usize::from(dst)) = result;
    }
}

/// A register of 128 bits.
///
/// # Safety
/// As for [`float`].
#[inline(always)]
unsafe fn wide_register(regs: *mut u64, reg: Reg) -> *mut u128 {
    // SAFETY: by the caller's promise.
    unsafe { regs.add(usize::from(reg)).cast() }
}

/// Does the two-word [`Micro::Wide`] at `ip`.
///
/// # Safety
/// As for [`float`].
#[inline(always)]
pub(super) unsafe fn wide(regs: *mut u64, ip: *const Raw) {
    // SAFETY: as in `float`; a wide register is two.
    unsafe {
        let &MicroOp { dst, a, b, imm, .. } = &*ip.cast::<MicroOp>();
        let [c, number] = *ip.add(1);
        let function = std::mem::transmute::<usize, WideFn>(imm as usize);
        let [x, y, z] = [a, b, c as Reg].map(|reg| wide_register(regs, reg).read_unaligned());
        wide_register(regs, dst).write_unaligned(function(x, y, z, number as u32));
    }
}

/// Does the two-word [`Micro::Lane`] at `ip`.
///
/// # Safety
/// As for [`float`].
#[inline(always)]
pub(super) unsafe fn lane(regs: *mut u64, ip: *const Raw) {
    // SAFETY: as in `wide`.
    unsafe {
        let &MicroOp { dst, a, imm, .. } = &*ip.cast::<MicroOp>();
        let [_, number] = *ip.add(1);
        let function = std::mem::transmute::<usize, WideFn>(imm as usize);
        let x = wide_register(regs, a).read_unaligned();
        *regs.add(usize::from(dst)) = function(x, 0, 0, number as u32) as u64;
    }
}

/// Does the two-word [`Micro::WideFloat`] at `ip`.
///
/// # Safety
/// As for [`float`].
#[inline(always)]
pub(super) unsafe fn wide_float(regs: *mut u64, ip: *const Raw) {
    // SAFETY: as in `wide`.
    unsafe {
        let &MicroOp { dst, a, b, imm, .. } = &*ip.cast::<MicroOp>();
        let [operation, _] = *ip.add(1);
        let [x, y, z] = [a, b, imm as Reg].map(|reg| wide_register(regs, reg).read_unaligned());
        let flags = &mut *regs.add(usize::from((imm >> 16) as Reg));
        let (op, rules) = FpOp::unpack(operation);
        wide_register(regs, dst).write_unaligned(op.evaluate_wide(rules, [x, y, z], flags));
    }
}

/// Calls the helper of the two-word operation at `ip`, on vectors.
///
/// # Safety
/// As for [`run`], whose frame and code these are.
#[inline(always)]
unsafe fn call_wide(frame: *mut CpuFrame, ip: *const Raw) -> u128 {
    let regs = frame.cast::<u64>();
    // SAFETY: as for `call`; a wide register is two.
    unsafe {
        let &MicroOp { a, b, imm, .. } = &*ip.cast::<MicroOp>();
        let [address, _] = *ip.add(1);
        let number = *regs.add(usize::from((imm >> 16) as Reg));
        let [a, b, c] = [a, b, imm as Reg]
            .map(|reg| vector_of(regs.add(usize::from(reg)).cast::<u128>().read_unaligned()));
        let function = std::mem::transmute::<usize, WideHelperFn>(address as usize);
        bits_of(function(frame, number, a, b, c))
    }
}

/// Calls the helper of the two-word operation at `ip`.
///
/// # Safety
/// As for [`run`], whose frame and code these are.
#[inline(always)]
unsafe fn call(frame: *mut CpuFrame, ip: *const Raw, [a, b]: [u64; 2]) -> u64 {
    let regs = frame.cast::<u64>();
    // SAFETY: the lowerer put two words there, with register indexes and a helper's address.
    unsafe {
        let [_, others] = *ip;
        let [address, _] = *ip.add(1);
        let c = *regs.add(usize::from(others as Reg));
        let d = *regs.add(usize::from((others >> 16) as Reg));
        std::mem::transmute::<usize, HelperFn>(address as usize)(frame, a, b, c, d)
    }
}
