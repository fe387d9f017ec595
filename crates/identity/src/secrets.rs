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
    #[error(
        "it has no secret: each line that does not begin with # is one, and the first one signs"
    )]
    None,
    /// There are too many.
    #[error("it has {0} secrets, and at most {MAX_SECRETS} are allowed")]
    TooMany(usize),
    /// Lines that cannot be secrets: all of them.
    #[error("{}", listed(.0))]
    Lines(Vec<FaultyLine>),
    /// Text in two bytes a letter, as some shells write it.
    #[error(
        "it is UTF-16, which a program that reads it as bytes would not find the same secret in: write UTF-8"
    )]
    Utf16,
}

/// A line that cannot be a secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FaultyLine {
    /// It is too short to be safe.
    #[error(
        "line {line} has {bytes} bytes, and a secret needs at least {MIN_SECRET_BYTES}: `backpropd token --new-secret FILE` writes one"
    )]
    TooShort {
        /// The line, from 1.
        line: usize,
        /// Its length.
        bytes: usize,
    },
    /// The secret of an earlier line.
    #[error("line {line} repeats the secret of line {first}")]
    Twice {
        /// The line, from 1.
        line: usize,
        /// The earlier line.
        first: usize,
    },
}

fn listed(lines: &[FaultyLine]) -> String {
    let lines: Vec<String> = lines.iter().map(ToString::to_string).collect();
    lines.join("; ")
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
    /// Reads the content of a file: a secret a line, without blanks at its ends. Empty lines, and lines that begin with
    /// `#`, do not count; nor does a byte order mark.
    ///
    /// # Errors
    /// No secret, too many, or lines that are too short or there twice.
    pub fn read(content: &[u8]) -> Result<Self, SecretsError> {
        if let [0xff, 0xfe, ..] | [0xfe, 0xff, ..] = content {
            return Err(SecretsError::Utf16);
        }
        let content = content.strip_prefix(b"\xef\xbb\xbf").unwrap_or(content);
        let lines = content.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii);
        let lines: Vec<(usize, &[u8])> = (1..)
            .zip(lines)
            .filter(|(_, line)| !line.is_empty() && !line.starts_with(b"#"))
            .collect();
        if lines.is_empty() {
            return Err(SecretsError::None);
        }
        if lines.len() > MAX_SECRETS {
            return Err(SecretsError::TooMany(lines.len()));
        }
        let mut faulty = Vec::new();
        for (at, (line, secret)) in lines.iter().enumerate() {
            let (line, bytes) = (*line, secret.len());
            if bytes < MIN_SECRET_BYTES {
                faulty.push(FaultyLine::TooShort { line, bytes });
            } else if let Some((first, _)) =
                lines[..at].iter().find(|(_, earlier)| earlier == secret)
            {
                let first = *first;
                faulty.push(FaultyLine::Twice { line, first });
            }
        }
        if !faulty.is_empty() {
            return Err(SecretsError::Lines(faulty));
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
