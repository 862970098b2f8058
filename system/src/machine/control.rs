//! A machine's control socket: JSON, a line each.
//!
//! Requests are `{"id": …, "command": "…"}`, answers `{"id": …, "ok": true, "result": …}` or
//! `{"id": …, "ok": false, "error": "…"}`, with the id as it came. In between come events:
//! `{"event": "stopped"}`, `resumed`, `reset`, `poweroff` with its `status`, and `quit`.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use runtime::debug::gdb::{Listener, Stream};
use runtime::{Engine, Stats};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::machine::{CpuState, Ending, Happening, Shared};

/// What a machine can be asked.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Command {
    /// Stop all CPUs, and time with them.
    Stop,
    /// Let them go on.
    Cont,
    /// Press the power button: what then happens is the system's choice.
    Powerdown,
    /// Start again.
    Reset,
    /// Say what it does.
    Status,
    /// End as if the power were cut.
    Quit,
}

#[derive(Deserialize)]
struct Request {
    #[serde(default)]
    id: Value,
    command: Command,
}

/// What a machine does.
#[derive(Clone, Debug, Serialize)]
pub struct Status {
    /// `running`, `stopped` or `ended`.
    pub machine: &'static str,
    /// Nanoseconds since its start, without those during which it stood still.
    pub nanoseconds: u64,
    /// Each CPU's state.
    pub cpus: Vec<CpuState>,
    /// The engine's counters.
    pub counters: Stats,
}

/// Bytes in a request at most.
const LONGEST: u64 = 1 << 16;
/// Connections at the same time.
const MOST: usize = 16;
/// Who does not read for so long is left behind.
const PATIENCE: Duration = Duration::from_secs(1);

type Clients = Arc<Mutex<Vec<Arc<Client>>>>;

/// A connection; the lock keeps its lines whole.
struct Client {
    stream: Stream,
    writing: Mutex<()>,
}

impl Client {
    fn write(&self, line: &Value) -> io::Result<()> {
        let _whole = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let written = (&self.stream).write_all(format!("{line}\n").as_bytes());
        if written.is_err() {
            self.stream.shutdown();
        }
        written
    }
}

/// A machine's control socket, while it is served.
#[derive(Debug)]
pub struct Control {
    told: Receiver<()>,
}

impl Control {
    /// Serves those who connect, on threads of its own, until the machine ends.
    ///
    /// # Errors
    /// The host has no threads for it.
    pub fn serve(
        listener: Listener,
        shared: &Arc<Shared>,
        engine: &Arc<Engine>,
    ) -> io::Result<Self> {
        let clients = Clients::default();
        let (happened, happenings) = channel();
        shared.watch(Box::new(move |happening| _ = happened.send(happening)));
        let (finished, told) = channel();
        let audience = Arc::clone(&clients);
        spawn(move || {
            for happening in happenings {
                tell(&audience, happening);
                if let Happening::Ended(_) = happening {
                    break;
                }
            }
            let _ = finished.send(());
        })?;
        let (shared, engine) = (Arc::downgrade(shared), Arc::clone(engine));
        spawn(move || {
            while let Ok(stream) = listener.accept() {
                admit(stream, &clients, (&shared, &engine));
            }
        })?;
        Ok(Self { told })
    }

    /// Waits until all who are connected know of the machine's end.
    pub fn finish(&self) {
        let _ = self.told.recv_timeout(2 * PATIENCE);
    }
}

fn spawn(work: impl FnOnce() + Send + 'static) -> io::Result<()> {
    std::thread::Builder::new().name("ferry-control".to_owned()).spawn(work).map(drop)
}

fn lock(clients: &Clients) -> std::sync::MutexGuard<'_, Vec<Arc<Client>>> {
    clients.lock().unwrap_or_else(PoisonError::into_inner)
}

fn tell(clients: &Clients, happening: Happening) {
    let event = match happening {
        Happening::Stopped => json!({"event": "stopped"}),
        Happening::Resumed => json!({"event": "resumed"}),
        Happening::Reset | Happening::Ended(Ending::Reset) => json!({"event": "reset"}),
        Happening::Ended(Ending::PowerOff(status)) => {
            json!({"event": "poweroff", "status": status})
        }
        Happening::Ended(Ending::Quit) => json!({"event": "quit"}),
    };
    let all = lock(clients).clone();
    all.iter().for_each(|client| _ = client.write(&event));
}

fn admit(stream: Stream, clients: &Clients, (shared, engine): (&Weak<Shared>, &Arc<Engine>)) {
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    if stream.set_write_timeout(PATIENCE).is_err() || COUNT.load(Ordering::SeqCst) >= MOST {
        return;
    }
    let client = Arc::new(Client { stream, writing: Mutex::new(()) });
    let (clients, shared, engine) = (Arc::clone(clients), Weak::clone(shared), Arc::clone(engine));
    COUNT.fetch_add(1, Ordering::SeqCst);
    lock(&clients).push(Arc::clone(&client));
    let served = spawn(move || {
        serve_client(&client, &shared, &engine);
        lock(&clients).retain(|other| !Arc::ptr_eq(other, &client));
        COUNT.fetch_sub(1, Ordering::SeqCst);
    });
    if let Err(error) = served {
        tracing::warn!(%error, "no thread for a control connection");
        COUNT.fetch_sub(1, Ordering::SeqCst);
    }
}

fn serve_client(client: &Client, shared: &Weak<Shared>, engine: &Engine) {
    let mut reader = BufReader::new(&client.stream);
    let mut line = Vec::new();
    loop {
        line.clear();
        match reader.by_ref().take(LONGEST).read_until(b'\n', &mut line) {
            Ok(1..) if line.ends_with(b"\n") => {}
            // The end, or a line without one.
            _ => return client.stream.shutdown(),
        }
        let Some(shared) = shared.upgrade() else { return client.stream.shutdown() };
        let answer = answer(&line, &shared, engine);
        let ends = answer.1;
        if client.write(&answer.0).is_err() {
            return;
        }
        if let Some(ending) = ends {
            shared.end(ending);
        }
    }
}

/// The answer to a request, and what becomes of the machine once it is given.
fn answer(line: &[u8], shared: &Shared, engine: &Engine) -> (Value, Option<Ending>) {
    let failed = |id: Value, error: &str| (json!({"id": id, "ok": false, "error": error}), None);
    let request = match serde_json::from_slice::<Request>(line) {
        Ok(request) => request,
        Err(error) => {
            let id = serde_json::from_slice::<Value>(line).ok().map(|mut all| all["id"].take());
            return failed(id.unwrap_or_default(), &format!("no request: {error}"));
        }
    };
    let done = |result: Value, ending| {
        (json!({"id": request.id.clone(), "ok": true, "result": result}), ending)
    };
    match request.command {
        Command::Stop => {
            shared.pause();
            match shared.wait_until_stopped() {
                true => done(Value::Null, None),
                false => failed(request.id, "the machine goes on or has ended"),
            }
        }
        Command::Cont => {
            shared.resume();
            done(Value::Null, None)
        }
        Command::Powerdown => match shared.press_power_button() {
            Ok(()) => done(Value::Null, None),
            Err(error) => failed(request.id, &error.to_string()),
        },
        Command::Reset => done(Value::Null, Some(Ending::Reset)),
        Command::Quit => done(Value::Null, Some(Ending::Quit)),
        Command::Status => match serde_json::to_value(status(shared, engine)) {
            Ok(status) => done(status, None),
            Err(error) => failed(request.id, &error.to_string()),
        },
    }
}

fn status(shared: &Shared, engine: &Engine) -> Status {
    let machine = match (shared.ending(), shared.is_paused()) {
        (Some(_), _) => "ended",
        (None, true) => "stopped",
        (None, false) => "running",
    };
    let (nanoseconds, cpus) = (shared.clock().now().0, shared.cpu_states());
    Status { machine, nanoseconds, cpus, counters: engine.stats() }
}
