//! The manifest: the last durable commit of each model, so that a file or a part of the log that was lost, damaged or
//! replaced by an older one is noticed.
//!
//! ```text
//! manifest    a head of 256 bytes, then a slot of 256 bytes for each model, zero where it is free
//! slot        session (64), model (64), two cells (64 each) of which the newer sound one counts
//! cell        count, updated, step, 0 (u64 each), BLAKE3 over the ids and these (32)
//! ```
//!
//! A cell is written after its commit is durable and before the commit is acknowledged, without a sync: whatever stops
//! the process, the manifest has every acknowledged commit, and after a power cut it is at most behind, never ahead. A
//! model is taken out, with a sync, before its files are removed.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::Arc;

use super::disk::Disk;

/// Where a commit stands among all commits of its model.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mark {
    /// When the model was last changed, in nanoseconds since 1970; grows with every change.
    pub updated: u64,
    /// The model's step.
    pub step: u64,
}

/// The last durable commit of each model: by session and model.
pub type Marks = BTreeMap<(String, String), Mark>;

const SLOT: usize = 256;
const ID: usize = 64;
const CELL: usize = 64;
const MAGIC: &[u8; 8] = b"bpd-man1";
const FAMILY: &[u8; 7] = b"bpd-man";

/// Hashes of the two ids, the session's first, so that a session's slots lie together.
type Key = (u64, u64);

#[derive(Debug)]
pub(super) struct Manifest<F> {
    /// `None` where the disk refused it.
    file: Option<Arc<F>>,
    slots: BTreeMap<Key, Slot>,
    free: Vec<u64>,
    /// The number of the first slot that was never used.
    end: u64,
    /// Whether something was written and not synced.
    is_dirty: bool,
    /// Whether the last write failed.
    has_failed: bool,
}

#[derive(Clone, Copy, Debug)]
struct Slot {
    number: u64,
    count: u64,
    mark: Mark,
}

/// What a manifest's bytes hold.
#[derive(Debug, Default)]
pub(super) struct Contents {
    pub marks: Marks,
    slots: BTreeMap<Key, Slot>,
    free: Vec<u64>,
    end: u64,
    /// Slots of which nothing can be read.
    pub damaged: usize,
    /// Whether the head is as it was written.
    pub has_head: bool,
    /// Whether there is nothing at all.
    pub is_empty: bool,
}

/// Whether a newer program wrote this manifest.
pub(super) fn is_newer(bytes: &[u8]) -> bool {
    // One flipped bit can make the next version of the magic word; sound slots tell.
    let version = bytes
        .get(..MAGIC.len())
        .and_then(|word| word.strip_prefix(FAMILY));
    matches!(version, Some([b'2'..=b'9'])) && Contents::read(bytes).slots.is_empty()
}

impl Contents {
    pub fn read(bytes: &[u8]) -> Self {
        let mut contents = Self {
            has_head: bytes.get(..SLOT) == Some(&head()[..]),
            is_empty: bytes.is_empty(),
            ..Self::default()
        };
        let slots = bytes.get(SLOT..).unwrap_or_default();
        for (number, slot) in (0..).zip(slots.chunks(SLOT)) {
            contents.end = number + 1;
            match read_slot(slot) {
                Some((session, model, count, mark)) => {
                    let key = key(&session, &model);
                    let slot = Slot {
                        number,
                        count,
                        mark,
                    };
                    contents.slots.insert(key, slot);
                    contents.marks.insert((session, model), mark);
                }
                None => {
                    contents.damaged += usize::from(slot.iter().any(|&byte| byte != 0));
                    contents.free.push(number);
                }
            }
        }
        contents
    }
}

impl<F> Manifest<F> {
    /// The manifest at this path with what was read of it; made anew where there is none.
    pub fn open<D: Disk<File = F>>(
        disk: &D,
        path: &Path,
        contents: &Contents,
        is_new: bool,
    ) -> io::Result<Self> {
        let file = if is_new {
            let mut file = disk.create(path)?;
            disk.write(&mut file, &head())?;
            disk.sync_file(&file)?;
            if let Some(folder) = path.parent() {
                disk.sync_folder(folder)?;
            }
            file
        } else {
            let file = disk.open(path)?;
            if !contents.has_head {
                disk.write_at(&file, 0, &head())?;
            }
            file
        };
        Ok(Self {
            file: Some(Arc::new(file)),
            slots: contents.slots.clone(),
            free: contents.free.clone(),
            end: contents.end,
            is_dirty: false,
            has_failed: false,
        })
    }

    /// None: nothing is noted.
    pub const fn absent() -> Self {
        Self {
            file: None,
            slots: BTreeMap::new(),
            free: Vec::new(),
            end: 0,
            is_dirty: false,
            has_failed: false,
        }
    }

    /// Begins a new manifest where the file was removed while it was in use.
    ///
    /// # Errors
    /// It was removed or replaced: a later start does not notice what only this one knew.
    pub fn check_place<D: Disk<File = F>>(&mut self, disk: &D, path: &Path) -> io::Result<()> {
        let Some(file) = &self.file else {
            // The disk refused it at the start.
            let is_new = !disk.exists(path);
            let bytes = if is_new { Vec::new() } else { disk.read(path)? };
            let contents = Contents::read(&bytes);
            if is_new || contents.has_head {
                *self = Self::open(disk, path, &contents, is_new)?;
            }
            return Ok(());
        };
        let now = disk.identity(path).ok();
        if now == Some(disk.identity_of(file)?) {
            return Ok(());
        }
        let path_is_free = now.is_none();
        if path_is_free {
            *self = Self::open(disk, path, &Contents::default(), true)?;
        }
        let shown = path.display();
        Err(io::Error::other(if path_is_free {
            format!("{shown} was removed: a new one knows the models that change from now on")
        } else {
            format!("{shown} was replaced: commits from now on are not in it")
        }))
    }

    /// What was last noted of a model.
    pub fn mark(&self, session: &str, model: &str) -> Option<Mark> {
        self.slots.get(&key(session, model)).map(|slot| slot.mark)
    }

    /// Notes that this commit of a model is durable. Where the disk refuses, the manifest stays behind.
    pub fn note<D: Disk<File = F>>(&mut self, disk: &D, session: &str, model: &str, mark: Mark) {
        let Some(file) = &self.file else { return };
        let key = key(session, model);
        let written = if let Some(slot) = self.slots.get_mut(&key) {
            if slot.mark == mark {
                return;
            }
            slot.count += 1;
            slot.mark = mark;
            let at = place(slot.number) + 2 * ID as u64 + slot.count % 2 * CELL as u64;
            disk.write_at(file, at, &cell(&ids(session, model), slot.count, mark))
        } else {
            let number = self.free.pop().unwrap_or(self.end);
            self.end = self.end.max(number + 1);
            let slot = Slot {
                number,
                count: 0,
                mark,
            };
            self.slots.insert(key, slot);
            let ids = ids(session, model);
            let mut bytes = ids.to_vec();
            bytes.extend(cell(&ids, 0, mark));
            bytes.resize(SLOT, 0);
            let written = disk.write_at(file, place(number), &bytes);
            if written.is_err() {
                self.slots.remove(&key);
                self.free.push(number);
            }
            written
        };
        self.is_dirty = true;
        self.tell(written);
    }

    /// Takes models out; the caller syncs before it removes their files. `model` is `None` for all of a session.
    ///
    /// # Errors
    /// The disk refuses; some may be out.
    pub fn forget<D: Disk<File = F>>(
        &mut self,
        disk: &D,
        session: &str,
        model: Option<&str>,
    ) -> io::Result<()> {
        let Some(file) = &self.file else {
            return Ok(());
        };
        let keys = match model {
            Some(model) => {
                let key = key(session, model);
                key..=key
            }
            None => (hash(session), 0)..=(hash(session), u64::MAX),
        };
        let slots = self.slots.range(keys);
        let slots: Vec<(Key, u64)> = slots.map(|(key, slot)| (*key, slot.number)).collect();
        for (key, number) in slots {
            disk.write_at(file, place(number), &[0; SLOT])?;
            self.is_dirty = true;
            self.slots.remove(&key);
            self.free.push(number);
        }
        Ok(())
    }

    /// The file to sync, if something was written since the last time.
    pub fn take_dirty(&mut self) -> Option<Arc<F>> {
        let is_dirty = std::mem::take(&mut self.is_dirty);
        self.file.clone().filter(|_| is_dirty)
    }

    /// Notes that a sync failed.
    pub const fn note_dirty(&mut self) {
        self.is_dirty = true;
    }

    fn tell(&mut self, written: io::Result<()>) {
        match written {
            Err(error) if !self.has_failed => {
                self.has_failed = true;
                tracing::error!(
                    %error,
                    "the manifest cannot be written: until it can, a start does not notice commits that are lost"
                );
            }
            Err(_) => {}
            Ok(()) => self.has_failed = false,
        }
    }
}

fn head() -> [u8; SLOT] {
    let mut head = [0; SLOT];
    head[..MAGIC.len()].copy_from_slice(MAGIC);
    head
}

const fn place(number: u64) -> u64 {
    (1 + number) * SLOT as u64
}

fn hash(id: &str) -> u64 {
    let hash = blake3::hash(id.as_bytes());
    let word = hash.as_bytes().first_chunk();
    word.map_or(0, |word| u64::from_le_bytes(*word))
}

fn key(session: &str, model: &str) -> Key {
    (hash(session), hash(model))
}

fn ids(session: &str, model: &str) -> [u8; 2 * ID] {
    let mut ids = [0; 2 * ID];
    for (id, room) in [session, model].into_iter().zip(ids.chunks_exact_mut(ID)) {
        let length = id.len().min(ID - 1);
        room[..length].copy_from_slice(&id.as_bytes()[..length]);
    }
    ids
}

fn cell(ids: &[u8], count: u64, mark: Mark) -> [u8; CELL] {
    let mut cell = [0; CELL];
    let numbers = [count, mark.updated, mark.step, 0];
    for (number, room) in numbers.into_iter().zip(cell.chunks_exact_mut(8)) {
        room.copy_from_slice(&number.to_le_bytes());
    }
    let sum = checksum(ids, &cell[..CELL / 2]);
    cell[CELL / 2..].copy_from_slice(sum.as_bytes());
    cell
}

fn checksum(ids: &[u8], numbers: &[u8]) -> blake3::Hash {
    let mut hasher = blake3::Hasher::new();
    hasher.update(ids);
    hasher.update(numbers);
    hasher.finalize()
}

/// The ids in a slot, and the newer of its sound cells: its count and its mark.
fn read_slot(slot: &[u8]) -> Option<(String, String, u64, Mark)> {
    let (ids, cells) = slot.split_at_checked(2 * ID)?;
    let number = |bytes: &[u8], at: usize| {
        let word = bytes.get(8 * at..)?.first_chunk()?;
        Some(u64::from_le_bytes(*word))
    };
    let sound = cells.chunks_exact(CELL).filter_map(|cell| {
        let (numbers, sum) = cell.split_at(CELL / 2);
        let mark = Mark {
            updated: number(numbers, 1)?,
            step: number(numbers, 2)?,
        };
        let is_sound = checksum(ids, numbers).as_bytes() == sum;
        is_sound.then_some((number(numbers, 0)?, mark))
    });
    let (count, mark) = sound.max_by_key(|(count, _)| *count)?;
    let id = |padded: &[u8]| {
        let end = padded.iter().position(|&byte| byte == 0)?;
        String::from_utf8(padded[..end].to_vec()).ok()
    };
    Some((id(&ids[..ID])?, id(&ids[ID..])?, count, mark))
}
