//! What instructions access that are helpers: whoever observes them is told.

use arch::access::{self, Kind, Told};
use base::GuestVirt;
use ferry_fuzz as fuzz;
use fuzz::case;
use fuzz::guest::{AARCH64, Guest, RISCV64, X86_64};
use fuzz::machine::{CODE, DATA, End};
use fuzz::tier::{Runner, Tier};

/// What the interpreter is told of this code, as lines: `load data+0x10 8 0x1234`.
fn told(guest: &'static Guest, code: &[u8], settings: &[&str]) -> Vec<String> {
    let mut runner = Runner::new(guest).expect("a guest of Ferry's");
    let mut before = guest.state();
    settings.iter().for_each(|setting| case::set(&mut before, setting).expect("a good setting"));
    access::listen();
    let (_, end) = runner.run(Tier::Interpreter, code, &before);
    let told = access::told();
    assert_eq!(end, End::Stopped(CODE.wrapping_add(code.len() as u64)));
    told.iter().map(line).collect()
}

fn line(Told { kind, addr: GuestVirt(addr), size, value }: &Told) -> String {
    let kind = match kind {
        Kind::Load => "load",
        Kind::Store => "store",
    };
    format!("{kind} data+{:#x} {size} {value:#x}", addr.wrapping_sub(DATA.0))
}

fn words(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_le_bytes()).collect()
}

#[test]
fn exchanges_of_16_bytes_are_told() {
    // amocas.q a0,a2,(s0)
    let code = words(&[0x28c4_452f]);
    let settings = ["s0=data+0x10", "a0=5", "a1=0", "a2=7", "a3=8", "[data+0x10].d=5"];
    let both = ["load data+0x10 16 0x5", "store data+0x10 16 0x80000000000000007"];
    assert_eq!(told(&RISCV64, &code, &settings), both);
    assert_eq!(told(&RISCV64, &code, &settings[..5]), ["load data+0x10 16 0x0"]);
    // casp x0,x1,x2,x3,[x19]
    let code = words(&[0x4820_7e62]);
    let settings = ["x19=data+0x10", "x0=5", "x1=0", "x2=7", "x3=8", "[data+0x10].d=5"];
    assert_eq!(told(&AARCH64, &code, &settings), both);
    // lock cmpxchg16b [rbx]
    let code = [0xf0, 0x48, 0x0f, 0xc7, 0x0b];
    let settings = ["rbx=data+0x10", "rax=5", "rdx=0", "rcx=8", "[data+0x10].d=5"];
    let stored = "store data+0x10 16 0x80000000020000010";
    assert_eq!(told(&X86_64, &code, &settings), [both[0], stored]);
}

#[test]
fn copies_and_fills_are_told() {
    // cpyfp, cpyfm, cpyfe [x19]!,[x20]!,x2!
    let code = words(&[0x1914_0453, 0x1954_0453, 0x1994_0453]);
    let settings = ["x19=data+0x40", "x20=data+0x10", "x2=0x12", "[data+0x10].d=5"];
    let all = told(&AARCH64, &code, &settings);
    let bytes = |kind: &str| {
        let sizes = all.iter().filter(|line| line.starts_with(kind));
        sizes.map(|line| line.split(' ').nth(2).unwrap().parse::<u32>().unwrap()).sum::<u32>()
    };
    assert_eq!((bytes("load"), bytes("store")), (0x12, 0x12), "{all:?}");
    // rep movsw
    let code = [0xf3, 0x66, 0xa5];
    let settings = ["rsi=data+0x10", "rdi=data+0x40", "rcx=2", "[data+0x10].d=0x50006"];
    let each = [
        "load data+0x10 2 0x6",
        "store data+0x40 2 0x6",
        "load data+0x12 2 0x5",
        "store data+0x42 2 0x5",
    ];
    assert_eq!(told(&X86_64, &code, &settings), each);
    // rep stosd
    let settings = ["rdi=data+0x40", "rcx=2", "rax=9"];
    let each = ["store data+0x40 4 0x9", "store data+0x44 4 0x9"];
    assert_eq!(told(&X86_64, &[0xf3, 0xab], &settings), each);
}

#[test]
fn whole_states_and_single_elements_are_told() {
    // fxsave [rbx]; fxrstor [rbx]
    let code = [0x0f, 0xae, 0x03, 0x0f, 0xae, 0x0b];
    let all = told(&X86_64, &code, &["rbx=data"]);
    let at = |line: &str| all.iter().position(|told| told.starts_with(line));
    assert!(at("store data+0x0 ") < at("load data+0x0 ") && at("store data+0x0 ").is_some());
    // vpgatherdd xmm1,[rbx+xmm15*4],xmm2: the first and the last element.
    let code = [0xc4, 0xa2, 0x69, 0x90, 0x0c, 0xbb];
    let settings = [
        "rbx=data",
        "xmm15=0x00000003000000020000000100000000",
        "xmm2=0x80000000000000000000000080000000",
        "[data+12].w=7",
    ];
    assert_eq!(told(&X86_64, &code, &settings), ["load data+0x0 4 0x0", "load data+0xc 4 0x7"]);
    // vmaskmovps [rbx],xmm2,xmm3: probes are no accesses.
    let code = [0xc4, 0xe2, 0x69, 0x2e, 0x1b];
    let settings =
        ["rbx=data", "xmm2=0x80000000000000000000000000000000", "xmm3=0x9000000000000000000000000"];
    assert_eq!(told(&X86_64, &code, &settings), ["store data+0xc 4 0x9"]);
}
