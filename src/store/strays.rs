//! What lies in a data folder and is not the server's: told, and left alone.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use super::disk::{Disk, Entry, EntryKind};
use super::leases::LEASES;
use super::models::{CURRENT, PREVIOUS};
use super::trash::TRASH;
use super::{BARRIER, LOG, MANIFEST, QUARANTINE, SESSIONS, TEMPORARY, log, sessions};

/// So many strays are named; of more, their number is.
const MOST_NAMED: usize = 20;

/// What is wrong with the names below this folder and with its permissions.
pub(super) fn findings(disk: &impl Disk, root: &Path) -> Vec<String> {
    let mut strays = Vec::new();
    let mut look = |folder: &Path, is_ours: &dyn Fn(&Entry) -> bool| {
        let entries = disk.entries(folder).unwrap_or_default().into_iter();
        let (ours, others): (Vec<_>, Vec<_>) = entries.partition(|entry| is_ours(entry));
        strays.extend(others.iter().map(|entry| folder.join(&entry.name)));
        ours
    };
    look(root, &|entry: &Entry| match entry.name.as_str() {
        SESSIONS | LOG | QUARANTINE | TRASH => entry.kind == EntryKind::Folder,
        "lock" | MANIFEST | LEASES => entry.kind == EntryKind::File,
        _ => false,
    });
    let log = root.join(LOG);
    look(&log, &|entry: &Entry| {
        entry.kind == EntryKind::File && log::number(&entry.name).is_some()
    });
    look(&root.join(QUARANTINE), &|entry: &Entry| {
        entry.kind == EntryKind::File
    });
    let sessions = root.join(SESSIONS);
    let found = look(&sessions, &|entry: &Entry| match entry.kind {
        EntryKind::Folder => is_id(&entry.name) || sessions::is_deleted(&entry.name),
        EntryKind::File => entry.name == BARRIER,
        EntryKind::Other => false,
    });
    for session in found {
        if session.kind == EntryKind::Folder && is_id(&session.name) {
            look(&sessions.join(&session.name), &|entry: &Entry| {
                entry.kind == EntryKind::File && is_in_session(&entry.name)
            });
        }
    }
    let mut findings: Vec<String> = strays
        .iter()
        .take(MOST_NAMED)
        .map(|path| format!("{} is not the server's: it is left alone", path.display()))
        .collect();
    if let Some(more) = strays
        .len()
        .checked_sub(MOST_NAMED)
        .filter(|more| *more > 0)
    {
        findings.push(format!(
            "{more} more names are not the server's: they are left alone"
        ));
    }
    findings
}

/// What is wrong with the permissions of a data folder that was there before.
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
    let name = name.strip_suffix(TEMPORARY).unwrap_or(name);
    let model = name.strip_suffix(PREVIOUS);
    name == sessions::SESSION_FILE
        || model
            .or_else(|| name.strip_suffix(CURRENT))
            .is_some_and(is_id)
}
