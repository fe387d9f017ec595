//! No bytes end the program, and no header has it take memory.

use std::path::PathBuf;

use backpropd_datasets::{OpenOptions, digits, open};
use proptest::prelude::*;

use crate::files::{Folder, gz, idx, le, npy, npz, safetensors};

const NAMES: [&str; 8] = [
    "a.safetensors",
    "a.npz",
    "a.npy",
    "a.csv",
    "a.tsv.gz",
    "a-images-idx3-ubyte",
    "a-images-idx3-ubyte.gz",
    "a.csv.gz",
];

/// A file of each format, with its labels beside it.
fn valid() -> (Folder, Vec<(PathBuf, Vec<u8>)>) {
    let folder = Folder::new();
    let x = npy(
        "<f4",
        false,
        &[3, 2],
        &le!([1.0_f32, 2.0, 3.0, 4.0, 5.0, 6.0]),
    );
    let y = npy("|u1", false, &[3], &[0, 1, 2]);
    folder.write("a.labels.npy", &y);
    folder.write("a-labels-idx1-ubyte", &idx(0x08, &[3], &[0, 1, 2]));
    let images = idx(0x08, &[3, 2], &[1, 2, 3, 4, 5, 6]);
    let text = b"1,2,a\n3,4,b\n";
    let canonical = folder.path().join("a.safetensors");
    digits().write(&canonical).expect("written");
    let canonical = std::fs::read(canonical).expect("written");
    let files = [
        canonical,
        npz(&[("x", x.clone()), ("y", y)], true),
        x,
        text.to_vec(),
        gz(text),
        images.clone(),
        gz(&images),
        gz(text),
    ];
    let files = NAMES.iter().zip(files);
    let files = files
        .map(|(name, bytes)| (folder.path().join(name), bytes))
        .collect();
    (folder, files)
}

fn options() -> OpenOptions {
    OpenOptions {
        one_hot: true,
        max_resident_bytes: 1 << 24,
        ..OpenOptions::default()
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(64) })]

    #[test]
    fn any_bytes_are_a_data_set_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let folder = Folder::new();
        folder.write("a.labels.npy", &bytes);
        folder.write("a-labels-idx1-ubyte", &bytes);
        for name in NAMES {
            let _ = open(&folder.write(name, &bytes), &options());
        }
    }

    #[test]
    fn a_damaged_file_is_a_data_set_or_an_error(
        at in any::<prop::sample::Index>(),
        byte in any::<u8>(),
        cut in any::<prop::sample::Index>(),
    ) {
        let (_folder, files) = valid();
        for (path, mut bytes) in files {
            std::fs::write(&path, &bytes).expect("writable");
            prop_assert!(open(&path, &options()).is_ok(), "{}", path.display());
            std::fs::write(&path, &bytes[..cut.index(bytes.len())]).expect("writable");
            let _ = open(&path, &options());
            // The headers are at the front.
            let place = at.index(bytes.len().min(300));
            bytes[place] = byte;
            std::fs::write(&path, &bytes).expect("writable");
            let _ = open(&path, &options());
        }
    }
}

#[test]
fn a_header_that_promises_too_much_is_refused_before_memory_is_taken() {
    let folder = Folder::new();
    let labels = npy("|u1", false, &[3], &[0, 1, 2]);
    let refused = |path: PathBuf| open(&path, &options()).expect_err("refused").to_string();
    let vast = [1 << 40, 1 << 40];
    for file in [
        npy("<f4", false, &vast, &[0; 8]),
        npy("<f4", false, &[1 << 50, 3], &[0; 8]),
    ] {
        let error = refused(folder.write_pair("a", &file, "labels", &labels));
        assert!(error.contains("bytes of the file"), "{error}");
    }
    let bomb = npz(
        &[
            ("x", npy("<f4", false, &[1 << 30, 1 << 9], &[0; 64])),
            ("y", labels),
        ],
        true,
    );
    let error = refused(folder.write("b.npz", &bomb));
    assert!(error.contains("are allowed in memory"), "{error}");
    folder.write("c-labels-idx1-ubyte", &idx(0x08, &[3], &[0, 1, 2]));
    let idx = gz(&idx(0x08, &[u32::MAX, u32::MAX, u32::MAX], &[0; 64]));
    let error = refused(folder.write("c-images-idx3-ubyte.gz", &idx));
    assert!(error.contains("are allowed in memory"), "{error}");
    let long = (1_u64 << 62).to_le_bytes();
    let error = refused(folder.write("d.safetensors", &long));
    assert!(error.contains("a length of"), "{error}");
    let wide = r#"{"x":{"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,8]}}"#;
    let error = refused(folder.write("e.safetensors", &safetensors(wide, &[0; 8])));
    assert!(error.contains("header"), "{error}");
    // 100 MB of zeros in 100 KB: one cell.
    let cell = vec![b'0'; 100 << 20];
    let zeros = gz(&[&b"1,a\n2,b\n"[..], &cell].concat());
    assert!(zeros.len() < 1 << 20);
    let error = refused(folder.write("f.csv.gz", &zeros));
    assert!(error.contains("a row of more than"), "{error}");
}
