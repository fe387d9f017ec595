//! `backpropd serve`, and `backpropd` without a command: the server.

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
use tokio::sync::oneshot;
use tracing_subscriber::{layer::SubscriberExt as _, util::SubscriberInitExt as _};

use super::{Failure, failure::INTERRUPTED, settings};
use crate::{
    config::{Config, LogFormat, log_filter},
    server::{self, Traces, ops::Ops},
};

pub(super) fn command() -> Command {
    Command::new("serve")
        .about("Serve gRPC; the default without a command")
        .long_about(
            "Serve gRPC; the default without a command.\n\n\
             Each setting is a flag (--max-layers 8), an environment variable (BACKPROPD_MAX_LAYERS=8) and a line of the \
             file of --config (max_layers = 8); the flag takes precedence over the variable, the variable over the file.",
        )
        .args(settings::arguments())
}

pub(super) fn run(matches: &ArgMatches) -> Result<ExitCode, Failure> {
    let mut effective = settings::load(matches, settings::flags(matches))?;
    let config = &effective.config;
    if config.data_dir.is_empty() && config.store.is_empty() && !config.ephemeral {
        effective.config.data_dir = users_data_dir()?;
    }
    if settings::prints_config(matches) {
        // A reader such as `head` may close the pipe early, which is not an error.
        let _ = io::stdout().write_all(effective.to_toml().as_bytes());
        return Ok(ExitCode::SUCCESS);
    }
    start_log(&effective.config)?;
    if effective.config.is_open_to_all() {
        tracing::warn!(
            listen = %effective.config.listen,
            "insecure_remote: every client that can reach this address can use the server, or read what others send"
        );
    }
    runtime()?.block_on(serve(effective.config))
}

/// Threads that wait for the disk: enough for concurrent commits to share a sync, few enough to need little memory.
const MAX_DISK_THREADS: usize = 32;

pub(super) fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .max_blocking_threads(MAX_DISK_THREADS)
        .build()
        .map_err(|error| Failure::failed(format!("cannot start the threads that serve: {error}")))
}

/// The data folder of the user, by the XDG base directory specification.
pub(super) fn users_data_dir() -> Result<String, Failure> {
    let absolute = |variable: &str| {
        let folder = PathBuf::from(env::var_os(variable)?);
        // The specification ignores relative paths.
        folder.is_absolute().then_some(folder)
    };
    let data = absolute("XDG_DATA_HOME")
        .or_else(|| Some(absolute("HOME")?.join(".local/share")))
        .map(|data| data.join("backpropd"));
    data.and_then(|data| data.into_os_string().into_string().ok())
        .ok_or_else(|| {
            Failure::usage(
                "neither XDG_DATA_HOME nor HOME is an absolute path, so there is no default data folder: name one with \
                 --data-dir, or store nothing with --ephemeral"
                    .to_owned(),
            )
        })
}

/// Reduces the log of h2 to errors, unless the filter names h2. h2 warns of each stream that a client resets irregularly, so
/// that a client could fill the log with a few bytes per line; the end of each connection is logged anyway.
fn with_quiet_h2(filter: &str) -> String {
    let names_h2 = |directive: &str| {
        let rest = directive.trim().strip_prefix("h2");
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['=', ':']))
    };
    let is_off = |directive: &str| directive.trim().eq_ignore_ascii_case("off");
    if filter.split(',').any(|part| names_h2(part) || is_off(part)) {
        filter.to_owned()
    } else {
        format!("{filter},h2=error")
    }
}

fn start_log(config: &Config) -> Result<(), Failure> {
    let filter = log_filter::parse(&with_quiet_h2(&config.log))
        .ok_or_else(|| Failure::usage(format!("log = {:?} is not a filter", config.log)))?;
    let log = tracing_subscriber::registry().with(filter);
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(io::stderr)
        .with_ansi(io::stderr().is_terminal());
    match config.log_format {
        LogFormat::Text => log.with(lines).try_init(),
        LogFormat::Json => log.with(lines.json()).try_init(),
    }
    .map_err(|error| Failure::failed(format!("cannot start the log: {error}")))
}

async fn serve(config: Config) -> Result<ExitCode, Failure> {
    let until_stdin_ends = config.until_stdin_ends;
    let listener = TcpListener::bind(config.listen)
        .await
        .map_err(|error| bind_failure("listen", config.listen, &error))?;
    let address = listener.local_addr().map_err(|error| {
        Failure::failed(format!(
            "cannot determine the address of the listening socket: {error}"
        ))
    })?;
    let stopped = |error| Failure::failed(format!("the server stopped: {error}"));
    // Before the data folder is read, which can take a while: probes learn that the server is alive and not ready.
    let ops = match config.ops_listen {
        None => None,
        Some(address) => {
            let ops = Ops::listen(address).await;
            Some(ops.map_err(|error| bind_failure("ops-listen", address, &error))?)
        }
    };
    let cannot_start = |error: &dyn std::fmt::Display| {
        Failure::failed(format!("the server cannot start: {error}"))
    };
    let traces = Traces::of_environment().map_err(|error| cannot_start(&error))?;
    let mut opened = server::open(config)
        .map_err(|error| cannot_start(&error))?
        .probe()
        .await
        .map_err(|error| cannot_start(&error))?
        .with_traces(traces);
    if let Some(ops) = ops {
        opened = opened.with_ops(ops);
    }
    // The signal handlers are in place before the address is printed: a reader may stop the server at once.
    let shutdown = shutdown_signal(until_stdin_ends)?;
    let mut stdout = io::stdout().lock();
    // The server works even if its first lines cannot be written.
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

/// Resolves at the first SIGTERM or SIGINT, or at the end of the standard input if that is asked for. A signal after that ends
/// the process at once.
fn shutdown_signal(
    until_stdin_ends: bool,
) -> Result<impl Future<Output = ()> + Send + 'static, Failure> {
    let no_signals = |error| Failure::failed(format!("cannot listen for signals: {error}"));
    let mut terminate = signal(SignalKind::terminate()).map_err(no_signals)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(no_signals)?;
    let input_ended = if until_stdin_ends {
        Some(end_of_stdin()?)
    } else {
        None
    };
    let (asked, shutdown) = oneshot::channel::<()>();
    tokio::spawn(async move {
        let mut either = async || {
            tokio::select! {
                _ = terminate.recv() => "SIGTERM",
                _ = interrupt.recv() => "SIGINT",
            }
        };
        let reason = tokio::select! {
            signal = either() => signal,
            () = or_never(input_ended) => "the standard input ended",
        };
        tracing::info!(
            "{reason}: finishing the calls in progress; a further signal ends the process at once"
        );
        // The server may have failed already.
        let _ = asked.send(());
        either().await;
        std::process::exit(i32::from(INTERRUPTED));
    });
    Ok(async move {
        // An error means that the task above is gone and no signal can arrive any more: stop as well.
        let _ = shutdown.await;
    })
}

/// Reads the standard input and resolves at its end. A read cannot be cancelled: on a thread of the runtime it would hold
/// up the exit after a signal, on one of its own it ends with the process.
fn end_of_stdin() -> Result<oneshot::Receiver<()>, Failure> {
    let (ended, end) = oneshot::channel();
    let read = move || {
        // What comes is not of interest, and an input that cannot be read any more has ended, too.
        let _ = io::copy(&mut io::stdin().lock(), &mut io::sink());
        let _ = ended.send(());
    };
    std::thread::Builder::new()
        .name("stdin".to_owned())
        .spawn(read)
        .map_err(|error| {
            Failure::failed(format!(
                "cannot wait for the end of the standard input: {error}"
            ))
        })?;
    Ok(end)
}

async fn or_never(end: Option<oneshot::Receiver<()>>) {
    match end {
        Some(end) => {
            // A sender that is gone cannot tell of the end any more.
            let _ = end.await;
        }
        None => std::future::pending().await,
    }
}

fn bind_failure(flag: &str, address: SocketAddr, error: &io::Error) -> Failure {
    let advice = if error.kind() == io::ErrorKind::AddrInUse {
        let port = if flag == "listen" { "port" } else { flag };
        format!(
            "another process, perhaps another backpropd, listens there; stop it, or choose another port with --{port} \
             (0 takes a free one)"
        )
    } else if error.kind() == io::ErrorKind::AddrNotAvailable {
        format!(
            "no interface of this machine has that address; try --{flag} localhost:{}",
            address.port()
        )
    } else if error.kind() == io::ErrorKind::PermissionDenied {
        "ports below 1024 need privileges; choose a higher one".to_owned()
    } else {
        format!("choose another address with --{flag}")
    };
    Failure::failed(format!("cannot listen on {address}: {error}: {advice}"))
}

/// The address for a client on this machine: loopback if the server listens on every interface.
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
            log_filter::parse(filter).expect("a filter");
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
            text.contains(&listen.to_string()) && text.contains("--port"),
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
