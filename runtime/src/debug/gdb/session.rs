//! A debugger's visit: from its connection to its departure.

use std::io::{self, Read, Write};
use std::sync::mpsc::{Receiver, Sender};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use gdbstub::conn::Connection;
use gdbstub::stub::state_machine::GdbStubStateMachine;
use gdbstub::stub::{DisconnectReason, GdbStub, MultiThreadStopReason};
use gdbstub::target::ext::breakpoints::WatchKind as GdbWatchKind;

use super::debuggee::{Debuggee, End, Event, Signal, StopReason, Thread};
use super::listen::{Listener, Move, Stream};
use super::packets::{Incoming, Packets};
use super::target::GdbTarget;
use crate::debug::{BreakKind, DebugStop};
use softmmu::WatchKind;

/// How a visit ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Left {
    /// The debugger has gone.
    Detached,
    /// It killed the guest.
    Killed,
    /// The guest has ended.
    Ended,
}

/// Whether a debugger is there.
#[derive(Debug, Default)]
pub struct Visits {
    there: Mutex<bool>,
    gone: Condvar,
}

impl Visits {
    fn set(&self, there: bool) {
        *self.there.lock().unwrap_or_else(PoisonError::into_inner) = there;
        self.gone.notify_all();
    }

    /// Whether one is there.
    #[must_use]
    pub fn is_there(&self) -> bool {
        *self.there.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until none is there, for a while: at the guest's end, so that it is told.
    pub fn wait(&self) {
        const PATIENCE: Duration = Duration::from_secs(2);
        let there = self.there.lock().unwrap_or_else(PoisonError::into_inner);
        drop(self.gone.wait_timeout_while(there, PATIENCE, |there| *there));
    }
}

/// The answers' way to the debugger, in whole packets.
struct Answers {
    stream: Arc<Stream>,
    buffer: Vec<u8>,
}

impl Connection for Answers {
    type Error = io::Error;

    fn write(&mut self, byte: u8) -> io::Result<()> {
        self.buffer.push(byte);
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        (&*self.stream).write_all(&self.buffer)?;
        self.buffer.clear();
        Ok(())
    }
}

type Machine<'a, 'b> = GdbStubStateMachine<'a, GdbTarget<'b>, Answers>;

/// Lets one debugger after the other debug it until it ends. `sender` is how the debuggee's own events come
/// to `events`; `moved` puts each connection where it belongs.
///
/// # Errors
/// Nobody can connect any more.
pub fn serve(
    listener: &Listener,
    debuggee: &mut dyn Debuggee,
    (sender, events): (&Sender<Event>, &Receiver<Event>),
    (visits, moved): (&Visits, Move<'_>),
) -> io::Result<()> {
    for number in 0.. {
        let stream = Arc::new(listener.accept()?.moved(moved)?);
        visits.set(true);
        let left = visit(stream, debuggee, (sender, events), number);
        visits.set(false);
        match left {
            Left::Detached => {
                debuggee.stop();
                debuggee.engine().clear_points();
                debuggee.release();
            }
            Left::Killed => {
                debuggee.kill();
                return Ok(());
            }
            Left::Ended => return Ok(()),
        }
    }
    Ok(())
}

/// One debugger's whole visit.
fn visit(
    stream: Arc<Stream>,
    debuggee: &mut dyn Debuggee,
    (sender, events): (&Sender<Event>, &Receiver<Event>),
    number: u64,
) -> Left {
    debuggee.stop();
    // What happened before it came is nothing to it, but for the end.
    for event in events.try_iter() {
        if let Event::Ended(_) = event {
            return Left::Ended;
        }
    }
    if let Err(error) = read(Arc::clone(&stream), sender.clone(), number) {
        tracing::warn!(%error, "cannot serve a debugger");
        return Left::Detached;
    }
    let left = converse(Arc::clone(&stream), debuggee, events, number);
    stream.shutdown();
    left.unwrap_or_else(|error| {
        tracing::warn!(error, "the debugger's connection has failed");
        Left::Detached
    })
}

/// Starts the thread that reads.
fn read(stream: Arc<Stream>, sender: Sender<Event>, number: u64) -> io::Result<()> {
    std::thread::Builder::new().name("ferry-gdb-read".to_owned()).spawn(move || {
        let mut buffer = [0; 4096];
        while let Ok(len @ 1..) = (&*stream).read(&mut buffer) {
            if sender.send(Event::Received(number, buffer[..len].to_vec())).is_err() {
                return;
            }
        }
        let _ = sender.send(Event::Closed(number));
    })?;
    Ok(())
}

fn converse(
    stream: Arc<Stream>,
    debuggee: &mut dyn Debuggee,
    events: &Receiver<Event>,
    number: u64,
) -> Result<Left, String> {
    let mut packets = Packets::default();
    let mut target = GdbTarget::new(debuggee);
    let answers = Answers { stream, buffer: Vec::new() };
    let text = |error: &dyn std::fmt::Display| error.to_string();
    let mut machine =
        GdbStub::new(answers).run_state_machine(&mut target).map_err(|error| text(&error))?;
    for event in events {
        machine = match event {
            Event::Received(from, bytes) if from == number => {
                receive(machine, &mut target, &mut packets, &bytes)?
            }
            Event::Closed(from) if from == number => return Ok(Left::Detached),
            // Of a visit before.
            Event::Received(..) | Event::Closed(_) => machine,
            Event::Stopped(thread, reason) => stopped(machine, &mut target, thread, reason)?,
            Event::Ended(end) => {
                ended(machine, &mut target, end)?;
                return Ok(Left::Ended);
            }
        };
        if target.is_killed {
            return Ok(Left::Killed);
        }
        if let GdbStubStateMachine::Disconnected(machine) = &machine {
            return Ok(match machine.get_reason() {
                DisconnectReason::Kill => Left::Killed,
                _ => Left::Detached,
            });
        }
    }
    Ok(Left::Ended)
}

fn receive<'a, 'b>(
    mut machine: Machine<'a, 'b>,
    target: &mut GdbTarget<'b>,
    packets: &mut Packets,
    bytes: &[u8],
) -> Result<Machine<'a, 'b>, String> {
    for &byte in bytes {
        let incoming = packets.take(byte, target.debuggee.has_physical_memory());
        target.mode = packets.mode;
        machine = match incoming {
            None => machine,
            Some(Incoming::Pass(bytes)) => pass(machine, target, &bytes)?,
            Some(Incoming::Answer(text)) => answer(machine, text.as_bytes())?,
            Some(Incoming::Kill(text)) => {
                target.is_killed = true;
                answer(machine, text.as_bytes())?
            }
            Some(Incoming::MemoryMap(offset, count)) => {
                let map = target.debuggee.memory_map().unwrap_or_default();
                let rest = map.as_bytes().get(offset..).unwrap_or_default();
                answer(machine, &packets.file_part(&rest[..count.min(rest.len())]))?
            }
            Some(Incoming::SignalInfo) => {
                let info = target.debuggee.signal_info();
                answer(machine, &packets.signal_info(info.as_deref()))?
            }
        };
    }
    Ok(machine)
}

fn answer<'a, 'b>(machine: Machine<'a, 'b>, text: &[u8]) -> Result<Machine<'a, 'b>, String> {
    match machine {
        GdbStubStateMachine::Idle(mut machine) => {
            let connection = machine.borrow_conn();
            connection.buffer.extend(text);
            connection.flush().map_err(|error| error.to_string())?;
            Ok(machine.into())
        }
        // While the guest runs there is nothing to ask.
        other => Ok(other),
    }
}

fn pass<'a, 'b>(
    mut machine: Machine<'a, 'b>,
    target: &mut GdbTarget<'b>,
    bytes: &[u8],
) -> Result<Machine<'a, 'b>, String> {
    for &byte in bytes {
        let next = match machine {
            GdbStubStateMachine::Idle(machine) => machine.incoming_data(target, byte),
            GdbStubStateMachine::Running(machine) => machine.incoming_data(target, byte),
            other => Ok(other),
        };
        machine = next.map_err(|error| error.to_string())?;
        if let GdbStubStateMachine::CtrlCInterrupt(interrupted) = machine {
            target.debuggee.stop();
            let thread = target.debuggee.threads().first().copied();
            let reason = thread.map(|tid| signalled(tid, Signal::INT));
            let handled = interrupted.interrupt_handled(target, reason);
            machine = handled.map_err(|error| error.to_string())?;
        }
    }
    if matches!(machine, GdbStubStateMachine::Running(_))
        && let Some((thread, reason)) = target.pending.pop_front()
    {
        return stopped(machine, target, thread, reason);
    }
    Ok(machine)
}

type Reason = MultiThreadStopReason<u64>;

fn signalled(tid: Thread, Signal(number): Signal) -> Reason {
    Reason::SignalWithThread { tid, signal: gdbstub::common::Signal(number) }
}

fn stopped<'a, 'b>(
    machine: Machine<'a, 'b>,
    target: &mut GdbTarget<'b>,
    thread: Thread,
    reason: StopReason,
) -> Result<Machine<'a, 'b>, String> {
    let GdbStubStateMachine::Running(machine) = machine else {
        // A second thread that stopped at the same time. At a breakpoint, it comes to it again.
        if matches!(reason, StopReason::Signal(_) | StopReason::Debug(DebugStop::Watchpoint(_))) {
            target.pending.push_back((thread, reason));
        }
        return Ok(machine);
    };
    target.debuggee.stop();
    let reason = match reason {
        StopReason::Signal(signal) => signalled(thread, signal),
        StopReason::Debug(DebugStop::Step) => signalled(thread, Signal::TRAP),
        StopReason::Debug(DebugStop::Breakpoint(BreakKind::Software)) => Reason::SwBreak(thread),
        StopReason::Debug(DebugStop::Breakpoint(BreakKind::Hardware)) => Reason::HwBreak(thread),
        StopReason::Debug(DebugStop::Watchpoint(hit)) => {
            let kind = match hit.kind {
                WatchKind::Write => GdbWatchKind::Write,
                WatchKind::Read => GdbWatchKind::Read,
                WatchKind::Access => GdbWatchKind::ReadWrite,
            };
            Reason::Watch { tid: thread, kind, addr: hit.addr.0 }
        }
    };
    machine.report_stop(target, reason).map_err(|error| error.to_string())
}

fn ended<'b>(machine: Machine<'_, 'b>, target: &mut GdbTarget<'b>, end: End) -> Result<(), String> {
    let GdbStubStateMachine::Running(machine) = machine else { return Ok(()) };
    let reason = match end {
        End::Exited(status) => Reason::Exited(status),
        End::Killed(Signal(number)) => Reason::Terminated(gdbstub::common::Signal(number)),
    };
    machine.report_stop(target, reason).map(|_| ()).map_err(|error| error.to_string())
}
