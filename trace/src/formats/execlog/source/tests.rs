use super::*;

fn all(text: &str, architecture: Option<Architecture>) -> Result<(Header, Vec<Event>), Error> {
    let mut source = ExeclogSource::new(text.as_bytes(), architecture)?;
    let mut events = Vec::new();
    let mut event = Event::default();
    while source.next(&mut event)? {
        events.push(event.clone());
    }
    Ok((source.header.clone(), events))
}

#[test]
fn the_architecture_is_told_by_registers_that_only_one_has() {
    let line = |name: &str| format!("0, 0x1000, 0x13, \"nop\", {name} -> 0x0000000000000001\n");
    let found = |name: &str| all(&line(name), None).map(|(header, _)| header.architecture).ok();
    assert_eq!(found("a0"), Some(Architecture::Riscv64));
    assert_eq!(found("x0"), None);
    assert_eq!(found("rsi"), Some(Architecture::X86_64));
    assert_eq!(found("cpsr"), Some(Architecture::Aarch64));
    let other = all(&line("rsi"), Some(Architecture::Riscv64)).unwrap_err();
    assert!(matches!(other, Error::Architecture { found: Architecture::X86_64, .. }));
}

#[test]
fn of_x86_only_what_is_certain_is_taken() {
    let text =
        "0, 0x401030, 0x95b1c9ff, \"decl %ecx\"\n1, 0x401032, 0x95b1e775, \"jne 0x40101b\"\n";
    let (_, old) = all(text, Some(Architecture::X86_64)).unwrap();
    assert_eq!((old[0].insn, old[1].insn), (Insn::beginning(&[0xff]), Insn::beginning(&[0x75])));
    assert_eq!(old[1].hart, 1);
    let text =
        "0, 0x401030, 0x5b9, \"movl $5, %ecx\", rcx -> 0x0000000000000005, eflags -> 0x00000002\n";
    let (_, new) = all(text, Some(Architecture::X86_64)).unwrap();
    assert_eq!(new[0].insn, Insn::beginning(&[0xb9, 0x05]));
    assert_eq!(new[0].writes, [RegWrite { register: Register::int(1), value: 5 }]);
}

#[test]
fn bytes_beyond_a_register_are_dropped() {
    let text = "0, 0x1000, 0x13, \"li a0, 1\", a0 -> 0xab0000000000000001\n";
    let (_, events) = all(text, None).unwrap();
    assert_eq!(events[0].writes, [RegWrite { register: Register::int(10), value: 1 }]);
}

#[test]
fn addresses_of_a_machine_are_physical() {
    let line =
        |access: &str| format!("0, 0x1000, 0x13, \"x\", {access}, a0 -> 0x0000000000000001\n");
    let (header, events) =
        all(&line("load, 0x00001020, RAM, store, 0x00001028, RAM"), None).unwrap();
    assert!(!header.carries.loads);
    let phys: Vec<_> = events[0].accesses.iter().map(|access| access.phys).collect();
    assert_eq!(phys, [Some(0x1020), Some(0x1028)]);
    let (header, events) = all(&line("load, 0x00001020, store, 0x00001028"), None).unwrap();
    assert!(header.carries.loads);
    assert_eq!(events[0].accesses[1].phys, None);
}

#[test]
fn mistakes_name_the_line() {
    let good = "0, 0x1000, 0x13, \"nop\"\n\n";
    let reason = |text: &str| {
        all(&format!("{good}{text}"), Some(Architecture::Riscv64)).unwrap_err().to_string()
    };
    assert!(reason("0, 0x10").starts_with("line 3: expected `, `"));
    assert!(reason("0, 0x1000, 0x13, \"nop").contains("cut within"));
    assert!(reason("0, 0x1000, 0x13, \"nop\", load").contains("0x<addr>"));
    assert!(reason("0, 0x1000, 0x13, \"nop\", nonsense").contains("expected `load`"));
    assert!(reason("Trace 0: 0x7f").contains("number of a CPU"));
}
