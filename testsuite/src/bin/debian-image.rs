//! `cargo debian-image`: builds what whole machines boot, and says where it is.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command-line tool")]

use std::process::ExitCode;

use ferry_testsuite::image;

const USAGE: &str = "usage: debian-image
Prepares kernel, initramfs, disk image and firmware in the test cache and prints their paths, one
NAME=PATH a line: KERNEL, INITRAMFS, DISK, OPENSBI, UBOOT.
New packages are pinned by `cargo debian-root --refresh trixie-riscv64-machine`.";

fn main() -> ExitCode {
    if let Some(argument) = std::env::args().nth(1) {
        let asked = argument == "--help";
        if asked {
            println!("{USAGE}");
        } else {
            eprintln!("debian-image: unknown argument {argument}\n{USAGE}");
        }
        return if asked { ExitCode::SUCCESS } else { ExitCode::from(2) };
    }
    match image::prepare(&|line| eprintln!("debian-image: {line}")) {
        Ok(images) => {
            let list = [
                ("KERNEL", &images.kernel),
                ("INITRAMFS", &images.initramfs),
                ("DISK", &images.disk),
                ("OPENSBI", &images.opensbi),
                ("UBOOT", &images.uboot),
            ];
            list.iter().for_each(|(name, path)| println!("{name}={}", path.display()));
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("debian-image: {error}");
            ExitCode::FAILURE
        }
    }
}
