//! `--gdb` of `ferry boot`: a thread for debuggers.

use std::sync::Arc;
use std::sync::mpsc::channel;

use anyhow::{Context, Result};
use clap::Args;
use runtime::debug::gdb::{self, Address, Listener, Visits};
use system::riscv64::Virt;

use crate::complain;

/// Options that have to do with debuggers.
#[derive(Args, Clone)]
pub(crate) struct GdbArgs {
    /// Let gdb connect (`target remote :PORT`): PORT, IP:PORT or unix:PATH
    #[arg(long, value_name = "WHERE")]
    gdb: Option<Address>,
    /// Do not start before gdb says so
    #[arg(long, requires = "gdb")]
    gdb_wait: bool,
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
