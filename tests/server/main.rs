//! The server as its clients see it: every test starts one of its own and talks gRPC to it.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that meets the unexpected is to fail"
)]

mod apply_gradients;
mod audit;
mod budgets;
mod checks;
mod clocks;
mod commit_log;
mod compare_only;
mod conformance;
mod copies;
mod damage;
mod datasets;
mod departures;
mod determinism;
mod durability;
mod endings;
mod errors;
mod evaluate;
mod eviction;
#[allow(dead_code)] // Its `main` is the program's.
#[path = "../../crates/client/examples/train.rs"]
mod example;
mod explain;
mod fixture;
mod gateway;
mod grading;
mod grading_load;
mod held_out;
mod hostile;
mod http1;
mod http2;
mod identity;
mod limits;
mod logs;
mod neighbours;
mod ops;
mod races;
mod reads;
mod receipts;
mod repeats;
mod runs;
mod server_info;
mod session_records;
mod sessions;
mod shares;
mod shutdown;
mod tls;
mod training;
mod transfer;
mod updates;
mod upgrade;
mod watch;
