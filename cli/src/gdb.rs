//! `--gdb` and `--control` of `ferry boot`: those who look at a machine from outside.

use std::sync::Arc;
use std::sync::mpsc::channel;

use anyhow::{Context, Result};
use clap::Args;
use runtime::debug::gdb::{self, Address, Listener, Visits};
use system::machine::Control;
use system::riscv64::Virt;

use crate::complain;

/// Options for those who look at a machine from outside.
#[derive(Args, Clone)]
pub(crate) struct GdbArgs {
    /// Let gdb connect (`target remote :PORT`): PORT, IP:PORT or unix:PATH
    #[arg(long, value_name = "WHERE")]
    gdb: Option<Address>,
    /// Do not start before gdb says so
    #[arg(long, requires = "gdb")]
    gdb_wait: bool,
    /// Let `ferry ctl` and others control the machine: unix:PATH
    #[arg(long, value_name = "unix:PATH", value_parser = socket)]
    control: Option<Address>,
}

fn socket(text: &str) -> Result<Address, String> {
    match text.parse() {
        Ok(Address::Unix(path)) => Ok(Address::Unix(path)),
        _ => Err(format!("'{text}' is no socket: give unix:PATH")),
    }
}

/// Lets others control the machine from now on, if that was asked for.
pub(crate) fn start_control(args: &GdbArgs, virt: &Virt) -> Result<Option<Control>> {
    let Some(address) = &args.control else { return Ok(None) };
    let listener = Listener::bind(address);
    let listener = listener.with_context(|| format!("cannot listen on {address}"))?;
    Ok(Some(virt.serve_control(listener)?))
}

/// Lets debuggers come from now on, if that was asked for.
pub(crate) fn start(args: &GdbArgs, virt: &Virt) -> Result<Arc<Visits>> {
    let visits = Arc::new(Visits::default());
    let Some(address) = &args.gdb else { return Ok(visits) };
    let listener = Listener::bind(address);
    let listener = listener.with_context(|| format!("cannot listen for gdb on {address}"))?;
    complain(&format!("gdb can connect to {}", listener.address()?));
    if args.gdb_wait {
        virt.shared().pause();
    }
    let (sender, events) = channel();
    let mut debuggee = virt.debuggee(&sender);
    let there = Arc::clone(&visits);
    std::thread::Builder::new().name("ferry-gdb".to_owned()).spawn(move || {
        let served =
            gdb::serve(&listener, &mut debuggee, (&sender, &events), (&there, &|fd| Ok(fd)));
        if let Err(error) = served {
            complain(&format!("no debugger can connect any more: {error}"));
        }
    })?;
    Ok(visits)
}
