//! Dead operations and slot writes.

use super::*;

#[track_caller]
fn check(before: &str, after: &str) {
    for precision in [Precision::EveryAccess, Precision::Replay] {
        check_by(Passes::DEAD, precision, before, after);
    }
}

#[track_caller]
fn check_apart(before: &str, every_access: &str, replay: &str) {
    check_by(Passes::DEAD, Precision::EveryAccess, before, every_access);
    check_by(Passes::DEAD, Precision::Replay, before, replay);
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

#[test]
fn faults_show_slots_or_are_replayed() {
    check_apart(
        "r0 = mov.i64 1; insn 4 4; r2 = load_u.i64 [r1]; insn 8 4; r0 = mov.i64 2",
        "r0 = mov.i64 1; insn 0x4 4; r2 = load_u.i64 [r1]; insn 0x8 4; r0 = mov.i64 2",
        "insn 0x4 4; r2 = load_u.i64 [r1]; insn 0x8 4; r0 = mov.i64 2",
    );
    check_apart(
        "r0 = mov.i64 1; insn 4 4; align_check.i64 [r1]; insn 8 4; r0 = mov.i64 2",
        "r0 = mov.i64 1; insn 0x4 4; align_check.i64 [r1]; insn 0x8 4; r0 = mov.i64 2",
        "insn 0x4 4; align_check.i64 [r1]; insn 0x8 4; r0 = mov.i64 2",
    );
}

#[test]
fn sync_points_show_slots() {
    for access in [
        "store.i64 [r1], 0",
        "%0 = atomic_add.i64.sc [r1], 1",
        "fence.sc",
        "call rotate()",
        "call probe(r1)",
    ] {
        let body = format!("r0 = mov.i64 1; insn 0x4 4; {access}; insn 0x8 4; r0 = mov.i64 2");
        check_by(Passes::DEAD, Precision::Replay, &body, &body);
    }
    let within = "r0 = mov.i64 1; insn 0x4 4; r0 = mov.i64 2; store.i64 [r1], 0";
    check_apart(within, "insn 0x4 4; r0 = mov.i64 2; store.i64 [r1], 0", within);
}

#[test]
fn helpers_read_what_they_declare() {
    check("r0 = mov.i64 1; call raise(1); r0 = mov.i64 2", "call raise(1); r0 = mov.i64 2");
    check("fflags = mov.i64 0; call raise(1)", "fflags = mov.i64 0; call raise(1)");
}
