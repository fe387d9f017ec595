//! Connections to the server of `--server`.

use tonic::transport::{Channel, Endpoint};

use super::Failure;

/// A channel to `server`, with windows for batches of some megabytes.
pub(super) async fn connect(server: &str) -> Result<Channel, Failure> {
    const STREAM_WINDOW: u32 = 4 << 20;
    let endpoint =
        endpoint(server).map_err(|why| Failure::usage(format!("--server {server}: {why}")))?;
    endpoint
        // With the default window, a batch of some megabytes waits for the server every 64 KiB.
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(4 * STREAM_WINDOW)
        .connect()
        .await
        .map_err(|error| {
            let why = causes(&error);
            Failure::failed(format!("cannot connect to {server}: {why}; start a server with `backpropd`, or leave --server out"))
        })
}

/// The endpoint of `server`; `http://` is optional. A name such as localhost is resolved when the channel connects, and each
/// of its addresses is tried, IPv6 and IPv4.
pub(super) fn endpoint(server: &str) -> Result<Endpoint, String> {
    if server.starts_with("https:") {
        return Err("TLS is not supported; use http:// on a network that you trust".to_owned());
    }
    let url = if server.contains("://") {
        server.to_owned()
    } else {
        format!("http://{server}")
    };
    Endpoint::from_shared(url)
        .ok()
        .filter(|endpoint| endpoint.uri().host().is_some())
        .ok_or_else(|| {
            "this is not an address such as localhost:50051 or a URL such as http://127.0.0.1:50051"
                .to_owned()
        })
}

/// An error with its causes: tonic's own text is only "transport error".
pub(super) fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        // Wrappers often repeat the text of their cause.
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scheme_may_be_left_out() {
        assert_eq!(
            endpoint("127.0.0.1:1").expect("a URL").uri().to_string(),
            "http://127.0.0.1:1/"
        );
        assert!(
            endpoint("https://host:1")
                .expect_err("no TLS")
                .contains("http://")
        );
        assert!(endpoint("a b").is_err());
    }
}
