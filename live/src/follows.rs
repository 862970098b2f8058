//! A recorded execution, and the same program run beside it: what the record lacks, the program has.

use diff::{Execution, State};
use trace::{Error, Event, Header, Source};

use crate::{Remote, failed};

/// A record whose state can be looked at, as the program is stepped with it.
pub struct Follows {
    recorded: Box<dyn Execution>,
    live: Remote,
    own: Event,
}

impl Follows {
    /// A record, and the program at its beginning.
    ///
    /// # Errors
    /// The record is of another architecture than the program.
    pub fn new(recorded: Box<dyn Execution>, live: Remote) -> Result<Self, Error> {
        let (found, expected) = (recorded.header().architecture, live.header().architecture);
        if expected != found {
            return Err(Error::Architecture { expected, found });
        }
        Ok(Self { recorded, live, own: Event::default() })
    }
}

impl Source for Follows {
    fn header(&self) -> &Header {
        self.recorded.header()
    }

    fn next(&mut self, event: &mut Event) -> Result<bool, Error> {
        if !self.recorded.next(event)? {
            return Ok(false);
        }
        let shows_traps = self.recorded.header().carries.traps;
        while self.live.next(&mut self.own)? {
            if self.own.trap.is_some() && !shows_traps {
                continue;
            }
            if self.own.pc == event.pc && event.hart == 0 {
                return Ok(true);
            }
            return Err(failed(format!(
                "the program, which is run for its memory and its system calls, does not go the record's way: it comes to {:#x}, not to {:#x}",
                self.own.pc, event.pc
            )));
        }
        Err(failed(
            "the program, which is run for its memory and its system calls, ends before the record",
        ))
    }
}

impl Execution for Follows {
    fn state(&mut self) -> Option<&mut dyn State> {
        self.live.state()
    }
}

impl std::fmt::Debug for Follows {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Follows").field("live", &self.live).finish_non_exhaustive()
    }
}
