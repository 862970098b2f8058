//! Floating-point arithmetic.

use base::HelperId;
use ferry_arch::aarch64::helpers as h;
use ferry_arch::aarch64::helpers::Arg;

use super::operands::{BRAIN, HALF, Kind, SINGLE};
use super::reference::Rows;
use super::{
    Arrangement, DOUBLES, HALVES, SCALARS, WORDS, With, float_kind, low, reg, same, three, two,
};

const ALL: &[&[Arrangement]] = &[HALVES, WORDS, DOUBLES, FLOATS];
const VECTORS: &[&[Arrangement]] = &[HALVES, WORDS, DOUBLES];
const FLOATS: &[Arrangement] = &[("h", 1, 1), ("s", 2, 1), ("d", 3, 1)];

#[test]
fn arithmetic() {
    let mut rows = Rows::default();
    let all: [(&str, HelperId, _); 22] = [
        ("fadd", h::FADD, ALL),
        ("fsub", h::FSUB, ALL),
        ("fmul", h::FMUL, ALL),
        ("fdiv", h::FDIV, ALL),
        ("fmulx", h::FMULX, ALL),
        ("fabd", h::FABD, ALL),
        ("fmax", h::FMAX, ALL),
        ("fmin", h::FMIN, ALL),
        ("fmaxnm", h::FMAXNM, ALL),
        ("fminnm", h::FMINNM, ALL),
        ("fcmeq", h::FCMEQ, ALL),
        ("fcmge", h::FCMGE, ALL),
        ("fcmgt", h::FCMGT, ALL),
        ("facge", h::FACGE, ALL),
        ("facgt", h::FACGT, ALL),
        ("frecps", h::FRECPS, ALL),
        ("frsqrts", h::FRSQRTS, ALL),
        ("faddp", h::FADDP, VECTORS),
        ("fmaxp", h::FMAXP, VECTORS),
        ("fminp", h::FMINP, VECTORS),
        ("fmaxnmp", h::FMAXNMP, VECTORS),
        ("fminnmp", h::FMINNMP, VECTORS),
    ];
    for (op, id, arrangements) in all {
        three(&mut rows, op, id, float_kind, arrangements);
    }
    rows.check("arithmetic");
}

#[test]
fn one_operand() {
    let mut rows = Rows::default();
    let all: [(&str, HelperId, _); 4] = [
        ("fsqrt", h::FSQRT, ALL),
        ("frecpe", h::FRECPE, ALL),
        ("frsqrte", h::FRSQRTE, ALL),
        ("frecpx", h::FRECPX, &[FLOATS]),
    ];
    for (op, id, arrangements) in all {
        two(&mut rows, op, "", (id, same), float_kind, arrangements);
    }
    two(&mut rows, "urecpe", "", (h::URECPE, same), super::integer, &[WORDS]);
    two(&mut rows, "ursqrte", "", (h::URSQRTE, same), super::integer, &[WORDS]);
    for (op, id) in [
        ("faddp", h::FADDV),
        ("fmaxp", h::FMAXV),
        ("fminp", h::FMINV),
        ("fmaxnmp", h::FMAXNMV),
        ("fminnmp", h::FMINNMV),
    ] {
        for (scalar, from, size) in [("h", "2h", 1), ("s", "2s", 2), ("d", "2d", 3)] {
            across(&mut rows, format!("{op} {scalar}0, v1.{from}"), id, Arg::lanes(size, 2), size);
        }
        if op != "faddp" {
            let op = op.replace('p', "v");
            for (scalar, from, size, count) in
                [("h", "4h", 1, 4), ("h", "8h", 1, 8), ("s", "4s", 2, 4)]
            {
                let arg = Arg::lanes(size, count);
                across(&mut rows, format!("{op} {scalar}0, v1.{from}"), id, arg, size);
            }
        }
    }
    rows.check("one_operand");
}

fn across(rows: &mut Rows, text: String, id: HelperId, arg: Arg, size: u32) {
    rows.add(text, float_kind(size), move |cpu| {
        cpu.v[0] = cpu.wide(id, arg, [cpu.v[1], 0, 0]);
    });
}

#[test]
fn fused() {
    let mut rows = Rows::default();
    for (op, number) in [("fmla", 0), ("fmls", 1)] {
        for &arrangement in VECTORS.iter().copied().flatten() {
            let text = format!(
                "{op} {}, {}, {}",
                reg(0, arrangement),
                reg(1, arrangement),
                reg(2, arrangement)
            );
            let (_, size, count) = arrangement;
            rows.add(text, float_kind(size), move |cpu| {
                let arg = Arg::lanes(size, count).with(number);
                let result = cpu.wide(h::FMLA, arg, [cpu.v[1], cpu.v[2], cpu.v[0]]);
                cpu.v[0] = low(result, arrangement);
            });
        }
    }
    for (op, number) in [("fmadd", 0), ("fmsub", 1), ("fnmadd", 3), ("fnmsub", 2)] {
        for &(f, size, _) in FLOATS {
            rows.add(format!("{op} {f}0, {f}1, {f}2, {f}3"), float_kind(size), move |cpu| {
                let arg = Arg::lanes(size, 1).with(number);
                cpu.v[0] = cpu.wide(h::FMLA, arg, [cpu.v[1], cpu.v[2], cpu.v[3]]);
            });
        }
    }
    for &(f, size, _) in FLOATS {
        for (op, number) in [("fcmp", 0), ("fcmpe", 1)] {
            rows.add(format!("{op} {f}1, {f}2"), float_kind(size), move |cpu| {
                let arg = Arg::lanes(size, 1).with(number);
                cpu.nzcv = cpu.call(h::FCMP, [arg.raw(), cpu.v[1] as u64, cpu.v[2] as u64, 0]);
            });
        }
    }
    rows.check("fused");
}

#[test]
fn rounding() {
    let mut rows = Rows::default();
    let all: [(&str, With); 7] = [
        ("frintn", |arg| arg.with(0)),
        ("frintp", |arg| arg.with(1)),
        ("frintm", |arg| arg.with(2)),
        ("frintz", |arg| arg.with(3)),
        ("frinta", |arg| arg.with(4)),
        ("frinti", |arg| arg.with(5)),
        ("frintx", |arg| arg.with(5).and(1)),
    ];
    for (op, arg) in all {
        two(&mut rows, op, "", (h::FRINT, arg), float_kind, ALL);
    }
    let sized: [(&str, With); 4] = [
        ("frint32z", |arg| arg.with(3).and(32)),
        ("frint32x", |arg| arg.with(5).and(32)),
        ("frint64z", |arg| arg.with(3).and(64)),
        ("frint64x", |arg| arg.with(5).and(64)),
    ];
    for (op, arg) in sized {
        two(&mut rows, op, "", (h::FRINTTS, arg), float_kind, &[WORDS, DOUBLES, &SCALARS[2..]]);
    }
    rows.check("rounding");
}

#[test]
fn complex() {
    let mut rows = Rows::default();
    for &arrangement in VECTORS.iter().copied().flatten() {
        let (_, size, count) = arrangement;
        let registers =
            format!("{}, {}, {}", reg(0, arrangement), reg(1, arrangement), reg(2, arrangement));
        for turn in 0..4_u8 {
            let degrees = 90 * u32::from(turn);
            let arg = Arg::lanes(size, count).with(turn);
            if turn % 2 != 0 {
                rows.add(format!("fcadd {registers}, #{degrees}"), float_kind(size), move |cpu| {
                    cpu.v[0] = cpu.wide(h::FCADD, arg, [cpu.v[1], cpu.v[2], 0]);
                });
            }
            rows.add(format!("fcmla {registers}, #{degrees}"), float_kind(size), move |cpu| {
                cpu.v[0] = cpu.wide(h::FCMLA, arg, [cpu.v[1], cpu.v[2], cpu.v[0]]);
            });
        }
    }
    rows.check("complex");
}

#[test]
fn widening() {
    let mut rows = Rows::default();
    for (op, number, shift) in
        [("fmlal", 0, 0), ("fmlsl", 1, 0), ("fmlal2", 0, 1), ("fmlsl2", 1, 1)]
    {
        for (to, from, count) in [("2s", "2h", 2), ("4s", "4h", 4)] {
            let arg = Arg::lanes(2, count).with(number);
            let shift = shift * 16 * count;
            // Random addends of single precision are seldom near the products.
            for kind in [HALF, SINGLE] {
                let text = format!("{op} v0.{to}, v1.{from}, v2.{from}");
                rows.add(text, Kind::Float(kind), move |cpu| {
                    let factors = [cpu.v[1] >> shift, cpu.v[2] >> shift];
                    cpu.v[0] = cpu.wide(h::FMLAL, arg, [factors[0], factors[1], cpu.v[0]]);
                });
            }
        }
    }
    for kind in [BRAIN, SINGLE].map(Kind::Float) {
        for (op, odd) in [("bfmlalb", 0), ("bfmlalt", 1)] {
            rows.add(format!("{op} v0.4s, v1.8h, v2.8h"), kind, move |cpu| {
                let arg = Arg::lanes(2, 4).with(odd);
                cpu.v[0] = cpu.wide(h::BFMLAL, arg, [cpu.v[1], cpu.v[2], cpu.v[0]]);
            });
        }
        for (text, id, count) in [
            ("bfdot v0.2s, v1.4h, v2.4h", h::BFDOT, 2),
            ("bfdot v0.4s, v1.8h, v2.8h", h::BFDOT, 4),
            ("bfmmla v0.4s, v1.8h, v2.8h", h::BFMMLA, 4),
        ] {
            rows.add(text, kind, move |cpu| {
                cpu.v[0] = cpu.wide(id, Arg::lanes(2, count), [cpu.v[1], cpu.v[2], cpu.v[0]]);
            });
        }
    }
    rows.check("widening");
}
