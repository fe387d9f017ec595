//! The pages that say what this server is. They are compiled in, need no script, and load nothing from elsewhere.

use std::io::{Read as _, Write as _};
use std::sync::{LazyLock, Mutex, PoisonError};

use bytes::Bytes;
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use http::header::{
    ACCEPT_ENCODING, ALLOW, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LENGTH,
    CONTENT_SECURITY_POLICY, ETAG, IF_NONE_MATCH, REFERRER_POLICY, VARY,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode};

use super::answers::answer;
use super::errors;
use crate::status::{Reason, Refusal};
use crate::transport::bodies::ReplyBody;

const INDEX: &str = include_str!("pages/index.html");
const STYLE: &str = include_str!("pages/style.css");
/// The API reference, from `docs/api.md`: `UPDATE=1 cargo test --test readme api` writes it.
const API: &[u8] = include_bytes!("pages/api.html.gz");

/// What stands in the index for the address of this server, and for its version.
const SERVER: &str = "{{server}}";
const VERSION: &str = "{{version}}";

/// How the reference calls a server, and where; it is written for the default port.
const CALL: &str = "grpcurl -plaintext ";
const DOCUMENTED: &str = "127.0.0.1:50051";

/// Nothing but this server's own files; no page around it, no form.
const POLICY: &str =
    "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// The largest reference, in bytes.
const LARGEST: u64 = 4 << 20;

static API_TEXT: LazyLock<String> = LazyLock::new(|| {
    let mut text = String::new();
    // A test reads the same bytes.
    let _ = GzDecoder::new(API).take(LARGEST).read_to_string(&mut text);
    text
});

/// The last reference that was asked for: its readers mostly use one name of the server.
static API_OF: Mutex<Option<Reference>> = Mutex::new(None);

/// The reference, with lines that call the server at a URL.
#[derive(Clone)]
struct Reference {
    server: Box<str>,
    plain: Bytes,
    packed: Bytes,
}

impl Reference {
    fn of(server: &str) -> Self {
        let mut last = API_OF.lock().unwrap_or_else(PoisonError::into_inner);
        match &*last {
            Some(known) if *known.server == *server => known.clone(),
            Some(_) | None => last.insert(Self::new(server)).clone(),
        }
    }

    fn new(server: &str) -> Self {
        let (call, to) = match server.split_once("://") {
            Some(("https", authority)) => ("grpcurl ", authority),
            Some((_, authority)) => (CALL, authority),
            None => (CALL, server),
        };
        let plain = API_TEXT.replace(CALL, call).replace(DOCUMENTED, to);
        let mut packer = GzEncoder::new(Vec::new(), Compression::fast());
        // A Vec takes everything.
        let _ = packer.write_all(plain.as_bytes());
        Self {
            server: server.into(),
            packed: packer.finish().unwrap_or_default().into(),
            plain: plain.into(),
        }
    }
}

/// A page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Page {
    Index,
    Api,
    Style,
    /// A picture that browsers ask for and this server has not.
    Icon,
}

/// The page at `path`.
pub fn find(path: &str) -> Option<Page> {
    match path {
        "/" => Some(Page::Index),
        "/api" => Some(Page::Api),
        "/style.css" => Some(Page::Style),
        "/favicon.ico" => Some(Page::Icon),
        _ => None,
    }
}

/// The answer to a request for `page`, from the server that is reached at the URL `server`.
pub fn answer_to<B>(page: Page, request: &Request<B>, server: &str) -> Response<ReplyBody> {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return not_read(request.uri().path());
    }
    let accepts_gzip = accepts_gzip(request.headers());
    let (content_type, body) = match page {
        Page::Index => ("text/html; charset=utf-8", index(server)),
        Page::Api if accepts_gzip => ("text/html; charset=utf-8", Reference::of(server).packed),
        Page::Api => ("text/html; charset=utf-8", Reference::of(server).plain),
        Page::Style => (
            "text/css; charset=utf-8",
            Bytes::from_static(STYLE.as_bytes()),
        ),
        Page::Icon => {
            let mut response = answer(StatusCode::NO_CONTENT, "image/x-icon", Bytes::new());
            response.headers_mut().remove(http::header::CONTENT_TYPE);
            return response;
        }
    };
    let tag = format!("\"{}\"", &blake3::hash(&body).to_hex()[..16]);
    let is_known = request.headers().get_all(IF_NONE_MATCH).iter().any(|tags| {
        let tags = tags.to_str().unwrap_or_default().split(',').map(str::trim);
        tags.map(|known| known.strip_prefix("W/").unwrap_or(known))
            .any(|known| known == tag || known == "*")
    });
    let length = body.len();
    let has_body = !is_known && request.method() == Method::GET;
    let code = if is_known {
        StatusCode::NOT_MODIFIED
    } else {
        StatusCode::OK
    };
    let body = if has_body { body } else { Bytes::new() };
    let mut response = answer(code, content_type, body);
    let headers = response.headers_mut();
    if !is_known {
        headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
    }
    if page == Page::Api {
        headers.insert(VARY, HeaderValue::from_static("accept-encoding"));
        if accepts_gzip {
            headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        }
    }
    if let Ok(tag) = HeaderValue::from_str(&tag) {
        headers.insert(ETAG, tag);
    }
    for (name, value) in [
        (CACHE_CONTROL, "no-cache"),
        (CONTENT_SECURITY_POLICY, POLICY),
        (REFERRER_POLICY, "no-referrer"),
        (
            HeaderName::from_static("cross-origin-resource-policy"),
            "same-origin",
        ),
        (
            HeaderName::from_static("cross-origin-opener-policy"),
            "same-origin",
        ),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

/// The answer to another verb than GET and HEAD.
fn not_read(path: &str) -> Response<ReplyBody> {
    let message = format!(
        "{path} is a page: read it with GET; POST /backprop.v1.SERVICE/METHOD calls a method"
    );
    let status = Refusal::new(Reason::UnknownMethod, message).status();
    let mut response = errors::plain(StatusCode::METHOD_NOT_ALLOWED, &status);
    let allowed = HeaderValue::from_static("GET, HEAD");
    response.headers_mut().insert(ALLOW, allowed);
    response
}

/// The first page, with lines that call the server by the name that the reader used.
fn index(server: &str) -> Bytes {
    // A host has letters, digits and `-_.:[]` only: none that HTML or a shell would interpret.
    let page = INDEX.replace(SERVER, server);
    Bytes::from(page.replace(VERSION, env!("CARGO_PKG_VERSION")))
}

/// Whether the client takes gzip; `gzip;q=0` says that it does not.
fn accepts_gzip(headers: &HeaderMap) -> bool {
    let values = headers.get_all(ACCEPT_ENCODING).iter();
    let mut codings = values.flat_map(|value| value.to_str().unwrap_or_default().split(','));
    codings.any(|coding| {
        let mut parts = coding.split(';').map(str::trim);
        let name = parts.next().unwrap_or_default();
        let is_refused = parts.any(|part| {
            let quality = part.strip_prefix("q=").map(str::parse::<f32>);
            quality.is_some_and(|quality| quality != Ok(1.0) && !quality.is_ok_and(|q| q > 0.0))
        });
        name.eq_ignore_ascii_case("gzip") && !is_refused
    })
}
