//! Same words, same text as `objdump -M no-aliases`, and the same verdict on what is illegal.
//! Skipped, with a word about it, where the RISC-V binutils are not installed.

#![expect(clippy::print_stderr, reason = "says how much was compared")]

use base::rng::Rng;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use base::GuestVirt;
use ferry_decoders::riscv64::{Disassembly, Extension, ExtensionSet, INSTRUCTIONS, length};

use crate::Random;

/// What binutils 2.40 knows, in the form of its `arch` attribute.
const ARCH: &str = "rv64gc_zba_zbb_zbc_zbs_zbkb_zbkc_zbkx_zknd_zkne_zknh_zksed_zksh_zicbom_zicbop_\
                    zicboz_zawrs_zfh_zihintpause_svinval_zicsr_zifencei";

/// The same for us, with the privileged instructions, which objdump always knows.
fn extensions() -> ExtensionSet {
    use Extension::*;
    ExtensionSet::of(&[
        G,
        C,
        B,
        Zbc,
        Zk,
        Zks,
        Zicbom,
        Zicbop,
        Zicboz,
        Zawrs,
        Zfh,
        Zihintpause,
        Svinval,
    ])
}

#[test]
fn every_compressed_word() {
    let halves: Vec<u8> =
        (0..=u16::MAX).filter(|half| half & 3 != 3).flat_map(u16::to_le_bytes).collect();
    compare("compressed", &halves);
}

#[test]
fn random_words_of_every_major_opcode() {
    let mut random = Random(Rng::new(1));
    let words: Vec<u8> = (0..32u32)
        .filter(|opcode| opcode & 7 != 7) // longer than 32 bits for objdump
        .flat_map(|opcode| vec![opcode << 2 | 3; 10_000])
        .flat_map(|opcode| (random.next() & !0x7f | opcode).to_le_bytes())
        .collect();
    compare("random", &words);
}

#[test]
fn random_operands_of_every_instruction() {
    let mut random = Random(Rng::new(2));
    let words: Vec<u8> = INSTRUCTIONS
        .iter()
        .filter(|info| info.width == 32)
        .flat_map(|info| vec![info; 400])
        .flat_map(|info| (random.next() & !info.mask | info.value).to_le_bytes())
        .collect();
    compare("operands", &words);
}

#[test]
fn every_control_and_status_register() {
    let words: Vec<u8> =
        (0..4096u32).flat_map(|csr| (csr << 20 | 0x0005_a573).to_le_bytes()).collect();
    compare("csr", &words);
}

#[test]
fn the_c_library() {
    let library = Path::new("/usr/riscv64-linux-gnu/lib/libc.so.6");
    if !library.exists() {
        skipped(&format!("{} is not installed", library.display()));
        return;
    }
    let text = scratch("libc.text");
    let copied = Command::new("riscv64-linux-gnu-objcopy")
        .args(["-O", "binary", "-j", ".text"])
        .arg(library)
        .arg(&text)
        .status();
    if !copied.is_ok_and(|status| status.success()) {
        skipped("riscv64-linux-gnu-objcopy is not installed");
        return;
    }
    compare("libc", &fs::read(text).unwrap());
}

/// Says so on the real standard error: the test harness keeps back what a passing test prints.
fn skipped(reason: &str) {
    let _ = writeln!(std::io::stderr(), "skipped: objdump: {reason}");
}

fn scratch(name: &str) -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join(name)
}

/// Compares instruction by instruction, and reports the first differences of each kind.
fn compare(name: &str, code: &[u8]) {
    let Some(listing) = objdump(name, code) else {
        skipped("the riscv64-linux-gnu binutils are not installed");
        return;
    };
    let mut compared = 0;
    let mut address = 0;
    let mut differences = Vec::new();
    while address + 4 <= code.len() {
        let word = u32::from_le_bytes(code[address..address + 4].try_into().unwrap());
        let ours = Disassembly::new(word, GuestVirt(address as u64), extensions()).to_string();
        match listing.get(&address) {
            Some(theirs) if same(&ours, theirs) => {}
            Some(theirs) => differences.push(format!("{word:08x}: {ours} | {theirs}")),
            None => differences.push(format!("{word:08x}: {ours} | nothing at {address:#x}")),
        }
        compared += 1;
        address += length(word as u16) as usize;
    }
    eprintln!("{name}: {compared} instructions compared");
    assert!(
        differences.is_empty(),
        "{} of {compared} differ, ours | objdump's:\n{}",
        differences.len(),
        differences.iter().take(400).cloned().collect::<Vec<_>>().join("\n")
    );
}

fn same(ours: &str, theirs: &str) -> bool {
    ours == theirs || ours == plain(theirs) || excused(ours, theirs)
}

/// Where objdump 2.40 departs from the manual.
fn excused(ours: &str, theirs: &str) -> bool {
    let name = ours.split(' ').next().unwrap_or(ours);
    match name {
        // It takes fields that "base implementations shall ignore" for part of the opcode.
        "fence" | "fence.tso" | "fence.i" => theirs.starts_with(".4byte"),
        // An increment of 0 is reserved.
        ".2byte" => ours == ".2byte 0x6101" && theirs == "c.addi16sp sp,0",
        // Exact conversions: it says nothing of the rounding mode that its assembler
        // chooses, and knows at most one other.
        "fcvt.d.s" | "fcvt.d.w" | "fcvt.d.wu" | "fcvt.s.h" | "fcvt.d.h" => {
            ours.strip_suffix(",rne") == Some(theirs) || theirs.starts_with(".4byte")
        }
        // The hypervisor's, which it takes for a part of Svinval.
        ".4byte" if theirs.starts_with("hinval.") => true,
        // Round numbers above 10 are reserved.
        ".4byte" => ["0xb", "0xc", "0xd", "0xe", "0xf"]
            .iter()
            .any(|rnum| theirs.starts_with("aes64ks1i ") && theirs.ends_with(rnum)),
        _ if name.starts_with("csrr") => excused_csr(ours, theirs),
        _ => false,
    }
}

/// It knows the names of RV32's upper halves everywhere, and names newer than itself nowhere.
fn excused_csr(ours: &str, theirs: &str) -> bool {
    let csr = |text: &str| text.split(',').nth(1).map(String::from).unwrap_or_default();
    let (ours, theirs) = (csr(ours), csr(theirs));
    let new = NEW_CSRS.contains(&ours.trim_end_matches(|c: char| c.is_ascii_digit()));
    (ours.starts_with("0x") && theirs.ends_with('h')) || (new && theirs.starts_with("0x"))
}

/// Without the number at the end.
const NEW_CSRS: &[&str] = &[
    "ssp",
    "jvt",
    "scountinhibit",
    "mnscratch",
    "mnepc",
    "mncause",
    "mnstatus",
    "sctrctl",
    "sctrstatus",
    "sctrdepth",
    "srmcfg",
    "mctrctl",
    "vsctrctl",
    "mcyclecfg",
    "minstretcfg",
    "sireg",
    "vsireg",
    "mireg",
];

/// objdump's text with the manual's names where it has its own, or older, ones.
fn plain(theirs: &str) -> String {
    match theirs.split_once(' ') {
        None if theirs == "c.unimp" => ".2byte 0x0".into(),
        Some(("c.addi", "zero,0")) => "c.nop".into(),
        Some(("c.addi", operands)) if operands.starts_with("zero,") => {
            format!("c.nop {}", &operands[5..])
        }
        // Shifts by 0, which are hints here and shifts by 64 on RV128.
        Some((name @ ("c.slli64" | "c.srli64" | "c.srai64"), register)) => {
            format!("{} {register},0x0", &name[..6])
        }
        _ => theirs.into(),
    }
}

/// objdump's text by address.
fn objdump(name: &str, code: &[u8]) -> Option<std::collections::HashMap<usize, String>> {
    let (binary, source, object) = (
        scratch(&format!("{name}.bin")),
        scratch(&format!("{name}.s")),
        scratch(&format!("{name}.o")),
    );
    fs::write(&binary, code).unwrap();
    let text = format!(".attribute arch, \"{ARCH}\"\n.text\n.incbin {:?}\n", binary);
    fs::write(&source, text).unwrap();
    let run = |program: &str, arguments: &[&str]| {
        let output = Command::new(format!("riscv64-linux-gnu-{program}")).args(arguments).output();
        output.ok().filter(|output| output.status.success()).map(|output| output.stdout)
    };
    let object = object.to_str()?;
    run("as", &["-march=rv64gc", source.to_str()?, "-o", object])?;
    // Without symbols nothing says that the bytes are data.
    run("objcopy", &["--strip-all", object])?;
    let listing = run("objdump", &["-d", "-z", "-M", "no-aliases", object])?;
    let listing = String::from_utf8_lossy(&listing).into_owned();
    Some(listing.lines().filter_map(line).collect())
}

/// `  1a:  bytes  mnemonic operands # comment`, with tabs between.
fn line(line: &str) -> Option<(usize, String)> {
    let (address, rest) = line.trim_start().split_once(":\t")?;
    let address = usize::from_str_radix(address, 16).ok()?;
    let text = rest.split_once('\t')?.1;
    let text = text.split(" #").next()?.trim_end();
    Some((address, text.replace('\t', " ")))
}
