//! Loads and stores (Arm ARM, C4.1.94).

mod address;
mod atomic;
mod mops;
mod structure;
mod tag;

use arch::aarch64::helpers;
use base::defect::{Defect, is_seeded};
use decoders::aarch64::{
    Atomic, AuthLoad, CasPair, Copy, Extension, Lane, LdstFp, LdstFpLit, LdstFpReg, LdstImm,
    LdstLit, LdstReg, LoadPair, LoadStore, Ordered, OrderedExt, OrderedImm, Pair, PairFp,
    StoreExcl, StorePair, Structure, Tag, Tags as TagBlock,
};
use ir::{MemOrder, Opcode, Type};

use self::address::{Address, integer};
use super::pauth::Key;
use super::register::width;
use super::{Flow, Insn};

impl<'b> Insn<'b> {
    fn load_imm(&self, ty: Type, LdstImm { rt, rn, imm, mode, .. }: LdstImm) -> Flow {
        self.indexed((rn, imm, mode), |at| self.load(ty, rt, at))
    }

    fn load_signed_imm(&self, ty: Type, LdstImm { sf, rt, rn, imm, mode }: LdstImm) -> Flow {
        self.indexed((rn, imm, mode), |at| self.load_signed(ty, sf, rt, at))
    }

    fn store_imm(&self, ty: Type, LdstImm { rt, rn, imm, mode, .. }: LdstImm) -> Flow {
        self.indexed((rn, imm, mode), |at| self.store(ty, rt, at))
    }

    fn at_reg(&self, LdstReg { rn, rm, option, shift, scale, .. }: LdstReg) -> Address<'b> {
        self.at_register(rn, rm, option, if shift { scale } else { 0 })
    }

    fn at_fp_reg(&self, LdstFpReg { size, rn, rm, option, shift, .. }: LdstFpReg) -> Address<'b> {
        self.at_register(rn, rm, option, if shift { size } else { 0 })
    }

    /// Whether a pair of X registers is accessed at once: by FEAT_LSE2, if its address is a multiple of 16. What is
    /// relative to the stack pointer is taken to be no other thread's business.
    fn at_once(&self, sf: bool, rn: u8) -> bool {
        sf && rn != 31 && self.frontend.extensions.contains(Extension::LSE2)
    }

    /// LDRAA and LDRAB: the address that is written back is the authenticated one.
    fn load_authenticated(&self, key: Key, AuthLoad { rt, rn, imm, mode }: AuthLoad) -> Flow {
        let base = self.authenticate_to_use(key, self.base(rn), self.konst(0));
        let addr = if imm == 0 { base } else { base + self.imm(imm) };
        if mode != 0 {
            self.set_x_or_sp(rn, addr);
        }
        self.load(Type::I64, rt, Address { base: self.untagged(addr), offset: 0 })
    }
}

impl LoadStore for Insn<'_> {
    /// CASP, CASPA, CASPAL, CASPL: of pairs of registers
    fn casp(&self, args: CasPair) -> Flow {
        self.compare_and_swap_pair(args)
    }

    /// ST4 (multiple structures)
    fn st4_multiple(&self, args: Structure) -> Flow {
        self.store_registers(args, 4)
    }

    /// ST1 (multiple structures)
    fn st1_multiple(&self, args: Structure) -> Flow {
        self.store_registers(args, 1)
    }

    /// ST3 (multiple structures)
    fn st3_multiple(&self, args: Structure) -> Flow {
        self.store_registers(args, 3)
    }

    /// ST2 (multiple structures)
    fn st2_multiple(&self, args: Structure) -> Flow {
        self.store_registers(args, 2)
    }

    /// LD4 (multiple structures)
    fn ld4_multiple(&self, args: Structure) -> Flow {
        self.load_registers(args, 4)
    }

    /// LD1 (multiple structures)
    fn ld1_multiple(&self, args: Structure) -> Flow {
        self.load_registers(args, 1)
    }

    /// LD3 (multiple structures)
    fn ld3_multiple(&self, args: Structure) -> Flow {
        self.load_registers(args, 3)
    }

    /// LD2 (multiple structures)
    fn ld2_multiple(&self, args: Structure) -> Flow {
        self.load_registers(args, 2)
    }

    /// ST1 (single structure)
    fn st1_lane(&self, args: Lane) -> Flow {
        self.store_lanes(args)
    }

    /// ST2 (single structure)
    fn st2_lane(&self, args: Lane) -> Flow {
        self.store_lanes(args)
    }

    /// ST3 (single structure)
    fn st3_lane(&self, args: Lane) -> Flow {
        self.store_lanes(args)
    }

    /// ST4 (single structure)
    fn st4_lane(&self, args: Lane) -> Flow {
        self.store_lanes(args)
    }

    /// LD1 (single structure)
    fn ld1_lane(&self, args: Lane) -> Flow {
        self.load_lanes(args)
    }

    /// LD2 (single structure)
    fn ld2_lane(&self, args: Lane) -> Flow {
        self.load_lanes(args)
    }

    /// LD3 (single structure)
    fn ld3_lane(&self, args: Lane) -> Flow {
        self.load_lanes(args)
    }

    /// LD4 (single structure)
    fn ld4_lane(&self, args: Lane) -> Flow {
        self.load_lanes(args)
    }

    /// LD1R
    fn ld1r(&self, args: Structure) -> Flow {
        self.load_replicated(args)
    }

    /// LD2R
    fn ld2r(&self, args: Structure) -> Flow {
        self.load_replicated(args)
    }

    /// LD3R
    fn ld3r(&self, args: Structure) -> Flow {
        self.load_replicated(args)
    }

    /// LD4R
    fn ld4r(&self, args: Structure) -> Flow {
        self.load_replicated(args)
    }

    /// STG: stores the tag of an address
    fn stg(&self, args: Tag) -> Flow {
        self.store_tags(args, 1)
    }

    /// STZG: the same, and zeros
    fn stzg(&self, args: Tag) -> Flow {
        self.store_zeros_and_tags(args, 1)
    }

    /// ST2G: of two granules
    fn st2g(&self, args: Tag) -> Flow {
        self.store_tags(args, 2)
    }

    /// STZ2G: the same, and zeros
    fn stz2g(&self, args: Tag) -> Flow {
        self.store_zeros_and_tags(args, 2)
    }

    /// LDG: X[t] with the tag of the memory at the address, which is 0
    fn ldg(&self, args: Tag) -> Flow {
        self.load_tag(args)
    }

    /// STZGM: UNDEFINED at EL0
    fn stzgm(&self, _: TagBlock) -> Flow {
        Flow::Undefined
    }

    /// STGM: UNDEFINED at EL0
    fn stgm(&self, _: TagBlock) -> Flow {
        Flow::Undefined
    }

    /// LDGM: UNDEFINED at EL0
    fn ldgm(&self, _: TagBlock) -> Flow {
        Flow::Undefined
    }

    /// STXP: if the monitor passes then memory = R[t2]:R[t], W[s] = 0, else W[s] = 1
    fn stxp(&self, args: StorePair) -> Flow {
        self.store_exclusive_pair(args)
    }

    /// STLXP: STXP, and a store-release
    fn stlxp(&self, args: StorePair) -> Flow {
        self.store_exclusive_pair(args)
    }

    /// LDXP: R[t2]:R[t] = memory, which is monitored
    fn ldxp(&self, args: LoadPair) -> Flow {
        self.load_exclusive_pair(args, MemOrder::Plain)
    }

    /// LDAXP: LDXP, and a load-acquire
    fn ldaxp(&self, args: LoadPair) -> Flow {
        self.load_exclusive_pair(args, MemOrder::SeqCst)
    }

    /// STXRB, STXRH, STXR: if the monitor passes then memory = R[t], W[s] = 0, else W[s] = 1
    fn stxr(&self, args: StoreExcl) -> Flow {
        self.store_exclusive(args)
    }

    /// STLXRB, STLXRH, STLXR: STXR, and a store-release
    fn stlxr(&self, args: StoreExcl) -> Flow {
        self.store_exclusive(args)
    }

    /// LDXRB, LDXRH, LDXR: R[t] = memory, which is monitored
    fn ldxr(&self, Ordered { size, rt, rn }: Ordered) -> Flow {
        self.load_exclusive(size, rt, rn, MemOrder::Plain)
    }

    /// LDAXRB, LDAXRH, LDAXR: LDXR, and a load-acquire
    fn ldaxr(&self, Ordered { size, rt, rn }: Ordered) -> Flow {
        self.load_exclusive(size, rt, rn, MemOrder::SeqCst)
    }

    /// STLRB, STLRH, STLR: a store-release
    fn stlr(&self, Ordered { size, rt, rn }: Ordered) -> Flow {
        let ty = integer(size);
        self.store_ordered(ty, rt, self.aligned(ty, rn, 0), MemOrder::SeqCst)
    }

    /// LDARB, LDARH, LDAR: a load-acquire
    fn ldar(&self, Ordered { size, rt, rn }: Ordered) -> Flow {
        let ty = integer(size);
        self.load_ordered(ty, rt, self.aligned(ty, rn, 0), MemOrder::SeqCst)
    }

    /// STLLRB, STLLRH, STLLR: STLR, as far as a LORegion reaches
    fn stllr(&self, Ordered { size, rt, rn }: Ordered) -> Flow {
        let ty = integer(size);
        self.store_ordered(ty, rt, self.aligned(ty, rn, 0), MemOrder::SeqCst)
    }

    /// LDLARB, LDLARH, LDLAR: LDAR, as far as a LORegion reaches
    fn ldlar(&self, Ordered { size, rt, rn }: Ordered) -> Flow {
        let ty = integer(size);
        self.load_ordered(ty, rt, self.aligned(ty, rn, 0), MemOrder::SeqCst)
    }

    /// CASB, CASH, CAS: if memory == R[s] then memory = R[t]; R[s] = what was there
    fn cas(&self, args: Atomic) -> Flow {
        self.compare_and_swap(args)
    }

    /// STLURB, STLURH, STLUR: a store-release
    fn stlur(&self, OrderedImm { size, rt, rn, imm }: OrderedImm) -> Flow {
        let ty = integer(size);
        self.store_ordered(ty, rt, self.aligned(ty, rn, imm), MemOrder::SeqCst)
    }

    /// LDAPURB, LDAPURH, LDAPUR: a load-acquire that earlier store-releases may pass
    fn ldapur(&self, OrderedImm { size, rt, rn, imm }: OrderedImm) -> Flow {
        let ty = integer(size);
        self.load_ordered(ty, rt, self.aligned(ty, rn, imm), MemOrder::Acquire)
    }

    /// LDAPURSB: LDAPUR, sign-extended
    fn ldapursb(&self, OrderedExt { sf, rt, rn, imm }: OrderedExt) -> Flow {
        let at = self.aligned(Type::I8, rn, imm);
        self.load_signed_ordered(Type::I8, sf, rt, at, MemOrder::Acquire)
    }

    /// LDAPURSH: LDAPUR, sign-extended
    fn ldapursh(&self, OrderedExt { sf, rt, rn, imm }: OrderedExt) -> Flow {
        let at = self.aligned(Type::I16, rn, imm);
        self.load_signed_ordered(Type::I16, sf, rt, at, MemOrder::Acquire)
    }

    /// LDAPURSW: LDAPUR, sign-extended
    fn ldapursw(&self, OrderedExt { sf, rt, rn, imm }: OrderedExt) -> Flow {
        let at = self.aligned(Type::I32, rn, imm);
        self.load_signed_ordered(Type::I32, sf, rt, at, MemOrder::Acquire)
    }

    /// LDR (literal): R[t] = memory at PC + imm
    fn ldr_lit(&self, LdstLit { sf, rt, imm }: LdstLit) -> Flow {
        self.load(width(sf), rt, self.at_label(imm))
    }

    /// LDRSW (literal)
    fn ldrsw_lit(&self, LdstLit { sf, rt, imm }: LdstLit) -> Flow {
        self.load_signed(Type::I32, sf, rt, self.at_label(imm))
    }

    /// PRFM (literal): does nothing
    fn prfm_lit(&self, _: LdstLit) -> Flow {
        Flow::Next
    }

    /// LDR (literal, SIMD&FP)
    fn ldr_fp_lit(&self, LdstFpLit { size, rt, imm }: LdstFpLit) -> Flow {
        self.load_fp(size, rt, self.at_label(imm))
    }

    /// CPYFP: prepares copying forward
    fn cpyfp(&self, args: Copy) -> Flow {
        self.start(helpers::CPYFP, args)
    }

    /// CPYFM: copies forward
    fn cpyfm(&self, args: Copy) -> Flow {
        self.repeat(helpers::CPY, args)
    }

    /// CPYFE: copies the rest
    fn cpyfe(&self, args: Copy) -> Flow {
        self.repeat(helpers::CPY, args)
    }

    /// SETP: prepares setting
    fn setp(&self, args: Copy) -> Flow {
        self.start(helpers::SETP, args)
    }

    /// SETM: sets
    fn setm(&self, args: Copy) -> Flow {
        self.repeat(helpers::SET, args)
    }

    /// SETE: sets the rest
    fn sete(&self, args: Copy) -> Flow {
        self.repeat(helpers::SET, args)
    }

    /// CPYP: prepares copying in the direction that overlapping memory needs
    fn cpyp(&self, args: Copy) -> Flow {
        self.start(helpers::CPYP, args)
    }

    /// CPYM: copies
    fn cpym(&self, args: Copy) -> Flow {
        self.repeat(helpers::CPY, args)
    }

    /// CPYE: copies the rest
    fn cpye(&self, args: Copy) -> Flow {
        self.repeat(helpers::CPY, args)
    }

    /// SETGP: SETP, since memory has no tags
    fn setgp(&self, args: Copy) -> Flow {
        self.setp(args)
    }

    /// SETGM: SETM, since memory has no tags
    fn setgm(&self, args: Copy) -> Flow {
        self.setm(args)
    }

    /// SETGE: SETE, since memory has no tags
    fn setge(&self, args: Copy) -> Flow {
        self.sete(args)
    }

    /// STNP: STP, with a hint that the memory will not be used soon
    fn stnp(&self, args: Pair) -> Flow {
        self.stp(args)
    }

    /// LDNP: LDP, with a hint that the memory will not be used soon
    fn ldnp(&self, args: Pair) -> Flow {
        self.ldp(args)
    }

    /// STNP (SIMD&FP)
    fn stnp_fp(&self, args: PairFp) -> Flow {
        self.stp_fp(args)
    }

    /// LDNP (SIMD&FP)
    fn ldnp_fp(&self, args: PairFp) -> Flow {
        self.ldp_fp(args)
    }

    /// STP: memory = R[t2]:R[t]
    fn stp(&self, Pair { sf, rt, rt2, rn, imm, mode }: Pair) -> Flow {
        self.indexed((rn, imm, mode), |at| {
            if self.at_once(sf, rn) {
                let both = self.x(rt).zext_wide(Type::I64x2).set_lane(1, self.x(rt2));
                self.b.store(Type::WIDE, at.base, at.offset, both, MemOrder::Plain);
                return Flow::Next;
            }
            self.store(width(sf), rt, at);
            self.store(width(sf), rt2, at.plus(width(sf).bytes() as i32))
        })
    }

    /// LDP: R[t2]:R[t] = memory
    fn ldp(&self, Pair { sf, rt, rt2, rn, imm, mode }: Pair) -> Flow {
        let (rt, rt2) = if is_seeded(Defect::LdpSwapsRegisters) { (rt2, rt) } else { (rt, rt2) };
        self.indexed((rn, imm, mode), |at| {
            if self.at_once(sf, rn) {
                let both = self.b.load_wide(at.base, at.offset, MemOrder::Plain);
                self.set_x(rt, both.lane_u(0));
                return self.set_x(rt2, both.lane_u(1));
            }
            self.load(width(sf), rt, at);
            self.load(width(sf), rt2, at.plus(width(sf).bytes() as i32))
        })
    }

    /// LDPSW: X[t] and X[t2] = words of memory, sign-extended
    fn ldpsw(&self, Pair { sf, rt, rt2, rn, imm, mode }: Pair) -> Flow {
        self.indexed((rn, imm, mode), |at| {
            self.load_signed(Type::I32, sf, rt, at);
            self.load_signed(Type::I32, sf, rt2, at.plus(4))
        })
    }

    /// STP (SIMD&FP): memory = the low bits of V[t2] and V[t]
    fn stp_fp(&self, PairFp { size, rt, rt2, rn, imm, mode }: PairFp) -> Flow {
        self.indexed((rn, imm, mode), |at| {
            self.store_fp(size, rt, at);
            self.store_fp(size, rt2, at.plus(1 << size))
        })
    }

    /// LDP (SIMD&FP): V[t] and V[t2] = memory
    fn ldp_fp(&self, PairFp { size, rt, rt2, rn, imm, mode }: PairFp) -> Flow {
        self.indexed((rn, imm, mode), |at| {
            self.load_fp(size, rt, at);
            self.load_fp(size, rt2, at.plus(1 << size))
        })
    }

    /// STGP: memory = X[t2]:X[t], and its tag, of which there is none
    fn stgp(&self, Pair { rt, rt2, rn, imm, mode, .. }: Pair) -> Flow {
        self.indexed((rn, imm, mode), |at| {
            let at = self.granule(at);
            self.store(Type::I64, rt, at);
            self.store(Type::I64, rt2, at.plus(8))
        })
    }

    /// STURB: at an unscaled offset
    fn sturb(&self, args: LdstImm) -> Flow {
        self.store_imm(Type::I8, args)
    }

    /// LDURB: at an unscaled offset
    fn ldurb(&self, args: LdstImm) -> Flow {
        self.load_imm(Type::I8, args)
    }

    /// LDURSB: at an unscaled offset
    fn ldursb(&self, args: LdstImm) -> Flow {
        self.load_signed_imm(Type::I8, args)
    }

    /// STURH: at an unscaled offset
    fn sturh(&self, args: LdstImm) -> Flow {
        self.store_imm(Type::I16, args)
    }

    /// LDURH: at an unscaled offset
    fn ldurh(&self, args: LdstImm) -> Flow {
        self.load_imm(Type::I16, args)
    }

    /// LDURSH: at an unscaled offset
    fn ldursh(&self, args: LdstImm) -> Flow {
        self.load_signed_imm(Type::I16, args)
    }

    /// STUR: at an unscaled offset
    fn stur(&self, args: LdstImm) -> Flow {
        self.store_imm(width(args.sf), args)
    }

    /// LDUR: at an unscaled offset
    fn ldur(&self, args: LdstImm) -> Flow {
        self.load_imm(width(args.sf), args)
    }

    /// LDURSW: at an unscaled offset
    fn ldursw(&self, args: LdstImm) -> Flow {
        self.load_signed_imm(Type::I32, args)
    }

    /// PRFUM: does nothing
    fn prfum(&self, _: LdstImm) -> Flow {
        Flow::Next
    }

    /// STUR (SIMD&FP)
    fn stur_fp(&self, args: LdstFp) -> Flow {
        self.str_fp_imm(args)
    }

    /// LDUR (SIMD&FP)
    fn ldur_fp(&self, args: LdstFp) -> Flow {
        self.ldr_fp_imm(args)
    }

    /// STRB (immediate)
    fn strb_imm(&self, args: LdstImm) -> Flow {
        self.store_imm(Type::I8, args)
    }

    /// LDRB (immediate)
    fn ldrb_imm(&self, args: LdstImm) -> Flow {
        self.load_imm(Type::I8, args)
    }

    /// LDRSB (immediate)
    fn ldrsb_imm(&self, args: LdstImm) -> Flow {
        self.load_signed_imm(Type::I8, args)
    }

    /// STRH (immediate)
    fn strh_imm(&self, args: LdstImm) -> Flow {
        self.store_imm(Type::I16, args)
    }

    /// LDRH (immediate)
    fn ldrh_imm(&self, args: LdstImm) -> Flow {
        self.load_imm(Type::I16, args)
    }

    /// LDRSH (immediate)
    fn ldrsh_imm(&self, args: LdstImm) -> Flow {
        self.load_signed_imm(Type::I16, args)
    }

    /// STR (immediate)
    fn str_imm(&self, args: LdstImm) -> Flow {
        self.store_imm(width(args.sf), args)
    }

    /// LDR (immediate)
    fn ldr_imm(&self, args: LdstImm) -> Flow {
        self.load_imm(width(args.sf), args)
    }

    /// LDRSW (immediate)
    fn ldrsw_imm(&self, args: LdstImm) -> Flow {
        self.load_signed_imm(Type::I32, args)
    }

    /// STR (immediate, SIMD&FP): memory = the low bits of V[t]
    fn str_fp_imm(&self, LdstFp { size, rt, rn, imm, mode }: LdstFp) -> Flow {
        self.indexed((rn, imm, mode), |at| self.store_fp(size, rt, at))
    }

    /// LDR (immediate, SIMD&FP): V[t] = memory, zero-extended
    fn ldr_fp_imm(&self, LdstFp { size, rt, rn, imm, mode }: LdstFp) -> Flow {
        self.indexed((rn, imm, mode), |at| self.load_fp(size, rt, at))
    }

    /// STTRB: at EL0 as without T
    fn sttrb(&self, args: LdstImm) -> Flow {
        self.store_imm(Type::I8, args)
    }

    /// LDTRB: at EL0 as without T
    fn ldtrb(&self, args: LdstImm) -> Flow {
        self.load_imm(Type::I8, args)
    }

    /// LDTRSB: at EL0 as without T
    fn ldtrsb(&self, args: LdstImm) -> Flow {
        self.load_signed_imm(Type::I8, args)
    }

    /// STTRH: at EL0 as without T
    fn sttrh(&self, args: LdstImm) -> Flow {
        self.store_imm(Type::I16, args)
    }

    /// LDTRH: at EL0 as without T
    fn ldtrh(&self, args: LdstImm) -> Flow {
        self.load_imm(Type::I16, args)
    }

    /// LDTRSH: at EL0 as without T
    fn ldtrsh(&self, args: LdstImm) -> Flow {
        self.load_signed_imm(Type::I16, args)
    }

    /// STTR: at EL0 as without T
    fn sttr(&self, args: LdstImm) -> Flow {
        self.store_imm(width(args.sf), args)
    }

    /// LDTR: at EL0 as without T
    fn ldtr(&self, args: LdstImm) -> Flow {
        self.load_imm(width(args.sf), args)
    }

    /// LDTRSW: at EL0 as without T
    fn ldtrsw(&self, args: LdstImm) -> Flow {
        self.load_signed_imm(Type::I32, args)
    }

    /// LDADDB, LDADDH, LDADD, of any order: R[t] = memory; memory = memory + R[s]
    fn ldadd(&self, args: Atomic) -> Flow {
        self.atomic(Opcode::AtomicAdd, args)
    }

    /// LDCLRB, LDCLRH, LDCLR, of any order: R[t] = memory; memory = memory AND NOT R[s]
    fn ldclr(&self, args: Atomic) -> Flow {
        self.atomic_of(Opcode::AtomicAnd, args, !self.x(args.rs))
    }

    /// LDEORB, LDEORH, LDEOR, of any order: R[t] = memory; memory = memory EOR R[s]
    fn ldeor(&self, args: Atomic) -> Flow {
        self.atomic(Opcode::AtomicXor, args)
    }

    /// LDSETB, LDSETH, LDSET, of any order: R[t] = memory; memory = memory OR R[s]
    fn ldset(&self, args: Atomic) -> Flow {
        self.atomic(Opcode::AtomicOr, args)
    }

    /// LDSMAXB, LDSMAXH, LDSMAX, of any order: R[t] = memory; memory = memory max_s R[s]
    fn ldsmax(&self, args: Atomic) -> Flow {
        self.atomic(Opcode::AtomicMaxS, args)
    }

    /// LDSMINB, LDSMINH, LDSMIN, of any order: R[t] = memory; memory = memory min_s R[s]
    fn ldsmin(&self, args: Atomic) -> Flow {
        self.atomic(Opcode::AtomicMinS, args)
    }

    /// LDUMAXB, LDUMAXH, LDUMAX, of any order: R[t] = memory; memory = memory max_u R[s]
    fn ldumax(&self, args: Atomic) -> Flow {
        self.atomic(Opcode::AtomicMaxU, args)
    }

    /// LDUMINB, LDUMINH, LDUMIN, of any order: R[t] = memory; memory = memory min_u R[s]
    fn ldumin(&self, args: Atomic) -> Flow {
        self.atomic(Opcode::AtomicMinU, args)
    }

    /// SWPB, SWPH, SWP, of any order: R[t] = memory; memory = R[s]
    fn swp(&self, args: Atomic) -> Flow {
        self.atomic(Opcode::AtomicSwap, args)
    }

    /// LDAPRB, LDAPRH, LDAPR: a load-acquire that earlier store-releases may pass
    fn ldapr(&self, Ordered { size, rt, rn }: Ordered) -> Flow {
        let ty = integer(size);
        self.load_ordered(ty, rt, self.aligned(ty, rn, 0), MemOrder::Acquire)
    }

    /// STRB (register)
    fn strb_reg(&self, args: LdstReg) -> Flow {
        self.store(Type::I8, args.rt, self.at_reg(args))
    }

    /// LDRB (register)
    fn ldrb_reg(&self, args: LdstReg) -> Flow {
        self.load(Type::I8, args.rt, self.at_reg(args))
    }

    /// LDRSB (register)
    fn ldrsb_reg(&self, args: LdstReg) -> Flow {
        self.load_signed(Type::I8, args.sf, args.rt, self.at_reg(args))
    }

    /// STRH (register)
    fn strh_reg(&self, args: LdstReg) -> Flow {
        self.store(Type::I16, args.rt, self.at_reg(args))
    }

    /// LDRH (register)
    fn ldrh_reg(&self, args: LdstReg) -> Flow {
        self.load(Type::I16, args.rt, self.at_reg(args))
    }

    /// LDRSH (register)
    fn ldrsh_reg(&self, args: LdstReg) -> Flow {
        self.load_signed(Type::I16, args.sf, args.rt, self.at_reg(args))
    }

    /// STR (register)
    fn str_reg(&self, args: LdstReg) -> Flow {
        self.store(width(args.sf), args.rt, self.at_reg(args))
    }

    /// LDR (register)
    fn ldr_reg(&self, args: LdstReg) -> Flow {
        self.load(width(args.sf), args.rt, self.at_reg(args))
    }

    /// LDRSW (register)
    fn ldrsw_reg(&self, args: LdstReg) -> Flow {
        self.load_signed(Type::I32, args.sf, args.rt, self.at_reg(args))
    }

    /// PRFM (register): does nothing
    fn prfm_reg(&self, _: LdstReg) -> Flow {
        Flow::Next
    }

    /// STR (register, SIMD&FP)
    fn str_fp_reg(&self, args: LdstFpReg) -> Flow {
        self.store_fp(args.size, args.rt, self.at_fp_reg(args))
    }

    /// LDR (register, SIMD&FP)
    fn ldr_fp_reg(&self, args: LdstFpReg) -> Flow {
        self.load_fp(args.size, args.rt, self.at_fp_reg(args))
    }

    /// LDRAA: X[t] = memory at X[n] or SP, authenticated with 0 as modifier, + imm
    fn ldraa(&self, args: AuthLoad) -> Flow {
        self.load_authenticated(Key::Da, args)
    }

    /// LDRAB
    fn ldrab(&self, args: AuthLoad) -> Flow {
        self.load_authenticated(Key::Db, args)
    }

    /// PRFM (immediate): does nothing
    fn prfm_imm(&self, _: LdstImm) -> Flow {
        Flow::Next
    }
}
