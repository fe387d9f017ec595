//! Writes PNG (W3C, third edition): what a plot needs of it.

use std::io::{self, Write as _};

use flate2::{Compression, Crc, write::ZlibEncoder};

const SIGNATURE: &[u8] = b"\x89PNG\r\n\x1a\n";

/// Eight bits for each of red, green and blue; the one compression, the one filter method, not interlaced.
const TRUE_COLOUR: [u8; 5] = [8, 2, 0, 0, 0];

/// The filter of a row: each byte minus the one above it. Most rows of a plot equal the row above.
const UP: u8 = 2;

/// A picture of three bytes a pixel, row after row, as a PNG file.
pub(super) fn encode(width: u32, height: u32, pixels: &[u8]) -> io::Result<Vec<u8>> {
    let columns = 3 * width as usize;
    let mut rows = ZlibEncoder::new(Vec::new(), Compression::default());
    let mut above = vec![0; columns];
    for row in pixels.chunks_exact(columns) {
        let differences = row
            .iter()
            .zip(&above)
            .map(|(byte, up)| byte.wrapping_sub(*up));
        let differences: Vec<u8> = differences.collect();
        rows.write_all(&[UP])?;
        rows.write_all(&differences)?;
        above.copy_from_slice(row);
    }
    let header = [
        &width.to_be_bytes()[..],
        &height.to_be_bytes(),
        &TRUE_COLOUR,
    ]
    .concat();
    let mut file = SIGNATURE.to_vec();
    chunk(&mut file, b"IHDR", &header)?;
    chunk(&mut file, b"IDAT", &rows.finish()?)?;
    chunk(&mut file, b"IEND", &[])?;
    Ok(file)
}

/// Length, kind, data, and a checksum of the kind and the data.
fn chunk(file: &mut Vec<u8>, kind: &[u8; 4], data: &[u8]) -> io::Result<()> {
    let length = u32::try_from(data.len()).map_err(io::Error::other)?;
    let mut sum = Crc::new();
    sum.update(kind);
    sum.update(data);
    file.extend(length.to_be_bytes());
    file.extend(kind);
    file.extend(data);
    file.extend(sum.sum().to_be_bytes());
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    #[test]
    fn a_picture_comes_back_pixel_by_pixel() {
        let (width, height) = (3, 4);
        let pixels: Vec<u8> = (0..36_u8).map(|at| at.wrapping_mul(91)).collect();
        let file = encode(width, height, &pixels).expect("memory");
        assert!(
            file.starts_with(b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR\0\0\0\x03\0\0\0\x04\x08\x02\0\0\0")
        );
        // The checksum of an empty IEND is the same in every PNG file.
        assert!(file.ends_with(b"\0\0\0\0IEND\xae\x42\x60\x82"));
        let data = &file[33 + 8..file.len() - 12 - 4];
        let mut rows = Vec::new();
        flate2::read::ZlibDecoder::new(data)
            .read_to_end(&mut rows)
            .expect("zlib");
        let mut read = vec![0_u8; 9];
        for row in rows.chunks_exact(10) {
            assert_eq!(row[0], 2);
            let at = read.len() - 9;
            let above = read[at..].to_vec();
            read.extend(
                above
                    .iter()
                    .zip(&row[1..])
                    .map(|(up, by)| up.wrapping_add(*by)),
            );
        }
        assert_eq!(read[9..], pixels);
    }
}
