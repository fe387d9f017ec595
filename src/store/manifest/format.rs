//! The byte format of the manifest.

use std::collections::BTreeMap;

use super::{Mark, Marks};

pub(super) const SLOT: usize = 256;
pub(super) const ID: usize = 64;
pub(super) const CELL: usize = 64;
const MAGIC: &[u8; 8] = b"bpd-man1";
const FAMILY: &[u8; 7] = b"bpd-man";

/// Hashes of the two ids; the session's comes first, so that the slots of a session are adjacent in the map.
pub(super) type Key = (u64, u64);

#[derive(Clone, Debug)]
pub(super) struct Slot {
    pub ids: Box<[u8; 2 * ID]>,
    pub number: u64,
    pub count: u64,
    pub mark: Mark,
}

/// The contents of a manifest.
#[derive(Debug, Default)]
pub(in crate::store) struct Contents {
    pub marks: Marks,
    pub(super) slots: BTreeMap<Key, Slot>,
    pub(super) free: Vec<u64>,
    pub(super) end: u64,
    /// Number of unreadable slots.
    pub damaged: usize,
    /// Whether the head is intact.
    pub has_head: bool,
    /// Whether the file is empty.
    pub is_empty: bool,
}

/// Whether a newer program wrote this manifest.
pub(in crate::store) fn is_newer(bytes: &[u8]) -> bool {
    // A single flipped bit can turn the magic word into the next version's; intact slots settle the question.
    let version = bytes
        .get(..MAGIC.len())
        .and_then(|word| word.strip_prefix(FAMILY));
    matches!(version, Some([b'2'..=b'9'])) && Contents::read(bytes).slots.is_empty()
}

impl Contents {
    pub fn read(bytes: &[u8]) -> Self {
        let mut contents = Self {
            has_head: bytes.get(..SLOT) == Some(&head()[..]),
            is_empty: bytes.is_empty(),
            ..Self::default()
        };
        let slots = bytes.get(SLOT..).unwrap_or_default();
        for (number, slot) in (0..).zip(slots.chunks(SLOT)) {
            contents.end = number + 1;
            match read_slot(slot) {
                Some((session, model, count, mark)) => {
                    let key = key(&session, &model);
                    let slot = Slot {
                        ids: Box::new(ids(&session, &model)),
                        number,
                        count,
                        mark,
                    };
                    contents.slots.insert(key, slot);
                    contents.marks.insert((session, model), mark);
                }
                None => {
                    contents.damaged += usize::from(slot.iter().any(|&byte| byte != 0));
                    contents.free.push(number);
                }
            }
        }
        contents
    }
}

pub(super) fn head() -> [u8; SLOT] {
    let mut head = [0; SLOT];
    head[..MAGIC.len()].copy_from_slice(MAGIC);
    head
}

/// A manifest with these marks.
pub(in crate::store) fn encode(marks: &Marks) -> Vec<u8> {
    let mut bytes = head().to_vec();
    for ((session, model), mark) in marks {
        let ids = ids(session, model);
        bytes.extend_from_slice(&ids);
        bytes.extend_from_slice(&cell(&ids, 1, *mark));
        bytes.extend_from_slice(&[0; CELL]);
    }
    bytes
}

pub(super) const fn place(number: u64) -> u64 {
    (1 + number) * SLOT as u64
}

pub(super) fn hash(id: &str) -> u64 {
    let hash = blake3::hash(id.as_bytes());
    let word = hash.as_bytes().first_chunk();
    word.map_or(0, |word| u64::from_le_bytes(*word))
}

pub(super) fn key(session: &str, model: &str) -> Key {
    (hash(session), hash(model))
}

pub(super) fn ids(session: &str, model: &str) -> [u8; 2 * ID] {
    let mut ids = [0; 2 * ID];
    for (id, room) in [session, model].into_iter().zip(ids.chunks_exact_mut(ID)) {
        let length = id.len().min(ID - 1);
        room[..length].copy_from_slice(&id.as_bytes()[..length]);
    }
    ids
}

pub(super) fn cell(ids: &[u8], count: u64, mark: Mark) -> [u8; CELL] {
    let mut cell = [0; CELL];
    let numbers = [count, mark.updated, mark.step, 0];
    for (number, room) in numbers.into_iter().zip(cell.chunks_exact_mut(8)) {
        room.copy_from_slice(&number.to_le_bytes());
    }
    let sum = checksum(ids, &cell[..CELL / 2]);
    cell[CELL / 2..].copy_from_slice(sum.as_bytes());
    cell
}

fn checksum(ids: &[u8], numbers: &[u8]) -> blake3::Hash {
    let mut hasher = blake3::Hasher::new();
    hasher.update(ids);
    hasher.update(numbers);
    hasher.finalize()
}

/// Reads a slot: the ids, and count and mark of the newer intact cell.
fn read_slot(slot: &[u8]) -> Option<(String, String, u64, Mark)> {
    let (ids, cells) = slot.split_at_checked(2 * ID)?;
    let number = |bytes: &[u8], at: usize| {
        let word = bytes.get(8 * at..)?.first_chunk()?;
        Some(u64::from_le_bytes(*word))
    };
    let sound = cells.chunks_exact(CELL).filter_map(|cell| {
        let (numbers, sum) = cell.split_at(CELL / 2);
        let mark = Mark {
            updated: number(numbers, 1)?,
            step: number(numbers, 2)?,
        };
        let is_sound = checksum(ids, numbers).as_bytes() == sum;
        is_sound.then_some((number(numbers, 0)?, mark))
    });
    let (count, mark) = sound.max_by_key(|(count, _)| *count)?;
    let id = |padded: &[u8]| {
        let end = padded.iter().position(|&byte| byte == 0)?;
        String::from_utf8(padded[..end].to_vec()).ok()
    };
    Some((id(&ids[..ID])?, id(&ids[ID..])?, count, mark))
}
