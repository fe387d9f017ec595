//! Addresses of servers, and connections to them.

use tonic::transport::{Channel, Endpoint};

use crate::explain::causes;

/// Bytes that a server may send on one stream before the client has read them.
const STREAM_WINDOW: u32 = 4 << 20;

/// The same for all streams of a connection.
const CONNECTION_WINDOW: u32 = 4 * STREAM_WINDOW;

/// Why an address is not one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidAddress {
    /// It asks for TLS.
    #[error("TLS is not supported; use http:// on a network that you trust")]
    Tls,
    /// It is neither HOST:PORT nor a URL.
    #[error(
        "this is not an address such as localhost:50051 or a URL such as http://127.0.0.1:50051"
    )]
    Malformed,
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The address is invalid.
    #[error("{server}: {why}")]
    Address {
        /// The given address.
        server: String,
        /// The fault.
        why: InvalidAddress,
    },
    /// No server answers at the address.
    #[error("cannot connect to {server}: {}", causes(.source))]
    Unreachable {
        /// The given address.
        server: String,
        /// The error of the transport.
        source: tonic::transport::Error,
    },
}

/// The endpoint of `server`, which is `HOST:PORT` or a URL with the scheme `http`. A name such as `localhost` is
/// resolved when the endpoint connects; each of its addresses is tried, IPv6 and IPv4.
///
/// # Errors
/// The address is malformed, or asks for TLS.
pub fn endpoint(server: &str) -> Result<Endpoint, InvalidAddress> {
    if server.starts_with("https:") {
        return Err(InvalidAddress::Tls);
    }
    let url = if server.contains("://") {
        server.to_owned()
    } else {
        format!("http://{server}")
    };
    let endpoint = Endpoint::from_shared(url)
        .ok()
        .filter(|endpoint| endpoint.uri().host().is_some())
        .ok_or(InvalidAddress::Malformed)?;
    // With the default window, a reply of some megabytes waits for the client every 64 KiB.
    Ok(endpoint
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW))
}

/// A channel to `server`, connected.
pub(crate) async fn connect(server: &str) -> Result<Channel, ConnectError> {
    let endpoint = endpoint(server).map_err(|why| ConnectError::Address {
        server: server.to_owned(),
        why,
    })?;
    let connected = endpoint.connect().await;
    connected.map_err(|source| ConnectError::Unreachable {
        server: server.to_owned(),
        source,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scheme_may_be_left_out() {
        let uri = |server| endpoint(server).map(|endpoint| endpoint.uri().to_string());
        assert_eq!(uri("127.0.0.1:1"), Ok("http://127.0.0.1:1/".to_owned()));
        assert_eq!(uri("localhost:1"), Ok("http://localhost:1/".to_owned()));
        assert_eq!(uri("http://[::1]:1"), Ok("http://[::1]:1/".to_owned()));
        assert_eq!(uri("https://host:1"), Err(InvalidAddress::Tls));
        assert_eq!(uri("a b"), Err(InvalidAddress::Malformed));
    }
}
