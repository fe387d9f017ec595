//! CopyModel: another model of the same bits.

use backpropd::rpc::pb;
use tempfile::TempDir;
use tonic::{Code, Status};

use crate::fixture::{
    FOREVER, Server, Training, assert_unchanged, bad_fields, create, create_session, fact, get,
    homework_with_adam, now, refused, run, train, under_way, until, wide,
};

fn copy(model: &pb::Model, session: &str, id: &str) -> pb::CopyModelRequest {
    pb::CopyModelRequest {
        model: model.name.clone(),
        session: session.to_owned(),
        model_id: id.to_owned(),
        ..Default::default()
    }
}

async fn copied(client: &mut Training, request: pb::CopyModelRequest) -> Result<pb::Model, Status> {
    let reply = client.copy_model(request).await?;
    Ok(reply.into_inner().model.expect("a model"))
}

#[tokio::test]
async fn a_copy_goes_on_like_its_model_and_leaves_it_alone() {
    let folder = TempDir::new().expect("a folder");
    let server = Server::on(&folder, |_| ()).await;
    let mut client = server.training().await;
    for spec in [homework_with_adam(), wide()] {
        let model = create(&mut client, spec, 1).await;
        let named = pb::TrainBatchRequest {
            request_id: "a".to_owned(),
            ..train(&model, 5)
        };
        run(&mut client, named.clone()).await.unwrap();
        let model = now(&mut client, &model).await;
        let made = copied(&mut client, copy(&model, "", "twin")).await.unwrap();
        assert!(made.name.ends_with("/models/twin"));
        assert_eq!(
            (made.step, &made.weights_digest, made.durable_step),
            (5, &model.weights_digest, Some(5))
        );
        assert_eq!(made.spec, model.spec);
        // The moments of the optimizer decide the next steps. The copy does not know the request.
        let again = pb::TrainBatchRequest {
            model: made.name.clone(),
            ..named
        };
        let of_copy = run(&mut client, again).await.unwrap();
        assert!(!of_copy.started.replayed);
        assert_unchanged(&mut client, &model).await;
        let of_model = run(&mut client, train(&model, 5)).await.unwrap();
        assert_eq!(
            of_copy.completed().weights_digest,
            of_model.completed().weights_digest
        );
    }
}

#[tokio::test]
async fn a_copy_of_a_model_in_training_is_of_its_last_step() {
    let server = Server::start().await;
    let mut client = server.training().await;
    let model = create(&mut client, homework_with_adam(), 1).await;
    let (_, running) = under_way(&mut client, train(&model, FOREVER)).await;
    let made = copied(&mut client, copy(&model, "", "")).await.unwrap();
    assert!(made.step > 0 && !made.training);
    assert_unchanged(&mut client, &made).await;
    drop(running);
    until(async || !now(&mut client, &model).await.training).await;
    assert!(now(&mut client, &model).await.step >= made.step);
}

#[tokio::test]
async fn a_repeated_copy_returns_the_first_one() {
    let folder = TempDir::new().expect("a folder");
    let server = Server::on(&folder, |_| ()).await;
    let session = create_session(&server, "lab").await.unwrap();
    let mut client = server.training().await;
    let model = create(&mut client, homework_with_adam(), 1).await;
    let request = pb::CopyModelRequest {
        request_id: "c".to_owned(),
        ..copy(&model, &session, "")
    };
    let first = copied(&mut client, request.clone()).await.unwrap();
    run(&mut client, train(&model, 5)).await.unwrap();
    assert_eq!(copied(&mut client, request.clone()).await.unwrap(), first);
    let other = pb::CopyModelRequest {
        model_id: "other".to_owned(),
        ..request.clone()
    };
    let status = copied(&mut client, other).await.unwrap_err();
    refused(&status, Code::InvalidArgument, "REQUEST_ID_REUSED");
    let delete = pb::DeleteModelRequest {
        name: model.name.clone(),
    };
    client.delete_model(delete).await.expect("it is there");
    server.stop().await;

    // Even though the model is gone, and after a restart.
    let server = Server::on(&folder, |_| ()).await;
    let mut client = server.training().await;
    let again = copied(&mut client, request).await.unwrap();
    assert_eq!(
        (again.name, again.weights_digest),
        (first.name, first.weights_digest)
    );
}

#[tokio::test]
async fn a_copy_is_refused_as_a_new_model_is() {
    let server = Server::with(|config| config.max_models_per_session = 1).await;
    let session = create_session(&server, "lab").await.unwrap();
    let mut client = server.training().await;
    let model = create(&mut client, homework_with_adam(), 1).await;
    let request = pb::CopyModelRequest {
        model: "hw".to_owned(),
        session: "lab".to_owned(),
        model_id: "A".to_owned(),
        request_id: "r".repeat(129),
    };
    let status = copied(&mut client, request).await.unwrap_err();
    let fields = ["model", "session", "model_id", "request_id"];
    assert_eq!(bad_fields(&status), fields);

    let nowhere = copy(&model, "sessions/nowhere", "");
    let status = copied(&mut client, nowhere).await.unwrap_err();
    refused(&status, Code::NotFound, "NOT_FOUND");
    copied(&mut client, copy(&model, &session, "one"))
        .await
        .unwrap();
    let status = copied(&mut client, copy(&model, &session, "one")).await;
    refused(&status.unwrap_err(), Code::AlreadyExists, "ALREADY_EXISTS");
    let status = copied(&mut client, copy(&model, &session, "two")).await;
    let status = status.unwrap_err();
    refused(&status, Code::ResourceExhausted, "QUOTA");
    assert!(
        status.message().contains("max_models_per_session"),
        "{status}"
    );
    let left = get(&mut client, "sessions/lab/models/two").await;
    refused(&left.unwrap_err(), Code::NotFound, "NOT_FOUND");
}

#[tokio::test]
async fn a_copy_into_a_session_for_grading_is_for_grading() {
    let server = Server::start().await;
    let mut client = server.training().await;
    let model = create(&mut client, homework_with_adam(), 1).await;
    let exam = pb::CreateSessionRequest {
        session_id: "exam".to_owned(),
        access: pb::Access::CompareOnly.into(),
        ..Default::default()
    };
    let mut sessions = server.sessions().await;
    sessions.create_session(exam).await.expect("it is new");
    let made = copied(&mut client, copy(&model, "sessions/exam", "")).await;
    let made = made.unwrap();
    assert_eq!(made.access(), pb::Access::CompareOnly);
    assert_ne!(made.weights_digest, model.weights_digest);
    // And no way out of it.
    let status = copied(&mut client, copy(&made, "", "")).await.unwrap_err();
    refused(&status, Code::PermissionDenied, "COMPARE_ONLY");
}

#[tokio::test]
async fn a_model_above_a_lowered_limit_is_not_copied() {
    let folder = TempDir::new().expect("a folder");
    let server = Server::on(&folder, |_| ()).await;
    let mut client = server.training().await;
    let model = create(&mut client, wide(), 1).await;
    server.stop().await;
    let server = Server::on(&folder, |config| config.max_units = 64).await;
    let mut client = server.training().await;
    let status = copied(&mut client, copy(&model, "", "")).await.unwrap_err();
    refused(&status, Code::FailedPrecondition, "OVER_LIMIT");
    assert_eq!(fact(&status, "setting"), "max_units");
}
