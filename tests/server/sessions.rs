//! Sessions: leases that hold models, until they are deleted or nobody calls.

use backpropd::rpc::pb;
use tonic::{Code, Status};

use crate::fixture::{Server, Sessions, get, homework, refused, until};

async fn make(sessions: &mut Sessions, id: &str, ttl: Option<i64>) -> Result<pb::Session, Status> {
    let request = pb::CreateSessionRequest {
        session_id: id.to_owned(),
        ttl: ttl.map(|seconds| prost_types::Duration { seconds, nanos: 0 }),
        ..Default::default()
    };
    let reply = sessions.create_session(request).await?;
    Ok(reply.into_inner().session.expect("a session"))
}

async fn look(sessions: &mut Sessions, name: &str) -> Result<pb::Session, Status> {
    let name = name.to_owned();
    let reply = sessions.get_session(pb::GetSessionRequest { name }).await?;
    Ok(reply.into_inner().session.expect("a session"))
}

/// The names on a page, and the token of the next. Renews nothing.
async fn page(sessions: &mut Sessions, page_size: i32, token: &str) -> (Vec<String>, String) {
    let request = pb::ListSessionsRequest {
        page_size,
        page_token: token.to_owned(),
        ..Default::default()
    };
    let reply = sessions.list_sessions(request).await.expect("listed");
    let reply = reply.into_inner();
    let names = reply.sessions.into_iter().map(|session| session.name);
    (names.collect(), reply.next_page_token)
}

fn seconds(time: Option<prost_types::Timestamp>) -> f64 {
    let time = time.expect("a time");
    time.seconds as f64 + f64::from(time.nanos) * 1e-9
}

#[tokio::test]
async fn a_session_is_told_with_its_models_and_times() {
    let server = Server::with(|config| config.session_ttl_seconds = 600).await;
    let mut sessions = server.sessions().await;
    let mut client = server.training().await;
    let made = make(&mut sessions, "lab", Some(60)).await.expect("room");
    assert_eq!((made.name.as_str(), made.model_count), ("sessions/lab", 0));
    let life = seconds(made.expire_time) - seconds(made.create_time);
    assert!((life - 60.0).abs() < 1.0);
    for _ in 0..3 {
        let request = pb::CreateModelRequest {
            session: made.name.clone(),
            spec: Some(homework()),
            ..Default::default()
        };
        client.create_model(request).await.expect("room");
    }
    let looked = look(&mut sessions, &made.name).await.expect("it is there");
    assert_eq!(looked.model_count, 3);
    assert_eq!(looked.create_time, made.create_time);
    assert!(
        seconds(looked.expire_time) > seconds(made.expire_time),
        "renewed"
    );
    let default = make(&mut sessions, "", None).await.expect("room");
    let life = seconds(default.expire_time) - seconds(default.create_time);
    assert!((life - 600.0).abs() < 1.0);

    let delete = pb::DeleteSessionRequest { name: made.name };
    let reply = sessions.delete_session(delete).await.expect("it is there");
    assert_eq!(reply.into_inner().deleted_models, 3);
}

#[tokio::test]
async fn lists_come_in_pages_in_the_order_of_the_names() {
    let server = Server::start().await;
    let mut sessions = server.sessions().await;
    let mut client = server.training().await;
    for id in ["d", "b", "e", "a", "c"] {
        make(&mut sessions, id, None).await.expect("room");
        let request = pb::CreateModelRequest {
            session: "sessions/a".into(),
            model_id: id.into(),
            spec: Some(homework()),
            ..Default::default()
        };
        if id == "a" || id == "c" {
            client.create_model(request).await.expect("room");
        }
    }
    let names = |ids: &[&str]| {
        ids.iter()
            .map(|id| format!("sessions/{id}"))
            .collect::<Vec<_>>()
    };
    let (first, token) = page(&mut sessions, 2, "").await;
    assert_eq!(first, names(&["a", "b"]));
    let (second, token) = page(&mut sessions, 2, &token).await;
    assert_eq!(second, names(&["c", "d"]));
    let (third, token) = page(&mut sessions, 2, &token).await;
    assert_eq!((third, token), (names(&["e"]), String::new()));
    // A page that is exactly full is the last one all the same.
    let (all, token) = page(&mut sessions, 5, "").await;
    assert_eq!((all.len(), token), (5, String::new()));

    let list = |page_size, page_token| pb::ListModelsRequest {
        session: "sessions/a".into(),
        page_size,
        page_token,
    };
    let first = client
        .list_models(list(1, String::new()))
        .await
        .unwrap()
        .into_inner();
    assert_eq!(first.models[0].name, "sessions/a/models/a");
    let second = client
        .list_models(list(1, first.next_page_token))
        .await
        .unwrap()
        .into_inner();
    assert_eq!(second.models[0].name, "sessions/a/models/c");
    assert_eq!(second.next_page_token, "");
}

#[tokio::test]
async fn listing_is_refused_where_the_server_does_not_list() {
    let server = Server::with(|config| config.list_sessions = Some(false)).await;
    let mut sessions = server.sessions().await;
    let request = pb::ListSessionsRequest::default();
    let status = sessions.list_sessions(request).await.unwrap_err();
    refused(&status, Code::PermissionDenied, "LISTING_DISABLED");
}

#[tokio::test]
async fn a_session_that_nobody_calls_expires_with_its_models_and_frees_its_name() {
    let server = Server::with(|config| config.max_sessions = 2).await;
    let mut sessions = server.sessions().await;
    let mut client = server.training().await;
    let made = make(&mut sessions, "brief", Some(1)).await.expect("room");
    let kept = make(&mut sessions, "kept", Some(600)).await.expect("room");
    let request = pb::CreateModelRequest {
        session: made.name.clone(),
        model_id: "m".into(),
        spec: Some(homework()),
        ..Default::default()
    };
    client.create_model(request).await.expect("room");
    // Listing renews nothing.
    until(async || page(&mut sessions, 0, "").await.0 == [kept.name.clone()]).await;
    let status = look(&mut sessions, &made.name).await.unwrap_err();
    refused(&status, Code::NotFound, "NOT_FOUND");
    let status = get(&mut client, "sessions/brief/models/m").await;
    refused(&status.unwrap_err(), Code::NotFound, "NOT_FOUND");
    let again = make(&mut sessions, "brief", None)
        .await
        .expect("its name is free");
    assert_eq!(again.model_count, 0);
}

#[tokio::test]
async fn a_session_that_is_called_outlives_one_that_is_not() {
    let server = Server::start().await;
    let mut sessions = server.sessions().await;
    let called = make(&mut sessions, "called", Some(2)).await.expect("room");
    make(&mut sessions, "idle", Some(3)).await.expect("room");
    until(async || {
        look(&mut sessions, &called.name)
            .await
            .expect("renewed again and again");
        page(&mut sessions, 0, "").await.0 == [called.name.clone()]
    })
    .await;
}

#[tokio::test]
async fn training_renews_its_session() {
    let server = Server::start().await;
    let mut sessions = server.sessions().await;
    let mut client = server.training().await;
    make(&mut sessions, "busy", Some(2)).await.expect("room");
    make(&mut sessions, "idle", Some(3)).await.expect("room");
    let request = pb::CreateModelRequest {
        session: "sessions/busy".into(),
        spec: Some(homework()),
        ..Default::default()
    };
    let made = client
        .create_model(request)
        .await
        .expect("room")
        .into_inner();
    let model = made.model.expect("a model");
    let run = crate::fixture::train(&model, crate::fixture::FOREVER);
    let (_, _running) = crate::fixture::under_way(&mut client, run).await;
    until(async || page(&mut sessions, 0, "").await.0 == ["sessions/busy"]).await;
    get(&mut client, &model.name)
        .await
        .expect("its run is a call");
}
