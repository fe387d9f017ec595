//! `backpropd healthcheck`: for containers whose image has no other client.

use std::{process::ExitCode, time::Duration};

use backpropd_client::{Client, Credentials};
use clap::{Arg, ArgMatches, Command};
use tonic::Code;
use tonic_health::pb::{
    HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
};

use super::{Failure, connection, serve, settings};
use crate::config::Config;

pub(super) const NAME: &str = "healthcheck";
const PATIENCE: Duration = Duration::from_secs(3);

pub(super) fn command() -> Command {
    Command::new(NAME)
        .about("Check the health of a server: exit code 0 if it serves, else 1 with the reason")
        .arg(
            Arg::new("server")
                .long("server")
                .value_name("URL")
                .help("Server address, such as localhost:50051 [default: from --ops-listen, else --listen, their variables or the configuration file]"),
        )
        .args(connection::credentials())
        .args(settings::argument_of("listen"))
        .args(settings::argument_of("ops_listen"))
        .arg(settings::config_file())
}

pub(super) fn run(matches: &ArgMatches) -> Result<ExitCode, Failure> {
    let server = match matches.get_one::<String>("server") {
        Some(server) => server.clone(),
        None => {
            let mut flags = settings::flags(matches);
            // This command opens no port, so it needs no consent to serve other machines.
            flags.push(("insecure-remote".to_owned(), "true".to_owned()));
            // Container runtimes accept 0 and 1 only.
            let effective = settings::load(matches, flags)
                .map_err(|failure| Failure::failed(failure.to_string()))?;
            match effective.config.ops_listen {
                // The operator's port speaks no TLS and asks for no credentials.
                Some(address) => serve::reachable(address).to_string(),
                None => own_address(&effective.config),
            }
        }
    };
    let credentials = connection::read_credentials(matches)?;
    serve::runtime()?.block_on(async {
        match tokio::time::timeout(PATIENCE, check(&server, &credentials)).await {
            Ok(result) => result,
            Err(_) => Err(format!("no answer within {} s", PATIENCE.as_secs())),
        }
        .map_err(|why| Failure::failed(format!("{server} does not serve: {why}")))
    })?;
    Ok(ExitCode::SUCCESS)
}

/// The address of the configured server for a client on its machine.
fn own_address(config: &Config) -> String {
    let address = serve::reachable(config.listen);
    if config.has_tls() && address.ip().is_loopback() {
        // A certificate is more often issued for this name than for an address.
        format!("https://localhost:{}", address.port())
    } else if config.has_tls() {
        format!("https://{address}")
    } else {
        address.to_string()
    }
}

async fn check(server: &str, credentials: &Credentials) -> Result<(), String> {
    let connected = Client::connect_with(server, credentials).await;
    let client = connected.map_err(|error| error.to_string())?;
    let reply = HealthClient::new(client.connection())
        .check(HealthCheckRequest {
            service: String::new(),
        })
        .await;
    match reply {
        Ok(reply) if reply.get_ref().status == ServingStatus::Serving as i32 => Ok(()),
        Ok(reply) => Err(format!(
            "its health is {}",
            reply.get_ref().status().as_str_name()
        )),
        Err(status) if status.code() == Code::Unimplemented => {
            Err("it answers, but it has no grpc.health.v1".to_owned())
        }
        Err(status) => Err(format!("{:?}: {}", status.code(), status.message())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_closed_port_is_reported() {
        let free = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = free.local_addr().expect("bound").to_string();
        drop(free);
        let why = check(&address, &Credentials::default())
            .await
            .expect_err("the port is closed");
        assert!(why.contains("refused"), "{why}");
    }
}
