//! Sessions, models and datasets in an object store that several nodes share.
//!
//! There is no lease, no leader and no lock: a node that has lost its connection, its time or its session may compute,
//! and cannot acknowledge, because each commit is one write on the condition that the object is as this node last saw
//! it. The crate knows of a model only its mark, an entry in the header of its safetensors file.
//!
//! - [`Bucket`]: what a node calls. [`Commit`], [`Create`], [`Read`]: what it is told.
//! - `protocol`: commit, create and delete of one object, over the trait `objects::Objects`.
//! - `envelope`, `keys`: the formats and the names of objects.
//! - `stores`, `explain`: the trait over the crate `object_store`, and its faults in words.
//! - `sweep`, `peek`, `generations`: what is dead, and is removed after a while.
//! - `open`, `address`, `cloud`, `connector`: from a URL to a bucket; the last two are the feature `clouds`. `probe`: what a store has to show at the start.

#[cfg_attr(
    not(feature = "clouds"),
    expect(dead_code, reason = "a URL is read, and its store is not reached")
)]
mod address;
mod bucket;
#[cfg(feature = "clouds")]
mod cloud;
#[cfg(feature = "clouds")]
mod connector;
mod datasets;
mod envelope;
mod explain;
mod generations;
mod ids;
mod keys;
mod objects;
mod open;
mod open_error;
mod outcome;
mod peek;
mod probe;
mod protocol;
#[cfg(test)]
mod simulation;
mod stores;
mod sweep;
mod watch;

pub use bucket::{Bucket, Options};
pub use bytes::Bytes;
#[cfg(feature = "clouds")]
pub use connector::Connector;
pub use datasets::ListedDataset;
pub use envelope::{Lease, MARK_ENTRY};
pub use ids::{COMMITS_KEPT, CommitId, Generation, Mark};
pub use objects::{Fault, FaultKind, Version};
pub use open_error::OpenError;
pub use outcome::{Commit, Create, Encode, Object, Read, Seen, Unavailable};
pub use sweep::Swept;
pub use watch::{Operation, Outcome, Watch};
