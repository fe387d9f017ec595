//! Messages as they go out, in parts: the numbers of a tensor stay where the compute thread wrote them, and what is around
//! them is written beside them.

use std::collections::VecDeque;

use bytes::{BufMut as _, Bytes, BytesMut};
use prost::Message;
use prost::encoding::{WireType, encode_key, encode_varint};

use super::pb;

/// The most bytes of a key and a length.
const KEY_AND_LENGTH: usize = 15;

/// Parts below this are copied together, since each would be a frame of its own.
const SMALL: usize = 4 << 10;

/// The fields of a tensor that hold its entries.
const VALUES: u32 = 2;
const RAW: u32 = 3;

/// A message, or a part of one.
#[derive(Debug, Default)]
pub struct Rope {
    parts: VecDeque<Bytes>,
    length: usize,
}

/// Numbers as the bytes that they are on the wire, too.
struct Numbers(Vec<f64>);

impl AsRef<[u8]> for Numbers {
    fn as_ref(&self) -> &[u8] {
        bytemuck::cast_slice(&self.0)
    }
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

    /// A tensor.
    pub fn of_tensor(mut tensor: pb::Tensor) -> Self {
        let values = std::mem::take(&mut tensor.values);
        let raw = std::mem::take(&mut tensor.raw);
        let mut rope = Self::of(&tensor);
        if !values.is_empty() {
            rope.put(VALUES, Self::of_bytes(Bytes::from_owner(Numbers(values))));
        }
        if !raw.is_empty() {
            rope.put(RAW, Self::of_bytes(raw));
        }
        rope
    }

    /// Parameters as GetParameters answers them.
    pub fn of_parameters(mut reply: pb::GetParametersResponse) -> Self {
        let parameters = std::mem::take(&mut reply.parameters);
        let mut rope = Self::of(&reply);
        for layer in parameters {
            let mut fields = Self::default();
            fields.put_tensor(1, layer.weights);
            fields.put_tensor(2, layer.bias);
            rope.put(1, fields);
        }
        rope
    }

    /// What Predict answers.
    pub fn of_prediction(mut reply: pb::PredictResponse) -> Self {
        let (outputs, probabilities) = (reply.outputs.take(), reply.probabilities.take());
        let trace = std::mem::take(&mut reply.trace);
        let mut rope = Self::of(&reply);
        rope.put_tensor(1, outputs);
        rope.put_tensor(2, probabilities);
        for mut named in trace {
            let tensor = named.tensor.take();
            let mut fields = Self::of(&named);
            fields.put_tensor(3, tensor);
            rope.put(4, fields);
        }
        rope
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

    fn put_tensor(&mut self, field: u32, tensor: Option<pb::Tensor>) {
        if let Some(tensor) = tensor {
            self.put(field, Self::of_tensor(tensor));
        }
    }

    /// Its parts behind `head`, small ones together.
    pub fn into_parts(self, head: &[u8]) -> VecDeque<Bytes> {
        let mut parts = VecDeque::new();
        let mut small = BytesMut::from(head);
        for part in self.parts {
            if part.len() < SMALL && small.len() < SMALL {
                small.put_slice(&part);
                continue;
            }
            if !small.is_empty() {
                parts.push_back(small.split().freeze());
            }
            if part.len() < SMALL {
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

#[cfg(test)]
mod tests {
    use super::*;

    fn tensor(entries: usize, raw: bool) -> pb::Tensor {
        let values: Vec<f64> = (0..entries).map(|i| i as f64 - 0.5).collect();
        let bytes = bytemuck::cast_slice(&values).to_vec();
        pb::Tensor {
            shape: vec![1, 1000],
            raw: if raw { bytes.into() } else { Bytes::new() },
            values: if raw { Vec::new() } else { values },
            dtype: pb::Dtype::Float64.into(),
        }
    }

    fn whole(rope: Rope) -> Vec<u8> {
        let length = rope.len();
        let parts = rope.into_parts(&[]);
        let bytes: Vec<u8> = parts.iter().flatten().copied().collect();
        assert_eq!(bytes.len(), length);
        assert!(
            parts.len() <= 3 + 2 * bytes.len() / SMALL,
            "{}",
            parts.len()
        );
        bytes
    }

    #[test]
    fn the_parts_of_a_message_are_the_message() {
        for (entries, raw) in [(1, false), (1, true), (5000, false), (5000, true)] {
            let layer = |bias| pb::LayerParameters {
                weights: Some(tensor(entries, raw)),
                bias,
            };
            let parameters = pb::GetParametersResponse {
                parameters: vec![layer(None), layer(Some(tensor(3, raw)))],
                step: 7,
                weights_digest: "b3".into(),
            };
            let bytes = whole(Rope::of_parameters(parameters.clone()));
            let read = pb::GetParametersResponse::decode(bytes.as_slice());
            assert_eq!(read.expect("a message"), parameters);
            let prediction = pb::PredictResponse {
                outputs: Some(tensor(entries, raw)),
                probabilities: Some(tensor(2, raw)),
                classes: vec![1, 2],
                trace: vec![
                    pb::NamedTensor {
                        quantity: 2,
                        layer: 1,
                        tensor: Some(tensor(entries, raw)),
                    };
                    100
                ],
                step: 7,
                weights_digest: "b3".into(),
                timings: Some(pb::Timings::default()),
            };
            let bytes = whole(Rope::of_prediction(prediction.clone()));
            let read = pb::PredictResponse::decode(bytes.as_slice());
            assert_eq!(read.expect("a message"), prediction);
        }
    }
}
