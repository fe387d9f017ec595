use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use super::*;

mod behaviour;
mod crashes;
mod damage;
mod forgetful_disk;
mod place;
mod replaced;
mod strays;

fn opened() -> (tempfile::TempDir, Store) {
    let folder = tempfile::tempdir().expect("a folder");
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o700)).expect("set");
    let store = Store::open(folder.path()).expect("it opens");
    store.put_session("s", b"session").expect("written");
    (folder, store)
}

fn reopened(folder: &tempfile::TempDir, store: Store) -> Store {
    drop(store);
    Store::open(folder.path()).expect("it opens again")
}

#[test]
fn what_was_put_is_found_after_opening_again() {
    let (folder, store) = opened();
    store.put_model("s", "a", b"1", None).expect("written");
    store.put_model("s", "a", b"2", None).expect("written");
    store.put_model("s", "b", b"3", None).expect("written");
    let store = reopened(&folder, store);
    let found = store.sessions().expect("listed");
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].session, "s");
    assert_eq!(found[0].record.as_deref().expect("read"), b"session");
    assert_eq!(found[0].models, ["a", "b"]);
    assert_eq!(store.model("s", "a").expect("read"), b"2");
    assert_eq!(
        fs::read(folder.path().join("sessions/s/a.previous.safetensors")).expect("read"),
        b"1"
    );
}

#[test]
fn what_was_deleted_stays_deleted() {
    let (folder, store) = opened();
    store.put_model("s", "a", b"1", None).expect("written");
    store.put_model("s", "a", b"2", None).expect("written");
    store.delete_model("s", "a").expect("deleted");
    store.delete_model("s", "a").expect("deleted already");
    store.put_session("t", b"").expect("written");
    store.put_model("t", "b", b"3", None).expect("written");
    store.delete_session("t").expect("deleted");
    store.delete_session("t").expect("deleted already");
    let store = reopened(&folder, store);
    let found = store.sessions().expect("listed");
    assert_eq!(found.len(), 1);
    assert!(found[0].models.is_empty());
    assert!(
        store.put_model("t", "b", b"4", None).is_err(),
        "no such session"
    );
}

#[test]
fn every_place_where_a_commit_can_stop_leaves_the_old_or_the_new_one() {
    let (folder, mut store) = opened();
    let files = folder.path().join("sessions/s");
    let current = files.join("a.safetensors");
    let previous = files.join("a.previous.safetensors");
    let temporary = files.join("a.safetensors.tmp");
    let mut put = |stage: &str, prepare: &dyn Fn(), expected: &[u8]| {
        store.put_model("s", "a", b"older", None).expect("written");
        store.put_model("s", "a", b"old", None).expect("written");
        prepare();
        drop(std::mem::replace(
            &mut store,
            Store::open(tempfile::tempdir().expect("a folder").path()).expect("opened"),
        ));
        store = Store::open(folder.path()).expect("it opens again");
        assert_eq!(store.model("s", "a").expect(stage), expected, "{stage}");
        assert!(!temporary.exists(), "{stage}");
        store.delete_model("s", "a").expect("deleted");
    };
    let half_written = || fs::write(&temporary, b"ne").expect("written");
    put("half written", &half_written, b"old");
    let moved_aside = || {
        fs::write(&temporary, b"new").expect("written");
        fs::rename(&current, &previous).expect("renamed");
    };
    put("moved aside", &moved_aside, b"old");
    let renamed = || {
        fs::write(&temporary, b"new").expect("written");
        fs::rename(&current, &previous).expect("renamed");
        fs::rename(&temporary, &current).expect("renamed");
    };
    put("renamed", &renamed, b"new");
}

#[test]
fn a_deletion_that_was_cut_short_is_finished() {
    let (folder, store) = opened();
    store.put_model("s", "a", b"1", None).expect("written");
    let sessions = folder.path().join("sessions");
    fs::rename(sessions.join("s"), sessions.join(".deleted-s")).expect("renamed");
    let store = reopened(&folder, store);
    assert!(store.sessions().expect("listed").is_empty());
    assert!(!sessions.join(".deleted-s").exists());
}

#[test]
fn two_processes_cannot_use_one_folder() {
    let (folder, _store) = opened();
    let error = Store::open(folder.path()).expect_err("it is locked");
    assert!(error.to_string().contains("another process"), "{error}");
}

#[test]
fn a_file_in_quarantine_is_out_of_the_way_and_kept() {
    let (_folder, store) = opened();
    for content in [b"1", b"2"] {
        store.put_model("s", "a", content, None).expect("written");
        let (moved, _) = store.quarantine("s", "a").expect("moved");
        assert_eq!(fs::read(moved).expect("kept"), content);
    }
    assert!(store.sessions().expect("listed")[0].models.is_empty());
}

/// Logs a whole model, on top of its file.
fn logged(store: &Store, model: &str, snapshot: &[u8]) -> Segment {
    log_as(Kind::Snapshot, store, model, snapshot)
}

/// Logs a record to replay on top of a model's last commit.
fn redo(store: &Store, model: &str, done: &[u8]) -> Segment {
    log_as(Kind::Redo, store, model, done)
}

fn log_as(kind: Kind, store: &Store, model: &str, content: &[u8]) -> Segment {
    let record = Record {
        session: "s".to_owned(),
        model: model.to_owned(),
        anchor: Anchor::of(&store.model("s", model).expect("read")),
        mark: Mark::default(),
        kind,
        content: content.to_vec(),
    };
    store.log(&[record]).expect("written")
}

/// What startup finds in the log for a model.
fn found_in_log(store: &Store, model: &str) -> Option<Vec<u8>> {
    store.take_logged("s", model)?.snapshot
}

fn segments(folder: &tempfile::TempDir) -> usize {
    fs::read_dir(folder.path().join("log")).map_or(0, Iterator::count)
}

#[test]
fn the_log_holds_the_last_commit_until_its_file_does() {
    let (folder, store) = opened();
    store.put_model("s", "a", b"1", None).expect("written");
    for number in 2..100 {
        // Many more than a segment holds.
        logged(&store, "a", format!("{number}").as_bytes());
    }
    let store = reopened(&folder, store);
    assert_eq!(store.model("s", "a").expect("read"), b"1");
    assert_eq!(found_in_log(&store, "a").as_deref(), Some(&b"99"[..]));
    store.put_model("s", "a", b"99", None).expect("written");
    let store = reopened(&folder, store);
    assert_eq!(found_in_log(&store, "a"), None);
    assert_eq!(store.model("s", "a").expect("read"), b"99");
    assert!(segments(&folder) > 0);
    store.tidy_log().expect("removed");
    assert_eq!(segments(&folder), 0);
}

#[test]
fn a_segment_stays_while_a_commit_in_it_counts() {
    let (folder, store) = opened();
    store.put_model("s", "a", b"1", None).expect("written");
    let first = logged(&store, "a", b"2");
    assert!(!first.is_closed());
    store.close_segment();
    assert!(first.is_closed());
    let second = logged(&store, "a", b"3");
    store.tidy_log().expect("tidied");
    assert_eq!(segments(&folder), 2);
    drop(first);
    store.tidy_log().expect("tidied");
    assert_eq!(segments(&folder), 1);
    drop(second);
    store.tidy_log().expect("tidied");
    assert_eq!(segments(&folder), 1, "it is being written");
}

#[test]
fn what_nobody_takes_from_the_log_is_put_into_its_file() {
    let (folder, store) = opened();
    store.put_model("s", "a", b"1", None).expect("written");
    store.put_model("s", "b", b"1", None).expect("written");
    logged(&store, "a", b"2");
    logged(&store, "b", b"2");
    store.delete_model("s", "b").expect("deleted");
    store.put_model("s", "b", b"new", None).expect("written");
    let store = reopened(&folder, store);
    store.fold_rest().expect("written");
    assert_eq!(store.model("s", "a").expect("read"), b"2");
    assert_eq!(store.model("s", "b").expect("read"), b"new");
}

#[test]
fn what_was_done_since_the_file_is_found_in_its_order_until_the_file_is_new() {
    let (folder, store) = opened();
    store.put_model("s", "a", b"1", None).expect("written");
    // More than a segment holds.
    let done: Vec<Vec<u8>> = (0..40).map(|number| vec![number; 100]).collect();
    for one in &done {
        redo(&store, "a", one);
    }
    let store = reopened(&folder, store);
    let logged = store.take_logged("s", "a").expect("it is known");
    assert_eq!((logged.snapshot, logged.is_damaged), (None, false));
    assert_eq!(logged.redos, done);
    assert!(logged.segments.len() > 1);
    store.tidy_log().expect("tidied");
    assert_eq!(segments(&folder), logged.segments.len(), "all are held");

    store.put_model("s", "a", b"2", None).expect("written");
    redo(&store, "a", b"after the second");
    let store = reopened(&folder, store);
    let logged = store.take_logged("s", "a").expect("it is known");
    assert_eq!(logged.redos, [b"after the second"]);
}

#[test]
fn a_damaged_redo_is_told_and_a_snapshot_after_it_makes_up_for_it() {
    let (folder, store) = opened();
    for model in ["a", "b"] {
        store.put_model("s", model, b"1", None).expect("written");
        redo(&store, model, format!("first of {model}").as_bytes());
        redo(&store, model, b"second");
    }
    logged(&store, "b", b"all of it");
    redo(&store, "b", b"third");
    drop(store);
    let path = folder.path().join("log/000000000000.log");
    let mut bytes = fs::read(&path).expect("read");
    for word in [b"first of a", b"first of b"] {
        let at = bytes.windows(word.len()).position(|bytes| bytes == word);
        bytes[at.expect("it is there")] ^= 1;
    }
    fs::write(&path, bytes).expect("written");
    let store = Store::open(folder.path()).expect("it opens");
    assert!(store.take_logged("s", "a").expect("it is known").is_damaged);
    let sound = store.take_logged("s", "b").expect("it is known");
    assert!(!sound.is_damaged);
    assert_eq!(sound.snapshot.as_deref(), Some(&b"all of it"[..]));
    assert_eq!(sound.redos, [b"third"]);
}

#[test]
fn what_only_a_redo_makes_of_a_model_stays_in_the_log_where_nobody_takes_it() {
    let (folder, mut store) = opened();
    store.put_model("s", "a", b"1", None).expect("written");
    redo(&store, "a", b"done");
    for _ in 0..2 {
        store = reopened(&folder, store);
        store.fold_rest().expect("there is nothing to fold");
        store.tidy_log().expect("tidied");
    }
    let store = reopened(&folder, store);
    let logged = store.take_logged("s", "a").expect("it is known");
    assert_eq!(logged.redos, [b"done"]);
}

#[test]
fn a_full_log_is_left_alone_and_takes_commits_again_when_there_is_room() {
    let (_folder, store) = opened();
    store.put_model("s", "a", b"1", None).expect("written");
    let record = Record {
        session: "s".to_owned(),
        model: "a".to_owned(),
        anchor: Anchor::of(b"1"),
        mark: Mark::default(),
        kind: Kind::Snapshot,
        content: vec![7; SEGMENT_BYTES / 2],
    };
    let record = [record];
    let mut held = Vec::new();
    let refused = loop {
        match store.log(&record) {
            Ok(segment) => held.push(segment),
            Err(error) => break error,
        }
        assert!(held.len() < 100, "there is a limit");
    };
    assert!(refused.to_string().contains("full"), "{refused}");
    held.clear();
    assert!(store.log(&record).is_err(), "it rests");
    store.tidy_log().expect("removed");
    store.log(&record).expect("there is room again");
}

#[test]
fn a_log_in_which_little_counts_makes_room_itself() {
    let (folder, store) = opened();
    store.put_model("s", "a", b"1", None).expect("written");
    let half_a_segment = vec![7; SEGMENT_BYTES / 2];
    for _ in 0..100 {
        // The segment has no holders, so its commits are invalid.
        redo(&store, "a", &half_a_segment);
    }
    assert!(segments(&folder) < 20);
}

#[test]
fn a_damaged_commit_in_the_log_is_told_as_such_and_kept_aside() {
    let (folder, store) = opened();
    for model in ["a", "b", "c"] {
        store.put_model("s", model, b"old", None).expect("written");
        logged(&store, model, format!("new {model}").as_bytes());
    }
    drop(store);
    let path = fs::read_dir(folder.path().join("log")).expect("listed");
    let path = path.last().expect("a segment").expect("listed").path();
    let mut bytes = fs::read(&path).expect("read");
    let at = bytes.windows(5).position(|window| window == b"new b");
    bytes[at.expect("it is there")] ^= 1;
    fs::write(&path, bytes).expect("written");
    let store = Store::open(folder.path()).expect("it opens");
    assert_eq!(found_in_log(&store, "a").as_deref(), Some(&b"new a"[..]));
    let damaged = store.take_logged("s", "b").expect("it is known");
    assert_eq!(damaged.snapshot, None);
    drop(damaged);
    assert_eq!(found_in_log(&store, "c").as_deref(), Some(&b"new c"[..]));
    store.tidy_log().expect("moved");
    assert!(folder.path().join("quarantine/log-0.log").exists());
    assert!(
        store.quarantined().expect("listed").is_empty(),
        "no model's"
    );
}
