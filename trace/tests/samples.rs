//! Traces that the tools themselves wrote, of small programs of ours: QEMU 10.0 and 7.2, and its plugin `execlog`.

use ferry_trace::formats::{Format, detect};
use ferry_trace::{AccessKind, Architecture, Event, Writes};

struct Sample {
    file: &'static str,
    text: &'static [u8],
    format: Format,
    architecture: Architecture,
    count: usize,
    /// Some events, by their places.
    events: &'static [(usize, &'static str)],
}

macro_rules! samples {
    ($($file:literal $format:ident $architecture:ident $count:literal [$($place:literal $event:literal)*])*) => {
        &[$(Sample {
            file: $file,
            text: include_bytes!(concat!("samples/", $file, ".txt")),
            format: Format::$format,
            architecture: Architecture::$architecture,
            count: $count,
            events: &[$(($place, $event)),*],
        }),*]
    };
}

const SAMPLES: &[Sample] = samples! {
    "qemu-riscv64" Qemu Riscv64 8 [
        0 "10144 37250900 x10=0x92000"
        2 "1014c 3205 x10=0x91a2b000"
        7 "1015a 1305f5de x10=0x123456789abcdef"
    ]
    // With `fpu` and `int`: an environment call.
    "qemu-riscv64-system" Qemu Riscv64 3 [
        0 "80000054 f3233000"
        1 "80000058 73000000 csr0x300=0x8000000a00007800 csr0x341=0x80000058 csr0x342=0xb trap:0xb,Some(0)"
        2 "80000078 732e2034 x28=0xb"
    ]
    "qemu-aarch64" Qemu Aarch64 9 [
        0 "400120 200000f9 level0"
        1 "400124 230440b9 level0 x3=0x1234567"
        5 "400134 420400f1 level0 x2=0x4 nzcv=0x20000000"
        7 "40013c 21ffff54 level0"
    ]
    // With `fpu` and `int`: a system call.
    "qemu-aarch64-system" Qemu Aarch64 3 [
        0 "4008004c e417c1a8 level1 x4=0x123456789abcdef x5=0x40080a40 sp=0x40080a80"
        1 "40080050 210000d4 level1 nzcv=0x0 trap:0x15,None"
        2 "40080a00 0a5238d5 level1 x10=0x56000001"
    ]
    "qemu-x86_64" Qemu X86_64 5 [
        0 "401000 48b8efcdab8967452301 level3 rax=0x123456789abcdef"
        2 "401011 b905000000 level3 rcx=0x5"
        4 "40101b 488903 level3"
    ]
    // With `fpu`: the x87 stack turns.
    "qemu-x86_64-fpu" Qemu X86_64 3 [
        0 "401049 d9e8 level3 fstat=0x3800 st0=0x3fff8000000000000000"
        1 "40104b d9eb level3 fstat=0x3000 st0=0x4000c90fdaa22168c235 st1=0x3fff8000000000000000"
        2 "40104d dec1 level3 fstat=0x3820 st1=0x0 st7=0x4000c90fdaa22168c235 st0=0x40018487ed5110b4611a"
    ]
    "qemu-7.2-riscv64" Qemu Riscv64 2 [
        1 "10148 1b05b5a2 x10=0x91a2b"
    ]
    // Of a machine: addresses are physical.
    "execlog-riscv64" Execlog Riscv64 67 [
        0 "1000 97020000 x5=0x1000"
        10 "8000000e 73200330 csr0x300=0x8000000a00006000"
        22 "80000036 530005f2 f0=0x123456789abcdef"
        24 "8000003c 9441 x13=0xffffffff89abcdef load:0x80001090/phys"
        47 "80000050 2fb7a500 x14=0xef load:0x800010a8/phys store:0x800010a8/phys"
    ]
    "execlog-aarch64" Execlog Aarch64 45 [
        0 "40080000 01400010 x1=0x40080800"
        8 "40080020 0000679e v0=0x123456789abcdef"
        14 "40080038 420400f1 x2=0x1 nzcv=0x20000000"
        28 "40080050 210000d4 nzcv=0x0 S3_0_C4_C0_1=0x40080054 S3_0_C5_C2_0=0x56000001"
    ]
    "execlog-x86_64" Execlog X86_64 39 [
        1 "ffff0075 48b8efcd.. rax=0x123456789abcdef"
        8 "ffff0097 f30f6f0b.. xmm1=0x67000123456789abcdef load:0x3000/phys"
        11 "ffff00a3 ffc9.. rcx=0x1"
        27 "ffff00ba d9e8.. st0=0x3fff8000000000000000 fstat=0x3800"
    ]
    // Of a program, without registers, and with other bytes after the instruction.
    "execlog-7.2-riscv64" Execlog Riscv64 16 [
        2 "1014c 3205"
        13 "1016e 9441 load:0x111e0"
    ]
    "execlog-7.2-x86_64" Execlog X86_64 16 [
        7 "401024 f3.. load:0x402000 load:0x402008"
        10 "401030 ff.."
    ]
};

fn events(sample: &Sample) -> Vec<Event> {
    let mut source = sample.format.read(sample.text, Some(sample.architecture)).unwrap();
    let mut events = Vec::new();
    let mut event = Event::default();
    while source.next(&mut event).unwrap_or_else(|error| panic!("{}: {error}", sample.file)) {
        events.push(event.clone());
    }
    events
}

/// `<pc> <bytes> el1 x5=0x1 load:0x1000 store:0x1000/phys trap:0x2,0x10`
fn shown(event: &Event, architecture: Architecture) -> String {
    let mut words = vec![format!("{:x}", event.pc)];
    words.extend(event.insn.map(|insn| format!("{insn:?}")));
    words.extend(event.privilege.map(|privilege| format!("level{}", privilege.0)));
    for write in &event.writes {
        words.push(
            format!("{}={:#x}", write.register.shown(architecture), write.value)
                .replace("csr ", "csr"),
        );
    }
    for access in &event.accesses {
        let kind = if access.kind == AccessKind::Load { "load" } else { "store" };
        let phys = access.phys.map_or("", |_| "/phys");
        words.push(format!("{kind}:{:#x}{phys}", access.addr));
    }
    if let Some(trap) = event.trap {
        words.push(format!("trap:{:#x},{:x?}", trap.cause.unwrap(), trap.value));
    }
    words.join(" ")
}

#[test]
fn events_are_those_of_the_programs() {
    for sample in SAMPLES {
        let events = events(sample);
        assert_eq!(events.len(), sample.count, "{}", sample.file);
        for (place, expected) in sample.events {
            assert_eq!(
                shown(&events[*place], sample.architecture),
                *expected,
                "{} {place}",
                sample.file
            );
        }
    }
}

#[test]
fn formats_and_architectures_are_detected() {
    for sample in SAMPLES {
        assert_eq!(detect(sample.text), Some(sample.format), "{}", sample.file);
        let read = sample.format.read(sample.text, None);
        match sample.file {
            // Without registers, nothing tells.
            "execlog-7.2-riscv64" | "execlog-7.2-x86_64" => assert!(read.is_err()),
            file => assert_eq!(read.unwrap().header().architecture, sample.architecture, "{file}"),
        }
    }
}

#[test]
fn headers_say_what_the_samples_carry() {
    let carries = |file: &str| {
        let sample = SAMPLES.iter().find(|sample| sample.file == file).unwrap();
        let source = sample.format.read(sample.text, Some(sample.architecture)).unwrap();
        source.header().carries
    };
    let qemu = carries("qemu-aarch64");
    assert!(qemu.insn && qemu.privilege && qemu.traps && !qemu.loads);
    assert_eq!((qemu.int, qemu.float), (Writes::Changes, Writes::Unknown));
    assert_eq!(carries("qemu-aarch64-system").float, Writes::Changes);
    // Which registers the plugin shows is its user's choice, and addresses of a machine are physical.
    assert_eq!(carries("execlog-riscv64").int, Writes::Unknown);
    assert!(!carries("execlog-riscv64").loads && carries("execlog-7.2-riscv64").loads);
}
