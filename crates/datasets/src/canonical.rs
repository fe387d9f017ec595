//! The canonical form on disk: a safetensors file with the tensors `inputs`, and `labels` or `targets`. Any safetensors
//! file with such tensors is read.

use std::collections::HashMap;
use std::io::Read as _;
use std::path::Path;
use std::sync::Arc;

use backpropd_engine::nn::Dtype;
use safetensors::tensor::{Metadata, TensorInfo};
use serde::de::DeserializeOwned;
use serde_json::json;

use crate::arrays::{Array, Budget, Layout, Source};
use crate::dataset::{Draft, Truth};
use crate::digest::ContentHashes;
use crate::element::Element;
use crate::error::{Fault, OpenError};
use crate::file::SourceFile;
use crate::header::{Sizes, UploadHeader};
use crate::options::{OpenOptions, choose_inputs, choose_names};
use crate::summary::Summary;
use crate::table::Table;
use crate::truth::TruthKind;

/// The largest header, in bytes: names of classes and constants of many columns fit.
const MOST_HEADER_BYTES: u64 = 32 << 20;
/// The value of the metadata `format`.
const FORMAT: &str = "backpropd-dataset-1";
const LENGTH_BYTES: u64 = 8;

pub(crate) fn read(
    file: &Arc<SourceFile>,
    options: &OpenOptions,
    budget: &mut Budget,
) -> Result<Draft, Fault> {
    let (metadata, data_at) = read_header(file)?;
    let names = metadata.offset_keys();
    let (inputs_name, truth_name, kind) = choose_names(&names, options)?;
    let inputs = array(file, &metadata, &inputs_name, data_at)?;
    let truth = array(file, &metadata, &truth_name, data_at)?;
    let empty = HashMap::new();
    let notes = metadata.metadata().as_ref().unwrap_or(&empty);
    let is_canonical = notes.get("format").is_some_and(|format| format == FORMAT);
    let element = inputs.layout.element;
    let inputs = inputs.table(&inputs_name, options.dtype, budget)?;
    let is_unconverted = element == element_of(inputs.dtype);
    let truth = if kind.is_labels(&truth.layout, options) {
        let classes = note(notes, "classes")?;
        let (labels, names) = truth.labels(&truth_name, budget)?.finish(classes)?;
        Truth::Labels { labels, names }
    } else {
        Truth::Targets(truth.table(&truth_name, Some(inputs.dtype), budget)?)
    };
    let mut draft = Draft::new(inputs, truth);
    draft.standardization = note(notes, "standardization")?;
    draft.encoding = note(notes, "encoding")?;
    if options.trust_hashes && is_canonical && is_unconverted {
        draft.known = notes
            .get("hashes")
            .and_then(|text| ContentHashes::from_hex(text));
    }
    Ok(draft)
}

/// The inputs alone.
pub(crate) fn read_inputs(
    file: &Arc<SourceFile>,
    options: &OpenOptions,
    budget: &mut Budget,
) -> Result<Table, Fault> {
    let (metadata, data_at) = read_header(file)?;
    let name = choose_inputs(&metadata.offset_keys())?;
    array(file, &metadata, &name, data_at)?.table(&name, options.dtype, budget)
}

/// The note in the header of a canonical file, which the program that wrote it put there.
///
/// # Errors
/// The file is not a whole .safetensors file, or cannot be read.
pub fn read_note(path: &Path) -> Result<Option<String>, OpenError> {
    let read = || {
        let (metadata, _) = read_header(&SourceFile::open(path)?)?;
        let notes = metadata.metadata().as_ref();
        Ok(notes.and_then(|notes| notes.get("note")).cloned())
    };
    read().map_err(|fault: Fault| fault.at(path))
}

/// What a canonical file says of itself in its header; `None` for another `.safetensors` file. The numbers are not read, so
/// that the digest is what it was when the file was written.
///
/// # Errors
/// The file is not a whole .safetensors file, or cannot be read.
pub fn read_summary(path: &Path) -> Result<Option<Summary>, OpenError> {
    let read = || {
        let (metadata, _) = read_header(&SourceFile::open(path)?)?;
        summary(&metadata)
    };
    read().map_err(|fault: Fault| fault.at(path))
}

fn summary(metadata: &Metadata) -> Result<Option<Summary>, Fault> {
    let empty = HashMap::new();
    let notes = metadata.metadata().as_ref().unwrap_or(&empty);
    let is_canonical = notes.get("format").is_some_and(|format| format == FORMAT);
    let hashes = notes
        .get("hashes")
        .and_then(|text| ContentHashes::from_hex(text));
    let inputs = metadata.info("inputs");
    let (Some(hashes), Some(inputs), true) = (hashes, inputs, is_canonical) else {
        return Ok(None);
    };
    let truth = match (note(notes, "classes")?, metadata.info("targets")) {
        (Some(names), None) => TruthKind::Labels { names },
        (None, Some(TensorInfo { shape, .. })) if shape.len() == 2 => {
            TruthKind::Targets { columns: shape[1] }
        }
        (Some(_) | None, Some(_) | None) => return Ok(None),
    };
    let dtype = match format!("{:?}", inputs.dtype).as_str() {
        "F32" => Dtype::Float32,
        "F64" => Dtype::Float64,
        _ => return Ok(None),
    };
    let [rows, features] = inputs.shape[..] else {
        return Ok(None);
    };
    let header = UploadHeader {
        rows,
        features,
        dtype,
        truth,
        standardization: note(notes, "standardization")?,
        encoding: note(notes, "encoding")?,
        note: None,
    };
    let constants = header.standardization.as_ref();
    let digest = hashes.digest(rows, features, dtype, &header.truth, constants);
    Ok(Some(Summary { header, digest }))
}

/// The header, and where the data begins.
fn read_header(file: &SourceFile) -> Result<(Metadata, u64), Fault> {
    let wrong = |given: &dyn std::fmt::Display| {
        Fault::one("header", given, "a whole .safetensors file; copy it again")
    };
    let mut reader = file.reader();
    let mut length = [0; 8];
    reader
        .read_exact(&mut length)
        .map_err(|error| wrong(&error))?;
    let length = u64::from_le_bytes(length);
    let most = MOST_HEADER_BYTES.min(file.size().saturating_sub(LENGTH_BYTES));
    if length > most {
        return Err(wrong(&format!("a length of {length} bytes")));
    }
    let mut header = vec![0; usize::try_from(length).unwrap_or(0)];
    reader.read_exact(&mut header)?;
    let metadata: Metadata = serde_json::from_slice(&header).map_err(|error| wrong(&error))?;
    let data_at = LENGTH_BYTES + length;
    let promised = data_at.saturating_add(metadata.data_len() as u64);
    if promised != file.size() {
        let given = format!("{promised} bytes in all, in a file of {}", file.size());
        return Err(wrong(&given));
    }
    Ok((metadata, data_at))
}

fn array<'a>(
    file: &Arc<SourceFile>,
    metadata: &Metadata,
    name: &str,
    data_at: u64,
) -> Result<Array<'a>, Fault> {
    let info: &TensorInfo = metadata
        .info(name)
        .ok_or_else(|| Fault::one(name, "no tensor", "a tensor"))?;
    let dtype = format!("{:?}", info.dtype);
    let element = match dtype.as_str() {
        "F16" => Element::F16,
        "BF16" => Element::Bf16,
        "F32" => Element::F32,
        "F64" => Element::F64,
        "I8" => Element::I8,
        "I16" => Element::I16,
        "I32" => Element::I32,
        "I64" => Element::I64,
        "U8" => Element::U8,
        "U16" => Element::U16,
        "U32" => Element::U32,
        "U64" => Element::U64,
        "BOOL" => Element::Bool,
        _ => {
            let allowed = "F16, BF16, F32, F64, BOOL, or an integer type";
            return Err(Fault::one(name, format!("the type {dtype}"), allowed));
        }
    };
    Ok(Array {
        layout: Layout {
            shape: info.shape.clone(),
            element,
            big_endian: false,
            by_column: false,
        },
        source: Source::File(Arc::clone(file), data_at + info.data_offsets.0 as u64),
    })
}

fn element_of(dtype: Dtype) -> Element {
    match dtype {
        Dtype::Float32 => Element::F32,
        Dtype::Float64 => Element::F64,
    }
}

/// A JSON value of the metadata.
fn note<V: DeserializeOwned>(
    notes: &HashMap<String, String>,
    key: &str,
) -> Result<Option<V>, Fault> {
    let parse = |text: &String| {
        serde_json::from_str(text)
            .map_err(|error| Fault::one(format!("metadata {key}"), error, "as it was written"))
    };
    notes.get(key).map(parse).transpose()
}

/// The bytes before the data, of the same length for any hashes.
pub(crate) fn header(
    header: &UploadHeader,
    sizes: Sizes,
    hashes: Option<ContentHashes>,
) -> Vec<u8> {
    let hashes = hashes.map_or_else(|| "0".repeat(128), ContentHashes::to_hex);
    let mut notes = json!({"format": FORMAT, "hashes": hashes});
    let dtype = match header.dtype {
        Dtype::Float32 => "F32",
        Dtype::Float64 => "F64",
    };
    let end = sizes.inputs + sizes.truth;
    let (name, truth) = match &header.truth {
        TruthKind::Labels { names } => {
            notes["classes"] = json!(json!(names).to_string());
            ("labels", json!({"dtype": "U32", "shape": [header.rows]}))
        }
        TruthKind::Targets { columns } => (
            "targets",
            json!({"dtype": dtype, "shape": [header.rows, columns]}),
        ),
    };
    if let Some(standardization) = &header.standardization {
        notes["standardization"] = json!(json!(standardization).to_string());
    }
    if let Some(encoding) = &header.encoding {
        notes["encoding"] = json!(json!(encoding).to_string());
    }
    if let Some(note) = &header.note {
        notes["note"] = json!(note);
    }
    let mut tensors = json!({
        "__metadata__": notes,
        "inputs": {"dtype": dtype, "shape": [header.rows, header.features], "data_offsets": [0, sizes.inputs]},
    });
    tensors[name] = truth;
    tensors[name]["data_offsets"] = json!([sizes.inputs, end]);
    let mut text = tensors.to_string();
    // The numbers begin at a multiple of 8.
    text.extend(std::iter::repeat_n(
        ' ',
        text.len().next_multiple_of(8) - text.len(),
    ));
    let mut bytes = (text.len() as u64).to_le_bytes().to_vec();
    bytes.extend(text.as_bytes());
    bytes
}
