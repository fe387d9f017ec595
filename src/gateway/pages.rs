//! The page for browsers, and the pages that say what this server is. They are compiled in, and load nothing from elsewhere;
//! all but the first need no script.

mod web;

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

const ABOUT: &str = include_str!("pages/about.html");
const STYLE: &str = include_str!("pages/style.css");
/// The API reference, from `docs/api.md`: `UPDATE=1 cargo test --test readme api` writes it.
const API: &[u8] = include_bytes!("pages/api.html.gz");

/// What stands in that page for the address of this server, and for its version.
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
    /// A file of the page for browsers.
    Web(&'static web::File),
    /// What this server is, and how to call it without a browser.
    About,
    Api,
    Style,
    /// A picture that browsers ask for and this server has not.
    Icon,
}

/// The page at `path`; `has_web` is the setting `web`.
pub fn find(path: &str, has_web: bool) -> Option<Page> {
    match path {
        "/about" => Some(Page::About),
        "/" if !has_web => Some(Page::About),
        "/api" => Some(Page::Api),
        "/style.css" => Some(Page::Style),
        "/favicon.ico" => Some(Page::Icon),
        _ if has_web => web::find(path).map(Page::Web),
        _ => None,
    }
}

impl Page {
    /// Whether a client that takes gzip gets gzip.
    fn is_packed(self) -> bool {
        match self {
            Self::Web(file) => file.is_packed,
            Self::Api => true,
            Self::About | Self::Style | Self::Icon => false,
        }
    }

    /// How long a client may use its copy without asking.
    fn caching(self) -> &'static str {
        match self {
            Self::Web(file) if file.is_immutable() => "public, max-age=31536000, immutable",
            Self::Web(_) | Self::About | Self::Api | Self::Style | Self::Icon => "no-cache",
        }
    }
}

/// The answer to a request for `page`, from the server that is reached at the URL `server`.
pub fn answer_to<B>(page: Page, request: &Request<B>, server: &str) -> Response<ReplyBody> {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return not_read(request.uri().path());
    }
    let accepts_gzip = accepts_gzip(request.headers());
    let (content_type, body) = match page {
        Page::Web(file) => (file.content_type, file.body(accepts_gzip)),
        Page::About => ("text/html; charset=utf-8", about(server)),
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
    if page.is_packed() {
        headers.insert(VARY, HeaderValue::from_static("accept-encoding"));
        if accepts_gzip {
            headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        }
    }
    if let Ok(tag) = HeaderValue::from_str(&tag) {
        headers.insert(ETAG, tag);
    }
    for (name, value) in [
        (CACHE_CONTROL, page.caching()),
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

/// What this server is, with lines that call it by the name that the reader used.
fn about(server: &str) -> Bytes {
    // A host has letters, digits and `-_.:[]` only: none that HTML or a shell would interpret.
    let page = ABOUT.replace(SERVER, server);
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
