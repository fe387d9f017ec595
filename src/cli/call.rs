//! `backpropd call`: any method of a server, in JSON.

mod describe;
mod session;

use std::io::{self, BufRead as _, Read as _, Write as _};
use std::path::Path;
use std::process::ExitCode;
use std::sync::LazyLock;

use backpropd_client::{Client, pb};
use backpropd_json::{Method, ReadError, Schema, Unlimited, WriteError, near, read, write};
use bytes::Bytes;
use clap::{Arg, ArgAction, ArgMatches, Command};
use tokio::sync::{mpsc, oneshot};
use tokio_stream::wrappers::ReceiverStream;
use tokio_stream::{Stream, StreamExt as _};

use super::connection::{connect, credentials, server};
use super::files::{self, DATA_BYTES, Links};
use super::{Failure, grade, serve};
use crate::grade::formats::commands;

pub(super) const NAME: &str = "call";

/// The services whose methods can be called.
static SCHEMA: LazyLock<Schema> = LazyLock::new(|| {
    let sets = [
        pb::FILE_DESCRIPTOR_SET,
        tonic_health::pb::FILE_DESCRIPTOR_SET,
    ];
    Schema::new(&sets).expect("the descriptors are compiled in")
});

pub(super) fn command() -> Command {
    Command::new(NAME)
        .about("Call any method of a server, in JSON")
        .after_help(
            "The reply is one JSON object on a line; that of a stream is one for each message.\n\n\
             Examples:\n  backpropd call GetServerInfo\n  \
             backpropd call TrainBatch '{\"model\": \"sessions/lab/models/hw\", \"steps\": 3, \"dataset\": …}'\n  \
             backpropd call Gradients @request.json\n  \
             backpropd call --stream ImportModel <pieces.ndjson\n  \
             backpropd call --describe Gradients",
        )
        .arg(
            Arg::new("method")
                .value_name("METHOD")
                .required_unless_present("list")
                .help("Gradients, TrainingService/Gradients, or the name with its package"),
        )
        .arg(
            Arg::new("request")
                .value_name("JSON")
                .help("The request; @FILE reads it from a file, - from standard input [default: {}]"),
        )
        .arg(
            Arg::new("stream")
                .long("stream")
                .action(ArgAction::SetTrue)
                .conflicts_with("request")
                .help("Send a request for each line of standard input"),
        )
        .arg(
            Arg::new("list")
                .long("list")
                .action(ArgAction::SetTrue)
                .conflicts_with_all(["method", "request", "stream"])
                .help("List the methods"),
        )
        .arg(
            Arg::new("describe")
                .long("describe")
                .action(ArgAction::SetTrue)
                .conflicts_with_all(["list", "request", "stream"])
                .help("Describe the method, its request and its reply"),
        )
        .arg(server())
        .args(credentials())
}

pub(super) fn run(matches: &ArgMatches) -> Result<ExitCode, Failure> {
    if matches.get_flag("list") {
        grade::publish(&describe::list(&SCHEMA), None)?;
        return Ok(ExitCode::SUCCESS);
    }
    let method = find(grade::required::<String>(matches, "method")?)?;
    if matches.get_flag("describe") {
        grade::publish(&describe::method(method), None)?;
        return Ok(ExitCode::SUCCESS);
    }
    if method.client_streams && method.server_streams {
        return Err(Failure::usage(format!(
            "{} streams both ways, which `backpropd call` does not",
            method.name
        )));
    }
    let streams = matches.get_flag("stream");
    if streams && !method.client_streams {
        return Err(Failure::usage(format!(
            "--stream: {} takes one request: give it as an argument, or as - from standard input",
            method.name
        )));
    }
    let address = grade::required::<String>(matches, "server")?;
    let first = if streams {
        None
    } else {
        let text = request(matches.get_one::<String>("request").map(String::as_str))?;
        Some(message(method, &text).map_err(Failure::usage)?)
    };
    serve::runtime()?.block_on(async {
        let client = connect(address, matches).await?;
        match first {
            Some(first) => replies(&client, method, tokio_stream::once(first)).await?,
            None => {
                let (messages, failed) = lines(method);
                tokio::select! {
                    done = replies(&client, method, ReceiverStream::new(messages)) => done?,
                    Ok(failure) = failed => return Err(failure),
                }
            }
        }
        Ok(ExitCode::SUCCESS)
    })
}

/// The method of this name.
fn find(name: &str) -> Result<&'static Method, Failure> {
    let schema: &'static Schema = &SCHEMA;
    let asked = name.trim_start_matches('/').replace('/', ".");
    let is_it = |method: &&Method| {
        let full = format!("{}.{}", method.service, method.name);
        full == asked || full.ends_with(&format!(".{asked}"))
    };
    let found: Vec<&Method> = schema.methods().iter().filter(is_it).collect();
    match found[..] {
        [method] => Ok(method),
        [] => {
            let last = asked.rsplit('.').next().unwrap_or(&asked);
            let near = near(last, schema.methods().iter().map(|method| &*method.name));
            let hint = match near[..] {
                [] => String::new(),
                _ => format!("did you mean {}? ", near.join(" or ")),
            };
            Err(Failure::usage(format!(
                "there is no method {name}: {hint}`backpropd call --list` lists them"
            )))
        }
        _ => {
            let paths: Vec<&str> = found.iter().map(|method| &method.path[1..]).collect();
            Err(Failure::usage(format!(
                "{name} is ambiguous: name one of {}",
                paths.join(", ")
            )))
        }
    }
}

/// The text of the request that the argument names.
fn request(argument: Option<&str>) -> Result<Vec<u8>, Failure> {
    match argument {
        None => Ok(b"{}".to_vec()),
        Some("-") => {
            let mut text = Vec::new();
            let stdin = io::stdin().lock().take(DATA_BYTES + 1);
            let mut stdin = stdin;
            stdin
                .read_to_end(&mut text)
                .map_err(|error| Failure::failed(format!("cannot read standard input: {error}")))?;
            if text.len() as u64 > DATA_BYTES {
                return Err(Failure::usage(format!(
                    "standard input has more than {DATA_BYTES} bytes"
                )));
            }
            if text.iter().all(u8::is_ascii_whitespace) {
                return Err(Failure::usage(
                    "standard input is empty: a request without fields is {}, which is also sent if no request is given",
                ));
            }
            Ok(text)
        }
        Some(text) => match text.strip_prefix('@') {
            Some(path) => {
                files::read(Path::new(path), DATA_BYTES, Links::Followed).map_err(Failure::usage)
            }
            None => Ok(text.as_bytes().to_vec()),
        },
    }
}

/// A request as it is sent.
struct Message {
    bytes: Bytes,
    /// The id of the session that it is about.
    session: Option<String>,
}

/// The bytes of a request, or what is wrong with its text.
fn message(method: &Method, text: &[u8]) -> Result<Message, String> {
    let schema: &Schema = &SCHEMA;
    match read(schema, schema.request_of(method), text, &mut Unlimited) {
        Ok(bytes) => Ok(Message {
            bytes: Bytes::from(bytes),
            session: session::of(text),
        }),
        Err(ReadError::Syntax(what)) => Err(format!("the request is not JSON: {what}")),
        Err(ReadError::Invalid(violations)) => {
            let mut text = format!("this is no {}:", schema.request_of(method).name);
            for violation in violations.iter() {
                text += &format!("\n  {}: {}", violation.field, violation.description);
            }
            let rest = violations.len() - violations.iter().count();
            if rest > 0 {
                text += &format!("\n  and {rest} more");
            }
            Err(text)
        }
        Err(ReadError::Memory(never)) => match never {},
    }
}

/// A message for each line of standard input, and what is wrong with one of them. A stream that fails does not end, so
/// that the server does not take it for a whole one.
fn lines(method: &'static Method) -> (mpsc::Receiver<Message>, oneshot::Receiver<Failure>) {
    /// Messages that wait to be sent.
    const WAITING: usize = 4;
    let (messages, received) = mpsc::channel(WAITING);
    let (fail, failed) = oneshot::channel();
    // A thread of its own, because a read of standard input cannot be cancelled.
    std::thread::spawn(move || {
        let mut input = io::stdin().lock();
        let mut line = Vec::new();
        for number in 1.. {
            line.clear();
            let read = input.by_ref().take(DATA_BYTES).read_until(b'\n', &mut line);
            let problem = match read {
                Ok(0) => return,
                Ok(_) if line.iter().all(u8::is_ascii_whitespace) => continue,
                Ok(_) => match message(method, &line) {
                    Ok(message) => match messages.blocking_send(message) {
                        Ok(()) => continue,
                        // The call has ended.
                        Err(_) => return,
                    },
                    Err(problem) => Failure::usage(format!("line {number}: {problem}")),
                },
                Err(error) => Failure::failed(format!("cannot read standard input: {error}")),
            };
            if fail.send(problem).is_ok() {
                // Until the process ends, which does not take long.
                std::thread::park();
            }
            return;
        }
    });
    (received, failed)
}

/// JSON in which a text can give the terminal no command: in JSON, such a character may be escaped wherever it stands.
fn printable_json(text: &[u8]) -> Vec<u8> {
    let mut printable = String::with_capacity(text.len());
    for c in String::from_utf8_lossy(text).chars() {
        if commands(c) {
            // All of them are below U+FFFF.
            printable.push_str(&format!("\\u{:04x}", u32::from(c)));
        } else {
            printable.push(c);
        }
    }
    printable.into_bytes()
}

/// Calls the method and prints each reply on a line.
async fn replies(
    client: &Client,
    method: &Method,
    messages: impl Stream<Item = Message> + Send + Unpin + 'static,
) -> Result<(), Failure> {
    let schema: &Schema = &SCHEMA;
    let mut messages = messages;
    let first = messages.next().await;
    let session = first.as_ref().and_then(|first| first.session.clone());
    let messages = tokio_stream::iter(first).chain(messages);
    let encoded = messages.map(|message| message.bytes);
    let sent = client.call_encoded(&method.path, session.as_deref(), encoded);
    let mut replies = sent.await?;
    while let Some(reply) = replies.next().await {
        let reply = reply?;
        let written = write(schema, schema.reply_of(method), &reply, &mut Unlimited);
        let mut line = match written {
            Ok(line) => line,
            Err(WriteError::Malformed) => {
                let name = &schema.reply_of(method).name;
                let problem = format!(
                    "the reply is no {name}: the server may be of another version than this program"
                );
                return Err(Failure::failed(problem));
            }
            Err(WriteError::Memory(never)) => match never {},
        };
        line = printable_json(&line);
        line.push(b'\n');
        let mut out = io::stdout().lock();
        let printed = out.write_all(&line).and_then(|()| out.flush());
        printed.map_err(|error| Failure::failed(format!("cannot write the reply: {error}")))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_of_a_reply_cannot_command_the_terminal() {
        let text = "{\"a\":\"δ\u{9b}31m\u{202e}\u{7f}\"}";
        let printable = printable_json(text.as_bytes());
        let printable = String::from_utf8(printable).expect("text");
        assert_eq!(printable, r#"{"a":"δ\u009b31m\u202e\u007f"}"#);
        let value = |text| serde_json::from_str::<serde_json::Value>(text).expect("JSON");
        assert_eq!(value(&printable), value(text));
    }
}
