//! The way into the log: commits that come while the disk is busy with others wait for it together, and share one sync.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::store::{Record, SEGMENT_BYTES, Segment, Storage};

/// What goes to the disk at once, in bytes, as long as more has gathered.
const GROUP_BYTES: usize = SEGMENT_BYTES / 4;

/// The queue, and the thread at its end. No more can wait in it than there are runs.
#[derive(Debug)]
pub struct CommitQueue {
    /// There until the queue ends.
    sender: Option<mpsc::Sender<Waiting>>,
    writer: Option<thread::JoinHandle<()>>,
    /// Whether there may be a log to be looked after.
    is_used: AtomicBool,
    /// When the first commit was added to the segment that is being written.
    since: Mutex<Option<Instant>>,
}

struct Waiting {
    record: Record,
    done: Box<dyn FnOnce(Option<Segment>) + Send>,
}

impl CommitQueue {
    /// A queue into the log of this store; none where the system starts no more threads.
    pub fn start(store: Arc<dyn Storage + Send + Sync>) -> Option<Self> {
        let (sender, receiver) = mpsc::channel();
        let writer = thread::Builder::new()
            .name("log".to_owned())
            .spawn(move || write(&*store, &receiver));
        Some(Self {
            sender: Some(sender),
            writer: Some(writer.ok()?),
            // A start may have found one.
            is_used: AtomicBool::new(true),
            since: Mutex::default(),
        })
    }

    /// Adds a commit, and tells whether it is durable. Then `noted` has been called, whether anybody waits or not; where
    /// it is not, `noted` has been dropped.
    pub async fn add(&self, record: Record, noted: impl FnOnce(Segment) + Send + 'static) -> bool {
        let (told, heard) = oneshot::channel();
        let done = move |segment: Option<Segment>| {
            let is_durable = segment.is_some();
            segment.map(noted);
            // Whoever has left meanwhile need not know.
            let _ = told.send(is_durable);
        };
        let done = Box::new(done);
        let sent = self
            .sender
            .as_ref()
            .is_some_and(|sender| sender.send(Waiting { record, done }).is_ok());
        if sent {
            self.is_used.store(true, Ordering::Relaxed);
            let mut since = self.since.lock().unwrap_or_else(PoisonError::into_inner);
            since.get_or_insert_with(Instant::now);
        }
        // A writer that has panicked answers nobody.
        sent && heard.await.unwrap_or(false)
    }

    /// Whether there may be a log to be looked after. Not again until [`CommitQueue::note_log`] or the next commit.
    pub fn take_used(&self) -> bool {
        self.is_used.swap(false, Ordering::Relaxed)
    }

    /// Notes that there is a log.
    pub fn note_log(&self) {
        self.is_used.store(true, Ordering::Relaxed);
    }

    /// Whether the segment that is being written is this old. Then another one begins.
    pub fn is_due(&self, age: Duration) -> bool {
        let mut since = self.since.lock().unwrap_or_else(PoisonError::into_inner);
        since.take_if(|since| since.elapsed() >= age).is_some()
    }
}

impl Drop for CommitQueue {
    fn drop(&mut self) {
        self.sender = None;
        // The folder is free for another process when this returns. A writer that has panicked is gone, too.
        if let Some(writer) = self.writer.take() {
            let _ = writer.join();
        }
    }
}

fn write(store: &dyn Storage, receiver: &mpsc::Receiver<Waiting>) {
    while let Ok(first) = receiver.recv() {
        let mut bytes = first.record.bytes();
        let mut group = vec![first];
        while bytes < GROUP_BYTES
            && let Ok(next) = receiver.try_recv()
        {
            bytes += next.record.bytes();
            group.push(next);
        }
        let (mut records, mut told) = (Vec::with_capacity(group.len()), Vec::new());
        for Waiting { record, done } in group {
            if store.has_model(&record.session, &record.model) {
                records.push(record);
                told.push(done);
            } else {
                // A commit after a file that is gone is void after a restart: it goes into a new file.
                done(None);
            }
        }
        if records.is_empty() {
            continue;
        }
        let segment = store.log(&records);
        if let Err(error) = &segment {
            tracing::debug!(%error, "the log takes no commit; files do");
        }
        for done in told {
            done(segment.as_ref().ok().cloned());
        }
    }
}
