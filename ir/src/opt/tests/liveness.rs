//! Liveness over the edges of regions.

use base::{GuestVirt, RegSlot};

use super::super::Optimiser;
use super::super::liveness::{Region, live_out};
use super::*;
use crate::SlotSet;
use crate::block::Block;
use crate::text::parse_blocks;

/// Which of `r0` to `r3` are live at the end of each block. Block numbers are their pcs.
fn live(text: &str, exact: Option<usize>) -> (Vec<Block>, Vec<SlotSet>, Vec<String>) {
    let blocks = parse_blocks(text, &GUEST).unwrap();
    let region = Region {
        blocks: &blocks.iter().collect::<Vec<_>>(),
        successor: |_, pc: GuestVirt| blocks.iter().position(|block| block.key.pc() == pc),
        is_exact: |index| Some(index) == exact,
    };
    let live = live_out(&region, &GUEST, Precision::Replay);
    let names = |set: &SlotSet| {
        let slots = (1..5).map(RegSlot).filter(|&slot| set.contains(slot));
        slots.filter_map(GUEST.slot_name).collect::<Vec<_>>().join(" ")
    };
    let names = live.iter().map(names).collect();
    (blocks, live, names)
}

const LOOP: &str = "
    block 0 { insn 0 4 r1 = mov.i64 1 r2 = mov.i64 2 jump 0x10 }
    block 0x10 { insn 0 4 r0 = add.i64 r0, r1 branch r0, 0x10, 0x20 }
    block 0x20 { insn 0 4 r1 = mov.i64 0 r2 = mov.i64 0 jump 0x99 }";

#[test]
fn what_no_path_reads_is_dead() {
    let (_, _, names) = live(LOOP, None);
    assert_eq!(names, ["r0 r1 r3", "r0 r1 r3", "r0 r1 r2 r3"]);
}

#[test]
fn exact_entries_read_everything() {
    let (_, _, names) = live(LOOP, Some(1));
    assert_eq!(names, ["r0 r1 r2 r3", "r0 r1 r2 r3", "r0 r1 r2 r3"]);
    let (_, _, names) = live(LOOP, Some(0));
    assert_eq!(names, ["r0 r1 r3", "r0 r1 r3", "r0 r1 r2 r3"]);
}

#[test]
fn unknown_exits_read_everything() {
    for terminator in ["indirect r0", "trap illegal, 0", "lookup 0", "branch r0, 0, 0x99"] {
        let (_, _, names) = live(&format!("block 0 {{ insn 0 4 {terminator} }}"), None);
        assert_eq!(names, ["r0 r1 r2 r3"], "{terminator}");
    }
    let (_, _, names) = live("block 0 { insn 0 4 jump 0 }", None);
    assert_eq!(names, [""], "an endless loop that reads nothing");
}

#[test]
fn sync_points_in_a_successor_read_everything() {
    let text = "
        block 0 { insn 0 4 r1 = mov.i64 1 jump 0x10 }
        block 0x10 { insn 0 4 r0 = mov.i64 1 insn 4 4 store.i64 [r0], 0 insn 8 4 r1 = mov.i64 0 jump 0x10 }";
    let (_, _, names) = live(text, None);
    assert_eq!(names, ["r1 r2 r3", "r1 r2 r3"]);
}

#[test]
fn the_ends_of_blocks_read_their_operand() {
    let text = "block 0 { insn 0 4 jump 0x10 } block 0x10 { insn 0 4 branch r0, 0x10, 0x10 }";
    assert_eq!(live(text, None).2, ["r0", "r0"]);
}

#[test]
fn dead_writes_go() {
    let (mut blocks, live, _) = live(LOOP, None);
    let options = Options { passes: Passes::DEAD, precision: Precision::Replay };
    let stats = Optimiser::new().optimise_before(&mut blocks[0], &GUEST, options, &live[0]);
    assert_eq!((stats.dead_writes, stats.before, stats.after), (1, 3, 2));
    let text = blocks[0].display(&GUEST).to_string();
    assert_eq!(text, "block 0x0 {\n  insn 0x0 4\n  r1 = mov.i64 1\n  jump 0x10\n}\n");
}
