//! The log that all models share: commits lie one behind the other, and one sync serves all that wait.
//!
//! ```text
//! log/{number}.log    a segment: room of a fixed size, zero where nothing was written yet
//! ```
//!
//! A commit in the log is as durable as one in a file. It holds all of a small model; of a large one, what makes it of
//! the commit before. It counts as long as the model's file is the one that it came after (its anchor). So whatever
//! replaces that file makes it void, and so does a deletion: nothing in a segment is ever changed. A segment is removed
//! when every commit in it is void.
//!
//! The log is a way to be quick, never the only way: one that is full, or that the disk refuses, is left as it is, and
//! the commit goes to its file.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::disk::Disk;
use super::record::{Anchor, Found, Kind, Record, scan};

/// The size of a segment. Made of zeros before it is used: a sync then has no new size to make durable, which halves it.
pub const SEGMENT_BYTES: usize = if cfg!(test) { 8 << 10 } else { 4 << 20 };
/// So much may lie in the log and not in files.
const MAX_SEGMENTS: usize = 16;
const EXTENSION: &str = ".log";

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

/// What the log holds of a model: what was committed since its file was.
#[derive(Debug)]
pub struct Logged {
    /// All of the model, unless that is in its file.
    pub snapshot: Option<Vec<u8>>,
    /// What was done to the model since, in its order.
    pub redos: Vec<Vec<u8>>,
    /// Whether one of these is damaged; then it is not among them.
    pub is_damaged: bool,
    /// The model's file.
    pub anchor: Anchor,
    /// Where all of this lies.
    pub segments: Vec<Segment>,
}

/// What counts of what was found in a log: by session and model.
pub type Recovered = BTreeMap<(String, String), Logged>;

/// The segments, and the one that is being written.
#[derive(Debug)]
pub struct Log<F> {
    folder: PathBuf,
    /// Where segments go that hold something damaged.
    quarantine: PathBuf,
    next: u64,
    segments: Vec<Segment>,
    open: Option<Open<F>>,
    /// Whether the disk has refused, and is left alone for a while.
    is_resting: bool,
}

#[derive(Debug)]
struct Open<F> {
    segment: Segment,
    file: F,
    /// Where the next commit goes.
    end: usize,
}

impl Segment {
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

impl Logged {
    fn new(anchor: Anchor) -> Self {
        Self {
            snapshot: None,
            redos: Vec::new(),
            is_damaged: false,
            anchor,
            segments: Vec::new(),
        }
    }

    /// Adds the next commit.
    fn add(&mut self, found: &Found<'_>, segment: &Segment) {
        let content = found.content.map(<[u8]>::to_vec);
        match found.kind {
            Kind::Snapshot => {
                *self = Self {
                    is_damaged: content.is_none(),
                    snapshot: content,
                    ..Self::new(found.anchor)
                };
            }
            Kind::Redo => {
                self.is_damaged |= content.is_none();
                self.redos.extend(content);
            }
        }
        if !self.segments.contains(segment) {
            self.segments.push(segment.clone());
        }
    }
}

impl<F> Log<F> {
    /// The log in this folder, which need not be there, and what counts in it. `anchor` says which file a model has.
    ///
    /// # Errors
    /// A segment cannot be read, or the file of a model that has a commit in one.
    pub fn open<D: Disk<File = F>>(
        disk: &D,
        folder: &Path,
        quarantine: &Path,
        anchor: impl Fn(&str, &str) -> io::Result<Option<Anchor>>,
    ) -> io::Result<(Self, Recovered)> {
        let mut log = Self {
            folder: folder.to_owned(),
            quarantine: quarantine.to_owned(),
            next: 0,
            segments: Vec::new(),
            open: None,
            is_resting: false,
        };
        let mut anchors = BTreeMap::new();
        let mut recovered = Recovered::new();
        let names = if disk.exists(folder) {
            disk.names(folder)?
        } else {
            Vec::new()
        };
        for name in names {
            let number = name.strip_suffix(EXTENSION).map(str::parse);
            let Some(Ok(number)) = number else { continue };
            let path = folder.join(name);
            let bytes = disk.read(&path)?;
            let found = scan(&bytes, number);
            let segment = Segment(Arc::new(SegmentFile {
                number,
                path,
                is_closed: AtomicBool::new(true),
                is_damaged: found.iter().any(|found| found.content.is_none()).into(),
            }));
            for found in found {
                let model = (found.session.clone(), found.model.clone());
                let file = match anchors.entry(model.clone()) {
                    Entry::Occupied(known) => *known.get(),
                    Entry::Vacant(new) => *new.insert(anchor(&model.0, &model.1)?),
                };
                if file == Some(found.anchor) {
                    let logged = recovered.entry(model);
                    let logged = logged.or_insert_with(|| Logged::new(found.anchor));
                    logged.add(&found, &segment);
                }
            }
            log.next = log.next.max(number + 1);
            log.segments.push(segment);
        }
        Ok((log, recovered))
    }

    /// Whether there is anything in it.
    pub fn is_empty(&self) -> bool {
        self.segments.is_empty()
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
        let mut group = Vec::with_capacity(bytes);
        for record in records {
            record.write(open.segment.0.number, open.end as u64, &mut group);
        }
        let written = disk.write_at(&open.file, open.end as u64, &group);
        if let Err(error) = written.and_then(|()| disk.sync_data(&open.file)) {
            open.segment.close();
            return Err(error);
        }
        open.end += group.len();
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

    /// Removes the closed segments in which nothing counts any more; a damaged one goes to quarantine instead. After
    /// a failure the disk is tried again from here on.
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
                let name = format!("log-{}{EXTENSION}", file.number);
                let moved = disk.create_folder(quarantine);
                moved.and_then(|()| disk.rename(&file.path, &quarantine.join(name)))
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
        disk.create_folder(&self.folder)?;
        if let Some(parent) = self.folder.parent() {
            disk.sync_folder(parent)?;
        }
        let number = self.next;
        self.next += 1;
        let path = self.folder.join(format!("{number:012}{EXTENSION}"));
        match self.make(disk, &path) {
            Ok(file) => {
                let segment = Segment(Arc::new(SegmentFile {
                    number,
                    path,
                    is_closed: AtomicBool::new(false),
                    is_damaged: false.into(),
                }));
                self.segments.push(segment.clone());
                Ok(Open {
                    segment,
                    file,
                    end: 0,
                })
            }
            Err(error) => {
                // Whatever it takes up is needed more elsewhere; an empty leftover goes after the next start.
                let _ = disk.remove_file(&path);
                Err(error)
            }
        }
    }

    fn make<D: Disk<File = F>>(&self, disk: &D, path: &Path) -> io::Result<F> {
        let mut file = disk.create(path)?;
        disk.write(&mut file, &vec![0; SEGMENT_BYTES])?;
        disk.sync_file(&file)?;
        disk.sync_folder(&self.folder)?;
        Ok(file)
    }
}
