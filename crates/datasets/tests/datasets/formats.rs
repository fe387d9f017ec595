//! The same content in every format.

use std::fs;

use backpropd_datasets::{
    Dataset, OpenError, OpenOptions, Standardization, TruthFile, TruthKind, TruthRows, TruthSlices,
    digits, find, open, open_inputs, open_pair,
};
use backpropd_engine::nn::{Dtype, Scalar};

use crate::files::{Folder, be, gz, idx, le, npy, npz, safetensors};

fn opened(path: &std::path::Path) -> Dataset {
    match open(path, &OpenOptions::default()) {
        Ok(dataset) => dataset,
        Err(error) => panic!("{error}"),
    }
}

fn inputs<T: Scalar>(dataset: &Dataset) -> Vec<T> {
    let rows: Vec<usize> = (0..dataset.rows()).collect();
    let (mut inputs, mut truth) = (Vec::new(), TruthRows::default());
    dataset
        .copy_rows(&rows, false, &mut inputs, &mut truth)
        .expect("readable");
    inputs
}

#[test]
fn equal_content_has_one_digest_in_every_format() {
    let folder = Folder::new();
    let x: [f64; 6] = [0.1, -2.5, 3.0, 1e-300, 5.0, 6.25];
    let by_column = [x[0], x[3], x[1], x[4], x[2], x[5]];
    let y = [1_i64, 0];
    let c = npy("<f8", false, &[2, 3], &le!(x));
    let labels = npy("<i8", false, &[2], &le!(y));
    let csv = "a,b,c,kind\n0.1,-2.5,3,1\n1e-300,5,6.25,0\n";
    let tsv = csv.replace(',', "\t");
    let arrays = [("x", c.clone()), ("y", labels.clone())];
    let fortran = npy("<f8", true, &[2, 3], &le!(by_column));
    let big = npy(">f8", false, &[2, 3], &be!(x));
    let paths = [
        folder.write_pair("c", &c, "labels", &labels),
        folder.write_pair("fortran", &fortran, "labels", &labels),
        folder.write_pair("big", &big, "labels", &labels),
        folder.write("stored.npz", &npz(&arrays, false)),
        folder.write("packed.npz", &npz(&arrays, true)),
        folder.write("text.csv", csv.as_bytes()),
        folder.write("text.csv.gz", &gz(csv.as_bytes())),
        folder.write("text.tsv", tsv.as_bytes()),
    ];
    let first = opened(&paths[0]);
    let canonical = folder.path().join("canonical.safetensors");
    assert_eq!(first.write(&canonical).expect("written"), first.digest());
    for path in paths.iter().chain([&canonical]) {
        let dataset = opened(path);
        assert_eq!(dataset.digest(), first.digest(), "{}", path.display());
        assert_eq!(inputs::<f64>(&dataset), x, "{}", path.display());
        assert_eq!(dataset.labels(), Some(&[1, 0][..]));
    }
    let other = npy(
        "<f8",
        false,
        &[2, 3],
        &le!([0.1_f64, -2.5, 3.0, 1e-300, 5.0, 6.5]),
    );
    let other = opened(&folder.write_pair("other", &other, "labels", &labels));
    assert_ne!(other.digest(), first.digest());
    // The same numbers in another shape.
    let x = x.to_vec();
    let [wide, high] = [(6, 2), (3, 1)].map(|(features, columns)| {
        let dataset = Dataset::with_targets(features, x.clone(), columns, vec![1.0, 2.0]);
        dataset.expect("valid").digest()
    });
    assert_ne!(wide, high);
}

#[test]
fn pictures_come_as_idx_with_pixels_from_0_to_1() {
    let folder = Folder::new();
    let pixels = [0_u8, 51, 255, 128, 1, 254, 3, 77];
    let images = idx(0x08, &[2, 2, 2], &pixels);
    let labels = idx(0x08, &[2], &[7, 1]);
    folder.write("train-labels-idx1-ubyte", &labels);
    let plain = opened(&folder.write("train-images-idx3-ubyte", &images));
    folder.write("t10k-labels-idx1-ubyte.gz", &gz(&labels));
    let packed = opened(&folder.write("t10k-images-idx3-ubyte.gz", &gz(&images)));
    let scaled = pixels.map(|pixel| f32::from(pixel) / 255.0);
    let numbers = npy("<f4", false, &[2, 2, 2], &le!(scaled));
    let classes = npy("|u1", false, &[2], &[7, 1]);
    let numbers = opened(&folder.write_pair("numbers", &numbers, "labels", &classes));
    for dataset in [&plain, &packed, &numbers] {
        assert_eq!((dataset.rows(), dataset.features()), (2, 4));
        assert_eq!(dataset.dtype(), Dtype::Float32);
        assert_eq!(inputs::<f32>(dataset), scaled);
        assert_eq!(dataset.digest(), numbers.digest());
    }
    let mixed = open_pair(
        &folder.path().join("train-images-idx3-ubyte"),
        &TruthFile::Labels(folder.path().join("numbers.labels.npy")),
        &OpenOptions::default(),
    );
    assert_eq!(mixed.expect("valid").digest(), numbers.digest());
    let wide = idx(0x0d, &[1, 2], &be!([1.5_f32, -2.0]));
    let short = idx(0x0b, &[1, 2], &be!([300_i16, -2]));
    for (name, file, expected) in [("wide", wide, [1.5, -2.0]), ("short", short, [300.0, -2.0])] {
        let inputs_path = folder.write(&format!("{name}-ubyte"), &file);
        let targets = folder.write("t.npy", &npy("<f4", false, &[1], &le!([1.0_f32])));
        let dataset = open_pair(
            &inputs_path,
            &TruthFile::Targets(targets),
            &OpenOptions::default(),
        );
        assert_eq!(inputs::<f64>(&dataset.expect("valid")), expected);
    }
}

#[test]
fn every_number_type_is_read_and_has_a_type_that_represents_it() {
    let folder = Folder::new();
    let labels = npy("<i4", false, &[2, 1], &le!([0_i32, 1]));
    let read = |descr: &str, bytes: &[u8]| {
        let file = npy(descr, false, &[2, 1], bytes);
        let dataset = opened(&folder.write_pair("x", &file, "labels", &labels));
        (dataset.dtype(), inputs::<f64>(&dataset))
    };
    let (single, double) = (Dtype::Float32, Dtype::Float64);
    assert_eq!(
        read("<f2", &[0x00, 0x3c, 0x00, 0xc0]),
        (single, vec![1.0, -2.0])
    );
    assert_eq!(
        read(">f4", &be!([0.5_f32, -2.0])),
        (single, vec![0.5, -2.0])
    );
    assert_eq!(read("|u1", &[7, 255]), (single, vec![7.0, 255.0]));
    assert_eq!(read("|b1", &[0, 2]), (single, vec![0.0, 1.0]));
    assert_eq!(
        read("<i2", &le!([-300_i16, 5])),
        (single, vec![-300.0, 5.0])
    );
    assert_eq!(
        read(">i4", &be!([i32::MIN, 5])),
        (double, vec![-2_147_483_648.0, 5.0])
    );
    assert_eq!(read("<i8", &le!([-9_i64, 5])), (double, vec![-9.0, 5.0]));
    let narrowed = OpenOptions {
        dtype: Some(single),
        ..OpenOptions::default()
    };
    let dataset = open(&folder.path().join("x.npy"), &narrowed).expect("valid");
    assert_eq!(
        (dataset.dtype(), inputs::<f32>(&dataset)),
        (single, vec![-9.0, 5.0])
    );
}

#[test]
fn any_safetensors_file_with_inputs_and_truth_is_read() {
    let folder = Folder::new();
    // 1, -2, 3, 4 as bfloat16 behind the labels, as another writer may order them.
    let header = r#"{"y":{"dtype":"I64","shape":[2],"data_offsets":[0,16]},"x":{"dtype":"BF16","shape":[2,2],"data_offsets":[16,24]}}"#;
    let mut bytes = le!([2_i64, 0]);
    bytes.extend([0x80, 0x3f, 0x00, 0xc0, 0x40, 0x40, 0x80, 0x40]);
    let path = folder.write("other.safetensors", &safetensors(header, &bytes));
    let dataset = opened(&path);
    assert_eq!(inputs::<f32>(&dataset), [1.0, -2.0, 3.0, 4.0]);
    assert_eq!(dataset.labels(), Some(&[2, 0][..]));
    let regression = OpenOptions {
        regression: true,
        ..OpenOptions::default()
    };
    let dataset = open(&path, &regression).expect("valid");
    let (_, truth) = dataset.whole::<f32>().expect("in memory");
    assert_eq!(truth, TruthSlices::Targets(&[2.0, 0.0]));
}

#[test]
fn the_canonical_file_retains_names_constants_and_encoding() {
    let folder = Folder::new();
    let text = "colour,size,kind\nred,1,ant\nblue,2,bee\nred,4,ant\n";
    let options = OpenOptions {
        one_hot: true,
        ..OpenOptions::default()
    };
    let text = open(&folder.write("t.csv", text.as_bytes()), &options).expect("valid");
    let constants = Standardization::of(&text, &[0, 1]).expect("in memory");
    assert_eq!(constants.inputs.means, [0.5, 0.5, 1.5]);
    assert_eq!(constants.inputs.deviations, [0.5, 0.5, 0.5]);
    let scaled = text
        .with_standardization(Some(constants.clone()))
        .expect("they fit");
    assert_ne!(scaled.digest(), text.digest());
    let path = folder.path().join("t.safetensors");
    scaled.write(&path).expect("written");
    for trust_hashes in [false, true] {
        let options = OpenOptions {
            trust_hashes,
            ..OpenOptions::default()
        };
        let read = open(&path, &options).expect("valid");
        assert_eq!(read.digest(), scaled.digest());
        assert_eq!(read.standardization(), Some(&constants));
        assert_eq!(read.encoding(), text.encoding());
        let names = vec!["ant".to_owned(), "bee".to_owned()];
        assert_eq!(read.truth(), &TruthKind::Labels { names });
        let (mut inputs, mut truth) = (Vec::<f32>::new(), TruthRows::default());
        read.copy_rows(&[2], true, &mut inputs, &mut truth)
            .expect("readable");
        assert_eq!(inputs, [-1.0, 1.0, 5.0]);
        assert_eq!(truth.labels, [0]);
    }
}

#[test]
fn targets_are_standardized_with_the_inputs() {
    let dataset = Dataset::with_targets(
        1,
        vec![1.0, 3.0, 5.0],
        2,
        vec![1.0, 7.0, 3.0, 7.0, 9.0, 7.0],
    );
    let dataset = dataset.expect("valid");
    let constants = Standardization::of(&dataset, &[0, 1]).expect("in memory");
    let dataset = dataset
        .with_standardization(Some(constants))
        .expect("they fit");
    let (mut inputs, mut truth) = (Vec::<f64>::new(), TruthRows::default());
    dataset
        .copy_rows(&[2, 0], true, &mut inputs, &mut truth)
        .expect("in memory");
    // A constant column has deviation 1.
    assert_eq!(inputs, [3.0, -1.0]);
    assert_eq!(truth.targets, [7.0, 0.0, -1.0, 0.0]);
    let mut wrong = dataset.standardization().cloned().expect("given above");
    wrong.inputs.deviations[0] = 0.0;
    assert!(dataset.with_standardization(Some(wrong)).is_err());
}

#[test]
fn the_digits_are_all_there() {
    let digits = digits();
    assert_eq!((digits.rows(), digits.features()), (1797, 64));
    assert_eq!(digits.truth().classes(), 10);
    let (pixels, truth) = digits.whole::<f32>().expect("in memory");
    assert!(pixels.iter().all(|pixel| (0.0..=1.0).contains(pixel)));
    let TruthSlices::Labels(labels) = truth else {
        panic!("digits are classes")
    };
    assert_eq!(&labels[..3], [0, 1, 2]);
    assert_eq!(digits.data_bytes(), 1797 * (64 * 4 + 4));
    assert_eq!(digits.resident_bytes() as u64, digits.data_bytes());
}

#[test]
fn all_that_is_wrong_is_said_at_once_with_its_place() {
    let folder = Folder::new();
    let mut numbers = vec![1.0_f32; 41_237 * 3];
    numbers[41_236 * 3 + 1] = f32::NAN;
    numbers[5] = f32::INFINITY;
    let x = npy("<f4", false, &[41_237, 3], &le!(numbers));
    let y = npy("|u1", false, &[41_237], &vec![1; 41_237]);
    let error = open(
        &folder.write_pair("x", &x, "labels", &y),
        &OpenOptions::default(),
    );
    let error = error.expect_err("two numbers are not finite").to_string();
    for place in [
        "x.npy: inputs, row 2, column 3 (from 1): given inf",
        "row 41237, column 2 (from 1): given NaN",
    ] {
        assert!(error.contains(place), "{error}");
    }
    let refused = |x: &[u8], kind: &str, y: &[u8]| {
        let path = folder.write_pair("bad", x, kind, y);
        let error = open(&path, &OpenOptions::default()).expect_err("refused");
        for file in ["bad.labels.npy", "bad.targets.npy"] {
            let _ = fs::remove_file(folder.path().join(file));
        }
        error.to_string()
    };
    let good = npy("<f4", false, &[2, 1], &le!([1.0_f32, 2.0]));
    let three = npy("<i4", false, &[3], &le!([0_i32, 1, 2]));
    let half = npy("<f4", false, &[2], &le!([0.0_f32, 0.5]));
    let zeros = npy("|u1", false, &[2], &[0, 0]);
    let huge = npy("<i8", false, &[2], &le!([1_i64, 1 << 40]));
    let nan = npy("<f4", false, &[2, 1], &le!([f32::NAN, 1.0]));
    assert!(refused(&good, "labels", &three).contains("labels: given 3 rows; allowed: 2"));
    assert!(refused(&good, "targets", &three).contains("targets: given 3 rows; allowed: 2"));
    assert!(refused(&good, "labels", &half).contains("labels, row 2 (from 1): given 0.5"));
    assert!(refused(&good, "labels", &zeros).contains("at least two classes"));
    assert!(refused(&good, "labels", &huge).contains("an integer from 0 to 65535"));
    assert!(
        refused(&good, "targets", &nan).contains("targets, row 1, column 1 (from 1): given NaN")
    );
    let alone = folder.write("alone.npy", &good);
    let error = open(&alone, &OpenOptions::default()).expect_err("no labels");
    assert!(error.to_string().contains("alone.labels.npy"), "{error}");
    let odd = folder.write("odd.npz", &npz(&[("a", good.clone())], false));
    let error = open(&odd, &OpenOptions::default()).expect_err("no such arrays");
    assert!(
        error
            .to_string()
            .contains("arrays: given a; allowed: inputs called"),
        "{error}"
    );
    let error = open(folder.path(), &OpenOptions::default()).expect_err("a folder");
    assert!(error.to_string().contains("names that end in"), "{error}");
}

#[test]
fn a_folder_lists_its_data_sets_without_their_labels() {
    let folder = Folder::new();
    for name in [
        "iris.csv.gz",
        "b.npy",
        "b.labels.npy",
        "c.targets.npy",
        "train-images-idx3-ubyte",
        "train-labels-idx1-ubyte",
        "t10k-images.idx3-ubyte.gz",
        "t10k-labels.idx1-ubyte.gz",
        "readme.md",
        "half.safetensors.1-0.part",
    ] {
        folder.write(name, b"");
    }
    fs::create_dir(folder.path().join("d.csv")).expect("writable");
    let found = find(folder.path()).expect("readable");
    let names: Vec<&str> = found.iter().map(|file| file.name.as_str()).collect();
    assert_eq!(names, ["b", "iris", "t10k", "train"]);
}

#[test]
fn another_text_is_read_as_the_first_one_was() {
    let folder = Folder::new();
    let options = OpenOptions {
        one_hot: true,
        ..OpenOptions::default()
    };
    let first = "colour,size,kind\nred,1,ant\nblue,2,bee\n";
    let first = open(&folder.write("t.csv", first.as_bytes()), &options).expect("valid");
    let alike = OpenOptions {
        encoding: first.encoding().cloned(),
        ..OpenOptions::default()
    };
    let read = |text: &str| {
        let path = folder.write("new.csv", text.as_bytes());
        let opened = open_inputs(&path, &alike)?;
        let (rows, mut inputs) = ((0..opened.rows()).collect::<Vec<_>>(), Vec::<f64>::new());
        opened
            .copy_rows(&rows, None, &mut inputs)
            .expect("in memory");
        Ok(inputs)
    };
    let refused = |text: &str| {
        let read: Result<Vec<f64>, OpenError> = read(text);
        read.expect_err("refused").to_string()
    };
    // Columns in another order, one more, none to predict; then without names.
    let named = read("more,size,colour\n9,3,red\n9,4,red\n").expect("valid");
    assert_eq!(named, [0.0, 1.0, 3.0, 0.0, 1.0, 4.0]);
    assert_eq!(read("blue,5\n").expect("valid"), [1.0, 0.0, 5.0]);
    assert_eq!(read("blue,5,bee\n").expect("valid"), [1.0, 0.0, 5.0]);
    let error = refused("size,shape\n3,round\n");
    assert!(
        error.contains("column colour: given no such column"),
        "{error}"
    );
    let error = refused("green,5\n");
    assert!(
        error.contains("given \"green\"; allowed: a text that the column has, such as blue, red"),
        "{error}"
    );
    let error = refused("blue,5,bee,7\n");
    assert!(
        error.contains("given 4 columns; allowed: 2 features"),
        "{error}"
    );
    let path = folder.write("new.csv", b"size,kind,colour\n3,bee,red\n4,ant,red\n");
    let labelled = open(&path, &alike).expect("valid");
    assert_eq!(labelled.labels(), Some(&[1, 0][..]));
    // Arrays need no encoding, and no labels.
    let array = folder.write(
        "x.npy",
        &npy("<f4", false, &[2, 2], &le!([1.0_f32, 2.0, 3.0, 4.0])),
    );
    let inputs = open_inputs(&array, &OpenOptions::default()).expect("valid");
    assert_eq!((inputs.rows(), inputs.features()), (2, 2));
}
