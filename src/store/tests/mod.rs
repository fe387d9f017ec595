use std::fs;

use super::*;

mod crashes;

fn opened() -> (tempfile::TempDir, Store) {
    let folder = tempfile::tempdir().expect("a folder");
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
    store.put_model("s", "a", b"1").expect("written");
    store.put_model("s", "a", b"2").expect("written");
    store.put_model("s", "b", b"3").expect("written");
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
    store.put_model("s", "a", b"1").expect("written");
    store.put_model("s", "a", b"2").expect("written");
    store.delete_model("s", "a").expect("deleted");
    store.delete_model("s", "a").expect("deleted already");
    store.put_session("t", b"").expect("written");
    store.put_model("t", "b", b"3").expect("written");
    store.delete_session("t").expect("deleted");
    store.delete_session("t").expect("deleted already");
    let store = reopened(&folder, store);
    let found = store.sessions().expect("listed");
    assert_eq!(found.len(), 1);
    assert!(found[0].models.is_empty());
    assert!(store.put_model("t", "b", b"4").is_err(), "no such session");
}

#[test]
fn every_place_where_a_commit_can_stop_leaves_the_old_or_the_new_one() {
    let (folder, mut store) = opened();
    let files = folder.path().join("sessions/s");
    let current = files.join("a.safetensors");
    let previous = files.join("a.previous.safetensors");
    let temporary = files.join("a.safetensors.tmp");
    let mut put = |stage: &str, prepare: &dyn Fn(), expected: &[u8]| {
        store.put_model("s", "a", b"older").expect("written");
        store.put_model("s", "a", b"old").expect("written");
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
    store.put_model("s", "a", b"1").expect("written");
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
        store.put_model("s", "a", content).expect("written");
        let (moved, _) = store.quarantine("s", "a").expect("moved");
        assert_eq!(fs::read(moved).expect("kept"), content);
    }
    assert!(store.sessions().expect("listed")[0].models.is_empty());
}
