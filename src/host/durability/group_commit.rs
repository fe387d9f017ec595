//! Group commit: commits that arrive while the disk is busy wait together and share one sync.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::store::{Record, SEGMENT_BYTES, Segment, Storage};

/// Most bytes in one group while more commits are waiting.
const GROUP_BYTES: usize = SEGMENT_BYTES / 4;

/// The queue and its writer thread. Its length is bounded by the number of runs.
#[derive(Debug)]
pub struct CommitQueue {
    /// `None` once the queue has ended.
    sender: Option<mpsc::Sender<PendingCommit>>,
    writer: Option<thread::JoinHandle<()>>,
    /// Whether the log may need checkpoints.
    is_used: AtomicBool,
    /// When the first commit was added to the current segment.
    since: Mutex<Option<Instant>>,
}

struct PendingCommit {
    record: Record,
    done: Box<dyn FnOnce(Option<Segment>) + Send>,
}

impl CommitQueue {
    /// A queue into this store's log; `None` if the operating system cannot start the thread.
    pub fn start(store: Arc<dyn Storage + Send + Sync>) -> Option<Self> {
        let (sender, receiver) = mpsc::channel();
        let writer = thread::Builder::new()
            .name("log".to_owned())
            .spawn(move || write(&*store, &receiver));
        Some(Self {
            sender: Some(sender),
            writer: Some(writer.ok()?),
            // Startup may have found a log.
            is_used: AtomicBool::new(true),
            since: Mutex::default(),
        })
    }

    /// Adds a commit and returns whether it is durable. If so, `noted` has been called, even if the caller has left;
    /// otherwise `noted` has been dropped.
    pub async fn add(&self, record: Record, noted: impl FnOnce(Segment) + Send + 'static) -> bool {
        let (reply, result) = oneshot::channel();
        let done = move |segment: Option<Segment>| {
            let is_durable = segment.is_some();
            segment.map(noted);
            // The caller may have left.
            let _ = reply.send(is_durable);
        };
        let done = Box::new(done);
        let sent = self
            .sender
            .as_ref()
            .is_some_and(|sender| sender.send(PendingCommit { record, done }).is_ok());
        if sent {
            self.is_used.store(true, Ordering::Relaxed);
            let mut since = self.since.lock().unwrap_or_else(PoisonError::into_inner);
            since.get_or_insert_with(Instant::now);
        }
        // A writer that panicked sends no reply.
        sent && result.await.unwrap_or(false)
    }

    /// Whether the log may need checkpoints; resets the flag until [`CommitQueue::note_log`] or the next commit.
    pub fn take_used(&self) -> bool {
        self.is_used.swap(false, Ordering::Relaxed)
    }

    /// Notes that there is a log.
    pub fn note_log(&self) {
        self.is_used.store(true, Ordering::Relaxed);
    }

    /// Whether the current segment is older than `age`. If so, the timer restarts, for the next segment.
    pub fn is_due(&self, age: Duration) -> bool {
        let mut since = self.since.lock().unwrap_or_else(PoisonError::into_inner);
        since.take_if(|since| since.elapsed() >= age).is_some()
    }
}

impl Drop for CommitQueue {
    fn drop(&mut self) {
        self.sender = None;
        // On return the folder is free for another process. A writer that panicked has ended, too.
        if let Some(writer) = self.writer.take() {
            let _ = writer.join();
        }
    }
}

fn write(store: &dyn Storage, receiver: &mpsc::Receiver<PendingCommit>) {
    while let Ok(first) = receiver.recv() {
        let mut bytes = first.record.bytes();
        let mut group = vec![first];
        while bytes < GROUP_BYTES
            && let Ok(next) = receiver.try_recv()
        {
            bytes += next.record.bytes();
            group.push(next);
        }
        let (mut records, mut callbacks) = (Vec::with_capacity(group.len()), Vec::new());
        for PendingCommit { record, done } in group {
            if store.has_model(&record.session, &record.model) {
                records.push(record);
                callbacks.push(done);
            } else {
                // A restart would ignore a log commit based on a file that no longer exists: write a new file.
                done(None);
            }
        }
        if records.is_empty() {
            continue;
        }
        let segment = store.log(&records);
        if let Err(error) = &segment {
            tracing::debug!(%error, "the log rejects commits; they go to the models' files");
        }
        for done in callbacks {
            done(segment.as_ref().ok().cloned());
        }
    }
}
