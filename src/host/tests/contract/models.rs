//! Models: steps, requests, names, lists, copies, quotas.

use super::calls::{
    begin, create_model, create_session, delete_model, insist, is_missing, request, state, step,
    train,
};
use super::store::{Store, model_in};
use crate::host::parts::run::Length;
use crate::host::refused::Refused;
use crate::host::tests::fixture::caller;
use crate::training::RegistryError;

pub async fn an_acknowledged_step_is_there_after_a_start(store: &Store) {
    let name = model_in(&store.session("steps"), "m");
    let scene = store.start().await;
    begin(&scene, &name).await;
    for at in 1..=3 {
        assert_eq!(step(&scene, &name, &format!("step-{at}")).await, at);
    }
    let before = state(&scene, &name).await.expect("it is there");
    let entry = scene.host.look_up(&name).await.expect("it is there");
    assert_eq!(entry.durable_step(), Some(3));
    assert_eq!(entry.is_logged(), store.differs.has_log);
    // Not an orderly stop.
    drop((entry, scene));
    let scene = store.start().await;
    assert_eq!(state(&scene, &name).await.expect("it is there"), before);
    assert_eq!(step(&scene, &name, "step-4").await, 4);
}

pub async fn a_request_takes_effect_once_and_after_a_start_too(store: &Store) {
    let name = model_in(&store.session("once"), "m");
    let scene = store.start().await;
    begin(&scene, &name).await;
    let first = train(&scene, &name, "r", |_| {}).await.expect("it begins");
    let outcome = (first.1.step, first.1.digest);
    assert_eq!(step(&scene, &name, "s").await, 2);
    let mut scene = scene;
    for _ in 0..2 {
        let (start, end) = train(&scene, &name, "r", |_| {})
            .await
            .expect("it is known");
        assert!(start.replayed);
        assert_eq!((end.step, end.digest), outcome);
        let made = create_model(&scene, &name, "model").await;
        assert_eq!(made.expect("it is known").entry.name, name);
        let made = create_session(&scene, &name.session).await;
        assert_eq!(made.expect("it is known").name, name.session);
        assert_eq!(state(&scene, &name).await.expect("it is there").0, 2);
        drop(scene);
        scene = store.start().await;
    }
}

pub async fn a_deleted_model_stays_deleted_and_its_name_is_free(store: &Store) {
    let name = model_in(&store.session("deleted"), "m");
    let mut scene = store.start().await;
    begin(&scene, &name).await;
    assert_eq!(step(&scene, &name, "r").await, 1);
    delete_model(&scene, &name).await;
    for _ in 0..2 {
        assert!(is_missing(state(&scene, &name).await));
        drop(scene);
        scene = store.start().await;
    }
    let made = create_model(&scene, &name, "again").await;
    assert_eq!(made.expect("the name is free").step, 0);
    // The request is of another model.
    assert_eq!(step(&scene, &name, "r").await, 1);
    drop(scene);
    let scene = store.start().await;
    assert_eq!(state(&scene, &name).await.expect("it is there").0, 1);
}

pub async fn models_are_listed_once_each_in_the_order_of_their_ids(store: &Store) {
    let session = store.session("lists");
    let mut scene = store.start().await;
    // In the order of keys, `a-1.safetensors` precedes `a.safetensors`.
    let ids = ["a", "a-1", "a1", "b", "c"];
    begin(&scene, &model_in(&session, ids[3])).await;
    for id in ids.iter().filter(|id| **id != ids[3]) {
        let made = create_model(&scene, &model_in(&session, id), id).await;
        made.expect("it is new");
    }
    delete_model(&scene, &model_in(&session, "c")).await;
    for _ in 0..2 {
        let mut found = Vec::new();
        let mut after = None;
        loop {
            let page = insist(async || {
                let caller = caller();
                let page = scene
                    .host
                    .page_of_models(&caller, &session, after.as_ref(), 3);
                page.await
            });
            let (page, next) = page.await.expect("they are listed");
            assert!(page.len() <= 3);
            found.extend(page.iter().map(|it| it.entry.name.model.to_string()));
            assert!(found.len() <= ids.len(), "{found:?}");
            let Some(next) = next else { break };
            after = Some(next);
        }
        assert_eq!(found, ids[..4]);
        drop(scene);
        scene = store.start().await;
    }
}

pub async fn a_copy_has_the_weights_and_goes_its_own_way(store: &Store) {
    let session = store.session("copies");
    let (original, copy) = (model_in(&session, "m"), model_in(&session, "copy"));
    let scene = store.start().await;
    begin(&scene, &original).await;
    assert_eq!(step(&scene, &original, "r").await, 1);
    let copied = insist(async || {
        let (caller, target) = (caller(), (copy.clone(), false));
        let copied = scene
            .host
            .copy_model(&caller, &original, target, Some(request("copy")));
        copied.await
    });
    copied.await.expect("it is copied");
    let before = state(&scene, &original).await.expect("it is there");
    assert_eq!(state(&scene, &copy).await.expect("it is there"), before);
    drop(scene);
    let scene = store.start().await;
    assert_eq!(state(&scene, &copy).await.expect("it is there"), before);
    assert_eq!(step(&scene, &copy, "r").await, 2);
    assert_eq!(state(&scene, &original).await.expect("it is there"), before);
}

pub async fn what_is_acknowledged_from_memory_survives_an_orderly_stop(store: &Store) {
    let name = model_in(&store.session("relaxed"), "m");
    let scene = store.start().await;
    begin(&scene, &name).await;
    let trained = train(&scene, &name, "r", |run| {
        run.is_relaxed = true;
        run.length = Length::Steps(5);
    });
    assert_eq!(trained.await.expect("it is trained").1.step, 5);
    let before = state(&scene, &name).await.expect("it is there");
    scene.host.settle().await;
    drop(scene);
    let scene = store.start().await;
    assert_eq!(state(&scene, &name).await.expect("it is there"), before);
}

pub async fn a_refusal_for_a_quota_changes_nothing(store: &Store) {
    let session = store.session("quota");
    let (first, second) = (model_in(&session, "m"), model_in(&session, "second"));
    let scene = store
        .start_with(|config| config.max_models_per_session = 1)
        .await;
    begin(&scene, &first).await;
    assert_eq!(step(&scene, &first, "r").await, 1);
    let refused = create_model(&scene, &second, "second").await;
    assert!(matches!(
        refused,
        Err(Refused::Registry(RegistryError::Quota { .. }))
    ));
    drop(scene);
    let scene = store.start().await;
    assert!(is_missing(state(&scene, &second).await));
    assert_eq!(step(&scene, &first, "s").await, 2);
    // The refused request was not remembered either.
    let made = create_model(&scene, &second, "second").await;
    assert_eq!(made.expect("there is room").entry.name, second);
}
