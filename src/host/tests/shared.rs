//! Nodes that share a store: what one has committed, the other goes on from.

use std::time::Duration;

use tempfile::TempDir;

use super::fixture::{Scene, caller, end_of, session_of, start_of};
use crate::host::copy_store::{CopyError, copy_store};
use crate::host::models::gradient_step::GradientUpdate;
use crate::host::parts::gradient::GradientParts;
use crate::host::parts::run::RunParts;
use crate::host::refused::{NotStored, Refused, Stop};
use crate::host::runs::event::{EndReason, RunEnd};
use crate::training::{Access, BeginError, ModelName, RegistryError};

/// Longer than a copy is believed.
const LATER: Duration = Duration::from_secs(3);

/// Trains at a node to the end.
async fn run(node: &Scene, name: &ModelName, set: impl FnOnce(&mut RunParts)) -> RunEnd {
    let events = node.train_with(name, caller(), set).await;
    let events = events.expect("the run begins");
    start_of(&events).await;
    end_of(&events).await.0
}

fn request(id: &str) -> impl FnOnce(&mut RunParts) {
    let id = id.to_owned();
    move |run| run.request_id = id
}

fn is_moved(end: &RunEnd) -> bool {
    matches!(
        end.reason,
        EndReason::NotStored(NotStored::Moved) | EndReason::Stopped(Stop::Moved)
    )
}

#[tokio::test(start_paused = true)]
async fn what_one_node_has_committed_another_goes_on_from() {
    let (one, other) = (Scene::node("goes-on").await, Scene::node("goes-on").await);
    let name = one.model("a").await;
    assert_eq!(run(&one, &name, |_| {}).await.step, 1);
    assert_eq!(other.step(&name).await, 1);
    assert_eq!(run(&other, &name, |_| {}).await.step, 2);
    tokio::time::advance(LATER).await;
    assert_eq!(
        one.step(&name).await,
        2,
        "the copy of the first node is looked at again"
    );
    let digest = |node: &Scene| {
        let entry = node.host.registry().peek(&name).flatten();
        entry
            .expect("it is in memory")
            .model
            .get()
            .step_and_digest()
    };
    assert_eq!(digest(&one), digest(&other));
}

#[tokio::test(start_paused = true)]
async fn a_node_that_is_behind_computes_and_cannot_acknowledge() {
    let (one, other) = (Scene::node("behind").await, Scene::node("behind").await);
    let name = one.model("a").await;
    assert_eq!(other.step(&name).await, 0);
    assert_eq!(run(&one, &name, request("first")).await.step, 1);
    let late = run(&other, &name, request("second")).await;
    assert!(is_moved(&late), "{late:?}");
    let again = run(&other, &name, request("second")).await;
    assert_eq!((again.step, again.steps_done), (2, 1));
    tokio::time::advance(LATER).await;
    assert_eq!(one.step(&name).await, 2);
}

#[tokio::test(start_paused = true)]
async fn a_request_that_is_repeated_at_another_node_takes_effect_once() {
    let (one, other) = (Scene::node("once").await, Scene::node("once").await);
    let name = one.model("a").await;
    assert_eq!(run(&one, &name, request("r")).await.step, 1);
    let events = other.train_with(&name, caller(), request("r")).await;
    let events = events.expect("it is answered");
    assert!(start_of(&events).await.replayed);
    assert_eq!(end_of(&events).await.0.step, 1);
}

#[tokio::test(start_paused = true)]
async fn a_step_is_not_called_unexpected_by_a_node_that_is_behind() {
    let (one, other) = (Scene::node("expected").await, Scene::node("expected").await);
    let name = one.model("a").await;
    assert_eq!(other.step(&name).await, 0);
    assert_eq!(run(&one, &name, |_| {}).await.step, 1);
    let expecting = |step| move |run: &mut RunParts| run.expected_step = Some(step);
    let late = other.train_with(&name, caller(), expecting(1)).await;
    assert!(
        matches!(late, Err(Refused::Stopped(Stop::Moved))),
        "the caller is right, the node is behind: {:?}",
        late.err()
    );
    assert_eq!(run(&other, &name, expecting(1)).await.step, 2);
    let wrong = other.train_with(&name, caller(), expecting(7)).await;
    assert!(matches!(
        wrong,
        Err(Refused::Begin(BeginError::StepMismatch { .. }))
    ));
}

#[tokio::test(start_paused = true)]
async fn a_model_that_was_deleted_at_one_node_is_gone_at_the_other() {
    let (one, other) = (Scene::node("deleted").await, Scene::node("deleted").await);
    let name = one.model("a").await;
    assert_eq!(run(&other, &name, |_| {}).await.step, 1);
    let deleted = one.host.delete_model(&caller(), &name).await;
    deleted.expect("it is there");
    let late = run(&other, &name, |_| {}).await;
    assert!(is_moved(&late), "{late:?}");
    let gone = other.host.look_up(&name).await;
    assert!(matches!(
        gone,
        Err(Refused::Registry(RegistryError::NoModel(_)))
    ));
}

#[tokio::test(start_paused = true)]
async fn a_session_of_a_name_that_was_deleted_starts_anew() {
    let (one, other) = (Scene::node("anew").await, Scene::node("anew").await);
    let name = one.model("a").await;
    assert_eq!(run(&other, &name, |_| {}).await.step, 1);
    let session = session_of(&name);
    let deleted = one.host.delete_session(&caller(), &session).await;
    assert_eq!(deleted.expect("it is there"), 1);
    tokio::time::advance(LATER).await;
    let gone = other.host.look_up(&name).await;
    assert!(matches!(
        gone,
        Err(Refused::Registry(RegistryError::NoSession(_)))
    ));
    assert_eq!(one.model("a").await, name);
    assert_eq!(
        other.step(&name).await,
        0,
        "none of the former model's steps"
    );
}

#[tokio::test(start_paused = true)]
async fn a_name_is_given_once_in_the_cluster() {
    let (one, other) = (Scene::node("names").await, Scene::node("names").await);
    let name = one.model("a").await;
    let (session, terms) = (session_of(&name), (None, Access::Full));
    let caller = caller();
    let taken = other
        .host
        .create_session(&caller, session.clone(), terms, None);
    assert!(matches!(
        taken.await,
        Err(Refused::Registry(RegistryError::SessionTaken(_)))
    ));
    let listed = other.host.list_sessions(None, None, 10).await;
    let listed = listed.expect("the store answers");
    assert_eq!(listed.len(), 1);
    assert_eq!((&listed[0].name, listed[0].models), (&session, 1));
    let page = other.host.page_of_models(&caller, &session, None, 10).await;
    let (page, next) = page.expect("the store answers");
    assert_eq!(page.len(), 1);
    assert_eq!((&page[0].entry.name, next), (&name, None));
}

#[tokio::test(start_paused = true)]
async fn a_gradient_is_applied_once_whichever_node_hears_of_it() {
    let (one, other) = (Scene::node("gradient").await, Scene::node("gradient").await);
    let name = one.model("a").await;
    assert_eq!(other.step(&name).await, 0);
    let step = |node: &Scene, id: &str| {
        let update = GradientUpdate {
            gradients: GradientParts(Vec::new()),
            learning_rate: None,
            expected_step: None,
            request_id: id.to_owned(),
            is_relaxed: false,
            digests: false,
        };
        let (host, name) = (std::sync::Arc::clone(&node.host), name.clone());
        async move { host.apply_gradients(&caller(), &name, update).await }
    };
    let (taken, durable) = step(&one, "g").await.expect("it is taken");
    assert_eq!((taken.step, durable), (1, Some(1)));
    let late = step(&other, "h").await;
    assert!(matches!(late, Err(Refused::NotStored(NotStored::Moved))));
    let (again, _) = step(&other, "g").await.expect("it is known");
    assert_eq!(again.step, 1);
}

#[tokio::test(start_paused = true)]
async fn a_session_that_another_node_serves_outlives_its_time_to_live_here() {
    let (one, other) = (Scene::node("lives").await, Scene::node("lives").await);
    let name = one.model("a").await;
    let day = Duration::from_secs(one.host.config.session_ttl_seconds);
    assert_eq!(other.step(&name).await, 0);
    tokio::time::advance(day + LATER).await;
    let expired = one.host.registry().expired(one.host.now());
    assert_eq!(expired, vec![session_of(&name)]);
    one.host.forget_unused(expired).await;
    assert!(!one.host.registry().has_session(&session_of(&name)));
    assert_eq!(one.step(&name).await, 0, "the store has it still");
}

#[tokio::test]
async fn a_store_is_copied_to_a_bucket_and_back_and_a_repeat_finds_all_of_it_there() {
    let (original, back) = (tempfile::tempdir(), tempfile::tempdir());
    let (original, back) = (original.expect("a folder"), back.expect("a folder"));
    let (name, state) = {
        let scene = Scene::on(&original, |_| {}).await;
        let name = scene.model("a").await;
        assert_eq!(run(&scene, &name, request("r")).await.step, 1);
        let entry = scene.host.look_up(&name).await.expect("it is there");
        (name, entry.model.get().step_and_digest())
    };
    let (from, to) = (path_of(&original), path_of(&back));
    let bucket = "memory:copied";
    let copied = copy_store(&from, bucket, "").await.expect("it is copied");
    assert_eq!((copied.sessions, copied.models, copied.found), (1, 1, 0));
    let again = copy_store(&from, bucket, "").await.expect("it is there");
    assert_eq!((again.sessions, again.models, again.found), (1, 0, 1));
    copy_store(bucket, &to, "")
        .await
        .expect("it is copied back");

    let scene = Scene::on(&back, |_| {}).await;
    let entry = scene.host.look_up(&name).await.expect("it is there");
    assert_eq!(entry.model.get().step_and_digest(), state);
    let events = scene.train_with(&name, caller(), request("r")).await;
    let events = events.expect("it is answered");
    assert!(
        start_of(&events).await.replayed,
        "it remembers its requests"
    );
    assert_eq!(end_of(&events).await.0.step, 1);
    assert_eq!(run(&scene, &name, request("s")).await.step, 2);
    drop(scene);
    let differs = copy_store(&to, bucket, "").await;
    assert!(matches!(differs, Err(CopyError::Differs(_))), "{differs:?}");
    let mistyped = format!("{to}-mistyped");
    let none = copy_store(&mistyped, bucket, "").await;
    assert!(matches!(none, Err(CopyError::NoFolder(_))), "{none:?}");
    assert!(!std::path::Path::new(&mistyped).exists());
}

fn path_of(folder: &TempDir) -> String {
    folder.path().to_str().expect("UTF-8").to_owned()
}

#[tokio::test(start_paused = true)]
async fn a_session_in_use_is_looked_at_before_a_call_has_to_wait_for_it() {
    let node = Scene::node("ahead").await;
    let name = node.model("a").await.session;
    let host = std::sync::Arc::clone(&node.host);
    let tended = tokio::spawn(async move { host.tend_shared().await });
    let requests = || node.host.metrics.store_requests.count();
    node.pass(Duration::from_millis(1_600)).await;
    node.host.sync_session(&name).await.expect("it is believed");
    node.pass(Duration::from_millis(10)).await;
    // Longer than it is believed since it was created, shorter since the look.
    node.pass(Duration::from_millis(1_000)).await;
    let before = requests();
    node.host.sync_session(&name).await.expect("it is believed");
    assert_eq!(requests(), before, "no call had to wait");
    tended.abort();
}
