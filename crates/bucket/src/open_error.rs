//! Why a bucket cannot be opened.

use crate::objects::Fault;

/// Why a bucket cannot be opened.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// The URL names no store.
    #[error(
        "{url:?} names no store; allowed are s3://bucket/prefix, gs://bucket/prefix, az://container/prefix and memory:"
    )]
    Url {
        /// What was given.
        url: String,
    },
    /// The program was built without the feature `clouds`.
    #[cfg(not(feature = "clouds"))]
    #[error(
        "this program was built without the client of {cloud}, as the one in the Python wheel is. Use the container image, \
         or the program that `cargo install` builds"
    )]
    LeftOut {
        /// The cloud.
        cloud: &'static str,
    },
    /// The settings of the environment do not suffice.
    #[error(
        "the settings for {cloud} are incomplete or invalid: {reason}. It is configured by {variables}"
    )]
    Settings {
        /// The cloud.
        cloud: &'static str,
        /// What is missing or invalid.
        reason: String,
        /// The variables that configure it.
        variables: &'static str,
    },
    /// The store does not do what the probe asks for.
    #[error("{store} does not answer as it should: {fault}")]
    Unavailable {
        /// The URL.
        store: String,
        /// What it answers.
        fault: Fault,
    },
    /// The store ignores a condition, and would lose commits.
    #[error(
        "{store} cannot hold sessions: {what}. Use a store with conditional writes, or a newer version of this one"
    )]
    Unconditional {
        /// The URL.
        store: String,
        /// What it did.
        what: &'static str,
    },
}
