//! A run: the steps of one TrainBatch, taken a few at a time so that other work runs between them.

use std::ops::ControlFlow;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, OnceLock};

use faer::Par;

use super::model::{Committed, Divergence, Model, Outcome, RunSummary};
use super::request_log::RequestId;
use super::run_data::RunData;
use super::workspace::Workspace;
use backpropd_engine::nn::pauses::{Pauses, is_long};
use backpropd_engine::nn::threads::share;
use backpropd_engine::nn::{
    Descent, Minibatches, Mlp, SamplesError, Scalar, Updated, WeightsDigest, norm,
};

/// The plan of a run, valid by construction of its parts.
#[derive(Clone, Debug)]
pub struct Plan<T> {
    /// The samples.
    pub data: RunData<T>,
    /// How the steps split the samples.
    pub minibatches: Minibatches,
    /// The number of steps of the request, including those of earlier tries.
    pub steps: u64,
    /// Replaces the spec's base learning rate.
    pub learning_rate: Option<f64>,
    /// The request, if it is remembered.
    pub request: Option<RequestId>,
}

/// The metrics of one step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StepMetrics {
    /// The model's step after the update.
    pub step: u64,
    /// The pass over the batch, from 1.
    pub epoch: u64,
    /// Before the update.
    pub loss: f64,
    /// Before the update; for losses with classes.
    pub accuracy: Option<f64>,
    /// Before clipping.
    pub gradient_norm: f64,
    /// Schedule included.
    pub learning_rate: f64,
}

/// The state of a run when [`Run::advance`] returns.
#[derive(Clone, Debug, PartialEq)]
pub enum Advance {
    /// The observer paused the run; steps remain.
    Paused,
    /// Every step is committed.
    Finished(RunSummary),
    /// The next weights would not be finite; the last ones stay.
    Diverged(Divergence),
    /// The samples of the next step cannot be fetched; the steps before it stay, and the run can be resumed.
    NoSamples(SamplesError),
}

/// Why a step is not committed.
enum StepFailure {
    Diverged(Divergence),
    NoSamples(SamplesError),
}

/// Metrics of a step before it is committed.
struct Measurements {
    loss: f64,
    accuracy: Option<f64>,
    gradient_norm: f64,
    learning_rate: f64,
}

/// A run in progress. Dropping it early records how far it came.
#[derive(Debug)]
pub struct Run<T: Scalar> {
    model: Arc<Model<T>>,
    plan: Plan<T>,
    steps_done: u64,
    last_loss: f64,
    current: Arc<Committed<T>>,
    /// Moved out at the end of the run.
    workspace: Workspace<T>,
    par: Par,
    ended: bool,
    /// Whether [`Self::finish_now`] ends it, and not the last step.
    waits_at_end: bool,
}

impl<T: Scalar> Run<T> {
    /// Starts a run after `steps_done` steps of an earlier try. The caller is the model's only writer until the run is
    /// dropped.
    pub fn new(model: Arc<Model<T>>, plan: Plan<T>, steps_done: u64, par: Par) -> Self {
        Self::within(None, model, plan, steps_done, par)
    }

    /// The same, reusing the buffers of an earlier run if they fit.
    pub fn within(
        earlier: Option<Workspace<T>>,
        model: Arc<Model<T>>,
        plan: Plan<T>,
        steps_done: u64,
        par: Par,
    ) -> Self {
        let spec = model.spec();
        let rows = plan.minibatches.size();
        let workspace = earlier
            .filter(|earlier| earlier.fits(spec, rows))
            .unwrap_or_else(|| Workspace::new(spec, rows));
        model.note_run(plan.request.clone(), steps_done);
        Self {
            workspace,
            current: model.committed(),
            last_loss: f64::NAN,
            ended: false,
            waits_at_end: false,
            model,
            plan,
            steps_done,
            par,
        }
    }

    /// The last step's loss, before its update; NaN before the first step.
    pub fn last_loss(&self) -> f64 {
        self.last_loss
    }

    /// The digest of the last committed parameters.
    pub fn digest(&self) -> WeightsDigest {
        self.current.digest(self.model.spec())
    }

    /// Steps committed for the request so far, including earlier tries.
    pub fn steps_done(&self) -> u64 {
        self.steps_done
    }

    /// The model being trained.
    pub fn model(&self) -> &Arc<Model<T>> {
        &self.model
    }

    /// The last committed step.
    pub fn current(&self) -> &Arc<Committed<T>> {
        &self.current
    }

    /// The size of its buffers, as [`Workspace::bytes`] computes it.
    pub fn workspace_bytes(&self) -> usize {
        Workspace::bytes(&self.model, self.plan.minibatches.size())
    }

    /// Ends the run here and returns its buffers.
    pub fn into_workspace(mut self) -> Workspace<T> {
        std::mem::take(&mut self.workspace)
    }

    /// Sets the threads for the next steps. The bits of the result do not depend on it.
    pub fn set_par(&mut self, par: Par) {
        self.par = par;
    }

    /// Takes steps, each committed as a whole, until the end or until `observe`, called after each, pauses the run.
    /// After the first step it allocates nothing, unless a reader still holds the step before the last or threads share
    /// a step.
    pub fn advance(
        &mut self,
        observe: impl FnMut(&StepMetrics) -> ControlFlow<()> + Send,
    ) -> Advance {
        let (model, rows) = (Arc::clone(&self.model), self.plan.minibatches.size());
        let architecture = &model.spec().architecture;
        share(architecture, rows, self.par, |par| {
            self.take_steps(par, observe)
        })
    }

    fn take_steps(
        &mut self,
        par: Par,
        mut observe: impl FnMut(&StepMetrics) -> ControlFlow<()>,
    ) -> Advance {
        while self.steps_done < self.plan.steps {
            let metrics = match self.step(par) {
                Ok(metrics) => metrics,
                Err(failure) => return self.fail(failure),
            };
            if observe(&metrics).is_break() && !self.is_at_end() {
                return Advance::Paused;
            }
        }
        if self.waits_at_end {
            return Advance::Paused;
        }
        let digest = self.digest();
        self.finish(digest)
    }

    /// Has the run pause after its last step, too, until [`Self::finish_now`].
    pub fn wait_at_end(&mut self) {
        self.waits_at_end = true;
    }

    /// The epoch of the last step, from 1.
    pub fn epoch(&self) -> u64 {
        self.plan
            .minibatches
            .epoch(self.steps_done.saturating_sub(1))
    }

    /// Whether every step is committed.
    pub fn is_at_end(&self) -> bool {
        self.steps_done >= self.plan.steps
    }

    /// Ends a run that waits, after its last step or earlier. `best_step` is that of its smallest held-out loss.
    pub async fn finish_now(&mut self, best_step: Option<u64>, pauses: &impl Pauses) -> RunSummary {
        let current = Arc::clone(&self.current);
        let digest = current.digest_in_blocks(self.model.spec(), pauses).await;
        let summary = RunSummary {
            is_early: !self.is_at_end(),
            best_step,
            ..self.summary(digest)
        };
        self.end(Outcome::Finished(summary));
        summary
    }

    /// Replaces the parameters and the optimizer's state with those of an earlier step. The step count is unchanged.
    pub fn return_to(&mut self, earlier: &Committed<T>) {
        let state = earlier.state.clone();
        let committed = Arc::new(Committed::new(state, self.current.step));
        self.model.commit(Arc::clone(&committed));
        self.current = committed;
    }

    /// Whether steps are long enough for [`Self::advance_in_blocks`].
    pub fn is_long(&self) -> bool {
        let rows = self.plan.minibatches.size();
        is_long(&self.model.spec().architecture, rows, 3)
    }

    /// Takes one step with pauses, if one is left, and finishes the run after the last. Returns the step's metrics if
    /// it was committed. Dropped before it resolves, it leaves the model at the previous step.
    pub async fn advance_in_blocks(
        &mut self,
        pauses: &impl Pauses,
    ) -> (Option<StepMetrics>, Advance) {
        let mut metrics = None;
        if self.steps_done < self.plan.steps {
            match self.step_in_blocks(pauses).await {
                Ok(taken) => metrics = Some(taken),
                Err(failure) => return (None, self.fail(failure)),
            }
            if self.steps_done < self.plan.steps {
                return (metrics, Advance::Paused);
            }
        }
        if self.waits_at_end {
            return (metrics, Advance::Paused);
        }
        let current = Arc::clone(&self.current);
        let digest = current.digest_in_blocks(self.model.spec(), pauses).await;
        (metrics, self.finish(digest))
    }

    fn fail(&mut self, failure: StepFailure) -> Advance {
        match failure {
            StepFailure::Diverged(divergence) => {
                self.end(Outcome::Diverged(divergence));
                Advance::Diverged(divergence)
            }
            StepFailure::NoSamples(error) => Advance::NoSamples(error),
        }
    }

    fn finish(&mut self, digest: WeightsDigest) -> Advance {
        let summary = self.summary(digest);
        self.end(Outcome::Finished(summary));
        Advance::Finished(summary)
    }

    fn summary(&self, digest: WeightsDigest) -> RunSummary {
        RunSummary {
            steps_done: self.steps_done,
            step: self.current.step,
            final_loss: self.last_loss,
            digest,
            is_early: false,
            best_step: None,
        }
    }

    /// One step: forward, loss, backward, update, commit.
    fn step(&mut self, par: Par) -> Result<StepMetrics, StepFailure> {
        let (mut next, learning_rate) = self.next();
        let spec = self.model.spec();
        let workspace = &mut self.workspace;
        let batch = self.plan.minibatches.fetch(
            self.steps_done,
            self.plan.data.samples(),
            &mut workspace.minibatch,
        );
        let batch = batch.map_err(StepFailure::NoSamples)?;
        let target = Arc::get_mut(&mut next).expect("take_spare returns what nobody else holds");
        let old = &self.current.state;
        let mlp = Mlp::new(&spec.architecture, &old.parameters);
        let trace = mlp.forward(batch.inputs, batch.rows, &mut workspace.forward, par);
        let updates = target.state.updates;
        let rule = |scale| spec.optimizer.rule(updates, scale, learning_rate);
        let unclipped = rule(1.0);
        let failed = AtomicBool::new(false);
        let loss = {
            let update = unclipped.update(old, &mut target.state);
            let descent = Descent {
                squares: &mut workspace.squares,
                // Clipping needs the norm of the whole gradient before any update.
                update: (!spec.clips()).then_some(update),
                failed: &failed,
            };
            trace.descend(
                spec.objective,
                batch.targets,
                &mut workspace.backward,
                par,
                descent,
            )
        };
        let accuracy = spec
            .objective
            .accuracy(trace.outputs(), batch.targets, batch.rows);
        let gradient = workspace.backward.parameters();
        let gradient_norm = norm(&workspace.squares, gradient);
        let mut updated = Updated::finite_unless(failed.into_inner());
        if spec.clips() {
            let rule = rule(spec.clipping(gradient_norm));
            let update = rule.update(old, &mut target.state);
            updated = update.apply_in_pieces(gradient, par);
        }
        let measured = Measurements {
            loss,
            accuracy,
            gradient_norm,
            learning_rate,
        };
        self.conclude(next, updated, measured)
    }

    /// [`Self::step`] with pauses. Dropped before it resolves, it has no effect.
    async fn step_in_blocks(&mut self, pauses: &impl Pauses) -> Result<StepMetrics, StepFailure> {
        let (mut next, learning_rate) = self.next();
        let spec = self.model.spec();
        let workspace = &mut self.workspace;
        let batch = self.plan.minibatches.fetch(
            self.steps_done,
            self.plan.data.samples(),
            &mut workspace.minibatch,
        );
        let batch = batch.map_err(StepFailure::NoSamples)?;
        let target = Arc::get_mut(&mut next).expect("take_spare returns what nobody else holds");
        let old = &self.current.state;
        let mlp = Mlp::new(&spec.architecture, &old.parameters);
        let trace = mlp
            .forward_in_blocks(batch.inputs, batch.rows, &mut workspace.forward, pauses)
            .await;
        let updates = target.state.updates;
        let rule = |scale| spec.optimizer.rule(updates, scale, learning_rate);
        let unclipped = rule(1.0);
        let failed = AtomicBool::new(false);
        let loss = {
            let update = unclipped.update(old, &mut target.state);
            let descent = Descent {
                squares: &mut workspace.squares,
                update: (!spec.clips()).then_some(update),
                failed: &failed,
            };
            let backward = &mut workspace.backward;
            trace
                .descend_in_blocks(spec.objective, batch.targets, backward, pauses, descent)
                .await
        };
        let accuracy = spec
            .objective
            .accuracy(trace.outputs(), batch.targets, batch.rows);
        let gradient = workspace.backward.parameters();
        let gradient_norm = norm(&workspace.squares, gradient);
        let mut updated = Updated::finite_unless(failed.into_inner());
        if spec.clips() {
            let rule = rule(spec.clipping(gradient_norm));
            let update = rule.update(old, &mut target.state);
            updated = update.apply_in_blocks(gradient, pauses).await;
        }
        let measured = Measurements {
            loss,
            accuracy,
            gradient_norm,
            learning_rate,
        };
        self.conclude(next, updated, measured)
    }

    /// The state to write the next step to, and its learning rate.
    fn next(&mut self) -> (Arc<Committed<T>>, f64) {
        let spec = self.model.spec();
        let base = self.plan.learning_rate.unwrap_or(spec.learning_rate);
        let learning_rate = base * spec.schedule.factor(self.current.step);
        let mut next = self.workspace.take_spare(&self.current);
        let target = Arc::get_mut(&mut next).expect("take_spare returns what nobody else holds");
        target.step = self.current.step + 1;
        target.digest = OnceLock::new();
        target.state.updates = self.current.state.updates + 1;
        (next, learning_rate)
    }

    /// Commits a step, unless its weights are not finite.
    fn conclude(
        &mut self,
        next: Arc<Committed<T>>,
        updated: Updated,
        measured: Measurements,
    ) -> Result<StepMetrics, StepFailure> {
        let index = self.steps_done;
        if updated == Updated::NonFinite || !measured.gradient_norm.is_finite() {
            self.workspace.keep_spare(next);
            return Err(StepFailure::Diverged(Divergence {
                steps_done: index,
                step: self.current.step,
                loss: measured.loss,
                gradient_norm: measured.gradient_norm,
            }));
        }
        self.model.commit(Arc::clone(&next));
        let last = std::mem::replace(&mut self.current, next);
        self.workspace.keep_spare(last);
        self.steps_done += 1;
        self.last_loss = measured.loss;
        Ok(StepMetrics {
            step: self.current.step,
            epoch: self.plan.minibatches.epoch(index),
            loss: measured.loss,
            accuracy: measured.accuracy,
            gradient_norm: measured.gradient_norm,
            learning_rate: measured.learning_rate,
        })
    }

    fn end(&mut self, outcome: Outcome) {
        self.ended = true;
        self.model.record(self.plan.request.take(), outcome);
    }
}

impl<T: Scalar> Drop for Run<T> {
    fn drop(&mut self) {
        if !self.ended {
            let steps_done = self.steps_done;
            self.end(Outcome::Interrupted { steps_done });
        }
    }
}
