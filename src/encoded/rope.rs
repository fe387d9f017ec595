//! Outgoing messages in parts: the entries of a tensor stay where the compute thread wrote them, and the fields around
//! them are parts of their own.

use std::collections::VecDeque;

use bytes::{BufMut as _, Bytes, BytesMut};
use prost::Message;
use prost::encoding::{WireType, encode_key, encode_varint};

/// The largest size of a key and a length, in bytes.
const KEY_AND_LENGTH: usize = 15;

/// Parts below this are merged, because each part is sent as a frame.
pub const SMALL_PART: usize = 4 << 10;

/// A message, or a part of one.
#[derive(Debug, Default)]
pub struct Rope {
    parts: VecDeque<Bytes>,
    length: usize,
}

impl Rope {
    /// The encoded length, in bytes.
    pub fn len(&self) -> usize {
        self.length
    }

    /// A rope of already encoded bytes.
    pub fn of_bytes(bytes: Bytes) -> Self {
        let length = bytes.len();
        Self {
            parts: [bytes].into(),
            length,
        }
    }

    /// Encodes a small message.
    pub fn of(message: &impl Message) -> Self {
        Self::of_bytes(message.encode_to_vec().into())
    }

    /// Appends the parts of `other`.
    pub fn append(&mut self, other: Self) {
        self.length += other.length;
        self.parts.extend(other.parts);
    }

    /// Appends a length-delimited field.
    pub fn put(&mut self, field: u32, content: Self) {
        let mut head = BytesMut::with_capacity(KEY_AND_LENGTH);
        encode_key(field, WireType::LengthDelimited, &mut head);
        encode_varint(content.length as u64, &mut head);
        self.append(Self::of_bytes(head.freeze()));
        self.append(content);
    }

    /// The parts after `head`, with small ones merged.
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
