//! The bucket on each dialect: what it promises, over real connections.
//!
//! A store is configured by the environment, so each test runs this program again with another one. By hand or by a
//! script: `BACKPROPD_TEST_BUCKET=s3://bucket/prefix cargo test -p backpropd-s3 --test contract on_a_dialect`.

use std::io;
use std::time::{Duration, SystemTime};

use backpropd_bucket::{
    Bucket, Commit, Create, Encode, Generation, Lease, MARK_ENTRY, Mark, Options, Read, Seen,
};
use backpropd_s3::{Settings, run_test_again};
use futures_util::future::join_all;
use safetensors::tensor::TensorView;

const BUCKET: &str = "BACKPROPD_TEST_BUCKET";
const NODES: usize = 3;
const STEPS: u32 = 12;

fn open(url: &str) -> Bucket {
    let options = Options {
        timeout: Duration::from_secs(2),
        ..Options::default()
    };
    Bucket::open(url, options).unwrap_or_else(|error| panic!("{error}"))
}

/// A model that is the list of its steps.
fn model(steps: &[u32]) -> impl Encode + use<> {
    let steps = steps.to_vec();
    move |mark: &Mark| -> io::Result<backpropd_bucket::Bytes> {
        let mark = serde_json::to_string(mark)?;
        let bytes: Vec<u8> = steps.iter().flat_map(|step| step.to_le_bytes()).collect();
        let tensor = TensorView::new(safetensors::Dtype::U32, vec![steps.len()], &bytes)
            .map_err(io::Error::other)?;
        let metadata = [(MARK_ENTRY.to_owned(), mark)].into();
        let file = safetensors::serialize([("steps", tensor)], Some(metadata));
        Ok(file.map_err(io::Error::other)?.into())
    }
}

fn steps(file: &[u8]) -> Vec<u32> {
    let file = safetensors::SafeTensors::deserialize(file).expect("a model is a file");
    let tensor = file.tensor("steps").expect("it has steps");
    let bytes = tensor.data().chunks_exact(4);
    bytes
        .map(|step| u32::from_le_bytes(*step.first_chunk().expect("it is of 4 bytes")))
        .collect()
}

/// Tries again what the store does not tell, as a host does.
async fn insist<T>(mut call: impl AsyncFnMut() -> Option<T>) -> T {
    for _ in 0..50 {
        if let Some(done) = call().await {
            return done;
        }
    }
    panic!("the store does not answer")
}

async fn new_session(bucket: &Bucket, session: &str) -> Generation {
    let lease = Lease {
        ttl: Duration::from_secs(3600),
        at: SystemTime::now(),
    };
    insist(
        async || match bucket.create_session(session, "{}", lease).await {
            Create::Created(seen) => Some(seen.mark.generation),
            Create::Taken(object) | Create::Overtaken(object) => Some(object.seen.mark.generation),
            Create::NoSession | Create::Unknown(_) => None,
        },
    )
    .await
}

async fn new_model(bucket: &Bucket, session: &str, generation: Generation) {
    let new = model(&[]);
    insist(async || {
        let created = bucket.create_model(session, generation, "m", &new).await;
        match created {
            Create::Created(_) | Create::Taken(_) | Create::Overtaken(_) => Some(()),
            Create::NoSession | Create::Unknown(_) => None,
        }
    })
    .await;
}

async fn read(bucket: &Bucket, session: &str, generation: Generation) -> Option<(Seen, Vec<u32>)> {
    insist(async || {
        let read = bucket.read_model(session, generation, "m", None).await;
        match read.ok()? {
            Read::Found(object) => Some(Some((object.seen, steps(&object.bytes)))),
            Read::Missing => Some(None),
            Read::Unchanged => None,
        }
    })
    .await
}

/// One node: each of its steps is done once, even if answers are lost.
async fn train(url: String, session: String, generation: Generation, first: u32) {
    let bucket = open(&url);
    for step in first..first + STEPS {
        insist(async || {
            let (seen, done) = read(&bucket, &session, generation).await?;
            if done.contains(&step) {
                return Some(());
            }
            let new = model(&[&done[..], &[step]].concat());
            match bucket.commit_model(&session, &seen, "m", &new).await {
                Commit::Stored(_) | Commit::Overtaken => Some(()),
                Commit::Moved | Commit::Unknown(_) => None,
            }
        })
        .await;
    }
}

async fn contract(url: &str) {
    let bucket = open(url);
    bucket
        .probe()
        .await
        .unwrap_or_else(|error| panic!("{error}"));
    let since = SystemTime::UNIX_EPOCH.elapsed().expect("it is after 1970");
    let session = format!("contract-{}", since.as_micros());
    let generation = new_session(&bucket, &session).await;
    new_model(&bucket, &session, generation).await;

    let nodes = (0..NODES).map(|node| {
        let first = u32::try_from(node).expect("there are few") * 1000;
        train(url.to_owned(), session.clone(), generation, first)
    });
    join_all(nodes).await;
    let (seen, mut done) = read(&bucket, &session, generation)
        .await
        .expect("the model is alive");
    done.sort_unstable();
    let expected: Vec<u32> = (0..3000).filter(|step| step % 1000 < STEPS).collect();
    assert_eq!(done, expected, "each step is in the model once");

    let unchanged = bucket
        .read_model(&session, generation, "m", Some(&seen))
        .await;
    assert_eq!(unchanged, Ok(Read::Unchanged));
    let models = bucket.list_models(&session, generation).await;
    assert_eq!(models, Ok(vec!["m".to_owned()]));
    datasets(&bucket, &session, generation).await;
    deletions(&bucket, &session, generation, &seen).await;
}

/// Of more than one part, so that it is uploaded in parts.
async fn datasets(bucket: &Bucket, session: &str, generation: Generation) {
    let folder = tempfile::tempdir().expect("there is room");
    let (source, target) = (folder.path().join("source"), folder.path().join("target"));
    let bytes: Vec<u8> = (0..17_u32 << 20).map(|i| (i >> 9) as u8).collect();
    std::fs::write(&source, &bytes).expect("there is room");
    let created = insist(async || {
        let created = bucket.create_dataset(session, generation, "d", "digest", "about", &source);
        match created.await {
            Create::Created(_) | Create::Taken(_) | Create::Overtaken(_) => Some(()),
            Create::NoSession | Create::Unknown(_) => None,
        }
    });
    created.await;
    let fetched = bucket.fetch_dataset(session, generation, "d", &target);
    assert_eq!(fetched.await, Ok(true));
    assert!(std::fs::read(&target).expect("it was fetched") == bytes);
}

/// A deleted session does not come back, and its objects are removed in time.
async fn deletions(bucket: &Bucket, session: &str, generation: Generation, seen: &Seen) {
    let listed = bucket.list_sessions(None, 1_000_000).await;
    let listed = listed.expect("it is listed");
    assert!(listed.iter().any(|name| name == session));
    insist(async || bucket.delete_session(session, generation).await.ok()).await;
    let late = bucket.commit_model(session, seen, "m", &model(&[7])).await;
    assert_eq!(late, Commit::Moved);
    assert!(read(bucket, session, generation).await.is_none());

    let again = new_session(bucket, session).await;
    assert!(read(bucket, session, again).await.is_none());
    insist(async || bucket.delete_session(session, again).await.ok()).await;
    // Two sweeps of a time to come; only a bucket that others use has more in it.
    let later = SystemTime::now() + Duration::from_secs(2 * 86_400);
    let mut removed = 0;
    for _ in 0..3 {
        removed += insist(async || bucket.sweep(later).await.ok())
            .await
            .removed;
    }
    assert!(removed >= 1, "{removed} objects were removed");
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("there are threads")
}

#[test]
fn on_a_dialect() {
    let url = std::env::var(BUCKET).unwrap_or_else(|_| "memory:contract".to_owned());
    runtime().block_on(contract(&url));
}

/// Opens a bucket and says how that ended: what the tests below run.
#[test]
fn opening() {
    let Ok(url) = std::env::var("BACKPROPD_TEST_OPEN") else {
        return;
    };
    let opened =
        runtime().block_on(async { Bucket::open(&url, Options::default())?.probe().await });
    match opened {
        Ok(()) => println!("opened"),
        Err(error) => println!("refused: {error}"),
    }
}

fn assert_holds(settings: Settings) {
    let variables = [(BUCKET, "s3://backpropd/a/prefix")];
    run_test_again(settings, "on_a_dialect", &variables).unwrap_or_else(|error| panic!("{error}"));
}

#[test]
fn on_s3() {
    assert_holds(Settings::default());
}

#[test]
fn on_s3_with_faults() {
    for seed in 0..4 {
        assert_holds(Settings {
            faults_per_mille: 150,
            seed,
            ..Settings::default()
        });
    }
}

fn opened(settings: Settings, url: &str, variables: &[(&str, &str)]) -> String {
    let variables = [&[("BACKPROPD_TEST_OPEN", url)], variables].concat();
    run_test_again(settings, "opening", &variables).unwrap_or_else(|error| panic!("{error}"))
}

/// The settings of the server, the URL, changes to the environment, and what the message has to name.
type Case<'a> = (Settings, &'a str, &'a [(&'a str, &'a str)], &'a str);

#[test]
fn what_is_wrong_at_the_start_is_told_by_name() {
    let url = "s3://backpropd/p";
    let is_read_only = Settings {
        is_read_only: true,
        ..Settings::default()
    };
    let elsewhere = Settings {
        region: Some("eu-north-1".to_owned()),
        ..Settings::default()
    };
    let forgetful = Settings {
        ignores_conditions: true,
        ..Settings::default()
    };
    let cases: [Case; 7] = [
        (Settings::default(), url, &[], "opened"),
        (
            Settings::default(),
            "s3://other",
            &[],
            "the bucket does not exist",
        ),
        (
            Settings::default(),
            url,
            &[("AWS_SECRET_ACCESS_KEY", "wrong")],
            "does not accept the credentials",
        ),
        (is_read_only, url, &[], "the credentials do not permit this"),
        (elsewhere, url, &[], "set AWS_REGION"),
        (
            Settings::default(),
            url,
            &[("AWS_ALLOW_HTTP", "false")],
            "AWS_ALLOW_HTTP=true",
        ),
        (
            forgetful,
            url,
            &[],
            "s3://backpropd/p cannot hold sessions: it created an object that existed",
        ),
    ];
    for (settings, url, variables, expected) in cases {
        let text = opened(settings, url, variables);
        assert!(text.contains(expected), "{expected:?} is not in {text}");
    }
}
