//! Datasets that arrive in pieces.

use std::fs;

use backpropd_datasets::{
    Dataset, OpenOptions, TruthKind, Upload, UploadError, UploadHeader, open, read_note,
    remove_partial,
};
use backpropd_engine::nn::Dtype;

use crate::files::{Folder, le};

fn header(rows: usize, truth: TruthKind) -> UploadHeader {
    UploadHeader {
        rows,
        features: 3,
        dtype: Dtype::Float32,
        truth,
        standardization: None,
        encoding: None,
        note: None,
    }
}

#[test]
fn a_note_is_found_in_the_file_and_is_no_part_of_the_digest() {
    let folder = Folder::new();
    let mut digests = Vec::new();
    for note in [None, Some("made by \"a test\"".to_owned())] {
        let path = folder.path().join("noted.safetensors");
        let header = UploadHeader {
            note: note.clone(),
            ..header(1, TruthKind::unnamed(2))
        };
        let mut upload = Upload::create(&path, header).expect("created");
        upload.inputs(&le!([1.0_f32, 2.0, 3.0])).expect("valid");
        upload.labels(&[1]).expect("valid");
        digests.push(upload.finish().expect("whole"));
        assert_eq!(read_note(&path).expect("valid"), note);
    }
    assert_eq!(digests[0], digests[1]);
}

fn violations(result: Result<(), UploadError>) -> String {
    match result {
        Err(UploadError::Invalid(violations)) => violations.to_string(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn pieces_of_any_size_are_the_whole() {
    let folder = Folder::new();
    let path = folder.path().join("up.safetensors");
    let numbers: Vec<f32> = (0..300_u16).map(|at| f32::from(at) * 0.1).collect();
    let labels: Vec<u32> = (0..100).map(|row| row % 4).collect();
    let whole = Dataset::with_labels(3, numbers.clone(), &labels, None).expect("valid");
    let bytes = le!(numbers);
    for piece in [4, 8, 28, 1000, 1200] {
        let mut upload =
            Upload::create(&path, header(100, TruthKind::unnamed(4))).expect("created");
        for (piece, labels) in bytes.chunks(piece).zip(labels.chunks(50)) {
            upload.inputs(piece).expect("valid");
            upload.labels(labels).expect("valid");
        }
        for rest in bytes.chunks(piece).skip(2) {
            // At an address that is no multiple of 4.
            let shifted = [&[0][..], rest].concat();
            upload.inputs(&shifted[1..]).expect("valid");
        }
        if piece >= 1200 {
            upload.labels(&labels[50..]).expect("valid");
        }
        assert!(!path.exists(), "not there before it is whole");
        assert_eq!(upload.finish().expect("whole"), whole.digest());
        let read = open(&path, &OpenOptions::default()).expect("valid");
        assert_eq!(read.digest(), whole.digest());
        assert_eq!(read.whole::<f32>(), whole.whole::<f32>());
        fs::remove_file(&path).expect("there");
    }
    assert_eq!(fs::read_dir(folder.path()).expect("readable").count(), 0);
}

#[test]
fn wrong_pieces_are_refused_with_every_violation_and_change_nothing() {
    let folder = Folder::new();
    let path = folder.path().join("up.safetensors");
    let mut upload = Upload::create(&path, header(2, TruthKind::unnamed(2))).expect("created");
    upload.inputs(&le!([1.0_f32, 2.0])).expect("valid");
    let wrong = violations(upload.inputs(&le!([f32::NAN, 1.0, f32::INFINITY])));
    assert!(
        wrong.contains("inputs, row 1, column 3 (from 1): given NaN"),
        "{wrong}"
    );
    assert!(
        wrong.contains("inputs, row 2, column 2 (from 1): given inf"),
        "{wrong}"
    );
    assert!(violations(upload.inputs(&[0; 5])).contains("a piece of 5 bytes"));
    assert!(violations(upload.inputs(&[0; 20])).contains("given 7 numbers; allowed: 6"));
    let wrong = violations(upload.labels(&[1, 2]));
    assert!(
        wrong.contains("labels, row 2 (from 1): given 2; allowed: a class from 0 to 1"),
        "{wrong}"
    );
    assert!(violations(upload.targets(&[0; 4])).contains("labels, as announced"));
    upload.labels(&[1]).expect("valid");
    let missing = violations(upload.finish().map(|_| ()));
    assert!(
        missing.contains("inputs: given 2 numbers; allowed: 6, as announced"),
        "{missing}"
    );
    assert!(
        missing.contains("labels: given 1 numbers; allowed: 2, as announced"),
        "{missing}"
    );
    assert_eq!(
        fs::read_dir(folder.path()).expect("readable").count(),
        0,
        "nothing is left"
    );
}

#[test]
fn a_wrong_header_is_refused_before_a_file_is_created() {
    let folder = Folder::new();
    let path = folder.path().join("up.safetensors");
    let wrong = UploadHeader {
        features: 0,
        ..header(0, TruthKind::Targets { columns: 0 })
    };
    let error = Upload::create(&path, wrong).map(|_| ());
    let error = violations(error);
    for field in [
        "rows: given 0",
        "features: given 0",
        "target_columns: given 0",
    ] {
        assert!(error.contains(field), "{error}");
    }
    let huge = header(usize::MAX / 2, TruthKind::unnamed(2));
    assert_eq!(huge.data_bytes(), None);
    assert!(violations(Upload::create(&path, huge).map(|_| ())).contains("rows"));
    assert!(
        violations(Upload::create(&path, header(1, TruthKind::unnamed(1))).map(|_| ()))
            .contains("classes: given 1")
    );
    assert_eq!(fs::read_dir(folder.path()).expect("readable").count(), 0);
}

#[test]
fn what_a_crash_left_is_removed_and_nothing_else() {
    let folder = Folder::new();
    folder.write("a.safetensors.77-0.part", b"half");
    folder.write("b.safetensors", b"whole");
    remove_partial(folder.path()).expect("removed");
    let left: Vec<_> = fs::read_dir(folder.path()).expect("readable").collect();
    assert_eq!(left.len(), 1);
    assert!(folder.path().join("b.safetensors").exists());
}

#[test]
fn targets_arrive_as_numbers() {
    let folder = Folder::new();
    let path = folder.path().join("up.safetensors");
    let mut upload =
        Upload::create(&path, header(2, TruthKind::Targets { columns: 2 })).expect("created");
    upload
        .targets(&le!([1.0_f32, 2.0, 3.0, 4.0]))
        .expect("valid");
    upload
        .inputs(&le!([1.0_f32, 2.0, 3.0, 4.0, 5.0, 6.0]))
        .expect("valid");
    assert!(violations(upload.labels(&[1])).contains("targets, as announced"));
    let digest = upload.finish().expect("whole");
    let whole = Dataset::with_targets(
        3,
        vec![1.0_f32, 2.0, 3.0, 4.0, 5.0, 6.0],
        2,
        vec![1.0, 2.0, 3.0, 4.0],
    );
    assert_eq!(whole.expect("valid").digest(), digest);
}
