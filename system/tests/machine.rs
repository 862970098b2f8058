//! A whole machine that runs: time that is counted, and what becomes of it when Ferry is mistaken.

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;

use arch::riscv64::CpuModel;
use ferry_system::device::Notifier;
use ferry_system::devices::virtio::rng::SeededEntropy;
use ferry_system::host::chars::{CharBackend, Memory};
use ferry_system::machine::Ending;
use ferry_system::riscv64::{Aia, Bios, Config, Pace, Virt};
use runtime::{EngineConfig, LogItems, LogSink, Probes, RegionConfig, Tier};

/// Each hart counts in a loop until its timer has interrupted it ten times, every 2 us. Then hart 0 writes
/// what it has counted to, and switches the machine off.
const PROGRAM: [u32; 37] = [
    0xf1402573, // csrrs a0,mhartid,zero
    0x00000297, // auipc t0,0x0
    0x07c28293, // addi t0,t0,124
    0x30529073, // csrrw zero,mtvec,t0
    0x02004337, // lui t1,0x2004
    0x00351593, // slli a1,a0,0x3
    0x00b30333, // add t1,t1,a1
    0x0200c3b7, // lui t2,0x200c
    0xff83be03, // ld t3,-8(t2)
    0x014e0e13, // addi t3,t3,20
    0x01c33023, // sd t3,0(t1)
    0x08000e93, // addi t4,zero,128
    0x304e9073, // csrrw zero,mie,t4
    0x30046073, // csrrsi zero,mstatus,8
    0x00a00f13, // addi t5,zero,10
    0x00148493, // addi s1,s1,1
    0xffe44ee3, // blt s0,t5,8000003c loop
    0x02051a63, // bne a0,zero,80000078 park
    0x10000637, // lui a2,0x10000
    0x01000693, // addi a3,zero,16
    0x00f4f713, // andi a4,s1,15
    0x04170713, // addi a4,a4,65
    0x00e60023, // sb a4,0(a2)
    0x0044d493, // srli s1,s1,0x4
    0xfff68693, // addi a3,a3,-1
    0xfe0696e3, // bne a3,zero,80000050 digit
    0x00100637, // lui a2,0x100
    0x000056b7, // lui a3,0x5
    0x55568693, // addi a3,a3,1365
    0x00d62023, // sw a3,0(a2)
    0x10500073, // wfi
    0xffdff06f, // jal zero,80000078 park
    0x00140413, // addi s0,s0,1
    0xff83be03, // ld t3,-8(t2)
    0x014e0e13, // addi t3,t3,20
    0x01c33023, // sd t3,0(t1)
    0x30200073, // mret
];

/// Loads and stores 1000 times, and switches the machine off.
const ACCESSES: [u32; 11] = [
    0x00001517, // auipc a0,0x1
    0x3e800593, // addi a1,zero,1000
    0x00053603, // ld a2,0(a0) loop
    0x00c53423, // sd a2,8(a0)
    0xfff58593, // addi a1,a1,-1
    0xfe059ae3, // bne a1,zero,loop
    0x00100637, // lui a2,0x100
    0x000056b7, // lui a3,0x5
    0x55568693, // addi a3,a3,1365
    0x00d62023, // sw a3,0(a2)
    0x0000006f, // jal zero,0
];

/// A directory that goes away with the test.
struct Directory(PathBuf);

impl Directory {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("ferry-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn kernel(&self) -> PathBuf {
        self.program(&PROGRAM)
    }

    fn program(&self, code: &[u32]) -> PathBuf {
        let path = self.0.join("kernel");
        let bytes: Vec<u8> = code.iter().flat_map(|word| word.to_le_bytes()).collect();
        fs::write(&path, bytes).unwrap();
        path
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn config(kernel: PathBuf, console: Box<dyn CharBackend>, pace: Pace) -> Config {
    Config {
        cpu: "max".parse::<CpuModel>().unwrap(),
        harts: 2,
        aia: Aia::None,
        memory: 16 << 20,
        bios: Bios::None,
        kernel: Some(kernel),
        initrd: None,
        command_line: String::new(),
        console,
        entropy: Box::new(SeededEntropy::new(7)),
        engine: EngineConfig { tier: Tier::Interp, ..EngineConfig::default() },
        regions: RegionConfig::default(),
        pace,
        functions: Vec::new(),
        flash: Vec::new(),
        virtio_mmio: Vec::new(),
        record: None,
    }
}

/// What the machine prints, and what it did to do so.
fn counted_run(directory: &Directory, number: u32) -> (Vec<u8>, Vec<u8>) {
    let (line, log) = (Memory::new(), directory.0.join(format!("log{number}")));
    let config = config(directory.kernel(), Box::new(line.clone()), Pace::Counted);
    let (log_items, sink) = ("exec,cpu".parse::<LogItems>().unwrap(), LogSink::file(&log).unwrap());
    let engine = EngineConfig { log: log_items, sink, ..EngineConfig::default() };
    let mut machine = Virt::new(Config { engine, ..config }).unwrap();
    assert_eq!(machine.run().unwrap(), Ending::PowerOff(0));
    (line.take_output(), fs::read(log).unwrap())
}

#[test]
fn counted_runs_are_the_same() {
    let directory = Directory::new("counted");
    let (output, log) = counted_run(&directory, 1);
    assert!(output.len() == 16 && output[0..4] != *b"AAAA", "{}", output.escape_ascii());
    assert!(log.len() > 10_000, "there is something to compare");
    for number in 2..4 {
        let (again, log_again) = counted_run(&directory, number);
        assert_eq!(output.escape_ascii().to_string(), again.escape_ascii().to_string());
        assert!(log == log_again, "registers differ somewhere");
    }
}

/// Breaks at the first byte.
struct Broken;

impl CharBackend for Broken {
    fn write(&mut self, _: &[u8]) -> usize {
        panic!("this is the test's own")
    }

    fn read(&mut self, _: &mut [u8]) -> usize {
        0
    }

    fn connect(&mut self, _: Notifier) {}
}

/// Hart 1 waits for ever; it must not be waited for.
#[test]
fn a_thread_that_panics_ends_the_machine() {
    let directory = Directory::new("broken");
    for pace in [Pace::Host, Pace::Counted] {
        let mut machine = Virt::new(config(directory.kernel(), Box::new(Broken), pace)).unwrap();
        assert!(catch_unwind(AssertUnwindSafe(|| machine.run())).is_err());
    }
}

/// Every tier counts each access once: those of the loop, two of the boot code, and the store to the finisher.
#[test]
fn probes_are_counted() {
    let directory = Directory::new("probes");
    for tier in [Tier::Interp, Tier::Jit, Tier::Auto] {
        let kernel = directory.program(&ACCESSES);
        let config = config(kernel, Box::new(Memory::new()), Pace::Host);
        let (probes, hot_threshold) = (Probes::Counted, 100);
        let engine = EngineConfig { tier, probes, hot_threshold, ..EngineConfig::default() };
        let regions = RegionConfig { workers: 0, ..RegionConfig::default() };
        let config = Config { harts: 1, engine, regions, ..config };
        let mut machine = Virt::new(config).unwrap();
        assert_eq!(machine.run().unwrap(), Ending::PowerOff(0));
        let report = machine.report();
        let stats = report.memory[0];
        assert_eq!(report.engine.compiled_entries > 0, tier != Tier::Interp, "{tier:?}");
        assert_eq!(stats.probes, Some(2003), "{tier:?}: {stats:?}");
        // A page of ROM, a page of RAM that is read and then written to, and the finisher.
        assert!((3..=5).contains(&stats.misses), "{tier:?}: {stats:?}");
        assert!(stats.costs.is_some());
    }
}
