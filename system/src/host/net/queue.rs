//! A bounded queue of frames between two threads. Frames travel in batches, contiguous bytes that
//! change hands as a whole: no allocation and no copy a frame, and one short lock a batch.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{Filled, Frame, Full, MAX_FRAME, Offload};

/// Bytes in a batch, unless its only frame is longer.
const BATCH_BYTES: usize = 256 << 10;
/// Frames in a batch.
const BATCH_FRAMES: usize = 1024;
/// Batches in a queue, so that it holds 2 MiB at most.
const BATCHES: usize = 8;

const _: () = assert!(MAX_FRAME <= BATCH_BYTES);

#[derive(Clone, Copy)]
struct Entry {
    /// Where the frame ends; it starts where the one before ends.
    end: usize,
    offload: Offload,
}

#[derive(Default)]
struct Batch {
    bytes: Vec<u8>,
    entries: Vec<Entry>,
    /// The first that has not been taken, and where it starts.
    next: usize,
    start: usize,
}

impl Batch {
    fn has_room(&self, len: usize) -> bool {
        self.bytes.len() + len <= BATCH_BYTES && self.entries.len() < BATCH_FRAMES
    }

    fn clear(&mut self) {
        self.bytes.clear();
        self.entries.clear();
        (self.next, self.start) = (0, 0);
    }

    fn first(&self) -> Option<Frame<'_>> {
        let entry = self.entries.get(self.next)?;
        let bytes = self.bytes.get(self.start..entry.end)?;
        Some(Frame { bytes, offload: entry.offload })
    }

    fn pop(&mut self) {
        if let Some(entry) = self.entries.get(self.next) {
            (self.next, self.start) = (self.next + 1, entry.end);
        }
    }
}

#[derive(Default)]
struct Shared {
    full: VecDeque<Batch>,
    free: Vec<Batch>,
    /// The sender was refused a batch since one was last given back.
    starved: bool,
}

fn lock(shared: &Mutex<Shared>) -> MutexGuard<'_, Shared> {
    // No code panics while it holds the lock, and the queue is consistent at each of its lines.
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A queue's two ends.
#[must_use]
pub fn queue() -> (Sender, Receiver) {
    let free = (0..BATCHES).map(|_| Batch::default()).collect();
    let shared = Arc::new(Mutex::new(Shared { free, ..Shared::default() }));
    let sender = Sender { shared: Arc::clone(&shared), current: None, untold: false };
    (sender, Receiver { shared, current: None })
}

/// Where frames go in.
pub struct Sender {
    shared: Arc<Mutex<Shared>>,
    current: Option<Batch>,
    /// Batches were published that nobody has been told of.
    untold: bool,
}

impl Sender {
    /// Appends a frame of `len` bytes, which `fill` gets as zeros and writes in place. `fill` returns
    /// what is left to do for the receiver. Nobody sees it before [`Sender::flush`].
    ///
    /// # Errors
    /// There is no room, and `fill` was not called.
    pub fn push(
        &mut self,
        len: usize,
        fill: impl FnOnce(&mut [u8]) -> (Filled, Offload),
    ) -> Result<(), Full> {
        if len > MAX_FRAME || len == 0 {
            return Ok(());
        }
        let batch = self.batch(len)?;
        let start = batch.bytes.len();
        batch.bytes.resize(start + len, 0);
        match fill(&mut batch.bytes[start..]) {
            (Filled::Complete, offload) => {
                batch.entries.push(Entry { end: start + len, offload });
            }
            (Filled::Abandoned, _) => batch.bytes.truncate(start),
        }
        Ok(())
    }

    /// Whether [`Sender::push`] takes a frame of any length now.
    #[must_use]
    pub fn has_room(&mut self) -> bool {
        self.batch(MAX_FRAME).is_ok()
    }

    /// Shows the receiver what was pushed. Says whether there was anything since the last time, so that
    /// the receiver is to be told.
    pub fn flush(&mut self) -> bool {
        self.publish();
        std::mem::take(&mut self.untold)
    }

    fn publish(&mut self) {
        let Some(batch) = self.current.take() else { return };
        let mut shared = lock(&self.shared);
        if batch.entries.is_empty() {
            shared.free.push(batch);
        } else {
            shared.full.push_back(batch);
            self.untold = true;
        }
    }

    /// A batch with room: the current one, the last that the receiver has not taken yet, or an empty
    /// one.
    fn batch(&mut self, len: usize) -> Result<&mut Batch, Full> {
        if self.current.as_ref().is_some_and(|batch| !batch.has_room(len)) {
            self.publish();
        }
        if self.current.is_none() {
            let mut shared = lock(&self.shared);
            let last = shared.full.pop_back_if(|batch| batch.has_room(len));
            self.current = last.or_else(|| shared.free.pop());
            shared.starved |= self.current.is_none();
        }
        self.current.as_mut().ok_or(Full)
    }
}

/// Where frames come out.
pub struct Receiver {
    shared: Arc<Mutex<Shared>>,
    current: Option<Batch>,
}

/// Whether a sender waits for room that there is now.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Waiting {
    /// It does: wake it.
    Sender,
    /// It does not.
    Nobody,
}

impl Receiver {
    /// The first frame that was not popped, of those that have been flushed.
    pub fn peek(&mut self) -> Option<Frame<'_>> {
        if self.current.is_none() {
            self.current = lock(&self.shared).full.pop_front();
        }
        self.current.as_ref()?.first()
    }

    /// Drops the frame that [`Receiver::peek`] shows.
    pub fn pop(&mut self) -> Waiting {
        let Some(mut batch) = self.current.take() else { return Waiting::Nobody };
        batch.pop();
        if batch.first().is_some() {
            self.current = Some(batch);
            return Waiting::Nobody;
        }
        batch.clear();
        let mut shared = lock(&self.shared);
        shared.free.push(batch);
        if std::mem::take(&mut shared.starved) { Waiting::Sender } else { Waiting::Nobody }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn push(sender: &mut Sender, len: usize, byte: u8) -> Result<(), Full> {
        sender.push(len, |bytes| {
            bytes.fill(byte);
            (Filled::Complete, Offload::default())
        })
    }

    #[test]
    fn frames_arrive_in_order_once_they_are_flushed() {
        let (mut sender, mut receiver) = queue();
        push(&mut sender, 60, 1).unwrap();
        assert_eq!(receiver.peek(), None);
        assert!(sender.flush());
        push(&mut sender, 70, 2).unwrap();
        assert!(sender.flush());
        assert!(!sender.flush());
        assert_eq!(receiver.peek().unwrap().bytes, [1; 60]);
        assert_eq!(receiver.pop(), Waiting::Nobody);
        assert_eq!(receiver.peek().unwrap().bytes, [2; 70]);
        assert_eq!(receiver.pop(), Waiting::Nobody);
        assert_eq!(receiver.peek(), None);
    }

    #[test]
    fn an_abandoned_frame_leaves_no_trace() {
        let (mut sender, mut receiver) = queue();
        sender.push(60, |_| (Filled::Abandoned, Offload::default())).unwrap();
        assert!(!sender.flush());
        push(&mut sender, 61, 3).unwrap();
        assert!(sender.flush());
        assert_eq!(receiver.peek().unwrap().bytes, [3; 61]);
    }

    #[test]
    fn a_full_queue_refuses_and_says_when_there_is_room() {
        let (mut sender, mut receiver) = queue();
        let mut frames = 0;
        while push(&mut sender, MAX_FRAME, 0).is_ok() {
            frames += 1;
            sender.flush();
        }
        assert_eq!(frames, BATCHES * (BATCH_BYTES / MAX_FRAME));
        let mut popped = 0;
        while receiver.peek().is_some() {
            popped += 1;
            if receiver.pop() == Waiting::Sender {
                break;
            }
        }
        assert_eq!(popped, BATCH_BYTES / MAX_FRAME);
        push(&mut sender, MAX_FRAME, 0).unwrap();
    }

    #[test]
    fn the_receiver_is_told_of_batches_that_were_published_on_the_way() {
        let (mut sender, _receiver) = queue();
        while push(&mut sender, MAX_FRAME, 0).is_ok() {}
        assert!(sender.flush());
        assert!(!sender.flush());
    }

    #[test]
    fn small_frames_share_batches() {
        let (mut sender, mut receiver) = queue();
        for _ in 0..BATCHES * BATCH_FRAMES {
            push(&mut sender, 60, 0).unwrap();
            sender.flush();
        }
        assert_eq!(push(&mut sender, 60, 0), Err(Full));
        let popped = std::iter::from_fn(|| receiver.peek().is_some().then(|| receiver.pop()));
        assert_eq!(popped.count(), BATCHES * BATCH_FRAMES);
    }
}
