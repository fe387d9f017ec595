//! The gradients of ApplyGradients.

use super::quantity;
use super::tensor::{Rank, read_as};
use crate::fault::Violations;
use crate::host::parts::gradient::{GradientKind, GradientParts, GradientSet, GradientTensor};
use crate::host::parts::integers::Suspicion;
use crate::nn::Quantity;
use crate::rpc::pb;

/// Reads the sets at `gradients[…]`, or records every violation that needs no model.
pub fn read_gradients(
    sets: Vec<pb::GradientSet>,
    violations: &mut Violations,
) -> Option<GradientParts> {
    if sets.is_empty() {
        violations.add("gradients", "no set of gradients", "at least one");
        return None;
    }
    let before = violations.len();
    let mut read = Vec::with_capacity(sets.len());
    for (index, set) in sets.into_iter().enumerate() {
        let field = format!("gradients[{index}]");
        let weight = set.weight.unwrap_or(1.0);
        if !weight.is_finite() {
            violations.add(format!("{field}.weight"), weight, "a finite number");
        }
        if set.tensors.is_empty() {
            let allowed = "QUANTITY_D_W of every layer, QUANTITY_D_B of every layer with a bias";
            violations.add(format!("{field}.tensors"), "no tensor", allowed);
        }
        let mut tensors = Vec::with_capacity(set.tensors.len());
        for (position, named) in set.tensors.into_iter().enumerate() {
            let field = format!("{field}.tensors[{position}]");
            tensors.extend(read_tensor(named, &field, violations));
        }
        read.push(GradientSet { tensors, weight });
    }
    (violations.len() == before).then_some(GradientParts(read))
}

fn read_tensor(
    named: pb::NamedTensor,
    field: &str,
    violations: &mut Violations,
) -> Option<GradientTensor> {
    let kind = match quantity::read(named.quantity) {
        Some(Quantity::WeightsGradient) => Some(GradientKind::Weights),
        Some(Quantity::BiasGradient) => Some(GradientKind::Bias),
        Some(_) | None => {
            let allowed = "QUANTITY_D_W (6) or QUANTITY_D_B (7)";
            violations.add(format!("{field}.quantity"), named.quantity, allowed);
            None
        }
    };
    let layer = usize::try_from(named.layer).ok().filter(|&layer| layer > 0);
    if layer.is_none() {
        let allowed = "a layer, counted from 1";
        violations.add(format!("{field}.layer"), named.layer, allowed);
    }
    let rank = match kind? {
        GradientKind::Weights => Rank::Matrix,
        GradientKind::Bias => Rank::Vector,
    };
    // A gradient that has vanished may be subnormal.
    let suspicion = Suspicion::SmallIntegers;
    let field = format!("{field}.tensor");
    let tensor = read_as(named.tensor, &field, rank, suspicion, violations);
    Some(GradientTensor {
        kind: kind?,
        layer: layer?,
        tensor: tensor?,
    })
}
