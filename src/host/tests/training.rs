//! The events of a run as its caller receives them.

use std::time::Duration;

use super::fixture::{ENDLESS, Scene, caller, caller_until, end_of, start_of, until};
use crate::host::deadline::Deadline;
use crate::host::parts::run::Length;
use crate::host::refused::{Refused, Stop};
use crate::host::runs::event::EndReason;
use crate::host::runs::step_feed::Event;
use crate::training::BeginError;

#[tokio::test(start_paused = true)]
async fn a_run_tells_its_start_every_step_and_its_end() {
    let scene = Scene::new(|_| {}).await;
    let name = scene.model("a").await;
    let events = scene.train(&name, 3).await.expect("it begins");
    let start = start_of(&events).await;
    assert_eq!((start.step, start.planned_steps), (0, 3));
    let (end, reported) = end_of(&events).await;
    assert!(matches!(end.reason, EndReason::Finished), "{end:?}");
    assert_eq!((end.steps_done, end.step, reported), (3, 3, 3));
    assert!(end.final_loss.is_some_and(f64::is_finite));
    assert_eq!(end.durable_step, None, "nothing is kept");
}

#[tokio::test(start_paused = true)]
async fn a_run_ends_with_its_reader_unless_it_is_to_go_on() {
    let scene = Scene::new(|_| {}).await;
    let name = scene.model("a").await;
    let events = scene.train(&name, ENDLESS).await.expect("it begins");
    start_of(&events).await;
    drop(events);
    let entry = scene.host.look_up(&name).await.expect("a model");
    until("the run ends", async || !entry.is_training()).await;

    let before = entry.model.step();
    let run = scene.train_with(&name, caller(), |run| {
        run.length = Length::Steps(500);
        run.stop_on_disconnect = false;
    });
    drop(run.await.expect("it begins"));
    until("the run ends", async || !entry.is_training()).await;
    assert_eq!(entry.model.step(), before + 500);
}

#[tokio::test(start_paused = true)]
async fn a_run_ends_by_its_deadline_and_by_the_time_that_a_run_may_take() {
    let scene = Scene::new(|config| config.max_run_seconds = 60).await;
    let name = scene.model("a").await;
    for (deadline, limit, stop) in [
        (None, 60, Stop::RunTime),
        (Some(Duration::from_secs(7)), 7, Stop::Deadline),
    ] {
        let deadline = deadline.map_or(Deadline::NONE, Deadline::after);
        let run = scene.train_with(&name, caller_until(deadline), |run| {
            run.length = Length::Steps(ENDLESS);
        });
        let events = run.await.expect("it begins");
        start_of(&events).await;
        scene.pass(Duration::from_secs(limit - 1)).await;
        let entry = scene.host.look_up(&name).await.expect("a model");
        assert!(entry.is_training(), "a second before {stop:?}");
        scene.pass(Duration::from_secs(1)).await;
        let (end, _) = end_of(&events).await;
        assert!(
            matches!(end.reason, EndReason::Stopped(by) if by == stop),
            "{end:?}"
        );
        assert_eq!(end.step, entry.model.step());
        assert!(matches!(end.refusal(), Some(Refused::RunStopped { .. })));
    }
}

#[tokio::test(start_paused = true)]
async fn a_deleted_model_ends_its_run_and_tells_its_watchers() {
    let scene = Scene::new(|_| {}).await;
    let name = scene.model("a").await;
    let watched = scene.host.watch(&caller(), &name, 1).await;
    let (state, mut watch) = watched.expect("it is followed");
    assert_eq!(state.step, 0);
    let events = scene.train(&name, ENDLESS).await.expect("it begins");
    start_of(&events).await;
    until("it takes a step", async || scene.step(&name).await > 0).await;
    let deleted = scene.host.delete_model(&caller(), &name).await;
    deleted.expect("it is deleted");
    let (end, _) = end_of(&events).await;
    assert!(matches!(end.reason, EndReason::Stopped(Stop::Deleted)));
    let mut last = None;
    while let Some(event) = watch.next().await {
        last = Some(event.expect("the watcher keeps up"));
    }
    assert!(matches!(last, Some(Event::Ended(end, _)) if end.steps_done > 0));
    assert!(scene.host.look_up(&name).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn a_repeated_request_trains_once_and_another_under_its_id_is_refused() {
    let scene = Scene::new(|_| {}).await;
    let name = scene.model("a").await;
    for is_first in [true, false] {
        let run = scene.train_with(&name, caller(), |run| {
            run.length = Length::Steps(5);
            run.request_id = "once".to_owned();
        });
        let events = run.await.expect("it begins");
        assert_eq!(start_of(&events).await.replayed, !is_first);
        let (end, _) = end_of(&events).await;
        assert_eq!((end.steps_done, end.step), (5, 5));
    }
    let other = scene.train_with(&name, caller(), |run| {
        run.length = Length::Steps(6);
        run.request_id = "once".to_owned();
    });
    let refused = other.await.err();
    assert!(
        matches!(refused, Some(Refused::Begin(BeginError::Reused(_)))),
        "{refused:?}"
    );
    assert_eq!(scene.step(&name).await, 5);
}

#[tokio::test(start_paused = true)]
async fn a_run_that_expects_another_step_is_refused_when_its_turn_comes() {
    let scene = Scene::new(|_| {}).await;
    let name = scene.model("a").await;
    end_of(&scene.train(&name, 2).await.expect("it begins")).await;
    let run = scene.train_with(&name, caller(), |run| run.expected_step = Some(1));
    let refused = run.await.err();
    assert!(
        matches!(
            refused,
            Some(Refused::Begin(BeginError::StepMismatch {
                expected: 1,
                actual: 2
            }))
        ),
        "{refused:?}"
    );
}
