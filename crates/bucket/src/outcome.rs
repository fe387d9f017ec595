//! What a caller is told.

use std::fmt;
use std::io;

use bytes::Bytes;
use futures_util::future::BoxFuture;

use crate::envelope::Lease;
use crate::ids::Mark;
use crate::objects::{Fault, FaultKind, Version};

/// An object as this node last saw it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Its version, on which the next commit depends.
    pub version: Version,
    /// Its mark.
    pub mark: Mark,
}

/// A live object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Object {
    /// A model's file, a session's record, or what a dataset's object says of its content.
    pub bytes: Bytes,
    /// The lease of a session.
    pub lease: Option<Lease>,
    /// What the next commit depends on.
    pub seen: Seen,
}

/// Encodes a content with a mark in it. It is called again with another mark if a write has to be repeated.
pub trait Encode: Send + Sync {
    /// The bytes of the object. The encoding of a large one belongs on a thread of its own.
    fn encode<'a>(&'a self, mark: &'a Mark) -> BoxFuture<'a, io::Result<Bytes>>;
}

impl<F: Fn(&Mark) -> io::Result<Bytes> + Send + Sync> Encode for F {
    fn encode<'a>(&'a self, mark: &'a Mark) -> BoxFuture<'a, io::Result<Bytes>> {
        Box::pin(std::future::ready(self(mark)))
    }
}

/// How a commit ended.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub enum Commit {
    /// It is durable: acknowledge it.
    Stored(Seen),
    /// It is durable: acknowledge it. Another node has written on top of it: drop the object from memory.
    Overtaken,
    /// It is not durable and never will be. Another node has written or deleted the object: drop it from memory.
    Moved,
    /// The store does not tell. Drop the object from memory: the next read tells.
    Unknown(Unavailable),
}

/// How a creation ended.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub enum Create {
    /// It was created.
    Created(Seen),
    /// It was created, and another node has written to it since: this is what it is now.
    Overtaken(Object),
    /// It exists, created by another call: this is what it is.
    Taken(Object),
    /// Its session is gone, or is another one of the same name.
    NoSession,
    /// The store does not tell, or removes an older object of this name at the moment. Try again.
    Unknown(Unavailable),
}

/// What a read found.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub enum Read {
    /// The object is of the version at hand.
    Unchanged,
    /// It is another one.
    Found(Object),
    /// It does not exist, was deleted, or belongs to an earlier life of its session.
    Missing,
}

/// The store did not do what was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unavailable {
    /// What was to be done, and with which object.
    what: String,
    fault: Fault,
}

impl Unavailable {
    pub(crate) fn new(what: impl Into<String>, fault: Fault) -> Self {
        Self {
            what: what.into(),
            fault,
        }
    }

    /// A fault that is not the store's: of an object's content.
    pub(crate) fn content(what: impl Into<String>, text: impl Into<String>) -> Self {
        Self::new(
            what,
            Fault {
                kind: FaultKind::Content,
                text: text.into(),
            },
        )
    }

    /// The kind of the fault.
    pub fn kind(&self) -> FaultKind {
        self.fault.kind
    }
}

impl fmt::Display for Unavailable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.what, self.fault)
    }
}

impl std::error::Error for Unavailable {}
