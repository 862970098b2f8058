//! `ferry ctl`: asks a machine's control socket for something.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use clap::{Args, ValueEnum};
use serde_json::{Value, json};

use crate::{OWN_ERROR, complain, print};

/// Arguments of `ferry ctl`.
#[derive(Args)]
pub(crate) struct CtlArgs {
    /// The socket that `ferry boot --control unix:PATH` made
    #[arg(value_name = "PATH")]
    socket: PathBuf,
    /// What to do
    #[arg(value_enum)]
    command: CommandArg,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum CommandArg {
    /// Stop all CPUs, and the machine's time with them
    Stop,
    /// Let them go on
    Cont,
    /// Press the power button, which is a key of a virtio keyboard: systemd-logind shuts the system down.
    /// Refused while no driver listens to it, as in a system without udev
    Powerdown,
    /// Start the machine again
    Reset,
    /// Print what it does, as JSON
    Status,
    /// End it as if its power were cut
    Quit,
    /// Print what happens to it until it ends, a line of JSON each
    Events,
}

/// Does it; 1 if the machine refuses.
pub(crate) fn main(args: &CtlArgs) -> u8 {
    match control(args) {
        Ok(status) => status,
        Err(error) => {
            complain(&format!("{error:#}"));
            OWN_ERROR
        }
    }
}

fn control(args: &CtlArgs) -> Result<u8> {
    let path = args.socket.to_str().and_then(|path| path.strip_prefix("unix:"));
    let path = path.map_or(args.socket.clone(), PathBuf::from);
    let stream = UnixStream::connect(&path);
    let stream = stream.with_context(|| format!("no machine at {}", path.display()))?;
    let lines = BufReader::new(&stream).lines();
    if args.command == CommandArg::Events {
        for line in lines {
            print(&format!("{}\n", line?));
        }
        return Ok(0);
    }
    let name = args.command.to_possible_value();
    let name = name.map(|value| value.get_name().to_owned());
    (&stream).write_all(format!("{}\n", json!({"id": 1, "command": name})).as_bytes())?;
    for line in lines {
        let answer: Value = serde_json::from_str(&line?).context("no answer of a machine")?;
        if answer["id"] != 1 {
            // An event.
            continue;
        }
        if answer["ok"] != true {
            complain(&answer["error"].as_str().unwrap_or("it did not say why"));
            return Ok(1);
        }
        if !answer["result"].is_null() {
            print(&format!("{:#}\n", answer["result"]));
        }
        return Ok(0);
    }
    bail!("the machine has ended without an answer")
}
