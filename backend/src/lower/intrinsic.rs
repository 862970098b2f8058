//! Calls of helpers that the host computes with instructions of its own (`host_insn`).
//!
//! Guests take AES's rounds and SHA-256's state apart otherwise than hosts do. So what is one instruction of the host
//! between two of the guest is known by its operands: `known` remembers what they came from.

use std::collections::HashMap;

use base::Intrinsic;
use cranelift_codegen::ir::{
    ExtFuncData, ExternalName, FuncRef, InstBuilder, UserExternalName, Value, types,
};
use ir::{Block, Inst, Opcode, Operand, Type};

use super::Lowering;
use crate::host_insn::{self, HostInsn};

/// What was found out about values.
#[derive(Default)]
pub(super) struct Known {
    functions: HashMap<u32, FuncRef>,
    /// Of results of the last round of AES that only the mixing of columns reads, by temporary: the state before.
    unmixed: HashMap<Operand, Value>,
    /// Four rounds of SHA-256 in this block, by variables before and words.
    rounds: HashMap<[Value; 3], Rounds>,
    /// The variables of SHA-256 as the host has them, by those of the guest.
    states: HashMap<[Value; 2], [Value; 2]>,
}

impl Known {
    /// A new block: what stood in another one may not have been executed.
    pub(super) fn begin_block(&mut self) {
        self.unmixed.clear();
        self.rounds.clear();
    }
}

/// What comes of four rounds of SHA-256.
#[derive(Clone, Copy)]
struct Rounds {
    /// The variables a, b, e, f, the last one lowest.
    abef: Value,
    /// The variables c, d, g, h, the last one lowest.
    cdgh: Value,
    /// The variables a to d, the first one lowest.
    abcd: Value,
    /// The variables e to h, the first one lowest.
    efgh: Value,
}

impl Lowering<'_, '_> {
    /// The result of a call, if it is that of an intrinsic for which this host has instructions.
    pub(super) fn intrinsic(&mut self, block: &Block, inst: &Inst) -> Option<Value> {
        let intrinsic = self.intrinsic_of(inst)?;
        let a = self.vector_arg(block, inst, 0);
        let mut b = || self.vector_arg(block, inst, 1);
        Some(match intrinsic {
            Intrinsic::AesEncryptLast => {
                let state = b();
                let state = self.fb.ins().bxor(a, state);
                self.aes_last(block, inst, HostInsn::Aesenclast, state)
            }
            Intrinsic::AesDecryptLast => {
                let state = b();
                let state = self.fb.ins().bxor(a, state);
                self.aes_last(block, inst, HostInsn::Aesdeclast, state)
            }
            Intrinsic::AesMixColumns => match self.known.unmixed.get(&inst.args[0]) {
                Some(&state) => self.aes_round(HostInsn::Aesenc, state),
                None => {
                    let before = self.aes_round(HostInsn::Aesdeclast, a);
                    self.aes_round(HostInsn::Aesenc, before)
                }
            },
            Intrinsic::AesInvMixColumns => match self.known.unmixed.get(&inst.args[0]) {
                Some(&state) => self.aes_round(HostInsn::Aesdec, state),
                None => self.host_insn(HostInsn::Aesimc, &[a]),
            },
            Intrinsic::PolynomialProductLow => {
                let b = b();
                self.host_insn(HostInsn::PclmulqdqLow, &[a, b])
            }
            Intrinsic::PolynomialProductHigh => {
                let b = b();
                self.host_insn(HostInsn::PclmulqdqHigh, &[a, b])
            }
            Intrinsic::Sha256Schedule0 => {
                let b = b();
                self.host_insn(HostInsn::Sha256msg1, &[b, a])
            }
            Intrinsic::Sha256Schedule1 => self.sha256_schedule(block, inst),
            Intrinsic::Sha256Hash => {
                let (words, abcd) = (b(), self.vector_arg(block, inst, 2));
                self.sha256_rounds(abcd, a, words).abcd
            }
            Intrinsic::Sha256Hash2 => {
                let (words, efgh) = (b(), self.vector_arg(block, inst, 2));
                self.sha256_rounds(a, efgh, words).efgh
            }
            Intrinsic::Sha1Choose => {
                self.sha1_rounds(block, inst, HostInsn::Sha1rnds4Choose, 0x5a82_7999)
            }
            Intrinsic::Sha1Parity => {
                self.sha1_rounds(block, inst, HostInsn::Sha1rnds4Parity, 0x6ed9_eba1)
            }
            Intrinsic::Sha1Majority => {
                self.sha1_rounds(block, inst, HostInsn::Sha1rnds4Majority, 0x8f1b_bcdc)
            }
            Intrinsic::Sha256Rounds2 => {
                let (abef, words) = (b(), self.vector_arg(block, inst, 2));
                self.host_insn(HostInsn::Sha256rnds2, &[words, a, abef])
            }
            Intrinsic::ByteSigns => self.signs(a, types::I8X16),
            Intrinsic::WordSigns => self.signs(a, types::I32X4),
            Intrinsic::DoublewordSigns => self.signs(a, types::I64X2),
            Intrinsic::Packed(op) => {
                let b = b();
                self.host_insn(HostInsn::Packed(op), &[a, b])
            }
        })
    }

    /// What a call computes, if this host has instructions for it.
    fn intrinsic_of(&self, inst: &Inst) -> Option<Intrinsic> {
        if inst.op != Opcode::CallWide || !self.options.intrinsics {
            return None;
        }
        let intrinsic = self.guest.helper(inst.helper())?.intrinsic?;
        let insn = match intrinsic {
            Intrinsic::AesEncryptLast
            | Intrinsic::AesDecryptLast
            | Intrinsic::AesMixColumns
            | Intrinsic::AesInvMixColumns => HostInsn::Aesenc,
            Intrinsic::PolynomialProductLow | Intrinsic::PolynomialProductHigh => {
                HostInsn::PclmulqdqLow
            }
            Intrinsic::Sha256Hash
            | Intrinsic::Sha256Hash2
            | Intrinsic::Sha256Schedule0
            | Intrinsic::Sha256Schedule1
            | Intrinsic::Sha1Choose
            | Intrinsic::Sha1Parity
            | Intrinsic::Sha1Majority
            | Intrinsic::Sha256Rounds2 => HostInsn::Sha256rnds2,
            Intrinsic::ByteSigns | Intrinsic::WordSigns | Intrinsic::DoublewordSigns => {
                return Some(intrinsic);
            }
            Intrinsic::Packed(op) => HostInsn::Packed(op),
        };
        insn.is_available().then_some(intrinsic)
    }

    /// The signs of lanes as a number, and zeros above it.
    fn signs(&mut self, a: Value, lanes: cranelift_codegen::ir::Type) -> Value {
        let a = self.bitcast(a, lanes);
        let signs = self.fb.ins().vhigh_bits(types::I64, a);
        let vector = self.fb.ins().scalar_to_vector(types::I64X2, signs);
        self.extended.insert(vector, signs);
        self.upper_zero.insert(vector);
        vector
    }

    /// An operand as one vector, and as the same value whatever it was looked at in between.
    fn vector_arg(&mut self, block: &Block, inst: &Inst, index: usize) -> Value {
        let value = self.arg(block, inst, index);
        let made = self.as_made(value);
        if self.fb.func.dfg.value_type(made) == types::I64X2 { made } else { value }
    }

    fn host_insn(&mut self, insn: HostInsn, operands: &[Value]) -> Value {
        let function = match self.known.functions.get(&insn.number()) {
            Some(&function) => function,
            None => self.import(insn),
        };
        let call = self.fb.ins().call(function, operands);
        self.fb.inst_results(call)[insn.result()]
    }

    fn import(&mut self, insn: HostInsn) -> FuncRef {
        let signature = self.fb.import_signature(insn.signature());
        let name = UserExternalName { namespace: host_insn::NAMESPACE, index: insn.number() };
        let name = ExternalName::user(self.fb.func.declare_imported_user_function(name));
        let data = ExtFuncData { name, signature, colocated: true, patchable: false };
        let function = self.fb.import_function(data);
        self.known.functions.insert(insn.number(), function);
        function
    }

    /// A round of AES without its key.
    fn aes_round(&mut self, insn: HostInsn, state: Value) -> Value {
        let key = self.zeros(Type::WIDE);
        self.host_insn(insn, &[state, key])
    }

    /// A last round of AES. One whose columns are mixed next is a middle round: it is computed there.
    fn aes_last(&mut self, block: &Block, inst: &Inst, insn: HostInsn, state: Value) -> Value {
        let mixes = match insn {
            HostInsn::Aesenclast => Intrinsic::AesMixColumns,
            _ => Intrinsic::AesInvMixColumns,
        };
        if self.is_only_read_by(block, inst, mixes) {
            self.known.unmixed.insert(inst.dst, state);
            return state;
        }
        self.aes_round(insn, state)
    }

    /// Whether a temporary is read once, by such a call.
    fn is_only_read_by(&self, block: &Block, inst: &Inst, reader: Intrinsic) -> bool {
        let temp = inst.dst;
        if temp.as_temp().is_none() || block.terminator.operand() == Some(temp) {
            return false;
        }
        let mut readers = block.insts.iter().filter(|inst| inst.args.contains(&temp));
        let only = readers.next().filter(|_| readers.next().is_none());
        only.is_some_and(|inst| inst.args[0] == temp && self.intrinsic_of(inst) == Some(reader))
    }
}

/// What SHA needs of shuffles.
impl Lowering<'_, '_> {
    /// Words of two vectors: numbers from 4 name those of the second.
    fn words(&mut self, a: Value, b: Value, words: [u8; 4]) -> Value {
        let bytes: Vec<u8> = words.iter().flat_map(|word| 4 * word..4 * word + 4).collect();
        let mask = self.fb.func.dfg.immediates.push(bytes.into());
        let [a, b] = [a, b].map(|value| self.bitcast(value, types::I8X16));
        let shuffled = self.fb.ins().shuffle(a, b, mask);
        self.bitcast(shuffled, types::I64X2)
    }

    fn add_words(&mut self, a: Value, b: Value) -> Value {
        let [a, b] = [a, b].map(|value| self.bitcast(value, types::I32X4));
        let sum = self.fb.ins().iadd(a, b);
        self.bitcast(sum, types::I64X2)
    }

    fn sha256_rounds(&mut self, abcd: Value, efgh: Value, words: Value) -> Rounds {
        let before = [abcd, efgh, words];
        if let Some(&rounds) = self.known.rounds.get(&before) {
            return rounds;
        }
        let [abef, cdgh] = match self.known.states.get(&[abcd, efgh]) {
            Some(&state) => state,
            None => [self.words(efgh, abcd, [1, 0, 5, 4]), self.words(efgh, abcd, [3, 2, 7, 6])],
        };
        let between = self.host_insn(HostInsn::Sha256rnds2, &[words, cdgh, abef]);
        let words = self.words(words, words, [2, 3, 2, 3]);
        let after = self.host_insn(HostInsn::Sha256rnds2, &[words, abef, between]);
        let rounds = Rounds {
            abef: after,
            cdgh: between,
            abcd: self.words(after, between, [3, 2, 7, 6]),
            efgh: self.words(after, between, [1, 0, 5, 4]),
        };
        self.known.rounds.insert(before, rounds);
        self.known.states.insert([rounds.abcd, rounds.efgh], [rounds.abef, rounds.cdgh]);
        rounds
    }

    fn sha256_schedule(&mut self, block: &Block, inst: &Inst) -> Value {
        let [n, m, d] = [0, 1, 2].map(|index| self.vector_arg(block, inst, index));
        let between = self.words(n, m, [1, 2, 3, 4]);
        let sum = self.add_words(d, between);
        self.host_insn(HostInsn::Sha256msg2, &[sum, m])
    }

    /// The host adds the constant and has words in the other order.
    fn sha1_rounds(&mut self, block: &Block, inst: &Inst, insn: HostInsn, constant: u32) -> Value {
        const REVERSED: [u8; 4] = [3, 2, 1, 0];
        let [e, words, abcd] = [0, 1, 2].map(|index| self.vector_arg(block, inst, index));
        let minus = self.splat_of(Type::I32x4, u64::from(constant.wrapping_neg()));
        let words = self.add_words(words, minus);
        let zeros = self.zeros(Type::WIDE);
        let e = self.words(e, zeros, [0, 4, 4, 4]);
        let words = self.add_words(words, e);
        let words = self.words(words, words, REVERSED);
        let abcd = self.words(abcd, abcd, REVERSED);
        let result = self.host_insn(insn, &[abcd, words]);
        self.words(result, result, REVERSED)
    }
}
