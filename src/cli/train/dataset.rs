//! Samples and what to predict of them, split and standardized, as they travel.

use backpropd_client::pb;
use backpropd_datasets::{
    Advice, Dataset, Encoding, Fault, OpenError, OpenOptions, Parts, ReadError, Standardization,
    TruthKind, TruthRows,
};

use super::options::{Data, Options};
use crate::config::Config;

/// Numbers up to this size are loaded to be sent to a server; larger files are read in blocks, if their format allows that.
const RESIDENT_BYTES: u64 = 64 << 20;
/// The size of the matrices that are predicted at once.
const BLOCK_BYTES: usize = 1 << 20;

/// Row-major numbers, one row for each sample.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::cli) struct Matrix {
    pub columns: usize,
    pub values: Vec<f64>,
}

impl Matrix {
    pub(in crate::cli) fn rows(&self) -> usize {
        self.values.len() / self.columns.max(1)
    }

    pub(in crate::cli) fn row(&self, row: usize) -> &[f64] {
        &self.values[row * self.columns..(row + 1) * self.columns]
    }

    /// The rows from `from` on, at most `count`, as they travel.
    pub(in crate::cli) fn tensor(&self, from: usize, count: usize, dtype: pb::Dtype) -> pb::Tensor {
        let to = (from + count).min(self.rows());
        let values = &self.values[from * self.columns..to * self.columns];
        let shape = [to - from, self.columns];
        let tensor = match dtype {
            #[allow(
                clippy::cast_possible_truncation,
                reason = "rounding to float32 is what was asked for"
            )]
            pb::Dtype::Float32 => {
                let rounded: Vec<f32> = values.iter().map(|value| *value as f32).collect();
                pb::Tensor::from_f32(&shape, &rounded)
            }
            pb::Dtype::Float64 | pb::Dtype::Unspecified => pb::Tensor::from_f64(&shape, values),
        };
        tensor.expect("the rows of a matrix have its columns, and a request limits their number")
    }
}

/// What there is to predict, one entry or row for each sample.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::cli) enum Truth {
    /// Classes from 0, and what each is called.
    Labels {
        labels: Vec<usize>,
        names: Vec<String>,
    },
    Targets(Matrix),
}

/// The samples of one part of a split.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::cli) struct Part {
    pub inputs: Matrix,
    pub truth: Truth,
}

/// A dataset, one part of it to train on, one to measure on.
pub(in crate::cli) struct Samples {
    /// With the constants by which rows are standardized.
    pub dataset: Dataset,
    pub parts: Parts,
    pub held_out: Truth,
    /// What a unit of a standardized target is in the data, for each column; 1 where targets are as they were.
    pub target_scale: Vec<f64>,
}

/// Reads the samples; the columns of a text file by `encoding`, if a model was trained on another one before.
pub(in crate::cli) fn load(
    options: &Options,
    encoding: Option<&Encoding>,
) -> Result<Dataset, String> {
    let max_resident_bytes = match options.server {
        Some(_) => RESIDENT_BYTES,
        // The server in this process trains on these very numbers.
        None => Config::default().max_dataset_memory_bytes as u64,
    };
    let open = OpenOptions {
        label_column: options.label_column.clone(),
        regression: options.regression,
        one_hot: options.one_hot,
        encoding: encoding.cloned(),
        drop_missing: options.drop_missing,
        max_resident_bytes,
        ..OpenOptions::default()
    };
    let read = |open: &OpenOptions| match &options.data {
        Data::Digits => Ok(backpropd_datasets::digits()),
        Data::File(path) => backpropd_datasets::open(path, open),
        Data::Pair { inputs, truth } => backpropd_datasets::open_pair(inputs, truth, open),
    };
    let dataset = match read(&open) {
        Err(OpenError {
            fault: Fault::TooLarge { .. },
            ..
        }) => read(&OpenOptions {
            max_resident_bytes: u64::MAX,
            ..open
        }),
        read => read,
    };
    let dataset = dataset.map_err(|error| advise(&error))?;
    let rows = dataset.rows();
    if rows < 2 {
        return Err(format!(
            "the data hold {rows} samples; at least 2 are needed, one to train on and one to hold out"
        ));
    }
    Ok(dataset)
}

/// The error with the option of the command line that would have the file accepted.
pub(in crate::cli) fn advise(error: &OpenError) -> String {
    let advice = match error.fault.advice() {
        None => return error.to_string(),
        Some(Advice::Regression) => {
            "did you mean --regression? Or choose another column with --label-column"
        }
        Some(Advice::OneHot) => {
            "--one-hot makes a feature of 0 or 1 of each text of a column; --label-column chooses the column to predict"
        }
        Some(Advice::DropMissing) => {
            "--drop-missing leaves out the rows in which a value is missing"
        }
    };
    format!("{error}; {advice}")
}

/// The constants of the training part alone: the held-out part must not influence them.
pub(in crate::cli) fn standardize(dataset: &Dataset, parts: &Parts) -> Result<Dataset, ReadError> {
    let constants = Standardization::of(dataset, &parts.train)?;
    Ok(dataset
        .with_standardization(Some(constants))
        .expect("the constants are those of its columns"))
}

impl Samples {
    /// The rows of `parts`, standardized by the constants of `dataset` if it has some.
    pub(in crate::cli) fn of(dataset: Dataset, parts: Parts) -> Result<Self, ReadError> {
        let outputs = dataset.truth().target_columns();
        let constants = dataset.standardization();
        let targets = constants.and_then(|all| all.targets.as_ref());
        let target_scale = targets.map_or(vec![1.0; outputs], |targets| targets.deviations.clone());
        let mut held_out = Vec::new();
        if outputs > 0 {
            for rows in blocks(&dataset, &parts.held_out) {
                held_out.extend(copied(&dataset, rows)?.1.targets);
            }
        }
        Ok(Self {
            held_out: match (dataset.truth(), dataset.labels()) {
                (TruthKind::Labels { names }, Some(labels)) => Truth::Labels {
                    labels: parts
                        .held_out
                        .iter()
                        .map(|row| labels[*row] as usize)
                        .collect(),
                    names: names.clone(),
                },
                (TruthKind::Labels { .. } | TruthKind::Targets { .. }, _) => {
                    Truth::Targets(Matrix {
                        columns: outputs,
                        values: held_out,
                    })
                }
            },
            dataset,
            parts,
            target_scale,
        })
    }

    /// The held-out inputs, in matrices of a moderate size.
    pub(in crate::cli) fn held_out_inputs(
        &self,
    ) -> impl Iterator<Item = Result<Matrix, ReadError>> + '_ {
        let matrix = |rows| {
            Ok(Matrix {
                columns: self.dataset.features(),
                values: copied(&self.dataset, rows)?.0,
            })
        };
        blocks(&self.dataset, &self.parts.held_out).map(matrix)
    }

    /// The part of these rows, to be sent as tensors.
    pub(in crate::cli) fn part(&self, rows: &[usize]) -> Result<Part, ReadError> {
        let dataset = &self.dataset;
        let (values, truth) = copied(dataset, rows)?;
        Ok(Part {
            inputs: Matrix {
                columns: dataset.features(),
                values,
            },
            truth: match dataset.truth() {
                TruthKind::Labels { names } => Truth::Labels {
                    labels: truth.labels.iter().map(|label| *label as usize).collect(),
                    names: names.clone(),
                },
                TruthKind::Targets { columns } => Truth::Targets(Matrix {
                    columns: *columns,
                    values: truth.targets,
                }),
            },
        })
    }
}

/// `rows` in blocks of a moderate size.
fn blocks<'r>(dataset: &Dataset, rows: &'r [usize]) -> impl Iterator<Item = &'r [usize]> {
    let columns = dataset.features() + dataset.truth().target_columns();
    rows.chunks((BLOCK_BYTES / (8 * columns)).max(1))
}

fn copied(dataset: &Dataset, rows: &[usize]) -> Result<(Vec<f64>, TruthRows<f64>), ReadError> {
    let (mut values, mut truth) = (Vec::new(), TruthRows::<f64>::default());
    dataset.copy_rows(rows, true, &mut values, &mut truth)?;
    Ok((values, truth))
}

#[cfg(test)]
mod tests {
    use backpropd_datasets::Split;

    use super::*;

    #[test]
    fn standardizing_uses_the_training_part_only() {
        let inputs = [1.0, 0.1, 3.0, 0.1, 5.0, 0.2];
        let dataset = Dataset::with_targets(2, inputs.to_vec(), 1, vec![1.0, 3.0, 9.0]);
        let dataset = dataset.expect("valid");
        let parts = Split::new(0, 0.3).expect("a fraction").parts(&dataset);
        let dataset = standardize(&dataset, &parts).expect("in memory");
        let [train, held_out] = [&parts.train, &parts.held_out].map(|rows| {
            let column = rows.iter().map(|row| inputs[row * 2]);
            column.collect::<Vec<f64>>()
        });
        let samples = Samples::of(dataset, parts).expect("in memory");
        let mean = train.iter().sum::<f64>() / 2.0;
        let deviation = (train[0] - mean).abs();
        let scaled = |value: f64| (value - mean) / deviation;
        let part = samples.part(&samples.parts.train).expect("in memory");
        assert_eq!(part.inputs.row(0)[0], scaled(train[0]));
        let inputs = samples.held_out_inputs().next().expect("a block");
        assert_eq!(inputs.expect("in memory").row(0)[0], scaled(held_out[0]));
        let Truth::Targets(targets) = &part.truth else {
            panic!("given targets")
        };
        assert_eq!(targets.values.iter().sum::<f64>(), 0.0);
        assert_eq!(samples.target_scale.len(), 1);
    }

    #[test]
    fn a_fault_names_the_option_that_mends_it() {
        let folder = tempfile::tempdir().expect("a temporary directory");
        let path = folder.path().join("t.csv");
        let refused = |text: &str| {
            std::fs::write(&path, text).expect("writable");
            let error = backpropd_datasets::open(&path, &OpenOptions::default());
            advise(&error.expect_err("refused"))
        };
        assert!(refused("1,0.5\n2,0.25\n").contains("did you mean --regression?"));
        assert!(refused("red,a\nblue,b\n").contains("--one-hot makes a feature"));
        assert!(refused("1,a\nNA,b\n").contains("--drop-missing leaves out"));
    }

    #[test]
    fn a_tensor_is_little_endian_rows() {
        let matrix = Matrix {
            columns: 2,
            values: vec![1.0, 2.0, 3.0, 4.0],
        };
        let tensor = matrix.tensor(1, 9, pb::Dtype::Float32);
        assert_eq!(tensor.shape, [1, 2]);
        assert_eq!(
            tensor.raw.as_ref(),
            [3.0f32.to_le_bytes(), 4.0f32.to_le_bytes()].concat()
        );
    }
}
