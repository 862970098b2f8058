use super::*;

fn with(aia: Aia, levels: Levels, first_bank: FirstBank) -> Vec<u8> {
    let interrupts = Interrupts { aia, levels };
    let (cpu, initrd, seed) = (CpuModel::default(), None, [0; 32]);
    let description = Description {
        cpu,
        harts: 2,
        interrupts,
        memory: 1 << 28,
        command_line: "",
        initrd,
        seed,
        first_bank,
    };
    tree(&description).unwrap()
}

fn names(tree: &[u8], name: &str) -> bool {
    tree.windows(name.len()).any(|window| window == name.as_bytes())
}

/// Interrupt controllers, whose, the nodes that are there, and those that are not.
#[test]
fn controllers_are_described_to_whom_they_belong() {
    let (plic, aplic_m, aplic_s) =
        ("plic@c000000", "interrupt-controller@c000000", "interrupt-controller@d000000");
    let (imsic_m, imsic_s) = ("interrupt-controller@24000000", "interrupt-controller@28000000");
    let all = [plic, aplic_m, aplic_s, imsic_m, imsic_s];
    let cases: [(Aia, Levels, &[&str]); 5] = [
        (Aia::None, Levels::Both, &[plic]),
        (Aia::Aplic, Levels::Supervisor, &[aplic_s]),
        (Aia::Aplic, Levels::Both, &[aplic_m, aplic_s]),
        (Aia::AplicImsic, Levels::Supervisor, &[aplic_s, imsic_s]),
        (Aia::AplicImsic, Levels::Both, &[aplic_m, aplic_s, imsic_m, imsic_s]),
    ];
    for (aia, levels, expected) in cases {
        let tree = with(aia, levels, FirstBank::Flash);
        let found: Vec<&str> = all.into_iter().filter(|name| names(&tree, name)).collect();
        assert_eq!(found, expected, "{aia:?} {levels:?}");
        assert_eq!(names(&tree, "msi-parent"), aia == Aia::AplicImsic);
        assert_eq!(names(&tree, "riscv,delegation"), aia != Aia::None && levels == Levels::Both);
    }
}

#[test]
fn flash_that_is_code_is_not_described() {
    let flash = with(Aia::None, Levels::Both, FirstBank::Flash);
    assert!(names(&flash, "flash@20000000") && names(&flash, "fw-cfg@10100000"));
    let code = with(Aia::None, Levels::Both, FirstBank::Code);
    assert!(names(&code, "flash@22000000") && !names(&code, "flash@20000000"));
}
