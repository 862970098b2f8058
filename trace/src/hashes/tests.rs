use proptest::prelude::*;

use super::*;
use crate::recording::{Memory, Registers, carries};
use crate::{Architecture, Carries, Error, Event, Header, Insn, RegWrite, Register, Sink, Writes};

fn header() -> Header {
    let carries = carries(Memory::LeftOut, Registers::Changed);
    Header { architecture: Architecture::Riscv64, carries, program: Some("a".to_owned()) }
}

/// An event that writes a register.
fn event(hart: u32, n: u64, value: u128) -> Event {
    Event {
        hart,
        pc: 0x1000 + 4 * n,
        insn: Insn::new(&[0x13, 0, 0, 0]),
        writes: vec![RegWrite { register: Register::int(5), value }],
        ..Event::default()
    }
}

fn written(every: u32, events: &[Event]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut writer = Writer::new(&mut out, &header(), every, "interp").unwrap();
    events.iter().for_each(|event| writer.write(event).unwrap());
    writer.finish().unwrap();
    assert!(writer.write(&events[0]).is_err(), "it has ended");
    out
}

fn read(bytes: &[u8]) -> Hashes {
    Hashes::read(bytes).unwrap()
}

#[test]
fn harts_have_windows_of_their_own() {
    let events: Vec<Event> = (0..25).map(|n| event(u32::from(n % 5 == 4), n, n.into())).collect();
    let hashes = read(&written(8, &events));
    let shape: Vec<(u32, u32)> = hashes.windows.iter().map(|w| (w.hart, w.events)).collect();
    assert_eq!(shape, [(0, 8), (0, 8), (0, 4), (1, 5)]);
    assert_eq!((hashes.every, hashes.events(), &*hashes.recorder), (8, 25, "interp"));
    // Whatever stands between them.
    let (first, second): (Vec<_>, Vec<_>) = events.into_iter().partition(|event| event.hart == 0);
    let apart = read(&written(8, &[first, second].concat()));
    for hart in [0, 1] {
        assert!(apart.of_hart(hart).eq(hashes.of_hart(hart)));
    }
}

#[test]
fn only_the_window_of_a_difference_differs() {
    let mut events: Vec<Event> = (0..40).map(|n| event(0, n, n.into())).collect();
    let right = read(&written(10, &events));
    let changes: [fn(&mut Event); 4] = [
        |event| event.pc += 2,
        |event| event.insn = Insn::new(&[0x13, 0, 0, 1]),
        |event| event.writes[0].value ^= 1 << 100,
        |event| event.trap = Some(crate::Trap::default()),
    ];
    for change in changes {
        change(&mut events[25]);
        let wrong = read(&written(10, &events));
        let differ: Vec<bool> =
            right.windows.iter().zip(&wrong.windows).map(|(a, b)| a.hash != b.hash).collect();
        assert_eq!(differ, [false, false, true, false]);
        events[25] = event(0, 25, 25);
    }
}

#[test]
fn writes_of_the_same_value_and_first_dumps_are_no_changes() {
    let mut events: Vec<Event> = (0..6).map(|n| event(0, n, 7)).collect();
    let all = read(&written(3, &events));
    events[1..].iter_mut().for_each(|event| event.writes.clear());
    assert_eq!(read(&written(3, &events)), all);
    // A live execution's state is known before, and its first event shows what it changed.
    let mut folder = Folder::new(3, &header().carries);
    folder.know(0, &events[0].writes).unwrap();
    events[0].writes.clear();
    let windows: Vec<_> = events.iter().filter_map(|event| folder.add(event).unwrap()).collect();
    assert_eq!(windows, all.windows);
}

#[test]
fn what_is_not_carried_is_said() {
    let folder = Folder::new(1, &carries(Memory::Recorded, Registers::All));
    let lacking = folder.check(&header().carries).unwrap_err();
    assert_eq!(lacking.to_string(), "it does not carry accesses to memory with their values");
    let none = Carries { int: Writes::Unknown, ..header().carries };
    assert!(Folder::new(1, &header().carries).check(&none).is_err());
    assert!(Folder::new(1, &none).check(&header().carries).is_ok());
    let common = Folder::common(&none, &carries(Memory::Recorded, Registers::All));
    assert_eq!(common, Folder::covered(&none));
    assert!(Folder::new(1, &common).check(&none).is_ok());
}

#[test]
fn what_is_wrong_with_a_file_is_said_with_its_place() {
    let events: Vec<Event> = (0..5).map(|n| event(0, n, n.into())).collect();
    let good = written(2, &events);
    let first = good.len() - 4 * RECORD;
    let message = |bytes: &[u8]| Hashes::read(bytes).unwrap_err().to_string();
    let cut = message(&good[..first + RECORD + 3]);
    assert!(cut.contains("cut short: it ends after 1 windows, at byte"), "{cut}");
    assert!(message(&good[..first - 1]).contains("before the first window"));
    assert!(message(&good[..20]).contains("within its header"));
    let with = |at: usize, byte: u8| {
        let mut bytes = good.clone();
        bytes[at] = byte;
        message(&bytes)
    };
    assert_eq!(with(1, b'X'), "byte 0x0: this is no file of a trace's hashes");
    assert!(with(first + 4, 3).starts_with(&format!("byte {first:#x}: a window has an impos")));
    let last = first + RECORD;
    assert!(with(last + 4, 1).contains(": a window follows the hart's last one"));
    assert!(with(first + 8, !good[first + 8]).ends_with("the hash of all of them is another one"));
    let end = good.len() - RECORD;
    assert!(with(end + 4, 9).starts_with(&format!("byte {end:#x}: there are 3 windows before")));
    let more = [&good[..], b"!"].concat();
    assert!(message(&more).ends_with("something follows the end"));
    assert!(matches!(Hashes::read(&b""[..]), Err(Error::CutShort(_))));
}

proptest! {
    #[test]
    fn damaged_files_are_errors(at: prop::sample::Index, with in 1..=255_u8, len: prop::sample::Index) {
        let events: Vec<Event> = (0..20).map(|n| event(n as u32 % 2, n, n.into())).collect();
        let mut bytes = written(3, &events);
        prop_assert!(Hashes::read(&bytes[..len.index(bytes.len())]).is_err());
        *at.get_mut(&mut bytes) ^= with;
        prop_assert!(Hashes::read(&bytes[..]).is_err());
    }

    #[test]
    fn noise_is_an_error(bytes: Vec<u8>) {
        prop_assert!(Hashes::read(&[&MAGIC[..], &bytes].concat()[..]).is_err());
    }
}
