//! A commit as it lies in the log: a head, what it holds, the head again, so that damage to one of the three never hides
//! whose commit it is.

/// What tells a model's file from every other that it had: the end of its snapshot, which is a checksum over the rest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Anchor([u8; ANCHOR]);

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
    /// What the bytes are.
    pub kind: Kind,
    /// What the commit holds.
    pub content: Vec<u8>,
}

/// A commit as it was found in the log.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Found<'a> {
    pub session: String,
    pub model: String,
    pub anchor: Anchor,
    pub kind: Kind,
    /// `None` where its bytes are not those that were written.
    pub content: Option<&'a [u8]>,
}

const ANCHOR: usize = 32;
/// Room for an id and the zero behind it.
const ID: usize = 64;
const HEAD: usize = 256;
/// Everything of a head before its own checksum.
const COVERED: usize = 232;
const MAGIC: &[u8; 8] = b"bpd-log1";
/// Where a head can begin: at multiples of this.
const ALIGNMENT: usize = MAGIC.len();

/// On which side of its content a head lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    Before,
    After,
}

#[derive(Clone, Debug)]
struct Head {
    side: Side,
    kind: Kind,
    /// The number of its segment.
    segment: u64,
    /// Where in the segment the commits begin that were synced along with this one: all before that is durable.
    group: u64,
    bytes: usize,
    anchor: Anchor,
    checksum: [u8; blake3::OUT_LEN],
    session: String,
    model: String,
}

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
        2 * HEAD + self.content.len().next_multiple_of(ALIGNMENT)
    }

    /// Adds it to what is about to be written at `group` of this segment.
    pub(super) fn write(&self, segment: u64, group: u64, to: &mut Vec<u8>) {
        let mut head = Head {
            side: Side::Before,
            kind: self.kind,
            segment,
            group,
            bytes: self.content.len(),
            anchor: self.anchor,
            checksum: blake3::hash(&self.content).into(),
            session: self.session.clone(),
            model: self.model.clone(),
        };
        to.extend(head.to_bytes());
        to.extend(&self.content);
        to.resize(to.len().next_multiple_of(ALIGNMENT), 0);
        head.side = Side::After;
        to.extend(head.to_bytes());
    }
}

impl Head {
    fn to_bytes(&self) -> [u8; HEAD] {
        let form = match (self.kind, self.side) {
            (Kind::Snapshot, Side::Before) => 0_u64,
            (Kind::Snapshot, Side::After) => 1,
            (Kind::Redo, Side::Before) => 2,
            (Kind::Redo, Side::After) => 3,
        };
        let mut bytes = [0; HEAD];
        let mut at = 0;
        let mut put = |part: &[u8], room: usize| {
            bytes[at..at + part.len()].copy_from_slice(part);
            at += room;
        };
        put(MAGIC, MAGIC.len());
        for number in [form, self.segment, self.group, self.bytes as u64] {
            put(&number.to_le_bytes(), 8);
        }
        put(&self.anchor.0, ANCHOR);
        put(&self.checksum, blake3::OUT_LEN);
        put(self.session.as_bytes(), ID);
        put(self.model.as_bytes(), ID);
        let checksum = blake3::hash(&bytes[..COVERED]);
        bytes[COVERED..].copy_from_slice(&checksum.as_bytes()[..HEAD - COVERED]);
        bytes
    }

    /// The head that begins here, if an undamaged one of this segment does.
    fn read(bytes: &[u8], segment: u64) -> Option<Self> {
        let (head, _) = bytes.split_first_chunk::<HEAD>()?;
        let mut rest = head.strip_prefix(MAGIC)?;
        let checksum = blake3::hash(&head[..COVERED]);
        if checksum.as_bytes()[..HEAD - COVERED] != head[COVERED..] {
            return None;
        }
        let mut number = || {
            let (number, after) = rest.split_first_chunk()?;
            rest = after;
            Some(u64::from_le_bytes(*number))
        };
        let (form, of, group, length) = (number()?, number()?, number()?, number()?);
        let (kind, side) = match form {
            0 => (Kind::Snapshot, Side::Before),
            1 => (Kind::Snapshot, Side::After),
            2 => (Kind::Redo, Side::Before),
            3 => (Kind::Redo, Side::After),
            _ => return None,
        };
        let (anchor, rest) = rest.split_first_chunk()?;
        let (checksum, rest) = rest.split_first_chunk()?;
        let (session, rest) = rest.split_first_chunk::<ID>()?;
        let (model, _) = rest.split_first_chunk::<ID>()?;
        let id = |padded: &[u8]| {
            let end = padded.iter().position(|&byte| byte == 0)?;
            String::from_utf8(padded[..end].to_vec()).ok()
        };
        (of == segment).then_some(Self {
            side,
            kind,
            segment,
            group,
            bytes: usize::try_from(length).ok()?,
            anchor: Anchor(*anchor),
            checksum: *checksum,
            session: id(session)?,
            model: id(model)?,
        })
    }

    /// The content that lies here, if it is the one that was written.
    fn content<'a>(&self, bytes: &'a [u8], from: Option<usize>) -> Option<&'a [u8]> {
        let from = from?;
        let content = bytes.get(from..from.checked_add(self.bytes)?)?;
        (blake3::hash(content) == self.checksum).then_some(content)
    }
}

/// Every commit in a segment, in order. What the last group holds and did not reach the disk whole was never
/// acknowledged, and is left out; anything else that is damaged is told as such.
pub(super) fn scan(bytes: &[u8], segment: u64) -> Vec<Found<'_>> {
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(aligned) = bytes.get(at..) {
        let mut words = aligned.chunks_exact(ALIGNMENT);
        let Some(skipped) = words.position(|word| word == MAGIC) else {
            break;
        };
        at += skipped * ALIGNMENT;
        let Some(head) = Head::read(&bytes[at..], segment) else {
            at += ALIGNMENT;
            continue;
        };
        let padded = head.bytes.checked_next_multiple_of(ALIGNMENT);
        let from = match head.side {
            Side::Before => Some(at + HEAD),
            // The head before it is damaged.
            Side::After => padded.and_then(|padded| at.checked_sub(padded)),
        };
        let content = head.content(bytes, from);
        at += HEAD;
        if let (Side::Before, Some(_), Some(padded)) = (head.side, content, padded) {
            // Its other head has nothing to add.
            at += padded + HEAD;
        }
        found.push((head, content));
    }
    let durable = found.iter().map(|(head, _)| head.group).max();
    let durable = durable.unwrap_or_default();
    let acknowledged = found
        .into_iter()
        .filter(|(head, content)| content.is_some() || head.group < durable);
    acknowledged
        .map(|(head, content)| Found {
            session: head.session,
            model: head.model,
            anchor: head.anchor,
            kind: head.kind,
            content,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MODELS: [&str; 3] = ["a", "b", "c"];

    /// A segment with a commit of each model, synced one by one.
    fn segment() -> Vec<u8> {
        let mut bytes = Vec::new();
        for model in MODELS {
            let record = Record {
                session: "s".to_owned(),
                model: model.to_owned(),
                anchor: Anchor::of(b"file"),
                kind: if model == "b" {
                    Kind::Redo
                } else {
                    Kind::Snapshot
                },
                content: format!("what {model} is").into_bytes(),
            };
            let group = bytes.len() as u64;
            record.write(7, group, &mut bytes);
            assert_eq!(bytes.len() as u64, group + record.bytes() as u64);
        }
        bytes.resize(bytes.len() + 1024, 0);
        bytes
    }

    #[test]
    fn any_flipped_bit_costs_its_own_commit_at_most_and_never_in_silence() {
        let mut bytes = segment();
        let each = (bytes.len() - 1024) / MODELS.len();
        for bit in 0..(bytes.len() - 1024) * 8 {
            bytes[bit / 8] ^= 1 << (bit % 8);
            let found = scan(&bytes, 7);
            for (at, model) in MODELS.into_iter().enumerate() {
                let last = found.iter().rev().find(|found| found.model == model);
                let Some(last) = last else {
                    // The last one may as well never have come to the disk.
                    assert_eq!((at, bit / 8 / each), (2, 2), "bit {bit}");
                    continue;
                };
                match last.content {
                    Some(whole) => assert_eq!(whole, format!("what {model} is").as_bytes()),
                    None => assert_eq!(at, bit / 8 / each, "bit {bit}"),
                }
            }
            bytes[bit / 8] ^= 1 << (bit % 8);
        }
    }

    #[test]
    fn whatever_of_it_is_cut_off_the_commits_before_are_there() {
        let bytes = segment();
        let each = (bytes.len() - 1024) / MODELS.len();
        for length in 0..bytes.len() {
            let mut cut = bytes[..length].to_vec();
            let whole = scan(&cut, 7);
            let count = whole.iter().filter(|found| found.content.is_some());
            assert!(count.count() >= (length / each).min(3), "{length}");
            assert!(whole.iter().all(|found| found.content.is_some()));
            let count = whole.len();
            // As a torn write in a segment that was made of zeros.
            cut.resize(bytes.len(), 0);
            assert_eq!(scan(&cut, 7).len(), count, "{length}");
        }
    }

    #[test]
    fn another_segments_commits_are_not_found() {
        assert!(scan(&segment(), 8).is_empty());
    }
}
