//! A dataset that is read in blocks is the one in memory.

use std::fs::{self, File};
use std::io::Write as _;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use backpropd_datasets::{
    Dataset, Fault, OpenOptions, ReadError, Standardization, TruthKind, TruthRows, open,
};
use backpropd_engine::nn::Scalar;
use proptest::prelude::*;

use crate::files::{Folder, be, gz, idx, le, npy, npz};

fn in_blocks() -> OpenOptions {
    OpenOptions {
        // The labels of a small dataset.
        max_resident_bytes: 1000,
        ..OpenOptions::default()
    }
}

fn rows<T: Scalar>(dataset: &Dataset, rows: &[usize], standardize: bool) -> (Vec<T>, TruthRows<T>) {
    let (mut inputs, mut truth) = (Vec::new(), TruthRows::default());
    dataset
        .copy_rows(rows, standardize, &mut inputs, &mut truth)
        .expect("readable");
    (inputs, truth)
}

fn assert_same(path: &Path, order: &[usize]) {
    let memory = open(path, &OpenOptions::default()).expect("valid");
    let blocks = open(path, &in_blocks()).expect("valid");
    let labels = blocks.labels().map_or(0, |labels| labels.len() * 4);
    assert_eq!(blocks.resident_bytes(), labels);
    assert_eq!(memory.resident_bytes() as u64, memory.data_bytes());
    assert_eq!(memory.digest(), blocks.digest());
    assert!(blocks.whole::<f32>().is_none() && blocks.whole::<f64>().is_none());
    let all: Vec<usize> = (0..memory.rows()).collect();
    let [of_memory, of_blocks] =
        [&memory, &blocks].map(|dataset| Standardization::of(dataset, &all).expect("readable"));
    assert_eq!(of_memory, of_blocks);
    let [memory, blocks] = [memory, blocks].map(|dataset| {
        dataset
            .with_standardization(Some(of_memory.clone()))
            .expect("they fit")
    });
    for order in [order, &all] {
        for standardize in [false, true] {
            assert_eq!(
                rows::<f32>(&memory, order, standardize),
                rows::<f32>(&blocks, order, standardize)
            );
            assert_eq!(
                rows::<f64>(&memory, order, standardize),
                rows::<f64>(&blocks, order, standardize)
            );
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(24) })]

    #[test]
    fn blocks_are_the_rows_in_memory(
        columns in 1_usize..300,
        order in prop::collection::vec(0_usize..200, 0..100),
        seed in 0_u32..1000,
    ) {
        let folder = Folder::new();
        let count = 200 * columns;
        let random = (0..u32::try_from(count).expect("small")).map(|at| at.wrapping_add(seed).wrapping_mul(2_654_435_761));
        let f32s: Vec<f32> = random.clone().map(|bits| bits as f32 / 7.0 - 1e8).collect();
        let f64s: Vec<f64> = random.clone().map(|bits| f64::from(bits) / 7.0 - 1e8).collect();
        let bytes: Vec<u8> = random.map(|bits| (bits >> 24) as u8).collect();
        let labels: Vec<u8> = bytes[..200].iter().map(|byte| byte % 3).chain([]).collect();
        let mut labels = labels;
        labels[0] = 2;
        let shape = [200, columns];
        let y = npy("|u1", false, &[200], &labels);
        let targets = npy("<f8", false, &[200, 2], &le!(f64s.iter().cycle().take(400).collect::<Vec<_>>()));
        let single = folder.write_pair("s", &npy("<f4", false, &shape, &le!(f32s)), "labels", &y);
        let double = folder.write_pair("d", &npy("<f8", false, &shape, &le!(f64s)), "targets", &targets);
        let pixels = folder.write_pair("b", &npy("|u1", false, &shape, &bytes), "labels", &y);
        folder.write("p-labels-idx1-ubyte", &idx(0x08, &[200], &labels));
        let pictures = folder.write("p-images-idx3-ubyte", &idx(0x08, &[200, u32::try_from(columns).expect("small")], &bytes));
        // With one column, 200 bytes fit.
        for path in [&single, &double, &pixels, &pictures] {
            let memory = open(path, &OpenOptions::default()).expect("valid");
            let canonical = path.with_extension("safetensors");
            memory.write(&canonical).expect("written");
            for path in [path, &canonical] {
                if memory.features() > 1 {
                    assert_same(path, &order);
                }
            }
        }
    }
}

#[test]
fn a_file_that_changed_under_its_reader_is_refused() {
    let folder = Folder::new();
    let x = npy("<f4", false, &[1000, 2], &le!(vec![1.0_f32; 2000]));
    let y = npy("|u1", false, &[1000], &[&[1; 999][..], &[0]].concat());
    let options = OpenOptions {
        max_resident_bytes: 5000,
        ..OpenOptions::default()
    };
    let read = |dataset: &Dataset| {
        let (mut inputs, mut truth) = (vec![7.0_f32], TruthRows::default());
        let read = dataset.copy_rows(&[3, 999], false, &mut inputs, &mut truth);
        if read.is_err() {
            assert_eq!(inputs, [7.0], "what was read is taken back");
        }
        read
    };
    // A number is overwritten; the file is cut; it grows.
    let changes: [fn(&File); 3] = [
        |file| {
            file.write_all_at(&2.0_f32.to_le_bytes(), 200)
                .expect("writable")
        },
        |file| file.set_len(200).expect("writable"),
        |mut file| file.write_all(b"x").expect("writable"),
    ];
    for change in changes {
        let path = folder.write_pair("x", &x, "labels", &y);
        let dataset = open(&path, &options).expect("valid");
        read(&dataset).expect("unchanged");
        // Times of files move in steps of milliseconds.
        let before = fs::metadata(&path)
            .expect("there")
            .modified()
            .expect("known");
        let file = File::options()
            .append(false)
            .write(true)
            .open(&path)
            .expect("writable");
        while fs::metadata(&path)
            .expect("there")
            .modified()
            .expect("known")
            == before
        {
            change(&file);
        }
        let error = read(&dataset).expect_err("it changed");
        assert!(matches!(error, ReadError::Changed { .. }), "{error}");
        assert!(
            error.to_string().contains("x.npy: the file has changed"),
            "{error}"
        );
    }
    // Another file under the name is another file: the open one can still be read.
    let path = folder.write_pair("x", &x, "labels", &y);
    let dataset = open(&path, &options).expect("valid");
    let other = folder.write("other", b"");
    fs::rename(&other, &path).expect("writable");
    read(&dataset).expect("the file that was opened");
    fs::remove_file(&path).expect("writable");
    read(&dataset).expect("the file that was opened");
}

#[test]
fn what_cannot_be_read_in_blocks_is_refused_with_the_way_out() {
    let folder = Folder::new();
    let numbers = vec![1.0_f64; 2000];
    let y = npy("|u1", false, &[100], &[&[1; 99][..], &[0]].concat());
    let c = npy("<f8", false, &[100, 20], &le!(numbers));
    let text = "1,2,3,4,5,6,7,8,9,a\n1,2,3,4,5,6,7,8,9,b\n".repeat(50);
    let images = idx(0x08, &[100, 20], &[9; 2000]);
    folder.write(
        "g-labels-idx1-ubyte",
        &idx(0x08, &[100], &[&[1; 99][..], &[0]].concat()),
    );
    let paths = [
        folder.write("a.npz", &npz(&[("x", c), ("y", y.clone())], true)),
        folder.write("a.csv", text.as_bytes()),
        folder.write_pair(
            "f",
            &npy("<f8", true, &[100, 20], &le!(numbers)),
            "labels",
            &y,
        ),
        folder.write_pair(
            "b",
            &npy(">f8", false, &[100, 20], &be!(numbers)),
            "labels",
            &y,
        ),
        folder.write("g-images-idx3-ubyte.gz", &gz(&images)),
    ];
    for path in paths {
        open(&path, &OpenOptions::default()).expect("it fits");
        let error = open(&path, &in_blocks()).expect_err("it does not fit");
        assert!(matches!(error.fault, Fault::TooLarge { .. }), "{error}");
        assert!(
            error.to_string().contains("backpropd datasets convert"),
            "{error}"
        );
    }
}

#[test]
fn rows_that_do_not_exist_and_numbers_too_large_for_the_type_are_refused() {
    let dataset =
        Dataset::with_labels(2, vec![1.0, 2.0, 3.0, 1e300], &[0, 1], None).expect("valid");
    assert_eq!(dataset.truth(), &TruthKind::unnamed(2));
    let (mut inputs, mut truth) = (Vec::<f32>::new(), TruthRows::default());
    let error = dataset.copy_rows(&[0, 2], false, &mut inputs, &mut truth);
    assert!(matches!(
        error,
        Err(ReadError::NoSuchRow { row: 2, rows: 2 })
    ));
    let error = dataset.copy_rows(&[0, 1], false, &mut inputs, &mut truth);
    let error = error.expect_err("infinite in float32").to_string();
    assert!(
        error.contains("row 2, column 2 (from 1): 1e300 is too large"),
        "{error}"
    );
    assert!(inputs.is_empty() && truth.labels.is_empty());
    rows::<f64>(&dataset, &[0, 1], false);
}
