//! The server's own secrets: HS256.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::hmac;

use crate::Claims;

/// The fewest bytes of a secret: as many as the hash has.
pub const MIN_SECRET_BYTES: usize = 32;

/// The most secrets of a file: each token that does not verify is tried with all of them.
pub const MAX_SECRETS: usize = 16;

/// The header of every token that is minted here.
const HEADER: &[u8] = br#"{"alg":"HS256","typ":"JWT"}"#;

/// Why a file of secrets cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SecretsError {
    /// There are none.
    #[error("it has no secret: each line is one, and the first one signs")]
    None,
    /// There are too many.
    #[error("it has {0} secrets, and at most {MAX_SECRETS} are allowed")]
    TooMany(usize),
    /// One is too short to be safe.
    #[error(
        "line {line} has {bytes} bytes, and a secret needs at least {MIN_SECRET_BYTES}: `backpropd token --new-secret FILE` writes one"
    )]
    TooShort {
        /// The line, from 1.
        line: usize,
        /// Its length.
        bytes: usize,
    },
    /// The same secret twice.
    #[error("line {0} repeats a secret")]
    Twice(usize),
}

/// Secrets: the first one signs, and all of them verify. So a secret is replaced without a token that fails.
#[derive(Clone)]
pub struct Secrets(Vec<hmac::Key>);

impl std::fmt::Debug for Secrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} secrets", self.0.len())
    }
}

impl Secrets {
    /// Reads the content of a file: a secret a line, without blanks at its ends. Empty lines do not count.
    ///
    /// # Errors
    /// No secret, too many, or one that is too short or there twice.
    pub fn read(content: &[u8]) -> Result<Self, SecretsError> {
        let lines = content.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii);
        let lines: Vec<(usize, &[u8])> =
            (1..).zip(lines).filter(|(_, it)| !it.is_empty()).collect();
        if lines.is_empty() {
            return Err(SecretsError::None);
        }
        if lines.len() > MAX_SECRETS {
            return Err(SecretsError::TooMany(lines.len()));
        }
        for (at, (line, secret)) in lines.iter().enumerate() {
            if secret.len() < MIN_SECRET_BYTES {
                let (line, bytes) = (*line, secret.len());
                return Err(SecretsError::TooShort { line, bytes });
            }
            if lines[..at].iter().any(|(_, earlier)| earlier == secret) {
                return Err(SecretsError::Twice(*line));
            }
        }
        let keys = lines
            .iter()
            .map(|(_, secret)| hmac::Key::new(hmac::HMAC_SHA256, secret));
        Ok(Self(keys.collect()))
    }

    /// A token with these claims, signed with the first secret.
    ///
    /// # Errors
    /// None in practice: the claims are names and numbers.
    pub fn mint(&self, claims: &Claims) -> Result<String, serde_json::Error> {
        let claims = serde_json::to_vec(claims)?;
        let mut token = URL_SAFE_NO_PAD.encode(HEADER);
        token.push('.');
        URL_SAFE_NO_PAD.encode_string(claims, &mut token);
        if let Some(key) = self.0.first() {
            let signature = hmac::sign(key, token.as_bytes());
            token.push('.');
            URL_SAFE_NO_PAD.encode_string(signature, &mut token);
        }
        Ok(token)
    }

    /// Whether one of the secrets has signed this; takes the same time wherever the signature differs.
    pub(crate) fn verify(&self, signed: &[u8], signature: &[u8]) -> bool {
        self.0
            .iter()
            .any(|key| hmac::verify(key, signed, signature).is_ok())
    }
}
