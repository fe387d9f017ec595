//! Connections and bytes: accepts and limits connections, paces and counts the bytes they carry, and logs each call. It
//! depends on no service and no message.

pub mod audit;
pub mod bodies;
pub mod call_log;
pub mod call_metrics;
pub mod connections;
mod first_bytes;
mod frame_pace;
pub mod login;
pub mod methods;
pub mod peer;
pub mod seats;
mod serves;
mod source;
pub mod timeout;
pub mod tls;
mod trace;
pub mod traces;
