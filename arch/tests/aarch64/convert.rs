//! Conversions.

use ferry_arch::aarch64::helpers as h;
use ferry_arch::aarch64::helpers::Arg;

use super::operands::{DOUBLE, HALF, Kind, SINGLE};
use super::reference::Rows;
use super::{DOUBLES, HALVES, SCALARS, WORDS, With, float_kind, two};

#[test]
fn formats() {
    let mut rows = Rows::default();
    let kind = Kind::Float;
    for (text, kind, id, arg) in [
        ("fcvt h0, s1", kind(SINGLE), h::FCVTN, Arg::lanes(1, 1)),
        ("fcvt s0, d1", kind(DOUBLE), h::FCVTN, Arg::lanes(2, 1)),
        ("fcvtn v0.4h, v1.4s", kind(SINGLE), h::FCVTN, Arg::lanes(1, 4)),
        ("fcvtn v0.2s, v1.2d", kind(DOUBLE), h::FCVTN, Arg::lanes(2, 2)),
        ("fcvt s0, h1", kind(HALF), h::FCVTL, Arg::lanes(1, 1)),
        ("fcvt d0, s1", kind(SINGLE), h::FCVTL, Arg::lanes(2, 1)),
        ("fcvtl v0.4s, v1.4h", kind(HALF), h::FCVTL, Arg::lanes(1, 4)),
        ("fcvtl v0.2d, v1.2s", kind(SINGLE), h::FCVTL, Arg::lanes(2, 2)),
        ("fcvtxn s0, d1", kind(DOUBLE), h::FCVTXN, Arg::lanes(2, 1)),
        ("fcvtxn v0.2s, v1.2d", kind(DOUBLE), h::FCVTXN, Arg::lanes(2, 2)),
        ("bfcvt h0, s1", kind(SINGLE), h::BFCVTN, Arg::lanes(1, 1)),
        ("bfcvtn v0.4h, v1.4s", kind(SINGLE), h::BFCVTN, Arg::lanes(1, 4)),
    ] {
        rows.add(text, kind, move |cpu| cpu.v[0] = cpu.wide(id, arg, [cpu.v[1], 0, 0]));
    }
    rows.add("fcvt h0, d1", kind(DOUBLE), |cpu| {
        cpu.v[0] = cpu.call(h::FCVT_H_D, [cpu.v[1] as u64, 0, 0, 0]).into();
    });
    rows.add("fcvt d0, h1", kind(HALF), |cpu| {
        cpu.v[0] = cpu.call(h::FCVT_D_H, [cpu.v[1] as u64, 0, 0, 0]).into();
    });
    rows.add("fjcvtzs w0, d1", kind(DOUBLE), |cpu| {
        let result = cpu.call(h::FJCVTZS, [cpu.v[1] as u64, 0, 0, 0]);
        (cpu.x[0], cpu.nzcv) = (result & 0xffff_ffff, result >> 32);
    });
    rows.check("formats");
}

#[test]
fn integers() {
    let mut rows = Rows::default();
    let all = &[HALVES, WORDS, DOUBLES, &SCALARS[1..]];
    let modes: [(char, With); 5] = [
        ('n', |arg| arg.with(0)),
        ('p', |arg| arg.with(1)),
        ('m', |arg| arg.with(2)),
        ('z', |arg| arg.with(3)),
        ('a', |arg| arg.with(4)),
    ];
    for (mode, arg) in modes {
        two(&mut rows, &format!("fcvt{mode}s"), "", (h::FCVTS, arg), float_kind, all);
        two(&mut rows, &format!("fcvt{mode}u"), "", (h::FCVTU, arg), float_kind, all);
    }
    let integer = |size| if size == 4 { float_kind(size) } else { Kind::Float(HALF) };
    two(&mut rows, "scvtf", "", (h::SCVTF, |arg| arg), integer, all);
    two(&mut rows, "ucvtf", "", (h::UCVTF, |arg| arg), integer, all);
    two(&mut rows, "scvtf", "", (h::SCVTF, |arg| arg), float_kind, all);
    two(&mut rows, "fcvtzs", ", #1", (h::FCVTS, |arg| arg.with(3).and(1)), float_kind, all);
    two(&mut rows, "fcvtzs", ", #16", (h::FCVTS, |arg| arg.with(3).and(16)), float_kind, all);
    two(&mut rows, "fcvtzu", ", #9", (h::FCVTU, |arg| arg.with(3).and(9)), float_kind, all);
    two(&mut rows, "scvtf", ", #15", (h::SCVTF, |arg| arg.and(15)), float_kind, all);
    two(&mut rows, "ucvtf", ", #16", (h::UCVTF, |arg| arg.and(16)), float_kind, all);
    let wide = &[DOUBLES, &SCALARS[3..]];
    two(&mut rows, "fcvtzs", ", #64", (h::FCVTS, |arg| arg.with(3).and(64)), float_kind, wide);
    two(&mut rows, "ucvtf", ", #64", (h::UCVTF, |arg| arg.and(64)), float_kind, wide);
    rows.check("integers");
}

#[test]
fn registers() {
    let mut rows = Rows::default();
    for (f, size) in [("h", 1), ("s", 2), ("d", 3)] {
        for (x, wide) in [("w", 0), ("x", 2)] {
            for (number, mode) in ['n', 'p', 'm', 'z', 'a'].into_iter().enumerate() {
                for (sign, signed) in [("u", 0), ("s", 1)] {
                    let arg = Arg::lanes(size, wide + signed).with(number as u8);
                    rows.add(
                        format!("fcvt{mode}{sign} {x}0, {f}1"),
                        float_kind(size),
                        move |cpu| {
                            cpu.x[0] = cpu.call(h::FCVT_TO_X, [arg.raw(), cpu.v[1] as u64, 0, 0]);
                        },
                    );
                }
            }
            for (sign, signed) in [("u", 0), ("s", 1)] {
                let arg = Arg::lanes(size, wide + signed);
                for fraction in [0, 1, 17, 32] {
                    let tail = if fraction == 0 { String::new() } else { format!(", #{fraction}") };
                    let to = arg.with(3).and(fraction);
                    rows.add(
                        format!("fcvtz{sign} {x}0, {f}1{tail}"),
                        float_kind(size),
                        move |cpu| {
                            cpu.x[0] = cpu.call(h::FCVT_TO_X, [to.raw(), cpu.v[1] as u64, 0, 0]);
                        },
                    );
                    let from = arg.and(fraction);
                    rows.add(
                        format!("{sign}cvtf {f}0, {x}1{tail}"),
                        float_kind(size),
                        move |cpu| {
                            cpu.v[0] =
                                cpu.call(h::CVTF_FROM_X, [from.raw(), cpu.x[1], 0, 0]).into();
                        },
                    );
                }
            }
        }
    }
    rows.check("registers");
}
