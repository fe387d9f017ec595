//! The edge.
#[allow(missing_docs, clippy::all, clippy::wildcard_enum_match_arm, clippy::too_many_lines)]
pub mod pb { tonic::include_proto!("backprop.v1"); }
