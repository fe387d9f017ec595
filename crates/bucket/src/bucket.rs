//! The bucket: sessions and models.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::{FutureExt, StreamExt, TryStreamExt, future, stream};

use crate::envelope::{self, Envelope, Lease};
use crate::generations::Generations;
use crate::ids::{CommitId, Generation, Mark};
use crate::keys::{self, Kind};
use crate::objects::Listed;
use crate::outcome::{Commit, Create, Encode, Read, Seen, Unavailable};
use crate::protocol::{Found, IsAlive, Protocol, Stored};
use crate::watch::{NoWatch, Operation, Outcome, Watch};

/// How many requests a listing or a deletion makes at once.
pub(crate) const AT_ONCE: usize = 16;

/// No tombstone is larger, in bytes; a model of another generation, which is dead too, may be.
pub(crate) const LARGEST_TOMBSTONE: u64 = 2 << 10;

/// How many objects one page of a listing holds.
pub(crate) const PAGE: usize = 1000;

/// How the store is talked to.
#[derive(Clone)]
pub struct Options {
    /// How long a request may take; a large one gets a second more for each MiB.
    pub timeout: Duration,
    /// How often a read is repeated. A conditional write never is.
    pub read_retries: usize,
    /// Hears of each request.
    pub watch: Arc<dyn Watch>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            timeout: Duration::from_secs(10),
            read_retries: 4,
            watch: Arc::new(NoWatch),
        }
    }
}

/// An object store that holds the sessions, models and datasets of several nodes. A clone is the same bucket.
#[derive(Clone)]
pub struct Bucket {
    pub(crate) inner: Arc<Inner>,
}

impl fmt::Debug for Bucket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Bucket({})", self.describe())
    }
}

pub(crate) struct Inner {
    pub protocol: Protocol,
    description: String,
    /// The state of each session's object by its key and ETag, so that a listing reads only what has changed.
    known: Mutex<HashMap<String, (String, Known)>>,
    /// The generations of models, so that a sweep and a list look only at those that have changed.
    pub generations: Generations,
}

/// What a listing needs to know of a session's object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Known {
    Live {
        generation: Generation,
        /// In milliseconds since 1970.
        leased: u64,
        ttl: u64,
    },
    Tombstone {
        at: u64,
        sealed: Option<u64>,
    },
}

impl Bucket {
    pub(crate) fn new(protocol: Protocol, description: String) -> Self {
        Self {
            inner: Arc::new(Inner {
                protocol,
                description,
                known: Mutex::default(),
                generations: Generations::default(),
            }),
        }
    }

    /// The URL, without secrets.
    pub fn describe(&self) -> &str {
        &self.inner.description
    }

    pub(crate) fn protocol(&self) -> &Protocol {
        &self.inner.protocol
    }

    /// Reads a session, unless it is as it was last seen.
    pub async fn read_session(
        &self,
        session: &str,
        seen: Option<&Seen>,
    ) -> Result<Read, Unavailable> {
        let key = keys::session(session);
        let found = self.protocol().fetch(&key, version(seen)).await?;
        Ok(match found {
            Found::Unchanged => Read::Unchanged,
            Found::Missing => Read::Missing,
            Found::Stored(stored) => live(&stored, is_session),
        })
    }

    /// Creates a session, of a new generation.
    pub async fn create_session(&self, session: &str, record: &str, lease: Lease) -> Create {
        let always = || future::ready(Ok(true)).boxed();
        let new = |mark: &Mark| Ok(envelope::session(mark, record, lease));
        let generation = Generation::new((self.protocol().random)());
        let key = keys::session(session);
        self.protocol()
            .create(&key, generation, &new, &is_session, &always)
            .await
    }

    /// Writes a session's record and renews its lease.
    pub async fn commit_session(
        &self,
        session: &str,
        seen: &Seen,
        record: &str,
        lease: Lease,
    ) -> Commit {
        let new = |mark: &Mark| Ok(envelope::session(mark, record, lease));
        let key = keys::session(session);
        self.protocol().commit(&key, seen, &new).await
    }

    /// Deletes a session of this generation, and then its models and datasets; false if it was not there. If it was
    /// deleted before, its models and datasets are looked for again.
    pub async fn delete_session(
        &self,
        session: &str,
        generation: Generation,
    ) -> Result<bool, Unavailable> {
        let was_there = self
            .protocol()
            .delete(&keys::session(session), generation)
            .await?;
        self.delete_contents(session, generation).await?;
        Ok(was_there)
    }

    /// Deletes the models and datasets of a deleted session.
    async fn delete_contents(
        &self,
        session: &str,
        generation: Generation,
    ) -> Result<(), Unavailable> {
        let keys = self.keys_of(session).await?;
        let dead = keys.into_iter().filter(|key| {
            matches!(
                keys::parse(key),
                Some((_, Kind::Model(_) | Kind::Dataset(_)))
            )
        });
        stream::iter(dead)
            .map(|key| async move { self.protocol().delete(&key, generation).await })
            .buffer_unordered(AT_ONCE)
            .try_for_each(|_| async { Ok(()) })
            .await
    }

    /// Live sessions, in the order of their keys, from the first that follows `after`.
    pub async fn list_sessions(
        &self,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<String>, Unavailable> {
        let mut sessions = Vec::new();
        // '0' is the character that follows '/': all objects of the session are before it.
        let mut after = after.map(|session| format!("{}0", keys::folder(session)));
        while sessions.len() < limit {
            let (objects, next) = self.page("", after.as_deref()).await?;
            let found: Vec<Option<String>> = stream::iter(objects)
                .map(|object| self.live_session(object))
                .buffered(AT_ONCE)
                .try_collect()
                .await?;
            sessions.extend(found.into_iter().flatten());
            let Some(next) = next else { break };
            after = Some(next);
        }
        sessions.truncate(limit);
        Ok(sessions)
    }

    /// The id of a session's object if the session is alive.
    async fn live_session(&self, object: Listed) -> Result<Option<String>, Unavailable> {
        let Some((session, Kind::Session)) = keys::parse(&object.key) else {
            return Ok(None);
        };
        let known = self.known(&object.key, object.e_tag.as_deref()).await?;
        Ok(matches!(known, Some(Known::Live { .. })).then(|| session.to_owned()))
    }

    /// The state of a session's object, read again only if its ETag has changed.
    pub(crate) async fn known(
        &self,
        key: &str,
        e_tag: Option<&str>,
    ) -> Result<Option<Known>, Unavailable> {
        if let Some(e_tag) = e_tag {
            let known = self
                .inner
                .known
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            if let Some((last, known)) = known.get(key)
                && last == e_tag
            {
                return Ok(Some(*known));
            }
        }
        let found = self.protocol().fetch(key, None).await?;
        let mut known = self
            .inner
            .known
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let Found::Stored(stored) = found else {
            known.remove(key);
            return Ok(None);
        };
        let state = match &stored.envelope {
            Envelope::Session(session) => Known::Live {
                generation: session.mark.generation,
                leased: session.leased,
                ttl: session.ttl,
            },
            Envelope::Tombstone(tombstone) => Known::Tombstone {
                at: tombstone.tombstone,
                sealed: tombstone.sealed,
            },
            Envelope::Model(_) | Envelope::Dataset(_) => {
                return Err(Unavailable::content(
                    format!("read {key}"),
                    "it is no session's object",
                ));
            }
        };
        if let Some(e_tag) = stored.version.e_tag {
            known.insert(key.to_owned(), (e_tag, state));
        }
        Ok(Some(state))
    }

    /// Forgets what is known of a removed object.
    pub(crate) fn forget(&self, key: &str) {
        let mut known = self
            .inner
            .known
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        known.remove(key);
    }

    /// Reads a model of a session's generation, unless it is as it was last seen.
    pub async fn read_model(
        &self,
        session: &str,
        generation: Generation,
        model: &str,
        seen: Option<&Seen>,
    ) -> Result<Read, Unavailable> {
        let key = keys::model(session, model);
        let found = self.protocol().fetch(&key, version(seen)).await?;
        Ok(match found {
            Found::Unchanged => Read::Unchanged,
            Found::Missing => Read::Missing,
            Found::Stored(stored) => live(&stored, |stored| is_model(stored, generation)),
        })
    }

    /// Creates a model in a session of this generation.
    pub async fn create_model(
        &self,
        session: &str,
        generation: Generation,
        model: &str,
        new: &dyn Encode,
    ) -> Create {
        let key = keys::model(session, model);
        let is_alive = |stored: &Stored| is_model(stored, generation);
        self.create_inside(session, generation, &key, new, &is_alive)
            .await
    }

    /// Creates an object in a session, and then reads the session again: if it was deleted meanwhile, so is the object.
    pub(crate) async fn create_inside(
        &self,
        session: &str,
        generation: Generation,
        key: &str,
        new: &dyn Encode,
        is_alive: &IsAlive<'_>,
    ) -> Create {
        // What is of another generation is dead only if the session is of this one, read after it: of a later one it is
        // alive, and this node is behind.
        let may_replace = || self.is_current(session, generation).boxed();
        let created = self
            .protocol()
            .create(key, generation, new, is_alive, &may_replace)
            .await;
        let (Create::Created(_) | Create::Overtaken(_) | Create::Taken(_)) = &created else {
            return created;
        };
        match self.is_current(session, generation).await {
            Ok(true) => created,
            Ok(false) => match self.protocol().delete(key, generation).await {
                Ok(_) => Create::NoSession,
                Err(unavailable) => Create::Unknown(unavailable),
            },
            Err(unavailable) => Create::Unknown(unavailable),
        }
    }

    /// Whether the session is alive and of this generation.
    async fn is_current(&self, session: &str, generation: Generation) -> Result<bool, Unavailable> {
        let found = self.protocol().fetch(&keys::session(session), None).await?;
        Ok(match found {
            Found::Stored(stored) => is_session(&stored) && stored.generation() == generation,
            Found::Unchanged | Found::Missing => false,
        })
    }

    /// Writes a model.
    pub async fn commit_model(
        &self,
        session: &str,
        seen: &Seen,
        model: &str,
        new: &dyn Encode,
    ) -> Commit {
        let key = keys::model(session, model);
        self.protocol().commit(&key, seen, new).await
    }

    /// Deletes a model of this generation; false if there is none.
    pub async fn delete_model(
        &self,
        session: &str,
        generation: Generation,
        model: &str,
    ) -> Result<bool, Unavailable> {
        self.protocol()
            .delete(&keys::model(session, model), generation)
            .await
    }

    /// The ids of the models of a session of this generation.
    pub async fn list_models(
        &self,
        session: &str,
        generation: Generation,
    ) -> Result<Vec<String>, Unavailable> {
        let objects = self.objects_of(session).await?;
        let found: Vec<Option<String>> = stream::iter(objects)
            .map(|object| self.live_model(object, generation))
            .buffered(AT_ONCE)
            .try_collect()
            .await?;
        Ok(found.into_iter().flatten().collect())
    }

    /// The id of a model if it is alive. Of a large one the header is read, of one that has been asked about nothing.
    async fn live_model(
        &self,
        object: Listed,
        generation: Generation,
    ) -> Result<Option<String>, Unavailable> {
        let Some((_, Kind::Model(id))) = keys::parse(&object.key) else {
            return Ok(None);
        };
        if let Some(found) = self.listed_generation(&object).await? {
            return Ok((found == generation).then(|| id.to_owned()));
        }
        let Found::Stored(stored) = self.protocol().fetch(&object.key, None).await? else {
            return Ok(None);
        };
        let found = model_generation(&stored);
        if let Some(found) = found {
            let e_tag = stored.version.e_tag.as_deref();
            self.inner.generations.note(&object.key, e_tag, found);
        }
        Ok((found == Some(generation)).then(|| id.to_owned()))
    }

    /// The keys of all objects of a session.
    pub(crate) async fn keys_of(&self, session: &str) -> Result<Vec<String>, Unavailable> {
        let objects = self.objects_of(session).await?;
        Ok(objects.into_iter().map(|object| object.key).collect())
    }

    pub(crate) async fn objects_of(&self, session: &str) -> Result<Vec<Listed>, Unavailable> {
        let folder = keys::folder(session);
        let mut all = Vec::new();
        let mut after = None;
        loop {
            let (objects, next) = self.page(&folder, after.as_deref()).await?;
            all.extend(objects);
            let Some(next) = next else { return Ok(all) };
            after = Some(next);
        }
    }

    /// A page of a listing, and from where the next one begins.
    pub(crate) async fn page(
        &self,
        folder: &str,
        after: Option<&str>,
    ) -> Result<(Vec<Listed>, Option<String>), Unavailable> {
        let begun = tokio::time::Instant::now();
        let listed = self.protocol().objects.list(folder, after, PAGE).await;
        let outcome = match &listed {
            Ok(_) => Outcome::Done,
            Err(_) => Outcome::Failed,
        };
        self.protocol()
            .watch
            .request(Operation::List, begun.elapsed(), outcome);
        let objects = listed.map_err(|fault| {
            Unavailable::new(format!("list {}/{folder}", self.describe()), fault)
        })?;
        let next = objects.last().filter(|_| objects.len() == PAGE);
        let next = next.map(|object| object.key.clone());
        Ok((objects, next))
    }

    /// A new id.
    pub(crate) fn id(&self) -> CommitId {
        self.protocol().id()
    }
}

pub(crate) fn version(seen: Option<&Seen>) -> Option<&crate::objects::Version> {
    seen.map(|seen| &seen.version)
}

fn is_session(stored: &Stored) -> bool {
    matches!(stored.envelope, Envelope::Session(_))
}

fn is_model(stored: &Stored, generation: Generation) -> bool {
    model_generation(stored) == Some(generation)
}

fn model_generation(stored: &Stored) -> Option<Generation> {
    matches!(stored.envelope, Envelope::Model(_)).then(|| stored.generation())
}

pub(crate) fn live(stored: &Stored, is_alive: impl Fn(&Stored) -> bool) -> Read {
    match stored.object().filter(|_| is_alive(stored)) {
        Some(object) => Read::Found(object),
        None => Read::Missing,
    }
}
