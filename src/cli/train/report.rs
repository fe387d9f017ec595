//! The result of a training: quality on the held-out part, the confusion matrix, the JSON object.

use std::fmt::Write as _;

use serde_json::json;

use super::{
    client::Head,
    dataset::{Matrix, Truth},
};

/// Largest confusion matrix that fits a terminal.
const MOST_CLASSES_SHOWN: usize = 20;

/// How well outputs match the truth.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(in crate::cli) enum Quality {
    /// The number of right classes, and of all.
    Classes { right: usize, of: usize },
    /// The root of the mean squared error, in the data's units, and the share of variance explained.
    Numbers { rmse: f64, r2: f64 },
    /// The loss, and the share of variance explained: all that a server tells of several outputs with a squared loss.
    Outputs { loss: f64, r2: f64 },
}

impl Quality {
    /// The number to plot: accuracy, or the share of variance explained.
    #[allow(clippy::cast_precision_loss, reason = "counts of samples")]
    pub(in crate::cli) fn score(self) -> f64 {
        match self {
            Self::Classes { right, of } => right as f64 / of as f64,
            Self::Numbers { r2, .. } | Self::Outputs { r2, .. } => r2,
        }
    }

    pub(in crate::cli) fn json(self) -> serde_json::Value {
        match self {
            Self::Classes { .. } => json!({"accuracy": self.score()}),
            Self::Numbers { rmse, r2 } => json!({"rmse": rmse, "r2": r2}),
            Self::Outputs { loss, r2 } => json!({"loss": loss, "r2": r2}),
        }
    }

    #[cfg(feature = "plot")]
    pub(in crate::cli) fn name(self) -> &'static str {
        match self {
            Self::Classes { .. } => "accuracy",
            Self::Numbers { .. } | Self::Outputs { .. } => "R²",
        }
    }
}

impl std::fmt::Display for Quality {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Classes { right, of } => write!(
                f,
                "accuracy {:5.2} % ({right} of {of})",
                100.0 * self.score()
            ),
            Self::Numbers { rmse, r2 } => write!(f, "RMSE {rmse:.4}, R² {r2:.4}"),
            Self::Outputs { loss, r2 } => write!(f, "loss {loss:.4}, R² {r2:.4}"),
        }
    }
}

/// Measures outputs against the truth; targets were divided by `scale`, column by column.
pub(in crate::cli) fn quality(
    outputs: &Matrix,
    truth: &Truth,
    head: Head,
    scale: &[f64],
) -> Quality {
    match truth {
        Truth::Labels { labels, .. } => {
            let right = labels
                .iter()
                .enumerate()
                .filter(|(row, label)| head.class(outputs.row(*row)) == **label)
                .count();
            Quality::Classes {
                right,
                of: labels.len(),
            }
        }
        Truth::Targets(targets) => fit(outputs, targets, scale),
    }
}

#[allow(clippy::cast_precision_loss, reason = "counts of samples")]
fn fit(outputs: &Matrix, targets: &Matrix, scale: &[f64]) -> Quality {
    let columns = targets.columns;
    let rows = targets.rows() as f64;
    let mut means = vec![0.0; columns];
    for (at, target) in targets.values.iter().enumerate() {
        means[at % columns] += target / rows;
    }
    let (mut errors, mut variation) = (0.0, 0.0);
    for (at, (output, target)) in outputs.values.iter().zip(&targets.values).enumerate() {
        let column = at % columns;
        errors += ((output - target) * scale[column]).powi(2);
        variation += ((target - means[column]) * scale[column]).powi(2);
    }
    // Constant targets have no variance to explain.
    let r2 = if variation > 0.0 {
        1.0 - errors / variation
    } else {
        0.0
    };
    Quality::Numbers {
        rmse: (errors / (rows * columns as f64)).sqrt(),
        r2,
    }
}

/// The count of predictions of each class (column) for each true class (row).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::cli) struct Confusion {
    names: Vec<String>,
    counts: Vec<Vec<usize>>,
}

impl Confusion {
    /// `None` for a regression.
    pub(in crate::cli) fn of(outputs: &Matrix, truth: &Truth, head: Head) -> Option<Self> {
        let Truth::Labels { labels, names } = truth else {
            return None;
        };
        let mut counts = vec![vec![0; names.len()]; names.len()];
        for (row, label) in labels.iter().enumerate() {
            counts[*label][head.class(outputs.row(row))] += 1;
        }
        Some(Self {
            names: names.clone(),
            counts,
        })
    }

    pub(in crate::cli) fn json(&self) -> serde_json::Value {
        json!({"classes": self.names, "counts": self.counts})
    }

    /// The matrix of `samples` as a table; with too many classes, the most frequent confusions.
    pub(in crate::cli) fn table(&self, samples: &str) -> String {
        if self.names.len() > MOST_CLASSES_SHOWN {
            return self.most_frequent(samples);
        }
        let shorten = |name: &String| name.chars().take(12).collect::<String>();
        let names: Vec<String> = self.names.iter().map(shorten).collect();
        let widest_count = self
            .counts
            .iter()
            .flatten()
            .max()
            .map_or(1, |count| count.to_string().len());
        let width = names
            .iter()
            .map(|name| name.chars().count())
            .max()
            .unwrap_or(1)
            .max(widest_count)
            + 1;
        let mut text = format!(
            "{samples}: true class (rows) against predicted class (columns)\n{:>width$} │",
            ""
        );
        for name in &names {
            let _ = write!(text, "{name:>width$}");
        }
        let _ = write!(
            text,
            " │ recall\n{}┼{}┼───────",
            "─".repeat(width + 1),
            "─".repeat(width * names.len() + 1)
        );
        for (at, (name, row)) in names.iter().zip(&self.counts).enumerate() {
            let _ = write!(text, "\n{name:>width$} │");
            for count in row {
                // Dots for zeros make the mistakes stand out.
                let cell = if *count == 0 {
                    "·".to_owned()
                } else {
                    count.to_string()
                };
                let _ = write!(text, "{cell:>width$}");
            }
            let _ = write!(text, " │ {}", percent(row[at], row.iter().sum()));
        }
        text
    }

    fn most_frequent(&self, samples: &str) -> String {
        let mut mistakes: Vec<(usize, &str, &str)> = Vec::new();
        for (row, counts) in self.counts.iter().enumerate() {
            for (column, count) in counts
                .iter()
                .enumerate()
                .filter(|(column, count)| *column != row && **count > 0)
            {
                mistakes.push((*count, &self.names[row], &self.names[column]));
            }
        }
        mistakes.sort_by_key(|mistake| std::cmp::Reverse(mistake.0));
        let mut text = format!(
            "{} classes; the most frequent confusions ({samples}):",
            self.names.len()
        );
        for (count, truth, predicted) in mistakes.iter().take(MOST_CLASSES_SHOWN) {
            let _ = write!(text, "\n{count:>6} × {truth} taken for {predicted}");
        }
        text
    }
}

#[allow(clippy::cast_precision_loss, reason = "counts of samples")]
fn percent(part: usize, whole: usize) -> String {
    if whole == 0 {
        "     –".to_owned()
    } else {
        format!("{:4.0} %", 100.0 * part as f64 / whole as f64)
    }
}

/// One epoch, as measured.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::cli) struct Epoch {
    /// From 1.
    pub number: u32,
    /// The loss of each step, before its update.
    pub losses: Vec<f64>,
    pub held_out: Quality,
    /// From the epoch before, or from the request, to the held-out figures.
    pub seconds: f64,
}

impl Epoch {
    /// The mean over the epoch's steps.
    #[allow(clippy::cast_precision_loss, reason = "counts of steps")]
    pub(in crate::cli) fn loss(&self) -> f64 {
        self.losses.iter().sum::<f64>() / self.losses.len() as f64
    }
}

/// All of a training.
pub(in crate::cli) struct Report {
    pub data: String,
    pub train_samples: usize,
    pub held_out_samples: usize,
    pub features: usize,
    pub parameters: i64,
    pub epochs: Vec<Epoch>,
    /// Of the weights that the model has at the end.
    pub held_out: Quality,
    pub confusion: Option<Confusion>,
    pub digest: String,
    pub steps: i64,
    /// The model's name, if it stays on the server.
    pub model: Option<String>,
    /// The epoch whose weights the model has at the end; the last one without `--patience`.
    pub best_epoch: u32,
    /// The time in which the server computed.
    pub computed_seconds: f64,
    /// From before the connection to after the last prediction.
    pub total_seconds: f64,
}

impl Report {
    pub(in crate::cli) fn train_seconds(&self) -> f64 {
        self.epochs.iter().map(|epoch| epoch.seconds).sum()
    }

    /// The epoch that the training ended with.
    pub(in crate::cli) fn last_epoch(&self) -> u32 {
        self.epochs.last().map_or(0, |epoch| epoch.number)
    }

    /// The last line of the output.
    #[allow(clippy::cast_precision_loss, reason = "counts of samples")]
    pub(in crate::cli) fn summary(&self) -> String {
        let seconds = self.train_seconds();
        let epochs = self.last_epoch();
        let samples = self.train_samples as f64 * f64::from(epochs);
        let which = if self.best_epoch == epochs {
            String::new()
        } else {
            format!(" (epoch {})", self.best_epoch)
        };
        let mut digest = self.digest.clone();
        digest.truncate(16);
        format!(
            "held-out {}{which}; {epochs} epochs, {} steps, {} parameters; trained in {seconds:.2} s ({:.0} samples/s), {:.2} s in all; weights {digest}",
            self.held_out,
            self.steps,
            self.parameters,
            samples / seconds.max(1e-9),
            self.total_seconds,
        )
    }

    /// Everything, for programs.
    pub(in crate::cli) fn json(&self) -> serde_json::Value {
        let epochs: Vec<_> = self
            .epochs
            .iter()
            .map(|epoch| {
                let mut entry = json!({
                    "epoch": epoch.number,
                    "loss": epoch.loss(),
                    "step_losses": epoch.losses,
                    "seconds": epoch.seconds,
                });
                if let serde_json::Value::Object(held_out) = epoch.held_out.json() {
                    for (name, value) in held_out {
                        entry[format!("held_out_{name}")] = value;
                    }
                }
                entry
            })
            .collect();
        json!({
            "data": self.data,
            "train_samples": self.train_samples,
            "held_out_samples": self.held_out_samples,
            "features": self.features,
            "parameters": self.parameters,
            "steps": self.steps,
            "epochs": epochs,
            "confusion": self.confusion.as_ref().map(Confusion::json),
            "train_seconds": self.train_seconds(),
            "computed_seconds": self.computed_seconds,
            "total_seconds": self.total_seconds,
            "weights_digest": self.digest,
            "model": self.model,
            "best_epoch": self.best_epoch,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(labels: &[usize], names: usize) -> Truth {
        Truth::Labels {
            labels: labels.to_vec(),
            names: (0..names).map(|name| name.to_string()).collect(),
        }
    }

    #[test]
    fn confusion_counts_truth_in_rows_and_prediction_in_columns() {
        let truth = labels(&[0, 0, 1, 2], 3);
        let head = Head::of(&truth, None).expect("classes");
        let outputs = Matrix {
            columns: 3,
            values: vec![9.0, 0.0, 0.0, 0.0, 9.0, 0.0, 0.0, 9.0, 0.0, 0.0, 0.0, 9.0],
        };
        let confusion = Confusion::of(&outputs, &truth, head).expect("classes");
        assert_eq!(confusion.counts, [[1, 1, 0], [0, 1, 0], [0, 0, 1]]);
        assert_eq!(
            quality(&outputs, &truth, head, &[]),
            Quality::Classes { right: 3, of: 4 }
        );
        let table = confusion.table("held-out samples");
        assert!(
            table
                .lines()
                .any(|line| line.trim() == "0 │ 1 1 · │   50 %"),
            "{table}"
        );
    }

    #[test]
    fn one_output_says_yes_above_zero() {
        let truth = labels(&[0, 1], 2);
        let head = Head::of(&truth, Some(backpropd_client::pb::Loss::BinaryCrossEntropy))
            .expect("two classes");
        let outputs = Matrix {
            columns: 1,
            values: vec![-0.1, 0.1],
        };
        assert_eq!(
            quality(&outputs, &truth, head, &[]),
            Quality::Classes { right: 2, of: 2 }
        );
    }

    #[test]
    fn numbers_are_measured_in_the_units_of_the_data() {
        let targets = Matrix {
            columns: 1,
            values: vec![-1.0, 1.0],
        };
        let truth = Truth::Targets(targets);
        let head = Head::of(&truth, None).expect("numbers");
        let outputs = Matrix {
            columns: 1,
            values: vec![-0.5, 0.5],
        };
        assert_eq!(
            quality(&outputs, &truth, head, &[10.0]),
            Quality::Numbers {
                rmse: 5.0,
                r2: 0.75
            }
        );
    }

    #[test]
    fn a_class_loss_on_numbers_is_refused() {
        let truth = Truth::Targets(Matrix {
            columns: 1,
            values: vec![1.0],
        });
        assert!(Head::of(&truth, Some(backpropd_client::pb::Loss::CrossEntropy)).is_err());
    }
}
