//! A disk that forgets. It keeps two images: what programs see, and what a power cut leaves. Between any two steps of
//! a commit the power is cut, every allowed choice of what was not yet durable is made, and the store is opened on it.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use super::super::*;

/// A file's bytes, by their number in [`State::contents`], or a folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Node {
    Folder,
    File(usize),
}

type Names = BTreeMap<PathBuf, Node>;

/// A change of names. Durable when a folder that it happened in is synced; until then a crash keeps it or not.
#[derive(Clone, Debug)]
enum Change {
    Add(PathBuf, Node),
    Rename(PathBuf, PathBuf),
    Remove(PathBuf),
}

#[derive(Clone, Debug, Default)]
struct Content {
    seen: Vec<u8>,
    durable: Vec<u8>,
}

#[derive(Clone, Debug, Default)]
struct State {
    seen: Names,
    durable: Names,
    /// Not yet durable, in order.
    pending: Vec<Change>,
    contents: Vec<Content>,
}

/// The disk, and its state before each step so far.
#[derive(Debug, Default)]
struct ForgetfulDisk {
    state: RefCell<State>,
    moments: RefCell<Vec<State>>,
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
    /// What is left of it: nothing new, the first half of that, the second, or all.
    fn torn(&self, part: usize) -> Vec<u8> {
        let differs = |(seen, durable): (&u8, &u8)| seen != durable;
        let same = self.seen.len().min(self.durable.len());
        let first = { self.seen.iter().zip(&self.durable) }.position(differs);
        let last = { self.seen.iter().zip(&self.durable) }.rposition(differs);
        match (part, first, last) {
            (0, ..) => self.durable.clone(),
            (3, ..) => self.seen.clone(),
            // Written over: either half can be the one that came to the disk.
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
            // Grown.
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

    /// Every state that a power cut now can leave: any of the pending changes, and of what was written and not synced
    /// nothing, either half or all.
    fn crashed(&self) -> Vec<Self> {
        let mut left = Vec::new();
        for kept in 0..1_u32 << self.pending.len() {
            let mut names = self.durable.clone();
            for (at, change) in self.pending.iter().enumerate() {
                if kept & (1 << at) != 0 {
                    change.apply(&mut names);
                }
            }
            // A name whose folder was lost is lost with it.
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
        // The root is always there.
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
        self.step().contents[*file].seen[from..from + bytes.len()].copy_from_slice(bytes);
        Ok(())
    }

    fn sync_data(&self, file: &usize) -> io::Result<()> {
        self.sync_file(file)
    }

    fn sync_folder(&self, path: &Path) -> io::Result<()> {
        if path != Path::new("/") {
            self.there(path)?;
        }
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

    fn names(&self, folder: &Path) -> io::Result<Vec<String>> {
        self.there(folder)?;
        let state = self.state.borrow();
        let inside = state
            .seen
            .keys()
            .filter(|name| name.parent() == Some(folder));
        Ok(inside
            .map(|name| {
                name.file_name()
                    .expect("a name")
                    .to_string_lossy()
                    .into_owned()
            })
            .collect())
    }

    fn exists(&self, path: &Path) -> bool {
        self.there(path).is_ok()
    }
}

/// What a store holds: each session's record, and each of its models.
type Held = BTreeMap<String, (Vec<u8>, BTreeMap<String, Vec<u8>>)>;

fn store(state: State) -> Store<ForgetfulDisk> {
    let disk = ForgetfulDisk {
        state: RefCell::new(state),
        moments: RefCell::default(),
    };
    Store::on(disk, Path::new("/"), None).expect("it opens")
}

/// What is found after a crash; a session without a record is one whose making was never acknowledged.
fn found(state: State) -> Held {
    let store = store(state);
    let mut held = Held::new();
    for found in store.sessions().expect("listed") {
        let Ok(record) = found.record else { continue };
        let read = |model: &String| match store.take_logged(&found.session, model) {
            Some(logged) => logged.snapshot.expect("nothing is damaged"),
            None => store.model(&found.session, model).expect("it is there"),
        };
        let models = found
            .models
            .iter()
            .map(|model| (model.clone(), read(model)));
        held.insert(found.session.clone(), (record, models.collect()));
    }
    held
}

type Act = fn(&Store<ForgetfulDisk>) -> io::Result<()>;

fn put(store: &Store<ForgetfulDisk>, model: &str, snapshot: &[u8]) -> io::Result<()> {
    let (session, model) = model.split_once('/').expect("session/model");
    store.put_model(session, model, snapshot).map(drop)
}

/// Commits into the log, after whatever the models' files hold.
fn log(store: &Store<ForgetfulDisk>, models: &[(&str, &[u8])]) -> io::Result<()> {
    let mut records = Vec::new();
    for (model, snapshot) in models {
        let (session, model) = model.split_once('/').expect("session/model");
        records.push(Record {
            session: session.to_owned(),
            model: model.to_owned(),
            anchor: Anchor::of(&store.model(session, model)?),
            snapshot: snapshot.to_vec(),
        });
    }
    store.log(&records).map(drop)
}

/// Does one after the other, and cuts the power before every step. What is done quietly changes no model.
fn cut_the_power(acts: &[(&str, Act)]) -> usize {
    let sessions = Names::from([(PathBuf::from("/sessions"), Node::Folder)]);
    let mut store = store(State {
        seen: sessions.clone(),
        durable: sessions,
        ..State::default()
    });
    store.disk.moments.take();
    let mut before = Held::new();
    let mut cuts = 0;
    for (what, act) in acts {
        act(&store).expect(what);
        let after = found_live(&mut store);
        assert_eq!(before == after, what.starts_with("quietly"), "{what}");
        let moments = store.disk.moments.take();
        for (at, moment) in moments.iter().enumerate() {
            for crashed in moment.crashed() {
                cuts += 1;
                let found = found(crashed);
                assert!(
                    found == before || found == after,
                    "{what}, before step {at} of {}: {found:?} is neither {before:?} nor {after:?}",
                    moments.len()
                );
            }
        }
        // Acknowledged: whatever is lost from now on, this is not.
        let acknowledged = store.disk.state.borrow().clone();
        for crashed in acknowledged.crashed() {
            cuts += 1;
            assert_eq!(found(crashed), after, "{what}, acknowledged");
        }
        before = after;
    }
    cuts
}

#[test]
fn whenever_the_power_fails_the_old_state_or_the_new_one_is_there_whole() {
    let cuts = cut_the_power(&[
        ("a session", |store| store.put_session("s", b"record of s")),
        ("a model", |store| put(store, "s/a", b"first of a")),
        ("a second commit", |store| put(store, "s/a", b"second of a")),
        ("a third commit", |store| put(store, "s/a", b"third of a")),
        ("another model", |store| put(store, "s/b", b"first of b")),
        ("another session", |store| {
            store.put_session("t", b"record of t")
        }),
        ("a model in it", |store| put(store, "t/a", b"first of t's")),
        ("a deletion", |store| store.delete_model("s", "a")),
        ("the same model anew", |store| put(store, "s/a", b"new a")),
        ("a session's deletion", |store| store.delete_session("s")),
    ]);
    assert!(cuts > 300, "{cuts} power cuts");
}

#[test]
fn whenever_the_power_fails_the_log_holds_what_it_acknowledged() {
    let cuts = cut_the_power(&[
        ("a session", |store| store.put_session("s", b"record of s")),
        ("a model", |store| put(store, "s/a", b"first of a")),
        ("a first commit in the log", |store| {
            log(store, &[("s/a", b"second of a")])
        }),
        ("one after it", |store| {
            log(store, &[("s/a", b"third of a")])
        }),
        ("another model", |store| put(store, "s/b", b"first of b")),
        ("its commit", |store| log(store, &[("s/b", b"second of b")])),
        ("quietly, one put into its file", |store| {
            put(store, "s/a", b"third of a")
        }),
        ("one newer than its file", |store| {
            log(store, &[("s/a", b"fourth of a")])
        }),
        ("a larger one in its file", |store| {
            put(store, "s/a", b"fifth of a, which is large")
        }),
        ("a new segment", |store| {
            store.close_segment();
            log(store, &[("s/a", b"sixth of a")])
        }),
        ("a deletion", |store| store.delete_model("s", "a")),
        ("the same model anew", |store| put(store, "s/a", b"new a")),
        ("its commit", |store| log(store, &[("s/a", b"newer a")])),
        ("quietly, one more", |store| {
            put(store, "s/b", b"second of b")
        }),
        ("quietly, the rest", |store| put(store, "s/a", b"newer a")),
        ("quietly, segments removed", |store| {
            store.close_segment();
            store.tidy_log()
        }),
        ("a session's deletion", |store| store.delete_session("s")),
    ]);
    assert!(cuts > 300, "{cuts} power cuts");
}

#[test]
fn each_of_a_group_is_there_whole_or_as_it_was_when_the_power_fails() {
    let store = store(State {
        seen: Names::from([(PathBuf::from("/sessions"), Node::Folder)]),
        durable: Names::from([(PathBuf::from("/sessions"), Node::Folder)]),
        ..State::default()
    });
    store.put_session("s", b"").expect("written");
    for model in ["s/a", "s/b", "s/c"] {
        put(&store, model, b"old").expect("written");
    }
    store.disk.moments.take();
    let group: [(&str, &[u8]); 3] = [("s/a", b"new"), ("s/b", b"new"), ("s/c", b"new")];
    log(&store, &group).expect("written");
    let mut mixed = 0;
    for moment in store.disk.moments.take() {
        for crashed in moment.crashed() {
            let (_, models) = &found(crashed)["s"];
            let new = models.values().filter(|content| *content == b"new").count();
            let old = models.values().filter(|content| *content == b"old").count();
            assert_eq!(old + new, 3, "{models:?}");
            mixed += usize::from(old > 0 && new > 0);
        }
    }
    assert!(mixed > 0, "halves of the group were tried");
}

/// What the store holds now, without a crash.
fn found_live(store: &mut Store<ForgetfulDisk>) -> Held {
    let state = store.disk.state.borrow();
    let calm = State {
        durable: state.seen.clone(),
        contents: state
            .contents
            .iter()
            .map(|content| Content {
                durable: content.seen.clone(),
                ..content.clone()
            })
            .collect(),
        pending: Vec::new(),
        seen: state.seen.clone(),
    };
    found(calm)
}
