//! The head of a commit in the log: its model, its content, and the group that it was synced with.

use super::manifest::Mark;
use super::record::{Anchor, Kind};

/// The digest of a group. It covers the heads of the group's commits, and thereby their contents.
pub(super) type GroupDigest = [u8; 16];

/// The side of the content on which a head lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    Before,
    After,
}

/// The layout of a head, the same for all commits in a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    /// Without a chain; read but no longer written.
    V1,
    /// With the group's number and the digest of the previous group.
    V2,
}

/// A group's position in the chain of groups, and a commit's position in its group.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Link {
    /// The number of the group, one more than the previous group's.
    pub number: u64,
    /// The digest of the previous group.
    pub previous: GroupDigest,
    /// The index of this commit in the group.
    pub index: u32,
    /// Number of commits in the group.
    pub count: u32,
}

#[derive(Clone, Debug)]
pub(super) struct Head {
    pub side: Side,
    pub kind: Kind,
    /// The number of the segment.
    pub segment: u64,
    /// The offset of the group in the segment.
    pub offset: u64,
    pub bytes: usize,
    /// `None` in format 1.
    pub link: Option<Link>,
    /// `None` in format 1.
    pub mark: Option<Mark>,
    pub anchor: Anchor,
    pub checksum: [u8; blake3::OUT_LEN],
    pub session: String,
    pub model: String,
}

/// Size of an id with its terminating zero.
pub(super) const ID: usize = 64;
/// Heads begin at multiples of this.
pub(super) const ALIGNMENT: usize = 8;
/// Size of the head's own checksum.
const SUM: usize = 24;
const FAMILY: &[u8; 7] = b"bpd-log";

impl Format {
    /// The format of a head that begins with this word, if this program can read it.
    pub fn of(word: &[u8]) -> Option<Self> {
        match word.strip_prefix(FAMILY)? {
            b"1" => Some(Self::V1),
            b"2" => Some(Self::V2),
            _ => None,
        }
    }

    /// Whether a newer program wrote a head that begins with this word.
    pub fn is_newer(word: &[u8]) -> bool {
        word.strip_prefix(FAMILY)
            .is_some_and(|version| matches!(version, [b'3'..=b'9']))
    }

    const fn magic(self) -> &'static [u8; ALIGNMENT] {
        match self {
            Self::V1 => b"bpd-log1",
            Self::V2 => b"bpd-log2",
        }
    }

    /// The size of a head.
    pub const fn size(self) -> usize {
        match self {
            Self::V1 => 256,
            Self::V2 => 304,
        }
    }
}

/// The digest of a group with these heads.
pub(super) fn digest(heads: impl IntoIterator<Item = Vec<u8>>) -> GroupDigest {
    let mut hasher = blake3::Hasher::new();
    for head in heads {
        hasher.update(&head);
    }
    let mut digest = GroupDigest::default();
    digest.copy_from_slice(&hasher.finalize().as_bytes()[..size_of::<GroupDigest>()]);
    digest
}

impl Head {
    pub fn format(&self) -> Format {
        if self.link.is_some() {
            Format::V2
        } else {
            Format::V1
        }
    }

    pub fn to_bytes(&self) -> Vec<u8> {
        let format = self.format();
        let form = match (self.kind, self.side) {
            (Kind::Snapshot, Side::Before) => 0_u64,
            (Kind::Snapshot, Side::After) => 1,
            (Kind::Redo, Side::Before) => 2,
            (Kind::Redo, Side::After) => 3,
        };
        let mut bytes = Vec::with_capacity(format.size());
        bytes.extend(format.magic());
        for number in [form, self.segment, self.offset, self.bytes as u64] {
            bytes.extend(number.to_le_bytes());
        }
        if let Some(link) = &self.link {
            bytes.extend(link.number.to_le_bytes());
            bytes.extend(link.index.to_le_bytes());
            bytes.extend(link.count.to_le_bytes());
            bytes.extend(link.previous);
            let mark = self.mark.unwrap_or_default();
            bytes.extend(mark.updated.to_le_bytes());
            bytes.extend(mark.step.to_le_bytes());
        }
        bytes.extend(self.anchor.0);
        bytes.extend(self.checksum);
        for id in [&self.session, &self.model] {
            let end = bytes.len() + ID;
            bytes.extend(id.as_bytes());
            bytes.resize(end, 0);
        }
        let sum = blake3::hash(&bytes);
        bytes.extend(&sum.as_bytes()[..SUM]);
        bytes
    }

    /// Reads the head at the beginning of `bytes`, if it is undamaged and belongs to this segment.
    pub fn read(bytes: &[u8], segment: u64) -> Option<Self> {
        let format = Format::of(bytes.get(..ALIGNMENT)?)?;
        let head = bytes.get(..format.size())?;
        let (covered, sum) = head.split_at(head.len() - SUM);
        if blake3::hash(covered).as_bytes()[..SUM] != *sum {
            return None;
        }
        let mut fields = Fields(&covered[ALIGNMENT..]);
        let form = fields.u64()?;
        let (kind, side) = match form {
            0 => (Kind::Snapshot, Side::Before),
            1 => (Kind::Snapshot, Side::After),
            2 => (Kind::Redo, Side::Before),
            3 => (Kind::Redo, Side::After),
            _ => return None,
        };
        let (of, offset, length) = (fields.u64()?, fields.u64()?, fields.u64()?);
        let (mut link, mut mark) = (None, None);
        if format == Format::V2 {
            let number = fields.u64()?;
            let (index, count) = (fields.u32()?, fields.u32()?);
            link = Some(Link {
                number,
                index,
                count,
                previous: fields.take()?,
            });
            let (updated, step) = (fields.u64()?, fields.u64()?);
            mark = Some(Mark { updated, step });
        }
        (of == segment).then_some(Self {
            side,
            kind,
            segment,
            offset,
            bytes: usize::try_from(length).ok()?,
            link,
            mark,
            anchor: Anchor(fields.take()?),
            checksum: fields.take()?,
            session: fields.id()?,
            model: fields.id()?,
        })
    }

    /// The size of the commit in the segment: both heads and the content between them.
    pub fn span(&self) -> Option<usize> {
        let content = self.bytes.checked_next_multiple_of(ALIGNMENT)?;
        content.checked_add(2 * self.format().size())
    }

    /// The content at `from`, if it is undamaged.
    pub fn content<'a>(&self, bytes: &'a [u8], from: Option<usize>) -> Option<&'a [u8]> {
        let from = from?;
        let content = bytes.get(from..from.checked_add(self.bytes)?)?;
        (blake3::hash(content) == self.checksum).then_some(content)
    }
}

/// The unread rest of a head.
struct Fields<'a>(&'a [u8]);

impl Fields<'_> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (field, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*field)
    }

    fn u64(&mut self) -> Option<u64> {
        self.take().map(u64::from_le_bytes)
    }

    fn u32(&mut self) -> Option<u32> {
        self.take().map(u32::from_le_bytes)
    }

    fn id(&mut self) -> Option<String> {
        let padded = self.take::<ID>()?;
        let end = padded.iter().position(|&byte| byte == 0)?;
        String::from_utf8(padded[..end].to_vec()).ok()
    }
}
