//! Any text as the JSON of any message, and any bytes as the message that is written as JSON: never a panic, and what was
//! read is written and read again as the same bytes.
#![no_main]

use std::sync::LazyLock;

use backpropd_json::{Message, Schema, Unlimited, read, write};
use libfuzzer_sys::fuzz_target;

static SCHEMA: LazyLock<Schema> = LazyLock::new(|| {
    Schema::new(&[backpropd::rpc::pb::FILE_DESCRIPTOR_SET]).expect("it is sound")
});

fuzz_target!(|bytes: &[u8]| {
    let [which, bytes @ ..] = bytes else { return };
    let schema: &Schema = &SCHEMA;
    let messages: Vec<&Message> = (schema.methods().iter())
        .flat_map(|method| [schema.request_of(method), schema.reply_of(method)])
        .collect();
    let message = messages[usize::from(*which) % messages.len()];
    if let Ok(first) = read(schema, message, bytes, &mut Unlimited) {
        let text = write(schema, message, &first, &mut Unlimited).expect("it was read");
        let second = read(schema, message, &text, &mut Unlimited).expect("it was written");
        let again = write(schema, message, &second, &mut Unlimited).expect("it was read");
        assert_eq!(text, again);
    }
    if let Ok(text) = write(schema, message, bytes, &mut Unlimited) {
        // A key of a map may come twice in bytes, and not in a text.
        let _ = read(schema, message, &text, &mut Unlimited);
    }
});
