//! Sessions: names, times to live, lists, counts.

use std::collections::BTreeSet;
use std::time::Duration;

use super::calls::{
    begin, create_model, create_session, create_session_with, delete_session, insist, is_missing,
    state, step,
};
use super::store::{Store, model_in};
use crate::host::refused::Refused;
use crate::training::RegistryError;

pub async fn a_deleted_session_stays_deleted_and_its_name_is_free(store: &Store) {
    let session = store.session("ended");
    let (name, other) = (model_in(&session, "m"), model_in(&session, "n"));
    let mut scene = store.start().await;
    begin(&scene, &name).await;
    let made = create_model(&scene, &other, "other").await;
    made.expect("it is new");
    assert_eq!(step(&scene, &name, "r").await, 1);
    delete_session(&scene, &session).await;
    for _ in 0..2 {
        assert!(is_missing(state(&scene, &name).await));
        let record = scene.host.record_of(&session).await;
        assert!(matches!(record, Ok(None)), "{record:?}");
        drop(scene);
        scene = store.start().await;
    }
    let made = create_session_with(&scene, &session, None, "again").await;
    assert_eq!(made.expect("the name is free").models, 0);
    for _ in 0..2 {
        assert!(is_missing(state(&scene, &name).await));
        assert!(is_missing(state(&scene, &other).await));
        drop(scene);
        scene = store.start().await;
    }
    let made = create_model(&scene, &name, "model").await;
    assert_eq!(made.expect("it is new").step, 0);
    assert_eq!(step(&scene, &name, "r").await, 1);
    drop(scene);
    let scene = store.start().await;
    assert_eq!(state(&scene, &name).await.expect("it is there").0, 1);
    assert!(is_missing(state(&scene, &other).await));
}

pub async fn a_session_ends_with_its_time_to_live(store: &Store) {
    let (short, long) = (store.session("short"), store.session("long"));
    let (name, stays) = (model_in(&short, "m"), model_in(&long, "m"));
    let ttl = Duration::from_secs(60);
    let mut scene = store.start().await;
    let made = create_session_with(&scene, &short, Some(ttl), "session").await;
    made.expect("it is new");
    let made = create_model(&scene, &name, "model").await;
    made.expect("it is new");
    begin(&scene, &stays).await;
    store.end_leases(&scene, ttl).await;
    for _ in 0..2 {
        assert!(is_missing(state(&scene, &name).await));
        assert_eq!(state(&scene, &stays).await.expect("it is there").0, 0);
        drop(scene);
        scene = store.start().await;
    }
    let made = create_session_with(&scene, &short, Some(ttl), "again").await;
    assert_eq!(made.expect("the name is free").models, 0);
    assert!(is_missing(state(&scene, &name).await));
}

pub async fn sessions_are_listed_once_each_in_pages(store: &Store) {
    let mut scene = store.start().await;
    let mut mine = BTreeSet::new();
    for i in 0..5 {
        let session = store.session(&format!("page-{i}"));
        begin(&scene, &model_in(&session, "m")).await;
        mine.insert(session);
    }
    let deleted = mine.pop_first().expect("there are five");
    delete_session(&scene, &deleted).await;
    for _ in 0..2 {
        let mut found = Vec::new();
        loop {
            let page = insist(async || scene.host.list_sessions(None, found.last(), 2).await);
            let page = page.await.expect("they are listed");
            assert!(page.len() <= 2);
            if page.is_empty() {
                break;
            }
            for info in page {
                // Pages that begin again would never end.
                assert!(!found.contains(&info.name), "{} twice", info.name);
                if mine.contains(&info.name) {
                    assert_eq!(info.models, 1);
                }
                found.push(info.name);
            }
        }
        assert!(!found.contains(&deleted));
        let listed: Vec<_> = found.iter().filter(|it| mine.contains(it)).collect();
        assert_eq!(listed.len(), mine.len(), "each: {found:?}");
        if store.differs.lists_sessions_by_name {
            assert!(found.is_sorted());
        }
        drop(scene);
        scene = store.start().await;
    }
}

pub async fn comparisons_stay_counted(store: &Store) {
    let session = store.session("compared");
    let limit = 5;
    let start = async || {
        store
            .start_with(|config| config.max_compare_tries_per_session = limit)
            .await
    };
    let mut scene = start().await;
    let made = create_session(&scene, &session).await;
    made.expect("it is new");
    let mut left = limit;
    for _ in 0..2 {
        for _ in 0..2 {
            // A try whose answer is lost may be counted twice: never less than once.
            let now = insist(async || scene.host.count_compare_try(&session).await).await;
            let now = now.expect("tries are left");
            assert!(now < left, "{now} after {left}");
            left = now;
        }
        drop(scene);
        scene = start().await;
        let read = insist(async || scene.host.record_of(&session).await).await;
        let record = read.expect("it is there").expect("it is there");
        assert_eq!(record.compare_tries, limit - left);
    }
    let mut last = Ok(left);
    for _ in 0..=limit {
        last = insist(async || scene.host.count_compare_try(&session).await).await;
    }
    assert!(matches!(
        last,
        Err(Refused::Registry(RegistryError::Quota { .. }))
    ));
}
