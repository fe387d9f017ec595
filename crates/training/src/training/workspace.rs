//! The buffers of a run. Allocating them takes about as long as a step, so the next run of the same shape reuses them.

use std::sync::Arc;

use super::model::{Committed, Model};
use super::spec::Spec;
use backpropd_engine::nn::{
    Architecture, Backward, ForwardBuffers, InputGradient, MinibatchBuffers, Scalar, State,
};

/// Buffers for a run, which carry no state from one run to the next. The default workspace fits no run.
#[derive(Debug)]
pub struct Workspace<T> {
    /// The architecture that the buffers are sized for.
    architecture: Option<Architecture>,
    /// The most rows of a step.
    rows: usize,
    pub(super) forward: ForwardBuffers<T>,
    pub(super) backward: Backward<T>,
    pub(super) minibatch: MinibatchBuffers<T>,
    /// The sum of squares of each unit's gradient.
    pub(super) squares: Vec<f64>,
    /// The buffer for the next committed step, once no reader holds the step that it came from.
    spare: Option<Arc<Committed<T>>>,
}

impl<T: Scalar> Workspace<T> {
    /// Buffers for steps of at most `rows` rows.
    pub fn new(spec: &Spec, rows: usize) -> Self {
        let architecture = &spec.architecture;
        Self {
            architecture: Some(architecture.clone()),
            rows,
            forward: ForwardBuffers::new(architecture, rows),
            backward: Backward::new(architecture, rows, InputGradient::Skip),
            minibatch: MinibatchBuffers::default(),
            squares: vec![0.0; architecture.units_per_sample()],
            spare: None,
        }
    }

    /// Whether a run of these steps can use the buffers.
    pub fn fits(&self, spec: &Spec, rows: usize) -> bool {
        self.rows == rows && self.architecture.as_ref() == Some(&spec.architecture)
    }

    /// The size of a workspace for at most `rows` rows, in bytes: its buffers, a mini-batch, and the state of the next
    /// step.
    pub fn bytes(model: &Model<T>, rows: usize) -> usize {
        let spec = model.spec();
        let architecture = &spec.architecture;
        let minibatch = rows.saturating_mul(architecture.input_size() + architecture.output_size());
        let state = architecture.parameter_count() * (1 + spec.optimizer.slots());
        ForwardBuffers::<T>::bytes(architecture, rows)
            .saturating_add(Backward::<T>::bytes(architecture, rows))
            .saturating_add(architecture.units_per_sample() * size_of::<f64>())
            .saturating_add(
                minibatch
                    .saturating_add(state)
                    .saturating_mul(size_of::<T>()),
            )
    }

    /// A state of the size of `current` for the next step, with no other references. Its contents are arbitrary.
    pub(super) fn take_spare(&mut self, current: &Committed<T>) -> Arc<Committed<T>> {
        self.spare
            .take()
            .filter(|spare| {
                Arc::strong_count(spare) == 1 && spare.state.has_sizes_of(&current.state)
            })
            .unwrap_or_else(|| Arc::new(Committed::new(State::blank(&current.state), 0)))
    }

    /// Stores a state for [`Self::take_spare`].
    pub(super) fn keep_spare(&mut self, spare: Arc<Committed<T>>) {
        self.spare = Some(spare);
    }
}

impl<T> Default for Workspace<T> {
    fn default() -> Self {
        Self {
            architecture: None,
            rows: 0,
            forward: ForwardBuffers::default(),
            backward: Backward::default(),
            minibatch: MinibatchBuffers::default(),
            squares: Vec::new(),
            spare: None,
        }
    }
}
