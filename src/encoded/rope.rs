//! Messages as they go out, in parts: the numbers of a tensor stay where the compute thread wrote them, and what is around
//! them is written beside them.

use std::collections::VecDeque;

use bytes::{BufMut as _, Bytes, BytesMut};
use prost::Message;
use prost::encoding::{WireType, encode_key, encode_varint};

/// The most bytes of a key and a length.
const KEY_AND_LENGTH: usize = 15;

/// Parts below this are copied together, since each would be a frame of its own.
pub const SMALL_PART: usize = 4 << 10;

/// A message, or a part of one.
#[derive(Debug, Default)]
pub struct Rope {
    parts: VecDeque<Bytes>,
    length: usize,
}

impl Rope {
    /// The bytes of it.
    pub fn len(&self) -> usize {
        self.length
    }

    /// These bytes.
    pub fn of_bytes(bytes: Bytes) -> Self {
        let length = bytes.len();
        Self {
            parts: [bytes].into(),
            length,
        }
    }

    /// A small message.
    pub fn of(message: &impl Message) -> Self {
        Self::of_bytes(message.encode_to_vec().into())
    }

    /// Adds what follows it.
    pub fn append(&mut self, other: Self) {
        self.length += other.length;
        self.parts.extend(other.parts);
    }

    /// Adds a field of this number.
    pub fn put(&mut self, field: u32, content: Self) {
        let mut head = BytesMut::with_capacity(KEY_AND_LENGTH);
        encode_key(field, WireType::LengthDelimited, &mut head);
        encode_varint(content.length as u64, &mut head);
        self.append(Self::of_bytes(head.freeze()));
        self.append(content);
    }

    /// Its parts behind `head`, small ones together.
    pub fn into_parts(self, head: &[u8]) -> VecDeque<Bytes> {
        let mut parts = VecDeque::new();
        let mut small = BytesMut::from(head);
        for part in self.parts {
            if part.len() < SMALL_PART && small.len() < SMALL_PART {
                small.put_slice(&part);
                continue;
            }
            if !small.is_empty() {
                parts.push_back(small.split().freeze());
            }
            if part.len() < SMALL_PART {
                small.put_slice(&part);
            } else {
                parts.push_back(part);
            }
        }
        if !small.is_empty() {
            parts.push_back(small.freeze());
        }
        parts
    }
}
