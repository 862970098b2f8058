//! Conversions of SSE, AVX and F16C (SDM vol. 1, 11.4.4 and 14): between integers, binary32, binary64 and binary16. Those of MMX
//! registers stand elsewhere.

use arch::x86_64::helpers::{self, sse_float::arg};
use arch::x86_64::key;
use decoders::x86_64::{Code, Mnemonic, OpKind};
use ir::{FpRound, MemOrder, Type, Val};

use super::sse::{PD, PS, SD, SS};
use super::table::Semantics;
use super::vector::{Half, is_mmx, vector_number};
use super::{Flow, Insn};

/// What an encoding means.
pub(super) fn table(code: Code) -> Option<Semantics> {
    use Mnemonic as M;
    if is_mmx(code) {
        return None;
    }
    Some(match code.mnemonic() {
        M::Cvtsi2ss | M::Vcvtsi2ss => |i| i.integer_to_scalar(SS),
        M::Cvtsi2sd | M::Vcvtsi2sd => |i| i.integer_to_scalar(SD),
        M::Cvtss2si | M::Vcvtss2si => |i| i.scalar_to_integer(SS, i.round()),
        M::Cvtsd2si | M::Vcvtsd2si => |i| i.scalar_to_integer(SD, i.round()),
        M::Cvttss2si | M::Vcvttss2si => |i| i.scalar_to_integer(SS, FpRound::TowardZero),
        M::Cvttsd2si | M::Vcvttsd2si => |i| i.scalar_to_integer(SD, FpRound::TowardZero),
        M::Cvtss2sd | M::Vcvtss2sd => |i| i.fp(|| i.scalar1(SS, SD, |a| a.fcvt(SD, i.round()))),
        M::Cvtsd2ss | M::Vcvtsd2ss => |i| i.fp(|| i.scalar1(SD, SS, |a| i.shorten_number(a, SD))),
        M::Cvtdq2ps | M::Vcvtdq2ps => {
            |i| i.fp(|| i.packed1(|a| a.as_vector(Type::I32x4).sto_f(PS, i.round())))
        }
        M::Cvtps2dq | M::Vcvtps2dq => |i| i.words_to_integers(i.round()),
        M::Cvttps2dq | M::Vcvttps2dq => |i| i.words_to_integers(FpRound::TowardZero),
        M::Cvtps2pd | M::Vcvtps2pd => |i| i.lengthen_numbers(),
        M::Cvtdq2pd | M::Vcvtdq2pd => |i| i.lengthen_integers(),
        M::Cvtpd2ps | M::Vcvtpd2ps => |i| i.narrow(|a| i.shorten_number(a.as_vector(PD), PD)),
        M::Cvtpd2dq | M::Vcvtpd2dq => |i| i.narrow(|a| i.doubles_to_words(a, i.round())),
        M::Cvttpd2dq | M::Vcvttpd2dq => {
            |i| i.narrow(|a| i.doubles_to_words(a, FpRound::TowardZero))
        }
        M::Vcvtph2ps => |i| i.vcvtph2ps(),
        M::Vcvtps2ph => |i| i.vcvtps2ph(),
        _ => return None,
    })
}

impl<'b> Insn<'b> {
    /// CVTSI2SS, CVTSI2SD.
    fn integer_to_scalar(&self, to: Type) -> Flow {
        self.fp(|| {
            let value = self.op(self.i.op_count() - 1).sto_f(to, self.round());
            self.set_scalar(to, value)
        })
    }

    /// CVTSS2SI and its like: what does not fit is the least number.
    fn scalar_to_integer(&self, from: Type, round: FpRound) -> Flow {
        let to = if self.i.op0_register().is_gpr64() { Type::I64 } else { Type::I32 };
        self.fp(|| self.set_op(0, self.scalar(1, from).fto_s(to, round)))
    }

    fn words_to_integers(&self, round: FpRound) -> Flow {
        self.fp(|| self.packed1(|a| a.as_vector(PS).fto_s(Type::I32x4, round)))
    }

    /// The source of a conversion to elements of twice the width, and the same with its upper half below.
    fn halves_of_source(&self) -> [Val<'b>; 2] {
        let source = self.low_of(1, if self.writes_256() { 128 } else { 64 });
        [source, Self::elements(source, source, 3, |_| 1)]
    }

    /// CVTPS2PD.
    fn lengthen_numbers(&self) -> Flow {
        self.fp(|| {
            let [low, high] = self.halves_of_source();
            let convert = |value: Val<'b>| value.as_vector(PS).fcvt(PD, self.round());
            match self.writes_256() {
                true => self.set_all(&[convert(low), convert(high)]),
                false => self.set_all(&[convert(low)]),
            }
        })
    }

    /// CVTDQ2PD: exact.
    fn lengthen_integers(&self) -> Flow {
        let source =
            self.low_of(1, if self.writes_256() { 128 } else { 64 }).as_vector(Type::I32x4);
        let number = |n: u32| source.lane_s(n).at(Type::I32).sto_f(SD, FpRound::NearestEven);
        let pair = |n: u32| number(n).zext_wide(PD).set_lane(1, number(n + 1));
        match self.writes_256() {
            true => self.set_all(&[pair(0), pair(2)]),
            false => self.set_all(&[pair(0)]),
        }
    }

    /// A double as a float, or two of them. While exceptions are not masked, the flags that interrupt it are those of the helper.
    fn shorten_number(&self, value: Val<'b>, from: Type) -> Val<'b> {
        let to = if from.is_vector() { PS } else { SS };
        if self.key & key::UNMASKED == 0 {
            return value.fcvt(to, self.round());
        }
        let vector = if from.is_vector() { value } else { value.zext_wide(PD) };
        let result = self.wide(helpers::NARROW, arg(0, true, from.lanes()), vector, vector);
        if from.is_vector() { result } else { result.as_vector(PS).lane_u(0) }
    }

    /// Conversions to elements of half the width: to the lower half of a register of 128 bits, or all of it from 256.
    fn narrow(&self, convert: impl Fn(Val<'b>) -> Val<'b>) -> Flow {
        let is_long = self.i.memory_size().size() == 32
            || self.i.op_kind(1) == OpKind::Register && self.i.op_register(1).is_ymm();
        self.fp(|| {
            let source = self.vector_place(1, self.usual_alignment());
            let low = self.read_half(source, Half::Low);
            if !is_long {
                return self.set_v(convert(low));
            }
            // Read before flags can change.
            let high = self.read_half(source, Half::High);
            let (low, high) = (convert(low), convert(high));
            self.set_v(Self::elements(low, high, 3, |n| 2 * n))
        })
    }

    /// Two doubles as words in the lower half.
    fn doubles_to_words(&self, value: Val<'b>, round: FpRound) -> Val<'b> {
        let value = value.as_vector(PD);
        let word = |n: u32| value.lane_u(n).fto_s(Type::I32, round).at(Type::I32);
        word(0).zext_wide(Type::I32x4).set_lane(1, word(1))
    }

    /// VCVTPH2PS.
    fn vcvtph2ps(&self) -> Flow {
        self.fp(|| {
            let [low, high] = self.halves_of_source();
            let convert = |value| self.wide(helpers::VCVTPH2PS, arg(0, false, 4), value, value);
            match self.writes_256() {
                true => self.set_all(&[convert(low), convert(high)]),
                false => self.set_all(&[convert(low)]),
            }
        })
    }

    /// VCVTPS2PH. What goes to memory does so once no exception is left to be raised.
    fn vcvtps2ph(&self) -> Flow {
        let n = vector_number(self.i.op_register(1));
        let is_long = self.i.op_register(1).is_ymm();
        let arg = arg(self.imm8(), false, 4);
        let before = self.begin_fp();
        let convert = |half: Half| {
            let value = self.half(n, half);
            self.wide(helpers::VCVTPS2PH, arg, value, value)
        };
        let low = convert(Half::Low);
        let value = match is_long {
            true => Self::elements(low, convert(Half::High), 3, |n| 2 * n),
            false => low,
        };
        self.end_fp(before);
        if self.i.op0_kind() != OpKind::Memory {
            return self.set_v(value);
        }
        let at = self.address();
        match is_long {
            true => self.b.store(Type::WIDE, at.base, at.offset, value, MemOrder::Release),
            false => self.store(at, Type::I64, value.as_vector(Type::I64x2).lane_u(0)),
        }
        Flow::Next
    }
}
