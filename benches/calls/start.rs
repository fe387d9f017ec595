//! From a program's start to its first word that it serves.

use std::path::PathBuf;
use std::process::Stdio;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};
use tonic::transport::Endpoint;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

use crate::median;

#[derive(serde::Deserialize)]
pub struct Ready {
    program: PathBuf,
    arguments: Vec<String>,
    rounds: usize,
}

impl Ready {
    pub async fn measure(self) -> Value {
        let mut took = Vec::new();
        for _ in 0..self.rounds {
            let began = Instant::now();
            let mut child = Command::new(&self.program)
                .args(&self.arguments)
                .stdout(Stdio::piped())
                .stderr(Stdio::null())
                .kill_on_drop(true)
                .spawn()
                .unwrap();
            let address = address(&mut child).await;
            serving(&address).await;
            took.push(began.elapsed().as_secs_f64() * 1e3);
            child.kill().await.unwrap();
        }
        json!({"median_ms": median(&mut took)})
    }
}

/// What its first line ends with.
async fn address(child: &mut Child) -> String {
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let line = lines.next_line().await.unwrap().expect("it starts");
    line.rsplit_once(' ').unwrap().1.to_owned()
}

async fn serving(address: &str) {
    let endpoint = Endpoint::from_shared(format!("http://{address}")).unwrap();
    loop {
        if let Ok(channel) = endpoint.connect().await {
            let asked = HealthClient::new(channel)
                .check(HealthCheckRequest::default())
                .await;
            if asked.is_ok_and(|reply| reply.get_ref().status() == ServingStatus::Serving) {
                return;
            }
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}
