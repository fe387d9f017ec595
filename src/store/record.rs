//! A commit as it lies in the log: a head, what it holds, the head again, so that damage to one of the three never hides
//! whose commit it is.

use super::head::{ALIGNMENT, Format, GroupDigest, Head, ID, Link, Side, digest};
use super::manifest::Mark;

/// What tells a model's file from every other that it had: the end of its snapshot, which is a checksum over the rest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Anchor(pub(super) [u8; ANCHOR]);

/// What a commit in the log holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// All of the model.
    Snapshot,
    /// What makes the model of its commit before this one.
    Redo,
}

/// A commit on its way into the log.
#[derive(Clone, Debug)]
pub struct Record {
    /// The session's id.
    pub session: String,
    /// The model's.
    pub model: String,
    /// The model's file that this commit comes after.
    pub anchor: Anchor,
    /// Where this commit stands among all commits of the model.
    pub mark: Mark,
    /// What the bytes are.
    pub kind: Kind,
    /// What the commit holds.
    pub content: Vec<u8>,
}

const ANCHOR: usize = 32;
/// The format that is written.
const FORMAT: Format = Format::V2;

impl Anchor {
    /// The one of this snapshot.
    pub fn of(snapshot: &[u8]) -> Self {
        let end = &snapshot[snapshot.len().saturating_sub(ANCHOR)..];
        let mut anchor = [0; ANCHOR];
        anchor[..end.len()].copy_from_slice(end);
        Self(anchor)
    }
}

impl Record {
    /// Whether its ids fit into a head.
    pub(super) fn has_room(&self) -> bool {
        self.session.len().max(self.model.len()) < ID
    }

    /// How much of the log it takes.
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

/// The commits of a group as they are written at `offset` of this segment, after the group with the digest `previous`;
/// and the group's own digest.
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
