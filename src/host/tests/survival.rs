//! Restarts, eviction and reloading.

use std::sync::Arc;
use std::time::Duration;

use tempfile::TempDir;

use super::fixture::{ENDLESS, Scene, caller, end_of, session_of, start_of, until};
use crate::host::parts::run::Length;
use crate::host::refused::Refused;
use crate::training::RegistryError;

fn folder() -> TempDir {
    tempfile::tempdir().expect("a folder")
}

#[tokio::test(start_paused = true)]
async fn an_acknowledged_step_is_there_after_a_start() {
    let folder = folder();
    let name = {
        let scene = Scene::on(&folder, |_| {}).await;
        let name = scene.model("a").await;
        let (end, _) = end_of(&scene.train(&name, 4).await.expect("it begins")).await;
        assert_eq!((end.step, end.durable_step), (4, Some(4)));
        // Not an orderly shutdown: from here on only the disk counts.
        name
    };
    let scene = Scene::on(&folder, |_| {}).await;
    assert_eq!(scene.step(&name).await, 4);
    let (end, _) = end_of(&scene.train(&name, 1).await.expect("it begins")).await;
    assert_eq!(end.step, 5);
}

#[tokio::test(start_paused = true)]
async fn what_is_acknowledged_from_memory_is_on_disk_half_a_second_later() {
    let folder = folder();
    let scene = Scene::on(&folder, |_| {}).await;
    let name = scene.model("a").await;
    let run = scene.train_with(&name, caller(), |run| {
        run.length = Length::Steps(4);
        run.is_relaxed = true;
    });
    let (end, _) = end_of(&run.await.expect("it begins")).await;
    assert_eq!((end.step, end.durable_step), (4, Some(0)));
    scene.pass(Duration::from_millis(499)).await;
    assert_eq!(scene.durable_step(&name).await, Some(0));
    scene.pass(Duration::from_millis(1)).await;
    until("it is written", async || {
        scene.durable_step(&name).await == Some(4)
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_long_run_is_committed_while_it_goes_on() {
    let folder = folder();
    let scene = Scene::on(&folder, |config| config.commit_seconds = 10).await;
    let name = scene.model("a").await;
    let events = scene.train(&name, ENDLESS).await.expect("it begins");
    start_of(&events).await;
    until("it takes steps", async || scene.step(&name).await > 0).await;
    assert_eq!(scene.durable_step(&name).await, Some(0));
    for _ in 0..19 {
        scene.pass(Duration::from_millis(500)).await;
    }
    assert_eq!(scene.durable_step(&name).await, Some(0));
    // The server looks for due commits twice a second.
    scene.pass(Duration::from_secs(1)).await;
    until("it is committed", async || {
        scene.durable_step(&name).await > Some(0)
    })
    .await;
    let entry = scene.host.look_up(&name).await.expect("a model");
    assert!(entry.is_training());
}

#[tokio::test(start_paused = true)]
async fn a_model_without_a_call_leaves_memory_and_comes_back_as_it_was() {
    let folder = folder();
    let scene = Scene::on(&folder, |config| {
        config.evict_after_seconds = 60;
        config.commit_seconds = 1;
        config.session_ttl_seconds = 31_536_000;
    })
    .await;
    let name = scene.model("a").await;
    end_of(&scene.train(&name, 3).await.expect("it begins")).await;
    let before = scene.host.look_up(&name).await.expect("a model");
    let (step, digest) = before.model.get().step_and_digest();
    drop(before);
    let resident = || scene.host.registry().counts().2;
    let looking = Arc::clone(&scene.host);
    let tending = tokio::spawn(async move {
        tokio::join!(looking.retire(), looking.tend_log());
    });
    assert_eq!(resident(), 1);
    until("it leaves memory", async || {
        scene.pass(Duration::from_secs(5)).await;
        resident() == 0
    })
    .await;
    assert_eq!(
        scene.host.registry().counts().1,
        1,
        "the model is there still"
    );
    let after = scene.host.look_up(&name).await.expect("it comes back");
    assert_eq!(after.model.get().step_and_digest(), (step, digest));
    tending.abort();
}

#[tokio::test(start_paused = true)]
async fn a_session_without_a_call_expires_and_one_that_trains_does_not() {
    let scene = Scene::new(|config| config.session_ttl_seconds = 100).await;
    let [name, busy] = [scene.model("a").await, scene.model("b").await];
    let host = Arc::clone(&scene.host);
    let retiring = tokio::spawn(async move { host.retire().await });
    let events = scene.train(&busy, ENDLESS).await.expect("it begins");
    start_of(&events).await;
    for _ in 0..110 {
        scene.pass(Duration::from_secs(1)).await;
    }
    let refused = scene.host.look_up(&name).await.err();
    assert!(
        matches!(
            refused,
            Some(Refused::Registry(RegistryError::NoSession(_)))
        ),
        "{refused:?}"
    );
    scene.host.look_up(&busy).await.expect("its run renews it");
    let deleted = scene
        .host
        .delete_session(&caller(), &session_of(&busy))
        .await;
    assert_eq!(deleted.ok(), Some(1));
    retiring.abort();
}
