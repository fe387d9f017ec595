//! Callers that leave in the middle of a write: whatever they asked for is done, or was never begun.

use backpropd::rpc::pb;
use tempfile::TempDir;
use tonic::{Code, Status};

use crate::fixture::{
    Server, Training, create_in, create_session, get, homework, numbers, refused, run, train, until,
};

/// Calls, and leaves after as many rounds of the scheduler as `rounds` says, unless the answer came before.
async fn leave_after<V>(rounds: usize, call: impl Future<Output = Result<V, Status>>) {
    let patience = async {
        for _ in 0..rounds {
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        biased;
        () = patience => {}
        answer = call => drop(answer),
    }
}

/// As many numbers of rounds, from none to `most`, in no order.
fn rounds(count: usize, most: usize) -> impl Iterator<Item = usize> {
    let numbers = numbers(count, 7).into_iter();
    numbers.map(move |number| (number.abs() * most as f64) as usize)
}

/// Waits until the model is whole, which training shows, or gone, and tells which.
async fn is_whole(client: &mut Training, name: &str) -> bool {
    let mut whole = None;
    until(async || {
        let probe = pb::Model {
            name: name.to_owned(),
            ..Default::default()
        };
        whole = match run(client, train(&probe, 1)).await {
            Ok(told) if told.end.is_ok() => Some(true),
            Ok(_) => None,
            Err(_) => match get(client, name).await {
                Err(status) => {
                    refused(&status, Code::NotFound, "NOT_FOUND");
                    Some(false)
                }
                // On its way out, or half gone for ever.
                Ok(_) => None,
            },
        };
        whole.is_some()
    })
    .await;
    whole == Some(true)
}

/// Starts the server anew, and finds the same models there as before.
async fn assert_same_after_a_restart(server: Server, folder: &TempDir, models: Vec<String>) {
    let mut client = server.training().await;
    let mut before = Vec::new();
    for name in models {
        let whole = is_whole(&mut client, &name).await;
        before.push((name, whole));
    }
    let stopped = server.shut_down().await;
    stopped.expect("it returns").expect("it stops well");
    let server = Server::on(folder, |_| ()).await;
    let mut client = server.training().await;
    for (name, whole) in before {
        assert_eq!(is_whole(&mut client, &name).await, whole, "{name}");
    }
}

#[tokio::test]
async fn a_deletion_whose_caller_leaves_is_done_whole_or_not_at_all() {
    let folder = TempDir::new().expect("a folder");
    let server = Server::on(&folder, |_| ()).await;
    let mut models = Vec::new();
    for session in ["one", "two"] {
        let session = create_session(&server, session).await.expect("made");
        for _ in 0..40 {
            let model = create_in(&server, &session, homework()).await;
            models.push(model.expect("made").name);
        }
    }
    let client = server.training().await;
    for (name, rounds) in models.iter().zip(rounds(models.len(), 60)) {
        let (name, mut client) = (name.clone(), client.clone());
        let delete = async move { client.delete_model(pb::DeleteModelRequest { name }).await };
        leave_after(rounds, delete).await;
    }
    assert_same_after_a_restart(server, &folder, models).await;
}

#[tokio::test]
async fn a_session_whose_deletion_loses_its_caller_goes_with_all_its_models_or_stays() {
    let folder = TempDir::new().expect("a folder");
    let server = Server::on(&folder, |_| ()).await;
    let mut models = Vec::new();
    let sessions = server.sessions().await;
    for (index, rounds) in rounds(40, 40).enumerate() {
        let name = create_session(&server, &format!("s{index}")).await;
        let name = name.expect("made");
        for _ in 0..2 {
            let model = create_in(&server, &name, homework()).await;
            models.push(model.expect("made").name);
        }
        let mut sessions = sessions.clone();
        let delete = async move {
            let delete = pb::DeleteSessionRequest { name };
            sessions.delete_session(delete).await
        };
        leave_after(rounds, delete).await;
    }
    assert_same_after_a_restart(server, &folder, models).await;
}

#[tokio::test]
async fn a_model_whose_maker_leaves_is_durable_or_was_never_made() {
    let folder = TempDir::new().expect("a folder");
    let server = Server::on(&folder, |_| ()).await;
    let session = create_session(&server, "one").await.expect("made");
    let client = server.training().await;
    let mut models = Vec::new();
    for (index, rounds) in rounds(60, 60).enumerate() {
        let request = pb::CreateModelRequest {
            session: session.clone(),
            model_id: format!("m{index}"),
            spec: Some(homework()),
            ..Default::default()
        };
        models.push(format!("{session}/models/m{index}"));
        let mut client = client.clone();
        let create = async move { client.create_model(request).await };
        leave_after(rounds, create).await;
    }
    // The creations of a connection take turns: when further ones are answered, those before are over.
    for index in 0..3 {
        let request = pb::CreateModelRequest {
            session: session.clone(),
            model_id: format!("last{index}"),
            spec: Some(homework()),
            ..Default::default()
        };
        let last = client.clone().create_model(request).await;
        last.expect("it is answered");
    }
    assert_same_after_a_restart(server, &folder, models).await;
}
