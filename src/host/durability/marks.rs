//! Checks that the state read of a model is its last durable commit, as recorded in the manifest.

use std::collections::BTreeSet;
use std::time::UNIX_EPOCH;

use super::about::about;
use crate::host::models::handle::ModelEntry;
use crate::store::{FoundSession, Mark, Marks, Storage};
use crate::training::snapshot::About;
use crate::training::{ModelName, Now, Registry};

/// Most models without a mark that a warning names; it gives the total.
const MOST_NAMED: usize = 20;

/// The position of a commit among all commits of its model: later commits compare greater.
pub fn mark(about: &About, step: u64) -> Mark {
    let since = about.updated.duration_since(UNIX_EPOCH).unwrap_or_default();
    let updated = u64::try_from(since.as_nanos()).unwrap_or(u64::MAX);
    Mark { updated, step }
}

/// Checks that a model was read at its last durable commit.
///
/// # Errors
/// It is older; the message names both steps.
pub fn check_mark(entry: &ModelEntry, step: u64, last: Option<Mark>) -> Result<Mark, String> {
    let found = mark(&about(entry), step);
    match last.filter(|last| found < *last) {
        None => Ok(found),
        Some(last) => Err(format!(
            "it was found at step {step}, but its last durable commit was at step {}: a file or a part of the log was \
             lost, damaged or replaced by an older one",
            last.step
        )),
    }
}

/// Compares each model found at startup with its mark in the manifest. Marks without a model belong to models whose
/// files are gone.
pub struct MarkCheck {
    marks: Marks,
    /// Whether there was a manifest.
    is_known: bool,
    /// Models with files in the folder.
    found: BTreeSet<(String, String)>,
    /// Models without a mark in the manifest.
    unknown: BTreeSet<String>,
}

impl MarkCheck {
    pub fn begin(store: &dyn Storage) -> Self {
        let marks = store.take_marks();
        Self {
            is_known: marks.is_some(),
            marks: marks.unwrap_or_default(),
            found: BTreeSet::new(),
            unknown: BTreeSet::new(),
        }
    }

    /// Compares a model with its mark.
    ///
    /// # Errors
    /// The model is older than its mark.
    pub fn check(&mut self, store: &dyn Storage, entry: ModelEntry) -> Result<ModelEntry, String> {
        let step = entry.model.step();
        let (session, model) = (
            entry.name.session.0.to_string(),
            entry.name.model.to_string(),
        );
        let key = (session, model);
        let last = self.marks.get(&key).copied();
        let found = check_mark(&entry, step, last).inspect_err(|_| store.keep_log())?;
        if last.is_none() {
            self.unknown.insert(entry.name.to_string());
        }
        store.note(&key.0, &key.1, found);
        Ok(entry)
    }

    /// Notes that these models have files, readable or not.
    pub fn note_found(&mut self, found: &FoundSession) {
        for model in &found.models {
            self.found.insert((found.session.clone(), model.clone()));
        }
    }

    /// The models whose files are gone, each with a message.
    pub fn finish<M>(self, registry: &mut Registry<M>, now: Now) -> Vec<(ModelName, String)> {
        self.warn_unknown();
        let gone = self.marks.into_iter();
        let gone = gone.filter(|(key, _)| !self.found.contains(key));
        gone.filter_map(|((session, model), mark)| {
            let name = ModelName::parse(&format!("sessions/{session}/models/{model}"))?;
            let is_there = registry.model(&name, now).is_ok();
            let step = mark.step;
            (!is_there).then(|| {
                let reason = format!(
                    "the files of {name} are gone; its last durable commit was at step {step}"
                );
                (name, reason)
            })
        })
        .collect()
    }

    fn warn_unknown(&self) {
        if self.unknown.is_empty() {
            return;
        }
        let count = self.unknown.len();
        let named: Vec<&str> = self
            .unknown
            .iter()
            .take(MOST_NAMED)
            .map(String::as_str)
            .collect();
        let named = named.join(", ");
        let why = if self.is_known {
            "the manifest has no entry for them"
        } else {
            "there is no manifest: an older program used this folder, or it was removed"
        };
        tracing::warn!(
            "{why}: {count} models are used as found; the loss of a later commit would go unnoticed \
             (`Model.step` is the step found): {named}{}",
            if count > MOST_NAMED { ", …" } else { "" }
        );
    }
}
