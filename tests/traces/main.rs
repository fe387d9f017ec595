//! The program as a process of its own, whose calls a collector sees as spans, or does not.

mod collector;
#[allow(dead_code)] // Shared with the server's tests, which need more of it.
#[path = "../server/fixture.rs"]
mod fixture;

use std::process::{Output, Stdio};
use std::time::{Duration, Instant};

use backpropd::rpc::pb;
use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::net::TcpListener;
use tokio::process::{Child, Command};
use tonic::transport::Channel;
use tonic::{Code, Request, Response, Status};
use tower::ServiceExt as _;

use collector::{Collector, Span, attribute};
use fixture::{PATIENCE, Sessions, Training, homework, homework_parameters, inputs, targets};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const PARENT: &str = "00f067aa0ba902b7";
const SERVICE: &str = "backprop.v1.TrainingService";

/// Numbers of OTLP.
const KIND_SERVER: i32 = 2;
const STATUS_ERROR: i32 = 2;

/// Queued spans are sent at the end alone.
const AT_THE_END: (&str, &str) = ("OTEL_BSP_SCHEDULE_DELAY", "3600000");

fn program(variables: &[(&str, &str)]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_backpropd"));
    let arguments = [
        "serve",
        "--ephemeral",
        "--port",
        "0",
        "--drain-seconds",
        "20",
    ];
    command
        .args(arguments)
        .envs(variables.iter().copied())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    command
}

struct Serving {
    child: Child,
    channel: Channel,
}

impl Serving {
    async fn start(variables: &[(&str, &str)]) -> Self {
        let mut child = program(variables).spawn().expect("it starts");
        let stdout = child.stdout.as_mut().expect("piped");
        let mut line = String::new();
        let mut stdout = BufReader::new(stdout);
        stdout.read_line(&mut line).await.expect("text");
        let (_, address) = line.trim().rsplit_once(' ').expect("it says where");
        let endpoint = Channel::from_shared(format!("http://{address}")).expect("a URL");
        let channel = endpoint.connect().await.expect("it listens");
        Self { child, channel }
    }

    fn training(&self) -> Training {
        Training::new(self.channel.clone())
    }

    /// The homework's model, in a session of this name.
    async fn model(&self, session: &str) -> String {
        let request = pb::CreateSessionRequest {
            session_id: session.to_owned(),
            ..Default::default()
        };
        let mut sessions = Sessions::new(self.channel.clone());
        let created = sessions.create_session(request).await;
        let session = created.expect("a good request").into_inner();
        let request = pb::CreateModelRequest {
            session: session.session.expect("a session").name,
            spec: Some(homework()),
            parameters: homework_parameters(),
            ..Default::default()
        };
        let created = self.training().create_model(request).await;
        let reply = created.expect("a good request").into_inner();
        reply.model.expect("a model").name
    }

    /// Asks it to stop; its log, once it has.
    async fn stop(self) -> String {
        drop(self.channel);
        let id = self.child.id().and_then(|id| i32::try_from(id).ok());
        let id = id.and_then(Pid::from_raw).expect("it runs");
        kill_process(id, Signal::TERM).expect("the process is a child");
        let output = ended(self.child).await;
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stderr).expect("text")
    }
}

async fn ended(child: Child) -> Output {
    let ended = tokio::time::timeout(PATIENCE, child.wait_with_output()).await;
    ended.expect("in time").expect("it ends")
}

fn gradients(model: &str, flags: &str) -> Request<pb::GradientsRequest> {
    let mut request = Request::new(pb::GradientsRequest {
        target: Some(pb::gradients_request::Target::Model(model.to_owned())),
        inputs: Some(inputs()),
        targets: Some(targets()),
        include: vec![pb::Quantity::DW.into()],
        ..Default::default()
    });
    let parent = format!("00-{TRACE}-{PARENT}-{flags}");
    let parent = parent.parse().expect("ASCII");
    request.metadata_mut().insert("traceparent", parent);
    request
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[tokio::test]
async fn each_call_is_a_span_below_its_callers_and_the_last_are_sent_at_the_end() {
    let collector = Collector::start().await;
    let endpoint = format!("http://{}", collector.address);
    let server = Serving::start(&[
        ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", &endpoint),
        (
            "OTEL_RESOURCE_ATTRIBUTES",
            "deployment.environment.name=lab",
        ),
        AT_THE_END,
    ])
    .await;
    let model = server.model("whisper").await;
    let mut client = server.training();
    let sampled = client.gradients(gradients(&model, "01")).await;
    let call = sampled.expect("a good request");
    let call = call.metadata().get("x-request-id").expect("an id");
    let call = call.to_str().expect("a number").to_owned();
    let unsampled = client.gradients(gradients(&model, "00")).await;
    unsampled.expect("a good request");
    let missing = gradients("sessions/whisper/models/none", "01");
    let missing = client.gradients(missing).await.expect_err("no such model");
    assert_eq!(missing.code(), Code::NotFound);
    call_unknown(server.channel.clone()).await;
    drop(client);
    assert!(collector.exports().is_empty(), "they wait");
    server.stop().await;

    let text = String::from_utf8_lossy(&collector.bytes()).to_lowercase();
    assert!(text.contains("gradients") && !text.contains("whisper"));
    let exports = collector.exports();
    let resource = exports[0].resource_spans[0].resource.as_ref();
    let resource = &resource.expect("a resource").attributes;
    let about = |key| attribute(resource, key).expect("said");
    assert_eq!(about("service.name"), "backpropd");
    assert_eq!(about("service.version"), env!("CARGO_PKG_VERSION"));
    assert_eq!(about("deployment.environment.name"), "lab");

    let spans = exports.iter().flat_map(|export| &export.resource_spans);
    let spans = spans.flat_map(|of_resource| &of_resource.scope_spans);
    let spans: Vec<&Span> = spans.flat_map(|of_scope| &of_scope.spans).collect();
    // The creations, two of the three Gradients, and the unknown method.
    assert_eq!(spans.len(), 5, "{spans:#?}");
    let about = |span: &Span, key: &str| attribute(&span.attributes, key);
    let method = format!("{SERVICE}/Gradients");
    let in_trace = spans.iter().filter(|span| hex(&span.trace_id) == TRACE);
    let in_trace: Vec<_> = in_trace.collect();
    assert_eq!(in_trace.len(), 2, "{spans:#?}");
    for (span, (code, number)) in in_trace.into_iter().zip([("OK", "0"), ("NOT_FOUND", "5")]) {
        assert_eq!((&span.name, span.kind), (&method, KIND_SERVER));
        assert_eq!(hex(&span.parent_span_id), PARENT);
        assert!(span.start < span.end && span.end - span.start < 30_000_000_000);
        for (key, value) in [
            ("rpc.system.name", "grpc"),
            ("rpc.system", "grpc"),
            ("rpc.service", SERVICE),
            ("rpc.method", &method),
            ("rpc.response.status_code", code),
            ("rpc.grpc.status_code", number),
        ] {
            assert_eq!(about(span, key).as_deref(), Some(value), "{key}");
        }
        // A mistake of the client is no failure of the server.
        assert_eq!(span.status.as_ref().map_or(0, |status| status.code), 0);
    }
    let called = |span: &&&Span| about(span, "backpropd.call").as_ref() == Some(&call);
    let span = spans.iter().find(called).expect("the first Gradients");
    assert_eq!(hex(&span.trace_id), TRACE);
    let unknown = spans.iter().find(|span| span.name == "_OTHER");
    let unknown = unknown.expect("the unknown method");
    assert_eq!(unknown.parent_span_id, Vec::<u8>::new());
    let status = unknown.status.as_ref().expect("an error");
    assert_eq!((status.code, &*status.message), (STATUS_ERROR, ""));
    assert_eq!(
        about(unknown, "error.type").as_deref(),
        Some("UNIMPLEMENTED")
    );
}

/// Calls a method that the server does not have.
async fn call_unknown(channel: Channel) {
    let request = http::Request::post("/backprop.v1.TrainingService/Whisper")
        .header("content-type", "application/grpc")
        .body(tonic::body::Body::empty());
    let reply = channel.oneshot(request.expect("a request")).await;
    let reply = reply.expect("it answers");
    let status = Status::from_header_map(reply.headers()).expect("a status");
    assert_eq!(status.code(), Code::Unimplemented);
}

#[tokio::test]
async fn the_name_of_the_service_and_the_sampler_are_the_operators() {
    let collector = Collector::start().await;
    let endpoint = format!("http://{}", collector.address);
    for sampler in ["always_on", "always_off"] {
        let server = Serving::start(&[
            ("OTEL_EXPORTER_OTLP_ENDPOINT", &endpoint),
            ("OTEL_SERVICE_NAME", "course"),
            ("OTEL_TRACES_SAMPLER", sampler),
            AT_THE_END,
        ])
        .await;
        server.model("lab").await;
        server.stop().await;
    }
    let exports = collector.exports();
    assert_eq!(exports.len(), 1, "of always_on: {exports:#?}");
    let resource = exports[0].resource_spans[0].resource.as_ref();
    let name = attribute(&resource.expect("a resource").attributes, "service.name");
    assert_eq!(name.as_deref(), Some("course"));
}

/// A reply, but for the time that it took.
fn content(reply: Response<pb::GradientsResponse>) -> pb::GradientsResponse {
    pb::GradientsResponse {
        timings: None,
        ..reply.into_inner()
    }
}

/// A port at which nobody listens, and one at which nobody answers.
#[tokio::test]
async fn a_collector_that_does_not_answer_changes_no_reply_and_costs_one_line() {
    const CALLS: usize = 300;
    let silent = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let closed = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let addresses = [&silent, &closed].map(|listener| listener.local_addr().expect("bound"));
    drop(closed);
    let server = Serving::start(&[]).await;
    let model = server.model("lab").await;
    let expected = server.training().gradients(gradients(&model, "01")).await;
    let expected = content(expected.expect("a good request"));
    server.stop().await;
    for address in addresses {
        let endpoint = format!("http://{address}");
        let server = Serving::start(&[
            ("OTEL_EXPORTER_OTLP_ENDPOINT", &endpoint),
            ("OTEL_EXPORTER_OTLP_TIMEOUT", "100"),
            ("OTEL_BSP_SCHEDULE_DELAY", "1"),
            ("OTEL_BSP_MAX_QUEUE_SIZE", "8"),
            ("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "1"),
        ])
        .await;
        let model = server.model("lab").await;
        let mut client = server.training();
        for _ in 0..CALLS {
            let reply = client.gradients(gradients(&model, "01")).await;
            assert_eq!(content(reply.expect("a good request")), expected);
        }
        drop(client);
        let asked = Instant::now();
        let log = server.stop().await;
        assert!(
            asked.elapsed() < Duration::from_secs(10),
            "a short last try"
        );
        let told = log.lines().filter(|line| line.contains("collector"));
        // The second is about the last try.
        let told: Vec<&str> = told.collect();
        assert!((1..=2).contains(&told.len()), "{log}");
        assert!(
            told[0].contains("WARN") && told[0].contains("do not reach"),
            "{log}"
        );
    }
}

#[tokio::test]
async fn variables_that_cannot_be_used_are_all_named_at_the_start() {
    let wrong = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4317"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf"),
        ("OTEL_TRACES_SAMPLER", "sometimes"),
    ];
    let output = ended(program(&wrong).spawn().expect("it starts")).await;
    assert_eq!(output.status.code(), Some(1));
    assert!(output.stdout.is_empty(), "it does not serve");
    let text = String::from_utf8(output.stderr).expect("text");
    for (variable, value) in wrong {
        assert!(text.contains(&format!("{variable} = {value:?}")), "{text}");
    }
    let absent = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "https://localhost:4317"),
        ("OTEL_EXPORTER_OTLP_CERTIFICATE", "absent.pem"),
    ];
    let output = ended(program(&absent).spawn().expect("it starts")).await;
    let text = String::from_utf8(output.stderr).expect("text");
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains("\"absent.pem\""), "{text}");
}
