//! One step with a gradient that was computed elsewhere.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::model::{Committed, Divergence, Model, any_float};
use backpropd_engine::nn::{
    Pauses, Scalar, State, Updated, WeightsDigest, norm, squares_in_blocks,
};

/// The result of a step with a given gradient.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct GradientStep {
    /// The model's step after the update.
    pub step: u64,
    /// Before clipping.
    #[serde(with = "any_float")]
    pub gradient_norm: f64,
    /// Schedule included.
    #[serde(with = "any_float")]
    pub learning_rate: f64,
    /// The new parameters' digest, if it was computed.
    pub digest: Option<WeightsDigest>,
}

impl<T: Scalar> Model<T> {
    /// Takes one step with `gradient`, which has the layout of the parameters, and commits it. `learning_rate` replaces
    /// the spec's base learning rate. Computes the digest only if `digests`. The caller is the model's only writer. Dropped before it resolves, it has no
    /// effect.
    ///
    /// The bits are those of a [`Run`](super::run::Run) of one step with this gradient: the squares are summed by unit, and
    /// an update treats every parameter alike.
    ///
    /// # Errors
    /// The next weights would not be finite; the model is unchanged.
    pub async fn apply_gradient(
        &self,
        gradient: &[T],
        learning_rate: Option<f64>,
        digests: bool,
        pauses: &impl Pauses,
    ) -> Result<GradientStep, Divergence> {
        let (spec, current) = (self.spec(), self.committed());
        let base = learning_rate.unwrap_or(spec.learning_rate);
        let learning_rate = base * spec.schedule.factor(current.step);
        let squares = squares_in_blocks(&spec.architecture, gradient, pauses).await;
        let gradient_norm = norm(&squares, gradient);
        let scale = if spec.clips() {
            spec.clipping(gradient_norm)
        } else {
            1.0
        };
        let mut state = State::blank(&current.state);
        state.updates = current.state.updates + 1;
        let rule = spec.optimizer.rule(state.updates, scale, learning_rate);
        let update = rule.update(&current.state, &mut state);
        let updated = update.apply_in_blocks(gradient, pauses).await;
        if updated == Updated::NonFinite || !gradient_norm.is_finite() {
            return Err(Divergence {
                steps_done: 0,
                step: current.step,
                loss: f64::NAN,
                gradient_norm,
            });
        }
        let next = Arc::new(Committed::new(state, current.step + 1));
        let mut digest = None;
        if digests {
            digest = Some(next.digest_in_blocks(spec, pauses).await);
        }
        let step = next.step;
        self.commit(next);
        Ok(GradientStep {
            step,
            gradient_norm,
            learning_rate,
            digest,
        })
    }
}
