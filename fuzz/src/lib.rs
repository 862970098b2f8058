//! Tests of instructions against each other's implementations: cases, random programs, who runs them, and what a
//! difference is reduced to.
//!
//! * [`case`] is the text form of a case (`testsuite/insn/<guest>/*.ins`), [`line`] writes it.
//! * [`machine`] is where cases run: a page of data at a fixed address between pages that fault.
//! * [`tier`] are Ferry's ways to run one, [`oracle`] runs a batch of them under qemu-user.
//! * [`program`] makes programs at random, [`campaign`] has them run and compared, one shard of it at a time.
//! * [`minimise`] shrinks what differs, [`blame`] says where it comes from, [`finding`] keeps it, with findings of other shards.
//! * [`explain`] does the same for an instruction whose effect another execution has shown.
//! * [`coverage`] counts which encodings were executed, and how; [`shape`] knows their operands; [`paths`] are the ways
//!   that translators have gone.
//! * [`rvfi`] executes what a tester injects.
//! * [`guest`] is what all of them know of a guest.
//!
//! It may know the guests, the IR and the back end. It must never know operating systems, machines, or the
//! runtime's caches.

pub mod blame;
pub mod campaign;
pub mod case;
pub mod coverage;
pub mod explain;
pub mod finding;
pub mod guest;
pub mod line;
pub mod machine;
pub mod minimise;
pub mod oracle;
pub mod paths;
pub mod program;
pub mod qemu;
pub mod rvfi;
pub mod shape;
pub mod tier;
mod value;
mod watch;
