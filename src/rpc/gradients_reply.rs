//! The reply of Gradients. It holds every matrix of a pass, two dozen even for a small network. Building a message for
//! each would take longer than the pass, so the entries are encoded straight from the buffers of the pass.

use bytes::BufMut;
use prost::Message as _;

use crate::encoded::Rope;
use crate::nn::pauses::{Pauses, WALK};
use crate::nn::{Dtype, Scalar};
use crate::rpc::codec::Encodable;
use crate::rpc::convert::tensor::{Encoding, dtype};
use crate::rpc::pb;

/// Wire types.
const VARINT: u8 = 0;
const DELIMITED: u8 = 2;

/// The largest size of a tensor besides its entries, in bytes: six keys, four lengths, two sizes, quantity, layer and
/// type.
const OVERHEAD: usize = 48;

/// A `GradientsResponse`.
#[derive(Clone, Debug)]
pub struct GradientsReply {
    /// All fields but the tensors.
    pub(super) head: pb::GradientsResponse,
    pub(super) tensors: Tensors,
}

impl GradientsReply {
    /// The encoded reply, and a blank message for tonic.
    pub(super) fn into_rope(self) -> (Rope, Self) {
        let Tensors { bytes, encoding } = self.tensors;
        let mut rope = Rope::of(&self.head);
        rope.append(Rope::of_bytes(bytes.into()));
        let blank = Self {
            head: pb::GradientsResponse::default(),
            tensors: Tensors::new(encoding, 0, 0),
        };
        (rope, blank)
    }
}

impl Encodable for GradientsReply {
    fn size(&self) -> usize {
        self.head.encoded_len() + self.tensors.bytes.len()
    }

    fn put(&self, buffer: &mut impl BufMut) {
        // Two concatenated messages of a type decode as one message with the fields of both.
        Encodable::put(&self.head, buffer);
        buffer.put_slice(&self.tensors.bytes);
    }
}

/// The field `tensors`, encoded.
#[derive(Clone, Debug)]
pub(super) struct Tensors {
    bytes: Vec<u8>,
    encoding: Encoding,
}

impl Tensors {
    /// Room for `count` tensors, whose entries take `bytes`.
    pub(super) fn new(encoding: Encoding, count: usize, bytes: usize) -> Self {
        Self {
            bytes: Vec::with_capacity(bytes + count * OVERHEAD),
            encoding,
        }
    }

    /// Appends a `NamedTensor`; `layer` is 0 for a quantity that belongs to no layer.
    pub(super) fn push<T: Scalar>(
        &mut self,
        quantity: pb::Quantity,
        layer: usize,
        shape: &[usize],
        entries: &[T],
    ) {
        self.head(quantity, layer, shape, entries);
        self.entries(entries);
        self.tail::<T>();
    }

    /// [`Self::push`] with pauses.
    pub(super) async fn push_in_blocks<T: Scalar>(
        &mut self,
        quantity: pb::Quantity,
        layer: usize,
        shape: &[usize],
        entries: &[T],
        pauses: &impl Pauses,
    ) {
        self.head(quantity, layer, shape, entries);
        for entries in entries.chunks(WALK) {
            self.entries(entries);
            pauses.pause().await;
        }
        self.tail::<T>();
    }

    /// Writes the fields before the entries of a tensor.
    fn head<T: Scalar>(
        &mut self,
        quantity: pb::Quantity,
        layer: usize,
        shape: &[usize],
        entries: &[T],
    ) {
        let sizes = shape.iter().map(|&size| varint_len(size)).sum();
        let data = self.encoding.bytes(entries.len(), T::DTYPE);
        let entries_field = match self.encoding {
            Encoding::Values => 2,
            Encoding::Raw => 3,
        };
        // Type and quantity are below 128, so one byte each.
        let tensor = delimited_len(sizes) + delimited_len(data) + 2;
        let layer_len = if layer == 0 { 0 } else { 1 + varint_len(layer) };
        self.start(2, 2 + layer_len + delimited_len(tensor));
        self.bytes.extend([key(1, VARINT), quantity as u8]);
        if layer > 0 {
            self.bytes.push(key(2, VARINT));
            self.varint(layer);
        }
        self.start(3, tensor);
        self.start(1, sizes);
        for &size in shape {
            self.varint(size);
        }
        self.start(entries_field, data);
    }

    fn entries<T: Scalar>(&mut self, entries: &[T]) {
        if self.encoding == Encoding::Raw || T::DTYPE == Dtype::Float64 {
            self.bytes.extend_from_slice(bytemuck::cast_slice(entries));
        } else {
            for entry in entries {
                self.bytes.extend(entry.to_f64().to_le_bytes());
            }
        }
    }

    /// Writes the fields after the entries.
    fn tail<T: Scalar>(&mut self) {
        self.bytes.extend([key(4, VARINT), dtype(T::DTYPE) as u8]);
    }

    /// Starts a field of `length` bytes.
    fn start(&mut self, field: u8, length: usize) {
        self.bytes.push(key(field, DELIMITED));
        self.varint(length);
    }

    fn varint(&mut self, mut value: usize) {
        while value >= 0x80 {
            self.bytes.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.bytes.push(value as u8);
    }
}

/// The key of a field with a number below 16.
fn key(field: u8, kind: u8) -> u8 {
    field << 3 | kind
}

fn varint_len(value: usize) -> usize {
    (value.max(1).ilog2() / 7 + 1) as usize
}

/// The encoded size of a field with `length` bytes of content.
fn delimited_len(length: usize) -> usize {
    1 + varint_len(length) + length
}

#[cfg(test)]
mod tests {
    use super::super::convert::tensor::write;
    use super::*;

    fn check<T: Scalar>(shape: &[usize], layer: usize, encoding: Encoding) {
        let count = shape.iter().product();
        let entries: Vec<T> = (0..count).map(|i| T::from_f64(i as f64 - 1.5)).collect();
        let mut tensors = Tensors::new(encoding, 2, 2 * encoding.bytes(count, T::DTYPE));
        let room = tensors.bytes.capacity();
        let named = [pb::Quantity::X, pb::Quantity::B].map(|quantity| {
            tensors.push(quantity, layer, shape, &entries);
            pb::NamedTensor {
                quantity: quantity.into(),
                layer: i32::try_from(layer).expect("small"),
                tensor: Some(write(shape, &entries, encoding)),
            }
        });
        assert_eq!(tensors.bytes.capacity(), room, "sized once");
        let whole = pb::GradientsResponse {
            tensors: named.to_vec(),
            ..Default::default()
        };
        assert_eq!(tensors.bytes, whole.encode_to_vec(), "{shape:?}");

        let head = pb::GradientsResponse {
            loss: 0.5,
            step: 7,
            accuracy: Some(0.25),
            ..Default::default()
        };
        let reply = GradientsReply {
            head: head.clone(),
            tensors,
        };
        let mut bytes = Vec::new();
        reply.put(&mut bytes);
        assert_eq!(bytes.len(), reply.size());
        let read = pb::GradientsResponse::decode(bytes.as_slice()).expect("a message");
        let expected = pb::GradientsResponse {
            tensors: whole.tensors,
            ..head
        };
        assert_eq!(read, expected);
    }

    #[test]
    fn the_bytes_are_those_that_messages_would_give() {
        for encoding in [Encoding::Values, Encoding::Raw] {
            for layer in [0, 1, 64, 127, 128, 20_000] {
                for shape in [&[1][..], &[127], &[128], &[1, 1], &[16, 1023], &[129, 128]] {
                    check::<f32>(shape, layer, encoding);
                    check::<f64>(shape, layer, encoding);
                }
            }
        }
    }
}
