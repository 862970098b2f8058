//! x87 instructions by their encoding (SDM vol. 2, appendix B.17; vol. 2, §A.5): how each is executed.
//!
//! Most need one or two registers, which the host's FPU gets alone. Where the stack over- or underflows, or an exception is
//! not masked, the host gets the whole state, and with it decides what becomes of it.

use super::host::{All, AllFn, Few, FewFn, Memory, all, few, run_all, run_few};
use super::{C0, C1, C2, C3, ES, EXCEPTIONS, F80, State, TOP_SHIFT};
use crate::frame::Registers;
use crate::x86_64::slot;

/// An instruction: the lower three bits of its first byte and its ModRM byte, as the FPU remembers opcodes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Op(u16);

/// What an instruction uses.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Shape {
    /// ST(0), and memory.
    Top,
    /// ST(0) and ST(i).
    Both,
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

/// How an instruction is executed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Row {
    /// What it uses.
    pub(crate) shape: Shape,
    /// Whether its opcode names a register beside ST(0).
    names: bool,
    /// How often it pops.
    pops: u8,
    /// The condition codes that it writes.
    codes: u16,
    /// Without its pops, if the shape is enough.
    few: Option<FewFn>,
    /// With the whole state.
    all: AllFn,
}

/// None.
const UNCHANGED: u16 = 0;
/// C1 alone.
const ROUNDING: u16 = C1;
/// C2 says whether the operand was in range.
const PARTIAL: u16 = C1 | C2;
const COMPARISON: u16 = C0 | C1 | C2 | C3;

/// How [`Few`] is loaded and stored by shape.
macro_rules! few_of {
    (Top $insn:literal) => {
        Some(few!(["fld tbyte ptr [rdi]"] $insn ["fstp tbyte ptr [rdi]"]))
    };
    (Both $insn:literal) => {
        Some(few!(["fld tbyte ptr [rdi + 16]" "fld tbyte ptr [rdi]"] $insn
            ["fstp tbyte ptr [rdi]" "fstp tbyte ptr [rdi + 16]"]))
    };
    (Push $insn:literal) => {
        Some(few!([] $insn ["fstp tbyte ptr [rdi]"]))
    };
    (Store $insn:literal) => {
        few_of!(Top $insn)
    };
    ($shape:ident) => {
        None
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
        ($($few:expr)?) ($($all:tt)+);)*) => {
        static ROWS: &[Row] = &[$(Row {
            shape: shape!($shape $($bytes)?),
            names: matches!(place!($place $esc $at).1, Place::Eight),
            pops: $pops,
            codes: $codes,
            few: rows!(@few $shape $($few)?),
            all: all!($($all)+),
        },)*];

        const PLACES: &[(usize, Place)] = &[$(place!($place $esc $at),)*];
    };
    (@few $shape:ident) => { None };
    (@few $shape:ident $few:expr) => { $few };
}

// Bytes are spelled out, with ST(1) as the register and [rdi + 32] as memory: assemblers differ in what they call some
// instructions.
rows! {
    // D8
    "fadd m32" mem 0xd8 0 [Top] 0 ROUNDING (few_of!(Top ".byte 0xd8, 0x47, 0x20")) (".byte 0xd8, 0x47, 0x20");
    "fmul m32" mem 0xd8 1 [Top] 0 ROUNDING (few_of!(Top ".byte 0xd8, 0x4f, 0x20")) (".byte 0xd8, 0x4f, 0x20");
    "fcom m32" mem 0xd8 2 [Top] 0 COMPARISON (few_of!(Top ".byte 0xd8, 0x57, 0x20")) (".byte 0xd8, 0x57, 0x20");
    "fcomp m32" mem 0xd8 3 [Top] 1 COMPARISON (few_of!(Top ".byte 0xd8, 0x57, 0x20")) (".byte 0xd8, 0x5f, 0x20");
    "fsub m32" mem 0xd8 4 [Top] 0 ROUNDING (few_of!(Top ".byte 0xd8, 0x67, 0x20")) (".byte 0xd8, 0x67, 0x20");
    "fsubr m32" mem 0xd8 5 [Top] 0 ROUNDING (few_of!(Top ".byte 0xd8, 0x6f, 0x20")) (".byte 0xd8, 0x6f, 0x20");
    "fdiv m32" mem 0xd8 6 [Top] 0 ROUNDING (few_of!(Top ".byte 0xd8, 0x77, 0x20")) (".byte 0xd8, 0x77, 0x20");
    "fdivr m32" mem 0xd8 7 [Top] 0 ROUNDING (few_of!(Top ".byte 0xd8, 0x7f, 0x20")) (".byte 0xd8, 0x7f, 0x20");
    "fadd st, st(i)" reg 0xd8 0xc0 [Both] 0 ROUNDING (few_of!(Both ".byte 0xd8, 0xc1")) (".byte 0xd8, 0xc1");
    "fmul st, st(i)" reg 0xd8 0xc8 [Both] 0 ROUNDING (few_of!(Both ".byte 0xd8, 0xc9")) (".byte 0xd8, 0xc9");
    "fcom st, st(i)" reg 0xd8 0xd0 [Both] 0 COMPARISON (few_of!(Both ".byte 0xd8, 0xd1")) (".byte 0xd8, 0xd1");
    "fcomp st, st(i)" reg 0xd8 0xd8 [Both] 1 COMPARISON (few_of!(Both ".byte 0xd8, 0xd1")) (".byte 0xd8, 0xd9");
    "fsub st, st(i)" reg 0xd8 0xe0 [Both] 0 ROUNDING (few_of!(Both ".byte 0xd8, 0xe1")) (".byte 0xd8, 0xe1");
    "fsubr st, st(i)" reg 0xd8 0xe8 [Both] 0 ROUNDING (few_of!(Both ".byte 0xd8, 0xe9")) (".byte 0xd8, 0xe9");
    "fdiv st, st(i)" reg 0xd8 0xf0 [Both] 0 ROUNDING (few_of!(Both ".byte 0xd8, 0xf1")) (".byte 0xd8, 0xf1");
    "fdivr st, st(i)" reg 0xd8 0xf8 [Both] 0 ROUNDING (few_of!(Both ".byte 0xd8, 0xf9")) (".byte 0xd8, 0xf9");
    // D9
    "fld m32" mem 0xd9 0 [Push] 0 ROUNDING (few_of!(Push ".byte 0xd9, 0x47, 0x20")) (".byte 0xd9, 0x47, 0x20");
    "fst m32" mem 0xd9 2 [Store 4] 0 ROUNDING (few_of!(Store ".byte 0xd9, 0x57, 0x20")) (".byte 0xd9, 0x57, 0x20");
    "fstp m32" mem 0xd9 3 [Store 4] 1 ROUNDING (few_of!(Store ".byte 0xd9, 0x57, 0x20")) (".byte 0xd9, 0x5f, 0x20");
    "fld st(i)" reg 0xd9 0xc0 [Load] 0 ROUNDING () (".byte 0xd9, 0xc1");
    "fxch st(i)" reg 0xd9 0xc8 [Exchange] 0 ROUNDING () (".byte 0xd9, 0xc9");
    "fnop" one 0xd9 0xd0 [Whole] 0 ROUNDING () (".byte 0xd9, 0xd0");
    "fstpnce st(i)" reg 0xd9 0xd8 [Whole] 1 ROUNDING () (".byte 0xd9, 0xd9");
    "fchs" one 0xd9 0xe0 [Top] 0 ROUNDING (few_of!(Top ".byte 0xd9, 0xe0")) (".byte 0xd9, 0xe0");
    "fabs" one 0xd9 0xe1 [Top] 0 ROUNDING (few_of!(Top ".byte 0xd9, 0xe1")) (".byte 0xd9, 0xe1");
    "ftst" one 0xd9 0xe4 [Top] 0 COMPARISON (few_of!(Top ".byte 0xd9, 0xe4")) (".byte 0xd9, 0xe4");
    "fxam" one 0xd9 0xe5 [Top] 0 COMPARISON (few_of!(Top ".byte 0xd9, 0xe5")) (".byte 0xd9, 0xe5");
    "fld1" one 0xd9 0xe8 [Push] 0 ROUNDING (few_of!(Push ".byte 0xd9, 0xe8")) (".byte 0xd9, 0xe8");
    "fldl2t" one 0xd9 0xe9 [Push] 0 ROUNDING (few_of!(Push ".byte 0xd9, 0xe9")) (".byte 0xd9, 0xe9");
    "fldl2e" one 0xd9 0xea [Push] 0 ROUNDING (few_of!(Push ".byte 0xd9, 0xea")) (".byte 0xd9, 0xea");
    "fldpi" one 0xd9 0xeb [Push] 0 ROUNDING (few_of!(Push ".byte 0xd9, 0xeb")) (".byte 0xd9, 0xeb");
    "fldlg2" one 0xd9 0xec [Push] 0 ROUNDING (few_of!(Push ".byte 0xd9, 0xec")) (".byte 0xd9, 0xec");
    "fldln2" one 0xd9 0xed [Push] 0 ROUNDING (few_of!(Push ".byte 0xd9, 0xed")) (".byte 0xd9, 0xed");
    "fldz" one 0xd9 0xee [Push] 0 ROUNDING (few_of!(Push ".byte 0xd9, 0xee")) (".byte 0xd9, 0xee");
    "f2xm1" one 0xd9 0xf0 [Top] 0 ROUNDING (few_of!(Top ".byte 0xd9, 0xf0")) (".byte 0xd9, 0xf0");
    "fyl2x" one 0xd9 0xf1 [Whole] 1 ROUNDING () (".byte 0xd9, 0xf1");
    "fptan" one 0xd9 0xf2 [Whole] 0 COMPARISON () (".byte 0xd9, 0xf2");
    "fpatan" one 0xd9 0xf3 [Whole] 1 ROUNDING () (".byte 0xd9, 0xf3");
    "fxtract" one 0xd9 0xf4 [Whole] 0 ROUNDING () (".byte 0xd9, 0xf4");
    "fprem1" one 0xd9 0xf5 [Both] 0 COMPARISON (few_of!(Both ".byte 0xd9, 0xf5")) (".byte 0xd9, 0xf5");
    "fdecstp" one 0xd9 0xf6 [Whole] 0 ROUNDING () (".byte 0xd9, 0xf6");
    "fincstp" one 0xd9 0xf7 [Whole] 0 ROUNDING () (".byte 0xd9, 0xf7");
    "fprem" one 0xd9 0xf8 [Both] 0 COMPARISON (few_of!(Both ".byte 0xd9, 0xf8")) (".byte 0xd9, 0xf8");
    "fyl2xp1" one 0xd9 0xf9 [Whole] 1 ROUNDING () (".byte 0xd9, 0xf9");
    "fsqrt" one 0xd9 0xfa [Top] 0 ROUNDING (few_of!(Top ".byte 0xd9, 0xfa")) (".byte 0xd9, 0xfa");
    "fsincos" one 0xd9 0xfb [Whole] 0 COMPARISON () (".byte 0xd9, 0xfb");
    "frndint" one 0xd9 0xfc [Top] 0 ROUNDING (few_of!(Top ".byte 0xd9, 0xfc")) (".byte 0xd9, 0xfc");
    "fscale" one 0xd9 0xfd [Both] 0 ROUNDING (few_of!(Both ".byte 0xd9, 0xfd")) (".byte 0xd9, 0xfd");
    "fsin" one 0xd9 0xfe [Top] 0 PARTIAL (few_of!(Top ".byte 0xd9, 0xfe")) (".byte 0xd9, 0xfe");
    "fcos" one 0xd9 0xff [Top] 0 PARTIAL (few_of!(Top ".byte 0xd9, 0xff")) (".byte 0xd9, 0xff");
    // DA
    "fiadd m32int" mem 0xda 0 [Top] 0 ROUNDING (few_of!(Top ".byte 0xda, 0x47, 0x20")) (".byte 0xda, 0x47, 0x20");
    "fimul m32int" mem 0xda 1 [Top] 0 ROUNDING (few_of!(Top ".byte 0xda, 0x4f, 0x20")) (".byte 0xda, 0x4f, 0x20");
    "ficom m32int" mem 0xda 2 [Top] 0 COMPARISON (few_of!(Top ".byte 0xda, 0x57, 0x20")) (".byte 0xda, 0x57, 0x20");
    "ficomp m32int" mem 0xda 3 [Top] 1 COMPARISON (few_of!(Top ".byte 0xda, 0x57, 0x20")) (".byte 0xda, 0x5f, 0x20");
    "fisub m32int" mem 0xda 4 [Top] 0 ROUNDING (few_of!(Top ".byte 0xda, 0x67, 0x20")) (".byte 0xda, 0x67, 0x20");
    "fisubr m32int" mem 0xda 5 [Top] 0 ROUNDING (few_of!(Top ".byte 0xda, 0x6f, 0x20")) (".byte 0xda, 0x6f, 0x20");
    "fidiv m32int" mem 0xda 6 [Top] 0 ROUNDING (few_of!(Top ".byte 0xda, 0x77, 0x20")) (".byte 0xda, 0x77, 0x20");
    "fidivr m32int" mem 0xda 7 [Top] 0 ROUNDING (few_of!(Top ".byte 0xda, 0x7f, 0x20")) (".byte 0xda, 0x7f, 0x20");
    "fcmovb st, st(i)" reg 0xda 0xc0 [Both] 0 UNCHANGED (few_of!(Both "bt dword ptr [rdi + 32], 0\n.byte 0xda, 0xc1")) ("bt dword ptr [rdi + 32], 0\n.byte 0xda, 0xc1");
    "fcmove st, st(i)" reg 0xda 0xc8 [Both] 0 UNCHANGED (few_of!(Both "bt dword ptr [rdi + 32], 0\n.byte 0xda, 0xc1")) ("bt dword ptr [rdi + 32], 0\n.byte 0xda, 0xc1");
    "fcmovbe st, st(i)" reg 0xda 0xd0 [Both] 0 UNCHANGED (few_of!(Both "bt dword ptr [rdi + 32], 0\n.byte 0xda, 0xc1")) ("bt dword ptr [rdi + 32], 0\n.byte 0xda, 0xc1");
    "fcmovu st, st(i)" reg 0xda 0xd8 [Both] 0 UNCHANGED (few_of!(Both "bt dword ptr [rdi + 32], 0\n.byte 0xda, 0xc1")) ("bt dword ptr [rdi + 32], 0\n.byte 0xda, 0xc1");
    "fucompp" one 0xda 0xe9 [Both] 2 COMPARISON (few_of!(Both ".byte 0xdd, 0xe1")) (".byte 0xda, 0xe9");
    // DB
    "fild m32int" mem 0xdb 0 [Push] 0 ROUNDING (few_of!(Push ".byte 0xdb, 0x47, 0x20")) (".byte 0xdb, 0x47, 0x20");
    "fisttp m32int" mem 0xdb 1 [Store 4] 1 ROUNDING (few_of!(Store ".byte 0xd9, 0xc0, 0xdb, 0x4f, 0x20")) (".byte 0xdb, 0x4f, 0x20");
    "fist m32int" mem 0xdb 2 [Store 4] 0 ROUNDING (few_of!(Store ".byte 0xdb, 0x57, 0x20")) (".byte 0xdb, 0x57, 0x20");
    "fistp m32int" mem 0xdb 3 [Store 4] 1 ROUNDING (few_of!(Store ".byte 0xdb, 0x57, 0x20")) (".byte 0xdb, 0x5f, 0x20");
    "fld m80" mem 0xdb 5 [Push] 0 ROUNDING (few_of!(Push ".byte 0xdb, 0x6f, 0x20")) (".byte 0xdb, 0x6f, 0x20");
    "fstp m80" mem 0xdb 7 [Store 10] 1 ROUNDING (few_of!(Store ".byte 0xd9, 0xc0, 0xdb, 0x7f, 0x20")) (".byte 0xdb, 0x7f, 0x20");
    "fcmovnb st, st(i)" reg 0xdb 0xc0 [Both] 0 UNCHANGED (few_of!(Both "bt dword ptr [rdi + 32], 0\n.byte 0xda, 0xc1")) ("bt dword ptr [rdi + 32], 0\n.byte 0xda, 0xc1");
    "fcmovne st, st(i)" reg 0xdb 0xc8 [Both] 0 UNCHANGED (few_of!(Both "bt dword ptr [rdi + 32], 0\n.byte 0xda, 0xc1")) ("bt dword ptr [rdi + 32], 0\n.byte 0xda, 0xc1");
    "fcmovnbe st, st(i)" reg 0xdb 0xd0 [Both] 0 UNCHANGED (few_of!(Both "bt dword ptr [rdi + 32], 0\n.byte 0xda, 0xc1")) ("bt dword ptr [rdi + 32], 0\n.byte 0xda, 0xc1");
    "fcmovnu st, st(i)" reg 0xdb 0xd8 [Both] 0 UNCHANGED (few_of!(Both "bt dword ptr [rdi + 32], 0\n.byte 0xda, 0xc1")) ("bt dword ptr [rdi + 32], 0\n.byte 0xda, 0xc1");
    "fucomi st, st(i)" reg 0xdb 0xe8 [Both] 0 UNCHANGED (few_of!(Both "mov ah, [rdi + 32]\nsahf\n.byte 0xdb, 0xe9\nlahf\nmov [rdi + 32], ah")) ("mov ah, [rdi + 32]\nsahf\n.byte 0xdb, 0xe9\nlahf\nmov [rdi + 32], ah");
    "fcomi st, st(i)" reg 0xdb 0xf0 [Both] 0 UNCHANGED (few_of!(Both "mov ah, [rdi + 32]\nsahf\n.byte 0xdb, 0xf1\nlahf\nmov [rdi + 32], ah")) ("mov ah, [rdi + 32]\nsahf\n.byte 0xdb, 0xf1\nlahf\nmov [rdi + 32], ah");
    // DC
    "fadd m64" mem 0xdc 0 [Top] 0 ROUNDING (few_of!(Top ".byte 0xdc, 0x47, 0x20")) (".byte 0xdc, 0x47, 0x20");
    "fmul m64" mem 0xdc 1 [Top] 0 ROUNDING (few_of!(Top ".byte 0xdc, 0x4f, 0x20")) (".byte 0xdc, 0x4f, 0x20");
    "fcom m64" mem 0xdc 2 [Top] 0 COMPARISON (few_of!(Top ".byte 0xdc, 0x57, 0x20")) (".byte 0xdc, 0x57, 0x20");
    "fcomp m64" mem 0xdc 3 [Top] 1 COMPARISON (few_of!(Top ".byte 0xdc, 0x57, 0x20")) (".byte 0xdc, 0x5f, 0x20");
    "fsub m64" mem 0xdc 4 [Top] 0 ROUNDING (few_of!(Top ".byte 0xdc, 0x67, 0x20")) (".byte 0xdc, 0x67, 0x20");
    "fsubr m64" mem 0xdc 5 [Top] 0 ROUNDING (few_of!(Top ".byte 0xdc, 0x6f, 0x20")) (".byte 0xdc, 0x6f, 0x20");
    "fdiv m64" mem 0xdc 6 [Top] 0 ROUNDING (few_of!(Top ".byte 0xdc, 0x77, 0x20")) (".byte 0xdc, 0x77, 0x20");
    "fdivr m64" mem 0xdc 7 [Top] 0 ROUNDING (few_of!(Top ".byte 0xdc, 0x7f, 0x20")) (".byte 0xdc, 0x7f, 0x20");
    "fadd st(i), st" reg 0xdc 0xc0 [Both] 0 ROUNDING (few_of!(Both ".byte 0xdc, 0xc1")) (".byte 0xdc, 0xc1");
    "fmul st(i), st" reg 0xdc 0xc8 [Both] 0 ROUNDING (few_of!(Both ".byte 0xdc, 0xc9")) (".byte 0xdc, 0xc9");
    "fcom st, st(i), DC" reg 0xdc 0xd0 [Both] 0 COMPARISON (few_of!(Both ".byte 0xd8, 0xd1")) (".byte 0xdc, 0xd1");
    "fcomp st, st(i), DC" reg 0xdc 0xd8 [Both] 1 COMPARISON (few_of!(Both ".byte 0xd8, 0xd1")) (".byte 0xdc, 0xd9");
    "fsubr st(i), st" reg 0xdc 0xe0 [Both] 0 ROUNDING (few_of!(Both ".byte 0xdc, 0xe1")) (".byte 0xdc, 0xe1");
    "fsub st(i), st" reg 0xdc 0xe8 [Both] 0 ROUNDING (few_of!(Both ".byte 0xdc, 0xe9")) (".byte 0xdc, 0xe9");
    "fdivr st(i), st" reg 0xdc 0xf0 [Both] 0 ROUNDING (few_of!(Both ".byte 0xdc, 0xf1")) (".byte 0xdc, 0xf1");
    "fdiv st(i), st" reg 0xdc 0xf8 [Both] 0 ROUNDING (few_of!(Both ".byte 0xdc, 0xf9")) (".byte 0xdc, 0xf9");
    // DD
    "fld m64" mem 0xdd 0 [Push] 0 ROUNDING (few_of!(Push ".byte 0xdd, 0x47, 0x20")) (".byte 0xdd, 0x47, 0x20");
    "fisttp m64int" mem 0xdd 1 [Store 8] 1 ROUNDING (few_of!(Store ".byte 0xd9, 0xc0, 0xdd, 0x4f, 0x20")) (".byte 0xdd, 0x4f, 0x20");
    "fst m64" mem 0xdd 2 [Store 8] 0 ROUNDING (few_of!(Store ".byte 0xdd, 0x57, 0x20")) (".byte 0xdd, 0x57, 0x20");
    "fstp m64" mem 0xdd 3 [Store 8] 1 ROUNDING (few_of!(Store ".byte 0xdd, 0x57, 0x20")) (".byte 0xdd, 0x5f, 0x20");
    "ffree st(i)" reg 0xdd 0xc0 [Whole] 0 ROUNDING () (".byte 0xdd, 0xc1");
    "fxch st(i), DD" reg 0xdd 0xc8 [Exchange] 0 ROUNDING () (".byte 0xdd, 0xc9");
    "fst st(i)" reg 0xdd 0xd0 [Copy] 0 ROUNDING () (".byte 0xdd, 0xd1");
    "fstp st(i)" reg 0xdd 0xd8 [Copy] 1 ROUNDING () (".byte 0xdd, 0xd9");
    "fucom st(i)" reg 0xdd 0xe0 [Both] 0 COMPARISON (few_of!(Both ".byte 0xdd, 0xe1")) (".byte 0xdd, 0xe1");
    "fucomp st(i)" reg 0xdd 0xe8 [Both] 1 COMPARISON (few_of!(Both ".byte 0xdd, 0xe1")) (".byte 0xdd, 0xe9");
    // DE
    "fiadd m16int" mem 0xde 0 [Top] 0 ROUNDING (few_of!(Top ".byte 0xde, 0x47, 0x20")) (".byte 0xde, 0x47, 0x20");
    "fimul m16int" mem 0xde 1 [Top] 0 ROUNDING (few_of!(Top ".byte 0xde, 0x4f, 0x20")) (".byte 0xde, 0x4f, 0x20");
    "ficom m16int" mem 0xde 2 [Top] 0 COMPARISON (few_of!(Top ".byte 0xde, 0x57, 0x20")) (".byte 0xde, 0x57, 0x20");
    "ficomp m16int" mem 0xde 3 [Top] 1 COMPARISON (few_of!(Top ".byte 0xde, 0x57, 0x20")) (".byte 0xde, 0x5f, 0x20");
    "fisub m16int" mem 0xde 4 [Top] 0 ROUNDING (few_of!(Top ".byte 0xde, 0x67, 0x20")) (".byte 0xde, 0x67, 0x20");
    "fisubr m16int" mem 0xde 5 [Top] 0 ROUNDING (few_of!(Top ".byte 0xde, 0x6f, 0x20")) (".byte 0xde, 0x6f, 0x20");
    "fidiv m16int" mem 0xde 6 [Top] 0 ROUNDING (few_of!(Top ".byte 0xde, 0x77, 0x20")) (".byte 0xde, 0x77, 0x20");
    "fidivr m16int" mem 0xde 7 [Top] 0 ROUNDING (few_of!(Top ".byte 0xde, 0x7f, 0x20")) (".byte 0xde, 0x7f, 0x20");
    "faddp st(i), st" reg 0xde 0xc0 [Both] 1 ROUNDING (few_of!(Both ".byte 0xdc, 0xc1")) (".byte 0xde, 0xc1");
    "fmulp st(i), st" reg 0xde 0xc8 [Both] 1 ROUNDING (few_of!(Both ".byte 0xdc, 0xc9")) (".byte 0xde, 0xc9");
    "fcomp st, st(i), DE" reg 0xde 0xd0 [Both] 1 COMPARISON (few_of!(Both ".byte 0xd8, 0xd1")) (".byte 0xde, 0xd1");
    "fcompp" one 0xde 0xd9 [Both] 2 COMPARISON (few_of!(Both ".byte 0xd8, 0xd1")) (".byte 0xde, 0xd9");
    "fsubrp st(i), st" reg 0xde 0xe0 [Both] 1 ROUNDING (few_of!(Both ".byte 0xdc, 0xe1")) (".byte 0xde, 0xe1");
    "fsubp st(i), st" reg 0xde 0xe8 [Both] 1 ROUNDING (few_of!(Both ".byte 0xdc, 0xe9")) (".byte 0xde, 0xe9");
    "fdivrp st(i), st" reg 0xde 0xf0 [Both] 1 ROUNDING (few_of!(Both ".byte 0xdc, 0xf1")) (".byte 0xde, 0xf1");
    "fdivp st(i), st" reg 0xde 0xf8 [Both] 1 ROUNDING (few_of!(Both ".byte 0xdc, 0xf9")) (".byte 0xde, 0xf9");
    // DF
    "fild m16int" mem 0xdf 0 [Push] 0 ROUNDING (few_of!(Push ".byte 0xdf, 0x47, 0x20")) (".byte 0xdf, 0x47, 0x20");
    "fisttp m16int" mem 0xdf 1 [Store 2] 1 ROUNDING (few_of!(Store ".byte 0xd9, 0xc0, 0xdf, 0x4f, 0x20")) (".byte 0xdf, 0x4f, 0x20");
    "fist m16int" mem 0xdf 2 [Store 2] 0 ROUNDING (few_of!(Store ".byte 0xdf, 0x57, 0x20")) (".byte 0xdf, 0x57, 0x20");
    "fistp m16int" mem 0xdf 3 [Store 2] 1 ROUNDING (few_of!(Store ".byte 0xdf, 0x57, 0x20")) (".byte 0xdf, 0x5f, 0x20");
    "fbld m80bcd" mem 0xdf 4 [Push] 0 ROUNDING (few_of!(Push ".byte 0xdf, 0x67, 0x20")) (".byte 0xdf, 0x67, 0x20");
    "fild m64int" mem 0xdf 5 [Push] 0 ROUNDING (few_of!(Push ".byte 0xdf, 0x6f, 0x20")) (".byte 0xdf, 0x6f, 0x20");
    "fbstp m80bcd" mem 0xdf 6 [Store 10] 1 ROUNDING (few_of!(Store ".byte 0xd9, 0xc0, 0xdf, 0x77, 0x20")) (".byte 0xdf, 0x77, 0x20");
    "fistp m64int" mem 0xdf 7 [Store 8] 1 ROUNDING (few_of!(Store ".byte 0xd9, 0xc0, 0xdf, 0x7f, 0x20")) (".byte 0xdf, 0x7f, 0x20");
    "ffreep st(i)" reg 0xdf 0xc0 [Whole] 1 ROUNDING () (".byte 0xdf, 0xc1");
    "fxch st(i), DF" reg 0xdf 0xc8 [Exchange] 0 ROUNDING () (".byte 0xdf, 0xc9");
    "fstp st(i), DF D0" reg 0xdf 0xd0 [Copy] 1 ROUNDING () (".byte 0xdf, 0xd1");
    "fstp st(i), DF D8" reg 0xdf 0xd8 [Copy] 1 ROUNDING () (".byte 0xdf, 0xd9");
    "fucomip st, st(i)" reg 0xdf 0xe8 [Both] 1 UNCHANGED (few_of!(Both "mov ah, [rdi + 32]\nsahf\n.byte 0xdb, 0xe9\nlahf\nmov [rdi + 32], ah")) ("mov ah, [rdi + 32]\nsahf\n.byte 0xdf, 0xe9\nlahf\nmov [rdi + 32], ah");
    "fcomip st, st(i)" reg 0xdf 0xf0 [Both] 1 UNCHANGED (few_of!(Both "mov ah, [rdi + 32]\nsahf\n.byte 0xdb, 0xf1\nlahf\nmov [rdi + 32], ah")) ("mov ah, [rdi + 32]\nsahf\n.byte 0xdf, 0xf1\nlahf\nmov [rdi + 32], ah");
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

/// What an instruction works on beside registers.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Operand {
    /// Where the instruction stands.
    pub pc: u64,
    /// What memory holds there, as far as the operand goes. For FCMOV, bit 0 is whether it moves; for FCOMI and its like, the
    /// first byte becomes flags.
    pub low: u64,
    /// Of an operand of 80 bits, the upper ones.
    pub high: u16,
    /// The operand's address.
    pub address: u64,
}

impl Operand {
    fn memory(&self) -> Memory {
        let mut memory = Memory::default();
        memory.0[..8].copy_from_slice(&self.low.to_le_bytes());
        memory.0[8..10].copy_from_slice(&self.high.to_le_bytes());
        memory
    }
}

impl Op {
    /// From the first byte (D8 to DF) and the ModRM byte; `None` if it is an instruction of control, or none.
    #[must_use]
    pub fn new(escape: u8, modrm: u8) -> Option<Self> {
        Self::from_opcode(u16::from(escape & 7) << 8 | u16::from(modrm))
    }

    /// From an opcode of 11 bits, as the FPU remembers it.
    #[must_use]
    pub fn from_opcode(opcode: u16) -> Option<Self> {
        let known = INDEX.get(usize::from(opcode)).is_some_and(|row| *row != NONE);
        known.then_some(Self(opcode))
    }

    /// The opcode.
    #[must_use]
    pub fn opcode(self) -> u16 {
        self.0
    }

    fn row(self) -> &'static Row {
        &ROWS[usize::from(INDEX[usize::from(self.0)])]
    }

    /// The number of the register that it uses beside ST(0), if it does.
    fn register(self, row: &Row) -> u8 {
        if row.names { self.0 as u8 & 7 } else { 1 }
    }

    /// Whether it writes ST(i), if any register but ST(0).
    fn writes_other(self) -> bool {
        self.0 >= 0x400
    }

    /// Whether it is FPREM or FPREM1.
    fn is_remainder(self) -> bool {
        matches!(self.0, 0x1f5 | 0x1f8)
    }

    /// Whether it writes to memory, and how many bytes.
    #[must_use]
    pub fn stores(self) -> Option<usize> {
        match self.row().shape {
            Shape::Store(bytes) => Some(bytes.into()),
            _ => None,
        }
    }

    /// Executes it. Nothing happens if an exception is pending: that comes first. What is to be written to memory, `store` gets;
    /// registers change only if it says that it could write. Returns what the operand's first byte has become, of those that have
    /// none in memory.
    #[expect(clippy::inline_always, reason = "operands stay in registers")]
    #[inline(always)]
    pub(crate) fn execute<R: Registers>(
        self,
        registers: &mut R,
        operand: Operand,
        store: impl Fn(&mut R, &[u8]) -> bool,
    ) -> u8 {
        let row = self.row();
        if registers.slot(slot::FSW) as u16 & ES != 0 {
            return operand.low as u8;
        }
        quickly(self, row, registers, &operand, &store)
            .unwrap_or_else(|| wholly(self, row, registers, &operand, &store))
    }
}

/// Executes an instruction on as little as it needs, if it can have no effects beyond; `None` if it may have.
#[inline(always)]
fn quickly<R: Registers>(
    op: Op,
    row: &Row,
    registers: &mut R,
    operand: &Operand,
    store: &impl Fn(&mut R, &[u8]) -> bool,
) -> Option<u8> {
    let control = registers.slot(slot::FCW) as u16;
    if control & EXCEPTIONS != EXCEPTIONS {
        return None;
    }
    let old = registers.slot(slot::FSW) as u16;
    let mut valid = registers.slot(slot::FTW) as u8;
    let mut top = (old >> TOP_SHIFT & 7) as u8;
    let (other, below) = ((top + op.register(row)) & 7, top.wrapping_sub(1) & 7);
    let has = |n: u8| valid >> n & 1 != 0;
    let mut few = Few { control, ..Few::default() };
    let status = match row.shape {
        Shape::Top | Shape::Store(_) if has(top) => {
            (few.st0, few.memory) = (F80::read(registers, top), operand.memory());
            let status = run_few(row.few?, &mut few, old);
            if let Shape::Store(bytes) = row.shape
                && !store(registers, &few.memory.0[..usize::from(bytes)])
            {
                return Some(0);
            }
            few.st0.write(registers, top);
            status
        }
        Shape::Both if has(top) && has(other) => {
            (few.st0, few.st1) = (F80::read(registers, top), F80::read(registers, other));
            few.memory.0[0] = operand.low as u8;
            let status = run_few(row.few?, &mut few, old);
            if op.is_remainder() && few.st0.sign_exponent & 0x7fff == 0x7fff {
                // Of a NaN, not all condition codes are written.
                return None;
            }
            // If both are one, the result is in one of the two only.
            if top != other || !op.writes_other() {
                few.st0.write(registers, top);
            }
            if top != other || op.writes_other() {
                few.st1.write(registers, other);
            }
            status
        }
        Shape::Push if !has(below) => {
            few.memory = operand.memory();
            let status = run_few(row.few?, &mut few, old);
            few.st0.write(registers, below);
            (top, valid) = (below, valid | 1 << below);
            status
        }
        Shape::Load if has(other) && !has(below) => {
            let value = F80::read(registers, other);
            value.write(registers, below);
            (top, valid) = (below, valid | 1 << below);
            0
        }
        Shape::Copy if has(top) => {
            let value = F80::read(registers, top);
            value.write(registers, other);
            valid |= 1 << other;
            0
        }
        Shape::Exchange if has(top) && has(other) => {
            let (a, b) = (F80::read(registers, top), F80::read(registers, other));
            b.write(registers, top);
            a.write(registers, other);
            0
        }
        _ => return None,
    };
    for _ in 0..row.pops {
        valid &= !(1 << top);
        top = (top + 1) & 7;
    }
    let kept = old & !row.codes & !(7 << TOP_SHIFT);
    let status = kept | status & (row.codes | EXCEPTIONS) | u16::from(top) << TOP_SHIFT;
    registers.set_slot(slot::FIP, operand.pc);
    registers.set_slot(slot::FSW, status.into());
    registers.set_slot(slot::FTW, valid.into());
    Some(few.memory.0[0])
}

/// Executes an instruction on the whole state.
#[cold]
#[inline(never)]
fn wholly<R: Registers>(
    op: Op,
    row: &Row,
    registers: &mut R,
    operand: &Operand,
    store: &impl Fn(&mut R, &[u8]) -> bool,
) -> u8 {
    /// Values of registers that no instruction leaves there: those that it does not write keep them.
    const NO_ADDRESS: u64 = 0x5a5a_5a5a;
    const NO_OPCODE: u16 = 0x2a5;
    let before = State::read(&*registers);
    let mut state = State { operand: NO_ADDRESS, opcode: NO_OPCODE, ..before };
    let (top, one) = (state.physical(0), state.physical(1));
    let other = state.physical(op.register(row));
    // What is only read, or stands at the top, is copied to ST(1); else they change places.
    let is_copied = other == top || row.shape == Shape::Load;
    if is_copied {
        state.registers[one] = state.registers[other];
        state.valid = with_bit(state.valid, one, bit(state.valid, other));
    } else {
        swap(&mut state, one, other);
    }
    let mut all = All::new(&state, operand.memory());
    run_all(row.all, &mut all);
    let bytes = all.memory.0;
    let mut after = all.state();
    if is_copied {
        // What became of ST(1) has become of ST(0), but for the pop.
        if op.writes_other() {
            after.registers[top] = after.registers[one];
            if after.top() == before.top() {
                after.valid = with_bit(after.valid, top, bit(after.valid, one));
            }
        }
        after.registers[one] = before.registers[one];
        after.valid = with_bit(after.valid, one, bit(before.valid, one));
    } else {
        swap(&mut after, one, other);
    }
    after.instruction = operand.pc;
    after.opcode = if after.opcode == NO_OPCODE { before.opcode } else { op.0 };
    after.operand = match after.operand {
        NO_ADDRESS => before.operand,
        0 => 0,
        _ => operand.address,
    };
    // Invalid operation, overflow and underflow, if they are not masked, keep it from being stored.
    const PREVENT: u16 = 1 | 1 << 3 | 1 << 4;
    if let Shape::Store(size) = row.shape
        && after.status & !after.control & PREVENT == 0
        && !store(registers, &bytes[..usize::from(size)])
    {
        return 0;
    }
    after.write(registers);
    bytes[0]
}

fn bit(bits: u8, n: usize) -> bool {
    bits >> n & 1 != 0
}

fn with_bit(bits: u8, n: usize, value: bool) -> u8 {
    bits & !(1 << n) | u8::from(value) << n
}

fn swap(state: &mut State, a: usize, b: usize) {
    state.registers.swap(a, b);
    let (of_a, of_b) = (bit(state.valid, a), bit(state.valid, b));
    state.valid = with_bit(with_bit(state.valid, a, of_b), b, of_a);
}
