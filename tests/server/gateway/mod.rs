//! The door for browsers and curl, over real sockets.

mod errors;
mod forms;
mod http1;
mod large;
mod methods;
mod pages;
mod sites;

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, Request, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::client::conn::http2::SendRequest;
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::{Value, json};
use tokio::net::TcpStream;

use crate::fixture::Server;

/// A reply, whole.
#[derive(Debug)]
pub struct Reply {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Reply {
    pub fn json(&self) -> Value {
        let text = String::from_utf8_lossy(&self.body);
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text:?}"))
    }

    pub fn lines(&self) -> Vec<Value> {
        let text = std::str::from_utf8(&self.body).expect("UTF-8");
        assert!(text.is_empty() || text.ends_with('\n'), "{text:?}");
        let lines = text.lines();
        lines
            .map(|line| serde_json::from_str(line).expect("JSON"))
            .collect()
    }

    pub fn header(&self, name: &str) -> &str {
        let value = self.headers.get(name);
        value.map_or("", |value| value.to_str().expect("text"))
    }

    /// The code and the reason of an error.
    pub fn error(&self) -> (String, String) {
        error(&self.json())
    }
}

/// The code and the reason of an error.
pub fn error(error: &Value) -> (String, String) {
    let code = error["code"].as_str().expect("a code").to_owned();
    let details = error["details"].as_array().expect("details");
    let info = details
        .iter()
        .find(|detail| detail["type"] == "google.rpc.ErrorInfo");
    let reason = info.map(|info| info["debug"]["reason"].as_str().expect("a reason"));
    (code, reason.unwrap_or_default().to_owned())
}

/// A connection over HTTP/2.
pub async fn connect(server: &Server) -> SendRequest<Full<Bytes>> {
    let stream = TcpStream::connect(server.address)
        .await
        .expect("it listens");
    let (sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
            .await
            .expect("it speaks HTTP/2");
    tokio::spawn(connection);
    sender
}

/// A POST to `path`.
pub fn post(server: &Server, path: &str, content_type: &str) -> http::request::Builder {
    Request::post(format!("http://{}{path}", server.address)).header("content-type", content_type)
}

pub fn body(bytes: impl Into<Bytes>) -> Full<Bytes> {
    Full::new(bytes.into())
}

pub async fn whole(response: http::Response<Incoming>) -> Reply {
    let (parts, mut body) = response.into_parts();
    let mut bytes = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.expect("the reply is whole");
        if let Some(data) = frame.data_ref() {
            bytes.extend_from_slice(data);
        }
    }
    Reply {
        status: parts.status,
        headers: parts.headers,
        body: bytes.freeze(),
    }
}

pub async fn send(server: &Server, request: Request<Full<Bytes>>) -> Reply {
    let mut connection = connect(server).await;
    whole(connection.send_request(request).await.expect("a reply")).await
}

/// Calls `SERVICE/METHOD` with JSON.
pub async fn call(server: &Server, method: &str, request: &Value) -> Reply {
    let path = format!("/backprop.v1.{method}");
    let request = post(server, &path, "application/json").body(body(request.to_string()));
    send(server, request.expect("a request")).await
}

/// Creates the session `lab` with the model `hw`.
pub async fn homework(server: &Server) -> Value {
    let session = call(
        server,
        "SessionService/CreateSession",
        &json!({"sessionId": "lab"}),
    )
    .await;
    assert_eq!(session.status, 200, "{session:?}");
    let request = json!({"session": "sessions/lab", "model_id": "hw", "seed": 1,
        "spec": {"input_size": 4, "layers": [{"units": 3}, {"units": 2}, {"units": 1}]}});
    let model = call(server, "TrainingService/CreateModel", &request).await;
    assert_eq!(model.status, 200, "{model:?}");
    model.json()["model"].clone()
}

/// A TrainBatch of that model.
pub fn training(steps: i32) -> Value {
    json!({"model": "sessions/lab/models/hw", "steps": steps,
        "inputs": {"shape": [2, 4], "values": [1, 2, 3, 4, -1, 0, 1, 2]},
        "targets": {"shape": [2, 1], "values": [1, -1]}})
}
