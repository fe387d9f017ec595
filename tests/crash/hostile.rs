//! Clients that do their worst, each kind in a loop until it is stopped or the server dies.

use std::fmt;
use std::ops::AddAssign;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use backpropd::rpc::pb;
use pb::grading_service_client::GradingServiceClient;
use pb::session_service_client::SessionServiceClient;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::fixture::{Training, homework, layer, numbers, tensor, train};
use crate::http2::{self, DATA, END_HEADERS, END_STREAM, HEADERS, SETTINGS, frame, message_header};
use crate::random::Random;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// A call that is left this soon is left at any point of its way, in microseconds.
const SOON: u64 = 3_000;

/// Silent connections of one attack.
const SILENT: usize = 100;

/// Attacks of one server.
pub struct Attack {
    tasks: JoinSet<()>,
    made: Arc<Made>,
}

#[derive(Default)]
struct Made {
    calls: AtomicU64,
    connections: AtomicU64,
}

/// How much was done.
#[derive(Clone, Copy, Debug, Default)]
pub struct Count {
    calls: u64,
    connections: u64,
}

impl AddAssign for Count {
    fn add_assign(&mut self, other: Self) {
        self.calls += other.calls;
        self.connections += other.connections;
    }
}

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { calls, connections } = self;
        write!(
            f,
            "{calls} hostile calls and {connections} hostile connections"
        )
    }
}

impl Attack {
    /// Ends all of them.
    pub async fn stop(mut self) -> Count {
        self.tasks.shutdown().await;
        Count {
            calls: self.made.calls.load(Ordering::Relaxed),
            connections: self.made.connections.load(Ordering::Relaxed),
        }
    }
}

/// Begins to attack the server at `address`.
pub fn attack(address: &str, seed: u64) -> Attack {
    let made = Arc::new(Made::default());
    let mut tasks = JoinSet::new();
    let target = |kind| Target {
        address: address.to_owned(),
        made: Arc::clone(&made),
        random: Random(seed * 100 + kind),
    };
    tasks.spawn(target(0).long_formulas());
    tasks.spawn(target(1).many_tensors());
    tasks.spawn(target(2).sessions());
    tasks.spawn(target(3).left_calls());
    tasks.spawn(target(4).left_deletions());
    tasks.spawn(target(5).silence());
    tasks.spawn(target(6).small_frames());
    tasks.spawn(target(7).untaken_replies());
    tasks.spawn(target(8).noise());
    Attack { tasks, made }
}

struct Target {
    address: String,
    made: Arc<Made>,
    random: Random,
}

impl Target {
    fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    fn called(&self) {
        self.made.calls.fetch_add(1, Ordering::Relaxed);
    }

    async fn open(&self) -> Option<TcpStream> {
        self.made.connections.fetch_add(1, Ordering::Relaxed);
        TcpStream::connect(&self.address).await.ok()
    }

    /// A connection that has said the preface, and lets a stream send `window` bytes.
    async fn connect(&self, window: u32) -> Option<TcpStream> {
        let mut stream = self.open().await?;
        let mut payload = 4_u16.to_be_bytes().to_vec();
        payload.extend(window.to_be_bytes());
        let mut hello = PREFACE.to_vec();
        hello.extend(frame(SETTINGS, 0, 0, &payload));
        stream.write_all(&hello).await.ok()?;
        Some(stream)
    }

    /// Answers that are flat and long.
    async fn long_formulas(mut self) {
        let Ok(mut grading) = GradingServiceClient::connect(self.url()).await else {
            return;
        };
        loop {
            const OPERATORS: [&str; 6] = [" ", " \\odot ", " + ", " / ", " @ ", "^\\top "];
            let operator = OPERATORS[self.random.below(6) as usize];
            let factors = 200 + self.random.below(2_000) as usize;
            let answer = vec!["m"; factors].join(operator);
            let request = pb::GradeFormulasRequest {
                assignment: "hw-backprop".to_owned(),
                answers: [("1.11".to_owned(), answer)].into(),
                ..Default::default()
            };
            let answered = grading.grade_formulas(request).await;
            self.called();
            if answered.is_err_and(|status| status.code() == tonic::Code::Unavailable) {
                return;
            }
        }
    }

    /// Submissions of one tensor, thousands of times.
    async fn many_tensors(self) {
        let Ok(mut grading) = GradingServiceClient::connect(self.url()).await else {
            return;
        };
        let one = pb::NamedTensor {
            quantity: pb::Quantity::DW.into(),
            layer: 3,
            tensor: Some(tensor([1, 2], &[0.5, 0.25])),
        };
        let reference = pb::InlineModel {
            spec: Some(homework()),
            parameters: crate::fixture::homework_parameters(),
        };
        loop {
            let request = pb::GradeGradientsRequest {
                target: Some(pb::grade_gradients_request::Target::Inline(
                    reference.clone(),
                )),
                inputs: Some(crate::fixture::inputs()),
                targets: Some(crate::fixture::targets()),
                submitted: vec![one.clone(); 20_000],
                ..Default::default()
            };
            let answered = grading.grade_gradients(request).await;
            self.called();
            if answered.is_err_and(|status| status.code() == tonic::Code::Unavailable) {
                return;
            }
        }
    }

    /// Sessions that are never used.
    async fn sessions(self) {
        let Ok(mut sessions) = SessionServiceClient::connect(self.url()).await else {
            return;
        };
        while sessions
            .create_session(pb::CreateSessionRequest::default())
            .await
            .is_ok()
        {
            self.called();
        }
    }

    /// Large predictions whose caller leaves at once.
    async fn left_calls(mut self) {
        let Ok(mut training) = Training::connect(self.url()).await else {
            return;
        };
        let spec = pb::ModelSpec {
            input_size: 500,
            layers: vec![layer(500, pb::Activation::Tanh, true); 4],
            ..Default::default()
        };
        let request = pb::CreateModelRequest {
            spec: Some(spec),
            ..Default::default()
        };
        let Ok(made) = training.create_model(request).await else {
            return;
        };
        let model = made.into_inner().model.unwrap_or_default().name;
        let inputs = tensor([200, 500], &numbers(100_000, 1));
        loop {
            let request = pb::PredictRequest {
                target: Some(pb::predict_request::Target::Model(model.clone())),
                inputs: Some(inputs.clone()),
                ..Default::default()
            };
            let patience = Duration::from_micros(self.random.below(10 * SOON));
            let answered = tokio::time::timeout(patience, training.predict(request)).await;
            self.called();
            if matches!(answered, Ok(Err(status)) if status.code() == tonic::Code::Unavailable) {
                return;
            }
        }
    }

    /// Models that are made, trained and deleted by calls that are left half-way.
    async fn left_deletions(mut self) {
        let Ok(mut training) = Training::connect(self.url()).await else {
            return;
        };
        let request = pb::CreateModelRequest {
            spec: Some(homework()),
            ..Default::default()
        };
        // Refused where the limits of this start leave no room.
        let Ok(made) = training.create_model(request).await else {
            return;
        };
        let model = made.into_inner().model.unwrap_or_default();
        let session = model.name.split("/models/").next().unwrap_or_default();
        for at in 0_u64.. {
            let name = format!("left-{at}");
            let request = pb::CreateModelRequest {
                session: session.to_owned(),
                model_id: name.clone(),
                spec: Some(homework()),
                ..Default::default()
            };
            if training.create_model(request).await.is_err() {
                return;
            }
            let name = format!("{session}/models/{name}");
            let of = pb::Model {
                name: name.clone(),
                ..Default::default()
            };
            let patience = Duration::from_micros(self.random.below(SOON));
            let _ = tokio::time::timeout(patience, training.train_batch(train(&of, 5))).await;
            let patience = Duration::from_micros(self.random.below(SOON));
            let delete = training.delete_model(pb::DeleteModelRequest { name });
            let _ = tokio::time::timeout(patience, delete).await;
            self.called();
        }
    }

    /// Connections that say nothing.
    async fn silence(self) {
        let mut open = std::collections::VecDeque::new();
        while let Some(stream) = self.open().await {
            open.push_back(stream);
            if open.len() > SILENT {
                // The oldest is read until the server closes it, which it does where it needs the place.
                let mut oldest = open.pop_front().expect("more than none");
                let _ = tokio::time::timeout(
                    Duration::from_millis(20),
                    oldest.read_to_end(&mut Vec::new()),
                )
                .await;
            }
        }
    }

    /// A large message in frames of one byte.
    async fn small_frames(self) {
        while let Some(mut stream) = self.connect(1 << 20).await {
            let path = "/backprop.v1.TrainingService/Predict";
            let mut bytes = frame(HEADERS, END_HEADERS, 1, &http2::call(path));
            bytes.extend(frame(DATA, 0, 1, &message_header(1 << 20)));
            for _ in 0..20_000 {
                bytes.extend(frame(DATA, 0, 1, &[8]));
            }
            let _ = stream.write_all(&bytes).await;
            let patience = Duration::from_millis(100);
            let _ = tokio::time::timeout(patience, stream.read_to_end(&mut Vec::new())).await;
        }
    }

    /// Calls whose replies are not taken.
    async fn untaken_replies(self) {
        while let Some(mut stream) = self.connect(0).await {
            let path = "/backprop.v1.ServerService/GetServerInfo";
            for id in (1..200).step_by(2) {
                let mut call = frame(HEADERS, END_HEADERS, id, &http2::call(path));
                call.extend(frame(DATA, END_STREAM, id, &message_header(0)));
                if stream.write_all(&call).await.is_err() {
                    break;
                }
                self.called();
            }
            let patience = Duration::from_millis(100);
            let _ = tokio::time::timeout(patience, stream.read_to_end(&mut Vec::new())).await;
        }
    }

    /// Frames of random kinds and contents.
    async fn noise(mut self) {
        while let Some(mut stream) = self.connect(1 << 16).await {
            for _ in 0..50 {
                let mut below = |limit: u64| self.random.below(limit);
                let payload: Vec<u8> = (0..below(40)).map(|_| below(256) as u8).collect();
                let (kind, flags) = (below(11) as u8, below(256) as u8);
                let bytes = frame(kind, flags, below(8) as u32, &payload);
                if stream.write_all(&bytes).await.is_err() {
                    break;
                }
            }
            let patience = Duration::from_millis(20);
            let _ = tokio::time::timeout(patience, stream.read_to_end(&mut Vec::new())).await;
        }
    }
}
