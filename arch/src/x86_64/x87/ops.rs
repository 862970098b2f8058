//! x87 instructions by their encoding (SDM vol. 2, appendix B.17; vol. 2, §A.5): how each is executed.
//!
//! Most need one or two registers, which the host's FPU gets alone. Where the stack over- or underflows, or an exception is
//! not masked, the host gets the whole state, and with it decides what becomes of it.

use super::arithmetic::computes;
use super::host::{AllFn, Done, Few, all, few};
use super::integers::{
    add, compare, multiply, of_double, of_int, of_long, of_short, of_single, subtract,
    subtract_from, to_double, to_single,
};
use super::moves::get;
use super::quick::{Call, Control, RunFn, has_remainder};
use super::{C0, C1, C2, C3, arithmetic, host, moves, quick, whole};
use crate::frame::FrameRef;

/// An instruction: the lower three bits of its first byte and its ModRM byte, as the FPU remembers opcodes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Op {
    opcode: u16,
    row: u8,
}

/// What an instruction uses.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Shape {
    /// ST(0), and memory.
    Top,
    /// ST(0) and ST(i).
    Both,
    /// ST(0) and ST(i), and it tells flags.
    Flags,
    /// It pushes what it finds in memory, or a constant.
    Push,
    /// It writes ST(0) to so many bytes of memory.
    Store(u8),
    /// It pushes ST(i).
    Load,
    /// It copies ST(0) to ST(i).
    Copy,
    /// It exchanges ST(0) and ST(i).
    Exchange,
    /// Anything.
    Whole,
}

/// An instruction.
#[derive(Clone, Copy, Debug)]
pub(super) struct Row {
    pub(super) uses: Uses,
    /// As fast as the state allows.
    run: RunFn,
    /// With the whole state.
    pub(super) all: AllFn,
}

/// What is told of an instruction.
#[derive(Clone, Copy, Debug)]
pub(super) struct Uses {
    pub(super) shape: Shape,
    /// Whether its opcode names a register beside ST(0).
    pub(super) names: bool,
    /// Whether it is told of anything but registers.
    pub(super) is_told: bool,
    /// How often it pops.
    pub(super) pops: u8,
    /// The condition codes that it writes.
    pub(super) codes: u16,
}

impl Uses {
    /// How many bytes of memory it writes, if any.
    #[inline(always)]
    pub(super) const fn stores(self) -> Option<usize> {
        match self.shape {
            Shape::Store(bytes) => Some(bytes as usize),
            _ => None,
        }
    }

    /// The number of the register that it uses beside ST(0), if it does.
    #[inline(always)]
    pub(super) fn register(self, what: u64) -> u8 {
        if self.names { what as u8 & 7 } else { 1 }
    }
}

/// None.
const UNCHANGED: u16 = 0;
/// C1 alone.
const ROUNDING: u16 = C1;
/// C2 says whether the operand was in range.
const PARTIAL: u16 = C1 | C2;
const COMPARISON: u16 = C0 | C1 | C2 | C3;

/// How the host executes an instruction: which registers it loads before, and which it stores.
macro_rules! few_of {
    // ST(0) is written,
    (Top $insn:literal) => {
        few!(["fld tbyte ptr [rsi]"] $insn ["fstp tbyte ptr [rsi]"])
    };
    // or only read,
    (Look $insn:literal) => {
        few!(["fld tbyte ptr [rsi]"] $insn ["fstp st(0)"])
    };
    // or stored in memory and kept,
    (Store $insn:literal) => {
        few_of!(Look $insn)
    };
    // or popped.
    (StorePop $insn:literal) => {
        few!(["fld tbyte ptr [rsi]"] $insn [])
    };
    // Of two, ST(0) is written,
    (Both $insn:literal) => {
        few!(["fld tbyte ptr [rdx]" "fld tbyte ptr [rsi]"] $insn ["fstp tbyte ptr [rsi]" "fstp st(0)"])
    };
    // unless the condition codes depend on more,
    (Remainder $insn:literal) => {
        |few: Few<'_>| {
            // Of a NaN, not all of them are written.
            has_remainder(few.st0, few.other).then(|| few_of!(Both $insn)(few))
        }
    };
    // or ST(1) is,
    (Other $insn:literal) => {
        few!(["fld tbyte ptr [rdx]" "fld tbyte ptr [rsi]"] $insn ["fstp st(0)" "fstp tbyte ptr [rdx]"])
    };
    // or none.
    (Compare $insn:literal) => {
        few!(["fld tbyte ptr [rdx]" "fld tbyte ptr [rsi]"] $insn ["fstp st(0)" "fstp st(0)"])
    };
    (Push $insn:literal) => {
        few!([] $insn ["fstp tbyte ptr [rsi]"])
    };
}

macro_rules! shape {
    (Store $bytes:literal) => {
        Shape::Store($bytes)
    };
    ($shape:ident) => {
        Shape::$shape
    };
}

macro_rules! place {
    (mem $esc:literal $reg:literal) => {
        (($esc - 0xd8) << 8 | $reg << 3, Place::Memory)
    };
    (reg $esc:literal $modrm:literal) => {
        (($esc - 0xd8) << 8 | $modrm, Place::Eight)
    };
    (one $esc:literal $modrm:literal) => {
        (($esc - 0xd8) << 8 | $modrm, Place::One)
    };
}

/// Which opcodes a row is for.
#[derive(Clone, Copy)]
enum Place {
    /// With an operand in memory, of this number in ModRM.reg.
    Memory,
    /// With a register in ModRM.rm.
    Eight,
    /// This ModRM byte.
    One,
}

macro_rules! rows {
    ($($name:literal $place:ident $esc:literal $at:literal [$shape:ident $($bytes:literal)?] $pops:literal $codes:ident
        ($($few:tt)*) ($($all:tt)+);)*) => {
        static ROWS: &[Row] = &[$({
            const USES: Uses = Uses {
                shape: shape!($shape $($bytes)?),
                names: matches!(place!($place $esc $at).1, Place::Eight),
                is_told: matches!(place!($place $esc $at).1, Place::Memory) || $codes == UNCHANGED,
                pops: $pops,
                codes: $codes,
            };
            Row { uses: USES, run: run_of!($($few)*), all: all!($($all)+) }
        },)*];

        const PLACES: &[(usize, Place)] = &[$(place!($place $esc $at),)*];
    };
}

/// The function that executes a row's instruction: one of its own, so that all that is told of the instruction is constant there.
/// What stands in brackets is tried first.
macro_rules! run_of {
    () => { whole::run };
    ([$first:expr] $few:expr) => {
        run_of!(@run Control::Usual, $first, run_of!($few))
    };
    ($few:expr) => {
        run_of!(@run Control::Masked, |few: Few<'_>| $few(few).into(), whole::run)
    };
    (@run $control:expr, $insn:expr, $otherwise:expr) => {{
        fn run(frame: FrameRef, what: u64, pc: u64, low: u64, address: u64) -> u64 {
            quick::run((USES, $control), frame, Call { what, pc, low, address }, $insn, $otherwise)
        }
        run as RunFn
    }};
}

// Bytes are spelled out, with ST(1) as the register and [rdi + 32] as memory: assemblers differ in what they call some
// instructions.
rows! {
    // D8
    "fadd m32" mem 0xd8 0 [Top] 0 ROUNDING ([computes!(st0 = add(st0, of_single))] few_of!(Top ".byte 0xd8, 0x47, 0x20")) (".byte 0xd8, 0x47, 0x20");
    "fmul m32" mem 0xd8 1 [Top] 0 ROUNDING ([computes!(st0 = multiply(st0, of_single))] few_of!(Top ".byte 0xd8, 0x4f, 0x20")) (".byte 0xd8, 0x4f, 0x20");
    "fcom m32" mem 0xd8 2 [Top] 0 COMPARISON ([computes!(compare(st0, of_single))] few_of!(Look ".byte 0xd8, 0x57, 0x20")) (".byte 0xd8, 0x57, 0x20");
    "fcomp m32" mem 0xd8 3 [Top] 1 COMPARISON ([computes!(compare(st0, of_single))] few_of!(Look ".byte 0xd8, 0x57, 0x20")) (".byte 0xd8, 0x5f, 0x20");
    "fsub m32" mem 0xd8 4 [Top] 0 ROUNDING ([computes!(st0 = subtract(st0, of_single))] few_of!(Top ".byte 0xd8, 0x67, 0x20")) (".byte 0xd8, 0x67, 0x20");
    "fsubr m32" mem 0xd8 5 [Top] 0 ROUNDING ([computes!(st0 = subtract_from(st0, of_single))] few_of!(Top ".byte 0xd8, 0x6f, 0x20")) (".byte 0xd8, 0x6f, 0x20");
    "fdiv m32" mem 0xd8 6 [Top] 0 ROUNDING (few_of!(Top ".byte 0xd8, 0x77, 0x20")) (".byte 0xd8, 0x77, 0x20");
    "fdivr m32" mem 0xd8 7 [Top] 0 ROUNDING (few_of!(Top ".byte 0xd8, 0x7f, 0x20")) (".byte 0xd8, 0x7f, 0x20");
    "fadd st, st(i)" reg 0xd8 0xc0 [Both] 0 ROUNDING ([computes!(st0 = add(st0, sti))] few_of!(Both ".byte 0xd8, 0xc1")) (".byte 0xd8, 0xc1");
    "fmul st, st(i)" reg 0xd8 0xc8 [Both] 0 ROUNDING ([computes!(st0 = multiply(st0, sti))] few_of!(Both ".byte 0xd8, 0xc9")) (".byte 0xd8, 0xc9");
    "fcom st, st(i)" reg 0xd8 0xd0 [Both] 0 COMPARISON ([computes!(compare(st0, sti))] few_of!(Compare ".byte 0xd8, 0xd1")) (".byte 0xd8, 0xd1");
    "fcomp st, st(i)" reg 0xd8 0xd8 [Both] 1 COMPARISON ([computes!(compare(st0, sti))] few_of!(Compare ".byte 0xd8, 0xd1")) (".byte 0xd8, 0xd9");
    "fsub st, st(i)" reg 0xd8 0xe0 [Both] 0 ROUNDING ([computes!(st0 = subtract(st0, sti))] few_of!(Both ".byte 0xd8, 0xe1")) (".byte 0xd8, 0xe1");
    "fsubr st, st(i)" reg 0xd8 0xe8 [Both] 0 ROUNDING ([computes!(st0 = subtract_from(st0, sti))] few_of!(Both ".byte 0xd8, 0xe9")) (".byte 0xd8, 0xe9");
    "fdiv st, st(i)" reg 0xd8 0xf0 [Both] 0 ROUNDING (few_of!(Both ".byte 0xd8, 0xf1")) (".byte 0xd8, 0xf1");
    "fdivr st, st(i)" reg 0xd8 0xf8 [Both] 0 ROUNDING (few_of!(Both ".byte 0xd8, 0xf9")) (".byte 0xd8, 0xf9");
    // D9
    "fld m32" mem 0xd9 0 [Push] 0 ROUNDING ([computes!(push of_single)] few_of!(Push ".byte 0xd9, 0x47, 0x20")) (".byte 0xd9, 0x47, 0x20");
    "fst m32" mem 0xd9 2 [Store 4] 0 ROUNDING ([computes!(store to_single)] few_of!(Store ".byte 0xd9, 0x57, 0x20")) (".byte 0xd9, 0x57, 0x20");
    "fstp m32" mem 0xd9 3 [Store 4] 1 ROUNDING ([computes!(store to_single)] few_of!(StorePop ".byte 0xd9, 0x5f, 0x20")) (".byte 0xd9, 0x5f, 0x20");
    "fld st(i)" reg 0xd9 0xc0 [Load] 0 ROUNDING (moves::copy_other) (".byte 0xd9, 0xc1");
    "fxch st(i)" reg 0xd9 0xc8 [Exchange] 0 ROUNDING (moves::exchange) (".byte 0xd9, 0xc9");
    "fnop" one 0xd9 0xd0 [Whole] 0 ROUNDING () (".byte 0xd9, 0xd0");
    "fstpnce st(i)" reg 0xd9 0xd8 [Whole] 1 ROUNDING () (".byte 0xd9, 0xd9");
    "fchs" one 0xd9 0xe0 [Top] 0 ROUNDING (moves::negate) (".byte 0xd9, 0xe0");
    "fabs" one 0xd9 0xe1 [Top] 0 ROUNDING (moves::absolute) (".byte 0xd9, 0xe1");
    "ftst" one 0xd9 0xe4 [Top] 0 COMPARISON (few_of!(Look ".byte 0xd9, 0xe4")) (".byte 0xd9, 0xe4");
    "fxam" one 0xd9 0xe5 [Top] 0 COMPARISON (few_of!(Look ".byte 0xd9, 0xe5")) (".byte 0xd9, 0xe5");
    "fld1" one 0xd9 0xe8 [Push] 0 ROUNDING (moves::load_one) (".byte 0xd9, 0xe8");
    "fldl2t" one 0xd9 0xe9 [Push] 0 ROUNDING (few_of!(Push ".byte 0xd9, 0xe9")) (".byte 0xd9, 0xe9");
    "fldl2e" one 0xd9 0xea [Push] 0 ROUNDING (few_of!(Push ".byte 0xd9, 0xea")) (".byte 0xd9, 0xea");
    "fldpi" one 0xd9 0xeb [Push] 0 ROUNDING (few_of!(Push ".byte 0xd9, 0xeb")) (".byte 0xd9, 0xeb");
    "fldlg2" one 0xd9 0xec [Push] 0 ROUNDING (few_of!(Push ".byte 0xd9, 0xec")) (".byte 0xd9, 0xec");
    "fldln2" one 0xd9 0xed [Push] 0 ROUNDING (few_of!(Push ".byte 0xd9, 0xed")) (".byte 0xd9, 0xed");
    "fldz" one 0xd9 0xee [Push] 0 ROUNDING (moves::load_zero) (".byte 0xd9, 0xee");
    "f2xm1" one 0xd9 0xf0 [Top] 0 ROUNDING (few_of!(Top ".byte 0xd9, 0xf0")) (".byte 0xd9, 0xf0");
    "fyl2x" one 0xd9 0xf1 [Whole] 1 ROUNDING () (".byte 0xd9, 0xf1");
    "fptan" one 0xd9 0xf2 [Whole] 0 COMPARISON () (".byte 0xd9, 0xf2");
    "fpatan" one 0xd9 0xf3 [Whole] 1 ROUNDING () (".byte 0xd9, 0xf3");
    "fxtract" one 0xd9 0xf4 [Whole] 0 ROUNDING () (".byte 0xd9, 0xf4");
    "fprem1" one 0xd9 0xf5 [Both] 0 COMPARISON (few_of!(Remainder ".byte 0xd9, 0xf5")) (".byte 0xd9, 0xf5");
    "fdecstp" one 0xd9 0xf6 [Whole] 0 ROUNDING () (".byte 0xd9, 0xf6");
    "fincstp" one 0xd9 0xf7 [Whole] 0 ROUNDING () (".byte 0xd9, 0xf7");
    "fprem" one 0xd9 0xf8 [Both] 0 COMPARISON (few_of!(Remainder ".byte 0xd9, 0xf8")) (".byte 0xd9, 0xf8");
    "fyl2xp1" one 0xd9 0xf9 [Whole] 1 ROUNDING () (".byte 0xd9, 0xf9");
    "fsqrt" one 0xd9 0xfa [Top] 0 ROUNDING (few_of!(Top ".byte 0xd9, 0xfa")) (".byte 0xd9, 0xfa");
    "fsincos" one 0xd9 0xfb [Whole] 0 COMPARISON () (".byte 0xd9, 0xfb");
    "frndint" one 0xd9 0xfc [Top] 0 ROUNDING (few_of!(Top ".byte 0xd9, 0xfc")) (".byte 0xd9, 0xfc");
    "fscale" one 0xd9 0xfd [Both] 0 ROUNDING (few_of!(Both ".byte 0xd9, 0xfd")) (".byte 0xd9, 0xfd");
    "fsin" one 0xd9 0xfe [Top] 0 PARTIAL (few_of!(Top ".byte 0xd9, 0xfe")) (".byte 0xd9, 0xfe");
    "fcos" one 0xd9 0xff [Top] 0 PARTIAL (few_of!(Top ".byte 0xd9, 0xff")) (".byte 0xd9, 0xff");
    // DA
    "fiadd m32int" mem 0xda 0 [Top] 0 ROUNDING ([computes!(st0 = add(st0, of_int))] few_of!(Top ".byte 0xda, 0x47, 0x20")) (".byte 0xda, 0x47, 0x20");
    "fimul m32int" mem 0xda 1 [Top] 0 ROUNDING ([computes!(st0 = multiply(st0, of_int))] few_of!(Top ".byte 0xda, 0x4f, 0x20")) (".byte 0xda, 0x4f, 0x20");
    "ficom m32int" mem 0xda 2 [Top] 0 COMPARISON ([computes!(compare(st0, of_int))] few_of!(Look ".byte 0xda, 0x57, 0x20")) (".byte 0xda, 0x57, 0x20");
    "ficomp m32int" mem 0xda 3 [Top] 1 COMPARISON ([computes!(compare(st0, of_int))] few_of!(Look ".byte 0xda, 0x57, 0x20")) (".byte 0xda, 0x5f, 0x20");
    "fisub m32int" mem 0xda 4 [Top] 0 ROUNDING ([computes!(st0 = subtract(st0, of_int))] few_of!(Top ".byte 0xda, 0x67, 0x20")) (".byte 0xda, 0x67, 0x20");
    "fisubr m32int" mem 0xda 5 [Top] 0 ROUNDING ([computes!(st0 = subtract_from(st0, of_int))] few_of!(Top ".byte 0xda, 0x6f, 0x20")) (".byte 0xda, 0x6f, 0x20");
    "fidiv m32int" mem 0xda 6 [Top] 0 ROUNDING (few_of!(Top ".byte 0xda, 0x77, 0x20")) (".byte 0xda, 0x77, 0x20");
    "fidivr m32int" mem 0xda 7 [Top] 0 ROUNDING (few_of!(Top ".byte 0xda, 0x7f, 0x20")) (".byte 0xda, 0x7f, 0x20");
    "fcmovb st, st(i)" reg 0xda 0xc0 [Both] 0 UNCHANGED (moves::conditional) ("bt dword ptr [rdi + 32], 0\n.byte 0xda, 0xc1");
    "fcmove st, st(i)" reg 0xda 0xc8 [Both] 0 UNCHANGED (moves::conditional) ("bt dword ptr [rdi + 32], 0\n.byte 0xda, 0xc1");
    "fcmovbe st, st(i)" reg 0xda 0xd0 [Both] 0 UNCHANGED (moves::conditional) ("bt dword ptr [rdi + 32], 0\n.byte 0xda, 0xc1");
    "fcmovu st, st(i)" reg 0xda 0xd8 [Both] 0 UNCHANGED (moves::conditional) ("bt dword ptr [rdi + 32], 0\n.byte 0xda, 0xc1");
    "fucompp" one 0xda 0xe9 [Both] 2 COMPARISON ([computes!(compare(st0, sti))] few_of!(Compare ".byte 0xdd, 0xe1")) (".byte 0xda, 0xe9");
    // DB
    "fild m32int" mem 0xdb 0 [Push] 0 ROUNDING ([computes!(push of_int)] few_of!(Push ".byte 0xdb, 0x47, 0x20")) (".byte 0xdb, 0x47, 0x20");
    "fisttp m32int" mem 0xdb 1 [Store 4] 1 ROUNDING (few_of!(StorePop ".byte 0xdb, 0x4f, 0x20")) (".byte 0xdb, 0x4f, 0x20");
    "fist m32int" mem 0xdb 2 [Store 4] 0 ROUNDING (few_of!(Store ".byte 0xdb, 0x57, 0x20")) (".byte 0xdb, 0x57, 0x20");
    "fistp m32int" mem 0xdb 3 [Store 4] 1 ROUNDING (few_of!(StorePop ".byte 0xdb, 0x5f, 0x20")) (".byte 0xdb, 0x5f, 0x20");
    "fld m80" mem 0xdb 5 [Push] 0 ROUNDING (moves::load) (".byte 0xdb, 0x6f, 0x20");
    "fstp m80" mem 0xdb 7 [Store 10] 1 ROUNDING (moves::store) (".byte 0xdb, 0x7f, 0x20");
    "fcmovnb st, st(i)" reg 0xdb 0xc0 [Both] 0 UNCHANGED (moves::conditional) ("bt dword ptr [rdi + 32], 0\n.byte 0xda, 0xc1");
    "fcmovne st, st(i)" reg 0xdb 0xc8 [Both] 0 UNCHANGED (moves::conditional) ("bt dword ptr [rdi + 32], 0\n.byte 0xda, 0xc1");
    "fcmovnbe st, st(i)" reg 0xdb 0xd0 [Both] 0 UNCHANGED (moves::conditional) ("bt dword ptr [rdi + 32], 0\n.byte 0xda, 0xc1");
    "fcmovnu st, st(i)" reg 0xdb 0xd8 [Both] 0 UNCHANGED (moves::conditional) ("bt dword ptr [rdi + 32], 0\n.byte 0xda, 0xc1");
    "fucomi st, st(i)" reg 0xdb 0xe8 [Flags] 0 UNCHANGED ([computes!(compare(st0, sti))] few_of!(Compare ".byte 0xdd, 0xe1")) ("mov ah, [rdi + 32]\nsahf\n.byte 0xdb, 0xe9\nlahf\nmov [rdi + 32], ah");
    "fcomi st, st(i)" reg 0xdb 0xf0 [Flags] 0 UNCHANGED ([computes!(compare(st0, sti))] few_of!(Compare ".byte 0xd8, 0xd1")) ("mov ah, [rdi + 32]\nsahf\n.byte 0xdb, 0xf1\nlahf\nmov [rdi + 32], ah");
    // DC
    "fadd m64" mem 0xdc 0 [Top] 0 ROUNDING ([computes!(st0 = add(st0, of_double))] few_of!(Top ".byte 0xdc, 0x47, 0x20")) (".byte 0xdc, 0x47, 0x20");
    "fmul m64" mem 0xdc 1 [Top] 0 ROUNDING ([computes!(st0 = multiply(st0, of_double))] few_of!(Top ".byte 0xdc, 0x4f, 0x20")) (".byte 0xdc, 0x4f, 0x20");
    "fcom m64" mem 0xdc 2 [Top] 0 COMPARISON ([computes!(compare(st0, of_double))] few_of!(Look ".byte 0xdc, 0x57, 0x20")) (".byte 0xdc, 0x57, 0x20");
    "fcomp m64" mem 0xdc 3 [Top] 1 COMPARISON ([computes!(compare(st0, of_double))] few_of!(Look ".byte 0xdc, 0x57, 0x20")) (".byte 0xdc, 0x5f, 0x20");
    "fsub m64" mem 0xdc 4 [Top] 0 ROUNDING ([computes!(st0 = subtract(st0, of_double))] few_of!(Top ".byte 0xdc, 0x67, 0x20")) (".byte 0xdc, 0x67, 0x20");
    "fsubr m64" mem 0xdc 5 [Top] 0 ROUNDING ([computes!(st0 = subtract_from(st0, of_double))] few_of!(Top ".byte 0xdc, 0x6f, 0x20")) (".byte 0xdc, 0x6f, 0x20");
    "fdiv m64" mem 0xdc 6 [Top] 0 ROUNDING (few_of!(Top ".byte 0xdc, 0x77, 0x20")) (".byte 0xdc, 0x77, 0x20");
    "fdivr m64" mem 0xdc 7 [Top] 0 ROUNDING (few_of!(Top ".byte 0xdc, 0x7f, 0x20")) (".byte 0xdc, 0x7f, 0x20");
    "fadd st(i), st" reg 0xdc 0xc0 [Both] 0 ROUNDING ([computes!(sti = add(st0, sti))] few_of!(Other ".byte 0xdc, 0xc1")) (".byte 0xdc, 0xc1");
    "fmul st(i), st" reg 0xdc 0xc8 [Both] 0 ROUNDING ([computes!(sti = multiply(st0, sti))] few_of!(Other ".byte 0xdc, 0xc9")) (".byte 0xdc, 0xc9");
    "fcom st, st(i), DC" reg 0xdc 0xd0 [Both] 0 COMPARISON ([computes!(compare(st0, sti))] few_of!(Compare ".byte 0xd8, 0xd1")) (".byte 0xdc, 0xd1");
    "fcomp st, st(i), DC" reg 0xdc 0xd8 [Both] 1 COMPARISON ([computes!(compare(st0, sti))] few_of!(Compare ".byte 0xd8, 0xd1")) (".byte 0xdc, 0xd9");
    "fsubr st(i), st" reg 0xdc 0xe0 [Both] 0 ROUNDING ([computes!(sti = subtract(st0, sti))] few_of!(Other ".byte 0xdc, 0xe1")) (".byte 0xdc, 0xe1");
    "fsub st(i), st" reg 0xdc 0xe8 [Both] 0 ROUNDING ([computes!(sti = subtract_from(st0, sti))] few_of!(Other ".byte 0xdc, 0xe9")) (".byte 0xdc, 0xe9");
    "fdivr st(i), st" reg 0xdc 0xf0 [Both] 0 ROUNDING (few_of!(Other ".byte 0xdc, 0xf1")) (".byte 0xdc, 0xf1");
    "fdiv st(i), st" reg 0xdc 0xf8 [Both] 0 ROUNDING (few_of!(Other ".byte 0xdc, 0xf9")) (".byte 0xdc, 0xf9");
    // DD
    "fld m64" mem 0xdd 0 [Push] 0 ROUNDING ([computes!(push of_double)] few_of!(Push ".byte 0xdd, 0x47, 0x20")) (".byte 0xdd, 0x47, 0x20");
    "fisttp m64int" mem 0xdd 1 [Store 8] 1 ROUNDING (few_of!(StorePop ".byte 0xdd, 0x4f, 0x20")) (".byte 0xdd, 0x4f, 0x20");
    "fst m64" mem 0xdd 2 [Store 8] 0 ROUNDING ([computes!(store to_double)] few_of!(Store ".byte 0xdd, 0x57, 0x20")) (".byte 0xdd, 0x57, 0x20");
    "fstp m64" mem 0xdd 3 [Store 8] 1 ROUNDING ([computes!(store to_double)] few_of!(StorePop ".byte 0xdd, 0x5f, 0x20")) (".byte 0xdd, 0x5f, 0x20");
    "ffree st(i)" reg 0xdd 0xc0 [Whole] 0 ROUNDING () (".byte 0xdd, 0xc1");
    "fxch st(i), DD" reg 0xdd 0xc8 [Exchange] 0 ROUNDING (moves::exchange) (".byte 0xdd, 0xc9");
    "fst st(i)" reg 0xdd 0xd0 [Copy] 0 ROUNDING (moves::copy_top) (".byte 0xdd, 0xd1");
    "fstp st(i)" reg 0xdd 0xd8 [Copy] 1 ROUNDING (moves::copy_top) (".byte 0xdd, 0xd9");
    "fucom st(i)" reg 0xdd 0xe0 [Both] 0 COMPARISON ([computes!(compare(st0, sti))] few_of!(Compare ".byte 0xdd, 0xe1")) (".byte 0xdd, 0xe1");
    "fucomp st(i)" reg 0xdd 0xe8 [Both] 1 COMPARISON ([computes!(compare(st0, sti))] few_of!(Compare ".byte 0xdd, 0xe1")) (".byte 0xdd, 0xe9");
    // DE
    "fiadd m16int" mem 0xde 0 [Top] 0 ROUNDING ([computes!(st0 = add(st0, of_short))] few_of!(Top ".byte 0xde, 0x47, 0x20")) (".byte 0xde, 0x47, 0x20");
    "fimul m16int" mem 0xde 1 [Top] 0 ROUNDING ([computes!(st0 = multiply(st0, of_short))] few_of!(Top ".byte 0xde, 0x4f, 0x20")) (".byte 0xde, 0x4f, 0x20");
    "ficom m16int" mem 0xde 2 [Top] 0 COMPARISON ([computes!(compare(st0, of_short))] few_of!(Look ".byte 0xde, 0x57, 0x20")) (".byte 0xde, 0x57, 0x20");
    "ficomp m16int" mem 0xde 3 [Top] 1 COMPARISON ([computes!(compare(st0, of_short))] few_of!(Look ".byte 0xde, 0x57, 0x20")) (".byte 0xde, 0x5f, 0x20");
    "fisub m16int" mem 0xde 4 [Top] 0 ROUNDING ([computes!(st0 = subtract(st0, of_short))] few_of!(Top ".byte 0xde, 0x67, 0x20")) (".byte 0xde, 0x67, 0x20");
    "fisubr m16int" mem 0xde 5 [Top] 0 ROUNDING ([computes!(st0 = subtract_from(st0, of_short))] few_of!(Top ".byte 0xde, 0x6f, 0x20")) (".byte 0xde, 0x6f, 0x20");
    "fidiv m16int" mem 0xde 6 [Top] 0 ROUNDING (few_of!(Top ".byte 0xde, 0x77, 0x20")) (".byte 0xde, 0x77, 0x20");
    "fidivr m16int" mem 0xde 7 [Top] 0 ROUNDING (few_of!(Top ".byte 0xde, 0x7f, 0x20")) (".byte 0xde, 0x7f, 0x20");
    "faddp st(i), st" reg 0xde 0xc0 [Both] 1 ROUNDING ([computes!(sti = add(st0, sti))] few_of!(Other ".byte 0xdc, 0xc1")) (".byte 0xde, 0xc1");
    "fmulp st(i), st" reg 0xde 0xc8 [Both] 1 ROUNDING ([computes!(sti = multiply(st0, sti))] few_of!(Other ".byte 0xdc, 0xc9")) (".byte 0xde, 0xc9");
    "fcomp st, st(i), DE" reg 0xde 0xd0 [Both] 1 COMPARISON ([computes!(compare(st0, sti))] few_of!(Compare ".byte 0xd8, 0xd1")) (".byte 0xde, 0xd1");
    "fcompp" one 0xde 0xd9 [Both] 2 COMPARISON ([computes!(compare(st0, sti))] few_of!(Compare ".byte 0xd8, 0xd1")) (".byte 0xde, 0xd9");
    "fsubrp st(i), st" reg 0xde 0xe0 [Both] 1 ROUNDING ([computes!(sti = subtract(st0, sti))] few_of!(Other ".byte 0xdc, 0xe1")) (".byte 0xde, 0xe1");
    "fsubp st(i), st" reg 0xde 0xe8 [Both] 1 ROUNDING ([computes!(sti = subtract_from(st0, sti))] few_of!(Other ".byte 0xdc, 0xe9")) (".byte 0xde, 0xe9");
    "fdivrp st(i), st" reg 0xde 0xf0 [Both] 1 ROUNDING (few_of!(Other ".byte 0xdc, 0xf1")) (".byte 0xde, 0xf1");
    "fdivp st(i), st" reg 0xde 0xf8 [Both] 1 ROUNDING (few_of!(Other ".byte 0xdc, 0xf9")) (".byte 0xde, 0xf9");
    // DF
    "fild m16int" mem 0xdf 0 [Push] 0 ROUNDING ([computes!(push of_short)] few_of!(Push ".byte 0xdf, 0x47, 0x20")) (".byte 0xdf, 0x47, 0x20");
    "fisttp m16int" mem 0xdf 1 [Store 2] 1 ROUNDING (few_of!(StorePop ".byte 0xdf, 0x4f, 0x20")) (".byte 0xdf, 0x4f, 0x20");
    "fist m16int" mem 0xdf 2 [Store 2] 0 ROUNDING (few_of!(Store ".byte 0xdf, 0x57, 0x20")) (".byte 0xdf, 0x57, 0x20");
    "fistp m16int" mem 0xdf 3 [Store 2] 1 ROUNDING (few_of!(StorePop ".byte 0xdf, 0x5f, 0x20")) (".byte 0xdf, 0x5f, 0x20");
    "fbld m80bcd" mem 0xdf 4 [Push] 0 ROUNDING (few_of!(Push ".byte 0xdf, 0x67, 0x20")) (".byte 0xdf, 0x67, 0x20");
    "fild m64int" mem 0xdf 5 [Push] 0 ROUNDING ([computes!(push of_long)] few_of!(Push ".byte 0xdf, 0x6f, 0x20")) (".byte 0xdf, 0x6f, 0x20");
    "fbstp m80bcd" mem 0xdf 6 [Store 10] 1 ROUNDING (few_of!(StorePop ".byte 0xdf, 0x77, 0x20")) (".byte 0xdf, 0x77, 0x20");
    "fistp m64int" mem 0xdf 7 [Store 8] 1 ROUNDING (few_of!(StorePop ".byte 0xdf, 0x7f, 0x20")) (".byte 0xdf, 0x7f, 0x20");
    "ffreep st(i)" reg 0xdf 0xc0 [Whole] 1 ROUNDING () (".byte 0xdf, 0xc1");
    "fxch st(i), DF" reg 0xdf 0xc8 [Exchange] 0 ROUNDING (moves::exchange) (".byte 0xdf, 0xc9");
    "fstp st(i), DF D0" reg 0xdf 0xd0 [Copy] 1 ROUNDING (moves::copy_top) (".byte 0xdf, 0xd1");
    "fstp st(i), DF D8" reg 0xdf 0xd8 [Copy] 1 ROUNDING (moves::copy_top) (".byte 0xdf, 0xd9");
    "fucomip st, st(i)" reg 0xdf 0xe8 [Flags] 1 UNCHANGED ([computes!(compare(st0, sti))] few_of!(Compare ".byte 0xdd, 0xe1")) ("mov ah, [rdi + 32]\nsahf\n.byte 0xdf, 0xe9\nlahf\nmov [rdi + 32], ah");
    "fcomip st, st(i)" reg 0xdf 0xf0 [Flags] 1 UNCHANGED ([computes!(compare(st0, sti))] few_of!(Compare ".byte 0xd8, 0xd1")) ("mov ah, [rdi + 32]\nsahf\n.byte 0xdf, 0xf1\nlahf\nmov [rdi + 32], ah");
}

/// Rows by opcode; [`NONE`] where there is none.
static INDEX: [u8; 2048] = {
    let mut index = [NONE; 2048];
    let mut row = 0;
    while row < PLACES.len() {
        let (first, place) = PLACES[row];
        let mut n = 0;
        while n < 256 {
            let modrm = first & 0xff;
            let is_meant = match place {
                Place::Memory => n < 0xc0 && n & 0x38 == modrm,
                Place::Eight => n & !7 == modrm,
                Place::One => n == modrm,
            };
            if is_meant {
                index[first & 0x700 | n] = row as u8;
            }
            n += 1;
        }
        row += 1;
    }
    index
};
const NONE: u8 = u8::MAX;

/// What executes an instruction, by opcode.
static RUN: [RunFn; INDEX.len()] = {
    // Where there is no instruction, that does nothing.
    let mut run: [RunFn; INDEX.len()] = [whole::run; INDEX.len()];
    let mut opcode = 0;
    while opcode < INDEX.len() {
        if INDEX[opcode] != NONE {
            run[opcode] = ROWS[INDEX[opcode] as usize].run;
        }
        opcode += 1;
    }
    run
};

impl Op {
    /// From the first byte (D8 to DF) and the ModRM byte; `None` if it is an instruction of control, or none.
    #[must_use]
    pub fn new(escape: u8, modrm: u8) -> Option<Self> {
        Self::from_opcode(u16::from(escape & 7) << 8 | u16::from(modrm))
    }

    /// From an opcode of 11 bits, as the FPU remembers it.
    #[must_use]
    pub fn from_opcode(opcode: u16) -> Option<Self> {
        let row = *INDEX.get(usize::from(opcode))?;
        (row != NONE).then_some(Self { opcode, row })
    }

    /// The opcode.
    #[must_use]
    pub fn opcode(self) -> u16 {
        self.opcode
    }

    pub(super) fn row(self) -> &'static Row {
        &ROWS[usize::from(self.row)]
    }

    /// Whether it writes ST(i), if any register but ST(0).
    pub(super) fn writes_other(self) -> bool {
        self.opcode >= 0x400
    }

    /// Whether it writes to memory, and how many bytes.
    #[must_use]
    pub fn stores(self) -> Option<usize> {
        self.row().uses.stores()
    }
}

/// Executes an instruction: `what` is its opcode, and above it bits 79:64 of the operand in memory; it stands at `pc`, and its
/// operand at `address`. `low` is what memory holds there, as far as the operand goes; for FCMOV, its bit 0 is whether it moves.
///
/// Nothing happens if an exception is pending: that comes first. What it writes to memory is written before registers are, which
/// change only if that was possible. Returns 0, as helpers do.
#[inline]
pub(crate) fn execute(frame: FrameRef, what: u64, pc: u64, low: u64, address: u64) -> u64 {
    RUN[what as usize % RUN.len()](frame, what, pc, low, address)
}
