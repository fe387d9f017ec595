//! The datasets at startup: the folder of shared ones, and those of the sessions on disk.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use backpropd_datasets::{find, read_note};

use super::catalogue::Catalogue;
use super::entry::{DatasetEntry, DatasetMemory, Note, Source};
use super::selected::recorded;
use crate::config::Config;
use crate::nn::{Samples, Scalar};
use crate::training::{DatasetName, DatasetReference, Datasets, Id, SessionName, Spec};

/// The id of the digits.
const DIGITS: &str = "digits";

/// Why the folder of shared datasets cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("cannot use the folder of datasets, {folder}: {cause} (datasets)")]
pub struct SharedDatasetsError {
    folder: String,
    cause: String,
}

impl Catalogue {
    /// The digits, and the datasets in the folder of the setting `datasets`. Files are opened on first use.
    ///
    /// # Errors
    /// The folder cannot be listed, or two of its files have the same id.
    pub fn start(config: &Config) -> Result<Self, SharedDatasetsError> {
        let memory = DatasetMemory::new(config.max_dataset_memory_bytes);
        let mut shared = BTreeMap::new();
        let mut add = |id: Id, source| {
            let name = DatasetName {
                session: None,
                dataset: id.clone(),
            };
            let entry = DatasetEntry::new(name, source, (None, None), 0, &memory);
            shared.insert(id, Arc::new(entry)).is_none()
        };
        add(Id::parse(DIGITS).expect("an id"), Source::Digits);
        if !config.datasets.is_empty() {
            let refused = |cause: String| SharedDatasetsError {
                folder: config.datasets.clone(),
                cause,
            };
            let found = find(Path::new(&config.datasets));
            for file in found.map_err(|error| refused(error.to_string()))? {
                let Some(id) = id_of(&file.name) else {
                    let name = &file.name;
                    tracing::warn!(name, "a dataset whose name has no letters: left alone");
                    continue;
                };
                if !add(
                    id.clone(),
                    Source::File {
                        path: file.path,
                        is_own: false,
                    },
                ) {
                    return Err(refused(format!(
                        "two datasets would be datasets/{id}: rename one of them"
                    )));
                }
            }
        }
        Ok(Self::new(shared, memory))
    }

    /// Adds the dataset of a session whose file was found.
    pub fn found(&self, session: &SessionName, dataset: Id, path: PathBuf) {
        let name = DatasetName {
            session: Some(session.clone()),
            dataset,
        };
        let note = read_note(&path).ok().flatten();
        let note: Option<Note> = note.and_then(|note| serde_json::from_str(&note).ok());
        let metadata = path.metadata();
        let (created, request) = match note {
            Some(note) => (note.created, note.request),
            None => (SystemTime::UNIX_EPOCH, None),
        };
        let bytes = metadata.map_or(0, |metadata| metadata.len());
        let source = Source::File {
            path,
            is_own: false,
        };
        let about = (Some(created), request);
        let entry = DatasetEntry::new(name, source, about, bytes, &self.memory);
        self.restore(Arc::new(entry));
    }
}

/// An id from the name of a file: `MNIST_train` becomes `mnist-train`.
fn id_of(name: &str) -> Option<Id> {
    let mut id = String::new();
    for character in name.chars().flat_map(char::to_lowercase) {
        match character {
            'a'..='z' => id.push(character),
            _ if id.is_empty() => {}
            '0'..='9' => id.push(character),
            _ if !id.ends_with('-') => id.push('-'),
            _ => {}
        }
    }
    id.truncate(63);
    Id::parse(id.trim_end_matches('-'))
}

impl Datasets for Catalogue {
    fn find<T: Scalar>(
        &self,
        reference: &DatasetReference,
        spec: &Spec,
    ) -> Result<Arc<dyn Samples<T>>, String> {
        let name = DatasetName::parse(&reference.dataset);
        let entry = name.and_then(|name| self.get(&name));
        let entry = entry.ok_or_else(|| format!("{} does not exist", reference.dataset))?;
        recorded(&entry, reference, spec)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_names_of_files_become_ids() {
        for (name, id) in [
            ("iris", "iris"),
            ("MNIST_train", "mnist-train"),
            ("2024 Houses (new)", "houses-new"),
            ("a..b", "a-b"),
        ] {
            let found = id_of(name).expect("it has letters");
            assert_eq!(found.to_string(), id);
        }
        assert_eq!(id_of("2024"), None);
    }
}
