//! The pages.

use std::io::Read as _;

use bytes::Bytes;
use flate2::read::GzDecoder;
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

fn unpacked(packed: &[u8]) -> Vec<u8> {
    let mut plain = Vec::new();
    let mut packed = GzDecoder::new(packed);
    packed.read_to_end(&mut plain).expect("gzip");
    plain
}

/// The paths of the scripts, styles and pictures that a page names.
fn files_of(page: &str) -> Vec<&str> {
    let parts = page.split(['"', '\'']);
    parts.filter(|part| part.starts_with("/assets/")).collect()
}

#[tokio::test]
async fn the_page_and_every_file_that_it_names_are_served_under_a_strict_policy() {
    let server = Server::start().await;
    let page = get(&server, "GET", "/", &[]).await;
    let text = std::str::from_utf8(&page.body).expect("UTF-8");
    assert!(text.contains("<script type=\"module\""), "{text}");
    assert!(
        !text.contains(" style=") && !text.contains("://"),
        "nothing inline, nothing from elsewhere: {text}"
    );
    let files = files_of(text);
    assert!(files.iter().any(|file| file.ends_with(".js")), "{text}");
    for (path, caching) in files
        .iter()
        .map(|file| (*file, "public, max-age=31536000, immutable"))
        .chain([("/", "no-cache"), ("/index.html", "no-cache")])
    {
        let plain = get(&server, "GET", path, &[]).await;
        assert_eq!(plain.status, 200, "{path}");
        for (name, value) in [
            ("cache-control", caching),
            ("x-content-type-options", "nosniff"),
            ("referrer-policy", "no-referrer"),
            ("cross-origin-resource-policy", "same-origin"),
            ("content-encoding", ""),
        ] {
            assert_eq!(plain.header(name), value, "{path}");
        }
        let policy = plain.header("content-security-policy");
        for rule in [
            "default-src 'self'",
            "base-uri 'none'",
            "form-action 'none'",
            "frame-ancestors 'none'",
        ] {
            assert!(policy.split("; ").any(|given| given == rule), "{policy}");
        }
        assert!(!policy.contains("unsafe"), "{policy}");
        let content_type = match path.rsplit('.').next() {
            Some("js") => "text/javascript; charset=utf-8",
            Some("css") => "text/css; charset=utf-8",
            Some("svg") => "image/svg+xml",
            _ => "text/html; charset=utf-8",
        };
        assert_eq!(plain.header("content-type"), content_type, "{path}");
    }
}

#[tokio::test]
async fn a_file_is_sent_packed_to_those_who_take_it_and_not_at_all_to_those_who_have_it() {
    let server = Server::start().await;
    let page = get(&server, "GET", "/", &[]).await;
    let text = String::from_utf8(page.body.to_vec()).expect("UTF-8");
    let script = files_of(&text)
        .into_iter()
        .find(|file| file.ends_with(".js"));
    let script = script.expect("a script");
    let plain = get(&server, "GET", script, &[]).await;
    let gzip = ("accept-encoding", "br, gzip");
    let packed = get(&server, "GET", script, &[gzip]).await;
    assert_eq!(packed.header("content-encoding"), "gzip");
    assert!(packed.body.len() < plain.body.len() / 2);
    assert!(unpacked(&packed.body) == plain.body);
    assert_ne!(packed.header("etag"), plain.header("etag"));
    for reply in [&plain, &packed] {
        assert_eq!(reply.header("vary"), "accept-encoding");
        assert_eq!(reply.header("content-length"), reply.body.len().to_string());
        let tag = ("if-none-match", reply.header("etag"));
        let head = get(&server, "HEAD", script, &[]).await;
        assert_eq!((head.status.as_u16(), head.body.len()), (200, 0));
        assert_eq!(head.header("content-length"), plain.body.len().to_string());
        let headers = if reply.header("content-encoding") == "gzip" {
            vec![tag, gzip]
        } else {
            vec![tag]
        };
        let known = get(&server, "GET", script, &headers).await;
        assert_eq!((known.status.as_u16(), known.body.len()), (304, 0));
        assert_eq!(known.header("etag"), reply.header("etag"));
        let changed = get(&server, "GET", script, &[("if-none-match", "\"old\"")]).await;
        assert_eq!(changed.status, 200);
    }
}

#[tokio::test]
async fn a_path_of_no_file_is_not_found_and_no_path_leaves_the_page() {
    let server = Server::start().await;
    for path in [
        "/assets/",
        "/assets/none.js",
        "/index.htm",
        "//",
        "/assets/../index.html",
        "/%69ndex.html",
        "/web/dist/index.html",
        "/assets/%2e%2e/index.html",
    ] {
        let reply = get(&server, "GET", path, &[]).await;
        assert_eq!(reply.status, 404, "{path}");
        let error = ("unimplemented".to_owned(), "UNKNOWN_METHOD".to_owned());
        assert_eq!(reply.error(), error, "{path}");
    }
}

#[tokio::test]
async fn without_the_page_the_first_page_says_what_this_is() {
    let server = Server::with(|config| config.web = false).await;
    let [first, about] = [
        get(&server, "GET", "/", &[]).await,
        get(&server, "GET", "/about", &[]).await,
    ];
    assert_eq!((first.status.as_u16(), about.status.as_u16()), (200, 200));
    assert!(first.body == about.body);
    assert_eq!(get(&server, "GET", "/api", &[]).await.status, 200);
    let files = Server::start().await;
    let page = get(&files, "GET", "/", &[]).await;
    let text = String::from_utf8(page.body.to_vec()).expect("UTF-8");
    for path in files_of(&text).into_iter().chain(["/index.html"]) {
        assert_eq!(get(&files, "GET", path, &[]).await.status, 200, "{path}");
        assert_eq!(get(&server, "GET", path, &[]).await.status, 404, "{path}");
    }
}

#[tokio::test]
async fn about_says_what_this_is_and_its_lines_name_this_server() {
    let server = Server::start().await;
    let page = get(&server, "GET", "/about", &[]).await;
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
        "/about",
        &[("if-none-match", page.header("etag"))],
    )
    .await;
    assert_eq!((known.status.as_u16(), known.body.len()), (304, 0));
    let other = get(&server, "GET", "/about", &[("if-none-match", "\"other\"")]).await;
    assert_eq!(other.status, 200);
    let head = get(&server, "HEAD", "/about", &[]).await;
    assert_eq!((head.status.as_u16(), head.body.len()), (200, 0));
    assert_eq!(head.header("content-length"), page.body.len().to_string());
}

#[tokio::test]
async fn the_reference_is_served_small_and_whole() {
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
        assert!(unpacked(&small.body) == plain.body);
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
