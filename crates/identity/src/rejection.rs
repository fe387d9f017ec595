//! Why a token is refused.

/// Why a token is refused. The text is for the caller: it helps with a token that is out of date or meant for another
/// server, and says of a token that does not verify only that.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    /// The caller sent no token.
    #[error("this server needs a token: send `authorization: Bearer TOKEN`")]
    Missing,
    /// The header is not of the form that is asked for.
    #[error("the authorization header is not `Bearer TOKEN`")]
    NotBearer,
    /// Longer than any token of this server.
    #[error("the token is larger than 8192 bytes")]
    TooLarge,
    /// Not three parts of base64url, or not JSON in them.
    #[error("the token is not a JWT: three parts in base64url with dots between them")]
    Malformed,
    /// Signed in a way that the server does not accept, or not at all.
    #[error(
        "the token's header is not accepted: alg HS256, RS256, ES256 or EdDSA, no crit, and typ JWT if any"
    )]
    Header,
    /// No key verifies it.
    #[error("the token's signature does not verify: it was signed with another key, or changed")]
    Signature,
    /// A claim is missing, or of another type.
    #[error("the token lacks the claim {0}, or has it in a form that is not accepted")]
    Claim(&'static str),
    /// The role is none of this server's.
    #[error("the token's role is unknown: the roles are student, grader, instructor and admin")]
    Role,
    /// It is for another server.
    #[error("the token is for another audience (aud) than this server's (auth_audience)")]
    Audience,
    /// It is from another identity provider.
    #[error("the token is from another issuer (iss) than this server's (auth_issuer)")]
    Issuer,
    /// Its time has not come.
    #[error("the token is not valid yet (nbf)")]
    NotYetValid,
    /// Its time is over.
    #[error("the token has expired (exp): get a new one from whom you had this one")]
    Expired,
    /// The certificate that the connection began with has expired since.
    #[error("the client's certificate has expired: connect again with a new one")]
    CertificateExpired,
    /// The person or the token is on the list of the revoked.
    #[error("the token has been revoked: ask whom you had it from")]
    Revoked,
}
