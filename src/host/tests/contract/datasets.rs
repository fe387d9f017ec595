//! Datasets: rows, lists, names.

use backpropd_datasets::{TruthKind, UploadHeader};
use bytes::Bytes;

use super::calls::{create_session, create_session_with, delete_session, insist, request};
use super::store::Store;
use crate::host::datasets::{Begun, DatasetState, ListedDataset, NewDataset, Piece};
use crate::host::refused::Refused;
use crate::host::tests::fixture::{Scene, caller};
use crate::nn::Dtype;
use crate::training::{DatasetName, Id, SessionName};

const ROWS: usize = 3;

fn dataset_in(session: &SessionName, id: &str) -> DatasetName {
    DatasetName {
        session: Some(session.clone()),
        dataset: Id::parse(id).expect("an id"),
    }
}

/// A dataset whose rows begin with this number.
async fn create(
    scene: &Scene,
    session: &SessionName,
    id: &str,
    first: f32,
) -> Result<DatasetState, Refused> {
    insist(async || {
        let new = NewDataset {
            session: session.clone(),
            id: Id::parse(id).expect("an id"),
            header: UploadHeader {
                rows: ROWS,
                features: 2,
                dtype: Dtype::Float32,
                truth: TruthKind::Targets { columns: 1 },
                standardization: None,
                encoding: None,
                note: None,
            },
            request: Some(request(&format!("{id}-{first}"))),
        };
        let caller = caller();
        let receiver = match scene.host.begin_dataset(&caller, new).await? {
            Begun::Made(state) => return Ok(*state),
            Begun::New(receiver) => *receiver,
        };
        let numbers = |count: usize| -> Bytes {
            let numbers = std::iter::repeat_n(first, count).flat_map(f32::to_le_bytes);
            numbers.collect()
        };
        let piece = Piece {
            inputs: numbers(2 * ROWS),
            targets: numbers(ROWS),
            labels: Vec::new(),
        };
        let receiver = receiver.take(&caller, piece).await?;
        scene.host.finish_dataset(&caller, receiver).await
    })
    .await
}

async fn list(scene: &Scene, session: &SessionName) -> Vec<ListedDataset> {
    let mut all = Vec::new();
    let mut after = None;
    loop {
        let page = insist(async || {
            let caller = caller();
            let page = scene
                .host
                .page_of_datasets(&caller, Some(session), after.as_ref(), 2);
            page.await
        });
        let (page, next) = page.await.expect("they are listed");
        all.extend(page);
        assert!(all.len() < 10, "there are a few");
        let Some(next) = next else { return all };
        after = Some(next);
    }
}

async fn digest(scene: &Scene, name: &DatasetName) -> Result<String, Refused> {
    let found = insist(async || scene.host.describe_dataset(&caller(), name).await).await;
    found.map(|state| state.summary.digest.to_string())
}

pub async fn a_dataset_is_there_after_a_start_until_it_is_deleted(store: &Store) {
    let session = store.session("datasets");
    let mut scene = store.start().await;
    let made = create_session(&scene, &session).await;
    made.expect("it is new");
    // In the order of keys, `d-1.dataset` precedes `d.dataset`.
    let ids = ["d", "d-1", "e"];
    let mut digests = Vec::new();
    for (id, first) in ids.into_iter().zip([1.0, 2.0, 3.0]) {
        let made = create(&scene, &session, id, first)
            .await
            .expect("it is new");
        digests.push(made.summary.digest.to_string());
    }
    let repeated = create(&scene, &session, "d", 1.0).await;
    assert_eq!(
        repeated.expect("it is known").summary.digest.to_string(),
        digests[0]
    );
    let taken = create(&scene, &session, "d", 4.0).await;
    assert!(matches!(taken, Err(Refused::DatasetTaken(_))), "{taken:?}");
    for _ in 0..2 {
        let listed = list(&scene, &session).await;
        let names: Vec<_> = listed.iter().map(|it| it.name.clone()).collect();
        assert_eq!(names, ids.map(|id| dataset_in(&session, id)));
        for (listed, digest) in listed.iter().zip(&digests) {
            let outline = listed.outline.as_ref().expect("it is known");
            let sizes = (outline.rows, outline.features, outline.target_columns);
            assert_eq!(sizes, (ROWS, 2, 1));
            assert_eq!((&outline.digest, outline.bytes), (digest, 36));
            assert!(listed.created.is_some());
        }
        drop(scene);
        scene = store.start().await;
    }
    for (id, expected) in ids.into_iter().zip(&digests) {
        let found = digest(&scene, &dataset_in(&session, id)).await;
        assert_eq!(&found.expect("it is there"), expected);
    }
    let gone = dataset_in(&session, "d");
    let deleted = insist(async || scene.host.delete_dataset(&caller(), &gone).await).await;
    assert!(matches!(deleted, Ok(()) | Err(Refused::NoDataset(_))));
    for _ in 0..2 {
        let found = digest(&scene, &gone).await;
        assert!(matches!(found, Err(Refused::NoDataset(_))), "{found:?}");
        assert_eq!(list(&scene, &session).await.len(), 2);
        drop(scene);
        scene = store.start().await;
    }
    let made = create(&scene, &session, "d", 5.0).await;
    let again = made.expect("the name is free").summary.digest.to_string();
    drop(scene);
    let scene = store.start().await;
    assert_eq!(digest(&scene, &gone).await.expect("it is there"), again);
}

pub async fn a_dataset_goes_with_its_session(store: &Store) {
    let session = store.session("together");
    let scene = store.start().await;
    let made = create_session(&scene, &session).await;
    made.expect("it is new");
    create(&scene, &session, "d", 1.0).await.expect("it is new");
    delete_session(&scene, &session).await;
    let made = create_session_with(&scene, &session, None, "again").await;
    made.expect("the name is free");
    assert!(list(&scene, &session).await.is_empty());
    drop(scene);
    let scene = store.start().await;
    assert!(list(&scene, &session).await.is_empty());
    let found = digest(&scene, &dataset_in(&session, "d")).await;
    assert!(matches!(found, Err(Refused::NoDataset(_))), "{found:?}");
}

/// Of a bucket alone: a node that has none of the files asks for what the list shows.
pub async fn a_list_takes_a_request_for_each(store: &Store) {
    let session = store.session("requests");
    let scene = store.start().await;
    let made = create_session(&scene, &session).await;
    made.expect("it is new");
    for id in ["a", "b", "c", "d", "e"] {
        create(&scene, &session, id, 1.0).await.expect("it is new");
    }
    let other = store
        .start_with(|config| config.store_trust_seconds = 3_600)
        .await;
    // From here on it believes what it knows of the session.
    let name = dataset_in(&session, "a");
    digest(&other, &name).await.expect("it is there");
    other.host.release_dataset(&name);
    let requests = || other.host.metrics.store_requests.count();
    let before = requests();
    let page = other
        .host
        .page_of_datasets(&caller(), Some(&session), None, 2)
        .await;
    assert_eq!(page.expect("they are listed").0.len(), 2);
    // One lists the keys, and one reads each of the page, and of the one that follows it.
    assert_eq!(requests() - before, 1 + 3);
    assert_eq!(
        other.host.datasets.count(&session),
        0,
        "no file was fetched"
    );
}
