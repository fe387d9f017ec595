//! Who may come in, what each role may do, and whose sessions are whose.

mod logins;
mod ownership;
mod roles;
pub mod wire;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use backpropd::config::Config;
use backpropd_identity::{Claims, Role, Secrets};
use serde_json::{Value, json};
use tempfile::TempDir;

use self::wire::{Outcome, call};
use crate::fixture::Server;

pub const SECRET: &str = "0123456789abcdef0123456789abcdef";
pub const OTHER: &str = "fedcba9876543210fedcba9876543210";
pub const AUDIENCE: &str = "backpropd";

/// The files of a server whose callers need an identity.
pub struct Keys(TempDir);

impl Keys {
    pub fn new() -> Self {
        let keys = Self(TempDir::new().expect("a folder"));
        keys.write("secrets", SECRET);
        keys.write("revoked", "");
        keys
    }

    /// Replaces a file at once.
    pub fn write(&self, name: &str, content: &str) {
        let new = self.0.path().join("new");
        fs::write(&new, content).expect("writable");
        fs::set_permissions(&new, fs::Permissions::from_mode(0o600)).expect("ours");
        fs::rename(new, self.path(name)).expect("writable");
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Has the server use them.
    pub fn set(&self, config: &mut Config) {
        let text = |name| self.path(name).to_str().expect("UTF-8").to_owned();
        config.auth_secret_file = text("secrets");
        config.auth_revoked_file = text("revoked");
        config.auth_audience = AUDIENCE.to_owned();
    }

    pub async fn server(&self) -> Server {
        Server::with(|config| self.set(config)).await
    }
}

pub fn claims(subject: &str, role: Role) -> Claims {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let now = now.expect("after 1970").as_secs();
    Claims {
        sub: subject.into(),
        role,
        exp: now + 3_600,
        jti: Some(format!("{subject}-token")),
        nbf: None,
        iat: None,
        aud: vec![AUDIENCE.to_owned()],
        iss: None,
    }
}

pub fn signed(secret: &str, claims: &Claims) -> String {
    let secrets = Secrets::read(secret.as_bytes()).expect("a secret");
    secrets.mint(claims).expect("signed")
}

/// The token of a person in a role.
pub fn token(subject: &str, role: Role) -> String {
    signed(SECRET, &claims(subject, role))
}

pub const PATIENCE: Duration = Duration::from_secs(30);

/// The homework's network.
pub fn spec() -> Value {
    json!({"inputSize": 4, "layers": [{"units": 3}, {"units": 2}, {"units": 1}]})
}

pub fn inputs() -> Value {
    json!({"shape": [2, 4], "values": [1, 2, 3, 4, 0.5, -1, 1.5, 2.5]})
}

pub fn targets() -> Value {
    json!({"shape": [2, 1], "values": [1, -0.5]})
}

/// A gradient of its first layer.
pub fn gradient() -> Value {
    let values: Vec<f64> = (0..12).map(|at| f64::from(at) / 16.0 + 0.01).collect();
    json!({"quantity": "QUANTITY_D_W", "layer": 1, "tensor": {"shape": [3, 4], "values": values}})
}

/// What creates a dataset of two samples.
pub fn dataset(session: &str, id: &str) -> Vec<Value> {
    let numbers = |values: &[f64]| {
        use base64::Engine as _;
        let bytes: Vec<u8> = values
            .iter()
            .flat_map(|value| value.to_le_bytes())
            .collect();
        base64::engine::general_purpose::STANDARD.encode(bytes)
    };
    let header =
        json!({"session": session, "datasetId": id, "rows": 2, "features": 4, "targetColumns": 1});
    let rows = json!({"inputs": numbers(&[1.0; 8]), "targets": numbers(&[0.5; 2])});
    vec![json!({"header": header}), json!({"rows": rows})]
}

/// A session with a model `m` that has been trained, and a dataset `d`, of the person with this token.
pub async fn furnish(server: &Server, token: &str, session: &str) {
    let name = format!("sessions/{session}");
    let model = format!("{name}/models/m");
    for (method, messages) in [
        (
            "SessionService/CreateSession",
            vec![json!({"sessionId": session})],
        ),
        (
            "TrainingService/CreateModel",
            vec![json!({"session": name, "modelId": "m", "spec": spec()})],
        ),
        ("DatasetService/CreateDataset", dataset(&name, "d")),
        (
            "TrainingService/TrainBatch",
            vec![
                json!({"model": model, "inputs": inputs(), "targets": targets(), "learningRate": 0.001}),
            ],
        ),
    ] {
        let outcome = call(server.address, method, &messages, Some(token)).await;
        assert_eq!(outcome, Outcome::ok(), "{method}");
    }
}

/// Every method with a request that names the session `s`, its model `m`, its dataset `d`, or a run of the model (none of whose ids is known beforehand). The
/// methods that delete are last.
pub fn requests(session: &str) -> Vec<(&'static str, Vec<Value>)> {
    let s = format!("sessions/{session}");
    let m = format!("{s}/models/m");
    let run = json!({"model": m, "inputs": inputs(), "targets": targets(), "learningRate": 0.001});
    let read = json!({"model": m, "inputs": inputs(), "targets": targets()});
    let mask = json!({"model": m, "spec": {"clipNorm": 1.0}, "updateMask": "clipNorm"});
    let explained = json!({"model": m, "inputs": inputs(), "targets": targets(), "quantity": "QUANTITY_D_W", "layer": 1, "row": 1, "column": 1});
    let graded =
        json!({"model": m, "inputs": inputs(), "targets": targets(), "submitted": [gradient()]});
    let one = |method, message| (method, vec![message]);
    vec![
        one("ServerService/GetServerInfo", json!({})),
        one("SessionService/ListSessions", json!({})),
        one("GradingService/ListAssignments", json!({})),
        one(
            "GradingService/GetAssignment",
            json!({"assignment": "hw-backprop"}),
        ),
        one(
            "GradingService/GradeFormulas",
            json!({"assignment": "hw-backprop", "answers": {}}),
        ),
        one("GradingService/GradeGradients", graded),
        one(
            "GradingService/GetGradingStatistics",
            json!({"assignment": "hw-backprop"}),
        ),
        one("SessionService/GetSession", json!({"name": s})),
        ("DatasetService/CreateDataset", dataset(&s, "another")),
        one(
            "DatasetService/GetDataset",
            json!({"name": format!("{s}/datasets/d")}),
        ),
        one("DatasetService/ListDatasets", json!({"session": s})),
        one(
            "TrainingService/CreateModel",
            json!({"session": s, "spec": spec()}),
        ),
        one("TrainingService/TrainBatch", run),
        one("TrainingService/Gradients", read.clone()),
        one(
            "TrainingService/Predict",
            json!({"model": m, "inputs": inputs()}),
        ),
        one("TrainingService/GetModel", json!({"name": m})),
        one("TrainingService/ListModels", json!({"session": s})),
        one("TrainingService/GetParameters", json!({"model": m})),
        one(
            "TrainingService/SetParameters",
            json!({"model": m, "parameters": parameters()}),
        ),
        one("TrainingService/CheckGradients", read.clone()),
        one("TrainingService/WatchModel", json!({"model": m})),
        one("TrainingService/ExportModel", json!({"name": m})),
        one(
            "TrainingService/ImportModel",
            json!({"session": s, "data": "AAAA"}),
        ),
        one("TrainingService/StopTraining", json!({"model": m})),
        one("TrainingService/ListRuns", json!({"model": m})),
        one(
            "TrainingService/GetRun",
            json!({"name": format!("{m}/runs/r1")}),
        ),
        one("TrainingService/Explain", explained),
        one(
            "TrainingService/ApplyGradients",
            json!({"model": m, "gradients": [{"tensors": all_gradients()}]}),
        ),
        one("TrainingService/Evaluate", read),
        one(
            "TrainingService/CopyModel",
            json!({"model": m, "session": s}),
        ),
        one("TrainingService/UpdateModel", mask),
        one(
            "DatasetService/DeleteDataset",
            json!({"name": format!("{s}/datasets/d")}),
        ),
        one("TrainingService/DeleteModel", json!({"name": m})),
        one("SessionService/DeleteSession", json!({"name": s})),
        // Its own name is none of the session's.
        one("SessionService/CreateSession", json!({})),
    ]
}

fn tensors() -> [Value; 3] {
    [(3, 4), (2, 3), (1, 2)].map(|(rows, columns)| {
        let count = rows * columns;
        let values: Vec<f64> = (0..count).map(|at| f64::from(at) / 16.0 + 0.01).collect();
        json!({"shape": [rows, columns], "values": values})
    })
}

fn parameters() -> Vec<Value> {
    tensors().map(|tensor| json!({"weights": tensor})).to_vec()
}

fn all_gradients() -> Vec<Value> {
    let layers = (1..).zip(tensors());
    let named = layers.map(
        |(layer, tensor)| json!({"quantity": "QUANTITY_D_W", "layer": layer, "tensor": tensor}),
    );
    named.collect()
}
