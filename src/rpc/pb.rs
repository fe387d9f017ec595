//! The messages, services and clients generated from `proto/backprop/v1`.

include!(concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/proto/generated/messages.rs"
));
include!(concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/proto/generated/services.rs"
));

/// The compiled protos, for reflection.
pub const FILE_DESCRIPTOR_SET: &[u8] = include_bytes!(concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/proto/generated/descriptors.binpb"
));
