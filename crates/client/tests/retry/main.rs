//! What a client sends again, and what it does not, against a server on loopback. The clock is paused: waits take no
//! time, and their length is exact.

mod server;

use std::time::Duration;

use backpropd_client::pb::train_batch_response::Event;
use backpropd_client::{Client, Retry, Run, Watch, pb};
use tokio::time::Instant;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt as _};

use server::{Answer, Server, completed, progress, refuse, reply, started};

fn away() -> Answer {
    refuse(Status::unavailable("the server is away"))
}

/// A refusal by a backpropd, which asks for this delay.
fn refusal(code: Code, delay: Option<Duration>) -> Answer {
    let mut details = ErrorDetails::with_error_info("REASON", "backpropd", []);
    if delay.is_some() {
        details.set_retry_info(delay);
    }
    refuse(Status::with_error_details(code, "refused", details))
}

fn model() -> Answer {
    let model = Some(pb::Model::default());
    reply([pb::CreateModelResponse { model }])
}

/// A write that may be repeated.
fn creation() -> pb::CreateModelRequest {
    pb::CreateModelRequest {
        session: "sessions/lab".to_owned(),
        request_id: "once".to_owned(),
        seed: 7,
        ..Default::default()
    }
}

fn run() -> pb::TrainBatchRequest {
    pb::TrainBatchRequest {
        model: "sessions/lab/models/hw".to_owned(),
        steps: 30,
        request_id: "once".to_owned(),
        ..Default::default()
    }
}

/// The events of a run as text, and its error.
async fn listen(run: &mut Run) -> (Vec<String>, Option<Status>) {
    let mut events = Vec::new();
    loop {
        match run.next().await {
            Ok(None) => return (events, None),
            Err(status) => return (events, Some(status)),
            Ok(Some(Event::Started(started))) => {
                events.push(format!("started {}", started.resumed_steps));
            }
            Ok(Some(Event::Progress(progress))) => {
                events.extend(
                    progress
                        .steps
                        .iter()
                        .map(|step| format!("step {}", step.step)),
                );
            }
            Ok(Some(Event::HeldOut(_))) => events.push("held out".to_owned()),
            Ok(Some(Event::Completed(_))) => events.push("completed".to_owned()),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_write_with_a_request_id_is_sent_again_until_it_is_answered() {
    let server = Server::start([away(), away(), model()]).await;
    let client = server.client().await;
    let begun = Instant::now();
    client
        .create_model(creation())
        .await
        .expect("the third answer");
    let waited = begun.elapsed();
    // 100 ms and 200 ms, of which half is random.
    let range = Duration::from_millis(150)..=Duration::from_millis(305);
    assert!(range.contains(&waited), "{waited:?}");
    let received = server.received();
    assert_eq!(received.len(), 3);
    assert!(received.iter().all(|request| *request == received[0]));
}

#[tokio::test(start_paused = true)]
async fn calls_that_may_not_be_repeated_are_sent_once() {
    let server = Server::start((0..6).map(|_| away())).await;
    let client = server.client().await;
    let without_id = pb::CreateModelRequest {
        request_id: String::new(),
        ..creation()
    };
    let without_session = pb::CreateModelRequest {
        session: String::new(),
        ..creation()
    };
    let import = pb::ImportModelRequest {
        request_id: "once".to_owned(),
        ..Default::default()
    };
    let run = pb::TrainBatchRequest {
        request_id: String::new(),
        ..run()
    };
    let statuses = [
        client.create_model(without_id).await.map(drop),
        client.create_model(without_session).await.map(drop),
        client
            .set_parameters(pb::SetParametersRequest::default())
            .await
            .map(drop),
        client.import_model(import).await.map(drop),
        client
            .delete_model(pb::DeleteModelRequest::default())
            .await
            .map(drop),
        async { client.train_batch(run).await?.completed().await }
            .await
            .map(drop),
    ];
    for status in statuses {
        assert_eq!(
            status.expect_err("one answer each").code(),
            Code::Unavailable
        );
    }
    assert_eq!(server.received().len(), 6);
}

#[tokio::test(start_paused = true)]
async fn reads_are_sent_again() {
    let answer = reply([pb::GetModelResponse::default()]);
    let server = Server::start([away(), answer]).await;
    let read = server
        .client()
        .await
        .get_model(pb::GetModelRequest::default())
        .await;
    assert!(read.is_ok());
    assert_eq!(server.received().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_file_that_broke_off_is_read_again_from_its_start() {
    let piece = |text: &'static str| pb::ExportModelResponse { data: text.into() };
    let broken = reply([piece("weights")]).then_reset();
    let server = Server::start([broken, reply([piece("weights "), piece("whole")])]).await;
    let file = server
        .client()
        .await
        .export_model(pb::ExportModelRequest::default())
        .await;
    assert_eq!(file.expect("the second answer"), b"weights whole");
}

#[tokio::test(start_paused = true)]
async fn a_file_is_sent_in_pieces_and_again_from_its_start() {
    let answer = reply([pb::ImportModelResponse::default()]);
    let server = Server::start([away(), answer]).await;
    let request = pb::ImportModelRequest {
        session: "sessions/lab".to_owned(),
        request_id: "once".to_owned(),
        data: vec![1; 1_000_000].into(),
        ..Default::default()
    };
    server
        .client()
        .await
        .import_model(request)
        .await
        .expect("the second answer");
    let received = server.received();
    assert_eq!(received[0], received[1]);
    // The names, then four pieces.
    let mut rest = &received[1][..];
    let mut sizes = Vec::new();
    while let [_, a, b, c, d, content @ ..] = rest {
        let length = u32::from_be_bytes([*a, *b, *c, *d]) as usize;
        let message: pb::ImportModelRequest =
            prost::Message::decode(&content[..length]).expect("a message");
        sizes.push(message.data.len());
        rest = &content[length..];
    }
    assert_eq!(sizes, [0, 262_144, 262_144, 262_144, 213_568]);
}

#[tokio::test(start_paused = true)]
async fn a_refusal_that_does_not_pass_is_final() {
    for code in [
        Code::Aborted,
        Code::ResourceExhausted,
        Code::Unavailable,
        Code::Unknown,
    ] {
        let server = Server::start([refusal(code, None)]).await;
        let status = server.client().await.create_model(creation()).await;
        assert_eq!(status.expect_err("refused").code(), code);
    }
}

#[tokio::test(start_paused = true)]
async fn the_delay_that_the_server_asks_for_is_kept() {
    let delay = Duration::from_secs(7);
    let script = [refusal(Code::ResourceExhausted, Some(delay)), model()];
    let client = Server::start(script).await.client().await;
    let begun = Instant::now();
    client
        .create_model(creation())
        .await
        .expect("the second answer");
    let waited = begun.elapsed();
    assert!(
        waited >= delay && waited < delay + Duration::from_millis(110),
        "{waited:?}"
    );

    // Longer than the client waits: the refusal is the answer.
    let script = [refusal(Code::Unavailable, Some(Duration::from_secs(11)))];
    let client = Server::start(script).await.client().await;
    let begun = Instant::now();
    client.create_model(creation()).await.expect_err("refused");
    assert_eq!(begun.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn the_number_of_tries_is_limited() {
    let server = Server::start((0..9).map(|_| away())).await;
    let client = server.client().await;
    let begun = Instant::now();
    let status = client
        .create_model(creation())
        .await
        .expect_err("nine refusals");
    assert_eq!(status.code(), Code::Unavailable);
    assert_eq!(server.received().len(), 8);
    let range = Duration::from_secs(6)..Duration::from_secs(14);
    assert!(range.contains(&begun.elapsed()), "{:?}", begun.elapsed());

    let never = client.with_retry(Retry::NEVER);
    never
        .create_model(creation())
        .await
        .expect_err("one refusal");
    assert_eq!(server.received().len(), 9);
}

/// A refusal by a node whose session another node has written.
fn moved() -> Answer {
    let mut details = ErrorDetails::with_error_info("MOVED", "backpropd", []);
    details.set_retry_info(Some(Duration::from_millis(100)));
    refuse(Status::with_error_details(
        Code::Unavailable,
        "refused",
        details,
    ))
}

#[tokio::test(start_paused = true)]
async fn a_call_follows_its_session_to_another_node_for_ten_seconds() {
    // More tries than a call has otherwise.
    let script = (0..12).map(|_| moved()).chain([model()]);
    let server = Server::start(script).await;
    let client = server.client().await;
    client
        .create_model(creation())
        .await
        .expect("the last answer");
    assert_eq!(server.received().len(), 13);

    let server = Server::start((0..99).map(|_| moved())).await;
    let client = server.client().await;
    let begun = Instant::now();
    let status = client.create_model(creation()).await.expect_err("moved");
    assert_eq!(status.code(), Code::Unavailable);
    let range = Duration::from_secs(10)..Duration::from_secs(11);
    assert!(range.contains(&begun.elapsed()), "{:?}", begun.elapsed());

    let tries = server.received().len();
    let never = client.with_retry(Retry::NEVER);
    never.create_model(creation()).await.expect_err("moved");
    assert_eq!(server.received().len(), tries + 1);
}

#[tokio::test(start_paused = true)]
async fn a_run_follows_its_session_to_another_node() {
    let broken = reply([started(0), progress(1)]).then_refuse(moved());
    let script = [broken].into_iter().chain((0..9).map(|_| moved()));
    let server = Server::start(script.chain([rest()])).await;
    let client = server.client().await;
    let mut run = client.train_batch(run()).await.expect("it starts");
    let (events, error) = listen(&mut run).await;
    assert!(error.is_none(), "{error:?}");
    let expected = [
        "started 0",
        "step 1",
        "started 1",
        "step 2",
        "step 3",
        "completed",
    ];
    assert_eq!(events, expected);
    let all = vec![Some("lab".to_owned()); 11];
    assert_eq!(server.sessions(), all);
}

#[tokio::test(start_paused = true)]
async fn every_form_of_a_call_names_its_session() {
    let server = Server::start([
        model(),
        rest(),
        reply([pb::ExportModelResponse::default()]),
        reply([pb::ImportModelResponse::default()]),
        reply([pb::WatchModelResponse::default()]),
        reply([pb::GradientsResponse::default()]),
    ]);
    let server = server.await;
    let client = server.client().await;
    client.create_model(creation()).await.expect("an answer");
    client.train_batch(run()).await.expect("an answer");
    let export = pb::ExportModelRequest {
        name: "sessions/other/models/hw".to_owned(),
    };
    client.export_model(export).await.expect("an answer");
    let import = pb::ImportModelRequest {
        session: "sessions/import".to_owned(),
        ..Default::default()
    };
    client.import_model(import).await.expect("an answer");
    let _watch = watch(client.clone()).await;
    // A network in the request is in no session.
    let gradients = pb::GradientsRequest::default();
    client.gradients(gradients).await.expect("an answer");
    let named = ["lab", "lab", "other", "import", "lab"].map(|id| Some(id.to_owned()));
    assert_eq!(server.sessions()[..5], named);
    assert_eq!(server.sessions()[5], None);
}

#[tokio::test(start_paused = true)]
async fn a_run_continues_after_its_stream_broke_off() {
    let broken = reply([started(0), progress(1), progress(2)]).then_nothing();
    let server = Server::start([broken, away(), rest()]).await;
    let mut run = server
        .client()
        .await
        .train_batch(run())
        .await
        .expect("it starts");
    let (events, error) = listen(&mut run).await;
    assert!(error.is_none(), "{error:?}");
    let before = ["started 0", "step 1", "step 2"];
    let after = ["started 1", "step 2", "step 3", "completed"];
    assert_eq!(events, [&before[..], &after].concat());
    let received = server.received();
    assert_eq!(received.len(), 3);
    assert_eq!(received[0], received[2]);
}

/// The events after the first step was committed.
fn rest() -> Answer {
    reply([started(1), progress(2), progress(3), completed()])
}

#[tokio::test(start_paused = true)]
async fn a_run_continues_after_its_connection_was_cut() {
    let server = Server::start([reply([started(0)]).then_hang(), rest()]).await;
    let mut run = server
        .client()
        .await
        .train_batch(run())
        .await
        .expect("it starts");
    let first = run.next().await.expect("an event");
    assert!(matches!(first, Some(Event::Started(_))));
    server.cut();
    let (events, error) = listen(&mut run).await;
    assert!(error.is_none(), "{error:?}");
    assert_eq!(events, ["started 1", "step 2", "step 3", "completed"]);
}

#[tokio::test(start_paused = true)]
async fn a_call_is_sent_again_after_its_connection_was_cut() {
    let server = Server::start([reply::<pb::CreateModelResponse>([]).then_hang(), model()]).await;
    let client = server.client().await;
    let cut = async {
        while server.received().is_empty() {
            tokio::task::yield_now().await;
        }
        server.cut();
    };
    let (created, ()) = tokio::join!(client.create_model(creation()), cut);
    created.expect("the second answer");
    assert_eq!(server.received().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_run_without_a_request_id_does_not_start_twice() {
    let server = Server::start([reply([started(0)]).then_nothing()]).await;
    let request = pb::TrainBatchRequest {
        request_id: String::new(),
        ..run()
    };
    let mut run = server
        .client()
        .await
        .train_batch(request)
        .await
        .expect("it starts");
    let (events, error) = listen(&mut run).await;
    assert_eq!(events, ["started 0"]);
    assert!(error.is_some());
    assert_eq!(run.next().await.expect("over"), None);
    assert_eq!(server.received().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn only_committed_steps_renew_the_tries_of_a_run() {
    let twice = |client: Client| {
        client.with_retry(Retry {
            attempts: 2,
            ..Retry::default()
        })
    };
    let broken = |resumed| reply([started(resumed), progress(resumed + 1)]).then_nothing();
    let server = Server::start([
        broken(0),
        broken(10),
        broken(20),
        reply([started(29), completed()]),
    ]);
    let server = server.await;
    let run_of =
        |client: Client| async move { client.train_batch(run()).await.expect("it starts") };
    let steps = run_of(twice(server.client().await)).await.completed().await;
    assert_eq!(steps.expect("it advances").step, 30);

    let server = Server::start([broken(0), broken(0)]).await;
    let stuck = run_of(twice(server.client().await)).await.completed().await;
    stuck.expect_err("two tries without a committed step");
    assert_eq!(server.received().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_run_that_the_server_stops_for_good_is_over() {
    let diverged = reply([started(0), progress(1)]);
    let server =
        Server::start([diverged.then_refuse(refusal(Code::FailedPrecondition, None))]).await;
    let mut run = server
        .client()
        .await
        .train_batch(run())
        .await
        .expect("it starts");
    let (events, error) = listen(&mut run).await;
    assert_eq!(events, ["started 0", "step 1"]);
    assert_eq!(error.expect("refused").code(), Code::FailedPrecondition);
    assert_eq!(server.received().len(), 1);
}

fn watched(event: pb::watch_model_response::Event) -> pb::WatchModelResponse {
    pb::WatchModelResponse { event: Some(event) }
}

/// The first event of a watch, of a model at this step.
fn model_at(step: i64) -> pb::WatchModelResponse {
    watched(pb::watch_model_response::Event::Model(pb::Model {
        step,
        ..Default::default()
    }))
}

fn watched_step(step: i64) -> pb::WatchModelResponse {
    let step = pb::StepMetrics {
        step,
        ..Default::default()
    };
    watched(pb::watch_model_response::Event::Progress(pb::Progress {
        steps: vec![step],
    }))
}

async fn watch(client: Client) -> Watch {
    let request = pb::WatchModelRequest {
        model: "sessions/lab/models/hw".to_owned(),
        metrics_every: 5,
    };
    client.watch_model(request).await.expect("it starts")
}

/// The events of a watch as text, and its error.
async fn follow(watch: &mut Watch) -> (Vec<String>, Option<Status>) {
    use pb::watch_model_response::Event;
    let mut events = Vec::new();
    loop {
        match watch.next().await {
            Ok(None) => return (events, None),
            Err(status) => return (events, Some(status)),
            Ok(Some(Event::Model(model))) => events.push(format!("model {}", model.step)),
            Ok(Some(Event::Progress(progress))) => {
                let steps = progress.steps.iter();
                events.extend(steps.map(|step| format!("step {}", step.step)));
            }
            Ok(Some(other)) => panic!("no script has {other:?}"),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_watch_continues_after_broken_streams_until_the_model_is_deleted() {
    let shutdown = refusal(Code::Unavailable, Some(Duration::from_secs(1)));
    let server = Server::start([
        reply([model_at(0), watched_step(1)]).then_nothing(),
        away(),
        reply([model_at(7), watched_step(8)]).then_refuse(shutdown),
        reply([model_at(8), watched_step(9)]),
    ]);
    let server = server.await;
    let mut watch = watch(server.client().await).await;
    let (events, error) = follow(&mut watch).await;
    assert!(error.is_none(), "{error:?}");
    let expected = [
        "model 0", "step 1", "model 7", "step 8", "model 8", "step 9",
    ];
    assert_eq!(events, expected);
    let received = server.received();
    assert_eq!(received.len(), 4);
    assert!(received.iter().all(|request| *request == received[0]));
    assert_eq!(watch.next().await.expect("over"), None);
}

#[tokio::test(start_paused = true)]
async fn a_watch_continues_after_its_connection_was_cut() {
    let idle = reply([model_at(3)]).then_hang();
    let server = Server::start([idle, reply([model_at(3), watched_step(4)])]).await;
    let mut watch = watch(server.client().await).await;
    watch.next().await.expect("an event").expect("not the end");
    server.cut();
    let (events, error) = follow(&mut watch).await;
    assert!(error.is_none(), "{error:?}");
    assert_eq!(events, ["model 3", "step 4"]);
}

#[tokio::test(start_paused = true)]
async fn a_watch_of_a_model_that_is_gone_is_over() {
    let broken = reply([model_at(3)]).then_nothing();
    let server = Server::start([broken, refusal(Code::NotFound, None)]).await;
    let mut watch = watch(server.client().await).await;
    let (events, error) = follow(&mut watch).await;
    assert_eq!(events, ["model 3"]);
    assert_eq!(error.expect("refused").code(), Code::NotFound);
    assert_eq!(watch.next().await.expect("over"), None);
}

#[tokio::test(start_paused = true)]
async fn failures_in_a_row_end_a_watch() {
    let broken = |step| reply([model_at(step)]).then_nothing();
    let server = Server::start((0..9).map(broken)).await;
    let (events, error) = follow(&mut watch(server.client().await).await).await;
    assert_eq!(events.len(), 8);
    error.expect("eight streams without an event of a run");

    let steps = (0..20).map(|step| reply([model_at(step), watched_step(step)]).then_nothing());
    let end = refusal(Code::NotFound, None);
    let server = Server::start(steps.chain([end])).await;
    let (events, _) = follow(&mut watch(server.client().await).await).await;
    assert_eq!(events.len(), 40);
}

#[tokio::test(start_paused = true)]
async fn an_idle_watch_outlives_any_number_of_connections() {
    let idle = (0..20).map(|step| reply([model_at(step)]).then_hang());
    let server = Server::start(idle.chain([refusal(Code::NotFound, None)])).await;
    let mut watch = watch(server.client().await).await;
    for _ in 0..20 {
        watch.next().await.expect("an event").expect("not the end");
        tokio::time::advance(Duration::from_secs(60)).await;
        server.cut();
    }
    assert_eq!(watch.next().await.expect_err("gone").code(), Code::NotFound);
}

#[tokio::test]
async fn an_address_without_a_server_is_reported_with_its_cause() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = free.local_addr().expect("bound").to_string();
    drop(free);
    let error = Client::connect(&address)
        .await
        .expect_err("the port is closed");
    let text = error.to_string();
    assert!(
        text.starts_with(&format!("cannot connect to {address}: ")),
        "{text}"
    );
    assert!(text.contains("refused"), "{text}");
}

/// A caller spawns calls as tasks.
#[test]
fn the_futures_of_a_client_can_move_between_threads() {
    fn is_send(_: impl Send) {}
    let _ = |client: Client, mut run: Run, mut watch: Watch| {
        is_send(client.create_model(creation()));
        is_send(client.import_model(pb::ImportModelRequest::default()));
        is_send(client.train_batch(pb::TrainBatchRequest::default()));
        is_send(async move { run.next().await });
        is_send(client.watch_model(pb::WatchModelRequest::default()));
        is_send(async move { watch.next().await });
    };
}
