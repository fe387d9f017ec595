//! Restores a model from its file and the log.

use std::io;

use super::about::about;
use super::marks::mark;
use crate::host::compute::parallelism;
use crate::host::datasets::Catalogue;
use crate::host::models::any_model::{AnyModel, with_model};
use crate::host::models::handle::ModelEntry;
use crate::store::{Anchor, FoundSession, LoggedCommits, Segment, Storage};
use crate::training::snapshot::{self, Rules, SnapshotError};
use crate::training::{ModelName, RedoError, redo};

/// Settings for restoring models.
#[derive(Clone, Copy)]
pub struct Options {
    /// Number of request ids that each model remembers.
    pub remembered_requests: usize,
    /// Cores to replay runs on.
    pub cores: usize,
}

/// Why a model on disk cannot be used.
pub enum Unusable {
    /// Damage: the model is lost.
    Damaged(String),
    /// A format that only another version of this program can read.
    Format(String),
}

impl Unusable {
    pub fn damaged(what: impl std::fmt::Display) -> Self {
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

/// Restores the model under this name from its last commit, in the log or in its file.
pub fn restore(
    store: &dyn Storage,
    found: &FoundSession,
    name: &ModelName,
    logged: Option<&LoggedCommits>,
    options: Options,
    datasets: &Catalogue,
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
        entry.committed(|on_disk| on_disk.filed(step, Anchor::of(&base)));
        return Ok(entry);
    };
    let segments = logged.segments.clone();
    if logged.redos.is_empty() {
        entry.committed(|on_disk| on_disk.logged(step, logged.anchor, segments));
        return Ok(entry);
    }
    redo_all(&entry, logged, options.cores, datasets)?;
    // Writing a file now avoids a second replay and fixes its result.
    let (step, file) = with_model!(entry.model.get(), model => {
        let revision = model.revision();
        (revision.committed.step, snapshot::encode(model.spec(), &revision, &about(&entry)))
    });
    let file = file.map_err(Unusable::damaged)?;
    match store.put_model(session, &model, &file, None) {
        Ok(file) => entry.committed(|on_disk| on_disk.filed(step, file)),
        Err(error) => {
            tracing::error!(%name, %error, "a checkpoint failed; the model's commits stay in the log");
            entry.committed(|on_disk| on_disk.logged(step, logged.anchor, segments));
            // A replay elsewhere may yield different weights, so no log commit may build on this one.
            entry.note_replacing();
        }
    }
    Ok(entry)
}

/// Replays the runs that follow the model's last whole commit.
fn redo_all(
    entry: &ModelEntry,
    logged: &LoggedCommits,
    cores: usize,
    datasets: &Catalogue,
) -> Result<(), Unusable> {
    with_model!(entry.model.get(), model => {
        let redone = redo::redo(&logged.redos, &model, parallelism(cores), datasets);
        let redone = redone.map_err(|error| {
            let what = format!("a run in the log cannot be replayed: {error}");
            match error {
                RedoError::Version(_) => Unusable::Format(what),
                RedoError::OtherModel { .. }
                | RedoError::Diverges(_)
                | RedoError::NoSamples(_)
                | RedoError::Malformed(_) => {
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
                "replaying the log yields other weights than were acknowledged: this processor rounds differently, or the \
                 program has changed. The replayed weights are used; the log segments go to `quarantine`"
            );
            logged.segments.iter().for_each(Segment::note_damage);
        }
    });
    Ok(())
}

/// Decodes a model, checks its name, and returns it with its step.
pub fn restore_model(
    bytes: &[u8],
    name: &ModelName,
    remembered_requests: usize,
) -> Result<(ModelEntry, u64), Unusable> {
    let (restored, about) = snapshot::decode(bytes, &Rules::own(remembered_requests))?;
    if about.name != name.to_string() {
        return Err(Unusable::Damaged(format!("it holds {}", about.name)));
    }
    let model = AnyModel::from(restored);
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

/// Records the models of a restored session in the manifest at their current commits. The next startup reports those
/// that cannot be read.
///
/// # Errors
/// The disk write fails.
pub fn note_session(store: &dyn Storage, session: &str) -> io::Result<()> {
    for model in store.models(session)? {
        let name = ModelName::parse(&format!("sessions/{session}/models/{model}"));
        let Some(name) = name else { continue };
        let bytes = store.model(session, &model)?;
        if let Ok((entry, step)) = restore_model(&bytes, &name, 0) {
            store.note(session, &model, mark(&about(&entry), step));
        }
    }
    store.sync_manifest()
}
