//! The public keys of an identity provider: a JWKS (RFC 7517).

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED, ED25519, RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents,
    UnparsedPublicKey,
};
use serde::Deserialize;

/// The shortest RSA key, in bits.
const MIN_RSA_BITS: usize = 2048;

/// The longest RSA key, in bits.
const MAX_RSA_BITS: usize = 8192;

/// The most keys of a file.
const MAX_KEYS: usize = 64;

/// Bytes of a coordinate on P-256, and of a key for Ed25519.
const COORDINATE: usize = 32;

/// Why a JWKS cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JwksError {
    /// Not the JSON that is expected.
    #[error("it is not a JWKS, such as {{\"keys\": [{{\"kty\": \"RSA\", …}}]}}: {0}")]
    Json(String),
    /// A secret among public keys.
    #[error("key {0} is a secret (kty \"oct\"): secrets go into auth_secret_file, one a line")]
    Secret(usize),
    /// A private key among public keys.
    #[error("key {0} is a private key (it has \"d\"): give the server the public part alone")]
    Private(usize),
    /// A key that cannot be read.
    #[error("key {number} cannot be used: {why}")]
    Key {
        /// The key, from 1.
        number: usize,
        /// The fault, and what is allowed.
        why: &'static str,
    },
    /// Too many keys.
    #[error("it has {0} keys, and at most {MAX_KEYS} are allowed")]
    TooMany(usize),
    /// No key that this server could verify with.
    #[error("it has no key that verifies RS256, ES256 (P-256) or EdDSA (Ed25519)")]
    None,
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
    /// Not a JWKS, a key that is secret or unusable, or no key to verify with.
    pub fn read(content: &[u8]) -> Result<Self, JwksError> {
        let Jwks { keys } =
            serde_json::from_slice(content).map_err(|error| JwksError::Json(error.to_string()))?;
        if keys.len() > MAX_KEYS {
            return Err(JwksError::TooMany(keys.len()));
        }
        let mut usable = Vec::new();
        for (number, jwk) in (1..).zip(keys) {
            if jwk.kty == "oct" {
                return Err(JwksError::Secret(number));
            }
            if jwk.d.is_some() {
                return Err(JwksError::Private(number));
            }
            if !jwk.is_to_verify() {
                continue;
            }
            let key = jwk.key().map_err(|why| JwksError::Key { number, why })?;
            usable.extend(key.map(|key| NamedKey { id: jwk.kid, key }));
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

    /// The key; `None` if it is of a kind or for an algorithm that this server does not verify.
    fn key(&self) -> Result<Option<Key>, &'static str> {
        let (kind, algorithm) = match (self.kty.as_str(), self.crv.as_deref()) {
            ("RSA", _) => ("RSA", Algorithm::Rs256),
            ("EC", Some("P-256")) => ("EC", Algorithm::Es256),
            ("OKP", Some("Ed25519")) => ("OKP", Algorithm::EdDsa),
            _ => return Ok(None),
        };
        let named = self.alg.as_deref().map(Algorithm::named);
        if named.is_some_and(|named| named != Some(algorithm)) {
            return Ok(None);
        }
        let key = match kind {
            "RSA" => {
                let n = bytes(self.n.as_deref()).ok_or("n is not base64url")?;
                let e = bytes(self.e.as_deref()).ok_or("e is not base64url")?;
                let bits = bits(&n);
                if !(MIN_RSA_BITS..=MAX_RSA_BITS).contains(&bits) {
                    return Err("RSA keys of 2048 to 8192 bits are allowed");
                }
                Key::Rsa {
                    n: without_zeros(n),
                    e: without_zeros(e),
                }
            }
            "EC" => {
                let mut point = vec![4];
                for coordinate in [&self.x, &self.y] {
                    let coordinate = bytes(coordinate.as_deref());
                    let coordinate = coordinate.filter(|it| it.len() == COORDINATE);
                    point.extend(coordinate.ok_or("x and y are not 32 bytes in base64url")?);
                }
                Key::P256(point)
            }
            _ => {
                let x = bytes(self.x.as_deref()).filter(|it| it.len() == COORDINATE);
                Key::Ed25519(x.ok_or("x is not 32 bytes in base64url")?)
            }
        };
        Ok(Some(key))
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
