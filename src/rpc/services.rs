//! The server's side of each service, generated from `proto/backprop/v1`.

include!(concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/proto/generated/services.rs"
));
