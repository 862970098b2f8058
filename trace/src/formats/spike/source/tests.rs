use super::*;

fn all(text: &str) -> Result<(Header, Vec<Event>), Error> {
    let mut source = SpikeSource::new(text.as_bytes())?;
    let mut events = Vec::new();
    let mut event = Event::default();
    while source.next(&mut event)? {
        events.push(event.clone());
    }
    Ok((source.header.clone(), events))
}

#[test]
fn a_commit_says_what_was_written_and_accessed() {
    let (header, events) = all(
        "core   0: 3 0x0000000080000000 (0x00000297) x5  0x0000000080000000\n\
         core   1: 0 0x0000000080000004 (0x4501) x10 0x0000000000000000\n\
         core   0: 3 0x0000000080000008 (0x30033073) c768_mstatus 0x8000000a00006000\n\
         core   0: 3 0x000000008000000c (0x00b52023) mem 0x0000000080001000 0x0000002a\n\
         core   0: 3 0x0000000080000010 (0x00052583) x11 0x000000000000002a mem 0x0000000080001000\n\
         core   0: 3 0x0000000080000014 (0x02058407) e8 m1 l16 v8  0x0f0e0d0c0b0a09080706050403020100 mem 0x0000000080001000\n",
    )
    .unwrap();
    assert!(header.carries.int == Writes::Every && !header.carries.traps);
    let writes: Vec<_> = events.iter().map(|event| event.writes.first().copied()).collect();
    let write = |register, value| Some(RegWrite { register, value });
    assert_eq!(
        writes,
        [
            write(Register::int(5), 0x8000_0000),
            write(Register::int(10), 0),
            write(Register::control(0x300), 0x8000_000a_0000_6000),
            None,
            write(Register::int(11), 0x2a),
            write(Register::vector(8), 0x0f0e_0d0c_0b0a_0908_0706_0504_0302_0100),
        ]
    );
    assert_eq!((events[1].hart, events[1].privilege), (1, Some(Privilege(0))));
    assert_eq!(events[1].insn, Insn::new(&[0x01, 0x45]));
    let addr = 0x8000_1000;
    let load = Access { kind: AccessKind::Load, addr, phys: None, size: None, value: None };
    let store = Access { kind: AccessKind::Store, size: Some(4), value: Some(0x2a), ..load };
    assert_eq!((&events[3].accesses[..], &events[4].accesses[..]), (&[store][..], &[load][..]));
}

#[test]
fn older_versions_align_the_numbers_of_registers_to_the_right() {
    let (_, events) =
        all("core   0: 3 0x0000000080000000 (0x00000297) x 5 0x0000000080000000\n").unwrap();
    assert_eq!(events[0].writes[0].register, Register::int(5));
}

#[test]
fn with_both_logs_traps_are_there() {
    let (header, events) = all("core   0: >>>>  _start\r\n\
         core   0: 0x0000000080000000 (0x00000073) ecall\r\n\
         core   0: exception trap_machine_ecall, epc 0x0000000080000000\r\n\
         core   0: 0x0000000080000100 (0x00000013) nop\r\n\
         core   0: 3 0x0000000080000100 (0x00000013)\r\n\
         hello from the program\r\n\
         core   0: 0x0000000080000104 (0x00053003) ld      zero, 0(a0)\r\n\
         core   0: exception trap_load_access_fault, epc 0x0000000080000104\r\n\
         core   0:           tval 0x0000000000000010\r\n\
         core   0: exception interrupt #7, epc 0x0000000080000100\r\n")
    .unwrap();
    assert!(header.carries.traps);
    let traps: Vec<_> =
        events.iter().map(|event| (event.pc, event.insn.is_some(), event.trap)).collect();
    let trap = |cause, value| Some(Trap { cause: Some(cause), value, signal: None });
    assert_eq!(
        traps,
        [
            (0x8000_0000, true, trap(11, None)),
            (0x8000_0100, true, None),
            (0x8000_0104, true, trap(5, Some(0x10))),
            (0x8000_0100, false, trap(1 << 63 | 7, None)),
        ]
    );
}

#[test]
fn the_log_of_instructions_alone_has_events_without_effects() {
    let (header, events) = all("core   0: 0x0000000000001000 (0x00000297) auipc   t0, 0x0\n\
         core   0: 0x0000000000001004 (0x02028593) addi    a1, t0, 32\n\
         core   0: exception trap_breakpoint, epc 0x0000000000001008\n\
         core   0: 0x0000000000001010 (0x4501) c.li    a0, 0\n")
    .unwrap();
    assert_eq!(header.carries.int, Writes::Unknown);
    let places: Vec<_> = events.iter().map(|event| (event.pc, event.trap.is_some())).collect();
    assert_eq!(places, [(0x1000, false), (0x1004, false), (0x1008, true), (0x1010, false)]);
}

#[test]
fn mistakes_name_the_line() {
    let reason = |text: &str| all(text).unwrap_err().to_string();
    let good = "core   0: 3 0x0000000080000000 (0x00000297) x5  0x0000000080000000\n";
    assert!(reason("core   0: 3 0x80000000 (0x00000297)").contains("32 bits"));
    assert!(
        reason(&format!("{good}core   0: 3 0x0000000080000004"))
            .starts_with("line 2: expected ` (0x<insn>)`")
    );
    assert!(
        reason(&format!("{good}core   0: 3 0x0000000080000000 (0x13) x32 0x0"))
            .contains("no register")
    );
    assert!(reason("nothing of it\n").contains("without a line of Spike's log"));
    assert!(reason("core 9999: 3 0x0000000080000000 (0x13)").contains("too large"));
}
