//! Gradients in a request, and their weighted sum.

use super::tensor::TensorParts;
use crate::fault::Violations;
use crate::nn::batch::check_finite;
use crate::nn::{Pauses, Scalar};
use crate::training::Spec;

/// Which gradient a tensor is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GradientKind {
    /// dW.
    Weights,
    /// db.
    Bias,
}

/// One tensor of a set.
pub struct GradientTensor {
    /// Which gradient it is.
    pub kind: GradientKind,
    /// The layer, from 1.
    pub layer: usize,
    /// Its entries; a dW has the shape of W, a db one column.
    pub tensor: TensorParts,
}

/// A gradient of all parameters, not yet converted to the model's scalar type or checked against its shape.
pub struct GradientSet {
    /// The tensors, in the order of the request.
    pub tensors: Vec<GradientTensor>,
    /// Its factor in the sum.
    pub weight: f64,
}

/// The sets of a request.
pub struct GradientParts(pub Vec<GradientSet>);

impl GradientParts {
    /// Number of entries, roughly the floating-point operations to sum them.
    pub fn entries(&self) -> u64 {
        let tensors = self.0.iter().flat_map(|set| &set.tensors);
        tensors.map(|given| given.tensor.entries() as u64).sum()
    }

    /// The sum of the sets, each times its weight, added in their order, in the layout of the parameters.
    ///
    /// # Errors
    /// Violations for every mismatch with the spec.
    pub async fn sum_in_blocks<T: Scalar>(
        self,
        spec: &Spec,
        pauses: &impl Pauses,
    ) -> Result<Vec<T>, Violations> {
        let mut violations = Violations::new();
        for (index, set) in self.0.iter().enumerate() {
            set.check(spec, &format!("gradients[{index}]"), &mut violations);
        }
        violations.into_result(Some(()))?;
        let mut violations = Violations::new();
        let mut sum = vec![T::ZERO; spec.architecture.parameter_count()];
        for (index, set) in self.0.into_iter().enumerate() {
            let weight = T::from_f64(set.weight);
            for (position, given) in set.tensors.into_iter().enumerate() {
                // Checked above.
                let Some(layer) = spec.architecture.layers().get(given.layer - 1) else {
                    continue;
                };
                let range = match given.kind {
                    GradientKind::Weights => layer.weights.clone(),
                    GradientKind::Bias => layer.bias.clone(),
                };
                let tensor = &given.tensor;
                let into = &mut sum[range];
                let is_finite = tensor.add_in_blocks(into, weight, index == 0, pauses).await;
                if !is_finite {
                    let field = format!("gradients[{index}].tensors[{position}].tensor");
                    check_finite(&field, &given.tensor.into_matrix::<T>(), &mut violations);
                }
            }
        }
        violations.into_result(Some(sum))
    }
}

impl GradientSet {
    /// Records every mismatch with the spec.
    fn check(&self, spec: &Spec, field: &str, violations: &mut Violations) {
        let layers = spec.architecture.layers();
        let mut given_weights = vec![false; layers.len()];
        let mut given_bias = vec![false; layers.len()];
        for (position, given) in self.tensors.iter().enumerate() {
            let field = format!("{field}.tensors[{position}]");
            let Some(layer) = given.layer.checked_sub(1).and_then(|at| layers.get(at)) else {
                let allowed = format!("a layer of the model, 1 to {}", layers.len());
                violations.add(format!("{field}.layer"), given.layer, allowed);
                continue;
            };
            let seen = match given.kind {
                GradientKind::Weights => &mut given_weights[given.layer - 1],
                GradientKind::Bias => &mut given_bias[given.layer - 1],
            };
            if std::mem::replace(seen, true) {
                let given = "a second tensor of its quantity and layer";
                violations.add(&field, given, "one for each quantity and layer");
            }
            let (rows, columns) = (given.tensor.rows(), given.tensor.columns());
            match given.kind {
                GradientKind::Weights => {
                    if (rows, columns) != (layer.units, layer.fan_in) {
                        let allowed =
                            format!("[{}, {}], units × fan_in", layer.units, layer.fan_in);
                        let shape = format!("[{rows}, {columns}]");
                        violations.add(format!("{field}.tensor.shape"), shape, allowed);
                    }
                }
                GradientKind::Bias => {
                    if !layer.has_bias() {
                        let allowed = format!("none: layer {} has no bias", given.layer);
                        violations.add(field, "a QUANTITY_D_B", allowed);
                    } else if rows != layer.units {
                        let allowed = format!("[{}], one for each unit", layer.units);
                        violations.add(
                            format!("{field}.tensor.shape"),
                            format!("[{rows}]"),
                            allowed,
                        );
                    }
                }
            }
        }
        for (index, layer) in layers.iter().enumerate() {
            let number = index + 1;
            if !given_weights[index] {
                let given = format!("no QUANTITY_D_W of layer {number}");
                violations.add(format!("{field}.tensors"), given, "one for each layer");
            }
            if layer.has_bias() && !given_bias[index] {
                let given = format!("no QUANTITY_D_B of layer {number}");
                let allowed = "one for each layer with a bias";
                violations.add(format!("{field}.tensors"), given, allowed);
            }
        }
    }
}
