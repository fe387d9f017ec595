//! The pages.

use bytes::Bytes;
use http::Request;

use super::{Reply, body, send};
use crate::fixture::Server;

async fn get(server: &Server, verb: &str, path: &str, headers: &[(&str, &str)]) -> Reply {
    let mut request = Request::builder()
        .method(verb)
        .uri(format!("http://{}{path}", server.address));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    send(server, request.body(body(Bytes::new())).expect("a request")).await
}

#[tokio::test]
async fn the_first_page_says_what_this_is_and_its_lines_name_this_server() {
    let server = Server::start().await;
    let page = get(&server, "GET", "/", &[]).await;
    assert_eq!(page.status, 200);
    let text = std::str::from_utf8(&page.body).expect("UTF-8");
    assert!(text.contains(&format!("http://{}/backprop.v1.", server.address)));
    assert!(text.contains(env!("CARGO_PKG_VERSION")));
    assert!(!text.contains("{{"));
    assert!(!text.contains("<script") && !text.contains(" style="));
    for (name, value) in [
        ("content-type", "text/html; charset=utf-8"),
        ("x-content-type-options", "nosniff"),
        ("referrer-policy", "no-referrer"),
        ("cache-control", "no-cache"),
    ] {
        assert_eq!(page.header(name), value);
    }
    let policy = page.header("content-security-policy");
    assert!(policy.contains("default-src 'self'") && policy.contains("frame-ancestors 'none'"));
    let known = get(
        &server,
        "GET",
        "/",
        &[("if-none-match", page.header("etag"))],
    )
    .await;
    assert_eq!((known.status.as_u16(), known.body.len()), (304, 0));
    let other = get(&server, "GET", "/", &[("if-none-match", "\"other\"")]).await;
    assert_eq!(other.status, 200);
    let head = get(&server, "HEAD", "/", &[]).await;
    assert_eq!((head.status.as_u16(), head.body.len()), (200, 0));
    assert_eq!(head.header("content-length"), page.body.len().to_string());
}

#[tokio::test]
async fn the_reference_is_served_small_and_whole() {
    use std::io::Read as _;
    let server = Server::start().await;
    let plain = get(&server, "GET", "/api", &[]).await;
    assert_eq!(plain.status, 200);
    assert_eq!(plain.header("content-encoding"), "");
    let text = std::str::from_utf8(&plain.body).expect("UTF-8");
    assert!(text.contains(&format!(" {} backprop.v1.", server.address)));
    assert!(!text.contains("127.0.0.1:50051"));
    for part in [
        ">API reference</h1>",
        "ApplyGradientsRequest",
        "href=\"#",
        "/style.css",
    ] {
        assert!(text.contains(part), "{part}");
    }
    for accepted in ["gzip", "br, gzip;q=0.5", "deflate, GZIP"] {
        let small = get(&server, "GET", "/api", &[("accept-encoding", accepted)]).await;
        assert_eq!(small.header("content-encoding"), "gzip", "{accepted}");
        assert!(small.body.len() < plain.body.len() / 3);
        let mut unpacked = Vec::new();
        flate2::read::GzDecoder::new(&*small.body)
            .read_to_end(&mut unpacked)
            .expect("gzip");
        assert!(unpacked == plain.body);
    }
    let refused = get(&server, "GET", "/api", &[("accept-encoding", "gzip;q=0")]).await;
    assert_eq!(refused.header("content-encoding"), "");
    assert_eq!(
        get(&server, "GET", "/style.css", &[])
            .await
            .header("content-type"),
        "text/css; charset=utf-8"
    );
    assert_eq!(get(&server, "GET", "/favicon.ico", &[]).await.status, 204);
    for verb in ["POST", "PUT", "OPTIONS"] {
        let refused = get(&server, verb, "/", &[]).await;
        assert_eq!(
            (refused.status.as_u16(), refused.header("allow")),
            (405, "GET, HEAD")
        );
    }
}
