//! Arrays from NumPy's `.npy` and `.npz` files, and from JSON.

use std::collections::BTreeMap;
use std::fs;
use std::io::{Cursor, Read};
use std::path::Path;

use npyz::{NpyFile, Order, TypeChar, npz::array_name_from_file_name};
use serde_json::Value;
use zip::ZipArchive;

/// The largest file that is read, in bytes.
const MAX_BYTES: u64 = 1 << 30;
/// The most entries of one array: a compressed file can promise far more than it weighs.
const MAX_ENTRIES: usize = 1 << 27;

/// An array of whatever rank.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Array {
    /// Its axes; empty for a number.
    pub shape: Vec<usize>,
    /// The entries, row after row.
    pub values: Vec<f64>,
}

/// A file's bytes.
pub(super) fn read_file(path: &Path) -> Result<Vec<u8>, String> {
    let name = path.display();
    let size = fs::metadata(path)
        .map_err(|error| format!("cannot read {name}: {error}"))?
        .len();
    if size > MAX_BYTES {
        return Err(format!(
            "{name} has {size} bytes; at most {MAX_BYTES} are read"
        ));
    }
    fs::read(path).map_err(|error| format!("cannot read {name}: {error}"))
}

/// The arrays of a file by their names: of an `.npz` archive or a JSON object those inside, of an `.npy` file the one,
/// called as the file is.
pub(super) fn read_named(path: &Path) -> Result<BTreeMap<String, Array>, String> {
    let name = path.display().to_string();
    let bytes = read_file(path)?;
    match path.extension().and_then(|extension| extension.to_str()) {
        Some("npz") => read_npz(&bytes, &name),
        Some("npy") => {
            let stem = path
                .file_stem()
                .map(|stem| stem.to_string_lossy().into_owned());
            Ok(BTreeMap::from([(
                stem.unwrap_or_default(),
                read_npy(&bytes, &name)?,
            )]))
        }
        Some("json") => read_json(&bytes, &name),
        _ => Err(format!(
            "{name}: expected a file that ends in .npz, .npy or .json"
        )),
    }
}

/// An `.npy` file's array, whatever type and order it is stored in.
pub(super) fn read_npy(bytes: &[u8], name: &str) -> Result<Array, String> {
    let file =
        NpyFile::new(bytes).map_err(|error| format!("{name}: this is no .npy file: {error}"))?;
    from_npy(file, name, bytes.len())
}

fn read_npz(bytes: &[u8], name: &str) -> Result<BTreeMap<String, Array>, String> {
    let no_archive =
        |error: &dyn std::fmt::Display| format!("{name}: this is no .npz file: {error}");
    let mut archive = ZipArchive::new(Cursor::new(bytes)).map_err(|error| no_archive(&error))?;
    let mut arrays = BTreeMap::new();
    for at in 0..archive.len() {
        let file = archive.by_index(at).map_err(|error| no_archive(&error))?;
        let path = file.name().map_err(|error| no_archive(&error))?;
        let Some(array) = array_name_from_file_name(&path).map(str::to_owned) else {
            continue;
        };
        let file = NpyFile::new(file).map_err(|error| no_archive(&error))?;
        let read = from_npy(file, &format!("{name}, {array}"), MAX_ENTRIES)?;
        if arrays.insert(array.clone(), read).is_some() {
            return Err(format!("{name}: two arrays are called {array}"));
        }
    }
    Ok(arrays)
}

/// The entries of one array; its header may promise more than `most`, for which no memory is taken.
fn from_npy<R: Read>(file: NpyFile<R>, name: &str, most: usize) -> Result<Array, String> {
    let shape: Vec<usize> = file
        .shape()
        .iter()
        .map(|size| usize::try_from(*size).unwrap_or(usize::MAX))
        .collect();
    let entries = shape
        .iter()
        .try_fold(1_usize, |product, size| product.checked_mul(*size));
    let Some(entries) = entries.filter(|entries| *entries <= most) else {
        return Err(format!(
            "{name}: its header says shape {shape:?}, which is more than the file holds or is read"
        ));
    };
    let by_column = file.order() == Order::Fortran && shape.len() == 2;
    let values = convert(file).map_err(|problem| format!("{name}: {problem}"))?;
    if values.len() != entries {
        return Err(format!(
            "{name}: found {} entries, but its header says {entries}",
            values.len()
        ));
    }
    let values = match shape[..] {
        [rows, columns] if by_column => (0..entries)
            .map(|at| values[at % columns * rows + at / columns])
            .collect(),
        _ => values,
    };
    Ok(Array { shape, values })
}

fn convert<R: Read>(file: NpyFile<R>) -> Result<Vec<f64>, String> {
    let dtype = file.dtype();
    let unreadable = |error: std::io::Error| error.to_string();
    let npyz::DType::Plain(plain) = &dtype else {
        return Err("found a structured type, expected plain numbers".to_owned());
    };
    macro_rules! widen {
        ($type:ty) => {
            file.into_vec::<$type>()
                .map_err(unreadable)?
                .into_iter()
                .map(f64::from)
                .collect()
        };
    }
    #[allow(
        clippy::cast_precision_loss,
        reason = "features and labels beyond 2^53 are rounded, as numpy's astype does"
    )]
    Ok(match (plain.type_char(), plain.size_field()) {
        (TypeChar::Float, 4) => widen!(f32),
        (TypeChar::Float, 8) => widen!(f64),
        (TypeChar::Int, 1) => widen!(i8),
        (TypeChar::Int, 2) => widen!(i16),
        (TypeChar::Int, 4) => widen!(i32),
        (TypeChar::Int, 8) => file
            .into_vec::<i64>()
            .map_err(unreadable)?
            .into_iter()
            .map(|value| value as f64)
            .collect(),
        (TypeChar::Uint, 1) => widen!(u8),
        (TypeChar::Uint, 2) => widen!(u16),
        (TypeChar::Uint, 4) => widen!(u32),
        (TypeChar::Uint, 8) => file
            .into_vec::<u64>()
            .map_err(unreadable)?
            .into_iter()
            .map(|value| value as f64)
            .collect(),
        (TypeChar::Bool, _) => file
            .into_vec::<bool>()
            .map_err(unreadable)?
            .into_iter()
            .map(f64::from)
            .collect(),
        (_, _) => {
            return Err(format!(
                "found the type {plain}, expected float32, float64, an integer type or bool; numpy's astype converts"
            ));
        }
    })
}

/// `{"dW1": [[1, 2], [3, 4]], "db1": [1, 2]}`; `null` and `"NaN"` are not a number.
fn read_json(bytes: &[u8], name: &str) -> Result<BTreeMap<String, Array>, String> {
    let value: Value = serde_json::from_slice(bytes)
        .map_err(|error| format!("{name}: this is no JSON: {error}"))?;
    let Value::Object(object) = value else {
        return Err(format!(
            "{name}: expected an object of arrays by their names"
        ));
    };
    let array = |(key, value): (String, Value)| {
        let mut array = Array {
            shape: Vec::new(),
            values: Vec::new(),
        };
        flatten(&value, 0, &mut array).map_err(|problem| format!("{name}, {key}: {problem}"))?;
        Ok((key, array))
    };
    object.into_iter().map(array).collect()
}

fn flatten(value: &Value, depth: usize, array: &mut Array) -> Result<(), String> {
    match value {
        Value::Array(items) => {
            if array.shape.len() == depth {
                // Only the first path down may lengthen the shape; a later one that does is ragged.
                if !array.values.is_empty() {
                    return Err("the rows differ in depth".to_owned());
                }
                array.shape.push(items.len());
            } else if array.shape[depth] != items.len() {
                return Err(format!(
                    "a row has {} entries where another has {}",
                    items.len(),
                    array.shape[depth]
                ));
            }
            items
                .iter()
                .try_for_each(|item| flatten(item, depth + 1, array))
        }
        Value::Number(_) | Value::Null | Value::String(_) | Value::Bool(_)
            if array.shape.len() != depth =>
        {
            Err("the rows differ in depth".to_owned())
        }
        Value::Number(number) => {
            array.values.push(number.as_f64().unwrap_or(f64::NAN));
            Ok(())
        }
        Value::Null => {
            array.values.push(f64::NAN);
            Ok(())
        }
        Value::String(text) => {
            let number = text
                .parse()
                .map_err(|_| format!("found {text:?}, expected a number"))?;
            array.values.push(number);
            Ok(())
        }
        Value::Bool(_) | Value::Object(_) => Err(format!("found {value}, expected numbers")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_arrays_have_one_shape() {
        let read = |text: &str| read_json(text.as_bytes(), "a.json");
        let arrays = read(r#"{"dW1": [[1, 2], [3, null]], "db1": [1], "s": 2}"#).expect("valid");
        assert_eq!(arrays["dW1"].shape, [2, 2]);
        assert!(arrays["dW1"].values[3].is_nan());
        assert_eq!(
            (&arrays["s"].shape[..], &arrays["s"].values[..]),
            (&[][..], &[2.0][..])
        );
        for ragged in [
            r#"{"a": [[1], 2]}"#,
            r#"{"a": [1, [2]]}"#,
            r#"{"a": [[1, 2], [3]]}"#,
            r#"{"a": true}"#,
            "[1]",
        ] {
            assert!(read(ragged).is_err(), "{ragged}");
        }
    }
}
