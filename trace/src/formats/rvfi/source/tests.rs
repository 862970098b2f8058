use super::*;
use crate::formats::rvfi::RegisterData;

fn all(bytes: &[u8]) -> Result<Vec<Event>, Error> {
    let mut source = RvfiSource::new(bytes)?;
    let mut events = Vec::new();
    let mut event = Event::default();
    while source.next(&mut event)? {
        events.push(event.clone());
    }
    Ok(events)
}

fn packet(order: u64) -> ExecutionPacket {
    let mut written = [0; 32];
    written[..2].copy_from_slice(&[0xcd, 0xab]);
    ExecutionPacket {
        order,
        insn: 0x00b5_1023,
        pc: 0x8000_0000 + 4 * order,
        mode: Some(3),
        registers: Some(RegisterData { rd: 5, rd_value: 1, ..RegisterData::default() }),
        memory: Some(MemoryData {
            addr: 0x8000_0100,
            written,
            write_mask: 3,
            ..MemoryData::default()
        }),
        ..ExecutionPacket::default()
    }
}

#[test]
fn both_versions_are_understood() {
    let halt = ExecutionPacket { halt: true, ..ExecutionPacket::default() };
    let first = [packet(1).encode_v1(), halt.encode_v1(), packet(2).encode_v1()].concat();
    let second = [packet(1).encode_v2(), halt.encode_v2(), packet(2).encode_v2()].concat();
    assert!(is_beginning(&first) && is_beginning(&second));
    for (bytes, privilege) in [(first, None), (second, Some(Privilege(3)))] {
        let events = all(&bytes).unwrap();
        let seen: Vec<_> =
            events.iter().map(|event| (event.order, event.pc, event.privilege)).collect();
        assert_eq!(seen, [(Some(1), 0x8000_0004, privilege), (Some(2), 0x8000_0008, privilege)]);
        assert_eq!(events[0].writes, [RegWrite { register: Register::int(5), value: 1 }]);
        let access = events[0].accesses[0];
        assert_eq!(
            (access.kind, access.size, access.value),
            (AccessKind::Store, Some(2), Some(0xabcd))
        );
    }
}

#[test]
fn mistakes_name_the_byte() {
    let mut bytes = [packet(1).encode_v1(), packet(2).encode_v1()].concat();
    bytes[88 + 84] = 32;
    assert!(all(&bytes).unwrap_err().to_string().starts_with("byte 0x58: there is no register"));
    bytes.truncate(100);
    assert!(matches!(all(&bytes), Err(Error::CutShort(_))));
    let mut swapped = packet(1);
    swapped.order = swapped.order.swap_bytes();
    assert!(all(&swapped.encode_v1()).unwrap_err().to_string().contains("big-endian"));
}
