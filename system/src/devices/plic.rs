//! The platform-level interrupt controller (RISC-V Platform-Level Interrupt Controller Specification
//! 1.0.0): every source has a level-triggered gateway.
//!
//! Inputs are source numbers, from 1. Outputs are contexts: `2 * h` is hart `h`'s machine-level external
//! interrupt, `2 * h + 1` its supervisor-level one.

use crate::device::{Access, Device, Effect, InterruptController, Refusal, Width, World};

/// Harts at most.
pub const MAX_HARTS: u32 = 64;
/// Sources that the layout has room for: source 0 does not exist.
const MAX_SOURCES: usize = 1024;
const WORDS: usize = MAX_SOURCES / 32;
/// Priorities and thresholds have 3 bits (WARL).
const PRIORITY_MASK: u64 = 7;

/// The memory map (chapter 3).
mod reg {
    /// Interrupt source priorities, 4 bytes for each source.
    pub(super) const PRIORITY: u64 = 0;
    /// Interrupt pending bits.
    pub(super) const PENDING: u64 = 0x1000;
    /// Interrupt enable bits, [`ENABLE_STRIDE`] for each context.
    pub(super) const ENABLE: u64 = 0x2000;
    pub(super) const ENABLE_STRIDE: u64 = 0x80;
    /// Priority threshold and claim/complete, [`CONTEXT_STRIDE`] for each context.
    pub(super) const CONTEXT: u64 = 0x20_0000;
    pub(super) const CONTEXT_STRIDE: u64 = 0x1000;
    /// In a context's page.
    pub(super) const THRESHOLD: u64 = 0;
    pub(super) const CLAIM: u64 = 4;
    /// The end of the map.
    pub(super) const END: u64 = 0x400_0000;
}

/// A register.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Register {
    Priority(usize),
    Pending(usize),
    Enable(usize, usize),
    Threshold(usize),
    Claim(usize),
    /// Reads as zero, ignores stores.
    Reserved,
}

type Bits = [u32; WORDS];

fn bit(bits: &Bits, source: usize) -> bool {
    bits[source / 32] >> (source % 32) & 1 != 0
}

fn set_bit(bits: &mut Bits, source: usize, to: bool) {
    let mask = 1 << (source % 32);
    bits[source / 32] = bits[source / 32] & !mask | if to { mask } else { 0 };
}

#[derive(Clone, Debug)]
struct Context {
    enable: Bits,
    threshold: u8,
}

const CONTEXT_RESET: Context = Context { enable: [0; WORDS], threshold: 0 };

/// The device.
#[derive(Clone, Debug)]
pub struct Plic {
    /// By source; as many as there are, and source 0.
    priority: Vec<u8>,
    /// The sources' lines.
    level: Bits,
    /// What gateways have passed on and nobody has claimed.
    pending: Bits,
    /// What was claimed and is not complete: its gateway passes nothing on.
    claimed: Bits,
    contexts: Vec<Context>,
}

impl Plic {
    /// For this many harts, [`MAX_HARTS`] at most, and sources, 1023 at most.
    #[must_use]
    pub fn new(harts: u32, sources: u32) -> Self {
        let sources = (sources as usize).min(MAX_SOURCES - 1);
        Self {
            priority: vec![0; sources + 1],
            level: [0; WORDS],
            pending: [0; WORDS],
            claimed: [0; WORDS],
            contexts: vec![CONTEXT_RESET; 2 * harts.min(MAX_HARTS) as usize],
        }
    }

    fn is_source(&self, source: usize) -> bool {
        (1..self.priority.len()).contains(&source)
    }

    fn decode(&self, access: Access) -> Result<Register, Refusal> {
        let offset = access.offset;
        if access.width != Width::B4 {
            return Err(Refusal::Width);
        }
        if !offset.is_multiple_of(4) {
            return Err(Refusal::NoRegister);
        }
        Ok(match offset {
            reg::PRIORITY..reg::PENDING => self.source_register(offset - reg::PRIORITY),
            reg::PENDING..reg::ENABLE => pending_register(offset - reg::PENDING),
            reg::ENABLE..reg::CONTEXT => self.enable_register(offset - reg::ENABLE),
            _ => self.context_register(offset - reg::CONTEXT),
        })
    }

    fn source_register(&self, offset: u64) -> Register {
        let source = (offset / 4) as usize;
        if self.is_source(source) { Register::Priority(source) } else { Register::Reserved }
    }

    fn enable_register(&self, offset: u64) -> Register {
        let context = (offset / reg::ENABLE_STRIDE) as usize;
        let word = (offset % reg::ENABLE_STRIDE / 4) as usize;
        match context < self.contexts.len() {
            true => Register::Enable(context, word),
            false => Register::Reserved,
        }
    }

    fn context_register(&self, offset: u64) -> Register {
        let context = (offset / reg::CONTEXT_STRIDE) as usize;
        match offset % reg::CONTEXT_STRIDE {
            _ if context >= self.contexts.len() => Register::Reserved,
            reg::THRESHOLD => Register::Threshold(context),
            reg::CLAIM => Register::Claim(context),
            _ => Register::Reserved,
        }
    }

    /// The gateway (chapter 1.2) passes a request on if its line is asserted and none is under way.
    fn open_gateway(&mut self, source: usize) {
        if bit(&self.level, source) && !bit(&self.claimed, source) {
            set_bit(&mut self.pending, source, true);
        }
    }

    /// The pending and enabled source with the highest priority, which is not 0; among equals, the one
    /// with the lowest number.
    fn best(&self, context: &Context) -> Option<usize> {
        let words = self.pending.iter().zip(&context.enable).enumerate();
        let set = words.filter(|(_, (pending, enable))| *pending & *enable != 0);
        let sources = set.flat_map(|(word, (pending, enable))| {
            let bits = pending & enable;
            (0..32).filter(move |bit| bits >> bit & 1 != 0).map(move |bit| 32 * word + bit)
        });
        let priority = |source: usize| self.priority.get(source).copied().unwrap_or(0);
        sources
            .filter(|&source| priority(source) > 0)
            .min_by_key(|&source| (u8::MAX - priority(source), source))
    }

    /// Interrupt claim (chapter 7): whatever the threshold. 0 is nothing.
    fn claim(&mut self, context: usize) -> usize {
        let Some(source) = self.best(&self.contexts[context]) else { return 0 };
        set_bit(&mut self.pending, source, false);
        set_bit(&mut self.claimed, source, true);
        source
    }

    /// Interrupt completion (chapter 8): ignored unless the source is enabled for the context.
    fn complete(&mut self, context: usize, source: u64) {
        let Ok(source) = usize::try_from(source) else { return };
        if self.is_source(source) && bit(&self.contexts[context].enable, source) {
            set_bit(&mut self.claimed, source, false);
            self.open_gateway(source);
        }
    }

    /// The bits of a word of enables that belong to sources.
    fn implemented(&self, word: usize) -> u32 {
        let is_source = |bit: &usize| self.is_source(32 * word + bit);
        (0..32).filter(is_source).fold(0, |bits, bit| bits | 1 << bit)
    }
}

fn pending_register(offset: u64) -> Register {
    let word = (offset / 4) as usize;
    if word < WORDS { Register::Pending(word) } else { Register::Reserved }
}

impl Device for Plic {
    fn name(&self) -> &'static str {
        "riscv,plic0"
    }

    fn windows(&self) -> Vec<u64> {
        vec![reg::END]
    }

    fn read(&mut self, access: Access, _: &World<'_>) -> Result<u64, Refusal> {
        Ok(match self.decode(access)? {
            Register::Priority(source) => self.priority[source].into(),
            Register::Pending(word) => self.pending[word].into(),
            Register::Enable(context, word) => self.contexts[context].enable[word].into(),
            Register::Threshold(context) => self.contexts[context].threshold.into(),
            Register::Claim(context) => self.claim(context) as u64,
            Register::Reserved => 0,
        })
    }

    fn write(&mut self, access: Access, value: u64, _: &World<'_>) -> Result<Effect, Refusal> {
        match self.decode(access)? {
            Register::Priority(source) => self.priority[source] = (value & PRIORITY_MASK) as u8,
            Register::Enable(context, word) => {
                self.contexts[context].enable[word] = value as u32 & self.implemented(word);
            }
            Register::Threshold(context) => {
                self.contexts[context].threshold = (value & PRIORITY_MASK) as u8;
            }
            Register::Claim(context) => self.complete(context, value),
            Register::Pending(_) | Register::Reserved => {}
        }
        Ok(Effect::None)
    }

    /// Lines are the sources' own and stay as they are.
    fn reset(&mut self) {
        self.priority.fill(0);
        self.contexts.fill(CONTEXT_RESET);
        self.claimed = [0; WORDS];
        self.pending = self.level;
    }

    fn interrupt_controller(&mut self) -> Option<&mut dyn InterruptController> {
        Some(self)
    }
}

impl InterruptController for Plic {
    /// A request that has been passed on stays, though the line falls.
    fn set_input(&mut self, input: u32, asserted: bool) {
        let source = input as usize;
        if self.is_source(source) {
            set_bit(&mut self.level, source, asserted);
            self.open_gateway(source);
        }
    }

    fn output(&self, output: u32) -> bool {
        let Some(context) = self.contexts.get(output as usize) else { return false };
        self.best(context).is_some_and(|source| self.priority[source] > context.threshold)
    }

    fn outputs(&self) -> u32 {
        self.contexts.len() as u32
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::devices::bench::{Bench, any_access};

    const fn enable(context: u64) -> u64 {
        0x2000 + 0x80 * context
    }

    const fn threshold(context: u64) -> u64 {
        0x20_0000 + 0x1000 * context
    }

    const fn claim(context: u64) -> u64 {
        threshold(context) + 4
    }

    /// All sources have priority 1 and are enabled for context 1.
    fn plic() -> Bench<Plic> {
        let mut plic = Bench::new(Plic::new(2, 95));
        (1..=95).for_each(|source| plic.write32(4 * source, 1));
        (0..3).for_each(|word| plic.write32(enable(1) + 4 * word, u64::from(u32::MAX)));
        plic
    }

    #[test]
    fn a_request_is_claimed_and_completed() {
        let mut plic = plic();
        plic.input(10, true);
        assert_eq!((plic.read32(0x1000), plic.outputs()), (1 << 10, vec![1]));
        assert_eq!(
            (plic.read32(claim(0)), plic.read32(claim(1)), plic.read32(claim(1))),
            (0, 10, 0)
        );
        assert_eq!((plic.read32(0x1000), plic.outputs()), (0, vec![]));
        plic.write32(claim(1), 10);
        assert_eq!(plic.outputs(), [1], "the line is asserted still");
        assert_eq!(plic.read32(claim(1)), 10);
        plic.input(10, false);
        plic.write32(claim(1), 10);
        assert_eq!((plic.outputs(), plic.read32(claim(1))), (vec![], 0));
    }

    #[test]
    fn a_request_outlives_its_line() {
        let mut plic = plic();
        plic.input(40, true);
        plic.input(40, false);
        assert_eq!((plic.read32(0x1004), plic.read32(claim(1))), (1 << 8, 40));
        plic.input(40, true);
        assert_eq!(plic.read32(claim(1)), 0, "the gateway waits for completion");
    }

    #[test]
    fn the_highest_priority_goes_first_then_the_lowest_number() {
        let mut plic = plic();
        plic.write32(4 * 70, 7);
        plic.write32(4 * 9, 0);
        [3, 9, 33, 70].into_iter().for_each(|source| plic.input(source, true));
        let claimed = [(); 4].map(|()| plic.read32(claim(1)));
        assert_eq!(claimed, [70, 3, 33, 0]);
    }

    #[test]
    fn thresholds_mask_the_line_but_not_the_claim() {
        let mut plic = plic();
        plic.write32(threshold(1), 1);
        plic.input(5, true);
        assert!(plic.outputs().is_empty());
        plic.write32(4 * 5, 2);
        assert_eq!(plic.outputs(), [1]);
        plic.write32(threshold(1), 0xff);
        assert_eq!((plic.read32(threshold(1)), plic.outputs()), (7, vec![]));
        assert_eq!(plic.read32(claim(1)), 5);
    }

    #[test]
    fn contexts_are_apart_and_completion_needs_enabling() {
        let mut plic = plic();
        plic.write32(enable(2), 1 << 5);
        plic.input(5, true);
        assert_eq!(plic.outputs(), [1, 2]);
        assert_eq!(plic.read32(claim(2)), 5);
        assert!(plic.outputs().is_empty());
        plic.write32(claim(0), 5);
        assert!(plic.outputs().is_empty(), "not enabled for context 0");
        plic.write32(claim(1), 5);
        assert_eq!(plic.outputs(), [1, 2]);
    }

    #[test]
    fn what_does_not_exist_reads_as_zero() {
        let mut plic = plic();
        plic.write32(0, 7);
        plic.write32(4 * 96, 7);
        plic.write32(enable(4), 1 << 5);
        assert_eq!((plic.read32(0), plic.read32(4 * 96), plic.read32(enable(4))), (0, 0, 0));
        assert_eq!((plic.read32(enable(1)), plic.read32(enable(1) + 12)), (0xffff_fffe, 0));
        plic.input(0, true);
        plic.input(96, true);
        plic.input(u32::MAX, true);
        assert_eq!((plic.outputs(), plic.read32(claim(1))), (vec![], 0));
        let odd = Access { window: 0, offset: 2, width: Width::B4 };
        assert_eq!(plic.try_read(odd), Err(Refusal::NoRegister));
        let wide = Access { window: 0, offset: claim(1), width: Width::B8 };
        assert_eq!(plic.try_read(wide), Err(Refusal::Width));
    }

    #[test]
    fn lines_outlast_a_reset() {
        let mut plic = plic();
        plic.input(7, true);
        plic.read32(claim(1));
        plic.device.reset();
        assert_eq!((plic.outputs(), plic.read32(0x1000)), (vec![], 1 << 7));
    }

    proptest! {
        /// Against the specification's wording, with sets instead of bits.
        #[test]
        fn every_interrupt_is_claimed_once_per_assertion(steps in prop::collection::vec((1_u32..8, 0_u8..4), 1..100)) {
            let mut plic = Bench::new(Plic::new(1, 7));
            plic.write32(enable(1), 0xff);
            (1..8).for_each(|source| plic.write32(4 * source, source));
            let (mut level, mut pending, mut claimed) = ([false; 8], [false; 8], [false; 8]);
            for (source, step) in steps {
                let index = source as usize;
                match step {
                    0 | 1 => {
                        level[index] = step == 1;
                        plic.input(source, level[index]);
                    }
                    2 => {
                        let expected = (1..8).rev().find(|&source| pending[source]).unwrap_or(0);
                        prop_assert_eq!(plic.read32(claim(1)), expected as u64);
                        pending[expected] = false;
                        claimed[expected] = expected != 0;
                    }
                    _ => {
                        claimed[index] = false;
                        plic.write32(claim(1), source.into());
                    }
                }
                for source in 1..8 {
                    pending[source] |= level[source] && !claimed[source];
                }
                prop_assert_eq!(plic.outputs().contains(&1), pending.contains(&true));
            }
        }

        #[test]
        fn no_access_panics(accesses in prop::collection::vec((any_access(0, reg::END), 0_u32..3, any::<u64>()), 0..100)) {
            let mut plic = Bench::new(Plic::new(MAX_HARTS, 95));
            for (mut access, fold, value) in accesses {
                access.offset &= [u64::MAX, 0x20_1fff, 0x3fff][fold as usize];
                plic.input(value as u32 % 128, value >> 40 & 1 != 0);
                let _ = plic.try_read(access);
                let _ = plic.try_write(access, value);
            }
            let _ = plic.outputs();
        }
    }
}
