//! One thread's compiler.

use base::GuestVirt;
use std::arch::is_x86_feature_detected;

use cranelift_codegen::binemit::Reloc;
use cranelift_codegen::control::ControlPlane;
use cranelift_codegen::entity::PrimaryMap;
use cranelift_codegen::ir::{
    ExternalName, Function, SigRef, UserExternalName, UserExternalNameRef,
};
use cranelift_codegen::isa::{self, CallConv, OwnedTargetIsa, TargetIsa};
use cranelift_codegen::settings::{self, Configurable};
use cranelift_codegen::verifier::{VerifierErrors, verify_function};
use cranelift_codegen::{Context, FinalizedMachReloc, FinalizedRelocTarget};
use cranelift_frontend::{FunctionBuilder, FunctionBuilderContext};
use ir::{Guest, Precision};

use crate::host_insn::{self, HostInsn};
use crate::lower::{self, region_signature};
use crate::region::Region;
use crate::register_mapper::RegisterMap;

/// The namespace of the one symbol that stands for the region's exit slots. (The other one is [`host_insn::NAMESPACE`].)
pub(crate) const EXIT_SLOTS: u32 = 0;

/// What applies to all compilations of an engine.
#[derive(Clone, Debug)]
pub struct CompileOptions {
    /// How guest memory is reached.
    pub memory: MemoryModel,
    /// How faults are exact.
    pub precision: Precision,
    /// Add executed instructions to [`base::CpuFrame::retired`].
    pub count_instructions: bool,
    /// Add probes of the TLB to [`base::CpuFrame::tlb_probes`].
    pub count_probes: bool,
    /// Keep the texts of [`CompiledRegion::listing`].
    pub listing: bool,
    /// Whether the host multiplies and adds with one rounding.
    pub host_has_fma: bool,
    /// Compute intrinsics by the host's instructions, where it has them, and not by their helpers.
    pub intrinsics: bool,
}

/// How compiled code reaches guest memory, and what its translations' addresses are.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum MemoryModel {
    /// Guest addresses are host addresses.
    #[default]
    Direct,
    /// Through the frame's TLB; translations are found by physical address, and the guest's pc is
    /// theirs plus [`base::cpu::PC_DELTA`].
    Softmmu,
}

impl CompileOptions {
    /// The defaults on this host.
    #[must_use]
    pub fn for_host() -> Self {
        Self {
            memory: MemoryModel::default(),
            precision: Precision::default(),
            count_instructions: false,
            count_probes: false,
            listing: false,
            host_has_fma: is_x86_feature_detected!("fma"),
            intrinsics: true,
        }
    }
}

/// Why a region could not be compiled.
#[derive(Debug, thiserror::Error)]
pub enum CompileError {
    /// Cranelift has no back end for this host.
    #[error("no code generator for this host: {0}")]
    Host(String),
    /// Cranelift refused the function: too large, or a defect.
    #[error("cannot compile the region at {pc}: {message}")]
    Codegen {
        /// The region's first entry.
        pc: GuestVirt,
        /// Cranelift's words.
        message: String,
    },
    /// A call that stands for an instruction of the host is not encoded as expected.
    #[error("cannot place an instruction at {offset} of the region at {pc}: no call stands there")]
    HostInsn {
        /// The region's first entry.
        pc: GuestVirt,
        /// Bytes from the start of the code to the call's displacement.
        offset: u32,
    },
    /// The code refers to something that the code memory cannot provide.
    #[error("cannot place the region at {pc}: unknown relocation {kind}")]
    Relocation {
        /// The region's first entry.
        pc: GuestVirt,
        /// Cranelift's name of it.
        kind: String,
    },
}

/// An exit to a known pc.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ExitSite {
    /// Where it goes.
    pub target: GuestVirt,
}

/// Host code from `start` up to the next range's start belongs to a guest instruction.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PcRange {
    /// Bytes from the start of the region's code.
    pub start: u32,
    /// Bytes from the start of the region's code, exclusive.
    pub end: u32,
    /// The guest instruction.
    pub pc: GuestVirt,
}

/// A place in the code that needs the address of the region's exit slots: 32 bits, relative to the
/// place's own end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct SlotRelocation {
    /// Bytes from the start of the code.
    pub(crate) offset: u32,
    /// Added to the slots' address, minus the place's address.
    pub(crate) addend: i64,
}

/// Compiled code, not yet placed.
#[derive(Clone, Debug)]
pub struct CompiledRegion {
    /// Machine code.
    pub code: Vec<u8>,
    /// Pcs at which it may be entered, by entry number.
    pub entries: Vec<GuestVirt>,
    /// Exits, by number.
    pub exits: Vec<ExitSite>,
    /// Of a block of the baseline compiler, how often it may be executed before it leaves through [`crate::baseline::UPGRADE`].
    pub executions: Option<u32>,
    /// Words in which it leaves where its indirect jump went.
    pub targets: u8,
    /// Pcs of its sync points, by number; the entries come first.
    pub sync_points: Vec<GuestVirt>,
    /// Which guest instruction each piece of code belongs to.
    pub pcs: PcMap,
    /// Guest instructions in it.
    pub guest_insns: u32,
    /// Cranelift's IR and the disassembled code, if asked for.
    pub listing: Option<Listing>,
    pub(crate) relocations: Vec<SlotRelocation>,
}

/// Texts for logs.
#[derive(Clone, Debug)]
pub struct Listing {
    /// Cranelift's IR before optimisation.
    pub clif: String,
    /// Host assembly.
    pub assembly: String,
}

/// The guest instruction of each piece of a region's code: ascending, without overlap.
#[derive(Clone, Debug, Default)]
pub struct PcMap(Vec<PcRange>);

impl PcMap {
    /// A map of ranges that ascend.
    pub(crate) fn new(ranges: Vec<PcRange>) -> Self {
        Self(ranges)
    }

    /// The guest instruction that the code at `offset` of the body belongs to; `None` behind the last. What Cranelift rewrote
    /// belongs to none, and a load may have become part of it: then it is the instruction that comes next, before which
    /// nothing else has an effect, so that replaying up to it meets the load again.
    #[must_use]
    pub fn guest_pc(&self, offset: u32) -> Option<GuestVirt> {
        let before = self.0.partition_point(|range| range.end <= offset);
        self.0.get(before).map(|range| range.pc)
    }

    /// The ranges.
    pub fn iter(&self) -> impl Iterator<Item = PcRange> + '_ {
        self.0.iter().copied()
    }
}

/// Compiles regions, one after the other.
pub struct Compiler {
    isa: OwnedTargetIsa,
    context: Context,
    builder: FunctionBuilderContext,
    guest: &'static Guest,
    options: CompileOptions,
}

impl std::fmt::Debug for Compiler {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Compiler").field("options", &self.options).finish_non_exhaustive()
    }
}

impl Compiler {
    /// A compiler for this host.
    ///
    /// # Errors
    /// The host is none that Cranelift generates code for.
    pub fn new(guest: &'static Guest, options: CompileOptions) -> Result<Self, CompileError> {
        Ok(Self {
            isa: host_isa()?,
            context: Context::new(),
            builder: FunctionBuilderContext::new(),
            guest,
            options,
        })
    }

    /// Compiles a region.
    ///
    /// # Errors
    /// The region is too large for one function.
    pub fn compile(&mut self, region: &Region) -> Result<CompiledRegion, CompileError> {
        let map = RegisterMap::new(region, self.guest, self.options.precision);
        self.context.clear();
        self.context.func.signature = region_signature();
        self.context.set_disasm(self.options.listing);
        let mut fb = FunctionBuilder::new(&mut self.context.func, &mut self.builder);
        let lowered = lower::lower(&mut fb, region, &map, self.guest, &self.options);
        fb.finalize(self.isa.frontend_config());
        let clif = self.options.listing.then(|| self.context.func.display().to_string());
        let pc = region.key().pc();
        if cfg!(debug_assertions) {
            verify(&mut self.context.func, &*self.isa)
                .map_err(|e| CompileError::Codegen { pc, message: e.to_string() })?;
        }
        let names = self.context.func.params.user_named_funcs().clone();
        let isa: &dyn TargetIsa = &*self.isa;
        let compiled = self
            .context
            .compile(isa, &mut ControlPlane::default())
            .map_err(|e| CompileError::Codegen { pc, message: format!("{:?}", e.inner) })?;
        let mut code = compiled.code_buffer().to_vec();
        let mut relocations = Vec::new();
        for reloc in compiled.buffer.relocs() {
            match symbol(&names, reloc, pc)? {
                Symbol::ExitSlots => {
                    relocations.push(SlotRelocation { offset: reloc.offset, addend: reloc.addend })
                }
                Symbol::HostInsn(insn) => insn.replace_call(&mut code, reloc.offset, pc)?,
            }
        }
        let listing =
            clif.map(|clif| Listing { clif, assembly: compiled.vcode.clone().unwrap_or_default() });
        let pcs = compiled.buffer.get_srclocs_sorted().iter().filter(|s| !s.loc.is_default());
        Ok(CompiledRegion {
            pcs: PcMap::new(
                pcs.map(|s| PcRange {
                    start: s.start,
                    end: s.end,
                    pc: pc.wrapping_offset(i64::from(s.loc.bits() as i32)),
                })
                .collect(),
            ),
            code,
            entries: region.entries.iter().map(|&e| region.blocks[e].key.pc()).collect(),
            exits: lowered.exits,
            executions: None,
            targets: 0,
            sync_points: lowered.sync_points,
            guest_insns: region.guest_insns(),
            listing,
            relocations,
        })
    }
}

/// Has Cranelift's verifier look at a function. It rejects results of functions that change no register, though the convention
/// has them: so it sees instructions of the host as functions of another convention.
fn verify(function: &mut Function, isa: &dyn TargetIsa) -> Result<(), VerifierErrors> {
    let rejected: Vec<SigRef> = function
        .dfg
        .signatures
        .iter()
        .filter(|(_, sig)| sig.call_conv == CallConv::PreserveAll && !sig.returns.is_empty())
        .map(|(key, _)| key)
        .collect();
    let set = |function: &mut Function, convention| {
        rejected.iter().for_each(|&key| function.dfg.signatures[key].call_conv = convention);
    };
    set(function, CallConv::SystemV);
    let verified = verify_function(function, isa);
    set(function, CallConv::PreserveAll);
    verified
}

/// What compiled code refers to.
enum Symbol {
    ExitSlots,
    HostInsn(HostInsn),
}

fn symbol(
    names: &PrimaryMap<UserExternalNameRef, UserExternalName>,
    reloc: &FinalizedMachReloc,
    pc: GuestVirt,
) -> Result<Symbol, CompileError> {
    if let Reloc::X86PCRel4 | Reloc::X86CallPCRel4 = reloc.kind
        && let FinalizedRelocTarget::ExternalName(ExternalName::User(name)) = reloc.target
    {
        let name = &names[name];
        match name.namespace {
            EXIT_SLOTS => return Ok(Symbol::ExitSlots),
            host_insn::NAMESPACE => {
                if let Some(insn) = HostInsn::by_number(name.index) {
                    return Ok(Symbol::HostInsn(insn));
                }
            }
            _ => {}
        }
    }
    Err(CompileError::Relocation { pc, kind: format!("{:?} to {:?}", reloc.kind, reloc.target) })
}

fn host_isa() -> Result<OwnedTargetIsa, CompileError> {
    let mut flags = settings::builder();
    for (name, value) in [
        ("opt_level", "speed"),
        ("regalloc_algorithm", "backtracking"),
        ("enable_probestack", "false"),
        ("unwind_info", "false"),
        // See `verify`.
        ("enable_verifier", "false"),
        // Tail calls rely on them.
        ("preserve_frame_pointers", "true"),
    ] {
        flags.set(name, value).map_err(|e| CompileError::Host(e.to_string()))?;
    }
    let lookup = isa::lookup_by_name("x86_64-unknown-linux-gnu");
    let mut builder = lookup.map_err(|e| CompileError::Host(e.to_string()))?;
    for (name, present) in host_features() {
        builder
            .set(name, if present { "true" } else { "false" })
            .map_err(|e| CompileError::Host(e.to_string()))?;
    }
    builder.finish(settings::Flags::new(flags)).map_err(|e| CompileError::Host(e.to_string()))
}

/// What this host has, by Cranelift's names.
fn host_features() -> impl Iterator<Item = (&'static str, bool)> {
    [
        ("has_sse3", is_x86_feature_detected!("sse3")),
        ("has_ssse3", is_x86_feature_detected!("ssse3")),
        ("has_sse41", is_x86_feature_detected!("sse4.1")),
        ("has_sse42", is_x86_feature_detected!("sse4.2")),
        ("has_cmpxchg16b", is_x86_feature_detected!("cmpxchg16b")),
        ("has_popcnt", is_x86_feature_detected!("popcnt")),
        ("has_lzcnt", is_x86_feature_detected!("lzcnt")),
        ("has_bmi1", is_x86_feature_detected!("bmi1")),
        ("has_bmi2", is_x86_feature_detected!("bmi2")),
        ("has_avx", is_x86_feature_detected!("avx")),
        ("has_avx2", is_x86_feature_detected!("avx2")),
        ("has_fma", is_x86_feature_detected!("fma")),
    ]
    .into_iter()
}
