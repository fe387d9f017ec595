//! Arrays from NumPy's `.npy` and `.npz` files, and from JSON.

use std::collections::BTreeMap;
use std::io::{Cursor, Read};
use std::path::Path;

use npyz::{NpyFile, Order, TypeChar, npz::array_name_from_file_name};
use serde_json::Value;
use zip::ZipArchive;

use super::files::{self, Links};

/// Largest count of numbers in an `.npy` file of data, or in all arrays of a submission: a compressed file can expand to many
/// times its size, and one byte of it can become a float64.
const MOST_NUMBERS: usize = 1 << 27;
const MOST_HANDED_IN: usize = 1 << 25;
/// Largest JSON file of arrays, in bytes; parsed, it takes ten times as much.
const JSON_BYTES: u64 = 16 << 20;
/// Largest number of arrays in one file.
const MOST_ARRAYS: usize = 1000;
/// The preamble of an `.npy` file: magic, version, and the header's length in 2 or 4 bytes.
const LONGEST_PREAMBLE: usize = 12;
/// Limits on an `.npy` file's header, in bytes and in brackets; numpy writes 64 or 128 bytes with three brackets.
const MOST_HEADER_BYTES: usize = 4096;
const MOST_BRACKETS: usize = 8;

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
            let (file, entries) = open_npy(&bytes[..], &name, bytes.len())?;
            room.take(entries, &name)?;
            let stem = path
                .file_stem()
                .map(|stem| stem.to_string_lossy().into_owned());
            Ok(BTreeMap::from([(
                stem.unwrap_or_default(),
                from_npy(file, entries, &name)?,
            )]))
        }
        Some("json") => read_json(&read(JSON_BYTES)?, &name),
        _ => Err(format!(
            "{name}: expected a file that ends in .npz, .npy or .json"
        )),
    }
}

/// The array of an `.npy` file, of any numeric type and order.
pub(super) fn read_npy(bytes: &[u8], name: &str) -> Result<Array, String> {
    let (file, entries) = open_npy(bytes, name, bytes.len().min(MOST_NUMBERS))?;
    from_npy(file, entries, name)
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
        let Some(array) = array_name_from_file_name(&path).map(str::to_owned) else {
            continue;
        };
        let place = format!("{name}, {array}");
        let (file, entries) = open_npy(file, &place, MOST_HANDED_IN)?;
        room.take(entries, &place)?;
        let read = from_npy(file, entries, &place)?;
        if arrays.insert(array.clone(), read).is_some() {
            return Err(format!("{name}: two arrays have the name {array}"));
        }
    }
    Ok(arrays)
}

/// Reads the header of a file and the number of entries that it claims. More than `most` are refused before memory is
/// allocated for them.
fn open_npy<R: Read>(
    mut file: R,
    name: &str,
    most: usize,
) -> Result<(NpyFile<impl Read>, usize), String> {
    let header = read_header(&mut file).map_err(|why| format!("{name}: {why}"))?;
    let file = NpyFile::new(Cursor::new(header).chain(file))
        .map_err(|error| format!("{name}: this is no .npy file: {error}"))?;
    let entries = file.shape().iter().try_fold(1_usize, |product, size| {
        product.checked_mul(usize::try_from(*size).ok()?)
    });
    match entries.filter(|entries| *entries <= most) {
        Some(entries) => Ok((file, entries)),
        None => Err(format!(
            "{name}: its header has the shape {:?}, which is more than the file contains or more than is read",
            &file.shape()[..file.shape().len().min(8)]
        )),
    }
}

/// The bytes before the entries, checked first: npyz allocates the length that they claim, and recurses into each bracket.
fn read_header(file: &mut impl Read) -> Result<Vec<u8>, String> {
    let no_file = |error: std::io::Error| format!("this is no .npy file: {error}");
    let mut bytes = vec![0; LONGEST_PREAMBLE];
    file.read_exact(&mut bytes).map_err(no_file)?;
    if !bytes.starts_with(b"\x93NUMPY") {
        return Err("this is no .npy file: it does not begin as one".to_owned());
    }
    let (preamble, length) = if bytes[6] == 1 {
        (10, usize::from(u16::from_le_bytes([bytes[8], bytes[9]])))
    } else {
        let length = u32::from_le_bytes([bytes[8], bytes[9], bytes[10], bytes[11]]);
        (12, usize::try_from(length).unwrap_or(usize::MAX))
    };
    if !(2..=MOST_HEADER_BYTES).contains(&length) {
        return Err(format!(
            "its header has {length} bytes; at most {MOST_HEADER_BYTES} are read"
        ));
    }
    bytes.resize(preamble + length, 0);
    file.read_exact(&mut bytes[LONGEST_PREAMBLE..])
        .map_err(no_file)?;
    let brackets = bytes[preamble..]
        .iter()
        .filter(|byte| b"([{".contains(byte));
    if brackets.count() > MOST_BRACKETS {
        return Err("its header does not describe a plain array".to_owned());
    }
    Ok(bytes)
}

/// The entries of one array.
fn from_npy<R: Read>(file: NpyFile<R>, entries: usize, name: &str) -> Result<Array, String> {
    let shape: Vec<usize> = file
        .shape()
        .iter()
        .map(|size| usize::try_from(*size).unwrap_or(usize::MAX))
        .collect();
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

    fn npy(header: &str, entries: usize) -> Vec<u8> {
        let mut bytes = b"\x93NUMPY\x02\x00".to_vec();
        bytes.extend((header.len() as u32).to_le_bytes());
        bytes.extend(header.as_bytes());
        bytes.resize(bytes.len() + entries, 0);
        bytes
    }

    fn header(dtype: &str, shape: &str) -> String {
        format!("{{'descr': '{dtype}', 'fortran_order': False, 'shape': {shape}, }}\n")
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
