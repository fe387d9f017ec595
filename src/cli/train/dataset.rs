//! Samples and what to predict of them: split, standardised, encoded.

use backpropd_client::pb;
use rand::{SeedableRng as _, seq::SliceRandom as _};
use rand_chacha::ChaCha8Rng;

use super::{csv, npy, options::Data};

/// Row-major numbers, one row for each sample.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Matrix {
    pub columns: usize,
    pub values: Vec<f64>,
}

impl Matrix {
    pub(super) fn rows(&self) -> usize {
        self.values.len() / self.columns.max(1)
    }

    pub(super) fn row(&self, row: usize) -> &[f64] {
        &self.values[row * self.columns..(row + 1) * self.columns]
    }

    fn select(&self, rows: &[usize]) -> Self {
        let values = rows
            .iter()
            .flat_map(|row| self.row(*row))
            .copied()
            .collect();
        Self {
            columns: self.columns,
            values,
        }
    }

    /// The rows from `from` on, at most `count`, as they travel.
    pub(super) fn tensor(&self, from: usize, count: usize, dtype: pb::Dtype) -> pb::Tensor {
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
pub(super) enum Truth {
    /// Classes from 0, and what each is called.
    Labels {
        labels: Vec<usize>,
        names: Vec<String>,
    },
    Targets(Matrix),
}

impl Truth {
    fn select(&self, rows: &[usize]) -> Self {
        match self {
            Self::Labels { labels, names } => Self::Labels {
                labels: rows.iter().map(|row| labels[*row]).collect(),
                names: names.clone(),
            },
            Self::Targets(targets) => Self::Targets(targets.select(rows)),
        }
    }
}

/// Samples with what to predict of them.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Dataset {
    pub inputs: Matrix,
    pub truth: Truth,
}

/// One part to train on, one to measure on.
pub(super) struct Split {
    pub train: Dataset,
    pub held_out: Dataset,
    /// What a unit of a standardised target is in the data, for each column; 1 where targets are as they were.
    pub target_scale: Vec<f64>,
}

/// Reads the samples. `regression` says that the CSV column to predict holds numbers.
pub(super) fn load(data: &Data, regression: bool) -> Result<Dataset, String> {
    let dataset = match data {
        Data::Digits => digits()?,
        Data::Csv { path, label_column } => csv::load(path, label_column.as_deref(), regression)?,
        Data::Npy {
            inputs,
            labels,
            targets,
        } => npy::load(inputs, labels.as_deref(), targets.as_deref())?,
    };
    let rows = dataset.inputs.rows();
    if rows < 2 {
        return Err(format!(
            "the data hold {rows} samples; at least 2 are needed, one to train on and one to hold out"
        ));
    }
    Ok(dataset)
}

/// The pictures that come with this program; pixels from 0 to 1.
fn digits() -> Result<Dataset, String> {
    const PACKED: &[u8] = include_bytes!("../../../data/digits.csv.gz");
    let mut text = Vec::new();
    std::io::copy(&mut flate2::read::GzDecoder::new(PACKED), &mut text)
        .map_err(|error| format!("the digits built into this program are damaged: {error}"))?;
    let mut dataset = csv::parse(&text, "digits", None, false)?;
    for pixel in &mut dataset.inputs.values {
        *pixel /= 16.0;
    }
    Ok(dataset)
}

impl Dataset {
    /// Holds out `fraction` of the samples, chosen by `seed`, of each class alike; at least one sample on either side.
    pub(super) fn split(&self, fraction: f64, seed: i64) -> Split {
        let mut random = ChaCha8Rng::seed_from_u64(seed.cast_unsigned());
        let rows = self.inputs.rows();
        let mut classes: Vec<Vec<usize>> = match &self.truth {
            Truth::Labels { labels, names } => {
                let mut classes = vec![Vec::new(); names.len()];
                for (row, label) in labels.iter().enumerate() {
                    classes[*label].push(row);
                }
                classes
            }
            Truth::Targets(_) => vec![(0..rows).collect()],
        };
        let (mut train, mut held_out) = (Vec::new(), Vec::new());
        for class in &mut classes {
            class.shuffle(&mut random);
            // Rounding the running total instead of each class keeps the total near the given fraction.
            let seen = train.len() + held_out.len() + class.len();
            let wanted = share(seen, fraction)
                .saturating_sub(held_out.len())
                .min(class.len());
            held_out.extend_from_slice(&class[..wanted]);
            train.extend_from_slice(&class[wanted..]);
        }
        if held_out.is_empty() {
            held_out.extend(train.pop());
        } else if train.is_empty() {
            train.extend(held_out.pop());
        }
        train.sort_unstable();
        held_out.sort_unstable();
        let part = |rows: &[usize]| Self {
            inputs: self.inputs.select(rows),
            truth: self.truth.select(rows),
        };
        let outputs = match &self.truth {
            Truth::Labels { .. } => 0,
            Truth::Targets(targets) => targets.columns,
        };
        Split {
            train: part(&train),
            held_out: part(&held_out),
            target_scale: vec![1.0; outputs],
        }
    }
}

#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "counts of rows in memory"
)]
fn share(rows: usize, fraction: f64) -> usize {
    (rows as f64 * fraction).round() as usize
}

impl Split {
    /// Standardizes every feature and every target by the mean and deviation of the training part alone: the held-out part
    /// must not influence them.
    pub(super) fn standardize(&mut self) {
        let moments = Moments::of(&self.train.inputs);
        moments.remove_from(&mut self.train.inputs);
        moments.remove_from(&mut self.held_out.inputs);
        if let (Truth::Targets(train), Truth::Targets(held_out)) =
            (&mut self.train.truth, &mut self.held_out.truth)
        {
            let moments = Moments::of(train);
            moments.remove_from(train);
            moments.remove_from(held_out);
            self.target_scale = moments.deviations;
        }
    }
}

/// The mean and deviation of each column; a constant column has deviation 1, so that it becomes 0.
struct Moments {
    means: Vec<f64>,
    deviations: Vec<f64>,
}

impl Moments {
    #[allow(clippy::cast_precision_loss, reason = "counts of rows in memory")]
    fn of(matrix: &Matrix) -> Self {
        let rows = matrix.rows() as f64;
        let average = |of: &dyn Fn(usize, f64) -> f64| {
            let mut sums = vec![0.0; matrix.columns];
            for (at, value) in matrix.values.iter().enumerate() {
                sums[at % matrix.columns] += of(at % matrix.columns, *value);
            }
            sums.into_iter().map(|sum| sum / rows).collect::<Vec<f64>>()
        };
        let means = average(&|_, value| value);
        let variances = average(&|column, value| (value - means[column]).powi(2));
        let deviations = variances.into_iter().zip(&means).map(|(variance, mean)| {
            // Rounding leaves some variance in a constant column.
            if variance.sqrt() > 1e-12 * mean.abs() {
                variance.sqrt()
            } else {
                1.0
            }
        });
        Self {
            deviations: deviations.collect(),
            means,
        }
    }

    fn remove_from(&self, matrix: &mut Matrix) {
        for (at, value) in matrix.values.iter_mut().enumerate() {
            let column = at % matrix.columns;
            *value = (*value - self.means[column]) / self.deviations[column];
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_digits_are_all_there() {
        let dataset = load(&Data::Digits, false).expect("built in");
        assert_eq!((dataset.inputs.rows(), dataset.inputs.columns), (1797, 64));
        assert!(
            dataset
                .inputs
                .values
                .iter()
                .all(|pixel| (0.0..=1.0).contains(pixel))
        );
        let Truth::Labels { labels, names } = dataset.truth else {
            panic!("digits are classes")
        };
        assert_eq!((labels.len(), names.len()), (1797, 10));
        assert_eq!(&labels[..3], [0, 1, 2]);
    }

    #[test]
    fn a_split_is_fixed_by_its_seed_and_fair_to_every_class() {
        let dataset = load(&Data::Digits, false).expect("built in");
        let [one, again, other] = [1, 1, 2].map(|seed| dataset.split(0.2, seed));
        assert_eq!(one.train, again.train);
        assert_eq!(one.held_out, again.held_out);
        assert_ne!(one.train, other.train);
        assert_eq!(one.held_out.inputs.rows(), 359);
        assert_eq!(one.train.inputs.rows() + one.held_out.inputs.rows(), 1797);
        let Truth::Labels { labels, .. } = one.held_out.truth else {
            panic!("digits are classes")
        };
        for class in 0..10 {
            let count = labels.iter().filter(|label| **label == class).count();
            assert!(
                (33..=39).contains(&count),
                "{count} held out of class {class}"
            );
        }
    }

    #[test]
    fn both_parts_of_a_split_hold_something() {
        let inputs = Matrix {
            columns: 1,
            values: vec![1.0, 2.0],
        };
        let dataset = Dataset {
            truth: Truth::Targets(inputs.clone()),
            inputs,
        };
        for fraction in [0.01, 0.99] {
            let split = dataset.split(fraction, 0);
            assert_eq!(
                (split.train.inputs.rows(), split.held_out.inputs.rows()),
                (1, 1)
            );
        }
    }

    #[test]
    fn standardising_uses_the_training_part_only() {
        let part = |values: &[f64]| {
            let inputs = Matrix {
                columns: 2,
                values: values.to_vec(),
            };
            Dataset {
                truth: Truth::Targets(inputs.clone()),
                inputs,
            }
        };
        let mut split = Split {
            train: part(&[1.0, 0.1, 3.0, 0.1]),
            held_out: part(&[5.0, 0.2]),
            target_scale: vec![1.0; 2],
        };
        split.standardize();
        assert_eq!(split.train.inputs.values, [-1.0, 0.0, 1.0, 0.0]);
        assert_eq!(split.held_out.inputs.values, [3.0, 0.1]);
        assert_eq!(split.target_scale, [1.0, 1.0]);
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
