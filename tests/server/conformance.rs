//! RFC 9113 and RFC 7541 by hand: what a peer says that it must not, and what the server has to make of it. Whatever a
//! peer says, another connection is served.

use std::fmt::Write as _;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;

use crate::fixture::{PATIENCE, Server};
use crate::http2::{
    CONTINUATION, DATA, END_HEADERS, END_STREAM, HEADERS, PING, RST_STREAM, SETTINGS, frame,
    message_header,
};

const PRIORITY: u8 = 2;
const PUSH_PROMISE: u8 = 5;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;
const UNKNOWN: u8 = 0xbb;

const ACK: u8 = 1;
const PADDED: u8 = 8;
const PRIORITY_FLAG: u8 = 0x20;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const CHECK: &str = "/grpc.health.v1.Health/Check";
const MARK: &[u8; 8] = b"still on";

const PROTOCOL_ERROR: u32 = 1;
const FLOW_CONTROL_ERROR: u32 = 3;
const STREAM_CLOSED: u32 = 5;
const FRAME_SIZE_ERROR: u32 = 6;
const COMPRESSION_ERROR: u32 = 9;
const ENHANCE_YOUR_CALM: u32 = 11;

/// What the server makes of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    /// GOAWAY with this code, or the end of the connection without one (0), which RFC 9113 allows.
    Connection(u32),
    /// RST_STREAM with this code, on the stream that the case is about.
    Stream(u32),
    /// The call is answered by a status alone.
    Refused,
    /// The call is answered by a message.
    Served,
    /// The connection goes on, and the stream is none or says nothing.
    Alive,
}

use Outcome::{Alive, Connection, Refused, Served, Stream};

struct Case {
    name: &'static str,
    /// Said before the mark, preface and settings included.
    bytes: Vec<u8>,
    /// Any of these is right.
    right: Vec<Outcome>,
}

/// A case after an ordinary beginning of the connection.
fn case(name: &'static str, frames: Vec<Vec<u8>>, right: &[Outcome]) -> Case {
    let mut bytes = PREFACE.to_vec();
    bytes.extend(frame(SETTINGS, 0, 0, &[]));
    bytes.extend(frames.concat());
    Case {
        name,
        bytes,
        right: right.to_vec(),
    }
}

/// A case from the first byte on.
fn raw(name: &'static str, bytes: &[&[u8]], right: &[Outcome]) -> Case {
    Case {
        name,
        bytes: bytes.concat(),
        right: right.to_vec(),
    }
}

/// A connection error with one of these codes.
fn fatal(codes: &[u32]) -> Vec<Outcome> {
    codes.iter().map(|code| Connection(*code)).collect()
}

/// An error of the stream, told as RST_STREAM or as a refusal; or of the connection, as any stream error may be.
fn malformed() -> Vec<Outcome> {
    vec![Stream(PROTOCOL_ERROR), Refused, Connection(PROTOCOL_ERROR)]
}

/// A frame on a stream that is over.
fn over() -> Vec<Outcome> {
    vec![
        Stream(STREAM_CLOSED),
        Stream(PROTOCOL_ERROR),
        Connection(STREAM_CLOSED),
        Connection(PROTOCOL_ERROR),
    ]
}

fn text(text: &str) -> Vec<u8> {
    let length = text.len();
    let mut bytes = match u8::try_from(length) {
        Ok(short) if short < 127 => vec![short],
        _ => {
            let mut rest = length - 127;
            let mut bytes = vec![127];
            while rest >= 128 {
                bytes.push(u8::try_from(rest % 128).expect("seven bits") | 0x80);
                rest /= 128;
            }
            bytes.push(u8::try_from(rest).expect("seven bits"));
            bytes
        }
    };
    bytes.extend(text.as_bytes());
    bytes
}

/// A literal field, not indexed.
fn field(name: &str, value: &str) -> Vec<u8> {
    [vec![0], text(name), text(value)].concat()
}

const PSEUDO: [(&str, &str); 4] = [
    (":method", "POST"),
    (":scheme", "http"),
    (":path", CHECK),
    (":authority", "localhost"),
];
const REGULAR: [(&str, &str); 2] = [("content-type", "application/grpc"), ("te", "trailers")];

fn block(fields: &[(&str, &str)]) -> Vec<u8> {
    fields
        .iter()
        .flat_map(|(name, value)| field(name, value))
        .collect()
}

/// The header list of a health check.
fn check() -> Vec<u8> {
    block(&[&PSEUDO[..], &REGULAR].concat())
}

/// The same with more fields.
fn check_and(more: &[(&str, &str)]) -> Vec<u8> {
    [check(), block(more)].concat()
}

/// The same with this pseudo-header as `value`, or without it.
fn check_with(name: &str, value: Option<&str>) -> Vec<u8> {
    let pseudo = PSEUDO.iter().filter_map(|(other, given)| {
        if *other == name {
            value.map(|value| (*other, value))
        } else {
            Some((*other, *given))
        }
    });
    let pseudo: Vec<_> = pseudo.collect();
    block(&[&pseudo[..], &REGULAR].concat())
}

/// HEADERS that leave the stream open.
fn open(stream: u32, block: &[u8]) -> Vec<u8> {
    frame(HEADERS, END_HEADERS, stream, block)
}

/// The whole message of a health check.
fn message(stream: u32) -> Vec<u8> {
    frame(DATA, END_STREAM, stream, &message_header(0))
}

/// A whole call on stream 1 with this header block.
fn call(block: &[u8]) -> Vec<Vec<u8>> {
    vec![open(1, block), message(1)]
}

fn setting(name: u16, value: u32) -> Vec<u8> {
    let mut payload = name.to_be_bytes().to_vec();
    payload.extend(value.to_be_bytes());
    frame(SETTINGS, 0, 0, &payload)
}

fn window(stream: u32, by: u32) -> Vec<u8> {
    frame(WINDOW_UPDATE, 0, stream, &by.to_be_bytes())
}

fn beginnings() -> Vec<Case> {
    let settings = frame(SETTINGS, 0, 0, &[]);
    let acknowledgement = frame(SETTINGS, ACK, 0, &[]);
    let ends = fatal(&[0, PROTOCOL_ERROR]);
    vec![
        raw(
            "another preface",
            &[b"PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n", &settings],
            &ends,
        ),
        raw(
            "HTTP/1.1",
            &[b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", &settings],
            &ends,
        ),
        raw("PING first", &[PREFACE, &frame(PING, 0, 0, MARK)], &ends),
        raw(
            "HEADERS first",
            &[PREFACE, &open(1, &check()), &message(1)],
            &ends,
        ),
        raw("WINDOW_UPDATE first", &[PREFACE, &window(0, 1)], &ends),
        raw(
            "an unknown frame first",
            &[PREFACE, &frame(UNKNOWN, 0, 0, b"x")],
            &ends,
        ),
        raw(
            "an acknowledgement first",
            &[PREFACE, &acknowledgement, &settings],
            &ends,
        ),
        case("a health check", call(&check()), &[Served]),
        case("nothing", vec![], &[Alive]),
    ]
}

fn sizes() -> Vec<Case> {
    // h2 says PROTOCOL_ERROR of many a frame that it cannot read: less than RFC 9113 asks for, and as final.
    let wrong = fatal(&[FRAME_SIZE_ERROR, PROTOCOL_ERROR]);
    let mut huge = 0x0010_0001_u32.to_be_bytes()[1..].to_vec();
    huge.extend([DATA, 0, 0, 0, 0, 1]);
    vec![
        case("a frame of 1 MiB", vec![open(1, &check()), huge], &wrong),
        case("PING of 7 bytes", vec![frame(PING, 0, 0, &[0; 7])], &wrong),
        case("PING of 9 bytes", vec![frame(PING, 0, 0, &[0; 9])], &wrong),
        case(
            "SETTINGS of 5 bytes",
            vec![frame(SETTINGS, 0, 0, &[0; 5])],
            &wrong,
        ),
        case(
            "SETTINGS, acknowledged with a payload",
            vec![frame(SETTINGS, ACK, 0, &[0; 6])],
            &wrong,
        ),
        case(
            "RST_STREAM of 3 bytes",
            vec![open(1, &check()), frame(RST_STREAM, 0, 1, &[0; 3])],
            &wrong,
        ),
        case(
            "WINDOW_UPDATE of 3 bytes",
            vec![frame(WINDOW_UPDATE, 0, 0, &[0; 3])],
            &wrong,
        ),
        case(
            "WINDOW_UPDATE of 5 bytes",
            vec![frame(WINDOW_UPDATE, 0, 0, &[0; 5])],
            &wrong,
        ),
        case(
            "GOAWAY of 7 bytes",
            vec![frame(GOAWAY, 0, 0, &[0; 7])],
            &wrong,
        ),
        case(
            "PRIORITY of 4 bytes",
            vec![frame(PRIORITY, 0, 1, &[0; 4])],
            &[
                Stream(FRAME_SIZE_ERROR),
                Connection(FRAME_SIZE_ERROR),
                Connection(PROTOCOL_ERROR),
            ],
        ),
        case(
            "HEADERS with a priority that does not fit",
            vec![frame(HEADERS, END_HEADERS | PRIORITY_FLAG, 1, &[0; 4])],
            &wrong,
        ),
        case(
            "HEADERS of nothing but padding, and more than there is",
            vec![frame(HEADERS, END_HEADERS | PADDED, 1, &[200, 0x83])],
            &wrong,
        ),
        case(
            "DATA with more padding than there is",
            vec![open(1, &check()), frame(DATA, PADDED, 1, &[5, 0])],
            &wrong,
        ),
        case(
            "DATA with padding",
            vec![
                open(1, &check()),
                frame(DATA, PADDED | END_STREAM, 1, &[3, 0, 0, 0, 0, 0, 0, 0, 0]),
            ],
            &[Served],
        ),
    ]
}

fn streams() -> Vec<Case> {
    let wrong = fatal(&[PROTOCOL_ERROR]);
    let closed_or_wrong = fatal(&[PROTOCOL_ERROR, STREAM_CLOSED]);
    let cancel = frame(RST_STREAM, 0, 1, &8_u32.to_be_bytes());
    vec![
        case("DATA on stream 0", vec![frame(DATA, 0, 0, b"x")], &wrong),
        case("HEADERS on stream 0", vec![open(0, &check())], &wrong),
        case(
            "PRIORITY on stream 0",
            vec![frame(PRIORITY, 0, 0, &[0; 5])],
            &wrong,
        ),
        case(
            "RST_STREAM on stream 0",
            vec![frame(RST_STREAM, 0, 0, &[0; 4])],
            &wrong,
        ),
        case(
            "CONTINUATION on stream 0",
            vec![frame(CONTINUATION, END_HEADERS, 0, &[])],
            &wrong,
        ),
        case(
            "SETTINGS on stream 1",
            vec![frame(SETTINGS, 0, 1, &[])],
            &wrong,
        ),
        case("PING on stream 1", vec![frame(PING, 0, 1, MARK)], &wrong),
        case(
            "GOAWAY on stream 1",
            vec![frame(GOAWAY, 0, 1, &[0; 8])],
            &wrong,
        ),
        case("an even stream", vec![open(2, &check())], &wrong),
        case(
            "an older stream",
            vec![open(5, &check()), open(3, &check())],
            &closed_or_wrong,
        ),
        case(
            "PUSH_PROMISE",
            vec![frame(PUSH_PROMISE, END_HEADERS, 1, &[0, 0, 0, 2])],
            &wrong,
        ),
        case(
            "DATA on an idle stream",
            vec![frame(DATA, 0, 1, b"x")],
            &wrong,
        ),
        case("RST_STREAM on an idle stream", vec![cancel], &wrong),
        case(
            "WINDOW_UPDATE on an idle stream",
            vec![window(1, 1)],
            &wrong,
        ),
        case(
            "CONTINUATION on an idle stream",
            vec![frame(CONTINUATION, END_HEADERS, 1, &[])],
            &wrong,
        ),
        case(
            "PRIORITY on an idle stream",
            vec![frame(PRIORITY, 0, 1, &[0, 0, 0, 0, 1])],
            &[Alive],
        ),
        case(
            "a second HEADERS that does not end the stream",
            vec![open(1, &check()), open(1, &block(&[("x", "y")]))],
            &malformed(),
        ),
        case(
            "RST_STREAM with an unknown code",
            vec![
                open(1, &check()),
                frame(RST_STREAM, 0, 1, &0xffff_u32.to_be_bytes()),
            ],
            &[Alive],
        ),
        case(
            "an unknown frame",
            vec![frame(UNKNOWN, 0xff, 7, b"anything")],
            &[Alive],
        ),
        case(
            "a reserved bit",
            vec![frame(PING, 0, 1 << 31, b"reserved")],
            &[Alive],
        ),
        case(
            "an acknowledgement of no PING",
            vec![frame(PING, ACK, 0, b"no ping.")],
            &[Alive],
        ),
        case(
            "PRIORITY on itself",
            vec![open(1, &check()), frame(PRIORITY, 0, 1, &[0, 0, 0, 1, 1])],
            &[Stream(PROTOCOL_ERROR), Connection(PROTOCOL_ERROR), Alive],
        ),
    ]
}

/// Frames on a stream that is over.
fn closed_streams() -> Vec<Case> {
    let cancel = frame(RST_STREAM, 0, 1, &8_u32.to_be_bytes());
    let ended = frame(HEADERS, END_HEADERS | END_STREAM, 1, &check());
    let endless = frame(
        HEADERS,
        END_HEADERS | END_STREAM,
        1,
        &block(&[(":path", CHECK)]),
    );
    vec![
        case(
            "DATA after the end",
            vec![ended.clone(), frame(DATA, 0, 1, b"x")],
            &over(),
        ),
        case(
            "HEADERS after the end",
            vec![ended, endless.clone()],
            &over(),
        ),
        case(
            "DATA after a reset",
            vec![open(1, &check()), cancel.clone(), frame(DATA, 0, 1, b"x")],
            &over(),
        ),
        case(
            "HEADERS after a reset",
            vec![open(1, &check()), cancel.clone(), endless],
            &over(),
        ),
        case(
            "WINDOW_UPDATE and PRIORITY after a reset",
            vec![
                open(1, &check()),
                cancel.clone(),
                window(1, 1),
                frame(PRIORITY, 0, 1, &[0, 0, 0, 0, 1]),
                cancel,
            ],
            &[Alive],
        ),
    ]
}

fn continuations() -> Vec<Case> {
    let wrong = fatal(&[PROTOCOL_ERROR]);
    let (first, second) = (check()[..20].to_vec(), check()[20..].to_vec());
    let begun = frame(HEADERS, 0, 1, &first);
    let rest = frame(CONTINUATION, END_HEADERS, 1, &second);
    let bytes: Vec<_> = check();
    let mut bytewise = vec![frame(HEADERS, 0, 1, &bytes[..1])];
    bytewise.extend(
        bytes[1..]
            .chunks(40)
            .map(|some| frame(CONTINUATION, 0, 1, some)),
    );
    bytewise.push(frame(CONTINUATION, END_HEADERS, 1, &[]));
    bytewise.push(message(1));
    let mut flood = vec![begun.clone()];
    flood.extend((0..10_000).map(|_| frame(CONTINUATION, 0, 1, &[])));
    vec![
        case(
            "a block in two frames",
            vec![begun.clone(), rest.clone(), message(1)],
            &[Served],
        ),
        case(
            "a block in many frames",
            bytewise,
            &[Served, Connection(ENHANCE_YOUR_CALM)],
        ),
        case(
            "PING inside a block",
            vec![begun.clone(), frame(PING, 0, 0, MARK)],
            &wrong,
        ),
        case(
            "an unknown frame inside a block",
            vec![begun.clone(), frame(UNKNOWN, 0, 1, b"x")],
            &wrong,
        ),
        case(
            "HEADERS inside a block",
            vec![begun.clone(), open(3, &check())],
            &wrong,
        ),
        case(
            "CONTINUATION of another stream",
            vec![begun, frame(CONTINUATION, 0, 3, &second)],
            &wrong,
        ),
        case(
            "CONTINUATION after a whole block",
            vec![open(1, &check()), rest],
            &wrong,
        ),
        case(
            "CONTINUATION without end",
            flood,
            &fatal(&[0, PROTOCOL_ERROR, ENHANCE_YOUR_CALM]),
        ),
    ]
}

fn windows_and_settings() -> Vec<Case> {
    let wrong = fatal(&[PROTOCOL_ERROR]);
    let overflow = fatal(&[FLOW_CONTROL_ERROR, PROTOCOL_ERROR]);
    let most = 0x7fff_ffff;
    vec![
        case("a window update of 0", vec![window(0, 0)], &wrong),
        case(
            "a stream's window update of 0",
            vec![open(1, &check()), window(1, 0)],
            &malformed(),
        ),
        case(
            "a window above 2^31 − 1",
            vec![window(0, most), window(0, most)],
            &overflow,
        ),
        case(
            "a stream's window above 2^31 − 1",
            vec![open(1, &check()), window(1, most), window(1, most)],
            &[Stream(FLOW_CONTROL_ERROR), Connection(FLOW_CONTROL_ERROR)],
        ),
        case(
            "a setting that raises a stream's window above 2^31 − 1",
            vec![
                open(1, &check()),
                window(1, most - 65_535),
                setting(4, 65_536),
            ],
            &overflow,
        ),
        case(
            "INITIAL_WINDOW_SIZE 2^31",
            vec![setting(4, 1 << 31)],
            &overflow,
        ),
        case("MAX_FRAME_SIZE 16 383", vec![setting(5, 16_383)], &wrong),
        case("MAX_FRAME_SIZE 2^24", vec![setting(5, 1 << 24)], &wrong),
        case("ENABLE_PUSH 2", vec![setting(2, 2)], &wrong),
        case("an unknown setting", vec![setting(0xbeef, 1)], &[Alive]),
        case(
            "HEADER_TABLE_SIZE 0",
            [vec![setting(1, 0)], call(&check())].concat(),
            &[Served],
        ),
        case(
            "MAX_CONCURRENT_STREAMS 0",
            [vec![setting(3, 0)], call(&check())].concat(),
            &[Served],
        ),
        case(
            "acknowledgements of no SETTINGS",
            vec![frame(SETTINGS, ACK, 0, &[]).repeat(5)],
            &[Connection(PROTOCOL_ERROR), Alive],
        ),
    ]
}

fn compression() -> Vec<Case> {
    let wrong = fatal(&[COMPRESSION_ERROR, PROTOCOL_ERROR]);
    let block_of = |bytes: &[u8]| vec![open(1, bytes)];
    // A literal with incremental indexing, and its index in the dynamic table.
    let indexed = [vec![0x40], text("x-one"), text("1")].concat();
    let known = [check(), indexed].concat();
    let again = [check(), vec![0x80 | 62]].concat();
    let huffman = |bytes: &[u8]| {
        let length = u8::try_from(bytes.len()).expect("short") | 0x80;
        [check(), vec![0], text("x"), vec![length], bytes.to_vec()].concat()
    };
    vec![
        case("index 0", block_of(&[0x80]), &wrong),
        case(
            "an index outside of both tables",
            block_of(&[0x80 | 70]),
            &wrong,
        ),
        case(
            "a name outside of both tables",
            block_of(&[0x7f, 0x20, 1, b'x']),
            &wrong,
        ),
        case("an index without end", block_of(&[0xff; 12]), &wrong),
        case(
            "a string that is longer than the block",
            block_of(&[0, 1, b'x', 100, b'y']),
            &wrong,
        ),
        case(
            "a string of a length without end",
            block_of(&[0, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]),
            &wrong,
        ),
        // 'a' is 00011; ones fill the byte.
        case(
            "a Huffman string",
            call(&huffman(&[0b0001_1111])),
            &[Served],
        ),
        case(
            "Huffman padding of zeros",
            block_of(&huffman(&[0b0001_1000])),
            &wrong,
        ),
        case(
            "Huffman padding of a whole byte",
            block_of(&huffman(&[0b0001_1111, 0xff])),
            &wrong,
        ),
        case(
            "Huffman with an end of string",
            block_of(&huffman(&[0xff; 8])),
            &wrong,
        ),
        case(
            "a table of the size that is allowed",
            call(&[vec![0x3f, 0xe1, 0x1f], check()].concat()),
            &[Served],
        ),
        case(
            "a table larger than allowed",
            block_of(&[vec![0x3f, 0xe1, 0xff, 0x03], check()].concat()),
            &wrong,
        ),
        case(
            "a table's size after a field",
            block_of(&[check(), vec![0x20]].concat()),
            &wrong,
        ),
        case(
            "a field of the table",
            [call(&known), vec![open(3, &again), message(3)]].concat(),
            &[Served],
        ),
        case(
            "a field of a table that was emptied",
            [call(&known), vec![open(3, &[vec![0x20], again].concat())]].concat(),
            &wrong,
        ),
    ]
}

/// Requests that are malformed by their fields (RFC 9113, 8.1 to 8.3).
fn fields() -> Vec<Case> {
    let bad = |name: &'static str, block: Vec<u8>| case(name, call(&block), &malformed());
    let and = |name: &str, value: &str| check_and(&[(name, value)]);
    let with = check_with;
    vec![
        bad("an upper-case name", and("X-Upper", "1")),
        bad("a name with a space", and("x y", "1")),
        bad("a name with a colon", and("x:y", "1")),
        bad("a name with a control character", and("x\u{1}", "1")),
        bad("an empty name", and("", "1")),
        bad("a value with a line's end", and("x", "a\r\nb")),
        bad("a value with a NUL", and("x", "a\0b")),
        bad("connection", and("connection", "keep-alive")),
        bad("keep-alive", and("keep-alive", "1")),
        bad("proxy-connection", and("proxy-connection", "1")),
        bad("transfer-encoding", and("transfer-encoding", "chunked")),
        bad("upgrade", and("upgrade", "h2c")),
        bad("te of anything but trailers", and("te", "gzip")),
        bad("no :method", with(":method", None)),
        bad("no :scheme", with(":scheme", None)),
        bad("no :path", with(":path", None)),
        bad("an empty :path", with(":path", Some(""))),
        bad("a :path that is no path", with(":path", Some("no path"))),
        bad("an empty :method", with(":method", Some(""))),
        bad("a :method with a space", with(":method", Some("PO ST"))),
        bad("an :authority with spaces", with(":authority", Some("a b"))),
        bad(
            ":method twice",
            [field(":method", "POST"), check()].concat(),
        ),
        bad(
            ":scheme twice",
            [field(":scheme", "http"), check()].concat(),
        ),
        bad(":path twice", [field(":path", CHECK), check()].concat()),
        bad(
            "an unknown pseudo-header",
            [field(":unknown", "1"), check()].concat(),
        ),
        bad(
            ":status in a request",
            [field(":status", "200"), check()].concat(),
        ),
        bad(
            "a pseudo-header after a field",
            [block(&REGULAR), block(&PSEUDO)].concat(),
        ),
        bad(
            "a content-length that is no number",
            and("content-length", "five"),
        ),
        bad(
            "a content-length above what comes",
            and("content-length", "6"),
        ),
        bad(
            "a content-length below what comes",
            and("content-length", "4"),
        ),
        bad(
            "two content-lengths",
            check_and(&[("content-length", "5"), ("content-length", "6")]),
        ),
        case(
            "a content-length that is right",
            call(&and("content-length", "5")),
            &[Served],
        ),
        case(
            "header lists above the limit",
            call(&check_and(&[("x", "y".repeat(1000).as_str()); 30])),
            &[
                Stream(PROTOCOL_ERROR),
                Stream(7),
                Refused,
                Connection(ENHANCE_YOUR_CALM),
                Connection(COMPRESSION_ERROR),
            ],
        ),
    ]
}

/// A call whose request ends in trailers.
fn trailers() -> Vec<Case> {
    let with = |name: &'static str, block: &[u8]| {
        let data = frame(DATA, 0, 1, &message_header(0));
        let end = frame(HEADERS, END_HEADERS | END_STREAM, 1, block);
        case(name, vec![open(1, &check()), data, end], &malformed())
    };
    vec![
        with(
            "trailers, which gRPC has none of in requests",
            &block(&[("x", "y")]),
        ),
        with("a pseudo-header in trailers", &block(&[(":path", CHECK)])),
        with("a pseudo-header of the static table in trailers", &[0x83]),
        with(
            "an unknown pseudo-header in trailers",
            &block(&[(":unknown", "1")]),
        ),
        with(
            "a connection-specific field in trailers",
            &block(&[("connection", "close")]),
        ),
        with(
            "an upper-case name in trailers",
            &block(&[("X-Upper", "1")]),
        ),
        with("empty trailers", &[]),
    ]
}

/// What the server makes of a case. The mark is a PING behind it: whether it is answered says that the connection goes
/// on.
async fn outcome(server: &Server, case: &Case) -> Result<Outcome, String> {
    let mut stream = TcpStream::connect(server.address)
        .await
        .expect("it listens");
    let mut said = case.bytes.clone();
    said.extend(frame(PING, 0, 0, MARK));
    // A connection that ends before all is said ends as it should, or the outcome says otherwise.
    let _ = stream.write_all(&said).await;
    let about_calls = case
        .right
        .iter()
        .any(|right| *right != Alive && !matches!(right, Connection(_)));
    let mut headers = false;
    let mut alive = false;
    loop {
        let mut head = [0; 9];
        if stream.read_exact(&mut head).await.is_err() {
            return Ok(Connection(0));
        }
        let [a, b, c, kind, flags, id @ ..] = head;
        let mut payload = vec![0; u32::from_be_bytes([0, a, b, c]) as usize];
        if stream.read_exact(&mut payload).await.is_err() {
            return Ok(Connection(0));
        }
        let id = u32::from_be_bytes(id);
        let code = |at: usize| {
            let bytes = payload
                .get(at..at + 4)
                .and_then(|bytes| bytes.try_into().ok());
            u32::from_be_bytes(bytes.unwrap_or_default())
        };
        match kind {
            GOAWAY if code(4) != 0 => return Ok(Connection(code(4))),
            RST_STREAM if code(0) != 0 => return Ok(Stream(code(0))),
            HEADERS if flags & END_STREAM != 0 && !headers => return Ok(Refused),
            HEADERS => headers = true,
            DATA if id != 0 => return Ok(Served),
            PING if flags & ACK != 0 && payload == MARK => {
                alive = true;
                // The answer of a call may come behind the mark's.
                if !about_calls {
                    return Ok(Alive);
                }
            }
            _ => {}
        }
        if alive && case.right.contains(&Alive) {
            return Ok(Alive);
        }
    }
}

#[tokio::test]
async fn what_a_peer_must_not_say_ends_its_stream_or_its_connection_and_no_other() {
    let server = Server::start().await;
    let mut neighbour = HealthClient::new(server.channel().await);
    let cases = [
        beginnings(),
        sizes(),
        streams(),
        closed_streams(),
        continuations(),
        windows_and_settings(),
        compression(),
        fields(),
        trailers(),
    ];
    let mut faults = String::new();
    let mut count = 0;
    for case in cases.iter().flatten() {
        count += 1;
        let seen = tokio::time::timeout(PATIENCE / 6, outcome(&server, case)).await;
        let seen = seen.unwrap_or_else(|_| Err("nothing".to_owned()));
        if !seen.as_ref().is_ok_and(|seen| case.right.contains(seen)) {
            let _ = writeln!(
                faults,
                "{}: {seen:?}, right are {:?}",
                case.name, case.right
            );
        }
        let answer = neighbour.check(HealthCheckRequest::default()).await;
        assert!(
            answer.is_ok(),
            "{}: another connection is served",
            case.name
        );
    }
    assert!(count > 100, "{count} cases");
    assert!(faults.is_empty(), "of {count} cases\n{faults}");
}
