//! Flag control (SDM vol. 1, 5.1.9), miscellaneous instructions (5.1.13), and what user mode sees of system ones
//! (5.20).

use arch::x86_64::{helpers, slot};
use base::{HelperId, RegSlot};
use decoders::x86_64::{Code, Mnemonic};
use ir::{MemOrder, Type, Val};

use super::data::{RAX, RCX, RDX};
use super::operand::Place;
use super::table::Semantics;
use super::{Flow, Insn};

/// What an encoding means.
pub(super) fn table(code: Code) -> Option<Semantics> {
    use Mnemonic as M;
    Some(match code.mnemonic() {
        M::Clc => |i| i.write_carry(i.konst(0)),
        M::Stc => |i| i.write_carry(i.konst(1)),
        M::Cmc => |i| i.write_carry(i.carry() ^ i.konst(1)),
        M::Cld => |i| i.write_direction(0),
        M::Std => |i| i.write_direction(1),
        M::Lahf => |i| i.lahf(),
        M::Sahf => |i| i.sahf(),
        M::Nop | M::Reservednop | M::Endbr32 | M::Endbr64 | M::Rdsspd | M::Rdsspq => |_| Flow::Next,
        M::Prefetchnta
        | M::Prefetcht0
        | M::Prefetcht1
        | M::Prefetcht2
        | M::Prefetchw
        | M::Prefetchwt1
        | M::Prefetch
        | M::Prefetchit0
        | M::Prefetchit1
        | M::Cldemote => |_| Flow::Next,
        M::Pause => |i| i.pause(),
        M::Lfence => |i| i.fence(MemOrder::Acquire),
        M::Sfence => |i| i.fence(MemOrder::Release),
        M::Mfence => |i| i.fence(MemOrder::SeqCst),
        M::Clflush | M::Clflushopt | M::Clwb => |i| i.flush_line(),
        M::Serialize => |i| i.serialize(),
        M::Rdtsc => |i| i.rdtsc(),
        M::Rdtscp => |i| i.rdtscp(),
        M::Rdpid => |i| i.set_op(0, i.call(helpers::TSC_AUX, &[])),
        M::Rdrand | M::Rdseed => |i| i.random(),
        M::Rdfsbase => |i| i.set_op(0, i.b.slot(slot::FS_BASE)),
        M::Rdgsbase => |i| i.set_op(0, i.b.slot(slot::GS_BASE)),
        M::Wrfsbase => |i| i.write_base(slot::FS_BASE),
        M::Wrgsbase => |i| i.write_base(slot::GS_BASE),
        M::Lar => |i| i.describe(helpers::ACCESS_RIGHTS),
        M::Lsl => |i| i.describe(helpers::SEGMENT_LIMIT),
        M::Verr => |i| i.verify(SEGMENT, SEGMENT),
        M::Verw => |i| i.verify(EXECUTABLE | WRITABLE, WRITABLE),
        M::Hlt
        | M::Cli
        | M::Sti
        | M::In
        | M::Out
        | M::Clts
        | M::Invd
        | M::Wbinvd
        | M::Wbnoinvd
        | M::Invlpg
        | M::Lgdt
        | M::Lidt
        | M::Lldt
        | M::Ltr
        | M::Lmsw
        | M::Rdmsr
        | M::Wrmsr
        | M::Rdpmc
        | M::Swapgs
        | M::Sysret
        | M::Sysretq
        | M::Sysexit
        | M::Sysexitq
        | M::Xsetbv => |_| Flow::System,
        // User-mode instruction prevention (UMIP) leaves them to the kernel.
        M::Sgdt | M::Sidt | M::Sldt | M::Smsw | M::Str => |_| Flow::System,
        _ => return None,
    })
}

/// Access rights: of code or data, all of which a program may read under Linux; of code; of data that may be written.
const SEGMENT: u64 = 1 << 12;
const EXECUTABLE: u64 = 1 << 11;
const WRITABLE: u64 = 1 << 9;

impl<'b> Insn<'b> {
    fn write_carry(&self, value: Val<'b>) -> Flow {
        self.b.set_slot(slot::CARRY, value);
        Flow::Next
    }

    fn write_direction(&self, value: u64) -> Flow {
        self.b.set_slot(slot::DF, self.konst(value));
        Flow::Next
    }

    /// LAHF: AH = SF, ZF, 0, AF, 0, PF, 1, CF
    fn lahf(&self) -> Flow {
        match self.frontend.cpu.has(arch::x86_64::feature::Feature::LAHF) {
            true => self.write(Place::High(RAX), self.packed_low()),
            false => return Flow::Undefined,
        }
        Flow::Next
    }

    /// SAHF
    fn sahf(&self) -> Flow {
        if !self.frontend.cpu.has(arch::x86_64::feature::Feature::LAHF) {
            return Flow::Undefined;
        }
        let flags = self.gpr(RAX).shr_u(self.konst(8));
        self.set_packed_low(flags);
        Flow::Next
    }

    fn pause(&self) -> Flow {
        self.b.call_void(helpers::PAUSE, &[]);
        Flow::Next
    }

    fn fence(&self, order: MemOrder) -> Flow {
        self.b.fence(order);
        Flow::Next
    }

    /// CLFLUSH and its like: loads from the line, as far as exceptions go.
    fn flush_line(&self) -> Flow {
        let _ = self.load(self.address(), Type::I8);
        Flow::Next
    }

    /// SERIALIZE: what comes after it is fetched after it.
    fn serialize(&self) -> Flow {
        self.b.call_void(helpers::SYNC_CODE, &[]);
        self.look_up_next()
    }

    /// A value of 64 bits to EDX:EAX.
    fn write_edx_eax(&self, value: Val<'b>) {
        self.b.set_slot(slot::gpr(RAX), value.low32().zext());
        self.b.set_slot(slot::gpr(RDX), value.shr_u(self.konst(32)));
    }

    fn rdtsc(&self) -> Flow {
        self.write_edx_eax(self.call(helpers::TSC, &[]));
        Flow::Next
    }

    fn rdtscp(&self) -> Flow {
        self.b.set_slot(slot::gpr(RCX), self.call(helpers::TSC_AUX, &[]));
        self.rdtsc()
    }

    /// RDRAND, RDSEED: CF says whether there was a number; all other flags are 0.
    fn random(&self) -> Flow {
        let number = self.call(helpers::RANDOM, &[]);
        self.write(self.place(0), number);
        // Not zero, of odd parity, not negative.
        self.set_zero(|| self.konst(1));
        self.set_sign(|| self.konst(1));
        self.set_aux(|| self.konst(1));
        self.set_less(|| self.konst(0));
        Flow::Next
    }

    /// LAR, LSL: what a helper says of the segment that the second operand selects, unless there is none: then it says
    /// [`helpers::system::NO_SEGMENT`]. ZF says whether there is.
    fn describe(&self, helper: HelperId) -> Flow {
        let value = self.call(helper, &[self.selector(1)]);
        let missing = value.eq(self.konst(helpers::system::NO_SEGMENT));
        let place = self.place(0);
        match place {
            Place::Gpr(n, Type::I32 | Type::I64) => {
                self.b.set_slot(slot::gpr(n), missing.select(self.gpr(n), value));
            }
            place => self.write(place, missing.select(self.read(place).zext(), value)),
        }
        self.set_zero(|| missing);
        Flow::Next
    }

    /// VERR, VERW: ZF says whether the segment may be read, or written.
    fn verify(&self, mask: u64, wanted: u64) -> Flow {
        let rights = self.call(helpers::ACCESS_RIGHTS, &[self.selector(0)]);
        let missing = rights.eq(self.konst(helpers::system::NO_SEGMENT));
        let denied = (rights & self.konst(mask)).ne(self.konst(wanted));
        self.set_zero(|| missing | denied);
        Flow::Next
    }

    /// WRFSBASE, WRGSBASE: #GP if the address is not canonical.
    fn write_base(&self, base: RegSlot) -> Flow {
        let value = self.zero_extended(0);
        let shift = self.konst(16);
        self.raise_if(value.shl(shift).shr_s(shift) ^ value);
        self.b.set_slot(base, value);
        Flow::Next
    }
}
