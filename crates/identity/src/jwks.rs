//! The public keys of an identity provider: a JWKS (RFC 7517).

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED, ED25519, RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents,
    UnparsedPublicKey,
};
use serde::Deserialize;

use crate::points::{is_on_ed25519, is_on_p256};

/// The shortest RSA key, in bits.
const MIN_RSA_BITS: usize = 2048;

/// The longest RSA key, in bits.
const MAX_RSA_BITS: usize = 8192;

/// The most keys of a file.
const MAX_KEYS: usize = 64;

/// Characters of a `kid` that an error repeats.
const LONGEST_ID: usize = 60;

/// The largest exponent of an RSA key that `ring` takes.
const MAX_EXPONENT: u64 = (1 << 33) - 1;

/// Bytes of a coordinate on P-256, and of a key for Ed25519.
const COORDINATE: usize = 32;

/// Why a JWKS cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JwksError {
    /// Not the JSON that is expected.
    #[error("it is not a JWKS, such as {{\"keys\": [{{\"kty\": \"RSA\", …}}]}}: {0}")]
    Json(String),
    /// Keys that must not be there, or that cannot be read: all of them.
    #[error("{}", listed(.0))]
    Keys(Vec<FaultyKey>),
    /// Too many keys.
    #[error("it has {0} keys, and at most {MAX_KEYS} are allowed")]
    TooMany(usize),
    /// No key that this server could verify with.
    #[error("it has no key that verifies RS256, ES256 (P-256) or EdDSA (Ed25519)")]
    None,
}

/// A key for which a whole file is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FaultyKey {
    /// The key, from 1.
    pub number: usize,
    /// Its `kid`.
    pub id: Option<String>,
    /// Its faults, and what is allowed.
    pub faults: Vec<&'static str>,
}

impl fmt::Display for FaultyKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "key {}", self.number)?;
        if let Some(id) = &self.id {
            let shown: String = id.chars().take(LONGEST_ID).collect();
            write!(f, " (kid {shown:?})")?;
        }
        write!(f, ": {}", self.faults.join(", "))
    }
}

fn listed(keys: &[FaultyKey]) -> String {
    let keys: Vec<String> = keys.iter().map(ToString::to_string).collect();
    keys.join("; ")
}

/// An algorithm that a public key can verify.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Algorithm {
    Rs256,
    Es256,
    EdDsa,
}

impl Algorithm {
    pub(crate) fn named(name: &str) -> Option<Self> {
        match name {
            "RS256" => Some(Self::Rs256),
            "ES256" => Some(Self::Es256),
            "EdDSA" | "Ed25519" => Some(Self::EdDsa),
            _ => None,
        }
    }
}

#[derive(Clone, Debug)]
enum Key {
    Rsa {
        n: Vec<u8>,
        e: Vec<u8>,
    },
    /// An uncompressed point.
    P256(Vec<u8>),
    Ed25519(Vec<u8>),
}

#[derive(Clone, Debug)]
struct NamedKey {
    id: Option<String>,
    key: Key,
}

/// Public keys. The kind of a key decides its algorithm, not the token.
#[derive(Clone, Debug)]
pub struct PublicKeys(Vec<NamedKey>);

#[derive(Deserialize)]
struct Jwks {
    keys: Vec<Jwk>,
}

#[derive(Deserialize)]
struct Jwk {
    kty: String,
    kid: Option<String>,
    alg: Option<String>,
    #[serde(rename = "use")]
    purpose: Option<String>,
    key_ops: Option<Vec<String>>,
    crv: Option<String>,
    n: Option<String>,
    e: Option<String>,
    x: Option<String>,
    y: Option<String>,
    d: Option<serde::de::IgnoredAny>,
}

impl PublicKeys {
    /// Reads a JWKS. Keys for encryption, and of kinds that this server does not verify, are left out.
    ///
    /// # Errors
    /// Not a JWKS, keys that are secret or unusable, or no key to verify with. One such key is enough: the file may be
    /// damaged, or not what its owner meant.
    pub fn read(content: &[u8]) -> Result<Self, JwksError> {
        let Jwks { keys } =
            serde_json::from_slice(content).map_err(|error| JwksError::Json(error.to_string()))?;
        if keys.len() > MAX_KEYS {
            return Err(JwksError::TooMany(keys.len()));
        }
        let (mut usable, mut faulty) = (Vec::new(), Vec::new());
        for (number, jwk) in (1..).zip(keys) {
            match jwk.key() {
                Ok(key) => usable.extend(key.map(|key| NamedKey { id: jwk.kid, key })),
                Err(faults) => faulty.push(FaultyKey {
                    number,
                    id: jwk.kid,
                    faults,
                }),
            }
        }
        if !faulty.is_empty() {
            return Err(JwksError::Keys(faulty));
        }
        if usable.is_empty() {
            return Err(JwksError::None);
        }
        Ok(Self(usable))
    }

    /// Whether a key of this algorithm, and of this id if the token names one, has signed this.
    pub(crate) fn verify(
        &self,
        algorithm: Algorithm,
        id: Option<&str>,
        signed: &[u8],
        signature: &[u8],
    ) -> bool {
        self.0
            .iter()
            .filter(|named| id.is_none() || named.id.as_deref() == id)
            .any(|named| named.key.verify(algorithm, signed, signature))
    }
}

impl Key {
    fn verify(&self, algorithm: Algorithm, signed: &[u8], signature: &[u8]) -> bool {
        match (self, algorithm) {
            (Self::Rsa { n, e }, Algorithm::Rs256) => RsaPublicKeyComponents { n, e }
                .verify(&RSA_PKCS1_2048_8192_SHA256, signed, signature)
                .is_ok(),
            (Self::P256(point), Algorithm::Es256) => {
                UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point)
                    .verify(signed, signature)
                    .is_ok()
            }
            (Self::Ed25519(key), Algorithm::EdDsa) => UnparsedPublicKey::new(&ED25519, key)
                .verify(signed, signature)
                .is_ok(),
            (Self::Rsa { .. } | Self::P256(_) | Self::Ed25519(_), _) => false,
        }
    }
}

impl Jwk {
    fn is_to_verify(&self) -> bool {
        let to_sign = self.purpose.as_deref().is_none_or(|it| it == "sig");
        let to_verify = self.key_ops.as_deref();
        to_sign && to_verify.is_none_or(|all| all.iter().any(|it| it == "verify"))
    }

    /// The key; `None` if it is for another purpose, of a kind or for an algorithm that this server does not verify.
    ///
    /// # Errors
    /// Its faults.
    fn key(&self) -> Result<Option<Key>, Vec<&'static str>> {
        if self.kty == "oct" {
            return Err(vec![
                "it is a secret (kty \"oct\"): secrets go into auth_secret_file, one a line",
            ]);
        }
        if self.d.is_some() {
            return Err(vec![
                "it is a private key (it has \"d\"): give the server the public part alone",
            ]);
        }
        if !self.is_to_verify() {
            return Ok(None);
        }
        let (read, algorithm): (fn(&Self) -> _, _) = match (self.kty.as_str(), self.crv.as_deref())
        {
            ("RSA", _) => (Self::rsa, Algorithm::Rs256),
            ("EC", Some("P-256")) => (Self::p256, Algorithm::Es256),
            ("OKP", Some("Ed25519")) => (Self::ed25519, Algorithm::EdDsa),
            _ => return Ok(None),
        };
        let named = self.alg.as_deref().map(Algorithm::named);
        if named.is_some_and(|named| named != Some(algorithm)) {
            return Ok(None);
        }
        read(self).map(Some)
    }

    fn rsa(&self) -> Result<Key, Vec<&'static str>> {
        let [n, e] = [&self.n, &self.e].map(|number| bytes(number.as_deref()).map(without_zeros));
        let mut faults = Vec::new();
        match &n {
            None => faults.push("n is not base64url"),
            Some(n) if !(MIN_RSA_BITS..=MAX_RSA_BITS).contains(&bits(n)) => {
                faults.push("RSA keys of 2048 to 8192 bits are allowed");
            }
            Some(n) if is_even(n) => faults.push("n is even, and no product of two odd primes"),
            Some(_) => {}
        }
        match &e {
            None => faults.push("e is not base64url"),
            Some(e) if is_even(e) || !(3..=MAX_EXPONENT).contains(&small(e)) => {
                faults.push("e has to be an odd number from 3 to 2^33 - 1, and is mostly 65537");
            }
            Some(_) => {}
        }
        match (n, e) {
            (Some(n), Some(e)) if faults.is_empty() => Ok(Key::Rsa { n, e }),
            _ => Err(faults),
        }
    }

    fn p256(&self) -> Result<Key, Vec<&'static str>> {
        let [x, y] = [&self.x, &self.y].map(|coordinate| {
            let coordinate = bytes(coordinate.as_deref());
            coordinate.filter(|it| it.len() == COORDINATE)
        });
        let mut faults = Vec::new();
        if x.is_none() {
            faults.push("x is not 32 bytes in base64url");
        }
        if y.is_none() {
            faults.push("y is not 32 bytes in base64url");
        }
        match (x, y) {
            (Some(x), Some(y)) if is_on_p256(&x, &y) => Ok(Key::P256([vec![4], x, y].concat())),
            (Some(_), Some(_)) => Err(vec!["x and y are no point of the curve P-256"]),
            _ => Err(faults),
        }
    }

    fn ed25519(&self) -> Result<Key, Vec<&'static str>> {
        match bytes(self.x.as_deref()).filter(|it| it.len() == COORDINATE) {
            None => Err(vec!["x is not 32 bytes in base64url"]),
            Some(x) if !is_on_ed25519(&x) => Err(vec![
                "x is no point of the curve Ed25519, or one of small order, for which anybody can sign",
            ]),
            Some(x) => Ok(Key::Ed25519(x)),
        }
    }
}

fn bytes(text: Option<&str>) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text?).ok()
}

fn without_zeros(number: Vec<u8>) -> Vec<u8> {
    let zeros = number.iter().take_while(|byte| **byte == 0).count();
    number[zeros..].to_vec()
}

/// The bits of a number, most significant byte first.
fn bits(number: &[u8]) -> usize {
    let zeros = number.iter().take_while(|byte| **byte == 0).count();
    match number.get(zeros) {
        None => 0,
        Some(first) => (number.len() - zeros) * 8 - first.leading_zeros() as usize,
    }
}

fn is_even(number: &[u8]) -> bool {
    number.last().is_none_or(|last| last % 2 == 0)
}

/// A number without leading zeros; one that is too large for 64 bits is the largest that is not.
fn small(number: &[u8]) -> u64 {
    if number.len() > 8 {
        return u64::MAX;
    }
    let digits = number.iter().map(|digit| u64::from(*digit));
    digits.fold(0, |value, digit| value << 8 | digit)
}
