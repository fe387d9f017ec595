//! Arrays from NumPy's `.npy` and `.npz` files, and from JSON.

use std::collections::BTreeMap;
use std::io::{Cursor, Read};
use std::path::Path;

use backpropd_datasets::npy::Header;
use serde_json::Value;
use zip::ZipArchive;

use super::files::{self, Links};

/// Largest count of numbers in all arrays of a submission: a compressed file can expand to many times its size, and one byte
/// of it can become a float64.
const MOST_HANDED_IN: usize = 1 << 25;
/// Largest JSON file of arrays, in bytes; parsed, it takes ten times as much.
const JSON_BYTES: u64 = 16 << 20;
/// Largest number of arrays in one file.
const MOST_ARRAYS: usize = 1000;

/// An array of any rank.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Array {
    /// The size of each axis; empty for a scalar.
    pub shape: Vec<usize>,
    /// The entries, row after row.
    pub values: Vec<f64>,
}

/// The numbers that the files of one submission may still contain.
pub(super) struct Room {
    numbers: usize,
}

impl Room {
    /// The limit of one submission.
    pub(super) fn new() -> Self {
        Self {
            numbers: MOST_HANDED_IN,
        }
    }

    fn take(&mut self, numbers: usize, name: &str) -> Result<(), String> {
        match self.numbers.checked_sub(numbers) {
            Some(left) => {
                self.numbers = left;
                Ok(())
            }
            None => Err(format!(
                "{name}: with this array the files contain more than {MOST_HANDED_IN} numbers, the largest count that is read"
            )),
        }
    }
}

/// The arrays of a file by name: those inside an `.npz` archive or a JSON object, or the one of an `.npy` file, under the
/// name of the file.
pub(super) fn read_named(path: &Path, room: &mut Room) -> Result<BTreeMap<String, Array>, String> {
    let name = path.display().to_string();
    let read = |most| files::read(path, most, Links::Followed);
    match path.extension().and_then(|extension| extension.to_str()) {
        Some("npz") => read_npz(&read(files::DATA_BYTES)?, &name, room),
        Some("npy") => {
            let bytes = read(files::DATA_BYTES)?;
            let array = read_entries(&bytes[..], &name, bytes.len(), |entries| {
                room.take(entries, &name)
            })?;
            let stem = path
                .file_stem()
                .map(|stem| stem.to_string_lossy().into_owned());
            Ok(BTreeMap::from([(stem.unwrap_or_default(), array)]))
        }
        Some("json") => read_json(&read(JSON_BYTES)?, &name),
        _ => Err(format!(
            "{name}: expected a file that ends in .npz, .npy or .json"
        )),
    }
}

fn read_npz(bytes: &[u8], name: &str, room: &mut Room) -> Result<BTreeMap<String, Array>, String> {
    let no_archive =
        |error: &dyn std::fmt::Display| format!("{name}: this is not an .npz file: {error}");
    let mut archive = ZipArchive::new(Cursor::new(bytes)).map_err(|error| no_archive(&error))?;
    if archive.len() > MOST_ARRAYS {
        return Err(format!(
            "{name}: {} arrays; at most {MOST_ARRAYS} are read",
            archive.len()
        ));
    }
    let mut arrays = BTreeMap::new();
    for at in 0..archive.len() {
        let file = archive.by_index(at).map_err(|error| no_archive(&error))?;
        let path = file.name().map_err(|error| no_archive(&error))?;
        let Some(array) = path.strip_suffix(".npy").map(str::to_owned) else {
            continue;
        };
        let place = format!("{name}, {array}");
        let read = read_entries(file, &place, MOST_HANDED_IN, |entries| {
            room.take(entries, &place)
        })?;
        if arrays.insert(array.clone(), read).is_some() {
            return Err(format!("{name}: two arrays have the name {array}"));
        }
    }
    Ok(arrays)
}

/// The array of an `.npy` file. `allow` can refuse its number of entries before memory is allocated for them.
fn read_entries(
    mut file: impl Read,
    name: &str,
    most: usize,
    allow: impl FnOnce(usize) -> Result<(), String>,
) -> Result<Array, String> {
    let named = |why: String| format!("{name}: {why}");
    let header = Header::read(&mut file, most).map_err(named)?;
    allow(header.entries)?;
    let (shape, values) = header.read_entries(&mut file).map_err(named)?;
    Ok(Array { shape, values })
}

/// `{"dW1": [[1, 2], [3, 4]], "db1": [1, 2]}`; `null` and `"NaN"` are NaN.
fn read_json(bytes: &[u8], name: &str) -> Result<BTreeMap<String, Array>, String> {
    let value: Value = serde_json::from_slice(bytes)
        .map_err(|error| format!("{name}: this is not JSON: {error}"))?;
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
                // Only the first path to a number extends the shape; if a later one does, the rows are ragged.
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

    fn read_npy(bytes: &[u8], name: &str) -> Result<Array, String> {
        read_entries(bytes, name, bytes.len(), |_| Ok(()))
    }

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

    /// A file of version 2, of zeros.
    fn npy(header: &str, entries: usize) -> Vec<u8> {
        let length = u32::try_from(header.len()).expect("a short header");
        let mut bytes = b"\x93NUMPY\x02\x00".to_vec();
        bytes.extend(length.to_le_bytes());
        bytes.extend(header.as_bytes());
        bytes.extend(vec![0; entries]);
        bytes
    }

    fn header(dtype: &str, shape: &str) -> String {
        format!("{{'descr': '{dtype}', 'fortran_order': False, 'shape': {shape}, }}   \n")
    }

    #[test]
    fn a_header_that_promises_too_much_or_is_no_header_is_refused() {
        assert_eq!(
            read_npy(&npy(&header("|u1", "(2, 3)"), 6), "a")
                .expect("read")
                .shape,
            [2, 3]
        );
        let deep = format!("{}{}", "(".repeat(2000), ")".repeat(2000));
        for bytes in [
            npy(&header("|u1", "(4000000000, 4000000000)"), 6),
            npy(&header("|u1", "(7,)"), 6),
            npy(&header("|O", "(1,)"), 8),
            npy(&header("<f8", &deep), 8),
            npy(&" ".repeat(5000), 8),
            [&b"\x93NUMPY\x02\x00"[..], &[0xff; 100]].concat(),
            [&b"\x93NUMPY\x01\x00"[..], &[0; 2]].concat(),
        ] {
            assert!(read_npy(&bytes, "a").is_err());
        }
    }

    #[test]
    fn all_arrays_of_an_archive_share_one_limit() {
        use std::io::Write as _;
        use zip::write::{SimpleFileOptions, ZipWriter};

        let archive = |arrays: usize, each: usize| {
            let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
            let options =
                SimpleFileOptions::default().compression_method(zip::CompressionMethod::Deflated);
            for at in 0..arrays {
                zip.start_file(format!("a{at}.npy"), options)
                    .expect("memory");
                let bytes = npy(&header("|u1", &format!("({each},)")), each);
                zip.write_all(&bytes).expect("memory");
            }
            zip.finish().expect("memory").into_inner()
        };
        let small = read_npz(&archive(3, 5), "a", &mut Room::new()).expect("read");
        assert_eq!(small.len(), 3);
        // 12 MiB an array: three fit, and weigh 37 KB.
        let bomb = archive(3, 12 << 20);
        assert!(bomb.len() < 100_000);
        let refused = read_npz(&bomb, "a", &mut Room::new()).expect_err("too many numbers");
        assert!(refused.contains("a, a2"), "{refused}");
        let mut room = Room { numbers: 14 };
        assert!(read_npz(&archive(3, 5), "a", &mut room).is_err());
        assert!(read_npz(&archive(1001, 0), "a", &mut Room::new()).is_err());
    }
}
