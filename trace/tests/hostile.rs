//! Traces that are cut, damaged or mixed end in events or in an error: never in a panic, and never without an end.

use ferry_trace::formats::rvfi::{ExecutionPacket, MemoryData, RegisterData};
use ferry_trace::formats::{Format, detect};
use ferry_trace::{Architecture, Event};
use proptest::collection::vec;
use proptest::prelude::*;

macro_rules! samples {
    ($($file:literal)*) => {
        &[$(include_bytes!(concat!("samples/", $file, ".txt"))),*]
    };
}

const SAMPLES: &[&[u8]] = samples![
    "qemu-riscv64" "qemu-riscv64-system" "qemu-aarch64" "qemu-aarch64-system" "qemu-x86_64" "qemu-x86_64-fpu"
    "execlog-riscv64" "execlog-aarch64" "execlog-x86_64" "execlog-7.2-x86_64"
];

const TEXTS: &[&[u8]] = &[
    b"core   0: >>>>  _start\n\
      core   0: 0x0000000080000000 (0x00000297) auipc t0, 0x0\n\
      core   0: 3 0x0000000080000000 (0x00000297) x5  0x0000000080000000 c768_mstatus 0x8000000a00006000\n\
      core   1: 0 0x0000000080000004 (0x4501) x10 0x0000000000000000 mem 0x0000000080001000\n\
      core   0: exception trap_load_access_fault, epc 0x0000000080000104\n\
      core   0:           tval 0x0000000000000010\n\
      core   0: 3 0x0000000080000014 (0x02058407) e8 m1 l16 v8  0x0f0e0d0c0b0a09080706050403020100 mem 0x80001000 0xff\n",
    b"VENDOR Ferry 0 1\nVERSION 0 1\nPARAMS 2 XLEN 64 VLEN 128\n\
      HART 0 ORDER 5 RET 80 3e800093 'li' MODE 3 X 1 3E8 META 4 STORE 1000 4 12345678 \\\n  V 3 ff\n\
      HART 1 TRAP 84 0 META 1 UNFETCHED C 342 'mcause' 4 META 3 TRAP 4 unknown\nHART 0 ISSUE 1 RET 88 4501 RET 8a 4501\n",
    b"Tarmac Text Rev 3t\n0 clk R cpsr 000003cd\n2 clk IT (2) 00080004 9100001f O EL3h_s : MOV sp,x0\n\
      2 clk R SP_EL3 0000000000070000\n2 clk cpu1 IT (2) 00080008:000000080008_NS 39400008 O EL1h_n : LDRB\n\
      2 clk cpu1 MR1 00090003:000000090003_NS 3a\n2 clk cpu1 R V1<127:64> 0123456789abcdef\n\
      2 clk E 00000000 00000084 CoreEvent_LOWER_64_SYNC\n\
      3 tic ES (0000000000080010:a9be7bfd) O el3h_s: STP\n\
      \x20        ST 000000000007ffd0 00000000 00080a5c ........ ....##..    S:00000007ffd0\n\
      \x20           000000000007ffe0 00000000 00080a5c ........ ....##..\n",
];

/// Execution packets of both versions.
fn packets() -> [Vec<u8>; 2] {
    let packet = |order| ExecutionPacket {
        order,
        insn: 0x13,
        mode: Some(3),
        pc: 0x8000_0000,
        registers: Some(RegisterData { rd: 5, rd_value: 1, ..RegisterData::default() }),
        memory: Some(MemoryData { read_mask: 0xf0f0, write_mask: 0xff, ..MemoryData::default() }),
        ..ExecutionPacket::default()
    };
    let packets = [packet(1), packet(2), packet(3)];
    [
        packets.map(|packet| packet.encode_v1().to_vec()).concat(),
        packets.map(|packet| packet.encode_v2()).concat(),
    ]
}

fn originals() -> Vec<Vec<u8>> {
    let texts = SAMPLES.iter().chain(TEXTS).map(|text| text.to_vec());
    texts.chain(packets()).collect()
}

/// A change of a trace.
#[derive(Clone, Debug)]
enum Damage {
    Cut(prop::sample::Index),
    Flip(prop::sample::Index, u8),
    Set(prop::sample::Index, u8),
    /// A part of some trace is put somewhere.
    Splice {
        from: prop::sample::Index,
        start: prop::sample::Index,
        len: usize,
        to: prop::sample::Index,
    },
    CarriageReturns,
}

fn damages() -> impl Strategy<Value = Damage> {
    let index = any::<prop::sample::Index>;
    prop_oneof![
        index().prop_map(Damage::Cut),
        (index(), 0_u8..8).prop_map(|(place, bit)| Damage::Flip(place, 1 << bit)),
        (index(), prop::sample::select(b" \n\r\\'\"(),:-.#0x9fXRM\0\xff".to_vec()))
            .prop_map(|(place, byte)| Damage::Set(place, byte)),
        (index(), index(), 0_usize..2000, index())
            .prop_map(|(from, start, len, to)| Damage::Splice { from, start, len, to }),
        Just(Damage::CarriageReturns),
    ]
}

fn damage(trace: &mut Vec<u8>, originals: &[Vec<u8>], damage: &Damage) {
    if trace.is_empty() {
        return;
    }
    match damage {
        Damage::Cut(place) => trace.truncate(place.index(trace.len())),
        Damage::Flip(place, bit) => {
            let place = place.index(trace.len());
            trace[place] ^= bit;
        }
        Damage::Set(place, byte) => {
            let place = place.index(trace.len());
            trace[place] = *byte;
        }
        Damage::Splice { from, start, len, to } => {
            let from = &originals[from.index(originals.len())];
            let start = start.index(from.len());
            let part = from[start..].iter().take(*len).copied();
            let to = to.index(trace.len());
            trace.splice(to..to, part.collect::<Vec<_>>());
        }
        Damage::CarriageReturns => {
            *trace = trace.split(|byte| *byte == b'\n').collect::<Vec<_>>().join(&b"\r\n"[..]);
        }
    }
}

fn read_all(format: Format, architecture: Option<Architecture>, trace: &[u8]) {
    let Ok(mut source) = format.read(trace, architecture) else { return };
    let mut event = Event::default();
    let mut count = 0;
    while let Ok(true) = source.next(&mut event) {
        count += 1;
        // Each event takes bytes of the trace.
        assert!(count <= trace.len(), "{format:?} does not end");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]

    #[test]
    fn damaged_traces_are_read_to_an_end(original in any::<prop::sample::Index>(), changes in vec(damages(), 0..6)) {
        let originals = originals();
        let mut trace = originals[original.index(originals.len())].clone();
        changes.iter().for_each(|change| damage(&mut trace, &originals, change));
        let _ = detect(&trace);
        for format in Format::ALL {
            read_all(format, None, &trace);
            for architecture in Architecture::ALL {
                read_all(format, Some(architecture), &trace);
            }
        }
    }

    #[test]
    fn any_bytes_are_read_to_an_end(trace in vec(any::<u8>(), 0..3000)) {
        let _ = detect(&trace);
        for format in Format::ALL {
            read_all(format, Some(format.architecture().unwrap_or(Architecture::X86_64)), &trace);
        }
    }
}

#[test]
fn whole_traces_are_read() {
    for original in originals() {
        let format = detect(&original).unwrap();
        for architecture in Architecture::ALL {
            let Ok(mut source) = format.read(&*original, Some(architecture)) else { continue };
            let mut event = Event::default();
            while source.next(&mut event).unwrap() {}
        }
    }
}

#[test]
fn an_instruction_cannot_fill_the_memory() {
    let endless = |start: &'static [u8], line: &'static [u8]| {
        let lines = std::iter::repeat_n(line, 1 << 20);
        std::iter::once(start).chain(lines).collect::<Vec<_>>().concat()
    };
    let cases = [
        (
            Format::Tarmac,
            endless(b"1 clk IT (1) 00080004 9100001f O EL3h_s : MOV\n", b"1 clk MR1 00090003 3a\n"),
        ),
        (Format::Rvvi, endless(b"", b"RET 80 13 \\\n")),
        (
            Format::Qemu,
            endless(
                b"Trace 0: 0x1 [0/0000000000001000/0/0]\n x0/zero  0000000000000000\n",
                b" x1/ra  0000000000000000\n",
            ),
        ),
        (Format::Spike, endless(b"core   0: ", b"3 0x")),
    ];
    for (format, trace) in cases {
        let architecture = format.architecture().unwrap_or(Architecture::Riscv64);
        let mut source = format.read(&*trace, Some(architecture)).unwrap();
        let mut event = Event::default();
        let error = loop {
            match source.next(&mut event) {
                Ok(true) => {}
                other => break other,
            }
        };
        assert!(error.is_err(), "{format:?}");
    }
}
