//! GradeGradients: compares gradients from a student's code with the correct ones, a block at a time.

use std::sync::Arc;

use tonic::Status;

use crate::fault::Violations;
use crate::grade::{Detail, Extras, TensorGrading, TensorReport, Tolerance, Verdict};
use crate::host::Host;
use crate::host::caller::Caller;
use crate::host::models::any_model::{ModelScalar, with_model};
use crate::host::parts::batch::BatchParts;
use crate::host::reference::{CompareLimits, Reference};
use crate::host::refused::{LimitKind, Refused};
use crate::host::target::Target;
use crate::rpc::convert::shared_fields::count;
use crate::rpc::convert::submitted::{self, SubmittedParts};
use crate::rpc::convert::target::{RequestedTarget, read_batch};
use crate::rpc::convert::{grading as convert, spec::to_i32};
use crate::rpc::pb;
use crate::training::Model;

/// Estimated cost of an activation, its slope and its share of the loss, in floating-point operations.
const FLOPS_PER_ACTIVATION: u64 = 100;

/// Estimated cost of a submitted entry, in floating-point operations: decoding, comparison, and search for the largest
/// error.
const FLOPS_PER_ENTRY: u64 = 20;

/// The request besides its network.
struct Submission {
    batch: BatchParts,
    submitted: Vec<SubmittedParts>,
    tolerance: Tolerance,
    /// Whether the request names a preset, and a tolerance of its own.
    names_tolerance: (bool, bool),
    learning_rate: Option<f64>,
    dataset_size: Option<usize>,
}

/// The work to grade, and the data for its reply.
struct Work {
    grading: TensorGrading,
    step: u64,
    digest: String,
}

/// Answers a request. Only its outline is read on the caller's thread; all work that grows with its size runs on a
/// compute thread, in turns.
///
/// # Errors
/// A request that does not fit the network or its terms, an unknown model, too much work, or no try left.
pub async fn grade(
    host: &Host,
    caller: &Caller,
    request: pb::GradeGradientsRequest,
) -> Result<pb::GradeGradientsResponse, Status> {
    let (target, submission) = Submission::read(request, host, caller).map_err(Refused::from)?;
    let Reference { model, limits } = target.find_to_grade(host, caller).await?;
    with_model!(model, model => grade_typed(host, caller, model, submission, limits).await)
}

async fn grade_typed<T: ModelScalar>(
    host: &Host,
    caller: &Caller,
    model: Arc<Model<T>>,
    mut submission: Submission,
    limits: Option<CompareLimits>,
) -> Result<pb::GradeGradientsResponse, Status> {
    let detail = match &limits {
        None => Detail::Full,
        Some(limits) => {
            submission.keep_to(limits).map_err(Refused::from)?;
            Detail::Coarse
        }
    };
    let architecture = &model.spec().architecture;
    let rows = submission.batch.inputs.rows();
    let entries = submission.entries();
    check_work(host, &model, rows, entries)?;
    let memory = host.workspace(
        caller,
        TensorGrading::bytes(architecture, rows).saturating_add(
            usize::try_from(entries)
                .unwrap_or(usize::MAX)
                .saturating_mul(8),
        ),
    )?;
    let max_rows = host.config.max_batch_rows;
    let to_read = entries + architecture.parameter_count() as u64;
    let read = move |_| {
        let work = submission.begin(&model, limits.as_ref(), max_rows, detail);
        (work, limits)
    };
    let ((work, limits), _) = host.compute_by(caller, to_read, read).await?;
    let work = work.map_err(Refused::from)?;
    let tries_left = match &limits {
        None => None,
        Some(limits) => Some(limits.count_try(host, caller).await?),
    };
    let advance = |work: &mut Work| work.grading.advance();
    let finish = move |work: Work| {
        let _memory = memory;
        (work.grading.into_reports(), work.step, work.digest)
    };
    let graded = host.compute_in_turns(caller, work, advance, finish);
    let ((reports, step, digest), _) = graded.await?;
    let reports = reports.map_err(Refused::from)?;
    for report in &reports {
        host.metrics.note_graded(report.verdict, report.mistake);
    }
    Ok(reply(reports, step, digest, tries_left))
}

fn reply(
    reports: Vec<TensorReport>,
    step: u64,
    weights_digest: String,
    tries_left: Option<u64>,
) -> pb::GradeGradientsResponse {
    let is_right = |report: &TensorReport| report.verdict == Verdict::Correct;
    let verdict = if reports.iter().all(is_right) {
        Verdict::Correct
    } else {
        Verdict::Incorrect
    };
    pb::GradeGradientsResponse {
        tensors: reports.into_iter().map(submitted::report).collect(),
        verdict: convert::verdict(verdict).into(),
        step: step.cast_signed(),
        weights_digest,
        tries_left: tries_left.map(|left| to_i32(usize::try_from(left).unwrap_or(usize::MAX))),
    }
}

/// Refuses requests that cost too much: a pass, by its matrices and activations, plus each submitted entry. The search
/// for mistakes has its own limit, about twenty times the default one of a pass.
fn check_work<T: ModelScalar>(
    host: &Host,
    model: &Model<T>,
    rows: usize,
    entries: u64,
) -> Result<(), Refused> {
    let architecture = &model.spec().architecture;
    let activations = (architecture.units_per_sample() as u64).saturating_mul(rows as u64);
    let flops = architecture
        .forward_flops(rows)
        .saturating_mul(3)
        .saturating_add(activations.saturating_mul(FLOPS_PER_ACTIVATION))
        .saturating_add(entries.saturating_mul(FLOPS_PER_ENTRY));
    let most = host.config.max_graded_flops;
    if flops <= most {
        return Ok(());
    }
    let message = format!(
        "grading takes about {flops} operations, {most} are allowed (max_graded_flops): send fewer rows, or fewer and \
         smaller tensors"
    );
    Err(Refused::Limit {
        kind: LimitKind::Grading,
        setting: "max_graded_flops",
        limit: most,
        message,
    })
}

impl Submission {
    /// Reads the outline of a request: everything but the entries.
    fn read(
        request: pb::GradeGradientsRequest,
        host: &Host,
        caller: &Caller,
    ) -> Result<(Target, Self), Violations> {
        let mut violations = Violations::new();
        let target = RequestedTarget::read(request.target, &host.limits, caller, &mut violations);
        let batch = read_batch(
            request.inputs,
            request.targets,
            request.labels,
            &mut violations,
        );
        let most = host.limits.layers;
        let submitted = submitted::read(request.submitted, most, &mut violations);
        let tolerance = submitted::tolerance(
            request.tolerance,
            request.relative_tolerance,
            &mut violations,
        );
        let dataset_size = count(request.dataset_size, "dataset_size", 0, &mut violations);
        let all = target.zip(batch).zip(submitted).zip(tolerance);
        let (((target, batch), submitted), tolerance) = violations.into_result(all)?;
        let submission = Self {
            batch,
            submitted,
            tolerance,
            names_tolerance: (request.tolerance != 0, request.relative_tolerance.is_some()),
            learning_rate: request.learning_rate,
            dataset_size: Some(dataset_size).filter(|&size| size > 0),
        };
        Ok((target, submission))
    }

    /// The number of entries to decode.
    fn entries(&self) -> u64 {
        let submitted = self.submitted.iter().map(SubmittedParts::entries);
        self.batch.entries() + submitted.sum::<u64>()
    }

    /// Sets the fixed tolerance, and refuses fields that would let a client probe for the reference values: its own
    /// tolerance, and its own values for the numbers by which mistakes are recognized.
    fn keep_to(&mut self, limits: &CompareLimits) -> Result<(), Violations> {
        let mut violations = Violations::new();
        let (preset, number) = self.names_tolerance;
        let own = self.tolerance;
        if let Some(terms) = limits.terms {
            self.tolerance = Tolerance::of(terms.relative_tolerance);
            let fixed = self.tolerance.relative;
            if (preset || number) && own.relative != fixed {
                let field = if number {
                    "relative_tolerance"
                } else {
                    "tolerance"
                };
                let allowed = format!("absent: {fixed:e} is fixed for this COMPARE_ONLY model");
                violations.add(field, format!("{:e}", own.relative), allowed);
            }
        } else if number {
            let allowed = "absent for COMPARE_ONLY: `tolerance` names a preset";
            violations.add("relative_tolerance", own.relative, allowed);
        }
        if let Some(rate) = self.learning_rate {
            violations.add("learning_rate", rate, "absent for COMPARE_ONLY");
        }
        if let Some(size) = self.dataset_size {
            violations.add("dataset_size", size, "absent for COMPARE_ONLY");
        }
        violations.into_result(Some(()))
    }

    /// Decodes the entries and starts grading, always in FLOAT64.
    fn begin<T: ModelScalar>(
        self,
        model: &Model<T>,
        limits: Option<&CompareLimits>,
        max_rows: usize,
        detail: Detail,
    ) -> Result<Work, Violations> {
        let (spec, committed) = (model.spec(), model.committed());
        let batch = self.batch.typed::<f64>(spec, max_rows)?;
        if let Some(limits) = limits {
            limits.check_batch(&batch)?;
        }
        let numbers = committed.state.parameters.iter();
        let parameters = numbers.map(|parameter| parameter.to_f64()).collect();
        let extras = Extras {
            earlier: None,
            learning_rate: self.learning_rate,
            dataset_size: self.dataset_size,
        };
        let submitted = self.submitted.into_iter();
        let grading = TensorGrading::new(
            (&spec.architecture, spec.objective),
            parameters,
            batch.view(),
            extras,
            submitted.map(SubmittedParts::into_tensor).collect(),
            (self.tolerance, detail),
        )?;
        let digest = committed.digest(spec);
        Ok(Work {
            grading,
            step: committed.step,
            digest: match limits {
                None => digest.to_string(),
                Some(limits) => limits.digest(digest),
            },
        })
    }
}
