//! Finds out who sends a call, before its body is read: by the token in its headers, or else by the certificate of its
//! connection.

use std::sync::Arc;

use backpropd_identity::Rejection;
use http::HeaderMap;
use http::header::AUTHORIZATION;
use tonic::Status;

use super::methods::HEALTH;
use super::peer::Peer;
use crate::host::clock::Clock;
use crate::host::identity::{Keyring, Login};
use crate::host::metrics::{AuthFailure, Metrics};
use crate::status::{rejected, too_many_failed_logins};

/// The scheme of the header, which is written in any case.
const BEARER: &str = "Bearer ";

/// Who may come in, and the time by which their tokens are judged.
#[derive(Clone)]
pub struct Entrance {
    keyring: Arc<Keyring>,
    clock: Clock,
    metrics: Arc<Metrics>,
}

impl Entrance {
    /// The entrance that these keys open; those who are turned away are counted in `metrics`.
    pub fn new(keyring: Arc<Keyring>, clock: Clock, metrics: Arc<Metrics>) -> Self {
        Self {
            keyring,
            clock,
            metrics,
        }
    }

    /// The caller of the method at `path`; `None` if callers need no identity. Health is open to all: probes have no
    /// token, and its answer says nothing of a person.
    ///
    /// # Errors
    /// There is no valid token, and no certificate.
    pub fn log_in(
        &self,
        path: &str,
        headers: &HeaderMap,
        peer: Option<&Peer>,
    ) -> Result<Option<Arc<Login>>, Status> {
        if !self.keyring.is_on() || path.starts_with(HEALTH) {
            return Ok(None);
        }
        let rejection = match self.identify(headers, peer) {
            Ok(login) => return Ok(Some(login)),
            Err(rejection) => rejection,
        };
        let Some(peer) = peer else {
            self.metrics.note_auth_failure(failure(rejection));
            return Err(rejected(rejection));
        };
        let (origin, uptime) = (peer.source.parties.origin, self.clock.now().uptime);
        match self.keyring.note_refused(rejection, origin, uptime) {
            Some(wait) => {
                self.metrics.note_auth_failure(AuthFailure::Throttled);
                Err(too_many_failed_logins(wait))
            }
            None => {
                self.metrics.note_auth_failure(failure(rejection));
                Err(rejected(rejection))
            }
        }
    }

    fn identify(&self, headers: &HeaderMap, peer: Option<&Peer>) -> Result<Arc<Login>, Rejection> {
        let mut sent = headers.get_all(AUTHORIZATION).iter();
        let Some(header) = sent.next() else {
            let certificate = peer.and_then(|peer| peer.certificate.get());
            let certificate = certificate.ok_or(Rejection::Missing)?;
            return self.keyring.certified(certificate, self.clock.now().date);
        };
        // Which of two headers counts would be a matter of taste.
        if sent.next().is_some() {
            return Err(Rejection::NotBearer);
        }
        let header = header.to_str().map_err(|_| Rejection::NotBearer)?;
        let (scheme, token) = header
            .split_at_checked(BEARER.len())
            .ok_or(Rejection::NotBearer)?;
        if !scheme.eq_ignore_ascii_case(BEARER) {
            return Err(Rejection::NotBearer);
        }
        let (token, date) = (token.trim(), self.clock.now().date);
        match peer {
            Some(peer) => self.keyring.log_in_on(&peer.last_login, token, date),
            None => self.keyring.log_in(token, date),
        }
    }
}

/// The label that a rejection is counted under.
fn failure(rejection: Rejection) -> AuthFailure {
    match rejection {
        Rejection::Missing => AuthFailure::Missing,
        Rejection::NotBearer
        | Rejection::TooLarge
        | Rejection::Malformed
        | Rejection::Header
        | Rejection::Claim(_)
        | Rejection::Role => AuthFailure::Malformed,
        Rejection::Signature => AuthFailure::Signature,
        Rejection::Audience | Rejection::Issuer => AuthFailure::Audience,
        Rejection::NotYetValid | Rejection::Expired | Rejection::CertificateExpired => {
            AuthFailure::Expired
        }
        Rejection::Revoked => AuthFailure::Revoked,
    }
}
