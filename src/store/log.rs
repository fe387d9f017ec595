//! The log that all models share: commits lie one behind the other, and one sync serves all that wait.
//!
//! ```text
//! log/{number}.log    a segment: room of a fixed size, zero where nothing was written yet
//! ```
//!
//! A commit in the log is as durable as one in a file. It holds all of a small model; of a large one, what makes it of
//! the commit before. It is valid as long as the model's file is the one that it came after (its anchor). So replacing
//! that file makes it void, and so does a deletion: nothing in a segment is ever changed. A segment is removed when every
//! commit in it is void.
//!
//! The commits of one sync are a group. Each group names the digest of the group before it, across segments too, so that
//! a group which is missing before a sound one is noticed (see `scan`). Whether the last group is missing, and which
//! models a missing one held, the manifest tells.
//!
//! The log is a way to be quick, never the only way: one that is full, or that the disk refuses, is left as it is, and
//! the commit goes to its file.

mod recovery;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::disk::{Disk, Identity};
use super::folder_is_free;
use super::head::GroupDigest;
use super::record::{Record, group};

pub use recovery::{Logged, Recovered};
pub(super) use recovery::{newer, number};

/// The size of a segment. Made of zeros before it is used: a sync then has no new size to make durable, which halves it.
pub const SEGMENT_BYTES: usize = if cfg!(test) { 8 << 10 } else { 4 << 20 };
/// So much may lie in the log and not in files.
const MAX_SEGMENTS: usize = 16;
pub(super) const EXTENSION: &str = ".log";

/// The segment that a commit lies in; held for as long as the commit counts.
#[derive(Clone, Debug)]
pub struct Segment(Arc<SegmentFile>);

#[derive(Debug)]
struct SegmentFile {
    number: u64,
    path: PathBuf,
    /// Whether nothing will be added.
    is_closed: AtomicBool,
    /// Whether a commit in it cannot be used.
    is_damaged: AtomicBool,
}

/// The segments, and the one that is being written.
#[derive(Debug)]
pub struct Log<F> {
    folder: PathBuf,
    /// Where segments go that hold something damaged.
    quarantine: PathBuf,
    /// The number of the next segment.
    next: u64,
    /// The number of the next group, and the digest of the one before.
    link: (u64, GroupDigest),
    segments: Vec<Segment>,
    open: Option<Open<F>>,
    /// The folder, once its own name is durable.
    held: Option<Identity>,
    /// Whether the disk has refused, and is left alone for a while.
    is_resting: bool,
}

#[derive(Debug)]
struct Open<F> {
    segment: Segment,
    file: F,
    identity: Identity,
    /// Where the next commit goes.
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

    /// Whether nothing will be added: then what counts in it is to be written into files.
    pub fn is_closed(&self) -> bool {
        self.0.is_closed.load(Ordering::Relaxed)
    }

    /// Notes that something in it cannot be used: it goes to quarantine when nothing in it counts.
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
    /// Whether there is anything in it.
    pub fn is_empty(&self) -> bool {
        self.segments.is_empty()
    }

    /// Notes that something in these segments may be damaged.
    pub fn note_damage(&self) {
        self.segments.iter().for_each(Segment::note_damage);
    }

    /// Makes commits durable, all with one sync, and returns where they lie.
    ///
    /// # Errors
    /// None of them is acknowledged. A crash may bring each of them back or not.
    pub fn add<D: Disk<File = F>>(&mut self, disk: &D, records: &[Record]) -> io::Result<Segment> {
        let bytes: usize = records.iter().map(Record::bytes).sum();
        if bytes > SEGMENT_BYTES || !records.iter().all(Record::has_room) {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        if self.is_resting {
            return Err(io::Error::other("the log rests after a failure"));
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
        // Put back when all went well: after a failed sync nobody knows what the disk holds of a file.
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
        // What was written into a file that has lost its name is gone after a restart.
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

    /// Adds nothing more to the segment that is being written.
    pub fn close(&mut self) {
        if let Some(open) = self.open.take() {
            open.segment.close();
        }
    }

    /// Adds nothing more to the segment that is being written if it was removed or replaced: what is valid in it is then
    /// to be written into files.
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

    /// Removes the closed segments in which nothing is valid; a damaged one goes to quarantine instead. After a failure
    /// the disk is tried again from here on.
    ///
    /// # Errors
    /// They are tried again.
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

    /// Begins a segment.
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
            // A folder, a link: not made by this program.
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
                // Its room is needed more elsewhere; an empty leftover goes after the next start.
                let _ = disk.remove_file(&path);
                self.held = None;
                Err(error)
            }
        }
    }

    /// Whether the path of the segment that is being written leads to it, as a start goes: which follows no link.
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

/// Where a segment can go in quarantine.
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
