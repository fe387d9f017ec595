//! StopTraining, ListRuns and GetRun: the runs of a model as other clients see and end them.

use std::sync::Arc;

use super::model_runs::StopTarget;
use super::record::RunRecord;
use crate::host::Host;
use crate::host::caller::Caller;
use crate::host::refused::{Refused, Stop};
use crate::host::runs::event::EndReason;
use crate::training::ModelName;

/// The effect of StopTraining.
#[derive(Clone, Debug)]
pub struct Stopped {
    /// Whether a run in progress was stopped.
    pub is_stopped: bool,
    /// The run that was in progress, which has ended.
    pub run: Option<Arc<RunRecord>>,
    /// Number of waiting runs that were stopped.
    pub queued: usize,
    /// The model's step.
    pub step: u64,
}

impl Host {
    /// Stops runs of a model, and waits until they have ended.
    ///
    /// # Errors
    /// No such model; the deadline. The runs are stopped all the same.
    pub async fn stop_training(
        &self,
        caller: &Caller,
        name: &ModelName,
        target: &StopTarget,
    ) -> Result<Stopped, Refused> {
        let entry = self.open(caller, name).await?;
        let (run, waiting) = entry.runs.stop(target);
        let over = async {
            for run in run.iter().chain(&waiting) {
                run.over().await;
            }
            Ok::<(), Refused>(())
        };
        caller.deadline.limit(over).await?;
        let has_stopped = |run: &Arc<RunRecord>| {
            let end = run.progress().and_then(|progress| progress.end);
            end.is_some_and(|(end, _)| matches!(end.reason, EndReason::Stopped(Stop::Requested)))
        };
        // A run that waited may have begun before it saw the stop.
        let begun = waiting.iter().find(|run| run.progress().is_some());
        let run = run.or_else(|| begun.cloned());
        Ok(Stopped {
            is_stopped: run.as_ref().is_some_and(has_stopped),
            queued: waiting
                .iter()
                .filter(|run| run.progress().is_none())
                .count(),
            run,
            step: entry.model.step(),
        })
    }

    /// The run of a model in progress and its past runs, newest first; and the number of runs that wait.
    ///
    /// # Errors
    /// No such model.
    pub async fn list_runs(
        &self,
        caller: &Caller,
        name: &ModelName,
    ) -> Result<(Vec<Arc<RunRecord>>, usize), Refused> {
        let entry = self.open(caller, name).await?;
        Ok(entry.runs.list())
    }

    /// Finds a run of a model by its id.
    ///
    /// # Errors
    /// No such model or run.
    pub async fn find_run(
        &self,
        caller: &Caller,
        name: &ModelName,
        id: &str,
    ) -> Result<Arc<RunRecord>, Refused> {
        let (runs, _) = self.list_runs(caller, name).await?;
        let run = runs.into_iter().find(|run| run.id.to_string() == id);
        run.ok_or_else(|| Refused::NoRun(name.clone(), id.to_owned()))
    }
}
