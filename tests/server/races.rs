//! Making and deleting the same session or model at once, on a disk that works: each call answers as if one had come before
//! the other.

use std::sync::atomic::{AtomicBool, Ordering};

use backpropd::rpc::pb;
use tempfile::TempDir;
use tonic::{Code, Status};

use crate::fixture::{Server, create_in, create_session, get, homework, refused, run, train};

/// Calls again and again until `is_over`, and once more; tells how often it was done.
async fn until_over(
    is_over: &AtomicBool,
    mut call: impl AsyncFnMut() -> Result<(), Status>,
) -> usize {
    let mut done = 0;
    loop {
        let was_over = is_over.load(Ordering::Relaxed);
        match call().await {
            Ok(()) => done += 1,
            Err(status) => drop(refused(&status, Code::NotFound, "NOT_FOUND")),
        }
        if was_over {
            return done;
        }
    }
}

#[tokio::test]
async fn a_session_that_is_being_made_is_deleted_after_it_is_made() {
    let folder = TempDir::new().expect("a folder");
    let server = Server::on(&folder, |_| ()).await;
    let mut client = server.sessions().await;
    for number in 0..40 {
        let id = format!("lab-{number}");
        let is_over = AtomicBool::new(false);
        let make = async {
            let made = create_session(&server, &id).await;
            is_over.store(true, Ordering::Relaxed);
            made.expect("its id is free and the disk works");
        };
        let delete = until_over(&is_over, async || {
            let name = format!("sessions/{id}");
            let request = pb::DeleteSessionRequest { name };
            client.delete_session(request).await.map(drop)
        });
        let ((), deleted) = tokio::join!(make, delete);
        assert_eq!(deleted, 1, "what was made is deleted once");
        assert!(!folder.path().join("sessions").join(&id).exists());
    }
    server.stop().await;
    let server = Server::on(&folder, |_| ()).await;
    create_session(&server, "lab-0").await.expect("it is free");
}

#[tokio::test]
async fn a_model_that_is_being_made_is_deleted_after_it_is_made() {
    let folder = TempDir::new().expect("a folder");
    let server = Server::on(&folder, |_| ()).await;
    let session = create_session(&server, "lab").await.expect("made");
    let mut client = server.training().await;
    for number in 0..40 {
        let name = format!("{session}/models/m{number}");
        let is_over = AtomicBool::new(false);
        let make = async {
            let request = pb::CreateModelRequest {
                session: session.clone(),
                model_id: format!("m{number}"),
                spec: Some(homework()),
                ..Default::default()
            };
            let made = server.training().await.create_model(request).await;
            is_over.store(true, Ordering::Relaxed);
            made.expect("its id is free and the disk works");
        };
        let delete = until_over(&is_over, async || {
            let request = pb::DeleteModelRequest { name: name.clone() };
            client.delete_model(request).await.map(drop)
        });
        let ((), deleted) = tokio::join!(make, delete);
        assert_eq!(deleted, 1, "what was made is deleted once");
        let path = folder
            .path()
            .join(format!("sessions/lab/m{number}.safetensors"));
        assert!(!path.exists());
    }
}

#[tokio::test]
async fn a_session_in_which_a_model_is_being_made_is_deleted_after_or_before() {
    let folder = TempDir::new().expect("a folder");
    let server = Server::on(&folder, |_| ()).await;
    let mut client = server.sessions().await;
    for number in 0..40 {
        let id = format!("lab-{number}");
        let session = create_session(&server, &id).await.expect("made");
        let is_over = AtomicBool::new(false);
        let make = async {
            let made = create_in(&server, &session, homework()).await;
            is_over.store(true, Ordering::Relaxed);
            if let Err(status) = made {
                refused(&status, Code::NotFound, "NOT_FOUND");
            }
        };
        let delete = until_over(&is_over, async || {
            // Not before the other call has begun.
            tokio::task::yield_now().await;
            let name = session.clone();
            let request = pb::DeleteSessionRequest { name };
            client.delete_session(request).await.map(drop)
        });
        let ((), deleted) = tokio::join!(make, delete);
        assert_eq!(deleted, 1, "it is deleted once");
        assert!(!folder.path().join("sessions").join(&id).exists());
    }
    // What was not deleted is whole.
    let session = create_session(&server, "left").await.expect("made");
    let model = create_in(&server, &session, homework())
        .await
        .expect("made");
    let mut training = server.training().await;
    run(&mut training, train(&model, 1))
        .await
        .expect("it trains")
        .completed();
    server.stop().await;
    let server = Server::on(&folder, |_| ()).await;
    let found = get(&mut server.training().await, &model.name).await;
    assert_eq!(found.expect("it is there").step, 1);
}
