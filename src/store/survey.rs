//! What lies in `sessions/`, read once by a start: the check of formats, the cleaning up, the warnings about strays and the
//! restoring all go by it, so that each folder is listed once.

use std::collections::BTreeMap;
use std::path::Path;

use super::disk::{Disk, Entry, EntryKind};
use super::{StoreError, strays, unusable};

/// The names in `sessions/` and in each session's folder.
#[derive(Debug, Default)]
pub(super) struct Survey {
    /// What lies in `sessions/` itself.
    pub entries: Vec<Entry>,
    /// What lies in the folders that can be a session's, by their ids.
    pub sessions: BTreeMap<String, Vec<Entry>>,
}

impl Survey {
    /// Lists the folders.
    ///
    /// # Errors
    /// One cannot be listed.
    pub fn read(disk: &impl Disk, sessions: &Path) -> Result<Self, StoreError> {
        if !disk.exists(sessions) {
            return Ok(Self::default());
        }
        let entries = disk.entries(sessions).map_err(unusable(sessions))?;
        let mut survey = Self {
            entries,
            sessions: BTreeMap::new(),
        };
        for Entry { name, kind } in &survey.entries {
            if *kind == EntryKind::Folder && strays::is_id(name) {
                let folder = sessions.join(name);
                let inside = disk.entries(&folder).map_err(unusable(&folder))?;
                survey.sessions.insert(name.clone(), inside);
            }
        }
        Ok(survey)
    }
}
