//! `ferry`: carries programs and machines across architectures.

mod run;
mod run_qemu;
mod syscalls;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

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
    Run(run::RunArgs),
    /// List the system calls of a guest architecture and how well they are supported
    Syscalls(syscalls::SyscallsArgs),
}

fn main() -> ExitCode {
    if let Some(argv0) = std::env::args_os().next().filter(|argv0| run_qemu::is_drop_in(argv0)) {
        return run::drop_in(&argv0);
    }
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let _ = error.print();
            // Help and version are no errors.
            return if error.use_stderr() { OWN_ERROR.into() } else { ExitCode::SUCCESS };
        }
    };
    match cli.command {
        Command::Run(args) => run::main(args),
        Command::Syscalls(args) => syscalls::main(&args),
    }
}

/// Says on one line what went wrong.
#[expect(clippy::print_stderr, reason = "the user's terminal is what this is for")]
fn complain(error: &dyn std::fmt::Display) {
    eprintln!("ferry: {error}");
}
