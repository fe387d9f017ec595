//! Which requests are for this server, and which come from another site's page.
//!
//! A page can make its reader's browser send requests to any address, this server's own loopback included. Two checks
//! keep such a page out:
//!
//! - **`Host`.** A page of `evil.example` whose name first leads to its own server and then to 127.0.0.1 (DNS rebinding)
//!   is of the same origin as its requests, so the browser lets it read the replies. But the requests carry the name, so
//!   every request must name a host of ours: an address, `localhost`, or a name of the setting `hosts`. Any *address*
//!   will do, because a name is what rebinding needs: a browser that was given `http://192.168.1.5` connects there.
//! - **`Origin`.** Without rebinding, a request from another page carries the page's origin, which must be that of the
//!   request's own host, or one of `hosts`. `Origin: null` is that of sandboxed frames and local files: of anybody.
//!
//! Browsers send `Origin` with every POST, and no headers of ours (CORS) allow another origin to send JSON or read a
//! reply: the preflight that a browser sends first is refused.
//!
//! One kind of request is spared the check: gRPC over HTTP/2 without `Origin`. Browsers speak HTTP/2 only over TLS, where
//! a rebound name fails at the certificate; and they send `Origin` with every POST. All others are checked: HTTP/1, every
//! other `content-type`, pages, and whatever carries an `Origin`.

use std::net::IpAddr;

use http::header::{HOST, ORIGIN};
use http::uri::Authority;
use http::{HeaderMap, HeaderName, Request, StatusCode};
use tonic::Status;

use crate::config::Config;
use crate::status::{Reason, Refusal};

/// A host, and its port where one is given.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Place {
    /// In lower case, without the dot at the end; an address in its usual form, without brackets.
    host: String,
    port: Option<u16>,
}

impl Place {
    /// Reads `host`, `host:port`, `address:port` or `[address]:port`.
    fn of(text: &str) -> Option<Self> {
        if text.contains('@') {
            return None;
        }
        let authority: Authority = text.parse().ok()?;
        let port = match text.strip_prefix(authority.host())? {
            "" | ":" => None,
            // `port_u16` has none for a number that is no port.
            _ => Some(authority.port_u16()?),
        };
        let host = authority.host();
        let inner = host
            .strip_prefix('[')
            .and_then(|host| host.strip_suffix(']'));
        let host = match inner {
            Some(address) => address.parse::<std::net::Ipv6Addr>().ok()?.to_string(),
            None => host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase(),
        };
        let is_plain = |letter: u8| letter.is_ascii_alphanumeric() || b"-_.:".contains(&letter);
        (!host.is_empty() && host.bytes().all(is_plain)).then_some(Self { host, port })
    }

    /// The port, or the usual one.
    fn port_or(&self, usual: u16) -> u16 {
        self.port.unwrap_or(usual)
    }
}

/// The names of this server.
#[derive(Debug)]
pub struct Hosts {
    /// Those of the setting `hosts`.
    set: Vec<Place>,
}

/// A refusal.
#[derive(Debug)]
pub struct Refused {
    /// The HTTP status.
    pub code: StatusCode,
    /// The error.
    pub status: Box<Status>,
    /// The host or the origin that is none of ours; `None` where there is none to read.
    pub foreign: Option<String>,
}

impl Hosts {
    /// The hosts that the configuration names.
    pub fn new(config: &Config) -> Self {
        let names = config.hosts.split(',').map(str::trim);
        Self {
            set: names.filter_map(Place::of).collect(),
        }
    }

    /// Checks the host and the origin of a request, and returns the host as the request writes it.
    ///
    /// # Errors
    /// The request is not for this server, or from another site.
    pub fn check<B>(&self, request: &Request<B>) -> Result<String, Refused> {
        let text = asked(request)?;
        let Some(host) = Place::of(text) else {
            return Err(malformed(format!("{text:?} is no host")));
        };
        if !self.is_ours(&host) {
            let message = format!(
                "the request is for the host {text:?}, which is none of this server's: call it by its address or as \
                 localhost, or add the name to the setting `hosts` (--hosts {}, BACKPROPD_HOSTS)",
                host.host
            );
            return Err(foreign(Reason::ForeignHost, text, message));
        }
        let headers = request.headers();
        if let Some(origin) = only(headers, &ORIGIN)? {
            self.check_origin(origin, &host)?;
        }
        Ok(text.to_owned())
    }

    fn is_ours(&self, host: &Place) -> bool {
        host.host == "localhost" || host.host.parse::<IpAddr>().is_ok() || self.names(host)
    }

    /// Whether the setting names this host. A name without a port is one for every port; a request leaves the usual
    /// ports out.
    fn names(&self, host: &Place) -> bool {
        let is_it = |set: &Place| {
            let is_port = match set.port {
                None => true,
                Some(port @ (80 | 443)) => host.port_or(port) == port,
                Some(port) => host.port == Some(port),
            };
            set.host == host.host && is_port
        };
        self.set.iter().any(is_it)
    }

    fn check_origin(&self, origin: &str, host: &Place) -> Result<(), Refused> {
        let usual = |scheme: &str| match scheme {
            "http" => Some(80),
            "https" => Some(443),
            _ => None,
        };
        let place = origin
            .split_once("://")
            .and_then(|(scheme, place)| Some((Place::of(place)?, usual(scheme)?)));
        let is_allowed = place.as_ref().is_some_and(|(place, usual)| {
            let is_same = place.host == host.host && place.port_or(*usual) == host.port_or(*usual);
            is_same || self.names(place)
        });
        if is_allowed {
            return Ok(());
        }
        let way_out = match &place {
            Some((place, _)) => format!(
                "if that page is yours, add its host to the setting `hosts` (--hosts {}, BACKPROPD_HOSTS)",
                match place.port {
                    Some(port) => format!("{}:{port}", place.host),
                    None => place.host.clone(),
                }
            ),
            None => {
                "open the page over http or https from a host of the setting `hosts`".to_owned()
            }
        };
        let shown: String = origin.chars().take(100).collect();
        let message =
            format!("the request comes from a page of another origin, {shown:?}: {way_out}");
        Err(foreign(Reason::ForeignOrigin, origin, message))
    }
}

/// The host that a request asks for: of its target if that names one, else of its header. Both have to agree.
fn asked<B>(request: &Request<B>) -> Result<&str, Refused> {
    let header = only(request.headers(), &HOST)?;
    let target = request.uri().authority().map(Authority::as_str);
    match (target, header) {
        (Some(target), Some(header)) if Place::of(target) != Place::of(header) => Err(malformed(
            format!("the request is for {target:?}, and its header says {header:?}"),
        )),
        (Some(host), _) | (None, Some(host)) => Ok(host),
        (None, None) => Err(malformed("there is no header `host`".to_owned())),
    }
}

/// The value of a header that occurs at most once.
fn only<'r>(headers: &'r HeaderMap, name: &HeaderName) -> Result<Option<&'r str>, Refused> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (None, _) => Ok(None),
        (Some(value), None) => match value.to_str() {
            Ok(value) => Ok(Some(value)),
            Err(_) => Err(malformed(format!("the header `{name}` is no text"))),
        },
        (Some(_), Some(_)) => Err(malformed(format!("there are several headers `{name}`"))),
    }
}

fn malformed(what: String) -> Refused {
    let message = format!("{what}: send one header `host`, such as \"localhost:50051\"");
    let status = Refusal::new(Reason::MalformedMessage, message).status();
    Refused {
        code: StatusCode::BAD_REQUEST,
        status: Box::new(status),
        foreign: None,
    }
}

fn foreign(reason: Reason, from: &str, message: String) -> Refused {
    Refused {
        code: StatusCode::FORBIDDEN,
        status: Box::new(Refusal::new(reason, message).status()),
        foreign: Some(from.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(hosts: &str, uri: &str, headers: &[(&str, &str)]) -> u16 {
        let config = Config {
            hosts: hosts.to_owned(),
            ..Config::default()
        };
        let mut request = Request::post(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(()).expect("a request");
        match Hosts::new(&config).check(&request) {
            Ok(_) => 200,
            Err(refused) => refused.code.as_u16(),
        }
    }

    #[test]
    fn addresses_localhost_and_the_names_that_are_set_are_ours() {
        for host in [
            "localhost",
            "LOCALHOST:50051",
            "localhost.",
            "localhost.:80",
            "127.0.0.1",
            "127.9.9.9:1",
            "[::1]",
            "[::1]:50051",
            "[0:0:0:0:0:0:0:1]",
            "192.168.1.5:50051",
            "lab.uni.edu",
            "Lab.Uni.edu.:443",
            "localhost:",
            "other:8080",
        ] {
            assert_eq!(
                verdict("lab.uni.edu, other:8080", "/", &[("host", host)]),
                200,
                "{host}"
            );
        }
        for host in [
            "evil.example",
            "evil.example:50051",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "localhost..",
            "xlocalhost",
            "other",
            "other:8081",
            "lab.uni.edu.evil.example",
            "0x7f.1",
            "2130706433",
            "127.1",
            "0177.0.0.1",
        ] {
            let set = "lab.uni.edu, other:8080";
            assert_eq!(verdict(set, "/", &[("host", host)]), 403, "{host}");
        }
        for host in [
            "",
            "evil@localhost",
            "localhost@evil",
            "localhost:port",
            "localhost:99999",
            "[::1",
            "::1",
            "[::1%25lo]",
            "local host",
            "localhost/x",
            "localhost,evil",
            "localhost:80:80",
            "[localhost]",
        ] {
            assert_eq!(verdict("", "/", &[("host", host)]), 400, "{host}");
        }
    }

    #[test]
    fn a_request_names_one_host() {
        assert_eq!(verdict("", "/", &[]), 400);
        assert_eq!(
            verdict("", "/", &[("host", "localhost"), ("host", "localhost")]),
            400
        );
        assert_eq!(verdict("", "http://localhost:1/", &[]), 200);
        assert_eq!(
            verdict("", "http://localhost:1/", &[("host", "localhost:1")]),
            200
        );
        assert_eq!(
            verdict("", "http://localhost:1/", &[("host", "LOCALHOST.:1")]),
            200
        );
        assert_eq!(
            verdict("", "http://evil.example/", &[("host", "localhost")]),
            400
        );
        assert_eq!(
            verdict("", "http://localhost/", &[("host", "evil.example")]),
            400
        );
        assert_eq!(
            verdict("", "http://evil.example/", &[("host", "evil.example")]),
            403
        );
    }

    #[test]
    fn a_page_of_another_origin_gets_nothing() {
        let of = |hosts: &str, origin: &str| {
            verdict(
                hosts,
                "/",
                &[("host", "localhost:50051"), ("origin", origin)],
            )
        };
        for origin in [
            "http://localhost:50051",
            "https://localhost:50051",
            "http://LOCALHOST:50051",
        ] {
            assert_eq!(of("", origin), 200, "{origin}");
        }
        for origin in [
            "null",
            "",
            "http://localhost",
            "http://localhost:3000",
            "http://127.0.0.1:50051",
            "http://evil.example",
            "http://evil.example:50051",
            "file://",
            "file:///localhost:50051",
            "chrome-extension://localhost:50051",
            "http://localhost:50051@evil.example",
            "localhost:50051",
            "http://localhost:50051/",
            "//localhost:50051",
        ] {
            assert_eq!(of("", origin), 403, "{origin}");
        }
        assert_eq!(of("localhost:3000", "http://localhost:3000"), 200);
        assert_eq!(of("localhost:3000", "http://localhost:3001"), 403);
        assert_eq!(of("lab.uni.edu", "https://lab.uni.edu"), 200);
        assert_eq!(of("lab.uni.edu", "https://lab.uni.edu:8443"), 200);
        let host = ("host", "lab.uni.edu");
        let origin = |origin| verdict("lab.uni.edu:443", "/", &[host, ("origin", origin)]);
        assert_eq!(origin("https://lab.uni.edu"), 200);
        assert_eq!(origin("https://lab.uni.edu:8443"), 403);
    }

    #[test]
    fn the_usual_port_may_be_left_out() {
        let of = |host: &str, origin: &str| {
            verdict("lab.uni.edu", "/", &[("host", host), ("origin", origin)])
        };
        assert_eq!(of("lab.uni.edu", "https://lab.uni.edu:443"), 200);
        assert_eq!(of("localhost:80", "http://localhost"), 200);
        assert_eq!(of("localhost", "http://localhost:80"), 200);
        assert_eq!(of("localhost:443", "http://localhost"), 403);
        let twice = [
            ("host", "localhost"),
            ("origin", "http://localhost"),
            ("origin", "null"),
        ];
        assert_eq!(verdict("", "/", &twice), 400);
    }
}
