//! Recovery: reads the log at startup.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::io;
use std::path::{Path, PathBuf};

use super::{EXTENSION, Log, SEGMENT_BYTES, Segment, segment_name};
use crate::store::disk::{Disk, EntryKind};
use crate::store::manifest::Mark;
use crate::store::record::{Anchor, Kind};
use crate::store::scan::{self, Chain, scan};

/// The commits of a model in the log, newer than its file.
#[derive(Debug)]
pub struct LoggedCommits {
    /// A whole snapshot, unless the file is newer.
    pub snapshot: Option<Vec<u8>>,
    /// Records to replay after it, in order.
    pub redos: Vec<Vec<u8>>,
    /// Whether one of them is damaged, and therefore omitted.
    pub is_damaged: bool,
    /// The model's file.
    pub anchor: Anchor,
    /// The mark of the last one, unless an older program wrote it.
    pub mark: Option<Mark>,
    /// The segments that hold them.
    pub segments: Vec<Segment>,
}

/// The valid commits in a log, by session and model.
pub type RecoveredCommits = BTreeMap<(String, String), LoggedCommits>;

/// A valid commit.
struct ValidCommit {
    model: (String, String),
    anchor: Anchor,
    kind: Kind,
    mark: Option<Mark>,
    content: Option<Vec<u8>>,
    segment: Segment,
    /// The number of its group; `None` if the group was certainly durable.
    group: Option<u64>,
}

impl LoggedCommits {
    fn new(anchor: Anchor) -> Self {
        Self {
            snapshot: None,
            redos: Vec::new(),
            is_damaged: false,
            anchor,
            mark: None,
            segments: Vec::new(),
        }
    }

    /// Adds the next commit.
    fn add(&mut self, valid: ValidCommit) {
        match valid.kind {
            Kind::Snapshot => {
                *self = Self {
                    is_damaged: valid.content.is_none(),
                    snapshot: valid.content,
                    ..Self::new(valid.anchor)
                };
            }
            Kind::Redo => {
                self.is_damaged |= valid.content.is_none();
                self.redos.extend(valid.content);
            }
        }
        self.mark = valid.mark;
        if !self.segments.contains(&valid.segment) {
            self.segments.push(valid.segment);
        }
    }
}

/// The segments in a log's folder, in order, with number and name.
fn listed(disk: &impl Disk, folder: &Path) -> io::Result<Vec<(u64, String)>> {
    if disk.kind(folder) != Some(EntryKind::Folder) {
        return Ok(Vec::new());
    }
    let names = disk.files(folder)?.into_iter();
    Ok(names
        .filter_map(|name| Some((number(&name)?, name)))
        .collect())
}

/// The number of the segment with this name, if it is a segment's name.
pub(in crate::store) fn number(name: &str) -> Option<u64> {
    let number = name.strip_suffix(EXTENSION)?.parse().ok()?;
    (segment_name(number) == name).then_some(number)
}

/// The first segment that a newer program wrote, if any.
///
/// # Errors
/// A segment cannot be read.
pub(in crate::store) fn newer(disk: &impl Disk, folder: &Path) -> io::Result<Option<PathBuf>> {
    for (number, name) in listed(disk, folder)? {
        let path = folder.join(name);
        if scan::is_newer(&disk.read(&path)?, number) {
            return Ok(Some(path));
        }
    }
    Ok(None)
}

impl<F> Log<F> {
    /// Opens the log in this folder, which may be missing, and returns its valid commits. `anchor` identifies the file
    /// of a model. Problems with segments are added to `findings`.
    ///
    /// # Errors
    /// A segment cannot be read, or the file of a model with a commit in one.
    pub fn open<D: Disk<File = F>>(
        disk: &D,
        folder: &Path,
        quarantine: &Path,
        findings: &mut Vec<String>,
        anchor: impl Fn(&str, &str) -> io::Result<Option<Anchor>>,
    ) -> io::Result<(Self, RecoveredCommits)> {
        let mut log = Self {
            folder: folder.to_owned(),
            quarantine: quarantine.to_owned(),
            next: 0,
            link: Default::default(),
            segments: Vec::new(),
            open: None,
            held: None,
            is_resting: false,
        };
        let mut anchors = BTreeMap::new();
        let (mut valid, mut damaged, mut chain) = (Vec::new(), Vec::new(), Chain::default());
        for (number, name) in listed(disk, folder)? {
            let path = folder.join(name);
            let bytes = disk.read(&path)?;
            let found = scan(&bytes, number);
            chain.add(&found);
            let segment = Segment::new(number, path, true);
            // A segment without commits was being created when the process stopped.
            if bytes.len() != SEGMENT_BYTES && !found.is_empty() {
                segment.note_damage();
                let length = bytes.len();
                findings.push(format!(
                    "{}: {length} bytes long, not {SEGMENT_BYTES}",
                    segment.0.path.display()
                ));
            }
            // In format 1, all groups in a segment but the last are known to have been durable.
            let last = found.iter().map(|found| found.head.offset).max();
            for found in found {
                let model = (found.head.session, found.head.model);
                let file = match anchors.entry(model.clone()) {
                    Entry::Occupied(known) => *known.get(),
                    Entry::Vacant(new) => *new.insert(anchor(&model.0, &model.1)?),
                };
                let group = match found.head.link {
                    Some(link) => Some(link.number),
                    None => (Some(found.head.offset) == last).then_some(u64::MAX),
                };
                if found.content.is_none() {
                    damaged.push((segment.clone(), group));
                }
                if file == Some(found.head.anchor) {
                    valid.push(ValidCommit {
                        model,
                        anchor: found.head.anchor,
                        kind: found.head.kind,
                        mark: found.head.mark,
                        content: found.content.map(<[u8]>::to_vec),
                        segment: segment.clone(),
                        group,
                    });
                }
            }
            log.next = log.next.max(number + 1);
            log.segments.push(segment);
        }
        log.link = chain.next();
        for (number, gap) in chain.gaps() {
            let damaged = log
                .segments
                .iter()
                .find(|segment| segment.0.number == number);
            if let Some(segment) = damaged {
                segment.note_damage();
                findings.push(format!("{}: {gap}", segment.0.path.display()));
            }
        }
        for (segment, group) in damaged {
            if is_durable(&segment, group, &chain) {
                segment.note_damage();
            }
        }
        Ok((log, collect(valid, &chain)))
    }
}

/// Collects the valid commits of each model. A damaged commit in the last group is omitted: it may never have been
/// durable because of a power cut, and otherwise the manifest reveals the loss.
fn collect(valid: Vec<ValidCommit>, chain: &Chain) -> RecoveredCommits {
    let mut recovered = RecoveredCommits::new();
    for valid in valid {
        if valid.content.is_some() || is_durable(&valid.segment, valid.group, chain) {
            let logged = recovered.entry(valid.model.clone());
            logged
                .or_insert_with(|| LoggedCommits::new(valid.anchor))
                .add(valid);
        }
    }
    recovered
}

/// Whether a group in this segment was certainly durable.
fn is_durable(segment: &Segment, group: Option<u64>, chain: &Chain) -> bool {
    group.is_none_or(|group| chain.is_confirmed(segment.0.number, group))
}
