//! Reports of startup about a folder that was damaged while no process used it.

use std::path::{Path, PathBuf};

use super::*;

pub const ONE: Mark = Mark {
    updated: 10,
    step: 1,
};
pub const TWO: Mark = Mark {
    updated: 20,
    step: 2,
};

/// A store with the models a to i, each with a file and a commit in the log.
pub fn nine() -> (tempfile::TempDir, Store) {
    let (folder, store) = opened();
    for model in MODELS {
        store
            .put_model("s", model, format!("file of {model}").as_bytes(), Some(ONE))
            .expect("written");
    }
    for model in MODELS {
        store.log(&[record(&store, model)]).expect("written");
    }
    (folder, store)
}

pub const MODELS: [&str; 9] = ["a", "b", "c", "d", "e", "f", "g", "h", "i"];

pub fn record(store: &Store, model: &str) -> Record {
    Record {
        session: "s".to_owned(),
        model: model.to_owned(),
        anchor: Anchor::of(&store.model("s", model).expect("read")),
        mark: TWO,
        kind: Kind::Snapshot,
        content: format!("log of {model}").into_bytes(),
    }
}

fn segment(folder: &tempfile::TempDir) -> PathBuf {
    folder.path().join("log/000000000000.log")
}

/// The models whose last commit, according to the manifest, is missing from the log.
pub fn missed(store: &Store) -> Vec<&'static str> {
    let marks = store.take_marks().expect("there is a manifest");
    let is_missed = |model: &&str| {
        let found = store.take_logged("s", model).and_then(|logged| logged.mark);
        found.unwrap_or(ONE) < marks[&("s".to_owned(), (*model).to_owned())]
    };
    MODELS.into_iter().filter(is_missed).collect()
}

fn find(bytes: &[u8], word: &str) -> usize {
    let at = bytes
        .windows(word.len())
        .position(|bytes| bytes == word.as_bytes());
    at.expect("it is there")
}

#[test]
fn zeros_over_a_commit_with_sound_ones_behind_it_are_told_by_name() {
    let (folder, store) = nine();
    drop(store);
    let mut bytes = fs::read(segment(&folder)).expect("read");
    let each = find(&bytes, "log of b") - find(&bytes, "log of a");
    bytes[each..2 * each].fill(0);
    fs::write(segment(&folder), bytes).expect("written");
    let store = Store::open(folder.path()).expect("it opens");
    let told = store.findings().join("\n");
    assert!(
        told.contains("000000000000.log: what lay between"),
        "{told}"
    );
    assert_eq!(missed(&store), ["b"]);
    // Known damage is preserved.
    store.tidy_log().expect("moved");
    assert!(folder.path().join("quarantine/log-0.log").exists());
}

#[test]
fn a_part_of_the_log_that_was_cut_emptied_or_removed_is_told_by_name() {
    let each = |bytes: &[u8]| find(bytes, "log of b") - find(bytes, "log of a");
    type Damage<'a> = &'a dyn Fn(&Path, &[u8]);
    let cut: Damage<'_> = &|path, bytes| {
        fs::write(path, &bytes[..7 * each(bytes)]).expect("written");
    };
    let last_zeroed: Damage<'_> = &|path, bytes| {
        let mut bytes = bytes.to_vec();
        let from = 7 * each(&bytes);
        bytes[from..].fill(0);
        fs::write(path, bytes).expect("written");
    };
    let emptied: Damage<'_> = &|path, _| fs::write(path, b"").expect("written");
    let removed: Damage<'_> = &|path, _| fs::remove_file(path).expect("removed");
    let folder_removed: Damage<'_> = &|path, _| {
        let folder = path.parent().expect("a folder");
        fs::remove_dir_all(folder).expect("removed");
    };
    let some: &[&str] = &["h", "i"];
    for (what, damage, lost) in [
        ("cut", cut, some),
        ("last ones zeroed", last_zeroed, some),
        ("emptied", emptied, &MODELS),
        ("removed", removed, &MODELS),
        ("folder removed", folder_removed, &MODELS),
    ] {
        let (folder, store) = nine();
        drop(store);
        let path = segment(&folder);
        damage(&path, &fs::read(&path).expect("read"));
        let store = Store::open(folder.path()).expect("it opens");
        assert_eq!(missed(&store), lost, "{what}");
    }
}

#[test]
fn the_manifest_follows_files_and_the_log_and_forgets_what_was_deleted() {
    let (folder, store) = nine();
    store
        .put_model(
            "s",
            "a",
            b"new",
            Some(Mark {
                updated: 30,
                step: 3,
            }),
        )
        .expect("written");
    store.delete_model("s", "b").expect("deleted");
    store.put_session("t", b"").expect("written");
    store
        .put_model("t", "a", b"of t", Some(ONE))
        .expect("written");
    store.delete_session("t").expect("deleted");
    let store = reopened(&folder, store);
    let marks = store.take_marks().expect("there is a manifest");
    let marks: Vec<(&str, u64)> = marks
        .iter()
        .map(|((session, model), mark)| {
            assert_eq!(session, "s");
            (model.as_str(), mark.step)
        })
        .collect();
    let expected: Vec<(&str, u64)> = MODELS
        .into_iter()
        .filter(|model| *model != "b")
        .map(|model| (model, if model == "a" { 3 } else { 2 }))
        .collect();
    assert_eq!(marks, expected);
    assert_eq!(store.mark("s", "a").map(|mark| mark.step), Some(3));
    assert_eq!(store.mark("s", "b"), None);
    // Free slots are reused.
    store
        .put_model("s", "b", b"anew", Some(ONE))
        .expect("written");
    let length = fs::metadata(folder.path().join("manifest"))
        .expect("there")
        .len();
    assert_eq!(length, 256 * (1 + 9));
}

#[test]
fn a_damaged_manifest_is_never_ahead_of_what_was_committed() {
    let (folder, store) = opened();
    for mark in [ONE, TWO] {
        store
            .put_model("s", "a", b"1", Some(mark))
            .expect("written");
    }
    store.put_model("s", "b", b"1", Some(ONE)).expect("written");
    drop(store);
    let bytes = fs::read(folder.path().join("manifest")).expect("read");
    let known = |bytes: &[u8]| {
        let contents = Contents::read(bytes);
        for ((session, model), mark) in &contents.marks {
            assert_eq!(session, "s");
            assert!(*mark <= if model == "a" { TWO } else { ONE });
        }
        contents.marks.len()
    };
    assert_eq!(known(&bytes), 2);
    let mut damaged = bytes.clone();
    for bit in 0..8 * bytes.len() {
        damaged[bit / 8] ^= 1 << (bit % 8);
        known(&damaged);
        assert!(!manifest::is_newer(&damaged), "bit {bit}");
        damaged[bit / 8] ^= 1 << (bit % 8);
    }
    for length in 0..bytes.len() {
        known(&bytes[..length]);
    }
    damaged.extend(b"something more");
    assert_eq!(known(&damaged), 2);
}

#[test]
fn a_manifest_that_is_gone_or_something_else_is_begun_anew_and_told() {
    for (content, told) in [(None, None), (Some("what is this"), Some("cannot be read"))] {
        let (folder, store) = nine();
        drop(store);
        let path = folder.path().join("manifest");
        fs::remove_file(&path).expect("removed");
        if let Some(content) = content {
            fs::write(&path, content.repeat(100)).expect("written");
        }
        let store = Store::open(folder.path()).expect("it opens");
        assert_eq!(store.take_marks(), None);
        assert_eq!(store.findings().len(), usize::from(told.is_some()));
        assert!(
            store
                .findings()
                .iter()
                .all(|finding| finding.contains(told.unwrap_or_default()))
        );
        store.note("s", "a", TWO);
        let store = reopened(&folder, store);
        assert_eq!(store.take_marks().expect("it is there").len(), 1);
    }
}

#[test]
fn what_a_newer_program_wrote_is_refused_before_anything_is_changed() {
    for (name, from, to) in [
        ("log/000000000000.log", "bpd-log2", "bpd-log3"),
        ("manifest", "bpd-man1", "bpd-man2"),
    ] {
        let (folder, store) = nine();
        drop(store);
        let path = folder.path().join(name);
        let mut bytes = fs::read(&path).expect("read");
        if name == "manifest" {
            bytes.truncate(256);
        }
        while let Some(at) = bytes.windows(8).position(|word| word == from.as_bytes()) {
            bytes[at..at + 8].copy_from_slice(to.as_bytes());
        }
        fs::write(&path, &bytes).expect("written");
        let leftover = folder.path().join("sessions/s/a.safetensors.tmp");
        fs::write(&leftover, b"of an interrupted commit").expect("written");
        let refusal = Store::open(folder.path()).expect_err("it is newer");
        assert!(matches!(refusal, StoreError::Newer(_)), "{refusal}");
        assert!(leftover.exists());
        assert_eq!(fs::read(&path).expect("read"), bytes);
    }
}

#[test]
fn a_program_that_lists_sessions_as_folders_alone_finds_something_else() {
    let (folder, _store) = opened();
    let sessions = folder.path().join("sessions");
    let first = RealDisk::default()
        .entries(&sessions)
        .expect("listed")
        .remove(0);
    assert_eq!(first.kind, EntryKind::File);
    assert!(fs::read_dir(sessions.join(first.name)).is_err());
}
