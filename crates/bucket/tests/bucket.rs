//! A bucket in memory, by its public interface.

use std::io;
use std::time::{Duration, SystemTime};

use backpropd_bucket::{
    Bucket, Commit, Create, Encode, Generation, Lease, ListedDataset, MARK_ENTRY, Mark, OpenError,
    Options, Read, Seen,
};
use bytes::Bytes;
use safetensors::tensor::TensorView;

const DAY: Duration = Duration::from_secs(86_400);

async fn bucket() -> Bucket {
    let bucket = Bucket::open("memory:", Options::default()).expect("memory needs nothing");
    bucket.probe().await.expect("memory keeps conditions");
    bucket
}

fn lease() -> Lease {
    Lease {
        ttl: DAY,
        at: SystemTime::now(),
    }
}

/// A model of one weight.
fn model(weight: f64) -> impl Encode {
    move |mark: &Mark| -> io::Result<Bytes> {
        let mark = serde_json::to_string(mark)?;
        let bytes = weight.to_le_bytes();
        let tensor =
            TensorView::new(safetensors::Dtype::F64, vec![1], &bytes).map_err(io::Error::other)?;
        let metadata = [(MARK_ENTRY.to_owned(), mark)].into();
        let file = safetensors::serialize([("w", tensor)], Some(metadata));
        Ok(file.map_err(io::Error::other)?.into())
    }
}

fn weight(bytes: &[u8]) -> f64 {
    let last = bytes.last_chunk().expect("a weight is at the end");
    f64::from_le_bytes(*last)
}

async fn new_session(bucket: &Bucket, session: &str) -> Seen {
    match bucket.create_session(session, "{}", lease()).await {
        Create::Created(seen) => seen,
        other @ (Create::Overtaken(_)
        | Create::Taken(_)
        | Create::NoSession
        | Create::Unknown(_)) => {
            panic!("{session} is new: {other:?}")
        }
    }
}

async fn new_model(bucket: &Bucket, generation: Generation, name: &str, w: f64) -> Seen {
    match bucket.create_model("s", generation, name, &model(w)).await {
        Create::Created(seen) => seen,
        other @ (Create::Overtaken(_)
        | Create::Taken(_)
        | Create::NoSession
        | Create::Unknown(_)) => {
            panic!("{name} is new: {other:?}")
        }
    }
}

async fn read(bucket: &Bucket, generation: Generation, name: &str) -> Option<f64> {
    match bucket.read_model("s", generation, name, None).await {
        Ok(Read::Found(object)) => Some(weight(&object.bytes)),
        Ok(Read::Missing) => None,
        other => panic!("memory answers: {other:?}"),
    }
}

#[tokio::test]
async fn a_session_is_what_was_last_committed() {
    let bucket = bucket().await;
    let seen = new_session(&bucket, "s").await;
    let Read::Found(object) = bucket.read_session("s", None).await.expect("it is read") else {
        panic!("it exists")
    };
    assert_eq!((&object.bytes[..], &object.seen), (&b"{}"[..], &seen));
    let unchanged = bucket.read_session("s", Some(&seen)).await;
    assert_eq!(unchanged, Ok(Read::Unchanged));
    let Commit::Stored(newer) = bucket.commit_session("s", &seen, "new", lease()).await else {
        panic!("this is the only writer")
    };
    let Ok(Read::Found(object)) = bucket.read_session("s", Some(&seen)).await else {
        panic!("it has changed")
    };
    assert_eq!((&object.bytes[..], &object.seen), (&b"new"[..], &newer));
    let taken = bucket.create_session("s", "other", lease()).await;
    assert!(matches!(taken, Create::Taken(object) if object.bytes == "new"));
}

#[tokio::test]
async fn of_two_commits_on_one_version_the_second_is_lost() {
    let bucket = bucket().await;
    let generation = new_session(&bucket, "s").await.mark.generation;
    let seen = new_model(&bucket, generation, "m", 1.0).await;
    let commit = async |w| bucket.commit_model("s", &seen, "m", &model(w)).await;
    assert!(matches!(commit(2.0).await, Commit::Stored(_)));
    assert_eq!(commit(3.0).await, Commit::Moved);
    assert_eq!(read(&bucket, generation, "m").await, Some(2.0));
}

#[tokio::test]
async fn a_deleted_model_stays_deleted_until_it_is_created_again() {
    let bucket = bucket().await;
    let generation = new_session(&bucket, "s").await.mark.generation;
    let seen = new_model(&bucket, generation, "m", 1.0).await;
    assert_eq!(bucket.delete_model("s", generation, "m").await, Ok(true));
    assert_eq!(bucket.delete_model("s", generation, "m").await, Ok(false));
    assert_eq!(read(&bucket, generation, "m").await, None);
    let late = bucket.commit_model("s", &seen, "m", &model(2.0)).await;
    assert_eq!(late, Commit::Moved);
    assert_eq!(read(&bucket, generation, "m").await, None);

    let again = new_model(&bucket, generation, "m", 1.0).await;
    assert_eq!(again.mark.commits.len(), 3, "the history goes on");
    let late = bucket.commit_model("s", &seen, "m", &model(2.0)).await;
    assert_eq!(late, Commit::Moved);
    assert_eq!(read(&bucket, generation, "m").await, Some(1.0));
}

#[tokio::test]
async fn a_session_that_is_created_again_has_none_of_its_earlier_models() {
    let bucket = bucket().await;
    let first = new_session(&bucket, "s").await.mark.generation;
    new_model(&bucket, first, "m", 1.0).await;
    assert_eq!(bucket.delete_session("s", first).await, Ok(true));
    assert_eq!(bucket.delete_session("s", first).await, Ok(false));
    assert_eq!(bucket.read_session("s", None).await, Ok(Read::Missing));
    let late = bucket.create_model("s", first, "n", &model(1.0)).await;
    assert_eq!(late, Create::NoSession);

    let second = new_session(&bucket, "s").await.mark.generation;
    assert_ne!(first, second);
    assert_eq!(read(&bucket, second, "m").await, None);
    assert_eq!(read(&bucket, second, "n").await, None);
    new_model(&bucket, second, "m", 5.0).await;
    // A node that still believes in the first life neither sees nor harms the second.
    assert_eq!(read(&bucket, first, "m").await, None);
    let behind = bucket.create_model("s", first, "m", &model(6.0)).await;
    assert_eq!(behind, Create::NoSession);
    assert_eq!(bucket.delete_session("s", first).await, Ok(false));
    assert_eq!(read(&bucket, second, "m").await, Some(5.0));
}

#[tokio::test]
async fn sessions_are_listed_in_pages_without_the_deleted_ones() {
    let bucket = bucket().await;
    for i in 0..30 {
        let name = format!("s-{i}");
        let seen = new_session(&bucket, &name).await;
        if i % 3 == 0 {
            let deleted = bucket.delete_session(&name, seen.mark.generation).await;
            assert_eq!(deleted, Ok(true));
        }
    }
    let mut all = Vec::new();
    loop {
        let after = all.last().map(String::as_str);
        let page = bucket.list_sessions(after, 7).await.expect("it is listed");
        if page.is_empty() {
            break;
        }
        assert!(page.len() <= 7);
        all.extend(page);
    }
    all.sort();
    let mut expected: Vec<String> = (0..30)
        .filter(|i| i % 3 != 0)
        .map(|i| format!("s-{i}"))
        .collect();
    expected.sort();
    assert_eq!(all, expected);
}

#[tokio::test]
async fn a_dataset_of_any_size_comes_back_and_its_content_goes_with_it() {
    let bucket = bucket().await;
    let generation = new_session(&bucket, "s").await.mark.generation;
    let folder = tempfile::tempdir().expect("there is room");
    let (source, target) = (folder.path().join("source"), folder.path().join("target"));
    // More than one part.
    let bytes: Vec<u8> = (0..20 << 20).map(|i: u32| (i >> 8) as u8).collect();
    std::fs::write(&source, &bytes).expect("there is room");
    let created = bucket.create_dataset("s", generation, "d", "digest", "about", &source);
    assert!(matches!(created.await, Create::Created(_)));
    let taken = bucket.create_dataset("s", generation, "d", "digest", "about", &source);
    assert!(matches!(taken.await, Create::Taken(_)));
    let digest = bucket.dataset_digest("s", generation, "d").await;
    assert_eq!(digest, Ok(Some("digest".to_owned())));
    let listed = bucket.list_datasets("s", generation, None, 10).await;
    let expected = ListedDataset {
        id: "d".to_owned(),
        digest: "digest".to_owned(),
        about: "about".to_owned(),
    };
    assert_eq!(listed, Ok(vec![expected]));
    let fetched = bucket.fetch_dataset("s", generation, "d", &target);
    assert_eq!(fetched.await, Ok(true));
    assert!(std::fs::read(&target).expect("it was fetched") == bytes);

    let later = SystemTime::now() + DAY + DAY / 2;
    // The upload of the second creation belongs to nothing.
    let swept = bucket.sweep(later - DAY / 3).await.expect("it is swept");
    assert_eq!((swept.sessions, swept.expired, swept.removed), (1, 0, 1));
    assert_eq!(bucket.delete_dataset("s", generation, "d").await, Ok(true));
    let gone = folder.path().join("gone");
    let fetched = bucket.fetch_dataset("s", generation, "d", &gone);
    assert_eq!(fetched.await, Ok(false));
    assert!(!gone.exists());
    let swept = bucket.sweep(later + DAY).await.expect("it is swept");
    assert_eq!((swept.expired, swept.removed), (1, 0));
    let swept = bucket.sweep(later + DAY).await.expect("it is swept");
    assert_eq!((swept.expired, swept.removed), (0, 2), "name and content");
}

#[tokio::test]
async fn a_sweep_deletes_what_has_run_out_and_removes_it_a_day_later() {
    let bucket = bucket().await;
    let generation = new_session(&bucket, "s").await.mark.generation;
    new_model(&bucket, generation, "m", 1.0).await;
    let now = SystemTime::now();
    let swept = bucket
        .sweep(now + DAY + DAY / 5)
        .await
        .expect("it is swept");
    assert_eq!((swept.sessions, swept.expired, swept.removed), (1, 0, 0));
    let swept = bucket
        .sweep(now + DAY + DAY / 3)
        .await
        .expect("it is swept");
    assert_eq!((swept.sessions, swept.expired, swept.removed), (0, 1, 0));
    assert_eq!(bucket.read_session("s", None).await, Ok(Read::Missing));
    assert_eq!(read(&bucket, generation, "m").await, None);
    let models = bucket
        .list_models("s", generation)
        .await
        .expect("it is listed");
    assert!(models.is_empty(), "a tombstone is no model: {models:?}");

    // The models first, the session with the next sweep.
    for removed in [1, 1, 0] {
        let swept = bucket.sweep(now + 4 * DAY).await.expect("it is swept");
        assert_eq!(swept.removed, removed);
    }
    new_session(&bucket, "s").await;
}

#[tokio::test]
async fn a_named_store_in_memory_is_shared() {
    let open = || Bucket::open("memory:shared", Options::default());
    let (one, other) = (open(), open());
    let (one, other) = (one.expect("it opens"), other.expect("it opens"));
    new_session(&one, "s").await;
    assert!(matches!(
        other.read_session("s", None).await,
        Ok(Read::Found(_))
    ));
    assert_eq!(other.describe(), "memory:shared");
}

#[tokio::test]
async fn a_url_that_names_no_store_is_refused_with_what_is_allowed() {
    let Err(error) = Bucket::open("ftp://x/y", Options::default()) else {
        panic!("it is no store")
    };
    assert!(matches!(&error, OpenError::Url { .. }));
    assert!(error.to_string().contains("s3://bucket/prefix"), "{error}");
}
