//! A server without sockets for the fuzzer: takes the bytes of a request, returns the code of the reply.

use std::convert::Infallible;

use bytes::{BufMut as _, Bytes, BytesMut};
use futures_util::StreamExt as _;
use http::Request;
use http_body::Frame;
use http_body_util::{BodyExt as _, StreamBody};
use tonic::body::Body;
use tonic::service::Routes;
use tonic::{Code, Status};
use tower::Service as _;

use super::{Server, Wrapped, methods, open, wrapped};
use crate::config::Config;
use crate::transport::call_metrics::CallMetrics;

/// The methods that take one message and may be called in any order.
pub const METHODS: [&str; 19] = [
    "TrainingService/CreateModel",
    "TrainingService/TrainBatch",
    "TrainingService/Gradients",
    "TrainingService/Predict",
    "TrainingService/GetModel",
    "TrainingService/ListModels",
    "TrainingService/DeleteModel",
    "TrainingService/GetParameters",
    "TrainingService/SetParameters",
    "TrainingService/CheckGradients",
    "TrainingService/Explain",
    "TrainingService/Evaluate",
    "TrainingService/ImportModel",
    "SessionService/CreateSession",
    "SessionService/ListSessions",
    "SessionService/DeleteSession",
    "GradingService/GetAssignment",
    "GradingService/GradeFormulas",
    "GradingService/GradeGradients",
];

type Bytestream = futures_util::stream::BoxStream<'static, Result<Frame<Bytes>, Infallible>>;

/// The server, and a runtime to call it from.
pub struct Calls {
    runtime: tokio::runtime::Runtime,
    service: Wrapped,
}

impl Calls {
    /// An in-memory server whose limits keep calls short.
    ///
    /// # Panics
    /// The system starts no threads.
    #[must_use]
    pub fn new() -> Self {
        let config = Config {
            threads: 1,
            max_layers: 8,
            max_units: 64,
            max_models: 64,
            max_sessions: 64,
            max_batch_rows: 64,
            max_steps_per_run: 64,
            max_check_evaluations: 5_000,
            max_graded_flops: 10_000,
            stall_seconds: 1,
            ..Config::default()
        };
        let Server { host, traces, .. } = open(config).expect("it opens");
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime");
        let calls = CallMetrics::new(methods::paths(), host.metrics.connections.clone());
        let service = wrapped(&host, Routes::default(), &calls, &traces).expect("its services");
        Self { runtime, service }
    }

    /// Calls a method with one message and reads its reply to the end.
    ///
    /// # Panics
    /// The reply is INTERNAL, which means a bug.
    pub fn call(&self, method: usize, message: &[u8]) -> Code {
        let method = METHODS[method % METHODS.len()];
        let mut framed = BytesMut::with_capacity(5 + message.len());
        framed.put_u8(0);
        framed.put_u32(u32::try_from(message.len()).unwrap_or(u32::MAX));
        framed.put_slice(message);
        let data: Bytestream =
            futures_util::stream::iter([Ok(Frame::data(framed.freeze()))]).boxed();
        let request = Request::post(format!("http://localhost/backprop.v1.{method}"))
            .version(http::Version::HTTP_2)
            .header("content-type", "application/grpc")
            .body(Body::new(StreamBody::new(data)))
            .expect("a request");
        let mut service = self.service.clone();
        let code = self.runtime.block_on(async {
            let response = match service.call(request).await {
                Ok(response) => response,
                Err(never) => match never {},
            };
            let early = Status::from_header_map(response.headers());
            let collected = response.into_body().collect().await;
            let trailers = collected.ok().and_then(|body| body.trailers().cloned());
            let late = trailers.and_then(|trailers| Status::from_header_map(&trailers));
            early.or(late).map_or(Code::Ok, |status| status.code())
        });
        assert_ne!(code, Code::Internal, "{method}");
        code
    }
}

impl Default for Calls {
    fn default() -> Self {
        Self::new()
    }
}
