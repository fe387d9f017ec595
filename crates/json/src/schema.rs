//! What the descriptors say about messages and methods, arranged for the two conversions.

use std::collections::HashMap;

use prost::Message as _;
use prost_types::field_descriptor_proto::{Label, Type};
use prost_types::{DescriptorProto, EnumDescriptorProto, FieldDescriptorProto, FileDescriptorSet};

use crate::wire::{DELIMITED, FIXED32, FIXED64, VARINT};

/// The messages, enums and methods of some files.
#[derive(Debug, Default)]
pub struct Schema {
    pub(crate) messages: Vec<Message>,
    pub(crate) enums: Vec<Enum>,
    methods: Vec<Method>,
    by_name: HashMap<String, usize>,
    by_path: HashMap<String, usize>,
}

/// A type of message.
#[derive(Debug)]
pub struct Message {
    /// The name with its package.
    pub name: String,
    pub(crate) form: Form,
    pub(crate) fields: Vec<Field>,
    /// Indices of fields, by either of their names and by number.
    pub(crate) by_name: HashMap<String, usize>,
    pub(crate) by_number: HashMap<u32, usize>,
    pub(crate) oneofs: Vec<String>,
}

/// How a message is written as JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// As an object with its fields.
    Plain,
    /// `google.protobuf.Duration`: as "1.5s".
    Duration,
    /// `google.protobuf.Timestamp`: as RFC 3339.
    Timestamp,
    /// `google.protobuf.FieldMask`: as names separated by commas.
    FieldMask,
}

#[derive(Debug)]
pub(crate) struct Field {
    pub(crate) name: String,
    pub(crate) json_name: String,
    pub(crate) number: u32,
    pub(crate) kind: Kind,
    pub(crate) count: Count,
    /// The index of the oneof that it is a member of; synthetic ones do not count.
    pub(crate) oneof: Option<usize>,
}

/// How often a field occurs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Count {
    /// Once, and zero means absent.
    Implicit,
    /// Once or not at all.
    Explicit,
    Repeated,
    /// Repeated entries of a key and a value.
    Map,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Double,
    Float,
    Int32,
    Int64,
    Uint32,
    Uint64,
    Sint32,
    Sint64,
    Fixed32,
    Fixed64,
    Sfixed32,
    Sfixed64,
    Bool,
    String,
    Bytes,
    Enum(usize),
    Message(usize),
}

impl Kind {
    /// How a value is laid out on the wire.
    pub(crate) fn layout(self) -> u32 {
        match self {
            Self::Double | Self::Fixed64 | Self::Sfixed64 => FIXED64,
            Self::Float | Self::Fixed32 | Self::Sfixed32 => FIXED32,
            Self::String | Self::Bytes | Self::Message(_) => DELIMITED,
            Self::Int32
            | Self::Int64
            | Self::Uint32
            | Self::Uint64
            | Self::Sint32
            | Self::Sint64
            | Self::Bool
            | Self::Enum(_) => VARINT,
        }
    }

    /// Whether repeated values are packed into one field.
    pub(crate) fn is_packed(self) -> bool {
        self.layout() != DELIMITED
    }
}

#[derive(Debug)]
pub(crate) struct Enum {
    pub(crate) numbers: HashMap<String, i32>,
    pub(crate) names: HashMap<i32, String>,
    /// The names in the order of the file.
    pub(crate) in_order: Vec<String>,
}

/// A method of a service.
#[derive(Debug)]
pub struct Method {
    /// The service, with its package.
    pub service: String,
    /// The name without the service.
    pub name: String,
    /// The path of its calls: `/package.Service/Method`.
    pub path: String,
    /// Whether the client sends any number of messages.
    pub client_streams: bool,
    /// Whether the server sends any number of messages.
    pub server_streams: bool,
    request: usize,
    reply: usize,
}

/// Why descriptors were refused.
#[derive(Debug, thiserror::Error)]
pub enum SchemaError {
    /// The bytes are no set of descriptors.
    #[error("not a FileDescriptorSet: {0}")]
    Decode(#[from] prost::DecodeError),
    /// A type is named and not defined, or of a kind that proto3 has not.
    #[error("{0} is not defined")]
    Undefined(String),
}

impl Schema {
    /// Reads encoded `FileDescriptorSet`s. A file may be in several of them.
    ///
    /// # Errors
    /// The bytes are no descriptors, or a type is missing from them.
    pub fn new(sets: &[&[u8]]) -> Result<Self, SchemaError> {
        let mut files = Vec::new();
        for set in sets {
            for file in FileDescriptorSet::decode(*set)?.file {
                if !files
                    .iter()
                    .any(|other: &prost_types::FileDescriptorProto| other.name() == file.name())
                {
                    files.push(file);
                }
            }
        }
        let mut types = Types::default();
        for file in &files {
            let package = scope("", file.package());
            types.note(&package, &file.message_type, &file.enum_type);
        }
        let mut schema = Self {
            messages: types.messages()?,
            enums: types.enums.iter().map(|(_, of)| enumeration(of)).collect(),
            by_name: types.by_name(),
            ..Self::default()
        };
        for file in &files {
            for service in &file.service {
                let name = scope(file.package(), service.name());
                for method in &service.method {
                    let path = format!("/{name}/{}", method.name());
                    schema.by_path.insert(path.clone(), schema.methods.len());
                    schema.methods.push(Method {
                        service: name.clone(),
                        name: method.name().to_owned(),
                        path,
                        client_streams: method.client_streaming(),
                        server_streams: method.server_streaming(),
                        request: schema.index(method.input_type())?,
                        reply: schema.index(method.output_type())?,
                    });
                }
            }
        }
        Ok(schema)
    }

    fn index(&self, name: &str) -> Result<usize, SchemaError> {
        let name = name.trim_start_matches('.');
        let index = self.by_name.get(name).copied();
        index.ok_or_else(|| SchemaError::Undefined(name.to_owned()))
    }

    /// The methods, in the order of the files.
    #[must_use]
    pub fn methods(&self) -> &[Method] {
        &self.methods
    }

    /// The method at `path`, which is `/package.Service/Method`.
    #[must_use]
    pub fn method(&self, path: &str) -> Option<&Method> {
        self.by_path.get(path).map(|index| &self.methods[*index])
    }

    /// The message of this name, with its package.
    #[must_use]
    pub fn message(&self, name: &str) -> Option<&Message> {
        self.by_name.get(name).map(|index| &self.messages[*index])
    }

    /// The message that `method` takes.
    #[must_use]
    pub fn request_of(&self, method: &Method) -> &Message {
        &self.messages[method.request]
    }

    /// The message that `method` answers with.
    #[must_use]
    pub fn reply_of(&self, method: &Method) -> &Message {
        &self.messages[method.reply]
    }
}

/// Everything that is declared, at any depth.
#[derive(Default)]
struct Types<'f> {
    messages: Vec<(String, &'f DescriptorProto)>,
    enums: Vec<(String, &'f EnumDescriptorProto)>,
}

fn scope(outer: &str, name: &str) -> String {
    if outer.is_empty() {
        name.to_owned()
    } else {
        format!("{outer}.{name}")
    }
}

impl<'f> Types<'f> {
    fn note(
        &mut self,
        outer: &str,
        messages: &'f [DescriptorProto],
        enums: &'f [EnumDescriptorProto],
    ) {
        for of in enums {
            self.enums.push((scope(outer, of.name()), of));
        }
        for message in messages {
            let name = scope(outer, message.name());
            self.messages.push((name.clone(), message));
            self.note(&name, &message.nested_type, &message.enum_type);
        }
    }

    fn by_name(&self) -> HashMap<String, usize> {
        let names = self.messages.iter().enumerate();
        names.map(|(at, (name, _))| (name.clone(), at)).collect()
    }

    fn messages(&self) -> Result<Vec<Message>, SchemaError> {
        let messages = self.by_name();
        let enums = self.enums.iter().enumerate();
        let enums: HashMap<&str, usize> = enums.map(|(at, (name, _))| (&**name, at)).collect();
        let build = |(name, message): &(String, &DescriptorProto)| {
            let mut fields = Vec::new();
            for field in &message.field {
                fields.push(self.field(field, &messages, &enums)?);
            }
            let names = fields.iter().enumerate();
            let by_name = names
                .flat_map(|(at, field)| [(field.name.clone(), at), (field.json_name.clone(), at)]);
            Ok(Message {
                name: name.clone(),
                form: match &**name {
                    "google.protobuf.Duration" => Form::Duration,
                    "google.protobuf.Timestamp" => Form::Timestamp,
                    "google.protobuf.FieldMask" => Form::FieldMask,
                    _ => Form::Plain,
                },
                by_name: by_name.collect(),
                by_number: fields
                    .iter()
                    .enumerate()
                    .map(|(at, f)| (f.number, at))
                    .collect(),
                oneofs: message
                    .oneof_decl
                    .iter()
                    .map(|of| of.name().to_owned())
                    .collect(),
                fields,
            })
        };
        self.messages.iter().map(build).collect()
    }

    fn field(
        &self,
        field: &FieldDescriptorProto,
        messages: &HashMap<String, usize>,
        enums: &HashMap<&str, usize>,
    ) -> Result<Field, SchemaError> {
        let type_name = field.type_name().trim_start_matches('.');
        let undefined = || SchemaError::Undefined(format!("{type_name} ({})", field.name()));
        let kind = match field.r#type() {
            Type::Double => Kind::Double,
            Type::Float => Kind::Float,
            Type::Int32 => Kind::Int32,
            Type::Int64 => Kind::Int64,
            Type::Uint32 => Kind::Uint32,
            Type::Uint64 => Kind::Uint64,
            Type::Sint32 => Kind::Sint32,
            Type::Sint64 => Kind::Sint64,
            Type::Fixed32 => Kind::Fixed32,
            Type::Fixed64 => Kind::Fixed64,
            Type::Sfixed32 => Kind::Sfixed32,
            Type::Sfixed64 => Kind::Sfixed64,
            Type::Bool => Kind::Bool,
            Type::String => Kind::String,
            Type::Bytes => Kind::Bytes,
            Type::Enum => Kind::Enum(*enums.get(type_name).ok_or_else(undefined)?),
            Type::Message => Kind::Message(*messages.get(type_name).ok_or_else(undefined)?),
            Type::Group => return Err(undefined()),
        };
        let is_map = matches!(kind, Kind::Message(of) if self.messages[of].1.options.as_ref()
            .is_some_and(prost_types::MessageOptions::map_entry));
        let is_optional = field.proto3_optional();
        let count = match (field.label(), kind) {
            (Label::Repeated, _) if is_map => Count::Map,
            (Label::Repeated, _) => Count::Repeated,
            (_, Kind::Message(_)) => Count::Explicit,
            _ if is_optional || field.oneof_index.is_some() => Count::Explicit,
            _ => Count::Implicit,
        };
        Ok(Field {
            name: field.name().to_owned(),
            json_name: field.json_name().to_owned(),
            number: u32::try_from(field.number()).map_err(|_| undefined())?,
            kind,
            count,
            oneof: field
                .oneof_index
                .filter(|_| !is_optional)
                .and_then(|index| usize::try_from(index).ok()),
        })
    }
}

fn enumeration(of: &EnumDescriptorProto) -> Enum {
    let mut names = HashMap::new();
    for value in &of.value {
        // Of two names for a number, the first is the one to write.
        let name = || value.name().to_owned();
        names.entry(value.number()).or_insert_with(name);
    }
    Enum {
        numbers: (of
            .value
            .iter()
            .map(|value| (value.name().to_owned(), value.number())))
        .collect(),
        names,
        in_order: of
            .value
            .iter()
            .map(|value| value.name().to_owned())
            .collect(),
    }
}

/// The names that resemble `name`, the nearest first, at most three.
#[must_use]
pub fn near<'n>(name: &str, names: impl IntoIterator<Item = &'n str>) -> Vec<&'n str> {
    /// Letters of an unknown name that are compared.
    const MOST: usize = 100;
    let plain = |name: &str| {
        let letters = name.chars().filter(|letter| letter.is_alphanumeric());
        letters
            .take(MOST)
            .flat_map(char::to_lowercase)
            .collect::<String>()
    };
    let asked = plain(name);
    let mut near: Vec<(f64, &str)> = names
        .into_iter()
        .map(|name| (strsim::jaro_winkler(&asked, &plain(name)), name))
        .filter(|(likeness, _)| *likeness > 0.85)
        .collect();
    near.sort_by(|(one, _), (other, _)| other.total_cmp(one));
    near.into_iter().take(3).map(|(_, name)| name).collect()
}
