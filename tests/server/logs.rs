//! What the log tells: who called, and nothing that gives access.

use std::cell::RefCell;
use std::io;
use std::rc::Rc;
use std::sync::Once;

use backpropd_identity::Role;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tonic::Code;
use tracing::{Level, Metadata};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::fixture::{Server, create_in, create_session, get, homework, run, train};
use crate::http2::{DATA, END_HEADERS, END_STREAM, HEADERS, call, connect, frame, message_header};
use crate::identity::wire::call as call_as;
use crate::identity::{Keys, furnish, token};

thread_local! {
    /// What the test on this thread reads, if it reads the log.
    static LOG: RefCell<Option<(Level, Log)>> = const { RefCell::new(None) };
}

/// The log of this test's thread, on which its server runs as well.
#[derive(Clone, Default)]
pub struct Log(Rc<RefCell<Vec<u8>>>);

/// Where a line of the log goes: to the test on the thread that writes it.
struct ByThread;

impl<'a> MakeWriter<'a> for ByThread {
    type Writer = Box<dyn io::Write>;

    fn make_writer(&'a self) -> Self::Writer {
        Box::new(io::sink())
    }

    fn make_writer_for(&'a self, line: &Metadata<'_>) -> Self::Writer {
        LOG.with_borrow(|log| match log {
            Some((most, log)) if line.level() <= most => Box::new(log.clone()),
            Some(_) | None => self.make_writer(),
        })
    }
}

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.borrow_mut().extend(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Log {
    /// The lines of this thread from now on, up to `level`. One subscriber serves all threads: whether a line is enabled is
    /// remembered for the whole process, so that subscribers of single threads would miss lines.
    pub fn start(level: Level) -> Self {
        static SUBSCRIBER: Once = Once::new();
        SUBSCRIBER.call_once(|| {
            let lines = tracing_subscriber::fmt::layer()
                .with_ansi(false)
                .with_writer(ByThread);
            let ours = Targets::new()
                .with_target("backpropd", Level::DEBUG)
                .with_target("audit", Level::INFO);
            tracing_subscriber::registry().with(lines).with(ours).init();
        });
        let log = Self::default();
        LOG.set(Some((level, log.clone())));
        log
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.borrow()).into_owned()
    }
}

#[tokio::test]
async fn the_audit_has_changes_denials_and_looks_at_other_peoples_sessions() {
    let log = Log::start(Level::INFO);
    let keys = Keys::new();
    let server = keys.server().await;
    let alice = token("alice", Role::Student);
    furnish(&server, &alice, "lab").await;
    let get = [json!({"name": "sessions/lab/models/m"})];
    let method = "TrainingService/GetModel";
    let bob = token("bob", Role::Student);
    let carol = token("carol", Role::Instructor);
    for token in [
        Some(&*alice),
        Some(&*bob),
        Some(&*carol),
        None,
        Some("a.secret.token"),
    ] {
        call_as(server.address, method, &get, token).await;
    }
    // Through a model of one's own.
    furnish(&server, &carol, "hers").await;
    let foreign = [
        json!({"model": "sessions/hers/models/m", "dataset": {"dataset": "sessions/lab/datasets/d"}}),
    ];
    let method = "TrainingService/Evaluate";
    call_as(server.address, method, &foreign, Some(&carol)).await;
    server.stop().await;
    let text = log.text();
    let audit = text.lines().filter(|line| line.contains(" audit: "));
    let audit: Vec<&str> = audit.collect();
    let has = |parts: &[&str]| {
        let has = |line: &&&str| parts.iter().all(|part| line.contains(part));
        audit.iter().filter(has).count()
    };
    assert_eq!(
        has(&[
            "CreateSession",
            "sub=\"alice\"",
            "role=\"student\"",
            "code=Ok",
            "sessions/lab",
            "127.0.0.1"
        ]),
        1,
        "{text}"
    );
    assert_eq!(
        has(&[
            "TrainBatch",
            "sub=\"alice\"",
            "resource=sessions/lab/models/m"
        ]),
        1,
        "{text}"
    );
    let own = has(&["GetModel", "sub=\"alice\""]);
    assert_eq!(own, 0, "a look at one's own: {text}");
    assert_eq!(
        has(&[
            "GetModel",
            "sub=\"bob\"",
            "code=PermissionDenied",
            "sessions/lab"
        ]),
        1,
        "{text}"
    );
    assert_eq!(
        has(&[
            "GetModel",
            "sub=\"carol\"",
            "role=\"instructor\"",
            "code=Ok",
            "sessions/lab"
        ]),
        1,
        "{text}"
    );
    assert_eq!(
        has(&[
            "Evaluate",
            "sub=\"carol\"",
            "code=Ok",
            "resource=sessions/hers/models/m sessions/lab"
        ]),
        1,
        "{text}"
    );
    let nameless = has(&["GetModel", "sub=\"\"", "code=Unauthenticated"]);
    assert_eq!(nameless, 2, "{text}");
    for secret in [&*alice, "a.secret.token", "0.001"] {
        assert!(!text.contains(secret), "{text}");
    }
    for line in text.lines().filter(|line| !line.contains(" audit: ")) {
        assert!(
            !line.contains("alice") && !line.contains("sessions/lab"),
            "{line}"
        );
    }
}

#[tokio::test]
async fn a_line_names_the_peer_and_the_model_and_no_session() {
    let log = Log::start(Level::INFO);
    let server = Server::start().await;
    let session = create_session(&server, "secret-ada").await.expect("made");
    let model = create_in(&server, &session, homework())
        .await
        .expect("made");
    let mut client = server.training().await;
    run(&mut client, train(&model, 3)).await.expect("it runs");
    let missing = "sessions/secret-eve/models/iris";
    let status = get(&mut client, missing).await.expect_err("there is none");
    assert_eq!(status.code(), Code::NotFound);
    let text = log.text();
    assert!(!text.contains("secret"), "{text}");
    let calls: Vec<_> = text
        .lines()
        .filter(|line| line.contains("call ended"))
        .collect();
    assert!(calls.len() >= 3, "{text}");
    for line in &calls {
        assert!(line.contains("peer=\"127.0.0.1:"), "{line}");
    }
    let of_model = calls.iter().filter(|line| line.contains("/models/"));
    let tags: Vec<_> = of_model
        .filter_map(|line| line.split_once("model=\"").map(|(_, rest)| &rest[..9]))
        .collect();
    assert!(
        tags.len() >= 3 && tags.iter().all(|tag| tag.starts_with('#')),
        "{tags:?}"
    );
}

#[tokio::test]
async fn debugging_tells_which_session_a_tag_is_for() {
    let log = Log::start(Level::DEBUG);
    let server = Server::start().await;
    let session = create_session(&server, "secret-ada").await.expect("made");
    create_in(&server, &session, homework())
        .await
        .expect("made");
    let text = log.text();
    let told = text
        .lines()
        .any(|line| line.contains("sessions/secret-ada/models/") && line.contains("tag=#"));
    assert!(told, "{text}");
}

#[tokio::test]
async fn a_method_of_the_callers_choosing_fills_no_more_than_a_line() {
    let log = Log::start(Level::INFO);
    let server = Server::start().await;
    let mut stream = connect(&server, &[]).await;
    // In one header block a text of this length takes two bytes more for its length.
    let path = format!("/{}", "x".repeat(120));
    let mut frames = Vec::new();
    for (index, long) in [false, true].into_iter().enumerate() {
        let id = 2 * u32::try_from(index).expect("small") + 1;
        let block = if long { long_call(14_000) } else { call(&path) };
        frames.extend(frame(HEADERS, END_HEADERS, id, &block));
        frames.extend(frame(DATA, END_STREAM, id, &message_header(0)));
    }
    stream.write_all(&frames).await.expect("it is taken");
    let mut said = [0; 1 << 12];
    while log
        .text()
        .lines()
        .filter(|line| line.contains("call ended"))
        .count()
        < 2
    {
        assert!(stream.read(&mut said).await.expect("it is open") > 0);
    }
    for line in log.text().lines() {
        assert!(line.len() <= 1024, "{} bytes: {line}", line.len());
    }
}

/// The header list of a call of a method of so many letters.
fn long_call(letters: usize) -> Vec<u8> {
    let mut block = call("/x");
    let at = block
        .windows(4)
        .position(|bytes| bytes == [0x04, 2, b'/', b'x']);
    let at = at.expect("the path's literal");
    let mut path = vec![0x04, 127];
    let mut rest = letters - 127;
    while rest >= 128 {
        path.push(u8::try_from(rest % 128).expect("seven bits") | 0x80);
        rest /= 128;
    }
    path.push(u8::try_from(rest).expect("seven bits"));
    path.push(b'/');
    path.extend(std::iter::repeat_n(b'x', letters - 1));
    block.splice(at..at + 4, path);
    block
}
