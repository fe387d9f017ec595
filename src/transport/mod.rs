//! Connections and bytes: which connections are open, how fast bytes come and go and what they hold, and a log line for
//! each call. It knows no service and no message.

pub mod bodies;
pub mod call_log;
pub mod connections;
mod first_bytes;
mod frame_pace;
mod methods;
pub mod peer;
mod seats;
mod serves;
mod source;
mod timeout;
