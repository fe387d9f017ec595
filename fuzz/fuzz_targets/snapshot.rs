//! Any bytes as a snapshot, under a checksum that fits: refused, or a model that is written down again as it was read.
//! The bytes are read as ImportModel reads them, in pieces, and as a start reads a file of its own.
#![no_main]

use backpropd::nn::ArchitectureLimits;
use backpropd::training::snapshot::{Head, DecodedModel, Rules, SnapshotError, decode, encode};
use libfuzzer_sys::fuzz_target;

const LIMITS: ArchitectureLimits = ArchitectureLimits {
    layers: 64,
    units: 65_536,
    parameters: 1 << 20,
};
const REMEMBERED: usize = 64;
/// What a model may take for each byte of its file: padding, escapes and the three parts of its state.
const HELD: usize = 4;

fuzz_target!(|bytes: &[u8]| {
    let mut bytes = bytes.to_vec();
    let Some(covered) = bytes.len().checked_sub(blake3::OUT_LEN) else {
        return;
    };
    let checksum = blake3::hash(&bytes[..covered]);
    bytes[covered..].copy_from_slice(checksum.as_bytes());
    let own = Rules::own(REMEMBERED);
    let sent = Rules::sent(LIMITS, REMEMBERED);
    let received = receive(&bytes, &sent);
    let read = decode(&bytes, &own);
    if let Ok(model) = &received {
        write_again(model, &sent);
    }
    match read {
        Ok((model, _)) => write_again(&model, &own),
        Err(_) => assert!(received.is_err(), "what is received can be read"),
    }
});

/// As ImportModel does.
fn receive(bytes: &[u8], rules: &Rules) -> Result<DecodedModel, SnapshotError> {
    let Some((head, end)) = Head::read(bytes, rules)? else {
        return Err(SnapshotError::Damaged);
    };
    // Room is made for what the head says, which the limits bound.
    if head.file_bytes() != bytes.len() {
        return Err(SnapshotError::Damaged);
    }
    assert!(head.held_bytes() <= HELD * bytes.len() + (1 << 16));
    let mut hasher = blake3::Hasher::new();
    hasher.update(&bytes[..end]);
    let mut body = head.into_body(Some(hasher));
    for piece in bytes[end..].chunks(13) {
        body.push(piece)?;
    }
    Ok(body.finish()?.0)
}

fn write_again(model: &DecodedModel, rules: &Rules) {
    let about = backpropd::training::snapshot::About {
        name: "sessions/s/models/m".to_owned(),
        created: std::time::SystemTime::UNIX_EPOCH,
        updated: std::time::SystemTime::UNIX_EPOCH,
        access: backpropd::training::Access::Full,
        made_by: None,
        compare: None,
    };
    let again = match model {
        DecodedModel::F32(model) => encode(model.spec(), &model.revision(), &about),
        DecodedModel::F64(model) => encode(model.spec(), &model.revision(), &about),
    };
    let again = again.expect("what was read can be written");
    decode(&again, rules).expect("what was written can be read");
}
