//! Files as other programs write them.

use std::fs;
use std::io::{Cursor, Write as _};
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::write::GzEncoder;
use tempfile::TempDir;
use zip::CompressionMethod;
use zip::write::{SimpleFileOptions, ZipWriter};

/// A folder of files that are removed at the end of the test.
pub struct Folder(TempDir);

impl Folder {
    pub fn new() -> Self {
        Self(tempfile::tempdir().expect("a temporary directory"))
    }

    pub fn path(&self) -> &Path {
        self.0.path()
    }

    pub fn write(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.path().join(name);
        fs::write(&path, bytes).expect("a writable directory");
        path
    }

    /// A file of inputs and one of what to predict beside it, as `.npy`.
    pub fn write_pair(&self, name: &str, inputs: &[u8], kind: &str, truth: &[u8]) -> PathBuf {
        self.write(&format!("{name}.{kind}.npy"), truth);
        self.write(&format!("{name}.npy"), inputs)
    }
}

/// An `.npy` file as numpy writes it.
pub fn npy(descr: &str, by_column: bool, shape: &[usize], bytes: &[u8]) -> Vec<u8> {
    let order = if by_column { "True" } else { "False" };
    let shape: String = shape.iter().map(|size| format!("{size}, ")).collect();
    let header =
        format!("{{'descr': '{descr}', 'fortran_order': {order}, 'shape': ({shape}), }}  \n");
    let mut file = b"\x93NUMPY\x01\x00".to_vec();
    file.extend(
        u16::try_from(header.len())
            .expect("a short header")
            .to_le_bytes(),
    );
    file.extend(header.as_bytes());
    file.extend(bytes);
    file
}

/// An archive as `numpy.savez`, or `numpy.savez_compressed`, writes it.
pub fn npz(arrays: &[(&str, Vec<u8>)], is_packed: bool) -> Vec<u8> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    let method = if is_packed {
        CompressionMethod::Deflated
    } else {
        CompressionMethod::Stored
    };
    for (name, bytes) in arrays {
        let options = SimpleFileOptions::default().compression_method(method);
        zip.start_file(format!("{name}.npy"), options)
            .expect("memory");
        zip.write_all(bytes).expect("memory");
    }
    zip.finish().expect("memory").into_inner()
}

pub fn gz(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).expect("memory");
    encoder.finish().expect("memory")
}

pub fn idx(kind: u8, shape: &[u32], bytes: &[u8]) -> Vec<u8> {
    let axes = u8::try_from(shape.len()).expect("few axes");
    let mut file = vec![0, 0, kind, axes];
    file.extend(shape.iter().flat_map(|size| size.to_be_bytes()));
    file.extend(bytes);
    file
}

pub fn safetensors(header: &str, bytes: &[u8]) -> Vec<u8> {
    let mut file = (header.len() as u64).to_le_bytes().to_vec();
    file.extend(header.as_bytes());
    file.extend(bytes);
    file
}

/// The little-endian bytes of numbers.
macro_rules! le {
    ($numbers:expr) => {
        $numbers
            .iter()
            .flat_map(|number| number.to_le_bytes())
            .collect::<Vec<u8>>()
    };
}

/// The big-endian bytes of numbers.
macro_rules! be {
    ($numbers:expr) => {
        $numbers
            .iter()
            .flat_map(|number| number.to_be_bytes())
            .collect::<Vec<u8>>()
    };
}

pub(crate) use {be, le};
