//! A model: a spec, the last committed step, and the requests that made it.

use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use serde::{Deserialize, Serialize};

use super::request_log::{RequestId, RequestIdReused, RequestLog};
use super::spec::Spec;
use backpropd_engine::fault::Violations;
use backpropd_engine::nn::{
    Matrix, Mlp, Pauses, Scalar, State, WeightsDigest, batch::check_finite,
};

/// The largest step that training may reach: up to here every step is an exact number in every client's language.
pub const LARGEST_STEP: u64 = 1 << 53;

/// One committed step: immutable, so that readers, snapshots and the next step share it without waiting.
#[derive(Debug)]
pub struct Committed<T> {
    /// Parameters and optimizer state.
    pub state: State<T>,
    /// How many steps are committed.
    pub step: u64,
    pub(super) digest: OnceLock<WeightsDigest>,
}

/// A model that computes in `T`. One writer at a time (its caller sees to that), any number of readers.
#[derive(Debug)]
pub struct Model<T> {
    spec: Spec,
    current: Mutex<Current<T>>,
}

/// What changes of a model, under one lock, so that no look at it mixes two steps.
#[derive(Debug)]
struct Current<T> {
    committed: Arc<Committed<T>>,
    requests: RequestLog<Outcome>,
    /// The run under way, where it is to be remembered: steps that an earlier try took, and the step it began at.
    running: Option<(RequestId, u64, u64)>,
}

/// All of a model that changes: the last committed step, and the requests that made it.
#[derive(Clone, Debug)]
pub struct Kept<T> {
    /// The step.
    pub committed: Arc<Committed<T>>,
    /// What became of the last requests, from the oldest to the newest.
    pub requests: Vec<(RequestId, Outcome)>,
}

/// What became of a request that changes a model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Outcome {
    /// A run that was cut short: this many of its steps are committed.
    Interrupted {
        /// Steps committed for this request.
        steps_done: u64,
    },
    /// A run that took every step.
    Finished(RunSummary),
    /// A run that met weights that are not finite.
    Diverged(Divergence),
    /// Parameters that were replaced.
    ParametersSet {
        /// The model's step then.
        step: u64,
        /// The new parameters' digest.
        digest: WeightsDigest,
    },
}

/// How a finished run ended.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunSummary {
    /// Steps committed for the request, earlier tries included.
    pub steps_done: u64,
    /// The model's step.
    pub step: u64,
    /// The last step's loss, before its update.
    #[serde(with = "any_float")]
    pub final_loss: f64,
    /// The parameters' digest.
    pub digest: WeightsDigest,
}

/// Where a run would have lost the weights.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Divergence {
    /// Steps committed for the request before.
    pub steps_done: u64,
    /// The model's step, whose weights stay.
    pub step: u64,
    /// The loss of the step that was not taken.
    #[serde(with = "any_float")]
    pub loss: f64,
    /// The length of its gradient.
    #[serde(with = "any_float")]
    pub gradient_norm: f64,
}

/// How a request that changes a model may begin.
#[derive(Clone, Debug, PartialEq)]
pub enum Begin {
    /// With nothing done.
    Fresh,
    /// After the steps that an earlier try has committed.
    Resume {
        /// How many.
        steps_done: u64,
    },
    /// Not at all: this became of it.
    Replay(Outcome),
}

/// Why a request that changes a model may not begin.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BeginError {
    /// Its id belongs to another request.
    #[error(transparent)]
    Reused(#[from] RequestIdReused),
    /// The model is at another step than the caller thinks.
    #[error("expected_step is {expected}, the model is at step {actual}")]
    StepMismatch {
        /// What the caller expects.
        expected: i64,
        /// Where the model is.
        actual: u64,
    },
}

/// The parameters of one layer as somebody sends them.
#[derive(Clone, Debug, PartialEq)]
pub struct LayerParameters<T> {
    /// W.
    pub weights: Matrix<T>,
    /// b, one column or one row.
    pub bias: Option<Matrix<T>>,
}

impl Spec {
    /// Puts the layers' parameters into one flat vector, or names everything that does not fit, at `parameters[…]`.
    ///
    /// # Errors
    /// A number of layers, a shape or a bias other than the architecture's; entries that are not finite.
    pub fn flatten<T: Scalar>(
        &self,
        parameters: Vec<LayerParameters<T>>,
    ) -> Result<Vec<T>, Violations> {
        let mut violations = Violations::new();
        let layers = self.architecture.layers();
        if parameters.len() != layers.len() {
            let given = format!("{} layers", parameters.len());
            violations.add(
                "parameters",
                given,
                format!("{}, one for each layer", layers.len()),
            );
            return Err(violations);
        }
        let mut flat = Vec::with_capacity(self.architecture.parameter_count());
        for (index, (given, layer)) in parameters.into_iter().zip(layers).enumerate() {
            let field = format!("parameters[{index}].weights");
            let (rows, columns) = (given.weights.rows, given.weights.columns);
            if (rows, columns) != (layer.units, layer.fan_in) {
                let allowed = format!("[{}, {}], units × fan_in", layer.units, layer.fan_in);
                violations.add(&field, format!("shape [{rows}, {columns}]"), allowed);
            }
            check_finite(&field, &given.weights, &mut violations);
            flat.extend(given.weights.entries);

            let field = format!("parameters[{index}].bias");
            match (given.bias, layer.has_bias()) {
                (Some(bias), true) => {
                    if bias.entries.len() != layer.units {
                        let allowed = format!("[{}], one for each unit", layer.units);
                        violations.add(&field, format!("{} entries", bias.entries.len()), allowed);
                    }
                    check_finite(&field, &bias, &mut violations);
                    flat.extend(bias.entries);
                }
                (None, true) => violations.add(
                    &field,
                    "none",
                    format!("[{}]: the layer has a bias", layer.units),
                ),
                (Some(_), false) => violations.add(&field, "a bias", "none: the layer has no bias"),
                (None, false) => {}
            }
        }
        violations.into_result(Some(flat))
    }
}

impl<T: Scalar> Committed<T> {
    /// This state at this step.
    pub fn new(state: State<T>, step: u64) -> Self {
        Self {
            state,
            step,
            digest: OnceLock::new(),
        }
    }

    /// The network, to compute with.
    pub fn mlp<'a>(&'a self, spec: &'a Spec) -> Mlp<'a, T> {
        Mlp::new(&spec.architecture, &self.state.parameters)
    }

    /// The parameters' digest, computed when first asked for.
    pub fn digest(&self, spec: &Spec) -> WeightsDigest {
        *self
            .digest
            .get_or_init(|| WeightsDigest::new(&spec.architecture, &self.state.parameters))
    }
}

impl<T: Scalar> Committed<T> {
    /// Whether the digest has been computed.
    pub fn has_digest(&self) -> bool {
        self.digest.get().is_some()
    }

    /// [`Self::digest`] with pauses.
    pub async fn digest_in_blocks(&self, spec: &Spec, pauses: &impl Pauses) -> WeightsDigest {
        if let Some(known) = self.digest.get() {
            return *known;
        }
        let parameters = &self.state.parameters;
        let digest = WeightsDigest::new_in_blocks(&spec.architecture, parameters, pauses).await;
        *self.digest.get_or_init(|| digest)
    }
}

impl<T: Scalar> Model<T> {
    /// A model at step 0 with these parameters, which fit the spec's architecture. It remembers the last
    /// `remembered_requests` requests.
    pub fn new(spec: Spec, parameters: Vec<T>, remembered_requests: usize) -> Self {
        let state = State::new(parameters, &spec.optimizer);
        let kept = Kept {
            committed: Arc::new(Committed::new(state, 0)),
            requests: Vec::new(),
        };
        Self::restored(spec, kept, remembered_requests)
    }

    /// A model as it was when it was written down.
    pub fn restored(spec: Spec, kept: Kept<T>, remembered_requests: usize) -> Self {
        let mut requests = RequestLog::new(remembered_requests);
        requests.replace(kept.requests);
        let current = Current {
            committed: kept.committed,
            requests,
            running: None,
        };
        Self {
            spec,
            current: Mutex::new(current),
        }
    }

    /// What has to be kept of it: of a run under way, the steps that it has taken so far.
    pub fn kept(&self) -> Kept<T> {
        let current = self.lock();
        let mut requests = current.requests.clone();
        if let Some((request, done_before, began_at)) = &current.running {
            let steps_done = done_before + (current.committed.step - began_at);
            requests.record(request.clone(), Outcome::Interrupted { steps_done });
        }
        Kept {
            committed: Arc::clone(&current.committed),
            requests: requests.into_entries(),
        }
    }

    /// Goes back to what was kept. The caller is the model's only writer.
    pub fn restore(&self, kept: Kept<T>) {
        let mut current = self.lock();
        current.requests.replace(kept.requests);
        current.committed = kept.committed;
    }

    /// What it is.
    pub fn spec(&self) -> &Spec {
        &self.spec
    }

    /// The last committed step. Training goes on without changing it.
    pub fn committed(&self) -> Arc<Committed<T>> {
        Arc::clone(&self.lock().committed)
    }

    /// Replaces the last committed step, all of it at once.
    pub(super) fn commit(&self, committed: Arc<Committed<T>>) {
        self.lock().committed = committed;
    }

    /// Notes a run that goes on after `steps_done` steps of an earlier try.
    pub(super) fn note_run(&self, request: Option<RequestId>, steps_done: u64) {
        let mut current = self.lock();
        let step = current.committed.step;
        current.running = request.map(|request| (request, steps_done, step));
    }

    /// Whether a request of this id has changed the model, so that its outcome is known.
    pub fn knows(&self, request_id: &str) -> bool {
        !request_id.is_empty() && self.lock().requests.knows(request_id)
    }

    /// Decides how a request that changes the model begins. The caller is the model's only writer.
    ///
    /// # Errors
    /// A reused id, or another step than expected; a remembered request is answered whatever step it expects.
    pub fn begin(
        &self,
        request: Option<&RequestId>,
        expected_step: Option<i64>,
    ) -> Result<Begin, BeginError> {
        if let Some(request) = request
            && let Some(outcome) = self.lock().requests.find(request)?
        {
            match outcome {
                // Nothing was done, so whatever it expects of the model still has to hold.
                Outcome::Interrupted { steps_done: 0 } => {}
                Outcome::Interrupted { steps_done } => return Ok(Begin::Resume { steps_done }),
                Outcome::Finished(_) | Outcome::Diverged(_) | Outcome::ParametersSet { .. } => {
                    return Ok(Begin::Replay(outcome));
                }
            }
        }
        let actual = self.committed().step;
        match expected_step {
            Some(expected) if u64::try_from(expected) != Ok(actual) => {
                Err(BeginError::StepMismatch { expected, actual })
            }
            Some(_) | None => Ok(Begin::Fresh),
        }
    }

    /// Notes what became of a request; a run is over then.
    pub fn record(&self, request: Option<RequestId>, outcome: Outcome) {
        let mut current = self.lock();
        current.running = None;
        if let Some(request) = request {
            current.requests.record(request, outcome);
        }
    }

    /// Replaces the parameters and clears the optimizer's state. The caller is the model's only writer.
    pub fn set_parameters(&self, parameters: Vec<T>) -> Arc<Committed<T>> {
        let state = State::new(parameters, &self.spec.optimizer);
        let committed = Arc::new(Committed::new(state, self.committed().step));
        self.commit(Arc::clone(&committed));
        committed
    }

    /// Even after a panic elsewhere: each part is replaced whole, never left half-written.
    fn lock(&self) -> MutexGuard<'_, Current<T>> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Floating-point numbers as text, because JSON has neither infinities nor NaN.
mod any_float {
    use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

    #[allow(clippy::trivially_copy_pass_by_ref)] // serde says so.
    pub(super) fn serialize<S: Serializer>(number: &f64, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(number)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(D::Error::custom)
    }
}
