//! What a start finds in the folder, and what becomes of a model that cannot be used.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use super::{Lost, Persistence, any};
use crate::nn::ArchitectureLimits;
use crate::service::entry::ModelEntry;
use crate::store::{Anchor, FoundSession, Logged, Store};
use crate::training::{Id, ModelName, Placement, Registry, RegistryError, SessionName, snapshot};

impl Persistence {
    /// Puts every session and model that was kept into `registry`. A file that cannot be used costs its model alone.
    ///
    /// # Errors
    /// The folder cannot be listed.
    pub fn load(
        &self,
        registry: &mut Registry<ModelEntry>,
        limits: &ArchitectureLimits,
        remembered_requests: usize,
    ) -> io::Result<()> {
        let Some(store) = &self.store else {
            return Ok(());
        };
        let now = SystemTime::now();
        for found in store.sessions()? {
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
                let restored = restore(
                    store,
                    &found,
                    &name,
                    logged.as_ref(),
                    limits,
                    remembered_requests,
                );
                let kept = restored.and_then(|entry| {
                    keep_in(registry, entry, now).map_err(|error| error.to_string())
                });
                if let Err(reason) = kept {
                    // In quarantine there is to be the last commit.
                    if let Some(snapshot) = logged.and_then(|logged| logged.snapshot)
                        && let Err(error) = store.put_model(&found.session, id, &snapshot)
                    {
                        tracing::error!(%name, %error, "its last commit cannot be put into its file");
                    }
                    lose(store, &self.lost, name, &reason, limits);
                }
            }
        }
        store.fold_rest()?;
        self.remember_losses(store, registry, now)
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
) -> Result<ModelEntry, String> {
    match logged {
        Some(logged) => {
            let snapshot = logged.snapshot.as_ref();
            let snapshot = snapshot.ok_or("its last commit, in the log, is damaged")?;
            let (entry, step) = restore_model(snapshot, name, limits, remembered_requests)?;
            entry.note_logged(step, logged.anchor, logged.segment.clone());
            Ok(entry)
        }
        None => {
            let read = store.model(&found.session, &name.model.to_string());
            let bytes = read.map_err(|error| error.to_string())?;
            let (entry, step) = restore_model(&bytes, name, limits, remembered_requests)?;
            entry.note_filed(step, Anchor::of(&bytes));
            Ok(entry)
        }
    }
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
    };
    registry.insert(placement, Arc::new(entry), now).map(|_| ())
}
