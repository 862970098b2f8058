//! `ferry`: carries programs and machines across architectures.

// Rust's own start would set SIGPIPE to be ignored, which the guest and all that it executes would
// inherit, and would open what stands closed as descriptors 0 to 2.
#![cfg_attr(not(test), no_main)]

mod boot;
mod boot_devices;
mod ctl;
mod diff;
mod doctor;
mod execution;
mod fuzz;
mod gdb;
mod isa;
mod messages;
mod run;
mod run_qemu;
mod rvfi_dii;
mod syscalls;
mod trace;

use std::io::Write as _;

use clap::{Parser, Subcommand};
use messages::Messages;

/// Ferry's own errors, as opposed to the guest's exit status.
const OWN_ERROR: u8 = 125;

/// Runs programs of other architectures.
#[derive(Parser)]
#[command(
    name = "ferry",
    version,
    max_term_width = 100,
    after_help = "Examples:\n  ferry run ./hello-riscv64\n  ferry run -L /usr/riscv64-linux-gnu \
                  ./a.out --option\n  ferry run --root ./trixie-riscv64 /bin/bash"
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run a Linux program of another architecture
    Run(Box<run::RunArgs>),
    /// Boot a machine of another architecture
    Boot(Box<boot::BootArgs>),
    /// Control a machine that runs with --control
    Ctl(ctl::CtlArgs),
    /// Record an execution, instruction by instruction, or show, convert and sum up traces
    Trace(Box<trace::TraceArgs>),
    /// Compare two executions, and say where they part
    Diff(Box<diff::DiffArgs>),
    /// Run random instruction sequences by every tier and a reference, and make findings of what differs
    Fuzz(Box<fuzz::FuzzArgs>),
    /// Execute what a tester injects over a socket (TestRIG)
    RvfiDii(rvfi_dii::RvfiDiiArgs),
    /// List the system calls of a guest architecture and how well they are supported
    Syscalls(syscalls::SyscallsArgs),
    /// List the extensions and instructions of a guest architecture and which are implemented
    Isa(isa::IsaArgs),
    /// Say what this host offers to Ferry and what it lacks, each with its remedy
    Doctor,
}

/// Where the C library starts Ferry. It keeps the arguments for [`std::env`].
#[cfg(not(test))]
#[expect(unsafe_code, reason = "the name that the C library calls")]
#[unsafe(no_mangle)]
extern "C" fn main() -> i32 {
    i32::from(start())
}

/// Does what the command line says; returns the exit status.
#[cfg_attr(test, expect(dead_code, reason = "called by the C library's start only"))]
fn start() -> u8 {
    if let Some(argv0) = std::env::args_os().next().filter(|argv0| run_qemu::is_drop_in(argv0)) {
        messages::show(Messages::OfProgram);
        return run::drop_in(&argv0);
    }
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let _ = error.print();
            // Help and version are no errors.
            return if error.use_stderr() { OWN_ERROR } else { 0 };
        }
    };
    messages::show(match cli.command {
        Command::Run(_) => Messages::OfProgram,
        _ => Messages::Warnings,
    });
    match cli.command {
        Command::Run(args) => run::main(*args),
        Command::Boot(args) => boot::main(*args, None),
        Command::Ctl(args) => ctl::main(&args),
        Command::Trace(args) => trace::main(*args),
        Command::Diff(args) => diff::main(&args),
        Command::Fuzz(args) => fuzz::main(*args),
        Command::RvfiDii(args) => rvfi_dii::main(&args),
        Command::Syscalls(args) => syscalls::main(&args),
        Command::Isa(args) => isa::main(&args),
        Command::Doctor => doctor::main(),
    }
}

/// Prints what was asked for. A closed pipe (`| head`) is no error.
fn print(text: &str) {
    let _ = std::io::stdout().write_all(text.as_bytes());
}

/// Says on one line what went wrong.
#[expect(clippy::print_stderr, reason = "the user's terminal is what this is for")]
fn complain(error: &dyn std::fmt::Display) {
    eprintln!("ferry: {error}");
}
