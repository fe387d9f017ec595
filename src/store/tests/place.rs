//! The folder in use: names, places and permissions changed by other programs.

use std::os::unix::fs::{FileTypeExt as _, symlink};
use std::path::Path;

use super::damage::{MODELS, ONE, TWO, missed, nine, record};
use super::*;

#[test]
fn a_commit_into_a_log_that_was_removed_is_refused_and_the_next_one_begins_a_new_one() {
    for is_moved in [false, true] {
        let (folder, store) = nine();
        let before = store.log(&[record(&store, "a")]).expect("written");
        let log = folder.path().join("log");
        if is_moved {
            fs::rename(&log, folder.path().join("away")).expect("moved");
        } else {
            fs::remove_dir_all(&log).expect("removed");
        }
        assert!(store.log(&[record(&store, "a")]).is_err());
        assert!(before.is_closed(), "what it holds is to be put into files");
        drop(before);
        store.tidy_log().expect("there is nothing to remove");
        store
            .log(&[record(&store, "a")])
            .expect("there is a new one");
        let store = reopened(&folder, store);
        assert!(found_in_log(&store, "a").is_some());
    }
}

#[test]
fn a_log_that_was_removed_is_noticed_without_a_commit() {
    let (folder, store) = nine();
    let segment = store.log(&[record(&store, "a")]).expect("written");
    store.check();
    assert!(!segment.is_closed());
    fs::remove_dir_all(folder.path().join("log")).expect("removed");
    store.check();
    assert!(segment.is_closed());
}

#[test]
fn a_manifest_that_was_removed_is_begun_anew() {
    let (folder, store) = nine();
    let path = folder.path().join("manifest");
    fs::remove_file(&path).expect("removed");
    store.check();
    store.note("s", "a", TWO);
    assert!(path.exists());
    store.check();
    let store = reopened(&folder, store);
    let marks = store.take_marks().expect("there is one");
    assert_eq!(marks.len(), MODELS.len());
}

/// The contents of every file below a folder.
fn contents(folder: &Path) -> Vec<(std::path::PathBuf, Vec<u8>)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).expect("listed") {
        let path = entry.expect("listed").path();
        if path.is_dir() {
            found.extend(contents(&path));
        } else {
            let bytes = fs::read(&path).expect("read");
            found.push((path, bytes));
        }
    }
    found.sort();
    found
}

#[test]
fn nothing_is_acknowledged_after_the_lock_or_the_folder_was_removed_or_replaced() {
    fn copy(from: &Path, to: &Path) {
        fs::create_dir_all(to).expect("made");
        for entry in fs::read_dir(from).expect("listed") {
            let (from, name) = entry
                .map(|entry| (entry.path(), entry.file_name()))
                .expect("listed");
            if from.is_dir() {
                copy(&from, &to.join(name));
            } else {
                fs::copy(&from, to.join(name)).expect("copied");
            }
        }
    }
    type Change<'a> = &'a dyn Fn(&Path, &Path);
    let removed: Change<'_> = &|data, _| fs::remove_file(data.join("lock")).expect("removed");
    let lock_replaced: Change<'_> = &|data, _| {
        fs::remove_file(data.join("lock")).expect("removed");
        fs::write(data.join("lock"), b"").expect("written");
    };
    let replaced: Change<'_> = &|data, away| {
        fs::rename(data, away).expect("moved");
        copy(away, data);
    };
    let moved: Change<'_> = &|data, away| fs::rename(data, away).expect("moved");
    for change in [removed, lock_replaced, replaced, moved] {
        let folder = tempfile::tempdir().expect("a folder");
        let (data, away) = (folder.path().join("data"), folder.path().join("away"));
        let store = Store::open(&data).expect("it opens");
        store.put_session("s", b"").expect("written");
        store.put_model("s", "a", b"1", Some(ONE)).expect("written");
        let commit = record(&store, "a");
        store.log(std::slice::from_ref(&commit)).expect("written");
        change(&data, &away);
        let before = data.exists().then(|| contents(&data));
        for _ in 0..2 {
            assert!(store.log(std::slice::from_ref(&commit)).is_err());
            store.close_segment();
            assert!(store.tidy_log().is_err());
            assert!(store.model("s", "a").is_err());
            assert!(store.quarantine("s", "a").is_err());
            assert!(store.put_model("s", "a", b"2", Some(TWO)).is_err());
            assert!(store.put_session("t", b"").is_err());
            assert!(store.delete_model("s", "a").is_err());
            assert!(store.delete_session("s").is_err());
        }
        // The folder there now belongs to another program.
        assert_eq!(data.exists().then(|| contents(&data)), before);
    }
}

#[test]
fn a_lock_file_that_was_removed_lets_no_second_process_in() {
    let (folder, _store) = opened();
    fs::remove_file(folder.path().join("lock")).expect("removed");
    let refusal = Store::open(folder.path()).expect_err("the folder is locked");
    assert!(matches!(refusal, StoreError::Locked(_)), "{refusal}");
}

#[test]
fn names_that_are_not_the_servers_are_told_and_left_alone() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt as _;
    let (folder, store) = nine();
    drop(store);
    let root = folder.path();
    fs::create_dir_all(root.join("quarantine")).expect("made");
    let target = root.join("target");
    fs::write(&target, b"not to be read").expect("written");
    let mut strays = vec![target.clone()];
    for place in ["", "sessions", "sessions/s", "log", "quarantine"] {
        let place = root.join(place);
        for name in [
            ".DS_Store",
            "x.tmp",
            "7.log",
            "0000000000001.log",
            "Thumbs.db",
        ] {
            let name = place.join(name);
            fs::write(&name, b"not ours").expect("written");
            strays.push(name);
        }
        let name = place.join(OsStr::from_bytes(b"not \xff UTF-8"));
        fs::write(&name, b"not ours").expect("written");
        strays.push(name);
        for name in [
            "link",
            "000000000003.log",
            "linked.safetensors",
            "z.safetensors.tmp",
        ] {
            symlink(&target, place.join(name)).expect("made");
            strays.push(place.join(name));
        }
        for name in [
            "000000000005.log",
            "folder.safetensors",
            "folder.previous.safetensors",
            "y.safetensors.tmp",
        ] {
            fs::create_dir(place.join(name)).expect("made");
            strays.push(place.join(name));
        }
        let pipe = place.join("pipe.safetensors");
        // Not through a child process, which would briefly inherit the locks of other tests.
        let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
        rustix::fs::mkfifoat(rustix::fs::CWD, &pipe, mode).expect("made");
        assert!(
            fs::symlink_metadata(&pipe)
                .expect("there")
                .file_type()
                .is_fifo()
        );
        strays.push(pipe);
    }
    // Names where a session's folder, or a deleted one, could be.
    fs::write(root.join("sessions/file"), b"not ours").expect("written");
    fs::write(root.join("sessions/.deleted-file"), b"not ours").expect("written");
    symlink(root, root.join("sessions/linked")).expect("made");
    strays.extend(["file", ".deleted-file", "linked"].map(|name| root.join("sessions").join(name)));

    let store = Store::open(root).expect("it opens");
    let told = store.findings().join("\n");
    assert!(told.contains(".DS_Store is not the server's"), "{told}");
    assert!(told.contains("more names"), "{told}");
    let found = store.sessions().expect("listed");
    let sessions: Vec<&str> = found.iter().map(|found| found.session.as_str()).collect();
    assert_eq!(sessions, ["s"]);
    assert_eq!(found[0].models, MODELS);
    assert!(missed(&store).is_empty());
    store.log(&[record(&store, "a")]).expect("written");
    store
        .put_model("s", "b", b"new", Some(TWO))
        .expect("written");
    store.delete_model("s", "c").expect("deleted");
    store.quarantine("s", "d").expect("moved");
    store.close_segment();
    store.tidy_log().expect("tidied");
    for stray in strays {
        assert!(fs::symlink_metadata(&stray).is_ok(), "{}", stray.display());
    }
    assert_eq!(fs::read(target).expect("read"), b"not to be read");
}

#[test]
fn what_stands_where_a_folder_belongs_costs_what_would_be_in_it_alone() {
    for name in ["log", "quarantine", "manifest"] {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join(name);
        if name == "manifest" {
            fs::create_dir(&path).expect("made");
        } else {
            fs::write(&path, b"").expect("written");
        }
        let store = Store::open(folder.path()).expect("it opens");
        assert!(!store.findings().is_empty(), "{name}");
        store.put_session("s", b"").expect("written");
        store.put_model("s", "a", b"1", Some(ONE)).expect("written");
        assert_eq!(store.log(&[record(&store, "a")]).is_err(), name == "log");
        assert!(store.quarantined().expect("listed").is_empty());
        let store = reopened(&folder, store);
        assert_eq!(store.model("s", "a").expect("read"), b"1");
    }
}

#[test]
fn folders_and_files_are_their_owners_alone_and_a_wider_folder_is_told() {
    let (folder, store) = nine();
    store.quarantine("s", "a").expect("moved");
    store.check();
    let mut folders = vec![folder.path().to_owned()];
    let mut seen = 0;
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("listed") {
            let path = entry.expect("listed").path();
            let mode = fs::metadata(&path).expect("there").permissions().mode() & 0o777;
            let expected = if path.is_dir() { 0o700 } else { 0o600 };
            assert_eq!(mode, expected, "{}", path.display());
            if path.is_dir() {
                folders.push(path);
            }
            seen += 1;
        }
    }
    assert!(seen > 15, "{seen}");
    let is_told = |store: &Store| {
        store
            .findings()
            .iter()
            .any(|finding| finding.contains("chmod"))
    };
    let store = reopened(&folder, store);
    assert!(!is_told(&store));
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).expect("set");
    let store = reopened(&folder, store);
    assert!(is_told(&store), "{:?}", store.findings());
}
