//! Protobuf in, protobuf out. `dispatch` finds the service of a call, a handler converts its request (`convert`), calls
//! the host, and converts the result. Large replies are encoded on the compute threads (`gradients_reply`,
//! `large_reply`). The messages are those of the client.

mod call;
mod codec;
pub mod convert;
mod dispatch;
mod gradients_reply;
pub mod handlers;
mod large_reply;
mod names;
pub mod roles;
#[allow(
    missing_docs,
    clippy::all,
    clippy::too_many_lines,
    clippy::wildcard_enum_match_arm,
    reason = "generated code"
)]
pub mod services;

pub use backpropd_client::pb;

pub use self::codec::CountingCodec;
pub use self::dispatch::Router;
pub use self::gradients_reply::GradientsReply;
