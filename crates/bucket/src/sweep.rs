//! The sweeper: it deletes sessions whose lease has run out, and removes what was deleted a day ago.
//!
//! The removal of an object has no condition, so a new object in the place of a tombstone could be hit by it. A
//! tombstone is therefore sealed first, by a conditional write: in the place of a sealed one nothing is created until
//! it is gone, and only the sweeper that sealed it removes it. A removal whose answer was lost may still be on its way;
//! it is sent again after a day.

use std::time::{Duration, SystemTime};

use futures_util::{StreamExt, TryStreamExt, stream};
use tokio::time::Instant;

use crate::bucket::{Bucket, Known};
use crate::envelope::{self, Envelope};
use crate::ids::Generation;
use crate::keys::{self, Kind};
use crate::objects::{Condition, FaultKind, Listed};
use crate::outcome::Unavailable;
use crate::protocol::Found;
use crate::watch::Operation;

/// How long a tombstone stays.
const TOMBSTONE_STAYS: Duration = Duration::from_secs(86_400);

/// How many sessions are swept at once.
const AT_ONCE: usize = 8;

/// What a sweep did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Swept {
    /// Live sessions that it saw.
    pub sessions: usize,
    /// Sessions that it deleted, because their lease had run out.
    pub expired: usize,
    /// Objects that it removed.
    pub removed: usize,
    /// Sessions with an object that this program has not written, or not in this version: their objects are left alone.
    pub unreadable: usize,
}

/// What a look at a model tells.
enum Look {
    /// It is of this life of its session, or too young to tell.
    Alive,
    /// It is of this generation, which is another one.
    Dead(Generation),
    /// It has to be read.
    Unknown,
}

impl std::ops::AddAssign for Swept {
    fn add_assign(&mut self, other: Self) {
        self.sessions += other.sessions;
        self.expired += other.expired;
        self.removed += other.removed;
        self.unreadable += other.unreadable;
    }
}

impl Bucket {
    /// Sweeps all sessions. Any node may do so at any time; several at once do no harm.
    pub async fn sweep(&self, now: SystemTime) -> Result<Swept, Unavailable> {
        let now = envelope::millis(now);
        self.inner.generations.begin_sweep();
        let mut swept = Swept::default();
        let mut after = None;
        // The objects of one session, which are one after the other, and may go on in the next page.
        let mut folder: Vec<Listed> = Vec::new();
        loop {
            let (objects, next) = self.page("", after.as_deref()).await?;
            let mut folders = Vec::new();
            for object in objects {
                let Some((session, _)) = keys::parse(&object.key) else {
                    continue;
                };
                if folder.first().is_some_and(|first| !is_of(first, session)) {
                    folders.push(std::mem::take(&mut folder));
                }
                folder.push(object);
            }
            if next.is_none() {
                folders.push(std::mem::take(&mut folder));
            }
            swept += stream::iter(folders)
                .map(|objects| self.sweep_readable(objects, now))
                .buffer_unordered(AT_ONCE)
                .try_fold(Swept::default(), |mut sum, swept| async move {
                    sum += swept;
                    Ok(sum)
                })
                .await?;
            let Some(next) = next else { return Ok(swept) };
            after = Some(next);
        }
    }

    /// Sweeps a session. One whose objects cannot be read keeps none of the others from being swept.
    async fn sweep_readable(&self, objects: Vec<Listed>, now: u64) -> Result<Swept, Unavailable> {
        match self.sweep_session(objects, now).await {
            Err(unavailable) if unavailable.kind() == FaultKind::Content => Ok(Swept {
                unreadable: 1,
                ..Swept::default()
            }),
            swept => swept,
        }
    }

    async fn sweep_session(&self, objects: Vec<Listed>, now: u64) -> Result<Swept, Unavailable> {
        let mut swept = Swept::default();
        let Some((session, _)) = objects.first().and_then(|object| keys::parse(&object.key)) else {
            return Ok(swept);
        };
        let own = keys::session(session);
        let listed = objects.iter().find(|object| object.key == own);
        let known = match listed {
            Some(object) => self.known(&own, object.e_tag.as_deref()).await?,
            None => None,
        };
        match known {
            Some(Known::Live {
                generation,
                leased,
                ttl,
            }) => {
                if has_run_out(leased, ttl, now) {
                    // What it leaves is removed by a later sweep.
                    swept.expired += usize::from(self.expire(session, generation, now).await?);
                    return Ok(swept);
                }
                swept.sessions += 1;
                let live = Some(generation);
                swept.removed += self.sweep_contents(session, &objects, now, live).await?;
            }
            Some(Known::Tombstone { at, .. }) => {
                swept.removed += self.sweep_contents(session, &objects, now, None).await?;
                let is_last = objects.iter().all(|object| object.key == own);
                if is_last && is_old(at, now) {
                    swept.removed += usize::from(self.remove(&own, now).await?);
                }
            }
            None => swept.removed += self.sweep_contents(session, &objects, now, None).await?,
        }
        Ok(swept)
    }

    /// Deletes a session if its lease has run out, read anew: what was listed may be old.
    async fn expire(
        &self,
        session: &str,
        generation: Generation,
        now: u64,
    ) -> Result<bool, Unavailable> {
        let key = keys::session(session);
        let Found::Stored(stored) = self.protocol().fetch(&key, None).await? else {
            return Ok(false);
        };
        let Envelope::Session(object) = &stored.envelope else {
            return Ok(false);
        };
        let is_due = has_run_out(object.leased, object.ttl, now);
        if !is_due || stored.generation() != generation {
            return Ok(false);
        }
        let mark = self.protocol().next_mark(&object.mark, self.id());
        let grave = envelope::tombstone(&mark, now, None);
        let condition = Condition::Unchanged(&stored.version);
        if self.protocol().put(&key, grave, condition).await.is_err() {
            // Renewed meanwhile, or unclear: the next sweep tells.
            return Ok(false);
        }
        self.delete_session(session, generation).await?;
        Ok(true)
    }

    /// Deletes the models and datasets of another life of the session than the one that is `live`, and removes what was
    /// deleted a day ago.
    async fn sweep_contents(
        &self,
        session: &str,
        objects: &[Listed],
        now: u64,
        live: Option<Generation>,
    ) -> Result<usize, Unavailable> {
        let mut removed = 0;
        let mut contents_in_use = Vec::new();
        for object in objects {
            match keys::parse(&object.key) {
                Some((_, Kind::Session | Kind::Content(_))) | None => continue,
                Some((_, Kind::Model(_))) => match self.look_at_model(object, now, live).await? {
                    Look::Alive => continue,
                    Look::Dead(generation) => {
                        self.delete_dead(session, &object.key, generation).await?;
                        continue;
                    }
                    Look::Unknown => {}
                },
                Some((_, Kind::Dataset(_))) => {}
            }
            let Found::Stored(stored) = self.protocol().fetch(&object.key, None).await? else {
                continue;
            };
            let generation = stored.generation();
            match &stored.envelope {
                Envelope::Tombstone(tombstone) if is_old(tombstone.tombstone, now) => {
                    removed += usize::from(self.remove(&object.key, now).await?);
                }
                Envelope::Tombstone(_) | Envelope::Session(_) => {}
                Envelope::Model(_) if live == Some(generation) => {
                    let e_tag = stored.version.e_tag.as_deref();
                    let generations = &self.inner.generations;
                    generations.note(&object.key, e_tag, generation);
                }
                Envelope::Model(_) => self.delete_dead(session, &object.key, generation).await?,
                Envelope::Dataset(dataset) => {
                    // That of a dead one goes when its name is a tombstone.
                    contents_in_use.push(dataset.content.clone());
                    if live != Some(generation) {
                        self.delete_dead(session, &object.key, generation).await?;
                    }
                }
            }
        }
        for object in objects {
            let is_content = matches!(keys::parse(&object.key), Some((_, Kind::Content(_))));
            let is_used = contents_in_use.contains(&object.key);
            if is_content && !is_used && is_old(envelope::millis(object.written), now) {
                removed += usize::from(self.delete_object(&object.key).await);
            }
        }
        Ok(removed)
    }

    /// What can be told of a model without reading all of it.
    async fn look_at_model(
        &self,
        object: &Listed,
        now: u64,
        live: Option<Generation>,
    ) -> Result<Look, Unavailable> {
        let Some(live) = live else {
            return Ok(Look::Unknown);
        };
        // A model in use is written again and again; what is dead grows old, and is found then.
        if !is_old(envelope::millis(object.written), now) {
            return Ok(Look::Alive);
        }
        let Some(found) = self.listed_generation(object).await? else {
            return Ok(Look::Unknown);
        };
        Ok(if found == live {
            Look::Alive
        } else {
            Look::Dead(found)
        })
    }

    /// Deletes an object whose session is dead. The session is read after it, so that an object of a session that was
    /// created meanwhile is left alone: a generation that has passed does not come back.
    async fn delete_dead(
        &self,
        session: &str,
        key: &str,
        generation: Generation,
    ) -> Result<(), Unavailable> {
        let found = self.protocol().fetch(&keys::session(session), None).await?;
        let is_current = match &found {
            Found::Stored(owner) => {
                matches!(owner.envelope, Envelope::Session(_)) && owner.generation() == generation
            }
            Found::Missing | Found::Unchanged => false,
        };
        if !is_current {
            self.protocol().delete(key, generation).await?;
        }
        Ok(())
    }

    /// Removes an old tombstone, if it can be sealed.
    async fn remove(&self, key: &str, now: u64) -> Result<bool, Unavailable> {
        let Found::Stored(stored) = self.protocol().fetch(key, None).await? else {
            return Ok(false);
        };
        let Envelope::Tombstone(tombstone) = &stored.envelope else {
            return Ok(false);
        };
        let is_due = is_old(tombstone.tombstone, now)
            && tombstone.sealed.is_none_or(|sealed| is_old(sealed, now));
        if !is_due {
            return Ok(false);
        }
        let mark = self.protocol().next_mark(&tombstone.mark, self.id());
        let grave = envelope::tombstone(&mark, tombstone.tombstone, Some(now));
        let condition = Condition::Unchanged(&stored.version);
        if self.protocol().put(key, grave, condition).await.is_err() {
            return Ok(false);
        }
        let is_removed = self.delete_object(key).await;
        if is_removed {
            self.forget(key);
        }
        Ok(is_removed)
    }

    /// Removes an object; whether the store says that it did.
    async fn delete_object(&self, key: &str) -> bool {
        let begun = Instant::now();
        let deleted = self.protocol().objects.delete(key).await;
        self.request(
            Operation::Delete,
            begun,
            deleted.as_ref().ok().map(|()| true),
        );
        deleted.is_ok()
    }
}

fn is_of(object: &Listed, session: &str) -> bool {
    keys::parse(&object.key).is_some_and(|(owner, _)| owner == session)
}

/// Whether a lease has run out by any clock that is not off by a quarter of the time to live.
fn has_run_out(leased: u64, ttl: u64, now: u64) -> bool {
    now.saturating_sub(leased) > ttl.saturating_add(ttl / 4)
}

fn is_old(at: u64, now: u64) -> bool {
    let stays = u64::try_from(TOMBSTONE_STAYS.as_millis()).unwrap_or(u64::MAX);
    now.saturating_sub(at) > stays
}
