//! The operator's port: probes, health and metrics.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use backpropd::config::Config;
use backpropd::rpc::pb;
use backpropd::server::{self, ops::Ops};
use pb::grading_service_client::GradingServiceClient;
use pb::session_service_client::SessionServiceClient;
use pb::training_service_client::TrainingServiceClient;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tonic::transport::{Channel, Endpoint};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

use crate::fixture::{FOREVER, PATIENCE, create_homework, train, under_way};
use crate::http2::{DATA, END_HEADERS, HEADERS, SETTINGS, call, frame, message_header};

const LOOPBACK: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 0);

/// A server with an operator's port.
struct Operated {
    ops: SocketAddr,
    address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    served: JoinHandle<()>,
}

impl Operated {
    async fn start() -> Self {
        let ops = Ops::listen(LOOPBACK).await.expect("a free port");
        Self::on(ops).await
    }

    async fn on(ops: Ops) -> Self {
        Self::with(ops, |_| ()).await
    }

    async fn with(ops: Ops, change: impl FnOnce(&mut Config)) -> Self {
        let mut config = Config {
            threads: 2,
            drain_seconds: 1,
            ..Config::default()
        };
        change(&mut config);
        let listener = TcpListener::bind(LOOPBACK).await.expect("a free port");
        let (address, port) = (listener.local_addr().expect("bound"), ops.address());
        let server = server::open(config).expect("it opens").with_ops(ops);
        let (stop, stopped) = oneshot::channel::<()>();
        let served = tokio::spawn(async move {
            let stopped = async {
                let _ = stopped.await;
            };
            server.serve(listener, stopped).await.expect("it serves");
        });
        let operated = Self {
            ops: port,
            address,
            stop: Some(stop),
            served,
        };
        while get(port, "/readyz").await.0 != 200 {
            tokio::task::yield_now().await;
        }
        operated
    }

    async fn channel(&self) -> Channel {
        let endpoint = Endpoint::from_shared(format!("http://{}", self.address)).expect("a URL");
        endpoint.connect().await.expect("it answers")
    }
}

/// The status and the body of an answer to GET.
async fn get(address: SocketAddr, path: &str) -> (u16, String) {
    let (status, _, body) = ask(address, "GET", path, "").await;
    (status, body)
}

async fn ask(
    address: SocketAddr,
    method: &str,
    path: &str,
    headers: &str,
) -> (u16, String, String) {
    let mut stream = TcpStream::connect(address).await.expect("it listens");
    let request =
        format!("{method} {path} HTTP/1.1\r\nhost: ops\r\nconnection: close\r\n{headers}\r\n");
    stream.write_all(request.as_bytes()).await.expect("sent");
    let mut answer = String::new();
    let read = stream.read_to_string(&mut answer);
    tokio::time::timeout(PATIENCE, read)
        .await
        .expect("in time")
        .expect("UTF-8");
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head and a body");
    let status = head
        .split(' ')
        .nth(1)
        .expect("a status")
        .parse()
        .expect("a number");
    (status, head.to_lowercase(), body.to_owned())
}

/// Every series with its value.
async fn series(address: SocketAddr) -> BTreeMap<String, f64> {
    let (status, body) = get(address, "/metrics").await;
    assert_eq!(status, 200, "{body}");
    let lines = body.lines().filter(|line| !line.starts_with('#'));
    let series = lines.map(|line| {
        let (name, value) = line.rsplit_once(' ').expect("a value");
        (name.to_owned(), value.parse().expect("a number"))
    });
    series.collect()
}

#[tokio::test]
async fn readiness_and_health_follow_the_server_and_liveness_does_not() {
    let ops = Ops::listen(LOOPBACK).await.expect("a free port");
    let port = ops.address();
    let (status, reasons) = get(port, "/readyz").await;
    assert_eq!((status, reasons.lines().count()), (503, 1), "{reasons}");
    assert!(reasons.starts_with("recovery: "), "{reasons}");
    assert_eq!(get(port, "/livez").await.0, 200);
    assert_eq!(get(port, "/metrics").await.0, 503);
    assert_eq!(health(port).await, ServingStatus::NotServing);

    let mut server = Operated::on(ops).await;
    assert_eq!(get(port, "/readyz").await, (200, "ready\n".to_owned()));
    assert_eq!(health(port).await, ServingStatus::Serving);

    // A call that goes on holds the shutdown up until `drain_seconds` have passed.
    let mut held = TcpStream::connect(server.address)
        .await
        .expect("it listens");
    let mut half = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    half.extend(frame(SETTINGS, 0, 0, &[]));
    let path = "/backprop.v1.TrainingService/Gradients";
    half.extend(frame(HEADERS, END_HEADERS, 1, &call(path)));
    half.extend(frame(DATA, 0, 1, &message_header(1000)));
    held.write_all(&half).await.expect("it is taken");
    while series(port).await["backpropd_in_flight_bytes"] == 0.0 {
        tokio::task::yield_now().await;
    }
    server.stop.take().expect("once").send(()).expect("it runs");
    let draining = loop {
        let (status, reasons) = get(port, "/readyz").await;
        if status == 503 {
            break reasons;
        }
        tokio::task::yield_now().await;
    };
    assert!(draining.starts_with("shutdown: "), "{draining}");
    assert_eq!(health(port).await, ServingStatus::NotServing);
    assert_eq!(get(port, "/livez").await.0, 200);
    drop(held);
    server.served.await.expect("it ends");
    TcpStream::connect(port)
        .await
        .expect_err("the port is closed");
}

async fn health(address: SocketAddr) -> ServingStatus {
    let endpoint = Endpoint::from_shared(format!("http://{address}")).expect("a URL");
    let channel = endpoint.connect().await.expect("it answers");
    let request = HealthCheckRequest {
        service: "backprop.v1.TrainingService".to_owned(),
    };
    let reply = HealthClient::new(channel).check(request).await;
    reply
        .expect("health over HTTP/2 without TLS")
        .into_inner()
        .status()
}

#[tokio::test]
async fn every_series_is_there_before_the_first_call() {
    let server = Operated::start().await;
    let series = series(server.ops).await;
    for name in [
        "backpropd_steps_total",
        "backpropd_runs{state=\"waiting\"}",
        "backpropd_runs{state=\"running\"}",
        "backpropd_queue_wait_seconds_count",
        "backpropd_busy_threads",
        "backpropd_sessions",
        "backpropd_models{resident=\"true\"}",
        "backpropd_models{resident=\"false\"}",
        "backpropd_parameter_bytes",
        "backpropd_in_flight_bytes",
        "backpropd_connections",
        "backpropd_log_bytes",
        "backpropd_fsync_seconds_bucket{le=\"+Inf\"}",
        "backpropd_disk_errors_total",
        "backpropd_refused_total{reason=\"QUEUE_FULL\"}",
        "backpropd_auth_failures_total{reason=\"expired\"}",
        "backpropd_graded_total{verdict=\"CORRECT\"}",
        "backpropd_ready",
        "process_start_time_seconds",
        "rpc_server_call_duration_seconds_count{rpc_method=\"_OTHER\",rpc_response_status_code=\"OK\"}",
        "rpc_server_call_duration_seconds_count{rpc_method=\"backprop.v1.TrainingService/Gradients\",\
         rpc_response_status_code=\"OK\"}",
    ] {
        assert!(series.contains_key(name), "{name}");
    }
    for mistake in backpropd::grade::Mistake::ALL {
        let name = format!("backpropd_mistakes_total{{mistake=\"{}\"}}", mistake.word());
        assert_eq!(series.get(&name), Some(&0.0), "{name}");
    }
    assert!(series["backpropd_tls_certificate_expiry_seconds"].is_nan());
    assert_eq!(series["backpropd_threads"], 2.0);
}

#[tokio::test]
async fn calls_steps_runs_and_models_are_counted_and_nobody_is_named() {
    let server = Operated::start().await;
    let channel = server.channel().await;
    let mut training = TrainingServiceClient::new(channel.clone());
    let model = create_homework(&mut training).await;
    let (_, mut events) = under_way(&mut training, train(&model, FOREVER)).await;
    let during = series(server.ops).await;
    assert_eq!(during["backpropd_runs{state=\"running\"}"], 1.0);
    assert_eq!(during["backpropd_connections"], 1.0);
    assert_eq!(during["backpropd_models{resident=\"true\"}"], 1.0);
    let bytes = during["backpropd_parameter_bytes"];
    assert!(bytes > 0.0, "{bytes}");
    let stop = pb::StopTrainingRequest {
        model: model.name.clone(),
        ..pb::StopTrainingRequest::default()
    };
    training.stop_training(stop).await.expect("it trains");
    while events.message().await.is_ok_and(|event| event.is_some()) {}
    let missing = pb::GetModelRequest {
        name: "sessions/nobody/models/m".to_owned(),
    };
    training
        .get_model(missing)
        .await
        .expect_err("there is none");
    drop(training);
    drop(channel);

    let after = series(server.ops).await;
    assert_eq!(after["backpropd_runs{state=\"running\"}"], 0.0);
    assert_eq!(after["backpropd_runs{state=\"waiting\"}"], 0.0);
    assert!(after["backpropd_steps_total"] > 0.0);
    assert!(after["backpropd_queue_wait_seconds_count"] >= 1.0);
    assert_eq!(after["backpropd_refused_total{reason=\"NOT_FOUND\"}"], 1.0);
    let count = |method: &str, code: &str| {
        format!(
            "rpc_server_call_duration_seconds_count{{rpc_method=\"backprop.v1.{method}\",rpc_response_status_code=\"{code}\"}}"
        )
    };
    assert_eq!(after[&count("TrainingService/GetModel", "NOT_FOUND")], 1.0);
    assert_eq!(after[&count("TrainingService/CreateModel", "OK")], 1.0);
    assert_eq!(after[&count("TrainingService/TrainBatch", "ABORTED")], 1.0);
    let (_, text) = get(server.ops, "/metrics").await;
    let session = model.name.split('/').nth(1).expect("a session");
    assert!(
        !text.contains(session) && !text.contains("nobody"),
        "{text}"
    );
}

#[tokio::test]
async fn mistakes_are_counted_even_where_students_may_not_see_them() {
    let server = Operated::start().await;
    let mut grading = GradingServiceClient::new(server.channel().await);
    let answers = [
        ("1.1", r"\delta h^2_{1,1}"),
        ("1.11", r"\delta W^{3\top} h^1"),
        ("1.3", r"\delta \frac{h^2"),
    ];
    let answers = answers.map(|(id, answer)| (id.to_owned(), answer.to_owned()));
    let request = pb::GradeFormulasRequest {
        assignment: "hw-backprop".to_owned(),
        answers: answers.into(),
        reveal: pb::Reveal::Verdict.into(),
        ..pb::GradeFormulasRequest::default()
    };
    let reply = grading.grade_formulas(request).await.expect("graded");
    let report = reply.into_inner().report.expect("a report");
    let wrong = report
        .questions
        .iter()
        .find(|question| question.id == "1.11");
    assert_eq!(
        wrong.expect("it is graded").mistake(),
        pb::Mistake::Unspecified
    );
    let series = series(server.ops).await;
    let one = [
        "backpropd_graded_total{verdict=\"CORRECT\"}",
        "backpropd_graded_total{verdict=\"INCORRECT\"}",
        "backpropd_graded_total{verdict=\"INVALID\"}",
        "backpropd_mistakes_total{mistake=\"MISSING_MASK\"}",
        "backpropd_mistakes_total{mistake=\"SYNTAX_ERROR\"}",
    ];
    for name in one {
        assert_eq!(
            series[name], 1.0,
            "{name}: questions without an answer do not count"
        );
    }
}

#[tokio::test]
async fn the_format_is_the_one_that_the_scraper_asks_for() {
    let server = Operated::start().await;
    let (_, head, plain) = ask(server.ops, "GET", "/metrics", "").await;
    assert!(head.contains("text/plain; version=0.0.4"), "{head}");
    assert!(!plain.contains("# EOF"), "{plain}");
    let accept = "accept: application/openmetrics-text;version=1.0.0;q=0.5,text/plain;q=0.2\r\n";
    let (_, head, open) = ask(server.ops, "GET", "/metrics", accept).await;
    assert!(
        head.contains("application/openmetrics-text; version=1.0.0"),
        "{head}"
    );
    assert!(open.ends_with("# EOF\n"), "{open}");
}

#[tokio::test]
async fn other_paths_methods_and_calls_are_refused() {
    let server = Operated::start().await;
    assert_eq!(get(server.ops, "/").await.0, 404);
    assert_eq!(
        ask(server.ops, "POST", "/metrics", "content-length: 0\r\n")
            .await
            .0,
        405
    );
    let (status, _, body) = ask(server.ops, "HEAD", "/readyz", "").await;
    assert_eq!((status, body.as_str()), (200, ""));
    // The services of the clients' port are not here.
    let endpoint = Endpoint::from_shared(format!("http://{}", server.ops)).expect("a URL");
    let mut sessions = SessionServiceClient::new(endpoint.connect().await.expect("HTTP/2"));
    sessions
        .list_sessions(pb::ListSessionsRequest::default())
        .await
        .expect_err("no such service here");
}

#[tokio::test]
async fn silent_connections_keep_no_probe_out() {
    let server = Operated::start().await;
    let mut silent = Vec::new();
    for _ in 0..200 {
        silent.push(TcpStream::connect(server.ops).await.expect("it listens"));
    }
    let probe = tokio::time::timeout(Duration::from_secs(5), get(server.ops, "/readyz"));
    assert_eq!(probe.await.expect("in time").0, 200);
    let mut byte = [0];
    let first = tokio::time::timeout(PATIENCE, silent[0].read(&mut byte)).await;
    assert!(
        matches!(first, Ok(Ok(0) | Err(_))),
        "the oldest is closed: {first:?}"
    );
}

/// The names, labels and meanings of all metrics, as a Markdown table.
fn table(text: &str) -> String {
    let mut table = String::from("| Metric | Type | Labels | Meaning |\n|---|---|---|---|\n");
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        let Some((name, help)) = line
            .strip_prefix("# HELP ")
            .and_then(|line| line.split_once(' '))
        else {
            continue;
        };
        let kind = lines
            .next()
            .and_then(|line| line.rsplit_once(' '))
            .expect("a type")
            .1;
        let series = lines.peek().copied().unwrap_or_default();
        let labels = series
            .split_once('{')
            .and_then(|(_, labels)| labels.split_once('}'));
        let labels = labels.map_or("", |(labels, _)| labels).split(',');
        let labels = labels
            .filter_map(|label| label.split_once('='))
            .map(|(label, _)| label);
        let labels: Vec<_> = labels
            .filter(|label| *label != "le")
            .map(|label| format!("`{label}`"))
            .collect();
        table += &format!(
            "| `{name}` | {kind} | {} | {} |\n",
            labels.join(", "),
            help.trim_end_matches('.')
        );
    }
    table
}

#[tokio::test]
async fn the_documentation_lists_every_metric() {
    let server = Operated::start().await;
    let (_, text) = get(server.ops, "/metrics").await;
    let expected = table(&text);
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/operations.md");
    let page = std::fs::read_to_string(&path).expect("the page is part of the repository");
    let (before, rest) = page
        .split_once("<!-- metrics -->\n")
        .expect("the block begins");
    let (block, after) = rest
        .split_once("<!-- /metrics -->")
        .expect("the block ends");
    if std::env::var_os("UPDATE").is_some() {
        let page = format!("{before}<!-- metrics -->\n{expected}<!-- /metrics -->{after}");
        std::fs::write(&path, page).expect("docs/ is writable");
        return;
    }
    let advice =
        "docs/operations.md is stale: run `UPDATE=1 cargo test --test server every_metric`";
    assert!(block == expected, "{advice}");
}

#[tokio::test]
async fn refused_credentials_are_counted_by_reason() {
    let folder = tempfile::tempdir().expect("a folder");
    let secret = folder.path().join("secret");
    std::fs::write(&secret, "a secret of thirty-two bytes or more\n").expect("written");
    let ops = Ops::listen(LOOPBACK).await.expect("a free port");
    let server = Operated::with(ops, |config| {
        config.auth_secret_file = secret.to_str().expect("text").to_owned();
    })
    .await;
    let mut sessions = SessionServiceClient::new(server.channel().await);
    for token in [None, Some("Bearer no.token.atall"), Some("Basic YTpi")] {
        let mut request = tonic::Request::new(pb::ListSessionsRequest::default());
        if let Some(token) = token {
            let value = token.parse().expect("a header");
            request.metadata_mut().insert("authorization", value);
        }
        let refused = sessions.list_sessions(request).await;
        refused.expect_err("nobody comes in without a token");
    }
    let series = series(server.ops).await;
    let count =
        |reason: &str| series[&format!("backpropd_auth_failures_total{{reason=\"{reason}\"}}")];
    assert_eq!((count("missing"), count("malformed")), (1.0, 2.0));
    assert_eq!(
        series["backpropd_refused_total{reason=\"TOKEN_MISSING\"}"],
        1.0
    );
}

#[tokio::test]
async fn the_certificate_shows_when_it_expires() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_backpropd"));
    let init = command
        .current_dir(folder.path())
        .args(["tls-init", "--days", "30"])
        .output();
    assert!(init.expect("it runs").status.success());
    let file = |name: &str| {
        let file = folder.path().join("tls").join(name);
        file.to_str().expect("text").to_owned()
    };
    let ops = Ops::listen(LOOPBACK).await.expect("a free port");
    let server = Operated::with(ops, |config| {
        config.tls_cert_file = file("server.crt");
        config.tls_key_file = file("server.key");
    })
    .await;
    let name = "backpropd_tls_certificate_expiry_seconds";
    let left = loop {
        let left = series(server.ops).await[name];
        if !left.is_nan() {
            break left;
        }
        tokio::task::yield_now().await;
    };
    assert!((29.0..=30.1).contains(&(left / 86_400.0)), "{left}");
}
