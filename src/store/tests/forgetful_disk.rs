//! A disk that forgets. It keeps two images: what programs see, and what survives a power cut.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use crate::store::disk::{Disk, Entry, EntryKind, Identity, Stamp};

/// A file, as an index into [`State::contents`], or a folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Node {
    Folder,
    File(usize),
}

pub type Names = BTreeMap<PathBuf, Node>;

/// A change of names. Durable once one of its folders is synced; until then a crash may keep or lose it.
#[derive(Clone, Debug)]
pub enum Change {
    Add(PathBuf, Node),
    Rename(PathBuf, PathBuf),
    Remove(PathBuf),
}

#[derive(Clone, Debug, Default)]
pub struct Content {
    pub seen: Vec<u8>,
    pub durable: Vec<u8>,
}

#[derive(Clone, Debug, Default)]
pub struct State {
    pub seen: Names,
    pub durable: Names,
    /// Changes that are not durable yet, in order.
    pub pending: Vec<Change>,
    pub contents: Vec<Content>,
}

/// The disk, with its state before each step.
#[derive(Debug, Default)]
pub struct ForgetfulDisk {
    pub state: RefCell<State>,
    pub moments: RefCell<Vec<State>>,
    /// Whether it refuses to open files for writing in place.
    pub refuses_to_open: Cell<bool>,
}

impl Change {
    fn apply(&self, names: &mut Names) {
        match self {
            Self::Add(path, node) => {
                names.insert(path.clone(), *node);
            }
            Self::Remove(path) => names.retain(|name, _| !name.starts_with(path)),
            Self::Rename(from, to) => {
                let moved: Vec<_> = names
                    .keys()
                    .filter(|name| name.starts_with(from))
                    .cloned()
                    .collect();
                if moved.is_empty() {
                    return;
                }
                names.retain(|name, _| !name.starts_with(to));
                for name in moved {
                    let rest = name.strip_prefix(from).expect("it begins so");
                    let new = if rest.as_os_str().is_empty() {
                        to.clone()
                    } else {
                        to.join(rest)
                    };
                    let node = names.remove(&name).expect("it is there");
                    names.insert(new, node);
                }
            }
        }
    }

    fn is_in(&self, folder: &Path) -> bool {
        match self {
            Self::Add(path, _) | Self::Remove(path) => path.parent() == Some(folder),
            Self::Rename(from, to) => from.parent() == Some(folder) || to.parent() == Some(folder),
        }
    }
}

impl Content {
    /// The contents after a crash: no new bytes, the first half, the second, or all.
    fn torn(&self, part: usize) -> Vec<u8> {
        let differs = |(seen, durable): (&u8, &u8)| seen != durable;
        let same = self.seen.len().min(self.durable.len());
        let first = { self.seen.iter().zip(&self.durable) }.position(differs);
        let last = { self.seen.iter().zip(&self.durable) }.rposition(differs);
        match (part, first, last) {
            (0, ..) => self.durable.clone(),
            (3, ..) => self.seen.clone(),
            // Overwritten: either half may have reached the disk.
            (_, Some(first), Some(last)) => {
                let middle = (first + last).div_ceil(2);
                let mut bytes = self.seen.clone();
                let old = if part == 1 {
                    middle..same
                } else {
                    first..middle
                };
                bytes[old.clone()].copy_from_slice(&self.durable[old]);
                bytes
            }
            // Appended.
            _ => {
                let kept = same + (self.seen.len() - same) * part / 3;
                self.seen[..kept].to_vec()
            }
        }
    }
}

impl State {
    fn change(&mut self, change: Change) {
        change.apply(&mut self.seen);
        self.pending.push(change);
    }

    /// Every state that a power cut now can leave: any subset of the pending changes, and of unsynced writes nothing,
    /// either half or all.
    pub fn crashed(&self) -> Vec<Self> {
        let mut left = Vec::new();
        for kept in 0..1_u32 << self.pending.len() {
            let mut names = self.durable.clone();
            for (at, change) in self.pending.iter().enumerate() {
                if kept & (1 << at) != 0 {
                    change.apply(&mut names);
                }
            }
            // A name in a lost folder is lost as well.
            let known = names.clone();
            names.retain(|name, _| {
                name.parent()
                    .is_none_or(|folder| folder == Path::new("/") || known.contains_key(folder))
            });
            for part in 0..4 {
                let contents = self.contents.iter().map(|content| {
                    let bytes = content.torn(part);
                    Content {
                        seen: bytes.clone(),
                        durable: bytes,
                    }
                });
                left.push(Self {
                    seen: names.clone(),
                    durable: names.clone(),
                    pending: Vec::new(),
                    contents: contents.collect(),
                });
            }
        }
        left
    }
}

impl ForgetfulDisk {
    fn step(&self) -> std::cell::RefMut<'_, State> {
        let state = self.state.borrow_mut();
        self.moments.borrow_mut().push(state.clone());
        state
    }

    fn there(&self, path: &Path) -> io::Result<Node> {
        if path == Path::new("/") {
            return Ok(Node::Folder);
        }
        let state = self.state.borrow();
        let node = state.seen.get(path).copied();
        node.ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

impl Disk for ForgetfulDisk {
    type File = usize;

    fn create_folder(&self, path: &Path) -> io::Result<()> {
        let mut state = self.step();
        let mut folders: Vec<_> = path.ancestors().map(Path::to_owned).collect();
        folders.reverse();
        // The root always exists.
        for folder in folders.into_iter().skip(1) {
            if !state.seen.contains_key(&folder) {
                state.change(Change::Add(folder, Node::Folder));
            }
        }
        Ok(())
    }

    fn create(&self, path: &Path) -> io::Result<usize> {
        self.there(path.parent().expect("it lies somewhere"))?;
        let mut state = self.step();
        state.contents.push(Content::default());
        let file = state.contents.len() - 1;
        state.change(Change::Add(path.to_owned(), Node::File(file)));
        Ok(file)
    }

    fn write(&self, file: &mut usize, bytes: &[u8]) -> io::Result<()> {
        self.step().contents[*file].seen.extend(bytes);
        Ok(())
    }

    fn sync_file(&self, file: &usize) -> io::Result<()> {
        let mut state = self.step();
        let content = &mut state.contents[*file];
        content.durable = content.seen.clone();
        Ok(())
    }

    fn write_at(&self, file: &usize, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let from = usize::try_from(offset).expect("small");
        let seen = &mut self.step().contents[*file].seen;
        let end = from + bytes.len();
        seen.resize(seen.len().max(end), 0);
        seen[from..end].copy_from_slice(bytes);
        Ok(())
    }

    fn sync_data(&self, file: &usize) -> io::Result<()> {
        self.sync_file(file)
    }

    fn sync_folder(&self, path: &Path) -> io::Result<()> {
        self.there(path)?;
        let mut state = self.step();
        let pending = std::mem::take(&mut state.pending);
        for change in pending {
            if change.is_in(path) {
                change.apply(&mut state.durable);
            } else {
                state.pending.push(change);
            }
        }
        Ok(())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.there(from)?;
        self.step()
            .change(Change::Rename(from.to_owned(), to.to_owned()));
        Ok(())
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.there(path)?;
        self.step().change(Change::Remove(path.to_owned()));
        Ok(())
    }

    fn remove_folder(&self, path: &Path) -> io::Result<()> {
        self.remove_file(path)
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        match self.there(path)? {
            Node::File(file) => Ok(self.state.borrow().contents[file].seen.clone()),
            Node::Folder => Err(io::ErrorKind::IsADirectory.into()),
        }
    }

    fn entries(&self, folder: &Path) -> io::Result<Vec<Entry>> {
        self.there(folder)?;
        let state = self.state.borrow();
        let inside = state
            .seen
            .iter()
            .filter(|(name, _)| name.parent() == Some(folder));
        Ok(inside
            .map(|(name, node)| Entry {
                name: name
                    .file_name()
                    .expect("a name")
                    .to_string_lossy()
                    .into_owned(),
                kind: kind(*node),
            })
            .collect())
    }

    fn kind(&self, path: &Path) -> Option<EntryKind> {
        self.there(path).ok().map(kind)
    }

    fn open(&self, path: &Path) -> io::Result<usize> {
        if self.refuses_to_open.get() {
            return Err(io::Error::other("the disk refuses"));
        }
        match self.there(path)? {
            Node::File(file) => Ok(file),
            Node::Folder => Err(io::ErrorKind::IsADirectory.into()),
        }
    }

    fn stamp(&self, path: &Path) -> io::Result<Stamp> {
        let node = self.there(path)?;
        let (identity, length) = match node {
            Node::File(file) => {
                let length = self.state.borrow().contents[file].seen.len();
                ((0, file as u64), length as u64)
            }
            // No test replaces a folder.
            Node::Folder => ((1, 0), 0),
        };
        Ok(Stamp {
            kind: kind(node),
            identity,
            length,
            changed: (0, 0),
        })
    }

    fn identity_of(&self, file: &usize) -> io::Result<Identity> {
        Ok((0, *file as u64))
    }
}

fn kind(node: Node) -> EntryKind {
    match node {
        Node::File(_) => EntryKind::File,
        Node::Folder => EntryKind::Folder,
    }
}
