//! Any bytes as a snapshot, under a checksum that fits: refused, or a model that is written down again as it was read.
#![no_main]

use backpropd::nn::ArchitectureLimits;
use backpropd::training::snapshot::{Restored, decode, encode};
use libfuzzer_sys::fuzz_target;

const LIMITS: ArchitectureLimits = ArchitectureLimits {
    layers: 64,
    units: 65_536,
    parameters: 1 << 20,
};

fuzz_target!(|bytes: &[u8]| {
    let mut bytes = bytes.to_vec();
    let Some(covered) = bytes.len().checked_sub(blake3::OUT_LEN) else {
        return;
    };
    let checksum = blake3::hash(&bytes[..covered]);
    bytes[covered..].copy_from_slice(checksum.as_bytes());
    let Ok((restored, about)) = decode(&bytes, &LIMITS, 64) else {
        return;
    };
    let again = match &restored {
        Restored::F32(model) => encode(model.spec(), &model.kept(), &about),
        Restored::F64(model) => encode(model.spec(), &model.kept(), &about),
    };
    let again = again.expect("what was read can be written");
    decode(&again, &LIMITS, 64).expect("what was written can be read");
});
