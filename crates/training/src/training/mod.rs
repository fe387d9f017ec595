//! Models and the sessions that hold them.
//!
//! Pure state: no IO, no clock (times are arguments), no thread. A [`Model`] is a [`Spec`] and its last committed step;
//! a [`Run`] advances it one whole step at a time; the [`Registry`] finds models and enforces quotas.

pub mod compare;
pub mod gradient_step;
pub mod model;
pub mod names;
pub mod quota;
pub mod redo;
pub mod registry;
pub mod request_log;
pub mod run;
pub mod run_data;
pub mod session;
pub mod snapshot;
pub mod spec;
pub mod spec_update;
mod tensor_file;
pub mod workspace;

pub use compare::{CompareTerms, batch_digest};
pub use gradient_step::GradientStep;
pub use model::{
    Begin, BeginError, Committed, Divergence, LARGEST_STEP, LayerParameters, Model, Outcome,
    Revision, RunSummary,
};
pub use names::{DatasetName, Id, ModelName, SessionName};
pub use quota::{Limit, OverLimit, Quota, RegistryError, RegistryLimits};
pub use redo::{Redo, RedoError, RedoOutcome};
pub use registry::{Owner, Placement, Registry, RestoredModel};
pub use request_log::{Fingerprint, RequestId, RequestIdReused};
pub use run::{Advance, Plan, Run, StepMetrics};
pub use run_data::{DatasetReference, Datasets, NoDatasets, RunData, Selection};
pub use session::{Access, Now, RecordError, SessionInfo, SessionRecord};
pub use spec::{DecayParts, ScheduleParts, Spec, SpecParts};
pub use spec_update::SpecUpdate;
pub use workspace::Workspace;
