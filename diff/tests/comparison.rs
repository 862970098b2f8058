//! Executions made by hand, which differ in one thing.

use ferry_diff::report::{Context, NoSymbols, json, junit, text};
use ferry_diff::{Comparison, Counts, Difference, Error, Execution, Options, Recorded, Verdict};
use trace::{
    Access, AccessKind, Architecture, Carries, Event, Header, Insn, RegWrite, Signal, Source, Trap,
    Writes,
};

use common::{A0, A1, ADD, RDTIME, different, same};

mod common;

struct Listed {
    header: Header,
    events: std::vec::IntoIter<Event>,
    adopts: bool,
    is_led: bool,
}

impl Source for Listed {
    fn header(&self) -> &Header {
        &self.header
    }

    fn next(&mut self, event: &mut Event) -> Result<bool, trace::Error> {
        let next = self.events.next();
        let is_there = next.is_some();
        *event = next.unwrap_or_default();
        Ok(is_there)
    }
}

impl Execution for Listed {
    fn adopt(&mut self, _: &Event, _: &mut dyn Execution) -> Result<bool, trace::Error> {
        Ok(self.adopts)
    }

    fn is_led(&self) -> bool {
        self.is_led
    }
}

fn everything() -> Carries {
    Carries {
        insn: true,
        privilege: true,
        int: Writes::Every,
        float: Writes::Every,
        control: Writes::Every,
        loads: true,
        load_values: true,
        stores: true,
        store_values: true,
        traps: true,
    }
}

fn listed(carries: Carries, events: Vec<Event>) -> Listed {
    let header = Header { architecture: Architecture::Riscv64, carries, program: None };
    Listed { header, events: events.into_iter(), adopts: false, is_led: false }
}

/// The n-th instruction of a hart, which writes a0.
fn step(n: u64, word: u64, a0: u128) -> Event {
    Event {
        pc: 0x1000 + 4 * n,
        insn: Insn::from_word(word, 4),
        writes: vec![RegWrite { register: A0, value: a0 }],
        ..Event::default()
    }
}

fn steps(values: &[u128]) -> Vec<Event> {
    (0..).zip(values).map(|(n, value)| step(n, ADD, *value)).collect()
}

fn compare(reference: &mut Listed, subject: &mut Listed, options: Options) -> Verdict {
    Comparison::new(reference, subject, options).unwrap().run().unwrap()
}

fn compared(reference: Vec<Event>, subject: Vec<Event>, options: Options) -> Verdict {
    compare(&mut listed(everything(), reference), &mut listed(everything(), subject), options)
}

#[test]
fn equal_executions_are_the_same() {
    let counts = same(&compared(steps(&[1, 2, 3]), steps(&[1, 2, 3]), Options::default()));
    assert_eq!((counts.instructions, counts.registers), (3, 3));
}

#[test]
fn the_first_wrong_value_is_found_with_what_was_before() {
    let d = different(compared(steps(&[1, 2, 3, 4]), steps(&[1, 2, 7, 4]), Options::default()));
    assert_eq!((d.pair.index, &d.differences[..]), (2, &[Difference::Register(A0, 3, 7)][..]));
    assert_eq!(
        (d.before.get(A0), d.reference.get(A0), d.subject.get(A0)),
        (Some(2), Some(3), Some(7))
    );
    assert_eq!(d.history.iter().map(|pair| pair.index).collect::<Vec<_>>(), [0, 1]);
    let options = Options { history: 1, ..Options::default() };
    assert_eq!(different(compared(steps(&[1, 2, 3]), steps(&[1, 2, 7]), options)).history.len(), 1);
    let options = Options { ignored: vec![A0], ..Options::default() };
    same(&compared(steps(&[1, 2, 3]), steps(&[1, 2, 7]), options));
}

#[test]
fn a_write_that_is_missing_is_a_difference() {
    let mut lost = steps(&[1, 2]);
    lost[1].writes.clear();
    let d = different(compared(steps(&[1, 2]), lost.clone(), Options::default()));
    assert_eq!(d.differences, [Difference::Register(A0, 2, 1)]);
    // Unless the subject does not show such writes.
    let silent = Carries { int: Writes::Unknown, ..everything() };
    let (mut a, mut b) = (listed(everything(), steps(&[1, 2])), listed(silent, lost));
    same(&compare(&mut a, &mut b, Options::default()));
    // A write of what was there before is none where only changes are shown.
    let changes = Carries { int: Writes::Changes, ..everything() };
    let mut unchanged = steps(&[1, 1]);
    unchanged[1].writes.clear();
    let (mut a, mut b) = (listed(everything(), steps(&[1, 1])), listed(changes, unchanged));
    same(&compare(&mut a, &mut b, Options::default()));
}

#[test]
fn control_and_code_are_compared() {
    let mut elsewhere = steps(&[1, 2]);
    elsewhere[1].pc = 0x2000;
    let d = different(compared(steps(&[1, 2]), elsewhere, Options::default()));
    assert_eq!(d.differences, [Difference::Pc(0x1004, 0x2000)]);
    let mut code = steps(&[1, 2]);
    code[1].insn = Insn::from_word(0x40b5_0533, 4);
    let d = different(compared(steps(&[1, 2]), code, Options::default()));
    assert!(matches!(d.differences[..], [Difference::Insn(..)]));
    let mut memory = steps(&[1, 2]);
    memory[1].accesses.push(Access {
        kind: AccessKind::Store,
        addr: 0x80,
        phys: None,
        size: Some(8),
        value: Some(1),
    });
    let d = different(compared(steps(&[1, 2]), memory, Options::default()));
    assert!(matches!(d.differences[..], [Difference::Memory(..)]));
}

#[test]
fn one_side_may_end_before_the_other_only_if_told_so() {
    let d = different(compared(steps(&[1]), steps(&[1, 2]), Options::default()));
    assert_eq!(d.differences, [Difference::End(None, Some(0x1004))]);
    let d = different(compared(steps(&[1, 2]), steps(&[1]), Options::default()));
    assert_eq!(d.differences, [Difference::End(Some(0x1004), None)]);
    let options = Options { may_go_on: true, ..Options::default() };
    same(&compared(steps(&[1]), steps(&[1, 2]), options.clone()));
    different(compared(steps(&[1, 2]), steps(&[1]), options));
    let options = Options { count: Some(1), ..Options::default() };
    assert_eq!(same(&compared(steps(&[1, 2]), steps(&[1, 9]), options)).instructions, 1);
}

#[test]
fn traps_that_one_side_does_not_show_are_passed_over() {
    let mut with_trap = steps(&[1, 2]);
    let trap = Some(Trap { cause: Some(2), ..Trap::default() });
    with_trap.insert(1, Event { pc: 0x5000, trap, ..Event::default() });
    let retired = Carries { traps: false, ..everything() };
    let (mut a, mut b) = (listed(retired, steps(&[1, 2])), listed(everything(), with_trap.clone()));
    assert_eq!(same(&compare(&mut a, &mut b, Options::default())).passed_over, 1);
    let (mut a, mut b) = (listed(everything(), with_trap.clone()), listed(retired, steps(&[1, 2])));
    assert_eq!(same(&compare(&mut a, &mut b, Options::default())).passed_over, 1);
    different(compared(with_trap, steps(&[1, 2]), Options::default()));
}

/// The instruction at this place does not retire, or its handler is entered there.
fn signal(n: u64, signal: Signal) -> Event {
    let trap = Some(Trap { signal: Some(signal), ..Trap::default() });
    Event { trap, writes: Vec::new(), ..step(n, ADD, 0) }
}

fn with_signals(signals: &[Signal]) -> Vec<Event> {
    let mut events = steps(&[1, 2]);
    events.splice(1..1, signals.iter().map(|one| signal(1, *one)));
    events
}

#[test]
fn a_subject_without_a_kernel_follows_signals() {
    let [raised, delivered] = [Signal::Raised(11), Signal::Delivered(11)];
    let mut reference = with_signals(&[raised, delivered]);
    let write = RegWrite { register: A1, value: 11 };
    reference[2].writes = vec![write];
    reference[3].writes.push(write);
    let mut subject = with_signals(&[raised]);
    subject[2].writes.push(write);
    let led = |events| Listed { adopts: true, is_led: true, ..listed(everything(), events) };
    let follow = |reference, subject: &[Event]| {
        compare(
            &mut listed(everything(), reference),
            &mut led(subject.to_vec()),
            Options::default(),
        )
    };
    let counts = same(&follow(reference.clone(), &subject));
    assert_eq!((counts.instructions, counts.signals), (3, 1));
    // One that is sent comes anywhere.
    reference.remove(1);
    subject.remove(1);
    assert_eq!(same(&follow(reference, &subject)).signals, 1);
}

#[test]
fn a_signal_that_only_one_side_raises_is_a_difference() {
    let [raised, delivered] = [Signal::Raised(11), Signal::Delivered(11)];
    let both = with_signals(&[raised, delivered]);
    assert_eq!(same(&compared(both.clone(), both, Options::default())).signals, 1);
    for (a, b) in [
        (&[raised][..], &[][..]),
        (&[], &[raised]),
        (&[raised], &[Signal::Raised(7)]),
        (&[delivered], &[raised]),
        (&[delivered], &[]),
    ] {
        let d = different(compared(with_signals(a), with_signals(b), Options::default()));
        assert!(matches!(d.differences[0], Difference::Trap(..)), "{a:?} {b:?}");
    }
    let d = different(compared(with_signals(&[raised]), with_signals(&[]), Options::default()));
    let context = Context {
        architecture: Architecture::Riscv64,
        names: ["a", "b"],
        symbol: &NoSymbols,
        explanation: None,
    };
    let verdict = Verdict::Different(Counts::default(), Box::new(d));
    let report = text(&verdict, &context);
    assert!(report.contains("the reference raises SIGSEGV, the subject does not trap"), "{report}");
    assert!(json(&verdict, &context).contains("\"signal\":\"SIGSEGV\""));
}

#[test]
fn sides_meet_again_within_the_distance_that_is_allowed() {
    let mut longer = steps(&[1, 2, 3]);
    for n in 0..3 {
        longer.insert(2, Event { pc: 0x9000 - 4 * n, ..Event::default() });
    }
    let options = |resync| Options { resync, ..Options::default() };
    different(compared(steps(&[1, 2, 3]), longer.clone(), options(0)));
    different(compared(steps(&[1, 2, 3]), longer.clone(), options(2)));
    assert_eq!(same(&compared(steps(&[1, 2, 3]), longer.clone(), options(3))).passed_over, 3);
    assert_eq!(same(&compared(longer, steps(&[1, 2, 3]), options(3))).passed_over, 3);
}

#[test]
fn what_comes_from_outside_is_taken_over_or_left_out() {
    let timed = |time| vec![step(0, ADD, 1), step(1, RDTIME, time), step(2, ADD, time + 1)];
    let copied = |time: u128| {
        let mut events = timed(time);
        events[2].writes = vec![RegWrite { register: A1, value: 5 }];
        events
    };
    let counts = same(&compared(copied(100), copied(107), Options::default()));
    assert_eq!((counts.unknown, counts.adopted), (1, 0));
    let d = different(compared(timed(100), timed(107), Options::default()));
    assert_eq!(d.pair.index, 2);
    let (mut a, mut b) = (listed(everything(), copied(100)), listed(everything(), copied(107)));
    b.adopts = true;
    assert_eq!(same(&compare(&mut a, &mut b, Options::default())).adopted, 1);
}

#[test]
fn harts_may_be_interleaved_in_any_way() {
    let on = |hart, events: Vec<Event>| {
        events.into_iter().map(move |event| Event { hart, ..event }).collect::<Vec<_>>()
    };
    let (first, second) = (on(0, steps(&[1, 2, 3])), on(1, steps(&[4, 5, 6])));
    let one_by_one = [first.clone(), second.clone()].concat();
    let in_turn =
        first.iter().zip(&second).flat_map(|(a, b)| [b.clone(), a.clone()]).collect::<Vec<_>>();
    assert_eq!(
        same(&compared(one_by_one.clone(), in_turn.clone(), Options::default())).instructions,
        6
    );
    let mut wrong = in_turn;
    wrong[2].writes[0].value = 9;
    let d = different(compared(one_by_one, wrong, Options::default()));
    assert_eq!((d.hart, d.pair.index), (1, 1));
}

#[test]
fn other_architectures_cannot_be_compared() {
    let mut a = listed(everything(), steps(&[1]));
    let mut b = listed(everything(), steps(&[1]));
    b.header.architecture = Architecture::Aarch64;
    let error = Comparison::new(&mut a, &mut Recorded(b), Options::default()).err();
    assert!(matches!(error, Some(Error::Architectures(..))));
}

#[test]
fn reports_say_where_what_and_since_when() {
    let verdict = compared(steps(&[1, 2, 3]), steps(&[1, 2, 7]), Options::default());
    let context = Context {
        architecture: Architecture::Riscv64,
        names: ["spike.log", "ferry <jit>"],
        symbol: &NoSymbols,
        explanation: None,
    };
    let report = text(&verdict, &context);
    let expected = "different: instruction 2 of hart 0 at 0x1008\n  reference: spike.log\n  subject:   ferry <jit>\n";
    assert!(report.starts_with(expected), "{report}");
    for line in [
        "x10: the reference has 0x3, the subject 0x7 (bits 0x4 differ)",
        "  * x10                                     0x3                 0x7  0x2",
        "2 instructions and 3 values of registers agree",
    ] {
        assert!(report.contains(line), "{line} is not in:\n{report}");
    }
    let json: serde_json::Value = serde_json::from_str(&json(&verdict, &context)).unwrap();
    assert_eq!(json["divergence"]["at"]["subject"]["writes"][0]["value"], "0x7");
    assert_eq!((&json["verdict"], &json["instructions"]), (&"different".into(), &2.into()));
    let junit = junit(&verdict, &context);
    assert!(junit.contains("name=\"ferry &lt;jit&gt; against spike.log\""), "{junit}");
    assert!(
        junit.contains("failures=\"1\"")
            && junit.contains("<failure message=\"different: instruction 2")
    );
}
