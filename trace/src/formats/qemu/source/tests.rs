use super::*;

fn all(text: &str, architecture: Option<Architecture>) -> Result<Vec<Event>, Error> {
    let mut source = QemuSource::new(text.as_bytes(), architecture)?;
    let mut events = Vec::new();
    let mut event = Event::default();
    while source.next(&mut event)? {
        events.push(event.clone());
    }
    Ok(events)
}

fn trace(cpu: u32, pc: u64) -> String {
    format!("Trace {cpu}: 0x7f00{pc:08x} [00000000/{pc:016x}/0202c078/00000201] \n")
}

fn dump(pc: u64, a0: u64) -> String {
    format!(" pc       {pc:016x}\n x0/zero  {:016x} x10/a0   {a0:016x}\n", 0)
}

#[test]
fn an_instruction_wrote_what_the_next_dump_shows() {
    let listing = "----------------\nIN: \n0x00001000:  0505              addi                    a0,a0,1\n\n";
    let text = [listing, &trace(0, 0x1000), &dump(0x1000, 7), &trace(0, 0x1002), &dump(0x1002, 8)]
        .concat();
    let events = all(&text, None).unwrap();
    let [event] = &events[..] else { panic!("{events:?}") };
    assert_eq!((event.pc, event.insn), (0x1000, Insn::new(&[0x05, 0x05])));
    assert_eq!(event.writes, [crate::RegWrite { register: crate::Register::int(10), value: 8 }]);
}

#[test]
fn dumps_belong_to_the_cpu_whose_block_begins_there() {
    let text = [
        &*trace(0, 0x1000),
        &trace(1, 0x2000),
        &dump(0x2000, 1),
        &dump(0x1000, 2),
        &trace(1, 0x2004),
        &dump(0x2004, 3),
        &trace(0, 0x1004),
        &dump(0x1004, 4),
    ]
    .concat();
    let seen: Vec<_> =
        all(&text, None).unwrap().iter().map(|event| (event.hart, event.writes[0].value)).collect();
    assert_eq!(seen, [(1, 3), (0, 4)]);
    let text = [trace(0, 0x1000), trace(1, 0x1000), dump(0x1000, 1)].concat();
    assert!(all(&text, None).unwrap_err().to_string().contains("several CPUs"));
    let numbered = |hart: u32, a0| format!(" mhartid  {hart:016x}\n{}", dump(0x1000, a0));
    let text = [trace(0, 0x1000), trace(1, 0x1000), numbered(1, 1), numbered(0, 2)].concat();
    assert_eq!(all(&text, None).unwrap().len(), 0);
}

#[test]
fn the_last_dump_may_have_shorter_words() {
    let dump = |pc: u64, flags: &str| {
        format!("RAX=0000000000000001\nRIP={pc:016x} CPL=3\nCCO={flags}\nEFER=0000000000000500\n")
    };
    let text =
        [trace(0, 0x1000), dump(0x1000, "EFLAGS"), trace(0, 0x1004), dump(0x1004, "DECL")].concat();
    assert_eq!(all(&text, None).unwrap().len(), 1);
    assert!(matches!(all(&text[..text.len() - 4], None), Err(Error::CutShort(_))));
}

#[test]
fn a_block_that_did_not_run_is_no_event() {
    let stopped = "Stopped execution of TB chain before 0x7f0000001004 [0000000000001004] \n";
    let text = [
        &*trace(0, 0x1000),
        &dump(0x1000, 1),
        &trace(0, 0x1004),
        &dump(0x1004, 2),
        stopped,
        &trace(0, 0x1004),
        &dump(0x1004, 2),
        &trace(0, 0x1008),
        &dump(0x1008, 2),
    ]
    .concat();
    let places: Vec<_> = all(&text, None).unwrap().iter().map(|event| event.pc).collect();
    assert_eq!(places, [0x1000, 0x1004]);
}

#[test]
fn programs_in_other_address_spaces_have_their_own_instructions() {
    let listing = |insn: &str| format!("----------------\nIN: \n0x00001000:  {insn}  x\n\n");
    let at = |place: u64| format!("Trace 0: {place:#x} [0/0000000000001000/0/0] \n");
    let text = [listing("0505"), at(0x10), listing("0509"), at(0x20), at(0x10), at(0x20)].concat();
    let words: Vec<_> = all(&text, Some(Architecture::Riscv64))
        .unwrap()
        .iter()
        .map(|event| event.insn.map(|insn| insn.word()))
        .collect();
    assert_eq!(words, [Some(0x505), Some(0x509), Some(0x505), Some(0x509)]);
}

#[test]
fn mistakes_name_the_line() {
    let reason = |text: &str| all(text, Some(Architecture::Riscv64)).unwrap_err().to_string();
    let good = [trace(0, 0x1000), dump(0x1000, 1)].concat();
    assert!(reason(&format!("{good}Trace 0: 0x7f")).starts_with("line 4: expected `Trace"));
    assert!(reason(&format!("{}{}", trace(0, 0x1000), dump(0x2000, 1))).contains("no block"));
    assert!(reason(&format!("{good}{}{}", trace(0, 0x1004), trace(0, 0x1008))).contains("no dump"));
    assert!(reason(" x0/zero  00000000 x1/ra 00000000\n").contains("32 bits"));
    assert!(reason("0x1000:  0505  a\n0x1002:  0505  b\n").contains("several instructions"));
    assert!(reason("nothing\n").contains("without an instruction"));
    let x86 = "Trace 0: 0x7f00 [ffff0000/00000000fffffff0/0/0] \nEAX=00000000 EBX=00000000\nEIP=0000fff0 EFL=00000002\n";
    let entry = all(&format!("{x86}\n"), Some(Architecture::X86_64));
    assert!(entry.unwrap_err().to_string().contains("32"));
    let cut = [&good, &*trace(0, 0x1004), " pc       0000000000001004\n"].concat();
    assert!(reason(&cut).contains("cut short"));
    assert!(matches!(all(&good, Some(Architecture::X86_64)), Err(Error::Architecture { .. })));
    assert!(all(&trace(0, 0), None).unwrap_err().to_string().contains("must be given"));
}
