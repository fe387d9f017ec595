//! `docs/api.md`, written from the descriptors of the served protobuf files: services, methods, messages, fields and enums
//! with their comments.

use std::collections::{HashMap, HashSet};
use std::fmt::Write as _;
use std::io::{self, Read as _};
use std::path::Path;

use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;

use prost_reflect::prost_types::FileDescriptorProto;
use prost_reflect::{
    Cardinality, DescriptorPool, EnumDescriptor, FieldDescriptor, FileDescriptor, Kind,
    MessageDescriptor, MethodDescriptor, ServiceDescriptor,
};
use pulldown_cmark::{Event, Options, Parser, Tag};

use crate::grpcurl::FILE_DESCRIPTOR_SET;
use crate::pages::{self, ROOT};

const PACKAGE: &str = "backprop.v1";
const PAGE: &str = "docs/api.md";
/// The same as the server shows it.
const HTML: &str = "src/gateway/pages/api.html.gz";
const HEAD: &str = "# API reference

<!-- Written by `UPDATE=1 cargo test --test readme api`, from the comments of proto/backprop/v1. Do not edit. -->

Every service, message and enum of the package `backprop.v1`, generated from `proto/backprop/v1`. A field without
`optional` that is left out has its type's zero value. Layers count from 1, as in W¹; rows of a tensor are samples.
The server also serves `grpc.health.v1.Health` and `grpc.reflection` (v1 and v1alpha).
";

/// The comments of one file, by the path of the element that they document.
struct Comments(HashMap<Vec<i32>, String>);

impl Comments {
    fn of(file: &FileDescriptorProto) -> Self {
        let locations = file.source_code_info.iter().flat_map(|info| &info.location);
        Self(
            locations
                .map(|at| {
                    let text = at.leading_comments().to_owned() + at.trailing_comments();
                    (at.path.clone(), text)
                })
                .collect(),
        )
    }

    /// The comment, a line for each of its lines.
    fn lines(&self, path: &[i32]) -> Vec<&str> {
        let text = self.0.get(path).map_or("", String::as_str);
        text.lines().map(str::trim_end).collect()
    }

    /// The comment as one paragraph.
    fn text(&self, path: &[i32]) -> String {
        let lines = self.lines(path);
        let lines: Vec<&str> = lines.iter().map(|line| line.trim()).collect();
        escaped(lines.join(" ").trim())
    }
}

/// Text without characters that Markdown or a table would interpret, outside code spans.
fn escaped(text: &str) -> String {
    let mut escaped = String::new();
    for (index, part) in text.split('`').enumerate() {
        if index > 0 {
            escaped.push('`');
        }
        for c in part.chars() {
            match c {
                '|' => escaped.push_str("\\|"),
                '<' if index % 2 == 0 => escaped.push_str("&lt;"),
                '*' | '[' | ']' if index % 2 == 0 => {
                    escaped.push('\\');
                    escaped.push(c);
                }
                _ => escaped.push(c),
            }
        }
    }
    escaped
}

/// The name inside the package: `TrainBatchRequest`, or `Schedule.Cosine` for a nested message.
fn short(full_name: &str) -> &str {
    let name = full_name.strip_prefix(PACKAGE);
    name.map_or(full_name, |name| name.trim_start_matches('.'))
}

fn anchor(name: &str) -> String {
    name.to_lowercase().replace('.', "")
}

fn linked(full_name: &str) -> String {
    if full_name.starts_with(PACKAGE) {
        let name = short(full_name);
        format!("[{name}](#{})", anchor(name))
    } else {
        format!("`{full_name}`")
    }
}

fn type_of(kind: &Kind) -> String {
    match kind {
        Kind::Message(message) => linked(message.full_name()),
        Kind::Enum(of) => linked(of.full_name()),
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
        | Kind::String
        | Kind::Bytes => format!("{kind:?}"),
    }
}

fn field_type(field: &FieldDescriptor) -> String {
    if let Kind::Message(entry) = field.kind()
        && field.is_map()
    {
        let (key, value) = (entry.map_entry_key_field(), entry.map_entry_value_field());
        return format!(
            "map of {} to {}",
            type_of(&key.kind()),
            type_of(&value.kind())
        );
    }
    let name = type_of(&field.kind());
    let is_optional = field.field_descriptor_proto().proto3_optional();
    match field.cardinality() {
        Cardinality::Repeated => format!("repeated {name}"),
        Cardinality::Optional if is_optional => format!("optional {name}"),
        Cardinality::Optional | Cardinality::Required => match field.containing_oneof() {
            Some(oneof) => format!("{name}, one of `{}`", oneof.name()),
            None => name,
        },
    }
}

/// The page in the making.
#[derive(Default)]
struct Reference {
    text: String,
    comments: HashMap<String, Comments>,
}

impl Reference {
    fn new(files: &[FileDescriptor]) -> Self {
        let comments = files
            .iter()
            .map(|file| {
                (
                    file.name().to_owned(),
                    Comments::of(file.file_descriptor_proto()),
                )
            })
            .collect();
        Self {
            text: HEAD.to_owned(),
            comments,
        }
    }

    fn comments(&self, file: &FileDescriptor) -> &Comments {
        &self.comments[file.name()]
    }

    fn line(&mut self, line: &str) {
        // Writing to a String cannot fail.
        let _ = writeln!(self.text, "{line}");
    }

    fn service(&mut self, service: &ServiceDescriptor) {
        let file = service.parent_file();
        let about = self.comments(&file).text(service.path());
        self.line(&format!("\n## {}\n\n{about}", service.name()));
        for method in service.methods() {
            self.method(&method);
        }
    }

    fn method(&mut self, method: &MethodDescriptor) {
        let file = method.parent_file();
        let lines = self.comments(&file).lines(method.path());
        let (calls, words): (Vec<&str>, Vec<&str>) = lines
            .into_iter()
            .partition(|line| line.trim_start().starts_with("grpcurl "));
        let words: Vec<&str> = words.iter().map(|line| line.trim()).collect();
        let about = escaped(words.join(" ").trim());
        let calls: Vec<String> = calls.iter().map(|line| line.trim().to_owned()).collect();
        let stream = |is_stream: bool| if is_stream { "stream of " } else { "" };
        let (request, reply) = (method.input(), method.output());
        self.line(&format!(
            "\n### {}\n\n{}{} → {}{}\n\n{about}",
            method.name(),
            stream(method.is_client_streaming()),
            linked(request.full_name()),
            stream(method.is_server_streaming()),
            linked(reply.full_name()),
        ));
        for call in calls {
            self.line(&format!(
                "\n<!-- not run: the model and the batch are the reader's own -->\n```sh\n{call}\n```"
            ));
        }
    }

    fn message(&mut self, message: &MessageDescriptor) {
        if message.is_map_entry() {
            return;
        }
        let file = message.parent_file();
        let name = short(message.full_name()).to_owned();
        let about = self.comments(&file).text(message.path());
        self.line(&format!("\n### {name}\n\n{about}"));
        let mut rows = String::new();
        for field in message.fields() {
            let about = self.comments(&file).text(field.path());
            let _ = writeln!(
                rows,
                "| `{}` | {} | {about} |",
                field.name(),
                field_type(&field)
            );
        }
        if !rows.is_empty() {
            self.line("\n| Field | Type | Meaning |\n|---|---|---|");
            self.text.push_str(&rows);
        }
        for nested in message.child_messages() {
            self.message(&nested);
        }
        for nested in message.child_enums() {
            self.enumeration(&nested);
        }
    }

    fn enumeration(&mut self, of: &EnumDescriptor) {
        let file = of.parent_file();
        let about = self.comments(&file).text(of.path());
        let name = short(of.full_name()).to_owned();
        self.line(&format!(
            "\n### {name}\n\n{about}\n\n| Value | Number | Meaning |\n|---|---|---|"
        ));
        for value in of.values() {
            let about = self.comments(&file).text(value.path());
            self.line(&format!(
                "| `{}` | {} | {about} |",
                value.name(),
                value.number()
            ));
        }
    }
}

fn reference() -> String {
    let pool = DescriptorPool::decode(FILE_DESCRIPTOR_SET).expect("our own descriptors");
    let mut files: Vec<FileDescriptor> = pool
        .files()
        .filter(|file| file.package_name() == PACKAGE)
        .collect();
    files.sort_by(|a, b| a.name().cmp(b.name()));
    let mut reference = Reference::new(&files);
    for service in files.iter().flat_map(FileDescriptor::services) {
        reference.service(&service);
    }
    reference.line("\n## Messages");
    for message in files.iter().flat_map(FileDescriptor::messages) {
        reference.message(&message);
    }
    reference.line("\n## Enums");
    for of in files.iter().flat_map(FileDescriptor::enums) {
        reference.enumeration(&of);
    }
    reference.text
}

/// The reference as a page of the server.
fn html(markdown: &str) -> String {
    let mut events: Vec<Event<'_>> = Parser::new_ext(markdown, Options::ENABLE_TABLES)
        .filter(|event| !matches!(event, Event::Html(_) | Event::InlineHtml(_)))
        .collect();
    for at in 0..events.len() {
        let name = match events.get(at + 1) {
            Some(Event::Text(text)) => anchor(text).replace(" ", "-"),
            _ => continue,
        };
        if let Event::Start(Tag::Heading { id, .. }) = &mut events[at] {
            *id = Some(name.into());
        }
    }
    let mut body = String::new();
    pulldown_cmark::html::push_html(&mut body, events.into_iter());
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width\">\n<title>API reference of backpropd</title>\n\
         <link rel=\"stylesheet\" href=\"/style.css\">\n</head>\n<body>\n{body}</body>\n</html>\n"
    )
}

#[test]
fn the_page_of_the_api_reference_is_that_of_the_descriptors() {
    let expected = html(&reference());
    let path = Path::new(ROOT).join(HTML);
    if std::env::var_os("UPDATE").is_some() {
        let file = std::fs::File::create(&path).expect("it is writable");
        let mut packed = GzEncoder::new(file, Compression::best());
        io::Write::write_all(&mut packed, expected.as_bytes()).expect("it is writable");
        packed.finish().expect("it is writable");
    }
    let mut written = String::new();
    let file = std::fs::File::open(&path).expect("it is part of the repository");
    GzDecoder::new(file)
        .read_to_string(&mut written)
        .expect("it is text");
    assert!(
        written == expected,
        "{HTML} is stale: run `UPDATE=1 cargo test --test readme api`"
    );
    for part in written.split("href=\"#").skip(1) {
        let (name, _) = part.split_once('"').expect("a link ends");
        assert!(
            written.contains(&format!(" id=\"{name}\"")),
            "#{name} leads nowhere"
        );
    }
}

#[test]
fn the_api_reference_is_that_of_the_descriptors() {
    let expected = reference();
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(Path::new(ROOT).join(PAGE), &expected).expect("docs/ is writable");
    }
    let written = pages::read(PAGE);
    let differs = written
        .lines()
        .zip(expected.lines())
        .position(|(a, b)| a != b);
    assert!(
        written == expected,
        "{PAGE} is stale from line {}: run `UPDATE=1 cargo test --test readme api`",
        differs.map_or(0, |at| at + 1)
    );
}

#[test]
fn the_api_reference_documents_every_element_under_its_own_heading() {
    let text = reference();
    let mut headings = HashSet::new();
    for line in text.lines().filter(|line| line.starts_with("##")) {
        assert!(headings.insert(line), "two headings {line}");
    }
    let blank: Vec<&str> = text.lines().filter(|line| line.ends_with("|  |")).collect();
    assert!(blank.is_empty(), "without a comment: {}", blank.join("\n"));
    assert!(text.contains("### TrainBatch\n"), "it has the methods");
}
