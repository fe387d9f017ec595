//! Addresses of servers, connections to them, and what proves a client's identity.

use std::fmt;

use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::Interceptor;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};
use tonic::{Request, Status};

use crate::explain::causes;

/// Bytes that a server may send on one stream before the client has read them.
const STREAM_WINDOW: u32 = 4 << 20;

/// The same for all streams of a connection.
const CONNECTION_WINDOW: u32 = 4 * STREAM_WINDOW;

/// Why an address is not one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidAddress {
    /// It is neither HOST:PORT nor a URL.
    #[error(
        "this is not an address such as localhost:50051 or a URL such as https://lab.uni.edu:50051"
    )]
    Malformed,
    /// It has another scheme than `http` and `https`.
    #[error("the scheme {0:?} is not supported: use http or https")]
    Scheme(String),
    /// It has a path, under which no gRPC service can be reached.
    #[error(
        "the path {0:?} cannot be reached: gRPC has its paths at the root of a host. Have the proxy forward a host or a \
         port of its own, and leave the path out"
    )]
    Path(String),
    /// It names a user.
    #[error("an address has no user name or password: give a token instead")]
    User,
    /// Certificates or keys were given for an address without TLS.
    #[error("certificates are for https, and this address is plain http: use https://{0}")]
    NeedsTls(String),
    /// A token was given for an address without TLS, other than loopback.
    #[error(
        "a token would be readable by anyone on the way: use https://{0} (plain http is for loopback)"
    )]
    TokenNeedsTls(String),
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
    /// The token or a certificate is invalid.
    #[error("{0}")]
    Credentials(String),
    /// No server answers at the address.
    #[error("cannot connect to {server}: {}{}", causes(.source), advice(.source))]
    Unreachable {
        /// The given address.
        server: String,
        /// The error of the transport.
        source: tonic::transport::Error,
    },
}

/// What proves that a server is the right one, and the client's identity to it. The default trusts the authorities of
/// the system and has no identity.
#[derive(Clone, Default)]
pub struct Credentials {
    /// Authorities to trust in place of the system's, as PEM.
    pub authorities: Option<Vec<u8>>,
    /// A token, sent with every call as `authorization: Bearer`.
    pub token: Option<String>,
    /// A certificate of the client and its key, as PEM.
    pub certificate: Option<(Vec<u8>, Vec<u8>)>,
}

/// Shows no secrets.
impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials")
            .field("authorities", &self.authorities.is_some())
            .field("token", &self.token.is_some())
            .field("certificate", &self.certificate.is_some())
            .finish()
    }
}

/// Adds the token to each call.
#[derive(Clone, Default)]
pub struct Bearer(Option<MetadataValue<Ascii>>);

impl fmt::Debug for Bearer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Bearer").field(&self.0.is_some()).finish()
    }
}

impl Interceptor for Bearer {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        if let Some(token) = &self.0 {
            let metadata = request.metadata_mut();
            metadata.insert("authorization", token.clone());
        }
        Ok(request)
    }
}

impl Bearer {
    /// The header of `token`.
    ///
    /// # Errors
    /// It has characters that no token has.
    pub(crate) fn of(token: Option<&str>) -> Result<Self, ConnectError> {
        let Some(token) = token else {
            return Ok(Self(None));
        };
        let token = token.trim();
        let is_token = !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_graphic());
        let value = MetadataValue::try_from(format!("Bearer {token}"));
        let mut value = value.ok().filter(|_| is_token).ok_or_else(|| {
            let length = token.len();
            ConnectError::Credentials(format!(
                "the token is not one: it has {length} characters, with spaces or other characters that no token has"
            ))
        })?;
        value.set_sensitive(true);
        Ok(Self(Some(value)))
    }
}

/// A connection of a [`Client`](crate::Client): a channel whose calls carry the token.
pub type Connection = InterceptedService<Channel, Bearer>;

/// The endpoint of `server`, which is `HOST:PORT` or a URL with the scheme `http` or `https`. A name such as
/// `localhost` is resolved when the endpoint connects; each of its addresses is tried, IPv6 and IPv4.
///
/// # Errors
/// The address is malformed.
pub fn endpoint(server: &str) -> Result<Endpoint, InvalidAddress> {
    let url = if server.contains("://") {
        server.to_owned()
    } else {
        format!("http://{server}")
    };
    let endpoint = Endpoint::from_shared(url).map_err(|_| InvalidAddress::Malformed)?;
    let uri = endpoint.uri();
    let authority = uri.authority().ok_or(InvalidAddress::Malformed)?;
    if authority.as_str().contains('@') {
        return Err(InvalidAddress::User);
    }
    if authority.host().is_empty() {
        return Err(InvalidAddress::Malformed);
    }
    let scheme = uri.scheme_str().unwrap_or_default();
    if !["http", "https"].contains(&scheme) {
        return Err(InvalidAddress::Scheme(scheme.to_owned()));
    }
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    if path != "/" {
        return Err(InvalidAddress::Path(path.to_owned()));
    }
    // With the default window, a reply of some megabytes waits for the client every 64 KiB.
    Ok(endpoint
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW))
}

/// A connection to `server`.
pub(crate) async fn connect(
    server: &str,
    credentials: &Credentials,
) -> Result<Connection, ConnectError> {
    let invalid = |why| ConnectError::Address {
        server: server.to_owned(),
        why,
    };
    let mut endpoint = endpoint(server).map_err(invalid)?;
    if endpoint.uri().scheme_str() == Some("https") {
        endpoint = endpoint
            .tls_config(tls(credentials))
            .map_err(|error| ConnectError::Credentials(causes(&error)))?;
    } else {
        check_plain(&endpoint, credentials).map_err(invalid)?;
    }
    let bearer = Bearer::of(credentials.token.as_deref())?;
    let connected = endpoint.connect().await;
    let channel = connected.map_err(|source| ConnectError::Unreachable {
        server: server.to_owned(),
        source,
    })?;
    Ok(InterceptedService::new(channel, bearer))
}

fn tls(credentials: &Credentials) -> ClientTlsConfig {
    let tls = ClientTlsConfig::new();
    let tls = match &credentials.authorities {
        Some(authorities) => tls.ca_certificate(Certificate::from_pem(authorities)),
        None => tls.with_native_roots(),
    };
    match &credentials.certificate {
        Some((certificate, key)) => tls.identity(Identity::from_pem(certificate, key)),
        None => tls,
    }
}

/// Refuses to send credentials over plain http, but for a token on this machine.
fn check_plain(endpoint: &Endpoint, credentials: &Credentials) -> Result<(), InvalidAddress> {
    let authority = endpoint.uri().authority();
    let authority = authority.map_or_else(String::new, ToString::to_string);
    if credentials.authorities.is_some() || credentials.certificate.is_some() {
        return Err(InvalidAddress::NeedsTls(authority));
    }
    let host = endpoint.uri().host().unwrap_or_default();
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let is_loopback = host.eq_ignore_ascii_case("localhost")
        || (host.parse::<std::net::IpAddr>()).is_ok_and(|ip| ip.to_canonical().is_loopback());
    if credentials.token.is_some() && !is_loopback {
        return Err(InvalidAddress::TokenNeedsTls(authority));
    }
    Ok(())
}

/// What to do about a failed handshake.
fn advice(error: &tonic::transport::Error) -> &'static str {
    let text = causes(error);
    let says = |part: &str| text.contains(part);
    if says("UnknownIssuer") || says("BadSignature") {
        ": name the authority that signed the server's certificate (--ca FILE)"
    } else if says("NotValidForName") {
        ": the certificate was issued for other names: use one of them in the address"
    } else if says("Expired") {
        ": the server's certificate has to be renewed, or this machine's clock is wrong"
    } else if says("InvalidContentType") || says("corrupt message") {
        ": this port does not speak TLS: use http://"
    } else {
        ""
    }
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
        assert_eq!(uri("https://host:1"), Ok("https://host:1/".to_owned()));
    }

    #[test]
    fn what_is_no_address_is_refused_by_what_is_wrong_with_it() {
        let fault = |server| endpoint(server).map(|_| ()).expect_err("refused");
        let scheme = |scheme: &str| InvalidAddress::Scheme(scheme.to_owned());
        let path = |path: &str| InvalidAddress::Path(path.to_owned());
        assert_eq!(fault("a b"), InvalidAddress::Malformed);
        assert_eq!(fault(""), InvalidAddress::Malformed);
        assert_eq!(fault("grpc://host:1"), scheme("grpc"));
        assert_eq!(fault("https://host/backpropd"), path("/backpropd"));
        assert_eq!(fault("host:1/?a=b"), path("/?a=b"));
        assert_eq!(fault("https://me:secret@host"), InvalidAddress::User);
    }

    #[test]
    fn a_token_crosses_no_network_in_plain_text() {
        let checked = |server: &str, credentials: &Credentials| {
            check_plain(&endpoint(server).expect("an address"), credentials)
        };
        let token = Credentials {
            token: Some("t".to_owned()),
            ..Credentials::default()
        };
        for server in [
            "localhost:1",
            "127.1.2.3:1",
            "[::1]:1",
            "[::ffff:127.0.0.1]:1",
        ] {
            assert_eq!(checked(server, &token), Ok(()), "{server}");
        }
        for server in ["lab.uni.edu:1", "10.0.0.1:1", "localhost.evil.edu:1"] {
            let refused = InvalidAddress::TokenNeedsTls(server.to_owned());
            assert_eq!(checked(server, &token), Err(refused));
        }
        let authorities = Credentials {
            authorities: Some(Vec::new()),
            ..Credentials::default()
        };
        let refused = InvalidAddress::NeedsTls("localhost:1".to_owned());
        assert_eq!(checked("localhost:1", &authorities), Err(refused));
    }

    #[test]
    fn a_token_is_one_word_and_is_never_shown() {
        assert!(Bearer::of(Some("a.b-c_d\n")).is_ok());
        for token in ["", "a b", "ä", "a\nb"] {
            let refused = Bearer::of(Some(token)).expect_err("refused").to_string();
            assert!(refused.contains("the token is not one"), "{refused}");
        }
        let credentials = Credentials {
            token: Some("secret".to_owned()),
            ..Credentials::default()
        };
        let shown = format!("{credentials:?} {:?}", Bearer::of(Some("secret")));
        assert!(!shown.contains("secret"), "{shown}");
    }
}
