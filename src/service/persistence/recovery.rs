//! What a start finds in the folder, and what becomes of a model that cannot be used.

use std::collections::BTreeMap;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::marks::MarkCheck;
use super::{Lost, Persistence, about, any};
use crate::service::compute::parallelism;
use crate::service::entry::{ModelEntry, with_model};
use crate::service::tags::SessionTag;
use crate::store::{Anchor, FoundSession, Logged, Segment, Store};
use crate::training::session::leases;
use crate::training::snapshot::{self, Rules, SnapshotError};
use crate::training::{
    Id, ModelName, Now, RecordError, RedoError, Registry, RestoredModel, SessionName,
    SessionRecord, redo,
};

impl Persistence {
    /// Puts every session and model of the folder into `registry`; runs in the log are replayed on `cores`. A file that
    /// is damaged costs its own model alone. No limit takes a model away.
    ///
    /// # Errors
    /// The folder cannot be listed, or holds a format that this program does not know.
    pub fn load(
        &self,
        registry: &mut Registry<ModelEntry>,
        remembered_requests: usize,
        cores: usize,
        now: Now,
    ) -> io::Result<()> {
        let Some(store) = &self.store else {
            return Ok(());
        };
        let options = Options {
            remembered_requests,
            cores,
        };
        for finding in store.findings() {
            tracing::warn!("{finding}");
        }
        let mut marks = MarkCheck::begin(store);
        let leases = take_leases(store);
        for found in store.take_sessions() {
            marks.note_found(&found);
            let Some(session) = restore_session(store, registry, &found, &leases, now)? else {
                continue;
            };
            for id in &found.models {
                let Some(model) = Id::parse(id) else { continue };
                let name = ModelName {
                    session: session.clone(),
                    model,
                };
                let logged = store.take_logged(&found.session, id);
                let restore = || restore(store, &found, &name, logged.as_ref(), options);
                // Bytes that were not foreseen cost their model, not the start.
                let restored = catch_unwind(AssertUnwindSafe(restore))
                    .unwrap_or_else(|_| Err(Unusable::damaged("reading it panics")));
                let restored =
                    restored.and_then(|entry| marks.check(store, entry).map_err(Unusable::Damaged));
                match restored {
                    Ok(entry) => keep_in(registry, entry),
                    Err(Unusable::Format(what)) => return Err(io::Error::other(what)),
                    Err(Unusable::Damaged(reason)) => {
                        if let Some(logged) = logged {
                            set_aside(store, &name, logged);
                        }
                        lose(store, &self.lost, name, &reason);
                    }
                }
            }
        }
        registry.find_over_limits();
        store.fold_rest()?;
        self.remember_losses(store, registry, now)?;
        let mut lost = self.lost();
        for (name, reason) in marks.finish(registry, now) {
            // What is in quarantine has told more.
            lost.entry(name).or_insert_with(|| {
                tracing::error!("{reason}");
                reason
            });
        }
        Ok(())
    }

    /// Models that were lost before this start are lost still, unless somebody has made them anew.
    fn remember_losses(
        &self,
        store: &Store,
        registry: &mut Registry<ModelEntry>,
        now: Now,
    ) -> io::Result<()> {
        for (session, model) in store.quarantined()? {
            let name = ModelName::parse(&format!("sessions/{session}/models/{model}"));
            let Some(name) = name else { continue };
            if registry.model(&name, now).is_err() {
                let message = format!(
                    "the snapshot of {name} could not be used; it lies in the server's `quarantine`"
                );
                self.lost().entry(name).or_insert(message);
            }
        }
        Ok(())
    }
}

/// Sees to it that quarantine gets the last commit of a model that cannot be used.
fn set_aside(store: &Store, name: &ModelName, logged: Logged) {
    if !logged.redos.is_empty() {
        logged.segments.iter().for_each(Segment::note_damage);
    } else if let Some(snapshot) = logged.snapshot {
        let (session, model) = (name.session.0.to_string(), name.model.to_string());
        if let Err(error) = store.put_model(&session, &model, &snapshot, None) {
            tracing::error!(%name, %error, "its last commit cannot be put into its file");
        }
    }
}

/// How models are restored.
#[derive(Clone, Copy)]
struct Options {
    remembered_requests: usize,
    cores: usize,
}

/// Why a model on disk cannot be used.
pub(super) enum Unusable {
    /// Damage, which costs the model.
    Damaged(String),
    /// A format of another program, which reads it.
    Format(String),
}

impl Unusable {
    fn damaged(what: impl std::fmt::Display) -> Self {
        Self::Damaged(what.to_string())
    }
}

impl From<SnapshotError> for Unusable {
    fn from(error: SnapshotError) -> Self {
        match error {
            SnapshotError::Version(_) => Self::Format(error.to_string()),
            SnapshotError::Damaged | SnapshotError::Malformed(_) => Self::damaged(error),
        }
    }
}

/// Time without a call before this start.
type Leases = BTreeMap<SessionName, Duration>;

/// What the last orderly stop noted; nothing where that cannot be used, so that every lease starts anew.
fn take_leases(store: &Store) -> Leases {
    match store.take_leases() {
        Ok(bytes) => bytes.and_then(|bytes| leases::decode(&bytes)),
        Err(error) => {
            tracing::warn!(%error, "the sessions' ages cannot be read: every lease starts anew");
            None
        }
    }
    .unwrap_or_default()
}

/// Puts a session back, sound or damaged; none where the folder holds no session.
fn restore_session(
    store: &Store,
    registry: &mut Registry<ModelEntry>,
    found: &FoundSession,
    leases: &Leases,
    now: Now,
) -> io::Result<Option<SessionName>> {
    let Some(name) = Id::parse(&found.session).map(SessionName) else {
        tracing::warn!(
            folder = found.session,
            "this is not a session's folder: it is left alone"
        );
        return Ok(None);
    };
    let reason = match &found.record {
        Ok(bytes) => match SessionRecord::from_bytes(bytes, &name) {
            Ok(read) => {
                if !read.is_sealed {
                    // Of the first version, which has no checksum.
                    let sealed = read.record.to_bytes(&name).map_err(io::Error::other)?;
                    store.put_session(&found.session, &sealed)?;
                }
                let idle = leases.get(&name).copied().unwrap_or_default();
                registry.restore_session(name.clone(), read.record, idle, now);
                return Ok(Some(name));
            }
            Err(error @ RecordError::Version(_)) => return Err(io::Error::other(error)),
            Err(error @ RecordError::Damaged(_)) => error.to_string(),
        },
        // Left by a session that was never acknowledged.
        Err(error) if error.kind() == io::ErrorKind::NotFound && found.models.is_empty() => {
            return Ok(None);
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            "session.json is missing".to_owned()
        }
        Err(error) => format!("session.json cannot be read: {error}"),
    };
    tracing::error!(session = %SessionTag(&name), reason, "a session cannot be used");
    registry.restore_damaged_session(name.clone(), reason, now);
    Ok(Some(name))
}

/// Notes a model whose last commit cannot be used, and moves the file out of the way.
pub(super) fn lose(store: &Store, lost: &Mutex<Lost>, name: ModelName, reason: &str) {
    let (session, model) = (name.session.0.to_string(), name.model.to_string());
    let what = match store.quarantine(&session, &model) {
        Err(error) => format!("it cannot be moved away ({error})"),
        Ok((last, previous)) => {
            let moved = last.display().to_string();
            // The last commit may have been in the log: then the file is the one before it.
            let files = [Some(last), previous].into_iter().flatten();
            let sound = { files }.find_map(|path| {
                let bytes = std::fs::read(&path).ok()?;
                let (restored, _) = snapshot::decode(&bytes, &Rules::own(0)).ok()?;
                Some((path, any(restored).step()))
            });
            match sound {
                None => format!("it was moved to {moved}; there is no sound commit before it"),
                Some((path, step)) => format!(
                    "it was moved to {moved}; the commit before it, of step {step}, is sound: whoever has the server's \
                     disk brings it back with `backpropd import {}`",
                    path.display()
                ),
            }
        }
    };
    let message = format!("the snapshot of {name} cannot be used: {reason}; {what}");
    tracing::error!("{message}");
    let mut lost = lost.lock().unwrap_or_else(PoisonError::into_inner);
    lost.insert(name, message);
}

/// The model that was found under this name: its last commit in the log, else in its file.
fn restore(
    store: &Store,
    found: &FoundSession,
    name: &ModelName,
    logged: Option<&Logged>,
    options: Options,
) -> Result<ModelEntry, Unusable> {
    if logged.is_some_and(|logged| logged.is_damaged) {
        return Err(Unusable::damaged("its last commit, in the log, is damaged"));
    }
    let (session, model) = (&found.session, name.model.to_string());
    let base = match logged.and_then(|logged| logged.snapshot.clone()) {
        Some(snapshot) => snapshot,
        None => store.model(session, &model).map_err(Unusable::damaged)?,
    };
    let (entry, step) = restore_model(&base, name, options.remembered_requests)?;
    let Some(logged) = logged else {
        entry.note_filed(step, Anchor::of(&base));
        return Ok(entry);
    };
    let segments = logged.segments.clone();
    if logged.redos.is_empty() {
        entry.note_logged(step, logged.anchor, segments);
        return Ok(entry);
    }
    redo_all(&entry, logged, options.cores)?;
    // So that it need not be done once more, and what it came to here is settled.
    let (step, file) = with_model!(&entry.model, model => {
        let kept = model.kept();
        (kept.committed.step, snapshot::encode(model.spec(), &kept, &about(&entry)))
    });
    let file = file.map_err(Unusable::damaged)?;
    match store.put_model(session, &model, &file, None) {
        Ok(file) => entry.note_filed(step, file),
        Err(error) => {
            tracing::error!(%name, %error, "it stays in the log");
            entry.note_logged(step, logged.anchor, segments);
            // Its weights may be others than those that the log leads to elsewhere: nothing is to come after it there.
            entry.note_replacing();
        }
    }
    Ok(entry)
}

/// Does again what was done to a model since its last commit that is whole.
fn redo_all(entry: &ModelEntry, logged: &Logged, cores: usize) -> Result<(), Unusable> {
    with_model!(&entry.model, model => {
        let redone = redo::redo(&logged.redos, model, parallelism(cores));
        let redone = redone.map_err(|error| {
            let what = format!("a run in the log cannot be replayed: {error}");
            match error {
                RedoError::Version(_) => Unusable::Format(what),
                RedoError::OtherModel { .. } | RedoError::Diverges(_) | RedoError::Malformed(_) => {
                    Unusable::Damaged(what)
                }
            }
        })?;
        let Some(redone) = redone else { return Ok(()) };
        entry.set_updated(redone.updated);
        if let Some(then) = redone.other_digest {
            let now = model.committed().digest(model.spec());
            tracing::warn!(
                model = %entry.name, %now, %then, other_arithmetic = ?redone.other_arithmetic,
                "runs that were done again come to other weights than where they were acknowledged: this processor rounds \
                 otherwise, or the program has changed. What it comes to here is kept; the runs go to `quarantine`"
            );
            logged.segments.iter().for_each(Segment::note_damage);
        }
    });
    Ok(())
}

/// The model that these bytes hold under this name, and its step.
pub(super) fn restore_model(
    bytes: &[u8],
    name: &ModelName,
    remembered_requests: usize,
) -> Result<(ModelEntry, u64), Unusable> {
    let (restored, about) = snapshot::decode(bytes, &Rules::own(remembered_requests))?;
    if about.name != name.to_string() {
        return Err(Unusable::Damaged(format!("it holds {}", about.name)));
    }
    let model = any(restored);
    let step = model.step();
    let entry = ModelEntry::new(
        name.clone(),
        model,
        about.access,
        about.made_by,
        about.created,
    );
    let entry = entry.with_compare(about.compare);
    entry.set_updated(about.updated);
    Ok((entry, step))
}

fn keep_in(registry: &mut Registry<ModelEntry>, entry: ModelEntry) {
    let bytes = entry.model.spec().state_bytes();
    let (name, created, request) = (entry.name.clone(), entry.created, entry.made_by.clone());
    // What the memory has no room for is read again when it is called for, where the file has all of it.
    let may_leave = entry.file().is_some() && !entry.is_logged();
    let model = if registry.has_memory_for(bytes) || !may_leave {
        Some(Arc::new(entry))
    } else {
        None
    };
    let restored = RestoredModel {
        model,
        bytes,
        created,
        request,
    };
    registry.restore_model(&name, restored);
}
