//! Which registers an instruction may write that are asked for one by one: asking for all of them costs too much.
//!
//! More may be named than are written, and never fewer.

use trace::{Architecture, RegClass, Register};

/// FPCR, FPSR: op0, op1, CRn, CRm, op2.
const FPCR: Register = Register::control(0xda20);
const FPSR: Register = Register::control(0xda21);
const MXCSR: Register = Register::control(0);
const FFLAGS: Register = Register::control(1);
const FRM: Register = Register::control(2);

/// The registers, beside the general ones and flags, that an instruction may write.
pub(crate) fn written(architecture: Architecture, word: u64, into: &mut Vec<Register>) {
    into.clear();
    match architecture {
        Architecture::Riscv64 => riscv64(word as u32, into),
        Architecture::Aarch64 => aarch64(word as u32, into),
        // Any of them: instructions are not told apart here.
        Architecture::X86_64 => {
            into.extend((0..16).map(Register::vector));
            into.extend((0..16).map(|n| Register::new(RegClass::VectorUpper, n)));
            into.extend((0..8).map(Register::float));
            into.push(MXCSR);
            // WRFSBASE, WRGSBASE, with a prefix or two
            if [word >> 8, word >> 16].iter().any(|word| word & 0xffff == 0xae0f) {
                into.extend([Register::control(1), Register::control(2)]);
            }
        }
    }
}

const MSTATUS: Register = Register::control(0x300);

/// What an instruction of a machine's RISC-V hart may write, if it raises nothing.
pub(crate) fn of_machine(word: u32, into: &mut Vec<Register>) {
    into.clear();
    riscv64(word, into);
    if returns_from_trap(word) {
        into.extend(of_traps());
    } else if word & 0x7f == 0x73 && word >> 12 & 3 != 0 {
        // mstatus says that floating point was changed.
        let number = (word >> 20) as u16;
        into.extend([MSTATUS, Register::control(number)]);
        // At the supervisor's numbers are views, or a guest's.
        if number >> 8 == 1 {
            into.extend([0x100, 0x200].map(|other| Register::control(number + other)));
        }
        // Of what one of these allows, the others have no more.
        if matches!(number, 0x30a | 0x60a | 0x10a) {
            into.extend([0x30a, 0x60a, 0x10a].map(Register::control));
        }
        if matches!(number, 0x303 | 0x603) {
            into.extend([0x304, 0x603, 0x604].map(Register::control));
        }
    } else if !into.is_empty() {
        into.push(MSTATUS);
    }
    into.sort_unstable();
    into.dedup();
}

/// What a trap, or the return from one, may write.
pub(crate) fn of_traps() -> Vec<Register> {
    const NUMBERS: [u16; 17] = [
        0x300, 0x341, 0x342, 0x343, 0x34a, 0x34b, 0x141, 0x142, 0x143, 0x200, 0x241, 0x242, 0x243,
        0x600, 0x643, 0x64a, 0x747,
    ];
    NUMBERS.map(Register::control).to_vec()
}

/// MRET, SRET, MNRET
pub(crate) fn returns_from_trap(word: u32) -> bool {
    matches!(word, 0x3020_0073 | 0x1020_0073 | 0x7020_0073)
}

/// Whether an instruction of a RISC-V hart may be followed by another than the next one.
pub(crate) fn may_jump(word: u32) -> bool {
    match (word & 3, word >> 13 & 7) {
        // Branches, JALR, JAL
        (3, _) => matches!(word & 0x7f, 0x63 | 0x67 | 0x6f) || returns_from_trap(word),
        // C.J, C.BEQZ, C.BNEZ
        (1, 5..=7) => true,
        // C.JR, C.JALR
        (2, 4) => word >> 2 & 31 == 0,
        _ => false,
    }
}

fn riscv64(word: u32, into: &mut Vec<Register>) {
    let rd = Register::float((word >> 7 & 31) as u16);
    match (word & 3, word & 0x7f, word >> 12 & 7) {
        // FLH, FLW, FLD
        (3, 0x07, _) => into.push(rd),
        // OP-FP, the multiply-adds
        (3, 0x53 | 0x43 | 0x47 | 0x4b | 0x4f, _) => into.extend([rd, FFLAGS]),
        // Zicsr
        (3, 0x73, 1..) => into.extend([FFLAGS, FRM]),
        (3, ..) => {}
        // C.FLDSP, C.FLD
        (2, ..) if word >> 13 & 7 == 1 => into.push(rd),
        (0, ..) if word >> 13 & 7 == 1 => {
            into.push(Register::float(8 + (word >> 2 & 7) as u16));
        }
        _ => {}
    }
}

fn aarch64(word: u32, into: &mut Vec<Register>) {
    let rd = (word & 31) as u16;
    if word >> 25 & 7 == 7 {
        // Scalar floating point and Advanced SIMD
        into.extend([Register::vector(rd), FPSR]);
    } else if word >> 25 & 5 == 4 && word >> 26 & 1 == 1 {
        // Loads and stores of vector registers: up to four in a row, or a pair
        into.extend((0..4).map(|n| Register::vector((rd + n) % 32)));
        into.push(Register::vector((word >> 10 & 31) as u16));
    } else if word >> 20 == 0xd51 {
        // MSR
        into.extend([FPCR, FPSR]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(architecture: Architecture, word: u64) -> Vec<Register> {
        let mut found = Vec::new();
        written(architecture, word, &mut found);
        found
    }

    #[test]
    fn what_writes_a_vector_register_is_recognised() {
        let riscv64 = |word| of(Architecture::Riscv64, word);
        // fadd.d f5, f6, f7, fld f5, 0(x6), c.fld f8, 0(x8), c.fldsp f5, 0(sp), add x5, x6, x7
        assert_eq!(riscv64(0x0273_72d3), [Register::float(5), FFLAGS]);
        assert_eq!(riscv64(0x0003_3287), [Register::float(5)]);
        assert_eq!(riscv64(0x2000), [Register::float(8)]);
        assert_eq!(riscv64(0x2282), [Register::float(5)]);
        assert_eq!(riscv64(0x0073_02b3), []);
        let aarch64 = |word| of(Architecture::Aarch64, word);
        // fadd d0, d1, d2, ldr q3, [x0], ldp q1, q2, [x0], add x0, x1, x2, ldr x0, [x1], msr fpcr, x0
        assert_eq!(aarch64(0x1e62_2820), [Register::vector(0), FPSR]);
        assert!(aarch64(0x3dc0_0003).contains(&Register::vector(3)));
        assert!(aarch64(0xad40_0801).contains(&Register::vector(2)));
        assert_eq!(aarch64(0x8b02_0020), []);
        assert_eq!(aarch64(0xf940_0020), []);
        assert_eq!(aarch64(0xd51b_4400), [FPCR, FPSR]);
    }
}
