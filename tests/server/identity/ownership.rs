//! Whose sessions are whose.

use backpropd_identity::Role;
use serde_json::{Value, json};
use tempfile::TempDir;
use tonic::{Code, Request};

use backpropd::rpc::pb;

use super::wire::{Outcome, Protocol, call};
use super::{Keys, dataset, furnish, inputs, requests, spec, targets, token};
use crate::fixture::{Hands, Server, let_it_look};

/// Every request that names bob's session in some place.
fn naming(session: &str) -> Vec<(&'static str, Vec<Value>)> {
    let mut all = requests(session);
    let nameless = |method: &str| {
        method.starts_with("GradingService/") && method != "GradingService/GradeGradients"
            || method == "ServerService/GetServerInfo"
            || method == "SessionService/ListSessions"
            || method == "SessionService/CreateSession"
    };
    all.retain(|(method, _)| !nameless(method));
    let (own, foreign) = ("sessions/own/models/m", format!("sessions/{session}"));
    let rows = json!({"dataset": format!("{foreign}/datasets/d")});
    let inline = json!({"spec": spec(), "parameters": super::parameters()});
    let missing = format!("{foreign}/models/none");
    for (method, message) in [
        (
            "TrainingService/CopyModel",
            json!({"model": own, "session": foreign}),
        ),
        (
            "TrainingService/CopyModel",
            json!({"model": format!("{foreign}/models/m")}),
        ),
        (
            "TrainingService/Gradients",
            json!({"inline": inline, "dataset": rows}),
        ),
        (
            "TrainingService/Evaluate",
            json!({"inline": inline, "dataset": rows}),
        ),
        (
            "TrainingService/Evaluate",
            json!({"model": own, "dataset": rows}),
        ),
        (
            "TrainingService/Explain",
            json!({"inline": inline, "dataset": rows, "quantity": "QUANTITY_D_W", "layer": 1, "row": 1, "column": 1}),
        ),
        (
            "TrainingService/TrainBatch",
            json!({"model": own, "dataset": rows}),
        ),
        (
            "TrainingService/TrainBatch",
            json!({"model": own, "inputs": inputs(), "targets": targets(), "heldOut": {"dataset": rows}}),
        ),
        (
            "TrainingService/StopTraining",
            json!({"model": own, "run": format!("{foreign}/models/m/runs/r1")}),
        ),
        ("TrainingService/GetModel", json!({"name": missing})),
        ("TrainingService/DeleteModel", json!({"name": missing})),
        (
            "TrainingService/GetRun",
            json!({"name": format!("{missing}/runs/r1")}),
        ),
        (
            "TrainingService/GetRun",
            json!({"name": format!("{foreign}/models/m/runs/none")}),
        ),
        (
            "TrainingService/TrainBatch",
            json!({"model": missing, "inputs": inputs(), "targets": targets()}),
        ),
        (
            "TrainingService/StopTraining",
            json!({"model": format!("{foreign}/models/m"), "run": format!("{foreign}/models/m/runs/r1")}),
        ),
        (
            "TrainingService/CreateModel",
            json!({"session": foreign, "modelId": "m", "spec": spec()}),
        ),
        (
            "TrainingService/CreateModel",
            json!({"session": foreign, "spec": spec(), "requestId": "once"}),
        ),
        (
            "TrainingService/CreateModel",
            json!({"session": foreign, "spec": spec(), "validateOnly": true}),
        ),
        (
            "DatasetService/GetDataset",
            json!({"name": format!("{foreign}/datasets/none")}),
        ),
        (
            "DatasetService/DeleteDataset",
            json!({"name": format!("{foreign}/datasets/none")}),
        ),
    ] {
        all.push((method, vec![message]));
    }
    all.push(("DatasetService/CreateDataset", dataset(&foreign, "d")));
    all
}

#[tokio::test]
async fn another_persons_session_answers_as_one_that_does_not_exist_in_every_protocol() {
    let keys = Keys::new();
    let server = keys.server().await;
    let [alice, bob] = ["alice", "bob"].map(|name| token(name, Role::Student));
    furnish(&server, &alice, "own").await;
    furnish(&server, &bob, "of-bob").await;
    let header = format!("Bearer {alice}");
    let answers = async || {
        let mut answers = Vec::new();
        for protocol in Protocol::ALL {
            for (method, messages) in naming("of-bob") {
                let called = protocol.call(server.address, method, &messages, Some(&header));
                answers.push((format!("{protocol:?} {method}"), called.await));
            }
        }
        answers
    };
    let existing = answers().await;
    for (method, outcome) in &existing {
        assert_eq!(outcome.code, Code::PermissionDenied, "{method} {outcome:?}");
        assert_eq!(outcome.reason, "NOT_YOURS", "{method} {outcome:?}");
    }
    let gone = json!({"name": "sessions/of-bob"});
    let outcome = call(
        server.address,
        "SessionService/DeleteSession",
        &[gone],
        Some(&bob),
    )
    .await;
    assert_eq!(outcome, Outcome::ok());
    for ((method, before), (_, after)) in existing.iter().zip(answers().await) {
        assert_eq!(*before, after, "{method} tells whether the session exists");
    }
    server.stop().await;
}

#[tokio::test]
async fn a_taken_id_is_anothers_and_no_grounds_to_use_it() {
    let keys = Keys::new();
    let server = keys.server().await;
    let [alice, bob] = ["alice", "bob"].map(|name| token(name, Role::Student));
    let create = [json!({"sessionId": "lab", "requestId": "once"})];
    let method = "SessionService/CreateSession";
    for _ in 0..2 {
        assert_eq!(
            call(server.address, method, &create, Some(&bob)).await,
            Outcome::ok()
        );
    }
    let refused = call(server.address, method, &create, Some(&alice)).await;
    assert_eq!(refused.reason, "NOT_YOURS", "{refused:?}");
    let own = [json!({"sessionId": "lab"})];
    let taken = call(server.address, method, &own, Some(&bob)).await;
    assert_eq!(taken.code, Code::AlreadyExists);
    server.stop().await;
}

#[tokio::test]
async fn a_person_without_room_for_a_session_is_not_told_which_ids_are_taken() {
    let keys = Keys::new();
    let server = Server::with(|config| {
        keys.set(config);
        config.max_sessions = 3;
        config.max_sessions_per_address = 1;
    })
    .await;
    let [alice, bob, carol] = ["alice", "bob", "carol"].map(|name| token(name, Role::Student));
    let create = async |id: &str, token: &str| {
        let request = [json!({"sessionId": id, "requestId": "once"})];
        let method = "SessionService/CreateSession";
        call(server.address, method, &request, Some(token)).await
    };
    for (id, token) in [("of-alice", &alice), ("of-bob", &bob)] {
        assert_eq!(create(id, token).await, Outcome::ok());
    }
    let same = async |token: &str| {
        let (taken, free) = (create("of-bob", token).await, create("free", token).await);
        assert_eq!(taken.code, Code::ResourceExhausted, "{taken:?}");
        assert_eq!((taken.reason, taken.message), (free.reason, free.message));
    };
    same(&alice).await;
    // A repeated request is answered all the same.
    assert_eq!(create("of-alice", &alice).await, Outcome::ok());
    // Nor if the whole server has no room.
    let dave = token("dave", Role::Student);
    assert_eq!(create("of-dave", &dave).await, Outcome::ok());
    same(&carol).await;
    server.stop().await;
}

async fn listed(server: &Server, token: &str, owner: &str) -> Vec<(String, String)> {
    let mut sessions = server.sessions().await;
    let mut found = Vec::new();
    let mut page_token = String::new();
    loop {
        let mut request = Request::new(pb::ListSessionsRequest {
            page_size: 1,
            page_token,
            owner: owner.to_owned(),
        });
        let header = format!("Bearer {token}").parse().expect("a header");
        request.metadata_mut().insert("authorization", header);
        let page = sessions
            .list_sessions(request)
            .await
            .expect("listed")
            .into_inner();
        found.extend(page.sessions.into_iter().map(|it| (it.name, it.owner)));
        page_token = page.next_page_token;
        if page_token.is_empty() {
            return found;
        }
    }
}

#[tokio::test]
async fn a_list_has_ones_own_sessions_or_all_with_their_owners() {
    let keys = Keys::new();
    let server = keys.server().await;
    let people = ["alice", "bob"];
    for (at, person) in people.into_iter().chain(people).enumerate() {
        let create = [json!({"sessionId": format!("s{at}")})];
        let own = token(person, Role::Student);
        let created = call(
            server.address,
            "SessionService/CreateSession",
            &create,
            Some(&own),
        );
        assert_eq!(created.await, Outcome::ok());
    }
    let pair = |at: usize| (format!("sessions/s{at}"), people[at % 2].to_owned());
    let student = token("bob", Role::Student);
    assert_eq!(listed(&server, &student, "").await, [pair(1), pair(3)]);
    assert_eq!(listed(&server, &student, "bob").await, [pair(1), pair(3)]);
    assert_eq!(listed(&server, &student, "alice").await, []);
    for role in [Role::Instructor, Role::Admin] {
        let other = token("carol", role);
        assert_eq!(listed(&server, &other, "").await, [0, 1, 2, 3].map(pair));
        assert_eq!(listed(&server, &other, "alice").await, [pair(0), pair(2)]);
        assert_eq!(listed(&server, &other, "carol").await, []);
    }
    server.stop().await;
}

async fn server_on(folder: &TempDir, keys: &Keys, sessions: usize) -> Server {
    Server::on(folder, |config| {
        keys.set(config);
        config.max_sessions_per_address = sessions;
    })
    .await
}

#[tokio::test]
async fn owners_and_their_shares_survive_a_restart() {
    let (folder, keys) = (TempDir::new().expect("a folder"), Keys::new());
    let [alice, bob] = ["alice", "bob"].map(|name| token(name, Role::Student));
    let server = server_on(&folder, &keys, 2).await;
    furnish(&server, &alice, "one").await;
    furnish(&server, &alice, "two").await;
    server.stop().await;
    let mut server = server_on(&folder, &keys, 2).await;
    wait(&mut server, &bob).await;
    let get = [json!({"name": "sessions/one/models/m"})];
    let method = "TrainingService/GetModel";
    assert_eq!(
        call(server.address, method, &get, Some(&alice)).await,
        Outcome::ok()
    );
    let foreign = call(server.address, method, &get, Some(&bob)).await;
    assert_eq!(foreign.reason, "NOT_YOURS");
    // Both of alice's sessions count for her, from the start on.
    let create = [json!({})];
    let method = "SessionService/CreateSession";
    let full = call(server.address, method, &create, Some(&alice)).await;
    assert_eq!(full.code, Code::ResourceExhausted, "{full:?}");
    assert_eq!(
        call(server.address, method, &create, Some(&bob)).await,
        Outcome::ok()
    );
    let gone = [json!({"name": "sessions/two"})];
    let deleted = call(
        server.address,
        "SessionService/DeleteSession",
        &gone,
        Some(&alice),
    )
    .await;
    assert_eq!(deleted, Outcome::ok());
    assert_eq!(
        call(server.address, method, &create, Some(&alice)).await,
        Outcome::ok()
    );
    server.stop().await;
}

async fn wait(server: &mut Server, token: &str) {
    // A caller without a token gets no answer from GetServerInfo, so `started` would wait for ever.
    let (info, request) = ("ServerService/GetServerInfo", [json!({})]);
    let outcome = call(server.address, info, &request, Some(token)).await;
    assert_eq!(outcome, Outcome::ok());
}

#[tokio::test]
async fn sessions_from_before_identities_are_nobodys() {
    let (folder, keys) = (TempDir::new().expect("a folder"), Keys::new());
    let open = Server::on(&folder, |_| ()).await;
    let create = [json!({"sessionId": "old"})];
    let created = call(open.address, "SessionService/CreateSession", &create, None).await;
    assert_eq!(created, Outcome::ok());
    let model = [json!({"session": "sessions/old", "modelId": "m", "spec": spec()})];
    let created = call(open.address, "TrainingService/CreateModel", &model, None).await;
    assert_eq!(created, Outcome::ok());
    open.stop().await;
    let server = server_on(&folder, &keys, 10).await;
    let student = token("alice", Role::Student);
    let [instructor, admin] = [Role::Instructor, Role::Admin].map(|role| token("carol", role));
    let get = [json!({"name": "sessions/old/models/m"})];
    let method = "TrainingService/GetModel";
    let foreign = call(server.address, method, &get, Some(&student)).await;
    assert_eq!(foreign.reason, "NOT_YOURS");
    let again = call(
        server.address,
        "SessionService/CreateSession",
        &create,
        Some(&student),
    );
    assert_eq!(again.await.reason, "NOT_YOURS", "nobody adopts it");
    for reader in [&instructor, &admin] {
        assert_eq!(
            call(server.address, method, &get, Some(reader)).await,
            Outcome::ok()
        );
    }
    let delete = [json!({"name": "sessions/old"})];
    let method = "SessionService/DeleteSession";
    let refused = call(server.address, method, &delete, Some(&instructor)).await;
    assert_eq!(refused.reason, "NOT_YOURS");
    assert_eq!(
        call(server.address, method, &delete, Some(&admin)).await,
        Outcome::ok()
    );
    server.stop().await;
}

#[tokio::test]
async fn a_session_comes_back_from_the_trash_as_its_owners() {
    let (folder, keys, hands) = (
        TempDir::new().expect("a folder"),
        Keys::new(),
        Hands::default(),
    );
    let start = || async {
        let data_dir = folder.path().to_str().expect("text").to_owned();
        Server::with_clock(hands.clock(), |config| {
            keys.set(config);
            config.data_dir = data_dir;
            config.session_ttl_seconds = 60;
        })
        .await
    };
    let [alice, bob] = ["alice", "bob"].map(|name| token(name, Role::Student));
    let server = start().await;
    furnish(&server, &alice, "lab").await;
    hands.pass(61);
    let get = [json!({"name": "sessions/lab/models/m"})];
    let method = "TrainingService/GetModel";
    // An expired session of one's own is not found; once it is in the trash, it is as if there had been none.
    crate::fixture::until(async || {
        let_it_look().await;
        call(server.address, method, &get, Some(&alice))
            .await
            .reason
            == "NOT_YOURS"
    })
    .await;
    server.stop().await;
    let path = folder.path().to_str().expect("text");
    backpropd::trash::restore(path, "lab").expect("it is in the trash");
    let server = start().await;
    assert_eq!(
        call(server.address, method, &get, Some(&alice)).await,
        Outcome::ok()
    );
    let foreign = call(server.address, method, &get, Some(&bob)).await;
    assert_eq!(foreign.reason, "NOT_YOURS");
    server.stop().await;
}

#[tokio::test]
async fn without_identities_sessions_have_no_owner_and_names_give_access() {
    let server = Server::start().await;
    let create = [json!({"sessionId": "lab"})];
    for token in [None, Some("no token at all")] {
        let created = call(
            server.address,
            "SessionService/CreateSession",
            &create,
            token,
        )
        .await;
        let expected = if token.is_none() {
            Code::Ok
        } else {
            Code::AlreadyExists
        };
        assert_eq!(
            created.code, expected,
            "a header that is not asked for changes nothing"
        );
    }
    let mut sessions = server.sessions().await;
    let page = sessions
        .list_sessions(pb::ListSessionsRequest::default())
        .await;
    assert_eq!(page.expect("listed").into_inner().sessions[0].owner, "");
    let request = pb::ListSessionsRequest {
        owner: "alice".to_owned(),
        ..Default::default()
    };
    let refused = sessions
        .list_sessions(request)
        .await
        .expect_err("no owners");
    assert_eq!(crate::fixture::bad_fields(&refused), ["owner"]);
    server.stop().await;
}
