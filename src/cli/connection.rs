//! Connections to a server that a command is told to use.

use tonic::transport::{Channel, Endpoint};

use super::Failure;

/// A channel to `server`, ready for batches of some megabytes.
pub(super) async fn connect(server: &str) -> Result<Channel, Failure> {
    const STREAM_WINDOW: u32 = 4 << 20;
    let endpoint =
        endpoint(server).map_err(|why| Failure::usage(format!("--server {server}: {why}")))?;
    endpoint
        // A batch of some megabytes would otherwise wait for the server's leave every 64 KiB.
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(4 * STREAM_WINDOW)
        .connect()
        .await
        .map_err(|error| {
            let why = causes(&error);
            Failure::failed(format!("cannot connect to {server}: {why}; start one with `backpropd`, or leave --server out"))
        })
}

/// The endpoint of `server`, whose `http://` may be left out.
pub(super) fn endpoint(server: &str) -> Result<Endpoint, String> {
    if server.starts_with("https:") {
        return Err(
            "TLS is not supported yet; use http:// and keep to networks you trust".to_owned(),
        );
    }
    let url = if server.contains("://") {
        server.to_owned()
    } else {
        format!("http://{server}")
    };
    Endpoint::from_shared(url)
        .ok()
        .filter(|endpoint| endpoint.uri().host().is_some())
        .ok_or_else(|| "this is not a URL such as http://127.0.0.1:50051".to_owned())
}

/// An error with what caused it: tonic's own text is "transport error" and no more.
pub(super) fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        // Wrappers often repeat what they wrap.
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
