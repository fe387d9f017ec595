//! Classes as files store them: integers from 0.

use backpropd_engine::fault::Violations;

use crate::error::Fault;

/// The most classes. An output layer of that size is the largest that a classifier plausibly has.
pub(crate) const MOST_CLASSES: usize = 65_536;
/// The most labels that are reported as wrong.
const MOST_REPORTED: usize = 20;

/// Labels that are read in pieces.
#[derive(Debug)]
pub(crate) struct LabelReader {
    name: String,
    labels: Vec<u32>,
    violations: Violations,
}

impl LabelReader {
    pub(crate) fn with_capacity(name: &str, rows: usize) -> Result<Self, Fault> {
        let mut labels = Vec::new();
        labels
            .try_reserve_exact(rows)
            .map_err(|_| Fault::no_memory(rows.saturating_mul(4)))?;
        Ok(Self {
            name: name.to_owned(),
            labels,
            violations: Violations::new(),
        })
    }

    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "an integer below 65536, checked before"
    )]
    pub(crate) fn extend(&mut self, numbers: &[f64]) {
        for number in numbers {
            let is_class = number.fract() == 0.0 && (0.0..MOST_CLASSES as f64).contains(number);
            if !is_class && self.violations.len() < MOST_REPORTED {
                self.violations.add(
                    format!("{}, row {} (from 1)", self.name, self.labels.len() + 1),
                    number,
                    format!("a class: an integer from 0 to {}", MOST_CLASSES - 1),
                );
            }
            self.labels.push(if is_class { *number as u32 } else { 0 });
        }
    }

    /// The labels and the names of the classes. Without `names`, the classes are those up to the largest label; a class
    /// without a sample still counts.
    pub(crate) fn finish(
        mut self,
        names: Option<Vec<String>>,
    ) -> Result<(Vec<u32>, Vec<String>), Fault> {
        let largest = self.labels.iter().copied().max().unwrap_or(0) as usize;
        let names = names.unwrap_or_else(|| numbered(largest + 1));
        if self.violations.is_empty() {
            if names.len() < 2 {
                let allowed = "at least two classes; for numbers to predict, use targets";
                self.violations
                    .add(&self.name, "the class 0 in every row", allowed);
            }
            let beyond = |label: &u32| *label as usize >= names.len();
            for (row, label) in self.labels.iter().enumerate().filter(|(_, l)| beyond(l)) {
                if self.violations.len() >= MOST_REPORTED {
                    break;
                }
                self.violations.add(
                    format!("{}, row {} (from 1)", self.name, row + 1),
                    label,
                    format!("a class from 0 to {}", names.len().saturating_sub(1)),
                );
            }
        }
        self.violations.into_result(Some(()))?;
        Ok((self.labels, names))
    }
}

/// Names of classes that have none: 0, 1, …
pub(crate) fn numbered(classes: usize) -> Vec<String> {
    (0..classes).map(|class| class.to_string()).collect()
}
