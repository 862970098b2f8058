//! Which registers a stub has ("Target Descriptions").

use diff::guest;
use trace::names::register_by_name;
use trace::{Architecture, RegClass, Register};

/// A register of the target.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Described {
    pub(crate) number: u32,
    pub(crate) bytes: usize,
    pub(crate) what: What,
}

/// What it is for a trace.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum What {
    /// The program counter.
    Pc,
    /// The level of privilege of a machine's CPU.
    Level,
    /// A register of the model.
    Register(Register),
    /// None.
    Other,
}

/// A tag's attributes follow its name: the value of one.
fn attribute<'a>(tag: &'a str, name: &str) -> Option<&'a str> {
    let at = tag.find(&format!(" {name}=\""))? + name.len() + 3;
    tag[at..].split('"').next()
}

/// The texts of all tags of that name, without their brackets.
fn tags<'a>(xml: &'a str, name: &'a str) -> impl Iterator<Item = &'a str> {
    let parts = xml.split('<').skip(1).filter_map(|part| part.split('>').next());
    parts.filter(move |tag| tag.split([' ', '/', '\n']).next() == Some(name))
}

/// Files that the description includes.
pub(crate) fn includes(xml: &str) -> Vec<String> {
    tags(xml, "xi:include").filter_map(|tag| attribute(tag, "href")).map(str::to_owned).collect()
}

/// As Ferry calls gdb's architecture.
pub(crate) fn architecture(gdb: &str) -> Option<Architecture> {
    match gdb {
        "riscv:rv64" | "riscv" => Some(Architecture::Riscv64),
        "aarch64" => Some(Architecture::Aarch64),
        "i386:x86-64" => Some(Architecture::X86_64),
        _ => None,
    }
}

/// The architecture that the first file names, and the registers of all.
pub(crate) fn parse(files: &[String]) -> Option<(Architecture, Vec<Described>)> {
    let name = files.iter().find_map(|xml| {
        let at = xml.find("<architecture>")? + "<architecture>".len();
        xml[at..].split('<').next()
    })?;
    let architecture = architecture(name.trim())?;
    // Only machines have one.
    let is_machine = files.iter().flat_map(|xml| tags(xml, "reg")).any(|tag| {
        architecture == Architecture::Riscv64 && attribute(tag, "name") == Some("mstatus")
    });
    let mut registers = Vec::new();
    let mut next = 0_u32;
    for tag in files.iter().flat_map(|xml| tags(xml, "reg")) {
        let number = attribute(tag, "regnum").and_then(|text| text.parse().ok()).unwrap_or(next);
        next = number.saturating_add(1);
        let bits: usize = attribute(tag, "bitsize")?.parse().ok()?;
        let what = what(architecture, attribute(tag, "name")?, (bits, is_machine));
        registers.push(Described { number, bytes: bits.div_ceil(8), what });
    }
    registers.sort_by_key(|register| register.number);
    Some((architecture, registers))
}

fn what(architecture: Architecture, name: &str, (bits, is_machine): (usize, bool)) -> What {
    if matches!(name, "pc" | "rip") {
        return What::Pc;
    }
    if is_machine && name == "priv" {
        return What::Level;
    }
    match register_by_name(architecture, name.as_bytes()) {
        Some(register) if bits <= 128 && is_machine && register.class == RegClass::Control => {
            if is_of_machine(register) {
                What::Register(register)
            } else {
                What::Other
            }
        }
        Some(register) if bits <= 128 && is_followed(architecture, register) => {
            What::Register(register)
        }
        _ => What::Other,
    }
}

/// Of a machine, all control registers are of interest that are no views of others, and do not change as time goes by. (`fcsr` is two
/// others; `sireg` and its like are whatever their selectors say.)
fn is_of_machine(register: Register) -> bool {
    const VIEWS: [u16; 12] =
        [0x003, 0x100, 0x104, 0x144, 0x204, 0x244, 0x351, 0x151, 0x251, 0x35c, 0x15c, 0x25c];
    !VIEWS.contains(&register.number) && guest::defined(Architecture::Riscv64, register) != 0
}

/// Of control registers, only those are of interest that a program's arithmetic changes. (`fcsr` is two others.)
fn is_followed(architecture: Architecture, register: Register) -> bool {
    let is_control = register.class == RegClass::Control;
    match architecture {
        Architecture::Riscv64 if is_control => matches!(register.number, 1 | 2),
        Architecture::Riscv64 => register != Register::int(0) && register.class != RegClass::Vector,
        // FPCR, FPSR
        Architecture::Aarch64 if is_control => matches!(register.number, 0xda20 | 0xda21),
        Architecture::Aarch64 => register.class != RegClass::Float,
        // mxcsr, fs_base, gs_base
        Architecture::X86_64 if is_control => register.number <= 2,
        Architecture::X86_64 => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn registers_are_numbered_on_unless_they_say_otherwise() {
        let files = [
            "<target><architecture>riscv:rv64</architecture><xi:include href=\"a.xml\"/></target>",
            "<feature name=\"f\"><reg name=\"zero\" bitsize=\"64\" regnum=\"0\"/>\
             <reg name=\"ra\" bitsize=\"64\"/><reg name=\"pc\" bitsize=\"64\" regnum=\"32\"/>\
             <reg name=\"fflags\" bitsize=\"32\" regnum=\"66\"/></feature>",
        ]
        .map(str::to_owned);
        assert_eq!(includes(&files[0]), ["a.xml"]);
        let (architecture, registers) = parse(&files).unwrap();
        let found: Vec<_> = registers.iter().map(|known| (known.number, known.what)).collect();
        let ra = What::Register(Register::int(1));
        let fflags = What::Register(Register::control(1));
        assert_eq!(found, [(0, What::Other), (1, ra), (32, What::Pc), (66, fflags)]);
        assert_eq!((architecture, registers[3].bytes), (Architecture::Riscv64, 4));
        // Of a machine, it is not all.
        let machine = files[1].replace(
            "</feature>",
            "<reg name=\"mstatus\" bitsize=\"64\"/><reg name=\"sstatus\" bitsize=\"64\"/>\
             <reg name=\"mip\" bitsize=\"64\"/><reg name=\"priv\" bitsize=\"64\"/></feature>",
        );
        let (_, registers) = parse(&[files[0].clone(), machine]).unwrap();
        let found: Vec<_> = registers[4..].iter().map(|known| known.what).collect();
        let mstatus = What::Register(Register::control(0x300));
        assert_eq!(found, [mstatus, What::Other, What::Other, What::Level]);
        assert!(parse(&["<architecture>m68k</architecture>".to_owned()]).is_none());
    }
}
