//! The claims of a token.

use std::sync::Arc;

use serde::Serialize;
use serde_json::Value;

use crate::json::Object;
use crate::{Rejection, Role};

/// The longest `sub` or `jti`, in bytes.
pub const LONGEST_NAME: usize = 256;

/// Seconds by which the clocks of two machines may differ.
const LEEWAY: u64 = 30;

/// What a token says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Claims {
    /// The person or program.
    #[serde(serialize_with = "text")]
    pub sub: Arc<str>,
    /// Its role.
    #[serde(serialize_with = "role_name")]
    pub role: Role,
    /// The time after which the token is void, in seconds since 1970.
    pub exp: u64,
    /// The token's own name, by which it can be revoked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jti: Option<String>,
    /// The time before which the token is void.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nbf: Option<u64>,
    /// The time at which the token was signed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub iat: Option<u64>,
    /// The servers that the token is for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub aud: Vec<String>,
    /// Who signed it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub iss: Option<String>,
}

fn text<S: serde::Serializer>(text: &Arc<str>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(text)
}

#[allow(
    clippy::trivially_copy_pass_by_ref,
    reason = "the signature that serde calls"
)]
fn role_name<S: serde::Serializer>(role: &Role, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(role.name())
}

/// A text that cannot name a person or a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("1 to 256 bytes without control characters, and without blanks at its ends, are allowed")]
pub struct NameError;

/// Checks a `sub` or `jti`: it is stored, logged and compared.
///
/// # Errors
/// It is empty, too long, or has characters that a log line or a list cannot hold.
pub fn check_name(name: &str) -> Result<(), NameError> {
    let is_fine = (1..=LONGEST_NAME).contains(&name.len())
        && name.trim() == name
        && !name.chars().any(char::is_control);
    if is_fine { Ok(()) } else { Err(NameError) }
}

impl Claims {
    /// Reads the claims of a token whose signature has been checked. The role is the claim called `role_claim`.
    ///
    /// # Errors
    /// A claim is missing or of another type.
    pub(crate) fn read(object: &Object, role_claim: &str) -> Result<Self, Rejection> {
        let name = |key: &'static str| -> Result<Option<&str>, Rejection> {
            match object.get(key) {
                None => Ok(None),
                Some(Value::String(text)) if check_name(text).is_ok() => Ok(Some(text)),
                Some(_) => Err(Rejection::Claim(key)),
            }
        };
        let time = |key: &'static str| -> Result<Option<u64>, Rejection> {
            let value = object.get(key);
            value
                .map(|value| seconds(value).ok_or(Rejection::Claim(key)))
                .transpose()
        };
        Ok(Self {
            sub: name("sub")?.ok_or(Rejection::Claim("sub"))?.into(),
            role: role(object, role_claim)?,
            exp: time("exp")?.ok_or(Rejection::Claim("exp"))?,
            jti: name("jti")?.map(str::to_owned),
            nbf: time("nbf")?,
            iat: time("iat")?,
            aud: audiences(object.get("aud"))?,
            iss: match object.get("iss") {
                None => None,
                Some(Value::String(issuer)) => Some(issuer.clone()),
                Some(_) => return Err(Rejection::Claim("iss")),
            },
        })
    }

    /// Checks the times against `now`, in seconds since 1970.
    ///
    /// # Errors
    /// Too early or too late.
    pub(crate) fn check_times(&self, now: u64) -> Result<(), Rejection> {
        if now >= self.exp {
            return Err(Rejection::Expired);
        }
        if self
            .nbf
            .is_some_and(|from| from > now.saturating_add(LEEWAY))
        {
            return Err(Rejection::NotYetValid);
        }
        Ok(())
    }
}

/// A date, which may have a fraction.
fn seconds(value: &Value) -> Option<u64> {
    if let Some(whole) = value.as_u64() {
        return Some(whole);
    }
    let fraction = value.as_f64().filter(|date| (0.0..1e15).contains(date))?;
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "the range is checked"
    )]
    Some(fraction as u64)
}

/// One audience or several.
fn audiences(value: Option<&Value>) -> Result<Vec<String>, Rejection> {
    let text = |value: &Value| value.as_str().map(str::to_owned);
    match value {
        None => Ok(Vec::new()),
        Some(Value::Array(all)) => {
            let all: Option<Vec<String>> = all.iter().map(text).collect();
            all.ok_or(Rejection::Claim("aud"))
        }
        Some(one) => Ok(vec![text(one).ok_or(Rejection::Claim("aud"))?]),
    }
}

/// The role: the claim of this name, or the place that the name leads to with dots between the steps. A list of roles,
/// which may have those of other programs, gives the role with the most rights.
fn role(object: &Object, claim: &str) -> Result<Role, Rejection> {
    let inside = || {
        let mut steps = claim.split('.');
        let first = object.get(steps.next()?)?;
        steps.try_fold(first, |value, step| value.get(step))
    };
    match object.get(claim).or_else(inside) {
        None => Err(Rejection::Claim("role")),
        Some(Value::String(role)) => role.parse().map_err(|_| Rejection::Role),
        Some(Value::Array(all)) => {
            let known = all.iter().filter_map(Value::as_str);
            let known = known.filter_map(|role| role.parse().ok());
            known.max().ok_or(Rejection::Role)
        }
        Some(_) => Err(Rejection::Claim("role")),
    }
}
