//! Whether what was read of a model is its last durable commit, as the manifest knows it.

use std::collections::BTreeSet;
use std::time::UNIX_EPOCH;

use super::about::about;
use crate::host::models::handle::ModelEntry;
use crate::store::{FoundSession, Mark, Marks, Storage};
use crate::training::snapshot::About;
use crate::training::{ModelName, Now, Registry};

/// So many models without a mark are named; of more, their number is.
const MOST_NAMED: usize = 20;

/// Where a commit stands among all commits of its model: of two, the later one is greater.
pub fn mark(about: &About, step: u64) -> Mark {
    let since = about.updated.duration_since(UNIX_EPOCH).unwrap_or_default();
    let updated = u64::try_from(since.as_nanos()).unwrap_or(u64::MAX);
    Mark { updated, step }
}

/// Refuses a model that was read at a commit before its last durable one.
///
/// # Errors
/// What was read, and what the last one was.
pub fn check_mark(entry: &ModelEntry, step: u64, last: Option<Mark>) -> Result<Mark, String> {
    let found = mark(&about(entry), step);
    match last.filter(|last| found < *last) {
        None => Ok(found),
        Some(last) => Err(format!(
            "it was found at step {step}, and its last durable commit was of step {}: a file or a part of the log was \
             lost, damaged or replaced by an older one",
            last.step
        )),
    }
}

/// The marks of a start: each model that is found is held against its own, and those that are left belong to models
/// whose files are gone.
pub struct MarkCheck {
    marks: Marks,
    /// Whether there was a manifest.
    is_known: bool,
    /// Models whose files are there.
    found: BTreeSet<(String, String)>,
    /// Models of which the manifest says nothing.
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

    /// Holds a model against its mark.
    ///
    /// # Errors
    /// It is older.
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

    /// Notes that the files of these models are there, whether they can be used or not.
    pub fn note_found(&mut self, found: &FoundSession) {
        for model in &found.models {
            self.found.insert((found.session.clone(), model.clone()));
        }
    }

    /// The models whose files are gone, and what is told of them.
    pub fn finish<M>(self, registry: &mut Registry<M>, now: Now) -> Vec<(ModelName, String)> {
        self.tell_unknown();
        let gone = self.marks.into_iter();
        let gone = gone.filter(|(key, _)| !self.found.contains(key));
        gone.filter_map(|((session, model), mark)| {
            let name = ModelName::parse(&format!("sessions/{session}/models/{model}"))?;
            let is_there = registry.model(&name, now).is_ok();
            let step = mark.step;
            (!is_there).then(|| {
                let reason = format!(
                    "the files of {name} are gone; its last durable commit was of step {step}"
                );
                (name, reason)
            })
        })
        .collect()
    }

    fn tell_unknown(&self) {
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
            "the manifest does not know them"
        } else {
            "there is no manifest: an older program used this folder, or it was removed"
        };
        tracing::warn!(
            "{why}: {count} models are taken as they were found, and whether a later commit was lost cannot be told \
             (`Model.step` is what was found): {named}{}",
            if count > MOST_NAMED { ", …" } else { "" }
        );
    }
}
