//! Who may come in: the keys that tokens are verified with, the tokens that have been, and the people who are refused.
//!
//! The files are read again when they change ([`Keyring::look_again`], on a timer), never in a call. A file that has become
//! unusable is kept out, with a warning, and the last good one stays in force.

mod failed_logins;
mod files;

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use backpropd_identity::{Identity, Rejection, Revoked, Role, Rules, Verifier};

use self::failed_logins::FailedLogins;
use self::files::{Files, Loaded};
pub use self::files::{KeyFileError, exposed};
use super::party::Party;
use crate::config::Config;

/// Verified tokens that are remembered. More than the people of a large course; when it is full, all are forgotten.
const REMEMBERED: usize = 16_384;

/// A caller that has proved who it is, remembered until the proof is void.
#[derive(Debug)]
pub struct Login {
    /// Who it is.
    pub identity: Identity,
    /// The party that its calls, sessions and models count for.
    pub origin: Party,
    /// The time after which the token is void, in seconds since 1970.
    expires: u64,
}

/// The certificate of a client.
#[derive(Clone, Debug)]
pub struct Certificate {
    /// Whom it names.
    pub subject: String,
    /// The last moment of its validity, and of the certificates between it and its authority.
    pub ends: SystemTime,
}

/// The last login on a connection, whose calls mostly carry the same token: comparing two texts takes a tenth of the time
/// of hashing one.
#[derive(Default)]
pub struct LastLogin(Mutex<Option<Remembered>>);

struct Remembered {
    token: Box<str>,
    login: Arc<Login>,
    /// The keys that it was verified with.
    version: u64,
}

impl fmt::Debug for LastLogin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LastLogin")
    }
}

impl LastLogin {
    fn find(&self, token: &str, version: u64) -> Option<Arc<Login>> {
        let last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let last = last.as_ref()?;
        let is_same = last.version == version && *last.token == *token;
        is_same.then(|| Arc::clone(&last.login))
    }

    fn set(&self, token: &str, login: &Arc<Login>, version: u64) {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *last = Some(Remembered {
            token: token.into(),
            login: Arc::clone(login),
            version,
        });
    }
}

/// The keys in force, and the tokens that they have verified.
pub struct Keyring {
    is_on: bool,
    /// The role of a caller that has a certificate and no token.
    client_role: Role,
    files: Mutex<Files>,
    state: RwLock<State>,
    /// Counts the changes of the keys: what was verified with earlier ones is not remembered.
    version: AtomicU64,
    failed: FailedLogins,
}

#[derive(Default)]
struct State {
    verifier: Verifier,
    revoked: Revoked,
    /// By a hash of the token, so that they take little memory and hold no token.
    known: HashMap<[u8; blake3::OUT_LEN], Arc<Login>>,
}

impl Keyring {
    /// Reads the files that the configuration names.
    ///
    /// # Errors
    /// One of them cannot be used.
    pub fn start(config: &Config) -> Result<Self, KeyFileError> {
        let mut files = Files::of(config);
        let loaded = files.load()?;
        for warning in loaded.warnings {
            tracing::warn!("{warning}");
        }
        let some = |text: &String| Some(text.clone()).filter(|text| !text.is_empty());
        let rules = Rules {
            audience: some(&config.auth_audience),
            issuer: some(&config.auth_issuer),
            role_claim: config.auth_role_claim.clone(),
        };
        Ok(Self {
            is_on: config.has_auth(),
            client_role: config.tls_client_role.parse().unwrap_or(Role::Student),
            files: Mutex::new(files),
            state: RwLock::new(State {
                verifier: Verifier {
                    secrets: loaded.secrets,
                    keys: loaded.keys,
                    rules,
                },
                revoked: loaded.revoked.unwrap_or_default(),
                ..State::default()
            }),
            version: AtomicU64::new(0),
            failed: FailedLogins::default(),
        })
    }

    /// Whether callers need an identity.
    pub fn is_on(&self) -> bool {
        self.is_on
    }

    /// [`Keyring::log_in`] of a call on a connection with this last login.
    ///
    /// # Errors
    /// As there.
    pub fn log_in_on(
        &self,
        last: &LastLogin,
        token: &str,
        date: SystemTime,
    ) -> Result<Arc<Login>, Rejection> {
        let version = self.version.load(Ordering::Acquire);
        match last.find(token, version) {
            Some(login) if seconds(date) < login.expires => Ok(login),
            Some(_) => Err(Rejection::Expired),
            None => {
                let login = self.log_in(token, date)?;
                // If the keys have changed meanwhile, this version is an earlier one, and not found again.
                last.set(token, &login, version);
                Ok(login)
            }
        }
    }

    /// The caller with this token.
    ///
    /// # Errors
    /// It does not verify, is void, or has been revoked.
    pub fn log_in(&self, token: &str, date: SystemTime) -> Result<Arc<Login>, Rejection> {
        let now = seconds(date);
        // Hashing what cannot be a token would let a caller choose how long that takes.
        if token.len() > backpropd_identity::LARGEST_TOKEN {
            return Err(Rejection::TooLarge);
        }
        let key = *blake3::hash(token.as_bytes()).as_bytes();
        let (verified, version) = {
            let state = self.state();
            match state.known.get(&key) {
                Some(login) if now < login.expires => return Ok(Arc::clone(login)),
                Some(_) => return Err(Rejection::Expired),
                None => (
                    state.verify(token, now)?,
                    self.version.load(Ordering::Acquire),
                ),
            }
        };
        let login = Arc::new(verified);
        let mut state = self.state_mut();
        if self.version.load(Ordering::Acquire) == version {
            if state.known.len() >= REMEMBERED {
                state.known.clear();
            }
            state.known.insert(key, Arc::clone(&login));
        }
        Ok(login)
    }

    /// The caller with this certificate, which the TLS handshake has verified, perhaps a while ago.
    ///
    /// # Errors
    /// The name cannot be a person's, or is revoked; the certificate has expired.
    pub fn certified(
        &self,
        certificate: &Certificate,
        date: SystemTime,
    ) -> Result<Arc<Login>, Rejection> {
        let subject = &certificate.subject;
        if date > certificate.ends {
            return Err(Rejection::CertificateExpired);
        }
        backpropd_identity::check_name(subject).map_err(|_| Rejection::Claim("sub"))?;
        if self.state().revoked.covers(subject, None) {
            return Err(Rejection::Revoked);
        }
        Ok(Arc::new(Login {
            identity: Identity {
                subject: subject.as_str().into(),
                role: self.client_role,
            },
            origin: Party::of_person(subject),
            expires: seconds(certificate.ends),
        }))
    }

    /// Notes a refused login. Returns the time after which this origin may fail again, if it has failed too often: its
    /// next invalid tokens are answered with that, while valid ones still pass.
    pub fn note_refused(
        &self,
        rejection: Rejection,
        origin: Party,
        uptime: Duration,
    ) -> Option<Duration> {
        match rejection {
            // An attempt to guess.
            Rejection::NotBearer
            | Rejection::TooLarge
            | Rejection::Malformed
            | Rejection::Header
            | Rejection::Signature => self.failed.note(origin, uptime),
            // A client that has not been set up, or a person whose token was genuine.
            Rejection::Missing
            | Rejection::Claim(_)
            | Rejection::Role
            | Rejection::Audience
            | Rejection::Issuer
            | Rejection::NotYetValid
            | Rejection::Expired
            | Rejection::CertificateExpired
            | Rejection::Revoked => None,
        }
    }

    /// Reads the files that have changed.
    pub fn look_again(&self) {
        let changed = self
            .files
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .changed();
        let Loaded {
            secrets,
            keys,
            revoked,
            warnings,
        } = changed;
        for warning in warnings {
            tracing::warn!("{warning}");
        }
        if secrets.is_none() && keys.is_none() && revoked.is_none() {
            return;
        }
        let mut state = self.state_mut();
        if let Some(secrets) = secrets {
            tracing::info!(?secrets, "read auth_secret_file again");
            state.verifier.secrets = Some(secrets);
        }
        if let Some(keys) = keys {
            tracing::info!("read auth_jwks_file again");
            state.verifier.keys = Some(keys);
        }
        if let Some(revoked) = revoked {
            tracing::info!("read auth_revoked_file again");
            state.revoked = revoked;
        }
        state.known.clear();
        self.version.fetch_add(1, Ordering::Release);
    }

    fn state(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn state_mut(&self) -> RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn verify(&self, token: &str, now: u64) -> Result<Login, Rejection> {
        let verified = self.verifier.verify(token, now)?;
        let subject = &verified.identity.subject;
        if self.revoked.covers(subject, verified.claims.jti.as_deref()) {
            return Err(Rejection::Revoked);
        }
        Ok(Login {
            origin: Party::of_person(subject),
            expires: verified.claims.exp,
            identity: verified.identity,
        })
    }
}

fn seconds(date: SystemTime) -> u64 {
    let since = date.duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_secs())
}

#[cfg(test)]
mod tests;
