//! The protobuf codec for tonic, which checks each request before decoding it.
//!
//! An empty part of a message takes two bytes on the wire and a hundred in memory; a small label takes one byte and
//! four. Within the limit on request bytes, a client could thus make the server allocate gigabytes. So the codec counts
//! the parts of a message on the wire first, and refuses or reserves memory before it decodes.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::marker::PhantomData;
use std::sync::LazyLock;

use bytes::{Buf as _, BufMut};
use prost::{Message, Name};
use prost_types::field_descriptor_proto::{Label, Type};
use prost_types::{DescriptorProto, FileDescriptorSet};
use tonic::Status;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};

use super::call::hold;
use super::pb;
use crate::fault::Violations;
use crate::host::refused::Refused;

/// Limit on the parts of a request: its messages and the elements of its repeated texts. Entries of tensors do not
/// count.
const MOST_PARTS: usize = 100_000;

/// The most memory that a part takes, in bytes: the largest repeated message and the spare capacity of its vector.
const PART_BYTES: usize = 256;

/// Memory of a vector of numbers relative to its entries: up to twice their size, since it doubles as it grows.
const SPARE: usize = 2;

/// Messages below this size take no memory worth counting beyond what every call reserves.
const SMALL_MESSAGE: usize = 2 << 10;

/// Only requests are checked, and this suffix identifies them. Replies come from a server that the client trusts.
const REQUEST: &str = "Request";

/// Prost's codec with that check.
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

/// A message that can be encoded.
pub trait Encodable: Send + 'static {
    /// The encoded size, in bytes.
    fn size(&self) -> usize;

    /// Encodes the message.
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

/// The encoder. It reserves the whole buffer at once.
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

/// The decoder.
#[derive(Clone, Debug)]
pub struct CountingDecoder<U>(PhantomData<U>);

impl<U: Message + Name + Default> Decoder for CountingDecoder<U> {
    type Item = U;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<U>, Status> {
        let bytes = buffer.copy_to_bytes(buffer.remaining());
        if U::NAME.ends_with(REQUEST) {
            // Reserve the decoded size; the bytes of the request itself are counted already and may be shared.
            hold(check(U::NAME, &bytes)?)?;
        }
        let message = U::decode(bytes).map_err(|error| Status::internal(error.to_string()))?;
        Ok(Some(message))
    }
}

/// The fields of a message that can grow, by field number.
type Shape = HashMap<u64, Field>;

struct Field {
    name: String,
    is_repeated: bool,
    part: Part,
}

enum Part {
    /// A message of this name.
    Message(String),
    /// An element of repeated texts or bytes.
    Text,
    /// An element of repeated numbers, or many of them packed: of this many bytes in memory.
    Number(usize),
}

static SHAPES: LazyLock<HashMap<String, Shape>> = LazyLock::new(|| {
    let set = FileDescriptorSet::decode(pb::FILE_DESCRIPTOR_SET).unwrap_or_default();
    let mut shapes = HashMap::new();
    for message in set.file.iter().flat_map(|file| &file.message_type) {
        note(message, &mut shapes);
    }
    shapes
});

/// Keyed by the last part of the message's name, which is unique within the package.
fn note(message: &DescriptorProto, shapes: &mut HashMap<String, Shape>) {
    let parts = message.field.iter().filter_map(|field| {
        let number = u64::try_from(field.number()).ok()?;
        let is_repeated = field.label() == Label::Repeated;
        let part = match (field.r#type(), is_repeated) {
            (Type::Message, _) => Part::Message(field.type_name().rsplit('.').next()?.to_owned()),
            (Type::String | Type::Bytes, true) => Part::Text,
            (Type::Double | Type::Int64, true) => Part::Number(8),
            (_, true) => Part::Number(4),
            (_, false) => return None,
        };
        let name = field.name().to_owned();
        Some((
            number,
            Field {
                name,
                is_repeated,
                part,
            },
        ))
    });
    shapes.insert(message.name().to_owned(), parts.collect());
    for nested in &message.nested_type {
        note(nested, shapes);
    }
}

/// The memory that a request of this name takes decoded, besides its own bytes.
///
/// # Errors
/// It has more than [`MOST_PARTS`] parts.
fn check(name: &str, bytes: &[u8]) -> Result<usize, Status> {
    if bytes.len() < SMALL_MESSAGE {
        return Ok(0);
    }
    let mut content = Content {
        parts_left: MOST_PARTS,
        numbers: 0,
    };
    if let Some(shape) = SHAPES.get(name)
        && let Err(TooMany(field)) = content.count(bytes, shape)
    {
        let mut violations = Violations::new();
        let given = format!("part {} of the request", MOST_PARTS + 1);
        let allowed = format!(
            "at most {MOST_PARTS} parts, messages and repeated texts, in one request: split it"
        );
        violations.add(field, given, allowed);
        return Err(Refused::Invalid(violations).into());
    }
    let parts = MOST_PARTS - content.parts_left;
    Ok(parts * PART_BYTES + content.numbers * SPARE)
}

/// Counts the content of a message.
struct Content {
    /// Parts left before the limit.
    parts_left: usize,
    /// Memory of its repeated numbers, in bytes.
    numbers: usize,
}

/// The path of the first part beyond the limit.
#[derive(Debug, PartialEq, Eq)]
struct TooMany(String);

const DELIMITED: u64 = 2;

/// The next field's key and content; `None` for malformed bytes, because decoding also stops there.
fn next_field<'a>(bytes: &mut &'a [u8]) -> Option<(u64, &'a [u8])> {
    const VARINT: u64 = 0;
    const EIGHT: u64 = 1;
    const FOUR: u64 = 5;
    let key = varint(bytes)?;
    let length = match key & 7 {
        VARINT => varint(bytes).map(|_| 0),
        EIGHT => Some(8),
        DELIMITED => varint(bytes),
        FOUR => Some(4),
        _ => None,
    };
    let (field, rest) = bytes.split_at_checked(usize::try_from(length?).ok()?)?;
    *bytes = rest;
    Some((key, field))
}

/// The path of the field of this key that ends where `rest` begins, followed by `inner`.
fn path(message: &[u8], rest: &[u8], key: u64, field: &Field, inner: &str) -> TooMany {
    let mut path = field.name.clone();
    if field.is_repeated {
        let mut before = &message[..message.len() - rest.len()];
        let fields = std::iter::from_fn(|| next_field(&mut before));
        let count = fields.filter(|(other, _)| other >> 3 == key >> 3).count();
        // Writing to a `String` cannot fail.
        let _ = write!(path, "[{}]", count.saturating_sub(1));
    }
    if !inner.is_empty() {
        path.push('.');
        path.push_str(inner);
    }
    TooMany(path)
}

impl Content {
    /// Counts the parts of `message`.
    ///
    /// # Errors
    /// It has more parts than are left.
    fn count(&mut self, message: &[u8], shape: &Shape) -> Result<(), TooMany> {
        let mut bytes = message;
        while let Some((key, content)) = next_field(&mut bytes) {
            let is_delimited = key & 7 == DELIMITED;
            let Some(field) = shape.get(&(key >> 3)) else {
                continue;
            };
            let too_many = |inner: &str| path(message, bytes, key, field, inner);
            match &field.part {
                Part::Message(_) | Part::Text if !is_delimited => {}
                Part::Message(name) => {
                    self.part().ok_or_else(|| too_many(""))?;
                    if let Some(shape) = SHAPES.get(name) {
                        let counted = self.count(content, shape);
                        counted.map_err(|TooMany(inner)| too_many(&inner))?;
                    }
                }
                Part::Text => self.part().ok_or_else(|| too_many(""))?,
                Part::Number(size) => {
                    let count = if !is_delimited {
                        1
                    } else if *size == 8 {
                        content.len() / size
                    } else {
                        // The last byte of a varint has its highest bit clear.
                        content.iter().filter(|byte| **byte < 0x80).count()
                    };
                    self.numbers += count * size;
                }
            }
        }
        Ok(())
    }

    /// Counts one part, or returns `None` at the limit.
    fn part(&mut self) -> Option<()> {
        self.parts_left = self.parts_left.checked_sub(1)?;
        Some(())
    }
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
    use tonic_types::StatusExt as _;

    use super::*;

    fn parts(request: &pb::CreateModelRequest) -> Option<usize> {
        let mut content = Content {
            parts_left: MOST_PARTS,
            numbers: 0,
        };
        let shape = &SHAPES["CreateModelRequest"];
        let counted = content.count(&request.encode_to_vec(), shape);
        counted.ok().map(|()| MOST_PARTS - content.parts_left)
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
        let status = check("CreateModelRequest", &request.encode_to_vec()).expect_err("too many");
        let details = status.get_error_details();
        let fields = &details.bad_request().expect("violations").field_violations;
        assert_eq!(fields[0].field, format!("parameters[{MOST_PARTS}]"));
        let tensor = pb::NamedTensor {
            tensor: Some(pb::Tensor::default()),
            ..Default::default()
        };
        let request = pb::GradeGradientsRequest {
            submitted: vec![tensor; MOST_PARTS / 2 + 1],
            ..Default::default()
        };
        let status =
            check("GradeGradientsRequest", &request.encode_to_vec()).expect_err("too many");
        let allowed = format!("submitted[{}]", MOST_PARTS / 2);
        assert!(status.message().contains(&allowed), "{status:?}");
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
    fn numbers_are_counted_as_they_are_in_memory() {
        let labels = pb::TrainBatchRequest {
            labels: vec![1; 10_000],
            inputs: Some(pb::Tensor {
                values: vec![0.5; 1_000],
                ..Default::default()
            }),
            ..Default::default()
        };
        let bytes = labels.encode_to_vec();
        assert!(bytes.len() < 20_000);
        let taken = check("TrainBatchRequest", &bytes).expect("few parts");
        let numbers = labels.labels.capacity() * 4 + 1_000 * 8;
        assert!(taken >= numbers, "{taken}");
        assert!(taken <= 3 * numbers, "{taken}");
        let raw = pb::TrainBatchRequest {
            inputs: Some(pb::Tensor {
                raw: vec![1; 100_000].into(),
                ..Default::default()
            }),
            ..Default::default()
        };
        let taken = check("TrainBatchRequest", &raw.encode_to_vec()).expect("few parts");
        assert!(
            taken < 1_000,
            "raw bytes are shared with the request: {taken}"
        );
    }

    #[test]
    fn every_request_has_a_shape() {
        assert!(SHAPES.contains_key("GradeFormulasRequest"));
        assert_eq!(pb::GradeFormulasRequest::NAME, "GradeFormulasRequest");
    }
}
