//! TLS: the certificate, its replacement while the server runs, and the handshake of a connection.
//!
//! Versions 1.2 and 1.3 with rustls's cipher suites, all of which have forward secrecy and authenticated encryption; no
//! renegotiation, no compression, no early data.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, SystemTime};

use rustls::crypto::ring;
use rustls::pki_types::pem::{self, PemObject as _};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use tokio::net::TcpStream;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout_at};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_util::either::Either;
use x509_parser::prelude::{ASN1Time, FromDer as _, GeneralName, X509Certificate};

use crate::config::Config;
use crate::host::identity::Certificate;

/// A connection with or without TLS.
pub type Wire = Either<TcpStream, Box<TlsStream<TcpStream>>>;

/// The protocols that a client may choose in the handshake, the preferred one first.
const PROTOCOLS: [&[u8]; 2] = [b"h2", b"http/1.1"];

/// How often the files are looked at.
const LOOK: Duration = Duration::from_secs(1);

/// A certificate that is valid for less than this causes a warning each day.
const SOON: Duration = Duration::from_secs(21 * 86_400);

/// The interval between two warnings of one expiry.
const REMIND: Duration = Duration::from_secs(86_400);

/// What a client is told that speaks plain HTTP to a port with TLS.
const SPEAK_TLS: &[u8] =
    b"HTTP/1.1 400 Bad Request\r\nconnection: close\r\ncontent-type: text/plain\r\n\
    content-length: 63\r\n\r\nThis port speaks TLS: use https:// (grpcurl without -plaintext)";

/// The first byte of a TLS handshake (RFC 8446, 5.1).
const HANDSHAKE: u8 = 22;

/// The longest name of a client that is accepted from its certificate, in bytes.
const LONGEST_NAME: usize = 256;

/// Why a certificate cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read, or is not PEM.
    #[error("{setting} = {file:?} cannot be read: {why}")]
    File {
        /// The setting that names the file.
        setting: &'static str,
        /// The file.
        file: PathBuf,
        /// The fault.
        why: String,
    },
    /// The certificate is not valid at this time.
    #[error(
        "tls_cert_file = {file:?} {why}: replace it and its key (`backpropd tls-init` writes a pair)"
    )]
    Expired {
        /// The file.
        file: PathBuf,
        /// When it was or will be valid.
        why: String,
    },
    /// Certificate, key and authorities do not fit together.
    #[error("tls_cert_file, tls_key_file and tls_client_ca_file cannot be used: {0}")]
    Unfit(#[from] rustls::Error),
    /// The authorities of clients cannot be used.
    #[error("tls_client_ca_file = {file:?} cannot be used: {why}")]
    Authorities {
        /// The file.
        file: PathBuf,
        /// The fault.
        why: String,
    },
}

/// The certificate in use.
#[derive(Debug)]
pub struct Tls {
    files: Files,
    current: RwLock<Current>,
}

#[derive(Clone, Debug)]
struct Current {
    config: Arc<ServerConfig>,
    /// The end of the certificate's validity.
    expires: SystemTime,
    /// The files from which it was read.
    stamps: Stamps,
}

/// The files that the settings name.
#[derive(Clone, Debug)]
struct Files {
    certificate: PathBuf,
    key: PathBuf,
    authorities: Option<PathBuf>,
}

/// What tells a replaced file from the one before: device, inode, size, and time of change.
type Stamp = Option<(u64, u64, u64, i64, i64)>;

/// Those of certificate, key and authorities.
type Stamps = [Stamp; 3];

impl Tls {
    /// Reads the files that `config` names; `None` where it names none.
    ///
    /// # Errors
    /// A file is missing, malformed or expired, or the key is another certificate's.
    pub fn of(config: &Config) -> Result<Option<Arc<Self>>, TlsError> {
        if !config.has_tls() {
            return Ok(None);
        }
        let authorities = &config.tls_client_ca_file;
        let files = Files {
            certificate: PathBuf::from(&config.tls_cert_file),
            key: PathBuf::from(&config.tls_key_file),
            authorities: (!authorities.is_empty()).then(|| PathBuf::from(authorities)),
        };
        let current = RwLock::new(files.load(SystemTime::now())?);
        Ok(Some(Arc::new(Self { files, current })))
    }

    /// When the certificate in use ends.
    pub fn expires(&self) -> SystemTime {
        self.current().expires
    }

    /// Follows the files: a certificate that was replaced is used for the next handshake, and one that cannot be used
    /// is kept out. Warns of a certificate that expires soon. Never returns.
    pub async fn watch(&self) {
        let mut looks = interval(LOOK);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut tried = self.current().stamps;
        let mut last = tried;
        let mut reminded: Option<Instant> = None;
        loop {
            let now = looks.tick().await;
            let stamps = self.files.stamps();
            // Certificate and key are two files: wait until neither has changed since the last look.
            if stamps != tried && stamps == last {
                tried = stamps;
                self.reload();
                reminded = None;
            }
            last = stamps;
            let left = self.expires().duration_since(SystemTime::now());
            let left = left.unwrap_or_default();
            let is_due = reminded.is_none_or(|last| now.duration_since(last) >= REMIND);
            if left < SOON && is_due {
                reminded = Some(now);
                let days = left.as_secs() / 86_400;
                tracing::warn!(
                    days,
                    "the TLS certificate expires soon or has expired: replace tls_cert_file and tls_key_file; no restart \
                     is needed"
                );
            }
        }
    }

    /// Reads the files again. If they cannot be used, the certificate stays.
    fn reload(&self) {
        match self.files.load(SystemTime::now()) {
            Ok(loaded) => {
                *self.current.write().unwrap_or_else(PoisonError::into_inner) = loaded;
                tracing::info!("replaced the TLS certificate");
            }
            Err(error) => {
                tracing::warn!(%error, "kept the TLS certificate: its replacement cannot be used");
            }
        }
    }

    fn current(&self) -> Current {
        let current = self.current.read();
        current.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Completes the handshake by `deadline`; returns the client's certificate too, if it presented one that names it.
    /// `None` if the peer does not speak TLS, or not in time.
    pub async fn accept(
        &self,
        stream: TcpStream,
        deadline: Instant,
    ) -> Option<(Wire, Option<Certificate>)> {
        let mut first = [0];
        let peeked = timeout_at(deadline, stream.peek(&mut first)).await;
        if !matches!(peeked, Ok(Ok(1))) {
            return None;
        }
        if first != [HANDSHAKE] {
            // Read what came: a socket that is closed with bytes unread resets, and the client loses the reply. If the
            // socket has no room for the reply, its peer does not read.
            let _ = stream.try_read(&mut [0; 4096]);
            let _ = stream.try_write(SPEAK_TLS);
            return None;
        }
        let acceptor = TlsAcceptor::from(self.current().config);
        let accepted = timeout_at(deadline, acceptor.accept(stream)).await;
        match accepted {
            Ok(Ok(stream)) => {
                let (_, session) = stream.get_ref();
                let certificate = session.peer_certificates().and_then(client);
                Some((Either::Right(Box::new(stream)), certificate))
            }
            Ok(Err(error)) => {
                tracing::debug!(%error, "a TLS handshake failed");
                None
            }
            Err(_) => None,
        }
    }
}

impl Files {
    fn load(&self, now: SystemTime) -> Result<Current, TlsError> {
        // Looked at first: a file that changes while it is read differs at the next look.
        let stamps = self.stamps();
        let chain = certificates("tls_cert_file", &self.certificate)?;
        let key = PrivateKeyDer::from_pem_file(&self.key)
            .map_err(|error| unread("tls_key_file", &self.key, &error))?;
        let expires = self.check_validity(&chain[0], now)?;
        let provider = Arc::new(ring::default_provider());
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()?;
        let builder = match &self.authorities {
            None => builder.with_no_client_auth(),
            Some(file) => {
                let unfit = |why: String| TlsError::Authorities {
                    file: file.clone(),
                    why,
                };
                let mut roots = RootCertStore::empty();
                for authority in certificates("tls_client_ca_file", file)? {
                    roots
                        .add(authority)
                        .map_err(|error| unfit(error.to_string()))?;
                }
                // Browsers and token holders present none; a call then needs another identity.
                let verifier =
                    WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
                        .allow_unauthenticated()
                        .build()
                        .map_err(|error| unfit(error.to_string()))?;
                builder.with_client_cert_verifier(verifier)
            }
        };
        let mut config = builder.with_single_cert(chain, key)?;
        config.alpn_protocols = PROTOCOLS.map(<[u8]>::to_vec).to_vec();
        // A session resumes without state on the server. After a reload it does not: the keys of tickets are new.
        config.ticketer = ring::Ticketer::new()?;
        Ok(Current {
            config: Arc::new(config),
            expires,
            stamps,
        })
    }

    /// The end of the certificate's validity, which has begun.
    fn check_validity(
        &self,
        certificate: &CertificateDer<'_>,
        now: SystemTime,
    ) -> Result<SystemTime, TlsError> {
        let (_, parsed) = X509Certificate::from_der(certificate)
            .map_err(|error| unread("tls_cert_file", &self.certificate, &error))?;
        let validity = parsed.validity();
        let (begins, ends) = (time(validity.not_before), time(validity.not_after));
        let why = if now < begins {
            format!("is not valid before {}", validity.not_before)
        } else if now > ends {
            format!("expired at {}", validity.not_after)
        } else {
            return Ok(ends);
        };
        Err(TlsError::Expired {
            file: self.certificate.clone(),
            why,
        })
    }

    fn stamps(&self) -> Stamps {
        let stamp = |metadata: Metadata| {
            (
                metadata.dev(),
                metadata.ino(),
                metadata.size(),
                metadata.mtime(),
                metadata.mtime_nsec(),
            )
        };
        [
            Some(&self.certificate),
            Some(&self.key),
            self.authorities.as_ref(),
        ]
        .map(|file| std::fs::metadata(file?).ok().map(stamp))
    }
}

/// The certificates of a PEM file, at least one.
fn certificates(
    setting: &'static str,
    file: &Path,
) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let read = CertificateDer::pem_file_iter(file).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let found = read.map_err(|error| unread(setting, file, &error))?;
    if found.is_empty() {
        return Err(unread(setting, file, &pem::Error::NoItemsFound));
    }
    Ok(found)
}

fn unread(setting: &'static str, file: &Path, error: &dyn std::fmt::Display) -> TlsError {
    TlsError::File {
        setting,
        file: file.to_owned(),
        why: error.to_string(),
    }
}

fn time(of: ASN1Time) -> SystemTime {
    let seconds = u64::try_from(of.timestamp()).unwrap_or(0);
    SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
}

/// The client's certificate, which is the first of those that it presented. It ends with the first of them.
fn client(presented: &[CertificateDer<'_>]) -> Option<Certificate> {
    let subject = client_name(presented.first()?)?;
    let mut ends = Vec::with_capacity(presented.len());
    for certificate in presented {
        let (_, parsed) = X509Certificate::from_der(certificate).ok()?;
        ends.push(time(parsed.validity().not_after));
    }
    let ends = ends.into_iter().min()?;
    Some(Certificate { subject, ends })
}

/// The first subject alternative name of a client's certificate that is an e-mail address, a URI or a DNS name.
fn client_name(certificate: &CertificateDer<'_>) -> Option<String> {
    let (_, parsed) = X509Certificate::from_der(certificate).ok()?;
    let names = parsed.subject_alternative_name().ok()??;
    let name = names.value.general_names.iter().find_map(|name| {
        use GeneralName::{DNSName, RFC822Name, URI};
        if let RFC822Name(name) | DNSName(name) | URI(name) = name {
            Some(*name)
        } else {
            None
        }
    })?;
    let is_plain = name.len() <= LONGEST_NAME && name.bytes().all(|byte| byte.is_ascii_graphic());
    is_plain.then(|| name.to_owned())
}
