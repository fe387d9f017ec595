//! Advice on tensors that are right: what the batch could not show, and axes that a quantity does not have.

use super::references::References;
use super::submitted::SubmittedTensor;
use crate::grade::Quantity;
use crate::grade::pass::Pass;

/// Takes a bias of shape [1, n] or [n, 1] for the n numbers that it holds, and says so.
pub(super) fn straighten(tensor: &mut SubmittedTensor, references: &References) -> Option<String> {
    let Quantity::Bias(_) = tensor.quantity else {
        return None;
    };
    let n = *references.right.get(tensor.quantity)?.shape.first()?;
    if tensor.shape != [1, n] && tensor.shape != [n, 1] {
        return None;
    }
    let advice = format!(
        "Its shape is {:?}; a bias has one axis: [{n}].",
        tensor.shape
    );
    tensor.shape = vec![n];
    Some(advice)
}

/// The mistakes that this batch cannot show in the gradient of a quantity; `None` if it shows the usual ones.
pub(super) fn blindness(quantity: Quantity, references: &References) -> Option<String> {
    let (pass, m) = (&references.pass, references.pass.rows);
    let right = references.right.get(quantity)?;
    if right.values.iter().all(|&value| value == 0.0) {
        let text = "Every entry of the right one is 0 for this batch: hardly any mistake shows.";
        return Some(text.to_owned());
    }
    let mut blind = Vec::new();
    if lets_all_pass(pass, quantity) {
        blind.push("no unit is dead in this batch: a missing mask does not show");
    }
    if m == 1 {
        blind.push("the batch has one sample: a missing mean or sum does not show");
    } else if are_alike(&pass.targets, pass.architecture.output_size()) {
        blind.push("all targets are equal: mixed-up samples do not show");
    }
    if references.dataset_size == Some(m) {
        blind.push("the batch is the whole data set: 1/N in place of 1/m does not show");
    }
    (!blind.is_empty()).then(|| format!("Note that {}.", blind.join("; ")))
}

/// Whether a slope with a kink lies on the way to a quantity, and every unit there is live on every sample.
fn lets_all_pass(pass: &Pass, quantity: Quantity) -> bool {
    let depth = pass.architecture.depth();
    let lowest = match quantity {
        Quantity::Weights(i) | Quantity::Bias(i) | Quantity::PreActivation(i) => i,
        Quantity::Activation(i) => i + 1,
        Quantity::Inputs => 1,
        Quantity::Delta => depth,
    };
    let layers = pass.architecture.layers().iter().zip(&pass.z);
    let mut masked = layers
        .skip(lowest.saturating_sub(1))
        .filter(|(layer, _)| layer.activation.has_kink())
        .peekable();
    masked.peek().is_some() && masked.all(|(_, z)| z.iter().all(|&z| z > 0.0))
}

fn are_alike(targets: &[f64], columns: usize) -> bool {
    let mut rows = targets.chunks_exact(columns.max(1));
    let first = rows.next();
    rows.all(|row| Some(row) == first)
}
