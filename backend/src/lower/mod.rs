//! IR to Cranelift's IR, one region a function.
//!
//! `control` has the function's frame: entries, blocks, exits, polls. `values` moves operands
//! between IR's untyped 64-bit containers and Cranelift's types. `integer`, `memory` and `float`
//! lower the operations; `forward` answers some loads.

mod control;
mod flags;
mod float;
mod forward;
mod integer;
mod intrinsic;
mod memory;
mod softmmu;
mod subnormal;
mod values;
mod vector;
mod vector_float;

use std::collections::{HashMap, HashSet};

use base::{CpuFrame, GuestVirt, RegSlot};
use cranelift_codegen::ir::{
    AbiParam, InstBuilder, MemFlagsData, SigRef, Signature, SourceLoc, Value, types,
};
use cranelift_codegen::isa::CallConv;
use cranelift_frontend::{FunctionBuilder, Variable};
use ir::ops::Shape;
use ir::{Block, Guest, Inst, Opcode, SlotSet, Type};

use crate::compiler::{CompileOptions, ExitSite};
use crate::entry::ExitCode;
use crate::region::Region;
use crate::register_mapper::{RegisterMap, accumulates_flags};

/// Lowers one region into one Cranelift function.
pub(crate) struct Lowering<'a, 'f> {
    fb: &'a mut FunctionBuilder<'f>,
    guest: &'static Guest,
    region: &'a Region,
    map: &'a RegisterMap,
    options: &'a CompileOptions,
    /// The frame's address: the function's first parameter.
    frame: Value,
    variables: Vec<Option<Variable>>,
    /// Results below these may be taken from the host (see `float`).
    limits: [Variable; 4],
    /// All ones, or 0 while it is not to be believed what is known of numbers (see `subnormal`). For x86 guests only.
    trust: Variable,
    /// A poll comes when it reaches zero.
    fuel: Variable,
    clif_blocks: Vec<cranelift_codegen::ir::Block>,
    /// Position of each block in reverse post-order: edges that do not go forward are polled.
    rank: Vec<usize>,
    /// Which blocks several edges go to.
    joins: Vec<bool>,
    /// Which blocks are jumped to backwards.
    jumped_back_to: Vec<bool>,
    /// The current block's temporaries.
    temps: Vec<Option<Value>>,
    recent_stores: forward::RecentStores,
    /// Of vectors whose low lane is a scalar that was put there, the scalars.
    extended: HashMap<Value, Value>,
    /// What low lanes were read in this block, by vector and type.
    low_lanes: HashMap<(Value, Type), Value>,
    subnormals: subnormal::Subnormals,
    /// Vectors whose upper half is zero.
    upper_zero: HashSet<Value>,
    /// How packed flags came about, for conditions on them.
    flag_origins: HashMap<Value, flags::Origin>,
    known: intrinsic::Known,
    /// Dirty slots at the current place.
    dirty: SlotSet,
    /// What the calls that are still to come in the block take from the frame again.
    reloads: std::slice::Iter<'a, SlotSet>,
    /// The current guest instruction.
    pc: GuestVirt,
    sigs: Signatures,
    /// Where accesses go that tier 0 must make, in a whole machine.
    fault: Option<cranelift_codegen::ir::Block>,
    /// Whether any operation looks at the floating-point flags.
    uses_float: bool,
    output: Output,
}

/// Signatures imported into the function.
struct Signatures {
    region: SigRef,
    helper: SigRef,
    wide_helper: SigRef,
    slow: SigRef,
}

/// What the lowering learns besides the function itself.
#[derive(Default)]
pub(crate) struct Output {
    pub(crate) exits: Vec<ExitSite>,
    pub(crate) sync_points: Vec<GuestVirt>,
}

/// The signature of a region: `tail (frame, entry number) -> exit code`.
pub(crate) fn region_signature() -> Signature {
    let mut sig = Signature::new(CallConv::Tail);
    sig.params.extend([AbiParam::new(types::I64), AbiParam::new(types::I64)]);
    sig.returns.push(AbiParam::new(types::I64));
    sig
}

/// The signature of [`crate::fp_slow::call`] and [`crate::memory_slow::call`]: they preserve all registers, so that the fast path
/// around it is allocated as if there were no call. Such calls have no result.
fn slow_signature() -> Signature {
    let mut sig = Signature::new(CallConv::PreserveAll);
    sig.params.extend([AbiParam::new(types::I64); 5]);
    sig
}

fn helper_signature() -> Signature {
    let mut sig = Signature::new(CallConv::SystemV);
    sig.params.extend([AbiParam::new(types::I64); 5]);
    sig.returns.push(AbiParam::new(types::I64));
    sig
}

/// The signature of [`base::cpu::WideHelperFn`].
fn wide_helper_signature() -> Signature {
    let mut sig = Signature::new(CallConv::SystemV);
    sig.params.extend([AbiParam::new(types::I64); 2]);
    sig.params.extend([AbiParam::new(types::I64X2); 3]);
    sig.returns.push(AbiParam::new(types::I64X2));
    sig
}

/// Lowers a region into `fb`'s function, which has [`region_signature`].
pub(crate) fn lower(
    fb: &mut FunctionBuilder<'_>,
    region: &Region,
    map: &RegisterMap,
    guest: &'static Guest,
    options: &CompileOptions,
) -> Output {
    let sigs = Signatures {
        region: fb.import_signature(region_signature()),
        helper: fb.import_signature(helper_signature()),
        wide_helper: fb.import_signature(wide_helper_signature()),
        slow: fb.import_signature(slow_signature()),
    };
    let start = fb.create_block();
    fb.append_block_params_for_function_params(start);
    fb.switch_to_block(start);
    fb.seal_block(start);
    let (frame, entry) = (fb.block_params(start)[0], fb.block_params(start)[1]);
    let fuel = fb.declare_var(types::I32);
    let limits = float::Limit::ALL.map(|_| fb.declare_var(types::I64));
    let trust = fb.declare_var(types::I64);
    let mut lowering = Lowering {
        clif_blocks: region.blocks.iter().map(|_| fb.create_block()).collect(),
        fb,
        guest,
        region,
        map,
        options,
        frame,
        variables: vec![None; base::cpu::SLOT_COUNT],
        limits,
        trust,
        fuel,
        rank: region.rank(),
        joins: region.joins(),
        jumped_back_to: region.polled(),
        temps: Vec::new(),
        recent_stores: forward::RecentStores::default(),
        extended: HashMap::new(),
        low_lanes: HashMap::new(),
        subnormals: subnormal::Subnormals::default(),
        upper_zero: HashSet::new(),
        flag_origins: HashMap::new(),
        known: intrinsic::Known::default(),
        dirty: SlotSet::NONE,
        reloads: [].iter(),
        pc: GuestVirt(0),
        sigs,
        fault: None,
        uses_float: region
            .blocks
            .iter()
            .flat_map(|b| &b.insts)
            .any(|i| accumulates_flags(i, guest)),
        output: Output::default(),
    };
    lowering.declare_variables();
    lowering.enter(entry);
    lowering.body();
    lowering.fill_fault_block();
    lowering.fb.seal_all_blocks();
    lowering.output
}

impl Lowering<'_, '_> {
    fn body(&mut self) {
        let order = self.region.order();
        for &index in &order {
            self.block(index);
        }
        // Blocks that no entry reaches are never jumped to, but must not stay empty.
        for index in 0..self.region.blocks.len() {
            if self.rank[index] == usize::MAX {
                self.fb.switch_to_block(self.clif_blocks[index]);
                let code = self.konst(ExitCode::Lookup as u64);
                self.fb.ins().return_(&[code]);
            }
        }
    }

    fn block(&mut self, index: usize) {
        let (region, map) = (self.region, self.map);
        let (block, plan) = (&region.blocks[index], &map.blocks[index]);
        let clif_block = self.clif_blocks[index];
        // Blocks come in reverse post-order: only jumps backwards are still to be lowered.
        match self.jumped_back_to[index] {
            true => self.fb.switch_to_block(clif_block),
            false => self.begin(clif_block),
        }
        self.dirty = plan.dirty_in;
        self.reloads = plan.reloads.iter();
        self.recent_stores.forget();
        self.known.begin_block();
        self.subnormals.forget();
        self.low_lanes.clear();
        self.temps.clear();
        self.temps.resize(usize::from(block.temps), None);
        self.count_instructions(block);
        for (n, inst) in block.insts.iter().enumerate() {
            if inst.op == Opcode::Mark {
                self.pc = block.key.pc().wrapping_offset(i64::from(inst.imm));
                self.mark_source();
                if plan.syncs.contains(&n) {
                    self.sync(self.pc);
                }
            } else {
                self.inst(block, inst);
            }
        }
        self.terminator(index, block);
    }

    /// Goes on in a block that nothing lowered later jumps to: what variables hold there is known
    /// then, and need not become a parameter of the block first.
    fn begin(&mut self, block: cranelift_codegen::ir::Block) {
        self.fb.switch_to_block(block);
        self.fb.seal_block(block);
    }

    /// Ties the host code that follows to the guest pc, as an offset from the region's first entry.
    fn mark_source(&mut self) {
        let offset = self.pc.0.wrapping_sub(self.region.key().pc().0) as u32;
        self.fb.set_srcloc(SourceLoc::new(offset));
    }

    fn inst(&mut self, block: &Block, inst: &Inst) {
        let shape = inst.op.info().shape;
        if inst.ty.is_vector() && !shape.has_address() {
            return self.vector(block, inst);
        }
        match shape {
            Shape::Unary | Shape::Binary | Shape::Compare | Shape::Select | Shape::Extend => {
                self.integer(block, inst);
            }
            Shape::Load
            | Shape::Store
            | Shape::AtomicRmw
            | Shape::AtomicCas
            | Shape::AlignCheck
            | Shape::Fence => self.memory(block, inst),
            Shape::FpUnary
            | Shape::FpBinary
            | Shape::FpTernary
            | Shape::FpCompare
            | Shape::FpToInt
            | Shape::IntToFp
            | Shape::FpToFp => self.float(block, inst),
            Shape::Flags => self.packed_flags(block, inst),
            Shape::Condition => self.flag_condition(block, inst),
            Shape::FpFlags => self.float_flags(block, inst),
            Shape::ZextWide => self.zext_wide(block, inst),
            Shape::Call => self.call(block, inst),
            // None is left in a region.
            Shape::Status => {}
            Shape::Mark => {}
            // At vector types only.
            Shape::Splat
            | Shape::GetLane
            | Shape::SetLane
            | Shape::Shuffle
            | Shape::ShiftLanes
            | Shape::Ternary
            | Shape::Lengthen
            | Shape::Narrow
            | Shape::CallWide => {}
        }
    }

    /// Adds the block's instructions to the frame's count, where that is asked for.
    fn count_instructions(&mut self, block: &Block) {
        if !self.options.count_instructions {
            return;
        }
        let old = self.load_frame(types::I64, CpuFrame::RETIRED);
        let more = self.konst(u64::from(block.guest_insns));
        let sum = self.fb.ins().iadd(old, more);
        self.store_frame(sum, CpuFrame::RETIRED);
    }

    /// Flags of an access to the frame: it never faults, and guest memory never overlaps it.
    fn frame_flags() -> MemFlagsData {
        MemFlagsData::trusted()
    }

    fn load_frame(&mut self, ty: cranelift_codegen::ir::Type, offset: i32) -> Value {
        let frame = self.frame;
        self.fb.ins().load(ty, Self::frame_flags(), frame, offset)
    }

    fn store_frame(&mut self, value: Value, offset: i32) {
        let frame = self.frame;
        self.fb.ins().store(Self::frame_flags(), value, frame, offset);
    }

    fn konst(&mut self, value: u64) -> Value {
        self.fb.ins().iconst(types::I64, value as i64)
    }

    /// The variable that holds a slot.
    fn variable(&self, slot: RegSlot) -> Variable {
        self.variables[slot.index()].expect("the register map lists every slot in use")
    }
}
