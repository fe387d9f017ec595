//! What every [`Storage`] does. A new implementation adds its own `Place` and one test.

use std::io;

use super::*;

/// Where a storage keeps its bytes: opened again, it finds what was durable.
trait Place {
    fn open(&self) -> Box<dyn Storage>;
}

/// A folder on this machine's disk.
struct Folder(tempfile::TempDir);

impl Place for Folder {
    fn open(&self) -> Box<dyn Storage> {
        Box::new(Store::open(self.0.path()).expect("it opens"))
    }
}

#[test]
fn a_folder_behaves_as_a_storage() {
    for behaviour in BEHAVIOURS {
        behaviour(&Folder(tempfile::tempdir().expect("a folder")));
    }
}

/// Each runs on a new, empty place.
const BEHAVIOURS: [fn(&dyn Place); 8] = [
    sessions_and_models_are_found_again,
    a_snapshot_takes_the_place_of_the_one_before,
    what_is_deleted_is_gone_and_may_be_deleted_again,
    commits_in_the_log_are_found_with_the_snapshot_that_they_come_after,
    a_new_snapshot_makes_the_commits_before_it_void,
    marks_are_those_of_the_last_commits,
    a_model_that_is_set_aside_is_named_and_its_name_is_free,
    sessions_in_the_trash_are_gone_and_leases_are_handed_out_once,
];

fn mark(step: u64) -> Mark {
    Mark {
        updated: step,
        step,
    }
}

/// A commit of the model s/m that builds on `anchor`.
fn record(anchor: Anchor, step: u64, content: &[u8]) -> Record {
    Record {
        session: "s".to_owned(),
        model: "m".to_owned(),
        anchor,
        mark: mark(step),
        kind: Kind::Snapshot,
        content: content.to_owned(),
    }
}

/// The place with the model s/m at `snapshot`, and that snapshot's anchor.
fn with_model(place: &dyn Place, snapshot: &[u8]) -> (Box<dyn Storage>, Anchor) {
    let storage = place.open();
    storage.put_session("s", b"session").expect("stored");
    let anchor = storage.put_model("s", "m", snapshot, Some(mark(1)));
    (storage, anchor.expect("stored"))
}

/// A snapshot ends with its anchor, which differs for each.
fn snapshot(of: u8) -> Vec<u8> {
    vec![of; 64]
}

fn sessions_and_models_are_found_again(place: &dyn Place) {
    let (storage, _) = with_model(place, &snapshot(1));
    storage.put_session("r", b"other").expect("stored");
    assert!(storage.has_model("s", "m") && !storage.has_model("r", "m"));
    drop(storage);
    let storage = place.open();
    let found = storage.take_sessions();
    let ids: Vec<&str> = found.iter().map(|found| found.session.as_str()).collect();
    assert_eq!(ids, ["r", "s"]);
    assert_eq!(found[1].record.as_deref().expect("read"), b"session");
    assert_eq!(found[1].models, ["m"]);
    assert!(storage.take_sessions().is_empty(), "handed out once");
    assert_eq!(storage.model("s", "m").expect("read"), snapshot(1));
    assert_eq!(storage.models("s").expect("listed"), ["m"]);
    let missing = storage.model("r", "m").expect_err("there is none");
    assert_eq!(missing.kind(), io::ErrorKind::NotFound);
}

fn a_snapshot_takes_the_place_of_the_one_before(place: &dyn Place) {
    let (storage, first) = with_model(place, &snapshot(1));
    let second = storage.put_model("s", "m", &snapshot(2), Some(mark(2)));
    assert_ne!(second.expect("stored"), first);
    drop(storage);
    let storage = place.open();
    assert_eq!(storage.model("s", "m").expect("read"), snapshot(2));
    assert_eq!(storage.mark("s", "m"), Some(mark(2)));
}

fn what_is_deleted_is_gone_and_may_be_deleted_again(place: &dyn Place) {
    let (storage, _) = with_model(place, &snapshot(1));
    for _ in 0..2 {
        storage.delete_model("s", "m").expect("deleted");
        storage.delete_session("t").expect("never there");
    }
    storage.put_session("t", b"other").expect("stored");
    storage
        .put_model("t", "m", &snapshot(3), None)
        .expect("stored");
    storage.delete_session("t").expect("deleted");
    drop(storage);
    let storage = place.open();
    let found = storage.take_sessions();
    assert_eq!(found.len(), 1);
    assert!(found[0].models.is_empty());
    assert_eq!(storage.mark("s", "m"), None);
}

fn commits_in_the_log_are_found_with_the_snapshot_that_they_come_after(place: &dyn Place) {
    let (storage, anchor) = with_model(place, &snapshot(1));
    storage.log(&[record(anchor, 2, b"two")]).expect("durable");
    storage
        .log(&[record(anchor, 3, b"three")])
        .expect("durable");
    assert!(storage.has_log());
    drop(storage);
    let storage = place.open();
    let logged = storage.take_logged("s", "m").expect("it is in the log");
    assert_eq!(logged.snapshot.as_deref(), Some(&b"three"[..]));
    assert_eq!(logged.anchor, anchor);
    assert!(!logged.is_damaged);
    assert!(storage.take_logged("s", "m").is_none(), "handed out once");
    assert_eq!(storage.model("s", "m").expect("read"), snapshot(1));
}

fn a_new_snapshot_makes_the_commits_before_it_void(place: &dyn Place) {
    let (storage, anchor) = with_model(place, &snapshot(1));
    let segment = storage.log(&[record(anchor, 2, b"two")]).expect("durable");
    let put = storage.put_model("s", "m", &snapshot(2), Some(mark(3)));
    put.expect("stored");
    storage.close_segment();
    assert!(segment.is_closed());
    drop(segment);
    storage.tidy_log().expect("removed");
    assert!(!storage.has_log());
    drop(storage);
    let storage = place.open();
    assert!(storage.take_logged("s", "m").is_none());
    assert_eq!(storage.model("s", "m").expect("read"), snapshot(2));
}

fn marks_are_those_of_the_last_commits(place: &dyn Place) {
    let (storage, anchor) = with_model(place, &snapshot(1));
    storage.log(&[record(anchor, 5, b"five")]).expect("durable");
    storage
        .put_model("s", "n", &snapshot(4), None)
        .expect("stored");
    storage.note("s", "n", mark(7));
    storage.sync_manifest().expect("durable");
    drop(storage);
    let storage = place.open();
    let marks = storage.take_marks().expect("it knows");
    let key = |model: &str| ("s".to_owned(), model.to_owned());
    assert_eq!(marks.get(&key("m")), Some(&mark(5)));
    assert_eq!(marks.get(&key("n")), Some(&mark(7)));
}

fn a_model_that_is_set_aside_is_named_and_its_name_is_free(place: &dyn Place) {
    let (storage, _) = with_model(place, b"damaged");
    storage.quarantine("s", "m").expect("moved");
    assert!(!storage.has_model("s", "m"));
    let aside = [("s".to_owned(), "m".to_owned())];
    assert_eq!(storage.quarantined().expect("listed"), aside);
    storage
        .put_model("s", "m", &snapshot(1), Some(mark(9)))
        .expect("free");
    drop(storage);
    let storage = place.open();
    assert_eq!(storage.quarantined().expect("listed"), aside);
    assert_eq!(storage.model("s", "m").expect("read"), snapshot(1));
}

fn sessions_in_the_trash_are_gone_and_leases_are_handed_out_once(place: &dyn Place) {
    let (storage, _) = with_model(place, &snapshot(1));
    storage.trash_session("s", 10).expect("moved");
    assert_eq!(storage.age_trash(9).expect("counted"), 0);
    assert_eq!(storage.age_trash(1).expect("counted"), 1);
    storage.put_leases(b"ages").expect("stored");
    drop(storage);
    let storage = place.open();
    assert!(storage.take_sessions().is_empty());
    let taken = storage.take_leases().expect("read");
    assert_eq!(taken.as_deref(), Some(&b"ages"[..]));
    assert_eq!(storage.take_leases().expect("read"), None);
}
