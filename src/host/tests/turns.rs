//! Turns to change a model.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinHandle;

use super::fixture::{ENDLESS, Scene, caller, end_of, start_of, until};
use crate::host::parts::run::Length;
use crate::host::refused::Refused;
use crate::training::ModelName;

/// The setting that a refusal names.
fn setting(refused: Option<Refused>) -> Option<&'static str> {
    match refused {
        Some(Refused::Busy { setting, .. }) => Some(setting),
        _ => None,
    }
}

#[tokio::test(start_paused = true)]
async fn runs_of_a_model_take_turns_in_the_order_in_which_they_came() {
    let scene = Arc::new(Scene::new(|_| {}).await);
    let name = scene.model("a").await;
    let first = scene.train(&name, ENDLESS).await.expect("it begins");
    assert_eq!(start_of(&first).await.queue_position, 0);
    let entry = scene.host.look_up(&name).await.expect("a model");
    let mut waiting = Vec::new();
    for place in 1..=3 {
        let (scene, name) = (Arc::clone(&scene), name.clone());
        waiting.push(tokio::spawn(async move {
            let events = scene.train(&name, 1).await.expect("its turn comes");
            let start = start_of(&events).await;
            (start.queue_position, start.step, end_of(&events).await.0)
        }));
        until("it waits", async || entry.turns.writers() == place + 1).await;
    }
    drop(first);
    let mut before = None;
    for (place, run) in (1..).zip(waiting) {
        let (position, step, end) = run.await.expect("no panic");
        assert_eq!(position, place);
        assert_eq!(
            step,
            before.unwrap_or(step),
            "it begins where the one before ended"
        );
        assert_eq!(end.step, step + 1);
        before = Some(end.step);
    }
}

/// A run of one step that waits behind the one under way; how it is refused, if it is.
async fn waiting(scene: &Arc<Scene>, name: &ModelName) -> JoinHandle<Option<Refused>> {
    let run = {
        let (scene, name) = (Arc::clone(scene), name.clone());
        tokio::spawn(async move {
            match scene.train(&name, 1).await {
                Ok(events) => end_of(&events).await.0.refusal(),
                Err(refused) => Some(refused),
            }
        })
    };
    let entry = scene.host.look_up(name).await.expect("a model");
    until("it waits", async || entry.turns.writers() == 2).await;
    run
}

#[tokio::test(start_paused = true)]
async fn more_runs_than_may_wait_are_refused_at_once() {
    let scene = Arc::new(Scene::new(|config| config.max_waiting_runs_per_model = 1).await);
    let name = scene.model("a").await;
    let first = scene.train(&name, ENDLESS).await.expect("it begins");
    start_of(&first).await;
    let second = waiting(&scene, &name).await;
    let third = scene.train(&name, 1).await.err();
    assert_eq!(setting(third), Some("max_waiting_runs_per_model"));
    drop(first);
    let refused = second.await.expect("no panic");
    assert!(refused.is_none(), "its turn came: {refused:?}");
}

#[tokio::test(start_paused = true)]
async fn a_turn_that_does_not_come_in_time_is_refused_and_the_next_call_is_not() {
    let scene = Arc::new(Scene::new(|config| config.max_wait_seconds = 30).await);
    let name = scene.model("a").await;
    let first = scene.train(&name, ENDLESS).await.expect("it begins");
    start_of(&first).await;
    let second = waiting(&scene, &name).await;
    scene.pass(Duration::from_secs(29)).await;
    assert!(!second.is_finished());
    scene.pass(Duration::from_secs(1)).await;
    let refused = second.await.expect("no panic");
    assert_eq!(setting(refused), Some("max_wait_seconds"));
    drop(first);
    end_of(&scene.train(&name, 1).await.expect("it begins")).await;
}

#[tokio::test(start_paused = true)]
async fn a_session_has_so_many_streams_and_leaves_those_of_others() {
    let scene = Scene::new(|config| config.max_streams_per_session = 2).await;
    let [name, other] = [scene.model("a").await, scene.model("b").await];
    let mut watches = Vec::new();
    for _ in 0..2 {
        watches.push(scene.host.watch(&caller(), &name, 1).await.expect("a slot"));
    }
    let refused = scene.train(&name, 1).await.err();
    assert_eq!(setting(refused), Some("max_streams_per_session"));
    end_of(&scene.train(&other, 1).await.expect("its own")).await;
    watches.pop();
    end_of(&scene.train(&name, 1).await.expect("free again")).await;
}

#[tokio::test(start_paused = true)]
async fn runs_of_two_models_share_one_thread() {
    let scene = Scene::new(|config| config.quantum_ms = 1).await;
    let [name, other] = [scene.model("a").await, scene.model("b").await];
    let long = scene.train(&name, ENDLESS).await.expect("it begins");
    start_of(&long).await;
    let short = scene.train_with(&other, caller(), |run| run.length = Length::Steps(10));
    let (end, _) = end_of(&short.await.expect("it begins")).await;
    assert_eq!(end.steps_done, 10, "beside a run without an end");
}
