//! What holds of every valid block. Failures are printed whole, so none are kept in a file.

use base::{GuestVirt, RegSlot};
use ferry_ir::Precision;
use ferry_ir::eval::Exit;
use ferry_ir::ops::flag;
use ferry_ir::opt::liveness::{Region, live_out};
use ferry_ir::opt::{Optimiser, Options, Passes, optimise};
use ferry_ir::testing::{Choices, GUEST, Outcome, block, outcome, outcome_of_all};
use ferry_ir::text::parse_block;
use ferry_ir::{Block, Inst, Opcode, Operand, Terminator, verify};
use proptest::collection::vec;
use proptest::prelude::*;

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(2000) })]

    #[test]
    fn generated_blocks_are_valid(numbers in vec(any::<u32>(), 0..400)) {
        let block = block(&mut Choices::new(&numbers));
        prop_assert_eq!(verify(&block, &GUEST), Ok(()), "{}", block.display(&GUEST));
    }

    #[test]
    fn text_comes_back(numbers in vec(any::<u32>(), 0..400)) {
        let block = block(&mut Choices::new(&numbers));
        let text = block.display(&GUEST).to_string();
        match parse_block(&text, &GUEST) {
            Ok(parsed) => prop_assert_eq!(parsed, block, "{}", text),
            Err(error) => prop_assert!(false, "{}\n{}", error, text),
        }
    }

    #[test]
    fn any_text_is_a_block_or_an_error(text in "\\PC{0,200}") {
        let _ = parse_block(&text, &GUEST);
    }

    #[test]
    fn unspecified_bits_do_not_matter(
        numbers in vec(any::<u32>(), 0..400),
        registers in vec(any::<u32>(), 80),
        garbage in any::<u64>(),
    ) {
        let block = block(&mut Choices::new(&numbers));
        let run = |garbage| outcome(&GUEST, &block, Choices::new(&registers), garbage);
        prop_assert_eq!(run(garbage), run(0), "{}", block.display(&GUEST));
    }

}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(10_000) })]

    #[test]
    fn optimised_blocks_do_the_same(
        numbers in vec(any::<u32>(), 0..600),
        registers in vec(any::<u32>(), 80),
        passes in passes(),
        garbage in any::<u64>(),
    ) {
        let before = block(&mut Choices::new(&numbers));
        let after = optimised(&before, passes, Precision::EveryAccess);
        prop_assert_eq!(verify(&after, &GUEST), Ok(()), "{}", after.display(&GUEST));
        let run = |block, garbage| outcome(&GUEST, block, Choices::new(&registers), garbage);
        prop_assert_eq!(run(&after, garbage), run(&before, 0), "{}", shown(&before, &after));
    }

    #[test]
    fn replay_finds_exact_sync_points_and_exits(
        numbers in vec(any::<u32>(), 0..600),
        registers in vec(any::<u32>(), 80),
        passes in passes(),
    ) {
        let before = block(&mut Choices::new(&numbers));
        let after = optimised(&before, passes, Precision::Replay);
        let run = |block: &Block| outcome(&GUEST, block, Choices::new(&registers), 0);
        let (was, is) = (run(&before), run(&after));
        prop_assert_eq!((was.exit, &was.memory), (is.exit, &is.memory), "{}", shown(&before, &after));
        if !left_by_a_fault(&was) {
            prop_assert_eq!(was, is, "{}", shown(&before, &after));
        }
        for offset in sync_points(&after) {
            let (was, is) = (run(&up_to(&before, offset)), run(&up_to(&after, offset)));
            if !left_by_a_fault(&was) {
                prop_assert_eq!(was, is, "at {:#x}:\n{}", offset, shown(&before, &after));
            }
        }
    }

    #[test]
    fn what_is_dead_over_edges_is_never_seen(
        numbers in vec(vec(any::<u32>(), 0..100), 3),
        registers in vec(any::<u32>(), 80),
        rounds in 1..4_usize,
    ) {
        let before = ring(numbers.iter().map(|numbers| block(&mut Choices::new(numbers))));
        let after = without_dead_writes(&before);
        let run = |blocks: &[Block; 3]| {
            let [a, b, out] = blocks;
            let path: Vec<_> = [a, b].into_iter().cycle().take(rounds).chain([out]).collect();
            outcome_of_all(&GUEST, &path, Choices::new(&registers), 0)
        };
        let text = || before.iter().zip(&after).map(|(b, a)| shown(b, a)).collect::<String>();
        prop_assert_eq!(run(&before), run(&after), "{}", text());
    }

    #[test]
    fn optimising_twice_changes_little(numbers in vec(any::<u32>(), 0..400)) {
        let before = block(&mut Choices::new(&numbers));
        let once = optimised(&before, Passes::ALL, Precision::EveryAccess);
        let twice = optimised(&once, Passes::ALL, Precision::EveryAccess);
        prop_assert!(twice.insts.len() <= once.insts.len(), "{}", shown(&once, &twice));
    }
}

/// Three blocks as a region: the first two go on at each other or at the third, which leaves.
fn ring(blocks: impl Iterator<Item = Block>) -> [Block; 3] {
    let [mut a, mut b, mut out]: [Block; 3] = blocks.collect::<Vec<_>>().try_into().unwrap();
    let cond = Operand::slot(RegSlot(1));
    let branch = |taken| Terminator::Branch { cond, taken, fallthrough: GuestVirt(2) };
    a.terminator = branch(GuestVirt(1));
    b.terminator = branch(GuestVirt(0));
    out.terminator = Terminator::Lookup { target: GuestVirt(3) };
    [a, b, out]
}

fn without_dead_writes(blocks: &[Block; 3]) -> [Block; 3] {
    let region = Region {
        blocks: &blocks.each_ref(),
        successor: |_, pc: GuestVirt| Some(pc.0 as usize),
        is_exact: |_| false,
    };
    let live = live_out(&region, &GUEST, Precision::EveryAccess);
    let options = Options { passes: Passes::DEAD, precision: Precision::EveryAccess };
    std::array::from_fn(|index| {
        let mut block = blocks[index].clone();
        Optimiser::new().optimise_before(&mut block, &GUEST, options, &live[index]);
        block
    })
}

fn passes() -> impl Strategy<Value = Passes> {
    let every = Just(Passes::ALL);
    let some = (0..1_u32 << Passes::NAMED.len()).prop_map(|bits| {
        let on = Passes::NAMED.iter().enumerate().filter(|(index, _)| bits >> index & 1 != 0);
        on.fold(Passes::NONE, |set, (_, &(pass, _))| set.with(pass))
    });
    prop_oneof![every, some]
}

fn optimised(block: &Block, passes: Passes, precision: Precision) -> Block {
    let mut block = block.clone();
    optimise(&mut block, &GUEST, Options { passes, precision });
    block
}

fn shown(before: &Block, after: &Block) -> String {
    format!("{}{}", before.display(&GUEST), after.display(&GUEST))
}

fn left_by_a_fault(outcome: &Outcome) -> bool {
    matches!(outcome.exit, Exit::Fault { .. } | Exit::Misaligned { .. })
}

/// Offsets of the guest instructions at whose start a sync point may lie, whatever came before the
/// block. The rule: before the first store after a load; before and after what cannot be done
/// twice, which is atomics, helpers with effects, and a store after a load in one instruction.
fn sync_points(block: &Block) -> Vec<i32> {
    let starts = [(false, false), (true, false), (false, true)];
    starts.into_iter().flat_map(|start| sync_points_after(block, start)).collect()
}

/// The same if a load, or something that cannot be done twice, came before and no sync point since.
fn sync_points_after(block: &Block, (mut loaded, mut once): (bool, bool)) -> Vec<i32> {
    let mut offsets = Vec::new();
    for insn in block.insts.chunk_by(|_, next| next.op != Opcode::Mark) {
        let (mut loads, mut stores, mut unrepeatable) = (false, false, false);
        for inst in insn {
            match access(inst) {
                None => {}
                Some(Access::Load) => loads = true,
                Some(Access::Store) => (stores, unrepeatable) = (true, unrepeatable || loads),
                Some(Access::Once) => unrepeatable = true,
            }
        }
        if !(loads || stores || unrepeatable) {
            continue;
        }
        if unrepeatable || once || stores && loaded {
            offsets.push(insn[0].imm);
            loaded = false;
        }
        (loaded, once) = (loaded || loads, unrepeatable);
    }
    offsets
}

enum Access {
    Load,
    Store,
    Once,
}

fn access(inst: &Inst) -> Option<Access> {
    let info = inst.op.info();
    if inst.op == Opcode::Call {
        return GUEST.uses_frame(inst).then_some(Access::Once);
    }
    match (info.has(flag::READS), info.has(flag::WRITES), info.has(flag::FAULTS)) {
        (true, true, _) => Some(Access::Once),
        (_, true, true) => Some(Access::Store),
        (_, false, true) => Some(Access::Load),
        _ => None,
    }
}

/// The block up to the start of a guest instruction.
fn up_to(block: &Block, offset: i32) -> Block {
    let mut block = block.clone();
    let at = |inst: &Inst| inst.op == Opcode::Mark && inst.imm == offset;
    let end = block.insts.iter().position(at).unwrap_or(block.insts.len());
    block.insts.truncate(end);
    block.terminator = Terminator::Lookup { target: block.key.pc() };
    block
}
