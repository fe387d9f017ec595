//! How well a model does on samples: the forward pass, some rows at a time.

use crate::nn::evaluation::{Evaluated, Evaluation, EvaluationParts};
use crate::nn::{
    Architecture, ForwardBuffers, MinibatchBuffers, Pauses, Samples, SamplesError, Scalar,
};
use crate::training::{Committed, Model, Spec};

/// The entries of z in one block of rows, about: a few megabytes, so that the memory does not grow with the rows.
const BLOCK_ENTRIES: usize = 1 << 19;

/// The fewest rows of a block: with less the products would slow down.
const LEAST_ROWS: usize = 256;

/// The rows of a block, of `rows` in all.
pub fn block_rows(architecture: &Architecture, rows: usize) -> usize {
    (BLOCK_ENTRIES / architecture.units_per_sample())
        .max(LEAST_ROWS)
        .min(rows)
}

/// The memory of an evaluation of `rows` rows, in bytes.
pub fn evaluation_bytes<T: Scalar>(model: &Model<T>, parts: EvaluationParts, rows: usize) -> usize {
    let spec = model.spec();
    let (architecture, outputs) = (&spec.architecture, spec.architecture.output_size());
    let block = block_rows(architecture, rows);
    // Rows of a dataset are copied.
    let copied = block.saturating_mul((architecture.input_size() + outputs) * size_of::<T>());
    ForwardBuffers::<T>::bytes(architecture, block)
        .saturating_add(copied)
        .saturating_add(Evaluation::<T>::bytes(spec.objective, outputs, parts, rows))
}

/// Evaluates committed parameters on samples.
///
/// # Errors
/// The samples cannot be fetched.
pub async fn evaluate<T: Scalar>(
    spec: &Spec,
    committed: &Committed<T>,
    samples: &dyn Samples<T>,
    parts: EvaluationParts,
    pauses: &impl Pauses,
) -> Result<Evaluated, SamplesError> {
    let (architecture, rows) = (&spec.architecture, samples.rows());
    let mut evaluation = Evaluation::new(spec.objective, architecture.output_size(), parts);
    let block = block_rows(architecture, rows);
    let mut buffers = ForwardBuffers::new(architecture, block);
    let mut fetched = MinibatchBuffers::new();
    let mlp = committed.mlp(spec);
    for from in (0..rows).step_by(block) {
        let to = (from + block).min(rows);
        let batch = match samples.whole() {
            Some(whole) => whole.slice(from, to),
            None => {
                fetched.clear();
                let rows: Vec<usize> = (from..to).collect();
                samples.fetch(&rows, &mut fetched)?;
                fetched.view(to - from)
            }
        };
        let trace = mlp
            .forward_in_blocks(batch.inputs, batch.rows, &mut buffers, pauses)
            .await;
        evaluation.add(trace.outputs(), batch.targets);
        pauses.pause().await;
    }
    Ok(evaluation.finish())
}
