//! NumPy's `.npy` format: a magic, a header that is a Python dict, the entries.
//!
//! numpy writes headers of one shape, `{'descr': '<f8', 'fortran_order': False, 'shape': (2, 3), }`; anything else is
//! refused before memory is taken for it.

use std::io::Read;

/// The most bytes of a header; numpy writes 64 or 128.
const MOST_HEADER_BYTES: usize = 4096;
/// The most axes of an array: numpy's own limit is 64.
const MOST_AXES: usize = 64;

/// An array's axes, and its entries row after row.
pub(super) type ShapeAndEntries = (Vec<usize>, Vec<f64>);

/// What a header says of the entries that follow it.
pub(super) struct Header {
    element: Element,
    big_endian: bool,
    by_column: bool,
    shape: Vec<usize>,
    /// The product of the shape.
    pub entries: usize,
}

#[derive(Clone, Copy)]
enum Element {
    F16,
    F32,
    F64,
    I8,
    I16,
    I32,
    I64,
    U8,
    U16,
    U32,
    U64,
    Bool,
}

/// The value of one key of the header.
enum Value<'a> {
    Text(&'a str),
    Flag(bool),
    Sizes(Vec<usize>),
}

impl Header {
    /// Reads up to the first entry. A header that promises more than `most` entries is refused.
    pub(super) fn read(file: &mut impl Read, most: usize) -> Result<Self, String> {
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
                &header.shape[..header.shape.len().min(8)]
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
        let entries = shape
            .iter()
            .try_fold(1_usize, |product, size| product.checked_mul(*size))
            .unwrap_or(usize::MAX);
        Ok(Self {
            element: element(descr)?,
            big_endian: descr.starts_with('>'),
            by_column,
            shape,
            entries,
        })
    }

    /// The entries, row after row.
    pub(super) fn read_entries(self, file: &mut impl Read) -> Result<ShapeAndEntries, String> {
        let size = self.element.size();
        let promised = self.entries.saturating_mul(size);
        let mut bytes = Vec::new();
        file.take(promised as u64)
            .read_to_end(&mut bytes)
            .map_err(|error| error.to_string())?;
        if bytes.len() != promised {
            return Err(format!(
                "found {} entries, but its header says {}",
                bytes.len() / size,
                self.entries
            ));
        }
        let values = self.element.widen(&bytes, self.big_endian);
        let values = match self.shape[..] {
            [rows, columns] if self.by_column => (0..self.entries)
                .map(|at| values[at % columns * rows + at / columns])
                .collect(),
            _ => values,
        };
        Ok((self.shape, values))
    }
}

impl Element {
    fn size(self) -> usize {
        match self {
            Self::I8 | Self::U8 | Self::Bool => 1,
            Self::F16 | Self::I16 | Self::U16 => 2,
            Self::F32 | Self::I32 | Self::U32 => 4,
            Self::F64 | Self::I64 | Self::U64 => 8,
        }
    }

    #[allow(
        clippy::cast_precision_loss,
        clippy::cast_lossless,
        reason = "features and labels beyond 2^53 are rounded, as numpy's astype does"
    )]
    fn widen(self, bytes: &[u8], big_endian: bool) -> Vec<f64> {
        macro_rules! widen {
            ($number:ty) => {{
                let (entries, _) = bytes.as_chunks();
                let read = if big_endian {
                    <$number>::from_be_bytes
                } else {
                    <$number>::from_le_bytes
                };
                entries.iter().map(|entry| read(*entry) as f64).collect()
            }};
        }
        match self {
            Self::F16 => {
                let (entries, _) = bytes.as_chunks();
                let read = if big_endian {
                    u16::from_be_bytes
                } else {
                    u16::from_le_bytes
                };
                entries.iter().map(|entry| half(read(*entry))).collect()
            }
            Self::F32 => widen!(f32),
            Self::F64 => widen!(f64),
            Self::I8 => widen!(i8),
            Self::I16 => widen!(i16),
            Self::I32 => widen!(i32),
            Self::I64 => widen!(i64),
            Self::U8 => widen!(u8),
            Self::U16 => widen!(u16),
            Self::U32 => widen!(u32),
            Self::U64 => widen!(u64),
            Self::Bool => bytes
                .iter()
                .map(|byte| f64::from(u8::from(*byte != 0)))
                .collect(),
        }
    }
}

/// The number that the bits of a float16 stand for: a sign, five bits of exponent, ten of fraction.
fn half(bits: u16) -> f64 {
    let (exponent, fraction) = (i32::from(bits >> 10 & 0x1f), f64::from(bits & 0x3ff));
    let size = match exponent {
        0 => fraction * 2_f64.powi(-24),
        0x1f if fraction == 0.0 => f64::INFINITY,
        0x1f => f64::NAN,
        _ => (fraction + 1024.0) * 2_f64.powi(exponent - 25),
    };
    if bits >> 15 == 1 { -size } else { size }
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
pub(super) mod tests {
    use super::*;

    /// A file of version 2.
    pub(in crate::cli) fn file(header: &str, entries: &[u8]) -> Vec<u8> {
        let mut bytes = b"\x93NUMPY\x02\x00".to_vec();
        bytes.extend((header.len() as u32).to_le_bytes());
        bytes.extend(header.as_bytes());
        bytes.extend(entries);
        bytes
    }

    /// A header as numpy writes it.
    pub(in crate::cli) fn header(descr: &str, by_column: bool, shape: &str) -> String {
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
    fn float16_is_widened_as_numpy_does() {
        for (bits, number) in [
            (0x3c00, 1.0),
            (0xc000, -2.0),
            (0x3555, 0.333_251_953_125),
            (0x7bff, 65_504.0),
            (0x0001, 2_f64.powi(-24)),
            (0x03ff, 1023.0 * 2_f64.powi(-24)),
            (0xfc00, f64::NEG_INFINITY),
        ] {
            assert_eq!(super::half(bits), number, "{bits:#x}");
        }
        assert!(super::half(0x7e00).is_nan());
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
        assert!(refused(&header("<f8", false, "(3,)"), 23).contains("found 2 entries"));
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
