//! Checks that the submitted tensors can be compared at all.

use std::collections::BTreeMap;

use backpropd_engine::fault::Violations;
use backpropd_engine::nn::{Architecture, BatchRef, Loss, Objective, TargetsRef};

use super::submitted::{Extras, SubmittedTensor};
use crate::grade::Quantity;
use crate::grade::pass::Gradients;

pub(super) fn references(
    architecture: &Architecture,
    parameters: &[f64],
    objective: Objective,
    batch: BatchRef<'_, f64>,
    extras: &Extras<'_>,
) -> Result<(), Violations> {
    let mut violations = Violations::new();
    let count = architecture.parameter_count();
    if parameters.len() != count {
        let given = format!("{} numbers", parameters.len());
        violations.add("parameters", given, format!("{count}, as the layers have"));
    }
    batch_fits("batch", architecture, objective, batch, &mut violations);
    if let Some(earlier) = extras.earlier {
        batch_fits("earlier", architecture, objective, earlier, &mut violations);
    }
    if let Some(rate) = extras.learning_rate
        && !(rate.is_finite() && rate > 0.0)
    {
        violations.add("learning_rate", rate, "a finite number above 0");
    }
    if extras.dataset_size == Some(0) {
        violations.add("dataset_size", 0, "1 or more");
    }
    violations.into_result(Some(()))
}

fn batch_fits(
    field: &str,
    architecture: &Architecture,
    objective: Objective,
    batch: BatchRef<'_, f64>,
    violations: &mut Violations,
) {
    let (m, n0, n) = (
        batch.rows,
        architecture.input_size(),
        architecture.output_size(),
    );
    if m == 0 {
        violations.add(field, "no samples", "1 or more");
        return;
    }
    if Some(batch.inputs.len()) != m.checked_mul(n0) {
        let given = format!("{} entries", batch.inputs.len());
        violations.add(
            format!("{field}.inputs"),
            given,
            format!("{m} rows of {n0}"),
        );
    }
    let targets = format!("{field}.targets");
    match batch.targets {
        TargetsRef::Values(values) if Some(values.len()) != m.checked_mul(n) => {
            let given = format!("{} entries", values.len());
            violations.add(targets, given, format!("{m} rows of {n}"));
        }
        TargetsRef::Values(_) => {}
        TargetsRef::Labels(labels) => {
            let classes = match objective.loss {
                Loss::CrossEntropy => n,
                Loss::BinaryCrossEntropy | Loss::HalfSquaredError | Loss::MeanSquaredError => {
                    n.max(2)
                }
            };
            if labels.len() != m || labels.iter().any(|&label| label as usize >= classes) {
                let given = format!("{} labels", labels.len());
                let allowed = format!("{m} labels from 0 to {}", classes - 1);
                violations.add(targets, given, allowed);
            }
        }
    }
}

/// Refuses networks whose right gradient is not finite: every answer would be wrong.
pub(super) fn finite(architecture: &Architecture, right: &Gradients) -> Result<(), Violations> {
    let finite = |quantity: &Quantity| {
        let tensor = right.get(*quantity);
        tensor.is_none_or(|tensor| tensor.values.iter().all(|value| value.is_finite()))
    };
    let mut violations = Violations::new();
    if let Some(quantity) = Quantity::all(architecture).iter().find(|q| !finite(q)) {
        let given = format!("numbers for which {quantity} overflows");
        violations.add(
            "parameters",
            given,
            "parameters and a batch with finite gradients",
        );
    }
    violations.into_result(Some(()))
}

/// The most axes of a submitted tensor; a network has none of more than two.
pub const MOST_AXES: usize = 8;

pub(super) fn submitted(
    architecture: &Architecture,
    submitted: &[SubmittedTensor],
) -> Result<(), Violations> {
    let depth = architecture.depth();
    let mut first: BTreeMap<Quantity, usize> = BTreeMap::new();
    let mut violations = Violations::new();
    for (at, tensor) in submitted.iter().enumerate() {
        let quantity = tensor.quantity;
        if let Some(layer) = quantity.layer().filter(|i| !(1..=depth).contains(i)) {
            let allowed = format!("layers 1 to {depth}");
            violations.add(format!("submitted[{at}].layer"), layer, allowed);
        } else if !quantity.is_of(architecture) {
            let allowed = "layers that have a bias";
            violations.add(format!("submitted[{at}].layer"), quantity, allowed);
        } else if let Some(before) = first.insert(quantity, at) {
            first.insert(quantity, before);
            let given = format!("{quantity}, as submitted[{before}] is");
            let allowed = "one tensor for each quantity and layer";
            violations.add(format!("submitted[{at}]"), given, allowed);
        }
        let axes = tensor.shape.len();
        if axes > MOST_AXES {
            let allowed = format!("at most {MOST_AXES}");
            violations.add(
                format!("submitted[{at}].tensor.shape"),
                format!("{axes} axes"),
                allowed,
            );
            continue;
        }
        let count = tensor
            .shape
            .iter()
            .try_fold(1_usize, |count, &axis| count.checked_mul(axis));
        if count != Some(tensor.values.len()) {
            let allowed = format!("axes that hold the {} values given", tensor.values.len());
            let given = format!("{:?}", tensor.shape);
            violations.add(format!("submitted[{at}].tensor.shape"), given, allowed);
        }
    }
    violations.into_result(Some(()))
}
