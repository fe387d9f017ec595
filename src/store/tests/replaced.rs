//! Another process replaces the server's files and folders while the store is open: by a copy, an older copy, a link to
//! their new place, or something else.

use std::os::unix::fs::{MetadataExt as _, symlink};
use std::path::Path;

use super::damage::{MODELS, ONE, TWO, nine, record};
use super::*;

fn changed(path: &Path) -> (i64, i64) {
    let metadata = fs::metadata(path).expect("there");
    (metadata.ctime(), metadata.ctime_nsec())
}

/// Writes into the existing file until the file system's clock shows a change.
fn write_in_place(path: &Path, bytes: &[u8]) {
    let before = changed(path);
    while changed(path) == before {
        fs::write(path, bytes).expect("written");
    }
}

type Change<'a> = &'a dyn Fn(&Path, &[u8]);

#[test]
fn a_manifest_that_was_replaced_brings_no_deleted_model_back_and_forgets_none() {
    let later = Mark {
        updated: 30,
        step: 3,
    };
    let copy: Change<'_> = &|path, _| {
        let other = path.with_extension("copy");
        fs::copy(path, &other).expect("copied");
        fs::rename(other, path).expect("renamed");
    };
    let older: Change<'_> = &|path, older| {
        let other = path.with_extension("copy");
        fs::write(&other, older).expect("written");
        fs::rename(other, path).expect("renamed");
    };
    let older_in_place: Change<'_> = &write_in_place;
    let removed: Change<'_> = &|path, _| fs::remove_file(path).expect("removed");
    let cut: Change<'_> = &|path, _| write_in_place(path, b"");
    let emptied: Change<'_> = &|path, _| {
        fs::remove_file(path).expect("removed");
        fs::write(path, b"").expect("written");
    };
    for (what, change) in [
        ("a copy", copy),
        ("an older copy", older),
        ("an older copy in place", older_in_place),
        ("removed", removed),
        ("cut", cut),
        ("emptied", emptied),
    ] {
        // Detected by a deletion of a model, by one of a session, by a commit to a file, by one to the log, and by the
        // periodic check.
        for noticed in 0..5 {
            let (folder, store) = nine();
            let path = folder.path().join("manifest");
            let older = fs::read(&path).expect("read");
            store.put_model("s", "b", b"newer", Some(TWO)).expect("put");
            store.delete_model("s", "c").expect("deleted");
            change(&path, &older);
            let mut left = vec!["a", "b", "d", "e", "f", "g", "h", "i"];
            match noticed {
                0 => {
                    store.delete_model("s", "a").expect("deleted");
                    left.remove(0);
                }
                1 => {
                    store.delete_session("s").expect("deleted");
                    left.clear();
                }
                2 => {
                    store.put_model("s", "d", b"d", Some(later)).expect("put");
                }
                3 => {
                    let mut commit = record(&store, "b");
                    commit.mark = later;
                    store.log(&[commit]).expect("written");
                }
                _ => store.check(),
            }
            let store = reopened(&folder, store);
            let marks = store.take_marks().unwrap_or_default();
            let known: Vec<&str> = marks.keys().map(|(_, model)| model.as_str()).collect();
            assert_eq!(known, left, "{what}, noticed by {noticed}");
            let b = marks.get(&("s".to_owned(), "b".to_owned()));
            assert!(b.is_none_or(|mark| *mark >= TWO), "{what}");
        }
    }
}

#[test]
fn what_is_no_file_in_the_place_of_the_manifest_is_left_alone_and_hinders_no_deletion() {
    for is_link in [false, true] {
        let (folder, store) = nine();
        let path = folder.path().join("manifest");
        let away = folder.path().join("away");
        fs::rename(&path, &away).expect("moved");
        if is_link {
            symlink(&away, &path).expect("made");
        } else {
            fs::create_dir(&path).expect("made");
        }
        store.check();
        store.delete_model("s", "a").expect("deleted");
        store.put_model("s", "b", b"b", Some(TWO)).expect("put");
        assert_eq!(
            path.symlink_metadata().expect("there").is_symlink(),
            is_link
        );
        let store = reopened(&folder, store);
        assert!(store.take_marks().is_none(), "nothing is taken for lost");
        let told = store.findings().join("\n");
        assert!(told.contains("manifest is a "), "{told}");
        drop(store);
        // After the move back, it reflects the deletions in between.
        let _ = fs::remove_file(&path).or_else(|_| fs::remove_dir(&path));
        fs::rename(&away, &path).expect("moved");
        let store = Store::open(folder.path()).expect("it opens");
        let marks = store.take_marks().expect("there is one");
        assert_eq!(marks.len(), MODELS.len() - 1);
    }
}

#[test]
fn no_commit_goes_into_a_log_behind_a_link() {
    let (folder, store) = nine();
    let segment = store.log(&[record(&store, "a")]).expect("written");
    let (log, away) = (folder.path().join("log"), folder.path().join("away"));
    fs::rename(&log, &away).expect("moved");
    symlink(&away, &log).expect("made");
    store.check();
    assert!(segment.is_closed(), "what it holds is to be put into files");
    for _ in 0..2 {
        assert!(store.log(&[record(&store, "a")]).is_err());
        store.tidy_log().expect("tidied");
    }
    assert!(log.symlink_metadata().expect("there").is_symlink());
    // The same in the middle of a segment, without a check before.
    let (folder, store) = nine();
    store.log(&[record(&store, "a")]).expect("written");
    let (log, away) = (folder.path().join("log"), folder.path().join("away"));
    fs::rename(&log, &away).expect("moved");
    symlink(&away, &log).expect("made");
    assert!(store.log(&[record(&store, "a")]).is_err());
    fs::remove_file(&log).expect("removed");
    store.tidy_log().expect("tidied");
    store.log(&[record(&store, "a")]).expect("a new one");
    let store = reopened(&folder, store);
    assert!(found_in_log(&store, "a").is_some());
}

#[test]
fn no_commit_goes_into_a_session_behind_a_link() {
    let (folder, store) = nine();
    let session = folder.path().join("sessions/s");
    let away = folder.path().join("away");
    fs::rename(&session, &away).expect("moved");
    symlink(&away, &session).expect("made");
    assert!(!store.has_model("s", "a"), "none to log commits after");
    for refused in [
        store.put_model("s", "a", b"2", Some(ONE)).map(drop),
        store.put_session("s", b""),
    ] {
        let refused = refused.expect_err("a start follows no link").to_string();
        assert!(
            refused.contains("sessions/s is a symbolic link") && refused.contains("move it away"),
            "{refused}"
        );
    }
    fs::remove_file(&session).expect("removed");
    fs::rename(&away, &session).expect("moved");
    store.put_model("s", "a", b"2", Some(ONE)).expect("written");
}

#[test]
fn no_expired_session_goes_into_a_trash_behind_a_link() {
    let (folder, store) = opened();
    let away = folder.path().join("away");
    fs::create_dir(&away).expect("made");
    symlink(&away, folder.path().join("trash")).expect("made");
    let refused = store.trash_session("s", 60).expect_err("refused");
    assert!(refused.to_string().contains("trash is a symbolic link"));
    assert!(store.trashed().expect("listed").is_empty());
    assert_eq!(store.sessions().expect("listed").len(), 1);
}
