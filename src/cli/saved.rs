//! A model's file with what its data need: how columns became features, constants, the names of classes.
//!
//! The file is the server's export with one more entry of metadata, [`KEY`], and its checksum renewed.

use std::path::Path;

use backpropd_datasets::{Encoding, Standardization, TruthKind};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Failure;
use super::files::{self, Links};

/// The entry of the metadata.
const KEY: &str = "backpropd.data";
const LENGTH_BYTES: usize = 8;
const CHECKSUM_BYTES: usize = blake3::OUT_LEN;
/// The largest file, in bytes.
pub(super) const MOST_BYTES: u64 = 4 << 30;

/// How rows of a file become inputs of the model, and its outputs answers.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct DataNotes {
    /// How columns of a text file became features.
    pub encoding: Option<Encoding>,
    /// The constants by which inputs, and the targets of a regression, were standardized.
    pub standardization: Option<Standardization>,
    /// The names of the classes; empty for a regression.
    pub classes: Vec<String>,
}

impl DataNotes {
    pub(super) fn truth(&self) -> Option<TruthKind> {
        let names = self.classes.clone();
        (!names.is_empty()).then_some(TruthKind::Labels { names })
    }
}

/// Reads a file: the model as the server exported it, and the notes, if there are some.
pub(super) fn read(path: &Path) -> Result<(Vec<u8>, Option<DataNotes>), Failure> {
    let bytes = files::read(path, MOST_BYTES, Links::Followed).map_err(Failure::usage)?;
    take_notes(bytes)
        .map_err(|why| Failure::usage(format!("cannot read {}: {why}", path.display())))
}

/// The export with the notes in it.
pub(super) fn join(export: &[u8], notes: &DataNotes) -> Result<Vec<u8>, String> {
    let notes = serde_json::to_string(notes).map_err(|error| error.to_string())?;
    rewrite(export, |metadata| {
        metadata.insert(KEY.to_owned(), Value::String(notes));
    })
}

/// Takes the notes out.
fn take_notes(bytes: Vec<u8>) -> Result<(Vec<u8>, Option<DataNotes>), String> {
    let (mut header, _) = header(&bytes)?;
    let notes = header
        .get_mut("__metadata__")
        .and_then(Value::as_object_mut)
        .and_then(|metadata| metadata.remove(KEY));
    let Some(Value::String(notes)) = notes else {
        return Ok((bytes, None));
    };
    let notes = serde_json::from_str(&notes).map_err(|error| format!("{KEY}: {error}"))?;
    let covered = bytes.len() - CHECKSUM_BYTES;
    if blake3::hash(&bytes[..covered]).as_bytes()[..] != bytes[covered..] {
        return Err("the checksum does not match: the file is truncated or damaged".to_owned());
    }
    let export = rewrite(&bytes, |metadata| {
        metadata.remove(KEY);
    })?;
    Ok((export, Some(notes)))
}

/// The header, and where the data begin.
fn header(bytes: &[u8]) -> Result<(Value, usize), String> {
    let no_model = || "this is no model's file".to_owned();
    let length = bytes.first_chunk().ok_or_else(no_model)?;
    let length = usize::try_from(u64::from_le_bytes(*length)).map_err(|_| no_model())?;
    let end = length.checked_add(LENGTH_BYTES).ok_or_else(no_model)?;
    let text = bytes.get(LENGTH_BYTES..end).ok_or_else(no_model)?;
    if bytes.len() - end < CHECKSUM_BYTES {
        return Err(no_model());
    }
    let header: Value = serde_json::from_slice(text).map_err(|error| error.to_string())?;
    Ok((header, end))
}

fn rewrite(
    bytes: &[u8],
    change: impl FnOnce(&mut serde_json::Map<String, Value>),
) -> Result<Vec<u8>, String> {
    let (mut header, data_at) = header(bytes)?;
    let metadata = header
        .get_mut("__metadata__")
        .and_then(Value::as_object_mut)
        .ok_or("the file has no metadata")?;
    change(metadata);
    let mut text = header.to_string();
    // The data begin at a multiple of 8.
    let padding = text.len().next_multiple_of(8) - text.len();
    text.extend(std::iter::repeat_n(' ', padding));
    let mut out = (text.len() as u64).to_le_bytes().to_vec();
    out.extend(text.as_bytes());
    out.extend(&bytes[data_at..bytes.len() - CHECKSUM_BYTES]);
    let checksum = blake3::hash(&out);
    out.extend(checksum.as_bytes());
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notes_come_out_as_they_went_in_and_damage_is_found() {
        let export = std::fs::read(concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/tests/goldens/homework.safetensors"
        ));
        let export = export.expect("part of the repository");
        let notes = DataNotes {
            classes: vec!["ant".to_owned(), "bée \"\n".to_owned()],
            ..DataNotes::default()
        };
        let joined = join(&export, &notes).expect("a model's file");
        let (model, read) = take_notes(joined.clone()).expect("whole");
        assert_eq!(read, Some(notes));
        let (header_then, data_then) = header(&export).expect("a model's file");
        let (header_now, data_now) = header(&model).expect("a model's file");
        assert_eq!(header_then, header_now);
        let covered = |bytes: &[u8], at: usize| bytes[at..bytes.len() - CHECKSUM_BYTES].to_vec();
        assert_eq!(covered(&export, data_then), covered(&model, data_now));
        assert_eq!(take_notes(export.clone()).expect("whole"), (export, None));
        let mut damaged = joined;
        let last = damaged.len() - CHECKSUM_BYTES - 1;
        damaged[last] ^= 1;
        assert!(
            take_notes(damaged)
                .expect_err("damaged")
                .contains("checksum")
        );
        for junk in [&b""[..], b"12345678", &[0xff; 100], &[0; 100]] {
            assert!(take_notes(junk.to_vec()).is_err());
        }
    }
}
