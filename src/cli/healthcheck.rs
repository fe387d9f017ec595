//! `backpropd healthcheck`: for containers whose image has no other client.

use std::net::{Ipv4Addr, SocketAddr};
use std::process::ExitCode;
use std::time::Duration;

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
    let servers = match matches.get_one::<String>("server") {
        Some(server) => vec![server.clone()],
        None => {
            let mut flags = settings::flags(matches);
            // This command opens no port, so it needs no consent to serve other machines.
            flags.push(("insecure-remote".to_owned(), "true".to_owned()));
            // Container runtimes accept 0 and 1 only.
            let effective = settings::load(matches, flags)
                .map_err(|failure| Failure::failed(failure.to_string()))?;
            match effective.config.ops_listen {
                // The operator's port speaks no TLS and asks for no credentials.
                Some(address) => places(address).map(|it| it.to_string()).collect(),
                None => own_addresses(&effective.config),
            }
        }
    };
    let credentials = connection::read_credentials(matches)?;
    serve::runtime()?.block_on(async {
        check_one_of(&servers, &credentials).await.map_err(|why| {
            Failure::failed(format!("{} does not serve: {why}", servers.join(" or ")))
        })
    })?;
    Ok(ExitCode::SUCCESS)
}

/// The addresses by which a client on its machine reaches a listener. One for all of IPv6 takes IPv4 as well, and has no
/// other address where a container has IPv6 switched off.
fn places(listen: SocketAddr) -> impl Iterator<Item = SocketAddr> {
    let is_both = listen.is_ipv6() && listen.ip().is_unspecified();
    let v4 = SocketAddr::from((Ipv4Addr::LOCALHOST, listen.port()));
    [serve::reachable(listen)]
        .into_iter()
        .chain(is_both.then_some(v4))
}

/// The addresses of the configured server for a client on its machine.
fn own_addresses(config: &Config) -> Vec<String> {
    let address = serve::reachable(config.listen);
    if config.has_tls() && address.ip().is_loopback() {
        // A certificate is more often issued for this name than for an address.
        vec![format!("https://localhost:{}", address.port())]
    } else if config.has_tls() {
        vec![format!("https://{address}")]
    } else {
        places(config.listen).map(|it| it.to_string()).collect()
    }
}

/// Checks the first of the servers that answers.
async fn check_one_of(servers: &[String], credentials: &Credentials) -> Result<(), String> {
    let mut refused = Vec::new();
    for server in servers {
        match tokio::time::timeout(PATIENCE, check(server, credentials)).await {
            Ok(Ok(())) => return Ok(()),
            Ok(Err(why)) => refused.push(why),
            Err(_) => refused.push(format!("no answer within {} s", PATIENCE.as_secs())),
        }
    }
    Err(refused.join("; "))
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

    #[test]
    fn a_listener_on_all_addresses_is_asked_at_those_of_loopback() {
        let of = |listen: &str| {
            let listen: SocketAddr = listen.parse().expect("an address");
            places(listen).map(|it| it.to_string()).collect::<Vec<_>>()
        };
        assert_eq!(of("[::]:5"), ["[::1]:5", "127.0.0.1:5"]);
        assert_eq!(of("0.0.0.0:5"), ["127.0.0.1:5"]);
        assert_eq!(of("[::1]:5"), ["[::1]:5"]);
        assert_eq!(of("10.1.2.3:5"), ["10.1.2.3:5"]);
    }

    #[tokio::test]
    async fn the_first_server_that_answers_counts() {
        let socket = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
        let closed = socket.local_addr().expect("bound").to_string();
        drop(socket);
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await;
        let listener = listener.expect("a free port");
        let open = listener.local_addr().expect("bound").to_string();
        let serving = crate::server::open(Config::default()).expect("it opens");
        let served = tokio::spawn(serving.serve(listener, std::future::pending()));
        let servers = [closed.clone(), open];
        let checked = check_one_of(&servers, &Credentials::default()).await;
        assert_eq!(checked, Ok(()));
        let refused = check_one_of(&[closed.clone(), closed], &Credentials::default()).await;
        assert!(refused.expect_err("both are closed").contains("; "));
        served.abort();
    }

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
