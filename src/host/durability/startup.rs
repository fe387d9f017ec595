//! Startup: loads sessions and models from the data folder.

use std::collections::BTreeMap;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use super::folder::Folder;
use super::losses::lose;
use super::marks::MarkCheck;
use super::on_disk::OnDisk;
use super::persistence::Persistence;
use super::restore::{Options, Unusable, restore};
use crate::host::datasets::Catalogue;
use crate::host::models::handle::ModelEntry;
use crate::host::party::Party;
use crate::host::tags::SessionTag;
use crate::store::{FoundSession, LoggedCommits, Segment, Storage};
use crate::training::session::leases;
use crate::training::{
    Id, ModelName, Now, RecordError, Registry, RestoredModel, SessionName, SessionRecord,
};

impl Persistence {
    /// Loads every session and model in the folder into `registry`, replaying runs in the log on `cores`. A damaged
    /// file affects only its own model. Limits are not enforced here, so none removes a model.
    ///
    /// # Errors
    /// The folder cannot be listed, or holds a format that this program cannot read.
    pub fn load_all(
        &self,
        registry: &mut Registry<ModelEntry>,
        datasets: &Catalogue,
        remembered_requests: usize,
        cores: usize,
        now: Now,
    ) -> io::Result<()> {
        let options = Options {
            remembered_requests,
            cores,
        };
        match self {
            Self::Memory | Self::Shared(_) => Ok(()),
            Self::Folder(folder) => folder.load_all(registry, datasets, options, now),
        }
    }
}

impl Folder {
    fn load_all(
        &self,
        registry: &mut Registry<ModelEntry>,
        datasets: &Catalogue,
        options: Options,
        now: Now,
    ) -> io::Result<()> {
        let store: &dyn Storage = &*self.store;
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
            for id in &found.datasets {
                if let Some(dataset) = Id::parse(id) {
                    let path = store.dataset(&found.session, id);
                    datasets.found(&session, dataset, path);
                }
            }
            for id in &found.models {
                let Some(model) = Id::parse(id) else { continue };
                let name = ModelName {
                    session: session.clone(),
                    model,
                };
                let logged = store.take_logged(&found.session, id);
                let restore = || restore(store, &found, &name, logged.as_ref(), options, datasets);
                // A panic on unforeseen bytes must cost only this model, not the startup.
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
                        lose(store, &self.losses, name, &reason);
                    }
                }
            }
        }
        registry.find_over_limits();
        store.fold_rest()?;
        self.remember_losses(store, registry, now)?;
        let mut lost = self.lost();
        for (name, reason) in marks.finish(registry, now) {
            // A message from the quarantine step has more details.
            lost.entry(name).or_insert_with(|| {
                tracing::error!("{reason}");
                reason
            });
        }
        Ok(())
    }

    /// Models lost earlier stay lost, unless they have been created again.
    fn remember_losses(
        &self,
        store: &dyn Storage,
        registry: &mut Registry<ModelEntry>,
        now: Now,
    ) -> io::Result<()> {
        for (session, model) in store.quarantined()? {
            let name = ModelName::parse(&format!("sessions/{session}/models/{model}"));
            let Some(name) = name else { continue };
            if registry.model(&name, now).is_err() {
                let message = format!(
                    "the snapshot of {name} could not be used; it is in the server's `quarantine` folder"
                );
                self.lost().entry(name).or_insert(message);
            }
        }
        Ok(())
    }
}

/// Makes sure that quarantine gets the last commit of an unusable model.
fn set_aside(store: &dyn Storage, name: &ModelName, logged: LoggedCommits) {
    if !logged.redos.is_empty() {
        logged.segments.iter().for_each(Segment::note_damage);
    } else if let Some(snapshot) = logged.snapshot {
        let (session, model) = (name.session.0.to_string(), name.model.to_string());
        if let Err(error) = store.put_model(&session, &model, &snapshot, None) {
            tracing::error!(%name, %error, "the model's last commit cannot be moved from the log into its file");
        }
    }
}

/// Time since each session's last call, as of the last shutdown.
type Leases = BTreeMap<SessionName, Duration>;

/// Takes the ages stored by the last orderly shutdown; empty if they are unusable, so that every lease restarts.
fn take_leases(store: &dyn Storage) -> Leases {
    match store.take_leases() {
        Ok(bytes) => bytes.and_then(|bytes| leases::decode(&bytes)),
        Err(error) => {
            tracing::warn!(%error, "the sessions' ages cannot be read: every lease restarts");
            None
        }
    }
    .unwrap_or_default()
}

/// Restores a session, intact or damaged; `None` if the folder holds no session.
fn restore_session(
    store: &dyn Storage,
    registry: &mut Registry<ModelEntry>,
    found: &FoundSession,
    leases: &Leases,
    now: Now,
) -> io::Result<Option<SessionName>> {
    let Some(name) = Id::parse(&found.session).map(SessionName) else {
        tracing::warn!(folder = found.session, "not a session's folder: left alone");
        return Ok(None);
    };
    let reason = match &found.record {
        Ok(bytes) => match SessionRecord::from_bytes(bytes, &name) {
            Ok(read) => {
                if !read.is_sealed {
                    // The first version of the format, which has no checksum.
                    let sealed = read.record.to_bytes(&name).map_err(io::Error::other)?;
                    store.put_session(&found.session, &sealed)?;
                }
                let idle = leases.get(&name).copied().unwrap_or_default();
                let owner = read.record.owner.as_deref();
                let share = owner.map(|subject| Party::of_person(subject).0);
                registry.restore_session(name.clone(), read.record, share, idle, now);
                return Ok(Some(name));
            }
            Err(error @ RecordError::Version(_)) => return Err(io::Error::other(error)),
            Err(error @ RecordError::Damaged(_)) => error.to_string(),
        },
        // Left over from a session that was never acknowledged.
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

fn keep_in(registry: &mut Registry<ModelEntry>, entry: ModelEntry) {
    let bytes = entry.model.spec().state_bytes();
    let (name, created, request) = (entry.name.clone(), entry.created, entry.made_by.clone());
    // If memory is short, a model that is complete in its file is reloaded on demand.
    let may_leave = entry.on_disk(OnDisk::is_whole_in_file);
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
