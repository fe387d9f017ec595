//! `backpropd` and `backpropd serve`: the server.

use std::{
    env,
    io::{self, IsTerminal as _, Write as _},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    path::PathBuf,
    process::ExitCode,
};

use clap::{ArgMatches, Command};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::{EnvFilter, util::SubscriberInitExt as _};

use super::{Failure, failure::INTERRUPTED, settings};
use crate::{
    config::{Config, LogFormat},
    service,
};

pub(super) fn command() -> Command {
    Command::new("serve")
        .about("Serve gRPC (what backpropd does without a subcommand)")
        .args(settings::arguments())
}

pub(super) fn run(matches: &ArgMatches) -> Result<ExitCode, Failure> {
    let mut effective = settings::load(matches, settings::flags(matches))?;
    if effective.config.data_dir.is_empty() && !effective.config.ephemeral {
        effective.config.data_dir = users_data_dir()?;
    }
    if settings::prints_config(matches) {
        // A reader such as `head` may close the pipe early; that is its right.
        let _ = io::stdout().write_all(effective.to_toml().as_bytes());
        return Ok(ExitCode::SUCCESS);
    }
    start_log(&effective.config)?;
    runtime()?.block_on(serve(effective.config))
}

/// Threads that wait for the disk: as many commits at once as a disk gains by, and few enough to cost no memory.
const MAX_DISK_THREADS: usize = 32;

pub(super) fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .max_blocking_threads(MAX_DISK_THREADS)
        .build()
        .map_err(|error| Failure::failed(format!("cannot start the threads that serve: {error}")))
}

/// Where the XDG base directory specification has a program keep what is its user's.
pub(super) fn users_data_dir() -> Result<String, Failure> {
    let absolute = |variable: &str| {
        let folder = PathBuf::from(env::var_os(variable)?);
        // The specification has relative ones ignored.
        folder.is_absolute().then_some(folder)
    };
    let data = absolute("XDG_DATA_HOME")
        .or_else(|| Some(absolute("HOME")?.join(".local/share")))
        .map(|data| data.join("backpropd"));
    data.and_then(|data| data.into_os_string().into_string().ok())
        .ok_or_else(|| {
            Failure::usage(
                "neither XDG_DATA_HOME nor HOME tells where data belongs: name a folder with --data-dir, or keep \
                 nothing with --ephemeral"
                    .to_owned(),
            )
        })
}

/// A filter in which h2 logs errors alone, unless it names h2. h2 warns of every stream that a client resets in an odd way,
/// a line for a few bytes; what a connection ends with is logged here.
fn with_quiet_h2(filter: &str) -> String {
    let names_h2 = |directive: &str| {
        let rest = directive.trim().strip_prefix("h2");
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['=', ':', '[']))
    };
    let is_off = |directive: &str| directive.trim().eq_ignore_ascii_case("off");
    if filter.split(',').any(|part| names_h2(part) || is_off(part)) {
        filter.to_owned()
    } else {
        format!("{filter},h2=error")
    }
}

fn start_log(config: &Config) -> Result<(), Failure> {
    let filter = EnvFilter::builder()
        .parse(with_quiet_h2(&config.log))
        .map_err(|error| Failure::usage(format!("log = {:?} is no filter: {error}", config.log)))?;
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .with_ansi(io::stderr().is_terminal());
    match config.log_format {
        LogFormat::Text => log.finish().try_init(),
        LogFormat::Json => log.json().finish().try_init(),
    }
    .map_err(|error| Failure::failed(format!("cannot start the log: {error}")))
}

async fn serve(config: Config) -> Result<ExitCode, Failure> {
    let listener = TcpListener::bind(config.listen)
        .await
        .map_err(|error| bind_failure(config.listen, &error))?;
    let address = listener.local_addr().map_err(|error| {
        Failure::failed(format!(
            "cannot tell the address that is listened on: {error}"
        ))
    })?;
    let stopped = |error| Failure::failed(format!("the server stopped: {error}"));
    let opened = service::open(config)
        .map_err(|error| Failure::failed(format!("the server cannot start: {error}")))?;
    // Handlers are in place before the address is printed: whoever reads it may stop us right away.
    let shutdown = shutdown_signal()?;
    let mut stdout = io::stdout().lock();
    // The server is of use even where nobody reads its first lines.
    let _ = writeln!(
        stdout,
        "backpropd {} listening on {address}\ntry: grpcurl -plaintext {} backprop.v1.ServerService/GetServerInfo",
        env!("CARGO_PKG_VERSION"),
        reachable(address),
    )
    .and_then(|()| stdout.flush());
    drop(stdout);
    opened.serve(listener, shutdown).await.map_err(stopped)?;
    Ok(ExitCode::SUCCESS)
}

/// Resolves at the first SIGTERM or SIGINT. A second one ends the process at once, for whoever cannot wait.
fn shutdown_signal() -> Result<impl Future<Output = ()> + Send + 'static, Failure> {
    let no_signals = |error| Failure::failed(format!("cannot listen for signals: {error}"));
    let mut terminate = signal(SignalKind::terminate()).map_err(no_signals)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(no_signals)?;
    let (asked, shutdown) = tokio::sync::oneshot::channel::<()>();
    tokio::spawn(async move {
        let mut either = async || {
            tokio::select! {
                _ = terminate.recv() => "SIGTERM",
                _ = interrupt.recv() => "SIGINT",
            }
        };
        let name = either().await;
        tracing::info!("{name}: finishing the calls under way; a second signal ends at once");
        // The server may have failed by itself already.
        let _ = asked.send(());
        either().await;
        std::process::exit(i32::from(INTERRUPTED));
    });
    Ok(async move {
        // An error would mean that the task above is gone, and with it all hope of a signal: stop then, too.
        let _ = shutdown.await;
    })
}

fn bind_failure(address: SocketAddr, error: &io::Error) -> Failure {
    let advice = if error.kind() == io::ErrorKind::AddrInUse {
        "another process, perhaps another backpropd, listens there; stop it, or choose another port with --listen \
         (port 0 takes a free one)"
            .to_owned()
    } else if error.kind() == io::ErrorKind::AddrNotAvailable {
        "no interface of this machine has that address; try --listen 127.0.0.1:50051".to_owned()
    } else if error.kind() == io::ErrorKind::PermissionDenied {
        "ports below 1024 need privileges; choose a higher one with --listen".to_owned()
    } else {
        "choose another address with --listen".to_owned()
    };
    Failure::failed(format!("cannot listen on {address}: {error}: {advice}"))
}

/// The address for a client on this machine: a server that listens everywhere is reached by loopback.
pub(super) fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip @ (IpAddr::V4(_) | IpAddr::V6(_)) => ip,
    };
    SocketAddr::new(ip, address.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn h2_does_not_fill_the_log_unless_it_is_asked_to() {
        for (given, filter) in [
            ("info", "info,h2=error"),
            ("info,backpropd=debug", "info,backpropd=debug,h2=error"),
            ("info,h2=trace", "info,h2=trace"),
            ("h2::codec=debug,warn", "h2::codec=debug,warn"),
            ("off", "off"),
        ] {
            assert_eq!(with_quiet_h2(given), filter);
            EnvFilter::builder().parse(filter).expect("a filter");
        }
    }

    #[tokio::test]
    async fn an_address_in_use_says_what_to_do() {
        let taken = TcpListener::bind(("127.0.0.1", 0))
            .await
            .expect("a free port");
        let listen = taken.local_addr().expect("bound");
        let config = Config {
            listen,
            ..Config::default()
        };
        let failure = serve(config).await.expect_err("the port is taken");
        assert_eq!(failure.code, 1);
        let text = failure.to_string();
        assert!(
            text.contains(&listen.to_string()) && text.contains("--listen"),
            "{text}"
        );
    }

    #[test]
    fn everywhere_is_reached_by_loopback() {
        let reached = |text: &str| reachable(text.parse().expect("an address")).to_string();
        assert_eq!(reached("0.0.0.0:1"), "127.0.0.1:1");
        assert_eq!(reached("[::]:1"), "[::1]:1");
        assert_eq!(reached("10.0.0.1:1"), "10.0.0.1:1");
    }
}
