//! The host's processor by ptrace(2).
#![cfg(target_arch = "x86_64")]

use std::ffi::OsStr;

use diff::{Comparison, Options, Verdict};
use ferry_live::{Native, Replayed};
use linux_user::ReplicaTier;
use trace::{Architecture, Event, Register, Source};

/// A program that every host has, with libraries: its first instructions are its loader's.
const PROGRAM: &str = "/bin/true";

#[test]
fn two_native_runs_are_the_same() {
    let start = || Native::start(OsStr::new(PROGRAM), &[], None).unwrap();
    let (mut a, mut b) = (start(), start());
    let options = Options { count: Some(1500), ..Options::default() };
    let verdict = Comparison::new(&mut a, &mut b, options).unwrap().run().unwrap();
    let Verdict::Same(counts) = verdict else { panic!("{verdict:?}") };
    assert_eq!(counts.instructions, 1500);
    assert!(counts.registers > 500, "{counts:?}");
}

#[test]
fn a_step_shows_what_it_changed() {
    let mut native = Native::start(OsStr::new(PROGRAM), &[], None).unwrap();
    let mut event = Event::default();
    // The loader's `_start`: mov %rsp,%rdi; call _dl_start
    assert!(native.next(&mut event).unwrap());
    let next = event.pc;
    assert!(event.insn.is_some() && event.trap.is_none());
    assert!(native.next(&mut event).unwrap());
    assert!(event.pc > next, "one after the other");
    let pushed = event.writes.iter().find(|write| write.register == Register::int(4));
    assert!(pushed.is_some(), "the call wrote the stack pointer: {event:?}");
}

#[test]
fn a_program_with_libraries_is_repeated() {
    let mut native = Native::start(OsStr::new(PROGRAM), &[], None).unwrap();
    let interpreted = ReplicaTier::Interpreted;
    let mut replayed = Replayed::new(Architecture::X86_64, None, interpreted).unwrap();
    let verdict = Comparison::new(&mut native, &mut replayed, Options::default()).unwrap().run();
    let Verdict::Same(counts) = verdict.unwrap() else { panic!("they differ") };
    assert!(counts.instructions > 10_000, "{counts:?}");
}

#[test]
fn what_is_no_program_is_an_error() {
    assert!(Native::start(OsStr::new("/nonexistent"), &[], None).is_err());
}
