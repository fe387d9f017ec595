//! JSON text to the bytes of a message.

use std::collections::HashSet;
use std::fmt::{self, Display, Write as _};

use backpropd_engine::fault::Violations;
use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use serde::de::{DeserializeSeed, IgnoredAny, MapAccess, SeqAccess, Visitor};

use crate::buffer::{Buffer, Memory};
use crate::schema::{Count, Field, Form, Kind, Message, Schema, near};
use crate::well_known;
use crate::wire::{DELIMITED, FIXED32, FIXED64, LONGEST_VARINT, VARINT, Value, put_varint};

/// After this many violations the rest of the text is not read: the client decides how many there could be.
const MOST_VIOLATIONS: usize = 100;

/// Letters of an unknown name that a violation repeats.
const LONGEST_NAME: usize = 60;

/// Names that a violation lists.
const MOST_NAMES: usize = 30;

/// Memory of a key of a map besides its letters, in bytes.
const KEY_BYTES: usize = 64;

/// Padding may be left out.
const ANY_PADDING: GeneralPurposeConfig =
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
const STANDARD: GeneralPurpose = GeneralPurpose::new(&alphabet::STANDARD, ANY_PADDING);
const URL_SAFE: GeneralPurpose = GeneralPurpose::new(&alphabet::URL_SAFE, ANY_PADDING);

/// Why a text is no message.
#[derive(Debug, PartialEq)]
pub enum ReadError<E> {
    /// It is no JSON.
    Syntax(SyntaxError),
    /// It is JSON, and some of its fields are invalid.
    Invalid(Violations),
    /// There is no memory for it.
    Memory(E),
}

/// Why a text is no JSON, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SyntaxError {
    what: String,
    /// The line and the column, from 1; `None` if it does not even begin as JSON.
    at: Option<(usize, usize)>,
}

impl SyntaxError {
    fn of(error: &serde_json::Error) -> Self {
        let (line, column) = (error.line(), error.column());
        let (text, place) = (
            error.to_string(),
            format!(" at line {line} column {column}"),
        );
        Self {
            what: text.strip_suffix(&place).unwrap_or(&text).to_owned(),
            at: Some((line, column)),
        }
    }

    /// The same error of a text with this many lines before it.
    #[must_use]
    pub fn after(self, lines: usize) -> Self {
        let (line, column) = self.at.unwrap_or((1, 1));
        Self {
            at: Some((line + lines, column)),
            ..self
        }
    }
}

impl Display for SyntaxError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)?;
        match self.at {
            Some((line, column)) => write!(f, " at line {line} column {column}"),
            None => Ok(()),
        }
    }
}

/// Converts JSON into the bytes of `message`.
///
/// # Errors
/// The text is no JSON, or no such message, or there is no memory for it.
pub fn read<M: Memory>(
    schema: &Schema,
    message: &Message,
    text: &[u8],
    memory: &mut M,
) -> Result<Vec<u8>, ReadError<M::Error>> {
    if let Some(error) = no_json(text) {
        return Err(ReadError::Syntax(SyntaxError {
            what: error.to_owned(),
            at: None,
        }));
    }
    // A text with escapes is copied to be unescaped.
    let scratch = if text.contains(&b'\\') { text.len() } else { 0 };
    memory.hold(scratch).map_err(ReadError::Memory)?;
    let mut reader = Reader {
        schema,
        out: Buffer::new(memory),
        path: Vec::new(),
        violations: Violations::new(),
        scratch,
        refused: None,
    };
    let mut json = serde_json::Deserializer::from_slice(text);
    let site = Site {
        reader: &mut reader,
        target: Target::Message(message),
    };
    let read = site.deserialize(&mut json).and_then(|()| json.end());
    let is_out_of_range = read.as_ref().is_err_and(is_out_of_range);
    if is_out_of_range {
        // JSON has such numbers, and the path is still that of this one.
        let given = "a number that is out of range";
        let allowed = "numbers of at most 1.8e308, or \"Infinity\" and \"-Infinity\"";
        let _ = reader.fault(given, allowed);
    }
    let Reader {
        mut out,
        violations,
        scratch,
        refused,
        ..
    } = reader;
    out.memory().release(scratch);
    if let Some(error) = refused {
        return Err(ReadError::Memory(error));
    }
    if is_out_of_range || violations.len() >= MOST_VIOLATIONS {
        return Err(ReadError::Invalid(violations));
    }
    read.map_err(|error| ReadError::Syntax(SyntaxError::of(&error)))?;
    if violations.is_empty() {
        Ok(out.finish())
    } else {
        Err(ReadError::Invalid(violations))
    }
}

/// Whether the text is JSON up to a number that no double holds. serde_json has no kind of its own for it.
fn is_out_of_range(error: &serde_json::Error) -> bool {
    error.is_syntax() && error.to_string().starts_with("number out of range")
}

/// What is wrong with a text that does not even begin as JSON, where the parser's own words would not help.
fn no_json(text: &[u8]) -> Option<&'static str> {
    if text.iter().all(u8::is_ascii_whitespace) {
        return Some("it is empty: a message without fields is {}");
    }
    match text {
        [0xef, 0xbb, 0xbf, ..] => Some("it begins with a byte order mark: write UTF-8 without one"),
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] | [_, 0, ..] | [0, _, ..] => {
            Some("it is not UTF-8 (perhaps UTF-16): write UTF-8")
        }
        _ => None,
    }
}

/// A step of the path to a value.
enum Step<'s> {
    Name(&'s str),
    Index(usize),
    Key(String),
}

struct Reader<'s, 'm, M: Memory> {
    schema: &'s Schema,
    out: Buffer<'m, M>,
    path: Vec<Step<'s>>,
    violations: Violations,
    /// Memory that is held until the end, in bytes.
    scratch: usize,
    /// Why there was no memory.
    refused: Option<M::Error>,
}

/// What a value is for.
#[derive(Clone, Copy)]
enum Target<'s> {
    /// The whole text.
    Message(&'s Message),
    /// All of a field.
    Field(&'s Field),
    /// One value of a field, after its key.
    Element(&'s Field),
    /// One value among others that are packed.
    Packed(&'s Field),
}

/// A value, and where it belongs.
struct Site<'r, 's, 'm, M: Memory> {
    reader: &'r mut Reader<'s, 'm, M>,
    target: Target<'s>,
}

/// A value that is neither an array nor an object.
#[derive(Clone, Copy)]
enum Given<'a> {
    Null,
    Bool(bool),
    Integer(i128),
    Float(f64),
    Text(&'a str),
    Array,
    Object,
}

impl<'a> Given<'a> {
    fn text(self) -> Option<&'a str> {
        if let Self::Text(text) = self {
            Some(text)
        } else {
            None
        }
    }

    fn bool(self) -> Option<bool> {
        if let Self::Bool(value) = self {
            Some(value)
        } else {
            None
        }
    }
}

impl Display for Given<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("null"),
            Self::Bool(value) => write!(f, "{value}"),
            Self::Integer(value) => write!(f, "{value}"),
            Self::Float(value) => write!(f, "{value}"),
            Self::Text(value) => write!(f, "{value:?}"),
            Self::Array => f.write_str("an array"),
            Self::Object => f.write_str("an object"),
        }
    }
}

/// The end of reading, for want of memory or for too many violations. The reader knows which.
struct Ended;

type Done = Result<(), Ended>;

impl<'s, M: Memory> Reader<'s, '_, M> {
    fn held(&mut self, held: Result<(), M::Error>) -> Done {
        held.map_err(|error| {
            self.refused = Some(error);
            Ended
        })
    }

    fn reserve(&mut self, more: usize) -> Done {
        let held = self.out.reserve(more);
        self.held(held)
    }

    fn put(&mut self, bytes: &[u8]) -> Done {
        let put = self.out.put(bytes);
        self.held(put)
    }

    fn varint(&mut self, value: u64) -> Done {
        self.reserve(LONGEST_VARINT)?;
        put_varint(self.out.bytes(), value);
        Ok(())
    }

    fn key(&mut self, field: &Field, layout: u32) -> Done {
        self.varint(u64::from(field.number << 3 | layout))
    }

    /// Begins a delimited field, whose length is not known yet; returns where it begins.
    fn begin(&mut self) -> Result<usize, Ended> {
        self.put(&[0])?;
        Ok(self.out.len())
    }

    /// Ends the field that began here, and writes its length before it.
    fn end(&mut self, begin: usize) -> Done {
        let length = self.out.len() - begin;
        let mut varint = Vec::with_capacity(LONGEST_VARINT);
        put_varint(&mut varint, length as u64);
        let wider = varint.len() - 1;
        if wider > 0 {
            self.reserve(wider)?;
            let bytes = self.out.bytes();
            bytes.resize(bytes.len() + wider, 0);
            bytes.copy_within(begin..begin + length, begin + wider);
        }
        self.out.bytes()[begin - 1..begin + wider].copy_from_slice(&varint);
        Ok(())
    }

    fn at(&self) -> String {
        let mut text = String::new();
        for step in &self.path {
            // Writing to a String cannot fail.
            let _ = match step {
                Step::Name(name) if text.is_empty() => write!(text, "{name}"),
                Step::Name(name) => write!(text, ".{name}"),
                Step::Index(index) => write!(text, "[{index}]"),
                Step::Key(key) => write!(text, "[{key:?}]"),
            };
        }
        text
    }

    /// Records a violation at the current path.
    fn fault(&mut self, given: impl Display, allowed: impl Display) -> Done {
        let at = self.at();
        let at = if at.is_empty() {
            "the message".to_owned()
        } else {
            at
        };
        self.record(at, given, allowed)
    }

    fn record(&mut self, at: String, given: impl Display, allowed: impl Display) -> Done {
        self.violations.add(at, given, allowed);
        if self.violations.len() >= MOST_VIOLATIONS {
            return Err(Ended);
        }
        Ok(())
    }

    fn unknown(&mut self, message: &'s Message, name: &str) -> Done {
        let names = message.fields.iter().map(|field| &*field.name);
        let near = near(name, names.clone());
        let allowed = if names.len() == 0 {
            "no fields".to_owned()
        } else if near.is_empty() {
            listed(names)
        } else {
            format!(
                "{} (one of the {} fields of {})",
                near.join(", "),
                names.len(),
                message.name
            )
        };
        let shown: String = name.chars().take(LONGEST_NAME).collect();
        let at = match self.at() {
            at if at.is_empty() => shown,
            at => format!("{at}.{shown}"),
        };
        self.record(at, "an unknown field", allowed)
    }

    /// A value that is neither an array nor an object, or one of them where it does not belong.
    fn value(&mut self, target: Target<'s>, given: Given<'_>) -> Done {
        match (target, given) {
            (Target::Message(_), _) => self.fault(given, "an object"),
            // As if it were left out.
            (Target::Field(_), Given::Null) => Ok(()),
            (Target::Field(field), _) => match field.count {
                Count::Repeated => self.fault(given, "an array"),
                Count::Map => self.fault(given, "an object"),
                Count::Implicit | Count::Explicit => self.single(field, given, true),
            },
            (Target::Element(field), _) => self.single(field, given, true),
            (Target::Packed(field), _) => self.single(field, given, false),
        }
    }

    /// A single value of `field`, after its key if it `is_keyed`.
    fn single(&mut self, field: &'s Field, given: Given<'_>, is_keyed: bool) -> Done {
        let number = |least: i128, most: i128| integer(given, least, most);
        let (i32s, i64s) = ((i32::MIN, i32::MAX), (i64::MIN, i64::MAX));
        let value = match field.kind {
            Kind::Double => float(given).map(|value| Value::Fixed64(value.to_bits())),
            Kind::Float => float(given)
                .and_then(rounded)
                .map(|value| Value::Fixed32(value.to_bits())),
            Kind::Int32 => number(i32s.0.into(), i32s.1.into()).map(varint),
            Kind::Int64 => number(i64s.0.into(), i64s.1.into()).map(varint),
            Kind::Uint32 => number(0, u32::MAX.into()).map(varint),
            Kind::Uint64 => number(0, u64::MAX.into()).map(varint),
            Kind::Sint32 => number(i32s.0.into(), i32s.1.into()).map(zigzag),
            Kind::Sint64 => number(i64s.0.into(), i64s.1.into()).map(zigzag),
            Kind::Fixed32 => number(0, u32::MAX.into()).map(fixed32),
            Kind::Sfixed32 => number(i32s.0.into(), i32s.1.into()).map(fixed32),
            Kind::Fixed64 => number(0, u64::MAX.into()).map(fixed64),
            Kind::Sfixed64 => number(i64s.0.into(), i64s.1.into()).map(fixed64),
            Kind::Bool => given.bool().map(|value| Value::Varint(value.into())),
            Kind::Enum(of) => match given.text() {
                Some(name) => {
                    let number = self.schema.enums[of].numbers.get(name);
                    number.map(|number| varint((*number).into()))
                }
                None => number(i32s.0.into(), i32s.1.into()).map(varint),
            },
            Kind::String | Kind::Bytes | Kind::Message(_) => {
                return match given.text() {
                    Some(text) => self.text(field, text),
                    None => self.invalid(field, given),
                };
            }
        };
        let Some(value) = value else {
            return self.invalid(field, given);
        };
        let is_zero = matches!(
            value,
            Value::Varint(0) | Value::Fixed64(0) | Value::Fixed32(0)
        );
        if is_zero && is_keyed && field.count == Count::Implicit {
            return Ok(());
        }
        let layout = match value {
            Value::Varint(_) => VARINT,
            Value::Fixed64(_) => FIXED64,
            Value::Fixed32(_) => FIXED32,
            Value::Delimited(_) => DELIMITED,
        };
        if is_keyed {
            self.key(field, layout)?;
        }
        match value {
            Value::Varint(value) => self.varint(value),
            Value::Fixed64(value) => self.put(&value.to_le_bytes()),
            Value::Fixed32(value) => self.put(&value.to_le_bytes()),
            Value::Delimited(bytes) => self.put(bytes),
        }
    }

    /// A field that is written as text: a string, bytes, or one of the well-known messages.
    fn text(&mut self, field: &'s Field, text: &str) -> Done {
        if text.is_empty()
            && field.count == Count::Implicit
            && matches!(field.kind, Kind::String | Kind::Bytes)
        {
            return Ok(());
        }
        match field.kind {
            Kind::String => {
                self.key(field, DELIMITED)?;
                self.varint(text.len() as u64)?;
                self.put(text.as_bytes())
            }
            Kind::Bytes => {
                let before = self.out.len();
                self.key(field, DELIMITED)?;
                let begin = self.begin()?;
                let is_url_safe = text.bytes().any(|letter| matches!(letter, b'-' | b'_'));
                let engine = if is_url_safe { URL_SAFE } else { STANDARD };
                let most = base64::decoded_len_estimate(text.len());
                self.reserve(most)?;
                let bytes = self.out.bytes();
                bytes.resize(begin + most, 0);
                match engine.decode_slice(text, &mut bytes[begin..]) {
                    Ok(length) => {
                        bytes.truncate(begin + length);
                        self.end(begin)
                    }
                    Err(_) => {
                        bytes.truncate(before);
                        self.invalid(field, Given::Text(text))
                    }
                }
            }
            Kind::Message(of) => {
                let form = self.schema.messages[of].form;
                let Some(bytes) = well_known::read(form, text) else {
                    return self.invalid(field, Given::Text(text));
                };
                self.key(field, DELIMITED)?;
                self.varint(bytes.len() as u64)?;
                self.put(&bytes)
            }
            Kind::Double
            | Kind::Float
            | Kind::Int32
            | Kind::Int64
            | Kind::Uint32
            | Kind::Uint64
            | Kind::Sint32
            | Kind::Sint64
            | Kind::Fixed32
            | Kind::Fixed64
            | Kind::Sfixed32
            | Kind::Sfixed64
            | Kind::Bool
            | Kind::Enum(_) => self.invalid(field, Given::Text(text)),
        }
    }

    /// Records that `given` is no value of `field`.
    fn invalid(&mut self, field: &'s Field, given: Given<'_>) -> Done {
        let allowed = self.allowed(field.kind, given);
        self.fault(given, allowed)
    }

    fn allowed(&self, kind: Kind, given: Given<'_>) -> String {
        let between = |least: i128, most: i128| format!("an integer from {least} to {most}");
        match kind {
            Kind::Double => "a number, \"NaN\", \"Infinity\" or \"-Infinity\"".to_owned(),
            Kind::Float => {
                "a number of at most 3.4e38, \"NaN\", \"Infinity\" or \"-Infinity\"".to_owned()
            }
            Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => {
                between(i32::MIN.into(), i32::MAX.into())
            }
            Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 => {
                between(i64::MIN.into(), i64::MAX.into())
            }
            Kind::Uint32 | Kind::Fixed32 => between(0, u32::MAX.into()),
            Kind::Uint64 | Kind::Fixed64 => between(0, u64::MAX.into()),
            Kind::Bool => "true or false".to_owned(),
            Kind::String => "a text in quotes".to_owned(),
            Kind::Bytes => "base64 in quotes".to_owned(),
            Kind::Enum(of) => {
                let names = self.schema.enums[of].in_order.iter().map(String::as_str);
                let near = given.text().map(|name| near(name, names.clone()));
                let near = near.unwrap_or_default();
                // Names of one enum begin alike, so a name that is alike need not be the one that is meant.
                if near.is_empty() || names.len() <= MOST_NAMES {
                    listed(names)
                } else {
                    near.join(", ")
                }
            }
            Kind::Message(of) => match self.schema.messages[of].form {
                Form::Plain => "an object",
                Form::Duration => "a number of seconds in quotes, such as \"1.5s\"",
                Form::Timestamp => "a time in quotes, such as \"2026-11-28T13:52:00Z\"",
                Form::FieldMask => "names of fields in quotes, with commas between them",
            }
            .to_owned(),
        }
    }

    /// The fields of an object.
    fn fields<'d, A: MapAccess<'d>>(
        &mut self,
        message: &'s Message,
        mut map: A,
    ) -> Result<(), A::Error> {
        let mut seen = vec![false; message.fields.len()];
        let mut members = vec![None; message.oneofs.len()];
        while let Some(key) = map.next_key_seed(KeyOf(message))? {
            let at = match key {
                Key::Known(at) => at,
                Key::Unknown(name) => {
                    self.unknown(message, &name).map_err(ended)?;
                    map.next_value::<IgnoredAny>()?;
                    continue;
                }
            };
            let field = &message.fields[at];
            self.path.push(Step::Name(&field.name));
            if std::mem::replace(&mut seen[at], true) {
                self.fault("a second time", "a field once").map_err(ended)?;
                map.next_value::<IgnoredAny>()?;
                self.path.pop();
                continue;
            }
            let before = self.out.len();
            map.next_value_seed(Site {
                reader: self,
                target: Target::Field(field),
            })?;
            if let Some(oneof) = field.oneof
                && self.out.len() > before
                && let Some(other) = members[oneof].replace(&*field.name)
            {
                let given = format!("beside {other}");
                let allowed = format!("one of the two: both are of {}", message.oneofs[oneof]);
                self.fault(given, allowed).map_err(ended)?;
            }
            self.path.pop();
        }
        Ok(())
    }

    /// The elements of an array.
    fn elements<'d, A: SeqAccess<'d>>(
        &mut self,
        field: &'s Field,
        mut seq: A,
    ) -> Result<(), A::Error> {
        let before = self.out.len();
        let is_packed = field.kind.is_packed();
        let begin = if is_packed {
            self.key(field, DELIMITED).map_err(ended)?;
            self.begin().map_err(ended)?
        } else {
            before
        };
        let target = if is_packed {
            Target::Packed(field)
        } else {
            Target::Element(field)
        };
        self.path.push(Step::Index(0));
        loop {
            let site = Site {
                reader: self,
                target,
            };
            if seq.next_element_seed(site)?.is_none() {
                break;
            }
            if let Some(Step::Index(index)) = self.path.last_mut() {
                *index += 1;
            }
        }
        self.path.pop();
        if is_packed && self.out.len() == begin {
            self.out.bytes().truncate(before);
        } else if is_packed {
            self.end(begin).map_err(ended)?;
        }
        Ok(())
    }

    /// The entries of a map.
    fn entries<'d, A: MapAccess<'d>>(
        &mut self,
        field: &'s Field,
        mut map: A,
    ) -> Result<(), A::Error> {
        let Kind::Message(of) = field.kind else {
            return Ok(());
        };
        let [key_field, value_field] = &self.schema.messages[of].fields[..] else {
            return Ok(());
        };
        let mut seen = HashSet::new();
        while let Some(key) = map.next_key::<String>()? {
            let bytes = key.len() + KEY_BYTES;
            let held = self.out.memory().hold(bytes);
            self.held(held).map_err(ended)?;
            self.scratch += bytes;
            self.path
                .push(Step::Key(key.chars().take(LONGEST_NAME).collect()));
            if seen.contains(&key) {
                self.fault("a second time", "a key once").map_err(ended)?;
            }
            self.key(field, DELIMITED).map_err(ended)?;
            let begin = self.begin().map_err(ended)?;
            let given = match (key_field.kind, &*key) {
                (Kind::Bool, "true") => Given::Bool(true),
                (Kind::Bool, "false") => Given::Bool(false),
                (_, text) => Given::Text(text),
            };
            self.single(key_field, given, true).map_err(ended)?;
            map.next_value_seed(Site {
                reader: self,
                target: Target::Element(value_field),
            })?;
            self.end(begin).map_err(ended)?;
            self.path.pop();
            seen.insert(key);
        }
        Ok(())
    }
}

fn ended<E: serde::de::Error>(_: Ended) -> E {
    E::custom("ended")
}

fn listed<'n>(names: impl ExactSizeIterator<Item = &'n str>) -> String {
    let rest = names.len().saturating_sub(MOST_NAMES);
    let mut text = names.take(MOST_NAMES).collect::<Vec<_>>().join(", ");
    if rest > 0 {
        let _ = write!(text, " and {rest} more");
    }
    text
}

fn varint(value: i128) -> Value<'static> {
    // Negative ones are extended to 64 bits.
    Value::Varint(value as u64)
}

fn zigzag(value: i128) -> Value<'static> {
    Value::Varint(((value << 1) ^ (value >> 127)) as u64)
}

fn fixed32(value: i128) -> Value<'static> {
    Value::Fixed32(value as u32)
}

fn fixed64(value: i128) -> Value<'static> {
    Value::Fixed64(value as u64)
}

/// Whether `text` is a number as JSON writes it. Rust's own parser also takes `+1`, `.5`, `1.` and `inf`.
fn is_number(text: &str) -> bool {
    let digits = text.strip_prefix('-').unwrap_or(text).as_bytes();
    digits.first().is_some_and(u8::is_ascii_digit)
        && digits.last().is_some_and(u8::is_ascii_digit)
        && !text.contains(".e")
        && !text.contains(".E")
}

/// An integer within the bounds. A text or a float is one if it has no fraction.
fn integer(given: Given<'_>, least: i128, most: i128) -> Option<i128> {
    /// Up to here every integral float is below 2^127.
    const LARGEST: f64 = 1e30;
    let whole = |value: f64| {
        let is_whole = value.fract() == 0.0 && value.abs() < LARGEST;
        is_whole.then_some(value as i128)
    };
    let value = match given {
        Given::Integer(value) => Some(value),
        Given::Float(value) => whole(value),
        Given::Text(text) if is_number(text) => {
            let parsed = text.parse().ok();
            parsed.or_else(|| text.parse().ok().and_then(whole))
        }
        Given::Null | Given::Bool(_) | Given::Text(_) | Given::Array | Given::Object => None,
    };
    value.filter(|value| (least..=most).contains(value))
}

fn float(given: Given<'_>) -> Option<f64> {
    match given {
        Given::Integer(value) => Some(value as f64),
        Given::Float(value) => Some(value),
        Given::Text("NaN") => Some(f64::NAN),
        Given::Text("Infinity") => Some(f64::INFINITY),
        Given::Text("-Infinity") => Some(f64::NEG_INFINITY),
        Given::Text(text) if is_number(text) => {
            let value: Option<f64> = text.parse().ok();
            value.filter(|value| value.is_finite())
        }
        Given::Null | Given::Bool(_) | Given::Text(_) | Given::Array | Given::Object => None,
    }
}

/// The nearest single; `None` if a finite number would become infinite.
fn rounded(value: f64) -> Option<f32> {
    let single = value as f32;
    (single.is_finite() || !value.is_finite()).then_some(single)
}

/// The key of an object, looked up without a copy.
struct KeyOf<'s>(&'s Message);

enum Key {
    Known(usize),
    Unknown(String),
}

impl<'d> DeserializeSeed<'d> for KeyOf<'_> {
    type Value = Key;

    fn deserialize<D: serde::Deserializer<'d>>(self, json: D) -> Result<Key, D::Error> {
        json.deserialize_str(self)
    }
}

impl Visitor<'_> for KeyOf<'_> {
    type Value = Key;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the name of a field")
    }

    fn visit_str<E>(self, name: &str) -> Result<Key, E> {
        let at = self.0.by_name.get(name);
        // Enough of it to recognise it, and to compare it with others.
        let shown = || name.chars().take(2 * LONGEST_NAME).collect();
        Ok(at.map_or_else(|| Key::Unknown(shown()), |at| Key::Known(*at)))
    }
}

impl<'d, M: Memory> DeserializeSeed<'d> for Site<'_, '_, '_, M> {
    type Value = ();

    fn deserialize<D: serde::Deserializer<'d>>(self, json: D) -> Result<(), D::Error> {
        json.deserialize_any(self)
    }
}

impl<M: Memory> Site<'_, '_, '_, M> {
    fn give<E: serde::de::Error>(self, given: Given<'_>) -> Result<(), E> {
        self.reader.value(self.target, given).map_err(ended)
    }
}

impl<'d, M: Memory> Visitor<'d> for Site<'_, '_, '_, M> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E: serde::de::Error>(self) -> Result<(), E> {
        self.give(Given::Null)
    }

    fn visit_bool<E: serde::de::Error>(self, value: bool) -> Result<(), E> {
        self.give(Given::Bool(value))
    }

    fn visit_i64<E: serde::de::Error>(self, value: i64) -> Result<(), E> {
        self.give(Given::Integer(value.into()))
    }

    fn visit_u64<E: serde::de::Error>(self, value: u64) -> Result<(), E> {
        self.give(Given::Integer(value.into()))
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<(), E> {
        self.give(Given::Float(value))
    }

    fn visit_str<E: serde::de::Error>(self, value: &str) -> Result<(), E> {
        self.give(Given::Text(value))
    }

    fn visit_seq<A: SeqAccess<'d>>(self, mut seq: A) -> Result<(), A::Error> {
        if let Target::Field(field) = self.target
            && field.count == Count::Repeated
        {
            return self.reader.elements(field, seq);
        }
        self.give(Given::Array)?;
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'d>>(self, mut map: A) -> Result<(), A::Error> {
        let field = match self.target {
            Target::Message(message) => return self.reader.fields(message, map),
            Target::Field(field) if field.count == Count::Map => {
                return self.reader.entries(field, map);
            }
            Target::Field(field) if field.count == Count::Repeated => None,
            Target::Field(field) | Target::Element(field) => Some(field),
            Target::Packed(_) => None,
        };
        if let Some(field) = field
            && let Kind::Message(of) = field.kind
            && self.reader.schema.messages[of].form == Form::Plain
        {
            let reader = self.reader;
            reader.key(field, DELIMITED).map_err(ended)?;
            let begin = reader.begin().map_err(ended)?;
            let message = &reader.schema.messages[of];
            reader.fields(message, map)?;
            return reader.end(begin).map_err(ended);
        }
        self.give(Given::Object)?;
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(())
    }
}
