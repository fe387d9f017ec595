//! Reads a snapshot piece by piece: first its header, then each number straight to its final place, so that receiving a
//! model needs its memory only once.

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;
use std::sync::Arc;

use safetensors::tensor::{Dtype as TensorType, TensorInfo};
use serde::Deserialize;

use super::{
    About, CHECKSUM, CHECKSUM_BYTES, DecodedModel, FIRST, Metadata, Rules, SECOND, SnapshotError,
    is_known, malformed, places,
};
use crate::training::model::{Committed, Model, Revision};
use crate::training::request_log::RequestId;
use crate::training::spec::Spec;
use crate::training::tensor_file::{self, LENGTH_BYTES, tensor_type};
use backpropd_engine::nn::{Dtype, Scalar, State};

/// A snapshot without its numbers.
#[derive(Debug)]
pub struct Head {
    rules: Rules,
    spec: Spec,
    metadata: Metadata,
    /// The tensors in the order of the file.
    tensors: Vec<Tensor>,
    file_bytes: usize,
}

/// The destination of a tensor's numbers.
#[derive(Debug)]
struct Tensor {
    slot: Slot,
    range: Range<usize>,
}

/// A part of a model's state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Slot {
    Parameters,
    First,
    Second,
}

#[derive(Deserialize)]
struct Header {
    #[serde(rename = "__metadata__", default)]
    metadata: HashMap<String, String>,
    #[serde(flatten)]
    tensors: BTreeMap<String, TensorInfo>,
}

impl Head {
    /// Reads the header at the start of `bytes`, and returns it with its length; `None` if it is incomplete.
    ///
    /// # Errors
    /// Another format version, a header that is too long, or content that this program does not write or `rules`
    /// refuse.
    pub fn read(bytes: &[u8], rules: &Rules) -> Result<Option<(Self, usize)>, SnapshotError> {
        let Some(length) = tensor_file::header_length(bytes) else {
            return Ok(None);
        };
        let most = rules.largest_header();
        let end = usize::try_from(length)
            .ok()
            .filter(|length| *length <= most)
            .and_then(|length| length.checked_add(LENGTH_BYTES))
            .ok_or_else(|| malformed(format!("a header of {length} bytes, {most} are allowed")))?;
        let Some(header) = bytes.get(LENGTH_BYTES..end) else {
            return Ok(None);
        };
        let header: Header = serde_json::from_slice(header).map_err(malformed)?;
        let metadata: Metadata = tensor_file::read_metadata(&header.metadata, is_known)?;
        rules.check(&metadata)?;
        let spec = metadata.spec.clone().validate(&rules.limits);
        let spec = spec.map_err(malformed)?;
        let (tensors, data_bytes) = match spec.dtype {
            Dtype::Float32 => arrange::<f32>(&spec, &header.tensors)?,
            Dtype::Float64 => arrange::<f64>(&spec, &header.tensors)?,
        };
        let head = Self {
            rules: *rules,
            spec,
            metadata,
            tensors,
            file_bytes: end + data_bytes + CHECKSUM_BYTES,
        };
        Ok(Some((head, end)))
    }

    /// The model's spec.
    pub fn spec(&self) -> &Spec {
        &self.spec
    }

    /// The memory that the model takes, in bytes: its state and the requests that it remembers.
    pub fn held_bytes(&self) -> usize {
        self.spec.state_bytes() + requests_bytes(&self.metadata.requests)
    }

    /// The length of the whole file, in bytes.
    pub fn file_bytes(&self) -> usize {
        self.file_bytes
    }

    /// Allocates the numbers. `hasher` has read the header and will check what follows; `None` if the checksum has been
    /// verified.
    pub fn into_body(self, hasher: Option<blake3::Hasher>) -> Body {
        let parameters = self.spec.architecture.parameter_count();
        let state = match self.spec.dtype {
            Dtype::Float32 => {
                AnyState::F32(State::new(vec![0.0; parameters], &self.spec.optimizer))
            }
            Dtype::Float64 => {
                AnyState::F64(State::new(vec![0.0; parameters], &self.spec.optimizer))
            }
        };
        Body {
            head: self,
            state,
            hasher,
            tensor: 0,
            filled: 0,
            checksum: Vec::with_capacity(CHECKSUM_BYTES),
        }
    }
}

/// The tensors of this spec in the order of the file, which has to list exactly those, and their total length in bytes.
fn arrange<T: Scalar>(
    spec: &Spec,
    listed: &BTreeMap<String, TensorInfo>,
) -> Result<(Vec<Tensor>, usize), SnapshotError> {
    let slots = [
        (Slot::Parameters, ""),
        (Slot::First, FIRST),
        (Slot::Second, SECOND),
    ];
    let mut tensors = Vec::new();
    for (slot, prefix) in slots.into_iter().take(1 + spec.optimizer.slots()) {
        for (name, range, shape) in places(&spec.architecture) {
            tensors.push((format!("{prefix}{name}"), shape, Tensor { slot, range }));
        }
    }
    tensors.sort_by(|(one, ..), (other, ..)| one.cmp(other));
    let mut at = 0_usize;
    let mut check = |name: &str, dtype: TensorType, shape: &[usize], bytes: usize| {
        let info = listed.get(name);
        let info = info.ok_or_else(|| malformed(format!("{name} is missing")))?;
        let end = at.saturating_add(bytes);
        if info.dtype != dtype || info.shape != shape || info.data_offsets != (at, end) {
            let TensorInfo {
                dtype,
                shape,
                data_offsets: (from, to),
            } = info;
            return Err(malformed(format!(
                "{name} is {shape:?} of {dtype:?} at {from} to {to}"
            )));
        }
        at = end;
        Ok(())
    };
    for (name, shape, tensor) in &tensors {
        let bytes = tensor.range.len().saturating_mul(T::DTYPE.size());
        check(name, tensor_type::<T>(), shape, bytes)?;
    }
    check(CHECKSUM, TensorType::U8, &[CHECKSUM_BYTES], CHECKSUM_BYTES)?;
    if listed.len() > tensors.len() + 1 {
        return Err(malformed("there are tensors that its spec does not have"));
    }
    let tensors = tensors.into_iter().map(|(_, _, tensor)| tensor).collect();
    Ok((tensors, at - CHECKSUM_BYTES))
}

/// A snapshot whose header is complete, while its numbers arrive.
#[derive(Debug)]
pub struct Body {
    head: Head,
    state: AnyState,
    hasher: Option<blake3::Hasher>,
    /// The index of the tensor being filled.
    tensor: usize,
    /// Bytes of that tensor received so far.
    filled: usize,
    checksum: Vec<u8>,
}

#[derive(Debug)]
enum AnyState {
    F32(State<f32>),
    F64(State<f64>),
}

impl Body {
    /// Adds the next bytes.
    ///
    /// # Errors
    /// More bytes than the header announces.
    pub fn push(&mut self, mut bytes: &[u8]) -> Result<(), SnapshotError> {
        while let Some(tensor) = self.head.tensors.get(self.tensor) {
            if bytes.is_empty() {
                return Ok(());
            }
            let place = match &mut self.state {
                AnyState::F32(state) => place(state, tensor),
                AnyState::F64(state) => place(state, tensor),
            };
            let rest = &mut place[self.filled..];
            let (now, later) = bytes.split_at(bytes.len().min(rest.len()));
            rest[..now.len()].copy_from_slice(now);
            if let Some(hasher) = &mut self.hasher {
                hasher.update(now);
            }
            self.filled += now.len();
            if self.filled == place.len() {
                (self.tensor, self.filled) = (self.tensor + 1, 0);
            }
            bytes = later;
        }
        if self.checksum.len() + bytes.len() > CHECKSUM_BYTES {
            return Err(malformed("the file is longer than its header says"));
        }
        self.checksum.extend_from_slice(bytes);
        Ok(())
    }

    /// The model, after the last byte.
    ///
    /// # Errors
    /// The file is incomplete, the checksum does not match, or a number is not finite.
    pub fn finish(self) -> Result<(DecodedModel, About), SnapshotError> {
        let is_sound = self.checksum.len() == CHECKSUM_BYTES
            && self
                .hasher
                .is_none_or(|hasher| hasher.finalize().as_bytes() == self.checksum.as_slice());
        if !is_sound {
            return Err(SnapshotError::Damaged);
        }
        let about = self.head.metadata.about.clone();
        let model = match self.state {
            AnyState::F32(state) => DecodedModel::F32(restore(self.head, state)?),
            AnyState::F64(state) => DecodedModel::F64(restore(self.head, state)?),
        };
        Ok((model, about))
    }
}

/// The bytes of a tensor's numbers.
fn place<'a, T: Scalar>(state: &'a mut State<T>, tensor: &Tensor) -> &'a mut [u8] {
    let numbers = match tensor.slot {
        Slot::Parameters => &mut state.parameters,
        Slot::First => &mut state.first,
        Slot::Second => &mut state.second,
    };
    bytemuck::cast_slice_mut(&mut numbers[tensor.range.clone()])
}

fn restore<T: Scalar>(head: Head, mut state: State<T>) -> Result<Model<T>, SnapshotError> {
    let Head {
        rules,
        spec,
        metadata,
        ..
    } = head;
    let slots = [
        ("layer*", &state.parameters),
        ("optimizer.first.layer*", &state.first),
        ("optimizer.second.layer*", &state.second),
    ];
    for (name, numbers) in slots {
        if !numbers.iter().all(|number| number.finite()) {
            return Err(malformed(format!("{name}: a number is not finite")));
        }
    }
    // The second moment is a mean of squares, whose root is taken.
    if rules.is_sent && state.second.iter().any(|number| *number < T::ZERO) {
        return Err(malformed("optimizer.second.layer*: a number is negative"));
    }
    state.updates = metadata.updates;
    let revision = Revision {
        committed: Arc::new(Committed::new(state, metadata.step)),
        requests: metadata.requests,
    };
    Ok(Model::restored(spec, revision, rules.remembered_requests))
}

/// An estimate of the memory for remembered requests.
fn requests_bytes<O>(requests: &[(RequestId, O)]) -> usize {
    let ids: usize = requests.iter().map(|(request, _)| request.id.len()).sum();
    ids + size_of_val(requests)
}
