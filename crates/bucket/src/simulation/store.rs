//! The bucket of the simulation, and the network between it and each node.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use bytes::Bytes;
use rand::{Rng, RngExt};
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep};

use super::network::{Network, lock};
use crate::objects::{Condition, Fault, FaultKind, Fetched, Listed, Objects, Unwritten, Version};

/// How long a node waits for an answer.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(10);

/// The objects, and all that ever were.
#[derive(Default)]
pub(crate) struct Store {
    objects: Mutex<BTreeMap<String, Bytes>>,
    history: Mutex<Vec<Event>>,
}

/// A write or a removal, as it was applied.
#[derive(Clone)]
pub(crate) struct Event {
    pub at: Instant,
    pub key: String,
    /// None: it was removed.
    pub bytes: Option<Bytes>,
}

impl Store {
    pub fn history(&self) -> Vec<Event> {
        lock(&self.history).clone()
    }

    pub fn object(&self, key: &str) -> Option<Bytes> {
        lock(&self.objects).get(key).cloned()
    }

    /// All objects.
    pub fn objects(&self) -> BTreeMap<String, Bytes> {
        lock(&self.objects).clone()
    }

    fn apply(&self, write: &Write) -> Result<Version, Unwritten> {
        let mut objects = lock(&self.objects);
        let now = objects.get(&write.key).map(tag);
        let holds = match &write.condition {
            Wanted::Anything => true,
            Wanted::Absent => now.is_none(),
            Wanted::Tag(tag) => now.as_ref() == Some(tag),
        };
        if !holds {
            return Err(Unwritten::Refused(fault("412")));
        }
        self.note(&write.key, Some(write.bytes.clone()));
        objects.insert(write.key.clone(), write.bytes.clone());
        Ok(version(&write.bytes))
    }

    fn remove(&self, key: &str) {
        if lock(&self.objects).remove(key).is_some() {
            self.note(key, None);
        }
    }

    fn note(&self, key: &str, bytes: Option<Bytes>) {
        lock(&self.history).push(Event {
            at: Instant::now(),
            key: key.to_owned(),
            bytes,
        });
    }
}

/// An ETag that is a hash of the content, as that of S3: equal bytes have equal tags.
fn tag(bytes: &Bytes) -> String {
    blake3::hash(bytes).to_hex()[..16].to_owned()
}

fn version(bytes: &Bytes) -> Version {
    Version {
        e_tag: Some(tag(bytes)),
        number: None,
    }
}

fn fault(text: &str) -> Fault {
    Fault {
        kind: FaultKind::Network,
        text: text.to_owned(),
    }
}

#[derive(Clone)]
struct Write {
    key: String,
    bytes: Bytes,
    condition: Wanted,
}

#[derive(Clone)]
enum Wanted {
    Anything,
    Absent,
    Tag(String),
}

/// What the network does with a write.
#[derive(Clone, Copy)]
enum Fate {
    Delivered,
    /// Applied, and the connection breaks.
    ReplyLost,
    /// Applied, and no answer comes.
    Silence,
    /// Applied after the node has given up, or not at all.
    Late(Duration),
    /// 503 or 409: not applied.
    Rejected,
    /// Applied twice; the answer is the second one.
    Echo,
}

/// The bucket as one node sees it.
pub(crate) struct Remote {
    pub store: Arc<Store>,
    pub network: Arc<Network>,
    pub node: usize,
    pub retries_writes: bool,
    pub is_plain: bool,
}

impl Remote {
    /// Waits until the node runs, and then for the way to the store; fails if it is cut off.
    async fn send(&self) -> Result<(), Fault> {
        self.network.running(self.node).await;
        if self.network.is_cut(self.node) || self.network.loses() {
            sleep(TIMEOUT).await;
            return Err(fault("no answer"));
        }
        sleep(self.delay()).await;
        Ok(())
    }

    /// The way back.
    async fn receive(&self) -> Result<(), Fault> {
        if self.network.is_cut(self.node) {
            sleep(TIMEOUT).await;
            return Err(fault("no answer"));
        }
        sleep(self.delay()).await;
        self.network.running(self.node).await;
        Ok(())
    }

    fn delay(&self) -> Duration {
        self.network
            .random(|random| Duration::from_millis(random.random_range(1..60)))
    }

    fn fate(&self) -> Fate {
        let faults = self.network.faults_per_mille();
        self.network.random(|random| {
            if random.random_range(0..1000) >= faults {
                return Fate::Delivered;
            }
            match random.random_range(0..6) {
                0 => Fate::ReplyLost,
                1 => Fate::Silence,
                2 | 3 => Fate::Late(Duration::from_millis(random.random_range(1..30_000))),
                4 => Fate::Rejected,
                _ => Fate::Echo,
            }
        })
    }

    async fn put_once(&self, write: &Write) -> Result<Version, Unwritten> {
        self.send().await.map_err(Unwritten::Unknown)?;
        let fate = self.fate();
        // What was sent arrives, whether its node is alive then or not.
        let (answer, answered) = oneshot::channel();
        let (store, late) = (Arc::clone(&self.store), write.clone());
        tokio::spawn(async move {
            match fate {
                Fate::Rejected => return,
                Fate::Late(delay) => sleep(delay).await,
                Fate::Echo => drop(store.apply(&late)),
                Fate::Delivered | Fate::ReplyLost | Fate::Silence => {}
            }
            let _ = answer.send(store.apply(&late));
        });
        match fate {
            Fate::Delivered | Fate::Echo => {
                let result = answered.await.map_err(|_| unknown())?;
                self.receive().await.map_err(Unwritten::Unknown)?;
                result
            }
            Fate::ReplyLost | Fate::Rejected => {
                sleep(self.delay()).await;
                self.network.running(self.node).await;
                Err(unknown())
            }
            Fate::Late(_) => {
                let waits = self.network.random(|random| random.random_range(0..2));
                sleep(TIMEOUT * waits).await;
                self.network.running(self.node).await;
                Err(unknown())
            }
            Fate::Silence => {
                sleep(TIMEOUT).await;
                self.network.running(self.node).await;
                Err(unknown())
            }
        }
    }
}

fn unknown() -> Unwritten {
    Unwritten::Unknown(fault("the connection broke"))
}

#[async_trait]
impl Objects for Remote {
    async fn get(&self, key: &str, unless: Option<&Version>) -> Result<Fetched, Fault> {
        self.send().await?;
        let object = self.store.object(key);
        self.receive().await?;
        Ok(match object {
            None => Fetched::Missing,
            Some(bytes) if unless == Some(&version(&bytes)) => Fetched::Unchanged,
            Some(bytes) => {
                let version = version(&bytes);
                Fetched::Found(bytes, version)
            }
        })
    }

    async fn peek(&self, key: &str, bytes: u64) -> Result<Option<Bytes>, Fault> {
        self.send().await?;
        let object = self.store.object(key);
        self.receive().await?;
        let most = usize::try_from(bytes).unwrap_or(usize::MAX);
        Ok(object.map(|object| object.slice(..object.len().min(most))))
    }

    async fn put(
        &self,
        key: &str,
        bytes: Bytes,
        condition: Condition<'_>,
    ) -> Result<Version, Unwritten> {
        let condition = match condition {
            _ if self.is_plain => Wanted::Anything,
            Condition::Absent => Wanted::Absent,
            Condition::Unchanged(version) => Wanted::Tag(version.e_tag.clone().unwrap_or_default()),
        };
        let write = Write {
            key: key.to_owned(),
            bytes,
            condition,
        };
        let mut result = self.put_once(&write).await;
        let mut retries = if self.retries_writes { 3 } else { 0 };
        while retries > 0 && matches!(result, Err(Unwritten::Unknown(_))) {
            retries -= 1;
            result = self.put_once(&write).await;
        }
        result
    }

    async fn list(
        &self,
        folder: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<Listed>, Fault> {
        self.send().await?;
        let listed = lock(&self.store.objects)
            .iter()
            .filter(|(key, _)| folder.is_empty() || key.starts_with(&format!("{folder}/")))
            .filter(|(key, _)| after.is_none_or(|after| key.as_str() > after))
            .take(limit)
            .map(|(key, bytes)| Listed {
                key: key.clone(),
                e_tag: Some(tag(bytes)),
                size: bytes.len() as u64,
                written: SystemTime::UNIX_EPOCH,
            })
            .collect();
        self.receive().await?;
        Ok(listed)
    }

    async fn delete(&self, key: &str) -> Result<(), Fault> {
        self.send().await?;
        let fate = self.fate();
        let (store, key) = (Arc::clone(&self.store), key.to_owned());
        match fate {
            Fate::Rejected => return Err(fault("503")),
            Fate::Late(delay) => {
                tokio::spawn(async move {
                    sleep(delay).await;
                    store.remove(&key);
                });
                return Err(fault("the connection broke"));
            }
            Fate::Delivered | Fate::ReplyLost | Fate::Silence | Fate::Echo => store.remove(&key),
        }
        match fate {
            Fate::ReplyLost | Fate::Silence => Err(fault("the connection broke")),
            Fate::Delivered | Fate::Rejected | Fate::Late(_) | Fate::Echo => self.receive().await,
        }
    }

    async fn upload(&self, _: &str, _: &Path) -> Result<(), Fault> {
        Err(fault("there are no files here"))
    }

    async fn download(&self, _: &str, _: &Path) -> Result<bool, Fault> {
        Err(fault("there are no files here"))
    }
}

/// Sixteen random bytes.
pub(crate) fn bytes(random: &mut impl Rng) -> [u8; 16] {
    let mut bytes = [0; 16];
    random.fill_bytes(&mut bytes);
    bytes
}
