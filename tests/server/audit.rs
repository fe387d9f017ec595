//! What the audit has of a call.

use backpropd::rpc::pb;
use backpropd_identity::Role;
use serde_json::{Value, json};
use tonic::{Code, Request};
use tracing::Level;

use crate::fixture::{Server, until};
use crate::gateway;
use crate::identity::wire::{Protocol, call};
use crate::identity::{Keys, OTHER, claims, furnish, inputs, signed, targets, token};
use crate::logs::Log;

/// The lines of the audit that contain all of this.
fn lines(log: &Log, parts: &[&str]) -> Vec<String> {
    let text = log.text();
    let lines = text.lines().filter(|line| line.contains(" audit: "));
    let has_all = |line: &&str| parts.iter().all(|part| line.contains(part));
    lines.filter(has_all).map(str::to_owned).collect()
}

/// Calls, and returns the only line of the audit with this method.
async fn told(
    log: &Log,
    server: &Server,
    (method, message): (&str, Value),
    token: &str,
) -> Option<String> {
    let before = lines(log, &[method]).len();
    call(server.address, method, &[message], Some(token)).await;
    let mut new = lines(log, &[method]).split_off(before);
    assert!(new.len() <= 1, "{new:?}");
    new.pop()
}

fn assert_told(line: Option<String>, code: &str, resource: &str) {
    let line = line.expect("a line of the audit");
    let (code, resource) = (format!(" code={code} "), format!(" resource={resource} "));
    assert!(line.contains(&code) && line.contains(&resource), "{line}");
}

#[tokio::test]
async fn a_call_is_told_with_all_that_it_names() {
    let log = Log::start(Level::INFO);
    let keys = Keys::new();
    let server = keys.server().await;
    let [alice, bob] = ["alice", "bob"].map(|name| token(name, Role::Student));
    let carol = token("carol", Role::Instructor);
    furnish(&server, &alice, "lab").await;
    furnish(&server, &bob, "of-bob").await;
    let (m, d) = ("sessions/lab/models/m", "sessions/lab/datasets/d");
    let told = async |method, message, token| told(&log, &server, (method, message), token).await;

    let created = lines(&log, &["CreateDataset", "sub=\"alice\""]);
    assert_eq!(created.len(), 1, "{created:?}");
    assert!(created[0].contains(d), "{created:?}");
    let run = json!({"model": m, "dataset": {"dataset": d}});
    let line = told("TrainingService/TrainBatch", run, &alice).await;
    assert_told(line, "Ok", &format!("{m} {d}"));
    let get = json!({"name": d});
    let line = told("DatasetService/GetDataset", get.clone(), &bob).await;
    assert_told(line, "PermissionDenied", d);
    let line = told("DatasetService/GetDataset", get.clone(), &carol).await;
    assert_told(line, "Ok", d);
    assert_eq!(told("DatasetService/GetDataset", get, &alice).await, None);
    let get = json!({"name": m});
    let line = told("TrainingService/GetModel", get, &bob).await;
    assert_told(line, "PermissionDenied", m);
    let own = "sessions/of-bob/models/m";
    for (from, to) in [(m, "sessions/of-bob"), (own, "sessions/lab")] {
        let copy = json!({"model": from, "session": to, "modelId": "copy"});
        let line = told("TrainingService/CopyModel", copy, &bob).await;
        assert_told(
            line,
            "PermissionDenied",
            &format!("{from} {to}/models/copy"),
        );
    }
    let delete = json!({"name": d});
    let line = told("DatasetService/DeleteDataset", delete, &alice).await;
    assert_told(line, "Ok", d);
    server.stop().await;
}

#[tokio::test]
async fn a_list_is_told_if_it_shows_what_is_anothers() {
    let log = Log::start(Level::INFO);
    let keys = Keys::new();
    let server = keys.server().await;
    let alice = token("alice", Role::Student);
    let carol = token("carol", Role::Instructor);
    let told = async |message, token: &str| {
        told(
            &log,
            &server,
            ("SessionService/ListSessions", message),
            token,
        )
        .await
    };
    assert_eq!(told(json!({}), &carol).await, None, "there is none");
    furnish(&server, &carol, "hers").await;
    assert_eq!(told(json!({}), &carol).await, None, "her own");
    furnish(&server, &alice, "lab").await;
    assert_eq!(told(json!({}), &alice).await, None, "a student's own");
    assert_told(told(json!({}), &carol).await, "Ok", "sessions");
    let own = json!({"owner": "carol"});
    assert_eq!(told(own, &carol).await, None);
    server.stop().await;
}

#[tokio::test]
async fn a_watch_of_anothers_model_is_told_at_its_beginning_and_at_its_end() {
    let log = Log::start(Level::INFO);
    let keys = Keys::new();
    let server = keys.server().await;
    let alice = token("alice", Role::Student);
    let carol = token("carol", Role::Instructor);
    furnish(&server, &alice, "lab").await;
    let watch = async |token: &str| {
        let mut request = Request::new(pb::WatchModelRequest {
            model: "sessions/lab/models/m".to_owned(),
            ..Default::default()
        });
        let header = format!("Bearer {token}").parse().expect("a header");
        request.metadata_mut().insert("authorization", header);
        let reply = server.training().await.watch_model(request).await;
        reply.expect("it may").into_inner()
    };
    let told = || lines(&log, &["WatchModel"]);
    let watched = watch(&carol).await;
    let [line] = <[String; 1]>::try_from(told()).expect("one line");
    assert_told(Some(line), "Started", "sessions/lab/models/m");
    drop(watched);
    until(async || told().len() == 2).await;
    assert_told(told().pop(), "Cancelled", "sessions/lab/models/m");
    drop(watch(&alice).await);
    drop(watch(&carol).await);
    until(async || told().len() == 4).await;
    assert!(lines(&log, &["WatchModel", "sub=\"alice\""]).is_empty());
    server.stop().await;
}

#[tokio::test]
async fn who_may_not_call_a_method_is_told_with_what_the_request_names() {
    let log = Log::start(Level::INFO);
    let keys = Keys::new();
    let server = keys.server().await;
    let grader = format!("Bearer {}", token("robot", Role::Grader));
    let m = "sessions/lab/models/m";
    let run = json!({"model": m, "inputs": inputs(), "targets": targets()});
    for protocol in Protocol::ALL {
        let before = lines(&log, &["TrainBatch"]).len();
        let method = "TrainingService/TrainBatch";
        let called = protocol.call(
            server.address,
            method,
            std::slice::from_ref(&run),
            Some(&grader),
        );
        assert_eq!(called.await.reason, "ROLE_NOT_ALLOWED");
        let mut told = lines(&log, &["TrainBatch", "sub=\"robot\""]).split_off(before);
        assert_told(told.pop(), "PermissionDenied", m);
    }
    server.stop().await;
}

#[tokio::test]
async fn guesses_are_told_those_that_have_to_wait_too() {
    let log = Log::start(Level::INFO);
    let keys = Keys::new();
    let server = keys.server().await;
    let mut limited = 0;
    for number in 0..25 {
        let guess = signed(OTHER, &claims(&format!("g{number}"), Role::Admin));
        let info = "ServerService/GetServerInfo";
        let outcome = call(server.address, info, &[json!({})], Some(&guess)).await;
        limited += usize::from(outcome.code == Code::ResourceExhausted);
    }
    assert!(limited > 0);
    let waiting = lines(
        &log,
        &["GetServerInfo", "sub=\"\"", "code=ResourceExhausted"],
    );
    assert_eq!(waiting.len(), limited);
    assert_eq!(lines(&log, &["GetServerInfo", "sub=\"\""]).len(), 25);
    server.stop().await;
}

#[tokio::test]
async fn requests_from_other_sites_are_told_with_or_without_identities() {
    let log = Log::start(Level::INFO);
    let server = Server::start().await;
    let path = "/backprop.v1.ServerService/GetServerInfo";
    let ask = async |host: &str, origin: Option<&str>| {
        let request = http::Request::post(format!("http://{host}{path}"));
        let mut request = request.header("content-type", "application/json");
        if let Some(origin) = origin {
            request = request.header("origin", origin);
        }
        let request = request.body(gateway::body("{}")).expect("a request");
        let reply = gateway::send(&server, request).await;
        (
            reply.status.as_u16(),
            reply.header("x-request-id").to_owned(),
        )
    };
    let own = server.address.to_string();
    assert_eq!(ask(&own, None).await.0, 200);
    assert!(lines(&log, &[]).is_empty(), "{}", log.text());
    for (host, origin, from) in [
        ("evil.example", None, "evil.example"),
        (&own, Some("http://evil.example"), "http://evil.example"),
        (&own, Some("null"), "null"),
    ] {
        let (status, number) = ask(host, origin).await;
        assert_eq!(status, 403);
        let number = format!("request={number} ");
        let told = lines(
            &log,
            &[path, "code=PermissionDenied", from, &number, "127.0.0.1"],
        );
        assert_eq!(told.len(), 1, "{}", log.text());
    }
    server.stop().await;
}
