//! Pages of other sites get nothing.

use http::Request;
use prost::Message as _;

use super::{Reply, body, send};
use crate::fixture::Server;

const INFO: &str = "/backprop.v1.ServerService/GetServerInfo";

async fn ask(server: &Server, host: &str, content_type: &str, origin: Option<&str>) -> Reply {
    let mut request =
        Request::post(format!("http://{host}{INFO}")).header("content-type", content_type);
    if let Some(origin) = origin {
        request = request.header("origin", origin);
    }
    let text = match content_type {
        "application/json" => &b"{}"[..],
        "application/proto" => b"",
        _ => b"\0\0\0\0\0",
    };
    send(server, request.body(body(text)).expect("a request")).await
}

#[tokio::test]
async fn every_form_that_a_browser_can_send_is_checked() {
    let server = Server::with(|config| config.hosts = "lab.uni.edu".to_owned()).await;
    let own = server.address.to_string();
    for content_type in [
        "application/json",
        "application/proto",
        "application/grpc-web+proto",
    ] {
        for (host, origin, status) in [
            (&*own, None, 200),
            ("localhost:1", None, 200),
            ("lab.uni.edu", None, 200),
            (&own, Some(format!("http://{own}")), 200),
            ("lab.uni.edu", Some("https://lab.uni.edu".to_owned()), 200),
            ("evil.example", None, 403),
            ("evil.example", Some("http://evil.example".to_owned()), 403),
            (&own, Some("http://evil.example".to_owned()), 403),
            (&own, Some("null".to_owned()), 403),
            (&own, Some("http://localhost:3000".to_owned()), 403),
        ] {
            let reply = ask(&server, host, content_type, origin.as_deref()).await;
            assert_eq!(
                reply.status, status,
                "{content_type} {host} {origin:?}: {reply:?}"
            );
            let allows = reply
                .headers
                .keys()
                .any(|name| name.as_str().starts_with("access-control"));
            assert!(!allows, "{reply:?}");
            if status == 403 {
                let (code, reason) = reply.error();
                assert_eq!(code, "permission_denied");
                assert!(reason.starts_with("FOREIGN_"), "{reason}");
                let text = reply.json().to_string();
                assert!(
                    text.contains("--hosts") || origin.as_deref() == Some("null"),
                    "{text}"
                );
            }
        }
    }
}

/// A gRPC client may call the server by any name; a page may not, even in the form of gRPC.
#[tokio::test]
async fn native_calls_are_checked_where_they_have_an_origin() {
    let server = Server::start().await;
    let reply = ask(
        &server,
        "training.svc.cluster.local",
        "application/grpc",
        None,
    )
    .await;
    assert_eq!(reply.status, 200);
    let message = &reply.body[5..];
    backpropd::rpc::pb::GetServerInfoResponse::decode(message).expect("a reply");
    for origin in ["http://evil.example", "null"] {
        let reply = ask(&server, "localhost", "application/grpc", Some(origin)).await;
        assert_eq!(reply.status, 403, "{origin}");
    }
    let reply = ask(
        &server,
        "localhost",
        "application/grpc+proto",
        Some("http://localhost"),
    )
    .await;
    assert_eq!(reply.status, 200);
}

#[tokio::test]
async fn pages_are_not_for_other_names() {
    let server = Server::start().await;
    for path in ["/", "/api", "/style.css", "/favicon.ico", "/other"] {
        let request = Request::get(format!("http://evil.example{path}")).body(body(""));
        let reply = send(&server, request.expect("a request")).await;
        assert_eq!(reply.status, 403, "{path}");
    }
}
