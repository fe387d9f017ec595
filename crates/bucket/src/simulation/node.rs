//! A node as the host is: it keeps what it has read, trusts it for two seconds, and commits each step.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use tokio::sync::Mutex as Turn;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::calls::Told;
use super::network::lock;
use crate::bucket::Bucket;
use crate::envelope::{Lease, MARK_ENTRY};
use crate::ids::{Generation, Mark};
use crate::outcome::{Commit, Create, Encode, Read, Seen, Unavailable};

/// How long what was read is believed.
pub(crate) const TRUST: Duration = Duration::from_secs(2);

pub(crate) const TTL: Duration = Duration::from_secs(86_400);

/// What a node remembers of an object. Its steps are all that it is.
#[derive(Clone)]
struct Memory {
    seen: Seen,
    steps: Vec<u32>,
    /// When the request began that found it so.
    validated: Instant,
}

type Memories = BTreeMap<(String, String), Arc<Turn<Option<Memory>>>>;

pub(crate) struct Node {
    pub bucket: Bucket,
    memories: Mutex<Memories>,
    /// Calls at work; a crash ends them.
    pub tasks: Mutex<JoinSet<()>>,
}

/// The model of this name is larger than any tombstone, and the others are not.
pub(crate) const LARGE: &str = "n";

/// A model: its steps in order, and a digest of them as a lone server would have it.
pub(crate) fn model(name: &str, steps: &[u32]) -> impl Encode {
    let content = content(steps);
    let padding = if name == LARGE { 4000 } else { 0 };
    move |mark: &Mark| -> io::Result<Bytes> {
        let mark = serde_json::to_string(mark)?;
        let padding = "-".repeat(padding);
        let header = serde_json::json!({
            "__metadata__": { MARK_ENTRY: mark, "padding": padding },
        });
        let header = header.to_string();
        let length = (header.len() as u64).to_le_bytes();
        Ok([&length, header.as_bytes(), &content].concat().into())
    }
}

fn content(steps: &[u32]) -> Vec<u8> {
    let mut content = digest(steps).as_bytes().to_vec();
    content.extend(steps.iter().flat_map(|step| step.to_le_bytes()));
    content
}

/// What a lone server would have after these steps: each depends on the one before.
fn digest(steps: &[u32]) -> blake3::Hash {
    steps.iter().fold(blake3::hash(b"new"), |last, step| {
        blake3::Hasher::new()
            .update(last.as_bytes())
            .update(&step.to_le_bytes())
            .finalize()
    })
}

/// The steps of a model's object, and whether the digest is that of a lone server.
pub(crate) fn steps_of_model(bytes: &[u8]) -> Option<(Vec<u32>, bool)> {
    let length = usize::try_from(u64::from_le_bytes(*bytes.first_chunk()?)).ok()?;
    let content = bytes.get(8 + length..)?;
    let (found, steps) = content.split_first_chunk::<32>()?;
    let steps: Vec<u32> = steps
        .chunks_exact(4)
        .filter_map(|step| Some(u32::from_le_bytes(*step.first_chunk()?)))
        .collect();
    let is_right = digest(&steps) == blake3::Hash::from(*found);
    Some((steps, is_right))
}

fn record(steps: &[u32]) -> String {
    let steps: Vec<String> = steps.iter().map(u32::to_string).collect();
    steps.join(",")
}

pub(crate) fn steps_of_record(record: &str) -> Vec<u32> {
    record
        .split(',')
        .filter_map(|step| step.parse().ok())
        .collect()
}

impl Node {
    pub fn new(bucket: Bucket) -> Self {
        Self {
            bucket,
            memories: Mutex::default(),
            tasks: Mutex::default(),
        }
    }

    /// All that was in memory is gone, and what was at work ends. What was sent to the store is on its way.
    pub fn crash(&self) {
        lock(&self.tasks).abort_all();
        lock(&self.memories).clear();
    }

    fn now(&self) -> SystemTime {
        (self.bucket.protocol().clock)()
    }

    fn lease(&self) -> Lease {
        Lease {
            ttl: TTL,
            at: self.now(),
        }
    }

    fn memory(&self, session: &str, model: &str) -> Arc<Turn<Option<Memory>>> {
        let key = (session.to_owned(), model.to_owned());
        Arc::clone(lock(&self.memories).entry(key).or_default())
    }

    /// The session, believed or read. "" is the name of its own object.
    async fn session(&self, session: &str) -> Result<Option<Memory>, Unavailable> {
        let memory = self.memory(session, "");
        let mut memory = memory.lock().await;
        self.validate(&mut memory, session, None).await?;
        Ok(memory.clone())
    }

    /// Sees to it that what is remembered was true at most `TRUST` ago.
    async fn validate(
        &self,
        memory: &mut Option<Memory>,
        session: &str,
        model: Option<(&str, Generation)>,
    ) -> Result<(), Unavailable> {
        let begun = Instant::now();
        if let (Some(known), Some((_, generation))) = (&memory, model)
            && known.seen.mark.generation != generation
        {
            *memory = None;
        }
        if memory
            .as_ref()
            .is_some_and(|known| known.validated.elapsed() <= TRUST)
        {
            return Ok(());
        }
        let seen = memory.as_ref().map(|known| &known.seen);
        let read = match model {
            Some((model, generation)) => {
                self.bucket
                    .read_model(session, generation, model, seen)
                    .await?
            }
            None => self.bucket.read_session(session, seen).await?,
        };
        match read {
            Read::Unchanged => {
                if let Some(known) = memory {
                    known.validated = begun;
                }
            }
            Read::Missing => *memory = None,
            Read::Found(object) => {
                let steps = match model {
                    Some(_) => steps_of_model(&object.bytes).map(|(steps, _)| steps),
                    None => std::str::from_utf8(&object.bytes).ok().map(steps_of_record),
                };
                *memory = Some(Memory {
                    seen: object.seen,
                    steps: steps.unwrap_or_default(),
                    validated: begun,
                });
            }
        }
        Ok(())
    }

    pub async fn step(&self, session: &str, model: Option<&str>, id: u32) -> Told {
        let Ok(owner) = self.session(session).await else {
            return Told::NotDone;
        };
        let Some(owner) = owner else {
            return Told::NotFound;
        };
        let generation = owner.seen.mark.generation;
        let memory = self.memory(session, model.unwrap_or_default());
        let mut memory = memory.lock().await;
        let target = model.map(|model| (model, generation));
        if self.validate(&mut memory, session, target).await.is_err() {
            *memory = None;
            return Told::NotDone;
        }
        let Some(known) = memory.clone() else {
            return Told::NotFound;
        };
        if known.steps.contains(&id) {
            return Told::Done;
        }
        // What a cancelled call leaves behind is not remembered.
        *memory = None;
        let steps: Vec<u32> = known.steps.iter().copied().chain([id]).collect();
        let begun = Instant::now();
        let commit = match model {
            Some(name) => {
                let new = self::model(name, &steps);
                self.bucket
                    .commit_model(session, &known.seen, name, &new)
                    .await
            }
            None => {
                let new = record(&steps);
                self.bucket
                    .commit_session(session, &known.seen, &new, self.lease())
                    .await
            }
        };
        match commit {
            Commit::Stored(seen) => {
                *memory = Some(Memory {
                    seen,
                    steps,
                    validated: begun,
                });
                Told::Done
            }
            Commit::Overtaken => Told::Done,
            Commit::Moved => Told::NotDone,
            Commit::Unknown(_) => Told::Unclear,
        }
    }

    pub async fn read(&self, session: &str, model: &str) -> Option<Vec<u32>> {
        let owner = self.session(session).await.ok()??;
        let generation = owner.seen.mark.generation;
        let memory = self.memory(session, model);
        let mut memory = memory.lock().await;
        self.validate(&mut memory, session, Some((model, generation)))
            .await
            .ok()?;
        memory.as_ref().map(|known| known.steps.clone())
    }

    pub async fn create(&self, session: &str, model: Option<&str>) -> Told {
        let begun = Instant::now();
        let created = match model {
            None => self.bucket.create_session(session, "", self.lease()).await,
            Some(name) => match self.session(session).await {
                Ok(Some(owner)) => {
                    let generation = owner.seen.mark.generation;
                    let new = self::model(name, &[]);
                    self.bucket
                        .create_model(session, generation, name, &new)
                        .await
                }
                Ok(None) => return Told::NotFound,
                Err(_) => return Told::NotDone,
            },
        };
        match created {
            Create::Created(seen) => {
                let memory = self.memory(session, model.unwrap_or_default());
                *memory.lock().await = Some(Memory {
                    seen,
                    steps: Vec::new(),
                    validated: begun,
                });
                Told::Done
            }
            Create::Overtaken(_) => Told::Done,
            // Of another call: this one created nothing.
            Create::Taken(_) => Told::NotDone,
            Create::NoSession => {
                self.forget(session, "").await;
                Told::NotFound
            }
            Create::Unknown(_) => Told::Unclear,
        }
    }

    async fn forget(&self, session: &str, model: &str) {
        *self.memory(session, model).lock().await = None;
    }

    pub async fn delete(&self, session: &str, model: Option<&str>) -> Told {
        let Ok(owner) = self.session(session).await else {
            return Told::NotDone;
        };
        let Some(owner) = owner else {
            return Told::NotFound;
        };
        let generation = owner.seen.mark.generation;
        let deleted = match model {
            None => self.bucket.delete_session(session, generation).await,
            Some(model) => self.bucket.delete_model(session, generation, model).await,
        };
        self.forget(session, model.unwrap_or_default()).await;
        match deleted {
            Ok(true) => Told::Done,
            Ok(false) => Told::NotFound,
            Err(_) => Told::Unclear,
        }
    }

    pub async fn sweep(&self) {
        // What a sweep leaves, the next one does.
        let _ = self.bucket.sweep(self.now()).await;
    }
}
