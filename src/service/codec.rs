//! Protobuf as tonic reads it, with a look at each request before anything is made of it.
//!
//! An empty part of a message takes two bytes on its way and a hundred in memory. Within the limit on a request's bytes
//! somebody could so ask for gigabytes; a count of the parts, read off the wire, is there before they are.

use std::collections::HashMap;
use std::marker::PhantomData;
use std::sync::LazyLock;

use bytes::{Buf as _, BufMut};
use prost::{Message, Name};
use prost_types::field_descriptor_proto::{Label, Type};
use prost_types::{DescriptorProto, FileDescriptorSet};
use tonic::Status;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};

use super::pb;
use crate::nn::Violations;

/// Parts of one request: messages in it, and elements of repeated texts. Tensors' numbers are none.
const MOST_PARTS: usize = 100_000;

/// The bytes that a part takes at least: its key and its length.
const SMALLEST_PART: usize = 2;

/// Requests are told by their names; replies come from a server that one trusts.
const REQUEST: &str = "Request";

/// Prost's codec with that look.
#[derive(Clone, Debug)]
pub struct CountingCodec<T, U>(PhantomData<(T, U)>);

impl<T, U> Default for CountingCodec<T, U> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

impl<T, U> Codec for CountingCodec<T, U>
where
    T: Encodable,
    U: Message + Name + Default + Send + 'static,
{
    type Encode = T;
    type Decode = U;
    type Encoder = SizingEncoder<T>;
    type Decoder = CountingDecoder<U>;

    fn encoder(&mut self) -> Self::Encoder {
        SizingEncoder(PhantomData)
    }

    fn decoder(&mut self) -> Self::Decoder {
        CountingDecoder(PhantomData)
    }
}

/// What goes out as a message.
pub trait Encodable: Send + 'static {
    /// The bytes that it takes.
    fn size(&self) -> usize;

    /// Writes them.
    fn put(&self, buffer: &mut impl BufMut);
}

impl<M: Message + Send + 'static> Encodable for M {
    fn size(&self) -> usize {
        self.encoded_len()
    }

    fn put(&self, buffer: &mut impl BufMut) {
        self.encode(buffer)
            .expect("the buffer grows as it is filled");
    }
}

/// The half that writes, into a buffer that is made as large as it has to be at once.
#[derive(Clone, Debug)]
pub struct SizingEncoder<T>(PhantomData<T>);

impl<T: Encodable> Encoder for SizingEncoder<T> {
    type Item = T;
    type Error = Status;

    fn encode(&mut self, item: T, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        buffer.reserve(item.size());
        item.put(buffer);
        Ok(())
    }
}

/// The half that reads.
#[derive(Clone, Debug)]
pub struct CountingDecoder<U>(PhantomData<U>);

impl<U: Message + Name + Default> Decoder for CountingDecoder<U> {
    type Item = U;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<U>, Status> {
        let bytes = buffer.copy_to_bytes(buffer.remaining());
        if U::NAME.ends_with(REQUEST) {
            check(U::NAME, &bytes)?;
        }
        let message = U::decode(bytes).map_err(|error| Status::internal(error.to_string()))?;
        Ok(Some(message))
    }
}

/// What can be inside a message, by the numbers of its fields.
type Shape = HashMap<u64, Part>;

enum Part {
    /// A message of this name.
    Message(String),
    /// An element of repeated texts or bytes.
    Text,
}

static SHAPES: LazyLock<HashMap<String, Shape>> = LazyLock::new(|| {
    let set = FileDescriptorSet::decode(pb::FILE_DESCRIPTOR_SET).unwrap_or_default();
    let mut shapes = HashMap::new();
    for message in set.file.iter().flat_map(|file| &file.message_type) {
        note(message, &mut shapes);
    }
    shapes
});

/// Messages go by the last part of their names, which is enough within one package.
fn note(message: &DescriptorProto, shapes: &mut HashMap<String, Shape>) {
    let parts = message.field.iter().filter_map(|field| {
        let number = u64::try_from(field.number()).ok()?;
        let repeated = field.label() == Label::Repeated;
        match (field.r#type(), repeated) {
            (Type::Message, _) => {
                let name = field.type_name().rsplit('.').next()?;
                Some((number, Part::Message(name.to_owned())))
            }
            (Type::String | Type::Bytes, true) => Some((number, Part::Text)),
            (_, _) => None,
        }
    });
    shapes.insert(message.name().to_owned(), parts.collect());
    for nested in &message.nested_type {
        note(nested, shapes);
    }
}

/// Whether a request of this name has a number of parts that can be meant.
fn check(name: &str, bytes: &[u8]) -> Result<(), Status> {
    if bytes.len() / SMALLEST_PART <= MOST_PARTS {
        // However many, they are not too many.
        return Ok(());
    }
    let mut left = MOST_PARTS;
    if SHAPES
        .get(name)
        .is_some_and(|shape| count(bytes, shape, &mut left).is_none())
    {
        let mut violations = Violations::new();
        let allowed = format!("at most {MOST_PARTS} in one request: split it");
        violations.add("", "a message of more parts", allowed);
        return Err(violations.into());
    }
    Ok(())
}

/// Takes the parts off `left`; `None` where they are more. Bytes that are no message end the count, because reading
/// them ends there, too.
fn count(mut bytes: &[u8], shape: &Shape, left: &mut usize) -> Option<()> {
    const VARINT: u64 = 0;
    const EIGHT: u64 = 1;
    const DELIMITED: u64 = 2;
    const FOUR: u64 = 5;
    while let Some(key) = varint(&mut bytes) {
        let length = match key & 7 {
            VARINT => varint(&mut bytes).map(|_| 0),
            EIGHT => Some(8),
            DELIMITED => varint(&mut bytes),
            FOUR => Some(4),
            _ => None,
        };
        let field = length
            .and_then(|length| usize::try_from(length).ok())
            .and_then(|length| bytes.split_at_checked(length));
        let Some((field, rest)) = field else { break };
        bytes = rest;
        if key & 7 == DELIMITED
            && let Some(part) = shape.get(&(key >> 3))
        {
            *left = left.checked_sub(1)?;
            if let Part::Message(name) = part
                && let Some(shape) = SHAPES.get(name)
            {
                count(field, shape, left)?;
            }
        }
    }
    Some(())
}

fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (&byte, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(request: &pb::CreateModelRequest) -> Option<usize> {
        let mut left = MOST_PARTS;
        let shape = &SHAPES["CreateModelRequest"];
        count(&request.encode_to_vec(), shape, &mut left).map(|()| MOST_PARTS - left)
    }

    #[test]
    fn messages_are_counted_at_every_depth_and_numbers_are_not() {
        let layer = pb::Layer::default();
        let tensor = pb::Tensor {
            shape: vec![100, 100],
            values: vec![1.0; 10_000],
            ..Default::default()
        };
        let request = pb::CreateModelRequest {
            spec: Some(pb::ModelSpec {
                layers: vec![layer; 3],
                ..Default::default()
            }),
            parameters: vec![
                pb::LayerParameters {
                    weights: Some(tensor.clone()),
                    bias: Some(tensor),
                };
                2
            ],
            ..Default::default()
        };
        assert_eq!(parts(&request), Some(1 + 3 + 2 + 4));
    }

    #[test]
    fn more_parts_than_can_be_meant_are_noticed_and_bytes_that_are_no_message_are_left_to_prost() {
        let request = pb::CreateModelRequest {
            parameters: vec![pb::LayerParameters::default(); MOST_PARTS + 1],
            ..Default::default()
        };
        assert_eq!(parts(&request), None);
        assert!(check("CreateModelRequest", &request.encode_to_vec()).is_err());
        for bytes in [
            &[0xff; 20][..],
            &[0x0a, 0x05, 1],
            &[0x0b],
            &[0x0a, 0xff, 0xff, 0xff, 0xff, 0x0f],
        ] {
            assert!(check("CreateModelRequest", bytes).is_ok(), "{bytes:?}");
        }
    }

    #[test]
    fn every_request_has_a_shape() {
        assert!(SHAPES.contains_key("GradeFormulasRequest"));
        assert_eq!(pb::GradeFormulasRequest::NAME, "GradeFormulasRequest");
    }
}
