//! A server inside this process, for a command without `--server`.

use std::io;

use backpropd_client::{Client, ConnectError};
use clap::ArgMatches;
use tokio::{net::TcpListener, sync::oneshot, task::JoinHandle};

use super::Failure;
use super::connection::connect;
use crate::config::Config;
use crate::server::{self, ServeError, SharedDataset};

/// The longest run, in seconds: a training takes as long as it takes.
const LONGEST_RUN: u64 = 31_536_000;

/// A server inside this process, on a free port, without a data folder.
pub(super) struct LocalServer {
    address: String,
    stop: oneshot::Sender<()>,
    task: JoinHandle<Result<(), ServeError>>,
}

impl LocalServer {
    /// A server on which `shared` is a dataset that needs no upload; the command and the server use the same rows.
    pub(super) async fn start(shared: Option<SharedDataset>) -> Result<Self, Failure> {
        let no_port = |error: io::Error| {
            Failure::failed(format!("cannot start a server on 127.0.0.1: {error}"))
        };
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.map_err(no_port)?;
        let listen = listener.local_addr().map_err(no_port)?;
        let (stop, stopped) = oneshot::channel();
        let mut config = Config {
            listen,
            max_run_seconds: LONGEST_RUN,
            ..Config::default()
        };
        if let Some(shared) = &shared {
            let needed = shared.dataset.resident_bytes();
            config.max_dataset_memory_bytes = config.max_dataset_memory_bytes.max(needed);
        }
        let server = server::open_sharing(config, shared);
        let server = server.map_err(|error| failed(&error))?;
        let task = tokio::spawn(server.serve(listener, async {
            // A dropped sender means stop as well.
            let _ = stopped.await;
        }));
        Ok(Self {
            address: format!("http://{listen}"),
            stop,
            task,
        })
    }

    pub(super) async fn stop(self) -> Result<(), Failure> {
        // If the server has failed already, its task returns the error.
        let _ = self.stop.send(());
        match self.task.await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(failed(&error)),
            Err(error) => Err(Failure::failed(format!(
                "the server inside this process panicked: {error}"
            ))),
        }
    }
}

fn failed(error: &ServeError) -> Failure {
    Failure::failed(format!("the server inside this process failed: {error}"))
}

/// Runs `work` with a client of `server` that has the credentials of the command, or of a server inside this process if
/// none is named.
pub(super) async fn with_client<V>(
    server: Option<&str>,
    matches: &ArgMatches,
    work: impl AsyncFnOnce(Client) -> Result<V, Failure>,
) -> Result<V, Failure> {
    with_client_on(server, None, matches, work).await
}

/// [`with_client`]; the server inside this process has `shared` as a dataset.
pub(super) async fn with_client_on<V>(
    server: Option<&str>,
    shared: Option<SharedDataset>,
    matches: &ArgMatches,
    work: impl AsyncFnOnce(Client) -> Result<V, Failure>,
) -> Result<V, Failure> {
    let Some(server) = server else {
        let local = LocalServer::start(shared).await?;
        let connected = Client::connect(&local.address).await;
        let unreached = |error: ConnectError| Failure::failed(error.to_string());
        let result = async { work(connected.map_err(unreached)?).await }.await;
        local.stop().await?;
        return result;
    };
    work(connect(server, matches).await?).await
}
