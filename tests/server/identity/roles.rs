//! The table of roles and methods, each cell over a socket.

use std::collections::BTreeMap;

use backpropd_identity::Role;
use serde_json::{Value, json};
use tonic::Code;
use tonic::transport::Channel;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;

use super::wire::{Outcome, Protocol, call, channel, send};
use super::{Keys, OTHER, SECRET, claims, furnish, requests, signed, token};
use crate::fixture::Server;

/// What a student, a grader, an instructor and an admin may do: nothing, use their own, use all.
const TABLE: &[(&str, [&str; 4])] = &[
    ("ServerService/GetServerInfo", ["all", "all", "all", "all"]),
    ("SessionService/CreateSession", ["own", "no", "own", "own"]),
    ("SessionService/GetSession", ["own", "no", "all", "all"]),
    ("SessionService/ListSessions", ["own", "no", "all", "all"]),
    ("SessionService/DeleteSession", ["own", "no", "own", "all"]),
    ("DatasetService/CreateDataset", ["own", "no", "own", "own"]),
    ("DatasetService/GetDataset", ["own", "no", "all", "all"]),
    ("DatasetService/ListDatasets", ["own", "no", "all", "all"]),
    ("DatasetService/DeleteDataset", ["own", "no", "own", "all"]),
    (
        "GradingService/ListAssignments",
        ["all", "all", "all", "all"],
    ),
    ("GradingService/GetAssignment", ["all", "all", "all", "all"]),
    ("GradingService/GradeFormulas", ["all", "all", "all", "all"]),
    (
        "GradingService/GradeGradients",
        ["own", "all", "all", "all"],
    ),
    (
        "GradingService/GetGradingStatistics",
        ["no", "no", "all", "all"],
    ),
    ("TrainingService/CreateModel", ["own", "no", "own", "own"]),
    ("TrainingService/TrainBatch", ["own", "no", "own", "own"]),
    ("TrainingService/Gradients", ["own", "no", "all", "all"]),
    ("TrainingService/Predict", ["own", "no", "all", "all"]),
    ("TrainingService/GetModel", ["own", "no", "all", "all"]),
    ("TrainingService/ListModels", ["own", "no", "all", "all"]),
    ("TrainingService/DeleteModel", ["own", "no", "own", "all"]),
    ("TrainingService/GetParameters", ["own", "no", "all", "all"]),
    ("TrainingService/SetParameters", ["own", "no", "own", "own"]),
    (
        "TrainingService/CheckGradients",
        ["own", "no", "all", "all"],
    ),
    ("TrainingService/WatchModel", ["own", "no", "all", "all"]),
    ("TrainingService/ExportModel", ["own", "no", "all", "all"]),
    ("TrainingService/ImportModel", ["own", "no", "own", "own"]),
    ("TrainingService/StopTraining", ["own", "no", "own", "all"]),
    ("TrainingService/ListRuns", ["own", "no", "all", "all"]),
    ("TrainingService/GetRun", ["own", "no", "all", "all"]),
    ("TrainingService/Explain", ["own", "no", "all", "all"]),
    (
        "TrainingService/ApplyGradients",
        ["own", "no", "own", "own"],
    ),
    ("TrainingService/Evaluate", ["own", "no", "all", "all"]),
    ("TrainingService/CopyModel", ["own", "no", "own", "own"]),
    ("TrainingService/UpdateModel", ["own", "no", "own", "own"]),
];

/// Methods whose request names no session.
const NAMELESS: [&str; 7] = [
    "ServerService/GetServerInfo",
    "SessionService/CreateSession",
    "SessionService/ListSessions",
    "GradingService/ListAssignments",
    "GradingService/GetAssignment",
    "GradingService/GradeFormulas",
    "GradingService/GetGradingStatistics",
];

fn cell(method: &str, role: Role) -> &'static str {
    let row = TABLE.iter().find(|(name, _)| *name == method);
    let at = Role::ALL.iter().position(|it| *it == role).expect("a role");
    row.unwrap_or_else(|| panic!("{method} has no row")).1[at]
}

#[test]
fn the_table_of_this_test_is_that_of_the_program() {
    let rows: BTreeMap<&str, [&str; 4]> = TABLE.iter().copied().collect();
    for row in backpropd::rpc::roles::TABLE {
        let name = row.method.trim_start_matches("backprop.v1.");
        let of = |role| match row.of(role) {
            None => "no",
            Some(backpropd_identity::Reach::Own) => "own",
            Some(backpropd_identity::Reach::Any) => "all",
        };
        assert_eq!(rows.get(name), Some(&Role::ALL.map(of)), "{name}");
    }
    assert_eq!(rows.len(), backpropd::rpc::roles::TABLE.len());
}

/// A request is answered well. A file of three bytes is no model, and the id of a run is not known beforehand: those two
/// are looked at, and found wanting.
fn assert_allowed(method: &str, outcome: &Outcome, role: Role) {
    let expected = match method {
        "TrainingService/ImportModel" => Code::InvalidArgument,
        "TrainingService/GetRun" => Code::NotFound,
        _ => Code::Ok,
    };
    assert_eq!(outcome.code, expected, "{role} {method} {outcome:?}");
}

#[tokio::test]
async fn each_role_may_do_what_its_column_says_and_no_more_in_every_protocol() {
    let keys = Keys::new();
    let server = keys.server().await;
    for protocol in Protocol::ALL {
        for role in Role::ALL {
            column(&server, protocol, role).await;
        }
    }
    server.stop().await;
}

/// Every cell of a role's column: on the sessions of another person, and on its own.
async fn column(server: &Server, protocol: Protocol, role: Role) {
    let id = format!("{role}-{protocol:?}").to_lowercase();
    let own = token(role.name(), role);
    let header = format!("Bearer {own}");
    let call = async |method: &str, messages: &[Value]| {
        protocol
            .call(server.address, method, messages, Some(&header))
            .await
    };
    // What an admin deletes of others is there again for nobody.
    let foreign = format!("of-bob-{id}");
    furnish(server, &token("bob", Role::Student), &foreign).await;
    if role != Role::Grader {
        furnish(server, &own, &id).await;
    }
    for (method, messages) in requests(&foreign) {
        let outcome = call(method, &messages).await;
        let denied = format!("{protocol:?} {role} {method} {outcome:?}");
        match (cell(method, role), NAMELESS.contains(&method)) {
            ("no", _) => {
                assert_eq!(outcome.code, Code::PermissionDenied, "{denied}");
                assert_eq!(outcome.reason, "ROLE_NOT_ALLOWED", "{denied}");
                let name = method.rsplit('/').next().expect("a method");
                for part in [role.name(), name, "instructor"] {
                    assert!(outcome.message.contains(part), "{denied}");
                }
            }
            ("own", false) => {
                assert_eq!(outcome.code, Code::PermissionDenied, "{denied}");
                assert_eq!(outcome.reason, "NOT_YOURS", "{denied}");
            }
            ("own" | "all", _) => assert_allowed(method, &outcome, role),
            (other, _) => panic!("{other}"),
        }
    }
    for (method, messages) in requests(&id) {
        if cell(method, role) == "own" {
            let outcome = call(method, &messages).await;
            assert_allowed(method, &outcome, role);
        }
    }
}

#[tokio::test]
async fn the_server_tells_a_caller_its_role_and_the_methods_of_that_role() {
    let keys = Keys::new();
    let server = keys.server().await;
    for role in Role::ALL {
        let header = ("authorization", format!("Bearer {}", token("ada", role)));
        let url = format!(
            "http://{}/backprop.v1.ServerService/GetServerInfo",
            server.address
        );
        let request = http::Request::post(url)
            .header("content-type", "application/json")
            .header(header.0, header.1)
            .body(crate::gateway::body("{}"));
        let reply = crate::gateway::send(&server, request.expect("a request")).await;
        let caller = &reply.json()["caller"];
        assert_eq!(caller["subject"], "ada");
        assert_eq!(caller["role"], role.name());
        let methods = caller["methods"].as_array().expect("methods");
        let told = |method: &str| {
            methods
                .iter()
                .any(|it| it == &format!("backprop.v1.{method}"))
        };
        for (method, _) in TABLE {
            assert_eq!(told(method), cell(method, role) != "no", "{role} {method}");
        }
    }
    server.stop().await;
    let open = Server::start().await;
    let reply = crate::gateway::call(&open, "ServerService/GetServerInfo", &json!({})).await;
    assert_eq!(reply.json().get("caller"), None);
}

#[tokio::test]
async fn a_role_may_ask_for_no_more_than_its_privileges() {
    let keys = Keys::new();
    let server = keys.server().await;
    let secret = json!({"access": "ACCESS_COMPARE_ONLY"});
    let model = json!({"access": "ACCESS_COMPARE_ONLY", "spec": super::spec(),
        "compare": {"inputs": super::inputs(), "targets": super::targets()}});
    let grade =
        |reveal: &str| json!({"assignment": "hw-backprop", "answers": {}, "reveal": reveal});
    for (method, message, allowed) in [
        ("SessionService/CreateSession", secret, "instructor admin"),
        ("TrainingService/CreateModel", model, "instructor admin"),
        (
            "GradingService/GradeFormulas",
            grade("REVEAL_REFERENCE"),
            "grader instructor admin",
        ),
        (
            "GradingService/GradeFormulas",
            grade("REVEAL_HINTS"),
            "student grader instructor admin",
        ),
        (
            "ServerService/GetServerInfo",
            json!({"settings": true}),
            "admin",
        ),
    ] {
        for role in Role::ALL {
            let own = token(role.name(), role);
            let outcome = call(
                server.address,
                method,
                std::slice::from_ref(&message),
                Some(&own),
            )
            .await;
            let is_allowed = allowed.split(' ').any(|it| it == role.name());
            assert_eq!(
                outcome == Outcome::ok(),
                is_allowed,
                "{role} {message} {outcome:?}"
            );
            assert_eq!(
                outcome.is_denied(),
                !is_allowed,
                "{role} {message} {outcome:?}"
            );
        }
    }
    server.stop().await;
}

/// Beside the methods: neither reflection nor an unknown path tells anything, and health is answered.
async fn only_health_is_open(channel: Channel, authorization: Option<&str>) {
    for version in ["v1", "v1alpha"] {
        let path = format!("/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo");
        let outcome = send(channel.clone(), &path, Vec::new(), authorization).await;
        assert_ne!(outcome, Outcome::ok(), "{path}");
    }
    let unknown = send(
        channel.clone(),
        "/backprop.v1.None/None",
        Vec::new(),
        authorization,
    );
    assert!(
        unknown.await.code != Code::Unimplemented,
        "it tells what there is"
    );
    let mut health = HealthClient::new(channel);
    let answer = health.check(HealthCheckRequest::default()).await;
    answer.expect("health is open to all");
}

#[tokio::test]
async fn no_method_is_open_to_a_caller_without_a_valid_token() {
    let keys = Keys::new();
    keys.write("revoked", "mallory\nstolen\n");
    let server = keys.server().await;
    let bob = token("bob", Role::Student);
    furnish(&server, &bob, "of-bob").await;
    let admin = |change: &dyn Fn(&mut backpropd_identity::Claims)| {
        let mut claims = claims("bob", Role::Admin);
        change(&mut claims);
        claims
    };
    let good = token("bob", Role::Admin);
    let (signed_part, _) = good.rsplit_once('.').expect("a token");
    let (_, body) = signed_part.split_once('.').expect("a token");
    // {"alg":"none"}
    let unsigned = format!("eyJhbGciOiJub25lIn0.{body}.");
    let bearer =
        |claims: &backpropd_identity::Claims| Some(format!("Bearer {}", signed(SECRET, claims)));
    let wrong = |what: &str| Some(what.to_owned());
    let cases = [
        (None, "TOKEN_MISSING"),
        (
            bearer(&admin(&|it| it.exp = 1_600_000_000)),
            "TOKEN_EXPIRED",
        ),
        (
            bearer(&admin(&|it| it.sub = "mallory".into())),
            "TOKEN_REVOKED",
        ),
        (
            bearer(&admin(&|it| it.jti = Some("stolen".to_owned()))),
            "TOKEN_REVOKED",
        ),
        (bearer(&admin(&|it| it.nbf = Some(it.exp))), "TOKEN_INVALID"),
        (
            bearer(&admin(&|it| it.aud = vec!["another".to_owned()])),
            "TOKEN_INVALID",
        ),
        (bearer(&admin(&|it| it.aud = Vec::new())), "TOKEN_INVALID"),
        (
            Some(format!("Bearer {}", signed(OTHER, &admin(&|_| ())))),
            "TOKEN_INVALID",
        ),
        (Some(format!("Bearer {unsigned}")), "TOKEN_INVALID"),
        (Some(format!("Bearer {signed_part}.")), "TOKEN_INVALID"),
        (wrong(&format!("Basic {good}")), "TOKEN_INVALID"),
        (wrong(&good), "TOKEN_INVALID"),
        (wrong("Bearer "), "TOKEN_INVALID"),
        (wrong("Bearer"), "TOKEN_INVALID"),
    ];
    for (authorization, reason) in &cases {
        let channel = channel(server.address).await;
        let authorization = authorization.as_deref();
        let all = requests("of-bob");
        let cells = Protocol::ALL
            .into_iter()
            .flat_map(|it| all.iter().map(move |at| (it, at)));
        for (protocol, (method, messages)) in cells {
            let called = protocol.call(server.address, method, messages, authorization);
            let outcome = called.await;
            // An address that keeps guessing is told to wait; it learns nothing else.
            let expected = match outcome.reason.as_str() {
                "LOGIN_LIMIT" if *reason == "TOKEN_INVALID" => Code::ResourceExhausted,
                _ => {
                    assert_eq!(
                        outcome.reason, *reason,
                        "{protocol:?} {method} {authorization:?}"
                    );
                    Code::Unauthenticated
                }
            };
            assert_eq!(
                outcome.code, expected,
                "{protocol:?} {method} {authorization:?}"
            );
            assert!(!format!("{outcome:?}").contains("of-bob"), "{outcome:?}");
        }
        only_health_is_open(channel, authorization).await;
    }
    // Nothing of all this has changed anything.
    let get = json!({"name": "sessions/of-bob/models/m"});
    let outcome = call(
        server.address,
        "TrainingService/GetModel",
        &[get],
        Some(&bob),
    )
    .await;
    assert_eq!(outcome, Outcome::ok());
    server.stop().await;
}

#[tokio::test]
async fn reflection_needs_an_identity_and_no_role() {
    let keys = Keys::new();
    let server = keys.server().await;
    for role in Role::ALL {
        let header = format!("Bearer {}", token("x", role));
        let path = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo";
        let outcome = send(
            channel(server.address).await,
            path,
            Vec::new(),
            Some(&header),
        )
        .await;
        assert_eq!(outcome, Outcome::ok(), "{role}");
    }
    server.stop().await;
}
