use super::*;

fn all(text: &str) -> Result<Vec<Event>, Error> {
    let mut source = TarmacSource::new(text.as_bytes())?;
    let mut events = Vec::new();
    let mut event = Event::default();
    while source.next(&mut event)? {
        events.push(event.clone());
    }
    Ok(events)
}

fn write(register: Register, value: u128) -> RegWrite {
    RegWrite { register, value }
}

#[test]
fn fast_models_are_understood() {
    let events = all(
        "0 clk E 00000000:000000000000 00000000 CoreEvent_Reset\n0 clk R cpsr 000003cd\n0 clk SIGNAL: SIGNAL=Abort STATE=N\n\
         2 clk IT (2) 00080004 9100001f O EL3h_s : MOV      sp,x0\n2 clk R SP_EL3 0000000000070000\n\
         4 clk IT (4) 00080010 a9be7bfd O EL3h_s : STP      x29,x30,[sp,#-0x20]!\n\
         4 clk MW8 0007ffd0:00000007ffd0 00000000_00000000\n4 clk MW8 0007ffd8:00000007ffd8 00000000_00080a5c\n\
         4 clk R SP_EL3 000000000007FFD0\n\
         15 clk IS (15) 00080024:000000080024_NS 39400008 O EL0t_n : LDRB     w8,[x0,#0]\n\
         15 clk MR1X 00090003:000000090003_NS 3a\n15 clk R X8 000000000000003A\n15 clk R cpsr 600003c5 __C_\n\
         15 clk E 00000000 00000084 CoreEvent_LOWER_64_SYNC\n",
    )
    .unwrap();
    assert_eq!(events.len(), 3);
    assert_eq!(events[0].writes, [write(Register::int(31), 0x7_0000)]);
    assert_eq!(
        (events[0].privilege, events[0].insn),
        (Some(Privilege(3)), Insn::from_word(0x9100_001f, 4))
    );
    let stored: Vec<_> =
        events[1].accesses.iter().map(|a| (a.kind, a.addr, a.phys, a.size, a.value)).collect();
    let store = |addr, value| (AccessKind::Store, addr, Some(addr), Some(8), Some(value));
    assert_eq!(stored, [store(0x7_ffd0, 0), store(0x7_ffd8, 0x8_0a5c)]);
    assert_eq!((events[2].pc, events[2].trap), (0x8_0024, Some(Trap::default())));
    assert_eq!(
        events[2].writes,
        [write(Register::int(8), 0x3a), write(Register::FLAGS, 0x6000_0000)]
    );
    assert_eq!(events[2].accesses[0].value, Some(0x3a));
}

#[test]
fn simulations_of_processors_are_understood() {
    let events = all(
        "Tarmac Text Rev 3t\n          0 tic ES  EXC Reset\n                    BR (0000000000000000) O\n\
         \x20         0 tic ES  (0000000000080010:a9be7bfd) O el3h_s:         STP      x29,x30,[sp,#-0x20]!\n\
         \x20                   ST 000000000007ffd0 00000000 00080a5c 00000000 00000000    S:000007ffd0    nGnRnE OSH\n\
         \x20                   R SP_EL3 000000000007ffd0\n\
         \x20         7ns ES  (0000000000080024:39400008) O el3h_s:         LDRB     w8,[x0,#0]\n\
         \x20                   LD 0000000000090100 ........ 3a...... ........ ........    S:0000090100\n\
         \x20                      0000000000090110 ........ ....##.. ........ ......01\n\
         \x20                   R V1<127:64> 0123456789abcdef\n\
         \x20                   EXC [1] Synchronous\n\
         \x20         9 ps ES  (000000000008002c:--------) O el1t_ns: CCFAIL\n",
    )
    .unwrap();
    let [stp, ldrb, last] = &events[..] else { panic!("{events:?}") };
    let store = stp.accesses[0];
    assert_eq!((store.addr, store.size, store.value), (0x7_ffd0, Some(16), Some(0x8_0a5c << 64)));
    let loads: Vec<_> = ldrb.accesses.iter().map(|a| (a.addr, a.phys, a.size, a.value)).collect();
    let load = |addr, phys, value| (addr, phys, Some(1), value);
    assert_eq!(
        loads,
        [
            load(0x9_010b, Some(0x9_010b), Some(0x3a)),
            load(0x9_0110, None, Some(1)),
            load(0x9_0119, None, None),
        ]
    );
    assert_eq!((ldrb.writes.len(), ldrb.trap), (0, Some(Trap::default())));
    assert_eq!((last.insn, last.privilege), (None, Some(Privilege(1))));
}

#[test]
fn parts_of_vectors_are_joined() {
    let events = all(
        "1 clk IT (1) 00001000 d503201f O EL1h_n : NOP\n1 clk R V3 00000000000000110000000000000022\n\
         1 clk R V3<63:0> 33\n1 clk R V3 --------------440000000000000044\n",
    )
    .unwrap();
    assert_eq!(events[0].writes, [write(Register::vector(3), 0x44 << 64 | 0x44)]);
}

#[test]
fn cpus_are_kept_apart() {
    let events = all(
        "1 clk cpu0 IT (1) 00001000 d503201f O EL1h_n : NOP\n1 clk cpu1 IT (1) 00002000 d503201f O EL1h_n : NOP\n\
         1 clk cpu0 R X0 0000000000000001\n1 clk cpu1 R X0 0000000000000002\n",
    )
    .unwrap();
    let seen: Vec<_> =
        events.iter().map(|event| (event.hart, event.pc, event.writes[0].value)).collect();
    assert_eq!(seen, [(0, 0x1000, 1), (1, 0x2000, 2)]);
}

#[test]
fn mistakes_name_the_line() {
    let reason = |text: &str| all(text).unwrap_err().to_string();
    let good = "1 clk IT (1) 00001000 d503201f O EL1h_n : NOP\n";
    assert!(reason("3 clk IT (3) 00008012 e8900c00 T svc_s : LDM\n").contains("only AArch64"));
    assert!(
        reason(&format!("{good}1 clk IT (2) 00001004"))
            .starts_with("line 2: expected the instruction set")
    );
    assert!(reason(&format!("{good}1 clk R X0\n")).contains("value"));
    assert!(reason(&format!("{good}ST 0000 0011\n")).contains("16 bytes"));
    assert!(reason("text\n").contains("without an instruction"));
}
