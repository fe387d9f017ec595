//! The bytes of a message to JSON text.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::buffer::{Buffer, Memory};
use crate::schema::{Count, Field, Form, Kind, Message, Schema};
use crate::well_known;
use crate::wire::{
    DELIMITED, FIXED32, FIXED64, Fields, Malformed, Value, fixed32, fixed64, varint,
};

/// Messages inside of messages, at most. None of the schema comes near it.
const DEEPEST: usize = 64;

/// The longest number, quotes and comma included, in bytes.
const LONGEST_NUMBER: usize = 48;

/// Why bytes could not be written as JSON.
#[derive(Debug, PartialEq, Eq)]
pub enum WriteError<E> {
    /// They are no message of this type.
    Malformed,
    /// There is no memory for the text.
    Memory(E),
}

/// Converts the bytes of a `message` into JSON, on one line. Fields have the names of proto3 JSON (`learningRate`);
/// those at their zero value are left out.
///
/// # Errors
/// The bytes are no such message, or there is no memory for the text.
pub fn write<M: Memory>(
    schema: &Schema,
    message: &Message,
    bytes: &[u8],
    memory: &mut M,
) -> Result<Vec<u8>, WriteError<M::Error>> {
    let mut writer = Writer {
        schema,
        out: Buffer::new(memory),
    };
    writer.message(message, bytes, 0)?;
    Ok(writer.out.finish())
}

struct Writer<'s, 'm, M: Memory> {
    schema: &'s Schema,
    out: Buffer<'m, M>,
}

type Done<M> = Result<(), WriteError<<M as Memory>::Error>>;

impl<E> From<Malformed> for WriteError<E> {
    fn from(_: Malformed) -> Self {
        Self::Malformed
    }
}

/// The last value of each field and the number of them.
#[derive(Clone, Copy, Default)]
struct Seen<'a> {
    count: usize,
    last: Option<Value<'a>>,
}

impl<M: Memory> Writer<'_, '_, M> {
    fn put(&mut self, text: &[u8]) -> Done<M> {
        self.out.put(text).map_err(WriteError::Memory)
    }

    fn message(&mut self, message: &Message, bytes: &[u8], depth: usize) -> Done<M> {
        if message.form != Form::Plain {
            let text = well_known::write(message.form, bytes).ok_or(Malformed)?;
            return self.string(&text);
        }
        if depth > DEEPEST {
            return Err(WriteError::Malformed);
        }
        let mut seen = vec![Seen::default(); message.fields.len()];
        let mut members = vec![None; message.oneofs.len()];
        for field in Fields(bytes) {
            let (number, value) = field?;
            if let Some(&at) = message.by_number.get(&number) {
                seen[at].count += 1;
                seen[at].last = Some(value);
                if let Some(oneof) = message.fields[at].oneof {
                    members[oneof] = Some(at);
                }
            }
        }
        self.put(b"{")?;
        let begin = self.out.len();
        for (at, field) in message.fields.iter().enumerate() {
            let Some(last) = seen[at].last else {
                continue;
            };
            // Of the members of a oneof, the last one counts.
            if field.oneof.is_some_and(|oneof| members[oneof] != Some(at)) {
                continue;
            }
            let before = self.out.len();
            if before > begin {
                self.put(b",")?;
            }
            self.string(&field.json_name)?;
            self.put(b":")?;
            let is_written = match field.count {
                Count::Repeated => self.elements(field, bytes, depth)?,
                Count::Map => self.entries(field, bytes, depth)?,
                Count::Implicit | Count::Explicit => {
                    self.single(field, (last, seen[at].count), bytes, depth)?
                }
            };
            if !is_written {
                self.out.bytes().truncate(before);
            }
        }
        self.put(b"}")
    }

    /// Whether the value is worth writing, which zero is not unless presence says more.
    fn single(
        &mut self,
        field: &Field,
        (last, count): (Value<'_>, usize),
        message: &[u8],
        depth: usize,
    ) -> Result<bool, WriteError<M::Error>> {
        let is_zero = match last {
            Value::Varint(value) | Value::Fixed64(value) => value == 0,
            Value::Fixed32(value) => value == 0,
            Value::Delimited(bytes) => bytes.is_empty(),
        };
        if is_zero && field.count == Count::Implicit {
            return Ok(false);
        }
        if let Kind::Message(_) = field.kind
            && count > 1
        {
            // The parts of one message, which are one message in a row.
            let mut whole = Vec::new();
            for part in occurrences(field, message) {
                if let Value::Delimited(part) = part? {
                    whole.extend_from_slice(part);
                }
            }
            self.value(field.kind, Value::Delimited(&whole), depth)?;
        } else {
            self.value(field.kind, last, depth)?;
        }
        Ok(true)
    }

    fn elements(
        &mut self,
        field: &Field,
        message: &[u8],
        depth: usize,
    ) -> Result<bool, WriteError<M::Error>> {
        self.put(b"[")?;
        let begin = self.out.len();
        for value in occurrences(field, message) {
            let value = value?;
            if let Value::Delimited(mut packed) = value
                && field.kind.is_packed()
            {
                while !packed.is_empty() {
                    let value = unpacked(field.kind, &mut packed)?;
                    self.comma(begin)?;
                    self.value(field.kind, value, depth)?;
                }
            } else {
                self.comma(begin)?;
                self.value(field.kind, value, depth)?;
            }
        }
        let is_written = self.out.len() > begin;
        self.put(b"]")?;
        Ok(is_written)
    }

    fn entries(
        &mut self,
        field: &Field,
        message: &[u8],
        depth: usize,
    ) -> Result<bool, WriteError<M::Error>> {
        let schema = self.schema;
        let Kind::Message(of) = field.kind else {
            return Err(WriteError::Malformed);
        };
        let [key_field, value_field] = &schema.messages[of].fields[..] else {
            return Err(WriteError::Malformed);
        };
        self.put(b"{")?;
        let begin = self.out.len();
        for entry in occurrences(field, message) {
            let Value::Delimited(entry) = entry? else {
                return Err(WriteError::Malformed);
            };
            let mut parts = [None, None];
            for part in Fields(entry) {
                let (number, value) = part?;
                if let 1 | 2 = number {
                    parts[number as usize - 1] = Some(value);
                }
            }
            self.comma(begin)?;
            let key = parts[0].unwrap_or_else(|| zero(key_field.kind));
            let is_quoted = matches!(
                key_field.kind,
                Kind::String
                    | Kind::Int64
                    | Kind::Uint64
                    | Kind::Sint64
                    | Kind::Fixed64
                    | Kind::Sfixed64
            );
            let quote: &[u8] = if is_quoted { b"" } else { b"\"" };
            self.put(quote)?;
            self.value(key_field.kind, key, depth)?;
            self.put(quote)?;
            self.put(b":")?;
            let value = parts[1].unwrap_or_else(|| zero(value_field.kind));
            self.value(value_field.kind, value, depth)?;
        }
        let is_written = self.out.len() > begin;
        self.put(b"}")?;
        Ok(is_written)
    }

    fn comma(&mut self, begin: usize) -> Done<M> {
        if self.out.len() > begin {
            self.put(b",")?;
        }
        Ok(())
    }

    fn value(&mut self, kind: Kind, value: Value<'_>, depth: usize) -> Done<M> {
        match (kind, value) {
            (Kind::Double, Value::Fixed64(bits)) => {
                let value = f64::from_bits(bits);
                self.number(value, value)
            }
            (Kind::Float, Value::Fixed32(bits)) => {
                let value = f32::from_bits(bits);
                self.number(value, value.into())
            }
            (Kind::Int32, Value::Varint(value)) => self.plain(value as i32),
            (Kind::Int64, Value::Varint(value)) => self.quoted(value as i64),
            (Kind::Uint32, Value::Varint(value)) => self.plain(value as u32),
            (Kind::Uint64, Value::Varint(value)) => self.quoted(value),
            (Kind::Sint32, Value::Varint(value)) => self.plain(unzigzag(value) as i32),
            (Kind::Sint64, Value::Varint(value)) => self.quoted(unzigzag(value)),
            (Kind::Fixed32, Value::Fixed32(value)) => self.plain(value),
            (Kind::Sfixed32, Value::Fixed32(value)) => self.plain(value as i32),
            (Kind::Fixed64, Value::Fixed64(value)) => self.quoted(value),
            (Kind::Sfixed64, Value::Fixed64(value)) => self.quoted(value as i64),
            (Kind::Bool, Value::Varint(value)) => {
                self.put(if value == 0 { b"false" } else { b"true" })
            }
            (Kind::Enum(of), Value::Varint(value)) => {
                let schema = self.schema;
                match schema.enums[of].names.get(&(value as i32)) {
                    Some(name) => self.string(name),
                    None => self.plain(value as i32),
                }
            }
            (Kind::String, Value::Delimited(bytes)) => {
                let text = std::str::from_utf8(bytes).map_err(|_| Malformed)?;
                self.string(text)
            }
            (Kind::Bytes, Value::Delimited(bytes)) => self.base64(bytes),
            (Kind::Message(of), Value::Delimited(bytes)) => {
                let schema = self.schema;
                self.message(&schema.messages[of], bytes, depth + 1)
            }
            _ => Err(WriteError::Malformed),
        }
    }

    /// A float, in the fewest digits that stand for it alone.
    fn number(&mut self, value: impl serde::Serialize, as_double: f64) -> Done<M> {
        if as_double.is_finite() {
            return self.plain(value);
        }
        self.put(match as_double {
            f64::INFINITY => b"\"Infinity\"",
            f64::NEG_INFINITY => b"\"-Infinity\"",
            _ => b"\"NaN\"",
        })
    }

    fn plain(&mut self, value: impl serde::Serialize) -> Done<M> {
        self.out
            .reserve(LONGEST_NUMBER)
            .map_err(WriteError::Memory)?;
        // Writing a number to a vector cannot fail.
        let _ = serde_json::to_writer(self.out.bytes(), &value);
        Ok(())
    }

    /// A number of 64 bits, which a double cannot hold.
    fn quoted(&mut self, value: impl serde::Serialize) -> Done<M> {
        self.put(b"\"")?;
        self.plain(value)?;
        self.put(b"\"")
    }

    fn string(&mut self, text: &str) -> Done<M> {
        // A control character takes six bytes.
        let escaped = |byte: u8| byte < 0x20 || byte == b'"' || byte == b'\\';
        let more = 5 * text.bytes().filter(|byte| escaped(*byte)).count();
        self.out
            .reserve(text.len() + more + 2)
            .map_err(WriteError::Memory)?;
        // Writing a text to a vector cannot fail.
        let _ = serde_json::to_writer(self.out.bytes(), text);
        Ok(())
    }

    fn base64(&mut self, bytes: &[u8]) -> Done<M> {
        let length = base64::encoded_len(bytes.len(), true).ok_or(Malformed)?;
        self.out.reserve(length + 2).map_err(WriteError::Memory)?;
        let out = self.out.bytes();
        out.push(b'"');
        let begin = out.len();
        out.resize(begin + length, 0);
        // The slice has the length of the text.
        let _ = STANDARD.encode_slice(bytes, &mut out[begin..]);
        out.push(b'"');
        Ok(())
    }
}

fn unzigzag(value: u64) -> i64 {
    (value >> 1) as i64 ^ -((value & 1) as i64)
}

/// The values of a field, in the order of the wire.
fn occurrences<'a>(
    field: &Field,
    message: &'a [u8],
) -> impl Iterator<Item = Result<Value<'a>, Malformed>> {
    let asked = field.number;
    Fields(message).filter_map(move |field| match field {
        Ok((number, value)) if number == asked => Some(Ok(value)),
        Ok(_) => None,
        Err(error) => Some(Err(error)),
    })
}

/// Takes the next of the packed values.
fn unpacked(kind: Kind, packed: &mut &[u8]) -> Result<Value<'static>, Malformed> {
    Ok(match kind.layout() {
        FIXED64 => Value::Fixed64(fixed64(packed)?),
        FIXED32 => Value::Fixed32(fixed32(packed)?),
        _ => Value::Varint(varint(packed)?),
    })
}

/// The value of a part of a map's entry that is left out.
fn zero(kind: Kind) -> Value<'static> {
    match kind.layout() {
        FIXED64 => Value::Fixed64(0),
        FIXED32 => Value::Fixed32(0),
        DELIMITED => Value::Delimited(&[]),
        _ => Value::Varint(0),
    }
}
