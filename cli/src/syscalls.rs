//! `ferry syscalls`: the matrix of system calls.

use std::fmt::Write as _;

use clap::Args;

use crate::{OWN_ERROR, complain, print};

/// Arguments of `ferry syscalls`.
#[derive(Args)]
pub(crate) struct SyscallsArgs {
    /// The guest architecture
    #[arg(default_value = "riscv64")]
    arch: String,
}

/// Prints a line for each system call, and how many have which support.
pub(crate) fn main(args: &SyscallsArgs) -> u8 {
    let Some(lines) = linux_user::matrix::lines(&args.arch) else {
        complain(&format!(
            "{}: no such guest architecture; ferry knows riscv64, aarch64 and x86_64",
            args.arch
        ));
        return OWN_ERROR;
    };
    let mut text = String::new();
    for line in &lines {
        let note = if line.note.is_empty() { String::new() } else { format!("  {}", line.note) };
        let _ = writeln!(
            text,
            "{:>4} {:<24} {:<8} {:<8}{note}",
            line.number, line.name, line.family, line.support
        );
    }
    let count = |support| lines.iter().filter(|line| line.support == support).count();
    let (full, partial, none) = (count("full"), count("partial"), count("ENOSYS"));
    let _ = writeln!(text, "{} calls: {full} full, {partial} partial, {none} ENOSYS", lines.len());
    print(&text);
    0
}
