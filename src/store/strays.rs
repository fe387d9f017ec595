//! Foreign files in the data folder: reported and left alone.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use super::datasets;
use super::disk::{Disk, Entry, EntryKind};
use super::leases::LEASES;
use super::models::{CURRENT, PREVIOUS};
use super::trash::{self, TRASH};
use super::{LOG, MANIFEST, QUARANTINE, SESSIONS, log, quarantine, sessions, without_temporary};

/// Most strays that are named in the log; the rest is only counted.
const MOST_NAMED: usize = 20;

/// Foreign names: a sentence for each of the first ones, and the total.
#[derive(Debug, Default)]
pub(super) struct Strays {
    named: Vec<String>,
    count: usize,
}

impl Strays {
    /// Adds a name in this folder; `expected` is the kind of the server's own entry with such a name, if any.
    pub fn add(&mut self, folder: &Path, entry: &Entry, expected: Option<EntryKind>) {
        self.count += 1;
        if self.named.len() >= MOST_NAMED {
            return;
        }
        let path = folder.join(&entry.name);
        let path = path.display();
        let expected = expected.filter(|kind| *kind != entry.kind);
        self.named.push(match expected {
            None => format!("{path} is not the server's: it is left alone"),
            Some(expected) => format!(
                "{path} is {}, and has the name of {} of the server's: it is left alone, and what belongs there cannot be \
                 written until it is moved away",
                named(entry.kind),
                named(expected)
            ),
        });
    }

    /// The sentences for the log.
    pub fn findings(self) -> Vec<String> {
        let mut findings = self.named;
        let more = self.count - findings.len();
        if more > 0 {
            findings.push(format!(
                "{more} more names are not the server's: they are left alone"
            ));
        }
        findings
    }
}

const fn named(kind: EntryKind) -> &'static str {
    match kind {
        EntryKind::File => "a file",
        EntryKind::Folder => "a folder",
        EntryKind::Other => "a link, a pipe or a device",
    }
}

/// Adds the foreign names in every folder except those of sessions.
pub(super) fn find(disk: &impl Disk, root: &Path, strays: &mut Strays) {
    let mut look = |folder: &Path, expected: &dyn Fn(&str) -> Option<EntryKind>| {
        for entry in disk.entries(folder).unwrap_or_default() {
            let kind = expected(&entry.name);
            if kind != Some(entry.kind) {
                strays.add(folder, &entry, kind);
            }
        }
    };
    look(root, &|name| match name {
        // May be a link: this one is followed.
        SESSIONS => disk.kind(&root.join(SESSIONS)),
        LOG | QUARANTINE | TRASH => Some(EntryKind::Folder),
        "lock" | MANIFEST | LEASES => Some(EntryKind::File),
        name => is_in_root(name).then_some(EntryKind::File),
    });
    // The contents behind a link are not the server's.
    let is_folder = |folder: &Path| disk.kind(folder) == Some(EntryKind::Folder);
    let log = root.join(LOG);
    if is_folder(&log) {
        look(&log, &|name| log::number(name).map(|_| EntryKind::File));
    }
    let quarantine = root.join(QUARANTINE);
    if is_folder(&quarantine) {
        look(&quarantine, &|name| {
            quarantine::is_ours(name).then_some(EntryKind::File)
        });
    }
    let trash = root.join(TRASH);
    if is_folder(&trash) {
        look(&trash, &|name| {
            trash::is_ours(disk, &trash.join(name), name).then_some(EntryKind::Folder)
        });
    }
}

/// Whether a file beside `sessions` is one of the server's temporary files.
pub(super) fn is_in_root(name: &str) -> bool {
    without_temporary(name).is_some_and(|name| [MANIFEST, LEASES].contains(&name))
}

/// A warning about the permissions of an existing data folder.
pub(super) fn permissions(root: &Path) -> Option<String> {
    let mode = fs::metadata(root).ok()?.permissions().mode() & 0o777;
    (mode & 0o077 != 0).then(|| {
        let root = root.display();
        format!(
            "{root} is open to other accounts (mode {mode:o}): names in it give access to models, and files hold their \
             weights. `chmod -R go= {root}` closes it"
        )
    })
}

/// Whether a name can be the id of a session or a model.
pub(super) fn is_id(name: &str) -> bool {
    let is_tail = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || *byte == b'-';
    name.len() < 64
        && name.starts_with(|first: char| first.is_ascii_lowercase())
        && name.as_bytes().iter().all(is_tail)
}

/// Whether a file in a session's folder is the server's.
pub(super) fn is_in_session(name: &str) -> bool {
    let name = without_temporary(name).unwrap_or(name);
    let model = name.strip_suffix(PREVIOUS);
    name == sessions::SESSION_FILE
        || datasets::id(name).is_some()
        || datasets::is_partial(name)
        || model
            .or_else(|| name.strip_suffix(CURRENT))
            .is_some_and(is_id)
}
