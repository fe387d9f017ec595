//! What the protocol needs of an object store: a handful of operations on single objects.

use std::fmt;
use std::path::Path;
use std::time::SystemTime;

use async_trait::async_trait;
use bytes::Bytes;

/// The version of an object, by which a write can be made to depend on it: an ETag, and at Google a generation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Version {
    pub(crate) e_tag: Option<String>,
    pub(crate) number: Option<String>,
}

/// What a write depends on.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Condition<'a> {
    /// That there is no such object.
    Absent,
    /// That the object is of this version still.
    Unchanged(&'a Version),
}

/// What a conditional read finds.
#[derive(Clone, Debug)]
pub(crate) enum Fetched {
    /// The object is of the version that the reader has.
    Unchanged,
    Found(Bytes, Version),
    Missing,
}

/// Why a write has no version to show.
#[derive(Clone, Debug)]
pub(crate) enum Unwritten {
    /// The store says that the condition does not hold. That may be the echo of this very write, if something between
    /// here and there sent it twice.
    Refused(Fault),
    /// Everything else: the write may have landed, and may land yet.
    Unknown(Fault),
}

/// An object of a listing.
#[derive(Clone, Debug)]
pub(crate) struct Listed {
    pub key: String,
    pub e_tag: Option<String>,
    pub size: u64,
    /// When it was written, by the store's clock.
    pub written: SystemTime,
}

/// What went wrong with one request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// What kind of fault it is.
    pub kind: FaultKind,
    /// What was tried, what the store answered, and what to do about it.
    pub text: String,
}

/// The kinds of fault that are told apart, since each has its own remedy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultKind {
    /// There are no credentials in the environment, or the store does not know them.
    Credentials,
    /// The credentials do not permit the operation.
    Permission,
    /// The bucket does not exist.
    Bucket,
    /// The bucket is in another region.
    Region,
    /// No connection, or no answer in time.
    Network,
    /// The store is too busy, or failed.
    Busy,
    /// The object is not one that this program has written.
    Content,
    /// A local file.
    File,
    /// Everything else.
    Other,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// An object store. Keys are relative to the prefix. Reads may be repeated below this trait, conditional writes never.
#[async_trait]
pub(crate) trait Objects: Send + Sync {
    /// Reads an object, unless it is of the version at hand.
    async fn get(&self, key: &str, unless: Option<&Version>) -> Result<Fetched, Fault>;

    /// Reads at most this many bytes from the beginning of an object; none if there is no such object.
    async fn peek(&self, key: &str, bytes: u64) -> Result<Option<Bytes>, Fault>;

    /// Writes an object if the condition holds. Sent once.
    async fn put(
        &self,
        key: &str,
        bytes: Bytes,
        condition: Condition<'_>,
    ) -> Result<Version, Unwritten>;

    /// At most `limit` objects below the folder, in the order of their keys, from the first that follows `after`.
    async fn list(
        &self,
        folder: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<Listed>, Fault>;

    /// Removes an object; no error if there is none.
    async fn delete(&self, key: &str) -> Result<(), Fault>;

    /// Writes an object from a file of any size, without a condition.
    async fn upload(&self, key: &str, file: &Path) -> Result<(), Fault>;

    /// Reads an object into a new file; false if there is none.
    async fn download(&self, key: &str, file: &Path) -> Result<bool, Fault>;
}
