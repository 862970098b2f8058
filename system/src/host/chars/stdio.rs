//! Ferry's own standard input and output, raw if they are a terminal.

use std::io;
use std::os::fd::AsFd;

use super::escape::{Escape, EscapeFilter, HELP};
use super::pump::Shared;
use super::{Pump, terminal};

/// Standard input and output. If the input is a terminal, it is raw from now on until Ferry ends, the
/// device is notified when its size changes, and [`Escape`]s are taken out of what is typed: `escaped` is told of the two that are not done with here,
/// on a thread of the backend.
///
/// # Errors
/// The terminal cannot be set, or no thread can be started.
pub fn stdio(mut escaped: impl FnMut(Escape) + Send + 'static) -> io::Result<Pump> {
    let pump = Pump::new(true)?;
    let is_terminal = terminal::make_raw()?;
    pump.spawn_writer("chars-out", io::stdout())?;
    if is_terminal {
        let resized = terminal::resized()?;
        pump.spawn("chars-size", move |shared| {
            shared.read_loop(resized, |_| shared.notify());
        })?;
    }
    pump.spawn("chars-in", move |shared| {
        let mut filter = EscapeFilter::new();
        shared.read_loop(io::stdin().as_fd(), |bytes| match is_terminal {
            true => type_in(shared, &mut filter, bytes, &mut escaped),
            false => shared.push_input(bytes),
        });
    })?;
    Ok(pump)
}

fn type_in(
    shared: &Shared,
    filter: &mut EscapeFilter,
    bytes: &[u8],
    escaped: &mut impl FnMut(Escape),
) {
    for &byte in bytes {
        match filter.feed(byte) {
            None => {}
            Some(Ok(byte)) => shared.push_input(&[byte]),
            Some(Err(Escape::Break)) => shared.push_break(),
            Some(Err(Escape::Help)) => shared.push_output(HELP),
            Some(Err(escape)) => escaped(escape),
        }
    }
}
