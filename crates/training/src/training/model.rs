//! A model: a spec, the last committed step, and the requests that led to it.

use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use serde::{Deserialize, Serialize};

use super::gradient_step::GradientStep;
use super::request_log::{RequestId, RequestIdReused, RequestLog};
use super::spec::Spec;
use backpropd_engine::fault::Violations;
use backpropd_engine::nn::{
    Matrix, Mlp, Pauses, Scalar, State, WeightsDigest, batch::check_finite,
};

/// The largest step that training may reach: every client language represents steps up to here exactly.
pub const LARGEST_STEP: u64 = 1 << 53;

/// One committed step. It is immutable, so that readers, snapshots and the next step share it without locks.
#[derive(Debug)]
pub struct Committed<T> {
    /// Parameters and optimizer state.
    pub state: State<T>,
    /// The number of committed steps.
    pub step: u64,
    pub(super) digest: OnceLock<WeightsDigest>,
}

/// A model that computes in `T`. It allows any number of readers and one writer at a time, which the caller ensures.
#[derive(Debug)]
pub struct Model<T> {
    spec: Arc<Spec>,
    current: Mutex<Current<T>>,
}

/// The mutable part of a model, under one lock, so that no reader sees a mix of two steps.
#[derive(Debug)]
struct Current<T> {
    committed: Arc<Committed<T>>,
    requests: RequestLog<Outcome>,
    /// The current run, if its request is remembered: steps of its earlier tries, and the step at which it began.
    running: Option<(RequestId, u64, u64)>,
}

/// The mutable part of a model as a value: the last committed step, and the requests that led to it.
#[derive(Clone, Debug)]
pub struct Revision<T> {
    /// The last committed step.
    pub committed: Arc<Committed<T>>,
    /// The outcomes of the latest requests, oldest first.
    pub requests: Vec<(RequestId, Outcome)>,
}

/// The outcome of a request that changes a model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Outcome {
    /// A run that was interrupted after committing some of its steps.
    Interrupted {
        /// Steps committed for this request.
        steps_done: u64,
    },
    /// A run that took every step.
    Finished(RunSummary),
    /// A run whose weights became non-finite.
    Diverged(Divergence),
    /// Parameters were replaced.
    ParametersSet {
        /// The model's step at that time.
        step: u64,
        /// The new parameters' digest.
        digest: WeightsDigest,
    },
    /// A step with a given gradient.
    GradientApplied(GradientStep),
    /// The spec was changed.
    SpecUpdated {
        /// The model's step at that time.
        step: u64,
    },
}

/// The result of a completed run.
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
    /// Whether it ended before all its steps, because a held-out loss did not decrease any more.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_early: bool,
    /// The step of the smallest held-out loss, if there was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub best_step: Option<u64>,
}

/// The last finite state of a run that diverged.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Divergence {
    /// Steps committed for the request before the divergence.
    pub steps_done: u64,
    /// The model's step; its weights are unchanged.
    pub step: u64,
    /// The loss of the step that was not committed.
    #[serde(with = "any_float")]
    pub loss: f64,
    /// The norm of its gradient.
    #[serde(with = "any_float")]
    pub gradient_norm: f64,
}

/// How a request that changes a model begins.
#[derive(Clone, Debug, PartialEq)]
pub enum Begin {
    /// From the start.
    Fresh,
    /// After the steps that an earlier try committed.
    Resume {
        /// The number of those steps.
        steps_done: u64,
    },
    /// Not at all: return the recorded outcome.
    Replay(Outcome),
}

/// Why a request that changes a model cannot begin.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BeginError {
    /// Its id belongs to another request.
    #[error(transparent)]
    Reused(#[from] RequestIdReused),
    /// The model is not at the expected step.
    #[error("expected_step is {expected}, the model is at step {actual}")]
    StepMismatch {
        /// The step that the client expects.
        expected: i64,
        /// The model's step.
        actual: u64,
    },
}

/// The parameters of one layer as a client sends them.
#[derive(Clone, Debug, PartialEq)]
pub struct LayerParameters<T> {
    /// W.
    pub weights: Matrix<T>,
    /// b, one column or one row.
    pub bias: Option<Matrix<T>>,
}

impl Spec {
    /// Flattens the layers' parameters into one vector, or returns every violation, at `parameters[…]`.
    ///
    /// # Errors
    /// A number of layers, a shape or a bias that differs from the architecture; entries that are not finite.
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
    /// Creates a committed step.
    pub fn new(state: State<T>, step: u64) -> Self {
        Self {
            state,
            step,
            digest: OnceLock::new(),
        }
    }

    /// The network with this step's parameters.
    pub fn mlp<'a>(&'a self, spec: &'a Spec) -> Mlp<'a, T> {
        Mlp::new(&spec.architecture, &self.state.parameters)
    }

    /// The parameters' digest, computed on first use.
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
    /// Creates a model at step 0. The parameters have to fit the spec's architecture. It remembers the last
    /// `remembered_requests` requests.
    pub fn new(spec: Spec, parameters: Vec<T>, remembered_requests: usize) -> Self {
        let state = State::new(parameters, &spec.optimizer);
        let revision = Revision {
            committed: Arc::new(Committed::new(state, 0)),
            requests: Vec::new(),
        };
        Self::restored(spec, revision, remembered_requests)
    }

    /// Recreates a model from its persisted state.
    pub fn restored(spec: Spec, revision: Revision<T>, remembered_requests: usize) -> Self {
        let mut requests = RequestLog::new(remembered_requests);
        requests.replace(revision.requests);
        let current = Current {
            committed: revision.committed,
            requests,
            running: None,
        };
        Self {
            spec: Arc::new(spec),
            current: Mutex::new(current),
        }
    }

    /// The state to persist; during a run, with the steps it has committed so far.
    pub fn revision(&self) -> Revision<T> {
        let current = self.lock();
        let mut requests = current.requests.clone();
        if let Some((request, done_before, began_at)) = &current.running {
            let steps_done = done_before + (current.committed.step - began_at);
            requests.record(request.clone(), Outcome::Interrupted { steps_done });
        }
        Revision {
            committed: Arc::clone(&current.committed),
            requests: requests.into_entries(),
        }
    }

    /// Reverts to a persisted state. The caller is the model's only writer.
    pub fn restore(&self, revision: Revision<T>) {
        let mut current = self.lock();
        current.requests.replace(revision.requests);
        current.committed = revision.committed;
    }

    /// The model's spec.
    pub fn spec(&self) -> &Spec {
        &self.spec
    }

    /// The model's spec, to outlive the model.
    pub fn shared_spec(&self) -> Arc<Spec> {
        Arc::clone(&self.spec)
    }

    /// The last committed step. Training replaces it and never changes it.
    pub fn committed(&self) -> Arc<Committed<T>> {
        Arc::clone(&self.lock().committed)
    }

    /// Replaces the last committed step as a whole.
    pub(super) fn commit(&self, committed: Arc<Committed<T>>) {
        self.lock().committed = committed;
    }

    /// Records that a run is in progress, after `steps_done` steps of an earlier try.
    pub(super) fn note_run(&self, request: Option<RequestId>, steps_done: u64) {
        let mut current = self.lock();
        let step = current.committed.step;
        current.running = request.map(|request| (request, steps_done, step));
    }

    /// Whether the outcome of a request with this id is remembered.
    pub fn knows(&self, request_id: &str) -> bool {
        !request_id.is_empty() && self.lock().requests.knows(request_id)
    }

    /// Decides how a request that changes the model begins. The caller is the model's only writer.
    ///
    /// # Errors
    /// A reused id or an unexpected step. A remembered request gets its answer even if it expects another step.
    pub fn begin(
        &self,
        request: Option<&RequestId>,
        expected_step: Option<i64>,
    ) -> Result<Begin, BeginError> {
        if let Some(request) = request
            && let Some(outcome) = self.lock().requests.find(request)?
        {
            match outcome {
                // Nothing was committed, so its expected step still has to match.
                Outcome::Interrupted { steps_done: 0 } => {}
                Outcome::Interrupted { steps_done } => return Ok(Begin::Resume { steps_done }),
                Outcome::Finished(_)
                | Outcome::Diverged(_)
                | Outcome::ParametersSet { .. }
                | Outcome::GradientApplied(_)
                | Outcome::SpecUpdated { .. } => {
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

    /// Records the outcome of a request, which also ends its run.
    pub fn record(&self, request: Option<RequestId>, outcome: Outcome) {
        let mut current = self.lock();
        current.running = None;
        if let Some(request) = request {
            current.requests.record(request, outcome);
        }
    }

    /// Replaces the parameters and resets the optimizer's state. The caller is the model's only writer.
    pub fn set_parameters(&self, parameters: Vec<T>) -> Arc<Committed<T>> {
        let state = State::new(parameters, &self.spec.optimizer);
        let committed = Arc::new(Committed::new(state, self.committed().step));
        self.commit(Arc::clone(&committed));
        committed
    }

    /// Ignores poisoning: each part is replaced as a whole, so a panic elsewhere leaves no half-written state.
    fn lock(&self) -> MutexGuard<'_, Current<T>> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Serializes floats as text, because JSON has neither infinities nor NaN.
pub(super) mod any_float {
    use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

    #[allow(clippy::trivially_copy_pass_by_ref)] // serde says so.
    pub(in super::super) fn serialize<S: Serializer>(
        number: &f64,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_str(number)
    }

    pub(in super::super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<f64, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(D::Error::custom)
    }
}
