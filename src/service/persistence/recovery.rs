//! What a start finds in the folder, and what becomes of a model that cannot be used.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use super::marks::MarkCheck;
use super::{Lost, Persistence, about, any};
use crate::nn::ArchitectureLimits;
use crate::service::compute::parallelism;
use crate::service::entry::{ModelEntry, with_model};
use crate::store::{Anchor, FoundSession, Logged, Segment, Store};
use crate::training::{
    Id, ModelName, Placement, Registry, RegistryError, SessionName, redo, snapshot,
};

impl Persistence {
    /// Puts every session and model that was kept into `registry`; what the log tells to do again takes `cores`. A file
    /// that cannot be used costs its model alone.
    ///
    /// # Errors
    /// The folder cannot be listed.
    pub fn load(
        &self,
        registry: &mut Registry<ModelEntry>,
        limits: &ArchitectureLimits,
        remembered_requests: usize,
        cores: usize,
    ) -> io::Result<()> {
        let Some(store) = &self.store else {
            return Ok(());
        };
        for finding in store.findings() {
            tracing::warn!("{finding}");
        }
        let now = SystemTime::now();
        let mut marks = MarkCheck::begin(store);
        for found in store.sessions()? {
            marks.note_found(&found);
            let Some(session) = restore_session(registry, &found, now) else {
                continue;
            };
            for id in &found.models {
                let Some(model) = Id::parse(id) else { continue };
                let name = ModelName {
                    session: session.clone(),
                    model,
                };
                let logged = store.take_logged(&found.session, id);
                let restore = || {
                    let logged = logged.as_ref();
                    restore(
                        store,
                        &found,
                        &name,
                        logged,
                        limits,
                        remembered_requests,
                        cores,
                    )
                };
                // Bytes that nobody thought of cost their model, not the start.
                let restored = catch_unwind(AssertUnwindSafe(restore))
                    .unwrap_or_else(|_| Err("reading it panics".to_owned()));
                let restored = restored.and_then(|entry| marks.check(store, entry));
                let kept = restored.and_then(|entry| {
                    keep_in(registry, entry, now).map_err(|error| error.to_string())
                });
                if let Err(reason) = kept {
                    if let Some(logged) = logged {
                        set_aside(store, &name, logged);
                    }
                    lose(store, &self.lost, name, &reason, limits);
                }
            }
        }
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
        now: SystemTime,
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

fn restore_session(
    registry: &mut Registry<ModelEntry>,
    found: &FoundSession,
    now: SystemTime,
) -> Option<SessionName> {
    let restored = (|| {
        let id = Id::parse(&found.session).ok_or("not a session's id")?;
        let record = found.record.as_ref().map_err(ToString::to_string)?;
        let record = serde_json::from_slice(record).map_err(|error| error.to_string())?;
        let name = SessionName(id);
        registry
            .restore_session(name.clone(), record, now)
            .map_err(|error| error.to_string())?;
        Ok::<_, String>(name)
    })();
    match restored {
        Ok(name) => Some(name),
        Err(reason) => {
            tracing::error!(session = found.session, reason, "a session cannot be used");
            None
        }
    }
}

/// Notes a model whose last commit cannot be used, and moves the file out of the way.
pub(super) fn lose(
    store: &Store,
    lost: &Mutex<Lost>,
    name: ModelName,
    reason: &str,
    limits: &ArchitectureLimits,
) {
    let (session, model) = (name.session.0.to_string(), name.model.to_string());
    let what = match store.quarantine(&session, &model) {
        Err(error) => format!("it cannot be moved away ({error})"),
        Ok((last, previous)) => {
            let moved = last.display().to_string();
            // The last commit may have been in the log: then the file is the one before it.
            let files = [Some(last), previous].into_iter().flatten();
            let sound = { files }.find_map(|path| {
                let bytes = std::fs::read(&path).ok()?;
                let (restored, _) = snapshot::decode(&bytes, limits, 0).ok()?;
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
    limits: &ArchitectureLimits,
    remembered_requests: usize,
    cores: usize,
) -> Result<ModelEntry, String> {
    if logged.is_some_and(|logged| logged.is_damaged) {
        return Err("its last commit, in the log, is damaged".to_owned());
    }
    let (session, model) = (&found.session, name.model.to_string());
    let base = match logged.and_then(|logged| logged.snapshot.clone()) {
        Some(snapshot) => snapshot,
        None => {
            let read = store.model(session, &model);
            read.map_err(|error| error.to_string())?
        }
    };
    let (entry, step) = restore_model(&base, name, limits, remembered_requests)?;
    let Some(logged) = logged else {
        entry.note_filed(step, Anchor::of(&base));
        return Ok(entry);
    };
    let segments = logged.segments.clone();
    if logged.redos.is_empty() {
        entry.note_logged(step, logged.anchor, segments);
        return Ok(entry);
    }
    redo_all(&entry, logged, cores)?;
    // So that it need not be done once more, and what it came to here is settled.
    let (step, file) = with_model!(&entry.model, model => {
        let kept = model.kept();
        (kept.committed.step, snapshot::encode(model.spec(), &kept, &about(&entry)))
    });
    let file = file.map_err(|error| error.to_string())?;
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
fn redo_all(entry: &ModelEntry, logged: &Logged, cores: usize) -> Result<(), String> {
    with_model!(&entry.model, model => {
        let redone = redo::redo(&logged.redos, model, parallelism(cores))
            .map_err(|error| format!("a run in the log cannot be done again: {error}"))?;
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
    limits: &ArchitectureLimits,
    remembered_requests: usize,
) -> Result<(ModelEntry, u64), String> {
    let (restored, about) =
        snapshot::decode(bytes, limits, remembered_requests).map_err(|error| error.to_string())?;
    if about.name != name.to_string() {
        return Err(format!("it holds {}", about.name));
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

fn keep_in(
    registry: &mut Registry<ModelEntry>,
    entry: ModelEntry,
    now: SystemTime,
) -> Result<(), RegistryError> {
    let placement = Placement {
        name: entry.name.clone(),
        new_session: false,
        bytes: entry.model.spec().state_bytes(),
        request: entry.made_by.clone(),
        owner: None,
    };
    registry.insert(placement, Arc::new(entry), now).map(|_| ())
}
