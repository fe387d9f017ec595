//! A client of backpropd.
//!
//! - [`Client`]: one method for each call. It sends a call again when the connection breaks or the server asks for
//!   patience, if repeating the call cannot change its effect.
//! - [`Credentials`]: authorities to trust, a token, a certificate.
//! - [`Run`]: a run of training, across broken connections.
//! - [`Watch`]: the runs of another client's model, across broken connections.
//! - [`pb`]: the messages and the generated stubs. The crate adds conversions from and to slices to
//!   [`pb::Tensor`] and [`pb::LayerParameters`].
//! - [`Retry`], [`is_retryable`]: how often, how soon and what is sent again.
//! - [`routed`]: a request of a generated stub with the header of its session, by which a proxy finds a node.
//! - [`explain`]: an error as text, with every detail.
//!
//! `examples/train.rs` trains a network on a running server.
//!
//! The crate knows the wire and nothing of the server. The server takes its messages from here, so they are compiled
//! once; the generated server traits stay with the server, because their codec counts against the server's memory and
//! one of their replies is encoded without a message.

mod client;
mod connect;
mod explain;
mod id;
#[allow(
    missing_docs,
    clippy::all,
    clippy::too_many_lines,
    clippy::wildcard_enum_match_arm,
    reason = "generated code"
)]
pub mod pb;
mod raw;
mod retry;
mod run;
mod session;
mod tensor;
mod watch;

pub use self::client::Client;
pub use self::connect::{ConnectError, Connection, Credentials, InvalidAddress, endpoint};
pub use self::explain::{causes, explain};
pub use self::id::random_id;
pub use self::raw::RawCodec;
pub use self::retry::{Retry, is_retryable};
pub use self::run::Run;
pub use self::session::{InSession, SESSION_HEADER, routed, session_in};
pub use self::tensor::TensorError;
pub use self::watch::Watch;
