//! Subjects that execute whole blocks, held against single instructions.

use ferry_diff::report::{Context, NoSymbols, json, text};
use ferry_diff::{Comparison, Difference, Execution, Options, Recorded, Verdict};
use trace::{
    Access, AccessKind, Architecture, Carries, Event, Header, Insn, RegWrite, Register, Source,
    Trap, Writes,
};

use common::{A0, A1, ADD, RDTIME, different, same};

mod common;

fn header() -> Header {
    let changes = Writes::Changes;
    let carries = Carries {
        insn: true,
        int: changes,
        float: changes,
        control: changes,
        traps: true,
        ..Carries::default()
    };
    Header { architecture: Architecture::Riscv64, carries, program: None }
}

/// A list of events: instructions, or blocks with so many of them.
struct Listed {
    header: Header,
    events: std::vec::IntoIter<(Event, Vec<Insn>)>,
    block: Vec<Insn>,
    adopted: Vec<Event>,
    /// All of its memory.
    memory: Option<u8>,
}

impl Listed {
    fn new(events: Vec<(Event, Vec<Insn>)>) -> Self {
        let (events, block, adopted) = (events.into_iter(), Vec::new(), Vec::new());
        Self { header: header(), events, block, adopted, memory: None }
    }
}

impl Source for Listed {
    fn header(&self) -> &Header {
        &self.header
    }

    fn next(&mut self, event: &mut Event) -> Result<bool, trace::Error> {
        let next = self.events.next();
        let is_there = next.is_some();
        (*event, self.block) = next.unwrap_or_default();
        Ok(is_there)
    }
}

impl Execution for Listed {
    fn adopt(&mut self, event: &Event, _: &mut dyn Execution) -> Result<bool, trace::Error> {
        self.adopted.push(event.clone());
        Ok(true)
    }

    fn memory(&mut self, _: u64, into: &mut [u8]) -> bool {
        self.memory.is_some_and(|byte| {
            into.fill(byte);
            true
        })
    }

    fn is_led(&self) -> bool {
        true
    }

    fn block(&self) -> Option<&[Insn]> {
        Some(&self.block)
    }
}

fn write(register: Register, value: u128) -> RegWrite {
    RegWrite { register, value }
}

/// The n-th instruction.
fn step(n: u64, word: u64, writes: &[RegWrite]) -> Event {
    let (pc, insn) = (0x1000 + 4 * n, Insn::from_word(word, 4));
    Event { pc, insn, writes: writes.to_vec(), ..Event::default() }
}

/// A block that begins at the n-th one.
fn block(n: u64, words: &[u64], writes: &[RegWrite]) -> (Event, Vec<Insn>) {
    let insns = words.iter().filter_map(|word| Insn::from_word(*word, 4)).collect();
    (step(n, words[0], writes), insns)
}

fn reference() -> Vec<Event> {
    vec![
        step(0, ADD, &[write(A0, 1)]),
        step(1, ADD, &[write(A0, 2), write(A1, 9)]),
        step(2, ADD, &[write(A0, 3)]),
        step(3, ADD, &[write(A0, 4)]),
    ]
}

fn run(reference: Vec<Event>, subject: &mut Listed, options: Options) -> Verdict {
    let mut reference = Recorded(Instructions(header(), reference.into_iter()));
    Comparison::new(&mut reference, subject, options).unwrap().run().unwrap()
}

/// Instructions.
struct Instructions(Header, std::vec::IntoIter<Event>);

impl Source for Instructions {
    fn header(&self) -> &Header {
        &self.0
    }

    fn next(&mut self, event: &mut Event) -> Result<bool, trace::Error> {
        let next = self.1.next();
        let is_there = next.is_some();
        *event = next.unwrap_or_default();
        Ok(is_there)
    }
}

fn compared(reference: Vec<Event>, subject: Vec<(Event, Vec<Insn>)>) -> Verdict {
    run(reference, &mut Listed::new(subject), Options::default())
}

/// Three instructions, which leave this in a0, and one more.
fn blocks(a0: u128) -> Vec<(Event, Vec<Insn>)> {
    vec![block(0, &[ADD; 3], &[write(A0, a0), write(A1, 9)]), block(3, &[ADD], &[write(A0, 4)])]
}

#[test]
fn what_a_block_did_is_what_its_instructions_did_together() {
    let counts = same(&compared(reference(), blocks(3)));
    assert_eq!((counts.instructions, counts.blocks, counts.registers), (4, 2, 3));
    // As many instructions as were asked for, or some more.
    let options = Options { count: Some(2), ..Options::default() };
    assert_eq!(same(&run(reference(), &mut Listed::new(blocks(3)), options)).instructions, 3);
}

#[test]
fn a_wrong_register_at_its_end_is_found_with_the_block() {
    let verdict = compared(reference(), blocks(7));
    let context = Context {
        architecture: Architecture::Riscv64,
        names: ["a", "b"],
        symbol: &NoSymbols,
        explanation: None,
    };
    let report = text(&verdict, &context);
    assert!(report.contains("the block, instruction by instruction"), "{report}");
    let json: serde_json::Value = serde_json::from_str(&json(&verdict, &context)).unwrap();
    assert_eq!(json["divergence"]["block"].as_array().map(Vec::len), Some(3));
    let d = different(verdict);
    assert_eq!(d.differences, [Difference::Register(A0, 3, 7)]);
    assert_eq!((d.pair.index, d.block.len()), (0, 3));
    let guilty = d.guilty().unwrap();
    assert_eq!((guilty.block.len(), guilty.after.get(A1)), (3, Some(9)));
    // A write that is missing is one, too.
    let mut long = reference();
    long[0].writes.push(write(A1, 5));
    let mut lost = blocks(3);
    lost[0].0.writes[1].value = 5;
    let d = different(compared(long, lost));
    assert_eq!(d.differences, [Difference::Register(A1, 9, 5)]);
}

#[test]
fn where_control_goes_is_compared_within_and_after_blocks() {
    let mut elsewhere = reference();
    elsewhere[2].pc = 0x5000;
    let d = different(compared(elsewhere, blocks(3)));
    assert_eq!(d.differences, [Difference::Pc(0x5000, 0x1008)]);
    let guilty = d.guilty().unwrap();
    assert_eq!((guilty.block.len(), guilty.next), (2, Some(0x5000)));
    assert_eq!(guilty.after.get(A0), Some(2), "as far as the reference went the same way");
    let mut after = reference();
    after[3].pc = 0x5000;
    let d = different(compared(after, blocks(3)));
    assert_eq!(d.differences, [Difference::Pc(0x5000, 0x100c)]);
    let guilty = d.guilty().unwrap();
    assert_eq!((guilty.block.len(), guilty.next), (3, Some(0x5000)));
    let mut code = reference();
    code[1].insn = Insn::from_word(0x40b5_0533, 4);
    let d = different(compared(code, blocks(3)));
    assert!(matches!(d.differences[..], [Difference::Insn(..)]));
    let d = different(compared(reference()[..2].to_vec(), blocks(3)));
    assert!(matches!(d.differences[..], [Difference::End(None, Some(0x1000))]));
    let options = Options { may_go_on: true, ..Options::default() };
    same(&run(reference()[..2].to_vec(), &mut Listed::new(blocks(3)), options));
}

#[test]
fn what_the_last_instruction_got_from_outside_is_taken_over() {
    let timed = |time: u128| {
        vec![
            step(0, ADD, &[write(A0, 1), write(A1, 2)]),
            step(1, RDTIME, &[write(A0, time)]),
            step(2, ADD, &[write(A1, 3)]),
        ]
    };
    let subject = |time, a1| {
        vec![
            block(0, &[ADD, RDTIME], &[write(A0, time), write(A1, a1)]),
            block(2, &[ADD], &[write(A1, 3)]),
        ]
    };
    let mut listed = Listed::new(subject(7, 2));
    let counts = same(&run(timed(100), &mut listed, Options::default()));
    assert_eq!((counts.adopted, counts.instructions), (1, 3));
    assert_eq!(listed.adopted, [step(1, RDTIME, &[write(A0, 100)])]);
    // What comes before it is compared all the same.
    let d = different(compared(timed(100), subject(7, 8)));
    assert_eq!(d.differences, [Difference::Register(A1, 2, 8)]);
}

#[test]
fn memory_is_compared_where_the_reference_tells_what_it_stored() {
    let store = |addr, size, value| Access {
        kind: AccessKind::Store,
        addr,
        phys: None,
        size: Some(size),
        value: Some(value),
    };
    let mut storing = reference();
    // The second one overwrites a part of the first.
    storing[0].accesses = vec![store(0x80, 4, 0x0707_0909)];
    storing[2].accesses = vec![store(0x80, 2, 0x0707)];
    let mut subject = Listed::new(blocks(3));
    same(&run(storing.clone(), &mut subject, Options::default()));
    let mut subject = Listed { memory: Some(7), ..Listed::new(blocks(3)) };
    same(&run(storing.clone(), &mut subject, Options::default()));
    storing[1].accesses = vec![store(0x82, 2, 0x0807), store(0x84, 1, 9)];
    let mut subject = Listed { memory: Some(7), ..Listed::new(blocks(3)) };
    let d = different(run(storing, &mut subject, Options::default()));
    let differ = Difference::Memory(vec![store(0x83, 2, 0x0908)], vec![store(0x83, 2, 0x0707)]);
    assert_eq!(d.differences, [differ]);
}

#[test]
fn a_trap_ends_a_block_on_both_sides_or_is_a_difference() {
    let trap = Some(Trap { value: Some(0x20), ..Trap::default() });
    let mut trapping = reference();
    trapping.truncate(2);
    trapping[1] = Event { trap, writes: Vec::new(), ..trapping[1].clone() };
    let mut subject = vec![block(0, &[ADD; 2], &[write(A0, 1)])];
    subject[0].0.trap = trap;
    assert_eq!(same(&compared(trapping.clone(), subject.clone())).instructions, 2);
    let d = different(compared(trapping, blocks(3)));
    assert_eq!(d.differences, [Difference::Trap(trap, None)]);
    let d = different(compared(reference(), subject));
    assert_eq!(d.differences, [Difference::Trap(None, trap)]);
}
