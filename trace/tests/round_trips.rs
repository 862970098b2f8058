//! What is written in a format is read again, as far as the format carries it.

use std::collections::BTreeMap;

use ferry_trace::formats::Format;
use ferry_trace::names::register_bits;
use ferry_trace::{
    Access, AccessKind, Architecture, Event, Insn, Privilege, RegClass, RegWrite, Register, Trap,
};
use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::*;

/// Registers that the formats name, of one architecture.
fn registers(architecture: Architecture) -> BoxedStrategy<Register> {
    let file =
        |class, count| (0_u16..count).prop_map(move |number| Register::new(class, number)).boxed();
    let control = match architecture {
        // Without the cause and the value of traps, which RVVI-TEXT takes for the event's own.
        Architecture::Riscv64 => {
            prop::sample::select(vec![1, 0x300, 0x305, 0x340, 0x7c0, 0xc00]).boxed()
        }
        // ESR_EL1, TPIDR_EL0, and one without a name.
        Architecture::Aarch64 => prop::sample::select(vec![0xc290, 0xde82, 0xffff]).boxed(),
        Architecture::X86_64 => (0_u16..6).boxed(),
    };
    let control = control.prop_map(Register::control).boxed();
    match architecture {
        Architecture::Riscv64 => prop_oneof![
            file(RegClass::Int, 32),
            file(RegClass::Float, 32),
            file(RegClass::Vector, 32),
            control
        ]
        .boxed(),
        Architecture::Aarch64 => prop_oneof![
            file(RegClass::Int, 32),
            file(RegClass::Vector, 32),
            Just(Register::FLAGS),
            control
        ]
        .boxed(),
        Architecture::X86_64 => prop_oneof![
            file(RegClass::Int, 16),
            file(RegClass::Float, 8),
            file(RegClass::Vector, 32),
            file(RegClass::VectorUpper, 32),
            Just(Register::FLAGS),
            control
        ]
        .boxed(),
    }
}

fn insns(architecture: Architecture) -> BoxedStrategy<Insn> {
    match architecture {
        Architecture::Riscv64 => prop_oneof![
            any::<u32>()
                .prop_map(|word| Insn::from_word((word & !0b11111 | 0b10011).into(), 4).unwrap()),
            any::<u16>().prop_map(|word| Insn::from_word((word & !0b11 | 0b01).into(), 2).unwrap()),
        ]
        .boxed(),
        Architecture::Aarch64 => {
            any::<u32>().prop_map(|word| Insn::from_word(word.into(), 4).unwrap()).boxed()
        }
        Architecture::X86_64 => {
            vec(any::<u8>(), 1..16).prop_map(|bytes| Insn::new(&bytes).unwrap()).boxed()
        }
    }
}

fn accesses() -> impl Strategy<Value = Access> {
    let kinds = prop_oneof![Just(AccessKind::Load), Just(AccessKind::Store)];
    (kinds, any::<u64>(), option::of(0_u64..1 << 48), 1_u8..=16, any::<u128>()).prop_map(
        |(kind, addr, phys, size, value)| {
            let value = value & u128::MAX >> (128 - 8 * u32::from(size));
            Access { kind, addr, phys, size: Some(size), value: Some(value) }
        },
    )
}

fn events(architecture: Architecture) -> impl Strategy<Value = Event> {
    let writes = btree_map(registers(architecture), any::<u128>(), 0..4).prop_map(move |writes| {
        let written = |(register, value): (Register, u128)| {
            let mask = match (architecture, register.class) {
                (Architecture::Aarch64, RegClass::Flags) => 0xf000_0000,
                _ => u128::MAX >> (128 - register_bits(architecture, register)),
            };
            RegWrite { register, value: value & mask }
        };
        writes.into_iter().map(written).collect()
    });
    let traps = option::weighted(0.2, (option::of(any::<u64>()), option::of(any::<u64>())));
    let place = (0_u32..3, option::of(any::<u64>()), any::<u64>(), 0_u8..4);
    (place, insns(architecture), writes, vec(accesses(), 0..4), traps).prop_map(
        |((hart, order, pc, level), insn, writes, accesses, trap)| Event {
            hart,
            order,
            pc,
            insn: Some(insn),
            privilege: Some(Privilege(level)),
            writes,
            accesses,
            trap: trap.map(|(cause, value)| Trap { cause, value, signal: None }),
        },
    )
}

fn written(format: Format, architecture: Architecture, events: &[Event]) -> Vec<u8> {
    let mut text = Vec::new();
    let mut sink = format.write(&mut text, architecture).unwrap().unwrap();
    events.iter().for_each(|event| sink.write(event).unwrap());
    sink.finish().unwrap();
    drop(sink);
    text
}

/// By hart, as the order of different harts' events means nothing.
fn by_hart(events: impl IntoIterator<Item = Event>) -> BTreeMap<u32, Vec<Event>> {
    let mut harts: BTreeMap<u32, Vec<Event>> = BTreeMap::new();
    events.into_iter().for_each(|event| harts.entry(event.hart).or_default().push(event));
    harts
}

fn read(format: Format, architecture: Architecture, text: &[u8]) -> Vec<Event> {
    let mut source = format.read(text, Some(architecture)).unwrap();
    let mut events = Vec::new();
    let mut event = Event::default();
    while source.next(&mut event).unwrap() {
        events.push(event.clone());
    }
    events
}

/// Writes the events and reads them. `carried` is what the format leaves of each, given the ones of its hart before.
fn check(
    format: Format,
    architecture: Architecture,
    events: &[Event],
    carried: fn(&mut Vec<Event>, Event),
) {
    let text = written(format, architecture, events);
    let found = by_hart(read(format, architecture, &text));
    let expected = by_hart(events.iter().cloned()).into_iter().map(|(hart, events)| {
        let mut left = Vec::new();
        events.into_iter().for_each(|event| carried(&mut left, event));
        (hart, left)
    });
    let expected: BTreeMap<_, _> = expected.filter(|(_, events)| !events.is_empty()).collect();
    for (hart, expected) in &expected {
        assert_eq!(found.get(hart), Some(expected), "{}", String::from_utf8_lossy(&text));
    }
    assert_eq!(found.len(), expected.len());
}

fn without_zero(event: &mut Event) {
    event.writes.retain(|write| write.register != Register::int(0));
}

fn in_spike(events: &mut Vec<Event>, mut event: Event) {
    if event.trap.is_some() {
        return;
    }
    event.order = None;
    without_zero(&mut event);
    event.accesses.sort_by_key(|access| access.kind == AccessKind::Store);
    for access in &mut event.accesses {
        access.phys = None;
        if access.kind == AccessKind::Load {
            (access.size, access.value) = (None, None);
        }
    }
    events.push(event);
}

fn in_rvvi(events: &mut Vec<Event>, mut event: Event) {
    without_zero(&mut event);
    event.accesses.iter_mut().for_each(|access| access.phys = None);
    let next = events.last().map_or(0, |last| last.order.unwrap().wrapping_add(1));
    event.order = event.order.or(Some(next));
    events.push(event);
}

fn in_tarmac(events: &mut Vec<Event>, mut event: Event) {
    event.order = None;
    event.trap = event.trap.map(|_| Trap::default());
    events.push(event);
}

fn in_execlog(events: &mut Vec<Event>, mut event: Event) {
    (event.order, event.privilege, event.trap) = (None, None, None);
    let is_first = events.is_empty();
    event.writes.retain(|write| {
        !(is_first && matches!(write.register.class, RegClass::Control | RegClass::Flags))
    });
    for access in &mut event.accesses {
        (access.phys, access.size, access.value) = (None, None, None);
    }
    events.push(event);
}

fn in_execlog_of_riscv(events: &mut Vec<Event>, mut event: Event) {
    without_zero(&mut event);
    in_execlog(events, event);
}

proptest! {
    #[test]
    fn spike(events in vec(events(Architecture::Riscv64), 1..12)) {
        // Without one that retires, there is no text.
        prop_assume!(events.iter().any(|event| event.trap.is_none()));
        check(Format::Spike, Architecture::Riscv64, &events, in_spike);
    }

    #[test]
    fn rvvi(events in vec(events(Architecture::Riscv64), 1..12)) {
        check(Format::Rvvi, Architecture::Riscv64, &events, in_rvvi);
    }

    #[test]
    fn tarmac(events in vec(events(Architecture::Aarch64), 1..12)) {
        check(Format::Tarmac, Architecture::Aarch64, &events, in_tarmac);
    }

    #[test]
    fn execlog_of_riscv64(events in vec(events(Architecture::Riscv64), 1..12)) {
        check(Format::Execlog, Architecture::Riscv64, &events, in_execlog_of_riscv);
    }

    #[test]
    fn execlog_of_aarch64(events in vec(events(Architecture::Aarch64), 1..12)) {
        check(Format::Execlog, Architecture::Aarch64, &events, in_execlog);
    }

    #[test]
    fn execlog_of_x86_64(events in vec(events(Architecture::X86_64), 1..12)) {
        let text = written(Format::Execlog, Architecture::X86_64, &events);
        let found = read(Format::Execlog, Architecture::X86_64, &text);
        prop_assert_eq!(found.len(), events.len());
        let mut first = [true; 3];
        for (found, event) in found.iter().zip(&events) {
            prop_assert_eq!((found.hart, found.pc), (event.hart, event.pc));
            prop_assert!(found.insn.unwrap().agrees_with(&event.insn.unwrap()));
            let is_first = std::mem::take(&mut first[event.hart as usize]);
            let is_kept = |write: &&RegWrite| match write.register.class {
                RegClass::Flags => false,
                RegClass::Control => !is_first,
                _ => true,
            };
            let kept: Vec<_> = event.writes.iter().filter(is_kept).copied().collect();
            prop_assert_eq!(&found.writes, &kept);
        }
    }
}

#[test]
fn what_a_format_has_no_words_for_is_an_error() {
    let event = Event { insn: Insn::new(&[0x13, 0, 0, 0]), ..Event::default() };
    let fails = |format: Format, event: &Event| {
        let architecture = format.architecture().unwrap_or(Architecture::Riscv64);
        format.write(std::io::sink(), architecture).unwrap().unwrap().write(event).is_err()
    };
    // The level of privilege.
    assert!(fails(Format::Spike, &event) && fails(Format::Tarmac, &event));
    assert!(!fails(Format::Execlog, &event) && !fails(Format::Rvvi, &event));
    // The instruction.
    for format in [Format::Spike, Format::Execlog, Format::Rvvi, Format::Tarmac] {
        assert!(fails(format, &Event { privilege: Some(Privilege(0)), ..Event::default() }));
    }
    for format in [Format::Qemu, Format::Rvfi] {
        assert!(format.write(std::io::sink(), Architecture::Riscv64).unwrap().is_none());
    }
}
