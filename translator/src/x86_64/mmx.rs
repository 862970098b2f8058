//! MMX, with what SSE, SSE2 and SSSE3 added on its registers (SDM vol. 1, chapter 9 and 5.4). Registers are bits 63:0 of the
//! x87 FPU's; whatever names one makes them all valid, and the first of them the stack's top.
//!
//! What vectors of 128 bits have as well is computed as they do, of operands that are arranged so that 64 bits of the result
//! are the instruction's.

use arch::x86_64::x87::TOP_SHIFT;
use arch::x86_64::{helpers, slot};
use base::HelperId;
use decoders::x86_64::{Code, Mnemonic, OpKind, Register};
use ir::{FpRound, Type, Val};

use super::operand::integer;
use super::table::Semantics;
use super::vector::is_mmx;
use super::{Flow, Insn, sse_integer};

const Q: Type = Type::I64x2;

/// What an encoding means.
pub(super) fn table(code: Code) -> Option<Semantics> {
    use Mnemonic as M;
    if code.mnemonic() == M::Emms {
        return Some(|i| i.emms());
    }
    if !is_mmx(code) {
        return None;
    }
    let shift = shift_helper(code.mnemonic());
    Some(match code.mnemonic() {
        M::Movd | M::Movq | M::Movntq => |i| i.mmx(|| i.set_mmx_op(0, i.mmx_op(1))),
        M::Movq2dq => |i| i.mmx(|| i.set_v(i.mmx_op(1).zext_wide(Type::WIDE))),
        M::Movdq2q => |i| i.mmx(|| i.set_mmx_op(0, Insn::mmx_bits(i.v(1)))),
        M::Pmovmskb => |i| i.mmx(|| i.mmx_signs()),
        M::Pshufw => |i| i.mmx(|| i.pshufw()),
        M::Pinsrw => |i| i.mmx(|| i.mmx_insert()),
        M::Pextrw => |i| i.mmx(|| i.mmx_extract()),
        M::Maskmovq => |i| i.mmx(|| i.maskmovq()),
        M::Cvtpi2ps => |i| i.unless_memory(|| i.cvtpi2ps()),
        M::Cvtpi2pd => |i| i.unless_memory(|| i.cvtpi2pd()),
        M::Cvtps2pi => |i| i.mmx(|| i.cvtps2pi(i.round())),
        M::Cvttps2pi => |i| i.mmx(|| i.cvtps2pi(FpRound::TowardZero)),
        M::Cvtpd2pi => |i| i.mmx(|| i.cvtpd2pi(i.round())),
        M::Cvttpd2pi => |i| i.mmx(|| i.cvtpd2pi(FpRound::TowardZero)),
        _ if shift.is_some() => |i| i.mmx(|| i.mmx_shift()),
        mnemonic => {
            sse_integer::by_mnemonic(mnemonic)?;
            |i| i.mmx(|| i.as_of_xmm())
        }
    })
}

/// The helper that shifts elements of a vector by a vector's low half.
fn shift_helper(mnemonic: Mnemonic) -> Option<HelperId> {
    use Mnemonic as M;
    Some(match mnemonic {
        M::Psllw => helpers::PSLLW,
        M::Pslld => helpers::PSLLD,
        M::Psllq => helpers::PSLLQ,
        M::Psrlw => helpers::PSRLW,
        M::Psrld => helpers::PSRLD,
        M::Psrlq => helpers::PSRLQ,
        M::Psraw => helpers::PSRAW,
        M::Psrad => helpers::PSRAD,
        _ => return None,
    })
}

/// How operands of 64 bits are arranged in those of 128.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Arrangement {
    /// In the lower half, as the result.
    Low,
    /// In the upper half, as the result: instructions that take the upper half of their operands.
    High,
    /// The second above the first, both twice, the result in the lower half: instructions that have results of the first
    /// operand below those of the second.
    Joined,
    /// The first above the second as second, zeros as first.
    Shifted,
    /// As [`Arrangement::Low`], with three bits that choose instead of four.
    Chosen,
}

impl Arrangement {
    fn of(mnemonic: Mnemonic) -> Self {
        use Mnemonic as M;
        match mnemonic {
            M::Punpckhbw | M::Punpckhwd | M::Punpckhdq => Self::High,
            M::Packsswb
            | M::Packssdw
            | M::Packuswb
            | M::Phaddw
            | M::Phaddd
            | M::Phaddsw
            | M::Phsubw
            | M::Phsubd
            | M::Phsubsw => Self::Joined,
            M::Palignr => Self::Shifted,
            M::Pshufb => Self::Chosen,
            _ => Self::Low,
        }
    }
}

fn is_mm(register: Register) -> bool {
    register.is_mm()
}

impl<'b> Insn<'b> {
    /// Whether it writes an MMX register.
    pub(super) fn writes_mmx(&self) -> bool {
        self.i.op_count() > 0
            && self.i.op0_kind() == OpKind::Register
            && is_mm(self.i.op0_register())
    }

    /// Executes an instruction that names MMX registers: #MF if an exception of the x87 FPU is pending.
    fn mmx(&self, execute: impl FnOnce() -> Flow) -> Flow {
        self.x87_check();
        // If it faults, the FPU is as it was.
        let flow = execute();
        self.make_mmx(0xff);
        flow
    }

    /// TOP becomes 0, and the tags those.
    fn make_mmx(&self, tags: u64) {
        let status = self.b.slot(slot::FSW) & self.konst(!(7 << TOP_SHIFT));
        self.b.set_slot(slot::FSW, status);
        self.b.set_slot(slot::FTW, self.konst(tags));
    }

    /// The same for one that may have memory in an MMX register's place, and then has nothing to do with these.
    fn unless_memory(&self, execute: impl FnOnce() -> Flow) -> Flow {
        if self.i.op_kind(1) == OpKind::Memory { execute() } else { self.mmx(execute) }
    }

    /// EMMS: all registers are empty.
    fn emms(&self) -> Flow {
        self.x87_check();
        self.make_mmx(0);
        Flow::Next
    }

    /// Operand `n`, of 64 bits or fewer, zero-extended.
    fn mmx_op(&self, n: u32) -> Val<'b> {
        match self.i.op_kind(n) {
            OpKind::Register if is_mm(self.i.op_register(n)) => {
                let register = self.i.op_register(n).number() as u8 & 7;
                self.b.slot_at(slot::fpr(register), Type::I64)
            }
            OpKind::Memory => self.load(self.address(), integer(self.i.memory_size().size())),
            _ => self.zero_extended(n),
        }
    }

    /// Operand `n` as a vector with zeros above.
    fn mmx_vector(&self, n: u32) -> Val<'b> {
        self.mmx_op(n).zext_wide(Type::WIDE)
    }

    fn mmx_bits(value: Val<'b>) -> Val<'b> {
        value.as_vector(Q).lane_u(0)
    }

    /// Operand `n` becomes bits 63:0 of a number, or as many as it has. Of a register, the sign and exponent become ones.
    fn set_mmx_op(&self, n: u32, value: Val<'b>) -> Flow {
        match self.i.op_kind(n) {
            OpKind::Register if is_mm(self.i.op_register(n)) => {
                let register = self.i.op_register(n).number() as u8 & 7;
                let ones = self.konst(0xffff);
                let whole = value.zext_wide(Type::WIDE).as_vector(Q).set_lane(1, ones);
                self.b.set_wide(slot::fpr(register), whole);
                Flow::Next
            }
            OpKind::Memory => {
                let ty = integer(self.i.memory_size().size());
                self.store(self.address(), ty, value);
                Flow::Next
            }
            _ => self.set_op(n, value),
        }
    }

    /// Operand 0 becomes the lower half of a vector.
    fn set_mmx(&self, value: Val<'b>) -> Flow {
        self.set_mmx_op(0, Self::mmx_bits(value))
    }

    /// By what the mnemonic means of vectors of 128 bits; which comes to [`Insn::mmx_lanewise`].
    fn as_of_xmm(&self) -> Flow {
        match sse_integer::by_mnemonic(self.i.mnemonic()) {
            Some(semantics) => semantics(self),
            None => Flow::Undefined,
        }
    }

    /// A function of vectors, of the last `N` operands.
    pub(super) fn mmx_lanewise<const N: usize>(
        &self,
        op: impl Fn([Val<'b>; N]) -> Val<'b>,
    ) -> Flow {
        let first = 2_u32.saturating_sub(N as u32);
        let operands: [_; N] = std::array::from_fn(|n| self.mmx_vector(first + n as u32));
        let arrangement = Arrangement::of(self.i.mnemonic());
        let value = op(self.arranged(arrangement, operands));
        match arrangement {
            Arrangement::High => self.set_mmx_op(0, value.as_vector(Q).lane_u(1)),
            _ => self.set_mmx(value),
        }
    }

    fn arranged<const N: usize>(
        &self,
        arrangement: Arrangement,
        operands: [Val<'b>; N],
    ) -> [Val<'b>; N] {
        let above =
            |low: Val<'b>, high: Val<'b>| low.as_vector(Q).set_lane(1, Self::mmx_bits(high));
        let [first, .., last] = operands[..] else { return operands };
        match arrangement {
            Arrangement::Low => operands,
            Arrangement::High => operands.map(|value| above(self.b.zeros(), value)),
            Arrangement::Joined => [above(first, last); N],
            Arrangement::Shifted => {
                let joined = above(last, first);
                std::array::from_fn(|n| if n == 0 { self.b.zeros() } else { joined })
            }
            Arrangement::Chosen => {
                let bits = self.konst(0x8787_8787_8787_8787);
                let chosen = (Self::mmx_bits(last) & bits).zext_wide(Type::WIDE);
                std::array::from_fn(|n| if n == 0 { first } else { chosen })
            }
        }
    }

    /// Shifts, by an immediate or the second operand.
    fn mmx_shift(&self) -> Flow {
        let Some(helper) = shift_helper(self.i.mnemonic()) else { return Flow::Undefined };
        let count = match self.i.op_kind(1) {
            OpKind::Register | OpKind::Memory => self.mmx_vector(1),
            _ => self.konst(u64::from(self.i.immediate8())).zext_wide(Type::WIDE),
        };
        self.set_mmx(self.wide(helper, 0, self.mmx_vector(0), count))
    }

    /// PMOVMSKB
    fn mmx_signs(&self) -> Flow {
        let vector = self.mmx_vector(1);
        self.set_op(0, Self::mmx_bits(self.wide(helpers::PMOVMSKB, 0, vector, vector)))
    }

    /// PSHUFW
    fn pshufw(&self) -> Flow {
        let (source, order) = (self.mmx_vector(1), self.i.immediate8());
        let words =
            Self::elements(source, source, 1, |n| if n < 4 { order >> (2 * n) & 3 } else { n });
        self.set_mmx(words)
    }

    /// PINSRW
    fn mmx_insert(&self) -> Flow {
        let value = match self.i.op_kind(1) {
            OpKind::Memory => self.load(self.address(), Type::I16),
            _ => self.zero_extended(1),
        };
        let lane = u32::from(self.i.immediate8() & 3);
        let vector = self.mmx_vector(0).as_vector(Type::I16x8);
        self.set_mmx(vector.set_lane(lane, value.at(Type::I16)))
    }

    /// PEXTRW
    fn mmx_extract(&self) -> Flow {
        let lane = u32::from(self.i.immediate8() & 3);
        self.set_op(0, self.mmx_vector(1).as_vector(Type::I16x8).lane_u(lane))
    }

    /// MASKMOVQ: to RDI.
    fn maskmovq(&self) -> Flow {
        let arguments = [self.mmx_op(1), self.mmx_op(2), self.masked_address()];
        self.b.call_void(helpers::MASKMOVQ, &arguments);
        Flow::Next
    }

    /// The two words of operand 1.
    fn words(&self) -> [Val<'b>; 2] {
        let words = self.mmx_op(1);
        [words.low32(), words.shr_u(self.konst(32)).low32()]
    }

    /// CVTPI2PS
    fn cvtpi2ps(&self) -> Flow {
        self.fp(|| {
            let [low, high] = self.words().map(|word| word.sto_f(Type::F32, self.round()));
            let old = self.v(0).as_vector(Type::F32x4);
            self.set_v(old.set_lane(0, low).set_lane(1, high))
        })
    }

    /// CVTPI2PD: exact.
    fn cvtpi2pd(&self) -> Flow {
        let [low, high] = self.words().map(|word| word.sto_f(Type::F64, FpRound::NearestEven));
        self.set_v(low.zext_wide(Type::F64x2).set_lane(1, high))
    }

    /// Two words become operand 0.
    fn set_words(&self, [low, high]: [Val<'b>; 2]) -> Flow {
        let high = high.at(Type::I32).zext().shl(self.konst(32));
        self.set_mmx_op(0, high | low.at(Type::I32).zext())
    }

    /// Two floats in a vector's lower half, or memory.
    fn two_floats(&self) -> Val<'b> {
        match self.i.op_kind(1) {
            OpKind::Memory => self.mmx_vector(1),
            _ => self.v(1),
        }
    }

    /// CVTPS2PI, CVTTPS2PI
    fn cvtps2pi(&self, round: FpRound) -> Flow {
        self.fp(|| {
            let source = self.two_floats().as_vector(Type::F32x4);
            self.set_words([0, 1].map(|n| source.lane_u(n).fto_s(Type::I32, round)))
        })
    }

    /// CVTPD2PI, CVTTPD2PI
    fn cvtpd2pi(&self, round: FpRound) -> Flow {
        self.fp(|| {
            let source = self.v(1).as_vector(Type::F64x2);
            self.set_words([0, 1].map(|n| source.lane_u(n).fto_s(Type::I32, round)))
        })
    }
}
