//! Ferry's own format: whatever is written comes back, from anywhere, and whatever else is read gives an error.

use std::io::{self, Cursor, Write};

use ferry_trace::native::{Options, Reader, Writer};
use ferry_trace::{
    Access, AccessKind, Architecture, Carries, Error, Event, Header, Insn, Privilege, RegClass,
    RegWrite, Register, Signal, Sink, Source, Trap, Writes,
};
use proptest::prelude::*;

fn header(architecture: Architecture) -> Header {
    let carries = Carries { insn: true, int: Writes::Every, loads: true, ..Carries::default() };
    Header { architecture, carries, program: Some("/bin/true --help".to_owned()) }
}

fn written(events: &[Event], chunk_events: u32) -> Vec<u8> {
    let options = Options { chunk_events, ..Options::default() };
    let mut writer =
        Writer::with_options(Vec::new(), &header(Architecture::Riscv64), options).unwrap();
    events.iter().for_each(|event| writer.write(event).unwrap());
    writer.finish().unwrap();
    writer.into_inner()
}

/// All events up to the end, and how it ended.
fn rest<R: io::Read>(reader: &mut Reader<R>) -> (Vec<Event>, Result<(), Error>) {
    let mut events = Vec::new();
    let mut event = Event::default();
    loop {
        match reader.next(&mut event) {
            Ok(true) => events.push(event.clone()),
            Ok(false) => return (events, Ok(())),
            Err(error) => return (events, Err(error)),
        }
    }
}

fn read(bytes: &[u8]) -> (Vec<Event>, Result<(), Error>) {
    match Reader::new(bytes) {
        Ok(mut reader) => rest(&mut reader),
        Err(error) => (Vec::new(), Err(error)),
    }
}

fn number() -> impl Strategy<Value = u64> {
    prop_oneof![0..16_u64, Just(u64::MAX), 0x8000_0000..0x8000_0100_u64, any::<u64>()]
}

fn value() -> impl Strategy<Value = u128> {
    prop_oneof![number().prop_map(u128::from), any::<u128>()]
}

fn register() -> impl Strategy<Value = Register> {
    let class = prop::sample::select(RegClass::ALL.to_vec());
    let number = prop_oneof![0..4_u16, any::<u16>()];
    (class, number).prop_map(|(class, number)| Register::new(class, number))
}

fn insn() -> impl Strategy<Value = Insn> {
    (prop::collection::vec(0..3_u8, 1..=15), any::<bool>()).prop_map(|(bytes, is_cut)| {
        let insn = if is_cut { Insn::beginning(&bytes) } else { Insn::new(&bytes) };
        insn.unwrap()
    })
}

fn access() -> impl Strategy<Value = Access> {
    let kind = prop_oneof![Just(AccessKind::Load), Just(AccessKind::Store)];
    let size = prop::option::of(1..=16_u8);
    (kind, number(), prop::option::of(number()), size, prop::option::of(value()))
        .prop_map(|(kind, addr, phys, size, value)| Access { kind, addr, phys, size, value })
}

fn event() -> impl Strategy<Value = Event> {
    let write = (register(), value()).prop_map(|(register, value)| RegWrite { register, value });
    let writes = prop::collection::vec(write, 0..6);
    let privilege = prop::option::of((0..4_u8).prop_map(Privilege));
    let field = || prop::option::of(number());
    let signal = prop::option::of((1..65_u8, any::<bool>()).prop_map(|(number, is_raised)| {
        if is_raised { Signal::Raised(number) } else { Signal::Delivered(number) }
    }));
    let trap = (field(), field(), signal);
    let trap = trap.prop_map(|(cause, value, signal)| Trap { cause, value, signal });
    (
        prop_oneof![4 => Just(0), 2 => 0..3_u32, 1 => any::<u32>()],
        prop::option::of(number()),
        number(),
        prop::option::of(insn()),
        privilege,
        writes,
        prop::collection::vec(access(), 0..6),
        prop::option::weighted(0.1, trap),
    )
        .prop_map(|(hart, order, pc, insn, privilege, mut writes, accesses, trap)| {
            let mut seen = Vec::new();
            writes.retain(|write| {
                let is_new = !seen.contains(&write.register);
                seen.push(write.register);
                is_new
            });
            Event { hart, order, pc, insn, privilege, writes, accesses, trap }
        })
}

/// Events of which some come again and again, with values that differ a little.
fn events() -> impl Strategy<Value = Vec<Event>> {
    let of = prop::collection::vec(event(), 1..8);
    let steps =
        prop::collection::vec((any::<prop::sample::Index>(), any::<bool>(), value()), 0..80);
    (of, steps).prop_map(|(of, steps)| {
        let mut order = 0;
        let step = |(index, is_same, value): (prop::sample::Index, bool, u128)| {
            let mut event = index.get(&of).clone();
            order += 1;
            event.order = event.order.map(|_| order);
            if !is_same && let Some(write) = event.writes.last_mut() {
                write.value = value;
            }
            if !is_same && let Some(access) = event.accesses.first_mut() {
                access.addr = access.addr.wrapping_add(8 * order);
            }
            event
        };
        steps.into_iter().map(step).collect()
    })
}

proptest! {
    #[test]
    fn what_is_written_comes_back(events in events(), chunk_events in 1..100_u32) {
        let bytes = written(&events, chunk_events);
        let (read, end) = read(&bytes);
        prop_assert_eq!(read, events);
        prop_assert!(end.is_ok(), "{end:?}");
    }

    #[test]
    fn every_event_is_reached_with_the_state_before_it(events in events(), chunk_events in 1..9_u32) {
        let bytes = written(&events, chunk_events);
        let mut reader = Reader::indexed(Cursor::new(&bytes)).unwrap();
        prop_assert_eq!(reader.len(), Some(events.len() as u64));
        for n in (0..=events.len()).rev() {
            reader.seek(n as u64).unwrap();
            prop_assert_eq!(reader.position(), n as u64);
            let harts: std::collections::BTreeSet<_> = events.iter().map(|event| event.hart).collect();
            for &hart in &harts {
                prop_assert_eq!(pairs(&reader.state(hart)), state(&events[..n], hart));
            }
            let (read, end) = rest(&mut reader);
            prop_assert_eq!(&read[..], &events[n..]);
            prop_assert!(end.is_ok(), "{end:?}");
        }
        prop_assert!(reader.seek(events.len() as u64 + 1).is_err());
    }

    #[test]
    fn arbitrary_bytes_are_an_error(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        prop_assert!(read(&bytes).1.is_err());
        prop_assert!(Reader::indexed(Cursor::new(&bytes)).is_err());
    }

    #[test]
    fn headers_come_back(
        architecture in prop::sample::select(Architecture::ALL.to_vec()),
        flags: [bool; 7],
        writes in prop::array::uniform3(prop::sample::select(vec![
            Writes::Unknown, Writes::Changes, Writes::Every,
        ])),
        program: Option<String>,
    ) {
        let [insn, privilege, loads, load_values, stores, store_values, traps] = flags;
        let [int, float, control] = writes;
        let carries = Carries {
            insn, privilege, int, float, control, loads, load_values, stores, store_values, traps,
        };
        let header = Header { architecture, carries, program };
        let mut writer = Writer::new(Vec::new(), &header).unwrap();
        writer.finish().unwrap();
        let bytes = writer.into_inner();
        let reader = Reader::new(&bytes[..]).unwrap();
        prop_assert_eq!(reader.header(), &header);
    }
}

fn pairs(state: &[RegWrite]) -> Vec<(Register, u128)> {
    state.iter().map(|write| (write.register, write.value)).collect()
}

fn state(events: &[Event], hart: u32) -> Vec<(Register, u128)> {
    let writes = events.iter().filter(|event| event.hart == hart).flat_map(|event| &event.writes);
    let known: std::collections::BTreeMap<_, _> =
        writes.map(|write| (write.register, write.value)).collect();
    known.into_iter().collect()
}

/// A loop that stores and counts, on two harts.
fn some_events() -> Vec<Event> {
    let insns: [u32; 3] = [0x00b5_3023, 0x0085_0513, 0xfe00_0ce3];
    let at = |n: u64| {
        let step = n / 6;
        let x10 = 0x8010_0000 + 8 * step;
        let mut event = Event {
            hart: u32::from(n % 6 >= 3),
            order: Some(step * 3 + n % 3),
            pc: 0x8000_0000 + 4 * (n % 3),
            insn: insns.get(n as usize % 3).and_then(|&insn| Insn::from_word(insn.into(), 4)),
            privilege: Some(Privilege(3)),
            ..Event::default()
        };
        match n % 3 {
            0 => event.accesses.push(Access {
                kind: AccessKind::Store,
                addr: x10,
                phys: None,
                size: Some(8),
                value: Some(u128::from(step * step)),
            }),
            1 => {
                event.writes.push(RegWrite { register: Register::int(10), value: (x10 + 8).into() })
            }
            _ => {}
        }
        event
    };
    (0..60).map(at).collect()
}

#[test]
fn a_trace_is_readable_up_to_its_last_whole_chunk() {
    let events = some_events();
    let bytes = written(&events, 10);
    let mut whole = Reader::indexed(Cursor::new(&bytes)).unwrap();
    assert!(rest(&mut whole).1.is_ok());
    let ends: Vec<_> =
        whole.chunks().iter().map(|chunk| chunk.offset + 56 + u64::from(chunk.packed)).collect();
    for len in 0..bytes.len() {
        let cut = &bytes[..len];
        let expected = 10 * ends.iter().filter(|&&end| end <= len as u64).count();
        let (read, end) = read(cut);
        assert_eq!(read, events[..expected], "of {len} bytes");
        assert!(matches!(end, Err(Error::CutShort(_))), "of {len} bytes: {end:?}");
        let Ok(mut reader) = Reader::indexed(Cursor::new(cut)) else { continue };
        assert_eq!(reader.len(), Some(expected as u64));
        assert!(reader.is_cut_short() && reader.stat().is_cut_short);
        for n in 0..=expected {
            reader.seek(n as u64).unwrap();
            let (read, end) = rest(&mut reader);
            assert_eq!(read, events[n..expected], "of {len} bytes from {n}");
            assert!(matches!(end, Err(Error::CutShort(_))), "of {len} bytes: {end:?}");
        }
    }
}

#[test]
fn flipped_bits_never_change_an_event() {
    let mut unnoticed = 0;
    let events = some_events();
    let bytes = written(&events, 25);
    for bit in 0..bytes.len() * 8 {
        let mut flipped = bytes.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        // zstd does not use all bits.
        let (read, end) = read(&flipped);
        assert!(end.is_err() || read.len() == events.len(), "bit {bit}");
        assert_eq!(read, events[..read.len()], "bit {bit}");
        unnoticed += usize::from(end.is_ok());
        if let Ok(mut reader) = Reader::indexed(Cursor::new(&flipped)) {
            let (read, _) = rest(&mut reader);
            assert_eq!(read, events[..read.len()], "bit {bit}");
        }
    }
    assert!(unnoticed < 30, "{unnoticed} bits");
}

/// As a pipe may: a byte at a time.
struct Pipe<'a>(&'a [u8]);

impl io::Read for Pipe<'_> {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        let len = to.len().min(1);
        io::Read::read(&mut self.0, &mut to[..len])
    }
}

#[test]
fn a_pipe_is_read_to_its_end() {
    let events = some_events();
    let bytes = written(&events, 7);
    let mut reader = Reader::new(Pipe(&bytes)).unwrap();
    assert_eq!((reader.len(), reader.stat().events), (None, 0));
    let (read, end) = rest(&mut reader);
    assert!(end.is_ok() && read == events);
    assert_eq!((reader.len(), reader.chunk_hashes().count()), (Some(60), 9));
    assert!(!reader.next(&mut Event::default()).unwrap());
}

#[test]
fn a_trace_is_sought_in_after_some_events_were_read() {
    let events = some_events();
    let mut reader = Reader::new(Cursor::new(written(&events, 7))).unwrap();
    let mut event = Event::default();
    for n in [0, 1, 2] {
        assert_eq!(reader.position(), n);
        assert!(reader.next(&mut event).unwrap());
    }
    reader.seek(33).unwrap();
    assert_eq!(reader.register(1, Register::int(10)), Some(0x8010_0000 + 8 * 5));
    assert!(reader.next(&mut event).unwrap() && event == events[33]);
}

#[test]
fn data_after_the_end_are_an_error() {
    let mut bytes = written(&some_events(), 7);
    bytes.push(0);
    assert!(matches!(read(&bytes).1, Err(Error::Byte { .. })));
}

#[test]
fn equal_chunks_have_equal_hashes() {
    let events = some_events();
    let mut others = events.clone();
    others[34].writes[0].value ^= 1;
    let hashes = |events: &[Event]| -> Vec<u64> {
        let bytes = written(events, 10);
        Reader::indexed(Cursor::new(bytes)).unwrap().chunk_hashes().collect()
    };
    let (hashes, other) = (hashes(&events), hashes(&others));
    assert_eq!(hashes[..3], other[..3]);
    assert_ne!(hashes[3], other[3]);
}

#[test]
fn the_summary_stands_in_the_index() {
    let bytes = written(&some_events(), 7);
    let stat = Reader::indexed(Cursor::new(&bytes)).unwrap().stat();
    assert_eq!((stat.events, stat.chunks, stat.harts), (60, 9, 2));
    assert_eq!(stat.pc, Some((0x8000_0000, 0x8000_0008)));
    assert!(stat.packed < bytes.len() as u64 && !stat.is_cut_short);
}

#[test]
fn loops_take_little_space() {
    let events: Vec<_> = (0..100).flat_map(|_| some_events()).collect();
    let bytes = written(&events, 1 << 16);
    assert!(bytes.len() < events.len(), "{} bytes", bytes.len());
}

#[test]
fn what_cannot_be_said_is_refused() {
    let mut writer = Writer::new(Vec::new(), &header(Architecture::X86_64)).unwrap();
    let mut event = some_events().swap_remove(0);
    for size in [0, 17] {
        event.accesses[0].size = Some(size);
        assert!(matches!(writer.write(&event), Err(Error::Unsayable { .. })));
    }
    event.accesses[0].size = Some(16);
    writer.write(&event).unwrap();
    writer.finish().unwrap();
    assert!(matches!(writer.write(&event), Err(Error::Unsayable { .. })));
    assert_eq!(read(&writer.into_inner()).0, [event]);
}

/// A disk that is full after so many bytes.
struct Disk(Vec<u8>, usize);

impl Write for Disk {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let room = self.1 - self.0.len();
        if room == 0 {
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.0.write(&bytes[..room.min(bytes.len())])
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_full_disk_is_reported() {
    let events = some_events();
    let whole = written(&events, 10);
    let options = Options { chunk_events: 10, ..Options::default() };
    for room in 0..whole.len() {
        let disk = Disk(Vec::new(), room);
        let writer = Writer::with_options(disk, &header(Architecture::Riscv64), options);
        let Ok(mut writer) = writer else { continue };
        let failed = events.iter().position(|event| writer.write(event).is_err());
        assert!(failed.is_none_or(|_| writer.write(&events[0]).is_err()));
        assert!(writer.finish().is_err(), "{room} bytes");
        assert_eq!(writer.into_inner().0, whole[..room]);
    }
}
