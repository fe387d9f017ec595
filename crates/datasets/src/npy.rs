//! NumPy's `.npy` format: a magic, a header that is a Python dict, the entries.
//!
//! numpy writes headers of one shape, `{'descr': '<f8', 'fortran_order': False, 'shape': (2, 3), }`; anything else is
//! refused before memory is taken for it.

use std::io::Read;

use crate::arrays::{Layout, Source, by_row, for_each_piece};
use crate::element::Element;

/// The most bytes of a header; numpy writes 64 or 128.
const MOST_HEADER_BYTES: usize = 4096;
/// The most axes of an array: numpy's own limit is 64.
const MOST_AXES: usize = 64;

/// An array's axes, and its entries row after row.
pub type ShapeAndEntries = (Vec<usize>, Vec<f64>);

/// What a header says of the entries that follow it.
#[derive(Clone, Debug)]
pub struct Header {
    layout: Layout,
    /// The number of entries: the product of the shape.
    pub entries: usize,
}

/// The value of one key of the header.
enum Value<'a> {
    Text(&'a str),
    Flag(bool),
    Sizes(Vec<usize>),
}

impl Header {
    /// Reads up to the first entry. A header that promises more than `most` entries is refused.
    ///
    /// # Errors
    /// What the header has in place of a plain array of numbers.
    pub fn read(file: &mut impl Read, most: usize) -> Result<Self, String> {
        let no_file = |error: std::io::Error| format!("this is no .npy file: {error}");
        let mut preamble = [0; 8];
        file.read_exact(&mut preamble).map_err(no_file)?;
        let [magic @ .., major, _minor] = preamble;
        if &magic != b"\x93NUMPY" {
            return Err("this is no .npy file: it does not begin as one".to_owned());
        }
        let length = if major == 1 {
            let mut length = [0; 2];
            file.read_exact(&mut length).map_err(no_file)?;
            usize::from(u16::from_le_bytes(length))
        } else {
            let mut length = [0; 4];
            file.read_exact(&mut length).map_err(no_file)?;
            usize::try_from(u32::from_le_bytes(length)).unwrap_or(usize::MAX)
        };
        if length > MOST_HEADER_BYTES {
            return Err(format!(
                "its header has {length} bytes; at most {MOST_HEADER_BYTES} are read"
            ));
        }
        let mut text = vec![0; length];
        file.read_exact(&mut text).map_err(no_file)?;
        let no_array = || "its header does not describe a plain array".to_owned();
        let header = Self::parse(std::str::from_utf8(&text).map_err(|_| no_array())?)?;
        if header.entries > most {
            return Err(format!(
                "its header has the shape {:?}, which is more than the file contains or more than is read",
                &header.layout.shape[..header.layout.shape.len().min(8)]
            ));
        }
        Ok(header)
    }

    fn parse(text: &str) -> Result<Self, String> {
        let no_array = || "its header does not describe a plain array".to_owned();
        let (mut descr, mut by_column, mut shape) = (None, None, None);
        let mut rest = text.trim().strip_prefix('{').ok_or_else(no_array)?;
        loop {
            rest = rest.trim_start();
            if rest == "}" {
                break;
            }
            let (key, after) = quoted(rest).ok_or_else(no_array)?;
            let after = after.trim_start().strip_prefix(':').ok_or_else(no_array)?;
            let after = after.trim_start();
            if key == "descr" && after.starts_with(['[', '{']) {
                return Err("found a structured type, expected plain numbers".to_owned());
            }
            let (value, after) = value(after).ok_or_else(no_array)?;
            match (key, value) {
                ("descr", Value::Text(text)) => descr = Some(text),
                ("fortran_order", Value::Flag(flag)) => by_column = Some(flag),
                ("shape", Value::Sizes(sizes)) => shape = Some(sizes),
                (_, Value::Text(_) | Value::Flag(_) | Value::Sizes(_)) => return Err(no_array()),
            }
            rest = after.trim_start();
            rest = rest.strip_prefix(',').unwrap_or(rest);
        }
        let (Some(descr), Some(by_column), Some(shape)) = (descr, by_column, shape) else {
            return Err(no_array());
        };
        let layout = Layout {
            element: element(descr)?,
            big_endian: descr.starts_with('>'),
            by_column,
            shape,
        };
        Ok(Self {
            entries: layout.count(),
            layout,
        })
    }

    /// The axes, the type and the order of the entries.
    pub(crate) fn into_layout(self) -> Layout {
        self.layout
    }

    /// The entries, row after row.
    ///
    /// # Errors
    /// The file ends before the last entry, or cannot be read.
    pub fn read_entries(self, file: &mut impl Read) -> Result<ShapeAndEntries, String> {
        let layout = self.layout;
        let mut entries = Vec::new();
        let source = Source::Stream(Box::new(file));
        for_each_piece("array", &layout, source, |bytes| {
            layout
                .element
                .decode(bytes, layout.big_endian, &mut entries);
        })
        .map_err(|fault| fault.to_string())?;
        if layout.by_column && layout.shape.len() > 1 {
            let by_row = by_row(&layout.shape, &entries);
            entries = by_row.map_err(|fault| fault.to_string())?;
        }
        Ok((layout.shape, entries))
    }
}

/// `<f8`: the order of the bytes, the kind of number, its size in bytes.
fn element(descr: &str) -> Result<Element, String> {
    Ok(match descr.trim_start_matches(['<', '>', '|', '=']) {
        "f2" => Element::F16,
        "f4" => Element::F32,
        "f8" => Element::F64,
        "i1" => Element::I8,
        "i2" => Element::I16,
        "i4" => Element::I32,
        "i8" => Element::I64,
        "u1" => Element::U8,
        "u2" => Element::U16,
        "u4" => Element::U32,
        "u8" => Element::U64,
        "b1" => Element::Bool,
        _ => {
            let shown: String = descr.chars().take(20).collect();
            return Err(format!(
                "found the type {shown}, expected float16, float32, float64, an integer type or bool; numpy's astype converts"
            ));
        }
    })
}

/// A Python string without escapes, and what follows it.
fn quoted(text: &str) -> Option<(&str, &str)> {
    let quote = text.chars().next().filter(|c| matches!(c, '\'' | '"'))?;
    text[1..].split_once(quote)
}

/// A string, a truth value or a tuple of integers, and what follows it.
fn value(text: &str) -> Option<(Value<'_>, &str)> {
    if let Some(rest) = text.strip_prefix("True") {
        return Some((Value::Flag(true), rest));
    }
    if let Some(rest) = text.strip_prefix("False") {
        return Some((Value::Flag(false), rest));
    }
    let Some(inside) = text.strip_prefix('(') else {
        return quoted(text).map(|(text, rest)| (Value::Text(text), rest));
    };
    let (inside, rest) = inside.split_once(')')?;
    let inside = inside.trim();
    let inside = inside.strip_suffix(',').unwrap_or(inside);
    if inside.is_empty() {
        return Some((Value::Sizes(Vec::new()), rest));
    }
    let sizes: Option<Vec<usize>> = inside
        .split(',')
        .map(|size| size.trim().parse().ok())
        .collect();
    sizes
        .filter(|sizes| sizes.len() <= MOST_AXES)
        .map(|sizes| (Value::Sizes(sizes), rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file of version 2.
    fn file(header: &str, entries: &[u8]) -> Vec<u8> {
        let mut bytes = b"\x93NUMPY\x02\x00".to_vec();
        bytes.extend((header.len() as u32).to_le_bytes());
        bytes.extend(header.as_bytes());
        bytes.extend(entries);
        bytes
    }

    /// A header as numpy writes it.
    fn header(descr: &str, by_column: bool, shape: &str) -> String {
        let order = if by_column { "True" } else { "False" };
        format!("{{'descr': '{descr}', 'fortran_order': {order}, 'shape': {shape}, }}   \n")
    }

    fn read(bytes: &[u8]) -> Result<ShapeAndEntries, String> {
        let mut file = bytes;
        Header::read(&mut file, 100)?.read_entries(&mut file)
    }

    #[test]
    fn every_type_is_read_in_either_order_of_bytes() {
        let widened = |descr: &str, entries: &[u8]| {
            read(&file(&header(descr, false, "(2,)"), entries))
                .expect("valid")
                .1
        };
        assert_eq!(widened("|u1", &[7, 255]), [7.0, 255.0]);
        assert_eq!(widened("|i1", &[7, 255]), [7.0, -1.0]);
        assert_eq!(widened("|b1", &[0, 1]), [0.0, 1.0]);
        macro_rules! both_orders {
            ($($number:ty, $descr:literal, $entries:expr;)+) => {$(
                let numbers: [$number; 2] = $entries;
                let expected = numbers.map(|number| number as f64);
                let little = numbers.map(<$number>::to_le_bytes).concat();
                assert_eq!(widened(concat!("<", $descr), &little), expected);
                let big = numbers.map(<$number>::to_be_bytes).concat();
                assert_eq!(widened(concat!(">", $descr), &big), expected);
            )+};
        }
        both_orders! {
            f32, "f4", [1.5, -2.25];
            f64, "f8", [1e300, -0.1];
            i16, "i2", [300, -300];
            i32, "i4", [70_000, -70_000];
            i64, "i8", [1 << 40, -(1 << 40)];
            u16, "u2", [300, 65_535];
            u32, "u4", [70_000, u32::MAX];
            u64, "u8", [1 << 40, u64::MAX];
        }
    }

    #[test]
    fn float16_is_read_in_either_order_of_bytes() {
        let little = file(&header("<f2", false, "(2,)"), &[0x00, 0x3c, 0x00, 0xc0]);
        assert_eq!(read(&little).expect("read").1, [1.0, -2.0]);
        let big = file(&header(">f2", false, "(2,)"), &[0x3c, 0x00, 0xc0, 0x00]);
        assert_eq!(read(&big).expect("read").1, [1.0, -2.0]);
    }

    #[test]
    fn shapes_orders_and_spellings_of_a_header_are_read() {
        let shape = |header: &str, entries: usize| {
            read(&file(header, &vec![0; entries])).map(|(shape, _)| shape)
        };
        assert_eq!(shape(&header("|u1", false, "()"), 1), Ok(vec![]));
        assert_eq!(shape(&header("|u1", false, "(3,)"), 3), Ok(vec![3]));
        assert_eq!(shape(&header("|u1", false, "(0, 3)"), 0), Ok(vec![0, 3]));
        assert_eq!(
            shape(
                r#"{"shape":(1,2,3),"fortran_order":False,"descr":"|u1"}"#,
                6
            ),
            Ok(vec![1, 2, 3])
        );
        let columns = file(&header("|u1", true, "(2, 3)"), &[1, 4, 2, 5, 3, 6]);
        let (_, rows) = read(&columns).expect("valid");
        assert_eq!(rows, [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
        let cube = file(
            &header("|u1", true, "(2, 3, 2)"),
            &[1, 7, 3, 9, 5, 11, 2, 8, 4, 10, 6, 12],
        );
        let (_, rows) = read(&cube).expect("valid");
        assert_eq!(rows, (1..=12).map(f64::from).collect::<Vec<_>>());

        // Version 1: a length of two bytes.
        let text = header("|u1", false, "(1,)");
        let mut first = b"\x93NUMPY\x01\x00".to_vec();
        first.extend((text.len() as u16).to_le_bytes());
        first.extend(text.as_bytes());
        first.push(9);
        assert_eq!(read(&first).expect("valid").1, [9.0]);
    }

    #[test]
    fn what_is_no_plain_array_is_refused_with_a_reason() {
        let refused = |header: &str, entries: usize| {
            read(&file(header, &vec![0; entries])).expect_err("no plain array")
        };
        let structured = "{'descr': [('a', '<f8')], 'fortran_order': False, 'shape': (1,), }";
        assert!(refused(structured, 8).contains("a structured type"));
        let complex = refused(&header("<c16", false, "(1,)"), 16);
        assert!(complex.contains("found the type <c16, expected float16"));
        assert!(refused(&header("|u1", false, "(101,)"), 101).contains("has the shape [101]"));
        assert!(refused(&header("<f8", false, "(3,)"), 23).contains("given 2 numbers; allowed: 3"));
        for header in [
            "",
            "{",
            "{}",
            "{'descr': '|u1'}",
            "{'descr': '|u1', 'fortran_order': False, 'shape': (-1,)}",
            "{'descr': '|u1', 'fortran_order': False, 'shape': (1}",
            "{'descr': '|u1', 'fortran_order': 'False', 'shape': (1,)}",
            "{'descr': '|u1', 'fortran_order': False, 'shape': (1,)} and more",
            "{'é': 1}",
            "{'",
        ] {
            assert!(
                refused(header, 8).contains("does not describe a plain array"),
                "{header}"
            );
        }
    }
}
