//! Methods and messages as text, with the comments of their protos.

use std::collections::HashMap;
use std::fmt::Write as _;

use backpropd_client::pb;
use backpropd_json::{Method, Schema};
use prost::Message as _;
use prost_types::field_descriptor_proto::{Label, Type};
use prost_types::{DescriptorProto, EnumDescriptorProto, FieldDescriptorProto, FileDescriptorSet};

/// Columns of a line of text.
const WIDTH: usize = 110;

/// The methods by service, each with the first sentence about it.
pub(super) fn list(schema: &Schema) -> String {
    let set = FileDescriptorSet::decode(pb::FILE_DESCRIPTOR_SET).unwrap_or_default();
    let comments = Comments::of(&set);
    let mut text = String::new();
    let mut service = "";
    for method in schema.methods() {
        if method.service != service {
            service = &method.service;
            let gap = if text.is_empty() { "" } else { "\n" };
            // Writing to a String cannot fail, here and below.
            let _ = writeln!(text, "{gap}{service}");
        }
        let about = comments.about(&format!("{service}.{}", method.name));
        let sentence = about.split_once(". ").map_or(&*about, |(first, _)| first);
        let sentence = sentence.trim_end_matches('.');
        let _ = writeln!(text, "  {:<16} {sentence}", method.name);
    }
    text
}

/// A method, its request and its reply.
pub(super) fn method(method: &Method) -> String {
    let set = FileDescriptorSet::decode(pb::FILE_DESCRIPTOR_SET).unwrap_or_default();
    let comments = Comments::of(&set);
    let full = format!("{}.{}", method.service, method.name);
    let mut text = format!("{}/{}\n", method.service, method.name);
    wrap(&mut text, 2, &comments.about(&full));
    let described = set.file.iter().flat_map(|file| {
        let package = file.package();
        file.service.iter().flat_map(move |service| {
            let name = format!("{package}.{}", service.name());
            service
                .method
                .iter()
                .map(move |method| (name.clone(), method))
        })
    });
    let mut described = described.filter(|(service, _)| *service == method.service);
    let Some((_, found)) = described.find(|(_, found)| found.name() == method.name) else {
        return text;
    };
    let types = Types::of(&set);
    let stream = |is_stream: bool| if is_stream { "stream of " } else { "" };
    let mut shown = Vec::new();
    for (what, is_stream, name) in [
        ("Request", method.client_streams, found.input_type()),
        ("Reply", method.server_streams, found.output_type()),
    ] {
        let name = name.trim_start_matches('.').to_owned();
        let _ = writeln!(text, "\n{what}: {}{}", stream(is_stream), short(&name));
        types.fields(&mut text, &comments, &name, &mut shown);
    }
    let mut next = 0;
    while let Some(name) = shown.get(next).cloned() {
        next += 1;
        types.describe(&mut text, &comments, &name, &mut shown);
    }
    text
}

/// Comments by the full name of what they are about.
struct Comments(HashMap<String, String>);

impl Comments {
    fn of(set: &FileDescriptorSet) -> Self {
        let mut comments = HashMap::new();
        for file in &set.file {
            let locations = file.source_code_info.iter().flat_map(|info| &info.location);
            let texts: HashMap<&[i32], String> = locations
                .map(|at| {
                    let text = format!("{} {}", at.leading_comments(), at.trailing_comments());
                    let lines = text.lines().map(str::trim);
                    let lines = lines.filter(|line| !line.starts_with("grpcurl "));
                    let words: Vec<&str> = lines.flat_map(str::split_whitespace).collect();
                    (&*at.path, words.join(" "))
                })
                .collect();
            let mut note = |name: String, path: &[i32]| {
                comments.insert(name, texts.get(path).cloned().unwrap_or_default());
            };
            for (at, service) in (0..).zip(&file.service) {
                for (of, method) in (0..).zip(&service.method) {
                    let name = format!("{}.{}.{}", file.package(), service.name(), method.name());
                    note(name, &[6, at, 2, of]);
                }
            }
            for (at, message) in (0..).zip(&file.message_type) {
                note_message(&mut note, file.package(), message, &[4, at]);
            }
            for (at, of) in (0..).zip(&file.enum_type) {
                note_enum(&mut note, file.package(), of, &[5, at]);
            }
        }
        Self(comments)
    }

    fn about(&self, name: &str) -> String {
        self.0.get(name).cloned().unwrap_or_default()
    }
}

fn note_message(
    note: &mut impl FnMut(String, &[i32]),
    outer: &str,
    message: &DescriptorProto,
    path: &[i32],
) {
    let name = format!("{outer}.{}", message.name());
    note(name.clone(), path);
    for (at, field) in (0..).zip(&message.field) {
        note(
            format!("{name}.{}", field.name()),
            &[path, &[2, at]].concat(),
        );
    }
    for (at, nested) in (0..).zip(&message.nested_type) {
        note_message(note, &name, nested, &[path, &[3, at]].concat());
    }
    for (at, of) in (0..).zip(&message.enum_type) {
        note_enum(note, &name, of, &[path, &[4, at]].concat());
    }
}

fn note_enum(
    note: &mut impl FnMut(String, &[i32]),
    outer: &str,
    of: &EnumDescriptorProto,
    path: &[i32],
) {
    let name = format!("{outer}.{}", of.name());
    note(name.clone(), path);
    for (at, value) in (0..).zip(&of.value) {
        note(
            format!("{name}.{}", value.name()),
            &[path, &[2, at]].concat(),
        );
    }
}

/// Messages and enums by their full names.
struct Types<'s> {
    messages: HashMap<String, &'s DescriptorProto>,
    enums: HashMap<String, &'s EnumDescriptorProto>,
}

impl<'s> Types<'s> {
    fn of(set: &'s FileDescriptorSet) -> Self {
        let mut types = Self {
            messages: HashMap::new(),
            enums: HashMap::new(),
        };
        for file in &set.file {
            types.note(file.package(), &file.message_type, &file.enum_type);
        }
        types
    }

    fn note(
        &mut self,
        outer: &str,
        messages: &'s [DescriptorProto],
        enums: &'s [EnumDescriptorProto],
    ) {
        for of in enums {
            self.enums.insert(format!("{outer}.{}", of.name()), of);
        }
        for message in messages {
            let name = format!("{outer}.{}", message.name());
            self.messages.insert(name.clone(), message);
            self.note(&name, &message.nested_type, &message.enum_type);
        }
    }

    /// The fields of a message. Types of the package that they have are put on the list to show.
    fn fields(&self, text: &mut String, comments: &Comments, name: &str, shown: &mut Vec<String>) {
        let fields = self.messages.get(name).map(|message| &message.field);
        for field in fields.into_iter().flatten() {
            let _ = writeln!(text, "  {}: {}", field.name(), self.type_of(field, shown));
            wrap(
                text,
                6,
                &comments.about(&format!("{name}.{}", field.name())),
            );
        }
    }

    fn describe(
        &self,
        text: &mut String,
        comments: &Comments,
        name: &str,
        shown: &mut Vec<String>,
    ) {
        let _ = writeln!(text, "\n{}", short(name));
        self.fields(text, comments, name, shown);
        for value in self.enums.get(name).iter().flat_map(|of| &of.value) {
            let _ = writeln!(text, "  {}", value.name());
            wrap(
                text,
                6,
                &comments.about(&format!("{name}.{}", value.name())),
            );
        }
    }

    fn type_of(&self, field: &FieldDescriptorProto, shown: &mut Vec<String>) -> String {
        let name = field.type_name().trim_start_matches('.');
        let entry = self.messages.get(name).filter(|message| {
            let options = message.options.as_ref();
            options.is_some_and(prost_types::MessageOptions::map_entry)
        });
        if let Some([key, value]) = entry.map(|entry| &entry.field[..]) {
            return format!(
                "map of {} to {}",
                self.type_of(key, shown),
                self.type_of(value, shown)
            );
        }
        let of = if matches!(field.r#type(), Type::Message | Type::Enum) {
            if name.starts_with("backprop.") && !shown.iter().any(|other| other == name) {
                shown.push(name.to_owned());
            }
            short(name).to_owned()
        } else {
            format!("{:?}", field.r#type()).to_lowercase()
        };
        match field.label() {
            Label::Repeated => format!("repeated {of}"),
            Label::Optional if field.proto3_optional() => format!("optional {of}"),
            Label::Optional | Label::Required => of,
        }
    }
}

/// The name without the package.
fn short(name: &str) -> &str {
    name.strip_prefix("backprop.v1.").unwrap_or(name)
}

/// Appends words in lines of [`WIDTH`] columns, each after `indent` spaces.
fn wrap(text: &mut String, indent: usize, words: &str) {
    let mut column = 0;
    for word in words.split_whitespace() {
        let length = word.chars().count();
        if column > 0 && column + 1 + length > WIDTH {
            text.push('\n');
            column = 0;
        }
        if column == 0 {
            text.push_str(&" ".repeat(indent));
            column = indent;
        } else {
            text.push(' ');
            column += 1;
        }
        text.push_str(word);
        column += length;
    }
    if column > 0 {
        text.push('\n');
    }
}
