//! The manifest: the last durable commit of each model. It reveals files and log segments that were lost, damaged or
//! replaced by older ones.
//!
//! ```text
//! manifest    a head of 256 bytes, then a slot of 256 bytes for each model, zero if free
//! slot        session (64), model (64), two cells (64 each), of which the newer intact one is valid
//! cell        count, updated, step, 0 (u64 each), BLAKE3 over the ids and these (32)
//! ```
//!
//! A cell is written after its commit is durable and before the commit is acknowledged, without a sync: after a crash of
//! the process, the manifest has every acknowledged commit; after a power cut it may lag behind, but is never ahead. A
//! model is removed from it, with a sync, before its files are removed.
//!
//! Memory holds every slot, so a file that another process changed, removed or replaced is rewritten from memory: with
//! the next commit or deletion, at the latest within a second.

mod format;

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::disk::{Disk, EntryKind, Identity, Stamp};
use super::write_temporary;
use format::{CELL, ID, Key, SLOT, Slot, cell, hash, head, ids, key, place};

pub(super) use format::{Contents, encode, is_newer};

/// The position of a commit among all commits of its model.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mark {
    /// When the model was last changed, in nanoseconds since 1970; increases with every change.
    pub updated: u64,
    /// The model's step.
    pub step: u64,
}

/// The last durable commit of each model, by session and model.
pub type Marks = BTreeMap<(String, String), Mark>;

#[derive(Debug)]
pub(super) struct Manifest<F> {
    path: PathBuf,
    /// `None` if the disk refused to open it.
    file: Option<Arc<F>>,
    /// The identity of that file.
    identity: Identity,
    /// The state of the file after the last write; `None` if unknown.
    stamp: Option<Stamp>,
    /// Whether the path no longer leads to what was written.
    is_changed: bool,
    slots: BTreeMap<Key, Slot>,
    free: Vec<u64>,
    /// The number of the first slot that has never been used.
    end: u64,
    /// Whether there are writes without a sync.
    is_dirty: bool,
    /// Whether the last write failed.
    has_failed: bool,
}

impl<F> Manifest<F> {
    /// Opens the manifest at this path with its contents; creates it if missing.
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
            path: path.to_owned(),
            identity: disk.identity_of(&file)?,
            stamp: disk.stamp(path).ok(),
            is_changed: false,
            file: Some(Arc::new(file)),
            slots: contents.slots.clone(),
            free: contents.free.clone(),
            end: contents.end,
            is_dirty: false,
            has_failed: false,
        })
    }

    /// A manifest without a file: nothing is recorded until [`Manifest::check_place`] can open it.
    pub fn absent(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
            identity: Identity::default(),
            stamp: None,
            is_changed: false,
            file: None,
            slots: BTreeMap::new(),
            free: Vec::new(),
            end: 0,
            is_dirty: false,
            has_failed: false,
        }
    }

    /// Restores the file from memory if needed: opens the manifest if the disk refused it at startup, and rewrites it
    /// if another process changed it.
    ///
    /// # Errors
    /// The disk refuses, or the path is occupied by something other than a file: until that is moved away, startup
    /// cannot detect lost commits.
    pub fn check_place<D: Disk<File = F>>(&mut self, disk: &D) -> io::Result<()> {
        if self.file.is_none() {
            let path = self.path.clone();
            let is_new = !disk.exists(&path);
            let bytes = if is_new {
                Vec::new()
            } else {
                disk.read(&path)?
            };
            let contents = Contents::read(&bytes);
            if is_new || contents.has_head {
                *self = Self::open(disk, &path, &contents, is_new)?;
            }
            return Ok(());
        }
        self.look_and_mend(disk)?;
        if self.is_changed {
            let shown = self.path.display();
            return Err(io::Error::other(format!(
                "{shown} was replaced by a folder or a link, which is left alone: move it away, or a later start does \
                 not notice commits that are lost"
            )));
        }
        Ok(())
    }

    /// Rewrites the manifest from memory if another process changed the file. Anything but a file is left alone:
    /// startup reads no manifest there either, so it does not report deleted models as lost.
    ///
    /// # Errors
    /// The disk write fails.
    fn mend<D: Disk<File = F>>(&mut self, disk: &D) -> io::Result<()> {
        if !self.is_changed || self.file.is_none() {
            return Ok(());
        }
        match disk.kind(&self.path) {
            Some(EntryKind::File) | None => {}
            Some(EntryKind::Folder | EntryKind::Other) => return Ok(()),
        }
        let (temporary, file) = write_temporary(disk, &self.path, &self.bytes())?;
        if let Err(error) = disk.rename(&temporary, &self.path) {
            let _ = disk.remove_file(&temporary);
            return Err(error);
        }
        if let Some(folder) = self.path.parent() {
            disk.sync_folder(folder)?;
        }
        self.identity = disk.identity_of(&file)?;
        self.stamp = disk.stamp(&self.path).ok();
        self.file = Some(Arc::new(file));
        (self.is_changed, self.is_dirty) = (false, false);
        tracing::warn!(
            "{} was removed, replaced or changed by another process: it was rewritten from memory",
            self.path.display()
        );
        Ok(())
    }

    /// Checks the file, and rewrites the manifest from memory if another process changed it, as [`Manifest::mend`]
    /// does.
    ///
    /// # Errors
    /// The disk write fails.
    pub fn look_and_mend<D: Disk<File = F>>(&mut self, disk: &D) -> io::Result<()> {
        if self.file.is_some() {
            self.look(disk);
        }
        self.mend(disk)
    }

    /// Checks whether the path leads to what was written last.
    fn look<D: Disk<File = F>>(&mut self, disk: &D) {
        self.is_changed |= disk.stamp(&self.path).ok() != self.stamp;
    }

    /// Records the state of the file after a write.
    fn note_stamp<D: Disk<File = F>>(&mut self, disk: &D) {
        self.stamp = disk.stamp(&self.path).ok();
        let is_this = |stamp: Stamp| stamp.identity == self.identity;
        self.is_changed |= !self.stamp.is_some_and(is_this);
    }

    /// The complete contents of the file.
    fn bytes(&self) -> Vec<u8> {
        let slots = usize::try_from(self.end).unwrap_or_default();
        let mut bytes = head().to_vec();
        bytes.resize(SLOT * (1 + slots), 0);
        let places = bytes.chunks_exact_mut(SLOT).skip(1);
        let mut places: Vec<_> = places.collect();
        for slot in self.slots.values() {
            let number = usize::try_from(slot.number).unwrap_or_default();
            if let Some(place) = places.get_mut(number) {
                let (ids, cells) = place.split_at_mut(2 * ID);
                ids.copy_from_slice(&slot.ids[..]);
                let at = if slot.count % 2 == 0 { 0 } else { CELL };
                let cell = cell(&slot.ids[..], slot.count, slot.mark);
                cells[at..at + CELL].copy_from_slice(&cell);
            }
        }
        bytes
    }

    /// The last mark of a model.
    pub fn mark(&self, session: &str, model: &str) -> Option<Mark> {
        self.slots.get(&key(session, model)).map(|slot| slot.mark)
    }

    /// Records that these commits are durable, each given by session, model and mark. If the disk refuses, the manifest
    /// lags behind.
    pub fn note<'n, D: Disk<File = F>>(
        &mut self,
        disk: &D,
        commits: impl Iterator<Item = (&'n str, &'n str, Mark)>,
    ) {
        let Some(file) = self.file.clone() else {
            return;
        };
        let mut has_looked = false;
        for (session, model, mark) in commits {
            if self.mark(session, model) == Some(mark) {
                continue;
            }
            if !has_looked {
                self.look(disk);
                has_looked = true;
            }
            let written = self.write(disk, &file, (session, model), mark);
            self.is_dirty = true;
            self.report(written);
        }
        if has_looked {
            self.note_stamp(disk);
            // If the disk refuses, the next commit or the next periodic check retries.
            let _ = self.mend(disk);
        }
    }

    /// Writes a model's mark.
    fn write<D: Disk<File = F>>(
        &mut self,
        disk: &D,
        file: &F,
        (session, model): (&str, &str),
        mark: Mark,
    ) -> io::Result<()> {
        let key = key(session, model);
        if let Some(slot) = self.slots.get_mut(&key) {
            slot.count += 1;
            slot.mark = mark;
            let at = place(slot.number) + 2 * ID as u64 + slot.count % 2 * CELL as u64;
            return disk.write_at(file, at, &cell(&slot.ids[..], slot.count, mark));
        }
        let number = self.free.pop().unwrap_or(self.end);
        self.end = self.end.max(number + 1);
        let ids = ids(session, model);
        let slot = Slot {
            ids: Box::new(ids),
            number,
            count: 0,
            mark,
        };
        self.slots.insert(key, slot);
        let mut bytes = ids.to_vec();
        bytes.extend(cell(&ids, 0, mark));
        bytes.resize(SLOT, 0);
        let written = disk.write_at(file, place(number), &bytes);
        if written.is_err() {
            self.slots.remove(&key);
            self.free.push(number);
        }
        written
    }

    /// Removes models from the manifest; the caller syncs before it removes their files. Without `model`, removes all
    /// models of the session.
    ///
    /// # Errors
    /// The disk write fails; some models may be removed.
    pub fn forget<D: Disk<File = F>>(
        &mut self,
        disk: &D,
        session: &str,
        model: Option<&str>,
    ) -> io::Result<()> {
        // Done first, so that a failure leaves everything unchanged.
        if self.file.is_none() && disk.kind(&self.path) == Some(EntryKind::File) {
            // The disk refused the file at startup. Its marks of these models would make their deletion look like a loss.
            self.check_place(disk)?;
        }
        self.look_and_mend(disk)?;
        let Some(file) = self.file.clone() else {
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
            let written = disk.write_at(&file, place(number), &[0; SLOT]);
            self.note_stamp(disk);
            written?;
            self.is_dirty = true;
            self.slots.remove(&key);
            self.free.push(number);
        }
        Ok(())
    }

    /// The file to sync, if there are writes since the last sync.
    pub fn take_dirty(&mut self) -> Option<Arc<F>> {
        let is_dirty = std::mem::take(&mut self.is_dirty);
        self.file.clone().filter(|_| is_dirty)
    }

    /// Records that a sync failed.
    pub const fn note_dirty(&mut self) {
        self.is_dirty = true;
    }

    fn report(&mut self, written: io::Result<()>) {
        match written {
            Err(error) if !self.has_failed => {
                self.has_failed = true;
                tracing::error!(
                    %error,
                    "the manifest cannot be written: until it can, startup cannot detect lost commits"
                );
            }
            Err(_) => {}
            Ok(()) => self.has_failed = false,
        }
    }
}
