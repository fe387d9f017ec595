//! What a request names that is refused before it is read: for the audit, its beginning is looked at.

use std::time::Duration;

use bytes::{Buf as _, Bytes};
use http_body::Body as HttpBody;
use http_body_util::BodyExt as _;
use prost::encoding::{WireType, decode_key, decode_varint};
use tokio::time::timeout;

use crate::host::caller::Caller;
use crate::host::resource::Resource;

/// Bytes of a request that are looked at. Names come first, and the longest have some hundred bytes.
const MOST: usize = 1 << 10;

/// How long the answer waits for them.
const PATIENCE: Duration = Duration::from_secs(1);

/// The header of a gRPC message.
const PREFIX: usize = 5;

/// Messages in messages that are looked into: the header of a dataset, the rows of a run.
const DEPTH: usize = 2;

/// Notes the names at the beginning of a request.
pub async fn note_names<B>(caller: &Caller, body: B)
where
    B: HttpBody<Data = Bytes>,
{
    let mut body = Box::pin(body);
    let mut begin = Vec::new();
    let arrives = async {
        while begin.len() < MOST
            && let Some(Ok(frame)) = body.frame().await
        {
            if let Ok(data) = frame.into_data() {
                begin.extend_from_slice(&data[..data.len().min(MOST)]);
            }
        }
    };
    // Without them the line of the audit has no resource.
    let _ = timeout(PATIENCE, arrives).await;
    if let Some(message) = begin.get(PREFIX..) {
        for name in names(message, DEPTH) {
            caller.note(|| name);
        }
    }
}

/// The names in a message of which the end may be missing.
fn names(mut message: &[u8], depth: usize) -> Vec<Resource> {
    let mut found = Vec::new();
    while let Ok((_, wire)) = decode_key(&mut message) {
        let length = match wire {
            WireType::Varint => decode_varint(&mut message).map(|_| 0),
            WireType::SixtyFourBit => Ok(8),
            WireType::ThirtyTwoBit => Ok(4),
            WireType::LengthDelimited => decode_varint(&mut message),
            WireType::StartGroup | WireType::EndGroup => break,
        };
        let Ok(length) = length else { break };
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        let field = &message[..length.min(message.len())];
        if wire == WireType::LengthDelimited {
            let name = std::str::from_utf8(field).ok().and_then(Resource::parse);
            match name {
                Some(name) if field.len() == length => found.push(name),
                Some(_) | None if depth > 0 => found.extend(names(field, depth - 1)),
                Some(_) | None => {}
            }
        }
        message.advance(field.len());
    }
    found
}

#[cfg(test)]
mod tests {
    use prost::Message as _;

    use super::*;
    use crate::rpc::pb;

    #[test]
    fn the_names_of_a_message_are_found_at_its_beginning() {
        let rows = pb::DatasetRows {
            dataset: "sessions/b/datasets/d".to_owned(),
            ..Default::default()
        };
        let request = pb::TrainBatchRequest {
            model: "sessions/a/models/m".to_owned(),
            steps: 3,
            learning_rate: Some(0.5),
            dataset: Some(rows),
            ..Default::default()
        };
        let message = request.encode_to_vec();
        let found: Vec<String> = names(&message, DEPTH)
            .iter()
            .map(ToString::to_string)
            .collect();
        assert_eq!(found, ["sessions/a/models/m", "sessions/b/datasets/d"]);
        for end in 0..message.len() {
            let found = names(&message[..end], DEPTH);
            assert!(
                found.iter().all(|it| found_in(it, &request)),
                "{end}: {found:?}"
            );
        }
    }

    fn found_in(name: &Resource, request: &pb::TrainBatchRequest) -> bool {
        let rows = request.dataset.as_ref().map(|rows| rows.dataset.clone());
        [Some(request.model.clone()), rows].contains(&Some(name.to_string()))
    }

    #[test]
    fn no_bytes_are_too_much() {
        let mut bytes = Vec::new();
        for seed in 0..20_000_u32 {
            bytes.push((seed.wrapping_mul(2_654_435_761) >> 13) as u8);
            if bytes.len() == 40 {
                names(&bytes, DEPTH);
                bytes.drain(..7);
            }
        }
        assert!(names(&[0x0a, 0xff, 0xff, 0xff, 0xff, 0x0f, b's'], DEPTH).is_empty());
    }
}
