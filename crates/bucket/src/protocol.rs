//! Commit, create and delete of one object, so that a node that has lost may compute and cannot acknowledge.
//!
//! A store's answer to a conditional write is one of three. *Written*: done. *Refused*: the condition does not hold,
//! which may be the echo of this very write, sent twice on its way. *Unknown*: everything else, and the write may have
//! landed or may land yet. After the last two the object is read back, and tells by the ids of its last commits
//! whether the write landed. If it has not, and the object is as before, the write may still be on its way: the content
//! is then written again under a new id on the same condition. Either that lands, which is the commit, and the late write
//! finds its condition broken; or it does not, and the object is read again.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use tokio::time::Instant;

use crate::envelope::{self, Envelope};
use crate::ids::{COMMITS_KEPT, CommitId, Generation, Mark, Random};
use crate::objects::{Condition, Fault, FaultKind, Fetched, Objects, Unwritten, Version};
use crate::outcome::{Commit, Create, Encode, Object, Seen, Unavailable};
use crate::watch::{Operation, Outcome, Watch};

/// How many times an unclear write is read back.
const ATTEMPTS: u32 = 5;

/// The pause before the second attempt; it doubles with each.
const FIRST_PAUSE: Duration = Duration::from_millis(50);

/// The safeguards. All are on; the simulation turns each off to see that it is needed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Policy {
    /// How many commit ids an object carries.
    pub commits_kept: usize,
    /// Whether each commit has an id. Without, a write is recognized by its bytes.
    pub has_commit_ids: bool,
    /// Whether an unclear write is read back.
    pub reads_back: bool,
    /// Whether a refused write is read back as well.
    pub doubts_refusals: bool,
    /// Whether a history with a gap leaves a commit unclear, rather than lost.
    pub doubts_gaps: bool,
}

impl Policy {
    pub const SAFE: Self = Self {
        commits_kept: COMMITS_KEPT,
        has_commit_ids: true,
        reads_back: true,
        doubts_refusals: true,
        doubts_gaps: true,
    };
}

/// The protocol over a store, with its sources of time and randomness.
#[derive(Clone)]
pub(crate) struct Protocol {
    pub objects: Arc<dyn Objects>,
    pub random: Random,
    pub clock: Arc<dyn Fn() -> SystemTime + Send + Sync>,
    pub watch: Arc<dyn Watch>,
    pub policy: Policy,
}

/// An object as it is in the store, dead or alive.
pub(crate) struct Stored {
    pub envelope: Envelope,
    pub bytes: Bytes,
    pub version: Version,
}

impl Stored {
    pub fn seen(&self) -> Seen {
        Seen {
            version: self.version.clone(),
            mark: self.envelope.mark().clone(),
        }
    }

    pub fn generation(&self) -> Generation {
        self.envelope.mark().generation
    }

    /// What a caller sees of it, if it is alive.
    pub fn object(&self) -> Option<Object> {
        let bytes = match &self.envelope {
            Envelope::Session(session) => Bytes::copy_from_slice(session.record.as_bytes()),
            Envelope::Model(_) | Envelope::Dataset(_) => self.bytes.clone(),
            Envelope::Tombstone(_) => return None,
        };
        let lease = match &self.envelope {
            Envelope::Session(session) => Some(session.lease()),
            Envelope::Model(_) | Envelope::Dataset(_) | Envelope::Tombstone(_) => None,
        };
        Some(Object {
            bytes,
            lease,
            seen: self.seen(),
        })
    }
}

/// What a read found.
pub(crate) enum Found {
    Unchanged,
    Stored(Stored),
    Missing,
}

/// Whether an object is one that stays.
pub(crate) type IsAlive<'a> = dyn Fn(&Stored) -> bool + Send + Sync + 'a;

/// Asks whether a dead object may be written over.
pub(crate) type MayReplace<'a> =
    dyn Fn() -> BoxFuture<'a, Result<bool, Unavailable>> + Send + Sync + 'a;

/// A write that was sent.
struct Attempt {
    id: CommitId,
    bytes: Bytes,
}

/// Where an attempt is in the history of an object.
#[derive(PartialEq, Eq)]
enum Standing {
    /// The object is as the attempt wrote it.
    Newest,
    /// It landed, and others have written since.
    Below,
    /// It is not among the last commits.
    Absent,
}

impl Protocol {
    pub fn id(&self) -> CommitId {
        CommitId::new((self.random)())
    }

    pub fn next_mark(&self, mark: &Mark, id: CommitId) -> Mark {
        match self.policy.has_commit_ids {
            true => mark.followed_by(id, self.policy.commits_kept),
            false => mark.clone(),
        }
    }

    /// Reads an object, unless it is of the version at hand.
    pub async fn fetch(&self, key: &str, unless: Option<&Version>) -> Result<Found, Unavailable> {
        let begun = Instant::now();
        let fetched = self.objects.get(key, unless).await;
        let outcome = match &fetched {
            Ok(Fetched::Found(..)) => Outcome::Done,
            Ok(Fetched::Unchanged) => Outcome::Unchanged,
            Ok(Fetched::Missing) => Outcome::Missing,
            Err(_) => Outcome::Failed,
        };
        self.watch.request(Operation::Get, begun.elapsed(), outcome);
        let what = || format!("read {key}");
        match fetched.map_err(|fault| Unavailable::new(what(), fault))? {
            Fetched::Unchanged => Ok(Found::Unchanged),
            Fetched::Missing => Ok(Found::Missing),
            Fetched::Found(bytes, version) => {
                let envelope =
                    envelope::open(&bytes).map_err(|text| Unavailable::content(what(), text))?;
                Ok(Found::Stored(Stored {
                    envelope,
                    bytes,
                    version,
                }))
            }
        }
    }

    /// Writes an object on a condition, once.
    pub async fn put(
        &self,
        key: &str,
        bytes: Bytes,
        condition: Condition<'_>,
    ) -> Result<Version, Unwritten> {
        let begun = Instant::now();
        let put = self.objects.put(key, bytes, condition).await;
        let outcome = match &put {
            Ok(_) => Outcome::Done,
            Err(Unwritten::Refused(_)) => Outcome::Refused,
            Err(Unwritten::Unknown(_)) => Outcome::Failed,
        };
        self.watch.request(Operation::Put, begun.elapsed(), outcome);
        put
    }

    /// Writes `new` over the object as it was last seen.
    pub async fn commit(&self, key: &str, seen: &Seen, new: &dyn Encode) -> Commit {
        let mut sent: Vec<Attempt> = Vec::new();
        let mut version = seen.version.clone();
        let mut fault = None;
        for round in 0..ATTEMPTS {
            let id = self.id();
            let mark = self.next_mark(&seen.mark, id);
            let bytes = match new.encode(&mark).await {
                Ok(bytes) => bytes,
                Err(error) => return Commit::Unknown(cannot_encode(key, &error)),
            };
            sent.push(Attempt {
                id,
                bytes: bytes.clone(),
            });
            match self.put(key, bytes, Condition::Unchanged(&version)).await {
                Ok(version) => return Commit::Stored(Seen { version, mark }),
                Err(Unwritten::Refused(_)) if !self.policy.doubts_refusals => return Commit::Moved,
                Err(_) if !self.policy.reads_back => return Commit::Moved,
                Err(Unwritten::Refused(next) | Unwritten::Unknown(next)) => fault = Some(next),
            }
            // A refusal usually means that another node has written, which needs no pause to be read.
            pause(round).await;
            version = match self.fetch(key, Some(&seen.version)).await {
                Err(unavailable) => return Commit::Unknown(unavailable),
                Ok(Found::Missing) => return Commit::Moved,
                Ok(Found::Unchanged) => seen.version.clone(),
                Ok(Found::Stored(stored)) if self.is_as_seen(&stored, seen) => stored.version,
                Ok(Found::Stored(stored)) => return self.judge(key, seen, &sent, &stored),
            };
        }
        let fault = fault.unwrap_or_else(busy);
        Commit::Unknown(Unavailable::new(format!("write {key}"), fault))
    }

    /// What has become of a commit, from an object that is no longer as it was seen.
    fn judge(&self, key: &str, seen: &Seen, sent: &[Attempt], stored: &Stored) -> Commit {
        let standings: Vec<Standing> = { sent.iter() }
            .map(|attempt| self.standing(attempt, stored))
            .collect();
        if standings.contains(&Standing::Newest) {
            return Commit::Stored(stored.seen());
        }
        if standings.contains(&Standing::Below) {
            return Commit::Overtaken;
        }
        // What follows the version on which the commit depended is here, and the commit is not in it.
        let commits = &stored.envelope.mark().commits;
        let is_complete = commits.len() < self.policy.commits_kept
            || seen
                .mark
                .newest()
                .is_some_and(|newest| commits.contains(&newest));
        if is_complete || !self.policy.doubts_gaps {
            return Commit::Moved;
        }
        Commit::Unknown(Unavailable::content(
            format!("read back {key}"),
            format!(
                "other nodes have committed more than {} times since",
                self.policy.commits_kept
            ),
        ))
    }

    /// Whether the object is the one that was seen, even if the reply names another version.
    fn is_as_seen(&self, stored: &Stored, seen: &Seen) -> bool {
        self.policy.has_commit_ids && stored.envelope.mark().newest() == seen.mark.newest()
    }

    fn standing(&self, attempt: &Attempt, stored: &Stored) -> Standing {
        let mark = stored.envelope.mark();
        if !self.policy.has_commit_ids {
            return match stored.bytes == attempt.bytes {
                true => Standing::Newest,
                false => Standing::Absent,
            };
        }
        if mark.newest() == Some(attempt.id) {
            Standing::Newest
        } else if mark.commits.contains(&attempt.id) {
            Standing::Below
        } else {
            Standing::Absent
        }
    }

    /// Creates an object of this generation. `is_alive` tells whether what is there already is one that stays;
    /// `may_replace` is asked before a dead object is written over.
    pub async fn create(
        &self,
        key: &str,
        generation: Generation,
        new: &dyn Encode,
        is_alive: &IsAlive<'_>,
        may_replace: &MayReplace<'_>,
    ) -> Create {
        let mut base: Option<Seen> = None;
        let mut sent: Vec<Attempt> = Vec::new();
        let mut fault = None;
        for round in 0..ATTEMPTS {
            // A refusal usually means that the object exists, which needs no pause to be read.
            pause(round.saturating_sub(1)).await;
            let id = self.id();
            let before = base.as_ref().map_or(&[][..], |seen| &seen.mark.commits);
            let mark = self.next_mark(
                &Mark {
                    generation,
                    commits: before.to_vec(),
                },
                id,
            );
            let bytes = match new.encode(&mark).await {
                Ok(bytes) => bytes,
                Err(error) => return Create::Unknown(cannot_encode(key, &error)),
            };
            sent.push(Attempt {
                id,
                bytes: bytes.clone(),
            });
            let condition = base.as_ref().map_or(Condition::Absent, |seen| {
                Condition::Unchanged(&seen.version)
            });
            match self.put(key, bytes, condition).await {
                Ok(version) => return Create::Created(Seen { version, mark }),
                Err(Unwritten::Refused(next) | Unwritten::Unknown(next)) => fault = Some(next),
            }
            let stored = match self.fetch(key, None).await {
                Err(unavailable) => return Create::Unknown(unavailable),
                Ok(Found::Missing | Found::Unchanged) => {
                    base = None;
                    continue;
                }
                Ok(Found::Stored(stored)) => stored,
            };
            if let Some(ended) = self.judge_creation(key, &sent, &stored, is_alive) {
                return ended;
            }
            match may_replace().await {
                Ok(true) => base = Some(stored.seen()),
                Ok(false) => return Create::NoSession,
                Err(unavailable) => return Create::Unknown(unavailable),
            }
        }
        let fault = fault.unwrap_or_else(busy);
        Create::Unknown(Unavailable::new(format!("create {key}"), fault))
    }

    /// What has become of a creation; none if what is there is dead and may be replaced.
    fn judge_creation(
        &self,
        key: &str,
        sent: &[Attempt],
        stored: &Stored,
        is_alive: &IsAlive<'_>,
    ) -> Option<Create> {
        let standings: Vec<Standing> = sent
            .iter()
            .map(|attempt| self.standing(attempt, stored))
            .collect();
        let is_ours = self.policy.doubts_refusals
            && standings
                .iter()
                .any(|standing| *standing != Standing::Absent);
        let object = stored.object().filter(|_| is_alive(stored));
        match (object, is_ours) {
            (Some(object), true) if standings.contains(&Standing::Newest) => {
                Some(Create::Created(object.seen))
            }
            (Some(object), true) => Some(Create::Overtaken(object)),
            (Some(object), false) => Some(Create::Taken(object)),
            (None, true) => Some(Create::Unknown(Unavailable::content(
                format!("create {key}"),
                "it was created, and deleted by another call before the answer arrived",
            ))),
            (None, false) => match &stored.envelope {
                Envelope::Tombstone(tombstone) if tombstone.sealed.is_some() => {
                    Some(Create::Unknown(Unavailable::content(
                        format!("create {key}"),
                        "a deleted object of this name is being removed; try again in a minute, or use another name",
                    )))
                }
                Envelope::Tombstone(_)
                | Envelope::Session(_)
                | Envelope::Model(_)
                | Envelope::Dataset(_) => None,
            },
        }
    }

    /// Writes a tombstone over an object of this generation; false if there is none. It may be called again.
    pub async fn delete(&self, key: &str, generation: Generation) -> Result<bool, Unavailable> {
        let mut sent: Vec<Attempt> = Vec::new();
        let mut fault = None;
        // A busy object changes between the read and the write many times.
        for round in 0..3 * ATTEMPTS {
            pause(round / 3).await;
            let stored = match self.fetch(key, None).await? {
                Found::Stored(stored) => stored,
                Found::Missing | Found::Unchanged => return Ok(!sent.is_empty()),
            };
            let has_landed = sent
                .iter()
                .any(|attempt| self.standing(attempt, &stored) != Standing::Absent);
            let is_dead = matches!(stored.envelope, Envelope::Tombstone(_));
            if has_landed || is_dead || stored.generation() != generation {
                return Ok(has_landed);
            }
            let id = self.id();
            let mark = self.next_mark(stored.envelope.mark(), id);
            let bytes = envelope::tombstone(&mark, envelope::millis((self.clock)()), None);
            sent.push(Attempt {
                id,
                bytes: bytes.clone(),
            });
            let condition = Condition::Unchanged(&stored.version);
            match self.put(key, bytes, condition).await {
                Ok(_) => return Ok(true),
                Err(Unwritten::Refused(next) | Unwritten::Unknown(next)) => fault = Some(next),
            }
        }
        let fault = fault.unwrap_or_else(busy);
        Err(Unavailable::new(format!("delete {key}"), fault))
    }
}

fn busy() -> Fault {
    Fault {
        kind: FaultKind::Busy,
        text: "other nodes write it all the time".to_owned(),
    }
}

fn cannot_encode(key: &str, error: &std::io::Error) -> Unavailable {
    Unavailable::content(format!("encode {key}"), error.to_string())
}

/// Waits before an attempt, not before the first.
async fn pause(round: u32) {
    if let Some(doublings) = round.checked_sub(1) {
        tokio::time::sleep(FIRST_PAUSE * 2_u32.pow(doublings.min(8))).await;
    }
}
