//! Jumps of the wall clock: they delete nothing and keep nothing alive, while the server runs and over a restart.

use std::fs;

use backpropd::rpc::pb;
use backpropd::trash::{self, TrashError};
use tempfile::TempDir;
use tonic::{Code, Status};

use super::fixture::{
    Hands, Sessions, create_in, get, homework, let_it_look, refused, run, train, until,
};

const DAY: i64 = 86_400;

async fn make(sessions: &mut Sessions, id: &str, ttl: i64) -> String {
    let request = pb::CreateSessionRequest {
        session_id: id.to_owned(),
        ttl: Some(prost_types::Duration {
            seconds: ttl,
            nanos: 0,
        }),
        ..Default::default()
    };
    let reply = sessions.create_session(request).await.expect("room");
    reply.into_inner().session.expect("a session").name
}

/// The names that are listed, which renews none.
async fn listed(sessions: &mut Sessions) -> Vec<String> {
    let request = pb::ListSessionsRequest::default();
    let reply = sessions.list_sessions(request).await.expect("listed");
    let listed = reply.into_inner().sessions.into_iter();
    listed.map(|session| session.name).collect()
}

async fn look(sessions: &mut Sessions, name: &str) -> Result<pb::Session, Status> {
    let name = name.to_owned();
    let reply = sessions.get_session(pb::GetSessionRequest { name }).await?;
    Ok(reply.into_inner().session.expect("a session"))
}

/// Forwards, back, before 1970, after 2514, and back to the truth.
const JUMPS: [i64; 6] = [
    2 * DAY,
    -2 * DAY,
    400 * DAY,
    -60 * 365 * DAY,
    600 * 365 * DAY,
    0,
];

#[tokio::test]
async fn a_jump_of_the_date_deletes_nothing_and_every_call_goes_on() {
    let folder = TempDir::new().expect("a folder");
    let hands = Hands::default();
    let server = hands.server(&folder).await;
    let mut sessions = server.sessions().await;
    let mut client = server.training().await;
    let name = make(&mut sessions, "lab", DAY).await;
    let model = create_in(&server, &name, homework()).await.expect("room");
    for (count, jump) in (1..).zip(JUMPS) {
        hands.set_date(jump);
        let_it_look().await;
        assert_eq!(
            listed(&mut sessions).await,
            std::slice::from_ref(&name),
            "{jump}"
        );
        let told = run(&mut client, train(&model, 1)).await.expect("it trains");
        assert_eq!(told.completed().durable_step, Some(count), "{jump}");
        let session = look(&mut sessions, &name).await.expect("it is there");
        let (expires, now) = (
            session.expire_time.expect("a time"),
            hands.clock().now().date,
        );
        let now = prost_types::Timestamp::from(now);
        assert!((expires.seconds - now.seconds - DAY).abs() < 60, "{jump}");
        let other = make(&mut sessions, "other", DAY).await;
        let delete = pb::DeleteSessionRequest { name: other };
        sessions.delete_session(delete).await.expect("deleted");
    }
    for jump in JUMPS {
        server_stays(&hands, &folder, jump, &name, &model).await;
    }
    server.stop().await;
}

/// A copy of the folder as it is after a crash, opened with the date off.
async fn server_stays(hands: &Hands, folder: &TempDir, jump: i64, name: &str, model: &pb::Model) {
    hands.set_date(jump);
    let copy = super::fixture::copy_of(folder);
    let server = hands.server(&copy).await;
    let_it_look().await;
    let mut sessions = server.sessions().await;
    assert_eq!(listed(&mut sessions).await, [name.to_owned()], "{jump}");
    let there = get(&mut server.training().await, &model.name).await;
    assert_eq!(there.expect("it is there").step, 6, "{jump}");
    server.stop().await;
}

#[tokio::test]
async fn a_session_ages_by_the_uptime_whatever_the_date_says() {
    let folder = TempDir::new().expect("a folder");
    let hands = Hands::default();
    let server = hands.server(&folder).await;
    let mut sessions = server.sessions().await;
    let brief = make(&mut sessions, "brief", 600).await;
    let long = make(&mut sessions, "long", DAY).await;
    hands.set_date(-2 * DAY);
    hands.pass(590);
    let_it_look().await;
    assert_eq!(listed(&mut sessions).await, [brief.clone(), long.clone()]);
    hands.pass(10);
    until(async || listed(&mut sessions).await == [long.clone()]).await;
    let gone = look(&mut sessions, &brief).await.expect_err("expired");
    refused(&gone, Code::NotFound, "NOT_FOUND");
}

#[tokio::test]
async fn an_orderly_restart_keeps_the_age_and_a_crash_gives_the_whole_lease_again() {
    let folder = TempDir::new().expect("a folder");
    let hands = Hands::default();
    let server = hands.server(&folder).await;
    let mut sessions = server.sessions().await;
    let name = make(&mut sessions, "lab", 600).await;
    hands.pass(500);
    let crashed = super::fixture::copy_of(&folder);
    server.stop().await;

    // Down for a month, by the date.
    hands.set_date(30 * DAY);
    let server = hands.server(&folder).await;
    let mut sessions = server.sessions().await;
    assert_eq!(listed(&mut sessions).await, std::slice::from_ref(&name));
    hands.pass(90);
    let_it_look().await;
    assert_eq!(
        listed(&mut sessions).await,
        std::slice::from_ref(&name),
        "590 of 600 seconds"
    );
    hands.pass(10);
    until(async || listed(&mut sessions).await.is_empty()).await;
    server.stop().await;

    let server = hands.server(&crashed).await;
    let mut sessions = server.sessions().await;
    hands.pass(590);
    let_it_look().await;
    assert_eq!(
        listed(&mut sessions).await,
        std::slice::from_ref(&name),
        "590 of 600 seconds"
    );
    hands.pass(10);
    until(async || listed(&mut sessions).await.is_empty()).await;
}

#[tokio::test]
async fn what_expires_can_be_brought_back_for_a_day_of_uptime() {
    let folder = TempDir::new().expect("a folder");
    let data = folder.path().to_str().expect("text");
    let hands = Hands::default();
    let server = hands.server(&folder).await;
    let mut sessions = server.sessions().await;
    let name = make(&mut sessions, "lab", 600).await;
    let model = create_in(&server, &name, homework()).await.expect("room");
    let mut client = server.training().await;
    // In the log, not yet in its file.
    run(&mut client, train(&model, 5)).await.expect("it trains");
    let model = get(&mut client, &model.name).await.expect("it is there");
    hands.pass(601);
    until(async || !folder.path().join("sessions/lab").exists()).await;
    // Its name is free, and the one that takes it is another session.
    until(async || make_again(&mut sessions).await).await;
    let gone = get(&mut client, &model.name).await.expect_err("expired");
    refused(&gone, Code::NotFound, "NOT_FOUND");
    assert!(trash::list(data).is_err(), "the server holds the folder");
    server.stop().await;

    hands.set_date(40 * DAY);
    let listed = trash::list(data).expect("the server is stopped");
    let [trashed] = &listed[..] else {
        panic!("{listed:?}")
    };
    assert_eq!((trashed.session.as_str(), trashed.models), ("lab", 1));
    assert!(
        (86_000..=86_400).contains(&trashed.seconds_left),
        "{trashed:?}"
    );
    let taken = trash::restore(data, "lab").expect_err("taken");
    assert!(matches!(taken, TrashError::Taken(_)), "{taken}");
    let unknown = trash::restore(data, "unknown").expect_err("not there");
    assert!(matches!(unknown, TrashError::NoSession(_)), "{unknown}");

    let server = hands.server(&folder).await;
    let delete = pb::DeleteSessionRequest { name };
    let mut sessions = server.sessions().await;
    sessions.delete_session(delete).await.expect("deleted");
    server.stop().await;
    let kept = super::fixture::copy_of(&folder);
    let is_known = || {
        let manifest = fs::read(folder.path().join("manifest")).expect("read");
        manifest.windows(4).any(|bytes| bytes == b"lab\0")
    };
    assert!(!is_known());
    trash::restore(data, "lab").expect("its name is free");
    assert!(is_known(), "the next start misses nothing of it");
    let server = hands.server(&folder).await;
    let back = get(&mut server.training().await, &model.name).await;
    assert_eq!(back.expect("it is back"), model);
    server.stop().await;

    // A day of uptime in two parts removes it; the month that the date says has passed does not.
    let server = hands.server(&kept).await;
    hands.pass(80_000);
    let_it_look().await;
    server.stop().await;
    let data = kept.path().to_str().expect("text");
    let listed = trash::list(data).expect("stopped");
    assert!(listed[0].seconds_left <= 6_400, "{listed:?}");
    let server = hands.server(&kept).await;
    hands.pass(6_400);
    until(async || {
        kept.path()
            .join("trash")
            .read_dir()
            .expect("it is there")
            .count()
            == 0
    })
    .await;
    server.stop().await;
}

async fn make_again(sessions: &mut Sessions) -> bool {
    let request = pb::CreateSessionRequest {
        session_id: "lab".to_owned(),
        ..Default::default()
    };
    sessions.create_session(request).await.is_ok()
}
