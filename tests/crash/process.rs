//! The program itself, as a process of its own.

use std::path::Path;
use std::process::Stdio;

use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

use crate::fixture::Training;

/// How a start differs from others.
#[derive(Clone, Debug, Default)]
pub struct Setting {
    /// What fails, as the variable FAILPOINTS says it.
    pub faults: String,
    /// Flags besides the usual ones.
    pub arguments: Vec<String>,
    /// Further variables.
    pub environment: Vec<(String, String)>,
}

/// The program, serving. Killed when dropped.
pub struct Process {
    pub child: Child,
    pub address: String,
}

impl Process {
    /// Starts it on a folder; `None` where a fault ends it at its start.
    pub async fn start(folder: &Path, setting: &Setting) -> Option<Self> {
        let mut command = Command::new(env!("CARGO_BIN_EXE_backpropd"));
        command
            .args(arguments(folder))
            .args(&setting.arguments)
            .env("FAILPOINTS", &setting.faults)
            .envs(setting.environment.iter().cloned());
        Self::spawn(command).await
    }

    /// Starts what `command` says, which is the program in the end.
    pub async fn spawn(mut command: Command) -> Option<Self> {
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .expect("it starts");
        let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
        let line = lines.next_line().await.expect("text")?;
        let (_, address) = line.rsplit_once(' ').expect("it says where");
        let process = Self {
            address: address.to_owned(),
            child,
        };
        process.try_client().await.map(|_| process)
    }

    pub async fn client(&self) -> Training {
        self.try_client().await.expect("it listens")
    }

    async fn try_client(&self) -> Option<Training> {
        Training::connect(format!("http://{}", self.address))
            .await
            .ok()
    }
}

/// What the program is told.
pub fn arguments(folder: &Path) -> Vec<String> {
    let folder = folder.to_str().expect("text");
    [
        "serve",
        "--listen",
        "127.0.0.1:0",
        "--log",
        "error",
        "--data-dir",
        folder,
    ]
    .map(str::to_owned)
    .to_vec()
}
