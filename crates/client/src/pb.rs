//! The messages and stubs generated from `proto/backprop/v1`.

include!(concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../../proto/generated/messages.rs"
));

/// The compiled protos: a `google.protobuf.FileDescriptorSet`.
pub const FILE_DESCRIPTOR_SET: &[u8] = include_bytes!(concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../../proto/generated/descriptors.binpb"
));
