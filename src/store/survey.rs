//! A survey of `sessions/`, taken once at startup: the check of formats, the clean-up, the warnings about strays and
//! the restore all use it, so each folder is listed only once.

use std::collections::BTreeMap;
use std::path::Path;

use super::disk::{Disk, Entry, EntryKind};
use super::{StoreError, strays, unusable};

/// The entries of `sessions/` and of each session's folder.
#[derive(Debug, Default)]
pub(super) struct Survey {
    /// The entries of `sessions/` itself.
    pub entries: Vec<Entry>,
    /// The entries of each folder that can be a session's, by id.
    pub sessions: BTreeMap<String, Vec<Entry>>,
}

impl Survey {
    /// Lists the folders.
    ///
    /// # Errors
    /// A folder cannot be listed.
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
