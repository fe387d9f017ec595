//! Any bytes as a file of data, of the format that the first byte chooses: refused, or a dataset that can be read.
#![no_main]

use std::fs;
use std::path::PathBuf;
use std::sync::OnceLock;

use backpropd_datasets::{OpenOptions, TruthRows, open};
use libfuzzer_sys::fuzz_target;

const NAMES: [&str; 7] = [
    "a.safetensors",
    "a.npz",
    "a.npy",
    "a.csv",
    "a.csv.gz",
    "a-images-idx3-ubyte",
    "a-images-idx3-ubyte.gz",
];

/// A folder with labels for the formats that have them in a file of their own.
fn folder() -> &'static PathBuf {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| {
        let folder = std::env::temp_dir().join(format!("backpropd-fuzz-{}", std::process::id()));
        fs::create_dir_all(&folder).expect("writable");
        fs::write(folder.join("a-labels-idx1-ubyte"), [0, 0, 8, 1, 0, 0, 0, 2, 0, 1]).expect("writable");
        let header = b"{'descr': '|u1', 'fortran_order': False, 'shape': (2,), }";
        let labels = [&b"\x93NUMPY\x01\x00\x39\x00"[..], header, &[0, 1]].concat();
        fs::write(folder.join("a.labels.npy"), labels).expect("writable");
        folder
    })
}

fuzz_target!(|bytes: &[u8]| {
    let Some((first, bytes)) = bytes.split_first() else {
        return;
    };
    let path = folder().join(NAMES[usize::from(*first) % NAMES.len()]);
    fs::write(&path, bytes).expect("writable");
    let options = OpenOptions {
        one_hot: first & 0x80 != 0,
        max_resident_bytes: 1 << 20,
        ..OpenOptions::default()
    };
    if let Ok(dataset) = open(&path, &options) {
        let (mut inputs, mut truth) = (Vec::<f32>::new(), TruthRows::default());
        // A number can be too large for this type.
        let _ = dataset.copy_rows(&[dataset.rows() - 1, 0], false, &mut inputs, &mut truth);
    }
});
