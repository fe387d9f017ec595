//! The log that all models share: commits are appended, and one sync serves all that are waiting.
//!
//! ```text
//! log/{number}.log    a segment of fixed size, zero where unwritten
//! ```
//!
//! A commit in the log is as durable as one in a file. It holds a small model as a whole; for a large one, a record to
//! replay from the previous commit. It is valid as long as the model's file is the version that it builds on (its
//! anchor). Replacing or deleting that file thus invalidates the commit without a write to the segment. A segment is
//! removed once it has no valid commits.
//!
//! The commits of one sync form a group. Each group holds the digest of the previous one, also across segments, which
//! reveals a missing group before an intact one (see `scan`). The manifest reveals a missing last group, and the models
//! in a missing group.
//!
//! The log is an optimization: if it is full or the disk refuses it, the commit goes to the model's file instead.

mod recovery;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::disk::{Disk, Identity};
use super::folder_is_free;
use super::head::GroupDigest;
use super::record::{Record, group};

pub use recovery::{LoggedCommits, RecoveredCommits};
pub(super) use recovery::{newer, number};

/// The size of a segment. Segments are filled with zeros when created: a sync then need not persist a new size, which
/// halves its cost.
pub const SEGMENT_BYTES: usize = if cfg!(test) { 8 << 10 } else { 4 << 20 };
/// Most segments in the log.
const MAX_SEGMENTS: usize = 16;
pub(super) const EXTENSION: &str = ".log";

/// The segment of a commit, held for as long as the commit is valid.
#[derive(Clone, Debug)]
pub struct Segment(Arc<SegmentFile>);

#[derive(Debug)]
struct SegmentFile {
    number: u64,
    path: PathBuf,
    /// Whether nothing will be added.
    is_closed: AtomicBool,
    /// Whether it has an unusable commit.
    is_damaged: AtomicBool,
}

/// All segments, and the one that is being written.
#[derive(Debug)]
pub struct Log<F> {
    folder: PathBuf,
    /// Where damaged segments go.
    quarantine: PathBuf,
    /// The number of the next segment.
    next: u64,
    /// The number of the next group, and the digest of the previous one.
    link: (u64, GroupDigest),
    segments: Vec<Segment>,
    open: Option<Open<F>>,
    /// The log's folder, once its own name is durable.
    held: Option<Identity>,
    /// Whether the log is suspended after a disk error.
    is_resting: bool,
}

#[derive(Debug)]
struct Open<F> {
    segment: Segment,
    file: F,
    identity: Identity,
    /// The offset of the next commit.
    end: usize,
}

impl Segment {
    fn new(number: u64, path: PathBuf, is_closed: bool) -> Self {
        Self(Arc::new(SegmentFile {
            number,
            path,
            is_closed: is_closed.into(),
            is_damaged: false.into(),
        }))
    }

    /// Whether it is closed: its valid commits must then be checkpointed.
    pub fn is_closed(&self) -> bool {
        self.0.is_closed.load(Ordering::Relaxed)
    }

    /// Marks it as damaged: it goes to quarantine once it has no valid commits.
    pub fn note_damage(&self) {
        self.0.is_damaged.store(true, Ordering::Relaxed);
    }

    fn close(&self) {
        self.0.is_closed.store(true, Ordering::Relaxed);
    }
}

impl PartialEq for Segment {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl<F> Log<F> {
    /// Whether the log has no segments.
    pub fn is_empty(&self) -> bool {
        self.segments.is_empty()
    }

    /// The size of the segments, in bytes.
    pub fn bytes(&self) -> usize {
        self.segments.len() * SEGMENT_BYTES
    }

    /// Marks the segments as possibly damaged.
    pub fn note_damage(&self) {
        self.segments.iter().for_each(Segment::note_damage);
    }

    /// Makes commits durable with one sync, and returns their segment.
    ///
    /// # Errors
    /// No commit is acknowledged. After a crash each may or may not be there.
    pub fn add<D: Disk<File = F>>(&mut self, disk: &D, records: &[Record]) -> io::Result<Segment> {
        let bytes: usize = records.iter().map(Record::bytes).sum();
        if bytes > SEGMENT_BYTES || !records.iter().all(Record::has_room) {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        if self.is_resting {
            return Err(io::Error::other("the log is suspended after a disk error"));
        }
        let added = self.write_group(disk, records, bytes);
        self.is_resting = added.is_err();
        added
    }

    fn write_group<D: Disk<File = F>>(
        &mut self,
        disk: &D,
        records: &[Record],
        bytes: usize,
    ) -> io::Result<Segment> {
        // Put back only on success: after a failed sync the file's state on disk is unknown.
        let mut open = match self.open.take() {
            Some(open) if open.end + bytes <= SEGMENT_BYTES => open,
            full => {
                if let Some(full) = full {
                    full.segment.close();
                }
                self.begin(disk)?
            }
        };
        let (segment, offset) = (open.segment.0.number, open.end as u64);
        let (number, previous) = self.link;
        let (group, digest) = group(records, segment, offset, number, previous);
        let written = disk.write_at(&open.file, offset, &group);
        let written = written.and_then(|()| disk.sync_data(&open.file));
        // Bytes written to a file that has lost its name would be missing after a restart.
        let in_place = written.and_then(|()| self.is_in_place(disk, &open));
        if let Err(error) = in_place {
            open.segment.close();
            self.held = None;
            return Err(error);
        }
        open.end += group.len();
        self.link = (number + 1, digest);
        let segment = open.segment.clone();
        self.open = Some(open);
        Ok(segment)
    }

    /// Closes the current segment.
    pub fn close(&mut self) {
        if let Some(open) = self.open.take() {
            open.segment.close();
        }
    }

    /// Closes the current segment if it was removed or replaced: its valid commits must then be checkpointed.
    ///
    /// # Errors
    /// It was removed or replaced.
    pub fn check_place<D: Disk<File = F>>(&mut self, disk: &D) -> io::Result<()> {
        let in_place = match &self.open {
            Some(open) => self.is_in_place(disk, open),
            None => Ok(()),
        };
        if in_place.is_err() {
            self.close();
            self.held = None;
        }
        in_place
    }

    /// Removes the closed segments without valid commits; damaged ones go to quarantine instead. Also ends a suspension
    /// after a disk error.
    ///
    /// # Errors
    /// They are retried next time.
    pub fn tidy<D: Disk<File = F>>(&mut self, disk: &D) -> io::Result<()> {
        self.is_resting = false;
        let quarantine = &self.quarantine;
        let mut done = Ok(());
        self.segments.retain(|segment| {
            if !segment.is_closed() || Arc::strong_count(&segment.0) > 1 {
                return true;
            }
            let file = &segment.0;
            let removed = if file.is_damaged.load(Ordering::Relaxed) {
                let moved = disk.create_folder(quarantine);
                moved.and_then(|()| {
                    disk.rename(&file.path, &free_name(disk, quarantine, file.number))
                })
            } else {
                disk.remove_file(&file.path)
            };
            let is_gone = match removed {
                Ok(()) => true,
                Err(error) if error.kind() == io::ErrorKind::NotFound => true,
                Err(error) => {
                    done = Err(error);
                    false
                }
            };
            !is_gone
        });
        done
    }

    /// Creates a segment.
    fn begin<D: Disk<File = F>>(&mut self, disk: &D) -> io::Result<Open<F>> {
        if self.segments.len() >= MAX_SEGMENTS {
            self.tidy(disk)?;
        }
        if self.segments.len() >= MAX_SEGMENTS {
            return Err(io::Error::other("the log is full"));
        }
        if self.held.is_none() || disk.identity(&self.folder).ok() != self.held {
            folder_is_free(disk, &self.folder)?;
            disk.create_folder(&self.folder)?;
            if let Some(parent) = self.folder.parent() {
                disk.sync_folder(parent)?;
            }
            self.held = Some(disk.identity(&self.folder)?);
        }
        let mut path = self.folder.join(segment_name(self.next));
        while disk.exists(&path) {
            // A foreign folder or link has this name.
            self.next += 1;
            path = self.folder.join(segment_name(self.next));
        }
        let number = self.next;
        self.next += 1;
        let made = self.make(disk, &path);
        match made.and_then(|file| Ok((disk.identity_of(&file)?, file))) {
            Ok((identity, file)) => {
                let segment = Segment::new(number, path, false);
                self.segments.push(segment.clone());
                Ok(Open {
                    segment,
                    identity,
                    file,
                    end: 0,
                })
            }
            Err(error) => {
                // Free its space now; otherwise an empty leftover is removed after the next startup.
                let _ = disk.remove_file(&path);
                self.held = None;
                Err(error)
            }
        }
    }

    /// Whether the path of the current segment still leads to it, without following links, as at startup.
    fn is_in_place<D: Disk<File = F>>(&self, disk: &D, open: &Open<F>) -> io::Result<()> {
        let is_other = |path: &Path, known| Ok::<_, io::Error>(disk.identity(path)? != known);
        let path = &open.segment.0.path;
        let replaced = if is_other(path, open.identity)? {
            path
        } else if self
            .held
            .map_or(Ok(true), |held| is_other(&self.folder, held))?
        {
            &self.folder
        } else {
            return Ok(());
        };
        let text = format!("{} was replaced while it was in use", replaced.display());
        Err(io::Error::other(text))
    }

    fn make<D: Disk<File = F>>(&self, disk: &D, path: &Path) -> io::Result<F> {
        let mut file = disk.create(path)?;
        disk.write(&mut file, &vec![0; SEGMENT_BYTES])?;
        disk.sync_file(&file)?;
        disk.sync_folder(&self.folder)?;
        Ok(file)
    }
}

fn segment_name(number: u64) -> String {
    format!("{number:012}{EXTENSION}")
}

/// A free name for a segment in quarantine.
fn free_name(disk: &impl Disk, quarantine: &Path, number: u64) -> PathBuf {
    let name = |at: u32| match at {
        0 => format!("log-{number}{EXTENSION}"),
        at => format!("log-{number}-{at}{EXTENSION}"),
    };
    let mut at = 0;
    while disk.exists(&quarantine.join(name(at))) {
        at += 1;
    }
    quarantine.join(name(at))
}
