//! IDX, the format of MNIST: two zeros, a type, the number of axes, their sizes; then the numbers, big-endian.

use std::io::{BufReader, Read};
use std::sync::Arc;

use flate2::read::MultiGzDecoder;

use crate::arrays::{Array, Layout, Source};
use crate::element::Element;
use crate::error::Fault;
use crate::file::SourceFile;

/// MNIST has three axes.
const MOST_AXES: u8 = 8;

/// Reads the header. Bytes become `Pixel`s if `pixels`.
pub(crate) fn open<'a>(
    file: &'a Arc<SourceFile>,
    name: &str,
    pixels: bool,
    is_packed: bool,
) -> Result<Array<'a>, Fault> {
    if is_packed {
        let mut stream = MultiGzDecoder::new(BufReader::new(file.reader()));
        let layout = header(&mut stream, name, pixels)?;
        return Ok(Array {
            layout,
            source: Source::Stream(Box::new(stream)),
        });
    }
    let mut reader = file.reader();
    let layout = header(&mut reader, name, pixels)?;
    Ok(Array {
        layout,
        source: Source::File(Arc::clone(file), reader.at()),
    })
}

fn header(file: &mut impl Read, name: &str, pixels: bool) -> Result<Layout, Fault> {
    let short = |error: std::io::Error| Fault::one(name, error, "a whole IDX file; copy it again");
    let mut magic = [0; 4];
    file.read_exact(&mut magic).map_err(short)?;
    let [0, 0, kind, axes @ 1..=MOST_AXES] = magic else {
        let given = format!("the first bytes {magic:02x?}");
        return Err(Fault::one(
            name,
            given,
            "an IDX file: 00 00, a type, the number of axes",
        ));
    };
    let element = match kind {
        0x08 if pixels => Element::Pixel,
        0x08 => Element::U8,
        0x09 => Element::I8,
        0x0b => Element::I16,
        0x0c => Element::I32,
        0x0d => Element::F32,
        0x0e => Element::F64,
        _ => {
            let given = format!("the type {kind:#04x}");
            return Err(Fault::one(
                name,
                given,
                "0x08, 0x09, 0x0b, 0x0c, 0x0d or 0x0e",
            ));
        }
    };
    let mut shape = Vec::new();
    for _ in 0..axes {
        let mut size = [0; 4];
        file.read_exact(&mut size).map_err(short)?;
        shape.push(usize::try_from(u32::from_be_bytes(size)).unwrap_or(usize::MAX));
    }
    Ok(Layout {
        shape,
        element,
        // Single bytes have no order, and can be read in blocks.
        big_endian: element.size() > 1,
        by_column: false,
    })
}
