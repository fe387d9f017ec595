//! Who a caller is: roles, and the signed tokens (JWT) that name a person and a role.
//!
//! Pure: no IO and no clock; the time is an argument, in seconds since 1970. The signatures are checked by `ring`, which
//! TLS uses as well. A token is taken apart here rather than by a library for it: this program needs four algorithms, each
//! pinned to a kind of key, and nothing that a header could ask for.
//!
//! - [`Role`], [`Identity`]: what a caller has been found to be.
//! - [`Verifier`]: checks a token against the secrets and public keys of the server.
//! - [`Secrets`]: the server's own secrets, which also sign tokens.
//! - [`PublicKeys`]: the keys of an identity provider, as a JWKS.
//! - [`Revoked`]: people and tokens that are refused although their token verifies.

mod claims;
mod json;
mod jwks;
mod points;
mod rejection;
mod revoked;
mod role;
mod secrets;
mod verifier;

pub use claims::{Claims, LONGEST_NAME, NameError, check_name};
pub use jwks::{FaultyKey, JwksError, PublicKeys};
pub use rejection::Rejection;
pub use revoked::{Revoked, RevokedError};
pub use role::{Identity, Reach, Role, UnknownRole};
pub use secrets::{FaultyLine, MAX_SECRETS, MIN_SECRET_BYTES, Secrets, SecretsError};
pub use verifier::{LARGEST_TOKEN, Rules, Verified, Verifier, unverified};
