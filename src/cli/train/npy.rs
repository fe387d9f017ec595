//! Reads NumPy's `.npy` files.

use std::path::Path;

use super::dataset::{Dataset, Matrix, Truth};
use crate::cli::arrays;
use crate::cli::files::{self, Links};

pub(super) fn load(
    inputs: &Path,
    labels: Option<&Path>,
    targets: Option<&Path>,
) -> Result<Dataset, String> {
    let inputs_name = inputs.display();
    let (shape, values) = read(inputs)?;
    let [rows, columns] = shape[..] else {
        return Err(format!(
            "{inputs_name}: found the shape {shape:?}, expected [samples, features]"
        ));
    };
    let inputs = Matrix { columns, values };
    let same_rows = |path: &Path, found: usize| {
        let problem = format!(
            "{}: {found} rows, but {inputs_name} has {rows}",
            path.display()
        );
        if found == rows { Ok(()) } else { Err(problem) }
    };
    let truth = if let Some(path) = labels {
        let (shape, values) = read(path)?;
        let ([found] | [found, 1]) = shape[..] else {
            return Err(format!(
                "{}: found the shape {shape:?}, expected [samples]",
                path.display()
            ));
        };
        same_rows(path, found)?;
        classes(path, &values)?
    } else if let Some(path) = targets {
        let (shape, values) = read(path)?;
        let (found, columns) = match shape[..] {
            [found] => (found, 1),
            [found, columns] => (found, columns),
            _ => {
                return Err(format!(
                    "{}: found the shape {shape:?}, expected [samples] or [samples, outputs]",
                    path.display()
                ));
            }
        };
        same_rows(path, found)?;
        Truth::Targets(Matrix { columns, values })
    } else {
        return Err("a .npy file of inputs needs --labels or --targets".to_owned());
    };
    Ok(Dataset { inputs, truth })
}

/// Classes from 0; a class without a sample still counts.
fn classes(path: &Path, values: &[f64]) -> Result<Truth, String> {
    const MOST_CLASSES: f64 = 65_536.0;
    let name = path.display();
    let mut labels = Vec::with_capacity(values.len());
    for (at, value) in values.iter().enumerate() {
        if value.fract() != 0.0 || !(0.0..MOST_CLASSES).contains(value) {
            return Err(format!(
                "{name}, entry {at}: found {value}, expected a class: an integer from 0 to 65535"
            ));
        }
        #[allow(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "an integer below 65536, checked above"
        )]
        labels.push(*value as usize);
    }
    let count = labels.iter().max().map_or(0, |most| most + 1);
    if count < 2 {
        return Err(format!(
            "{name}: every sample has the class 0; at least two classes are needed"
        ));
    }
    Ok(Truth::Labels {
        labels,
        names: (0..count).map(|class| class.to_string()).collect(),
    })
}

/// The shape and the entries of a file, all of them finite.
fn read(path: &Path) -> Result<(Vec<usize>, Vec<f64>), String> {
    let name = path.display().to_string();
    let array = arrays::read_npy(
        &files::read(path, files::DATA_BYTES, Links::Followed)?,
        &name,
    )?;
    let columns = array.shape.get(1).copied().unwrap_or(1);
    if array.values.is_empty() {
        return Err(format!(
            "{name}: found the shape {:?}, which has no entries",
            array.shape
        ));
    }
    if let Some(at) = array.values.iter().position(|value| !value.is_finite()) {
        return Err(format!(
            "{name}, row {}, column {} (from 0): found {}, expected a finite number",
            at / columns,
            at % columns,
            array.values[at]
        ));
    }
    Ok((array.shape, array.values))
}

#[cfg(test)]
mod tests {
    use std::{fs, path::PathBuf};

    use super::*;
    use crate::cli::npy::tests::{file, header};

    /// The bytes of little-endian numbers.
    macro_rules! bytes {
        ($($number:expr),+) => { [$($number.to_le_bytes()),+].concat() };
    }

    fn write(directory: &Path, name: &str, header: &str, entries: &[u8]) -> PathBuf {
        let path = directory.join(name);
        fs::write(&path, file(header, entries)).expect("a writable directory");
        path
    }

    #[test]
    fn types_and_orders_are_read() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let c = write(
            directory.path(),
            "c.npy",
            &header("<f4", false, "(2, 3)"),
            &bytes![1.0f32, 2.0f32, 3.0f32, 4.0f32, 5.0f32, 6.0f32],
        );
        let fortran = write(
            directory.path(),
            "f.npy",
            &header("<f8", true, "(2, 3)"),
            &bytes![1.0f64, 4.0f64, 2.0f64, 5.0f64, 3.0f64, 6.0f64],
        );
        let labels = write(
            directory.path(),
            "l.npy",
            &header("<i8", false, "(2,)"),
            &bytes![2i64, 0i64],
        );
        let targets = write(
            directory.path(),
            "t.npy",
            &header("|u1", false, "(2, 1)"),
            &[7, 8],
        );
        let expected = Matrix {
            columns: 3,
            values: vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0],
        };
        let dataset = load(&c, Some(&labels), None).expect("valid");
        assert_eq!(dataset.inputs, expected);
        let names = ["0", "1", "2"].map(str::to_owned).to_vec();
        assert_eq!(
            dataset.truth,
            Truth::Labels {
                labels: vec![2, 0],
                names
            }
        );
        let dataset = load(&fortran, None, Some(&targets)).expect("valid");
        assert_eq!(dataset.inputs, expected);
        assert_eq!(
            dataset.truth,
            Truth::Targets(Matrix {
                columns: 1,
                values: vec![7.0, 8.0]
            })
        );
    }

    #[test]
    fn errors_name_the_file_and_what_was_found() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let x = write(
            directory.path(),
            "x.npy",
            &header("<f4", false, "(2, 1)"),
            &bytes![1.0f32, f32::NAN],
        );
        let good = write(
            directory.path(),
            "g.npy",
            &header("<f4", false, "(2, 1)"),
            &bytes![1.0f32, 2.0f32],
        );
        let three = write(
            directory.path(),
            "y.npy",
            &header("<i4", false, "(3,)"),
            &bytes![0i32, 1i32, 2i32],
        );
        let half = write(
            directory.path(),
            "h.npy",
            &header("<f4", false, "(2,)"),
            &bytes![0.0f32, 0.5f32],
        );
        let error = |inputs: &Path, labels: &Path| {
            load(inputs, Some(labels), None).expect_err("should be refused")
        };
        assert!(error(&x, &three).contains("x.npy, row 1, column 0 (from 0): found NaN"));
        assert!(
            error(&three, &three).contains("found the shape [3], expected [samples, features]")
        );
        assert!(error(&good, &three).contains("y.npy: 3 rows, but"));
        assert!(error(&good, &half).contains("h.npy, entry 1: found 0.5"));
        let junk = directory.path().join("junk.npy");
        fs::write(&junk, b"PK").expect("a writable directory");
        assert!(error(&junk, &three).contains("no .npy file"));
        let mut bytes = fs::read(&good).expect("written above");
        bytes.truncate(bytes.len() - 4);
        fs::write(&good, bytes).expect("a writable directory");
        assert!(error(&good, &three).contains("g.npy"));
    }
}
