//! Batches: samples with their targets, and the rows of mini-batches.

use super::{Architecture, Loss, Objective, Scalar, Targets, TargetsRef};
use crate::fault::Violations;

/// How far the sum of a row of class probabilities may differ from 1.
const PROBABILITY_SUM_TOLERANCE: f64 = 1e-6;

/// A dense row-major matrix of rows × columns entries.
#[derive(Clone, Debug, PartialEq)]
pub struct Matrix<T> {
    /// The number of rows, usually samples.
    pub rows: usize,
    /// The number of columns.
    pub columns: usize,
    /// The entries, row by row.
    pub entries: Vec<T>,
}

/// Samples and targets that fit a network and its loss.
#[derive(Clone, Debug, PartialEq)]
pub struct Batch<T> {
    inputs: Matrix<T>,
    targets: Targets<T>,
}

/// A view of a batch or of a mini-batch.
#[derive(Clone, Copy, Debug)]
pub struct BatchRef<'a, T> {
    /// x, m × n₀, row-major.
    pub inputs: &'a [T],
    /// y.
    pub targets: TargetsRef<'a, T>,
    /// m.
    pub rows: usize,
}

/// Checks the inputs of a network: their shape, their number, and that each is finite.
///
/// # Errors
/// All violations, at the field `inputs`.
pub fn check_inputs<T: Scalar>(
    architecture: &Architecture,
    inputs: &Matrix<T>,
    max_rows: usize,
) -> Result<(), Violations> {
    let mut violations = Violations::new();
    let n0 = architecture.input_size();
    if inputs.columns != n0 {
        let given = format!("shape [{}, {}]", inputs.rows, inputs.columns);
        let allowed =
            format!("[m, {n0}]: a row for each sample, a column for each of the {n0} features");
        violations.add("inputs", given, allowed);
    }
    check_rows(inputs.rows, max_rows, &mut violations);
    check_finite("inputs", inputs, &mut violations);
    violations.into_result(Some(()))
}

/// Records a batch of too many rows.
pub fn check_rows(rows: usize, most: usize, violations: &mut Violations) {
    if rows > most {
        let allowed = format!("at most {most} rows; send several batches");
        violations.add("inputs", format!("{rows} rows"), allowed);
    }
}

/// Records the first entry that is infinite or NaN.
pub fn check_finite<T: Scalar>(field: &str, matrix: &Matrix<T>, violations: &mut Violations) {
    if T::all_finite(&matrix.entries) {
        return;
    }
    if let Some(index) = matrix.entries.iter().position(|entry| !entry.finite()) {
        let columns = matrix.columns.max(1);
        let given = format!(
            "{} at row {}, column {} (from 1)",
            matrix.entries[index].to_f64(),
            index / columns + 1,
            index % columns + 1
        );
        violations.add(field, given, "finite numbers");
    }
}

impl<T: Scalar> Batch<T> {
    /// Combines samples and targets, or returns every violation. Exactly one of `targets` and `labels` has to be given.
    ///
    /// # Errors
    /// Shapes that differ from the network's, entries that are not finite, targets that the loss does not accept.
    pub fn new(
        architecture: &Architecture,
        objective: Objective,
        inputs: Matrix<T>,
        targets: Option<Matrix<T>>,
        labels: &[i32],
        max_rows: usize,
    ) -> Result<Self, Violations> {
        let mut violations = Violations::new();
        violations.take_own(check_inputs(architecture, &inputs, max_rows));
        let targets = match (targets, labels) {
            (Some(targets), []) => {
                check_targets(
                    architecture,
                    objective.loss,
                    inputs.rows,
                    &targets,
                    &mut violations,
                );
                Some(Targets::Values(targets.entries))
            }
            (None, [_, ..]) => check_labels(
                architecture,
                objective.loss,
                inputs.rows,
                labels,
                &mut violations,
            )
            .map(Targets::Labels),
            (Some(_), [_, ..]) => {
                violations.add("labels", "targets and labels", "one of the two");
                None
            }
            (None, []) => {
                violations.add("targets", "neither targets nor labels", "one of the two");
                None
            }
        };
        violations.into_result(targets.map(|targets| Self { inputs, targets }))
    }

    /// Rows that have been checked where they come from, of `columns` inputs each.
    pub fn of_checked(rows: MinibatchBuffers<T>, columns: usize) -> Self {
        let inputs = Matrix {
            rows: rows.inputs.len() / columns.max(1),
            columns,
            entries: rows.inputs,
        };
        let targets = if rows.labels.is_empty() {
            Targets::Values(rows.values)
        } else {
            Targets::Labels(rows.labels)
        };
        Self { inputs, targets }
    }

    /// m.
    pub fn rows(&self) -> usize {
        self.inputs.rows
    }

    /// The whole batch.
    pub fn view(&self) -> BatchRef<'_, T> {
        BatchRef {
            inputs: &self.inputs.entries,
            targets: match &self.targets {
                Targets::Values(values) => TargetsRef::Values(values),
                Targets::Labels(labels) => TargetsRef::Labels(labels),
            },
            rows: self.inputs.rows,
        }
    }
}

fn check_targets<T: Scalar>(
    architecture: &Architecture,
    loss: Loss,
    rows: usize,
    targets: &Matrix<T>,
    violations: &mut Violations,
) {
    let n = architecture.output_size();
    if (targets.rows, targets.columns) != (rows, n) {
        let given = format!("shape [{}, {}]", targets.rows, targets.columns);
        let allowed =
            format!("[{rows}, {n}]: a row for each of the inputs, a column for each output");
        violations.add("targets", given, allowed);
        return;
    }
    check_finite("targets", targets, violations);
    check_target_values(loss, "targets", n, &targets.entries, 0, violations);
}

/// Records the first target that the loss does not accept, of rows of `n` entries that begin with row `first`, from 0.
pub fn check_target_values<T: Scalar>(
    loss: Loss,
    field: &str,
    n: usize,
    targets: &[T],
    first: usize,
    violations: &mut Violations,
) {
    match loss {
        Loss::HalfSquaredError | Loss::MeanSquaredError => {}
        Loss::CrossEntropy => {
            let is_distribution = |row: &[T]| {
                let sum: f64 = row.iter().map(|y| y.to_f64()).sum();
                row.iter().all(|y| *y >= T::ZERO) && (sum - 1.0).abs() <= PROBABILITY_SUM_TOLERANCE
            };
            if let Some(row) = targets
                .chunks_exact(n)
                .position(|row| !is_distribution(row))
            {
                violations.add(
                    field,
                    format!("row {} (from 1) that is no distribution", first + row + 1),
                    "one-hot rows, or probabilities that sum to 1; or send class numbers as labels",
                );
            }
        }
        Loss::BinaryCrossEntropy => {
            let outside = |y: &T| !(T::ZERO..=T::ONE).contains(y);
            if let Some(index) = targets.iter().position(outside) {
                let row = first + index / n + 1;
                let given = format!("{} in row {row}", targets[index].to_f64());
                violations.add(field, given, "0 to 1");
            }
        }
    }
}

fn check_labels(
    architecture: &Architecture,
    loss: Loss,
    rows: usize,
    labels: &[i32],
    violations: &mut Violations,
) -> Option<Vec<u32>> {
    let n = architecture.output_size();
    let classes = match loss {
        Loss::CrossEntropy => n,
        Loss::BinaryCrossEntropy if n == 1 => 2,
        Loss::BinaryCrossEntropy | Loss::HalfSquaredError | Loss::MeanSquaredError => {
            violations.add(
                "labels",
                format!("labels for {loss:?} with {n} outputs"),
                "targets; labels are for CROSS_ENTROPY, and for BINARY_CROSS_ENTROPY with one output",
            );
            return None;
        }
    };
    if labels.len() != rows {
        let given = format!("{} labels", labels.len());
        violations.add(
            "labels",
            given,
            format!("{rows}, one for each row of inputs"),
        );
    }
    let mut checked = Vec::with_capacity(labels.len());
    for (index, &label) in labels.iter().enumerate() {
        match u32::try_from(label) {
            Ok(class) if (class as usize) < classes => checked.push(class),
            Ok(_) | Err(_) => {
                let allowed = format!("0 to {}", classes - 1);
                violations.add(format!("labels[{index}]"), label, allowed);
                return None;
            }
        }
    }
    Some(checked)
}

/// Buffers for the rows of a mini-batch, reused from step to step.
#[derive(Clone, Debug)]
pub struct MinibatchBuffers<T> {
    inputs: Vec<T>,
    values: Vec<T>,
    labels: Vec<u32>,
}

impl<T> BatchRef<'_, T> {
    /// The samples `from` to `to`, the latter excluded.
    #[must_use]
    pub fn slice(self, from: usize, to: usize) -> Self {
        let columns = self.inputs.len() / self.rows;
        slice(self, from, to, columns)
    }
}

impl<T> MinibatchBuffers<T> {
    /// Empty buffers, which grow to the size of a mini-batch.
    pub fn new() -> Self {
        Self {
            inputs: Vec::new(),
            values: Vec::new(),
            labels: Vec::new(),
        }
    }

    /// The buffers to append rows to: inputs, targets, labels. Of the last two, one stays empty.
    pub fn parts(&mut self) -> (&mut Vec<T>, &mut Vec<T>, &mut Vec<u32>) {
        (&mut self.inputs, &mut self.values, &mut self.labels)
    }

    /// Removes all rows; the memory stays.
    pub fn clear(&mut self) {
        self.inputs.clear();
        self.values.clear();
        self.labels.clear();
    }

    /// The rows, `rows` of them.
    pub fn view(&self, rows: usize) -> BatchRef<'_, T> {
        BatchRef {
            inputs: &self.inputs,
            targets: if self.labels.is_empty() {
                TargetsRef::Values(&self.values)
            } else {
                TargetsRef::Labels(&self.labels)
            },
            rows,
        }
    }

    /// Appends a whole batch.
    pub fn append(&mut self, batch: BatchRef<'_, T>)
    where
        T: Copy,
    {
        self.inputs.extend_from_slice(batch.inputs);
        match batch.targets {
            TargetsRef::Values(values) => self.values.extend_from_slice(values),
            TargetsRef::Labels(labels) => self.labels.extend_from_slice(labels),
        }
    }

    /// Appends rows of a batch.
    pub(super) fn extend(&mut self, batch: BatchRef<'_, T>, rows: &[usize])
    where
        T: Copy,
    {
        let columns = batch.inputs.len() / batch.rows;
        for &row in rows {
            let inputs = &batch.inputs[row * columns..(row + 1) * columns];
            self.inputs.extend_from_slice(inputs);
            match batch.targets {
                TargetsRef::Values(values) => {
                    let n = values.len() / batch.rows;
                    self.values
                        .extend_from_slice(&values[row * n..(row + 1) * n]);
                }
                TargetsRef::Labels(labels) => self.labels.push(labels[row]),
            }
        }
    }
}

impl<T> Default for MinibatchBuffers<T> {
    fn default() -> Self {
        Self::new()
    }
}

fn slice<T>(batch: BatchRef<'_, T>, from: usize, to: usize, columns: usize) -> BatchRef<'_, T> {
    BatchRef {
        inputs: &batch.inputs[from * columns..to * columns],
        targets: match batch.targets {
            TargetsRef::Values(values) => {
                let n = values.len() / batch.rows;
                TargetsRef::Values(&values[from * n..to * n])
            }
            TargetsRef::Labels(labels) => TargetsRef::Labels(&labels[from..to]),
        },
        rows: to - from,
    }
}
