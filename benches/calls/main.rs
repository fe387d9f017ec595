//! The service half of `python3 benches/compare/compare.py`: a server that does nothing, a disk loop that serves nobody,
//! and the clients that load them, this server, and any other one of the same protocol.
//!
//! Takes one command as JSON, such as `{"ready": {"program": "target/release/backpropd", "arguments": [], "rounds": 5}}`,
//! and prints its result as JSON.
#![allow(
    clippy::unwrap_used,
    missing_docs,
    reason = "a benchmark that meets the unexpected is to fail"
)]

mod commits;
#[allow(dead_code)] // Shared with the server's tests, which need more of it.
#[path = "../../tests/server/fixture.rs"]
mod fixture;
mod noop;
mod puts;
mod requests;
mod sessions;
mod single;
mod start;
mod stream;
mod train;
#[allow(dead_code)] // Shared with the other benchmarks, which need more of it.
#[path = "../workload/mod.rs"]
mod workload;

use serde_json::Value;

/// The server's, so that neither side has the better one.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[derive(serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Command {
    /// Serves one reply for ever.
    Noop(noop::Noop),
    /// Writes requests to files, as h2load sends them, with the replies that a server gives.
    Requests(requests::Requests),
    /// Times single calls on idle servers, alternating.
    Latency(single::Latency),
    /// Times single calls by the size of their request.
    Payload(single::Payload),
    /// Counts acknowledged one-step TrainBatch calls.
    Train(train::Train),
    /// Counts files replaced and synced, by threads that do nothing else.
    Commits(commits::Commits),
    /// Times a run with every step's metrics read, and the same steps in this process.
    Stream(stream::Stream),
    /// Makes sessions of one model each, or calls those that are there.
    Sessions(sessions::Sessions),
    /// Times durable calls at a node that has its models in a bucket, and bare writes to the bucket, alternating.
    Puts(puts::Puts),
    /// Times a program from its start to SERVING.
    Ready(start::Ready),
}

fn main() {
    let argument = std::env::args().nth(1).unwrap_or_default();
    if !argument.starts_with('{') {
        println!("This is a part of `python3 benches/compare/compare.py`.");
        return;
    }
    let command = serde_json::from_str(&argument).unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    println!("{}", runtime.block_on(run(command)));
}

async fn run(command: Command) -> Value {
    match command {
        Command::Noop(noop) => noop.serve().await,
        Command::Requests(requests) => requests.write().await,
        Command::Latency(latency) => latency.measure().await,
        Command::Payload(payload) => payload.measure().await,
        Command::Train(train) => train.measure().await,
        Command::Commits(commits) => commits.measure(),
        Command::Stream(stream) => stream.measure().await,
        Command::Sessions(sessions) => sessions.measure().await,
        Command::Puts(puts) => puts.measure().await,
        Command::Ready(ready) => ready.measure().await,
    }
}

/// The middle one.
fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
