//! Whether a dataset fits a model.

use backpropd_datasets::{Dataset, TruthKind};

use crate::fault::Violations;
use crate::nn::Loss;
use crate::training::Spec;

/// Checks a dataset against a model, at the field `dataset`.
///
/// # Errors
/// All violations.
pub fn check_fit(spec: &Spec, dataset: &Dataset) -> Result<(), Violations> {
    let mut violations = Violations::new();
    let (n0, n) = (
        spec.architecture.input_size(),
        spec.architecture.output_size(),
    );
    if dataset.features() != n0 {
        let given = format!("a dataset of {} features", dataset.features());
        violations.add("dataset", given, format!("{n0}, as the model has inputs"));
    }
    let loss = spec.objective.loss;
    match dataset.truth() {
        TruthKind::Targets { columns } => {
            if *columns != n {
                let given = format!("a dataset of {columns} target columns");
                violations.add("dataset", given, format!("{n}, as the model has outputs"));
            }
        }
        TruthKind::Labels { names } => {
            let classes = match loss {
                Loss::CrossEntropy => Some(n),
                Loss::BinaryCrossEntropy if n == 1 => Some(2),
                Loss::BinaryCrossEntropy | Loss::HalfSquaredError | Loss::MeanSquaredError => None,
            };
            match classes {
                Some(classes) if names.len() <= classes => {}
                Some(classes) => {
                    let given = format!("a dataset of {} classes", names.len());
                    let allowed = format!("at most {classes}, the classes of the model");
                    violations.add("dataset", given, allowed);
                }
                None => violations.add(
                    "dataset",
                    format!("a dataset of labels for {loss:?} with {n} outputs"),
                    "a dataset of targets; labels are for CROSS_ENTROPY, and for BINARY_CROSS_ENTROPY with one output",
                ),
            }
        }
    }
    violations.into_result(Some(()))
}
