//! Checks a token: its form, its signature, then what it says.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::json::Object;
use crate::jwks::Algorithm;
use crate::{Claims, Identity, PublicKeys, Rejection, Secrets};

/// The largest token, in bytes.
pub const LARGEST_TOKEN: usize = 8 << 10;

/// What a token has to say besides a name, a role and a time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rules {
    /// The audience that every token has to name. Without one, no token may name any.
    pub audience: Option<String>,
    /// The issuer that the tokens of an identity provider have to name.
    pub issuer: Option<String>,
    /// The claim that holds the role in the tokens of an identity provider; empty = `role`.
    pub role_claim: String,
}

/// Verifies tokens. At least one of the two kinds of keys is needed for any to verify.
#[derive(Clone, Debug, Default)]
pub struct Verifier {
    /// The server's own secrets.
    pub secrets: Option<Secrets>,
    /// The keys of an identity provider.
    pub keys: Option<PublicKeys>,
    /// What else a token has to say.
    pub rules: Rules,
}

/// A token that verifies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified {
    /// Who sent it.
    pub identity: Identity,
    /// Everything that it says.
    pub claims: Claims,
}

/// The algorithm of a token, which decides the keys.
enum Signed {
    BySecret,
    ByKey(Algorithm),
}

impl Verifier {
    /// Checks a token at a time in seconds since 1970. What the token says is looked at only if it is genuine.
    ///
    /// # Errors
    /// The first fault.
    pub fn verify(&self, token: &str, now: u64) -> Result<Verified, Rejection> {
        if token.len() > LARGEST_TOKEN {
            return Err(Rejection::TooLarge);
        }
        let (signed, signature) = token.rsplit_once('.').ok_or(Rejection::Malformed)?;
        let (header, payload) = signed.split_once('.').ok_or(Rejection::Malformed)?;
        let header = object(header)?;
        let payload = decoded(payload)?;
        let signature = decoded(signature)?;
        let by = self.check_signature(&header, signed.as_bytes(), &signature)?;
        let payload = Object::read(&payload).ok_or(Rejection::Malformed)?;
        let role_claim = match by {
            Signed::ByKey(_) if !self.rules.role_claim.is_empty() => &self.rules.role_claim,
            Signed::BySecret | Signed::ByKey(_) => "role",
        };
        let claims = Claims::read(&payload, role_claim)?;
        claims.check_times(now)?;
        let names = |wanted: &String| claims.aud.contains(wanted);
        match &self.rules.audience {
            Some(audience) if !names(audience) => return Err(Rejection::Audience),
            None if !claims.aud.is_empty() => return Err(Rejection::Audience),
            Some(_) | None => {}
        }
        let is_foreign = matches!(by, Signed::ByKey(_));
        if is_foreign && self.rules.issuer.is_some() && claims.iss != self.rules.issuer {
            return Err(Rejection::Issuer);
        }
        Ok(Verified {
            identity: Identity {
                subject: Arc::clone(&claims.sub),
                role: claims.role,
            },
            claims,
        })
    }

    fn check_signature(
        &self,
        header: &Object,
        signed: &[u8],
        signature: &[u8],
    ) -> Result<Signed, Rejection> {
        let typ = header
            .get("typ")
            .map(|typ| typ.as_str().unwrap_or_default());
        let is_jwt = typ.is_none_or(|typ| {
            ["jwt", "at+jwt", "application/at+jwt"]
                .iter()
                .any(|known| typ.eq_ignore_ascii_case(known))
        });
        // What `crit` names would have to be understood, and nothing is.
        if !is_jwt || header.get("crit").is_some() {
            return Err(Rejection::Header);
        }
        let id = match header.get("kid") {
            None => None,
            Some(id) => Some(id.as_str().ok_or(Rejection::Header)?),
        };
        let by = match header.text("alg") {
            Some("HS256") => Signed::BySecret,
            Some(name) => Signed::ByKey(Algorithm::named(name).ok_or(Rejection::Header)?),
            None => return Err(Rejection::Header),
        };
        let verifies = match &by {
            // Secrets have no names: one that is named is another server's.
            Signed::BySecret => {
                let secrets = self.secrets.as_ref().filter(|_| id.is_none());
                secrets.is_some_and(|secrets| secrets.verify(signed, signature))
            }
            Signed::ByKey(algorithm) => {
                let keys = self.keys.as_ref();
                keys.is_some_and(|keys| keys.verify(*algorithm, id, signed, signature))
            }
        };
        verifies.then_some(by).ok_or(Rejection::Signature)
    }
}

/// What a token says, header and claims as JSON, whether or not it verifies: to show it, never to trust it.
///
/// # Errors
/// The token is none.
pub fn unverified(token: &str) -> Result<(String, String), Rejection> {
    let (signed, _) = token.rsplit_once('.').ok_or(Rejection::Malformed)?;
    let (header, payload) = signed.split_once('.').ok_or(Rejection::Malformed)?;
    let text = |part| serde_json::to_string(&object(part)?.0).map_err(|_| Rejection::Malformed);
    Ok((text(header)?, text(payload)?))
}

fn decoded(part: &str) -> Result<Vec<u8>, Rejection> {
    URL_SAFE_NO_PAD
        .decode(part)
        .map_err(|_| Rejection::Malformed)
}

fn object(part: &str) -> Result<Object, Rejection> {
    Object::read(&decoded(part)?).ok_or(Rejection::Malformed)
}
