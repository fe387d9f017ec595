//! Protobuf messages from and to JSON, by the descriptors of their schema.
//!
//! `read` turns JSON text into the message's bytes on the wire, `write` does the reverse; no message is built in
//! between. A number in a JSON array thus takes the four or eight bytes that it takes on the wire, where a tree of
//! values would take fifty, and a text's length bounds the memory that it costs. The mapping is that of proto3 JSON
//! (<https://protobuf.dev/programming-guides/json/>), held against prost-reflect's in the tests.
//!
//! What is wrong with a text is reported with its path, all of it at once: unknown fields with the names they resemble,
//! values of another type or beyond the range of theirs, fields that are given twice.

mod buffer;
mod read;
mod schema;
mod well_known;
mod wire;
mod write;

pub use self::buffer::{Memory, Unlimited, append};
pub use self::read::{ReadError, SyntaxError, read};
pub use self::schema::{Message, Method, Schema, SchemaError, near};
pub use self::write::{WriteError, write};
