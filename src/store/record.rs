//! The layout of a commit in the log: a head, the content, the head again, so that damage to one of the three never
//! hides which model the commit belongs to.

use super::head::{ALIGNMENT, Format, GroupDigest, Head, ID, Link, Side, digest};
use super::manifest::Mark;

/// Identifies a version of a model's file: the end of its snapshot, a checksum of the rest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Anchor(pub(super) [u8; ANCHOR]);

/// The kind of content of a commit in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A whole model.
    Snapshot,
    /// A record to replay from the model's previous commit.
    Redo,
}

/// A commit to be written to the log.
#[derive(Clone, Debug)]
pub struct Record {
    /// The session's id.
    pub session: String,
    /// The model's id.
    pub model: String,
    /// The version of the model's file that this commit builds on.
    pub anchor: Anchor,
    /// The commit's position among all commits of the model.
    pub mark: Mark,
    /// The kind of the content.
    pub kind: Kind,
    /// The content.
    pub content: Vec<u8>,
}

const ANCHOR: usize = 32;
/// The format for new commits.
const FORMAT: Format = Format::V2;

impl Anchor {
    /// The anchor of this snapshot.
    pub fn of(snapshot: &[u8]) -> Self {
        let end = &snapshot[snapshot.len().saturating_sub(ANCHOR)..];
        let mut anchor = [0; ANCHOR];
        anchor[..end.len()].copy_from_slice(end);
        Self(anchor)
    }
}

impl Record {
    /// Whether its ids fit in a head.
    pub(super) fn has_room(&self) -> bool {
        self.session.len().max(self.model.len()) < ID
    }

    /// Its size in the log.
    pub fn bytes(&self) -> usize {
        2 * FORMAT.size() + self.content.len().next_multiple_of(ALIGNMENT)
    }

    fn head(&self, segment: u64, offset: u64, link: Link) -> Head {
        Head {
            side: Side::Before,
            kind: self.kind,
            segment,
            offset,
            bytes: self.content.len(),
            link: Some(link),
            mark: Some(self.mark),
            anchor: self.anchor,
            checksum: blake3::hash(&self.content).into(),
            session: self.session.clone(),
            model: self.model.clone(),
        }
    }
}

/// Encodes the commits of a group for `offset` in this segment, after the group with the digest `previous`; also
/// returns the group's own digest.
pub(super) fn group(
    records: &[Record],
    segment: u64,
    offset: u64,
    number: u64,
    previous: GroupDigest,
) -> (Vec<u8>, GroupDigest) {
    let mut bytes = Vec::with_capacity(records.iter().map(Record::bytes).sum());
    let mut heads = Vec::with_capacity(records.len());
    let count = u32::try_from(records.len()).unwrap_or(u32::MAX);
    for (index, record) in (0..).zip(records) {
        let link = Link {
            number,
            previous,
            index,
            count,
        };
        let mut head = record.head(segment, offset, link);
        let before = head.to_bytes();
        bytes.extend(&before);
        heads.push(before);
        bytes.extend(&record.content);
        bytes.resize(bytes.len().next_multiple_of(ALIGNMENT), 0);
        head.side = Side::After;
        bytes.extend(head.to_bytes());
    }
    (bytes, digest(heads))
}
