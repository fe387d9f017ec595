//! Connections to the server of `--server`.

use backpropd_client::{Client, ConnectError};

use super::Failure;

/// A client of `server`.
pub(super) async fn connect(server: &str) -> Result<Client, Failure> {
    Client::connect(server).await.map_err(|error| match error {
        ConnectError::Address { .. } => Failure::usage(format!("--server {error}")),
        ConnectError::Unreachable { .. } => Failure::failed(format!(
            "{error}; start a server with `backpropd`, or leave --server out"
        )),
    })
}
