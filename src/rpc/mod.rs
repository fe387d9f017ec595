//! Protobuf in, protobuf out: a call finds its service (`router`), a handler converts its request (`convert`), asks the
//! host, and converts what it answers. Large replies are encoded where they are computed (`gradients_reply`,
//! `large_reply`).

mod call;
mod codec;
pub mod convert;
mod gradients_reply;
pub mod handlers;
mod large_reply;
#[allow(
    missing_docs,
    clippy::all,
    clippy::too_many_lines,
    clippy::wildcard_enum_match_arm,
    reason = "generated code"
)]
pub mod pb;
mod router;

pub use self::codec::CountingCodec;
pub use self::gradients_reply::GradientsReply;
pub use self::router::Router;
