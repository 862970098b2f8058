//! `ferry rvfi-dii`: the model's end of a test by TestRIG.

use std::net::{Ipv4Addr, TcpListener};

use clap::Args;

use crate::{OWN_ERROR, complain};

/// Options of `ferry rvfi-dii`.
#[derive(Args)]
#[command(
    after_help = "The hart starts at machine level at 0x80000000 with 8 MiB of memory, and answers in the first or the \
                  second version of the packets, as the tester asks.\n\nExample:\n  ferry rvfi-dii --port 5001"
)]
pub(crate) struct RvfiDiiArgs {
    /// The port on the loopback interface; 0 for any that is free
    #[arg(long, value_name = "N")]
    port: u16,
    /// The architecture
    #[arg(long, value_name = "ARCH", default_value = "riscv64", value_parser = ["riscv64"])]
    arch: String,
}

/// Serves one client after the other, for as long as clients leave in good order.
pub(crate) fn main(args: &RvfiDiiArgs) -> u8 {
    match serve(args) {
        Ok(()) => 0,
        Err(message) => {
            complain(&message);
            OWN_ERROR
        }
    }
}

fn serve(args: &RvfiDiiArgs) -> Result<(), String> {
    let failed = |error: std::io::Error| format!("port {}: {error}", args.port);
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, args.port)).map_err(failed)?;
    let port = listener.local_addr().map_err(failed)?.port();
    crate::print(&format!("{} hart waits on port {port}\n", args.arch));
    loop {
        let (connection, _) = listener.accept().map_err(failed)?;
        // Each answer is waited for.
        connection.set_nodelay(true).map_err(failed)?;
        let executed = ::fuzz::rvfi::serve(connection).map_err(|error| error.to_string())?;
        crate::print(&format!("{executed} instructions\n"));
    }
}
