use super::*;
use crate::Insn;

fn all(text: &str) -> Result<Vec<Event>, Error> {
    let mut source = RvviSource::new(text.as_bytes())?;
    let mut events = Vec::new();
    let mut event = Event::default();
    while source.next(&mut event)? {
        events.push(event.clone());
    }
    Ok(events)
}

#[test]
fn comments_stand_anywhere_and_values_have_any_width() {
    let events = all("RET 9c 'start' 3e800093 'li x1,1000' X 1 3E8\n").unwrap();
    let [event] = &events[..] else { panic!("{events:?}") };
    assert_eq!((event.pc, event.order, event.hart), (0x9c, Some(0), 0));
    assert_eq!(event.insn, Insn::from_word(0x3e80_0093, 4));
    assert_eq!(event.writes, [RegWrite { register: Register::int(1), value: 0x3e8 }]);
}

#[test]
fn traps_have_their_cause_from_the_csr() {
    let events = all(
        "TRAP 2014 'load' 0012a303 'lw x6,1(x5)' C 300 'mstatus' 00001800 C 341 'mepc' 00002014 C 342 'mcause' \
         00000004 C 343 'mtval' 00002081\nRET 2100 34029073 MODE 3 C 340 00002080\nRET 2104 4501\n",
    )
    .unwrap();
    assert_eq!(events[0].trap, Some(Trap { cause: Some(4), value: Some(0x2081), signal: None }));
    assert_eq!((events[1].trap, events[1].order), (None, Some(1)));
    assert_eq!((events[0].privilege, events[2].privilege), (None, Some(Privilege(3))));
    assert_eq!(events[2].insn, Insn::new(&[0x01, 0x45]));
}

#[test]
fn a_line_has_several_instructions_and_goes_on() {
    let places = |text: &str| -> Vec<_> {
        all(text)
            .unwrap()
            .iter()
            .map(|event| (event.hart, event.order.unwrap(), event.pc))
            .collect()
    };
    assert_eq!(
        places("HART 0 RET 80 00100093 HART 1 RET 10080 00200113\n"),
        [(0, 0, 0x80), (1, 0, 0x10080)]
    );
    assert_eq!(
        places(
            "HART 0 \\\r\n ISSUE 1 ORDER 1 RET 80 00000093 'li ra,0' \\\r\n ISSUE 0 ORDER 0 RET 84 00000113\r\nRET 88 13"
        ),
        [(0, 1, 0x80), (0, 0, 0x84), (0, 1, 0x88)]
    );
    assert_eq!(
        places("RET 80 13 RET 84 13\nRET 88 13\n"),
        [(0, 0, 0x80), (0, 1, 0x84), (0, 2, 0x88)]
    );
}

#[test]
fn elements_of_others_are_skipped() {
    let events = all("VENDOR Someone 1 2\nVERSION 0 1\nPARAMS 2 XLEN 64 NHART 1\nNET irq 1\n\
         RET 300a 0062a1a3 'sw' META 4 VMEM 4083 4 12345678 DM 0 X 5 1\n")
    .unwrap();
    assert_eq!((events.len(), events[0].accesses.len(), events[0].writes.len()), (1, 0, 1));
}

#[test]
fn mistakes_name_the_line() {
    let reason = |text: &str| all(text).unwrap_err().to_string();
    assert!(reason("PARAMS 6 ILEN 32 XLEN 32\n").starts_with("line 1: only 64-bit"));
    assert!(reason("RET 80 13\nRET 84\n").starts_with("line 2: expected the instruction"));
    assert!(reason("RET 80 13 \\\n").contains("cut short"));
    assert!(reason("RET 80 13 'never ends\n").contains("comment"));
    assert!(reason("RET 80 13 X 32 0\n").contains("below 32"));
    assert!(reason("RET 80 13 META 99999999999 x\n").contains("fewer tokens"));
    assert!(reason("hello\n").contains("`hello` is no element"));
}
