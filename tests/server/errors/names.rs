//! Names: what is not there, what is taken, what has no such form, and steps that are not the expected ones.

use backpropd::rpc::pb;
use tonic::Code;
use tonic_types::ErrorDetails;

use crate::fixture::{
    Server, assert_unchanged, bad_fields, create_homework, fact, get, homework,
    homework_parameters, inputs, refusals_of_steps, refused, run, targets, train,
};

fn resource(details: &ErrorDetails) -> (String, String) {
    let info = details.resource_info().expect("a ResourceInfo");
    (info.resource_type.clone(), info.resource_name.clone())
}

fn pair(kind: &str, name: &str) -> (String, String) {
    (kind.to_owned(), name.to_owned())
}

#[tokio::test]
async fn what_is_not_there_is_not_found_by_any_method() {
    let server = Server::start().await;
    let mut client = server.training().await;
    let mut sessions = server.sessions().await;
    let model = create_homework(&mut client).await;
    let session = model.name.split_once("/models/").expect("a model's name").0;
    let other = format!("{session}/models/other");
    let nowhere = "sessions/nowhere/models/m";

    for (name, what) in [
        (other.as_str(), pair("model", &other)),
        (nowhere, pair("session", "sessions/nowhere")),
    ] {
        let gone = pb::Model {
            name: name.to_owned(),
            ..model.clone()
        };
        let predict = pb::PredictRequest {
            target: Some(pb::predict_request::Target::Model(name.to_owned())),
            inputs: Some(inputs()),
            ..Default::default()
        };
        let gradients = pb::GradientsRequest {
            target: Some(pb::gradients_request::Target::Model(name.to_owned())),
            inputs: Some(inputs()),
            targets: Some(targets()),
            ..Default::default()
        };
        let set = pb::SetParametersRequest {
            model: name.to_owned(),
            parameters: homework_parameters(),
            ..Default::default()
        };
        let parameters = pb::GetParametersRequest {
            model: name.to_owned(),
            ..Default::default()
        };
        let watch = pb::WatchModelRequest {
            model: name.to_owned(),
            ..Default::default()
        };
        let delete = pb::DeleteModelRequest {
            name: name.to_owned(),
        };
        let refusals = [
            client.train_batch(train(&gone, 1)).await.unwrap_err(),
            client.predict(predict).await.unwrap_err(),
            client.gradients(gradients).await.unwrap_err(),
            client.set_parameters(set).await.unwrap_err(),
            client.get_parameters(parameters).await.unwrap_err(),
            client.watch_model(watch).await.unwrap_err(),
            client.delete_model(delete).await.unwrap_err(),
            get(&mut client, name).await.unwrap_err(),
        ];
        let of_steps = refusals_of_steps(&mut client, name).await;
        for status in refusals.iter().chain(&of_steps) {
            let details = refused(status, Code::NotFound, "NOT_FOUND");
            assert_eq!(resource(&details), what);
        }
    }

    let name = "sessions/nowhere".to_owned();
    let refusals = [
        sessions
            .get_session(pb::GetSessionRequest { name: name.clone() })
            .await
            .unwrap_err(),
        sessions
            .delete_session(pb::DeleteSessionRequest { name: name.clone() })
            .await
            .unwrap_err(),
        client
            .list_models(pb::ListModelsRequest {
                session: name.clone(),
                ..Default::default()
            })
            .await
            .unwrap_err(),
        client
            .create_model(pb::CreateModelRequest {
                session: name.clone(),
                spec: Some(homework()),
                ..Default::default()
            })
            .await
            .unwrap_err(),
    ];
    for status in &refusals {
        let details = refused(status, Code::NotFound, "NOT_FOUND");
        assert_eq!(resource(&details), pair("session", &name));
    }
    assert_unchanged(&mut client, &model).await;
}

#[tokio::test]
async fn a_taken_id_already_exists() {
    let server = Server::start().await;
    let mut client = server.training().await;
    let mut sessions = server.sessions().await;
    let lab = pb::CreateSessionRequest {
        session_id: "lab".into(),
        ..Default::default()
    };
    sessions.create_session(lab.clone()).await.unwrap();
    let status = sessions.create_session(lab).await.unwrap_err();
    let details = refused(&status, Code::AlreadyExists, "ALREADY_EXISTS");
    assert_eq!(resource(&details), pair("session", "sessions/lab"));

    let hw = pb::CreateModelRequest {
        session: "sessions/lab".into(),
        model_id: "hw".into(),
        spec: Some(homework()),
        ..Default::default()
    };
    let made = client.create_model(hw.clone()).await.unwrap().into_inner();
    let status = client.create_model(hw).await.unwrap_err();
    let details = refused(&status, Code::AlreadyExists, "ALREADY_EXISTS");
    assert_eq!(resource(&details), pair("model", "sessions/lab/models/hw"));
    assert_unchanged(&mut client, &made.model.unwrap()).await;
}

#[tokio::test]
async fn names_ids_and_page_tokens_have_one_form() {
    let server = Server::start().await;
    let mut client = server.training().await;
    let mut sessions = server.sessions().await;
    let long = "a".repeat(64);
    for id in ["A", "1a", "-a", "a_b", "é", "a/b", "..", " ", &long] {
        let request = pb::CreateSessionRequest {
            session_id: id.to_owned(),
            ..Default::default()
        };
        let status = sessions.create_session(request).await.unwrap_err();
        assert_eq!(bad_fields(&status), ["session_id"], "{id:?}");
        let status = get(&mut client, &format!("sessions/a/models/{id}")).await;
        assert_eq!(bad_fields(&status.unwrap_err()), ["name"], "{id:?}");
        let request = pb::ListSessionsRequest {
            page_size: 1001,
            page_token: id.to_owned(),
            ..Default::default()
        };
        let status = sessions.list_sessions(request).await.unwrap_err();
        assert_eq!(bad_fields(&status), ["page_size", "page_token"], "{id:?}");
        let request = pb::ListModelsRequest {
            session: "sessions".into(),
            page_size: -1,
            page_token: id.to_owned(),
        };
        let status = client.list_models(request).await.unwrap_err();
        let expected = ["session", "page_size", "page_token"];
        assert_eq!(bad_fields(&status), expected, "{id:?}");
    }
    let longest = pb::CreateSessionRequest {
        session_id: "a".repeat(63),
        ..Default::default()
    };
    sessions.create_session(longest).await.expect("63 are fine");
    for seconds in [-1, 0, 86_401, i64::MAX] {
        let request = pb::CreateSessionRequest {
            ttl: Some(prost_types::Duration { seconds, nanos: 0 }),
            request_id: "r".repeat(129),
            ..Default::default()
        };
        let status = sessions.create_session(request).await.unwrap_err();
        assert_eq!(bad_fields(&status), ["ttl", "request_id"], "{seconds}");
    }
}

#[tokio::test]
async fn another_step_than_expected_aborts() {
    let server = Server::start().await;
    let mut client = server.training().await;
    let model = create_homework(&mut client).await;
    for expected_step in [-1, 1, i64::MAX] {
        let request = pb::TrainBatchRequest {
            expected_step: Some(expected_step),
            ..train(&model, 1)
        };
        let status = client.train_batch(request).await.unwrap_err();
        refused(&status, Code::Aborted, "STEP_MISMATCH");
        assert_eq!(fact(&status, "expected"), expected_step.to_string());
        assert_eq!(fact(&status, "actual"), "0");
        let request = pb::SetParametersRequest {
            model: model.name.clone(),
            parameters: homework_parameters(),
            expected_step: Some(expected_step),
            ..Default::default()
        };
        let status = client.set_parameters(request).await.unwrap_err();
        refused(&status, Code::Aborted, "STEP_MISMATCH");
    }
    assert_unchanged(&mut client, &model).await;
    let request = pb::TrainBatchRequest {
        expected_step: Some(0),
        ..train(&model, 1)
    };
    let told = run(&mut client, request).await.expect("the step is right");
    assert_eq!(told.completed().step, 1);
}
