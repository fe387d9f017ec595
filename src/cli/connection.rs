//! Connections to the server of `--server`, and the credentials for it.

use std::path::{Path, PathBuf};

use backpropd_client::{Client, ConnectError, Credentials};
use clap::{Arg, ArgMatches, value_parser};

use super::Failure;
use super::files::{self, Links};

/// The largest file of a token, of authorities, of a certificate or of a key, in bytes.
const CREDENTIAL_BYTES: u64 = 1 << 20;

/// The server of a command that needs a running one.
pub(super) fn server() -> Arg {
    Arg::new("server")
        .long("server")
        .value_name("URL")
        .env("BACKPROPD_SERVER")
        .default_value("http://127.0.0.1:50051")
        .help("Server to use, such as localhost:50051 or https://lab.uni.edu:50051")
}

/// The options beside `--server`.
pub(super) fn credentials() -> [Arg; 4] {
    let file = |name: &'static str| {
        Arg::new(name)
            .long(name)
            .value_name("FILE")
            .value_parser(value_parser!(PathBuf))
            .help_heading("Server")
    };
    [
        file("ca")
            .env("BACKPROPD_CA")
            .help("Certificate authorities to trust, as PEM [default: those of the system]"),
        file("token-file")
            .env("BACKPROPD_TOKEN_FILE")
            .help("File that holds your token; the variable BACKPROPD_TOKEN may hold it instead"),
        file("client-cert")
            .requires("client-key")
            .help("Your certificate, as PEM, if the server identifies its clients by certificates"),
        file("client-key")
            .requires("client-cert")
            .help("The private key of --client-cert"),
    ]
}

/// The credentials that the options name, and BACKPROPD_TOKEN.
pub(super) fn read_credentials(matches: &ArgMatches) -> Result<Credentials, Failure> {
    let read =
        |path: &Path| files::read(path, CREDENTIAL_BYTES, Links::Followed).map_err(Failure::usage);
    let file = |name| {
        let path = matches.get_one::<PathBuf>(name);
        path.map(|path| read(path)).transpose()
    };
    let token = match file("token-file")? {
        Some(bytes) => Some(String::from_utf8(bytes).map_err(|_| {
            Failure::usage("the file of --token-file is not text, so it holds no token".to_owned())
        })?),
        // Empty is the same as unset, as a shell's `BACKPROPD_TOKEN= command` means it.
        None => std::env::var("BACKPROPD_TOKEN")
            .ok()
            .filter(|token| !token.trim().is_empty()),
    };
    let certificate = match (file("client-cert")?, file("client-key")?) {
        (Some(certificate), Some(key)) => Some((certificate, key)),
        (None | Some(_), None) | (None, Some(_)) => None,
    };
    Ok(Credentials {
        authorities: file("ca")?,
        token,
        certificate,
    })
}

/// A client of `server` with the credentials of the command.
pub(super) async fn connect(server: &str, matches: &ArgMatches) -> Result<Client, Failure> {
    let credentials = read_credentials(matches)?;
    let connected = Client::connect_with(server, &credentials).await;
    connected.map_err(|error| match error {
        ConnectError::Address { .. } => Failure::usage(format!("--server {error}")),
        ConnectError::Credentials(_) => Failure::usage(error.to_string()),
        ConnectError::Unreachable { .. } => Failure::failed(format!(
            "{error}; start a server with `backpropd`, or name another with --server"
        )),
    })
}
