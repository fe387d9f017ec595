//! Encodes large replies as [`Rope`]s, so that they are not copied message by message.

use bytes::Bytes;
use tonic::Status;

use super::pb;
use crate::encoded::Rope;
use crate::host::Host;
use crate::host::caller::Caller;
use crate::host::limits::memory::Reservation;

/// The size from which this pays off, in bytes.
const LARGE: usize = 64 << 10;

/// The fields of a tensor that hold its entries.
const VALUES: u32 = 2;
const RAW: u32 = 3;

/// Entries whose memory is also their wire format.
struct Numbers(Vec<f64>);

impl AsRef<[u8]> for Numbers {
    fn as_ref(&self) -> &[u8] {
        bytemuck::cast_slice(&self.0)
    }
}

/// Reserves memory for a reply of `bytes`: separately if it is large, otherwise as part of the call's memory.
///
/// # Errors
/// The server has not enough free memory, or the connection or address would exceed its share.
pub fn room_for(host: &Host, caller: &Caller, bytes: usize) -> Result<Option<Reservation>, Status> {
    if bytes < LARGE {
        caller.hold(bytes)?;
        return Ok(None);
    }
    Ok(Some(host.reserve(caller, bytes)?))
}

/// A tensor message.
fn tensor(mut tensor: pb::Tensor) -> Rope {
    let values = std::mem::take(&mut tensor.values);
    let raw = std::mem::take(&mut tensor.raw);
    let mut rope = Rope::of(&tensor);
    if !values.is_empty() {
        rope.put(VALUES, Rope::of_bytes(Bytes::from_owner(Numbers(values))));
    }
    if !raw.is_empty() {
        rope.put(RAW, Rope::of_bytes(raw));
    }
    rope
}

/// The reply of GetParameters.
pub fn parameters(mut reply: pb::GetParametersResponse) -> Rope {
    let parameters = std::mem::take(&mut reply.parameters);
    let mut rope = Rope::of(&reply);
    for layer in parameters {
        let mut fields = Rope::default();
        put_tensor(&mut fields, 1, layer.weights);
        put_tensor(&mut fields, 2, layer.bias);
        rope.put(1, fields);
    }
    rope
}

/// The reply of Predict.
pub fn prediction(mut reply: pb::PredictResponse) -> Rope {
    let (outputs, probabilities) = (reply.outputs.take(), reply.probabilities.take());
    let trace = std::mem::take(&mut reply.trace);
    let mut rope = Rope::of(&reply);
    put_tensor(&mut rope, 1, outputs);
    put_tensor(&mut rope, 2, probabilities);
    for mut named in trace {
        let tensor = named.tensor.take();
        let mut fields = Rope::of(&named);
        put_tensor(&mut fields, 3, tensor);
        rope.put(4, fields);
    }
    rope
}

/// The reply of Evaluate.
pub fn evaluation(mut reply: pb::EvaluateResponse) -> Rope {
    let per_sample_loss = reply.per_sample_loss.take();
    let mut rope = Rope::of(&reply);
    put_tensor(&mut rope, 4, per_sample_loss);
    rope
}

fn put_tensor(rope: &mut Rope, field: u32, given: Option<pb::Tensor>) {
    if let Some(given) = given {
        rope.put(field, tensor(given));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use prost::Message as _;

    use crate::encoded::SMALL_PART;

    fn tensor(entries: usize, raw: bool) -> pb::Tensor {
        let values: Vec<f64> = (0..entries).map(|i| i as f64 - 0.5).collect();
        let bytes = bytemuck::cast_slice(&values).to_vec();
        pb::Tensor {
            shape: vec![1, 1000],
            raw: if raw { bytes.into() } else { Bytes::new() },
            values: if raw { Vec::new() } else { values },
            dtype: pb::Dtype::Float64.into(),
        }
    }

    fn whole(rope: Rope) -> Vec<u8> {
        let length = rope.len();
        let parts = rope.into_parts(&[]);
        let bytes: Vec<u8> = parts.iter().flatten().copied().collect();
        assert_eq!(bytes.len(), length);
        assert!(
            parts.len() <= 3 + 2 * bytes.len() / SMALL_PART,
            "{}",
            parts.len()
        );
        bytes
    }

    #[test]
    fn the_parts_of_a_message_are_the_message() {
        for (entries, raw) in [(1, false), (1, true), (5000, false), (5000, true)] {
            let layer = |bias| pb::LayerParameters {
                weights: Some(tensor(entries, raw)),
                bias,
            };
            let parameters = pb::GetParametersResponse {
                parameters: vec![layer(None), layer(Some(tensor(3, raw)))],
                step: 7,
                weights_digest: "b3".into(),
            };
            let bytes = whole(super::parameters(parameters.clone()));
            let read = pb::GetParametersResponse::decode(bytes.as_slice());
            assert_eq!(read.expect("a message"), parameters);
            let prediction = pb::PredictResponse {
                outputs: Some(tensor(entries, raw)),
                probabilities: Some(tensor(2, raw)),
                classes: vec![1, 2],
                trace: vec![
                    pb::NamedTensor {
                        quantity: 2,
                        layer: 1,
                        tensor: Some(tensor(entries, raw)),
                    };
                    100
                ],
                step: 7,
                weights_digest: "b3".into(),
                timings: Some(pb::Timings::default()),
            };
            let bytes = whole(super::prediction(prediction.clone()));
            let read = pb::PredictResponse::decode(bytes.as_slice());
            assert_eq!(read.expect("a message"), prediction);
        }
    }
}
