//! Dead operations and slot writes.

use super::*;

#[track_caller]
fn check(before: &str, after: &str) {
    for precision in [Precision::EveryAccess, Precision::Replay] {
        check_by(Passes::DEAD, precision, before, after);
    }
}

#[test]
fn unused_results() {
    check("%0 = add.i64 r0, r1; %1 = add.i64 %0, 1", "");
    check("%0 = call mix(r0, r1); call mix(r0, r1)", "");
    check("%0 = load_u.i64 [r0]", "%0 = load_u.i64 [r0]");
    check("%0 = fadd.f64.rne f0, f1", "%0 = fadd.f64.rne f0, f1");
    check("%0 = fadd.f64.rne f0, f1; fflags = mov.i64 0", "fflags = mov.i64 0");
    check("%0 = call raise(1)", "%0 = call raise(1)");
}

#[test]
fn overwritten_slots() {
    check("r0 = add.i64 r1, 1; r0 = add.i64 r1, 2", "r0 = add.i64 r1, 2");
    check("r0 = add.i64 r1, 1; r0 = add.i64 r0, 2", "r0 = add.i64 r1, 1; r0 = add.i64 r0, 2");
    check("r0 = mov.i64 r0", "");
    check("r0 = load_u.i64 [r1]; r0 = mov.i64 1", "%0 = load_u.i64 [r1]; r0 = mov.i64 1");
}

/// `r0` is written, `between` runs in instructions of its own, `r0` is written again. Whether the
/// first write stays.
fn write_stays(precision: Precision, start: &str, between: &str) -> bool {
    let body =
        format!("{start} insn 4 4 r0 = mov.i64 1 {between} insn 0x20 4 r0 = mov.i64 2 lookup 0");
    let lines = optimised(&body, Passes::DEAD, precision);
    lines.contains(&"r0 = mov.i64 1".to_owned())
}

#[test]
fn at_every_access_all_accesses_show_slots() {
    let stays = |between: &str| write_stays(Precision::EveryAccess, "", between);
    for access in [
        "r2 = load_u.i64 [r1]",
        "store.i64 [r1], r1",
        "align_check.i64 [r1]",
        "%0 = atomic_add.i64.sc [r1], 1",
        "call rotate()",
        "call probe(r1)",
    ] {
        assert!(stays(&format!("insn 8 4 {access}")), "{access}");
    }
    for other in ["fence.sc", "r2 = call mix(1, 2)", "call raise(1)", "r2 = add.i64 r1, 1"] {
        assert!(!stays(&format!("insn 8 4 {other}")), "{other}");
    }
}

#[test]
fn with_replay_only_sync_points_show_slots() {
    // Whatever came before the block could not be done twice: the first access after it syncs.
    let stays = |between: &str| write_stays(Precision::Replay, "r3 = load_u.i64 [r1]", between);
    for sync in [
        "insn 8 4 store.i64 [r1], r1",
        "insn 8 4 r2 = mov.i64 1 store.i64 [r1], r1",
        "insn 8 4 %0 = atomic_add.i64.sc [r1], 1",
        "insn 8 4 call rotate()",
        "insn 8 4 call probe(r1)",
        "insn 8 4 align_check.i64 [r1]",
    ] {
        assert!(stays(sync), "{sync}");
    }
    for other in [
        "insn 8 4 r2 = load_u.i64 [r1]",
        "insn 8 4 call raise(1)",
        "insn 8 4 fence.sc",
        "insn 8 4 r2 = load_u.i64 [r1] insn 12 4 r2 = load_u.i64 [r1]",
    ] {
        assert!(!stays(other), "{other}");
    }
}

#[test]
fn the_first_access_after_what_cannot_be_done_twice_may_sync() {
    let load = "insn 8 4 r2 = load_u.i64 [r1]";
    for (start, stays) in [
        ("", true),
        ("r3 = load_u.i64 [r1]", false),
        ("store.i64 [r1], 1", false),
        ("%0 = atomic_add.i64.sc [r1], 1", true),
        ("call rotate()", true),
        ("fence.sc", true),
        ("r3 = load_u.i64 [r1] store.i64 [r1], r3", true),
        ("store.i64 [r1], r3 r3 = load_u.i64 [r1]", false),
    ] {
        assert_eq!(write_stays(Precision::Replay, start, load), stays, "{start}");
    }
}

#[test]
fn helpers_read_what_they_declare() {
    check("r0 = mov.i64 1; call raise(1); r0 = mov.i64 2", "call raise(1); r0 = mov.i64 2");
    check("fflags = mov.i64 0; call raise(1)", "fflags = mov.i64 0; call raise(1)");
}
