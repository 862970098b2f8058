//! Lines of `-d int`.

use crate::formats::hart_number;
use crate::formats::text::Scan;
use crate::{Architecture, Trap};

/// What a line says about exceptions.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Exception {
    /// Raised by the instruction at this address; on x86 the CPU is not named.
    AtPc { hart: Option<u32>, pc: u64, trap: Trap },
    /// Raised by the instruction that this CPU executes. More lines follow.
    Begins { hart: u32 },
    /// Of the last one that began: its class.
    Class(u64),
    /// Of the last one that began: the address that faulted.
    Fault(u64),
    /// The last one that began was served by QEMU itself.
    Served,
    /// An interrupt, between instructions.
    Interrupt { hart: Option<u32> },
}

/// What a line says, if it is about exceptions.
pub(super) fn parse(text: &[u8], architecture: Architecture) -> Option<Exception> {
    match architecture {
        Architecture::Riscv64 => riscv64(text),
        Architecture::Aarch64 => aarch64(text),
        Architecture::X86_64 => x86_64(text),
    }
}

/// `riscv_cpu_do_interrupt: hart:0, async:0, cause:<cause>, epc:0x<pc>, tval:0x<value>, desc=…`
fn riscv64(text: &[u8]) -> Option<Exception> {
    let mut scan = Scan::new(text);
    scan.eat(b"riscv_cpu_do_interrupt: hart:")?;
    let hart = scan.decimal().and_then(hart_number)?;
    scan.eat(b", async:")?;
    let is_interrupt = scan.decimal()? != 0;
    scan.eat(b", cause:")?;
    let cause = scan.hex()?.value;
    scan.eat(b", epc:")?;
    let pc = scan.prefixed_hex()?.value;
    scan.eat(b", tval:")?;
    let value = scan.prefixed_hex()?.value;
    let trap = Trap { cause: Some(cause), value: Some(value), signal: None };
    Some(match is_interrupt {
        true => Exception::Interrupt { hart: Some(hart) },
        false => Exception::AtPc { hart: Some(hart), pc, trap },
    })
}

/// `Taking exception 2 [SVC] on CPU 0`, `...with ESR 0x15/0x56000001`, `...with FAR 0x…`, `...handled as …`
fn aarch64(text: &[u8]) -> Option<Exception> {
    let mut scan = Scan::new(text);
    if scan.eat(b"Taking exception ").is_some() {
        scan.decimal()?;
        scan.eat(b" [")?;
        let name = scan.before(b']');
        scan.eat(b"] on CPU ")?;
        let hart = scan.decimal().and_then(hart_number)?;
        let is_interrupt = name.ends_with(b"IRQ")
            || name.ends_with(b"FIQ")
            || name.ends_with(b"SERR")
            || name.ends_with(b"NMI");
        return Some(match is_interrupt {
            true => Exception::Interrupt { hart: Some(hart) },
            false => Exception::Begins { hart },
        });
    }
    scan.eat(b"...")?;
    if scan.eat(b"with ESR ").is_some() {
        scan.prefixed_hex().map(|class| Exception::Class(class.value))
    } else if scan.eat(b"with FAR ").is_some() {
        scan.prefixed_hex().map(|addr| Exception::Fault(addr.value))
    } else {
        scan.eat(b"handled as ").map(|()| Exception::Served)
    }
}

/// `     0: v=0e e=0004 i=0 cpl=3 IP=0033:<ip> pc=<pc> SP=002b:<sp> CR2=<addr>`
fn x86_64(text: &[u8]) -> Option<Exception> {
    let mut scan = Scan::new(text);
    if scan.eat(b"Servicing hardware INT").is_some() {
        return Some(Exception::Interrupt { hart: None });
    }
    scan.blanks();
    scan.decimal()?;
    scan.eat(b": v=")?;
    let cause = scan.hex()?.value;
    let after = |name: &[u8]| {
        let at = memchr::memmem::find(text, name)? + name.len();
        Scan::new(&text[at..]).hex().map(|hex| hex.value)
    };
    let trap = Trap { cause: Some(cause), value: after(b" CR2="), signal: None };
    Some(Exception::AtPc { hart: None, pc: after(b" pc=")?, trap })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exceptions_of_each_architecture_are_understood() {
        let line = "riscv_cpu_do_interrupt: hart:1, async:0, cause:000000000000000d, epc:0x0000000080000058, \
                    tval:0x0000000000000010, desc=load_page_fault";
        let trap = Trap { cause: Some(13), value: Some(0x10), signal: None };
        let expected = Exception::AtPc { hart: Some(1), pc: 0x8000_0058, trap };
        assert_eq!(parse(line.as_bytes(), Architecture::Riscv64), Some(expected));
        let arm = |line: &str| parse(line.as_bytes(), Architecture::Aarch64);
        assert_eq!(arm("Taking exception 2 [SVC] on CPU 3"), Some(Exception::Begins { hart: 3 }));
        assert_eq!(
            arm("Taking exception 5 [IRQ] on CPU 0"),
            Some(Exception::Interrupt { hart: Some(0) })
        );
        assert_eq!(arm("...with ESR 0x15/0x56000001"), Some(Exception::Class(0x15)));
        assert_eq!(arm("...handled as PSCI call"), Some(Exception::Served));
        assert_eq!(arm("...from EL1 to EL1"), None);
        let line = "     0: v=0e e=0004 i=0 cpl=3 IP=0033:0000000000401000 pc=0000000000401000 \
                    SP=002b:00007ffe00000000 CR2=0000000000000010";
        let trap = Trap { cause: Some(14), value: Some(0x10), signal: None };
        let expected = Exception::AtPc { hart: None, pc: 0x40_1000, trap };
        assert_eq!(parse(line.as_bytes(), Architecture::X86_64), Some(expected));
    }
}
