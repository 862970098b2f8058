use std::collections::BTreeMap;

use super::*;
use crate::case;
use crate::guest::{AARCH64, RISCV64, X86_64};
use crate::tier::Tier;

const PC: u64 = 0x7_5550_0120;
/// Where the program has its data: nowhere in this process.
const PLACE: u64 = 0x7_1234_5678_9ab8 & !7;

/// Memory before and after.
#[derive(Default)]
struct Bytes(BTreeMap<u64, u8>, BTreeMap<u64, u8>);

impl Bytes {
    fn put(map: &mut BTreeMap<u64, u8>, addr: u64, value: u64) {
        (addr..).zip(value.to_le_bytes()).for_each(|(at, byte)| _ = map.insert(at, byte));
    }
}

impl Known for Bytes {
    fn before(&mut self, addr: u64) -> Option<u8> {
        self.0.get(&addr).copied()
    }
    fn after(&mut self, addr: u64) -> Option<u8> {
        self.1.get(&addr).or(self.0.get(&addr)).copied()
    }
}

/// An instruction that ends at the next one: all registers are known, and as they begin but for those that are named.
fn seen(guest: &'static Guest, code: &[u8], before: &[(&str, u64)], after: &[(&str, u64)]) -> Seen {
    let initial = State::new(guest);
    let all = by_name(guest).into_iter().filter(|(_, register)| register.reported);
    let all: Vec<Value> = all
        .map(|(register, place)| Value {
            register,
            value: place.get(&initial.words),
            mask: u128::MAX,
        })
        .collect();
    let with = |mut all: Vec<Value>, changes: &[(&str, u64)]| {
        for (name, new) in changes {
            let value = all.iter_mut().find(|value| value.register == *name).expect("a register");
            value.value = (*new).into();
        }
        all
    };
    let before = with(all, before);
    let after = with(before.clone(), after);
    let end = Ended::At(GuestVirt(PC + code.len() as u64));
    Seen { guest, pc: GuestVirt(PC), code: vec![code.to_vec()], before, after, end }
}

fn explained(seen: &Seen, memory: &mut Bytes) -> Result<Explanation, ExplainError> {
    explain(seen, &examine(seen, memory)?)
}

/// Every tier executes the case as it says.
fn holds(guest: &'static Guest, line: &str) {
    let case = case::parse_file(guest, "x", line).expect("a line").remove(0);
    let mut runner = Runner::new(guest).expect("a guest of Ferry's");
    for tier in Tier::ALL {
        let (state, end) = runner.run(tier, &case.code, &case.before);
        assert_eq!((state.difference(&case.after), end), (None, case.end), "{line}");
    }
}

#[test]
fn a_right_reference_agrees_with_every_tier_and_gives_a_case() {
    // ld a0,20(a1)
    let load = seen(&RISCV64, &[0x03, 0xb5, 0x45, 0x01], &[("a1", PLACE)], &[("a0", 0x1122)]);
    let mut memory = Bytes::default();
    Bytes::put(&mut memory.0, PLACE + 20, 0x1122);
    let found = explained(&load, &mut memory).unwrap();
    assert_eq!((found.culprit, found.made_up), (None, Vec::new()));
    assert_eq!(found.verdicts.len(), 9);
    assert!(found.verdicts.iter().all(|verdict| verdict.difference.is_none()));
    assert!(
        found.case.contains("a1=data+") && found.case.contains("=> a0=0x1122"),
        "{}",
        found.case
    );
    holds(&RISCV64, &found.case);
    assert!(matches!(explained(&load, &mut Bytes::default()), Err(ExplainError::Memory(_))));
}

#[test]
fn a_result_that_is_an_address_moves_along() {
    // auipc a0,0x2; sd sp,8(sp)
    let auipc = seen(&RISCV64, &[0x17, 0x25, 0, 0], &[], &[("a0", PC + 0x2000)]);
    let found = explained(&auipc, &mut Bytes::default()).unwrap();
    assert_eq!(found.culprit, None);
    holds(&RISCV64, &found.case);
    let store = seen(&RISCV64, &[0x23, 0x34, 0x21, 0x00], &[("sp", PLACE)], &[]);
    let mut memory = Bytes::default();
    Bytes::put(&mut memory.1, PLACE + 8, PLACE);
    let found = explained(&store, &mut memory).unwrap();
    assert_eq!(found.culprit, None, "{found:?}");
    holds(&RISCV64, &found.case);
    // ldr x0, [x1], #16
    let post = [("x0", 7), ("x1", PLACE + 16)];
    let post = seen(&AARCH64, &[0x20, 0x04, 0x41, 0xf8], &[("x1", PLACE)], &post);
    let mut memory = Bytes::default();
    Bytes::put(&mut memory.0, PLACE, 7);
    let found = explained(&post, &mut memory).unwrap();
    assert_eq!(found.culprit, None, "{found:?}");
    holds(&AARCH64, &found.case);
}

#[test]
fn a_displacement_from_the_pc_is_changed() {
    // mov rax,[rip+0x1000]
    let load = [0x48, 0x8b, 0x05, 0x00, 0x10, 0x00, 0x00];
    let load = seen(&X86_64, &load, &[], &[("rax", 0x99)]);
    let mut memory = Bytes::default();
    Bytes::put(&mut memory.0, PC + 7 + 0x1000, 0x99);
    let found = explained(&load, &mut memory).unwrap();
    assert_eq!(found.culprit, None, "{found:?}");
    holds(&X86_64, &found.case);
}

#[test]
fn another_result_is_found_wrong_in_every_tier() {
    // add a0,a1,a2
    let sum = seen(&RISCV64, &[0x33, 0x85, 0xc5, 0x00], &[("a1", 2), ("a2", 3)], &[("a0", 6)]);
    let found = explained(&sum, &mut Bytes::default()).unwrap();
    assert_eq!(found.culprit, Some(Culprit::Translation));
    assert_eq!(found.verdicts[0].difference.as_deref(), Some("a0 0x5 not 0x6"));
    assert!(found.case.ends_with("=> a0=0x6") && !found.case.contains("a3="), "{}", found.case);
    let mut unknown = sum;
    unknown.before.retain(|value| value.register != "a2");
    let found = explained(&unknown, &mut Bytes::default());
    assert!(matches!(found, Err(ExplainError::Unknown(name)) if name == "a2"));
}

#[test]
fn a_block_has_ir_and_host_code() {
    let sum = seen(&RISCV64, &[0x33, 0x85, 0xc5, 0x00], &[], &[]);
    for by in [By::Region(Passes::ALL), By::Baseline] {
        let listing = listing(&sum, by).unwrap();
        let is_whole = listing.ir.contains("add.i64 a1, a2") && listing.host.contains("ret");
        assert!(is_whole, "{listing:?}");
    }
}
