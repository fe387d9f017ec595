//! Calls as clients make them: with an id, and again if the answer is that this helps.

use std::time::Duration;

use crate::host::models::lifecycle::ModelState;
use crate::host::parts::run::RunParts;
use crate::host::refused::{NotStored, Refused, Stop};
use crate::host::runs::event::{RunEnd, RunStart};
use crate::host::tests::fixture::{Scene, caller, end_of, new_model, start_of};
use crate::nn::WeightsDigest;
use crate::training::{Access, ModelName, RequestId, SessionInfo, SessionName};

/// How often a call is made.
const TRIES: u32 = 60;

fn may_help_again(refused: &Refused) -> bool {
    matches!(
        refused,
        Refused::NotStored(NotStored::Moved | NotStored::Unknown)
            | Refused::Unreachable
            | Refused::Stopped(Stop::Moved)
            | Refused::RunStopped {
                stop: Stop::Moved,
                ..
            }
    )
}

/// Makes a call until it has an outcome.
pub async fn insist<T>(mut call: impl AsyncFnMut() -> Result<T, Refused>) -> Result<T, Refused> {
    for _ in 0..TRIES {
        match call().await {
            Err(refused) if may_help_again(&refused) => {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            outcome => return outcome,
        }
    }
    panic!("no outcome after {TRIES} tries")
}

pub fn request(id: &str) -> RequestId {
    RequestId {
        id: id.to_owned(),
        fingerprint: [0; 32],
    }
}

pub async fn create_session(scene: &Scene, name: &SessionName) -> Result<SessionInfo, Refused> {
    create_session_with(scene, name, None, "session").await
}

pub async fn create_session_with(
    scene: &Scene,
    name: &SessionName,
    ttl: Option<Duration>,
    id: &str,
) -> Result<SessionInfo, Refused> {
    insist(async || {
        let (caller, terms) = (caller(), (ttl, Access::Full));
        let created = scene
            .host
            .create_session(&caller, name.clone(), terms, Some(request(id)));
        created.await
    })
    .await
}

pub async fn create_model(
    scene: &Scene,
    name: &ModelName,
    id: &str,
) -> Result<ModelState, Refused> {
    insist(async || {
        let new = new_model(name, Some(request(id)));
        scene.host.create_model(&caller(), new).await
    })
    .await
}

/// A session with a model.
pub async fn begin(scene: &Scene, name: &ModelName) {
    let created = create_session(scene, &name.session).await;
    created.expect("the session is new");
    let created = create_model(scene, name, "model").await;
    created.expect("the model is new");
}

pub async fn train(
    scene: &Scene,
    name: &ModelName,
    id: &str,
    set: impl Fn(&mut RunParts),
) -> Result<(RunStart, RunEnd), Refused> {
    insist(async || {
        let with_id = |run: &mut RunParts| {
            run.request_id = id.to_owned();
            set(run);
        };
        let events = scene.train_with(name, caller(), with_id).await?;
        let start = start_of(&events).await;
        let (end, _) = end_of(&events).await;
        match end.refusal() {
            Some(refused) => Err(refused),
            None => Ok((start, end)),
        }
    })
    .await
}

/// One step more.
pub async fn step(scene: &Scene, name: &ModelName, id: &str) -> u64 {
    let trained = train(scene, name, id, |_| {}).await;
    trained.expect("it is trained").1.step
}

/// Step and weights.
pub async fn state(scene: &Scene, name: &ModelName) -> Result<(u64, WeightsDigest), Refused> {
    let entry = insist(async || scene.host.look_up(name).await).await?;
    Ok(entry.model.get().step_and_digest())
}

pub async fn delete_model(scene: &Scene, name: &ModelName) {
    let mut tries = 0;
    let deleted = insist(async || {
        tries += 1;
        scene.host.delete_model(&caller(), name).await
    });
    gone_by_now(deleted.await.map(drop), tries);
}

pub async fn delete_session(scene: &Scene, name: &SessionName) {
    let mut tries = 0;
    let deleted = insist(async || {
        tries += 1;
        scene.host.delete_session(&caller(), name).await
    });
    gone_by_now(deleted.await.map(drop), tries);
}

/// A deletion that is repeated may find that the first try was enough.
fn gone_by_now(deleted: Result<(), Refused>, tries: u32) {
    match deleted {
        Err(refused) if refused.is_missing() && tries > 1 => {}
        deleted => deleted.expect("it is deleted"),
    }
}

pub fn is_missing<T>(found: Result<T, Refused>) -> bool {
    found.is_err_and(|refused| refused.is_missing())
}
