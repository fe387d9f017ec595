//! The mapping, held against prost-reflect's on random messages of the server's own schema, and on texts that are wrong.

use backpropd_json::{Memory, Message, ReadError, Schema, Unlimited, read, write};
use proptest::prelude::*;
use prost::Message as _;
use prost_reflect::prost::bytes::Bytes;
use prost_reflect::{
    DescriptorPool, DynamicMessage, FieldDescriptor, Kind, MapKey, MessageDescriptor, Value,
};

const DESCRIPTORS: &[u8] = include_bytes!("../../../proto/generated/descriptors.binpb");

fn schema() -> Schema {
    Schema::new(&[DESCRIPTORS, tonic_types::pb::FILE_DESCRIPTOR_SET]).expect("descriptors")
}

fn pool() -> DescriptorPool {
    DescriptorPool::decode(DESCRIPTORS).expect("descriptors")
}

/// Numbers from a seed: splitmix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit as u64) as usize
    }

    /// A number whose ends and neighbours of zero are frequent.
    fn edge(&mut self) -> u64 {
        match self.below(4) {
            0 => self.next(),
            1 => self.below(3) as u64,
            2 => u64::MAX - self.below(3) as u64,
            _ => 1 << self.below(64),
        }
    }

    fn double(&mut self) -> f64 {
        match self.below(6) {
            0 => f64::from_bits(self.next()),
            1 => [
                0.0,
                -0.0,
                f64::NAN,
                f64::INFINITY,
                f64::NEG_INFINITY,
                f64::MIN_POSITIVE,
            ][self.below(6)],
            2 => (self.next() as i64 >> 40) as f64,
            _ => self.next() as f64 / 1e12,
        }
    }

    fn text(&mut self) -> String {
        let letters = [
            'a', 'Z', '"', '\\', '\n', '\u{0}', 'é', '💡', '/', '\u{2028}',
        ];
        (0..self.below(8))
            .map(|_| letters[self.below(letters.len())])
            .collect()
    }
}

fn scalar(random: &mut Random, kind: &Kind, depth: usize) -> Value {
    match kind {
        Kind::Double => Value::F64(random.double()),
        Kind::Float => Value::F32(f32::from_bits(random.next() as u32)),
        Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => Value::I32(random.edge() as i32),
        Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 => Value::I64(random.edge() as i64),
        Kind::Uint32 | Kind::Fixed32 => Value::U32(random.edge() as u32),
        Kind::Uint64 | Kind::Fixed64 => Value::U64(random.edge()),
        Kind::Bool => Value::Bool(random.below(2) == 1),
        Kind::String => Value::String(random.text()),
        Kind::Bytes => Value::Bytes(Bytes::from(random.text().into_bytes())),
        Kind::Enum(of) => {
            let numbers: Vec<i32> = of.values().map(|value| value.number()).collect();
            Value::EnumNumber(match random.below(8) {
                0 => 12_345,
                _ => numbers[random.below(numbers.len())],
            })
        }
        Kind::Message(of) => Value::Message(message(random, of, depth + 1)),
    }
}

fn value(random: &mut Random, field: &FieldDescriptor, depth: usize) -> Value {
    let kind = field.kind();
    if let Kind::Message(entry) = &kind
        && field.is_map()
    {
        let of = entry.map_entry_value_field().kind();
        let entries = (0..random.below(4))
            .map(|_| (MapKey::String(random.text()), scalar(random, &of, depth)));
        return Value::Map(entries.collect());
    }
    if field.is_list() {
        let length = random.below(4);
        return Value::List((0..length).map(|_| scalar(random, &kind, depth)).collect());
    }
    scalar(random, &kind, depth)
}

fn message(random: &mut Random, of: &MessageDescriptor, depth: usize) -> DynamicMessage {
    let mut built = DynamicMessage::new(of.clone());
    let fixed = |random: &mut Random, seconds: i64, signed: bool| {
        let mut time = DynamicMessage::new(of.clone());
        let nanos = [0, 1, 500_000_000, 123_456_000, 999_999_999][random.below(5)];
        let sign = if signed && seconds < 0 { -1 } else { 1 };
        time.set_field_by_number(1, Value::I64(seconds));
        time.set_field_by_number(2, Value::I32(sign * nanos));
        time
    };
    match of.full_name() {
        "google.protobuf.Duration" => {
            let seconds = (random.next() % 631_152_000_000) as i64 - 315_576_000_000 + 1;
            return fixed(random, seconds, true);
        }
        "google.protobuf.Timestamp" => {
            let seconds = (random.next() % 315_537_897_600) as i64 - 62_135_596_800;
            return fixed(random, seconds, false);
        }
        "google.protobuf.FieldMask" => {
            let paths = ["spec.learning_rate", "name", "a_b.c_d"];
            let paths = paths[..random.below(4)].iter();
            let paths = paths.map(|path| Value::String((*path).to_owned()));
            built.set_field_by_number(1, Value::List(paths.collect()));
            return built;
        }
        _ => {}
    }
    for field in of.fields() {
        if random.below(3) > 0 && depth < 6 {
            built.set_field(&field, value(random, &field, depth));
        }
    }
    built
}

fn is_same(one: &DynamicMessage, other: &DynamicMessage) -> bool {
    // NaN is not equal to itself, and its text is.
    let text = |message: &DynamicMessage| serde_json::to_value(message).expect("JSON");
    text(one) == text(other)
}

fn from_text(of: &MessageDescriptor, text: &[u8]) -> DynamicMessage {
    let mut json = serde_json::Deserializer::from_slice(text);
    let read = DynamicMessage::deserialize(of.clone(), &mut json).expect("prost-reflect reads it");
    json.end().expect("nothing follows");
    read
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_messages_are_those_of_prost_reflect_both_ways(seed: u64) {
        let (schema, pool) = (schema(), pool());
        let messages: Vec<_> = pool
            .all_messages()
            .filter(|of| of.package_name() == "backprop.v1" && !of.is_map_entry())
            .collect();
        let mut random = Random(seed);
        let of = &messages[random.below(messages.len())];
        let own = schema.message(of.full_name()).expect("the same schema");
        let given = message(&mut random, of, 0);
        let wire = given.encode_to_vec();
        let text = write(&schema, own, &wire, &mut Unlimited).expect("a message");
        let shown = String::from_utf8_lossy(&text).into_owned();
        prop_assert!(is_same(&from_text(of, &text), &given), "{shown}\n{given}");
        let back = read(&schema, own, &text, &mut Unlimited).expect(&shown);
        let decoded = DynamicMessage::decode(of.clone(), &*back).expect("a message");
        prop_assert!(is_same(&decoded, &given), "{shown}\n{decoded}");
        let theirs = serde_json::to_vec(&given).expect("JSON");
        let back = read(&schema, own, &theirs, &mut Unlimited).expect("ours reads theirs");
        let decoded = DynamicMessage::decode(of.clone(), &*back).expect("a message");
        prop_assert!(is_same(&decoded, &given), "{given}");
    }

    #[test]
    fn damaged_texts_and_bytes_are_refused_and_end_nothing(seed: u64) {
        let (schema, pool) = (schema(), pool());
        let mut random = Random(seed);
        let of = pool.get_message_by_name("backprop.v1.CreateModelRequest").expect("it is served");
        let own = schema.message(of.full_name()).expect("the same schema");
        let wire = message(&mut random, &of, 0).encode_to_vec();
        let mut text = write(&schema, own, &wire, &mut Unlimited).expect("a message");
        for _ in 0..4 {
            let at = random.below(text.len());
            match random.below(3) {
                0 => text[at] = b"{}[]\",:\\0n\xff-.e"[random.below(14)],
                1 => { text.remove(at); }
                _ => text.insert(at, b"{}[]\",:9"[random.below(8)]),
            }
            let ours = read(&schema, own, &text, &mut Unlimited);
            let mut json = serde_json::Deserializer::from_slice(&text);
            let theirs = DynamicMessage::deserialize(of.clone(), &mut json)
                .is_ok_and(|_| json.end().is_ok());
            // Stricter is right where a field is given twice.
            if ours.is_ok() {
                prop_assert!(theirs, "{}", String::from_utf8_lossy(&text));
            }
        }
        let mut wire = wire;
        for _ in 0..4 {
            if wire.is_empty() { break; }
            let at = random.below(wire.len());
            wire[at] = random.next() as u8;
            let _ = write(&schema, own, &wire, &mut Unlimited);
        }
    }
}

fn refused(text: &[u8]) -> String {
    let schema = schema();
    let message = schema
        .message("backprop.v1.TrainBatchRequest")
        .expect("it is served");
    refusal(&schema, message, text)
}

fn refusal(schema: &Schema, message: &Message, text: &[u8]) -> String {
    match read(schema, message, text, &mut Unlimited) {
        Ok(bytes) => panic!("{} is read as {bytes:?}", String::from_utf8_lossy(text)),
        Err(ReadError::Syntax(what)) => what.to_string(),
        Err(ReadError::Invalid(violations)) => violations.to_string(),
        Err(ReadError::Memory(never)) => match never {},
    }
}

#[test]
fn every_violation_has_its_path_and_what_is_allowed() {
    let text = refused(
        br#"{"modell": "m", "steps": "three", "labels": [1, 2.5, "x", 3000000000, null],
            "inputs": {"shape": 3, "valeus": [], "values": [1, "a", true, {}, []], "dtype": "DTYPE_FLOAT31"},
            "targets": [1], "requestId": 7, "request_id": "b"}"#,
    );
    for part in [
        "modell: given an unknown field; allowed: model",
        "steps: given \"three\"; allowed: an integer from",
        "labels[1]: given 2.5",
        "labels[2]: given \"x\"",
        "labels[3]: given 3000000000",
        "labels[4]: given null",
        "inputs.shape: given 3; allowed: an array",
        "inputs.valeus: given an unknown field; allowed: values",
        "inputs.values[1]: given \"a\"; allowed: a number",
        "inputs.values[2]: given true",
        "inputs.values[3]: given an object",
        "inputs.values[4]: given an array",
        "inputs.dtype: given \"DTYPE_FLOAT31\"; allowed: DTYPE_UNSPECIFIED, DTYPE_FLOAT32, DTYPE_FLOAT64",
        "targets: given an array; allowed: an object",
        "request_id: given 7; allowed: a text",
        "request_id: given a second time",
    ] {
        assert!(text.contains(part), "{part}\n{text}");
    }
}

#[test]
fn texts_that_are_no_json_say_where_and_why() {
    for (text, part) in [
        (&b""[..], "empty"),
        (b" \n", "empty"),
        (b"\xef\xbb\xbf{}", "byte order mark"),
        (b"\xff\xfe{\0}\0", "UTF-16"),
        (b"{\0}\0", "UTF-16"),
        (b"{", "line 1 column 1"),
        (b"{\"model\": \"a\xff\"}", "unicode"),
        (b"{\"model\": \"\\ud800\"}", "hex escape"),
        (b"{} {}", "trailing"),
        (b"{}x", "trailing"),
        (
            b"{\"labels\": [\"x\"], \"inputs\": {\"values\": [1, -1e999, 2]}}",
            "inputs.values[1]: given a number that is out of range; allowed: numbers of at most 1.8e308",
        ),
        (
            b"{\"labels\": [\"x\"], \"steps\": 1e999}",
            "labels[0]: given \"x\"",
        ),
        (b"{\"steps\": NaN}", "line 1"),
        (b"{\"steps\": 01}", "line 1"),
        (b"{'steps': 1}", "line 1"),
        (b"{\"steps\": 1,}", "trailing comma"),
        (b"[]", "the message: given an array; allowed: an object"),
        (b"null", "the message: given null"),
        (b"3", "the message: given 3"),
        (b"{\"shuffle\": \"true\"}", "shuffle"),
    ] {
        let said = refused(text);
        assert!(
            said.contains(part),
            "{}: {said}",
            String::from_utf8_lossy(text)
        );
    }
}

#[test]
fn deep_nesting_costs_no_stack_and_many_faults_no_time() {
    let deep = [&b"{\"inputs\": "[..], &b"[".repeat(1_000_000)].concat();
    assert!(!refused(&deep).is_empty());
    let deep = [&b"{\"x\": "[..], &b"{\"a\":".repeat(1_000_000)].concat();
    assert!(!refused(&deep).is_empty());
    let many = format!("{{\"labels\": [{}null]}}", "null,".repeat(1_000_000));
    let text = refused(many.as_bytes());
    assert!(
        text.len() < 20_000 && text.contains("labels[99]"),
        "{}",
        text.len()
    );
}

#[test]
fn members_of_a_oneof_exclude_each_other_and_null_is_absent() {
    let schema = schema();
    let message = schema
        .message("backprop.v1.CreateDatasetRequest")
        .expect("it is served");
    let said = refusal(&schema, message, br#"{"header": {}, "rows": {}}"#);
    assert!(said.contains("rows: given beside header"), "{said}");
    let read = read(
        &schema,
        message,
        br#"{"header": null, "rows": {}}"#,
        &mut Unlimited,
    );
    assert!(read.is_ok_and(|bytes| !bytes.is_empty()));
}

#[test]
fn a_key_of_a_map_is_given_once() {
    let schema = schema();
    let messages = schema
        .methods()
        .iter()
        .map(|method| schema.request_of(method));
    let said: Vec<String> = messages
        .filter(|message| message.name.ends_with("GradeFormulasRequest"))
        .map(|message| {
            let text = br#"{"sheets": [{"answers": {"a": "1", "a": "2"}}], "answers": {"a": "1", "a": "2"},
                "submissions": [{"answers": {"a": "1", "a": "2"}}]}"#;
            refusal(&schema, message, text)
        })
        .collect();
    assert!(
        said[0].contains("answers[\"a\"]: given a second time"),
        "{said:?}"
    );
}

/// Memory with a limit, which counts.
struct Budget {
    held: usize,
    most: usize,
    limit: usize,
}

impl Memory for Budget {
    type Error = ();

    fn hold(&mut self, bytes: usize) -> Result<(), ()> {
        if self.held + bytes > self.limit {
            return Err(());
        }
        self.held += bytes;
        self.most = self.most.max(self.held);
        Ok(())
    }

    fn release(&mut self, bytes: usize) {
        self.held = self.held.checked_sub(bytes).expect("it was held");
    }
}

#[test]
fn memory_is_held_in_proportion_and_given_back() {
    let schema = schema();
    let message = schema.message("backprop.v1.Tensor").expect("it is served");
    let text = format!("{{\"values\": [{}1]}}", "1,".repeat(100_000));
    let mut memory = Budget {
        held: 0,
        most: 0,
        limit: usize::MAX,
    };
    let bytes = read(&schema, message, text.as_bytes(), &mut memory).expect("a tensor");
    assert_eq!(memory.held, bytes.capacity());
    assert!(
        memory.most < 13 * text.len(),
        "{} of {}",
        memory.most,
        text.len()
    );
    for limit in (0..memory.most).step_by(memory.most / 50) {
        let mut memory = Budget {
            held: 0,
            most: 0,
            limit,
        };
        let read = read(&schema, message, text.as_bytes(), &mut memory);
        assert_eq!(read, Err(ReadError::Memory(())), "{limit}");
        assert_eq!(memory.held, 0, "{limit}");
        let mut memory = Budget {
            held: 0,
            most: 0,
            limit: limit / 4,
        };
        let written = write(&schema, message, &bytes, &mut memory);
        assert_eq!(
            memory.held,
            written.map_or(0, |text| text.capacity()),
            "{limit}"
        );
    }
}

#[test]
fn parts_of_a_message_in_any_order_are_one_message() {
    let (schema, pool) = (schema(), pool());
    let of = pool
        .get_message_by_name("backprop.v1.TrainBatchRequest")
        .expect("it is served");
    let own = schema.message(of.full_name()).expect("the same schema");
    let mut random = Random(7);
    for _ in 0..200 {
        let parts = [message(&mut random, &of, 1), message(&mut random, &of, 1)];
        let wire = [parts[0].encode_to_vec(), parts[1].encode_to_vec()].concat();
        let whole = DynamicMessage::decode(of.clone(), &*wire).expect("a message");
        let text = write(&schema, own, &wire, &mut Unlimited).expect("a message");
        let shown = String::from_utf8_lossy(&text).into_owned();
        assert!(is_same(&from_text(&of, &text), &whole), "{shown}\n{whole}");
    }
}
